//! What is at the path of a bitmap file.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::statfs::{EXT4_SUPER_MAGIC, FsType, XFS_SUPER_MAGIC, statfs};

use super::apply::reason;
use crate::bitmap::BitmapError;
use crate::bitmap::file::{self, FileBitmap};
use crate::device::real::{Access, RealDevice};
use crate::host::Host;
use crate::host::conf::ArrayLine;
use crate::host::node::OpenArray;
use crate::kernel::md;
use crate::plan::bitmap_file::{FileFacts, FileState};

/// Looks at a path that was given with `--bitmap`.
#[must_use]
pub fn facts(host: &Host, path: &Path) -> FileFacts {
    let state = state(host, path).unwrap_or_else(FileState::Unusable);
    FileFacts { path: path.to_owned(), state, optional: false }
}

/// Looks at what `bitmap=` of an ARRAY line names; words for bitmaps on the members name no file.
#[must_use]
pub fn configured(host: &Host, line: Option<&ArrayLine>) -> Option<FileFacts> {
    let path = line?.bitmap.as_deref().filter(|word| !["internal", "none", "lockless", "clustered"].contains(word))?;
    Some(FileFacts { optional: true, ..facts(host, Path::new(path)) })
}

/// An error is why no file there can be used.
fn state(host: &Host, path: &Path) -> Result<FileState, String> {
    if !path.is_absolute() {
        return Err("must be given with its whole path: it has to be named again at every start".into());
    }
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => return absent(path),
        Err(e) => return Err(format!("cannot be used: {}", reason(&e))),
    };
    if meta.is_dir() {
        return Err("is a directory".into());
    }
    if !meta.is_file() {
        return Err("is no regular file".into());
    }
    keeps_its_blocks(path)?;
    if let Some(array) = user(host, (meta.dev(), meta.ino())) {
        return Ok(FileState::InUse(array));
    }
    if meta.len() == 0 {
        return Ok(FileState::Empty);
    }
    let opened = RealDevice::open(path, Access::Read).map_err(|e| format!("cannot be opened: {}", reason(&e)))?;
    Ok(match file::read(&opened) {
        Ok(bitmap) => FileState::Bitmap(Box::new(bitmap)),
        Err(BitmapError::NoMagic { .. }) => FileState::Other("is no bitmap".into()),
        Err(BitmapError::OutsideDevice { .. }) => FileState::Other("is no bitmap, or a part of one".into()),
        Err(e) => FileState::Other(format!("is broken: {e}")),
    })
}

fn absent(path: &Path) -> Result<FileState, String> {
    if path.symlink_metadata().is_ok() {
        return Err("is a link that leads nowhere".into());
    }
    let (Some(parent), Some(_)) = (path.parent(), path.file_name()) else { return Err("is a directory".into()) };
    if !parent.is_dir() {
        return Err(format!("cannot be made: there is no directory {}", parent.display()));
    }
    keeps_its_blocks(parent)?;
    Ok(FileState::Absent)
}

/// The kernel asks once where the blocks of the file are (bmap) and writes them past the file system: one that moves them,
/// or puts them nowhere, would be damaged, or the bitmap lost.
fn keeps_its_blocks(path: &Path) -> Result<(), String> {
    let found = statfs(path).map_err(|e| format!("cannot be used: {}", reason(&e.into())))?.filesystem_type();
    // ext2, ext3 and ext4 have one number.
    if [EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC].contains(&found) {
        return Ok(());
    }
    let FsType(number) = found;
    Err(format!(
        "cannot be used: the kernel writes to the blocks of such a file past its file system, and only ext2, ext3, ext4 and \
         XFS are known to leave them where they are (this one is of type {number:#x})"
    ))
}

/// The running array whose bitmap this file is.
fn user(host: &Host, file: (u64, u64)) -> Option<String> {
    host.sysfs.arrays().into_iter().find_map(|devname| {
        let node = host.dev.join(&devname);
        let array = host.open_array(&node).ok()?;
        let path = md::get_bitmap_file(&array.file).ok()??;
        let meta = fs::metadata(path).ok()?;
        ((meta.dev(), meta.ino()) == file).then(|| node.display().to_string())
    })
}

/// The bitmap file of a running array as it is on the disk; `None` where it has none, or none that can be read.
#[must_use]
pub fn of_array(array: &OpenArray) -> Option<FileBitmap> {
    let path = md::get_bitmap_file(&array.file).ok()??;
    file::read(&RealDevice::open(Path::new(&path), Access::Read).ok()?).ok()
}

/// Whether the running array has its bitmap in a file, as was asked.
#[must_use]
pub fn active(array: &OpenArray) -> bool {
    md::get_bitmap_file(&array.file).is_ok_and(|path| path.is_some())
}
