//! A member that comes when its array runs already: whether it holds what the array held at its start.
//!
//! A member is not safe because the kernel takes it (docs/lockless.md, fault 4). It is safe where nothing has changed since it was
//! written last: its events are those of the members that run; or the array was started with its events, nothing was rebuilt
//! since, and the bitmap has what was written.

use super::add::Running;
use super::readd::{LogLine, Verdict, breaks, is_about, judge};
use super::{ArrayFacts, Member};
use crate::superblock::v1::{Role, SuperV1, feature};
use crate::units::Sectors;

const MARK: &str = " starts with events ";

/// What is written into the kernel log before an array starts.
#[must_use]
pub fn start_mark(devname: &str, events: u64) -> String {
    format!("mdadm: {devname}{MARK}{events}")
}

/// Whether a line that a program wrote into the kernel log is such a mark.
#[must_use]
pub fn is_start_mark(text: &str) -> bool {
    mark_of(text).is_some()
}

fn mark_of(text: &str) -> Option<(&str, u64)> {
    let (devname, events) = text.strip_prefix("mdadm: ")?.split_once(MARK)?;
    Some((devname, events.parse().ok()?))
}

/// Whether the array was started with the member's events, and has rebuilt nothing since.
///
/// # Errors
/// Why that is not proven.
pub fn since_start(log: &[LogLine], devname: &str, events: u64) -> Result<(), String> {
    let mark = |l: &LogLine| mark_of(&l.text).filter(|(name, _)| *name == devname).map(|(_, events)| events);
    let Some((at, with)) = log.iter().enumerate().rev().find_map(|(at, l)| Some((at, mark(l)?))) else {
        return Err("the kernel log does not tell how the array was started".into());
    };
    if with != events {
        return Err(format!("it has missed writes: its events are {events}, the array was started with {with}"));
    }
    let mut started = false;
    for line in log.iter().skip(at).filter(|l| is_about(&l.text, devname)) {
        let this_start = line.text.contains("active with ") && !started;
        started |= this_start;
        match breaks(&line.text) {
            Some(why) if !this_start => return Err(why.to_owned()),
            _ => {}
        }
    }
    Ok(())
}

/// Judges a member that comes late; `log` proves the rest as for `--re-add`.
#[must_use]
pub fn judge_late(
    array: &ArrayFacts,
    running: &Running,
    former: &SuperV1,
    size: Sectors,
    log: impl FnOnce() -> Result<(), String>,
) -> Verdict {
    let verdict = judge(array, running, former, size, log);
    if let Verdict::Proven(slot) | Verdict::Unproven(slot, _) | Verdict::NoBitmap(slot) = &verdict
        && !knows_all(array, former)
    {
        return Verdict::Unproven(*slot, "it was written to without the others, which it holds failed".into());
    }
    match (&verdict, same_moment(running, former)) {
        // Without a bitmap it is rebuilt fully, by a kernel that knows what it is.
        (Verdict::Unproven(slot, _) | Verdict::NoBitmap(slot), true) => Verdict::Proven(*slot),
        _ => verdict,
    }
}

/// The member that runs as what this device was: it is a copy of it, as a cloned disk has.
#[must_use]
pub fn in_its_place<'a>(array: &'a ArrayFacts, former: &SuperV1) -> Option<&'a Member> {
    let slot = match former.role() {
        Role::Slot(slot) => Some(u32::from(slot)),
        _ => None,
    };
    let is_it = |m: &&Member| !m.faulty && !m.journal && m.number == Some(former.dev_number()) && m.slot == slot;
    array.members.iter().filter(|_| slot.is_some()).find(is_it)
}

/// Whether all members in sync have their places for it too. One that has run without them has data of its own, whatever its
/// events are.
fn knows_all(array: &ArrayFacts, former: &SuperV1) -> bool {
    array.members.iter().filter(|m| m.in_sync && !m.faulty && !m.journal).all(|m| match (m.number, m.slot) {
        (Some(number), Some(slot)) => matches!(former.role_at(number), Role::Slot(s) if u32::from(s) == slot),
        _ => true,
    })
}

/// The members that run were not written to since this one left: they have its events, and it has its place.
fn same_moment(running: &Running, former: &SuperV1) -> bool {
    let sb = &running.sb;
    let shape = |s: &SuperV1| (s.level_raw(), s.layout(), s.chunksize(), s.raid_disks(), s.size(), s.bitmap_offset());
    let partly = [feature::RECOVERY_OFFSET, feature::RECOVERY_BITMAP, feature::REPLACEMENT, feature::RESHAPE_ACTIVE];
    former.events() == sb.events()
        && shape(former) == shape(sb)
        && matches!(former.role(), Role::Slot(_))
        && sb.role_at(former.dev_number()) == former.role()
        && !partly.iter().any(|f| former.has(*f))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn log(lines: &[&str]) -> Vec<LogLine> {
        lines.iter().map(|text| LogLine { at: 0, text: (*text).to_owned() }).collect()
    }

    #[test]
    fn a_member_with_the_events_of_the_start_has_missed_only_what_the_bitmap_knows() {
        let mark = start_mark("md127", 17);
        let active = "md/raid1:md127: active with 1 out of 2 mirrors";
        let proven = |lines: &[&str], events| since_start(&log(lines), "md127", events);
        assert_eq!(proven(&["boot", &mark, active], 17), Ok(()));
        assert_eq!(proven(&["md: recovery of RAID array md127", &mark, active], 17), Ok(()));
        let other = start_mark("md12", 3);
        assert_eq!(proven(&[&mark, active, &other, "md: recovery of RAID array md12"], 17), Ok(()));
        assert!(proven(&[&mark, active], 16).unwrap_err().contains("missed writes"));
        assert!(proven(&[active], 17).unwrap_err().contains("does not tell"));
        assert!(proven(&[&mark, active, "md: recovery of RAID array md127"], 17).unwrap_err().contains("rebuilt"));
        assert!(proven(&[&mark, active, "md: md127 stopped.", active], 17).unwrap_err().contains("stopped"));
        assert!(proven(&[&mark, active, active], 17).unwrap_err().contains("started"));
        let again = start_mark("md127", 19);
        assert!(proven(&[&mark, active, &again, active], 17).unwrap_err().contains("missed writes"));
        assert!(is_start_mark(&mark) && !is_start_mark(active) && !is_start_mark("mdadm: md1 starts with events x"));
    }
}
