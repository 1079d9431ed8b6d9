//! Manage mode on members of running arrays, in the guest, beside the reference.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use vm::{MIB, Output, attr, mdadm, mdstat, sh};

type Mdadm = fn(&str) -> Output;

/// Makes an array of loop devices, the same for ours and the reference.
fn create(words: &str, disks: &[String]) {
    sh(&format!("for d in {}; do dd if=/dev/zero of=$d bs=1M count=1 conv=notrunc status=none; done", disks.join(" ")));
    let made = format!("--create /dev/md0 -q --run --assume-clean {words} {}", disks.join(" "));
    vm::reference(&made).ok();
}

/// What a series of commands prints and returns, on a fresh array each time.
fn said(by: Mdadm, create_words: &str, disks: &[String], lines: &[&str]) -> Vec<(String, i32, String, String)> {
    create(create_words, disks);
    let mut all = Vec::new();
    for line in lines {
        let mut line = (*line).to_owned();
        for (n, disk) in disks.iter().enumerate() {
            line = line.replace(&format!("#{n}"), disk);
        }
        let out = by(&line);
        all.push((line, out.status, out.stdout, out.stderr));
        if std::fs::read_to_string("/sys/block/md0/md/sync_action").is_ok_and(|a| a.trim() != "idle") {
            vm::wait_sync("md0");
        }
    }
    vm::reference("--stop /dev/md0").ok();
    all
}

/// Status and stdout as the reference; stderr begins with what it says, further lines may follow.
#[track_caller]
fn same(create_words: &str, disks: &[String], lines: &[&str]) {
    let (want, got) = (said(vm::reference, create_words, disks, lines), said(mdadm, create_words, disks, lines));
    for (want, got) in want.iter().zip(&got) {
        assert_eq!((&got.0, got.1, &got.2), (&want.0, want.1, &want.2), "stderr {} and {}", got.3, want.3);
        // What is overwritten is saved, and a note says where.
        let said: String =
            got.3.lines().filter(|l| !l.starts_with("mdadm: note: ")).map(|l| format!("{l}\n")).collect();
        assert!(said.starts_with(&want.3), "{}: {} and {}", got.0, got.3, want.3);
    }
}

#[test]
fn failing_and_removing_says_and_returns_what_the_reference_does() {
    let disks = vm::disks(4, 40 * MIB);
    let other = vm::disk(20 * MIB);
    let in_array = &disks[..3];
    let number = format!("--manage /dev/md0 --fail {other}");
    same(
        "-l1 -n3 -b none",
        in_array,
        &[
            "/dev/md0 --fail #0",
            "/dev/md0 --fail #0",
            "--manage /dev/md0 -v -f #1",
            "/dev/md0 --fail #2",
            "/dev/md0 --remove #2",
            "/dev/md0 -r #0 #1",
            "/dev/md0 --remove #0",
            "--manage /dev/md0 --test --remove failed",
            "--manage /dev/md0 --remove failed detached faulty",
            "--manage /dev/md0 --fail detached --test",
            &number,
            "/dev/md0 --fail /dev/nope",
            "/dev/md0 --fail /dev/null",
            "/dev/md0 --remove /etc",
            "/dev/md0 --fail failed",
            "/dev/md0 --remove missing",
            "/dev/md0 --fail nope",
            "/dev/md0 --fail set-A",
            "/dev/md0 --fail",
            "--manage /dev/md0",
            "/dev/md7 --fail #0",
            "/dev/loop0 --fail #0",
        ],
    );
    let name = disks[1].trim_start_matches("/dev/").to_owned();
    let (fail, remove) =
        (format!("/dev/md0 --fail {name} --set-faulty #2"), format!("/dev/md0 --remove {name} -r faulty"));
    same("-l6 -n4 -b none", &disks, &[&fail, "/dev/md0 --fail #0", &remove, "--manage /dev/md0 --readonly --fail #0"]);
    same(
        "-l10 -n4 -b none",
        &disks,
        &[
            "/dev/md0 --fail set-C",
            "/dev/md0 --fail set-A",
            "/dev/md0 --fail #1",
            "/dev/md0 --remove set-B",
            "--manage /dev/md0 --remove failed",
            "--manage /dev/md0 --test --remove failed",
        ],
    );
    same("-l0 -n2", &disks[..2], &["/dev/md0 --fail #0", "/dev/md0 --remove #1"]);
}

