//! `--build`: arrays without metadata, in the guest.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use vm::{MIB, attr, mdadm, sh, verify_pattern, write_pattern};

fn content(disks: &[String]) -> String {
    sh(&format!("sync; for d in {}; do blockdev --flushbufs $d; md5sum <$d; done", disks.join(" ")))
}

/// No array, and no name of one.
#[track_caller]
fn nothing_left() {
    assert_eq!(sh("ls -d /sys/block/md* 2>/dev/null || true"), "");
    assert_eq!(sh("cat /run/mdadm/map 2>/dev/null || true"), "");
    assert_eq!(sh("mkdir -p /dev/md; ls -A /dev/md; ls /dev/md[0-9]* 2>/dev/null || true"), "");
}

#[test]
fn what_is_on_the_members_stays_and_is_what_the_array_holds() {
    let disks = vm::disks(4, 16 * MIB);
    for (n, disk) in disks.iter().enumerate() {
        write_pattern(disk, 0, 16 * MIB, n as u64 / 2);
    }
    let before = content(&disks);
    for (words, members, mib) in [
        ("-llinear -n4", 0..4, 64),
        ("-l0 -n4", 0..4, 64),
        ("-l1 -n2 --assume-clean", 0..2, 16),
        ("-l1 -n3 --assume-clean missing", 0..2, 16),
        ("-l10 -n4 --assume-clean", 0..4, 32),
        ("-l10 -n2 --assume-clean --layout=f2", 2..4, 16),
    ] {
        let out = mdadm(&format!("--build /dev/md/x {words} {}", disks[members].join(" "))).ok();
        assert_eq!((out.stdout.as_str(), out.stderr.as_str()), ("", "mdadm: array /dev/md/x built and started.\n"));
        assert_eq!(attr("md127", "metadata_version"), "none");
        assert_eq!(sh("blockdev --getsize64 /dev/md/x").trim().parse::<u64>().unwrap(), mib * MIB, "{words}");
        if words.starts_with("-l1 ") {
            assert!(verify_pattern("/dev/md/x", 0, 16 * MIB, 0).is_empty());
        }
        mdadm("--stop /dev/md/x").ok();
        assert_eq!(content(&disks), before, "{words}");
        nothing_left();
    }
}

#[test]
fn a_mirror_without_assume_clean_copies_its_first_member() {
    let disks = vm::disks(2, 16 * MIB);
    write_pattern(&disks[0], 0, 16 * MIB, 5);
    write_pattern(&disks[1], 0, 16 * MIB, 6);
    mdadm(&format!("--build /dev/md0 -l1 -n2 {}", disks.join(" "))).ok();
    vm::wait_sync("md0");
    mdadm("--stop /dev/md0").ok();
    for disk in &disks {
        assert!(verify_pattern(disk, 0, 16 * MIB, 5).is_empty());
    }
}

#[test]
fn a_raid0_of_different_sizes_has_the_layout_that_was_given() {
    // An odd number of chunks in all before the smallest ends: else the two layouts are the same.
    const SIZE: u64 = 56 * MIB + 65536;
    let least = 16 * MIB + 65536;
    let (a, b, c) = (vm::disk(least), vm::disk(20 * MIB), vm::disk(20 * MIB));
    let build = |words: &str| mdadm(&format!("--build /dev/md0 -l0 -n3 {words} {a} {b} {c}"));
    let refused = build("");
    assert_eq!(refused.status, 1);
    assert!(refused.stderr.starts_with("mdadm: RUN_ARRAY failed: "), "{}", refused.stderr);
    assert!(refused.stderr.contains("--layout=original") && refused.stderr.contains("the kernel says: "));
    nothing_left();
    build("--layout=original").ok();
    assert_eq!(attr("md0", "layout"), "1");
    write_pattern("/dev/md0", 0, SIZE, 9);
    mdadm("--stop /dev/md0").ok();
    build("--layout=alternate").ok();
    assert_eq!(attr("md0", "layout"), "2");
    let moved = verify_pattern("/dev/md0", 0, SIZE, 9);
    assert!(moved.iter().all(|at| *at >= 3 * least) && !moved.is_empty(), "only what lies behind the smallest member");
    mdadm("--stop /dev/md0").ok();
    build("--layout=original").ok();
    assert!(verify_pattern("/dev/md0", 0, SIZE, 9).is_empty());
}

#[test]
fn a_size_past_what_the_ioctl_holds_is_passed_on() {
    let disks = vm::disks(2, 3 << 40);
    mdadm(&format!("--build /dev/md0 -l1 -n2 --assume-clean --size=2500G {}", disks.join(" "))).ok();
    assert_eq!(attr("md0", "component_size"), (2500u64 << 20).to_string());
}

