//! Partition tables.

use super::bytes;
use crate::blockio::ReadAt;
use crate::superblock::field::get;

/// A partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Table {
    /// A master boot record: its four entries, empty ones (type 0) included.
    Mbr([MbrEntry; 4]),
    /// A GUID partition table behind a protective MBR.
    Gpt {
        /// The header's revision field.
        revision: u32,
        /// The entries in use, with their number in the table; at most [`GPT_ENTRIES`] are looked at.
        entries: Vec<GptEntry>,
    },
}

impl Table {
    /// `MBR` or `GPT`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Table::Mbr(_) => "MBR",
            Table::Gpt { .. } => "GPT",
        }
    }

    /// The byte behind the last partition, on a device with logical blocks of this size; 0 without partitions, and at most
    /// 2^64 - 1 whatever the table claims.
    #[must_use]
    pub fn end(&self, block: u32) -> u64 {
        let blocks = match self {
            Table::Mbr(entries) => {
                let used = entries.iter().filter(|e| e.kind != 0);
                used.map(|e| u64::from(e.start) + u64::from(e.blocks)).max()
            }
            Table::Gpt { entries, .. } => entries.iter().map(|e| e.last.saturating_add(1)).max(),
        };
        blocks.unwrap_or(0).saturating_mul(u64::from(block))
    }
}

/// One primary partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MbrEntry {
    /// Type byte; 0 where the entry is not in use.
    pub kind: u8,
    /// First logical block.
    pub start: u32,
    /// Logical blocks.
    pub blocks: u32,
}

/// One partition of a GPT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GptEntry {
    /// Index in the table.
    pub number: u32,
    /// First logical block.
    pub first: u64,
    /// Last logical block.
    pub last: u64,
}

/// As many GPT entries as are looked at, whatever the header claims: what every tool writes.
pub const GPT_ENTRIES: u32 = 128;

const MBR_ENTRIES: usize = 446;
const MBR_MAGIC: usize = 510;
/// Type of the entry that protects a GPT.
const MBR_PROTECTIVE: u8 = 0xee;
const GPT_MAGIC: &[u8; 8] = b"EFI PART";

fn boot_record(dev: &dyn ReadAt) -> Option<[MbrEntry; 4]> {
    let raw: [u8; 512] = bytes(dev, 0)?;
    if get::<2>(&raw, MBR_MAGIC) != [0x55, 0xaa] {
        return None;
    }
    let mut entries = [MbrEntry::default(); 4];
    for (i, e) in entries.iter_mut().enumerate() {
        let at = MBR_ENTRIES + 16 * i;
        let [kind]: [u8; 1] = get(&raw, at + 4);
        *e = MbrEntry {
            kind,
            start: u32::from_le_bytes(get(&raw, at + 8)),
            blocks: u32::from_le_bytes(get(&raw, at + 12)),
        };
    }
    Some(entries)
}

/// The master boot record, known by its two last bytes alone, as in the reference.
#[must_use]
pub fn mbr(dev: &dyn ReadAt) -> Option<Table> {
    boot_record(dev).map(Table::Mbr)
}

/// The GPT in the second logical block, where the MBR has a protective entry.
#[must_use]
pub fn gpt(dev: &dyn ReadAt) -> Option<Table> {
    if !boot_record(dev)?.iter().any(|e| e.kind == MBR_PROTECTIVE) {
        return None;
    }
    let block = u64::from(dev.logical_block_size().max(512));
    let header: [u8; 92] = bytes(dev, block)?;
    if &get::<8>(&header, 0) != GPT_MAGIC {
        return None;
    }
    let revision = u32::from_le_bytes(get(&header, 8));
    let start = u64::from_le_bytes(get::<8>(&header, 72)).checked_mul(block);
    let count = u32::from_le_bytes(get(&header, 80)).min(GPT_ENTRIES);
    let step = u64::from(u32::from_le_bytes(get(&header, 84)));
    let entry = |number: u32| -> Option<GptEntry> {
        let at = start?.checked_add(step.checked_mul(u64::from(number))?)?;
        let raw: [u8; 48] = bytes(dev, at)?;
        (get::<16>(&raw, 0) != [0; 16]).then(|| GptEntry {
            number,
            first: u64::from_le_bytes(get(&raw, 32)),
            last: u64::from_le_bytes(get(&raw, 40)),
        })
    };
    let entries = if step < 128 { Vec::new() } else { (0..count).filter_map(entry).collect() };
    Some(Table::Gpt { revision, entries })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::mem::MemDevice;

    fn with_mbr(kind: u8) -> MemDevice {
        let mut dev = MemDevice::new(1 << 16);
        dev.bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
        dev.bytes[446 + 4] = kind;
        dev.bytes[446 + 8..446 + 12].copy_from_slice(&2048u32.to_le_bytes());
        dev.bytes[446 + 12..446 + 16].copy_from_slice(&100u32.to_le_bytes());
        dev
    }

    #[test]
    fn an_mbr_gives_its_four_entries() {
        let Some(Table::Mbr(e)) = mbr(&with_mbr(0x83)) else { panic!("no table") };
        assert_eq!(e[0], MbrEntry { kind: 0x83, start: 2048, blocks: 100 });
        assert_eq!(e[1..], [MbrEntry::default(); 3]);
        assert_eq!((Table::Mbr(e).end(512), Table::Mbr([MbrEntry::default(); 4]).end(512)), (2148 * 512, 0));
        assert_eq!(gpt(&with_mbr(0x83)), None);
    }

    #[test]
    fn a_gpt_gives_its_used_entries_and_believes_no_count() {
        let mut dev = with_mbr(0xee);
        dev.bytes[512..520].copy_from_slice(b"EFI PART");
        dev.bytes[520..524].copy_from_slice(&0x1_0000u32.to_le_bytes());
        dev.bytes[512 + 72..512 + 80].copy_from_slice(&2u64.to_le_bytes());
        dev.bytes[512 + 80..512 + 84].copy_from_slice(&u32::MAX.to_le_bytes());
        dev.bytes[512 + 84..512 + 88].copy_from_slice(&128u32.to_le_bytes());
        let at = 1024 + 128 * 3;
        dev.bytes[at] = 1;
        dev.bytes[at + 32] = 40;
        dev.bytes[at + 40] = 49;
        let want = Table::Gpt { revision: 0x1_0000, entries: vec![GptEntry { number: 3, first: 40, last: 49 }] };
        assert_eq!(want.end(4096), 50 * 4096);
        assert_eq!(gpt(&dev), Some(want));
        let absurd = Table::Gpt { revision: 0, entries: vec![GptEntry { number: 0, first: 0, last: u64::MAX }] };
        assert_eq!(absurd.end(512), u64::MAX);
    }
}
