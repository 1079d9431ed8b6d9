//! `--assemble --scan`, in the guest.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "vm/mod.rs"]
mod vm;

use std::fs;

use vm::MIB;

const BOX: &str = "--homehost=box";

fn create(node: &str, options: &str, members: &[String]) {
    let n = members.len();
    let line = format!("--create {node} --run -q --force {options} {BOX} -n{n} {}", members.join(" "));
    vm::mdadm(&line).ok();
}

fn stop() {
    vm::mdadm("--stop -q --scan").ok();
    assert!(!vm::mdstat().contains("\nmd"), "{}", vm::mdstat());
}

#[test]
fn arrays_on_arrays_come_up_in_one_scan_with_their_names_and_data() {
    let disks = vm::disks(4, 40 * MIB);
    create("/dev/md/low1", "-l1 --assume-clean", &disks[..2]);
    create("/dev/md/low2", "-l1 --assume-clean", &disks[2..]);
    create("/dev/md/top", "-l0", &["/dev/md/low1".into(), "/dev/md/low2".into()]);
    vm::write_pattern("/dev/md/top", 0, 16 * MIB, 9);
    let uuid = |node: &str| vm::sh(&format!("cat /run/mdadm/map | grep {node} | cut -d' ' -f3"));
    let top = uuid("/dev/md/top");
    stop();
    let out = vm::mdadm(&format!("--assemble --scan {BOX}")).ok();
    assert_eq!(out.stdout.lines().count(), 3, "{}", out.stdout);
    assert!(out.stdout.ends_with("mdadm: /dev/md/top has been started with 2 drives.\n"), "{}", out.stdout);
    assert_eq!(vm::verify_pattern("/dev/md/top", 0, 16 * MIB, 9), Vec::<u64>::new());
    assert_eq!(uuid("/dev/md/top"), top);
    // By lines of the configuration in the wrong order too.
    stop();
    let line = |name: &str, disk: &str| {
        let shown = vm::mdadm(&format!("--examine --export {disk}")).ok().stdout;
        let uuid = shown.lines().find_map(|l| l.strip_prefix("MD_UUID=")).unwrap().to_owned();
        format!("ARRAY /dev/md/{name} uuid={uuid}\n")
    };
    let lower = line("b", &disks[0]) + &line("c", &disks[2]);
    vm::mdadm(&format!("--assemble --scan -q {BOX}")).ok();
    let conf = line("a", "/dev/md/low1") + &lower;
    stop();
    fs::write("/mnt/conf", conf).unwrap();
    vm::mdadm("--assemble --scan -q --config=/mnt/conf").ok();
    assert_eq!(vm::verify_pattern("/dev/md/a", 0, 16 * MIB, 9), Vec::<u64>::new());
}

#[test]
fn a_plan_of_a_scan_gives_each_array_a_name_and_number_of_its_own_and_touches_nothing() {
    let disks = vm::disks(3, 40 * MIB);
    for disk in &disks {
        create("/dev/md9", "-l1 --name=same --assume-clean", std::slice::from_ref(disk));
        stop();
    }
    let before = vm::sh("md5sum /mnt/disk*");
    let plan = vm::mdadm(&format!("--assemble --scan --plan {BOX}")).ok().stdout;
    let nodes: Vec<&str> = plan.lines().filter(|l| l.starts_with("node ")).collect();
    let want = ["node   md127 as /dev/md/same", "node   md126 as /dev/md/same_0", "node   md125 as /dev/md/same_1"];
    assert_eq!(nodes, want, "{plan}");
    let json = vm::mdadm(&format!("--assemble --scan --plan --json {BOX}")).ok().stdout;
    let document: serde_json::Value = serde_json::from_str(&json).unwrap();
    let runs = document[0]["steps"].as_array().unwrap().iter().filter(|s| s["ioctl"] == "RUN_ARRAY").count();
    assert_eq!(runs, 3);
    assert_eq!(vm::sh("md5sum /mnt/disk*"), before);
    assert!(!vm::mdstat().contains("\nmd"));
    let done = vm::mdadm(&format!("--assemble --scan {BOX}")).ok();
    assert_eq!(done.stdout.lines().count(), 3);
    for name in ["same", "same_0", "same_1"] {
        assert!(fs::symlink_metadata(format!("/dev/md/{name}")).is_ok(), "{name}");
    }
}

