//! Brings a reshape to where it can go back.

use super::saver::Saver;
use super::watch::Watched;
use crate::error::Refusal;
use crate::superblock::reshape::{Reshape, Start};

/// So many looks without a step mean that it has gone further than is written down.
const LOOKS: u32 = 4;

/// How far it is let go.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Steps behind what is written down from which on the place is chosen.
    ahead: u64,
    /// Where it was, and how many looks ago it came there.
    seen: (u64, u32),
}

impl Turn {
    /// Holds it back if it can be turned where it is, with nothing left that a copy tells of.
    pub fn is_there(&self, w: &Watched<'_>, now: &Reshape, saver: Option<&Saver>) -> Result<bool, Refusal> {
        if !now.can_turn() {
            return Ok(false);
        }
        w.hold();
        if let Some(saver) = saver.filter(|_| now.start() == Start::Watched) {
            saver.forget(now.position).map_err(|why| w.stopped(&why))?;
            w.suspend(0, 0)?;
        }
        // That may have been written down meanwhile.
        Ok(w.recorded().is_some_and(|(now, _)| now.can_turn()))
    }

    /// At most to the next place; from there on it is written down exactly (kernel: `reshape_request`, where `resync_max` is met).
    pub fn at_most(&mut self, now: &Reshape, reach: u64) -> u64 {
        self.seen = if self.seen.0 == now.position { (now.position, self.seen.1 + 1) } else { (now.position, 0) };
        if self.seen.1 >= LOOKS {
            (self.ahead, self.seen.1) = ((2 * self.ahead).max(1), 0);
        }
        let later = Reshape { position: now.after(self.ahead), ..*now };
        let goal = later.next_turn().unwrap_or(now.end());
        if now.backwards { reach.max(goal) } else { reach.min(goal) }
    }
}
