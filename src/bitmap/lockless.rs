//! The lockless bitmap (version 6): one byte per chunk (kernel `drivers/md/md-llbitmap.c`).
//!
//! From the bitmap's start: the superblock, zeros up to byte [`DATA_OFFSET`], then one state byte per chunk. The kernel
//! chooses the chunk itself when an array with a bitmap in its first use starts; [`kernel_chunk`] is that choice.

use wide::i8x16;

use super::BitmapError;
use super::header::{BitmapSuper, state};
use crate::blockio::ReadAt;
use crate::units::SECTOR_BYTES;

/// Bytes from the bitmap's start to the first state (`BITMAP_DATA_OFFSET`).
pub const DATA_OFFSET: u64 = 1024;
/// The finest chunk that the kernel chooses, in sectors: 64 KiB (`MIN_CHUNK_SIZE`).
pub const MIN_CHUNK_SECTORS: u64 = 128;
/// Room that the reference reserves at create, in sectors.
pub const DEFAULT_ROOM_SECTORS: u32 = 256;
/// The least room worth reserving, in sectors: one page.
pub const MIN_ROOM_SECTORS: u32 = 8;
/// Room where the bitmap superblock records none, in sectors: what is left of the 4 KiB behind a v1.x superblock
/// (kernel `super_1_validate`, `default_space`).
pub const UNRECORDED_ROOM_SECTORS: u32 = 6;
/// The kernel reads and writes the bitmap in pages.
const PAGE_BYTES: u64 = 4096;
/// Bytes of the largest bitmap that the kernel can hold: it wants 128 bytes for each page, in one piece of at most 4 MiB
/// (`llbitmap_cache_pages`; tried on 8190 and 8193 GiB with chunks of 64 KiB).
pub const MAX_BYTES: u64 = (4 << 20) / 128 * PAGE_BYTES;
/// States are read in pieces of this size.
const PIECE_BYTES: usize = 256 << 10;

/// States are counted this many at once.
const LANES: usize = 16;
/// How many bytes are counted before the lanes, of eight bits each, are full.
const BLOCK: usize = LANES * 255;
/// States that one pass over a block counts: as many as stay in registers.
const PER_PASS: usize = 4;

/// The state of a chunk (kernel `enum llbitmap_state`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChunkState {
    /// Holds no data; never resynced, and not rebuilt either.
    Unwritten = 0,
    /// In sync.
    Clean = 1,
    /// Being written, or written a short while ago.
    Dirty = 2,
    /// To be resynced.
    NeedSync = 3,
    /// Being resynced.
    Syncing = 4,
    /// raid4/5/6: parity to be built though nothing was written.
    NeedSyncUnwritten = 5,
    /// raid4/5/6: parity being built though nothing was written.
    SyncingUnwritten = 6,
    /// raid4/5/6: parity is right though nothing was written.
    CleanUnwritten = 7,
}

impl ChunkState {
    /// All of them, in the order of their numbers.
    pub const ALL: [ChunkState; 8] = [
        ChunkState::Unwritten,
        ChunkState::Clean,
        ChunkState::Dirty,
        ChunkState::NeedSync,
        ChunkState::Syncing,
        ChunkState::NeedSyncUnwritten,
        ChunkState::SyncingUnwritten,
        ChunkState::CleanUnwritten,
    ];

    /// From the byte on disk; `None` for a value that no kernel writes.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<ChunkState> {
        ChunkState::ALL.get(usize::from(byte)).copied()
    }

    /// As `md/llbitmap/bits` spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ChunkState::Unwritten => "unwritten",
            ChunkState::Clean => "clean",
            ChunkState::Dirty => "dirty",
            ChunkState::NeedSync => "need sync",
            ChunkState::Syncing => "syncing",
            ChunkState::NeedSyncUnwritten => "need sync unwritten",
            ChunkState::SyncingUnwritten => "syncing unwritten",
            ChunkState::CleanUnwritten => "clean unwritten",
        }
    }

    /// Whether the kernel turns it into "need sync" when the array is assembled (`BitmapActionReload`), or, with a
    /// bitmap that is out of date, by `BitmapActionStale`.
    #[must_use]
    pub fn resyncs_at_start(self, stale: bool) -> bool {
        match self {
            ChunkState::Dirty | ChunkState::NeedSync | ChunkState::Syncing => true,
            ChunkState::Clean => stale,
            ChunkState::Unwritten
            | ChunkState::NeedSyncUnwritten
            | ChunkState::SyncingUnwritten
            | ChunkState::CleanUnwritten => false,
        }
    }
}

