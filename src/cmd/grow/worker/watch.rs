//! Lets a reshape go as far as a crash would lose nothing, again and again until it is done.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Job;
use super::saver::{Saver, place};
use super::seated::Seated;
use super::turn::Turn;
use crate::cmd::grow::stripes_rest;
use crate::cmd::print::complain;
use crate::error::Refusal;
use crate::host::Host;
use crate::level::Level;
use crate::superblock::reshape::Reshape;
use crate::sysfs::value::{ArrayState, Maybe, Slot, SyncAction};
use crate::sysfs::{ArrayDir, MemberDir, attr};
use crate::uuid::Uuid;

/// The kernel tells when it has written down how far it is; what it does not tell of is seen after this, in milliseconds.
const LOOK_AGAIN: u16 = 500;

/// How often and how long it is waited for the first superblock that tells of the reshape.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(20);
/// The same for the last, which tells that it is done.
const LAST_TRIES: u32 = 1000;

/// The least that Linux takes as `stripe_cache_size`, and what there is without anybody's doing.
const LEAST_CACHE: u64 = 17;
const USUAL_CACHE: u64 = 256;

/// The array.
pub(super) struct Watched<'a> {
    /// The machine.
    pub host: &'a Host,
    /// Its attributes.
    pub array: ArrayDir,
    /// As shown to the user.
    pub shown: String,
    /// It was let go on once: who holds it back from then on stops it, or means it.
    pub let_go: Cell<bool>,
    /// Its members.
    pub seated: RefCell<Seated>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It is done, or the array was stopped.
    Over,
    /// Another one asked for the place.
    Left,
    /// It is held back where it can be turned.
    Turns,
}

/// What is known from one look to the next.
#[derive(Default)]
struct Known {
    saver: Option<Saver>,
    /// Behind the window that is moving.
    saved_to: Option<u64>,
    allowed: Option<u64>,
    /// Nothing of the array is closed to writes.
    is_open: bool,
}

/// See the module. With `turn` only as far as it takes.
///
/// # Errors
/// Something has to be saved and cannot be, or the kernel refuses to go on.
pub(super) fn watch(w: &Watched<'_>, job: &Job, mut turn: Option<Turn>) -> Result<End, Refusal> {
    let mut known = Known::default();
    let mut seats = Vec::new();
    let mut mine = None;
    loop {
        // Before the look, so that nothing is missed which is written down after it.
        let bell = w.bell();
        let Some((now, uuid)) = w.recorded_soon() else { break };
        if turn.is_none() && super::has_to_leave(w.host, w.array.devname()) {
            return Ok(End::Left);
        }
        if *mine.get_or_insert(uuid) != uuid {
            // Another array has the name now.
            return Ok(End::Over);
        }
        let seated = w.seated.borrow().seats();
        if seated != seats && w.is_under_way() {
            seats = seated;
        }
        // A window stays closed to writes until all of it has moved: after a crash its copy would be put back.
        known.saved_to = known.saved_to.filter(|to| !now.is_at(*to));
        if !known.open(w, job, (&now, uuid))? {
            break;
        }
        if let Some(turn) = turn.as_mut().filter(|_| known.saved_to.is_none())
            && turn.is_there(w, &now, known.saver.as_ref())?
        {
            return Ok(End::Turns);
        }
        let Some(reach) = known.save(w, &now)? else { break };
        let reach = match &mut turn {
            Some(turn) if known.saved_to.is_none() => turn.at_most(&now, reach),
            _ => reach,
        };
        known.allow(w, &now, reach)?;
        w.go()?;
        if let Some(bell) = bell {
            wait(&bell);
        }
        if !w.is_under_way() {
            break;
        }
    }
    if w.is_under_way() {
        return Err(w.stopped("no member's superblock tells of it"));
    }
    let same = mine.is_none() || w.seated.borrow_mut().uuid(w.host, &w.array) == mine;
    if same && w.is_running() {
        w.forget_all(&seats);
        w.end_is_written()?;
        w.suspend(0, 0)?;
        known.saver.iter().for_each(|s| s.done(0));
    }
    Ok(End::Over)
}

