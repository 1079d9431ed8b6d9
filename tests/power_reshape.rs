//! The power goes at any moment of a reshape that moves the data offset: the array starts, goes on, and has all its data and parity.
//! `SOAK_SEEDS` seeds (2), the first being `SOAK_FIRST` (1): the seed chooses the change, the bitmap, and when the power goes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use std::path::PathBuf;
use std::time::Duration;

use vm::{MIB, Members, attr, boot_self, mdadm, mix, sh, verify_pattern, write_pattern};

const DISK: u64 = 48 * MIB;
const DATA: u64 = 40 * MIB;
/// The cut comes within so many milliseconds: about what all of it takes on an idle machine.
const LONGEST: u64 = 2500;
const LONG: Duration = Duration::from_secs(100);

/// Create, grow, and the end: level, slots, chunk in bytes.
const CHANGES: &[(&str, &str, (&str, u32, u32))] = &[
    ("-l5 -n3 -c64 -z 20M /dev/ubda /dev/ubdb /dev/ubdc", "-c 128", ("raid5", 3, 131_072)),
    ("-l5 -n3 -c64 -z 20M /dev/ubda /dev/ubdb /dev/ubdc", "-n4 -a /dev/ubdd", ("raid5", 4, 65536)),
    ("-l6 -n4 -c64 -z 20M /dev/ubda /dev/ubdb /dev/ubdc /dev/ubdd", "-l5", ("raid5", 3, 65536)),
    ("-l5 -n3 -c64 -z 20M /dev/ubda /dev/ubdb /dev/ubdc", "-l6 -n4 -a /dev/ubdd", ("raid6", 4, 65536)),
    ("-l10 -n3 -c64 -z 30M /dev/ubda /dev/ubdb /dev/ubdc", "-n4 -a /dev/ubdd", ("raid10", 4, 65536)),
    ("-l5 -n4 -c64 -z 20M /dev/ubda /dev/ubdb /dev/ubdc /dev/ubdd", "-n3", ("raid5", 3, 65536)),
    ("-l5 -n3 -c64 -z 20M /dev/ubda /dev/ubdb /dev/ubdc", "-l4", ("raid4", 3, 65536)),
    ("-l4 -n3 -c64 -z 20M /dev/ubda /dev/ubdb /dev/ubdc", "-n4 -a /dev/ubdd", ("raid4", 4, 65536)),
    ("-l6 -n4 -c64 -z 20M /dev/ubda /dev/ubdb /dev/ubdc /dev/ubdd", "-l4", ("raid4", 3, 65536)),
    (
        "-l6 -n4 -c64 -z 20M -p left-symmetric-6 /dev/ubda /dev/ubdb /dev/ubdc /dev/ubdd",
        "-p normalise -c 128",
        ("raid6", 4, 131_072),
    ),
    ("-l10 -n4 -c64 -z 20M /dev/ubda /dev/ubdb /dev/ubdc /dev/ubdd", "-c 128", ("raid10", 4, 131_072)),
];

fn change(seed: u64) -> usize {
    usize::try_from((seed - 1) % CHANGES.len() as u64).unwrap()
}

#[test]
fn soak_reshapes_over_power_cuts() {
    for seed in vm::seeds(2) {
        println!("\nseed {seed}: {}", one_seed(seed));
    }
}

fn one_seed(seed: u64) -> String {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let disk = |n: u64| vm::random_disk(dir.path(), &format!("disk{n}"), DISK, mix(seed, n));
    let disks: Vec<PathBuf> = (0..4).map(disk).collect();
    let env = [("GUEST_SEED", seed.to_string())];
    let mut guest = boot_self(&disks, "guest_creates_and_reshapes", &env);
    guest.wait_for("reshaping");
    std::thread::sleep(Duration::from_millis(mix(seed, 9) % LONGEST));
    guest.cut_power();
    let out = boot_self(&disks, "guest_goes_on_with_the_reshape", &env).finish().ok();
    let (_, _, (level, slots, _)) = CHANGES[change(seed)];
    if level == "raid5" {
        let wrong = Members::open_all(&disks[..slots as usize]).wrong_chunks();
        assert_eq!(wrong, [0; 0], "seed {seed}: parity is wrong\n{}", out.stdout);
    }
    out.stdout.lines().find_map(|l| l.split_once("found: ")).unwrap().1.to_owned()
}

fn seed() -> u64 {
    std::env::var("GUEST_SEED").unwrap().parse().unwrap()
}

#[test]
#[ignore = "runs in a guest, booted by the campaign"]
fn guest_creates_and_reshapes() {
    let (create, grow, _) = CHANGES[change(seed())];
    let bitmap = ["none", "internal", "lockless"][usize::try_from(seed() / 2 % 3).unwrap()];
    let bitmap = if vm::kernel_has("CONFIG_MD_LLBITMAP=y") { bitmap } else { "none" };
    mdadm(&format!("--create /dev/md0 --run -b {bitmap} {create}")).ok();
    vm::wait_sync("md0");
    write_pattern("/dev/md0", 0, DATA, 7);
    vm::wait_sync("md0");
    vm::sync_speed(8_000, 8_000);
    println!("reshaping");
    if grow == "-n3" {
        mdadm("--grow /dev/md0 --array-size=40M").ok();
    }
    mdadm(&format!("--grow /dev/md0 {grow}")).ok();
    std::thread::sleep(Duration::from_secs(250));
}

#[test]
#[ignore = "runs in a guest, booted by the campaign"]
fn guest_goes_on_with_the_reshape() {
    let (create, grow, end) = CHANGES[change(seed())];
    let members = ["/dev/ubda", "/dev/ubdb", "/dev/ubdc", "/dev/ubdd"];
    let members: Vec<&str> = members.into_iter().filter(|d| mdadm(&format!("--examine {d}")).status == 0).collect();
    mdadm(&format!("--assemble /dev/md0 {}", members.join(" "))).ok();
    let begun = attr("md0", "reshape_position");
    println!("found: {create} {grow}: at {begun}, {} {}", attr("md0", "level"), attr("md0", "raid_disks"));
    vm::sync_speed(1_000_000, 2_000_000);
    assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0], "after the start, reshape at {begun}");
    let is_end = || {
        (attr("md0", "level"), attr("md0", "raid_disks"), attr("md0", "chunk_size"))
            == (end.0.into(), end.1.to_string(), end.2.to_string())
    };
    let settled = || attr("md0", "reshape_position") == "none" && attr("md0", "sync_action") == "idle";
    vm::wait_until(LONG, "the reshape is done", settled);
    vm::wait_sync("md0");
    // What follows the reshape, if nobody did it yet; and all of it if the power went before it was begun.
    if !is_end() {
        if grow == "-n3" {
            mdadm("--grow /dev/md0 --array-size=40M").ok();
        }
        let out = mdadm(&format!("--grow /dev/md0 {grow}"));
        println!("again: {out:?}");
        if out.status != 0 {
            mdadm(&format!("--grow /dev/md0 {}", grow.split(" -a").next().unwrap())).ok();
        }
        vm::wait_until(LONG, "it is what it is to be", || settled() && is_end());
    }
    vm::wait_sync("md0");
    assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0], "reshape found at {begun}");
    sh("sleep 0.3");
    mdadm("--stop /dev/md0").ok();
}
