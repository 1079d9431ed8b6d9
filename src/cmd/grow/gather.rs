//! What a running array is made of, as far as a change of its geometry concerns it.

use std::path::{Path, PathBuf};

use super::Running;
use super::bitmap_gather;
use crate::bitmap::header;
use crate::blockio::ReadAt;
use crate::device::real::{Access, RealDevice};
use crate::error::{Refusal, reason};
use crate::host::devmap::{DevMap, block_dev};
use crate::level::Level;
use crate::plan::grow::bitmap::Now;
use crate::plan::grow::shape::{Part, Shape};
use crate::plan::place::spare_bitmap_sectors;
use crate::plan::step::Step;
use crate::superblock::foreign::{InUse, in_use};
use crate::superblock::v1::{self, Minor, SUPER_BYTES, SuperV1};
use crate::superblock::{Version, v0};
use crate::sysfs::value::{ArrayState, Slot, SyncAction};
use crate::sysfs::{ArrayDir, MemberDir, attr};
use crate::units::{SECTOR_BYTES, Sectors};

/// Sectors behind the start of a superblock that the kernel keeps data away from.
const BEHIND_SUPER: u64 = 72;
/// Sectors of a page and of a superblock.
const PAGE_SECTORS: u64 = 8;
/// How far behind the data the superblock of a v1.0 member is looked for: a bitmap and a log lie in between.
const MOST_PAGES_BEHIND: u64 = 2048;

/// Reads it all.
///
/// # Errors
/// It does not run.
pub(super) fn shape(running: &Running<'_>) -> Result<Shape, Refusal> {
    let sysfs = &running.array.sysfs;
    let shown = running.array.name.path.display().to_string();
    let state = sysfs.get(attr::ARRAY_STATE);
    let level = sysfs.get(attr::LEVEL).and_then(|w| Level::parse(&w.0));
    let Some(level) = level.filter(|_| state.as_ref().is_some_and(ArrayState::is_running)) else {
        return Err(Refusal::new(format!("failed to get array info for {shown}"))
            .hint(format!("{shown} does not run: start it first (mdadm --run {shown})")));
    };
    let version = bitmap_gather::version(sysfs);
    let bitmap = bitmap_gather::now(&running.array);
    let action = sysfs.get(attr::SYNC_ACTION);
    let devices = DevMap::read(running.host);
    let behind_bitmap = behind_bitmap(running, bitmap);
    let movable = bitmap == Now::None || matches!(version, Some(Version::V1(Minor::V1 | Minor::V2)) | None);
    Ok(Shape {
        devname: running.array.name.devname.clone(),
        level,
        version,
        layout: sysfs.get(attr::LAYOUT).unwrap_or(0),
        chunk: Sectors(sysfs.get(attr::CHUNK_SIZE).unwrap_or(0) / SECTOR_BYTES),
        slots: sysfs.get(attr::RAID_DISKS).unwrap_or(0),
        size: sysfs.get(attr::COMPONENT_SIZE).unwrap_or(0),
        offered: sysfs.size_sectors().unwrap_or(0) / 2,
        resync_pending: sysfs.text(attr::RESYNC_START.name()).ok().flatten().is_some_and(|t| t.trim() != "none"),
        request: request(sysfs),
        stripe_cache: sysfs.get(attr::STRIPE_CACHE_SIZE),
        limited: sysfs.get(attr::ARRAY_SIZE).and_then(|m| m.some()),
        readonly: matches!(state, Some(ArrayState::Readonly | ArrayState::ReadAuto)),
        frozen: action == Some(SyncAction::Frozen),
        syncs: action.is_some(),
        action: action.filter(|a| !matches!(a, SyncAction::Idle | SyncAction::Frozen)).map(|a| a.word().to_owned()),
        bitmap,
        log: bitmap_gather::log(sysfs),
        parts: sysfs.members().iter().map(|m| part(&devices, m, version, movable, behind_bitmap)).collect(),
        shown,
    })
}

/// Sectors from the superblock to the end of the bitmap's room, where it lies before the data; `None`: nobody knows.
fn behind_bitmap(running: &Running<'_>, bitmap: Now) -> Option<u64> {
    let room = |offset: i64, sectors: u64| u64::try_from(offset).unwrap_or(0).saturating_add(sectors);
    match bitmap {
        Now::None | Now::File => Some(0),
        Now::Internal(offset) if offset < 0 => Some(0),
        Now::Internal(offset) => {
            let sync = bitmap_gather::facts(running.host, &running.array).sync.0.saturating_mul(SECTOR_BYTES);
            let chunk = running.array.sysfs.get(attr::BITMAP_CHUNKSIZE).filter(|c| *c > 0)?;
            let bytes = header::SUPER_BYTES as u64 + sync.div_ceil(chunk).div_ceil(8);
            Some(room(offset, bytes.div_ceil(PAGE_SECTORS * SECTOR_BYTES) * PAGE_SECTORS))
        }
        Now::Lockless(offset) => {
            let facts = bitmap_gather::facts(running.host, &running.array);
            Some(room(offset, facts.room_in_force)).filter(|_| facts.room_in_force > 0)
        }
        Now::Clustered => None,
    }
}

/// Sectors: where data could start, as `super_1_allow_new_offset` says; where nobody knows, where they do.
fn least_offset(device: &RealDevice, version: Option<Version>, behind_bitmap: Option<u64>) -> Option<u64> {
    let Some(Version::V1(minor)) = version else { return None };
    let sb = v1::read(device, minor).ok()??;
    if minor == Minor::V0 {
        return Some(0);
    }
    let log = u64::try_from(sb.bblog_offset()).unwrap_or(0).saturating_add(sb.bblog_size().into());
    Some(sb.super_offset().saturating_add(log.max(behind_bitmap?).max(BEHIND_SUPER)))
}

