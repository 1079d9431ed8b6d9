//! Names of arrays: what is typed, the number that the kernel gets, the map file, nodes and links, as the reference has them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use vm::{MIB, Output, run, sh};

/// Everything that a create left behind, with uuids masked.
#[derive(Debug, PartialEq, Eq)]
struct Made {
    status: i32,
    complaint: Option<String>,
    map: String,
    links: String,
    names: String,
}

fn made(out: &Output) -> Made {
    let failed = out.status != 0;
    Made {
        status: out.status,
        // "Fail to create md127 when using ..." tells how the reference works.
        complaint: out.stderr.lines().find(|l| failed && !l.contains("fallback to creation")).map(str::to_owned),
        map: sh("sed 's/ [0-9a-f:]*:[0-9a-f:]* / UUID /' /run/mdadm/map"),
        links: sh("cd /dev; find md* -type l -printf '%p -> %l\\n' -o -type b -print | sort"),
        names: sh(&format!(
            "for d in /sys/block/md*; do [ ! -e $d ] || {} -D --export /dev/${{d##*/}} | grep -a NAME; done",
            vm::reference_path()
        )),
    }
}

fn clean_up(disks: &str) {
    sh(&format!(
        "m() {{ {} \"$@\" >/dev/null 2>&1 || true; }}; m -Ss; m --zero-superblock {disks}; rm -rf /dev/md/* /dev/md_* /dev/md[0-9]*",
        vm::reference_path()
    ));
}

#[test]
fn a_typed_name_gives_the_same_number_node_link_map_entry_and_recorded_name() {
    sh("hostname myhost");
    let disks = vm::disks(2, 40 * MIB);
    let all = disks.join(" ");
    let long = "a".repeat(33);
    let cases: [&[&str]; 26] = [
        &["/dev/md5"],
        &["/dev/md/foo"],
        &["foo"],
        &["md_foo"],
        &["/dev/md_foo"],
        &["md7"],
        &["/dev/md/8"],
        &["12"],
        &["/dev/md/md9"],
        &["/dev/md/12a"],
        &["/dev/md/007"],
        &["/dev/md_d5"],
        &["/dev/md_d5p1"],
        &["/dev/foo"],
        &["./foo"],
        &["/dev/md/a/b"],
        &["/dev/md/"],
        &["/dev/md"],
        &["/dev/md/.foo"],
        &["/dev/md600"],
        &[&long],
        &["/dev/md/foo", "--homehost=other"],
        &["/dev/md/foo", "--name=bar"],
        &["/dev/md5", "--name=bar", "--homehost=hh"],
        &["/dev/md/foo", "--name=ot:bar", "--homehost=hh"],
        &["/dev/md/foo", "--homehost=any"],
    ];
    for case in cases {
        let create = |program: &str| {
            sh("mkdir -p /dev/md");
            let mut args = vec!["--create"];
            args.extend(case);
            args.extend(["--run", "--quiet", "-l1", "-n2", "--assume-clean", "--bitmap=none", &disks[0], &disks[1]]);
            let result = made(&run(program, &args, ""));
            clean_up(&all);
            result
        };
        let theirs = create(vm::reference_path());
        assert_eq!(create(env!("CARGO_BIN_EXE_mdadm")), theirs, "{case:?}: ours, then the reference's");
    }
}

#[test]
fn a_name_or_number_in_use_is_refused_and_the_array_that_has_it_keeps_its_link() {
    sh("hostname myhost");
    let disks = vm::disks(4, 40 * MIB);
    let [a, b, c, d] = &disks[..] else { panic!() };
    let create = |name: &str, x: &str, y: &str| {
        vm::mdadm(&format!("--create {name} --run --quiet -l1 -n2 --assume-clean --bitmap=none {x} {y}"))
    };
    create("foo", a, b).ok();
    let before = made(&create("foo", c, d));
    assert_eq!(before.complaint.as_deref(), Some("mdadm: Array name /dev/md/foo is in use already."));
    for taken in ["/dev/md127", "127"] {
        let out = made(&create(taken, c, d));
        assert_eq!((out.status, out.links, out.map), (1, before.links.clone(), before.map.clone()), "{taken}");
        assert_eq!(
            out.complaint.as_deref(),
            Some(&*format!("mdadm: {} is already in use.", if taken == "127" { "/dev/md/127" } else { taken }))
        );
    }
    assert_eq!(before.links, "md/foo -> /dev/md127\nmd127\n");
    vm::mdadm("--stop /dev/md/foo").ok();
    assert_eq!(sh("ls -A /dev/md; cat /run/mdadm/map; ls /dev | grep '^md[0-9]' || true"), "");
}

#[test]
fn ours_and_the_reference_share_the_map_file_while_both_make_and_stop_arrays() {
    sh("hostname myhost");
    let disks = vm::disks(12, 40 * MIB);
    let ours = env!("CARGO_BIN_EXE_mdadm");
    let theirs = vm::reference_path();
    for _ in 0..3 {
        std::thread::scope(|s| {
            for (n, pair) in disks.chunks(2).enumerate() {
                let program = if n % 2 == 0 { ours } else { theirs };
                s.spawn(move || {
                    let line = format!("--create n{n} --run --quiet -l1 -n2 --assume-clean --bitmap=none");
                    let mut args: Vec<&str> = line.split(' ').collect();
                    args.extend(pair.iter().map(String::as_str));
                    run(program, &args, "").ok();
                });
            }
        });
        assert_eq!(
            sh("awk '{print $4}' /run/mdadm/map | sort | tr '\\n' ' '"),
            "/dev/md/n0 /dev/md/n1 /dev/md/n2 /dev/md/n3 /dev/md/n4 /dev/md/n5 "
        );
        assert_eq!(sh("awk '{print $1}' /run/mdadm/map | sort -u | wc -l"), "6\n");
        assert_eq!(vm::mdadm("--detail --scan"), vm::reference("--detail --scan"));
        std::thread::scope(|s| {
            for n in 0..6 {
                // Each stops what the other made.
                let program = if n % 2 == 0 { theirs } else { ours };
                s.spawn(move || run(program, &["--stop", &format!("/dev/md/n{n}")], "").ok());
            }
        });
        assert_eq!(sh("cat /run/mdadm/map; ls /run/mdadm"), "map\n");
        clean_up(&disks.join(" "));
    }
}
