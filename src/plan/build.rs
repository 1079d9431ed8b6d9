//! `--build`: an array without metadata. Nothing is written to its members; what the members do not tell has to be given at
//! every start again.

use std::path::PathBuf;

use crate::bitmap::file;
use crate::bitmap::header::NewBitmap;
use crate::cli::request::{BitmapChoice, BuildRequest, SizeChoice};
use crate::error::Refusal;
use crate::kernel::md::disk;
use crate::layout;
use crate::level::Level;
use crate::plan::bitmap_file::{self, FileFacts, FileState};
use crate::plan::create::Node;
use crate::plan::create::sizing::sync_sectors;
use crate::plan::create::slots::enough;
use crate::plan::step::{DiskSpec, Geometry, Plan, Step};
use crate::units::{SECTOR_BYTES, Sectors};
use crate::uuid::Uuid;

/// 64 KiB, where no array chunk is given.
const DEFAULT_CHUNK: Sectors = Sectors(128);
/// Seconds between two runs of the bitmap's daemon where none are given.
const DEFAULT_DELAY: u32 = 5;

/// A request whose words make sense together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Design {
    /// Level.
    pub level: Level,
    /// Layout number.
    pub layout: u32,
    /// Array chunk; 0 where none is given and the level needs none.
    pub chunk: Sectors,
    /// Slots.
    pub raid_disks: u32,
    /// Used sectors of each member; `None` for what the least has.
    pub size: Option<Sectors>,
    /// The bitmap file.
    pub bitmap: Option<PathBuf>,
    /// Lines for `--verbose`.
    pub notes: Vec<String>,
}

/// A member that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildMember {
    /// As typed.
    pub path: PathBuf,
    /// Major and minor number.
    pub dev: (u32, u32),
    /// Size in sectors.
    pub size: Sectors,
    /// `--write-mostly`
    pub write_mostly: bool,
}

fn refuse<T>(line: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::new(line))
}

/// Judges the words.
///
/// # Errors
/// A [`Refusal`] in the reference's words, where it has any.
pub fn design(req: &BuildRequest) -> Result<Design, Refusal> {
    let Some(raid_disks) = req.raid_devices else { return refuse("no raid-devices specified.") };
    let Some(level) = req.level else { return refuse("a RAID level is needed to Build an array.") };
    let bitmap = bitmap(req, level)?;
    let listed = req.members.len();
    if usize::try_from(raid_disks) != Ok(listed) {
        return refuse(format!("requested {raid_disks} devices in array but listed {listed}"));
    }
    let mut notes = Vec::new();
    let layout = match &req.layout {
        Some(word) => layout::parse(level, word)
            .ok_or_else(|| Refusal::new(format!("layout {word} not understood for {}.", level.name())))?,
        None if level == Level::Raid10 => {
            notes.push("layout defaults to n2".into());
            0x102
        }
        None if level == Level::Faulty => layout::parse(level, "clear").unwrap_or(0),
        None => 0,
    };
    let there: Vec<bool> = req.members.iter().map(|m| m.path.is_some()).collect();
    if !there.contains(&true) || !enough(level, layout, &there) {
        let given = there.iter().filter(|t| **t).count();
        let name = level.name();
        return refuse(format!(
            "too many devices are missing: a {name} array cannot start with these {given} of {raid_disks}."
        ));
    }
    let chunk = chunk(req, level)?;
    let size = match req.size {
        // The kernel counts whole KiB.
        Some(SizeChoice::Sectors(size)) => Some(Sectors(size.0 & !1)),
        Some(SizeChoice::Max) | None => None,
    };
    Ok(Design { level, layout, chunk, raid_disks, size, bitmap, notes })
}

fn bitmap(req: &BuildRequest, level: Level) -> Result<Option<PathBuf>, Refusal> {
    let file = match &req.bitmap {
        None | Some(BitmapChoice::None) => None,
        Some(BitmapChoice::File(path)) => Some(path.clone()),
        Some(BitmapChoice::Internal | BitmapChoice::Clustered | BitmapChoice::Lockless) => {
            return Err(Refusal::new("--build argument only compatible with --bitmap=none")
                .hint("or with a bitmap file: the members hold nothing but data"));
        }
    };
    if file.is_some() && !level.is_redundant() {
        return refuse(format!("bitmaps not meaningful with level {}", level.name()));
    }
    if req.write_behind.is_some() && file.is_none() {
        return refuse("write-behind mode requires a bitmap.");
    }
    Ok(file)
}

fn chunk(req: &BuildRequest, level: Level) -> Result<Sectors, Refusal> {
    let default = if level.is_striped() || level == Level::Linear { DEFAULT_CHUNK } else { Sectors(0) };
    let chunk = req.chunk.unwrap_or(default);
    if level == Level::Raid10 && !chunk.0.is_power_of_two() {
        return refuse(format!("chunk size of {}K is not a power of two, which {} needs.", chunk.kib(), level.name()));
    }
    if chunk_bytes(chunk).is_none() {
        return refuse("chunk size is too large");
    }
    Ok(chunk)
}

fn chunk_bytes(chunk: Sectors) -> Option<i32> {
    i32::try_from(chunk.0.checked_mul(SECTOR_BYTES)?).ok()
}

/// What a bitmap of the array covers: as the kernel sizes it, by its least member.
fn sync_range(design: &Design, members: &[BuildMember]) -> Sectors {
    let least = members.iter().map(|m| m.size).min().unwrap_or_default();
    let size = design.size.map_or(least, |size| size.min(least));
    sync_sectors(design.level, design.layout, design.chunk, design.raid_disks, size)
}

