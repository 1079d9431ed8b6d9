//! A member's attributes.

use std::fs;
use std::path::PathBuf;

use super::{FromAttr, MemberAttr, SysfsError, parse, read_file, store_file};

/// The directory of one member, `/sys/block/md0/md/dev-sda`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberDir {
    dir: PathBuf,
    name: String,
}

impl MemberDir {
    pub(super) fn new(dir: PathBuf, name: String) -> MemberDir {
        MemberDir { dir, name }
    }

    /// Kernel name of the member.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes of the device's logical blocks; those of the disk, for a partition. `None`: it is gone.
    #[must_use]
    pub fn logical_block_size(&self) -> Option<u64> {
        let read = |queue: &str| fs::read_to_string(self.dir.join(queue).join("logical_block_size")).ok();
        read("block/queue").or_else(|| read("block/../queue"))?.trim_end().parse().ok()
    }

    /// The text of an attribute without its line end; `None` where there is no such attribute.
    ///
    /// # Errors
    /// What the read reports.
    pub fn text(&self, attr: &str) -> Result<Option<String>, SysfsError> {
        read_file(&self.dir.join(attr), &format!("md/dev-{}/{attr}", self.name))
    }

    /// The typed value of an attribute; `None` where it does not exist or holds nothing.
    ///
    /// # Errors
    /// What the read reports, and [`SysfsError::Value`] where it holds no value of the type.
    pub fn read<T: FromAttr>(&self, attr: MemberAttr<T>) -> Result<Option<T>, SysfsError> {
        parse(self.text(attr.name())?, || self.dir.join(attr.name()))
    }

    /// The typed value where it can be had.
    pub fn get<T: FromAttr>(&self, attr: MemberAttr<T>) -> Option<T> {
        self.read(attr).ok().flatten()
    }

    /// Whether the kernel has recorded blocks of this member that cannot be read or written.
    #[must_use]
    pub fn has_bad_blocks(&self) -> bool {
        self.get(super::attr::BAD_BLOCKS).is_some_and(|b| !b.0.is_empty())
    }

    /// Stores a value, in one write and without a line end.
    ///
    /// # Errors
    /// What the open or the write reports.
    pub fn store<T>(&self, attr: MemberAttr<T>, value: &str) -> Result<(), SysfsError> {
        store_file(&self.dir.join(attr.name()), &format!("md/dev-{}/{}", self.name, attr.name()), value)
    }
}
