//! Opening arrays: those that exist by any of their names, and new ones that the kernel is asked to make.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use super::Host;
use super::devmap::{block_dev, dev_of};
use super::map::MapEntry;
use super::names;
use super::udev::UdevBlock;
use crate::error::Refusal;
use crate::kernel::md;
use crate::sysfs::ArrayDir;

/// How long to wait for udev's nodes and links.
const UDEV_WAIT: Duration = Duration::from_secs(5);

/// An array's identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrayName {
    /// Kernel name: `md127`.
    pub devname: String,
    /// As shown to the user: `/dev/md/foo`.
    pub path: PathBuf,
    /// Device number.
    pub dev: (u32, u32),
}

/// An open array.
#[derive(Debug)]
pub struct OpenArray {
    /// Its identity.
    pub name: ArrayName,
    /// For ioctls.
    pub file: File,
    /// Its attributes.
    pub sysfs: ArrayDir,
}

impl OpenArray {
    /// The same array once more, for what wants one of its own.
    ///
    /// # Errors
    /// What duplicating the open file reports.
    pub fn again(&self) -> io::Result<OpenArray> {
        Ok(OpenArray { name: self.name.clone(), file: self.file.try_clone()?, sysfs: self.sysfs.clone() })
    }
}

/// Why an array could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// The path could not be opened.
    Open(io::Error),
    /// It is no md device.
    NotMd,
}

