//! What a lockless bitmap costs, in a line: metadata, and what a crash makes be resynced.

use crate::bitmap::lockless;
use crate::units::SECTOR_BYTES;

/// `608 chunks of 64K, 4K of metadata on each member; a crash resyncs 64K a dirty chunk, 32M a block of 512 chunks`.
///
/// `block_bytes` is the array's logical block: the states are written in blocks of so many (docs/lockless.md).
#[must_use]
pub fn line(chunks: u64, chunk_sectors: u64, block_bytes: u64) -> String {
    let chunk = chunk_sectors.saturating_mul(SECTOR_BYTES);
    let block = chunk.saturating_mul(block_bytes.min(chunks));
    format!(
        "{chunks} chunks of {}, {} of metadata on each member; after a crash each dirty chunk is resynced ({}), at worst all {} \
         chunks of a block that is written to ({})",
        size(chunk),
        size(lockless::bitmap_bytes(chunks)),
        size(chunk),
        block_bytes.min(chunks),
        size(block)
    )
}

/// `64K`, `32M`, `1.5G`: the largest unit that leaves at least 1, one decimal where it is not whole.
#[must_use]
pub fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];
    for (unit, letter) in UNITS {
        if bytes >= unit {
            let tenths = u128::from(bytes) * 10 / u128::from(unit);
            let (whole, tenth) = (tenths / 10, tenths % 10);
            return if tenth == 0 { format!("{whole}{letter}") } else { format!("{whole}.{tenth}{letter}") };
        }
    }
    bytes.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_names_the_chunk_and_the_block() {
        assert_eq!(
            line(608, 128, 512),
            "608 chunks of 64K, 4K of metadata on each member; after a crash each dirty chunk is resynced (64K), at worst all \
             512 chunks of a block that is written to (32M)"
        );
        assert_eq!((size(1536 << 20), size(17)), ("1.5G".to_owned(), "17".to_owned()));
    }
}
