//! The whole decision: members judged, edits made, the plan of an array that is started.

use super::bitmap_file::{self, file_plan};
use super::edits::{Edited, EditedArea, Edits};
use super::heal::heal_lazy;
use super::identify::identify;
use super::rank::{Ranking, Verdict, rank, refuse_copies};
use super::reshape::Care;
use super::split::refuse_split;
use super::start::{Start, journal, slot_number, slot_words, start};
use super::{BitmapTarget, Candidate, Line, Matched, Update, Wishes, edits, reshape, settings, updates};
use crate::bitmap::header::Kind;
use crate::error::Refusal;
use crate::kernel::md::disk;
use crate::level::Level;
use crate::plan::create::Node;
use crate::plan::startable;
use crate::plan::step::{DiskSpec, Plan, Step};
use crate::superblock::Version;
use crate::superblock::reshape::all_slots;
use crate::superblock::v1::{SuperV1, devflag, feature};
use crate::units::SECTOR_BYTES;
use crate::uuid::Uuid;

/// What is to be done.
#[derive(Debug)]
pub struct Decision {
    /// What is said before anything is done.
    pub lines: Vec<Line>,
    /// Whether the array is started, and what is said then.
    pub start: Start,
    /// The steps; empty where the array is not started.
    pub plan: Plan,
    /// Metadata version.
    pub version: Version,
    /// The superblock that tells of the array, as edited.
    pub sb: SuperV1,
    /// The array's uuid as found.
    pub uuid: Uuid,
    /// The bitmap is lockless.
    pub lockless: bool,
    /// Slots that will be empty.
    pub missing: usize,
    /// What a reshape that is under way takes.
    pub care: Care,
}

/// Judges the devices and makes the plan.
///
/// # Errors
/// What is said, and the [`Refusal`] of a device that should not have been listed, of an edit or of a bitmap.
pub fn decide(wishes: &Wishes, candidates: &[Candidate], node: &Node) -> Result<Decision, (Vec<Line>, Refusal)> {
    let found = identify(wishes, candidates)?;
    let mut lines = found.lines;
    let members = found.members;
    let mut ranking = rank(&members);
    refuse_copies(&members, &ranking).map_err(|r| (lines.clone(), r))?;
    refuse_split(wishes, &members, &ranking).map_err(|r| (lines.clone(), r))?;
    let mut edits = Edits::none(&members);
    let chosen = members.get(ranking.chosen);
    let lockless = chosen.is_some_and(|m| matches!(&m.member.bitmap, Some(Ok(b)) if b.kind == Kind::Lockless));
    heal_lazy(&members, &mut ranking, &mut edits, lockless);
    for m in &members {
        lines.push(Line::wordy(format!(
            "{} is identified as a member of {}, slot {}.",
            m.candidate.path.display(),
            wishes.shown,
            slot_words(m.member)
        )));
    }
    let result = edited(wishes, &members, &mut ranking, &mut edits);
    let turned = *result.as_ref().unwrap_or(&false);
    lines.append(&mut ranking.lines);
    lines.append(&mut edits.lines);
    result.map_err(|r| (lines.clone(), r))?;
    let Some(best) = members.get(ranking.chosen) else {
        return Err((lines, Refusal::new("no member is left")));
    };
    if wishes.lockless && !lockless {
        let refusal = not_lockless(wishes, best);
        return Err((lines, refusal));
    }
    let care = reshape::prepare(wishes, &members, &mut ranking, &mut edits, turned);
    lines.append(&mut edits.lines);
    let care = care.map_err(|r| (lines.clone(), r));
    let Some(best_edit) = edits.members.get(ranking.chosen) else {
        return Err((lines, Refusal::new("no member is left")));
    };
    let sb = best_edit.sb.clone();
    let lockless = match wishes.update {
        Some(Update::Bitmap(target)) => target == BitmapTarget::Lockless,
        _ => lockless && sb.has(feature::BITMAP_OFFSET),
    };
    if let Some(Ok(bitmap)) = best.member.bitmap.as_ref().filter(|_| lockless && wishes.update.is_none()) {
        let over = startable::over_log(&sb, best.member.version, bitmap);
        lines.extend(over.map(|why| Line::normal(format!("{}: {why}", wishes.shown))));
    }
    if lockless {
        lines.extend(leave_spares_out(&wishes.shown, &sb, &members, &mut ranking));
    }
    lines.extend(journal(wishes, &sb, &ranking).map_err(|r| (lines.clone(), r))?);
    let start = start(wishes, &sb, &ranking);
    lines.extend(added(wishes, &members, &ranking));
    let missing = ranking.active(all_slots(&sb)).iter().filter(|a| !**a).count();
    let (version, uuid) = (edits.version.unwrap_or(best.member.version), best.member.sb.set_uuid());
    let resync = wishes.update == Some(Update::Resync);
    let asked = bitmap_file::Asked { facts: wishes.bitmap_file.as_ref(), shown: &wishes.shown, resync };
    let file = file_plan(&asked, best, best_edit, &node.devname).map_err(|r| (lines.clone(), r))?;
    lines.extend(file.lines);
    let mut plan =
        if start.go { plan(wishes, &members, &ranking, &edits, node, lockless, file.steps) } else { Plan::default() };
    // Too few members is said before anything of the reshape.
    let care = if start.go { care? } else { Care::default() };
    reshape::hold(&mut plan, care, &node.devname);
    if start.waits {
        plan.steps.retain(|step| !step.starts_array() && !matches!(step, Step::Setting { .. }));
    }
    Ok(Decision { lines, start, plan, version, sb, uuid, lockless, missing, care })
}

