//! The bitmap chunk of a new internal (version 4) bitmap and the room it takes, as the reference chooses them.
//!
//! Learnt from what the reference creates (`tests/golden/bitmap-internal.tsv` and the script beside it).

use crate::bitmap::header::SUPER_BYTES;
use crate::bitmap::lockless;
use crate::error::Refusal;
use crate::units::{SECTOR_BYTES, Sectors};

/// Without `--bitmap-chunk` no chunk is finer than this: 64 MiB.
pub const DEFAULT_CHUNK_BYTES: u64 = 64 << 20;
/// The finest chunk: 4 KiB.
pub const MIN_CHUNK_BYTES: u64 = 4096;
/// 8 GiB and 200 GiB in sectors: up to there a member keeps 4 KiB and 64 KiB for a bitmap.
const SMALL_MEMBER: u64 = 8 << 21;
const MEDIUM_MEMBER: u64 = 200 << 21;

/// Sectors that a member keeps for its internal bitmap, by the used size of a member (`size` of the superblock).
#[must_use]
pub fn internal_room(size: Sectors) -> u64 {
    match size.0 {
        0..128 => 0,
        128..=SMALL_MEMBER => 8,
        n if n <= MEDIUM_MEMBER => 128,
        _ => 256,
    }
}

/// Sectors to reserve for a lockless bitmap of chunks no coarser than `coarsest` sectors.
///
/// # Errors
/// Chunks that are too fine for the kernel, or for its memory, with the finest that can be.
pub fn lockless_room(sync: Sectors, coarsest: u64) -> Result<u32, Refusal> {
    lockless::room_for_chunk(sync.0, coarsest).ok_or_else(|| {
        let count = sync.0.div_ceil(coarsest.max(1));
        let kib = |sectors: u64| sectors * SECTOR_BYTES / 1024;
        let finest = kib(lockless::finest_chunk(sync.0));
        Refusal::new(format!("no bitmap can hold chunks of {}K for this array.", kib(coarsest)))
            .hint(format!("it would have {count} of them; the kernel can hold them from --bitmap-chunk={finest}K on"))
    })
}

/// Bytes per chunk for an internal bitmap over `sync` sectors (of the array on raid10, else of a member) on members of
/// `size` used sectors. `asked` is `--bitmap-chunk` in bytes, 0 where none was given. `None` where the bits would not fit
/// the room ("Given bitmap chunk size not supported"), or the chunk not its 32-bit field.
#[must_use]
pub fn internal_chunk(sync: Sectors, size: Sectors, asked: u64) -> Option<u32> {
    chunk_in_room(internal_room(size), sync, asked)
}

/// The same where `room` sectors are there for the bitmap.
#[must_use]
pub fn chunk_in_room(room: u64, sync: Sectors, asked: u64) -> Option<u32> {
    let room_bits = room.checked_mul(SECTOR_BYTES)?.checked_sub(SUPER_BYTES as u64)? * 8;
    // One bit too many at the finest chunk, rounded up at each doubling: a bitmap that would just fit does not.
    let mut finest = MIN_CHUNK_BYTES;
    let mut bits = sync.bytes()?.0 / MIN_CHUNK_BYTES + 1;
    while bits > room_bits {
        finest = finest.checked_mul(2)?;
        bits = bits.div_ceil(2);
    }
    let chunk = if asked == 0 { finest.max(DEFAULT_CHUNK_BYTES) } else { asked };
    u32::try_from(chunk).ok().filter(|_| chunk >= finest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitmap::bits;
    use crate::bitmap::lockless::{ChunkChoice, kernel_chunk};
    use proptest::prelude::*;

    fn rows(table: &str) -> impl Iterator<Item = Vec<&str>> {
        table.lines().filter(|l| !l.starts_with('#')).map(|l| l.split('\t').collect())
    }

    #[test]
    fn the_chunk_and_the_sectors_taken_are_those_of_the_reference() {
        let mut seen = 0;
        for row in rows(include_str!("../../tests/golden/bitmap-internal.tsv")) {
            let number = |n: usize| row[n].parse::<u64>().unwrap();
            let chunk = internal_chunk(Sectors(number(6)), Sectors(number(5)), number(7));
            let want = row[8].parse::<u32>().ok();
            assert_eq!(chunk, want, "{row:?}");
            if let Some(chunk) = chunk {
                let chunks = (number(6) * 512).div_ceil(chunk.into());
                assert_eq!(bits::bitmap_bytes(chunks) / 512, number(9), "{row:?}");
            }
            seen += 1;
        }
        assert!(seen > 60);
    }

    #[test]
    fn the_lockless_chunk_is_the_one_that_a_kernel_chose() {
        let mut seen = 0;
        for row in rows(include_str!("../../tests/golden/bitmap-lockless.tsv")) {
            let number = |n: usize| row[n].parse::<u64>().unwrap();
            let choice = kernel_chunk(number(3), row[4].parse().unwrap());
            assert_eq!(choice, ChunkChoice { chunk_sectors: number(5), chunks: number(6) }, "{row:?}");
            seen += 1;
        }
        assert!(seen > 12);
    }

    proptest! {
        #[test]
        fn the_bits_always_fit_the_room(sync in 128u64..1 << 50, size in 128u64..1 << 50, asked in 0u32..20) {
            let asked = if asked == 0 { 0 } else { 4096u64 << asked };
            if let Some(chunk) = internal_chunk(Sectors(sync), Sectors(size), asked) {
                let chunks = (u128::from(sync) * 512).div_ceil(chunk.into());
                let taken = bits::bitmap_bytes(u64::try_from(chunks).unwrap()) / 512;
                prop_assert!(taken <= internal_room(Sectors(size)));
            }
        }
    }
}
