//! `--grow` of what moves data: each transition with a pattern that is read before, while data moves, afterwards, degraded, and
//! after another assembly.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use std::time::Duration;

use vm::{MIB, attr, mdadm, sh, verify_pattern, write_pattern};

const LONG: Duration = Duration::from_secs(200);
/// Reads while data moves, which is slow until then.
const ENOUGH: u32 = 3;

/// From what, with which commands in order, to what.
struct Case {
    create: &'static str,
    /// Members of it; more disks are there as `+1`, `+2`.
    members: usize,
    grow: &'static [&'static str],
    /// Level, slots, layout number, chunk in KiB.
    end: (&'static str, u32, u32, u64),
    /// Of the array before, that must be there afterwards.
    data: u64,
}

const fn case(
    create: &'static str,
    members: usize,
    grow: &'static [&'static str],
    end: (&'static str, u32, u32, u64),
    data: u64,
) -> Case {
    Case { create, members, grow, end, data: data * MIB }
}

fn array_bytes() -> u64 {
    sh("blockdev --getsize64 /dev/md0").trim().parse().unwrap()
}

fn is_lockless() -> bool {
    sh("cat /sys/block/md0/md/bitmap_type 2>/dev/null || true").contains("[llbitmap]")
}

fn is_reshaping() -> bool {
    attr("md0", "reshape_position") != "none"
}

/// Reads the data piece by piece, again and again, until the array is what it is to become. How often while it moved, for which that
/// takes its time.
fn read_until(case: &Case) -> u32 {
    const PIECE: u64 = MIB;
    let mut during = 0;
    let mut at = 0;
    let mut reads = || {
        let before = is_reshaping();
        let idle = matches!(sh("cat /sys/block/md0/md/sync_action || echo idle").trim(), "idle");
        let level = attr("md0", "level") == case.end.0;
        let there = level && attr("md0", "raid_disks") == case.end.1.to_string();
        // Linux loses stripes where the level changes just then (docs/compat.md).
        if !before && !there {
            return false;
        }
        let wrong = verify_pattern("/dev/md0", at, PIECE, 7);
        at = (at + 5 * PIECE) % case.data;
        if !wrong.is_empty() {
            let still = verify_pattern("/dev/md0", 0, case.data, 7);
            panic!("{} {:?}: {wrong:?} while it moves, then {still:?}\n{}", case.create, case.grow, vm::mdstat());
        }
        if before && is_reshaping() {
            during += 1;
            if during == ENOUGH {
                vm::sync_speed(1_000_000, 2_000_000);
            }
        }
        !before && idle && there
    };
    vm::wait_until(LONG, "the reshape is done", &mut reads);
    vm::wait_until(LONG, "nobody looks after it any more", || {
        sh("ls /var/lib/mdadm-rs 2>/dev/null | grep -c after-reshape || true").trim() == "0"
    });
    during
}

