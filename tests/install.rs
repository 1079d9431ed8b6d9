//! `make install`: all files are where systems look for them, and call the program that was installed.
#![allow(clippy::unwrap_used)]

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use mdadm::cli::{self, Request};

fn install(prefix: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let status = Command::new("make")
        .args(["-s", "-C", env!("CARGO_MANIFEST_DIR"), "install-data"])
        .arg(format!("DESTDIR={}", dir.path().display()))
        .arg(format!("PREFIX={prefix}"))
        .status();
    assert!(status.unwrap().success());
    dir
}

/// The files below a folder.
fn files(dir: &Path) -> Vec<String> {
    let mut found: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    found.sort();
    found
}

#[test]
fn rules_and_units_are_installed_under_the_names_that_other_programs_copy_and_enable() {
    let dir = install("/usr");
    let lib = dir.path().join("usr/lib");
    let rules = files(&lib.join("udev/rules.d"));
    for name in ["01-md-raid-creating.rules", "63-md-raid-arrays.rules", "64-md-raid-assembly.rules"] {
        assert!(rules.contains(&name.to_owned()), "{rules:?}");
    }
    let units = files(&lib.join("systemd/system"));
    for name in [
        "mdcheck_start.service",
        "mdcheck_start.timer",
        "mdcheck_continue.service",
        "mdcheck_continue.timer",
        "mdadm-grow-continue@.service",
        "mdadm-last-resort@.service",
        "mdadm-last-resort@.timer",
        "mdmonitor-oneshot.service",
        "mdmonitor-oneshot.timer",
        "mdmonitor.service",
    ] {
        assert!(units.contains(&name.to_owned()), "{units:?}");
    }
    let shutdown = lib.join("systemd/system-shutdown/mdadm.shutdown");
    assert!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(shutdown).unwrap().permissions()) & 0o111 != 0);
    assert!(dir.path().join("usr/share/man/man8/mdadm.8").exists());
}

#[test]
fn rules_and_units_call_the_program_where_it_is_installed() {
    let dir = install("/opt/md");
    let lib = dir.path().join("opt/md/lib");
    let mut calls = 0;
    for folder in ["udev/rules.d", "systemd/system", "systemd/system-shutdown"] {
        for name in files(&lib.join(folder)) {
            let text = fs::read_to_string(lib.join(folder).join(&name)).unwrap();
            assert!(!text.contains("/usr/sbin/mdadm"), "{name}");
            calls += text.matches("/opt/md/sbin/mdadm ").count();
        }
    }
    assert!(calls >= 6, "{calls}");
}

#[test]
fn what_units_start_is_what_the_program_takes() {
    let dir = install("/usr");
    let units = dir.path().join("usr/lib/systemd/system");
    let mut calls = 0;
    for name in files(&units) {
        let text = fs::read_to_string(units.join(&name)).unwrap();
        let starts =
            text.lines().filter_map(|l| l.strip_prefix("Exec")?.split_once('=')?.1.strip_prefix("/usr/sbin/mdadm "));
        for line in starts {
            let line = line.replace("%i", "md127").replace("%I", "md127");
            let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            let request = cli::parse(&words).unwrap_or_else(|e| panic!("{name}: {line}: {}", e.text));
            assert!(!matches!(request, Request::Show(_) | Request::NotYet(_)), "{name}: {line}");
            calls += 1;
        }
    }
    assert_eq!(calls, 6);
    // and it is no parser that takes all
    assert!(cli::parse(&["--check=begin".into(), "--scan".into()]).is_err());
}
