//! `--incremental` on real arrays.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "vm/mod.rs"]
mod vm;

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use vm::{MIB, attr, disk, disks, mdadm, mdstat, sh, verify_pattern, wait_sync, wait_until, write_pattern};

const SIZE: u64 = 24 * MIB;
const DATA: u64 = 4 * MIB;

/// An array that was made, written to and stopped.
#[track_caller]
fn stopped(words: &str, members: &[String]) {
    mdadm(&format!("--create /dev/md0 --run --quiet --assume-clean -N any:it {words} {}", members.join(" "))).ok();
    write_pattern("/dev/md0", 0, DATA, 1);
    if fs::exists("/sys/block/md0/md/sync_action").unwrap() {
        wait_sync("md0");
    }
    stop();
}

/// Stops everything; udev or the kernel may hold an array for a moment.
#[track_caller]
fn stop() {
    sh("sync");
    wait_until(Duration::from_secs(20), "all arrays are stopped", || {
        mdadm("--stop --scan").status == 0 && arrays().is_empty()
    });
}

/// The arrays in /proc/mdstat.
fn arrays() -> Vec<String> {
    let text = mdstat();
    let names = text.lines().filter_map(|l| l.split_once(" : ")).map(|(n, _)| n.trim().to_owned());
    names.filter(|n| n.starts_with("md")).collect()
}

/// `-I` of one device, which succeeds; what was said.
#[track_caller]
fn add(device: &str) -> String {
    mdadm(&format!("--incremental {device}")).ok().stderr
}

#[track_caller]
fn data_is_right(array: &str, seed: u64) {
    assert_eq!(verify_pattern(&format!("/dev/{array}"), 0, DATA, seed), [0u64; 0], "{array}:\n{}", mdstat());
}

#[test]
fn members_come_in_any_order_and_the_last_one_starts_the_array() {
    let d = disks(4, SIZE);
    let levels =
        ["-l1 -n4 -e1.2", "-l5 -n4 -e1.0", "-l6 -n4 -e1.1", "-l10 -n4 -e1.2", "-l0 -n4 -e1.0", "-l4 -n4 -e0.90"];
    for (n, words) in levels.iter().enumerate() {
        let bitmaps: &[&str] = if words.contains("-l0") { &["none"] } else { vm::bitmaps() };
        let bitmap = bitmaps[n % bitmaps.len()];
        let bitmap = if words.contains("0.90") { "internal" } else { bitmap };
        let bitmap = if bitmap == "none" { String::new() } else { format!("-b {bitmap}") };
        stopped(&format!("{words} {bitmap}"), &d);
        let mut order = d.clone();
        order.rotate_left(n % 4);
        order.swap(0, n % 3);
        let said: Vec<String> = order.iter().map(|device| add(device)).collect();
        let name = arrays()[0].clone();
        assert!(said[3].contains("which has been started."), "{words}: {said:?}");
        assert!(said[..3].iter().all(|s| s.contains("not enough to start")), "{words}: {said:?}");
        assert_eq!(attr(&name, "array_state").replace("active", "clean"), "clean", "{words}");
        if words.contains("lockless") {
            assert!(attr(&name, "bitmap_type").contains("[llbitmap]"), "{words}");
        }
        let link = if words.contains("0.90") { "/dev/md/0" } else { "/dev/md/it" };
        assert_eq!(fs::read_link(link).unwrap().to_str().unwrap(), format!("/dev/{name}"), "{words}");
        data_is_right(&name, 1);
        stop();
    }
}

#[test]
fn a_lockless_array_gets_its_bitmap_type_on_every_path_of_incremental() {
    if vm::lockless_is_refused() {
        return;
    }
    let d = disks(3, SIZE);
    stopped("-l5 -n3 -b lockless", &d);
    // degraded, by --run and by --scan; then the late member
    for how in [&format!("-IR {}", d[1]), "-IRs", "--run /dev/md/it"] {
        add(&d[0]);
        if how.contains("-IR /") {
            mdadm(how).ok();
        } else {
            add(&d[1]);
            mdadm(how).ok();
        }
        let name = arrays()[0].clone();
        assert!(attr(&name, "bitmap_type").contains("[llbitmap]"), "{how}");
        assert_eq!(attr(&name, "array_state"), "read-auto", "{how}");
        data_is_right(&name, 1);
        stop();
    }
    add(&d[2]);
    add(&d[1]);
    assert!(add(&d[0]).contains("has been started"));
    assert!(attr("md127", "bitmap_type").contains("[llbitmap]"));
}

