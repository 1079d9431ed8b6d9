//! What a command overwrites is saved before, and `--restore-saved` puts it back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "vm/mod.rs"]
mod vm;

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt};

use vm::{MIB, Output, disks, mdadm, reference, run, sh};

const DIR: &str = "/var/lib/mdadm-rs";

/// The files, the oldest first.
fn files(dir: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut all: Vec<(std::time::SystemTime, String)> = entries
        .map(|e| e.unwrap())
        .map(|e| (e.metadata().unwrap().modified().unwrap(), e.path().to_str().unwrap().to_owned()))
        .collect();
    all.sort();
    all.into_iter().map(|f| f.1).collect()
}

/// The file that a note on stderr names.
fn named(out: &Output) -> String {
    let (_, rest) = out.stderr.split_once("--restore-saved ").unwrap_or_else(|| panic!("no note in: {}", out.stderr));
    rest.lines().next().unwrap().to_owned()
}

fn hash(devices: &[String]) -> String {
    sh(&format!("sha256sum {}", devices.join(" ")))
}

#[test]
fn an_array_that_was_created_over_comes_back_with_its_data() {
    let members = disks(3, 40 * MIB);
    let list = members.join(" ");
    for (n, (meta, bitmap)) in
        [("1.2", "internal"), ("1.0", "none"), ("1.1", "lockless"), ("1.2", "lockless")].iter().enumerate()
    {
        let (seed, bitmap) = (n as u64, vm::or_internal(bitmap));
        mdadm(&format!("--create /dev/md0 -q -R -e{meta} -l5 -n3 -b {bitmap} --assume-clean {list}")).ok();
        vm::write_pattern("/dev/md0", 0, 16 * MIB, seed);
        mdadm("--stop /dev/md0").ok();
        let before = hash(&members);
        let over = &vm::or_internal("--create /dev/md0 -R -l5 -n3 -b lockless --assume-clean");
        let out = mdadm(&format!("{over} {} {} {}", members[2], members[1], members[0])).ok();
        let file = named(&out);
        assert_ne!(hash(&members), before);
        mdadm("--stop /dev/md0").ok();
        let out = mdadm(&format!("--restore-saved {file}")).ok();
        assert!(out.stdout.ends_with(&format!("mdadm: restored {}, {}, {}\n", members[2], members[1], members[0])));
        mdadm(&format!("--assemble /dev/md0 {list}")).ok();
        assert_eq!(vm::attr("md0", "degraded"), "0");
        assert!(vm::verify_pattern("/dev/md0", 0, 16 * MIB, seed).is_empty(), "{meta} {bitmap}");
        mdadm("--stop /dev/md0").ok();
        mdadm(&format!("--zero-superblock -q {list}")).ok();
    }
}

#[test]
fn blank_disks_leave_no_trace_and_the_options_say_where_and_whether() {
    let members = disks(2, 20 * MIB);
    let create = format!("--create /dev/md0 -R -l1 -n2 -b internal --assume-clean {}", members.join(" "));
    let out = mdadm(&create).ok();
    assert!(!out.stderr.contains("saved") && files(DIR).is_empty(), "{}", out.stderr);
    mdadm("--stop /dev/md0").ok();
    for (more, dir, count, says) in [
        ("--saved-metadata=none", DIR, 0, false),
        ("", DIR, 1, true),
        ("-q", DIR, 2, false),
        ("--saved-metadata=/mnt/else", "/mnt/else", 1, true),
        ("--saved-metadata /mnt/else -q", "/mnt/else", 2, false),
    ] {
        let out = mdadm(&format!("{create} {more}")).ok();
        assert_eq!((files(dir).len(), out.stderr.contains("--restore-saved")), (count, says), "{more}: {}", out.stderr);
        mdadm("--stop /dev/md0").ok();
    }
    let mode = |path: &str| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(DIR), mode("/mnt/else"), mode(&files(DIR)[0])), (0o700, 0o700, 0o600));
}

