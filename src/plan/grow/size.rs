//! `--grow --size` and `--array-size`.

use super::bitmap::Now;
use super::shape::{Part, Shape};
use crate::bitmap::lockless;
use crate::cli::request::{GrowRequest, SizeChoice};
use crate::error::{Refusal, errno_text};
use crate::level::Level;
use crate::plan::step::Plan;
use crate::superblock::foreign::InUse;

/// A change of what is used of each member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeChange {
    /// KiB used of each member now.
    pub from: u64,
    /// The KiB that the kernel will use.
    pub to: u64,
    /// The steps; sync actions are held back meanwhile.
    pub plan: Plan,
}

impl SizeChange {
    /// Whether a bitmap has to cover more afterwards.
    #[must_use]
    pub fn grows(&self) -> bool {
        self.to > self.from
    }
}

/// Refuses, in the reference's words, what has nothing to do with the contents.
///
/// # Errors
/// Why the size cannot be changed.
pub fn check(shape: &Shape, req: &GrowRequest) -> Result<(), Refusal> {
    let shown = &shape.shown;
    if !shape.level.has_size() {
        return Err(Refusal::new("Cannot set device size in this type of array."));
    }
    let other = req.raid_devices.is_some_and(|n| n != shape.slots)
        || req.level.is_some()
        || req.layout.is_some()
        || req.chunk.is_some();
    if other {
        return Err(Refusal::new(
            "cannot change component size at the same time as other changes.\n   Change size first, then check data is \
             intact before making other changes.",
        ));
    }
    shape.at_rest(false)?;
    let cannot = |errno| cannot(shape, errno);
    shape.writable(&cannot(EROFS))?;
    if let Some(log) = shape.log {
        let what_to_do = match log {
            "PPL" => format!("take it off for the time: mdadm --grow {shown} --consistency-policy=resync"),
            _ => "the kernel takes a journal off no running array".into(),
        };
        let line = format!("the size of an array with a {log} cannot be changed");
        return Err(Refusal::new(cannot(EINVAL)).hint(line).hint(what_to_do));
    }
    let (near_far, offset) = (shape.layout >> 8 & 0xff, shape.layout >> 16 & 1);
    if shape.level == Level::Raid10 && near_far > 1 && offset == 0 {
        return Err(Refusal::new(cannot(EINVAL)).hint("the size of a raid10 of layout far cannot be changed"));
    }
    Ok(())
}

fn cannot(shape: &Shape, errno: i32) -> String {
    format!("Cannot set device size for {}: {}", shape.shown, errno_text(errno))
}

/// What a member can give, in KiB.
fn room(part: &Part) -> u64 {
    part.room.unwrap_or(0).max(part.size)
}

/// The steps to another size; `None` where it is that size already and no step would change a thing.
///
/// # Errors
/// A member is too small, what is on the array would be cut, the array's size was limited to more.
pub fn plan(shape: &Shape, req: &GrowRequest, used: &[InUse]) -> Result<Option<SizeChange>, Refusal> {
    let members: Vec<&Part> = shape.parts.iter().filter(|p| !p.journal).collect();
    let most = members.iter().map(|p| room(p)).min().unwrap_or(0);
    let wanted = match req.size {
        Some(SizeChoice::Sectors(sectors)) => sectors.0 / 2,
        _ => most,
    };
    if req.size != Some(SizeChoice::Max) && wanted == shape.size {
        return Ok(None);
    }
    let to = rounded(shape, wanted);
    // A spare's size is not the kernel's to look up: it believes what it is told.
    if let Some(small) = members.iter().find(|p| rounded(shape, room(p)) < to) {
        let (has, shown) = (room(small), &small.shown);
        let mut refusal = Refusal::new(cannot(shape, ENOSPC)).hint(format!("{shown} has room for {has}K of data"));
        if small.faulty {
            refusal = refusal.hint(format!("it has failed: mdadm {} --remove {shown}", shape.shown));
        } else if small.room.is_none() && matches!(shape.bitmap, Now::Internal(_) | Now::Lockless(_)) {
            refusal = refusal.hint(format!(
                "its superblock stays where it is while there is a bitmap; if the device has grown: mdadm --grow {0} --bitmap=none; \
                 mdadm --grow {0} --size=max",
                shape.shown
            ));
        }
        return Err(refusal);
    }
    if to < shape.size {
        shrinks(shape, to, used, req.common.force > 0)?;
    }
    let mut plan = Plan::default();
    if wanted > shape.size {
        for part in members.iter().filter(|p| !p.faulty && p.room.is_some()) {
            plan.steps.extend(told(shape, part, wanted, req.size == Some(SizeChoice::Max)));
        }
    }
    plan.steps.push(shape.set("component_size", wanted.to_string()));
    if req.assume_clean {
        plan.steps.push(shape.set("resync_start", "none"));
    }
    Ok(Some(SizeChange { from: shape.size, to, plan }))
}

