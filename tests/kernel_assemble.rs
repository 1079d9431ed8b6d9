//! Stopping and assembling, in the guest.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "vm/mod.rs"]
mod vm;

use vm::{MIB, Output, mdadm, sh};

/// A raid1 of two disks, in sync, made by ours.
fn raid1(node: &str, disks: &[String]) {
    let n = disks.len();
    vm::mdadm(&format!("--create {node} --run -q -l1 -n{n} --assume-clean {}", disks.join(" "))).ok();
}

fn said(status: i32, stdout: &str, stderr: &str) -> Output {
    Output { status, stdout: stdout.into(), stderr: stderr.into() }
}

/// Without the members side by side, which the reference does not print.
fn without_table(stderr: &str) -> String {
    stderr.lines().filter(|l| !l.starts_with("mdadm:   ")).map(|l| format!("{l}\n")).collect()
}

fn exists(path: &str) -> bool {
    std::path::Path::new(path).symlink_metadata().is_ok()
}

#[test]
fn a_stopped_array_leaves_no_name_behind_and_its_name_can_be_used_at_once() {
    let disks = vm::disks(2, 40 * MIB);
    for _ in 0..5 {
        raid1("/dev/md0", &disks);
        assert_eq!(vm::mdadm("--stop /dev/md0"), said(0, "mdadm: stopped /dev/md0\n", ""));
        assert!(!exists("/dev/md0") && !exists("/sys/block/md0"));
    }
    raid1("/dev/md/tank", &disks);
    assert!(exists("/dev/md/tank"));
    assert_eq!(vm::mdadm("--stop /dev/md/tank"), said(0, "mdadm: stopped /dev/md/tank\n", ""));
    assert!(!exists("/dev/md/tank") && !exists("/dev/md127"));
    assert_eq!(vm::sh("cat /run/mdadm/map"), "");
}

#[test]
fn names_that_are_no_array_are_told_as_the_reference_tells_them() {
    let disk = vm::disk(40 * MIB);
    for line in
        ["--stop /dev/md0", "--stop nope", "--stop md7", "--stop /tmp", "--stop --scan", "--stop", "-S /dev/md/x"]
    {
        assert_eq!(vm::mdadm(line), vm::reference(line), "{line}");
    }
    let line = format!("--misc --stop {disk} /dev/md5");
    assert_eq!(vm::mdadm(&line), vm::reference(&line));
    assert!(!exists("/sys/block/md7"));
}

#[test]
fn an_array_in_use_is_not_stopped_and_what_holds_it_is_named() {
    let disks = vm::disks(2, 40 * MIB);
    raid1("/dev/md0", &disks);
    vm::sh("mke2fs -q /dev/md0; mkdir /mnt/m; mount /dev/md0 /mnt/m");
    let out = vm::mdadm("--stop /dev/md0");
    assert!(out.stderr.starts_with(&vm::reference("--stop /dev/md0").stderr), "{}", out.stderr);
    assert!(out.stderr.ends_with("mdadm: /dev/md0 is mounted on /mnt/m\n"), "{}", out.stderr);
    assert_eq!(vm::mdadm("--stop -q /dev/md0"), said(1, "", ""));
    vm::sh("umount /mnt/m");
    let open = std::fs::File::open("/dev/md0").unwrap();
    let mut theirs = vm::reference("--stop /dev/md0");
    theirs.stderr += &format!("mdadm: /dev/md0 is open in process {} (", std::process::id());
    let out = vm::mdadm("--stop /dev/md0");
    assert!(out.status == 1 && out.stderr.starts_with(&theirs.stderr), "{}", out.stderr);
    assert_eq!(vm::mdadm("--stop /dev/md0 -q"), said(1, "", ""));
    drop(open);
    vm::mdadm("--stop /dev/md0").ok();
}

#[test]
fn stop_scan_takes_arrays_on_arrays_apart_from_the_top() {
    let disks = vm::disks(4, 40 * MIB);
    raid1("/dev/md0", &disks[..2]);
    raid1("/dev/md1", &disks[2..]);
    vm::mdadm("--create /dev/md2 --run -q -l0 -n2 /dev/md0 /dev/md1").ok();
    let plan = "ioctl  md2 STOP_ARRAY\nnode   md2: remove its names\n";
    let out = vm::mdadm("--stop --scan --plan").ok();
    assert!(out.stdout.starts_with(plan) && out.stdout.lines().count() == 6, "{}", out.stdout);
    assert_eq!(vm::mdadm("--stop --plan /dev/md0").status, 1);
    assert!(vm::mdstat().contains("md2 : active"));
    assert_eq!(vm::mdadm("--stop --scan"), said(0, "", ""));
    assert!(!vm::mdstat().contains("\nmd"), "{}", vm::mdstat());
}

/// Makes an array with the reference, clean, writes a pattern and stops it. Gives its members.
fn made(count: usize, options: &str) -> Vec<String> {
    let disks = vm::disks(count, 40 * MIB);
    vm::reference(&format!("--create /dev/md0 --run --assume-clean --name=tank {options} {}", disks.join(" "))).ok();
    vm::write_pattern("/dev/md0", 0, 16 * MIB, 3);
    vm::reference("--stop /dev/md0").ok();
    disks
}

/// Remembers what is on all disks.
fn keep() {
    vm::sh("mkdir -p /mnt/was; cp --sparse=always /mnt/disk* /mnt/was");
}

/// Puts it back.
fn put_back() {
    vm::sh(
        "losetup -nO NAME,BACK-FILE | while read loop file; do \
         dd if=/mnt/was/${file##*/} of=$loop bs=4M status=none conv=fsync; done",
    );
}

/// Takes all disks away.
fn no_disks() {
    vm::sh("losetup -D; rm -rf /mnt/disk* /mnt/was");
}

