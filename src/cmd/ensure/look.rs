//! What there is already of an array that is to be ensured.

use std::path::{Path, PathBuf};

use crate::bitmap::header::BitmapSuper;
use crate::bitmap::summary;
use crate::blockio::ReadAt;
use crate::cli::request::CreateRequest;
use crate::cmd::apply::reason;
use crate::device::real::{Access, RealDevice};
use crate::host::Host;
use crate::host::devmap::{DevMap, block_dev};
use crate::host::holders::Holder;
use crate::plan::ensure::{Difference, Existing, Seen, Standing};
use crate::plan::zero::md_superblocks;
use crate::superblock::v1::{self, Role, devflag};
use crate::superblock::{SuperError, v0};
use crate::sysfs::attr;
use crate::sysfs::value::ArrayState;
use crate::uuid::Uuid;

/// An array that is there, running or not.
pub(super) struct There {
    /// Kernel name, where it runs.
    pub devname: Option<String>,
    /// As its metadata has it; none where no member's can be read.
    pub existing: Option<Existing>,
    /// The devices that were named.
    pub listed: Vec<Seen>,
    /// Others that it has.
    pub others: Vec<Seen>,
    /// What else is not as asked for.
    pub differences: Vec<Difference>,
}

/// The devices of a request: the members that are not `missing`, then the journal.
pub(super) fn devices(req: &CreateRequest) -> Vec<PathBuf> {
    let journal = req.write_journal.iter().map(|(journal, _)| journal);
    req.members.iter().chain(journal).filter_map(|m| m.path.clone()).collect()
}

/// Looks for the array: at its path, by whom its members are held, by their superblocks. None where there is no trace of it.
pub(super) fn look(host: &Host, req: &CreateRequest, path: &Path) -> Option<There> {
    let paths = devices(req);
    let at_path = host.open_array(path).ok().map(|a| a.name.devname);
    let at_path = at_path.filter(|name| exists(host, name));
    let holder = paths.iter().find_map(|p| array_holding(host, p));
    let devname = at_path.clone().or(holder);
    let Some(devname) = devname else { return stopped(host, &paths) };
    let mut there = running(host, &devname, &paths);
    if at_path.is_none() {
        let node = host.dev.join(&devname).display().to_string();
        there.differences.push(Difference::new("array", path.display().to_string(), node));
    }
    Some(there)
}

/// Whether there is an array of this name, with members.
fn exists(host: &Host, devname: &str) -> bool {
    let array = host.sysfs.array(devname);
    array.exists() && (array.get(attr::ARRAY_STATE) != Some(ArrayState::Clear) || !array.members().is_empty())
}

/// The array that has this device as a member.
pub(super) fn array_holding(host: &Host, path: &Path) -> Option<String> {
    host.holders(block_dev(path)?).into_iter().find_map(|h| if let Holder::Array(name) = h { Some(name) } else { None })
}

/// The superblock of a device, whatever version.
pub(super) struct Super {
    pub existing: Existing,
    /// Metadata 0.90: the number that the array had last.
    pub minor: Option<u32>,
    /// Its slot, and its number in the role table.
    slot: Option<(Role, u32)>,
    roles: Vec<Role>,
    standing: Standing,
    write_mostly: bool,
    failfast: bool,
}

/// Reads it; none where there is none.
pub(super) fn superblock(dev: &dyn ReadAt) -> Result<Option<Super>, String> {
    let damaged = |e: SuperError| format!("a damaged superblock: {e}");
    if let Some((minor, sb)) = v1::read_any(dev).map_err(damaged)? {
        sb.check(dev.size().sectors()).map_err(damaged)?;
        let bitmap = summary::read(dev, &sb).map_err(|e| format!("a damaged bitmap: {e}"))?;
        let standing = match sb.role() {
            Role::Faulty => Standing::Not("faulty".into()),
            Role::Journal => Standing::Journal,
            Role::Slot(_) | Role::Spare => Standing::Member,
        };
        return Ok(Some(Super {
            existing: Existing::v1(minor, &sb, bitmap.as_ref()),
            minor: None,
            slot: Some((sb.role(), sb.dev_number())).filter(|s| matches!(s.0, Role::Slot(_))),
            roles: sb.roles(),
            standing,
            write_mostly: sb.devflags() & devflag::WRITE_MOSTLY != 0,
            failfast: sb.devflags() & devflag::FAILFAST != 0,
        }));
    }
    let Some(sb) = v0::read(dev).map_err(damaged)? else { return Ok(None) };
    sb.check(dev.size()).map_err(damaged)?;
    let has_bitmap = sb.state() & v0::state::BITMAP_PRESENT != 0;
    let bitmap = summary::start_v0(dev).filter(|_| has_bitmap).and_then(|at| BitmapSuper::read(dev, at).ok());
    let existing = Existing::v0(&sb, bitmap.map(|b| (b.chunk_bytes(), b.write_behind())));
    Ok(Some(Super {
        existing,
        minor: Some(sb.md_minor()),
        slot: None,
        roles: Vec::new(),
        standing: Standing::Member,
        write_mostly: false,
        failfast: false,
    }))
}

