//! The devices of a create: opened, judged, warned about.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{given_offset, given_size};
use crate::blockio::ReadAt;
use crate::cli::request::{CreateRequest, DataOffset, MemberArg};
use crate::cmd::apply::reason;
use crate::cmd::print::{complain, err, out};
use crate::device::real::{Access, NodeKind, RealDevice};
use crate::error::{Exit, Refusal};
use crate::host::Host;
use crate::level::Level;
use crate::plan::create::design::Design;
use crate::plan::create::{MemberFacts, sizing, tables};
use crate::superblock::Version;
use crate::superblock::foreign::{self, Found, Table};
use crate::superblock::v1::{Minor, read, super_offset};
use crate::units::{Bytes, Sectors};
use crate::uuid::Uuid;

/// The note of the reference about metadata that a boot loader may not understand.
const BOOT_NOTE: &str = "Note: this array has metadata at the start and
    may not be suitable as a boot device.  If you plan to
    store '/boot' on this device please ensure that
    your boot-loader understands md/v1.x metadata, or use
    --metadata=0.90";

/// What the devices are, and what was warned of.
pub(super) struct Gathered {
    pub members: Vec<MemberFacts>,
    pub by_index: Vec<Option<usize>>,
    pub open: Vec<RealDevice>,
    pub warned: bool,
    /// Something else than md members begin with is on a device.
    pub content: bool,
}

impl Gathered {
    /// The journal's place in the list of devices.
    pub fn journal(&self) -> Option<usize> {
        let member = self.members.iter().position(|m| m.journal)?;
        self.by_index.iter().position(|i| *i == Some(member))
    }
}

/// Opens every device, warns of what is on it, and refuses what is in use.
pub(super) fn gather(req: &CreateRequest, design: &Design) -> Result<Gathered, Refusal> {
    let mut g = Gathered { members: Vec::new(), by_index: Vec::new(), open: Vec::new(), warned: false, content: false };
    let loud = !(req.common.run && req.common.is_quiet());
    // The reference says it where it chose the version itself.
    let chosen = req.common.metadata.is_none();
    let at_end = matches!(design.version, Version::V090 | Version::V1(Minor::V0));
    let at_start = chosen && design.level == Level::Raid1 && !at_end && !req.common.offline;
    let mut seen = BTreeSet::new();
    let (given, offset) = (given_size(req), given_offset(req));
    let (mut failed, mut noted) = (false, false);
    for (slot, (arg, journal)) in listed(req).iter().enumerate() {
        let Some(path) = &arg.path else {
            g.by_index.push(None);
            continue;
        };
        let shown = path.display();
        if !seen.insert(identity_of(path)) {
            return Err(Refusal::new(format!("{shown} is listed twice.")));
        }
        let device = open_member(path, req).map_err(|r| name_relative(r, path, &g.members))?;
        refuse_foreign(path, &device)?;
        let member = MemberFacts { journal: *journal, ..facts(req, design, slot, arg, path, &device)? };
        let first = g.members.first().unwrap_or(&member);
        let faults = sizing::faults(design, given, offset, first, &member);
        let fate = |table: &Table| {
            let end = Bytes(table.end(member.block)).sectors();
            tables::fate(design, given, offset, first, &member, end)
        };
        let (asked, content) =
            if faults.is_empty() { warn_of_content(path, &device, loud, fate) } else { (false, false) };
        g.by_index.push(Some(g.members.len()));
        g.members.push(member);
        g.open.push(device);
        if chosen && g.members.len() == 1 && faults.iter().any(|l| l.starts_with("device ")) {
            // In the order of the reference.
            return Err(Refusal::new(faults.first().map_or("", String::as_str))
                .with_exit(Exit::USAGE)
                .hint(format!("device {shown} not suitable for any style of array")));
        }
        if !faults.is_empty() {
            failed = true;
            // The reference prints this one line without its name.
            faults.iter().for_each(|l| if l.starts_with("device ") { err(&format!("{l}\n")) } else { complain(l) });
            continue;
        }
        g.warned |= asked || (content && req.common.ensure);
        g.content |= content;
        if at_start && !noted {
            noted = true;
            g.warned = true;
            if loud {
                complain(BOOT_NOTE);
            }
        }
    }
    if failed { Err(Refusal::new("create aborted")) } else { Ok(g) }
}

/// The devices in the order in which they are numbered: the journal where it was named.
fn listed(req: &CreateRequest) -> Vec<(MemberArg, bool)> {
    let mut list: Vec<(MemberArg, bool)> = req.members.iter().map(|m| (m.clone(), false)).collect();
    if let Some((journal, place)) = &req.write_journal {
        list.insert((*place).min(list.len()), (journal.clone(), true));
    }
    list
}

