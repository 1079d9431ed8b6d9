//! `--assemble --update=bitmap=`: the bitmap of a stopped array becomes another, also after a power cut, without loss.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use std::path::PathBuf;

use vm::{MIB, attr, mdadm, sh, verify_pattern, write_pattern};

const DATA: u64 = 12 * MIB;

/// The files behind the disks.
fn files(disks: &[String]) -> Vec<PathBuf> {
    disks.iter().map(|d| PathBuf::from(sh(&format!("losetup -n -O BACK-FILE {d}")).trim())).collect()
}

/// A power cut: the members are as they were while the array was being written to.
fn cut_while_written(disks: &[String]) {
    write_pattern("/dev/md0", DATA, MIB, 9);
    for (n, disk) in disks.iter().enumerate() {
        sh(&format!("dd if={disk} of=/mnt/cut{n} bs=1M iflag=direct status=none"));
    }
    mdadm("--stop /dev/md0").ok();
    for (n, disk) in disks.iter().enumerate() {
        sh(&format!("dd if=/mnt/cut{n} of={disk} bs=1M oflag=direct status=none"));
    }
}

/// From one bitmap to another.
const CHANGES: [(&str, &str); 6] = [
    ("lockless", "internal"),
    ("lockless", "none"),
    ("internal", "lockless"),
    ("none", "lockless"),
    ("internal", "none"),
    ("lockless", "lockless"),
];

/// The changes on a level; `cut`: after a power cut.
fn convert(level: &str, count: usize, cut: bool, changes: &[(&str, &str)]) {
    for (from, to) in changes {
        let disks = vm::disks(count, 24 * MIB);
        // Members whose parity is not right by itself; copies that were never written may differ.
        if level == "5" || level == "6" {
            disks.iter().for_each(|d| drop(sh(&format!("dd if=/dev/urandom of={d} bs=1M count=24 status=none"))));
        }
        let all = disks.join(" ");
        mdadm(&format!(
                "--create /dev/md0 --run --force --level={level} --raid-devices={count} --bitmap={from} --saved-metadata=none {all}"
            ))
            .ok();
        write_pattern("/dev/md0", 0, DATA, 7);
        vm::wait_sync("md0");
        if cut {
            cut_while_written(&disks);
        } else {
            mdadm("--stop /dev/md0").ok();
        }
        let how = format!("level {level} from {from} to {to}, cut: {cut}");
        let out = mdadm(&format!("--assemble /dev/md0 --update=bitmap={to} --saved-metadata=none {all}"));
        assert_eq!(out.status, 0, "{how}: {out:?}");
        assert!(out.stderr.contains(&format!("the bitmap becomes {to}; ")), "{how}: {out:?}");
        let chosen = match *to {
            "none" => "[none]",
            "internal" => "[bitmap]",
            _ => "[llbitmap]",
        };
        assert!(attr("md0", "bitmap_type").contains(chosen), "{how}");
        vm::wait_sync("md0");
        assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0], "{how}");
        mdadm("--stop /dev/md0").ok();
        let files = files(&disks);
        let members = if *to == "lockless" { vm::Members::open(&files) } else { vm::Members::open_all(&files) };
        assert_eq!(members.wrong_chunks(), [0; 0], "{how}");
        if *to == "lockless" {
            let component = if level == "10" { 2 } else { 1 };
            let written = DATA / (count as u64 - u64::from(level == "5")).max(1) / (64 << 10);
            assert!(members.written_chunks() as u64 >= written * component / 4, "{how}: {}", members.written_chunks());
        }
        disks.iter().for_each(|d| drop(sh(&format!("f=$(losetup -n -O BACK-FILE {d}); losetup -d {d}; rm -f $f"))));
    }
}

fn no_lockless() -> bool {
    vm::lockless_is_refused()
}

#[test]
fn the_bitmap_of_a_raid1_becomes_another_after_a_power_cut() {
    if !no_lockless() {
        convert("1", 2, true, &CHANGES);
    }
}