/// What `line` gives with ours and with the reference, from equal disks: stdout, status and the members of the array have
/// to be equal. Gives ours; the disks are as before, and the array is stopped.
#[track_caller]
fn as_the_reference(line: &str) -> Output {
    keep();
    let both = [vm::mdadm as fn(&str) -> Output, vm::reference].map(|tool| {
        let out = tool(line);
        let members = members_of("md0");
        vm::mdadm("--stop -q --scan").ok();
        put_back();
        (out, members)
    });
    let [(ours, our_members), (theirs, their_members)] = both;
    let errors = format!("{line}\n{}\n{}", ours.stderr, theirs.stderr);
    assert_eq!((ours.status, &ours.stdout), (theirs.status, &theirs.stdout), "{errors}");
    assert_eq!(our_members, their_members, "{errors}");
    ours
}

/// The members that mdstat shows, with their numbers and flags.
fn members_of(array: &str) -> Vec<String> {
    let text = vm::mdstat();
    let line = text.lines().find(|l| l.starts_with(&format!("{array} :"))).unwrap_or_default();
    let mut words: Vec<String> = line.split(' ').filter(|w| w.contains('[')).map(str::to_owned).collect();
    words.sort();
    words
}

#[track_caller]
fn has_pattern() {
    assert_eq!(vm::verify_pattern("/dev/md0", 0, 16 * MIB, 3), [0; 0]);
}

#[test]
fn arrays_of_every_level_and_version_made_by_one_are_assembled_by_the_other() {
    let disks = vm::disks(4, 40 * MIB);
    let all = disks.join(" ");
    for version in ["1.0", "1.1", "1.2"] {
        for level in ["linear", "0", "1", "4", "5", "6", "10"] {
            let create = format!("--create /dev/md0 --run -q --assume-clean -e{version} -l{level} -n4 {all}");
            for (make, assemble) in
                [(vm::mdadm as fn(&str) -> Output, vm::reference as fn(&str) -> Output), (vm::reference, vm::mdadm)]
            {
                make(&create).ok();
                vm::write_pattern("/dev/md0", 0, 16 * MIB, 3);
                vm::mdadm("--stop /dev/md0").ok();
                let out = assemble(&format!("--assemble /dev/md0 {all}")).ok();
                assert_eq!(out.stdout, "mdadm: /dev/md0 has been started with 4 drives.\n");
                has_pattern();
                vm::mdadm("--stop /dev/md0").ok();
                vm::sh(&format!("for d in {all}; do wipefs -aq $d; done"));
            }
        }
    }
}

#[test]
fn an_array_with_members_missing_is_started_as_the_reference_starts_it() {
    for (level, n) in [("raid0", 2), ("raid1", 3), ("raid5", 3), ("raid6", 4), ("raid10", 4)] {
        let disks = made(n, &format!("-l{level} -n{n}"));
        for there in (0..=n).rev() {
            let all = disks[..there].join(" ");
            for options in ["", "--run"] {
                as_the_reference(&format!("--assemble /dev/md0 {options} {all}"));
            }
        }
        no_disks();
    }
}

#[test]
fn a_member_that_missed_writes_is_left_out_and_named() {
    let disks = made(3, "-l5 -n3");
    let all = disks.join(" ");
    vm::mdadm(&format!("--assemble -q /dev/md0 {all}")).ok();
    vm::reference(&format!("/dev/md0 --fail {}", disks[2])).ok();
    vm::write_pattern("/dev/md0", 0, 16 * MIB, 3);
    vm::mdadm("--stop /dev/md0").ok();
    let out = as_the_reference(&format!("--assemble /dev/md0 {all}"));
    assert_eq!(out.stdout, "mdadm: /dev/md0 has been started with 2 drives (out of 3).\n");
    assert!(out.stderr.contains(&format!("mdadm: {} is out of date: events ", disks[2])), "{}", out.stderr);
    let out = as_the_reference(&format!("--assemble /dev/md0 {} {}", disks[2], disks[0]));
    assert_eq!(out.status, 1);
    let out = vm::mdadm(&format!("--assemble --force /dev/md0 {} {}", disks[0], disks[2])).ok();
    assert!(out.stderr.contains("forcing event count in ") && out.stderr.contains("  AA.  "), "{}", out.stderr);
    vm::mdadm("--stop /dev/md0").ok();
}

#[test]
fn force_writes_the_superblocks_that_the_reference_writes() {
    let image = |disks: &[String]| vm::sh(&format!("cat {} | md5sum", disks.join(" ")));
    let disks = made(3, "-l5 -n3 --bitmap=none");
    let all = disks.join(" ");
    vm::mdadm(&format!("--assemble -q /dev/md0 {all}")).ok();
    vm::reference(&format!("/dev/md0 --fail {}", disks[2])).ok();
    vm::sh("dd if=/dev/urandom of=/dev/md0 bs=64k count=1 conv=fsync status=none; sleep 0.5");
    vm::mdadm("--stop /dev/md0").ok();
    keep();
    let mut images = Vec::new();
    for tool in [vm::mdadm as fn(&str) -> Output, vm::reference] {
        put_back();
        // Read-only, so that nobody else writes.
        tool(&format!("--assemble --force --readonly /dev/md0 {} {}", disks[0], disks[2])).ok();
        assert_eq!(vm::attr("md0", "degraded"), "1");
        vm::mdadm("--stop /dev/md0").ok();
        images.push(image(&disks));
    }
    assert_eq!(images[0], images[1]);
}

