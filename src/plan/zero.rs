//! What `--zero-superblock` writes: zeros over each superblock on a device, nothing else.

use std::path::Path;

use super::step::{Plan, Step};
use crate::blockio::ReadAt;
use crate::superblock::foreign::{self, Found};
use crate::superblock::v0;
use crate::superblock::v1::{self, MAGIC, Minor, SUPER_BYTES, SuperV1};
use crate::units::Sectors;
use crate::uuid::Uuid;

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
    /// What was found there: `metadata 1.2 of array UUID (name)`.
    pub found: String,
    /// The array that it belongs to.
    pub array: Option<Uuid>,
}

fn target(offset: u64, len: usize, what: impl Into<String>) -> Target {
    Target { offset, len, what: what.into(), found: String::new(), array: None }
}

/// What is where superblocks lie.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Superblocks {
    /// To be zeroed, the one created last first: the order in which the reference finds them. Damaged ones too.
    pub targets: Vec<Target>,
    /// Sound ones that say of themselves that they lie elsewhere: a partition's, seen through its disk.
    pub elsewhere: Vec<Target>,
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

/// All md superblocks of the device: whatever lies at the place of one and has the magic.
#[must_use]
pub fn md_superblocks(dev: &dyn ReadAt) -> Superblocks {
    let mut all = Superblocks::default();
    let mut found: Vec<(u64, Target)> = Vec::new();
    found.extend(v090_found(dev));
    for minor in Minor::ALL {
        let Some((ctime, place, is_elsewhere)) = v1_found(dev, minor) else { continue };
        if is_elsewhere { all.elsewhere.push(place) } else { found.push((ctime, place)) }
    }
    found.sort_by_key(|(ctime, _)| std::cmp::Reverse(*ctime));
    all.targets = found.into_iter().map(|(_, place)| place).collect();
    all
}

/// The first place of a superblock that cannot be read: its byte offset, and why.
#[must_use]
pub fn unreadable(dev: &dyn ReadAt) -> Option<(u64, std::io::Error)> {
    let places = v090_place(dev).into_iter().chain(Minor::ALL.into_iter().filter_map(|m| v1_place(dev, m)));
    let mut word = [0u8; 4];
    // What lies past the end of a small device has no number.
    places
        .filter_map(|p| Some((p.offset, dev.read_at(p.offset, &mut word).err()?)))
        .find(|(_, e)| e.raw_os_error().is_some())
}

/// Whether the magic lies there, in either byte order.
#[must_use]
pub fn has_magic(dev: &dyn ReadAt, place: &Target) -> bool {
    let mut magic = [0u8; 4];
    let read = dev.read_at(place.offset, &mut magic);
    read.is_ok() && (magic == MAGIC.to_le_bytes() || (magic == MAGIC.to_be_bytes() && place.len == SUPER_BYTES))
}

/// With its time of creation: 0 where that cannot be trusted.
fn v090_found(dev: &dyn ReadAt) -> Option<(u64, Target)> {
    let mut place = v090_place(dev).filter(|p| has_magic(dev, p))?;
    let Ok(Some(sb)) = v0::read(dev) else {
        place.found = "metadata 0.90, damaged: the version is wrong".into();
        return Some((0, place));
    };
    let sum = if sb.sb_csum() == sb.computed_csum() { "" } else { ", damaged: the checksum is wrong" };
    place.found = format!("metadata 0.90 of array {}{sum}", sb.uuid());
    place.array = Some(sb.uuid());
    Some((sb.ctime().into(), place))
}

/// With its time of creation, and whether it belongs elsewhere.
fn v1_found(dev: &dyn ReadAt, minor: Minor) -> Option<(u64, Target, bool)> {
    let mut place = v1_place(dev, minor).filter(|p| has_magic(dev, p))?;
    let mut bytes = [0u8; SUPER_BYTES];
    let kind = format!("metadata 1.{}", minor.number());
    let sb = dev.read_at(place.offset, &mut bytes).ok().and_then(|()| SuperV1::from_bytes(&bytes));
    let Some(sb) = sb else {
        place.found = format!("{kind}, damaged: the version is wrong");
        return Some((0, place, false));
    };
    let name = escape(&sb.set_name());
    place.array = Some(sb.set_uuid());
    place.found = format!("{kind} of array {}{name}", sb.set_uuid());
    let sound = sb.sb_csum() == sb.computed_csum();
    let is_here = sb.super_offset().checked_mul(512) == Some(place.offset);
    if !sound {
        place.found.push_str(", damaged: the checksum is wrong");
    } else if !is_here {
        place.found.push_str(&format!(", which says that it lies at sector {}", sb.super_offset()));
    }
    Some((sb.ctime(), place, sound && !is_here))
}

