//! What a running array is made of, as far as its bitmap concerns it.

use std::path::PathBuf;

use crate::bitmap::header::BitmapSuper;
use crate::blockio::ReadAt;
use crate::device::real::{Access, RealDevice};
use crate::host::Host;
use crate::host::devmap::DevMap;
use crate::host::node::OpenArray;
use crate::kernel::md;
use crate::level::Level;
use crate::plan::create::sizing::sync_sectors;
use crate::plan::grow::bitmap::{Facts, Member, Now};
use crate::plan::grow::space::Lies;
use crate::plan::known_faults;
use crate::plan::sync_action;
use crate::superblock::v1::{self, Minor, SuperV1, feature};
use crate::superblock::{Version, v0};
use crate::sysfs::value::{ArrayState, MetadataVersion, Slot, SyncAction};
use crate::sysfs::{ArrayDir, MemberDir, attr};
use crate::units::{SECTOR_BYTES, Sectors};
use crate::uuid::Uuid;

/// The first release that takes a lockless bitmap on a running array: it looks at the bitmap's version itself.
const ONLINE_SINCE: u32 = 7;

/// Reads it all. The members' superblocks too: what the kernel has of them is on disk as long as nothing changes them.
pub(super) fn facts(host: &Host, open: &OpenArray) -> Facts {
    let sysfs = &open.sysfs;
    let level = sysfs.get(attr::LEVEL).and_then(|w| Level::parse(&w.0));
    let version = version(sysfs);
    let devices = DevMap::read(host);
    let mut uuid = Uuid([0; 16]);
    let members: Vec<Member> = sysfs
        .members()
        .iter()
        .filter(|m| !m.get(attr::STATE).is_some_and(|s| s.has("faulty") || s.has("journal")))
        .filter_map(|m| member(&devices, m, version, &mut uuid))
        .collect();
    let size = Sectors(sysfs.get(attr::COMPONENT_SIZE).unwrap_or(0).saturating_mul(2));
    let chunk = Sectors(sysfs.get(attr::CHUNK_SIZE).unwrap_or(0) / SECTOR_BYTES);
    let (layout, slots) = (sysfs.get(attr::LAYOUT).unwrap_or(0), sysfs.get(attr::RAID_DISKS).unwrap_or(0));
    let now = now(open);
    let shown = open.name.path.display().to_string();
    let release = host.release();
    let mut facts = Facts {
        devname: open.name.devname.clone(),
        level,
        version,
        uuid,
        sync: level.map_or(size, |l| sync_sectors(l, layout, chunk, slots, size)),
        size,
        now,
        unsafe_because: unsafe_because(&shown, sysfs),
        log: log(sysfs),
        lacks: sysfs.llbitmap_support().ok().and_then(|s| s.missing(&release)),
        offline_only: offline_only(&release),
        room_in_force: sysfs.get(attr::BITMAP_SPACE).filter(|_| matches!(now, Now::Internal(_))).unwrap_or(0),
        members,
        shown,
    };
    if let Now::Lockless(offset) = now
        && let Some(sb) = bitmap_super(&facts, offset)
    {
        facts.room_in_force = sb.sectors_reserved().into();
    }
    facts
}

/// The superblock of the bitmap on the first active member.
pub(super) fn bitmap_super(facts: &Facts, offset: i64) -> Option<BitmapSuper> {
    let member = facts.members.iter().find(|m| m.active)?;
    let at = start(member, offset)?;
    BitmapSuper::read(&RealDevice::open(&member.path, Access::Read).ok()?, at).ok()
}

/// The byte of a member where a bitmap at this offset starts.
pub(super) fn start(member: &Member, offset: i64) -> Option<u64> {
    let sector = i128::from(member.lies?.at) + i128::from(offset);
    u64::try_from(sector).ok()?.checked_mul(SECTOR_BYTES)
}

pub(super) fn version(sysfs: &ArrayDir) -> Option<Version> {
    match sysfs.get(attr::METADATA_VERSION)? {
        MetadataVersion::Md { major: 0, .. } => Some(Version::V090),
        MetadataVersion::Md { major: 1, minor } => Minor::from_number(minor).map(Version::V1),
        _ => None,
    }
}

