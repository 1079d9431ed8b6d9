//! Runs cases and compares what came of them.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::bytes::{self, Image};
use super::case::{self, Case};
use super::deliberate;
use super::mask::{self, Keep};
use super::vm;

/// The functions that scripts use.
const PRELUDE: &str = r#"
it() { printf '$ mdadm %s\n' "$*" >>"$LOG/out"; printf '$ mdadm %s\n' "$*" >>"$LOG/err"; timeout 30 "${PROGRAM[@]}" "$@" >>"$LOG/out" 2>>"$LOG/err"; local rc=$?; echo "= $rc" >>"$LOG/out"; return $rc; }
mdadm() { local PROGRAM=("${IT[@]}"); it "$@"; }
reference() { local PROGRAM=("${REFERENCE[@]}"); it "$@"; }
other() { local PROGRAM=("${OTHER[@]}"); it "$@"; }
merged() { shift; printf '$ mdadm %s\n' "$*" >>"$LOG/out"; timeout 30 "${IT[@]}" "$@" >/mnt/merged 2>&1 </dev/null; local rc=$?; grep -v ' is missing' /mnt/merged >>"$LOG/out"; echo "= $rc" >>"$LOG/out"; }
sinks() {
    rm -f /mnt/mails /mnt/programs /mnt/watched; touch /mnt/mails /mnt/programs /mnt/watched; mkdir -p /usr/sbin
    printf '#!/bin/bash\n{ echo "args $*"; cat; } >>/mnt/mails\n' >/usr/sbin/sendmail
    printf '#!/bin/bash\necho "$# $*" >>/mnt/programs\n' >/mnt/program; chmod +x /usr/sbin/sendmail /mnt/program
}
sunk() { # mails up to /proc/mdstat, which shows the moment
    sort /mnt/programs | grep -v 'Rebuild[0-9]' >>"$LOG/out"; sed '/file currently contains/,/^unused/d; / is missing/d' /mnt/mails >>"$LOG/out"; true
}
watch() { shift; printf '$ mdadm %s\n' "$*" >>"$LOG/out"; "${IT[@]}" "$@" >/mnt/watched 2>&1 </dev/null & WATCH=$!; told TestMessage; }
told() { # what is not told within 30 seconds is not waited for again
    local f n
    for f in /mnt/watched /mnt/programs; do
        for ((n = 0; n < ${PATIENCE:-300}; n++)); do grep -q "$1" $f && continue 2; sleep 0.1; done
        echo "$1 is not in $f" >>"$LOG/out"; PATIENCE=1
    done
}
stopped() { timeout 30 tail --pid=$WATCH -f /dev/null || echo "it goes on" >>"$LOG/out"; }
watched() { kill $WATCH 2>/dev/null; wait $WATCH; echo "= $?" >>"$LOG/out"; sort /mnt/watched | grep -v 'Rebuild[0-9]\| is missing\|hot removed' >>"$LOG/out"; }
see() { printf '$ %s\n' "$*" >>"$LOG/out"; "$@" >>"$LOG/out" 2>&1; }
"#;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    Reference,
    Ours,
}

/// What one run of a script left behind.
struct Outcome {
    out: String,
    err: String,
    state: String,
    images: Vec<Image>,
}

/// Runs all cases of a file, prints a line for each, and fails at the end if one differs.
pub fn file(name: &str, text: &str) {
    let wanted = std::env::var("GUEST_CASE").unwrap_or_default();
    let cases: Vec<Case> = case::parse(text).into_iter().filter(|c| c.name.contains(&wanted)).collect();
    let known = deliberate::all();
    let (mut bad, mut meant) = (0, 0);
    let start = Instant::now();
    for case in &cases {
        let mut found = differences(case);
        let before = found.len();
        found.retain(|line| !known.iter().any(|d| d.case == case.name && d.line == line));
        let explained = before - found.len();
        if found.iter().all(|l| l.starts_with(ASIDE)) {
            found.clear();
        }
        for d in known.iter().filter(|d| d.case == case.name) {
            println!("  meant: {} ({})", d.line, d.reason);
        }
        meant += explained;
        let unused = known.iter().filter(|d| d.case == case.name).count() - explained;
        if found.is_empty() && unused == 0 {
            println!("same     {}", case.name);
            continue;
        }
        bad += 1;
        println!("DIFFERS  {}", case.name);
        if unused > 0 {
            println!("  {unused} lines of differences.txt name this case and are not seen");
        }
        found.iter().for_each(|line| println!("  {line}"));
    }
    let seconds = start.elapsed().as_secs();
    println!("{name}: {} cases, {bad} differ, {meant} lines differ as meant, {seconds} s", cases.len());
    assert_eq!(bad, 0, "{bad} of {} cases of {name} differ", cases.len());
}