#[test]
fn the_plan_shows_what_would_be_saved_and_saves_nothing() {
    let members = disks(2, 20 * MIB);
    mdadm(&format!("--create /dev/md0 -q -R -l1 -n2 -b internal --assume-clean {}", members.join(" "))).ok();
    mdadm("--stop /dev/md0").ok();
    let out = mdadm(&format!("--zero-superblock --plan {}", members[0])).ok();
    let m = &members[0];
    assert_eq!(
        out.stdout,
        format!(
            "save   {m} bytes 4096..8192 in {DIR}: superblock, metadata 1.2
save   {m} bytes 8192..12288 in {DIR}: bitmap, metadata 1.2
save   {m} bytes 12288..16384 in {DIR}: bad-block log, metadata 1.2
write  {m} bytes 4096..4608: zero the superblock, metadata 1.2
sync   {m}
"
        )
    );
    let json = mdadm(&format!("--zero-superblock --plan --json {}", members[0])).ok().stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json[0]["steps"][0]["step"], &json[0]["steps"][0]["directory"]), (&"save".into(), &DIR.into()));
    let out = mdadm(&format!("--zero-superblock --plan --saved-metadata=none {}", members[0])).ok();
    assert!(out.stdout.starts_with("write "), "{}", out.stdout);
    assert!(files(DIR).is_empty());
}

#[test]
fn what_was_zeroed_or_added_elsewhere_comes_back_as_it_was() {
    let members = disks(5, 20 * MIB);
    mdadm(&format!("--create /dev/md0 -q -R -l1 -n2 -b internal --assume-clean {} {}", members[0], members[1])).ok();
    let lockless = vm::or_internal("-b lockless --assume-clean");
    mdadm(&format!("--create /dev/md1 -q -R -l1 -n2 {lockless} {} {}", members[2], members[3])).ok();
    reference(&format!("--create /dev/md2 -q -R -e0.90 -l1 -n2 -b internal --assume-clean {} missing", members[4]))
        .ok();
    mdadm("--stop /dev/md0 /dev/md2").ok();
    let before = hash(&members[0..1]);
    let added = mdadm(&format!("/dev/md1 --add {}", members[0])).ok();
    assert!(added.stderr.contains("is saved"), "{}", added.stderr);
    mdadm("--stop /dev/md1").ok();
    assert_ne!(hash(&members[0..1]), before);
    mdadm(&format!("--restore-saved {}", named(&added))).ok();
    assert_eq!(hash(&members[0..1]), before);
    // Several devices: one file, one line.
    let (two, count) = ([members[1].clone(), members[4].clone()], files(DIR).len());
    let before = hash(&two);
    let zeroed = mdadm(&format!("--zero-superblock {}", two.join(" "))).ok();
    assert_eq!((zeroed.stderr.matches("--restore-saved").count(), files(DIR).len()), (1, count + 1));
    assert_ne!(hash(&two), before);
    mdadm(&format!("--restore-saved {}", named(&zeroed))).ok();
    assert_eq!(hash(&two), before);
}

#[test]
fn an_update_saves_the_superblocks_that_it_edits() {
    let members = disks(2, 20 * MIB);
    let list = members.join(" ");
    mdadm(&format!("--create /dev/md0 -q -R -l1 -n2 -N old -b internal --assume-clean {list}")).ok();
    mdadm("--stop /dev/md0").ok();
    let name = || sh(&format!("{} --examine {} | grep Name", env!("CARGO_BIN_EXE_mdadm"), members[0]));
    let before = hash(&members);
    let out = mdadm(&format!("--assemble /dev/md0 --update=name --name=new {list}")).ok();
    assert!(name().contains("new"));
    mdadm("--stop /dev/md0").ok();
    let text = mdadm(&format!("--restore-saved {}", named(&out))).ok().stdout;
    assert!(text.contains("guest:new") && text.contains("guest:old"), "{text}");
    assert_eq!(hash(&members), before);
    assert!(fs::metadata(named(&out)).unwrap().len() < 4096, "an edit saves no bitmap");
}

