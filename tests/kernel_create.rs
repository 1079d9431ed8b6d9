//! `--create` on a real kernel: what it leaves on disk, what the kernel makes of it, and what it leaves when it fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use std::fs::File;
use std::os::unix::fs::FileExt;

use mdadm::bitmap::{header::BitmapSuper, lockless, summary};
use mdadm::device::real::{Access, RealDevice};
use mdadm::superblock::v1::{self, Minor, SuperV1};
use vm::{MIB, attr, disk, disk_with_blocks, disks, mdadm, sh, wait_sync};

fn super_of(path: &str) -> (Minor, SuperV1) {
    v1::read_any(&RealDevice::open(path.as_ref(), Access::Read).unwrap()).unwrap().unwrap()
}

fn bitmap_of(path: &str) -> BitmapSuper {
    let dev = RealDevice::open(path.as_ref(), Access::Read).unwrap();
    let (_, sb) = v1::read_any(&dev).unwrap().unwrap();
    summary::read(&dev, &sb).unwrap().unwrap().sb
}

/// A hash of everything on these devices.
fn hash(paths: &[String]) -> String {
    sh(&format!("sync; echo 3 > /proc/sys/vm/drop_caches; cat {} | sha256sum", paths.join(" ")))
}

/// The lines of `md/llbitmap/bits`, as (state, count), without the empty ones.
fn states(array: &str) -> Vec<(String, u64)> {
    attr(array, "llbitmap/bits")
        .lines()
        .filter_map(|l| l.rsplit_once(' ').map(|(k, v)| (k.trim().trim_end_matches(':').to_owned(), v)))
        .filter_map(|(k, v)| v.parse().ok().map(|n: u64| (k, n)))
        .filter(|(_, n)| *n > 0)
        .collect()
}

#[test]
fn a_lockless_array_of_every_level_and_version_starts_in_sync_with_unwritten_chunks() {
    if vm::lockless_is_refused() {
        return;
    }
    let members = disks(4, 40 * MIB);
    for (level, n) in [(1, 2), (4, 3), (5, 3), (6, 4), (10, 4)] {
        for minor in 0..3 {
            let list = members[..n].join(" ");
            mdadm(&format!("--create /dev/md0 -q -R -e1.{minor} -l{level} -n{n} --bitmap=lockless {list}")).ok();
            wait_sync("md0");
            assert_eq!(attr("md0", "bitmap_type").trim(), "none bitmap [llbitmap]");
            assert_eq!(attr("md0", "degraded").trim(), "0", "level {level} 1.{minor}");
            let states = states("md0");
            assert!(states.len() == 1 && states[0].0 == "unwritten", "level {level} 1.{minor}: {states:?}");
            mdadm("--stop /dev/md0").ok();
            sh(&format!(
                "for d in {list}; do wipefs -qa $d; dd if=/dev/zero of=$d bs=1M count=2 oflag=direct status=none; done"
            ));
        }
    }
}

#[test]
fn assume_clean_starts_with_clean_chunks() {
    if vm::lockless_is_refused() {
        return;
    }
    let members = disks(2, 40 * MIB);
    mdadm(&format!("--create /dev/md0 -q -R -l1 -n2 --assume-clean --bitmap=lockless {}", members.join(" "))).ok();
    let states = states("md0");
    assert!(states.len() == 1 && states[0].0 == "clean", "{states:?}");
}

#[test]
fn the_bitmap_chunk_is_what_was_asked_for_or_finer() {
    if vm::lockless_is_refused() {
        return;
    }
    // 20 GiB: 256 KiB by default.
    let member = disk(20 << 30);
    for (asked, want) in [("", 256), ("--bitmap-chunk=64K", 64), ("--bitmap-chunk=1M", 1024)] {
        let out =
            mdadm(&format!("--create /dev/md0 -R -l1 -n2 --assume-clean --bitmap=lockless {asked} {member} missing"))
                .ok();
        assert_eq!(u64::from(bitmap_of(&member).chunksize()) / 2, want, "{asked}");
        assert!(out.stderr.contains(&format!("lockless bitmap with chunks of {want}K")), "{}", out.stderr);
        mdadm("--stop /dev/md0").ok();
    }
    let out = mdadm(&format!("--create /dev/md0 -q -R -l1 -n2 --bitmap=lockless --bitmap-chunk=32K {member} missing"));
    assert_eq!(out.status, 1);
    assert!(out.stderr.contains("64K"), "{}", out.stderr);
    // The kernel warns of a page allocation and gives up past 128 MiB of states.
    let large = disk(8193 << 30);
    let out = mdadm(&format!("--create /dev/md0 -q -R -l1 -n2 --bitmap=lockless --bitmap-chunk=64K {large} missing"));
    assert_eq!(out.status, 1);
    assert!(out.stderr.contains("no bitmap can hold chunks of 64K") && out.stderr.contains("128K"), "{}", out.stderr);
}

