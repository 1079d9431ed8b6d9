//! What the states of a lockless bitmap become in the life of an array, level by level: the table in man/md-lockless.7.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use std::path::PathBuf;
use std::time::Duration;

use vm::{MIB, attr, mdadm, sh, verify_pattern, write_pattern};

/// Used of each member: 640 chunks of 64 KiB.
const USED: u64 = 40 * MIB;
/// Chunks that one block of states covers: what a second write turns with it.
const BLOCK: u64 = 512;

/// Of one level.
struct Life {
    level: &'static str,
    parity: bool,
    /// In slots, then one more.
    disks: Vec<String>,
    slots: usize,
    /// Chunks of the bitmap.
    chunks: u64,
    /// Of the array's bytes, what a chunk covers on average.
    chunk_data: u64,
}

/// How many chunks are in the states of which the names begin so.
fn state(names: &[&str]) -> u64 {
    let bits = attr("md0", "llbitmap/bits");
    let line = |l: &str| l.rsplit_once(' ').map(|(name, n)| (name.to_owned(), n.parse::<u64>().unwrap()));
    bits.lines().filter_map(line).filter(|(name, _)| names.contains(&name.as_str())).map(|(_, n)| n).sum()
}

fn unwritten() -> u64 {
    state(&["unwritten"])
}

impl Life {
    fn begin(level: &'static str, slots: usize, options: &str) -> Life {
        let parity = level == "5" || level == "6";
        let disks = vm::disks(slots + 1, USED + 24 * MIB);
        // What is not built or copied is seen.
        disks.iter().for_each(|d| drop(sh(&format!("dd if=/dev/urandom of={d} bs=1M count=64 status=none"))));
        let life = Life {
            level,
            parity,
            slots,
            chunks: USED * if level == "10" { slots as u64 / 2 } else { 1 } / (64 << 10),
            chunk_data: (64 << 10) * if parity { 2 } else { 1 },
            disks,
        };
        life.create(options);
        life
    }

    fn create(&self, options: &str) {
        mdadm(&format!(
            "--create /dev/md0 --run --quiet --level={} --raid-devices={} --bitmap=lockless --size=40M --delay=1 \
             --saved-metadata=none {options} {}",
            self.level,
            self.slots,
            self.members().join(" ")
        ))
        .ok();
        mdadm("--grow /dev/md0 --bitmap-idle=1").ok();
    }

    fn members(&self) -> &[String] {
        &self.disks[..self.slots]
    }

    /// After writes: their parity is built, and they are clean.
    #[track_caller]
    fn rests(&self) {
        vm::wait_sync("md0");
        vm::wait_until(Duration::from_secs(60), "no chunk is dirty or in need of a sync", || {
            state(&["dirty", "need sync", "syncing"]) == 0
        });
        assert_eq!(state(&["unwritten", "clean"]), self.chunks, "{}", attr("md0", "llbitmap/bits"));
    }

    /// Has `command` rebuild `disk` and says how many KiB were written to it.
    #[track_caller]
    fn written_to(&self, disk: &str, command: &str) -> u64 {
        let path = format!("/sys/block/{}/stat", disk.trim_start_matches("/dev/"));
        let sectors = || sh(&format!("sync; cat {path}")).split_whitespace().nth(6).unwrap().parse::<u64>().unwrap();
        let before = sectors();
        mdadm(command).ok();
        self.rests();
        assert_eq!(attr("md0", "degraded"), "0", "{command}");
        (sectors() - before) / 2
    }

    #[track_caller]
    fn takes_out(&self, disk: &str) {
        mdadm(&format!("--quiet /dev/md0 --fail {disk}")).ok();
        mdadm(&format!("--quiet /dev/md0 --remove {disk}")).ok();
    }

    /// A member is away while 1 MiB is written behind `data`, and comes back: only that is copied.
    #[track_caller]
    fn away_and_back(&self, data: u64, away: &str) {
        let (level, unwritten_before) = (self.level, unwritten());
        self.takes_out(away);
        assert_eq!(state(&["clean"]), self.chunks - unwritten_before, "level {level}: degraded");
        write_pattern("/dev/md0", data + 4 * MIB, MIB, 8);
        assert_eq!(state(&["need sync"]), MIB / self.chunk_data, "level {level}: written while degraded");
        assert_eq!(unwritten(), unwritten_before, "level {level}: no other chunk with it");
        let kib = self.written_to(away, &format!("--quiet /dev/md0 --re-add {away}"));
        assert!(kib <= 1024 + 256, "level {level}: {kib} KiB copied to a member that missed 1 MiB");
    }

