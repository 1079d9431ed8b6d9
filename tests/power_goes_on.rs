//! The power goes while a reshape overwrites its own data: it is assembled from the copies, continued, and has all its data and
//! parity. `SOAK_SEEDS` seeds (2), the first being `SOAK_FIRST` (1); the seed decides what changes and when the power goes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use vm::{MIB, Members, attr, boot_self, disk_file, mdadm, mix, set_attr, sh, verify_pattern, write_pattern};

const DISK: u64 = 20 * MIB;
const DATA: u64 = 12 * MIB;
/// The cut comes within so many milliseconds: about what the reshape takes.
const LONGEST: u64 = 3000;
/// What changes: options of create, where the data moves to, attributes. The last is the disk with the copies.
type Change = (&'static str, Option<&'static str>, &'static [(&'static str, &'static str)]);
const CHANGES: [Change; 5] = [
    ("-l5 -n3 -z 16M", None, &[("chunk_size", "131072")]),
    ("-l6 -n4 -z 16M", Some("1024"), &[("chunk_size", "32768")]),
    ("-l6 -n4 -z 16M -e 1.0", None, &[("layout", "0"), ("chunk_size", "32768")]),
    ("-l5 -n4 -z 16M -b internal", Some("1536"), &[("layout", "3")]),
    ("-l5 -n4 -e 0.90 -z 16M", None, &[("layout", "1")]),
];

#[test]
fn soak_what_overwrites_itself_survives_power_cuts() {
    for seed in vm::seeds(2) {
        println!("\nseed {seed}: {}", one_seed(seed));
    }
}

#[test]
fn soak_what_is_turned_survives_power_cuts() {
    for seed in vm::seeds(1) {
        println!("\nseed {seed}: {}", one_turned(seed));
    }
}

/// The power goes while the reshape is turned, or soon after; then the same once more, and it goes on, one way or the other.
fn one_turned(seed: u64) -> String {
    let cuts = [("guest_turns", "turning", 700), ("guest_turns_again", "turning", 700)];
    cut(seed, &cuts)
}

fn change(seed: u64) -> (Change, usize) {
    let change = CHANGES[((seed - 1) % CHANGES.len() as u64) as usize];
    (change, if change.0.contains("-n3") { 3 } else { 4 })
}

fn one_seed(seed: u64) -> String {
    // A second cut, in what was put back or goes on.
    let cuts = [("guest_reshapes", "reshaping", LONGEST), ("guest_goes_on_slowly", "going on", LONGEST / 3)];
    cut(seed, &cuts)
}

/// Each guest is cut off within so many milliseconds from its line on; then it goes on to its end.
fn cut(seed: u64, cuts: &[(&str, &str, u64)]) -> String {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let members = change(seed).1;
    let mut disks: Vec<PathBuf> = (0..members).map(|n| disk_file(dir.path(), &format!("disk{n}"), DISK)).collect();
    disks.push(disk_file(dir.path(), "copies", 40 * MIB));
    let env = [("GUEST_SEED", seed.to_string())];
    for (n, (guest, line, longest)) in cuts.iter().enumerate() {
        let mut guest = boot_self(&disks, guest, &env);
        guest.wait_for(line);
        std::thread::sleep(Duration::from_millis(mix(seed, 9 + n as u64) % longest));
        guest.cut_power();
    }
    let out = boot_self(&disks, "guest_goes_on", &env).finish().ok();
    if !change(seed).0.0.contains("0.90") {
        let members = Members::open_all(&disks[..members]);
        assert_eq!(members.wrong_chunks(), [0; 0], "seed {seed}: parity is wrong\n{}", out.stdout);
    }
    out.stdout.lines().find_map(|l| l.split_once("found: ")).unwrap().1.to_owned()
}

fn seed() -> u64 {
    std::env::var("GUEST_SEED").unwrap().parse().unwrap()
}

fn list(members: usize) -> String {
    (0..members).map(|n| format!(" /dev/ubd{}", (b'a' + n as u8) as char)).collect()
}

fn copies(members: usize) -> String {
    format!("mkdir -p /mnt/copies; mount /dev/ubd{} /mnt/copies", (b'a' + members as u8) as char)
}

#[test]
#[ignore = "runs in a guest, booted by the campaign"]
fn guest_reshapes() {
    begin();
    println!("reshaping");
    mdadm("--grow --continue /dev/md0 --backup-file=/mnt/copies/backup").ok();
    std::thread::sleep(Duration::from_secs(250));
}

/// It is about to move.
fn begin() {
    let ((create, moves, set), members) = change(seed());
    sh(&format!("mkfs.ext4 -q /dev/ubd{}; {}; sync", (b'a' + members as u8) as char, copies(members)));
    let bitmap = if create.contains("-b ") { "" } else { "-b none" };
    mdadm(&format!("--create /dev/md0 --run --assume-clean {create} --chunk=64 {bitmap} {}", list(members))).ok();
    write_pattern("/dev/md0", 0, DATA, 7);
    set_attr("md0", "sync_action", "frozen");
    for n in 0..members {
        if let Some(to) = moves {
            set_attr("md0", &format!("dev-ubd{}/new_offset", (b'a' + n as u8) as char), to);
        }
    }
    set.iter().for_each(|(name, value)| set_attr("md0", name, value));
    set_attr("md0", "sync_max", "0");
    vm::sync_speed(6_000, 6_000);
    set_attr("md0", "sync_action", "reshape");
    sh("sync");
}

#[test]
#[ignore = "runs in a guest, booted by the campaign"]
fn guest_turns() {
    begin();
    turn();
}

#[test]
#[ignore = "runs in a guest, booted by the campaign"]
fn guest_turns_again() {
    assemble();
    turn();
}

/// Some time into it.
fn turn() {
    let mut worker = Command::new(env!("CARGO_BIN_EXE_mdadm"));
    let mut worker =
        worker.args(["--grow", "--continue", "/dev/md0", "--backup-file=/mnt/copies/backup"]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300 + mix(seed(), 19) % 700));
    println!("turning");
    let back = mdadm("--grow --revert --backup-file=/mnt/copies/backup /dev/md0");
    println!("{back:?} {:?}", worker.wait());
    std::thread::sleep(Duration::from_secs(250));
}

fn assemble() {
    let members = change(seed()).1;
    sh(&copies(members));
    vm::sync_speed(6_000, 6_000);
    let out = mdadm(&format!("--assemble /dev/md0 --backup-file=/mnt/copies/backup {}", list(members))).ok();
    let put_back = out.stderr.contains("restoring critical section");
    println!("found: at {}, {}", attr("md0", "reshape_position"), if put_back { "put back" } else { "as it was" });
    assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);
}

#[test]
#[ignore = "runs in a guest, booted by the campaign"]
fn guest_goes_on_slowly() {
    println!("going on");
    assemble();
    std::thread::sleep(Duration::from_secs(250));
}

#[test]
#[ignore = "runs in a guest, booted by the campaign"]
fn guest_goes_on() {
    assemble();
    vm::wait_sync("md0");
    assert_eq!(attr("md0", "reshape_position"), "none");
    assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);
    write_pattern("/dev/md0", 12 * MIB, 4 * MIB, 7);
    assert_eq!(verify_pattern("/dev/md0", 0, 16 * MIB, 7), [0; 0]);
    mdadm("--stop /dev/md0").ok();
}
