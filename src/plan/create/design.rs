//! What the words of a create request mean, and which of them cannot go together.

use super::{NewBitmapKind, RaidLog, compat, old};
use crate::bitmap::lockless::FINEST;
use crate::cli::request::{BitmapChoice, ConsistencyPolicy, CreateRequest, MemberArg, Metadata};
use crate::error::{Exit, Refusal};
use crate::layout;
use crate::level::{Level, MOST_RAID6};
use crate::superblock::Version;
use crate::superblock::raid_log::{JOURNAL_SLOTS, PPL_SLOTS};
use crate::superblock::v1::{MAX_ROLES, Minor};
use crate::units::Sectors;

/// 512 KiB, the array chunk where none is given.
const DEFAULT_CHUNK: Sectors = Sectors(1024);
/// Nodes of a clustered bitmap where none are given.
const DEFAULT_NODES: u32 = 4;

/// A request whose words make sense together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Design {
    /// Metadata version.
    pub version: Version,
    /// Level.
    pub level: Level,
    /// Layout number.
    pub layout: u32,
    /// Array chunk; 0 where the level has none.
    pub chunk: Sectors,
    /// Slots.
    pub raid_disks: u32,
    /// `--layout` was given: on a raid0 with 0.90 metadata, that members of different sizes are meant.
    pub layout_given: bool,
    /// The bitmap.
    pub bitmap: NewBitmapKind,
    /// The log that closes the write hole.
    pub log: RaidLog,
    /// `CREATE bbl=no`: no bad-block log.
    pub no_log: bool,
    /// Zero the data areas first.
    pub write_zeroes: bool,
    /// The members are taken to be in sync: so it was said, or they will be zeroed.
    pub assume_clean: bool,
    /// Writes that write-mostly members may be behind; 0 is none. It is kept in the bitmap.
    pub write_behind: u32,
    /// `--home-cluster`; empty where it was not given.
    pub cluster: String,
    /// Kernels before 6.19 are to assemble it too.
    pub for_older: bool,
    /// Lines for `--verbose`.
    pub notes: Vec<String>,
}

fn refuse<T>(line: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::new(line))
}

/// Whether to ask for a bitmap where none was named. The reference asks also where a journal or PPL rules one out.
#[must_use]
pub fn asks_for_bitmap(req: &CreateRequest) -> bool {
    let level = req.level.is_none_or(Level::is_redundant);
    let log = req.write_journal.is_some() || req.consistency_policy == Some(ConsistencyPolicy::Ppl);
    level && !log && req.raid_devices.is_some() && req.bitmap.is_none() && !req.common.run && !req.common.plan
}

/// Judges the request. `wants_bitmap` is the answer to the question of [`asks_for_bitmap`].
///
/// # Errors
/// A [`Refusal`] in the reference's words, where it has any.
pub fn design(req: &CreateRequest, wants_bitmap: bool) -> Result<Design, Refusal> {
    let Some(raid_disks) = req.raid_devices.filter(|n| *n > 0) else { return refuse("no raid-devices specified.") };
    let Some(level) = req.level else { return refuse("a RAID level is needed to create an array.") };
    block_size(req)?;
    old_metadata(req)?;
    let version = version(req)?;
    devices(req, level, raid_disks)?;
    let mut notes = Vec::new();
    let given = given_layout(req, level)?;
    if version == Version::V090 {
        old::limits(req, level, given)?;
    }
    let layout = layout_number(req, given, level, raid_disks, &mut notes)?;
    let chunk = chunk(req, level, &mut notes)?;
    let bitmap = bitmap(req, level, wants_bitmap)?;
    let log = raid_log(req, raid_disks, bitmap)?;
    let write_behind = if bitmap == NewBitmapKind::None { 0 } else { req.write_behind.unwrap_or(0) };
    let (write_zeroes, assume_clean) = (req.write_zeroes, req.assume_clean || req.write_zeroes);
    let layout_given = given.is_some();
    let design = Design {
        version,
        level,
        layout,
        layout_given,
        chunk,
        raid_disks,
        bitmap,
        log,
        write_zeroes,
        assume_clean,
        write_behind,
        cluster: req.home_cluster.clone().unwrap_or_default(),
        no_log: req.common.no_bbl,
        for_older: compat::for_older(req, &bitmap)?,
        notes,
    };
    match bitmap {
        NewBitmapKind::Clustered { .. } => clustered(req, &design)?,
        _ if req.nodes.is_some() => return refuse("--nodes argument only compatible with --bitmap=clustered"),
        _ => {}
    }
    Ok(design)
}

