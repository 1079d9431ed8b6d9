//! Power cuts at the steps of a change of the bitmap, on a running array that is written to all the time: at the next assembly
//! it starts, all that was written before is there, and the members agree. `SOAK_SEEDS` seeds of each level (1), the first
//! being `SOAK_FIRST` (1): a seed is a change and the step before which the power goes, or the moment.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use std::path::PathBuf;
use std::process::Command;

use vm::writes::{array_bytes, keep_busy};
use vm::{MIB, Members, boot_self, disk_file, mix, verify_pattern, write_pattern};

const DISK: u64 = 24 * MIB;
/// Written before and never again; behind it something is always being written.
const DATA: u64 = 12 * MIB;
/// From one bitmap to another.
const CHANGES: [(&str, &str); 4] =
    [("internal", "lockless"), ("lockless", "none"), ("none", "lockless"), ("lockless", "internal")];
/// No change has more steps; past the last one the power goes when it is done.
const STEPS: u64 = 12;

#[test]
fn soak_a_raid1_keeps_its_data_over_power_cuts_in_a_change_of_its_bitmap() {
    campaign("--level=1 --raid-devices=2", 2, 1);
}

#[test]
fn soak_a_raid10_keeps_its_data_over_power_cuts_in_a_change_of_its_bitmap() {
    campaign("--level=10 --raid-devices=4 --chunk=64", 4, 2);
}

#[test]
fn soak_a_raid5_keeps_its_data_over_power_cuts_in_a_change_of_its_bitmap() {
    campaign("--level=5 --raid-devices=3 --chunk=64 --force", 3, 3);
}

#[test]
fn soak_a_raid6_keeps_its_data_over_power_cuts_in_a_change_of_its_bitmap() {
    campaign("--level=6 --raid-devices=4 --chunk=64 --force", 4, 4);
}

/// A seed is a level, a change and how long after its beginning the power goes, whatever it is doing then.
#[test]
fn soak_power_cuts_at_any_moment_of_a_change_of_the_bitmap() {
    let levels = [
        ("--level=1 --raid-devices=2", 2),
        ("--level=10 --raid-devices=4 --chunk=64", 4),
        ("--level=5 --raid-devices=3 --chunk=64 --force", 3),
        ("--level=6 --raid-devices=4 --chunk=64 --force", 4),
    ];
    for seed in vm::seeds(1) {
        let (shape, members) = levels[(seed % 4) as usize];
        let change = CHANGES[(seed / 4 % 4) as usize];
        let ms = mix(seed, 77) % 1500;
        println!("\nseed {seed}: {shape}: {change:?}, {}", one_cut(shape, members, change, Cut::After(ms)));
    }
}

/// When the power goes.
#[derive(Clone, Copy)]
enum Cut {
    /// Before this step.
    Step(u64),
    /// So many ms after the beginning.
    After(u64),
}

fn campaign(shape: &str, members: usize, salt: u64) {
    for seed in vm::seeds(1) {
        let (from, to) = CHANGES[(seed + salt) as usize % CHANGES.len()];
        let step = 1 + mix(seed, salt) % STEPS;
        println!(
            "\nseed {seed}: {shape}: from {from} to {to}, {}",
            one_cut(shape, members, (from, to), Cut::Step(step))
        );
    }
}

fn one_cut(shape: &str, members: usize, (from, to): (&str, &str), cut: Cut) -> String {
    let (step, salt) = match cut {
        Cut::Step(step) => (step.to_string(), step),
        Cut::After(ms) => (String::new(), ms),
    };
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let disks: Vec<PathBuf> = (0..members)
        .map(|n| {
            let disk = disk_file(dir.path(), &format!("disk{n}"), DISK);
            write_pattern(disk.to_str().unwrap(), 0, DISK, mix(salt, n as u64));
            disk
        })
        .collect();
    let nodes: Vec<String> = ('a'..).take(members).map(|letter| format!("/dev/ubd{letter}")).collect();
    let env = [
        ("GUEST_CREATE", format!("--create /dev/md0 --run {shape} --bitmap={from} {}", nodes.join(" "))),
        ("GUEST_ASSEMBLE", format!("--assemble /dev/md0 {}", nodes.join(" "))),
        ("GUEST_TO", to.to_owned()),
        ("GUEST_STEP", step),
    ];
    let mut guest = boot_self(&disks, "guest_changes_the_bitmap_while_it_is_written_to", &env);
    let seen = match cut {
        Cut::Step(_) => guest.wait_for("held before a step"),
        Cut::After(ms) => {
            let seen = guest.wait_for("the change begins");
            std::thread::sleep(std::time::Duration::from_millis(ms));
            seen
        }
    };
    guest.cut_power();
    let out = boot_self(&disks, "guest_assembles_and_checks", &env).finish().ok();
    let kind = out.stdout.lines().find_map(|l| l.strip_prefix("bitmap: ")).unwrap().to_owned();
    let found = if kind.contains("[llbitmap]") { Members::open(&disks) } else { Members::open_all(&disks) };
    let before = match cut {
        Cut::Step(n) => format!("step {n} ({})", seen.lines().rev().nth(1).unwrap_or_default()),
        Cut::After(ms) => format!("the end of {ms} ms"),
    };
    let wrong = found.wrong_chunks();
    assert!(wrong.is_empty(), "{shape} from {from} to {to}, cut before {before}: the members disagree at {wrong:?}");
    let chunks = found.written_chunks() as u64;
    assert!(
        chunks * (64 << 10) >= DATA / members as u64,
        "{shape} from {from} to {to}, cut before {before}: {chunks} chunks"
    );
    format!("cut before {before}: {kind}, {chunks} chunks agree")
}

fn env(name: &str) -> String {
    std::env::var(name).unwrap()
}

#[test]
#[ignore = "runs in a guest, booted by the campaign"]
fn guest_changes_the_bitmap_while_it_is_written_to() {
    vm::mdadm(&env("GUEST_CREATE")).ok();
    // All of it: on raid5 and raid6 a first write would make a recovery begin, and the change would have to wait.
    write_pattern("/dev/md0", 0, array_bytes(), 5);
    vm::wait_sync("md0");
    keep_busy(5, DATA);
    let change = format!("--grow /dev/md0 --bitmap={} --saved-metadata=none", env("GUEST_TO"));
    println!("\nthe change begins");
    let mut command = Command::new(env!("CARGO_BIN_EXE_mdadm"));
    command.args(change.split(' '));
    if !env("GUEST_STEP").is_empty() {
        command.env("MDADM_FAULT_STEP", env("GUEST_STEP"));
    }
    let status = command.status().unwrap();
    assert!(status.success(), "{status}");
    println!("the end\nheld before a step");
    std::thread::sleep(std::time::Duration::from_secs(100));
}

#[test]
#[ignore = "runs in a guest, booted by the campaign"]
fn guest_assembles_and_checks() {
    vm::mdadm(&env("GUEST_ASSEMBLE")).ok();
    println!("\nbitmap: {}", vm::attr("md0", "bitmap_type"));
    vm::wait_sync("md0");
    assert_eq!(verify_pattern("/dev/md0", 0, DATA, 5), [0; 0]);
    vm::mdadm("--stop /dev/md0").ok();
}
