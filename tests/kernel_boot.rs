//! The boot sequence under a real udevd: members come in any order, late, stale or not at all, and our rules hand each to
//! `mdadm --incremental`. The array must come up with its name and its data, or not at all.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "vm/mod.rs"]
mod vm;

use std::path::Path;
use std::time::Duration;

use vm::{MIB, sh};

/// What is pulled out of the dice.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = vm::mix(self.0, 1);
        usize::try_from(self.0 % n as u64).unwrap()
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Installs udev, our rules and our program, and starts udevd.
fn start_udev() {
    let udev = vm::run(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle/fetch-udev"), &[], "").ok().stdout;
    sh(&format!(
        r#"cp -a {}/. / ; rm -f /usr/lib/udev/rules.d/*md-raid*; cp {}/*.rules /usr/lib/udev/rules.d/
         cp {} /usr/sbin/mdadm; hostname box
         SYSTEMD_IGNORE_CHROOT=1 /usr/lib/systemd/systemd-udevd --daemon >/dev/null 2>&1; [ -d /run/udev ]
         (SYSTEMD_IGNORE_CHROOT=1 udevadm monitor --udev --property >/mnt/events 2>&1 &)"#,
        udev.trim_end(),
        concat!(env!("CARGO_MANIFEST_DIR"), "/udev"),
        env!("CARGO_BIN_EXE_mdadm"),
    ));
}

fn mdadm(line: &str) -> vm::Output {
    let words: Vec<&str> = ["-u", "MDADM_NO_UDEV", "/usr/sbin/mdadm"].into_iter().chain(line.split(' ')).collect();
    vm::run("env", &words, "")
}

fn settle() {
    sh("SYSTEMD_IGNORE_CHROOT=1 udevadm settle");
}

/// A disk comes: a file gets its loop device, and udev the event that a disk has.
fn appear(n: usize) {
    sh(&format!(
        "losetup /dev/loop{n} /mnt/boot{n}; SYSTEMD_IGNORE_CHROOT=1 udevadm trigger -c add /sys/block/loop{n}"
    ));
}

/// One boot: the disks in this order; one may be held back, be stale or be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    AllThere,
    OneLate,
    OneMissing,
    OneStale,
}

const LEVELS: &[(&str, usize)] = &[
    ("-l1 -n2", 2),
    ("-l5 -n3", 3),
    ("-l6 -n4", 4),
    ("-l10 -n4", 4),
    ("-l4 -n3", 3),
    ("-l0 -n3", 3),
    ("-llinear -n3", 3),
];

