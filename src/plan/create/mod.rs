//! `--create`: from a request and the devices to the bytes and the steps.
//!
//! [`design`] judges the words alone, [`sizing`] the devices, [`slots`] who is active and who is a spare,
//! [`steps`] makes the plan.

pub mod compat;
pub mod design;
#[cfg(test)]
#[path = "logs/tests.rs"]
mod log_tests;
pub mod old;
pub mod sizing;
pub mod slots;
pub mod steps;
pub mod tables;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use crate::units::Sectors;
use crate::uuid::Uuid;

/// The bitmap of a new array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewBitmapKind {
    /// None.
    None,
    /// One bit per chunk; the chunk in bytes, where it was given.
    Internal(Option<u64>),
    /// One bit per chunk, in a file; the chunk in bytes, where it was given.
    File(Option<u64>),
    /// One bit per chunk, once for each node of a cluster.
    Clustered {
        /// The chunk in bytes, where it was given.
        chunk: Option<u64>,
        /// Nodes.
        nodes: u32,
    },
    /// Lockless; the coarsest chunk wanted in sectors, where it was given.
    Lockless(Option<u64>),
}

impl NewBitmapKind {
    /// Whether each member has a copy of it.
    #[must_use]
    pub fn is_on_members(self) -> bool {
        !matches!(self, NewBitmapKind::None | NewBitmapKind::File(_))
    }
}

/// What a new array logs of stripes that are being written, to close the write hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RaidLog {
    /// Nothing.
    None,
    /// Data and parity, on a device of its own.
    Journal,
    /// Partial parity, on the members (raid5).
    Ppl,
}

/// A device that was listed, with what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberFacts {
    /// As typed.
    pub path: PathBuf,
    /// Major and minor number; (0, 0) for a file.
    pub dev: (u32, u32),
    /// Size in sectors.
    pub size: Sectors,
    /// Logical block size in bytes.
    pub block: u32,
    /// `--write-mostly`
    pub write_mostly: bool,
    /// `--failfast`
    pub failfast: bool,
    /// Its own data offset (`--data-offset=variable`).
    pub data_offset: Option<Sectors>,
    /// The uuid it will have.
    pub device_uuid: Uuid,
    /// Byte offsets of older md superblocks that would be found beside the new one, and how many bytes to clear.
    pub stale_supers: Vec<(u64, u32)>,
    /// `queue/write_zeroes_unmap_max_bytes` is above 0.
    pub zeroes_by_unmap: bool,
    /// `--write-journal`
    pub journal: bool,
}

/// What the array is called and when it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The array's uuid.
    pub uuid: Uuid,
    /// `host:name` or `name`, as it goes into the superblock.
    pub set_name: Vec<u8>,
    /// Seconds since 1970.
    pub time: u64,
    /// Number of the array, for metadata that keep it.
    pub number: u32,
}

/// Where the array goes; `None` with `--offline`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Kernel name, `md0`.
    pub devname: String,
    /// As shown to the user.
    pub path: PathBuf,
    /// `--readonly`
    pub readonly: bool,
}
