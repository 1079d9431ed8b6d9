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
    /// SIGTERM; SIGHUP but at a terminal, which sends it when it is closed.
    signals: Option<SignalFd>,
}

/// What the wait ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// The kernel's notice, or time: it is to be looked.
    Look,
    /// The configuration is to be read anew.
    Reload,
    /// It is to end.
    End,
}

impl Waiter {
    /// From now on SIGHUP means a reload, and SIGTERM waits until [`Waiter::wait`] sees it.
    #[must_use]
    pub fn new() -> Waiter {
        let mut set = SigSet::empty();
        set.add(Signal::SIGTERM);
        if !std::io::stdin().is_terminal() {
            set.add(Signal::SIGHUP);
        }
        let catch = || {
            set.thread_block().ok()?;
            SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).ok()
        };
        Waiter { signals: catch() }
    }

    /// Waits. systemd's watchdog is fed meanwhile.
    #[must_use]
    pub fn wait(&self, notices: BorrowedFd<'_>, timeout: Duration) -> Woken {
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
            fds.extend(self.signals.as_ref().map(|s| PollFd::new(s.as_fd(), PollFlags::POLLIN)));
            let woken = poll(&mut fds, step).unwrap_or(0) > 0;
            if let Some(woken) = self.signal() {
                return woken;
            }
            if woken || Instant::now() >= end {
                return Woken::Look;
            }
        }
    }

    fn signal(&self) -> Option<Woken> {
        let info = self.signals.as_ref()?.read_signal().ok().flatten()?;
        let terminated = i32::try_from(info.ssi_signo) == Ok(Signal::SIGTERM as i32);
        Some(if terminated { Woken::End } else { Woken::Reload })
    }
}

/// SIGTERM ends this process again; at once where it came already.
pub fn let_end() {
    let mut set = SigSet::empty();
    set.add(Signal::SIGTERM);
    // Not done, it goes on to its own end.
    let _ = set.thread_unblock();
}

/// What systemd wants to hear at a reload.
#[must_use]
pub fn reloading() -> String {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |t| t.tv_sec() * 1_000_000 + t.tv_nsec() / 1000);
    format!("RELOADING=1\nMONOTONIC_USEC={now}")
}
