//! What is saved before a plan overwrites it: the bytes that its writes replace, and, where an array's metadata is given up
//! (not only edited), what else belongs to it, since the kernel will write there next.

use std::io;
use std::path::{Path, PathBuf};

use super::step::{Plan, Step};
use crate::bitmap::header::{BitmapSuper, Kind};
use crate::bitmap::{bits, lockless, summary};
use crate::blockio::ReadAt;
use crate::saved::{Content, MAX_DATA, Member, Range};
use crate::superblock::v0::{self, SuperV0};
use crate::superblock::v1::{self, Minor, SUPER_BYTES, SuperV1, feature};
use crate::units::{SECTOR_BYTES, Sectors};

/// No single piece of metadata that is saved is longer; past that it is cut.
const MAX_AREA: u64 = 8 << 20;
/// Zeros are left out of a saved range in blocks of this size.
const BLOCK: usize = 4096;

/// A stretch of a device that is to be saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Area {
    /// Byte of the device.
    pub offset: u64,
    /// How many bytes.
    pub len: u64,
    /// What lies there, for a person.
    pub what: String,
}

/// The devices that a plan writes to, in its order.
#[must_use]
pub fn devices(plan: &Plan) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for step in &plan.steps {
        if let Step::Write { device, .. } = step
            && !found.contains(device)
        {
            found.push(device.clone());
        }
    }
    found
}

/// What is to be saved of one device before the plan is executed: in order, without overlap, inside the device. Also
/// whether something had to be cut.
#[must_use]
pub fn areas(plan: &Plan, device: &Path, dev: &dyn ReadAt) -> (Vec<Area>, bool) {
    let mut all = Vec::new();
    let mut writes = Vec::new();
    for step in &plan.steps {
        if let Step::Write { device: of, offset, bytes, what } = step
            && of == device
        {
            writes.push((*offset, bytes.as_slice()));
            all.push(Area { offset: *offset, len: bytes.len() as u64, what: format!("what lay under: {what}") });
        }
    }
    for minor in Minor::ALL {
        if let Some((at, old)) = v1_at(dev, minor)
            && touched(&writes, at, SUPER_BYTES as u64)
            && !keeps_array(&writes, at, |new| {
                SuperV1::from_bytes(new).is_some_and(|new| new.set_uuid() == old.set_uuid())
            })
        {
            all.extend(metadata_v1(dev, minor, at, &old));
        }
    }
    if let Some(at) = v0::super_offset(dev.size()).map(|at| at.0)
        && let Ok(Some(old)) = v0::read(dev)
        && touched(&writes, at, v0::SUPER_BYTES as u64)
        && !keeps_array(&writes, at, |new| SuperV0::from_bytes(new).is_some_and(|new| new.uuid() == old.uuid()))
    {
        all.push(Area { offset: at, len: v0::RESERVED.0, what: "superblock 0.90 and its bitmap".into() });
    }
    apart(all, dev.size().0)
}

/// A superblock by its magic, whatever else is wrong with it.
fn v1_at(dev: &dyn ReadAt, minor: Minor) -> Option<(u64, SuperV1)> {
    let at = v1::super_offset(minor, dev.size().sectors()).and_then(Sectors::bytes)?.0;
    let mut bytes = [0u8; SUPER_BYTES];
    dev.read_at(at, &mut bytes).ok()?;
    Some((at, SuperV1::from_bytes(&bytes)?))
}

fn touched(writes: &[(u64, &[u8])], at: u64, len: u64) -> bool {
    writes.iter().any(|(offset, bytes)| *offset < at + len && at < offset.saturating_add(bytes.len() as u64))
}

/// Whether the superblock that is written there is of the same array: an edit.
fn keeps_array(writes: &[(u64, &[u8])], at: u64, is_same: impl Fn(&[u8; SUPER_BYTES]) -> bool) -> bool {
    writes.iter().filter(|(offset, _)| *offset == at).any(|(_, bytes)| {
        let mut whole = [0u8; SUPER_BYTES];
        whole.iter_mut().zip(bytes.iter()).for_each(|(dst, src)| *dst = *src);
        is_same(&whole)
    })
}

/// Superblock, bitmap, bad-block log and partial parity log of a v1.x member. Nothing it says is trusted: what it names is
/// only read, cut to the device and to [`MAX_AREA`].
fn metadata_v1(dev: &dyn ReadAt, minor: Minor, at: u64, sb: &SuperV1) -> Vec<Area> {
    let what = |part: &str| format!("{part}, metadata 1.{}", minor.number());
    let mut found = vec![Area { offset: at, len: SUPER_BYTES as u64, what: what("superblock") }];
    let mut push = |offset: i64, len: u64, part: &str| {
        let offset = offset.checked_mul(SECTOR_BYTES as i64).and_then(|o| at.checked_add_signed(o));
        if let Some(offset) = offset {
            found.push(Area { offset, len, what: what(part) });
        }
    };
    if sb.has(feature::PPL) {
        push(sb.ppl_offset().into(), u64::from(sb.ppl_size()) * SECTOR_BYTES, "partial parity log");
    } else if sb.has(feature::BITMAP_OFFSET) {
        let bytes = summary::start(dev, sb).ok().flatten().map(|start| bitmap_bytes(dev, start));
        push(sb.bitmap_offset().into(), bytes.unwrap_or(BLOCK as u64), "bitmap");
    }
    if sb.bblog_size() > 0 && sb.bblog_offset() != 0 {
        push(sb.bblog_offset().into(), u64::from(sb.bblog_size()) * SECTOR_BYTES, "bad-block log");
    }
    found
}