#[test]
fn halves_that_were_written_apart_are_refused_with_their_members_side_by_side_and_the_way_out() {
    let disks = made(3, "-l1 -n3");
    let all = disks.join(" ");
    // Two of them go on together, the third alone, and falls behind.
    for (half, writes) in [(disks[..2].join(" "), 3), (disks[2].clone(), 1)] {
        for _ in 0..writes {
            vm::mdadm(&format!("--assemble --run -q /dev/md0 {half}")).ok();
            vm::write_pattern("/dev/md0", 0, MIB, 9);
            vm::mdadm("--stop /dev/md0").ok();
        }
    }
    let hash = || vm::sh(&format!("cat {all} | md5sum"));
    let before = hash();
    let ways = [
        format!("--assemble /dev/md0 {all}"),
        format!("--assemble --run --force --update=name --name=x /dev/md0 {all}"),
        "--assemble --scan --homehost=<ignore>".to_owned(),
    ];
    for line in ways {
        let out = vm::mdadm(&line);
        assert_eq!(out.status, 1, "{line}");
        assert!(out.stderr.contains("have each been written to while the other was missing"), "{}", out.stderr);
        for row in [["slot 0", "AA."], ["slot 1", "AA."], ["slot 2", "..A"]] {
            let has = |l: &str| row.iter().all(|word| l.contains(word));
            assert!(out.stderr.lines().any(has), "{}", out.stderr);
        }
        assert!(out.stderr.contains("has run without the others\n"), "{}", out.stderr);
        // A scan takes them the other way round.
        let reversed = disks[..2].iter().rev().cloned().collect::<Vec<_>>().join(" ");
        let both = if line.contains("--scan") { reversed } else { disks[..2].join(" ") };
        for side in [both, disks[2].clone()] {
            let way = format!(" {side}\n");
            assert!(
                out.stderr.contains("mdadm --assemble --run /dev/md") && out.stderr.contains(&way),
                "{}",
                out.stderr
            );
        }
        assert_eq!(hash(), before);
        assert!(!vm::mdstat().contains("\nmd"), "{}", vm::mdstat());
    }
    // The way out.
    vm::mdadm(&format!("--assemble --run /dev/md0 {}", disks[..2].join(" "))).ok();
    vm::mdadm(&format!("--zero-superblock {}", disks[2])).ok();
    vm::mdadm(&format!("/dev/md0 --add {}", disks[2])).ok();
    vm::wait_sync("md0");
    vm::mdadm("--stop /dev/md0").ok();
    vm::mdadm(&format!("--assemble /dev/md0 {all}")).ok();
}

/// One fails, another one fails, the first gets a successor: the second is still there at the next start.
#[test]
fn a_member_that_left_before_a_successor_came_is_out_of_date_and_keeps_no_array_down() {
    for level in ["-l10 -n4", "-l6 -n4"] {
        let mut disks = made(4, &format!("{level} --bitmap=none"));
        disks.push(vm::disk(40 * MIB));
        let all = disks.join(" ");
        vm::mdadm(&format!("--assemble -q /dev/md0 {}", disks[..4].join(" "))).ok();
        vm::write_pattern("/dev/md0", 0, MIB, 9);
        vm::mdadm(&format!("/dev/md0 --fail {}", disks[0])).ok();
        vm::mdadm(&format!("/dev/md0 --fail {}", disks[2])).ok();
        vm::mdadm(&format!("/dev/md0 --add {}", disks[4])).ok();
        vm::wait_until(std::time::Duration::from_secs(60), "it is rebuilt", || vm::attr("md0", "degraded") == "1");
        vm::wait_sync("md0");
        vm::mdadm("--stop /dev/md0").ok();
        for line in [format!("--assemble /dev/md0 {all}"), "--assemble --scan --homehost=<ignore>".to_owned()] {
            let out = vm::mdadm(&line).ok();
            assert!(out.stderr.contains(&format!("{} is out of date", disks[2])), "{level}: {}", out.stderr);
            assert!(out.stdout.contains("has been started with 3 drives (out of 4)"), "{level}: {}", out.stdout);
            let array = vm::sh("basename /sys/block/md*");
            assert_eq!(vm::verify_pattern(&format!("/dev/{}", array.trim()), 0, MIB, 9), [0; 0], "{level}");
            vm::mdadm("--stop --scan").ok();
        }
        vm::mdadm(&format!("-q --zero-superblock {all}")).ok();
    }
}

#[test]
fn members_are_told_side_by_side_by_verbose_and_json() {
    let disks = made(4, "-l5 -n3 -x1 --bitmap=internal");
    let all = disks.join(" ");
    vm::mdadm(&format!("--assemble -q --run /dev/md0 {}", disks[1..].join(" "))).ok();
    vm::write_pattern("/dev/md0", 0, MIB, 9);
    vm::wait_sync("md0");
    vm::mdadm("--stop /dev/md0").ok();
    let out = vm::mdadm(&format!("--assemble --json -v --readonly /dev/md0 {all}")).ok();
    assert!(out.stderr.lines().any(|l| l.contains("device") && l.contains("last written")), "{}", out.stderr);
    let line = out.stderr.lines().find(|l| l.contains(&format!(" {} ", disks[0])) && l.contains("AAA"));
    assert!(line.is_some_and(|l| l.contains("slot 0") && l.contains("internal")), "{}", out.stderr);
    let json: serde_json::Value = serde_json::from_str(&out.stdout).unwrap();
    let array = &json[0]["arrays"][0];
    assert_eq!((&array["array"], &array["started"], &array["error"]), (&"/dev/md0".into(), &true.into(), &().into()));
    let members = array["members"].as_array().unwrap();
    assert_eq!(members.len(), 4, "{array}");
    assert_eq!((&members[1]["role"], &members[1]["slot"]), (&"slot 1".into(), &1.into()));
    assert!(members[0]["events"].as_u64() < members[1]["events"].as_u64(), "{array}");
    assert!(members.iter().all(|m| m["update_time_seconds"].as_u64() > Some(1_700_000_000)), "{array}");
    vm::mdadm("--stop /dev/md0").ok();
    let refused = vm::mdadm(&format!("--assemble --json /dev/md0 {}", disks[0]));
    let json: serde_json::Value = serde_json::from_str(&refused.stdout).unwrap();
    let array = &json[0]["arrays"][0];
    assert_eq!((refused.status, &array["started"], &array["status"]), (1, &false.into(), &1.into()));
    assert!(array["error"].as_str().unwrap().contains("not enough to start the array"), "{array}");
}

