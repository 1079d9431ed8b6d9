//! Whether a former member can come back by the bitmap: proven, or not at all.
//!
//! The kernel accepts more (docs/lockless.md): for a lockless bitmap any old member, and for one bit per chunk also a member
//! in whose place another was rebuilt, if nothing was written after that. Neither superblocks nor bitmaps keep a trace of
//! such a successor once it is gone, so the proof needs the kernel log: from the moment at which the member left to now, the
//! array has run without a break and recovered nothing. Where the log does not reach back, nothing is proven.

use super::add::Running;
use super::facts::ArrayFacts;
use crate::bitmap::header::{BitmapSuper, Kind, state};
use crate::superblock::Version;
use crate::superblock::v1::{Role, SuperV1, feature};
use crate::units::Sectors;

/// What a device with md metadata is to an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It comes back into this slot, and the bitmap covers what it missed.
    Proven(u32),
    /// It was in this slot, but must be rebuilt fully.
    Unproven(u32, String),
    /// The same, as no bitmap tells what it missed.
    NoBitmap(u32),
    /// It cannot come back as what it was.
    Never(String),
}

/// A line of the kernel log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When, in seconds since 1970.
    pub at: i64,
    /// What it says.
    pub text: String,
}

impl Verdict {
    /// What stands against the bitmap.
    #[must_use]
    pub fn why(&self) -> &str {
        match self {
            Verdict::Proven(_) => "nothing",
            Verdict::NoBitmap(_) => "there is no bitmap that tells what it missed",
            Verdict::Unproven(_, why) | Verdict::Never(why) => why,
        }
    }
}

/// Clocks are not compared more finely than this, in seconds, and as the log's clock runs on its own, than this part of the
/// time that has passed.
const SLACK: i64 = 2;
const DRIFT: i64 = 500;

/// The last sync action of the array, by sysfs.
const RECOVER: &str = "recover";

/// Whether the log proves that nothing was rebuilt since a member left: `Err` says why not.
///
/// `left` is when the member's superblock was written last, in seconds since 1970: it was in sync then. `kname` is its
/// kernel name now, `last_action` what sysfs calls the last sync action: the log must tell of it too if it was a recovery.
///
/// # Errors
/// Why nothing is proven.
pub fn unbroken(log: &[LogLine], devname: &str, kname: &str, left: i64, last_action: &str) -> Result<(), String> {
    let age = log.last().map_or(0, |l| l.at.saturating_sub(left)).max(0);
    let slack = SLACK + age / DRIFT;
    if log.first().is_none_or(|l| l.at > left.saturating_sub(slack)) {
        return Err("the kernel log does not reach back to when it left".into());
    }
    let mine: Vec<&LogLine> = log.iter().filter(|l| is_about(&l.text, devname)).collect();
    if last_action == RECOVER && !mine.iter().any(|l| l.text.contains(SYNC_LINE)) {
        return Err("the kernel log does not tell of the last rebuild".into());
    }
    let failure = format!("Disk failure on {kname}, ");
    // The first one: a successor may have had the same name.
    let failed = mine.iter().position(|l| l.at >= left.saturating_sub(slack) && l.text.contains(&failure));
    let Some(failed) = failed else { return Err("the kernel log does not tell when it failed".into()) };
    // In the order of the lines nothing after its failure, and by the clock nothing after its last superblock.
    let after = mine.iter().enumerate().filter(|(n, l)| *n > failed || l.at > left.saturating_add(slack));
    match after.filter_map(|(_, l)| breaks(&l.text)).next() {
        Some(why) => Err(why.to_owned()),
        None => Ok(()),
    }
}

/// `md: recover of RAID array md0`; "recovery" before Linux 6.10.
pub(super) const SYNC_LINE: &str = " of RAID array ";

/// `md: check of RAID array md0`: it changes no member's place.
pub(super) fn is_check(text: &str) -> bool {
    ["check", "data-check"].iter().any(|w| text.starts_with(&format!("md: {w}{SYNC_LINE}")))
}

/// What a line about the array says that breaks the proof.
pub(super) fn breaks(text: &str) -> Option<&'static str> {
    match text {
        t if t.contains(SYNC_LINE) && !is_check(t) => Some("a member was rebuilt since it left"),
        t if t.ends_with("stopped.") => Some("the array was stopped since it left"),
        t if t.contains("active with ") => Some("the array was started since it left"),
        _ => None,
    }
}

pub(super) fn is_about(text: &str, devname: &str) -> bool {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).any(|w| w == devname)
}

