//! `--grow` of what moves no data, on running arrays with data.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use vm::{MIB, attr, mdadm, sh, verify_pattern, write_pattern};

/// The files behind the disks.
fn files(disks: &[String]) -> Vec<PathBuf> {
    disks.iter().map(|d| PathBuf::from(sh(&format!("losetup -n -O BACK-FILE {d}")).trim())).collect()
}

#[track_caller]
fn refused(line: &str, words: &[&str]) {
    let out = mdadm(line);
    assert!(out.status != 0 && words.iter().all(|w| out.stderr.contains(w)), "{line}: {out:?}");
}

#[test]
fn a_file_system_is_not_cut_off() {
    let disks = vm::disks(3, 40 * MIB);
    mdadm(&format!("--create /dev/md0 --run --assume-clean --bitmap=none -l5 -n3 {}", disks.join(" "))).ok();
    let whole = attr("md0", "component_size");
    sh("mke2fs -q /dev/md0 40000k");
    refused("--grow /dev/md0 --size=10M", &["ext2 file system on it takes 40000K", "--array-size=20480"]);
    refused("--grow /dev/md0 --size=10M --plan", &["ext2 file system"]);
    assert_eq!(attr("md0", "component_size"), whole);
    // What is left is more than it needs.
    mdadm("--grow /dev/md0 --size=21M").ok();
    // The way that the refusal names: it does not fit, but has been tried out.
    mdadm("--grow /dev/md0 --array-size=20480").ok();
    refused("--grow /dev/md0 --size=6M", &["Invalid argument", "--array-size=12288"]);
    mdadm("--grow /dev/md0 --size=10M").ok();
    mdadm("--grow /dev/md0 --array-size=max --size=20M --assume-clean").ok();
    refused("--grow /dev/md0 --size=10M", &["ext2 file system"]);
    mdadm("--grow /dev/md0 --size=10M --force").ok();
    // What nobody knows the size of is no less in danger.
    sh(
        "printf 'LUKS\\xba\\xbe' | dd of=/dev/md0 conv=notrunc,fsync status=none; dd if=/dev/zero of=/dev/md0 bs=1k seek=1 count=2 conv=notrunc,fsync status=none",
    );
    refused("--grow /dev/md0 --size=5M", &["LUKS", "nobody can tell"]);
    mdadm("--stop /dev/md0").ok();
}

#[test]
fn a_spare_or_a_failed_member_that_is_too_small_is_named() {
    let mut disks = vm::disks(2, 40 * MIB);
    disks.push(vm::disk(20 * MIB));
    mdadm(&format!("--create /dev/md0 --run --assume-clean -z 10M --bitmap=none -l1 -n2 -x1 {}", disks.join(" "))).ok();
    write_pattern("/dev/md0", 0, 10 * MIB, 3);
    refused("--grow /dev/md0 --size=30M", &["No space left", &disks[2], "has room for"]);
    mdadm("--grow /dev/md0 --size=max").ok();
    vm::wait_sync("md0");
    let size: u64 = attr("md0", "component_size").parse().unwrap();
    assert!((17_000..20_480).contains(&size), "{size}");
    // The spare takes the place of a member, to the last block.
    write_pattern("/dev/md0", 0, size / 4 * 4096, 3);
    mdadm(&format!("/dev/md0 --fail {}", disks[0])).ok();
    vm::wait_until(std::time::Duration::from_secs(30), "the spare is taken", || attr("md0", "degraded") == "0");
    refused("--grow /dev/md0 --size=30M", &["No space left"]);
    mdadm(&format!("/dev/md0 --remove {}", disks[0])).ok();
    mdadm("--readonly /dev/md0").ok();
    refused("--grow /dev/md0 --size=5M", &["Read-only file system", "mdadm --readwrite /dev/md0"]);
    mdadm("--stop /dev/md0").ok();
    assert_eq!(vm::Members::open_all(&files(&disks[1..])).wrong_chunks(), [0; 0]);
}

