//! Reshapes that were interrupted, and go on.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mdadm::backup::{Header, Window};
use mdadm::uuid::Uuid;

use vm::{MIB, attr, disks, mdadm, reference, set_attr, sh, verify_pattern, wait_until, write_pattern};

/// Within each array, and behind what moves first.
const DATA: u64 = 10 * MIB;

/// A reshape as it is begun: in sysfs, for on Linux 7.2 the reference loses data when an array is stopped soon after it has
/// begun one (docs/compat.md).
struct Begun {
    create: &'static str,
    members: usize,
    /// Attributes of the array, and of each member.
    set: &'static [(&'static str, &'static str)],
    moves: Option<&'static str>,
    spares: usize,
    limit: Option<&'static str>,
    backup: Option<&'static str>,
    /// It does with one member less.
    degraded: bool,
}

/// The array is stopped in the middle of the reshape; the devices are all that belong to it.
fn begin(begun: &Begun) -> Vec<String> {
    let all = disks(begun.members + begun.spares, 24 * MIB);
    let (members, spares) = all.split_at(begun.members);
    let list = members.join(" ");
    reference(&format!("-C /dev/md0 --run --assume-clean -c64 -n{} {} {list}", begun.members, begun.create)).ok();
    spares.iter().for_each(|d| drop(reference(&format!("/dev/md0 -a {d}")).ok()));
    write_pattern("/dev/md0", 0, DATA, 7);
    if let Some(size) = begun.limit {
        reference(&format!("--grow /dev/md0 --array-size={size}")).ok();
    }
    set_attr("md0", "sync_action", "frozen");
    let (direction, rest): (Vec<_>, Vec<_>) = begun.set.iter().partition(|(name, _)| *name == "reshape_direction");
    direction.iter().for_each(|(name, value)| set_attr("md0", name, value));
    for device in all.iter().filter(|_| begun.moves.is_some()) {
        set_attr("md0", &format!("dev-{}/new_offset", &device[5..]), begun.moves.unwrap());
    }
    rest.iter().for_each(|(name, value)| set_attr("md0", name, value));
    vm::sync_speed(2500, 2500);
    // The kernel itself keeps a raid10 from going too far.
    if begun.create.starts_with("-l10") {
        set_attr("md0", "sync_action", "reshape");
        moved_on();
        mdadm("--stop /dev/md0").ok();
    } else {
        set_attr("md0", "sync_max", "0");
        set_attr("md0", "sync_action", "reshape");
        // Who looks after it ends by itself when the array stops.
        let mut worker = look_after(begun.backup);
        moved_on();
        if begun.moves.is_none() {
            // Well within what is saved, and slowly: at its end nothing would have to be put back.
            vm::sync_speed(400, 400);
            let left = || attr("md0", "sync_max").parse::<u64>().unwrap_or(0).saturating_sub(2 * done().unwrap_or(0));
            wait_until(Duration::from_secs(20), "a window has begun", || left() > 1200);
        }
        mdadm("--stop /dev/md0").ok();
        assert!(worker.wait().unwrap().success());
        vm::sync_speed(2500, 2500);
    }
    all
}

fn look_after(backup: Option<&str>) -> Child {
    let mut worker = Command::new(env!("CARGO_BIN_EXE_mdadm"));
    worker.args(["--grow", "--continue", "/dev/md0"]).args(backup.map(|file| format!("--backup-file={file}")));
    worker.spawn().unwrap()
}

/// KiB of each member that have moved.
fn done() -> Option<u64> {
    let stat = vm::mdstat();
    let (_, at) = stat.split_once("reshape =")?;
    at.split_once('(')?.1.split_once('/')?.0.parse().ok()
}

/// Some of it has moved since now.
fn moved_on() {
    wait_until(Duration::from_secs(20), "it runs", || done().is_some());
    let first = done();
    wait_until(Duration::from_secs(20), "it moves", || done() > first);
}

