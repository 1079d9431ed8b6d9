//! The knobs of a lockless bitmap: how often its daemon runs, how long a block rests before it is cleaned, and parity that is
//! built before anything is written.

use super::Running;
use crate::cmd::print::complain;
use crate::cmd::unwritten;
use crate::error::Refusal;
use crate::level::Level;
use crate::plan::grow::bitmap::{self, Facts, MOST_SECONDS, Now};
use crate::plan::step::Plan;
use crate::sysfs::attr;

/// Sets what was asked for, and reads it back.
pub(super) fn run(running: &mut Running<'_>) -> Result<(), Refusal> {
    let facts = super::bitmap_gather::facts(running.host, &running.array);
    let shown = facts.shown.clone();
    let (delay, idle) = (running.req.delay, running.req.bitmap_idle);
    if !matches!(facts.now, Now::Lockless(_)) {
        if idle.is_none() && !running.req.proactive_sync {
            complain("no changes to --grow");
            return Ok(());
        }
        return Err(Refusal::new(format!("{shown} has no lockless bitmap; nothing was changed")));
    }
    if running.array.sysfs.get(attr::LLBITMAP_METADATA).is_none() {
        return Err(Refusal::new(format!(
            "the lockless bitmap of {shown} was added while it runs: the kernel lets its settings be changed from the next assembly on"
        ))
        .hint("nothing was changed"));
    }
    bitmap::check_seconds("--delay", delay)?;
    bitmap::check_seconds("--bitmap-idle", idle)?;
    if running.req.proactive_sync {
        check_parity(&facts)?;
    }
    if let Some(seconds) = delay {
        set(running, &facts, attr::LLBITMAP_DAEMON_SLEEP.name(), seconds)?;
    }
    if let Some(seconds) = idle {
        set(running, &facts, attr::LLBITMAP_BARRIER_IDLE.name(), seconds)?;
        running.say(format!(
            "this is not kept on disk; for the assemblies to come, in mdadm.conf: SYSFS uuid={} {}={seconds}",
            facts.uuid,
            attr::LLBITMAP_BARRIER_IDLE.name()
        ));
    }
    if running.req.proactive_sync {
        build_parity(running, &facts)?;
    }
    Ok(())
}

/// Unwritten chunks become "need sync", the kernel builds their parity, and then all parity is checked and repaired: the kernel
/// leaves some out when it builds it, the more so by its own `proactive_sync` (`plan::mark`).
fn build_parity(running: &mut Running<'_>, facts: &Facts) -> Result<(), Refusal> {
    let shown = &facts.shown;
    if let Some(marks) = unwritten::marks(running.host, &running.array) {
        running.say(format!("building the parity of what was never written in {shown}"));
        running.execute(&marks.first)?;
        if !running.req.common.plan {
            if unwritten::unwritten(&running.array.sysfs) != Some(0) {
                running.execute(&marks.all)?;
            }
            super::bitmap_off::settle(running);
        }
    }
    running.execute(&Plan { steps: vec![bitmap::set(facts, attr::SYNC_ACTION.name(), "repair".into())] })?;
    running.say(format!("all parity is checked and repaired now; to wait for it: mdadm --wait {shown}"));
    Ok(())
}

fn check_parity(facts: &Facts) -> Result<(), Refusal> {
    let shown = &facts.shown;
    if !facts.level.is_some_and(Level::is_parity) {
        return Err(Refusal::new(format!("--proactive-sync builds parity, and {shown} has none; nothing was changed")));
    }
    match &facts.unsafe_because {
        Some((why, what_to_do)) => {
            Err(Refusal::new(format!("no parity is built ahead on {shown} now: {why}")).hint(what_to_do.clone()))
        }
        None => Ok(()),
    }
}

/// Stores seconds and reads them back.
pub(in crate::cmd) fn set(running: &mut Running<'_>, facts: &Facts, name: &str, seconds: u32) -> Result<(), Refusal> {
    debug_assert!(seconds <= MOST_SECONDS);
    running.execute(&Plan { steps: vec![bitmap::set(facts, name, seconds.to_string())] })?;
    if running.req.common.plan {
        return Ok(());
    }
    let now = running.array.sysfs.text(name).ok().flatten().unwrap_or_default();
    if now.trim() != seconds.to_string() {
        return Err(Refusal::new(format!("the kernel took {seconds} for md/{name} but shows '{}'", now.trim())));
    }
    Ok(())
}
