//! The harness seen from the host: faults in the guest's kernel fail a run, and a power cut is one.
#[path = "vm/mod.rs"]
mod vm;

use std::path::Path;
use vm::{MIB, boot, boot_self, disk_file};

#[test]
fn the_exit_status_and_the_output_come_through() {
    let out = boot(&[], &["bash", "-c", "echo one; echo two; exit 7"]).finish();
    assert_eq!((out.status, out.stdout.as_str()), (7, "one\ntwo\n"));
    assert!(!Path::new("/etc/made-in-the-guest").exists(), "a guest wrote to the host");
}

#[test]
fn a_warning_in_the_kernel_log_fails_the_run() {
    let out = boot(&[], &["bash", "-c", "echo '<4>WARNING: made by a test' >/dev/kmsg"]).finish();
    assert_eq!(out.status, 70);
}

#[test]
fn a_kernel_panic_fails_the_run_at_once() {
    let out = boot(&[], &["bash", "-c", "echo c >/proc/sysrq-trigger; sleep 100"]).finish();
    assert_eq!(out.status, 70);
}

#[test]
fn a_power_cut_loses_what_was_not_synced_and_keeps_what_was() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let disks = [disk_file(dir.path(), "a", 16 * MIB)];
    let mut guest = boot_self(&disks, "guest_writes_synced_and_unsynced_data", &[]);
    guest.wait_for("written");
    guest.cut_power();
    boot_self(&disks, "guest_finds_the_synced_data_only", &[]).finish().ok();
}

#[test]
#[ignore = "runs in a guest, booted by a_power_cut_loses_what_was_not_synced_and_keeps_what_was"]
fn guest_writes_synced_and_unsynced_data() {
    vm::write_pattern("/dev/ubda", 0, 4 * MIB, 1);
    // the last close of a block device would write it out
    let disk = std::fs::OpenOptions::new().write(true).open("/dev/ubda").unwrap();
    std::os::unix::fs::FileExt::write_all_at(&disk, &vec![1; 4 << 20], 8 << 20).unwrap();
    println!("written");
    std::thread::sleep(std::time::Duration::from_secs(100));
}

#[test]
#[ignore = "runs in a guest, booted by a_power_cut_loses_what_was_not_synced_and_keeps_what_was"]
fn guest_finds_the_synced_data_only() {
    assert_eq!(vm::verify_pattern("/dev/ubda", 0, 4 * MIB, 1), [0; 0]);
    assert_eq!(vm::sh("cmp -n 4194304 -i 8388608:0 /dev/ubda /dev/zero && echo zeros"), "zeros\n");
}

#[test]
fn members_that_the_kernel_will_zero_are_told_before() {
    let disks = "scsi_debug.lbpws=1 scsi_debug.lbprz=1 scsi_debug.dev_size_mb=24 scsi_debug.add_host=3 scsi_debug.per_host_store=1";
    let env = [("KERNEL_ARGS", disks.to_owned())];
    let out = boot_self(&[], "guest_creates_on_members_that_unmap_to_zeros", &env).finish();
    assert_eq!(out.status, 0, "{}", out.stdout);
}

#[test]
#[ignore = "runs in a guest, booted by members_that_the_kernel_will_zero_are_told_before"]
fn guest_creates_on_members_that_unmap_to_zeros() {
    let members = "/dev/sda /dev/sdb /dev/sdc";
    for disk in members.split(' ') {
        vm::write_pattern(disk, 0, 24 * MIB, 3);
    }
    let words = format!("--create /dev/md0 -R -l5 -n3 --bitmap=lockless {members}");
    let plan = vm::mdadm(&format!("{words} --plan")).ok();
    assert!(plan.stdout.contains("kernel zeroes the data area of every member"), "{}", plan.stdout);
    assert!(!vm::holds_pattern("/dev/sda", 8 * MIB, 4) && vm::holds_pattern("/dev/sda", 8 * MIB, 3), "--plan wrote");
    let out = vm::mdadm(&words).ok();
    assert!(out.stderr.contains("will zero their whole data area"), "{}", out.stderr);
    // It did, and calls the chunks clean unwritten.
    assert_eq!(vm::sh("cmp -n 8388608 /dev/md0 /dev/zero && echo zeros"), "zeros\n");
    let bits = vm::attr("md0", "llbitmap/bits");
    assert!(bits.lines().any(|l| l.starts_with("unwritten 0")), "{bits}");
    vm::mdadm("--stop /dev/md0").ok();
    // With --assume-clean it does not: not in the plan, not in the warning, and the data stays.
    let clean = vm::mdadm(&format!("{words} --assume-clean --plan")).ok();
    assert!(!clean.stdout.contains("zeroes"), "{}", clean.stdout);
}