/// How many chunks are in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StateCounts {
    /// By the number of the state.
    by_state: [u64; 8],
    /// Bytes that are no state.
    pub invalid: u64,
    /// The byte of the last chunk, which may be shorter than the others; `None` with no chunks.
    pub last: Option<u8>,
}

impl StateCounts {
    /// Chunks in this state.
    #[must_use]
    pub fn get(&self, state: ChunkState) -> u64 {
        self.by_state.get(state as usize).copied().unwrap_or(0)
    }

    /// Sets how many chunks are in this state: for counts that come from the kernel.
    pub fn set(&mut self, state: ChunkState, chunks: u64) {
        if let Some(count) = self.by_state.get_mut(state as usize) {
            *count = chunks;
        }
    }

    /// Whether both count the same, whatever their last chunks are.
    #[must_use]
    pub fn same_counts(&self, other: &StateCounts) -> bool {
        (self.by_state, self.invalid) == (other.by_state, other.invalid)
    }

    /// All chunks, the invalid ones included.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_state.iter().sum::<u64>() + self.invalid
    }

    /// Adds state bytes, in the order of the chunks.
    pub fn add(&mut self, states: &[u8]) {
        for block in states.chunks(BLOCK) {
            let (lanes, rest) = block.as_chunks::<LANES>();
            let mut left = block.len() as u64;
            for (counts, first) in self.by_state.chunks_exact_mut(PER_PASS).zip((0i8..).step_by(PER_PASS)) {
                for (count, n) in counts.iter_mut().zip(count_four(lanes, rest, first)) {
                    *count += n;
                    left -= n;
                }
                // Most blocks hold only some of the states.
                if left == 0 {
                    break;
                }
            }
            self.invalid += left;
        }
        self.last = states.last().copied().or(self.last);
    }

    /// Chunks that the kernel would resync if the array started now, not degraded. A byte that is no state counts: the
    /// kernel takes it for "need sync" (`llbitmap_state_machine`).
    #[must_use]
    pub fn resync_chunks(&self, stale: bool) -> u64 {
        let known = ChunkState::ALL.into_iter().filter(|s| s.resyncs_at_start(stale));
        known.map(|s| self.get(s)).sum::<u64>() + self.invalid
    }

    /// The same in bytes of the sync range: members' bytes on raid4/5/6, the array's else. The last chunk may be short.
    #[must_use]
    pub fn resync_bytes(&self, stale: bool, sync_sectors: u64, chunk_bytes: u64) -> u64 {
        let whole = self.resync_chunks(stale).saturating_mul(chunk_bytes);
        let last = self.last.and_then(|b| ChunkState::from_byte(b).map(|s| s.resyncs_at_start(stale)).or(Some(true)));
        let covered = self.total().saturating_mul(chunk_bytes);
        let beyond = covered.saturating_sub(sync_sectors.saturating_mul(SECTOR_BYTES));
        if last == Some(true) { whole.saturating_sub(beyond) } else { whole }
    }
}

/// How many bytes are each of the states `first` to `first + 3`. At most [`BLOCK`] bytes.
fn count_four(lanes: &[[u8; LANES]], rest: &[u8], first: i8) -> [u64; PER_PASS] {
    let wanted = [first, first + 1, first + 2, first + 3];
    let mut counts = [i8x16::ZERO; PER_PASS];
    for bytes in lanes {
        let bytes = i8x16::new(bytes.map(u8::cast_signed));
        for (count, state) in counts.iter_mut().zip(wanted) {
            // Equal lanes are -1.
            *count -= bytes.simd_eq(i8x16::splat(state));
        }
    }
    let mut sums = counts.map(|c| c.to_array().map(|lane| u64::from(lane.cast_unsigned())).iter().sum());
    for (sum, state) in sums.iter_mut().zip(wanted) {
        *sum += rest.iter().filter(|b| b.cast_signed() == state).count() as u64;
    }
    sums
}

