//! `--restore-saved`: puts back what a command saved before it overwrote it.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::apply::{self, Session, reason};
use super::print::{complain, out};
use super::save;
use crate::blockio::ReadAt;
use crate::cli::request::RestoreRequest;
use crate::device::real::{Access, NodeKind, RealDevice};
use crate::error::{Exit, Refusal};
use crate::host::Host;
use crate::host::devmap::block_dev;
use crate::host::identity::{conflict, is_unique};
use crate::output::escape;
use crate::plan::restore::{self, Place};
use crate::plan::save::member;
use crate::plan::step::Plan;
use crate::saved::{Device, Member, Saved};

const SCHEMA: &str = "mdadm-rs/restore-saved/1";

/// Runs the request.
#[must_use]
pub fn run(req: &RestoreRequest) -> Exit {
    match put_back(req) {
        Ok(exit) => exit,
        Err(refusal) => {
            refusal.lines.iter().for_each(complain);
            if req.common.json && !req.common.plan {
                // What was written before it failed may have been put back: the lines say so.
                let changed = Some(false).filter(|_| !apply::changed_anything());
                let report = json!([{
                    "schema": SCHEMA, "file": req.file.to_string_lossy(), "changed": changed, "devices": [],
                    "error": refusal.lines.join("\n"),
                }]);
                out(&format!("{report:#}\n"));
            }
            refusal.exit
        }
    }
}

fn put_back(req: &RestoreRequest) -> Result<Exit, Refusal> {
    let host = Host::default();
    let saved = load(&req.file)?;
    let chosen = chosen(&saved, &req.devices)?;
    let (mut open, mut refused): (Vec<(&Device, RealDevice)>, Vec<String>) = (Vec::new(), Vec::new());
    for device in chosen {
        match judge(&host, device, req.common.plan) {
            Ok(dev) => open.push((device, dev)),
            Err(lines) => refused.extend(lines),
        }
    }
    if !refused.is_empty() {
        let refusal = Refusal { lines: Vec::new(), exit: Exit::FAIL }.hints(refused);
        return Err(refusal.hint("nothing was written; naming devices behind the file puts back only those"));
    }
    let places: Vec<Place<'_>> =
        open.iter().map(|(saved, dev)| Place { saved, path: dev.path().to_owned(), dev }).collect();
    let plan = restore::plan(&places).map_err(|e| Refusal::new(format!("cannot read a device: {}", reason(&e))))?;
    drop(places);
    if req.common.plan {
        out(&save::shown(&host, &req.common, &plan));
        return Ok(Exit::OK);
    }
    let report = report(req, &saved, &open, !plan.steps.is_empty());
    if !req.common.json && !req.common.is_quiet() {
        out(&text(req, &saved, &open));
    }
    let devices: Vec<(&Device, PathBuf)> = open.iter().map(|(d, dev)| (*d, dev.path().to_owned())).collect();
    execute(req, &host, &plan, open)?;
    verify(&devices)?;
    if req.common.json {
        out(&format!("{report:#}\n"));
    } else if !req.common.is_quiet() {
        let names: Vec<String> = devices.iter().map(|(_, path)| path.display().to_string()).collect();
        let done = if plan.steps.is_empty() { "nothing to put back, all is as it was saved:" } else { "restored" };
        out(&format!("mdadm: {done} {}\n", names.join(", ")));
    }
    Ok(Exit::OK)
}

fn load(file: &Path) -> Result<Saved, Refusal> {
    let refuse = |why: String| Refusal::new(format!("cannot use {}: {why}", file.display())).with_exit(Exit::USAGE);
    let bytes = crate::host::saved::read(file).map_err(|e| refuse(reason(&e)))?;
    let saved = Saved::parse(&bytes).map_err(|e| refuse(e.to_string()))?;
    if saved.devices.is_empty() { Err(refuse("it names no device".into())) } else { Ok(saved) }
}

/// The devices that were named; all where none were.
fn chosen<'a>(saved: &'a Saved, named: &[PathBuf]) -> Result<Vec<&'a Device>, Refusal> {
    if named.is_empty() {
        return Ok(saved.devices.iter().collect());
    }
    let same =
        |d: &Device, path: &Path| d.path == path || block_dev(path).is_some_and(|n| block_dev(&d.path) == Some(n));
    let find = |path: &PathBuf| {
        let none = || Refusal::new(format!("{} is not in that file", path.display())).with_exit(Exit::USAGE);
        saved.devices.iter().find(|d| same(d, path)).ok_or_else(none)
    };
    named.iter().map(find).collect()
}

/// Finds the device, and opens it where it is the one that was saved, and nobody uses it or its array.
fn judge(host: &Host, saved: &Device, plan: bool) -> Result<RealDevice, Vec<String>> {
    if let Some(array) = &saved.array
        && let Some(path) = super::assemble::already_active(host, array.uuid)
    {
        let (device, array) = (saved.path.display(), path.display());
        return Err(vec![format!("{device}: its array runs as {array}: mdadm --stop {array} first")]);
    }
    let path = locate(host, saved).map_err(|line| vec![line])?;
    let access = if plan { Access::ReadExclusive } else { Access::WriteExclusive };
    RealDevice::open(&path, access).map_err(|e| {
        let mut lines = vec![format!("cannot open {}: {}", path.display(), reason(&e))];
        if let (Some(libc::EBUSY), Some(dev)) = (e.raw_os_error(), block_dev(&path)) {
            let held = host.who_holds(dev);
            lines.extend(held.iter().map(|h| format!("{} is {h}", path.display())));
        }
        lines
    })
}

