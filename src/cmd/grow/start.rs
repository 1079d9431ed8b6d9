//! Starts a reshape: levels before it, new members, the places that data moves to, and who looks after it.

use super::after::{self, After};
use super::reshape::{add, can_be_added, set_level, take_over};
use super::{Running, bitmap, bitmap_gather, check_first, gather, worker};
use crate::cli::request::GrowRequest;
use crate::error::Refusal;
use crate::level::Level;
use crate::plan::grow::bitmap::Now;
use crate::plan::grow::level;
use crate::plan::grow::reshape::offset::Move;
use crate::plan::grow::reshape::route::{Geometry, Route, route};
use crate::plan::grow::reshape::{self, Start};
use crate::plan::grow::shape::{Part, Shape};
use crate::plan::step::{MemberBy, Plan, Step};
use crate::sysfs::attr;
use crate::sysfs::value::Maybe;

/// What changes the level, layout, chunk or number of slots of an array by moving its data.
pub(super) fn run(running: &mut Running<'_>, shape: &Shape) -> Result<(), Refusal> {
    let req = running.req;
    let route = route(shape, req)?;
    let still = reshape::at_once(&route) && req.data_offset.is_none();
    if still && route.first.is_empty() && route.last.is_empty() && route.from == route.to {
        running.say(format!("{}: no change requested", shape.shown));
        return Ok(());
    }
    reshape::check(shape, req, &route, &gather::contents(running))?;
    can_be_added(running)?;
    if !still && reshape::moved(shape, req, &route)?.is_err() && route.to.level == Level::Raid10 {
        return Err(no_room(running, shape, &route));
    }
    if req.check_first && !still {
        check_first::run(running, shape)?;
    }
    let lockless = matches!(shape.bitmap, Now::Lockless(_));
    if lockless && still {
        return Err(Refusal::new(format!("cannot reshape {}", shape.shown)).hint(format!(
            "the kernel changes neither level nor chunk under a lockless bitmap: mdadm --grow {} --bitmap=none, then this, then \
             --bitmap=lockless where the new level can have one",
            shape.shown
        )));
    }
    if lockless {
        let facts = bitmap_gather::facts(running.host, &running.array);
        if let Some((why, what_to_do)) = &facts.unsafe_because {
            let line = format!("cannot take the lockless bitmap off {} now: {why}", shape.shown);
            return Err(Refusal::new(line).hint(what_to_do.clone()));
        }
        running.say(format!(
            "the kernel cannot reshape {} with its lockless bitmap, whose states would describe other data: that is taken off, and \
             another one is put on when all data has moved",
            shape.shown
        ));
        bitmap::change(running, &facts, None)?;
    }
    let after = |cache| {
        let mut after = After::default();
        after.levels = route.last.iter().map(|l| l.name().to_owned()).collect();
        let mut before: Vec<Level> = std::iter::once(shape.level).chain(route.first.iter().copied()).collect();
        before.pop();
        after.back = before.iter().rev().map(|l| l.name().to_owned()).collect();
        (after.lockless, after.stripe_cache) = (lockless && route.end.level.is_redundant(), cache);
        after
    };
    let started = begin(running, shape, &route, still, &after);
    if started.is_err() && lockless {
        let hint = format!("its bitmap is off now: mdadm --grow {} --bitmap=lockless", shape.shown);
        return started.map_err(|e| e.hint(hint));
    }
    started
}

/// Only the kernel's raid10 cannot do without.
fn no_room(running: &Running<'_>, shape: &Shape, route: &Route) -> Refusal {
    let refusal = Refusal::new(format!("cannot reshape {}", running.array.name.path.display()));
    match reshape::offset::choose(shape, &route.from, &route.to, reshape::member_sectors(shape)) {
        Err(none) => refusal.hint(format!(
            "data must move by {}K at least, and {} has room for {}K",
            none.needs / 2,
            none.shown,
            none.has / 2
        )),
        Ok(_) => refusal,
    }
}

