//! File systems and other users of whole devices, by signature.

use super::bytes;
use crate::blockio::ReadAt;
use crate::superblock::field::get;

/// What a device is in use for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSystem {
    /// `ext4`, `xfs`, `LVM2 physical volume`, ...
    pub kind: &'static str,
    /// Whether files are in it, or something else (swap, a volume manager, encryption).
    pub is_file_system: bool,
    /// Size in KiB, where its superblock was read (ext2 to ext4, reiserfs).
    pub size_kib: Option<u64>,
    /// Last mount, seconds since 1970 (ext2 to ext4).
    pub mtime: Option<u32>,
}

impl FileSystem {
    /// `ext4 file system`, `LVM2 physical volume`.
    #[must_use]
    pub fn name(&self) -> String {
        if self.is_file_system { format!("{} file system", self.kind) } else { self.kind.into() }
    }

    /// Whether it is one of ext2, ext3 and ext4, which the reference all calls `ext2fs`.
    #[must_use]
    pub fn is_ext(&self) -> bool {
        self.kind.starts_with("ext") && self.mtime.is_some()
    }
}

/// A signature: its place in bytes, its bytes, what it tells, and whether that is a file system.
type Signature = (u64, &'static [u8], &'static str, bool);

const SIGNATURES: &[Signature] = &[
    (0, b"XFSB", "xfs", true),
    (0x1_0040, b"_BHRfS_M", "btrfs", true),
    (0x400, &[0x10, 0x20, 0xf5, 0xf2], "f2fs", true),
    (0x400, &[0xe2, 0xe1, 0xf5, 0xe0], "erofs", true),
    (0, b"hsqs", "squashfs", true),
    (0x8000, b"JFS1", "jfs", true),
    (0x8001, b"CD001", "iso9660", true),
    (3, b"NTFS    ", "ntfs", true),
    (3, b"EXFAT   ", "exfat", true),
    (0x36, b"FAT12   ", "vfat", true),
    (0x36, b"FAT16   ", "vfat", true),
    (0x52, b"FAT32   ", "vfat", true),
    (0, b"LUKS\xba\xbe", "LUKS encrypted volume", false),
    (24, b"LVM2 001", "LVM2 physical volume", false),
    (512 + 24, b"LVM2 001", "LVM2 physical volume", false),
    (1024 + 24, b"LVM2 001", "LVM2 physical volume", false),
    (1536 + 24, b"LVM2 001", "LVM2 physical volume", false),
    (4096 - 10, b"SWAPSPACE2", "swap space", false),
    (4096 - 10, b"SWAP-SPACE", "swap space", false),
    (16_384 - 10, b"SWAPSPACE2", "swap space", false),
    (65_536 - 10, b"SWAPSPACE2", "swap space", false),
    (
        4096 + 24,
        &[0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca, 0x82, 0x65, 0xf5, 0x7f, 0x48, 0xba, 0x6d, 0x81],
        "bcache device",
        false,
    ),
    (
        4096 + 24,
        &[0xc6, 0x85, 0x73, 0xf6, 0x66, 0xce, 0x90, 0xa9, 0xd9, 0x6a, 0x60, 0xcf, 0x80, 0x3d, 0xf7, 0xef],
        "bcachefs",
        true,
    ),
];

/// The first file system or other user that is recognised.
#[must_use]
pub fn file_system(dev: &dyn ReadAt) -> Option<FileSystem> {
    ext(dev).or_else(|| reiserfs(dev)).or_else(|| by_signature(dev))
}

fn by_signature(dev: &dyn ReadAt) -> Option<FileSystem> {
    let hit = |&&(offset, magic, ..): &&Signature| {
        bytes::<16>(dev, offset).is_some_and(|b| b.starts_with(magic)) || at_end(dev, offset, magic)
    };
    let &(_, _, kind, is_file_system) = SIGNATURES.iter().find(hit)?;
    Some(FileSystem { kind, is_file_system, size_kib: None, mtime: None })
}

