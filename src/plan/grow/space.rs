//! Room for a bitmap on a running array: one offset from the superblock that is free on every member, spares included.
//!
//! The kernel knows one offset for all members (`bitmap_info.offset`), and reads and writes whole pages there. What it
//! has in memory of a member's bad-block log it writes back, so the log stays where it is.

use crate::bitmap::lockless;
use crate::superblock::v1::Minor;
use crate::units::SECTOR_BYTES;

/// Sectors of a page, of a superblock, and of the slack behind a lockless bitmap (docs/lockless.md).
const PAGE_SECTORS: i64 = 8;

/// What lies on a member, in sectors of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lies {
    /// The superblock.
    pub at: u64,
    /// First sector of the data.
    pub data: u64,
    /// Behind the last sector that can hold data.
    pub data_end: u64,
    /// The bad-block log: offset from the superblock, and sectors.
    pub log: Option<(i64, u64)>,
}

/// A free stretch, in sectors from the superblock: from the first to before the second.
pub type Gap = (i64, i64);

/// A place for a lockless bitmap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocklessPlace {
    /// Sectors from the superblock.
    pub offset: i64,
    /// `sectors_reserved`
    pub room: u32,
    /// What the kernel will choose with it.
    pub choice: lockless::ChunkChoice,
}

/// The stretches between the metadata areas that are free on all members, clear of `avoid` too.
#[must_use]
pub fn gaps(minor: Minor, members: &[Lies], avoid: &[Gap]) -> Vec<Gap> {
    let mut free = vec![(i64::MIN, i64::MAX)];
    for m in members {
        let from_super = |sector: u64| i64::try_from(i128::from(sector) - i128::from(m.at)).unwrap_or(0);
        let between = match minor {
            Minor::V0 => (from_super(m.data_end), 0),
            Minor::V1 | Minor::V2 => (PAGE_SECTORS, from_super(m.data)),
        };
        free = free.into_iter().filter_map(|g| meet(g, between)).collect();
        if let Some((at, len)) = m.log {
            cut(&mut free, (at, at.saturating_add_unsigned(len)));
        }
    }
    avoid.iter().for_each(|gap| cut(&mut free, *gap));
    free.iter().filter_map(|g| pages(*g)).collect()
}

fn meet(a: Gap, b: Gap) -> Option<Gap> {
    let both = (a.0.max(b.0), a.1.min(b.1));
    (both.0 < both.1).then_some(both)
}

fn cut(free: &mut Vec<Gap>, taken: Gap) {
    let rest = |g: &Gap| [meet(*g, (i64::MIN, taken.0)), meet(*g, (taken.1, i64::MAX))].into_iter().flatten();
    *free = free.iter().flat_map(rest).collect();
}

/// The whole pages of a stretch.
fn pages((from, to): Gap) -> Option<Gap> {
    let from = from.checked_add(PAGE_SECTORS - 1)?.div_euclid(PAGE_SECTORS) * PAGE_SECTORS;
    let to = to.div_euclid(PAGE_SECTORS) * PAGE_SECTORS;
    (from < to).then_some((from, to))
}

/// Where a lockless bitmap of up to `wanted` sectors of room can lie; less room means a coarser chunk. With `exactly` no
/// less than that will do. `sync` is what the chunks cover.
///
/// On v1.0 the kernel takes the offset for the room at the next assembly (`super_1_validate`).
#[must_use]
pub fn lockless_place(minor: Minor, free: &[Gap], sync: u64, wanted: u32, exactly: bool) -> Option<LocklessPlace> {
    let best = free.iter().filter_map(|gap| match minor {
        Minor::V0 => before(*gap, sync, wanted),
        Minor::V1 | Minor::V2 => behind(*gap, sync, wanted),
    });
    // The first of those with the most room; where it is enough, the first.
    let best = best.reduce(|a, b| if b.room.min(wanted) > a.room.min(wanted) { b } else { a })?;
    (!exactly || best.room >= wanted).then_some(best)
}

fn behind((from, to): Gap, sync: u64, wanted: u32) -> Option<LocklessPlace> {
    let room = u32::try_from(to - from - PAGE_SECTORS).ok()?.min(wanted);
    fits(from, room, sync, to)
}