#[test]
fn what_cannot_have_a_lockless_bitmap_is_refused_before_anything_is_written() {
    let members = disks(4, 20 * MIB);
    let before = hash(&members);
    let list = members[..3].join(" ");
    for args in [
        format!("-l0 -n3 {list}"),
        format!("-llinear -n3 {list}"),
        format!("-l5 -n3 --write-journal={} {list}", members[3]),
        format!("-l5 -n3 --consistency-policy=ppl {list}"),
        format!("-l1 -n3 --write-behind=100 --write-mostly {list}"),
        format!("-l1 -n3 --data-offset=16K {list}"),
    ] {
        let out = mdadm(&format!("--create /dev/md0 -R --bitmap=lockless {args}"));
        assert_ne!(out.status, 0, "{args}");
        assert!(out.stderr.contains("mdadm: "), "{args}: {}", out.stderr);
        assert_eq!(hash(&members), before, "{args}");
        assert!(!std::path::Path::new("/sys/block/md0/md").exists(), "{args} left an array");
    }
}

#[test]
fn a_create_that_fails_midway_puts_back_what_it_wrote() {
    let members = disks(3, 20 * MIB);
    for m in &members {
        vm::write_pattern(m, 0, 4 * MIB, 5);
    }
    // The third member fails writes of its superblock: writes to sectors 8 to 15 are errors, reads are not.
    let bad = "/dev/mapper/bad";
    sh(&format!(
        "dmsetup create bad --table '0 8 linear {m} 0
8 8 flakey {m} 8 0 1000 1 error_writes
16 40944 linear {m} 16'; dmsetup mknodes",
        m = members[2]
    ));
    let before = hash(&members);
    let out = mdadm(&format!("--create /dev/md0 -R -l5 -n3 --bitmap=internal {} {} {bad}", members[0], members[1]));
    assert_eq!(out.status, 1, "{} {}", out.stdout, out.stderr);
    assert!(out.stderr.contains("cannot write to /dev/mapper/bad"), "{}", out.stderr);
    assert!(out.stderr.contains(&format!("written to {}, {}", members[0], members[1])), "{}", out.stderr);
    assert_eq!(hash(&members), before);
    assert!(!std::path::Path::new("/sys/block/md0/md").exists() && !std::path::Path::new("/dev/md0").exists());
    let map = std::fs::read_to_string("/run/mdadm/map").unwrap_or_default();
    assert!(!map.contains("md0 "), "{map}");
}

#[test]
fn older_superblocks_of_other_versions_do_not_survive() {
    let members = disks(2, 20 * MIB);
    let list = members.join(" ");
    for minor in [0, 1, 2] {
        mdadm(&format!("--create /dev/md0 -q -R -e1.{minor} -l1 -n2 --assume-clean --bitmap=none {list}")).ok();
        mdadm("--stop /dev/md0").ok();
        for m in &members {
            let dev = RealDevice::open(m.as_ref(), Access::Read).unwrap();
            let found: Vec<u32> =
                Minor::ALL.into_iter().filter(|v| v1::read(&dev, *v).unwrap().is_some()).map(Minor::number).collect();
            assert_eq!(found, [minor]);
        }
    }
}