#[test]
fn where_data_is_not_overwritten_by_itself_any_member_may_start_it_again() {
    let begun = |create, members, set, moves, spares| Begun {
        create,
        members,
        set,
        moves,
        spares,
        limit: None,
        backup: None,
        degraded: true,
    };
    let table = [
        begun("-l5 -b none", 3, &[("raid_disks", "4")], Some("1664"), 1),
        begun("-l6 -b none", 5, &[("chunk_size", "32768")], Some("1024"), 0),
        begun("-l10 -b internal", 4, &[("raid_disks", "5")], Some("1920"), 1),
        begun("-l5 -b internal", 4, &[("layout", "3")], Some("1024"), 0),
        // Not without a member: what then takes its slot gets wrong data from Linux 7.2 in the rows that are in the stripe cache.
        Begun {
            limit: Some("45056"),
            degraded: false,
            ..begun(
                "-l5 -z 22M -b none",
                4,
                &[("reshape_direction", "backwards"), ("raid_disks", "3")],
                Some("2560"),
                0,
            )
        },
    ];
    for one in table {
        let all = begin(&one);
        let listed = all.join(" ");
        println!("{} {:?}", one.create, one.set);
        mdadm(&format!("--assemble /dev/md0 {listed}")).ok();
        moved_on();
        assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);
        mdadm("--stop /dev/md0").ok();
        let readonly = mdadm(&format!("--assemble --readonly /dev/md0 {listed}"));
        if one.create.starts_with("-l10") {
            assert!(readonly.status == 1 && readonly.stderr.contains("from where it was"), "{readonly:?}");
        } else {
            readonly.ok();
            assert_eq!(attr("md0", "sync_action"), "idle");
            assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);
            mdadm("--readwrite /dev/md0").ok();
            moved_on();
            mdadm("--stop /dev/md0").ok();
        }
        // By udev's way, in any order.
        for device in all.iter().rev() {
            mdadm(&format!("-I {device}")).ok();
        }
        moved_on();
        mdadm("--stop /dev/md0").ok();
        let (missing, rest) = all.split_first().unwrap();
        let refused = mdadm(&format!("--assemble /dev/md0 {}", rest.join(" ")));
        assert!(refused.status == 1 && refused.stderr.contains("need all"), "{refused:?}");
        let first = if one.degraded { rest.join(" ") } else { listed.clone() };
        mdadm(&format!("--assemble --run /dev/md0 {first}")).ok();
        assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0], "without {missing}");
        vm::wait_sync("md0");
        assert_eq!(attr("md0", "reshape_position"), "none");
        assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);
        let done = mdadm("--grow --continue /dev/md0");
        assert!(done.status != 0 && done.stderr.contains("no reshape to continue"), "{done:?}");
        mdadm("--stop /dev/md0").ok();
        all.iter().for_each(|d| drop(mdadm(&format!("--zero-superblock {d}")).ok()));
    }
}

const BACKUP: &str = "/mnt/backup";

