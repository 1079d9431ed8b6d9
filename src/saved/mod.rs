//! Saved metadata: one file with what a command was about to overwrite. docs/saved-metadata.md describes the format.
//!
//! ```text
//!  0  magic "mdadm-rs saved\n\0"
//! 16  version, 1                       u32
//! 20  bytes of the header              u32
//! 24  bytes of the data                u64
//! 32  header, JSON
//!  .  data: the stored ranges, one behind the other in the order of the header
//!  .  CRC-32C of everything before     u32
//! ```
//!
//! Numbers are little-endian. A file may have been written by anybody: [`Saved::parse`] checks every count, length and offset
//! against the file and against the size of the device that it names.
#![forbid(unsafe_code)]

pub mod crc;
mod header;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use thiserror::Error;

use crate::uuid::Uuid;

/// First bytes of a file.
pub const MAGIC: &[u8; 16] = b"mdadm-rs saved\n\0";
/// The version that is written and read.
pub const VERSION: u32 = 1;
/// Bytes before the header.
const PREFIX: usize = MAGIC.len() + 4 + 4 + 8;
/// Bytes of the checksum.
const CRC: usize = 4;
/// The longest header.
pub const MAX_HEADER: usize = 4 << 20;
/// Most bytes of all ranges, stored or not.
pub const MAX_DATA: u64 = 48 << 20;
/// The largest file.
pub const MAX_FILE: u64 = MAX_DATA + MAX_HEADER as u64 + (PREFIX + CRC) as u64;
/// Most devices in a file: more than an array has members.
pub const MAX_DEVICES: usize = 4096;
/// Most ranges in a file.
pub const MAX_RANGES: usize = 1 << 16;

/// What was saved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Saved {
    /// The command that was about to write, word by word.
    pub command: Vec<String>,
    /// When, in seconds since 1970, UTC.
    pub time_seconds: u64,
    /// Parts that were too large or could not be read are not in it.
    pub incomplete: bool,
    /// The devices.
    pub devices: Vec<Device>,
}

/// One device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Device {
    /// Its absolute path then.
    pub path: PathBuf,
    /// Its size.
    pub size_bytes: u64,
    /// What tells it from others, as sysfs had it: `serial`, `wwid`, `dm_uuid`, `loop_file`, `partition`, ...
    pub identity: BTreeMap<String, String>,
    /// The array that it was a member of.
    pub array: Option<Member>,
    /// What lay there, in order, without overlap.
    pub ranges: Vec<Range>,
}

/// The md superblock that was found on the device, in short: the bytes are in the ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// `1.2`, `0.90`, ...
    pub metadata: String,
    /// The array's uuid.
    pub uuid: Uuid,
    /// The array's name; empty where it has none.
    pub name: String,
    /// Its event count.
    pub events: u64,
}

/// A stretch of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// Byte of the device.
    pub offset: u64,
    /// What it was, for a person.
    pub what: String,
    /// What lay there.
    pub content: Content,
}

/// What lay in a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// So many zeros.
    Zeros(u64),
    /// These bytes.
    Bytes(Vec<u8>),
}

impl Range {
    /// How many bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match &self.content {
            Content::Zeros(n) => *n,
            Content::Bytes(bytes) => bytes.len() as u64,
        }
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Why a file cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SavedError {
    /// Something else.
    #[error("it is no file of saved metadata")]
    NotSaved,
    /// A later format.
    #[error("its format is version {0}, and this mdadm-rs knows version {VERSION}")]
    Version(u32),
    /// Its lengths do not add up.
    #[error("it has {found} bytes, and says of itself that it has {expected}")]
    Length {
        /// Bytes there are.
        found: u64,
        /// Bytes there should be.
        expected: u64,
    },
    /// A byte is not what it was.
    #[error("its checksum is {found:08x}, expected {expected:08x}: it is damaged")]
    Checksum {
        /// As stored.
        found: u32,
        /// As computed.
        expected: u32,
    },
    /// The header is not what it should be.
    #[error("its header is wrong: {0}")]
    Header(String),
    /// More than a file may hold.
    #[error("it would hold too much: {0}")]
    TooLarge(&'static str),
}

fn take<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

impl Saved {
    /// The file's bytes.
    ///
    /// # Errors
    /// [`SavedError::TooLarge`], and what [`Saved::parse`] would say of the contents.
    pub fn to_bytes(&self) -> Result<Vec<u8>, SavedError> {
        header::check(self)?;
        let header = header::write(self)?;
        let stored = |c: &Content| if let Content::Bytes(b) = c { b.clone() } else { Vec::new() };
        let data: Vec<u8> = self.devices.iter().flat_map(|d| &d.ranges).flat_map(|r| stored(&r.content)).collect();
        if header.len() > MAX_HEADER {
            return Err(SavedError::TooLarge("the header"));
        }
        let mut out = MAGIC.to_vec();
        out.extend(VERSION.to_le_bytes());
        out.extend(u32::try_from(header.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend((data.len() as u64).to_le_bytes());
        out.extend(header);
        out.extend(data);
        out.extend(crc::crc32c(&out).to_le_bytes());
        Ok(out)
    }

    /// Reads a file's bytes.
    ///
    /// # Errors
    /// See [`SavedError`].
    pub fn parse(bytes: &[u8]) -> Result<Saved, SavedError> {
        if !bytes.starts_with(MAGIC) {
            return Err(SavedError::NotSaved);
        }
        let short = || SavedError::Length { found: bytes.len() as u64, expected: (PREFIX + CRC) as u64 };
        let version = u32::from_le_bytes(take(bytes, 16).ok_or_else(short)?);
        if version != VERSION {
            return Err(SavedError::Version(version));
        }
        let header_len = u32::from_le_bytes(take(bytes, 20).ok_or_else(short)?);
        let data_len = u64::from_le_bytes(take(bytes, 24).ok_or_else(short)?);
        let expected = data_len.saturating_add(u64::from(header_len)).saturating_add((PREFIX + CRC) as u64);
        let header_len = usize::try_from(header_len).unwrap_or(usize::MAX);
        if bytes.len() as u64 != expected {
            return Err(SavedError::Length { found: bytes.len() as u64, expected });
        }
        if header_len > MAX_HEADER || data_len > MAX_DATA {
            return Err(SavedError::TooLarge("its lengths are past the limits"));
        }
        let (body, sum) = bytes.split_at_checked(bytes.len().saturating_sub(CRC)).ok_or_else(short)?;
        let (found, expected) = (u32::from_le_bytes(take(sum, 0).ok_or_else(short)?), crc::crc32c(body));
        if found != expected {
            return Err(SavedError::Checksum { found, expected });
        }
        let rest = body.get(PREFIX..).ok_or_else(short)?;
        let (head, data) = rest.split_at_checked(header_len).ok_or_else(short)?;
        let saved = header::read(head, data)?;
        header::check(&saved)?;
        Ok(saved)
    }
}
