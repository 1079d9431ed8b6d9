//! Bitmap files, in the guest: where the kernel takes them (6.12) all of their course, where it takes none (7.2, whatever its
//! options; docs/bitmap-files.md) that nothing is left of the try.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use std::fs;
use std::time::Duration;
use vm::{MIB, Output, attr, mdadm, sh, verify_pattern, write_pattern};

/// A file system of its own for bitmap files, mounted on the directory that is returned.
fn mounted(kind: &str) -> String {
    let disk = vm::disk(if kind == "xfs" { 320 } else { 32 } * MIB);
    let dir = format!("/mnt/{kind}");
    sh(&format!("mkfs.{kind} -q {disk}; mkdir {dir}; mount -t {kind} {disk} {dir}"));
    dir
}

/// Linux 6.12 does, Linux 7.2 does not.
fn kernel_takes_files() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    release.split('.').next().unwrap().parse::<u32>().unwrap() < 7
}

/// What a kernel without bitmap files makes of a command: refused for that reason. `true` where it takes them.
#[track_caller]
fn taken(out: &Output) -> bool {
    if kernel_takes_files() {
        return true;
    }
    assert!(out.status == 1 && !out.stdout.contains("started"), "{} {}", out.stdout, out.stderr);
    assert!(out.stderr.contains("Cannot set bitmap file "), "{}", out.stderr);
    assert!(out.stderr.contains("this kernel cannot use bitmap files"), "{}", out.stderr);
    assert_eq!(sh("ls -d /sys/block/md* 2>/dev/null || true"), "");
    false
}

fn content(disks: &[String]) -> String {
    sh(&format!("sync; for d in {}; do blockdev --flushbufs $d; md5sum <$d; done", disks.join(" ")))
}

/// Dirty chunks and chunks, by our `-X`.
#[track_caller]
fn bits(file: &str) -> (u64, u64) {
    let text = mdadm(&format!("-X {file}")).ok().stdout;
    let line = text.lines().find(|l| l.contains("Bitmap :")).unwrap();
    let number = |before: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|w| *w == before).unwrap();
        words[at - 1].parse::<u64>().unwrap()
    };
    (number("dirty"), number("bits"))
}

fn wait_clean(file: &str) {
    vm::wait_until(Duration::from_secs(60), "the bits are cleared", || bits(file).0 == 0);
}

#[test]
fn where_the_kernel_takes_none_the_members_and_an_older_file_are_as_before() {
    let dir = mounted("ext4");
    let disks = vm::disks(2, 16 * MIB);
    write_pattern(&disks[0], 0, 16 * MIB, 1);
    let before = content(&disks);
    let file = format!("{dir}/bits");
    // one of another array: replaced with --force, and put back
    fs::write(&file, {
        let mut old = vec![0u8; 4096];
        old[..8].copy_from_slice(&[0x62, 0x69, 0x74, 0x6d, 4, 0, 0, 0]);
        (old[40], old[54], old[56]) = (8, 1, 5);
        old
    })
    .unwrap();
    let old = sh(&format!("md5sum <{file}"));
    let all = disks.join(" ");
    for verb in ["--create /dev/md0 -q --run -l1", "--build /dev/md0 -q -l1"] {
        let refused = mdadm(&format!("{verb} -n2 --bitmap={file} --raid-devices=2 {all}"));
        assert_ne!(refused.status, 0);
        let out = mdadm(&format!("{verb} -n2 --bitmap={file} --force {all}"));
        if !taken(&out) {
            assert_eq!(content(&disks), before, "{verb}");
            assert_eq!(sh(&format!("md5sum <{file}")), old);
            let out = mdadm(&format!("{verb} -n2 --bitmap={dir}/new {all}"));
            assert!(!taken(&out));
            assert_eq!((content(&disks), sh(&format!("ls {dir}"))), (before.clone(), "bits\nlost+found\n".into()));
            continue;
        }
        out.ok();
        assert_eq!(attr("md0", "bitmap/location"), "file");
        assert_ne!(sh(&format!("md5sum <{file}")), old);
        mdadm("--stop /dev/md0").ok();
        fs::write(&file, [0u8; 4096]).unwrap();
        let no_bitmap = mdadm(&format!("{verb} -n2 --bitmap={file} --force {all}"));
        assert!(no_bitmap.stderr.contains("is no bitmap; it is not overwritten"), "{}", no_bitmap.stderr);
        fs::write(&file, [0u8; 0]).unwrap();
        mdadm(&format!("{verb} -n2 --bitmap={file} {all}")).ok();
        mdadm("--stop /dev/md0").ok();
    }
}