/// Everything that tells the programs apart in this case.
fn differences(case: &Case) -> Vec<String> {
    use Program::{Ours, Reference};
    let keep = Keep { events: case.compares("events"), uuid: case.compares("uuid") };
    let base = play(case, Reference, Reference, keep);
    let pairs: &[(Program, Program, &str)] = if case.crosses() {
        &[(Ours, Ours, "ours, ours: "), (Ours, Reference, "ours, reference: "), (Reference, Ours, "reference, ours: ")]
    } else {
        &[(Ours, Ours, "")]
    };
    let mut lines = Vec::new();
    for (it, other, label) in pairs {
        let outcome = play(case, *it, *other, keep);
        let mut found = wording(case, &base.err, &outcome.err);
        if !case.compares("status") {
            found.extend(text(&base.out, &outcome.out));
            found.extend(text(&base.state, &outcome.state));
            found.extend(bytes::differences(&base.images, &outcome.images));
        }
        let status = statuses(&base.out, &outcome.out);
        if !status.is_empty() {
            // all else follows from that
            found = status.into_iter().chain(found.into_iter().map(|l| format!("{ASIDE}then: {l}"))).collect();
        }
        lines.extend(found.into_iter().map(|l| if l.starts_with(ASIDE) { l } else { format!("{label}{l}") }));
    }
    if lines.iter().all(|l| l.starts_with(ASIDE)) { Vec::new() } else { lines }
}

/// Begins a line that explains a difference and is none by itself.
const ASIDE: &str = "    ";

/// A line for each command whose exit status differs.
fn statuses(reference: &str, ours: &str) -> Vec<String> {
    let of = |text: &str| -> Vec<(String, String)> {
        let mut command = String::new();
        text.lines()
            .filter_map(|l| {
                if let Some(words) = l.strip_prefix("$ ") {
                    command = words.to_owned();
                }
                l.strip_prefix("= ").map(|s| (command.clone(), s.to_owned()))
            })
            .collect()
    };
    of(reference)
        .into_iter()
        .zip(of(ours))
        .filter(|(r, o)| r.1 != o.1)
        .map(|(r, o)| format!("status {}, ours {}: {}", r.1, o.1, r.0))
        .collect()
}

/// What tells the programs apart on stderr; of a case in words of its own, nothing.
fn wording(case: &Case, reference: &str, ours: &str) -> Vec<String> {
    let (theirs, own) = (without_its_workings(reference), without_our_notes(ours));
    match () {
        () if case.compares("own-words") => Vec::new(),
        () if case.compares("stderr") => text(&theirs, &own),
        () => said_as_well(&theirs, &own),
    }
}

/// What of the reference's stderr ours lacks, command by command. Behind a line of the reference ours may say more: a cause, who
/// holds the device, the next step; where the reference says nothing, nor may ours.
fn said_as_well(reference: &str, ours: &str) -> Vec<String> {
    let (theirs, own) = (commands(reference), commands(ours));
    let mut found = Vec::new();
    for (n, said) in theirs.iter().enumerate() {
        let lines = text(said, own.get(n).map_or("", String::as_str));
        let silent = said.lines().all(|l| l.starts_with("$ "));
        if silent || lines.iter().any(|l| l.starts_with('-')) {
            found.extend(lines);
        }
    }
    found
}

/// A text for each command and what it said.
fn commands(err: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    for line in err.lines() {
        if line.starts_with("$ ") {
            all.push(String::new());
        }
        // The reference leaves it out here and there.
        all.last_mut().unwrap().push_str(&format!("{}\n", line.strip_prefix("mdadm: ").unwrap_or(line)));
    }
    all
}