#[test]
fn two_that_claim_to_be_the_same_member_and_differ_are_refused_and_a_plain_copy_is_left_out() {
    let disks = made(2, "-l1 -n2 --bitmap=none");
    let copy = vm::disk(40 * MIB);
    vm::sh(&format!("dd if={} of={copy} bs=1M status=none", disks[0]));
    let line = format!("--assemble /dev/md0 {} {copy} {}", disks[0], disks[1]);
    let out = vm::mdadm(&line).ok();
    assert!(out.stderr.contains("is a copy of"), "{}", out.stderr);
    vm::mdadm("--stop /dev/md0").ok();
    // Now the other one is written to, and the copy too, as often: last a year later.
    let read = |path: &str| {
        let mut bytes = [0; 4096];
        std::os::unix::fs::FileExt::read_exact_at(&std::fs::File::open(path).unwrap(), &mut bytes, 4096).unwrap();
        mdadm::superblock::v1::SuperV1::from_bytes(&bytes).unwrap()
    };
    let mut sb = read(&copy);
    sb.set_events(read(&disks[0]).events());
    sb.set_utime_raw(sb.utime() + 365 * 24 * 3600);
    sb.update_csum();
    let file = std::fs::OpenOptions::new().write(true).open(&copy).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, sb.bytes(), 4096).unwrap();
    file.sync_all().unwrap();
    let out = vm::mdadm(&line);
    assert!(out.status == 1 && out.stderr.contains("nothing tells which of them to take"), "{}", out.stderr);
    assert!(out.stderr.contains("(in the future)"), "{}", out.stderr);
}

#[test]
fn copies_foreign_members_and_damaged_superblocks_are_named() {
    let disks = made(2, "-l1 -n2");
    let (copy, junk) = (vm::disk(40 * MIB), vm::disk(40 * MIB));
    vm::sh(&format!("dd if={} of={copy} bs=1M status=none", disks[0]));
    let out = as_the_reference(&format!("--assemble /dev/md0 {copy} {} {}", disks[0], disks[1]));
    assert!(out.stderr.contains(&format!("{} is a copy of {copy}: left out", disks[0])), "{}", out.stderr);
    let others = made(2, "-l1 -n2");
    for line in [
        format!("--assemble /dev/md0 {} {} {}", disks[0], others[0], disks[1]),
        format!("--assemble /dev/md0 {} {junk}", disks[0]),
        format!("--assemble /dev/md0 {junk} {}", disks[0]),
        format!("--assemble /dev/md0 {} /dev/nope", disks[0]),
        format!("--assemble /dev/md0 --uuid=00000001:00000002:00000003:00000004 {}", disks[0]),
        format!("--assemble /dev/md0 --name=other {}", disks[0]),
        format!("--assemble /dev/md0 --name=tank {}", disks.join(" ")),
        format!("--assemble /dev/md0 --super-minor=3 {}", disks[0]),
        format!("--assemble /dev/md0 -e1.0 {}", disks[0]),
        "--assemble /dev/md_x /dev/loop0".into(),
        "--assemble".into(),
    ] {
        let ours = as_the_reference(&line);
        assert_eq!(ours.stderr, vm::reference(&line).stderr, "{line}");
        vm::mdadm("--stop -q --scan");
    }
    vm::sh(&format!("printf x | dd of={} bs=1 seek={} conv=notrunc status=none", disks[1], 4096 + 100));
    let out = vm::mdadm(&format!("--assemble --run /dev/md0 {}", disks.join(" ")));
    let damaged = format!("mdadm: the superblock on {} is damaged: checksum is", disks[1]);
    assert!(out.status == 1 && out.stderr.contains(&damaged), "{}", out.stderr);
}

#[test]
fn spares_are_counted_and_members_in_use_are_skipped_with_their_holder() {
    let disks = made(5, "-l5 -n3 -x2");
    let out = as_the_reference(&format!("--assemble /dev/md0 {}", disks.join(" ")));
    assert_eq!(out.stdout, "mdadm: /dev/md0 has been started with 3 drives and 2 spares.\n");
    as_the_reference(&format!("--assemble /dev/md0 {}", disks[1..].join(" ")));
    as_the_reference(&format!("--assemble /dev/md0 {}", disks[3..].join(" ")));
    as_the_reference(&format!("--assemble --run /dev/md0 {}", disks[3..].join(" ")));
    vm::mdadm(&format!("--assemble -q /dev/md0 {}", disks.join(" "))).ok();
    let line = format!("--assemble /dev/md1 {}", disks.join(" "));
    let (ours, theirs) = (vm::mdadm(&line), vm::reference(&line));
    assert_eq!(ours.status, theirs.status);
    assert!(ours.stderr.starts_with(&theirs.stderr), "{}", ours.stderr);
    assert!(ours.stderr.contains(&format!("mdadm: {} is a member of /dev/md0", disks[0])), "{}", ours.stderr);
    vm::mdadm("--stop /dev/md0").ok();
}