/// A chunk size and how many chunks of it cover the sync range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkChoice {
    /// Sectors per chunk, a power of two.
    pub chunk_sectors: u64,
    /// Chunks, the last one perhaps not full.
    pub chunks: u64,
}

/// The chunk that the kernel chooses at the first start (`llbitmap_init`): 64 KiB, doubled until the chunks are not more
/// than the bytes of the room. `sync_sectors` is what the chunks cover: a member's sectors on raid1/4/5/6, the array's on
/// raid10. `sectors_reserved` 0 means the kernel's default of 3 KiB. On v1.0 the room is [`room_v1_0`] instead.
#[must_use]
pub fn kernel_chunk(sync_sectors: u64, sectors_reserved: u32) -> ChunkChoice {
    let space = match sectors_reserved {
        0 => u64::from(UNRECORDED_ROOM_SECTORS) * SECTOR_BYTES,
        // The kernel passes it through an int: from 2^31 on it is huge, and all fit.
        n if n > i32::MAX as u32 => u64::MAX,
        n => u64::from(n) * SECTOR_BYTES,
    };
    let mut choice = chunks_of(sync_sectors, MIN_CHUNK_SECTORS);
    while choice.chunks > space {
        choice = chunks_of(sync_sectors, choice.chunk_sectors << 1);
    }
    choice
}

fn chunks_of(sync_sectors: u64, chunk_sectors: u64) -> ChunkChoice {
    ChunkChoice { chunk_sectors, chunks: sync_sectors.div_ceil(chunk_sectors) }
}

/// The room of a bitmap on v1.0, in sectors, which the kernel takes from the bitmap's offset and not from
/// `sectors_reserved` (`super_1_validate`): up to the superblock where the bitmap is before it, else to 4 KiB behind it.
/// `None` for an offset of 0 and for one past those 4 KiB, where the kernel's difference wraps around.
#[must_use]
pub fn room_v1_0(bitmap_offset: i32) -> Option<u32> {
    match bitmap_offset {
        0 | 9.. => None,
        after @ 1..=8 => u32::try_from(8 - after).ok(),
        before => Some(before.unsigned_abs()),
    }
}

/// Bytes that the kernel reads and writes for this many chunks, from the bitmap's start: whole pages.
#[must_use]
pub fn bitmap_bytes(chunks: u64) -> u64 {
    chunks.saturating_add(DATA_OFFSET).div_ceil(PAGE_BYTES).saturating_mul(PAGE_BYTES)
}

/// The room, in sectors, to reserve so that the kernel's choice is no coarser than `max_chunk_sectors` (which counts as
/// the power of two below it): whole pages. It holds the states only as the kernel counts them; the bitmap itself takes
/// [`bitmap_bytes`] and may end up to a page behind this room. `None` below [`finest_chunk`].
#[must_use]
pub fn room_for_chunk(sync_sectors: u64, max_chunk_sectors: u64) -> Option<u32> {
    let chunk = 1u64 << max_chunk_sectors.checked_ilog2()?;
    if chunk < finest_chunk(sync_sectors) {
        return None;
    }
    let pages = sync_sectors.div_ceil(chunk).div_ceil(PAGE_BYTES).max(1);
    i32::try_from(pages.checked_mul(PAGE_BYTES / SECTOR_BYTES)?).ok().map(i32::unsigned_abs)
}

/// The finest chunk, in sectors, of which the kernel can hold as many as cover this range.
#[must_use]
pub fn finest_chunk(sync_sectors: u64) -> u64 {
    let mut chunk = MIN_CHUNK_SECTORS;
    while bitmap_bytes(sync_sectors.div_ceil(chunk)) > MAX_BYTES {
        chunk <<= 1;
    }
    chunk
}

/// Stands for `--bitmap-chunk=auto` where a coarsest chunk is asked for.
pub const FINEST: u64 = 0;
/// [`finest_room`] takes no more than this, in sectors: 8 MiB.
const MOST_ROOM_SECTORS: u32 = 16384;

/// The room, in sectors, for the finest chunk that the kernel has, as far as that is worth it.
#[must_use]
pub fn finest_room(sync_sectors: u64) -> u32 {
    room_for_chunk(sync_sectors, MIN_CHUNK_SECTORS).map_or(MOST_ROOM_SECTORS, |r| r.min(MOST_ROOM_SECTORS))
}

