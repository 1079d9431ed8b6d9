//! A disk and its partitions, as the kernel has them.

use std::fs;
use std::path::Path;

use super::Host;
use crate::plan::whose::Place;
use crate::units::Sectors;

impl Host {
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
