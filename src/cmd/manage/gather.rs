//! What a running array is made of, for manage mode.

use crate::host::Host;
use crate::host::node::OpenArray;
use crate::kernel::md;
use crate::level::Level;
use crate::plan::manage::{ArrayFacts, Member, facts};
use crate::sysfs::value::{Maybe, Slot};
use crate::sysfs::{MemberDir, attr};

/// More descriptors than any array has.
const MAX_DESCRIPTORS: i32 = 4096;

/// Reads the array's members from sysfs and the descriptors; `None` where it has no level (it does not run).
#[must_use]
pub fn array(host: &Host, open: &OpenArray) -> Option<ArrayFacts> {
    let level = open.sysfs.get(attr::LEVEL).and_then(|w| Level::parse(&w.0))?;
    let mut members: Vec<Member> = open.sysfs.members().iter().map(member).collect();
    let nr_disks = md::get_array_info(&open.file).map_or(0, |i| i.nr_disks);
    let mut found = 0;
    for number in 0..MAX_DESCRIPTORS {
        if found >= nr_disks {
            break;
        }
        let Ok(d) = md::get_disk_info(&open.file, number) else { continue };
        if d.major == 0 && d.minor == 0 {
            continue;
        }
        found += 1;
        let dev = (u32::try_from(d.major).unwrap_or(0), u32::try_from(d.minor).unwrap_or(0));
        let known = members.iter_mut().find(|m| m.dev == Some(dev));
        let member = match known {
            Some(member) => member,
            // Its device is gone: sysfs has its name, but no number.
            None => match members.iter_mut().find(|m| m.dev.is_none() && m.number.is_none()) {
                Some(member) => member,
                None => continue,
            },
        };
        member.dev = Some(dev);
        member.number = u32::try_from(number).ok();
        member.gone = host.sysfs.block_name(dev).is_none();
    }
    members.sort_by_key(|m| m.number.unwrap_or(u32::MAX));
    Some(ArrayFacts {
        devname: open.name.devname.clone(),
        shown: open.name.path.display().to_string(),
        level,
        layout: open.sysfs.get(attr::LAYOUT).unwrap_or(0),
        slots: facts::slots(&open.sysfs.text(attr::RAID_DISKS.name()).ok().flatten().unwrap_or_default()),
        reshaping: open.sysfs.get(attr::RESHAPE_POSITION).and_then(Maybe::some).is_some(),
        members,
    })
}

fn member(dir: &MemberDir) -> Member {
    let state = dir.get(attr::STATE).unwrap_or_default();
    let ranges = [attr::BAD_BLOCKS, attr::UNACKNOWLEDGED_BAD_BLOCKS].into_iter().filter_map(|a| dir.get(a));
    let ranges: Vec<(u64, u64)> = ranges.flat_map(|r| r.0).collect();
    let offset = if ranges.is_empty() { 0 } else { dir.get(attr::OFFSET).unwrap_or(0) };
    Member {
        kname: dir.name().replace('!', "/"),
        dev: dir.get(attr::BLOCK_DEV).map(|d| (d.major, d.minor)),
        number: None,
        slot: match dir.get(attr::SLOT) {
            Some(Slot::At(slot)) => Some(slot),
            _ => None,
        },
        faulty: state.has("faulty"),
        in_sync: state.has("in_sync"),
        journal: state.has("journal"),
        replacement: state.has("replacement"),
        gone: false,
        bad: ranges.into_iter().map(|(at, len)| (at.saturating_sub(offset), len)).collect(),
    }
}
