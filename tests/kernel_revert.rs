//! `--grow --revert`: a reshape goes back to where it came from, by one command that knows all by itself.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use vm::{MIB, attr, disks, mdadm, sh, verify_pattern, wait_until, write_pattern};

/// Within each array, and behind what moves first.
const DATA: u64 = 10 * MIB;

struct Turned {
    create: &'static str,
    members: usize,
    /// Options of `--grow`, and how many devices more there are.
    grow: &'static str,
    more: usize,
    limit: Option<&'static str>,
    /// It is turned only when so much of each member has moved, in KiB.
    late: u64,
}

/// KiB of each member that have moved.
fn done() -> u64 {
    let stat = vm::mdstat();
    let at = stat.split_once("reshape =").and_then(|(_, at)| at.split_once('(')?.1.split_once('/')?.0.parse().ok());
    at.unwrap_or(0)
}

fn shape() -> String {
    // A raid0 has neither.
    let more: &[&str] = if attr("md0", "level") == "raid0" { &[] } else { &["layout", "component_size"] };
    let names = ["level", "raid_disks", "chunk_size"].iter().chain(more);
    names.map(|name| attr("md0", name)).collect::<Vec<_>>().join(" ")
}

fn begin(one: &Turned) -> Vec<String> {
    let all = disks(one.members + one.more, 24 * MIB);
    let list = all[..one.members].join(" ");
    mdadm(&format!("-C /dev/md0 --run --assume-clean -c64 -n{} {} {list}", one.members, one.create)).ok();
    write_pattern("/dev/md0", 0, DATA, 7);
    if let Some(size) = one.limit {
        mdadm(&format!("--grow /dev/md0 --array-size={size}")).ok();
    }
    vm::sync_speed(3000, 3000);
    all
}

#[test]
fn one_command_turns_a_reshape_and_all_is_as_it_was() {
    let turned = |create, members, grow, more| Turned { create, members, grow, more, limit: None, late: 600 };
    let table = [
        turned("-l0", 2, "--raid-devices=3", 1),
        turned("-l5 -b internal", 3, "--raid-devices=4", 1),
        Turned { late: 16_000, ..turned("-l5 -b none", 3, "--raid-devices=4", 1) },
        turned("-l5 -e 1.0 -z 22M -b none", 3, "--chunk=128 --backup-file=/mnt/backup", 0),
        turned("-l6 -z 22M -e 1.0 -b none", 5, "--layout=ra --chunk=32", 0),
        Turned { limit: Some("40960"), ..turned("-l5 -z 20M -b none", 4, "--raid-devices=3", 0) },
        turned("-l5 -e 0.90 -z 20M -b none", 3, "--raid-devices=4", 1),
        turned("-l5 -b none", 3, "--level=6 --raid-devices=4", 1),
    ];
    for one in table {
        println!("{} {}", one.create, one.grow);
        let all = begin(&one);
        let before = shape();
        let more = all[one.members..].join(" ");
        let add = if more.is_empty() { String::new() } else { format!("--add {more}") };
        mdadm(&format!("--grow /dev/md0 {} {add}", one.grow)).ok();
        wait_until(Duration::from_secs(30), "it moves", || done() > one.late);
        assert_ne!(attr("md0", "reshape_position"), "none");
        let back = mdadm("--grow --revert /dev/md0").ok();
        println!("{back:?}");
        assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);
        vm::sync_speed(1_000_000, 2_000_000);
        wait_until(Duration::from_secs(60), "it is back", || attr("md0", "reshape_position") == "none");
        wait_until(Duration::from_secs(60), "nobody looks after it", || {
            mdadm("--grow --continue /dev/md0").stderr.contains("no reshape to continue")
        });
        assert_eq!(shape(), before);
        assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);
        assert!(!Path::new("/mnt/backup").exists());
        mdadm("--stop /dev/md0").ok();
        assert_eq!(sh("ls /var/lib/mdadm-rs/ | grep -v saved || true"), "");
        mdadm(&format!("--assemble /dev/md0 {}", all[..one.members].join(" "))).ok();
        assert!(shape() == before && (one.create == "-l0" || attr("md0", "degraded") == "0"), "{}", shape());
        assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);
        mdadm("--stop /dev/md0").ok();
        all.iter().for_each(|d| drop(mdadm(&format!("--zero-superblock {d}"))));
    }
}

