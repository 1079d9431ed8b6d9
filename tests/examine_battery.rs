//! Every reading verb and --zero-superblock on every kind of bad input: the status, one clear line, nothing written, no panic.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use mdadm::superblock::v1::{Role, SuperV1, feature};

const MEMBER_BYTES: u64 = 24 << 20;

fn mdadm(words: &str, path: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mdadm"));
    command.args(words.split(' ')).arg(path).stdin(Stdio::null());
    if words.starts_with("--zero-superblock") {
        // Nothing of this machine is written to.
        command.arg("--saved-metadata=none");
    }
    command.output().unwrap()
}

/// A v1.2 member with a bad-block log and a bitmap bit, and nothing where they should be.
fn superblock() -> SuperV1 {
    let mut sb = SuperV1::empty();
    sb.set_super_offset(8);
    sb.set_level_raw(1);
    sb.set_raid_disks(2);
    sb.set_data_offset(2048);
    sb.set_data_size(MEMBER_BYTES / 512 - 2048);
    sb.set_size(MEMBER_BYTES / 512 - 2048);
    sb.set_max_dev(128);
    sb.put_role(0, Role::Slot(0));
    sb.set_bblog_offset(16);
    sb.set_bblog_size(8);
    sb.set_bitmap_offset(8);
    sb.set_feature_map(feature::BAD_BLOCKS | feature::BITMAP_OFFSET);
    sb.update_csum();
    sb
}

fn member(dir: &Path, sb: &SuperV1, size: u64) -> PathBuf {
    let path = dir.join("input");
    let file = File::create(&path).unwrap();
    file.write_all_at(sb.bytes(), 4096).unwrap();
    file.set_len(size).unwrap();
    path
}

/// The bad inputs: each makes one in the folder, and gives its path.
mod input {
    use super::*;

    pub fn missing(dir: &Path) -> PathBuf {
        dir.join("input")
    }

    pub fn folder(dir: &Path) -> PathBuf {
        fs::create_dir(dir.join("input")).unwrap();
        dir.join("input")
    }

    pub fn fifo(dir: &Path) -> PathBuf {
        let path = dir.join("input");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    }

    pub fn empty(dir: &Path) -> PathBuf {
        File::create(dir.join("input")).unwrap();
        dir.join("input")
    }

    pub fn tiny(dir: &Path) -> PathBuf {
        fs::write(dir.join("input"), [1; 3000]).unwrap();
        dir.join("input")
    }

    pub fn truncated(dir: &Path) -> PathBuf {
        member(dir, &superblock(), 4096 + 300)
    }

    pub fn ones(dir: &Path) -> PathBuf {
        fs::write(dir.join("input"), vec![0xff; 1 << 20]).unwrap();
        dir.join("input")
    }

    /// Smaller than its metadata says, with metadata areas outside of it.
    pub fn too_small(dir: &Path) -> PathBuf {
        member(dir, &superblock(), 8192)
    }

    /// Every number absurd, the checksum right.
    pub fn absurd(dir: &Path) -> PathBuf {
        let mut raw = *superblock().bytes();
        for (n, byte) in raw.iter_mut().enumerate().skip(8) {
            if !(144..152).contains(&n) {
                *byte = 0xfe;
            }
        }
        let mut sb = SuperV1::from_bytes(&raw).unwrap();
        sb.update_csum();
        member(dir, &sb, MEMBER_BYTES)
    }

    /// Claims to belong elsewhere.
    pub fn wrong_place(dir: &Path) -> PathBuf {
        let mut sb = superblock();
        sb.set_super_offset(16);
        sb.update_csum();
        member(dir, &sb, MEMBER_BYTES)
    }
}

