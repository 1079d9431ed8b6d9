//! Where a v1.x superblock lies, reading it from there, and checking it against the device.

use super::{MAX_ROLES, Role, SUPER_BYTES, SuperV1, feature};
use crate::blockio::ReadAt;
use crate::level::Level;
use crate::superblock::SuperError;
use crate::units::Sectors;

/// The minor version: it says only where the superblock lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Minor {
    /// 1.0: at least 8 KiB from the end, at a multiple of 4 KiB.
    V0,
    /// 1.1: at the start.
    V1,
    /// 1.2: 4 KiB from the start.
    V2,
}

impl Minor {
    /// All of them, in the order in which the reference tries them.
    pub const ALL: [Minor; 3] = [Minor::V0, Minor::V1, Minor::V2];

    /// 0, 1 or 2.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Minor::V0 => 0,
            Minor::V1 => 1,
            Minor::V2 => 2,
        }
    }

    /// From the number.
    #[must_use]
    pub fn from_number(n: u32) -> Option<Minor> {
        Minor::ALL.into_iter().find(|m| m.number() == n)
    }
}

/// Sectors in a superblock.
const SUPER_SECTORS: u64 = 8;

/// The sector at which a superblock of this minor version lies on a device of `device` sectors
/// (kernel `super_1_load`); `None` where the device is too small to hold one.
#[must_use]
pub fn super_offset(minor: Minor, device: Sectors) -> Option<Sectors> {
    let at = match minor {
        Minor::V0 => device.checked_sub(Sectors(16))?.round_down(Sectors(8)),
        Minor::V1 => Sectors(0),
        Minor::V2 => Sectors(8),
    };
    (at.0.checked_add(SUPER_SECTORS)? <= device.0).then_some(at)
}

/// Reads the superblock of one minor version; `None` where there is none.
///
/// # Errors
/// The device's, and [`SuperError::WrongPlace`] where it says that it belongs elsewhere. The checksum is not judged.
pub fn read(dev: &dyn ReadAt, minor: Minor) -> Result<Option<SuperV1>, SuperError> {
    let Some(at) = super_offset(minor, dev.size().sectors()) else { return Ok(None) };
    let mut bytes = [0u8; SUPER_BYTES];
    let Some(start) = at.bytes() else { return Ok(None) };
    dev.read_at(start.0, &mut bytes)?;
    let Some(sb) = SuperV1::from_bytes(&bytes) else { return of_the_future(&bytes).map_or(Ok(None), Err) };
    if sb.super_offset() != at.0 {
        return Err(SuperError::WrongPlace { found: at.0, recorded: sb.super_offset() });
    }
    Ok(Some(sb))
}

/// A superblock of a version that is still to come: the magic, and a major version past 1.
fn of_the_future(bytes: &[u8; SUPER_BYTES]) -> Option<SuperError> {
    let word = |at: usize| bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
    let value = word(4).filter(|major| *major > 1 && word(0) == Some(super::MAGIC))?;
    let why = "is newer than this mdadm knows: take the one that made it".into();
    Some(SuperError::Field { field: "major_version", value: value.into(), why })
}

/// Tries all three places; where several hold a superblock, the one created last counts, as in the reference.
///
/// # Errors
/// As [`read`], where no place holds a superblock and one had an error.
pub fn read_any(dev: &dyn ReadAt) -> Result<Option<(Minor, SuperV1)>, SuperError> {
    let mut best: Option<(Minor, SuperV1)> = None;
    let mut error = None;
    for minor in Minor::ALL {
        match read(dev, minor) {
            Ok(Some(sb)) if best.as_ref().is_none_or(|(_, b)| sb.ctime() > b.ctime()) => best = Some((minor, sb)),
            Ok(_) => {}
            Err(e) => error = error.or(Some(e)),
        }
    }
    match (best, error) {
        (None, Some(e)) => Err(e),
        (best, _) => Ok(best),
    }
}

fn field<T>(field: &'static str, value: impl Into<i128>, why: impl Into<String>) -> Result<T, SuperError> {
    Err(SuperError::Field { field, value: value.into(), why: why.into() })
}