#[test]
fn what_overwrites_itself_goes_on_from_the_copies_and_from_none_that_are_not_its_own() {
    let begun = |create, members, set| {
        let backup = Some(BACKUP);
        Begun { create, members, set, moves: None, spares: 0, limit: None, backup, degraded: true }
    };
    let table = [
        begun("-l5 -e 1.0 -z 20M -b none", 3, &[("chunk_size", "131072")]),
        Begun { backup: None, ..begun("-l6 -b none -z 20M", 5, &[("layout", "1"), ("chunk_size", "32768")]) },
        begun("-l5 -e 0.90 -z 20M -b none", 4, &[("layout", "0")]),
    ];
    for (n, one) in table.into_iter().enumerate() {
        println!("{} {:?}", one.create, one.set);
        let all = begin(&one);
        let listed = all.join(" ");
        let named = one.backup.map_or(String::new(), |file| format!("--backup-file={file}"));
        let file = match one.backup {
            Some(file) => file.to_owned(),
            None => sh("ls /var/lib/mdadm-rs/reshape-*.backup").trim().to_owned(),
        };
        let before = fs::read(&file).unwrap();
        if n == 0 {
            copies_that_cannot_be_used(&listed, &file, &before);
        }
        let (missing, rest) = all.split_first().unwrap();
        let put_back = mdadm(&format!("--assemble --run /dev/md0 {named} {}", rest.join(" "))).ok();
        assert!(put_back.stderr.contains("restoring critical section"), "{put_back:?}");
        assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0], "without {missing}");
        moved_on();
        mdadm("--stop /dev/md0").ok();
        // Continued by the other program, and by ours again.
        if n == 0 {
            let taken = run_reference(&format!("--assemble --run /dev/md0 {named} {}", rest.join(" ")));
            if taken {
                assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);
                mdadm("--stop /dev/md0").ok();
            }
        }
        mdadm(&format!("--assemble --run /dev/md0 {named} {}", rest.join(" "))).ok();
        vm::wait_sync("md0");
        assert_eq!(attr("md0", "reshape_position"), "none");
        assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);
        let gone = || !Path::new(&file).exists() && attr("md0", "suspend_hi") == "0";
        wait_until(Duration::from_secs(20), "the backup is removed", gone);
        mdadm("--stop /dev/md0").ok();
        all.iter().for_each(|d| drop(mdadm(&format!("--zero-superblock {d}"))));
    }
}

/// Its worker stays, and whoever waits for what it prints would wait for it.
fn run_reference(line: &str) -> bool {
    let mut command = Command::new(vm::reference_path());
    command.args(line.split_whitespace()).env("MDADM_NO_SYSTEMCTL", "1").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().unwrap().success()
}

fn copies_that_cannot_be_used(listed: &str, file: &str, whole: &[u8]) {
    let refused = |what: &str| {
        let out = mdadm(&format!("--assemble /dev/md0 --backup-file={file} {listed}"));
        let lines = out.stderr.contains("Failed to restore critical section") && out.stderr.contains(what);
        assert!(out.status == 1 && lines, "{what}: {out:?}");
    };
    let with = |at: usize, byte: u8| {
        let mut bytes = whole.to_vec();
        bytes[at] ^= byte;
        fs::write(file, bytes).unwrap();
    };
    fs::remove_file(file).unwrap();
    refused("cannot be read");
    fs::write(file, &whole[..8192]).unwrap();
    refused("shorter than its header says");
    with(20, 1);
    refused("damaged");
    let half = (whole.len() - 4096) / 2;
    with(4096 + 100, 1);
    let mut both = fs::read(file).unwrap();
    both[4096 + half + 100] ^= 1;
    fs::write(file, both).unwrap();
    refused("not what was written");
    fs::write(file, vec![7; whole.len()]).unwrap();
    refused("No backup metadata");
    // A backup of another array, as the reference writes it: without our sums.
    let mut foreign = whole.to_vec();
    foreign[20] ^= 1;
    foreign[256..512].fill(0);
    fs::write(file, foreign).unwrap();
    refused("another array");
    let mut old = whole.to_vec();
    old[256..512].fill(0);
    old[35] -= 1;
    fs::write(file, old).unwrap();
    let out = mdadm(&format!("--assemble /dev/md0 --backup-file={file} {listed}"));
    assert!(out.status == 1 && out.stderr.contains("too-old timestamp"), "{out:?}");
    fs::write(file, whole).unwrap();
}

