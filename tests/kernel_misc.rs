//! Misc mode on arrays and members, in the guest, beside the reference.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use vm::{MIB, attr, mdadm, mdstat, sh};

fn create(words: &str) {
    vm::reference(&format!("--create /dev/md0 -q --run --assume-clean {words}")).ok();
}

/// Status and stdout as the reference; its lines on stderr come first. Gives what is said behind them.
#[track_caller]
fn more_than_the_reference(line: &str) -> String {
    let (want, got) = (vm::reference(line), mdadm(line));
    assert_eq!((got.status, &got.stdout), (want.status, &want.stdout), "{line}: {} and {}", got.stderr, want.stderr);
    let theirs: String =
        want.stderr.lines().filter(|l| !l.contains("failed to write")).map(|l| format!("{l}\n")).collect();
    assert!(got.stderr.starts_with(&theirs), "{line}: {} and {}", got.stderr, want.stderr);
    got.stderr[theirs.len()..].to_owned()
}

#[test]
fn an_array_is_checked_and_repaired_and_what_it_cannot_do_is_said() {
    let disks = vm::disks(3, 64 * MIB);
    create(&format!("-l1 -n2 -b none {} {}", disks[0], disks[1]));
    // One sector of one copy differs.
    sh(&format!(
        "dd if=/dev/urandom of={} bs=512 count=1 seek=8192 conv=notrunc,fsync oflag=direct status=none",
        disks[1]
    ));
    mdadm("--action=check /dev/md0").ok();
    vm::wait_sync("md0");
    assert_eq!((attr("md0", "last_sync_action").as_str(), attr("md0", "mismatch_cnt") != "0"), ("check", true));
    mdadm("--action=repair /dev/md0").ok();
    vm::wait_sync("md0");
    mdadm("--action=check /dev/md0").ok();
    vm::wait_sync("md0");
    assert_eq!(attr("md0", "mismatch_cnt"), "0");

    vm::sync_speed(1, 1);
    let plan = mdadm("--action=check --plan /dev/md0").ok();
    assert_eq!(
        (plan.stdout.as_str(), attr("md0", "sync_action").as_str()),
        ("sysfs  md0/md/sync_action = check\n", "idle")
    );
    let json = mdadm("--action=check --plan --json /dev/md0").ok().stdout;
    assert!(json.contains("\"value\": \"check\""), "{json}");
    mdadm("--action=check /dev/md0").ok();
    assert_eq!(attr("md0", "sync_action"), "check");
    let why = more_than_the_reference("--action=repair /dev/md0");
    assert!(why.contains("a check of /dev/md0 runs") && why.contains("--action=idle /dev/md0"), "{why}");
    mdadm("--action=frozen /dev/md0").ok();
    assert_eq!(attr("md0", "sync_action"), "frozen");
    mdadm("--action=idle /dev/md0").ok();
    assert_eq!(attr("md0", "sync_action"), "idle");

    // The reference says nothing and the kernel does nothing.
    mdadm("--readonly /dev/md0").ok();
    let out = mdadm("--action=check /dev/md0");
    assert_eq!(out.status, 1);
    assert!(
        out.stderr.contains("Read-only file system") && out.stderr.contains("--readwrite /dev/md0"),
        "{}",
        out.stderr
    );
    mdadm("--action=frozen /dev/md0").ok();
    mdadm("--action=idle /dev/md0").ok();
    mdadm("--stop /dev/md0").ok();

    create(&format!("-l0 -n2 {} {}", disks[0], disks[1]));
    let why = more_than_the_reference("--action=check /dev/md0");
    assert!(why.contains("is a raid0: it has no redundancy"), "{why}");
    let why = more_than_the_reference(&format!("--action=idle {} /dev/md0", disks[2]));
    assert!(why.contains("is a raid0"), "{why}");
    mdadm("--stop /dev/md0").ok();

    create(&format!("-l5 -n3 -b none {}", disks.join(" ")));
    mdadm("--stop /dev/md0").ok();
    vm::reference(&format!("-I {}", disks[0])).ok();
    let name = mdstat().lines().find_map(|l| Some(l.split_once(" : inactive")?.0.to_owned())).unwrap();
    let out = mdadm(&format!("--action=check /dev/{name}"));
    assert_eq!((out.status, out.stderr.contains("does not run")), (1, true), "{}", out.stderr);
    assert_eq!(vm::reference(&format!("--action=check /dev/{name}")).status, 1);
}

/// The first and the last 256 KiB of a disk: all metadata lies there.
fn ends(disk: &str) -> String {
    sh(&format!(
        "for skip in 0 $(($(blockdev --getsize64 {disk}) / 262144 - 1)); do dd if={disk} bs=256k count=1 skip=$skip iflag=direct status=none; done | sha256sum"
    ))
}

