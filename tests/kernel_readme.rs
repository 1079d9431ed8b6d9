//! The examples of README.md, taken from it and run as they stand there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "vm/mod.rs"]
mod vm;

use vm::{MIB, Output, attr, run, sh};

/// The fenced block behind `<!-- run: NAME -->`.
fn block(name: &str) -> &'static str {
    let readme = include_str!("../README.md");
    let (_, rest) = readme.split_once(&format!("<!-- run: {name} -->\n```")).unwrap_or_else(|| panic!("no {name}"));
    let (_, rest) = rest.split_once('\n').unwrap();
    rest.split_once("\n```\n").unwrap().0
}

/// Runs a script whose `mdadm` is ours, without anybody to ask; with an internal bitmap where the kernel has no lockless one.
fn script(text: &str) -> Output {
    let text = vm::or_internal(text);
    sh(&format!("mkdir -p /mnt/bin; ln -sf {} /mnt/bin/mdadm", env!("CARGO_BIN_EXE_mdadm")));
    run("bash", &["-ec", &format!("PATH=/mnt/bin:$PATH\n{text}")], "")
}

/// The folded `cmd:` of the task.
fn ansible() -> String {
    let text = block("ansible");
    let (_, rest) = text.split_once("cmd: >-\n").unwrap();
    let lines = rest.lines().take_while(|l| l.starts_with("      ")).map(str::trim);
    lines.collect::<Vec<_>>().join(" ")
}

/// The commands of the list, each a list of words.
fn cloud_init() -> String {
    let text = block("cloud-init");
    let (_, rest) = text.split_once("bootcmd:\n").unwrap();
    let line = |l: &str| l.trim().strip_prefix("- [").unwrap().strip_suffix(']').unwrap().replace(", ", " ");
    rest.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The disks of the examples, by their letters.
fn disks() {
    sh("mkdir -p /dev/disk/by-id");
    for letter in 'A'..='F' {
        sh(&format!("ln -s {} /dev/disk/by-id/ata-{letter}", vm::disk(40 * MIB)));
    }
}

fn changed(json: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(json).unwrap()[0]["changed"].as_bool().unwrap()
}

#[test]
fn the_examples_of_the_readme_do_what_it_says() {
    disks();
    script(block("script")).ok();
    assert_eq!(attr("md127", "level"), "raid5");
    assert!(vm::lockless_is_refused() || attr("md127", "bitmap_type").contains("[llbitmap]"));
    vm::write_pattern("/dev/md/data", 0, 32 * MIB, 1);
    for _ in 0..2 {
        assert_eq!(script(block("script")).ok().stdout, "mdadm: array /dev/md/data unchanged.\n");
        assert!(!changed(&script(&ansible()).ok().stdout));
    }
    script("mdadm --stop /dev/md/data").ok();
    assert!(changed(&script(&ansible()).ok().stdout));
    vm::sync_speed(1_000_000, 2_000_000);
    for name in ["replace", "failed"] {
        script(block(name)).ok();
        vm::wait_sync("md127");
        assert_eq!(attr("md127", "degraded"), "0", "{name}");
        assert!(vm::verify_pattern("/dev/md/data", 0, 32 * MIB, 1).is_empty(), "{name}");
    }
    // With C gone the array is not what the first example asks for.
    assert_eq!(script(block("script")).status, 16);
    for changes in [true, false] {
        let out = script(block("down")).ok();
        assert_eq!(out.stdout.starts_with("mdadm: stopped /dev/md/data"), changes, "{}", out.stdout);
        assert!(!vm::mdstat().contains("md127"));
    }
    script(block("undo")).ok();
    assert_eq!(attr("md127", "degraded"), "0");
    assert!(vm::verify_pattern("/dev/md/data", 0, 32 * MIB, 1).is_empty());
}

#[test]
fn cloud_init_makes_the_array_at_the_first_boot_and_starts_it_at_others() {
    disks();
    for boot in 0..3 {
        let out = script(&cloud_init()).ok();
        let said = if boot == 0 { "mdadm: array /dev/md/scratch started." } else { "has been started with 2 drives." };
        assert!(out.stdout.contains(said), "{boot}: {}", out.stdout);
        script("mdadm --stop /dev/md/scratch").ok();
    }
}
