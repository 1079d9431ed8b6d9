//! Arrays of every redundant level with every kind of bitmap lose members, get new ones, are rebuilt, and keep their data.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use std::fs;
use vm::{MIB, attr, mdadm, mix, sh, verify_pattern, write_pattern};

/// Bytes of a member.
const DISK: u64 = 24 * MIB;

/// A level, its members, and how many may fail at once; `data` MiB of it are written.
struct Shape {
    words: &'static str,
    members: usize,
    failures: usize,
    data: u64,
}

const RAID1: Shape = Shape { words: "-l1 -n3", members: 3, failures: 2, data: 20 };
const RAID5: Shape = Shape { words: "-l5 -n4 --chunk=64", members: 4, failures: 1, data: 60 };
const RAID6: Shape = Shape { words: "-l6 -n5 --chunk=64", members: 5, failures: 2, data: 60 };
const RAID10: Shape = Shape { words: "-l10 -n4 --chunk=64", members: 4, failures: 2, data: 40 };

/// The kinds of bitmap that this kernel has: lockless from 6.18 on, files up to some before 7.2 (docs/bitmap-files.md).
fn kinds() -> Vec<String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let major = release.split('.').next().unwrap().parse::<u32>().unwrap();
    // The first disk stays when the others go.
    let files = (major < 7).then(|| {
        let disk = vm::disk(32 * MIB);
        sh(&format!("mkfs.ext4 -q {disk}; mkdir /mnt/fs; mount {disk} /mnt/fs"));
        "/mnt/fs/bits".to_owned()
    });
    let mut kinds: Vec<String> = vm::bitmaps().iter().map(|kind| (*kind).to_owned()).collect();
    kinds.extend(files);
    kinds
}

/// A disk that holds anything but zeros: nothing is right by luck.
fn disk(seed: u64) -> String {
    let disk = vm::disk(DISK);
    write_pattern(&disk, 0, DISK, mix(77, seed));
    disk
}

/// What is on the array: for every 4 MiB the seed that was written last.
struct Data {
    seeds: Vec<u64>,
}

impl Data {
    const PIECE: u64 = 4 * MIB;

    fn write(&mut self, piece: usize, seed: u64) {
        write_pattern("/dev/md0", piece as u64 * Data::PIECE, Data::PIECE, seed);
        self.seeds[piece] = seed;
    }

    #[track_caller]
    fn check(&self, when: &str) {
        for (piece, seed) in self.seeds.iter().enumerate() {
            let bad = verify_pattern("/dev/md0", piece as u64 * Data::PIECE, Data::PIECE, *seed);
            assert!(bad.is_empty(), "{when}: {} blocks from {} on\n{}", bad.len(), bad[0], vm::mdstat());
        }
    }
}

/// Reads all copies and parities of what was written and finds them right.
#[track_caller]
fn scrub(kind: &str, when: &str) {
    vm::set_attr("md0", "sync_action", "check");
    vm::wait_sync("md0");
    assert_eq!(attr("md0", "mismatch_cnt"), "0", "{kind}: {when}");
}

/// While parity is being built, as of a lockless bitmap after writes, one member counts as being rebuilt.
fn fail(disks: &[&String]) {
    vm::wait_sync("md0");
    for disk in disks {
        mdadm(&format!("/dev/md0 --fail {disk} --remove {disk}")).ok();
    }
}

fn assert_whole(members: usize, when: &str) {
    vm::wait_sync("md0");
    assert_eq!(attr("md0", "degraded"), "0", "{when}\n{}", vm::mdstat());
    assert!(vm::mdstat().contains(&format!("[{members}/{members}]")), "{when}\n{}", vm::mdstat());
}

fn scenario(shape: &Shape) {
    for (n, kind) in kinds().iter().enumerate() {
        one(shape, kind, 1000 * n as u64);
        mdadm("--stop /dev/md0").ok();
        sh(
            "losetup -a | grep -v '^/dev/loop[0-9]*: .*(/mnt/disk0)$' | cut -d: -f1 | xargs -r losetup -d 2>/dev/null || true",
        );
    }
}

