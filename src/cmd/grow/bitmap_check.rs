//! After a lockless bitmap was put on: the kernel says so, and every member's bytes do.

use std::time::{Duration, Instant};

use super::bitmap_gather::start;
use crate::bitmap::header::{BitmapSuper, Kind};
use crate::bitmap::lockless::{self, ChunkState, StateCounts};
use crate::device::real::{Access, RealDevice};
use crate::error::Refusal;
use crate::host::node::OpenArray;
use crate::plan::grow::bitmap::{Facts, Member};
use crate::superblock::Version;
use crate::superblock::v1::{self, feature};
use crate::sysfs::attr;

/// The superblocks are written by a thread of the kernel, a moment later.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// What the bytes show, the same on all members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// Sectors per chunk.
    pub chunk_sectors: u64,
    /// Chunks.
    pub chunks: u64,
    /// Bytes of a block of states: the array's logical block.
    pub block_bytes: u64,
}

/// Waits until the kernel has written it all, and checks it.
///
/// # Errors
/// What is not as it should be, and where.
pub(super) fn lockless(array: &OpenArray, facts: &Facts, offset: i64) -> Result<Seen, Refusal> {
    let active = array.sysfs.get(attr::BITMAP_TYPE).and_then(|l| l.active);
    if active.as_deref() != Some("llbitmap") {
        let shows = active.unwrap_or_else(|| "nothing".into());
        return Err(Refusal::new(format!(
            "the kernel took the bitmap but not as a lockless one: md/bitmap_type shows {shows}"
        )));
    }
    let end = Instant::now() + PATIENCE;
    let mut seen: Option<(u64, u64)> = None;
    for member in facts.members.iter().filter(|m| m.active) {
        let found = loop {
            match one(facts, member, offset) {
                Err(_) if Instant::now() < end => std::thread::sleep(PAUSE),
                done => break done?,
            }
        };
        if seen.is_some_and(|s| s != found) {
            return Err(Refusal::new(format!(
                "the bitmap on {} is not that of the other members",
                member.path.display()
            )));
        }
        seen = Some(found);
    }
    let (chunk_sectors, chunks) = seen.ok_or_else(|| Refusal::new("no member has a bitmap"))?;
    let block_bytes = array.sysfs.logical_block_size().unwrap_or(512);
    Ok(Seen { chunk_sectors, chunks, block_bytes })
}

/// One member's superblock, bitmap superblock and states.
fn one(facts: &Facts, member: &Member, offset: i64) -> Result<(u64, u64), Refusal> {
    let bad = |why: String| Refusal::new(format!("the bitmap on {} is not right: {why}", member.path.display()));
    let device = RealDevice::open(&member.path, Access::Read).map_err(|e| bad(crate::error::reason(&e)))?;
    let Some(Version::V1(minor)) = facts.version else { return Err(bad("metadata 0.90".into())) };
    let sb = v1::read(&device, minor).ok().flatten().ok_or_else(|| bad("no superblock".into()))?;
    if !sb.has(feature::BITMAP_OFFSET) || i64::from(sb.bitmap_offset()) != offset {
        return Err(bad("the superblock does not name it".into()));
    }
    let at = start(member, offset).ok_or_else(|| bad("outside the device".into()))?;
    let bitmap = BitmapSuper::read(&device, at).map_err(|e| bad(e.to_string()))?;
    if bitmap.kind().ok() != Some(Kind::Lockless) || bitmap.uuid() != facts.uuid {
        return Err(bad(format!("version {}, uuid {}", bitmap.version(), bitmap.uuid())));
    }
    if lockless::is_first_use(&bitmap) {
        return Err(bad("the kernel has not written it".into()));
    }
    let chunks = lockless::checked_chunks(&bitmap).map_err(|e| bad(e.to_string()))?;
    let counts = lockless::count(&device, at, chunks).map_err(|e| bad(e.to_string()))?;
    let wrong = unwritten(&counts) + counts.invalid;
    if wrong != 0 {
        return Err(bad(format!("{wrong} of {chunks} chunks count as unwritten")));
    }
    Ok((bitmap.chunksize().into(), chunks))
}

/// Chunks that count as never written.
pub(super) fn unwritten(counts: &StateCounts) -> u64 {
    use ChunkState::{CleanUnwritten, NeedSyncUnwritten, SyncingUnwritten, Unwritten};
    [Unwritten, NeedSyncUnwritten, SyncingUnwritten, CleanUnwritten].into_iter().map(|s| counts.get(s)).sum()
}
