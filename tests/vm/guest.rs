//! Guests that a test on the host boots itself, to cut their power and boot again on the same disks.

use super::{Output, status, write_pattern};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A running guest.
pub struct Guest {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

/// A new file of zeros for [`boot`], in `dir` on the host.
#[track_caller]
pub fn disk_file(dir: &Path, name: &str, bytes: u64) -> PathBuf {
    let path = dir.join(name);
    fs::File::create_new(&path).unwrap().set_len(bytes).unwrap();
    path
}

/// The same full of what `seed` decides: no parity is right by luck.
#[track_caller]
pub fn random_disk(dir: &Path, name: &str, bytes: u64, seed: u64) -> PathBuf {
    let path = disk_file(dir, name, bytes);
    write_pattern(path.to_str().unwrap(), 0, bytes, seed);
    path
}

/// The seeds of a campaign: `SOAK_SEEDS` of them, or so many, from `SOAK_FIRST` (1) on.
pub fn seeds(usual: u64) -> std::ops::Range<u64> {
    let number = |name: &str, other| std::env::var(name).map_or(other, |n| n.parse::<u64>().unwrap());
    let first = number("SOAK_FIRST", 1);
    first..first + number("SOAK_SEEDS", usual)
}

/// Boots a guest that runs `command`; `disks` become /dev/ubda, /dev/ubdb, ... there and keep what was written to them.
/// A fault in the guest's kernel log fails it like any other (status 70), and its log goes to our stderr.
#[track_caller]
pub fn boot(disks: &[PathBuf], command: &[&str]) -> Guest {
    boot_with(disks, command, &[])
}

fn boot_with(disks: &[PathBuf], command: &[&str], env: &[(&str, String)]) -> Guest {
    assert!(!super::in_guest(), "a guest cannot boot another");
    let disks: Vec<&str> = disks.iter().map(|d| d.to_str().unwrap()).collect();
    let mut child = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vm/run-guest"))
        .args(command)
        .env("DISKS", disks.join(" "))
        .envs(env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    Guest { child, stdout }
}

/// Boots a guest that runs the `#[ignore]`d test `name` of this same test program, with variables `GUEST_*` for it in `env`.
#[track_caller]
pub fn boot_self(disks: &[PathBuf], name: &str, env: &[(&str, String)]) -> Guest {
    let this = std::env::current_exe().unwrap();
    boot_with(disks, &[this.to_str().unwrap(), "--exact", name, "--ignored", "--nocapture"], env)
}

impl Guest {
    /// Reads what the guest prints up to a line that ends in `marker` (the test harness may print before it) and returns it; panics when the guest ends before.
    #[track_caller]
    pub fn wait_for(&mut self, marker: &str) -> String {
        let mut seen = String::new();
        loop {
            let start = seen.len();
            let n = self.stdout.read_line(&mut seen).unwrap();
            assert!(n > 0, "the guest ended before it printed {marker}:\n{seen}");
            if seen[start..].trim_end().ends_with(marker) {
                return seen;
            }
        }
    }

    /// Cuts the power: kills the guest at once, whatever it is doing.
    #[track_caller]
    pub fn cut_power(mut self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let status = status(self.child.wait().unwrap());
        assert_eq!(status, 137, "the guest had ended before the power cut, or its kernel log has a fault");
    }

    /// Waits for the end of the guest; `stdout` is what it printed since the last [`Guest::wait_for`].
    #[track_caller]
    pub fn finish(mut self) -> Output {
        let mut stdout = Vec::new();
        self.stdout.read_to_end(&mut stdout).unwrap();
        let status = status(self.child.wait().unwrap());
        Output { status, stdout: String::from_utf8_lossy(&stdout).into_owned(), stderr: String::new() }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // a test that panics leaves no guest behind
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
            let _ = self.child.wait();
        }
    }
}