/// A lockless array with a pattern, on random members so that parity that is not built is wrong.
fn lockless(level: &str, metadata: &str, members: usize, bytes: u64, size: &str) -> Vec<String> {
    let disks = vm::disks(members, bytes);
    for disk in &disks {
        sh(&format!("dd if=/dev/urandom of={disk} bs=1M seek=3 count=37 status=none"));
    }
    mdadm(&format!(
        "--create /dev/md0 --run -e {metadata} -l{level} -n{members} -z {size} --bitmap=lockless {}",
        disks.join(" ")
    ))
    .ok();
    write_pattern("/dev/md0", 4 * MIB, 8 * MIB, 7);
    vm::wait_sync("md0");
    disks
}

/// Bytes of the array, in whole blocks of a pattern.
fn array_size() -> u64 {
    sh("blockdev --getsize64 /dev/md0").trim().parse::<u64>().unwrap() / 4096 * 4096
}

fn bits(state: &str) -> u64 {
    let line = attr("md0", "llbitmap/bits");
    line.lines().find_map(|l| l.strip_prefix(state)?.strip_prefix(' ')).unwrap().parse().unwrap()
}

/// Past the bitmap's pages: mdadm 4.6 makes the kernel panic (docs/lockless.md).
fn grows_past_its_pages(level: &str, members: usize) {
    if vm::lockless_is_refused() {
        return;
    }
    let disks = lockless(level, "1.2", members, 260 * MIB, "100M");
    let at_end = if level == "1" { 112 * MIB } else { 232 * MIB };
    // mdadm 4.6 and ours fill the page behind the last state with 0xff, which is no state.
    let out = mdadm("--grow /dev/md0 --size=110M").ok();
    assert!(out.stderr.contains("taken off") && out.stderr.contains("has a lockless bitmap now"), "{out:?}");
    mdadm("--stop /dev/md0").ok();
    mdadm(&format!("--assemble /dev/md0 {}", disks.join(" "))).ok();
    // Within the pages of one with zeros there the bitmap stays, and what is new counts as unwritten.
    let out = mdadm("--grow /dev/md0 --size=120M").ok();
    assert!(!out.stderr.contains("taken off"), "{out:?}");
    assert_eq!(bits("unwritten"), 160, "{}", attr("md0", "llbitmap/bits"));
    write_pattern("/dev/md0", at_end, 8 * MIB, 8);
    vm::wait_sync("md0");
    let plan = mdadm("--grow /dev/md0 --size=max --plan").ok();
    assert!(plan.stdout.contains("take it off") && plan.stdout.contains("version 6"), "{plan:?}");
    assert_eq!(attr("md0", "component_size"), "122880");

    let out = mdadm("--grow /dev/md0 --size=max").ok();
    assert!(out.stderr.contains("taken off") && out.stderr.contains("has a lockless bitmap now"), "{out:?}");
    assert!(attr("md0", "bitmap_type").contains("[llbitmap]"));
    assert_eq!(attr("md0", "sync_action"), "idle");
    let far = array_size() - 8 * MIB;
    write_pattern("/dev/md0", far, 8 * MIB, 9);
    mdadm("--stop /dev/md0").ok();
    if level == "5" {
        // Copies of what was never written may differ on a raid1.
        assert_eq!(vm::Members::open(&files(&disks)).wrong_chunks(), [0; 0]);
    }
    mdadm(&format!("--assemble /dev/md0 {}", disks.join(" "))).ok();
    for (at, seed) in [(4 * MIB, 7), (at_end, 8), (far, 9)] {
        assert_eq!(verify_pattern("/dev/md0", at, 8 * MIB, seed), [0; 0], "at {at}");
    }
}

#[test]
fn a_raid1_grows_past_the_pages_of_its_lockless_bitmap() {
    grows_past_its_pages("1", 2);
}

#[test]
fn a_raid5_grows_past_the_pages_of_its_lockless_bitmap() {
    grows_past_its_pages("5", 3);
}

