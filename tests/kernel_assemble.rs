//! Stopping and assembling, in the guest.
#[path = "vm/mod.rs"]
mod vm;

use vm::{MIB, Output};

/// A raid1 of two disks, in sync, made by ours.
fn raid1(node: &str, disks: &[String]) {
    let n = disks.len();
    vm::mdadm(&format!("--create {node} --run -q -l1 -n{n} --assume-clean {}", disks.join(" "))).ok();
}

fn said(status: i32, stdout: &str, stderr: &str) -> Output {
    Output { status, stdout: stdout.into(), stderr: stderr.into() }
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
    let out = vm::mdadm("--stop /dev/md0");
    assert_eq!((out.status, &out), (1, &vm::reference("--stop /dev/md0")));
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
