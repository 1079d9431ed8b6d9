//! Arrays with 0.90 metadata, in the guest.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "vm/mod.rs"]
mod vm;

use std::os::unix::fs::FileExt;

use vm::{MIB, Output};

const SIZE: u64 = 12 * MIB;
/// Where the superblock of a disk of [`SIZE`] is.
const SUPER: u64 = SIZE - 64 * 1024;
const MAGIC: u32 = 0xa92b_4efc;

/// A 0.90 array with data on it, made and stopped by the reference. Gives its members.
fn theirs(count: usize, options: &str) -> Vec<String> {
    let disks = vm::disks(count, SIZE);
    let line = format!("--create /dev/md7 -e 0.90 --run -q --assume-clean {options} {}", disks.join(" "));
    vm::reference(&line).ok();
    vm::write_pattern("/dev/md7", 0, 6 * MIB, 9);
    vm::reference("--stop /dev/md7").ok();
    disks
}

fn holds_the_data(array: &str) {
    assert_eq!(vm::verify_pattern(array, 0, 6 * MIB, 9), Vec::<u64>::new());
}

/// The words of a disk's superblock, in the byte order that it has.
fn words(disk: &str) -> Vec<u32> {
    let mut bytes = vec![0; 4096];
    let size = vm::sh(&format!("blockdev --getsize64 {disk}")).trim().parse::<u64>().unwrap();
    std::fs::File::open(disk).unwrap().read_exact_at(&mut bytes, size / 65536 * 65536 - 65536).unwrap();
    let read = |of: fn([u8; 4]) -> u32| bytes.chunks_exact(4).map(|b| of(b.try_into().unwrap())).collect::<Vec<_>>();
    let little = read(u32::from_le_bytes);
    if little[0] == MAGIC { little } else { read(u32::from_be_bytes) }
}

/// Turns the superblock of a disk, and the uuid in its bitmap, as a machine of the other byte order would have them.
fn turn(disk: &str) {
    let mut words = words(disk);
    for pair in [39, 41, 44] {
        words.swap(pair, pair + 1);
    }
    let file = std::fs::OpenOptions::new().write(true).open(disk).unwrap();
    let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_be_bytes()).collect();
    file.write_all_at(&bytes, SUPER).unwrap();
    let uuid: Vec<u8> = [5, 13, 14, 15].iter().flat_map(|n| words[*n].to_be_bytes()).collect();
    file.write_all_at(&uuid, SUPER + 4096 + 8).unwrap();
    file.sync_all().unwrap();
}

fn keep() {
    vm::sh("mkdir -p /mnt/was; cp --sparse=always /mnt/disk* /mnt/was");
}

fn put_back() {
    vm::sh(
        "losetup -nO NAME,BACK-FILE | while read loop file; do \
         dd if=/mnt/was/${file##*/} of=$loop bs=4M status=none conv=fsync; done",
    );
}

/// What `line` gives with ours and with the reference from equal disks has to be equal: status, stdout, what runs, and the
/// words of all superblocks once it is stopped, but for times, checksums and the first half of a random uuid.
#[track_caller]
fn as_the_reference(line: &str, disks: &[String]) -> Output {
    keep();
    let both = [vm::mdadm as fn(&str) -> Output, vm::reference].map(|tool| {
        let out = tool(line);
        // ours takes the bitmap for out of date where all of the array is to be resynced
        // and Linux 6.12 leaves the last line out while an array goes away
        let same = |l: &&str| !l.contains("bitmap:") && !l.starts_with("unused devices:");
        let running: Vec<_> = vm::mdstat().lines().filter(same).map(str::to_owned).collect();
        vm::mdadm("--stop -q --scan").ok();
        let masked = disks.iter().map(|d| {
            let mut words = words(d);
            [5, 6, 13, 32, 38].into_iter().for_each(|n| words[n] = 0);
            words
        });
        let masked: Vec<_> = masked.collect();
        put_back();
        (out, running, masked)
    });
    let [(ours, our_mdstat, our_words), (theirs, their_mdstat, their_words)] = both;
    let errors = format!("{line}\n{}\n{}", ours.stderr, theirs.stderr);
    assert_eq!((ours.status, &ours.stdout), (theirs.status, &theirs.stdout), "{errors}");
    assert_eq!(our_mdstat, their_mdstat, "{errors}");
    for ((a, b), disk) in our_words.iter().zip(&their_words).zip(disks) {
        let differs: Vec<_> = (0..1024).filter(|n| a[*n] != b[*n]).map(|n| (n, a[n], b[n])).collect();
        assert!(differs.is_empty(), "{disk}: word, ours, the reference's: {differs:x?}\n{errors}");
    }
    ours
}

