//! Superblocks changed by `--force`; [`super::updates`] has those of `--update`.

use super::rank::{Ranking, Verdict};
use super::table::{lines, rows};
use super::{Line, Matched, Wishes};
use crate::level::Level;
use crate::plan::incremental::able;
use crate::superblock::Version;
use crate::superblock::reshape::all_slots;
use crate::superblock::v0::SuperV0;
use crate::superblock::v1::{Role, SuperV1, feature};

/// A member's superblock, and what of it changed.
#[derive(Debug, Clone)]
pub struct Edited {
    /// As it will be.
    pub sb: SuperV1,
    /// The 0.90 superblock with what only such a one has; [`SuperV0::take_over`] puts `sb` into it.
    pub old: Option<Box<SuperV0>>,
    /// What else is written on the member, before its superblock.
    pub areas: Vec<EditedArea>,
    /// What is changed, in words.
    pub what: Vec<String>,
}

/// A stretch of a member that changes: a bitmap's superblock, a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditedArea {
    /// Byte of the device.
    pub offset: u64,
    /// As it will be.
    pub bytes: Vec<u8>,
    /// What it is, and what of it changes.
    pub what: String,
}

/// All members' superblocks, in their order.
#[derive(Debug, Clone)]
pub struct Edits {
    /// By place in the list of members.
    pub members: Vec<Edited>,
    /// The metadata are converted to this version.
    pub version: Option<Version>,
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
            areas: Vec::new(),
            what: Vec::new(),
        };
        Edits { members: members.iter().map(as_is).collect(), version: None, lines: Vec::new() }
    }
}

/// `--force`: stale members are taken, the least stale first, until the array can start. The kernel believes the superblock
/// of the chosen member, so its role table and its resync offset change; a taken member gets its event count.
///
/// Halves that have each run without the other have been refused before ([`super::split`]).
pub fn force(wishes: &Wishes, members: &[Matched<'_>], ranking: &mut Ranking, edits: &mut Edits) {
    let Some(best) = members.get(ranking.chosen).map(|m| &m.member.sb) else { return };
    let is_enough = |ranking: &Ranking| able(best, &ranking.active(all_slots(best)));
    // What has moved since then is not where a member of an earlier stage has it.
    let stage =
        |sb: &SuperV1| (sb.has(feature::RESHAPE_ACTIVE), sb.reshape_position(), sb.delta_disks(), sb.raid_disks());
    let same_stage = |i: usize| {
        members.get(i).is_some_and(|m| {
            stage(&m.member.sb) == stage(best)
                || !(best.has(feature::RESHAPE_ACTIVE) || m.member.sb.has(feature::RESHAPE_ACTIVE))
        })
    };
    let mut taken = Vec::new();
    while !is_enough(ranking) {
        let stale =
            ranking.verdicts.iter().enumerate().filter(|(i, v)| matches!(v, Verdict::Stale(_)) && same_stage(*i));
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
        return;
    }
    if !taken.is_empty() {
        edits.lines.push(Line::normal("--force takes members that have missed writes; what they missed is lost:"));
        edits.lines.extend(lines(&rows(members, None)).into_iter().map(Line::normal));
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
    mark_clean(wishes, best, Level::from_raw(best.level_raw()), ranking, !taken.is_empty(), edits);
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
    let degraded = ranking.active(all_slots(best)).contains(&false);
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