#[test]
fn members_of_4k_blocks_are_written_in_whole_blocks() {
    let members = [disk_with_blocks(40 * MIB, 4096), disk_with_blocks(40 * MIB, 4096)];
    for bitmap in vm::bitmaps() {
        mdadm(&format!("--create /dev/md0 -q -R -l1 -n2 --assume-clean --bitmap={bitmap} {}", members.join(" "))).ok();
        assert_eq!(sh("blockdev --getss /dev/md0").trim(), "4096");
        vm::write_pattern("/dev/md0", 0, 8 * MIB, 1);
        assert!(vm::verify_pattern("/dev/md0", 0, 8 * MIB, 1).is_empty());
        mdadm("--stop /dev/md0").ok();
    }
}

#[test]
fn the_bad_block_log_stands_clear_of_a_full_lockless_bitmap() {
    if vm::lockless_is_refused() {
        return;
    }
    // Past 192 MiB the reference's log lies in the bitmap.
    let members = disks(3, 400 * MIB);
    let list = members.join(" ");
    for minor in 0..3 {
        mdadm(&format!("--create /dev/md0 -q -R -e1.{minor} -l5 -n3 --assume-clean --bitmap=lockless {list}")).ok();
        let (_, sb) = super_of(&members[0]);
        let bitmap = bitmap_of(&members[0]);
        let bytes = lockless::bitmap_bytes(bitmap.chunks().unwrap()) as i64;
        let (b, l) = (i64::from(sb.bitmap_offset()) * 512, i64::from(sb.bblog_offset()) * 512);
        assert!(l >= b + bytes || l + 4096 <= b, "1.{minor}: log at {l}, bitmap {b}..{}", b + bytes);
        // A bad block that the kernel records and writes out, then stop and start.
        let name = members[1].trim_start_matches("/dev/");
        sh(&format!("echo '700000 8' > /sys/block/md0/md/dev-{name}/bad_blocks"));
        vm::write_pattern("/dev/md0", 0, 64 * MIB, 3);
        sh("sync; sleep 0.3");
        mdadm("--stop /dev/md0").ok();
        assert!(super_of(&members[1]).1.has(v1::feature::BAD_BLOCKS), "1.{minor}: no log was recorded");
        mdadm(&format!("--assemble /dev/md0 {list}")).ok();
        assert_eq!(attr("md0", "degraded").trim(), "0");
        assert!(attr("md0", &format!("dev-{name}/bad_blocks")).contains("700000 8"));
        assert!(vm::verify_pattern("/dev/md0", 0, 64 * MIB, 3).is_empty());
        mdadm("--stop /dev/md0").ok();
        sh(&format!("for d in {list}; do dd if=/dev/zero of=$d bs=1M count=2 oflag=direct status=none; done"));
    }
}

#[test]
fn a_mirror_of_two_hundred_slots_has_a_role_for_each() {
    let members = disks(4, 20 * MIB);
    let missing = vec!["missing"; 196].join(" ");
    mdadm(&format!("--create /dev/md0 -q -R -l1 -n200 --bitmap=none {} {missing}", members.join(" "))).ok();
    let (_, sb) = super_of(&members[3]);
    assert_eq!((sb.raid_disks(), sb.max_dev(), sb.role()), (200, 384, v1::Role::Slot(3)));
}

#[test]
fn plain_files_are_members_with_offline_only() {
    let file = "/mnt/plain";
    File::create(file).unwrap().set_len(20 * MIB).unwrap();
    let out = mdadm(&format!("--create /dev/md0 -R -l1 -n2 {file} missing"));
    assert_eq!((out.status, out.stderr.contains("is not a block device")), (2, true), "{}", out.stderr);
    mdadm(&format!("--create /dev/md0 --offline -R -l1 -n2 --bitmap=lockless {file} missing")).ok();
    let member = sh(&format!("losetup -f --show {file}")).trim().to_owned();
    let assemble = format!("--assemble --run /dev/md0 {member}");
    if !vm::lockless_is_refused() {
        mdadm(&assemble).ok();
        assert_eq!(attr("md0", "bitmap_type").trim(), "none bitmap [llbitmap]");
        return;
    }
    let before = hash(std::slice::from_ref(&member));
    let out = mdadm(&assemble);
    assert!(out.status == 1 && out.stderr.contains("lockless bitmap"), "{}", out.stderr);
    assert!(out.stderr.contains("Linux 6.18 or later"), "{}", out.stderr);
    assert_eq!(hash(&[member]), before);
    assert!(!std::path::Path::new("/sys/block/md0/md").exists());
}