#[test]
fn a_late_member_is_rebuilt_by_the_bitmap_and_holds_the_data() {
    for bitmap in vm::bitmaps().iter().filter(|b| **b != "none") {
        let d = disks(2, SIZE);
        stopped(&format!("-l1 -n2 -b {bitmap}"), &d);
        add(&d[0]);
        // As a person starts it, or the timer of the last resort.
        mdadm(if *bitmap == "internal" { "--run /dev/md127" } else { "-IRs" }).ok();
        write_pattern("/dev/md127", 0, DATA, 2);
        let said = add(&d[1]);
        assert!(said.contains("which is already active."), "{bitmap}: {said}");
        wait_sync("md127");
        assert_eq!(attr("md127", "degraded"), "0", "{bitmap}");
        mdadm(&format!("/dev/md127 --fail {}", d[0])).ok();
        data_is_right("md127", 2);
        stop();
        sh(&format!("losetup -d {}", d.join(" ")));
    }
}

/// docs/lockless.md, fault 4: while it was away another was rebuilt in its place.
#[test]
fn a_late_member_whose_place_was_rebuilt_is_left_out() {
    for bitmap in vm::bitmaps().iter().filter(|b| **b != "none") {
        let d = disks(3, SIZE);
        stopped(&format!("-l1 -n2 -b {bitmap}"), &d[..2]);
        add(&d[0]);
        mdadm("-IRs").ok();
        write_pattern("/dev/md127", 0, DATA, 2);
        mdadm(&format!("/dev/md127 --add {}", d[2])).ok();
        wait_sync("md127");
        mdadm(&format!("/dev/md127 --fail {0} --remove {0}", d[2])).ok();
        for run in ["-I", "-IR"] {
            let out = mdadm(&format!("{run} {}", d[1]));
            assert_eq!(out.status, 2, "{bitmap}: {out:?}");
            assert!(out.stderr.contains("a member was rebuilt since"), "{bitmap}: {out:?}");
            assert!(out.stderr.contains("--add") && !mdstat().contains("[2/2]"), "{bitmap}: {out:?}");
        }
        data_is_right("md127", 2);
        stop();
        // And after a restart, with nothing in the log about it.
        add(&d[0]);
        mdadm("-IRs");
        let out = mdadm(&format!("-IR {}", d[1]));
        assert!(out.status == 2 && out.stderr.contains("missed writes"), "{bitmap}: {out:?}");
        stop();
        sh(&format!("losetup -d {}", d.join(" ")));
    }
}

#[test]
fn stale_members_are_named_and_never_read_whatever_the_order() {
    for order in [[1, 0, 2], [0, 1, 2], [2, 1, 0]] {
        let d = disks(3, SIZE);
        stopped("-l1 -n3 -b none", &d);
        mdadm(&format!("-A /dev/md0 {}", d.join(" "))).ok();
        mdadm(&format!("/dev/md0 --fail {}", d[1])).ok();
        write_pattern("/dev/md0", 0, DATA, 2);
        stop();
        let said: String = order.iter().map(|i| add(&d[*i])).collect();
        assert!(said.contains(&format!("{} is out of date", d[1])), "{order:?}: {said}");
        assert!(!mdstat().contains(d[1].trim_start_matches("/dev/")), "{}", mdstat());
        data_is_right("md127", 2);
        stop();
        sh(&format!("losetup -d {}", d.join(" ")));
    }
}

