//! An array with a lockless bitmap over power cuts: every acknowledged write is read back, and the redundancy holds over
//! all chunks ever written. `SOAK_SEEDS` seeds of each level (1), the first being `SOAK_FIRST` (1).
//!
//! A seed decides everything but the exact moment of the power cuts: what the disks hold before, each write, and after
//! which acknowledged write the power goes. The members hold random data at first, so that no parity is right by luck.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use std::path::PathBuf;
use std::time::Duration;
use vm::writes::{self, SECOND_LIFE};
use vm::{MIB, Members, boot_self, mix};

const DISK: u64 = 72 * MIB;
#[test]
fn soak_raid1_keeps_acknowledged_writes_over_power_cuts() {
    campaign("--level=1 --raid-devices=2", 2);
}

#[test]
fn soak_raid10_keeps_acknowledged_writes_over_power_cuts() {
    campaign("--level=10 --raid-devices=4 --chunk=64", 4);
}

#[test]
fn soak_raid5_keeps_acknowledged_writes_over_power_cuts() {
    campaign("--level=5 --raid-devices=3 --chunk=64", 3);
}

#[test]
fn soak_raid6_keeps_acknowledged_writes_over_power_cuts() {
    campaign("--level=6 --raid-devices=4 --chunk=64", 4);
}

fn campaign(shape: &str, members: usize) {
    for seed in vm::seeds(1) {
        println!("\nseed {seed}: {shape}: {}", one_seed(shape, members, seed));
    }
}

/// Created, written to and cut off; assembled, written to while it resyncs and cut off; assembled, resynced and checked.
fn one_seed(shape: &str, members: usize, seed: u64) -> String {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let disks: Vec<PathBuf> = (0..members)
        .map(|n| vm::random_disk(dir.path(), &format!("disk{n}"), DISK, mix(seed, 1000 + n as u64)))
        .collect();
    let nodes: Vec<String> = ('a'..).take(members).map(|letter| format!("/dev/ubd{letter}")).collect();
    let acknowledged = (20 + mix(seed, 1) % 100, SECOND_LIFE + mix(seed, 2) % 60);
    let metadata = ["1.0", "1.2", "1.1"][seed as usize % 3];
    let env = [
        (
            "GUEST_CREATE",
            format!("--create /dev/md0 --run --metadata={metadata} {shape} --bitmap=lockless {}", nodes.join(" ")),
        ),
        ("GUEST_ASSEMBLE", format!("--assemble /dev/md0 {}", nodes.join(" "))),
        ("GUEST_SEED", seed.to_string()),
        ("GUEST_ACKNOWLEDGED", format!("{} {}", acknowledged.0, acknowledged.1)),
    ];
    for (life, last) in [("guest_creates_and_writes", acknowledged.0), ("guest_assembles_and_writes", acknowledged.1)] {
        let mut guest = boot_self(&disks, life, &env);
        guest.wait_for(&format!("acknowledged {last}"));
        std::thread::sleep(Duration::from_millis(mix(seed, last) % 30));
        guest.cut_power();
    }
    let out = boot_self(&disks, "guest_assembles_resyncs_and_checks", &env).finish().ok();
    let members = Members::open(&disks);
    let wrong = members.wrong_chunks();
    assert!(wrong.is_empty(), "seed {seed}, {shape}: the members disagree in the written chunks at {wrong:?}");
    assert!(members.written_chunks() > 0, "seed {seed}, {shape}: no chunk is written");
    let checked = out.stdout.lines().find(|line| line.ends_with("are right")).unwrap();
    format!("{checked}; members agree on all {} written chunks", members.written_chunks())
}

fn env(name: &str) -> String {
    std::env::var(name).unwrap()
}

/// Runs mdadm: ours, or with GUEST_REFERENCE set the reference, to tell whose fault a failure is.
fn mdadm(line: &str) {
    if reference() {
        vm::reference(line).ok()
    } else {
        vm::mdadm(line).ok()
    };
}

fn reference() -> bool {
    std::env::var_os("GUEST_REFERENCE").is_some()
}

/// The last writes of the first and the second life that the host has seen acknowledged before it cuts the power.
fn acknowledged() -> (u64, u64) {
    let numbers: Vec<u64> = env("GUEST_ACKNOWLEDGED").split(' ').map(|n| n.parse().unwrap()).collect();
    (numbers[0], numbers[1])
}

fn write_on(first: u64, last: u64) {
    writes::write_on(env("GUEST_SEED").parse().unwrap(), first, last, writes::array_bytes());
}

#[test]
#[ignore = "runs in a guest, booted by the campaign"]
fn guest_creates_and_writes() {
    // of itself the reference starts raid5 and 6 with a spare to rebuild, and cannot assemble them after a power cut then
    let force = if reference() { " --force" } else { "" };
    mdadm(&(env("GUEST_CREATE") + force));
    assert!(vm::attr("md0", "bitmap_type").contains("[llbitmap]"));
    write_on(0, acknowledged().0);
}

#[test]
#[ignore = "runs in a guest, booted by the campaign"]
fn guest_assembles_and_writes() {
    vm::sync_speed(2000, 2000);
    mdadm(&env("GUEST_ASSEMBLE"));
    assert_eq!(vm::attr("md0", "sync_action"), "resync", "nothing to resync after a power cut while writing");
    write_on(SECOND_LIFE, acknowledged().1);
}

#[test]
#[ignore = "runs in a guest, booted by the campaign"]
fn guest_assembles_resyncs_and_checks() {
    mdadm(&env("GUEST_ASSEMBLE"));
    vm::wait_sync("md0");
    let (first, second) = acknowledged();
    let blocks = writes::check(env("GUEST_SEED").parse().unwrap(), (first, second), writes::array_bytes(), false);
    mdadm("--stop /dev/md0");
    println!("{blocks} blocks of {} acknowledged writes are right", first + second - SECOND_LIFE + 2);
}

#[test]
fn the_demo_of_the_readme_runs_to_its_end() {
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/demo/run");
    let out = std::process::Command::new(demo).env("MDADM", env!("CARGO_BIN_EXE_mdadm")).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{text}\n{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(text.matches("file-4: OK").count(), 2, "{text}");
    assert!(text.contains("=== Done"), "{text}");
}