/// How many state bytes a superblock says there are.
///
/// # Errors
/// [`BitmapError::Field`] for a chunk that the kernel refuses (0, no power of two) or a sync range that cannot be.
pub fn checked_chunks(sb: &BitmapSuper) -> Result<u64, BitmapError> {
    let chunks = sb.chunks()?;
    if !sb.chunksize().is_power_of_two() {
        return Err(BitmapError::Field {
            field: "chunksize",
            value: sb.chunksize().into(),
            why: "is not a power of two (sectors)",
        });
    }
    Ok(chunks)
}

/// Whether the bitmap waits for its first start: its chunk size means nothing yet and there are no states.
#[must_use]
pub fn is_first_use(sb: &BitmapSuper) -> bool {
    sb.state() & state::FIRST_USE != 0
}

/// Reads the states of all chunks of the bitmap at byte `start`, in pieces of bounded size and in order. `each` gets the
/// number of a piece's first chunk and its bytes.
///
/// # Errors
/// [`BitmapError::OutsideDevice`] before anything is read where the states do not fit the device; the device's.
pub fn read_states(
    dev: &dyn ReadAt,
    start: u64,
    chunks: u64,
    mut each: impl FnMut(u64, &[u8]),
) -> Result<(), BitmapError> {
    let end = i128::from(start) + i128::from(DATA_OFFSET) + i128::from(chunks);
    if end > i128::from(dev.size().0) {
        return Err(BitmapError::OutsideDevice { start: start.into(), end, device: dev.size().0 });
    }
    let mut buf = vec![0u8; PIECE_BYTES.min(usize::try_from(chunks).unwrap_or(PIECE_BYTES))];
    let mut done = 0u64;
    while done < chunks {
        let left = usize::try_from(chunks - done).unwrap_or(usize::MAX).min(buf.len());
        let Some(piece) = buf.get_mut(..left) else { break };
        dev.read_at(start + DATA_OFFSET + done, piece)?;
        each(done, piece);
        done += left as u64;
    }
    Ok(())
}

