//! Whether the kernel can be asked to start an array with this member: it believes the fields of both superblocks, and where they
//! cannot be it panics, or writes a lockless bitmap over something else (seen with Linux 7.2).

use crate::bitmap::header::{Kind, state};
use crate::bitmap::lockless;
use crate::bitmap::summary::BitmapSummary;
use crate::level::{Level, MOST_RAID6};
use crate::plan::create::sizing::sync_sectors;
use crate::plan::member_areas::has_log;
use crate::superblock::Version;
use crate::superblock::reshape::Reshape;
use crate::superblock::v1::{Minor, SUPER_BYTES, SuperV1, feature};
use crate::units::{Bytes, SECTOR_BYTES, Sectors};

/// What a member's superblock leads to where it tells of a bitmap: that, or why it cannot be read.
pub type Bitmap<'a> = Option<Result<&'a BitmapSummary, &'a str>>;

/// Why the array must not be started with this member, of `device` bytes: what follows "the superblock is damaged".
///
/// # Errors
/// A bitmap on a level that can have none (`md_check_no_bitmap`: the kernel panics), too many members of a raid6, a bitmap that no
/// kernel takes, and those of [`believable`].
pub fn check(sb: &SuperV1, version: Version, bitmap: Bitmap<'_>, device: Bytes) -> Result<(), String> {
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
    read_by_the_kernel(sb, version, bitmap, device)
}

/// Of the bitmap alone.
fn read_by_the_kernel(sb: &SuperV1, version: Version, bitmap: Bitmap<'_>, device: Bytes) -> Result<(), String> {
    let without = |why: String| format!("{why}; --update=bitmap=none goes on without it, and resyncs the array");
    match bitmap {
        Some(Ok(bitmap)) if bitmap.kind == Kind::Lockless => {
            believable(sb, version, bitmap, device).map_err(without)?;
            if sb.is_in_sync() && !bitmap.first_use && bitmap.sb.daemon_sleep() == 0 {
                return Err(without(
                    "its lockless bitmap has a period of 0, with which the kernel does not start the array \
                     (--update=bitmap=lockless gives it another)"
                        .to_owned(),
                ));
            }
            Ok(())
        }
        Some(Err(why)) if sb.is_in_sync() => Err(without(format!("its bitmap cannot be used: {why}"))),
        _ => Ok(()),
    }
}

/// Whether what a lockless bitmap says of its chunks can be believed.
///
/// # Errors
/// Where it lies on something else, and what cannot be of what it says.
pub fn believable(sb: &SuperV1, version: Version, bitmap: &BitmapSummary, device: Bytes) -> Result<(), String> {
    lockless_fits(sb, version, bitmap, device)?;
    if sb.is_in_sync() { lockless_says(sb, version, bitmap) } else { Ok(()) }
}

/// What the bitmap covers, as the kernel has it.
fn sync_range(sb: &SuperV1) -> Option<u64> {
    let level = Level::from_raw(sb.level_raw())?;
    Some(sync_sectors(level, sb.layout(), Sectors(sb.chunksize().into()), sb.raid_disks(), Sectors(sb.size())).0)
}

/// The bytes of a lockless bitmap on the member; `None` where it covers nothing.
fn reach(sb: &SuperV1, version: Version, bitmap: &BitmapSummary) -> Option<(i128, i128)> {
    let sync = sync_range(sb)?;
    let chunk = match version {
        _ if !bitmap.first_use => u64::from(bitmap.sb.chunksize()),
        Version::V1(Minor::V0) => first_chunk(sync, lockless::room_v1_0(sb.bitmap_offset()).unwrap_or(1)),
        _ => first_chunk(sync, bitmap.sb.sectors_reserved()),
    };
    if sync == 0 || chunk == 0 {
        return None;
    }
    let start = i128::from(bitmap.start);
    Some((start, start + i128::from(lockless::bitmap_bytes(sync.div_ceil(chunk)))))
}

fn in_bytes(sectors: u64) -> i128 {
    i128::from(sectors) * i128::from(SECTOR_BYTES)
}

