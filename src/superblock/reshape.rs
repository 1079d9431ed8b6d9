//! A reshape that is under way, as the superblocks tell of it, checked before anything is computed with it.
//!
//! The rules are those of the kernel: `super_1_validate` in md.c, `raid5_run` and `reshape_request` in raid5.c. It divides by what it
//! finds there, so numbers that cannot be must not reach it.

use super::v1::{Role, SuperV1, feature};
use crate::layout;
use crate::level::{Level, MOST_RAID6};

/// Slots that any superblock can name.
pub const MOST_SLOTS: u32 = 1920;
/// Positions from which a reshape may go back are nearer to each other than so many steps.
const MOST_STEPS: u64 = 1 << 13;

/// How the array's data lies on the members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arranged {
    /// Number of slots.
    pub slots: u32,
    /// Layout number.
    pub layout: u32,
    /// Sectors of the array's chunk.
    pub chunk: u32,
}

/// A reshape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reshape {
    /// Level, before and after.
    pub level: Level,
    /// How it was.
    pub old: Arranged,
    /// How it will be.
    pub new: Arranged,
    /// It goes from the end of the array to its start.
    pub backwards: bool,
    /// Sector of the array up to which (backwards: from which) data has moved.
    pub position: u64,
    /// Used sectors of each member.
    pub size: u64,
    /// Sectors by which the data moves on the members, the least of them.
    pub moves: i64,
}

/// What a start takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The kernel goes on by itself.
    ByItself,
    /// In place: data is overwritten by its own new form all the way, so somebody has to save it and to tell how far it may go.
    Watched,
    /// What lies in the way was being overwritten: it has to be put back first.
    TooEarly,
}

impl Reshape {
    /// What the superblock says; `None` where no reshape is under way.
    ///
    /// # Errors
    /// What cannot be.
    pub fn of(sb: &SuperV1) -> Result<Option<Reshape>, String> {
        if !sb.has(feature::RESHAPE_ACTIVE) {
            return Ok(None);
        }
        let level = Level::from_raw(sb.level_raw());
        let Some(level) = level.filter(|l| matches!(l, Level::Raid4 | Level::Raid5 | Level::Raid6 | Level::Raid10))
        else {
            return Err(format!("it is in a reshape, which level {} has none of", sb.level_raw()));
        };
        if sb.new_level_raw() != sb.level_raw() {
            return Err(format!("its reshape is to level {}, which the kernel cannot go on with", sb.new_level_raw()));
        }
        let delta = sb.delta_disks();
        let before = i64::from(sb.raid_disks()) - i64::from(delta);
        let Some(before) = u32::try_from(before).ok().filter(|n| *n <= MOST_SLOTS) else {
            return Err(format!("its reshape is from {before} members to {}", sb.raid_disks()));
        };
        let reshape = Reshape {
            level,
            old: Arranged { slots: before, layout: sb.layout(), chunk: sb.chunksize() },
            new: Arranged { slots: sb.raid_disks(), layout: sb.new_layout(), chunk: sb.new_chunk() },
            backwards: delta < 0 || (delta == 0 && sb.has(feature::RESHAPE_BACKWARDS)),
            position: sb.reshape_position(),
            size: sb.size(),
            moves: moves(sb),
        };
        reshape.check().map(|()| Some(reshape))
    }

