//! The arrays as they are now: /proc/mdstat, and sysfs of those that look other than before.
//!
//! No array is opened: that would keep it busy for a moment, and make a stopped one anew.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd};

use super::state::{Array, Condition, Member, Sync};
use crate::host::Host;
use crate::host::map::MapEntry;
use crate::host::mdstat::{self, MdStatArray, MdStatSync};
use crate::level::Level;
use crate::sysfs::value::{ArrayState, Slot};
use crate::sysfs::{ArrayDir, MemberDir, attr};

/// Thousands of arrays have less than this.
const MDSTAT_BYTES: u64 = 16 << 20;

/// What was read last.
#[derive(Debug)]
pub struct Reader<'a> {
    host: &'a Host,
    file: File,
    /// /proc/mdstat, as it was.
    pub text: String,
    /// The arrays that run, the oldest first.
    pub arrays: Vec<Array>,
    known: HashMap<String, (String, Array)>,
}

impl<'a> Reader<'a> {
    /// Opens /proc/mdstat.
    ///
    /// # Errors
    /// What the open reports: a kernel without md.
    pub fn open(host: &'a Host) -> io::Result<Reader<'a>> {
        let file = File::open(host.proc.join("mdstat"))?;
        Ok(Reader { host, file, text: String::new(), known: HashMap::new(), arrays: Vec::new() })
    }

    /// What poll(2) is to wait on: the kernel tells of what happened since the last look.
    #[must_use]
    pub fn notices(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Reads the arrays. `false` where /proc/mdstat says what it said: it is what it was.
    ///
    /// # Errors
    /// What reading reports.
    pub fn look(&mut self) -> io::Result<bool> {
        let mut bytes = Vec::with_capacity(self.text.len() + 1024);
        self.file.seek(SeekFrom::Start(0))?;
        (&self.file).take(MDSTAT_BYTES).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        if text == self.text.as_str() {
            return Ok(false);
        }
        self.text = text.into_owned();
        self.read_arrays();
        Ok(true)
    }

    fn read_arrays(&mut self) {
        let blocks = blocks(&self.text);
        let mut map = None;
        let mut known = HashMap::new();
        self.arrays.clear();
        for (devname, block) in blocks.iter().rev() {
            let same = self.known.remove(*devname).filter(|(text, _)| text == block);
            let (text, array) = match same {
                Some(same) => same,
                None => {
                    let map = map.get_or_insert_with(|| self.host.map().load().unwrap_or_default());
                    let stat = mdstat::parse(block);
                    let Some(array) = stat.arrays.first().and_then(|a| array(self.host, a, map)) else { continue };
                    ((*block).to_owned(), array)
                }
            };
            self.arrays.push(array.clone());
            known.insert((*devname).to_owned(), (text, array));
        }
        self.known = known;
    }
}

/// The kernel name of each array, with its lines.
fn blocks(text: &str) -> Vec<(&str, &str)> {
    let mut found: Vec<(&str, usize)> = Vec::new();
    let mut ends = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if !line.starts_with([' ', '\t', '\n']) {
            if found.len() > ends.len() {
                ends.push(at);
            }
            if let Some((name, _)) = line.split_once(" : ").filter(|(n, _)| n.starts_with("md") && !n.contains(' ')) {
                found.push((name, at));
            }
        }
        at += line.len();
    }
    ends.resize(found.len(), at);
    found.into_iter().zip(ends).filter_map(|((name, start), end)| Some((name, text.get(start..end)?))).collect()
}

/// One array; none where it does not run, or not any more.
#[must_use]
pub fn array(host: &Host, stat: &MdStatArray, map: &[MapEntry]) -> Option<Array> {
    let dir = host.sysfs.array(&stat.devname);
    if !stat.active || !dir.exists() {
        return None;
    }
    let level = stat.level.as_deref().and_then(Level::parse);
    let mut array = Array {
        devname: stat.devname.clone(),
        uuid: host.uuid_in(&dir, map),
        level,
        sync: stat.sync.as_ref().map(sync),
        ..Array::default()
    };
    if !array.is_redundant() {
        return Some(array);
    }
    let counts = stat.counts.unwrap_or_default();
    array.raid_disks = dir.get(attr::RAID_DISKS).unwrap_or(counts.0);
    array.degraded = dir.get(attr::DEGRADED).unwrap_or(counts.0.saturating_sub(counts.1));
    array.mismatches = dir.get(attr::MISMATCH_CNT).unwrap_or(0);
    array.members = dir.members().iter().filter_map(|m| member(m, array.degraded)).collect();
    if is_lazy(&array, &dir) {
        array.sync = None;
    }
    // A stop takes the members away before /proc/mdstat tells (do_md_stop), and the state before the members: asked for last, it
    // says whether what was read is of an array that ran. Members that went with their array have not failed.
    let state = dir.get(attr::ARRAY_STATE);
    if matches!(state, None | Some(ArrayState::Clear | ArrayState::Inactive)) {
        return None;
    }
    array.readonly = matches!(state, Some(ArrayState::Readonly | ArrayState::ReadAuto));
    array.members.sort_by_key(|m| (m.slot.is_none(), m.slot, m.dev));
    Some(array)
}

/// A recovery that makes the parity of chunks of a lockless bitmap that were written to for the first time: nothing was lost and
/// nothing is rebuilt, and with each write it may come again.
fn is_lazy(array: &Array, dir: &ArrayDir) -> bool {
    let recovers = array.sync.as_ref().is_some_and(|s| s.action == "recovery");
    recovers
        && array.degraded == 0
        && array.count(Condition::Replacement) == 0
        && dir.get(attr::BITMAP_TYPE).is_some_and(|types| types.active.as_deref() == Some("llbitmap"))
}

fn sync(sync: &MdStatSync) -> Sync {
    Sync { action: sync.action.clone(), percent: sync.percent.filter(|_| sync.waits.is_none()).map(|p| p.min(100)) }
}

fn member(dir: &MemberDir, degraded: u32) -> Option<Member> {
    let state = dir.get(attr::STATE)?;
    let slot = match dir.get(attr::SLOT) {
        Some(Slot::At(n)) => Some(n),
        _ => None,
    };
    let condition = if state.has("faulty") {
        Condition::Faulty
    } else if state.has("journal") {
        Condition::Journal
    } else if state.has("in_sync") {
        // A replacement too, once it has its data.
        Condition::InSync
    } else if state.has("replacement") {
        Condition::Replacement
    } else if slot.is_none() {
        Condition::Spare
    } else if degraded == 0 {
        // Its data is complete, and the parity on it is being made: a lockless bitmap does that when data is written.
        Condition::InSync
    } else {
        Condition::Rebuilding
    };
    let dev = dir.get(attr::BLOCK_DEV).map_or((0, 0), |d| (d.major, d.minor));
    Some(Member { kname: dir.name().replace('!', "/"), dev, slot, condition })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_array_has_its_lines() {
        let text = "Personalities : [raid1] \nmd1 : active raid1 sdb[1] sda[0]\n      15360 blocks\n      \nmd_x : inactive sdc[0](S)\n   1 blocks\n       \nunused devices: <none>\n";
        let blocks = blocks(text);
        assert_eq!(blocks.iter().map(|b| b.0).collect::<Vec<_>>(), ["md1", "md_x"]);
        assert_eq!(blocks[0].1, "md1 : active raid1 sdb[1] sda[0]\n      15360 blocks\n      \n");
        assert!(!blocks[1].1.contains("unused"));
    }

    #[test]
    fn an_array_that_is_stopped_while_it_is_read_is_gone_and_has_lost_no_member() {
        let mdstat = "md0 : active raid1 sdb[1] sda[0]\n      15360 blocks super 1.2 [2/2] [UU]\n      \n";
        let root = tempfile::tempdir().unwrap();
        let md = root.path().join("block/md0/md");
        let put = |name: &str, text: &str| {
            let path = md.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let host = Host { sysfs: crate::sysfs::Sysfs::at(root.path()), ..Host::default() };
        let read = || array(&host, &mdstat::parse(mdstat).arrays[0], &[]);
        for (n, name) in ["sda", "sdb"].into_iter().enumerate() {
            put(&format!("dev-{name}/state"), "in_sync\n");
            put(&format!("dev-{name}/slot"), &format!("{n}\n"));
        }
        put("raid_disks", "2\n");
        put("degraded", "0\n");
        // What a later kernel may say is no stop.
        for (state, readonly) in [("clean\n", false), ("read-auto\n", true), ("broken\n", false), ("new-word\n", false)]
        {
            put("array_state", state);
            let array = read().unwrap();
            assert_eq!((array.in_sync().count(), array.raid_disks, array.readonly), (2, 2, readonly), "{state}");
        }
        // export_array and md_clean are through, md_new_event is to come.
        std::fs::remove_dir_all(md.join("dev-sda")).unwrap();
        put("raid_disks", "\n");
        for state in ["inactive\n", "clear\n"] {
            put("array_state", state);
            assert_eq!(read(), None, "{state}");
        }
        std::fs::remove_file(md.join("array_state")).unwrap();
        assert_eq!(read(), None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(md[0-9] : |active|inactive| |\\[|\\]|\n|é|=|.){0,60}") {
            let _ = blocks(&text);
        }
    }
}
