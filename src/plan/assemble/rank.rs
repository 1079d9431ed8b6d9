//! The members compared with each other: who is fresh, who is a copy, who has missed writes.

use std::collections::BTreeSet;

use super::table::{lines, rows};
use super::{Line, Matched, knows_slot};
use crate::error::Refusal;
use crate::level::Level;
use crate::superblock::Version;
use crate::superblock::reshape::all_slots;
use crate::superblock::v1::{Role, SuperV1, feature};

/// What becomes of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// In this slot, in sync.
    Active(u32),
    /// In this slot, and rebuilt only in part.
    Rebuilding(u32),
    /// In this slot beside the device that it is to replace.
    Replacement(u32),
    /// A spare.
    Spare,
    /// The journal.
    Journal,
    /// A journal that the array has done without: what it holds is older than what the members hold.
    StaleJournal,
    /// It has missed writes: added, and kicked out again by the kernel.
    Stale(u32),
    /// It holds data that others do not have, and they hold data that it does not have.
    Apart(u32),
    /// The same member as the one at this place of the list.
    Copy(usize),
    /// Failed by its own superblock, or with a role that cannot be.
    Useless,
}

impl Verdict {
    /// Whether what it says of the array counts: it has missed nothing, and is no copy.
    #[must_use]
    pub fn counts(&self) -> bool {
        !matches!(self, Verdict::Copy(_) | Verdict::Apart(_) | Verdict::Useless | Verdict::Stale(_))
    }
}

/// The members in their order.
#[derive(Debug, Clone)]
pub struct Ranking {
    /// By place in the list of members.
    pub verdicts: Vec<Verdict>,
    /// The place of the member whose superblock the kernel is to believe: of the freshest the one in the lowest slot.
    pub chosen: usize,
    /// What was said.
    pub lines: Vec<Line>,
}

impl Ranking {
    /// Places with this slot in sync.
    #[must_use]
    pub fn active(&self, raid_disks: u32) -> Vec<bool> {
        (0..raid_disks).map(|slot| self.verdicts.contains(&Verdict::Active(slot))).collect()
    }

    /// How many members have a verdict of this kind.
    #[must_use]
    pub fn count(&self, is: impl Fn(&Verdict) -> bool) -> usize {
        self.verdicts.iter().filter(|v| is(v)).count()
    }
}

/// The slot that a member fills or will fill.
pub(super) fn slot_of(sb: &SuperV1) -> Option<u32> {
    match sb.role() {
        Role::Slot(slot) if u32::from(slot) < all_slots(sb) => Some(slot.into()),
        _ => None,
    }
}