#[test]
fn the_bitmap_of_a_raid10_becomes_another_after_a_power_cut() {
    if !no_lockless() {
        convert("10", 4, true, &CHANGES);
    }
}

#[test]
fn the_bitmap_of_a_raid5_becomes_another_after_a_power_cut() {
    if !no_lockless() {
        convert("5", 3, true, &CHANGES[..4]);
    }
}

#[test]
fn the_bitmap_of_a_raid6_becomes_another_after_a_power_cut() {
    if !no_lockless() {
        convert("6", 4, true, &CHANGES[..3]);
    }
}

#[test]
fn the_bitmap_of_a_raid5_that_was_stopped_becomes_another() {
    if !no_lockless() {
        convert("5", 3, false, &CHANGES[..3]);
    }
}

/// What a set bit covers needs a resync, what none covers is clean, and nothing is unwritten.
#[test]
fn set_bits_become_chunks_that_need_sync_and_back() {
    if no_lockless() {
        return;
    }
    let disks = vm::disks(2, 24 * MIB);
    let all = disks.join(" ");
    mdadm(&format!(
        "--create /dev/md0 --run --assume-clean --level=1 --raid-devices=2 --bitmap=internal --bitmap-chunk=1M {all}"
    ))
    .ok();
    mdadm("--stop /dev/md0").ok();
    // The kernel clears the bits at a clean stop: set those of chunks 3 and 9 again, on both members.
    for disk in &disks {
        sh(&format!("printf '\\x08\\x02' | dd of={disk} bs=1 seek=$((8192 + 256)) conv=notrunc status=none"));
    }
    vm::sync_speed(1, 1);
    let out = mdadm(&format!("--assemble /dev/md0 --update=bitmap=lockless {all}")).ok();
    assert!(out.stderr.contains("the bitmap becomes lockless; 2 MiB are resynced"), "{out:?}");
    let bits = attr("md0", "llbitmap/bits");
    let number = |state: &str| {
        let line = bits.lines().find(|l| l.starts_with(state)).unwrap();
        line.trim_start_matches(state).trim().parse::<u64>().unwrap()
    };
    assert_eq!(number("unwritten "), 0, "{bits}");
    // 2 MiB of 64 KiB each; some may be synced by now. Clean ones beside them count as dirty for a while.
    assert!(number("need sync ") + number("syncing ") <= 32, "{bits}");
    assert!(number("clean ") + number("dirty ") >= 368 - 32, "{bits}");
    vm::wait_sync("md0");
    mdadm("--stop /dev/md0").ok();

    // A bitmap that is out of date is in doubt as a whole.
    sh(&format!("printf '\\x00' | dd of={} bs=1 seek=$((4096 + 12288 + 24)) conv=notrunc status=none", disks[0]));
    let out = mdadm(&format!("--assemble /dev/md0 --update=bitmap=internal {all}")).ok();
    assert!(out.stderr.contains("the bitmap becomes internal; "), "{out:?}");
    mdadm("--stop /dev/md0").ok();
}

#[test]
fn what_cannot_be_converted_is_refused_before_anything_is_written() {
    if no_lockless() {
        return;
    }
    let disks = vm::disks(3, 24 * MIB);
    let refused = |array: &str, words: &str, why: &str| {
        mdadm(&format!("--create /dev/md0 --run --saved-metadata=none {array}")).ok();
        mdadm("--stop /dev/md0").ok();
        let sum = || sh(&format!("cat {} | md5sum", disks.join(" ")));
        let before = sum();
        let out = mdadm(&format!("--assemble /dev/md0 {words}"));
        assert_eq!(out.status, 1, "{out:?}");
        assert!(out.stderr.contains(why), "{why}: {out:?}");
        assert_eq!(sum(), before, "{why}");
    };
    let (two, three) = (disks[..2].join(" "), disks.join(" "));
    refused(&format!("-l0 -n2 {two}"), &format!("--update=bitmap=lockless {two}"), "not meaningful with its level");
    refused(
        &format!("-e 0.90 -l1 -n2 --assume-clean {two}"),
        &format!("--update=bitmap=lockless {two}"),
        "takes metadata 1.x",
    );
    refused(&format!("-l5 -n3 -k ppl {three}"), &format!("--update=bitmap=lockless {three}"), "partial parity log");
    refused(
        &format!("-l5 -n3 --force --bitmap=lockless {three}"),
        &format!("--run --update=bitmap=internal {two}"),
        "members are missing",
    );
}

