//! md metadata on members: bytes <-> typed records.
#![forbid(unsafe_code)]
#![deny(clippy::cast_possible_truncation)]

pub mod field;
pub mod foreign;
pub mod raid_log;
pub mod reshape;
pub mod v0;
pub mod v1;
mod version;

pub use version::Version;

use thiserror::Error;

/// Why bytes that claim to be a superblock are not a usable one.
#[derive(Debug, Error)]
pub enum SuperError {
    /// The device could not be read there.
    #[error("cannot read the superblock: {}", crate::error::reason(.0))]
    Io(#[from] std::io::Error),
    /// The superblock says that it belongs elsewhere: often a copy seen through a partition or a whole disk.
    #[error("superblock at sector {found} says it belongs at sector {recorded}")]
    WrongPlace {
        /// Where it was found, in sectors.
        found: u64,
        /// Where it says it is, in sectors.
        recorded: u64,
    },
    /// A field cannot be as it is.
    #[error("{field} is {value}, which {why}")]
    Field {
        /// The field's name in the kernel's `mdp_superblock_1`.
        field: &'static str,
        /// Its value.
        value: i128,
        /// Why that cannot be, e.g. `is more than a superblock holds (1920)`.
        why: String,
    },
    /// The checksum does not match.
    #[error("checksum is {found:x}, expected {expected:x}")]
    BadChecksum {
        /// As stored.
        found: u32,
        /// As computed.
        expected: u32,
    },
}
