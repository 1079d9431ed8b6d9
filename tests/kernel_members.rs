//! What members are called in manage mode, what may change as they come back, and what is said of devices that cannot be
//! members, in the guest.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
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
        assert!(out.stderr.contains(&format!("mdadm: re-added {}\n", disks[1])), "{}", out.stderr);
        assert_eq!(line(&disks[1], "Bad Block Log"), "");
        let (_, saved) = out.stderr.split_once("mdadm --restore-saved ").unwrap_or_else(|| panic!("{}", out.stderr));
        let saved = saved.lines().next().unwrap();
        mdadm(&format!("/dev/md0 --re-add --update=devicesize {}", disks[2])).ok();
        assert_eq!(line(&disks[2], "Avail Dev Size").contains("47.00 MiB"), meta == "1.2");

        // A log with entries stays unless it is forced away.
        let out = mdadm(&format!("/dev/md0 --re-add --update=no-bbl {}", disks[3])).ok();
        assert!(out.stderr.contains("mdadm: Cannot remove active bbl from /dev/md0\n"), "{}", out.stderr);
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

        // What the first update overwrote comes back.
        let events = line(&disks[1], "Events");
        let out = mdadm(&format!("--restore-saved {saved}")).ok();
        assert!(out.stdout.ends_with(&format!("mdadm: restored {}\n", disks[1])), "{}", out.stdout);
        assert!(line(&disks[1], "Bad Block Log").contains(log) && line(&disks[1], "Events") != events);
    }
}

fn dm(name: &str, table: &str) -> String {
    sh(&format!("printf '{table}' | DM_DISABLE_UDEV=1 dmsetup create {name}; dmsetup mknodes"));
    format!("/dev/mapper/{name}")
}

/// The arrays' lines of /proc/mdstat: their members.
fn members() -> Vec<String> {
    mdstat().lines().filter(|l| l.starts_with("md")).map(str::to_owned).collect()
}

/// What is in the first and the last MiB, as far as it can be read, of the device that a line names last and of the members
/// of all arrays. Of members without the place of the superblock, which the kernel writes to by itself.
fn bytes(line: &str) -> Vec<(String, Option<u64>)> {
    let members = members().join(" ");
    let members = members.split_whitespace().filter_map(|w| Some(format!("/dev/{}", w.split_once('[')?.0)));
    let members: Vec<String> = members.collect();
    let named = line.split_whitespace().last().unwrap().to_owned();
    let superblock = (!members.contains(&named)).then(|| (named.clone(), 4096, 4096));
    let pieces = |d: &String| {
        let size = File::open(d).and_then(|mut f| f.seek(SeekFrom::End(0))).unwrap_or(2 * MIB);
        [(d.clone(), 0, 4096), (d.clone(), 8192, MIB - 8192), (d.clone(), (size - MIB) & !4095, MIB)]
    };
    let all = members.iter().chain([&named]).flat_map(pieces).chain(superblock);
    all.map(|(d, at, len)| (format!("{d} {at}"), hash(&d, at, len))).collect()
}

/// Of bytes read past the page cache; `None` where they cannot be read.
fn hash(device: &str, at: u64, len: u64) -> Option<u64> {
    let file = File::options().read(true).custom_flags(libc::O_DIRECT).open(device).ok()?;
    let mut buffer = vec![0; len as usize + 4096];
    let start = buffer.as_ptr().align_offset(4096);
    let piece = &mut buffer[start..start + len as usize];
    file.read_exact_at(piece, at).ok()?;
    let mut hasher = std::hash::DefaultHasher::new();
    piece.hash(&mut hasher);
    Some(hasher.finish())
}

/// The reference's status and first words; behind them the cause; members, spares and their bytes as before.
#[track_caller]
fn refused(line: &str, why: &str) {
    let (before, want) = (members(), vm::reference(line));
    assert_eq!(members(), before, "{line}: the reference changed the array; choose another case");
    let bytes_before = bytes(line);
    let got = mdadm(line);
    assert_eq!(bytes(line), bytes_before, "{line}");
    assert_eq!((got.status, got.stdout), (want.status, want.stdout), "{line}: {}", got.stderr);
    assert!(got.stderr.starts_with(&want.stderr), "{line}: {} and {}", got.stderr, want.stderr);
    assert!(got.stderr.contains(why), "{line}: {}", got.stderr);
    assert_eq!(members(), before, "{line}");
}