/// One kind of bad input: where in the bitmap of both members which bytes are, what `-E` (and `-X`, where the bitmap can be read) say,
/// and the word behind `--update=bitmap=` with which it goes on, where plain assembly refuses it.
struct Bad {
    what: &'static str,
    at: u64,
    bytes: &'static str,
    named: &'static str,
    way: Option<&'static str>,
}

const BAD: [Bad; 13] = [
    bad("states out of range", 1029, "\\x08\\xff\\x40", "3 invalid", None),
    bad("a chunk of nothing", 52, "\\x00\\x00\\x00\\x00", "chunksize is 0", Some("none")),
    bad("no power of two", 52, "\\x60\\x00\\x00\\x00", "is not a power of two", Some("internal")),
    bad("more chunks than can be", 52, "\\x01\\x00\\x00\\x00", "finer than any kernel makes them", Some("lockless")),
    bad("more sectors than there are", 40, "\\xff\\xff\\xff\\xff", "said to cover 4294967295 sectors", None),
    bad("fewer sectors than there are", 40, "\\x10\\x00\\x00\\x00", "said to cover 16 sectors", None),
    bad("another array's", 8, "\\x5a", "is that of a", Some("internal")),
    bad("events behind", 24, "\\x00\\x00", "out of date", None),
    bad("events ahead", 24, "\\xff\\x00", "ahead of the member's", None),
    bad("an error in writing", 48, "\\x04", "could not be written to", Some("lockless")),
    bad("in its first use though written to", 48, "\\x08", "never used", Some("none")),
    bad("flags that cannot be together", 48, "\\x10", "flags contradict each other", None),
    bad("a period of 0", 56, "\\x00", "a period of 0", Some("lockless")),
];

const fn bad(what: &'static str, at: u64, bytes: &'static str, named: &'static str, way: Option<&'static str>) -> Bad {
    Bad { what, at, bytes, named, way }
}
#[test]
fn bad_lockless_bitmaps_are_named_and_what_the_kernel_would_misread_is_refused_with_a_way_on() {
    if no_lockless() {
        return;
    }
    let disks = vm::disks(2, 24 * MIB);
    let all = disks.join(" ");
    for Bad { what, at, bytes, named, way } in BAD {
        mdadm(&format!("--create /dev/md0 --run --assume-clean --saved-metadata=none -l1 -n2 --bitmap=lockless {all}"))
            .ok();
        write_pattern("/dev/md0", 0, 4 * MIB, 7);
        mdadm("--stop /dev/md0").ok();
        // In doubt as a whole, or the chunks of no state: then copies that differ are made the same.
        let doubted = at == 1029 || named == "out of date" || way.is_some_and(|_| at != 56);
        if doubted {
            sh(&format!("dd if=/dev/urandom of={} bs=64K seek=$((16 + 6)) count=1 conv=notrunc status=none", disks[1]));
        }
        let poke =
            |disk| format!("printf '{bytes}' | dd of={disk} bs=1 seek=$((8192 + {at})) conv=notrunc status=none\n");
        sh(&disks.iter().map(poke).collect::<String>());
        let said = |option: &str| {
            let out = mdadm(&format!("{option} {}", disks[0]));
            format!("{}{}", out.stdout, out.stderr)
        };
        assert!(said("-E").contains(named), "{what}: {}", said("-E"));
        let x = said("-X").to_lowercase();
        let in_x = if at == 1029 { "invalid : 3 " } else { named };
        assert!(x.contains(in_x), "{what}: {x}");
        let out = mdadm(&format!("--assemble /dev/md0 {all}"));
        assert_eq!(out.status, i32::from(way.is_some()), "{what}: {out:?}");
        if let Some(way) = way {
            assert!(out.stderr.contains(named) && out.stderr.contains("--update=bitmap=none"), "{what}: {out:?}");
            mdadm(&format!("--assemble /dev/md0 --update=bitmap={way} {all}")).ok();
        }
        vm::wait_sync("md0");
        assert_eq!(verify_pattern("/dev/md0", 0, 4 * MIB, 7), [0; 0], "{what}");
        let unwritten = std::fs::read_to_string("/sys/block/md0/md/llbitmap/bits").unwrap_or_default();
        assert!(unwritten.is_empty() || unwritten.starts_with("unwritten 0\n"), "{what}: {unwritten}");
        mdadm("--stop /dev/md0").ok();
        if doubted {
            assert_eq!(vm::Members::open_all(&files(&disks)).wrong_chunks(), [0; 0], "{what}");
        }
    }
}