/// Of an array that is reshaped in place the worker is killed in the middle of a window.
fn without_a_worker(all: &[String]) {
    wait_until(Duration::from_secs(60), "nobody looks after the one before", || {
        sh("mkdir -p /run/mdadm; flock -n /run/mdadm/grow-md0.lock echo free || true").trim() == "free"
    });
    sh("rm -f /var/lib/mdadm-rs/reshape-*");
    all.iter().for_each(|d| drop(mdadm(&format!("--zero-superblock {d}"))));
    reference(&format!("-C /dev/md0 --run --assume-clean -c64 -n3 -l5 -z 20M -b none {}", all.join(" "))).ok();
    write_pattern("/dev/md0", 0, DATA, 7);
    set_attr("md0", "sync_action", "frozen");
    set_attr("md0", "chunk_size", "131072");
    set_attr("md0", "sync_max", "0");
    vm::sync_speed(600, 600);
    set_attr("md0", "sync_action", "reshape");
    let mut worker = look_after(None);
    moved_on();
    worker.kill().unwrap();
    worker.wait().unwrap();
    assert_ne!(attr("md0", "suspend_hi"), "0");
}

#[test]
fn who_takes_over_in_the_middle_of_a_window_keeps_its_copy() {
    let all = disks(3, 24 * MIB);
    let listed = all.join(" ");
    without_a_worker(&all);
    let before = sh("cat /var/lib/mdadm-rs/reshape-*.backup | md5sum");
    let mut worker = look_after(None);
    moved_on();
    mdadm("--stop /dev/md0").ok();
    assert!(worker.wait().unwrap().success());
    assert_eq!(sh("cat /var/lib/mdadm-rs/reshape-*.backup | md5sum"), before);
    let put_back = mdadm(&format!("--assemble /dev/md0 {listed}")).ok();
    assert!(put_back.stderr.contains("restoring critical section"), "{put_back:?}");
    assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);
    vm::wait_sync("md0");
    assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);
    mdadm("--stop /dev/md0").ok();
    // Somebody lets writes in: nobody knows what the copy is worth then.
    without_a_worker(&all);
    // So that the window does not come to its end meanwhile.
    vm::sync_speed(1, 1);
    let seen = mdadm("-D /dev/md0").ok();
    for words in [
        "Reshape Position : ",
        "Critical Section : now",
        "Reshape Waits : nobody looks after it: mdadm --grow --continue",
    ] {
        assert!(seen.stdout.contains(words), "{words}: {seen:?}");
    }
    let seen = mdadm("-D --json /dev/md0").ok();
    assert!(seen.stdout.contains("\"abandoned\": true"), "{seen:?}");
    let waited = mdadm("--wait /dev/md0");
    assert!(waited.status == 1 && waited.stderr.contains("waits for whoever looks after it"), "{waited:?}");
    set_attr("md0", "suspend_hi", "0");
    for _ in 0..2 {
        let refused = mdadm("--grow --continue /dev/md0");
        assert!(refused.status == 1 && refused.stderr.contains("gone further than is written down"), "{refused:?}");
        assert_eq!(attr("md0", "sync_action"), "frozen");
    }
    mdadm("--stop /dev/md0").ok();
    mdadm(&format!("--assemble --readonly /dev/md0 {listed}")).ok();
    let refused = mdadm("--grow --continue /dev/md0");
    assert!(refused.status == 1 && refused.stderr.contains("/dev/md0 is read-only"), "{refused:?}");
    assert_eq!(attr("md0", "array_state"), "readonly");
    mdadm("--stop /dev/md0").ok();
    mdadm(&format!("--assemble /dev/md0 {listed}")).ok();
    vm::wait_sync("md0");
    assert_eq!(attr("md0", "reshape_position"), "none");
    assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);
}