/// After shrinking, the bytes behind the last chunk are those of before: growing again must not believe them.
#[test]
fn a_lockless_array_that_shrank_grows_again_without_trusting_old_states() {
    if vm::lockless_is_refused() {
        return;
    }
    for metadata in ["1.2", "1.0"] {
        let disks = lockless("5", metadata, 3, 60 * MIB, "50M");
        write_pattern("/dev/md0", 80 * MIB, 4 * MIB, 9);
        vm::wait_sync("md0");
        mdadm("--grow /dev/md0 --size=20M").ok();
        // A member that is rebuilt has no parity of what was cut off.
        mdadm(&format!("/dev/md0 --fail {0} --remove {0}", disks[0])).ok();
        sh(&format!("head -c 60M /dev/urandom | dd of={} bs=1M status=none", disks[0]));
        mdadm(&format!("/dev/md0 --add {}", disks[0])).ok();
        vm::wait_sync("md0");
        let out = mdadm("--grow /dev/md0 --size=50M").ok();
        assert!(out.stderr.contains("taken off"), "{out:?}");
        assert_eq!(verify_pattern("/dev/md0", 4 * MIB, 8 * MIB, 7), [0; 0]);
        mdadm("--stop /dev/md0").ok();
        assert_eq!(vm::Members::open_all(&files(&disks)).wrong_chunks(), [0; 0]);
    }
}

/// Every change of level that the kernel makes at once, on data; `then` follows one another.
#[track_caller]
fn levels(create: &str, members: usize, then: &[&str], bytes: u64) {
    let disks = vm::disks(members, 20 * MIB);
    let spare = vm::disk(20 * MIB);
    mdadm(&format!("--create /dev/md0 --run --assume-clean {create} {}", disks.join(" "))).ok();
    write_pattern("/dev/md0", 0, bytes, 7);
    for change in then {
        let change = change.replace("SPARE", &spare);
        let plan = mdadm(&format!("--grow /dev/md0 {change} --plan")).ok();
        assert!(plan.stdout.contains("/level = "), "{change}: {plan:?}");
        let out = mdadm(&format!("--grow /dev/md0 {change}")).ok();
        assert!(out.stderr.contains("changed to raid"), "{change}: {out:?}");
        if attr("md0", "level") != "raid0" {
            vm::wait_sync("md0");
        }
        assert_eq!(verify_pattern("/dev/md0", 0, bytes, 7), [0; 0], "{create} {change}");
        // It is written down, and starts as it is now.
        let level = attr("md0", "level");
        let left = disks.iter().chain([&spare]).filter(|d| out.stderr.contains(&format!("zero-superblock {d}")));
        left.for_each(|d| {
            mdadm(&format!("--zero-superblock {d}")).ok();
        });
        mdadm("--stop /dev/md0").ok();
        let all = disks.iter().chain([&spare]).filter(|d| mdadm(&format!("--examine {d}")).status == 0);
        let all: Vec<&str> = all.map(String::as_str).collect();
        let out = mdadm(&format!("--assemble --run /dev/md0 {}", all.join(" ")));
        assert!(std::path::Path::new("/sys/block/md0/md/level").exists(), "{create} {change}: {out:?}");
        assert_eq!(attr("md0", "level"), level);
        assert_eq!(verify_pattern("/dev/md0", 0, bytes, 7), [0; 0], "{create} {change}, assembled");
    }
    mdadm("--stop /dev/md0").ok();
    disks.iter().chain([&spare]).for_each(|d| {
        mdadm(&format!("--zero-superblock {d}"));
    });
}

#[test]
fn levels_change_at_once_and_hold_the_data() {
    levels("-l1 -n2 -b internal", 2, &["-l5", "-l1", "-l0", "-l4 -a SPARE"], 16 * MIB);
    levels("-l10 -n4 -b none", 4, &["-l0"], 32 * MIB);
    levels("-l0 -n2", 2, &["-l4 -a SPARE", "-l5", "-l4", "-l0"], 32 * MIB);
    levels("-l5 -n3 -b internal", 3, &["-l6 --layout=preserve -a SPARE", "-l5"], 32 * MIB);
}

