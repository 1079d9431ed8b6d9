//! `--dump` and `--restore`: sparse copies of the metadata of members, and back.
//!
//! Names of files, links by `/dev/disk/by-id`, messages and statuses are the reference's (seen with 4.6).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::apply::{Session, reason};
use super::member::{Loaded, load};
use super::print::{complain, out};
use crate::blockio::ReadAt;
use crate::cli::request::Common;
use crate::device::real::{Access, RealDevice};
use crate::error::{Exit, Refusal};
use crate::host::Host;
use crate::host::devmap::block_dev;
use crate::plan::dump::{self as plan, Super};
use crate::plan::file_step::FileStep;
use crate::plan::step::{Plan, Step};
use crate::plan::zero;

/// The folder is missing, or cannot be meant.
const BAD_FOLDER: Exit = Exit(16);

/// Copies the metadata of these devices to files in a folder.
#[must_use]
pub fn dump(common: &Common, dir: &Path, paths: &[PathBuf]) -> Exit {
    if !dir.is_dir() {
        complain(format!("--dump requires an existing directory, not: {}", dir.display()));
        return BAD_FOLDER;
    }
    each(common, paths, |host, path| dump_one(host, common, dir, path))
}

/// Puts copies from a folder, or from one file, back to these devices.
#[must_use]
pub fn restore(common: &Common, from: &Path, paths: &[PathBuf]) -> Exit {
    let refusal = match fs::metadata(from) {
        Err(_) => Some(format!("{} does not exist: cannot restore from there.", from.display())),
        Ok(meta) if !meta.is_dir() && paths.len() > 1 => {
            Some("--restore requires a directory when multiple devices given".to_owned())
        }
        Ok(_) => None,
    };
    if let Some(line) = refusal {
        complain(line);
        return BAD_FOLDER;
    }
    each(common, paths, |host, path| restore_one(host, common, from, path))
}

/// One device after the other; the worst status counts.
fn each(common: &Common, paths: &[PathBuf], one: impl Fn(&Host, &Path) -> Result<Plan, Refusal>) -> Exit {
    let host = Host::default();
    let (mut whole, mut exit) = (Plan::default(), Exit::OK);
    for path in paths {
        match one(&host, path) {
            Ok(plan) => whole.steps.extend(plan.steps),
            Err(refusal) => {
                refusal.lines.iter().for_each(complain);
                exit = exit.worst(refusal.exit);
            }
        }
    }
    if common.plan {
        out(&super::save::shown(&host, common, &whole));
    }
    exit
}

/// The superblock of a member, checked; `None` where there is none that is handled here.
fn superblock(dev: &RealDevice) -> Result<Option<Super>, Refusal> {
    let damaged =
        |e: crate::superblock::SuperError| Refusal::new(format!("the superblock on {}: {e}", dev.path().display()));
    Ok(match load(dev, None).map_err(damaged)? {
        Some(Loaded::V1(_, sb)) => {
            sb.check(dev.size().sectors()).map_err(damaged)?;
            Some(Super::V1(sb))
        }
        Some(Loaded::V0(sb)) => {
            sb.check(dev.size()).map_err(damaged)?;
            Some(Super::V0(sb))
        }
        Some(Loaded::Foreign(_)) | None => None,
    })
}

fn base_name(path: &Path) -> &std::ffi::OsStr {
    path.file_name().unwrap_or_default()
}

fn dump_one(host: &Host, common: &Common, dir: &Path, path: &Path) -> Result<Plan, Refusal> {
    let shown = path.display();
    let device = RealDevice::open(path, Access::Read)
        .map_err(|e| Refusal::new(format!("Cannot open {shown} to dump metadata: {}", reason(&e))))?;
    let sb = superblock(&device)?.ok_or_else(|| Refusal::new(format!("Cannot find RAID metadata on {shown}")))?;
    let file = dir.join(base_name(path));
    let cannot = |r: Refusal| Refusal::new(format!("Cannot dump metadata of {shown}")).hints(r.lines);
    let areas = plan::areas(&device, &sb).map_err(cannot)?;
    let mut whole = plan::dump(&device, &areas, &file).map_err(cannot)?;
    let links = ids_of(host, path).into_iter().map(|name| dir.join(name)).filter(|name| *name != file);
    let links: Vec<FileStep> = links.map(|name| FileStep::Link { file: file.clone(), name }).collect();
    if common.plan {
        whole.steps.extend(links.into_iter().map(Step::File));
        return Ok(whole);
    }
    Session::new(host, common).apply(&whole).map_err(Refusal::from)?;
    let say = |line: String| {
        if !common.is_quiet() {
            out(&line);
        }
    };
    say(format!("{shown} saved as {}.\n", file.display()));
    for link in links {
        let FileStep::Link { name, .. } = &link else { continue };
        let name = name.display().to_string();
        match Session::new(host, common).apply(&Plan { steps: vec![Step::File(link)] }) {
            Ok(()) => say(format!("{shown} also saved as {name}.\n")),
            Err(e) => {
                complain(format!("Could not save {shown} as {name}!!"));
                complain(e);
            }
        }
    }
    Ok(whole)
}