/// Counts the states of all chunks of the bitmap at byte `start`.
///
/// # Errors
/// As [`read_states`].
pub fn count(dev: &dyn ReadAt, start: u64, chunks: u64) -> Result<StateCounts, BitmapError> {
    let mut counts = StateCounts::default();
    read_states(dev, start, chunks, |_, piece| counts.add(piece))?;
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::mem::MemDevice;
    use proptest::prelude::*;

    const GIB: u64 = 2 << 20;

    #[test]
    fn the_kernel_doubles_the_chunk_until_the_states_fit_the_room() {
        for (sectors, room, chunk, chunks) in [
            (GIB, 256, 128, 16384),
            (8 * GIB, 256, 128, 131_072),
            (8 * GIB + 1, 256, 256, 65537),
            (20 * GIB, 256, 512, 81920),
            (8192 * GIB, 256, 131_072, 131_072),
            (2 * GIB, 0, 2048, 2048),
        ] {
            assert_eq!(kernel_chunk(sectors, room), ChunkChoice { chunk_sectors: chunk, chunks }, "{sectors} {room}");
        }
    }

    #[test]
    fn the_room_of_v1_0_is_the_distance_to_the_superblock() {
        let rooms = [-256, -16, 2, 8, 0, 9, i32::MIN].map(room_v1_0);
        assert_eq!(rooms, [Some(256), Some(16), Some(6), Some(0), None, None, Some(1 << 31)]);
    }

    #[test]
    fn states_are_counted_by_their_names_and_damage_apart() {
        let mut dev = MemDevice::new(4096 + 1024 + 600);
        for (i, b) in dev.bytes[4096 + 1024..].iter_mut().enumerate() {
            *b = if i < 300 { 1 } else { u8::try_from(i % 10).unwrap() };
        }
        let counts = count(&dev, 4096, 600).unwrap();
        assert_eq!((counts.total(), counts.get(ChunkState::Clean), counts.invalid), (600, 330, 60));
        assert_eq!(counts.last, Some(9));
        assert_eq!(counts.resync_chunks(false), 30 * 3 + 60);
        assert_eq!(counts.resync_chunks(true), 30 * 3 + 60 + 330);
        assert!(matches!(count(&dev, 4096, 601), Err(BitmapError::OutsideDevice { .. })));
        assert!(matches!(count(&dev, u64::MAX, u64::MAX), Err(BitmapError::OutsideDevice { .. })));
    }

    #[test]
    fn a_short_last_chunk_counts_with_what_it_covers() {
        let mut counts = StateCounts::default();
        counts.add(&[2, 0, 3]);
        assert_eq!(counts.resync_bytes(false, 128 * 2 + 10, 65536), 65536 + 5120);
        let mut counts = StateCounts::default();
        counts.add(&[2, 3, 0]);
        assert_eq!(counts.resync_bytes(false, 128 * 2 + 10, 65536), 2 * 65536);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn counting_many_states_at_once_counts_each(states in proptest::collection::vec(prop_oneof![0u8..9, 0u8..], 0..3 * BLOCK)) {
            let mut counts = StateCounts::default();
            counts.add(&states);
            for state in ChunkState::ALL {
                let want = states.iter().filter(|b| **b == state as u8).count() as u64;
                prop_assert_eq!(counts.get(state), want);
            }
            prop_assert_eq!(counts.invalid, states.iter().filter(|b| **b > 7).count() as u64);
        }
    }

    proptest! {
        #[test]
        fn the_chosen_chunks_cover_the_range_fit_the_room_and_no_finer_chunk_would(
            sectors in 1u64..u64::MAX, room in 0u32..1 << 20
        ) {
            let ChunkChoice { chunk_sectors, chunks } = kernel_chunk(sectors, room);
            let space = if room == 0 { 3072 } else { u64::from(room) * 512 };
            prop_assert!(chunk_sectors.is_power_of_two() && chunks <= space);
            prop_assert!(u128::from(chunks) * u128::from(chunk_sectors) >= u128::from(sectors));
            prop_assert!(chunk_sectors == 128 || sectors.div_ceil(chunk_sectors / 2) > space);
        }

        #[test]
        fn the_room_for_a_chunk_makes_the_kernel_choose_none_coarser(
            sectors in 1u64..1 << 44, chunk in 128u64..1 << 24
        ) {
            if let Some(room) = room_for_chunk(sectors, chunk) {
                prop_assert!(room >= MIN_ROOM_SECTORS && room % 8 == 0);
                let behind = bitmap_bytes(kernel_chunk(sectors, room).chunks) / 512 - u64::from(room);
                prop_assert!(behind <= 8);
                prop_assert!(kernel_chunk(sectors, room).chunk_sectors <= chunk);
                let coarser = room == MIN_ROOM_SECTORS
                    || kernel_chunk(sectors, room - 8).chunk_sectors > (1 << chunk.ilog2());
                prop_assert!(coarser, "less room would do: {room}");
            }
        }

        #[test]
        fn no_room_is_given_for_more_than_the_kernel_can_hold(sectors in 1u64..1 << 50, chunk in 128u64..1 << 32) {
            let finest = finest_chunk(sectors);
            prop_assert!(bitmap_bytes(sectors.div_ceil(finest)) <= MAX_BYTES);
            prop_assert!(finest == 128 || bitmap_bytes(sectors.div_ceil(finest / 2)) > MAX_BYTES);
            let held = 1 << chunk.ilog2() >= finest;
            prop_assert_eq!(room_for_chunk(sectors, chunk).is_some(), held);
            let room = room_for_chunk(sectors, chunk).unwrap_or(8);
            prop_assert!(!held || bitmap_bytes(kernel_chunk(sectors, room).chunks) <= MAX_BYTES);
        }

        #[test]
        fn counting_in_pieces_equals_counting_one_by_one(states in prop::collection::vec(0u8..12, 0..3000)) {
            let mut counts = StateCounts::default();
            states.chunks(701).for_each(|p| counts.add(p));
            for s in ChunkState::ALL {
                prop_assert_eq!(counts.get(s), states.iter().filter(|b| **b == s as u8).count() as u64);
            }
            prop_assert_eq!(counts.total(), states.len() as u64);
            prop_assert_eq!(counts.last, states.last().copied());
        }
    }
}
