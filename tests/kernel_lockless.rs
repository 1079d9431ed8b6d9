//! Arrays with a lockless bitmap that we made, on the kernel: what the reference's placement or order of steps breaks.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use vm::{MIB, attr, mdadm, sh, verify_pattern, write_pattern};

/// The reference puts the bad-block log 8 sectors behind the start of the bitmap: past 3072 chunks they overwrite each other, and
/// after one bad block the array does not start again.
fn keeps_a_bad_block(metadata: &str) {
    let disks = vm::disks(3, 320 * MIB);
    // a disk that can be made to fail in one place
    let sectors = 320 * MIB / 512;
    sh(&format!("DM_DISABLE_UDEV=1 dmsetup create failing --table '0 {sectors} linear {} 0'", disks[0]));
    mdadm(&format!(
        "--create /dev/md0 --run --metadata={metadata} --level=1 --raid-devices=2 --spare-devices=1 --assume-clean \
             --bitmap=lockless /dev/mapper/failing {} {}",
        disks[1], disks[2]
    ))
    .ok();
    assert!(attr("md0", "bitmap_type").contains("[llbitmap]"));
    write_pattern("/dev/md0", 0, 256 * MIB, 5);

    let offset: u64 = attr("md0", "rd0/offset").parse().unwrap();
    let bad = offset + 100 * MIB / 512;
    sh(&format!(
        "export DM_DISABLE_UDEV=1; dmsetup suspend failing
             dmsetup load failing --table '0 {bad} linear {disk} 0
             {bad} 8 error
             {after} {rest} linear {disk} {after}'
             dmsetup resume failing",
        disk = disks[0],
        after = bad + 8,
        rest = sectors - bad - 8,
    ));
    let member = disks[2].trim_start_matches("/dev/");
    vm::set_attr("md0", &format!("dev-{}/state", disks[1].trim_start_matches("/dev/")), "faulty");
    vm::wait_until(std::time::Duration::from_secs(20), "the spare is taken", || {
        attr("md0", &format!("dev-{member}/slot")) == "1"
    });
    vm::wait_sync("md0");
    let expected = format!("{bad} 8");
    assert_eq!(attr("md0", &format!("dev-{member}/bad_blocks")), expected);

    for round in 1..=2 {
        mdadm("--stop /dev/md0").ok();
        // ours the first time, then the reference
        let start = if round == 1 { mdadm } else { vm::reference };
        start(&format!("--assemble /dev/md0 /dev/mapper/failing {}", disks[2])).ok();
        assert_eq!(attr("md0", &format!("dev-{member}/bad_blocks")), expected, "start {round}");
        assert_eq!(verify_pattern("/dev/md0", 0, 100 * MIB, 5), [0; 0], "start {round}");
        assert_eq!(verify_pattern("/dev/md0", 100 * MIB + 4096, 156 * MIB - 4096, 5), [0; 0], "start {round}");
        write_pattern("/dev/md0", 200 * MIB, MIB, 5);
    }
    mdadm("--stop /dev/md0").ok();
    sh("DM_DISABLE_UDEV=1 dmsetup remove failing");
}

#[test]
fn past_3072_chunks_a_bad_block_of_a_rebuild_is_kept_and_the_array_starts_again_1_0() {
    if vm::lockless_is_refused() {
        return;
    }
    keeps_a_bad_block("1.0");
}

#[test]
fn past_3072_chunks_a_bad_block_of_a_rebuild_is_kept_and_the_array_starts_again_1_1() {
    if vm::lockless_is_refused() {
        return;
    }
    keeps_a_bad_block("1.1");
}

#[test]
fn past_3072_chunks_a_bad_block_of_a_rebuild_is_kept_and_the_array_starts_again_1_2() {
    if vm::lockless_is_refused() {
        return;
    }
    keeps_a_bad_block("1.2");
}