/// A name in brackets; nothing for none.
fn escape(name: &[u8]) -> String {
    if name.is_empty() { String::new() } else { format!(" ({})", String::from_utf8_lossy(name).escape_debug()) }
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

    fn with_supers(ctimes: [u64; 3]) -> MemDevice {
        let mut dev = MemDevice::new(1 << 20);
        for (minor, ctime) in Minor::ALL.into_iter().zip(ctimes) {
            let at = v1::super_offset(minor, dev.size().sectors()).unwrap();
            let mut sb = SuperV1::empty();
            sb.set_super_offset(at.0);
            sb.set_ctime_raw(ctime);
            sb.update_csum();
            let at = usize::try_from(at.0).unwrap() * 512;
            dev.bytes[at..at + SUPER_BYTES].copy_from_slice(sb.bytes());
        }
        dev
    }

    #[test]
    fn all_superblocks_are_found_the_last_created_first() {
        let dev = with_supers([5, 9, 7]);
        let offsets: Vec<u64> = md_superblocks(&dev).targets.iter().map(|t| t.offset).collect();
        assert_eq!(offsets, [0, 4096, (1 << 20) - 8192]);
    }

    #[test]
    fn damaged_ones_are_found_too_and_one_that_belongs_elsewhere_is_told_apart() {
        let at = [(1usize << 20) - 8192, 0, 4096];
        let mut dev = with_supers([5, 9, 7]);
        dev.bytes[at[0] + 40] ^= 1;
        dev.bytes[at[1] + 4] = 3;
        let mut sb = v1::read(&dev, Minor::V2).unwrap().unwrap();
        sb.set_super_offset(100);
        sb.update_csum();
        dev.bytes[at[2]..at[2] + SUPER_BYTES].copy_from_slice(sb.bytes());
        let place = usize::try_from(foreign::v090_offset(1 << 20).unwrap()).unwrap();
        dev.bytes[place..place + 4].copy_from_slice(&MAGIC.to_be_bytes());
        dev.bytes[place + 7] = 9;
        let all = md_superblocks(&dev);
        let texts: Vec<(u64, &str)> =
            all.targets.iter().map(|t| (t.offset, t.found.rsplit_once(", ").unwrap().1)).collect();
        assert_eq!(
            texts,
            [
                (at[0] as u64, "damaged: the checksum is wrong"),
                (place as u64, "damaged: the version is wrong"),
                (at[1] as u64, "damaged: the version is wrong")
            ]
        );
        assert_eq!((all.elsewhere.len(), all.elsewhere[0].offset), (1, at[2] as u64));
        assert!(all.elsewhere[0].found.ends_with("which says that it lies at sector 100"));
    }

    #[test]
    fn a_blank_or_tiny_device_has_nothing_to_zero() {
        for len in [0, 511, 4096, 1 << 20] {
            assert_eq!(md_superblocks(&MemDevice::new(len)), Superblocks::default());
        }
        assert_eq!(v1_place(&MemDevice::new(4096), Minor::V2), None);
        assert_eq!(v090_place(&MemDevice::new(65_535)), None);
    }

    #[test]
    fn every_write_lies_inside_the_device_and_is_synced() {
        let dev = with_supers([1, 2, 3]);
        let plan = plan(Path::new("x"), &md_superblocks(&dev).targets);
        assert_eq!(plan.steps.len(), 6);
        for pair in plan.steps.chunks(2) {
            let [Step::Write { offset, bytes, .. }, Step::Sync { .. }] = pair else { panic!("{pair:?}") };
            assert!(offset + bytes.len() as u64 <= 1 << 20);
            assert!(bytes.iter().all(|b| *b == 0));
        }
    }
}
