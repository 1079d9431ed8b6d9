//! `--assemble --update=bitmap=`: the bitmap of a stopped array becomes another, also after a power cut, without loss.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use std::path::PathBuf;

use vm::{MIB, attr, mdadm, sh, verify_pattern, write_pattern};

const DATA: u64 = 12 * MIB;

/// The files behind the disks.
fn files(disks: &[String]) -> Vec<PathBuf> {
    disks.iter().map(|d| PathBuf::from(sh(&format!("losetup -n -O BACK-FILE {d}")).trim())).collect()
}

/// A power cut: the members are as they were while the array was being written to.
fn cut_while_written(disks: &[String]) {
    write_pattern("/dev/md0", DATA, MIB, 9);
    for (n, disk) in disks.iter().enumerate() {
        sh(&format!("dd if={disk} of=/mnt/cut{n} bs=1M iflag=direct status=none"));
    }
    mdadm("--stop /dev/md0").ok();
    for (n, disk) in disks.iter().enumerate() {
        sh(&format!("dd if=/mnt/cut{n} of={disk} bs=1M oflag=direct status=none"));
    }
}

/// From one bitmap to another.
const CHANGES: [(&str, &str); 6] = [
    ("lockless", "internal"),
    ("lockless", "none"),
    ("internal", "lockless"),
    ("none", "lockless"),
    ("internal", "none"),
    ("lockless", "lockless"),
];

/// The changes on a level; `cut`: after a power cut.
fn convert(level: &str, count: usize, cut: bool, changes: &[(&str, &str)]) {
    for (from, to) in changes {
        let disks = vm::disks(count, 24 * MIB);
        // Members whose parity is not right by itself; copies that were never written may differ.
        if level == "5" || level == "6" {
            disks.iter().for_each(|d| drop(sh(&format!("dd if=/dev/urandom of={d} bs=1M count=24 status=none"))));
        }
        let all = disks.join(" ");
        mdadm(&format!(
                "--create /dev/md0 --run --force --level={level} --raid-devices={count} --bitmap={from} --saved-metadata=none {all}"
            ))
            .ok();
        write_pattern("/dev/md0", 0, DATA, 7);
        vm::wait_sync("md0");
        if cut {
            cut_while_written(&disks);
        } else {
            mdadm("--stop /dev/md0").ok();
        }
        let how = format!("level {level} from {from} to {to}, cut: {cut}");
        let out = mdadm(&format!("--assemble /dev/md0 --update=bitmap={to} --saved-metadata=none {all}"));
        assert_eq!(out.status, 0, "{how}: {out:?}");
        assert!(out.stderr.contains(&format!("the bitmap becomes {to}; ")), "{how}: {out:?}");
        let chosen = match *to {
            "none" => "[none]",
            "internal" => "[bitmap]",
            _ => "[llbitmap]",
        };
        assert!(attr("md0", "bitmap_type").contains(chosen), "{how}");
        vm::wait_sync("md0");
        assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0], "{how}");
        mdadm("--stop /dev/md0").ok();
        let files = files(&disks);
        let members = if *to == "lockless" { vm::Members::open(&files) } else { vm::Members::open_all(&files) };
        assert_eq!(members.wrong_chunks(), [0; 0], "{how}");
        if *to == "lockless" {
            let component = if level == "10" { 2 } else { 1 };
            let written = DATA / (count as u64 - u64::from(level == "5")).max(1) / (64 << 10);
            assert!(members.written_chunks() as u64 >= written * component / 4, "{how}: {}", members.written_chunks());
        }
        disks.iter().for_each(|d| drop(sh(&format!("f=$(losetup -n -O BACK-FILE {d}); losetup -d {d}; rm -f $f"))));
    }
}

fn no_lockless() -> bool {
    vm::lockless_is_refused()
}

#[test]
fn the_bitmap_of_a_raid1_becomes_another_after_a_power_cut() {
    if !no_lockless() {
        convert("1", 2, true, &CHANGES);
    }
}

#[test]
fn the_bitmap_of_a_raid10_becomes_another_after_a_power_cut() {
    if !no_lockless() {
        convert("10", 4, true, &CHANGES);
    }
}

#[test]
fn the_bitmap_of_a_raid5_becomes_another_after_a_power_cut() {
    if !no_lockless() {
        convert("5", 3, true, &CHANGES[..4]);
    }
}

#[test]
fn the_bitmap_of_a_raid6_becomes_another_after_a_power_cut() {
    if !no_lockless() {
        convert("6", 4, true, &CHANGES[..3]);
    }
}

