//! `--grow --bitmap`: what a running array's bitmap is changed to, and when that is safe.
//!
//! Only an array that is in sync, not degraded and at rest: then all chunks of a new bitmap can be called clean. Never
//! unwritten: that would say that they hold no data (docs/lockless.md).

use std::path::PathBuf;

use crate::bitmap::bits;
use crate::bitmap::header::{BitmapSuper, NewBitmap, SUPER_BYTES};
use crate::bitmap::lockless;
use crate::cli::request::{BitmapChoice, GrowRequest};
use crate::error::Refusal;
use crate::level::Level;
use crate::plan::bitmap_place;
use crate::plan::step::{Plan, Step};
use crate::superblock::v1::Minor;
use crate::superblock::{Version, v0};
use crate::units::{SECTOR_BYTES, Sectors};
use crate::uuid::Uuid;

use super::space::{self, Gap, Lies, LocklessPlace};

/// Seconds between two runs of the daemon where none are given.
const DEFAULT_DELAY: u32 = 5;
/// The kernel takes longer periods, and 0, with which the array would not start again.
pub const MOST_SECONDS: u32 = 86400;
/// A bitmap is written in pieces of this size.
const PAGE_BYTES: usize = 4096;

/// The bitmap that an array has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Now {
    /// None.
    None,
    /// One bit per chunk, so many sectors from the superblock.
    Internal(i64),
    /// One byte per chunk.
    Lockless(i64),
    /// In a file.
    File,
    /// Of a cluster.
    Clustered,
}

/// A member as far as a bitmap concerns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The device.
    pub path: PathBuf,
    /// In a slot and in sync; a spare else.
    pub active: bool,
    /// Where its metadata lie; v1.x only.
    pub lies: Option<Lies>,
}

/// A running array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Kernel name.
    pub devname: String,
    /// As typed.
    pub shown: String,
    /// Level; `None` where it does not run.
    pub level: Option<Level>,
    /// Metadata; `None` without or of another kind.
    pub version: Option<Version>,
    /// As it stands in its bitmaps.
    pub uuid: Uuid,
    /// What the bitmap covers (kernel `resync_max_sectors`).
    pub sync: Sectors,
    /// Used of each member.
    pub size: Sectors,
    /// Its bitmap.
    pub now: Now,
    /// Why it is not at rest, in sync and whole.
    pub unsafe_because: Option<(String, String)>,
    /// A journal or PPL: the word.
    pub log: Option<&'static str>,
    /// What the kernel lacks for a lockless bitmap.
    pub lacks: Option<String>,
    /// Why the kernel cannot change to a lockless bitmap while the array runs.
    pub offline_only: Option<String>,
    /// Sectors that the kernel takes for the room of any bitmap from now on; 0: it will ask the bitmap.
    pub room_in_force: u64,
    /// Its members, spares too.
    pub members: Vec<Member>,
}

/// What is to be written for a new bitmap, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPlace {
    /// Sectors from the superblock.
    pub offset: i64,
    /// Bytes on each member, from the superblock of the bitmap on.
    pub bytes: Vec<u8>,
    /// The lockless bitmap's place.
    pub lockless: Option<LocklessPlace>,
}

/// Refuses what the reference refuses, in its words and order, and where a change would not be safe.
///
/// # Errors
/// Why not, and what to do.
pub fn check(facts: &Facts, to: &BitmapChoice, rechunk: bool) -> Result<(), Refusal> {
    let shown = &facts.shown;
    let no = |line: String| Err(Refusal::new(line));
    let Some(level) = facts.level else {
        return Err(Refusal::new(format!("failed to get array info for {shown}"))
            .hint(format!("{shown} does not run: start it first (mdadm --run {shown})")));
    };
    match (facts.now, to) {
        (Now::File, _) => {
            return Err(Refusal::new(format!("{shown} already has a bitmap file"))
                .hint("bitmap files are put on and taken off when an array is assembled: --assemble --bitmap=FILE"));
        }
        (Now::None, BitmapChoice::None) => return no(format!("no bitmap found on {shown}")),
        (Now::Lockless(_), BitmapChoice::Lockless) if !rechunk => {
            return no(format!("bitmap already present on {shown}"));
        }
        (Now::Internal(_), BitmapChoice::Internal | BitmapChoice::Clustered)
        | (Now::Lockless(_), BitmapChoice::Clustered)
        | (Now::Clustered, BitmapChoice::Internal | BitmapChoice::Lockless | BitmapChoice::Clustered) => {
            return no(format!("bitmap already present on {shown}"));
        }
        (Now::Clustered, BitmapChoice::None) => {
            return no("clustered arrays are not in this version of mdadm-rs yet".into());
        }
        (_, BitmapChoice::Clustered) => return no("The md can't get cluster name".into()),
        _ => {}
    }
    if !level.is_redundant() {
        return no(format!("Bitmaps not meaningful with level {}", level.name()));
    }
    if let Some(log) = facts.log {
        return no(format!("Cannot add bitmap to array with {log}"));
    }
    if facts.version.is_none() {
        return no("Internal bitmaps not supported with this metadata".into());
    }
    if *to == BitmapChoice::Lockless {
        lockless(facts)?;
    }
    Ok(())
}