#[test]
fn a_dump_brings_all_metadata_back_and_goes_to_its_own_device_only() {
    let disks = vm::disks(3, 64 * MIB);
    let (a, b, c) = (&disks[0], &disks[1], &disks[2]);
    sh(&format!(
        "mkdir -p /dev/disk/by-id /mnt/dump; ln -s {a} /dev/disk/by-id/ata-A; ln -s {a} /dev/disk/by-id/wwn-A"
    ));
    for (words, array) in [
        ("-e 1.0 -b internal", "none"),
        ("-e 1.1 -b internal --bitmap-chunk=4", "none"),
        ("-e 1.2 -b lockless", "llbitmap"),
    ] {
        if array == "llbitmap" && vm::lockless_is_refused() {
            continue;
        }
        mdadm(&format!("--create /dev/md0 -q --run --assume-clean {words} -l1 -n2 {a} {b}")).ok();
        sh("dd if=/dev/urandom of=/dev/md0 bs=1M count=8 conv=fsync status=none");
        // A block that went bad is in the log of its member.
        sh("echo 8000 8 > /sys/block/md0/md/dev-loop0/bad_blocks; sleep 0.5");
        assert!(array == "none" || vm::attr("md0", "bitmap_type").contains(&format!("[{array}]")));
        mdadm("--stop /dev/md0").ok();
        let before = ends(a);
        let said = mdadm(&format!("--dump=/mnt/dump {a}")).ok().stdout;
        assert_eq!(said.lines().count(), 3, "{said}");
        assert!(
            said.contains("also saved as /mnt/dump/ata-A.") && said.contains("also saved as /mnt/dump/wwn-A."),
            "{said}"
        );
        assert_eq!(sh("stat -c %h /mnt/dump/loop0").trim(), "3");
        assert!(sh("du -k /mnt/dump/loop0").split_whitespace().next().unwrap().parse::<u32>().unwrap() < 1024);

        // The metadata goes, all of it; the data stays.
        let first = if words.contains("1.0") { 60 } else { 0 };
        sh(&format!(
            "dd if=/dev/urandom of={a} bs=4k count=64 seek=$(({first} * 256 + 960 * ({first} / 60))) conv=notrunc,fsync oflag=direct status=none"
        ));
        assert_ne!(ends(a), before);
        let plan = mdadm(&format!("--restore=/mnt/dump --plan {a}")).ok().stdout;
        assert!(plan.ends_with(&format!("superblock\nsync   {a}\n")) && plan.contains("bad-block log"), "{plan}");
        mdadm(&format!("--restore=/mnt/dump {a}")).ok();
        assert_eq!(mdadm(&format!("--dump=/mnt {a}")).status, 0);
        sh("cmp /mnt/dump/loop0 /mnt/loop0; rm /mnt/loop0");
        mdadm(&format!("--examine-badblocks {a}")).ok();
        mdadm(&format!("--assemble /dev/md0 {a} {b}")).ok();

        // A running array's member is left alone, and so is another member.
        let out = mdadm(&format!("--restore=/mnt/dump {a}"));
        assert_eq!(
            (out.status, out.stderr.contains(&format!("{a} is a member of /dev/md0"))),
            (1, true),
            "{}",
            out.stderr
        );
        mdadm("--stop /dev/md0").ok();
        let before = ends(b);
        let out = mdadm(&format!("--restore=/mnt/dump/loop0 {b}"));
        assert_eq!((out.status, ends(b) == before), (1, true), "{}", out.stderr);
        assert!(
            out.stderr.contains(&format!("not restoring to {b}")) && out.stderr.contains("--force"),
            "{}",
            out.stderr
        );
        mdadm(&format!("--restore=/mnt/dump/loop0 --force {b}")).ok();
        sh(&format!(
            "rm /mnt/dump/*; for d in {a} {b} {c}; do dd if=/dev/zero of=$d bs=1M count=2 conv=notrunc status=none; done"
        ));
    }
}