fn transition(case: &Case) {
    let disks = vm::disks(case.members + 2, 24 * MIB);
    let named = |text: &str| text.replace("+1", &disks[case.members]).replace("+2", &disks[case.members + 1]);
    mdadm(&format!(
        "--create /dev/md0 --run --assume-clean -n{} {} {}",
        case.members,
        vm::or_internal(case.create),
        disks[..case.members].join(" ")
    ))
    .ok();
    let size = array_bytes();
    assert!(size >= case.data, "{}: {size}", case.create);
    write_pattern("/dev/md0", 0, case.data, 7);
    let lockless = is_lockless();
    if lockless {
        vm::wait_sync("md0");
    }
    vm::sync_speed(1000, 1000);
    let mut during = 0;
    for (n, grow) in case.grow.iter().enumerate() {
        let out = mdadm(&format!("--grow /dev/md0 {}", named(grow))).ok();
        if n + 1 == case.grow.len() {
            during = read_until(case);
        }
        println!("{} {grow}: {during} reads, {}", case.create, out.stderr.trim());
    }
    let shape = |name: &str| attr("md0", name);
    let (level, slots, layout, chunk) = case.end;
    assert_eq!((shape("level").as_str(), shape("raid_disks")), (level, slots.to_string()), "{}", case.create);
    let redundant = !matches!(level, "raid0" | "linear");
    if redundant && level != "raid1" {
        assert_eq!(shape("layout"), layout.to_string(), "{}", case.create);
    }
    if level != "raid1" {
        assert_eq!(shape("chunk_size"), (chunk * 1024).to_string(), "{}", case.create);
    }
    if redundant {
        assert_eq!(shape("degraded"), "0", "{}", case.create);
        assert_eq!(shape("sync_max"), "max", "{}", case.create);
        vm::wait_sync("md0");
    }
    assert_eq!(verify_pattern("/dev/md0", 0, case.data, 7), [0; 0], "{}", case.create);
    assert_eq!(is_lockless(), lockless, "{}", case.create);
    let size = array_bytes();
    // What is new can be written to, to the end.
    let tail = (size - size / 8) / 4096 * 4096;
    if tail >= case.data {
        write_pattern("/dev/md0", tail, (size - tail) / 4096 * 4096, 9);
    }
    let members = sh("cd /sys/block/md0/md; ls -d dev-* | sed s,dev-,/dev/, | tr '\\n' ' '");
    mdadm("--stop /dev/md0").ok();
    mdadm(&format!("--assemble /dev/md0 {members}")).ok();
    assert_eq!(array_bytes(), size, "{}", case.create);
    if redundant {
        vm::wait_sync("md0");
        let victim = sh("ls -d /sys/block/md0/md/rd1/block");
        let victim = sh(&format!("basename $(readlink -f {})", victim.trim()));
        mdadm(&format!("/dev/md0 --fail /dev/{}", victim.trim())).ok();
    }
    assert_eq!(verify_pattern("/dev/md0", 0, case.data, 7), [0; 0], "{}, assembled, degraded", case.create);
    if tail >= case.data {
        let bytes = (size - tail) / 4096 * 4096;
        assert_eq!(verify_pattern("/dev/md0", tail, bytes, 9), [0; 0], "{}, what is new", case.create);
    }
    mdadm("--stop /dev/md0").ok();
    for disk in &disks {
        sh(&format!("losetup -d {disk}"));
    }
    sh("rm -f /mnt/disk*");
    assert!(during >= ENOUGH || level == "linear", "{}: data was read while it moved {during} times", case.create);
}

fn all(cases: &[Case]) {
    let only = std::env::var("GUEST_CASE").unwrap_or_default();
    let cases: Vec<&Case> = cases.iter().filter(|c| format!("{} {:?}", c.create, c.grow).contains(&only)).collect();
    cases.iter().for_each(|c| transition(c));
}

#[test]
fn more_devices() {
    all(&[
        case("-l5 -c64 -z 8M -e 1.1 -b none", 3, &["-n4 -c 128 -a +1"], ("raid5", 4, 2, 128), 16),
        case("-l5 -c64 -z 8M -b lockless", 3, &["-n4 -a +1"], ("raid5", 4, 2, 64), 16),
        case("-l5 -c64 -z 8M -b internal", 3, &["-n5 -a +1 -a +2"], ("raid5", 5, 2, 64), 16),
        case("-l6 -c64 -z 8M -b internal", 4, &["-n6 -a +1 -a +2"], ("raid6", 6, 2, 64), 16),
        case("-l10 -c64 -z 8M -b internal", 4, &["-n5 -a +1"], ("raid10", 5, 0x102, 64), 16),
        case("-l10 -p o2 -c64 -z 8M -b none", 3, &["-n4 -a +1"], ("raid10", 4, 0x1_0201, 64), 12),
        case("-l0 -c64", 2, &["-n3 -a +1"], ("raid0", 3, 0, 64), 16),
    ]);
}

#[test]
fn another_chunk_layout_or_fewer_devices() {
    all(&[
        case("-l5 -c64 -z 8M -b none", 3, &["-c 128"], ("raid5", 3, 2, 128), 16),
        case("-l5 -c128 -z 8M -b internal", 3, &["-c 32 -p ra"], ("raid5", 3, 1, 32), 16),
        case("-l5 -c64 -z 8M -b none", 4, &["--array-size=16M", "-n3"], ("raid5", 3, 2, 64), 16),
        case("-l6 -c64 -z 8M -b none", 4, &["-p parity-first-6"], ("raid6", 4, 20, 64), 16),
        case("-l10 -c64 -z 8M -b none", 4, &["-c 128"], ("raid10", 4, 0x102, 128), 16),
        case("-l10 -p o2 -c64 -z 8M -b none", 4, &["-p n2"], ("raid10", 4, 0x102, 64), 16),
    ]);
}

