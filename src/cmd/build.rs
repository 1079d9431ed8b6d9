//! `--build`.

use std::collections::BTreeSet;
use std::path::Path;

use super::apply::{ApplyError, Session, reason};
use super::print::{complain, out};
use super::{bitmap_file, create, node};
use crate::blockio::ReadAt;
use crate::cli::request::BuildRequest;
use crate::device::real::{Access, RealDevice};
use crate::error::{Exit, Refusal};
use crate::host::Host;
use crate::host::devmap::block_dev;
use crate::host::names;
use crate::level::Level;
use crate::plan::bitmap_file::DEPRECATED;
use crate::plan::build::{self, BitmapPlan, BuildMember, Design};
use crate::superblock::{foreign, v1};

/// Runs the request.
#[must_use]
pub fn run(req: &BuildRequest) -> Exit {
    match build(req) {
        Ok(exit) => exit,
        Err(refusal) => {
            refusal.lines.iter().for_each(complain);
            refusal.exit
        }
    }
}

fn build(req: &BuildRequest) -> Result<Exit, Refusal> {
    let design = build::design(req)?;
    if req.common.verbose > 0 {
        design.notes.iter().for_each(complain);
    }
    let host = Host::default();
    create::kernel::level(design.level, req.common.plan, &host)?;
    let (members, open) = members(req, &host)?;
    let there: Vec<BuildMember> = members.iter().flatten().cloned().collect();
    let bitmap = match &design.bitmap {
        Some(path) => Some(build::bitmap_plan(req, &design, &there, &bitmap_file::facts(&host, path))?),
        None => None,
    };
    let typed = names::parse(&req.array.to_string_lossy())?;
    let (lock, node) = node::choose(&req.common, &host, (typed.number, None), &typed.path, &[])?;
    let state = host.sysfs.array(&node.devname).text("array_state").ok().flatten();
    if state.is_some_and(|s| s.trim() != "clear") {
        return Err(Refusal::new(format!("{} is already in use.", typed.path.display())));
    }
    let plan = build::plan(req, &design, &members, bitmap.as_ref(), &node);
    if req.common.plan {
        out(&if req.common.json { format!("{:#}\n", plan.json()) } else { plan.text() });
        return Ok(Exit::OK);
    }
    remarks(req, &open, bitmap.as_ref());
    let mut session = Session::new(&host, &req.common);
    session.lock = lock;
    open.into_iter().for_each(|d| session.give(d));
    session.apply(&plan).map_err(|e| failed(e, &design, &there))?;
    if !req.common.is_quiet() {
        complain(format!("array {} built and started.", node.path.display()));
    }
    Ok(after_start(&host, &session, bitmap.is_some()))
}

/// The members, opened so that nobody else takes them; nothing is written to them.
fn members(req: &BuildRequest, host: &Host) -> Result<(Vec<Option<BuildMember>>, Vec<RealDevice>), Refusal> {
    let named = || req.members.iter().filter_map(|m| m.path.as_deref());
    named().try_for_each(is_block_device)?;
    let mut seen = BTreeSet::new();
    let (mut members, mut open) = (Vec::new(), Vec::new());
    for arg in &req.members {
        let Some(path) = &arg.path else {
            members.push(None);
            continue;
        };
        if !seen.insert(block_dev(path)) {
            return Err(Refusal::new(format!("{} is listed twice.", path.display())));
        }
        let device = RealDevice::open(path, Access::ReadExclusive).map_err(|e| {
            let refusal = Refusal::new(format!("Cannot open {}: {}", path.display(), reason(&e)));
            let holders = block_dev(path).map(|dev| host.holders(dev)).unwrap_or_default();
            holders.iter().fold(refusal, |r, h| r.hint(format!("{} is {h}", path.display())))
        })?;
        let (dev, size) = (device.dev(), device.size().sectors());
        members.push(Some(BuildMember { path: path.clone(), dev, size, write_mostly: arg.write_mostly }));
        open.push(device);
    }
    Ok((members, open))
}

fn is_block_device(path: &Path) -> Result<(), Refusal> {
    let shown = path.display();
    match std::fs::metadata(path) {
        Err(e) => Err(Refusal::new(format!("stat failed for {shown}: {}", reason(&e)))),
        Ok(_) if block_dev(path).is_none() => Err(Refusal::new(format!("{shown} is not a block device."))),
        Ok(_) => Ok(()),
    }
}

/// One line each, on stderr, about what is to happen.
fn remarks(req: &BuildRequest, open: &[RealDevice], bitmap: Option<&BitmapPlan>) {
    if req.common.is_quiet() {
        return;
    }
    for device in open {
        let shown = device.path().display();
        if let Some((at, e)) = crate::plan::zero::unreadable(device) {
            complain(format!("note: cannot read {shown} at byte {at}: {}", reason(&e)));
        } else if let Some(name) = metadata(device) {
            complain(format!("note: {shown} holds {name}: it is part of the data of an array without metadata"));
        }
    }
    if let Some(bitmap) = bitmap {
        complain(DEPRECATED);
        bitmap.notes.iter().for_each(complain);
    }
}

/// What a device says it is a member of.
fn metadata(device: &RealDevice) -> Option<String> {
    match v1::read_any(device) {
        Ok(None) => foreign::raid_metadata(device).first().map(foreign::Found::name),
        _ => Some("a superblock of md".into()),
    }
}

/// What failed, and what of the request may be the reason.
fn failed(e: ApplyError, design: &Design, members: &[BuildMember]) -> Refusal {
    let mut refusal = Refusal::new(e.line);
    let unequal = members.windows(2).any(|w| matches!(w, [a, b] if a.size != b.size));
    if design.level == Level::Raid0 && design.layout == 0 && unequal {
        refusal = refusal.hint(
            "members of different sizes: the kernel has to know the layout, and a wrong one reads as garbage: \
             --layout=original if the array was made with Linux before 3.14, else --layout=alternate",
        );
    }
    refusal.hints(e.after)
}

fn after_start(host: &Host, session: &Session<'_>, bitmap: bool) -> Exit {
    let Some(array) = &session.array else { return Exit::FAIL };
    let mut exit = Exit::OK;
    let shown = array.name.path.display();
    if bitmap && !bitmap_file::active(array) {
        complain(format!("{shown}: the bitmap file is not in use"));
        exit = Exit::FAIL;
    }
    if host.udev_runs() && !host.wait_for_path(&array.name) {
        complain(format!("timeout waiting for {shown}"));
        exit = Exit::FAIL;
    }
    exit
}
