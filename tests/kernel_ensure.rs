//! `--create --ensure` and `--ensure-absent` may be asked for again and again; `--zero-superblock` finds damaged superblocks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "vm/mod.rs"]
mod vm;

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use serde_json::Value;
use vm::{MIB, Output, attr, disks, mdadm, reference, run, sh};

/// The parts of devices where metadata lies.
fn hash(devices: &[String]) -> Vec<Vec<u8>> {
    const PART: u64 = 256 << 10;
    let read = |device: &String| {
        let mut file = File::open(device).unwrap();
        let end = file.seek(SeekFrom::End(0)).unwrap();
        let mut bytes = vec![0; 2 * PART as usize];
        let (head, tail) = bytes.split_at_mut(PART as usize);
        file.read_exact_at(head, 0).unwrap();
        file.read_exact_at(tail, end - PART).unwrap();
        bytes
    };
    devices.iter().map(read).collect()
}

/// Runs the line with `--json` and gives its report with the status.
fn report(line: &str) -> (i32, Value) {
    let out = mdadm(&format!("{line} --json"));
    let mut all: Value = serde_json::from_str(&out.stdout).unwrap_or_else(|e| panic!("{e}: {out:?}"));
    (out.status, all[0].take())
}

/// The action and whether anything changed.
fn action(line: &str) -> (i32, String, Option<bool>) {
    let (status, report) = report(line);
    (status, report["action"].as_str().unwrap().to_owned(), report["changed"].as_bool())
}

fn is(status: i32, word: &str, changed: bool) -> (i32, String, Option<bool>) {
    (status, word.into(), Some(changed))
}