#[track_caller]
fn run(verb: &str, make: fn(&Path) -> PathBuf, status: i32) {
    let dir = tempfile::tempdir().unwrap();
    let path = make(dir.path());
    let before = path.is_file().then(|| fs::read(&path).unwrap());
    let out = mdadm(verb, &path);
    let (text, err) = (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap());
    assert_eq!(out.status.code(), Some(status), "{verb}: {text}{err}");
    assert!(!err.contains("panicked") && err.lines().all(|l| l.starts_with("mdadm: ")), "{verb}: {err}");
    // A failure without a word helps nobody.
    assert!(status == 0 || !err.is_empty() || verb.contains("--brief"), "{verb}: no message");
    assert!(err.lines().count() <= 2, "{verb}: {err}");
    if verb.contains("--json") {
        assert!(text.starts_with('[') && text.ends_with("]\n"), "{text}");
    }
    if !verb.starts_with("--zero") || verb.contains("--plan") {
        assert!(before == path.is_file().then(|| fs::read(&path).unwrap()), "{verb} wrote");
    }
}

macro_rules! battery {
    ($($name:ident: $input:ident => examine $e:literal, brief $b:literal, query $q:literal, bad_blocks $bb:literal, zero $z:literal;)*) => {
        $(
            #[test]
            fn $name() {
                for verb in ["-E", "--examine --verbose", "-E --export", "-E --json"] {
                    run(verb, input::$input, $e);
                }
                run("-E --brief", input::$input, $b);
                run("-E --scan", input::$input, 0);
                for verb in ["-Q", "--query --json"] {
                    run(verb, input::$input, $q);
                }
                for verb in ["--examine-badblocks", "--examine-badblocks --json"] {
                    run(verb, input::$input, $bb);
                }
                for verb in ["--zero-superblock --plan", "--zero-superblock --plan --json", "--zero-superblock"] {
                    run(verb, input::$input, $z);
                }
            }
        )*
    };
}

battery! {
    a_missing_device: missing => examine 1, brief 1, query 1, bad_blocks 1, zero 2;
    a_folder: folder => examine 1, brief 1, query 0, bad_blocks 1, zero 2;
    a_fifo_does_not_hang: fifo => examine 1, brief 1, query 0, bad_blocks 1, zero 0;
    an_empty_file: empty => examine 1, brief 0, query 0, bad_blocks 1, zero 0;
    a_tiny_file: tiny => examine 1, brief 0, query 0, bad_blocks 1, zero 0;
    a_truncated_superblock: truncated => examine 1, brief 0, query 0, bad_blocks 1, zero 0;
    nothing_but_ones: ones => examine 1, brief 0, query 0, bad_blocks 1, zero 0;
    a_device_smaller_than_its_metadata_says: too_small => examine 0, brief 0, query 0, bad_blocks 1, zero 0;
    absurd_numbers_with_a_right_checksum: absurd => examine 0, brief 0, query 0, bad_blocks 0, zero 0;
    a_superblock_at_the_wrong_place: wrong_place => examine 1, brief 0, query 0, bad_blocks 1, zero 0;
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    let path = member(dir.path(), &superblock(), MEMBER_BYTES);
    for verb in
        ["-E", "-E --json", "-E --export", "-E --brief", "-Q", "--examine-badblocks", "--zero-superblock --plan"]
    {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mdadm"))
            .args(verb.split(' '))
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""), "{verb}");
    }
}

#[test]
fn several_devices_are_all_handled_and_the_worst_status_counts() {
    let dir = tempfile::tempdir().unwrap();
    let good = member(dir.path(), &superblock(), MEMBER_BYTES);
    for verb in ["-E", "-Q", "--examine-badblocks"] {
        let out = Command::new(env!("CARGO_BIN_EXE_mdadm"))
            .arg(verb)
            .args([Path::new("/nonexistent"), &good])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(out.status.code(), Some(1), "{verb}");
        assert!(String::from_utf8(out.stdout).unwrap().contains("input"), "{verb}");
        assert!(String::from_utf8(out.stderr).unwrap().starts_with("mdadm: cannot open /nonexistent: No such file"));
    }
}