fn part(
    devices: &DevMap,
    dir: &MemberDir,
    version: Option<Version>,
    movable: bool,
    behind_bitmap: Option<u64>,
) -> Part {
    let state = dir.get(attr::STATE).unwrap_or_default();
    let dev = dir.get(attr::BLOCK_DEV);
    let path = dev.and_then(|d| devices.path((d.major, d.minor), None)).map(PathBuf::from);
    let (faulty, journal) = (state.has("faulty"), state.has("journal"));
    let (offset, size) = (dir.get(attr::OFFSET).unwrap_or(0), dir.get(attr::SIZE).unwrap_or(0));
    let room = path.as_ref().filter(|_| movable && !faulty && !journal).and_then(|path| {
        let device = RealDevice::open(path, Access::Read).ok()?;
        Some(room_sectors(&device, version, offset, size.saturating_mul(2))? / 2)
    });
    let least = path
        .as_ref()
        .filter(|_| !faulty)
        .and_then(|path| least_offset(&RealDevice::open(path, Access::Read).ok()?, version, behind_bitmap));
    Part {
        offset,
        least_offset: least.unwrap_or(offset),
        shown: path.map_or_else(|| dir.name().to_owned(), |p| p.display().to_string()),
        name: dir.name().to_owned(),
        slot: match dir.get(attr::SLOT) {
            Some(Slot::At(slot)) => Some(slot),
            _ => None,
        },
        in_sync: state.has("in_sync"),
        faulty,
        journal,
        bad: [attr::BAD_BLOCKS, attr::UNACKNOWLEDGED_BAD_BLOCKS]
            .into_iter()
            .any(|a| dir.get(a).is_some_and(|ranges| !ranges.0.is_empty())),
        replacement: state.has("replacement"),
        size,
        room,
    }
}

/// With `--plan`: a device of `--add`, as the steps that were planned for it make it; a raid0 takes none before it has another
/// level, and then it becomes like the others.
pub(super) fn added(running: &Running<'_>, shape: &Shape, path: &Path) -> Part {
    let written = running.shown.steps.iter().find_map(|step| match step {
        Step::Write { device, bytes, .. } if device == path => {
            let mut whole = [0; SUPER_BYTES];
            whole.get_mut(..bytes.len())?.copy_from_slice(bytes);
            SuperV1::from_bytes(&whole)
        }
        _ => None,
    });
    let most = |of: fn(&Part) -> u64| shape.parts.iter().map(of).max().unwrap_or(0);
    let (offset, least_offset) = (most(|p| p.offset), most(|p| p.least_offset));
    let sectors = RealDevice::open(path, Access::Read).map_or(0, |d| d.size().sectors().0);
    let (offset, room) = match &written {
        Some(sb) => (sb.data_offset(), sb.data_size()),
        None => (offset, sectors.saturating_sub(offset)),
    };
    let name = block_dev(path).and_then(|dev| running.host.sysfs.block_name(dev));
    Part {
        shown: path.display().to_string(),
        name: name.unwrap_or_default(),
        slot: None,
        in_sync: false,
        faulty: false,
        journal: false,
        bad: false,
        replacement: false,
        size: room / 2,
        room: Some(room / 2),
        offset,
        least_offset: least_offset.min(offset),
    }
}

/// Sectors that the kernel would let data take (`rdev_size_change` of each metadata version), and no more than up to the
/// bad-block log. `now` are those that it takes.
fn room_sectors(device: &RealDevice, version: Option<Version>, offset: u64, now: u64) -> Option<u64> {
    let size = device.size().sectors();
    match version {
        None | Some(Version::V1(Minor::V1 | Minor::V2)) => size.0.checked_sub(offset),
        Some(Version::V090) => Some(v0::super_offset(device.size())?.sectors().0),
        Some(Version::V1(Minor::V0)) => {
            let at = v1::super_offset(Minor::V0, size)?.0;
            let log = super_behind(device, now)?.bblog_offset().min(0);
            let before_log = at.checked_add_signed(log.into())?;
            Some(at.checked_sub(spare_bitmap_sectors(size) + PAGE_SECTORS)?.min(before_log))
        }
    }
}

/// The superblock behind the data of a v1.0 member, also of one whose device has grown since.
fn super_behind(device: &RealDevice, data_end: u64) -> Option<SuperV1> {
    if let Ok(Some(sb)) = v1::read(device, Minor::V0) {
        return Some(sb);
    }
    let first = data_end.next_multiple_of(PAGE_SECTORS);
    (0..MOST_PAGES_BEHIND).map(|n| first + n * PAGE_SECTORS).find_map(|at| {
        let mut bytes = [0; SUPER_BYTES];
        device.read_at(at.checked_mul(SECTOR_BYTES)?, &mut bytes).ok()?;
        SuperV1::from_bytes(&bytes).filter(|sb| sb.super_offset() == at)
    })
}

/// KiB of the largest request.
pub(super) fn request(sysfs: &ArrayDir) -> Option<u64> {
    sysfs.text("../queue/max_sectors_kb").ok().flatten()?.trim().parse().ok()
}

/// What is on the array.
pub(super) fn contents(running: &Running<'_>) -> Vec<InUse> {
    let path = running.host.dev.join(&running.array.name.devname);
    let device = match RealDevice::open(&path, Access::Read) {
        Ok(device) => device,
        // Nobody knows, and so it is taken for full.
        Err(e) => {
            let name = format!("unknown data ({} cannot be opened: {})", path.display(), reason(&e));
            return vec![InUse { name, end: None }];
        }
    };
    let block = running.array.sysfs.logical_block_size().and_then(|b| u32::try_from(b).ok()).unwrap_or(512);
    in_use(&device, block)
}
