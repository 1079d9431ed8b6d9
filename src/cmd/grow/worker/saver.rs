//! What saves windows of the array before they are overwritten.

use std::path::PathBuf;

use super::Job;
use super::store::Store;
use super::stripes::Members;
use super::watch::Watched;
use crate::error::Refusal;
use crate::host::Host;
use crate::superblock::reshape::Reshape;
use crate::units::SECTOR_BYTES;
use crate::uuid::Uuid;

/// How much of the array is saved at a time, if a step is not more: bytes.
const WINDOW: u64 = 4 << 20;
/// The same of an array of at least so many, where a larger file is worth it.
const LARGE: u64 = 256 << 20;
const LARGE_WINDOW: u64 = 16 << 20;

/// Bytes of the array that are saved at a time: whole steps, and the same all the way, for each has its half of the file.
pub(super) fn window(now: &Reshape) -> u64 {
    let step = now.step().saturating_mul(SECTOR_BYTES).max(1);
    let large = now.array_sectors(&now.old).saturating_mul(SECTOR_BYTES) >= LARGE;
    let wanted = if large { LARGE_WINDOW } else { WINDOW };
    (wanted / step).max(now.least_first()).max(1).saturating_mul(step)
}

fn link(host: &Host, job: &Job) -> PathBuf {
    host.run.join(format!("backup_file-{}", job.devname))
}

/// The file that windows are saved in.
pub(super) fn place(host: &Host, job: &Job, uuid: Uuid) -> PathBuf {
    let link = link(host, job);
    match &job.backup {
        Some(path) => path.clone(),
        None if link.exists() => std::fs::canonicalize(&link).unwrap_or(link),
        None => super::backup_of(uuid),
    }
}

/// What saves.
pub(super) struct Saver {
    store: Store,
    steps: u64,
    link: PathBuf,
}

impl Saver {
    /// Opens the file.
    pub fn open(w: &Watched<'_>, job: &Job, now: &Reshape, uuid: Uuid) -> Result<Saver, String> {
        let bytes = window(now);
        let steps = bytes / now.step().saturating_mul(SECTOR_BYTES).max(1);
        let store = Store::open(w.host, &job.devname, &place(w.host, job, uuid), uuid, bytes)?;
        Ok(Saver { store, steps, link: link(w.host, job) })
    }

    /// The position behind the window that is moving, if one is: saved, closed to writes, and not all of it has moved.
    pub fn under_way(&self, w: &Watched<'_>, now: &Reshape) -> Option<u64> {
        let (lo, hi) = self.store.found().filter(|window| *window == w.suspended())?;
        let inside = if now.backwards {
            lo < now.position && now.position <= hi
        } else {
            lo <= now.position && now.position < hi
        };
        inside.then_some(if now.backwards { lo } else { hi })
    }

    /// Saves the next window, which is not written to from now on, and gives the position behind it.
    pub fn next(&mut self, w: &Watched<'_>, now: &Reshape) -> Result<u64, Refusal> {
        let to = now.after(self.steps);
        let (lo, hi) = (now.position.min(to), now.position.max(to));
        w.suspend(lo, hi)?;
        // One of them may have failed since the last time.
        let members = Members::open(w.host, &w.array, now);
        let saved = members.read(now, lo, hi).and_then(|data| self.store.save(lo, &data));
        saved.map_err(|why| {
            // Nothing of it has moved.
            let _ = w.suspend(0, 0);
            w.stopped(&why)
        })?;
        Ok(to)
    }

    /// All of the last window has moved, and the file tells of nothing from here on.
    pub fn forget(&self, position: u64) -> Result<(), String> {
        self.store.forget(position)
    }

    /// Nothing is saved any more.
    pub fn done(&self, position: u64) {
        self.store.remove(position);
        let _ = std::fs::remove_file(&self.link);
    }
}