/// Judges a device that has a superblock of this array, by superblocks alone; `log` has the verdict of [`unbroken`].
#[must_use]
pub fn judge(
    array: &ArrayFacts,
    running: &Running,
    former: &SuperV1,
    size: Sectors,
    log: impl FnOnce() -> Result<(), String>,
) -> Verdict {
    if former.set_uuid() != running.sb.set_uuid() {
        return Verdict::Never("it is no former member".into());
    }
    if let Err(e) = former.check(size) {
        return Verdict::Never(format!("its superblock is damaged: {e}"));
    }
    let Role::Slot(slot) = former.role() else { return Verdict::Never("it was no active member".into()) };
    let slot = u32::from(slot);
    // With 0.90 metadata whoever is in the slot has its number, and what has failed has another one.
    let own = |n: Option<u32>| running.version != Version::V090 && n == Some(former.dev_number());
    if slot >= array.slots || array.members.iter().any(|m| m.slot == Some(slot) && !own(m.number)) {
        return Verdict::Never(format!("its slot {slot} is taken"));
    }
    if former.has(feature::JOURNAL) || former.has(feature::REPLACEMENT) || former.has(feature::RESHAPE_ACTIVE) {
        return Verdict::Never("it was a replacement, or was being reshaped".into());
    }
    // Members do not tell of a bitmap file.
    let on_members = running.bitmap.as_ref().filter(|_| former.has(feature::BITMAP_OFFSET));
    let Some(bitmap) = running.bitmap_file.as_ref().or(on_members) else {
        return Verdict::NoBitmap(slot);
    };
    match covered(array, running, former, bitmap).and_then(|()| log()) {
        Ok(()) => Verdict::Proven(slot),
        Err(why) => Verdict::Unproven(slot, why),
    }
}