#[test]
fn an_array_of_every_level_keeps_its_bitmap_in_the_file_from_create_to_assemble() {
    for (kind, words, members) in [
        ("ext4", "-l1 -n2 --bitmap-chunk=1M", 2),
        ("xfs", "-l5 -n3 --chunk=64", 3),
        ("ext4", "-l6 -n4 -e1.0", 4),
        ("xfs", "-l10 -n4 --layout=o2 -e1.1 --bitmap-chunk=64K", 4),
        ("ext4", "-l4 -n3 --size=30M", 3),
        ("ext4", "-l1 -n2 -e0.90", 2),
    ] {
        let dir = if fs::exists(format!("/mnt/{kind}")).unwrap() { format!("/mnt/{kind}") } else { mounted(kind) };
        let disks = vm::disks(members, 40 * MIB);
        let (file, all) = (format!("{dir}/bits{members}{}", words.len()), disks.join(" "));
        let line = format!("--create /dev/md0 --run --delay=1 --bitmap={file} {words} {all}");
        let out = mdadm(&line);
        if !taken(&out) {
            continue;
        }
        let said = out.ok().stderr;
        assert_eq!(said.matches("bitmap files are deprecated").count(), 1, "{said}");
        vm::wait_sync("md0");
        let detail = mdadm("--detail /dev/md0").ok().stdout;
        assert!(detail.contains(&format!("     Intent Bitmap : {file}\n")), "{detail}");
        assert!(vm::mdstat().contains(&format!("file: {file}")));
        let member = mdadm(&format!("-E {}", disks[0])).ok().stdout;
        assert!(
            member.contains("Version : 0.90") || member.contains("Feature Map : 0x0\n"),
            "a bitmap there too: {member}"
        );
        write_pattern("/dev/md0", 0, 20 * MIB, 3);
        // what -X shows is what is on the disk, not what was once read
        assert!(bits(&file).0 > 0);
        wait_clean(&file);
        let busy = vm::run("umount", &[&dir], "");
        assert_ne!(busy.status, 0, "the kernel holds the file");
        mdadm("--stop /dev/md0").ok();
        let again = mdadm(&format!("--assemble /dev/md0 --bitmap={file} {all}")).ok();
        assert_eq!(again.stdout, format!("mdadm: /dev/md0 has been started with {members} drives.\n"));
        assert_eq!(again.stderr.lines().count(), 1, "that they are deprecated: {}", again.stderr);
        assert_eq!(attr("md0", "bitmap/location"), "file");
        assert!(verify_pattern("/dev/md0", 0, 20 * MIB, 3).is_empty());
        mdadm("--stop /dev/md0").ok();
        sh(&format!("losetup -d {all}"));
    }
}