/// Whether the states of a lockless bitmap lie where nothing else does (`llbitmap_read_sb`, `llbitmap_init`).
///
/// # Errors
/// No chunk at all (the kernel panics), states on the superblock, on the data or on a bad-block log in use, or behind the end of the
/// device.
fn lockless_fits(sb: &SuperV1, version: Version, bitmap: &BitmapSummary, device: Bytes) -> Result<(), String> {
    if Level::from_raw(sb.level_raw()).is_none() {
        return Ok(());
    }
    let (start, end) = reach(sb, version, bitmap).ok_or("its lockless bitmap covers nothing")?;
    let over = |at: i128, len: i128| start < at + len && at < end;
    let what = if end > i128::from(device.0) {
        "past the end of the device"
    } else if over(in_bytes(sb.data_offset()), in_bytes(sb.size())) {
        "into the data"
    } else if over(in_bytes(sb.super_offset()), SUPER_BYTES as i128) {
        "into the superblock"
    } else if sb.has(feature::BAD_BLOCKS) && is_over_log(sb, (start, end)) {
        "into the bad-block log, and each has overwritten the other"
    } else {
        return Ok(());
    };
    Err(format!("its lockless bitmap would reach from byte {start} to byte {end}, {what}"))
}

fn is_over_log(sb: &SuperV1, (start, end): (i128, i128)) -> bool {
    let at = in_bytes(sb.super_offset()) + i128::from(sb.bblog_offset()) * i128::from(SECTOR_BYTES);
    has_log(sb) && start < at + in_bytes(sb.bblog_size().into()) && at < end
}

/// Events that an array can have before its bitmap was written for the first time: none (seen), and one in the making.
const FIRST_EVENTS: u64 = 1;

