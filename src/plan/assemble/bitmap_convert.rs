//! `--update=bitmap=lockless|internal|none`: a stopped array's bitmap becomes another, always to the safe side.
//!
//! What the old bitmap has in doubt the new one has in doubt, and the array is resynced there; a chunk of the new one that
//! covers several takes the worst of them. Never does a chunk that may hold data become unwritten.

use super::edits::{EditedArea, Edits};
use super::rank::{Ranking, Verdict};
use super::{BitmapMap, BitmapTarget, Line, Matched, Wishes};
use crate::bitmap::header::{BitmapSuper, Kind, NewBitmap};
use crate::bitmap::lockless::{self, ChunkState};
use crate::bitmap::{bits, header};
use crate::error::Refusal;
use crate::level::Level;
use crate::plan::bitmap_place::{chunk_in_room, internal_room};
use crate::plan::create::sizing::sync_sectors;
use crate::plan::grow::space::{self, Gap, Lies};
use crate::plan::member_areas::{add_log, bitmap_room, drop_log, has_log};
use crate::superblock::Version;
use crate::superblock::v1::{Minor, SuperV1, feature};
use crate::units::{SECTOR_BYTES, Sectors};

/// The daemon's period of a lockless bitmap, as the kernel has it.
const LOCKLESS_DELAY: u32 = 30;
/// The daemon's period of an internal one.
const INTERNAL_DELAY: u32 = 5;
const PAGE_BYTES: usize = 4096;

/// What is known of the array's chunks.
struct Known {
    chunk_sectors: u64,
    /// As a lockless bitmap has them.
    states: Vec<u8>,
}

/// What stays the same for all members.
struct Array {
    level: Level,
    minor: Minor,
    sync: u64,
    degraded: bool,
}

/// One conversion.
struct Conversion<'a> {
    wishes: &'a Wishes,
    array: &'a Array,
    known: &'a Known,
    members: &'a [Matched<'a>],
    ranking: &'a Ranking,
    /// The places of the members that are edited.
    counted: Vec<usize>,
}

/// A new bitmap, and where it goes.
struct New<'a> {
    /// Sectors from the superblock.
    offset: i64,
    bytes: &'a [u8],
    what: &'a str,
    /// Empty bad-block logs that are in the way are moved.
    move_logs: bool,
    sb: &'a BitmapSuper,
}

