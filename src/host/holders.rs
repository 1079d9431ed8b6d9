//! Who holds a device: for messages that say more than "busy".

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::Host;
use super::devmap::{block_dev, split_dev};
use super::map::unescape;

/// One that holds a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// It is a member of this array (kernel name).
    Array(String),
    /// It is below this device-mapper device (its name).
    Mapper(String),
    /// Another block device on top of it (kernel name): bcache, ...
    Block(String),
    /// It is mounted there.
    Mount(String),
    /// It is swap space.
    Swap,
    /// Partition `name` of it is held by another.
    Partition(String, Box<Holder>),
    /// Open in a process: its number and name.
    Process(u32, String),
}

/// How deep devices may lie upon one another.
const MOST_LAYERS: u32 = 16;

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Holder::Array(name) => write!(f, "a member of /dev/{name}"),
            Holder::Mapper(name) => write!(f, "in use by /dev/mapper/{name}"),
            Holder::Block(name) => write!(f, "in use by /dev/{name}"),
            Holder::Mount(at) => write!(f, "mounted on {}", at.escape_debug()),
            Holder::Swap => f.write_str("in use as swap"),
            Holder::Process(pid, name) => write!(f, "open in process {pid} ({})", name.escape_debug()),
            Holder::Partition(name, holder) => write!(f, "in use by its partition {name}, which is {holder}"),
        }
    }
}

impl Host {
    /// All that hold a device; none found does not mean that none is there (a program may have it open).
    #[must_use]
    pub fn holders(&self, dev: (u32, u32)) -> Vec<Holder> {
        let mut found = self.direct_holders(dev);
        let node = self.sysfs.root().join(format!("dev/block/{}:{}", dev.0, dev.1));
        for part in names_in(&node).into_iter().filter(|n| node.join(n).join("partition").exists()) {
            if let Some(part_dev) = self.sysfs.dev_of(&part) {
                let below = self.direct_holders(part_dev).into_iter();
                found.extend(below.map(|h| Holder::Partition(part.clone(), Box::new(h))));
            }
        }
        found
    }

    /// Whether block device `top` is `base` or lies on it: as a partition, through arrays, device-mapper and loop devices.
    /// A member that lies on its own array would make the kernel wait for itself.
    #[must_use]
    pub fn lies_on(&self, top: (u32, u32), base: (u32, u32)) -> bool {
        self.reaches(top, base, MOST_LAYERS)
    }

    fn reaches(&self, top: (u32, u32), base: (u32, u32), layers: u32) -> bool {
        if top == base {
            return true;
        }
        if layers == 0 {
            return false;
        }
        let node = self.sysfs.root().join(format!("dev/block/{}:{}", top.0, top.1));
        let disk = self.sysfs.disk_name(top).and_then(|name| self.sysfs.dev_of(&name));
        let slaves = names_in(&node.join("slaves")).into_iter().filter_map(|name| self.sysfs.dev_of(&name));
        let file = fs::read_to_string(node.join("loop/backing_file")).ok();
        let below =
            file.and_then(|path| fs::metadata(path.trim_end_matches('\n')).ok()).map(|meta| split_dev(meta.dev()));
        disk.into_iter().chain(slaves).chain(below).filter(|d| *d != top).any(|d| self.reaches(d, base, layers - 1))
    }

    /// All that hold a device; where none is found, the processes that have it open: for the message of a failure.
    #[must_use]
    pub fn who_holds(&self, dev: (u32, u32)) -> Vec<Holder> {
        let found = self.holders(dev);
        if found.is_empty() { self.openers(dev) } else { found }
    }

    /// The processes that have the device open, this one left out. It looks at every open file there is: for the message
    /// of a failure only.
    #[must_use]
    pub fn openers(&self, dev: (u32, u32)) -> Vec<Holder> {
        let pids = names_in(&self.proc).into_iter().filter_map(|n| n.parse::<u32>().ok());
        pids.filter(|pid| *pid != std::process::id())
            .filter(|pid| {
                let files = self.proc.join(pid.to_string()).join("fd");
                names_in(&files).iter().any(|fd| block_dev(&files.join(fd)) == Some(dev))
            })
            .map(|pid| {
                let name = fs::read_to_string(self.proc.join(pid.to_string()).join("comm")).unwrap_or_default();
                Holder::Process(pid, name.trim_end().to_owned())
            })
            .collect()
    }