/// A disk of scsi_debug, 8 MiB, with a store of its own.
fn scsi_disk(name: &str) {
    sh("cd /sys/bus/pseudo/drivers/scsi_debug; echo 1 > per_host_store; echo 1 > add_host");
    let path = format!("/dev/{name}");
    vm::wait_until(std::time::Duration::from_secs(20), &path, || std::fs::exists(&path).unwrap());
}

#[test]
fn members_that_are_gone_from_the_machine_are_failed_and_removed_as_detached() {
    let disks = vm::disks(3, 8 * MIB);
    let lines = ["--fail detached", "--fail detached", "--remove detached", "--remove detached"];
    let [theirs, ours] = [vm::reference as Mdadm, mdadm].map(|by| {
        scsi_disk("sda");
        scsi_disk("sdb");
        create(&format!("-l1 -n5 -b none {} /dev/sda /dev/sdb {} {}", disks[0], disks[1], disks[2]), &[]);
        // One that is faulty and there stays.
        by(&format!("/dev/md0 --fail {}", disks[2])).ok();
        let slot = format!("dev-{}/slot", disks[2].trim_start_matches("/dev/"));
        let limit = std::time::Duration::from_secs(20);
        vm::wait_until(limit, "the superblocks are written", || attr("md0", &slot) == "none");
        sh("for d in sda sdb; do echo 1 > /sys/block/$d/device/delete; done");
        vm::wait_until(limit, "they are gone", || {
            !["8:0", "8:16"].iter().any(|n| std::fs::exists(format!("/sys/dev/block/{n}")).unwrap())
        });
        let mut said = Vec::new();
        for line in lines {
            let out = by(&format!("--manage /dev/md0 --test {line}"));
            let member = mdstat().lines().find(|l| l.starts_with("md0 ")).unwrap().to_owned();
            said.push((out.status, out.stdout, out.stderr, member, attr("md0", "degraded")));
        }
        vm::reference("--stop /dev/md0").ok();
        said
    });
    assert_eq!(theirs, ours);
    let [first, .., last] = &ours[..] else { panic!() };
    assert!(first.3.contains("sda[1](F)") && first.3.contains("sdb[2](F)"), "{ours:?}");
    assert!(!last.3.contains("sd") && last.3.contains("[4](F)") && last.0 == 2, "{ours:?}");
}

#[test]
fn an_array_is_stopped_behind_the_operations_on_its_members() {
    let disks = vm::disks(2, 40 * MIB);
    create("-l1 -n2 -b none", &disks);
    let out = mdadm(&format!("/dev/md0 --fail {} --remove failed --stop", disks[0])).ok();
    assert_eq!(out.stdout, "mdadm: stopped /dev/md0\n");
    assert!(!mdstat().contains("md0"));
}

#[test]
fn the_last_good_copy_of_data_is_not_taken_whatever_the_member_is_called() {
    let disks = vm::disks(3, 40 * MIB);
    sh(&format!("DM_DISABLE_UDEV=1 dmsetup create member --table '0 81920 linear {} 0'; dmsetup mknodes", disks[1]));
    let (whole, part) = (&disks[2], format!("{}p1", disks[2]));
    let file = sh(&format!("losetup -n -O BACK-FILE {whole}"));
    sh(&format!("echo '2048,,fd' | sfdisk -q {whole}; losetup -d {whole}; losetup -P {whole} {}", file.trim()));
    let members = [disks[0].clone(), "/dev/mapper/member".to_owned(), part.clone()];
    create("-l5 -n3 -b none", &members);
    mdadm(&format!("/dev/md0 --fail {}", members[0])).ok();
    sh(&format!("ln -s /dev/mapper/member /run/other-name; ln -s {part} /run/other-part"));
    let kname = part.trim_start_matches("/dev/");
    for name in ["/dev/mapper/member", "/run/other-name", "/dev/dm-0", "dm-0", &part, kname, "/run/other-part"] {
        let out = mdadm(&format!("/dev/md0 --fail {name}"));
        let line = format!("mdadm: Cannot remove {name} from /dev/md0, array will be failed.\n");
        assert_eq!((out.status, out.stderr), (1, line));
    }
    // The disk of the partition is no member, and the partition is not taken for it.
    let out = mdadm(&format!("/dev/md0 --fail {whole}"));
    assert!(out.status == 1 && out.stderr.contains(&format!("{whole}: No such device")), "{}", out.stderr);
    assert!(attr("md0", &format!("dev-{kname}/state")).contains("in_sync"));
    assert!(attr("md0", "dev-dm-0/state").contains("in_sync"));
    let forced = "--manage /dev/md0 --force --fail /dev/mapper/member";
    // The kernel does it, and says EBUSY because the array is broken now.
    let out = mdadm(forced);
    assert_eq!(out.status, 2, "{}", out.stderr);
    assert!(out.stderr.contains("the array is broken now: it had no other good copy of that data"), "{}", out.stderr);
    assert!(out.stderr.contains("mdadm --assemble --force starts it again"), "{}", out.stderr);
    assert!(attr("md0", "dev-dm-0/state").contains("faulty"));
    mdadm("--stop /dev/md0").ok();
    sh("DM_DISABLE_UDEV=1 dmsetup remove member");
    // Of two sets of a raid10 one stays.
    let disks = vm::disks(4, 20 * MIB);
    create("-l10 -n4 -b none", &disks);
    let out = mdadm("/dev/md0 --fail set-A set-B");
    assert!(out.status == 1 && out.stderr.contains("array will be failed"), "{}", out.stderr);
    // The path of a disk the reference refuses with --force too.
    assert_eq!(vm::reference(&format!("--manage /dev/md0 --force --fail {}", disks[1])).status, 1);
    assert_eq!((attr("md0", "degraded").as_str(), attr("md0", "array_state").as_str()), ("2", "clean"));
    mdadm("--stop /dev/md0").ok();
}

