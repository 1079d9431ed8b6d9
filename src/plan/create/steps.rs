//! The plan of a create: every write, ioctl and sysfs store.

use super::design::Design;
use super::sizing::Sizing;
use super::slots::{Assigned, Slots};
use super::{Identity, MemberFacts, NewBitmapKind, Node, RaidLog, old};
use crate::bitmap::bits;
use crate::bitmap::header::{self, BitmapSuper, NewBitmap};
use crate::error::Refusal;
use crate::plan::bitmap_file::{self, FileFacts};
use crate::plan::place::Placement;
use crate::plan::step::{DiskSpec, Plan, Step, ZeroArea};
use crate::superblock::Version;
use crate::superblock::raid_log::{PPL_SECTORS, journal_block, ppl_area};
use crate::superblock::v0::{self, SuperV0};
use crate::superblock::v1::{FIXED_BYTES, MAX_ROLES, Role, SUPER_BYTES, SuperV1, devflag, feature};
use crate::units::SECTOR_BYTES;

/// Seconds between two runs of the bitmap's daemon where none are given.
const DEFAULT_DELAY: u32 = 5;
/// Bytes that are written of a bitmap that the kernel will write itself.
const BITMAP_BLOCK: usize = 4096;
/// A bitmap's bits are written in pieces of at most this many bytes.
const BITMAP_PIECE: u64 = 1 << 20;

/// Everything the steps are made from.
#[derive(Debug)]
pub struct Parts<'a> {
    /// The request's meaning.
    pub design: &'a Design,
    /// Sizes and places.
    pub sizing: &'a Sizing,
    /// Who gets which slot.
    pub slots: &'a Slots,
    /// The devices, in their order, without the missing ones.
    pub members: &'a [MemberFacts],
    /// Index in `members` by index in the list of devices.
    pub by_index: &'a [Option<usize>],
    /// Name, uuid and time.
    pub identity: &'a Identity,
    /// Where the array goes; `None` with `--offline`.
    pub node: Option<&'a Node>,
    /// `--delay`, seconds
    pub delay: Option<u32>,
    /// `--logical-block-size`, bytes
    pub logical_block_size: Option<u32>,
    /// What is at the path of the bitmap file.
    pub bitmap_file: Option<&'a FileFacts>,
    /// `--force`
    pub force: bool,
}

impl Parts<'_> {
    /// A device with its places.
    #[must_use]
    pub fn member(&self, a: &Assigned) -> Option<(&MemberFacts, &Placement)> {
        let i = self.by_index.get(a.index).copied().flatten()?;
        Some((self.members.get(i)?, self.sizing.places.get(i)?))
    }
}

/// The superblock that all members share, without what is each one's own.
enum Shared {
    V090(SuperV0),
    V1(SuperV1),
}

fn common(parts: &Parts<'_>) -> SuperV1 {
    let (design, id) = (parts.design, parts.identity);
    let mut sb = SuperV1::empty();
    let table = FIXED_BYTES + 2 * usize::try_from(parts.slots.numbers).unwrap_or(0);
    let entries = (table.next_multiple_of(512) - FIXED_BYTES) / 2;
    sb.set_max_dev(u32::try_from(entries).unwrap_or(MAX_ROLES).min(MAX_ROLES));
    for n in 0..sb.max_dev() {
        sb.put_role(n, Role::Spare);
    }
    for a in &parts.slots.assigned {
        if a.journal {
            sb.put_role(a.number, Role::Journal);
        }
        if let Some(slot) = a.slot.and_then(|s| u16::try_from(s).ok()) {
            sb.put_role(a.number, Role::Slot(slot));
        }
    }
    sb.put_set_uuid(id.uuid);
    sb.put_set_name(&id.set_name);
    sb.set_ctime_raw(id.time);
    sb.set_utime_raw(id.time);
    sb.set_level_raw(design.level.raw());
    sb.set_layout(design.layout);
    sb.set_size(parts.sizing.size.0);
    sb.set_chunksize(u32::try_from(design.chunk.0).unwrap_or(0));
    sb.set_raid_disks(design.raid_disks);
    sb.set_resync_offset(if parts.slots.clean { u64::MAX } else { 0 });
    if parts.node.is_none() {
        // A kernel that starts the array records it itself.
        sb.set_logical_block_size(parts.logical_block_size.unwrap_or(0));
    }
    sb.set_events(u64::from(design.for_older));
    let mut features = 0;
    if design.bitmap.is_on_members() {
        features |= feature::BITMAP_OFFSET;
    }
    if matches!(design.bitmap, NewBitmapKind::Clustered { .. }) {
        features |= feature::CLUSTERED;
    }
    match design.log {
        RaidLog::None => {}
        RaidLog::Journal => features |= feature::JOURNAL,
        RaidLog::Ppl => features |= feature::PPL,
    }
    if design.level == crate::level::Level::Raid0 {
        features |= feature::RAID0_LAYOUT;
    }
    sb.set_feature_map(features);
    sb
}

