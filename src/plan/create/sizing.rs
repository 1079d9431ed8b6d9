//! How much of each device a new array uses, and where everything lies on it.

use super::design::Design;
use super::{MemberFacts, NewBitmapKind, RaidLog, old};
use crate::bitmap::{file, lockless};
use crate::error::Refusal;
use crate::level::Level;
use crate::plan::bitmap_place;
use crate::plan::place::{self, BitmapArea, NoPlace, Placement, Shape};
use crate::superblock::raid_log::least_journal_sectors;
use crate::superblock::{Version, v0};
use crate::units::{KiB, SECTOR_BYTES, Sectors};

/// Sizes and places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizing {
    /// Used sectors of each member, as in the superblock; 0 for levels whose members may differ.
    pub size: Sectors,
    /// What the bitmap covers, in sectors.
    pub sync: Sectors,
    /// Bytes per bitmap chunk: given, or what the kernel will choose; 0 without a bitmap.
    pub bitmap_chunk_bytes: u64,
    /// One per device, in their order.
    pub places: Vec<Placement>,
    /// The largest device is over 1% larger than what is used: the reference's line.
    pub oversize: Option<String>,
    /// `size set to`, for `--verbose`.
    pub note: Option<String>,
}

/// Sectors before the bitmap of a 1.2 member: 4 KiB, and the superblock.
const BEFORE_BITMAP: u64 = 16;

/// Lines about single devices, and nothing was written.
fn aborted(mut lines: Vec<String>) -> Refusal {
    lines.push("create aborted".into());
    Refusal { lines, exit: crate::error::Exit::FAIL }
}

/// The shape before the bitmap's size is known.
fn first_shape(design: &Design, given: Option<Sectors>, offset: Option<Sectors>) -> Shape {
    Shape {
        version: design.version,
        level: design.level,
        chunk: if design.level.is_striped() || design.level == Level::Linear { design.chunk } else { Sectors(0) },
        bitmap: match design.bitmap {
            NewBitmapKind::None if design.log == RaidLog::Ppl => BitmapArea::Ppl,
            NewBitmapKind::None | NewBitmapKind::File(_) => BitmapArea::None,
            NewBitmapKind::Internal(_) | NewBitmapKind::Clustered { .. } => {
                BitmapArea::Internal { chunk_bytes: 1 << 40 }
            }
            NewBitmapKind::Lockless(_) => BitmapArea::Lockless { room: lockless::DEFAULT_ROOM_SECTORS },
        },
        data_offset: offset,
        sized: given.is_some(),
    }
}

/// What is wrong with one device, in the reference's words; nothing where it can be a member. The first device decides the
/// data offset of those that have none of their own. A line that starts with `device` has no program name before it there.
#[must_use]
pub fn faults(
    design: &Design,
    given: Option<Sectors>,
    offset: Option<Sectors>,
    first: &MemberFacts,
    member: &MemberFacts,
) -> Vec<String> {
    let shape = first_shape(design, given, offset);
    fault_lines(design, &shape, given, data_offset(&shape, first, member), member).0
}

/// Where data begins on a member: its own offset, else that of the first device.
fn data_offset(shape: &Shape, first: &MemberFacts, member: &MemberFacts) -> Sectors {
    member.data_offset.or(first.data_offset).unwrap_or_else(|| place::data_offset(shape, first.size))
}

/// Sectors of data that a device offers, before they are rounded to what the level can use; 0 where there is no place.
#[must_use]
pub fn room(
    design: &Design,
    given: Option<Sectors>,
    offset: Option<Sectors>,
    first: &MemberFacts,
    member: &MemberFacts,
) -> Sectors {
    let shape = first_shape(design, given, offset);
    place::available(&shape, member.size, data_offset(&shape, first, member)).unwrap_or_default()
}

/// The lines of [`faults`], and the sectors that can be used.
fn fault_lines(
    design: &Design,
    shape: &Shape,
    given: Option<Sectors>,
    data_offset: Sectors,
    member: &MemberFacts,
) -> (Vec<String>, Sectors) {
    let path = member.path.display();
    let Ok(space) = place::available(shape, member.size, data_offset) else {
        let small = format!("device {path} is too small ({}K) for required metadata!", member.size.kib());
        return (vec![small, format!("{path} is not suitable for this array.")], Sectors(0));
    };
    if member.journal {
        let least = Sectors(least_journal_sectors(design.raid_disks));
        let small = format!("{path} is too small for a journal: {}K of at least {}K", space.kib(), least.kib());
        return (if space < least { vec![small] } else { Vec::new() }, space);
    }
    let space = place::usable(shape, space);
    let line = match given.filter(|s| shape.level.has_size() && *s > space) {
        _ if space.0 == 0 => format!("no free space left on {path}"),
        Some(size) => format!("{path} is smaller than given size. {}K < {}K + metadata", space.kib(), size.kib()),
        None => return (Vec::new(), space),
    };
    (vec![line], space)
}

