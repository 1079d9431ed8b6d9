//! `--examine-bitmap`: what is known of one bitmap, and its renderings.

mod json;
mod lockless;
pub mod map;
mod text;

use crate::bitmap::bits::NodeBitmap;
use crate::bitmap::compare::Difference;
use crate::bitmap::header::{BitmapSuper, state};
use crate::bitmap::lockless::{ChunkChoice, StateCounts};
use crate::bitmap::ranges::{Cover, Runs};
use crate::level::Level;
use crate::superblock::v1::Role;

pub use json::{failed, object};
pub use text::{header, text};

/// One bitmap, and what it was found on.
#[derive(Debug, Clone)]
pub struct BitmapView {
    /// The path as typed.
    pub device: String,
    /// Byte of the device where the bitmap starts.
    pub start: u64,
    /// The superblock.
    pub sb: BitmapSuper,
    /// The member that it is on; `None` for a bitmap file.
    pub member: Option<MemberFacts>,
    /// Whether bits were counted: not with `--brief`.
    pub counted: bool,
    /// What is odd about it.
    pub odd: Vec<String>,
    /// What the chunks are; `None` where they could not, or were not to be read.
    pub body: Option<Body>,
}

/// What the member's superblock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberFacts {
    /// The member's events.
    pub events: u64,
    /// The most events of the members named that belong to the same array.
    pub newest_events: u64,
    /// Its role.
    pub role: Role,
    /// The array's level.
    pub level: Option<Level>,
    /// Whether it is being rebuilt: its copy may be old.
    pub recovering: bool,
    /// Whether the array is being reshaped: ranges of the array are not known then.
    pub reshaping: bool,
}

/// What the chunks are.
#[derive(Debug, Clone)]
pub enum Body {
    /// One bit per chunk: one bitmap, or one for each node of a cluster.
    Bits(Vec<NodeBitmap>),
    /// One byte per chunk.
    Lockless(Box<LocklessView>),
}

/// A lockless bitmap.
#[derive(Debug, Clone)]
pub struct LocklessView {
    /// Bytes per chunk and chunks, and where the numbers come from.
    pub chunks: Chunks,
    /// What chunks cover.
    pub cover: Cover,
    /// The states on this member; `None` in the first use.
    pub disk: Option<StateCounts>,
    /// The array's, where it runs.
    pub running: Option<Running>,
    /// Where which state is, on this member; with `--verbose`.
    pub runs: Option<Runs>,
    /// With `--map`: the worst state of each cell.
    pub cells: Option<map::Cells>,
    /// KiB a second that a resync may take at most: of the array where it runs, else of the machine.
    pub resync_limit: Option<u64>,
    /// Other members named whose copies differ.
    pub differs: Vec<(String, Difference)>,
}

/// Where a chunk size comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunks {
    /// From the superblock.
    Stored(ChunkChoice),
    /// From the kernel, which runs the array.
    Kernel(ChunkChoice),
    /// What the kernel will choose at the first start.
    Predicted(ChunkChoice),
}

impl Chunks {
    /// The numbers.
    #[must_use]
    pub fn choice(&self) -> ChunkChoice {
        match self {
            Chunks::Stored(c) | Chunks::Kernel(c) | Chunks::Predicted(c) => *c,
        }
    }
}

/// The bitmap as the kernel has it in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Kernel name of the array.
    pub array: String,
    /// `md/llbitmap/bits`; `None` where the kernel does not say (`Running::says`).
    pub counts: Option<StateCounts>,
    /// What it says instead of numbers, e.g. `bitmap io error`.
    pub says: String,
}

impl BitmapView {
    /// Whether the bitmap is behind its member, or the newest member named: then it says nothing about clean chunks.
    /// `None` where that means nothing: no member, no states of its own, or a running array.
    #[must_use]
    pub fn is_stale(&self) -> Option<bool> {
        let member = self.member.filter(|_| self.is_in_use())?;
        let live = matches!(&self.body, Some(Body::Lockless(b)) if b.running.is_some() || b.disk.is_none());
        let behind = self.sb.events() < member.newest_events.max(member.events);
        (!live).then_some(behind || self.sb.state() & state::STALE != 0)
    }

    /// Whether the kernel keeps this copy: it does on active members only.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.member.is_none_or(|m| matches!(m.role, Role::Slot(_)))
    }
}

impl LocklessView {
    /// The states that count: the kernel's where the array runs, else those on the member.
    #[must_use]
    pub fn counts(&self) -> Option<&StateCounts> {
        self.running.as_ref().and_then(|r| r.counts.as_ref()).or(self.disk.as_ref())
    }

    /// Chunks and bytes of the sync range that a start now would resync; `None` where the states are not known.
    #[must_use]
    pub fn resync(&self, stale: bool) -> Option<(u64, u64)> {
        if matches!(self.chunks, Chunks::Predicted(_)) {
            return Some((0, 0));
        }
        let mut counts = *self.counts()?;
        // The kernel does not say what the last chunk is: the member's copy is the best guess.
        counts.last = counts.last.or(self.disk.and_then(|d| d.last));
        let bytes = counts.resync_bytes(stale, self.cover.sync_bytes / 512, self.cover.chunk_bytes);
        Some((counts.resync_chunks(stale), bytes))
    }

    /// Chunks and bytes of the sync range that would be resynced if a running array crashed now and went by its members; `None` where that
    /// is no more than the kernel's states say.
    #[must_use]
    pub fn crash_resync(&self) -> Option<(u64, u64)> {
        let kernel = self.running.as_ref()?.counts?.resync_chunks(false);
        let disk = self.disk?;
        let chunks = disk.resync_chunks(false);
        let bytes = disk.resync_bytes(false, self.cover.sync_bytes / 512, self.cover.chunk_bytes);
        (chunks > kernel).then_some((chunks, bytes))
    }

    /// Whether the member says the same as the kernel; `None` where one of them is not known.
    #[must_use]
    pub fn agrees(&self) -> Option<bool> {
        let kernel = self.running.as_ref()?.counts?;
        let disk = self.disk?;
        Some(kernel.same_counts(&disk))
    }
}
