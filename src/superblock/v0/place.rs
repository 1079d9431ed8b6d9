//! Where a v0.90 superblock lies, reading it from there, and checking it against the device.

use super::{MAX_DISKS, Order, RESERVED, SUPER_BYTES, SuperV0, bit};
use crate::blockio::ReadAt;
use crate::superblock::SuperError;
use crate::superblock::field::get;
use crate::superblock::v1::MAGIC;
use crate::units::Bytes;

/// The byte at which the superblock lies: the start of the last whole 64 KiB before the last one that is reserved.
#[must_use]
pub fn super_offset(device: Bytes) -> Option<Bytes> {
    device.round_down(RESERVED).checked_sub(RESERVED)
}

/// Bytes that are read first, to see whether there is a superblock at all: one sector.
const FIRST_BYTES: usize = 512;

/// Reads the superblock; `None` where there is none. Without a superblock only its first sector is read.
///
/// # Errors
/// The device's. The checksum is not judged.
pub fn read(dev: &dyn ReadAt) -> Result<Option<SuperV0>, SuperError> {
    let Some(at) = super_offset(dev.size()) else { return Ok(None) };
    let mut bytes = [0u8; SUPER_BYTES];
    let (first, rest) = bytes.split_at_mut(FIRST_BYTES);
    dev.read_at(at.0, first)?;
    let magic: [u8; 4] = get(first, 0);
    if magic != MAGIC.to_le_bytes() && magic != MAGIC.to_be_bytes() {
        return Ok(None);
    }
    dev.read_at(at.0 + FIRST_BYTES as u64, rest)?;
    Ok(SuperV0::from_bytes(&bytes))
}

fn field<T>(field: &'static str, value: u32, why: &str) -> Result<T, SuperError> {
    Err(SuperError::Field { field, value: value.into(), why: why.into() })
}

/// The kernel compares checksums folded to 16 bits (`md_csum_fold`): those of an Alpha have only these.
fn folded(sum: u32) -> u32 {
    let once = (sum & 0xffff) + (sum >> 16);
    (once & 0xffff) + (once >> 16)
}

impl SuperV0 {
    /// What arithmetic and the kernel need, checked against a device. The kernel itself does not check the number of the
    /// own descriptor before it looks there (`super_90_validate`).
    ///
    /// # Errors
    /// The first field that cannot be as it is; a wrong checksum counts too.
    pub fn check(&self, device: Bytes) -> Result<(), SuperError> {
        let expected = self.computed_csum();
        if folded(self.sb_csum()) != folded(expected) {
            return Err(SuperError::BadChecksum { found: self.sb_csum(), expected });
        }
        if !matches!(self.minor_version(), 90 | 91) {
            return field("minor_version", self.minor_version(), "is neither 90 nor 91");
        }
        let slots = self.raid_disks();
        if slots == 0 || slots as usize > MAX_DISKS {
            return field("raid_disks", slots, "is not between 1 and what a superblock holds (27)");
        }
        if self.nr_disks() as usize > MAX_DISKS {
            return field("nr_disks", self.nr_disks(), "is more than a superblock holds (27)");
        }
        if !self.own_disk_is_in_the_table() {
            return field("this_disk.number", self.this_disk().number, "is not in the table (27)");
        }
        // A reshape to fewer devices uses those of before until it is over.
        let before = if self.minor_version() == 91 { self.delta_disks().min(0).unsigned_abs() } else { 0 };
        let slots = slots.saturating_add(before);
        let misplaced = (0..MAX_DISKS)
            .filter_map(|n| self.disk(n))
            .find(|d| d.state & (bit::FAULTY | bit::REMOVED) == 0 && d.state & bit::SYNC != 0 && d.raid_disk >= slots);
        if let Some(disk) = misplaced {
            return field("raid_disk", disk.raid_disk, "of an active member is not a slot");
        }
        if !self.chunk_bytes().is_multiple_of(512) {
            return field("chunk_size", self.chunk_bytes(), "is no multiple of 512");
        }
        let room = super_offset(device).map_or(0, |at| at.0 / 1024);
        if u64::from(self.size_kib()) > room && self.level_raw() > 0 {
            return field("size", self.size_kib(), "KiB is more than the device has before its superblock");
        }
        Ok(())
    }

    /// Whether this machine's kernel can read it as it is.
    #[must_use]
    pub fn is_native(&self) -> bool {
        self.order() == if cfg!(target_endian = "big") { Order::Big } else { Order::Little }
    }
}
