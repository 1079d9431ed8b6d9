//! `--detail` on real arrays: every byte, exit status and message as the reference has them in the same guest.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use std::time::Duration;

use vm::{MIB, Output, mdadm, reference, sh};

/// What `--detail` is asked in each situation.
const QUESTIONS: [&str; 8] = [
    "--detail",
    "--detail --test",
    "--detail --brief",
    "--detail --brief --verbose",
    "--detail --export",
    "--detail --no-devices",
    "--detail --no-devices --export",
    "--detail --brief --prefer=by-id",
];

/// Both answers; asked again where a resync moved on between the two.
fn both(line: &str) -> (Output, Output) {
    for _ in 0..5 {
        let (theirs, ours) = (reference(line), mdadm(line));
        if theirs == ours || reference(line) == theirs {
            return (ours, theirs);
        }
    }
    panic!("the answer to {line} changes all the time");
}

#[track_caller]
fn same(array: &str) {
    for question in QUESTIONS {
        let (ours, theirs) = both(&format!("{question} {array}"));
        let text = without_ours(&ours.stdout);
        assert_eq!(text, theirs.stdout, "{question} {array}: ours, then the reference's");
        assert_eq!((ours.status, ours.stderr), (theirs.status, theirs.stderr), "{question} {array}");
    }
    for question in ["--detail --scan", "--detail --scan --verbose", "--detail --scan --export", "--detail --scan -vv"]
    {
        let (mut ours, theirs) = both(question);
        ours.stdout = without_ours(&ours.stdout);
        assert_eq!(ours, theirs, "{question}");
    }
}

/// What the reference does not say: why a link is called as it is, and how a reshape stands.
const OURS: [&str; 4] =
    ["      Name Because : ", "  Reshape Position : ", "  Critical Section : ", "     Reshape Waits : "];

/// Without the lines that the reference does not have.
fn without_ours(text: &str) -> String {
    text.split_inclusive('\n').filter(|l| !OURS.iter().any(|o| l.starts_with(o))).collect()
}

fn create(args: &str) {
    sh("hostname myhost");
    vm::reference(&format!("--create /dev/md0 --run --quiet {args}")).ok();
}

/// Stops /dev/md0 and forgets what is on the disks, whatever state it is in.
fn stop(disks: &[String]) {
    sh(
        "for i in 1 2 3 4 5; do [ ! -e /sys/block/md0 ] || echo idle > /sys/block/md0/md/sync_action || true; done 2>/dev/null",
    );
    reference("--stop /dev/md0").ok();
    reference(&format!("--zero-superblock {}", disks.join(" ")));
}

#[test]
fn every_level_and_layout_is_shown_as_by_the_reference() {
    let disks = vm::disks(5, 40 * MIB);
    let [a, b, c, d, e] = &disks[..] else { panic!() };
    for args in [
        format!("-l0 -n2 --chunk=64 {a} {b}"),
        format!("-llinear -n2 {a} {b}"),
        format!("-l1 -n2 --assume-clean --bitmap=none {a} {b}"),
        format!("-l1 -n2 -x2 --assume-clean --bitmap=internal {a} {b} {c} {d}"),
        format!("-l4 -n3 -x1 --assume-clean --bitmap=none {a} {b} {c} {d}"),
        format!("-l5 -n3 --layout=right-asymmetric --assume-clean --bitmap=internal {a} {b} {c}"),
        format!("-l5 -n4 --assume-clean --bitmap=none --metadata=1.0 --homehost=other {a} {b} missing {c}"),
        format!(
            "-l6 -n5 --layout=left-asymmetric-6 --chunk=64 --assume-clean --bitmap=none --metadata=1.1 {a} {b} {c} {d} {e}"
        ),
        format!("-l10 -n4 --layout=n2 --assume-clean --bitmap=internal {a} {b} {c} {d}"),
        format!("-l10 -n4 --layout=f2 --assume-clean --bitmap=none {a} {b} {c} {d}"),
        format!("-l10 -n3 --layout=o2 -x1 --assume-clean --bitmap=none {a} {b} {c} {d}"),
        format!("-l1 -n2 --write-mostly --failfast {b} {a} --assume-clean --bitmap=internal --name=x:y"),
        format!("-l5 -n3 -x1 --consistency-policy=ppl --assume-clean {a} {b} {c} {d}"),
        format!("-l5 -n3 --write-journal={d} --assume-clean {a} {b} {c}"),
    ] {
        create(&args);
        same("/dev/md0");
        stop(&disks);
    }
}