/// Why `--write-behind` has no effect on this array, where it has none: the kernel then waits for all members.
#[must_use]
pub fn idle_write_behind(req: &CreateRequest, design: &Design) -> Option<&'static str> {
    if req.write_behind.unwrap_or(0) == 0 {
        return None;
    }
    if design.level != Level::Raid1 {
        return Some("only raid1 has it");
    }
    if design.write_behind == 0 {
        return Some("it takes a bitmap, add --bitmap=internal");
    }
    let lags = req.members.iter().any(|m| m.write_mostly && m.path.is_some());
    (!lags).then_some("no member is --write-mostly")
}

fn version(req: &CreateRequest) -> Result<Version, Refusal> {
    match req.common.metadata {
        None | Some(Metadata::V1Default | Metadata::V1_2) => Ok(Version::V1(Minor::V2)),
        Some(Metadata::V1_1) => Ok(Version::V1(Minor::V1)),
        Some(Metadata::V1_0) => Ok(Version::V1(Minor::V0)),
        Some(Metadata::V090) => Ok(Version::V090),
        Some(Metadata::Ddf) => refuse("creating arrays with ddf metadata is not supported by mdadm-rs."),
        Some(Metadata::Imsm) => refuse("creating arrays with imsm metadata is not supported by mdadm-rs."),
    }
}

/// Smallest and largest block that a kernel takes: a sector, and the largest page.
const LEAST_BLOCK: u32 = 512;
const MOST_BLOCK: u32 = 65536;

fn block_size(req: &CreateRequest) -> Result<(), Refusal> {
    let Some(bytes) = req.logical_block_size else { return Ok(()) };
    if req.common.metadata == Some(Metadata::V090) {
        return Err(Refusal::new("The logical block size is only supported for metadata 1.x.")
            .with_exit(Exit::USAGE)
            .hint("Current metadata version is 0.90"));
    }
    if !bytes.is_power_of_two() || !(LEAST_BLOCK..=MOST_BLOCK).contains(&bytes) {
        return Err(Refusal::new(format!("Failed to set logical_block_size {bytes}"))
            .hint(format!("It must be a power of two from {LEAST_BLOCK} to {MOST_BLOCK}.")));
    }
    Ok(())
}

fn devices(req: &CreateRequest, level: Level, raid_disks: u32) -> Result<(), Refusal> {
    let number = level.raw();
    let listed = req.members.len();
    if level == Level::Container {
        return Err(Refusal::new("level container cannot be created by mdadm-rs: native metadata has no such level.")
            .with_exit(Exit::USAGE));
    }
    if raid_disks < 4 && level == Level::Raid6 {
        return refuse("at least 4 raid-devices needed for level 6");
    }
    if raid_disks > MOST_RAID6 && level == Level::Raid6 {
        return refuse(format!("no more than {MOST_RAID6} raid-devices supported for level 6"));
    }
    if raid_disks < 2 && number >= 4 {
        return refuse(format!("at least 2 raid-devices needed for level {number}"));
    }
    if raid_disks.saturating_add(req.spare_devices) > MAX_ROLES {
        return refuse(format!("a v1.x superblock holds at most {MAX_ROLES} devices, spares included."));
    }
    if !level.is_redundant() && req.spare_devices > 0 {
        return refuse("This level does not support spare devices");
    }
    let wanted = usize::try_from(raid_disks + req.spare_devices).unwrap_or(usize::MAX);
    if listed < wanted {
        return refuse("You haven't given enough devices (real or missing) to create this array");
    }
    if listed > wanted {
        return refuse(format!("You have listed more devices ({listed}) than are in the array({wanted})!"));
    }
    let missing = req.members.iter().filter(|m| m.path.is_none()).count();
    if missing == listed {
        return refuse("Subdevs can't be all missing");
    }
    if missing > 0 && !level.is_redundant() {
        return refuse("This level does not support missing devices");
    }
    Ok(())
}

