//! `--examine`, `--query`, `--examine-badblocks` and `--zero-superblock` on real arrays: every byte, status and message as the
//! reference has them in the same guest.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use std::fs;
use std::time::Duration;

use vm::{MIB, Output, mdadm, reference, sh};

/// Both answers; asked again where the array changed between the two.
fn both(line: &str) -> (Output, Output) {
    for _ in 0..5 {
        let before = reference(line);
        let ours = mdadm(line);
        if reference(line) == before {
            return (ours, before);
        }
    }
    panic!("the answer to {line} changes all the time");
}

#[track_caller]
fn same(line: &str) {
    let (ours, theirs) = both(line);
    assert_eq!(ours, theirs, "{line}: ours, then the reference's");
}

/// Every question about these members, and the scans.
#[track_caller]
fn same_members(members: &[String]) {
    let all = members.join(" ");
    for question in ["-E", "-E --brief", "-Eb -v", "-E --export", "-Q", "--examine-badblocks"] {
        same(&format!("{question} {all}"));
    }
    for question in ["-E --scan", "-Es -v", "--examine --scan --config=partitions"] {
        same(question);
    }
}

fn create(args: &str) {
    sh("hostname myhost");
    vm::reference(&format!("--create /dev/md0 --run --quiet {args}")).ok();
}

fn stop(disks: &[String]) {
    reference("--stop /dev/md0").ok();
    reference(&format!("--zero-superblock {}", disks.join(" ")));
}

#[test]
fn members_of_running_degraded_and_stopped_arrays_are_shown_as_by_the_reference() {
    let disks = vm::disks(4, 40 * MIB);
    let [a, b, c, d] = &disks[..] else { panic!() };
    for args in [
        format!("-l0 -n2 {a} {b}"),
        format!("-llinear -n2 {a} {b}"),
        format!("-l1 -n2 -x1 --assume-clean --bitmap=internal --metadata=1.0 {a} {b} {c}"),
        format!("-l5 -n3 --bitmap=none --metadata=1.1 --name=other {a} {b} {c}"),
        format!("-l6 -n4 --assume-clean --bitmap=internal {a} {b} {c} {d}"),
        format!("-l10 -n4 --layout=f2 --assume-clean --bitmap=none --homehost=other {a} {b} {c} {d}"),
    ] {
        create(&args);
        let redundant = !args.starts_with("-l0") && !args.starts_with("-llinear");
        if redundant {
            vm::wait_sync("md0");
        }
        same_members(&disks);
        same("-Q /dev/md0");
        same("/dev/md0");
        if redundant {
            reference(&format!("/dev/md0 --fail {b}")).ok();
            same_members(&disks);
            reference(&format!("/dev/md0 --remove {b}"));
            same_members(&disks);
            same("-Q /dev/md0");
        }
        reference("--stop /dev/md0").ok();
        same_members(&disks);
        stop_quietly(&disks);
    }
}

fn stop_quietly(disks: &[String]) {
    reference(&format!("--zero-superblock {}", disks.join(" ")));
}