#[test]
fn the_wrong_file_is_refused_and_nothing_is_changed() {
    let dir = mounted("ext4");
    let disks = vm::disks(4, 16 * MIB);
    let (ours, others) = (disks[..2].join(" "), disks[2..].join(" "));
    let file = format!("{dir}/bits");
    let create = format!("--create /dev/md0 -q --run --assume-clean -l1 -n2 --bitmap={file} {ours}");
    let places = [
        (format!("{dir}/none/bits"), 2, "cannot be made: there is no directory"),
        (dir.clone(), 2, "is a directory"),
        ("/mnt/bits".into(), 2, "only ext2, ext3, ext4 and XFS"),
        ("./bits".into(), 2, "whole path"),
        ("/dev/null".into(), 2, "is no regular file"),
        (format!("{dir}/link"), 2, "leads nowhere"),
    ];
    sh(&format!("ln -s nowhere {dir}/link"));
    for (path, status, told) in &places {
        for verb in ["--create -q --run -l1 -n2", "--build -l1 -n2"] {
            let out = mdadm(&format!("{verb} /dev/md0 --bitmap={path} {ours}"));
            assert_eq!(out.status, *status, "{verb} {path}: {}", out.stderr);
            assert!(
                out.stderr.contains(&format!("bitmap file {path} ")) && out.stderr.contains(told),
                "{}",
                out.stderr
            );
        }
    }
    assert_eq!(mdadm(&format!("--create /dev/md0 -q --run -l0 -n2 --bitmap={file} {ours}")).status, 2);
    if !taken(&mdadm(&create)) {
        return;
    }
    let second = format!("--create /dev/md1 -q --run --force -l1 -n2 --bitmap={file} {others}");
    let out = mdadm(&second);
    assert!(out.status == 1 && out.stderr.contains("is in use by /dev/md0"), "{}", out.stderr);
    mdadm("--stop /dev/md0").ok();
    mdadm(&format!("--create /dev/md1 -q --run --assume-clean -l1 -n2 --bitmap=internal {others}")).ok();
    mdadm("--stop /dev/md1").ok();
    sh(&format!("echo text >{dir}/text; : >{dir}/empty; head -c 300 {file} >{dir}/short"));
    let before = content(&disks);
    for (path, members, told) in [
        (format!("{dir}/absent"), &ours, "does not exist"),
        (format!("{dir}/text"), &ours, "is no bitmap"),
        (format!("{dir}/empty"), &ours, "is empty"),
        (format!("{dir}/short"), &ours, "is no bitmap, or a part of one"),
        (file.clone(), &others, "has its bitmap on the members"),
    ] {
        let out = mdadm(&format!("--assemble /dev/md0 --bitmap={path} {members}"));
        assert_eq!((out.status, &*out.stdout), (1, ""), "{path}");
        assert!(out.stderr.contains(told), "{path}: {}", out.stderr);
    }
    // that of another array
    mdadm(&format!("--create /dev/md1 -q --run --assume-clean -l1 -n2 --bitmap={dir}/other {others}"));
    mdadm("--stop /dev/md1").ok();
    let out = mdadm(&format!("--assemble /dev/md0 --bitmap={dir}/other {ours}"));
    assert!(out.status == 1 && out.stderr.contains("is the bitmap of array"), "{}", out.stderr);
    assert_eq!(content(&disks[..2]), before.lines().take(2).map(|l| format!("{l}\n")).collect::<String>());
    mdadm(&format!("--assemble /dev/md0 --bitmap={file} {ours}")).ok();
}

#[test]
fn updates_at_assembly_are_made_in_the_file_too() {
    let dir = mounted("ext4");
    let disks = vm::disks(2, 16 * MIB);
    let (file, all) = (format!("{dir}/bits"), disks.join(" "));
    if !taken(&mdadm(&format!("--create /dev/md0 -q --run --assume-clean -l1 -n2 --delay=1 --bitmap={file} {all}"))) {
        return;
    }
    wait_clean(&file);
    mdadm("--stop /dev/md0").ok();
    let out = mdadm(&format!("--assemble /dev/md0 --update=uuid --bitmap={file} {all}")).ok();
    assert!(!out.stderr.contains("out of date"), "{}", out.stderr);
    assert_eq!(attr("md0", "bitmap/location"), "file");
    mdadm("--stop /dev/md0").ok();
    // The members differ where the bitmap calls them clean: a resync that was asked for mends it.
    sh(&format!("dd if=/dev/urandom of={} bs=1M seek=5 count=1 conv=notrunc,fsync status=none", disks[1]));
    mdadm(&format!("--assemble /dev/md0 --update=resync --bitmap={file} {all}")).ok();
    vm::wait_sync("md0");
    mdadm("--stop /dev/md0").ok();
    sh(&format!("cmp -i 2097152 {} {}", disks[0], disks[1]));
}

