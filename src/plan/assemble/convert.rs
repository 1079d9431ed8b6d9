//! `--update=metadata`: 0.90 metadata become 1.0.
//!
//! The 1.0 superblock lies in the 64 KiB that are reserved for the 0.90 one, behind it, which stays and is the older of the two.

use super::Matched;
use super::edits::Edited;
use crate::error::Refusal;
use crate::superblock::v1::{Minor, SuperV1, feature, super_offset};
use crate::uuid::Uuid;

/// The member's new superblock. `ctime`: seconds since 1970; `seed`: random, from which the members' uuids are made.
///
/// # Errors
/// The array has a bitmap, or is not in sync.
pub(super) fn to_v1(m: &Matched<'_>, e: &mut Edited, ctime: u64, seed: Uuid) -> Result<(), Refusal> {
    let view = &e.sb;
    let shown = m.candidate.path.display();
    if view.has(feature::BITMAP_OFFSET) {
        return Err(Refusal::new("Cannot update metadata when bitmap is present")
            .hint("--update=no-bitmap takes it away; nothing was changed"));
    }
    if view.resync_offset() != u64::MAX {
        return Err(Refusal::new("Cannot update metadata for an array which is not clean")
            .hint("start it as it is, wait for the resync (--wait), stop it, and try again"));
    }
    // Of two superblocks the one that was made last counts.
    let ctime = ctime.max(view.ctime().saturating_add(1));
    let Some(at) = super_offset(Minor::V0, m.candidate.size) else {
        return Err(Refusal::new(format!("{shown} has no room for a 1.0 superblock; nothing was changed")));
    };
    let mut sb = SuperV1::empty();
    sb.put_set_uuid(view.set_uuid());
    let number = m.member.old.as_ref().map_or(0, |old| old.md_minor());
    sb.put_set_name(number.to_string().as_bytes());
    sb.set_ctime_raw(ctime);
    sb.set_utime_raw(ctime);
    sb.set_level_raw(view.level_raw());
    sb.set_layout(view.layout());
    sb.set_size(view.size());
    sb.set_chunksize(view.chunksize());
    sb.set_raid_disks(view.raid_disks());
    sb.set_data_size(view.data_size());
    sb.set_super_offset(at.0);
    sb.set_dev_number(view.dev_number());
    sb.put_device_uuid(device_uuid(seed, view.dev_number()));
    sb.set_devflags(view.devflags());
    sb.set_events(view.events());
    sb.set_resync_offset(u64::MAX);
    sb.set_max_dev(view.max_dev());
    for number in 0..view.max_dev() {
        sb.put_role(number, view.role_at(number));
    }
    e.sb = sb;
    e.old = None;
    e.what.push("metadata 1.0".into());
    Ok(())
}

/// Another one for each member.
fn device_uuid(seed: Uuid, number: u32) -> Uuid {
    let mut uuid = seed.0;
    for (b, mix) in uuid.iter_mut().rev().zip(number.to_le_bytes()) {
        *b ^= mix;
    }
    Uuid(uuid)
}