#[test]
fn a_member_that_is_rebuilt_after_a_reshape_gets_what_was_reshaped_last() {
    let all = disks(4, 24 * MIB);
    for in_place in [false, true] {
        let size = if in_place { "22M -e 1.0" } else { "20M" };
        let four = all[..4].join(" ");
        reference(&format!("-C /dev/md0 --run --assume-clean -c64 -n4 -l5 -z {size} -b none {four}")).ok();
        write_pattern("/dev/md0", 0, DATA, 7);
        mdadm("--grow /dev/md0 --array-size=40960").ok();
        vm::sync_speed(2500, 2500);
        mdadm("--grow /dev/md0 --raid-devices=3").ok();
        vm::wait_sync("md0");
        let over = || mdadm("--grow --continue /dev/md0").stderr.contains("no reshape to continue");
        wait_until(Duration::from_secs(20), "nobody looks after it", over);
        assert_eq!((attr("md0", "stripe_cache_size"), attr("md0", "suspend_hi")), ("256".into(), "0".into()));
        mdadm(&format!("/dev/md0 --fail {}", all[0])).ok();
        vm::wait_sync("md0");
        wait_until(Duration::from_secs(20), "it is rebuilt", || attr("md0", "degraded") == "0");
        mdadm("--stop /dev/md0").ok();
        mdadm(&format!("--assemble --run /dev/md0 {}", all[2..4].join(" "))).ok();
        assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0], "in place: {in_place}");
        mdadm("--stop /dev/md0").ok();
        all.iter().for_each(|d| drop(mdadm(&format!("--zero-superblock {d}"))));
    }
}

#[test]
fn without_room_or_a_place_for_copies_nothing_moves_until_there_is_one() {
    let all = disks(3, 24 * MIB);
    reference(&format!("-C /dev/md0 --run --assume-clean -c64 -n3 -l5 -z 20M -b none {}", all.join(" "))).ok();
    write_pattern("/dev/md0", 0, DATA, 7);
    sh("mkdir /mnt/full; mount -t tmpfs -o size=1M full /mnt/full");
    set_attr("md0", "sync_action", "frozen");
    set_attr("md0", "chunk_size", "131072");
    set_attr("md0", "sync_max", "0");
    set_attr("md0", "sync_action", "reshape");
    fs::write("/mnt/other", "somebody's").unwrap();
    for (file, why) in
        [("/mnt/full/backup", "No space left"), ("/mnt/other", "not overwritten"), ("/mnt", "is a directory")]
    {
        let out = mdadm(&format!("--grow --continue /dev/md0 --backup-file={file}"));
        assert!(out.status == 1 && out.stderr.to_lowercase().contains(&why.to_lowercase()), "{out:?}");
        assert_eq!((attr("md0", "reshape_position"), attr("md0", "suspend_hi")), ("0".into(), "0".into()));
    }
    assert_eq!(fs::read_to_string("/mnt/other").unwrap(), "somebody's");
    mdadm("--grow --continue /dev/md0").ok();
    assert_eq!(attr("md0", "reshape_position"), "none");
    assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);
}

#[test]
fn a_reshape_goes_back_to_where_it_came_from() {
    let begun = |create, members, set, moves, spares| Begun {
        create,
        members,
        set,
        moves: Some(moves),
        spares,
        limit: None,
        backup: None,
        degraded: true,
    };
    let table = [
        begun("-l5 -b none", 3, &[("raid_disks", "4")], "1664", 1),
        begun("-l6 -b none", 5, &[("chunk_size", "32768")], "1024", 0),
        begun("-l5 -b internal", 4, &[("layout", "3")], "1024", 0),
    ];
    for one in table {
        println!("{} {:?}", one.create, one.set);
        let all = begin(&one);
        let listed = all.join(" ");
        // Aligned for both directions within a few stops at most.
        let uuid = mdadm(&format!("--examine --export {}", all[0])).ok().stdout;
        let uuid = uuid.lines().find_map(|l| l.strip_prefix("MD_UUID=")).unwrap().replace(':', "-");
        let follows = format!("/var/lib/mdadm-rs/after-reshape-{uuid}.json");
        sh("mkdir -p -m 700 /var/lib/mdadm-rs");
        fs::write(&follows, r#"{"schema":"mdadm-rs/after-reshape/1","levels":["raid0"]}"#).unwrap();
        let turned = (0..12).any(|_| {
            let back = mdadm(&format!("--assemble --update=revert-reshape /dev/md0 {listed}"));
            if back.status == 0 {
                assert!(back.stderr.contains("would have become a raid0") && !Path::new(&follows).exists(), "{back:?}");
                return true;
            }
            assert!(Path::new(&follows).exists());
            mdadm(&format!("--assemble /dev/md0 {listed}")).ok();
            moved_on();
            mdadm("--stop /dev/md0").ok();
            false
        });
        assert!(turned);
        // So little may have moved that it is back already: what it is in the end is looked at below.
        assert!(attr("md0", "reshape_direction") == "backwards" || attr("md0", "reshape_position") == "none");
        assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);
        sync_speed_up();
        wait_until(Duration::from_secs(60), "it is back", || attr("md0", "reshape_position") == "none");
        assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);
        assert_eq!((attr("md0", "raid_disks"), attr("md0", "chunk_size")), (one.members.to_string(), "65536".into()));
        assert_eq!(attr("md0", "layout"), "2");
        mdadm("--stop /dev/md0").ok();
        let none = mdadm(&format!("--assemble --update=revert-reshape /dev/md0 {listed}"));
        assert!(none.status != 0 && none.stderr.contains("No active reshape"), "{none:?}");
        all.iter().for_each(|d| drop(mdadm(&format!("--zero-superblock {d}"))));
    }
}

