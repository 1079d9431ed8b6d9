//! Zeroing the data areas of several devices at the same time, with progress, until done, failed or interrupted.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::apply::reason;
use super::print::err;
use crate::device::real::RealDevice;
use crate::host::interrupt::Interrupts;
use crate::output::progress;
use crate::plan::step::ZeroArea;

/// How much is zeroed in one call: a signal is obeyed after at most one of them on each device.
const PIECE_BYTES: u64 = 32 << 20;
/// How often signals are looked for, and the line on the terminal is written anew.
const LOOK: Duration = Duration::from_millis(100);

/// Why the zeroing stopped.
#[derive(Debug)]
pub struct Stopped {
    /// What happened, in words.
    pub line: String,
    /// How far each device was zeroed: its path, first byte, and the byte after the last.
    pub zeroed: Vec<(PathBuf, u64, u64)>,
}

/// One device's part of the work.
struct Work<'a> {
    area: &'a ZeroArea,
    device: &'a RealDevice,
    done: AtomicU64,
}

impl Work<'_> {
    /// Zeroes the area piece by piece, and makes that durable.
    fn run(&self, stop: &AtomicBool) -> io::Result<()> {
        let mut done = 0;
        while done < self.area.len && !stop.load(Ordering::Relaxed) {
            let piece = PIECE_BYTES.min(self.area.len - done);
            self.device.zero(self.area.offset + done, piece)?;
            done += piece;
            self.done.store(done, Ordering::Relaxed);
        }
        self.device.file().sync_all()
    }
}

/// Zeroes every area; a line with the progress goes to stderr where `show` is set.
///
/// # Errors
/// [`Stopped`] at the first device that fails, or a signal; the others are stopped too.
pub fn zero(
    areas: &[ZeroArea],
    devices: &BTreeMap<PathBuf, RealDevice>,
    held: &Interrupts,
    show: bool,
) -> Result<(), Stopped> {
    let work: Vec<Work<'_>> = areas
        .iter()
        .filter_map(|area| Some(Work { area, device: devices.get(&area.device)?, done: AtomicU64::new(0) }))
        .collect();
    let (stop, start, total) = (AtomicBool::new(false), Instant::now(), areas.iter().map(|a| a.len).sum());
    let mut failure = None;
    std::thread::scope(|scope| {
        let (tell, told) = channel();
        for w in &work {
            let (tell, stop) = (tell.clone(), &stop);
            scope.spawn(move || {
                // The receiver outlives all threads.
                let _ = tell.send((w.area, w.run(stop)));
            });
        }
        drop(tell);
        loop {
            let wrong = match told.recv_timeout(LOOK) {
                Ok((_, Ok(()))) => None,
                Ok((area, Err(e))) => Some(format!("zeroing {} failed: {}", area.device.display(), reason(&e))),
                Err(RecvTimeoutError::Timeout) => {
                    held.came().map(|signal| format!("zeroing was interrupted by {signal}"))
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if let Some(line) = wrong {
                stop.store(true, Ordering::Relaxed);
                failure.get_or_insert(line);
            }
            if show {
                let done = work.iter().map(|w| w.done.load(Ordering::Relaxed)).sum();
                err(&format!("\r{}\x1b[K", progress::line("zeroing", done, total, start.elapsed())));
            }
        }
    });
    if show {
        err("\r\x1b[K");
    }
    let end = |w: &Work<'_>| w.area.offset + w.done.load(Ordering::Relaxed);
    match failure {
        None => Ok(()),
        Some(line) => {
            Err(Stopped { line, zeroed: work.iter().map(|w| (w.area.device.clone(), w.area.offset, end(w))).collect() })
        }
    }
}
