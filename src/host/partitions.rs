//! A disk and its partitions, as the kernel has them.

use std::fs;
use std::path::Path;

use super::Host;
use crate::error::reason;
use crate::plan::whose::Place;
use crate::units::Sectors;

/// Floppy drives and optical ones: opening them starts a motor, and no array is on them.
const NEVER_MEMBERS: [u32; 2] = [2, 11];

/// Numbers and kernel name of a block device.
pub type Listed = ((u32, u32), String);

/// The block devices of /proc/partitions that may be members: numbers and kernel name, in its order.
fn parse(text: &str) -> Vec<Listed> {
    let one = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let dev = (words.next()?.parse::<u32>().ok()?, words.next()?.parse::<u32>().ok()?);
        let name = words.nth(1)?.to_owned();
        (!NEVER_MEMBERS.contains(&dev.0)).then_some((dev, name))
    };
    text.lines().filter_map(one).collect()
}

impl Host {
    /// The block devices that may be members: numbers and kernel name, in the kernel's order.
    ///
    /// # Errors
    /// A line that says why /proc/partitions cannot be read.
    pub fn partitions(&self) -> Result<Vec<Listed>, String> {
        let list = self.proc.join("partitions");
        let text = fs::read_to_string(&list).map_err(|e| format!("cannot read {}: {}", list.display(), reason(&e)))?;
        Ok(parse(&text))
    }

    /// A block device, and those that it shares sectors with: its partitions, or the disk that it is a partition of.
    /// `None` where sysfs does not have it.
    #[must_use]
    pub fn place_and_others(&self, dev: (u32, u32)) -> Option<(Place, Vec<Place>)> {
        let dir = self.sysfs.root().join(format!("dev/block/{}:{}", dev.0, dev.1));
        let dir = fs::canonicalize(dir).ok()?;
        let this = self.place(&dir)?;
        if dir.join("partition").exists() {
            return Some((this, self.place(dir.parent()?).into_iter().collect()));
        }
        let entries = fs::read_dir(&dir).ok()?.filter_map(Result::ok).map(|e| e.path());
        let parts = entries.filter(|p| p.join("partition").exists()).filter_map(|p| self.place(&p));
        Some((this, parts.collect()))
    }

    /// The device of a directory in sysfs.
    fn place(&self, dir: &Path) -> Option<Place> {
        let number = |name: &str| fs::read_to_string(dir.join(name)).ok()?.trim().parse::<u64>().ok();
        let text = fs::read_to_string(dir.join("dev")).ok()?;
        let (major, minor) = text.trim().split_once(':')?;
        let start = if dir.join("partition").exists() { number("start")? } else { 0 };
        Some(Place {
            shown: self.dev.join(dir.file_name()?.to_string_lossy().replace('!', "/")).display().to_string(),
            dev: (major.parse().ok()?, minor.parse().ok()?),
            start: Sectors(start),
            size: Sectors(number("size")?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floppy_and_optical_drives_are_never_looked_at() {
        let text = "major minor  #blocks  name\n\n   2        0          4 fd0\n   8       17   41 sdb1\n  11        0  99 sr0\n nonsense\n";
        assert_eq!(parse(text), [((8, 17), "sdb1".to_owned())]);
    }
}
