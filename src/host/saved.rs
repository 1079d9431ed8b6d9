//! The directory of saved metadata: who may see it, how large it gets, and what makes a file in it durable.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};

use crate::saved::{MAX_FILE, Saved};
use crate::time::stamp;

/// Where files go unless `--saved-metadata` says otherwise.
pub const DEFAULT_DIR: &str = "/var/lib/mdadm-rs";
/// All files together are at most this large; the oldest go first.
pub const MAX_TOTAL: u64 = 64 << 20;
/// What names of files end in.
const SUFFIX: &str = ".saved";
/// Files of one second and process, more than any command makes.
const TRIES: u32 = 1000;

/// The file of this command, once it has one: all that one command saves goes into one file.
#[derive(Debug, Clone, Default)]
pub struct SavedFile(Arc<Mutex<Option<(PathBuf, Saved)>>>);

impl SavedFile {
    /// Adds what is on some devices to the command's file and makes that durable; a device that is in it already begins
    /// another. Gives the path of a new file, none where it is the one of before.
    ///
    /// # Errors
    /// The directory cannot be used, or what the file system reports. A file of before stays as it is.
    pub fn add(&self, dir: &SavedDir, more: Saved) -> io::Result<Option<PathBuf>> {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = |d: &crate::saved::Device, old: &Saved| old.devices.iter().all(|o| o.path != d.path);
        if let Some((path, old)) = now.as_mut().filter(|(_, old)| more.devices.iter().all(|d| new(d, old))) {
            let mut both = old.clone();
            both.devices.extend(more.devices.iter().cloned());
            both.incomplete |= more.incomplete;
            // Past the limits of a file: another one.
            if let Ok(bytes) = both.to_bytes() {
                dir.replace(path, &bytes)?;
                *old = both;
                return Ok(None);
            }
        }
        let path = dir.put(&more.to_bytes().map_err(io::Error::other)?, more.time_seconds)?;
        *now = Some((path.clone(), more));
        Ok(Some(path))
    }
}

/// The directory, open.
#[derive(Debug)]
pub struct SavedDir {
    path: PathBuf,
    dir: File,
}

fn other(text: &str) -> io::Error {
    io::Error::other(text.to_owned())
}

impl SavedDir {
    /// Opens the directory; makes it, for its owner only, where its parent exists.
    ///
    /// # Errors
    /// It cannot be made or opened, is a link, or others may write to it.
    pub fn open(path: &Path) -> io::Result<SavedDir> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        let dir = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let meta = dir.metadata()?;
        if meta.uid() != nix::unistd::geteuid().as_raw() {
            return Err(other("it belongs to somebody else"));
        }
        if meta.mode() & 0o022 != 0 {
            return Err(other("others may write to it"));
        }
        Ok(SavedDir { path: path.to_owned(), dir })
    }

    /// Whether the next boot will not find it.
    #[must_use]
    pub fn is_in_memory(&self) -> bool {
        fstatfs(self.dir.as_fd()).is_ok_and(|s| s.filesystem_type() == TMPFS_MAGIC)
    }

    /// Writes a new file and makes it durable; older ones go where all together would be too large.
    ///
    /// # Errors
    /// What the file system reports; nothing is left then.
    pub fn put(&self, bytes: &[u8], now: u64) -> io::Result<PathBuf> {
        self.make_room(bytes.len() as u64);
        let stamp = stamp(now);
        for n in 0..TRIES {
            let more = if n == 0 { String::new() } else { format!("-{n}") };
            let path = self.path.join(format!("{stamp}-{}{more}{SUFFIX}", std::process::id()));
            match self.write(&path, bytes, |_| Ok(())) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                done => return done.map(|()| path),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Puts other bytes into a file of before, all at once.
    ///
    /// # Errors
    /// What the file system reports; the file of before is then still there.
    pub fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.make_room(bytes.len() as u64);
        let new = path.with_extension("new");
        let _ = fs::remove_file(&new);
        self.write(&new, bytes, |new| fs::rename(new, path))
    }

    /// A new file, durable when `then` has named it; nothing is left of it where something fails.
    fn write(&self, path: &Path, bytes: &[u8], then: impl Fn(&Path) -> io::Result<()>) -> io::Result<()> {
        let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(flags).open(path)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| then(path));
        written.and_then(|()| self.dir.sync_all()).inspect_err(|_| {
            let _ = fs::remove_file(path);
        })
    }

    /// Removes the oldest files until `more` bytes fit. Only files of ours: by name, plain, of one link.
    fn make_room(&self, more: u64) {
        let Ok(entries) = fs::read_dir(&self.path) else { return };
        let mut files: Vec<(i64, PathBuf, u64)> = entries
            .filter_map(Result::ok)
            .filter(|e| e.file_name().to_str().is_some_and(|n| n.ends_with(SUFFIX)))
            .filter_map(|e| Some((e.path(), fs::symlink_metadata(e.path()).ok()?)))
            .filter(|(_, meta)| meta.is_file())
            .map(|(path, meta)| (meta.mtime(), path, meta.len()))
            .collect();
        files.sort();
        let mut total = files.iter().fold(more, |sum, f| sum.saturating_add(f.2));
        for (_, path, len) in files {
            if total <= MAX_TOTAL {
                break;
            }
            if fs::remove_file(path).is_ok() {
                total -= len;
            }
        }
    }
}

