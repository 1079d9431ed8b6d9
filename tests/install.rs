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

/// Killed in the middle of a window, who looks after a reshape leaves writes to it waiting: another one takes over at once.
#[test]
fn who_looks_after_a_reshape_is_started_again_when_it_is_killed_and_only_then() {
    let dir = install("/usr");
    let unit = dir.path().join("usr/lib/systemd/system/mdadm-grow-continue@.service");
    let text = fs::read_to_string(unit).unwrap();
    assert!(text.lines().any(|l| l == "Restart=on-abnormal"), "{text}");
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

#[test]
fn systemd_takes_every_unit_without_a_word_of_complaint() {
    let dir = tempfile::tempdir().unwrap();
    // Below a prefix of its own: the program that units start is there.
    let prefix = dir.path().join("usr");
    let made = Command::new("make")
        .args(["-s", "-C", env!("CARGO_MANIFEST_DIR"), "install-data"])
        .arg(format!("PREFIX={}", prefix.display()))
        .status();
    assert!(made.unwrap().success());
    fs::create_dir(prefix.join("sbin")).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_mdadm"), prefix.join("sbin/mdadm")).unwrap();
    let units = prefix.join("lib/systemd/system");
    let verify = |names: &[String]| {
        let paths = names.iter().map(|name| units.join(name.replace("@.", "@md127.")));
        Command::new("systemd-analyze").args(["--man=no", "--recursive-errors=no", "verify"]).args(paths).output()
    };
    let names = files(&units);
    let Ok(found) = verify(&names) else {
        println!("no systemd-analyze here");
        return;
    };
    let said = String::from_utf8_lossy(&found.stderr).into_owned();
    // It tells of this machine's other units too.
    let ours: Vec<&str> =
        said.lines().filter(|l| names.iter().any(|n| l.contains(n.split(['@', '.']).next().unwrap()))).collect();
    assert!(ours.is_empty() && found.status.success(), "{}: {said}", found.status);
    // and it is one that complains: systemd 252 does not know this type
    let unit = units.join("mdmonitor.service");
    fs::write(&unit, fs::read_to_string(&unit).unwrap().replace("Type=notify", "Type=notification")).unwrap();
    let said = verify(&["mdmonitor.service".to_owned()]).unwrap().stderr;
    assert!(String::from_utf8_lossy(&said).contains("notification"));
}
