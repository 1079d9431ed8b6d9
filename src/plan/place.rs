//! Where everything lies on a member of a new v1.x array: superblock, bitmap, bad-block log, data.
//!
//! The rules are those of the reference, learnt from what it writes for devices from 512 KiB to 4 TiB
//! (`tests/golden/create-geometry.tsv`), but for the lockless bitmap: there the log stands clear of the bitmap and 4 KiB
//! stay free behind it, since the kernel's room test forgets the first KiB (docs/lockless.md).
//!
//! ```text
//! v0.90  data ............ | superblock 4K | bitmap 60K .. less than 64K .. end
//! v1.0   data ............ | bitmap | slack | log 4K | superblock 4K .. end      (offsets are negative)
//! v1.1   superblock 4K | bitmap | slack | log 4K | ... data_offset | data ...
//! v1.2   4K | superblock 4K | bitmap | slack | log 4K | ... data_offset | data ...
//! ```
//!
//! A PPL lies where a bitmap would: an array has one or the other. A journal has the areas of a member, and the log instead
//! of data.

use crate::bitmap::bits;
use crate::bitmap::lockless;
use crate::level::Level;
use crate::plan::bitmap_place::internal_room;
use crate::superblock::raid_log::PPL_SECTORS;
use crate::superblock::v1::{Minor, super_offset};
use crate::superblock::{Version, v0};
use crate::units::{SECTOR_BYTES, Sectors};

/// Sectors of a bad-block log, and of the superblock and of the slack behind a lockless bitmap.
const PAGE_SECTORS: u64 = 8;
/// A data offset is a multiple of this: 1 MiB.
const DATA_ALIGN: u64 = 2048;
/// Room before the data for later reshapes, at most: 128 MiB.
const MAX_HEADROOM: u64 = 128 * 2048;

/// The bitmap of a new array, as far as its place goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BitmapArea {
    /// No bitmap; room for a later one is kept where the level can have one.
    None,
    /// One bit per chunk of so many bytes.
    Internal {
        /// Bytes of an array that one bit stands for.
        chunk_bytes: u64,
    },
    /// The same once for each node of a cluster, one behind the other. Such an array has no bad-block log.
    Clustered {
        /// Bytes of an array that one bit stands for.
        chunk_bytes: u64,
        /// Nodes.
        nodes: u32,
    },
    /// One byte per chunk.
    Lockless {
        /// Sectors to reserve (`sectors_reserved`); on v1.0 the offset says it.
        room: u32,
    },
    /// No bitmap, a partial parity log in its place.
    Ppl,
}

/// What decides the places, the same for all members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Metadata version.
    pub version: Version,
    /// Level.
    pub level: Level,
    /// Array chunk; 0 where the level has none.
    pub chunk: Sectors,
    /// The bitmap.
    pub bitmap: BitmapArea,
    /// `--data-offset`
    pub data_offset: Option<Sectors>,
    /// `--size` was given: the reference then keeps room for a bitmap even where the level can have none.
    pub sized: bool,
}

/// A stretch of a member, in sectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    /// What it holds.
    pub what: &'static str,
    /// First sector.
    pub start: u64,
    /// The sector after the last.
    pub end: u64,
}

/// Where everything lies on one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// Sector of the superblock.
    pub super_offset: Sectors,
    /// First sector of the data.
    pub data_offset: Sectors,
    /// Sectors that can hold data.
    pub data_size: Sectors,
    /// Sectors from the superblock to the bitmap, or to the PPL; 0 without one.
    pub bitmap_offset: i32,
    /// Sectors the bitmap may take, slack included; those of the PPL.
    pub bitmap_sectors: u64,
    /// `sectors_reserved` of a lockless bitmap, else 0.
    pub bitmap_reserved: u32,
    /// Sectors from the superblock to the bad-block log; 0 where there is no room for one.
    pub log_offset: i32,
    /// Sectors of the bad-block log.
    pub log_sectors: u16,
}