fn sync_speed_up() {
    vm::sync_speed(1_000_000, 2_000_000);
}

fn put_away(all: &[String]) {
    mdadm("--stop /dev/md0").ok();
    all.iter().for_each(|d| drop(mdadm(&format!("--zero-superblock {d}"))));
}

/// A raid5 of three with a spare, whose reshape to four has come so far that `sync_max` allows, and nobody looks after it.
fn grow_in_place(options: &str, all: &[String], sync_max: &str) {
    reference(&format!("-C /dev/md0 --run --assume-clean -c64 -n3 -l5 {options} -b none {}", all[..3].join(" "))).ok();
    reference(&format!("/dev/md0 --add {}", all[3])).ok();
    write_pattern("/dev/md0", 0, DATA, 7);
    for (name, value) in
        [("sync_action", "frozen"), ("sync_max", sync_max), ("raid_disks", "4"), ("sync_action", "reshape")]
    {
        set_attr("md0", name, value);
    }
}

fn uuid_of(device: &str) -> Uuid {
    let export = mdadm(&format!("--examine --export {device}")).ok().stdout;
    Uuid::parse(export.lines().find_map(|l| l.strip_prefix("MD_UUID=")).unwrap()).unwrap()
}

/// Seconds since 1970.
fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn what_was_cut_before_its_first_step_is_what_it_was_before() {
    let all = disks(4, 24 * MIB);
    let listed = all.join(" ");
    for (n, options) in ["-e 1.0 -z 22M", "-e 0.90 -z 20M"].into_iter().enumerate() {
        grow_in_place(options, &all, "0");
        wait_until(Duration::from_secs(20), "it is written down", || {
            mdadm(&format!("--examine {}", all[0])).stdout.contains("Reshape pos")
        });
        let uuid = uuid_of(&all[0]);
        mdadm("--stop /dev/md0").ok();
        let refused = mdadm(&format!("--assemble /dev/md0 {listed}"));
        assert!(refused.status == 1 && refused.stderr.contains("no copy of that was found"), "{refused:?}");
        let how = if n == 0 {
            let nothing = Header { uuid, mtime: now(), at: 0, windows: Vec::new(), data_crc: None };
            fs::write(BACKUP, nothing.bytes()).unwrap();
            format!("--backup-file={BACKUP}")
        } else {
            "--invalid-backup --backup-file=/mnt/none".to_owned()
        };
        let back = mdadm(&format!("--assemble {how} /dev/md0 {listed}")).ok();
        assert!(back.stderr.contains("nothing of its reshape had moved yet"), "{back:?}");
        let is_whole = || {
            assert_eq!(["raid_disks", "degraded", "reshape_position"].map(|a| attr("md0", a)), ["3", "0", "none"]);
            assert!(vm::mdstat().contains("(S)"), "{}", vm::mdstat());
            assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);
        };
        is_whole();
        mdadm("--stop /dev/md0").ok();
        mdadm(&format!("--assemble /dev/md0 {listed}")).ok();
        is_whole();
        put_away(&all);
    }
}

