//! Where which state is: runs of chunks in the same state, and what they cover of a member and of the array.

use crate::level::Level;
use crate::units::SECTOR_BYTES;

/// At most so many runs are kept: a hostile bitmap could have one per chunk.
pub const MAX_RUNS: usize = 16384;

/// Chunks that follow each other and are in the same state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The state's byte.
    pub state: u8,
    /// First chunk.
    pub first: u64,
    /// Last chunk, included.
    pub last: u64,
}

/// The runs of a bitmap, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Runs {
    /// The first [`MAX_RUNS`] of them.
    pub kept: Vec<Run>,
    /// How many more there are.
    pub more: u64,
    open: Option<Run>,
}

impl Runs {
    /// Adds states, in the order of the chunks; `first` is the number of the first one.
    pub fn add(&mut self, first: u64, states: &[u8]) {
        for (chunk, state) in (first..).zip(states) {
            match &mut self.open {
                Some(run) if run.state == *state => run.last = chunk,
                _ => {
                    self.close();
                    self.open = Some(Run { state: *state, first: chunk, last: chunk });
                }
            }
        }
    }

    /// All states have been added.
    #[must_use]
    pub fn finish(mut self) -> Runs {
        self.close();
        self
    }

    fn close(&mut self) {
        match self.open.take() {
            Some(run) if self.kept.len() < MAX_RUNS => self.kept.push(run),
            Some(_) => self.more += 1,
            None => {}
        }
    }
}

/// What chunk numbers mean: chunks cover the members' data on raid1/4/5/6 and the array on raid10.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cover {
    /// Bytes per bitmap chunk.
    pub chunk_bytes: u64,
    /// Bytes that all chunks cover; the last may be short.
    pub sync_bytes: u64,
    /// raid4/5/6: how member bytes relate to array bytes.
    pub stripes: Option<Stripes>,
}

/// Stripes of a parity array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stripes {
    /// Bytes per array chunk.
    pub chunk_bytes: u64,
    /// Members that hold data in each stripe.
    pub data_members: u64,
}

impl Stripes {
    /// Of an array as its superblock describes it; `None` for other levels and for a geometry that cannot be.
    #[must_use]
    pub fn new(level: Level, raid_disks: u32, chunk_sectors: u32) -> Option<Stripes> {
        let parity = match level {
            Level::Raid4 | Level::Raid5 => 1,
            Level::Raid6 => 2,
            _ => return None,
        };
        let data_members = u64::from(raid_disks).checked_sub(parity).filter(|n| *n > 0)?;
        let chunk_bytes = u64::from(chunk_sectors) * SECTOR_BYTES;
        (chunk_bytes > 0).then_some(Stripes { chunk_bytes, data_members })
    }

    /// The bytes of the array in the stripes that these member bytes touch.
    #[must_use]
    pub fn enclosing(&self, start: u64, end: u64) -> (u64, u64) {
        let width = self.chunk_bytes.saturating_mul(self.data_members);
        ((start / self.chunk_bytes).saturating_mul(width), end.div_ceil(self.chunk_bytes).saturating_mul(width))
    }
}

impl Cover {
    /// The bytes of the sync range that a run covers, the end not included.
    #[must_use]
    pub fn bytes(&self, run: Run) -> (u64, u64) {
        let end = run.last.saturating_add(1).saturating_mul(self.chunk_bytes).min(self.sync_bytes);
        (run.first.saturating_mul(self.chunk_bytes).min(end), end)
    }

    /// The bytes of the array behind bytes of the sync range: the enclosing stripes on raid4/5/6, else the same.
    #[must_use]
    pub fn array(&self, bytes: (u64, u64)) -> (u64, u64) {
        self.stripes.map_or(bytes, |s| s.enclosing(bytes.0, bytes.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_parity_arrays_range_is_widened_to_whole_stripes() {
        let stripes = Stripes::new(Level::Raid5, 3, 1024).unwrap();
        let cover = Cover { chunk_bytes: 65536, sync_bytes: 10 << 20, stripes: Some(stripes) };
        let member = cover.bytes(Run { state: 2, first: 8, last: 9 });
        assert_eq!(member, (524_288, 655_360));
        assert_eq!(cover.array(member), (1 << 20, 2 << 20));
        assert_eq!(Stripes::new(Level::Raid1, 2, 0), None);
        assert_eq!(Stripes::new(Level::Raid6, 2, 8), None);
    }

    #[test]
    fn the_last_chunk_ends_where_the_sync_range_ends() {
        let cover = Cover { chunk_bytes: 65536, sync_bytes: 100_000, stripes: None };
        assert_eq!(cover.bytes(Run { state: 1, first: 0, last: 1 }), (0, 100_000));
        assert_eq!(cover.bytes(Run { state: 1, first: u64::MAX, last: u64::MAX }), (100_000, 100_000));
    }

    #[test]
    fn more_runs_than_are_kept_are_counted() {
        let mut runs = Runs::default();
        let states: Vec<u8> = (0..40_000).map(|n| u8::from(n % 2 == 0)).collect();
        runs.add(0, &states);
        let runs = runs.finish();
        assert_eq!((runs.kept.len(), runs.more), (MAX_RUNS, 40_000 - MAX_RUNS as u64));
    }

    proptest! {
        #[test]
        fn the_runs_are_the_states_however_they_come(
            states in prop::collection::vec(0u8..4, 0..500), piece in 1usize..40
        ) {
            let mut runs = Runs::default();
            for (i, part) in states.chunks(piece).enumerate() {
                runs.add((i * piece) as u64, part);
            }
            let runs = runs.finish();
            let again: Vec<u8> = runs.kept.iter().flat_map(|r| vec![r.state; usize::try_from(r.last - r.first + 1).unwrap()]).collect();
            prop_assert_eq!(again, states);
            prop_assert!(runs.kept.windows(2).all(|w| w[0].state != w[1].state && w[0].last + 1 == w[1].first));
        }
    }
}
