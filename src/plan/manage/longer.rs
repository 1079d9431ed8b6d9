//! `--grow --add` of a linear array: the new device gets the next slot at once (kernel: `linear_add` in md-linear.c).
//!
//! It looks only at the slot in the new superblock. Nobody writes superblocks of a linear array while it runs, so the kernel has to
//! be brought to it ([`recorded`]): until then the array is as long as before to whoever assembles it without the new member.

use super::add::{NewMember, Running, clear_stale, fitting_sectors, spec, superblock};
use super::{ArrayFacts, old};
use crate::error::Refusal;
use crate::kernel::md::disk;
use crate::plan::step::{Plan, Step};
use crate::superblock::v0::{DiskV0, bit};
use crate::superblock::v1::Role;
use crate::units::SECTOR_BYTES;

/// The device becomes the last member.
///
/// # Errors
/// The array is read-only, the superblock's table is full, or the device is too small or has too large sectors.
pub fn plan(array: &ArrayFacts, running: &Running, new: &NewMember) -> Result<Plan, Refusal> {
    let (shown, slot) = (&array.shown, array.slots);
    if running.readonly {
        return Err(Refusal::new(format!("cannot add {} to {shown}", new.shown))
            .hint(format!("{shown} is read-only: make it writable first: mdadm --readwrite {shown}")));
    }
    fitting_sectors(array, running.block, new)?;
    let next = u16::try_from(slot).map(Role::Slot).map_err(|_| Refusal::new(format!("{shown} is full")))?;
    // One more than the others': whoever assembles the array with the new member has all of it.
    let events = running.sb.events().saturating_add(1);
    let (start, bytes) = match &running.old {
        Some(sb) => {
            let mut sb = old::superblock(array, running, sb, new, slot)?;
            let member = DiskV0 { raid_disk: slot, state: bit::ACTIVE | bit::SYNC, ..sb.this_disk() };
            sb.put_disk(usize::try_from(slot).unwrap_or(usize::MAX), &member);
            sb.put_this_disk(&member);
            sb.set_raid_disks(slot.saturating_add(1));
            sb.set_events(events);
            sb.count_members();
            (running.version.super_offset(new.size).unwrap_or_default().0, sb.bytes().to_vec())
        }
        None => {
            let mut sb = superblock(array, running, new, slot)?;
            sb.put_role(slot, next);
            sb.set_raid_disks(slot.saturating_add(1));
            sb.set_events(events);
            sb.update_csum();
            (sb.super_offset(), sb.write_bytes(new.block).to_vec())
        }
    };
    let (device, offset): (std::path::PathBuf, _) = (new.shown.clone().into(), start * SECTOR_BYTES);
    let mut steps = clear_stale(new, offset);
    steps.push(Step::Write {
        device: device.clone(),
        offset,
        bytes,
        what: format!("superblock, member number {slot}"),
    });
    steps.push(Step::Sync { device: device.clone() });
    let int = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    let spec = spec(new, slot, int(slot), disk::ACTIVE | disk::SYNC);
    steps.push(Step::AddDisk { devname: array.devname.clone(), device, spec });
    Ok(Plan { steps })
}

/// Has the kernel write all superblocks: a flag of the new member is set to what it is (`state_store` in md.c).
#[must_use]
pub fn recorded(array: &ArrayFacts, new: &NewMember, kname: &str) -> Plan {
    let flag = if new.write_mostly { "writemostly" } else { "-writemostly" };
    let (devname, attr) = (array.devname.clone(), format!("dev-{}/state", kname.replace('/', "!")));
    let store = Step::Sysfs { devname, attr, value: flag.into(), verify: None };
    let what = format!("writes the superblocks of all {} members", array.slots.saturating_add(1));
    Plan { steps: vec![store, Step::Kernel { what }] }
}