#[test]
fn updates_write_the_bytes_that_the_reference_writes() {
    let disks = made(3, "-l5 -n3 --bitmap=internal");
    let all = disks.join(" ");
    keep();
    for update in [
        "--update=uuid --uuid=11111111:22222222:33333333:44444444",
        "--update=name --name=pool",
        "--update=name",
        "--update=homehost --homehost=box",
    ] {
        let mut images = Vec::new();
        for tool in [vm::mdadm as fn(&str) -> Output, vm::reference] {
            put_back();
            let out = tool(&format!("--assemble --readonly /dev/md0 {update} {all}")).ok();
            assert_eq!(out.stdout, "mdadm: /dev/md0 has been started with 3 drives.\n");
            assert_eq!(vm::attr("md0", "array_state"), "readonly");
            vm::mdadm("--stop /dev/md0").ok();
            images.push(vm::sh(&format!("cat {all} | md5sum")));
        }
        assert_eq!(images[0], images[1], "{update}");
    }
}

#[test]
fn an_array_that_cannot_start_is_not_touched() {
    let disks = made(3, "-l5 -n3");
    let (two, before) = (disks[..2].join(" "), vm::sh("cat /mnt/disk* | md5sum"));
    let out = vm::mdadm(&format!("--assemble /dev/md0 --update=name --name=x {two}"));
    let said = "mdadm: /dev/md0 assembled from 2 drives - need all 3 to start it (use --run to insist).\n";
    assert_eq!((out.status, out.stderr.as_str()), (1, said));
    assert_eq!(vm::mdadm(&format!("--assemble /dev/md0 --run --update=homehost --homehost=h {}", disks[0])).status, 1);
    assert_eq!(vm::mdadm(&format!("--assemble /dev/md0 --update=layout-original {two}")).status, 1);
    assert_eq!(vm::sh("cat /mnt/disk* | md5sum"), before);
    assert!(!exists("/sys/block/md0") && !exists("/dev/md0"));
    assert_eq!(vm::sh("cat /run/mdadm/map"), "");
}

#[test]
fn the_plan_is_what_is_done_and_touches_nothing() {
    let disks = made(3, &vm::or_internal("-l5 -n3 --bitmap=lockless"));
    let all = disks.join(" ");
    let before = vm::sh("cat /mnt/disk* | md5sum");
    let line = format!("--assemble /dev/md0 --update=name --name=pool {all}");
    let plan = vm::mdadm(&format!("{line} --plan")).ok().stdout;
    let json = vm::mdadm(&format!("{line} --plan --json")).ok().stdout;
    assert_eq!(vm::sh("cat /mnt/disk* | md5sum"), before);
    assert!(!exists("/sys/block/md0"));
    assert_eq!(json.matches("\"step\":").count(), plan.lines().count());
    let words = |line: &str| line.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
    let (saved, got): (Vec<String>, Vec<String>) = plan.lines().map(words).partition(|l| l.starts_with("save"));
    assert_eq!(saved.len(), 3, "{plan}");
    let (a, b, c) = (&disks[0], &disks[1], &disks[2]);
    assert_eq!(got[0], "node md0 as");
    let writes: Vec<&String> = got.iter().filter(|l| l.starts_with("write")).collect();
    assert_eq!(writes, [&format!("write {a} bytes"), &format!("write {b} bytes"), &format!("write {c} bytes")]);
    let adds: Vec<&str> = plan.lines().filter(|l| l.contains("ADD_NEW_DISK")).collect();
    assert!(adds[0].contains(b.as_str()) && adds[1].contains(c.as_str()) && adds[2].contains(a.as_str()), "{plan}");
}

/// The data areas of two raid1 members hold the same bytes.
fn are_mirrors(disks: &[String]) -> bool {
    let skip = attr_of(&disks[0], "Data Offset").split(' ').next().unwrap().parse::<u64>().unwrap() * 512;
    let script = format!("cmp -s -i {skip} {} {} && echo same || true", disks[0], disks[1]);
    vm::sh(&script) == "same\n"
}

fn attr_of(disk: &str, key: &str) -> String {
    let out = vm::reference(&format!("--examine {disk}")).stdout;
    let line = out.lines().find(|l| l.trim_start().starts_with(key)).unwrap_or_default();
    line.split_once(" : ").map_or("", |p| p.1).to_owned()
}

#[test]
fn update_resync_resyncs_what_the_bitmap_calls_clean() {
    for bitmap in vm::bitmaps() {
        let disks = made(2, &format!("-l1 -n2 --bitmap={bitmap}"));
        vm::sh(&format!("dd if=/dev/urandom of={} bs=1M seek=12 count=1 conv=fsync status=none", disks[1]));
        assert!(!are_mirrors(&disks));
        vm::mdadm(&format!("--assemble /dev/md0 --update=resync {}", disks.join(" "))).ok();
        vm::wait_sync("md0");
        vm::mdadm("--stop /dev/md0").ok();
        assert!(are_mirrors(&disks), "{bitmap}");
        no_disks();
    }
}

#[test]
fn a_lockless_array_keeps_its_bitmap_through_assembly_and_updates() {
    if vm::lockless_is_refused() {
        return;
    }
    for (level, n) in [("1", 2), ("5", 3), ("6", 4), ("10", 4)] {
        let disks = vm::disks(n, 40 * MIB);
        let all = disks.join(" ");
        vm::mdadm(&format!("--create /dev/md0 --run -q -l{level} -n{n} --bitmap=lockless {all}")).ok();
        vm::write_pattern("/dev/md0", 0, 16 * MIB, 3);
        vm::wait_sync("md0");
        vm::mdadm("--stop /dev/md0").ok();
        for options in ["--bitmap=lockless", "--update=uuid", "--update=name --name=x", "--run", "--readonly"] {
            vm::mdadm(&format!("--assemble /dev/md0 {options} {all}")).ok();
            assert!(vm::attr("md0", "bitmap_type").contains("[llbitmap]"), "{options}");
            assert!(vm::attr("md0", "llbitmap/bits").contains("need sync 0\n"), "{}", vm::attr("md0", "llbitmap/bits"));
            has_pattern();
            vm::mdadm("--stop /dev/md0").ok();
        }
        no_disks();
    }
}

