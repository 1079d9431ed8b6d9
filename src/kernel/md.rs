//! md ioctls (uapi `linux/raid/md_u.h`).

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// `mdu_version_t`
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Version {
    /// 0
    pub major: i32,
    /// 90
    pub minor: i32,
    /// 3
    pub patchlevel: i32,
}

/// `mdu_array_info_t`: what the kernel says of an array, and what is told it at its making.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ArrayInfo {
    pub major_version: i32,
    pub minor_version: i32,
    pub patch_version: i32,
    /// Seconds since 1970, cut to 32 bits by the interface.
    pub ctime: u32,
    pub level: i32,
    /// Component size in KiB; -1 where it does not fit.
    pub size: i32,
    pub nr_disks: i32,
    pub raid_disks: i32,
    pub md_minor: i32,
    pub not_persistent: i32,
    pub utime: u32,
    /// Bits `SB_*`.
    pub state: i32,
    pub active_disks: i32,
    pub working_disks: i32,
    pub failed_disks: i32,
    pub spare_disks: i32,
    pub layout: i32,
    /// Bytes.
    pub chunk_size: i32,
}
const _: () = assert!(size_of::<ArrayInfo>() == 72);

/// Bits of [`ArrayInfo::state`] (uapi `md_p.h`, `MD_SB_*`, as masks).
#[allow(missing_docs)]
pub mod sb {
    pub const CLEAN: i32 = 1 << 0;
    pub const ERRORS: i32 = 1 << 1;
    pub const CLUSTERED: i32 = 1 << 5;
    pub const BITMAP_PRESENT: i32 = 1 << 8;
}

/// `mdu_disk_info_t`: one member.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct DiskInfo {
    pub number: i32,
    pub major: i32,
    pub minor: i32,
    /// Slot in the array, or -1.
    pub raid_disk: i32,
    /// Bits of [`disk`].
    pub state: i32,
}
const _: () = assert!(size_of::<DiskInfo>() == 20);

/// Bits of [`DiskInfo::state`] (uapi `md_p.h`, `MD_DISK_*`, as masks).
#[allow(missing_docs)]
pub mod disk {
    pub const FAULTY: i32 = 1 << 0;
    pub const ACTIVE: i32 = 1 << 1;
    pub const SYNC: i32 = 1 << 2;
    pub const REMOVED: i32 = 1 << 3;
    pub const CLUSTER_ADD: i32 = 1 << 4;
    pub const CANDIDATE: i32 = 1 << 5;
    pub const FAILFAST: i32 = 1 << 10;
    pub const WRITEMOSTLY: i32 = 1 << 9;
    pub const REPLACEMENT: i32 = 1 << 17;
    pub const JOURNAL: i32 = 1 << 18;
}

/// `mdu_param_t` of RUN_ARRAY; the kernel ignores it.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Param {
    personality: i32,
    chunk_size: i32,
    max_fault: i32,
}
const _: () = assert!(size_of::<Param>() == 12);

/// `mdu_bitmap_file_t`
#[repr(C)]
struct BitmapFile {
    path: [u8; 4096],
}
const _: () = assert!(size_of::<BitmapFile>() == 4096);

const MD: u8 = 9;
nix::ioctl_read!(ioc_get_bitmap_file, MD, 0x15, BitmapFile);
nix::ioctl_read!(ioc_raid_version, MD, 0x10, Version);
nix::ioctl_read!(ioc_get_array_info, MD, 0x11, ArrayInfo);
nix::ioctl_read!(ioc_get_disk_info, MD, 0x12, DiskInfo);
nix::ioctl_write_ptr!(ioc_add_new_disk, MD, 0x21, DiskInfo);
nix::ioctl_write_ptr!(ioc_set_array_info, MD, 0x23, ArrayInfo);
nix::ioctl_write_ptr!(ioc_run_array, MD, 0x30, Param);
nix::ioctl_write_int_bad!(ioc_raid_autorun, nix::request_code_none!(MD, 0x14));
nix::ioctl_none!(ioc_stop_array, MD, 0x32);
nix::ioctl_none!(ioc_stop_array_ro, MD, 0x33);
nix::ioctl_none!(ioc_restart_array_rw, MD, 0x34);
// HOT_REMOVE_DISK and SET_DISK_FAULTY take a device number as their argument itself.
nix::ioctl_write_int_bad!(ioc_hot_remove_disk, nix::request_code_none!(MD, 0x22));
nix::ioctl_write_int_bad!(ioc_set_disk_faulty, nix::request_code_none!(MD, 0x29));
nix::ioctl_write_int_bad!(ioc_set_bitmap_file, nix::request_code_write!(MD, 0x2b, size_of::<libc::c_int>()));

