//! Arrays that go from one kernel to another, and a kernel without md: guests that are booted one after the other on the same disks.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use std::path::{Path, PathBuf};

use vm::{MIB, boot_self, disk_file, mdadm, sh};

const NEWEST: &[(&str, String)] = &[];

fn older() -> Vec<(&'static str, String)> {
    vec![("MDADM_TEST_KERNEL", "older".to_owned())]
}

fn disk_files(dir: &Path, count: usize) -> Vec<PathBuf> {
    (0..count).map(|n| disk_file(dir, &format!("disk{n}"), 40 * MIB)).collect()
}

#[test]
fn an_array_of_the_newest_kernel_is_refused_by_an_older_one_with_the_reason() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let disks = disk_files(dir.path(), 6);
    boot_self(&disks, "guest_makes_arrays_that_take_a_new_kernel", NEWEST).finish().ok();
    boot_self(&disks, "guest_is_too_old_for_these_arrays", &older()).finish().ok();
    boot_self(&disks, "guest_has_these_arrays_as_they_were", NEWEST).finish().ok();
}

/// The pairs of disks, and the options of the array on each.
const PAIRS: [(&str, &str); 2] = [("/dev/ubda /dev/ubdb", "internal"), ("/dev/ubdc /dev/ubdd", "lockless")];

#[test]
#[ignore = "runs in a guest, booted by an_array_of_the_newest_kernel_is_refused_by_an_older_one_with_the_reason"]
fn guest_makes_arrays_that_take_a_new_kernel() {
    for (pair, bitmap) in PAIRS {
        let out = mdadm(&format!("--create /dev/md0 --run -l1 -n2 --assume-clean --bitmap={bitmap} {pair}")).ok();
        assert!(out.stderr.contains("only Linux 6.19 and later can assemble the array"), "{}", out.stderr);
        vm::write_pattern("/dev/md0", 0, 8 * MIB, 6);
        mdadm("--stop /dev/md0").ok();
    }
    // Told that older kernels are to assemble it, it holds nothing that they do not know.
    let create = "--create /dev/md0 --run -l1 -n2 --assume-clean --compat-kernel=6.1 /dev/ubde /dev/ubdf";
    for more in ["--bitmap=lockless", "--bitmap=none --logical-block-size=4096"] {
        let out = mdadm(&format!("{create} {more}"));
        assert!(out.status == 1 && out.stderr.contains("Linux 6.1 cannot assemble"), "{out:?}");
        assert_eq!(mdadm("--examine /dev/ubde").status, 1);
    }
    let out = mdadm(&format!("{create} --bitmap=internal")).ok();
    assert!(!out.stderr.contains("can assemble"), "{}", out.stderr);
    assert_eq!(
        (vm::attr("md0", "logical_block_size").as_str(), vm::attr("md0", "sync_action").as_str()),
        ("0", "idle")
    );
    vm::write_pattern("/dev/md0", 0, 8 * MIB, 7);
    mdadm("--stop /dev/md0").ok();
}

#[test]
#[ignore = "runs in a guest, booted by an_array_of_the_newest_kernel_is_refused_by_an_older_one_with_the_reason"]
fn guest_is_too_old_for_these_arrays() {
    let content = || sh("sync; echo 3 >/proc/sys/vm/drop_caches; cat /dev/ubd[a-d] | sha256sum");
    let before = content();
    for (pair, bitmap) in PAIRS {
        for how in ["", "--update=name --name=x", "--readonly"] {
            let out = mdadm(&format!("--assemble /dev/md0 {how} {pair}"));
            assert_eq!(out.status, 1, "{bitmap} {how}: {}", out.stdout);
            assert!(out.stderr.contains("takes Linux 6.19 or later"), "{bitmap} {how}: {}", out.stderr);
            assert_eq!(out.stderr.contains("takes Linux 6.18 or later"), bitmap == "lockless", "{}", out.stderr);
            assert!(!Path::new("/sys/block/md0").exists() && !Path::new("/dev/md0").exists(), "{bitmap} {how}");
        }
        for disk in pair.split(' ') {
            assert!(mdadm(&format!("-E -v {disk}")).ok().stdout.contains("Oldest Kernel : 6.19"), "{disk}");
        }
        let bitmap_of = mdadm(&format!("--examine-bitmap {pair}")).ok();
        assert_eq!(bitmap_of.stdout.contains("lockless"), bitmap == "lockless", "{}", bitmap_of.stdout);
    }
    assert_eq!(content(), before);
    mdadm("--assemble /dev/md0 /dev/ubde /dev/ubdf").ok();
    assert_eq!(vm::verify_pattern("/dev/md0", 0, 8 * MIB, 7), [0; 0]);
    mdadm("--stop /dev/md0").ok();
    // The rescue system can take the record away.
    let out = mdadm("--assemble /dev/md0 /dev/ubda /dev/ubdb");
    assert!(out.stderr.contains("--update=no-logical-block-size"), "{}", out.stderr);
    mdadm("--assemble /dev/md0 --update=no-logical-block-size /dev/ubda /dev/ubdb").ok();
    assert_eq!(vm::verify_pattern("/dev/md0", 0, 8 * MIB, 6), [0; 0]);
    mdadm("--stop /dev/md0").ok();
}