fn one(shape: &Shape, kind: &str, seed: u64) {
    let members = shape.members;
    let mut disks: Vec<String> = (0..members as u64).map(|n| disk(seed + n)).collect();
    let _ = fs::remove_file(kind);
    let create = format!("--create /dev/md0 -q --run {} --bitmap={kind} --delay=1", shape.words);
    mdadm(&format!("{create} {}", disks.join(" "))).ok();
    vm::wait_sync("md0");
    let mut data = Data { seeds: vec![0; (shape.data * MIB / Data::PIECE) as usize] };
    for piece in 0..data.seeds.len() {
        data.write(piece, seed + 100 + piece as u64);
    }
    // Lost: as many as the level bears; raid10 with near copies: one of each pair.
    let lost: Vec<usize> = if members == 4 && shape.failures == 2 { vec![0, 3] } else { (0..shape.failures).collect() };
    fail(&lost.iter().map(|n| &disks[*n]).collect::<Vec<_>>());
    data.check("degraded");
    data.write(1, seed + 201);
    data.check("written while degraded");
    // New ones, rebuilt, one after the other.
    for n in &lost {
        disks[*n] = disk(seed + 50 + *n as u64);
        let out = mdadm(&format!("/dev/md0 --add {}", disks[*n])).ok();
        assert!(out.stderr.contains("added "), "{}", out.stderr);
        data.write(2, seed + 300 + *n as u64);
    }
    assert_whole(members, "rebuilt");
    data.check("rebuilt");
    scrub(kind, "rebuilt");
    // The others go: what is read now comes from the new ones.
    let rest: Vec<usize> = (0..members).filter(|n| !lost.contains(n)).take(shape.failures).collect();
    fail(&rest.iter().map(|n| &disks[*n]).collect::<Vec<_>>());
    data.check("from the rebuilt members");
    data.write(3, seed + 401);
    // They come back: by the bitmap, all but what was written since is left alone; without one they are rebuilt fully.
    for n in &rest {
        let out = mdadm(&format!("/dev/md0 --{} {}", if kind == "none" { "add" } else { "re-add" }, disks[*n])).ok();
        if kind == "none" {
            assert!(out.stderr.contains("added ") && !out.stderr.contains("re-added"), "{}", out.stderr);
        } else if *n == rest[0] {
            assert!(out.stderr.contains("re-added ") && out.stderr.contains("the bitmap covers"), "{}", out.stderr);
        } else {
            // The one before may be back already: then the log tells of a rebuild since this one left.
            assert!(out.stderr.contains("added "), "{}", out.stderr);
        }
    }
    assert_whole(members, "all back");
    data.check("all back");
    scrub(kind, "all back");
    mdadm("--stop /dev/md0").ok();
    let file = if kind.starts_with('/') { format!("--bitmap={kind}") } else { String::new() };
    mdadm(&format!("--assemble /dev/md0 {file} {}", disks.join(" "))).ok();
    assert_whole(members, "assembled again");
    data.check("assembled again");
    let detail = mdadm("--detail /dev/md0").ok().stdout;
    let shown = match kind {
        "none" => None,
        "internal" | "lockless" => Some("Internal"),
        path => Some(path),
    };
    let line = detail.lines().find(|l| l.contains("Intent Bitmap")).and_then(|l| l.split(" : ").nth(1));
    assert_eq!(line, shown, "{detail}");
}

#[test]
fn a_raid1_loses_members_gets_new_ones_and_keeps_its_data_with_every_kind_of_bitmap() {
    scenario(&RAID1);
}

#[test]
fn a_raid5_loses_members_gets_new_ones_and_keeps_its_data_with_every_kind_of_bitmap() {
    scenario(&RAID5);
}

#[test]
fn a_raid6_loses_members_gets_new_ones_and_keeps_its_data_with_every_kind_of_bitmap() {
    scenario(&RAID6);
}

#[test]
fn a_raid10_loses_members_gets_new_ones_and_keeps_its_data_with_every_kind_of_bitmap() {
    scenario(&RAID10);
}
