//! Journals and partial parity logs on a real kernel: what the kernel makes of what ours writes, and what must not be lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use vm::{MIB, attr, disks, mdadm, mdstat, reference, set_attr, sh, verify_pattern, write_pattern};

/// The kernel's log since the last call with the same word.
fn log() -> String {
    sh("dmesg -c")
}

fn stop() {
    mdadm("--stop /dev/md0").ok();
}

/// A raid5 on the first three disks with its journal on the fourth, and a pattern on it.
fn journalled(disks: &[String], how: &str) {
    let list = disks[..3].join(" ");
    mdadm(&format!("--create /dev/md0 -q -R --assume-clean -l5 -n3 {how} --write-journal={} {list}", disks[3])).ok();
    write_pattern("/dev/md0", 0, 4 * MIB, 1);
}

/// What stands on the device, read past every cache.
fn hash(paths: &[String]) -> String {
    sh(&format!("sync; echo 3 > /proc/sys/vm/drop_caches; cat {} | sha256sum", paths.join(" ")))
}

/// The state in which the power would leave the disks now, put back on them once the array is stopped.
fn power_cut(disks: &[String]) {
    let files: Vec<String> =
        disks.iter().map(|d| sh(&format!("losetup -nO BACK-FILE {d}")).trim().to_owned()).collect();
    // let the superblocks be written: they are not copied at once
    std::thread::sleep(std::time::Duration::from_millis(500));
    sh("sync");
    for file in &files {
        sh(&format!("cp {file} {file}.cut"));
    }
    stop();
    for (disk, file) in disks.iter().zip(&files) {
        sh(&format!("dd if={file}.cut of={disk} bs=1M oflag=direct status=none && rm {file}.cut"));
    }
}

#[test]
fn the_kernel_takes_the_empty_journal_and_the_empty_ppl_for_what_they_are() {
    let disks = disks(4, 24 * MIB);
    for meta in ["1.0", "1.1", "1.2"] {
        log();
        journalled(&disks, &format!("-e {meta}"));
        let said = log();
        assert!(said.contains("starting from clean shutdown"), "{meta}: {said}");
        assert_eq!(attr("md0", "consistency_policy"), "journal");
        stop();
        let list = disks[..3].join(" ");
        mdadm(&format!("--create /dev/md0 -q -R --assume-clean -e {meta} -l5 -n3 -k ppl {list}")).ok();
        assert_eq!(attr("md0", "consistency_policy"), "ppl", "{meta}");
        write_pattern("/dev/md0", 0, 4 * MIB, 2);
        mdadm(&format!("--manage /dev/md0 --add {}", disks[3])).ok();
        mdadm(&format!("--manage /dev/md0 --fail {0}", disks[0])).ok();
        vm::wait_until(std::time::Duration::from_secs(60), "rebuilt", || attr("md0", "degraded") == "0");
        let said = log();
        assert!(!said.to_lowercase().contains("ppl"), "{meta}: {said}");
        stop();
        reference(&format!("--assemble /dev/md0 {}", disks[1..].join(" "))).ok();
        assert_eq!(verify_pattern("/dev/md0", 0, 4 * MIB, 2), [0; 0], "{meta}");
        stop();
    }
}

#[test]
fn what_the_kernel_would_not_start_is_refused_before_anything_is_written() {
    let disks = disks(4, 16 * MIB);
    let before = hash(&disks);
    let list = disks[..3].join(" ");
    let journal = &disks[3];
    for (words, why) in [
        (format!("-l5 -n3 -b internal --write-journal={journal} {list}"), "a journal and a bitmap cannot be together"),
        (format!("-l5 -n3 -b lockless --write-journal={journal} {list}"), "cannot be used with a journal"),
        (format!("-l5 -n3 -b none --write-journal=missing {list}"), "a new array needs its journal"),
        (format!("-l5 -n3 -b none --write-journal={} {list}", disks[0]), "is listed twice"),
        (format!("-l5 -n3 -b none -k ppl -e 1.2 --data-offset=1M {list}"), "leaves no room for the metadata"),
        (format!("-l5 -n65 -b none -k ppl {list}{}", " missing".repeat(62)), "at most 64 raid-devices"),
        (format!("-l5 -n204 -b none --write-journal={journal} {list}{}", " missing".repeat(201)), "at most 203"),
    ] {
        let out = mdadm(&format!("--create /dev/md0 -R {words}"));
        assert!(out.status != 0 && out.stderr.contains(why), "{words}: {}", out.stderr);
    }
    assert_eq!(hash(&disks), before);
    let small = vm::disk(MIB + 32 * 1024);
    let out = mdadm(&format!("--create /dev/md0 -R -l5 -n3 -c 64 --data-offset=1M --write-journal={small} {list}"));
    assert!(out.status == 1 && out.stderr.contains("too small for a journal: 32K of at least 64K"), "{}", out.stderr);
    assert_eq!(hash(&disks), before);
    assert!(!mdstat().contains("md0"));
}