/// From holding sync actions back to the start; what was done is undone if it does not start.
fn begin(
    running: &mut Running<'_>,
    shape: &Shape,
    route: &Route,
    still: bool,
    after: &dyn Fn(Option<u64>) -> After,
) -> Result<(), Refusal> {
    running.execute(&shape.freeze(true))?;
    let mut taken = Vec::new();
    let ready = levels(running, shape, &route.first, &mut taken).and_then(|()| add(running)).and_then(|()| {
        let now = if running.req.common.plan { predicted(running, shape, route) } else { gather::shape(running)? };
        // The levels may have made something else of it than was thought.
        match Geometry::of(&now) == route.from {
            true => Ok(now),
            false => {
                let line = format!("{} is not what was expected of it: {:?}", now.shown, Geometry::of(&now));
                Err(Refusal::new(line))
            }
        }
    });
    let begun = ready.and_then(|now| {
        if still {
            let start = reshape::start(&now, route, None);
            return try_start(running, &now, &start).map(|()| false);
        }
        let start = reshape::start(&now, route, place(running, &now, route)?);
        if running.req.common.plan {
            tell(running, shape, route, &start)?;
        }
        move_data(running, &now, &start, after)
    });
    match begun {
        Err(refusal) => Err(give_up(running, shape, &taken, refusal)),
        Ok(_) if still => levels_afterwards(running, shape, route),
        Ok(true) => look_after(running, &shape.devname),
        Ok(false) => Ok(()),
    }
}

/// Where no data moves: what else comes when it has moved, and sync actions are let go.
fn levels_afterwards(running: &mut Running<'_>, shape: &Shape, route: &Route) -> Result<(), Refusal> {
    let mut now = if running.req.common.plan { predicted(running, shape, route) } else { gather::shape(running)? };
    let done = route.last.iter().try_for_each(|level| {
        if !running.req.common.plan {
            now = gather::shape(running)?;
        }
        // So that it is let go before a level that could not do that any more.
        now.frozen = false;
        let common = running.req.common.clone();
        let req = GrowRequest { level: Some(*level), common, ..GrowRequest::default() };
        match level::plan(&now, &req)? {
            level::Change::AtOnce(takeover) => take_over(running, &now, &takeover)?,
            _ => return Err(Refusal::new(format!("{}: could not set level to {}", now.shown, level.name()))),
        }
        now = Shape { level: *level, ..now.clone() };
        Ok(())
    });
    if running.array.sysfs.get(attr::SYNC_ACTION).is_some() && !shape.frozen {
        running.execute(&Plan { steps: vec![shape.set("sync_action", "idle")] })?;
    }
    done
}

/// Levels before the reshape. What has no sync actions before may have them now: they are held back at once.
fn levels(running: &mut Running<'_>, shape: &Shape, levels: &[Level], taken: &mut Vec<Level>) -> Result<(), Refusal> {
    let mut before = shape.level;
    for level in levels {
        let plan = Plan { steps: vec![shape.set("level", level.name()), shape.set("sync_action", "frozen")] };
        let now = Shape { level: before, request: gather::request(&running.array.sysfs), ..shape.clone() };
        set_level(running, &now, *level, &plan).map_err(|e| {
            let line = format!("{}: could not set level to {}", shape.shown, level.name());
            Refusal::new(line).hints(e.lines)
        })?;
        taken.push(before);
        before = *level;
        running.say(format!("level of {} changed to {}", shape.shown, level.name()));
    }
    Ok(())
}

/// With `--plan`: what the levels and `--add` will have made of it.
fn predicted(running: &Running<'_>, shape: &Shape, route: &Route) -> Shape {
    let mut now = shape.clone();
    now.size = reshape::member_sectors(shape) / 2;
    (now.level, now.layout, now.chunk, now.slots) =
        (route.from.level, route.from.layout, route.from.chunk, route.from.slots);
    now.stripe_cache = now.stripe_cache.or(Some(256));
    let added: Vec<Part> = running.req.add.iter().map(|path| gather::added(running, &now, path)).collect();
    now.parts.extend(added);
    now
}

/// Where data goes; `None`: it stays, and the file for what is overwritten is made.
fn place(running: &Running<'_>, now: &Shape, route: &Route) -> Result<Option<Move>, Refusal> {
    match reshape::moved(now, running.req, route)? {
        Ok(moved) => Ok(Some(moved)),
        Err(_) if route.to.level == Level::Raid10 => Err(no_room(running, now, route)),
        Err(_) if running.req.common.plan => Ok(None),
        Err(_) => {
            let first = reshape::offset::first(&route.from, &route.to, reshape::member_sectors(now), None);
            worker::prepare(running.host, &job(running, &now.devname), &first).map(|()| None)
        }
    }
}

