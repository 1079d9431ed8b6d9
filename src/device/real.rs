//! Block devices and image files.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, PosixFadviseAdvice, fallocate, posix_fadvise};

use super::{ReadAt, WriteAt};
use crate::kernel::blk;
use crate::units::Bytes;

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// A block device.
    Block,
    /// A regular file: an image.
    File,
}

/// An open block device or image file.
///
/// Block devices are read with `O_DIRECT`: the kernel's md driver writes metadata past the page cache, so a
/// buffered read of a running array's member may be old.
#[derive(Debug)]
pub struct RealDevice {
    path: PathBuf,
    file: File,
    kind: NodeKind,
    size: Bytes,
    block: u32,
    direct: bool,
    /// Not known yet where the node was not looked at.
    rdev: Option<u64>,
}

/// How to open a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// For reading.
    Read,
    /// For reading, and refused with EBUSY while something holds it (mounted, member of an array, ...).
    ReadExclusive,
    /// For reading and writing.
    Write,
    /// For reading and writing, and refused with EBUSY while something holds it.
    WriteExclusive,
}

const DIRECT_ALIGN: usize = 4096;
/// Zeros are written in pieces of at most this many bytes.
const ZERO_PIECE: usize = 1 << 20;

impl RealDevice {
    /// Opens a block device or a regular file.
    ///
    /// # Errors
    /// What the open reports; `ENOTBLK` for anything that is neither a block device nor a regular file.
    pub fn open(path: &Path, access: Access) -> io::Result<RealDevice> {
        let meta = std::fs::metadata(path)?;
        let kind = if meta.file_type().is_block_device() {
            NodeKind::Block
        } else if meta.is_file() {
            NodeKind::File
        } else {
            return Err(io::Error::from_raw_os_error(libc::ENOTBLK));
        };
        let rdev = if kind == NodeKind::Block { meta.rdev() } else { 0 };
        Self::open_as(path, access, kind, (meta.len(), Some(rdev)))
    }

    /// Opens what is known to be a block device: without looking at the node first.
    ///
    /// # Errors
    /// What the open reports; `ENOTTY` for anything else.
    pub fn open_block(path: &Path, access: Access) -> io::Result<RealDevice> {
        Self::open_as(path, access, NodeKind::Block, (0, None))
    }

    fn open_as(path: &Path, access: Access, kind: NodeKind, (len, rdev): (u64, Option<u64>)) -> io::Result<RealDevice> {
        let write = matches!(access, Access::Write | Access::WriteExclusive);
        let exclusive = matches!(access, Access::ReadExclusive | Access::WriteExclusive);
        let mut flags = libc::O_CLOEXEC | libc::O_NONBLOCK;
        if exclusive && kind == NodeKind::Block {
            flags |= libc::O_EXCL;
        }
        let open = |extra| OpenOptions::new().read(true).write(write).custom_flags(flags | extra).open(path);
        let (file, direct) = match kind {
            NodeKind::Block => match open(libc::O_DIRECT) {
                Err(e) if e.raw_os_error() == Some(libc::EINVAL) => (open(0)?, false),
                other => (other?, true),
            },
            NodeKind::File => {
                let file = open(0)?;
                // md writes its bitmap files past the page cache too.
                let _ = posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
                (file, false)
            }
        };
        let (size, block) = match kind {
            NodeKind::Block => (blk::size_bytes(file.as_fd())?, blk::logical_block_size(file.as_fd())?),
            NodeKind::File => (Bytes(len), 512),
        };
        Ok(RealDevice { path: path.to_path_buf(), file, kind, size, block, direct, rdev })
    }

    /// The path that was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Block device or file.
    #[must_use]
    pub fn kind(&self) -> NodeKind {
        self.kind
    }

    /// Major and minor number of a block device; (0, 0) for a file.
    #[must_use]
    pub fn dev(&self) -> (u32, u32) {
        let rdev = self.rdev.or_else(|| self.file.metadata().ok().map(|meta| meta.rdev())).unwrap_or(0);
        (nix::sys::stat::major(rdev) as u32, nix::sys::stat::minor(rdev) as u32)
    }

