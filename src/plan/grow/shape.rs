//! A running array as far as a change of its geometry concerns it.

use super::bitmap::Now;
use crate::error::Refusal;
use crate::level::Level;
use crate::plan::step::{Plan, Step};
use crate::plan::sync_action;
use crate::superblock::Version;
use crate::units::Sectors;

/// Of the array's queue, from `md/` on.
const MAX_REQUEST: &str = "../queue/max_sectors_kb";
/// KiB: a page, and 256 of them.
const LEAST_REQUEST: u64 = 4;
const MOST_OF_PARITY: u64 = 1024;

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// As shown to the user.
    pub shown: String,
    /// Its directory below `md/` is `dev-NAME`.
    pub name: String,
    /// Slot; `None` for spares.
    pub slot: Option<u32>,
    /// All its data is there.
    pub in_sync: bool,
    /// Marked faulty.
    pub faulty: bool,
    /// The log device.
    pub journal: bool,
    /// Bad blocks of it are on record.
    pub bad: bool,
    /// It is filled to replace another one.
    pub replacement: bool,
    /// KiB of its data that the kernel counts with.
    pub size: u64,
    /// KiB that its data could take; `None`: as [`Part::size`], since its metadata cannot move.
    pub room: Option<u64>,
    /// Sectors: where its data starts.
    pub offset: u64,
    /// Sectors: where it could start at least, behind all metadata.
    pub least_offset: u64,
}

/// A running array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Kernel name.
    pub devname: String,
    /// As typed.
    pub shown: String,
    /// Level.
    pub level: Level,
    /// Metadata; `None` without.
    pub version: Option<Version>,
    /// Layout number.
    pub layout: u32,
    /// Of the array.
    pub chunk: Sectors,
    /// Number of slots.
    pub slots: u32,
    /// KiB used of each member.
    pub size: u64,
    /// KiB of the array.
    pub offered: u64,
    /// The same, where that was limited.
    pub limited: Option<u64>,
    /// Writes are not taken.
    pub readonly: bool,
    /// What runs: not idle, not held back.
    pub action: Option<String>,
    /// Sync actions are held back already.
    pub frozen: bool,
    /// It has sync actions at all.
    pub syncs: bool,
    /// Something is not in sync, though nothing runs.
    pub resync_pending: bool,
    /// KiB of the largest request (`max_sectors_kb`).
    pub request: Option<u64>,
    /// Stripes that raid4/5/6 keep in memory.
    pub stripe_cache: Option<u64>,
    /// Its bitmap.
    pub bitmap: Now,
    /// A journal or PPL: the word.
    pub log: Option<&'static str>,
    /// Members, spares too.
    pub parts: Vec<Part>,
}

impl Shape {
    /// KiB of the array with this much used of each member (kernel: the level's `size`).
    #[must_use]
    pub fn array_kib(&self, size: u64) -> u64 {
        let sectors = size.saturating_mul(2);
        let slots = u64::from(self.slots);
        let whole = match self.chunk.0 {
            0 => sectors,
            chunk => sectors / chunk * chunk,
        };
        match self.level {
            Level::Raid4 | Level::Raid5 => whole.saturating_mul(slots.saturating_sub(1)) / 2,
            Level::Raid6 => whole.saturating_mul(slots.saturating_sub(2)) / 2,
            Level::Raid10 => {
                let (near, far) = (u64::from(self.layout & 0xff).max(1), u64::from((self.layout >> 8) & 0xff).max(1));
                let chunk = self.chunk.0.max(1);
                (sectors / chunk / far).saturating_mul(slots) / near * chunk / 2
            }
            _ => size,
        }
    }

    /// Members that wait for a slot.
    #[must_use]
    pub fn spares(&self) -> u32 {
        let spares = self.parts.iter().filter(|p| p.slot.is_none() && !p.faulty && !p.journal);
        u32::try_from(spares.count()).unwrap_or(u32::MAX)
    }

    /// Refuses while a resync, recovery, check or reshape runs; the words are the reference's.
    ///
    /// # Errors
    /// One runs.
    pub fn at_rest(&self, taken_over: bool) -> Result<(), Refusal> {
        let Some(action) = &self.action else { return Ok(()) };
        let what = if taken_over { "taken over" } else { "reshaped" };
        let line = format!("{} is performing resync/recovery and cannot be {what}", self.shown);
        Err(Refusal::new(line).hint(sync_action::busy(&self.shown, action)))
    }

    /// Refuses where the array is read-only.
    ///
    /// # Errors
    /// `line`, and what to do.
    pub fn writable(&self, line: &str) -> Result<(), Refusal> {
        if !self.readonly {
            return Ok(());
        }
        let shown = &self.shown;
        Err(Refusal::new(line).hint(format!("{shown} is read-only: make it writable first: mdadm --readwrite {shown}")))
    }

    /// A store in one of its attributes.
    #[must_use]
    pub fn set(&self, attr: &str, value: impl Into<String>) -> Step {
        Step::Sysfs { devname: self.devname.clone(), attr: attr.into(), value: value.into(), verify: None }
    }

    /// A store in an attribute of a member.
    #[must_use]
    pub fn set_part(&self, part: &Part, attr: &str, value: impl Into<String>) -> Step {
        self.set(&format!("dev-{}/{attr}", part.name), value)
    }

    /// Before a change of level: requests small enough for the new one too. Those that wait while it changes were cut for the
    /// old one; raid0 splits one in two at most (`raid0_make_request`), and sends the rest to a wrong place, raid4/5/6 take
    /// 256 pages (`RAID5_MAX_REQ_STRIPES`). The way back is the second step.
    #[must_use]
    pub fn narrow(&self, to: Level) -> Option<(Step, Step)> {
        let most = match to {
            Level::Raid0 if self.chunk.0 > 0 => (self.chunk.0 / 2).max(LEAST_REQUEST),
            Level::Raid4 | Level::Raid5 | Level::Raid6 => MOST_OF_PARITY,
            _ => return None,
        };
        let now = self.request.filter(|now| *now > most)?;
        Some((self.set(MAX_REQUEST, most.to_string()), self.set(MAX_REQUEST, now.to_string())))
    }

    /// Holds sync actions back, or lets them go; nothing where they are held back already, or there are none.
    #[must_use]
    pub fn freeze(&self, hold: bool) -> Plan {
        if self.frozen || !self.syncs {
            return Plan::default();
        }
        Plan { steps: vec![self.set("sync_action", if hold { "frozen" } else { "idle" })] }
    }
}
