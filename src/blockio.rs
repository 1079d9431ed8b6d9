//! Reading and writing at byte offsets: what the formats need of a device.
#![forbid(unsafe_code)]

use std::io;

use crate::units::Bytes;

/// Something of a fixed size that can be read at any byte offset.
pub trait ReadAt {
    /// Fills `buf` from byte `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` where the range is not wholly inside; else what the device reports.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;

    /// Size in bytes.
    fn size(&self) -> Bytes;

    /// The smallest unit of a write, in bytes: 512 or 4096 on disks, 512 for plain files.
    fn logical_block_size(&self) -> u32;

    /// Reads `len` bytes. The length must come from a constant or have been checked against the device.
    ///
    /// # Errors
    /// As [`ReadAt::read_at`].
    fn read_vec(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let end = u64::try_from(len).ok().and_then(|l| offset.checked_add(l));
        if end.is_none_or(|e| e > self.size().0) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut buf = vec![0; len];
        self.read_at(offset, &mut buf)?;
        Ok(buf)
    }
}

/// A device that can be written too.
pub trait WriteAt: ReadAt {
    /// Writes all of `buf` at byte `offset`; neighbours in the same block keep their bytes.
    ///
    /// # Errors
    /// `WriteZero` where the range is not wholly inside; else what the device reports.
    fn write_at(&mut self, offset: u64, buf: &[u8]) -> io::Result<()>;

    /// Makes everything written so far durable.
    ///
    /// # Errors
    /// What the device reports.
    fn sync(&mut self) -> io::Result<()>;
}
