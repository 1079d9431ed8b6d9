//! From device numbers to the paths a person knows: a walk over `/dev`.
//!
//! Of several paths for a device the reference shows the shortest, links counted like nodes; with `--prefer=WORD` one that has
//! `/WORD/` in it comes first (seen with 4.6).

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::sys::stat::{major, minor};

use super::Host;

/// Folders below `/dev` are not followed deeper than this, and `/dev/fd` and its like not at all.
const DEPTH: u32 = 6;
/// More paths than any machine has; keeps a hostile `/dev` from taking all memory.
const PATHS: usize = 1 << 18;

/// All paths of block devices below `/dev`.
#[derive(Debug, Clone, Default)]
pub struct DevMap {
    paths: HashMap<(u32, u32), Vec<String>>,
}

impl DevMap {
    /// Walks over `/dev`.
    #[must_use]
    pub fn read(host: &Host) -> DevMap {
        let mut map = DevMap::default();
        let mut count = 0;
        map.walk(&host.dev, DEPTH, &mut count);
        map
    }

    fn walk(&mut self, dir: &Path, depth: u32, count: &mut usize) {
        let Ok(entries) = fs::read_dir(dir) else { return };
        for entry in entries.filter_map(Result::ok) {
            *count += 1;
            let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
            if *count > PATHS {
                return;
            } else if kind.is_dir() {
                if depth > 0 && !is_skipped(&path) {
                    self.walk(&path, depth - 1, count);
                }
            } else if let Ok(meta) = fs::metadata(&path)
                && meta.file_type().is_block_device()
                && let Some(text) = path.to_str()
            {
                self.add(dev_of(&meta), text);
            }
        }
    }

    fn add(&mut self, dev: (u32, u32), path: &str) {
        self.paths.entry(dev).or_default().push(path.to_owned());
    }

    /// The path to show for a device; `None` where `/dev` has none.
    #[must_use]
    pub fn path(&self, dev: (u32, u32), prefer: Option<&str>) -> Option<&str> {
        let paths = self.paths.get(&dev)?;
        let wanted = prefer.map(|p| format!("/{p}/"));
        let rank = |path: &&String| {
            let preferred = wanted.as_ref().is_some_and(|w| path.contains(w.as_str()));
            (!preferred, path.len(), (*path).clone())
        };
        paths.iter().min_by_key(rank).map(String::as_str)
    }

    /// The numbers of all devices, in their order.
    #[must_use]
    pub fn devices(&self) -> Vec<(u32, u32)> {
        let mut devices: Vec<_> = self.paths.keys().copied().collect();
        devices.sort_unstable();
        devices
    }

    /// All paths of a device, in no order.
    #[must_use]
    pub fn paths(&self, dev: (u32, u32)) -> &[String] {
        self.paths.get(&dev).map_or(&[], Vec::as_slice)
    }
}

/// Folders of `/dev` that hold no disks and may be large.
fn is_skipped(path: &Path) -> bool {
    ["shm", "pts", "mqueue", "hugepages", "fd"].iter().any(|n| path.ends_with(n))
}

/// Major and minor number of a block device's node.
#[must_use]
pub fn dev_of(meta: &fs::Metadata) -> (u32, u32) {
    split_dev(meta.rdev())
}

/// Major and minor number.
#[must_use]
pub fn split_dev(rdev: u64) -> (u32, u32) {
    (u32::try_from(major(rdev)).unwrap_or(0), u32::try_from(minor(rdev)).unwrap_or(0))
}

/// The number of the block device at a path; `None` for anything else.
#[must_use]
pub fn block_dev(path: &Path) -> Option<(u32, u32)> {
    let meta = fs::metadata(path).ok()?;
    meta.file_type().is_block_device().then(|| dev_of(&meta))
}

impl Host {
    /// Whether `path` leads to this device.
    #[must_use]
    pub fn leads_to(&self, path: &Path, dev: (u32, u32)) -> bool {
        block_dev(path) == Some(dev)
    }

    /// The kernel name of the array that a path leads to, by its number: nothing is opened.
    #[must_use]
    pub fn devname_of(&self, path: &Path) -> Option<String> {
        let name = self.sysfs.disk_name(block_dev(&self.array_node(path))?)?;
        self.sysfs.array(&name).exists().then_some(name)
    }

    /// The link `/dev/md/NAME` of an array, where there is one.
    #[must_use]
    pub fn md_link(&self, dev: (u32, u32)) -> Option<PathBuf> {
        let mut links: Vec<PathBuf> =
            fs::read_dir(self.dev.join("md")).ok()?.filter_map(|e| Some(e.ok()?.path())).collect();
        links.sort();
        links.into_iter().find(|p| self.leads_to(p, dev))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_path_is_shown_and_a_preferred_folder_comes_first() {
        let mut map = DevMap::default();
        for path in ["/dev/disk/by-id/zz", "/dev/loop0", "/dev/disk/by-path/a", "/dev/xloop0"] {
            map.add((7, 0), path);
        }
        assert_eq!(map.path((7, 0), None), Some("/dev/loop0"));
        assert_eq!(map.path((7, 0), Some("by-id")), Some("/dev/disk/by-id/zz"));
        assert_eq!(map.path((7, 0), Some("zz")), Some("/dev/loop0"));
        assert_eq!(map.path((7, 1), None), None);
    }
}