#[test]
fn another_level() {
    all(&[
        case("-l5 -c64 -z 8M -b internal", 3, &["-l6 -n4 -a +1"], ("raid6", 4, 2, 64), 16),
        case("-l6 -c64 -z 8M -b none", 4, &["-l5"], ("raid5", 3, 2, 64), 16),
        case("-l0 -c64 --data-offset=2M", 2, &["-l5 -n3 -a +1"], ("raid5", 3, 2, 64), 16),
        case("-l1 -z 8M -b none", 2, &["-l5 -n3 -a +1"], ("raid5", 3, 2, 64), 8),
        case("-l5 -c64 -z 8M -b none", 3, &["-l0"], ("raid0", 2, 0, 64), 16),
        case("-l6 -c64 -z 8M -b none", 4, &["-l0"], ("raid0", 2, 0, 64), 16),
        case("-l5 -c64 -z 8M -b none", 3, &["--array-size=8M", "-l1 -n2"], ("raid1", 2, 0, 64), 8),
    ]);
}

/// What else the kernel offers: by way of another level, to a place that is asked for, and at the end of a linear array.
#[test]
fn other_levels_and_other_places() {
    all(&[
        case("-l5 -c64 -z 8M -b none", 3, &["-l4"], ("raid4", 3, 0, 64), 16),
        case("-l6 -c64 -z 8M -b internal", 4, &["-l4"], ("raid4", 3, 0, 64), 16),
        case("-l4 -c64 -z 8M -b none", 3, &["--array-size=8M", "-l1 -n2"], ("raid1", 2, 0, 64), 8),
        case("-l4 -c64 -z 8M -b none", 3, &["-l5 -p ls"], ("raid5", 3, 2, 64), 16),
        case("-l6 -p left-symmetric-6 -c64 -z 8M -b none", 4, &["-p normalise"], ("raid6", 4, 2, 64), 16),
        case("-l5 -c64 -z 8M -b none", 3, &["-l6 -p preserve -n5 -a +1 -a +2"], ("raid6", 5, 18, 64), 16),
        case("-l0 -c64", 3, &["--array-size=46M", "-n2"], ("raid0", 2, 0, 64), 40),
        case("-l5 -c64 -z 8M -b none", 3, &["--data-offset=2M"], ("raid5", 3, 2, 64), 16),
        case("-l linear", 2, &["-a +1 -a +2"], ("linear", 4, 0, 0), 40),
    ]);
}

/// Where data cannot move it is saved: in the state directory, or where it is said.
#[test]
fn what_has_no_room_to_move_is_saved_before_it_is_overwritten() {
    sh("mkdir -p /mnt/kept");
    all(&[
        case("-l5 -e 0.90 -c64 -z 8M -b none", 3, &["-n4 -a +1"], ("raid5", 4, 2, 64), 16),
        case("-l5 -e 0.90 -c64 -z 8M -b none", 3, &["-c 128"], ("raid5", 3, 2, 128), 16),
        case(
            "-l5 -c1M --data-offset=1M -b none",
            3,
            &["-n4 -a +1 --backup-file=/mnt/kept/a"],
            ("raid5", 4, 2, 1024),
            40,
        ),
        case("-l6 -c1M --data-offset=1M -b none", 4, &["-l5 --backup-file=/mnt/kept/b"], ("raid5", 3, 2, 1024), 40),
        case("-l5 -c64 -z 23M -b none", 4, &["--array-size=46M", "-n3"], ("raid5", 3, 2, 64), 40),
    ]);
    assert_eq!(sh("ls /mnt/kept").trim(), "");
    let disks = vm::disks(4, 24 * MIB);
    mdadm(&format!(
        "--create /dev/md0 --run --assume-clean -l5 -n3 -c1M --data-offset=1M -b none {}",
        disks[..3].join(" ")
    ))
    .ok();
    sh("mke2fs -q /dev/md0; mkdir -p /mnt/on; mount /dev/md0 /mnt/on; echo something > /mnt/kept/other");
    for (file, words) in [
        ("/mnt/on/file", "is on the array itself"),
        ("/mnt/kept/other", "not overwritten"),
        ("/proc/a", "cannot be used"),
    ] {
        let out = mdadm(&format!("--grow /dev/md0 -n4 -a {} --backup-file={file}", disks[3]));
        assert!(out.status != 0 && out.stderr.contains(words), "{file}: {out:?}");
        assert_eq!((attr("md0", "raid_disks").as_str(), attr("md0", "sync_action").as_str()), ("3", "idle"));
        mdadm(&format!("/dev/md0 --remove {}", disks[3]));
    }
    sh("umount /mnt/on");
}