/// A signature so near the end of a small device that 16 bytes do not fit.
fn at_end(dev: &dyn ReadAt, offset: u64, magic: &[u8]) -> bool {
    offset.saturating_add(16) > dev.size().0 && dev.read_vec(offset, magic.len()).is_ok_and(|b| b == magic)
}

/// ext2, ext3 and ext4: the superblock at byte 1024 (kernel `fs/ext4/ext4.h`, `struct ext4_super_block`).
fn ext(dev: &dyn ReadAt) -> Option<FileSystem> {
    let sb: [u8; 108] = bytes(dev, 1024)?;
    if get::<2>(&sb, 56) != [0x53, 0xef] {
        return None;
    }
    let w = |at| u32::from_le_bytes(get(&sb, at));
    let (blocks, log, mtime, compat, incompat) = (w(4), w(24), w(44), w(92), w(96));
    let (has_journal, has_extents) = (compat & 4 != 0, incompat & 0x2c0 != 0);
    let kind = match (has_journal, has_extents) {
        (_, true) => "ext4",
        (true, false) => "ext3",
        (false, false) => "ext2",
    };
    // A block is 1 KiB << log; more than 64 KiB is no file system of ours, and the size then unknown.
    let size_kib = (log <= 6).then(|| u64::from(blocks) << log);
    Some(FileSystem { kind, is_file_system: true, size_kib, mtime: Some(mtime) })
}

/// reiserfs: the superblock at 64 KiB (formerly 8 KiB).
fn reiserfs(dev: &dyn ReadAt) -> Option<FileSystem> {
    for at in [65_536, 8192] {
        let Some(sb) = bytes::<64>(dev, at) else { continue };
        let magic: [u8; 9] = get(&sb, 52);
        if magic.starts_with(b"ReIsErFs") || &magic == b"ReIsEr2Fs" {
            let blocks = u64::from(u32::from_le_bytes(get(&sb, 0)));
            let size = u64::from(u16::from_le_bytes(get(&sb, 44)));
            let size_kib = Some(blocks * size / 1024);
            return Some(FileSystem { kind: "reiserfs", is_file_system: true, size_kib, mtime: None });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::mem::MemDevice;

    #[test]
    fn every_signature_is_found_even_at_the_very_end_of_a_device() {
        for &(offset, magic, kind, _) in SIGNATURES {
            let start = usize::try_from(offset).unwrap();
            for slack in [0, 100] {
                let mut dev = MemDevice::new(start + magic.len() + slack);
                dev.bytes[start..start + magic.len()].copy_from_slice(magic);
                assert_eq!(file_system(&dev).map(|f| f.kind), Some(kind), "{kind} at {offset}");
            }
        }
    }

    #[test]
    fn ext_superblocks_give_size_and_mount_time() {
        let mut dev = MemDevice::new(1 << 16);
        dev.bytes[1024 + 56..1024 + 58].copy_from_slice(&[0x53, 0xef]);
        dev.bytes[1024 + 4..1024 + 8].copy_from_slice(&25u32.to_le_bytes());
        dev.bytes[1024 + 24] = 2;
        dev.bytes[1024 + 44] = 9;
        let got = file_system(&dev).unwrap();
        assert_eq!((got.kind, got.size_kib, got.mtime), ("ext2", Some(100), Some(9)));
        dev.bytes[1024 + 24] = 200;
        assert_eq!(file_system(&dev).unwrap().size_kib, None);
        dev.bytes[1024 + 92] = 4;
        assert_eq!(file_system(&dev).unwrap().kind, "ext3");
        dev.bytes[1024 + 96] = 0x40;
        assert_eq!(file_system(&dev).unwrap().name(), "ext4 file system");
    }

    #[test]
    fn reiserfs_gives_its_size() {
        let mut dev = MemDevice::new(65_536 + 64);
        dev.bytes[65_536 + 52..65_536 + 61].copy_from_slice(b"ReIsEr2Fs");
        dev.bytes[65_536..65_536 + 4].copy_from_slice(&10u32.to_le_bytes());
        dev.bytes[65_536 + 44..65_536 + 46].copy_from_slice(&4096u16.to_le_bytes());
        assert_eq!(file_system(&dev).unwrap().size_kib, Some(40));
    }
}