#[test]
fn the_bitmap_of_a_raid5_that_was_stopped_becomes_another() {
    if !no_lockless() {
        convert("5", 3, false, &CHANGES[..3]);
    }
}

/// What a set bit covers needs a resync, what none covers is clean, and nothing is unwritten.
#[test]
fn set_bits_become_chunks_that_need_sync_and_back() {
    if no_lockless() {
        return;
    }
    let disks = vm::disks(2, 24 * MIB);
    let all = disks.join(" ");
    mdadm(&format!(
        "--create /dev/md0 --run --assume-clean --level=1 --raid-devices=2 --bitmap=internal --bitmap-chunk=1M {all}"
    ))
    .ok();
    mdadm("--stop /dev/md0").ok();
    // The kernel clears the bits at a clean stop: set those of chunks 3 and 9 again, on both members.
    for disk in &disks {
        sh(&format!("printf '\\x08\\x02' | dd of={disk} bs=1 seek=$((8192 + 256)) conv=notrunc status=none"));
    }
    vm::sync_speed(1, 1);
    let out = mdadm(&format!("--assemble /dev/md0 --update=bitmap=lockless {all}")).ok();
    assert!(out.stderr.contains("the bitmap becomes lockless; 2 MiB are resynced"), "{out:?}");
    let bits = attr("md0", "llbitmap/bits");
    let number = |state: &str| {
        let line = bits.lines().find(|l| l.starts_with(state)).unwrap();
        line.trim_start_matches(state).trim().parse::<u64>().unwrap()
    };
    assert_eq!(number("unwritten "), 0, "{bits}");
    // 2 MiB of 64 KiB each; some may be synced by now. Clean ones beside them count as dirty for a while.
    assert!(number("need sync ") + number("syncing ") <= 32, "{bits}");
    assert!(number("clean ") + number("dirty ") >= 368 - 32, "{bits}");
    vm::wait_sync("md0");
    mdadm("--stop /dev/md0").ok();

    // A bitmap that is out of date is in doubt as a whole.
    sh(&format!("printf '\\x00' | dd of={} bs=1 seek=$((4096 + 12288 + 24)) conv=notrunc status=none", disks[0]));
    let out = mdadm(&format!("--assemble /dev/md0 --update=bitmap=internal {all}")).ok();
    assert!(out.stderr.contains("the bitmap becomes internal; "), "{out:?}");
    mdadm("--stop /dev/md0").ok();
}

#[test]
fn what_cannot_be_converted_is_refused_before_anything_is_written() {
    if no_lockless() {
        return;
    }
    let disks = vm::disks(3, 24 * MIB);
    let refused = |array: &str, words: &str, why: &str| {
        mdadm(&format!("--create /dev/md0 --run --saved-metadata=none {array}")).ok();
        mdadm("--stop /dev/md0").ok();
        let sum = || sh(&format!("cat {} | md5sum", disks.join(" ")));
        let before = sum();
        let out = mdadm(&format!("--assemble /dev/md0 {words}"));
        assert_eq!(out.status, 1, "{out:?}");
        assert!(out.stderr.contains(why), "{why}: {out:?}");
        assert_eq!(sum(), before, "{why}");
    };
    let (two, three) = (disks[..2].join(" "), disks.join(" "));
    refused(&format!("-l0 -n2 {two}"), &format!("--update=bitmap=lockless {two}"), "not meaningful with its level");
    refused(
        &format!("-e 0.90 -l1 -n2 --assume-clean {two}"),
        &format!("--update=bitmap=lockless {two}"),
        "takes metadata 1.x",
    );
    refused(&format!("-l5 -n3 -k ppl {three}"), &format!("--update=bitmap=lockless {three}"), "partial parity log");
    refused(
        &format!("-l5 -n3 --force --bitmap=lockless {three}"),
        &format!("--run --update=bitmap=internal {two}"),
        "members are missing",
    );
}