/// See [`SuperV1::check`]; the rules are those of the kernel's `super_1_load` and `super_1_validate`.
pub(super) fn check(sb: &SuperV1, device: Sectors) -> Result<(), SuperError> {
    if sb.max_dev() > MAX_ROLES {
        return field("max_dev", sb.max_dev(), format!("is more than a superblock holds ({MAX_ROLES})"));
    }
    let expected = sb.computed_csum();
    if sb.sb_csum() != expected {
        return Err(SuperError::BadChecksum { found: sb.sb_csum(), expected });
    }
    if sb.feature_map() & !feature::ALL != 0 {
        return field("feature_map", sb.feature_map(), "has bits that no known kernel defines");
    }
    if sb.dev_number() >= sb.max_dev().max(1) {
        return field("dev_number", sb.dev_number(), format!("is not below max_dev ({})", sb.max_dev()));
    }
    if sb.raid_disks() > MAX_ROLES {
        return field("raid_disks", sb.raid_disks(), format!("is more than a superblock holds ({MAX_ROLES})"));
    }
    let end = sb.data_offset().checked_add(sb.data_size());
    if end.is_none_or(|e| e > device.0) {
        return field("data_size", sb.data_size(), format!("reaches past the device's {device} sectors"));
    }
    let level = Level::from_raw(sb.level_raw());
    if sb.size() > i64::MAX as u64 {
        return field("size", sb.size(), "is more than a device can have");
    }
    let least = if level.is_some_and(Level::is_striped) { sb.chunksize().max(1) } else { 1 };
    if level.is_some_and(Level::is_redundant) && sb.size() < least.into() {
        return field("size", sb.size(), format!("is less than one chunk ({least} sectors)"));
    }
    if level.is_some_and(Level::is_redundant) && sb.size() > sb.data_size() && sb.role() != Role::Journal {
        return field("size", sb.size(), format!("is more than the device's data (data_size {})", sb.data_size()));
    }
    if sb.bblog_shift() > 40 {
        return field("bblog_shift", sb.bblog_shift(), "is no shift");
    }
    let start = i128::from(sb.super_offset());
    if sb.has(feature::BITMAP_OFFSET) {
        let at = start + i128::from(sb.bitmap_offset());
        if sb.bitmap_offset() == 0 || at < 0 || at + 8 > i128::from(device.0) {
            return field("bitmap_offset", sb.bitmap_offset(), "is not on the device");
        }
    }
    if sb.has_ppl() {
        let at = start + i128::from(sb.ppl_offset());
        if sb.ppl_offset() == 0 || at < 0 || at + i128::from(sb.ppl_size()) > i128::from(device.0) {
            return field("ppl.offset", sb.ppl_offset(), "is not on the device");
        }
    }
    if sb.has(feature::BAD_BLOCKS) {
        let at = start + i128::from(sb.bblog_offset());
        if sb.bblog_offset() == 0 || at < 0 || at + i128::from(sb.bblog_size()) > i128::from(device.0) {
            return field("bblog_offset", sb.bblog_offset(), "is not on the device");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::mem::MemDevice;
    use crate::superblock::v1::offset;

    fn sample(minor: Minor, device: Sectors) -> (u64, SuperV1) {
        let at = super_offset(minor, device).unwrap();
        let mut sb = SuperV1::empty();
        sb.set_super_offset(at.0);
        sb.set_ctime_raw(7);
        sb.set_max_dev(128);
        sb.set_data_offset(if minor == Minor::V0 { 0 } else { 64 });
        sb.set_data_size(64);
        sb.set_raid_disks(2);
        sb.put_role(1, Role::Slot(1));
        sb.update_csum();
        (at.0 * 512, sb)
    }

    #[test]
    fn a_superblock_is_found_at_its_place_and_keeps_every_byte() {
        for minor in Minor::ALL {
            let mut dev = MemDevice::new(1 << 20);
            let (at, sb) = sample(minor, dev.size().sectors());
            let at = usize::try_from(at).unwrap();
            dev.bytes[at..at + SUPER_BYTES].copy_from_slice(sb.bytes());
            let (found, read) = read_any(&dev).unwrap().unwrap();
            assert_eq!((found, &read), (minor, &sb));
            assert!(read.check(dev.size().sectors()).is_ok());
        }
    }

    #[test]
    fn a_size_that_no_chunk_or_no_data_stands_for_is_damage() {
        let (_, mut sb) = sample(Minor::V2, Sectors(2048));
        sb.set_chunksize(16);
        let mut verdict = |level, size, role| {
            sb.set_level_raw(level);
            sb.set_size(size);
            sb.put_role(0, role);
            sb.update_csum();
            sb.check(Sectors(2048)).is_ok()
        };
        for (level, least) in [(1, 1), (4, 16), (5, 16), (6, 16), (10, 16)] {
            assert!(!verdict(level, least - 1, Role::Slot(0)) && verdict(level, least, Role::Slot(0)));
            assert!(verdict(level, 64, Role::Slot(0)) && !verdict(level, 65, Role::Slot(0)));
            assert!(verdict(level, 1 << 30, Role::Journal));
        }
        assert!(verdict(0, 0, Role::Slot(0)) && verdict(-1, 0, Role::Slot(0)));
    }

    #[test]
    fn the_last_created_superblock_counts_where_there_are_several() {
        let mut dev = MemDevice::new(1 << 20);
        for (n, minor) in Minor::ALL.into_iter().enumerate() {
            let (at, mut sb) = sample(minor, dev.size().sectors());
            sb.set_ctime_raw(100 - n as u64);
            let at = usize::try_from(at).unwrap();
            dev.bytes[at..at + SUPER_BYTES].copy_from_slice(sb.bytes());
        }
        assert_eq!(read_any(&dev).unwrap().unwrap().0, Minor::V0);
    }

    #[test]
    fn a_flipped_byte_anywhere_in_the_summed_part_is_seen() {
        let (_, sb) = sample(Minor::V1, Sectors(2048));
        for i in 0..256 + 2 * 128 {
            let mut bytes = *sb.bytes();
            bytes[i] ^= 0x10;
            let outcome = SuperV1::from_bytes(&bytes).map(|s| s.check(Sectors(2048)).is_ok());
            assert_ne!(outcome, Some(true), "byte {i}");
        }
    }

    #[test]
    fn absurd_counts_neither_panic_nor_read_outside() {
        for max_dev in [0, 1, 1920, 1921, 0x7fff_ffff, 0xffff_ffff] {
            let (_, mut sb) = sample(Minor::V1, Sectors(2048));
            sb.set_max_dev(max_dev);
            sb.set_dev_number(max_dev.wrapping_sub(1));
            sb.update_csum();
            let _ = (sb.roles().len(), sb.role(), sb.check(Sectors(2048)).is_ok());
            assert!(sb.role_count() <= MAX_ROLES);
        }
    }

    #[test]
    fn a_device_too_small_for_a_superblock_has_none() {
        for len in [0, 1, 511, 512, 4095, 4096, 8191] {
            let dev = MemDevice::new(len);
            assert!(read_any(&dev).unwrap().is_none(), "{len}");
        }
    }

    #[test]
    fn the_field_offsets_are_those_of_the_kernel_header() {
        assert_eq!(
            (offset::CTIME, offset::DATA_OFFSET, offset::UTIME, offset::LOGICAL_BLOCK_SIZE),
            (64, 128, 192, 224)
        );
    }
}
