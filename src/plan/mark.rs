//! Unwritten chunks of a running lockless bitmap are taken for written ones.
//!
//! Where that is needed (Linux 7.2.13, docs/lockless.md):
//! - A raid10 before a rebuild: `md_do_sync` goes through the sectors of a member and has `llbitmap_skip_sync_blocks` look at the
//!   chunk at that sector of the array. Where that is unwritten it leaves out what the member has there, which is other data.
//! - To build parity: `proactive_sync` leaves out all but the first stripe of a chunk.

use crate::bitmap::lockless::ChunkState;
use crate::bitmap::ranges::Runs;
use crate::plan::step::{Plan, Step};

/// What one store into sysfs takes, in bytes: less than a page.
const STORE_BYTES: usize = 3500;
/// With more stores than this all chunks are marked.
const MOST_STORES: usize = 64;

/// Has the kernel take unwritten chunks for written ones (`bitmap_set_bits`).
#[must_use]
pub fn mark_unwritten(devname: &str, runs: &Runs, chunks: u64) -> Plan {
    let mut stores = vec![String::new()];
    for run in runs.kept.iter().filter(|r| r.state == ChunkState::Unwritten as u8) {
        let word = format!("{}-{}", run.first, run.last);
        match stores.last_mut() {
            Some(last) if last.len() + word.len() < STORE_BYTES => {
                if !last.is_empty() {
                    last.push(' ');
                }
                last.push_str(&word);
            }
            _ => stores.push(word),
        }
    }
    if runs.more > 0 || stores.len() > MOST_STORES || stores.iter().any(String::is_empty) {
        return mark_all(devname, chunks);
    }
    Plan { steps: stores.into_iter().map(|value| set_bits(devname, value)).collect() }
}

/// The same of all chunks. On a degraded array also clean ones are then rebuilt.
#[must_use]
pub fn mark_all(devname: &str, chunks: u64) -> Plan {
    Plan { steps: vec![set_bits(devname, format!("0-{}", chunks.saturating_sub(1)))] }
}

fn set_bits(devname: &str, value: String) -> Step {
    Step::Sysfs { devname: devname.to_owned(), attr: "bitmap_set_bits".into(), value, verify: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(plan: &Plan) -> Vec<String> {
        let value = |s: &Step| match s {
            Step::Sysfs { value, .. } => value.clone(),
            _ => String::new(),
        };
        plan.steps.iter().map(value).collect()
    }

    #[test]
    fn unwritten_runs_are_marked_and_all_chunks_where_there_are_too_many() {
        let mut runs = Runs::default();
        runs.add(0, &[1, 0, 0, 2, 7, 0]);
        assert_eq!(values(&mark_unwritten("md0", &runs.finish(), 6)), ["1-2 5-5"]);
        let mut runs = Runs::default();
        runs.add(0, &[0, 1].repeat(2000));
        let marked = values(&mark_unwritten("md0", &runs.finish(), 4000));
        assert!(marked.len() > 1 && marked.iter().all(|v| v.len() <= STORE_BYTES));
        assert_eq!(marked.iter().map(|v| v.split(' ').count()).sum::<usize>(), 2000);
        let mut runs = Runs::default();
        runs.add(0, &[0, 1].repeat(40_000));
        assert_eq!(values(&mark_unwritten("md0", &runs.finish(), 80_000)), ["0-79999"]);
        // The bytes say that none is unwritten, the kernel says otherwise.
        assert_eq!(values(&mark_unwritten("md0", &Runs::default(), 6)), ["0-5"]);
    }
}