fn given_layout(req: &CreateRequest, level: Level) -> Result<Option<u32>, Refusal> {
    let Some(word) = &req.layout else { return Ok(None) };
    layout::parse(level, word).map(Some).ok_or_else(|| {
        Refusal::new(format!("layout {word} not understood for {}.", level.name())).with_exit(Exit::USAGE)
    })
}

fn layout_number(
    req: &CreateRequest,
    given: Option<u32>,
    level: Level,
    raid_disks: u32,
    notes: &mut Vec<String>,
) -> Result<u32, Refusal> {
    let number = match (given, level) {
        (Some(n), _) => n,
        (None, Level::Raid5 | Level::Raid6) => 2,
        (None, Level::Raid10) => 0x102,
        (None, Level::Raid0) if req.common.metadata == Some(Metadata::V090) => 0,
        // 'original': what the kernel wants to know of members of different sizes (Linux 5.4).
        (None, Level::Raid0) => 1,
        (None, Level::Faulty) => layout::parse(level, "clear").unwrap_or(0),
        (None, _) => 0,
    };
    if given.is_none() && matches!(level, Level::Raid5 | Level::Raid6 | Level::Raid10 | Level::Faulty) {
        let name = match level {
            Level::Raid10 => "n2".into(),
            Level::Faulty => "clear".into(),
            _ => layout::name(level, number).unwrap_or_default(),
        };
        // The reference says it twice where it chose the metadata version.
        let times = if req.common.metadata.is_none() { 2 } else { 1 };
        notes.extend(std::iter::repeat_n(format!("layout defaults to {name}"), times));
    }
    if level == Level::Raid10 {
        let copies = (number & 0xff).saturating_mul((number >> 8) & 0xff);
        if copies > raid_disks {
            return refuse(format!("that layout requires at least {copies} devices"));
        }
    }
    Ok(number)
}

fn chunk(req: &CreateRequest, level: Level, notes: &mut Vec<String>) -> Result<Sectors, Refusal> {
    if !level.is_striped() {
        return match req.chunk {
            Some(chunk) if level == Level::Linear => Ok(chunk),
            Some(_) => refuse("specifying chunk size is forbidden for this level"),
            None => Ok(Sectors(0)),
        };
    }
    let Some(chunk) = req.chunk.filter(|c| c.0 > 0) else {
        notes.push("chunk size defaults to 512K".into());
        return Ok(DEFAULT_CHUNK);
    };
    if level != Level::Raid0 && !chunk.0.is_power_of_two() {
        return refuse(format!("chunk size of {}K is not a power of two, which {} needs.", chunk.kib(), level.name()));
    }
    if u32::try_from(chunk.0).is_err() {
        return refuse("chunk size is too large");
    }
    Ok(chunk)
}

fn bitmap(req: &CreateRequest, level: Level, wants_bitmap: bool) -> Result<NewBitmapKind, Refusal> {
    let chunk = req.bitmap_chunk;
    let bytes = chunk.and_then(Sectors::bytes).map(|b| b.0);
    let kind = match (&req.bitmap, req.consistency_policy) {
        (Some(BitmapChoice::None), _) => NewBitmapKind::None,
        (Some(BitmapChoice::Internal), _) => NewBitmapKind::Internal(bytes),
        (Some(BitmapChoice::Lockless), _) if req.finest_chunk => NewBitmapKind::Lockless(Some(FINEST)),
        (Some(BitmapChoice::Lockless), _) => NewBitmapKind::Lockless(chunk.map(|c| c.0)),
        (Some(BitmapChoice::Clustered), _) => {
            NewBitmapKind::Clustered { chunk: bytes, nodes: req.nodes.unwrap_or(DEFAULT_NODES) }
        }
        (Some(BitmapChoice::File(_)), _) => NewBitmapKind::File(bytes),
        (None, Some(ConsistencyPolicy::Bitmap)) => NewBitmapKind::Internal(bytes),
        (None, _) if wants_bitmap => NewBitmapKind::Internal(bytes),
        (None, _) => NewBitmapKind::None,
    };
    if req.bitmap == Some(BitmapChoice::None) && req.write_behind.is_some_and(|n| n > 0) {
        return refuse("write-behind mode requires a bitmap.");
    }
    if matches!(kind, NewBitmapKind::Clustered { .. }) && !matches!(level, Level::Raid1 | Level::Raid10) {
        return refuse("--bitmap=clustered is currently supported with raid1/10 only");
    }
    if kind != NewBitmapKind::None && !level.is_redundant() {
        let refusal = Refusal::new(format!("bitmaps not meaningful with level {}", level.name()));
        // The status that mdadm 4.6 has for every path.
        let file = matches!(kind, NewBitmapKind::File(_));
        return Err(if file { refusal.with_exit(Exit::USAGE) } else { refusal });
    }
    if let NewBitmapKind::Lockless(coarsest) = kind {
        lockless(req, coarsest)?;
    }
    Ok(kind)
}

