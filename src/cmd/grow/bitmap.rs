//! `--grow --bitmap`: the bitmap of a running array is put on, taken off or exchanged for another kind.
//!
//! The place of the new bitmap is clear of the old one where there is room. The kernel lets go of the old one, the new one is
//! written, and the kernel takes it. A power cut in between leaves an array without a bitmap, or with either: it starts, and
//! what was being written is resynced. If a step fails, the old bitmap is put back.

use super::bitmap_check::{self, Seen};
use super::bitmap_gather::{bitmap_super, facts};
use super::{Running, bitmap_off};
use crate::bitmap::header::{BitmapSuper, state};
use crate::cli::request::BitmapChoice;
use crate::cmd::print::complain;
use crate::error::Refusal;
use crate::output::lockless_cost;
use crate::plan::grow::bitmap::{self, Facts, NewPlace, Now};
use crate::plan::known_faults;
use crate::plan::step::Plan;
use crate::sysfs::attr;

/// Makes the change that was asked for.
pub(super) fn run(running: &mut Running<'_>) -> Result<(), Refusal> {
    let Some(to) = running.req.bitmap.clone() else { return Ok(()) };
    let facts = facts(running.host, &running.array);
    bitmap::check(&facts, &to, running.req.bitmap_chunk.is_some() || running.req.finest_chunk)?;
    let lockless_now = matches!(facts.now, Now::Lockless(_));
    if lockless_now && let Some((why, what_to_do)) = &facts.unsafe_because {
        let line = format!("cannot take the lockless bitmap off {} now: {why}", facts.shown);
        return Err(Refusal::new(line).hint(what_to_do.clone()));
    }
    if to == BitmapChoice::Lockless {
        let warned = known_faults::warning(&running.host.release(), facts.level, false, running.req.common.force > 0)?;
        warned.iter().for_each(|line| running.say(line));
    }
    let new = match to {
        BitmapChoice::None => None,
        _ => Some(bitmap::design(&facts, running.req, &to)?),
    };
    change(running, &facts, new.as_ref())
}

/// From the bitmap that is there to the new one, or to none.
pub(super) fn change(running: &mut Running<'_>, facts: &Facts, new: Option<&NewPlace>) -> Result<(), Refusal> {
    let old = old_bitmap(facts);
    // Lockless to lockless: what has no data has none afterwards too, and its chunks are clean then.
    let off = if matches!(facts.now, Now::Lockless(_)) { bitmap_off::make_ready(running, facts)? } else { None };
    let done = exchange(running, facts, new, off);
    match done {
        Ok(()) => Ok(()),
        Err(refusal) if running.req.common.plan => Err(refusal),
        Err(refusal) => Err(put_back(running, facts, old.as_ref(), refusal)),
    }
}

fn exchange(
    running: &mut Running<'_>,
    facts: &Facts,
    new: Option<&NewPlace>,
    off: Option<bitmap_off::Off>,
) -> Result<(), Refusal> {
    if let Some(place) = new.and_then(|n| n.lockless) {
        set_room(running, facts, place.room.into(), place.offset)?;
    }
    if facts.now != Now::None && now(running) != Now::None {
        match off {
            Some(off) => off.take_off(running, facts)?,
            None => running.execute_patiently(&bitmap::let_go(facts))?,
        }
    }
    let Some(new) = new else { return Ok(()) };
    let lockless = new.lockless.is_some();
    let what = if lockless {
        "bitmap superblock version 6 (lockless)"
    } else {
        "bitmap superblock version 4 and its bits, all set"
    };
    running.execute(&bitmap::write(facts, new, what, lockless))?;
    running.execute_patiently(&bitmap::take(facts, new.offset)).map_err(|e| in_words(e, lockless))?;
    if running.req.common.plan {
        return Ok(());
    }
    match new.lockless {
        Some(place) => {
            let seen = bitmap_check::lockless(&running.array, facts, new.offset)?;
            say_cost(running, facts, &seen, place.choice.chunk_sectors);
        }
        None => keep_room(running, new),
    }
    Ok(())
}

/// The bitmap's kind as it is now.
fn now(running: &Running<'_>) -> Now {
    facts(running.host, &running.array).now
}

fn in_words(refusal: Refusal, lockless: bool) -> Refusal {
    if refusal.lines.first().is_some_and(|l| l.contains("Device or resource busy")) && !lockless {
        return Refusal::new("Cannot add bitmap while array is resyncing or reshaping etc.");
    }
    refusal
}

