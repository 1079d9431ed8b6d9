//! Superblocks changed by `--force` and `--update`.

use super::rank::{Ranking, Verdict, table};
use super::{Line, Matched, Update, Wishes, knows_slot};
use crate::bitmap::header::{BitmapSuper, Kind, state};
use crate::error::Refusal;
use crate::level::Level;
use crate::plan::create::slots::enough;
use crate::superblock::v0::{SuperV0, mark_host};
use crate::superblock::v1::{Role, SuperV1, feature};
use crate::uuid::Uuid;

/// A member's superblock, and what of it changed.
#[derive(Debug, Clone)]
pub struct Edited {
    /// As it will be.
    pub sb: SuperV1,
    /// The 0.90 superblock with what only such a one has; [`SuperV0::take_over`] puts `sb` into it.
    pub old: Option<Box<SuperV0>>,
    /// The bitmap's superblock, where that changes: byte of the device, new bytes, what of it changed.
    pub bitmap: Option<(u64, BitmapSuper, &'static str)>,
    /// What is changed, in words.
    pub what: Vec<String>,
}

/// All members' superblocks, in their order.
#[derive(Debug, Clone)]
pub struct Edits {
    /// By place in the list of members.
    pub members: Vec<Edited>,
    /// What was said.
    pub lines: Vec<Line>,
}

impl Edits {
    /// No change yet.
    #[must_use]
    pub fn none(members: &[Matched<'_>]) -> Edits {
        let as_is = |m: &Matched<'_>| Edited {
            sb: m.member.sb.clone(),
            old: m.member.old.clone(),
            bitmap: None,
            what: Vec::new(),
        };
        Edits { members: members.iter().map(as_is).collect(), lines: Vec::new() }
    }
}

/// `--force`: stale members are taken, the least stale first, until the array can start. The kernel believes the superblock
/// of the chosen member, so its role table and its resync offset change; a taken member gets its event count.
///
/// # Errors
/// Where a member that is needed has seen writes of its own: taking both halves would mix them block by block.
pub fn force(
    wishes: &Wishes,
    members: &[Matched<'_>],
    ranking: &mut Ranking,
    edits: &mut Edits,
) -> Result<(), Refusal> {
    let Some(best) = members.get(ranking.chosen).map(|m| &m.member.sb) else { return Ok(()) };
    let level = Level::from_raw(best.level_raw());
    let is_enough =
        |ranking: &Ranking| level.is_some_and(|l| enough(l, best.layout(), &ranking.active(best.raid_disks())));
    refuse_apart(wishes, members, ranking)?;
    let mut taken = Vec::new();
    while !is_enough(ranking) {
        let stale = ranking.verdicts.iter().enumerate().filter(|(_, v)| matches!(v, Verdict::Stale(_)));
        let events = |i: usize| members.get(i).map_or(0, |m| m.member.sb.events());
        let Some(most) = stale.clone().map(|(i, _)| events(i)).max() else { break };
        let same: Vec<usize> = stale.map(|(i, _)| i).filter(|i| events(*i) == most).collect();
        for i in same {
            if let Some(v) = ranking.verdicts.get_mut(i)
                && let Verdict::Stale(slot) = *v
            {
                *v = Verdict::Active(slot);
                taken.push((i, slot));
            }
        }
    }
    if !is_enough(ranking) {
        // Nothing is written for an array that does not start anyway.
        for (i, slot) in taken {
            if let Some(v) = ranking.verdicts.get_mut(i) {
                *v = Verdict::Stale(slot);
            }
        }
        return Ok(());
    }
    if !taken.is_empty() {
        edits.lines.push(Line::normal("--force takes members that have missed writes; what they missed is lost:"));
        edits.lines.extend(table(members).into_iter().map(Line::normal));
        // What was said of them before is not so any more.
        let names: Vec<String> = taken
            .iter()
            .filter_map(|(i, _)| members.get(*i))
            .map(|m| format!("{} is out of date", m.candidate.path.display()))
            .collect();
        ranking.lines.retain(|l| !names.iter().any(|n| l.text.starts_with(n)));
    }
    for (i, slot) in &taken {
        take(wishes, members, ranking.chosen, (*i, *slot), edits);
    }
    mark_clean(wishes, best, level, ranking, !taken.is_empty(), edits);
    Ok(())
}

/// Two halves that have each run without the other.
fn refuse_apart(wishes: &Wishes, members: &[Matched<'_>], ranking: &Ranking) -> Result<(), Refusal> {
    let Some(best) = members.get(ranking.chosen) else { return Ok(()) };
    let apart = members.iter().zip(&ranking.verdicts).find(|(_, v)| match v {
        Verdict::Apart(slot) => !knows_slot(&best.member.sb, *slot),
        _ => false,
    });
    let Some((other, _)) = apart else { return Ok(()) };
    let refusal = Refusal::new(format!(
        "{}: {} and {} have each been written to while the other was missing: --force would mix their data",
        wishes.shown,
        best.candidate.path.display(),
        other.candidate.path.display()
    ));
    let refusal = table(members).into_iter().fold(refusal, Refusal::hint);
    Err(refusal
        .hint("start one half by naming only its devices and --run, look at it, and add the other devices afterwards"))
}

fn take(wishes: &Wishes, members: &[Matched<'_>], chosen: usize, (i, slot): (usize, u32), edits: &mut Edits) {
    let (Some(m), Some(best)) = (members.get(i), members.get(chosen)) else { return };
    let shown = m.candidate.path.display();
    let (from, to) = (m.member.sb.events(), best.member.sb.events());
    if let Some(e) = edits.members.get_mut(i) {
        e.sb.set_events(to);
        e.what.push(format!("events from {from} to {to}"));
    }
    edits.lines.push(Line::normal(format!("forcing event count in {shown}({slot}) from {from} up to {to}")));
    let number = m.member.sb.dev_number();
    let role = u16::try_from(slot).map_or(Role::Spare, Role::Slot);
    if best.member.sb.role_at(number) != role
        && let Some(e) = edits.members.get_mut(chosen)
    {
        e.sb.put_role(number, role);
        e.what.push(format!("device {number} active in slot {slot}"));
        edits.lines.push(Line::normal(format!("clearing FAULTY flag for device {i} in {} for {shown}", wishes.shown)));
    }
}

/// A raid4, 5 or 6 with members missing and writes under way is not started by the kernel: its parity may be wrong where
/// the missing members' data would have to be computed from it.
fn mark_clean(
    wishes: &Wishes,
    best: &SuperV1,
    level: Option<Level>,
    ranking: &Ranking,
    changed: bool,
    edits: &mut Edits,
) {
    let degraded = ranking.active(best.raid_disks()).contains(&false);
    // A PPL is made for that, and is replayed only into an array that is not marked clean.
    let dirty = best.resync_offset() != u64::MAX && !best.has_ppl() && level.is_some_and(Level::is_parity) && degraded;
    if !changed && !dirty {
        return;
    }
    edits.lines.push(Line::normal(format!("Marking array {} as 'clean'", wishes.shown)));
    if dirty && let Some(e) = edits.members.get_mut(ranking.chosen) {
        e.sb.set_resync_offset(u64::MAX);
        e.what.push("in sync".into());
        edits.lines.push(Line::normal(
            "blocks that were being written when the array stopped may read back wrong on the missing members' slots",
        ));
    }
}

/// `--update`: the same edit on every member, refused whole where one cannot take it.
///
/// # Errors
/// A [`Refusal`] with the member that cannot take it.
pub fn update(wishes: &Wishes, members: &[Matched<'_>], ranking: &Ranking, edits: &mut Edits) -> Result<(), Refusal> {
    let Some(update) = &wishes.update else { return Ok(()) };
    for ((m, edited), verdict) in members.iter().zip(&mut edits.members).zip(&ranking.verdicts) {
        if matches!(verdict, Verdict::Copy(_) | Verdict::Apart(_) | Verdict::Useless) {
            continue;
        }
        one(wishes, update, m, edited)?;
    }
    Ok(())
}

fn one(wishes: &Wishes, update: &Update, m: &Matched<'_>, e: &mut Edited) -> Result<(), Refusal> {
    let shown = m.candidate.path.display();
    if m.member.old.is_some() {
        return old_one(wishes, update, m, e);
    }
    let rename = |e: &mut Edited, name: &[u8]| {
        if e.sb.set_name() != name {
            e.sb.put_set_name(name);
            e.what.push(format!("name {}", String::from_utf8_lossy(name).escape_debug()));
        }
    };
    match update {
        Update::Uuid(uuid) => {
            logs_keep_the_uuid(m)?;
            e.sb.put_set_uuid(*uuid);
            e.what.push(format!("uuid {uuid}"));
            edit_bitmap(m, e, "uuid", |bitmap| bitmap.put_uuid(*uuid))?;
        }
        Update::Name(name) => rename(e, name),
        Update::HomeHost(host) => {
            let old = e.sb.set_name();
            let own = old.iter().position(|b| *b == b':').and_then(|at| old.get(at + 1..)).unwrap_or(&old);
            let new: Vec<u8> = host.bytes().chain(*b":").chain(own.iter().copied()).collect();
            if new.len() > 32 {
                return Err(Refusal::new(format!(
                    "{shown}: '{}' is longer than the 32 bytes of a name; nothing was changed",
                    String::from_utf8_lossy(&new).escape_debug()
                )));
            }
            rename(e, &new);
        }
        Update::Resync => {
            e.sb.set_resync_offset(0);
            e.what.push("not in sync".into());
            // The kernel resyncs what the bitmap tells it to, and nothing else, unless the bitmap is out of date.
            edit_bitmap(m, e, "out of date", |bitmap| bitmap.set_state(bitmap.state() | state::STALE))?;
        }
        Update::Raid0Layout(layout) => {
            if Level::from_raw(e.sb.level_raw()) != Some(Level::Raid0) {
                let word = if *layout == 1 { "layout-original" } else { "layout-alternate" };
                return Err(Refusal::new(format!("{shown}: {word} only supported for RAID0"))
                    .hint(format!("--update={word} not understood for 1.x metadata")));
            }
            e.sb.set_layout(*layout);
            e.sb.set_feature_map(e.sb.feature_map() | feature::RAID0_LAYOUT);
            e.what.push(format!("layout {layout}"));
        }
        Update::SuperMinor(_) => return not_understood("super-minor", "1.x"),
        Update::Summaries => return not_understood("summaries", "1.x"),
        Update::ByteOrder => return not_understood("byteorder", "1.x"),
        Update::Other(word) => return not_understood(word, "1.x"),
    }
    Ok(())
}

fn not_understood(word: &str, metadata: &str) -> Result<(), Refusal> {
    Err(Refusal::new(format!("--update={word} not understood for {metadata} metadata")))
}

/// The same for 0.90 metadata.
fn old_one(wishes: &Wishes, update: &Update, m: &Matched<'_>, e: &mut Edited) -> Result<(), Refusal> {
    let Some(old) = e.old.as_deref_mut() else { return Ok(()) };
    match update {
        // The host is the second half of the uuid; one that was given stays whole.
        Update::Uuid(uuid) => {
            let host = wishes.homehost.as_deref().filter(|_| wishes.uuid.is_none());
            return rename_old(m, e, host.map_or(*uuid, |host| mark_host(*uuid, host)));
        }
        Update::HomeHost(host) => {
            let uuid = mark_host(e.sb.set_uuid(), host);
            return rename_old(m, e, uuid);
        }
        Update::Resync => {
            e.sb.set_resync_offset(0);
            e.what.push("not in sync".into());
            edit_bitmap(m, e, "out of date", |bitmap| bitmap.set_state(bitmap.state() | state::STALE))?;
        }
        Update::SuperMinor(number) => {
            old.set_md_minor(*number);
            e.what.push(format!("number {number}"));
        }
        Update::Summaries => {
            old.count_members();
            e.what.push("counts of members".into());
        }
        Update::ByteOrder if m.member.turned => {
            let uuid = old.bitmap_uuid();
            e.what.push("this machine's byte order".into());
            edit_bitmap(m, e, "this machine's byte order", |bitmap| {
                bitmap.put_uuid(uuid);
                if matches!(bitmap.kind(), Ok(Kind::HostEndian)) {
                    // Its bits are in the order of the other machine.
                    bitmap.set_state(bitmap.state() | state::STALE);
                }
            })?;
        }
        // Turned before the power failed, say.
        Update::ByteOrder => {}
        Update::Name(_) => return not_understood("name", "0.90"),
        Update::Raid0Layout(1) => return not_understood("layout-original", "0.90"),
        Update::Raid0Layout(_) => return not_understood("layout-alternate", "0.90"),
        Update::Other(word) => {
            return Err(Refusal::new(format!(
                "--update={word} is not in this version of mdadm-rs yet; nothing was changed"
            )));
        }
    }
    Ok(())
}

fn rename_old(m: &Matched<'_>, e: &mut Edited, uuid: Uuid) -> Result<(), Refusal> {
    e.sb.put_set_uuid(uuid);
    e.what.push(format!("uuid {uuid}"));
    let mut renamed = e.old.clone();
    let in_bitmap = renamed.as_deref_mut().map(|old| {
        old.put_uuid(uuid);
        old.bitmap_uuid()
    });
    edit_bitmap(m, e, "uuid", |bitmap| bitmap.put_uuid(in_bitmap.unwrap_or(uuid)))
}

/// The logs of raid4/5/6 are bound to the uuid, and are thrown away by the kernel if they have another one.
fn logs_keep_the_uuid(m: &Matched<'_>) -> Result<(), Refusal> {
    let sb = &m.member.sb;
    let shown = m.candidate.path.display();
    if sb.has(feature::JOURNAL) {
        return Err(Refusal::new(format!(
            "{shown}: the uuid cannot be changed: what the array's journal holds would be lost"
        )));
    }
    if sb.has_ppl() && sb.resync_offset() != u64::MAX {
        let line = format!("{shown}: the uuid cannot be changed: what the partial parity log holds would be lost");
        return Err(Refusal::new(line).hint("start the array as it is, stop it, and try again"));
    }
    Ok(())
}

/// Changes the bitmap's superblock, where the member has a bitmap.
fn edit_bitmap(
    m: &Matched<'_>,
    e: &mut Edited,
    what: &'static str,
    edit: impl Fn(&mut BitmapSuper),
) -> Result<(), Refusal> {
    match &m.member.bitmap {
        None => Ok(()),
        Some(Ok(bitmap)) => {
            let mut sb = bitmap.sb.clone();
            edit(&mut sb);
            e.bitmap = Some((bitmap.start, sb, what));
            Ok(())
        }
        Some(Err(why)) => {
            let shown = m.candidate.path.display();
            Err(Refusal::new(format!("{shown}: its bitmap cannot be updated: {why}; nothing was changed")))
        }
    }
}
