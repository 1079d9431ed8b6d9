//! `--add` and `--re-add` to arrays without metadata (`--build`): nothing on a device tells what it was, and nothing is written
//! to it.

use super::ArrayFacts;
use super::add::{NewMember, fitting_sectors, free_number, spec, takes_running};
use super::readd::{LogLine, SYNC_LINE, is_about, is_check};
use crate::error::Refusal;
use crate::kernel::md::disk;
use crate::plan::step::{Plan, Step};
use crate::units::Sectors;

/// A running array without metadata.
#[derive(Debug, Clone, Copy)]
pub struct Plain {
    /// Used sectors of each member.
    pub size: Sectors,
    /// Logical block size in bytes.
    pub block: u32,
    /// It is read-only.
    pub readonly: bool,
}

/// Adds a device: into `slot` with what the bitmap marks rebuilt, else as a spare.
///
/// # Errors
/// What keeps it from being added. The kernel does not look at the size of a device that it finds no superblock on.
pub fn add(array: &ArrayFacts, plain: &Plain, new: &NewMember, slot: Option<u32>) -> Result<Plan, Refusal> {
    takes_running(array, plain.readonly, &new.shown)?;
    fitting_sectors(array, plain.block, new)?;
    if new.size < plain.size {
        let (has, needs) = (new.size.kib(), plain.size.kib());
        return Err(Refusal::new(format!("{} not large enough to join array", new.shown))
            .hint(format!("{} uses {needs}K of each member, {} has {has}K", array.shown, new.shown)));
    }
    let number = free_number(array);
    let spec = match slot.and_then(|s| i32::try_from(s).ok()) {
        Some(slot) => spec(new, number, slot, disk::ACTIVE | disk::SYNC),
        None => spec(new, number, -1, 0),
    };
    Ok(Plan { steps: vec![Step::AddDisk { devname: array.devname.clone(), device: new.shown.clone().into(), spec }] })
}

/// The slot that a device left whose kernel name is `kname`: the array was started whole, nothing was rebuilt in it, the only
/// member that ever failed had this name, and one slot is empty.
///
/// # Errors
/// Why that is not proven.
pub fn left_slot(array: &ArrayFacts, log: &[LogLine], kname: &str) -> Result<u32, String> {
    let mut empty = (0..array.slots).filter(|s| !array.members.iter().any(|m| m.slot == Some(*s)));
    let slot = match (empty.next(), empty.next()) {
        (Some(slot), None) => slot,
        (None, _) => return Err("no slot is empty".into()),
        _ => return Err("more than one slot is empty".into()),
    };
    let mine: Vec<&str> = log.iter().map(|l| l.text.as_str()).filter(|t| is_about(t, &array.devname)).collect();
    let start = mine.iter().rposition(|t| t.contains("active with "));
    let Some((first, run)) = start.and_then(|at| mine.get(at..)?.split_first()) else {
        return Err("the kernel log does not reach back to its start".into());
    };
    // "md/raid1:md0: active with 2 out of 2 mirrors"
    let words: Vec<&str> = first.rsplit("active with ").next().unwrap_or_default().split(' ').collect();
    if !matches!(words.as_slice(), [there, "out", "of", all, ..] if there == all) {
        return Err("it was started without a member".into());
    }
    let failed = |t: &&str| t.contains("Disk failure on ");
    let failures: Vec<usize> = (0..).zip(run).filter(|(_, t)| failed(t)).map(|(at, _)| at).collect();
    let own = format!("Disk failure on {kname}, ");
    let [at] = failures.as_slice() else {
        return Err("the kernel log does not tell of one failed member".into());
    };
    let (before, after) = run.split_at_checked(*at).unwrap_or((run, &[]));
    if !after.first().is_some_and(|t| t.contains(&own)) {
        return Err(format!("it was not {kname} that failed"));
    }
    let syncs = |lines: &[&str]| lines.iter().filter(|t| t.contains(SYNC_LINE) && !is_check(t)).count();
    let done = before.iter().filter(|t| t.ends_with("resync done.")).count();
    if syncs(after) > 0 || syncs(before) != done {
        return Err("a member was rebuilt since it left, or the copies were not in sync when it did".into());
    }
    Ok(slot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::Level;

    const START: &str = "md/raid1:md0: active with 2 out of 2 mirrors";
    const FAILED: &str = "md/raid1:md0: Disk failure on sdb, disabling device.";
    const SYNC: &str = "md: resync of RAID array md0";
    const DONE: &str = "md: md0: resync done.";

    fn left(lines: &[&str], kname: &str) -> Result<u32, String> {
        let mut array = super::super::tests::array(Level::Raid1, 0, 2);
        array.members.remove(1);
        let log: Vec<_> = lines.iter().map(|t| LogLine { at: 0, text: (*t).to_owned() }).collect();
        left_slot(&array, &log, kname)
    }

    #[test]
    fn the_only_member_that_failed_can_come_back_into_the_only_empty_slot() {
        assert_eq!(left(&[START, FAILED], "sdb"), Ok(1));
        assert_eq!(
            left(&[START, SYNC, DONE, "md: check of RAID array md0", "md: md0: check done.", FAILED], "sdb"),
            Ok(1)
        );
        let earlier_run = ["md: recovery of RAID array md0", "md: md0 stopped.", START, FAILED];
        assert_eq!(left(&earlier_run, "sdb"), Ok(1));
    }

    #[test]
    fn what_is_not_proven_is_told() {
        let why = |lines: &[&str], kname: &str| left(lines, kname).unwrap_err();
        assert!(why(&[FAILED], "sdb").contains("reach back"));
        assert!(why(&["md/raid1:md0: active with 1 out of 2 mirrors", FAILED], "sdb").contains("without a member"));
        assert!(why(&[START, FAILED], "sdc").contains("not sdc"));
        assert!(why(&[START], "sdb").contains("does not tell"));
        assert!(why(&[START, FAILED, FAILED], "sdb").contains("does not tell"));
        assert!(why(&[START, FAILED, "md: recover of RAID array md0"], "sdb").contains("rebuilt"));
        assert!(why(&[START, SYNC, FAILED], "sdb").contains("not in sync"));
    }
}