/// How long the bitmap at this byte is, all nodes of a clustered one together; one block where it cannot be told.
fn bitmap_bytes(dev: &dyn ReadAt, start: u64) -> u64 {
    let Ok(sb) = BitmapSuper::read(dev, start) else { return BLOCK as u64 };
    let room = u64::from(sb.sectors_reserved()) * SECTOR_BYTES;
    let chunks = sb.chunks().unwrap_or(0);
    match sb.kind() {
        Ok(Kind::Lockless) => room.max(lockless::bitmap_bytes(chunks)),
        Ok(_) => bits::bitmap_bytes(chunks).saturating_mul(sb.nodes().max(1).into()),
        Err(_) => BLOCK as u64,
    }
}

/// Sorts the areas, cuts them to the device and to their limit, and takes away what an earlier one has.
fn apart(mut all: Vec<Area>, size: u64) -> (Vec<Area>, bool) {
    // A name of its own says more than what is to be written there.
    all.sort_by_key(|a| (a.offset, a.what.starts_with("what lay under")));
    let (mut cut, mut free) = (false, 0u64);
    let mut kept = Vec::new();
    for area in all {
        let end = area.offset.saturating_add(area.len).min(size);
        let start = area.offset.max(free);
        if start >= end {
            continue;
        }
        cut |= end - start > MAX_AREA;
        let end = end.min(start + MAX_AREA);
        free = end;
        kept.push(Area { offset: start, len: end - start, what: area.what });
    }
    (kept, cut)
}

/// Leaves out areas, the longest first, until all fit into one file; whether it had to.
pub fn fit(devices: &mut [Vec<Area>]) -> bool {
    let mut total: u64 = devices.iter().flatten().map(|a| a.len).sum();
    let left_out = total > MAX_DATA;
    while total > MAX_DATA {
        let longest = devices.iter_mut().max_by_key(|areas| areas.iter().map(|a| a.len).max());
        let Some(areas) = longest else { break };
        let Some(at) = (0..areas.len()).max_by_key(|i| areas.get(*i).map(|a| a.len)) else { break };
        total -= areas.remove(at).len;
    }
    left_out
}

/// Reads an area; its zeros are counted, not kept.
///
/// # Errors
/// The device's.
pub fn read(dev: &dyn ReadAt, area: &Area) -> io::Result<Vec<Range>> {
    let len = usize::try_from(area.len).map_err(|_| io::ErrorKind::InvalidInput)?;
    let bytes = dev.read_vec(area.offset, len)?;
    let mut ranges: Vec<Range> = Vec::new();
    let mut offset = area.offset;
    for block in bytes.chunks(BLOCK) {
        let zero = block.iter().all(|b| *b == 0);
        match ranges.last_mut().map(|r| &mut r.content) {
            Some(Content::Zeros(n)) if zero => *n += block.len() as u64,
            Some(Content::Bytes(b)) if !zero => b.extend_from_slice(block),
            _ => {
                let content = if zero { Content::Zeros(block.len() as u64) } else { Content::Bytes(block.to_vec()) };
                ranges.push(Range { offset, what: area.what.clone(), content });
            }
        }
        offset += block.len() as u64;
    }
    Ok(ranges)
}