/// mdadm 4.6 puts the log where more than 3072 chunks have their states.
#[test]
fn a_bad_block_log_inside_the_bitmap_is_named_and_once_it_is_in_use_the_array_goes_on_without_either() {
    if no_lockless() {
        return;
    }
    let disks = vm::disks(2, 260 * MIB);
    let all = disks.join(" ");
    let create = "--create /dev/md0 --run --assume-clean -l1 -n2 --bitmap=lockless";
    vm::reference(&format!("{create} {all}")).ok();
    write_pattern("/dev/md0", 0, MIB, 7);
    mdadm("--stop /dev/md0").ok();
    let named = |option: &str| mdadm(&format!("{option} {}", disks[1])).ok().stdout;
    for option in ["-E", "-X"] {
        assert!(named(option).contains("reaches into the bad-block log, which is empty now"), "{}", named(option));
    }
    let out = mdadm(&format!("--assemble /dev/md0 {all}")).ok();
    assert!(out.stderr.contains("--update=no-bbl gives the log up"), "{out:?}");
    sh(&format!("echo '200000 8' > /sys/block/md0/md/dev-{}/bad_blocks", &disks[1][5..]));
    write_pattern("/dev/md0", MIB, MIB, 7);
    mdadm("--stop /dev/md0").ok();
    for option in ["-E", "-X"] {
        assert!(named(option).contains("each has overwritten the other"), "{}", named(option));
    }
    let out = mdadm(&format!("--assemble /dev/md0 {all}"));
    assert!(out.status == 1 && out.stderr.contains("--update=bitmap=none goes on without it"), "{out:?}");
    // Which of the two was written last nobody knows.
    let out = mdadm(&format!("--assemble /dev/md0 --update=bitmap=none -v --saved-metadata=none {all}")).ok();
    assert!(out.stderr.contains("all of it is resynced"), "{out:?}");
    vm::wait_sync("md0");
    assert_eq!(verify_pattern("/dev/md0", 0, 2 * MIB, 7), [0; 0]);
    mdadm("--stop /dev/md0").ok();
    assert!(!named("-E").contains("Bad Block Log"));

    // Made so again, and put right while nothing is in the log.
    for (update, log) in [("no-bbl", false), ("bitmap=lockless", true)] {
        sh(&format!("wipefs -aq {all}"));
        vm::reference(&format!("{create} {all}")).ok();
        write_pattern("/dev/md0", 0, MIB, 7);
        mdadm("--stop /dev/md0").ok();
        mdadm(&format!("--assemble /dev/md0 --update={update} --saved-metadata=none {all}")).ok();
        vm::wait_sync("md0");
        assert_eq!(verify_pattern("/dev/md0", 0, MIB, 7), [0; 0]);
        mdadm("--stop /dev/md0").ok();
        let now = named("-E");
        assert_eq!((now.contains("Bad Block Log"), now.contains("Fault")), (log, false), "{now}");
    }
}