#[test]
fn a_level_that_would_lose_data_or_needs_a_reshape_is_refused_before_anything_is_done() {
    let disks = vm::disks(4, 20 * MIB);
    let all = |n: usize| disks[..n].join(" ");
    mdadm(&format!("--create /dev/md0 --run --assume-clean -l5 -n3 -b none -p parity-last {}", all(3))).ok();
    mdadm(&format!("/dev/md0 --fail {0} --remove {0}", disks[0])).ok();
    refused("--grow /dev/md0 --level=0", &["no member in sync in slot 0", "--add DEVICE"]);
    assert_eq!(attr("md0", "degraded"), "1");
    refused("--grow /dev/md0 --level=5 --layout=left-symmetric", &["/dev/md0 is degraded", "--add DEVICE"]);
    refused("--grow /dev/md0 --raid-devices=4", &["Need 1 spare to avoid degraded array"]);
    mdadm("--stop /dev/md0").ok();
    mdadm(&format!("--create /dev/md0 --run --assume-clean -l5 -n3 -b none {}", all(3))).ok();
    // All of each member is used, so data can move down only, and no further than to the superblock.
    refused("--grow /dev/md0 --chunk=1M --data-offset=8M", &["Cannot set new_offset", "there is room on"]);
    refused("--grow /dev/md0 --chunk=96K", &["power of 2"]);
    refused("--grow /dev/md0 --chunk=4M", &["not a multiple of chunksize 4096K", "--size="]);
    refused("--grow /dev/md0 --raid-devices=2", &["--array-size first"]);
    refused("--grow /dev/md0 --level=10", &["Impossible level change"]);
    assert_eq!((attr("md0", "sync_action").as_str(), attr("md0", "reshape_position").as_str()), ("idle", "none"));
    mdadm("--stop /dev/md0").ok();
    mdadm(&format!("--create /dev/md0 --run --assume-clean -l5 -n3 -k ppl {}", all(3))).ok();
    refused("--grow /dev/md0 --level=6 --layout=preserve --force", &["could not set level to raid6", "PPL"]);
    mdadm("--stop /dev/md0").ok();
    if vm::kernel_has("CONFIG_MD_LLBITMAP=y") {
        mdadm(&format!("--create /dev/md0 --run -l1 -n2 -b lockless {}", all(2))).ok();
        refused("--grow /dev/md0 --level=5", &["could not set level to raid5", "--bitmap=none"]);
        refused("--grow /dev/md0 --raid-devices=1 --force", &["failed to set raid disks", "2 members in its slots"]);
    }
}

/// A mirror more, with a lockless bitmap: what was never written is not copied, and nothing else is missed.
#[test]
fn a_raid1_gets_mirrors_and_loses_them_whatever_its_bitmap() {
    for bitmap in vm::bitmaps() {
        let disks = vm::disks(4, 20 * MIB);
        mdadm(&format!("--create /dev/md0 --run --assume-clean -l1 -n2 -b {bitmap} {} {}", disks[0], disks[1])).ok();
        write_pattern("/dev/md0", 2 * MIB, 8 * MIB, 7);
        let plan = mdadm(&format!("--grow /dev/md0 -n 4 -a {} -a {} --plan", disks[2], disks[3])).ok();
        assert!(plan.stdout.contains("raid_disks = 4") && plan.stdout.contains("ADD_NEW_DISK"), "{plan:?}");
        assert_eq!(attr("md0", "raid_disks"), "2");
        mdadm(&format!("--grow /dev/md0 -n 4 -a {} -a {}", disks[2], disks[3])).ok();
        vm::wait_sync("md0");
        assert_eq!((attr("md0", "raid_disks").as_str(), attr("md0", "degraded").as_str()), ("4", "0"));
        mdadm(&format!("/dev/md0 --fail {0} --remove {0} --fail {1} --remove {1}", disks[0], disks[1])).ok();
        mdadm("--grow /dev/md0 -n 2").ok();
        assert_eq!((attr("md0", "raid_disks").as_str(), attr("md0", "degraded").as_str()), ("2", "0"));
        assert_eq!(verify_pattern("/dev/md0", 2 * MIB, 8 * MIB, 7), [0; 0], "{bitmap}");
        mdadm("--stop /dev/md0").ok();
        mdadm(&format!("--assemble /dev/md0 {} {}", disks[2], disks[3])).ok();
        assert_eq!(verify_pattern("/dev/md0", 2 * MIB, 8 * MIB, 7), [0; 0], "{bitmap}, assembled");
        mdadm("--stop /dev/md0").ok();
    }
}