#[test]
fn what_was_forced_in_or_made_absent_comes_back_as_it_was() {
    let members = disks(3, 20 * MIB);
    let list = members.join(" ");
    mdadm(&format!("--create /dev/md0 -q -R -l5 -n3 -b none --assume-clean {list}")).ok();
    mdadm(&format!("/dev/md0 --fail {}", members[2])).ok();
    vm::write_pattern("/dev/md0", 0, MIB, 1);
    mdadm("--stop /dev/md0").ok();
    // Read-only and without a bitmap: nobody else writes.
    let force = format!("--assemble --force --readonly /dev/md0 {} {}", members[0], members[2]);
    for line in [force, format!("--ensure-absent /dev/md0 {list}")] {
        let (before, count) = (hash(&members), files(DIR).len());
        let out = mdadm(&line).ok();
        assert!(files(DIR).len() == count + 1 && files(DIR).contains(&named(&out)), "{line}: {}", out.stderr);
        mdadm("--stop --scan").ok();
        assert_ne!(hash(&members), before, "{line}");
        mdadm(&format!("--restore-saved {}", named(&out))).ok();
        assert_eq!(hash(&members), before, "{line}");
    }
}

#[test]
fn a_device_that_is_used_or_another_one_is_refused_and_all_others_with_it() {
    let members = disks(2, 20 * MIB);
    let list = members.join(" ");
    let create = format!("--create /dev/md0 -R -l1 -n2 -b internal --assume-clean {list}");
    mdadm(&format!("{create} -q")).ok();
    mdadm("--stop /dev/md0").ok();
    let file = named(&mdadm(&create).ok());
    let refused = |words: &[&str]| {
        let before = hash(&members);
        let out = mdadm(&format!("--restore-saved {file}"));
        assert_eq!((out.status, out.stdout.as_str()), (1, ""), "{}", out.stderr);
        words.iter().for_each(|w| assert!(out.stderr.contains(w), "{w} in {}", out.stderr));
        assert_eq!(hash(&members), before);
    };
    refused(&["busy", "is a member of /dev/md0", "nothing was written"]);
    mdadm("--stop /dev/md0").ok();
    // One member held by device-mapper: the other is left alone too, unless it is named.
    sh(&format!("dmsetup create hold --table '0 8 linear {} 0'; dmsetup mknodes", members[1]));
    refused(&["in use by /dev/mapper/hold"]);
    sh("dmsetup remove hold");
    // The array of before runs elsewhere, from a copy of a member.
    sh(&format!("mkdir /mnt/save; cp {file} /mnt/save/x"));
    let copy = vm::disk(20 * MIB);
    mdadm(&format!("--restore-saved {file} {}", members[0])).ok();
    sh(&format!("cat {} >{copy}; sync", members[0]));
    mdadm(&format!("--assemble --run /dev/md5 {copy}")).ok();
    let out = mdadm(&format!("--restore-saved /mnt/save/x {}", members[1]));
    assert_eq!(out.status, 1);
    assert!(out.stderr.contains("its array runs as /dev/md5"), "{}", out.stderr);
    // Another device under the same name.
    mdadm("--stop /dev/md5").ok();
    sh(&format!("losetup -d {m}; truncate -s 20M /mnt/other; losetup {m} /mnt/other", m = members[1]));
    let out = mdadm(&format!("--restore-saved {file} {}", members[1]));
    assert_eq!(out.status, 1);
    assert!(out.stderr.contains("its loop_file is /mnt/other, that of the saved one was /mnt/disk1"), "{}", out.stderr);
    sh(&format!("losetup -d {m}; truncate -s 30M /mnt/disk1; losetup {m} /mnt/disk1", m = members[1]));
    let out = mdadm(&format!("--restore-saved {file} {}", members[1]));
    assert!(out.status == 1 && out.stderr.contains("it has 31457280 bytes, that had 20971520"), "{}", out.stderr);
}