fn member(devices: &DevMap, dir: &MemberDir, version: Option<Version>, uuid: &mut Uuid) -> Option<Member> {
    let dev = dir.get(attr::BLOCK_DEV)?;
    let path = PathBuf::from(devices.path((dev.major, dev.minor), None)?);
    let state = dir.get(attr::STATE).unwrap_or_default();
    let active = matches!(dir.get(attr::SLOT), Some(Slot::At(_))) && state.has("in_sync");
    let opened = RealDevice::open(&path, Access::Read).ok();
    let lies = opened.zip(version).and_then(|(device, version)| match version {
        Version::V090 => {
            let sb = v0::read(&device).ok()??;
            *uuid = sb.bitmap_uuid();
            let at = v0::super_offset(device.size())?.sectors().0;
            Some(Lies { at, data: 0, data_end: at, log: None })
        }
        Version::V1(minor) => {
            let sb = v1::read(&device, minor).ok()??;
            *uuid = sb.set_uuid();
            Some(lies(&sb))
        }
    });
    Some(Member { path, active, lies })
}

fn lies(sb: &SuperV1) -> Lies {
    let log = sb.has(feature::BAD_BLOCKS) || sb.bblog_offset() != 0;
    Lies {
        at: sb.super_offset(),
        data: sb.data_offset(),
        data_end: sb.data_offset().saturating_add(sb.data_size()),
        log: log.then(|| (sb.bblog_offset().into(), sb.bblog_size().max(8).into())),
    }
}

pub(super) fn now(open: &OpenArray) -> Now {
    if matches!(md::get_bitmap_file(&open.file), Ok(Some(_))) {
        return Now::File;
    }
    let Ok(info) = md::get_array_info(&open.file) else { return Now::None };
    if info.state & md::sb::BITMAP_PRESENT == 0 {
        return Now::None;
    }
    if info.state & md::sb::CLUSTERED != 0 {
        return Now::Clustered;
    }
    let location = open.sysfs.get(attr::BITMAP_LOCATION).and_then(|w| w.0.parse::<i64>().ok());
    let active = open.sysfs.get(attr::BITMAP_TYPE).and_then(|l| l.active);
    if active.as_deref() == Some("llbitmap") {
        let meta = open.sysfs.get(attr::LLBITMAP_METADATA);
        // v1.0: printed without its sign.
        let told = meta.and_then(|m| m.number("offset")).map(u64::cast_signed);
        return Now::Lockless(told.or(location).unwrap_or(0));
    }
    Now::Internal(location.unwrap_or(0))
}

pub(super) fn log(sysfs: &ArrayDir) -> Option<&'static str> {
    match sysfs.get(attr::CONSISTENCY_POLICY)?.0.as_str() {
        "ppl" => Some("PPL"),
        "journal" => Some("journal"),
        _ => None,
    }
}

fn offline_only(release: &str) -> Option<String> {
    (known_faults::numbers(release)?.0 < ONLINE_SINCE).then(|| {
        format!(
            "this kernel ({release}) takes no lockless bitmap on a running array; Linux {ONLINE_SINCE}.0 and later do"
        )
    })
}

/// Why an array is not whole, in sync and at rest, and what to do about it.
pub(super) fn unsafe_because(shown: &str, sysfs: &ArrayDir) -> Option<(String, String)> {
    let state = sysfs.get(attr::ARRAY_STATE);
    if matches!(state, Some(ArrayState::Readonly | ArrayState::ReadAuto)) {
        return Some(("it is read-only".into(), format!("make it writable first: mdadm --readwrite {shown}")));
    }
    match sysfs.get(attr::SYNC_ACTION) {
        None | Some(SyncAction::Idle) => {}
        Some(SyncAction::Frozen) => {
            return Some((
                "its sync actions are held back".into(),
                format!("let them go: mdadm --action=idle {shown}"),
            ));
        }
        Some(action) => {
            let word = action.word().to_owned();
            return Some((format!("a {word} runs"), sync_action::busy(shown, &word)));
        }
    }
    if sysfs.get(attr::DEGRADED).is_some_and(|n| n > 0) {
        let what =
            format!("add what is missing and wait for its rebuild: mdadm {shown} --add DEVICE; mdadm --wait {shown}");
        return Some(("it is degraded".into(), what));
    }
    let synced = sysfs.text(attr::RESYNC_START.name()).ok().flatten();
    if synced.is_some_and(|t| t.trim() != "none") {
        return Some(("it is not in sync yet".into(), format!("wait for its resync: mdadm --wait {shown}")));
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn kernels_that_have_lockless_bitmaps_but_cannot_switch_to_one_online_say_so_and_later_ones_do_it() {
        for old in ["6.18.0", "6.18.37+deb14-amd64", "6.19.2"] {
            let why = offline_only(old).unwrap();
            assert!(why.contains(old) && why.contains("Linux 7.0 and later do"), "{why}");
        }
        for able in ["7.0.0-rc1", "7.2.13", "8.1", "what"] {
            assert_eq!(offline_only(able), None, "{able}");
        }
    }
}
