//! Whether udev looks after device nodes, and keeping it away from an array that is being made.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use super::Host;

impl Host {
    /// Whether udev makes the nodes and links: it runs (`/run/udev` is there), and `MDADM_NO_UDEV=1` does not deny it.
    #[must_use]
    pub fn udev_runs(&self) -> bool {
        !self.no_udev && (self.udev.exists() || self.dev.join(".udev").exists())
    }

    /// Makes `/run/mdadm/creating-mdX`, on which udev's rules leave an array alone until it is complete.
    /// Does nothing where udev does not run, or the file cannot be made: udev then looks too early, and once more.
    pub fn block_udev(&self, devname: &str) -> UdevBlock {
        let path = self.run.join(format!("creating-{devname}"));
        let make = || {
            fs::create_dir_all(&self.run)?;
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)
        };
        let made = self.udev_runs() && make().is_ok();
        UdevBlock { path: made.then_some(path) }
    }
}

/// udev leaves the array alone while this lives. Drop it before the uevent that tells of the finished array.
#[derive(Debug)]
#[must_use = "udev is let in again when this is dropped"]
pub struct UdevBlock {
    path: Option<PathBuf>,
}

impl Drop for UdevBlock {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            let _ = fs::remove_file(path);
        }
    }
}