#[test]
fn a_device_that_has_another_name_by_now_is_found() {
    let member = vm::disk(20 * MIB);
    mdadm(&format!("--create /dev/md0 -q -R -f -l1 -n1 --assume-clean {member}")).ok();
    mdadm("--stop /dev/md0").ok();
    let before = hash(std::slice::from_ref(&member));
    let file = named(&mdadm(&format!("--zero-superblock {member}")).ok());
    sh(&format!("losetup -d {member}; losetup /dev/loop7 /mnt/disk0"));
    let out = mdadm(&format!("--restore-saved {file}")).ok();
    assert!(out.stderr.contains(&format!("note: {member} is /dev/loop7 now")), "{}", out.stderr);
    assert_eq!(hash(&["/dev/loop7".into()]).split(' ').next(), before.split(' ').next());
    // And is not written again.
    let json = mdadm(&format!("--restore-saved {file} --json")).ok().stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json[0]["changed"], &json[0]["devices"][0]["device"]), (&false.into(), &"/dev/loop7".into()));
    let out = mdadm(&format!("--restore-saved {file} --plan")).ok();
    assert_eq!(out.stdout, "");
}

#[test]
fn a_damaged_file_or_none_is_refused_with_status_2() {
    let member = vm::disk(20 * MIB);
    mdadm(&format!("--create /dev/md0 -q -R -f -l1 -n1 --assume-clean {member}")).ok();
    mdadm("--stop /dev/md0").ok();
    let file = named(&mdadm(&format!("--zero-superblock {member}")).ok());
    let handle = File::options().write(true).open(&file).unwrap();
    handle.write_all_at(b"X", handle.metadata().unwrap().len() / 2).unwrap();
    let before = hash(std::slice::from_ref(&member));
    for (file, why) in [
        (file.as_str(), "it is damaged"),
        ("/mnt/none", "No such file or directory"),
        ("/mnt", "it is no plain file"),
        ("/dev/zero", "it is no plain file"),
        ("/bin/true", "it is no file of saved metadata"),
    ] {
        let out = mdadm(&format!("--restore-saved {file}"));
        assert_eq!((out.status, out.stdout.as_str()), (2, ""));
        assert!(out.stderr.contains(why) && out.stderr.lines().count() == 1, "{}", out.stderr);
        for (plan, schema) in [("", "mdadm-rs/restore-saved/1"), (" --plan", "mdadm-rs/plan/1")] {
            let out = mdadm(&format!("--restore-saved {file} --json{plan}"));
            let json: serde_json::Value = serde_json::from_str(&out.stdout).unwrap();
            assert_eq!((out.status, &json[0]["schema"]), (2, &schema.into()));
            assert!(json[0]["error"].as_str().unwrap().contains(why) && json[0]["changed"] != true, "{json}");
        }
    }
    assert_eq!(hash(std::slice::from_ref(&member)), before);
}

/// Runs our mdadm with a terminal as its input.
fn at_a_terminal(line: &str) -> Output {
    let command = format!("{} {line}; echo rc=$?", env!("CARGO_BIN_EXE_mdadm"));
    run("script", &["-qec", &command, "/dev/null"], "")
}

#[test]
fn where_nothing_can_be_saved_scripts_go_on_and_people_are_stopped() {
    let members = disks(2, 20 * MIB);
    let create = format!("--create /dev/md0 -R -l1 -n2 -b internal --assume-clean {}", members.join(" "));
    mdadm(&format!("{create} -q")).ok();
    mdadm("--stop /dev/md0").ok();
    let before = hash(&members);
    sh("mount -t tmpfs -o ro none /var/lib");
    for line in [create.clone(), format!("--zero-superblock {}", members[0])] {
        let out = at_a_terminal(&line);
        assert!(out.stdout.contains("rc=1"), "{}", out.stdout);
        assert!(out.stdout.contains("cannot be saved: cannot write to /var/lib/mdadm-rs: Read-only file system"));
        assert!(out.stdout.contains("--saved-metadata=none goes on without"), "{}", out.stdout);
        assert_eq!(hash(&members), before);
        assert!(!fs::exists("/sys/block/md0/md").unwrap());
    }
    let out = mdadm(&create).ok();
    assert!(out.stderr.contains("is not saved: cannot write to /var/lib/mdadm-rs: Read-only"), "{}", out.stderr);
    mdadm("--stop /dev/md0").ok();
    let out = at_a_terminal(&format!("--zero-superblock --saved-metadata=none {}", members[0]));
    assert!(out.stdout.contains("rc=0") && !out.stdout.contains("saved"), "{}", out.stdout);
    // A directory that anybody can write to is no place for it.
    sh("umount /var/lib; mkdir -p /mnt/open; chmod 777 /mnt/open");
    let out = mdadm(&format!("--zero-superblock --saved-metadata=/mnt/open {}", members[1])).ok();
    assert!(out.stderr.contains("others may write to it"), "{}", out.stderr);
    assert!(files("/mnt/open").is_empty());
}