/// Why a member has no place for the array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPlace {
    /// The metadata alone does not fit.
    TooSmall,
    /// Nothing is left for data.
    NoSpace,
    /// `--data-offset` leaves no room for the metadata; the least offset, in sectors.
    OffsetTooSmall(u64),
}

/// Room that is kept for a bitmap, in sectors, by the device's size (the kernel's `super_1_choose_bm_space`, too).
#[must_use]
pub fn spare_bitmap_sectors(device: Sectors) -> u64 {
    match device.0 {
        n if n < 128 => 0,
        n if n - 128 >= 200 * 1024 * 2048 => 256,
        n if n - 8 > 8 * 1024 * 2048 => 128,
        _ => 8,
    }
}

/// Sectors that the bitmap takes on disk, slack included, and its `sectors_reserved`.
fn bitmap_sectors(shape: &Shape, device: Sectors, sync: Sectors) -> (u64, u32) {
    match shape.bitmap {
        // By what is used of a member, on the journal too.
        BitmapArea::None if shape.level == Level::Raid1 || shape.level.is_parity() => (internal_room(sync), 0),
        BitmapArea::None if shape.level.has_size() || shape.sized => (spare_bitmap_sectors(device), 0),
        BitmapArea::None => (0, 0),
        BitmapArea::Internal { chunk_bytes } => {
            let chunks = (sync.0.saturating_mul(SECTOR_BYTES)).div_ceil(chunk_bytes.max(1));
            (bits::bitmap_bytes(chunks) / SECTOR_BYTES, 0)
        }
        BitmapArea::Clustered { chunk_bytes, nodes } => {
            let chunks = (sync.0.saturating_mul(SECTOR_BYTES)).div_ceil(chunk_bytes.max(1));
            ((bits::bitmap_bytes(chunks) / SECTOR_BYTES).saturating_mul(nodes.into()), 0)
        }
        BitmapArea::Lockless { room } => (u64::from(room) + PAGE_SECTORS, room),
        BitmapArea::Ppl => (PPL_SECTORS.into(), 0),
    }
}

/// The first sector of the data on every member: chosen by the first device, as the reference does.
#[must_use]
pub fn data_offset(shape: &Shape, first: Sectors) -> Sectors {
    if let Some(given) = shape.data_offset {
        return given;
    }
    let head = match shape.version {
        Version::V090 | Version::V1(Minor::V0) => return Sectors(0),
        Version::V1(Minor::V1) => PAGE_SECTORS,
        Version::V1(Minor::V2) => 2 * PAGE_SECTORS,
    };
    let mut headroom = MAX_HEADROOM;
    while headroom << 10 > first.0 && (shape.chunk.0 == 0 || headroom > 2 * shape.chunk.0) {
        headroom >>= 1;
    }
    let wanted = match shape.bitmap {
        BitmapArea::Lockless { room } => (u64::from(room) + 2 * PAGE_SECTORS).max(spare_bitmap_sectors(first)),
        BitmapArea::Ppl => PPL_SECTORS.into(),
        _ => spare_bitmap_sectors(first),
    };
    Sectors((head + wanted + headroom).next_multiple_of(DATA_ALIGN))
}

/// Sectors of data that a device of this size offers, before rounding to chunks.
///
/// # Errors
/// [`NoPlace::TooSmall`] where not even the metadata fits.
pub fn available(shape: &Shape, device: Sectors, data_offset: Sectors) -> Result<Sectors, NoPlace> {
    let end = match shape.version {
        Version::V090 => shape.version.super_offset(device).ok_or(NoPlace::TooSmall)?.0,
        Version::V1(Minor::V0) => {
            let at = super_offset(Minor::V0, device).ok_or(NoPlace::TooSmall)?;
            let kept = match shape.bitmap {
                BitmapArea::Lockless { room } => u64::from(room) + PAGE_SECTORS,
                BitmapArea::Ppl => PPL_SECTORS.into(),
                _ => spare_bitmap_sectors(device),
            };
            at.0.checked_sub(PAGE_SECTORS + kept).ok_or(NoPlace::TooSmall)?
        }
        _ => device.0,
    };
    end.checked_sub(data_offset.0).map(Sectors).ok_or(NoPlace::TooSmall)
}

