//! `--grow --level` where the kernel changes the level at once, and no data moves (its `takeover` functions).

use super::bitmap::Now;
use super::shape::{Part, Shape};
use crate::cli::request::GrowRequest;
use crate::error::Refusal;
use crate::layout;
use crate::level::Level;
use crate::plan::step::{MemberBy, Plan, Step};

/// Layout numbers of raid5 (kernel `raid5.h`).
mod raid5 {
    /// Parity on the last member: data as on raid0 and raid4.
    pub const PARITY_LAST: u32 = 5;
    /// What is added for raid6 with Q on the last member.
    pub const Q_LAST: u32 = 16;
    /// The last layout that has such a raid6, but for [`PARITY_LAST`].
    pub const PARITY_FIRST: u32 = 4;
}

/// Layout of raid10 whose every other member holds what a raid0 holds: two near copies.
const NEAR_2: u32 = 0x102;
/// KiB of a page: the least chunk.
const PAGE_KIB: u64 = 4;

/// A change of level that is made at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Takeover {
    /// The new level.
    pub to: Level,
    /// Before sync actions are held back: the kernel keeps its bitmap while they are.
    pub first: Plan,
    /// Each is tried again for a while where the kernel says that it is busy.
    pub plans: Vec<Plan>,
    /// The change itself.
    pub last: Plan,
    /// Members that are taken out.
    pub out: Vec<String>,
}

/// What a change of level comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is that level already.
    None,
    /// At once.
    AtOnce(Takeover),
    /// Data would move.
    Moves,
}

/// Refuses in the reference's words and order.
///
/// # Errors
/// Why not, and what to do.
pub fn plan(shape: &Shape, req: &GrowRequest) -> Result<Change, Refusal> {
    let Some(to) = req.level.filter(|to| *to != shape.level) else { return Ok(Change::None) };
    shape.at_rest(true)?;
    let Some(kept) = kept(shape, to, req)? else { return Ok(Change::Moves) };
    let other = req.chunk.is_some()
        || req.raid_devices.is_some_and(|n| n != shape.slots)
        || req.data_offset.is_some()
        || (!req.add.is_empty() && !takes_more(shape.level, to));
    if other {
        return Ok(Change::Moves);
    }
    let shown = &shape.shown;
    let cannot = format!("{shown}: could not set level to {}", to.name());
    shape.writable(&cannot)?;
    starts(shape, to, req, &cannot)?;
    if let Some(log) = shape.log {
        let refusal = Refusal::new(cannot).hint(format!("it has a {log}"));
        return Err(match log {
            "PPL" => refusal.hint(format!("take it off first: mdadm --grow {shown} --consistency-policy=resync")),
            _ => refusal,
        });
    }
    if matches!(shape.bitmap, Now::Lockless(_) | Now::Clustered | Now::File) {
        return Err(Refusal::new(cannot).hint(format!(
            "the kernel takes no such bitmap over: mdadm --grow {shown} --bitmap=none, then this, then --bitmap=lockless where the \
             new level can have one"
        )));
    }
    Ok(Change::AtOnce(takeover(shape, to, &kept)))
}

/// The kernel does not look whether the new level could start (`level_store`), and falls over at the next request if not.
fn starts(shape: &Shape, to: Level, req: &GrowRequest, cannot: &str) -> Result<(), Refusal> {
    let shown = &shape.shown;
    if shape.resync_pending {
        return Err(Refusal::new(cannot).hint(format!(
            "it is not in sync: let it become so first: mdadm --action=idle {shown}; mdadm --wait {shown}"
        )));
    }
    if (shape.level, to) != (Level::Raid6, Level::Raid5) {
        return Ok(());
    }
    let there = |slot: &u32| shape.parts.iter().any(|p| p.slot == Some(*slot) && p.in_sync && !p.faulty);
    let missing = (0..shape.slots.saturating_sub(1)).filter(|slot| !there(slot)).count();
    let add = format!("add what is missing and wait for its rebuild: mdadm {shown} --add DEVICE; mdadm --wait {shown}");
    match missing {
        0 => Ok(()),
        1 if req.common.force > 0 => Ok(()),
        1 => Err(Refusal::new(cannot)
            .hint("one of the members that stay is missing: this gives up the last redundancy")
            .hint(format!("{add}; or use --force"))),
        _ => Err(Refusal::new(cannot)
            .hint(format!("{missing} of the members that stay are missing, and a raid5 can do without one only"))
            .hint(add)),
    }
}

/// Whether the new level has slots that the old one lacks.
fn takes_more(from: Level, to: Level) -> bool {
    matches!((from, to), (Level::Raid0, _) | (Level::Raid5, Level::Raid6))
}

