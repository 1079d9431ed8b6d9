//! The members of an array: from the ioctls while it runs, from sysfs while it does not.

use std::path::Path;

use super::gather::Gathering;
use crate::device::ReadAt;
use crate::device::real::{Access, RealDevice};
use crate::error::reason;
use crate::host::Host;
use crate::host::devmap::DevMap;
use crate::host::node::OpenArray;
use crate::kernel::md::{self, disk};
use crate::output::detail::{Member, Present};
use crate::superblock::v0::{self, SuperV0};
use crate::superblock::v1::{self, Minor, Role, SuperV1};
use crate::sysfs::value::{MetadataVersion, Slot};
use crate::sysfs::{ArrayDir, MemberDir, attr};

/// More descriptors than any array has.
const MAX_DESCRIPTORS: i32 = 4096;

/// What the members said.
#[derive(Debug, Default)]
pub struct Read {
    /// In the order of the table.
    pub members: Vec<Member>,
    /// In the kernel's order, as indices into `members`.
    pub listed: Vec<usize>,
    /// The superblock of one that is in the array.
    pub superblock: Option<SuperV1>,
    /// The same of version 0.90.
    pub old_superblock: Option<SuperV0>,
    /// Running: members whose state is nothing at all.
    pub plain_spares: u32,
    /// Inactive: what each says.
    pub present: Vec<Present>,
}

/// The members of a running array.
pub fn running(g: &Gathering<'_>, array: &OpenArray, info: &md::ArrayInfo) -> Read {
    let mut read = Read::default();
    let mut found = descriptors(g, array, info, &mut read.plain_spares);
    found.sort_by_key(|m| m.number);
    for slot in 0..u32::try_from(info.raid_disks).unwrap_or(0).min(MAX_DESCRIPTORS.unsigned_abs()) {
        let (mut here, rest): (Vec<Member>, Vec<Member>) = found.into_iter().partition(|m| m.slot == Some(slot));
        found = rest;
        if here.is_empty() {
            here.push(Member { slot: Some(slot), removed: true, ..Member::default() });
        }
        read.members.extend(here);
    }
    read.members.extend(found);
    read.listed = listed(&array.sysfs, &read.members);
    let minor = minor_of(&array.sysfs);
    let good: Vec<&str> =
        read.members.iter().filter(|m| m.active && !m.faulty).filter_map(|m| m.path.as_deref()).collect();
    match minor {
        Some(minor) => read.superblock = good.iter().find_map(|p| superblock(p, minor).ok()),
        None if info.major_version == 0 && info.not_persistent == 0 && !is_external(&array.sysfs) => {
            read.old_superblock = good.iter().find_map(|p| old_superblock(p));
        }
        None => {}
    }
    read
}

/// All descriptors that the kernel has.
fn descriptors(g: &Gathering<'_>, array: &OpenArray, info: &md::ArrayInfo, spares: &mut u32) -> Vec<Member> {
    let mut found = Vec::new();
    let wanted = usize::try_from(info.nr_disks).unwrap_or(0);
    for number in 0..MAX_DESCRIPTORS {
        if found.len() >= wanted {
            break;
        }
        let Ok(d) = md::get_disk_info(&array.file, number) else { continue };
        if d.major != 0 || d.minor != 0 {
            *spares += u32::from(d.state == 0);
            found.push(member(g, array, &d));
        }
    }
    found
}

fn member(g: &Gathering<'_>, array: &OpenArray, d: &md::DiskInfo) -> Member {
    let has = |bit: i32| d.state & bit != 0;
    let dev = (u32::try_from(d.major).unwrap_or(0), u32::try_from(d.minor).unwrap_or(0));
    let kname = g.host.sysfs.block_name(dev);
    // The ioctl does not tell of replacements.
    let state = kname.as_deref().and_then(|k| array.sysfs.member(k).get(attr::STATE));
    Member {
        number: u32::try_from(d.number).ok(),
        dev,
        gone: kname.is_none(),
        path: kname.as_ref().and_then(|_| g.devices.path(dev, g.prefer)).map(str::to_owned),
        kname,
        // The kernel gives the log device slot 0.
        slot: u32::try_from(d.raid_disk).ok().filter(|_| !has(disk::JOURNAL)),
        faulty: has(disk::FAULTY),
        active: has(disk::ACTIVE),
        in_sync: has(disk::SYNC),
        write_mostly: has(disk::WRITEMOSTLY),
        failfast: has(disk::FAILFAST),
        journal: has(disk::JOURNAL),
        replacement: state.is_some_and(|s| s.has("replacement")),
        ..Member::default()
    }
}