#[test]
fn a_file_that_was_left_out_once_counts_as_out_of_date() {
    let dir = mounted("ext4");
    let disks = vm::disks(2, 16 * MIB);
    let (file, all) = (format!("{dir}/bits"), disks.join(" "));
    if !taken(&mdadm(&format!("--create /dev/md0 -q --run --assume-clean -l1 -n2 --bitmap={file} {all}"))) {
        return;
    }
    mdadm("--stop /dev/md0").ok();
    mdadm(&format!("--assemble /dev/md0 {all}")).ok();
    mdadm(&format!("/dev/md0 --fail {}", disks[1])).ok();
    write_pattern("/dev/md0", 0, MIB, 1);
    mdadm("--stop /dev/md0").ok();
    let out = mdadm(&format!("--assemble /dev/md0 --run --bitmap={file} {all}")).ok();
    assert!(out.stderr.contains(&format!("{file} is out of date (events ")), "{}", out.stderr);
    let (dirty, chunks) = bits(&file);
    assert_eq!(dirty, chunks, "degraded: nothing is known of what the other member lacks");
}

#[test]
fn a_built_mirror_resyncs_what_its_file_marks_and_nothing_else() {
    let dir = mounted("ext4");
    let disks = vm::disks(2, 32 * MIB);
    let (file, all) = (format!("{dir}/bits"), disks.join(" "));
    let build = format!("--build /dev/md0 -l1 -n2 --bitmap-chunk=1M --delay=1 --bitmap={file}");
    if !taken(&mdadm(&format!("{build} {all}"))) {
        return;
    }
    vm::wait_sync("md0");
    wait_clean(&file);
    mdadm("--stop /dev/md0").ok();
    assert_eq!(bits(&file), (0, 32));
    // As a power cut while chunks 3 and 4 were written leaves it: the members differ there; and in chunk 20 by our hand.
    sh(&format!("printf '\\x18' | dd of={file} bs=1 seek=256 conv=notrunc,fsync status=none"));
    for mib in [3, 4, 20] {
        write_pattern(&disks[0], mib * MIB, MIB, 7);
    }
    let out = mdadm(&format!("--build /dev/md0 -l1 -n2 --bitmap={file} {all}")).ok();
    assert!(out.stderr.contains("is used as it is: 2 MiB of 32 MiB are dirty"), "{}", out.stderr);
    vm::wait_sync("md0");
    mdadm("--stop /dev/md0").ok();
    for mib in [3, 4] {
        assert!(verify_pattern(&disks[1], mib * MIB, MIB, 7).is_empty());
    }
    assert_eq!(verify_pattern(&disks[1], 20 * MIB, MIB, 7).len(), 256, "not looked at");
    // Of another size: another array's, for all that is known.
    let other = mdadm(&format!("--build /dev/md0 -l1 -n2 --size=16M --bitmap={file} {all}"));
    assert!(other.status == 1 && other.stderr.contains("an array of 32768K, this one has 16384K"), "{}", other.stderr);
    let anew = format!("--build /dev/md0 -l1 -n2 --force --size=16M --write-behind=9 --bitmap={file}");
    mdadm(&format!("{anew} {} -W {}", disks[0], disks[1])).ok();
    assert!(mdadm(&format!("-X {file}")).ok().stdout.contains("Allow write behind, max 9"));
}

/// The file behind a loop device.
fn backing(disk: &str) -> String {
    sh(&format!("losetup -n -O BACK-FILE {disk}")).trim().to_owned()
}

