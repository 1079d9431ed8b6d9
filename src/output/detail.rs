//! `--detail`: what an array says of itself, as text, `--brief`, `--export` and `--json`.

mod brief;
mod json;
mod link;
mod text;
mod why;

pub use brief::is_plain_word;
pub use json::{Outcome, document};
pub use why::{Present, why_not_started};

use std::collections::BTreeMap;

use crate::bitmap::lockless::{ChunkState, StateCounts};
use crate::level::Level;
use crate::uuid::Uuid;

/// One array.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Detail {
    /// As typed: `/dev/md/foo`, `/dev/md0p1`.
    pub path: String,
    /// Kernel name: `md127`.
    pub devname: String,
    /// Exists but does not run.
    pub inactive: bool,
    /// `1.2`; empty without metadata.
    pub metadata: String,
    /// Its metadata is of another kind, kept by another program.
    pub external: Option<External>,
    /// The array has metadata on its members.
    pub persistent: bool,
    /// v0.90 only: the number that the metadata asks for.
    pub preferred_minor: Option<u32>,
    /// Creation time.
    pub created: Option<Moment>,
    /// Time of the last update of the metadata.
    pub updated: Option<Moment>,
    /// The level, where it is a known one.
    pub level: Option<Level>,
    /// Number of the layout.
    pub layout: u32,
    /// Size of the device that was asked about, in KiB.
    pub array_kib: Option<u64>,
    /// KiB of each member that the array uses.
    pub component_kib: Option<u64>,
    /// Bytes of a chunk of the array; of the rounding for linear.
    pub chunk_bytes: u64,
    /// Bytes of its sectors; of an array that runs.
    pub sector_bytes: Option<u64>,
    /// Bytes of its sectors once it is assembled again: a member has larger ones.
    pub next_sector_bytes: Option<u64>,
    /// Slots.
    pub raid_disks: u32,
    /// Counts of members.
    pub counts: Counts,
    /// Its bitmap.
    pub bitmap: Option<Bitmap>,
    /// The clean mark is set.
    pub clean: bool,
    /// So many members are missing that data is lost.
    pub failed: bool,
    /// Members are missing or out of date.
    pub degraded: bool,
    /// What runs or waits.
    pub sync: Option<Sync>,
    /// What a reshape changes.
    pub reshape: Reshape,
    /// `resync`, `bitmap`, `journal`, `ppl`, `none`
    pub consistency_policy: Option<String>,
    /// Name in the metadata, with the host's before a colon.
    pub name: Option<Vec<u8>>,
    /// Name of this host, if the array is its own.
    pub local_to: Option<String>,
    /// The array's uuid.
    pub uuid: Option<Uuid>,
    /// The member's events, `57` or `0.1`.
    pub events: Option<String>,
    /// The link `/dev/md/NAME` as the map file has it: `NAME`.
    pub link: Option<String>,
    /// The members in the order of the table.
    pub members: Vec<Member>,
    /// The members in the kernel's order, as indices into `members`: for `--export`.
    pub listed: Vec<usize>,
    /// For `--brief`: members that are neither in the array nor anything else; other than the kernel's count of spares this
    /// leaves out those with the write-mostly or failfast flag, as in the reference.
    pub plain_spares: u32,
    /// Inactive: why, one sentence each.
    pub reasons: Vec<String>,
    /// Inactive: what to do next.
    pub hint: Option<String>,
    /// A raid0 or linear array that lost a member.
    pub broken: bool,
    /// How the array reacts to writes, as md says: `clean`, `active`, `readonly`, `read-auto`, ...
    pub array_state: Option<String>,
}

/// An array or a set of members with DDF or IMSM metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum External {
    /// The set; it never runs itself.
    Container {
        /// The arrays in it, as paths.
        arrays: Vec<String>,
    },
    /// An array in a set.
    Member {
        /// The set, as a path.
        container: String,
        /// Its place in the set.
        index: String,
    },
}

