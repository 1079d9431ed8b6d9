//! A device whose array runs already: a spare, its journal, or a member that comes late.

use super::array::Found;
use super::attach::Attach;
use crate::cmd::apply::Session;
use crate::cmd::{manage, unwritten};
use crate::error::{Exit, Refusal};
use crate::host::map::MapLock;
use crate::kernel::md::disk;
use crate::plan::assemble::Member;
use crate::plan::create::Node;
use crate::plan::policy::Action;
use crate::plan::step::{DiskSpec, Plan, Step};
use crate::superblock::v1::{Role, devflag};

/// Adds it where that is safe.
pub fn run(attach: &Attach<'_>, found: &Found, m: &Member, lock: Option<MapLock>) -> Result<Exit, Refusal> {
    let node = Node { devname: found.devname.clone(), path: found.path.clone(), readonly: false };
    let array = found.open(attach.host)?;
    if m.sb.role() == Role::Spare {
        spare(attach, &node, m, array)?;
    } else {
        let full = attach.action == Action::ForceSpare;
        let mut common = attach.req.common.clone();
        common.verbose = -1;
        manage::late(attach.host, &common, array, attach.device, full).map_err(|why| refused(attach, &node, why))?;
    }
    drop(lock);
    if !attach.req.common.plan {
        let report = attach.report(&node);
        report.attached();
        report.runs_already();
    }
    Ok(Exit::OK)
}

/// In the words of the reference, then the reason.
fn refused(attach: &Attach<'_>, node: &Node, why: Refusal) -> Refusal {
    let (shown, array) = (attach.device.display(), node.path.display());
    let line = if attach.req.common.run || attach.action >= Action::ReAdd {
        format!("can only add {shown} to {array} as a spare, and force-spare is not set.")
    } else {
        format!("not adding {shown} to active array (without --run) {array}")
    };
    Refusal::new(line).with_exit(Exit::USAGE).hints(why.lines)
}

/// A spare of this array.
fn spare(attach: &Attach<'_>, node: &Node, m: &Member, array: crate::host::node::OpenArray) -> Result<(), Refusal> {
    let int = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    let (major, minor) = attach.new.candidate.dev;
    let mut state = 0;
    for (flag, bit) in [(devflag::WRITE_MOSTLY, disk::WRITEMOSTLY), (devflag::FAILFAST, disk::FAILFAST)] {
        if m.sb.devflags() & flag != 0 {
            state |= bit;
        }
    }
    let spec = DiskSpec { number: int(m.sb.dev_number()), major: int(major), minor: int(minor), raid_disk: -1, state };
    let step = Step::AddDisk { devname: node.devname.clone(), device: attach.device.to_owned(), spec };
    let mut plan = Plan { steps: vec![step] };
    let sysfs = array.sysfs.clone();
    let marks = unwritten::before_rebuild(attach.host, &array);
    if let Some(marks) = &marks {
        plan.steps.splice(0..0, marks.first.steps.clone());
    }
    if attach.req.common.plan {
        crate::cmd::print::out(&crate::cmd::save::shown(attach.host, &attach.req.common, &plan));
        return Ok(());
    }
    let mut session = Session::new(attach.host, &attach.req.common);
    session.array = Some(array);
    session.apply(&plan).map_err(|e| super::attach::not_added(e, attach.device, node, false))?;
    // What was discarded meanwhile.
    match marks.filter(|marks| marks.shown && unwritten::unwritten(&sysfs) != Some(0)) {
        Some(marks) => session.apply(&marks.all).map_err(|e| super::attach::not_added(e, attach.device, node, false)),
        None => Ok(()),
    }
}
