//! A hook for tests: in builds for debugging, `MDADM_FAULT_STEP=N` stops the program before its N-th step, and says so.
//! Whoever set it takes the power away then, or changes the machine and lets it go on (SIGCONT).

#[cfg(debug_assertions)]
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(debug_assertions)]
static STEPS: AtomicU64 = AtomicU64::new(0);

/// Before a step is taken.
#[cfg(debug_assertions)]
pub(super) fn before(step: &crate::plan::step::Step) {
    let wanted = std::env::var("MDADM_FAULT_STEP").ok().and_then(|n| n.parse::<u64>().ok());
    if wanted.is_some() && wanted == Some(STEPS.fetch_add(1, Ordering::Relaxed) + 1) {
        super::print::out(&format!("{}\nheld before a step\n", step.line()));
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP);
    }
}

/// Nothing in a program that is released.
#[cfg(not(debug_assertions))]
pub(super) fn before(_step: &crate::plan::step::Step) {}
