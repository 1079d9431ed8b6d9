//! The bitmaps of the members, read whole: a conversion needs to know every chunk.

use crate::bitmap::header::{Kind, SUPER_BYTES, state};
use crate::bitmap::lockless::{self, ChunkState};
use crate::bitmap::summary::BitmapSummary;
use crate::blockio::ReadAt;
use crate::device::real::{Access, RealDevice};
use crate::plan::assemble::{BitmapMap, Candidate, Content, Update, Wishes};
use crate::plan::startable;
use crate::units::SECTOR_BYTES;

/// No bitmap has more chunks than this in bytes of its map: past it all counts as in doubt.
const MOST_CHUNKS: u64 = 1 << 30;

/// By place in the list of candidates; nothing where no conversion was asked for.
pub(super) fn read(wishes: &Wishes, candidates: &[Candidate]) -> Vec<Option<BitmapMap>> {
    if !matches!(wishes.update, Some(Update::Bitmap(_))) {
        return Vec::new();
    }
    candidates.iter().map(one).collect()
}

fn one(candidate: &Candidate) -> Option<BitmapMap> {
    let Content::Member(member) = &candidate.content else { return None };
    let Some(Ok(bitmap)) = &member.bitmap else { return None };
    let device = RealDevice::open(&candidate.path, Access::Read).ok()?;
    // It contradicts itself then, or is another array's: nothing it says counts.
    let lockless = bitmap.kind == Kind::Lockless;
    let believed = !lockless || startable::believable(&member.sb, member.version, bitmap, device.size()).is_ok();
    if !believed || bitmap.sb.uuid() != member.sb.set_uuid() {
        return None;
    }
    let (chunk_bytes, states) =
        if bitmap.first_use { never_started(bitmap, member.sb.size())? } else { of(&device, bitmap)? };
    Some(BitmapMap {
        chunk_sectors: chunk_bytes / SECTOR_BYTES,
        states,
        events: bitmap.sb.events(),
        stale: bitmap.sb.state() & state::STALE != 0,
    })
}

/// The kernel would call all chunks the same.
fn never_started(bitmap: &BitmapSummary, size: u64) -> Option<(u64, Vec<u8>)> {
    let clean = bitmap.sb.state() & state::CLEAN != 0;
    let state = if clean { ChunkState::Clean } else { ChunkState::Unwritten };
    // One chunk, longer than any array of such members.
    let all = size.max(bitmap.sb.sync_size()).checked_mul(SECTOR_BYTES)?;
    Some((all, vec![state as u8]))
}

fn of(device: &RealDevice, bitmap: &BitmapSummary) -> Option<(u64, Vec<u8>)> {
    let (chunk_bytes, chunks) = (bitmap.chunk_bytes?, bitmap.chunks.filter(|c| *c <= MOST_CHUNKS)?);
    if bitmap.kind == Kind::Lockless {
        let mut states = Vec::new();
        lockless::read_states(device, bitmap.start, chunks, |_, piece| states.extend_from_slice(piece)).ok()?;
        return Some((chunk_bytes, states));
    }
    if bitmap.kind != Kind::LittleEndian && !cfg!(target_endian = "little") {
        return None;
    }
    let bits = device.read_vec(bitmap.start + SUPER_BYTES as u64, usize::try_from(chunks.div_ceil(8)).ok()?).ok()?;
    let set = |n: u64| {
        let byte = usize::try_from(n / 8).ok().and_then(|at| bits.get(at)).copied().unwrap_or(u8::MAX);
        byte & (1 << (n % 8)) != 0
    };
    let state = |n| if set(n) { ChunkState::NeedSync as u8 } else { ChunkState::Clean as u8 };
    Some((chunk_bytes, (0..chunks).map(state).collect()))
}