#[test]
fn a_device_that_is_held_is_refused_and_its_holder_named() {
    let members = disks(3, 20 * MIB);
    mdadm(&format!("--create /dev/md5 -q -R -l1 -n2 --assume-clean {} {}", members[0], members[1])).ok();
    let out = mdadm(&format!("--create /dev/md0 -R -l1 -n2 {} {}", members[0], members[2]));
    assert_eq!(out.status, 2);
    assert!(out.stderr.contains("Device or resource busy") && out.stderr.contains("md5"), "{}", out.stderr);
    let mut first = [0u8; 4096];
    File::open(&members[2]).unwrap().read_exact_at(&mut first, 4096).unwrap();
    assert_eq!(first, [0; 4096]);
}

/// The superblock of a member with what differs from run to run taken out: uuids, times, the checksum.
fn masked(path: &str) -> (Minor, SuperV1) {
    let (minor, mut sb) = super_of(path);
    sb.put_set_uuid(mdadm::uuid::Uuid([0; 16]));
    sb.put_device_uuid(mdadm::uuid::Uuid([0; 16]));
    sb.put_set_name(b"");
    sb.set_ctime_raw(0);
    sb.set_utime_raw(0);
    sb.set_sb_csum(0);
    (minor, sb)
}

#[test]
fn a_level_that_the_kernel_has_not_is_refused_before_anything_is_written() {
    let members = [disk(33001 * 1024), disk(40111 * 1024)];
    let (a, b) = (&members[0], &members[1]);
    let before = hash(&members);
    for level in [
        format!("faulty -n1 {a}"),
        format!("faulty -n1 -prp3 -e1.0 {b}"),
        format!("multipath -n2 {a} {b}"),
        format!("multipath -n2 -e1.1 {b} {a}"),
        format!("multipath -n2 -z9001 {a} {b}"),
    ] {
        for how in ["", "--plan"] {
            let out = mdadm(&format!("--create /dev/md0 -R {how} -l {level}"));
            assert_eq!((out.status, out.stdout.as_str()), (1, ""), "{level}");
            let name = level.split(' ').next().unwrap();
            assert!(out.stderr.contains(&format!("has no raid level {name}")), "{level}: {}", out.stderr);
            assert!(out.stderr.contains("Linux 6.8 removed it"), "{level}: {}", out.stderr);
        }
        assert_eq!(hash(&members), before, "{level}");
        assert!(!std::path::Path::new("/sys/block/md0/md").exists(), "{level} left an array");
        // What would be written is what the reference writes before the kernel refuses it.
        let used: Vec<&String> = members.iter().filter(|m| level.contains(m.as_str())).collect();
        assert_eq!(vm::reference(&format!("--create /dev/md0 -R -l {level}")).status, 1);
        let theirs: Vec<_> = used.iter().map(|m| masked(m)).collect();
        mdadm(&format!("--create /dev/md0 -q -R --offline -l {level}")).ok();
        let ours: Vec<_> = used.iter().map(|m| masked(m)).collect();
        for (o, t) in ours.iter().zip(&theirs) {
            assert!(o.0 == t.0 && o.1.bytes() == t.1.bytes(), "{level}: {:x?}\n{:x?}", o.1.bytes(), t.1.bytes());
        }
        sh(&format!("for d in {a} {b}; do dd if=/dev/zero of=$d bs=1M count=40 conv=fsync status=none || true; done"));
    }
}

