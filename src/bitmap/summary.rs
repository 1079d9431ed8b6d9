//! What a member's bitmap is, in short: for the lines of `--examine`.

use super::header::{BitmapSuper, Kind};
use super::{BitmapError, bits, lockless};
use crate::blockio::ReadAt;
use crate::superblock::v1::{MAGIC, SuperV1, feature};
use crate::units::SECTOR_BYTES;

/// A member's bitmap, from its superblock alone; nothing but 256 bytes has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BitmapSummary {
    /// The type.
    pub kind: Kind,
    /// Byte of the member where the bitmap starts.
    pub start: u64,
    /// Its superblock.
    pub sb: BitmapSuper,
    /// Lockless and never started: the kernel has not chosen a chunk yet (a spare's copy stays so).
    pub first_use: bool,
    /// Bytes per chunk; `None` in the first use.
    pub chunk_bytes: Option<u64>,
    /// Chunks; `None` in the first use.
    pub chunks: Option<u64>,
}

/// What the chunks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// One bit per chunk: how many are set (of the first node, in a clustered one).
    Bits {
        /// Set bits.
        dirty: u64,
    },
    /// Lockless: one state per chunk.
    States(lockless::StateCounts),
}

/// The byte of a member where its bitmap starts; `None` where it has none.
///
/// # Errors
/// [`BitmapError::OutsideDevice`] where that is no byte of the device.
pub fn start(dev: &dyn ReadAt, sb: &SuperV1) -> Result<Option<u64>, BitmapError> {
    if !sb.has(feature::BITMAP_OFFSET) {
        return Ok(None);
    }
    let sector = i128::from(sb.super_offset()) + i128::from(sb.bitmap_offset());
    let at = sector * i128::from(SECTOR_BYTES);
    match u64::try_from(at) {
        Ok(byte) if at + 256 <= i128::from(dev.size().0) => Ok(Some(byte)),
        _ => Err(BitmapError::OutsideDevice { start: at, end: at + 256, device: dev.size().0 }),
    }
}

/// The byte of a member with 0.90 metadata where its bitmap starts, 4 KiB behind its superblock (kernel
/// `super_90_validate`, `default_offset`); `None` where there is no such superblock, in either byte order, or none of
/// the room.
#[must_use]
pub fn start_v0(dev: &dyn ReadAt) -> Option<u64> {
    const RESERVED: u64 = 64 << 10;
    let at = (dev.size().0 / RESERVED).checked_sub(1)? * RESERVED;
    let mut magic = [0u8; 8];
    dev.read_at(at, &mut magic).ok()?;
    let (head, major) = magic.split_at(4);
    let known = head == MAGIC.to_le_bytes() || head == MAGIC.to_be_bytes();
    (known && major == [0; 4]).then_some(at + 4096)
}

/// Reads the superblock of a member's bitmap; `None` where the member has no internal bitmap.
///
/// # Errors
/// Where the member says it has one and there is none that can be understood.
pub fn read(dev: &dyn ReadAt, sb: &SuperV1) -> Result<Option<BitmapSummary>, BitmapError> {
    let Some(start) = start(dev, sb)? else { return Ok(None) };
    let sb = BitmapSuper::read(dev, start)?;
    let kind = sb.kind()?;
    let first_use = kind == Kind::Lockless && lockless::is_first_use(&sb);
    let (chunk_bytes, chunks) = match kind {
        _ if first_use => (None, None),
        Kind::Lockless => (Some(sb.chunk_bytes()), Some(lockless::checked_chunks(&sb)?)),
        _ => (Some(sb.chunk_bytes()), Some(sb.chunks()?)),
    };
    Ok(Some(BitmapSummary { kind, start, sb, first_use, chunk_bytes, chunks }))
}

