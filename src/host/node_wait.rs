//! Waiting for nodes and links, by the events of the folders that they are in.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::Host;

/// What no folder tells of (sysfs, a folder that is not there yet) is looked at so often.
const LOOK: Duration = Duration::from_millis(100);

impl Host {
    /// Waits until something in /dev or in what udev keeps is as it should be; `false` where it is not within the limit.
    pub(super) fn wait_until(&self, limit: Duration, done: impl Fn() -> bool) -> bool {
        if done() {
            return true;
        }
        let end = Instant::now() + limit;
        let events = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok();
        loop {
            // Folders may have come meanwhile. Watched first, looked at then: nothing is missed.
            if let Some(events) = &events {
                self.watch(events);
            }
            let left = end.saturating_duration_since(Instant::now());
            if done() || left.is_zero() {
                return done();
            }
            match &events {
                Some(events) => pause(events, left.min(LOOK)),
                None => std::thread::sleep(left.min(LOOK) / 10),
            }
        }
    }

    fn watch(&self, events: &Inotify) {
        let what = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_ONLYDIR;
        for folder in [self.dev.clone(), self.dev.join("md"), self.udev.clone(), self.udev.join("data")] {
            let _ = events.add_watch(&folder, what);
        }
    }
}

/// Until there is an event, which is taken.
fn pause(events: &Inotify, limit: Duration) {
    let limit = PollTimeout::try_from(limit + Duration::from_millis(1)).unwrap_or(PollTimeout::ZERO);
    let _ = poll(&mut [PollFd::new(events.as_fd(), PollFlags::POLLIN)], limit);
    let _ = events.read_events();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_comes_is_seen_at_once_and_one_that_does_not_ends_the_wait() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host { dev: dir.path().to_owned(), udev: dir.path().join("none"), ..Host::default() };
        let link = dir.path().join("md/foo");
        let start = Instant::now();
        assert!(!host.wait_until(Duration::from_millis(30), || link.exists()));
        assert!(start.elapsed() >= Duration::from_millis(30));
        let made = link.clone();
        let maker = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            std::fs::create_dir(made.parent().unwrap()).unwrap();
            std::fs::write(&made, "").unwrap();
        });
        assert!(host.wait_until(Duration::from_secs(60), || link.exists()));
        maker.join().unwrap();
    }
}