/// What a clustered array can be, in the reference's words; the kernel's md-cluster agrees.
fn clustered(req: &CreateRequest, design: &Design) -> Result<(), Refusal> {
    if req.home_cluster.as_ref().is_none_or(String::is_empty) {
        return Err(Refusal::new("The md can't get cluster name").hint("Give it with --home-cluster."));
    }
    if design.level == Level::Raid10 && design.layout >> 8 != 1 {
        return refuse("only near layout is supported with clustered raid10");
    }
    if let Some(path) = req.members.iter().filter(|m| m.write_mostly).find_map(|m| m.path.as_ref()) {
        return refuse(format!("Can not set {} --write-mostly with a clustered bitmap", path.display()));
    }
    if design.version != Version::V1(Minor::V2) {
        return refuse("cluster md only works with superblock 1.2");
    }
    Ok(())
}

fn lockless(req: &CreateRequest, coarsest: Option<u64>) -> Result<(), Refusal> {
    let with =
        |what: &str| refuse(format!("a lockless bitmap cannot be used with {what}: the kernel does not support it."));
    if req.write_journal.is_some() || req.consistency_policy == Some(ConsistencyPolicy::Journal) {
        return with("a journal (--write-journal)");
    }
    if req.consistency_policy == Some(ConsistencyPolicy::Ppl) {
        return with("a partial parity log (--consistency-policy=ppl)");
    }
    if req.write_behind.is_some() {
        return with("--write-behind");
    }
    crate::plan::grow::bitmap::check_seconds("--delay", req.delay)?;
    if coarsest.is_some_and(|c| c != FINEST && c < 128) {
        return refuse("a lockless bitmap has chunks of at least 64K: --bitmap-chunk is below that.");
    }
    Ok(())
}

/// Metadata 0.90 have no room for a PPL, and no role for a journal: the reference makes a spare of it.
fn old_metadata(req: &CreateRequest) -> Result<(), Refusal> {
    let ppl = req.consistency_policy == Some(ConsistencyPolicy::Ppl);
    match req.common.metadata {
        Some(Metadata::V090) if ppl => refuse("0.90 metadata does not support PPL"),
        Some(Metadata::V090) if req.write_journal.is_some() => refuse("0.90 metadata does not support a journal"),
        _ => Ok(()),
    }
}

/// The log against the bitmap and the number of slots. What it wants of the level is checked with the command line.
fn raid_log(req: &CreateRequest, raid_disks: u32, bitmap: NewBitmapKind) -> Result<RaidLog, Refusal> {
    let ppl = req.consistency_policy == Some(ConsistencyPolicy::Ppl);
    let (log, what, most) = match &req.write_journal {
        Some((MemberArg { path: None, .. }, _)) => {
            return Err(Refusal::new("--write-journal=missing: a new array needs its journal.")
                .hint("Leave --write-journal away, and add a journal later with --add-journal."));
        }
        Some(_) => (RaidLog::Journal, "a journal", JOURNAL_SLOTS),
        None if ppl => (RaidLog::Ppl, "a partial parity log", PPL_SLOTS),
        None => return Ok(RaidLog::None),
    };
    if bitmap != NewBitmapKind::None {
        return refuse(format!("{what} and a bitmap cannot be together: the kernel starts no array with both."));
    }
    if raid_disks > most {
        return refuse(format!("{what} works with at most {most} raid-devices."));
    }
    Ok(log)
}