/// Rounds the data of a member down to what the level can use: whole chunks, or 64 KiB on a mirror.
#[must_use]
pub fn usable(shape: &Shape, available: Sectors) -> Sectors {
    match shape.level {
        Level::Linear | Level::Faulty | Level::Multipath => available,
        _ if shape.chunk.0 == 0 => available.round_down(Sectors(128)),
        _ => available.round_down(shape.chunk),
    }
}

/// Places everything on one member. `sync` is what the bitmap covers, in sectors.
///
/// # Errors
/// [`NoPlace`] where the areas would not fit or would overlap.
pub fn place(shape: &Shape, device: Sectors, data_offset: Sectors, sync: Sectors) -> Result<Placement, NoPlace> {
    let at = shape.version.super_offset(device).ok_or(NoPlace::TooSmall)?;
    let (sectors, reserved) = bitmap_sectors(shape, device, sync);
    match shape.version {
        Version::V090 => place_old(shape, at),
        Version::V1(Minor::V0) => place_at_end(shape, at, data_offset, sync, sectors),
        Version::V1(Minor::V1 | Minor::V2) => {
            let least = sectors.saturating_add(at.0 + PAGE_SECTORS);
            if data_offset.0 < least {
                return Err(NoPlace::OffsetTooSmall(least));
            }
            let log = data_offset.0 >= least + PAGE_SECTORS && !matches!(shape.bitmap, BitmapArea::Clustered { .. });
            let bitmap = !matches!(shape.bitmap, BitmapArea::None);
            Ok(Placement {
                super_offset: at,
                data_offset,
                data_size: device.checked_sub(data_offset).filter(|s| s.0 > 0).ok_or(NoPlace::NoSpace)?,
                bitmap_offset: if bitmap { 8 } else { 0 },
                bitmap_sectors: if bitmap { sectors } else { 0 },
                bitmap_reserved: reserved,
                log_offset: if log { offset(PAGE_SECTORS + sectors)? } else { 0 },
                log_sectors: if log { 8 } else { 0 },
            })
        }
    }
}

/// v0.90: data from the start, the superblock in the last whole 64 KiB, the bitmap in what follows it there.
fn place_old(shape: &Shape, at: Sectors) -> Result<Placement, NoPlace> {
    let bitmap = !matches!(shape.bitmap, BitmapArea::None);
    Ok(Placement {
        super_offset: at,
        data_offset: Sectors(0),
        data_size: Some(at).filter(|s| s.0 > 0).ok_or(NoPlace::NoSpace)?,
        bitmap_offset: if bitmap { v0::BITMAP_OFFSET } else { 0 },
        bitmap_sectors: if bitmap { v0::BITMAP_SECTORS } else { 0 },
        bitmap_reserved: 0,
        log_offset: 0,
        log_sectors: 0,
    })
}

fn offset(sectors: u64) -> Result<i32, NoPlace> {
    i32::try_from(sectors).map_err(|_| NoPlace::NoSpace)
}

/// v1.0: the log is next to the superblock, the bitmap before the log. The kernel takes the whole offset for the room of
/// a lockless bitmap (`super_1_validate`), so the offset grows until what the kernel will choose ends before the log.
fn place_at_end(
    shape: &Shape,
    at: Sectors,
    data_offset: Sectors,
    sync: Sectors,
    sectors: u64,
) -> Result<Placement, NoPlace> {
    let mut distance = PAGE_SECTORS + sectors;
    if matches!(shape.bitmap, BitmapArea::Lockless { .. }) {
        let fits = |distance: u64| {
            let room = u32::try_from(distance).unwrap_or(u32::MAX);
            let chunks = lockless::kernel_chunk(sync.0, room).chunks;
            lockless::bitmap_bytes(chunks) <= (distance - PAGE_SECTORS) * SECTOR_BYTES
        };
        while !fits(distance) {
            distance += PAGE_SECTORS;
            if distance >= at.0 {
                return Err(NoPlace::TooSmall);
            }
        }
    }
    let end = at.0.checked_sub(distance).ok_or(NoPlace::TooSmall)?;
    let bitmap = !matches!(shape.bitmap, BitmapArea::None);
    Ok(Placement {
        super_offset: at,
        data_offset,
        data_size: Sectors(end.checked_sub(data_offset.0).filter(|s| *s > 0).ok_or(NoPlace::NoSpace)?),
        bitmap_offset: if bitmap { -offset(distance)? } else { 0 },
        bitmap_sectors: if bitmap { distance - PAGE_SECTORS } else { 0 },
        bitmap_reserved: match shape.bitmap {
            BitmapArea::Lockless { .. } => u32::try_from(distance).map_err(|_| NoPlace::NoSpace)?,
            _ => 0,
        },
        log_offset: -8,
        log_sectors: 8,
    })
}