#[test]
fn a_plan_of_either_writes_nothing_and_offline_writes_what_a_kernel_starts() {
    let disks = disks(4, 16 * MIB);
    let before = hash(&disks);
    let (list, all) = (disks[..3].join(" "), disks.join(" "));
    let journal = format!("--create /dev/md0 -R --assume-clean -l5 -n3 --write-journal={} {list}", disks[3]);
    let planned = mdadm(&format!("{journal} --plan")).ok().stdout;
    assert!(planned.contains("empty journal") && planned.contains("superblock, journal"), "{planned}");
    let ppl = format!("--create /dev/md0 -R --assume-clean -l5 -n3 -k ppl {list}");
    let planned = mdadm(&format!("{ppl} --plan --json")).ok().stdout;
    assert!(planned.contains("empty partial parity log"), "{planned}");
    assert_eq!(hash(&disks), before);
    for line in [journal, ppl] {
        mdadm(&format!("{line} --offline")).ok();
        let (members, policy) = if line.contains("ppl") { (&list, "ppl") } else { (&all, "journal") };
        reference(&format!("--assemble /dev/md0 {members}")).ok();
        assert_eq!(attr("md0", "consistency_policy"), policy);
        stop();
    }
}

#[test]
fn a_stale_journal_is_never_replayed() {
    let disks = disks(5, 24 * MIB);
    let (old, new) = (&disks[3], &disks[4]);
    // where discards are lost, what was logged once stays there
    for journal in [old, new] {
        sh(&format!("echo 0 > /sys/block/{}/queue/discard_max_bytes", journal.trim_start_matches("/dev/")));
    }
    journalled(&disks, "");
    mdadm("--readonly /dev/md0").ok();
    // without an update of any superblock: the members still know the old one by its number
    let out = mdadm(&format!("--manage /dev/md0 --fail {old} --remove {old} --add-journal {new}")).ok();
    assert!(out.stderr.contains("Journal added successfully, making /dev/md0 read-write"), "{}", out.stderr);
    write_pattern("/dev/md0", 0, 4 * MIB, 2);
    // it is older, and it is another one's place
    let members = disks[..3].join(" ");
    stop();
    for both in [format!("{old} {new} {members}"), format!("{members} {new} {old}")] {
        let out = mdadm(&format!("--assemble /dev/md0 {both}")).ok();
        assert!(out.stderr.contains(&format!("{old} is a journal, and out of date")), "{}", out.stderr);
        assert_eq!(verify_pattern("/dev/md0", 0, 4 * MIB, 2), [0; 0]);
        stop();
    }
    let out = mdadm(&format!("--assemble /dev/md0 {old} {members}"));
    assert!(
        out.status == 1 && out.stderr.contains("Not safe to assemble with missing or stale journal"),
        "{}",
        out.stderr
    );
    mdadm(&format!("--assemble --force /dev/md0 {old} {members}")).ok();
    assert_eq!(
        (attr("md0", "array_state").as_str(), attr("md0", "consistency_policy").as_str()),
        ("readonly", "journal")
    );
    let out = mdadm("--readwrite /dev/md0");
    assert!(out.status == 1 && out.stderr.contains("has lost its journal"), "{}", out.stderr);
    let out = mdadm(&format!("/dev/md0 --re-add {old}"));
    assert!(out.status == 1 && out.stderr.contains("--re-add for"), "{}", out.stderr);
    assert!(out.stderr.contains("does not know it any more") || out.stderr.contains("out of date"), "{}", out.stderr);
    // made a new one, it holds nothing
    mdadm(&format!("/dev/md0 --add-journal {old}")).ok();
    assert_eq!(verify_pattern("/dev/md0", 0, 4 * MIB, 2), [0; 0]);
    stop();
    mdadm(&format!("--assemble /dev/md0 {old} {members}")).ok();
    assert_eq!(verify_pattern("/dev/md0", 0, 4 * MIB, 2), [0; 0]);
    stop();
}

