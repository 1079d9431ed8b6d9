//! `--examine-bitmap` on images: what the reference printed for the same bytes, and damaged ones.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use mdadm::superblock::v1::{SuperV1, feature};
use mdadm::uuid::Uuid;
use proptest::prelude::*;

const MEMBER_BYTES: u64 = 320 << 20;
const BITMAP: u64 = 8192;

fn mdadm(args: &[&str], path: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mdadm")).arg("-X").args(args).arg(path).output().unwrap()
}

/// A v1.2 member of `bytes` with its bitmap 8 sectors behind the superblock, and these bytes there.
fn member(dir: &tempfile::TempDir, bytes: u64, level: i32, bitmap: &[u8]) -> PathBuf {
    let mut sb = SuperV1::empty();
    sb.set_feature_map(feature::BITMAP_OFFSET);
    sb.set_level_raw(level);
    sb.put_set_uuid(UUID);
    sb.set_chunksize(1024);
    sb.set_raid_disks(3);
    sb.set_super_offset(8);
    sb.set_bitmap_offset(8);
    sb.set_data_offset(2048);
    sb.set_data_size((bytes / 512).saturating_sub(2048));
    sb.set_max_dev(128);
    sb.put_role(0, mdadm::superblock::v1::Role::Slot(0));
    sb.set_events(10);
    sb.update_csum();
    let path = dir.path().join("member");
    let file = File::create(&path).unwrap();
    file.set_len(bytes).unwrap();
    file.write_all_at(sb.bytes(), 4096).unwrap();
    let fits = usize::try_from(bytes.saturating_sub(BITMAP)).unwrap().min(bitmap.len());
    file.write_all_at(&bitmap[..fits], BITMAP).unwrap();
    path
}

const UUID: Uuid = Uuid([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);

struct Case {
    fields: Vec<String>,
}

impl Case {
    fn number(&self, n: usize) -> u64 {
        self.fields[n].parse().unwrap()
    }

    fn header(&self) -> Vec<u8> {
        let mut raw = Vec::new();
        raw.extend(0x6d74_6962u32.to_le_bytes());
        raw.extend(u32::try_from(self.number(1)).unwrap().to_le_bytes());
        raw.extend(UUID.0);
        (2..5).for_each(|n| raw.extend(self.number(n).to_le_bytes()));
        (5..9).for_each(|n| raw.extend(u32::try_from(self.number(n)).unwrap().to_le_bytes()));
        raw.extend([0; 4]);
        raw.extend(u32::try_from(self.number(9)).unwrap().to_le_bytes());
        raw.extend(self.fields[10].trim_matches('-').bytes());
        raw.resize(256, 0);
        raw
    }

    /// The same with another uuid.
    fn image_of(&self, uuid: Uuid) -> Vec<u8> {
        let mut image = self.image();
        image[8..24].copy_from_slice(&uuid.0);
        image
    }

    /// As record.py lays it out.
    fn image(&self) -> Vec<u8> {
        let (size, percent) = self.fields[11].split_once(':').unwrap();
        let percent: usize = percent.parse().unwrap();
        let mut image = self.header();
        image.extend((0..size.parse().unwrap()).map(|i: usize| if i * 7 % 100 < percent { 0xff } else { 0u8 }));
        let stride = usize::try_from(self.number(12)).unwrap();
        let nodes = if stride > 0 { usize::try_from(self.number(9)).unwrap() } else { 0 };
        for node in 1..nodes {
            image.resize(node * stride, 0);
            image.extend(self.header());
            image.extend(vec![0xff; node]);
        }
        image
    }
}

fn recorded(name: &str) -> String {
    let all = include_str!("golden/examine-bitmap/reference.txt");
    let start = all.find(&format!("#### {name}\n")).unwrap() + name.len() + 6;
    let end = all[start..].find("#### ").map_or(all.len(), |n| start + n);
    all[start..end].to_string()
}

fn shown(out: &Output, path: &Path) -> String {
    let stdout = String::from_utf8(out.stdout.clone()).unwrap().replace(path.to_str().unwrap(), "/dev/loop2");
    let stderr: String = String::from_utf8_lossy(&out.stderr).lines().map(|l| format!("E: {l}\n")).collect();
    format!("{stdout}{stderr}rc {}\n", out.status.code().unwrap_or(-1))
}

#[test]
fn versions_3_to_5_print_what_the_reference_prints() {
    let dir = tempfile::tempdir().unwrap();
    let cases = include_str!("golden/examine-bitmap/cases.tsv").lines().filter(|l| !l.starts_with('#'));
    let mut seen = 0;
    for case in cases.map(|l| Case { fields: l.split('\t').map(str::to_string).collect() }) {
        let path = member(&dir, MEMBER_BYTES, 1, &case.image());
        let before = std::fs::metadata(&path).unwrap().modified().unwrap();
        let options: Vec<&str> = case.fields[13].split(' ').filter(|o| *o != "-").collect();
        assert_eq!(shown(&mdadm(&options, &path), &path), recorded(&case.fields[0]), "{}", case.fields[0]);
        assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), before);
        seen += 1;
    }
    assert!(seen > 40);
}

