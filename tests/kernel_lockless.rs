//! Arrays with a lockless bitmap that we made, on the kernel: what the reference's placement or order of steps breaks.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use std::os::unix::fs::FileExt;

use mdadm::superblock::v1::{SUPER_BYTES, SuperV1};
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

/// Linux 7.2 panics where a lockless bitmap has no chunk to cover, and writes as many states as a superblock says, over the data
/// if need be.
#[test]
fn superblocks_that_would_have_the_kernel_panic_or_write_over_data_are_refused() {
    if vm::lockless_is_refused() {
        return;
    }
    let disks = vm::disks(3, 8 * MIB);
    for (metadata, sector) in [("1.0", 16368), ("1.2", 8)] {
        mdadm(&format!("--create /dev/md0 --run -e {metadata} -l5 -n3 --bitmap=lockless {}", disks.join(" "))).ok();
        mdadm("--stop /dev/md0").ok();
        let spoil = |edit: &dyn Fn(&mut SuperV1)| {
            for disk in &disks {
                let file = std::fs::OpenOptions::new().read(true).write(true).open(disk).unwrap();
                let mut bytes = [0; SUPER_BYTES];
                file.read_exact_at(&mut bytes, sector * 512).unwrap();
                let mut sb = SuperV1::from_bytes(&bytes).unwrap();
                edit(&mut sb);
                sb.update_csum();
                file.write_all_at(sb.bytes(), sector * 512).unwrap();
                file.sync_all().unwrap();
            }
        };
        let line = format!("--assemble /dev/md0 {}", disks.join(" "));
        let refused = |why: &str| {
            for more in ["", " --force", " --run"] {
                let out = mdadm(&format!("{line}{more}"));
                assert_eq!(out.status, 1);
                let said = format!("mdadm: the superblock on {} is damaged: {why}", disks[0]);
                assert!(out.stderr.starts_with(&said), "{}", out.stderr);
            }
        };
        let size = 12288;
        spoil(&|sb| sb.set_size(128));
        refused("size is 128, which is less than one chunk (1024 sectors)");
        // Recovery would go on behind the end of the members, and the array could not be stopped.
        spoil(&|sb| sb.set_size(1 << 31));
        refused("size is 2147483648, which is more than the device's data");
        for raw in [0, -1] {
            spoil(&|sb| {
                sb.set_size(size);
                sb.set_level_raw(raw);
            });
            refused("it claims a bitmap, which");
        }
        spoil(&|sb| {
            sb.set_level_raw(5);
            sb.set_size(size);
            sb.set_bitmap_offset(if metadata == "1.0" { -8000 } else { 8000 });
        });
        let header = sb_of_bitmap(&disks[0]);
        for disk in &disks {
            let file = std::fs::OpenOptions::new().write(true).open(disk).unwrap();
            file.write_all_at(&header, if metadata == "1.0" { sector - 8000 } else { sector + 8000 } * 512).unwrap();
            file.sync_all().unwrap();
        }
        refused("its lockless bitmap would reach from byte");
        mdadm(&format!("--zero-superblock {}", disks.join(" "))).ok();
    }
}

/// The superblock of the first lockless bitmap on a device.
fn sb_of_bitmap(disk: &str) -> Vec<u8> {
    let bytes = std::fs::read(disk).unwrap();
    let at = bytes.chunks(512).position(|sector| sector.starts_with(b"bitm\x06")).unwrap();
    bytes[at * 512..at * 512 + 512].to_vec()
}