#[test]
fn failed_removed_and_replaced_members_are_shown_as_by_the_reference() {
    let disks = vm::disks(5, 40 * MIB);
    let [a, b, c, d, e] = &disks[..] else { panic!() };
    create(&format!("-l1 -n2 --write-mostly --failfast --assume-clean --bitmap=none {a} {b}"));
    reference(&format!("/dev/md0 --fail {a}")).ok();
    same("/dev/md0");
    reference(&format!("/dev/md0 --add-spare --write-mostly {c}")).ok();
    reference(&format!("/dev/md0 --add-spare --failfast {d}")).ok();
    vm::wait_sync("md0");
    same("/dev/md0");
    reference(&format!("/dev/md0 --remove {a}")).ok();
    same("/dev/md0");
    stop(&disks);
    create(&format!("-l6 -n4 --assume-clean --bitmap=none {a} {b} {c} {d}"));
    reference(&format!("/dev/md0 --fail {a} {b}")).ok();
    same("/dev/md0");
    stop(&disks);
    create(&format!("-l5 -n3 --assume-clean --bitmap=none {a} {b} {c}"));
    reference(&format!("/dev/md0 --fail {a}")).ok();
    sh(&format!("echo faulty > /sys/block/md0/md/dev-{}/state || true", b.trim_start_matches("/dev/")));
    same("/dev/md0");
    stop(&disks);
    create(&format!("-l10 -n4 --assume-clean --bitmap=none {a} {b} {c} {d}"));
    reference(&format!("/dev/md0 --fail {a}")).ok();
    sh(&format!("echo faulty > /sys/block/md0/md/dev-{}/state || true", b.trim_start_matches("/dev/")));
    same("/dev/md0");
    stop(&disks);
    vm::sync_speed(50, 100);
    create(&format!("-l5 -n3 -x2 --assume-clean --bitmap=none {a} {b} {c} {d} {e}"));
    reference(&format!("/dev/md0 --replace {b}")).ok();
    same("/dev/md0");
    vm::wait_sync("md0");
    same("/dev/md0");
    stop(&disks);
}

#[test]
fn a_resync_recovery_check_or_reshape_is_shown_as_by_the_reference() {
    let disks = vm::disks(5, 40 * MIB);
    let [a, b, c, d, e] = &disks[..] else { panic!() };
    vm::sync_speed(20, 30);
    create(&format!("-l1 -n2 --bitmap=none {a} {b}"));
    same("/dev/md0");
    reference(&format!("--create /dev/md1 --run -q -l1 -n2 --bitmap=none {c} {d}")).ok();
    sh("[ $(grep -c resync /proc/mdstat) = 2 ]");
    same("/dev/md0");
    same("/dev/md1");
    reference("--stop /dev/md1").ok();
    stop(&disks);
    create(&format!("-l1 -n2 --assume-clean --bitmap=none {a} {b}"));
    for action in ["check", "repair"] {
        vm::set_attr("md0", "sync_action", action);
        same("/dev/md0");
        vm::set_attr("md0", "sync_action", "idle");
    }
    stop(&disks);
    create(&format!("-l5 -n3 -x1 --assume-clean --bitmap=none {a} {b} {c} {d}"));
    reference(&format!("/dev/md0 --fail {b}")).ok();
    same("/dev/md0");
    vm::set_attr("md0", "sync_action", "frozen");
    same("/dev/md0");
    stop(&disks);
    create(&format!("-l5 -n3 -x2 --assume-clean --bitmap=none {a} {b} {c} {d} {e}"));
    reference("--grow /dev/md0 -n5 --quiet").ok();
    same("/dev/md0");
    vm::wait_sync("md0");
    stop(&disks);
    for change in ["--chunk=64", "--layout=right-symmetric"] {
        vm::sync_speed(1_000_000, 2_000_000);
        create(&format!("-l5 -n3 --assume-clean --bitmap=none {a} {b} {c}"));
        vm::sync_speed(20, 30);
        reference(&format!("--grow /dev/md0 {change} --quiet --backup-file=/mnt/backup{}", change.len()));
        same("/dev/md0");
        vm::wait_sync("md0");
        stop(&disks);
    }
}