/// The same for all names of a device or file.
fn identity_of(path: &Path) -> String {
    match crate::host::devmap::block_dev(path) {
        Some(dev) => format!("{dev:?}"),
        None => match std::fs::metadata(path) {
            Ok(meta) => format!("{}:{}", meta.dev(), meta.ino()),
            Err(_) => path.display().to_string(),
        },
    }
}

fn open_member(path: &Path, req: &CreateRequest) -> Result<RealDevice, Refusal> {
    let shown = path.display();
    let device = RealDevice::open(path, Access::WriteExclusive).map_err(|e| match e.raw_os_error() {
        Some(libc::ENOTBLK) | Some(libc::EISDIR) => {
            Refusal::new(format!("{shown} is not a block device.")).with_exit(Exit::USAGE)
        }
        Some(libc::ENOENT) if req.data_offset == Some(DataOffset::Variable) && path.to_string_lossy().contains(':') => {
            cannot_open(path, &e).hint("What follows its last colon is no size, so it counts as part of the name.")
        }
        _ => cannot_open(path, &e),
    })?;
    if device.kind() == NodeKind::File && !req.common.offline {
        return Err(Refusal::new(format!("{shown} is not a block device.")).with_exit(Exit::USAGE));
    }
    if is_read_only(&device) {
        return Err(Refusal::new(format!("{shown} is read-only.")));
    }
    if let Some((at, e)) = crate::plan::zero::unreadable(&device) {
        return Err(Refusal::new(format!("Failed to write metadata to {shown}"))
            .hint(format!("cannot read {shown} at byte {at}: {}; nothing was written", reason(&e))));
    }
    Ok(device)
}

/// The kernel lets a read-only device be opened for writing, and refuses the writes.
fn is_read_only(device: &RealDevice) -> bool {
    let node = Host::default().sysfs.root().join(format!("dev/block/{}:{}/ro", device.dev().0, device.dev().1));
    device.kind() == NodeKind::Block && std::fs::read_to_string(node).is_ok_and(|t| t.trim() == "1")
}

/// Says where a busy device is a partition of one that is listed too, or has one: it is held by ourselves.
fn name_relative(refusal: Refusal, path: &Path, listed: &[MemberFacts]) -> Refusal {
    let sysfs = Host::default().sysfs;
    let disk = |dev: (u32, u32)| sysfs.disk_name(dev);
    let Some(this) = crate::host::devmap::block_dev(path) else { return refusal };
    let relative = listed.iter().find(|m| m.dev != this && disk(m.dev).is_some() && disk(m.dev) == disk(this));
    match relative {
        Some(m) if sysfs.block_name(m.dev) != disk(m.dev) && sysfs.block_name(this) != disk(this) => refusal,
        Some(m) => refusal.hint(format!("{} overlaps {}, which is listed too.", path.display(), m.path.display())),
        None => refusal,
    }
}

fn cannot_open(path: &Path, e: &std::io::Error) -> Refusal {
    let mut refusal = Refusal::new(format!("cannot open {}: {}", path.display(), reason(e))).with_exit(Exit::USAGE);
    if e.raw_os_error() == Some(libc::EBUSY)
        && let Some(dev) = crate::host::devmap::block_dev(path)
    {
        for holder in Host::default().who_holds(dev) {
            refusal = refusal.hint(format!("{} is {holder}", path.display()));
        }
    }
    refusal
}

/// DDF and IMSM sets are in use: their metadata would stay and be found again.
fn refuse_foreign(path: &Path, device: &RealDevice) -> Result<(), Refusal> {
    for found in foreign::raid_metadata(device) {
        if matches!(found, Found::Ddf(_) | Found::Imsm(_)) {
            let shown = path.display();
            return Err(Refusal::new(format!("{shown} is in use: it holds {}.", found.name()))
                .hint(format!("If that set is not needed any more: mdadm --zero-superblock --force {shown}")));
        }
    }
    Ok(())
}

fn local_time(seconds: i64) -> String {
    crate::kernel::clock::local(seconds).map(|t| crate::time::asctime(&t)).unwrap_or_default()
}