/// `--plan` tells all of it and touches nothing; and while data moves nothing else may be begun that would do harm.
#[test]
fn a_reshape_is_foretold_and_guarded() {
    let disks = vm::disks(4, 24 * MIB);
    mdadm(&format!("--create /dev/md0 --run --assume-clean -l5 -n3 -c64 -z 16M -b none {}", disks[..3].join(" "))).ok();
    write_pattern("/dev/md0", 0, 32 * MIB, 7);
    let grow = format!("--grow /dev/md0 -n4 -a {}", disks[3]);
    let plan = mdadm(&format!("{grow} --plan")).ok();
    for line in [
        "reshape /dev/md0: raid5 of 3, layout left-symmetric, chunk 64K -> raid5 of 4",
        "size: 32768K -> 49152K",
        "384K down; backup: not needed",
        "critical section: 384K of each member",
        "safe to interrupt: yes",
        "sync_max = ",
        "sync_action = reshape",
    ] {
        assert!(plan.stdout.contains(line), "{line}: {plan:?}");
    }
    let json = mdadm(&format!("{grow} --plan --json")).ok();
    assert!(json.stdout.contains("\"new_size_bytes\": 50331648"), "{json:?}");
    let added = format!("dev-{}/new_offset", &disks[3][5..]);
    assert!(plan.stdout.contains(&added) && json.stdout.contains("\"safe_to_interrupt\": true"), "{json:?}");
    assert_eq!((attr("md0", "raid_disks").as_str(), attr("md0", "sync_action").as_str()), ("3", "idle"));
    assert_eq!(attr("md0", "dev-loop0/new_offset"), attr("md0", "dev-loop0/offset"));

    vm::sync_speed(300, 300);
    mdadm(&grow).ok();
    for (line, words) in [
        (format!("/dev/md0 --fail {}", disks[0]), "would go on without redundancy"),
        ("--grow /dev/md0 -c 128".to_owned(), "cannot be reshaped"),
        ("--grow /dev/md0 --size=20M".to_owned(), "cannot be reshaped"),
        ("--grow --continue /dev/md0".to_owned(), "another process looks after"),
    ] {
        let out = mdadm(&line);
        assert!(out.status != 0 && out.stderr.contains(words), "{line}: {out:?}");
    }
    assert!(is_reshaping());
    let seen = mdadm("-D /dev/md0").ok();
    assert!(seen.stdout.contains("K of 49152K\n  Critical Section : not now\n"), "{seen:?}");
    assert!(!seen.stdout.contains("Reshape Waits"), "{seen:?}");
    let seen = mdadm("-D --json /dev/md0").ok();
    assert!(seen.stdout.contains("\"total_bytes\": 50331648"), "{seen:?}");
    let out = mdadm(&format!("/dev/md0 --fail {} --force", disks[0])).ok();
    assert!(out.stderr.contains("is being reshaped"), "{out:?}");
    vm::sync_speed(1_000_000, 2_000_000);
    vm::wait_until(LONG, "the reshape is done", || !is_reshaping() && attr("md0", "sync_action") == "idle");
    assert_eq!(verify_pattern("/dev/md0", 0, 32 * MIB, 7), [0; 0]);
    mdadm("--stop /dev/md0").ok();

    // In place: where copies are kept is said, what that comes to, and nothing of it is made.
    disks.iter().for_each(|d| drop(mdadm(&format!("--zero-superblock {d}"))));
    let three = disks[..3].join(" ");
    mdadm(&format!("--create /dev/md0 --run --assume-clean -e 0.90 -l5 -n3 -c64 -z 20M -b none {three}")).ok();
    let plan = |options: &str| mdadm(&format!("--grow /dev/md0 -c 128 --plan {options}"));
    let own = plan("").ok().stdout;
    assert!(own.contains("in place; backup: needed, 8196K in /var/lib/mdadm-rs/reshape-"), "{own}");
    let given = plan("--backup-file=/mnt/copies").ok().stdout;
    assert!(given.contains("safe to interrupt: no: /mnt/copies is in memory"), "{given}");
    let json = plan("--backup-file=/mnt/copies --json").ok().stdout;
    for part in ["\"safe_to_interrupt\": false", "\"backup_file\": \"/mnt/copies\"", "\"backup_bytes\": 8392704"] {
        assert!(json.contains(part), "{part}: {json}");
    }
    sh("test ! -e /mnt/copies; mkdir /mnt/small; mount -t tmpfs -o size=1M small /mnt/small");
    let refused = plan("--backup-file=/mnt/small/copies");
    assert!(refused.status == 1 && refused.stderr.contains("No space left"), "{refused:?}");
    mdadm(&format!("/dev/md0 --fail {}", disks[0])).ok();
    let degraded = plan("--force").ok().stdout;
    assert!(degraded.contains("1 of its 3 members are missing"), "{degraded}");
    mdadm("--stop /dev/md0").ok();
}