/// Changes all members.
///
/// # Errors
/// Why it cannot be, with what to do; nothing is changed then.
pub(super) fn convert(
    wishes: &Wishes,
    target: BitmapTarget,
    members: &[Matched<'_>],
    ranking: &Ranking,
    edits: &mut Edits,
) -> Result<(), Refusal> {
    let Some(best) = members.get(ranking.chosen) else { return Ok(()) };
    let array = array(wishes, best, ranking)?;
    let known = known(wishes, &array, members, ranking);
    let doubts = known.states.iter().filter(|s| in_doubt(**s, &array, target)).count();
    let resync = doubts > 0;
    if resync && array.degraded && array.level.is_parity() && !wishes.force {
        return Err(Refusal::new(format!(
            "{}: members are missing and parts of the array are not in sync: the bitmap is not converted; nothing was changed",
            wishes.shown
        ))
        .hint("assemble it with all its members; --force converts it all the same, and takes what is in doubt as it is"));
    }
    let counted = counted(members, ranking);
    let to = Conversion { wishes, array: &array, known: &known, members, ranking, counted };
    let sectors = match target {
        BitmapTarget::None => array.sync,
        BitmapTarget::Internal => to.internal(edits)?,
        BitmapTarget::Lockless => to.lockless(edits)?,
    };
    for i in to.counted {
        let (Some(m), Some(e)) = (members.get(i), edits.members.get_mut(i)) else { continue };
        if target == BitmapTarget::None {
            let has = e.sb.has(feature::BITMAP_OFFSET);
            e.sb.set_feature_map(e.sb.feature_map() & !feature::BITMAP_OFFSET);
            e.what.extend(has.then(|| "no bitmap".to_owned()));
        }
        if resync && !array.degraded && m.member.sb.resync_offset() != 0 {
            e.sb.set_resync_offset(0);
            e.what.push("not in sync".into());
        }
    }
    edits.lines.push(Line::normal(said(wishes, target, if resync { sectors.min(array.sync) } else { 0 })));
    Ok(())
}

fn said(wishes: &Wishes, target: BitmapTarget, resynced: u64) -> String {
    let (shown, word) = (&wishes.shown, target.word());
    let what = match (resynced, target) {
        (0, _) => "all of it is in sync".to_owned(),
        (_, BitmapTarget::None) => "all of it is resynced".to_owned(),
        (sectors, _) => format!("{} MiB are resynced", sectors.saturating_mul(SECTOR_BYTES).div_ceil(1 << 20)),
    };
    format!("{shown}: the bitmap becomes {word}; {what}")
}

fn array(wishes: &Wishes, best: &Matched<'_>, ranking: &Ranking) -> Result<Array, Refusal> {
    let shown = &wishes.shown;
    let sb = &best.member.sb;
    let no = |why: &str| Err(Refusal::new(format!("{shown}: {why}; nothing was changed")));
    let Version::V1(minor) = best.member.version else {
        return no("--update=bitmap= takes metadata 1.x");
    };
    let Some(level) = Level::from_raw(sb.level_raw()).filter(|l| l.is_redundant()) else {
        return no("bitmaps are not meaningful with its level");
    };
    if sb.has(feature::JOURNAL) || sb.has_ppl() {
        return no("an array with a journal or a partial parity log cannot have a bitmap");
    }
    if sb.has(feature::RESHAPE_ACTIVE) {
        return no("a reshape is under way: its bitmap can be converted when that is done");
    }
    if matches!(&best.member.bitmap, Some(Ok(b)) if b.kind == Kind::Clustered) {
        return no("clustered bitmaps are not converted");
    }
    if ranking.count(|v| matches!(v, Verdict::Rebuilding(_) | Verdict::Replacement(_))) > 0 {
        return no("a member is being rebuilt: assemble it as it is, wait for that, and stop it again");
    }
    let sync = sync_sectors(level, sb.layout(), Sectors(sb.chunksize().into()), sb.raid_disks(), Sectors(sb.size())).0;
    Ok(Array { level, minor, sync, degraded: ranking.active(sb.raid_disks()).contains(&false) })
}

/// The members that are edited, by place.
fn counted(members: &[Matched<'_>], ranking: &Ranking) -> Vec<usize> {
    let counts =
        |i: &usize| matches!(ranking.verdicts.get(*i), Some(Verdict::Active(_) | Verdict::Spare | Verdict::Stale(_)));
    (0..members.len()).filter(counts).collect()
}

/// The worst that any active member's bitmap says; the kernel would believe any of them.
fn known(wishes: &Wishes, array: &Array, members: &[Matched<'_>], ranking: &Ranking) -> Known {
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
fn in_doubt(state: u8, array: &Array, target: BitmapTarget) -> bool {
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
fn rescaled(array: &Array, known: &Known, chunk_sectors: u64) -> Vec<u8> {
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

fn lies(sb: &SuperV1) -> Lies {
    Lies {
        at: sb.super_offset(),
        data: sb.data_offset(),
        data_end: sb.data_offset().saturating_add(sb.data_size()),
        log: has_log(sb).then(|| (sb.bblog_offset().into(), sb.bblog_size().into())),
    }
}

fn no_room(wishes: &Wishes, word: &str) -> Refusal {
    Refusal::new(format!(
        "{}: the members have no room for another bitmap beside their metadata; nothing was changed",
        wishes.shown
    ))
    .hint(format!(
        "convert it in two steps: --update=bitmap=none, which resyncs it if need be, and then --update=bitmap={word}"
    ))
}

/// Bits set where any chunk that is covered is in doubt.
fn rescaled_bits(array: &Array, known: &Known, chunk_sectors: u64) -> Vec<bool> {
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

impl Conversion<'_> {
    /// Free on all members, clear of the old bitmaps: those stay until all superblocks name the new one.
    fn free(&self, with_logs: bool) -> Vec<Gap> {
        let chosen = || self.counted.iter().filter_map(|i| self.members.get(*i));
        let all: Vec<Lies> = chosen()
            .map(|m| {
                let lies = lies(&m.member.sb);
                let movable = !with_logs && !m.member.sb.has(feature::BAD_BLOCKS);
                if movable { Lies { log: None, ..lies } } else { lies }
            })
            .collect();
        let old = chosen().find_map(|m| match &m.member.bitmap {
            Some(Ok(b)) => {
                let offset = i64::from(m.member.sb.bitmap_offset());
                Some((offset, offset.saturating_add(bitmap_room(&b.sb, self.array.minor))))
            }
            Some(Err(_)) => Some((m.member.sb.bitmap_offset().into(), i64::from(m.member.sb.bitmap_offset()) + 8)),
            None => None,
        });
        space::gaps(self.array.minor, &all, old)
    }

    fn lockless(&self, edits: &mut Edits) -> Result<u64, Refusal> {
        let (array, known) = (self.array, self.known);
        let wanted = lockless::DEFAULT_ROOM_SECTORS;
        let find = |with_logs| space::lockless_place(array.minor, &self.free(with_logs), array.sync, wanted, false);
        let (place, move_logs) = match find(true) {
            Some(place) => (place, false),
            None => (find(false).ok_or_else(|| no_room(self.wishes, "lockless"))?, true),
        };
        let chunk_sectors = place.choice.chunk_sectors;
        let new = NewBitmap {
            uuid: self.uuid(),
            sync_sectors: array.sync,
            chunk_bytes: chunk_sectors * SECTOR_BYTES,
            daemon_sleep: LOCKLESS_DELAY,
            write_behind: 0,
            sectors_reserved: place.room,
        };
        let mut sb = BitmapSuper::lockless(&new, false).ok_or_else(|| no_room(self.wishes, "lockless"))?;
        // Not in its first use: the states are there.
        sb.set_state(0);
        sb.set_events(self.events());
        let mut bytes = sb.bytes().to_vec();
        bytes.resize(usize::try_from(lockless::DATA_OFFSET).unwrap_or(1024), 0);
        let states = rescaled(array, known, chunk_sectors);
        let doubts = states.iter().filter(|s| in_doubt(**s, array, BitmapTarget::Lockless)).count() as u64;
        bytes.extend(states);
        bytes.resize(bytes.len().next_multiple_of(PAGE_BYTES), 0);
        let new = New { offset: place.offset, bytes: &bytes, what: "lockless, its states", move_logs, sb: &sb };
        self.put(&new, edits)?;
        Ok(doubts.saturating_mul(chunk_sectors))
    }

    fn internal(&self, edits: &mut Edits) -> Result<u64, Refusal> {
        let (array, known) = (self.array, self.known);
        let size = self.members.get(self.ranking.chosen).map_or(0, |m| m.member.sb.size());
        let gaps = self.free(true);
        let gap = if array.minor == Minor::V0 { gaps.last() } else { gaps.first() };
        let (from, to) = gap.copied().ok_or_else(|| no_room(self.wishes, "internal"))?;
        let most = if array.minor == Minor::V0 { 8 } else { internal_room(Sectors(size)).max(8) };
        let room = to.saturating_sub(from).unsigned_abs().min(most);
        let offset = if array.minor == Minor::V0 { to.saturating_sub_unsigned(room) } else { from };
        let chunk = chunk_in_room(room, Sectors(array.sync), 0).ok_or_else(|| no_room(self.wishes, "internal"))?;
        let new = NewBitmap {
            uuid: self.uuid(),
            sync_sectors: array.sync,
            chunk_bytes: chunk.into(),
            daemon_sleep: INTERNAL_DELAY,
            write_behind: 0,
            sectors_reserved: 0,
        };
        let mut sb = BitmapSuper::internal(&new).ok_or_else(|| no_room(self.wishes, "internal"))?;
        // Nothing is known of what an older member missed.
        sb.set_events(self.events());
        sb.set_events_cleared(self.events());
        let states = rescaled_bits(array, known, u64::from(chunk) / SECTOR_BYTES);
        let mut bytes = sb.bytes().to_vec();
        bytes.resize(header::SUPER_BYTES + states.len().div_ceil(8), 0);
        for (n, _) in states.iter().enumerate().filter(|(_, set)| **set) {
            if let Some(byte) = bytes.get_mut(header::SUPER_BYTES + n / 8) {
                *byte |= 1 << (n % 8);
            }
        }
        debug_assert!(bytes.len() as u64 <= bits::bitmap_bytes(states.len() as u64));
        bytes.resize(bytes.len().next_multiple_of(PAGE_BYTES), 0);
        let new = New { offset, bytes: &bytes, what: "internal, its bits", move_logs: false, sb: &sb };
        self.put(&new, edits)?;
        let set = states.iter().filter(|set| **set).count() as u64;
        Ok(set.saturating_mul(u64::from(chunk) / SECTOR_BYTES))
    }

    fn uuid(&self) -> crate::uuid::Uuid {
        self.members.get(self.ranking.chosen).map_or(crate::uuid::Uuid([0; 16]), |m| m.member.sb.set_uuid())
    }

    fn events(&self) -> u64 {
        self.members.get(self.ranking.chosen).map_or(0, |m| m.member.sb.events())
    }

    fn put(&self, new: &New<'_>, edits: &mut Edits) -> Result<(), Refusal> {
        let New { offset, bytes, what, move_logs, sb } = *new;
        let stored = i32::try_from(offset).map_err(|_| no_room(self.wishes, "none"))?;
        for i in &self.counted {
            let (Some(m), Some(e)) = (self.members.get(*i), edits.members.get_mut(*i)) else { continue };
            let at = m.member.sb.super_offset().checked_add_signed(offset).and_then(|s| s.checked_mul(SECTOR_BYTES));
            let at = at.ok_or_else(|| no_room(self.wishes, "none"))?;
            e.sb.set_bitmap_offset(stored);
            e.sb.set_feature_map(e.sb.feature_map() | feature::BITMAP_OFFSET);
            if move_logs && has_log(&e.sb) && !e.sb.has(feature::BAD_BLOCKS) {
                drop_log(&mut e.sb);
                // Where there is no room for it any more, there is none.
                let _ = add_log(self.array.minor, &mut e.sb, Some(sb));
                let became = if has_log(&e.sb) { "moved" } else { "given up for lack of room" };
                e.what.push(format!("its empty bad-block log {became}"));
            }
            e.areas.push(EditedArea { offset: at, bytes: bytes.to_vec(), what: format!("bitmap: {what}") });
            e.what.push(format!("bitmap {offset:+} sectors from the superblock"));
        }
        Ok(())
    }
}
