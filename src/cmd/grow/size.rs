//! `--grow --size` and `--array-size`.
//!
//! The kernel must not choose another chunk for a lockless bitmap while it grows, nor need more pages: then the bitmap is
//! taken off without loss, the array grows and is resynced, and a new one is put on.

use std::io::IsTerminal;

use super::{Running, bitmap, bitmap_gather, gather};
use crate::bitmap::lockless::{self, ChunkState};
use crate::cli::request::BitmapChoice;
use crate::cmd::wait;
use crate::device::real::{Access, RealDevice};
use crate::error::{Refusal, errno_text};
use crate::plan::create::sizing::sync_sectors;
use crate::plan::grow::bitmap::{Facts, Now, design};
use crate::plan::grow::shape::Shape;
use crate::plan::grow::size::{self, SizeChange};
use crate::plan::step::{Plan, Step};
use crate::superblock::Version;
use crate::superblock::v1::Minor;
use crate::units::Sectors;

/// `--array-size`
pub(super) fn array_size(running: &mut Running<'_>) -> Result<(), Refusal> {
    let Some(to) = running.req.array_size else { return Ok(()) };
    let shape = gather::shape(running)?;
    let plan = size::array_size(&shape, to);
    running.execute(&plan).map_err(|e| {
        let too_much = e.lines.iter().any(|l| l.contains(&errno_text(libc::E2BIG)));
        let most = shape.array_kib(shape.size);
        if too_much {
            Refusal::new("--array-size setting is too large.").hint(match most {
                0 => "see mdadm --detail for what there is".into(),
                kib => format!("{} has {kib}K", shape.shown),
            })
        } else {
            e
        }
    })
}

/// `--size`
pub(super) fn run(running: &mut Running<'_>) -> Result<(), Refusal> {
    let shape = gather::shape(running)?;
    size::check(&shape, running.req)?;
    let used = gather::contents(running);
    let Some(change) = size::plan(&shape, running.req, &used)? else {
        running.say(format!("{}: no change requested", shape.shown));
        return Ok(());
    };
    let facts = bitmap_gather::facts(running.host, &running.array);
    match facts.now {
        Now::Lockless(_) if change.grows() && !stays(&facts, &shape, &change) => {
            without_bitmap(running, facts, &shape, change)
        }
        _ => resize(running, &shape, &change),
    }
}

/// What the bitmap covers when this much is used of each member.
fn covered(shape: &Shape, kib: u64) -> Sectors {
    sync_sectors(shape.level, shape.layout, shape.chunk, shape.slots, Sectors(kib.saturating_mul(2)))
}

/// Whether a lockless bitmap can stay on: see [`size::lockless_stays`], and no state behind the last is set on any member.
fn stays(facts: &Facts, shape: &Shape, change: &SizeChange) -> bool {
    let Now::Lockless(offset) = facts.now else { return true };
    let Some(sb) = bitmap_gather::bitmap_super(facts, offset) else { return false };
    let room = match facts.version {
        Some(Version::V1(Minor::V0)) => i32::try_from(offset).ok().and_then(lockless::room_v1_0).map_or(0, u64::from),
        _ => facts.room_in_force,
    };
    let (from, to) = (covered(shape, change.from).0, covered(shape, change.to).0);
    let Some((first, end)) = size::lockless_stays(room, sb.chunksize().into(), from, to) else { return false };
    let unwritten = |path: &std::path::Path, start: u64| {
        let device = RealDevice::open(path, Access::Read).ok()?;
        let counts = lockless::count(&device, start + first, end - first).ok()?;
        Some(counts.get(ChunkState::Unwritten) == end - first)
    };
    let mut active = facts.members.iter().filter(|m| m.active);
    active.all(|m| bitmap_gather::start(m, offset).and_then(|at| unwritten(&m.path, at)) == Some(true))
}

/// Changes the size, sync actions held back meanwhile, and says what came of it.
fn resize(running: &mut Running<'_>, shape: &Shape, change: &SizeChange) -> Result<(), Refusal> {
    running.execute(&shape.freeze(true))?;
    let done = running.execute(&change.plan);
    let thawed = running.execute(&shape.freeze(false));
    done.map_err(|e| in_words(shape, e)).and(thawed)?;
    let now = if running.req.common.plan { change.to } else { gather::shape(running)?.size };
    running.say(match now == change.from {
        true => format!("component size of {} unchanged at {now}K", shape.shown),
        false => format!("component size of {} has been set to {now}K", shape.shown),
    });
    Ok(())
}

/// The reference's line where the kernel refuses.
fn in_words(shape: &Shape, refusal: Refusal) -> Refusal {
    let errno = [libc::EBUSY, libc::EINVAL, libc::ENOSPC, libc::EROFS, libc::ENOMEM];
    let said = |e: &&i32| refusal.lines.iter().any(|l| l.contains(&errno_text(**e)));
    let Some(errno) = errno.iter().find(said) else { return refusal };
    let line = format!("Cannot set device size for {}: {}", shape.shown, errno_text(*errno));
    Refusal::new(line).hints(refusal.lines)
}

/// Off, grow, resync, on.
fn without_bitmap(running: &mut Running<'_>, facts: Facts, shape: &Shape, change: SizeChange) -> Result<(), Refusal> {
    let shown = shape.shown.clone();
    if let Some((why, what_to_do)) = &facts.unsafe_because {
        let line = format!("cannot take the lockless bitmap off {shown} now, which it cannot grow with: {why}");
        return Err(Refusal::new(line).hint(what_to_do.clone()));
    }
    let again = format!("mdadm --grow {shown} --bitmap=lockless");
    let mut after = facts.clone();
    after.now = Now::None;
    after.room_in_force = 0;
    (after.size, after.sync) = (Sectors(change.to.saturating_mul(2)), covered(shape, change.to));
    // That there is room for it is known before anything is done.
    let new = design(&after, running.req, &BitmapChoice::Lockless)?;
    running.say(format!(
        "the kernel cannot grow {shown} with its lockless bitmap: that is taken off, and another one is put on when what is \
         new is in sync; if this is interrupted: mdadm --wait {shown}; {again}"
    ));
    bitmap::change(running, &facts, None)?;
    // Its metadata cannot move with a bitmap, and could not have.
    let grown = resize(running, shape, &change);
    if grown.is_ok() {
        in_sync(running, &shown);
    }
    let now = if running.req.common.plan { after } else { bitmap_gather::facts(running.host, &running.array) };
    let new = if running.req.common.plan { Ok(new) } else { design(&now, running.req, &BitmapChoice::Lockless) };
    let put = new.and_then(|new| match &now.unsafe_because {
        Some((why, _)) if !running.req.common.plan => Err(Refusal::new(format!("{shown}: {why}"))),
        _ => bitmap::change(running, &now, Some(&new)),
    });
    match (grown, put) {
        (Ok(()), put) => put.map_err(|e| e.hint(format!("{shown} has grown and has no bitmap now: {again}"))),
        (Err(e), Ok(())) => Err(e),
        (Err(e), Err(other)) => Err(e.hints(other.lines).hint(again)),
    }
}

/// Waits for the resync of what is new.
fn in_sync(running: &mut Running<'_>, shown: &str) {
    if running.req.common.plan {
        let what = format!("resyncs what is new of {shown}, which is waited for");
        let _ = running.execute(&Plan { steps: vec![Step::Kernel { what }] });
        return;
    }
    let name = &running.array.name;
    let show = !running.req.common.is_quiet() && std::io::stderr().is_terminal();
    let _ = wait::until_idle(running.host, &name.devname, &name.path, show, false);
}