/// As mdadm 4.6 keeps copies where there is a spare: behind the data of the new member, with a header at its end.
#[test]
fn copies_on_a_new_member_are_put_back() {
    let all = disks(4, 24 * MIB);
    let (step, saved) = (3 * 128, 4 * 3 * 128);
    reference(&format!("-C /dev/md0 --run --assume-clean -c64 -n3 -l5 -e 1.0 -z 22M -b none {}", all[..3].join(" ")))
        .ok();
    write_pattern("/dev/md0", 0, DATA, 7);
    let first = fs::File::open("/dev/md0").unwrap();
    let mut data = vec![0; saved * 512];
    first.read_exact_at(&mut data, 0).unwrap();
    drop(first);
    put_away(&all);
    grow_in_place("-e 1.0 -z 22M", &all, "128");
    wait_until(Duration::from_secs(20), "one step is written down", || {
        attr("md0", "reshape_position") == step.to_string()
    });
    let (uuid, size) = (uuid_of(&all[0]), attr("md0", "component_size").parse::<u64>().unwrap() * 2);
    mdadm("--stop /dev/md0").ok();
    let windows = vec![Window { kept_at: 0, start: 0, len: saved as u64 }];
    let header = Header { uuid, mtime: now(), at: 0, windows, data_crc: None };
    let new = fs::File::options().write(true).open(&all[3]).unwrap();
    new.write_all_at(&data, (size - 8 - saved as u64) * 512).unwrap();
    // Without our sums, as mdadm 4.6 writes it.
    new.write_all_at(&header.bytes()[..256], (size - 8) * 512).unwrap();
    new.sync_all().unwrap();
    let put_back = mdadm(&format!("--assemble /dev/md0 {}", all.join(" "))).ok();
    assert!(put_back.stderr.contains(&format!("restoring critical section from {}", all[3])), "{put_back:?}");
    assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);
    vm::wait_sync("md0");
    assert_eq!(["raid_disks", "reshape_position"].map(|a| attr("md0", a)), ["4", "none"]);
    assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);
}

