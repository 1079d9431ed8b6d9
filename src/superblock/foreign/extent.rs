//! How much of a device is in use by what is on it: what must not be cut off.

use super::{Found, bytes, file_system, gpt, mbr};
use crate::blockio::ReadAt;
use crate::superblock::field::get;
use crate::superblock::v1;
use crate::units::SECTOR_BYTES;

/// Something that uses a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InUse {
    /// `ext4 file system`, `GPT partition table`, ...
    pub name: String,
    /// The byte behind the last that it uses; `None` where its superblock does not tell, or not to us.
    pub end: Option<u64>,
}

/// All that is recognised on a device. `block` are the bytes of its logical block.
#[must_use]
pub fn in_use(dev: &dyn ReadAt, block: u32) -> Vec<InUse> {
    let mut found = Vec::new();
    if let Some(table) = gpt(dev).or_else(|| mbr(dev)) {
        let end = table.end(block);
        if end > 0 {
            found.push(InUse { name: Found::Table(table).name(), end: Some(end) });
        }
    }
    if let Some(fs) = file_system(dev) {
        let end = end_of(dev, fs.kind).or_else(|| fs.size_kib.map(|k| k.saturating_mul(1024)));
        found.push(InUse { name: fs.name(), end });
    }
    if let Ok(Some((_, sb))) = v1::read_any(dev) {
        let data_end = sb.data_offset().saturating_add(sb.data_size());
        let end = data_end.max(sb.super_offset().saturating_add(8)).saturating_mul(SECTOR_BYTES);
        found.push(InUse { name: "member of another array".into(), end: Some(end) });
    }
    found
}

/// Where a file system or another user ends, by the fields of its superblock (each one's kernel header).
fn end_of(dev: &dyn ReadAt, kind: &str) -> Option<u64> {
    let le2 = |at| bytes::<2>(dev, at).map(|b| u64::from(u16::from_le_bytes(b)));
    let le4 = |at| bytes::<4>(dev, at).map(|b| u64::from(u32::from_le_bytes(b)));
    let le8 = |at| bytes::<8>(dev, at).map(u64::from_le_bytes);
    match kind {
        "ext2" | "ext3" | "ext4" => ext(dev),
        "xfs" => {
            let sb: [u8; 16] = bytes(dev, 0)?;
            let block = u64::from(u32::from_be_bytes(get(&sb, 4)));
            u64::from_be_bytes(get(&sb, 8)).checked_mul(block)
        }
        // The size of this device among those of the file system.
        "btrfs" => le8(0x1_0000 + 0xd1),
        "LVM2 physical volume" => (0..4).find_map(|sector| {
            let label: [u8; 32] = bytes(dev, sector * SECTOR_BYTES)?;
            if !label.starts_with(b"LABELONE") {
                return None;
            }
            let header = u64::from(u32::from_le_bytes(get(&label, 20)));
            le8(sector * SECTOR_BYTES + header + 32).filter(|size| *size > 0)
        }),
        "swap space" => {
            let page = [4096, 16_384, 65_536]
                .into_iter()
                .find(|page| bytes::<10>(dev, page - 10).is_some_and(|b| &b == b"SWAPSPACE2" || &b == b"SWAP-SPACE"))?;
            le4(1024 + 4)?.checked_add(1)?.checked_mul(page)
        }
        "ntfs" => le8(40)?.checked_mul(le2(11)?),
        "exfat" => {
            let shift = bytes::<1>(dev, 108).map(|[b]| u32::from(b)).filter(|s| *s < 16)?;
            le8(72)?.checked_mul(1 << shift)
        }
        "vfat" => {
            let small = le2(19)?;
            let sectors = if small > 0 { small } else { le4(32)? };
            sectors.checked_mul(le2(11)?)
        }
        _ => None,
    }
}

/// Blocks are 64 bits wide with incompat feature 0x80.
fn ext(dev: &dyn ReadAt) -> Option<u64> {
    let sb: [u8; 344] = bytes(dev, 1024)?;
    let w = |at| u32::from_le_bytes(get(&sb, at));
    let high = if w(96) & 0x80 != 0 { u64::from(w(336)) << 32 } else { 0 };
    let block = 1024u64.checked_shl(w(24)).filter(|b| *b > 0 && *b <= 65_536)?;
    (high | u64::from(w(4))).checked_mul(block)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::mem::MemDevice;

    fn device(parts: &[(usize, &[u8])]) -> MemDevice {
        let mut dev = MemDevice::new(1 << 20);
        for (at, bytes) in parts {
            dev.bytes[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        dev
    }

    #[track_caller]
    fn ends(parts: &[(usize, &[u8])], end: Option<u64>) {
        let found = in_use(&device(parts), 512);
        assert_eq!(found.iter().map(|f| f.end).collect::<Vec<_>>(), [end], "{found:?}");
    }

    #[test]
    fn sizes_are_read_from_the_superblocks() {
        ends(&[(1024 + 56, &[0x53, 0xef]), (1028, &7u32.to_le_bytes()), (1024 + 24, &[2])], Some(7 * 4096));
        let wide: [(usize, &[u8]); 5] = [
            (1024 + 56, &[0x53, 0xef]),
            (1028, &7u32.to_le_bytes()),
            (1024 + 24, &[2]),
            (1024 + 96, &[0xc0]),
            (1024 + 336, &[1]),
        ];
        ends(&wide, Some(((1 << 32) + 7) * 4096));
        ends(&[(0, b"XFSB"), (4, &4096u32.to_be_bytes()), (8, &10u64.to_be_bytes())], Some(40_960));
        ends(&[(0x1_0040, b"_BHRfS_M"), (0x1_00d1, &99u64.to_le_bytes())], Some(99));
        let pv: [(usize, &[u8]); 4] =
            [(512, b"LABELONE"), (512 + 20, &[32]), (512 + 24, b"LVM2 001"), (512 + 64, &77u64.to_le_bytes())];
        ends(&pv, Some(77));
        ends(&[(4086, b"SWAPSPACE2"), (1028, &9u32.to_le_bytes())], Some(40_960));
        ends(&[(3, b"NTFS    "), (11, &512u16.to_le_bytes()), (40, &8u64.to_le_bytes())], Some(4096));
        ends(&[(0x52, b"FAT32   "), (11, &512u16.to_le_bytes()), (32, &8u32.to_le_bytes())], Some(4096));
        ends(&[(3, b"EXFAT   "), (108, &[9]), (72, &8u64.to_le_bytes())], Some(4096));
        ends(&[(0, b"LUKS\xba\xbe")], None);
        assert_eq!(in_use(&MemDevice::new(1 << 20), 512), []);
    }

    #[test]
    fn sizes_that_cannot_be_are_not_told() {
        ends(&[(0, b"XFSB"), (4, &[0xff; 4]), (8, &[0xff; 8])], None);
        ends(&[(3, b"EXFAT   "), (108, &[200]), (72, &[1])], None);
    }
}
