//! One descriptor of a v0.90 superblock's table (uapi `md_p.h`, `mdp_disk_t`).

use super::SuperV0;

/// Descriptors in the table.
pub const MAX_DISKS: usize = 27;
/// Words of a descriptor.
pub const DISK_WORDS: usize = 32;

/// A device as a v0.90 superblock knows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskV0 {
    /// Index in the table.
    pub number: u32,
    /// Major number when the superblock was written.
    pub major: u32,
    /// Minor number when the superblock was written.
    pub minor: u32,
    /// Slot.
    pub raid_disk: u32,
    /// Bits of `kernel::md::disk`.
    pub state: u32,
}

impl DiskV0 {
    pub(super) fn read(sb: &SuperV0, at: usize) -> DiskV0 {
        DiskV0 {
            number: sb.word(at),
            major: sb.word(at + 1),
            minor: sb.word(at + 2),
            raid_disk: sb.word(at + 3),
            state: sb.word(at + 4),
        }
    }

    pub(super) fn write(&self, sb: &mut SuperV0, at: usize) {
        for (n, value) in [self.number, self.major, self.minor, self.raid_disk, self.state].into_iter().enumerate() {
            sb.put_word(at + n, value);
        }
    }

    /// Whether the descriptor is in use at all: removed slots and the table's end are zero but for the state.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.major != 0 || self.minor != 0
    }
}