#[test]
fn a_pending_resync_and_read_only_are_shown_as_by_the_reference() {
    let disks = vm::disks(2, 40 * MIB);
    create(&format!("-l1 -n2 --bitmap=none {} {}", disks[0], disks[1]));
    vm::wait_sync("md0");
    reference("--readonly /dev/md0").ok();
    same("/dev/md0");
    stop(&disks);
    vm::sync_speed(20, 30);
    create(&format!("-l1 -n2 --bitmap=none {} {}", disks[0], disks[1]));
    reference("--stop /dev/md0").ok();
    sh("echo 1 > /sys/module/md_mod/parameters/start_ro");
    reference(&format!("--assemble /dev/md0 {} {}", disks[0], disks[1])).ok();
    assert_eq!(vm::attr("md0", "array_state"), "read-auto");
    same("/dev/md0");
    stop(&disks);
}

#[test]
fn a_raid0_whose_member_was_pulled_is_broken() {
    sh("hostname myhost; echo 1 > /sys/bus/pseudo/drivers/scsi_debug/add_host");
    vm::wait_until(Duration::from_secs(20), "a disk of scsi_debug", || std::fs::exists("/dev/sda").unwrap());
    let disk = vm::disk(40 * MIB);
    reference(&format!("--create /dev/md0 --run --quiet -l0 -n2 /dev/sda {disk}")).ok();
    same("/dev/md0");
    sh(
        "echo 1 > /sys/block/sda/device/delete; sleep 0.3; dd if=/dev/zero of=/dev/md0 oflag=direct bs=64k count=30 2>/dev/null || true",
    );
    assert_eq!(vm::attr("md0", "array_state"), "broken");
    same("/dev/md0");
    assert_eq!(mdadm("--detail --test /dev/md0").status, 2);
}

#[test]
fn with_test_an_export_too_ends_as_the_array_stands() {
    let disks = vm::disks(3, 40 * MIB);
    create(&format!("-l5 -n3 --assume-clean --bitmap=none {}", disks.join(" ")));
    let statuses =
        || ["--export --test", "--export", "--test"].map(|w| mdadm(&format!("--detail {w} /dev/md0")).status);
    assert_eq!(statuses(), [0, 0, 0]);
    reference(&format!("/dev/md0 --fail {}", disks[0])).ok();
    assert_eq!(statuses(), [1, 0, 1]);
    assert_eq!(reference("--detail --export --test /dev/md0").status, 0, "the reference says so now: docs/compat.md");
}

/// Ours without the lines that say why the array does not run.
fn without_reasons(text: &str) -> String {
    text.lines().filter(|l| !l.starts_with("       Not Started : ") && !l.starts_with("         Next Step : ")).fold(
        String::new(),
        |mut all, line| {
            all.push_str(line);
            all.push('\n');
            all
        },
    )
}

#[test]
fn an_inactive_array_keeps_the_lines_of_the_reference_and_says_why() {
    let disks = vm::disks(5, 40 * MIB);
    create(&format!("-l5 -n5 --assume-clean --bitmap=none {}", disks.join(" ")));
    reference("--stop /dev/md0").ok();
    for (n, disk) in [3usize, 0, 4, 1].into_iter().map(|n| &disks[n]).enumerate() {
        reference(&format!("--incremental --quiet {disk}"));
        for question in QUESTIONS {
            let (ours, theirs) = both(&format!("{question} /dev/md0"));
            assert_eq!(without_reasons(&ours.stdout), theirs.stdout, "{question}");
            assert_eq!((ours.status, ours.stderr), (theirs.status, theirs.stderr), "{question}");
        }
        let text = mdadm("--detail /dev/md0").ok().stdout;
        let here = format!("       Not Started : {} of 5 up-to-date members are here (missing: slot ", n + 1);
        assert!(text.contains(&here), "{text}");
        assert_eq!(text.contains("Next Step : mdadm --run /dev/md0\n"), n == 3, "{text}");
    }
    for question in ["--detail --scan", "--detail --scan --verbose", "--detail --scan --export"] {
        let (ours, theirs) = both(question);
        assert_eq!(ours, theirs, "{question}");
    }
    reference("--stop /dev/md0").ok();
}