fn own(sb: &SuperV1, number: u32, member: &MemberFacts, place: &Placement, no_log: bool) -> SuperV1 {
    let mut sb = sb.clone();
    sb.set_dev_number(number);
    sb.put_device_uuid(member.device_uuid);
    sb.set_super_offset(place.super_offset.0);
    sb.set_data_offset(place.data_offset.0);
    sb.set_data_size(place.data_size.0);
    if sb.has(feature::PPL) {
        sb.set_ppl_offset(i16::try_from(place.bitmap_offset).unwrap_or(0));
        sb.set_ppl_size(PPL_SECTORS);
    } else {
        sb.set_bitmap_offset(place.bitmap_offset);
    }
    if !no_log {
        sb.set_bblog_offset(place.log_offset);
        sb.set_bblog_size(place.log_sectors);
    }
    let flag = |on: bool, bit: u8| if on { bit } else { 0 };
    sb.set_devflags(flag(member.write_mostly, devflag::WRITE_MOSTLY) | flag(member.failfast, devflag::FAILFAST));
    sb.update_csum();
    sb
}

fn new_bitmap(parts: &Parts<'_>, sectors_reserved: u32) -> NewBitmap {
    let uuid = match parts.design.version {
        Version::V090 => old::superblock(parts).bitmap_uuid(),
        Version::V1(_) => parts.identity.uuid,
    };
    NewBitmap {
        uuid,
        sync_sectors: parts.sizing.sync.0,
        chunk_bytes: parts.sizing.bitmap_chunk_bytes,
        daemon_sleep: parts.delay.unwrap_or(DEFAULT_DELAY),
        write_behind: parts.design.write_behind,
        sectors_reserved,
    }
}

/// The bitmap's bytes, from its superblock on. The bits are all set, as the reference writes them: nothing is known to
/// be in sync. What follows a lockless superblock does not matter: the kernel writes the states at the first start.
fn bitmap_bytes(parts: &Parts<'_>, place: &Placement) -> Result<Option<Vec<u8>>, Refusal> {
    let new = new_bitmap(parts, place.bitmap_reserved);
    // 0.90: the reference fills the room.
    let whole = (parts.design.version == Version::V090).then_some(v0::BITMAP_SECTORS * SECTOR_BYTES);
    let (sb, len) = match parts.design.bitmap {
        NewBitmapKind::None | NewBitmapKind::File(_) => return Ok(None),
        NewBitmapKind::Internal(_) => {
            let chunks = (new.sync_sectors.saturating_mul(SECTOR_BYTES)).div_ceil(new.chunk_bytes.max(1));
            // A chunk whose bit is not set would be left out of the first resync.
            let len = bits::bitmap_bytes(chunks).min(place.bitmap_sectors * SECTOR_BYTES).min(16 * BITMAP_PIECE);
            let len = whole.unwrap_or(len);
            (BitmapSuper::internal(&new), usize::try_from(len).unwrap_or(BITMAP_BLOCK))
        }
        NewBitmapKind::Lockless(_) => (BitmapSuper::lockless(&new, parts.design.assume_clean), BITMAP_BLOCK),
        NewBitmapKind::Clustered { nodes, .. } => {
            let sb = BitmapSuper::clustered(&new, nodes, parts.design.cluster.as_bytes());
            return Ok(sb.map(|sb| nodes_bytes(&sb, place)));
        }
    };
    let Some(mut sb) = sb else { return Err(Refusal::new("Given bitmap chunk size not supported.")) };
    sb.set_events(u64::from(parts.design.for_older && whole.is_none()));
    if matches!(parts.design.bitmap, NewBitmapKind::Internal(_)) {
        // Of no use there, but the reference does.
        sb.put_cluster_name(parts.design.cluster.as_bytes());
    }
    let mut bytes = sb.bytes().to_vec();
    bytes.resize(len.next_multiple_of(BITMAP_BLOCK), 0xff);
    Ok(Some(bytes))
}

