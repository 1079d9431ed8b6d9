//! `--wait` and `--wait-clean`.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::apply::reason;
use super::print::complain;
use crate::error::Exit;
use crate::host::Host;
use crate::host::devmap::dev_of;
use crate::host::mdstat;
use crate::sysfs::attr;
use crate::sysfs::value::{ArrayState, SyncAction};

/// The kernel tells of most changes; what it does not tell of is seen after this, in milliseconds.
const LOOK_AGAIN: u16 = 5000;

/// Kernel name of the array (or whatever disk it is) at a path.
fn devname(host: &Host, path: &Path) -> Result<Option<String>, Exit> {
    let shown = path.display();
    let meta = std::fs::metadata(path).map_err(|e| {
        complain(format!("stat failed for {shown}: {}", reason(&e)));
        Exit::USAGE
    })?;
    if !meta.file_type().is_block_device() {
        complain(format!("{shown} is not a block device."));
        return Err(Exit::USAGE);
    }
    Ok(host.sysfs.disk_name(dev_of(&meta)))
}

/// Waits until no resync, recovery or reshape of the array runs: 0 when there was one, 1 when there was nothing to wait for.
#[must_use]
pub fn wait(path: &Path) -> Exit {
    let host = Host::default();
    match devname(&host, path) {
        Err(exit) => exit,
        Ok(Some(name)) => wait_for(&host, &name, path),
        Ok(None) => Exit::FAIL,
    }
}

fn wait_for(host: &Host, devname: &str, path: &Path) -> Exit {
    let mut waited = false;
    loop {
        // Opened before it is read: a change in between ends the poll at once.
        let Ok(file) = File::open(host.proc.join("mdstat")) else { return Exit::FAIL };
        let stat = mdstat::parse(&std::io::read_to_string(&file).unwrap_or_default());
        let sync = stat.array(devname).and_then(|a| a.sync.clone());
        match sync {
            Some(s) if s.waits.as_deref() == Some("PENDING") && is_read_only(host, devname) => {
                complain(format!(
                    "the {} of {} is pending: it starts when the array is writable (mdadm --readwrite {})",
                    s.action,
                    path.display(),
                    path.display()
                ));
                return Exit::FAIL;
            }
            None if !is_busy(host, devname) => return if waited { Exit::OK } else { Exit::FAIL },
            _ => waited = true,
        }
        let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLPRI | PollFlags::POLLERR)];
        // Interrupted or not: it is looked at again.
        let _ = poll(&mut fds, PollTimeout::from(LOOK_AGAIN));
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
    match devname(&Host::default(), path) {
        Err(exit) => exit,
        Ok(_) => Exit::OK,
    }
}