#[test]
fn names_links_and_partitions_are_shown_as_by_the_reference() {
    let disks = vm::disks(4, 40 * MIB);
    let [a, b, c, d] = &disks[..] else { panic!() };
    sh("hostname myhost");
    reference(&format!("--create /dev/md/foo --run -q -l1 -n2 --assume-clean --bitmap=none {a} {b}")).ok();
    reference(&format!("--create bar --run -q -l1 -n2 --assume-clean --bitmap=none --homehost=other {c} {d}")).ok();
    for path in ["/dev/md/foo", "/dev/md127", "/dev/md/bar", "/dev/md126"] {
        same(path);
    }
    same("/dev/md/foo --homehost=other /dev/md/bar");
    same("/dev/md/foo /dev/nosuch /dev/md/bar");
    sh(&format!("mkdir -p /dev/disk/by-id; ln -s {a} /dev/disk/by-id/zz; ln -s {b} /dev/l"));
    same("/dev/md/foo");
    sh("rm -f /run/mdadm/map /dev/l");
    let ours = mdadm("--detail --scan --export").ok();
    assert!(!std::path::Path::new("/run/mdadm/map").exists(), "a reading command wrote");
    assert_eq!(ours, reference("--detail --scan --export"));
    sh("rm -f /run/mdadm/map /dev/md/*");
    let because = "made for host other, which is not this one";
    assert!(mdadm("--detail /dev/md126").stdout.contains(because));
    assert!(mdadm("--detail --json /dev/md126").stdout.contains(because));
    assert!(!mdadm("--detail /dev/md127").stdout.contains("Because"));
    let ours = mdadm("--detail --scan --export").ok();
    assert_eq!(ours, reference("--detail --scan --export"));
    same("/dev/md127");
    sh("printf 'label: gpt\\n,10M\\n' | sfdisk -q /dev/md127; ls /dev/md127p1");
    same("/dev/md127p1");
    for wrong in ["/dev/nosuch", "/dev", "/dev/tty", a, "/mnt/disk0", "md127", "/dev/loop-control"] {
        same(wrong);
    }
    sh("echo md9 > /sys/module/md_mod/parameters/new_array");
    for question in QUESTIONS {
        let (ours, theirs) = both(&format!("{question} /dev/md9"));
        assert_eq!(ours, theirs, "{question}");
    }
}

#[test]
fn a_lockless_bitmap_is_told_with_its_states() {
    if vm::lockless_is_refused() {
        return;
    }
    let disks = vm::disks(3, 40 * MIB);
    create(&format!("-l5 -n3 --bitmap=lockless --assume-clean {}", disks.join(" ")));
    vm::write_pattern("/dev/md0", 0, MIB, 1);
    // The write is over for the kernel a moment later: its events would differ between the two.
    vm::wait_until(Duration::from_secs(20), "the array is clean", || vm::attr("md0", "array_state") == "clean");
    let theirs = reference("--detail /dev/md0").ok().stdout;
    let ours = mdadm("--detail /dev/md0").ok().stdout;
    let added: Vec<&str> = ours.lines().filter(|l| l.trim_start().starts_with("Bitmap ")).collect();
    assert_eq!(added[..3], ["       Bitmap Type : lockless", "      Bitmap Chunk : 64K", "     Bitmap Chunks : 608"]);
    assert_eq!(added.len(), 5, "{ours}");
    let rest: Vec<&str> = ours.lines().filter(|l| !l.trim_start().starts_with("Bitmap ")).collect();
    assert_eq!(rest, theirs.lines().collect::<Vec<_>>());
    let export = mdadm("--detail --export /dev/md0").ok().stdout;
    assert_eq!(export.replace("MD_BITMAP_TYPE=lockless\n", ""), reference("--detail --export /dev/md0").stdout);
    assert!(export.contains("\nMD_BITMAP_TYPE=lockless\n"));
    assert_eq!(mdadm("--detail --brief /dev/md0"), reference("--detail --brief /dev/md0"));
    let json = mdadm("--detail --json /dev/md0").ok().stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let bits = vm::attr("md0", "llbitmap/bits");
    for line in bits.lines() {
        let (name, count) = line.rsplit_once(' ').unwrap();
        assert_eq!(json[0]["bitmap"]["states"][name.replace(' ', "_")].to_string(), count, "{bits}");
    }
    assert_eq!(json[0]["bitmap"]["chunk_bytes"], 65536);
    assert_eq!(json[0]["members"].as_array().unwrap().len(), 3);
}

