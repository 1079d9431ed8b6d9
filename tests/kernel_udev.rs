//! With a real udev in the guest: its rules run our `mdadm --detail --export`, and make the links of arrays.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use std::path::Path;

use vm::{MIB, Output, run, sh};

/// The rules that `make install` installs.
const OURS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/udev");

/// Installs udev, md's rules from a folder and our program over the guest's own files, and starts udevd.
fn start_udev_with(rules: &str) {
    let udev = run(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle/fetch-udev"), &[], "").ok().stdout;
    sh(&format!(
        "cp -a {}/. / ; rm -f /usr/lib/udev/rules.d/*md-raid*; cp {rules}/*md-raid* /usr/lib/udev/rules.d/
         cp {} /usr/sbin/mdadm; hostname myhost
         SYSTEMD_IGNORE_CHROOT=1 /usr/lib/systemd/systemd-udevd --daemon >/dev/null 2>&1
         [ -d /run/udev ]",
        udev.trim_end(),
        env!("CARGO_BIN_EXE_mdadm"),
    ));
}

/// The same with our own rules.
fn start_udev() {
    start_udev_with(OURS);
}

/// Those of the reference's package.
fn reference_rules() -> String {
    Path::new(vm::reference_path()).parent().unwrap().join("root/usr/lib/udev/rules.d").display().to_string()
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

/// What udev knows of an array and its partition: links and properties, sorted.
fn known(device: &str) -> Vec<String> {
    let info = sh(&format!("SYSTEMD_IGNORE_CHROOT=1 udevadm settle; udevadm info {device}"));
    let changing = ["USEC_INITIALIZED", "E: DISKSEQ", "Q: ", "S: ", "L: "];
    let mut lines: Vec<String> =
        info.lines().filter(|l| !changing.iter().any(|c| l.contains(c))).map(str::to_owned).collect();
    for line in &mut lines {
        if let Some(links) = line.strip_prefix("E: DEVLINKS=") {
            let mut links: Vec<&str> = links.split(' ').filter(|l| !l.contains("diskseq")).collect();
            links.sort_unstable();
            *line = format!("links {}", links.join(" "));
        }
    }
    lines.sort();
    lines
}

#[test]
fn our_rules_give_arrays_and_partitions_the_links_and_properties_that_the_references_rules_give() {
    start_udev_with(OURS);
    let disks = vm::disks(2, 40 * MIB).join(" ");
    let uuid = "01234567:89abcdef:fedcba98:76543210";
    let mut seen = Vec::new();
    for rules in [OURS.to_owned(), reference_rules()] {
        sh(&format!(
            "rm -f /usr/lib/udev/rules.d/*md-raid*; cp {rules}/0*md-raid-creating* {rules}/63-md-raid* /usr/lib/udev/rules.d/
             SYSTEMD_IGNORE_CHROOT=1 udevadm control --reload"
        ));
        let arrays = [
            ("/dev/md/foo", "foo", "-l1 -n2 --bitmap=none"),
            ("/dev/md/r4", "r4", "-l0 -n2"),
            ("/dev/md127", "a b$x", "-l1 -n2 --bitmap=none"),
        ];
        for (path, name, kind) in arrays {
            let mut words = vec!["-u", "MDADM_NO_UDEV", "/usr/sbin/mdadm", "--create", path, "--run", "-q", "-N", name];
            words.extend(["--uuid", uuid, "--homehost=myhost"]);
            words.extend(kind.split(' ').chain(disks.split(' ')));
            run("env", &words, "").ok();
            // Both have a file system, with a label and a uuid.
            sh("printf 'label: dos\nlabel-id: 0x12345678\n2048,16384,L\n' | sfdisk -q /dev/md127");
            vm::wait_until(std::time::Duration::from_secs(10), "the partition is there", || is_device("/dev/md127p1"));
            sh(
                "mke2fs -q -F -U 01234567-89ab-cdef-fedc-ba9876543210 -L lab /dev/md127p1; SYSTEMD_IGNORE_CHROOT=1 udevadm trigger -c change /dev/md127p1",
            );
            seen.push(known("/dev/md127"));
            seen.push(known("/dev/md127p1"));
            mdadm("--stop /dev/md127").ok();
        }
    }
    let (ours, theirs) = seen.split_at(seen.len() / 2);
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert_eq!(ours, theirs);
    }
    let first = ours[0].join("\n");
    for word in ["/dev/md/foo ", "/dev/disk/by-id/md-uuid-01234567:89abcdef", "SYSTEMD_WANTS=mdmonitor.service"] {
        assert!(format!("{first} ").replace('\n', " \n").contains(word), "no {word} in {first}");
    }
    let part = ours[1].join("\n");
    for word in ["/dev/md/foo1", "/dev/disk/by-label/lab", "-part1"] {
        assert!(part.contains(word), "no {word} in {part}");
    }
    assert!(ours[3].join("\n").contains("/dev/md/r4p1"), "{:?}", ours[3]);
}