/// Refuses a lockless bitmap where the kernel cannot have one, or not now.
fn lockless(facts: &Facts) -> Result<(), Refusal> {
    let shown = &facts.shown;
    if let Some(lacks) = &facts.lacks {
        return Err(Refusal::new(lacks.clone()));
    }
    if !matches!(facts.version, Some(Version::V1(_))) {
        return Err(Refusal::new("lockless bitmaps take metadata 1.x"));
    }
    if let Some(why) = &facts.offline_only {
        return Err(Refusal::new(why.clone()).hint(stopped_way(shown)));
    }
    match &facts.unsafe_because {
        Some((why, what_to_do)) => {
            Err(Refusal::new(format!("cannot add a lockless bitmap to {shown} now: {why}")).hint(what_to_do.clone()))
        }
        None => Ok(()),
    }
}

/// The way that does not need the array to run.
#[must_use]
pub fn stopped_way(shown: &str) -> String {
    format!(
        "stop it and convert it at its next start: mdadm --stop {shown}; mdadm --assemble {shown} --update=bitmap=lockless MEMBERS"
    )
}

/// A period of a lockless bitmap: from a second to a day.
///
/// # Errors
/// Out of that range.
pub fn check_seconds(option: &str, seconds: Option<u32>) -> Result<(), Refusal> {
    match seconds {
        Some(n) if n == 0 || n > MOST_SECONDS => Err(Refusal::new(format!(
            "{option} of a lockless bitmap is from 1 second to a day ({MOST_SECONDS}), not {n}"
        ))),
        _ => Ok(()),
    }
}

/// Where the new bitmap goes and what is written there. `in_the_way` is the old bitmap, which stays until the new one is
/// written where there is other room.
///
/// # Errors
/// No room, or a chunk that cannot be.
pub fn design(facts: &Facts, req: &GrowRequest, to: &BitmapChoice) -> Result<NewPlace, Refusal> {
    match to {
        BitmapChoice::Lockless => design_lockless(facts, req),
        _ => design_internal(facts, req),
    }
}

fn new_bitmap(facts: &Facts, req: &GrowRequest, chunk_bytes: u64, room: u32) -> NewBitmap {
    NewBitmap {
        uuid: facts.uuid,
        sync_sectors: facts.sync.0,
        chunk_bytes,
        daemon_sleep: req.delay.unwrap_or(DEFAULT_DELAY),
        write_behind: req.write_behind.unwrap_or(0),
        sectors_reserved: room,
    }
}

fn lies(facts: &Facts) -> Result<(Minor, Vec<Lies>), Refusal> {
    let Some(Version::V1(minor)) = facts.version else {
        return Err(Refusal::new("lockless bitmaps take metadata 1.x"));
    };
    let all = facts
        .members
        .iter()
        .map(|m| m.lies.ok_or_else(|| Refusal::new(format!("cannot read the superblock of {}", m.path.display()))));
    Ok((minor, all.collect::<Result<_, _>>()?))
}

