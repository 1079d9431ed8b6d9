//! Which way an array goes from one shape to another: a change of level before, the reshape, a change of level behind it.
//!
//! What a change of level makes of an array is decided by the kernel's `takeover` functions (raid0.c, raid1.c, raid5.c).

use super::super::shape::Shape;
use crate::cli::request::GrowRequest;
use crate::error::Refusal;
use crate::layout;
use crate::level::Level;
use crate::units::Sectors;

/// Parity on the last members, in raid5 and raid6.
pub const PARITY_LAST: u32 = 5;
/// What is added to a layout of raid5 for the raid6 that has Q on one more member.
pub const Q_LAST: u32 = 16;
/// The default layout of raid5 and raid6.
const LEFT_SYMMETRIC: u32 = 2;
/// The largest chunk, in sectors, that a raid1 gets when it becomes a raid5, and the least.
const TAKEN_CHUNK: u64 = 128;
/// Sectors of a page: the least chunk of raid4/5/6 and 10.
pub const PAGE_SECTORS: u64 = 8;

/// How data lies on the members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Level.
    pub level: Level,
    /// Layout number.
    pub layout: u32,
    /// Of the array.
    pub chunk: Sectors,
    /// Number of slots.
    pub slots: u32,
}

impl Geometry {
    /// Of a running array.
    #[must_use]
    pub fn of(shape: &Shape) -> Geometry {
        Geometry { level: shape.level, layout: shape.layout, chunk: shape.chunk, slots: shape.slots }
    }

    /// Members' worth of data in a stripe of a parity level, all members elsewhere.
    #[must_use]
    pub fn data(&self) -> u32 {
        self.slots.saturating_sub(match self.level {
            Level::Raid4 | Level::Raid5 => 1,
            Level::Raid6 => 2,
            _ => 0,
        })
    }

    /// Near and far copies of a raid10, and whether the far ones are by offset.
    #[must_use]
    pub fn copies(&self) -> (u64, u64, bool) {
        let (near, far) = (u64::from(self.layout & 0xff), u64::from(self.layout >> 8 & 0xff));
        (near.max(1), far.max(1), self.layout >> 16 & 1 == 1)
    }

    /// Sectors of the array with this many used of each member.
    #[must_use]
    pub fn array_sectors(&self, member: u64) -> u64 {
        let chunk = self.chunk.0.max(1);
        let (slots, chunks) = (u64::from(self.slots), member / chunk);
        match self.level {
            Level::Raid4 | Level::Raid5 | Level::Raid6 | Level::Raid0 => {
                (chunks * chunk).saturating_mul(self.data().into())
            }
            Level::Raid10 => {
                let (near, far, _) = self.copies();
                (chunks / far).saturating_mul(slots) / near * chunk
            }
            _ => member,
        }
    }

    /// What the kernel makes of it at a change of level; `None` where it does not. `array` are its sectors.
    #[must_use]
    pub fn taken(self, to: Level, array: u64) -> Option<Geometry> {
        let (layout, slots, chunk) = match (self.level, to) {
            (Level::Raid0, Level::Raid4 | Level::Raid5) => (PARITY_LAST, self.slots + 1, self.chunk),
            (Level::Raid1, Level::Raid5) if self.slots == 2 => {
                let fits = |chunk: &u64| array.is_multiple_of(*chunk);
                let halves =
                    std::iter::successors(Some(TAKEN_CHUNK), |c| Some(c / 2)).take_while(|c| *c >= PAGE_SECTORS);
                (LEFT_SYMMETRIC, 2, Sectors(halves.into_iter().find(fits)?))
            }
            (Level::Raid4, Level::Raid5) => (PARITY_LAST, self.slots, self.chunk),
            (Level::Raid5, Level::Raid4) if self.layout == PARITY_LAST => (0, self.slots, self.chunk),
            (Level::Raid5, Level::Raid6) if self.layout <= PARITY_LAST => {
                (with_q_last(self.layout), self.slots + 1, self.chunk)
            }
            (Level::Raid6, Level::Raid5) => (without_q_last(self.layout)?, self.slots.checked_sub(1)?, self.chunk),
            (Level::Raid4, Level::Raid0) => (0, self.slots.checked_sub(1)?, self.chunk),
            (Level::Raid5, Level::Raid0) if self.layout == PARITY_LAST => (0, self.slots.checked_sub(1)?, self.chunk),
            (Level::Raid5, Level::Raid1) if self.slots == 2 => (0, 2, Sectors(0)),
            _ => return None,
        };
        Some(Geometry { level: to, layout, chunk, slots })
    }
}

