//! `--metrics`: a file for the text collector of Prometheus' node_exporter, replaced as a whole.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::state::{Array, Condition, Event, Watch};
use crate::bitmap::lockless::ChunkState;
use crate::host::Host;
use crate::level::Level;
use crate::sysfs::value::{Maybe, SyncProgress};
use crate::sysfs::{ArrayDir, MemberDir, attr};
use crate::units::SECTOR_BYTES;

/// The file, and what it counts.
#[derive(Debug)]
pub struct Metrics {
    path: PathBuf,
    events: BTreeMap<String, u64>,
    complained: bool,
}

impl Metrics {
    /// Nothing is counted yet.
    #[must_use]
    pub fn new(path: &Path) -> Metrics {
        let events = EVENTS.iter().map(|name| ((*name).to_owned(), 0)).collect();
        Metrics { path: path.to_owned(), events, complained: false }
    }

    /// Counts an event; all percentages are one.
    pub fn count(&mut self, event: &Event) {
        let name = event.what.name();
        let name = if name.starts_with("Rebuild") && name.ends_with(|c: char| c.is_ascii_digit()) {
            "RebuildNN".to_owned()
        } else {
            name
        };
        *self.events.entry(name).or_default() += 1;
    }

    /// Writes the file. The line to print where that fails, once until it goes well again.
    pub fn write(&mut self, host: &Host, watch: &Watch, now_seconds: u64) -> Option<String> {
        let written = replace(&self.path, self.text(host, watch, now_seconds).as_bytes());
        let first = !std::mem::replace(&mut self.complained, written.is_err());
        let e = written.err().filter(|_| first)?;
        Some(format!("cannot write {}: {}; it is tried again", self.path.display(), crate::error::reason(&e)))
    }

    fn text(&self, host: &Host, watch: &Watch, now_seconds: u64) -> String {
        let mut page = Page::default();
        for watched in &watch.arrays {
            if let Some(array) = &watched.last {
                let labels =
                    format!("array=\"{}\",device=\"{}\"", escaped(&watched.wanted.name), escaped(&array.devname));
                page.array(&host.sysfs.array(&array.devname), array, &labels);
            }
        }
        for (event, count) in &self.events {
            page.add("mdadm_events_total", &format!("event=\"{event}\""), *count);
        }
        page.add("mdadm_monitor_look_seconds", "", now_seconds);
        page.finish()
    }
}

/// What the metrics are, in the order of the file.
const HELP: [(&str, &str, &str); 15] = [
    ("mdadm_array_info", "gauge", "1; level and uuid are labels"),
    ("mdadm_array_state", "gauge", "1 for the kernel's word: clean, active, readonly, broken and so on"),
    ("mdadm_array_raid_devices", "gauge", "slots"),
    ("mdadm_array_degraded", "gauge", "slots without data"),
    ("mdadm_array_rebuilding", "gauge", "1 where all slots without data are being rebuilt"),
    ("mdadm_array_members", "gauge", "members by condition"),
    ("mdadm_array_sync_action", "gauge", "1 for what runs"),
    ("mdadm_array_sync_done_bytes", "gauge", "how far it is"),
    ("mdadm_array_sync_total_bytes", "gauge", "how far it goes"),
    ("mdadm_array_sync_speed_bytes", "gauge", "bytes per second"),
    ("mdadm_array_mismatch_sectors", "gauge", "sectors that the last check or repair found to differ"),
    (
        "mdadm_array_members_with_errors",
        "gauge",
        "members with recorded bad blocks, or whose read errors were corrected",
    ),
    ("mdadm_array_lockless_chunks", "gauge", "chunks of the lockless bitmap by state"),
    ("mdadm_events_total", "counter", "events since the monitor was started"),
    ("mdadm_monitor_look_seconds", "gauge", "when this was written, seconds since 1970"),
];

/// A counter is there before it counts: what is new has not risen.
const EVENTS: [&str; 12] = [
    "DegradedArray",
    "DeviceDisappeared",
    "Fail",
    "FailSpare",
    "MoveSpare",
    "NewArray",
    "RebuildFinished",
    "RebuildNN",
    "RebuildStarted",
    "SpareActive",
    "SparesMissing",
    "TestMessage",
];

