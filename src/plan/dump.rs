//! `--dump` and `--restore`: where the metadata of a member lies, and what of a copy is put back.

use std::path::Path;

use super::file_step::FileStep;
use super::step::{Plan, Step};
use crate::bitmap::bits;
use crate::bitmap::header::{Kind, SUPER_BYTES};
use crate::bitmap::{lockless, summary};
use crate::blockio::ReadAt;
use crate::error::{Refusal, errno_text};
use crate::superblock::v0::{self, SuperV0};
use crate::superblock::v1::{self, SuperV1, feature};
use crate::units::SECTOR_BYTES;

/// A superblock and all that its member keeps with it.
#[derive(Debug, Clone)]
pub enum Super {
    /// 1.x
    V1(Box<SuperV1>),
    /// 0.90: all of it lies in the last whole 64 KiB.
    V0(Box<SuperV0>),
}

/// Part of a device that holds metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Area {
    /// First byte.
    pub start: u64,
    /// How many.
    pub len: u64,
    /// What it is.
    pub what: &'static str,
}

/// More than any bitmap that a kernel takes: a damaged header must not fill the memory.
const MOST_BYTES: u64 = 256 << 20;

/// The areas, the superblock last.
///
/// # Errors
/// The superblock places something outside the device.
pub fn areas(dev: &dyn ReadAt, sb: &Super) -> Result<Vec<Area>, Refusal> {
    let outside = |what: &str| Refusal::new(format!("its {what} does not lie on the device"));
    let found = match sb {
        Super::V0(_) => {
            let at = v0::super_offset(dev.size()).ok_or_else(|| outside("superblock"))?;
            vec![Area { start: at.0, len: v0::RESERVED.0, what: "superblock and bitmap, metadata 0.90" }]
        }
        Super::V1(sb) => {
            let start = sb.super_offset().checked_mul(SECTOR_BYTES).ok_or_else(|| outside("superblock"))?;
            let mut found = Vec::new();
            found.extend(bitmap_area(dev, sb).map_err(|e| Refusal::new(format!("its bitmap: {e}")))?);
            // Without the bit nothing was ever written to the log.
            if sb.has(feature::BAD_BLOCKS) && sb.bblog_offset() != 0 {
                let at = start
                    .checked_add_signed(i64::from(sb.bblog_offset()) * 512)
                    .ok_or_else(|| outside("bad-block log"))?;
                found.push(Area { start: at, len: u64::from(sb.bblog_size()) * SECTOR_BYTES, what: "bad-block log" });
            }
            found.push(Area { start, len: v1::SUPER_BYTES as u64, what: "superblock" });
            found
        }
    };
    match found.iter().find(|a| a.start.checked_add(a.len).is_none_or(|end| end > dev.size().0) || a.len > MOST_BYTES) {
        Some(area) => Err(outside(area.what)),
        None => Ok(found),
    }
}

fn bitmap_area(dev: &dyn ReadAt, sb: &SuperV1) -> Result<Option<Area>, crate::bitmap::BitmapError> {
    let Some(bitmap) = summary::read(dev, sb)? else { return Ok(None) };
    let len = match (bitmap.kind, bitmap.chunks) {
        (Kind::Lockless, chunks) => lockless::bitmap_bytes(chunks.unwrap_or(0)),
        _ if bitmap.sb.nodes() > 0 => {
            let mut end = bitmap.start;
            bits::each_node(dev, bitmap.start, &bitmap.sb, false, |_, node| {
                end = node.start.saturating_add(bits::bitmap_bytes(node.chunks));
            })?;
            end - bitmap.start
        }
        (_, chunks) => bits::bits_bytes(chunks.unwrap_or(0)).saturating_add(BITMAP_HEADER),
    };
    Ok(Some(Area { start: bitmap.start, len: len.next_multiple_of(SECTOR_BYTES), what: "bitmap" }))
}

/// Bytes of a bitmap's superblock.
const BITMAP_HEADER: u64 = SUPER_BYTES as u64;

/// Copies the areas into a new sparse file of the device's size.
///
/// # Errors
/// An area that cannot be read.
pub fn dump(dev: &dyn ReadAt, areas: &[Area], file: &Path) -> Result<Plan, Refusal> {
    let mut steps = vec![Step::File(FileStep::New { path: file.to_owned(), size: dev.size().0 })];
    steps.extend(copies(dev, areas, file)?);
    steps.push(Step::Sync { device: file.to_owned() });
    Ok(Plan { steps })
}