/// Members that were made for another machine, and no array that could tell what this kernel can.
#[test]
fn a_plan_knows_without_any_array_whether_the_kernel_has_lockless_bitmaps() {
    let able = vm::kernel_has("CONFIG_MD_LLBITMAP=y");
    let disks = vm::disks(2, 16 * MIB);
    let create = format!("-l1 -n2 --bitmap=lockless --saved-metadata=none {}", disks.join(" "));
    let all = format!("/dev/md0 {}", disks.join(" "));
    let arrays = || sh("ls /sys/block | grep ^md || true");
    let ends = |line: &str| {
        let out = mdadm(line);
        assert_eq!(out.status, i32::from(!able), "{line}: {out:?}");
        assert!(able || out.stderr.contains("takes Linux 6.18 or later"), "{line}: {out:?}");
        assert!(!line.contains("--plan") || arrays().is_empty(), "{line}: {}", arrays());
    };
    ends(&format!("--create /dev/md0 --run --plan {create}"));
    mdadm(&format!("--create /dev/md0 --run --offline {create}")).ok();
    ends(&format!("--assemble --plan {all}"));
    ends(&format!("--assemble {all}"));
    if able {
        mdadm("--stop /dev/md0").ok();
    } else {
        assert_eq!(arrays(), "");
    }
    // The way on works on both.
    mdadm(&format!("--assemble --plan --update=bitmap=internal {all}")).ok();
    mdadm(&format!("--assemble --update=bitmap=internal {all}")).ok();
    assert!(attr("md0", "bitmap/location").starts_with('+'));
    mdadm("--stop /dev/md0").ok();
}

#[test]
fn an_empty_bad_block_log_in_the_way_of_a_lockless_bitmap_goes_and_the_data_stays() {
    if no_lockless() {
        return;
    }
    let disks = vm::disks(2, 24 * MIB);
    let all = disks.join(" ");
    let log = || mdadm(&format!("-E {}", disks[0])).ok().stdout.contains("Bad Block Log");
    // Behind a superblock at 4 KiB there are 12 KiB, the log in the middle of them; or 20.
    for (data_offset, kept) in [("16K", false), ("24K", true)] {
        vm::reference(&format!(
            "--create /dev/md0 --run --assume-clean --bitmap=none --data-offset={data_offset} -l1 -n2 {all}"
        ))
        .ok();
        assert!(log());
        write_pattern("/dev/md0", 0, DATA, 7);
        let out = mdadm("--grow /dev/md0 --bitmap=lockless");
        assert_eq!(out.status, i32::from(!kept), "{out:?}");
        assert!(kept || out.stderr.contains("--update=bitmap=lockless"), "{out:?}");
        mdadm("--stop /dev/md0").ok();
        if !kept {
            mdadm(&format!("--assemble /dev/md0 --update=bitmap=lockless --saved-metadata=none {all}")).ok();
            mdadm("--stop /dev/md0").ok();
        }
        mdadm(&format!("--assemble /dev/md0 {all}")).ok();
        assert!(attr("md0", "llbitmap/bits").starts_with("unwritten 0\n"));
        assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);
        mdadm("--stop /dev/md0").ok();
        assert_eq!(log(), kept, "{data_offset}");
        mdadm(&format!("--zero-superblock --saved-metadata=none {all}")).ok();
    }
}

/// `md/llbitmap/bits`: how many chunks are in a state.
fn chunks_in(state: &str) -> u64 {
    let bits = attr("md0", "llbitmap/bits");
    let line = bits.lines().find(|l| l.strip_prefix(state).is_some_and(|n| n.trim().parse::<u64>().is_ok()));
    line.unwrap_or_else(|| panic!("no {state} in {bits}")).trim_start_matches(state).trim().parse().unwrap()
}