#[test]
fn two_halves_that_were_written_apart_are_never_put_together() {
    for bitmap in ["none", "internal"] {
        let d = disks(2, SIZE);
        stopped(&format!("-l1 -n2 -b {bitmap}"), &d);
        for (n, device) in d.iter().enumerate() {
            mdadm(&format!("-A /dev/md0 --run {device}")).ok();
            write_pattern("/dev/md0", 0, DATA, 5 + n as u64);
            stop();
        }
        assert!(add(&d[0]).contains("has been started"), "it knows of no other");
        for run in ["-I", "-IR"] {
            let out = mdadm(&format!("{run} {}", d[1]));
            assert!(out.status == 2 && out.stderr.contains("not") && !mdstat().contains("[2/2]"), "{bitmap}: {out:?}");
        }
        data_is_right("md127", 5);
        stop();
        sh(&format!("losetup -d {}", d.join(" ")));
    }
}

/// 64 members of 16 arrays at once, as udev does it.
#[test]
fn sixty_four_at_once_start_every_array_once() {
    let file = "/mnt/many";
    fs::File::create_new(file).unwrap().set_len(64 * 8 * MIB).unwrap();
    let d: Vec<String> = (0..64).map(|n| vm::slice(file, n * 8 * MIB, 8 * MIB)).collect();
    let kinds = ["-l1 -n4 -b internal", "-l5 -n4 -b none", "-l6 -n4 -b internal", "-l10 -n4 -b none"];
    for (n, members) in d.chunks(4).enumerate() {
        let words = format!(
            "--create /dev/md0 --run --quiet --assume-clean -N any:a{n} {} {}",
            kinds[n % 4],
            members.join(" ")
        );
        mdadm(&words).ok();
        mdadm("--stop /dev/md0").ok();
    }
    for round in 0..1usize {
        let start = |n: usize| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_mdadm"));
            command.args(["--incremental", "--export", &d[(n * 29 + round * 7) % 64]]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let all: Vec<_> = (0..64).map(start).collect();
        let mut started = 0;
        for child in all {
            let out = child.wait_with_output().unwrap();
            let text = String::from_utf8_lossy(&out.stdout).into_owned();
            assert!(out.status.success(), "{text}{}", String::from_utf8_lossy(&out.stderr));
            started += usize::from(text.contains("MD_STARTED=yes"));
        }
        assert_eq!((started, arrays().len()), (16, 16), "{}", mdstat());
        assert!(!mdstat().contains("inactive") && !mdstat().contains("_]") && !mdstat().contains("[_"), "{}", mdstat());
        let map = fs::read_to_string("/run/mdadm/map").unwrap();
        assert_eq!(map.lines().count(), 16, "{map}");
        for n in 0..16 {
            assert!(fs::metadata(format!("/dev/md/a{n}")).is_ok(), "a{n}: {map}");
        }
        stop();
    }
}

#[test]
fn a_device_that_is_gone_leaves_running_and_waiting_arrays() {
    let d = disks(3, SIZE);
    let names: Vec<&str> = d.iter().map(|p| p.trim_start_matches("/dev/")).collect();
    stopped("-l5 -n3 -b none", &d);
    add(&d[0]);
    add(&d[1]);
    mdadm(&format!("-If {}", names[1])).ok();
    assert!(mdstat().contains(names[0]) && !mdstat().contains(names[1]), "{}", mdstat());
    mdadm(&format!("--incremental --remove {}", names[0])).ok();
    assert!(arrays().is_empty(), "with the last member the array goes: {}", mdstat());
    assert!(!fs::read_to_string("/run/mdadm/map").unwrap_or_default().contains("/dev/md/it"));
    d.iter().for_each(|device| drop(add(device)));
    let out = mdadm(&format!("-If {} --path pci-1", names[2])).ok();
    assert_eq!((out.stdout, out.stderr), (String::new(), String::new()));
    assert!(mdstat().contains("[UU_]") && !mdstat().contains(names[2]), "{}", mdstat());
    assert!(fs::read_to_string("/run/mdadm/failed-slots/pci-1").unwrap().contains(" 1.2 "));
    // The next one is there, and the array cannot do without it.
    let out = mdadm(&format!("-If {}", names[1]));
    assert!(out.status == 1 && out.stderr.contains("Cannot fail member device"), "{out:?}");
    data_is_right("md127", 1);
    assert_eq!(mdadm("-If nosuch").status, 0);
}

#[test]
fn a_map_file_that_is_lost_cut_or_wrong_leads_to_the_same_array() {
    let d = disks(5, SIZE);
    stopped("-l5 -n3 -b none", &d[..3]);
    mdadm(&format!("--create /dev/md9 --run --quiet --assume-clean -b none -N any:other -l1 -n2 {} {}", d[3], d[4]))
        .ok();
    add(&d[0]);
    for map in ["", "md127 1.2 0:", "md5 1.2 1:2:3:4 /dev/md/x\nmd4 1.2 5:6:7:8 /dev/md/y\n\0\n"] {
        fs::write("/run/mdadm/map", map).unwrap();
        let out = mdadm(&format!("-I {}", d[1])).ok();
        assert!(
            mdstat().contains(&d[1][5..]) && out.stderr.contains("not enough to start"),
            "{map:?}: {out:?} {}",
            mdstat()
        );
        assert_eq!(arrays().len(), 2, "{map:?}: {}", mdstat());
        mdadm(&format!("-If {}", &d[1][5..])).ok();
    }
    fs::remove_file("/run/mdadm/map").unwrap();
    add(&d[1]);
    assert!(fs::read_to_string("/run/mdadm/map").unwrap().contains("other"), "it is made anew");
    assert!(add(&d[2]).contains("/dev/md/it, which has been started"));
    data_is_right("md127", 1);
}

#[test]
fn a_failed_start_does_not_keep_the_other_members_out() {
    let d = disks(3, SIZE);
    stopped("-l5 -n3 -b none", &d);
    add(&d[0]);
    assert_eq!(mdadm("--run /dev/md/it").status, 1);
    add(&d[1]);
    assert!(add(&d[2]).contains("has been started"));
    data_is_right("md127", 1);
}

#[test]
fn copies_strangers_and_other_metadata_are_left_alone() {
    let d = disks(4, SIZE);
    stopped("-l1 -n2 -b none", &d[..2]);
    sh(&format!("dd if={} of={} bs=1M oflag=direct status=none", d[0], d[2]));
    add(&d[0]);
    let out = mdadm(&format!("-I {}", d[2]));
    assert!(out.status == 2 && out.stderr.contains("is a copy of"), "{out:?}");
    assert!(add(&d[1]).contains("has been started"));
    // A clone of all of it: named, neither taken nor written to, and its own array once it has a uuid of its own.
    sh(&format!("dd if={} of={} bs=1M iflag=direct oflag=direct status=none", d[1], d[3]));
    let clones = || sh(&format!("cat {} {} | sha256sum", d[2], d[3]));
    let before = clones();
    fs::write("/mnt/conf", "POLICY action=force-spare\n").unwrap();
    for how in ["-I", "-IR", "-I --export", "-I --config=/mnt/conf"] {
        for (clone, slot) in [(&d[2], 0), (&d[3], 1)] {
            let out = mdadm(&format!("{how} {clone}"));
            assert!(out.status == 2 && out.stderr.contains(&format!("slot {slot} is taken by it")), "{how}: {out:?}");
        }
    }
    assert_eq!(attr("md127", "raid_disks"), "2");
    assert!(clones() == before && mdstat().contains("[2/2] [UU]"), "{}", mdstat());
    let out = mdadm(&format!("--assemble /dev/md/clone {} {}", d[2], d[3]));
    assert!(out.status == 1 && out.stderr.contains("already active"), "{out:?}");
    mdadm(&format!("--assemble /dev/md/clone --update=uuid {} {}", d[2], d[3])).ok();
    data_is_right("md126", 1);
    stop();
    // Two arrays fit one line of the configuration: both come up.
    fs::write("/mnt/conf", "ARRAY /dev/md/x devices=/dev/loop*\n").unwrap();
    for device in &d {
        let out = mdadm(&format!("-I --config=/mnt/conf {device}")).ok();
        assert_eq!(out.stderr.contains("/dev/md/x is in use already: the other array is"), device == &d[2], "{out:?}");
    }
    assert_eq!(mdstat().matches("[2/2] [UU]").count(), 2, "{}", mdstat());
    assert_eq!(fs::read_dir("/dev/md").unwrap().count(), 2);
    stop();
    // The same uuid on another array.
    sh(&format!("wipefs -aq {} {}; rm -rf /dev/md", d[2], d[3]));
    let uuid = mdadm(&format!("--examine --export {}", d[0])).ok().stdout;
    let uuid = uuid.lines().find_map(|l| l.strip_prefix("MD_UUID=")).unwrap().to_owned();
    mdadm(&format!("--create /dev/md0 --run --quiet --assume-clean -b none -u {uuid} -l5 -n2 {} {}", d[2], d[3])).ok();
    stop();
    add(&d[0]);
    let before = sh(&format!("cat {} | sha256sum", d[2]));
    let out = mdadm(&format!("-I {}", d[2]));
    assert!(out.status == 2 && out.stderr.contains("metadata mismatch between"), "{out:?}");
    assert!(add(&d[1]).contains("has been started"));
    let out = mdadm(&format!("-IR {}", d[3]));
    assert!(out.status == 2, "{out:?}");
    data_is_right("md127", 1);
    assert_eq!(sh(&format!("cat {} | sha256sum", d[2])), before);
    stop();
    let empty = disk(8 * MIB);
    for (device, words) in [
        (empty.as_str(), "no recognisable superblock"),
        ("/dev/null", "is not a block device"),
        ("/dev/nosuch", "stat failed"),
    ] {
        let out = mdadm(&format!("-I {device}"));
        assert!(out.status == 1 && out.stdout.is_empty() && out.stderr.contains(words), "{device}: {out:?}");
    }
}

#[test]
fn plan_shows_the_steps_and_touches_nothing() {
    let d = disks(2, SIZE);
    stopped("-l1 -n2 -b none", &d);
    let look = || (mdstat(), fs::read_to_string("/run/mdadm/map").unwrap_or_default(), sh("ls /dev/md /sys/block"));
    let before = look();
    let plan = mdadm(&format!("-I --plan {}", d[0])).ok();
    assert!(plan.stdout.contains("md127 as /dev/md/it") && plan.stdout.contains("ADD_NEW_DISK"), "{plan:?}");
    assert_eq!(look(), before);
    add(&d[0]);
    let before = look();
    let plan = mdadm(&format!("-I --plan --json {}", d[1])).ok();
    assert!(plan.stdout.contains("\"RUN_ARRAY\""), "{plan:?}");
    let plan = mdadm("-IRs --plan").ok();
    assert!(plan.stdout.contains("array_state = read-auto"), "{plan:?}");
    let plan = mdadm(&format!("-If --plan {}", &d[0][5..])).ok();
    assert!(plan.stdout.contains("STOP_ARRAY"), "{plan:?}");
    assert_eq!(look(), before);
}

#[test]
fn auto_detect_says_when_the_kernel_cannot() {
    let out = mdadm("--auto-detect");
    assert!(out.status == 1 && out.stderr.contains("use --assemble --scan"), "{out:?}");
}

#[test]
fn assemble_completes_what_came_one_by_one() {
    let d = disks(3, SIZE);
    let uuid = "01234567:89abcdef:01234567:89abcdef";
    let all = d.join(" ");
    let by_name = format!("-A /dev/md/it {all}");
    let others = format!("-A /dev/md/it {} {}", d[1], d[2]);
    let by_uuid = format!("-A /dev/md/other --uuid={uuid}");
    for how in [by_name.as_str(), &others, "-A --scan", &by_uuid] {
        sh("rm -rf /dev/md");
        stopped(&format!("-l5 -n3 -b internal -u {uuid}"), &d);
        add(&d[0]);
        mdadm(&format!("{how} --plan")).ok();
        assert!(mdstat().contains("inactive"), "{how}: {}", mdstat());
        let out = mdadm(how).ok();
        assert_eq!(out.stdout, "mdadm: /dev/md/it has been started with 3 drives.\n", "{how}: {out:?}");
        assert!(arrays() == ["md127"] && mdstat().contains("[UUU]"), "{how}: {}", mdstat());
        assert_eq!(
            out.stderr.contains("Merging with already-assembled /dev/md/it"),
            how.contains("other") || how.contains("--scan"),
            "{how}: {out:?}"
        );
        data_is_right("md127", 1);
        stop();
    }
    // Not enough: what was there stays, and the rest may still come.
    add(&d[0]);
    let out = mdadm(&format!("-A /dev/md/it {}", d[1]));
    assert!(out.status == 1 && out.stderr.contains("assembled from 2 drives - need all 3"), "{out:?}");
    assert!(mdstat().contains(&d[0][5..]), "{}", mdstat());
    let out = mdadm(&format!("-A /dev/md/it --run {}", d[1])).ok();
    assert!(out.stdout.contains("with 2 drives (out of 3)"), "{out:?}");
    assert!(add(&d[2]).contains("which is already active"));
    wait_sync("md127");
    data_is_right("md127", 1);
}

#[test]
fn arrays_of_arrays_and_of_partitions_come_up() {
    let d = disks(4, SIZE);
    let inner = |n: usize| {
        format!(
            "--create /dev/md{n} --run --quiet --assume-clean -b none -N any:in{n} -l1 -n2 {} {}",
            d[2 * n],
            d[2 * n + 1]
        )
    };
    mdadm(&inner(0)).ok();
    mdadm(&inner(1)).ok();
    mdadm("--create /dev/md5 --run --quiet -N any:out -l0 -n2 /dev/md0 /dev/md1").ok();
    write_pattern("/dev/md5", 0, DATA, 3);
    stop();
    d.iter().for_each(|device| drop(add(device)));
    assert!(add("/dev/md/in1").contains("/dev/md/out, not enough to start"));
    assert!(add("/dev/md/in0").contains("/dev/md/out, which has been started"));
    data_is_right(fs::read_link("/dev/md/out").unwrap().to_str().unwrap().trim_start_matches("/dev/"), 3);
    stop();
    sh(&format!("losetup -d {}", d.join(" ")));
    // Partitions; the disk itself has none of it.
    let parts = |file: &str| {
        fs::File::create_new(file).unwrap().set_len(32 * MIB).unwrap();
        let disk = sh(&format!(
            "printf 'label: dos\n2048,20480\n22528,20480\n' | sfdisk -q {file}; losetup -fP --show {file}"
        ));
        disk.trim_end().to_owned()
    };
    let (a, b) = (parts("/mnt/partitioned-a"), parts("/mnt/partitioned-b"));
    mdadm(&format!("--create /dev/md0 --run --quiet --assume-clean -b none -e 1.0 -N any:parts -l1 -n2 {a}p1 {b}p2"))
        .ok();
    write_pattern("/dev/md0", 0, DATA, 4);
    stop();
    let out = mdadm(&format!("-I {a}"));
    assert_eq!(out.status, 1, "{out:?}");
    add(&format!("{a}p1"));
    let out = mdadm(&format!("-I {b}"));
    assert_eq!(out.status, 1, "{out:?}");
    assert!(add(&format!("{b}p2")).contains("/dev/md/parts, which has been started"));
    data_is_right("md127", 4);
}

#[test]
fn a_bare_disk_becomes_a_spare_where_policies_say_so() {
    let d = disks(6, SIZE);
    fs::create_dir_all("/dev/disk/by-path").unwrap();
    for (n, device) in d.iter().enumerate() {
        sh(&format!("ln -sf {device} /dev/disk/by-path/p-{n}"));
    }
    mdadm(&format!("--create /dev/md0 --run --quiet -b none -l1 -n2 {} missing", d[0])).ok();
    mdadm(&format!("--create /dev/md1 --run --quiet -b none -l1 -n3 {} missing missing", d[1])).ok();
    let with = |conf: &str, device: &str| {
        fs::write("/mnt/conf", conf).unwrap();
        mdadm(&format!("-I -vv -c /mnt/conf {device}"))
    };
    let left_alone = |conf: &str, device: &str, why: &str| {
        let out = with(conf, device);
        assert!(out.status == 1 && out.stderr.contains(why), "{conf}: {out:?}");
        assert!(!mdstat().contains(&device[5..]), "{conf}: {}", mdstat());
    };
    // btrfs begins where the reference does not look; a partition table is no bare disk either.
    sh(&format!("printf '_BHRfS_M' | dd of={} bs=1 seek=65600 conv=notrunc status=none", d[5]));
    left_alone("POLICY domain=d action=spare", &d[5], "not bare");
    sh(&format!("dd if=/dev/zero of={} bs=64K count=2 status=none; echo , | sfdisk -q {} || true", d[5], d[5]));
    left_alone("POLICY domain=d action=force-spare", &d[5], "not bare");
    left_alone("POLICY action=spare", &d[2], "not in a compatible domain");
    left_alone("POLICY domain=d path=p-2 action=spare", &d[2], "not in a compatible domain");
    left_alone(
        "POLICY domain=d\nPOLICY path=p-2 action=ignore\nPOLICY action=spare",
        &d[2],
        "no recognisable superblock",
    );
    left_alone("POLICY domain=d metadata=0.90 action=spare", &d[2], "metadata type doesn't match");
    // Who lacks most gets it first.
    let spare = "POLICY domain=d action=spare";
    let plan = mdadm(&format!("-I --plan -c /mnt/conf {}", d[2]));
    assert!(plan.status == 1 && plan.stdout.is_empty(), "{plan:?}");
    for (n, array) in [(2, "md1"), (3, "md0")] {
        let out = with(spare, &d[n]).ok();
        assert!(out.stderr.contains(&format!("added {} as spare for {array}", d[n])) || n == 3, "{out:?} {}", mdstat());
        wait_until(Duration::from_secs(20), "it is in", || mdstat().contains(&d[n][5..]));
    }
    wait_sync("md1");
    wait_sync("md0");
    // The place that lost a disk.
    mdadm(&format!("-If {} --path p-4", &d[0][5..])).ok();
    let out = with("POLICY domain=d action=spare-same-slot", &d[4]).ok();
    assert!(
        out.stderr.contains("as spare for md0") && !fs::exists("/run/mdadm/failed-slots/p-4").unwrap(),
        "{out:?} {}",
        mdstat()
    );
}

#[test]
fn a_former_member_is_made_a_spare_only_by_force() {
    let d = disks(2, SIZE);
    mdadm(&format!("--create /dev/md0 --run --quiet --assume-clean -b none -l1 -n2 {} {}", d[0], d[1])).ok();
    mdadm(&format!("/dev/md0 --fail {0} --remove {0}", d[1])).ok();
    write_pattern("/dev/md0", 0, DATA, 2);
    for (action, line) in [("include", "not adding"), ("re-add", "can only add"), ("spare", "can only add")] {
        fs::write("/mnt/conf", format!("POLICY action={action}\n")).unwrap();
        let out = mdadm(&format!("-I -c /mnt/conf {}", d[1]));
        assert!(out.status == 2 && out.stderr.contains(line), "{action}: {out:?}");
    }
    fs::write("/mnt/conf", "POLICY action=force-spare\n").unwrap();
    assert!(mdadm(&format!("-I -c /mnt/conf {}", d[1])).ok().stderr.contains("which is already active."));
    wait_sync("md0");
    mdadm(&format!("/dev/md0 --fail {}", d[0])).ok();
    data_is_right("md0", 2);
}

#[test]
fn the_configuration_gives_kernel_names_and_attributes() {
    let d = disks(2, SIZE);
    stopped("-l1 -n2 -b none", &d);
    fs::write("/mnt/conf", "CREATE names=yes\nSYSFS name=/dev/md/it sync_speed_max=1234\n").unwrap();
    for device in &d {
        mdadm(&format!("-I -c /mnt/conf {device}")).ok();
    }
    assert_eq!(arrays(), ["md_it"], "{}", mdstat());
    assert_eq!(attr("md_it", "sync_speed_max"), "1234 (local)");
    assert_eq!(fs::read_link("/dev/md/it").unwrap().to_str().unwrap(), "/dev/md_it");
    data_is_right("md_it", 1);
}

#[test]
fn json_tells_what_came_of_it() {
    let d = disks(2, SIZE);
    stopped("-l1 -n2 -b none", &d);
    for (device, started) in d.iter().zip(["unsafe", "yes"]) {
        let out = mdadm(&format!("-I --json {device}")).ok();
        let told: serde_json::Value = serde_json::from_str(&out.stdout).unwrap_or_else(|e| panic!("{e}: {out:?}"));
        let told = &told[0];
        assert_eq!((told["command"].as_str(), told["status"].as_u64()), (Some("incremental"), Some(0)), "{told}");
        assert_eq!((told["started"].as_str(), told["array"].as_str()), (Some(started), Some("/dev/md/it")), "{told}");
        assert_eq!(
            (told["array_kernel_name"].as_str(), told["changed"].as_bool()),
            (Some("md127"), Some(true)),
            "{told}"
        );
    }
    let out = mdadm(&format!("-I --json {}", d[0]));
    let told: serde_json::Value = serde_json::from_str(&out.stdout).unwrap();
    assert!(out.status == 1 && told[0]["error"].as_str().unwrap().contains("cannot reopen"), "{out:?}");
}

#[test]
fn a_run_that_cannot_be_written_to_keeps_no_array_down() {
    let d = disks(2, SIZE);
    for mount in ["-o ro,size=1M", "-o size=4k,nr_inodes=2"] {
        sh("rm -rf /dev/md /run/mdadm");
        stopped("-l1 -n2 -b none", &d);
        sh(&format!(
            "mkdir -p /run/mdadm; mount -t tmpfs {mount} none /run/mdadm; echo full > /run/mdadm/x 2>/dev/null || true"
        ));
        add(&d[0]);
        let said = add(&d[1]);
        assert!(said.contains("which has been started") && said.contains("map"), "{mount}: {said}");
        data_is_right(&arrays()[0], 1);
        stop();
        // Nor do the other ways to start or make one.
        let named = format!("--assemble /dev/md/foo {}", d.join(" "));
        for line in ["--assemble --scan --homehost=<ignore>", &named] {
            let out = mdadm(line).ok();
            assert!(out.stderr.contains("map"), "{mount}, {line}: {out:?}");
            data_is_right(&arrays()[0], 1);
            stop();
        }
        let out = mdadm(&format!("--create /dev/md/foo --run -q --assume-clean -b none -l1 -n2 {}", d.join(" "))).ok();
        assert!(out.stderr.contains("map") && std::path::Path::new("/dev/md/foo").exists(), "{mount}: {out:?}");
        stop();
        sh("umount /run/mdadm");
    }
}

#[test]
fn odd_names_become_one_safe_word_each() {
    let d = disks(2, SIZE);
    let long = "0123456789abcdef0123456789abcdef";
    for name in
        ["a b", "x'y\"$z", "tab\tname", "\u{fc}n\u{ef}c\u{f6}de", long, "..", "a/b", "new\nline=1", "-dash", "md_x"]
    {
        let words =
            ["--create", "/dev/md9", "--run", "--quiet", "--assume-clean", "-b", "none", "-l1", "-n2", "-N", "n"];
        let all: Vec<&str> = words.into_iter().chain(d.iter().map(String::as_str)).collect();
        vm::run(env!("CARGO_BIN_EXE_mdadm"), &all, "").ok();
        stop();
        let update = ["--assemble", "/dev/md9", "--update=name", "--homehost=any", "--name", name, &d[0], &d[1]];
        vm::run(env!("CARGO_BIN_EXE_mdadm"), &update, "").ok();
        stop();
        sh("rm -rf /dev/md /run/mdadm");
        let mut lines = String::new();
        for device in &d {
            lines += &mdadm(&format!("-I --export {device}")).ok().stdout;
        }
        assert_eq!(lines.lines().count(), 8, "{name:?}: {lines}");
        let safe = |l: &str| {
            l.starts_with("MD_") && l.contains('=') && !l.contains(|c: char| c.is_whitespace() || "'\"$".contains(c))
        };
        assert!(lines.lines().all(safe) && lines.contains("MD_STARTED=yes"), "{name:?}: {lines}");
        assert_eq!(fs::read_to_string("/run/mdadm/map").unwrap().lines().count(), 1, "{name:?}");
        assert_eq!(fs::read_dir("/dev/md").unwrap().count(), 1, "{name:?}: one file in /dev/md");
        stop();
    }
}
