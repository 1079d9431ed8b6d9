//! Whether two members' copies of a lockless bitmap say the same.

use super::BitmapError;
use super::lockless::{DATA_OFFSET, read_states};
use crate::blockio::ReadAt;

/// How two copies differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// Chunks in another state.
    pub chunks: u64,
    /// The first of them.
    pub first: u64,
}

/// Compares the states of two copies, each named by its device and the byte where the bitmap starts.
///
/// # Errors
/// As [`read_states`], of either.
pub fn compare(a: (&dyn ReadAt, u64), b: (&dyn ReadAt, u64), chunks: u64) -> Result<Option<Difference>, BitmapError> {
    let mut found: Option<Difference> = None;
    let mut other = Vec::new();
    let mut failed = None;
    read_states(a.0, a.1, chunks, |first, states| {
        if failed.is_some() {
            return;
        }
        other.resize(states.len(), 0);
        let at = b.1.saturating_add(DATA_OFFSET).saturating_add(first);
        if let Err(e) = b.0.read_at(at, &mut other) {
            failed = Some(e);
        } else if states != other.as_slice() {
            for (n, _) in (first..).zip(states.iter().zip(&other)).filter(|(_, (x, y))| x != y) {
                found.get_or_insert(Difference { chunks: 0, first: n }).chunks += 1;
            }
        }
    })?;
    failed.map_or(Ok(found), |e| Err(e.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::mem::MemDevice;

    #[test]
    fn copies_that_differ_are_told_apart_by_count_and_first_chunk() {
        let a = MemDevice::new(400_000);
        let mut b = MemDevice::new(400_000);
        assert_eq!(compare((&a, 0), (&b, 8), 390_000).unwrap(), None);
        b.bytes[8 + 1024 + 300_000] = 2;
        b.bytes[8 + 1024 + 300_007] = 2;
        let found = compare((&a, 0), (&b, 8), 390_000).unwrap();
        assert_eq!(found, Some(Difference { chunks: 2, first: 300_000 }));
        assert!(compare((&a, 0), (&b, 300_000), 390_000).is_err());
        b.bad_reads.push(5000..5001);
        assert!(compare((&a, 0), (&b, 8), 390_000).is_err());
    }
}
