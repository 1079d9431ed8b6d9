//! md's attributes in sysfs, typed, under an injectable root.
//!
//! The attributes are those of the kernel's `md_default_attrs`, `md_redundancy_attrs` and `rdev_default_attrs`
//! (`drivers/md/md.c`), of `md-bitmap.c` and of `md-llbitmap.c`; Documentation/admin-guide/md.rst describes them.
//! An attribute that a kernel does not have reads as `None`; a word that is not known is kept as it is.

pub mod attr;
mod member;
mod probe;
pub mod value;

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

pub use attr::{Attr, MemberAttr};
pub use member::MemberDir;
pub use probe::{BitmapType, LlbitmapSupport};
pub use value::FromAttr;

/// Where the kernel shows sysfs.
pub const DEFAULT_ROOT: &str = "/sys";

/// No attribute shows more than a page; bad-block lists neither.
const ATTR_BYTES: u64 = 64 * 1024;

/// A failed read or write of one attribute.
#[derive(Debug, Error)]
pub enum SysfsError {
    /// The attribute could not be read.
    #[error("cannot read {}: {}", path.display(), describe(*errno))]
    Read {
        /// The whole path.
        path: PathBuf,
        /// The attribute, as `md/level`.
        attr: String,
        /// The kernel's error number.
        errno: i32,
    },
    /// A value could not be stored.
    #[error("cannot write \"{value}\" to {}: {}", path.display(), describe(*errno))]
    Store {
        /// The whole path.
        path: PathBuf,
        /// The attribute, as `md/level`.
        attr: String,
        /// What was to be stored.
        value: String,
        /// The kernel's error number.
        errno: i32,
    },
    /// The attribute holds something that is no value of its type.
    #[error("{} holds \"{value}\", which is no {wanted}", path.display())]
    Value {
        /// The whole path.
        path: PathBuf,
        /// What it holds.
        value: String,
        /// What it should be, e.g. `number`.
        wanted: &'static str,
    },
}

impl SysfsError {
    /// The kernel's error number; 0 where a value was not understood.
    #[must_use]
    pub fn errno(&self) -> i32 {
        match self {
            SysfsError::Read { errno, .. } | SysfsError::Store { errno, .. } => *errno,
            SysfsError::Value { .. } => 0,
        }
    }

    /// What the error number means, as the C library says it.
    #[must_use]
    pub fn reason(&self) -> String {
        describe(self.errno())
    }
}

fn describe(errno: i32) -> String {
    crate::error::errno_text(errno)
}

fn errno_of(e: &io::Error) -> i32 {
    e.raw_os_error().unwrap_or(libc::EIO)
}

/// sysfs below a root: `/sys`, or a directory of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sysfs {
    root: PathBuf,
}

impl Default for Sysfs {
    fn default() -> Self {
        Sysfs::at(DEFAULT_ROOT)
    }
}

