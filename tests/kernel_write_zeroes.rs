//! `--create --write-zeroes`: what is zeroed, what the array then is, and what an interruption leaves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mdadm::device::real::{Access, RealDevice};
use mdadm::superblock::v1;
use vm::{MIB, attr, disks, mdadm, sh, wait_sync};

/// Fills the disks with what no array would leave.
fn scribble(members: &[String]) {
    for m in members {
        sh(&format!("dd if=/dev/urandom of={m} bs=1M conv=fsync status=none || true"));
    }
}

fn is_member(path: &str) -> bool {
    v1::read_any(&RealDevice::open(path.as_ref(), Access::Read).unwrap()).unwrap().is_some()
}

/// Whether `len` bytes from `skip` on are zeros, past the page cache.
fn zeros(path: &str, skip: u64, len: u64) -> bool {
    sh(&format!(
        "cmp -n {len} <(dd if={path} bs=1M skip={skip} iflag=skip_bytes,direct status=none) /dev/zero && echo yes || true"
    )) == "yes\n"
}

/// A device in front of `disk` that takes `ms` longer for each write from 2 MiB on, where the data are.
fn slow_to_write(disk: &str, ms: u32) -> String {
    let name = format!("slow{}", disk.trim_start_matches("/dev/"));
    sh(&format!(
        "rest=$(($(blockdev --getsz {disk}) - 4096)); dmsetup create {name} --table \"0 4096 linear {disk} 0
4096 $rest delay {disk} 4096 0 {disk} 4096 {ms} {disk} 4096 0\"; dmsetup mknodes"
    ));
    format!("/dev/mapper/{name}")
}

#[test]
fn a_zeroed_array_of_every_level_is_in_sync_and_reads_as_zeros() {
    let members = disks(4, 24 * MIB);
    let list = members.join(" ");
    for (level, bitmap) in
        [("1", "internal"), ("5", "lockless"), ("6", "lockless"), ("10", "lockless"), ("5", "none"), ("0", "none")]
    {
        if bitmap == "lockless" && vm::lockless_is_refused() {
            continue;
        }
        scribble(&members);
        let bitmap = if level == "0" { String::new() } else { format!("--bitmap={bitmap}") };
        let out = mdadm(&format!("--create /dev/md0 -R --write-zeroes -l{level} -n4 {bitmap} {list}")).ok();
        assert!(out.stdout.contains("mdadm: zeroing finished\n"), "{}", out.stdout);
        let size: u64 = sh("blockdev --getsize64 /dev/md0").trim().parse().unwrap();
        assert!(zeros("/dev/md0", 0, size), "{level} {bitmap}");
        if level != "0" {
            assert_eq!((attr("md0", "sync_action"), attr("md0", "degraded")), ("idle".into(), "0".into()), "{level}");
            assert_eq!(attr("md0", "resync_start"), "none", "{level}");
            vm::set_attr("md0", "sync_action", "check");
            wait_sync("md0");
            assert_eq!(attr("md0", "mismatch_cnt"), "0", "{level}");
        }
        if bitmap.contains("lockless") {
            let bits = attr("md0", "llbitmap/bits");
            let set: Vec<&str> = bits.lines().filter(|l| !l.ends_with(" 0")).collect();
            assert!(set.len() == 1 && set[0].starts_with("clean "), "{level}: {bits}");
        }
        mdadm("--stop /dev/md0").ok();
    }
}

#[test]
fn only_what_the_array_uses_is_zeroed() {
    let members = disks(2, 24 * MIB);
    scribble(&members);
    mdadm(&format!("--create /dev/md0 -R --write-zeroes -l1 -n2 -b none --size=8M {}", members.join(" "))).ok();
    mdadm("--stop /dev/md0").ok();
    for m in &members {
        assert!(zeros(m, MIB, 8 * MIB) && !zeros(m, 9 * MIB, 4096) && !zeros(m, MIB - 4096, 4096), "{m}");
    }
    // Plain files too, and no kernel is asked.
    sh("dd if=/dev/urandom of=/mnt/image bs=1M count=24 status=none");
    mdadm("--create x --offline -R --write-zeroes -l1 -n2 -b lockless /mnt/image missing").ok();
    assert!(is_member("/mnt/image") && zeros("/mnt/image", 2 * MIB, 22 * MIB), "image");
}

