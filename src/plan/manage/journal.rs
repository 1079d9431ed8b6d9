//! `--add-journal`, and `--re-add` of a journal: the log device of a raid4/5/6 whose journal is gone, or that had none.
//!
//! The kernel takes one into a read-only array only by its own request (`md_add_new_disk`, `r5l_init_log`), and says no more
//! than an errno. What the superblock of an older journal says is believed as far as its events match the array's.

use super::add::{NewMember, Running, clear_stale, fitting_sectors, free_number, spec, superblock};
use super::facts::ArrayFacts;
use crate::error::Refusal;
use crate::plan::step::{Plan, Step};
use crate::superblock::raid_log::{JOURNAL_SLOTS, journal_block, least_journal_sectors};
use crate::superblock::v1::{Role, SuperV1, feature};
use crate::units::{SECTOR_BYTES, Sectors};

/// What keeps any device from becoming the journal.
///
/// # Errors
/// The reference's line, and the cause.
pub fn takes_a_journal(array: &ArrayFacts, running: &Running, shown: &str) -> Result<(), Refusal> {
    let name = &array.shown;
    if !running.readonly {
        return Err(Refusal::new(format!("{name} is not readonly, cannot add journal."))
            .hint(format!("mdadm --readonly {name} first: the array becomes writable again with the journal")));
    }
    let old = array.members.iter().find(|m| m.journal);
    let why = if !array.level.is_parity() {
        format!("a {} array takes no journal", array.level.name())
    } else if running.version.minor().is_none() {
        "0.90 metadata have no journal".to_owned()
    } else if let Some(old) = old {
        format!("{} is its journal: --fail and --remove it first", old.kname)
    } else if running.has_bitmap {
        "the kernel starts no array with a journal and a bitmap".to_owned()
    } else if running.sb.has_ppl() {
        // The kernel takes it, and then takes a member that is in sync for one that is not.
        "the kernel starts no array with a journal and a partial parity log".to_owned()
    } else if array.slots > JOURNAL_SLOTS {
        format!("a journal works with at most {JOURNAL_SLOTS} slots")
    } else if running.sb.has(feature::RESHAPE_ACTIVE) {
        format!("{name} is being reshaped")
    } else {
        return Ok(());
    };
    Err(failed(shown, name).hint(why))
}

/// The reference's line.
#[must_use]
pub fn failed(shown: &str, array: &str) -> Refusal {
    Refusal::new(format!("Failed to hot add {shown} as journal, please try restart {array}."))
}

/// Whether a device is the very journal that the array misses: nothing was written since it was there.
///
/// # Errors
/// Why it is not.
pub fn is_current(running: &Running, former: &SuperV1, size: Sectors) -> Result<(), String> {
    let sb = &running.sb;
    if former.set_uuid() != sb.set_uuid() || former.role() != Role::Journal {
        return Err("it was no journal of this array".into());
    }
    if let Err(e) = former.check(size) {
        return Err(format!("its superblock is damaged: {e}"));
    }
    if !sb.has(feature::JOURNAL) || sb.role_at(former.dev_number()) != Role::Journal {
        return Err("the array has done without it, and does not know it any more".into());
    }
    // A power cut can come between the updates of two superblocks; the kernel takes none that is behind.
    if former.events().checked_sub(sb.events()).is_none_or(|ahead| ahead > 1) {
        return Err(format!("it is out of date: events {}, those of the array are {}", former.events(), sb.events()));
    }
    Ok(())
}

/// A number that no superblock of the array calls a journal: two journals of the same number cannot be told apart later.
fn number(array: &ArrayFacts, running: &Running) -> u32 {
    let mut with = array.clone();
    loop {
        let number = free_number(&with);
        if running.sb.role_at(number) != Role::Journal {
            return number;
        }
        with.after_add((0, 0), String::new(), number);
    }
}

/// A new, empty journal.
///
/// # Errors
/// It is too small, or its sectors are larger than the array's.
pub fn new(array: &ArrayFacts, running: &Running, new: &NewMember) -> Result<Plan, Refusal> {
    let number = number(array, running);
    fitting_sectors(array, running.block, new)?;
    let mut sb = superblock(array, running, new, number)?;
    if sb.data_size() < least_journal_sectors(array.slots) {
        return Err(Refusal::new(format!("{} is too small for a journal", new.shown)).hint(format!(
            "it has room for {}K of at least {}K",
            sb.data_size() / 2,
            least_journal_sectors(array.slots) / 2
        )));
    }
    sb.put_role(number, Role::Journal);
    sb.set_feature_map(sb.feature_map() | feature::JOURNAL);
    sb.update_csum();
    let device: std::path::PathBuf = new.shown.clone().into();
    let start = sb.super_offset() * SECTOR_BYTES;
    let write = |offset: u64, bytes: Vec<u8>, what: String| Step::Write { device: device.clone(), offset, bytes, what };
    let mut steps = clear_stale(new, start);
    let [.., b0, b1, b2, b3] = new.uuid.0;
    let block = journal_block(sb.set_uuid(), u32::from_le_bytes([b0, b1, b2, b3]));
    steps.push(write(sb.data_offset() * SECTOR_BYTES, block.to_vec(), "empty journal".into()));
    steps.push(write(start, sb.write_bytes(new.block).to_vec(), format!("superblock, journal number {number}")));
    steps.push(Step::Sync { device: device.clone() });
    steps.push(tell(array, new, number));
    Ok(Plan { steps })
}

/// The journal that the array misses: the kernel replays what it holds.
#[must_use]
pub fn back(array: &ArrayFacts, former: &SuperV1, device: &NewMember) -> Plan {
    Plan { steps: vec![tell(array, device, former.dev_number())] }
}

/// The array may be written to again.
#[must_use]
pub fn writable(array: &ArrayFacts) -> Plan {
    Plan { steps: vec![Step::RestartReadWrite { devname: array.devname.clone() }] }
}

fn tell(array: &ArrayFacts, new: &NewMember, number: u32) -> Step {
    use crate::kernel::md::disk;
    // Into a read-only array only what claims to be in sync; a journal has place 0.
    let spec = spec(new, number, 0, disk::ACTIVE | disk::SYNC | disk::JOURNAL);
    Step::AddDisk { devname: array.devname.clone(), device: new.shown.clone().into(), spec }
}