/// Whether what a lockless bitmap says can be, on a member whose copy the kernel may read.
///
/// # Errors
/// In its first use though the array was written to: the kernel would call all chunks unwritten, and rebuild none of them. An
/// error in writing: it would note nothing from then on (`llbitmap_state_machine`). Chunks that no kernel makes: what is no state
/// would be taken for one. What it refuses (`llbitmap_read_sb`): another array's uuid, more chunks than the room holds.
fn lockless_says(sb: &SuperV1, version: Version, bitmap: &BitmapSummary) -> Result<(), String> {
    let of = &bitmap.sb;
    if of.uuid() != sb.set_uuid() {
        return Err(format!("its lockless bitmap is that of another array ({})", of.uuid()));
    }
    if of.state() & state::WRITE_ERROR != 0 {
        return Err(
            "its lockless bitmap could not be written to, and the kernel would keep none from now on".to_owned()
        );
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
    let chunk = u64::from(of.chunksize());
    if chunk < lockless::MIN_CHUNK_SECTORS {
        return Err(format!("its lockless bitmap has chunks of {chunk} sectors, finer than any kernel makes them"));
    }
    let chunks = sync_range(sb).unwrap_or(0).div_ceil(chunk);
    let room = match version {
        Version::V1(Minor::V0) => lockless::room_v1_0(sb.bitmap_offset()).unwrap_or(0),
        _ if of.sectors_reserved() == 0 => lockless::UNRECORDED_ROOM_SECTORS,
        _ => of.sectors_reserved(),
    };
    if chunks > u64::from(room) * SECTOR_BYTES || lockless::bitmap_bytes(chunks) > lockless::MAX_BYTES {
        return Err(format!(
            "its lockless bitmap has {chunks} chunks, which its room of {room} sectors or the kernel cannot hold"
        ));
    }
    Ok(())
}

/// All that is odd about a lockless bitmap, whether the array starts with it or not: for whoever looks at it.
#[must_use]
pub fn oddities(sb: &SuperV1, version: Version, bitmap: Bitmap<'_>, device: Bytes) -> Vec<String> {
    let mut found: Vec<String> = read_by_the_kernel(sb, version, bitmap, device).err().into_iter().collect();
    let Some(Ok(bitmap)) = bitmap.filter(|b| sb.is_in_sync() && b.is_ok_and(|b| b.kind == Kind::Lockless)) else {
        return found;
    };
    let of = &bitmap.sb;
    let (events, array) = (of.events(), sb.events());
    // The kernel writes the bitmap's first, with those that the array is about to have.
    if events > array.saturating_add(1) {
        found.push(format!(
            "its events, {events}, are ahead of the member's, {array}: its superblock is older than its bitmap"
        ));
    }
    let sync = sync_range(sb).unwrap_or(0);
    // On raid10 userspace may store a little more than the kernel then covers.
    let parts = if Level::from_raw(sb.level_raw()) == Some(Level::Raid10) { 64 } else { u64::MAX };
    if of.sync_size().abs_diff(sync) > sync / parts {
        found.push(format!(
            "it is said to cover {} sectors, and the array has {sync}: the kernel goes by these",
            of.sync_size()
        ));
    }
    found.extend(over_log(sb, version, bitmap));
    found.extend(flags(of.state()));
    found
}

/// Whether a lockless bitmap and a bad-block log with entries have overwritten each other.
#[must_use]
pub fn log_is_overwritten(sb: &SuperV1, version: Version, bitmap: &BitmapSummary) -> bool {
    let over = || reach(sb, version, bitmap).is_some_and(|r| is_over_log(sb, r));
    bitmap.kind == Kind::Lockless && sb.has(feature::BAD_BLOCKS) && over()
}

/// A lockless bitmap that reaches into a bad-block log without entries, as mdadm 4.6 makes it from 3073 chunks on; `None` for
/// any other.
#[must_use]
pub fn over_log(sb: &SuperV1, version: Version, bitmap: &BitmapSummary) -> Option<String> {
    let over = !sb.has(feature::BAD_BLOCKS) && reach(sb, version, bitmap).is_some_and(|r| is_over_log(sb, r));
    over.then(|| {
        "the lockless bitmap reaches into the bad-block log, which is empty now: the first bad block would overwrite states, and the \
         array would not start again; --update=no-bbl gives the log up, --update=bitmap=lockless finds another place"
            .to_owned()
    })
}

/// Flags of the bitmap that cannot be together.
fn flags(flags: u32) -> Option<String> {
    let has = |flag: u32| flags & flag != 0;
    if has(state::CLEAN) && !has(state::FIRST_USE) {
        return Some("its flags contradict each other: clean is for the first use".to_owned());
    }
    let late = state::STALE | state::DAEMON_BUSY | state::SHUTDOWN;
    (has(state::FIRST_USE) && has(late)).then(|| "its flags contradict each other: it is in its first use".to_owned())
}

fn first_chunk(sync: u64, room: u32) -> u64 {
    lockless::kernel_chunk(sync, room).chunk_sectors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitmap::header::{BitmapSuper, NewBitmap};
    use crate::superblock::v1::Role;
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
        check(&sb, Version::V1(minor), Some(Ok(&summary)), Bytes(DEVICE))
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
        assert!(why(&|_, b| b.set_state(4)).contains("could not be written to"));
        assert!(why(&|_, b| b.set_chunksize(64)).contains("finer than any kernel"));
        assert!(
            why(&|sb, b| (sb.set_size(1 << 20), b.set_sectors_reserved(8)).1)
                .contains("8192 chunks, which its room of 8")
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
            (Minor::V2, 8, 1 << 13, 128, None),
            (Minor::V2, 2044, 1 << 13, 128, Some("into the data")),
            (Minor::V2, 2048, 12288, 128, Some("into the data")),
            (Minor::V0, -264, 12288, 128, None),
            (Minor::V0, -4, 12288, 128, Some("into the superblock")),
            (Minor::V0, 12, 12288, 128, Some("past the end of the device")),
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

    #[test]
    fn a_bitmap_over_a_log_in_use_is_refused_and_over_an_empty_one_is_named() {
        let log = |bits: u32| {
            move |sb: &mut SuperV1, b: &mut BitmapSuper| {
                sb.set_bblog_offset(12);
                sb.set_bblog_size(8);
                sb.set_feature_map(sb.feature_map() | bits);
                b.set_sync_size(12288);
            }
        };
        assert_eq!(verdict(Minor::V2, log(0)), Ok(()));
        assert!(verdict(Minor::V2, log(feature::BAD_BLOCKS)).unwrap_err().contains("into the bad-block log"));
    }

    #[test]
    fn a_bitmap_that_cannot_be_read_is_refused_where_the_kernel_would_read_it() {
        let mut sb = SuperV1::empty();
        sb.set_level_raw(1);
        sb.set_max_dev(1);
        let verdict = |sb: &SuperV1| check(sb, Version::V1(Minor::V2), Some(Err("chunksize is 0")), Bytes(DEVICE));
        sb.put_role(0, Role::Slot(0));
        assert!(verdict(&sb).unwrap_err().contains("cannot be used: chunksize is 0"));
        sb.put_role(0, Role::Spare);
        assert_eq!(verdict(&sb), Ok(()));
    }
}
