//! `--assemble --update=`: what the words do to arrays that then run, in the guest.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "vm/mod.rs"]
mod vm;

use vm::{MIB, mdadm, sh};

/// Makes an array with ours, writes a pattern and stops it. Gives its members in one string.
fn made(count: usize, options: &str) -> String {
    let disks = vm::disks(count, 24 * MIB).join(" ");
    mdadm(&format!("--create /dev/md0 --run -q --assume-clean {options} -n{count} {disks}")).ok();
    vm::write_pattern("/dev/md0", 0, 8 * MIB, 3);
    if !options.contains("-l0") {
        vm::wait_sync("md0");
    }
    mdadm("--stop /dev/md0").ok();
    disks
}

fn assemble(options: &str, disks: &str) -> vm::Output {
    mdadm(&format!("--assemble /dev/md0 {options} {disks}"))
}

/// The first 8 MiB are what was written, with every member there and with each of the first `losable` gone.
fn holds_its_data(disks: &str, losable: usize) {
    vm::wait_sync("md0");
    assert!(vm::verify_pattern("/dev/md0", 0, 8 * MIB, 3).is_empty());
    mdadm("--stop /dev/md0").ok();
    for disk in disks.split(' ').take(losable) {
        mdadm(&format!("--assemble /dev/md0 --readonly --run {}", disks.replace(disk, ""))).ok();
        assert!(vm::verify_pattern("/dev/md0", 0, 8 * MIB, 3).is_empty(), "without {disk}");
        mdadm("--stop /dev/md0").ok();
    }
}

#[test]
fn ppl_is_put_where_there_is_room_and_is_used_and_taken_away_again() {
    for metadata in ["1.0", "1.1", "1.2"] {
        let disks = made(3, &format!("-l5 --bitmap=none -e {metadata}"));
        let out = assemble("--update=ppl", &disks);
        if metadata == "1.0" {
            // The end of the device was not kept free for one.
            assert!(
                out.status == 1 && out.stderr.contains("there is no room for a partial parity log"),
                "{}",
                out.stderr
            );
        } else {
            out.ok();
            assert_eq!(vm::attr("md0", "consistency_policy"), "ppl", "{metadata}");
            vm::write_pattern("/dev/md0", 0, 8 * MIB, 3);
            mdadm("--stop /dev/md0").ok();
            assemble("--update=no-ppl", &disks).ok();
            assert_eq!(vm::attr("md0", "consistency_policy"), "resync", "{metadata}");
        }
        let _ = assemble("", &disks);
        holds_its_data(&disks, 3);
        sh("losetup -D");
    }
}

#[test]
fn words_that_do_not_fit_are_refused_in_the_references_words_and_nothing_is_written() {
    let cases = [
        (
            "-l1 --bitmap=internal",
            "summaries super-minor metadata sparc2.2 layout-unspecified layout-original nodes ppl",
        ),
        ("-l1 --bitmap=none", "home-cluster"),
        ("-l1 --bitmap=none -e 0.90", "devicesize bbl no-bbl force-no-bbl no-ppl layout-unspecified name nodes"),
        ("-l1 --bitmap=internal -e 0.90", "metadata"),
    ];
    for (create, words) in cases {
        let disks = made(2, create);
        let hash = || sh("cat /mnt/disk* | md5sum");
        let before = hash();
        for word in words.split(' ') {
            let out = assemble(&format!("--update={word}"), &disks);
            assert_eq!(hash(), before, "{create} {word}");
            let theirs = vm::reference(&format!("--assemble /dev/md0 --update={word} {disks}"));
            let _ = vm::reference("--stop /dev/md0");
            assert_eq!((out.status, &*out.stdout), (theirs.status, ""), "{create} {word}");
            assert!(out.stderr.starts_with(&theirs.stderr), "{create} {word}: {}\nnot: {}", out.stderr, theirs.stderr);
        }
        sh("losetup -D; rm /mnt/disk*");
    }
    // No bitmap, and the log would find room: the level is wrong; then an array that is not in sync.
    let disks = made(2, "-l1 --bitmap=none");
    let out = assemble("--update=ppl", &disks);
    assert!(out.status == 1 && out.stderr.contains("is for raid5 only"), "{}", out.stderr);
    sh("losetup -D; rm /mnt/disk*");
    let disks = made(3, "-l5 --bitmap=none");
    vm::reference(&format!("--assemble --readonly --update=resync /dev/md0 {disks}")).ok();
    mdadm("--stop /dev/md0").ok();
    let out = assemble("--update=ppl", &disks);
    assert!(out.status == 1 && out.stderr.contains("is not in sync"), "{}", out.stderr);
}

