//! Waiting for the kernel's notice, for a signal, for time to pass.

use std::io::IsTerminal;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::time::{ClockId, clock_gettime};

use super::daemon;

/// What is waited on beside /proc/mdstat.
#[derive(Debug)]
pub struct Waiter {
    /// SIGHUP; none at a terminal, which sends it when it is closed.
    reload: Option<SignalFd>,
}

impl Waiter {
    /// From now on SIGHUP means a reload, but for a monitor at a terminal.
    #[must_use]
    pub fn new() -> Waiter {
        let mut set = SigSet::empty();
        set.add(Signal::SIGHUP);
        let catch = || {
            set.thread_block().ok()?;
            SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).ok()
        };
        Waiter { reload: if std::io::stdin().is_terminal() { None } else { catch() } }
    }

    /// Waits; whether the configuration is to be read anew. systemd's watchdog is fed meanwhile.
    #[must_use]
    pub fn wait(&self, notices: BorrowedFd<'_>, timeout: Duration) -> bool {
        let end = Instant::now() + timeout;
        let watchdog = daemon::watchdog();
        loop {
            if watchdog.is_some() {
                daemon::notify("WATCHDOG=1");
            }
            let left = end.saturating_duration_since(Instant::now());
            let step = watchdog.map_or(left, |w| left.min(w));
            // A millisecond more than is left: a poll that is too short would be one of many.
            let step = PollTimeout::try_from(step + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
            let mut fds = vec![PollFd::new(notices, PollFlags::POLLPRI | PollFlags::POLLERR)];
            fds.extend(self.reload.as_ref().map(|r| PollFd::new(r.as_fd(), PollFlags::POLLIN)));
            let woken = poll(&mut fds, step).unwrap_or(0) > 0;
            if let Some(reload) = &self.reload
                && matches!(reload.read_signal(), Ok(Some(_)))
            {
                return true;
            }
            if woken || Instant::now() >= end {
                return false;
            }
        }
    }
}

/// What systemd wants to hear at a reload.
#[must_use]
pub fn reloading() -> String {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |t| t.tv_sec() * 1_000_000 + t.tv_nsec() / 1000);
    format!("RELOADING=1\nMONOTONIC_USEC={now}")
}