/// Indices of the members in the order of sysfs.
fn listed(sysfs: &ArrayDir, members: &[Member]) -> Vec<usize> {
    let index = |m: &MemberDir| {
        let dev = m.get(attr::BLOCK_DEV)?;
        members.iter().position(|x| !x.removed && x.dev == (dev.major, dev.minor))
    };
    sysfs.members().iter().filter_map(index).collect()
}

/// The members of an array that does not run, in the order of sysfs.
pub fn inactive(g: &Gathering<'_>, sysfs: &ArrayDir) -> Read {
    let mut read = Read::default();
    let minor = minor_of(sysfs);
    let mut newest = None;
    for dir in sysfs.members() {
        let dev = dir.get(attr::BLOCK_DEV).map(|d| (d.major, d.minor));
        let path = dev.and_then(|d| g.devices.path(d, g.prefer)).map(str::to_owned);
        let device = path.clone().unwrap_or_else(|| dir.name().to_owned());
        let sb = match (&path, minor) {
            (Some(path), Some(minor)) => superblock(path, minor),
            (None, _) => Err("has no node in /dev".to_owned()),
            (_, None) => Err("its metadata is not of version 1.x".to_owned()),
        };
        let slot = match (&sb, dir.get(attr::SLOT)) {
            (Ok(sb), _) => role_slot(sb.role()),
            (_, Some(Slot::At(n))) => Some(n),
            _ => None,
        };
        read.present.push(Present {
            device,
            slot,
            events: sb.as_ref().ok().map(SuperV1::events),
            problem: sb.as_ref().err().cloned(),
        });
        if let Ok(sb) = sb
            && newest.as_ref().is_none_or(|n: &SuperV1| sb.events() > n.events())
        {
            newest = Some(sb);
        }
        read.listed.push(read.members.len());
        let kname = Some(dir.name().to_owned());
        read.members.push(Member { dev: dev.unwrap_or((0, 0)), kname, path, unstarted: true, ..Member::default() });
    }
    read.superblock = newest;
    read
}

fn role_slot(role: Role) -> Option<u32> {
    match role {
        Role::Slot(n) => Some(n.into()),
        Role::Spare | Role::Faulty | Role::Journal => None,
    }
}

/// Which slots hold a member whose data is complete.
pub fn in_sync_slots(members: &[Member], raid_disks: u32) -> Vec<bool> {
    let good = |slot| members.iter().any(|m| m.slot == Some(slot) && m.in_sync && !m.faulty);
    (0..raid_disks.min(MAX_DESCRIPTORS.unsigned_abs())).map(good).collect()
}

/// The minor version of an array with v1.x metadata.
fn minor_of(sysfs: &ArrayDir) -> Option<Minor> {
    match sysfs.get(attr::METADATA_VERSION)? {
        MetadataVersion::Md { major: 1, minor } => Minor::from_number(minor),
        _ => None,
    }
}

/// Whether another program keeps the metadata.
fn is_external(sysfs: &ArrayDir) -> bool {
    matches!(sysfs.get(attr::METADATA_VERSION), Some(MetadataVersion::External(_)))
}

/// Reads a member's superblock of version 0.90.
fn old_superblock(path: &str) -> Option<SuperV0> {
    let device = RealDevice::open(Path::new(path), Access::Read).ok()?;
    v0::read(&device).ok().flatten()
}

/// Reads a member's superblock; its fields are shown only, so its checksum is all that is judged.
fn superblock(path: &str, minor: Minor) -> Result<SuperV1, String> {
    let device =
        RealDevice::open(Path::new(path), Access::Read).map_err(|e| format!("cannot be opened: {}", reason(&e)))?;
    let found = v1::read(&device as &dyn ReadAt, minor).map_err(|e| e.to_string())?;
    let sb = found.ok_or("holds no superblock any more")?;
    let expected = sb.computed_csum();
    if sb.sb_csum() != expected {
        return Err(format!("its superblock has checksum {:x}, expected {expected:x}", sb.sb_csum()));
    }
    Ok(sb)
}

/// The path and the superblock of any member that can be read.
#[must_use]
pub fn any_superblock(host: &Host, devices: &DevMap, sysfs: &ArrayDir) -> Option<(String, SuperV1)> {
    let minor = minor_of(sysfs)?;
    let path = |m: &MemberDir| {
        let dev = m.get(attr::BLOCK_DEV)?;
        host.sysfs.block_name((dev.major, dev.minor))?;
        devices.path((dev.major, dev.minor), None)
    };
    let read = |m: &MemberDir| path(m).and_then(|p| Some((p.to_owned(), superblock(p, minor).ok()?)));
    sysfs.members().iter().find_map(read)
}