/// Seconds since 1970, and the same in local time as `asctime` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Moment {
    /// Seconds since 1970.
    pub seconds: u64,
    /// `Sun Aug  7 21:15:49 2022`
    pub text: String,
}

/// Counts of members, as the kernel has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct Counts {
    pub total: u32,
    pub active: u32,
    pub working: u32,
    pub failed: u32,
    pub spare: u32,
}

/// A bitmap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bitmap {
    /// On the members.
    Internal,
    /// On the members, one per node of a cluster.
    Clustered,
    /// In this file.
    File(String),
    /// One byte per chunk.
    Lockless(Lockless),
}

/// What the kernel says of a lockless bitmap; a member where it was added to a running array, until the next assembly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lockless {
    /// Bytes.
    pub chunk_bytes: Option<u64>,
    /// Chunks.
    pub chunks: Option<u64>,
    /// How many are in which state.
    pub states: Option<StateCounts>,
    /// All this is from a member's bytes, which lag behind.
    pub on_disk: bool,
    /// Seconds between the daemon's rounds.
    pub daemon_sleep_seconds: Option<u64>,
    /// Bytes that the chunks cover: of a member on raid4/5/6, of the array else. The last chunk may reach past it.
    pub covered_bytes: Option<u64>,
}

impl Lockless {
    /// Bytes that a start would resync now: of the members on raid4/5/6, of the array else.
    #[must_use]
    pub fn resync_bytes(&self) -> Option<u64> {
        let bytes = self.states?.resync_chunks(false).saturating_mul(self.chunk_bytes?);
        Some(bytes.min(self.covered_bytes.unwrap_or(u64::MAX)))
    }
}

/// The states in the order of their numbers, with their names.
pub(crate) fn named_states(states: &StateCounts) -> impl Iterator<Item = (&'static str, u64)> + '_ {
    ChunkState::ALL.into_iter().map(|s| (s.name(), states.get(s)))
}

/// A resync or the like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sync {
    /// Which.
    pub action: Action,
    /// Whole percent; none while it waits.
    pub percent: Option<u32>,
    /// `DELAYED`, `PENDING`, `REMOTE` while it waits.
    pub waits: Option<String>,
}

/// What can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Action {
    Resync,
    Recovery,
    Check,
    Reshape,
}

impl Action {
    /// From the word in /proc/mdstat.
    #[must_use]
    pub fn from_mdstat(word: &str) -> Option<Action> {
        match word {
            "resync" => Some(Action::Resync),
            "recovery" => Some(Action::Recovery),
            "check" | "repair" => Some(Action::Check),
            "reshape" => Some(Action::Reshape),
            _ => None,
        }
    }

    /// In the line `State :`.
    #[must_use]
    pub fn doing(self) -> &'static str {
        match self {
            Action::Resync => "resyncing",
            Action::Recovery => "recovering",
            Action::Check => "checking",
            Action::Reshape => "reshaping",
        }
    }

    /// Before `Status`.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Action::Resync => "Resync",
            Action::Recovery => "Rebuild",
            Action::Check => "Check",
            Action::Reshape => "Reshape",
        }
    }
}

/// How far a reshape is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Bytes of the array that have moved.
    pub done_bytes: u64,
    /// Bytes of the array that are to move.
    pub all_bytes: u64,
    /// From the end to the start.
    pub backwards: bool,
    /// What comes next overwrites what is still needed, and is saved before.
    pub critical: bool,
}

/// What a reshape changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reshape {
    /// One is under way, running or not.
    pub active: bool,
    /// Members more or less.
    pub delta_disks: i32,
    /// The level it goes to.
    pub new_level: Option<Level>,
    /// The layout it goes to.
    pub new_layout: Option<u32>,
    /// Bytes of the chunk it goes to.
    pub new_chunk_bytes: Option<u64>,
    /// How far it is, as the superblocks tell.
    pub progress: Option<Progress>,
    /// It is held back, and nobody looks after it who would let it go on.
    pub abandoned: bool,
}