#[test]
fn the_last_good_copy_of_a_bad_block_is_not_taken() {
    let disks = vm::disks(3, 40 * MIB);
    create("-l5 -n3 -b none", &disks);
    let names: Vec<&str> = disks.iter().map(|d| d.trim_start_matches("/dev/")).collect();
    vm::set_attr("md0", &format!("dev-{}/state", names[0]), "write_error");
    vm::set_attr("md0", &format!("dev-{}/bad_blocks", names[0]), "20000 8");
    let out = mdadm(&format!("/dev/md0 --fail {}", disks[1]));
    let first = format!("mdadm: Cannot remove {} from /dev/md0, data will be lost.\n", disks[1]);
    assert!(out.status == 1 && out.stderr.starts_with(&first), "{}", out.stderr);
    assert!(out.stderr.contains(&format!("{} has bad blocks", names[0])), "{}", out.stderr);
    mdadm(&format!("/dev/md0 --fail {}", disks[0])).ok();
}

#[test]
fn the_plan_follows_from_step_to_step_and_touches_nothing() {
    let disks = vm::disks(2, 40 * MIB);
    create("-l1 -n2 -b none", &disks);
    let before = (mdstat(), attr("md0", "degraded"));
    let line = format!("/dev/md0 --plan --fail {0} --remove {0}", disks[0]);
    let out = mdadm(&line).ok();
    let n = disks[0].trim_start_matches("/dev/loop");
    let steps = format!("ioctl  md0 SET_DISK_FAULTY {0} (7:{n})\nioctl  md0 HOT_REMOVE_DISK {0} (7:{n})\n", disks[0]);
    assert_eq!((out.stdout, out.stderr), (steps, String::new()));
    let refused = mdadm(&format!("{line} --fail {}", disks[1]));
    assert!(refused.status == 1 && refused.stderr.contains("array will be failed"), "{}", refused.stderr);
    let json: serde_json::Value = serde_json::from_str(&mdadm(&format!("{line} --json")).ok().stdout).unwrap();
    assert_eq!(json[0]["steps"][1]["ioctl"], "HOT_REMOVE_DISK");
    assert_eq!((mdstat(), attr("md0", "degraded")), before);
}

