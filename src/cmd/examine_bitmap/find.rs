//! From a path to the bitmap on it.

use std::path::{Path, PathBuf};

use crate::bitmap::header::BitmapSuper;
use crate::bitmap::{BitmapError, summary};
use crate::cli::request::Metadata;
use crate::cmd::member::cannot_open;
use crate::device::ReadAt;
use crate::device::real::{Access, RealDevice};
use crate::error::reason;
use crate::host::Host;
use crate::host::devmap::{DevMap, block_dev};
use crate::host::holders::Holder;
use crate::superblock::v1::{self, Minor, SuperV1};
use crate::sysfs::value::Slot;
use crate::sysfs::{MemberDir, attr};

/// An open device or file with a bitmap superblock on it.
pub struct Found {
    /// The device.
    pub dev: RealDevice,
    /// The md superblock; `None` for a bitmap file.
    pub member: Option<(Minor, SuperV1)>,
    /// Byte where the bitmap starts.
    pub start: u64,
    /// The bitmap superblock.
    pub sb: BitmapSuper,
    /// Kernel name of the array that the device is a member of now.
    pub array: Option<String>,
}

/// Finds the bitmap on a path, or that of a running array with a lockless one. An error is one or more lines for stderr.
pub fn find(host: &Host, path: &Path, shown: &str, metadata: Option<Metadata>) -> Result<Found, Vec<String>> {
    match of_array(host, path) {
        Some(member) => on_device(host, &member, shown, metadata),
        None => on_device(host, path, shown, metadata),
    }
}

/// A member in sync of the array at this path, if that has a lockless bitmap: its copy is what the kernel writes.
fn of_array(host: &Host, path: &Path) -> Option<PathBuf> {
    let dev = block_dev(&host.array_node(path))?;
    let array = host.sysfs.array(&host.sysfs.block_name(dev)?);
    if !array.exists() || array.get(attr::BITMAP_TYPE)?.active.as_deref() != Some("llbitmap") {
        return None;
    }
    let in_sync = |m: &MemberDir| {
        matches!(m.get(attr::SLOT), Some(Slot::At(_))) && m.get(attr::STATE).is_some_and(|s| s.has("in_sync"))
    };
    let devices = DevMap::read(host);
    let number = |m: MemberDir| m.get(attr::BLOCK_DEV).map(|d| (d.major, d.minor));
    array
        .members()
        .into_iter()
        .filter(in_sync)
        .filter_map(number)
        .find_map(|d| devices.path(d, None).map(PathBuf::from))
}

fn on_device(host: &Host, path: &Path, shown: &str, metadata: Option<Metadata>) -> Result<Found, Vec<String>> {
    let one = |line: String| vec![line];
    let minor = wanted_minor(metadata).map_err(one)?;
    let dev = RealDevice::open(path, Access::Read).map_err(|e| {
        // The reference's words for what is neither a block device nor a file come from O_DIRECT.
        let why = match e.raw_os_error() {
            Some(libc::ENOTBLK) => format!("{}: {}", crate::error::errno_text(libc::EINVAL), cannot_open(&e)),
            errno => crate::error::errno_text(errno.unwrap_or(libc::EIO)),
        };
        one(format!("failed to open bitmap file {shown}: {why}"))
    })?;
    let member = match minor {
        _ if metadata == Some(Metadata::V090) => Ok(None),
        Some(minor) => v1::read(&dev, minor).map(|sb| sb.map(|sb| (minor, sb))),
        None => v1::read_any(&dev),
    };
    let member = member.map_err(|e| one(format!("{shown}: {e}")))?;
    let (start, sb) = match &member {
        Some((_, sb)) => on_member(&dev, sb, shown).map_err(one)?,
        None if let Some(start) = summary::start_v0(&dev) => match BitmapSuper::read(&dev, start) {
            Ok(sb) => (start, sb),
            Err(BitmapError::NoMagic { .. }) => return Err(one(format!("{shown} doesn't have bitmap"))),
            Err(e) => return Err(one(format!("{shown}: {e}"))),
        },
        None => match BitmapSuper::read(&dev, 0) {
            Ok(sb) => (0, sb),
            Err(BitmapError::Io(e)) => return Err(one(format!("cannot read {shown}: {}", reason(&e)))),
            Err(_) => return Err(nothing_there(host, &dev, shown, minor)),
        },
    };
    let array = host.holders(dev.dev()).into_iter().find_map(|h| match h {
        Holder::Array(name) => Some(name),
        _ => None,
    });
    Ok(Found { dev, member, start, sb, array })
}

fn wanted_minor(metadata: Option<Metadata>) -> Result<Option<Minor>, String> {
    match metadata {
        None | Some(Metadata::V1Default | Metadata::V090) => Ok(None),
        Some(Metadata::V1_0) => Ok(Some(Minor::V0)),
        Some(Metadata::V1_1) => Ok(Some(Minor::V1)),
        Some(Metadata::V1_2) => Ok(Some(Minor::V2)),
        Some(Metadata::Ddf) => Err("No bitmap possible with ddf metadata".to_string()),
        Some(Metadata::Imsm) => Err("No bitmap possible with imsm metadata".to_string()),
    }
}

fn on_member(dev: &dyn ReadAt, sb: &SuperV1, shown: &str) -> Result<(u64, BitmapSuper), String> {
    let none = || format!("{shown} doesn't have bitmap");
    let start = summary::start(dev, sb).map_err(|e| format!("{shown}: {e}"))?.ok_or_else(none)?;
    match BitmapSuper::read(dev, start) {
        Ok(found) if found.uuid() == sb.set_uuid() => Ok((start, found)),
        // The kernel refuses it, and the reference does not see it.
        Ok(found) => Err(format!("{}: what is there is that of array {}", none(), found.uuid())),
        Err(BitmapError::NoMagic { .. }) => Err(none()),
        Err(e) => Err(format!("{shown}: {e}")),
    }
}

fn nothing_there(host: &Host, dev: &RealDevice, shown: &str, minor: Option<Minor>) -> Vec<String> {
    let is_array = host.sysfs.block_name(dev.dev()).is_some_and(|name| host.sysfs.array(&name).exists());
    if is_array {
        return ["This is an md array.  To view a bitmap you need to examine", "a member device, not the array."]
            .map(str::to_string)
            .to_vec();
    }
    if minor.is_some() {
        return vec![format!("{shown} doesn't have bitmap")];
    }
    vec![format!("No md superblock and no bitmap detected on {shown}.")]
}
