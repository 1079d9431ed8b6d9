//! With a real udev in the guest: its rules run our `mdadm --detail --export`, and make the links of arrays.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use std::path::Path;

use vm::{MIB, Output, run, sh};

/// Installs udev, md's rules (those of the reference's package) and our program over the guest's own files, and starts udevd.
fn start_udev() {
    let udev = run(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle/fetch-udev"), &[], "").ok().stdout;
    let rules = Path::new(vm::reference_path()).parent().unwrap().join("root/usr/lib/udev/rules.d");
    sh(&format!(
        "cp -a {}/. / ; cp {}/*md-raid* /usr/lib/udev/rules.d/; cp {} /usr/sbin/mdadm; hostname myhost
         SYSTEMD_IGNORE_CHROOT=1 /usr/lib/systemd/systemd-udevd --daemon >/dev/null 2>&1
         [ -d /run/udev ]",
        udev.trim_end(),
        rules.display(),
        env!("CARGO_BIN_EXE_mdadm"),
    ));
}

/// Our program with udev: the harness says MDADM_NO_UDEV=1 else.
fn mdadm(line: &str) -> Output {
    let mut words = vec!["-u", "MDADM_NO_UDEV", "/usr/sbin/mdadm"];
    words.extend(line.split(' '));
    run("env", &words, "")
}

fn is_device(path: &str) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::metadata(path).is_ok_and(|m| m.file_type().is_block_device())
}

#[test]
fn links_are_there_when_create_and_assemble_return_and_gone_when_stop_returns() {
    start_udev();
    // udev gets there late.
    sh("(while :; do :; done) >/dev/null 2>&1 &");
    let disks = vm::disks(2, 40 * MIB).join(" ");
    for round in 0..15 {
        mdadm(&format!("--create foo --run -q -l1 -n2 --assume-clean --bitmap=none {disks}")).ok();
        assert!(is_device("/dev/md/foo"), "no link after create {round}");
        mdadm("--stop /dev/md/foo").ok();
        assert!(Path::new("/dev/md/foo").symlink_metadata().is_err(), "a link stays after stop {round}");
        mdadm(&format!("--assemble /dev/md/foo {disks}")).ok();
        assert!(is_device("/dev/md/foo"), "no link after assemble {round}");
        mdadm("--stop /dev/md/foo").ok();
        assert!(Path::new("/dev/md/foo").symlink_metadata().is_err(), "a link stays after stop {round}");
    }
    assert_eq!(sh("ls -A /run/mdadm; cat /run/mdadm/map"), "map\n");
}

#[test]
fn udev_makes_its_links_and_properties_from_our_export() {
    let words = vm::or_internal("-l5 -n3 --bitmap=lockless");
    start_udev();
    let disks = vm::disks(3, 40 * MIB).join(" ");
    mdadm(&format!("--create foo --run -q {words} {disks}")).ok();
    let info = sh("sleep 0.5; SYSTEMD_IGNORE_CHROOT=1 udevadm settle; udevadm info /dev/md/foo");
    for property in [
        "MD_LEVEL=raid5",
        "MD_DEVICES=3",
        "MD_METADATA=1.2",
        "MD_DEVNAME=foo",
        "MD_NAME=myhost:foo",
        "MD_BITMAP_TYPE=lockless",
    ] {
        if property == "MD_BITMAP_TYPE=lockless" && words.contains("internal") {
            continue;
        }
        assert!(info.contains(&format!("E: {property}\n")), "no {property} in {info}");
    }
    assert!(is_device("/dev/disk/by-id/md-name-myhost:foo"), "{info}");
    let uuid = info.lines().find_map(|l| l.strip_prefix("E: MD_UUID=")).unwrap();
    assert!(is_device(&format!("/dev/disk/by-id/md-uuid-{uuid}")), "{info}");
    mdadm("--stop /dev/md/foo").ok();
}

#[test]
fn a_name_in_the_map_file_stands_for_its_array_while_its_link_is_not_there() {
    start_udev();
    let disks = vm::disks(2, 40 * MIB).join(" ");
    mdadm(&format!("--create foo --run -q -l1 -n2 --assume-clean --bitmap=none {disks}")).ok();
    sh("SYSTEMD_IGNORE_CHROOT=1 udevadm settle; rm /dev/md/foo");
    mdadm("--readonly /dev/md/foo").ok();
    mdadm("--stop /dev/md/foo").ok();
    assert!(!Path::new("/sys/block/md127").exists());
}