/// Prints what is on the device, in the reference's words. Whether there is anything that the reference asks about, and
/// whether there is anything at all.
fn warn_of_content(
    path: &Path,
    device: &RealDevice,
    loud: bool,
    fate: impl Fn(&Table) -> Option<String>,
) -> (bool, bool) {
    let shown = path.display();
    let (mut warned, mut content) = (false, false);
    let mut say = |to_stdout: bool, text: String| {
        warned = true;
        if loud {
            if to_stdout {
                out(&text);
            } else {
                err(&text);
            }
        }
    };
    if let Some(fs) = foreign::file_system(device) {
        if fs.is_ext() {
            say(true, format!("mdadm: {shown} appears to contain an ext2fs file system\n"));
            let mtime = fs.mtime.map(|t| local_time(t.into())).unwrap_or_default();
            say(true, format!("mdadm: size={}K  mtime={mtime}\n", fs.size_kib.unwrap_or(0)));
        } else {
            // The reference does not know it and so does not ask.
            content = true;
            if loud {
                complain(format!("{shown} appears to contain {}", fs.name()));
            }
        }
    }
    if let Ok(Some((_, sb))) = crate::superblock::v1::read_any(device) {
        let level = Level::from_raw(sb.level_raw()).map_or("-unknown-", Level::name);
        let ctime = local_time(i64::try_from(sb.ctime()).unwrap_or(0));
        say(false, format!("mdadm: {shown} appears to be part of a raid array:\n"));
        say(false, format!("       level={level} devices={} ctime={ctime}\n", sb.raid_disks()));
    } else if let Some(sb) = foreign::v090(device) {
        let level = Level::from_raw(sb.level_raw).map_or("-unknown-", Level::name);
        let ctime = local_time(sb.ctime.into());
        say(false, format!("mdadm: {shown} appears to be part of a raid array:\n"));
        say(false, format!("       level={level} devices={} ctime={ctime}\n", sb.raid_disks));
    } else if let Some(table) = foreign::gpt(device).or_else(|| foreign::mbr(device)) {
        say(false, format!("mdadm: partition table exists on {shown}\n"));
        fate(&table).into_iter().for_each(|line| say(false, format!("mdadm: {line}\n")));
    }
    (warned, warned || content)
}

fn facts(
    req: &CreateRequest,
    design: &Design,
    slot: usize,
    arg: &MemberArg,
    path: &Path,
    device: &RealDevice,
) -> Result<MemberFacts, Refusal> {
    let size = device.size().sectors();
    let device_uuid = match (req.common.offline, req.uuid) {
        (true, Some(set)) => derived_uuid(set, slot),
        _ => Uuid(*uuid::Uuid::new_v4().as_bytes()),
    };
    let host = Host::default();
    let zeroes_by_unmap = host
        .sysfs
        .disk_name(device.dev())
        .and_then(|name| {
            std::fs::read_to_string(host.sysfs.root().join(format!("block/{name}/queue/write_zeroes_unmap_max_bytes")))
                .ok()
        })
        .and_then(|text| text.trim().parse::<u64>().ok())
        .is_some_and(|n| n > 0);
    Ok(MemberFacts {
        path: path.to_owned(),
        dev: device.dev(),
        size,
        block: device.logical_block_size(),
        write_mostly: arg.write_mostly,
        failfast: arg.failfast,
        data_offset: arg.data_offset,
        device_uuid,
        stale_supers: stale_supers(design, device, size),
        zeroes_by_unmap,
        journal: false,
    })
}

/// The older md superblocks that would be found beside the new one.
fn stale_supers(design: &Design, device: &RealDevice, size: Sectors) -> Vec<(u64, u32)> {
    let mut stale = Vec::new();
    for minor in Minor::ALL.into_iter().filter(|m| Version::V1(*m) != design.version) {
        if !matches!(read(device, minor), Ok(None))
            && let Some(at) = super_offset(minor, size)
        {
            stale.push((at.0 * 512, 4096));
        }
    }
    let old = design.version != Version::V090 && foreign::v090(device).is_some();
    if let Some(at) = foreign::v090_offset(device.size().0).filter(|_| old) {
        stale.push((at, 4096));
    }
    stale
}

/// With `--offline` and `--uuid` the same command gives the same bytes: the array's uuid, mixed with the place.
fn derived_uuid(set: Uuid, slot: usize) -> Uuid {
    let mut bytes = set.0;
    for (b, s) in bytes.iter_mut().rev().zip((slot as u64 + 1).to_le_bytes()) {
        *b ^= s;
    }
    // A fixed mark, so that no device has the uuid of an array that was numbered likewise.
    for (b, m) in bytes.iter_mut().zip(*b"md-device") {
        *b ^= m;
    }
    Uuid(bytes)
}