/// As the reference: all are told what is wanted, with `max` all that they have.
fn told(shape: &Shape, part: &Part, wanted: u64, max: bool) -> Option<crate::plan::step::Step> {
    let size = if max { room(part) } else { wanted };
    (size != part.size).then(|| shape.set_part(part, "size", size.to_string()))
}

/// As the kernel does it: whole chunks on striped levels.
fn rounded(shape: &Shape, size: u64) -> u64 {
    match shape.chunk.0 {
        0 | 1 => size,
        chunk if shape.level.is_striped() => size.saturating_mul(2) / chunk * chunk / 2,
        _ => size,
    }
}

fn shrinks(shape: &Shape, to: u64, used: &[InUse], force: bool) -> Result<(), Refusal> {
    let (shown, array) = (&shape.shown, shape.array_kib(to));
    if shape.limited.is_some_and(|kib| kib > array) {
        return Err(Refusal::new(cannot(shape, EINVAL)).hint(format!(
            "its --array-size is larger than the {array}K that it would have: first mdadm --grow {shown} --array-size={array}"
        )));
    }
    // Nobody reads beyond the limit any more: it was tried out.
    if force || shape.limited.is_some() {
        return Ok(());
    }
    cut(shown, array, used)
}

/// Refuses what cuts off something on the array.
///
/// # Errors
/// What would be lost, and how to go on.
pub fn cut(shown: &str, array_kib: u64, used: &[InUse]) -> Result<(), Refusal> {
    let lost = |u: &&InUse| u.end.is_none_or(|end| end > array_kib.saturating_mul(1024));
    let Some(lost) = used.iter().find(lost) else { return Ok(()) };
    let name = &lost.name;
    let refusal = Refusal::new(match lost.end {
        Some(end) => {
            format!("{shown} would have {array_kib}K, and the {name} on it takes {}K: data would be lost", end / 1024)
        }
        None => format!("{shown} would have {array_kib}K, and how much of it the {name} takes nobody can tell here"),
    });
    Err(refusal.hint(format!(
        "make that smaller first; then see whether all is there with mdadm --grow {shown} --array-size={array_kib}, which can be \
         undone, and give this command again"
    )))
}

/// `--array-size`: how much of the array is offered.
#[must_use]
pub fn array_size(shape: &Shape, to: SizeChoice) -> Plan {
    let value = match to {
        SizeChoice::Max => "default".to_owned(),
        SizeChoice::Sectors(sectors) => (sectors.0 / 2).to_string(),
    };
    Plan { steps: vec![shape.set("array_size", value)] }
}

