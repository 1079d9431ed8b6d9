//! Where the data of each member goes: a reshape that moves it as well overwrites nothing that it still needs, and needs no
//! backup (kernel: `new_offset_store` and `super_1_allow_new_offset` in md.c, `raid10_start_reshape`).

use super::super::shape::{Part, Shape};
use super::route::Geometry;
use crate::level::Level;
use crate::superblock::Version;
use crate::superblock::reshape::{Arranged, Reshape};

/// With a place of their own to move to, data move at most so far: 512 MiB.
const MOST: u64 = 1 << 20;
/// By so much data move if they can: 4 MiB.
const ENOUGH: u64 = 8192;
/// What a new offset is rounded to where there is room: 1 MiB.
const ROUND: u64 = 2048;

/// Where the data goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// From the end to the start; the offsets rise then.
    pub backwards: bool,
    /// Sectors.
    pub by: u64,
    /// Name in sysfs, and the new offset in sectors.
    pub offsets: Vec<(String, u64)>,
}

/// Why data cannot move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoRoom {
    /// The member that has the least.
    pub shown: String,
    /// Sectors that it has ...
    pub has: u64,
    /// ... and needs.
    pub needs: u64,
}

/// The step of the reshape, and so the least move, in sectors.
#[must_use]
pub fn unit(from: &Geometry, to: &Geometry) -> u64 {
    let one = |g: &Geometry| if g.level == Level::Raid10 { g.chunk.0.saturating_mul(g.copies().1) } else { g.chunk.0 };
    one(from).max(one(to))
}

/// The reshape as its first superblock will tell of it; raid4/5/6. Without a move data is overwritten in place.
#[must_use]
pub fn first(from: &Geometry, to: &Geometry, member: u64, moved: Option<&Move>) -> Reshape {
    let backwards = moved.map_or(to.slots < from.slots, |m| m.backwards);
    let arranged = |g: &Geometry| Arranged {
        slots: g.slots,
        layout: g.layout,
        chunk: u32::try_from(g.chunk.0).unwrap_or(u32::MAX),
    };
    let by = moved.map_or(0, |m| i64::try_from(m.by).unwrap_or(i64::MAX));
    let mut reshape = Reshape {
        level: to.level,
        old: arranged(from),
        new: arranged(to),
        backwards,
        position: 0,
        size: member,
        moves: if backwards { by } else { -by },
    };
    if backwards {
        reshape.position = reshape.array_sectors(&reshape.old).min(reshape.array_sectors(&reshape.new));
    }
    reshape
}

/// Sectors of each member until nothing that is written can be needed any more; all of it where the amount of data per
/// stripe stays.
#[must_use]
pub fn critical(from: &Geometry, to: &Geometry, member: u64) -> u64 {
    let unit = unit(from, to).max(1);
    let (few, many) = (u64::from(from.data().min(to.data())), u64::from(from.data().max(to.data())));
    match many.checked_sub(few) {
        None | Some(0) => member,
        Some(more) => (unit * 2 * few / more + 2 * unit).min(member),
    }
}

fn room(shape: &Shape, part: &Part, member: u64, backwards: bool) -> u64 {
    match shape.version {
        Some(Version::V1(_)) if backwards => part.size.saturating_mul(2).saturating_sub(member),
        Some(Version::V1(_)) => part.offset.saturating_sub(part.least_offset),
        _ => 0,
    }
}

/// Members that data is moved on, spares too: they may get a slot.
fn movers(shape: &Shape) -> impl Iterator<Item = &Part> {
    shape.parts.iter().filter(|p| !p.faulty && !p.journal)
}

/// Chooses the offsets; `member` are the sectors used of each member.
///
/// # Errors
/// There is no room in the direction that the reshape has to take, or in none where it may choose.
pub fn choose(shape: &Shape, from: &Geometry, to: &Geometry, member: u64) -> Result<Move, NoRoom> {
    let unit = unit(from, to).max(1);
    let least = |backwards: bool| {
        let rooms = movers(shape).map(|p| (room(shape, p, member, backwards), p));
        rooms.min_by_key(|(room, _)| *room).map_or((0, String::new()), |(room, p)| (room, p.shown.clone()))
    };
    let (ahead, behind) = (least(false), least(true));
    let (backwards, (has, shown)) = match to.slots.cmp(&from.slots) {
        std::cmp::Ordering::Greater => (false, ahead),
        std::cmp::Ordering::Less => (true, behind),
        std::cmp::Ordering::Equal if behind.0 > ahead.0 => (true, behind),
        std::cmp::Ordering::Equal => (false, ahead),
    };
    if has < unit {
        return Err(NoRoom { shown, has, needs: unit });
    }
    let by = match to.slots == from.slots {
        false => critical(from, to, member / unit * unit).min(has) / unit * unit,
        // As the reference: half of it, so that data can be moved again. Of little room all: so far the kernel goes at a time.
        true => rounded((has / 2).max(has.min(ENOUGH)).min(MOST), unit),
    };
    Ok(Move { backwards, by, offsets: offsets(shape, by, backwards) })
}

