//! `--plan` and `--json` of every command that changes something: a plan touches nothing and ends as the command does, and
//! `--json` says in one document what came of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::FileExt;

use serde_json::Value;
use vm::{MIB, mdadm, sh};

/// Bytes of a disk.
const DISK: u64 = 16 * MIB;

/// What is on a disk where metadata can be, past the page cache.
fn metadata(disk: &str) -> Vec<u8> {
    use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
    let file = std::fs::File::open(disk).unwrap();
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
    let mut bytes = vec![0; 3 * MIB as usize];
    let (head, tail) = bytes.split_at_mut(2 * MIB as usize);
    file.read_exact_at(head, 0).unwrap();
    file.read_exact_at(tail, DISK - MIB).unwrap();
    bytes
}

/// The names in a folder, and what each link leads to.
fn names(dir: &str) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().map(|e| e.unwrap().path());
    let mut names: Vec<String> = entries.map(|p| format!("{p:?} {:?}", fs::read_link(&p).ok())).collect();
    names.sort();
    names
}

/// All that a command could change: metadata on disks, arrays, names, files.
fn look(disks: &[String]) -> (Vec<Vec<u8>>, String) {
    let mut text = vm::mdstat();
    for array in names("/sys/block").iter().filter_map(|n| n.split('"').nth(1)).filter(|n| n.contains("/md")) {
        let attrs = ["array_state", "sync_action"].into_iter().map(|a| format!("{array}/md/{a}"));
        let states = names(&format!("{array}/md")).into_iter().filter_map(|n| n.split('"').nth(1).map(str::to_owned));
        for path in attrs.chain(states.filter(|n| n.contains("/dev-")).map(|n| format!("{n}/state"))) {
            text += &format!("{path} {:?}", fs::read_to_string(&path).ok());
        }
    }
    text += &fs::read_to_string("/run/mdadm/map").unwrap_or_default();
    for dir in ["/dev/md", "/var/lib/mdadm-rs", "/mnt/out"] {
        text += &format!("{:?}", names(dir));
    }
    text += &format!("{:?}", names("/dev").iter().filter(|n| n.contains("/dev/md")).collect::<Vec<_>>());
    text += &format!("{:?}", fs::read_to_string("/mnt/out/rules").ok());
    (disks.iter().map(|d| metadata(d)).collect(), text)
}

type Look = (Vec<Vec<u8>>, String);

/// The same once the kernel has written what it had to.
fn settled(disks: &[String]) -> Look {
    let mut last = look(disks);
    vm::wait_until(std::time::Duration::from_secs(30), "the kernel writes no more", || {
        std::thread::sleep(std::time::Duration::from_millis(250));
        let now = look(disks);
        let still = now == last && !now.1.contains('%');
        last = now;
        still
    });
    last
}

fn document(line: &str, stdout: &str) -> Value {
    let value: Value = serde_json::from_str(stdout).unwrap_or_else(|e| panic!("{line}: {e}: {stdout:?}"));
    assert!(value.is_array(), "{line}: {value}");
    value
}

/// Shows the plan of a command, which touches nothing, then does it: the report, of `schema`. `now` is how things are.
#[track_caller]
fn planned_and_done(line: &str, disks: &[String], now: &RefCell<Look>, schema: &str) -> Value {
    let plan = mdadm(&format!("{line} --plan"));
    let shown = mdadm(&format!("{line} --plan --json"));
    assert!(look(disks) == *now.borrow(), "{line} --plan changed something: {}", now.borrow().1);
    let steps = document(line, &shown.stdout)[0]["steps"].as_array().unwrap().len();
    assert_eq!(plan.stdout.lines().count(), steps, "{line}: {}", plan.stdout);
    let done = mdadm(&format!("{line} --json"));
    assert_eq!((plan.status, shown.status), (done.status, done.status), "{line}: {} and {}", plan.stderr, done.stderr);
    let before = now.replace(settled(disks));
    let report = document(line, &done.stdout);
    let objects = report.as_array().unwrap();
    assert!(objects.iter().all(|o| o["schema"] == schema), "{line}: {report}");
    if schema == "mdadm-rs/done/1" {
        let worst = objects.iter().map(|o| o["status"].as_i64().unwrap()).max();
        assert_eq!(worst, Some(done.status.into()), "{line}: {report}");
        let errors = objects.iter().any(|o| !o["error"].is_null());
        assert_eq!(errors, done.status != 0 && !done.stderr.is_empty(), "{line}: {report}");
        let changed = objects.iter().any(|o| o["changed"].as_bool().unwrap());
        assert_eq!(changed, *now.borrow() != before, "{line}: {report}");
        assert!(!changed || steps > 0, "{line}: done without a plan");
    }
    report[0].clone()
}