#[test]
fn each_device_is_read_once_whatever_the_number_of_arrays() {
    let disks = vm::disks(12, 40 * MIB);
    for (n, pair) in disks.chunks(2).enumerate() {
        create(&format!("/dev/md/a{n}"), "-l1 --assume-clean", pair);
    }
    stop();
    let bin = env!("CARGO_BIN_EXE_mdadm");
    let trace = format!("strace -ff -y -e trace=openat,pread64 -o /mnt/trace. {bin} --assemble --scan {BOX}");
    assert_eq!(vm::sh(&format!("{trace} | wc -l")).trim(), "6");
    // The calls of each thread are in a file of its own.
    vm::sh("cat /mnt/trace.* > /mnt/trace");
    for disk in &disks {
        let opens = vm::sh(&format!("grep -c 'openat.*\"{disk}\"' /mnt/trace || true"));
        // Once to read it, and once to see whether something holds it.
        assert_eq!(opens.trim(), "2", "{disk}:\n{}", vm::sh(&format!("grep '{disk}' /mnt/trace")));
        let reads = vm::sh(&format!(
            "grep 'pread64.*<{disk}>' /mnt/trace | sed 's/.* = //' | awk '{{n += $1}} END {{print n}}'"
        ));
        assert!(reads.trim().parse::<u64>().unwrap() <= 64 * 1024, "{disk}: {reads} bytes");
    }
}

#[test]
fn a_failing_array_keeps_no_other_from_starting_and_leaves_nothing_half_made() {
    let disks = vm::disks(6, 40 * MIB);
    create("/dev/md/good", "-l1 --assume-clean", &disks[..2]);
    create("/dev/md/bad", "-l5 --assume-clean -b none", &disks[2..5]);
    let words = vm::or_internal("-l1 --assume-clean -b lockless");
    create("/dev/md/free", &words, &disks[5..]);
    stop();
    vm::mdadm(&format!("--zero-superblock -q {} {}", disks[2], disks[3])).ok();
    let out = vm::mdadm(&format!("--assemble --scan {BOX}"));
    assert_eq!(out.status, 0);
    assert!(
        out.stderr.contains("/dev/md/bad assembled from 1 drive - not enough to start the array."),
        "{}",
        out.stderr
    );
    assert_eq!(vm::mdstat().matches("\nmd").count(), 2, "{}", vm::mdstat());
    assert!(
        words.contains("internal")
            || vm::attr("md126", "bitmap_type").contains("[llbitmap]")
            || vm::attr("md127", "bitmap_type").contains("[llbitmap]")
    );
    assert_eq!(vm::sh("ls /dev/md | tr '\\n' ' '"), "free good ");
    let again = vm::mdadm(&format!("--assemble --scan {BOX}"));
    assert_eq!(again.status, 1);
    assert!(again.stderr.ends_with("mdadm: No arrays found in config file or automatically\n"), "{}", again.stderr);
}

#[test]
fn what_the_configuration_ignores_is_left_alone_as_a_whole() {
    let disks = vm::disks(2, 40 * MIB);
    create("/dev/md/data", "-l1 --assume-clean", &disks);
    stop();
    // The reference leaves out the member that fits, and starts the other one degraded.
    fs::write("/mnt/conf", format!("ARRAY <ignore> devices={}\nHOMEHOST box\n", disks[0])).unwrap();
    let out = vm::mdadm("--assemble --scan --config=/mnt/conf");
    assert_eq!((out.status, out.stdout.as_str()), (1, ""), "{}", out.stderr);
    assert!(!vm::mdstat().contains("\nmd"));
}

