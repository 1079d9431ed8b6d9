//! `--wait` and `--wait-clean`.

use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::apply::reason;
use super::grow::worker;
use super::print::{complain, err};
use crate::cli::request::Common;
use crate::error::Exit;
use crate::host::Host;
use crate::host::devmap::dev_of;
use crate::host::mdstat;
use crate::host::names::MD_MAJOR;
use crate::output::progress;
use crate::sysfs::attr;
use crate::sysfs::value::{ArrayState, Maybe, SyncAction, SyncProgress};
use crate::units::SECTOR_BYTES;

/// The kernel tells of most changes; what it does not tell of is seen after this, in milliseconds.
const LOOK_AGAIN: u16 = 5000;
/// The same where the progress is shown.
const SHOW_AGAIN: u16 = 500;
/// How long a reshape may have nobody who looks after it.
const A_MOMENT: Duration = Duration::from_secs(3);
/// Back to the start of the line, and nothing on it.
const CLEAR: &str = "\r\x1b[K";

/// Why a path leads to nothing that the kernel knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nothing {
    /// It cannot be looked at, or is no block device: told already.
    Path,
    /// It is an array's, and the array is not there.
    Array,
    /// It is of another kind of device.
    Other,
}

/// Kernel name of the array (or whatever disk it is) at a path.
fn devname(host: &Host, path: &Path) -> Result<String, Nothing> {
    let shown = path.display();
    let meta = std::fs::metadata(path).map_err(|e| {
        complain(format!("stat failed for {shown}: {}", reason(&e)));
        Nothing::Path
    })?;
    if !meta.file_type().is_block_device() {
        complain(format!("{shown} is not a block device."));
        return Err(Nothing::Path);
    }
    let dev = dev_of(&meta);
    host.sysfs.disk_name(dev).ok_or(if dev.0 == MD_MAJOR { Nothing::Array } else { Nothing::Other })
}

fn say_unknown(host: &Host, path: &Path) {
    complain(format!("the kernel has no device {}{}", path.display(), host.md_hint()));
}

/// Waits until no resync, recovery or reshape of the array runs: 0 when there was one, 1 when there was nothing to wait for.
/// `--plan` does not wait.
#[must_use]
pub fn wait(common: &Common, path: &Path) -> Exit {
    let host = Host::default();
    match devname(&host, path) {
        Err(Nothing::Path) => Exit::USAGE,
        // As the reference: an array that is not there is nothing to wait for, any other device is a mistake.
        Err(Nothing::Array) => {
            say_unknown(&host, path);
            Exit::FAIL
        }
        Err(Nothing::Other) => {
            complain("Cannot get md device name.");
            say_unknown(&host, path);
            Exit::USAGE
        }
        Ok(name) => {
            let show = !common.is_quiet() && !common.plan && std::io::stderr().is_terminal();
            until_idle(&host, &name, path, show, common.plan)
        }
    }
}

/// How far the array is, on the line of the terminal; waiting for another array or for a start has no line.
fn show_progress(host: &Host, devname: &str, path: &Path, action: &str) {
    let array = host.sysfs.array(devname);
    let Some(SyncProgress::At { done, total }) = array.get(attr::SYNC_COMPLETED) else { return };
    let speed = array.get(attr::SYNC_SPEED).and_then(Maybe::some).map(|kib| kib.saturating_mul(1024));
    let critical = action == "reshape" && worker::recorded(host, devname).is_some_and(|(r, _)| r.overwrites());
    let section = if critical { " (critical section)" } else { "" };
    let what = format!("{action} of {}{section}", path.display().to_string().escape_debug());
    let bytes = |sectors: u64| sectors.saturating_mul(SECTOR_BYTES);
    err(&format!("{CLEAR}{}", progress::bar(&what, bytes(done), bytes(total), speed)));
}

/// Waits until no resync, recovery or reshape of the array runs; `show` is for a terminal, with `plan` nothing is waited for.
#[must_use]
pub fn until_idle(host: &Host, devname: &str, path: &Path, show: bool, plan: bool) -> Exit {
    let exit = wait_for(host, devname, path, show, plan);
    if show {
        err(CLEAR);
    }
    exit
}

fn wait_for(host: &Host, devname: &str, path: &Path, show: bool, plan: bool) -> Exit {
    let mut waited = false;
    let mut abandoned: Option<Instant> = None;
    loop {
        // Opened before it is read: a change in between ends the poll at once.
        let Ok(file) = File::open(host.proc.join("mdstat")) else { return Exit::FAIL };
        let stat = mdstat::parse(&std::io::read_to_string(&file).unwrap_or_default());
        let sync = stat.array(devname).and_then(|a| a.sync.clone());
        match sync {
            Some(s) if s.waits.as_deref() == Some("PENDING") && is_read_only(host, devname) => {
                if show {
                    err(CLEAR);
                }
                complain(format!(
                    "the {} of {} is pending: it starts when the array is writable (mdadm --readwrite {})",
                    s.action,
                    path.display(),
                    path.display()
                ));
                return Exit::FAIL;
            }
            None if !is_busy(host, devname) => return if waited { Exit::OK } else { Exit::FAIL },
            _ if plan => return Exit::OK,
            sync => {
                waited = true;
                if let Some(sync) = sync.filter(|_| show) {
                    show_progress(host, devname, path, &sync.action);
                }
            }
        }
        // Whoever starts a reshape has it looked after in a moment.
        abandoned = worker::is_abandoned(host, devname).then(|| abandoned.unwrap_or_else(Instant::now));
        if abandoned.is_some_and(|since| since.elapsed() >= A_MOMENT) {
            if show {
                err(CLEAR);
            }
            let path = path.display();
            complain(format!("the reshape of {path} waits for whoever looks after it: mdadm --grow --continue {path}"));
            return Exit::FAIL;
        }
        let again = if show || abandoned.is_some() { SHOW_AGAIN } else { LOOK_AGAIN };
        let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLPRI | PollFlags::POLLERR)];
        // Interrupted or not: it is looked at again.
        let _ = poll(&mut fds, PollTimeout::from(again));
    }
}

/// Between two actions /proc/mdstat shows none.
fn is_busy(host: &Host, devname: &str) -> bool {
    let action = host.sysfs.array(devname).get(attr::SYNC_ACTION);
    !matches!(action, None | Some(SyncAction::Idle | SyncAction::Frozen | SyncAction::Other(_)))
}

fn is_read_only(host: &Host, devname: &str) -> bool {
    let state = host.sysfs.array(devname).get(attr::ARRAY_STATE);
    matches!(state, Some(ArrayState::Readonly | ArrayState::ReadAuto))
}

/// Makes sure that the array is marked clean before a shutdown. The kernel does that itself for the metadata that it
/// writes (mdadm(8), `--wait-clean`), so there is nothing to wait for.
#[must_use]
pub fn wait_clean(path: &Path) -> Exit {
    let host = Host::default();
    match devname(&host, path) {
        Err(Nothing::Path) => Exit::USAGE,
        Err(Nothing::Array | Nothing::Other) => {
            say_unknown(&host, path);
            Exit::FAIL
        }
        Ok(_) => Exit::OK,
    }
}