#[test]
fn a_plan_touches_nothing_and_ends_as_the_command_and_a_report_says_what_came_of_it() {
    let disks = vm::disks(6, DISK);
    let [a, b, c, d, e, f] = [0, 1, 2, 3, 4, 5].map(|n| disks[n].as_str());
    sh(
        "mkdir -p /mnt/out /dev/md; echo 2000000 | tee /proc/sys/dev/raid/speed_limit_max > /proc/sys/dev/raid/speed_limit_min",
    );
    let now = RefCell::new(settled(&disks));
    let done = |line: &str| planned_and_done(line, &disks, &now, "mdadm-rs/done/1");
    let create = format!("--create /dev/md/x -R -l1 -n2 --assume-clean -b internal {a} {b}");
    let made = done(&create);
    assert_eq!(
        (&made["command"], &made["device"], &made["changed"]),
        (&"create".into(), &"/dev/md/x".into(), &true.into())
    );
    assert_eq!(made["kernel_name"], "md127");
    assert!(made["messages"].as_array().unwrap().contains(&"array /dev/md/x started.".into()), "{made}");
    let refused = done(&create);
    assert_eq!((refused["changed"].as_bool(), refused["status"].as_i64()), (Some(false), Some(2)), "{refused}");
    assert!(refused["error"].as_str().unwrap().contains(&format!("{a} is a member of")), "{refused}");

    let operations = done(&format!("/dev/md/x --add {c} --add-spare {d}"))["operations"].clone();
    let operation =
        |n: usize| (operations[n]["operation"].as_str().unwrap().to_owned(), operations[n]["device"].clone());
    assert_eq!(
        (operation(0), operation(1)),
        (("add".into(), c.into()), ("add-spare".into(), d.into())),
        "{operations}"
    );
    let partly = mdadm(&format!("/dev/md/x --json --remove {d} {a}"));
    let partly = document("partly", &partly.stdout)[0].clone();
    assert_eq!(partly["operations"][0]["operation"], "remove", "{partly}");
    assert!(partly["operations"][1].is_null() && partly["changed"].is_null(), "{partly}");
    assert!(partly["error"].as_str().unwrap().contains("is active in slot 0"), "{partly}");
    now.replace(settled(&disks));
    done(&format!("/dev/md/x --replace {a} --with {c}"));
    done(&format!("/dev/md/x --remove {a}"));
    done(&format!("/dev/md/x --fail {b} --remove {b}"));
    assert_eq!(done(&format!("/dev/md/x --fail {c}"))["changed"], false);
    let back = done(&format!("/dev/md/x --add {b}"));
    assert!(back["operations"][0]["re_added"].is_boolean(), "{back}");
    assert_eq!(done(&format!("/dev/md/x --re-add {e}"))["changed"], false);

    for line in
        ["--readwrite", "--readonly", "--readonly", "--action=check", "--readwrite", "--run", "--wait", "--wait-clean"]
    {
        let report = done(&format!("{line} /dev/md/x"));
        assert_eq!(report["command"], line.trim_start_matches('-').split('=').next().unwrap());
    }
    done("--action=frozen /dev/md/x");
    done("--action=idle /dev/md/x");
    let checked = done("--check=start --check-speed=1000000 /dev/md/x");
    assert_eq!((&checked["command"], &checked["kernel_name"]), (&"check".into(), &"md127".into()));
    let result = &checked["checks"][0];
    assert_eq!(
        (&result["complete"], &result["done_sectors"], &checked["checks"][1]),
        (&true.into(), &Value::Null, &Value::Null)
    );
    for line in ["--check=stop /dev/md/x", "--check=continue --scan"] {
        assert_eq!(done(line)["changed"], false);
    }
    done("--stop /dev/md/x");
    done("--stop --scan");
    done(&format!("--dump=/mnt/out {a} {f}"));
    done(&format!("--zero-superblock {a} {f}"));
    done(&format!("--restore=/mnt/out {a}"));
    done("--udev-rules=/mnt/out/rules");
    done("--kill-subarray=0 /dev/loop0");
    done(&format!("--assemble /dev/md/x {b} {c}"));
    assert_eq!(done(&format!("--assemble /dev/md/x {b} {c}"))["changed"], false);
    done("--stop /dev/md/x /dev/md/nothing");
    done(&format!("--build /dev/md7 -l1 -n2 --assume-clean {d} {e}"));
    // The kernel gives it a uuid for as long as it runs: no result of a check can be kept under that.
    assert!(mdadm("--check=start --scan").ok().stderr.starts_with("mdadm: /dev/md7 has no uuid"));
    done("--stop /dev/md7");

    // Those that have a report of their own.
    let saved = sh("ls -t /var/lib/mdadm-rs/*.saved | head -n 1");
    let own = |line: &str, name: &str| planned_and_done(line, &disks, &now, &format!("mdadm-rs/{name}/1"));
    own(&format!("--restore-saved {}", saved.trim()), "restore-saved");
    done(&format!("--zero-superblock {d} {e} {f}"));
    let ensure = format!("--create /dev/md/y --ensure -l5 -n3 --assume-clean -b internal {d} {e} {f}");
    for changed in [true, false] {
        assert_eq!(own(&ensure, "ensure")["changed"], changed);
    }
    for changed in [true, false] {
        assert_eq!(own(&format!("--ensure-absent /dev/md/y {d} {e} {f}"), "ensure-absent")["changed"], changed);
    }
}

#[test]
fn journals_are_added_as_planned() {
    let disks = vm::disks(5, DISK);
    let [a, b, c, log, other] = [0, 1, 2, 3, 4].map(|n| disks[n].as_str());
    sh("mkdir -p /mnt/out /dev/md");
    mdadm(&format!("--create /dev/md0 -q -R -l5 -n3 --assume-clean --write-journal={log} {a} {b} {c}")).ok();
    let now = RefCell::new(settled(&disks));
    let done = |line: &str| planned_and_done(line, &disks, &now, "mdadm-rs/done/1");
    done(&format!("/dev/md0 --fail {log} --remove {log}"));
    assert_eq!(done(&format!("/dev/md0 --add-journal {other}"))["changed"], false, "it is writable");
    done("--readonly /dev/md0");
    done(&format!("/dev/md0 --add-journal {other}"));
    assert_eq!(vm::attr("md0", "consistency_policy"), "journal");
}
