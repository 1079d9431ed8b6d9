//! `--check=stop`

use std::time::{Duration, Instant};

use super::kept::Kept;
use super::{LOOK, Target, keep, show};
use crate::cli::request::CheckRequest;
use crate::cmd::apply::Session;
use crate::cmd::print::complain;
use crate::error::Exit;
use crate::host::Host;
use crate::plan::check;
use crate::plan::step::Plan;
use crate::sysfs::attr;
use crate::sysfs::value::{Maybe, SyncAction};

/// How long whoever started a check has to put back what it set.
const TIDIES: Duration = Duration::from_secs(2);

/// Interrupts the checks that run.
pub(super) fn stop(host: &Host, request: &CheckRequest, arrays: &[Target], kept: &mut Kept) -> Exit {
    let (mut whole, mut exit) = (Plan::default(), Exit::OK);
    for target in arrays {
        match stop_one(host, request, target, kept) {
            Ok(plan) => whole.steps.extend(plan.steps),
            Err(e) => {
                complain(e);
                exit = Exit::FAIL;
            }
        }
    }
    show(request, &whole, exit);
    exit
}

/// What one that was killed has set is put back here, else by whoever started it.
fn stop_one(host: &Host, request: &CheckRequest, target: &Target, kept: &mut Kept) -> Result<Plan, String> {
    let runs = target.action() == Some(SyncAction::Check);
    let plan = if runs { check::stop(target.dir.devname()) } else { Plan::default() };
    if request.common.plan {
        return Ok(plan);
    }
    let apply = |plan: &Plan| Session::new(host, &request.common).apply(plan).map_err(|e| e.to_string());
    apply(&plan)?;
    let max = || target.dir.get(attr::SYNC_MAX).and_then(Maybe::some);
    let end = Instant::now() + TIDIES;
    while runs && max() == Some(check::PAST_THE_END) && Instant::now() < end {
        std::thread::sleep(LOOK);
    }
    let facts = target.facts(request, &kept.of(target.uuid));
    let (min, idle) = (target.dir.get(attr::SYNC_MIN).unwrap_or(0), target.action() == Some(SyncAction::Idle));
    if check::is_left(&facts, (min, max()), idle) {
        apply(&check::tidy(&facts))?;
        keep(target, kept, |c| c.speed = None);
    }
    Ok(plan)
}