#[test]
fn an_array_without_a_lockless_bitmap_is_not_taken_for_one() {
    for (bitmap, is) in [("none", "has no bitmap"), ("internal", "has a bitmap of version 4")] {
        let disks = made(2, &format!("-l1 -n2 --bitmap={bitmap}"));
        let out = vm::mdadm(&format!("--assemble /dev/md0 --bitmap=lockless {}", disks.join(" ")));
        assert_eq!(out.status, 1);
        assert!(
            out.stderr.contains(&format!("mdadm: /dev/md0: the array {is}, not a lockless one; nothing was changed\n"))
        );
        assert!(!exists("/sys/block/md0"));
    }
}

#[test]
fn a_dirty_degraded_raid5_is_refused_unless_forced_as_the_reference_does() {
    let disks = vm::disks(3, 40 * MIB);
    vm::sync_speed(1, 1);
    vm::reference(&format!("--create /dev/md0 --run --force --bitmap=none -l5 -n3 {}", disks.join(" "))).ok();
    vm::sh("dd if=/dev/urandom of=/dev/md0 bs=64k count=1 conv=fsync status=none; sleep 0.3");
    vm::mdadm("--stop /dev/md0").ok();
    let two = disks[..2].join(" ");
    for options in ["", "--run", "--force", "--force --run"] {
        let out = as_the_reference(&format!("--assemble /dev/md0 {options} {two}"));
        assert_eq!(out.status, i32::from(!options.contains("force")), "{}", out.stderr);
    }
}

/// Stdout, stderr and status as the reference's, beside the members.
#[track_caller]
fn word_for_word(line: &str) {
    let ours = as_the_reference(line);
    let theirs = vm::reference(line);
    vm::mdadm("--stop -q --scan").ok();
    put_back();
    assert_eq!(without_table(&ours.stderr), theirs.stderr, "{line}");
}

#[test]
fn journals_replacements_and_half_rebuilt_members_are_counted_as_the_reference_counts_them() {
    let d = vm::disks(4, 40 * MIB);
    let [a, b, c, e] = [&d[0], &d[1], &d[2], &d[3]];
    let clean = || vm::sh("for l in /dev/loop[0-3]; do wipefs -aq $l; done");
    vm::reference(&format!("--create /dev/md0 --run -q -l5 -n3 --assume-clean --write-journal {e} {a} {b} {c}")).ok();
    vm::mdadm("--stop -q /dev/md0").ok();
    for line in [format!("-v {a} {b} {c} {e}"), format!("{a} {b} {c}"), format!("{a} {b} {e} --run")] {
        word_for_word(&format!("--assemble /dev/md0 {line}"));
    }
    let out = as_the_reference(&format!("--assemble /dev/md0 --force {a} {b} {c}"));
    assert!(out.stderr.contains("Journal is missing or stale, starting array read only."), "{}", out.stderr);
    clean();
    vm::sync_speed(10, 10);
    vm::reference(&format!("--create /dev/md0 --run -q -l5 -n3 --assume-clean {a} {b} {c}")).ok();
    vm::reference(&format!("/dev/md0 --add-spare {e}")).ok();
    vm::reference(&format!("/dev/md0 --replace {b}")).ok();
    vm::sh("sleep 0.5");
    vm::mdadm("--stop -q /dev/md0").ok();
    for line in [format!("{a} {b} {c} {e}"), format!("{a} {c} {e}"), format!("{a} {b} {e} --run"), format!("{a} {b}")] {
        word_for_word(&format!("--assemble /dev/md0 -v {line}"));
    }
    clean();
    vm::reference(&format!("--create /dev/md0 --run -q -l5 -n3 --assume-clean {a} {b} missing")).ok();
    vm::reference(&format!("/dev/md0 --add {e}")).ok();
    vm::sh("sleep 0.5");
    vm::mdadm("--stop -q /dev/md0").ok();
    for line in [format!("{a} {b} {e}"), format!("{a} {b}"), format!("{a} {e}")] {
        word_for_word(&format!("--assemble /dev/md0 -v {line}"));
    }
}

/// Writes to members, syncs, md ioctls and sysfs stores of a command, as strace saw them.
fn traced(line: &str) -> Vec<String> {
    let trace = "trace=pwrite64,write,fsync,ioctl";
    vm::sh(&format!("strace -f -y -e {trace} -o /mnt/trace {} {line} >/dev/null", env!("CARGO_BIN_EXE_mdadm")));
    let text = std::fs::read_to_string("/mnt/trace").unwrap();
    text.lines().filter_map(|l| call(l.split_once(' ')?.1.trim_start())).collect()
}

fn call(text: &str) -> Option<String> {
    let (name, rest) = text.split_once('(')?;
    let path = rest.split_once('<')?.1.split_once('>')?.0;
    let args: Vec<&str> = rest.rsplit_once(')')?.0.rsplitn(3, ", ").collect();
    match name {
        "pwrite64" => {
            let (at, len): (u64, u64) = (args[0].parse().ok()?, args[1].parse().ok()?);
            Some(format!("write {path} {at}..{}", at + len))
        }
        // What is overwritten is saved first: tests/kernel_saved.rs.
        "fsync" if path.starts_with("/var/lib/mdadm-rs") => None,
        "fsync" => Some(format!("sync {path}")),
        "write" => {
            let (_, attr) = path.split_once("/block/md0/")?;
            Some(format!("sysfs {attr} {}", rest.split('"').nth(1)?))
        }
        _ => ["SET_ARRAY_INFO", "ADD_NEW_DISK", "RUN_ARRAY", "STOP_ARRAY", "RESTART_ARRAY_RW"]
            .iter()
            .find(|i| rest.contains(&format!(", {i},")))
            .map(|i| format!("ioctl {i}")),
    }
}