#[test]
fn a_conversion_takes_the_chunk_that_is_asked_for_and_so_rescales_a_stopped_bitmap() {
    if no_lockless() {
        return;
    }
    let disks = vm::disks(2, 24 * MIB);
    let all = disks.join(" ");
    mdadm(&format!("--create /dev/md0 --run --assume-clean -l1 -n2 --bitmap=lockless {all}")).ok();
    write_pattern("/dev/md0", 0, 64 << 10, 7);
    mdadm("--stop /dev/md0").ok();
    let out = mdadm(&format!("--assemble /dev/md0 --bitmap-chunk=1M {all}"));
    assert_eq!((out.status, out.stderr.as_str()), (2, "mdadm: :option --bitmap-chunk not valid in assemble mode\n"));
    // Of 64 KiB: 3 dirty, 20 no state at all, 40 to 55 unwritten but for 44, 64 to 79 all unwritten.
    let states: Vec<u8> = (0..368u64)
        .map(|n| match n {
            3 => 2,
            20 => 99,
            44 => 1,
            40..=55 | 64..=79 => 0,
            _ => 1,
        })
        .collect();
    std::fs::write("/mnt/states", states).unwrap();
    for disk in &disks {
        sh(&format!("dd if=/mnt/states of={disk} bs=1 seek=$((8192 + 1024)) conv=notrunc status=none"));
    }
    let convert = |words: &str, said: &str| {
        let out = mdadm(&format!("--assemble /dev/md0 --readonly --saved-metadata=none {words} {all}")).ok();
        assert!(out.stderr.contains(said), "{words}: {out:?}");
    };
    let are = |chunk_kib: u64, need: u64, unwritten: u64, clean: u64| {
        let meta = attr("md0", "llbitmap/metadata");
        assert!(meta.contains(&format!("chunksize {}\n", chunk_kib * 2)), "{chunk_kib}K: {meta}");
        let found = (chunks_in("need sync "), chunks_in("unwritten "), chunks_in("clean "));
        assert_eq!(found, (need, unwritten, clean), "{chunk_kib}K");
        mdadm("--stop /dev/md0").ok();
    };
    convert("--update=bitmap=lockless --bitmap-chunk=1M", "23 chunks of 1M, 4K of metadata");
    are(1024, 2, 1, 20);
    convert("--update=bitmap=lockless --bitmap-chunk=256K", "92 chunks of 256K");
    are(256, 8, 4, 80);
    convert("--update=bitmap=lockless --bitmap-chunk=auto", "368 chunks of 64K");
    are(64, 32, 16, 320);
    convert("--update=bitmap=internal --bitmap-chunk=128K", "the bitmap becomes internal; 2 MiB are resynced");
    assert_eq!(attr("md0", "bitmap/chunksize"), "131072");
    mdadm("--stop /dev/md0").ok();
    // Back to finer ones, resynced there and nowhere else.
    mdadm(&format!("--assemble /dev/md0 --update=bitmap=lockless {all}")).ok();
    vm::wait_sync("md0");
    assert_eq!((verify_pattern("/dev/md0", 0, 64 << 10, 7), chunks_in("unwritten ")), (vec![], 0));
    mdadm("--stop /dev/md0").ok();
    let out = mdadm(&format!("--assemble /dev/md0 --update=bitmap=lockless --bitmap-chunk=32K {all}"));
    assert!(out.status == 1 && out.stderr.contains("no bitmap can hold chunks of 32K"), "{out:?}");

    // No room for so many.
    let large = vm::disks(2, 40 << 30).join(" ");
    let create = "--create /dev/md0 --run --assume-clean -l1 -n2 --bitmap=none --data-offset=256K";
    mdadm(&format!("{create} {large}")).ok();
    mdadm("--stop /dev/md0").ok();
    let out = mdadm(&format!("--assemble /dev/md0 --update=bitmap=lockless --bitmap-chunk=64K {large}"));
    assert!(out.status == 1 && out.stderr.contains("256K can be had; nothing was changed"), "{out:?}");
    mdadm(&format!("--assemble /dev/md0 --update=bitmap=lockless --bitmap-chunk=256K {large}")).ok();
    mdadm("--stop /dev/md0").ok();
}

