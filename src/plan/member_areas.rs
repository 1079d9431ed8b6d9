//! What lies beside the superblock of a member that exists already, where there is room for more, and how much data fits.
//!
//! ```text
//! v1.0        data ... data_size | bitmap, log, PPL | superblock       (offsets are negative)
//! v1.1, v1.2  superblock | bitmap, log, PPL | data_offset ... data
//! ```

use crate::bitmap::header::{BitmapSuper, Kind};
use crate::bitmap::{bits, lockless};
use crate::superblock::v1::{Minor, SuperV1, feature};
use crate::units::{SECTOR_BYTES, Sectors};

/// Sectors of a superblock, of a bad-block log, and of the slack behind a lockless bitmap.
pub const PAGE_SECTORS: u16 = 8;
/// Bits of a log's unit: sectors.
const LOG_SHIFT: u8 = 0;

/// A stretch of sectors, counted from the superblock.
type Stretch = std::ops::Range<i64>;

/// Sectors of data that the device has room for, with bitmap and log left out where they lie behind the data.
#[must_use]
pub fn data_size(minor: Minor, sb: &SuperV1, size: Sectors) -> Option<u64> {
    let end = match minor {
        Minor::V0 => {
            let before = taken(minor, sb, None).iter().map(|t| t.start).min().unwrap_or(0).min(0).unsigned_abs();
            let bitmap = if sb.has(feature::BITMAP_OFFSET) { sb.bitmap_offset().min(0).unsigned_abs() } else { 0 };
            sb.super_offset().checked_sub(before.max(bitmap.into()))?
        }
        _ => size.0,
    };
    end.checked_sub(sb.data_offset()).filter(|room| *room >= sb.size())
}

/// Sectors that a bitmap takes on a member.
#[must_use]
pub fn bitmap_room(bitmap: &BitmapSuper, minor: Minor) -> i64 {
    let chunks = bitmap.chunks().unwrap_or(0);
    let bytes = match bitmap.kind() {
        Ok(Kind::Lockless) => lockless::bitmap_bytes(chunks),
        Ok(Kind::Clustered) => bits::bitmap_bytes(chunks).saturating_mul(u64::from(bitmap.nodes()).max(1)),
        _ => bits::bitmap_bytes(chunks),
    };
    // On v1.0 the field is the whole way to the superblock.
    let reserved = match bitmap.kind() {
        Ok(Kind::Lockless) if minor != Minor::V0 => u64::from(bitmap.sectors_reserved()) + u64::from(PAGE_SECTORS),
        _ => 0,
    };
    i64::try_from(bytes.div_ceil(SECTOR_BYTES).max(reserved)).unwrap_or(i64::MAX)
}

/// What lies beside the superblock.
fn taken(minor: Minor, sb: &SuperV1, bitmap: Option<&BitmapSuper>) -> Vec<Stretch> {
    let stretch = |start: i64, len: i64| start..start.saturating_add(len);
    let mut all = Vec::new();
    if let Some(bitmap) = bitmap {
        all.push(stretch(sb.bitmap_offset().into(), bitmap_room(bitmap, minor)));
    }
    if sb.has_ppl() {
        all.push(stretch(sb.ppl_offset().into(), sb.ppl_size().into()));
    }
    if has_log(sb) {
        all.push(stretch(sb.bblog_offset().into(), sb.bblog_size().into()));
    }
    all
}

/// Sectors from the superblock to a free stretch of so many: next to what is there, else next to the superblock, and clear of
/// `others`, from the first to before the second sector.
#[must_use]
pub fn free_place(
    minor: Minor,
    sb: &SuperV1,
    bitmap: Option<&BitmapSuper>,
    sectors: u16,
    others: &[(i64, i64)],
) -> Option<i64> {
    let (len, at) = (i64::from(sectors), i64::try_from(sb.super_offset()).ok()?);
    let mut taken = taken(minor, sb, bitmap);
    taken.extend(others.iter().map(|(start, end)| *start..*end));
    let free: Stretch = match minor {
        Minor::V0 => i64::try_from(sb.data_offset().checked_add(sb.data_size())?).ok()?.checked_sub(at)?..0,
        _ => PAGE_SECTORS.into()..i64::try_from(sb.data_offset()).ok()?.checked_sub(at)?,
    };
    let beside = taken.iter().map(|t| match minor {
        Minor::V0 => t.start.saturating_sub(len),
        _ => t.end,
    });
    let next = if minor == Minor::V0 { -len } else { free.start };
    let places: Vec<i64> = match minor {
        Minor::V0 => std::iter::once(next).chain(beside).collect(),
        _ => beside.chain([next]).collect(),
    };
    places.into_iter().find(|place| {
        let end = place.saturating_add(len);
        *place >= free.start && end <= free.end && taken.iter().all(|t| end <= t.start || *place >= t.end)
    })
}

/// Whether there is a bad-block log.
#[must_use]
pub fn has_log(sb: &SuperV1) -> bool {
    sb.bblog_size() != 0 && sb.bblog_offset() != 0
}

/// Reserves an empty bad-block log; one that is there stays as it is. `bitmap` is the member's, where it has one; `others` are
/// further stretches that must stay as they are.
///
/// # Errors
/// Where there is no room.
pub fn add_log(
    minor: Minor,
    sb: &mut SuperV1,
    bitmap: Option<&BitmapSuper>,
    others: &[(i64, i64)],
) -> Result<(), String> {
    if has_log(sb) {
        return Ok(());
    }
    let at = free_place(minor, sb, bitmap, PAGE_SECTORS, others).and_then(|at| i32::try_from(at).ok());
    sb.set_bblog_offset(at.ok_or("there is no room for a bad-block log")?);
    sb.set_bblog_size(PAGE_SECTORS);
    sb.set_bblog_shift(LOG_SHIFT);
    sb.set_feature_map(sb.feature_map() & !feature::BAD_BLOCKS);
    Ok(())
}

/// Gives the bad-block log up, and what it says.
pub fn drop_log(sb: &mut SuperV1) {
    sb.set_bblog_size(0);
    sb.set_bblog_offset(0);
    sb.set_feature_map(sb.feature_map() & !feature::BAD_BLOCKS);
}