    fn check(&self) -> Result<(), String> {
        for a in [&self.old, &self.new] {
            let parity = self.parity();
            let most = if self.level == Level::Raid6 { MOST_RAID6 } else { MOST_SLOTS };
            if a.slots <= parity || a.slots > most || (self.level == Level::Raid10 && a.slots < 2) {
                return Err(format!("its reshape is from {} members to {}", self.old.slots, self.new.slots));
            }
            if a.chunk < 8 || !a.chunk.is_power_of_two() || u64::from(a.chunk) > self.size {
                return Err(format!("its reshape has a chunk of {} sectors", a.chunk));
            }
            let known = self.level == Level::Raid4 || layout::name(self.level, a.layout).is_some();
            if !known || (self.level == Level::Raid10 && a.layout >> 19 != 0) {
                return Err(format!("its reshape has layout {:#x}", a.layout));
            }
        }
        if self.level != Level::Raid10 {
            let most = self.array_sectors(&self.old).max(self.array_sectors(&self.new));
            if self.position > most {
                return Err(format!("its reshape is at sector {} of {most}", self.position));
            }
            if !self.position.is_multiple_of(self.step()) {
                return Err(format!("its reshape is at sector {}, in the middle of a stripe", self.position));
            }
        }
        Ok(())
    }

    /// Members of a stripe that hold no data of their own.
    #[must_use]
    pub fn parity(&self) -> u32 {
        match self.level {
            Level::Raid6 => 2,
            Level::Raid10 => 0,
            _ => 1,
        }
    }

    /// Members' worth of data in a stripe.
    #[must_use]
    pub fn data(&self, a: &Arranged) -> u64 {
        u64::from(a.slots.saturating_sub(self.parity()).max(1))
    }

    /// Sectors of the array that are in one arrangement (kernel: `raid5_size`).
    #[must_use]
    pub fn array_sectors(&self, a: &Arranged) -> u64 {
        let chunk = u64::from(self.old.chunk.max(self.new.chunk)).max(1);
        (self.size / chunk * chunk).saturating_mul(self.data(a))
    }

    /// Sectors of each member that move at a time (kernel: `reshape_sectors`).
    #[must_use]
    pub fn rows(&self) -> u64 {
        u64::from(self.old.chunk.max(self.new.chunk)).max(1)
    }

    /// The same in sectors of the array: positions are multiples of it.
    #[must_use]
    pub fn step(&self) -> u64 {
        self.rows().saturating_mul(self.data(&self.new))
    }