impl Known {
    /// Opens the file where windows have to be saved, and finds the window that another one began; `false`: the array was stopped.
    fn open(&mut self, w: &Watched<'_>, job: &Job, (now, uuid): (&Reshape, Uuid)) -> Result<bool, Refusal> {
        let critical = now.overwrites();
        let left_closed = || !self.is_open && w.suspended() != (0, 0) && place(w.host, job, uuid).exists();
        if self.saver.is_some() || !(critical || left_closed()) {
            return Ok(true);
        }
        let found = match Saver::open(w, job, now, uuid) {
            Ok(found) => found,
            Err(_) if !w.is_under_way() => return Ok(false),
            Err(why) => return Err(w.stopped(&why)),
        };
        // Another one began with this window and is gone.
        self.saved_to = found.under_way(w, now);
        if critical && self.saved_to.is_none() {
            w.has_not_gone_on(now)?;
        }
        self.saver = Some(found);
        Ok(true)
    }

    /// Saves what has to be, and tells how far it may go; `None`: the array was stopped.
    fn save(&mut self, w: &Watched<'_>, now: &Reshape) -> Result<Option<u64>, Refusal> {
        // The kernel itself keeps a raid10 from going too far.
        let reach = if now.level == Level::Raid10 { now.end() } else { now.reach() };
        match &mut self.saver {
            _ if self.saved_to.is_some() => {}
            Some(saver) if now.overwrites() => match saver.next(w, now) {
                Ok(to) => (self.saved_to, self.is_open) = (Some(to), false),
                Err(_) if !w.is_under_way() => return Ok(None),
                Err(e) => return Err(e),
            },
            _ if self.is_open => {}
            _ => {
                self.saver.take().iter().for_each(|s| s.done(now.position));
                w.suspend(0, 0)?;
                self.is_open = true;
            }
        }
        Ok(Some(self.saved_to.unwrap_or(reach)))
    }

    fn allow(&mut self, w: &Watched<'_>, now: &Reshape, reach: u64) -> Result<(), Refusal> {
        if reach == now.end() {
            w.store("sync_max", "max")?;
        } else if self.allowed != Some(reach) {
            w.store("sync_max", &now.as_sync(reach).to_string())?;
        }
        self.allowed = Some(reach);
        Ok(())
    }
}