fn job(running: &Running<'_>, devname: &str) -> worker::Job {
    worker::Job { devname: devname.to_owned(), backup: running.req.backup_file.clone() }
}

/// `--plan`: what comes of it, before all steps.
fn tell(running: &mut Running<'_>, shape: &Shape, route: &Route, start: &Start) -> Result<(), Refusal> {
    let sysfs = &running.array.sysfs;
    let limit = |attr| sysfs.get(attr).map(|l: crate::sysfs::value::SpeedLimit| l.kib);
    let speed = (limit(attr::SYNC_SPEED_MIN).unwrap_or(1000), limit(attr::SYNC_SPEED_MAX).unwrap_or(200_000));
    let backup = match start.held && start.moved.is_none() {
        true => {
            let first = reshape::offset::first(&route.from, &route.to, reshape::member_sectors(shape), None);
            Some(worker::foreseen(running.host, &job(running, &shape.devname), &first)?)
        }
        false => None,
    };
    let summary = reshape::summary::of(shape, route, start, speed, backup);
    running.shown.steps.insert(0, Step::Reshape(Box::new(summary)));
    Ok(())
}

/// Whether somebody has to look after it.
fn move_data(
    running: &mut Running<'_>,
    now: &Shape,
    start: &Start,
    after: &dyn Fn(Option<u64>) -> After,
) -> Result<bool, Refusal> {
    let after = after(start.cache);
    if running.req.common.plan {
        running.execute(&start.plan)?;
        return running.execute(&after::shown(&after, &now.shown)).map(|()| false);
    }
    let map = running.host.map().load().unwrap_or_default();
    let uuid = running.host.uuid_in(&running.array.sysfs, &map);
    let uuid = uuid.unwrap_or_else(|| bitmap_gather::facts(running.host, &running.array).uuid);
    after.clone().keep(uuid)?;
    if let Err(e) = try_start(running, now, start) {
        let _ = After::default().keep(uuid);
        return Err(e);
    }
    Ok(start.held || after != After::default())
}

/// Its steps; what was done is undone where one fails.
fn try_start(running: &mut Running<'_>, now: &Shape, start: &Start) -> Result<(), Refusal> {
    running.execute(&start.plan).map_err(|e| {
        for step in &start.undo.steps {
            let _ = running.execute(&Plan { steps: vec![step.clone()] });
        }
        let line = format!("Cannot start reshape for {}", now.shown);
        Refusal::new(line).hints(e.lines)
    })
}

/// Has it looked after. It runs: whatever happens from here on, data is safe, and nothing is undone.
fn look_after(running: &mut Running<'_>, devname: &str) -> Result<(), Refusal> {
    let Err(refusal) = worker::launch(running.host, &job(running, devname)) else { return Ok(()) };
    let position = running.array.sysfs.get(attr::RESHAPE_POSITION).and_then(Maybe::some);
    if position.is_none() {
        running.over = true;
        return Ok(());
    }
    let shown = running.array.name.path.display();
    Err(refusal.hint(format!("it runs and waits; mdadm --grow --continue {shown} goes on")))
}

/// Levels back, sync actions free.
fn give_up(running: &mut Running<'_>, shape: &Shape, taken: &[Level], mut refusal: Refusal) -> Refusal {
    if running.req.common.plan {
        return refusal;
    }
    if !taken.is_empty()
        && let Ok(now) = gather::shape(running)
    {
        let added = |p: &&Part| p.slot.is_none() && !shape.parts.iter().any(|old| old.name == p.name);
        let out = now.parts.iter().filter(added).map(|p| Step::HotRemove {
            devname: now.devname.clone(),
            device: p.shown.clone(),
            by: MemberBy::Name(p.name.clone()),
        });
        let _ = running.execute_patiently(&Plan { steps: out.collect() });
    }
    for level in taken.iter().rev() {
        let now = Shape { request: gather::request(&running.array.sysfs), ..shape.clone() };
        let plan = Plan { steps: vec![shape.set("level", level.name())] };
        if let Err(e) = set_level(running, &now, *level, &plan) {
            let what = e.lines.first().cloned().unwrap_or_default();
            refusal = refusal.hint(format!("{} stays as it is: {what}", shape.shown));
            break;
        }
    }
    if running.array.sysfs.get(attr::SYNC_ACTION).is_some() && !shape.frozen {
        let _ = running.execute(&Plan { steps: vec![shape.set("sync_action", "idle")] });
    }
    refusal
}