/// Only levels and numbers change: nobody is left waiting for a reshape that never comes.
#[test]
fn where_nothing_has_to_move_it_is_done_at_once() {
    let disks = vm::disks(4, 24 * MIB);
    let create = |options: &str, n: usize| {
        let members = disks[..n].join(" ");
        mdadm(&format!("--create /dev/md0 --run --assume-clean -z 8M -b none {options} -n{n} {members}")).ok();
        write_pattern("/dev/md0", 0, 8 * MIB, 7);
    };
    let shape = || (attr("md0", "level"), attr("md0", "raid_disks"), attr("md0", "chunk_size"));
    let is = |level: &str, slots: u32, kib: u32| {
        assert_eq!(shape(), (level.into(), slots.to_string(), (kib * 1024).to_string()))
    };
    let refused = |line: &str, words: &str| {
        let out = mdadm(line);
        assert!(out.status != 0 && out.stderr.contains(words), "{line}: {out:?}");
    };

    create("-l5 -c64", 3);
    mdadm(&format!("--grow /dev/md0 -l6 -n4 --layout=preserve -a {}", disks[3])).ok();
    vm::wait_until(LONG, "the new member is rebuilt", || attr("md0", "degraded") == "0");
    vm::wait_sync("md0");
    is("raid6", 4, 64);
    assert_eq!((attr("md0", "sync_max"), attr("md0", "layout")), ("max".into(), "18".into()));
    mdadm(&format!("/dev/md0 --fail {0} --remove {0}", disks[0])).ok();
    refused("--grow /dev/md0 -l5", "gives up the last redundancy");
    mdadm(&format!("/dev/md0 --fail {0} --remove {0}", disks[1])).ok();
    refused("--grow /dev/md0 -l5 --force", "a raid5 can do without one only");
    assert_eq!(verify_pattern("/dev/md0", 0, 8 * MIB, 7), [0; 0]);
    mdadm("--stop /dev/md0").ok();

    create("-l6 -c64 -p parity-last", 4);
    let plan = mdadm("--grow /dev/md0 -l0 --plan").ok();
    // What waits while the level changes must not be larger than the kernel's raid0 can split.
    assert!(plan.stdout.contains("queue/max_sectors_kb = 64"), "{plan:?}");
    is("raid6", 4, 64);
    mdadm("--grow /dev/md0 -l0").ok();
    is("raid0", 2, 64);
    assert_eq!(verify_pattern("/dev/md0", 0, 8 * MIB, 7), [0; 0]);
    mdadm("--stop /dev/md0").ok();

    create("-l5 -c64", 2);
    mdadm("--grow /dev/md0 -c 128 -p rs").ok();
    is("raid5", 2, 128);
    assert_eq!((attr("md0", "sync_max"), attr("md0", "sync_action")), ("max".into(), "idle".into()));
    assert_eq!(verify_pattern("/dev/md0", 0, 8 * MIB, 7), [0; 0]);
    mdadm("--stop /dev/md0").ok();

    create("-l5 -c64 -p parity-last", 3);
    let name = disks[0].trim_start_matches("/dev/").to_owned();
    sh(&format!("echo 8192 8 > /sys/block/md0/md/dev-{name}/bad_blocks"));
    refused("--grow /dev/md0 -l0", "--action=repair");
    is("raid5", 3, 64);
    mdadm("--stop /dev/md0").ok();

    // The kernel starts no reshape with two members missing, and forgets that there was to be one.
    create("-l5 -c64", 3);
    refused("--grow /dev/md0 -n5 -c 128 --force", "Cannot start reshape");
    is("raid5", 3, 64);
    assert_eq!((attr("md0", "sync_max"), attr("md0", "sync_action")), ("max".into(), "idle".into()));
    // Which it refuses while it has another number of slots in mind.
    sh("echo backwards > /sys/block/md0/md/reshape_direction; echo forwards > /sys/block/md0/md/reshape_direction");
    assert_eq!(verify_pattern("/dev/md0", 0, 8 * MIB, 7), [0; 0]);
    mdadm("--stop /dev/md0").ok();
}