/// Superblocks of version 6 that the kernel would misread or not start are named, and the array goes on without that bitmap.
#[test]
fn a_lockless_bitmap_that_contradicts_itself_is_named_and_can_be_given_up() {
    if no_lockless() {
        return;
    }
    let disks = vm::disks(2, 24 * MIB);
    let all = disks.join(" ");
    // State, period, uuid of the bitmap, 4 KiB behind the superblock.
    for (at, byte, why, way) in [
        (48, "\\x08", "never used", "none"),
        (56, "\\x00", "a period of 0", "lockless"),
        (8, "\\x5a", "of another array", "internal"),
    ] {
        mdadm(&format!("--create /dev/md0 --run --assume-clean --saved-metadata=none -l1 -n2 --bitmap=lockless {all}"))
            .ok();
        write_pattern("/dev/md0", 0, DATA, 7);
        mdadm("--stop /dev/md0").ok();
        for disk in &disks {
            sh(&format!("printf '{byte}' | dd of={disk} bs=1 seek=$((8192 + {at})) conv=notrunc status=none"));
        }
        let out = mdadm(&format!("--assemble /dev/md0 {all}"));
        assert!(out.status == 1 && out.stderr.contains(why), "{out:?}");
        assert!(out.stderr.contains("--update=bitmap=none"), "{out:?}");
        mdadm(&format!("--assemble /dev/md0 --update=bitmap={way} {all}")).ok();
        vm::wait_sync("md0");
        assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0], "{why}");
        if way == "lockless" {
            assert!(attr("md0", "llbitmap/bits").starts_with("unwritten 0\n"), "{}", attr("md0", "llbitmap/bits"));
        }
        mdadm("--stop /dev/md0").ok();
    }
}

/// Members that were made for another machine, and no array that could tell what this kernel can.
#[test]
fn a_plan_knows_without_any_array_whether_the_kernel_has_lockless_bitmaps() {
    let able = vm::kernel_has("CONFIG_MD_LLBITMAP=y");
    let disks = vm::disks(2, 16 * MIB);
    let create = format!("-l1 -n2 --bitmap=lockless --saved-metadata=none {}", disks.join(" "));
    let all = format!("/dev/md0 {}", disks.join(" "));
    let arrays = || sh("ls /sys/block | grep ^md || true");
    let ends = |line: &str| {
        let out = mdadm(line);
        assert_eq!(out.status, i32::from(!able), "{line}: {out:?}");
        assert!(able || out.stderr.contains("takes Linux 6.18 or later"), "{line}: {out:?}");
        assert!(!line.contains("--plan") || arrays().is_empty(), "{line}: {}", arrays());
    };
    ends(&format!("--create /dev/md0 --run --plan {create}"));
    mdadm(&format!("--create /dev/md0 --run --offline {create}")).ok();
    ends(&format!("--assemble --plan {all}"));
    ends(&format!("--assemble {all}"));
    if able {
        mdadm("--stop /dev/md0").ok();
    } else {
        assert_eq!(arrays(), "");
    }
    // The way on works on both.
    mdadm(&format!("--assemble --plan --update=bitmap=internal {all}")).ok();
    mdadm(&format!("--assemble --update=bitmap=internal {all}")).ok();
    assert!(attr("md0", "bitmap/location").starts_with('+'));
    mdadm("--stop /dev/md0").ok();
}

#[test]
fn an_empty_bad_block_log_in_the_way_of_a_lockless_bitmap_goes_and_the_data_stays() {
    if no_lockless() {
        return;
    }
    let disks = vm::disks(2, 24 * MIB);
    let all = disks.join(" ");
    let log = || mdadm(&format!("-E {}", disks[0])).ok().stdout.contains("Bad Block Log");
    // Behind a superblock at 4 KiB there are 12 KiB, the log in the middle of them; or 20.
    for (data_offset, kept) in [("16K", false), ("24K", true)] {
        vm::reference(&format!(
            "--create /dev/md0 --run --assume-clean --bitmap=none --data-offset={data_offset} -l1 -n2 {all}"
        ))
        .ok();
        assert!(log());
        write_pattern("/dev/md0", 0, DATA, 7);
        let out = mdadm("--grow /dev/md0 --bitmap=lockless");
        assert_eq!(out.status, i32::from(!kept), "{out:?}");
        assert!(kept || out.stderr.contains("--update=bitmap=lockless"), "{out:?}");
        mdadm("--stop /dev/md0").ok();
        if !kept {
            mdadm(&format!("--assemble /dev/md0 --update=bitmap=lockless --saved-metadata=none {all}")).ok();
            mdadm("--stop /dev/md0").ok();
        }
        mdadm(&format!("--assemble /dev/md0 {all}")).ok();
        assert!(attr("md0", "llbitmap/bits").starts_with("unwritten 0\n"));
        assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);
        mdadm("--stop /dev/md0").ok();
        assert_eq!(log(), kept, "{data_offset}");
        mdadm(&format!("--zero-superblock --saved-metadata=none {all}")).ok();
    }
}