/// What we print and return, against the reference's, where it may print less: our further lines say why.
#[track_caller]
fn same_and_maybe_more(line: &str, before: &str) {
    sh(before);
    let theirs = reference(line);
    sh(before);
    let ours = mdadm(line);
    assert_eq!((ours.status, &ours.stdout), (theirs.status, &theirs.stdout), "{line}: {}", ours.stderr);
    // "failed to write 'read-auto' to ..." is how the reference works, not what went wrong.
    let wanted = theirs.stderr.lines().filter(|l| !l.contains("failed to write '"));
    let mut printed = ours.stderr.lines();
    for line in wanted {
        assert!(printed.any(|l| l == line), "{line}: {}\nthe reference: {}", ours.stderr, theirs.stderr);
    }
}

#[test]
fn read_only_read_write_and_run_answer_as_the_reference() {
    let disks = vm::disks(3, 40 * MIB);
    create(&format!("-l5 -n3 --assume-clean --bitmap=none {}", disks.join(" ")));
    let rw = "echo clean > /sys/block/md0/md/array_state || true";
    let ro = "echo readonly > /sys/block/md0/md/array_state || true";
    for line in
        ["-o /dev/md0", "-o md0", "-w /dev/md0", "-R /dev/md0", "--manage --run /dev/md0", "-o /dev/md0 /dev/nosuch"]
    {
        same_and_maybe_more(line, rw);
        same_and_maybe_more(line, ro);
    }
    sh(rw);
    mdadm("-o /dev/md0").ok();
    assert_eq!(vm::attr("md0", "array_state"), "readonly");
    assert!(mdadm("-o /dev/md0").stderr.ends_with("mdadm: /dev/md0 is read-only already\n"));
    mdadm("--readwrite md0").ok();
    assert_eq!(vm::attr("md0", "array_state"), "clean");
    sh("mkfs.ext4 -q /dev/md0 && mkdir /mnt/x && mount /dev/md0 /mnt/x");
    same_and_maybe_more("-o /dev/md0", ":");
    assert!(mdadm("-o /dev/md0").stderr.contains("mdadm: /dev/md0 is mounted on /mnt/x\n"));
    sh("umount /mnt/x");
    for wrong in ["/dev/nosuch", "/dev", "/mnt/disk0", &disks[0], "nosuch", "md9x"] {
        for verb in ["-o", "-w", "-R"] {
            same_and_maybe_more(&format!("{verb} {wrong}"), ":");
        }
    }
    reference("--stop /dev/md0").ok();
    reference(&format!("--incremental --quiet {}", disks[0]));
    for verb in ["-o", "-w", "-R", "-q -R"] {
        same_and_maybe_more(&format!("{verb} /dev/md0"), ":");
    }
    let refused = mdadm("-R /dev/md0").stderr;
    assert!(refused.contains("the kernel says: md/raid:md0: not enough operational devices (2/3 failed)"), "{refused}");
    let again = format!(
        "mdadm() {{ {} \"$@\"; }}; mdadm -q -S /dev/md0; for d in {} {}; do mdadm -q -I $d; done",
        vm::reference_path(),
        disks[0],
        disks[1]
    );
    same_and_maybe_more("-R /dev/md0", &again);
    assert_eq!(vm::attr("md0", "array_state"), "read-auto");
    same_and_maybe_more("-q -R md0", &again);
}