/// Two at once: one of them does it, the other says why not. And a bad sector is found before anything is begun.
#[test]
fn two_growers_and_bad_sectors_harm_nothing() {
    let disks = vm::disks(4, 24 * MIB);
    // The third member has one bad sector, in its data.
    let bad = 20_000;
    let table =
        format!("0 {bad} linear {0} 0\n{bad} 1 error\n{1} {2} linear {0} {1}", disks[2], bad + 1, 24 * 2048 - bad - 1);
    std::fs::write("/mnt/table", table).unwrap();
    let three = format!("{} {} /dev/mapper/bad", disks[0], disks[1]);
    mdadm(&format!("--create /dev/md0 --run --assume-clean -l5 -n3 -c64 -b none {}", disks[..3].join(" "))).ok();
    write_pattern("/dev/md0", 0, 8 * MIB, 7);
    mdadm("--stop /dev/md0").ok();
    sh("dmsetup create bad /mnt/table; dmsetup mknodes");
    mdadm(&format!("--assemble /dev/md0 {three}")).ok();
    let grow = format!("--grow /dev/md0 -n4 --add {}", disks[3]);
    for more in ["", "--plan"] {
        let refused = mdadm(&format!("{grow} --check-first {more}"));
        let words = ["of each of 3 members first, about", "sector 20000 cannot be read", "nothing was changed"];
        assert!(refused.status == 1 && words.iter().all(|w| refused.stderr.contains(w)), "{refused:?}");
        assert!(refused.stderr.contains("/dev/mapper/bad") || refused.stderr.contains("dm-0"), "{refused:?}");
    }
    assert_eq!((attr("md0", "raid_disks"), attr("md0", "sync_action")), ("3".into(), "idle".into()));
    mdadm("--stop /dev/md0").ok();
    sh("dmsetup remove bad");
    mdadm(&format!("--assemble /dev/md0 {}", disks[..3].join(" "))).ok();

    vm::sync_speed(300, 300);
    let start = |line: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mdadm"));
        command.args(line.split_whitespace()).stderr(std::process::Stdio::piped());
        command.spawn().unwrap()
    };
    let both = [start(&format!("{grow} --check-first")), start("--grow /dev/md0 --chunk=128 --check-first")];
    let both = both.map(|child| child.wait_with_output().unwrap());
    assert_eq!(both.iter().filter(|out| out.status.success()).count(), 1, "{both:?}");
    let refused = both.iter().find(|out| !out.status.success()).unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("cannot be reshaped") || said.contains("another mdadm --grow"), "{said}");
    vm::sync_speed(1_000_000, 2_000_000);
    vm::wait_until(LONG, "the reshape is done", || attr("md0", "reshape_position") == "none");
    vm::wait_sync("md0");
    let changed = (attr("md0", "raid_disks") == "4", attr("md0", "chunk_size") == "131072");
    assert!(changed.0 != changed.1 && attr("md0", "degraded") == "0", "{changed:?}");
    assert_eq!(verify_pattern("/dev/md0", 0, 8 * MIB, 7), [0; 0]);
    mdadm("--stop /dev/md0").ok();
}
