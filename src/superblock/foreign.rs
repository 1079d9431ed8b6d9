//! What is on a device that is not v1.x metadata: v0.90, DDF, Intel IMSM, partition tables, file systems.
//!
//! Recognised by signature and read only: enough to name it and its set. Every read is of a fixed small size, every
//! place is derived from the device's size, and an unreadable place counts as "nothing there".

mod extent;
mod fs;
mod raid;
mod table;

pub use extent::{InUse, in_use};
pub use fs::{FileSystem, file_system};
pub use raid::{Ddf, Imsm, V090, ddf, ddf_headers, imsm, v090, v090_offset};
pub use table::{GptEntry, MbrEntry, Table, gpt, mbr};

use crate::blockio::ReadAt;

/// One thing found on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// md metadata version 0.90, in either byte order.
    V090(V090),
    /// A DDF anchor header.
    Ddf(Ddf),
    /// Intel Matrix Storage metadata.
    Imsm(Imsm),
    /// A partition table.
    Table(Table),
    /// A file system or another user of whole devices.
    FileSystem(FileSystem),
}

impl Found {
    /// Whether it is RAID metadata.
    #[must_use]
    pub fn is_raid(&self) -> bool {
        matches!(self, Found::V090(_) | Found::Ddf(_) | Found::Imsm(_))
    }

    /// A few words for messages: `DDF metadata`, `ext4 file system`, `GPT partition table`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Found::V090(_) => "md metadata 0.90".into(),
            Found::Ddf(_) => "DDF metadata".into(),
            Found::Imsm(_) => "Intel IMSM metadata".into(),
            Found::Table(t) => format!("{} partition table", t.name()),
            Found::FileSystem(f) => f.name(),
        }
    }
}

/// Everything recognised on the device, RAID metadata first. v1.x superblocks are [`super::v1`]'s.
#[must_use]
pub fn identify(dev: &dyn ReadAt) -> Vec<Found> {
    let mut found = raid_metadata(dev);
    found.extend(gpt(dev).map(Found::Table));
    if !found.iter().any(|f| matches!(f, Found::Table(_))) {
        found.extend(mbr(dev).map(Found::Table));
    }
    found.extend(file_system(dev).map(Found::FileSystem));
    found
}

/// RAID metadata other than v1.x.
#[must_use]
pub fn raid_metadata(dev: &dyn ReadAt) -> Vec<Found> {
    let mut found = Vec::new();
    found.extend(v090(dev).map(Found::V090));
    found.extend(ddf(dev).map(Found::Ddf));
    found.extend(imsm(dev).map(Found::Imsm));
    found
}

/// Metadata of a set of devices that hold arrays: DDF or IMSM.
#[must_use]
pub fn container(dev: &dyn ReadAt) -> Option<Found> {
    ddf(dev).map(Found::Ddf).or_else(|| imsm(dev).map(Found::Imsm))
}

/// `N` bytes at `offset`; `None` past the end or where the device cannot be read.
fn bytes<const N: usize>(dev: &dyn ReadAt, offset: u64) -> Option<[u8; N]> {
    let mut buf = [0u8; N];
    dev.read_at(offset, &mut buf).ok()?;
    Some(buf)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::mem::MemDevice;

    #[test]
    fn an_empty_a_tiny_and_a_blank_device_hold_nothing() {
        for len in [0, 1, 511, 512, 1024, 4096, 65_536, 1 << 20] {
            assert_eq!(identify(&MemDevice::new(len)), Vec::new(), "{len}");
        }
    }

    #[test]
    fn all_ones_hold_nothing() {
        let dev = MemDevice::from_bytes(vec![0xff; 1 << 18]);
        assert_eq!(identify(&dev), Vec::new());
    }

    #[test]
    fn an_unreadable_device_counts_as_blank() {
        let mut dev = MemDevice::new(1 << 18);
        dev.bad_reads = std::iter::once(0..1 << 18).collect();
        assert_eq!(identify(&dev), Vec::new());
    }
}
