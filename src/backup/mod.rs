//! Copies of data that a reshape overwrites: the file of `--backup-file`, and what mdadm keeps on new members for a short reshape.
//!
//! ```text
//! file:   0 header (512 bytes)    4096 data of one window, or of two, at the sectors that the header names
//! header: 0 magic "md_backup_data-1" or -2 (16)   16 the array's uuid (16)   32 mtime, seconds (8)
//!         40 first sector of the data (8)   48 first sector of the array (8)   56 sectors (8)   64 sum (4)
//!         of -2: 72 first sector, counted from the first data (8)   80 first sector of the array (8)   88 sectors (8)   96 sum (4)
//!         ours:  256 "mdadm-rs"   264 CRC-32C of the data (4)   268 CRC-32C of bytes 0 to 268 (4)
//! ```
//! Little-endian; learned from files of mdadm 4.6. Its sum shifts by three bits and adds the first byte again and again, so
//! it is the same for every header, and says nothing of the data: that is what our own sums are for. mdadm 4.6 skips them.
//! On a member the header lies behind the data, in the last 4 KiB of what the array uses of it.
#![deny(clippy::cast_possible_truncation)]

pub mod stripe;

use crate::saved::crc::crc32c;
use crate::superblock::field::{get, put};
use crate::uuid::Uuid;

/// Bytes of a header.
pub const HEADER_BYTES: usize = 512;
/// Byte of a file at which data begins.
pub const DATA_START: u64 = 4096;
/// A window of a file or member is at most so many sectors: 1 GiB.
pub const MOST_SECTORS: u64 = 1 << 21;

const ONE: &[u8; 16] = b"md_backup_data-1";
const TWO: &[u8; 16] = b"md_backup_data-2";
const OURS: &[u8; 8] = b"mdadm-rs";
/// The sum of every header that begins with an `m`.
const SUM: u32 = 0x2492_4915;

mod at {
    pub const UUID: usize = 16;
    pub const MTIME: usize = UUID + 16;
    pub const FIRST: usize = MTIME + 8;
    pub const SUM: usize = FIRST + 24;
    pub const SECOND: usize = SUM + 8;
    pub const SECOND_SUM: usize = SECOND + 24;
    pub const OURS: usize = 256;
    pub const DATA_CRC: usize = OURS + 8;
    pub const HEADER_CRC: usize = DATA_CRC + 4;
}

/// Where a stretch of the array is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First sector of the copy, in the file or on the device.
    pub kept_at: u64,
    /// First sector of the array.
    pub start: u64,
    /// Sectors.
    pub len: u64,
}

impl Window {
    /// Behind the last sector of the array.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.len)
    }
}

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The array's.
    pub uuid: Uuid,
    /// When it was written, in seconds since 1970.
    pub mtime: u64,
    /// First sector of the array that it is about, also without a window.
    pub at: u64,
    /// One window or two, those without a sector left out.
    pub windows: Vec<Window>,
    /// The sum of the data, where we wrote it.
    pub data_crc: Option<u32>,
}

impl Header {
    /// Reads a header; `None` where there is none.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Option<Header>, String> {
        let magic: [u8; 16] = get(bytes, 0);
        let two = &magic == TWO;
        if !two && &magic != ONE {
            return Ok(None);
        }
        let number = |at: usize| u64::from_le_bytes(get(bytes, at));
        let word = |at: usize| u32::from_le_bytes(get(bytes, at));
        if word(at::SUM) != SUM || (two && word(at::SECOND_SUM) != SUM) {
            return Err("its header has a wrong checksum".into());
        }
        let ours = &get::<8>(bytes, at::OURS) == OURS;
        if ours && word(at::HEADER_CRC) != crc32c(bytes.get(..at::HEADER_CRC).unwrap_or_default()) {
            return Err("its header is damaged".into());
        }
        let mut windows = Vec::new();
        for (place, base) in [(at::FIRST, 0), (at::SECOND, number(at::FIRST))].into_iter().take(1 + usize::from(two)) {
            let kept_at = number(place).checked_add(base);
            let window =
                Window { kept_at: kept_at.unwrap_or(u64::MAX), start: number(place + 8), len: number(place + 16) };
            if window.len > MOST_SECTORS || window.start > u64::MAX / 1024 || window.kept_at > u64::MAX / 1024 {
                return Err(format!("its header tells of {} sectors at {}", window.len, window.kept_at));
            }
            windows.extend((window.len > 0).then_some(window));
        }
        let uuid = Uuid(get(bytes, at::UUID));
        let data_crc = ours.then(|| word(at::DATA_CRC));
        Ok(Some(Header { uuid, mtime: number(at::MTIME), at: number(at::FIRST + 8), windows, data_crc }))
    }

    /// The bytes of a header with at most one window, and our sums in it.
    #[must_use]
    pub fn bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        put(&mut bytes, 0, ONE);
        put(&mut bytes, at::UUID, &self.uuid.0);
        put(&mut bytes, at::MTIME, &self.mtime.to_le_bytes());
        let w = self.windows.first().copied().unwrap_or(Window { kept_at: DATA_START / 512, start: self.at, len: 0 });
        for (n, value) in [w.kept_at, w.start, w.len].into_iter().enumerate() {
            put(&mut bytes, at::FIRST + 8 * n, &value.to_le_bytes());
        }
        put(&mut bytes, at::SUM, &SUM.to_le_bytes());
        put(&mut bytes, at::OURS, OURS);
        put(&mut bytes, at::DATA_CRC, &self.data_crc.unwrap_or(0).to_le_bytes());
        let crc = crc32c(bytes.get(..at::HEADER_CRC).unwrap_or_default());
        put(&mut bytes, at::HEADER_CRC, &crc.to_le_bytes());
        bytes
    }

    /// The stretch of the array that all windows together hold; `None` where they do not touch.
    #[must_use]
    pub fn range(&self) -> Option<(u64, u64)> {
        let mut sorted = self.windows.clone();
        sorted.sort_by_key(|w| w.start);
        let first = sorted.first()?.start;
        sorted.iter().try_fold(first, |end, w| (w.start == end).then(|| w.end())).map(|end| (first, end))
    }
}