/// What is done with the bitmap file, and what is said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BitmapPlan {
    /// The file is made; `None` where it is there and goes on being used.
    pub make: Option<Step>,
    /// Lines for stderr.
    pub notes: Vec<String>,
}

/// A file that is there is the array's own bitmap, from when it ran last: the kernel resyncs what it calls dirty. With
/// `--force` it is made anew, as one that is not there.
///
/// # Errors
/// A [`Refusal`]: the file is no bitmap, or that of another array.
pub fn bitmap_plan(
    req: &BuildRequest,
    design: &Design,
    members: &[BuildMember],
    facts: &FileFacts,
) -> Result<BitmapPlan, Refusal> {
    let force = req.common.force > 0;
    let sync = sync_range(design, members);
    if matches!(facts.state, FileState::Bitmap(_)) && !force {
        return adopted(req, sync, facts);
    }
    let asked = req.bitmap_chunk.and_then(Sectors::bytes).map(|b| b.0);
    let chunk_bytes =
        file::chunk_bytes(sync, asked).ok_or_else(|| Refusal::new("Given bitmap chunk size not supported."))?;
    let new = NewBitmap {
        uuid: Uuid([0; 16]),
        sync_sectors: sync.0,
        chunk_bytes,
        daemon_sleep: req.delay.unwrap_or(DEFAULT_DELAY),
        write_behind: req.write_behind.unwrap_or(0),
        sectors_reserved: 0,
    };
    Ok(BitmapPlan { make: Some(facts.make(force, &new)?), notes: Vec::new() })
}

fn adopted(req: &BuildRequest, sync: Sectors, facts: &FileFacts) -> Result<BitmapPlan, Refusal> {
    let again = |r: Refusal| r.hint("--force makes it anew: then the whole array is resynced");
    let bitmap = facts.adopt(Uuid([0; 16]), Some(sync)).map_err(again)?;
    let shown = facts.path.display();
    let mut notes = Vec::new();
    let has = [
        ("--bitmap-chunk", req.bitmap_chunk.is_some_and(|c| c.bytes().map(|b| b.0) != Some(bitmap.sb.chunk_bytes()))),
        ("--delay", req.delay.is_some_and(|d| d != bitmap.sb.daemon_sleep())),
        ("--write-behind", req.write_behind.is_some_and(|w| w != bitmap.sb.write_behind())),
    ];
    for (option, _) in has.into_iter().filter(|(_, differs)| *differs) {
        notes.push(format!("{option} is ignored: {shown} is there, with another value (--force makes it anew)"));
    }
    let mib = |s: Sectors| s.0.div_ceil(2048);
    let dirty = bitmap.dirty_sectors();
    notes.push(if req.assume_clean && bitmap.dirty > 0 {
        format!(
            "{} MiB that {shown} has as dirty are not resynced: --assume-clean was given, and the copies may differ there",
            mib(dirty)
        )
    } else {
        format!("{shown} is used as it is: {} MiB of {} MiB are dirty", mib(dirty), mib(sync))
    });
    Ok(BitmapPlan { make: None, notes })
}

/// The whole plan.
#[must_use]
pub fn plan(
    req: &BuildRequest,
    design: &Design,
    members: &[Option<BuildMember>],
    bitmap: Option<&BitmapPlan>,
    node: &Node,
) -> Plan {
    let devname = || node.devname.clone();
    let int = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    let mut steps = vec![Step::NewArray {
        devname: devname(),
        path: node.path.clone(),
        metadata: "none".into(),
        uuid: Uuid([0; 16]),
    }];
    // The ioctl has 31 bits for the size: sysfs takes what does not fit.
    let size = design.size.map(|s| s.kib().0);
    let small = size.and_then(|kib| i32::try_from(kib).ok());
    steps.push(Step::SetGeometry {
        devname: devname(),
        geometry: Geometry {
            level: design.level.raw(),
            layout: int(design.layout),
            raid_disks: int(design.raid_disks),
            chunk_bytes: chunk_bytes(design.chunk).unwrap_or(0),
            size_kib: small.unwrap_or(0),
            clean: req.assume_clean,
        },
    });
    let mut attrs = Vec::new();
    if let Some(kib) = size.filter(|_| small.is_none()) {
        attrs.push(("component_size", kib.to_string()));
    }
    // The kernel does not take the layout of a raid0 from the ioctl.
    if design.level == Level::Raid0 && design.layout != 0 {
        attrs.push(("layout", design.layout.to_string()));
    }
    for (attr, value) in attrs {
        steps.push(Step::Sysfs { devname: devname(), attr: attr.into(), value, verify: None });
    }
    if let (Some(bitmap), Some(path)) = (bitmap, &design.bitmap) {
        steps.extend(bitmap.make.clone());
        steps.push(bitmap_file::set(&node.devname, path, false));
    }
    for (slot, member) in (0u32..).zip(members) {
        let Some(member) = member else { continue };
        let flag = if member.write_mostly { disk::WRITEMOSTLY } else { 0 };
        steps.push(Step::AddDisk {
            devname: devname(),
            device: member.path.clone(),
            spec: DiskSpec {
                number: int(slot),
                major: int(member.dev.0),
                minor: int(member.dev.1),
                raid_disk: int(slot),
                state: disk::ACTIVE | disk::SYNC | flag,
            },
        });
    }
    steps.push(Step::RunArray { devname: devname() });
    steps.push(Step::Uevent { devname: devname() });
    Plan { steps }
}

#[cfg(test)]
mod tests;
