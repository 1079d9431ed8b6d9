//! One bit per chunk: versions 3, 4 and 5 (kernel `drivers/md/md-bitmap.c`).
//!
//! The bits follow the 256-byte superblock, lowest bit of each byte first. In version 5 every node of the cluster has such
//! a bitmap, superblock included, each at a multiple of [`NODE_ALIGN`] from the first (`md_bitmap_read_sb`).

use super::BitmapError;
use super::header::{BitmapSuper, SUPER_BYTES};
use crate::blockio::ReadAt;

/// The bitmaps of the nodes start at multiples of this many bytes.
pub const NODE_ALIGN: u64 = 4096;
/// Bits are read in pieces of this many bytes.
const PIECE_BYTES: usize = 256 << 10;

/// Bytes that this many bits take, without the superblock.
#[must_use]
pub fn bits_bytes(chunks: u64) -> u64 {
    chunks.div_ceil(8)
}

/// Bytes that a bitmap of this many bits takes, superblock included, in whole blocks of [`NODE_ALIGN`]: from one node's
/// bitmap to the next in version 5, and from the bitmap to what the reference puts behind it.
#[must_use]
pub fn bitmap_bytes(chunks: u64) -> u64 {
    (bits_bytes(chunks) + SUPER_BYTES as u64).div_ceil(NODE_ALIGN).saturating_mul(NODE_ALIGN)
}

/// Counts the set bits of `chunks` chunks in the bitmap whose superblock is at byte `start`. Version 3 counts like the
/// others: its byte order changes which bit stands for which chunk, not how many there are, but for the tail of a bitmap
/// from a big-endian host.
///
/// # Errors
/// [`BitmapError::OutsideDevice`] before anything is read where the bits do not fit the device; the device's.
pub fn count(dev: &dyn ReadAt, start: u64, chunks: u64) -> Result<u64, BitmapError> {
    let first = i128::from(start) + SUPER_BYTES as i128;
    let end = first + i128::from(bits_bytes(chunks));
    if end > i128::from(dev.size().0) {
        return Err(BitmapError::OutsideDevice { start: start.into(), end, device: dev.size().0 });
    }
    let whole = chunks / 8;
    let mut set = 0u64;
    let mut buf = vec![0u8; PIECE_BYTES.min(usize::try_from(whole).unwrap_or(PIECE_BYTES).max(1))];
    let mut done = 0u64;
    while done < whole {
        let len = usize::try_from(whole - done).unwrap_or(usize::MAX).min(buf.len());
        let Some(piece) = buf.get_mut(..len) else { break };
        dev.read_at(start + SUPER_BYTES as u64 + done, piece)?;
        set += ones(piece);
        done += len as u64;
    }
    if !chunks.is_multiple_of(8) {
        let mut tail = [0u8; 1];
        dev.read_at(start + SUPER_BYTES as u64 + whole, &mut tail)?;
        let kept = u8::from_le_bytes(tail) & ((1u8 << (chunks % 8)) - 1);
        set += u64::from(kept.count_ones());
    }
    Ok(set)
}

/// The set bits, eight bytes at a time.
fn ones(bytes: &[u8]) -> u64 {
    let (words, rest) = (bytes.chunks_exact(8), bytes.chunks_exact(8).remainder());
    let word = |eight: &[u8]| eight.try_into().map_or(0, |eight| u64::from_le_bytes(eight).count_ones());
    words.map(|eight| u64::from(word(eight))).sum::<u64>()
        + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

/// The bitmap of one node, or the only one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeBitmap {
    /// Its superblock.
    pub sb: BitmapSuper,
    /// Byte of the device where it starts.
    pub start: u64,
    /// Bits.
    pub chunks: u64,
    /// Set bits.
    pub dirty: u64,
}