    /// KiB of a member behind so many chunks.
    fn member_kib(&self, chunks: u64) -> u64 {
        chunks * 64 * USED / (64 << 10) / self.chunks
    }

    /// The members agree wherever chunks are not unwritten.
    #[track_caller]
    fn members_agree(&self, disks: &[&String]) {
        mdadm("--stop /dev/md0").ok();
        let file = |d: &&String| PathBuf::from(sh(&format!("losetup -n -O BACK-FILE {d}")).trim());
        let files: Vec<PathBuf> = disks.iter().map(file).collect();
        assert_eq!(vm::Members::open(&files).wrong_chunks(), [0; 0], "level {}", self.level);
    }
}

/// New, written to, discarded, without a member, with it again, with another, with a third in place of one.
fn life(level: &'static str, slots: usize) {
    let life = Life::begin(level, slots, "");
    assert_eq!((unwritten(), attr("md0", "sync_action").as_str()), (life.chunks, "idle"), "level {level}: new");

    // Written: the whole block of states goes with it, and parity is built.
    write_pattern("/dev/md0", 0, 8 * MIB, 7);
    assert_eq!(unwritten(), life.chunks - BLOCK, "level {level}: written");
    assert!(life.parity || state(&["dirty", "clean"]) == BLOCK, "level {level}: written");
    life.rests();
    assert_eq!(state(&["clean"]), BLOCK, "level {level}: at rest");

    let (first, away, new) = (&life.disks[0], &life.disks[1], &life.disks[slots]);
    let mut data = 0;
    if level == "10" {
        // A rebuild takes nothing there for unwritten, which would go with what was written.
        write_pattern("/dev/md0", 8 * MIB, 72 * MIB, 7);
        life.rests();
    }
    life.away_and_back(0, away);
    if level == "10" {
        // What a member has at this place is not what the chunks at that place are about: nothing is left out.
        sh("blkdiscard /dev/md0");
        data = 50 * MIB;
        write_pattern("/dev/md0", data, 8 * MIB, 7);
        write_pattern("/dev/md0", data + 4 * MIB, MIB, 8);
        life.rests();
        assert!(unwritten() > 0);
    }

    // A blank one in its place, and another in place of one that works: all but the unwritten chunks.
    let written = if level == "10" { life.chunks } else { life.chunks - unwritten() };
    life.takes_out(away);
    mdadm(&format!("--zero-superblock --saved-metadata=none {away}")).ok();
    let most = life.member_kib(written) + 2048;
    let kib = life.written_to(new, &format!("--quiet /dev/md0 --add {new}"));
    assert!((life.member_kib(written)..most).contains(&kib), "level {level}: {kib} KiB rebuilt");
    let replace = format!("--quiet /dev/md0 --add {away} --replace {first} --with {away}");
    let kib = life.written_to(away, &replace);
    assert!((life.member_kib(written)..most).contains(&kib), "level {level}: {kib} KiB copied");
    assert_eq!(life.chunks - unwritten(), written, "level {level}: a rebuild changes no state");
    mdadm(&format!("--quiet /dev/md0 --remove {first}")).ok();
    let now: Vec<&String> = [away, new].into_iter().chain(&life.disks[2..slots]).collect();
    let all = now.iter().map(|d| d.as_str()).collect::<Vec<_>>().join(" ");
    life.members_agree(&now);
    mdadm(&format!("--quiet --assemble /dev/md0 {all}")).ok();
    assert_eq!(verify_pattern("/dev/md0", data, 4 * MIB, 7), [0; 0]);
    assert_eq!(verify_pattern("/dev/md0", data + 4 * MIB, MIB, 8), [0; 0]);

    if level == "5" {
        // All of it: the kernel's own way of building parity ahead leaves out most of a chunk.
        mdadm("--quiet --grow /dev/md0 --proactive-sync").ok();
        life.rests();
        assert_eq!(state(&["clean"]), life.chunks);
        life.members_agree(&now);
        mdadm(&format!("--quiet --assemble /dev/md0 {all}")).ok();
    }

    // Larger than its bitmap can bear: off, larger, resynced, on, and all chunks are clean at the next start. Copies that were
    // never written may differ, parity not.
    mdadm("--grow /dev/md0 --size=60M --saved-metadata=none --quiet").ok();
    if life.parity {
        life.members_agree(&now);
    } else {
        mdadm("--stop /dev/md0").ok();
    }
    mdadm(&format!("--quiet --assemble /dev/md0 {all}")).ok();
    assert_eq!(state(&["clean"]), life.chunks / 2 * 3, "level {level}: grown");
    assert_eq!(verify_pattern("/dev/md0", data + 5 * MIB, 3 * MIB, 7), [0; 0]);

    // blkdiscard and fstrim: whole chunks only, and no other.
    sh("blkdiscard -o 4M -l 4M /dev/md0");
    let discarded = unwritten();
    assert_eq!(discarded, 4 * MIB / life.chunk_data, "level {level}: discarded");
    sh("blkdiscard /dev/md0");
    assert_eq!(unwritten(), life.chunks / 2 * 3, "level {level}: all discarded");
    sh("mkfs.ext4 -q -E nodiscard,lazy_itable_init=0 /dev/md0; mkdir -p /mnt/fs; mount /dev/md0 /mnt/fs
        dd if=/dev/urandom of=/mnt/fs/file bs=1M count=20 status=none; sync");
    vm::wait_sync("md0");
    let before = unwritten();
    let trimmed =
        sh("rm /mnt/fs/file; sync; fstrim /mnt/fs; sed -n 's/^unwritten //p' /sys/block/md0/md/llbitmap/bits");
    assert!(
        trimmed.trim().parse::<u64>().unwrap() >= before + 16 * MIB / life.chunk_data,
        "level {level}: trimmed: {before}, {trimmed}"
    );
    sh("umount /mnt/fs");
    mdadm("--stop /dev/md0").ok();

    // Said to be clean: none is unwritten, and the first write of a level without parity turns one chunk.
    life.create("--assume-clean");
    assert_eq!(state(&["clean"]), life.chunks, "level {level}: --assume-clean");
    write_pattern("/dev/md0", 0, 64 << 10, 7);
    let turned = if life.parity { 1..=BLOCK } else { 1..=1 };
    let dirty = life.chunks - state(&["clean"]);
    assert!(dirty == 0 || turned.contains(&dirty), "level {level}: {dirty} turned");
    mdadm("--stop /dev/md0").ok();
}

/// A spare would be taken as soon as a degraded raid10 starts, before anything can be marked.
fn spares_wait() {
    // Half as far on the members, where the array's chunks at that distance are unwritten.
    const AT: u64 = 66 * MIB;
    let disks = vm::disks(5, 44 * MIB);
    for one_by_one in [false, true] {
        // The reference marks nothing, and what was never written is unwritten on disk too.
        vm::reference(&format!("--create /dev/md1 --run -l10 -n4 -x1 -b lockless {}", disks.join(" "))).ok();
        write_pattern("/dev/md1", AT, 2 * MIB, 7);
        mdadm("--stop /dev/md1").ok();
        let (there, spare) = (&disks[1..], &disks[4]);
        let out = if one_by_one {
            there.iter().for_each(|d| drop(mdadm(&format!("--incremental --quiet {d}")).ok()));
            mdadm("--incremental --run --scan").ok()
        } else {
            mdadm(&format!("--assemble /dev/md1 --run {}", there.join(" "))).ok()
        };
        assert!(out.stderr.contains(&format!("{spare} is not added to /dev/md")), "{out:?}");
        let md = sh("ls /sys/block | grep ^md").trim().to_owned();
        assert_eq!(attr(&md, "degraded"), "1");
        sh(&format!("! ls -d /sys/block/{md}/md/dev-{}", spare.trim_start_matches("/dev/")));
        assert!(!attr(&md, "llbitmap/bits").starts_with("unwritten 0\n"));
        mdadm(&if one_by_one { format!("--incremental {spare}") } else { format!("/dev/{md} --add {spare}") }).ok();
        assert!(attr(&md, "llbitmap/bits").starts_with("unwritten 0\n"));
        vm::wait_sync(&md);
        assert_eq!(attr(&md, "degraded"), "0");
        mdadm(&format!("/dev/{md} --fail {}", disks[1])).ok();
        assert_eq!(verify_pattern(&format!("/dev/{md}"), AT, 2 * MIB, 7), [0; 0]);
        mdadm(&format!("--stop /dev/{md}")).ok();
        mdadm(&format!("--zero-superblock --quiet --saved-metadata=none {}", disks.join(" "))).ok();
    }
}

#[test]
fn a_raid1_with_a_lockless_bitmap_lives_as_the_manual_says() {
    if !vm::lockless_is_refused() {
        life("1", 2);
    }
}

#[test]
fn a_raid10_with_a_lockless_bitmap_lives_as_the_manual_says() {
    if !vm::lockless_is_refused() {
        life("10", 4);
        spares_wait();
    }
}

#[test]
fn a_raid5_with_a_lockless_bitmap_lives_as_the_manual_says() {
    if !vm::lockless_is_refused() {
        life("5", 3);
    }
}

#[test]
fn a_raid6_with_a_lockless_bitmap_lives_as_the_manual_says() {
    if !vm::lockless_is_refused() {
        life("6", 4);
    }
}
