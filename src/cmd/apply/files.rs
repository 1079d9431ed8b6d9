//! Bitmap files: made, told to the kernel, put back.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use super::{ApplyError, Session, Undo, failed};
use crate::cmd::print::complain;
use crate::kernel::md;
use crate::plan::bitmap_file::WITHOUT;

impl Session<'_> {
    /// Makes a file, or puts one in place of another in one move.
    pub(super) fn new_bitmap_file(&mut self, path: &Path, bytes: &[u8], replace: bool) -> Result<(), ApplyError> {
        let what = format_args!("cannot make {}", path.display());
        let before = if replace { Some(fs::read(path).map_err(|e| failed(what, &e))?) } else { None };
        match &before {
            Some(_) => put(path, bytes),
            None => write_new(path, bytes).inspect_err(|e| {
                // What there is already is not ours.
                if e.kind() != io::ErrorKind::AlreadyExists {
                    let _ = fs::remove_file(path);
                }
            }),
        }
        .map_err(|e| failed(what, &e))?;
        self.undo.push(Undo::File { path: path.to_owned(), before });
        Ok(())
    }

    /// The kernel wants the file open for writing, and by nobody else.
    pub(super) fn bitmap_file(&mut self, devname: &str, path: &Path, optional: bool) -> Result<(), ApplyError> {
        match self.set_bitmap_file(devname, path) {
            Err(e) if optional => {
                std::iter::once(&e.line).chain(&e.after).for_each(complain);
                complain(format!("{devname} {WITHOUT}"));
                Ok(())
            }
            done => done,
        }
    }

    fn set_bitmap_file(&mut self, devname: &str, path: &Path) -> Result<(), ApplyError> {
        self.devices.remove(path);
        let what = format_args!("Cannot set bitmap file {} for {devname}", path.display());
        let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_CLOEXEC).open(path);
        let file = file.map_err(|e| failed(what, &e))?;
        settle(&file).map_err(|e| failed(what, &e))?;
        md::set_bitmap_file(&self.array(devname)?.file, &file).map_err(|e| {
            let mut failure = failed(what, &e);
            let why = match e.raw_os_error() {
                Some(libc::EINVAL) => Some(
                    "this kernel cannot use bitmap files: it was built without CONFIG_MD_BITMAP_FILE, or takes none all the \
                     same as Linux 7.2 does; use --bitmap=internal, which keeps the bitmap on the members",
                ),
                Some(libc::EBUSY) => Some("another program or array has it open for writing"),
                _ => None,
            };
            failure.after.extend(why.map(str::to_owned));
            failure
        })
    }
}

/// Puts back what was there before.
pub(super) fn restore(path: &Path, before: Option<&[u8]>) -> io::Result<()> {
    match before {
        Some(bytes) => put(path, bytes),
        None => fs::remove_file(path),
    }
}

/// A new file, readable by root only, durable with its name.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let flags = libc::O_CLOEXEC | libc::O_NOFOLLOW;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(flags).open(path)?;
    file.write_all(bytes)?;
    settle(&file)?;
    sync_folder(path)
}

/// Writes beside it and moves that over it: whoever has the old file open keeps the old file.
fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".new{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let done = write_new(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    if done.is_err() {
        let _ = fs::remove_file(&beside);
    }
    done.and_then(|()| sync_folder(path))
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder(path))?.sync_all()
}

/// The folder that a file is in.
pub(in crate::cmd) fn folder(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// On the disk, and not in the page cache: the kernel's md writes past it, so what is cached grows old.
fn settle(file: &File) -> io::Result<()> {
    file.sync_all()?;
    posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::request::{Common, SavedMetadata};
    use crate::host::Host;
    use crate::plan::file_step::FileStep;
    use crate::plan::step::{Plan, Step};

    fn common() -> Common {
        Common { saved_metadata: SavedMetadata::Off, ..Common::default() }
    }

    fn step(path: &Path, replace: bool) -> Step {
        let bytes = vec![5; 4096];
        Step::File(FileStep::Bitmap { path: path.to_owned(), bytes, replace, what: "a test".into() })
    }

    #[test]
    fn a_file_that_was_made_or_replaced_is_as_before_after_a_failure() {
        let dir = tempfile::tempdir().unwrap();
        let (new, old) = (dir.path().join("new"), dir.path().join("old"));
        fs::write(&old, b"before").unwrap();
        let host = Host::default();
        let nowhere = Step::Sync { device: dir.path().join("nowhere") };
        let steps = vec![step(&new, false), step(&old, true), nowhere];
        let error = Session::new(&host, &common()).apply(&Plan { steps }).unwrap_err();
        assert!(error.after.iter().any(|l| l.contains("was put back")), "{:?}", error.after);
        assert!(!new.exists());
        assert_eq!(fs::read(&old).unwrap(), b"before");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
        Session::new(&host, &common()).apply(&Plan { steps: vec![step(&new, false), step(&old, true)] }).unwrap();
        assert_eq!((fs::read(&new).unwrap(), fs::read(&old).unwrap()), (vec![5; 4096], vec![5; 4096]));
    }

    #[test]
    fn a_file_that_appeared_meanwhile_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, b"theirs").unwrap();
        let host = Host::default();
        assert!(Session::new(&host, &common()).apply(&Plan { steps: vec![step(&path, false)] }).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"theirs");
    }
}
