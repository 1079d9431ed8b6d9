//! Clustered arrays: made offline, read back by ours, by the reference and by the kernel, and refused live.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use std::os::unix::fs::FileExt;

use vm::{MIB, disks, mdadm, reference, sh};

#[test]
fn what_is_made_offline_reads_alike_with_ours_and_the_reference() {
    let members = disks(2, 10 << 30);
    let list = members.join(" ");
    for (words, step) in [
        ("-l1 --nodes=3 --home-cluster=one", 4096),
        ("-l10 --home-cluster=a.cluster --bitmap-chunk=256K --delay=9", 8192),
        ("-l1 --nodes=8 --home-cluster=two --bitmap-chunk=8K --assume-clean --size=160M", 4096),
    ] {
        mdadm(&format!("--create /dev/md0 -q -R --offline -n2 -b clustered {words} {list}")).ok();
        // Some bits of the third node's bitmap, as if it had written and died.
        let disk = std::fs::OpenOptions::new().write(true).open(&members[0]).unwrap();
        disk.write_all_at(&[0b0000_0111], 8192 + 2 * step + 256).unwrap();
        disk.sync_all().unwrap();
        for question in ["-E", "-E -Y", "-E -b", "-E -b -v", "-X", "-X -b", "-Q"] {
            for m in &members {
                let (ours, theirs) = (mdadm(&format!("{question} {m}")), reference(&format!("{question} {m}")));
                assert_eq!((ours.status, ours.stdout), (theirs.status, theirs.stdout), "{words}: {question} {m}");
            }
        }
        let text = mdadm(&format!("-X {}", members[0])).ok().stdout;
        let dirty: Vec<&str> =
            text.lines().filter(|l| l.contains("dirty")).map(|l| l.split(", ").nth(1).unwrap()).collect();
        assert!(dirty[0].contains("(100.0%)") && dirty[1].starts_with("0 ") && !dirty[2].starts_with("0 "), "{text}");
    }
}

#[test]
fn the_kernel_takes_the_bitmap_and_asks_for_its_cluster() {
    let members = disks(2, 40 * MIB);
    let list = members.join(" ");
    mdadm(&format!("--create /dev/md0 -q -R --offline -l1 -n2 -b clustered --home-cluster=one {list}")).ok();
    sh("dmesg -C");
    let out = mdadm(&format!("--assemble /dev/md0 {list}"));
    assert_eq!(out.status, 1, "{}", out.stderr);
    // With a bitmap that it did not like it would not have come so far (md_bitmap_read_sb).
    let log = sh("dmesg");
    assert!(log.contains("can't find md-cluster module") && log.contains("Could not setup cluster service"), "{log}");
    assert!(out.stderr.contains("Could not setup cluster service"), "{}", out.stderr);
    assert!(!std::path::Path::new("/sys/block/md0").exists());
    // By -I only where the configuration says that this machine is of that cluster; the reference asks corosync.
    for (conf, status) in [("HOMECLUSTER other", 1), ("", 1), ("HOMECLUSTER one", 0)] {
        std::fs::write("/mnt/conf", format!("{conf}\n")).unwrap();
        let out = mdadm(&format!("-I --config=/mnt/conf {}", members[0]));
        assert_eq!(out.status, status, "{conf}: {out:?}");
        assert_eq!(out.stderr.contains("of an array of the cluster one: left alone"), status == 1, "{conf}: {out:?}");
        assert_eq!(sh("ls /sys/block").contains("md127"), status == 0, "{conf}");
    }
    assert_eq!(reference(&format!("-I --config=/mnt/none {}", members[1])).status, 1);
}

#[test]
fn what_cannot_be_clustered_is_refused_before_anything_is_written() {
    let members = disks(2, 40 * MIB);
    let (a, b) = (&members[0], &members[1]);
    let hash = || sh(&format!("sync; cat {a} {b} | sha256sum"));
    let before = hash();
    for (words, why) in [
        (format!("-l1 -b clustered --home-cluster=x {a} {b}"), "Something wrong with dlm library"),
        (format!("-l1 -b clustered --home-cluster=x --plan {a} {b}"), "Something wrong with dlm library"),
        (format!("-l1 -b clustered --offline {a} {b}"), "can't get cluster name"),
        (format!("-l1 -b clustered --offline --home-cluster= {a} {b}"), "can't get cluster name"),
        (format!("-l5 -b clustered --offline --home-cluster=x {a} {b}"), "supported with raid1/10 only"),
        (format!("-l10 -pf2 -b clustered --offline --home-cluster=x {a} {b}"), "only near layout"),
        (format!("-l10 -po2 -b clustered --offline --home-cluster=x {a} {b}"), "only near layout"),
        (format!("-l1 -e1.0 -b clustered --offline --home-cluster=x {a} {b}"), "only works with superblock 1.2"),
        (format!("-l1 -b clustered --offline --home-cluster=x {a} -W {b}"), "--write-mostly with a clustered bitmap"),
        (format!("-l1 -b clustered --offline --home-cluster=x --nodes=255 {a} {b}"), "can't exceed 254"),
        (format!("-l1 -b clustered --offline --home-cluster=x --nodes=2147483647 {a} {b}"), "can't exceed 254"),
        (format!("-l1 -b internal --nodes=4 {a} {b}"), "only compatible with --bitmap=clustered"),
    ] {
        let out = mdadm(&format!("--create /dev/md0 -R -n2 {words}"));
        assert!(out.status == 1 && out.stderr.contains(why), "{words}: {} {}", out.status, out.stderr);
        assert_eq!(hash(), before, "{words}");
    }
    let long = "n".repeat(65);
    let out = mdadm(&format!("--create /dev/md0 -R -n2 -l1 -b clustered --home-cluster={long} {a} {b}"));
    assert_eq!((out.status, out.stderr.as_str()), (2, "mdadm: Cluster name too big.\n"));
}
