//! `--grow --level`, `--raid-devices` and the like: what moves no data is done here. And `--consistency-policy`.

use super::{Running, bitmap_gather, gather, start, stripes_rest};
use crate::cli::request::{GrowRequest, ManageItem, ManageOp, ManageRequest};
use crate::cmd::manage;
use crate::cmd::print::out;
use crate::device::real::{Access, RealDevice};
use crate::error::{Refusal, reason};
use crate::level::Level;
use crate::plan::grow::level::{self, Takeover};
use crate::plan::grow::shape::Shape;
use crate::plan::grow::{devices, policy};
use crate::plan::step::{Plan, Step};
use crate::sysfs::attr;

/// `--level`, `--raid-devices`
pub(super) fn run(running: &mut Running<'_>) -> Result<(), Refusal> {
    let shape = gather::shape(running)?;
    let req = running.req;
    if shape.level == Level::Linear {
        let other = if req.raid_devices.is_some() {
            "setting --raid-disks is not needed"
        } else {
            "other --grow options are not meaningful"
        };
        return Err(Refusal::new(format!("Only --add is supported for LINEAR, {other}")));
    }
    let change = level::plan(&shape, req)?;
    match change {
        level::Change::AtOnce(takeover) => {
            can_be_added(running)?;
            take_over(running, &shape, &takeover)?;
            return add(running);
        }
        level::Change::Moves => return start::run(running, &shape),
        level::Change::None => {}
    }
    // By way of raid4 it would be a change of level and back.
    let stays = shape.level == Level::Raid0 && asks_for_nothing(&shape, req);
    if shape.level != Level::Raid1 && !stays {
        return start::run(running, &shape);
    }
    match devices::check(&shape, req)?.filter(|_| !stays) {
        Some(wanted) => set_mirrors(running, &shape, wanted),
        None if req.data_offset.is_some() => Err(Refusal::new("--grow --data-offset not yet supported")
            .hint(format!("the kernel moves no data of a {}", shape.level.name()))),
        None => {
            running.say(format!("{}: no change requested", shape.shown));
            Ok(())
        }
    }
}

/// What is asked for is so already.
fn asks_for_nothing(shape: &Shape, req: &GrowRequest) -> bool {
    req.chunk.is_none_or(|chunk| chunk == shape.chunk)
        && req.raid_devices.is_none_or(|n| n == shape.slots)
        && req.layout.is_none()
        && req.data_offset.is_none()
        && req.add.is_empty()
}

/// Sync actions are held back, so that a new mirror does not fill an old gap before there are more slots.
fn set_mirrors(running: &mut Running<'_>, shape: &Shape, wanted: u32) -> Result<(), Refusal> {
    can_be_added(running)?;
    running.execute(&shape.freeze(true))?;
    let plan = devices::plan(shape, wanted);
    let done = add(running).and_then(|()| running.execute_patiently(&plan).map_err(devices::failed));
    let thawed = running.execute(&shape.freeze(false));
    done.and(thawed)?;
    if !running.req.common.plan && !running.req.common.is_quiet() {
        out(&format!("raid_disks for {} set to {wanted}\n", shape.shown));
    }
    Ok(())
}

/// A change of level that is made at once.
pub(super) fn take_over(running: &mut Running<'_>, shape: &Shape, takeover: &Takeover) -> Result<(), Refusal> {
    running.execute_patiently(&takeover.first)?;
    running.execute(&shape.freeze(true))?;
    let done = step_by_step(running, shape, takeover);
    if takeover.to.is_redundant() {
        running.execute(&shape.freeze(false))?;
    }
    let shown = &shape.shown;
    let done = done.map_err(|e| {
        let line = format!("{shown}: could not set level to {}", takeover.to.name());
        let mut refusal = Refusal::new(line).hints(e.lines);
        if !takeover.out.is_empty() {
            let names = takeover.out.join(" ");
            refusal = refusal.hint(format!("put back what was taken out: mdadm {shown} --add {names}"));
        }
        refusal
    });
    done?;
    running.say(format!("level of {shown} changed to {}", takeover.to.name()));
    for out in &takeover.out {
        running.say(format!(
            "note: {out} is no member any more, but its superblock says that it is one of what was there; to clear it: mdadm --zero-superblock {out}"
        ));
    }
    Ok(())
}

