//! What tells a block device from others, beyond its name: serial numbers and the like, as sysfs has them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::Host;

/// Longer values are cut: nothing needs more.
const LONGEST: usize = 256;
/// Attributes of a disk, below its directory, and what they are called in a saved file.
const ATTRS: [(&str, &str); 7] = [
    ("serial", "serial"),
    ("device/serial", "serial"),
    ("wwid", "wwid"),
    ("device/wwid", "wwid"),
    ("device/cid", "cid"),
    ("dm/uuid", "dm_uuid"),
    ("loop/backing_file", "loop_file"),
];

/// Names of [`ATTRS`] that no two devices share.
const UNIQUE: [&str; 5] = ["serial", "wwid", "cid", "dm_uuid", "loop_file"];

impl Host {
    /// What is known of a device; of a partition also its number and start, beside what is known of its disk.
    #[must_use]
    pub fn identity(&self, dev: (u32, u32)) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let node = self.sysfs.root().join(format!("dev/block/{}:{}", dev.0, dev.1));
        let Ok(mut dir) = fs::canonicalize(node) else { return found };
        for (file, key) in [("partition", "partition"), ("start", "partition_start")] {
            if let Some(text) = value(&dir.join(file)).filter(|_| dir.join("partition").exists()) {
                found.insert(key.to_owned(), text);
            }
        }
        if !found.is_empty() {
            dir.pop();
        }
        for (file, key) in ATTRS {
            if let Some(text) = value(&dir.join(file)) {
                found.entry(key.to_owned()).or_insert(text);
            }
        }
        found
    }
}

/// Whether it names one device for sure.
#[must_use]
pub fn is_unique(identity: &BTreeMap<String, String>) -> bool {
    UNIQUE.iter().any(|key| identity.contains_key(*key))
}

/// The first thing that two identities know and disagree on: its name, and both values.
#[must_use]
pub fn conflict<'a>(
    a: &'a BTreeMap<String, String>,
    b: &'a BTreeMap<String, String>,
) -> Option<(&'a str, &'a str, &'a str)> {
    let both = a.iter().filter_map(|(key, v)| Some((key.as_str(), v.as_str(), b.get(key)?.as_str())));
    let partition = a.contains_key("partition") != b.contains_key("partition");
    let number = |i: &'a BTreeMap<String, String>| i.get("partition").map_or("none", String::as_str);
    both.into_iter().find(|(_, x, y)| x != y).or_else(|| partition.then(|| ("partition", number(a), number(b))))
}

fn value(path: &Path) -> Option<String> {
    let text = String::from_utf8_lossy(&fs::read(path).ok()?).trim().to_owned();
    (!text.is_empty()).then(|| text.chars().take(LONGEST).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sysfs::Sysfs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_partition_is_known_by_its_number_and_its_disk() {
        let root = tempfile::tempdir().unwrap();
        let sys = root.path();
        fs::create_dir_all(sys.join("devices/sda/sda1")).unwrap();
        fs::create_dir_all(sys.join("devices/sda/device")).unwrap();
        fs::create_dir_all(sys.join("dev/block")).unwrap();
        fs::write(sys.join("devices/sda/device/wwid"), "naa.1  \n").unwrap();
        fs::write(sys.join("devices/sda/sda1/partition"), "1\n").unwrap();
        fs::write(sys.join("devices/sda/sda1/start"), "2048\n").unwrap();
        symlink("../../devices/sda", sys.join("dev/block/8:0")).unwrap();
        symlink("../../devices/sda/sda1", sys.join("dev/block/8:1")).unwrap();
        let host = Host { sysfs: Sysfs::at(sys), ..Host::default() };
        let (disk, part) = (host.identity((8, 0)), host.identity((8, 1)));
        assert_eq!(disk, [("wwid".into(), "naa.1".into())].into());
        assert_eq!(part.get("partition_start").map(String::as_str), Some("2048"));
        assert!(is_unique(&disk) && is_unique(&part) && host.identity((9, 9)).is_empty());
        assert_eq!(conflict(&disk, &part), Some(("partition", "none", "1")));
        assert_eq!(conflict(&part, &part), None);
        let other = [("wwid".to_owned(), "naa.2".to_owned())].into();
        assert_eq!(conflict(&disk, &other), Some(("wwid", "naa.1", "naa.2")));
    }
}