#[test]
fn a_signal_stops_the_zeroing_and_leaves_neither_array_nor_superblock() {
    let members = disks(3, 96 * MIB);
    let slow = slow_to_write(&members[1], 400);
    for signal in ["INT", "TERM", "HUP"] {
        // What was there before must not be found over zeros.
        let old = format!("-q -R -l1 -n3 --assume-clean -b none -e1.0 {} {} {}", members[0], slow, members[2]);
        mdadm(&format!("--create /dev/md7 {old}")).ok();
        mdadm("--stop /dev/md7").ok();
        let mut child = Command::new(env!("CARGO_BIN_EXE_mdadm"))
            .args(["--create", "/dev/md0", "-R", "-l5", "-n3", "-b", "none", "--write-zeroes"])
            .args([&members[0], &slow, &members[2]])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(said.by_ref().any(|l| l.unwrap().starts_with("mdadm: zeroing data from")), "{signal}");
        std::thread::sleep(Duration::from_millis(300));
        // Hours may pass like this: others must be able to work.
        mdadm("--detail --scan").ok();
        sh(&format!("kill -{signal} {}", child.id()));
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(1), "{signal}: {err}");
        assert!(err.contains(&format!("mdadm: zeroing was interrupted by SIG{signal}\n")), "{err}");
        assert!(err.contains("no md superblock is left on the members"), "{err}");
        assert!(!Path::new("/sys/block/md0").exists() && !Path::new("/dev/md0").exists(), "{signal}");
        let map = std::fs::read_to_string("/run/mdadm/map").unwrap_or_default();
        assert!(!map.contains("md0 "), "{map}");
        assert!([&members[0], &slow, &members[2]].iter().all(|m| !is_member(m)), "{signal}");
    }
}

#[test]
fn a_device_that_fails_is_named_and_no_array_is_made() {
    let members = disks(2, 24 * MIB);
    let bad = "/dev/mapper/bad";
    sh(&format!(
        "dmsetup create bad --table '0 30000 linear {m} 0
30000 8 error
30008 19144 linear {m} 30008'; dmsetup mknodes",
        m = members[1]
    ));
    let out = mdadm(&format!("--create /dev/md0 -R -l1 -n2 -b internal --write-zeroes {} {bad}", members[0]));
    assert_eq!(out.status, 1, "{}", out.stderr);
    assert!(out.stderr.contains("mdadm: zeroing /dev/mapper/bad failed: Input/output error\n"), "{}", out.stderr);
    assert!(out.stderr.contains("mdadm: zeroing failed!\n") && !out.stdout.contains("started"), "{}", out.stderr);
    assert!(!Path::new("/sys/block/md0").exists() && !is_member(&members[0]) && !is_member(bad));
}

#[test]
fn devices_are_zeroed_at_the_same_time_with_progress_on_a_terminal() {
    let members = disks(4, 24 * MIB);
    let slow: Vec<String> = members.iter().map(|m| slow_to_write(m, 1000)).collect();
    let args = "--create /dev/md0 -R -l10 -b none --size=4M --write-zeroes";
    let took = |list: &[String]| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mdadm"))
            .args(args.split(' '))
            .arg(format!("-n{}", list.len()))
            .args(list)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(said.by_ref().any(|l| l.starts_with("mdadm: zeroing data from")));
        let start = Instant::now();
        assert!(said.by_ref().any(|l| l == "mdadm: zeroing finished"));
        let took = start.elapsed();
        said.for_each(drop);
        assert!(child.wait().unwrap().success());
        mdadm("--stop /dev/md0").ok();
        took
    };
    let (two, four) = (took(&slow[..2]), took(&slow));
    println!("two disks {two:?}, four {four:?}");
    assert!(four < two * 3 / 2, "{two:?} {four:?}: one after the other");
    let program = env!("CARGO_BIN_EXE_mdadm");
    let typed = sh(&format!("script -qec '{program} {args} -n2 {}' /dev/null </dev/null", slow[..2].join(" ")));
    assert!(typed.contains("\rmdadm: zeroing   0% of 8 MiB"), "{typed:?}");
    assert!(typed.contains("mdadm: zeroing finished"), "{typed:?}");
}