/// A rebuild of a raid10 with a lockless bitmap leaves out data where chunks are unwritten (`plan::mark`), and a spare would be
/// taken at once.
pub(crate) fn leave_spares_out(shown: &str, sb: &SuperV1, members: &[Matched<'_>], ranking: &mut Ranking) -> Vec<Line> {
    let degraded = ranking.active(all_slots(sb)).contains(&false);
    let mut lines = Vec::new();
    if sb.level_raw() != Level::Raid10.raw() || !degraded {
        return lines;
    }
    for (m, verdict) in members.iter().zip(&mut ranking.verdicts) {
        if *verdict == Verdict::Spare {
            *verdict = Verdict::Useless;
            let path = m.candidate.path.display();
            lines.push(Line::normal(format!(
                "{path} is not added to {shown}: the kernel would leave out data when it rebuilds a raid10 with a lockless bitmap; mdadm \
                 {shown} --add {path} does it right"
            )));
        }
    }
    lines
}

/// Whether a reshape is turned by it.
fn edited(wishes: &Wishes, members: &[Matched<'_>], ranking: &mut Ranking, edits: &mut Edits) -> Result<bool, Refusal> {
    if wishes.force {
        edits::force(wishes, members, ranking, edits);
    }
    // A reshape that was being turned when the power went is turned by that.
    let wanted = wishes.update == Some(Update::RevertReshape);
    let rest = reshape::turn_the_rest(members, ranking, edits)?;
    if rest && wanted {
        return Ok(true);
    }
    updates::update(wishes, members, ranking, edits).map(|()| rest || wanted)
}

fn not_lockless(wishes: &Wishes, best: &Matched<'_>) -> Refusal {
    let is = match &best.member.bitmap {
        None => "has no bitmap".to_owned(),
        Some(Ok(b)) => format!("has a bitmap of version {}", b.kind.version()),
        Some(Err(why)) => format!("has a bitmap that cannot be read: {why}"),
    };
    Refusal::new(format!("{}: the array {is}, not a lockless one; nothing was changed", wishes.shown))
        .hint("leave --bitmap=lockless away to assemble it as it is")
}

/// The places of the members that are added, in the order in which they are: by slot, spares behind, the chosen one last,
/// for the kernel believes the superblock of the last of equals.
fn order(members: &[Matched<'_>], ranking: &Ranking) -> Vec<usize> {
    let rank_of = |i: usize| match ranking.verdicts.get(i) {
        Some(Verdict::Active(s) | Verdict::Rebuilding(s) | Verdict::Stale(s)) => Some((0, 2 * u64::from(*s))),
        Some(Verdict::Replacement(s)) => Some((0, 2 * u64::from(*s) + 1)),
        Some(Verdict::Journal | Verdict::Spare) => {
            Some((1, members.get(i).map_or(0, |m| m.member.sb.dev_number().into())))
        }
        _ => None,
    };
    let mut places: Vec<usize> = (0..members.len()).filter(|i| *i != ranking.chosen && rank_of(*i).is_some()).collect();
    places.sort_by_key(|i| rank_of(*i));
    places.push(ranking.chosen);
    places
}

/// What `--verbose` says of each member that is added and each slot that stays empty.
fn added(wishes: &Wishes, members: &[Matched<'_>], ranking: &Ranking) -> Vec<Line> {
    let mut lines = Vec::new();
    let disks = members.get(ranking.chosen).map_or(0, |m| all_slots(&m.member.sb));
    let mut empty = (0..disks)
        .filter(|slot| {
            let has =
                |v: &Verdict| matches!(v, Verdict::Active(s) | Verdict::Rebuilding(s) | Verdict::Stale(s) if s == slot);
            ranking.count(has) == 0
        })
        .peekable();
    let mut no_device = |lines: &mut Vec<Line>, before: Option<i64>| {
        while let Some(slot) = empty.next_if(|s| before.is_none_or(|b| b >= 0 && i64::from(*s) < b)) {
            lines.push(Line::wordy(format!("no uptodate device for slot {slot} of {}", wishes.shown)));
        }
    };
    for i in order(members, ranking) {
        let Some(m) = members.get(i) else { continue };
        let slot = slot_number(&m.member.sb);
        // A replacement comes behind its slot, empty or not.
        let before = slot + i64::from(m.member.sb.has(feature::REPLACEMENT));
        no_device(&mut lines, (i != ranking.chosen && slot >= 0).then_some(before));
        let stale = matches!(ranking.verdicts.get(i), Some(Verdict::Stale(_)));
        lines.push(Line::wordy(format!(
            "added {} to {} as {}{}",
            m.candidate.path.display(),
            wishes.shown,
            slot_words(m.member),
            if stale { " (possibly out of date)" } else { "" }
        )));
    }
    lines
}

fn plan(
    wishes: &Wishes,
    members: &[Matched<'_>],
    ranking: &Ranking,
    edits: &Edits,
    node: &Node,
    lockless: bool,
    bitmap_file: Vec<Step>,
) -> Plan {
    let mut steps = Vec::new();
    let devname = || node.devname.clone();
    let Some(best) = members.get(ranking.chosen) else { return Plan::default() };
    let uuid = edits.members.get(ranking.chosen).map_or(best.member.sb.set_uuid(), |e| e.sb.set_uuid());
    let version = edits.version.unwrap_or(best.member.version);
    steps.push(Step::NewArray { devname: devname(), path: node.path.clone(), metadata: version.word().into(), uuid });
    if lockless {
        steps.push(Step::Sysfs {
            devname: devname(),
            attr: "bitmap_type".into(),
            value: "llbitmap".into(),
            verify: Some("llbitmap".into()),
        });
    }
    steps.extend(bitmap_file);
    // Areas first, on all members: whichever superblock counts after a power cut, what it names is there.
    for (m, e) in members.iter().zip(&edits.members) {
        write_areas(m, e, &mut steps);
    }
    for (m, e) in members.iter().zip(&edits.members) {
        write_super(m, e, &mut steps);
    }
    steps.push(Step::SetArrayInfo { devname: devname(), version: version.numbers() });
    for i in order(members, ranking) {
        if let (Some(m), Some(e)) = (members.get(i), edits.members.get(i)) {
            steps.push(add(m, &e.sb, devname()));
        }
    }
    steps.push(if wishes.readonly {
        Step::Sysfs { devname: devname(), attr: "array_state".into(), value: "readonly".into(), verify: None }
    } else {
        Step::RunArray { devname: devname() }
    });
    steps.extend(settings::steps(&wishes.settings, uuid, &node.path, &node.devname));
    steps.push(Step::Uevent { devname: devname() });
    Plan { steps }
}

fn write_areas(m: &Matched<'_>, e: &Edited, steps: &mut Vec<Step>) {
    if e.what.is_empty() || e.areas.is_empty() {
        return;
    }
    let device = m.candidate.path.clone();
    for EditedArea { offset, bytes, what } in &e.areas {
        let (bytes, what) = (bytes.clone(), what.clone());
        steps.push(Step::Write { device: device.clone(), offset: *offset, bytes, what });
    }
    steps.push(Step::Sync { device });
}

/// A member's areas and its superblock.
pub(crate) fn write(m: &Matched<'_>, e: &Edited, steps: &mut Vec<Step>) {
    write_areas(m, e, steps);
    write_super(m, e, steps);
}

fn write_super(m: &Matched<'_>, e: &Edited, steps: &mut Vec<Step>) {
    if e.what.is_empty() {
        return;
    }
    let mut sb = e.sb.clone();
    sb.update_csum();
    let device = m.candidate.path.clone();
    steps.push(Step::Write {
        device: device.clone(),
        offset: sb.super_offset() * SECTOR_BYTES,
        bytes: match &e.old {
            Some(old) => {
                let mut old = old.clone();
                old.take_over(&sb);
                old.bytes().to_vec()
            }
            None => sb.write_bytes(m.candidate.block).to_vec(),
        },
        what: format!("superblock: {}", e.what.join(", ")),
    });
    steps.push(Step::Sync { device });
}

/// The kernel takes the device numbers only and reads the rest from the superblock; the rest is what it will find.
pub(crate) fn add(m: &Matched<'_>, sb: &SuperV1, devname: String) -> Step {
    let slot = i32::try_from(slot_number(sb)).unwrap_or(-1);
    let mut state = if slot >= 0 { disk::ACTIVE | disk::SYNC } else { 0 };
    for (flag, bit) in [(devflag::WRITE_MOSTLY, disk::WRITEMOSTLY), (devflag::FAILFAST, disk::FAILFAST)] {
        if sb.devflags() & flag != 0 {
            state |= bit;
        }
    }
    let int = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    Step::AddDisk {
        devname,
        device: m.candidate.path.clone(),
        spec: DiskSpec {
            number: int(sb.dev_number()),
            major: int(m.candidate.dev.0),
            minor: int(m.candidate.dev.1),
            raid_disk: slot,
            state,
        },
    }
}