fn before((from, to): Gap, sync: u64, wanted: u32) -> Option<LocklessPlace> {
    let longest = from.unsigned_abs();
    let shortest = to.unsigned_abs() + PAGE_SECTORS.unsigned_abs();
    let enough =
        (to.unsigned_abs() + u64::from(wanted) + PAGE_SECTORS.unsigned_abs()).clamp(shortest, longest.max(shortest));
    let step = PAGE_SECTORS.unsigned_abs();
    let try_at = |distance: u64| {
        let room = u32::try_from(distance).ok()?;
        fits(-i64::try_from(distance).ok()?, room, sync, to).filter(|_| distance <= longest)
    };
    // Past what is enough where that does not fit exactly, else what there is.
    let mut more = (0..64).map(|n| enough + n * step).filter_map(try_at);
    more.next().or_else(|| {
        (1..=(enough / step)).map(|n| enough.saturating_sub(n * step)).filter(|d| *d >= shortest).find_map(try_at)
    })
}

/// The kernel's choice with this room, where its pages and the slack end before `to`.
fn fits(offset: i64, room: u32, sync: u64, to: i64) -> Option<LocklessPlace> {
    let choice = lockless::kernel_chunk(sync, room);
    let takes = i64::try_from(lockless::bitmap_bytes(choice.chunks) / SECTOR_BYTES).ok()?;
    let ok = room >= lockless::MIN_ROOM_SECTORS && offset.checked_add(takes)?.checked_add(PAGE_SECTORS)? <= to;
    ok.then_some(LocklessPlace { offset, room, choice })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use proptest::prelude::*;

    /// A member as mdadm 4.6 makes it.
    const V12: Lies = Lies { at: 8, data: 2048, data_end: 40960, log: Some((16, 8)) };

    #[test]
    fn the_log_and_an_old_bitmap_are_left_alone() {
        assert_eq!(gaps(Minor::V2, &[V12], &[]), [(8, 16), (24, 2040)]);
        assert_eq!(gaps(Minor::V2, &[V12], &[(8, 16)]), [(24, 2040)]);
        let place = lockless_place(Minor::V2, &gaps(Minor::V2, &[V12], &[]), 38912, 256, false).unwrap();
        assert_eq!((place.offset, place.room, place.choice.chunk_sectors), (24, 256, 128));
    }

    #[test]
    fn members_with_other_layouts_narrow_the_room() {
        let other = Lies { at: 8, data: 1024, log: Some((200, 8)), ..V12 };
        assert_eq!(gaps(Minor::V2, &[V12, other], &[]), [(8, 16), (24, 200), (208, 1016)]);
        let small = Lies { at: 8, data: 48, log: None, ..V12 };
        let free = gaps(Minor::V2, &[V12, small], &[]);
        let place = lockless_place(Minor::V2, &free, 38912, 256, false).unwrap();
        assert_eq!((place.offset, place.room), (24, 8));
        assert_eq!(lockless_place(Minor::V2, &free, 38912, 256, true), None);
    }

    proptest! {
        #[test]
        fn what_is_placed_stays_inside_a_gap_with_a_page_of_slack(
            sync in 1u64..1 << 40, wanted in 8u32..4096, lo in -9000i64..-8, len in 8i64..9000, v10: bool,
        ) {
            let minor = if v10 { Minor::V0 } else { Minor::V2 };
            let lo = lo / 8 * 8;
            let gap = if v10 { (lo, (lo + len).min(0) / 8 * 8) } else { (8, 8 + len / 8 * 8) };
            if gap.0 < gap.1 && let Some(p) = lockless_place(minor, &[gap], sync, wanted, false) {
                // On v1.0 the kernel takes the offset for the room.
                let room = if v10 { lockless::room_v1_0(i32::try_from(p.offset).unwrap()).unwrap() } else { p.room };
                prop_assert_eq!(room, p.room);
                let bytes = lockless::bitmap_bytes(lockless::kernel_chunk(sync, room).chunks);
                prop_assert!(p.offset >= gap.0 && p.offset + (bytes / 512) as i64 + 8 <= gap.1, "{:?} {:?}", gap, p);
            }
        }
    }
}