/// Whether a lockless bitmap can stay on while what it covers grows (docs/lockless.md): the kernel then neither takes another
/// chunk nor needs another page, and the chunk that the old end lies in is a whole one. The new chunks, first and behind the
/// last, whose states must be "unwritten" on disk.
#[must_use]
pub fn lockless_stays(room: u64, chunk: u64, sync_from: u64, sync_to: u64) -> Option<(u64, u64)> {
    let room = u32::try_from(room).ok().filter(|r| *r > 0)?;
    let (old, new) = (lockless::kernel_chunk(sync_from, room), lockless::kernel_chunk(sync_to, room));
    let same_pages =
        lockless::bitmap_bytes(old.chunks).div_ceil(PAGE) == lockless::bitmap_bytes(new.chunks).div_ceil(PAGE);
    let stays =
        old.chunk_sectors == chunk && new.chunk_sectors == chunk && same_pages && sync_from.is_multiple_of(chunk);
    stays.then_some((old.chunks, new.chunks))
}

const PAGE: u64 = 4096;
const EINVAL: i32 = 22;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::super::reshape::tests::shape;
    use super::*;
    use crate::units::Sectors;

    fn request(size: Option<u64>) -> GrowRequest {
        let size = size.map_or(SizeChoice::Max, |kib| SizeChoice::Sectors(Sectors(kib * 2)));
        GrowRequest { size: Some(size), ..GrowRequest::default() }
    }

    #[test]
    fn sizes_are_those_of_the_kernel() {
        assert_eq!(shape(Level::Raid1, 0, 2, 0).array_kib(10_001), 10_001);
        assert_eq!(shape(Level::Raid5, 1024, 4, 2).array_kib(10_300), 10_240 * 3);
        assert_eq!(shape(Level::Raid6, 1024, 4, 2).array_kib(10_300), 10_240 * 2);
        assert_eq!(shape(Level::Raid10, 1024, 4, 0x102).array_kib(10_240), 20_480);
        assert_eq!(shape(Level::Raid10, 1024, 3, 0x102).array_kib(10_240), 15_360);
    }

    #[test]
    fn max_is_what_the_least_member_has_and_each_is_told_all_it_has() {
        let mut it = shape(Level::Raid5, 1024, 3, 2);
        it.parts.last_mut().unwrap().room = Some(25_000);
        let change = plan(&it, &request(None), &[]).unwrap().unwrap();
        assert_eq!((change.from, change.to), (10_240, 24_576));
        let lines: Vec<String> = change.plan.steps.iter().map(|s| s.line()).collect();
        assert_eq!(lines[2], "sysfs  md0/md/dev-sd2/size = 25000");
        assert_eq!(lines[3], "sysfs  md0/md/component_size = 25000");
        assert!(plan(&it, &request(Some(26_000)), &[]).is_err());
    }

    #[test]
    fn what_is_on_the_array_is_not_cut_unless_that_was_tried_out_or_is_forced() {
        let mut it = shape(Level::Raid1, 0, 2, 0);
        let used = [InUse { name: "xfs file system".into(), end: Some(6_000 * 1024) }];
        assert!(plan(&it, &request(Some(6_000)), &used).is_ok());
        assert!(plan(&it, &request(Some(5_999)), &used).is_err());
        let mut forced = request(Some(5_999));
        forced.common.force = 1;
        assert!(plan(&it, &forced, &used).is_ok());
        it.limited = Some(5_999);
        assert!(plan(&it, &request(Some(5_999)), &used).is_ok());
        assert!(plan(&it, &request(Some(5_998)), &used).is_err());
    }

    #[test]
    fn a_lockless_bitmap_stays_only_within_its_pages_with_its_chunk_and_from_a_chunks_border() {
        let stays = |from, to| lockless_stays(256, 128, from, to);
        assert_eq!(stays(128_000, 256_000), Some((1000, 2000)));
        assert_eq!(stays(128_000, 3073 * 128), None);
        assert_eq!(stays(128_000, 3072 * 128), Some((1000, 3072)));
        assert_eq!(stays(128_001, 256_000), None);
        assert_eq!(lockless_stays(256, 256, 128_000, 256_000), None);
        assert_eq!(lockless_stays(0, 128, 128_000, 256_000), None);
        assert_eq!(lockless_stays(2, 128, 1024 * 128, 1025 * 128), None);
    }
}