#[test]
fn arrays_of_the_reference_are_assembled_by_members_by_uuid_and_by_their_number() {
    for options in ["-l1 -n3", "-l5 -n3 -x1 -b internal", "-l0 -n2"] {
        let count = options.split_whitespace().filter_map(|w| w.strip_prefix("-n").or(w.strip_prefix("-x")));
        let disks = theirs(count.map(|n| n.parse::<usize>().unwrap()).sum(), options);
        let members = disks.join(" ");
        as_the_reference(&format!("--assemble /dev/md7 {members}"), &disks);
        as_the_reference("--assemble /dev/md4 --super-minor=7", &disks);
        as_the_reference(&format!("--assemble /dev/md4 --super-minor=8 {members}"), &disks);
        vm::mdadm("--assemble /dev/md3 --super-minor=7").ok();
        holds_the_data("/dev/md3");
        let detail = vm::mdadm("--detail --export /dev/md3").ok().stdout;
        assert!(detail.contains("MD_METADATA=0.90\n"), "{detail}");
        let uuid = detail.lines().find_map(|l| l.strip_prefix("MD_UUID=")).unwrap();
        vm::mdadm("--stop /dev/md3").ok();
        vm::mdadm(&format!("--assemble /dev/md4 --uuid={uuid}")).ok();
        vm::mdadm("--stop /dev/md4").ok();
        vm::mdadm(&format!("--zero-superblock {members}")).ok();
        vm::sh("losetup -D; rm -rf /mnt/disk* /mnt/was");
    }
}

#[test]
fn updates_write_what_the_reference_writes() {
    let disks = theirs(4, "-l5 -n3 -x1 -b internal");
    let members = disks.join(" ");
    for word in ["super-minor", "uuid", "homehost", "resync", "summaries"] {
        as_the_reference(&format!("--assemble /dev/md9 --readonly --update={word} {members}"), &disks);
    }
    let uuid = "00112233:44556677:8899aabb:ccddeeff";
    as_the_reference(&format!("--assemble /dev/md9 --readonly --update=uuid --uuid={uuid} {members}"), &disks);
    as_the_reference(&format!("--assemble /dev/md9 --readonly --update=homehost --homehost=foo {members}"), &disks);
    for word in ["name", "devicesize", "layout-original", "bbl"] {
        let line = format!("--assemble /dev/md9 --readonly --update={word} {members}");
        assert_eq!(vm::mdadm(&line).status, vm::reference(&line).status, "{word}");
        // the reference leaves a half made array there
        vm::mdadm("--stop --scan -q").ok();
    }
    // a set that has run, and has been resynced to its end
    vm::mdadm(&format!("--assemble /dev/md9 --update=resync {members}")).ok();
    vm::wait_sync("md9");
    holds_the_data("/dev/md9");
    vm::mdadm("--stop /dev/md9").ok();
    as_the_reference(&format!("--assemble /dev/md9 --readonly --update=super-minor {members}"), &disks);
    let before = words(&disks[0]);
    assert_eq!((before[33] & 1, before[43]), (1, u32::MAX), "clean, and in sync to the end");
    // Read-only, so that nothing but the update is written: without a new checkpoint the kernel would resync nothing.
    vm::mdadm(&format!("--assemble /dev/md9 --readonly --update=resync {members}")).ok();
    let after = words(&disks[0]);
    assert_eq!((after[33] & 1, after[43]), (0, 0));
    assert_eq!(vm::attr("md9", "resync_start"), "0");
}