fn copies(from: &dyn ReadAt, areas: &[Area], to: &Path) -> Result<Vec<Step>, Refusal> {
    let copy = |area: &Area| {
        let len = usize::try_from(area.len).unwrap_or(usize::MAX);
        let bytes = from.read_vec(area.start, len).map_err(|e| {
            let why = e.raw_os_error().map_or_else(|| e.to_string(), errno_text);
            Refusal::new(format!("its {} cannot be read: {why}", area.what))
        })?;
        Ok(Step::Write { device: to.to_owned(), offset: area.start, bytes, what: area.what.into() })
    };
    areas.iter().map(copy).collect()
}

/// A member as two superblocks name it.
#[must_use]
pub fn is_same_member(a: &Super, b: &Super) -> bool {
    match (a, b) {
        (Super::V1(a), Super::V1(b)) => a.set_uuid() == b.set_uuid() && a.device_uuid() == b.device_uuid(),
        (Super::V0(a), Super::V0(b)) => {
            a.uuid() == b.uuid() && a.this_disk().number == b.this_disk().number && a.ctime() == b.ctime()
        }
        _ => false,
    }
}

/// Who a superblock says that its device is.
#[must_use]
pub fn who(sb: &Super) -> String {
    match sb {
        Super::V1(sb) => format!("device {} of array {}", sb.dev_number(), sb.set_uuid()),
        Super::V0(sb) => format!("device {} of array {}", sb.this_disk().number, sb.uuid()),
    }
}

/// The event count of a superblock.
#[must_use]
pub fn events(sb: &Super) -> u64 {
    match sb {
        Super::V1(sb) => sb.events(),
        Super::V0(sb) => sb.events(),
    }
}

/// Puts a copy back: first the steps that take other superblocks away, then its areas, the superblock last.
///
/// # Errors
/// As [`areas`]; the copy cannot be read.
pub fn restore(copy: &dyn ReadAt, sb: &Super, first: Vec<Step>, device: &Path) -> Result<Plan, Refusal> {
    let mut parts = copies(copy, &areas(copy, sb)?, device)?;
    let superblock = parts.pop();
    let sync = Step::Sync { device: device.to_owned() };
    let mut steps = first;
    steps.extend(parts);
    // The superblock makes the rest of it count.
    if !steps.is_empty() {
        steps.push(sync.clone());
    }
    steps.extend(superblock);
    steps.push(sync);
    Ok(Plan { steps })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::mem::MemDevice;

    fn member() -> (MemDevice, SuperV1) {
        let mut sb = SuperV1::empty();
        sb.set_super_offset(8);
        sb.set_bblog_offset(24);
        sb.set_bblog_size(8);
        sb.set_feature_map(feature::BAD_BLOCKS);
        (MemDevice::new(64 * 512), sb)
    }

    fn places(dev: &MemDevice, sb: &SuperV1) -> Vec<(u64, u64)> {
        areas(dev, &Super::V1(Box::new(sb.clone()))).unwrap().iter().map(|a| (a.start, a.len)).collect()
    }

    #[test]
    fn the_superblock_comes_last_and_a_log_counts_only_where_one_was_written() {
        let (dev, mut sb) = member();
        assert_eq!(places(&dev, &sb), [(32 * 512, 4096), (4096, 4096)]);
        sb.set_feature_map(0);
        assert_eq!(places(&dev, &sb), [(4096, 4096)]);
        let old = Super::V0(Box::new(SuperV0::empty(v0::Order::Little)));
        assert_eq!(areas(&MemDevice::new(256 << 10), &old).unwrap()[0].start, 192 << 10);
    }

    #[test]
    fn what_a_superblock_places_outside_its_device_is_refused() {
        let (dev, mut sb) = member();
        for offset in [57, i32::MAX, -9, i32::MIN] {
            sb.set_bblog_offset(offset);
            assert!(areas(&dev, &Super::V1(Box::new(sb.clone()))).is_err(), "{offset}");
        }
        sb.set_feature_map(0);
        sb.set_super_offset(u64::MAX / 512);
        assert!(areas(&dev, &Super::V1(Box::new(sb))).is_err());
    }

    #[test]
    fn a_copy_is_written_in_the_order_in_which_it_may_be_cut_short() {
        let (mut dev, sb) = member();
        dev.bytes[4096..8192].copy_from_slice(sb.bytes());
        let plan = restore(&dev, &Super::V1(Box::new(sb)), Vec::new(), Path::new("/dev/x")).unwrap();
        let lines: Vec<String> = plan.text().lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 4);
        assert!(
            lines[0].ends_with("bad-block log") && lines[1].starts_with("sync") && lines[2].ends_with("superblock")
        );
    }
}