/// The least device whose data decides the size, and the rest, judged.
///
/// # Errors
/// A [`Refusal`] that names every device that does not fit, in the reference's words.
pub fn sizing(
    design: &Design,
    given: Option<Sectors>,
    offset: Option<Sectors>,
    members: &[MemberFacts],
) -> Result<Sizing, Refusal> {
    let mut shape = first_shape(design, given, offset);
    let Some(first) = members.first() else { return Err(Refusal::new("Subdevs can't be all missing")) };
    let mut size = common_size(design, &shape, given, first, members)?;
    if design.version == Version::V090 {
        let space = |m: &MemberFacts| place::available(&shape, m.size, Sectors(0)).unwrap_or_default();
        let spaces: Vec<Sectors> = members.iter().map(|m| place::usable(&shape, space(m))).collect();
        old::sizes(design, size, &spaces)?;
    }
    let mut sync = sync_range(design, size);
    let chunk_bytes = match design.bitmap {
        NewBitmapKind::None => 0,
        NewBitmapKind::File(asked) => {
            file::chunk_bytes(sync, asked).ok_or_else(|| Refusal::new("Given bitmap chunk size not supported."))?
        }
        NewBitmapKind::Internal(chunk) => {
            let chunk_bytes = chunk_of_bits(design, sync, size, chunk)?;
            shape.bitmap = BitmapArea::Internal { chunk_bytes };
            chunk_bytes
        }
        NewBitmapKind::Clustered { chunk, nodes } => {
            let chunk_bytes = chunk_of_bits(design, sync, size, chunk)?;
            shape.bitmap = BitmapArea::Clustered { chunk_bytes, nodes };
            chunk_bytes
        }
        NewBitmapKind::Lockless(coarsest) => {
            // The room decides the chunk, the data offset may follow the room, and the sync range the data offset.
            for _ in 0..4 {
                shape.bitmap = BitmapArea::Lockless { room: lockless_room(sync, coarsest)? };
                size = common_size(design, &shape, given, first, members)?;
                sync = sync_range(design, size);
            }
            0
        }
    };
    let places = places(&shape, sync, first, members)?;
    let bitmap_chunk_bytes = match (design.bitmap, places.first()) {
        (NewBitmapKind::Lockless(coarsest), Some(p)) => {
            let chosen = lockless::kernel_chunk(sync.0, p.bitmap_reserved).chunk_sectors;
            if coarsest.is_some_and(|c| c != lockless::FINEST && chosen > c) {
                return Err(Refusal::new(format!(
                    "--bitmap-chunk={}K needs more room than there is: the kernel would choose {}K.",
                    coarsest.unwrap_or(0) / 2,
                    chosen / 2
                )));
            }
            chosen * SECTOR_BYTES
        }
        _ => chunk_bytes,
    };
    let note = (design.level.has_size() && given.is_none()).then(|| format!("size set to {}K", size.kib()));
    let oversize = oversize(&shape, size, first, members);
    let size = if design.level.has_size() {
        size
    } else {
        // Stored, though no such level looks at it.
        given.unwrap_or_default().round_down(Sectors(if design.level.is_striped() { design.chunk.0 } else { 1 }))
    };
    Ok(Sizing { size, sync, bitmap_chunk_bytes, places, oversize, note })
}

/// Bytes per chunk of a bitmap with one bit for each.
fn chunk_of_bits(design: &Design, sync: Sectors, size: Sectors, asked: Option<u64>) -> Result<u64, Refusal> {
    let room = match design.version {
        Version::V090 => v0::BITMAP_SECTORS,
        Version::V1(_) => bitmap_place::internal_room(size),
    };
    let bytes = bitmap_place::chunk_in_room(room, sync, asked.unwrap_or(0)).map(u64::from);
    bytes.ok_or_else(|| Refusal::new("Given bitmap chunk size not supported."))
}

/// What a bitmap covers: a member's sectors, or the array's on raid10 (kernel `resync_max_sectors`).
#[must_use]
pub fn sync_range(design: &Design, size: Sectors) -> Sectors {
    sync_sectors(design.level, design.layout, design.chunk, design.raid_disks, size)
}

/// [`sync_range`] of an array of this geometry on members of `size` used sectors.
#[must_use]
pub fn sync_sectors(level: Level, layout: u32, chunk: Sectors, raid_disks: u32, size: Sectors) -> Sectors {
    if level != Level::Raid10 {
        return size;
    }
    let near = u64::from(layout & 0xff).max(1);
    let far = u64::from((layout >> 8) & 0xff).max(1);
    let chunk = chunk.0.max(1);
    // raid10.c, raid10_size: whole chunks, shared among the far copies, times the members, over the near copies.
    Sectors((size.0 / chunk / far).saturating_mul(u64::from(raid_disks)) / near * chunk)
}