#[test]
fn members_of_the_other_byte_order_are_turned_when_asked_and_never_before() {
    let disks = theirs(4, "-l5 -n3 -x1 -b internal");
    let members = disks.join(" ");
    let before: Vec<_> = disks.iter().map(|d| words(d)).collect();
    disks.iter().for_each(|d| turn(d));
    vm::sh("sync; for l in /dev/loop*; do blockdev --flushbufs $l 2>/dev/null || true; done");
    let line = format!("--assemble /dev/md7 {members}");
    let (ours, theirs) = (vm::mdadm(&line), vm::reference(&line));
    assert_eq!(ours.status, theirs.status);
    assert!(ours.stderr.starts_with(&theirs.stderr), "{}", ours.stderr);
    assert!(ours.stderr.contains("--update=byteorder makes it this one's"), "{}", ours.stderr);
    let out = vm::mdadm("--assemble /dev/md7 --super-minor=7 --verbose");
    assert!(out.status == 2 && out.stderr.contains("--update=byteorder"), "{}", out.stderr);
    assert!(!vm::mdstat().contains("md7"));
    vm::mdadm(&format!("--assemble /dev/md7 --readonly --update=byteorder {members}")).ok();
    holds_the_data("/dev/md7");
    vm::mdadm("--stop /dev/md7").ok();
    let after: Vec<_> = disks.iter().map(|d| words(d)).collect();
    assert_eq!(before, after);
    // half of them turned, as after a power cut in between
    disks[2..].iter().for_each(|d| turn(d));
    vm::mdadm(&format!("--assemble /dev/md7 --update=byteorder {members}")).ok();
    holds_the_data("/dev/md7");
    vm::mdadm("--stop /dev/md7").ok();
    // and the reference takes what was turned
    vm::reference(&line).ok();
    holds_the_data("/dev/md7");
}

#[test]
fn stale_members_copies_and_force_are_judged_as_by_the_reference() {
    let disks = theirs(3, "-l5 -n3");
    let members = disks.join(" ");
    let old = vm::disk(SIZE);
    vm::sh(&format!("dd if={} of={old} bs=1M status=none", disks[1]));
    // a copy, equally fresh
    let copied = format!("--assemble /dev/md7 {members} {old}");
    let (ours, theirs) = (vm::mdadm(&copied), vm::reference(&copied));
    assert_eq!((ours.status, &ours.stderr), (1, &theirs.stderr));
    vm::mdadm("--stop --scan -q").ok();
    // the second fails and the array runs on
    vm::mdadm(&format!("--assemble /dev/md7 {members}")).ok();
    vm::mdadm(&format!("/dev/md7 --fail {} --remove {}", disks[1], disks[1])).ok();
    vm::write_pattern("/dev/md7", 0, 6 * MIB, 9);
    vm::mdadm("--stop /dev/md7").ok();
    let out = as_the_reference(&format!("--assemble /dev/md7 {members}"), &disks);
    assert!(out.stdout.contains("has been started with 2 drives (out of 3)"), "{}", out.stdout);
    as_the_reference(&format!("--assemble /dev/md7 {} {}", disks[0], disks[1]), &disks);
    as_the_reference(&format!("--assemble /dev/md7 --run {} {}", disks[0], disks[1]), &disks);
    let out = as_the_reference(&format!("--assemble /dev/md7 --force {} {}", disks[0], disks[1]), &disks);
    assert!(out.stderr.contains("missed writes"), "{}", out.stderr);
    // dirty and degraded
    vm::mdadm(&format!("--assemble /dev/md7 {members}")).ok();
    vm::sh(
        "dd if=/dev/zero of=/dev/md7 bs=64k count=1 seek=90 oflag=direct status=none; cp /mnt/disk0 /mnt/d0; cp /mnt/disk2 /mnt/d2",
    );
    vm::mdadm("--stop /dev/md7").ok();
    vm::sh(&format!(
        "dd if=/mnt/d0 of={} bs=1M status=none; dd if=/mnt/d2 of={} bs=1M status=none",
        disks[0], disks[2]
    ));
    assert_eq!(words(&disks[0])[33] & 1, 0, "dirty");
    let out = as_the_reference(&format!("--assemble /dev/md7 {} {}", disks[0], disks[2]), &disks);
    assert!(out.stderr.contains("while not clean"), "{}", out.stderr);
    as_the_reference(&format!("--assemble /dev/md7 --force {} {}", disks[0], disks[2]), &disks);
}

