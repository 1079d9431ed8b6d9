//! Many devices read at the same time: one that does not answer holds up no other.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::SigSet;

use crate::kernel::process::roomy_heaps;

/// Readers at first: as many disks seek at the same time.
const READERS: usize = 3;
/// Where none has come to an end for so long, they may hang: another one begins.
const SLOW: Duration = Duration::from_millis(100);

/// Devices that were asked and have not answered, of all [`Readers`] of this process.
static UNANSWERED: AtomicUsize = AtomicUsize::new(0);

/// Whether a device still keeps a thread of this process waiting: the process cannot end before it answers.
#[must_use]
pub fn some_hang() -> bool {
    UNANSWERED.load(Ordering::Acquire) > 0
}

/// A list of devices that are being read.
pub struct Readers<T> {
    shared: Arc<Shared<T>>,
    started: Instant,
    /// Has another reader begin.
    more: Box<dyn Fn()>,
}

struct Shared<T> {
    paths: Vec<PathBuf>,
    next: AtomicUsize,
    state: Mutex<State<T>>,
    all: Condvar,
}

struct State<T> {
    answers: Vec<Answer<T>>,
    left: usize,
}

enum Answer<T> {
    None,
    Found(T),
    Taken,
}

impl<T> Shared<T> {
    fn work(&self, read: &dyn Fn(&Path) -> T) {
        loop {
            let n = self.next.fetch_add(1, Ordering::AcqRel);
            let Some(path) = self.paths.get(n) else { return };
            let found = read(path);
            let Ok(mut state) = self.state.lock() else { return };
            if let Some(place) = state.answers.get_mut(n) {
                *place = Answer::Found(found);
            }
            state.left = state.left.saturating_sub(1);
            UNANSWERED.fetch_sub(1, Ordering::AcqRel);
            if state.left == 0 {
                self.all.notify_all();
            }
        }
    }
}

impl<T: Send + 'static> Readers<T> {
    /// Begins to read all of them, several at a time.
    pub fn start(paths: Vec<PathBuf>, read: impl Fn(&Path) -> T + Send + Sync + 'static) -> Readers<T> {
        roomy_heaps();
        let count = paths.len();
        let state = State { answers: (0..count).map(|_| Answer::None).collect(), left: count };
        let (next, state, all) = (AtomicUsize::new(0), Mutex::new(state), Condvar::new());
        let shared = Arc::new(Shared { paths, next, state, all });
        UNANSWERED.fetch_add(count, Ordering::AcqRel);
        let (own, read) = (Arc::clone(&shared), Arc::new(read));
        let more = move || {
            let (shared, its_read) = (Arc::clone(&own), Arc::clone(&read));
            let work = move || {
                // A signal that the command keeps back must not end it by way of this thread.
                let _ = SigSet::all().thread_block();
                shared.work(&*its_read);
            };
            // Where there can be no thread, nobody else reads.
            if thread::Builder::new().spawn(work).is_err() {
                own.work(&*read);
            }
        };
        (0..READERS.min(count)).for_each(|_| more());
        Readers { shared, started: Instant::now(), more: Box::new(more) }
    }

    /// Waits until all have answered, so long after the start at most; whether they have.
    pub fn wait(&self, limit: Duration) -> bool {
        let shared = &self.shared;
        loop {
            let Ok(state) = shared.state.lock() else { return true };
            let left = limit.saturating_sub(self.started.elapsed());
            if state.left == 0 || left.is_zero() {
                return state.left == 0;
            }
            let before = state.left;
            let Ok((state, _)) = shared.all.wait_timeout(state, left.min(SLOW)) else { return true };
            let stands_still = state.left == before && shared.next.load(Ordering::Acquire) < shared.paths.len();
            drop(state);
            if stands_still {
                (self.more)();
            }
        }
    }

    /// What has come since the last time, in the order of the list.
    #[must_use]
    pub fn take(&self) -> Vec<T> {
        let Ok(mut state) = self.shared.state.lock() else { return Vec::new() };
        let taken = state.answers.iter_mut().filter(|a| matches!(a, Answer::Found(_)));
        let answers = taken.map(|a| std::mem::replace(a, Answer::Taken));
        answers.filter_map(|a| if let Answer::Found(found) = a { Some(found) } else { None }).collect()
    }

    /// Those that have not answered.
    #[must_use]
    pub fn silent(&self) -> Vec<PathBuf> {
        let Ok(state) = self.shared.state.lock() else { return Vec::new() };
        let all = self.shared.paths.iter().zip(&state.answers);
        all.filter(|(_, answer)| matches!(answer, Answer::None)).map(|(path, _)| path.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_that_hang_hold_up_no_other_however_many_they_are() {
        let paths: Vec<PathBuf> = (0..40).map(|n| PathBuf::from(n.to_string())).collect();
        let (release, gate) = std::sync::mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let readers = Readers::start(paths.clone(), move |path| {
            let n: u32 = path.to_str().unwrap().parse().unwrap();
            if n < 12 {
                let _ = gate.lock().unwrap().recv();
            }
            n
        });
        while readers.silent().len() > 12 {
            assert!(!readers.wait(readers.started.elapsed() + Duration::from_millis(10)));
        }
        assert_eq!(readers.take(), (12..40).collect::<Vec<u32>>());
        assert_eq!(readers.silent(), paths[..12]);
        assert!(some_hang());
        drop(release);
        assert!(readers.wait(Duration::from_secs(100)));
        assert_eq!(readers.take(), (0..12).collect::<Vec<u32>>());
        assert!(readers.silent().is_empty());
    }
}