/// The slots whose members stay; all, where none has to go. `None`: data would move.
fn kept(shape: &Shape, to: Level, req: &GrowRequest) -> Result<Option<Kept>, Refusal> {
    let no = |line: &str| Err(Refusal::new(line));
    let plain = req.layout.is_none();
    let (slots, last) = (shape.slots, shape.slots.saturating_sub(1));
    let parity_last = shape.level == Level::Raid4 || shape.layout == raid5::PARITY_LAST;
    match (shape.level, to) {
        (Level::Raid1, Level::Raid0) if req.raid_devices.is_some() => {
            no("Cannot change number of disks with RAID1->RAID0 conversion")
        }
        (Level::Raid1, Level::Raid0) => {
            whole_pages(shape).and_then(|()| one_of(shape, &[(0..slots).collect()])).map(Some)
        }
        (Level::Raid1, Level::Raid5) if slots != 2 => no("Can only convert a 2-device array to RAID5"),
        (Level::Raid1, Level::Raid5) => whole_pages(shape).map(|()| plain.then_some(Kept::All)),
        (Level::Raid1, _) => no("Impossibly level change request for RAID1"),
        (Level::Raid10, Level::Raid0) if shape.layout != NEAR_2 || slots % 2 != 0 => {
            no("Cannot Grow RAID10 with far/offset layout")
        }
        (Level::Raid10, Level::Raid0) => {
            let kept = one_of(shape, &(0..slots / 2).map(|n| vec![2 * n, 2 * n + 1]).collect::<Vec<_>>())?;
            one_zone(shape, &kept).map(|()| Some(kept))
        }
        (Level::Raid10, _) => no("RAID10 can only be changed to RAID0"),
        (Level::Raid4 | Level::Raid5, Level::Raid0) if parity_last => {
            one_of(shape, &(0..last).map(|n| vec![n]).collect::<Vec<_>>()).map(Some)
        }
        (Level::Raid4, Level::Raid5) => Ok((plain || layout_is(to, req, raid5::PARITY_LAST)).then_some(Kept::All)),
        (Level::Raid5, Level::Raid4) => Ok((plain && parity_last).then_some(Kept::All)),
        (Level::Raid5, Level::Raid1) => Ok((plain && slots == 2).then_some(Kept::All)),
        (Level::Raid5, Level::Raid6) => raid6(shape, req),
        (Level::Raid6, Level::Raid5) => {
            let q_last = (raid5::Q_LAST..=raid5::Q_LAST + raid5::PARITY_FIRST).contains(&shape.layout);
            let same = shape.layout.saturating_sub(if q_last { raid5::Q_LAST } else { 0 });
            Ok(((q_last || parity_last) && (plain || layout_is(to, req, same))).then_some(Kept::All))
        }
        (Level::Raid0, Level::Raid4) => Ok(plain.then_some(Kept::All)),
        (Level::Raid0, Level::Raid5) => Ok(layout_is(to, req, raid5::PARITY_LAST).then_some(Kept::All)),
        (Level::Raid0, Level::Raid10) => {
            spares(shape, req, slots, "to create working array", "").map(|()| plain.then_some(Kept::All))
        }
        (Level::Raid0, Level::Raid6) => no(&format!("{}: could not set level to raid6", shape.shown)),
        (Level::Raid0, _) => no("Impossible level change requested"),
        _ => Ok(None),
    }
}

/// Who stays.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kept {
    /// Every member.
    All,
    /// These, by their names in sysfs.
    Only(Vec<String>),
}

/// To raid6 with Q on a new last member: only that one is written.
fn raid6(shape: &Shape, req: &GrowRequest) -> Result<Option<Kept>, Refusal> {
    let q_last = match shape.layout {
        raid5::PARITY_LAST => raid5::PARITY_LAST,
        layout if layout <= raid5::PARITY_FIRST => layout + raid5::Q_LAST,
        _ => return Ok(None),
    };
    let preserved = req.layout.as_deref() == Some("preserve") || layout_is(Level::Raid6, req, q_last);
    if !preserved {
        return Ok(None);
    }
    if req.common.force == 0 {
        spares(shape, req, 1, "to avoid degraded array", "\n       Use --force to over-ride this check.")?;
    }
    Ok(Some(Kept::All))
}

fn layout_is(level: Level, req: &GrowRequest, number: u32) -> bool {
    req.layout.as_deref().and_then(|word| layout::parse(level, word)) == Some(number)
}

