//! What is different about a new array with 0.90 metadata: its limits, and its superblock.

use super::design::Design;
use super::slots::{Assigned, Slots};
use super::steps::Parts;
use crate::cli::request::{BitmapChoice, ConsistencyPolicy, CreateRequest};
use crate::error::Refusal;
use crate::level::Level;
use crate::superblock::v0::{DiskV0, MAX_DISKS, Order, SuperV0, bit, state};
use crate::units::{KiB, Sectors};

/// raid0 members of different sizes: the layout that 0.90 metadata cannot record.
const DANGEROUS: u32 = 0;

fn refuse<T>(line: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::new(line))
}

/// Refuses what 0.90 metadata cannot hold.
///
/// # Errors
/// In the words of the reference where it refuses it too; it leaves out journals and lockless bitmaps without a word.
pub fn limits(req: &CreateRequest, level: Level, layout: Option<u32>) -> Result<(), Refusal> {
    let slots = req.raid_devices.unwrap_or(0);
    let too_many = |devices: u32| usize::try_from(devices).is_ok_and(|n| n > MAX_DISKS);
    if too_many(slots) {
        return refuse(format!("0.90 metadata supports at most {MAX_DISKS} devices per array"));
    }
    if too_many(slots.saturating_add(req.spare_devices)) {
        return refuse(format!("Too many devices: 0.90 metadata only supports {MAX_DISKS}"));
    }
    if req.data_offset.is_some() {
        return refuse("data-offset not support for 0.90");
    }
    if level == Level::Raid0 && layout.is_some_and(|l| l != DANGEROUS) {
        return refuse("0.90 metadata does not support layouts for RAID0");
    }
    match req.consistency_policy {
        Some(ConsistencyPolicy::Ppl) => return refuse("0.90 metadata does not support PPL"),
        Some(ConsistencyPolicy::Journal) => return refuse("0.90 metadata does not support a journal"),
        _ => {}
    }
    if req.write_journal.is_some() {
        return refuse("0.90 metadata does not support a journal");
    }
    let bitmap = match req.bitmap {
        Some(BitmapChoice::Lockless) => "a lockless",
        Some(BitmapChoice::Clustered) => "a clustered",
        _ => return Ok(()),
    };
    Err(Refusal::new(format!("0.90 metadata does not support {bitmap} bitmap"))
        .hint("use --bitmap=internal, or --metadata=1.0: it has its superblock at the end of the device too"))
}

/// Refuses sizes that 0.90 metadata cannot record, and a raid0 whose layout it would have to. `size` is what is used of each
/// member, `spaces` what each has.
///
/// # Errors
/// In the words of the reference.
pub fn sizes(design: &Design, size: Sectors, spaces: &[Sectors]) -> Result<(), Refusal> {
    let level = design.level;
    if level.raw() > 0 && u32::try_from(size.kib().0).is_err() {
        return Err(Refusal::new(format!("devices too large for RAID level {}", level.raw())).hint(format!(
            "0.90 metadata holds at most {} KiB (4 TiB) of each member: --size= less, or --metadata=1.0",
            u32::MAX
        )));
    }
    let unequal = spaces.iter().any(|s| spaces.first() != Some(s));
    if level == Level::Raid0 && unequal && !design.layout_given {
        return Err(Refusal::new("Need explicit layout=dangerous to create 0.90 raid0 on non-uniform sized devices")
            .hint("0.90 metadata cannot record how such an array is laid out; --metadata=1.0 can"));
    }
    Ok(())
}

/// The superblock that all members share; each puts its own descriptor into it with [`own`].
#[must_use]
pub fn superblock(parts: &Parts<'_>) -> SuperV0 {
    let (design, id, slots) = (parts.design, parts.identity, parts.slots);
    let mut sb = SuperV0::empty(if cfg!(target_endian = "big") { Order::Big } else { Order::Little });
    sb.put_uuid(id.uuid);
    // 32 bits of seconds last until 2106.
    let time = u32::try_from(id.time).unwrap_or(u32::MAX);
    sb.set_ctime(time);
    sb.set_utime(time);
    sb.set_level_raw(design.level.raw());
    sb.set_size_kib(u32::try_from(KiB(parts.sizing.size.0 / 2).0).unwrap_or(u32::MAX));
    sb.set_raid_disks(design.raid_disks);
    sb.set_md_minor(id.number);
    let clean = if slots.clean { state::CLEAN } else { 0 };
    let bitmap = if design.bitmap.is_on_members() { state::BITMAP_PRESENT } else { 0 };
    sb.set_state(clean | bitmap);
    sb.set_events(1);
    sb.set_layout(design.layout);
    sb.set_chunk_bytes(u32::try_from(design.chunk.0.saturating_mul(512)).unwrap_or(0));
    count(&mut sb, slots, parts.by_index.len());
    for a in &slots.assigned {
        sb.put_disk(usize::try_from(a.number).unwrap_or(usize::MAX), &descriptor(parts, a));
    }
    sb
}

/// `listed` counts the missing ones too, as the reference does; the kernel counts anew when it writes.
fn count(sb: &mut SuperV0, slots: &Slots, listed: usize) {
    let all = u32::try_from(slots.assigned.len()).unwrap_or(u32::MAX);
    let active = u32::try_from(slots.assigned.iter().filter(|a| a.slot.is_some()).count()).unwrap_or(u32::MAX);
    sb.set_nr_disks(u32::try_from(listed).unwrap_or(u32::MAX));
    sb.set_active_disks(active);
    sb.set_working_disks(all);
    sb.set_spare_disks(all.saturating_sub(active));
    sb.set_failed_disks(sb.raid_disks().saturating_sub(active));
}

fn descriptor(parts: &Parts<'_>, a: &Assigned) -> DiskV0 {
    let flag = |on: bool, bit: u32| if on { bit } else { 0 };
    let member = parts.member(a).map(|m| m.0);
    let (major, minor) = member.map_or((0, 0), |m| m.dev);
    let state = flag(a.slot.is_some(), bit::ACTIVE | bit::SYNC)
        | flag(member.is_some_and(|m| m.write_mostly), bit::WRITE_MOSTLY)
        | flag(member.is_some_and(|m| m.failfast), bit::FAILFAST);
    DiskV0 { number: a.number, major, minor, raid_disk: a.slot.unwrap_or(a.number), state }
}

/// The superblock of one member.
#[must_use]
pub fn own(parts: &Parts<'_>, shared: &SuperV0, a: &Assigned) -> SuperV0 {
    let mut sb = shared.clone();
    sb.put_this_disk(&descriptor(parts, a));
    sb.update_csum();
    sb
}