/// What had reached the disks when the program was about to take its `step`th step, and that step.
fn cut_before(step: usize, line: &str, files: &[PathBuf]) -> (Vec<String>, String) {
    use std::io::{BufRead, BufReader};
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_mdadm"))
        .args(line.split(' '))
        .env("MDADM_FAULT_STEP", step.to_string())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let next = lines.take_while(|l| l != "held before a step").last().unwrap_or_default();
    let copy = |(n, file): (usize, &PathBuf)| {
        std::fs::copy(file, format!("/mnt/after{n}")).unwrap();
        format!("/mnt/after{n}")
    };
    let cut = files.iter().enumerate().map(copy).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    mdadm("--stop /dev/md0");
    (cut, next)
}

/// Puts images onto disks, past what their caches hold.
fn put(images: &[String], disks: &[String]) {
    let one = |(image, disk)| {
        format!("blockdev --flushbufs {disk}; dd if={image} of={disk} bs=1M oflag=direct status=none\n")
    };
    sh(&images.iter().zip(disks).map(one).collect::<String>());
}

/// Bytes that were written long before, behind them some that were just being written.
const PART: u64 = 4 * MIB;

/// The steps of a conversion of an array that was being written to, with a power cut before each: what was not synced is gone.
/// The array is then assembled as it is, or the conversion is asked for again.
fn cut_at_each_step(shape: &str, count: usize, (from, to): (&str, &str)) {
    let disks = vm::disks(count, 8 * MIB);
    disks.iter().for_each(|d| drop(sh(&format!("dd if=/dev/urandom of={d} bs=1M count=8 oflag=direct status=none"))));
    let (files, all) = (files(&disks), disks.join(" "));
    mdadm(&format!("--create /dev/md0 --run --force {shape} --bitmap={from} --saved-metadata=none {all}")).ok();
    write_pattern("/dev/md0", 0, PART, 7);
    vm::wait_sync("md0");
    write_pattern("/dev/md0", PART, MIB, 9);
    let before: Vec<String> = (0..count).map(|n| format!("/mnt/before{n}")).collect();
    for (image, disk) in before.iter().zip(&disks) {
        sh(&format!("dd if={disk} of={image} bs=1M iflag=direct status=none"));
    }
    mdadm("--stop /dev/md0").ok();
    let convert = format!("--assemble /dev/md0 --update=bitmap={to} --saved-metadata=none {all}");
    let mut kinds = std::collections::BTreeSet::new();
    let mut again = true;
    // The array's node comes first, nothing is on the disks yet.
    for step in 2.. {
        put(&before, &disks);
        let (cut, next) = cut_before(step, &convert, &files);
        // What is not synced yet is as if it was not written.
        if next.starts_with("sync") {
            continue;
        }
        let last = next.contains("SET_ARRAY_INFO");
        again = !again;
        put(&cut, &disks);
        let how = format!("{shape} from {from} to {to}, power cut before step {step}, again: {again}");
        let out = if again { mdadm(&convert) } else { mdadm(&format!("--assemble /dev/md0 {all}")) };
        assert_eq!(out.status, 0, "{how}: {out:?}");
        let kind = attr("md0", "bitmap_type").split(['[', ']']).nth(1).unwrap_or_default().to_owned();
        kinds.extend((!again).then(|| kind.clone()));
        vm::wait_sync("md0");
        assert_eq!(verify_pattern("/dev/md0", 0, PART, 7), [0; 0], "{how}");
        mdadm("--stop /dev/md0").ok();
        let lockless = kind == "llbitmap";
        let members = if lockless { vm::Members::open(&files) } else { vm::Members::open_all(&files) };
        assert_eq!(members.wrong_chunks(), [0; 0], "{how}");
        let data = if count > 2 { PART / (count as u64 - 1) } else { PART };
        let written = members.written_chunks() as u64;
        assert!(written >= data.div_ceil(64 << 10), "{how}: {written}");
        if last {
            assert!(step > 2 * count, "{from} to {to}: only {step} steps");
            break;
        }
    }
    assert_eq!(kinds.len(), 2, "{from} to {to}: the old bitmap and the new one: {kinds:?}");
    disks.iter().for_each(|d| drop(sh(&format!("f=$(losetup -n -O BACK-FILE {d}); losetup -d {d}; rm -f $f"))));
}

