//! What kernel tests share. Use it with `#[path = "vm/mod.rs"] mod vm;`.
//!
//! Test programs named `kernel_*` and `compare*` run inside a guest, each test in a fresh one (`tests/vm/runner`): make
//! disks with [`disk`], run [`mdadm`] or [`reference`], [`write_pattern`] and [`verify_pattern`], [`wait_sync`].
//! Test programs named `power_*` run on the host and [`boot`] guests themselves, on disk files that outlive them.
//! Everything here panics on failure: it is for tests only.
#![allow(dead_code, unused_imports, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod guest;
mod members;
mod older;
mod pattern;
pub mod writes;

pub use guest::{Guest, boot, boot_self, disk_file, random_disk, seeds};
pub use members::Members;
pub use older::{bitmaps, kernel_has, lockless_is_refused, or_internal};
pub use pattern::{holds_pattern, mix, verify_pattern, write_pattern};

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// One mebibyte, in bytes.
pub const MIB: u64 = 1 << 20;

/// What a program printed and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Exit status; 128 + signal number when a signal ended it.
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// Panics with everything printed unless the status is 0.
    #[track_caller]
    pub fn ok(self) -> Output {
        assert_eq!(self.status, 0, "failed; stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// Runs `program` with `args` and `stdin` as its input.
#[track_caller]
pub fn run(program: impl AsRef<Path>, args: &[&str], stdin: &str) -> Output {
    let program = program.as_ref();
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{}: {e}", program.display()));
    // a program that never reads closes the pipe: not a failure of the test
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let out = child.wait_with_output().unwrap();
    Output {
        status: status(out.status),
        stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
    }
}

fn status(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// Runs our mdadm; the words of `line` are its arguments. No input: every question meets the end of input.
#[track_caller]
pub fn mdadm(line: &str) -> Output {
    run(env!("CARGO_BIN_EXE_mdadm"), &line.split_whitespace().collect::<Vec<_>>(), "")
}

/// Runs the reference mdadm the same way.
#[track_caller]
pub fn reference(line: &str) -> Output {
    run(reference_path(), &line.split_whitespace().collect::<Vec<_>>(), "")
}

/// Path of the reference mdadm: `MDADM_REFERENCE`, else the cached one of tests/oracle/fetch-reference.
pub fn reference_path() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        let fetch = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle/fetch-reference");
        run(fetch, &[], "").ok().stdout.trim_end().to_owned()
    })
}

/// Runs a bash script with `set -e` and returns its stdout; panics when it fails.
#[track_caller]
pub fn sh(script: &str) -> String {
    run("bash", &["-ec", script], "").ok().stdout
}

/// A new disk in the guest: a loop device on a sparse file in /mnt, all zeros. Returns its path, `/dev/loopN`.
#[track_caller]
pub fn disk(bytes: u64) -> String {
    disk_with_blocks(bytes, 512)
}

/// The same with logical blocks of `block` bytes (512 or 4096).
#[track_caller]
pub fn disk_with_blocks(bytes: u64, block: u32) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    assert!(in_guest(), "disks are made in a guest only");
    let file = format!("/mnt/disk{}", NEXT.fetch_add(1, Ordering::Relaxed));
    fs::File::create_new(&file).unwrap().set_len(bytes).unwrap();
    sh(&format!("losetup -f --show -b {block} {file}")).trim_end().to_owned()
}

/// A disk that is a slice of `file`: `bytes` from `offset` on, both multiples of 512.
#[track_caller]
pub fn slice(file: &str, offset: u64, bytes: u64) -> String {
    sh(&format!("losetup -f --show -o {offset} --sizelimit {bytes} {file}")).trim_end().to_owned()
}

/// `count` equal [`disk`]s.
#[track_caller]
pub fn disks(count: usize, bytes: u64) -> Vec<String> {
    (0..count).map(|_| disk(bytes)).collect()
}

/// Whether this process runs inside a guest.
pub fn in_guest() -> bool {
    std::env::var_os("GUEST").is_some()
}

/// /proc/mdstat as it is.
pub fn mdstat() -> String {
    fs::read_to_string("/proc/mdstat").unwrap()
}

/// The sysfs attribute /sys/block/ARRAY/md/NAME without its line end; `array` is a kernel name such as `md0`.
#[track_caller]
pub fn attr(array: &str, name: &str) -> String {
    let path = format!("/sys/block/{array}/md/{name}");
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}")).trim_end().to_owned()
}

/// Stores `value` in the sysfs attribute.
#[track_caller]
pub fn set_attr(array: &str, name: &str, value: &str) {
    let path = format!("/sys/block/{array}/md/{name}");
    fs::write(&path, value).unwrap_or_else(|e| panic!("{value} > {path}: {e}"));
}

/// Limits of the resync speed, in KiB a second: low to catch a resync in the act, high to finish it.
pub fn sync_speed(min: u32, max: u32) {
    // the kernel keeps min <= max at no time by itself, so the order does not matter
    fs::write("/proc/sys/dev/raid/speed_limit_max", max.to_string()).unwrap();
    fs::write("/proc/sys/dev/raid/speed_limit_min", min.to_string()).unwrap();
}

/// Raises the speed limits and waits until no resync, recovery, check or reshape of `array` runs or is about to.
/// Panics after 120 s.
#[track_caller]
pub fn wait_sync(array: &str) {
    sync_speed(1_000_000, 2_000_000);
    wait_until(Duration::from_secs(120), &format!("{array} is in sync"), || {
        // between two actions the kernel says "idle" for a moment
        (0..5).all(|_| {
            std::thread::sleep(Duration::from_millis(40));
            attr(array, "sync_action") == "idle" || attr(array, "sync_action") == "frozen"
        })
    });
}

/// Waits until `condition` holds; panics after `limit` with `what` and /proc/mdstat.
#[track_caller]
pub fn wait_until(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "waited {limit:?} until {what}:\n{}", mdstat());
        std::thread::sleep(Duration::from_millis(20));
    }
}