#[test]
fn after_a_power_cut_only_what_the_file_marks_is_resynced() {
    let dir = mounted("ext4");
    let disks = vm::disks(2, 32 * MIB);
    let (file, all) = (format!("{dir}/bits"), disks.join(" "));
    let create = format!("--create /dev/md0 -q --run -l1 -n2 --bitmap-chunk=1M --delay=1 --bitmap={file}");
    if !taken(&mdadm(&format!("{create} {all}"))) {
        return;
    }
    write_pattern("/dev/md0", 0, 30 * MIB, 1);
    vm::wait_sync("md0");
    wait_clean(&file);
    // From here on neither bits nor the mark of being written to are taken back: what the disks hold is what a power cut
    // at any later moment leaves.
    vm::set_attr("md0", "bitmap/time_base", "300");
    vm::set_attr("md0", "safe_mode_delay", "300");
    write_pattern("/dev/md0", 5 * MIB, 2 * MIB, 2);
    assert_eq!(attr("md0", "array_state"), "active");
    let source = sh(&format!("findmnt -n -o SOURCE {dir}")).trim().to_owned();
    let copies: Vec<String> = [&disks[0], &disks[1], &source]
        .iter()
        .enumerate()
        .map(|(n, disk)| {
            let copy = format!("/mnt/cut{n}");
            sh(&format!("sync {0}; cp --sparse=always {0} {copy}", backing(disk)));
            copy
        })
        .collect();
    mdadm("--stop /dev/md0").ok();
    sh(&format!("umount {dir}; losetup -d {all} {source}"));
    // One write had reached the first member only; and the second has a difference of old where the bitmap is clean.
    let second = vm::slice(&copies[1], MIB, 31 * MIB);
    for mib in [5, 20] {
        write_pattern(&second, mib * MIB, MIB, 9);
    }
    sh(&format!("losetup -d {second}"));
    let loops: Vec<String> = copies.iter().map(|c| sh(&format!("losetup -f --show {c}")).trim().to_owned()).collect();
    sh(&format!("mount -t ext4 {} {dir}", loops[2]));
    let (dirty, _) = bits(&file);
    assert!((2..=3).contains(&dirty), "{dirty} chunks of 1 MiB for 2 MiB written");
    let detail = mdadm(&format!("-E {}", loops[0])).ok().stdout;
    assert!(detail.contains("Data Offset : 2048 sectors"), "{detail}");
    assert!(detail.contains("State : active"), "{detail}");
    let out = mdadm(&format!("--assemble /dev/md0 --bitmap={file} {} {}", loops[0], loops[1])).ok();
    assert!(!out.stderr.contains("out of date"), "{}", out.stderr);
    vm::wait_sync("md0");
    mdadm("--stop /dev/md0").ok();
    let holds = |copy: &str, at: u64, mib: u64, seed: u64| {
        let member = vm::slice(copy, MIB, 31 * MIB);
        verify_pattern(&member, at * MIB, mib * MIB, seed).is_empty()
    };
    assert!(holds(&copies[0], 0, 5, 1) && holds(&copies[0], 5, 2, 2) && holds(&copies[0], 7, 23, 1));
    assert!(holds(&copies[1], 5, 2, 2), "resynced");
    assert!(holds(&copies[1], 20, 1, 9), "not resynced: it was clean");
}

#[test]
fn the_file_of_an_array_line_is_used_where_it_can_be_and_keeps_no_array_down() {
    use mdadm::bitmap::{file::new_file, header::NewBitmap};
    let (dir, disks) = (mounted("ext4"), vm::disks(2, 16 * MIB));
    let (file, uuid) = (format!("{dir}/bits"), "01234567:89abcdef:fedcba98:76543210");
    let all = disks.join(" ");
    mdadm(&format!("--create /dev/md0 -q --run --assume-clean -b none -l1 -n2 -u {uuid} {all}")).ok();
    let kib: u64 = sh("cat /sys/block/md0/size").trim().parse::<u64>().unwrap() / 2;
    mdadm("--stop /dev/md0").ok();
    fs::write("/mnt/conf", format!("ARRAY /dev/md0 uuid={uuid} bitmap={file}\n")).unwrap();
    let bitmap = NewBitmap {
        uuid: mdadm::uuid::Uuid::parse(uuid).unwrap(),
        sync_sectors: kib * 2,
        chunk_bytes: 65536,
        daemon_sleep: 5,
        write_behind: 0,
        sectors_reserved: 0,
    };
    let scan = || mdadm("--assemble --scan --config=/mnt/conf");
    let one_by_one = || {
        mdadm(&format!("-I --config=/mnt/conf {}", disks[0])).ok();
        mdadm(&format!("-I --config=/mnt/conf {}", disks[1]))
    };
    let late = || {
        mdadm(&format!("-I --config=/mnt/conf {}", disks[0])).ok();
        mdadm("-I --run --scan --config=/mnt/conf")
    };
    let ways: [&dyn Fn() -> Output; 3] = [&scan, &one_by_one, &late];
    for there in [true, false] {
        for way in ways {
            if there {
                fs::write(&file, new_file(&bitmap).unwrap()).unwrap();
                sh("sync");
            }
            let out = way().ok();
            assert!(vm::mdstat().contains("md0 : active"), "{out:?}");
            let without = out.stderr.contains("is started without its bitmap file");
            assert_eq!(without, !there || !kernel_takes_files(), "{out:?}");
            assert_eq!(vm::mdstat().contains(&format!("file: {file}")), !without, "{}", vm::mdstat());
            assert_eq!(out.stderr.contains("does not exist"), !there, "{out:?}");
            mdadm("--stop /dev/md0").ok();
        }
        let _ = fs::remove_file(&file);
    }
}