/// Whole MiB or at least whole units, and one unit at least.
fn rounded(by: u64, unit: u64) -> u64 {
    let whole = by / ROUND * ROUND;
    if whole >= unit { whole } else { (by / unit * unit).max(unit) }
}

fn offsets(shape: &Shape, by: u64, backwards: bool) -> Vec<(String, u64)> {
    let new = |offset: u64| if backwards { offset.saturating_add(by) } else { offset.saturating_sub(by) };
    movers(shape).map(|p| (p.name.clone(), new(p.offset))).collect()
}

/// The move to an offset that was asked for.
///
/// # Errors
/// A line that says why it cannot be there.
pub fn given(shape: &Shape, from: &Geometry, to: &Geometry, member: u64, wanted: u64) -> Result<Move, String> {
    let unit = unit(from, to).max(1);
    let backwards = movers(shape).any(|p| wanted > p.offset);
    let wrong_way = if backwards { to.slots > from.slots } else { to.slots < from.slots };
    let mut by = u64::MAX;
    for part in movers(shape) {
        let (shown, now) = (&part.shown, part.offset);
        if (wanted > now) != backwards || wanted == now {
            return Err(format!("the data of {shown} is at {now} sectors: all members must move, and the same way"));
        }
        if wrong_way {
            let way = if backwards { "down" } else { "up" };
            return Err(format!(
                "with this number of devices data can only move {way}; on {shown} it is at {now} sectors"
            ));
        }
        let (moves, has) = (now.abs_diff(wanted), room(shape, part, member, backwards));
        if moves > has {
            return Err(format!("there is room on {shown} to move data by {has} sectors, and {moves} are wanted"));
        }
        if moves >= unit && !moves.is_multiple_of(unit) {
            return Err(format!(
                "data must move by whole chunks of {unit} sectors, and that of {shown} would by {moves}"
            ));
        }
        by = by.min(moves);
    }
    if by < unit {
        return Err(format!("data must move by a chunk at least: {unit} sectors"));
    }
    let offsets = movers(shape).map(|p| (p.name.clone(), wanted)).collect();
    Ok(Move { backwards, by, offsets })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::super::tests::shape;
    use super::*;
    use crate::superblock::v1::Minor;

    fn raid5(slots: u32, chunk: u64) -> (Shape, Geometry) {
        let mut shape = shape(Level::Raid5, chunk, slots, 2);
        shape.version = Some(Version::V1(Minor::V2));
        let geometry = Geometry::of(&shape);
        (shape, geometry)
    }

    #[test]
    fn more_devices_move_data_down_so_far_that_the_first_stripes_are_safe_if_there_is_room() {
        let (mut it, from) = raid5(3, 128);
        let to = Geometry { slots: 4, ..from };
        let found = choose(&it, &from, &to, 20_480).unwrap();
        // 2 * 2 / (3 - 2) units and two more.
        assert_eq!((found.backwards, found.by, found.offsets[0].1), (false, 128 * 6, 2048 - 128 * 6));
        it.parts[1].least_offset = 2048 - 200;
        assert_eq!(choose(&it, &from, &to, 20_480).unwrap().by, 128);
        it.parts[1].least_offset = 2048 - 100;
        let none = choose(&it, &from, &to, 20_480).unwrap_err();
        assert_eq!((none.has, none.needs, none.shown.as_str()), (100, 128, "/dev/sd1"));
    }

    #[test]
    fn another_chunk_moves_to_where_there_is_more_room_and_fewer_devices_always_up() {
        let (it, from) = raid5(4, 128);
        let found = choose(&it, &from, &Geometry { layout: 3, ..from }, 20_480).unwrap();
        assert_eq!((found.backwards, found.by), (true, (40_000 - 20_480) / 2 / 2048 * 2048));
        let fewer = choose(&it, &from, &Geometry { slots: 3, ..from }, 20_480).unwrap();
        assert!(fewer.backwards && fewer.by == 128 * 6);
        assert!(choose(&it, &from, &Geometry { slots: 3, ..from }, 40_000).is_err());
        // No room to tell the kernel of.
        let mut old = it;
        old.version = Some(Version::V090);
        assert!(choose(&old, &from, &Geometry { layout: 3, ..from }, 20_480).is_err());
    }

    #[test]
    fn an_offset_that_was_asked_for_is_taken_or_refused_with_the_reason() {
        let (it, from) = raid5(3, 128);
        let more = Geometry { slots: 4, ..from };
        assert_eq!(given(&it, &from, &more, 20_480, 1024).unwrap().by, 1024);
        assert!(given(&it, &from, &more, 20_480, 4096).unwrap_err().contains("only move down"));
        assert!(given(&it, &from, &more, 20_480, 1984).unwrap_err().contains("128 sectors"));
        assert!(given(&it, &from, &more, 20_480, 0).unwrap_err().contains("room on /dev/sd0"));
        assert!(given(&it, &from, &more, 20_480, 2048).is_err());
    }
}
