//! Saves what a plan is about to overwrite, before its first write.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use super::apply::{ApplyError, reason};
use super::print::complain;
use crate::blockio::ReadAt;
use crate::cli::request::{Common, SavedMetadata};
use crate::device::real::{Access, RealDevice};
use crate::host::Host;
use crate::host::saved::{DEFAULT_DIR, SavedDir};
use crate::plan::save::{self, Area};
use crate::plan::step::{Plan, Step};
use crate::saved::{Content, Device, Range, Saved};

/// Where to save, and what is said.
#[derive(Debug, Clone)]
pub struct Saving {
    dir: Option<PathBuf>,
    quiet: bool,
    /// At a terminal, nothing is overwritten that could not be saved.
    pub must: bool,
}

impl Saving {
    /// As the command line says.
    #[must_use]
    pub fn of(common: &Common) -> Saving {
        let dir = match &common.saved_metadata {
            SavedMetadata::Default => Some(PathBuf::from(DEFAULT_DIR)),
            SavedMetadata::Off => None,
            SavedMetadata::Dir(dir) => Some(dir.clone()),
        };
        Saving { dir, quiet: common.is_quiet(), must: false }
    }
}

/// Devices with something on them, and what is to be saved of each.
#[derive(Default)]
struct Found {
    devices: Vec<(PathBuf, Device, Vec<Area>)>,
    incomplete: bool,
}

/// Reads what the plan will overwrite; a device that holds only zeros there is left out.
fn gather(host: &Host, plan: &Plan, open: &BTreeMap<PathBuf, RealDevice>) -> Found {
    let mut found = Found::default();
    let (mut devices, mut areas) = (Vec::new(), Vec::new());
    for path in save::devices(plan) {
        // One that cannot be opened will be told of by the step that writes.
        let own = if open.contains_key(&path) { None } else { RealDevice::open(&path, Access::Read).ok() };
        let Some(dev) = own.as_ref().or_else(|| open.get(&path)) else { continue };
        let (all, cut) = save::areas(plan, &path, dev);
        found.incomplete |= cut;
        areas.push(all);
        devices.push((path, own));
    }
    found.incomplete |= save::fit(&mut areas);
    for ((path, own), areas) in devices.into_iter().zip(areas) {
        let Some(dev) = own.as_ref().or_else(|| open.get(&path)) else { continue };
        let mut ranges: Vec<Range> = Vec::new();
        for area in &areas {
            match save::read(dev, area) {
                Ok(read) => ranges.extend(read),
                Err(_) => found.incomplete = true,
            }
        }
        if ranges.iter().any(|r| matches!(r.content, Content::Bytes(_))) {
            let device = Device {
                path: std::path::absolute(&path).unwrap_or_else(|_| path.clone()),
                size_bytes: dev.size().0,
                identity: host.identity(dev.dev()),
                array: save::member(dev),
                ranges,
            };
            found.devices.push((path, device, areas));
        }
    }
    found
}

/// `--plan`: the text or the document of the plan, with what would be saved in front of the first write.
#[must_use]
pub fn shown(host: &Host, common: &Common, plan: &Plan) -> String {
    let first = plan.steps.iter().position(Step::overwrites).unwrap_or(0);
    let (before, after) = plan.steps.split_at_checked(first).unwrap_or_default();
    let mut whole = Plan { steps: before.to_vec() };
    if let Some(dir) = Saving::of(common).dir {
        for (path, _, areas) in gather(host, plan, &BTreeMap::new()).devices {
            whole.steps.extend(areas.into_iter().map(|a| Step::Save {
                device: path.clone(),
                offset: a.offset,
                length: a.len,
                what: a.what,
                dir: dir.clone(),
            }));
        }
    }
    whole.steps.extend(after.iter().cloned());
    if common.json { format!("{:#}\n", whole.json()) } else { whole.text() }
}

/// Saves what the plan will overwrite, and makes that durable.
///
/// # Errors
/// It cannot be saved, and this is a command at a terminal that does not go on without.
pub fn before(
    host: &Host,
    saving: &Saving,
    plan: &Plan,
    open: &BTreeMap<PathBuf, RealDevice>,
) -> Result<(), ApplyError> {
    let Some(dir) = &saving.dir else { return Ok(()) };
    let Found { devices, incomplete } = gather(host, plan, open);
    if devices.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = devices.iter().map(|d| d.0.display().to_string()).collect();
    let names = names.join(", ");
    let devices = devices.into_iter().map(|d| d.1).collect();
    match write(host, dir, devices, incomplete) {
        Ok(Some((file, in_memory))) => {
            if !saving.quiet {
                let part = if incomplete { " in part" } else { "" };
                let lost = if in_memory { " (in memory: gone at the next boot)" } else { "" };
                let file = file.display();
                complain(format!(
                    "note: what is overwritten is saved{part}{lost}; to put it back: mdadm --restore-saved {file}"
                ));
            }
            Ok(())
        }
        Ok(None) => Ok(()),
        Err(e) => {
            let why = format!("cannot write to {}: {}", dir.display(), reason(&e));
            if saving.must && io::stdin().is_terminal() {
                let line = format!("what is overwritten on {names} cannot be saved: {why}");
                let hint = "--saved-metadata=DIR saves it elsewhere, --saved-metadata=none goes on without";
                return Err(ApplyError { line, after: vec![hint.into()] });
            }
            if !saving.quiet {
                complain(format!("note: what is overwritten on {names} is not saved: {why}"));
            }
            Ok(())
        }
    }
}

/// The path of a file that is new, and whether it lies in memory.
fn write(host: &Host, dir: &Path, devices: Vec<Device>, incomplete: bool) -> io::Result<Option<(PathBuf, bool)>> {
    let now = crate::kernel::clock::now();
    let command = std::env::args_os().map(|w| w.to_string_lossy().into_owned()).collect();
    let saved = Saved { command, time_seconds: now, incomplete, devices };
    let dir = SavedDir::open(dir)?;
    Ok(host.saved.add(&dir, saved)?.map(|file| (file, dir.is_in_memory())))
}