#[test]
fn what_cannot_be_a_member_is_refused_with_its_cause_and_nothing_changes() {
    let disks = vm::disks(6, 40 * MIB);
    let (a, b, c, d, e) = (&disks[0], &disks[1], &disks[2], &disks[3], &disks[4]);
    let small = vm::disk(20 * MIB);
    create(&format!("-l1 -n2 -b none {a} {b}"));
    vm::reference(&format!("--create /dev/md1 -q --run --assume-clean -l1 -n2 -b none {c} {d}")).ok();
    refused(&format!("/dev/md0 --add {small}"), "it has 40960 sectors");
    refused(&format!("/dev/md0 --add {c}"), &format!("{c} is a member of /dev/md1"));
    refused(&format!("/dev/md0 --add {a}"), &format!("{a} is a member of /dev/md0"));
    refused(&format!("/dev/md0 --re-add {c}"), "is a member of /dev/md1");
    for operation in ["--fail", "--remove", "--replace"] {
        refused(&format!("/dev/md0 {operation} {c}"), "/dev/md0");
    }
    vm::reference("--stop /dev/md1").ok();
    refused(&format!("/dev/md0 --re-add {c}"), "it is no former member");

    // The device is gone, or does not answer.
    sh("mknod /dev/gone b 8 250");
    refused("/dev/md0 --add /dev/gone", "No such device or address");
    for (name, table) in [
        ("error", "0 81920 error\n".to_owned()),
        ("hole", format!("0 8 linear {e} 0\n8 8 error\n16 81904 linear {e} 16\n")),
        ("nowrite", format!("0 81920 flakey {e} 0 0 60 1 error_writes\n")),
    ] {
        let path = dm(name, &table);
        refused(&format!("/dev/md0 --add {path}"), "Input/output error");
        refused(&format!("/dev/md0 --add-spare {path}"), "Input/output error");
        let why = if name == "nowrite" { "it has no superblock" } else { "its superblock cannot be used" };
        refused(&format!("/dev/md0 --re-add {path}"), why);
        sh(&format!("DM_DISABLE_UDEV=1 dmsetup remove {name}"));
    }
    sh(&format!("blockdev --setro {e}"));
    refused(&format!("/dev/md0 --add {e}"), &format!("{e} is read-only"));
    sh(&format!("blockdev --setrw {e}"));
    assert!(
        sh(&format!("head -c 1M {e} | tr -d '\\0' | wc -c")).trim() == "0",
        "nothing is left of a write that failed"
    );

    // Its slot was given to another.
    std::thread::sleep(Duration::from_secs(1));
    mdadm(&format!("/dev/md0 --fail {b} --remove {b} --add {e}")).ok();
    vm::wait_until(Duration::from_secs(60), "rebuilt", || attr("md0", "degraded") == "0");
    refused(&format!("/dev/md0 --re-add {b}"), "its slot 1 is taken");
    mdadm("--readonly /dev/md0").ok();
    refused(&format!("/dev/md0 --add {b}"), "is read-only: mdadm --readwrite /dev/md0 first");
    mdadm("--stop /dev/md0").ok();

    create(&format!("-l0 -n2 {a} {b}"));
    refused(&format!("/dev/md0 --add {c}"), "--grow makes it larger");
    refused(&format!("/dev/md0 --remove {a}"), "is active in slot 0");
    mdadm("--stop /dev/md0").ok();

    // Half an array: it does not run.
    create(&format!("-l5 -n3 -b none {a} {b} {c}"));
    mdadm("--stop /dev/md0").ok();
    vm::reference(&format!("-I {a}")).ok();
    let name = mdstat().lines().find_map(|l| Some(l.split_once(" : inactive")?.0.to_owned())).unwrap();
    for operation in [format!("--add {d}"), format!("--fail {a}"), format!("--remove {a}")] {
        refused(&format!("/dev/{name} {operation}"), "does not run: start it first");
    }
    mdadm(&format!("--stop /dev/{name}")).ok();

    // On the array itself: the kernel would wait for itself for ever.
    create(&format!("-l5 -n3 -b none {a} {b} {c}"));
    let upon = dm("upon", "0 81920 linear /dev/md0 0\n");
    let before = members();
    for (operation, device) in
        [("--add", &upon), ("--add-spare", &upon), ("--re-add", &upon), ("--add", &"/dev/md0".into())]
    {
        let got = mdadm(&format!("/dev/md0 {operation} {device}"));
        let line = format!("mdadm: Cannot open {device}: it lies on /dev/md0 itself\n");
        assert_eq!((got.status, got.stderr, members()), (1, line, before.clone()));
    }
    sh("DM_DISABLE_UDEV=1 dmsetup remove upon");
    mdadm("--stop /dev/md0").ok();

    // A rebuild runs.
    vm::sync_speed(10, 10);
    create(&format!("-l5 -n4 -b none {a} {b} {c} missing"));
    mdadm(&format!("/dev/md0 --add {d}")).ok();
    vm::wait_until(Duration::from_secs(10), "it is rebuilt", || attr("md0", "sync_action") == "recover");
    refused(&format!("/dev/md0 --remove {d}"), "is being rebuilt in slot 3 of /dev/md0: --fail it first");
    refused(&format!("/dev/md0 --fail {a}"), "array will be failed");
}

