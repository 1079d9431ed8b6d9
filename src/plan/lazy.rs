//! The member of a lazy recovery: it looks as if it were being rebuilt, and holds all its data.
//!
//! A write to an unwritten chunk of a raid4/5/6 with a lockless bitmap makes the kernel (7.2, `mddev_select_lazy_recover_rdev`
//! in md.c) recover the member of the highest slot, to build the parity: it takes In_sync from it, and a superblock written
//! then has a recovery offset. After a power cut the array is dirty with one member "rebuilding", which the kernel refuses
//! to start; forced, it recovers that member from parity that may be behind. docs/design-notes.md has the story.
#![forbid(unsafe_code)]

use crate::level::Level;
use crate::superblock::v1::{Role, SuperV1, feature};

/// Which of `members` (all of one array, all of equal events) is the one of a lazy recovery, if there is one and no doubt.
///
/// It must be put back in sync ([`put_in_sync`]) before the start, so that parity is resynced from its data.
/// A member that is really being rebuilt is told apart by its device number: a spare that was added has one past the slots.
/// An old member that was re-added keeps its number, but is recovered by the bitmap (`RECOVERY_BITMAP`).
#[must_use]
pub fn lazily_recovered(members: &[&SuperV1], lockless: bool) -> Option<usize> {
    let (index, member) = members.iter().enumerate().find(|(_, m)| m.has(feature::RECOVERY_OFFSET))?;
    let redundant = matches!(Level::from_raw(member.level_raw()), Some(Level::Raid4 | Level::Raid5 | Level::Raid6));
    let full = members.iter().filter(|m| matches!(m.role(), Role::Slot(_))).count();
    let others_in_sync = members.iter().enumerate().all(|(n, m)| n == index || !m.has(feature::RECOVERY_OFFSET));
    let last = member.raid_disks().checked_sub(1)?;
    let from_the_start = member.dev_number() == last && member.role() == Role::Slot(u16::try_from(last).ok()?);
    let kinds = feature::RECOVERY_BITMAP | feature::REPLACEMENT | feature::RESHAPE_ACTIVE | feature::JOURNAL;
    let plain = member.feature_map() & kinds == 0;
    let complete = u32::try_from(full).is_ok_and(|full| full == member.raid_disks());
    (lockless && redundant && others_in_sync && from_the_start && plain && complete).then_some(index)
}

/// Takes the recovery offset from a superblock and renews its checksum.
pub fn put_in_sync(member: &mut SuperV1) {
    member.set_feature_map(member.feature_map() & !(feature::RECOVERY_OFFSET | feature::RECOVERY_BITMAP));
    member.set_recovery_offset(0);
    member.update_csum();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three members of a raid5, the last with a recovery offset.
    fn array() -> Vec<SuperV1> {
        (0..3u16)
            .map(|slot| {
                let mut member = SuperV1::empty();
                member.set_level_raw(5);
                member.set_raid_disks(3);
                member.set_max_dev(4);
                member.set_dev_number(slot.into());
                member.put_role(slot.into(), Role::Slot(slot));
                member.set_feature_map(feature::BITMAP_OFFSET | if slot == 2 { feature::RECOVERY_OFFSET } else { 0 });
                member.set_recovery_offset(if slot == 2 { u64::MAX } else { 0 });
                member
            })
            .collect()
    }

    type Change = fn(&mut Vec<SuperV1>);

    fn found(members: &[SuperV1]) -> Option<usize> {
        lazily_recovered(&members.iter().collect::<Vec<_>>(), true)
    }

    #[test]
    fn the_member_of_the_highest_slot_with_the_number_of_its_slot_is_found_and_put_in_sync() {
        let mut members = array();
        assert_eq!(found(&members), Some(2));
        put_in_sync(&mut members[2]);
        assert_eq!((members[2].feature_map(), members[2].recovery_offset()), (feature::BITMAP_OFFSET, 0));
        assert_eq!(members[2].sb_csum(), members[2].computed_csum());
        assert_eq!(found(&members), None);
    }

    #[test]
    fn a_member_that_may_really_be_rebuilt_is_left_alone() {
        let doubts: [(&str, Change); 6] = [
            ("an added spare", |m| {
                m[2].set_dev_number(3);
                m[2].put_role(3, Role::Slot(2));
            }),
            ("re-added", |m| m[2].set_feature_map(feature::RECOVERY_OFFSET | feature::RECOVERY_BITMAP)),
            ("not the highest slot", |m| m.iter_mut().for_each(|m| m.set_raid_disks(4))),
            ("another one is missing", |m| drop(m.remove(0))),
            ("two of them", |m| m[0].set_feature_map(feature::RECOVERY_OFFSET)),
            ("no parity", |m| m[2].set_level_raw(1)),
        ];
        for (what, change) in doubts {
            let mut members = array();
            change(&mut members);
            assert_eq!(found(&members), None, "{what}");
        }
        assert_eq!(lazily_recovered(&array().iter().collect::<Vec<_>>(), false), None, "no lockless bitmap");
    }
}
