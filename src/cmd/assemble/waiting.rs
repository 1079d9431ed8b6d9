//! An array that waits for members: devices came one by one, and not all of them.

use super::{Asked, AssembleRequest, bitmap_maps};
use crate::cmd::incremental::array::{self, Found};
use crate::cmd::print::complain;
use crate::error::Refusal;
use crate::host::Host;
use crate::plan::assemble::steps::{Decision, decide};
use crate::plan::assemble::{Candidate, Content, Line, Wishes};
use crate::plan::create::Node;
use crate::plan::step::Step;
use crate::uuid::Uuid;

/// The array with this uuid, if it waits.
pub fn find(host: &Host, uuid: Uuid) -> Option<Found> {
    let map = host.map().load().unwrap_or_default();
    array::find(host, &map, uuid).filter(|found| !found.runs())
}

/// Decides anew over all members, those that it has and those that were named.
///
/// # Errors
/// As [`decide`]; or it runs by now.
pub fn merge(
    req: &AssembleRequest,
    host: &Host,
    asked: &Asked<'_>,
    (wishes, node): (&mut Wishes, &mut Node),
    (found, uuid): (&Found, Uuid),
) -> Result<Decision, (Vec<Line>, Refusal)> {
    *node = place(req, asked, found);
    wishes.shown = node.path.display().to_string();
    let all = candidates(host, asked, found, uuid);
    wishes.maps = bitmap_maps::read(wishes, &all);
    let mut decision = decide(wishes, &all, node)?;
    take_apart(host, found, &mut decision).map_err(|refusal| (Vec::new(), refusal))?;
    Ok(decision)
}

/// The members that it has beside the devices that were named, all as if they were free: it is taken apart before it is
/// assembled from all of them.
fn candidates(host: &Host, asked: &Asked<'_>, found: &Found, uuid: Uuid) -> Vec<Candidate> {
    let mut all: Vec<Candidate> = asked.candidates.to_vec();
    let others = found.members(host).into_iter().map(|named| named.candidate);
    let (dev, mut new) = (|c: &Candidate| c.dev, Vec::new());
    for c in others.filter(|c| c.dev != (0, 0)) {
        match all.iter_mut().find(|known| dev(known) == c.dev) {
            Some(known) => *known = c,
            None => new.push(c),
        }
    }
    all.append(&mut new);
    for c in &mut all {
        if let Content::Member(m) = &mut c.content
            && m.sb.set_uuid() == uuid
            && found.holds(c.dev)
        {
            m.busy = false;
        }
    }
    all
}

/// Its place, which it keeps.
fn place(req: &AssembleRequest, asked: &Asked<'_>, found: &Found) -> Node {
    if found.path != asked.typed.path && !req.common.is_quiet() {
        complain(format!("Merging with already-assembled {}", found.path.display()));
    }
    Node { devname: found.devname.clone(), path: found.path.clone(), readonly: req.common.readonly }
}

/// The steps that take it apart come first.
///
/// # Errors
/// It runs by now.
fn take_apart(host: &Host, found: &Found, decision: &mut Decision) -> Result<(), Refusal> {
    if array::found(host, &[], found.devname.clone()).runs() {
        return Err(Refusal::new(format!("{} runs already", found.path.display())));
    }
    let devname = || found.devname.clone();
    let first = [Step::StopArray { devname: devname() }, Step::Forget { devname: devname() }];
    decision.plan.steps.splice(0..0, first);
    Ok(())
}