/// A copy: what was in a stretch of the array; without data nothing had to be saved yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Where it is kept, as shown to the user.
    pub shown: String,
    /// The array's.
    pub uuid: Uuid,
    /// When it was written, in seconds since 1970.
    pub mtime: u64,
    /// First sector of the array.
    pub start: u64,
    /// The data.
    pub data: Vec<u8>,
}

impl Copy {
    /// Behind the last sector of the array.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.start.saturating_add(u64::try_from(self.data.len() / 512).unwrap_or(0))
    }
}

/// Puts a copy together; `read` gives so many bytes from a byte on.
///
/// # Errors
/// It cannot be read, or is not what was written.
pub fn collect(
    header: &Header,
    shown: &str,
    read: impl Fn(u64, usize) -> Result<Vec<u8>, String>,
) -> Result<Copy, String> {
    let touching = header.range().or(header.windows.is_empty().then_some((header.at, header.at)));
    let Some((start, _)) = touching else { return Err("its two windows do not touch".into()) };
    let mut windows = header.windows.clone();
    windows.sort_by_key(|w| w.start);
    let mut data = Vec::new();
    for w in windows {
        data.extend(read(w.kept_at * 512, usize::try_from(w.len * 512).unwrap_or(0))?);
    }
    if header.data_crc.is_some_and(|crc| !data.is_empty() && crc != crc32c(&data)) {
        return Err("its data is not what was written".into());
    }
    Ok(Copy { shown: shown.to_owned(), uuid: header.uuid, mtime: header.mtime, start, data })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_mdadm_wrote_is_read() {
        // The first bytes of a file of mdadm 4.6: --chunk of a raid5 of three members.
        let mut bytes = [0; HEADER_BYTES];
        put(&mut bytes, 0, TWO);
        put(&mut bytes, 32, &[0xa6, 0x06, 0x08, 0x6b]);
        put(&mut bytes, 40, &[8]);
        put(&mut bytes, 57, &[4]);
        put(&mut bytes, 64, &[0x15, 0x49, 0x92, 0x24]);
        put(&mut bytes, 73, &[4, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 4]);
        put(&mut bytes, 96, &[0x15, 0x49, 0x92, 0x24]);
        let header = Header::parse(&bytes).unwrap().unwrap();
        let window = |kept_at, start| Window { kept_at, start, len: 1024 };
        assert_eq!(header.windows, [window(8, 0), window(8 + 1024, 1024)]);
        assert_eq!((header.range(), header.data_crc), (Some((0, 2048)), None));
    }

    proptest! {
        #[test]
        fn a_header_is_read_as_it_was_written_and_a_changed_byte_of_ours_is_seen(
            uuid: [u8; 16], mtime: u64, start in 0..1u64 << 40, len in 1..1u64 << 20, crc: u32, at in 0..268usize, bit in 0..8u32,
        ) {
            let windows = vec![Window { kept_at: 8, start, len }];
            let header = Header { uuid: Uuid(uuid), mtime, at: start, windows, data_crc: Some(crc) };
            let mut bytes = header.bytes();
            prop_assert_eq!(Header::parse(&bytes), Ok(Some(header.clone())));
            bytes[at] ^= 1 << bit;
            prop_assert_ne!(Header::parse(&bytes), Ok(Some(header)));
        }

        #[test]
        fn any_bytes_are_read_without_harm(mut bytes: Vec<u8>, two: bool) {
            bytes.resize(HEADER_BYTES, 0);
            let mut raw: [u8; HEADER_BYTES] = bytes.try_into().unwrap();
            put(&mut raw, 0, if two { TWO } else { ONE });
            put(&mut raw, at::SUM, &SUM.to_le_bytes());
            put(&mut raw, at::SECOND_SUM, &SUM.to_le_bytes());
            if let Ok(Some(header)) = Header::parse(&raw) {
                let _ = collect(&header, "x", |_, _| Err("unreadable".into()));
            }
        }
    }
}