/// What differs, by name; nothing is written for it.
fn differs(line: &str, members: &[String]) -> Vec<String> {
    let before = hash(members);
    let (status, report) = report(line);
    assert_eq!((status, report["action"].as_str(), report["changed"].as_bool()), (16, Some("differs"), Some(false)));
    // The kernel writes to the members of a running array by itself: then it is the program that is watched.
    assert!(vm::mdstat().contains(" active ") || hash(members) == before, "{line}");
    let words = ["-fy", "-e", "trace=pwrite64,write,ioctl", "-o", "/mnt/trace", env!("CARGO_BIN_EXE_mdadm")];
    let plain = run("strace", &words.into_iter().chain(line.split_whitespace()).collect::<Vec<_>>(), "");
    assert_eq!((plain.status, plain.stdout.as_str()), (16, ""));
    let trace = std::fs::read_to_string("/mnt/trace").unwrap();
    let changes = |l: &&str| {
        let ioctls =
            ["SET_ARRAY_INFO", "ADD_NEW_DISK", "RUN_ARRAY", "STOP_ARRAY", "HOT_REMOVE_DISK", "RESTART_ARRAY_RW"];
        l.contains("pwrite64(")
            || (l.contains("write(") && l.contains("</sys/"))
            || ioctls.iter().any(|i| l.contains(i))
    };
    assert_eq!(trace.lines().filter(changes).collect::<Vec<_>>(), [""; 0], "{line}");
    assert!(plain.stderr.contains("is not as it was asked for; nothing was changed:"), "{}", plain.stderr);
    report["differences"].as_array().unwrap().iter().map(|d| d["what"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_array_is_made_once_and_started_after_a_stop() {
    for (options, count) in [
        ("-l1 -n2 -b internal", 2),
        ("-l5 -n3 -x1 -b lockless -c 64", 4),
        ("-l10 -n4 -b none -e1.0 -p f2", 4),
        ("-l0 -n2 -N own", 2),
        ("-l6 -n4 -b internal --assume-clean", 4),
    ] {
        let options = &vm::or_internal(options);
        let members = disks(count, 20 * MIB);
        let line = format!("--create /dev/md/data --ensure {options} {}", members.join(" "));
        assert_eq!(action(&line), is(0, "created", true), "{options}");
        for _ in 0..2 {
            assert_eq!(action(&line), is(0, "unchanged", false), "{options}");
        }
        let out = mdadm(&line).ok();
        assert_eq!((out.stdout.as_str(), out.stderr.as_str()), ("mdadm: array /dev/md/data unchanged.\n", ""));
        mdadm("--stop /dev/md/data").ok();
        assert_eq!(action(&line), is(0, "started", true), "{options}");
        assert_eq!(action(&line), is(0, "unchanged", false), "{options}");
        // Where the names of the disks have changed places.
        let mut turned = members.clone();
        turned.rotate_left(1);
        let turned = format!("--create /dev/md/data --ensure {options} {}", turned.join(" "));
        assert_eq!(action(&turned), is(0, "unchanged", false), "{options}");
        let (status, gone) = report(&format!("--ensure-absent /dev/md/data {}", members.join(" ")));
        assert_eq!((status, &gone["changed"], gone["cleared"].as_array().unwrap().len()), (0, &true.into(), count));
        assert_eq!(vm::mdstat().matches("md").count(), 0);
    }
}

#[test]
fn what_differs_is_listed_and_nothing_is_written() {
    let members = disks(4, 40 * MIB);
    let three = members[..3].join(" ");
    let line = |options: &str| format!("--create /dev/md/data --ensure {options} {three}");
    let made = vm::or_internal("-l5 -n3 -b lockless -N data -u 1:2:3:4:55555555:66666666:77777777:8888");
    mdadm(&line(&made)).ok();
    vm::wait_sync("md127");
    for stopped in [false, true] {
        if stopped {
            mdadm("--stop /dev/md/data").ok();
        }
        for (options, what) in [
            ("-l6 -n4 missing", "level raid-devices"),
            ("-l5 -n3 -c64", "chunk"),
            ("-l5 -n3 -p ra", "layout"),
            ("-l5 -n3 -e1.0", "metadata"),
            ("-l5 -n3 -e0.90", "metadata"),
            ("-l5 -n3 -N other", "name"),
            ("-l5 -n3 -u 1:2:3:4:55555555:66666666:77777777:8889", "uuid"),
            ("-l5 -n3 -b internal", "bitmap"),
            ("-l5 -n3 -b none", "bitmap"),
            ("-l5 -n3 -z 10M", "size"),
            ("-l5 -n3 --data-offset=8M", "data-offset"),
        ] {
            if options.ends_with("-b internal") && made.contains("internal") {
                continue;
            }
            assert_eq!(differs(&line(options), &members).join(" "), what, "{options}");
        }
        // Another device in the place of a member.
        let other = format!("--create /dev/md/data --ensure -l5 -n3 {} {} {}", members[0], members[1], members[3]);
        let found = differs(&other, &members).join(" ");
        assert!(found.contains(&format!("member {}", members[3])), "{found}");
        let more = format!("--create /dev/md/data --ensure -l5 -n3 -x1 {three} {}", members[3]);
        assert_eq!(differs(&more, &members), [format!("member {}", members[3])]);
    }
    // What the configuration says of new arrays was not asked for.
    std::fs::write("/mnt/conf", "CREATE metadata=1.0\n").unwrap();
    assert_eq!(action(&line("-l5 -n3 --config=/mnt/conf")), is(0, "started", true));
    assert_eq!(action(&line("-l5 -n3 --config=/mnt/conf")), is(0, "unchanged", false));
    // The same members under another name.
    assert_eq!(differs(&format!("--create /dev/md1 --ensure -l5 -n3 {three}"), &members), ["array"]);
    let (status, plan) = (16, mdadm(&format!("{} --plan", line("-l5 -n3 -c64"))));
    assert_eq!((plan.status, plan.stdout.as_str()), (status, ""));
    let (status, plan) = report(&format!("{} --plan", line("-l5 -n3 -c64")));
    assert_eq!((status, &plan["schema"], &plan["steps"]), (16, &"mdadm-rs/plan/1".into(), &Value::Array(vec![])));
    assert!(plan["error"].as_str().unwrap().contains("chunk: asked for 64K"), "{plan}");
}

#[test]
fn a_degraded_array_is_not_as_asked_for_until_it_has_its_member_again() {
    let members = disks(3, 20 * MIB);
    let line = format!("--create /dev/md0 --ensure -l1 -n3 -b internal {}", members.join(" "));
    let bad = &members[1];
    mdadm(&line).ok();
    vm::wait_sync("md0");
    mdadm(&format!("/dev/md0 --fail {bad}")).ok();
    assert_eq!(differs(&line, &members), [format!("member {bad}")]);
    mdadm(&format!("/dev/md0 --remove {bad}")).ok();
    assert_eq!(differs(&line, &members), [format!("member {bad}")]);
    assert!(mdadm(&line).stderr.contains(", found no member any more\n"));
    // Without it, that is what was asked for.
    let without = format!("--create /dev/md0 --ensure -l1 -n3 {} missing {}", members[0], members[2]);
    assert_eq!(action(&without), is(0, "unchanged", false));
    // After a reboot the member that was taken out is not let in, and a blank disk in its place is seen.
    mdadm("--stop /dev/md0").ok();
    assert_eq!(differs(&line, &members), [format!("member {bad}")]);
    assert_eq!(action(&without), is(0, "started", true));
    mdadm("--stop /dev/md0").ok();
    sh(&format!("dd if=/dev/zero of={bad} bs=1M count=20 oflag=direct status=none"));
    let found = differs(&line, &members);
    assert_eq!(found, [format!("member {bad}")]);
    mdadm(&format!("--assemble --run /dev/md0 {} {}", members[0], members[2])).ok();
    let out = mdadm(&line);
    assert!(out.stderr.contains(&format!(
        "found no md superblock\nmdadm: a device becomes a member with: mdadm /dev/md0 --add {bad}"
    )));
    mdadm(&format!("/dev/md0 --add {bad}")).ok();
    // While it is rebuilt, and after that.
    assert_eq!(action(&line), is(0, "unchanged", false));
    vm::wait_sync("md0");
    assert_eq!(action(&line), is(0, "unchanged", false));
}

#[test]
fn arrays_of_the_reference_are_known_too() {
    let members = disks(2, 20 * MIB);
    let list = members.join(" ");
    for (meta, bitmap) in [("0.90", "internal"), ("0.90", "none"), ("1.0", "internal"), ("1.2", "none")] {
        reference(&format!("--create /dev/md0 -q -R -l1 -n2 -e{meta} -b {bitmap} --assume-clean {list}")).ok();
        let line = format!("--create /dev/md0 --ensure -l1 -n2 -e{meta} -b {bitmap} {list}");
        assert_eq!(action(&line), is(0, "unchanged", false), "{meta} {bitmap}");
        let other = if bitmap == "none" { "internal" } else { "none" };
        assert_eq!(differs(&format!("--create /dev/md0 --ensure -l1 -n2 -b {other} {list}"), &members), ["bitmap"]);
        reference("--stop /dev/md0").ok();
        assert_eq!(action(&line), is(0, "started", true), "{meta} {bitmap}");
        mdadm("--stop /dev/md0").ok();
        let (status, gone) = report(&format!("--ensure-absent /dev/md0 {list}"));
        assert_eq!((status, gone["cleared"].as_array().unwrap().len()), (0, 2), "{meta} {gone}");
    }
}

/// Runs ours with an input that is open and never says anything.
fn with_a_silent_input(line: &str) -> Output {
    let command = format!("exec 3<>/mnt/silent; timeout 4 {} {line} <&3", env!("CARGO_BIN_EXE_mdadm"));
    run("bash", &["-c", &command], "")
}

#[test]
fn nobody_is_asked_and_what_is_on_a_device_is_not_overwritten_without_run() {
    let members = disks(2, 20 * MIB);
    let list = members.join(" ");
    sh("mkfifo /mnt/silent");
    let made = |line: String| {
        let out = with_a_silent_input(&line);
        let _ = mdadm("--stop /dev/md0");
        out
    };
    assert_eq!(made(format!("--create /dev/md0 --ensure -l1 -n2 {list}")).status, 0);
    assert_eq!(made(format!("--create /dev/md0 --run -l1 -n2 {list}")).status, 0);
    mdadm(&format!("--zero-superblock -q {list}")).ok();
    for content in ["mkfs.ext4 -q -F", "mkswap -q"] {
        sh(&format!("{content} {}", members[1]));
        let before = hash(&members);
        let out = made(format!("--create /dev/md0 --ensure -l1 -n2 {list}"));
        assert_eq!(out.status, 1, "{}", out.stderr);
        assert!(out.stderr.contains("there is nobody to ask; --run overwrites what is there"), "{}", out.stderr);
        assert!(hash(&members) == before);
    }
    // Another array's members are never overwritten.
    mdadm(&format!("--create /dev/md5 -q -R -l0 -n2 {list}")).ok();
    mdadm("--stop /dev/md5").ok();
    let before = hash(&members);
    assert_eq!(made(format!("--create /dev/md0 --ensure --run -l1 -n2 {list}")).status, 16);
    assert!(hash(&members) == before);
}

#[test]
fn absent_clears_the_arrays_own_members_only() {
    let members = disks(5, 20 * MIB);
    let (a, b, c, d, blank) = (&members[0], &members[1], &members[2], &members[3], &members[4]);
    mdadm(&format!("--create /dev/md/one -q -R -l1 -n2 --assume-clean {a} {b}")).ok();
    mdadm(&format!("--create /dev/md/two -q -R -l1 -n2 --assume-clean {c} {d}")).ok();
    // Running, but of other devices than those named.
    let out = mdadm(&format!("--ensure-absent /dev/md/one {c} {blank}"));
    assert_eq!((out.status, out.stdout.as_str()), (16, ""));
    assert!(out.stderr.contains("none of the devices named belongs to it"), "{}", out.stderr);
    // In use.
    sh("mkfs.ext4 -q /dev/md/one; mkdir -p /mnt/m; mount /dev/md/one /mnt/m");
    let out = mdadm("--ensure-absent /dev/md/one");
    assert!(out.status == 1 && out.stderr.contains("mounted on /mnt/m"), "{}", out.stderr);
    let out = mdadm("--ensure-absent /dev/md/one --plan");
    assert!(out.status == 1 && out.stderr.contains("mounted on /mnt/m"), "{}", out.stderr);
    sh("umount /mnt/m");
    mdadm("--stop /dev/md/one").ok();
    let two = hash(&members[2..]);
    // Stopped: by name, among the devices named.
    let out = mdadm(&format!("--ensure-absent /dev/md/one --plan {a} {b} {c} {blank}")).ok();
    assert!(out.stdout.contains(&format!("write  {a}")) && !out.stdout.contains(c.as_str()), "{}", out.stdout);
    let (status, r) = report(&format!("--ensure-absent /dev/md/one {a} {c} {blank}"));
    assert_eq!(
        (status, &r["changed"], &r["cleared"], &r["left"][0]["device"]),
        (0, &true.into(), &serde_json::json!([a]), &c.as_str().into())
    );
    mdadm(&format!("--examine {b}")).ok();
    let uuid = sh(&format!("{} --examine --export {b} | sed -n s/MD_UUID=//p", env!("CARGO_BIN_EXE_mdadm")));
    let (status, r) = report(&format!("--ensure-absent {} {a} {b} {d}", uuid.trim()));
    assert_eq!((status, &r["cleared"]), (0, &serde_json::json!([b])));
    for _ in 0..2 {
        let (status, r) = report(&format!("--ensure-absent /dev/md/one {a} {b} {c} {blank}"));
        assert_eq!((status, &r["changed"]), (0, &false.into()));
    }
    let out = mdadm(&format!("--ensure-absent /dev/md/one {a} {b} {blank}")).ok();
    assert_eq!((out.stdout.as_str(), out.stderr.as_str()), ("mdadm: there is no array /dev/md/one.\n", ""));
    assert!(hash(&members[2..]) == two && attr("md126", "degraded") == "0");
    // Another machine's array of that name is left alone.
    mdadm("--stop --scan").ok();
    mdadm(&format!("--create /dev/md/one -q -R -l1 -n2 --homehost=other --assume-clean {a} {b}")).ok();
    mdadm("--stop /dev/md/one").ok();
    let (status, r) = report(&format!("--ensure-absent /dev/md/one {a} {b}"));
    assert_eq!((status, &r["changed"], r["left"].as_array().unwrap().len()), (0, &false.into(), 2));
    let (_, r) = report(&format!("--ensure-absent /dev/md/one --homehost=other {a} {b}"));
    assert_eq!(r["changed"], true);
}

/// Overwrites bytes of a device.
fn poke(device: &str, at: u64, bytes: &str) {
    sh(&format!("printf '{bytes}' | dd of={device} bs=1 seek={at} conv=notrunc status=none"));
}

#[test]
fn damaged_superblocks_are_zeroed_and_every_one_is_listed() {
    let members = disks(2, 20 * MIB);
    let (a, b) = (&members[0], &members[1]);
    let old = 20 * MIB - 65536;
    for meta in ["1.2", "1.0", "0.90"] {
        reference(&format!("--create /dev/md0 -q -R -e{meta} -l1 -n2 -b none --assume-clean {a} {b}")).ok();
        reference("--stop /dev/md0").ok();
        let at = match meta {
            "1.2" => 4096,
            "1.0" => 20 * MIB - 8192,
            _ => old,
        };
        poke(a, at + 40, "X");
        poke(b, at + 4, "\\x09");
        for (device, why) in [(a, "the checksum is wrong"), (b, "the version is wrong")] {
            let out = mdadm(&format!("--zero-superblock {device}")).ok();
            let line = format!("note: zeroed on {device}, at byte {at}: metadata {meta}");
            assert!(out.stderr.contains(&line) && out.stderr.contains(why), "{}", out.stderr);
            assert_eq!(
                sh(&format!("dd if={device} bs=4 skip={} count=1 status=none | od -An -tx4", at / 4)).trim(),
                "00000000"
            );
            let again = mdadm(&format!("--zero-superblock {device}")).ok();
            assert_eq!(again.stderr, format!("mdadm: Unrecognised md component device - {device}\n"));
        }
    }
    // Two at once.
    reference(&format!("--create /dev/md0 -q -R -e0.90 -l1 -n2 -b none --assume-clean {a} missing")).ok();
    reference("--stop /dev/md0").ok();
    sh(&format!("dd if={a} of=/mnt/old bs=64K skip={} count=1 status=none", old / 65536));
    reference(&format!("--create /dev/md0 -q -R -e1.2 -l1 -n2 -b none --assume-clean {a} missing")).ok();
    reference("--stop /dev/md0").ok();
    sh(&format!("dd if=/mnt/old of={a} bs=64K seek={} count=1 conv=notrunc status=none", old / 65536));
    let out = mdadm(&format!("--zero-superblock {a}")).ok();
    let listed: Vec<&str> = out.stderr.lines().filter(|l| l.contains("note: zeroed on")).collect();
    assert_eq!((listed.len(), out.stdout.as_str()), (2, ""));
    for meta in ["metadata 1.2 of array", "metadata 0.90 of array"] {
        assert!(listed.iter().any(|l| l.contains(meta)), "{listed:?}");
    }
}

#[test]
fn the_superblock_of_a_partition_is_left_when_its_disk_is_named() {
    let disk = vm::disk(20 * MIB);
    sh(&format!("echo '2048,,fd' | sfdisk -q {disk}; partprobe {disk} 2>/dev/null || partx -u {disk} || true"));
    let part = format!("{disk}p1");
    if !std::path::Path::new(&part).exists() {
        sh(&format!("losetup -d {disk}; losetup -P {disk} /mnt/disk0"));
    }
    mdadm(&format!("--create /dev/md0 -q -R -f -e1.0 -l1 -n1 -b none {part}")).ok();
    mdadm("--stop /dev/md0").ok();
    let before = hash(std::slice::from_ref(&disk));
    let out = mdadm(&format!("--zero-superblock {disk}"));
    assert_eq!((out.status, out.stdout.as_str()), (0, ""));
    assert!(out.stderr.contains("Unrecognised md component device"), "{}", out.stderr);
    assert!(out.stderr.contains("note: left on") && out.stderr.contains("--force zeroes it"), "{}", out.stderr);
    assert!(hash(std::slice::from_ref(&disk)) == before);
    mdadm(&format!("--zero-superblock {part}")).ok();
}