#[test]
fn a_power_cut_before_any_step_of_a_conversion_costs_no_data() {
    if !no_lockless() {
        cut_at_each_step("-l1 -n2", 2, ("internal", "lockless"));
        cut_at_each_step("-l1 -n2", 2, ("lockless", "none"));
        cut_at_each_step("-l5 -n3 -c64", 3, ("lockless", "internal"));
    }
}

/// Two pages are free on each side of the log, where the bitmap and its slack take two in one piece: the log has to move.
#[test]
fn an_empty_bad_block_log_in_the_middle_of_the_room_is_moved_and_works_there() {
    use std::os::unix::fs::FileExt;
    if no_lockless() {
        return;
    }
    let disks = vm::disks(2, 24 * MIB);
    let all = disks.join(" ");
    vm::reference(&format!("--create /dev/md0 --run --assume-clean --bitmap=none --data-offset=24K -l1 -n2 {all}"))
        .ok();
    mdadm("--stop /dev/md0").ok();
    for disk in &disks {
        let file = std::fs::OpenOptions::new().read(true).write(true).open(disk).unwrap();
        let mut bytes = [0; mdadm::superblock::v1::SUPER_BYTES];
        file.read_exact_at(&mut bytes, 4096).unwrap();
        let mut sb = mdadm::superblock::v1::SuperV1::from_bytes(&bytes).unwrap();
        sb.set_bblog_offset(20);
        sb.update_csum();
        file.write_all_at(sb.bytes(), 4096).unwrap();
        file.sync_all().unwrap();
    }
    mdadm(&format!("--assemble /dev/md0 {all}")).ok();
    write_pattern("/dev/md0", 0, DATA, 7);
    let out = mdadm("--grow /dev/md0 --bitmap=lockless");
    assert!(out.status == 1 && out.stderr.contains("--update=bitmap=lockless"), "{out:?}");
    mdadm("--stop /dev/md0").ok();
    let plan = mdadm(&format!("--assemble /dev/md0 --update=bitmap=lockless --plan {all}")).ok().stdout;
    assert!(plan.contains("its empty bad-block log moved"), "{plan}");
    mdadm(&format!("--assemble /dev/md0 --update=bitmap=lockless --saved-metadata=none {all}")).ok();
    let said = mdadm(&format!("-E {}", disks[1])).ok().stdout;
    assert!(said.contains("512 entries available at offset 32 sectors") && !said.contains("Fault"), "{said}");
    // What is in it from now on is there after a start, and the states are.
    let bad = format!("/sys/block/md0/md/dev-{}/bad_blocks", &disks[1][5..]);
    sh(&format!("echo '20000 8' > {bad}"));
    write_pattern("/dev/md0", 0, MIB, 7);
    mdadm("--stop /dev/md0").ok();
    mdadm(&format!("--assemble /dev/md0 {all}")).ok();
    assert_eq!(sh(&format!("cat {bad}")), "20000 8\n");
    assert!(attr("md0", "llbitmap/bits").starts_with("unwritten 0\n"));
    assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);
    mdadm("--stop /dev/md0").ok();
}
