//! `--grow --bitmap` on running arrays with data: lockless from none and from internal and back, without loss.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use std::path::PathBuf;

use vm::{MIB, attr, mdadm, sh, verify_pattern, write_pattern};

const DATA: u64 = 20 * MIB;

/// An array in sync with a pattern, made by the reference.
fn array(level: &str, members: usize, bitmap: &str) -> Vec<String> {
    array_with("1.2", level, members, bitmap)
}

fn array_with(metadata: &str, level: &str, members: usize, bitmap: &str) -> Vec<String> {
    let disks = vm::disks(members, 40 * MIB);
    // On 1.0 the reference leaves no room that is large enough: there we make it, with another bitmap before.
    let create = if metadata == "1.0" { mdadm } else { vm::reference };
    let first = if metadata == "1.0" { "lockless --assume-clean" } else { bitmap };
    create(&format!(
        "--create /dev/md0 --run --force -e {metadata} --level={level} --raid-devices={members} --bitmap={first} {}",
        disks.join(" ")
    ))
    .ok();
    if metadata == "1.0" {
        mdadm("--grow /dev/md0 --bitmap=none").ok();
    }
    vm::wait_sync("md0");
    write_pattern("/dev/md0", 0, DATA, 7);
    disks
}

/// The files behind the disks.
fn files(disks: &[String]) -> Vec<PathBuf> {
    disks.iter().map(|d| PathBuf::from(sh(&format!("losetup -n -O BACK-FILE {d}")).trim())).collect()
}

/// The members agree in every chunk that is not unwritten, and none is.
#[track_caller]
fn all_chunks_count_and_agree(disks: &[String]) {
    let members = vm::Members::open(&files(disks));
    assert_eq!(members.wrong_chunks(), [0; 0]);
    let chunks: usize = sh(&format!("{} -X {} | sed -n 's/.*Chunks : //p'", env!("CARGO_BIN_EXE_mdadm"), disks[0]))
        .trim()
        .parse()
        .unwrap();
    assert_eq!(members.written_chunks(), chunks);
}

fn there_and_back(metadata: &str, level: &str, members: usize) {
    if !vm::kernel_has("CONFIG_MD_LLBITMAP=y") {
        array(level, members, "internal");
        let out = mdadm("--grow /dev/md0 --bitmap=lockless");
        assert_eq!(out.status, 1, "{out:?}");
        assert!(out.stderr.contains("takes Linux 6.18"), "{out:?}");
        assert!(attr("md0", "bitmap/location").starts_with('+'));
        return;
    }
    let disks = array_with(metadata, level, members, "none");
    let out = mdadm("--grow /dev/md0 --bitmap=lockless").ok();
    assert!(out.stderr.contains("has a lockless bitmap now: "), "{out:?}");
    assert!(attr("md0", "bitmap_type").contains("[llbitmap]"));
    // The kernel shows no states before the next assembly; the members do.
    let detail = mdadm("-D /dev/md0").ok().stdout;
    assert!(detail.contains("Bitmap States : ") && detail.contains(" clean (on disk; "), "{detail}");
    let again = mdadm("--grow /dev/md0 --bitmap=lockless");
    assert_eq!((again.status, again.stderr.as_str()), (1, "mdadm: bitmap already present on /dev/md0\n"));

    // It is there at the next assembly, with all its chunks clean, and now shown by the kernel.
    mdadm("--stop /dev/md0").ok();
    all_chunks_count_and_agree(&disks);
    mdadm(&format!("--assemble /dev/md0 {}", disks.join(" "))).ok();
    assert!(attr("md0", "llbitmap/bits").starts_with("unwritten 0\nclean "), "{}", attr("md0", "llbitmap/bits"));
    assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);

    // To internal, to lockless in one command, to none.
    mdadm("--grow /dev/md0 --bitmap=internal").ok();
    assert_eq!(attr("md0", "bitmap/metadata"), "internal");
    mdadm("--grow /dev/md0 --bitmap=lockless").ok();
    mdadm("--grow /dev/md0 --bitmap=none").ok();
    assert_eq!(attr("md0", "bitmap/location"), "none");
    let none = mdadm("--grow /dev/md0 --bitmap=none");
    assert_eq!((none.status, none.stderr.as_str()), (1, "mdadm: no bitmap found on /dev/md0\n"));
    assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);
}