/// The reference's stderr without what tells of its own workings: what it tried first, which attribute it could not write.
fn without_its_workings(err: &str) -> String {
    let own = |l: &str| ITS_WORKINGS.iter().any(|(start, end)| l.starts_with(start) && l.contains(end));
    err.lines().filter(|l| !own(l)).map(|l| format!("{l}\n")).collect()
}

const ITS_WORKINGS: &[(&str, &str)] = &[
    ("mdadm: Fail to create md", ", fallback to creation via node"),
    ("mdadm: failed to write '", "' to '/sys/block/"),
];

/// Ours without the lines that it adds on purpose; docs/compat.md says which and why.
fn without_our_notes(err: &str) -> String {
    let other = |l: &str| l.ends_with("; going on without it") || l.contains(" is out of date: events ");
    let note = |l: &&str| !OUR_NOTES.iter().any(|n| l.starts_with(n)) && !other(l);
    let cut = |l: &str| l.find("[y/N]? mdadm: note: ").map_or(l.len(), |at| at + "[y/N]? ".len());
    err.lines().filter(note).map(|l| format!("{}\n", without_place(&l[..cut(l)]))).collect()
}

/// `mdadm: FILE:LINE: what` of the configuration, as the reference says it: `mdadm: what`.
fn without_place(line: &str) -> String {
    let mut parts = line.splitn(3, ':').skip(1);
    let (file, rest) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    match rest.split_once(": ") {
        Some((number, what)) if file.starts_with(" /") && number.parse::<u32>().is_ok() => format!("mdadm: {what}"),
        _ => line.to_owned(),
    }
}

/// The last are the lines of a table: the members side by side, with `--assemble -v`.
const OUR_NOTES: &[&str] =
    &["mdadm: note: ", "mdadm: lockless bitmap with chunks of ", "mdadm: no write-intent bitmap: ", "mdadm:   "];

