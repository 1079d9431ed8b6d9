//! `--add` to an array with 0.90 metadata: the new member's superblock, built from that of a running one.
//!
//! The kernel takes it as a spare (`super_90_validate`), gives it a number of its own and writes all tables anew.

use super::add::{NewMember, Running};
use super::facts::ArrayFacts;
use crate::error::Refusal;
use crate::superblock::Version;
use crate::superblock::v0::{DiskV0, MAX_DISKS, SuperV0, bit};

/// "In no slot", as the reference writes it.
const NO_SLOT: u32 = u32::MAX;

/// The superblock of the new member.
///
/// # Errors
/// The table is full, or the device is too small.
pub fn superblock(
    array: &ArrayFacts,
    running: &Running,
    sb: &SuperV0,
    new: &NewMember,
    number: u32,
) -> Result<SuperV0, Refusal> {
    let index = usize::try_from(number).unwrap_or(usize::MAX);
    if index >= MAX_DISKS {
        return Err(Refusal::new(format!(
            "{} is full: 0.90 metadata holds {MAX_DISKS} devices, failed ones that are still attached too",
            array.shown
        ))
        .hint(format!("mdadm {} --remove failed", array.shown)));
    }
    let room = Version::V090.super_offset(new.size).unwrap_or_default();
    if room.0 == 0 || room < sb.size() {
        return Err(Refusal::new(format!("{} not large enough to join array", new.shown)).hint(format!(
            "it has room for {} KiB of data, {} KiB are needed",
            room.kib(),
            running.sb.size() / 2
        )));
    }
    let flag = |on: bool, bit: u32| if on { bit } else { 0 };
    let state = flag(new.write_mostly, bit::WRITE_MOSTLY) | flag(new.failfast, bit::FAILFAST);
    let disk = DiskV0 { number, major: new.dev.0, minor: new.dev.1, raid_disk: NO_SLOT, state };
    let mut sb = sb.clone();
    sb.put_disk(index, &disk);
    sb.put_this_disk(&disk);
    sb.update_csum();
    Ok(sb)
}