/// Reads a file of saved metadata: a plain one, no larger than one can be.
///
/// # Errors
/// What the open or the read reports; no plain file; too large.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(other("it is no plain file"));
    }
    if meta.len() > MAX_FILE {
        return Err(other("it is larger than such a file can be"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn the_directory_is_made_for_its_owner_only_and_files_too() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("state");
        let dir = SavedDir::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        let file = dir.put(b"abc", 1_790_000_000).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert_ne!(dir.put(b"abc", 1_790_000_000).unwrap(), file);
        assert_eq!(read(&file).unwrap(), b"abc");
        assert!(SavedDir::open(&root.path().join("no/parent")).is_err());
    }

    #[test]
    fn all_that_one_command_saves_goes_into_one_file() {
        use crate::saved::Device;
        let root = tempfile::tempdir().unwrap();
        let dir = SavedDir::open(&root.path().join("state")).unwrap();
        let file = SavedFile::default();
        let of = |path: &str| Saved {
            devices: vec![Device { path: path.into(), ..Device::default() }],
            time_seconds: 1,
            ..Saved::default()
        };
        let path = file.clone().add(&dir, of("/a")).unwrap().unwrap();
        assert_eq!(file.add(&dir, of("/b")).unwrap(), None);
        let names = |path: &Path| -> Vec<PathBuf> {
            Saved::parse(&read(path).unwrap()).unwrap().devices.into_iter().map(|d| d.path).collect()
        };
        assert_eq!(names(&path), [Path::new("/a"), Path::new("/b")]);
        let second = file.add(&dir, of("/a")).unwrap().unwrap();
        assert_eq!(names(&second), [Path::new("/a")]);
        assert_eq!(fs::read_dir(root.path().join("state")).unwrap().count(), 2);
    }

    #[test]
    fn links_and_directories_that_others_may_write_to_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let open = root.path().join("open");
        fs::create_dir(&open).unwrap();
        symlink(&open, root.path().join("link")).unwrap();
        assert!(SavedDir::open(&root.path().join("link")).is_err());
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(SavedDir::open(&open).unwrap_err().to_string().contains("others"));
        assert!(read(root.path()).is_err() && read(Path::new("/dev/zero")).is_err());
    }

    #[test]
    fn the_oldest_files_go_when_all_would_be_too_large() {
        let root = tempfile::tempdir().unwrap();
        let dir = SavedDir::open(&root.path().join("state")).unwrap();
        let old = dir.put(b"old", 1).unwrap();
        File::options().write(true).open(&old).unwrap().set_len(MAX_TOTAL / 2).unwrap();
        let mid = dir.put(b"mid", 2).unwrap();
        File::options().write(true).open(&mid).unwrap().set_len(MAX_TOTAL / 2).unwrap();
        let past = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
        File::options().write(true).open(&old).unwrap().set_modified(past).unwrap();
        fs::write(root.path().join("state/other"), "kept").unwrap();
        let new = dir.put(b"new", 3).unwrap();
        assert!(!old.exists() && mid.exists() && new.exists() && root.path().join("state/other").exists());
    }
}