/// The kernel keeps the room that a bitmap had for the next one, and chooses the chunk by it. It can be told another only
/// while there is an internal bitmap: where there is none, a small one is put on for a moment.
fn set_room(running: &mut Running<'_>, facts: &Facts, room: u64, offset: i64) -> Result<(), Refusal> {
    let set = Plan { steps: vec![bitmap::set(facts, attr::BITMAP_SPACE.name(), room.to_string())] };
    match facts.now {
        Now::Internal(_) if running.execute(&set).is_ok() => return Ok(()),
        Now::Lockless(_) if facts.room_in_force == room => return Ok(()),
        Now::None if bitmap::any_room_fits(facts, offset) => return Ok(()),
        _ => {}
    }
    if facts.now != Now::None {
        running.execute_patiently(&bitmap::let_go(facts))?;
    }
    let stone = bitmap::stone(facts, offset)?;
    running.execute(&bitmap::write(facts, &stone, "a bitmap of one bit, for a moment", false))?;
    running.execute_patiently(&bitmap::take(facts, offset))?;
    running.execute(&set)?;
    running.execute_patiently(&bitmap::let_go(facts))
}

/// Later growth must not take the room of a former bitmap for that of this one.
fn keep_room(running: &mut Running<'_>, new: &NewPlace) {
    let kept = running.array.sysfs.get(attr::BITMAP_SPACE).unwrap_or(0);
    let takes = (new.bytes.len() as u64).div_ceil(512);
    if kept > takes {
        let _ = running.array.sysfs.store(attr::BITMAP_SPACE, &takes.to_string());
    }
}

fn say_cost(running: &Running<'_>, facts: &Facts, seen: &Seen, planned: u64) {
    if seen.chunk_sectors != planned {
        let (asked, got) = (planned / 2, seen.chunk_sectors / 2);
        complain(format!("the kernel chose chunks of {got}K where {asked}K were expected"));
    }
    let cost = lockless_cost::line(seen.chunks, seen.chunk_sectors, seen.block_bytes);
    running.say(format!("{} has a lockless bitmap now: {cost}", facts.shown));
    if let Some(seconds) = running.req.delay {
        let shown = &facts.shown;
        running.say(format!(
            "until its next assembly the kernel keeps to its own delay; then: mdadm --grow {shown} --delay={seconds}"
        ));
    }
}

/// The bitmap that was there, to be put back.
fn old_bitmap(facts: &Facts) -> Option<NewPlace> {
    let (Now::Internal(offset) | Now::Lockless(offset)) = facts.now else { return None };
    let sb = bitmap_super(facts, offset)?;
    let lockless = matches!(facts.now, Now::Lockless(_));
    let mut sb_new = sb.clone();
    sb_new.set_events(0);
    if lockless {
        sb_new.set_state(state::FIRST_USE | state::CLEAN);
    } else {
        sb_new.set_state(0);
    }
    let len = if lockless { 4096 } else { bits_bytes(&sb)? };
    let mut bytes = sb_new.bytes().to_vec();
    bytes.resize(len.next_multiple_of(4096), if lockless { 0 } else { 0xff });
    Some(NewPlace { offset, bytes, lockless: None })
}

fn bits_bytes(sb: &BitmapSuper) -> Option<usize> {
    usize::try_from(crate::bitmap::bits::bitmap_bytes(sb.chunks().ok()?)).ok().filter(|n| *n <= 16 << 20)
}

/// A step failed: the array goes on with the bitmap it had.
fn put_back(running: &mut Running<'_>, facts: &Facts, old: Option<&NewPlace>, refusal: Refusal) -> Refusal {
    let shown = &facts.shown;
    if now(running) == facts.now && facts.now != Now::None {
        return refusal.hint(format!("{shown} runs on with the bitmap it had"));
    }
    if now(running) != Now::None
        && let Err(e) = running.execute_patiently(&bitmap::let_go(facts))
    {
        return refusal.hints(e.lines).hint(format!("see what it has now: mdadm --detail {shown}"));
    }
    let Some(old) = old else { return refusal.hint(format!("{shown} runs on without a bitmap, as before")) };
    let lockless = matches!(facts.now, Now::Lockless(_));
    let put = running
        .execute(&bitmap::write(facts, old, "the bitmap that was there", lockless))
        .and_then(|()| running.execute_patiently(&bitmap::take(facts, old.offset)));
    match put {
        Ok(()) => refusal.hint(format!("{shown} runs on with the kind of bitmap it had")),
        Err(e) => refusal.hints(e.lines).hint(format!(
            "{shown} runs on without a bitmap: mdadm --grow {shown} --bitmap={}",
            if lockless { "lockless" } else { "internal" }
        )),
    }
}
