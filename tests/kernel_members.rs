//! What members are called in manage mode, what may change as they come back, and what is said of devices that cannot be
//! members, in the guest.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use std::time::Duration;

use vm::{MIB, attr, mdadm, mdstat, sh};

fn create(words: &str) {
    vm::reference(&format!("--create /dev/md0 -q --run --assume-clean {words}")).ok();
}

/// The numbers of the faulty members in /proc/mdstat, in order.
fn faulty() -> Vec<u32> {
    let text = mdstat();
    let mut found: Vec<u32> = text
        .split_whitespace()
        .filter(|w| w.ends_with("(F)"))
        .map(|w| w.split_once('[').unwrap().1.split_once(']').unwrap().0.parse().unwrap())
        .collect();
    found.sort_unstable();
    found
}

#[test]
fn sets_are_the_references_in_every_layout_and_never_take_the_last_copy() {
    let disks = vm::disks(6, 24 * MIB);
    for (layout, members) in [("n2", 6), ("n3", 6), ("n2", 5), ("f2", 4), ("f3", 6), ("o2", 6), ("o3", 6), ("f2", 5)] {
        for set in ["set-A", "set-B", "set-C"] {
            let [theirs, ours] = [vm::reference, mdadm].map(|by| {
                create(&format!("-l10 -n{members} -p {layout} -b none {}", disks[..members].join(" ")));
                let out = by(&format!("/dev/md0 --fail {set}"));
                let seen = (out.status, out.stderr, faulty());
                vm::reference("--stop /dev/md0").ok();
                seen
            });
            assert_eq!(theirs, ours, "{layout} {members} {set}");
        }
    }
    create(&format!("-l10 -n4 -p f2 -b none {}", disks[..4].join(" ")));
    mdadm("/dev/md0 --fail set-A").ok();
    let out = mdadm("/dev/md0 --fail set-B");
    assert_eq!((out.status, faulty()), (1, vec![0, 2]), "{}", out.stderr);
    mdadm("/dev/md0 --remove set-A failed").ok();
}

#[test]
fn there_is_no_cluster_to_answer() {
    let disks = vm::disks(3, 24 * MIB);
    create(&format!("-l1 -n2 -b none {} {}", disks[0], disks[1]));
    let before = mdstat();
    for answer in [format!("2:{}", disks[2]), "2:missing".into()] {
        let out = mdadm(&format!("/dev/md0 --cluster-confirm {answer}"));
        assert_eq!((out.status, out.stderr.contains("/dev/md0 is no array of a cluster")), (1, true), "{}", out.stderr);
    }
    // The reference adds the device, without a superblock on it.
    assert_eq!(mdstat(), before);
    for answer in ["x:missing", "2:", "faulty"] {
        let out = mdadm(&format!("/dev/md0 --cluster-confirm {answer}"));
        assert_eq!((out.status, out.stderr.contains("SLOT:missing")), (1, true), "{}", out.stderr);
    }
}

/// A line of `--examine`.
fn line(disk: &str, key: &str) -> String {
    let text = mdadm(&format!("--examine {disk}")).ok().stdout;
    let found =
        text.lines().find_map(|l| Some(l.trim_start().strip_prefix(key)?.trim_start().strip_prefix(": ")?.to_owned()));
    found.unwrap_or_default()
}

