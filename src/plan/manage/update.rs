//! `--update` with `--re-add`: what changes in the superblock of a member that comes back (mdadm(8), `--update`).

use super::add::Running;
use crate::plan::member_areas::{add_log, data_size, drop_log};
use crate::superblock::v1::BadBlocks;
use crate::superblock::v1::SuperV1;
use crate::units::Sectors;

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
        "no-bbl" | "force-no-bbl" => drop_log(&mut sb),
        "bbl" => add_log(minor, &mut sb, running.bitmap.as_ref(), &[])?,
        _ => {}
    }
    sb.update_csum();
    Ok((sb != *former).then_some(sb))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::superblock::Version;
    use crate::superblock::v1::{BadRange, Minor, feature};

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
