//! A raid5 with a journal, and one with a partial parity log, over power cuts while they are written to: no resync is needed
//! for the parity of all stripes to be right, and with a member less every acknowledged write can still be read: the write
//! hole is closed. `SOAK_SEEDS` seeds of each (1), the first being `SOAK_FIRST` (1).
//!
//! The disks begin with zeros, whose parity is right, and are taken as clean: what is wrong afterwards came from a write.
//! Some milliseconds before each cut one member stops to write, so that stripes are open at the cut; one that finds none counts
//! for nothing and is done again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;
use vm::writes::{self, SECOND_LIFE};
use vm::{MIB, Members, attr, boot_self, disk_file, mdadm, mix};

const DISK: u64 = 40 * MIB;
const MEMBERS: usize = 3;

#[test]
fn soak_a_journal_closes_the_write_hole() {
    campaign("--write-journal=/dev/ubdd", MEMBERS + 1);
}

#[test]
fn soak_a_ppl_closes_the_write_hole() {
    campaign("--consistency-policy=ppl", MEMBERS);
}

fn campaign(log: &str, disks: usize) {
    for seed in vm::seeds(1) {
        println!("\nseed {seed}: {log}: {}", one_seed(log, disks, seed));
    }
}

/// Created, written to and cut off; assembled and checked; assembled, written to and cut off; assembled without a member.
fn one_seed(log: &str, disks: usize, seed: u64) -> String {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let files: Vec<PathBuf> = (0..disks).map(|n| disk_file(dir.path(), &format!("disk{n}"), DISK)).collect();
    let node = |n: usize| format!("/dev/ubd{}", char::from(b'a' + n as u8));
    let nodes: Vec<String> = (0..MEMBERS).map(node).collect();
    let acknowledged = (20 + mix(seed, 1) % 100, SECOND_LIFE + mix(seed, 2) % 60);
    let metadata = ["1.0", "1.2", "1.1"][seed as usize % 3];
    let gone = mix(seed, 3) as usize % MEMBERS;
    let all: Vec<String> = (0..disks).map(node).collect();
    let left: Vec<String> = all.iter().filter(|n| **n != nodes[gone]).cloned().collect();
    let create = "--create /dev/md0 --quiet --run --assume-clean -l5 -n3 --chunk=64";
    let env = [
        ("GUEST_CREATE", format!("{create} --metadata={metadata} {log} {}", nodes.join(" "))),
        ("GUEST_ASSEMBLE", format!("--assemble /dev/md0 {}", all.join(" "))),
        ("GUEST_DEGRADED", format!("--assemble --run /dev/md0 {}", left.join(" "))),
        ("GUEST_SEED", seed.to_string()),
        ("GUEST_ACKNOWLEDGED", format!("{} {}", acknowledged.0, acknowledged.1)),
        ("GUEST_TORN", log.contains("ppl").to_string()),
    ];
    let members = &files[..MEMBERS];
    let cut = |life: &str, last: u64| {
        let mut guest = boot_self(&files, life, &env);
        guest.wait_for("one member stops to write");
        std::thread::sleep(Duration::from_millis(5 + mix(seed, last) % 30));
        guest.cut_power();
        Members::open_all(members).wrong_chunks().len()
    };
    let open = some_open(|| {
        files.iter().for_each(|file| File::create(file).unwrap().set_len(DISK).unwrap());
        cut("guest_creates_and_writes", acknowledged.0)
    });
    boot_self(&files, "guest_assembles_and_checks", &env).finish().ok();
    let wrong = Members::open_all(members).wrong_chunks();
    assert!(wrong.is_empty(), "seed {seed}, {log}: parity is wrong at {wrong:?} of {metadata}");
    // the same writes, should it be done again
    let open_again = some_open(|| cut("guest_assembles_and_writes", acknowledged.1));
    let out = boot_self(&files, "guest_checks_without_a_member", &env).finish().ok();
    let checked = out.stdout.lines().find(|line| line.ends_with("are right")).unwrap();
    format!(
        "{metadata}: {open} and {open_again} stripes open at the cuts, none after the start; without member {gone} {checked}"
    )
}

/// Cuts until stripes were open at the cut, and says how many: the log had something to do.
#[track_caller]
fn some_open(cut: impl FnMut() -> usize) -> usize {
    let mut cuts = std::iter::repeat_with(cut).take(6);
    cuts.find(|open| *open > 0).expect("no stripe was open at any of six cuts: nothing was tested")
}

fn env(name: &str) -> String {
    std::env::var(name).unwrap()
}

fn seed() -> u64 {
    env("GUEST_SEED").parse().unwrap()
}

/// The last writes of the two lives that the host has seen acknowledged before it cuts the power.
fn acknowledged() -> (u64, u64) {
    let numbers: Vec<u64> = env("GUEST_ACKNOWLEDGED").split(' ').map(|n| n.parse().unwrap()).collect();
    (numbers[0], numbers[1])
}

/// What is checked byte by byte; behind it is written to and fro.
fn half() -> u64 {
    writes::array_bytes() / 2
}

/// The first member is a dm device that can be told to hold back what is written.
fn with_a_late_member(line: &str) -> String {
    let table = "0 $(blockdev --getsz /dev/ubda) linear /dev/ubda 0";
    vm::sh(&format!("DM_DISABLE_UDEV=1 dmsetup create late --table \"{table}\"; dmsetup mknodes"));
    line.replace("/dev/ubda", "/dev/mapper/late")
}

/// Acknowledges all up to `last`; what comes then is in flight when the power goes.
fn write_on(first: u64, last: u64) {
    writes::keep_busy(seed() ^ first, half());
    writes::acknowledge(seed(), first..=last, half());
    vm::sh("dmsetup suspend --noflush --nolockfs late");
    println!("one member stops to write");
    writes::acknowledge(seed(), last + 1..=last + writes::IN_FLIGHT, half());
    std::thread::sleep(Duration::from_secs(100));
}

#[test]
#[ignore = "runs in a guest, booted by the campaign"]
fn guest_creates_and_writes() {
    mdadm(&with_a_late_member(&env("GUEST_CREATE"))).ok();
    write_on(0, acknowledged().0);
}

#[test]
#[ignore = "runs in a guest, booted by the campaign"]
fn guest_assembles_and_checks() {
    mdadm(&env("GUEST_ASSEMBLE")).ok();
    // the log does it, not a resync
    assert_eq!((attr("md0", "sync_action").as_str(), attr("md0", "resync_start").as_str()), ("idle", "none"));
    assert_eq!(attr("md0", "degraded"), "0");
    writes::check(seed(), (acknowledged().0, 0), half(), false);
    mdadm("--stop /dev/md0").ok();
}

#[test]
#[ignore = "runs in a guest, booted by the campaign"]
fn guest_assembles_and_writes() {
    mdadm(&with_a_late_member(&env("GUEST_ASSEMBLE"))).ok();
    write_on(SECOND_LIFE, acknowledged().1);
}

#[test]
#[ignore = "runs in a guest, booted by the campaign"]
fn guest_checks_without_a_member() {
    mdadm(&env("GUEST_DEGRADED")).ok();
    assert_eq!(attr("md0", "degraded"), "1");
    let (first, second) = acknowledged();
    // a PPL saves what was not being written; a block of the missing member that was in flight may be torn
    let blocks = writes::check(seed(), (first, second), half(), env("GUEST_TORN") == "true");
    mdadm("--stop /dev/md0").ok();
    println!("{blocks} blocks of {} acknowledged writes are right", first + second - SECOND_LIFE + 2);
}