#[derive(Default)]
struct Page(BTreeMap<&'static str, String>);

impl Page {
    fn add(&mut self, name: &'static str, labels: &str, value: u64) {
        let text = self.0.entry(name).or_default();
        // Writing to a String does not fail.
        let _ = match labels {
            "" => writeln!(text, "{name} {value}"),
            _ => writeln!(text, "{name}{{{labels}}} {value}"),
        };
    }

    fn array(&mut self, dir: &ArrayDir, array: &Array, labels: &str) {
        let level = array.level.map_or("", Level::name);
        let uuid = array.uuid.map_or(String::new(), |u| u.to_string());
        self.add("mdadm_array_info", &format!("{labels},level=\"{level}\",uuid=\"{uuid}\""), 1);
        if let Some(state) = dir.get(attr::ARRAY_STATE) {
            self.add("mdadm_array_state", &format!("{labels},state=\"{}\"", escaped(state.word())), 1);
        }
        self.add("mdadm_array_raid_devices", labels, array.raid_disks.into());
        self.add("mdadm_array_degraded", labels, array.degraded.into());
        self.add("mdadm_array_rebuilding", labels, u64::from(array.degraded > 0 && array.is_attended()));
        for (word, condition) in CONDITIONS {
            let count = u64::try_from(array.count(condition)).unwrap_or(0);
            self.add("mdadm_array_members", &format!("{labels},condition=\"{word}\""), count);
        }
        let action = dir.get(attr::SYNC_ACTION);
        let action = action.as_ref().map_or("idle", |a| a.word());
        self.add("mdadm_array_sync_action", &format!("{labels},action=\"{}\"", escaped(action)), 1);
        if let Some(SyncProgress::At { done, total }) = dir.get(attr::SYNC_COMPLETED) {
            self.add("mdadm_array_sync_done_bytes", labels, done.saturating_mul(SECTOR_BYTES));
            self.add("mdadm_array_sync_total_bytes", labels, total.saturating_mul(SECTOR_BYTES));
        }
        if let Some(kib) = dir.get(attr::SYNC_SPEED).and_then(Maybe::some) {
            self.add("mdadm_array_sync_speed_bytes", labels, kib.saturating_mul(1024));
        }
        self.add("mdadm_array_mismatch_sectors", labels, array.mismatches);
        let has_errors = |m: &MemberDir| m.get(attr::ERRORS).is_some_and(|n| n > 0) || m.has_bad_blocks();
        let errors = dir.members().iter().filter(|m| has_errors(m)).count();
        self.add("mdadm_array_members_with_errors", labels, u64::try_from(errors).unwrap_or(0));
        if let Some(bits) = dir.get(attr::LLBITMAP_BITS) {
            for state in ChunkState::ALL {
                if let Some(chunks) = bits.number(state.name()) {
                    let labels = format!("{labels},state=\"{}\"", state.name());
                    self.add("mdadm_array_lockless_chunks", &labels, chunks);
                }
            }
        }
    }

    fn finish(self) -> String {
        let mut text = String::new();
        for (name, kind, help) in HELP {
            if let Some(lines) = self.0.get(name) {
                let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{lines}");
            }
        }
        text
    }
}

const CONDITIONS: [(&str, Condition); 6] = [
    ("in_sync", Condition::InSync),
    ("rebuilding", Condition::Rebuilding),
    ("replacement", Condition::Replacement),
    ("spare", Condition::Spare),
    ("faulty", Condition::Faulty),
    ("journal", Condition::Journal),
];

/// A label's value.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// All at once, or not at all: a reader never sees half of it.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy().into_owned();
    // The collector reads names that end in .prom only.
    let new = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let _ = fs::remove_file(&new);
    let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o644).custom_flags(flags).open(&new);
    let written = file.and_then(|mut f| f.write_all(bytes)).and_then(|()| fs::rename(&new, path));
    written.inspect_err(|_| {
        let _ = fs::remove_file(&new);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::state::Member;

    #[test]
    fn a_page_has_what_the_kernel_says_of_an_array() {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("array_state", "write-pending\n"),
            ("sync_action", "check\n"),
            ("sync_completed", "128 / 1024\n"),
            ("sync_speed", "1000\n"),
            ("dev-sda/errors", "0\n"),
            ("dev-sda/bad_blocks", "128 8\n"),
            ("dev-sdb/errors", "3\n"),
            ("dev-sdb/bad_blocks", ""),
            ("dev-sdc/errors", "0\n"),
            ("dev-sdc/bad_blocks", ""),
            ("llbitmap/bits", "unwritten 608\nneed sync 3\n"),
        ] {
            let path = root.path().join("block/md0/md").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let member = |(slot, condition)| Member { slot: Some(slot), condition, ..Member::default() };
        let array = Array {
            level: Some(Level::Raid5),
            raid_disks: 3,
            degraded: 1,
            mismatches: 16,
            members: [(0, Condition::InSync), (1, Condition::InSync), (2, Condition::Faulty)].map(member).to_vec(),
            ..Array::default()
        };
        let mut page = Page::default();
        page.array(&crate::sysfs::Sysfs::at(root.path()).array("md0"), &array, "array=\"x\"");
        let text = page.finish();
        for line in [
            "mdadm_array_info{array=\"x\",level=\"raid5\",uuid=\"\"} 1",
            "mdadm_array_state{array=\"x\",state=\"write-pending\"} 1",
            "mdadm_array_raid_devices{array=\"x\"} 3",
            "mdadm_array_degraded{array=\"x\"} 1",
            "mdadm_array_rebuilding{array=\"x\"} 0",
            "mdadm_array_members{array=\"x\",condition=\"in_sync\"} 2",
            "mdadm_array_members{array=\"x\",condition=\"faulty\"} 1",
            "mdadm_array_members{array=\"x\",condition=\"spare\"} 0",
            "mdadm_array_sync_action{array=\"x\",action=\"check\"} 1",
            "mdadm_array_sync_done_bytes{array=\"x\"} 65536",
            "mdadm_array_sync_total_bytes{array=\"x\"} 524288",
            "mdadm_array_sync_speed_bytes{array=\"x\"} 1024000",
            "mdadm_array_mismatch_sectors{array=\"x\"} 16",
            "mdadm_array_members_with_errors{array=\"x\"} 2",
            "mdadm_array_lockless_chunks{array=\"x\",state=\"need sync\"} 3",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}:\n{text}");
        }
        // One help and one type before the values of each, and nothing without them.
        let names: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        for line in text.lines().filter(|l| !l.starts_with('#')) {
            assert!(names.contains(&line.split('{').next().unwrap()), "{line}");
        }
        assert_eq!(escaped("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }

    #[test]
    fn a_reader_never_sees_half_a_file_nor_is_a_name_more_than_a_label() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("md.prom");
        let pages = ["a", "b"].map(|letter| letter.repeat(1 << 20));
        replace(&path, pages[0].as_bytes()).unwrap();
        let (seen, last) = std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let (mut seen, start) = ([0; 2], std::time::Instant::now());
                while seen.contains(&0) || start.elapsed() < std::time::Duration::from_millis(100) {
                    let text = fs::read_to_string(&path).unwrap();
                    seen[pages.iter().position(|p| *p == text).unwrap()] += 1;
                    assert!(start.elapsed().as_secs() < 60);
                }
                seen
            });
            let mut last = 0;
            while !reader.is_finished() {
                last = 1 - last;
                replace(&path, pages[last].as_bytes()).unwrap();
            }
            (reader.join().unwrap(), last)
        });
        assert!(seen[0] > 0 && seen[1] > 0 && fs::read_to_string(&path).unwrap() == pages[last]);
        // nothing is left behind, also of one that was killed; no link is followed
        let other = dir.path().join("other");
        std::os::unix::fs::symlink(&other, dir.path().join(format!(".md.prom.{}", std::process::id()))).unwrap();
        replace(&path, b"x").unwrap();
        assert_eq!((fs::read_dir(dir.path()).unwrap().count(), other.exists()), (1, false));
        // One value on one line, whatever the array is called.
        let wanted = |name: &str| super::super::state::Wanted { name: name.into(), ..Default::default() };
        let rules = super::super::state::Rules { scan: false, test: false, increment: 20, hurried: false };
        let name = "/dev/md/a\"} 1\nmdadm_array_degraded{x=\"\\";
        let mut watch = Watch::new(rules, vec![wanted(name)]);
        watch.arrays[0].last = Some(Array { devname: "md0".into(), ..Array::default() });
        let host = Host { sysfs: crate::sysfs::Sysfs::at(dir.path()), ..Host::default() };
        let text = Metrics::new(&path).text(&host, &watch, 0);
        let lines: Vec<&str> = text.lines().filter(|l| l.starts_with("mdadm_array_degraded")).collect();
        let label = "/dev/md/a\\\"} 1\\nmdadm_array_degraded{x=\\\"\\\\";
        assert_eq!(lines, [format!("mdadm_array_degraded{{array=\"{label}\",device=\"md0\"}} 0")]);
    }
}