/// A level without redundancy has no sync actions, and nobody could let them go again: so that is done before.
fn step_by_step(running: &mut Running<'_>, shape: &Shape, takeover: &Takeover) -> Result<(), Refusal> {
    let done = takeover.plans.iter().try_for_each(|plan| running.execute_patiently(plan));
    let thawed = if takeover.to.is_redundant() { Ok(()) } else { running.execute(&shape.freeze(false)) };
    done.and(thawed)?;
    set_level(running, shape, takeover.to, &takeover.last)
}

/// With requests that fit both levels; the new one says itself how large they are. Stripes that are worked on meanwhile would be lost
/// to Linux: `level_store` waits for requests, but not for what is left to do with their stripes.
pub(super) fn set_level(running: &mut Running<'_>, shape: &Shape, to: Level, plan: &Plan) -> Result<(), Refusal> {
    let narrowed = shape.narrow(to);
    if let Some((narrow, _)) = &narrowed {
        running.execute(&Plan { steps: vec![narrow.clone()] })?;
    }
    if !running.req.common.plan {
        stripes_rest(&running.array.sysfs);
    }
    running.execute_patiently(plan).inspect_err(|_| {
        if let Some((_, back)) = narrowed {
            let _ = running.execute(&Plan { steps: vec![back] });
        }
    })
}

/// The devices of `--add` can be opened, alone.
pub(super) fn can_be_added(running: &Running<'_>) -> Result<(), Refusal> {
    running.req.add.iter().try_for_each(|path| {
        let opened = RealDevice::open(path, Access::ReadExclusive).map(drop);
        opened.map_err(|e| Refusal::new(format!("Cannot open {}: {}", path.display(), reason(&e))))
    })
}

/// `--add`, as manage mode does it.
pub(super) fn add(running: &mut Running<'_>) -> Result<(), Refusal> {
    let req = running.req;
    if req.add.is_empty() {
        return Ok(());
    }
    if req.common.plan && running.array.sysfs.get(attr::SYNC_ACTION).is_none() {
        // A raid0 takes none yet.
        let steps =
            req.add.iter().map(|d| Step::Kernel { what: format!("takes {} as a spare", d.display()) }).collect();
        return running.execute(&Plan { steps });
    }
    let steps = manage::with_steps(&adding(req))?;
    running.shown.steps.extend(steps.steps);
    Ok(())
}

/// The same as a request to manage mode.
fn adding(req: &GrowRequest) -> ManageRequest {
    let item = |device: &std::path::PathBuf| ManageItem {
        op: ManageOp::Add,
        device: device.clone(),
        write_mostly: None,
        failfast: None,
    };
    ManageRequest {
        common: req.common.clone(),
        array: req.array.clone(),
        items: req.add.iter().map(item).collect(),
        update: None,
        any_sector_size: false,
        readonly: false,
        after: None,
    }
}

/// `--add` alone
pub(super) fn longer(running: &mut Running<'_>) -> Result<(), Refusal> {
    if gather::shape(running)?.level != Level::Linear {
        let shown = running.array.name.path.display();
        return Err(Refusal::new("can only add devices to linear arrays")
            .hint(format!("a spare is added with mdadm {shown} --add DEVICE")));
    }
    can_be_added(running)?;
    let steps = manage::longer(&adding(running.req))?;
    running.shown.steps.extend(steps.steps);
    Ok(())
}

/// `--consistency-policy`
pub(super) fn policy(running: &mut Running<'_>) -> Result<(), Refusal> {
    let Some(wanted) = running.req.policy else { return Ok(()) };
    let shape = gather::shape(running)?;
    let facts = bitmap_gather::facts(running.host, &running.array);
    let now = running.array.sysfs.get(attr::CONSISTENCY_POLICY).map(|w| w.0).unwrap_or_default();
    let plan = policy::plan(&shape, &facts, wanted, &now)?;
    running.execute_patiently(&plan).map_err(|e| {
        let line = format!("failed to change consistency policy of {}", shape.shown);
        Refusal::new(line).hints(e.lines)
    })
}