fn lockless_room(sync: Sectors, coarsest: Option<u64>) -> Result<u32, Refusal> {
    let Some(coarsest) = coarsest else { return Ok(lockless::DEFAULT_ROOM_SECTORS) };
    if coarsest == lockless::FINEST {
        return Ok(lockless::finest_room(sync.0));
    }
    Ok(bitmap_place::lockless_room(sync, coarsest)?.next_multiple_of(8))
}

/// The common size: the least device rounded down, or what was given.
fn common_size(
    design: &Design,
    shape: &Shape,
    given: Option<Sectors>,
    first: &MemberFacts,
    members: &[MemberFacts],
) -> Result<Sectors, Refusal> {
    let mut bad = Vec::new();
    let mut least: Option<Sectors> = None;
    for member in members {
        let (lines, space) = fault_lines(design, shape, given, data_offset(shape, first, member), member);
        bad.extend(lines);
        if member.journal {
            continue;
        }
        least = Some(least.map_or(space, |l| l.min(space)));
    }
    if !bad.is_empty() {
        return Err(aborted(bad));
    }
    let size = match given {
        Some(size) if shape.level.has_size() => {
            let step = if shape.chunk.0 == 0 { Sectors(2) } else { shape.chunk };
            size.round_down(step)
        }
        _ => least.unwrap_or_default(),
    };
    let size = size.round_down(largest_block(members));
    if size.0 == 0 {
        return Err(Refusal::new("Size cannot be smaller than chunk.")
            .hint(format!("--size must be at least one chunk, {}K", KiB(shape.chunk.0 / 2))));
    }
    Ok(size)
}

/// The sectors of the array, in sectors of 512 bytes: those of the member that has the largest.
fn largest_block(members: &[MemberFacts]) -> Sectors {
    Sectors(members.iter().map(|m| u64::from(m.block) / SECTOR_BYTES).max().unwrap_or(1).max(1))
}

fn places(
    shape: &Shape,
    sync: Sectors,
    first: &MemberFacts,
    members: &[MemberFacts],
) -> Result<Vec<Placement>, Refusal> {
    let mut placed = Vec::new();
    for member in members {
        let path = member.path.display();
        let data_offset = data_offset(shape, first, member);
        if !data_offset.0.is_multiple_of(u64::from(member.block) / SECTOR_BYTES) {
            return Err(Refusal::new(format!(
                "--data-offset={}s is no multiple of the sectors of {path}, {} bytes.",
                data_offset.0, member.block
            )));
        }
        match place::place(shape, member.size, data_offset, sync) {
            Ok(mut p) => {
                // Where members follow one another, each must begin at a whole sector of the array.
                if !shape.level.has_size() {
                    p.data_size = p.data_size.round_down(largest_block(members));
                }
                placed.push(p);
            }
            Err(NoPlace::OffsetTooSmall(least)) => return Err(too_near(shape, member, data_offset, least)),
            Err(NoPlace::TooSmall | NoPlace::NoSpace) => {
                return Err(aborted(vec![format!("no free space left on {path}")]));
            }
        }
    }
    Ok(placed)
}

/// The metadata does not fit before the data, which it would if they began at sector `least`.
fn too_near(shape: &Shape, member: &MemberFacts, data_offset: Sectors, least: u64) -> Refusal {
    let path = member.path.display();
    if let BitmapArea::Clustered { nodes, .. } = shape.bitmap {
        let each = (least.saturating_sub(BEFORE_BITMAP) / u64::from(nodes.max(1))).max(1);
        let most = data_offset.0.saturating_sub(BEFORE_BITMAP) / each;
        return Refusal::new(format!(
            "The max num of nodes can't exceed {most}: more bitmaps do not fit before the data of {path}."
        ));
    }
    Refusal::new(format!(
        "--data-offset={}K leaves no room for the metadata on {path}: it ends at {}K.",
        data_offset.kib(),
        least.div_ceil(2)
    ))
}

fn oversize(shape: &Shape, size: Sectors, first: &MemberFacts, members: &[MemberFacts]) -> Option<String> {
    if !shape.level.is_redundant() {
        return None;
    }
    let space = |m: &MemberFacts| {
        let available = place::available(shape, m.size, data_offset(shape, first, m)).unwrap_or_default();
        // The reference rounds first to chunks, and where the metadata are 0.90.
        let rounded = shape.chunk.0 > 0 || shape.version == Version::V090;
        if rounded { place::usable(shape, available).kib().0 } else { available.kib().0 }
    };
    let mut largest: Option<&MemberFacts> = None;
    for m in members.iter().filter(|m| !m.journal) {
        if largest.is_none_or(|l| space(m) > space(l)) {
            largest = Some(m);
        }
    }
    let largest = largest?;
    let (max, size) = (space(largest), size.kib().0);
    (max.saturating_sub(size).saturating_mul(100) > max)
        .then(|| format!("largest drive ({}) exceeds size ({size}K) by more than 1%", largest.path.display()))
}