#[test]
fn the_file_is_durable_before_the_first_byte_is_overwritten() {
    let member = vm::disk(20 * MIB);
    mdadm(&format!("--create /dev/md0 -q -R -f -l1 -n1 --assume-clean {member}")).ok();
    mdadm("--stop /dev/md0").ok();
    let calls = sh(&format!(
        "strace -y -e trace=write,pwrite64,fsync -o /mnt/calls {} --zero-superblock {member} >/dev/null; cat /mnt/calls",
        env!("CARGO_BIN_EXE_mdadm")
    ));
    let at = |what: &dyn Fn(&str) -> bool| calls.lines().position(what).unwrap_or_else(|| panic!("{calls}"));
    let file = at(&|l| l.starts_with("fsync(") && l.contains(".saved>"));
    let dir = at(&|l| l.starts_with("fsync(") && l.contains("/mdadm-rs>"));
    let device = at(&|l| l.starts_with("pwrite64(") && l.contains(&member));
    assert!(file < dir && dir < device, "{calls}");
}

#[test]
fn metadata_0_90_and_1_x_come_back_from_under_each_other() {
    let members = disks(2, 20 * MIB);
    let list = members.join(" ");
    for (old, new) in [("0.90", "1.2"), ("1.0", "0.90"), ("0.90", "0.90"), ("1.2", "1.0")] {
        mdadm(&format!("--create /dev/md0 -q -R -e{old} -l1 -n2 -b internal --assume-clean {list}")).ok();
        vm::write_pattern("/dev/md0", 4 * MIB, 4 * MIB, 3);
        mdadm("--stop /dev/md0").ok();
        let out = mdadm(&format!("--create /dev/md0 -R -e{new} -l1 -n2 -b internal --assume-clean {list}")).ok();
        mdadm("--stop /dev/md0").ok();
        mdadm(&format!("--restore-saved {}", named(&out))).ok();
        mdadm(&format!("--assemble /dev/md0 {list}")).ok();
        assert!(vm::verify_pattern("/dev/md0", 4 * MIB, 4 * MIB, 3).is_empty(), "{old} {new}");
        assert_eq!(vm::attr("md0", "metadata_version"), old);
        mdadm("--stop /dev/md0").ok();
        mdadm(&format!("--zero-superblock -q {list}")).ok();
    }
}

#[test]
fn what_is_too_long_for_a_file_is_left_out_and_that_is_said() {
    let members = disks(2, 20 * MIB);
    mdadm(&format!("--create /dev/md0 -q -R -l1 -n2 -b internal --assume-clean {}", members.join(" "))).ok();
    mdadm("--stop /dev/md0").ok();
    // A bitmap that claims to be of 2^63 sectors; what is past the device or 8 MiB is not looked at.
    let disk = File::options().write(true).open(&members[0]).unwrap();
    disk.write_all_at(&(1u64 << 50).to_le_bytes(), 8192 + 40).unwrap();
    sh("sync");
    let out = mdadm(&format!("--zero-superblock {}", members[0])).ok();
    assert!(out.stderr.contains("is saved in part; to put it back"), "{}", out.stderr);
    let text = mdadm(&format!("--restore-saved {}", named(&out))).ok().stdout;
    assert!(text.contains(", in part, before:"), "{text}");
    mdadm(&format!("--examine {}", members[0])).ok();
}