#[test]
fn members_with_data_offsets_of_their_own_keep_their_data() {
    let members = disks(3, 40 * MIB);
    // A name with colons, as in /dev/disk/by-path.
    sh(&format!("ln -s {} /dev/pci-0000:00:1f.2", members[1]));
    let list = format!("{}:4M /dev/pci-0000:00:1f.2:9M {}", members[0], members[2]);
    mdadm(&format!("--create /dev/md0 -q -R -l5 -n3 -b internal --data-offset=variable {list}")).ok();
    wait_sync("md0");
    let offsets: Vec<u64> = members.iter().map(|m| super_of(m).1.data_offset() / 2048).collect();
    assert_eq!(offsets, [4, 9, 4], "MiB");
    vm::write_pattern("/dev/md0", 0, 60 * MIB, 3);
    mdadm("--stop /dev/md0").ok();
    mdadm(&format!("--assemble /dev/md0 {}", members.join(" "))).ok();
    assert!(vm::verify_pattern("/dev/md0", 0, 60 * MIB, 3).is_empty());
    mdadm(&format!("/dev/md0 --fail {}", members[1])).ok();
    assert!(vm::verify_pattern("/dev/md0", 0, 60 * MIB, 3).is_empty());
    mdadm("--stop /dev/md0").ok();
    let out =
        mdadm(&format!("--create /dev/md0 -q -R -l1 -n2 --data-offset=variable {}:4M {}:x", members[0], members[1]));
    assert_eq!(out.status, 2);
    assert!(out.stderr.contains("What follows its last colon is no size"), "{}", out.stderr);
}

#[test]
fn the_logical_block_size_is_set_however_the_array_is_made() {
    let members = disks(2, 20 * MIB);
    let list = members.join(" ");
    let create = "-q -R -l1 -n2 --assume-clean -b internal --logical-block-size=4096";
    if !vm::kernel_has("CONFIG_MD_BITMAP=y") {
        // A kernel before 6.18, and so before 6.19.
        let before = hash(&members);
        let out = mdadm(&format!("--create /dev/md0 {create} {list}"));
        assert!(out.status == 1 && out.stderr.contains("takes Linux 6.19 or later"), "{}", out.stderr);
        assert_eq!(hash(&members), before);
        assert!(!std::path::Path::new("/sys/block/md0/md").exists());
        return;
    }
    for how in ["", "--readonly", "-e1.0"] {
        mdadm(&format!("--create /dev/md0 {how} {create} {list}")).ok();
        for name in ["queue/logical_block_size", "md/logical_block_size"] {
            assert_eq!(sh(&format!("cat /sys/block/md0/{name}")).trim(), "4096", "{how} {name}");
        }
        mdadm("--stop /dev/md0").ok();
    }
    mdadm(&format!("--create /dev/md0 --offline {create} {list}")).ok();
    assert_eq!(super_of(&members[0]).1.logical_block_size(), 4096);
    mdadm(&format!("--assemble /dev/md0 {list}")).ok();
    assert_eq!(sh("cat /sys/block/md0/queue/logical_block_size").trim(), "4096");
}

#[test]
fn a_block_size_that_the_array_would_not_have_is_refused_before_anything_is_written() {
    let members = [disk(20 * MIB), disk_with_blocks(20 * MIB, 4096)];
    let (a, b) = (&members[0], &members[1]);
    let before = hash(&members);
    for (bytes, list, why) in [
        (512, format!("{a} missing"), "have 512 bytes, and so will"),
        (2048, format!("{a} {b}"), "have 4096 bytes, and so will"),
        (8192, format!("{a} {b}"), "no larger blocks than its pages"),
        (1000, format!("{a} {b}"), "power of two"),
    ] {
        let out = mdadm(&format!("--create /dev/md0 -q -R -l1 -n2 -b none --logical-block-size={bytes} {list}"));
        assert!(out.status == 1 && out.stderr.contains(why), "{bytes}: {}", out.stderr);
        assert_eq!(hash(&members), before);
    }
    let out = mdadm(&format!("--create /dev/md0 -q -R -l1 -n2 -b none --data-offset=variable {a}:2M {b}:4097s"));
    assert!(out.status == 1 && out.stderr.contains("no multiple of the sectors of"), "{}", out.stderr);
    assert_eq!(hash(&members), before);
}

/// A device in front of `disk` that takes `ms` longer for each write.
fn slow_to_write(disk: &str, ms: u32) -> String {
    let name = format!("slow{}", disk.trim_start_matches("/dev/"));
    sh(&format!(
        "dmsetup create {name} --table \"0 $(blockdev --getsz {disk}) delay {disk} 0 0 {disk} 0 {ms}\"; dmsetup mknodes"
    ));
    format!("/dev/mapper/{name}")
}