/// GET_ARRAY_INFO.
///
/// # Errors
/// ENODEV where the array holds nothing yet, ENOTTY where the device is not md's.
pub fn get_array_info(fd: impl AsFd) -> io::Result<ArrayInfo> {
    let mut info = ArrayInfo::default();
    // SAFETY: the ioctl writes one ArrayInfo (72 bytes, asserted) to the pointer.
    unsafe { ioc_get_array_info(fd.as_fd().as_raw_fd(), &mut info) }?;
    Ok(info)
}

/// GET_BITMAP_FILE: the path of the array's bitmap file; `None` where its bitmap is on the members, or where it has none.
///
/// # Errors
/// The errno of the ioctl.
pub fn get_bitmap_file(fd: impl AsFd) -> io::Result<Option<String>> {
    let mut file = Box::new(BitmapFile { path: [0; 4096] });
    // SAFETY: the ioctl writes one BitmapFile (4096 bytes, asserted) to the pointer.
    unsafe { ioc_get_bitmap_file(fd.as_fd().as_raw_fd(), &mut *file) }?;
    let path: Vec<u8> = file.path.iter().copied().take_while(|b| *b != 0).collect();
    Ok(Some(String::from_utf8_lossy(&path).into_owned()).filter(|p| !p.is_empty()))
}

/// SET_BITMAP_FILE: the bitmap of an array that does not run yet is in this file. The kernel keeps it open.
///
/// # Errors
/// EINVAL where the kernel has no bitmap files (CONFIG_MD_BITMAP_FILE), EBADF for what is no regular file open for writing,
/// EBUSY where another has it open for writing, EEXIST where the array has a bitmap.
pub fn set_bitmap_file(fd: impl AsFd, file: impl AsFd) -> io::Result<()> {
    // SAFETY: the ioctl takes a file descriptor by value; the kernel takes a reference of its own.
    unsafe { ioc_set_bitmap_file(fd.as_fd().as_raw_fd(), file.as_fd().as_raw_fd()) }?;
    Ok(())
}

/// RAID_VERSION: tells an md device from any other.
///
/// # Errors
/// ENOTTY where the device is not md's.
pub fn raid_version(fd: impl AsFd) -> io::Result<Version> {
    let mut version = Version::default();
    // SAFETY: the ioctl writes one Version (three ints) to the pointer.
    unsafe { ioc_raid_version(fd.as_fd().as_raw_fd(), &mut version) }?;
    Ok(version)
}

/// GET_DISK_INFO of descriptor `number`.
///
/// # Errors
/// The errno of the ioctl.
pub fn get_disk_info(fd: impl AsFd, number: i32) -> io::Result<DiskInfo> {
    let mut info = DiskInfo { number, ..DiskInfo::default() };
    // SAFETY: the ioctl reads and writes one DiskInfo (20 bytes, asserted) at the pointer.
    unsafe { ioc_get_disk_info(fd.as_fd().as_raw_fd(), &mut info) }?;
    Ok(info)
}

