//! Signals that would end the program, held while it must not stop in the middle.

use std::io;

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::Host;

/// SIGINT, SIGTERM and SIGHUP are kept back while this lives. One that came and was not taken by [`Interrupts::came`] acts
/// when it is dropped. Threads started meanwhile do not get them either.
#[derive(Debug)]
pub struct Interrupts {
    before: SigSet,
    fd: SignalFd,
}

impl Host {
    /// Keeps the signals back from now on, but for those that are ignored (`nohup`).
    ///
    /// # Errors
    /// What the kernel reports.
    pub fn hold_interrupts(&self) -> io::Result<Interrupts> {
        let status = std::fs::read_to_string(self.proc.join("self/status")).unwrap_or_default();
        let ignored = status.lines().find_map(|l| l.strip_prefix("SigIgn:")).map(str::trim);
        let ignored = ignored.and_then(|mask| u64::from_str_radix(mask, 16).ok()).unwrap_or(0);
        let mut set = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            if ignored >> (signal as i32 - 1) & 1 == 0 {
                set.add(signal);
            }
        }
        let before = set.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Interrupts { before, fd })
    }
}

impl Interrupts {
    /// The signal that came since, if one did; it will not come again.
    #[must_use]
    pub fn came(&self) -> Option<&'static str> {
        let info = self.fd.read_signal().ok().flatten()?;
        Some(
            i32::try_from(info.ssi_signo)
                .ok()
                .and_then(|n| Signal::try_from(n).ok())
                .map_or("a signal", Signal::as_str),
        )
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        let _ = self.before.thread_set_mask();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_comes_is_told_and_does_not_end_the_program() {
        let held = Host::default().hold_interrupts().unwrap();
        assert_eq!(held.came(), None);
        // To this thread only: other tests run beside it.
        nix::sys::signal::raise(Signal::SIGTERM).unwrap();
        assert_eq!(held.came(), Some("SIGTERM"));
        assert_eq!(held.came(), None);
    }
}
