//! What makes a monitor a daemon: a process of its own, a file with its id, one of it at a time, and what it tells systemd.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::Duration;

use crate::cmd::print::{complain, out};
use crate::error::reason;
use crate::host::Host;
use crate::kernel::process::fork_single;

/// Whether this is the parent, that is done, or the daemon.
pub enum Role {
    /// The one that was started.
    Parent,
    /// The one that stays.
    Daemon,
}

/// Goes on in the background. The parent says the daemon's id, on stdout or in the file. The directory stays, as in the
/// reference: names of programs and files may begin there.
///
/// # Errors
/// What the kernel reports.
pub fn daemonise(pid_file: Option<&Path>) -> io::Result<Role> {
    let Some(child) = fork_single()? else {
        nix::unistd::setsid()?;
        let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        nix::unistd::dup2_stdin(&null)?;
        nix::unistd::dup2_stdout(&null)?;
        nix::unistd::dup2_stderr(&null)?;
        return Ok(Role::Daemon);
    };
    match pid_file {
        None => {
            out(&format!("{child}\n"));
        }
        Some(path) => {
            if let Err(e) = write_pid(path, &child.to_string(), 0o644) {
                // The reference's words; it goes on, as the reference does.
                complain(format!("cannot create pid file {}: {}", path.display(), reason(&e)));
            }
        }
    }
    Ok(Role::Parent)
}

fn write_pid(path: &Path, pid: &str, mode: u32) -> io::Result<()> {
    let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC;
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).custom_flags(flags).open(path);
    file?.write_all(format!("{pid}\n").as_bytes())
}

/// Whether another monitor moves spares already: the one whose id is in /run/mdadm/autorebuild.pid.
#[must_use]
pub fn other_shares(host: &Host) -> bool {
    let pid = fs::read_to_string(host.run.join("autorebuild.pid")).ok().and_then(|t| t.trim().parse::<u32>().ok());
    let Some(pid) = pid.filter(|pid| *pid != std::process::id()) else { return false };
    fs::read_to_string(host.proc.join(format!("{pid}/comm"))).is_ok_and(|comm| comm.trim() == "mdadm")
}

/// From now on this is the monitor that moves spares.
///
/// # Errors
/// What the file system reports.
pub fn share(host: &Host) -> io::Result<()> {
    fs::create_dir_all(&host.run)?;
    write_pid(&host.run.join("autorebuild.pid"), &std::process::id().to_string(), 0o600)
}

/// Tells systemd (sd_notify(3)); nothing where it does not listen.
pub fn notify(state: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let bytes = path.as_encoded_bytes();
    let address = match bytes.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    let _ = address.and_then(|a| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &a));
}

/// How often systemd wants to hear of us: half of its watchdog's time.
#[must_use]
pub fn watchdog() -> Option<Duration> {
    let micros: u64 = std::env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
    let for_us = std::env::var("WATCHDOG_PID").map_or(true, |pid| pid == std::process::id().to_string());
    (for_us && micros > 0).then(|| Duration::from_micros(micros / 2))
}
