//! `--add`: a new member's superblock and bitmap, built from those of a running member, and what is checked before.
//!
//! The kernel checks in `super_1_load`, `super_1_validate` and `bind_rdev_to_array`, and says no more than an errno.

use super::{ArrayFacts, old};
use crate::bitmap::header::{BitmapSuper, Kind, state};
use crate::error::Refusal;
use crate::level::Level;
use crate::plan::member_areas::{bitmap_room, drop_log};
use crate::plan::step::{DiskSpec, Plan, Step};
use crate::superblock::Version;
use crate::superblock::raid_log::ppl_area;
use crate::superblock::v0::{BITMAP_SECTORS, SuperV0};
use crate::superblock::v1::{MAX_ROLES, Minor, Role, SuperV1, devflag, feature};
use crate::units::{SECTOR_BYTES, Sectors};
use crate::uuid::Uuid;

/// Bytes that are written of the bitmap: the kernel writes all of it when the rebuild starts.
const BITMAP_BYTES: usize = 4096;

/// What a running array's metadata is like.
#[derive(Debug, Clone)]
pub struct Running {
    /// Metadata version.
    pub version: Version,
    /// The superblock of a member in sync; what a 0.90 one says in terms of 1.x.
    pub sb: SuperV1,
    /// Its 0.90 superblock.
    pub old: Option<Box<SuperV0>>,
    /// Its bitmap's, where the bitmap is on the members.
    pub bitmap: Option<BitmapSuper>,
    /// That of its bitmap file, where it has one.
    pub bitmap_file: Option<BitmapSuper>,
    /// Logical block size of the array in bytes.
    pub block: u32,
    /// The array is read-only.
    pub readonly: bool,
    /// It has a bitmap, wherever that is.
    pub has_bitmap: bool,
}

/// A device that is to become a member.
#[derive(Debug, Clone)]
pub struct NewMember {
    /// As typed.
    pub shown: String,
    /// Major and minor number.
    pub dev: (u32, u32),
    /// Size in sectors.
    pub size: Sectors,
    /// Logical block size in bytes.
    pub block: u32,
    /// The uuid it will have.
    pub uuid: Uuid,
    /// `--write-mostly` or not.
    pub write_mostly: bool,
    /// `--failfast` or not.
    pub failfast: bool,
    /// Byte offsets of older md superblocks beside the new one.
    pub stale_supers: Vec<u64>,
    /// `--allow-sector-size-change`
    pub any_block: bool,
    /// `CREATE bbl=no`: it gets no bad-block log.
    pub no_log: bool,
    /// It is to be the journal.
    pub journal: bool,
}

/// The number that a new member gets: the first free one past the slots, as the reference chooses it.
#[must_use]
pub fn free_number(array: &ArrayFacts) -> u32 {
    let mut number = array.slots;
    while array.members.iter().any(|m| m.number == Some(number)) {
        number += 1;
    }
    number
}

/// What keeps any device from being added to this array.
///
/// # Errors
/// The cause, and what to do.
pub fn takes_members(array: &ArrayFacts, running: &Running, shown: &str) -> Result<(), Refusal> {
    if running.readonly && running.sb.has(feature::JOURNAL) && !array.members.iter().any(|m| m.journal && !m.faulty) {
        let name = &array.shown;
        let why = format!("{name} is read-only without its journal: --re-add that, or --add-journal another device");
        return failed(array, shown, "Read-only file system", why);
    }
    takes_running(array, running.readonly, shown)?;
    let no = |what: &str| Err(Refusal::new(format!("cannot add {shown} to {}: {what}", array.shown)));
    if running.sb.has(feature::CLUSTERED) {
        return no("clustered arrays are not in this version of mdadm-rs yet");
    }
    Ok(())
}

/// What keeps any device from being added, metadata or not.
pub(super) fn takes_running(array: &ArrayFacts, readonly: bool, shown: &str) -> Result<(), Refusal> {
    let name = &array.shown;
    if readonly {
        let why = format!("{name} is read-only: mdadm --readwrite {name} first");
        return failed(array, shown, "Read-only file system", why);
    }
    if matches!(array.level, Level::Raid0 | Level::Linear) {
        let why = format!("a {} array takes no further members: --grow makes it larger", array.level.name());
        return failed(array, shown, "Invalid argument", why);
    }
    Ok(())
}