#[test]
fn nothing_is_stopped_that_is_used_and_half_turned_members_are_told() {
    let none = mdadm("--grow --revert /dev/md0");
    assert!(none.status == 1 && none.stderr.contains("No such file"), "{none:?}");
    let all = begin(&Turned { create: "-l6 -b none", members: 5, grow: "", more: 0, limit: None, late: 0 });
    let listed = all.join(" ");
    let none = mdadm("--grow --revert /dev/md0");
    assert!(none.status == 2 && none.stderr.contains("there is no reshape to revert on /dev/md0"), "{none:?}");
    let mixed = mdadm("--grow --revert --chunk=32 /dev/md0");
    assert!(mixed.status == 1 && mixed.stderr.contains("--revert stands alone"), "{mixed:?}");
    mdadm("--grow /dev/md0 --chunk=32").ok();
    wait_until(Duration::from_secs(30), "it moves", || done() > 600);
    // Somebody has it for himself: nothing happens.
    let used = fs::File::options().read(true).custom_flags(libc::O_EXCL).open("/dev/md0").unwrap();
    let refused = mdadm("--grow --revert /dev/md0");
    assert!(refused.status == 1 && refused.stderr.contains("exclusive access"), "{refused:?}");
    let at = done();
    wait_until(Duration::from_secs(30), "it goes on", || done() > at);
    drop(used);
    let plan = mdadm("--grow --revert --plan /dev/md0").ok();
    for part in ["STOP_ARRAY", "revert-reshape", "moves back", &all[4]] {
        assert!(plan.stdout.contains(part), "{part}: {plan:?}");
    }
    let json = mdadm("--grow --revert --plan --json /dev/md0").ok();
    assert!(json.stdout.contains("STOP_ARRAY") && attr("md0", "reshape_direction") == "forwards", "{json:?}");
    // The power goes when two of the five have been turned: the rest is turned by the next assembly, whoever does it.
    mdadm("--stop /dev/md0").ok();
    let supers = |how: &str| all.iter().for_each(|d| drop(sh(&how.replace("DEV", d).replace("NAME", &d[5..]))));
    supers("dd if=DEV of=/mnt/NAME bs=4k count=2 2>&1");
    mdadm(&format!("--assemble --readonly --update=revert-reshape /dev/md0 {listed}")).ok();
    assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);
    mdadm("--stop /dev/md0").ok();
    for told in [[0, 1, 2], [2, 3, 4]] {
        supers("dd if=DEV of=/mnt/NAME.turned bs=4k count=2 2>&1");
        told.iter().for_each(|n: &usize| drop(sh(&format!("dd if=/mnt/{} of={} 2>&1", &all[*n][5..], all[*n]))));
        all.iter().for_each(|d| drop(mdadm(&format!("-I {d}"))));
        let waits = vm::mdstat();
        assert!(waits.contains("inactive"), "{waits}");
        mdadm("--stop --scan").ok();
        let back = mdadm(&format!("--assemble --readonly /dev/md0 {listed}")).ok();
        assert!(back.stderr.contains("had not been told yet"), "{back:?}");
        assert_eq!(attr("md0", "reshape_direction"), "backwards");
        assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);
        mdadm("--stop /dev/md0").ok();
        supers("dd if=/mnt/NAME.turned of=DEV 2>&1");
    }
    sh(&format!("dd if=/mnt/{} of={} 2>&1", &all[0][5..], all[0]));
    mdadm(&format!("--assemble --update=revert-reshape /dev/md0 {listed}")).ok();
    vm::sync_speed(1_000_000, 2_000_000);
    wait_until(Duration::from_secs(60), "it is back", || attr("md0", "reshape_position") == "none");
    assert_eq!(attr("md0", "chunk_size"), "65536");
    assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);
}