#[test]
fn an_array_with_a_lockless_bitmap_runs_with_it() {
    if vm::lockless_is_refused() {
        return;
    }
    let disks = vm::disks(3, 40 * MIB);
    create(&format!("-l5 -n3 --bitmap=lockless --assume-clean {}", disks.join(" ")));
    reference("--stop /dev/md0").ok();
    reference(&format!("--incremental --quiet {}", disks[0]));
    reference(&format!("--incremental --quiet {}", disks[2]));
    assert_eq!(vm::attr("md0", "bitmap_type"), "none [bitmap] llbitmap");
    assert_eq!(mdadm("--run /dev/md0").ok().stderr, "mdadm: started array /dev/md/0\n");
    assert_eq!(vm::attr("md0", "bitmap_type"), "none bitmap [llbitmap]");
    assert!(mdadm("-D /dev/md0").ok().stdout.contains("Bitmap Type : lockless"));
}

#[test]
fn waiting_ends_with_the_resync_and_says_whether_there_was_one() {
    let disks = vm::disks(2, 40 * MIB);
    let d = disks.join(" ");
    create(&format!("-l1 -n2 --bitmap=none --assume-clean {d}"));
    for line in ["-W /dev/md0", "--wait-clean /dev/md0", "--wait-clean --scan", "-W --scan", "-W"] {
        assert_eq!(mdadm(line), reference(line), "{line}");
    }
    for wrong in ["/dev/nosuch", "/dev", "/mnt/disk0", &disks[0], "md0"] {
        for verb in ["-W", "--wait-clean"] {
            let line = format!("{verb} {wrong}");
            assert_eq!(mdadm(&line), reference(&line), "{line}");
        }
    }
    stop(&disks);
    vm::sync_speed(20, 30);
    create(&format!("-l1 -n2 --bitmap=none {d}"));
    let start = std::time::Instant::now();
    sh(
        "(sleep 1; echo 900000 > /proc/sys/dev/raid/speed_limit_max; echo 900000 > /proc/sys/dev/raid/speed_limit_min) >/dev/null 2>&1 &",
    );
    assert_eq!(mdadm("--wait /dev/md0").status, 0);
    assert!(start.elapsed().as_millis() > 900);
    assert_eq!(vm::attr("md0", "resync_start"), "none");
    stop(&disks);
    // The reference waits for ever here.
    vm::sync_speed(20, 30);
    create(&format!("-l1 -n2 --bitmap=none {d}"));
    reference("-o /dev/md0").ok();
    let out = mdadm("--wait /dev/md0");
    assert!(out.status == 1 && out.stderr.contains("the resync of /dev/md0 is pending"), "{out:?}");
}

#[test]
fn arrays_without_metadata_or_with_older_are_shown_as_by_the_reference() {
    let disks = vm::disks(3, 40 * MIB);
    let [a, b, c] = &disks[..] else { panic!() };
    for build in ["-l1 -n2 --assume-clean", "-l0 -n2 --chunk=64"] {
        sh("hostname myhost");
        reference(&format!("--build /dev/md0 {build} {a} {b}")).ok();
        same("/dev/md0");
        stop(&disks);
    }
    // The host that an array of v0.90 belongs to is a hash in its uuid, which we do not compute: another host's then.
    create(&format!("-l5 -n3 -e0.90 --assume-clean --homehost=other --bitmap=internal {a} {b} {c}"));
    same("/dev/md0");
    stop(&disks);
}

