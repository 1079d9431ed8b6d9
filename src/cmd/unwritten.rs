//! What is to be marked of a running array so that nothing of it is unwritten (`plan::mark`).

use super::examine_bitmap::find::find;
use crate::bitmap::lockless;
use crate::bitmap::ranges::Runs;
use crate::host::Host;
use crate::host::node::OpenArray;
use crate::level::Level;
use crate::plan::mark::{mark_all, mark_unwritten};
use crate::plan::step::Plan;
use crate::sysfs::{ArrayDir, attr};

/// What is to be done, and what where that does not do.
pub struct Marks {
    /// Those that are unwritten as far as the members' bytes tell.
    pub first: Plan,
    /// All.
    pub all: Plan,
    /// Whether the kernel shows what came of it.
    pub shown: bool,
}

/// What a rebuild would leave out data for; `None` on all levels but raid10, and where nothing is unwritten.
#[must_use]
pub fn before_rebuild(host: &Host, array: &OpenArray) -> Option<Marks> {
    let level = array.sysfs.get(attr::LEVEL).and_then(|w| Level::parse(&w.0));
    if level == Some(Level::Raid10) { marks(host, array) } else { None }
}

/// `None` where nothing is unwritten.
#[must_use]
pub fn marks(host: &Host, array: &OpenArray) -> Option<Marks> {
    let sysfs = &array.sysfs;
    let lockless = sysfs.get(attr::BITMAP_TYPE).and_then(|l| l.active).as_deref() == Some("llbitmap");
    let unwritten = unwritten(sysfs);
    if !lockless || unwritten == Some(0) {
        return None;
    }
    let path = &array.name.path;
    let found = find(host, path, &path.display().to_string(), None).ok();
    let shown = sysfs.get(attr::LLBITMAP_METADATA).and_then(|m| m.number("chunks"));
    let on_disk = || found.as_ref().and_then(|f| lockless::checked_chunks(&f.sb).ok());
    let chunks = shown.or_else(on_disk)?;
    let mut runs = Runs::default();
    // Until the next assembly the kernel does not show the states of a bitmap that was put on the running array, and the bytes
    // lag behind: then all are marked.
    if unwritten.is_some()
        && let Some(f) = &found
        && lockless::read_states(&f.dev, f.start, chunks, |first, states| runs.add(first, states)).is_err()
    {
        runs = Runs::default();
    }
    let devname = &array.name.devname;
    Some(Marks {
        first: mark_unwritten(devname, &runs.finish(), chunks),
        all: mark_all(devname, chunks),
        shown: unwritten.is_some(),
    })
}

/// Unwritten chunks, where the kernel shows them.
#[must_use]
pub fn unwritten(sysfs: &ArrayDir) -> Option<u64> {
    sysfs.get(attr::LLBITMAP_BITS)?.number("unwritten")
}
