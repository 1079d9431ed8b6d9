//! A raid5 that has to lose its lockless bitmap to grow, with the power cut in the middle: it starts, grows, and has all its
//! data and parity. `SOAK_SEEDS` seeds (2), the first being `SOAK_FIRST` (1); the seed decides when the power goes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use std::path::PathBuf;
use std::time::Duration;

use vm::{MIB, Members, attr, boot_self, mdadm, mix, verify_pattern, write_pattern};

const DISK: u64 = 44 * MIB;
/// Within the first size.
const DATA: u64 = 12 * MIB;
const GROW: &str = "--grow /dev/md0 --size=32M";
/// The cut comes within so many milliseconds: about what all of it takes on an idle machine.
const LONGEST: u64 = 2500;

#[test]
fn soak_a_lockless_raid5_grows_over_power_cuts() {
    for seed in vm::seeds(2) {
        println!("\nseed {seed}: {}", one_seed(seed));
    }
}

fn one_seed(seed: u64) -> String {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let disk = |n: u64| vm::random_disk(dir.path(), &format!("disk{n}"), DISK, mix(seed, n));
    let disks: Vec<PathBuf> = (0..3).map(disk).collect();
    let mut guest = boot_self(&disks, "guest_creates_and_grows", &[]);
    guest.wait_for("growing");
    std::thread::sleep(Duration::from_millis(mix(seed, 9) % LONGEST));
    guest.cut_power();
    let out = boot_self(&disks, "guest_goes_on", &[]).finish().ok();
    assert_eq!(Members::open(&disks).wrong_chunks(), [0; 0], "seed {seed}: parity is wrong\n{}", out.stdout);
    out.stdout.lines().find_map(|l| l.split_once("found: ")).unwrap().1.to_owned()
}

#[test]
#[ignore = "runs in a guest, booted by the campaign"]
fn guest_creates_and_grows() {
    mdadm("--create /dev/md0 --run -l5 -n3 -z 10M --chunk=64 --bitmap=lockless /dev/ubda /dev/ubdb /dev/ubdc").ok();
    write_pattern("/dev/md0", 0, DATA, 7);
    vm::wait_sync("md0");
    // Building parity and the resync of what is new take a second or two.
    vm::sync_speed(12_000, 12_000);
    println!("growing");
    mdadm(GROW).ok();
    std::thread::sleep(Duration::from_secs(250));
}

#[test]
#[ignore = "runs in a guest, booted by the campaign"]
fn guest_goes_on() {
    mdadm("--assemble /dev/md0 /dev/ubda /dev/ubdb /dev/ubdc").ok();
    println!("found: {} KiB, {}", attr("md0", "component_size"), attr("md0", "bitmap_type"));
    vm::wait_sync("md0");
    assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);
    // The lines that were printed before the cut: the same again, and the bitmap if it is not there.
    mdadm(GROW).ok();
    vm::wait_sync("md0");
    if !attr("md0", "bitmap_type").contains("[llbitmap]") {
        mdadm("--grow /dev/md0 --bitmap=lockless").ok();
    }
    assert_eq!(attr("md0", "component_size"), "32768");
    write_pattern("/dev/md0", 40 * MIB, 8 * MIB, 7);
    assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);
    vm::wait_sync("md0");
    mdadm("--stop /dev/md0").ok();
}
