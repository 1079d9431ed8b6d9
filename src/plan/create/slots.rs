//! Who gets which slot and number, and whether the array starts as clean.

use crate::level::Level;
pub use crate::plan::redundancy::enough;

/// A listed device with its place in the array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assigned {
    /// Index in the list of devices.
    pub index: usize,
    /// Its number in the role table.
    pub number: u32,
    /// Its slot; `None` for a spare, and for the journal.
    pub slot: Option<u32>,
    /// It is the journal.
    pub journal: bool,
}

/// All devices in the order in which they are written and added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slots {
    /// Devices with their places.
    pub assigned: Vec<Assigned>,
    /// Entries that the role table needs.
    pub numbers: u32,
    /// Nothing needs a resync.
    pub clean: bool,
}

/// Gives slots and numbers as the reference does.
///
/// A new raid4 or raid5 with all members starts degraded, its last member as a spare that is rebuilt (faster than a
/// resync); a raid6 with one member missing likewise, since the kernel does not start a dirty degraded one.
/// `in_place` (`--force`, or a lockless bitmap, which builds parity when data is written) and `assume_clean` prevent that.
/// `journal` is its place in the list. Where it stands before the last member, that is not the one that is rebuilt, but the one
/// before it: the reference counts places in the list.
#[must_use]
pub fn assign(
    level: Level,
    raid_disks: u32,
    present: &[bool],
    journal: Option<usize>,
    in_place: bool,
    assume_clean: bool,
) -> Slots {
    let disks = usize::try_from(raid_disks).unwrap_or(usize::MAX);
    let slot = |i: usize| match journal {
        Some(j) if i == j => None,
        Some(j) => Some(i - usize::from(i > j)).filter(|s| *s < disks),
        None => Some(i).filter(|s| *s < disks),
    };
    let missing: Vec<usize> =
        present.iter().enumerate().filter(|(i, p)| slot(*i).is_some() && !**p).map(|(i, _)| i).collect();
    let last = disks.saturating_sub(1);
    let moved = match level {
        _ if in_place || assume_clean => None,
        Level::Raid4 | Level::Raid5 if missing.is_empty() => Some(last),
        Level::Raid6 => match missing.as_slice() {
            [one] if *one == last => Some(last.saturating_sub(1)),
            [_] => Some(last),
            _ => None,
        },
        _ => None,
    };
    let moved = moved.map(|i| if journal == Some(i) { i + 1 } else { i }).filter(|i| slot(*i).is_some());
    let at = |index: usize, number: usize, slot: Option<usize>| Assigned {
        index,
        number: u32::try_from(number).unwrap_or(u32::MAX),
        slot: slot.and_then(|s| u32::try_from(s).ok()),
        journal: journal == Some(index),
    };
    let mut assigned: Vec<Assigned> =
        present.iter().enumerate().filter(|(i, p)| **p && Some(*i) != moved).map(|(i, _)| at(i, i, slot(i))).collect();
    if let Some(i) = moved {
        assigned.push(at(i, present.len(), None));
    }
    let clean = assume_clean
        || match level {
            Level::Raid4 | Level::Raid5 => moved.is_some() || !missing.is_empty(),
            Level::Raid6 => moved.is_some() || missing.len() > 1,
            _ => !level.is_redundant(),
        };
    let numbers = u32::try_from(present.len() + usize::from(moved.is_some())).unwrap_or(u32::MAX);
    Slots { assigned, numbers, clean }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_raid5_rebuilds_its_last_member_as_a_spare() {
        let s = assign(Level::Raid5, 3, &[true; 4], None, false, false);
        let places: Vec<_> = s.assigned.iter().map(|a| (a.index, a.number, a.slot)).collect();
        assert_eq!(places, [(0, 0, Some(0)), (1, 1, Some(1)), (3, 3, None), (2, 4, None)]);
        assert!(s.clean);
    }

    #[test]
    fn in_place_keeps_all_members_in_sync_and_the_array_dirty() {
        let s = assign(Level::Raid5, 3, &[true; 3], None, true, false);
        assert_eq!(s.assigned.iter().filter(|a| a.slot.is_some()).count(), 3);
        assert!(!s.clean);
    }

    #[test]
    fn a_raid6_with_one_member_missing_rebuilds_another() {
        let s = assign(Level::Raid6, 5, &[true, true, false, true, true], None, false, false);
        assert_eq!(s.assigned.last(), Some(&Assigned { index: 4, number: 5, slot: None, journal: false }));
        assert!(s.clean);
        let s = assign(Level::Raid6, 5, &[true, true, true, true, false], None, false, false);
        assert_eq!(s.assigned.last(), Some(&Assigned { index: 3, number: 5, slot: None, journal: false }));
    }

    #[test]
    fn a_journal_before_the_members_moves_the_one_that_is_rebuilt() {
        let s = assign(Level::Raid5, 3, &[true; 5], Some(0), false, false);
        let places: Vec<_> = s.assigned.iter().map(|a| (a.number, a.slot, a.journal)).collect();
        let want = [(0, None, true), (1, Some(0), false), (3, Some(2), false), (4, None, false), (5, None, false)];
        assert_eq!(places, want);
        assert_eq!((s.assigned[4].index, s.numbers), (2, 6));
        // the reference takes another member away from an array whose last one is missing, and it cannot start
        let s = assign(Level::Raid5, 3, &[true, true, true, false], Some(0), false, false);
        assert_eq!(s.assigned.iter().filter(|a| a.slot.is_some()).count(), 2);
        for (at, rebuilt) in [(1, 2), (2, 3), (3, 2), (4, 2)] {
            let s = assign(Level::Raid5, 3, &[true; 5], Some(at), false, false);
            assert_eq!(s.assigned.last().unwrap().index, rebuilt, "{at}");
            assert_eq!(s.assigned.iter().filter(|a| a.slot.is_some()).count(), 2, "{at}");
            assert_eq!(s.assigned.iter().filter(|a| a.journal).count(), 1, "{at}");
        }
    }

    #[test]
    fn levels_know_how_many_members_they_need() {
        assert!(enough(Level::Raid5, 2, &[true, false, true]) && !enough(Level::Raid5, 2, &[true, false, false]));
        assert!(enough(Level::Raid10, 0x102, &[true, false, true, false]));
        assert!(!enough(Level::Raid10, 0x102, &[true, true, false, false]));
        assert!(!enough(Level::Raid10, 0x201, &[true, false, false, true]));
        assert!(enough(Level::Raid10, 0x201, &[true, false, true, false]));
    }
}
