//! What a running array is made of, as far as a change of its geometry concerns it.

use std::path::PathBuf;

use super::Running;
use super::bitmap_gather;
use crate::blockio::ReadAt;
use crate::device::real::{Access, RealDevice};
use crate::error::Refusal;
use crate::host::devmap::DevMap;
use crate::level::Level;
use crate::plan::grow::bitmap::Now;
use crate::plan::grow::shape::{Part, Shape};
use crate::plan::place::spare_bitmap_sectors;
use crate::superblock::foreign::{InUse, in_use};
use crate::superblock::v1::{self, Minor, SUPER_BYTES, SuperV1};
use crate::superblock::{Version, v0};
use crate::sysfs::value::{ArrayState, Slot, SyncAction};
use crate::sysfs::{MemberDir, attr};
use crate::units::{SECTOR_BYTES, Sectors};

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
    let movable = bitmap == Now::None || matches!(version, Some(Version::V1(Minor::V1 | Minor::V2)) | None);
    Ok(Shape {
        devname: running.array.name.devname.clone(),
        level,
        version,
        layout: sysfs.get(attr::LAYOUT).unwrap_or(0),
        chunk: Sectors(sysfs.get(attr::CHUNK_SIZE).unwrap_or(0) / SECTOR_BYTES),
        slots: sysfs.get(attr::RAID_DISKS).unwrap_or(0),
        size: sysfs.get(attr::COMPONENT_SIZE).unwrap_or(0),
        limited: sysfs.get(attr::ARRAY_SIZE).and_then(|m| m.some()),
        readonly: matches!(state, Some(ArrayState::Readonly | ArrayState::ReadAuto)),
        frozen: action == Some(SyncAction::Frozen),
        syncs: action.is_some(),
        action: action.filter(|a| !matches!(a, SyncAction::Idle | SyncAction::Frozen)).map(|a| a.word().to_owned()),
        bitmap,
        log: bitmap_gather::log(sysfs),
        parts: sysfs.members().iter().map(|m| part(&devices, m, version, movable)).collect(),
        shown,
    })
}

fn part(devices: &DevMap, dir: &MemberDir, version: Option<Version>, movable: bool) -> Part {
    let state = dir.get(attr::STATE).unwrap_or_default();
    let dev = dir.get(attr::BLOCK_DEV);
    let path = dev.and_then(|d| devices.path((d.major, d.minor), None)).map(PathBuf::from);
    let (faulty, journal) = (state.has("faulty"), state.has("journal"));
    let (offset, size) = (dir.get(attr::OFFSET).unwrap_or(0), dir.get(attr::SIZE).unwrap_or(0));
    let room = path.as_ref().filter(|_| movable && !faulty && !journal).and_then(|path| {
        let device = RealDevice::open(path, Access::Read).ok()?;
        Some(room_sectors(&device, version, offset, size.saturating_mul(2))? / 2)
    });
    Part {
        shown: path.map_or_else(|| dir.name().to_owned(), |p| p.display().to_string()),
        name: dir.name().to_owned(),
        slot: match dir.get(attr::SLOT) {
            Some(Slot::At(slot)) => Some(slot),
            _ => None,
        },
        in_sync: state.has("in_sync"),
        faulty,
        journal,
        size,
        room,
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

/// What is on the array.
pub(super) fn contents(running: &Running<'_>) -> Vec<InUse> {
    let path = running.host.dev.join(&running.array.name.devname);
    let Ok(device) = RealDevice::open(&path, Access::Read) else { return Vec::new() };
    let block = running.array.sysfs.logical_block_size().and_then(|b| u32::try_from(b).ok()).unwrap_or(512);
    in_use(&device, block)
}