#[test]
fn a_raid1_gets_a_lockless_bitmap_while_it_runs_and_loses_it_again() {
    there_and_back("1.0", "1", 2);
}

#[test]
fn a_raid10_gets_a_lockless_bitmap_while_it_runs_and_loses_it_again() {
    there_and_back("1.2", "10", 4);
}

#[test]
fn a_raid5_gets_a_lockless_bitmap_while_it_runs_and_loses_it_again() {
    there_and_back("1.1", "5", 3);
}

#[test]
fn a_raid6_gets_a_lockless_bitmap_while_it_runs_and_loses_it_again() {
    there_and_back("1.2", "6", 4);
}

/// The reference takes the bitmap off as it is, and a disk that is lost later takes data with it.
#[test]
fn parity_of_what_was_never_written_is_built_before_a_raid5_loses_its_bitmap() {
    if vm::lockless_is_refused() {
        return;
    }
    for level in [5, 4] {
        lose_the_bitmap(level);
    }
}

fn lose_the_bitmap(level: u8) {
    let disks = vm::disks(4, 40 * MIB);
    // Random members: what is not built is wrong.
    for disk in &disks {
        sh(&format!("dd if=/dev/urandom of={disk} bs=1M count=40 status=none"));
    }
    mdadm(&format!("--create /dev/md0 --run --level={level} --raid-devices=4 --bitmap=lockless {}", disks.join(" ")))
        .ok();
    write_pattern("/dev/md0", 3 * MIB, MIB, 7);
    vm::wait_sync("md0");
    let unwritten =
        |line: String| line.lines().next().unwrap().trim_start_matches("unwritten ").parse::<u64>().unwrap();
    assert!(unwritten(attr("md0", "llbitmap/bits")) > 50, "{}", attr("md0", "llbitmap/bits"));

    let out = mdadm("--grow /dev/md0 --bitmap=none").ok();
    assert!(out.stderr.contains("building the parity of "), "{out:?}");
    assert_eq!((attr("md0", "suspend_hi").as_str(), attr("md0", "sync_action").as_str()), ("0", "idle"));
    write_pattern("/dev/md0", 50 * MIB, MIB, 8);
    mdadm("--stop /dev/md0").ok();
    assert_eq!(vm::Members::open_all(&files(&disks)).wrong_chunks(), [0; 0], "level {level}");
}

#[test]
fn an_array_that_is_not_whole_in_sync_and_at_rest_keeps_the_bitmap_it_has() {
    if !vm::kernel_has("CONFIG_MD_LLBITMAP=y") {
        return;
    }
    let disks = array("1", 2, "internal");
    let refused = |why: &str, what_to_do: &str| {
        let out = mdadm("--grow /dev/md0 --bitmap=lockless");
        assert_eq!(out.status, 1, "{out:?}");
        assert!(out.stderr.contains(why) && out.stderr.contains(what_to_do), "{out:?}");
        assert_eq!(attr("md0", "bitmap/location"), "+8");
    };
    mdadm("--readonly /dev/md0").ok();
    refused("it is read-only", "mdadm --readwrite /dev/md0");
    mdadm("--readwrite /dev/md0").ok();
    vm::sync_speed(10, 10);
    mdadm("--action=check /dev/md0").ok();
    refused("a check runs", "mdadm --wait /dev/md0");
    mdadm("--action=idle /dev/md0").ok();
    mdadm("--action=frozen /dev/md0").ok();
    refused("held back", "mdadm --action=idle /dev/md0");
    mdadm("--action=idle /dev/md0").ok();
    mdadm(&format!("/dev/md0 --fail {}", disks[1])).ok();
    refused("it is degraded", "--add DEVICE");
    assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);
}