#[test]
fn ours_and_the_reference_take_each_others_copies() {
    let disks = vm::disks(2, 64 * MIB);
    let (a, b) = (&disks[0], &disks[1]);
    sh("mkdir -p /mnt/theirs /mnt/ours");
    for words in ["-e 0.90 -b internal", "-b internal --bitmap-chunk=16", "-b lockless"] {
        if words == "-b lockless" && vm::lockless_is_refused() {
            continue;
        }
        let by = if words.contains("0.90") { vm::reference } else { mdadm };
        by(&format!("--create /dev/md0 -q --run --assume-clean {words} -l1 -n2 {a} {b}")).ok();
        sh("dd if=/dev/urandom of=/dev/md0 bs=1M count=2 conv=fsync status=none");
        mdadm("--stop /dev/md0").ok();
        let before = ends(a);
        vm::reference(&format!("--dump=/mnt/theirs {a}")).ok();
        mdadm(&format!("--dump=/mnt/ours {a}")).ok();
        vm::reference(&format!("--zero-superblock {a}")).ok();
        mdadm(&format!("--restore=/mnt/theirs {a}")).ok();
        assert_eq!(ends(a), before);
        vm::reference(&format!("--zero-superblock {a}")).ok();
        vm::reference(&format!("--restore=/mnt/ours {a}")).ok();
        assert_eq!(ends(a), before);
        sh(&format!(
            "rm /mnt/theirs/* /mnt/ours/*; for d in {a} {b}; do dd if=/dev/zero of=$d bs=1M count=1 status=none; done"
        ));
    }
}

#[test]
fn a_dump_that_fails_leaves_no_file() {
    let disks = vm::disks(2, 64 * MIB);
    create(&format!("-l1 -n2 -b none {}", disks.join(" ")));
    sh(
        "mkdir /mnt/small; mount -t tmpfs -o size=4k,nr_inodes=5 none /mnt/small; dd if=/dev/zero of=/mnt/small/full bs=4k count=1 status=none",
    );
    let out = mdadm(&format!("--dump=/mnt/small {}", disks[0]));
    assert_eq!(out.status, 1);
    assert!(out.stderr.contains("No space left on device"), "{}", out.stderr);
    assert_eq!(sh("ls /mnt/small"), "full\n");
    // The superblock cannot be read.
    mdadm("--stop /dev/md0").ok();
    sh(&format!(
        "DM_DISABLE_UDEV=1 dmsetup create bad --table '0 8 linear {0} 0\n8 8 error\n16 131056 linear {0} 16'; dmsetup mknodes",
        disks[0]
    ));
    let out = mdadm("--dump=/mnt /dev/mapper/bad");
    assert_eq!((out.status, out.stderr.contains("Input/output error")), (1, true), "{}", out.stderr);
}

#[test]
fn rules_for_udev_replace_a_file_whole_and_hold_no_rule_of_a_path() {
    sh(
        "printf 'POLICY path=pci-1* action=force-spare\\n' > /mnt/conf; echo old > /mnt/rules; ln -s /mnt/rules /mnt/link",
    );
    mdadm("--udev-rules=/mnt/link -c /mnt/conf --plan").ok();
    assert_eq!(sh("cat /mnt/rules"), "old\n");
    mdadm("--udev-rules=/mnt/link -c /mnt/conf").ok();
    assert_eq!((sh("cat /mnt/rules").lines().count(), sh("ls /mnt").as_str()), (3, "conf\nlink\nrules\n"));
    let out = mdadm("--udev-rules=/nowhere/rules -c /mnt/conf");
    assert_eq!(
        (out.status, out.stderr.contains("cannot write /nowhere/rules: No such file")),
        (1, true),
        "{}",
        out.stderr
    );
    std::fs::write("/mnt/conf", "POLICY path='a\", RUN+=\"/bin/x' action=force-spare\n").unwrap();
    let out = mdadm("--udev-rules -c /mnt/conf").ok();
    assert_eq!((out.stdout.contains("RUN"), out.stderr.contains("left out")), (false, true), "{}", out.stdout);
}

#[test]
fn waiting_shows_how_far_it_is_on_a_terminal_and_nothing_else_where() {
    let disks = vm::disks(2, 64 * MIB);
    create(&format!("-l1 -n2 -b none {}", disks.join(" ")));
    vm::sync_speed(20_000, 20_000);
    let ours = env!("CARGO_BIN_EXE_mdadm");
    for (how, shown) in [("", true), ("--quiet", false)] {
        mdadm("--action=check /dev/md0").ok();
        let seen = sh(&format!("script -qec '{ours} --wait {how} /dev/md0' /dev/null </dev/null"));
        assert_eq!(seen.contains("check of /dev/md0 ["), shown, "{seen}");
        assert_eq!(seen.contains("% of 63 MiB, ") && seen.contains(" left"), shown, "{seen}");
        // The line is wiped at the end.
        assert!(!shown || seen.ends_with("\r\u{1b}[K"), "{seen:?}");
        assert_eq!(attr("md0", "sync_action"), "idle");
    }
    mdadm("--action=check /dev/md0").ok();
    let out = mdadm("--wait /dev/md0").ok();
    assert_eq!((out.stdout.as_str(), out.stderr.as_str()), ("", ""));
}

