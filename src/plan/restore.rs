//! Puts saved metadata back: what differs from what was saved is written, superblocks last, so that no superblock is found
//! whose bitmap is not there yet.

use std::io;
use std::path::PathBuf;

use super::step::{Plan, Step};
use crate::blockio::ReadAt;
use crate::saved::{Content, Device, Range};
use crate::superblock::v0;
use crate::superblock::v1::{self, Minor};
use crate::units::Sectors;

/// A device of the file, and where it is today.
pub struct Place<'a> {
    /// What was saved.
    pub saved: &'a Device,
    /// Its path now.
    pub path: PathBuf,
    /// The device.
    pub dev: &'a dyn ReadAt,
}

/// Whether the device holds what was saved.
///
/// # Errors
/// The device's.
pub fn holds(dev: &dyn ReadAt, range: &Range) -> io::Result<bool> {
    let len = usize::try_from(range.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let bytes = dev.read_vec(range.offset, len)?;
    Ok(match &range.content {
        Content::Zeros(_) => bytes.iter().all(|b| *b == 0),
        Content::Bytes(saved) => bytes == *saved,
    })
}

/// Bytes at which superblocks lie on a device of this size.
fn super_places(dev: &dyn ReadAt) -> Vec<u64> {
    let v1 = Minor::ALL.into_iter().filter_map(|m| v1::super_offset(m, dev.size().sectors()).and_then(Sectors::bytes));
    v1.chain(v0::super_offset(dev.size())).map(|b| b.0).collect()
}

fn write(place: &Place<'_>, range: &Range) -> Step {
    let bytes = match &range.content {
        Content::Bytes(bytes) => bytes.clone(),
        Content::Zeros(n) => vec![0; usize::try_from(*n).unwrap_or(0)],
    };
    let what = format!("put back: {}", range.what);
    Step::Write { device: place.path.clone(), offset: range.offset, bytes, what }
}

/// The steps; none where all is as it was saved.
///
/// # Errors
/// A device that cannot be read.
pub fn plan(places: &[Place<'_>]) -> io::Result<Plan> {
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for place in places {
        let supers = super_places(place.dev);
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for range in &place.saved.ranges {
            if holds(place.dev, range)? {
                continue;
            }
            let end = range.offset + range.len();
            let is_super = supers.iter().any(|at| (range.offset..end).contains(at));
            if is_super { after.push(write(place, range)) } else { before.push(write(place, range)) }
        }
        for (steps, all) in [(before, &mut first), (after, &mut last)] {
            if !steps.is_empty() {
                all.extend(steps);
                all.push(Step::Sync { device: place.path.clone() });
            }
        }
    }
    first.extend(last);
    Ok(Plan { steps: first })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::mem::MemDevice;

    #[test]
    fn what_differs_is_written_and_superblocks_come_last() {
        let mut dev = MemDevice::new(1 << 20);
        dev.bytes[20_480] = 9;
        let range = |offset, content| Range { offset, what: "x".into(), content };
        let saved = Device {
            path: "/d".into(),
            size_bytes: 1 << 20,
            ranges: vec![
                range(4096, Content::Bytes(vec![1; 4096])),
                range(8192, Content::Zeros(4096)),
                range(12_288, Content::Bytes(vec![2; 512])),
                range(20_480, Content::Zeros(512)),
            ],
            ..Device::default()
        };
        let place = || [Place { saved: &saved, path: "/e".into(), dev: &dev }];
        let steps = plan(&place()).unwrap().steps;
        let places: Vec<Option<u64>> =
            steps.iter().map(|s| if let Step::Write { offset, .. } = s { Some(*offset) } else { None }).collect();
        assert_eq!(places, [Some(12_288), Some(20_480), None, Some(4096), None]);
    }

    #[test]
    fn nothing_is_written_where_all_is_as_it_was() {
        let mut dev = MemDevice::new(1 << 20);
        dev.bytes[0..512].fill(7);
        let ranges = vec![Range { offset: 0, what: String::new(), content: Content::Bytes(vec![7; 512]) }];
        let saved = Device { path: "/d".into(), size_bytes: 1 << 20, ranges, ..Device::default() };
        assert_eq!(plan(&[Place { saved: &saved, path: "/d".into(), dev: &dev }]).unwrap(), Plan::default());
    }
}
