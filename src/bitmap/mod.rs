//! Write-intent bitmaps: one bit per chunk (versions 3, 4 and 5) and lockless, one byte per chunk (version 6).
//!
//! Pure: everything is read through [`crate::blockio::ReadAt`], nothing is written.
#![forbid(unsafe_code)]
#![deny(clippy::cast_possible_truncation)]

pub mod bits;
pub mod compare;
pub mod file;
pub mod header;
pub mod lockless;
pub mod ranges;
pub mod summary;

use thiserror::Error;

/// Why bytes that should be a bitmap are not a usable one.
#[derive(Debug, Error)]
pub enum BitmapError {
    /// The device could not be read there.
    #[error("cannot read the bitmap: {}", crate::error::reason(.0))]
    Io(#[from] std::io::Error),
    /// The superblock puts the bitmap, or its own fields make it reach, where the device has no bytes.
    #[error("the bitmap reaches from byte {start} to byte {end}, but the device has {device} bytes")]
    OutsideDevice {
        /// First byte.
        start: i128,
        /// Byte behind the last one.
        end: i128,
        /// Size of the device in bytes.
        device: u64,
    },
    /// No bitmap superblock where one should be.
    #[error("no bitmap there: magic is {found:08x}, not {:08x}", header::MAGIC)]
    NoMagic {
        /// The word found.
        found: u32,
    },
    /// No bitmap superblock where that of a node of a cluster should be.
    #[error("no bitmap of a node there: magic is {found:08x}, not {:08x}", header::MAGIC)]
    NodeMagic {
        /// The word found.
        found: u32,
    },
    /// A version that this program does not know.
    #[error("bitmap version {0} is not known")]
    UnknownVersion(u32),
    /// A field cannot be as it is.
    #[error("bitmap {field} is {value}, which {why}")]
    Field {
        /// The field's name in the kernel's `bitmap_super_t`.
        field: &'static str,
        /// Its value.
        value: u64,
        /// Why that cannot be.
        why: &'static str,
    },
}