    /// The open file, for ioctls.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Makes `len` bytes from `offset` read as zeros: by the device itself where it can, else by writing them. Both must be
    /// multiples of the logical block size.
    ///
    /// # Errors
    /// What the device reports; `WriteZero` past its end.
    pub fn zero(&self, offset: u64, len: u64) -> io::Result<()> {
        if offset.checked_add(len).is_none_or(|end| end > self.size.0) {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let how = match self.kind {
            NodeKind::Block => FallocateFlags::FALLOC_FL_ZERO_RANGE,
            NodeKind::File => FallocateFlags::FALLOC_FL_PUNCH_HOLE,
        };
        let number = |n: u64| i64::try_from(n).map_err(|_| io::Error::from(io::ErrorKind::WriteZero));
        let (at, bytes) = (number(offset)?, number(len)?);
        match fallocate(&self.file, how | FallocateFlags::FALLOC_FL_KEEP_SIZE, at, bytes) {
            Err(Errno::EOPNOTSUPP) => self.write_zeros(offset, len),
            other => Ok(other?),
        }
    }

    fn write_zeros(&self, offset: u64, len: u64) -> io::Result<()> {
        let buf = vec![0u8; ZERO_PIECE + DIRECT_ALIGN];
        let shift = buf.as_ptr().align_offset(DIRECT_ALIGN);
        let (mut at, end) = (offset, offset + len);
        while at < end {
            let piece = usize::try_from(end - at).unwrap_or(usize::MAX).min(ZERO_PIECE);
            let zeros = buf.get(shift..shift + piece).ok_or(io::ErrorKind::InvalidInput)?;
            self.file.write_all_at(zeros, at)?;
            at += piece as u64;
        }
        Ok(())
    }

    /// Reads the blocks that cover the range into an aligned buffer; gives it and where the range starts in it.
    fn read_blocks(&self, offset: u64, len: usize) -> io::Result<(Vec<u8>, usize, u64)> {
        let block = u64::from(self.block.max(512));
        let start = offset - offset % block;
        let end = offset.checked_add(len as u64).ok_or(io::ErrorKind::UnexpectedEof)?;
        let end = end.checked_next_multiple_of(block).ok_or(io::ErrorKind::UnexpectedEof)?;
        let whole = usize::try_from(end - start).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let mut buf = vec![0u8; whole + DIRECT_ALIGN];
        let shift = buf.as_ptr().align_offset(DIRECT_ALIGN);
        let window = buf.get_mut(shift..shift + whole).ok_or(io::ErrorKind::InvalidInput)?;
        self.file.read_exact_at(window, start)?;
        Ok((buf, shift, start))
    }
}

impl ReadAt for RealDevice {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64);
        if end.is_none_or(|e| e > self.size.0) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !self.direct {
            return self.file.read_exact_at(buf, offset);
        }
        let (blocks, shift, start) = self.read_blocks(offset, buf.len())?;
        let skip = shift + usize::try_from(offset - start).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let src = blocks.get(skip..skip + buf.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(src);
        Ok(())
    }

    fn size(&self) -> Bytes {
        self.size
    }

    fn logical_block_size(&self) -> u32 {
        self.block
    }
}

impl WriteAt for RealDevice {
    fn write_at(&mut self, offset: u64, buf: &[u8]) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64);
        if end.is_none_or(|e| e > self.size.0) {
            return Err(io::ErrorKind::WriteZero.into());
        }
        if !self.direct {
            return self.file.write_all_at(buf, offset);
        }
        let block = u64::from(self.block.max(512));
        let start = offset - offset % block;
        let whole = ((offset + buf.len() as u64).next_multiple_of(block) - start) as usize;
        let (mut blocks, shift, _) = self.read_blocks(offset, buf.len())?;
        let skip = shift + (offset - start) as usize;
        blocks.get_mut(skip..skip + buf.len()).ok_or(io::ErrorKind::WriteZero)?.copy_from_slice(buf);
        let window = blocks.get(shift..shift + whole).ok_or(io::ErrorKind::WriteZero)?;
        self.file.write_all_at(window, start)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeroing_a_stretch_of_a_file_leaves_the_rest_and_its_size() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        std::fs::write(&path, vec![7; 3 << 20]).unwrap();
        let device = RealDevice::open(&path, Access::Write).unwrap();
        device.zero(4096, 1 << 20).unwrap();
        device.write_zeros(2 << 20, (1 << 20) - 512).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let zeros = |b: &[u8]| b.iter().all(|b| *b == 0);
        let sevens = |b: &[u8]| b.iter().all(|b| *b == 7);
        assert!(sevens(&bytes[..4096]) && zeros(&bytes[4096..4096 + (1 << 20)]));
        assert!(sevens(&bytes[4096 + (1 << 20)..2 << 20]) && zeros(&bytes[2 << 20..(3 << 20) - 512]));
        assert!(sevens(&bytes[(3 << 20) - 512..]) && bytes.len() == 3 << 20);
        assert!(device.zero(3 << 20, 512).is_err() && device.zero(u64::MAX, 512).is_err());
    }
}
