//! What two looks at one array tell.

use super::{Array, Condition, Member, What};

/// Everything that happened between two looks at an array that was there at both: who failed, what that started or ended,
/// who is active by that.
pub fn between(before: &Array, now: &Array, increment: u32) -> Vec<What> {
    let (active, mut events): (Vec<_>, Vec<_>) =
        members(before, now).into_iter().partition(|w| matches!(w, What::SpareActive(_)));
    events.extend(sync(Some(before), now, increment));
    events.extend(active);
    events
}

/// What the resync, recovery, reshape or check did.
pub fn sync(before: Option<&Array>, now: &Array, increment: u32) -> Vec<What> {
    let (was, is) = (before.and_then(Array::percent), now.percent());
    let action = |a: &Array| a.sync.as_ref().map(|s| s.action.clone());
    let (Some(before), Some(old)) = (before, was) else {
        return if is.is_some() { vec![What::RebuildStarted] } else { Vec::new() };
    };
    let finished = What::RebuildFinished(mismatches(before, now));
    match is {
        // It waits, and goes on later.
        None if now.sync.is_some() => Vec::new(),
        None => vec![finished],
        // Another one.
        Some(new) if new < old || action(before) != action(now) => vec![finished, What::RebuildStarted],
        Some(new) if new / increment.max(1) > old / increment.max(1) => vec![What::Rebuild(new)],
        Some(_) => Vec::new(),
    }
}

/// The count belongs to the last check or repair (which /proc/mdstat calls a resync): a recovery leaves it as it was.
fn mismatches(before: &Array, now: &Array) -> Option<u64> {
    let counts = before.sync.as_ref().is_some_and(|s| matches!(s.action.as_str(), "check" | "resync"));
    Some(now.mismatches).filter(|n| counts && *n > 0)
}

/// What became of the members.
fn members(before: &Array, now: &Array) -> Vec<What> {
    let mut events = Vec::new();
    for old in &before.members {
        let new = now.members.iter().find(|m| m.is(old));
        events.extend(one(old, new, before, now));
    }
    let is_new = |m: &&Member| !before.members.iter().any(|o| o.is(m));
    for new in now.members.iter().filter(is_new) {
        match new.condition {
            Condition::InSync => events.push(What::SpareActive(new.kname.clone())),
            // Added, and failed before anybody looked.
            Condition::Faulty => events.push(What::FailSpare(new.kname.clone())),
            _ => {}
        }
    }
    events
}

/// What became of one member; `new` is none where it is gone.
fn one(old: &Member, new: Option<&Member>, before: &Array, now: &Array) -> Option<What> {
    let is = new.map(|m| m.condition);
    match (old.condition, is) {
        (was, Some(is)) if was == is => None,
        // Another member holds its slot now, or the slot is gone: it was replaced, or the array got smaller.
        (Condition::InSync, _) if !has_lost(old, before, now) => None,
        (Condition::InSync, _) => Some(What::Fail(old.kname.clone())),
        (Condition::Faulty | Condition::Journal, Some(Condition::InSync)) => Some(What::SpareActive(old.kname.clone())),
        (Condition::Journal, Some(Condition::Faulty)) => Some(What::Fail(old.kname.clone())),
        (Condition::Faulty, _) => None,
        (_, Some(Condition::Faulty)) => Some(What::FailSpare(old.kname.clone())),
        (_, Some(Condition::InSync)) => Some(What::SpareActive(old.kname.clone())),
        _ => None,
    }
}

/// Whether the array lost something with this member: a failure that leaves every slot filled was none, but for a member that
/// was replaced by a spare between two looks, which must not go unsaid.
fn has_lost(old: &Member, before: &Array, now: &Array) -> bool {
    let Some(slot) = old.slot else { return true };
    if slot >= now.raid_disks {
        return false;
    }
    let heir = now.in_sync().find(|m| m.slot == Some(slot));
    let was = heir.and_then(|h| before.members.iter().find(|o| o.is(h)));
    // The kernel takes the old member out a moment after the new one has its data.
    let held_both = |w: &Member| w.condition == Condition::InSync && w.slot == old.slot;
    !was.is_some_and(|w| w.condition == Condition::Replacement || held_both(w))
}