/// ADD_NEW_DISK.
///
/// # Errors
/// The errno of the ioctl; EINVAL where the kernel does not take the member's superblock.
pub fn add_new_disk(fd: impl AsFd, info: &DiskInfo) -> io::Result<()> {
    // SAFETY: the ioctl reads one DiskInfo (20 bytes, asserted) from the pointer.
    unsafe { ioc_add_new_disk(fd.as_fd().as_raw_fd(), info) }?;
    Ok(())
}

/// A device number as HOT_REMOVE_DISK and SET_DISK_FAULTY take it (kernel `new_decode_dev`).
fn encode_dev((major, minor): (u32, u32)) -> libc::c_int {
    let bits = (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12);
    libc::c_int::from_ne_bytes(bits.to_ne_bytes())
}

/// SET_DISK_FAULTY: the member is not used any more.
///
/// # Errors
/// ENODEV where it is no member, EBUSY where the array cannot do without it.
pub fn set_disk_faulty(fd: impl AsFd, dev: (u32, u32)) -> io::Result<()> {
    // SAFETY: the ioctl takes a device number by value.
    unsafe { ioc_set_disk_faulty(fd.as_fd().as_raw_fd(), encode_dev(dev)) }?;
    Ok(())
}

/// HOT_REMOVE_DISK: a faulty or spare member leaves the array.
///
/// # Errors
/// ENXIO where it is no member, EBUSY where it is active.
pub fn hot_remove_disk(fd: impl AsFd, dev: (u32, u32)) -> io::Result<()> {
    // SAFETY: the ioctl takes a device number by value.
    unsafe { ioc_hot_remove_disk(fd.as_fd().as_raw_fd(), encode_dev(dev)) }?;
    Ok(())
}

/// SET_ARRAY_INFO.
///
/// # Errors
/// The errno of the ioctl.
pub fn set_array_info(fd: impl AsFd, info: &ArrayInfo) -> io::Result<()> {
    // SAFETY: the ioctl reads one ArrayInfo (72 bytes, asserted) from the pointer.
    unsafe { ioc_set_array_info(fd.as_fd().as_raw_fd(), info) }?;
    Ok(())
}

/// RUN_ARRAY.
///
/// # Errors
/// The errno of the ioctl: the reason is in the kernel log.
pub fn run_array(fd: impl AsFd) -> io::Result<()> {
    let param = Param::default();
    // SAFETY: the ioctl reads at most one Param (12 bytes, asserted) from the pointer.
    unsafe { ioc_run_array(fd.as_fd().as_raw_fd(), &param) }?;
    Ok(())
}

/// RAID_AUTORUN: starts what is on partitions of type fd.
///
/// # Errors
/// EINVAL where the kernel cannot (CONFIG_MD_AUTODETECT).
pub fn raid_autorun(fd: impl AsFd) -> io::Result<()> {
    // SAFETY: the ioctl takes a number by value; 0 is what the kernel's own start gives.
    unsafe { ioc_raid_autorun(fd.as_fd().as_raw_fd(), 0) }?;
    Ok(())
}

/// STOP_ARRAY: takes the array apart.
///
/// # Errors
/// EBUSY while something holds it.
pub fn stop_array(fd: impl AsFd) -> io::Result<()> {
    // SAFETY: the ioctl takes no argument.
    unsafe { ioc_stop_array(fd.as_fd().as_raw_fd()) }?;
    Ok(())
}

/// STOP_ARRAY_RO: read-only from now on.
///
/// # Errors
/// EBUSY while something holds it for writing.
pub fn stop_array_ro(fd: impl AsFd) -> io::Result<()> {
    // SAFETY: the ioctl takes no argument.
    unsafe { ioc_stop_array_ro(fd.as_fd().as_raw_fd()) }?;
    Ok(())
}

/// RESTART_ARRAY_RW: read-write again.
///
/// # Errors
/// EBUSY where it is not read-only.
pub fn restart_array_rw(fd: impl AsFd) -> io::Result<()> {
    // SAFETY: the ioctl takes no argument.
    unsafe { ioc_restart_array_rw(fd.as_fd().as_raw_fd()) }?;
    Ok(())
}