#[test]
fn no_bitmap_resyncs_a_lockless_array_whose_unwritten_chunks_have_no_parity() {
    if vm::lockless_is_refused() {
        return;
    }
    for disk in vm::disks(3, 24 * MIB) {
        sh(&format!("dd if=/dev/urandom of={disk} bs=1M status=none || true"));
    }
    let disks = (0..3).map(|n| format!("/dev/loop{n}")).collect::<Vec<_>>().join(" ");
    mdadm(&format!("--create /dev/md0 --run -q -l5 -n3 --bitmap=lockless {disks}")).ok();
    mdadm("--stop /dev/md0").ok();
    let out = assemble("--update=no-bitmap", &disks).ok();
    assert!(out.stderr.contains("without it all are resynced"), "{}", out.stderr);
    vm::wait_sync("md0");
    assert_eq!(vm::attr("md0", "bitmap_type").split_whitespace().next(), Some("[none]"));
    vm::write_pattern("/dev/md0", 0, 8 * MIB, 3);
    vm::set_attr("md0", "sync_action", "check");
    vm::wait_sync("md0");
    assert_eq!(vm::attr("md0", "mismatch_cnt"), "0");
    holds_its_data(&disks, 3);
}

#[test]
fn recorded_bad_blocks_keep_their_log_unless_forced() {
    let disks = made(2, "-l1 --bitmap=internal");
    // The kernel writes the log with the superblock, when something is written.
    let record = |disk: &str| {
        sh(&format!("echo 4096 8 > /sys/block/md0/md/dev-{disk}/bad_blocks; sleep 0.3"));
        vm::write_pattern("/dev/md0", 16 * MIB, MIB, 4);
        mdadm("--stop /dev/md0").ok();
        assert!(mdadm(&format!("--examine-badblocks /dev/{disk}")).stdout.contains(" 4096 for 8"));
    };
    assemble("", &disks).ok();
    record("loop0");
    let out = assemble("--update=no-bbl", &disks);
    assert!(out.status == 1 && out.stderr.contains("Cannot remove active bbl from /dev/loop0"), "{}", out.stderr);
    assert!(!vm::mdstat().contains("md0 :"));
    assemble("--update=force-no-bbl", &disks).ok();
    mdadm("--stop /dev/md0").ok();
    assert!(mdadm("--examine-badblocks /dev/loop0").stdout.contains("No bad-blocks list configured"));
    assemble("--update=bbl", &disks).ok();
    record("loop1");
    mdadm("--examine-bitmap /dev/loop1").ok();
}

#[test]
fn devicesize_takes_what_a_grown_device_has_and_metadata_makes_1_0_of_0_90() {
    let disks = made(2, "-l1 --bitmap=internal");
    sh("truncate -s 30M /mnt/disk0 /mnt/disk1; losetup -c /dev/loop0; losetup -c /dev/loop1");
    let avail = || mdadm("-E /dev/loop0").stdout.lines().find(|l| l.contains("Avail Dev Size")).unwrap().to_owned();
    assert!(avail().contains("23.00 MiB"), "{}", avail());
    assemble("--update=devicesize", &disks).ok();
    mdadm("--stop /dev/md0").ok();
    assert!(avail().contains("29.00 MiB"), "{}", avail());
    sh("losetup -D");

    for options in ["-l1", "-l5", "-l0"] {
        let disks = made(3, &format!("-e 0.90 --bitmap=none {options}"));
        assemble("--update=metadata", &disks).ok();
        assert_eq!(vm::attr("md0", "metadata_version"), "1.0");
        assert!(vm::verify_pattern("/dev/md0", 0, 8 * MIB, 3).is_empty());
        mdadm("--stop /dev/md0").ok();
        // Found as 1.0 by both, though the old superblock is still there.
        assert!(vm::reference("-E --brief /dev/loop0").stdout.contains("metadata=1.0"));
        vm::reference(&format!("--assemble /dev/md0 {disks}")).ok();
        assert!(vm::verify_pattern("/dev/md0", 0, 8 * MIB, 3).is_empty());
        vm::reference("--stop /dev/md0").ok();
        sh("losetup -D");
    }
}
