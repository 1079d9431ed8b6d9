//! Split brain: members that have each run without the other. Both sides have acknowledged writes that the other does not
//! have, so neither is taken for the array unless a person says so.

use super::rank::{Ranking, Verdict, slot_of};
use super::table::{lines, rows};
use super::{Matched, Wishes, knows_slot};
use crate::error::Refusal;
use crate::superblock::Version;
use crate::superblock::v1::Role;

/// Refuses an array whose members hold each other failed or missing.
///
/// # Errors
/// The [`Refusal`], with the members side by side and the way out.
pub fn refuse_split(wishes: &Wishes, members: &[Matched<'_>], ranking: &Ranking) -> Result<(), Refusal> {
    let in_slots: Vec<(usize, u32)> = members
        .iter()
        .enumerate()
        .filter(|(i, _)| !matches!(ranking.verdicts.get(*i), Some(Verdict::Copy(_) | Verdict::Useless) | None))
        .filter(|(i, _)| !is_only_behind(members, ranking, *i))
        .filter_map(|(i, m)| Some((i, slot_of(&m.member.sb)?)))
        .collect();
    let knows = |i: usize, slot: u32| members.get(i).is_some_and(|m| knows_slot(&m.member.sb, slot));
    let pairs = in_slots.iter().flat_map(|a| in_slots.iter().map(move |b| (*a, *b)));
    let apart = pairs.filter(|(a, b)| a.0 < b.0).find(|(a, b)| !knows(a.0, b.1) && !knows(b.0, a.1));
    let Some((a, b)) = apart else { return Ok(()) };
    let path = |i: usize| members.get(i).map_or_else(String::new, |m| m.candidate.path.display().to_string());
    // A side: whoever is on good terms with one of the two.
    let side = |(first, slot): (usize, u32)| -> String {
        let friends = in_slots.iter().filter(|(i, s)| *i == first || (knows(*i, slot) && knows(first, *s)));
        friends.map(|(i, _)| path(*i)).collect::<Vec<_>>().join(" ")
    };
    let shown = &wishes.shown;
    let refusal = Refusal::new(format!(
        "{shown}: {} and {} have each been written to while the other was missing: nothing is started, since either side \
         lacks writes of the other",
        path(a.0),
        path(b.0)
    ));
    let refusal = refusal.hints(lines(&rows(members, Some(ranking))));
    let start = |side: String| format!("start one side and look at it: mdadm --assemble --run {shown} {side}");
    Err(refusal
        .hint(start(side(a)))
        .hint(format!("  or the other: mdadm --assemble --run {shown} {}", side(b)))
        .hint("then give the side that is not wanted up: --zero-superblock its devices, and --add them"))
}

/// Whether a member that is out of date has written nothing alone: when its superblock was written last, one of the members that
/// are up to date was in its array. A member that is missing to it has come later then, in the place of one that had failed.
fn is_only_behind(members: &[Matched<'_>], ranking: &Ranking, i: usize) -> bool {
    let Some(own) = members.get(i).map(|m| &m.member.sb) else { return false };
    let events = members.get(ranking.chosen).map(|m| m.member.sb.events());
    let saw = |(m, verdict): (&Matched<'_>, &Verdict)| {
        let sb = &m.member.sb;
        // With 0.90 metadata a device and its successor have the same number.
        let told_apart = m.member.version != Version::V090;
        let here = matches!(verdict, Verdict::Active(_)) && Some(sb.events()) == events;
        told_apart && here && matches!(sb.role(), Role::Slot(_)) && own.role_at(sb.dev_number()) == sb.role()
    };
    matches!(ranking.verdicts.get(i), Some(Verdict::Stale(_))) && members.iter().zip(&ranking.verdicts).any(saw)
}
