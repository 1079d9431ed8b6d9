//! The program as a whole, as far as the command line goes: streams, exit statuses, closed pipes, hostile words.
#![allow(clippy::unwrap_used)]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::process::{Command, Output, Stdio};

use mdadm::cli::{Request, parse, table};
use proptest::prelude::*;

fn mdadm(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mdadm")).args(words).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_version_is_on_stderr_and_reads_as_the_reference_s() {
    for word in ["--version", "-V", "--vers"] {
        let out = mdadm(&[word]);
        assert_eq!((out.status.code(), text(&out.stdout).as_str()), (Some(0), ""));
        let line = text(&out.stderr);
        let rest = line.strip_prefix("mdadm - v4.6 - ").unwrap();
        assert!(rest.contains(" - mdadm-rs "), "{line}");
        assert_eq!(line.lines().count(), 1);
    }
}

#[test]
fn help_is_on_stdout_and_succeeds() {
    for words in [&["--help"][..], &["-h"], &["--help-options"], &["-Ch"], &["--assemble", "--help"], &["-h", "-D"]] {
        let out = mdadm(words);
        assert_eq!((out.status.code(), text(&out.stderr).as_str()), (Some(0), ""), "{words:?}");
        assert!(text(&out.stdout).contains("mdadm"), "{words:?}");
    }
}

#[test]
fn wrong_usage_is_on_stderr_with_status_2() {
    for words in
        [&[][..], &["--none"], &["--re"], &["-l"], &["--create"], &["-D"], &["--json"], &["--create", "--stop"]]
    {
        let out = mdadm(words);
        assert_eq!((out.status.code(), text(&out.stdout).as_str()), (Some(2), ""), "{words:?}");
        assert!(!out.stderr.is_empty(), "{words:?}");
    }
}

#[test]
fn what_the_platform_offers_is_told_as_json_with_the_references_status() {
    for (words, status, want) in [
        (
            &[][..],
            2,
            "0.90 independent, 1.x independent, ddf independent, imsm not-found, mbr independent, gpt independent",
        ),
        (&["-e", "1.2"], 1, "1.x independent"),
        (&["-e", "0.90"], 1, "0.90 independent"),
        (&["-e", "imsm"], 2, "imsm not-found"),
    ] {
        let out = mdadm(&[&["--detail-platform", "--json"], words].concat());
        assert_eq!((out.status.code(), text(&out.stderr).as_str()), (Some(status), ""), "{words:?}");
        let all: Vec<serde_json::Value> = serde_json::from_slice(&out.stdout).unwrap();
        assert!(
            all.iter().all(|f| f["schema"] == "mdadm-rs/platform/1" && f.as_object().unwrap().len() == 3),
            "{all:?}"
        );
        let word = |f: &serde_json::Value, key: &str| f[key].as_str().unwrap().to_owned();
        let said: Vec<String> =
            all.iter().map(|f| format!("{} {}", word(f, "metadata"), word(f, "platform"))).collect();
        assert_eq!(said.join(", "), want);
    }
}

#[test]
fn a_closed_pipe_is_a_quiet_success() {
    let child = Command::new("/bin/sh")
        .args(["-c", "{ sleep 0.1; \"$0\" --create --help; echo $? >&2; } | true"])
        .arg(env!("CARGO_BIN_EXE_mdadm"))
        .output()
        .unwrap();
    assert_eq!(text(&child.stderr), "0\n");
}

#[test]
fn an_option_that_is_to_come_says_so_in_one_line_and_changes_nothing() {
    let out = mdadm(&["-E", "--sparc2.2", "/dev/sda"]);
    assert_eq!(out.status.code(), Some(1));
    let line = text(&out.stderr);
    assert!(line.ends_with("is not in this version of mdadm-rs yet; nothing was changed\n"), "{line}");
    assert_eq!(line.lines().count(), 1);
}

fn request(words: &[&str]) -> Request {
    let words: Vec<OsString> = words.iter().map(Into::into).collect();
    parse(&words).unwrap()
}

#[test]
fn devices_options_and_the_mode_may_stand_in_any_order_the_reference_takes() {
    let plain = request(&["--create", "/dev/md0", "--level=1", "--raid-devices=2", "-f", "-R", "/dev/a", "/dev/b"]);
    for other in [
        &["-CRf", "/dev/md0", "-l1", "-n2", "/dev/a", "/dev/b"][..],
        &["/dev/md0", "-C", "/dev/a", "/dev/b", "-n", "2", "-l", "mirror", "-fR"],
        &["--create", "/dev/md0", "/dev/a", "--lev", "raid1", "/dev/b", "--raid-disks", "2", "--run", "--force"],
    ] {
        assert_eq!(request(other), plain, "{other:?}");
    }
}

#[test]
fn what_stands_before_a_member_holds_for_those_that_follow() {
    let words = ["-C", "md0", "-l1", "-n4", "a", "-W", "b", "--failfast", "missing", "c"];
    let Request::Create(create) = request(&words) else { panic!() };
    let flags: Vec<_> = create.members.iter().map(|m| (m.path.is_some(), m.write_mostly, m.failfast)).collect();
    assert_eq!(flags, [(true, false, false), (true, true, false), (false, true, true), (true, true, true)]);
}

#[test]
fn each_device_of_misc_mode_keeps_the_operation_named_before_it() {
    let Request::Misc(misc) = request(&["-D", "/dev/md0", "--stop", "/dev/md1", "/dev/md2"]) else { panic!() };
    let items: Vec<_> = misc.items.iter().map(|(a, p)| format!("{a:?} {}", p.display())).collect();
    assert_eq!(items, ["Detail /dev/md0", "Stop /dev/md1", "Stop /dev/md2"]);
}

/// A word of a command line: a piece of an option, a value, a device, or any bytes.
fn word() -> impl Strategy<Value = OsString> {
    let longs: Vec<&str> = table::TABLE.iter().map(|o| o.long).collect();
    prop_oneof![
        (prop::sample::select(longs.clone()), 1usize..20)
            .prop_map(|(l, n)| format!("--{}", &l[..n.min(l.len())]).into()),
        (prop::sample::select(longs), "[a-zA-Z0-9:./=-]{0,12}").prop_map(|(l, v)| format!("--{l}={v}").into()),
        "-[a-zA-Z0-9]{1,4}".prop_map(OsString::from),
        "[0-9]{0,20}[KMGTs]?".prop_map(OsString::from),
        Just("/dev/md0".into()),
        prop::collection::vec(any::<u8>(), 0..12).prop_map(OsString::from_vec),
    ]
}

proptest! {
    #[test]
    fn no_command_line_panics(words in prop::collection::vec(word(), 0..8)) {
        let _ = parse(&words);
    }

    #[test]
    fn every_refusal_says_something(words in prop::collection::vec(word(), 0..6)) {
        if let Err(error) = parse(&words) {
            prop_assert!(!error.text.is_empty() || !error.out.is_empty());
        }
    }

    #[test]
    fn a_value_may_be_glued_or_stand_alone(n in 2u32..99, level in prop::sample::select(vec!["0", "1", "5", "raid6"])) {
        let n = n.to_string();
        let (long, short) = (format!("--raid-devices={n}"), format!("-n{n}"));
        let glued = request(&["-C", "md0", &format!("-l{level}"), &short]);
        prop_assert_eq!(&request(&["-C", "md0", "--level", level, &long]), &glued);
        prop_assert_eq!(&request(&["-C", "-l", level, "md0", "--raid-dev", &n]), &glued);
    }
}