fn spares(shape: &Shape, req: &GrowRequest, need: u32, what_for: &str, more: &str) -> Result<(), Refusal> {
    let have = shape.spares().saturating_add(u32::try_from(req.add.len()).unwrap_or(u32::MAX));
    let s = if need == 1 { "" } else { "s" };
    match have < need {
        true => Err(Refusal::new(format!("Need {need} spare{s} {what_for}, and only have {have}.{more}"))),
        false => Ok(()),
    }
}

/// raid1 has no chunk, and the kernel finds one only for whole pages.
fn whole_pages(shape: &Shape) -> Result<(), Refusal> {
    if shape.size.is_multiple_of(PAGE_KIB) {
        return Ok(());
    }
    let (shown, size) = (&shape.shown, shape.size);
    let line = format!("{shown} has {size}K, no multiple of {PAGE_KIB}K: no chunk fits");
    Err(Refusal::new(line).hint(format!("mdadm --grow {shown} --size={}", size / PAGE_KIB * PAGE_KIB)))
}

/// The first member in sync of each group of slots, of those that have no bad blocks: what those held is on the others only.
fn one_of(shape: &Shape, groups: &[Vec<u32>]) -> Result<Kept, Refusal> {
    let mut kept = Vec::with_capacity(groups.len());
    for slots in groups {
        let good = |slot: u32| shape.parts.iter().filter(move |p| p.slot == Some(slot) && p.in_sync && !p.faulty);
        let all: Vec<&Part> = slots.iter().flat_map(|slot| good(*slot)).collect();
        let part = all.iter().find(|p| !p.bad).ok_or_else(|| {
            let slot = slots.first().copied().unwrap_or(0);
            if let Some(bad) = all.first() {
                return Refusal::new(format!(
                    "{} has bad blocks recorded, whose data would be lost without redundancy",
                    bad.shown
                ))
                .hint(format!("rewrite them first: mdadm --action=repair {0}; mdadm --wait {0}", shape.shown));
            }
            Refusal::new(format!(
                "{} has no member in sync in slot {slot}: its data is not all there without redundancy",
                shape.shown
            ))
            .hint(format!(
                "add what is missing and wait for its rebuild: mdadm {0} --add DEVICE; mdadm --wait {0}",
                shape.shown
            ))
        })?;
        kept.push(part.name.clone());
    }
    Ok(Kept::Only(kept))
}

/// Members of a raid0 that differ in size make zones, which the kernel does not take over.
fn one_zone(shape: &Shape, kept: &Kept) -> Result<(), Refusal> {
    let Kept::Only(names) = kept else { return Ok(()) };
    let chunk = (shape.chunk.0 / 2).max(1);
    let mut sizes = shape.parts.iter().filter(|p| names.contains(&p.name)).map(|p| p.size / chunk);
    let first = sizes.next();
    if sizes.all(|s| Some(s) == first) {
        return Ok(());
    }
    Err(Refusal::new(format!("the members of {} differ in size: the kernel makes no raid0 of them", shape.shown))
        .hint("they can be made equal: --grow --size=SIZE with a little more than now, on all"))
}

fn takeover(shape: &Shape, to: Level, kept: &Kept) -> Takeover {
    let leaves = |p: &&Part| matches!(kept, Kept::Only(names) if !names.contains(&p.name));
    let out: Vec<&Part> = shape.parts.iter().filter(leaves).collect();
    let by = |p: &Part| (shape.devname.clone(), p.shown.clone(), MemberBy::Name(p.name.clone()));
    let mut first = Plan::default();
    if matches!(kept, Kept::Only(_)) && shape.bitmap != Now::None {
        first.steps.push(Step::BitmapOff { devname: shape.devname.clone() });
    }
    let fails = out.iter().filter(|p| p.slot.is_some() && !p.faulty);
    let fails = fails.map(|p| {
        let (devname, device, by) = by(p);
        Step::SetFaulty { devname, device, by }
    });
    let remove = |p: &&Part| {
        let (devname, device, by) = by(p);
        Plan { steps: vec![Step::HotRemove { devname, device, by }] }
    };
    // Spares first: they would get the slot of who is failed.
    let (slotted, spare): (Vec<&Part>, Vec<&Part>) = out.iter().partition(|p| p.slot.is_some());
    let mut plans: Vec<Plan> = spare.iter().map(remove).collect();
    plans.push(Plan { steps: fails.collect() });
    plans.extend(slotted.iter().map(remove));
    let last = Plan { steps: vec![shape.set("level", to.name())] };
    Takeover { to, first, plans, last, out: out.iter().map(|p| p.shown.clone()).collect() }
}