#[test]
#[ignore = "runs in a guest, booted by an_array_of_the_newest_kernel_is_refused_by_an_older_one_with_the_reason"]
fn guest_has_these_arrays_as_they_were() {
    for (pair, _) in PAIRS {
        mdadm(&format!("--assemble /dev/md0 {pair}")).ok();
        assert_eq!(vm::attr("md0", "degraded"), "0");
        assert_eq!(vm::verify_pattern("/dev/md0", 0, 8 * MIB, 6), [0; 0]);
        let records = vm::attr("md0", "logical_block_size");
        assert_eq!(records, if pair.contains("ubda") { "0" } else { "512" });
        mdadm("--stop /dev/md0").ok();
    }
    mdadm("--assemble /dev/md0 /dev/ubde /dev/ubdf").ok();
    assert_eq!(vm::attr("md0", "logical_block_size"), "0");
    assert_eq!(vm::verify_pattern("/dev/md0", 0, 8 * MIB, 7), [0; 0]);
    mdadm("--stop /dev/md0").ok();
    // Larger sectors than the members' must stay recorded.
    mdadm("--create /dev/md0 --run -l1 -n2 --assume-clean -b none --logical-block-size=4096 /dev/ubdc /dev/ubdd").ok();
    mdadm("--stop /dev/md0").ok();
    let out = mdadm("--assemble /dev/md0 --update=no-logical-block-size /dev/ubdc /dev/ubdd");
    assert!(out.status == 1 && out.stderr.contains("the array has sectors of 4096 bytes"), "{out:?}");
}

#[test]
fn an_array_of_an_older_kernel_goes_to_the_newest_and_back() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let disks = disk_files(dir.path(), 3);
    boot_self(&disks, "guest_makes_a_raid5", &older()).finish().ok();
    boot_self(&disks, "guest_assembles_the_raid5", NEWEST).finish().ok();
    boot_self(&disks, "guest_assembles_the_raid5", &older()).finish().ok();
}

#[test]
#[ignore = "runs in a guest, booted by an_array_of_an_older_kernel_goes_to_the_newest_and_back"]
fn guest_makes_a_raid5() {
    let out = mdadm("--create /dev/md0 --run -l5 -n3 --bitmap=internal /dev/ubda /dev/ubdb /dev/ubdc").ok();
    assert!(!out.stderr.contains("can assemble"), "{}", out.stderr);
    vm::write_pattern("/dev/md0", 0, 16 * MIB, 4);
    vm::wait_sync("md0");
    mdadm("--stop /dev/md0").ok();
}

#[test]
#[ignore = "runs in a guest, booted by an_array_of_an_older_kernel_goes_to_the_newest_and_back"]
fn guest_assembles_the_raid5() {
    mdadm("--assemble /dev/md0 /dev/ubda /dev/ubdb /dev/ubdc").ok();
    assert_eq!(vm::verify_pattern("/dev/md0", 0, 16 * MIB, 4), [0; 0]);
    mdadm("/dev/md0 --fail /dev/ubdb --remove /dev/ubdb").ok();
    vm::write_pattern("/dev/md0", 4 * MIB, MIB, 4);
    mdadm("/dev/md0 --add /dev/ubdb").ok();
    vm::wait_until(std::time::Duration::from_secs(60), "it is whole again", || vm::attr("md0", "degraded") == "0");
    vm::wait_sync("md0");
    mdadm("/dev/md0 --fail /dev/ubda").ok();
    assert_eq!(vm::verify_pattern("/dev/md0", 0, 16 * MIB, 4), [0; 0]);
    mdadm("/dev/md0 --remove /dev/ubda --add /dev/ubda").ok();
    vm::wait_until(std::time::Duration::from_secs(60), "it is whole again", || vm::attr("md0", "degraded") == "0");
    vm::wait_sync("md0");
    mdadm("--stop /dev/md0").ok();
}