impl Host {
    /// Opens an existing array (or a partition of one) by a path, or by its kernel name without a path.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_array(&self, typed: &Path) -> Result<OpenArray, OpenError> {
        let path = self.array_node(typed);
        let file = self.open_for_questions(&path).map_err(OpenError::Open)?;
        self.opened(file, typed)
    }

    /// Opens what may be an array, to ask it. A pipe without a writer does not hold us up.
    ///
    /// # Errors
    /// What the open reports, and that it is for lack of the md driver.
    pub fn open_for_questions(&self, path: &Path) -> io::Result<File> {
        let opened = OpenOptions::new().read(true).custom_flags(libc::O_CLOEXEC | libc::O_NONBLOCK).open(path);
        opened.map_err(|e| match e.raw_os_error() {
            Some(libc::ENOENT | libc::ENXIO | libc::ENODEV) if !self.has_md() => {
                io::Error::other(reason(&e) + self.md_hint())
            }
            _ => e,
        })
    }

    /// The path to open for what was typed: a kernel name stands for its node, and so does a name that the map file has
    /// for a running array though its link is not there, or not yet, or not just now (udev takes links away for a moment).
    #[must_use]
    pub fn array_node(&self, typed: &Path) -> PathBuf {
        if let Some(word) = typed.to_str().filter(|w| !w.contains('/') && names::is_kernel_name(w)) {
            return self.dev.join(word);
        }
        if !typed.starts_with(self.dev.join("md")) || typed.exists() {
            return typed.to_owned();
        }
        let known = self.map().load().unwrap_or_default().into_iter().find(|e| e.path.as_deref() == Some(typed));
        let node = known.filter(|e| self.sysfs.array(&e.devname).exists()).map(|e| self.dev.join(e.devname));
        node.unwrap_or_else(|| typed.to_owned())
    }

    /// Tells whether an open file is an array, and which.
    ///
    /// # Errors
    /// [`OpenError::NotMd`] where it is none.
    pub fn opened(&self, file: File, shown: &Path) -> Result<OpenArray, OpenError> {
        let meta = file.metadata().map_err(OpenError::Open)?;
        let dev = dev_of(&meta);
        let devname = self.sysfs.disk_name(dev).ok_or(OpenError::NotMd)?;
        let sysfs = self.sysfs.array(&devname);
        if md::raid_version(&file).is_err() || !sysfs.exists() {
            return Err(OpenError::NotMd);
        }
        Ok(OpenArray { name: ArrayName { devname, path: shown.to_owned(), dev }, file, sysfs })
    }

    /// Has the kernel make an empty array of this name or number, and opens it for writing, alone.
    ///
    /// The map file must be locked, or two commands may take the same free number: `map` are its entries.
    /// udev leaves the array alone until [`NewArray::block`] is dropped.
    ///
    /// # Errors
    /// A refusal: the name or number is in use, or the kernel cannot make the array.
    pub fn create_array_node(&self, devname: &str, path: &Path, map: &[MapEntry]) -> Result<NewArray, Refusal> {
        let shown = path.display();
        self.refuse_taken_path(devname, path, map)?;
        let block = self.block_udev(devname);
        let made = self.new_array(devname);
        // The number of `md_home` is the kernel's choice.
        let number = names::number_of(devname).map(|n| (9, n)).or_else(|| self.sysfs.dev_of(devname));
        let failed = |why: String| Refusal::new(format!("failed to create {shown}: {why}{}", made_hint(&made)));
        let dev = number.ok_or_else(|| failed(format!("the kernel makes no {devname}")))?;
        let name = ArrayName { devname: devname.to_owned(), path: path.to_owned(), dev };
        let file = self.open_number(&name).map_err(|e| failed(reason(&e)))?;
        let sysfs = self.sysfs.array(&name.devname);
        if md::get_array_info(&file).is_ok() || !sysfs.members().is_empty() {
            return Err(Refusal::new(format!("{shown} is already in use.")));
        }
        Ok(NewArray { array: OpenArray { name, file, sysfs }, block })
    }

    /// Whether a new array of this kernel name can have this path.
    #[must_use]
    pub fn is_free(&self, devname: &str, path: &Path, map: &[MapEntry]) -> bool {
        self.sysfs.array(devname).members().is_empty() && self.refuse_taken_path(devname, path, map).is_ok()
    }

    /// A path of that name that leads to a running array, or to something else.
    fn refuse_taken_path(&self, new: &str, path: &Path, map: &[MapEntry]) -> Result<(), Refusal> {
        let shown = path.display();
        let number = names::number_of(new);
        let running = |devname: &str| self.sysfs.array(devname).exists();
        let taken = map.iter().any(|e| e.path.as_deref() == Some(path) && e.devname != new && running(&e.devname));
        if taken || (number.is_none() && running(new)) {
            return Err(Refusal::new(format!("Array name {shown} is in use already.")));
        }
        let Ok(meta) = path.symlink_metadata() else { return Ok(()) };
        match block_dev(path) {
            Some((9, n)) if Some(n) == number => Ok(()),
            Some((9, n)) if running(&format!("md{n}")) => {
                Err(Refusal::new(format!("Array name {shown} is in use already.")))
            }
            None if meta.is_symlink() => Ok(()),
            _ => Err(Refusal::new(format!("device {shown} exists but is not an md array."))),
        }
    }

    /// `echo md5 > /sys/module/md_mod/parameters/new_array`. The old asynchronous removal of stopped arrays is switched off
    /// first, as the reference does (6.18 and later), so that a name can be used again at once.
    fn new_array(&self, devname: &str) -> Result<(), String> {
        let _ = self.sysfs.set_parameter("md_mod", "legacy_async_del_gendisk", "N");
        if self.sysfs.array(devname).exists() {
            return Ok(());
        }
        self.sysfs.set_parameter("md_mod", "new_array", devname).map_err(|e| e.to_string())
    }

    /// Opens a device by number, whatever `/dev` has; this makes it where the kernel creates on open.
    pub(crate) fn open_number(&self, name: &ArrayName) -> io::Result<File> {
        self.open_number_with(name, true, libc::O_EXCL)
    }

    /// The same, to drive an array that others may have open too.
    pub(crate) fn open_number_shared(&self, name: &ArrayName) -> io::Result<File> {
        self.open_number_with(name, false, 0)
    }

    fn open_number_with(&self, name: &ArrayName, write: bool, extra: libc::c_int) -> io::Result<File> {
        let tmp = self.dev.join(format!(".tmp.md.{}:{}:{}", std::process::id(), name.dev.0, name.dev.1));
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        mknod(&tmp, SFlag::S_IFBLK, mode, makedev(name.dev.0.into(), name.dev.1.into()))?;
        let flags = extra | libc::O_DIRECT | libc::O_CLOEXEC;
        let opened = OpenOptions::new().read(true).write(write).custom_flags(flags).open(&tmp);
        fs::remove_file(&tmp)?;
        opened
    }

    /// Makes the node and the link of an array where udev does not; where it does, see [`Host::wait_for_path`].
    ///
    /// # Errors
    /// What making them reports; a path that leads elsewhere is left alone, and said to be in the way.
    pub fn make_path(&self, name: &ArrayName) -> io::Result<()> {
        if self.udev_runs() {
            return Ok(());
        }
        let node = self.dev.join(&name.devname);
        if block_dev(&node) != Some(name.dev) {
            let mode = Mode::S_IRUSR | Mode::S_IWUSR | Mode::S_IRGRP | Mode::S_IWGRP;
            mknod(&node, SFlag::S_IFBLK, mode, makedev(name.dev.0.into(), name.dev.1.into()))?;
        }
        self.nodes.apply(&node)?;
        if name.path == node || block_dev(&name.path) == Some(name.dev) {
            return Ok(());
        }
        if let Some(dir) = name.path.parent() {
            fs::create_dir_all(dir)?;
        }
        match name.path.symlink_metadata() {
            Ok(meta) if meta.is_symlink() => fs::remove_file(&name.path)?,
            Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => {}
        }
        symlink(&node, &name.path)
    }

    /// Takes away the link that [`Host::make_path`] made, and a node that the kernel left, once the array is stopped.
    pub fn remove_path(&self, name: &ArrayName, map: &[MapEntry]) {
        if self.udev_runs() {
            return;
        }
        let node = self.dev.join(&name.devname);
        for path in self.links_of(name, map) {
            let _ = fs::remove_file(path);
        }
        if !self.sysfs.array(&name.devname).exists() && block_dev(&node) == Some(name.dev) {
            let _ = fs::remove_file(node);
        }
    }

    /// Waits until a path leads to the device, as udev makes it so; `false` where it does not within five seconds.
    #[must_use]
    pub fn wait_for_path(&self, name: &ArrayName) -> bool {
        self.wait_until(UDEV_WAIT, || block_dev(&name.path) == Some(name.dev))
    }

    /// Waits until the kernel has taken a stopped array's disk away: only then its name can be used again.
    #[must_use]
    pub fn wait_until_gone(&self, devname: &str) -> bool {
        self.wait_until(UDEV_WAIT, || !self.sysfs.array(devname).exists())
    }

    /// Links to an array's node: its path and those that the map file has for it. To be asked before the node goes.
    #[must_use]
    pub fn links_of(&self, name: &ArrayName, map: &[MapEntry]) -> Vec<PathBuf> {
        let known = map.iter().filter(|e| e.devname == name.devname).filter_map(|e| e.path.clone());
        let ours =
            |p: &PathBuf| p.starts_with(&self.dev) && fs::read_link(p).is_ok_and(|to| to.ends_with(&name.devname));
        known.chain([name.path.clone()]).filter(ours).collect()
    }

    /// Waits until udev is through with a stopped array: its links and its record (`/run/udev/data`) are gone, and no event
    /// waits. Otherwise a late event of the old array makes the link of a new one of the same number, and the next one takes
    /// it away again.
    #[must_use]
    pub fn wait_for_removal(&self, name: &ArrayName, links: &[PathBuf]) -> bool {
        let record = self.udev.join(format!("data/b{}:{}", name.dev.0, name.dev.1));
        let gone =
            self.wait_until(UDEV_WAIT, || !record.exists() && links.iter().all(|l| l.symlink_metadata().is_err()));
        // Events of other devices keep the queue filled too: a boot is not held up for them.
        gone && self.wait_until(UDEV_WAIT / 5, || !self.udev.join("queue").exists())
    }
}

/// A new array, empty.
#[derive(Debug)]
pub struct NewArray {
    /// The array.
    pub array: OpenArray,
    /// Drop it when the array is complete, before the `change` uevent.
    pub block: UdevBlock,
}

fn reason(e: &io::Error) -> String {
    e.raw_os_error().map_or_else(|| e.to_string(), crate::error::errno_text)
}

fn made_hint(made: &Result<(), String>) -> String {
    made.as_ref().err().map_or(String::new(), |e| format!(" ({e})"))
}
