//! RAID metadata that is recognised but not handled: v0.90, DDF, IMSM.

use super::bytes;
use crate::blockio::ReadAt;
use crate::superblock::field::get;
use crate::superblock::v1::MAGIC;
use crate::uuid::Uuid;

/// v0.90 lies in the last whole 64 KiB of the device, at its start (uapi `md_p.h`, `MD_RESERVED_BYTES`).
const V090_RESERVED: u64 = 64 * 1024;
/// Words of the v0.90 superblock (uapi `md_p.h`, `mdp_super_t`), in bytes from its start.
mod word {
    pub const MAJOR: usize = 4;
    pub const MINOR: usize = 8;
    pub const SET_UUID0: usize = 20;
    pub const CTIME: usize = SET_UUID0 + 4;
    pub const LEVEL: usize = CTIME + 4;
    pub const SIZE: usize = LEVEL + 4;
    pub const NR_DISKS: usize = SIZE + 4;
    pub const RAID_DISKS: usize = NR_DISKS + 4;
    pub const MD_MINOR: usize = RAID_DISKS + 4;
    pub const SET_UUID1: usize = MD_MINOR + 8;
    pub const UTIME: usize = 128;
}

/// Enough of a v0.90 superblock to name its array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct V090 {
    /// Written on a machine of the other byte order than x86's.
    pub big_endian: bool,
    /// 90; 91 during a reshape.
    pub minor_version: u32,
    /// The array's uuid, its four words in big-endian order as md prints them.
    pub uuid: Uuid,
    /// Number of the level.
    pub level_raw: i32,
    /// Number of slots.
    pub raid_disks: u32,
    /// Number of members of every kind.
    pub nr_disks: u32,
    /// N of /dev/mdN that the array was last.
    pub md_minor: u32,
    /// Used KiB of each member.
    pub size_kib: u32,
    /// Creation, seconds since 1970.
    pub ctime: u32,
    /// Last update, seconds since 1970.
    pub utime: u32,
    /// Byte of the device where it lies.
    pub offset: u64,
}

/// Where v0.90 metadata would be, in bytes.
#[must_use]
pub fn v090_offset(size: u64) -> Option<u64> {
    (size - size % V090_RESERVED).checked_sub(V090_RESERVED)
}

/// Recognises md metadata version 0.90 in both byte orders.
#[must_use]
pub fn v090(dev: &dyn ReadAt) -> Option<V090> {
    let offset = v090_offset(dev.size().0)?;
    let raw: [u8; 512] = bytes(dev, offset)?;
    let magic: [u8; 4] = get(&raw, 0);
    let big_endian = match magic {
        m if m == MAGIC.to_le_bytes() => false,
        m if m == MAGIC.to_be_bytes() => true,
        _ => return None,
    };
    let w = |at: usize| {
        let b: [u8; 4] = get(&raw, at);
        if big_endian { u32::from_be_bytes(b) } else { u32::from_le_bytes(b) }
    };
    if w(word::MAJOR) != 0 {
        return None;
    }
    let mut uuid = [0u8; 16];
    let places = [word::SET_UUID0, word::SET_UUID1, word::SET_UUID1 + 4, word::SET_UUID1 + 8];
    for (dst, at) in uuid.chunks_exact_mut(4).zip(places) {
        dst.copy_from_slice(&w(at).to_be_bytes());
    }
    Some(V090 {
        big_endian,
        minor_version: w(word::MINOR),
        uuid: Uuid(uuid),
        level_raw: i32::from_ne_bytes(w(word::LEVEL).to_ne_bytes()),
        raid_disks: w(word::RAID_DISKS),
        nr_disks: w(word::NR_DISKS),
        md_minor: w(word::MD_MINOR),
        size_kib: w(word::SIZE),
        ctime: w(word::CTIME),
        utime: w(word::UTIME),
        offset,
    })
}

/// First word of a DDF header, big-endian (SNIA DDF 2.0, 5.5).
const DDF_MAGIC: u32 = 0xde11_de11;

/// The DDF anchor header in a disk's last sector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ddf {
    /// The set's GUID: 24 bytes, the first eight of them the vendor in ASCII.
    pub guid: [u8; 24],
    /// Revision, e.g. `01.02.00`; printable characters only.
    pub revision: String,
    /// Byte of the device where the anchor lies.
    pub offset: u64,
}

impl Ddf {
    /// The GUID in hexadecimal groups, the vendor as text in front where it is text: as the reference prints it.
    #[must_use]
    pub fn guid_text(&self) -> String {
        let groups: Vec<String> =
            self.guid.chunks(4).map(|c| c.iter().map(|b| format!("{b:02X}")).collect::<String>()).collect();
        groups.join(":")
    }
}

/// Recognises the DDF anchor header: magic in the last sector of 512 bytes, or of a logical block.
#[must_use]
pub fn ddf(dev: &dyn ReadAt) -> Option<Ddf> {
    let size = dev.size().0;
    let mut places = vec![512u64];
    let block = u64::from(dev.logical_block_size());
    if block > 512 {
        places.push(block);
    }
    for back in places {
        let Some(offset) = size.checked_sub(back) else { continue };
        let Some(raw) = bytes::<512>(dev, offset) else { continue };
        if u32::from_be_bytes(get(&raw, 0)) == DDF_MAGIC {
            let revision: [u8; 8] = get(&raw, 32);
            return Some(Ddf { guid: get(&raw, 8), revision: printable(&revision), offset });
        }
    }
    None
}

/// Where the DDF header has the sectors of the primary and the secondary header (SNIA DDF 2.0, 5.5).
const DDF_HEADER_LBAS: [usize; 2] = [96, 104];