    /// What the kernel wants to be sure of before it goes on.
    #[must_use]
    pub fn start(&self) -> Start {
        if self.level == Level::Raid10 {
            return Start::ByItself;
        }
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX / 4);
        let new = signed(self.position / self.step() * self.rows());
        let old = signed(self.position / (self.rows() * self.data(&self.old)).max(1) * self.rows());
        if self.old.slots == self.new.slots {
            let moves = self.moves.unsigned_abs();
            let far = moves >= u64::from(self.old.chunk) && moves >= u64::from(self.new.chunk);
            return if far { Start::ByItself } else { Start::Watched };
        }
        let early =
            if self.backwards { new.saturating_add(self.moves) <= old } else { new >= old.saturating_sub(self.moves) };
        if early { Start::TooEarly } else { Start::ByItself }
    }

    /// Up to which position it may go without overwriting anything that is needed if it stops there and the superblocks still say
    /// [`Reshape::position`]; that position itself where not even one step may be taken, and data has to be saved before.
    ///
    /// The kernel should see to that itself (`reshape_request`), but `conf->min_offset_diff`, by which it knows that data moves on
    /// the members, is set at assembly only: a reshape of raid4/5/6 that was begun on the running array is not safe until then
    /// (Linux 7.2; seen: data lost by a plain --stop).
    #[must_use]
    pub fn reach(&self) -> u64 {
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX / 4);
        let written = signed(self.position / self.data(&self.new));
        // Whole stripes of before: their parity is needed too.
        let chunk = u64::from(self.old.chunk).max(1);
        let stripe = chunk.saturating_mul(self.data(&self.old));
        let room = if self.backwards {
            let needed = self.position.div_ceil(stripe).saturating_mul(chunk);
            written.saturating_add(self.moves).saturating_sub(signed(needed))
        } else {
            let free = self.position / stripe * chunk;
            signed(free).saturating_sub(written).saturating_sub(self.moves)
        };
        let steps = u64::try_from(room).unwrap_or(0) / self.rows();
        self.after(steps)
    }

    /// Steps that the first window has to take at least: the kernel starts no array whose reshape stopped before (`raid5_run`).
    #[must_use]
    pub fn least_first(&self) -> u64 {
        let forth = self.new.slots > self.old.slots && !self.backwards;
        let most = u64::from(self.all_slots()) + 1;
        let early = |n: &u64| Reshape { position: 0, ..*self }.after_start(*n) == Start::TooEarly;
        if forth { (0..most).take_while(early).count().try_into().unwrap_or(most) } else { 0 }
    }

    fn after_start(&self, steps: u64) -> Start {
        Reshape { position: self.after(steps), ..*self }.start()
    }

    /// What comes next overwrites what is needed until it is written down: that has to be saved before.
    #[must_use]
    pub fn overwrites(&self) -> bool {
        self.level != Level::Raid10 && !self.is_over() && self.reach() == self.position
    }

    /// It will do so at its end: fewer devices, and data that does not move far enough on the members.
    #[must_use]
    pub fn will_overwrite(&self) -> bool {
        let last = Reshape { position: self.step(), ..*self };
        self.new.slots < self.old.slots && self.position >= last.position && last.overwrites()
    }

    /// The position after so many steps more, at most the last one.
    #[must_use]
    pub fn after(&self, steps: u64) -> u64 {
        let far = steps.saturating_mul(self.step());
        match self.backwards {
            true => self.position.saturating_sub(far),
            false => self.position.saturating_add(far).min(self.end()),
        }
    }

    /// Whether it has come to this position.
    #[must_use]
    pub fn is_at(&self, position: u64) -> bool {
        if self.backwards { self.position <= position } else { self.position >= position }
    }

    /// Where it ends.
    #[must_use]
    pub fn end(&self) -> u64 {
        if self.backwards { 0 } else { self.array_sectors(&self.new) }
    }

    /// A position in the terms of `sync_max` and `sync_completed`: sectors of each member, from where the reshape begins.
    #[must_use]
    pub fn as_sync(&self, position: u64) -> u64 {
        let done = if self.backwards { self.array_sectors(&self.new).saturating_sub(position) } else { position };
        done / self.data(&self.new)
    }

    /// It has nothing left to move.
    #[must_use]
    pub fn is_over(&self) -> bool {
        if self.backwards { self.position == 0 } else { self.position >= self.end() }
    }

    /// The same as seen from its other end: what is new is old, and the other way round. What lies behind the smaller array's end
    /// is no data of it.
    #[must_use]
    pub fn turned(&self) -> Reshape {
        let turned = Reshape {
            old: self.new,
            new: self.old,
            backwards: !self.backwards,
            moves: self.moves.saturating_neg(),
            ..*self
        };
        let most = turned.array_sectors(&turned.old).min(turned.array_sectors(&turned.new));
        Reshape { position: if turned.backwards { self.position.min(most) } else { self.position }, ..turned }
    }

    /// Whether it may go back from here. Where it overwrites its own data all the way ([`Start::Watched`]) only if besides nothing has
    /// moved that is not written down, and no copy tells of anything.
    #[must_use]
    pub fn can_turn(&self) -> bool {
        let turned = self.turned();
        let alike = self.start() == turned.start() && self.start() != Start::TooEarly;
        let free = self.start() == Start::Watched || !(self.overwrites() || turned.overwrites());
        self.level != Level::Raid10 && !self.is_over() && turned.check().is_ok() && alike && free
    }

    /// The next position from which it may go back, this one too; `None` where it would be over before.
    #[must_use]
    pub fn next_turn(&self) -> Option<u64> {
        let at = |n: u64| Reshape { position: self.after(n), ..*self };
        (0..=MOST_STEPS).map(at).take_while(|r| !r.is_over()).find(Reshape::can_turn).map(|r| r.position)
    }

    /// Slots that are in use before or after.
    #[must_use]
    pub fn all_slots(&self) -> u32 {
        self.old.slots.max(self.new.slots)
    }
}