/// The reference's words, and the reason.
fn failed(array: &ArrayFacts, shown: &str, errno: &str, why: String) -> Result<(), Refusal> {
    let number = free_number(array);
    Err(Refusal::new(format!("add new device failed for {shown} as {number}: {errno}")).hint(why))
}

/// Larger sectors than the array's are not taken without being asked for.
pub(super) fn fitting_sectors(array: &ArrayFacts, block: u32, new: &NewMember) -> Result<(), Refusal> {
    if new.block > block && !new.any_block {
        return Err(Refusal::new(format!(
            "{} has sectors of {} bytes, {} of {}: the kernel does not take it into the running array.",
            new.shown, new.block, array.shown, block
        ))
        .hint(format!(
            "With --allow-sector-size-change it becomes a spare; from the next assembly with it on, the array has \
             sectors of {} bytes, and what is on it may not be readable then.",
            new.block
        )));
    }
    Ok(())
}

/// The superblock of the new member of an array with 1.x metadata.
///
/// # Errors
/// The table is full, or the device is too small.
pub fn superblock(array: &ArrayFacts, running: &Running, new: &NewMember, number: u32) -> Result<SuperV1, Refusal> {
    if number >= MAX_ROLES {
        return Err(Refusal::new(format!("{} is full: a superblock holds {MAX_ROLES} devices", array.shown)));
    }
    let mut sb = running.sb.clone();
    let kept = feature::RECOVERY_OFFSET | feature::RECOVERY_BITMAP | feature::REPLACEMENT | feature::BAD_BLOCKS;
    sb.set_feature_map(sb.feature_map() & !kept);
    sb.set_recovery_offset(0);
    sb.set_cnt_corrected_read(0);
    for n in sb.max_dev()..=number {
        sb.put_role(n, Role::Spare);
    }
    sb.set_max_dev(sb.max_dev().max(number + 1));
    sb.put_role(number, Role::Spare);
    sb.set_dev_number(number);
    sb.put_device_uuid(new.uuid);
    let flag = |on: bool, bit: u8| if on { bit } else { 0 };
    sb.set_devflags(flag(new.write_mostly, devflag::WRITE_MOSTLY) | flag(new.failfast, devflag::FAILFAST));
    place(&mut sb, running, new).ok_or_else(|| {
        let needed = running.sb.data_offset().saturating_add(running.sb.size());
        Refusal::new(format!("{} not large enough to join array", new.shown)).hint(format!(
            "it has {} sectors, and a member needs {needed} at least: {} of data from sector {} on, and the metadata",
            new.size.0,
            running.sb.size(),
            running.sb.data_offset()
        ))
    })?;
    if new.no_log {
        drop_log(&mut sb);
    }
    sb.update_csum();
    Ok(sb)
}

/// Puts superblock, log and data in their places; `None` where the device is too small.
fn place(sb: &mut SuperV1, running: &Running, new: &NewMember) -> Option<()> {
    let at = running.version.super_offset(new.size)?.0;
    let minor = running.version.minor()?;
    let old = &running.sb;
    let bitmap = running.bitmap.as_ref().map(|b| (i64::from(old.bitmap_offset()), bitmap_room(b, minor)));
    sb.set_super_offset(at);
    let log_clear = |offset: i64| match bitmap {
        Some((start, room)) => offset >= start.saturating_add(room) || offset.saturating_add(8) <= start,
        None => true,
    };
    let log = i64::from(old.bblog_offset());
    if log != 0 && !log_clear(log) {
        // mdadm 4.6 puts the log into the lockless bitmap (docs/lockless.md): not so on the new member.
        let behind = bitmap.map_or(0, |(start, room)| start.saturating_add(room));
        let end = i64::try_from(at).ok()?.checked_add(behind)?.checked_add(8)?;
        let fits = minor != Minor::V0 && end <= i64::try_from(old.data_offset()).ok()?;
        sb.set_bblog_offset(if fits { i32::try_from(behind).ok()? } else { 0 });
        sb.set_bblog_size(if fits { old.bblog_size() } else { 0 });
    }
    let space = match minor {
        // What lies between the data and the superblock is as large as on the others.
        Minor::V0 => {
            let taken = old.super_offset().checked_sub(old.data_offset().checked_add(old.data_size())?)?;
            let before = if old.has_ppl() { i64::from(old.ppl_offset()) } else { i64::from(old.bitmap_offset()) };
            let end = before.min(log).min(0).unsigned_abs();
            at.checked_sub(taken.max(end))?.checked_sub(old.data_offset())?
        }
        _ => new.size.0.checked_sub(old.data_offset())?,
    };
    sb.set_data_size(space);
    // In a reshape the data may move on by some sectors.
    let moves = if old.has(feature::NEW_OFFSET) { u64::try_from(old.new_offset()).unwrap_or(0) } else { 0 };
    // A journal takes what there is.
    (space > 0 && (new.journal || space.checked_sub(moves)? >= old.size())).then_some(())
}