impl Watched<'_> {
    /// Stores a value, again and again for a while: whoever stops the array makes it busy for a moment.
    pub fn store(&self, name: &str, value: &str) -> Result<(), Refusal> {
        let mut failed = None;
        for _ in 0..TRIES {
            let Err(e) = self.array.store_text(name, value) else { return Ok(()) };
            if name == "sync_max" && e.errno() == libc::EBUSY {
                // It runs, and may go further than that: it can be told less only while it is held back.
                self.hold();
            }
            std::thread::sleep(PAUSE);
            if !self.is_under_way() {
                return Ok(());
            }
            failed = Some(e);
        }
        failed.map_or(Ok(()), |e| Err(self.stopped(&e.to_string())))
    }

    fn text(&self, name: &str) -> Option<String> {
        Some(self.array.text(name).ok()??.trim().to_owned())
    }

    /// It cannot go on, and why.
    pub fn stopped(&self, why: &str) -> Refusal {
        Refusal::new(format!("the reshape of {} cannot go on: {why}", self.shown))
            .hint(format!("to go on later: mdadm --grow --continue {}", self.shown))
    }

    /// Nothing may have moved that is not written down: what lies there now would be taken for what was.
    fn has_not_gone_on(&self, now: &Reshape) -> Result<(), Refusal> {
        let allowed = self.text("sync_max").map(|to| to.parse().unwrap_or(u64::MAX));
        if allowed.is_some_and(|to| to <= now.as_sync(now.position)) {
            return Ok(());
        }
        let _ = self.array.store(attr::SYNC_ACTION, "frozen");
        let shown = &self.shown;
        Err(Refusal::new(format!(
            "the reshape of {shown} cannot go on: it may have gone further than is written down, and no copy of that was found"
        ))
        .hint(format!("stop and start it: mdadm --stop {shown}; mdadm --assemble {shown}")))
    }

    /// No superblock tells of it any more: until then its last window would be put back after a crash.
    fn end_is_written(&self) -> Result<(), Refusal> {
        for _ in 0..LAST_TRIES {
            if self.recorded().is_none() || !self.is_running() {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
        Err(self.stopped("its end is not written down yet"))
    }

    /// Linux takes a row that is in the stripe cache since it was reshaped for one that is in sync, so a member that is rebuilt would
    /// not get it (`R5_Expanded` in raid5.c). What was used last goes last; so new ones are made between, and all before them go.
    fn forget_stripes(&self) {
        let Some(size) = self.array.get(attr::STRIPE_CACHE_SIZE) else { return };
        for now in [LEAST_CACHE, size.max(USUAL_CACHE), LEAST_CACHE, size] {
            stripes_rest(&self.array);
            let _ = self.array.store_text("stripe_cache_size", &now.to_string());
        }
    }

    /// Members and their slots.
    fn seats(&self) -> Vec<(String, u32)> {
        let seat = |m: MemberDir| match m.get(attr::SLOT) {
            Some(Slot::At(slot)) => Some((m.name().to_owned(), slot)),
            _ => None,
        };
        self.array.members().into_iter().filter_map(seat).collect()
    }

    /// The same where a rebuild began as soon as the reshape was over: that member lacks rows for good, and is failed.
    fn forget_all(&self, before: &[(String, u32)]) {
        let late: Vec<String> = self.seats().into_iter().filter(|s| !before.contains(s)).map(|s| s.0).collect();
        if before.is_empty() || late.is_empty() {
            return self.forget_stripes();
        }
        let _ = self.array.store(attr::SYNC_ACTION, "frozen");
        self.forget_stripes();
        for member in self.array.members().into_iter().filter(|m| late.iter().any(|name| name == m.name())) {
            let (name, shown) = (member.name(), &self.shown);
            let failed = member.store(attr::STATE, "faulty").map_or_else(|e| e.to_string(), |()| "it is failed".into());
            complain(format!(
                "{name} took a slot of {shown} before the stripe cache could be emptied and lacks what was reshaped last: {failed}; \
                 mdadm {shown} --remove {name}, mdadm --zero-superblock /dev/{name}, mdadm {shown} --add /dev/{name}"
            ));
        }
        let _ = self.array.store(attr::SYNC_ACTION, "idle");
    }

    fn is_running(&self) -> bool {
        self.array.get(attr::ARRAY_STATE).as_ref().is_some_and(ArrayState::is_running)
    }

    /// It is neither done nor stopped.
    fn is_under_way(&self) -> bool {
        self.array.get(attr::RESHAPE_POSITION).and_then(Maybe::some).is_some() && self.is_running()
    }

    /// Lets it go on if somebody holds it back; a read-only array waits until it is writable.
    fn go(&self) -> Result<(), Refusal> {
        if self.array.get(attr::ARRAY_STATE) == Some(ArrayState::Readonly) {
            self.store("array_state", "active")?;
            super::may_write(self.host, self.array.devname(), false);
        }
        if self.let_go.get() || self.array.get(attr::SYNC_ACTION) != Some(SyncAction::Frozen) {
            return Ok(());
        }
        // Whoever stops the array freezes it too, and Linux 6.12 panics if it is told to go on then: open it cannot be stopped.
        let Ok(_open) = File::open(self.host.dev.join(self.array.devname())) else { return Ok(()) };
        if !self.is_under_way() {
            return Ok(());
        }
        self.let_go.set(true);
        self.store("sync_action", "reshape")
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
    fn recorded_soon(&self) -> Option<(Reshape, Uuid)> {
        (0..TRIES).find_map(|n| {
            if n > 0 {
                std::thread::sleep(PAUSE);
            }
            self.recorded()
        })
    }

    /// The reshape as it would be found after a crash now.
    pub fn recorded(&self) -> Option<(Reshape, Uuid)> {
        self.seated.borrow_mut().recorded(self.host, &self.array)
    }

    /// Holds it back, until it is let go on again.
    pub fn hold(&self) {
        let _ = self.array.store(attr::SYNC_ACTION, "frozen");
        self.let_go.set(false);
    }

    /// The stretch of the array that writes wait for.
    pub fn suspended(&self) -> (u64, u64) {
        let now = |a| self.array.get(a).unwrap_or(0);
        (now(attr::SUSPEND_LO), now(attr::SUSPEND_HI))
    }

    /// Has writes to this stretch of the array wait. It grows before it shrinks, so nothing in both is free meanwhile.
    pub fn suspend(&self, lo: u64, hi: u64) -> Result<(), Refusal> {
        let (old_lo, old_hi) = self.suspended();
        if hi > old_hi {
            self.store("suspend_hi", &hi.to_string())?;
        }
        if lo != old_lo {
            self.store("suspend_lo", &lo.to_string())?;
        }
        if hi < old_hi {
            self.store("suspend_hi", &hi.to_string())?;
        }
        Ok(())
    }
}

fn wait(bell: &File) {
    let mut fds = [PollFd::new(bell.as_fd(), PollFlags::POLLPRI | PollFlags::POLLERR)];
    let _ = poll(&mut fds, PollTimeout::from(LOOK_AGAIN));
}
