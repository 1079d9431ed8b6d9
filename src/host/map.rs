//! The map file `/run/mdadm/map`: which array has which name.
//!
//! One line per array, `md127 1.2 3516a9aa:95e054cd:467012d1:4eaab6d3 /dev/md/foo`. The reference keeps the same file (seen with
//! strace), so both can be used side by side: it is read without a lock, and replaced by `map.new` and rename while
//! `map.lock` is held. The uuid of v1.x metadata is in words of the machine's byte order, other than everywhere else.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use crate::sysfs::value::MetadataVersion;
use crate::sysfs::{ArrayDir, attr};
use crate::uuid::Uuid;

/// The file is small; more than this is not read.
const MAP_BYTES: u64 = 1 << 20;

/// One array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapEntry {
    /// Kernel name: `md127`.
    pub devname: String,
    /// `1.2`, `0.90`, `external:imsm`, ...
    pub metadata: String,
    /// The array's uuid.
    pub uuid: Uuid,
    /// The name it was given: `/dev/md/foo`.
    pub path: Option<PathBuf>,
}

/// Reads the text; lines that are none of the file's are left out.
#[must_use]
pub fn parse(text: &str) -> Vec<MapEntry> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<MapEntry> {
    let mut words = line.split_ascii_whitespace();
    let devname = words.next()?.to_owned();
    let metadata = words.next()?.to_owned();
    let mut bytes = Vec::with_capacity(16);
    for word in words.next()?.split(':') {
        let word = u32::from_str_radix(word, 16).ok()?;
        bytes.extend_from_slice(&if is_native(&metadata) { word.to_ne_bytes() } else { word.to_be_bytes() });
    }
    let uuid = Uuid(bytes.try_into().ok()?);
    let path = words.next().map(|w| PathBuf::from(unescape(w)));
    Some(MapEntry { devname, metadata, uuid, path })
}

/// Whether the uuid of this kind of metadata is bytes, which the file has in words of the machine's byte order. That of the
/// others is words, shown as they are.
fn is_native(metadata: &str) -> bool {
    metadata.starts_with("1.")
}

/// The text for these arrays.
#[must_use]
pub fn format(entries: &[MapEntry]) -> String {
    let mut out = String::new();
    for e in entries {
        let mut words = Vec::new();
        for part in e.uuid.0.chunks_exact(4) {
            let word =
                part.try_into().map_or(0, if is_native(&e.metadata) { u32::from_ne_bytes } else { u32::from_be_bytes });
            words.push(format!("{word:08x}"));
        }
        let path = e.path.as_ref().map_or(String::new(), |p| escape(&p.to_string_lossy()));
        out.push_str(&format!("{} {} {} {path}\n", e.devname, e.metadata, words.join(":")));
    }
    out
}