#[test]
fn a_failed_member_comes_back_by_the_file() {
    // the kernel log has to reach back to before the member left, and clocks are compared in seconds
    std::thread::sleep(std::time::Duration::from_secs(3));
    let dir = mounted("xfs");
    let disks = vm::disks(2, 32 * MIB);
    let (file, all) = (format!("{dir}/bits"), disks.join(" "));
    let create =
        format!("--create /dev/md0 -q --run --assume-clean -l1 -n2 --bitmap-chunk=1M --delay=1 --bitmap={file}");
    if !taken(&mdadm(&format!("{create} {all}"))) {
        return;
    }
    write_pattern("/dev/md0", 0, 30 * MIB, 1);
    wait_clean(&file);
    mdadm(&format!("/dev/md0 --fail {0} --remove {0}", disks[1])).ok();
    write_pattern("/dev/md0", 8 * MIB, MIB, 2);
    let out = mdadm(&format!("/dev/md0 --re-add {}", disks[1])).ok();
    assert!(out.stderr.contains(&format!("re-added {}", disks[1])), "{}", out.stderr);
    assert!(out.stderr.contains("1 MiB of 31 MiB are rebuilt"), "{}", out.stderr);
    vm::wait_sync("md0");
    assert_eq!(attr("md0", "degraded"), "0");
    mdadm(&format!("/dev/md0 --fail {0} --remove {0}", disks[0])).ok();
    assert!(verify_pattern("/dev/md0", 8 * MIB, MIB, 2).is_empty());
    assert!(verify_pattern("/dev/md0", 9 * MIB, 21 * MIB, 1).is_empty());
}

#[test]
fn a_failed_member_of_a_built_mirror_comes_back_by_the_file_if_nothing_else_ever_failed() {
    let dir = mounted("ext4");
    let disks = vm::disks(3, 32 * MIB);
    let (file, all) = (format!("{dir}/bits"), disks[..2].join(" "));
    let build = format!("--build /dev/md0 -l1 -n2 --bitmap-chunk=1M --delay=1 --bitmap={file} {all}");
    if !taken(&mdadm(&build)) {
        return;
    }
    vm::wait_sync("md0");
    write_pattern("/dev/md0", 0, 32 * MIB, 1);
    wait_clean(&file);
    let leave = |disk: &str| mdadm(&format!("/dev/md0 --fail {disk} --remove {disk}")).ok();
    leave(&disks[1]);
    write_pattern("/dev/md0", 8 * MIB, MIB, 2);
    // Outside of what the bitmap marks: shows that no more than that is rebuilt.
    write_pattern(&disks[1], 20 * MIB, MIB, 9);
    let other = mdadm(&format!("/dev/md0 --re-add {}", disks[2]));
    assert!(other.status == 1 && other.stderr.contains("array is not persistent, aborting."), "{}", other.stderr);
    assert!(other.stderr.contains("that failed; --add would rebuild it fully"), "{}", other.stderr);
    let back = mdadm(&format!("/dev/md0 --re-add {}", disks[1])).ok();
    assert!(back.stderr.starts_with(&format!("mdadm: re-added {}\n", disks[1])), "{}", back.stderr);
    vm::wait_sync("md0");
    assert_eq!(attr("md0", "degraded"), "0");
    assert!(verify_pattern(&disks[1], 8 * MIB, MIB, 2).is_empty());
    assert!(verify_pattern(&disks[1], 20 * MIB, MIB, 9).is_empty());
    // From now on another may have been in its place.
    leave(&disks[1]);
    let again = mdadm(&format!("/dev/md0 --re-add {}", disks[1]));
    assert!(again.status == 1 && again.stderr.contains("does not tell of one failed member"), "{}", again.stderr);
    mdadm(&format!("/dev/md0 --add {}", disks[1])).ok();
    vm::wait_sync("md0");
    assert!(verify_pattern(&disks[1], 9 * MIB, 23 * MIB, 1).is_empty());
}