/// The same of a plan. Whole blocks are written.
fn planned(line: &str) -> Vec<String> {
    let plan = vm::mdadm(&format!("{line} --plan")).ok().stdout;
    let step = |l: &str| {
        let w: Vec<&str> = l.split_whitespace().collect();
        Some(match w[0] {
            "write" => {
                let (from, to) = w[3].trim_end_matches(':').split_once("..").unwrap();
                let (from, to) = (from.parse::<u64>().unwrap(), to.parse::<u64>().unwrap());
                format!("write {} {}..{}", w[1], from / 512 * 512, to.next_multiple_of(512))
            }
            "sync" => format!("sync {}", w[1]),
            "sysfs" => format!("sysfs {} {}", w[1].strip_prefix("md0/").unwrap(), w[3]),
            "ioctl" => format!("ioctl {}", w[2]),
            _ => return None,
        })
    };
    plan.lines().filter_map(step).collect()
}

#[test]
fn the_plans_of_assemble_and_stop_are_what_strace_sees_them_do() {
    let disks = made(3, &vm::or_internal("-l5 -n3 --bitmap=lockless"));
    let all = disks.join(" ");
    for options in ["", "--update=uuid", "--update=resync", "--run --update=name --name=x", "--readonly"] {
        let line = format!("--assemble /dev/md0 {options} {all}");
        let plan = planned(&line);
        assert!(plan.len() >= 6, "{plan:?}");
        assert_eq!(traced(&line), plan, "{line}");
        let plan = planned("--stop /dev/md0");
        assert_eq!(plan, ["ioctl STOP_ARRAY"]);
        assert_eq!(traced("--stop /dev/md0"), plan);
    }
}

#[test]
fn members_are_found_by_uuid_or_name_and_never_become_a_second_array() {
    let disks = made(3, "-l5 -n3 --uuid=11111111:22222222:33333333:44444444");
    let _junk = vm::disk(40 * MIB);
    for line in [
        "/dev/md0 --uuid=11111111:22222222:33333333:44444444",
        "/dev/md0 --name=tank",
        "/dev/md0 --name=other",
        "/dev/md0 --super-minor=0",
        "tank --name=tank",
    ] {
        word_for_word(&format!("--assemble {line}"));
    }
    word_for_word(&format!("--assemble -v /dev/md0 {} {} {}", disks[2], disks[1], disks[0]));
    // A copy of a member while the array runs without it.
    vm::mdadm(&format!("--assemble -q --run /dev/md/tank {} {}", disks[1], disks[2])).ok();
    for line in
        ["--assemble /dev/md5 /dev/loop0 --run", "--assemble /dev/md/tank /dev/loop0", "-A /dev/md1 --name=tank"]
    {
        let (ours, theirs) = (vm::mdadm(line), vm::reference(line));
        assert_eq!(ours, theirs, "{line}");
        assert!(ours.stderr.contains("Found some drive for an array that is already active: /dev/md/tank"));
    }
    std::fs::remove_file("/run/mdadm/map").unwrap();
    assert_eq!(vm::mdadm("--assemble /dev/md5 /dev/loop0 --run").status, 1);
}

#[test]
fn the_plans_of_create_and_zero_superblock_are_what_strace_sees_them_do() {
    let disks = vm::disks(4, 40 * MIB);
    let all = disks.join(" ");
    for (options, steps) in [
        ("-l5 -n3 -x1 --bitmap=internal -e1.0", 19),
        ("-l10 -n4 --bitmap=none -e1.1 --assume-clean", 15),
        ("-l0 -n4", 15),
        ("-l1 -n4 --bitmap=internal --readonly", 18),
        ("-l5 -n3 -x1 --bitmap=lockless", 20),
    ] {
        if options.contains("lockless") && vm::lockless_is_refused() {
            continue;
        }
        let line = format!("--create /dev/md0 -q --run {options} {all}");
        let plan = planned(&line);
        assert!(plan.len() >= steps, "{plan:?}");
        assert_eq!(traced(&line), plan, "{line}");
        vm::mdadm("--stop -q /dev/md0").ok();
        let line = format!("--zero-superblock {all}");
        let plan = planned(&line);
        assert_eq!(plan.len(), 8, "{plan:?}");
        assert_eq!(traced(&line), plan, "{line}");
    }
}

/// Changes a member's superblock as an old kernel or a fault would have left it.
fn with_super(disk: &str, edit: impl Fn(&mut mdadm::superblock::v1::SuperV1)) {
    use mdadm::blockio::WriteAt;
    use mdadm::device::real::{Access, RealDevice};
    let mut device = RealDevice::open(disk.as_ref(), Access::Write).unwrap();
    let (_, mut sb) = mdadm::superblock::v1::read_any(&device).unwrap().unwrap();
    edit(&mut sb);
    sb.update_csum();
    device.write_at(sb.super_offset() * 512, sb.write_bytes(512)).unwrap();
    device.sync().unwrap();
}