/// The bitmap as it is written on the new member. The kernel writes it anew when the rebuild starts; until then a spare's
/// lockless bitmap keeps `first use`, and one bit per chunk says that nothing is known to be in sync.
fn bitmap_bytes(bitmap: &BitmapSuper, events: u64, len: usize) -> Result<Vec<u8>, Refusal> {
    let mut header = bitmap.clone();
    let fill = match header.kind() {
        Ok(Kind::Lockless) => {
            header.set_state(state::FIRST_USE);
            0
        }
        Ok(Kind::LittleEndian | Kind::HostEndian) => 0xff,
        _ => return Err(Refusal::new("the array's bitmap is of a kind that cannot be written to a new member")),
    };
    header.set_events(events);
    let mut bytes = header.bytes().to_vec();
    bytes.resize(len, fill);
    Ok(bytes)
}

/// Older superblocks go, but for the one at this byte offset, which is overwritten.
pub(super) fn clear_stale(new: &NewMember, start: u64) -> Vec<Step> {
    let stale = new.stale_supers.iter().filter(|at| **at != start);
    let clear = |at: &u64| Step::Write {
        device: new.shown.clone().into(),
        offset: *at,
        bytes: vec![0; 4096],
        what: "clear an older md superblock".into(),
    };
    stale.map(clear).collect()
}

/// The plan: older superblocks away, bitmap, superblock, and the kernel is told.
///
/// # Errors
/// As [`takes_members`] and [`superblock`].
pub fn plan(array: &ArrayFacts, running: &Running, new: &NewMember) -> Result<Plan, Refusal> {
    takes_members(array, running, &new.shown)?;
    let number = free_number(array);
    fitting_sectors(array, running.block, new)?;
    let device: std::path::PathBuf = new.shown.clone().into();
    let (start, bitmap_offset, bytes, room) = match &running.old {
        Some(sb) => {
            let start = running.version.super_offset(new.size).unwrap_or_default().0;
            let bytes = old::superblock(array, running, sb, new, number)?.bytes().to_vec();
            (start, running.sb.bitmap_offset(), bytes, usize::try_from(BITMAP_SECTORS * SECTOR_BYTES).unwrap_or(0))
        }
        None => {
            let sb = superblock(array, running, new, number)?;
            (sb.super_offset(), sb.bitmap_offset(), sb.write_bytes(new.block).to_vec(), BITMAP_BYTES)
        }
    };
    let start = start * SECTOR_BYTES;
    let write = |offset: u64, bytes: Vec<u8>, what: &str| Step::Write {
        device: device.clone(),
        offset,
        bytes,
        what: what.into(),
    };
    let mut steps = clear_stale(new, start);
    if let Some(bitmap) = &running.bitmap {
        let at = start.saturating_add_signed(i64::from(bitmap_offset) * 512);
        steps.push(write(at, bitmap_bytes(bitmap, running.sb.events(), room)?, "bitmap superblock"));
    }
    if running.sb.has_ppl() {
        let at = start.saturating_add_signed(i64::from(running.sb.ppl_offset()) * 512);
        steps.push(write(at, ppl_area(running.sb.set_uuid(), running.sb.ppl_size()), "empty partial parity log"));
    }
    let what = format!("superblock, spare number {number}");
    steps.push(write(start, bytes, &what));
    steps.push(Step::Sync { device: device.clone() });
    steps.push(Step::AddDisk { devname: array.devname.clone(), device, spec: spec(new, number, -1, 0) });
    Ok(Plan { steps })
}

/// What ADD_NEW_DISK is told.
#[must_use]
pub fn spec(new: &NewMember, number: u32, raid_disk: i32, state: i32) -> DiskSpec {
    use crate::kernel::md::disk;
    let int = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    let flag = |on: bool, bit: i32| if on { bit } else { 0 };
    let flags = flag(new.write_mostly, disk::WRITEMOSTLY) | flag(new.failfast, disk::FAILFAST);
    DiskSpec { number: int(number), major: int(new.dev.0), minor: int(new.dev.1), raid_disk, state: state | flags }
}