/// The primary and secondary header that the anchor names, in bytes: those that really are DDF headers.
#[must_use]
pub fn ddf_headers(dev: &dyn ReadAt, ddf: &Ddf) -> Vec<u64> {
    let Some(anchor) = bytes::<512>(dev, ddf.offset) else { return Vec::new() };
    let place = |at| {
        let byte = u64::from_be_bytes(get(&anchor, at)).checked_mul(512).filter(|b| *b != ddf.offset)?;
        let magic: [u8; 4] = bytes(dev, byte)?;
        (u32::from_be_bytes(magic) == DDF_MAGIC).then_some(byte)
    };
    let mut found: Vec<u64> = DDF_HEADER_LBAS.into_iter().filter_map(place).collect();
    found.dedup();
    found
}

/// What Intel's metadata starts with (24 bytes, then the version).
const IMSM_SIGNATURE: &[u8; 24] = b"Intel Raid ISM Cfg Sig. ";

/// Intel Matrix Storage metadata in a disk's second last sector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imsm {
    /// Version, e.g. `1.3.00`; printable characters only.
    pub version: String,
    /// Which set of disks this one belongs to.
    pub family: u32,
    /// The family number that the set was made with; kept when disks are replaced.
    pub orig_family: u32,
    /// Rises with each update.
    pub generation: u32,
    /// Disks in the set.
    pub disks: u8,
    /// Volumes in the set.
    pub volumes: u8,
    /// Byte of the device where it lies.
    pub offset: u64,
}

/// Recognises Intel IMSM metadata: its signature in the second last logical block.
#[must_use]
pub fn imsm(dev: &dyn ReadAt) -> Option<Imsm> {
    let block = u64::from(dev.logical_block_size().max(512));
    let offset = dev.size().0.checked_sub(2 * block)?;
    let raw: [u8; 512] = bytes(dev, offset)?;
    if &get::<24>(&raw, 0) != IMSM_SIGNATURE {
        return None;
    }
    let w = |at| u32::from_le_bytes(get(&raw, at));
    let version: [u8; 8] = get(&raw, 24);
    let [disks, volumes]: [u8; 2] = get(&raw, 56);
    Some(Imsm {
        version: printable(&version),
        family: w(40),
        generation: w(44),
        orig_family: w(64),
        disks,
        volumes,
        offset,
    })
}

/// The printable ASCII characters up to the first zero byte.
fn printable(raw: &[u8]) -> String {
    raw.iter().take_while(|b| **b != 0).filter(|b| b.is_ascii_graphic()).map(|b| char::from(*b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::mem::MemDevice;

    fn with_v090(big: bool) -> MemDevice {
        let mut dev = MemDevice::new((1 << 20) + 512 * 100);
        let at = usize::try_from(v090_offset(dev.bytes.len() as u64).unwrap()).unwrap();
        let words: [u32; 17] =
            [MAGIC, 0, 90, 3, 0, 0x0102_0304, 7, 5, 1000, 3, 3, 9, 0, 0x0506_0708, 0x090a_0b0c, 0x0d0e_0f10, 0];
        for (i, w) in words.into_iter().enumerate() {
            let b = if big { w.to_be_bytes() } else { w.to_le_bytes() };
            dev.bytes[at + 4 * i..at + 4 * i + 4].copy_from_slice(&b);
        }
        dev
    }

    #[test]
    fn v090_is_read_alike_in_both_byte_orders() {
        for big in [false, true] {
            let got = v090(&with_v090(big)).unwrap();
            assert_eq!(got.uuid.to_string(), "01020304:05060708:090a0b0c:0d0e0f10");
            assert_eq!((got.level_raw, got.raid_disks, got.md_minor, got.ctime), (5, 3, 9, 7));
            assert_eq!((got.offset, got.big_endian), ((1 << 20) - 65_536, big));
        }
    }

    #[test]
    fn v090_needs_64_kib_and_major_version_0() {
        assert_eq!(v090(&MemDevice::new(65_535)), None);
        let mut dev = with_v090(false);
        dev.bytes[(1 << 20) - 65_536 + 4] = 1;
        assert_eq!(v090(&dev), None);
    }

    #[test]
    fn ddf_is_recognised_by_its_anchor_in_the_last_sector() {
        let mut dev = MemDevice::new(1 << 16);
        let at = (1 << 16) - 512;
        dev.bytes[at..at + 4].copy_from_slice(&[0xde, 0x11, 0xde, 0x11]);
        dev.bytes[at + 8..at + 16].copy_from_slice(b"Linux-MD");
        dev.bytes[at + 32..at + 40].copy_from_slice(b"01.02.00");
        let got = ddf(&dev).unwrap();
        assert_eq!((got.revision.as_str(), got.offset), ("01.02.00", at as u64));
        assert!(got.guid_text().starts_with("4C696E75:782D4D44:"));
        dev.bytes[at] = 0x11;
        assert_eq!(ddf(&dev), None);
    }

    #[test]
    fn imsm_is_recognised_by_its_signature_in_the_second_last_sector() {
        let mut dev = MemDevice::new(1 << 16);
        let at = (1 << 16) - 1024;
        dev.bytes[at..at + 30].copy_from_slice(b"Intel Raid ISM Cfg Sig. 1.3.00");
        dev.bytes[at + 56] = 4;
        dev.bytes[at + 57] = 1;
        let got = imsm(&dev).unwrap();
        assert_eq!((got.version.as_str(), got.disks, got.volumes), ("1.3.00", 4, 1));
        dev.bytes[at] = b'i';
        assert_eq!(imsm(&dev), None);
    }
}
