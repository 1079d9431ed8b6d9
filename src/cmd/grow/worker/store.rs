//! The file in which stripes are saved before they are overwritten: each window in the other half than the one before, so that
//! whatever a header tells of is there.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{FallocateFlags, fallocate};

use crate::backup::{DATA_START, HEADER_BYTES, Header, Window};
use crate::cmd::apply::files::folder;
use crate::error::reason;
use crate::host::Host;
use crate::host::saved::SavedDir;
use crate::kernel::clock;
use crate::saved::crc::crc32c;
use crate::units::SECTOR_BYTES;
use crate::uuid::Uuid;

/// An open file.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    file: File,
    uuid: Uuid,
    half: u64,
    second: bool,
    /// What its header told of when it was opened.
    found: Option<Window>,
}

impl Store {
    /// Opens the file, or makes it, with room for two windows of so many bytes. What it tells of stays: it may be the only copy.
    ///
    /// # Errors
    /// It is on the array, is something else, or there is no room.
    pub fn open(host: &Host, devname: &str, path: &Path, uuid: Uuid, half: u64) -> Result<Store, String> {
        let failed = |e: io::Error| format!("{} cannot be used as backup file: {}", path.display(), reason(&e));
        let dir = folder(path);
        if path == super::backup_of(uuid) {
            SavedDir::open(dir).map_err(failed)?;
        }
        let flags = libc::O_CLOEXEC | libc::O_NONBLOCK;
        let new = !path.exists();
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o600).custom_flags(flags).create_new(new);
        let file = options.open(path).map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        if !meta.is_file() {
            return Err(format!("{} is no plain file", path.display()));
        }
        if is_on(host, devname, &meta) {
            if new {
                let _ = std::fs::remove_file(path);
            }
            return Err(on_itself(path));
        }
        let mut store = Store { path: path.to_owned(), file, uuid, half, second: false, found: None };
        if !new && meta.len() > 0 {
            store.found = store.is_ours()?;
            store.second = store.found.is_some_and(|w| w.kept_at == DATA_START / SECTOR_BYTES);
        }
        let made = fallocate(&store.file, FallocateFlags::empty(), 0, i64::try_from(bytes(half)).unwrap_or(0));
        let made = made.map_err(io::Error::from).and_then(|()| store.file.sync_all());
        made.and_then(|()| File::open(dir)?.sync_all()).map_err(failed)?;
        Ok(store)
    }

    /// The stretch of the array that it told of when it was opened.
    pub fn found(&self) -> Option<(u64, u64)> {
        self.found.map(|w| (w.start, w.end()))
    }

    /// It tells of nothing from now on, and that nothing was overwritten when the reshape was here.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn forget(&self, position: u64) -> Result<(), String> {
        let none = Window { kept_at: DATA_START / SECTOR_BYTES, start: position, len: 0 };
        let told = self.tell(none, None);
        told.map_err(|e| format!("{} cannot be written to: {}", self.path.display(), reason(&e)))
    }

    /// The window of its header, if it is of this array or none yet.
    fn is_ours(&self) -> Result<Option<Window>, String> {
        window_of(&self.file, &self.path, self.uuid)
    }

    fn tell(&self, window: Window, data_crc: Option<u32>) -> io::Result<()> {
        let header = Header { uuid: self.uuid, mtime: clock::now(), at: window.start, windows: vec![window], data_crc };
        self.file.write_all_at(&header.bytes(), 0)?;
        self.file.sync_data()
    }

    /// Saves what begins at this sector of the array, and makes it durable: data first, then what tells of it.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn save(&mut self, start: u64, data: &[u8]) -> Result<(), String> {
        // Nobody would find what is saved in a file without a name.
        let is = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
        let (here, there) = (self.file.metadata().map(is), std::fs::metadata(&self.path).map(is));
        if !matches!((&here, &there), (Ok(a), Ok(b)) if a == b) {
            return Err(format!("{} is not there any more", self.path.display()));
        }
        let len = data.len() as u64;
        debug_assert!(len <= self.half);
        let at = DATA_START + if self.second { self.half } else { 0 };
        let window = Window { kept_at: at / SECTOR_BYTES, start, len: len / SECTOR_BYTES };
        let written = self.file.write_all_at(data, at).and_then(|()| self.file.sync_data());
        let written = written.and_then(|()| self.tell(window, Some(crc32c(data))));
        self.second = !self.second;
        written.map_err(|e| format!("{} cannot be written to: {}", self.path.display(), reason(&e)))
    }

    /// It is not needed any more; should a crash bring it back, it tells of nothing.
    pub fn remove(&self, position: u64) {
        let _ = self.forget(position);
        let _ = std::fs::remove_file(&self.path);
    }
}

