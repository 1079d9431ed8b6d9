//! Lets a reshape go as far as a crash would lose nothing, again and again until it is done.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Job;
use crate::device::real::{Access, RealDevice};
use crate::error::Refusal;
use crate::host::Host;
use crate::level::Level;
use crate::superblock::reshape::{self, Reshape};
use crate::superblock::v0;
use crate::superblock::v1::{SuperV1, read_any};
use crate::sysfs::value::{ArrayState, Maybe, Slot, SyncAction};
use crate::sysfs::{ArrayDir, attr};

/// The kernel tells when it has written down how far it is; what it does not tell of is seen after this, in milliseconds.
const LOOK_AGAIN: u16 = 500;

/// How often and how long it is waited for the first superblock that tells of the reshape.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// The array.
pub(super) struct Watched<'a> {
    /// The machine.
    pub host: &'a Host,
    /// Its attributes.
    pub array: ArrayDir,
    /// As shown to the user.
    pub shown: String,
}

/// See the module.
///
/// # Errors
/// Something has to be saved and cannot be, or the kernel refuses to go on.
pub(super) fn watch(w: &Watched<'_>, _job: &Job) -> Result<(), Refusal> {
    let mut allowed = None;
    loop {
        // Before the look, so that nothing is missed which is written down after it.
        let bell = w.bell();
        let Some(now) = w.recorded_soon() else {
            return if w.is_under_way() { Err(w.stopped("no member's superblock tells of it")) } else { Ok(()) };
        };
        if now.level == Level::Raid10 {
            w.store("sync_max", "max")?;
            return w.go();
        }
        let reach = now.reach();
        if reach == now.position && !now.is_over() {
            return Err(
                w.stopped("what comes next has to be saved first, which this version of mdadm-rs cannot do yet")
            );
        }
        if reach == now.end() {
            w.store("sync_max", "max")?;
        } else if allowed != Some(reach) {
            w.store("sync_max", &now.as_sync(reach).to_string())?;
        }
        allowed = Some(reach);
        w.go()?;
        if let Some(bell) = bell {
            wait(&bell);
        }
        if !w.is_under_way() {
            return Ok(());
        }
    }
}

impl Watched<'_> {
    /// Stores a value, again and again for a while: whoever stops the array makes it busy for a moment.
    fn store(&self, name: &str, value: &str) -> Result<(), Refusal> {
        let mut failed = None;
        for _ in 0..TRIES {
            let Err(e) = self.array.store_text(name, value) else { return Ok(()) };
            if name == "sync_max" && e.errno() == libc::EBUSY {
                // It runs, and may go further than that: it can be told less only while it is held back.
                let _ = self.array.store(attr::SYNC_ACTION, "frozen");
            }
            std::thread::sleep(PAUSE);
            if !self.is_under_way() {
                return Ok(());
            }
            failed = Some(e);
        }
        failed.map_or(Ok(()), |e| Err(self.stopped(&e.to_string())))
    }

    fn stopped(&self, why: &str) -> Refusal {
        Refusal::new(format!("the reshape of {} cannot go on: {why}", self.shown))
            .hint(format!("to go on later: mdadm --grow --continue {}", self.shown))
    }

    /// It is neither done nor stopped.
    fn is_under_way(&self) -> bool {
        self.array.get(attr::RESHAPE_POSITION).and_then(Maybe::some).is_some()
            && self.array.get(attr::ARRAY_STATE).as_ref().is_some_and(ArrayState::is_running)
    }

    /// Lets it go on if somebody holds it back; a read-only array waits until it is writable.
    fn go(&self) -> Result<(), Refusal> {
        match self.array.get(attr::SYNC_ACTION) {
            Some(SyncAction::Frozen) => self.store("sync_action", "reshape"),
            _ => Ok(()),
        }
    }

    /// Rings when the kernel has written down how far it is, from now on.
    fn bell(&self) -> Option<File> {
        let path = self.array.md().join(attr::SYNC_COMPLETED.name());
        let mut file = File::open(path).ok()?;
        // Before it was read it would ring for what was before.
        let _ = file.read(&mut [0; 64]);
        Some(file)
    }

    /// The same; right after its start it may not be written down yet.
    fn recorded_soon(&self) -> Option<Reshape> {
        (0..TRIES).find_map(|n| {
            if n > 0 {
                std::thread::sleep(PAUSE);
            }
            self.recorded()
        })
    }

    /// The reshape as it would be found after a crash now: of the superblocks on the members that are in the array, the least advanced.
    fn recorded(&self) -> Option<Reshape> {
        let read = |member: crate::sysfs::MemberDir| -> Option<SuperV1> {
            if !matches!(member.get(attr::SLOT), Some(Slot::At(_))) {
                return None;
            }
            // What it says is old.
            if member.get(attr::STATE).is_none_or(|s| s.has("faulty")) {
                return None;
            }
            let device = RealDevice::open(&self.host.dev.join(member.name()), Access::Read).ok()?;
            match read_any(&device).ok().flatten() {
                Some((_, sb)) => Some(sb),
                None => v0::read(&device).ok().flatten().map(|sb| sb.as_v1(crate::blockio::ReadAt::size(&device))),
            }
        };
        let all: Vec<SuperV1> = self.array.members().into_iter().filter_map(read).collect();
        let one = |sb: &SuperV1| reshape::of(sb, all.iter());
        let found: Vec<Reshape> = all.iter().filter_map(one).collect();
        let backwards = found.first()?.backwards;
        let behind = |r: &Reshape| if backwards { u64::MAX - r.position } else { r.position };
        found.into_iter().min_by_key(behind)
    }
}

fn wait(bell: &File) {
    let mut fds = [PollFd::new(bell.as_fd(), PollFlags::POLLPRI | PollFlags::POLLERR)];
    let _ = poll(&mut fds, PollTimeout::from(LOOK_AGAIN));
}
