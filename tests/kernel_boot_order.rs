//! Boots with the members in any order, one of them late, out of date or missing: the right array, name and data every time.
//! `GUEST_SEEDS` seeds (6), the first being `GUEST_FIRST` (1); `make soak` runs many.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "vm/mod.rs"]
mod vm;

use std::fs;
use std::time::Duration;

use vm::{MIB, attr, disks, mdadm, mdstat, mix, or_internal, sh, verify_pattern, wait_sync, wait_until, write_pattern};

const DATA: u64 = 4 * MIB;
/// The last two have no redundancy.
const SHAPES: [&str; 7] = ["-l1 -n4", "-l5 -n4", "-l6 -n4", "-l10 -n4", "-l4 -n4", "-l0 -n4", "-llinear -n4"];

/// What happens to one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Well,
    Late,
    Stale,
    Missing,
}

#[test]
fn soak_any_order_brings_up_the_array_with_its_name_and_data() {
    let number = |name: &str, least: u64| std::env::var(name).map_or(least, |n| n.parse().unwrap());
    let d = disks(4, 24 * MIB);
    for seed in number("GUEST_FIRST", 1)..number("GUEST_FIRST", 1) + number("GUEST_SEEDS", 6) {
        boot(&d, seed);
    }
}

fn stop() {
    sh("sync");
    let none = || mdadm("--stop --scan").status == 0 && !mdstat().contains("active");
    wait_until(Duration::from_secs(30), "all arrays are stopped", none);
}

fn right(array: &str, seed: u64, what: &str) {
    assert_eq!(verify_pattern(&format!("/dev/{array}"), 0, DATA, seed), [0u64; 0], "{what}\n{}", mdstat());
}

fn boot(d: &[String], seed: u64) {
    let pick = |n: u64, of: usize| usize::try_from(mix(seed, n) % of as u64).unwrap();
    let shape = SHAPES[pick(1, SHAPES.len())];
    let redundant = !SHAPES[5..].contains(&shape);
    let version = ["1.0", "1.1", "1.2", "0.90"][pick(2, 4)];
    let bitmap = match (redundant, ["none", "internal", "lockless"][pick(3, 3)]) {
        (false, _) => "",
        (_, "lockless") if version == "0.90" => "-b internal",
        (_, "none") => "-b none",
        (_, "internal") => "-b internal",
        _ => "-b lockless",
    };
    let bitmap = or_internal(bitmap);
    let fates = [Fate::Well, Fate::Late, Fate::Stale, Fate::Missing];
    let fate = if redundant { fates[pick(4, 4)] } else { Fate::Well };
    let mut order: Vec<usize> = (0..4).collect();
    (0..4).for_each(|n| order.swap(n, pick(10 + n as u64, 4)));
    let odd = order[pick(5, 4)];
    let what = format!("seed {seed}: {shape} -e {version} {bitmap}, {fate:?} {odd}, order {order:?}");
    println!("{what}");

    sh("rm -rf /dev/md /run/mdadm");
    d.iter().for_each(|device| drop(mdadm(&format!("--zero-superblock {device}"))));
    let name = if version == "0.90" { "" } else { "-N any:boot" };
    mdadm(&format!("-C /dev/md0 -R -q --assume-clean {name} {shape} -e {version} {bitmap} {}", d.join(" "))).ok();
    write_pattern("/dev/md0", 0, DATA, seed);
    let mut now = seed;
    if fs::exists("/sys/block/md0/md/sync_action").unwrap() {
        wait_sync("md0");
    }
    if fate == Fate::Stale {
        mdadm(&format!("/dev/md0 --fail {}", d[odd])).ok();
        now += 1_000_000;
        write_pattern("/dev/md0", 0, DATA, now);
    }
    stop();
    sh("rm -rf /run/mdadm");

    let mut said = String::new();
    for n in order.iter().filter(|n| **n != odd || matches!(fate, Fate::Well | Fate::Stale)) {
        let out = mdadm(&format!("--incremental {}", d[*n]));
        // One that is out of date may come when the others run already.
        let useless = fate == Fate::Stale && *n == odd && out.status == 2;
        assert!(out.status == 0 || useless, "{what}: {out:?}");
        said += &out.stderr;
    }
    if matches!(fate, Fate::Late | Fate::Missing) {
        assert!(!said.contains("started"), "{what}: {said}");
        mdadm("-IRs").ok();
    }
    let link = if version == "0.90" { "/dev/md/0" } else { "/dev/md/boot" };
    let array = fs::read_link(link).unwrap_or_else(|e| panic!("{what}: {link}: {e}\n{said}{}", mdstat()));
    let array = array.to_str().unwrap().trim_start_matches("/dev/").to_owned();
    right(&array, now, &what);
    if bitmap.contains("lockless") {
        assert!(attr(&array, "bitmap_type").contains("[llbitmap]"), "{what}");
    }
    if fate == Fate::Late {
        now += 2_000_000;
        write_pattern(&format!("/dev/{array}"), 0, DATA, now);
        let out = mdadm(&format!("--incremental {}", d[odd]));
        // Without a bitmap nothing tells what it missed.
        assert_eq!(out.status, if bitmap.contains("none") { 2 } else { 0 }, "{what}: {out:?}\n{}", mdstat());
        wait_sync(&array);
        right(&array, now, &what);
    }
    if redundant {
        let degraded = match fate {
            Fate::Well => "0",
            Fate::Late if !bitmap.contains("none") => "0",
            _ => "1",
        };
        assert_eq!(attr(&array, "degraded"), degraded, "{what}\n{}", mdstat());
    }
    if fate == Fate::Late && !bitmap.contains("none") {
        // It holds the data: another one goes.
        let other = order.iter().find(|n| **n != odd).unwrap();
        mdadm(&format!("/dev/{array} --fail {}", d[*other])).ok();
        right(&array, now, &what);
    }
    stop();
}
