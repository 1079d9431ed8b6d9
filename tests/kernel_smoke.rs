//! The harness itself, in the guest: without this nothing that the kernel tests say counts.
#[path = "vm/mod.rs"]
mod vm;

use vm::MIB;

#[test]
fn the_guest_has_md_and_the_newest_kernel_the_lockless_bitmap() {
    assert!(vm::mdstat().starts_with("Personalities : "), "{}", vm::mdstat());
    for level in ["raid0", "raid1", "raid4", "raid5", "raid6", "raid10", "linear"] {
        assert!(vm::mdstat().contains(&format!("[{level}]")), "{level} is missing in {}", vm::mdstat());
    }
    let older = std::env::var("MDADM_TEST_KERNEL").is_ok_and(|k| k == "older");
    assert_eq!(vm::lockless_is_refused(), older);
    std::fs::write("/sys/module/md_mod/parameters/new_array", "md_probe").unwrap();
    let types = std::fs::read_to_string("/sys/block/md_probe/md/bitmap_type").ok();
    assert_eq!(types.as_deref().map(str::trim), (!older).then_some("none [bitmap] llbitmap"));
}

#[test]
fn more_than_eight_disks_of_either_block_size() {
    let mut disks = vm::disks(12, 32 * MIB);
    assert_eq!(disks[11], "/dev/loop11");
    disks.push(vm::disk_with_blocks(32 * MIB, 4096));
    assert_eq!(vm::sh("blockdev --getss --getsize64 /dev/loop11 /dev/loop12"), "512\n33554432\n4096\n33554432\n");
    let half = vm::slice("/mnt/disk0", 16 * MIB, 16 * MIB);
    vm::write_pattern(&half, 0, MIB, 1);
    assert_eq!(vm::sh(&format!("cmp -n 1048576 -i 0:16777216 {half} /mnt/disk0 && echo same")), "same\n");
}

#[test]
fn a_pattern_is_found_again_and_a_changed_block_is_named() {
    let disk = vm::disk(8 * MIB);
    vm::write_pattern(&disk, MIB, 4 * MIB, 7);
    assert_eq!(vm::verify_pattern(&disk, MIB, 4 * MIB, 7), [0; 0]);
    assert_eq!(vm::verify_pattern(&disk, MIB, 4 * MIB, 8).len(), 1024);
    vm::sh(&format!("printf x | dd of={disk} bs=1 seek=$((3 << 20)) conv=notrunc status=none; sync"));
    assert_eq!(vm::verify_pattern(&disk, MIB, 4 * MIB, 7), [3 * MIB]);
}

#[test]
fn the_reference_makes_an_array_that_resyncs_and_stops() {
    let disks = vm::disks(2, 64 * MIB);
    vm::sync_speed(10, 10);
    vm::reference(&format!("--create /dev/md0 --run -l1 -n2 {}", disks.join(" "))).ok();
    let begins = std::time::Duration::from_secs(5);
    vm::wait_until(begins, "the resync begins", || vm::attr("md0", "sync_action") == "resync");
    vm::wait_sync("md0");
    assert_eq!(vm::attr("md0", "array_state"), "clean");
    assert!(vm::mdstat().contains("[UU]"), "{}", vm::mdstat());
    vm::reference("--stop /dev/md0").ok();
}

#[test]
fn a_guest_writes_to_its_own_files_only() {
    assert!(vm::in_guest());
    std::fs::write("/etc/made-in-the-guest", "").unwrap();
    assert!(!std::path::Path::new("/etc/mdadm").exists());
    assert_eq!(vm::sh("ls -A /run /mnt | tr '\\n' ' '"), "/mnt:  /run: lock mdadm ");
}
