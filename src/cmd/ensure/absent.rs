//! `--ensure-absent`: stops an array and clears its members, and nothing else.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::look::{Super, has_superblock, superblock};
use crate::cli::request::AbsentRequest;
use crate::cmd::apply::{Session, reason};
use crate::cmd::print::{complain, out};
use crate::cmd::stop::{self, Say};
use crate::cmd::{assemble, print, save};
use crate::device::real::{Access, RealDevice};
use crate::error::{Exit, Refusal};
use crate::host::devmap::{DevMap, block_dev};
use crate::host::node::OpenArray;
use crate::host::{Host, names};
use crate::plan::zero::{self, Target, md_superblocks};
use crate::sysfs::attr;
use crate::uuid::Uuid;

/// What was done, for the report.
#[derive(Default)]
struct Done {
    stopped: Option<String>,
    cleared: Vec<String>,
    left: Vec<(String, String)>,
    error: Option<String>,
}

/// What is to be done.
struct Todo {
    /// The running array: its kernel name, and the path to stop it by.
    array: Option<(String, PathBuf)>,
    uuid: Option<Uuid>,
    /// Devices that may hold its superblocks.
    members: Vec<PathBuf>,
}

/// Stops the array and clears its own members. That there is none is a success.
#[must_use]
pub fn absent(req: &AbsentRequest) -> Exit {
    if req.common.json && !req.common.plan {
        print::only_report();
    }
    let host = Host::default();
    let mut done = Done::default();
    let exit = find(&host, req, &mut done).and_then(|todo| act(&host, req, &todo, &mut done));
    let exit = exit.unwrap_or_else(|refusal| {
        refusal.lines.iter().for_each(complain);
        done.error = Some(refusal.lines.join("\n"));
        refusal.exit
    });
    if req.common.plan {
        return exit;
    }
    if req.common.json {
        print::report(&format!("{:#}\n", report(req, &done)));
    }
    if exit == Exit::OK && done.stopped.is_none() && done.cleared.is_empty() && !req.common.is_quiet() {
        out(&format!("mdadm: there is no array {}.\n", req.array.display()));
    }
    exit
}

fn find(host: &Host, req: &AbsentRequest, done: &mut Done) -> Result<Todo, Refusal> {
    match running(host, &req.array) {
        Some(array) => of_running(host, req, &array),
        None => of_stopped(host, req, done),
    }
}

/// The array, by uuid, kernel name or path.
fn running(host: &Host, typed: &Path) -> Option<OpenArray> {
    let text = typed.to_string_lossy();
    if let Some(uuid) = Uuid::parse(&text) {
        return host.open_array(&assemble::already_active(host, uuid)?).ok();
    }
    let named = || host.open_array(&names::parse(&text).ok()?.path).ok();
    let array = host.open_array(typed).ok().or_else(named)?;
    let is_there = md_info(&array) || !array.sysfs.members().is_empty();
    is_there.then_some(array)
}

fn md_info(array: &OpenArray) -> bool {
    crate::kernel::md::get_array_info(&array.file).is_ok()
}

fn of_running(host: &Host, req: &AbsentRequest, array: &OpenArray) -> Result<Todo, Refusal> {
    let nodes = DevMap::read(host);
    let devs: Vec<(u32, u32)> =
        array.sysfs.members().iter().filter_map(|m| m.get(attr::BLOCK_DEV)).map(|d| (d.major, d.minor)).collect();
    let mut members: Vec<PathBuf> = devs.iter().filter_map(|d| nodes.path(*d, None)).map(PathBuf::from).collect();
    let uuid = members.iter().find_map(|p| read(p)).map(|s| s.existing.uuid);
    let belongs = |p: &PathBuf| block_dev(p).is_some_and(|d| devs.contains(&d)) || uuid.is_some_and(|u| holds(p, u));
    if !req.members.is_empty() && !req.members.iter().any(belongs) {
        let is: Vec<String> = members.iter().map(|p| p.display().to_string()).collect();
        return Err(Refusal::new(format!(
            "{} is another array: none of the devices named belongs to it, it has {}",
            req.array.display(),
            is.join(", ")
        ))
        .with_exit(Exit::DIFFERS)
        .hint("nothing was changed"));
    }
    for path in req.members.iter().filter(|p| uuid.is_some_and(|u| holds(p, u))) {
        if block_dev(path).is_none_or(|d| !devs.contains(&d)) {
            members.push(path.clone());
        }
    }
    let path = array.name.path.clone();
    let shown = if path.exists() { path } else { host.dev.join(&array.name.devname) };
    Ok(Todo { array: Some((array.name.devname.clone(), shown)), uuid, members })
}

fn read(path: &Path) -> Option<Super> {
    superblock(&RealDevice::open(path, Access::Read).ok()?).ok().flatten()
}

/// The superblocks of this array on a device, damaged or not.
fn of_array(path: &Path, uuid: Uuid) -> Vec<Target> {
    let Ok(dev) = RealDevice::open(path, Access::Read) else { return Vec::new() };
    md_superblocks(&dev).targets.into_iter().filter(|t| t.array == Some(uuid)).collect()
}

fn holds(path: &Path, uuid: Uuid) -> bool {
    !of_array(path, uuid).is_empty()
}

