//! `--bitmap=FILE`: the file that was given at create, held against the array.

use super::edits::Edited;
use super::{Line, Matched};
use crate::bitmap::bits::bits_bytes;
use crate::bitmap::header::{BitmapSuper, SUPER_BYTES, state};
use crate::error::Refusal;
use crate::level::Level;
use crate::plan::bitmap_file::{DEPRECATED, FileFacts, WITHOUT, set};
use crate::plan::create::sizing::sync_sectors;
use crate::plan::step::Step;
use crate::superblock::v1::{SuperV1, feature};
use crate::units::{SECTOR_BYTES, Sectors};
use crate::uuid::Uuid;

/// What is done with the file, and what is said of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilePlan {
    /// Before the members are written and added.
    pub steps: Vec<Step>,
    /// Lines for stderr.
    pub lines: Vec<Line>,
}

/// Which file is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The file.
    pub facts: Option<&'a FileFacts>,
    /// The array's name.
    pub shown: &'a str,
    /// All of it counts as dirty.
    pub resync: bool,
}

/// Judges the file by the superblock that tells of the array, as found and as edited.
///
/// # Errors
/// A [`Refusal`]: the file is none of this array's, or the array has a bitmap on its members.
pub fn file_plan(asked: &Asked<'_>, best: &Matched<'_>, edit: &Edited, devname: &str) -> Result<FilePlan, Refusal> {
    let Some(facts) = asked.facts else { return Ok(FilePlan::default()) };
    match judge(asked, facts, best, edit, devname) {
        Err(refusal) if facts.optional => {
            let lines = refusal.lines.into_iter().chain([format!("{} {WITHOUT}", asked.shown)]);
            Ok(FilePlan { steps: Vec::new(), lines: lines.map(Line::normal).collect() })
        }
        plan => plan,
    }
}

fn judge(
    asked: &Asked<'_>,
    facts: &FileFacts,
    best: &Matched<'_>,
    edit: &Edited,
    devname: &str,
) -> Result<FilePlan, Refusal> {
    let (sb, shown) = (&edit.sb, asked.shown);
    let nothing = if facts.optional { "" } else { "; nothing was changed" };
    let refuse = |why: &str| Err(Refusal::new(format!("{shown}: {why}{nothing}")));
    let level = Level::from_raw(sb.level_raw());
    if !level.is_some_and(Level::is_redundant) {
        return refuse("bitmaps are not meaningful with its level");
    }
    // The kernel would use the file, and take the other away.
    if sb.has(feature::BITMAP_OFFSET) {
        let away = if facts.optional { "" } else { ": leave --bitmap away" };
        return refuse(&format!("the array has its bitmap on the members, not in a file{away}"));
    }
    if sb.has(feature::JOURNAL) {
        return refuse("an array with a journal cannot have a bitmap");
    }
    let (found, new) = uuids(best, edit);
    let bitmap = facts.adopt(found, None)?;
    let mut plan = FilePlan { steps: Vec::new(), lines: vec![Line::normal(DEPRECATED)] };
    let path = facts.path.display();
    fits(facts, &bitmap.sb, level, sb)?;
    // Kernel: md_bitmap_read_sb.
    if bitmap.sb.events() < sb.events() {
        plan.lines.push(Line::normal(format!(
            "{path} is out of date (events {}, the array has {}): the array ran without it, and all of it counts as dirty",
            bitmap.sb.events(),
            sb.events()
        )));
    }
    let mut edited = bitmap.sb.clone();
    edited.put_uuid(new);
    let mut what = "uuid";
    if asked.resync {
        edited.set_state(edited.state() | state::STALE);
        what = "out of date";
    }
    if edited != bitmap.sb {
        let device = facts.path.clone();
        let what = format!("bitmap superblock: {what}");
        plan.steps.push(Step::Write { device: device.clone(), offset: 0, bytes: edited.bytes().to_vec(), what });
        plan.steps.push(Step::Sync { device });
    }
    plan.steps.push(set(devname, &facts.path, facts.optional));
    Ok(plan)
}

/// The array's uuid as its bitmap has it (0.90: in words of this machine), as found and as it will be.
fn uuids(best: &Matched<'_>, edit: &Edited) -> (Uuid, Uuid) {
    let Some(old) = &best.member.old else { return (best.member.sb.set_uuid(), edit.sb.set_uuid()) };
    let mut new = old.clone();
    new.put_uuid(edit.sb.set_uuid());
    (old.bitmap_uuid(), new.bitmap_uuid())
}

/// The kernel sizes the bitmap by the array as it is now: the file must hold that (`md_bitmap_init_from_disk`).
fn fits(facts: &FileFacts, bitmap: &BitmapSuper, level: Option<Level>, sb: &SuperV1) -> Result<(), Refusal> {
    let level = level.unwrap_or(Level::Raid1);
    let (chunk, size) = (Sectors(sb.chunksize().into()), Sectors(sb.size()));
    let sync = sync_sectors(level, sb.layout(), chunk, sb.raid_disks(), size);
    let bytes = |sectors: u64| {
        let chunks = sectors.saturating_mul(SECTOR_BYTES).div_ceil(bitmap.chunk_bytes().max(1));
        bits_bytes(chunks).saturating_add(SUPER_BYTES as u64)
    };
    // A file is made in whole blocks, and was read for the range that it names.
    if bytes(sync.0) > bytes(bitmap.sync_size()).next_multiple_of(4096) {
        let (had, has) = (Sectors(bitmap.sync_size()).kib(), sync.kib());
        let path = facts.path.display();
        return Err(Refusal::new(format!("bitmap file {path} is too short: the array grew from {had}K to {has}K"))
            .hint("assemble it without --bitmap; it is resynced if it is not clean"));
    }
    Ok(())
}