/// Blanks, control characters and backslashes as `\040`, as in /proc/mounts: a path is one word.
fn escape(path: &str) -> String {
    let mut out = String::new();
    for c in path.chars() {
        if c.is_ascii_control() || c == ' ' || c == '\\' {
            out.push_str(&format!("\\{:03o}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

/// The reverse of [`escape`]; also for the files below /proc that are written so.
pub(super) fn unescape(word: &str) -> String {
    let mut out = String::new();
    let mut rest = word;
    while let Some(at) = rest.find('\\') {
        let (plain, tail) = rest.split_at(at);
        out.push_str(plain);
        let code = tail.get(1..4).and_then(|d| u8::from_str_radix(d, 8).ok()).filter(u8::is_ascii);
        let (c, used) = code.map_or(('\\', 1), |c| (char::from(c), 4));
        out.push(c);
        rest = tail.get(used..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// The directory that holds the map file and its lock.
#[derive(Debug, Clone)]
pub struct MapDir {
    dir: PathBuf,
}

impl MapDir {
    /// Another directory than `/run/mdadm`.
    #[must_use]
    pub fn at(dir: &Path) -> MapDir {
        MapDir { dir: dir.to_owned() }
    }

    /// The entries; `None` where there is no map file.
    #[must_use]
    pub fn load(&self) -> Option<Vec<MapEntry>> {
        let mut bytes = Vec::new();
        File::open(self.dir.join("map")).ok()?.take(MAP_BYTES).read_to_end(&mut bytes).ok()?;
        Some(parse(&String::from_utf8_lossy(&bytes)))
    }

    /// Waits for the lock. It also keeps two commands from taking the same free name.
    ///
    /// # Errors
    /// What making the directory, the file or the lock reports.
    pub fn lock(&self) -> io::Result<MapLock> {
        fs::create_dir_all(&self.dir)?;
        let path = self.dir.join("map.lock");
        loop {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&path)?;
            let lock = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, e)| io::Error::from(e))?;
            // The last owner removed the file while we waited: then this lock keeps nobody out.
            let still_there = fs::metadata(&path).is_ok_and(|m| lock.metadata().is_ok_and(|l| l.ino() == m.ino()));
            if still_there {
                return Ok(MapLock { map: self.clone(), _lock: lock });
            }
        }
    }
}

impl super::Host {
    /// The uuid of a running array: by the kernel (not all tell it), else by the map file. None where there is no metadata: the
    /// kernel makes up another one each time such an array is built.
    #[must_use]
    pub fn uuid_in(&self, dir: &ArrayDir, map: &[MapEntry]) -> Option<Uuid> {
        if dir.get(attr::METADATA_VERSION) == Some(MetadataVersion::None) {
            return None;
        }
        let told = dir.get(attr::UUID).and_then(|w| Uuid::parse(&w.0)).filter(|u| !u.is_zero());
        let mapped = || map.iter().find(|e| e.devname == dir.devname()).map(|e| e.uuid);
        told.or_else(mapped).filter(|u| !u.is_zero())
    }

    /// [`Host::uuid_in`] by the kernel name.
    #[must_use]
    pub fn uuid_of(&self, devname: &str) -> Option<Uuid> {
        self.uuid_in(&self.sysfs.array(devname), &self.map().load().unwrap_or_default())
    }
}

/// The lock on the map file; released when dropped.
#[derive(Debug)]
pub struct MapLock {
    map: MapDir,
    _lock: Flock<File>,
}

impl MapLock {
    /// The entries; none where there is no file.
    #[must_use]
    pub fn load(&self) -> Vec<MapEntry> {
        self.map.load().unwrap_or_default()
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// What writing or renaming reports; the old file is then still there.
    pub fn store(&self, entries: &[MapEntry]) -> io::Result<()> {
        let new = self.map.dir.join("map.new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(format(entries).as_bytes())?;
        drop(file);
        fs::rename(new, self.map.dir.join("map"))
    }

    /// Sets the entry of an array, in front of the others.
    ///
    /// # Errors
    /// As [`MapLock::store`].
    pub fn put(&self, entry: MapEntry) -> io::Result<()> {
        let mut entries = self.load();
        entries.retain(|e| e.devname != entry.devname);
        entries.insert(0, entry);
        self.store(&entries)
    }

    /// Takes an array out.
    ///
    /// # Errors
    /// As [`MapLock::store`].
    pub fn remove(&self, devname: &str) -> io::Result<()> {
        let mut entries = self.load();
        entries.retain(|e| e.devname != devname);
        self.store(&entries)
    }
}

impl Drop for MapLock {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.map.dir.join("map.lock"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the reference wrote, and the uuid that it showed for the array.
    const RECORDED: &str = "md127 1.2 3516a9aa:95e054cd:467012d1:4eaab6d3 /dev/md/foo\n";

    #[test]
    #[cfg(target_endian = "little")]
    fn a_line_of_the_reference_is_read_and_written_back_the_same() {
        let entries = parse(RECORDED);
        assert_eq!(entries[0].uuid.to_string(), "aaa91635:cd54e095:d1127046:d3b6aa4e");
        assert_eq!(entries[0].path.as_deref(), Some(Path::new("/dev/md/foo")));
        assert_eq!(format(&entries), RECORDED);
    }

    #[test]
    fn the_uuid_of_other_metadata_stands_there_as_it_is_shown() {
        let line = "md124 0.90 be4294b3:7746d751:0002fec5:13a5c7d1 /dev/md/none\n";
        assert_eq!(parse(line)[0].uuid.to_string(), "be4294b3:7746d751:0002fec5:13a5c7d1");
        assert_eq!(format(&parse(line)), line);
    }

    #[test]
    fn names_with_blanks_and_newlines_stay_one_line_and_come_back() {
        let mut e = parse(RECORDED);
        e[0].path = Some("/dev/md/a b\nc\\d \u{e9}".into());
        let text = format(&e);
        assert_eq!((text.lines().count(), parse(&text)), (1, e));
    }

    #[test]
    fn damaged_lines_are_left_out() {
        assert_eq!(parse("md9 1.2 junk\n\nmd8\nmd7 1.2 1:2:3 /dev/md7\nmd6 1.2 1:2:3:4:5\n"), []);
        assert_eq!(parse("md5 1.2 0:0:0:0\n")[0].path, None);
    }

    #[test]
    fn the_newest_entry_comes_first_and_replaces_its_own_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let map = MapDir::at(&dir.path().join("mdadm"));
        assert!(map.load().is_none());
        {
            let lock = map.lock().unwrap();
            for name in ["md1", "md2", "md1"] {
                let path = Some(PathBuf::from(format!("/dev/{name}")));
                lock.put(MapEntry { devname: name.into(), metadata: "1.2".into(), uuid: Uuid([7; 16]), path }).unwrap();
            }
            lock.remove("nosuch").unwrap();
            assert!(dir.path().join("mdadm/map.lock").exists());
        }
        assert!(!dir.path().join("mdadm/map.lock").exists());
        assert_eq!(map.load().unwrap().iter().map(|e| e.devname.as_str()).collect::<Vec<_>>(), ["md1", "md2"]);
    }

    #[test]
    fn the_lock_lets_one_in_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let count = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|s| {
            for _ in 0..8 {
                s.spawn(|| {
                    for _ in 0..20 {
                        let _lock = MapDir::at(dir.path()).lock().unwrap();
                        assert_eq!(count.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        std::thread::yield_now();
                        count.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    }
                });
            }
        });
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(md[0-9]|[ :\\\\]|[0-9a-f]{1,9}|\n|.){0,40}") {
            let entries = parse(&text);
            proptest::prop_assert_eq!(parse(&format(&entries)), entries);
        }
    }
}
