//! A view of a device that reads no block twice: for looking through the places where metadata may be.

use std::cell::RefCell;
use std::io;

use super::ReadAt;
use crate::units::Bytes;

/// Reads longer than this are not kept; in bytes.
const KEPT: usize = 4096;
/// Bytes from the start on that are read at once: both places there that may hold a superblock.
const HEAD: usize = 8192;
/// The same at the end: where DDF and IMSM are.
const TAIL: usize = 1024;

/// A device whose blocks are read once while this view lives. Never for a device that changes meanwhile.
pub struct ReadOnce<'a> {
    dev: &'a dyn ReadAt,
    seen: RefCell<Vec<(u64, Vec<u8>)>>,
}

impl<'a> ReadOnce<'a> {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(dev: &'a dyn ReadAt) -> ReadOnce<'a> {
        ReadOnce { dev, seen: RefCell::default() }
    }

    /// The whole blocks around a range, as far as the device goes: where they start, and their bytes.
    fn blocks(&self, offset: u64, len: usize) -> Option<(u64, usize)> {
        let block = u64::from(self.logical_block_size().max(512));
        let start = offset - offset % block;
        let end = offset.checked_add(u64::try_from(len).ok()?)?.checked_next_multiple_of(block)?;
        Some((start, usize::try_from(end.min(self.size().0).checked_sub(start)?).ok()?))
    }

    /// Copies what an earlier read holds; false where none holds it all.
    fn copy_seen(&self, offset: u64, buf: &mut [u8]) -> bool {
        let seen = self.seen.borrow();
        let inside = seen.iter().find_map(|(start, bytes)| {
            let skip = usize::try_from(offset.checked_sub(*start)?).ok()?;
            bytes.get(skip..skip.checked_add(buf.len())?)
        });
        inside.map(|bytes| buf.copy_from_slice(bytes)).is_some()
    }
}

impl ReadAt for ReadOnce<'_> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if self.copy_seen(offset, buf) {
            return Ok(());
        }
        let Some((start, len)) = self.blocks(offset, buf.len()).filter(|(_, len)| *len <= KEPT) else {
            return self.dev.read_at(offset, buf);
        };
        let size = self.size().0;
        let piece = match (start.saturating_add(len as u64), size.checked_sub(TAIL as u64)) {
            (end, _) if end <= HEAD as u64 && size >= HEAD as u64 => Some((0, HEAD)),
            (_, Some(tail)) if start >= tail => Some((tail, TAIL)),
            _ => None,
        };
        let read = |(at, len): (u64, usize)| Some((at, self.dev.read_vec(at, len).ok()?));
        let found = match piece.and_then(read) {
            Some(found) => found,
            // A bad sector in it must not hide the others.
            _ => (start, self.dev.read_vec(start, len)?),
        };
        self.seen.borrow_mut().push(found);
        if self.copy_seen(offset, buf) { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn size(&self) -> Bytes {
        self.dev.size()
    }

    fn logical_block_size(&self) -> u32 {
        self.dev.logical_block_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::mem::MemDevice;

    #[test]
    fn both_places_at_the_start_are_read_at_once_and_a_bad_sector_hides_no_other() {
        let mut dev = MemDevice::new(1 << 20);
        dev.bytes[4096..8192].fill(7);
        let once = ReadOnce::new(&dev);
        assert_eq!(once.read_vec(0, 512).unwrap(), [0; 512]);
        assert_eq!(once.read_vec(4096, 4096).unwrap(), [7; 4096]);
        assert_eq!(once.seen.borrow().len(), 1);
        assert_eq!(once.read_vec(8192, 512).unwrap(), [0; 512]);
        assert_eq!(once.seen.borrow().len(), 2);
        for at in [(1 << 20) - 512, (1 << 20) - 1024] {
            assert_eq!(once.read_vec(at, 512).unwrap(), [0; 512]);
            assert_eq!(once.seen.borrow().len(), 3, "both ends at once");
        }
        let mut bad = MemDevice::new(1 << 20);
        bad.bad_reads.push(4096..4608);
        let once = ReadOnce::new(&bad);
        assert_eq!(once.read_vec(0, 512).unwrap(), [0; 512]);
        assert!(once.read_vec(4096, 512).is_err());
        // Shorter than that.
        let small = MemDevice::new(6000);
        assert_eq!(ReadOnce::new(&small).read_vec(4096, 512).unwrap(), [0; 512]);
    }
}