/// The lines only one of two texts has, in order: "-" of the reference, "+" of ours. Longest common subsequence.
fn text(reference: &str, ours: &str) -> Vec<String> {
    let (a, b): (Vec<&str>, Vec<&str>) = (reference.lines().collect(), ours.lines().collect());
    let mut longest = vec![vec![0u16; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            longest[i][j] =
                if a[i] == b[j] { longest[i + 1][j + 1] + 1 } else { longest[i + 1][j].max(longest[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || (i < a.len() && longest[i + 1][j] >= longest[i][j + 1]) {
            lines.push(format!("-{}", a[i]));
            i += 1;
        } else {
            lines.push(format!("+{}", b[j]));
            j += 1;
        }
    }
    lines
}

/// One run of the script on fresh disks.
fn play(case: &Case, it: Program, other: Program, keep: Keep) -> Outcome {
    let disks = fresh_disks(&case.disks);
    let log = "/mnt/log";
    let _ = fs::remove_dir_all(log);
    fs::create_dir(log).unwrap();
    let mut script =
        format!("IT=({}); OTHER=({}); REFERENCE=({}); LOG={log}\n", program(it), program(other), vm::reference_path());
    for (i, disk) in disks.iter().enumerate() {
        script.push_str(&format!("{}={disk}; ", char::from(b'A' + u8::try_from(i).unwrap())));
    }
    script.push_str(PRELUDE);
    script.push_str(&case.script);
    // A line that bash cannot read ends the script, with both programs.
    script.push_str("\n: >\"$LOG/end\"\n");
    let status =
        Command::new("bash").arg("-c").arg(&script).stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap();
    assert!(status.code().is_some(), "{}: {status}", case.name);
    assert!(fs::exists(format!("{log}/end")).unwrap(), "{}: the script did not come to its end", case.name);
    let read =
        |name: &str| mask::text(&String::from_utf8_lossy(&fs::read(format!("{log}/{name}")).unwrap_or_default()), keep);
    // a question has no line end
    let (out, err) = (read("out"), read("err").replace("[y/N]? $ ", "[y/N]? \n$ "));
    settle();
    let state = mask::text(&state(), keep);
    stop_all();
    let images = (0..disks.len())
        .map(|i| {
            flush(&disks[i]);
            let mut image = bytes::image(&backing(i));
            bytes::mask(&mut image, keep);
            image
        })
        .collect();
    Outcome { out, err, state, images }
}

fn program(which: Program) -> String {
    match which {
        Program::Ours => env!("CARGO_BIN_EXE_mdadm").to_owned(),
        Program::Reference => vm::reference_path().to_owned(),
    }
}

fn backing(i: usize) -> String {
    format!("/mnt/compare{i}")
}

/// Disks of zeros; loop devices are kept from case to case and get a new size.
fn fresh_disks(sizes: &[u64]) -> Vec<String> {
    stop_all();
    for dir in ["/run/mdadm", "/dev/md"] {
        let _ = fs::remove_dir_all(dir);
        fs::create_dir_all(dir).unwrap();
    }
    vm::sync_speed(1, 1);
    (0..sizes.len())
        .map(|i| {
            let (file, device) = (backing(i), format!("/dev/loop{i}"));
            if !fs::exists(&file).unwrap() {
                fs::File::create(&file).unwrap().set_len(sizes[i]).unwrap();
                vm::sh(&format!("[ -e {device} ] || mknod {device} b 7 {i}; losetup {device} {file}"));
                return device;
            }
            flush(&device);
            let f = fs::OpenOptions::new().write(true).open(&file).unwrap();
            f.set_len(0).unwrap();
            f.set_len(sizes[i]).unwrap();
            ioctl(&device, 0x4C07); // LOOP_SET_CAPACITY
            device
        })
        .collect()
}

/// Writes out and forgets what is cached of a disk.
fn flush(device: &str) {
    ioctl(device, 0x1261); // BLKFLSBUF
}

fn ioctl(device: &str, request: libc::c_ulong) {
    let f = fs::File::open(device).unwrap();
    // SAFETY: these requests take no argument.
    let rc = unsafe { libc::ioctl(f.as_raw_fd(), request, 0) };
    assert_eq!(rc, 0, "ioctl {request:#x} on {device}: {}", std::io::Error::last_os_error());
}

/// Waits until a recovery that is due has begun: the kernel takes a moment to turn a spare into a member.
fn settle() {
    for _ in 0..50 {
        let due = vm::mdstat().split("\n\n").any(|a| a.contains("(S)") && a.contains('_') && !a.contains("read-only"));
        if !due {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn arrays() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir("/sys/block")
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|n| fs::exists(format!("/sys/block/{n}/md")).unwrap())
        .collect();
    names.sort();
    names
}

/// What the kernel, the map file and /dev/md say of the arrays.
fn state() -> String {
    let mut text = mask::mdstat(&vm::mdstat());
    for array in arrays() {
        if fs::read_to_string(format!("/sys/block/{array}/md/array_state")).is_ok_and(|s| s.trim() == "clear") {
            text.push_str(&format!("{array} is left without members\n"));
            continue;
        }
        for name in ["array_state", "metadata_version"] {
            let value = fs::read_to_string(format!("/sys/block/{array}/md/{name}")).unwrap_or_default();
            let value = match value.trim() {
                "active" | "clean" | "write-pending" | "active-idle" => "running",
                other => other,
            };
            text.push_str(&format!("{array} {name} {value}\n"));
        }
    }
    // the reference leaves lines of arrays that it could not start
    let map = fs::read_to_string("/run/mdadm/map").unwrap_or_default();
    let there = arrays();
    for line in map.lines().filter(|l| there.iter().any(|a| l.split(' ').next() == Some(a))) {
        text.push_str(&format!("map: {line}\n"));
    }
    let links: BTreeMap<_, _> = fs::read_dir("/dev/md")
        .unwrap()
        .map(|e| e.unwrap())
        .map(|e| (e.file_name(), fs::read_link(e.path()).unwrap_or_default()))
        .collect();
    text.push_str(&format!("/dev/md: {links:?}\n"));
    text
}

fn stop_all() {
    let start = Instant::now();
    while !arrays().is_empty() {
        for array in arrays() {
            // EBUSY while something has it open for a moment
            let _ = fs::write(format!("/sys/block/{array}/md/array_state"), "clear");
        }
        assert!(start.elapsed() < Duration::from_secs(10), "arrays do not stop:\n{}", vm::mdstat());
        std::thread::sleep(Duration::from_millis(5));
    }
}