impl Sysfs {
    /// sysfs below another root.
    pub fn at(root: impl Into<PathBuf>) -> Sysfs {
        Sysfs { root: root.into() }
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The attributes of the array with this kernel name (`md0`), whether it exists or not.
    #[must_use]
    pub fn array(&self, devname: &str) -> ArrayDir {
        ArrayDir { block: self.root.join("block").join(devname), devname: devname.to_owned() }
    }

    /// Kernel names of all md arrays, in numerical order: disks with an `md` directory.
    #[must_use]
    pub fn arrays(&self) -> Vec<String> {
        self.arrays_but(|_| false)
    }

    /// The same without those that are known: these are not looked at.
    #[must_use]
    pub fn arrays_but(&self, known: impl Fn(&str) -> bool) -> Vec<String> {
        let mut names: Vec<String> = entries(&self.root.join("block"))
            .into_iter()
            .filter(|n| n.starts_with("md") && !known(n) && self.array(n).exists())
            .collect();
        names.sort_by_key(|n| (n.len(), n.clone()));
        names
    }

    /// Kernel name of a block device (`sda1`, `md0`, `dm-3`) by its number; `None` where there is none.
    #[must_use]
    pub fn block_name(&self, dev: (u32, u32)) -> Option<String> {
        let link = fs::read_link(self.root.join(format!("dev/block/{}:{}", dev.0, dev.1))).ok()?;
        Some(link.file_name()?.to_str()?.replace('!', "/"))
    }

    /// Whether the kernel takes no writes to a block device.
    #[must_use]
    pub fn is_read_only(&self, dev: (u32, u32)) -> bool {
        let ro = fs::read_to_string(self.root.join(format!("dev/block/{}:{}/ro", dev.0, dev.1)));
        ro.is_ok_and(|text| text.trim() == "1")
    }

    /// Kernel name of the disk that a block device is, or is a partition of.
    #[must_use]
    pub fn disk_name(&self, dev: (u32, u32)) -> Option<String> {
        let node = self.root.join(format!("dev/block/{}:{}", dev.0, dev.1));
        if !node.join("partition").exists() {
            return self.block_name(dev);
        }
        let link = fs::read_link(node).ok()?;
        Some(link.parent()?.file_name()?.to_str()?.to_owned())
    }

    /// Device number of a block device by its kernel name.
    #[must_use]
    pub fn dev_of(&self, name: &str) -> Option<(u32, u32)> {
        let text = fs::read_to_string(self.root.join("class/block").join(name.replace('/', "!")).join("dev"))
            .or_else(|_| fs::read_to_string(self.root.join("block").join(name).join("dev")))
            .ok()?;
        value::DevNumber::from_attr(text.trim_end()).map(|d| (d.major, d.minor))
    }

    /// Sectors of a block device, by its kernel name.
    #[must_use]
    pub fn sectors_of(&self, name: &str) -> Option<u64> {
        let file = self.root.join("class/block").join(name.replace('/', "!")).join("size");
        fs::read_to_string(file).ok()?.trim_end().parse().ok()
    }

    /// A parameter of a kernel module; `None` where the module or the parameter does not exist.
    ///
    /// # Errors
    /// What the read reports.
    pub fn parameter(&self, module: &str, name: &str) -> Result<Option<String>, SysfsError> {
        read_file(&self.root.join("module").join(module).join("parameters").join(name), name)
    }

    /// Sets a parameter of a kernel module.
    ///
    /// # Errors
    /// What the open or the write reports.
    pub fn set_parameter(&self, module: &str, name: &str, value: &str) -> Result<(), SysfsError> {
        store_file(&self.root.join("module").join(module).join("parameters").join(name), name, value)
    }
}

/// The directory of one array, `/sys/block/md0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrayDir {
    block: PathBuf,
    devname: String,
}

impl ArrayDir {
    /// Kernel name of the array.
    #[must_use]
    pub fn devname(&self) -> &str {
        &self.devname
    }

    /// `/sys/block/md0/md`
    #[must_use]
    pub fn md(&self) -> PathBuf {
        self.block.join("md")
    }