#[test]
fn a_bitmap_file_is_read_from_its_start_and_prints_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    for case in include_str!("golden/examine-bitmap/cases.tsv").lines().filter(|l| !l.starts_with('#')) {
        let case = Case { fields: case.split('\t').map(str::to_string).collect() };
        let mut image = case.image();
        image.resize(image.len().max(1 << 20), 0);
        std::fs::write(&path, image).unwrap();
        let options: Vec<&str> = case.fields[13].split(' ').filter(|o| *o != "-").collect();
        assert_eq!(shown(&mdadm(&options, &path), &path), recorded(&case.fields[0]), "{}", case.fields[0]);
    }
}

/// One line on stderr behind `mdadm: `, status 1, and no more than the fields on stdout.
fn refused(path: &Path) -> String {
    let out = mdadm(&[], path);
    let stderr = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(1), "{stderr}");
    assert!(stderr.starts_with("mdadm: ") && stderr.lines().count() == 1, "{stderr}");
    let json = mdadm(&["--json"], path);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json[0]["error"].as_str().map(|e| stderr.contains(e)), Some(true), "{json}");
    stderr
}

#[test]
fn damaged_and_absurd_bitmaps_get_one_line_and_a_status() {
    let dir = tempfile::tempdir().unwrap();
    let base = "x\t6\t10\t0\t612352\t0\t128\t30\t0\t0\t-\t5000:0\t0\t-";
    let with = |changes: &[(usize, &str)]| {
        let mut fields: Vec<String> = base.split('\t').map(str::to_string).collect();
        changes.iter().for_each(|(n, v)| fields[*n] = (*v).to_string());
        Case { fields }.image()
    };
    for (image, bytes, words) in [
        (with(&[(6, "0")]), MEMBER_BYTES, "chunksize is 0"),
        (with(&[(6, "100")]), MEMBER_BYTES, "power of two"),
        (with(&[(4, "18446744073709551615")]), MEMBER_BYTES, "sync_size"),
        (with(&[(4, "18446744073709551615"), (1, "4"), (6, "512")]), MEMBER_BYTES, "sync_size"),
        (with(&[(4, "999999999"), (6, "4194304"), (1, "4")]), MEMBER_BYTES, "more sectors than its members have"),
        (with(&[(6, "1"), (4, "2000000")]), 1 << 20, "reaches from byte"),
        (with(&[(1, "4"), (6, "1")]), 1 << 20, "reaches from byte"),
        (
            Case { fields: base.split('\t').map(str::to_string).collect() }.image_of(Uuid([9; 16])),
            MEMBER_BYTES,
            "that of array",
        ),
        (with(&[]), BITMAP, "reaches from byte"),
        (with(&[]), BITMAP + 255, "reaches from byte"),
        (with(&[]), BITMAP + 256, "reaches from byte"),
        (with(&[(1, "5"), (9, "4294967295"), (6, "65536")]), MEMBER_BYTES, "invalid bitmap magic 0x0"),
        (vec![0xff; 4096], MEMBER_BYTES, "doesn't have bitmap"),
        (vec![0; 4096], MEMBER_BYTES, "doesn't have bitmap"),
    ] {
        let path = member(&dir, bytes, 1, &image);
        let began = std::time::Instant::now();
        let line = refused(&path);
        assert!(began.elapsed().as_secs() < 5, "{words}");
        assert!(line.contains(words), "{words}: {line}");
    }
}

#[test]
fn what_is_no_bitmap_at_all_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    for bytes in [vec![], vec![0], vec![0xff; 300], vec![0xff; 100_000], vec![0; 1 << 20], b"bitm".to_vec()] {
        std::fs::write(&path, &bytes).unwrap();
        refused(&path);
    }
    assert!(refused(Path::new("/dev/null")).contains("failed to open bitmap file /dev/null: Invalid argument"));
    assert!(
        refused(Path::new("/tmp")).ends_with("/tmp: Invalid argument: it is neither a block device nor a plain file\n")
    );
    assert!(refused(dir.path()).contains("Invalid argument"));
    assert!(refused(&dir.path().join("nope")).ends_with("No such file or directory\n"));
    let odd = dir.path().join("a\nb");
    std::fs::write(&odd, [0]).unwrap();
    assert!(refused(&odd).contains("a\\x0ab"));
}