/// A kernel whose md driver did not start is one that has not loaded it, but for what /sys/module shows.
fn without_md(mut env: Vec<(&'static str, String)>) {
    env.push(("KERNEL_ARGS", "initcall_blacklist=md_init".to_owned()));
    let out = boot_self(&[], "guest_without_md_says_so", &env).finish();
    assert_eq!(out.status, 0, "{}", out.stdout);
}

#[test]
fn without_the_md_driver_every_command_says_so_and_writes_nothing() {
    without_md(NEWEST.to_vec());
}

#[test]
fn without_the_md_driver_every_command_says_so_and_writes_nothing_on_the_older_kernel() {
    without_md(older());
}

#[test]
#[ignore = "runs in a guest, booted by without_the_md_driver_every_command_says_so_and_writes_nothing"]
fn guest_without_md_says_so() {
    sh("mount -t tmpfs none /sys/module; mknod /dev/md0 b 9 0");
    assert!(!Path::new("/proc/mdstat").exists());
    let disks = vm::disks(3, 32 * MIB);
    let (a, b, c) = (&disks[0], &disks[1], &disks[2]);
    mdadm(&format!("--create /dev/md0 --offline -q -R -l1 -n2 --bitmap=internal {a} {b}")).ok();
    let content = || sh("sync; echo 3 >/proc/sys/vm/drop_caches; cat /mnt/disk* | sha256sum; ls /dev/md /run/mdadm");
    let before = content();
    let release = sh("uname -r");
    let no_driver = format!("mdadm: this kernel ({}) has no md driver (CONFIG_BLK_DEV_MD), and ", release.trim());
    for line in [
        format!("-C /dev/md0 -R -q -l1 -n2 --bitmap=none {a} {b}"),
        format!("-C foo -R -q -l1 -n2 --bitmap=lockless {a} {c}"),
        format!("-C foo -R -q -l5 -n2 --bitmap=internal --plan {a} {c}"),
        format!("-B /dev/md0 -l1 -n2 {a} {b}"),
        format!("-A /dev/md0 {a} {b}"),
        format!("-A /dev/md/foo --plan {a} {b}"),
    ] {
        let out = mdadm(&line);
        assert_eq!((out.status, out.stdout.as_str()), (1, ""), "{line}: {}", out.stderr);
        // where loading the driver would not help, the age of the kernel is said instead
        if line.contains("lockless") && !vm::kernel_has("CONFIG_MD_LLBITMAP=y") {
            let too_old = format!("mdadm: a lockless bitmap takes Linux 6.18 or later; this kernel is {release}");
            assert_eq!(out.stderr, too_old, "{line}");
            continue;
        }
        assert!(out.stderr.starts_with(&no_driver), "{line}: {}", out.stderr);
        assert!(out.stderr.contains("modprobe md_mod"), "{line}: {}", out.stderr);
    }
    for line in [
        "-D /dev/md0",
        "-D /dev/md/foo",
        "-Q /dev/md0",
        "-S /dev/md0",
        "-S md0",
        "-S md5",
        "-R /dev/md0",
        "-o /dev/md0",
        "-w /dev/md0",
        "-W /dev/md0",
        "--wait-clean /dev/md0",
        "--action=check /dev/md0",
        "/dev/md0 --fail loop0",
        "/dev/md0 --re-add missing",
        &format!("--manage /dev/md0 --add {c}"),
    ] {
        let out = mdadm(line);
        assert_eq!((out.status, out.stdout.as_str()), (1, ""), "{line}: {}", out.stderr);
        assert_eq!(out.stderr.lines().count(), 1, "{line}: {}", out.stderr);
        let told = out.stderr.contains("the md driver is not loaded") || line.starts_with("-Q");
        assert!(told, "{line}: {}", out.stderr);
    }
    // What needs no kernel works, and where there is nothing to do nothing is said.
    for line in ["-D --scan", "-S --scan", "--wait-clean --scan"] {
        let out = mdadm(line);
        assert_eq!((out.status, out.stdout + &out.stderr), (0, String::new()), "{line}");
    }
    assert!(mdadm(&format!("-E {a}")).ok().stdout.contains("Raid Level : raid1"));
    assert!(mdadm(&format!("-Q {a}")).ok().stdout.contains("inactive raid1 array"));
    mdadm(&format!("-X {a}")).ok();
    assert!(mdadm("-E --scan").ok().stdout.starts_with("ARRAY /dev/md/0 "));
    assert_eq!(content(), before);
    mdadm(&format!("--zero-superblock {a}")).ok();
    assert_eq!(mdadm(&format!("-E {a}")).status, 1);
}
