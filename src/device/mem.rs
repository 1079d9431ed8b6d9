//! A device in memory, with ranges that fail, for tests.

use std::io;
use std::ops::Range;

use super::{ReadAt, WriteAt};
use crate::units::Bytes;

/// A device in memory. Sparse use is not intended: keep it small.
#[derive(Debug, Clone, Default)]
pub struct MemDevice {
    /// The content.
    pub bytes: Vec<u8>,
    /// Reads that touch one of these byte ranges fail with EIO.
    pub bad_reads: Vec<Range<u64>>,
    /// Writes that touch one of these byte ranges fail with EIO.
    pub bad_writes: Vec<Range<u64>>,
    /// How often [`WriteAt::sync`] was called.
    pub syncs: usize,
}

impl MemDevice {
    /// A device of `len` zero bytes.
    #[must_use]
    pub fn new(len: usize) -> Self {
        MemDevice { bytes: vec![0; len], ..MemDevice::default() }
    }

    /// A device that holds these bytes.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        MemDevice { bytes, ..MemDevice::default() }
    }
}

fn overlaps(bad: &[Range<u64>], start: u64, end: u64) -> bool {
    bad.iter().any(|r| r.start < end && start < r.end)
}

fn range(offset: u64, len: usize) -> Option<(Range<usize>, Range<u64>)> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(len)?;
    Some((start..end, offset..u64::try_from(end).ok()?))
}

impl ReadAt for MemDevice {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let (idx, abs) = range(offset, buf.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        if overlaps(&self.bad_reads, abs.start, abs.end) {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        let src = self.bytes.get(idx).ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(src);
        Ok(())
    }

    fn size(&self) -> Bytes {
        Bytes(self.bytes.len() as u64)
    }

    fn logical_block_size(&self) -> u32 {
        512
    }
}

impl WriteAt for MemDevice {
    fn write_at(&mut self, offset: u64, buf: &[u8]) -> io::Result<()> {
        let (idx, abs) = range(offset, buf.len()).ok_or(io::ErrorKind::WriteZero)?;
        if overlaps(&self.bad_writes, abs.start, abs.end) {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        let dst = self.bytes.get_mut(idx).ok_or(io::ErrorKind::WriteZero)?;
        dst.copy_from_slice(buf);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.syncs += 1;
        Ok(())
    }
}