/// There is room for a PPL wherever 1 MiB is free, not only right behind the superblock.
#[test]
fn a_raid5_gets_a_ppl_and_loses_it_while_it_runs() {
    for metadata in ["1.2", "1.0"] {
        let disks = vm::disks(4, 40 * MIB);
        let size = if metadata == "1.0" { "-z 30M" } else { "--data-offset=4M" };
        mdadm(&format!(
            "--create /dev/md0 --run --assume-clean -e {metadata} {size} -l5 -n3 -x1 -b none {}",
            disks.join(" ")
        ))
        .ok();
        write_pattern("/dev/md0", 0, 8 * MIB, 7);
        if metadata == "1.0" {
            // Data may take all up to the log.
            refused("--grow /dev/md0 --consistency-policy=ppl", &["Not enough space to add ppl", "1024K"]);
            mdadm("--grow /dev/md0 --size=32M").ok();
            vm::wait_sync("md0");
        }
        mdadm("--grow /dev/md0 --consistency-policy=ppl").ok();
        assert_eq!(attr("md0", "consistency_policy"), "ppl");
        write_pattern("/dev/md0", 8 * MIB, 8 * MIB, 7);
        mdadm("--stop /dev/md0").ok();
        mdadm(&format!("--assemble /dev/md0 {}", disks.join(" "))).ok();
        assert_eq!(attr("md0", "consistency_policy"), "ppl");
        // The spare has its own.
        mdadm(&format!("/dev/md0 --fail {}", disks[0])).ok();
        vm::wait_until(std::time::Duration::from_secs(30), "the spare is taken", || attr("md0", "degraded") == "0");
        vm::wait_sync("md0");
        mdadm("--grow /dev/md0 --consistency-policy=resync").ok();
        assert_eq!(attr("md0", "consistency_policy"), "resync");
        assert_eq!(verify_pattern("/dev/md0", 0, 16 * MIB, 7), [0; 0]);
        mdadm("--stop /dev/md0").ok();
    }
}

/// Superblocks of a linear array are written while it runs only if somebody has the kernel do so.
#[test]
fn a_linear_array_gets_longer_and_all_superblocks_say_so_at_once() {
    let disks = vm::disks(4, 16 * MIB);
    sh("truncate -s 8K /mnt/small");
    let small = sh("losetup -f --show /mnt/small");
    for version in ["1.2", "1.0", "0.90"] {
        mdadm(&format!("--create /dev/md0 --run -l linear -n2 -e {version} {} {}", disks[0], disks[1])).ok();
        write_pattern("/dev/md0", 0, 24 * MIB, 7);
        for (change, words) in [
            (format!("--add {}", small.trim()), "not large enough"),
            (format!("--add {} --size=8M", disks[2]), "other geometry"),
            (format!("--add {}", disks[1]), "busy"),
            (format!("-n3 --add {}", disks[2]), "Only --add"),
        ] {
            let out = mdadm(&format!("--grow /dev/md0 {change}"));
            assert!(out.status != 0 && out.stderr.contains(words), "{change}: {out:?}");
        }
        let plan = mdadm(&format!("--grow /dev/md0 --add {} {} --plan", disks[2], disks[3])).ok();
        assert!(plan.stdout.contains("superblocks of all 4 members"), "{plan:?}");
        assert_eq!(attr("md0", "raid_disks"), "2");
        mdadm("--readonly /dev/md0").ok();
        let out = mdadm(&format!("--grow /dev/md0 --add {}", disks[2]));
        assert!(out.status != 0 && out.stderr.contains("--readwrite"), "{out:?}");
        mdadm("--readwrite /dev/md0").ok();
        assert!(mdadm(&format!("-E {}", disks[2])).stdout.is_empty());

        mdadm(&format!("--grow /dev/md0 --add {}", disks[2])).ok();
        write_pattern("/dev/md0", 34 * MIB, 8 * MIB, 9);
        let old = |n: usize| (disks[n].clone(), format!("/mnt/before{n}"));
        (0..3).map(old).for_each(|(disk, file)| drop(sh(&format!("cp {disk} {file}"))));
        mdadm(&format!("--grow /dev/md0 --add {}", disks[3])).ok();
        for disk in &disks {
            let seen = mdadm(&format!("-E {disk}")).ok();
            assert!(seen.stdout.contains("Raid Devices : 4"), "{version} {disk}: {seen:?}");
        }
        let size = sh("blockdev --getsize64 /dev/md0");
        mdadm("--stop /dev/md0").ok();
        // As after a power cut before the others were written. The kernel takes no 0.90 superblocks that differ in that.
        let cut = if version == "0.90" { 0 } else { 3 };
        (0..cut).map(old).for_each(|(disk, file)| drop(sh(&format!("dd if={file} of={disk} bs=1M conv=fsync"))));
        mdadm(&format!("--assemble /dev/md0 {}", disks.join(" "))).ok();
        assert_eq!(sh("blockdev --getsize64 /dev/md0"), size, "{version}");
        assert_eq!(verify_pattern("/dev/md0", 0, 24 * MIB, 7), [0; 0], "{version}");
        assert_eq!(verify_pattern("/dev/md0", 34 * MIB, 8 * MIB, 9), [0; 0], "{version}");
        mdadm("--stop /dev/md0").ok();
        mdadm(&format!("--zero-superblock {}", disks.join(" "))).ok();
    }
}

