//! Why an inactive array does not run.

use crate::level::Level;

/// One member of an inactive array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// Its path or kernel name.
    pub device: String,
    /// Its slot; none for spares, or where its superblock cannot be read.
    pub slot: Option<u32>,
    /// Its events; none where its superblock cannot be read.
    pub events: Option<u64>,
    /// Why its superblock does not count.
    pub problem: Option<String>,
}

/// The reasons, one sentence each, and what to do next.
///
/// `enough` tells whether these slots suffice, as the level and layout say.
#[must_use]
pub fn why_not_started(
    array: &str,
    level: Option<Level>,
    raid_disks: u32,
    present: &[Present],
    enough: impl Fn(&[bool]) -> bool,
) -> (Vec<String>, String) {
    let mut reasons: Vec<String> =
        present.iter().filter_map(|p| Some(format!("{}: {}", p.device, p.problem.as_ref()?))).collect();
    let newest = present.iter().filter_map(|p| p.events).max().unwrap_or(0);
    let fresh = |p: &&Present| p.problem.is_none() && p.events.is_some_and(|e| e.saturating_add(1) >= newest);
    for p in present.iter().filter(|p| p.problem.is_none() && p.slot.is_some() && !fresh(p)) {
        let events = p.events.unwrap_or(0);
        reasons.push(format!("{} is out of date: events {events}, the newest have {newest}", p.device));
    }
    let slots = usize::try_from(raid_disks).unwrap_or(0).min(4096);
    let mut here = vec![false; slots];
    for slot in present.iter().filter(fresh).filter_map(|p| p.slot) {
        if let Some(h) = usize::try_from(slot).ok().and_then(|s| here.get_mut(s)) {
            *h = true;
        }
    }
    let count = here.iter().filter(|h| **h).count();
    let name = level.map_or("array", Level::name);
    let all = count == slots && slots > 0;
    if all {
        reasons.push(format!("all {slots} members are here, but nothing has started the array"));
        return (reasons, format!("mdadm --run {array}"));
    }
    let missing: Vec<String> =
        here.iter().enumerate().filter(|(_, h)| !**h).map(|(i, _)| i.to_string()).take(16).collect();
    let missing = missing.join(", ");
    if enough(&here) {
        reasons.push(format!(
            "{count} of {slots} up-to-date members are here (missing: slot {missing}), enough to run this {name} degraded"
        ));
        (reasons, format!("mdadm --run {array}"))
    } else {
        reasons.push(format!(
            "{count} of {slots} up-to-date members are here (missing: slot {missing}), not enough for this {name}"
        ));
        (reasons, format!("mdadm --incremental each missing member, or mdadm --stop {array}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(n: u32, events: u64) -> Present {
        Present { device: format!("/dev/sd{n}"), slot: Some(n), events: Some(events), problem: None }
    }

    fn why(present: &[Present]) -> (Vec<String>, String) {
        why_not_started("/dev/md0", Some(Level::Raid5), 3, present, |h| h.iter().filter(|h| !**h).count() <= 1)
    }

    #[test]
    fn too_few_members_are_counted_and_the_missing_slots_named() {
        let (reasons, _) = why(&[member(1, 7)]);
        assert_eq!(reasons, ["1 of 3 up-to-date members are here (missing: slot 0, 2), not enough for this raid5"]);
    }

    #[test]
    fn a_member_out_of_date_is_named_and_does_not_count() {
        let (reasons, _) = why(&[member(0, 7), member(1, 20)]);
        assert_eq!(reasons[0], "/dev/sd0 is out of date: events 7, the newest have 20");
        assert!(reasons[1].starts_with("1 of 3 "), "{reasons:?}");
    }

    #[test]
    fn enough_members_only_need_the_command() {
        let (reasons, hint) = why(&[member(0, 7), member(1, 7)]);
        assert!(reasons[0].contains("enough to run this raid5 degraded"), "{reasons:?}");
        assert_eq!(hint, "mdadm --run /dev/md0");
        assert_eq!(
            why(&[member(0, 7), member(1, 7), member(2, 8)]).0,
            ["all 3 members are here, but nothing has started the array"]
        );
    }

    #[test]
    fn absurd_numbers_from_disk_do_no_harm() {
        let odd = Present { slot: Some(u32::MAX), events: Some(u64::MAX - 1), ..member(0, 0) };
        let (reasons, _) = why_not_started("md0", None, u32::MAX, &[odd], |_| false);
        assert!(!reasons.is_empty() && reasons.iter().all(|r| r.len() < 200));
    }
}
