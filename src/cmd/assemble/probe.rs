//! What is on the devices that may be members.

use std::path::Path;

use crate::bitmap::summary;
use crate::blockio::ReadAt;
use crate::device::cache::ReadOnce;
use crate::device::real::{Access, NodeKind, RealDevice};
use crate::error::reason;
use crate::host::Host;
use crate::kernel::clock;
use crate::plan::assemble::{Candidate, Content, Member, Update, Wishes};
use crate::plan::startable;
use crate::superblock::v0::{self, SuperV0};
use crate::superblock::v1::{SuperV1, read, read_any};
use crate::superblock::{Version, foreign};
use crate::units::Sectors;

/// In seconds.
const DAY: u64 = 24 * 3600;

/// Reads what is on a device; every failure is a line of its own.
pub fn candidate(host: &Host, path: &Path, wishes: &Wishes) -> Candidate {
    let mut c = Candidate {
        path: path.to_owned(),
        dev: (0, 0),
        size: Sectors(0),
        block: 512,
        content: Content::Unusable(format!("{} is not a block device.", path.display())),
    };
    match RealDevice::open(path, Access::Read) {
        Err(e) if e.raw_os_error() != Some(libc::ENOTBLK) => {
            c.content = Content::Unusable(format!("cannot open device {}: {}", path.display(), reason(&e)));
        }
        Ok(device) if device.kind() == NodeKind::Block => {
            c.dev = device.dev();
            c.size = device.size().sectors();
            c.block = device.logical_block_size();
            c.content = content(host, path, &device, &ReadOnce::new(&device), wishes);
        }
        _ => {}
    }
    c
}

/// As for `--examine`, of two superblocks the one created last counts.
fn content(host: &Host, path: &Path, device: &RealDevice, once: &ReadOnce<'_>, wishes: &Wishes) -> Content {
    let found = match wishes.version {
        Some(Version::V1(minor)) => read(once, minor).map(|found| found.map(|sb| (minor, sb))),
        Some(Version::V090) => Ok(None),
        None => read_any(once),
    };
    let old = match wishes.version {
        None | Some(Version::V090) => v0::read(once).ok().flatten(),
        Some(Version::V1(_)) => None,
    };
    match (found, old) {
        (Ok(Some((_, sb))), Some(old)) if u64::from(old.ctime()) > sb.ctime() => {
            old_content(host, path, device, old, wishes)
        }
        (Ok(Some((minor, sb))), _) => match sb.check(device.size().sectors()) {
            Err(e) => Content::Broken(e.to_string()),
            Ok(()) => startable(member(path, device, Version::V1(minor), sb, None), device, wishes),
        },
        (_, Some(old)) => old_content(host, path, device, old, wishes),
        (Err(e), None) => match crate::cmd::whose::v1_of_another(host, device, &path.display().to_string(), &e) {
            Some(line) => Content::Elsewhere(line),
            None => Content::Broken(e.to_string()),
        },
        (Ok(None), None) => match foreign::container(once) {
            Some(found) => Content::Foreign(found.name()),
            None => Content::Nothing(Version::ALL.map(|v| magic(once, v))),
        },
    }
}

/// A member that does the kernel no harm, or whose bitmap is given up.
fn startable(member: Member, device: &RealDevice, wishes: &Wishes) -> Content {
    let bitmap = member.bitmap.as_ref().map(|b| b.as_ref().map_err(String::as_str));
    let verdict = match wishes.update {
        Some(Update::NoBitmap | Update::Bitmap(_)) => Ok(()),
        _ => startable::check(&member.sb, member.version, bitmap, device.size()),
    };
    verdict.map_or_else(Content::Broken, |()| Content::Member(Box::new(member)))
}

/// A 0.90 superblock: this device's own, and in this machine's byte order or to be put into it.
fn old_content(host: &Host, path: &Path, device: &RealDevice, sb: SuperV0, wishes: &Wishes) -> Content {
    if let Some(line) = crate::cmd::whose::v0_of_another(host, device, &path.display().to_string(), &sb) {
        return Content::Elsewhere(line);
    }
    let turned = !sb.is_native();
    if turned && wishes.update != Some(Update::ByteOrder) {
        return Content::OtherOrder;
    }
    if let Err(e) = sb.check(device.size()) {
        return Content::Broken(e.to_string());
    }
    let sb = if turned { sb.swapped() } else { sb };
    let view = sb.as_v1(device.size());
    let mut member = member(path, device, Version::V090, view, Some(Box::new(sb)));
    member.turned = turned;
    startable(member, device, wishes)
}

/// The word where the magic would be.
fn magic(device: &ReadOnce<'_>, version: Version) -> u32 {
    let mut word = [0u8; 4];
    let at = version.super_offset(device.size().sectors()).and_then(Sectors::bytes);
    match at.map(|at| device.read_at(at.0, &mut word)) {
        Some(Ok(())) => u32::from_le_bytes(word),
        _ => 0,
    }
}

fn member(path: &Path, device: &RealDevice, version: Version, sb: SuperV1, old: Option<Box<SuperV0>>) -> Member {
    let busy = RealDevice::open(path, Access::ReadExclusive).is_err_and(|e| e.raw_os_error() == Some(libc::EBUSY));
    let bitmap = summary::read(device, &sb).map_err(|e| e.to_string()).transpose();
    let seconds = i64::try_from(sb.utime()).unwrap_or(0);
    let updated = clock::local(seconds).map_or_else(String::new, |t| crate::time::asctime(&t));
    // Some clocks run ahead by minutes, or are set to another zone's time.
    let future = if sb.utime() > clock::now().saturating_add(DAY) { " (in the future)" } else { "" };
    let updated = format!("{}{future}", updated.trim_end());
    Member { version, sb, old, turned: false, bitmap, busy, updated }
}
