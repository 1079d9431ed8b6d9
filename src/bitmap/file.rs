//! Bitmap files: a version-4 bitmap from the first byte of a file on (kernel `md_bitmap_read_sb`, `read_file_page`).
//!
//! The kernel finds the blocks of the file once, at the start of the array, and from then on reads and writes them past the
//! file system: all of them must exist before.

use super::BitmapError;
use super::bits::{self, bitmap_bytes};
use super::header::{BitmapSuper, Kind, NewBitmap, SUPER_BYTES};
use crate::blockio::ReadAt;
use crate::units::{SECTOR_BYTES, Sectors};
use crate::uuid::Uuid;

/// Without `--bitmap-chunk` a file has at most so many chunks (mdadm(8) before 4.4).
const DEFAULT_CHUNKS: u64 = 1 << 21;
/// The finest chunk: 4 KiB.
const MIN_CHUNK_BYTES: u64 = 4096;
/// The most chunks of all: 16 MiB of bits. The kernel keeps two bytes of memory for each.
const MAX_CHUNKS: u64 = 1 << 27;
/// The kernel's own limits (`md_bitmap_read_sb`).
const KERNEL_MIN_CHUNK_BYTES: u64 = 512;

/// Bytes per chunk for a file over `sync` sectors: as asked, else the smallest from 4 KiB up that makes at most 2^21 chunks.
/// `None` where that is too many chunks, or does not fit its field.
#[must_use]
pub fn chunk_bytes(sync: Sectors, asked: Option<u64>) -> Option<u64> {
    let bytes = sync.bytes()?.0;
    let chunk = match asked {
        Some(chunk) => chunk,
        None => {
            let mut chunk = MIN_CHUNK_BYTES;
            while bytes.div_ceil(chunk) > DEFAULT_CHUNKS {
                chunk = chunk.checked_mul(2)?;
            }
            chunk
        }
    };
    let fits = u32::try_from(chunk).is_ok() && bytes.div_ceil(chunk.max(1)) <= MAX_CHUNKS;
    (fits && chunk >= MIN_CHUNK_BYTES && chunk.is_power_of_two()).then_some(chunk)
}

/// The bytes of a new file: superblock and bits, all set, in whole blocks of 4 KiB. `None` where the chunk does not fit.
#[must_use]
pub fn new_file(new: &NewBitmap) -> Option<Vec<u8>> {
    let sb = BitmapSuper::internal(new)?;
    let chunks = sb.chunks().ok().filter(|c| *c <= MAX_CHUNKS)?;
    let mut bytes = sb.bytes().to_vec();
    bytes.resize(usize::try_from(bitmap_bytes(chunks)).ok()?, 0xff);
    Some(bytes)
}

/// A bitmap file as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileBitmap {
    /// Its superblock.
    pub sb: BitmapSuper,
    /// Bits.
    pub chunks: u64,
    /// Those that are set.
    pub dirty: u64,
}

/// Reads a bitmap file, and refuses one that the kernel would: `md_bitmap_read_sb`, `md_bitmap_init_from_disk`.
///
/// # Errors
/// What is wrong with it.
pub fn read(file: &dyn ReadAt) -> Result<FileBitmap, BitmapError> {
    let sb = BitmapSuper::read(file, 0)?;
    let bad = |field, value, why| Err(BitmapError::Field { field, value, why });
    if !matches!(sb.kind()?, Kind::LittleEndian | Kind::HostEndian) {
        return bad("version", sb.version().into(), "the kernel does not take from a file");
    }
    if sb.chunk_bytes() < KERNEL_MIN_CHUNK_BYTES || !sb.chunk_bytes().is_power_of_two() {
        return bad("chunksize", sb.chunk_bytes(), "is no power of two from 512 bytes on");
    }
    if sb.daemon_sleep() == 0 {
        return bad("daemon_sleep", 0, "the kernel does not take");
    }
    let chunks = sb.chunks()?;
    let dirty = bits::count(file, 0, chunks)?;
    Ok(FileBitmap { sb, chunks, dirty })
}

impl FileBitmap {
    /// Bytes of the array that the set bits stand for, in sectors.
    #[must_use]
    pub fn dirty_sectors(&self) -> Sectors {
        let sectors = self.dirty.saturating_mul(self.sb.chunk_bytes() / SECTOR_BYTES);
        Sectors(sectors.min(self.sb.sync_size()))
    }

