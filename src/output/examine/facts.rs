//! What follows from a superblock's fields, as the reference computes it.

use super::{Member, MemberBitmap};
use crate::level::Level;
use crate::superblock::v1::{MAX_ROLES, Role, SuperV1, feature};

/// Unused room of a member in sectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Between the metadata and the data; for 1.0, in front of the data.
    pub before: u64,
    /// Behind the data that is used; below 0 where the device is too small for what its metadata says.
    pub after: i64,
}

/// Sectors behind a 1.1 or 1.2 superblock that count as used: 32 KiB of roles and 4 KiB, as the kernel reserves.
const RESERVED_BEHIND: u64 = (32 + 4) * 2;

/// The last number in the role table that means a slot (uapi `md_p.h`, `MD_DISK_ROLE_MAX`).
const SLOT_MAX: u16 = 0xff00;

/// Bytes of the array, where the level and the fields tell; `None` for raid0, linear and levels unknown.
#[must_use]
pub fn array_bytes(sb: &SuperV1) -> Option<u64> {
    let disks = i64::from(sb.raid_disks() as i32);
    let (data, denominator) = match Level::from_raw(sb.level_raw())? {
        Level::Raid1 => (1, 1),
        Level::Raid4 | Level::Raid5 => (disks - 1, 1),
        Level::Raid6 => (disks - 2, 1),
        Level::Raid10 => (disks, i64::from((sb.layout() & 0xff) * ((sb.layout() >> 8) & 0xff))),
        _ => return None,
    };
    if data == 0 {
        return None;
    }
    // Hostile numbers wrap, as in the reference; sane ones do not.
    (sb.size() as i64).wrapping_mul(512).wrapping_mul(data).checked_div(denominator).map(|n| n as u64)
}

impl Member {
    /// Unused room.
    #[must_use]
    pub fn space(&self) -> Space {
        let sb = &self.sb;
        let is_in_front = sb.data_offset() < sb.super_offset();
        let room = self.device_sectors.0.wrapping_sub(sb.data_offset());
        let after = match sb.role() {
            // The whole of a journal is used.
            Role::Journal => room % 8,
            _ if is_in_front => return in_front(self),
            _ => room.wrapping_sub(used_sectors(sb)),
        };
        Space { before: if is_in_front { sb.data_offset() } else { behind(self) }, after: after as i64 }
    }

    /// How many slots the state line shows: those of before and after a reshape.
    #[must_use]
    pub fn shown_slots(&self) -> u32 {
        let more = if self.sb.has(feature::RESHAPE_ACTIVE) { self.sb.delta_disks().min(0).unsigned_abs() } else { 0 };
        self.sb.raid_disks().saturating_add(more).min(MAX_ROLES)
    }

    /// One character per slot: `A` active, `.` missing, `R` being replaced, `?` claimed by too many devices: more than
    /// two, or two where raid0 cannot replace any.
    #[must_use]
    pub fn state_line(&self) -> String {
        let mut seen = vec![0u32; usize::try_from(self.shown_slots()).unwrap_or(0)];
        for role in self.sb.roles() {
            if let Role::Slot(n) = role
                && let Some(count) = seen.get_mut(usize::from(n))
            {
                *count += 1;
            }
        }
        let is_raid0 = self.sb.level_raw() == 0;
        let letter = |n| match n {
            0 => '.',
            1 => 'A',
            2 if !is_raid0 => 'R',
            _ => '?',
        };
        seen.into_iter().map(letter).collect()
    }

    /// Whether the role table cannot be true: a slot past the last one, or claimed more than twice. As in the
    /// reference, the number just past the last slot goes unnoticed.
    #[must_use]
    pub fn is_inconsistent(&self) -> bool {
        let slots = self.shown_slots();
        let past = |r: &Role| matches!(r, Role::Slot(n) if u32::from(*n) > slots && *n <= SLOT_MAX);
        self.state_line().contains('?') || self.sb.roles().iter().any(past)
    }
}

/// Sectors of a member that hold data: all of them without redundancy.
fn used_sectors(sb: &SuperV1) -> u64 {
    if sb.level_raw() <= 0 { sb.data_size() } else { sb.size() }
}

fn in_front(m: &Member) -> Space {
    let sb = &m.sb;
    let at = |offset: i32| sb.super_offset().wrapping_add_signed(i64::from(offset));
    let mut end = sb.super_offset();
    if sb.bblog_offset() != 0 && sb.bblog_size() != 0 {
        end = end.min(at(sb.bblog_offset()));
    }
    if sb.has(feature::BITMAP_OFFSET) && sb.bitmap_offset() < 0 {
        end = end.min(at(sb.bitmap_offset()));
    }
    let used = sb.data_offset().wrapping_add(used_sectors(sb));
    Space { before: sb.data_offset(), after: end.saturating_sub(used) as i64 }
}

fn behind(m: &Member) -> u64 {
    let sb = &m.sb;
    let mut end = sb.super_offset().wrapping_add(RESERVED_BEHIND);
    let past = |offset: i64, len: u64| sb.super_offset().wrapping_add_signed(offset).wrapping_add(len);
    if sb.bblog_offset() != 0 && sb.bblog_size() != 0 {
        end = end.max(past(i64::from(sb.bblog_offset()), u64::from(sb.bblog_size())));
    }
    // The reference forgets the superblock's own offset here, and the sign of the PPL's.
    if sb.has(feature::BITMAP_OFFSET) && sb.bitmap_offset() > 0 {
        end = end.max(u64::from(sb.bitmap_offset().unsigned_abs()).saturating_add(bitmap_sectors(m)));
    } else if sb.has_ppl() && sb.ppl_offset() != 0 {
        end = end.max(u64::from(sb.ppl_offset() as u16) + u64::from(sb.ppl_size()));
    }
    sb.data_offset().saturating_sub(end)
}

/// Sectors of the bitmap as the reference counts them: one bit per chunk of `chunksize` bytes, whatever the version.
fn bitmap_sectors(m: &Member) -> u64 {
    let Some(MemberBitmap::Known { summary, .. }) = &m.bitmap else { return 0 };
    let chunk = u64::from(summary.sb.chunksize());
    let bytes = summary.sb.sync_size().wrapping_mul(512);
    let bits = bytes.checked_add(chunk.saturating_sub(1)).and_then(|b| b.checked_div(chunk)).unwrap_or(0);
    (bits.div_ceil(8) + 256).next_multiple_of(4096) / 512
}