#[test]
fn bad_blocks_of_sysfs_and_of_a_rebuild_over_an_unreadable_region_are_listed_as_by_the_reference() {
    let disks = vm::disks(3, 40 * MIB);
    let [a, b, c] = &disks[..] else { panic!() };
    create(&format!("-l1 -n2 --assume-clean --bitmap=none {a} {b}"));
    let name = a.trim_start_matches("/dev/");
    for (attr, value) in [("bad_blocks", "100 8"), ("bad_blocks", "4000 600"), ("unacknowledged_bad_blocks", "9000 1")]
    {
        sh(&format!("echo {value} > /sys/block/md0/md/dev-{name}/{attr}"));
    }
    // Acknowledged with the next write of the superblock, which a write to the array brings about.
    sh("dd if=/dev/zero of=/dev/md0 bs=4k count=1 oflag=direct");
    let listed = || mdadm(&format!("--examine-badblocks {a}")).ok().stdout;
    vm::wait_until(Duration::from_secs(10), "the log to be written", || listed().contains("9000 for 1 sectors"));
    same(&format!("--examine-badblocks {a} {b} {c} /dev/md0"));
    same_members(&disks);
    stop(&disks);

    // The rebuild cannot read 8 KiB of the only source, so it records them on the new member.
    sh(&format!(
        "dmsetup create src --table '0 40000 linear {a} 0
40000 16 error
40016 41904 linear {a} 40016'; dmsetup mknodes"
    ));
    let src = "/dev/mapper/src".to_string();
    create(&format!("-l1 -n2 --bitmap=none {src} missing"));
    reference(&format!("/dev/md0 --add {c}")).ok();
    vm::wait_sync("md0");
    let listed = || mdadm(&format!("--examine-badblocks {c}")).ok().stdout;
    vm::wait_until(Duration::from_secs(10), "the log to be written", || listed().contains(" sectors\n"));
    same(&format!("--examine-badblocks {c} {src}"));
    let object: serde_json::Value =
        serde_json::from_str(&mdadm(&format!("--examine-badblocks --json {c}")).ok().stdout).unwrap();
    assert!(object[0]["bad_blocks"][0]["length_sectors"].as_u64().unwrap() >= 8, "{object}");
    reference("--stop /dev/md0").ok();
}

