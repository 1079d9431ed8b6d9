//! `--examine`, `--query`, `--examine-badblocks` and `--zero-superblock` on images of members: byte for byte what the reference
//! printed and wrote (`tests/golden/examine/`).
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::{Command, Stdio};

const IMAGES: &str = include_str!("golden/examine/images.txt");
const REFERENCE: &str = include_str!("golden/examine/reference.txt");

/// An image: its size, and what is in it.
#[derive(Clone, Default)]
struct Image {
    size: u64,
    parts: Vec<(u64, Vec<u8>)>,
}

impl Image {
    fn write(&self, path: &Path) {
        let file = File::create(path).unwrap();
        file.set_len(self.size).unwrap();
        for (offset, bytes) in &self.parts {
            file.write_all_at(bytes, *offset).unwrap();
        }
    }
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

fn images() -> BTreeMap<String, Image> {
    let mut all: BTreeMap<String, Image> = BTreeMap::new();
    let mut name = String::new();
    for line in IMAGES.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if words[0] == "image" {
            name = words[1].into();
            all.insert(name.clone(), Image { size: words[2].parse().unwrap(), parts: Vec::new() });
            continue;
        }
        let bytes = match words[1].split_once('*') {
            Some((byte, count)) => vec![hex(byte)[0]; count.parse().unwrap()],
            None => hex(words[1]),
        };
        all.get_mut(&name).unwrap().parts.push((u64::from_str_radix(words[0], 16).unwrap(), bytes));
    }
    all
}

/// One recorded command: its words, and everything it printed, its status and what it zeroed, as text.
struct Case {
    words: Vec<String>,
    expected: String,
}

/// The cases in order, with the variants that they need made from their base images.
fn cases(images: &mut BTreeMap<String, Image>) -> Vec<Case> {
    let mut all: Vec<Case> = Vec::new();
    for line in REFERENCE.lines() {
        if let Some(words) = line.strip_prefix("$ ") {
            all.push(Case { words: words.split(' ').map(Into::into).collect(), expected: String::new() });
        } else if let Some(variant) = line.strip_prefix("variant ") {
            let words: Vec<&str> = variant.split(' ').collect();
            let mut image = images[words[1]].clone();
            let change = |w: &&str| w.split_once(':').map(|(at, bytes)| (at.parse().unwrap(), hex(bytes))).unwrap();
            image.parts.extend(words[2..].iter().map(change));
            images.insert(words[0].into(), image);
        } else {
            let case = all.last_mut().unwrap();
            case.expected.push_str(line);
            case.expected.push('\n');
        }
    }
    all
}

/// Ranges of sectors that differ and are zero now.
fn zeroed(before: &[u8], after: &[u8]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for (n, (old, new)) in before.chunks(512).zip(after.chunks(512)).enumerate().filter(|(_, (old, new))| old != new) {
        assert!(new.iter().all(|b| *b == 0), "sector {n} of {} was {}", before.len() / 512, old[0]);
        match ranges.last_mut() {
            Some((start, len)) if *start + *len == n * 512 => *len += 512,
            _ => ranges.push((n * 512, 512)),
        }
    }
    ranges.iter().map(|(start, len)| format!("zeroed {start} {len}\n")).collect()
}

/// The bytes that an image was made of, as they are now, and how much room it takes: what a write would change.
fn snapshot(image: &Image, path: &Path) -> (Vec<Vec<u8>>, u64) {
    let file = File::open(path).unwrap();
    let part = |(offset, bytes): &(u64, Vec<u8>)| {
        let mut now = vec![0; bytes.len()];
        file.read_exact_at(&mut now, *offset).unwrap();
        now
    };
    (image.parts.iter().map(part).collect(), file.metadata().unwrap().blocks())
}

/// Runs ours on the images that the words name; `--zero-superblock` gets a fresh one.
fn ours(case: &Case, images: &BTreeMap<String, Image>, dir: &Path) -> String {
    let writes = case.words[0] == "--zero-superblock";
    let named: Vec<&String> = case.words.iter().filter(|w| images.contains_key(*w)).collect();
    for name in named.iter().filter(|n| writes || !dir.join(n).exists()) {
        images[*name].write(&dir.join(name));
    }
    let whole = |name: &String| if writes { std::fs::read(dir.join(name)).unwrap() } else { Vec::new() };
    let before: Vec<_> = named.iter().map(|n| (whole(n), snapshot(&images[*n], &dir.join(n)))).collect();
    let out = Command::new(env!("CARGO_BIN_EXE_mdadm"))
        .args(&case.words)
        // Nothing of this machine is written to.
        .args(writes.then_some("--saved-metadata=none"))
        .current_dir(dir)
        .env("TZ", "EST5EDT,M3.2.0,M11.1.0")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let mut text = String::from_utf8(out.stdout).unwrap();
    let said = String::from_utf8(out.stderr).unwrap();
    // Ours lists what it zeroes: tests/kernel_ensure.rs.
    for line in said.lines().filter(|l| !l.starts_with("mdadm: note: zeroed on ")) {
        writeln!(text, "E: {line}").unwrap();
    }
    writeln!(text, "rc {}", out.status.code().unwrap()).unwrap();
    for (name, (bytes, parts)) in named.iter().zip(before) {
        text.push_str(&zeroed(&bytes, &whole(name)));
        assert!(writes || snapshot(&images[*name], &dir.join(name)) == parts, "{:?} wrote", case.words);
    }
    text
}

/// v0.90 tables name the nodes that /dev has for the recorded numbers: here others than where it was recorded.
fn without_nodes(text: &str) -> String {
    text.lines().map(|l| l.split_once("   /dev/loop").map_or(l, |(row, _)| row).to_owned() + "\n").collect()
}

/// Compares the cases that `wanted` picks; gives how many they were.
#[track_caller]
fn compare(wanted: impl Fn(&Case) -> bool) -> usize {
    let mut images = images();
    let cases = cases(&mut images);
    let dir = tempfile::tempdir().unwrap();
    let mut wrong = String::new();
    let mut count = 0;
    for case in cases.iter().filter(|c| wanted(c)) {
        count += 1;
        let got = ours(case, &images, dir.path());
        if without_nodes(&got) != without_nodes(&case.expected) {
            writeln!(wrong, "$ {}\n--- reference\n{}--- ours\n{got}", case.words.join(" "), case.expected).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    count
}

fn is_variant(case: &Case) -> bool {
    case.words.iter().any(|w| w.strip_prefix('v').is_some_and(|n| n.parse::<u32>().is_ok()))
}

#[test]
fn examine_of_members_of_every_kind_is_the_reference_s_byte_for_byte() {
    assert!(compare(|c| c.words[0].starts_with("-E") && !is_variant(c)) > 150);
}

#[test]
fn query_and_bad_blocks_of_members_of_every_kind_are_the_reference_s_byte_for_byte() {
    let wanted = |c: &Case| ["-Q", "--examine-badblocks"].contains(&c.words[0].as_str()) && !is_variant(c);
    assert!(compare(wanted) > 100);
}

#[test]
fn members_with_changed_fields_give_what_the_reference_gives() {
    assert!(compare(is_variant) > 500);
}

#[test]
fn zero_superblock_zeroes_what_the_reference_zeroes() {
    assert!(compare(|c| c.words[0] == "--zero-superblock") >= 30);
}
