//! Writes that a seed decides, for arrays that lose power while they are written to, and the check that none that was
//! acknowledged is lost.

use super::{holds_pattern, mix, verify_pattern, write_pattern};
use std::ops::RangeInclusive;
use std::time::Duration;

/// Bytes of a block: what is compared.
pub const BLOCK: u64 = 4096;
/// Number of the first write after the first power cut: no write of the first life gets as far.
pub const SECOND_LIFE: u64 = 1_000_000;
/// A life ends by itself so many writes after the one at whose acknowledgement the power is to go.
pub const IN_FLIGHT: u64 = 300;

/// What and where write `n` of `seed` writes: offset, length in bytes, seed of its pattern.
pub fn nth_write(seed: u64, n: u64, array_bytes: u64) -> (u64, u64, u64) {
    let random = mix(seed, n);
    let blocks = 1 + random % 48;
    (random / 64 % (array_bytes / BLOCK - blocks) * BLOCK, blocks * BLOCK, random)
}

/// Bytes of /dev/md0.
pub fn array_bytes() -> u64 {
    super::sh("blockdev --getsize64 /dev/md0").trim().parse().unwrap()
}

/// Writes to the first `size` bytes of /dev/md0 and acknowledges from write `first` on, until the power goes or [`IN_FLIGHT`]
/// after `last`.
pub fn write_on(seed: u64, first: u64, last: u64, size: u64) {
    acknowledge(seed, first..=last + IN_FLIGHT, size);
    std::thread::sleep(Duration::from_secs(100));
}

/// Writes `numbers` to the first `size` bytes of /dev/md0 and acknowledges each.
pub fn acknowledge(seed: u64, numbers: RangeInclusive<u64>, size: u64) {
    for n in numbers {
        let (offset, len, pattern) = nth_write(seed, n, size);
        write_pattern("/dev/md0", offset, len, pattern);
        println!("acknowledged {n}");
    }
}

/// Writes blocks to /dev/md0 behind `start`, several at a time, that nobody waits for: something is always in flight.
pub fn keep_busy(seed: u64, start: u64) {
    let blocks = (array_bytes() - start) / BLOCK;
    for thread in 0..4 {
        std::thread::spawn(move || {
            for n in 0.. {
                let random = mix(seed ^ (thread << 32), n);
                write_pattern("/dev/md0", start + random % (blocks - 4) * BLOCK, (1 + random / 64 % 4) * BLOCK, random);
            }
        });
    }
}

/// Checks that /dev/md0 holds every acknowledged write of the lives that ended after writes `first` and `second`, but for blocks
/// that a later write has, acknowledged or not. `torn`: a block that was in flight may hold anything. Gives the number of blocks.
#[track_caller]
pub fn check(seed: u64, (first, second): (u64, u64), size: u64, torn: bool) -> u64 {
    let seen = |n: u64| n <= first || (SECOND_LIFE..=second).contains(&n);
    let all: Vec<u64> = (0..=first + IN_FLIGHT).chain(SECOND_LIFE..=second + IN_FLIGHT).collect();
    let mut blocks = 0;
    for (at, n) in all.iter().enumerate().filter(|(_, n)| seen(**n)) {
        let (offset, len, pattern) = nth_write(seed, *n, size);
        blocks += len / BLOCK;
        // what does not hold this write must hold a later one
        for bad in verify_pattern("/dev/md0", offset, len, pattern) {
            let later = all[at + 1..].iter().map(|n| (*n, nth_write(seed, *n, size)));
            let mut covering = later.filter(|(_, (offset, len, _))| (*offset..offset + len).contains(&bad));
            assert!(
                covering.any(|(n, (_, _, p))| (torn && !seen(n)) || holds_pattern("/dev/md0", bad, p)),
                "seed {seed}: write {n} is lost at {bad}"
            );
        }
    }
    blocks
}
