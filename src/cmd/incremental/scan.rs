//! `-IRs`: starts all arrays that were left incomplete.

use super::array::{self, Found};
use super::attach::{settled, start, tell, why_not};
use crate::cli::request::IncrementalRequest;
use crate::cmd::apply::Session;
use crate::cmd::bitmap_file;
use crate::cmd::print::{complain, out};
use crate::cmd::save;
use crate::error::{Exit, Refusal};
use crate::host::Host;
use crate::host::conf::Conf;
use crate::plan::assemble::line::matching;
use crate::plan::assemble::naming::member;
use crate::plan::create::Node;
use crate::plan::incremental::{Facts, Named, Outcome, decide};
use crate::plan::step::Plan;
use crate::sysfs::attr;
use crate::sysfs::value::MetadataVersion;

/// Starts what can be started; the status is bad where something cannot.
pub fn run(req: &IncrementalRequest, conf: &Conf, host: &Host) -> Result<Exit, Refusal> {
    let (mut exit, mut shown) = (Exit::OK, Plan::default());
    for devname in host.sysfs.arrays() {
        // One lock an array: who comes with a device meanwhile need not wait for all.
        let (lock, map) = array::locked(host, req.common.plan);
        let sysfs = host.sysfs.array(&devname);
        let external = matches!(sysfs.get(attr::METADATA_VERSION), Some(MetadataVersion::External(_)));
        let found = array::found(host, &map, devname);
        if external || found.runs() || sysfs.members().is_empty() {
            continue;
        }
        let mut session = Session::new(host, &req.common);
        (session.lock, session.lock_to_the_end) = (lock, true);
        match one(req, conf, host, &found, &mut session, &mut shown) {
            Ok(one) => exit = exit.worst(one),
            Err(refusal) => {
                let mut lines = refusal.lines.iter();
                let why = lines.next().map(String::as_str).unwrap_or_default();
                complain(format!("failed to start array {}: {why}", found.path.display()));
                lines.for_each(complain);
                exit = exit.worst(Exit::FAIL);
            }
        }
    }
    if req.common.plan {
        out(&save::shown(host, &req.common, &shown));
    }
    Ok(exit)
}

fn one(
    req: &IncrementalRequest,
    conf: &Conf,
    host: &Host,
    found: &Found,
    session: &mut Session<'_>,
    shown: &mut Plan,
) -> Result<Exit, Refusal> {
    let attached = found.members(host);
    let node = Node { devname: found.devname.clone(), path: found.path.clone(), readonly: false };
    let lockless_set = found.lockless_set();
    let of_array = |named: &Named| {
        let lines = matching(conf, &named.candidate, member(&named.candidate.content)?).ok()?;
        bitmap_file::configured(host, lines.first().copied())
    };
    let file = attached.iter().find_map(of_array);
    let facts = Facts {
        node: &node,
        fresh: false,
        new: None,
        attached: &attached,
        spoilt: false,
        foreign: false,
        settings: &conf.sysfs,
        lockless_set,
        bitmap_file: file.as_ref(),
        run: true,
    };
    let d = decide(&facts)?;
    match d.outcome {
        Outcome::Start { .. } => {}
        Outcome::Reshaping => return Err(Refusal::new("it is being reshaped: mdadm --assemble goes on with it")),
        _ => {
            return Err(Refusal::new("Input/output error").hint("members are missing without which it cannot start"));
        }
    }
    tell(req, &d);
    if req.common.plan {
        shown.steps.extend(d.attach.steps.iter().chain(&d.start.steps).cloned());
        return Ok(Exit::OK);
    }
    session.array = Some(found.open(host)?);
    session.keep = true;
    let done = session.apply(&d.attach).and_then(|()| start(session, host, &node.devname, &d));
    done.map_err(|e| {
        let why = e.line.rsplit(": ").next().unwrap_or_default();
        Refusal::new(why).hints(why_not(&d)).hints(e.after)
    })?;
    if !req.common.is_quiet() {
        complain(format!("started array {}", node.path.display()));
    }
    Ok(settled(host, session, &req.common, &d, &node))
}