/// A disk with one partition that starts at 1 MiB and reaches to its end.
fn partitioned() -> (String, String) {
    let disk = vm::disk(SIZE);
    vm::sh(&format!(
        "printf '2048,,fd\\n' | sfdisk -q --no-reread {disk}; partprobe {disk} 2>/dev/null || partx -a {disk}"
    ));
    let part = format!("{disk}p1");
    assert!(std::path::Path::new(&part).exists(), "{part}");
    (disk, part)
}

#[test]
fn a_superblock_that_partition_and_disk_share_is_used_on_the_one_it_belongs_to() {
    let (disks, parts): (Vec<_>, Vec<_>) = (0..2).map(|_| partitioned()).unzip();
    for meta in ["0.90", "1.0"] {
        vm::reference(&format!("--create /dev/md7 -e {meta} -R -q -l1 -n2 --assume-clean {}", parts.join(" "))).ok();
        let uuid = vm::mdadm("--detail --export /dev/md7").ok().stdout;
        let uuid = uuid.lines().find_map(|l| l.strip_prefix("MD_UUID=")).unwrap().to_owned();
        vm::mdadm("--stop /dev/md7").ok();
        let out = vm::mdadm(&format!("--assemble /dev/md7 {}", disks.join(" ")));
        assert_eq!(out.status, 1, "{}", out.stderr);
        let whose = format!("the superblock found on {} is that of {}: it ", disks[0], parts[0]);
        assert!(out.stderr.contains(&whose), "{}", out.stderr);
        let lines = vm::mdadm(&format!("--examine --brief --verbose --scan {} {}", disks[0], parts[0])).ok().stdout;
        assert!(lines.contains(&format!("devices={}\n", parts[0])), "{lines}");
        let out = vm::mdadm(&format!("--examine {}", disks[0]));
        // 1.0 records its place: on the disk there is no superblock, and the partition table is shown
        assert!(meta == "1.0" || out.stderr.contains(&whose), "{}", out.stderr);
        assert_eq!(out.stdout, vm::reference(&format!("--examine {}", disks[0])).stdout);
        let zeroed = vm::mdadm(&format!("--zero-superblock {}", disks[0]));
        assert_eq!(zeroed.status, i32::from(meta == "0.90"), "{}", zeroed.stderr);
        assert!(vm::mdadm(&format!("--examine {}", parts[0])).status == 0);
        vm::mdadm(&format!("--assemble /dev/md7 --uuid={uuid}")).ok();
        assert!(vm::mdstat().contains("loop0p1") && vm::mdstat().contains("[2/2]"), "{}", vm::mdstat());
        vm::mdadm("--stop /dev/md7").ok();
        vm::mdadm(&format!("--assemble /dev/md7 {}", parts.join(" "))).ok();
        vm::mdadm("--stop /dev/md7").ok();
        vm::mdadm(&format!("--zero-superblock {}", parts.join(" "))).ok();
    }
    // the whole disks are the members; the partition table came with what was copied to them
    vm::sh(&disks.iter().map(|d| format!("partx -d {d} || true;")).collect::<String>());
    let table = format!("dd if={} of=/mnt/table bs=1M count=1 status=none", disks[0]);
    vm::sh(&table);
    vm::reference(&format!("--create /dev/md7 -e 0.90 -R -q -l1 -n2 --assume-clean {}", disks.join(" "))).ok();
    vm::mdadm("--stop /dev/md7").ok();
    for disk in &disks {
        vm::sh(&format!("dd if=/mnt/table of={disk} bs=1M conv=notrunc status=none; sync; partx -a {disk}"));
    }
    let out = vm::mdadm(&format!("--assemble /dev/md7 {}", parts.join(" ")));
    assert_eq!(out.status, 1, "{}", out.stderr);
    let why = format!("is that of {}: it records 12224 KiB, more than {} has", disks[0], parts[0]);
    assert!(out.stderr.contains(&why), "{}", out.stderr);
    vm::mdadm(&format!("--assemble /dev/md7 {}", disks.join(" "))).ok();
    assert!(vm::mdstat().contains("loop0[0]"), "{}", vm::mdstat());
}

