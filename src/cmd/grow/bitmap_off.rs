//! A lockless bitmap is taken off without loss.
//!
//! On raid4/5/6 the parity of unwritten chunks was never built, and without the bitmap nobody would know
//! (docs/lockless.md). So it is built first, then looked at once more with writes held off, and only then the bitmap goes.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use super::Running;
use super::bitmap_gather::{bitmap_super, start};
use crate::bitmap::lockless::{self, ChunkState, StateCounts};
use crate::cmd::{unwritten, wait};
use crate::device::real::{Access, RealDevice};
use crate::error::Refusal;
use crate::level::Level;
use crate::output::lockless_cost::size;
use crate::plan::grow::bitmap::{self, Facts, Member, Now};
use crate::plan::step::Plan;
use crate::sysfs::value::SyncAction;
use crate::sysfs::{ArrayDir, attr};

/// How often parity is built again because something was written or discarded meanwhile.
const ROUNDS: u32 = 5;
/// How long a recovery that was asked for may take to begin.
const BEGINS: Duration = Duration::from_millis(1500);
const PAUSE: Duration = Duration::from_millis(20);

/// How the bitmap is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Off {
    parity: bool,
    offset: i64,
    chunks: u64,
    chunk_bytes: u64,
}

/// Builds what parity is missing, or says what will differ.
///
/// # Errors
/// It could not be built; the bitmap is where it was.
pub(super) fn make_ready(running: &mut Running<'_>, facts: &Facts) -> Result<Option<Off>, Refusal> {
    let Now::Lockless(offset) = facts.now else { return Ok(None) };
    let parity = facts.level.is_some_and(Level::is_parity);
    let meta = running.array.sysfs.get(attr::LLBITMAP_METADATA);
    let number = |name: &str| meta.as_ref().and_then(|m| m.number(name));
    let on_disk = bitmap_super(facts, offset);
    let unreadable =
        || Refusal::new(format!("cannot read the lockless bitmap of {}; nothing was changed", facts.shown));
    let chunks = number("chunks").or_else(|| on_disk.as_ref().and_then(|sb| lockless::checked_chunks(sb).ok()));
    let sectors = number("chunksize").or_else(|| on_disk.as_ref().map(|sb| sb.chunksize().into()));
    let (chunks, sectors) = chunks.zip(sectors).ok_or_else(unreadable)?;
    let off = Off { parity, offset, chunks, chunk_bytes: sectors.saturating_mul(512) };
    if parity {
        off.build(running, facts)?;
    } else {
        off.tell(running, facts);
    }
    Ok(Some(off))
}

/// The states in the kernel's memory; `None` where it shows none (added to the running array).
fn states(sysfs: &ArrayDir) -> Option<StateCounts> {
    let lines = sysfs.get(attr::LLBITMAP_BITS)?;
    let mut counts = StateCounts::default();
    for state in ChunkState::ALL {
        counts.set(state, lines.number(state.name())?);
    }
    Some(counts)
}

/// Chunks whose parity may not be right.
fn unbuilt(counts: &StateCounts) -> u64 {
    use ChunkState::{NeedSync, NeedSyncUnwritten, Syncing, SyncingUnwritten, Unwritten};
    let not = [Unwritten, NeedSyncUnwritten, SyncingUnwritten, NeedSync, Syncing];
    not.into_iter().map(|s| counts.get(s)).sum::<u64>() + counts.invalid
}

impl Off {
    /// raid1 and raid10: copies that were never written need not be the same.
    fn tell(&self, running: &Running<'_>, facts: &Facts) {
        let counts = states(&running.array.sysfs).unwrap_or_else(|| self.on_disk(facts));
        let unwritten = super::bitmap_check::unwritten(&counts);
        if unwritten > 0 {
            let shown = &facts.shown;
            running.say(format!(
                "{} of {shown} were never written: their copies may differ, and a later check counts that; mdadm --action=repair \
                 {shown} makes them the same",
                size(unwritten.saturating_mul(self.chunk_bytes))
            ));
        }
    }

    /// Has the kernel build the parity of what was never written, until nothing is left.
    fn build(&self, running: &mut Running<'_>, facts: &Facts) -> Result<(), Refusal> {
        for round in 0..ROUNDS {
            let counts = states(&running.array.sysfs);
            match counts.as_ref().map(unbuilt) {
                Some(0) => return Ok(()),
                Some(n) => running.say(format!(
                    "building the parity of {} that was never written",
                    size(n.saturating_mul(self.chunk_bytes))
                )),
                None if round > 0 => return Ok(()),
                None => {}
            }
            if running.req.common.plan {
                running.shown.steps.extend(self.ask(running, facts).steps);
                return Ok(());
            }
            let ask = self.ask(running, facts);
            running.execute(&ask)?;
            settle(running);
        }
        let shown = &facts.shown;
        Err(Refusal::new(format!("the parity of {shown} is not complete, so its bitmap stays")).hint(format!(
            "new chunks are written to all the time, or the recovery fails: see mdadm --detail {shown}, and try again"
        )))
    }

    /// Unwritten chunks are marked, and become "need sync". The kernel's own `proactive_sync` would leave out most of a chunk
    /// (`plan::mark`).
    fn ask(&self, running: &Running<'_>, facts: &Facts) -> Plan {
        let all = || Plan { steps: vec![bitmap::set(facts, "bitmap_set_bits", self.all())] };
        match unwritten::marks(running.host, &running.array) {
            Some(marks) if marks.shown => marks.first,
            _ => all(),
        }
    }

