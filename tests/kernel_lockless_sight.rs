//! What is seen of a lockless bitmap of a running array, and its knobs.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use vm::{MIB, attr, mdadm, sh, write_pattern};

fn raid5(options: &str) -> Vec<String> {
    let disks = vm::disks(3, 200 * MIB);
    mdadm(&format!(
        "--create /dev/md0 --run --force --level=5 --raid-devices=3 --bitmap=lockless {options} {}",
        disks.join(" ")
    ))
    .ok();
    disks
}

#[test]
fn the_bitmap_of_a_running_array_is_shown_drawn_and_listed() {
    if vm::lockless_is_refused() {
        return;
    }
    let disks = raid5("--delay=1");
    write_pattern("/dev/md0", 8 * MIB, 3 * MIB, 5);
    vm::wait_sync("md0");
    let out = mdadm("--examine-bitmap /dev/md0").ok();
    assert!(out.stdout.contains("Array : /dev/md0 is running: the states are the kernel's"), "{out:?}");

    let map = mdadm("-X --map /dev/md0").ok().stdout;
    let lines: Vec<&str> = map.lines().collect();
    assert!(lines.len() <= 23 && lines.iter().all(|l| l.len() <= 80), "{map}");
    let grid: String = lines[2..].iter().take_while(|l| l.len() > 40 || l.contains("M ")).map(|l| &l[10..]).collect();
    // 512 chunks count as written, which is the first 64 MiB of 400.
    assert!(grid.contains('.') && !grid.starts_with('.') && grid.ends_with('.'), "{map}");
    assert!(!map.contains('\x1b'), "{map}");

    // What is clean in the kernel's memory is dirty on disk until something is written there.
    mdadm("--grow /dev/md0 --bitmap-idle=1").ok();
    let clean = || attr("md0", "llbitmap/bits").contains("clean 512\ndirty 0\n");
    vm::wait_until(std::time::Duration::from_secs(30), "what was written is clean", clean);
    let out = mdadm("-X /dev/md0").ok().stdout;
    assert!(out.contains("Resync : nothing, if the array started now"), "{out}");
    assert!(
        out.contains("After A Crash : 512 chunks, 32768 KiB of each member, 65536 KiB of the array would be"),
        "{out}"
    );

    let ranges = mdadm("-X --ranges /dev/md0").ok().stdout;
    assert!(ranges.contains(" 0-511 : "), "{ranges}");
    let json: serde_json::Value = serde_json::from_str(&mdadm("-X --json /dev/md0").ok().stdout).unwrap();
    assert_eq!(json[0]["states"]["unwritten"].as_u64().unwrap(), json[0]["chunks"].as_u64().unwrap() - 512);
    assert!(json[0]["resync_limit_kib_per_second"].as_u64().unwrap() > 0);

    // Again and again, until what is looked at is gone.
    let looked =
        sh(&format!("timeout 3 {} -X --watch=1 {} | grep -c Filename || true", env!("CARGO_BIN_EXE_mdadm"), disks[0]));
    assert!(looked.trim().parse::<u32>().unwrap() >= 2, "{looked}");
    let gone = mdadm("-X --watch=1 /dev/md7");
    assert_eq!(gone.status, 1, "{gone:?}");
}

#[test]
fn the_delay_is_set_after_the_start_and_read_back() {
    if vm::lockless_is_refused() {
        return;
    }
    let disks = raid5("--delay=3");
    assert_eq!(attr("md0", "llbitmap/daemon_sleep"), "3");
    for (words, why) in [("--delay=90000", "from 1 second to a day"), ("--bitmap-idle=90000", "from 1 second to a day")]
    {
        let out = mdadm(&format!("--grow /dev/md0 {words}"));
        assert!(out.status == 1 && out.stderr.contains(why), "{out:?}");
    }
    mdadm("--grow /dev/md0 --delay=7").ok();
    let out = mdadm("--grow /dev/md0 --bitmap-idle=9").ok();
    assert!(out.stderr.contains("llbitmap/barrier_idle=9"), "{out:?}");
    assert_eq!(
        (attr("md0", "llbitmap/daemon_sleep").as_str(), attr("md0", "llbitmap/barrier_idle").as_str()),
        ("7", "9")
    );
    // The delay is kept by the superblock.
    write_pattern("/dev/md0", 0, MIB, 5);
    vm::wait_sync("md0");
    mdadm("--stop /dev/md0").ok();
    mdadm(&format!("--assemble /dev/md0 {}", disks.join(" "))).ok();
    assert_eq!(
        (attr("md0", "llbitmap/daemon_sleep").as_str(), attr("md0", "llbitmap/barrier_idle").as_str()),
        ("7", "5")
    );

    let out = mdadm("--grow /dev/md0 --proactive-sync").ok();
    assert!(out.stderr.contains("mdadm --wait /dev/md0"), "{out:?}");
    assert_eq!(attr("md0", "llbitmap/daemon_sleep"), "7");
    vm::wait_until(std::time::Duration::from_secs(60), "no chunk is unwritten", || {
        attr("md0", "llbitmap/bits").starts_with("unwritten 0\n")
    });
    vm::wait_sync("md0");
    mdadm("--stop /dev/md0").ok();

    mdadm(&format!("--create /dev/md0 --run -l1 -n2 --assume-clean -b none {} {}", disks[0], disks[1])).ok();
    for words in ["--bitmap-idle=9", "--proactive-sync"] {
        let out = mdadm(&format!("--grow /dev/md0 {words}"));
        assert!(out.status == 1 && out.stderr.contains("has no lockless bitmap"), "{out:?}");
    }
    let out = mdadm("--grow /dev/md0 --delay=9").ok();
    assert_eq!(out.stderr, "mdadm: no changes to --grow\n");
}

#[test]
fn the_chunk_is_as_fine_as_asked_for_and_its_cost_is_shown() {
    if vm::lockless_is_refused() {
        return;
    }
    let disks = vm::disks(2, 200 * MIB);
    let all = disks.join(" ");
    let create = |chunk: &str| {
        mdadm(&format!("--create /dev/md0 --run -l1 -n2 --assume-clean --bitmap=lockless {chunk} {all}")).ok().stderr
    };
    let said = create("--bitmap-chunk=auto");
    assert!(said.contains("3184 chunks of 64K, 8K of metadata on each member"), "{said}");
    assert!(attr("md0", "llbitmap/metadata").starts_with("chunksize 128\n"));
    // Coarser is what the room decides.
    mdadm("--grow /dev/md0 --bitmap=none").ok();
    let out = mdadm("--grow /dev/md0 --bitmap=lockless --bitmap-chunk=auto").ok();
    assert!(out.stderr.contains("chunks of 64K"), "{out:?}");
    mdadm("--stop /dev/md0").ok();
}
