//! What happened to the arrays: a pure function of what was seen before and what is seen now.
//!
//! The events, their names and order are the reference's (mdadm(8), MONITOR MODE, and what 4.6 was seen to do). Where it
//! raises false alarms or misses one, docs/compat.md says what is told instead.
#![forbid(unsafe_code)]

mod change;
pub mod event;
pub mod health;
pub mod spares;
#[cfg(test)]
mod tests;
mod watch;

pub use event::{Event, Priority, Subject, What};
pub use watch::{Memory, Rules, Wanted, Watch, Watched};

use crate::level::Level;
use crate::uuid::Uuid;

/// More slots than any array has.
const MAX_SLOTS: u32 = 4096;

/// One array at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Array {
    /// Kernel name: `md0`.
    pub devname: String,
    /// Its uuid, where it is known.
    pub uuid: Option<Uuid>,
    /// The level, where it is a known one.
    pub level: Option<Level>,
    /// Slots.
    pub raid_disks: u32,
    /// Slots without data that is complete, as the kernel counts them.
    pub degraded: u32,
    /// The members, in no order.
    pub members: Vec<Member>,
    /// What runs or waits.
    pub sync: Option<Sync>,
    /// Sectors that the last check or repair found to differ.
    pub mismatches: u64,
    /// Read-only, or not written to yet: nothing is rebuilt.
    pub readonly: bool,
}

/// One member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// Kernel name: `sda1`.
    pub kname: String,
    /// Device number; zeros where it is not known: of a disk that was pulled the kernel says none any more.
    pub dev: (u32, u32),
    /// Its place.
    pub slot: Option<u32>,
    /// What it is.
    pub condition: Condition,
}

impl Member {
    /// Whether it is the same device at another moment.
    fn is(&self, other: &Member) -> bool {
        let known = |m: &Member| m.dev != (0, 0);
        self.kname == other.kname && (self.dev == other.dev || !known(self) || !known(other))
    }
}

/// What a member is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Condition {
    /// Its data is complete.
    InSync,
    /// Has a slot, and its data is being made.
    Rebuilding,
    /// Takes over a slot whose member still works.
    Replacement,
    /// Waits.
    #[default]
    Spare,
    /// Failed.
    Faulty,
    /// The log device.
    Journal,
}

/// The resync, recovery, reshape or check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sync {
    /// `resync`, `recovery`, `reshape`, `check`
    pub action: String,
    /// Whole percent; none where it waits.
    pub percent: Option<u32>,
}

impl Array {
    /// Whether there is anything to watch: levels that can lose a member and go on.
    #[must_use]
    pub fn is_redundant(&self) -> bool {
        self.level.is_some_and(Level::is_redundant)
    }

    /// The members that have their data.
    pub fn in_sync(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|m| m.condition == Condition::InSync)
    }

    /// How many members are in a given condition.
    #[must_use]
    pub fn count(&self, condition: Condition) -> usize {
        self.members.iter().filter(|m| m.condition == condition).count()
    }

    /// Slots without a member that has its data; none where the kernel counts none as missing.
    #[must_use]
    pub fn missing_slots(&self) -> Vec<u32> {
        if self.degraded == 0 {
            return Vec::new();
        }
        let held: std::collections::HashSet<u32> = self.in_sync().filter_map(|m| m.slot).collect();
        (0..self.raid_disks.min(MAX_SLOTS)).filter(|s| !held.contains(s)).collect()
    }

    /// Whether each missing slot gets its data at the moment, or as soon as another array is through.
    pub(crate) fn is_attended(&self) -> bool {
        let rebuilt = |slot: &u32| {
            let in_slot = |m: &&Member| m.slot == Some(*slot);
            self.members.iter().filter(in_slot).any(|m| m.condition == Condition::Rebuilding)
        };
        self.sync.as_ref().is_some_and(|s| s.action != "check") && self.missing_slots().iter().all(rebuilt)
    }

    /// The percentage of what runs; none where it waits or nothing runs.
    fn percent(&self) -> Option<u32> {
        self.sync.as_ref()?.percent
    }
}