#[test]
fn a_raid0_of_an_old_kernel_is_explained_and_mended_by_update() {
    use mdadm::superblock::v1::feature;
    // From the end of the smallest on, two layouts are possible: that takes two larger ones, and an odd number of chunks.
    let disks = [vm::disk(40 * MIB + MIB / 2), vm::disk(60 * MIB), vm::disk(60 * MIB)];
    let all = disks.join(" ");
    vm::reference(&format!("--create /dev/md0 --run -l0 -n3 {all}")).ok();
    vm::write_pattern("/dev/md0", 0, 150 * MIB, 3);
    vm::reference("--stop /dev/md0").ok();
    for disk in &disks {
        with_super(disk, |sb| {
            sb.set_layout(0);
            sb.set_feature_map(sb.feature_map() & !feature::RAID0_LAYOUT);
        });
    }
    let before = vm::sh("cat /mnt/disk* | md5sum");
    let out = vm::mdadm(&format!("--assemble /dev/md0 {all}"));
    assert!(out.status == 1 && out.stderr.contains("--update=layout-original"), "{}", out.stderr);
    assert!(!exists("/sys/block/md0") && !exists("/dev/md0"));
    let said = disks.each_ref().map(|disk| vm::mdadm(&format!("--incremental {disk}")));
    assert!(said[2].status == 1 && said[2].stderr.contains("--update=layout-original"), "{}", said[2].stderr);
    let out = vm::mdadm("--incremental --run --scan");
    let lines: Vec<&str> = out.stderr.lines().collect();
    assert!(lines[0].ends_with(": Operation not supported") && lines[1].contains("--update=layout-"), "{lines:?}");
    vm::mdadm("--stop --scan").ok();
    assert_eq!(vm::sh("cat /mnt/disk* | md5sum"), before);
    vm::mdadm(&format!("--assemble --readonly /dev/md0 --update=layout-alternate {all}")).ok();
    assert_ne!(vm::verify_pattern("/dev/md0", 0, 150 * MIB, 3), [0; 0]);
    vm::mdadm("--stop /dev/md0").ok();
    vm::mdadm(&format!("--assemble /dev/md0 --update=layout-original {all}")).ok();
    assert_eq!(vm::verify_pattern("/dev/md0", 0, 150 * MIB, 3), [0; 0]);
    vm::mdadm("--stop /dev/md0").ok();
    vm::mdadm(&format!("--assemble /dev/md0 {all}")).ok();
    vm::mdadm("--stop /dev/md0").ok();
    // Members of one size: both layouts are the same, and there is nothing to say.
    let two = disks[1..].join(" ");
    vm::reference(&format!("--create /dev/md0 --run -l0 -n2 {two}")).ok();
    vm::reference("--stop /dev/md0").ok();
    vm::reference(&format!("--assemble /dev/md0 --update=layout-unspecified {two}")).ok();
    vm::reference("--stop /dev/md0").ok();
    assert_eq!(vm::mdadm(&format!("--assemble /dev/md0 {two}")).ok().stderr, "");
    vm::mdadm("--stop /dev/md0").ok();
    vm::mdadm(&format!("--incremental {}", disks[1])).ok();
    assert_eq!(vm::mdadm(&format!("--incremental {}", disks[2])).ok().stderr.lines().count(), 1);
}

#[test]
fn a_start_that_the_kernel_refuses_puts_back_what_was_written() {
    let disks = made(2, "-l0 -n2");
    // Only one of two members: the kernel refuses it, after the name was written.
    let before = vm::sh("cat /mnt/disk* | md5sum");
    let out = vm::mdadm(&format!("--assemble --run --update=name --name=x /dev/md0 {}", disks[0]));
    assert_eq!(out.status, 1);
    assert!(out.stderr.contains("failed to RUN_ARRAY /dev/md0: Invalid argument"), "{}", out.stderr);
    assert!(out.stderr.contains(&format!("what had been written to {} was put back", disks[0])), "{}", out.stderr);
    assert_eq!(vm::sh("cat /mnt/disk* | md5sum"), before);
    assert!(!exists("/sys/block/md0"));
}

#[test]
fn cloned_disks_are_refused_with_a_table_and_nothing_is_written() {
    let d = vm::disks(4, 24 * MIB);
    mdadm(&format!("--create /dev/md/foo --run -q --assume-clean -b none -l1 -n2 {} {}", d[0], d[1])).ok();
    mdadm("--stop -q /dev/md/foo").ok();
    for n in [0, 1] {
        sh(&format!("dd if={} of={} bs=1M oflag=direct status=none", d[n], d[n + 2]));
    }
    let sums = || sh("sync; md5sum /mnt/disk*");
    let before = sums();
    for line in ["--assemble --scan --homehost=<ignore>", &format!("--assemble /dev/md/foo {}", d.join(" "))] {
        let out = mdadm(line);
        assert_eq!(out.status, 1, "{line}: {}", out.stderr);
        assert!(out.stderr.contains("of cloned disks nothing tells which belong together"), "{line}: {}", out.stderr);
        assert!(d.iter().all(|disk| out.stderr.contains(&format!("  {disk}  "))), "{line}: {}", out.stderr);
        assert!(!vm::mdstat().contains("md127"), "{line}");
    }
    assert_eq!(sums(), before);
    // The way out that is named: the others get a uuid of their own.
    mdadm(&format!("--assemble --update=uuid /dev/md/new {} {}", d[2], d[3])).ok();
    mdadm("--stop -q /dev/md/new").ok();
    assert_eq!(mdadm("--assemble --scan --homehost=<ignore>").ok().stdout.matches("with 2 drives").count(), 2);
    mdadm("--stop -q --scan").ok();
    // A superblock of a version that is still to come is named.
    sh(&format!("printf '\\002' | dd of={} bs=1 seek=4100 conv=notrunc status=none; sync", d[0]));
    let said = "major_version is 2, which is newer than this mdadm knows";
    assert!(mdadm(&format!("--examine {}", d[0])).stderr.contains(said));
    assert!(mdadm("--assemble --scan --homehost=<ignore>").stderr.contains(said));
}