#[test]
fn a_spare_comes_in_while_the_array_is_reshaped_and_takes_a_slot_after_it() {
    let disks = vm::disks(5, 64 * MIB);
    create(&format!("-l5 -n3 -b internal {}", disks[..3].join(" ")));
    mdadm(&format!("/dev/md0 --add {}", disks[3])).ok();
    vm::write_pattern("/dev/md0", 0, 100 * MIB, 6);
    vm::sync_speed(10, 10);
    // The data moves towards the start of the members.
    vm::reference("--grow /dev/md0 -n4").ok();
    vm::wait_until(Duration::from_secs(20), "it is reshaped", || attr("md0", "sync_action") == "reshape");
    let out = mdadm(&format!("/dev/md0 --add {}", disks[4])).ok();
    assert_eq!((out.stderr, attr("md0", "sync_action").as_str()), (format!("mdadm: added {}\n", disks[4]), "reshape"));
    // A member may leave it only if that is forced.
    let fail = format!("/dev/md0 --fail {}", disks[0]);
    let out = mdadm(&fail);
    let want = format!(
        "mdadm: Cannot remove {} from /dev/md0: a reshape runs, which would go on without redundancy.\n",
        disks[0]
    );
    assert!(out.status == 1 && out.stderr.starts_with(&want) && out.stderr.contains("--force"), "{}", out.stderr);
    assert_eq!(
        (attr("md0", "degraded").as_str(), attr("md0", "sync_action").as_str(), faulty()),
        ("0", "reshape", vec![])
    );
    mdadm(&format!("--manage {fail} --force")).ok();
    assert_eq!(faulty(), [0]);
    vm::wait_sync("md0");
    vm::wait_until(Duration::from_secs(60), "the spare is in", || attr("md0", "degraded") == "0");
    vm::wait_sync("md0");
    mdadm(&format!("/dev/md0 --fail {}", disks[1])).ok();
    assert_eq!(vm::verify_pattern("/dev/md0", 0, 100 * MIB, 6), [0; 0]);
    mdadm("--stop /dev/md0").ok();
    mdadm(&format!("--assemble --run /dev/md0 {}", disks[2..].join(" "))).ok();
    assert_eq!(vm::verify_pattern("/dev/md0", 0, 100 * MIB, 6), [0; 0]);
}

/// Every command that needs a device for itself.
fn each_says(disk: &str, free: &str, holder: &str) {
    for line in [
        format!("--create /dev/md5 --run -l1 -n2 -b none {disk} {free}"),
        format!("/dev/md0 --add {disk}"),
        format!("/dev/md0 --re-add {disk}"),
        format!("/dev/md0 --add-spare {disk}"),
        format!("--zero-superblock {disk}"),
        format!("--restore=/mnt/dump {disk}"),
    ] {
        let out = mdadm(&line);
        assert!(out.status != 0 && out.stderr.contains("busy"), "{line}: {}", out.stderr);
        assert!(out.stderr.contains(&format!("{disk} is {holder}")), "{line}: {}", out.stderr);
    }
}

#[test]
fn every_command_names_who_holds_a_device_or_an_array() {
    let disks = vm::disks(4, 64 * MIB);
    let (disk, free) = (&disks[2], &disks[3]);
    create(&format!("-l1 -n2 -b none {} {}", disks[0], disks[1]));
    sh("mkdir /mnt/dump /mnt/point");
    each_says(&disks[0], free, "a member of /dev/md0");
    let holders: [(&str, &str, &str); 4] = [
        ("mkfs.ext4 -q @; mount @ /mnt/point", "mounted on /mnt/point", "umount /mnt/point"),
        ("mkswap -q @; swapon @", "in use as swap", "swapoff @"),
        (
            "echo 0 1024 linear @ 0 | DM_DISABLE_UDEV=1 dmsetup create over",
            "in use by /dev/mapper/over",
            "DM_DISABLE_UDEV=1 dmsetup remove over",
        ),
        (
            "rm -f /run/ready; python3 -c 'import os,time; os.open(\"@\", os.O_RDWR|os.O_EXCL); open(\"/run/ready\",\"w\"); time.sleep(99)' \
             >/dev/null 2>&1 & echo $! >/run/pid; until [ -e /run/ready ]; do sleep 0.05; done",
            "open in process ",
            "kill $(cat /run/pid); while [ -e /proc/$(cat /run/pid) ]; do sleep 0.05; done",
        ),
    ];
    for (hold, holder, free_again) in holders {
        sh(&hold.replace('@', disk));
        each_says(disk, free, holder);
        sh(&free_again.replace('@', disk));
        sh(&hold.replace('@', "/dev/md0"));
        for line in ["--stop /dev/md0", "--readonly /dev/md0", "--stop --scan"] {
            let out = mdadm(line);
            assert_eq!(out.status, 1, "{line}: {}", out.stderr);
            assert!(out.stderr.contains(&format!("/dev/md0 is {holder}")), "{line}: {}", out.stderr);
        }
        sh(&free_again.replace('@', "/dev/md0"));
    }
    mdadm("--create /dev/md1 -q --run --force -l1 -n1 --assume-clean -b none /dev/md0").ok();
    let out = mdadm("--readonly /dev/md0");
    assert_eq!((out.status, out.stderr.contains("/dev/md0 is a member of /dev/md1")), (1, true), "{}", out.stderr);
    // Assembly meets a member that is in use.
    let out = mdadm(&format!("--assemble /dev/md5 {}", disks[0]));
    assert!(
        out.stderr.contains("is busy - skipping") && out.stderr.contains("is a member of /dev/md0"),
        "{}",
        out.stderr
    );
}