/// Reads the bitmaps of all nodes of a clustered one at byte `start`, with `sb` its first superblock, and hands each on.
/// Any version that says it has nodes counts as clustered, as for the reference. Without `counted` the bits are left alone
/// and count as 0.
///
/// # Errors
/// As [`count`]; [`BitmapError::NodeMagic`] where a node has none. What was handed on before stands.
pub fn each_node(
    dev: &dyn ReadAt,
    start: u64,
    sb: &BitmapSuper,
    counted: bool,
    mut each: impl FnMut(u32, NodeBitmap),
) -> Result<(), BitmapError> {
    let mut at = start;
    for node in 0..sb.nodes().max(1) {
        let sb = BitmapSuper::read(dev, at).map_err(|e| match e {
            BitmapError::NoMagic { found } => BitmapError::NodeMagic { found },
            e => e,
        })?;
        let chunks = sb.chunks()?;
        let dirty = if counted { count(dev, at, chunks)? } else { 0 };
        let next = at.checked_add(bitmap_bytes(chunks));
        each(node, NodeBitmap { sb, start: at, chunks, dirty });
        at = next.unwrap_or(u64::MAX);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitmap::header::{MAGIC, NewBitmap};
    use crate::device::mem::MemDevice;
    use crate::uuid::Uuid;
    use proptest::prelude::*;

    fn header(chunks: u64, chunk_bytes: u64) -> BitmapSuper {
        let sync_sectors = chunks * chunk_bytes / 512;
        let new = NewBitmap {
            uuid: Uuid([1; 16]),
            sync_sectors,
            chunk_bytes,
            daemon_sleep: 5,
            write_behind: 0,
            sectors_reserved: 0,
        };
        BitmapSuper::internal(&new).unwrap()
    }

    #[test]
    fn each_node_of_a_cluster_has_its_bitmap_on_a_4_kib_boundary() {
        let chunks = 40_000; // 5000 bytes and the superblock: two blocks each
        let mut sb = header(chunks, 65536);
        sb.set_version(5);
        sb.set_nodes(3);
        let mut dev = MemDevice::new(4096 + 3 * 8192);
        for node in 0..3 {
            let at = 4096 + node * 8192;
            dev.bytes[at..at + 256].copy_from_slice(sb.bytes());
            dev.bytes[at + 256..at + 256 + node].fill(0xff);
        }
        let mut dirty = Vec::new();
        each_node(&dev, 4096, &sb, true, |node, b| dirty.push((node, b.start, b.chunks, b.dirty))).unwrap();
        assert_eq!(dirty, [(0, 4096, chunks, 0), (1, 12288, chunks, 8), (2, 20480, chunks, 16)]);
    }

    #[test]
    fn a_billion_nodes_end_where_the_device_ends() {
        let mut sb = header(8, 65536);
        sb.set_version(5);
        sb.set_nodes(u32::MAX);
        let mut dev = MemDevice::new(1 << 20);
        for at in (0..1 << 20).step_by(4096) {
            dev.bytes[at..at + 4].copy_from_slice(&MAGIC.to_le_bytes());
            dev.bytes[at..at + 256].copy_from_slice(sb.bytes());
        }
        let mut seen = 0;
        let end = each_node(&dev, 0, &sb, true, |_, _| seen += 1);
        assert!(matches!(end, Err(BitmapError::OutsideDevice { .. })));
        assert_eq!(seen, 256);
    }

    proptest! {
        #[test]
        fn only_the_bits_of_chunks_count(bytes in prop::collection::vec(any::<u8>(), 256..900), bits in 0u64..6000) {
            let dev = MemDevice::from_bytes(bytes.clone());
            let got = count(&dev, 0, bits);
            if 256 + bits.div_ceil(8) > bytes.len() as u64 {
                prop_assert!(got.is_err());
            } else {
                let want = (0..bits).filter(|n| bytes[256 + (n / 8) as usize] >> (n % 8) & 1 == 1).count();
                prop_assert_eq!(got.unwrap(), want as u64);
            }
        }
    }
}