/// Makes an array, takes it down, and boots.
fn boot(seed: u64) {
    let mut dice = Dice(seed);
    let (level, count) = *dice.pick(LEVELS);
    let metadata = *dice.pick(&["1.2", "1.0", "1.1", "0.90"]);
    let redundant = !["-l0 -n3", "-llinear -n3"].contains(&level);
    let lockless = metadata != "0.90" && vm::kernel_has("CONFIG_MD_LLBITMAP=y");
    let bitmap = if !redundant {
        ""
    } else if lockless {
        *dice.pick(&["--bitmap=none", "--bitmap=internal", "--bitmap=lockless"])
    } else {
        *dice.pick(&["--bitmap=none", "--bitmap=internal"])
    };
    let fates: &[Fate] =
        if redundant { &[Fate::AllThere, Fate::OneLate, Fate::OneMissing, Fate::OneStale] } else { &[Fate::AllThere] };
    let fate = *dice.pick(fates);
    let what = format!("seed {seed}: {level} -e {metadata} {bitmap} {fate:?}");
    println!("{what}");
    let files: Vec<String> = (0..count).map(|n| format!("/mnt/boot{n}")).collect();
    sh(&format!("rm -f /mnt/boot*; truncate -s 24M {}", files.join(" ")));
    let disks: Vec<String> = (0..count).map(|n| format!("/dev/loop{n}")).collect();
    for (disk, file) in disks.iter().zip(&files) {
        sh(&format!("losetup {disk} {file}"));
    }
    settle();
    let name = if metadata == "0.90" { "/dev/md5" } else { "/dev/md/tank" };
    let all = disks.join(" ");
    mdadm(&format!("--create {name} --run -q --assume-clean {bitmap} -e {metadata} {level} {all}").replace("  ", " "))
        .ok();
    vm::write_pattern(name, 0, 4 * MIB, seed);
    let odd = dice.below(count);
    let kernel = std::fs::canonicalize(name).unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    let settled = || {
        if redundant {
            vm::wait_sync(&kernel);
        }
    };
    settled();
    if fate == Fate::OneStale {
        mdadm(&format!("{name} --fail {}", disks[odd])).ok();
        vm::write_pattern(name, 0, 4 * MIB, seed + 1);
        settled();
    }
    mdadm(&format!("--stop {name}")).ok();
    settle();
    for disk in &disks {
        sh(&format!("losetup -d {disk}"));
    }
    vm::wait_until(Duration::from_secs(20), "the disks are gone", || sh("losetup -a").is_empty());
    settle();
    sh("rm -rf /run/mdadm");

    sh(": > /mnt/events");
    let mut order: Vec<usize> = (0..count).collect();
    for n in (1..count).rev() {
        order.swap(n, dice.below(n + 1));
    }
    let (held, first): (Vec<usize>, Vec<usize>) =
        order.into_iter().partition(|n| *n == odd && matches!(fate, Fate::OneLate | Fate::OneMissing));
    for n in first {
        appear(n);
        if dice.below(2) == 0 {
            settle();
        }
    }
    settle();
    let link = if metadata == "0.90" { "/dev/md/5" } else { "/dev/md/tank" };
    let runs = || vm::mdstat().contains(" : active");
    match fate {
        Fate::AllThere | Fate::OneStale => {}
        Fate::OneLate | Fate::OneMissing => {
            assert!(!runs(), "{what}: started without its last member:\n{}", vm::mdstat());
            // systemd acts on the event: a later one of the same device may say nothing of it.
            let wants = || sh("cat /mnt/events").contains("SYSTEMD_WANTS=mdadm-last-resort@md");
            vm::wait_until(Duration::from_secs(10), &format!("{what}: a last resort is asked for"), wants);
            if fate == Fate::OneLate {
                appear(held[0]);
            } else {
                // What the last resort does.
                let node =
                    vm::mdstat().lines().find(|l| l.starts_with("md")).unwrap().split(' ').next().unwrap().to_owned();
                mdadm(&format!("--run /dev/{node}")).ok();
            }
            settle();
        }
    }
    vm::wait_until(Duration::from_secs(20), &format!("{what} runs"), || runs() && Path::new(link).exists());
    let pattern = if fate == Fate::OneStale { seed + 1 } else { seed };
    let wrong = vm::verify_pattern(link, 0, 4 * MIB, pattern);
    assert!(wrong.is_empty(), "{what}: wrong blocks {wrong:?}\n{}", vm::mdstat());
    let node = std::fs::canonicalize(link).unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    let degraded = matches!(fate, Fate::OneMissing | Fate::OneStale);
    if redundant {
        assert_eq!(vm::attr(&node, "degraded") != "0", degraded, "{what}\n{}", vm::mdstat());
    }
    if bitmap.contains("lockless") {
        assert!(vm::attr(&node, "bitmap_type").contains("[llbitmap]"), "{what}");
    }
    assert_eq!(vm::mdstat().matches(" : ").count() - 1, 1, "{what}: one array, not two\n{}", vm::mdstat());
    mdadm(&format!("--stop {link}")).ok();
    settle();
    for disk in sh("losetup -nO NAME").split_whitespace() {
        sh(&format!("losetup -d {disk}"));
    }
    vm::wait_until(Duration::from_secs(20), "the disks are gone", || sh("losetup -a").is_empty());
    settle();
}

#[test]
fn arrays_come_up_whole_whatever_order_their_members_come_in() {
    start_udev();
    for seed in 0..4 {
        boot(seed);
    }
}

/// `make soak`: as many as it says.
#[test]
#[ignore = "part of make soak"]
fn soak_of_boots_in_random_orders() {
    let seeds = std::env::var("GUEST_SEEDS").map_or(100, |n| n.parse().unwrap());
    start_udev();
    for seed in 0..seeds {
        boot(seed);
    }
}