#[test]
fn what_is_refused_leaves_nothing_and_says_why() {
    let disks = vm::disks(3, 16 * MIB);
    let (a, b, c) = (&disks[0], &disks[1], &disks[2]);
    write_pattern(a, 0, 16 * MIB, 1);
    let before = content(&disks);
    sh(&format!("mkfs.ext4 -q {c}; mkdir /mnt/c; mount {c} /mnt/c"));
    for (line, told) in [
        (
            format!("-l1 -n2 {a} {c}"),
            format!("Cannot open {c}: Device or resource busy\nmdadm: {c} is mounted on /mnt/c"),
        ),
        (format!("-l1 -n2 {a} {a}"), format!("{a} is listed twice.")),
        (format!("-l0 -n2 {a} missing"), "too many devices are missing: a raid0 array cannot start".into()),
        (format!("-lmultipath -n2 {a} {b}"), "has no raid level multipath".into()),
        (format!("-l1 -n2 -b internal {a} {b}"), "--build argument only compatible with --bitmap=none".into()),
    ] {
        let out = mdadm(&format!("--build /dev/md0 {line}"));
        assert_eq!((out.status, out.stdout.as_str()), (1, ""), "{line}");
        assert!(out.stderr.contains(&told), "{line}: {}", out.stderr);
        nothing_left();
    }
    sh("umount /mnt/c");
    assert_eq!(content(&disks[..2]), before.lines().take(2).map(|l| format!("{l}\n")).collect::<String>());
}

#[test]
fn plan_shows_every_step_and_touches_nothing() {
    let disks = vm::disks(2, 16 * MIB);
    let line = format!("--build /dev/md0 -l1 -n2 {} -W {}", disks[0], disks[1]);
    let plan = mdadm(&format!("{line} --plan")).ok().stdout;
    assert_eq!(plan.lines().filter(|l| l.contains("ADD_NEW_DISK")).count(), 2, "{plan}");
    assert!(!plan.contains("write "), "{plan}");
    let json: serde_json::Value = serde_json::from_str(&mdadm(&format!("{line} --plan --json")).ok().stdout).unwrap();
    assert_eq!(json[0]["steps"][1]["raid_disks"], 2);
    nothing_left();
}

#[test]
fn a_member_with_metadata_is_told_of() {
    let disks = vm::disks(2, 16 * MIB);
    vm::reference(&format!("--create /dev/md1 -q --run -b none --assume-clean -l1 -n2 {}", disks.join(" "))).ok();
    vm::reference("--stop /dev/md1").ok();
    let before = content(&disks);
    let out = mdadm(&format!("--build /dev/md0 -l1 -n2 --assume-clean {}", disks.join(" "))).ok();
    for disk in &disks {
        assert!(out.stderr.contains(&format!("note: {disk} holds ")), "{}", out.stderr);
    }
    mdadm("--stop /dev/md0").ok();
    assert_eq!(content(&disks), before);
}

#[test]
fn a_device_that_is_added_is_filled_and_one_that_is_too_small_is_refused() {
    let disks = vm::disks(3, 16 * MIB);
    let small = vm::disk(15 * MIB);
    write_pattern(&disks[0], 0, 16 * MIB, 4);
    mdadm(&format!("--build /dev/md0 -l1 -n2 {} missing", disks[0])).ok();
    let before = content(&disks[1..2]);
    let refused = mdadm(&format!("/dev/md0 --add {small}"));
    assert_eq!(refused.status, 1);
    assert!(
        refused.stderr.starts_with(&format!("mdadm: {small} not large enough to join array\n")),
        "{}",
        refused.stderr
    );
    let plan = mdadm(&format!("/dev/md0 --plan --add {}", disks[1])).ok().stdout;
    assert!(plan.contains("ADD_NEW_DISK") && !plan.contains("write "), "{plan}");
    assert_eq!(content(&disks[1..2]), before);
    let added = mdadm(&format!("/dev/md0 --add {}", disks[1])).ok();
    assert_eq!(added.stderr, format!("mdadm: added {}\n", disks[1]));
    vm::wait_sync("md0");
    mdadm(&format!("/dev/md0 --add-spare {}", disks[2])).ok();
    vm::wait_sync("md0");
    assert_eq!(attr("md0", "degraded"), "0");
    mdadm("--stop /dev/md0").ok();
    assert!(verify_pattern(&disks[1], 0, 16 * MIB, 4).is_empty());
    mdadm(&format!("--build /dev/md0 -l0 -n2 {} {}", disks[0], disks[1])).ok();
    assert!(mdadm(&format!("/dev/md0 --add {}", disks[2])).stderr.contains("takes no further members"));
}