#[test]
fn who_is_not_root_is_told_so_before_anything_else() {
    let disks = vm::disks(4, 20 * MIB);
    let (a, b, c, d) = (&disks[0], &disks[1], &disks[2], &disks[3]);
    mdadm(&format!("--create /dev/md0 -q --run --assume-clean -l1 -n2 -b none {a} {b}")).ok();
    sh("chmod 666 /dev/loop* /dev/md0");
    let nobody = |line: &str| {
        let words = ["--reuid=65534", "--clear-groups", env!("CARGO_BIN_EXE_mdadm")];
        vm::run("setpriv", &words.into_iter().chain(line.split_whitespace()).collect::<Vec<_>>(), "")
    };
    for line in [
        format!("--create /dev/md1 --run -l1 -n2 {c} {d}"),
        format!("--create /dev/md1 --ensure -l1 -n2 {c} {d}"),
        format!("--build /dev/md1 -l1 -n2 {c} {d}"),
        format!("/dev/md0 --add {c}"),
        format!("/dev/md0 --plan --fail {a}"),
        format!("--assemble /dev/md1 {c}"),
        format!("--ensure-absent /dev/md0 {a}"),
        "--stop /dev/md0".into(),
        "--stop --scan".into(),
        "--readonly /dev/md0".into(),
        "--action=check /dev/md0".into(),
        "--detail /dev/md0".into(),
    ] {
        let out = nobody(&line);
        let want = "mdadm: must be super-user to perform this action\n";
        assert_eq!((out.status, out.stdout.as_str(), out.stderr.as_str()), (1, "", want), "{line}");
    }
    for line in [format!("--examine {a}"), format!("--query {a}"), "--wait /dev/md0".into()] {
        assert!(!nobody(&line).stderr.contains("super-user"), "{line}");
    }
    sh("truncate -s 20M /mnt/image; chmod 666 /mnt/image");
    nobody("--create x --offline --run -l1 -n2 --saved-metadata=none /mnt/image missing").ok();
}

#[test]
fn a_device_that_cannot_be_read_is_named_with_its_reason_and_nothing_is_written() {
    let disks = vm::disks(2, 40 * MIB);
    vm::write_pattern(&disks[0], 0, 40 * MIB, 3);
    sh(
        "printf '0 81920 error\n' | DM_DISABLE_UDEV=1 dmsetup create bad; dmsetup mknodes; mkdir /mnt/dump; mknod /dev/gone b 8 250",
    );
    let (a, bad) = (&disks[0], "/dev/mapper/bad");
    // Status, and the first line, as the reference's; then the reason.
    for (line, first, why) in [
        (format!("--create /dev/md0 --run -l5 -n2 -b none {a} {bad}"), "Failed to write metadata to ", "at byte"),
        (format!("--create /dev/md0 --run -l0 -n2 {bad} {a}"), "Failed to write metadata to ", "nothing was written"),
        (
            format!("--examine {bad}"),
            "No md superblock detected on ",
            "cannot read the superblock: Input/output error\n",
        ),
        (format!("--examine-badblocks {bad}"), "No md superblock detected on ", "cannot read the superblock"),
        (format!("--dump=/mnt/dump {bad}"), "the superblock on ", "cannot read the superblock"),
        (format!("--create /dev/md0 --run -l1 -n2 -b none {a} /dev/gone"), "cannot open /dev/gone: ", "No such device"),
        ("--wait /dev/gone".into(), "Cannot get md device name.", "the kernel has no device /dev/gone"),
        ("--zero-superblock /dev/gone".into(), "Couldn't open /dev/gone for write", "No such device or address"),
    ] {
        let (want, got) = (vm::reference(&line).status, mdadm(&line));
        sh(&format!("dd if=/dev/zero of={a} bs=1M count=40 conv=fsync status=none"));
        vm::write_pattern(a, 0, 40 * MIB, 3);
        let got_again = mdadm(&line);
        assert_eq!((got.status, got_again.status), (want, want), "{line}: {}", got.stderr);
        let said = got_again.stderr;
        assert!(said.contains(&format!("mdadm: {first}")) && said.contains(why), "{line}: {said}");
        assert!(vm::verify_pattern(a, 0, 40 * MIB, 3).is_empty(), "{line} wrote to {a}");
    }
    // The reference calls this a success.
    let out = mdadm(&format!("--zero-superblock {bad}"));
    assert!(out.status == 1 && out.stderr.contains("Input/output error"), "{}", out.stderr);
    let out = mdadm(&format!("--build /dev/md0 -l1 -n2 --assume-clean {a} {bad}")).ok();
    assert!(out.stderr.contains("note: cannot read /dev/mapper/bad at byte"), "{}", out.stderr);
}
