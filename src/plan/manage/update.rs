//! `--update` with `--re-add`: what changes in the superblock of a member that comes back (mdadm(8), `--update`).

use super::add::{Running, room};
use crate::superblock::v1::BadBlocks;
use crate::superblock::v1::{Minor, SuperV1, feature};
use crate::units::Sectors;

/// Sectors of a bad-block log.
const LOG_SECTORS: u16 = 8;
/// Bits of a log's unit: sectors.
const LOG_SHIFT: u8 = 0;

/// Whether a log must stay because bad blocks are recorded in it: without it they would read as good data.
#[must_use]
pub fn log_must_stay(word: &str, bad: &BadBlocks) -> bool {
    word == "no-bbl" && matches!(bad, BadBlocks::List(list) if !list.is_empty())
}

/// The superblock as it will be; `None` where nothing changes. `size` is the device's.
///
/// # Errors
/// Why the word cannot be done.
pub fn update(word: &str, running: &Running, former: &SuperV1, size: Sectors) -> Result<Option<SuperV1>, String> {
    let minor = running.version.minor().ok_or("it is not understood for 0.90 metadata")?;
    let mut sb = former.clone();
    match word {
        "devicesize" => sb.set_data_size(data_size(minor, former, size).ok_or("the device is too small")?),
        "no-bbl" | "force-no-bbl" => {
            sb.set_bblog_size(0);
            sb.set_bblog_offset(0);
            sb.set_feature_map(sb.feature_map() & !feature::BAD_BLOCKS);
        }
        "bbl" if former.bblog_size() == 0 || former.bblog_offset() == 0 => {
            let at = log_place(minor, running, former).ok_or("there is no room for a bad-block log")?;
            sb.set_bblog_offset(at);
            sb.set_bblog_size(LOG_SECTORS);
            sb.set_bblog_shift(LOG_SHIFT);
            sb.set_feature_map(sb.feature_map() & !feature::BAD_BLOCKS);
        }
        _ => {}
    }
    sb.update_csum();
    Ok((sb != *former).then_some(sb))
}

/// Sectors of data that the device has room for, with bitmap and log left out where they lie behind the data.
fn data_size(minor: Minor, sb: &SuperV1, size: Sectors) -> Option<u64> {
    let end = match minor {
        Minor::V0 => {
            let before = sb.bitmap_offset().min(sb.bblog_offset()).min(0).unsigned_abs();
            sb.super_offset().checked_sub(u64::from(before))?
        }
        _ => size.0,
    };
    end.checked_sub(sb.data_offset()).filter(|room| *room >= sb.size())
}

/// Sectors from the superblock to a new log: next to the superblock, or next to the bitmap.
fn log_place(minor: Minor, running: &Running, sb: &SuperV1) -> Option<i32> {
    let bitmap = running.bitmap.as_ref().map(|b| (i64::from(sb.bitmap_offset()), room(b, minor)));
    let (log, at) = (i64::from(LOG_SECTORS), i64::try_from(sb.super_offset()).ok()?);
    // Relative to the superblock: what is free, and where the log would be in it.
    let (free, places) = match minor {
        Minor::V0 => {
            let data_end = i64::try_from(sb.data_offset().checked_add(sb.data_size())?).ok()?;
            (data_end.checked_sub(at)?..0, [Some(-log), bitmap.map(|(start, _)| start.saturating_sub(log))])
        }
        _ => {
            let data = i64::try_from(sb.data_offset()).ok()?;
            (log..data.checked_sub(at)?, [bitmap.map(|(start, room)| start.saturating_add(room)), Some(log)])
        }
    };
    let fits = |place: &i64| {
        let end = place.saturating_add(log);
        let beside = bitmap.is_none_or(|(start, room)| end <= start || *place >= start.saturating_add(room));
        *place >= free.start && end <= free.end && beside
    };
    places.into_iter().flatten().find(fits).and_then(|place| i32::try_from(place).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::superblock::Version;
    use crate::superblock::v1::BadRange;

    fn case(minor: Minor) -> (Running, SuperV1) {
        let mut sb = SuperV1::empty();
        sb.set_size(2048);
        sb.set_data_size(2048);
        sb.set_data_offset(if minor == Minor::V0 { 0 } else { 2048 });
        sb.set_super_offset(if minor == Minor::V0 { 4080 } else { 8 });
        let new = crate::bitmap::header::NewBitmap {
            uuid: sb.set_uuid(),
            sync_sectors: 2048,
            chunk_bytes: 65536,
            daemon_sleep: 5,
            write_behind: 0,
            sectors_reserved: 8,
        };
        sb.set_feature_map(feature::BITMAP_OFFSET);
        sb.set_bitmap_offset(if minor == Minor::V0 { -16 } else { 8 });
        sb.update_csum();
        let bitmap = crate::bitmap::header::BitmapSuper::internal(&new);
        let version = Version::V1(minor);
        let (old, bitmap_file, block) = (None, None, 512);
        let own = sb.clone();
        (Running { version, sb: own, old, bitmap, bitmap_file, block, readonly: false, has_bitmap: true }, sb)
    }

    #[test]
    fn a_log_is_placed_beside_the_bitmap_and_taken_away_only_when_empty() {
        for (minor, at) in [(Minor::V0, -8), (Minor::V1, 16), (Minor::V2, 16)] {
            let (running, sb) = case(minor);
            let with = update("bbl", &running, &sb, Sectors(8192)).unwrap().unwrap();
            assert_eq!((with.bblog_offset(), with.bblog_size()), (at, 8), "{minor:?}");
            assert_eq!(update("bbl", &running, &with, Sectors(8192)), Ok(None));
            let bad = BadBlocks::List(vec![BadRange { sector: 1, sectors: 1 }]);
            assert!(log_must_stay("no-bbl", &bad) && !log_must_stay("force-no-bbl", &bad));
            assert!(!log_must_stay("no-bbl", &BadBlocks::Empty));
            let without = update("force-no-bbl", &running, &with, Sectors(8192)).unwrap().unwrap();
            assert_eq!((without.bblog_offset(), without.bblog_size()), (0, 0));
            assert!(update("no-bbl", &running, &with, Sectors(8192)).unwrap().is_some());
        }
        let (running, mut full) = case(Minor::V2);
        full.set_data_offset(20);
        assert!(update("bbl", &running, &full, Sectors(8192)).is_err());
    }

    #[test]
    fn the_size_of_a_grown_device_is_taken_up_to_what_lies_behind_the_data() {
        let (running, sb) = case(Minor::V2);
        let size = |sb: Option<SuperV1>| sb.map(|s| s.data_size());
        assert_eq!(size(update("devicesize", &running, &sb, Sectors(8192)).unwrap()), Some(6144));
        assert_eq!(update("devicesize", &running, &sb, Sectors(4096)), Ok(None));
        assert!(update("devicesize", &running, &sb, Sectors(4095)).is_err());
        let (mut running, sb) = case(Minor::V0);
        assert_eq!(size(update("devicesize", &running, &sb, Sectors(4096)).unwrap()), Some(4064));
        running.version = Version::V090;
        assert!(update("devicesize", &running, &sb, Sectors(4096)).is_err());
    }
}
