//! What a member that comes back has missed, for the user.

use super::Manager;
use crate::bitmap::summary::{self, Counts};
use crate::cmd::print::complain;
use crate::device::real::RealDevice;
use crate::plan::manage::Target;
use crate::plan::manage::add::Running;
use crate::plan::manage::readd::Verdict;
use crate::units::Sectors;

impl Manager<'_> {
    /// How many bytes the bitmap marks, of how many.
    fn missed(&self, running: &Running, good: &RealDevice) -> Option<(u64, u64)> {
        if running.bitmap_file.is_some() {
            let bitmap = crate::cmd::bitmap_file::of_array(self.array.as_ref()?)?;
            return Some((bitmap.dirty_sectors().bytes()?.0, Sectors(bitmap.sb.sync_size()).bytes()?.0));
        }
        let bitmap = summary::read(good, &running.sb).ok()??;
        let chunks = match summary::counts(good, &bitmap).ok()?? {
            Counts::Bits { dirty } => dirty,
            Counts::States(states) => states.resync_chunks(false),
        };
        let size = bitmap.sb.sync_size().saturating_mul(512);
        Some((chunks.saturating_mul(bitmap.chunk_bytes.unwrap_or(0)).min(size), size))
    }

    /// How much the bitmap says has to be rebuilt.
    pub(super) fn say_missed(&self, target: &Target, running: &Running, good: &RealDevice) {
        let Some((bytes, size)) = self.missed(running, good) else { return };
        if self.req.common.verbose >= 0 {
            complain(format!(
                "the bitmap covers what {} missed: {} MiB of {} MiB are rebuilt",
                target.shown,
                bytes.div_ceil(1 << 20),
                size.div_ceil(1 << 20)
            ));
        }
    }

    pub(super) fn say_unproven(&self, target: &Target, verdict: &Verdict, running: &Running) {
        if let Some(word) = &self.req.update {
            self.say(format!("{} has a new superblock: --update={word} changed nothing", target.shown));
        }
        if self.req.common.verbose >= 0 {
            let mib = running.sb.size().div_ceil(2048);
            let why = match verdict {
                Verdict::Unproven(slot, why) => {
                    format!("in slot {slot}, but the bitmap is not proven to cover what it missed: {why}")
                }
                Verdict::NoBitmap(slot) => format!("in slot {slot}; {}", verdict.why()),
                _ => return,
            };
            complain(format!("{} was {why}. It is rebuilt fully ({mib} MiB).", target.shown));
        }
    }
}