#[test]
fn where_there_is_no_room_or_the_chunk_is_too_fine_nothing_changes() {
    if !vm::kernel_has("CONFIG_MD_LLBITMAP=y") {
        return;
    }
    let disks = vm::disks(2, 40 * MIB);
    let create = |options: &str| {
        mdadm(&format!(
            "--create /dev/md0 --run --level=1 --raid-devices=2 --assume-clean {options} {}",
            disks.join(" ")
        ))
        .ok();
    };
    create("--bitmap=internal --data-offset=16K");
    let out = mdadm("--grow /dev/md0 --bitmap=lockless");
    assert!(out.status == 1 && out.stderr.contains("no room for a lockless bitmap"), "{out:?}");
    assert!(out.stderr.contains("--update=bitmap=lockless"), "{out:?}");
    assert_eq!(attr("md0", "bitmap/location"), "+8");
    mdadm("--stop /dev/md0").ok();

    create("--bitmap=internal");
    let out = mdadm("--grow /dev/md0 --bitmap=lockless --bitmap-chunk=4K");
    assert!(out.status == 1 && out.stderr.contains("no bitmap can hold chunks of 4K"), "{out:?}");
    // The room that an internal bitmap left in the kernel does not decide the chunk.
    mdadm("--grow /dev/md0 --bitmap=lockless --bitmap-chunk=1M").ok();
    mdadm("--stop /dev/md0").ok();
    mdadm(&format!("--assemble /dev/md0 {}", disks.join(" "))).ok();
    mdadm("--grow /dev/md0 --bitmap=lockless --bitmap-chunk=128K").ok();
    mdadm("--grow /dev/md0 --bitmap=lockless --bitmap-chunk=64K").ok();
    assert!(attr("md0", "bitmap_type").contains("[llbitmap]"));
    // --plan shows the steps and does nothing.
    let out = mdadm("--grow /dev/md0 --bitmap=none --plan").ok();
    assert!(out.stdout.contains("bitmap md0: take it off"), "{out:?}");
    assert!(attr("md0", "bitmap_type").contains("[llbitmap]"));
}

/// Sync actions are held back just when the old bitmap is off: the new one cannot be put on for five seconds.
#[test]
fn if_a_step_fails_the_old_bitmap_is_put_back() {
    if !vm::kernel_has("CONFIG_MD_LLBITMAP=y") {
        return;
    }
    array("1", 2, "internal");
    let change = "--grow /dev/md0 --bitmap=lockless --saved-metadata=none";
    let steps = mdadm(&format!("{change} --plan")).ok().stdout;
    // Before the new bitmap is taken the kernel is kept from taking any, for longer than that is tried.
    let take = steps.lines().position(|l| l.contains("bitmap/location = +")).unwrap() + 1;
    let out = sh(&format!(
        "MDADM_FAULT_STEP={take} {} {change} >/mnt/out 2>&1 & pid=$!
         for n in $(seq 600); do grep -q held /mnt/out && break; sleep 0.1; done
         echo frozen >/sys/block/md0/md/sync_action; kill -CONT $pid; sleep 7; echo idle >/sys/block/md0/md/sync_action
         wait $pid || echo status $?; cat /mnt/out",
        env!("CARGO_BIN_EXE_mdadm")
    ));
    assert!(out.contains("Device or resource busy") && out.contains("status 1"), "{out}");
    assert!(out.contains("/dev/md0 runs on with the kind of bitmap it had"), "{out}");
    assert_eq!(attr("md0", "bitmap/location"), "+8");
    mdadm("--grow /dev/md0 --bitmap=lockless").ok();
    assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);
}