/// One member, or an empty slot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Member {
    /// Number of its descriptor; none for an empty slot, and while inactive.
    pub number: Option<u32>,
    /// Device number; 0:0 for an empty slot.
    pub dev: (u32, u32),
    /// Kernel name: `sda1`.
    pub kname: Option<String>,
    /// The path to show; none where `/dev` has none.
    pub path: Option<String>,
    /// Its slot; the slot that is empty.
    pub slot: Option<u32>,
    /// Nothing is in this slot.
    pub removed: bool,
    /// What it is.
    pub faulty: bool,
    /// In the array.
    pub active: bool,
    /// Its data is complete.
    pub in_sync: bool,
    /// Read last.
    pub write_mostly: bool,
    /// Fails at the first error.
    pub failfast: bool,
    /// Holds the log.
    pub journal: bool,
    /// Takes the place of another.
    pub replacement: bool,
    /// raid10 with whole copies: which copy it holds part of (`A`, `B`, ...).
    pub set: Option<char>,
    /// The device has been taken out of the machine.
    pub gone: bool,
    /// The array is inactive: nothing more is known than that it belongs here.
    pub unstarted: bool,
    /// What identifies its device (serial number and the like); of an empty slot, the device that held it last.
    pub identity: BTreeMap<String, String>,
    /// An empty slot: who held it last.
    pub last: Option<LastSeen>,
}

/// Who held a slot, as the monitor saw it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LastSeen {
    /// Its path then.
    pub path: String,
    /// Seconds since 1970.
    pub seconds: u64,
}

impl Member {
    /// The words behind the numbers, each with a blank before it.
    #[must_use]
    pub fn words(&self) -> String {
        if self.unstarted {
            return String::new();
        } else if self.removed {
            return " removed".to_owned();
        }
        let spare = !self.faulty && !self.active && !self.in_sync && !self.journal;
        let rebuilding = spare && self.slot.is_some();
        let set = self.set.filter(|_| self.active).map_or(String::new(), |c| format!(" set-{c}"));
        [
            (self.faulty, " faulty"),
            (self.active, " active"),
            (self.in_sync, " sync"),
            (true, set.as_str()),
            (self.write_mostly, " writemostly"),
            (self.failfast, " failfast"),
            (self.journal, " journal"),
            (rebuilding, " spare rebuilding"),
            (spare && !rebuilding, " spare"),
        ]
        .into_iter()
        .filter_map(|(on, word)| on.then_some(word))
        .collect()
    }

    /// The copy that a slot of a raid10 belongs to, where each copy is a whole set of members: near copies only, and as many
    /// slots as fit whole sets.
    #[must_use]
    pub fn raid10_set(layout: u32, raid_disks: u32, slot: u32) -> Option<char> {
        let (near, far) = (layout & 0xff, (layout >> 8) & 0xff);
        if near < 2 || far > 1 || near > 26 || !raid_disks.is_multiple_of(near) {
            return None;
        }
        char::from_u32(u32::from(b'A') + slot % near)
    }

    /// In a slot, or the slot itself.
    fn is_in_table(&self) -> bool {
        self.slot.is_some()
    }
}

impl Detail {
    /// Whether it is a set of members, which does not run itself.
    fn is_container(&self) -> bool {
        matches!(self.external, Some(External::Container { .. }))
    }

    /// Exists and ought to run, but does not.
    fn is_stuck(&self) -> bool {
        self.inactive && !self.is_container()
    }

    /// The exit status of `--test`: 0 healthy, 1 degraded, 2 failed or not running.
    #[must_use]
    pub fn test_status(&self) -> u8 {
        match (self.inactive || self.failed || self.broken, self.degraded) {
            (true, _) => 2,
            (_, true) => 1,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests;
