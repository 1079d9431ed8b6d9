//! `--examine-bitmap` on members of real arrays, in the guest.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use std::time::Duration;

use serde_json::Value;
use vm::MIB;

/// `-X --json` of one device.
fn examine(line: &str) -> Vec<Value> {
    let out = vm::mdadm(&format!("--examine-bitmap --json {line}")).ok();
    serde_json::from_str::<Vec<Value>>(&out.stdout).unwrap()
}

/// `md/llbitmap/bits` with the names of the JSON keys.
fn kernel_states() -> Value {
    let bits = vm::attr("md0", "llbitmap/bits");
    let mut states: serde_json::Map<String, Value> = bits
        .lines()
        .map(|l| l.rsplit_once(' ').unwrap())
        .map(|(name, n)| (name.replace(' ', "_"), n.parse::<u64>().unwrap().into()))
        .collect();
    states.insert("invalid".into(), 0.into());
    Value::Object(states)
}

fn create(options: &str, disks: &[String]) {
    vm::mdadm(&format!("--create /dev/md0 --run -q --bitmap=lockless {options} {}", disks.join(" "))).ok();
}

fn write(at_mib: u64, mib: u64) {
    vm::sh(&format!("dd if=/dev/urandom of=/dev/md0 bs=1M seek={at_mib} count={mib} oflag=direct 2>&1"));
}

#[test]
fn the_states_are_those_of_the_kernel_while_the_array_runs_and_on_the_members_after_it() {
    if vm::lockless_is_refused() {
        return;
    }
    for level in ["-l1 -n2", "-l10 -n4", "-l5 -n4", "-l6 -n4"] {
        let disks = vm::disks(4, 100 * MIB);
        let members = if level == "-l1 -n2" { &disks[..2] } else { &disks[..] };
        create(level, members);
        write(3, 20);
        vm::wait_sync("md0");
        let found = examine(&members.join(" "));
        for one in &found {
            assert_eq!(one["states"], kernel_states(), "{level}");
            assert_eq!((&one["states_from"], &one["array"]), (&"kernel".into(), &"md0".into()));
            assert!(one["states"]["unwritten"].as_u64() > Some(0), "{level} {one}");
        }
        let dirty = kernel_states()["dirty"].as_u64().unwrap();
        assert!(dirty > 0);
        assert_eq!(found[0]["resync_chunks"], dirty, "{level}");
        vm::mdadm("--stop /dev/md0").ok();
        for one in examine(&members.join(" ")) {
            assert_eq!((&one["states_from"], &one["stale"]), (&"member".into(), &false.into()), "{level}");
            assert_eq!((&one["states"]["clean"], &one["resync_bytes"]), (&dirty.into(), &0.into()), "{level}");
            assert_eq!(one["error"], Value::Null);
        }
    }
}

#[test]
fn what_is_said_of_a_power_cut_is_what_the_kernel_resyncs() {
    if vm::lockless_is_refused() {
        return;
    }
    let disks = vm::disks(2, 100 * MIB);
    create("-l1 -n2", &disks);
    write(0, 8);
    // The disks as they are now, the array still running: what a power cut would leave.
    vm::sync_speed(1, 1);
    let copies: Vec<String> = (0..2).map(|n| format!("/mnt/copy{n}")).collect();
    for (disk, copy) in disks.iter().zip(&copies) {
        vm::sh(&format!("dd if={disk} of={copy} bs=1M iflag=direct conv=sparse 2>&1"));
    }
    let said = examine(&copies.join(" "));
    assert_eq!((said[0]["member"]["role"].as_str(), said[0]["array"].as_str()), (Some("active"), None));
    let chunks = said[0]["resync_chunks"].as_u64().unwrap();
    assert!(chunks >= 128);
    vm::mdadm("--stop /dev/md0").ok();
    vm::sh(&format!("losetup -d {}", disks.join(" ")));
    let loops: Vec<String> = copies.iter().map(|c| vm::slice(c, 0, 100 * MIB)).collect();
    vm::reference(&format!("--assemble /dev/md0 {}", loops.join(" "))).ok();
    let states = kernel_states();
    let resync = ["need_sync", "syncing"].iter().map(|s| states[s].as_u64().unwrap()).sum::<u64>();
    assert_eq!(resync, chunks, "{states}");
    vm::wait_sync("md0");
}

#[test]
fn a_bitmap_that_is_behind_counts_all_that_was_ever_written() {
    if vm::lockless_is_refused() {
        return;
    }
    let disks = vm::disks(2, 100 * MIB);
    create("-l1 -n2 --assume-clean", &disks);
    write(0, 1);
    vm::wait_until(Duration::from_secs(10), "a dirty chunk", || kernel_states()["dirty"].as_u64() > Some(0));
    vm::mdadm("--stop /dev/md0").ok();
    // Events of the bitmap superblock, 24 bytes into it, behind the v1.2 superblock: one less.
    for disk in &disks {
        let events = examine(disk)[0]["events"].as_u64().unwrap();
        let byte = u8::try_from(events - 1).unwrap();
        vm::sh(&format!("printf '\\x{byte:02x}' | dd of={disk} bs=1 seek={} conv=notrunc 2>&1; sync", 8192 + 24));
    }
    let said = &examine(&disks[0])[0];
    assert_eq!(said["stale"], true);
    assert_eq!(said["resync_chunks"], said["chunks"]);
    vm::sync_speed(1, 1);
    vm::reference(&format!("--assemble /dev/md0 {}", disks.join(" "))).ok();
    let states = kernel_states();
    assert_eq!(states["clean"], 0, "{states}");
    vm::wait_sync("md0");
}

#[test]
fn copies_that_differ_are_warned_of_and_a_spares_copy_is_not_in_use() {
    if vm::lockless_is_refused() {
        return;
    }
    let disks = vm::disks(4, 100 * MIB);
    create("-l5 -n3 -x1", &disks);
    write(0, 8);
    vm::wait_sync("md0");
    let spare = &examine(&disks[3])[0];
    assert_eq!((&spare["in_use"], &spare["state_flags"][0]), (&false.into(), &"first use".into()));
    vm::mdadm("--stop /dev/md0").ok();
    let clean = vm::mdadm(&format!("-X {}", disks.join(" "))).ok();
    assert_eq!(clean.stderr, "");
    assert!(clean.stdout.contains("In Use : no, this member is a spare"));
    vm::sh(&format!("printf '\\x02' | dd of={} bs=1 seek={} conv=notrunc 2>&1; sync", disks[1], 8192 + 1024 + 777));
    let out = vm::mdadm(&format!("-X {}", disks.join(" "))).ok();
    let text =
        format!("mdadm: {} and {} are in sync and of equal events, but their bitmaps differ", disks[0], disks[1]);
    assert!(out.stderr.starts_with(&text) && out.stderr.contains("chunk 777"), "{}", out.stderr);
    assert_eq!(out.stderr.lines().count(), 1);
}