#[test]
fn what_was_cut_in_its_last_window_is_done_with_its_copy_and_without_it_only_if_told_so() {
    let all = disks(4, 24 * MIB);
    let listed = all.join(" ");
    // The last two steps, of two members' data each: what comes next overwrites itself.
    let left = 2 * 2 * 128;
    for (options, with_copy) in [("-e 0.90 -z 20M", true), ("-e 1.0 -z 20M", true), ("-e 1.0 -z 20M", false)] {
        reference(&format!("-C /dev/md0 --run --assume-clean -c64 -n4 -l5 {options} -b none {listed}")).ok();
        write_pattern("/dev/md0", 0, DATA, 7);
        let mut data = vec![0; left as usize * 512];
        fs::File::open("/dev/md0").unwrap().read_exact_at(&mut data, 0).unwrap();
        let size = attr("md0", "component_size").parse::<u64>().unwrap() * 2;
        let set = [
            ("array_size", (size).to_string()),
            ("sync_action", "frozen".into()),
            ("reshape_direction", "backwards".into()),
            ("raid_disks", "3".into()),
            ("sync_max", (size - left / 2).to_string()),
            ("sync_action", "reshape".into()),
        ];
        let wanted = |name: &str| !(options.contains("0.90") && name == "reshape_direction");
        set.iter().filter(|(name, _)| wanted(name)).for_each(|(name, value)| set_attr("md0", name, value));
        let there = || mdadm(&format!("--examine {}", all[3])).stdout.contains(&format!("pos'n : {}\n", left / 2));
        wait_until(Duration::from_secs(30), "all but the last has moved", there);
        let uuid = uuid_of(&all[0]);
        mdadm("--stop /dev/md0").ok();
        if with_copy {
            let windows = vec![Window { kept_at: 8, start: 0, len: left }];
            let header =
                Header { uuid, mtime: now(), at: 0, windows, data_crc: Some(mdadm::saved::crc::crc32c(&data)) };
            let file = [header.bytes().as_slice(), &[0; 4096 - 512], &data].concat();
            fs::write(BACKUP, file).unwrap();
            let done = mdadm(&format!("--assemble --backup-file={BACKUP} /dev/md0 {listed}")).ok();
            assert!(done.stderr.contains("restoring critical section"), "{options}: {done:?}");
            assert!(done.stderr.contains("all data of its reshape has moved"), "{done:?}");
        } else {
            let refused = mdadm(&format!("--assemble /dev/md0 {listed}"));
            assert!(refused.status == 1 && refused.stderr.contains("--invalid-backup"), "{refused:?}");
            mdadm(&format!("--assemble --invalid-backup --backup-file=/mnt/none /dev/md0 {listed}")).ok();
            vm::wait_sync("md0");
        }
        wait_until(Duration::from_secs(30), "it is over", || attr("md0", "reshape_position") == "none");
        assert_eq!(["raid_disks", "degraded"].map(|a| attr("md0", a)), ["3", "0"]);
        assert!(vm::mdstat().contains("(S)"), "{}", vm::mdstat());
        assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);
        set_attr("md0", "sync_action", "check");
        vm::wait_sync("md0");
        assert_eq!(attr("md0", "mismatch_cnt"), "0");
        put_away(&all);
    }
}

/// What goes wrong while it runs costs one line, and no data.
#[test]
fn a_lost_member_and_a_lost_backup_stop_nothing_for_good() {
    let all = disks(5, 24 * MIB);
    let listed = all.join(" ");
    let begin = |speed: u32| {
        reference(&format!("-C /dev/md0 --run --assume-clean -c64 -n5 -l6 -e 0.90 -z 20M -b none {listed}")).ok();
        write_pattern("/dev/md0", 0, DATA, 7);
        for (name, value) in [("sync_action", "frozen"), ("chunk_size", "131072"), ("sync_max", "0")] {
            set_attr("md0", name, value);
        }
        vm::sync_speed(speed, speed);
        set_attr("md0", "sync_action", "reshape");
    };
    let is_over = || {
        wait_until(Duration::from_secs(60), "it is over", || attr("md0", "reshape_position") == "none");
        vm::wait_sync("md0");
        assert_eq!(verify_pattern("/dev/md0", 0, DATA, 7), [0; 0]);
    };
    // The file goes while it runs: it stops where it is, with nothing closed to writes, and goes on with another one.
    begin(2500);
    let mut worker = Command::new(env!("CARGO_BIN_EXE_mdadm"));
    worker.args(["--grow", "--continue", "/dev/md0", "--backup-file=/mnt/backup"]).stderr(Stdio::piped());
    let worker = worker.spawn().unwrap();
    moved_on();
    fs::remove_file("/mnt/backup").unwrap();
    let said = worker.wait_with_output().unwrap();
    let text = String::from_utf8(said.stderr).unwrap();
    assert!(said.status.code() == Some(1) && text.contains("/mnt/backup is not there any more"), "{text}");
    assert!(text.contains("mdadm --grow --continue /dev/md0"), "{text}");
    assert_eq!((attr("md0", "suspend_hi"), attr("md0", "degraded")), ("0".into(), "0".into()));
    // A member goes: it goes on without.
    let mut worker = look_after(None);
    moved_on();
    mdadm(&format!("/dev/md0 --fail {}", all[1])).ok();
    moved_on();
    sync_speed_up();
    assert!(worker.wait().unwrap().success());
    is_over();
    assert_eq!(attr("md0", "degraded"), "1");
    put_away(&all);
}
