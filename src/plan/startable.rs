//! Whether the kernel can be asked to start an array with this member: it believes the fields of both superblocks, and where they
//! cannot be it panics, or writes a lockless bitmap over something else (seen with Linux 7.2).

use crate::bitmap::header::Kind;
use crate::bitmap::lockless;
use crate::bitmap::summary::BitmapSummary;
use crate::level::{Level, MOST_RAID6};
use crate::plan::create::sizing::sync_sectors;
use crate::superblock::Version;
use crate::superblock::reshape::Reshape;
use crate::superblock::v1::{Minor, Role, SUPER_BYTES, SuperV1, feature};
use crate::units::{Bytes, SECTOR_BYTES, Sectors};

/// Why the array must not be started with this member, of `device` bytes: what follows "the superblock is damaged".
///
/// # Errors
/// A bitmap on a level that can have none (`md_check_no_bitmap`: the kernel panics), too many members of a raid6, and those of [`lockless_fits`].
pub fn check(sb: &SuperV1, version: Version, bitmap: Option<&BitmapSummary>, device: Bytes) -> Result<(), String> {
    let level = Level::from_raw(sb.level_raw()).filter(|level| !level.is_redundant());
    if let Some(level) = level.filter(|_| sb.has(feature::BITMAP_OFFSET)) {
        return Err(format!(
            "it claims a bitmap, which {} cannot have; --update=no-bitmap takes it away",
            level.name()
        ));
    }
    if Level::from_raw(sb.level_raw()) == Some(Level::Raid6) && sb.raid_disks() > MOST_RAID6 {
        return Err(format!(
            "it is of a raid6 of {} members, and with more than {MOST_RAID6} the kernel panics",
            sb.raid_disks()
        ));
    }
    Reshape::of(sb)?;
    match bitmap.filter(|bitmap| bitmap.kind == Kind::Lockless) {
        Some(bitmap) => lockless_fits(sb, version, bitmap, device)
            .and_then(|()| lockless_says(sb, bitmap))
            .map_err(|why| format!("{why}; --update=bitmap=none goes on without it, and resyncs the array")),
        None => Ok(()),
    }
}

/// Whether the states of a lockless bitmap lie where nothing else does (`llbitmap_read_sb`, `llbitmap_init`).
///
/// # Errors
/// No chunk at all (the kernel panics), states on the superblock or on the data, or behind the end of the device.
fn lockless_fits(sb: &SuperV1, version: Version, bitmap: &BitmapSummary, device: Bytes) -> Result<(), String> {
    let Some(level) = Level::from_raw(sb.level_raw()) else { return Ok(()) };
    let sync = sync_sectors(level, sb.layout(), Sectors(sb.chunksize().into()), sb.raid_disks(), Sectors(sb.size())).0;
    let chunk = match version {
        _ if !bitmap.first_use => u64::from(bitmap.sb.chunksize()),
        Version::V1(Minor::V0) => first_chunk(sync, lockless::room_v1_0(sb.bitmap_offset()).unwrap_or(1)),
        _ => first_chunk(sync, bitmap.sb.sectors_reserved()),
    };
    if sync == 0 || chunk == 0 {
        return Err("its lockless bitmap covers nothing".to_owned());
    }
    let bytes = |sectors: u64| i128::from(sectors) * i128::from(SECTOR_BYTES);
    let start = i128::from(bitmap.start);
    let end = start + i128::from(lockless::bitmap_bytes(sync.div_ceil(chunk)));
    let over = |at: i128, len: i128| start < at + len && at < end;
    let what = if end > i128::from(device.0) {
        "past the end of the device"
    } else if over(bytes(sb.data_offset()), bytes(sb.size())) {
        "into the data"
    } else if over(bytes(sb.super_offset()), SUPER_BYTES as i128) {
        "into the superblock"
    } else {
        return Ok(());
    };
    Err(format!("its lockless bitmap would reach from byte {start} to byte {end}, {what}"))
}

/// Events that an array can have before its bitmap was written for the first time: none (seen), and one in the making.
const FIRST_EVENTS: u64 = 1;

/// Whether what a lockless bitmap says can be, on a member whose copy the kernel may read.
///
/// # Errors
/// In its first use though the array was written to: the kernel would call all chunks unwritten, and rebuild none of them.
/// What it refuses (`llbitmap_read_sb`): another array's uuid, a period of 0, no power of two.
fn lockless_says(sb: &SuperV1, bitmap: &BitmapSummary) -> Result<(), String> {
    if !matches!(sb.role(), Role::Slot(_)) || sb.has(feature::RECOVERY_OFFSET) {
        return Ok(());
    }
    let of = &bitmap.sb;
    if of.uuid() != sb.set_uuid() {
        return Err(format!("its lockless bitmap is that of another array ({})", of.uuid()));
    }
    if bitmap.first_use {
        return match sb.events().max(of.events()) {
            0..=FIRST_EVENTS => Ok(()),
            events => Err(format!(
                "its lockless bitmap says that it was never used, though the array has {events} events: all chunks would count as \
                 unwritten, and what they hold as nothing"
            )),
        };
    }
    if of.daemon_sleep() == 0 {
        return Err("its lockless bitmap has a period of 0, with which the kernel does not start the array \
                    (--update=bitmap=lockless gives it another)"
            .to_owned());
    }
    Ok(())
}

