//! What `--zero-superblock` writes: zeros over each superblock on a device, nothing else.

use std::path::Path;

use super::step::{Plan, Step};
use crate::blockio::ReadAt;
use crate::superblock::foreign::{self, Found};
use crate::superblock::v1::{self, Minor, SUPER_BYTES};
use crate::units::Sectors;

/// Bytes that are zeroed of a v1.x superblock: the fixed part in whole sectors, as the reference does.
const V1_BYTES: usize = 512;
/// Bytes of a DDF header, and of the first block of IMSM metadata, that hold the signature.
const HEADER_BYTES: usize = 512;

/// A superblock to be zeroed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Byte of the device.
    pub offset: u64,
    /// How many bytes.
    pub len: usize,
    /// What it is, for a person.
    pub what: String,
}

fn target(offset: u64, len: usize, what: impl Into<String>) -> Target {
    Target { offset, len, what: what.into() }
}

/// Where a v1.x superblock is, or would be; `None` on a device too small for one.
#[must_use]
pub fn v1_place(dev: &dyn ReadAt, minor: Minor) -> Option<Target> {
    let at = v1::super_offset(minor, dev.size().sectors()).and_then(Sectors::bytes)?;
    Some(target(at.0, V1_BYTES, format!("zero the superblock, metadata 1.{}", minor.number())))
}

/// Where v0.90 metadata is, or would be.
#[must_use]
pub fn v090_place(dev: &dyn ReadAt) -> Option<Target> {
    Some(target(foreign::v090_offset(dev.size().0)?, SUPER_BYTES, "zero the superblock, metadata 0.90"))
}

/// All md superblocks of the device, the one created last first: the order in which the reference finds them.
#[must_use]
pub fn md_superblocks(dev: &dyn ReadAt) -> Vec<Target> {
    let mut found: Vec<(u64, Target)> = Vec::new();
    if let (Some(old), Some(place)) = (foreign::v090(dev), v090_place(dev)) {
        found.push((u64::from(old.ctime), place));
    }
    for minor in Minor::ALL {
        if let (Ok(Some(sb)), Some(place)) = (v1::read(dev, minor), v1_place(dev, minor)) {
            found.push((sb.ctime(), place));
        }
    }
    found.sort_by_key(|(ctime, _)| std::cmp::Reverse(*ctime));
    found.into_iter().map(|(_, place)| place).collect()
}

/// The blocks by which a set's metadata is recognised; none for anything but DDF and IMSM.
#[must_use]
pub fn container(dev: &dyn ReadAt, found: &Found) -> Vec<Target> {
    match found {
        Found::Ddf(ddf) => {
            let anchor = target(ddf.offset, HEADER_BYTES, "zero the DDF anchor header");
            let others = foreign::ddf_headers(dev, ddf);
            let others = others.into_iter().map(|at| target(at, HEADER_BYTES, "zero a DDF header"));
            others.chain(std::iter::once(anchor)).collect()
        }
        Found::Imsm(imsm) => vec![target(imsm.offset, HEADER_BYTES, "zero the IMSM metadata's first block")],
        Found::V090(_) | Found::Table(_) | Found::FileSystem(_) => Vec::new(),
    }
}

/// The steps: each superblock made durable before the next is touched.
#[must_use]
pub fn plan(device: &Path, targets: &[Target]) -> Plan {
    let steps = targets.iter().flat_map(|t| {
        let write =
            Step::Write { device: device.to_owned(), offset: t.offset, bytes: vec![0; t.len], what: t.what.clone() };
        [write, Step::Sync { device: device.to_owned() }]
    });
    Plan { steps: steps.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::mem::MemDevice;
    use crate::superblock::v1::SuperV1;

    fn with_supers(ctimes: [u64; 3]) -> MemDevice {
        let mut dev = MemDevice::new(1 << 20);
        for (minor, ctime) in Minor::ALL.into_iter().zip(ctimes) {
            let at = v1::super_offset(minor, dev.size().sectors()).unwrap();
            let mut sb = SuperV1::empty();
            sb.set_super_offset(at.0);
            sb.set_ctime_raw(ctime);
            let at = usize::try_from(at.0).unwrap() * 512;
            dev.bytes[at..at + SUPER_BYTES].copy_from_slice(sb.bytes());
        }
        dev
    }

    #[test]
    fn all_superblocks_are_found_the_last_created_first() {
        let dev = with_supers([5, 9, 7]);
        let offsets: Vec<u64> = md_superblocks(&dev).iter().map(|t| t.offset).collect();
        assert_eq!(offsets, [0, 4096, (1 << 20) - 8192]);
    }

    #[test]
    fn a_blank_or_tiny_device_has_nothing_to_zero() {
        for len in [0, 511, 4096, 1 << 20] {
            assert_eq!(md_superblocks(&MemDevice::new(len)), Vec::new());
        }
        assert_eq!(v1_place(&MemDevice::new(4096), Minor::V2), None);
        assert_eq!(v090_place(&MemDevice::new(65_535)), None);
    }

    #[test]
    fn every_write_lies_inside_the_device_and_is_synced() {
        let dev = with_supers([1, 2, 3]);
        let plan = plan(Path::new("x"), &md_superblocks(&dev));
        assert_eq!(plan.steps.len(), 6);
        for pair in plan.steps.chunks(2) {
            let [Step::Write { offset, bytes, .. }, Step::Sync { .. }] = pair else { panic!("{pair:?}") };
            assert!(offset + bytes.len() as u64 <= 1 << 20);
            assert!(bytes.iter().all(|b| *b == 0));
        }
    }
}