/// The names of a device in `/dev/disk/by-id`, in their order.
fn ids_of(host: &Host, path: &Path) -> Vec<std::ffi::OsString> {
    let Some(dev) = block_dev(path) else { return Vec::new() };
    let Ok(entries) = fs::read_dir(host.dev.join("disk/by-id")) else { return Vec::new() };
    let is_it = |e: &fs::DirEntry| block_dev(&e.path()) == Some(dev);
    let mut names: Vec<_> = entries.filter_map(Result::ok).filter(is_it).map(|e| e.file_name()).collect();
    names.sort();
    names
}

fn restore_one(host: &Host, common: &Common, from: &Path, path: &Path) -> Result<Plan, Refusal> {
    let shown = path.display();
    let device = open_target(host, common, path)?;
    let file = if from.is_dir() { find(host, from, path)? } else { from.to_owned() };
    let copy = RealDevice::open(&file, Access::Read);
    let copy = copy
        .ok()
        .filter(|c| c.size() == device.size())
        .ok_or_else(|| Refusal::new(format!("{} is not the same size as {shown} - cannot restore.", file.display())))?;
    let no_metadata = || Refusal::new(format!("Cannot find metadata on {}", file.display()));
    let sb = superblock(&copy)?.ok_or_else(no_metadata)?;
    let stale = identity(common, &device, &sb, &file)?;
    let steps = plan::restore(&copy, &sb, stale, path)?;
    if common.plan {
        return Ok(steps);
    }
    let mut session = Session::new(host, common);
    session.give(device);
    session.apply(&steps).map_err(|e| {
        let line = format!("Cannot restore {shown} from {}: {}", file.display(), e.line);
        Refusal::new(line).hints(e.after)
    })?;
    if !common.is_quiet() {
        out(&format!("{shown} restored from {}.\n", file.display()));
    }
    Ok(steps)
}

/// Opens the device alone: what a running array, a mount or swap holds is left alone.
fn open_target(host: &Host, common: &Common, path: &Path) -> Result<RealDevice, Refusal> {
    let access = if common.plan { Access::ReadExclusive } else { Access::WriteExclusive };
    RealDevice::open(path, access).map_err(|e| {
        let shown = path.display();
        let refusal = Refusal::new(format!("Cannot open {shown} to restore metadata: {}", reason(&e)));
        let holders = block_dev(path).filter(|_| e.raw_os_error() == Some(libc::EBUSY)).map(|dev| host.who_holds(dev));
        holders.unwrap_or_default().iter().fold(refusal, |r, h| r.hint(format!("{shown} is {h}")))
    })
}

/// The file for a device: by a name in `/dev/disk/by-id`, else by the device's own.
fn find(host: &Host, dir: &Path, path: &Path) -> Result<PathBuf, Refusal> {
    let inode = |p: &Path| fs::metadata(p).map(|m| (m.dev(), m.ino())).ok();
    let mut found: Option<PathBuf> = None;
    for name in ids_of(host, path) {
        let file = dir.join(name);
        let Some(its) = inode(&file) else { continue };
        match &found {
            Some(first) if inode(first) != Some(its) => {
                return Err(Refusal::new(format!(
                    "Both {} and {} seem suitable for {}.  Please choose one.",
                    first.display(),
                    file.display(),
                    path.display()
                )));
            }
            Some(_) => {}
            None => found = Some(file),
        }
    }
    let own = Some(dir.join(base_name(path))).filter(|f| f.is_file());
    found
        .or(own)
        .ok_or_else(|| Refusal::new(format!("Cannot find suitable file in {} for {}", dir.display(), path.display())))
}

/// Whether the device is the member that the copy is of, as far as its own metadata tells. With `--force`: the steps that
/// take other superblocks away.
fn identity(common: &Common, device: &RealDevice, sb: &Super, file: &Path) -> Result<Vec<Step>, Refusal> {
    let shown = device.path().display();
    let other = match superblock(device) {
        Ok(Some(other)) if !plan::is_same_member(&other, sb) => Some(format!("{shown} is {}", plan::who(&other))),
        Ok(Some(other)) => {
            let (now, then) = (plan::events(&other), plan::events(sb));
            if now > then && !common.is_quiet() {
                complain(format!("the metadata on {shown} is newer than the copy: events {now} and {then}"));
            }
            None
        }
        // A damaged superblock is a reason to restore it.
        Ok(None) | Err(_) => {
            crate::superblock::foreign::container(device).map(|f| format!("{shown} holds {}", f.name()))
        }
    };
    if let Some(other) = other.filter(|_| common.force == 0) {
        let line = format!("{} is a copy of {} - not restoring to {shown}.", file.display(), plan::who(sb));
        return Err(Refusal::new(line).hint(other).hint("With --force it is restored all the same."));
    }
    let at = match sb {
        Super::V1(sb) => sb.super_offset().saturating_mul(512),
        Super::V0(_) => crate::superblock::v0::super_offset(device.size()).map_or(u64::MAX, |at| at.0),
    };
    let others: Vec<zero::Target> = if common.force > 0 { zero::md_superblocks(device).targets } else { Vec::new() }
        .into_iter()
        .filter(|t| t.offset != at)
        .collect();
    Ok(zero::plan(device.path(), &others).steps)
}
