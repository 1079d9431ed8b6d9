//! mdadm.conf on arrays, in the guest: SYSFS and CREATE.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "vm/mod.rs"]
mod vm;

use std::os::unix::fs::MetadataExt;

use vm::{MIB, mdadm, sh};

const UUID: &str = "01234567:89abcdef:fedcba98:76543210";

fn conf(text: &str) {
    std::fs::write("/etc/mdadm.conf", text).unwrap();
}

#[test]
fn sysfs_lines_apply_once_the_array_runs_and_one_that_fails_is_told_and_no_more() {
    let disks = vm::disks(2, 24 * MIB).join(" ");
    mdadm(&format!("--create /dev/md/q --run -q --assume-clean -b none -l1 -n2 -u {UUID} {disks}")).ok();
    mdadm("--stop /dev/md/q").ok();
    conf(&format!(
        "SYSFS uuid={UUID} sync_speed_max=12345\nSYSFS name=/dev/md/q sync_speed_min=777\n\
         SYSFS name=/dev/md/q sync_speed_min=778 nonsense=5 ../queue/read_ahead_kb=7\nSYSFS name=/dev/md/other sync_speed_max=1\n"
    ));
    let readahead = || sh("cat /sys/block/md127/queue/read_ahead_kb");
    for tool in [vm::mdadm as fn(&str) -> vm::Output, vm::reference] {
        let out = tool(&format!("--assemble /dev/md/q {disks}")).ok();
        assert!(out.stderr.contains("mdadm: SYSFS: failed to write '5' to 'nonsense'\n"), "{}", out.stderr);
        assert_eq!(vm::attr("md127", "sync_speed_max"), "12345 (local)");
        assert_eq!(vm::attr("md127", "sync_speed_min"), "777 (local)");
        mdadm("--stop /dev/md/q").ok();
    }
    let out = mdadm(&format!("--assemble /dev/md/q {disks}")).ok();
    assert!(out.stderr.contains("../queue/read_ahead_kb is no attribute of an array"), "{}", out.stderr);
    assert_ne!(readahead().trim(), "7");
    mdadm("--stop /dev/md/q").ok();
    let out = mdadm(&format!("--assemble --plan /dev/md/q {disks}")).ok();
    assert!(out.stdout.contains("sysfs  md127/md/sync_speed_max = 12345\n"), "{}", out.stdout);
    assert!(!vm::mdstat().contains("md127"));
}

#[test]
fn create_lines_name_the_owner_of_nodes_and_kernel_names_and_leave_bad_block_logs_out() {
    let disks = vm::disks(3, 24 * MIB);
    let (two, all) = (disks[..2].join(" "), disks.join(" "));
    conf("CREATE owner=1 group=disk mode=0640 names=yes bbl=no\nCREATE owner=nobody-here\n");
    let out = mdadm(&format!("--create /dev/md/home --run -q --assume-clean -b none -l1 -n2 {two}")).ok();
    assert!(out.stderr.contains("CREATE user nobody-here not found"), "{}", out.stderr);
    conf("CREATE owner=1 group=disk mode=0640 names=yes bbl=no\n");
    let is_made_so = |when: &str| {
        let meta = std::fs::metadata("/dev/md_home").unwrap();
        assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777), (1, 6, 0o640), "{when}");
        assert_eq!(std::fs::read_link("/dev/md/home").unwrap().to_str(), Some("/dev/md_home"), "{when}");
        assert!(vm::mdstat().contains("md_home : active"), "{when}: {}", vm::mdstat());
        assert!(sh("cat /run/mdadm/map").starts_with("md_home 1.2 "), "{when}");
    };
    mdadm("--stop /dev/md/home").ok();
    assert!(!std::path::Path::new("/dev/md_home").exists() && !std::path::Path::new("/dev/md/home").exists());
    mdadm(&format!("--assemble /dev/md/home {two}")).ok();
    is_made_so("assembled");
    assert!(!mdadm(&format!("-E {}", disks[0])).stdout.contains("Bad Block Log"));
    mdadm(&format!("/dev/md/home --add {}", disks[2])).ok();
    assert!(!mdadm(&format!("-E {}", disks[2])).stdout.contains("Bad Block Log"));
    // The reference knows it too.
    let theirs = vm::reference("--detail /dev/md_home").ok().stdout;
    assert_eq!(mdadm("--detail /dev/md_home").ok().stdout, theirs);
    vm::reference("--stop /dev/md_home").ok();
    sh("rm -f /dev/md/home");
    mdadm("--assemble --scan").ok();
    is_made_so("found by a scan");
    // A name that is taken: a number.
    mdadm("--stop --scan").ok();
    mdadm(&format!("--assemble /dev/md/home {two}")).ok();
    is_made_so("again");
    mdadm("--stop md_home").ok();
    // names=no, numbers, and names that the kernel would not have.
    conf("CREATE names=no\n");
    mdadm(&format!("--assemble /dev/md/home {all}")).ok();
    assert!(vm::mdstat().contains("md127 : active"), "{}", vm::mdstat());
    mdadm("--stop /dev/md/home").ok();
    conf("CREATE names=yes\n");
    for (name, kernel) in [("/dev/md5", "md5"), ("/dev/md/7", "md7"), ("/dev/md/a b", "md127")] {
        let words: Vec<&str> = ["--assemble", name].into_iter().chain(all.split(' ')).collect();
        vm::run(env!("CARGO_BIN_EXE_mdadm"), &words, "").ok();
        assert!(vm::mdstat().contains(&format!("{kernel} : active")), "{name}: {}", vm::mdstat());
        mdadm("--stop --scan").ok();
    }
}