/// The raid6 that a raid5 of this layout becomes.
fn with_q_last(layout: u32) -> u32 {
    if layout == PARITY_LAST { layout } else { layout + Q_LAST }
}

/// The raid5 that a raid6 of this layout becomes, if Q is on its last member.
fn without_q_last(layout: u32) -> Option<u32> {
    match layout {
        PARITY_LAST => Some(layout),
        _ => layout.checked_sub(Q_LAST).filter(|l| *l < PARITY_LAST),
    }
}

/// The way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Changes of level before data moves.
    pub first: Vec<Level>,
    /// The shape then.
    pub from: Geometry,
    /// The shape that data moves to.
    pub to: Geometry,
    /// Changes of level when all data is there.
    pub last: Vec<Level>,
    /// The shape in the end.
    pub end: Geometry,
}

impl Route {
    /// Slots that are empty on purpose: a raid0 that goes by way of raid4 has no parity.
    #[must_use]
    pub fn lacks(&self, shape: &Shape) -> u32 {
        u32::from(shape.level == Level::Raid0 && self.end.level == Level::Raid0)
    }
}

/// The changes of level before and behind the reshape.
fn levels(shape: &Shape, to: Level) -> Option<(Vec<Level>, Vec<Level>)> {
    use Level::{Raid0, Raid1, Raid4, Raid5, Raid6, Raid10};
    let (first, last): (&[Level], &[Level]) = match (shape.level, to) {
        (Raid0, Raid0) => (&[Raid4], &[Raid0]),
        (Raid4 | Raid5 | Raid6 | Raid10, same) if same == shape.level => (&[], &[]),
        (Raid0, Raid4) | (Raid5, Raid4) if shape.level == Raid0 || shape.layout == PARITY_LAST => (&[Raid4], &[]),
        (Raid0 | Raid1 | Raid4, Raid5) => (&[Raid5], &[]),
        (Raid4, Raid6) => (&[Raid5, Raid6], &[]),
        (Raid5, Raid6) => (&[Raid6], &[]),
        (Raid5, Raid4) => (&[], &[Raid4]),
        (Raid4 | Raid5, Raid0) => (&[], &[Raid0]),
        (Raid4, Raid1) => (&[Raid5], &[Raid1]),
        (Raid5, Raid1) => (&[], &[Raid1]),
        (Raid6, Raid5) => (&[], &[Raid5]),
        (Raid6, Raid4) => (&[], &[Raid5, Raid4]),
        (Raid6, Raid0) => (&[], &[Raid5, Raid0]),
        _ => return None,
    };
    Some((first.to_vec(), last.to_vec()))
}

/// Finds the way.
///
/// # Errors
/// The kernel goes no such way, or a word means nothing there.
pub fn route(shape: &Shape, req: &GrowRequest) -> Result<Route, Refusal> {
    let wanted = req.level.unwrap_or(shape.level);
    let no_way = || Refusal::new("Impossible level change requested");
    let (first, last) = levels(shape, wanted).ok_or_else(no_way)?;
    let array = shape.offered.saturating_mul(2);
    let mut from = Geometry::of(shape);
    for level in &first {
        from = from.taken(*level, array).ok_or_else(no_way)?;
    }
    let lost = match last.as_slice() {
        [.., Level::Raid0] if from.level == Level::Raid6 => 2,
        [.., Level::Raid0] | [Level::Raid5, ..] => 1,
        _ => 0,
    };
    let mut to = from;
    to.slots = req.raid_devices.map_or(from.slots, |n| n.saturating_add(lost));
    to.chunk = req.chunk.unwrap_or(from.chunk);
    to.layout = layout_of(shape, req, &from, wanted, &last)?;
    let mut end = to;
    for level in &last {
        end = end.taken(*level, array).ok_or_else(|| {
            if *level == Level::Raid1 { Refusal::new("Can only convert a 2-device array to RAID1") } else { no_way() }
        })?;
    }
    Ok(Route { first, from, to, last, end })
}