#[test]
fn a_damaged_superblock_and_a_raid0_of_unequal_members_are_explained() {
    let disks = theirs(2, "-l1 -n2");
    // the number of its own descriptor: the kernel would look past the table's end
    let mut words = words(&disks[0]);
    words[992] = 40;
    words[38] = 0;
    let sum: u64 = words.iter().map(|w| u64::from(*w)).sum();
    words[38] = (sum & 0xffff_ffff) as u32 + (sum >> 32) as u32;
    let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    std::fs::OpenOptions::new().write(true).open(&disks[0]).unwrap().write_all_at(&bytes, SUPER).unwrap();
    let out = vm::mdadm(&format!("--assemble /dev/md7 {}", disks.join(" ")));
    assert_eq!(out.status, 1);
    assert!(
        out.stderr.contains("is damaged: this_disk.number is 40, which is not in the table (27)"),
        "{}",
        out.stderr
    );
    // a second zone with two members: there the layouts differ
    let unequal = [vm::disk(SIZE), vm::disk(SIZE + 8 * MIB), vm::disk(SIZE + 8 * MIB)];
    vm::sh("echo 2 > /sys/module/raid0/parameters/default_layout");
    let line = format!("--create /dev/md8 -e 0.90 -R -q -l0 -n3 --layout=dangerous {}", unequal.join(" "));
    vm::reference(&line).ok();
    vm::mdadm("--stop /dev/md8").ok();
    let line = format!("--assemble /dev/md8 {}", unequal.join(" "));
    vm::mdadm(&line).ok();
    vm::mdadm("--stop /dev/md8").ok();
    vm::sh("echo 0 > /sys/module/raid0/parameters/default_layout");
    let out = vm::mdadm(&line);
    assert_eq!(out.status, 1);
    assert!(out.stderr.contains("/sys/module/raid0/parameters/default_layout"), "{}", out.stderr);
}

#[test]
fn a_new_array_resyncs_loses_a_member_rebuilds_on_the_spare_and_keeps_its_data() {
    for (options, count) in
        [("-l5 -n3 -x1 -b internal", 4), ("-l1 -n2 -x1 -b none", 3), ("-l6 -n4 -x1 -b none --force", 5)]
    {
        let disks = vm::disks(count, SIZE);
        let line = format!("--create /dev/md7 -e 0.90 --run -q {options} {}", disks.join(" "));
        assert_eq!(vm::mdadm(&line).ok().stdout, "");
        vm::write_pattern("/dev/md7", 0, 6 * MIB, 9);
        vm::wait_sync("md7");
        assert_eq!(vm::attr("md7", "degraded"), "0");
        vm::mdadm(&format!("/dev/md7 --fail {}", disks[0])).ok();
        vm::wait_sync("md7");
        assert_eq!(vm::attr("md7", "degraded"), "0", "{}", vm::mdstat());
        holds_the_data("/dev/md7");
        vm::mdadm("--stop /dev/md7").ok();
        vm::mdadm(&format!("--assemble /dev/md7 {}", disks[1..].join(" "))).ok();
        vm::set_attr("md7", "sync_action", "check");
        vm::wait_sync("md7");
        assert_eq!(vm::attr("md7", "mismatch_cnt"), "0");
        holds_the_data("/dev/md7");
        // the reference starts what is left of it, and repairs what it must
        vm::mdadm("--stop /dev/md7").ok();
        vm::reference(&format!("--assemble /dev/md7 --run {}", disks[1..count - 1].join(" "))).ok();
        holds_the_data("/dev/md7");
        vm::mdadm("--stop /dev/md7").ok();
        vm::sh("losetup -D; rm -rf /mnt/disk*");
    }
}

