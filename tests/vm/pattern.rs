//! Data that tells where it was written: every 4 KiB block holds numbers made from a seed and its own offset.

use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

const BLOCK: usize = 4096;
const PIECE: usize = 256 * BLOCK;

/// Fills `len` bytes from `offset` of `path` (both multiples of 4096) with the pattern of `seed`, past the page cache,
/// and syncs.
#[track_caller]
pub fn write_pattern(path: &str, offset: u64, len: u64, seed: u64) {
    let file = OpenOptions::new().write(true).custom_flags(libc::O_DIRECT).open(path).unwrap();
    in_pieces(offset, len, |at, piece| {
        for (n, block) in piece.chunks_mut(BLOCK).enumerate() {
            fill(block, at + (n * BLOCK) as u64, seed);
        }
        file.write_all_at(piece, at).unwrap_or_else(|e| panic!("write {path} at {at}: {e}"));
    });
    file.sync_all().unwrap();
}

/// Reads the same range past the page cache and returns the offsets of the 4 KiB blocks that do not hold the pattern.
#[track_caller]
pub fn verify_pattern(path: &str, offset: u64, len: u64, seed: u64) -> Vec<u64> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(path).unwrap();
    let (mut bad, mut want) = (Vec::new(), [0; BLOCK]);
    in_pieces(offset, len, |at, piece| {
        file.read_exact_at(piece, at).unwrap_or_else(|e| panic!("read {path} at {at}: {e}"));
        for (n, block) in piece.chunks(BLOCK).enumerate() {
            let block_at = at + (n * BLOCK) as u64;
            fill(&mut want, block_at, seed);
            if block != want {
                bad.push(block_at);
            }
        }
    });
    bad
}

/// Calls `each` with an offset and a buffer aligned for O_DIRECT, piece by piece over the range.
fn in_pieces(offset: u64, len: u64, mut each: impl FnMut(u64, &mut [u8])) {
    assert!(
        offset.is_multiple_of(BLOCK as u64) && len.is_multiple_of(BLOCK as u64),
        "not in 4 KiB blocks: {offset} {len}"
    );
    let mut buffer = vec![0; PIECE + BLOCK];
    let start = buffer.as_ptr().align_offset(BLOCK);
    let mut at = offset;
    while at < offset + len {
        let piece = (offset + len - at).min(PIECE as u64);
        each(at, &mut buffer[start..start + piece as usize]);
        at += piece;
    }
}

/// Whether the 4 KiB block at `offset` of `path` holds the pattern of `seed`.
#[track_caller]
pub fn holds_pattern(path: &str, offset: u64, seed: u64) -> bool {
    verify_pattern(path, offset, BLOCK as u64, seed).is_empty()
}

/// A number that looks random, made from two: the same in every run.
pub fn mix(seed: u64, n: u64) -> u64 {
    splitmix(splitmix(seed) ^ n)
}

/// One block: numbers started from seed and offset.
fn fill(block: &mut [u8], offset: u64, seed: u64) {
    let start = mix(seed, offset);
    for (n, word) in block.chunks_mut(8).enumerate() {
        word.copy_from_slice(&splitmix(start.wrapping_add(n as u64)).to_le_bytes());
    }
}

/// One step of splitmix64.
fn splitmix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