#[test]
fn a_lockless_bitmap_adds_its_lines_and_counts_what_the_kernel_counts() {
    if vm::lockless_is_refused() {
        return;
    }
    let disks = vm::disks(3, 40 * MIB);
    let [a, b, c] = &disks[..] else { panic!() };
    for args in [format!("-l1 -n2 {a} {b}"), format!("-l5 -n3 --assume-clean {a} {b} {c}")] {
        create(&format!("--bitmap=lockless {args}"));
        sh("dd if=/dev/urandom of=/dev/md0 bs=64k count=3 oflag=direct");
        reference("--stop /dev/md0").ok();
        let (ours, theirs) = both(&format!("-E {a}"));
        let ours_only = ours.stdout.strip_prefix(&theirs.stdout);
        let ours_only = ours_only.unwrap_or_else(|| panic!("{}\n{}", ours.stdout, theirs.stdout));
        let keys: Vec<&str> = ours_only.lines().map(|l| l.split(" : ").next().unwrap().trim()).collect();
        assert_eq!(keys, ["Bitmap Type", "Bitmap Chunk", "Bitmap Chunks", "Bitmap States"]);
        let (ours, theirs) = both(&format!("-E --export {a}"));
        assert_eq!(ours.stdout, theirs.stdout + "MD_BITMAP_TYPE=lockless\n");
        same(&format!("-E --brief {a} {b}"));
        assert!(mdadm(&format!("-E -v {a}")).ok().stdout.contains("  Oldest Kernel : 6.19 ("));

        let object: serde_json::Value = serde_json::from_str(&mdadm(&format!("-E --json {a}")).ok().stdout).unwrap();
        let bitmap = &object[0]["bitmap"];
        assert_eq!((&bitmap["version"], &bitmap["type"]), (&6.into(), &"lockless".into()));
        let states: u64 = bitmap["states"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
        assert_eq!(Some(states), bitmap["chunks"].as_u64());
        let member = bitmap["states"]["clean"].as_u64();
        reference(&format!(
            "--assemble --quiet /dev/md0 {}",
            if args.contains("-l5") { format!("{a} {b} {c}") } else { format!("{a} {b}") }
        ))
        .ok();
        let bits = vm::attr("md0", "llbitmap/bits");
        let kernel = bits.lines().find_map(|l| l.strip_prefix("clean ").or(l.strip_prefix("clean: ")));
        let kernel = kernel.and_then(|n| n.split_whitespace().next()?.parse::<u64>().ok());
        assert_eq!(kernel, member, "{bits}");
        stop(&disks);
    }
}

#[test]
fn a_device_with_a_partition_table_or_4_kib_blocks_is_shown_as_by_the_reference() {
    let mut disks =
        vec![vm::disk_with_blocks(40 * MIB, 4096), vm::disk_with_blocks(40 * MIB, 4096), vm::disk(40 * MIB)];
    sh(&format!("printf '\\x55\\xaa' | dd of={} bs=1 seek=510 conv=notrunc", disks[2]));
    same(&format!("-E {}", disks[2]));
    same(&format!("-Q {}", disks[2]));
    for version in ["1.0", "1.1", "1.2"] {
        create(&format!("-l1 -n2 --metadata={version} --bitmap=internal {} {}", disks[0], disks[1]));
        same_members(&disks);
        reference("--stop /dev/md0").ok();
        same_members(&disks);
        // What ours zeroes and what the reference zeroes on the other member leaves the same behind.
        mdadm(&format!("--zero-superblock {}", disks[0])).ok();
        reference(&format!("--zero-superblock {}", disks[1])).ok();
        let [a, b] = [0, 1].map(|n| fs::read(&disks[n]).unwrap());
        let differ = a.iter().zip(&b).filter(|(a, b)| a != b).count();
        assert_eq!(differ, 0, "{version}");
        same_members(&disks);
    }
    disks.clear();
}

#[test]
fn a_member_in_use_is_not_zeroed_and_what_holds_it_is_named() {
    let disks = vm::disks(3, 40 * MIB);
    let [a, b, c] = &disks[..] else { panic!() };
    create(&format!("-l1 -n2 --assume-clean --bitmap=none {a} {b}"));
    let before = fs::read(a).unwrap();
    for plan in ["", " --plan"] {
        let out = mdadm(&format!("--zero-superblock{plan} {a}"));
        let theirs = reference(&format!("--zero-superblock {a}"));
        assert_eq!((out.status, out.stdout.as_str()), (theirs.status, ""));
        assert!(out.stderr.starts_with(&theirs.stderr), "{}", out.stderr);
        assert!(out.stderr.contains("is a member of /dev/md0"), "{}", out.stderr);
    }
    assert!(before[4096..8192] == fs::read(a).unwrap()[4096..8192]);
    let (ours, theirs) = both(&format!("--zero-superblock {c} /dev/nope"));
    assert_eq!((ours.status, ours.stdout.as_str()), (theirs.status, ""));
    assert_eq!(ours.stderr, theirs.stderr + "mdadm: /dev/nope: No such file or directory\n");
    reference("--stop /dev/md0").ok();
    let plan = mdadm(&format!("--zero-superblock --plan --saved-metadata=none {a}")).ok().stdout;
    assert_eq!(plan, format!("write  {a} bytes 4096..4608: zero the superblock, metadata 1.2\nsync   {a}\n"));
    mdadm(&format!("-E {a}")).ok();
    mdadm(&format!("--zero-superblock {a}")).ok();
    assert_eq!(mdadm(&format!("-E {a}")).status, 1);
}

#[test]
fn an_md_device_without_an_array_is_said_to_be_one() {
    sh("modprobe md_mod || true; mknod /dev/md77 b 9 77");
    let out = mdadm("-Q /dev/md77");
    assert_eq!((out.status, out.stdout.as_str()), (0, "/dev/md77: is an md device which is not active\n"), "{out:?}");
}

#[test]
fn where_a_superblock_cannot_be_read_every_command_says_so_and_writes_nothing() {
    let disk = vm::disk(8 * MIB);
    let rest = 8 * MIB / 512 - 16;
    sh(&format!(
        "export DM_DISABLE_UDEV=1
         printf '0 8 linear {disk} 0\n8 8 error\n16 {rest} linear {disk} 16\n' | dmsetup create unreadable"
    ));
    let before = sh(&format!("sha256sum <{disk}"));
    for verb in [
        "-E",
        "-E -e 1.2",
        "-X",
        "-A /dev/md0",
        "--zero-superblock",
        "--zero-superblock --quiet",
        "--examine-badblocks",
    ] {
        let out = mdadm(&format!("{verb} /dev/mapper/unreadable"));
        assert_eq!(out.status, 1, "{verb}: {out:?}");
        assert!(
            out.stderr.contains("Input/output error") && !out.stderr.contains("os error"),
            "{verb}: {}",
            out.stderr
        );
    }
    assert_eq!(sh(&format!("sha256sum <{disk}")), before);
    sh("DM_DISABLE_UDEV=1 dmsetup remove unreadable");
}