/// The bitmaps of all nodes: the first node's bits are all set, those of the others are not.
fn nodes_bytes(sb: &BitmapSuper, place: &Placement) -> Vec<u8> {
    let all = usize::try_from(place.bitmap_sectors * SECTOR_BYTES).unwrap_or(0);
    let each = all / usize::try_from(sb.nodes()).unwrap_or(1).max(1);
    let mut bytes = vec![0; all];
    for (node, area) in bytes.chunks_exact_mut(each.max(BITMAP_BLOCK)).enumerate() {
        let (head, bits) = area.split_at_mut(header::SUPER_BYTES);
        head.copy_from_slice(sb.bytes());
        bits.fill(if node == 0 { 0xff } else { 0 });
    }
    bytes
}

fn clear_stale(member: &MemberFacts, steps: &mut Vec<Step>) {
    for (offset, len) in &member.stale_supers {
        steps.push(Step::Write {
            device: member.path.clone(),
            offset: *offset,
            bytes: vec![0; usize::try_from(*len).unwrap_or(0)],
            what: "clear an older md superblock".into(),
        });
    }
}

/// Zeroes the data areas (`--write-zeroes`). Older superblocks go first, that in the place of the new one too: if the zeroing
/// does not come to its end, no array of old may be found over what is left.
fn write_zeroes(parts: &Parts<'_>, steps: &mut Vec<Step>) {
    let mut areas = Vec::new();
    let holds_data = |a: &&Assigned| !a.journal;
    for (member, place) in parts.slots.assigned.iter().filter(holds_data).filter_map(|a| parts.member(a)) {
        clear_stale(member, steps);
        let device = member.path.clone();
        steps.push(Step::Write {
            device: device.clone(),
            offset: place.super_offset.0 * SECTOR_BYTES,
            bytes: vec![0; SUPER_BYTES],
            what: "clear the place of the superblock".into(),
        });
        steps.push(Step::Sync { device: device.clone() });
        let data = if parts.design.level.has_size() { parts.sizing.size } else { place.data_size };
        areas.push(ZeroArea { device, offset: place.data_offset.0 * SECTOR_BYTES, len: data.0 * SECTOR_BYTES });
    }
    steps.push(Step::Zero { areas });
}

/// The steps that write one member: older superblocks away, the bitmap, the superblock last, all made durable.
fn write_member(parts: &Parts<'_>, shared: &Shared, a: &Assigned, steps: &mut Vec<Step>) -> Result<(), Refusal> {
    let Some((member, place)) = parts.member(a) else { return Ok(()) };
    let device = member.path.clone();
    if !parts.design.write_zeroes || a.journal {
        clear_stale(member, steps);
    }
    let start = place.super_offset.0 * SECTOR_BYTES;
    if let Some(bytes) = bitmap_bytes(parts, place)? {
        let at = start.saturating_add_signed(i64::from(place.bitmap_offset) * 512);
        let what = match parts.design.bitmap {
            NewBitmapKind::Lockless(_) => "bitmap superblock version 6 (lockless)",
            NewBitmapKind::Clustered { .. } => "bitmaps of all nodes, version 5 (clustered), the first one's bits set",
            _ => "bitmap superblock version 4 and its bits, all set",
        };
        steps.push(Step::Write { device: device.clone(), offset: at, bytes, what: what.into() });
    }
    steps.extend(empty_log(parts, a, member, place));
    let bytes = match shared {
        Shared::V090(sb) => old::own(parts, sb, a).bytes().to_vec(),
        Shared::V1(sb) => own(sb, a.number, member, place, parts.design.no_log).write_bytes(member.block).to_vec(),
    };
    let what = match a.slot {
        Some(slot) => format!("superblock, active in slot {slot}"),
        None if a.journal => "superblock, journal".into(),
        None => "superblock, spare".into(),
    };
    steps.push(Step::Write { device: device.clone(), offset: start, bytes, what });
    steps.push(Step::Sync { device });
    Ok(())
}

/// What makes the log of a member empty: an older one of an array with the same uuid would be replayed.
fn empty_log(parts: &Parts<'_>, a: &Assigned, member: &MemberFacts, place: &Placement) -> Option<Step> {
    let uuid = parts.identity.uuid;
    let (at, bytes, what) = match parts.design.log {
        RaidLog::Journal if a.journal => {
            let [.., b0, b1, b2, b3] = member.device_uuid.0;
            let block = journal_block(uuid, u32::from_le_bytes([b0, b1, b2, b3]));
            (place.data_offset.0, block.to_vec(), "empty journal")
        }
        RaidLog::Ppl => {
            let at = place.super_offset.0.saturating_add_signed(place.bitmap_offset.into());
            (at, ppl_area(uuid, PPL_SECTORS), "empty partial parity log")
        }
        _ => return None,
    };
    Some(Step::Write { device: member.path.clone(), offset: at * SECTOR_BYTES, bytes, what: what.into() })
}