#[test]
fn a_journal_that_was_left_out_comes_back_with_what_it_holds() {
    let disks = disks(4, 24 * MIB);
    for op in ["--re-add", "--add-journal"] {
        journalled(&disks, "");
        set_attr("md0", "journal_mode", "write-back");
        // parity of a single block is not computed at once: the journal alone has it
        write_pattern("/dev/md0", 64 * 1024, 4096, 7);
        power_cut(&disks);
        mdadm(&format!("--assemble --force /dev/md0 {}", disks[..3].join(" "))).ok();
        let without = verify_pattern("/dev/md0", 64 * 1024, 4096, 7);
        assert!(!without.is_empty(), "the journal holds nothing that the members have not");
        let refused = mdadm(&format!("/dev/md0 --add {}", disks[3]));
        assert!(refused.status == 1 && refused.stderr.contains("read-only without its journal"), "{}", refused.stderr);
        let planned = mdadm(&format!("/dev/md0 --plan {op} {}", disks[3])).ok().stdout;
        assert!(!planned.contains("write"), "{planned}");
        let out = mdadm(&format!("/dev/md0 {op} {}", disks[3])).ok();
        assert!(out.stderr.contains("Journal added successfully"), "{}", out.stderr);
        sh("echo 3 > /proc/sys/vm/drop_caches");
        assert_eq!(verify_pattern("/dev/md0", 64 * 1024, 4096, 7), [0; 0], "{op}");
        assert_eq!(verify_pattern("/dev/md0", MIB, 3 * MIB, 1), [0; 0]);
        stop();
    }
}

#[test]
fn a_journal_is_not_added_where_the_kernel_would_break_the_array() {
    let disks = disks(4, 16 * MIB);
    let list = disks[..3].join(" ");
    for (words, why) in [
        ("-l5 -n3 -k ppl", "a journal and a partial parity log"),
        ("-l5 -n3 -b internal", "a journal and a bitmap"),
        ("-l1 -n3 -b none", "a raid1 array takes no journal"),
    ] {
        mdadm(&format!("--create /dev/md0 -q -R --assume-clean {words} {list}")).ok();
        mdadm("--readonly /dev/md0").ok();
        let before = hash(&disks[3..]);
        let out = mdadm(&format!("/dev/md0 --add-journal {}", disks[3]));
        let line = format!("mdadm: Failed to hot add {} as journal, please try restart /dev/md0.", disks[3]);
        assert!(out.status == 1 && out.stderr.starts_with(&line) && out.stderr.contains(why), "{}", out.stderr);
        assert_eq!((hash(&disks[3..]), attr("md0", "array_state").as_str()), (before, "readonly"));
        stop();
    }
}

#[test]
fn force_leaves_a_ppl_to_do_its_work() {
    let disks = disks(3, 24 * MIB);
    mdadm(&format!("--create /dev/md0 -q -R --assume-clean -l5 -n3 -k ppl {}", disks.join(" "))).ok();
    set_attr("md0", "safe_mode_delay", "100");
    write_pattern("/dev/md0", 0, 4 * MIB, 3);
    power_cut(&disks);
    let two = disks[..2].join(" ");
    let out = mdadm(&format!("--assemble /dev/md0 {two}"));
    assert!(out.status == 1 && out.stderr.contains("need all 3 to start it"), "{}", out.stderr);
    log();
    let out = mdadm(&format!("--assemble --force /dev/md0 {two}")).ok();
    // marked clean, the log would not be looked at
    assert!(!out.stderr.contains("as 'clean'"), "{}", out.stderr);
    let said = log();
    assert!(said.contains("starting dirty degraded array with PPL"), "{said}");
    assert_eq!(verify_pattern("/dev/md0", 0, 4 * MIB, 3), [0; 0]);
    stop();
}

#[test]
fn the_uuid_of_an_array_whose_log_is_needed_stays() {
    let disks = disks(4, 24 * MIB);
    journalled(&disks, "");
    stop();
    let before = hash(&disks);
    let all = disks.join(" ");
    let out = mdadm(&format!("--assemble --update=uuid /dev/md0 {all}"));
    assert!(out.status == 1 && out.stderr.contains("what the array's journal holds would be lost"), "{}", out.stderr);
    assert_eq!(hash(&disks), before);
}

#[test]
fn ensure_knows_an_array_with_a_journal() {
    let disks = disks(4, 16 * MIB);
    let line = format!(
        "--create /dev/md0 --ensure -q --assume-clean -l5 -n3 --write-journal={} {}",
        disks[3],
        disks[..3].join(" ")
    );
    mdadm(&line).ok();
    write_pattern("/dev/md0", 0, MIB, 5);
    mdadm(&line).ok();
    stop();
    mdadm(&line).ok();
    assert_eq!((attr("md0", "consistency_policy").as_str(), attr("md0", "degraded").as_str()), ("journal", "0"));
    assert_eq!(verify_pattern("/dev/md0", 0, MIB, 5), [0; 0]);
    stop();
}