/// Counts what the chunks are; `None` in the first use, where there are none. Reads the whole bitmap, in pieces.
///
/// # Errors
/// Where the bitmap does not fit the device; the device's.
pub fn counts(dev: &dyn ReadAt, summary: &BitmapSummary) -> Result<Option<Counts>, BitmapError> {
    let Some(chunks) = summary.chunks else { return Ok(None) };
    Ok(Some(match summary.kind {
        Kind::Lockless => Counts::States(lockless::count(dev, summary.start, chunks)?),
        _ => Counts::Bits { dirty: bits::count(dev, summary.start, chunks)? },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitmap::header::NewBitmap;
    use crate::device::mem::MemDevice;
    use crate::uuid::Uuid;
    use proptest::prelude::*;

    fn member(bitmap_offset: i32, super_sector: u64) -> SuperV1 {
        let mut sb = SuperV1::empty();
        sb.set_feature_map(feature::BITMAP_OFFSET);
        sb.set_super_offset(super_sector);
        sb.set_bitmap_offset(bitmap_offset);
        sb
    }

    #[test]
    fn the_bitmap_is_found_before_and_behind_the_superblock() {
        let new = NewBitmap {
            uuid: Uuid([1; 16]),
            sync_sectors: 1280,
            chunk_bytes: 65536,
            daemon_sleep: 5,
            write_behind: 0,
            sectors_reserved: 8,
        };
        for (sb, at) in [(member(8, 8), 8192), (member(-16, 1008), 992 * 512)] {
            let mut dev = MemDevice::new(1 << 20);
            let mut bitmap = BitmapSuper::lockless(&new, false).unwrap();
            dev.bytes[at..at + 256].copy_from_slice(bitmap.bytes());
            let found = read(&dev, &sb).unwrap().unwrap();
            assert_eq!((found.start, found.first_use, found.chunks), (at as u64, true, None));
            assert_eq!(counts(&dev, &found).unwrap(), None);
            bitmap.set_state(0);
            dev.bytes[at..at + 256].copy_from_slice(bitmap.bytes());
            dev.bytes[at + 1024..at + 1034].fill(1);
            let found = read(&dev, &sb).unwrap().unwrap();
            assert_eq!((found.chunk_bytes, found.chunks), (Some(65536), Some(10)));
            let Some(Counts::States(states)) = counts(&dev, &found).unwrap() else { panic!() };
            assert_eq!(states.get(lockless::ChunkState::Clean), 10);
        }
    }

    #[test]
    fn a_bitmap_outside_the_device_is_refused_and_none_is_none() {
        let dev = MemDevice::new(1 << 20);
        for sb in [member(-9, 8), member(i32::MIN, 8), member(i32::MAX, 8), member(1, u64::MAX), member(-1, 2048 + 1)] {
            assert!(matches!(read(&dev, &sb), Err(BitmapError::OutsideDevice { .. })), "{}", sb.bitmap_offset());
        }
        let mut none = member(8, 8);
        none.set_feature_map(0);
        assert!(read(&dev, &none).unwrap().is_none());
        assert!(matches!(read(&dev, &member(8, 8)), Err(BitmapError::NoMagic { found: 0 })));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_superblock_over_any_bytes_makes_the_summary_panic(
            offset in prop_oneof![-40i32..40, any::<i32>()],
            at in prop_oneof![0u64..40, any::<u64>()],
            mut bytes in prop::collection::vec(any::<u8>(), 0..6000),
            version in 0u32..9,
        ) {
            let sb = member(offset, at);
            let start = (i128::from(at) + i128::from(offset)) * 512;
            if let Ok(start) = usize::try_from(start)
                && let Some(head) = start.checked_add(8).and_then(|end| bytes.get_mut(start..end))
            {
                head[..4].copy_from_slice(&crate::bitmap::header::MAGIC.to_le_bytes());
                head[4..].copy_from_slice(&version.to_le_bytes());
            }
            let dev = MemDevice::from_bytes(bytes);
            let _ = start_v0(&dev);
            if let Ok(Some(found)) = read(&dev, &sb) {
                prop_assert!(found.start + 256 <= dev.size().0);
                prop_assert_eq!(found.kind.version(), version);
                if let Ok(Some(Counts::States(counts))) = counts(&dev, &found) {
                    prop_assert_eq!(Some(counts.total()), found.chunks);
                }
            }
        }
    }
}