/// What the bitmap now there takes, as far as anybody can tell: up to the next thing is the caller's to see.
fn taken(facts: &Facts) -> Option<Gap> {
    let pages = |offset: i64, bytes: u64| {
        Some((offset, offset.saturating_add_unsigned(bytes.div_ceil(4096).saturating_mul(8))))
    };
    match facts.now {
        Now::Internal(offset) => {
            let room = bitmap_place::internal_room(facts.size).max(facts.room_in_force);
            pages(offset, room.saturating_mul(SECTOR_BYTES))
        }
        Now::Lockless(offset) => pages(offset, (facts.room_in_force + 8).saturating_mul(SECTOR_BYTES)),
        _ => None,
    }
}

fn design_lockless(facts: &Facts, req: &GrowRequest) -> Result<NewPlace, Refusal> {
    let (minor, members) = lies(facts)?;
    check_seconds("--delay", req.delay)?;
    if req.write_behind.is_some() {
        let line = "a lockless bitmap cannot be used with --write-behind: the kernel does not support it.";
        return Err(Refusal::new(line));
    }
    let coarsest = req.bitmap_chunk.map(|c| c.0);
    let wanted = match coarsest {
        None if req.finest_chunk => lockless::finest_room(facts.sync.0),
        None => lockless::DEFAULT_ROOM_SECTORS,
        Some(coarsest) => bitmap_place::lockless_room(facts.sync, coarsest)?,
    };
    let free = [space::gaps(minor, &members, taken(facts).as_slice()), space::gaps(minor, &members, &[])];
    let find = |exactly| free.iter().find_map(|f| space::lockless_place(minor, f, facts.sync.0, wanted, exactly));
    let place = find(coarsest.is_some()).ok_or_else(|| no_room(facts, coarsest, find(false)))?;
    let new = new_bitmap(facts, req, place.choice.chunk_sectors * SECTOR_BYTES, place.room);
    let sb = BitmapSuper::lockless(&new, true).ok_or_else(|| Refusal::new("Given bitmap chunk size not supported."))?;
    let mut bytes = sb.bytes().to_vec();
    // The kernel writes the states when it takes it.
    bytes.resize(PAGE_BYTES, 0);
    Ok(NewPlace { offset: place.offset, bytes, lockless: Some(place) })
}

fn no_room(facts: &Facts, coarsest: Option<u64>, coarser: Option<LocklessPlace>) -> Refusal {
    let shown = &facts.shown;
    match (coarsest, coarser) {
        (Some(asked), Some(place)) => Refusal::new(format!(
            "--bitmap-chunk={}K needs more room than there is on the members of {shown}: {}K can be had",
            asked / 2,
            place.choice.chunk_sectors / 2
        )),
        _ => Refusal::new(format!(
            "no room for a lockless bitmap: the members of {shown} have no 8 KiB free at the same place beside their metadata"
        ))
        .hint(stopped_way(shown)),
    }
}

/// Whether a lockless bitmap at this offset has room whatever chunk the kernel chooses, the finest one too.
#[must_use]
pub fn any_room_fits(facts: &Facts, offset: i64) -> bool {
    let Ok((minor, members)) = lies(facts) else { return false };
    let finest = lockless::kernel_chunk(facts.sync.0, u32::MAX);
    let takes = i64::try_from(lockless::bitmap_bytes(finest.chunks) / SECTOR_BYTES).unwrap_or(i64::MAX);
    let end = offset.saturating_add(takes).saturating_add(8);
    space::gaps(minor, &members, taken(facts).as_slice()).iter().any(|g| g.0 <= offset && end <= g.1)
}

/// An internal bitmap of a bit or a few, at this offset: it lets the kernel be told of another room.
///
/// # Errors
/// None that an array can have: the chunk always fits its field.
pub fn stone(facts: &Facts, offset: i64) -> Result<NewPlace, Refusal> {
    let unsupported = || Refusal::new("Given bitmap chunk size not supported.");
    let chunk = bitmap_place::chunk_in_room(8, facts.sync, 0).ok_or_else(unsupported)?;
    let mut bytes = BitmapSuper::internal(&NewBitmap {
        uuid: facts.uuid,
        sync_sectors: facts.sync.0,
        chunk_bytes: chunk.into(),
        daemon_sleep: DEFAULT_DELAY,
        write_behind: 0,
        sectors_reserved: 0,
    })
    .ok_or_else(unsupported)?
    .bytes()
    .to_vec();
    bytes.resize(PAGE_BYTES, 0xff);
    Ok(NewPlace { offset, bytes, lockless: None })
}

