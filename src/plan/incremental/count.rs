//! How many members are there of those that the array had.

use crate::level::Level;
use crate::plan::assemble::rank::{Ranking, Verdict};
use crate::plan::create::slots::enough;
use crate::superblock::reshape::{Reshape, all_slots};
use crate::superblock::v1::{Role, SuperV1};

/// Members that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// In sync, each in its slot.
    pub there: usize,
    /// Rebuilt in part, and replacements.
    pub rebuilding: usize,
    /// Devices that had a slot when the array last ran, replacements included.
    pub known: usize,
    /// The level can do with those that are there.
    pub able: bool,
    /// Parity may be behind, and a member that it stands for is missing: the kernel starts no such array.
    pub dirty: bool,
}

impl Count {
    /// Nobody is missing who was there last time.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.there + self.rebuilding >= self.known
    }
}

/// Whether all data can be read: `active` says of each slot, those of before and after a reshape, whether its member is there.
#[must_use]
pub fn able(sb: &SuperV1, active: &[bool]) -> bool {
    let Some(level) = Level::from_raw(sb.level_raw()) else { return false };
    let first = |n: u32| active.get(..usize::try_from(n).unwrap_or(0)).unwrap_or(active);
    match Reshape::of(sb) {
        Ok(Some(r)) => [r.old, r.new].iter().all(|a| enough(level, a.layout, first(a.slots))),
        _ => enough(level, sb.layout(), active),
    }
}

/// Counts by the superblock of the freshest member.
#[must_use]
pub fn count(sb: &SuperV1, ranking: &Ranking) -> Count {
    let disks = all_slots(sb);
    let active = ranking.active(disks);
    let there = active.iter().filter(|a| **a).count();
    let level = Level::from_raw(sb.level_raw());
    let unclean = sb.resync_offset() != u64::MAX && !sb.has_ppl() && level.is_some_and(Level::is_parity);
    Count {
        there,
        rebuilding: ranking.count(|v| matches!(v, Verdict::Rebuilding(_) | Verdict::Replacement(_))),
        known: sb.roles().iter().filter(|r| matches!(r, Role::Slot(s) if u32::from(*s) < disks)).count(),
        able: there > 0 && able(sb, &active),
        dirty: unclean && active.contains(&false),
    }
}