#[test]
fn imsm_sets_and_their_arrays_have_the_keys_that_programs_look_for() {
    sh("hostname myhost");
    // The environment of this process: each test has one of its own.
    let env = "IMSM_NO_PLATFORM=1 IMSM_DEVNAME_AS_SERIAL=1";
    let disks = vm::disks(2, 80 * MIB).join(" ");
    let reference_program = vm::reference_path();
    sh(&format!("{env} {reference_program} --create /dev/md/imsm -e imsm --run -q -n2 {disks}"));
    sh(&format!("{env} {reference_program} --create /dev/md/vol --run -q -l1 -n2 /dev/md/imsm || true"));
    for question in
        ["--detail", "--detail --brief --verbose", "--detail --export", "--detail --no-devices", "--detail --test"]
    {
        let theirs = vm::run(
            "env",
            &[
                "IMSM_NO_PLATFORM=1",
                "IMSM_DEVNAME_AS_SERIAL=1",
                "sh",
                "-c",
                &format!("{reference_program} {question} /dev/md/imsm"),
            ],
            "",
        );
        assert_eq!(mdadm(&format!("{question} /dev/md/imsm")), theirs, "{question}");
    }
    let export = mdadm("--detail --export /dev/md/vol").ok().stdout;
    assert!(export.contains("MD_CONTAINER=/dev/md/imsm\nMD_MEMBER=0\n"), "{export}");
    assert!(mdadm("--detail /dev/md/vol").ok().stdout.contains("         Container : /dev/md/imsm, member 0\n"));
    let json: serde_json::Value =
        serde_json::from_str(&mdadm("--detail --json /dev/md/imsm /dev/md/vol").ok().stdout).unwrap();
    assert_eq!(json[0]["container_arrays"][0], "/dev/md/vol");
    assert_eq!(json[1]["container"], "/dev/md/imsm");
}

#[test]
fn sizes_past_two_tebibytes_and_disks_of_large_blocks_are_shown_as_by_the_reference() {
    let disks = vm::disks(3, 3 << 40);
    for args in ["-l1 -n2 --assume-clean --bitmap=none", "-l5 -n3 --assume-clean --bitmap=internal", "-l0 -n2"] {
        let count = if args.contains("-n3") { 3 } else { 2 };
        create(&format!("{args} {}", disks[..count].join(" ")));
        same("/dev/md0");
        stop(&disks);
    }
    let large: Vec<String> = (0..2).map(|_| vm::disk_with_blocks(40 * MIB, 4096)).collect();
    create(&format!("-l1 -n2 --assume-clean --bitmap=internal {}", large.join(" ")));
    same("/dev/md0");
    stop(&large);
}

#[test]
fn a_pipe_or_a_directory_is_no_array_and_holds_nobody_up() {
    sh("mkfifo /mnt/pipe");
    for verb in ["-D", "-o", "-w", "-R", "-S", "-W", "--wait-clean"] {
        for path in ["/mnt/pipe", "/mnt"] {
            let out = vm::run("timeout", &["5", env!("CARGO_BIN_EXE_mdadm"), verb, path], "");
            assert!(out.status == 1 || out.status == 2, "{verb} {path}: {out:?}");
            assert_eq!(out.stderr.lines().count(), 1, "{verb} {path}: {out:?}");
        }
    }
}

#[test]
fn the_status_of_several_arrays_is_that_of_the_reference() {
    let disks = vm::disks(7, 40 * MIB);
    let [a, b, c, d, e, f, g] = &disks[..] else { panic!() };
    create(&format!("-l1 -n2 --assume-clean --bitmap=none {a} {b}"));
    for (name, pair) in [("md1", format!("-l1 -n2 {c} {d}")), ("md2", format!("-l5 -n3 {e} {f} {g}"))] {
        reference(&format!("--create /dev/{name} --run -q --assume-clean --bitmap=none {pair}")).ok();
    }
    reference(&format!("/dev/md1 --fail {c}")).ok();
    reference(&format!("/dev/md2 --fail {e}")).ok();
    sh(&format!("echo faulty > /sys/block/md2/md/dev-{}/state || true", f.trim_start_matches("/dev/")));
    for arrays in [
        "/dev/md0 /dev/md1",
        "/dev/md1 /dev/md2",
        "/dev/md2 /dev/md1",
        "/dev/md2 /dev/md0",
        "/dev/md1 /dev/nosuch",
        "/dev/nosuch /dev/md2 /dev/md1",
        "/dev/md0 /dev/nosuch",
    ] {
        for verb in ["--detail --test --brief", "--detail --brief", "--wait", "--readonly", "--readwrite"] {
            let line = format!("{verb} {arrays}");
            let before = if verb == "--readwrite" { "readonly" } else { "clean" };
            let reset = format!(
                "for m in md0 md1 md2; do echo {before} > /sys/block/$m/md/array_state || true; done 2>/dev/null"
            );
            sh(&reset);
            let theirs = reference(&line);
            sh(&reset);
            assert_eq!(mdadm(&line).status, theirs.status, "{line}");
        }
    }
}