fn add_member(a: &Assigned, member: &MemberFacts, devname: &str) -> Step {
    use crate::kernel::md::disk;
    let mut state = if a.slot.is_some() { disk::ACTIVE | disk::SYNC } else { 0 };
    if a.journal {
        state |= disk::JOURNAL;
    }
    if member.write_mostly {
        state |= disk::WRITEMOSTLY;
    }
    if member.failfast {
        state |= disk::FAILFAST;
    }
    let int = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    Step::AddDisk {
        devname: devname.into(),
        device: member.path.clone(),
        spec: DiskSpec {
            number: int(a.number),
            major: int(member.dev.0),
            minor: int(member.dev.1),
            raid_disk: a.slot.map_or(-1, int),
            state,
        },
    }
}

/// The whole plan.
///
/// # Errors
/// A [`Refusal`] where the bitmap's chunk does not fit its field.
pub fn plan(parts: &Parts<'_>) -> Result<Plan, Refusal> {
    let shared = match parts.design.version {
        Version::V090 => Shared::V090(old::superblock(parts)),
        Version::V1(_) => Shared::V1(common(parts)),
    };
    let mut steps = Vec::new();
    let lockless = matches!(parts.design.bitmap, NewBitmapKind::Lockless(_));
    if let Some(node) = parts.node {
        let devname = node.devname.clone();
        steps.push(Step::NewArray {
            devname: devname.clone(),
            path: node.path.clone(),
            metadata: parts.design.version.word().into(),
            uuid: parts.identity.uuid,
        });
        if lockless {
            steps.push(Step::Sysfs {
                devname: devname.clone(),
                attr: "bitmap_type".into(),
                value: "llbitmap".into(),
                verify: Some("llbitmap".into()),
            });
        }
        steps.push(Step::SetArrayInfo { devname: devname.clone(), version: parts.design.version.numbers() });
        if let Some(bytes) = parts.logical_block_size {
            // A kernel without it must say so before anything is written.
            let (attr, value) = ("logical_block_size".to_owned(), bytes.to_string());
            steps.push(Step::Sysfs { devname, attr, verify: Some(value.clone()), value });
        }
    }
    if let Some(facts) = parts.bitmap_file {
        steps.push(facts.make(parts.force, &new_bitmap(parts, 0))?);
        // Before the members are written: a kernel without bitmap files says so here.
        steps.extend(parts.node.map(|node| bitmap_file::set(&node.devname, &facts.path, false)));
    }
    if parts.design.write_zeroes {
        write_zeroes(parts, &mut steps);
    }
    for a in &parts.slots.assigned {
        write_member(parts, &shared, a, &mut steps)?;
    }
    if let Some(node) = parts.node {
        for a in &parts.slots.assigned {
            if let Some((member, _)) = parts.member(a) {
                steps.push(add_member(a, member, &node.devname));
            }
        }
        start(parts, node, &mut steps);
    }
    Ok(Plan { steps })
}

/// Whether the kernel will zero the whole data area of every member at the first start (docs/lockless.md).
#[must_use]
pub fn kernel_zeroes(design: &Design, members: &[MemberFacts]) -> bool {
    matches!(design.bitmap, NewBitmapKind::Lockless(_))
        && design.level.is_parity()
        && !design.assume_clean
        && members.iter().all(|m| m.zeroes_by_unmap)
}

fn start(parts: &Parts<'_>, node: &Node, steps: &mut Vec<Step>) {
    let devname = node.devname.clone();
    if node.readonly {
        steps.push(Step::Sysfs {
            devname: devname.clone(),
            attr: "array_state".into(),
            value: "readonly".into(),
            verify: None,
        });
    } else {
        steps.push(Step::RunArray { devname: devname.clone() });
    }
    if kernel_zeroes(parts.design, parts.members) {
        steps.push(Step::Kernel { what: "zeroes the data area of every member before the array starts".into() });
    }
    if !node.readonly {
        steps.push(Step::RestartReadWrite { devname: devname.clone() });
    }
    steps.push(Step::Uevent { devname });
}
