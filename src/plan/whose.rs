//! Whose a superblock at the end of a device is: the whole disk's or its last partition's.
//!
//! A v0.90 superblock does not say where it lies. That of a partition that starts at a multiple of 64 KiB and reaches to the
//! end of the disk is found on the whole disk too, and the other way round. The size that it records, and the device
//! numbers, tell which of them is the member. A v1.0 superblock records its sector, so there it is only to be said.
#![forbid(unsafe_code)]

use crate::level::Level;
use crate::superblock::Version;
use crate::superblock::v0::SuperV0;
use crate::superblock::v1::Minor;
use crate::units::{KiB, Sectors};

/// A whole disk, or a partition of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// As messages name it, `/dev/sda1`.
    pub shown: String,
    /// Device number.
    pub dev: (u32, u32),
    /// First sector of the disk; 0 for the disk.
    pub start: Sectors,
    /// Size.
    pub size: Sectors,
}

impl Place {
    /// The sector of the disk at which its superblock lies.
    fn super_offset(&self, version: Version) -> Option<Sectors> {
        version.super_offset(self.size)?.checked_add(self.start)
    }
}

/// The one of `others` that a v0.90 superblock seen on `this` belongs to, and why; `None` where it is `this` one's.
#[must_use]
pub fn other_owner<'a>(sb: &SuperV0, this: &Place, others: &'a [Place]) -> Option<(&'a Place, String)> {
    let at = this.super_offset(Version::V090)?;
    others.iter().filter(|o| o.super_offset(Version::V090) == Some(at)).find_map(|other| {
        let (part, whole) = if other.start > this.start { (other, this) } else { (this, other) };
        let (of_part, why) = is_of_partition(sb, part, whole);
        let owner = if of_part { part } else { whole };
        (owner.dev == other.dev).then_some((other, why))
    })
}

/// Whether it is the partition's, and why.
fn is_of_partition(sb: &SuperV0, part: &Place, whole: &Place) -> (bool, String) {
    let own = sb.this_disk();
    let numbers = (own.major, own.minor);
    let (size, room) = (KiB(sb.size_kib().into()), |p: &Place| Version::V090.super_offset(p.size).unwrap_or_default());
    let sized = sb.level_raw() > 0 && size.0 > 0;
    let uses = |p: &Place| KiB(usable(sb, room(p)).0 / 2);
    if sized && size > room(part).kib() {
        return (false, format!("it records {size} KiB, more than {} has ({} KiB)", part.shown, room(part).kib()));
    }
    if sized && size == uses(part) {
        return (true, format!("it records {size} KiB, which is what {} has", part.shown));
    }
    if sized && size == uses(whole) {
        return (false, format!("it records {size} KiB, which is what {} has", whole.shown));
    }
    let numbered = |p: &Place| format!("it records the device number {}:{} of {}", numbers.0, numbers.1, p.shown);
    if numbers == whole.dev {
        return (false, numbered(whole));
    }
    if numbers == part.dev {
        return (true, numbered(part));
    }
    (true, format!("what it records ({size} KiB) fits {}", part.shown))
}

/// The sectors that an array on a device with this much room uses, as it is rounded at create.
fn usable(sb: &SuperV0, room: Sectors) -> Sectors {
    let chunk = Sectors((sb.chunk_bytes() / 512).into());
    let striped = Level::from_raw(sb.level_raw()).is_some_and(Level::is_striped);
    room.round_down(if striped { chunk } else { Sectors(128) })
}

/// The one of `others` that a v1.0 superblock belongs to that was found at sector `found` of `this` and says that it is at
/// sector `recorded`.
#[must_use]
pub fn owner_by_place<'a>(found: u64, recorded: u64, this: &Place, others: &'a [Place]) -> Option<&'a Place> {
    let at = this.start.0.checked_add(found)?;
    let version = Version::V1(Minor::V0);
    others.iter().find(|o| {
        version.super_offset(o.size) == Some(Sectors(recorded)) && o.super_offset(version) == Some(Sectors(at))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::superblock::v0::{DiskV0, Order};

    const MIB: u64 = 2048;

    fn place(name: &str, minor: u32, start: u64, size: u64) -> Place {
        Place { shown: name.into(), dev: (8, minor), start: Sectors(start), size: Sectors(size) }
    }

    fn sb(level: i32, kib: u32, minor: u32) -> SuperV0 {
        let mut sb = SuperV0::empty(Order::Little);
        sb.set_level_raw(level);
        sb.set_size_kib(kib);
        sb.put_this_disk(&DiskV0 { number: 0, major: 8, minor, raid_disk: 0, state: 6 });
        sb
    }

    /// Whose it is, seen from the disk and from the partition.
    fn owner(sb: &SuperV0) -> String {
        let (disk, part) = (place("sda", 0, 0, 100 * MIB), place("sda1", 1, MIB, 99 * MIB));
        let from_disk = other_owner(sb, &disk, std::slice::from_ref(&part)).map_or("sda", |o| o.0.shown.as_str());
        let from_part = other_owner(sb, &part, std::slice::from_ref(&disk)).map_or("sda1", |o| o.0.shown.as_str());
        assert_eq!(from_disk, from_part);
        from_disk.to_owned()
    }

    #[test]
    fn the_recorded_size_tells_and_then_the_device_number() {
        assert_eq!(owner(&sb(1, 99 * 1024 - 64, 7)), "sda1", "what the partition has");
        assert_eq!(owner(&sb(1, 100 * 1024 - 64, 7)), "sda", "more than the partition has");
        assert_eq!(owner(&sb(1, 5000, 7)), "sda1", "fits both: the partition");
        assert_eq!(owner(&sb(1, 5000, 0)), "sda", "fits both: the number");
        assert_eq!(owner(&sb(0, 0, 1)), "sda1", "no size: the number");
        assert_eq!(owner(&sb(0, 0, 0)), "sda");
    }

    #[test]
    fn a_partition_that_is_not_aligned_or_does_not_reach_the_end_has_nothing_in_common() {
        let disk = place("sda", 0, 0, 100 * MIB);
        for part in [place("sda1", 1, 63, 100 * MIB - 63), place("sda1", 1, MIB, 98 * MIB)] {
            assert_eq!(other_owner(&sb(1, 4096, 1), &disk, &[part]), None);
        }
    }

    #[test]
    fn a_superblock_that_records_its_place_is_that_of_the_device_where_this_is_its_place() {
        let (disk, part) = (place("sda", 0, 0, 100 * MIB), place("sda1", 1, MIB, 99 * MIB));
        let (on_disk, on_part) = (100 * MIB - 16, 99 * MIB - 16);
        assert_eq!(owner_by_place(on_disk, on_part, &disk, std::slice::from_ref(&part)), Some(&part));
        assert_eq!(owner_by_place(on_part, on_disk, &part, std::slice::from_ref(&disk)), Some(&disk));
        assert_eq!(owner_by_place(on_disk, on_part + 8, &disk, &[part]), None);
    }
}