/// Seconds until `count` blocks of 4 KiB, written one after the other past the page cache, are acknowledged.
fn acknowledged(device: &str, count: u32) -> f64 {
    let start = std::time::Instant::now();
    sh(&format!("dd if=/dev/zero of={device} bs=4k count={count} oflag=direct status=none"));
    start.elapsed().as_secs_f64()
}

#[test]
fn with_write_behind_a_slow_write_mostly_leg_does_not_hold_up_writes() {
    let (delay, writes) = (100, 30);
    let fast = disk(20 * MIB);
    let slow = slow_to_write(&disk(20 * MIB), delay);
    let create = "--create /dev/md0 -q -R --assume-clean -l1 -n2 -b internal";
    mdadm(&format!("{create} {fast} --write-mostly {slow}")).ok();
    let plain = acknowledged("/dev/md0", writes);
    mdadm("--stop /dev/md0").ok();
    mdadm(&format!("{create} --write-behind=200 {fast} --write-mostly {slow}")).ok();
    assert_eq!(attr("md0", "bitmap/backlog"), "200");
    let behind = acknowledged("/dev/md0", writes);
    println!("{writes} writes: {plain:.3} s, with --write-behind {behind:.3} s");
    assert!(plain > f64::from(writes * delay) / 1000.0, "{plain}: the leg is not slow");
    assert!(behind < plain / 4.0, "{plain} s, {behind} s: writes waited for the slow leg");
    // What was acknowledged gets there.
    vm::write_pattern("/dev/md0", 0, MIB, 7);
    mdadm(&format!("/dev/md0 --fail {fast}")).ok();
    assert!(vm::verify_pattern("/dev/md0", 0, MIB, 7).is_empty());
    // A stop waits for what is still under way.
    mdadm("--stop /dev/md0").ok();
    let at = super_of(&slow).1.data_offset() * 512;
    sh(&format!(
        "cmp <(dd if={slow} bs=1M skip={at} iflag=skip_bytes count=1 status=none | sha256sum) \
         <(dd if={fast} bs=1M skip={at} iflag=skip_bytes count=1 status=none | sha256sum)"
    ));
}

#[test]
fn a_write_behind_that_has_no_effect_is_told() {
    let members = disks(2, 20 * MIB);
    let (a, b) = (&members[0], &members[1]);
    for (args, why) in [
        (format!("-l1 {a} -W {b}"), "it takes a bitmap"),
        (format!("-l1 -b internal {a} {b}"), "no member is --write-mostly"),
        (format!("-l5 -b internal {a} -W {b}"), "only raid1 has it"),
    ] {
        let out = mdadm(&format!("--create /dev/md0 -R --assume-clean -n2 --write-behind {args}")).ok();
        assert!(out.stderr.contains(&format!("note: --write-behind has no effect: {why}")), "{args}: {}", out.stderr);
        mdadm("--stop /dev/md0").ok();
    }
}

#[test]
fn members_with_different_sectors_make_an_array_that_can_be_used_to_its_end() {
    // An odd number of sectors, and sectors of 4 KiB behind them.
    let members = [disk(20 * MIB + 512), disk_with_blocks(20 * MIB, 4096), disk_with_blocks(30 * MIB, 4096)];
    let list = members.join(" ");
    for words in
        ["-llinear", "-l0 -c 12", "-l1 -b none -z 9001", "-l5 -b none -z 9001", "-l1 -b lockless -e1.0 -z 9001"]
    {
        let words = vm::or_internal(words);
        let out = mdadm(&format!("--create /dev/md0 -R -n3 --assume-clean {words} {list}")).ok();
        assert!(out.stderr.contains("members have sectors of 512 and 4096 bytes"), "{words}: {}", out.stderr);
        let size: u64 = sh("blockdev --getsize64 /dev/md0").trim().parse().unwrap();
        assert!(size.is_multiple_of(4096) && size > 8 * MIB, "{words}: {size}");
        vm::write_pattern("/dev/md0", 0, size, 9);
        assert!(vm::verify_pattern("/dev/md0", 0, size, 9).is_empty(), "{words}");
        mdadm("--stop /dev/md0").ok();
    }
    mdadm(&format!("--create /dev/md0 -q -R -n3 -l1 -b none --write-zeroes -z 9001 {list}")).ok();
}