    /// Whether the kernel has an array of this name.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.md().is_dir()
    }

    /// The text of an attribute below `md/`, without its line end; `None` where the kernel has no such attribute.
    ///
    /// # Errors
    /// What the read reports.
    pub fn text(&self, attr: &str) -> Result<Option<String>, SysfsError> {
        read_file(&self.md().join(attr), &format!("md/{attr}"))
    }

    /// The typed value of an attribute; `None` where it does not exist or holds nothing.
    ///
    /// # Errors
    /// What the read reports, and [`SysfsError::Value`] where it holds no value of the type.
    pub fn read<T: FromAttr>(&self, attr: Attr<T>) -> Result<Option<T>, SysfsError> {
        parse(self.text(attr.name())?, || self.md().join(attr.name()))
    }

    /// The typed value where it can be had: for displays, which leave out what they cannot read.
    pub fn get<T: FromAttr>(&self, attr: Attr<T>) -> Option<T> {
        self.read(attr).ok().flatten()
    }

    /// Stores a value, in one write and without a line end.
    ///
    /// # Errors
    /// What the open or the write reports: EBUSY and EINVAL say that the array's state does not allow it.
    pub fn store<T>(&self, attr: Attr<T>, value: &str) -> Result<(), SysfsError> {
        self.store_text(attr.name(), value)
    }

    /// [`ArrayDir::store`] by the name of the attribute below `md/`.
    ///
    /// # Errors
    /// As [`ArrayDir::store`].
    pub fn store_text(&self, attr: &str, value: &str) -> Result<(), SysfsError> {
        store_file(&self.md().join(attr), &format!("md/{attr}"), value)
    }

    /// Asks for a uevent of the array (`change`, `add`), on which udev makes its links.
    ///
    /// # Errors
    /// What the open or the write reports.
    pub fn uevent(&self, action: &str) -> Result<(), SysfsError> {
        store_file(&self.block.join("uevent"), "uevent", action)
    }

    /// The array's device number.
    #[must_use]
    pub fn dev(&self) -> Option<(u32, u32)> {
        let text = fs::read_to_string(self.block.join("dev")).ok()?;
        value::DevNumber::from_attr(text.trim_end()).map(|d| (d.major, d.minor))
    }

    /// Size of the array in sectors, as the block layer has it; 0 where it does not run.
    #[must_use]
    pub fn size_sectors(&self) -> Option<u64> {
        fs::read_to_string(self.block.join("size")).ok()?.trim_end().parse().ok()
    }

    /// Bytes of the array's logical blocks.
    #[must_use]
    pub fn logical_block_size(&self) -> Option<u64> {
        fs::read_to_string(self.block.join("queue/logical_block_size")).ok()?.trim_end().parse().ok()
    }

    /// The directories of the members, in the order in which the kernel lists them.
    #[must_use]
    pub fn members(&self) -> Vec<MemberDir> {
        let md = self.md();
        entries(&md)
            .into_iter()
            .filter_map(|n| {
                let name = n.strip_prefix("dev-")?.to_owned();
                Some(MemberDir::new(md.join(&n), name))
            })
            .collect()
    }

    /// The directory of the member with this kernel name, whether it exists or not.
    #[must_use]
    pub fn member(&self, name: &str) -> MemberDir {
        MemberDir::new(self.md().join(format!("dev-{}", name.replace('/', "!"))), name.to_owned())
    }

    /// The bitmap types that the kernel can give this array; `None` where it knows of no choice (before 6.18).
    ///
    /// # Errors
    /// What the read reports.
    pub fn bitmap_types(&self) -> Result<Option<Vec<BitmapType>>, SysfsError> {
        Ok(self.text("bitmap_type")?.map(|t| probe::bitmap_types(&t)))
    }

    /// Whether this array, before it runs, can get a lockless bitmap.
    ///
    /// # Errors
    /// What the read reports.
    pub fn llbitmap_support(&self) -> Result<LlbitmapSupport, SysfsError> {
        Ok(probe::support(self.bitmap_types()?.as_deref()))
    }
}

fn parse<T: FromAttr>(text: Option<String>, path: impl Fn() -> PathBuf) -> Result<Option<T>, SysfsError> {
    let Some(text) = text.filter(|t| !t.is_empty() || T::EMPTY_IS_A_VALUE) else { return Ok(None) };
    match T::from_attr(&text) {
        Some(v) => Ok(Some(v)),
        None => Err(SysfsError::Value { path: path(), value: text, wanted: T::WANTED }),
    }
}

/// Names in a directory in its own order; none where it cannot be read.
fn entries(dir: &Path) -> Vec<String> {
    let Ok(read) = fs::read_dir(dir) else { return Vec::new() };
    read.filter_map(|e| e.ok()?.file_name().into_string().ok()).collect()
}

fn read_file(path: &Path, attr: &str) -> Result<Option<String>, SysfsError> {
    let mut bytes = Vec::new();
    match fs::File::open(path).and_then(|f| f.take(ATTR_BYTES).read_to_end(&mut bytes)) {
        Ok(_) => {
            let text = String::from_utf8_lossy(&bytes);
            Ok(Some(text.strip_suffix('\n').unwrap_or(&text).to_owned()))
        }
        // ENODEV: the member or the array went away between the listing and the read.
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR | libc::ENODEV)) => Ok(None),
        Err(e) => Err(SysfsError::Read { path: path.to_owned(), attr: attr.to_owned(), errno: errno_of(&e) }),
    }
}

fn store_file(path: &Path, attr: &str, value: &str) -> Result<(), SysfsError> {
    let written = OpenOptions::new().write(true).open(path).and_then(|mut f| match f.write(value.as_bytes())? {
        n if n == value.len() => Ok(()),
        _ => Err(io::Error::from_raw_os_error(libc::EIO)),
    });
    written.map_err(|e| SysfsError::Store {
        path: path.to_owned(),
        attr: attr.to_owned(),
        value: value.to_owned(),
        errno: errno_of(&e),
    })
}

#[cfg(test)]
mod tests;