    /// All chunks, as `bitmap_set_bits` takes them.
    fn all(&self) -> String {
        format!("0-{}", self.chunks.saturating_sub(1))
    }

    /// Takes it off, on raid4/5/6 with writes held off while it is looked at once more.
    ///
    /// # Errors
    /// The step that failed; what the bytes show afterwards and could not be resynced.
    pub(super) fn take_off(&self, running: &mut Running<'_>, facts: &Facts) -> Result<(), Refusal> {
        if !self.parity || running.req.common.plan {
            return running.execute_patiently(&bitmap::let_go(facts));
        }
        for _ in 0..ROUNDS {
            let held = HeldWrites::hold(running)?;
            if self.is_complete(running, facts) {
                let done = running.execute_patiently(&bitmap::let_go(facts));
                drop(held);
                done?;
                return self.resync_all(running, facts);
            }
            drop(held);
            self.build(running, facts)?;
        }
        Err(Refusal::new(format!(
            "chunks of {} are discarded or written anew all the time: its bitmap stays",
            facts.shown
        ))
        .hint("try again when less is written"))
    }

    /// With writes held off: is all parity there?
    fn is_complete(&self, running: &mut Running<'_>, facts: &Facts) -> bool {
        let complete = |c: &StateCounts| unbuilt(c) == 0;
        if states(&running.array.sysfs).is_some_and(|c| !complete(&c)) || !is_idle(&running.array.sysfs) {
            return false;
        }
        // What is marked is written out: the members' bytes are then what the kernel has in memory. And what was unwritten
        // makes a recovery begin.
        let mark = Plan { steps: vec![bitmap::set(facts, "bitmap_set_bits", self.all())] };
        if running.execute(&mark).is_err() {
            return false;
        }
        if let Some(counts) = states(&running.array.sysfs) {
            return complete(&counts);
        }
        let end = Instant::now() + BEGINS;
        while Instant::now() < end {
            if !is_idle(&running.array.sysfs) {
                return false;
            }
            std::thread::sleep(PAUSE);
        }
        true
    }

    /// The last that was written of the bitmap may leave chunks unwritten or unsynced, and the kernel leaves out parity when it
    /// builds it lazily or ahead (`plan::mark`): everything is resynced.
    fn resync_all(&self, running: &mut Running<'_>, facts: &Facts) -> Result<(), Refusal> {
        let active = facts.members.iter().filter(|m| m.active);
        let doubtful = active.map(|m| self.on(m).map_or(self.chunks, |counts| unbuilt(&counts))).max().unwrap_or(0);
        let why = match doubtful {
            0 => "the kernel may have left out parity that it built later".to_owned(),
            n => {
                format!("the bitmap's last bytes leave {} in doubt", size(n.saturating_mul(self.chunk_bytes)))
            }
        };
        running.say(format!("{why}: all parity is resynced"));
        resync(running, facts).map_err(|e| {
            let shown = &facts.shown;
            e.hint(format!(
                "the parity of {shown} may be wrong where it was never written: mdadm --action=repair {shown}"
            ))
        })
    }

    /// The states as they are on a member.
    fn on(&self, member: &Member) -> Option<StateCounts> {
        let device = RealDevice::open(&member.path, Access::Read).ok()?;
        lockless::count(&device, start(member, self.offset)?, self.chunks).ok()
    }

    /// The states as they are on the first active member.
    fn on_disk(&self, facts: &Facts) -> StateCounts {
        facts.members.iter().find(|m| m.active).and_then(|m| self.on(m)).unwrap_or_default()
    }
}

fn is_idle(sysfs: &ArrayDir) -> bool {
    matches!(sysfs.get(attr::SYNC_ACTION), None | Some(SyncAction::Idle))
}

/// A full resync, recorded in the superblocks: it goes on after a power cut.
fn resync(running: &mut Running<'_>, facts: &Facts) -> Result<(), Refusal> {
    let steps =
        [(attr::SYNC_ACTION.name(), "frozen"), (attr::RESYNC_START.name(), "0"), (attr::SYNC_ACTION.name(), "idle")];
    let steps = steps.into_iter().map(|(attr, value)| bitmap::set(facts, attr, value.into())).collect();
    running.execute(&Plan { steps })?;
    settle(running);
    Ok(())
}

/// Waits for the recovery that was asked for, with progress on a terminal.
pub(super) fn settle(running: &Running<'_>) {
    let end = Instant::now() + BEGINS;
    while is_idle(&running.array.sysfs) && Instant::now() < end {
        std::thread::sleep(PAUSE);
    }
    let name = &running.array.name;
    let show = !running.req.common.is_quiet() && std::io::stderr().is_terminal();
    let _ = wait::until_idle(running.host, &name.devname, &name.path, show, false);
}

/// Writes and discards wait while this exists.
struct HeldWrites {
    sysfs: ArrayDir,
}

impl HeldWrites {
    fn hold(running: &Running<'_>) -> Result<HeldWrites, Refusal> {
        let sysfs = running.array.sysfs.clone();
        let end = sysfs.size_sectors().unwrap_or(0).to_string();
        let held = HeldWrites { sysfs };
        let cannot = |e: &dyn std::fmt::Display| Refusal::new(format!("cannot hold writes off: {e}"));
        held.sysfs.store(attr::SUSPEND_LO, "0").map_err(|e| cannot(&e))?;
        held.sysfs.store(attr::SUSPEND_HI, &end).map_err(|e| cannot(&e))?;
        Ok(held)
    }
}

impl Drop for HeldWrites {
    fn drop(&mut self) {
        let _ = self.sysfs.store(attr::SUSPEND_HI, "0");
    }
}