impl Placement {
    /// All stretches in use, to be held against each other and the device.
    #[must_use]
    pub fn areas(&self) -> Vec<Area> {
        let at = self.super_offset.0;
        let mut areas = vec![
            Area { what: "superblock", start: at, end: at + PAGE_SECTORS },
            Area { what: "data", start: self.data_offset.0, end: self.data_offset.0 + self.data_size.0 },
        ];
        let from = |offset: i32| at.saturating_add_signed(offset.into());
        if self.bitmap_offset != 0 {
            let start = from(self.bitmap_offset);
            areas.push(Area { what: "bitmap", start, end: start + self.bitmap_sectors });
        }
        if self.log_offset != 0 {
            let start = from(self.log_offset);
            areas.push(Area { what: "bad-block log", start, end: start + u64::from(self.log_sectors) });
        }
        areas.sort_by_key(|a| a.start);
        areas
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shapes() -> impl Strategy<Value = Shape> {
        let level = prop_oneof![
            Just(Level::Raid0),
            Just(Level::Linear),
            Just(Level::Raid1),
            Just(Level::Raid5),
            Just(Level::Raid6),
            Just(Level::Raid10)
        ];
        let bitmap = prop_oneof![
            Just(BitmapArea::None),
            Just(BitmapArea::Ppl),
            (12u32..40).prop_map(|s| BitmapArea::Internal { chunk_bytes: 1 << s }),
            (8u32..40000).prop_map(|room| BitmapArea::Lockless { room: room / 8 * 8 }),
        ];
        let offset = prop_oneof![Just(None), (0u64..70000).prop_map(|s| Some(Sectors(s)))];
        (0usize..4, level, prop_oneof![Just(0u64), Just(8), Just(128), Just(1024)], bitmap, offset).prop_map(
            |(minor, level, chunk, bitmap, data_offset)| Shape {
                version: Version::ALL[minor],
                level,
                chunk: Sectors(chunk),
                bitmap,
                data_offset,
                sized: false,
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn no_two_areas_overlap_and_all_are_on_the_device(
            shape in shapes(),
            device in prop_oneof![0u64..5000, 0u64..10_000_000, 0u64..(1 << 36)],
        ) {
            let device = Sectors(device);
            let at = data_offset(&shape, device);
            let Ok(space) = available(&shape, device, at) else { return Ok(()) };
            let sync = usable(&shape, space);
            prop_assume!(sync.0 > 0);
            let Ok(placed) = place(&shape, device, at, sync) else { return Ok(()) };
            let areas = placed.areas();
            for pair in areas.windows(2) {
                prop_assert!(pair[0].end <= pair[1].start, "{areas:?}");
            }
            prop_assert!(areas.iter().all(|a| a.start < a.end && a.end <= device.0), "{areas:?}");
            if matches!(shape.bitmap, BitmapArea::Lockless { .. }) {
                let chunks = lockless::kernel_chunk(sync.0, placed.bitmap_reserved).chunks;
                prop_assert!(lockless::bitmap_bytes(chunks) <= placed.bitmap_sectors * SECTOR_BYTES);
            }
        }
    }
}