/// The layout that data moves to.
fn layout_of(shape: &Shape, req: &GrowRequest, from: &Geometry, wanted: Level, last: &[Level]) -> Result<u32, Refusal> {
    let word = req.layout.as_deref();
    let meaningless = || Refusal::new("layout not meaningful with this level");
    let parse = |level: Level, word: &str| {
        let unknown = || Refusal::new(format!("layout {word} not understood for {}", level.name()));
        layout::parse(level, word).ok_or_else(unknown)
    };
    match wanted {
        Level::Raid0 | Level::Raid4 | Level::Raid1 if word.is_some() => Err(meaningless()),
        Level::Raid4 | Level::Raid0 if from.level == Level::Raid4 => Ok(from.layout),
        Level::Raid4 | Level::Raid0 => Ok(PARITY_LAST),
        Level::Raid5 if !last.is_empty() => Ok(with_q_last(match word {
            Some("preserve") | None => {
                let bare = if from.layout >= Q_LAST { from.layout - Q_LAST } else { from.layout };
                if bare <= PARITY_LAST { bare } else { LEFT_SYMMETRIC }
            }
            Some(word) => parse(Level::Raid5, word)?,
        })),
        Level::Raid6
            if matches!(word, Some("normalise" | "normalize")) || (word.is_none() && shape.level != Level::Raid6) =>
        {
            Ok(if from.layout >= Q_LAST { from.layout - Q_LAST } else { from.layout })
        }
        Level::Raid5 if word.is_none() && shape.level == Level::Raid0 => Ok(LEFT_SYMMETRIC),
        _ => match word {
            None | Some("preserve") => Ok(from.layout),
            Some(word) => parse(wanted, word),
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::tests::shape;
    use super::*;

    fn way(level: Level, layout: u32, slots: u32, change: impl FnOnce(&mut GrowRequest)) -> Result<Route, Refusal> {
        let mut req = GrowRequest::default();
        change(&mut req);
        route(&shape(level, 128, slots, layout), &req)
    }

    fn is(geometry: Geometry) -> (Level, u32, u64, u32) {
        (geometry.level, geometry.layout, geometry.chunk.0, geometry.slots)
    }

    #[test]
    fn a_raid5_becomes_a_raid6_whose_q_is_spread_unless_it_is_to_be_preserved() {
        let found = way(Level::Raid5, 2, 3, |r| r.level = Some(Level::Raid6)).unwrap();
        assert_eq!((is(found.from), is(found.to)), ((Level::Raid6, 18, 128, 4), (Level::Raid6, 2, 128, 4)));
        let kept = way(Level::Raid5, 2, 3, |r| {
            r.level = Some(Level::Raid6);
            r.layout = Some("preserve".into());
            r.raid_devices = Some(5);
        });
        assert_eq!(is(kept.unwrap().to), (Level::Raid6, 18, 128, 5));
        assert_eq!(way(Level::Raid6, 18, 4, |r| r.layout = Some("normalise".into())).unwrap().to.layout, 2);
    }

    #[test]
    fn a_raid6_gathers_its_q_on_the_last_member_before_it_becomes_a_raid5() {
        let found = way(Level::Raid6, 2, 5, |r| r.level = Some(Level::Raid5)).unwrap();
        assert_eq!((is(found.to), is(found.end)), ((Level::Raid6, 18, 128, 5), (Level::Raid5, 2, 128, 4)));
        let to_0 = way(Level::Raid6, 2, 5, |r| r.level = Some(Level::Raid0)).unwrap();
        assert_eq!((is(to_0.to), is(to_0.end)), ((Level::Raid6, 5, 128, 5), (Level::Raid0, 0, 128, 3)));
    }

    #[test]
    fn a_raid0_goes_by_way_of_raid4_and_lacks_its_parity_all_the_time() {
        let wanted = |r: &mut GrowRequest| r.raid_devices = Some(3);
        let found = way(Level::Raid0, 0, 2, wanted).unwrap();
        assert_eq!((is(found.from), is(found.to)), ((Level::Raid4, 5, 128, 3), (Level::Raid4, 5, 128, 4)));
        assert_eq!(is(found.end), (Level::Raid0, 0, 128, 3));
        assert_eq!(found.lacks(&shape(Level::Raid0, 128, 2, 0)), 1);
    }

    #[test]
    fn levels_that_the_kernel_does_not_take_over_are_refused() {
        for (from, to) in [(Level::Raid10, Level::Raid5), (Level::Raid1, Level::Raid6), (Level::Raid5, Level::Raid10)] {
            assert!(way(from, 2, 4, |r| r.level = Some(to)).is_err(), "{from:?} {to:?}");
        }
        assert!(way(Level::Raid5, 2, 3, |r| r.level = Some(Level::Raid1)).is_err());
    }
}
