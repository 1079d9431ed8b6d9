//! The two logs that close the write hole of raid4/5/6, as far as userspace writes them: the first block of a journal
//! (kernel raid5-cache.c) and the header of a partial parity log, PPL (kernel raid5-ppl.c). Layouts: uapi `md_p.h`.
//!
//! ```text
//! journal   0 magic  4 checksum  8 version  9 zeros  12 meta_size  16 seq  24 position  32 payloads ... 4096
//! PPL       0 ones ... 512 signature  516 zeros  520 generation  528 entries_count  532 checksum  536 entries ... 4096
//! ```
//!
//! Both are bound to the array's uuid, so a log of another array is never replayed; one of the same array may be, so a
//! new log always begins with a block that says: nothing in here.
#![forbid(unsafe_code)]

use crate::superblock::field::put;
use crate::uuid::Uuid;

/// Bytes of a journal's meta block and of a PPL header: a page of the only page size that the kernel takes for either.
pub const BLOCK_BYTES: usize = 4096;
/// Sectors that a new PPL takes on each member: 1 MiB, room for several headers with what they log (`MULTIPLE_PPLS`).
pub const PPL_SECTORS: u16 = 2048;
/// More slots than this are too many for a PPL (`ppl_log.disk_flush_bitmap` in raid5-ppl.c: one bit per slot).
pub const PPL_SLOTS: u32 = 64;
/// More slots than this are too many for a journal: a meta block could not describe one stripe (raid5-cache.c, `r5l_init_log`:
/// 32 bytes and 20 per slot in a page).
pub const JOURNAL_SLOTS: u32 = (4096 - JOURNAL_META_SIZE) / 20;

/// `R5LOG_MAGIC`
const JOURNAL_MAGIC: u32 = 0x6433_c509;
/// `R5LOG_VERSION`
const JOURNAL_VERSION: u8 = 1;
/// Bytes of a meta block without payloads.
const JOURNAL_META_SIZE: u32 = 32;

mod journal {
    pub const MAGIC: usize = 0;
    pub const CHECKSUM: usize = MAGIC + 4;
    pub const VERSION: usize = CHECKSUM + 4;
    pub const META_SIZE: usize = VERSION + 4;
    pub const SEQ: usize = META_SIZE + 4;
    const POSITION: usize = SEQ + 8;
    const _: () = assert!(POSITION + 8 == super::JOURNAL_META_SIZE as usize);
}

mod ppl {
    /// `PPL_HDR_RESERVED`
    pub const RESERVED: usize = 512;
    pub const SIGNATURE: usize = RESERVED;
    const GENERATION: usize = SIGNATURE + 8;
    const ENTRIES_COUNT: usize = GENERATION + 8;
    pub const CHECKSUM: usize = ENTRIES_COUNT + 4;
}

/// Sectors a journal must have for an array of so many slots: a stripe with its meta block must fit several times, or a
/// write waits for room that never comes.
#[must_use]
pub fn least_journal_sectors(slots: u32) -> u64 {
    (u64::from(slots) + 1).saturating_mul(8 * 4)
}

/// CRC-32C (Castagnoli) as the kernel's `crc32c()`: bits reflected, nothing inverted.
fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(seed, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 0 { 0 } else { 0x82f6_3b78 })
    })
}

/// The first block of an empty journal. `seq` should be random, so that no older block seems to follow it.
#[must_use]
pub fn journal_block(array: Uuid, seq: u32) -> [u8; BLOCK_BYTES] {
    let mut block = [0; BLOCK_BYTES];
    put(&mut block, journal::MAGIC, &JOURNAL_MAGIC.to_le_bytes());
    put(&mut block, journal::VERSION, &[JOURNAL_VERSION]);
    put(&mut block, journal::META_SIZE, &JOURNAL_META_SIZE.to_le_bytes());
    put(&mut block, journal::SEQ, &u64::from(seq).to_le_bytes());
    let sum = crc32c(crc32c(!0, &array.0), &block);
    put(&mut block, journal::CHECKSUM, &sum.to_le_bytes());
    block
}

/// The header of an empty PPL.
#[must_use]
pub fn ppl_header(array: Uuid) -> [u8; BLOCK_BYTES] {
    let mut header = [0; BLOCK_BYTES];
    put(&mut header, 0, &[0xff; ppl::RESERVED]);
    put(&mut header, ppl::SIGNATURE, &(!crc32c(!0, &array.0)).to_le_bytes());
    let sum = !crc32c(!0, &header);
    put(&mut header, ppl::CHECKSUM, &sum.to_le_bytes());
    header
}

/// A whole new PPL of so many sectors: the header, and zeros, that nothing older is taken for a second header.
#[must_use]
pub fn ppl_area(array: Uuid, sectors: u16) -> Vec<u8> {
    let mut area = ppl_header(array).to_vec();
    area.resize(usize::from(sectors).saturating_mul(512).max(BLOCK_BYTES), 0);
    area
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnoli() {
        assert_eq!(!crc32c(!0, b"123456789"), 0xe306_9283);
    }

    /// As mdadm 4.6 wrote it for the array fbc14771:0608a11a:b4781bb8:39c99c03 (then as kernel 7.2 left it).
    #[test]
    fn a_journal_begins_as_the_reference_has_it() {
        let uuid = Uuid::parse("fbc14771:0608a11a:b4781bb8:39c99c03").unwrap();
        let block = journal_block(uuid, 0xb085_5896);
        let seen = [
            0x09, 0xc5, 0x33, 0x64, 0x9a, 0x20, 0x6e, 0xf1, 1, 0, 0, 0, 0x20, 0, 0, 0, 0x96, 0x58, 0x85, 0xb0, 0, 0, 0,
            0,
        ];
        assert_eq!(block[..24], seen);
        assert!(block[24..].iter().all(|b| *b == 0));
    }

    /// As kernel 7.2 wrote it at the start of the array 8bf5aad2:db663590:36bf4538:c10da586.
    #[test]
    fn a_ppl_begins_as_the_kernel_has_it() {
        let uuid = Uuid::parse("8bf5aad2:db663590:36bf4538:c10da586").unwrap();
        let header = ppl_header(uuid);
        assert_eq!(header[512..520], [0x5c, 0xa0, 0xe9, 0xdf, 0, 0, 0, 0]);
        assert_eq!(header[528..536], [0, 0, 0, 0, 0x3b, 0xdd, 0xd9, 0x95]);
        assert!(header[..512].iter().all(|b| *b == 0xff) && header[536..].iter().all(|b| *b == 0));
        assert_eq!(ppl_area(uuid, PPL_SECTORS).len(), 1 << 20);
    }

    #[test]
    fn the_most_slots_are_those_of_the_kernel() {
        assert_eq!(JOURNAL_SLOTS, 203);
    }
}