#[test]
fn members_that_overlap_or_cannot_be_written_are_refused_with_the_reason() {
    let members = disks(3, 20 * MIB);
    let (a, b) = (&members[0], &members[1]);
    sh(&format!("printf 'label: dos\nstart=2048,size=20000\nstart=24576\n' | sfdisk -q {a}"));
    let whole = sh("losetup -fP --show /mnt/disk0").trim_end().to_owned();
    sh(&format!(
        "ln -s {b} /dev/alias; blockdev --setro {b}; dmsetup create over --table '0 20000 linear {} 0'; dmsetup mknodes",
        members[2]
    ));
    let before = hash(&members);
    for (list, status, why) in [
        (format!("{whole} {whole}p1"), 2, format!("{whole}p1 overlaps {whole}, which is listed too")),
        (format!("{whole}p1 {whole}"), 2, format!("{whole} overlaps {whole}p1, which is listed too")),
        (format!("{whole}p1 {b}"), 1, format!("{b} is read-only")),
        (format!("{whole}p1 {}", members[2]), 2, "/dev/mapper/over".to_owned()),
    ] {
        let out = mdadm(&format!("--create /dev/md0 -R -l1 -n2 -b none {list}"));
        assert!(out.status == status && out.stderr.contains(&why), "{list}: {} {}", out.status, out.stderr);
        assert_eq!(hash(&members), before, "{list}");
    }
    sh(&format!("blockdev --setrw {b}"));
    let out = mdadm(&format!("--create /dev/md0 -R -l1 -n2 -b none {b} /dev/alias"));
    assert!(out.status == 1 && out.stderr.contains("/dev/alias is listed twice"), "{}", out.stderr);
    // Two partitions of one disk do not overlap.
    mdadm(&format!("--create /dev/md0 -q -R -l1 -n2 -b none {whole}p1 {whole}p2")).ok();
    mdadm("--stop /dev/md0").ok();
    sh("truncate -s 20M /mnt/x; ln /mnt/x /mnt/y");
    let out = mdadm("--create z --offline -R -l1 -n2 -b none /mnt/x /mnt/y");
    assert!(out.status == 1 && out.stderr.contains("/mnt/y is listed twice"), "{}", out.stderr);
}

/// What the kernel lets be seen of md0, by file; without what is the array's own.
fn settings() -> std::collections::BTreeMap<String, String> {
    let mut found = std::collections::BTreeMap::new();
    let mut folders = vec![std::path::PathBuf::from("/sys/block/md0/md"), "/sys/block/md0/queue".into()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix("/sys/block/md0").unwrap().display().to_string();
            match std::fs::metadata(&path) {
                Ok(meta) if meta.is_dir() => folders.extend((!name.ends_with("/block")).then_some(path)),
                _ if name == "md/uuid" => {}
                _ => drop(found.insert(name, std::fs::read_to_string(&path).unwrap_or_default())),
            }
        }
    }
    found
}

/// So it is as fast as that: there is nothing else that could make it slower (docs/bench.md).
#[test]
fn an_array_of_ours_runs_with_the_same_settings_as_one_of_the_reference() {
    let disks = vm::disks(4, 24 * MIB);
    for (level, count) in [(1, 2), (10, 4), (5, 3)] {
        for bitmap in vm::bitmaps() {
            let all = disks[..count].join(" ");
            let line = format!("--create /dev/md0 --run -q --assume-clean -l{level} -n{count} --bitmap={bitmap} {all}");
            let of = |program: fn(&str) -> vm::Output| {
                program(&line).ok();
                vm::wait_sync("md0");
                vm::wait_until(std::time::Duration::from_secs(20), "it is clean", || {
                    attr("md0", "array_state") == "clean"
                });
                let settings = settings();
                mdadm("--stop /dev/md0").ok();
                mdadm(&format!("--zero-superblock -q --saved-metadata=none {all}")).ok();
                settings
            };
            let (ours, reference) = (of(mdadm), of(vm::reference));
            assert!(ours.len() > 80 && ours.contains_key("md/level"), "{}", ours.len());
            assert_eq!(ours, reference, "level {level}, bitmap {bitmap}");
        }
    }
}