/// The superblock says from now on that the reshape is done. Devices in slots that the array has no more become spares.
pub fn settle(sb: &mut SuperV1) {
    let slots = sb.raid_disks();
    let moves = moves(sb);
    sb.set_layout(sb.new_layout());
    sb.set_chunksize(sb.new_chunk());
    sb.set_data_offset(sb.data_offset().saturating_add_signed(moves));
    sb.set_data_size(sb.data_size().saturating_add_signed(moves.saturating_neg()));
    sb.set_delta_disks(0);
    sb.set_reshape_position(0);
    sb.set_new_offset(0);
    sb.set_feature_map(
        sb.feature_map() & !(feature::RESHAPE_ACTIVE | feature::RESHAPE_BACKWARDS | feature::NEW_OFFSET),
    );
    for number in 0..sb.max_dev() {
        if matches!(sb.role_at(number), Role::Slot(slot) if u32::from(slot) >= slots) {
            sb.put_role(number, Role::Spare);
        }
    }
}

/// The reshape that the chosen superblock tells of, with the least move of all members (kernel: `min_offset_diff`); `None` where
/// there is none, or none that could be ([`Reshape::of`] has said so before).
#[must_use]
pub fn of<'a>(best: &SuperV1, members: impl Iterator<Item = &'a SuperV1>) -> Option<Reshape> {
    let mut reshape = Reshape::of(best).ok().flatten()?;
    let all = members.filter(|sb| sb.has(feature::RESHAPE_ACTIVE)).map(moves);
    let least = if reshape.backwards { all.min() } else { all.max() };
    reshape.moves = least.unwrap_or(reshape.moves);
    Some(reshape)
}

/// Sectors by which the data of one member moves.
#[must_use]
pub fn moves(sb: &SuperV1) -> i64 {
    if sb.has(feature::NEW_OFFSET) { sb.new_offset().into() } else { 0 }
}

/// Slots that are in use, before or after a reshape.
#[must_use]
pub fn all_slots(sb: &SuperV1) -> u32 {
    let more = if sb.has(feature::RESHAPE_ACTIVE) { sb.delta_disks().min(0).unsigned_abs() } else { 0 };
    sb.raid_disks().saturating_add(more).min(MOST_SLOTS)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn where_a_reshape_may_go_back_it_can_be_gone_on_with_both_ways(
            old in 3u32..9, new in 3u32..9, chunks in (3u32..8, 3u32..8), moves in 0u64..40, at in 0u64..5000,
        ) {
            let a = |slots, chunk| Arranged { slots, layout: 2, chunk: 1u32 << chunk };
            let (before, after) = (a(old, chunks.0), a(new, chunks.1));
            let mut one = Reshape {
                level: Level::Raid5, old: before, new: after, backwards: new < old, position: 0, size: 1 << 14, moves: 0,
            };
            let by = i64::try_from(moves * one.rows()).unwrap();
            one.moves = if one.backwards { by } else { -by };
            one.position = if one.backwards { one.array_sectors(&one.old).min(one.array_sectors(&one.new)) } else { 0 };
            one.position = one.after(at);
            prop_assert!(one.check().is_ok());
            if let Some(place) = one.next_turn() {
                let here = Reshape { position: place, ..one };
                let back = here.turned();
                prop_assert!(!one.is_at(place) || place == one.position);
                prop_assert!(here.can_turn() && back.check().is_ok());
                prop_assert_eq!(here.start(), back.start());
                // What lies behind the smaller array is nobody's.
                prop_assert!(back.position <= back.array_sectors(&back.old).max(back.array_sectors(&back.new)));
                if back.backwards {
                    prop_assert!(back.position <= back.array_sectors(&back.new));
                }
                prop_assert_eq!(Reshape { position: place, ..back.turned() }, here);
            }
        }
    }
}
