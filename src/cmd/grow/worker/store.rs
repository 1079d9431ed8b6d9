//! The file in which stripes are saved before they are overwritten: each window in the other half than the one before, so that
//! whatever a header tells of is there.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{FallocateFlags, fallocate};

use crate::backup::{DATA_START, HEADER_BYTES, Header, Window};
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
}

impl Store {
    /// Opens the file, or makes it, with room for two windows of so many bytes; it tells of nothing from then on.
    ///
    /// # Errors
    /// It is on the array, is something else, or there is no room.
    pub fn open(host: &Host, devname: &str, path: &Path, uuid: Uuid, half: u64) -> Result<Store, String> {
        let failed = |e: io::Error| format!("{} cannot be used as backup file: {}", path.display(), reason(&e));
        let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
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
        let dev = (nix::sys::stat::major(meta.dev()), nix::sys::stat::minor(meta.dev()));
        let dev = (u32::try_from(dev.0).unwrap_or(0), u32::try_from(dev.1).unwrap_or(0));
        if host.sysfs.block_name(dev).is_some_and(|name| stands_on(host, &name, devname, 0)) {
            if new {
                let _ = std::fs::remove_file(path);
            }
            return Err(format!("{} is on the array itself: that must not be", path.display()));
        }
        let store = Store { path: path.to_owned(), file, uuid, half, second: false };
        if !new && meta.len() > 0 {
            store.is_ours()?;
        }
        let made =
            fallocate(&store.file, FallocateFlags::empty(), 0, i64::try_from(DATA_START + 2 * half).unwrap_or(0));
        let made = made.map_err(io::Error::from).and_then(|()| store.tell(Vec::new(), None));
        let made = made.and_then(|()| store.file.sync_all()).and_then(|()| File::open(dir)?.sync_all());
        made.map_err(failed)?;
        Ok(store)
    }

    fn is_ours(&self) -> Result<(), String> {
        let mut bytes = [0; HEADER_BYTES];
        let read = self.file.read_exact_at(&mut bytes, 0).map_err(|_| "it is too short".to_owned());
        match read.and_then(|()| Header::parse(&bytes)) {
            Ok(Some(header)) if header.uuid == self.uuid => Ok(()),
            Ok(None) if bytes.iter().all(|b| *b == 0) => Ok(()),
            _ => Err(format!(
                "{} is there already and no backup of this array: it is not overwritten",
                self.path.display()
            )),
        }
    }

    fn tell(&self, windows: Vec<Window>, data_crc: Option<u32>) -> io::Result<()> {
        let header = Header { uuid: self.uuid, mtime: clock::now(), windows, data_crc };
        self.file.write_all_at(&header.bytes(), 0)?;
        self.file.sync_data()
    }

    /// Saves what begins at this sector of the array, and makes it durable: data first, then what tells of it.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn save(&mut self, start: u64, data: &[u8]) -> Result<(), String> {
        let len = data.len() as u64;
        debug_assert!(len <= self.half);
        let at = DATA_START + if self.second { self.half } else { 0 };
        let window = Window { kept_at: at / SECTOR_BYTES, start, len: len / SECTOR_BYTES };
        let written = self.file.write_all_at(data, at).and_then(|()| self.file.sync_data());
        let written = written.and_then(|()| self.tell(vec![window], Some(crc32c(data))));
        self.second = !self.second;
        written.map_err(|e| format!("{} cannot be written to: {}", self.path.display(), reason(&e)))
    }

    /// It is not needed any more.
    pub fn remove(&self) {
        let _ = std::fs::remove_file(&self.path);
    }
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