/// The array that a device was a member of, in short.
#[must_use]
pub fn member(dev: &dyn ReadAt) -> Option<Member> {
    if let Ok(Some((minor, sb))) = v1::read_any(dev) {
        return Some(Member {
            metadata: format!("1.{}", minor.number()),
            uuid: sb.set_uuid(),
            name: String::from_utf8_lossy(&sb.set_name()).into_owned(),
            events: sb.events(),
        });
    }
    let sb = v0::read(dev).ok().flatten()?;
    Some(Member { metadata: "0.90".into(), uuid: sb.uuid(), name: String::new(), events: sb.events() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::mem::MemDevice;
    use crate::uuid::Uuid;
    use proptest::prelude::*;

    const SIZE: usize = 1 << 20;

    fn write(offset: u64, bytes: Vec<u8>) -> Step {
        Step::Write { device: "d".into(), offset, bytes, what: "superblock".into() }
    }

    fn areas_of(steps: Vec<Step>, dev: &MemDevice) -> Vec<Area> {
        areas(&Plan { steps }, Path::new("d"), dev).0
    }

    fn member_with(set: impl Fn(&mut SuperV1)) -> (MemDevice, SuperV1) {
        let mut dev = MemDevice::new(SIZE);
        let mut sb = SuperV1::empty();
        sb.set_super_offset(8);
        sb.put_set_uuid(Uuid([5; 16]));
        set(&mut sb);
        dev.bytes[4096..8192].copy_from_slice(sb.bytes());
        (dev, sb)
    }

    #[test]
    fn a_blank_device_has_zeros_under_the_writes_and_nothing_else() {
        let dev = MemDevice::new(SIZE);
        let found = areas_of(vec![write(4096, vec![1; 512])], &dev);
        assert_eq!(found.iter().map(|a| (a.offset, a.len)).collect::<Vec<_>>(), [(4096, 512)]);
        assert_eq!(read(&dev, &found[0]).unwrap()[0].content, Content::Zeros(512));
    }

    #[test]
    fn what_belongs_to_the_array_that_is_given_up_goes_with_it() {
        let (dev, _) = member_with(|sb| {
            sb.set_feature_map(feature::BITMAP_OFFSET | feature::BAD_BLOCKS);
            sb.set_bitmap_offset(8);
            sb.set_bblog_offset(16);
            sb.set_bblog_size(8);
        });
        let found = areas_of(vec![write(4096, vec![0; 512])], &dev);
        let places: Vec<_> = found.iter().map(|a| (a.offset, a.len, a.what.as_str())).collect();
        assert_eq!(
            places,
            [
                (4096, 4096, "superblock, metadata 1.2"),
                (8192, 4096, "bitmap, metadata 1.2"),
                (12288, 4096, "bad-block log, metadata 1.2")
            ]
        );
    }

    #[test]
    fn an_edit_saves_what_it_overwrites_only() {
        let (dev, mut sb) = member_with(|sb| {
            sb.set_feature_map(feature::BITMAP_OFFSET);
            sb.set_bitmap_offset(8);
        });
        sb.set_events(99);
        let found = areas_of(vec![write(4096, sb.write_bytes(512).to_vec())], &dev);
        assert_eq!(found.len(), 1);
        assert!(found[0].len < 4096 && found[0].what.starts_with("what lay under"));
    }

    #[test]
    fn metadata_0_90_goes_with_its_bitmap_unless_it_is_edited() {
        let mut dev = MemDevice::new(SIZE);
        let at = SIZE - 65_536;
        let mut sb = SuperV0::empty(v0::Order::Big);
        sb.put_uuid(Uuid([3; 16]));
        dev.bytes[at..at + 4096].copy_from_slice(sb.bytes());
        let gone = areas_of(vec![write(at as u64, vec![0; 4096])], &dev);
        assert_eq!(gone.iter().map(|a| a.len).sum::<u64>(), 65_536);
        let edited = areas_of(vec![write(at as u64, sb.swapped().bytes().to_vec())], &dev);
        assert_eq!(edited.iter().map(|a| a.len).sum::<u64>(), 4096);
    }

    #[test]
    fn too_much_for_one_file_is_left_out_the_longest_first() {
        let area = |len| Area { offset: 0, len, what: String::new() };
        let mut all = vec![vec![area(4096), area(40 << 20)], vec![area(4096), area(30 << 20)]];
        assert!(fit(&mut all));
        assert_eq!(all, [vec![area(4096)], vec![area(4096), area(30 << 20)]]);
        assert!(!fit(&mut all));
    }

    proptest! {
        #[test]
        fn areas_lie_apart_inside_the_device_and_cover_every_write(
            writes in prop::collection::vec((0u64..SIZE as u64 - 5000, 1usize..5000), 1..6),
            bitmap in any::<i32>(), log in any::<i32>(), log_sectors in any::<u16>(), features in any::<u32>(),
            header in prop::collection::vec(any::<u8>(), 256),
        ) {
            let (mut dev, _) = member_with(|sb| {
                sb.set_feature_map(features);
                sb.set_bitmap_offset(bitmap % 4000);
                sb.set_bblog_offset(log % 4000);
                sb.set_bblog_size(log_sectors);
            });
            let at = 4096 + i64::from(bitmap % 4000) * 512;
            if let Some(place) = usize::try_from(at).ok().filter(|p| *p >= 8192).and_then(|p| dev.bytes.get_mut(p..p + 256)) {
                place.copy_from_slice(&header);
                place[..4].copy_from_slice(&0x6d74_6962u32.to_le_bytes());
            }
            let steps = writes.iter().map(|(at, len)| write(*at, vec![1; *len])).collect();
            let found = areas_of(steps, &dev);
            let mut free = 0;
            for a in &found {
                prop_assert!(a.offset >= free && a.len > 0 && a.offset + a.len <= SIZE as u64);
                free = a.offset + a.len;
                let ranges = read(&dev, a).unwrap();
                prop_assert_eq!(ranges.iter().map(Range::len).sum::<u64>(), a.len);
            }
            for (at, len) in writes {
                for byte in [at, at + len as u64 - 1] {
                    prop_assert!(found.iter().any(|a| a.offset <= byte && byte < a.offset + a.len));
                }
            }
        }
    }
}