/// As the reference does it: from the first sector behind the superblock on, or right before what stands before it.
fn design_internal(facts: &Facts, req: &GrowRequest) -> Result<NewPlace, Refusal> {
    let unsupported = || Refusal::new("failed to create internal bitmap - chunksize problem.");
    let asked = req.bitmap_chunk.and_then(Sectors::bytes).map_or(0, |b| b.0);
    let (offset, room) = match facts.version {
        Some(Version::V090) | None => (i64::from(v0::BITMAP_OFFSET), v0::BITMAP_SECTORS),
        Some(Version::V1(_)) => internal_place(facts)?,
    };
    let chunk = bitmap_place::chunk_in_room(room, facts.sync, asked).ok_or_else(unsupported)?;
    let new = new_bitmap(facts, req, chunk.into(), 0);
    let sb = BitmapSuper::internal(&new).ok_or_else(unsupported)?;
    let chunks = facts.sync.0.saturating_mul(SECTOR_BYTES).div_ceil(chunk.into());
    let len = match facts.version {
        Some(Version::V1(_)) => bits::bitmap_bytes(chunks).min(room * SECTOR_BYTES),
        _ => v0::BITMAP_SECTORS * SECTOR_BYTES,
    };
    let len = usize::try_from(len).map_err(|_| unsupported())?.max(SUPER_BYTES);
    let mut bytes = sb.bytes().to_vec();
    bytes.resize(len.next_multiple_of(PAGE_BYTES), 0xff);
    Ok(NewPlace { offset, bytes, lockless: None })
}

fn internal_place(facts: &Facts) -> Result<(i64, u64), Refusal> {
    let (minor, members) = lies(facts)?;
    let avoid = taken(facts);
    // The reference takes no more than a page at the end of a member.
    let most = if minor == Minor::V0 { 8 } else { bitmap_place::internal_room(facts.size).max(8) };
    let none = || Refusal::new(format!("failed to create internal bitmap - no room on the members of {}", facts.shown));
    for free in [space::gaps(minor, &members, avoid.as_slice()), space::gaps(minor, &members, &[])] {
        let gap = if minor == Minor::V0 { free.last() } else { free.first() };
        if let Some((from, to)) = gap {
            let room = (to - from).unsigned_abs().min(most);
            let offset = if minor == Minor::V0 { to.saturating_sub_unsigned(room) } else { *from };
            return Ok((offset, room));
        }
    }
    Err(none())
}

/// Writes the new bitmap on the members; with `all` on the spares too.
#[must_use]
pub fn write(facts: &Facts, new: &NewPlace, what: &str, all: bool) -> Plan {
    let at = |m: &Member| match m.lies {
        Some(lies) => u64::try_from(i128::from(lies.at) + i128::from(new.offset)).ok().map(|s| s * SECTOR_BYTES),
        None => None,
    };
    let members: Vec<&Member> = facts.members.iter().filter(|m| all || m.active).collect();
    let mut steps = Vec::with_capacity(members.len() * 2);
    for m in &members {
        let Some(offset) = at(m) else { continue };
        let (device, bytes, what) = (m.path.clone(), new.bytes.clone(), what.to_owned());
        steps.push(Step::Write { device, offset, bytes, what });
    }
    steps.extend(members.iter().map(|m| Step::Sync { device: m.path.clone() }));
    Plan { steps }
}

/// Has the kernel take the bitmap that lies there.
#[must_use]
pub fn take(facts: &Facts, offset: i64) -> Plan {
    let value = format!("{offset:+}");
    Plan { steps: vec![set(facts, "bitmap/location", value)] }
}

/// Has the kernel let go of its bitmap.
#[must_use]
pub fn let_go(facts: &Facts) -> Plan {
    Plan { steps: vec![Step::BitmapOff { devname: facts.devname.clone() }] }
}

/// A store in one of the array's attributes.
#[must_use]
pub fn set(facts: &Facts, attr: &str, value: String) -> Step {
    Step::Sysfs { devname: facts.devname.clone(), attr: attr.into(), value, verify: None }
}