    fn direct_holders(&self, dev: (u32, u32)) -> Vec<Holder> {
        let node = self.sysfs.root().join(format!("dev/block/{}:{}", dev.0, dev.1));
        let mut found = Vec::new();
        for name in names_in(&node.join("holders")) {
            let dm = fs::read_to_string(node.join("holders").join(&name).join("dm/name"));
            found.push(match dm {
                Ok(dm) => Holder::Mapper(dm.trim_end().to_owned()),
                Err(_) if self.sysfs.array(&name).exists() => Holder::Array(name),
                Err(_) => Holder::Block(name),
            });
        }
        let mounts = fs::read_to_string(self.proc.join("self/mountinfo")).unwrap_or_default();
        found.extend(mount_points(&mounts, dev).into_iter().map(Holder::Mount));
        let swaps = fs::read_to_string(self.proc.join("swaps")).unwrap_or_default();
        if swap_paths(&swaps).iter().any(|p| self.leads_to(p.as_ref(), dev)) {
            found.push(Holder::Swap);
        }
        found
    }
}

fn names_in(dir: &std::path::Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> = entries.filter_map(|e| e.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// `36 35 98:0 /mnt1 /mnt/parent rw,noatime ...` (proc(5), mountinfo): third and fifth word.
fn mount_points(text: &str, dev: (u32, u32)) -> Vec<String> {
    let wanted = format!("{}:{}", dev.0, dev.1);
    let point = |line: &str| {
        let words: Vec<&str> = line.split(' ').take(5).collect();
        (words.get(2) == Some(&wanted.as_str())).then(|| words.get(4).map(|w| unescape(w)))?
    };
    text.lines().filter_map(point).collect()
}

/// The first word of each line of /proc/swaps but the heading.
fn swap_paths(text: &str) -> Vec<String> {
    text.lines().skip(1).filter_map(|l| l.split_ascii_whitespace().next()).map(unescape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_and_swap_are_found_with_their_escapes() {
        let text = "22 1 7:0 / /mnt/a\\040b rw - ext4 /dev/loop0 rw\n23 1 7:1 / /x rw - ext4 /dev/loop1 rw\nshort\n";
        assert_eq!(mount_points(text, (7, 0)), ["/mnt/a b"]);
        assert_eq!(mount_points(text, (7, 2)), Vec::<String>::new());
        assert_eq!(swap_paths("Filename Type\n/dev/loop3 partition 1 2\n"), ["/dev/loop3"]);
    }

    #[test]
    fn holders_are_named_by_kind_and_through_partitions() {
        let root = tempfile::tempdir().unwrap();
        let (sys, proc) = (root.path().join("sys"), root.path().join("proc"));
        for dir in [
            "block/md0/md",
            "dev/block/8:0/sda1",
            "dev/block/8:0/holders/md0",
            "dev/block/8:1/holders/dm-0/dm",
            "block/sda1",
        ] {
            fs::create_dir_all(sys.join(dir)).unwrap();
        }
        fs::write(sys.join("dev/block/8:0/sda1/partition"), "1").unwrap();
        fs::write(sys.join("block/sda1/dev"), "8:1\n").unwrap();
        fs::write(sys.join("dev/block/8:1/holders/dm-0/dm/name"), "vg-root\n").unwrap();
        let host = Host { sysfs: crate::sysfs::Sysfs::at(sys.clone()), proc, ..Host::default() };
        let below = Holder::Partition("sda1".into(), Box::new(Holder::Mapper("vg-root".into())));
        assert_eq!(host.holders((8, 0)), [Holder::Array("md0".into()), below.clone()]);
        for dir in ["dev/block/253:0/slaves/md0", "dev/block/7:0/loop"] {
            fs::create_dir_all(sys.join(dir)).unwrap();
        }
        fs::write(sys.join("block/md0/dev"), "9:0\n").unwrap();
        fs::write(sys.join("dev/block/7:0/loop/backing_file"), format!("{}\n", root.path().display())).unwrap();
        assert!(host.lies_on((9, 0), (9, 0)) && host.lies_on((253, 0), (9, 0)) && !host.lies_on((9, 0), (253, 0)));
        assert!(host.lies_on((7, 0), split_dev(fs::metadata(root.path()).unwrap().dev())));
        assert_eq!(below.to_string(), "in use by its partition sda1, which is in use by /dev/mapper/vg-root");
    }
}