/// The members among the devices named, by the array's name or uuid.
fn of_stopped(host: &Host, req: &AbsentRequest, done: &mut Done) -> Result<Todo, Refusal> {
    let text = req.array.to_string_lossy();
    let wanted = Uuid::parse(&text);
    let typed = if wanted.is_some() { None } else { Some(names::parse(&text)?) };
    let homehost = match req.common.homehost.as_deref() {
        Some("<system>") | None => host.hostname(),
        Some(other) => other.to_owned(),
    };
    let mut found: Vec<(PathBuf, Uuid)> = Vec::new();
    for path in &req.members {
        let mut leave = |why: String| done.left.push((path.display().to_string(), why));
        let Some(sb) = read(path) else {
            if has_superblock(path) {
                leave("its superblock is damaged; --zero-superblock clears it".into());
            }
            continue;
        };
        let is = &sb.existing;
        let by_name = typed.as_ref().is_some_and(|t| match is.name.split_once(':') {
            Some((h, name)) => h == homehost && name == t.name,
            None if is.name.is_empty() => sb.minor.is_some() && sb.minor == t.number,
            None => is.name == t.name,
        });
        if by_name || wanted == Some(is.uuid) {
            found.push((path.clone(), is.uuid));
        } else {
            leave(format!("a member of array {} ({})", is.uuid, is.name.escape_debug()));
        }
    }
    if let Some((first, one)) = found.first()
        && let Some((second, other)) = found.iter().find(|f| f.1 != *one)
    {
        return Err(Refusal::new(format!("several arrays have that name: {} is of {one}", first.display()))
            .hint(format!("{} is of {other}; name the array by its uuid. Nothing was changed", second.display()))
            .with_exit(Exit::DIFFERS));
    }
    let uuid = found.first().map(|f| f.1);
    Ok(Todo { array: None, uuid, members: found.into_iter().map(|f| f.0).collect() })
}

fn act(host: &Host, req: &AbsentRequest, todo: &Todo, done: &mut Done) -> Result<Exit, Refusal> {
    if !req.common.is_quiet() {
        done.left.iter().for_each(|(device, why)| complain(format!("note: left alone: {device}: {why}")));
    }
    let clear: Vec<(&PathBuf, Vec<Target>)> =
        todo.uuid.iter().flat_map(|u| todo.members.iter().map(|p| (p, of_array(p, *u)))).collect();
    if req.common.plan {
        let mut plan = todo.array.as_ref().map(|(devname, _)| stop::steps(devname)).unwrap_or_default();
        clear.iter().for_each(|(path, targets)| plan.steps.extend(zero::plan(path, targets).steps));
        out(&save::shown(host, &req.common, &plan));
        return busy(host, todo).map_or(Ok(Exit::OK), Err);
    }
    if let Some((devname, path)) = &todo.array {
        let say = Say { stopped: !req.common.is_quiet(), errors: true };
        if stop::one(host, &req.common, path, say) != Exit::OK {
            return Err(Refusal::new(format!("{} is not stopped, and its members are as they were", path.display())));
        }
        done.stopped = Some(devname.clone());
    }
    let mut exit = Exit::OK;
    for (path, targets) in clear.into_iter().filter(|(_, targets)| !targets.is_empty()) {
        match zeroed(host, req, path, &targets) {
            Ok(()) => done.cleared.push(path.display().to_string()),
            Err(lines) => {
                lines.iter().for_each(complain);
                done.left.push((path.display().to_string(), lines.join("; ")));
                exit = Exit::FAIL;
            }
        }
    }
    Ok(exit)
}

/// Who would keep the array from being stopped.
fn busy(host: &Host, todo: &Todo) -> Option<Refusal> {
    let (devname, path) = todo.array.as_ref()?;
    let held = host.holders(host.sysfs.dev_of(devname)?);
    let refusal = Refusal::new(format!("{} is in use and would not be stopped", path.display()));
    let refusal = held.iter().fold(refusal, |r, h| r.hint(format!("{} is {h}", path.display())));
    (!held.is_empty()).then_some(refusal)
}

fn zeroed(host: &Host, req: &AbsentRequest, path: &Path, targets: &[Target]) -> Result<(), Vec<String>> {
    let shown = path.display();
    let dev = RealDevice::open(path, Access::WriteExclusive).map_err(|e| {
        let mut lines = vec![format!("cannot clear {shown}: {}", reason(&e))];
        let held = block_dev(path).map(|d| host.holders(d)).unwrap_or_default();
        lines.extend(held.iter().map(|h| format!("{shown} is {h}")));
        lines
    })?;
    let mut session = Session::new(host, &req.common);
    session.give(dev);
    session.apply(&zero::plan(path, targets)).map_err(|e| {
        let mut lines = vec![format!("cannot clear {shown}: {}", e.line)];
        lines.extend(e.after);
        lines
    })?;
    if !req.common.is_quiet() {
        targets.iter().for_each(|t| complain(format!("note: zeroed on {shown}, at byte {}: {}", t.offset, t.found)));
    }
    Ok(())
}

fn report(req: &AbsentRequest, done: &Done) -> Value {
    let left = done.left.iter().map(|(device, why)| json!({"device": device, "why": why}));
    json!([{
        "schema": "mdadm-rs/ensure-absent/1", "array": req.array.to_string_lossy(),
        "changed": done.stopped.is_some() || !done.cleared.is_empty(), "stopped": done.stopped,
        "cleared": done.cleared, "left": left.collect::<Vec<_>>(), "error": done.error,
    }])
}