/// An array loses a member, gets a new one by ours, is rebuilt, loses another member, and still has its data; the reference
/// starts it from what is left.
fn replaces_a_member(level: &str, count: usize, bitmap: &str, metadata: &str) {
    let words = vm::or_internal(&format!("-l{level} -n{count} -e {metadata} --bitmap={bitmap}"));
    let disks = vm::disks(count + 1, 64 * MIB);
    mdadm(&format!("--create /dev/md0 -q --run --assume-clean {words} {}", disks[..count].join(" "))).ok();
    vm::write_pattern("/dev/md0", 0, 24 * MIB, 3);
    mdadm(&format!("/dev/md0 --fail {0} --remove {0}", disks[0])).ok();
    vm::write_pattern("/dev/md0", 8 * MIB, 8 * MIB, 3);
    let added = mdadm(&format!("/dev/md0 --add {}", disks[count])).ok();
    assert_eq!(added.stderr, format!("mdadm: added {}\n", disks[count]));
    vm::wait_until(std::time::Duration::from_secs(60), "the new member is in sync", || attr("md0", "degraded") == "0");
    vm::wait_sync("md0");
    mdadm(&format!("/dev/md0 --fail {0} --remove {0}", disks[1])).ok();
    assert_eq!(vm::verify_pattern("/dev/md0", 0, 24 * MIB, 3), [0; 0], "{words}");
    mdadm("--stop /dev/md0").ok();
    let mut left = disks[2..].to_vec();
    left.reverse();
    let start = format!("--assemble --run /dev/md0 {}", left.join(" "));
    vm::reference(&start).ok();
    assert_eq!(vm::verify_pattern("/dev/md0", 0, 24 * MIB, 3), [0; 0], "{words}, assembled");
    vm::reference("--stop /dev/md0").ok();
}

#[test]
fn a_new_member_of_a_raid1_is_rebuilt() {
    replaces_a_member("1", 3, "none", "1.2");
    replaces_a_member("1", 2, "internal", "1.0");
    replaces_a_member("1", 2, "lockless", "1.2");
}

#[test]
fn a_new_member_of_a_raid5_is_rebuilt() {
    replaces_a_member("5", 3, "none", "1.0");
    replaces_a_member("5", 3, "internal", "1.2");
    replaces_a_member("5", 3, "lockless", "1.1");
}

#[test]
fn a_new_member_of_a_raid6_is_rebuilt() {
    replaces_a_member("6", 4, "none", "1.1");
    replaces_a_member("6", 4, "internal", "1.1");
    replaces_a_member("6", 5, "lockless", "1.2");
}

#[test]
fn a_new_member_of_a_raid10_is_rebuilt() {
    replaces_a_member("10", 4, "none", "1.2");
    replaces_a_member("10", 3, "internal", "1.2");
    replaces_a_member("10", 4, "lockless", "1.0");
}