#[test]
fn a_zeroed_member_is_none_any_more_and_its_data_is_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let path = member(dir.path(), &superblock(), MEMBER_BYTES);
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(&[0x5a; 1 << 16], 1 << 20).unwrap();
    assert_eq!(mdadm("-E", &path).status.code(), Some(0));
    let out = mdadm("--zero-superblock", &path);
    assert_eq!((out.status.code(), out.stdout.len()), (Some(0), 0));
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(said.starts_with("mdadm: note: zeroed on ") && said.contains("at byte 4096: metadata 1.2"), "{said}");
    assert_eq!((said.lines().count(), mdadm("-E", &path).status.code()), (1, Some(1)));
    let bytes = fs::read(&path).unwrap();
    assert!(bytes[4096..4608].iter().all(|b| *b == 0));
    assert!(bytes[1 << 20..(1 << 20) + (1 << 16)].iter().all(|b| *b == 0x5a));
}

#[test]
fn a_ddf_member_is_named_left_alone_by_brief_and_zeroed_with_force_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    let file = File::create(&path).unwrap();
    file.set_len(1 << 20).unwrap();
    let mut anchor = [0u8; 512];
    anchor[..4].copy_from_slice(&[0xde, 0x11, 0xde, 0x11]);
    anchor[8..16].copy_from_slice(b"Linux-MD");
    anchor[96..104].copy_from_slice(&1000u64.to_be_bytes());
    file.write_all_at(&anchor, (1 << 20) - 512).unwrap();
    file.write_all_at(&anchor, 1000 * 512).unwrap();
    let text = |out: Output| {
        (out.status.code().unwrap(), String::from_utf8(out.stdout).unwrap() + &String::from_utf8(out.stderr).unwrap())
    };
    assert!(text(mdadm("-E", &path)).1.contains("Container GUID : 4C696E75:782D4D44"));
    let (status, brief) = text(mdadm("-E --brief", &path));
    assert_eq!((status, brief.lines().count()), (0, 1));
    assert!(brief.contains("holds DDF metadata: left alone"), "{brief}");
    let before = fs::read(&path).unwrap();
    let (status, refusal) = text(mdadm("--zero-superblock", &path));
    assert!(status == 1 && refusal.contains("--force"), "{refusal}");
    assert!(before == fs::read(&path).unwrap());
    assert_eq!(text(mdadm("--zero-superblock --force", &path)), (0, String::new()));
    assert_eq!(text(mdadm("-E", &path)).0, 1);
}

#[test]
fn an_imsm_member_is_named_on_a_plain_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    let file = File::create(&path).unwrap();
    file.set_len(1 << 20).unwrap();
    file.write_all_at(b"Intel Raid ISM Cfg Sig. 1.3.00", (1 << 20) - 1024).unwrap();
    let out = String::from_utf8(mdadm("-E", &path).stdout).unwrap();
    assert!(out.contains("Intel Raid ISM Cfg Sig.") && out.contains("Version : 1.3.00"), "{out}");
    assert_eq!(mdadm("--zero-superblock", &path).status.code(), Some(1));
    assert_eq!(mdadm("--zero-superblock -f", &path).status.code(), Some(0));
    assert_eq!(mdadm("-E", &path).status.code(), Some(1));
}

#[test]
fn zeroing_default_metadata_takes_1_2_only_as_the_reference_does() {
    let dir = tempfile::tempdir().unwrap();
    for (minor, status) in [(0, 2), (1, 2), (2, 0)] {
        let path = dir.path().join(format!("m{minor}"));
        std::fs::File::create_new(&path).unwrap().set_len(20 << 20).unwrap();
        let member = path.to_str().unwrap();
        let mdadm = |line: String| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let saved = "--saved-metadata=none";
            std::process::Command::new(env!("CARGO_BIN_EXE_mdadm")).args(words).arg(saved).output().unwrap()
        };
        let made = mdadm(format!("--create /dev/md0 --offline -q -R -e1.{minor} -l1 -n2 -b none {member} missing"));
        assert!(made.status.success(), "{made:?}");
        let before = std::fs::read(&path).unwrap();
        let zeroed = mdadm(format!("--zero-superblock -e default {member}"));
        assert_eq!(zeroed.status.code(), Some(status), "1.{minor}: {zeroed:?}");
        assert_eq!(std::fs::read(&path).unwrap() == before, status == 2, "1.{minor}");
    }
}
