//! The metadata versions that md itself reads and writes.

use super::{v0, v1};
use crate::units::Sectors;

/// Metadata version of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// 0.90
    V090,
    /// 1.0, 1.1 or 1.2
    V1(v1::Minor),
}

impl Default for Version {
    fn default() -> Version {
        Version::V1(v1::Minor::V2)
    }
}

impl Version {
    /// All of them.
    pub const ALL: [Version; 4] =
        [Version::V090, Version::V1(v1::Minor::V0), Version::V1(v1::Minor::V1), Version::V1(v1::Minor::V2)];

    /// As the map file and messages spell it: `0.90`, `1.2`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Version::V090 => "0.90",
            Version::V1(v1::Minor::V0) => "1.0",
            Version::V1(v1::Minor::V1) => "1.1",
            Version::V1(v1::Minor::V2) => "1.2",
        }
    }

    /// Major and minor number, as SET_ARRAY_INFO takes them.
    #[must_use]
    pub fn numbers(self) -> (i32, i32) {
        match self {
            Version::V090 => (0, 90),
            Version::V1(v1::Minor::V0) => (1, 0),
            Version::V1(v1::Minor::V1) => (1, 1),
            Version::V1(v1::Minor::V2) => (1, 2),
        }
    }

    /// From major and minor number; 91 is 0.90 in a reshape.
    #[must_use]
    pub fn from_numbers(major: u32, minor: u32) -> Option<Version> {
        match major {
            0 if matches!(minor, 90 | 91) => Some(Version::V090),
            1 => v1::Minor::from_number(minor).map(Version::V1),
            _ => None,
        }
    }

    /// The sector at which the superblock lies on a device of this size; `None` where it is too small for one.
    #[must_use]
    pub fn super_offset(self, device: Sectors) -> Option<Sectors> {
        match self {
            Version::V090 => Some(v0::super_offset(device.bytes()?)?.sectors()),
            Version::V1(minor) => v1::super_offset(minor, device),
        }
    }

    /// The minor version of 1.x metadata.
    #[must_use]
    pub fn minor(self) -> Option<v1::Minor> {
        match self {
            Version::V090 => None,
            Version::V1(minor) => Some(minor),
        }
    }
}