/// Writes of many sizes to its own quarter of the array, until told to stop: at the start of each piece, the last of which is given.
fn keep_writing(quarter: u64, size: u64, stop: &AtomicBool) -> Vec<(u64, u64, u64)> {
    const PIECE: u64 = 512 << 10;
    let pieces = size / 4 / PIECE;
    let mut last = vec![(0, 0, 0); pieces as usize];
    for n in 0.. {
        if stop.load(Ordering::Relaxed) && n >= pieces {
            break;
        }
        let random = vm::mix(quarter, n);
        let at = (quarter * pieces + n % pieces) * PIECE;
        // Whole pieces too: larger than a chunk, and than what raid4/5/6 take at once.
        let len = if random.is_multiple_of(4) { PIECE } else { (1 + random / 4 % 128) * 4096 };
        write_pattern("/dev/md0", at, len, random);
        last[(n % pieces) as usize] = (at, len, random);
    }
    last
}

#[test]
fn what_is_written_while_the_level_changes_is_there_afterwards() {
    vm::sync_speed(1_000_000, 2_000_000);
    let disks = vm::disks(4, 24 * MIB);
    for (create, members, change, end) in [
        ("-l0 -c64", 2, "-l5 -p parity-last -a +2", "raid5"),
        ("-l5 -c64 -z 16M -b none", 3, "-l0", "raid0"),
        ("-l5 -c64 -z 16M -b none", 3, "-l6 -n4 -a +3", "raid6"),
        ("-l10 -c64 -z 16M -b none", 4, "-l0", "raid0"),
        ("-l0 -c64", 2, "-l10 -a +2 -a +3", "raid10"),
    ] {
        let change = change.replace("+2", &disks[2]).replace("+3", &disks[3]);
        mdadm(&format!("--create /dev/md0 --run --assume-clean -n{members} {create} {}", disks[..members].join(" ")))
            .ok();
        let stop = AtomicBool::new(false);
        let written: Vec<(u64, u64, u64)> = std::thread::scope(|scope| {
            let stop = &stop;
            let writers: Vec<_> = (0..4).map(|q| scope.spawn(move || keep_writing(q, 24 * MIB, stop))).collect();
            std::thread::sleep(Duration::from_millis(300));
            mdadm(&format!("--grow /dev/md0 {change}")).ok();
            vm::wait_until(Duration::from_secs(100), "the level has changed", || attr("md0", "level") == end);
            std::thread::sleep(Duration::from_millis(100));
            stop.store(true, Ordering::Relaxed);
            writers.into_iter().flat_map(|w| w.join().unwrap()).collect()
        });
        if end != "raid0" {
            vm::wait_until(Duration::from_secs(100), "all is there", || attr("md0", "degraded") == "0");
            vm::wait_sync("md0");
        }
        for (at, len, seed) in written {
            assert_eq!(verify_pattern("/dev/md0", at, len, seed), [0; 0], "{create} {change}: at {at}, {len} bytes");
        }
        if end != "raid0" {
            vm::set_attr("md0", "sync_action", "check");
            vm::wait_sync("md0");
            assert_eq!(attr("md0", "mismatch_cnt"), "0", "{create} {change}");
        }
        vm::wait_until(Duration::from_secs(20), "it is stopped", || mdadm("--stop /dev/md0").status == 0);
        mdadm(&format!("--zero-superblock {}", disks.join(" ")));
    }
}