#[test]
fn what_is_written_on_a_new_member_is_what_the_reference_writes() {
    let disks = vm::disks(3, 64 * MIB);
    for (metadata, bitmap) in
        [("1.0", "none"), ("1.1", "internal"), ("1.2", "none"), ("1.2", "internal"), ("1.0", "internal")]
    {
        let examined = |by: Mdadm| {
            create(&format!("-l5 -n2 -e {metadata} --bitmap={bitmap}"), &disks[..2]);
            sh(&format!("dd if=/dev/zero of={} bs=1M count=64 conv=notrunc status=none", disks[2]));
            by(&format!("/dev/md0 --add-spare {}", disks[2])).ok();
            let text = vm::reference(&format!("--examine {}", disks[2])).ok().stdout;
            vm::reference("--stop /dev/md0").ok();
            let own = ["UUID", "Time", "Checksum"];
            text.lines().filter(|l| !own.iter().any(|w| l.contains(w))).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(examined(mdadm), examined(vm::reference), "{metadata} {bitmap}");
    }
}

#[test]
fn a_device_that_cannot_be_a_member_is_refused_before_anything_is_written() {
    let disks = vm::disks(3, 40 * MIB);
    let small = vm::disk(20 * MIB);
    let large_sectors = vm::disk_with_blocks(64 * MIB, 4096);
    create("-l1 -n2 -b none", &disks[..2]);
    for device in [&small, &disks[0], "/dev/nope", "/etc/passwd", "/tmp"] {
        let line = format!("/dev/md0 --add {device}");
        let (want, got) = (vm::reference(&line), mdadm(&line));
        assert_eq!((got.status, &got.stdout), (want.status, &want.stdout), "{line}");
        let first = want.stderr.lines().next().unwrap();
        assert!(got.stderr.starts_with(first), "{}{}", got.stderr, want.stderr);
    }
    let line = format!("--manage /dev/md0 --add {large_sectors}");
    let refused = mdadm(&line);
    assert!(refused.status == 1 && refused.stderr.contains("sectors of 4096 bytes"), "{}", refused.stderr);
    assert_eq!(sh(&format!("cmp -n 65536 {large_sectors} /dev/zero && echo same")), "same\n");
    assert!(mdadm(&format!("{line} --plan")).status == 1);
    let planned = mdadm(&format!("/dev/md0 --plan --add {}", disks[2])).ok();
    assert!(planned.stdout.contains("ADD_NEW_DISK"), "{}", planned.stdout);
    assert_eq!(sh(&format!("cmp -n 65536 {} /dev/zero && echo same", disks[2])), "same\n");
    mdadm(&format!("--manage /dev/md0 --allow-sector-size-change --add {large_sectors}")).ok();
    assert!(attr("md0", &format!("dev-{}/state", large_sectors.trim_start_matches("/dev/"))).contains("spare"));
    let detail = mdadm("--detail /dev/md0").ok().stdout;
    assert!(detail.contains("       Sector Size : 512, 4096 from the next assembly on\n"), "{detail}");
    let json = mdadm("--detail /dev/md0 --json").ok().stdout;
    assert!(json.contains("\"sector_size_bytes\": 512") && json.contains("\"next_sector_size_bytes\": 4096"), "{json}");
    vm::set_attr("md0", "array_state", "readonly");
    let line = format!("/dev/md0 --add {}", disks[2]);
    let (want, got) = (vm::reference(&line), mdadm(&line));
    assert_eq!((got.status, got.stderr.lines().next()), (want.status, want.stderr.lines().next()));
}

#[test]
fn write_mostly_and_failfast_are_told_to_the_kernel_and_written() {
    let disks = vm::disks(4, 40 * MIB);
    create("-l1 -n2 -b none", &disks[..2]);
    let out = mdadm(&format!(
        "--manage /dev/md0 --write-mostly --failfast --add {} --readwrite --nofailfast {}",
        disks[2], disks[3]
    ))
    .ok();
    assert_eq!(out.stderr, format!("mdadm: added {}\nmdadm: added {}\n", disks[2], disks[3]));
    let state = |n: usize| attr("md0", &format!("dev-{}/state", disks[n].trim_start_matches("/dev/")));
    assert!(state(2).contains("write_mostly") && state(2).contains("failfast"), "{}", state(2));
    assert!(!state(3).contains("write_mostly") && !state(3).contains("failfast"), "{}", state(3));
    assert_eq!(attr("md0", "sync_action"), "idle");
    // Both are taken when they are needed; the reference calls the first faulty.
    for disk in &disks[..2] {
        mdadm(&format!("/dev/md0 --fail {disk}")).ok();
        let limit = std::time::Duration::from_secs(60);
        vm::wait_until(limit, "the spare is rebuilt", || attr("md0", "degraded") == "0");
        vm::wait_sync("md0");
    }
    assert!(state(2).contains("in_sync") && state(3).contains("in_sync"), "{} {}", state(2), state(3));
    mdadm("--manage /dev/md0 --readwrite").ok();
    mdadm("--manage /dev/md0 --readonly").ok();
    mdadm("--manage /dev/md0 --readwrite").ok();
    assert_eq!(attr("md0", "array_state"), "clean");
}

/// An array that time is left to.
struct Settled {
    name: &'static str,
    words: String,
    disks: Vec<String>,
}

impl Settled {
    /// Makes arrays by ours, all at once as it takes time, and lets the clocks tell their start from what follows. `more` disks
    /// of each are not in the array.
    fn arrays(shapes: &[(&str, usize)], more: usize) -> Vec<Settled> {
        // superblocks have whole seconds, and the kernel log begins with the guest
        std::thread::sleep(std::time::Duration::from_secs(3));
        let mut arrays: Vec<Settled> = Vec::new();
        for ((words, count), name) in shapes.iter().zip(["md0", "md1", "md2", "md3"]) {
            // A bitmap whose chunks are small shows how much is rebuilt.
            let words = vm::or_internal(words).replace("=internal", "=internal --bitmap-chunk=64");
            if arrays.iter().any(|a| a.words == words) {
                continue;
            }
            let disks = vm::disks(count + more, 64 * MIB);
            let members = disks[..*count].join(" ");
            mdadm(&format!("--create /dev/{name} -q --run --assume-clean --delay=1 {words} {members}")).ok();
            arrays.push(Settled { name, words, disks });
        }
        arrays.iter().for_each(|a| a.write(0, 24, 1));
        // a bitmap's daemon has cleared what was written
        std::thread::sleep(std::time::Duration::from_secs(5));
        let limit = std::time::Duration::from_secs(60);
        for array in arrays.iter().filter(|a| a.words.contains("internal")) {
            vm::wait_until(limit, "the bitmap is clear", || {
                mdadm(&format!("--examine-bitmap {}", array.disks[0])).ok().stdout.contains(" 0 dirty")
            });
        }
        arrays
    }

    /// MiB `at` to `at + count`.
    fn write(&self, at: u64, count: u64, seed: u64) {
        vm::write_pattern(&format!("/dev/{}", self.name), at * MIB, count * MIB, seed);
    }

    /// How many MiB the re-add of a member is said to rebuild: no more than was written, of which 2 MiB not cleared in the bitmap.
    #[track_caller]
    fn says_to_rebuild(&self, said: &str) -> u64 {
        let (_, mib) = said.split_once(" missed: ").unwrap_or_else(|| panic!("{said}"));
        let mib = mib.split_once(" MiB of ").unwrap().0.parse().unwrap();
        // A lockless bitmap takes the other chunks of a block of its own, 512 of them, for written after a while.
        let most = if self.words.contains("internal") { 2 } else { 34 };
        assert!(said.contains("the bitmap covers what") && mib <= most, "{}: {said}", self.words);
        mib
    }

    /// KiB written to its Nth disk since the guest started.
    fn written_to(&self, n: usize) -> u64 {
        let stat = std::fs::read_to_string(format!("/sys/block/{}/stat", &self.disks[n][5..])).unwrap();
        stat.split_whitespace().nth(6).unwrap().parse::<u64>().unwrap() / 2
    }

    #[track_caller]
    fn verify(&self, at: u64, count: u64, seed: u64) {
        let bad = vm::verify_pattern(&format!("/dev/{}", self.name), at * MIB, count * MIB, seed);
        assert!(bad.is_empty(), "{}: {} blocks", self.words, bad.len());
    }

    /// Manage mode; `#N` is its Nth disk.
    #[track_caller]
    fn manage(&self, line: &str) -> Output {
        let disks = self.disks.iter().enumerate();
        let line = disks.fold(line.to_owned(), |line, (n, disk)| line.replace(&format!("#{n}"), disk));
        mdadm(&format!("/dev/{} {line}", self.name)).ok()
    }

    fn in_sync_again(&self) {
        let limit = std::time::Duration::from_secs(60);
        vm::wait_until(limit, "all members are in sync", || attr(self.name, "degraded") == "0");
        vm::wait_sync(self.name);
    }
}

/// Time passes, and superblocks are written: a member that leaves now left later than whatever was before.
fn settle(arrays: &[Settled]) {
    std::thread::sleep(std::time::Duration::from_secs(4));
    arrays.iter().for_each(|a| a.write(40, 1, 1));
    std::thread::sleep(std::time::Duration::from_secs(1));
}

#[test]
fn a_member_that_left_comes_back_by_the_bitmap_while_the_array_ran_on() {
    let arrays = Settled::arrays(
        &[
            ("-l1 -n2 --bitmap=internal", 2),
            ("-l1 -n2 --bitmap=lockless", 2),
            ("-l5 -n3 --bitmap=lockless", 3),
            ("-l10 -n4 --bitmap=lockless", 4),
        ],
        0,
    );
    for (round, op) in ["--re-add", "--add", "--re-add"].into_iter().enumerate() {
        let (mut before, mut rebuilt) = (Vec::new(), Vec::new());
        for array in &arrays {
            array.manage("--fail #1 --remove #1");
            array.write(4, 1, 2 + round as u64);
            if round == 0 {
                let plan = array.manage(&format!("--plan {op} #1")).stderr;
                assert!(plan.starts_with("mdadm: the bitmap covers what"), "{plan}");
            }
            before.push(array.written_to(1));
            let said = array.manage(&format!("{op} #1")).stderr;
            assert!(said.starts_with(&format!("mdadm: re-added {}\n", array.disks[1])), "{}: {said}", array.words);
            rebuilt.push(array.says_to_rebuild(&said));
        }
        arrays.iter().for_each(Settled::in_sync_again);
        for ((array, before), mib) in arrays.iter().zip(before).zip(rebuilt) {
            let copied = array.written_to(1) - before;
            // and superblocks and the bitmap
            assert!(copied <= mib * 1024 + 256, "{}: {copied} KiB for {mib} MiB", array.words);
        }
        settle(&arrays);
    }
    for array in &arrays {
        array.manage("--fail #0 --remove #0");
        array.verify(0, 4, 1);
        array.verify(4, 1, 4);
        array.verify(5, 19, 1);
    }
}

/// docs/lockless.md: a member comes back after another had been rebuilt in its place and had left too. The reference takes it
/// for in sync, and what was written since it left is read back as it was before.
#[test]
fn a_member_that_comes_back_after_a_successor_was_rebuilt_in_its_place_is_rebuilt_fully() {
    let shapes = [("-l1 -n2 --bitmap=lockless", 2), ("-l1 -n3 --bitmap=internal", 3), ("-l5 -n3 --bitmap=lockless", 3)];
    let arrays = Settled::arrays(&shapes, 1);
    let new = |array: &Settled| format!("#{}", array.disks.len() - 1);
    for array in &arrays {
        array.manage("--fail #0 --remove #0");
        array.write(0, 20, 7);
        array.manage(&format!("--add {}", new(array)));
    }
    arrays.iter().for_each(Settled::in_sync_again);
    std::thread::sleep(std::time::Duration::from_secs(6));
    for array in &arrays {
        array.manage(&format!("--fail {0} --remove {0}", new(array)));
        // The first one runs on.
        if array.name != "md0" {
            mdadm(&format!("--stop /dev/{}", array.name)).ok();
            let left = array.disks[1..array.disks.len() - 1].join(" ");
            vm::reference(&format!("--assemble --run /dev/{} {left}", array.name)).ok();
        }
        let said = array.manage("--re-add #0").stderr;
        let (note, rest) = said.split_once('\n').unwrap();
        assert!(note.starts_with("mdadm: note: what is overwritten is saved; "), "{}: {said}", array.words);
        assert!(rest.starts_with(&format!("mdadm: added {}\n", array.disks[0])), "{}: {said}", array.words);
        assert!(said.contains("not proven"), "{said}");
        array.in_sync_again();
        array.manage("--fail #1 --remove #1");
        array.verify(0, 20, 7);
    }
    // One whose data begins elsewhere, whenever it left.
    let [a, b] = &vm::disks(2, 24 * MIB)[..] else { panic!() };
    let create = "--create /dev/md5 -q --run --assume-clean -l1 -n2 -b internal --data-offset=variable";
    mdadm(&format!("{create} {a}:1M {b}:2M")).ok();
    mdadm(&format!("/dev/md5 --fail {b} --remove {b}")).ok();
    vm::write_pattern("/dev/md5", 0, 8 * MIB, 4);
    let said = mdadm(&format!("/dev/md5 --re-add {b}")).ok().stderr;
    assert!(said.contains("not proven") && said.contains("its data begins at sector 4096, that of another"), "{said}");
    vm::wait_until(std::time::Duration::from_secs(60), "it is rebuilt", || attr("md5", "degraded") == "0");
    mdadm(&format!("/dev/md5 --fail {a}")).ok();
    assert_eq!(vm::verify_pattern("/dev/md5", 0, 8 * MIB, 4), [0; 0]);
}

#[test]
fn failed_members_come_back_all_at_once_and_missing_ones_are_found() {
    let arrays = Settled::arrays(&[("-l6 -n4 --bitmap=internal", 4)], 0);
    let disks = &arrays[0].disks;
    mdadm(&format!("/dev/md0 --fail {} {}", disks[0], disks[3])).ok();
    vm::write_pattern("/dev/md0", 0, 8 * MIB, 9);
    let out = mdadm("/dev/md0 --re-add faulty").ok();
    assert_eq!(out.stderr.matches(" to md0 succeed\n").count(), 2, "{}", out.stderr);
    arrays[0].in_sync_again();
    settle(&arrays);
    mdadm(&format!("/dev/md0 --fail {0} {1} --remove {0} {1}", disks[0], disks[1])).ok();
    let out = mdadm("--manage /dev/md0 --test --re-add missing").ok();
    assert_eq!(out.stderr.matches("re-added ").count(), 2, "{}", out.stderr);
    arrays[0].in_sync_again();
    assert_eq!(mdadm("--manage /dev/md0 --test --re-add missing").status, 2);
    mdadm(&format!("/dev/md0 --fail {} {}", disks[2], disks[3])).ok();
    assert_eq!(vm::verify_pattern("/dev/md0", 0, 8 * MIB, 9), [0; 0]);
    mdadm("--stop /dev/md0").ok();

    // Without a bitmap they are rebuilt fully.
    let bare = vm::disks(4, 16 * MIB);
    mdadm(&format!("--create /dev/md1 -q --run --assume-clean -b none -l10 -n4 {}", bare.join(" "))).ok();
    mdadm("/dev/md1 --fail set-A").ok();
    vm::write_pattern("/dev/md1", 0, 8 * MIB, 5);
    let out = mdadm("/dev/md1 --re-add faulty").ok();
    assert_eq!(out.stderr.matches("; there is no bitmap that tells what it missed. It is rebuilt fully").count(), 2);
    vm::wait_until(std::time::Duration::from_secs(60), "they are rebuilt", || attr("md1", "degraded") == "0");
    mdadm("/dev/md1 --fail set-B").ok();
    assert_eq!(vm::verify_pattern("/dev/md1", 0, 8 * MIB, 5), [0; 0]);
    mdadm("--stop /dev/md1").ok();
}

#[test]
fn what_cannot_come_back_is_refused_as_by_the_reference() {
    let disks = vm::disks(4, 40 * MIB);
    let number = disks[3].clone();
    same(
        "-l5 -n3 -b none",
        &disks[..3],
        &[
            "/dev/md0 --fail #0 --remove #0 --re-add #0",
            &format!("/dev/md0 --re-add {number}"),
            "/dev/md0 --re-add /dev/nope",
            "/dev/md0 --re-add missing",
            "/dev/md0 --add missing",
            "/dev/md0 --add #0",
            "/dev/md0 --replace #0 --with #1",
            "--manage /dev/md0 --add-spare #1",
        ],
    );
}

#[test]
fn a_member_is_replaced_by_the_spare_that_was_chosen() {
    let disks = vm::disks(5, 40 * MIB);
    let lines = [
        "/dev/md0 --replace #1",
        "/dev/md0 --replace /dev/nope",
        "/dev/md0 --replace loop0",
        "--manage /dev/md0 --with #2",
        "/dev/md0 --replace #0 --with #2",
    ];
    let (a, b) = (&disks[3], &disks[4]);
    for by in [vm::reference as Mdadm, mdadm] {
        create("-l5 -n3 -b none", &disks[..3]);
        vm::write_pattern("/dev/md0", 0, 16 * MIB, 5);
        sh(&format!("for d in {a} {b}; do dd if=/dev/zero of=$d bs=1M count=1 conv=notrunc status=none; done"));
        by(&format!("/dev/md0 --add {a}")).ok();
        let mut said = Vec::new();
        let both = format!("/dev/md0 --add {b} --replace {} --with {b}", disks[1]);
        for line in std::iter::once(both.as_str()).chain(lines) {
            let mut line = line.to_owned();
            for (n, disk) in disks.iter().enumerate() {
                line = line.replace(&format!("#{n}"), disk);
            }
            let out = by(&line);
            said.push((line, out.status, out.stdout, out.stderr));
            std::thread::sleep(std::time::Duration::from_millis(300));
            vm::wait_sync("md0");
        }
        let slot = attr("md0", &format!("dev-{}/slot", b.trim_start_matches("/dev/")));
        assert_eq!((slot.as_str(), attr("md0", "sync_action").as_str()), ("1", "idle"), "{said:?}\n{}", mdstat());
        assert_eq!(vm::verify_pattern("/dev/md0", 0, 16 * MIB, 5), [0; 0]);
        static WANT: std::sync::OnceLock<Vec<(String, i32, String, String)>> = std::sync::OnceLock::new();
        let want = WANT.get_or_init(|| said.clone());
        for (want, got) in want.iter().zip(&said) {
            assert_eq!((&got.0, got.1, &got.2), (&want.0, want.1, &want.2), "{} and {}", got.3, want.3);
            // What is overwritten is saved, and a note says where.
            let said: String =
                got.3.lines().filter(|l| !l.starts_with("mdadm: note: ")).map(|l| format!("{l}\n")).collect();
            assert!(said.starts_with(&want.3), "{}: {} and {}", got.0, got.3, want.3);
        }
        vm::reference("--stop /dev/md0").ok();
    }
}