    /// Why it cannot be the bitmap of this array; `None` where it can. `uuid` is zero for an array without metadata; the
    /// range is looked at where it is given.
    #[must_use]
    pub fn stranger(&self, uuid: Uuid, sync: Option<Sectors>) -> Option<String> {
        let found = self.sb.uuid();
        if found != uuid {
            let whose = if found.is_zero() { "an array without metadata".into() } else { format!("array {found}") };
            return Some(format!("is the bitmap of {whose}"));
        }
        if let Some(sync) = sync.filter(|s| s.0 != self.sb.sync_size()) {
            let (had, has) = (Sectors(self.sb.sync_size()).kib(), sync.kib());
            return Some(format!("is the bitmap of an array of {had}K, this one has {has}K"));
        }
        None
    }
}

const _: () = assert!(SUPER_BYTES as u64 + MAX_CHUNKS / 8 < 1 << 25);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::mem::MemDevice;
    use proptest::prelude::*;

    fn new(sync_sectors: u64, chunk_bytes: u64) -> NewBitmap {
        let uuid = Uuid([3; 16]);
        NewBitmap { uuid, sync_sectors, chunk_bytes, daemon_sleep: 5, write_behind: 0, sectors_reserved: 0 }
    }

    #[test]
    fn the_chunk_is_the_smallest_that_makes_two_million_chunks_at_most() {
        let of = |gib: u64| chunk_bytes(Sectors(gib << 21), None);
        assert_eq!((of(1), of(8), of(9), of(16)), (Some(4096), Some(4096), Some(8192), Some(8192)));
        assert_eq!(of(1 << 20), Some(512 << 20));
        assert_eq!(chunk_bytes(Sectors(1 << 21), Some(64 << 20)), Some(64 << 20));
        assert_eq!(chunk_bytes(Sectors(1 << 21), Some(1024)), None);
        assert_eq!(chunk_bytes(Sectors(1 << 21), Some(1 << 32)), None);
        assert_eq!(chunk_bytes(Sectors(1 << 40), Some(4096)), None, "half a million million bits");
    }

    #[test]
    fn a_file_that_the_kernel_would_not_take_is_told() {
        let good = || MemDevice::from_bytes(new_file(&new(8192, 4096)).unwrap());
        let found = read(&good()).unwrap();
        assert_eq!((found.chunks, found.dirty, found.dirty_sectors()), (1024, 1024, Sectors(8192)));
        assert_eq!(found.stranger(Uuid([3; 16]), Some(Sectors(8192))), None);
        assert!(found.stranger(Uuid([4; 16]), None).unwrap().contains("bitmap of array 03030303"));
        assert!(found.stranger(Uuid([3; 16]), Some(Sectors(9000))).unwrap().contains("of 4096K, this one has 4500K"));
        let changed = |at: usize, value: u32| {
            let mut file = good();
            file.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            read(&file).unwrap_err().to_string()
        };
        assert!(changed(0, 1).contains("no bitmap"));
        assert!(changed(4, 6).contains("version"));
        assert!(changed(4, 9).contains("not known"));
        assert!(changed(52, 0).contains("chunksize") && changed(52, 3000).contains("chunksize"));
        assert!(changed(56, 0).contains("daemon_sleep"));
        assert!(changed(40, 1 << 30).contains("reaches"), "more bits than the file has");
    }

    proptest! {
        #[test]
        fn a_new_file_reads_back_with_all_bits_set(sync in 1u64..1 << 34, shift in 12u32..32, given in any::<bool>()) {
            let asked = given.then_some(1u64 << shift);
            if let Some(chunk) = chunk_bytes(Sectors(sync), asked).filter(|c| sync * 512 / c < 1 << 22) {
                let bytes = new_file(&new(sync, chunk)).unwrap();
                prop_assert_eq!(bytes.len() % 4096, 0);
                let found = read(&MemDevice::from_bytes(bytes)).unwrap();
                prop_assert_eq!(found.dirty, (sync * 512).div_ceil(chunk));
                prop_assert_eq!(found.chunks, found.dirty);
            }
        }

        #[test]
        fn no_bytes_make_the_reading_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..9000), magic in any::<bool>()) {
            if magic && bytes.len() >= 8 {
                bytes[..8].copy_from_slice(&[0x62, 0x69, 0x74, 0x6d, 4, 0, 0, 0]);
            }
            let _ = read(&MemDevice::from_bytes(bytes));
        }
    }
}