fn first_chunk(sync: u64, room: u32) -> u64 {
    lockless::kernel_chunk(sync, room).chunk_sectors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitmap::header::{BitmapSuper, NewBitmap};
    use crate::uuid::Uuid;

    const DEVICE: u64 = 8 << 20;

    /// A member of a raid5 of 8 MiB, 1.2, that has been started; `edit` changes what it is made of.
    fn verdict(minor: Minor, edit: impl Fn(&mut SuperV1, &mut BitmapSuper)) -> Result<(), String> {
        let mut sb = SuperV1::empty();
        sb.put_set_uuid(Uuid([1; 16]));
        sb.set_max_dev(1);
        sb.put_role(0, Role::Slot(0));
        let device = Bytes(DEVICE).sectors();
        let (at, offset, data) = match minor {
            Minor::V0 => (device.0 - 16, -264, 0),
            _ => (8, 8, 2048),
        };
        sb.set_super_offset(at);
        sb.set_level_raw(5);
        sb.set_raid_disks(3);
        sb.set_chunksize(1024);
        sb.set_data_offset(data);
        sb.set_size(12288);
        sb.set_bitmap_offset(offset);
        sb.set_feature_map(feature::BITMAP_OFFSET);
        let new = NewBitmap {
            uuid: Uuid([1; 16]),
            sync_sectors: 12288,
            chunk_bytes: 65536,
            daemon_sleep: 5,
            write_behind: 0,
            sectors_reserved: 256,
        };
        let mut bitmap = BitmapSuper::lockless(&new, false).unwrap();
        bitmap.set_state(0);
        edit(&mut sb, &mut bitmap);
        let start = (sb.super_offset() * 512).checked_add_signed(i64::from(sb.bitmap_offset()) * 512).unwrap();
        let first_use = lockless::is_first_use(&bitmap);
        let summary =
            BitmapSummary { kind: Kind::Lockless, start, sb: bitmap, first_use, chunk_bytes: None, chunks: None };
        check(&sb, Version::V1(minor), Some(&summary), Bytes(DEVICE))
    }

    #[test]
    fn what_create_and_the_kernel_write_can_be_started() {
        for minor in Minor::ALL {
            assert_eq!(verdict(minor, |_, _| ()), Ok(()));
            assert_eq!(verdict(minor, |_, b| b.set_state(8)), Ok(()));
        }
    }

    #[test]
    fn a_bitmap_on_a_level_that_has_none_is_refused_for_the_kernel_panics() {
        for level in [0, -1] {
            let claims = |sb: &mut SuperV1, _: &mut BitmapSuper| sb.set_level_raw(level);
            assert!(verdict(Minor::V2, claims).unwrap_err().contains("it claims a bitmap"));
        }
        let mut sb = SuperV1::empty();
        assert_eq!(check(&sb, Version::V090, None, Bytes(DEVICE)), Ok(()));
        sb.set_feature_map(feature::BITMAP_OFFSET);
        assert!(check(&sb, Version::V090, None, Bytes(DEVICE)).is_err());
    }

    #[test]
    fn a_raid6_of_more_members_than_the_kernel_bears_is_refused() {
        let of = |members: u32| {
            let mut sb = SuperV1::empty();
            sb.set_level_raw(6);
            sb.set_raid_disks(members);
            check(&sb, Version::V1(Minor::V2), None, Bytes(DEVICE))
        };
        assert_eq!(of(255), Ok(()));
        assert!(of(256).unwrap_err().contains("a raid6 of 256 members"));
    }

    #[test]
    fn what_the_kernel_would_misread_or_not_start_is_named() {
        let why = |edit: &dyn Fn(&mut SuperV1, &mut BitmapSuper)| verdict(Minor::V2, edit).unwrap_err();
        assert!(why(&|_, b| b.put_uuid(Uuid([2; 16]))).contains("of another array"));
        assert!(why(&|_, b| b.set_daemon_sleep(0)).contains("a period of 0"));
        let used = why(&|sb, b| {
            sb.set_events(17);
            b.set_state(8);
        });
        assert!(
            used.contains("never used")
                && used.ends_with("--update=bitmap=none goes on without it, and resyncs the array")
        );
        // A spare's copy stays as it was made.
        let spare = |sb: &mut SuperV1, b: &mut BitmapSuper| {
            sb.set_events(17);
            sb.put_role(0, Role::Spare);
            b.set_state(8);
        };
        assert_eq!(verdict(Minor::V2, spare), Ok(()));
    }

    #[test]
    fn a_size_without_a_chunk_is_refused_for_the_kernel_panics() {
        for minor in Minor::ALL {
            assert!(verdict(minor, |sb, _| sb.set_size(0)).unwrap_err().contains("covers nothing"));
            let far = |sb: &mut SuperV1, _: &mut BitmapSuper| {
                sb.set_level_raw(10);
                sb.set_layout(0x10201);
                sb.set_size(1024);
            };
            assert!(verdict(minor, far).unwrap_err().contains("covers nothing"));
        }
    }

    #[test]
    fn a_bitmap_that_would_be_written_over_something_else_is_refused() {
        for (minor, bitmap_offset, size, chunk, what) in [
            (Minor::V2, 8, 1 << 13, 1, None),
            (Minor::V2, 8, 1 << 20, 1, Some("into the data")),
            (Minor::V2, 2048, 12288, 128, Some("into the data")),
            (Minor::V0, -264, 12288, 1, None),
            (Minor::V0, -8, 12288, 2, Some("into the superblock")),
            (Minor::V0, 8, 12288, 1, Some("past the end of the device")),
        ] {
            let edit = |sb: &mut SuperV1, b: &mut BitmapSuper| {
                sb.set_bitmap_offset(bitmap_offset);
                sb.set_size(size);
                b.set_chunksize(chunk);
            };
            let why = verdict(minor, edit).err();
            assert!(
                what.is_none() && why.is_none() || why.as_ref().is_some_and(|w| w.contains(what.unwrap_or("-"))),
                "{why:?}"
            );
        }
    }
}