#[test]
fn what_0_90_cannot_hold_is_refused_before_anything_is_written() {
    let disks = vm::disks(3, SIZE);
    let two = disks[..2].join(" ");
    for (options, says) in [
        ("-l1 -n2 -b lockless", "0.90 metadata does not support a lockless bitmap"),
        ("-l1 -n2 -b clustered", "0.90 metadata does not support a clustered bitmap"),
        ("-l5 -n2 --consistency-policy=ppl", "0.90 metadata does not support PPL"),
        ("-l1 -n2 --data-offset=1M", "data-offset not support for 0.90"),
        ("-l0 -n2 -p original", "0.90 metadata does not support layouts for RAID0"),
    ] {
        let out = vm::mdadm(&format!("--create /dev/md7 -e 0.90 --run {options} {two}"));
        assert!(out.status == 1 && out.stderr.contains(says), "{options}: {}", out.stderr);
    }
    let journal = format!("--create /dev/md7 -e 0.90 --run -l5 -n2 --write-journal={} {two}", disks[2]);
    let out = vm::mdadm(&journal);
    assert!(out.status == 1 && out.stderr.contains("0.90 metadata does not support a journal"), "{}", out.stderr);
    for file in ["/mnt/disk0", "/mnt/disk1", "/mnt/disk2"] {
        assert!(std::fs::read(file).unwrap().iter().all(|b| *b == 0), "{file}");
    }
    assert!(!vm::mdstat().contains("md7"));
}

#[test]
fn write_mostly_and_failfast_are_kept_by_the_kernel_and_by_assembly() {
    let disks = vm::disks(2, SIZE);
    let line =
        format!("--create /dev/md7 -e 0.90 --run -q -l1 -n2 --assume-clean {} --write-mostly {}", disks[0], disks[1]);
    vm::mdadm(&line).ok();
    for _ in 0..2 {
        assert_eq!(vm::attr("md7", "dev-loop1/state"), "in_sync,write_mostly");
        assert_eq!(vm::attr("md7", "dev-loop0/state"), "in_sync");
        vm::mdadm("--stop /dev/md7").ok();
        vm::mdadm(&format!("--assemble /dev/md7 {}", disks.join(" "))).ok();
    }
}

#[test]
fn members_made_offline_are_the_same_bytes_each_time_and_start() {
    vm::sh(&format!("truncate -s {SIZE} /mnt/a /mnt/b /mnt/c /mnt/d"));
    let uuid = "00112233:44556677:8899aabb:ccddeeff";
    let line = format!("--create /dev/md5 --offline -e 0.90 -l1 -n2 -b internal --assume-clean --run --uuid={uuid}");
    let run = |files: &str| {
        let words: Vec<_> = line.split_whitespace().chain(files.split_whitespace()).map(str::to_owned).collect();
        let script = format!("SOURCE_DATE_EPOCH=1700000000 {} {}", env!("CARGO_BIN_EXE_mdadm"), words.join(" "));
        vm::sh(&script);
    };
    run("/mnt/a /mnt/b");
    run("/mnt/c /mnt/d");
    vm::sh("cmp /mnt/a /mnt/c && cmp /mnt/b /mnt/d");
    let text = vm::mdadm("--examine /mnt/a").ok().stdout;
    assert!(text.contains(uuid) && text.contains("Preferred Minor : 5"), "{text}");
    let loops = ["a", "b"].map(|f| vm::sh(&format!("losetup -f --show /mnt/{f}")).trim().to_owned());
    vm::reference(&format!("--assemble /dev/md5 {}", loops.join(" "))).ok();
    assert!(vm::mdstat().contains("[2/2] [UU]"), "{}", vm::mdstat());
}

#[test]
fn a_full_table_of_27_members_leaves_no_descriptor_for_a_rebuild_and_resyncs_instead() {
    let disks = vm::disks(27, 2 * MIB);
    let line = format!("--create /dev/md7 -e 0.90 --run -q -l5 -n27 -c 64 -b none {}", disks.join(" "));
    vm::mdadm(&line).ok();
    vm::wait_sync("md7");
    vm::mdadm("--stop /dev/md7").ok();
    let words = words(&disks[26]);
    assert_eq!((words[9], words[10], words[34], words[992], words[996]), (27, 27, 27, 26, 6));
    vm::mdadm(&format!("--assemble /dev/md7 {}", disks.join(" "))).ok();
    assert!(vm::mdstat().contains("[27/27]"), "{}", vm::mdstat());
}