/// Judges every member. `force` takes members that were written to apart as they come, for [`super::edits`] to judge.
#[must_use]
pub fn rank(members: &[Matched<'_>]) -> Ranking {
    let copies = copies(members);
    let events = |i: usize| members.get(i).map_or(0, |m| m.member.sb.events());
    let original = |i: &usize| copies.get(*i).copied().flatten().is_none();
    let with_slot = (0..members.len())
        .filter(original)
        .filter(|i| members.get(*i).is_some_and(|m| slot_of(&m.member.sb).is_some()));
    // The first of the freshest: `max_by_key` gives the last of equals. Of two halves written apart it tells the one to go
    // on with, so the order of the list matters, as in the reference.
    let first = with_slot.rev().max_by_key(|i| events(*i)).or_else(|| (0..members.len()).find(original)).unwrap_or(0);
    let mut ranking = Ranking { verdicts: Vec::new(), chosen: first, lines: Vec::new() };
    for i in 0..members.len() {
        ranking.verdicts.push(match copies.get(i).copied().flatten() {
            Some(of) => Verdict::Copy(of),
            None => judge(members, first, i),
        });
    }
    one_journal(&mut ranking.verdicts, events);
    for (m, verdict) in members.iter().zip(&ranking.verdicts) {
        ranking.lines.extend(remark(members, first, m, *verdict));
    }
    let fresh = ranking.verdicts.iter().enumerate().filter_map(|(i, v)| match v {
        Verdict::Active(slot) if events(i) == events(first) => Some((*slot, i)),
        _ => None,
    });
    ranking.chosen = fresh.min().map_or(first, |(_, i)| i);
    ranking
}

/// For each member the fresher one it is a copy of: the same device uuid, or the same place in the array. Of equals the
/// first in the list counts.
fn copies(members: &[Matched<'_>]) -> Vec<Option<usize>> {
    // With 0.90 metadata the kernel takes each number of the table once, a spare's too.
    let numbered = members.iter().any(|m| m.member.version == Version::V090);
    let place = |sb: &SuperV1| match numbered {
        true => Some((sb.dev_number(), false)),
        false => slot_of(sb).map(|slot| (slot, sb.has(feature::REPLACEMENT))),
    };
    let same =
        |a: &SuperV1, b: &SuperV1| a.device_uuid() == b.device_uuid() || (place(a).is_some() && place(a) == place(b));
    let mut by_events: Vec<(usize, &SuperV1)> = members.iter().map(|m| &m.member.sb).enumerate().collect();
    by_events.sort_by_key(|(_, sb)| std::cmp::Reverse(sb.events()));
    let mut copies = vec![None; members.len()];
    let mut kept: Vec<(usize, &SuperV1)> = Vec::new();
    for (i, sb) in by_events {
        match (kept.iter().find(|(_, other)| same(sb, other)), copies.get_mut(i)) {
            (Some((of, _)), Some(copy)) => *copy = Some(*of),
            _ => kept.push((i, sb)),
        }
    }
    copies
}

/// Two devices with the same place in the array, equally fresh, of which neither is a plain copy of the other: nothing tells
/// which of them is the member.
///
/// # Errors
/// Two members of the array are there twice, with the same superblocks: the disks were cloned, and which of them belong together
/// nothing tells. One that is there twice is a copy like another.
fn refuse_clones(members: &[Matched<'_>], ranking: &Ranking) -> Result<(), Refusal> {
    let twice = members.iter().zip(&ranking.verdicts).filter(|(m, verdict)| match verdict {
        Verdict::Copy(of) => members.get(*of).is_some_and(|other| other.member.sb == m.member.sb),
        _ => false,
    });
    let slots: BTreeSet<u32> = twice.filter_map(|(m, _)| slot_of(&m.member.sb)).collect();
    if slots.len() < 2 {
        return Ok(());
    }
    let refusal = Refusal::new(
        "several members of the array are there twice, with the same superblocks: of cloned disks nothing tells which belong \
         together",
    );
    let refusal = refusal.hints(lines(&rows(members, Some(ranking))));
    Err(refusal.hint(
        "name the members of one of the two, or take the others away; to keep both: mdadm --assemble --update=uuid /dev/md/NEW and \
         the members of one",
    ))
}

/// For 0.90 in the words of the reference, which refuses them too.
pub fn refuse_copies(members: &[Matched<'_>], ranking: &Ranking) -> Result<(), Refusal> {
    refuse_clones(members, ranking)?;
    for (m, verdict) in members.iter().zip(&ranking.verdicts) {
        let Verdict::Copy(of) = verdict else { continue };
        let Some(other) = members.get(*of) else { continue };
        if m.member.sb.events() != other.member.sb.events() {
            continue;
        }
        let (a, b) = (other.candidate.path.display(), m.candidate.path.display());
        if m.member.version == Version::V090 {
            return Err(Refusal::new(format!(
                "WARNING {a} and {b} appear to have very similar superblocks.\n      \
                 If they are really different, please --zero the superblock on one\n      \
                 If they are the same or overlap, please remove one from the list."
            )));
        }
        if m.member.sb != other.member.sb {
            let refusal = Refusal::new(format!(
                "{a} and {b} are the same member of the array, equally fresh, and differ: nothing tells which of them to take"
            ));
            let refusal = refusal.hints(lines(&rows(members, Some(ranking))));
            return Err(refusal.hint("name the members, one of the two among them, or take the other one away"));
        }
    }
    Ok(())
}

/// A linear array that was being made longer: not all superblocks tell of its last members yet, and none has failed.
fn is_longer(best: &SuperV1, sb: &SuperV1) -> bool {
    Level::from_raw(best.level_raw()) == Some(Level::Linear) && best.raid_disks() > sb.raid_disks()
}

fn judge(members: &[Matched<'_>], first: usize, i: usize) -> Verdict {
    let (Some(m), Some(best)) = (members.get(i), members.get(first)) else { return Verdict::Useless };
    let (sb, best) = (&m.member.sb, &best.member.sb);
    let slot = match (sb.role(), slot_of(sb)) {
        (_, Some(slot)) => slot,
        (Role::Spare, _) => return Verdict::Spare,
        (Role::Journal, _) if i == first => return Verdict::Journal,
        (Role::Journal, _) => {
            let fresh = best.events().saturating_sub(sb.events()) <= 1;
            let known = best.role_at(sb.dev_number()) == Role::Journal;
            return if fresh && known { Verdict::Journal } else { Verdict::StaleJournal };
        }
        _ => return Verdict::Useless,
    };
    if i == first {
        return Verdict::Active(slot);
    }
    let behind = best.events().saturating_sub(sb.events());
    let failed = best.role_at(sb.dev_number()) == Role::Faulty;
    // Equal counts and a chosen one that is missing to it: both have run without the other.
    let apart = slot_of(best).is_some_and(|s| !knows_slot(sb, s) && !is_longer(best, sb));
    if behind > 1 || (behind == 1 && (failed || !knows_slot(best, slot))) {
        return Verdict::Stale(slot);
    }
    if apart {
        return Verdict::Apart(slot);
    }
    if failed {
        return Verdict::Stale(slot);
    }
    if sb.has(feature::REPLACEMENT) {
        return Verdict::Replacement(slot);
    }
    if sb.has(feature::RECOVERY_OFFSET) && sb.recovery_offset() != u64::MAX {
        return Verdict::Rebuilding(slot);
    }
    Verdict::Active(slot)
}

/// Of several journals the freshest counts: mdadm 4.6 gives a new one the number of the one that it replaces, and both are
/// then known to the members. Where two are equally fresh, neither is trusted.
fn one_journal(verdicts: &mut [Verdict], events: impl Fn(usize) -> u64) {
    let journals: Vec<usize> =
        verdicts.iter().enumerate().filter(|(_, v)| **v == Verdict::Journal).map(|(i, _)| i).collect();
    let Some(most) = journals.iter().map(|i| events(*i)).max() else { return };
    let alone = journals.iter().filter(|i| events(**i) == most).count() == 1;
    for i in journals {
        if let Some(v) = verdicts.get_mut(i).filter(|_| !alone || events(i) < most) {
            *v = Verdict::StaleJournal;
        }
    }
}

fn remark(members: &[Matched<'_>], chosen: usize, m: &Matched<'_>, verdict: Verdict) -> Option<Line> {
    let shown = m.candidate.path.display();
    let of = |i: usize| members.get(i).map_or_else(String::new, |m| m.candidate.path.display().to_string());
    let best = members.get(chosen)?;
    Some(Line::normal(match verdict {
        Verdict::Stale(_) => format!(
            "{shown} is out of date: events {}, those of {} are {}; last written {}",
            m.member.sb.events(),
            of(chosen),
            best.member.sb.events(),
            m.member.updated
        ),
        Verdict::StaleJournal => format!(
            "{shown} is a journal, and out of date: events {}, those of {} are {}; last written {}",
            m.member.sb.events(),
            of(chosen),
            best.member.sb.events(),
            m.member.updated
        ),
        Verdict::Apart(_) => format!("ignoring {shown} as it reports {} as failed", of(chosen)),
        Verdict::Copy(i) => {
            let other = members.get(i)?;
            let same = other.member.sb.device_uuid() == m.member.sb.device_uuid();
            let why = match (same, other.member.sb.events() > m.member.sb.events()) {
                (true, true) => "an older copy of",
                (true, false) => "a copy of",
                (false, true) => "older than, and in the same slot as,",
                (false, false) => "in the same slot as",
            };
            format!("{shown} is {why} {}: left out", of(i))
        }
        Verdict::Useless => format!("{shown} has failed or has missed writes: left out"),
        _ => return None,
    }))
}