#[test]
fn what_update_changes_of_a_member_that_comes_back() {
    for (meta, log) in [("1.2", "offset 16 sectors"), ("1.0", "offset -8 sectors")] {
        let disks = vm::disks(6, 40 * MIB);
        create(&format!("-e {meta} -l1 -n6 -b internal {}", disks.join(" ")));
        vm::write_pattern("/dev/md0", 0, 20 * MIB, 3);
        std::thread::sleep(Duration::from_secs(4));
        // Two have a bad block in their logs.
        for disk in &disks[3..5] {
            sh(&format!("echo 100 8 > /sys/block/md0/md/dev-{}/bad_blocks", &disk[5..]));
        }
        vm::write_pattern("/dev/md0", 20 * MIB, MIB, 1);
        std::thread::sleep(Duration::from_secs(1));
        let gone = disks[1..].join(" ");
        mdadm(&format!("/dev/md0 --fail {gone}")).ok();
        mdadm(&format!("/dev/md0 --remove {}", disks[1..5].join(" "))).ok();
        vm::write_pattern("/dev/md0", 4 * MIB, MIB, 5);
        vm::set_attr("md0", "sync_action", "frozen");
        if meta == "1.2" {
            sh(&format!("truncate -s 48M $(losetup -n -O BACK-FILE {0}); losetup -c {0}", disks[2]));
        }

        let plan = mdadm(&format!("/dev/md0 --plan --re-add --update=no-bbl {}", disks[1])).ok().stdout;
        assert!(plan.contains("superblock, no-bbl\nsync ") && plan.contains("ADD_NEW_DISK"), "{plan}");
        let out = mdadm(&format!("/dev/md0 --re-add --update=no-bbl {}", disks[1])).ok();
        assert!(out.stderr.starts_with(&format!("mdadm: re-added {}\n", disks[1])), "{}", out.stderr);
        assert_eq!(line(&disks[1], "Bad Block Log"), "");
        mdadm(&format!("/dev/md0 --re-add --update=devicesize {}", disks[2])).ok();
        assert_eq!(line(&disks[2], "Avail Dev Size").contains("47.00 MiB"), meta == "1.2");

        // A log with entries stays unless it is forced away.
        let out = mdadm(&format!("/dev/md0 --re-add --update=no-bbl {}", disks[3])).ok();
        assert!(out.stderr.starts_with("mdadm: Cannot remove active bbl from /dev/md0\n"), "{}", out.stderr);
        assert!(
            line(&disks[3], "Bad Block Log").contains("bad blocks present"),
            "{}",
            line(&disks[3], "Bad Block Log")
        );
        mdadm(&format!("/dev/md0 --re-add --update=force-no-bbl {}", disks[4])).ok();
        assert_eq!(line(&disks[4], "Bad Block Log"), "");
        // Still attached: taken out, changed, put in again.
        mdadm(&format!("/dev/md0 --re-add --update=no-bbl {}", disks[5])).ok();
        assert_eq!(line(&disks[5], "Bad Block Log"), "");
        vm::set_attr("md0", "sync_action", "idle");
        vm::wait_until(Duration::from_secs(60), "all are in sync", || attr("md0", "degraded") == "0");
        vm::wait_sync("md0");

        // A log is put where there is none.
        std::thread::sleep(Duration::from_secs(4));
        vm::write_pattern("/dev/md0", 20 * MIB, MIB, 2);
        std::thread::sleep(Duration::from_secs(1));
        mdadm(&format!("/dev/md0 --fail {0} --remove {0}", disks[1])).ok();
        mdadm(&format!("/dev/md0 --re-add --update=bbl {}", disks[1])).ok();
        assert!(line(&disks[1], "Bad Block Log").contains(log), "{}", line(&disks[1], "Bad Block Log"));
        vm::wait_until(Duration::from_secs(60), "all are in sync", || attr("md0", "degraded") == "0");
        sh(&format!("echo 200 8 > /sys/block/md0/md/dev-{}/bad_blocks; sleep 0.3", &disks[1][5..]));
        vm::write_pattern("/dev/md0", 20 * MIB, MIB, 4);
        mdadm("--stop /dev/md0").ok();
        let listed = mdadm(&format!("--examine-badblocks {}", disks[1])).ok().stdout;
        assert!(listed.contains(" 200 for 8 sectors"), "{meta}: {listed}");
        mdadm(&format!("--assemble /dev/md0 {}", disks.join(" "))).ok();
        assert_eq!(attr("md0", "degraded"), "0");
        mdadm(&format!("/dev/md0 --fail {} {}", disks[0], disks[3])).ok();
        assert_eq!(vm::verify_pattern("/dev/md0", 0, 4 * MIB, 3), [0; 0]);
        assert_eq!(vm::verify_pattern("/dev/md0", 4 * MIB, MIB, 5), [0; 0]);
        mdadm("--stop /dev/md0").ok();
    }
}
