//! Bitmap files at create, build and assemble: which files are taken, which are made, what is said.
//!
//! A bitmap file has to be named at every start: nothing on the members leads to it. The kernel asks for a regular file that
//! nobody else writes to, and reads and writes its blocks past the file system (`set_bitmap_file`, `read_file_page`).

use std::path::{Path, PathBuf};

use crate::bitmap::file::{self, FileBitmap};
use crate::bitmap::header::NewBitmap;
use crate::error::{Exit, Refusal};
use crate::plan::file_step::FileStep;
use crate::plan::step::Step;
use crate::units::Sectors;
use crate::uuid::Uuid;

/// Said of an array whose configured file cannot be used.
pub const WITHOUT: &str = "is started without its bitmap file: it is resynced if it is not clean";
/// Said once, whenever one is used.
pub const DEPRECATED: &str = "note: bitmap files are deprecated: Linux warns of them, and mdadm 4.4 and later cannot use them; \
                              --bitmap=internal keeps the bitmap on the members";

/// What is at the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileState {
    /// Nothing, and a file can be made there.
    Absent,
    /// A file of no bytes.
    Empty,
    /// A bitmap.
    Bitmap(Box<FileBitmap>),
    /// A file that is no bitmap, or a broken one: why.
    Other(String),
    /// No file can be there, or the kernel cannot use it: why.
    Unusable(String),
    /// The bitmap of the running array of this name.
    InUse(String),
}

/// A path that was given with `--bitmap`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFacts {
    /// As typed.
    pub path: PathBuf,
    /// What is there.
    pub state: FileState,
    /// It is the configuration that names it: the array starts without it too.
    pub optional: bool,
}

impl FileFacts {
    fn refuse<T>(&self, why: &str) -> Result<T, Refusal> {
        Err(Refusal::new(format!("bitmap file {} {why}", self.path.display())))
    }

    /// What no verb can go on with.
    fn usable(&self) -> Result<(), Refusal> {
        match &self.state {
            // A value that cannot be: the status that mdadm 4.6 has for every path.
            FileState::Unusable(why) => self.refuse(why).map_err(|r: Refusal| r.with_exit(Exit::USAGE)),
            FileState::InUse(array) => self.refuse(&format!("is in use by {array}")),
            _ => Ok(()),
        }
    }

    /// The step that makes the file anew.
    ///
    /// # Errors
    /// A [`Refusal`]: there is one and `force` is not given, or it is no bitmap; the chunk is not possible.
    pub fn make(&self, force: bool, new: &NewBitmap) -> Result<Step, Refusal> {
        self.usable()?;
        let replace = match &self.state {
            FileState::Absent => false,
            FileState::Empty => true,
            FileState::Bitmap(_) if force => true,
            FileState::Other(why) if force => {
                return self.refuse(&format!("{why}; it is not overwritten: remove it, or name another"));
            }
            _ => return self.refuse("already exists, use --force to overwrite"),
        };
        let bytes = file::new_file(new).ok_or_else(|| Refusal::new("Given bitmap chunk size not supported."))?;
        let what = "bitmap file version 4, all bits set".to_owned();
        Ok(Step::File(FileStep::Bitmap { path: self.path.clone(), bytes, replace, what }))
    }

    /// The bitmap that is there, for an array with this uuid (zero: without metadata), over this range where that must be so.
    ///
    /// # Errors
    /// A [`Refusal`]: there is none, it is broken, or that of another array.
    pub fn adopt(&self, uuid: Uuid, sync: Option<Sectors>) -> Result<&FileBitmap, Refusal> {
        self.usable()?;
        match &self.state {
            FileState::Bitmap(bitmap) => match bitmap.stranger(uuid, sync) {
                Some(why) => self.refuse(&why),
                None => Ok(bitmap),
            },
            FileState::Other(why) => self.refuse(why),
            FileState::Empty => self.refuse("is empty"),
            _ => self.refuse("does not exist"),
        }
    }
}

/// The step that tells the kernel of the file, before the array starts.
#[must_use]
pub fn set(devname: &str, path: &Path, optional: bool) -> Step {
    Step::SetBitmapFile { devname: devname.to_owned(), path: path.to_owned(), optional }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::mem::MemDevice;

    fn new() -> NewBitmap {
        let uuid = Uuid([7; 16]);
        NewBitmap { uuid, sync_sectors: 8192, chunk_bytes: 4096, daemon_sleep: 5, write_behind: 0, sectors_reserved: 0 }
    }

    fn bitmap() -> FileState {
        FileState::Bitmap(Box::new(file::read(&MemDevice::from_bytes(file::new_file(&new()).unwrap())).unwrap()))
    }

    fn facts(state: FileState) -> FileFacts {
        FileFacts { path: "/x/bits".into(), state, optional: false }
    }

    #[test]
    fn only_a_bitmap_is_overwritten_and_only_by_force() {
        let made = |state, force| facts(state).make(force, &new());
        assert!(matches!(made(FileState::Absent, false), Ok(Step::File(FileStep::Bitmap { replace: false, .. }))));
        assert!(matches!(made(FileState::Empty, false), Ok(Step::File(FileStep::Bitmap { replace: true, .. }))));
        assert!(matches!(made(bitmap(), true), Ok(Step::File(FileStep::Bitmap { replace: true, .. }))));
        let said = |state, force| made(state, force).unwrap_err().to_string();
        assert_eq!(said(bitmap(), false), "bitmap file /x/bits already exists, use --force to overwrite");
        assert!(said(FileState::Other("is no bitmap".into()), false).ends_with("use --force to overwrite"));
        assert!(said(FileState::Other("is no bitmap".into()), true).contains("not overwritten"));
        assert!(said(FileState::InUse("/dev/md1".into()), true).ends_with("in use by /dev/md1"));
        let refusal = made(FileState::Unusable("is a directory".into()), true).unwrap_err();
        assert_eq!((refusal.exit, refusal.lines.len()), (Exit::USAGE, 1));
    }

    #[test]
    fn the_bitmap_of_another_array_is_not_adopted() {
        let (own, other) = (Uuid([7; 16]), Uuid([8; 16]));
        assert!(facts(bitmap()).adopt(own, Some(Sectors(8192))).is_ok());
        assert!(facts(bitmap()).adopt(own, None).is_ok());
        assert!(facts(bitmap()).adopt(other, None).unwrap_err().to_string().contains("bitmap of array"));
        assert!(facts(bitmap()).adopt(own, Some(Sectors(8194))).is_err());
        for state in [FileState::Absent, FileState::Empty, FileState::Other("is no bitmap".into())] {
            assert!(facts(state).adopt(own, None).is_err());
        }
    }
}
