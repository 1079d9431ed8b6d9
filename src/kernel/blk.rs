//! Block device ioctls (uapi `linux/fs.h`).

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use crate::units::Bytes;

nix::ioctl_read!(blkgetsize64, 0x12, 114, u64);
nix::ioctl_read_bad!(blksszget, 0x1268, libc::c_int);
nix::ioctl_none_bad!(blkrrpart, 0x125f);
nix::ioctl_none_bad!(blkflsbuf, 0x1261);

/// Size of a block device in bytes (BLKGETSIZE64).
///
/// # Errors
/// The errno of the ioctl.
pub fn size_bytes(fd: impl AsFd) -> io::Result<Bytes> {
    let mut size = 0u64;
    // SAFETY: the ioctl writes one u64 to the pointer, which points to one.
    unsafe { blkgetsize64(fd.as_fd().as_raw_fd(), &mut size) }?;
    Ok(Bytes(size))
}

/// Logical block size in bytes (BLKSSZGET).
///
/// # Errors
/// The errno of the ioctl.
pub fn logical_block_size(fd: impl AsFd) -> io::Result<u32> {
    let mut size: libc::c_int = 0;
    // SAFETY: the ioctl writes one int to the pointer, which points to one.
    unsafe { blksszget(fd.as_fd().as_raw_fd(), &mut size) }?;
    Ok(u32::try_from(size).unwrap_or(512))
}

/// Asks the kernel to read the partition table again (BLKRRPART).
///
/// # Errors
/// The errno of the ioctl.
pub fn reread_partitions(fd: impl AsFd) -> io::Result<()> {
    // SAFETY: the ioctl takes no argument.
    unsafe { blkrrpart(fd.as_fd().as_raw_fd()) }?;
    Ok(())
}

/// Drops the page cache of the device (BLKFLSBUF).
///
/// # Errors
/// The errno of the ioctl.
pub fn flush_buffers(fd: impl AsFd) -> io::Result<()> {
    // SAFETY: the ioctl takes no argument.
    unsafe { blkflsbuf(fd.as_fd().as_raw_fd()) }?;
    Ok(())
}