#[test]
fn a_device_that_hangs_delays_neither_other_arrays_nor_the_command() {
    let disks = vm::disks(4, 24 * MIB);
    vm::sh(&format!("dmsetup create slow --table '0 49152 linear {} 0'; dmsetup mknodes", disks[3]));
    create("/dev/md/whole", "-l1 --assume-clean", &disks[..2]);
    create("/dev/md/part", "-l1 --assume-clean", &[disks[2].clone(), "/dev/mapper/slow".into()]);
    let conf = vm::mdadm("--examine --scan").ok().stdout;
    fs::write("/mnt/conf", &conf).unwrap();
    stop();
    // The loop device holds what the dm device does.
    fs::write("/mnt/devices", format!("DEVICE {} {} {} /dev/mapper/slow\n", disks[0], disks[1], disks[2])).unwrap();
    vm::sh("cat /mnt/devices >> /mnt/conf; dmsetup suspend --noflush --nolockfs slow");
    let bin = env!("CARGO_BIN_EXE_mdadm");
    let silent = "mdadm: /dev/mapper/slow does not answer, and is left out after 3 seconds\n";
    let by_uuid = format!(
        "{bin} -A /dev/md/part --uuid={}",
        conf.split("UUID=").nth(2).unwrap().split_whitespace().next().unwrap()
    );
    for config in ["/mnt/devices", "/mnt/conf"] {
        let scan = format!("{bin} --assemble --scan {BOX} --config={config}");
        let child = format!("MDADM_DEVICE_WAIT=3 {scan} > /mnt/said 2>&1; echo $? > /mnt/status");
        let begun = std::time::Instant::now();
        let mut running = std::process::Command::new("sh").args(["-c", &child]).spawn().unwrap();
        vm::wait_until(std::time::Duration::from_secs(30), "the array that is complete", || {
            vm::mdstat().contains("[2/2]")
        });
        assert!(!vm::mdstat().contains("[2/1]"), "not before it is clear that the other one does not answer");
        running.wait().unwrap();
        assert!(begun.elapsed().as_secs() >= 3);
        let said = fs::read_to_string("/mnt/said").unwrap();
        assert!(said.contains(silent), "{said}");
        assert!(said.contains("mdadm: /dev/md/part has been started with 1 drive (out of 2).\n"), "{said}");
        assert_eq!(fs::read_to_string("/mnt/status").unwrap(), "0\n", "{said}");
        assert_eq!(said.matches("/dev/md/whole").count(), 1, "{said}");
        stop();
    }
    let shown = vm::sh(&format!("MDADM_DEVICE_WAIT=1 {bin} --examine --scan --config=/mnt/devices 2>/mnt/said"));
    assert_eq!(shown.lines().count(), 2, "{shown}");
    assert_eq!(fs::read_to_string("/mnt/said").unwrap(), silent.replace('3', "1"));
    let said = vm::sh(&format!("MDADM_DEVICE_WAIT=1 timeout 60 {by_uuid} --run --config=/mnt/devices 2>&1"));
    assert!(said.contains("does not answer") && vm::mdstat().contains("[2/1]"), "{said}\n{}", vm::mdstat());
    stop();
    // It answers in time: nothing is started without it.
    vm::sh("(sleep 3; dmsetup resume slow) >/dev/null 2>&1 &");
    let out = vm::mdadm(&format!("--assemble --scan {BOX} --config=/mnt/devices")).ok();
    assert_eq!((out.stdout.matches("with 2 drives").count(), out.stderr.as_str()), (2, ""), "{}", out.stdout);
}

#[test]
fn no_degraded_puts_the_members_together_once_and_ends() {
    let disks = vm::disks(3, 24 * MIB);
    create("/dev/md/own", "-l5 --assume-clean -b none", &disks);
    stop();
    vm::mdadm(&format!("--zero-superblock -q {}", disks[2])).ok();
    let out = vm::mdadm(&format!("--assemble --scan --no-degraded {BOX}")).ok();
    let said = "mdadm: /dev/md/own assembled from 2 drives (out of 3), but not started.\n";
    assert_eq!((out.stdout.as_str(), out.stderr.as_str()), ("", said));
    assert!(vm::mdstat().contains("md127 : inactive"), "{}", vm::mdstat());
}