fn window_of(file: &File, path: &Path, uuid: Uuid) -> Result<Option<Window>, String> {
    let mut bytes = [0; HEADER_BYTES];
    let read = file.read_exact_at(&mut bytes, 0).map_err(|_| "it is too short".to_owned());
    match read.and_then(|()| Header::parse(&bytes)) {
        Ok(Some(header)) if header.uuid == uuid => Ok(header.windows.first().copied()),
        Ok(None) if bytes.iter().all(|b| *b == 0) => Ok(None),
        _ => Err(format!("{} is there already and no backup of this array: it is not overwritten", path.display())),
    }
}

/// Bytes of a file for two windows of so many.
pub(super) fn bytes(half: u64) -> u64 {
    half.saturating_mul(2).saturating_add(DATA_START)
}

/// The folder, or what there is of the way to it: it may be made yet.
fn nearest(path: &Path) -> &Path {
    folder(path).ancestors().find(|p| p.exists()).unwrap_or(Path::new("."))
}

fn on_itself(path: &Path) -> String {
    format!("{} is on the array itself: that must not be", path.display())
}

/// Whether [`Store::open`] will do, without making anything.
///
/// # Errors
/// As there.
pub(super) fn could_be(host: &Host, devname: &str, path: &Path, uuid: Uuid, bytes: u64) -> Result<(), String> {
    let failed = |e: io::Error| format!("{} cannot be used as backup file: {}", path.display(), reason(&e));
    let is_default = path == super::backup_of(uuid);
    let dir = if is_default { nearest(path) } else { folder(path) };
    let mut has = 0;
    let meta = match std::fs::metadata(path) {
        Ok(meta) if !meta.is_file() => return Err(format!("{} is no plain file", path.display())),
        Ok(meta) => {
            let file = File::open(path).map_err(failed)?;
            has = meta.blocks().saturating_mul(SECTOR_BYTES);
            if meta.len() > 0 {
                window_of(&file, path, uuid)?;
            }
            meta
        }
        Err(_) => std::fs::metadata(dir).map_err(failed)?,
    };
    if is_on(host, devname, &meta) {
        return Err(on_itself(path));
    }
    let free = nix::sys::statvfs::statvfs(dir).map_err(|e| failed(e.into()))?;
    let free = free.blocks_available().saturating_mul(free.fragment_size());
    if free.saturating_add(has) < bytes {
        return Err(failed(io::Error::from_raw_os_error(libc::ENOSPC)));
    }
    Ok(())
}

/// Whether a file is on the array.
fn is_on(host: &Host, devname: &str, meta: &std::fs::Metadata) -> bool {
    let on = anonymous(meta.dev()).unwrap_or(meta.dev());
    let dev = (nix::sys::stat::major(on), nix::sys::stat::minor(on));
    let dev = (u32::try_from(dev.0).unwrap_or(0), u32::try_from(dev.1).unwrap_or(0));
    host.sysfs.block_name(dev).is_some_and(|name| stands_on(host, &name, devname, 0))
}

/// The device of a file system whose files name none that exists, as on btrfs: where it was mounted from.
fn anonymous(dev: u64) -> Option<u64> {
    if nix::sys::stat::major(dev) != 0 {
        return None;
    }
    let number = format!("0:{}", nix::sys::stat::minor(dev));
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let line = mounts.lines().find(|line| line.split(' ').nth(2) == Some(&number))?;
    let source = line.split_once(" - ")?.1.split(' ').nth(1)?;
    let meta = std::fs::metadata(source).ok()?;
    meta.file_type().is_block_device().then(|| meta.rdev())
}

/// Whether a file would be gone after a power cut.
pub(super) fn is_in_memory(path: &Path) -> bool {
    const RAMFS: u32 = 0x8584_58f6;
    nix::sys::statfs::statfs(nearest(path)).is_ok_and(|fs| {
        let kind = fs.filesystem_type();
        kind == nix::sys::statfs::TMPFS_MAGIC || u32::try_from(kind.0).is_ok_and(|kind| kind == RAMFS)
    })
}

/// Whether a block device is this array, or stands on it: a partition, or what device-mapper or md makes of it.
fn stands_on(host: &Host, name: &str, devname: &str, depth: u32) -> bool {
    let dev = host.sysfs.dev_of(name);
    if name == devname || dev.and_then(|d| host.sysfs.disk_name(d)).is_some_and(|disk| disk == devname) {
        return true;
    }
    let slaves = host.sysfs.root().join("class/block").join(name).join("slaves");
    let Ok(entries) = std::fs::read_dir(slaves) else { return false };
    let below = entries.filter_map(Result::ok).filter_map(|e| e.file_name().into_string().ok());
    depth < 16 && below.into_iter().any(|slave| stands_on(host, &slave, devname, depth + 1))
}
