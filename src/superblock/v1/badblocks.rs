//! The bad-block log of a member (kernel `super_1_load`, `super_1_sync`; uapi `md_p.h`, `bblog_*`).

use super::{SuperV1, feature};
use crate::blockio::ReadAt;
use crate::superblock::SuperError;
use crate::units::SECTOR_BYTES;

/// Sectors that a log may have, as in the reference; the kernel writes 8.
const MAX_SECTORS: u16 = 100;
/// Bits of an entry that count its blocks; the others are the first block.
const LENGTH_BITS: u32 = 10;

/// Blocks of a member that cannot be read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadRange {
    /// First sector, counted from the start of the member's data area as the log has it.
    pub sector: u64,
    /// How many sectors.
    pub sectors: u64,
}

/// What a member says of its bad blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadBlocks {
    /// There is no log.
    NotConfigured,
    /// There is a log, and nothing in it: the kernel writes it only once it has to.
    Empty,
    /// The entries in the log's order.
    List(Vec<BadRange>),
}

/// Reads the log.
///
/// # Errors
/// [`SuperError::Field`] where the log is not on the device, [`SuperError::Io`] where it cannot be read.
pub fn bad_blocks(dev: &dyn ReadAt, sb: &SuperV1) -> Result<BadBlocks, SuperError> {
    if sb.bblog_size() == 0 || sb.bblog_size() > MAX_SECTORS || sb.bblog_offset() == 0 {
        return Ok(BadBlocks::NotConfigured);
    }
    if !sb.has(feature::BAD_BLOCKS) {
        return Ok(BadBlocks::Empty);
    }
    let outside = || SuperError::Field {
        field: "bblog_offset",
        value: i128::from(sb.bblog_offset()),
        why: "is not on the device".into(),
    };
    let start = sb.super_offset().checked_add_signed(i64::from(sb.bblog_offset())).ok_or_else(outside)?;
    let start = start.checked_mul(SECTOR_BYTES).ok_or_else(outside)?;
    let len = usize::from(sb.bblog_size()) * 512;
    if start.checked_add(len as u64).is_none_or(|end| end > dev.size().0) {
        return Err(outside());
    }
    let raw = dev.read_vec(start, len)?;
    let words = raw.chunks_exact(8).map(|c| u64::from_le_bytes(c.try_into().unwrap_or([0xff; 8])));
    let shift = u32::from(sb.bblog_shift());
    let range = |word: u64| BadRange {
        sector: (word >> LENGTH_BITS).checked_shl(shift).unwrap_or(0),
        sectors: (word & ((1 << LENGTH_BITS) - 1)).checked_shl(shift).unwrap_or(0),
    };
    Ok(BadBlocks::List(words.take_while(|w| *w != u64::MAX).map(range).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::mem::MemDevice;

    fn member() -> (MemDevice, SuperV1) {
        let mut sb = SuperV1::empty();
        sb.set_super_offset(8);
        sb.set_bblog_offset(16);
        sb.set_bblog_size(8);
        sb.set_feature_map(feature::BAD_BLOCKS);
        let mut dev = MemDevice::new(64 * 512);
        dev.bytes[24 * 512..32 * 512].fill(0xff);
        for (n, (sector, len)) in [(100u64, 8u64), (9000, 512)].into_iter().enumerate() {
            let at = 24 * 512 + 8 * n;
            dev.bytes[at..at + 8].copy_from_slice(&(sector << 10 | len).to_le_bytes());
        }
        (dev, sb)
    }

    #[test]
    fn entries_are_read_up_to_the_first_unused_one_and_scaled() {
        let (dev, mut sb) = member();
        let want = |a, b| {
            BadBlocks::List(vec![BadRange { sector: a, sectors: b }, BadRange { sector: 90 * a, sectors: 64 * b }])
        };
        assert_eq!(bad_blocks(&dev, &sb).unwrap(), want(100, 8));
        sb.set_bblog_shift(3);
        assert_eq!(bad_blocks(&dev, &sb).unwrap(), want(800, 64));
    }

    #[test]
    fn no_log_an_empty_one_and_one_outside_the_device_are_told_apart() {
        let (dev, mut sb) = member();
        for (offset, size) in [(0, 8), (16, 0), (16, 101)] {
            sb.set_bblog_offset(offset);
            sb.set_bblog_size(size);
            assert_eq!(bad_blocks(&dev, &sb).unwrap(), BadBlocks::NotConfigured);
        }
        sb.set_bblog_size(8);
        for offset in [-9, 49, i32::MAX, i32::MIN] {
            sb.set_bblog_offset(offset);
            assert!(bad_blocks(&dev, &sb).is_err(), "{offset}");
        }
        sb.set_feature_map(0);
        assert_eq!(bad_blocks(&dev, &sb).unwrap(), BadBlocks::Empty);
    }

    #[test]
    fn a_full_log_ends_where_its_sectors_end() {
        let (mut dev, sb) = member();
        dev.bytes[24 * 512..32 * 512].fill(0);
        let BadBlocks::List(all) = bad_blocks(&dev, &sb).unwrap() else { panic!() };
        assert_eq!(all.len(), 512);
    }
}
