//! Finding the metadata on a device, of any format or of the one that `--metadata` names.

use std::io;

use crate::blockio::ReadAt;
use crate::cli::request::Metadata;
use crate::cmd::apply::reason;
use crate::device::cache::ReadOnce;
use crate::superblock::SuperError;
use crate::superblock::foreign::{self, Found};
use crate::superblock::v0::{self, SuperV0};
use crate::superblock::v1::{self, Minor, SuperV1};

/// Metadata that was found.
#[derive(Debug)]
pub enum Loaded {
    /// Version 1.x.
    V1(Minor, Box<SuperV1>),
    /// Version 0.90.
    V0(Box<SuperV0>),
    /// DDF, IMSM, or a partition table.
    Foreign(Found),
}

impl Loaded {
    /// The format as the reference names it in messages: `0.90`, `1.x`, `ddf`, `imsm`, `mbr`.
    #[must_use]
    pub fn format(&self) -> &'static str {
        match self {
            Loaded::V1(..) => "1.x",
            Loaded::V0(_) | Loaded::Foreign(Found::V090(_)) => "0.90",
            Loaded::Foreign(Found::Ddf(_)) => "ddf",
            Loaded::Foreign(Found::Imsm(_)) => "imsm",
            Loaded::Foreign(Found::Table(_)) => "mbr",
            Loaded::Foreign(Found::FileSystem(_)) => "file system",
        }
    }
}

/// The superblock of md's own metadata, what a 0.90 one says in terms of 1.x; `None` where there is none that can be read.
#[must_use]
pub fn superblock(dev: &dyn ReadAt) -> Option<SuperV1> {
    match v1::read_any(dev).ok().flatten() {
        Some((_, sb)) => Some(sb),
        None => v0::read(dev).ok().flatten().map(|sb| sb.as_v1(dev.size())),
    }
}

/// Finds the metadata; `None` where there is none of the wanted format.
///
/// # Errors
/// What is wrong with the only metadata there.
pub fn load(dev: &dyn ReadAt, wanted: Option<Metadata>) -> Result<Option<Loaded>, SuperError> {
    let dev = &ReadOnce::new(dev);
    let one = |minor| Ok(v1::read(dev, minor)?.map(|sb| Loaded::V1(minor, Box::new(sb))));
    match wanted {
        None => any(dev),
        Some(Metadata::V090) => Ok(v0::read(dev)?.map(|sb| Loaded::V0(Box::new(sb)))),
        Some(Metadata::V1_0) => one(Minor::V0),
        Some(Metadata::V1_1) => one(Minor::V1),
        Some(Metadata::V1_2) => one(Minor::V2),
        Some(Metadata::V1Default) => Ok(v1::read_any(dev)?.map(|(minor, sb)| Loaded::V1(minor, Box::new(sb)))),
        Some(Metadata::Ddf) => Ok(foreign::ddf(dev).map(|d| Loaded::Foreign(Found::Ddf(d)))),
        Some(Metadata::Imsm) => Ok(foreign::imsm(dev).map(|i| Loaded::Foreign(Found::Imsm(i)))),
    }
}

/// Of two superblocks the one created last counts, as in the reference; then sets, then a partition table.
fn any(dev: &dyn ReadAt) -> Result<Option<Loaded>, SuperError> {
    let v0 = |sb| Ok(Some(Loaded::V0(Box::new(sb))));
    match (v1::read_any(dev), v0::read(dev).unwrap_or(None)) {
        (Ok(Some((_, sb))), Some(old)) if u64::from(old.ctime()) > sb.ctime() => v0(old),
        (Ok(Some((minor, sb))), _) => Ok(Some(Loaded::V1(minor, Box::new(sb)))),
        (_, Some(old)) => v0(old),
        (v1, None) => match foreign::container(dev).or_else(|| foreign::mbr(dev).map(Found::Table)) {
            Some(found) => Ok(Some(Loaded::Foreign(found))),
            None => v1.map(|_| None),
        },
    }
}

/// Why a device could not be opened, in words.
#[must_use]
pub fn cannot_open(e: &io::Error) -> String {
    match e.raw_os_error() {
        Some(libc::ENOTBLK) => "it is neither a block device nor a plain file".into(),
        _ => reason(e),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::device::mem::MemDevice;
    use crate::units::Bytes;

    /// Reads whole blocks, as a device opened with O_DIRECT, and keeps count: bytes of block 0, and of all others.
    struct Counting {
        dev: MemDevice,
        block: u32,
        first: Cell<u64>,
        others: Cell<u64>,
    }

    impl ReadAt for Counting {
        fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
            let block = u64::from(self.block);
            let start = offset / block;
            let end = (offset + buf.len() as u64).div_ceil(block);
            for n in start..end {
                let count = if n == 0 { &self.first } else { &self.others };
                count.set(count.get() + block);
            }
            self.dev.read_at(offset, buf)
        }

        fn size(&self) -> Bytes {
            self.dev.size()
        }

        fn logical_block_size(&self) -> u32 {
            self.block
        }
    }

    #[test]
    fn looking_for_metadata_reads_at_most_16_kib_of_a_device_and_the_block_of_a_partition_table() {
        for (block, len) in [(512, 1 << 20), (512, 1_048_064), (4096, 1 << 20), (4096, (1 << 20) + 4096)] {
            let blank = Counting { dev: MemDevice::new(len), block, first: Cell::new(0), others: Cell::new(0) };
            assert!(load(&blank, None).unwrap().is_none());
            let (first, others) = (blank.first.get(), blank.others.get());
            assert!(first <= 4096 && (1..=16 * 1024).contains(&others), "{block} {len}: {first} {others}");
        }
    }
}