fn running(host: &Host, devname: &str, paths: &[PathBuf]) -> There {
    let array = host.sysfs.array(devname);
    let mut there = There {
        devname: Some(devname.to_owned()),
        existing: None,
        listed: Vec::new(),
        others: Vec::new(),
        differences: Vec::new(),
    };
    let state = array.get(attr::ARRAY_STATE);
    if !state.as_ref().is_some_and(ArrayState::is_running) {
        let word = array.text("array_state").ok().flatten().unwrap_or_default();
        there.differences.push(Difference::new("state", "a running array", word));
    }
    let mut nodes = None;
    let mut seen: Vec<((u32, u32), Seen)> = Vec::new();
    for member in array.members() {
        let flags = member.get(attr::STATE).unwrap_or_default();
        let dev = member.get(attr::BLOCK_DEV).map(|d| (d.major, d.minor));
        let path = dev.and_then(|dev| node(host, dev, member.name(), &mut nodes));
        let standing = match () {
            () if flags.has("faulty") => Standing::Not("faulty".into()),
            () if flags.has("journal") => Standing::Journal,
            () => Standing::Member,
        };
        if there.existing.is_none() && flags.has("in_sync") && !flags.has("faulty") {
            let device = path.as_ref().and_then(|p| RealDevice::open(p, Access::Read).ok());
            there.existing = device.and_then(|d| superblock(&d).ok().flatten()).map(|s| s.existing);
        }
        let shown = path.map_or_else(|| member.name().to_owned(), |p| p.display().to_string());
        let (write_mostly, failfast) = (flags.has("write_mostly"), flags.has("failfast"));
        seen.push((dev.unwrap_or_default(), Seen { shown, standing, write_mostly, failfast }));
    }
    for path in paths {
        let at = block_dev(path).and_then(|dev| seen.iter().position(|s| s.0 == dev));
        let shown = path.display().to_string();
        there.listed.push(match at {
            Some(at) => Seen { shown, ..seen.remove(at).1 },
            None => not(path, what_it_is(host, path, there.existing.as_ref().map(|e| e.uuid))),
        });
    }
    there.others = seen.into_iter().map(|s| s.1).collect();
    there
}

fn node(host: &Host, dev: (u32, u32), kname: &str, nodes: &mut Option<DevMap>) -> Option<PathBuf> {
    let plain = host.dev.join(kname.replace('!', "/"));
    if block_dev(&plain) == Some(dev) {
        return Some(plain);
    }
    nodes.get_or_insert_with(|| DevMap::read(host)).path(dev, None).map(PathBuf::from)
}

fn not(path: &Path, why: String) -> Seen {
    Seen { shown: path.display().to_string(), standing: Standing::Not(why), write_mostly: false, failfast: false }
}

/// A device that is no member of array `uuid`: what it is instead.
fn what_it_is(host: &Host, path: &Path, uuid: Option<Uuid>) -> String {
    if let Some(name) = array_holding(host, path) {
        return format!("a member of /dev/{name}");
    }
    match RealDevice::open(path, Access::Read) {
        Err(e) => format!("nothing that can be opened: {}", reason(&e)),
        Ok(dev) => match superblock(&dev) {
            Ok(None) => "no md superblock".into(),
            Ok(Some(s)) if Some(s.existing.uuid) == uuid => "no member any more".into(),
            Ok(Some(s)) => format!("no member; its superblock is of array {}", s.existing.uuid),
            Err(why) => why,
        },
    }
}

/// What the superblocks of the devices that were named say together. None where there is none at all, not even a damaged one.
fn stopped(host: &Host, paths: &[PathBuf]) -> Option<There> {
    let read: Vec<(&PathBuf, Result<Option<Super>, String>)> = paths.iter().map(|p| (p, read(p))).collect();
    if read.iter().all(|(path, r)| matches!(r, Ok(None)) || (r.is_err() && !has_superblock(path))) {
        return None;
    }
    let uuid_of = |r: &Result<Option<Super>, String>| r.as_ref().ok().and_then(Option::as_ref).map(|s| s.existing.uuid);
    let members = |uuid: Uuid| read.iter().filter(|(_, r)| uuid_of(r) == Some(uuid)).count();
    // The array that most of them belong to.
    let uuid = read.iter().filter_map(|(_, r)| uuid_of(r)).max_by_key(|u| members(*u));
    let all = read.iter().filter_map(|(_, r)| r.as_ref().ok()?.as_ref()).filter(|s| Some(s.existing.uuid) == uuid);
    let best = all.max_by_key(|s| s.existing.events);
    let (freshest, roles) = best.map(|s| (s.existing.clone(), s.roles.clone())).unzip();
    let (newest, roles) = (freshest.as_ref().map_or(0, |e| e.events), roles.unwrap_or_default());
    let is_out = |s: &Super| {
        let at = |number: u32| usize::try_from(number).ok().and_then(|n| roles.get(n));
        s.slot.is_some_and(|(role, number)| at(number) != Some(&role))
    };
    let listed = read
        .into_iter()
        .map(|(path, r)| match r {
            Ok(Some(s)) if Some(s.existing.uuid) != uuid => not(path, format!("a member of array {}", s.existing.uuid)),
            // One event apart: the power went while the superblocks were written.
            Ok(Some(s)) if s.existing.events.saturating_add(1) < newest => {
                not(path, format!("a member out of date: events {}, the array has {newest}", s.existing.events))
            }
            Ok(Some(s)) if is_out(&s) => not(path, "a member that was taken out".into()),
            Ok(Some(s)) => Seen {
                shown: path.display().to_string(),
                standing: s.standing,
                write_mostly: s.write_mostly,
                failfast: s.failfast,
            },
            Ok(None) => not(path, what_it_is(host, path, None)),
            Err(why) => not(path, why),
        })
        .collect();
    Some(There { devname: None, existing: freshest, listed, others: Vec::new(), differences: Vec::new() })
}

fn read(path: &Path) -> Result<Option<Super>, String> {
    let dev =
        RealDevice::open(path, Access::Read).map_err(|e| format!("nothing that can be opened: {}", reason(&e)))?;
    superblock(&dev)
}

/// Whether there is one, damaged or not.
pub(super) fn has_superblock(path: &Path) -> bool {
    RealDevice::open(path, Access::Read).is_ok_and(|dev| !md_superblocks(&dev).targets.is_empty())
}