/// What superblocks and bitmap say against it.
fn covered(array: &ArrayFacts, running: &Running, former: &SuperV1, bitmap: &BitmapSuper) -> Result<(), String> {
    let no = |why: &str| Err(why.to_owned());
    let sb = &running.sb;
    if former.has(feature::RECOVERY_OFFSET) || former.has(feature::RECOVERY_BITMAP) {
        return no("it was being rebuilt itself when it left");
    }
    let shape = |s: &SuperV1| (s.level_raw(), s.layout(), s.chunksize(), s.raid_disks(), s.size(), s.bitmap_offset());
    if shape(former) != shape(sb) {
        return no("the array had another shape when it left");
    }
    let (own, others) = (former.data_offset(), sb.data_offset());
    if own != others {
        return Err(format!("its data begins at sector {own}, that of another member at {others}"));
    }
    let number = former.dev_number();
    if array.members.iter().any(|m| m.number == Some(number) && !m.faulty) {
        return no("another member has its number now");
    }
    if former.events() > sb.events() {
        return no("it has seen more than the array");
    }
    if bitmap.state() & (state::STALE | state::WRITE_ERROR | state::FIRST_USE) != 0 {
        return no("the bitmap is out of date");
    }
    match bitmap.kind() {
        Ok(Kind::LittleEndian | Kind::HostEndian) if former.events() < bitmap.events_cleared() => {
            no("the bitmap has forgotten what was written since")
        }
        Ok(Kind::LittleEndian | Kind::HostEndian | Kind::Lockless) => Ok(()),
        _ => no("its bitmap is of another kind"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(lines: &[(i64, &str)]) -> Vec<LogLine> {
        lines.iter().map(|(at, text)| LogLine { at: *at, text: (*text).to_owned() }).collect()
    }

    const START: (i64, &str) = (100, "md/raid1:md0: active with 2 out of 2 mirrors");
    const FAILED: (i64, &str) = (201, "md/raid1:md0: Disk failure on sdb, disabling device.");
    const REBUILT: (i64, &str) = (300, "md: recover of RAID array md0");

    #[test]
    fn a_member_that_failed_while_the_array_ran_on_can_come_back() {
        let proven = |lines: &[(i64, &str)], left| unbroken(&log(lines), "md0", "sdb", left, "check");
        assert_eq!(proven(&[START, FAILED], 200), Ok(()));
        let before = [START, (150, REBUILT.1), FAILED, (300, "md: recover of RAID array md7")];
        assert_eq!(proven(&before, 200), Ok(()), "an earlier recovery, another array's");
        let quick = [(90, "boot"), (99, START.1), (100, REBUILT.1), (100, FAILED.1)];
        assert_eq!(proven(&quick, 100), Ok(()), "all in the same second, in this order");
        assert_eq!(unbroken(&log(&before), "md0", "sdb", 200, "recover"), Ok(()), "the log tells of it");
        let checked = [START, FAILED, (250, "md: check of RAID array md0"), (260, "md: data-check of RAID array md0")];
        assert_eq!(proven(&checked, 200), Ok(()));
    }

    #[test]
    fn whatever_may_have_rebuilt_its_slot_breaks_the_proof() {
        let broken = |lines: &[(i64, &str)], kname| unbroken(&log(lines), "md0", kname, 200, "idle").unwrap_err();
        assert!(broken(&[START, FAILED, REBUILT], "sdb").contains("rebuilt"));
        assert!(broken(&[START, FAILED, (300, "md: recovery of RAID array md0")], "sdb").contains("rebuilt"));
        assert!(broken(&[START, FAILED, (300, "md: md0 stopped.")], "sdb").contains("stopped"));
        assert!(broken(&[START, FAILED, (300, START.1)], "sdb").contains("started"));
        assert!(broken(&[FAILED], "sdb").contains("reach back"));
        assert!(broken(&[], "sdb").contains("reach back"));
        assert!(broken(&[START, FAILED], "sdc").contains("when it failed"));
        // its name was given to a successor, which failed too
        assert!(broken(&[START, FAILED, REBUILT, (400, FAILED.1)], "sdb").contains("rebuilt"));
        // a kernel whose words for a rebuild are not known
        let silent = unbroken(&log(&[START, FAILED]), "md0", "sdb", 200, "recover").unwrap_err();
        assert!(silent.contains("does not tell of the last rebuild"));
    }

    fn case() -> (ArrayFacts, Running, SuperV1) {
        use crate::superblock::v1::Minor;
        let array = super::super::tests::array(crate::level::Level::Raid1, 0, 2);
        let mut sb = SuperV1::empty();
        sb.set_level_raw(1);
        sb.set_raid_disks(2);
        sb.set_size(2048);
        sb.set_data_offset(2048);
        sb.set_data_size(2048);
        sb.set_super_offset(8);
        sb.set_max_dev(4);
        sb.set_feature_map(feature::BITMAP_OFFSET);
        sb.set_bitmap_offset(8);
        sb.set_events(10);
        for n in 0..4u16 {
            sb.put_role(n.into(), if n < 2 { Role::Slot(n) } else { Role::Spare });
        }
        let mut former = sb.clone();
        former.set_events(7);
        former.update_csum();
        sb.set_dev_number(1);
        let new = crate::bitmap::header::NewBitmap {
            uuid: sb.set_uuid(),
            sync_sectors: 2048,
            chunk_bytes: 65536,
            daemon_sleep: 5,
            write_behind: 0,
            sectors_reserved: 8,
        };
        let bitmap = BitmapSuper::internal(&new);
        let mut array = array;
        array.members.remove(0);
        let version = Version::V1(Minor::V2);
        let (old, bitmap_file, block) = (None, None, 512);
        (array, Running { version, sb, old, bitmap, bitmap_file, block, readonly: false, has_bitmap: true }, former)
    }

    type Change = fn(&mut ArrayFacts, &mut Running, &mut SuperV1);

    fn verdict(change: Change, log: Result<(), String>) -> Verdict {
        let (mut array, mut running, mut former) = case();
        change(&mut array, &mut running, &mut former);
        former.update_csum();
        judge(&array, &running, &former, Sectors(8192), || log)
    }

    #[test]
    fn only_what_is_proven_comes_back_by_the_bitmap() {
        assert_eq!(verdict(|_, _, _| {}, Ok(())), Verdict::Proven(0));
        assert!(matches!(verdict(|_, _, _| {}, Err("no".into())), Verdict::Unproven(0, _)));
        let in_file = |_: &mut ArrayFacts, r: &mut Running, f: &mut SuperV1| {
            r.bitmap_file = r.bitmap.take();
            for sb in [&mut r.sb, f] {
                sb.set_feature_map(0);
                sb.set_bitmap_offset(0);
            }
        };
        assert_eq!(verdict(in_file, Ok(())), Verdict::Proven(0));
        let unproven: [(&str, Change); 6] = [
            ("rebuilt itself", |_, _, f| f.set_feature_map(feature::BITMAP_OFFSET | feature::RECOVERY_OFFSET)),
            ("another shape", |_, _, f| f.set_size(1024)),
            ("its number", |a, _, _| a.members[0].number = Some(0)),
            ("seen more", |_, _, f| f.set_events(11)),
            ("forgotten", |_, r, _| r.bitmap.as_mut().unwrap().set_events_cleared(8)),
            ("out of date", |_, r, _| r.bitmap.as_mut().unwrap().set_state(state::STALE)),
        ];
        for (what, change) in unproven {
            let Verdict::Unproven(0, why) = verdict(change, Ok(())) else { panic!("{what}") };
            assert!(why.contains(what), "{what}: {why}");
        }
        let never: [(&str, Change); 3] = [
            ("no former member", |_, _, f| f.put_set_uuid(crate::uuid::Uuid([9; 16]))),
            ("taken", |a, _, _| a.members[0].slot = Some(0)),
            ("no active member", |_, _, f| f.put_role(0, Role::Spare)),
        ];
        for (what, change) in never {
            let Verdict::Never(why) = verdict(change, Ok(())) else { panic!("{what}") };
            assert!(why.contains(what), "{what}: {why}");
        }
        assert_eq!(verdict(|_, r, _| r.bitmap = None, Ok(())), Verdict::NoBitmap(0));
    }
}