/// Where the saved device is today: at its path if that is still the same device, else wherever its serial number is.
fn locate(host: &Host, saved: &Device) -> Result<PathBuf, String> {
    let shown = saved.path.display();
    let why = match is_it(host, saved, &saved.path) {
        Ok(()) => return Ok(saved.path.clone()),
        Err(why) => why,
    };
    if !is_unique(&saved.identity) {
        return Err(why);
    }
    let names = std::fs::read_dir(host.sysfs.root().join("class/block")).into_iter().flatten().filter_map(Result::ok);
    let paths = names.filter_map(|n| Some(host.dev.join(n.file_name().to_str()?.replace('!', "/"))));
    let known = |path: &PathBuf| block_dev(path).is_some_and(|dev| is_unique(&host.identity(dev)));
    let found: Vec<PathBuf> = paths.filter(|p| known(p) && is_it(host, saved, p).is_ok()).collect();
    match found.as_slice() {
        [one] => {
            complain(format!("note: {shown} is {} now", one.display()));
            Ok(one.clone())
        }
        [] => Err(format!("{why}; no other device is it either")),
        _ => Err(format!("{why}; several other devices could be it")),
    }
}

/// Whether this path is the device that was saved, as far as that can be told: size, serial number and the like.
fn is_it(host: &Host, saved: &Device, path: &Path) -> Result<(), String> {
    let shown = path.display();
    let device = RealDevice::open(path, Access::Read).map_err(|e| format!("cannot open {shown}: {}", reason(&e)))?;
    let size = device.size().0;
    if size != saved.size_bytes {
        return Err(format!(
            "{shown} is not the device that was saved: it has {size} bytes, that had {}",
            saved.size_bytes
        ));
    }
    if device.kind() == NodeKind::File {
        return Ok(());
    }
    let now = host.identity(device.dev());
    match conflict(&saved.identity, &now) {
        None => Ok(()),
        Some((what, then, now)) => Err(format!(
            "{shown} is not the device that was saved: its {what} is {}, that of the saved one was {}",
            escape::text(now.as_bytes()),
            escape::text(then.as_bytes())
        )),
    }
}

fn execute(req: &RestoreRequest, host: &Host, plan: &Plan, open: Vec<(&Device, RealDevice)>) -> Result<(), Refusal> {
    let mut session = Session::new(host, &req.common);
    open.into_iter().for_each(|(_, dev)| session.give(dev));
    session.apply(plan).map_err(Refusal::from)
}

/// Reads everything again.
fn verify(devices: &[(&Device, PathBuf)]) -> Result<(), Refusal> {
    for (saved, path) in devices {
        let wrong = |why: String| Refusal::new(format!("{} does not hold what was written: {why}", path.display()));
        let device = RealDevice::open(path, Access::Read).map_err(|e| wrong(reason(&e)))?;
        for range in &saved.ranges {
            if !restore::holds(&device, range).map_err(|e| wrong(reason(&e)))? {
                return Err(wrong(format!("at byte {}", range.offset)));
            }
        }
    }
    Ok(())
}

fn describe(member: Option<&Member>) -> String {
    let Some(m) = member else { return "no md superblock".into() };
    let name = escape::text(m.name.as_bytes());
    let name = if name.is_empty() { String::new() } else { format!(" ({name})") };
    format!("member of {}{name}, metadata {}, events {}", m.uuid, escape::text(m.metadata.as_bytes()), m.events)
}

/// What is about to be done, for a person.
fn text(req: &RestoreRequest, saved: &Saved, open: &[(&Device, RealDevice)]) -> String {
    let command = escape::text(saved.command.join(" ").as_bytes());
    let part = if saved.incomplete { ", in part" } else { "" };
    let time = crate::time::stamp(saved.time_seconds);
    let mut lines = format!("{}: saved {time}{part}, before: {command}\n", req.file.display());
    for (device, dev) in open {
        let bytes: u64 = device.ranges.iter().map(crate::saved::Range::len).sum();
        let known = if is_unique(&device.identity) { "" } else { ", known by its path and size only" };
        lines.push_str(&format!("{}: {bytes} bytes in {} places{known}\n", dev.path().display(), device.ranges.len()));
        lines.push_str(&format!("    now:  {}\n", describe(member(dev).as_ref())));
        lines.push_str(&format!("    then: {}\n", describe(device.array.as_ref())));
    }
    lines
}

fn report(req: &RestoreRequest, saved: &Saved, open: &[(&Device, RealDevice)], changed: bool) -> Value {
    let brief = |m: Option<&Member>| {
        m.map(|m| json!({"metadata": m.metadata, "uuid": m.uuid.to_string(), "name": m.name, "events": m.events}))
    };
    let device = |(device, dev): &(&Device, RealDevice)| {
        json!({
            "device": dev.path().to_string_lossy(), "saved_as": device.path.to_string_lossy(),
            "identity": device.identity, "bytes": device.ranges.iter().map(crate::saved::Range::len).sum::<u64>(),
            "before": brief(member(dev).as_ref()), "after": brief(device.array.as_ref()),
        })
    };
    json!([{
        "schema": SCHEMA, "error": null, "file": req.file.to_string_lossy(), "command": saved.command,
        "time_seconds": saved.time_seconds, "incomplete": saved.incomplete, "changed": changed,
        "devices": open.iter().map(device).collect::<Vec<_>>(),
    }])
}
