//! `--update=bitmap=lockless|internal|none`: a stopped array's bitmap becomes another, always to the safe side.
//!
//! What the old bitmap has in doubt the new one has in doubt, and the array is resynced there; a chunk of the new one that
//! covers several takes the worst of them. Never does a chunk that may hold data become unwritten.

mod rescale;

use super::edits::{EditedArea, Edits};
use super::rank::{Ranking, Verdict};
use super::{BitmapTarget, Line, Matched, Wishes};
use crate::bitmap::header::{BitmapSuper, Kind, NewBitmap};
use crate::bitmap::lockless;
use crate::bitmap::{bits, header};
use crate::error::Refusal;
use crate::level::Level;
use crate::output::lockless_cost;
use crate::plan::bitmap_place::{chunk_in_room, internal_room, lockless_room};
use crate::plan::create::sizing::sync_sectors;
use crate::plan::grow::space::{self, Gap, Lies, LocklessPlace};
use crate::plan::member_areas::{PAGE_SECTORS, add_log, bitmap_room, drop_log, has_log};
use crate::plan::startable;
use crate::superblock::Version;
use crate::superblock::v1::{Minor, SuperV1, feature};
use crate::units::{SECTOR_BYTES, Sectors};

use rescale::{Known, in_doubt, known, rescaled, rescaled_bits};

/// The daemon's period of a lockless bitmap, as the kernel has it.
const LOCKLESS_DELAY: u32 = 30;
/// The daemon's period of an internal one.
const INTERNAL_DELAY: u32 = 5;
/// Sectors of a bad-block log.
const LOG_SECTORS: i64 = PAGE_SECTORS as i64;
const PAGE_BYTES: usize = 4096;

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
        if matches!(&m.member.bitmap, Some(Ok(b)) if startable::log_is_overwritten(&m.member.sb, m.member.version, b)) {
            drop_log(&mut e.sb);
            e.what.push("its bad-block log, which the bitmap has overwritten, given up".to_owned());
        }
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

impl Conversion<'_> {
    fn edited(&self) -> impl Iterator<Item = &Matched<'_>> {
        self.counted.iter().filter_map(|i| self.members.get(*i))
    }

    /// The old bitmaps, which stay until all superblocks name the new one; a power cut before can have left more than one.
    fn old(&self) -> Vec<Gap> {
        let old = |m: &Matched<'_>| {
            let offset = i64::from(m.member.sb.bitmap_offset());
            match &m.member.bitmap {
                Some(Ok(b)) => Some((offset, offset.saturating_add(bitmap_room(&b.sb, self.array.minor)))),
                Some(Err(_)) => Some((offset, offset.saturating_add(8))),
                None => None,
            }
        };
        self.edited().filter_map(old).collect()
    }

    /// Free on all members, clear of the old bitmaps.
    fn free(&self, with_logs: bool) -> Vec<Gap> {
        let of = |m: &Matched<'_>| {
            let lies = lies(&m.member.sb);
            let movable = !with_logs && !m.member.sb.has(feature::BAD_BLOCKS);
            if movable { Lies { log: None, ..lies } } else { lies }
        };
        space::gaps(self.array.minor, &self.edited().map(of).collect::<Vec<_>>(), &self.old())
    }

    /// Where a lockless bitmap goes, and whether empty bad-block logs have to go for it.
    fn lockless_place(&self) -> Result<(LocklessPlace, bool), Refusal> {
        let (minor, sync) = (self.array.minor, self.array.sync);
        let asked = self.wishes.bitmap_chunk;
        let wanted = match asked {
            None => lockless::DEFAULT_ROOM_SECTORS,
            Some(lockless::FINEST) => lockless::finest_room(sync),
            Some(coarsest) => lockless_room(Sectors(sync), coarsest)?,
        };
        let exactly = asked.is_some_and(|c| c != lockless::FINEST);
        let find = |free: &[Gap], exactly| space::lockless_place(minor, free, sync, wanted, exactly);
        let without_logs = self.free(false);
        // Rather with room for the logs behind it than with none.
        let beside_logs: Vec<Gap> = without_logs.iter().map(|(from, to)| (*from, to - LOG_SECTORS)).collect();
        for (free, moved) in [(self.free(true), false), (beside_logs, true), (without_logs.clone(), true)] {
            if let Some(place) = find(&free, exactly) {
                return Ok((place, moved));
            }
        }
        Err(match (asked, find(&without_logs, false)) {
            (Some(asked), Some(place)) => Refusal::new(format!(
                "{}: --bitmap-chunk={}K needs more room than there is on the members: {}K can be had; nothing was changed",
                self.wishes.shown,
                asked / 2,
                place.choice.chunk_sectors / 2
            )),
            _ => no_room(self.wishes, "lockless"),
        })
    }

    fn lockless(&self, edits: &mut Edits) -> Result<u64, Refusal> {
        let (array, known) = (self.array, self.known);
        let (place, move_logs) = self.lockless_place()?;
        // The states are written here, not by the kernel: so the chunk can be coarser than it would choose for this room.
        let chunk_sectors = place.choice.chunk_sectors.max(self.wishes.bitmap_chunk.unwrap_or(0));
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
        let block = self.edited().map(|m| m.candidate.block).max().unwrap_or(512).max(512);
        let cost = lockless_cost::line(states.len() as u64, chunk_sectors, block.into());
        edits.lines.push(Line::normal(format!("{}: {cost}", self.wishes.shown)));
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
        let asked = self.wishes.bitmap_chunk.unwrap_or(0).saturating_mul(SECTOR_BYTES);
        let chunk = chunk_in_room(room, Sectors(array.sync), asked).ok_or_else(|| match asked {
            0 => no_room(self.wishes, "internal"),
            _ => Refusal::new("Given bitmap chunk size not supported.").hint("nothing was changed"),
        })?;
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
                let _ = add_log(self.array.minor, &mut e.sb, Some(sb), &self.old());
                let became = if has_log(&e.sb) { "moved" } else { "given up for lack of room" };
                e.what.push(format!("its empty bad-block log {became}"));
            }
            e.areas.push(EditedArea { offset: at, bytes: bytes.to_vec(), what: format!("bitmap: {what}") });
            e.what.push(format!("bitmap {offset:+} sectors from the superblock"));
        }
        Ok(())
    }
}
