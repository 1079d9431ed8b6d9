//! A bare device that policies make a spare.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::array::{self, Found};
use crate::blockio::ReadAt;
use crate::cli::request::IncrementalRequest;
use crate::cmd::manage;
use crate::cmd::print::complain;
use crate::device::real::{Access, RealDevice};
use crate::error::{Exit, Refusal};
use crate::host::Host;
use crate::host::conf::Conf;
use crate::host::place::metadata_word;
use crate::plan::assemble::{Candidate, Content};
use crate::plan::policy::{Action, Place, allowed, compatible};
use crate::superblock::foreign;
use crate::uuid::Uuid;

/// What is looked at of each end of a device.
const END_BYTES: usize = 4096;

/// Makes it a spare of an array, if policies say so. `None`: it is left alone.
pub fn run(req: &IncrementalRequest, conf: &Conf, host: &Host, c: &Candidate) -> Result<Option<Exit>, Refusal> {
    if !matches!(c.content, Content::Nothing(_)) || conf.policies.is_empty() {
        return Ok(None);
    }
    let place = place(host, req, c.dev);
    if allowed(&conf.policies, &place, None).action < Action::Spare {
        return Ok(None);
    }
    let say = |least: i32, line: String| {
        if req.common.verbose >= least {
            complain(line);
        }
    };
    let shown = c.path.display();
    if let Some(why) = not_bare(&c.path) {
        say(2, format!("{shown} is not bare, so not considering as a spare: {why}"));
        return Ok(None);
    }
    // Until it is added: the next one shall see that.
    let (_lock, map) = array::locked(host, req.common.plan);
    let mut takers = Vec::new();
    for entry in &map {
        let found = array::found(host, &map, entry.devname.clone());
        match takes(host, conf, &found, &place) {
            Ok(Some(taker)) => takers.push((taker, entry.uuid, found)),
            Ok(None) => {}
            Err(why) => say(2, format!("not adding {shown} to {} as {why}", found.path.display())),
        }
    }
    let failed_here = failed_slot(host, &place);
    // The place that lost a device, then who lacks most; of equals the last of the map file, as in the reference.
    takers.sort_by_key(|((lacks, _), uuid, _)| (Some(*uuid) == failed_here, *lacks));
    let mut common = req.common.clone();
    common.verbose = common.verbose.min(-1);
    let mut exit = None;
    while let Some(((_, devname), uuid, found)) = takers.pop() {
        let opened = found.open(host)?;
        match manage::new_spare(host, &common, opened, &c.path) {
            Ok(()) => {
                if Some(uuid) == failed_here {
                    forget_slot(host, &place);
                }
                if !req.common.plan {
                    say(0, format!("added {shown} as spare for {devname}"));
                }
                return Ok(Some(Exit::OK));
            }
            Err(why) => {
                say(1, format!("failed to add {shown} as spare for {devname}"));
                why.lines.into_iter().for_each(|line| say(1, line));
                exit = Some(Exit::FAIL);
            }
        }
    }
    Ok(exit)
}

/// How many members an array lacks that has no spare for them, and its kernel name; `None` where it takes no spares at all.
///
/// # Errors
/// Why it takes not this one.
fn takes(host: &Host, conf: &Conf, found: &Found, place: &Place) -> Result<Option<(i64, String)>, &'static str> {
    if !found.runs() {
        return Ok(None);
    }
    let sysfs = host.sysfs.array(&found.devname);
    let Some(metadata) = metadata_word(&sysfs) else { return Ok(None) };
    let Some(facts) = found.open(host).ok().and_then(|open| manage::array_facts(host, &open)) else { return Ok(None) };
    if matches!(facts.level, crate::level::Level::Raid0 | crate::level::Level::Linear) {
        return Ok(None);
    }
    let device = allowed(&conf.policies, place, Some(metadata));
    if device.action < Action::Spare {
        return Err("metadata type doesn't match");
    }
    let domains: BTreeSet<String> = facts
        .members
        .iter()
        .filter_map(|m| m.dev)
        .flat_map(|dev| allowed(&conf.policies, &host.place_of(dev, &[]), Some(metadata)).domains)
        .collect();
    if !compatible(&device.domains, &domains) {
        return Err("it is not in a compatible domain");
    }
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let there = facts.members.iter().filter(|m| !m.faulty && !m.journal).count();
    Ok(Some((i64::from(facts.slots) - count(there), found.devname.clone())))
}

/// Where a device is: by the links that there are, and by those that were named, which udev may be about to make.
pub fn place(host: &Host, req: &IncrementalRequest, dev: (u32, u32)) -> Place {
    let named = req.devices.iter().map(PathBuf::as_path).chain(req.path.as_deref().map(Path::new));
    let named: Vec<String> = named.filter_map(|p| host.by_path(p)).collect();
    host.place_of(dev, &named)
}

/// What is on a device that is not bare. Both its ends are all zeros or all ones, and nothing is recognised on it: a btrfs or a ZFS
/// begins behind what the reference looks at.
fn not_bare(path: &Path) -> Option<String> {
    let device = match RealDevice::open(path, Access::ReadExclusive) {
        Ok(device) => device,
        Err(e) => return Some(e.to_string()),
    };
    if let Some(found) = foreign::identify(&device).first() {
        return Some(found.name());
    }
    let size = device.size().0;
    let ends = [0, size.saturating_sub(u64::try_from(END_BYTES).unwrap_or(0))];
    let blank = |at: u64| {
        let bytes = device.read_vec(at, END_BYTES).ok()?;
        let first = *bytes.first()?;
        Some(matches!(first, 0 | 0xff) && bytes.iter().all(|b| *b == first))
    };
    let all = ends.into_iter().all(|at| blank(at) == Some(true));
    (!all).then(|| "its first or last 4096 bytes are not blank".to_owned())
}

fn slots<'a>(host: &'a Host, place: &'a Place) -> impl Iterator<Item = PathBuf> + 'a {
    place.paths.iter().filter(|p| !p.contains('/')).map(|p| host.run.join("failed-slots").join(p))
}

/// The array that lost a device at this place: what `-If --path` noted.
fn failed_slot(host: &Host, place: &Place) -> Option<Uuid> {
    let text = slots(host, place).find_map(|file| std::fs::read_to_string(file).ok())?;
    let line = format!("md0 {}", text.trim());
    crate::host::map::parse(&line).first().map(|e| e.uuid)
}

fn forget_slot(host: &Host, place: &Place) {
    slots(host, place).for_each(|file| drop(std::fs::remove_file(file)));
}
