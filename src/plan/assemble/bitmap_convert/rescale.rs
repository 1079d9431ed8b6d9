//! What the old bitmaps know, and what the chunks of a new one take over from it: always the worst.

use super::super::rank::{Ranking, Verdict};
use super::super::{BitmapMap, BitmapTarget, Matched, Wishes};
use super::Array;
use crate::bitmap::lockless::ChunkState;
use crate::level::Level;
use crate::superblock::v1::{SuperV1, feature};

/// What is known of the array's chunks.
pub(super) struct Known {
    chunk_sectors: u64,
    /// As a lockless bitmap has them.
    pub(super) states: Vec<u8>,
}

/// The worst that any active member's bitmap says; the kernel would believe any of them.
pub(super) fn known(wishes: &Wishes, array: &Array, members: &[Matched<'_>], ranking: &Ranking) -> Known {
    let whole = |state: ChunkState| Known { chunk_sectors: array.sync.max(1), states: vec![state as u8] };
    let Some(best) = members.get(ranking.chosen).map(|m| &m.member.sb) else { return whole(ChunkState::NeedSync) };
    if !best.has(feature::BITMAP_OFFSET) {
        let clean = best.resync_offset() == u64::MAX;
        return whole(if clean { ChunkState::Clean } else { ChunkState::NeedSync });
    }
    let mut all: Option<Known> = None;
    for (m, verdict) in members.iter().zip(&ranking.verdicts) {
        if !matches!(verdict, Verdict::Active(_)) {
            continue;
        }
        let Some(Some(map)) = wishes.maps.get(m.index) else { return whole(ChunkState::NeedSync) };
        let states = stale_or_not(map, best);
        all = Some(match all {
            None => Known { chunk_sectors: map.chunk_sectors, states },
            Some(k) if k.chunk_sectors == map.chunk_sectors && k.states.len() == states.len() => {
                let worst = k.states.iter().zip(&states).map(|(a, b)| worst_of(array.level, [*a, *b])).collect();
                Known { chunk_sectors: k.chunk_sectors, states: worst }
            }
            Some(_) => return whole(ChunkState::NeedSync),
        });
    }
    all.filter(|k| !k.states.is_empty()).unwrap_or_else(|| whole(ChunkState::NeedSync))
}

/// A bitmap that is out of date has all in doubt; also what no kernel writes.
fn stale_or_not(map: &BitmapMap, sb: &SuperV1) -> Vec<u8> {
    let stale = map.events < sb.events() || map.stale;
    let need = ChunkState::NeedSync as u8;
    map.states.iter().map(|s| if stale || ChunkState::from_byte(*s).is_none() { need } else { *s }).collect()
}

/// Which of several chunks, or of several copies of one, has to be believed.
fn worst_of(level: Level, states: impl IntoIterator<Item = u8>) -> u8 {
    use ChunkState::{Clean, NeedSync, Unwritten};
    let (mut empty, mut full) = (false, false);
    for state in states {
        match ChunkState::from_byte(state) {
            Some(ChunkState::Unwritten | ChunkState::NeedSyncUnwritten | ChunkState::SyncingUnwritten) => empty = true,
            Some(ChunkState::Clean | ChunkState::CleanUnwritten) => full = true,
            _ => return NeedSync as u8,
        }
    }
    match (empty, full) {
        (true, false) => Unwritten as u8,
        // Data beside what has no parity yet.
        (true, true) if level.is_parity() => NeedSync as u8,
        _ => Clean as u8,
    }
}

/// Whether a chunk is resynced under the new bitmap.
pub(super) fn in_doubt(state: u8, array: &Array, target: BitmapTarget) -> bool {
    match ChunkState::from_byte(state) {
        Some(ChunkState::Clean) => false,
        // The kernel leaves out some when it builds parity ahead (docs/lockless.md).
        Some(ChunkState::CleanUnwritten) => target != BitmapTarget::Lockless && array.level.is_parity(),
        Some(ChunkState::Unwritten | ChunkState::NeedSyncUnwritten | ChunkState::SyncingUnwritten) => match target {
            BitmapTarget::Lockless => false,
            BitmapTarget::Internal => array.level.is_parity(),
            BitmapTarget::None => true,
        },
        _ => true,
    }
}

/// The worst of what covers each chunk of the new bitmap.
pub(super) fn rescaled(array: &Array, known: &Known, chunk_sectors: u64) -> Vec<u8> {
    let count = array.sync.div_ceil(chunk_sectors.max(1));
    let old = known.chunk_sectors.max(1);
    (0..count)
        .map(|n| {
            let first = n.saturating_mul(chunk_sectors) / old;
            let last =
                (n.saturating_mul(chunk_sectors).saturating_add(chunk_sectors).min(array.sync).saturating_sub(1)) / old;
            let at = |i: u64| usize::try_from(i).unwrap_or(usize::MAX);
            // What the old bitmap does not cover is in doubt.
            let covered = known.states.get(at(first)..=at(last)).unwrap_or(&[u8::MAX]);
            worst_of(array.level, covered.iter().copied())
        })
        .collect()
}

/// Bits set where any chunk that is covered is in doubt.
pub(super) fn rescaled_bits(array: &Array, known: &Known, chunk_sectors: u64) -> Vec<bool> {
    let doubt = Known {
        chunk_sectors: known.chunk_sectors,
        states: known
            .states
            .iter()
            .map(|s| {
                if in_doubt(*s, array, BitmapTarget::Internal) {
                    ChunkState::NeedSync as u8
                } else {
                    ChunkState::Clean as u8
                }
            })
            .collect(),
    };
    rescaled(array, &doubt, chunk_sectors).into_iter().map(|s| s != ChunkState::Clean as u8).collect()
}