#[test]
fn a_member_is_replaced_by_a_new_one_and_comes_back_by_the_bitmap_with_all_its_data() {
    // the kernel log has to reach back to before the member left, and clocks are compared in seconds
    std::thread::sleep(std::time::Duration::from_secs(3));
    let disks = vm::disks(4, SIZE);
    let line =
        format!("--create /dev/md7 -e 0.90 --run -q -l1 -n2 -b internal --assume-clean {} {}", disks[0], disks[1]);
    vm::mdadm(&line).ok();
    vm::write_pattern("/dev/md7", 0, 6 * MIB, 1);
    vm::mdadm(&format!("/dev/md7 --fail {0} --remove {0}", disks[1])).ok();
    vm::write_pattern("/dev/md7", 2 * MIB, 2 * MIB, 2);
    let out = vm::mdadm(&format!("/dev/md7 --re-add {}", disks[1])).ok();
    assert!(out.stderr.contains("re-added") && out.stderr.contains("the bitmap covers what"), "{}", out.stderr);
    vm::wait_sync("md7");
    // what it missed is there: it alone has all the data now
    vm::mdadm(&format!("/dev/md7 --fail {0} --remove {0}", disks[0])).ok();
    let good =
        |from, len, seed| assert_eq!(vm::verify_pattern("/dev/md7", from * MIB, len * MIB, seed), Vec::<u64>::new());
    good(0, 2, 1);
    good(2, 2, 2);
    good(4, 2, 1);
    // another takes its place: then it cannot come back by the bitmap
    let plan = vm::mdadm(&format!("/dev/md7 --plan --add {}", disks[2])).ok().stdout;
    assert!(plan.contains("superblock, spare number 2") && plan.contains("ADD_NEW_DISK"), "{plan}");
    assert_eq!(words(&disks[2])[0], 0);
    let out = vm::mdadm(&format!("/dev/md7 --add {}", disks[2])).ok();
    assert!(out.stderr.contains(&format!("mdadm: added {}", disks[2])), "{}", out.stderr);
    vm::wait_sync("md7");
    let out = vm::mdadm(&format!("/dev/md7 --re-add {}", disks[0]));
    assert!(out.status == 1 && out.stderr.contains("its slot 0 is taken"), "{}", out.stderr);
    // a member of the other byte order is no former member
    vm::mdadm(&format!("/dev/md7 --fail {0} --remove {0}", disks[2])).ok();
    turn(&disks[2]);
    let out = vm::mdadm(&format!("/dev/md7 --re-add {}", disks[2]));
    assert!(out.status == 1 && out.stderr.contains("it has no superblock of this array"), "{}", out.stderr);
    vm::mdadm(&format!("/dev/md7 --add --write-mostly {}", disks[2])).ok();
    vm::wait_sync("md7");
    assert_eq!(vm::attr("md7", "dev-loop2/state"), "in_sync,write_mostly");
    good(0, 2, 1);
    good(2, 2, 2);
    good(4, 2, 1);
    vm::mdadm("--stop /dev/md7").ok();
    vm::reference(&format!("--assemble /dev/md7 {} {}", disks[1], disks[2])).ok();
    assert!(vm::mdstat().contains("[2/2] [UU]"), "{}", vm::mdstat());
    good(0, 2, 1);
    good(2, 2, 2);
    good(4, 2, 1);
}

#[test]
fn a_full_table_takes_no_further_member_and_a_small_or_held_device_is_not_taken() {
    let disks = vm::disks(28, 2 * MIB);
    let spares = disks[..27].join(" ");
    vm::mdadm(&format!("--create /dev/md7 -e 0.90 --run -q -l1 -n2 -x25 --assume-clean -b none {spares}")).ok();
    let out = vm::mdadm(&format!("/dev/md7 --add {}", disks[27]));
    assert!(
        out.status == 1 && out.stderr.contains("/dev/md7 is full: 0.90 metadata holds 27 devices"),
        "{}",
        out.stderr
    );
    assert_eq!(words(&disks[27])[0], 0);
    vm::mdadm(&format!("/dev/md7 --remove {}", disks[26])).ok();
    let small = vm::disk(MIB);
    let out = vm::mdadm(&format!("/dev/md7 --add {small}"));
    assert!(out.status == 1 && out.stderr.contains("not large enough to join array"), "{}", out.stderr);
    assert_eq!(words(&small)[0], 0);
    vm::mdadm(&format!("/dev/md7 --add {}", disks[27])).ok();
    assert_eq!(vm::mdstat().matches("(S)").count(), 25, "{}", vm::mdstat());
}