#[test]
fn the_ranges_of_a_parity_array_are_those_of_the_member_and_the_enclosing_ones_of_the_array() {
    let dir = tempfile::tempdir().unwrap();
    let case = "x\t6\t10\t0\t612352\t0\t128\t30\t0\t0\t-\t768:0\t0\t-";
    let mut image = Case { fields: case.split('\t').map(str::to_string).collect() }.image();
    image.extend(vec![1; 8]);
    image.extend([2, 2, 9]);
    image.extend(vec![0; 4784 - 11]);
    let path = member(&dir, MEMBER_BYTES, 5, &image);
    let text = String::from_utf8(mdadm(&["-v"], &path).stdout).unwrap();
    for line in [
        "             0-7 : clean, member 0 KiB to 512 KiB, array 0 KiB to 1024 KiB\n",
        "             8-9 : dirty, member 512 KiB to 640 KiB, array 1024 KiB to 2048 KiB\n",
        "           10-10 : invalid, member 640 KiB to 704 KiB, array 1024 KiB to 2048 KiB\n",
        "       Chunksize : 64 KiB of each member, 128 KiB of the array\n",
        "          Resync : 3 chunks, 192 KiB of each member, 384 KiB of the array, if the array started now\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
    let json: serde_json::Value = serde_json::from_slice(&mdadm(&["--json"], &path).stdout).unwrap();
    assert_eq!(json[0]["states"]["invalid"], 1);
    assert_eq!(json[0]["resync_bytes"], 3 * 65536);
    assert_eq!((&json[0]["type"], &json[0]["chunk_bytes"]), (&"lockless".into(), &65536.into()));
}

/// Numbers at which arithmetic goes wrong, and any.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        prop::sample::select(vec![
            0,
            1,
            2,
            127,
            128,
            129,
            511,
            512,
            65536,
            u64::from(u32::MAX),
            1 << 31,
            1 << 63,
            u64::MAX
        ]),
        (0u32..64).prop_map(|n| 1 << n),
        any::<u64>(),
        0u64..100_000,
    ]
}

/// A bitmap superblock with any fields, and bytes behind it.
fn bitmap() -> impl Strategy<Value = Vec<u8>> {
    let tail = prop::collection::vec(prop_oneof![0u8..9, any::<u8>()], 0..6000);
    (0u32..9, prop::collection::vec(number(), 10), tail, 0usize..5).prop_map(|(version, n, tail, nodes)| {
        let mut raw = Vec::new();
        raw.extend(0x6d74_6962u32.to_le_bytes());
        raw.extend(version.to_le_bytes());
        raw.extend(UUID.0);
        n[..3].iter().for_each(|v| raw.extend(v.to_le_bytes()));
        n[3..9].iter().for_each(|v| raw.extend_from_slice(&v.to_le_bytes()[..4]));
        raw.resize(256, 0x41);
        if nodes > 0 {
            raw[68..72].copy_from_slice(&u32::try_from(nodes).unwrap().to_le_bytes());
        }
        raw.extend(tail);
        raw
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]
    #[test]
    fn no_bitmap_makes_it_panic_hang_or_say_nothing(
        image in bitmap(), bytes in 8192u64..100_000, level in prop::sample::select(vec![1, 5, 6, 10, 0, -7]),
        as_file in any::<bool>(), cut in 0usize..3000,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = if as_file {
            let path = dir.path().join("file");
            std::fs::write(&path, &image[..image.len().saturating_sub(cut)]).unwrap();
            path
        } else {
            member(&dir, bytes, level, &image)
        };
        for options in [&["-v"][..], &["--json", "-v"]] {
            let began = std::time::Instant::now();
            let out = mdadm(options, &path);
            prop_assert!(began.elapsed().as_secs() < 20);
            let stderr = String::from_utf8(out.stderr).unwrap();
            let failed = out.status.code() == Some(1);
            prop_assert!(failed || out.status.code() == Some(0), "{:?}", out.status);
            prop_assert_eq!(failed, !stderr.is_empty(), "{}", stderr);
            prop_assert!(stderr.lines().all(|l| l.starts_with("mdadm: ")), "{}", stderr);
            if options.len() > 1 {
                prop_assert!(serde_json::from_slice::<serde_json::Value>(&out.stdout).is_ok());
            }
        }
    }
}
