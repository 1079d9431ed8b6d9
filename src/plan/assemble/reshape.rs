//! Arrays that were being reshaped when they stopped: what was being overwritten is put back from a copy.
//!
//! A copy holds a stretch of the array as it was before it moved. It is written where the reshape would have moved it to, and the
//! superblocks are told so: all that lies there in the old form is in the copy too, or has moved already. So if the power goes
//! meanwhile, the same can be done again.

use super::edits::{Edited, EditedArea, Edits};
use super::rank::{Ranking, Verdict};
use super::{Line, Matched, Wishes};
use crate::backup::{Copy, stripe};
use crate::error::Refusal;
use crate::level::Level;
use crate::plan::step::{Plan, Step};
use crate::superblock::reshape::{self, Reshape, Start};
use crate::superblock::v1::{SuperV1, feature};
use crate::units::SECTOR_BYTES;

/// A copy older than the superblocks by more seconds than this is of another reshape.
const OLDEST: u64 = 2 * 3600;

/// What was found where copies may be.
#[derive(Debug, Clone)]
pub struct Found {
    /// The file or device, as shown to the user.
    pub shown: String,
    /// What it holds, or why that cannot be used.
    pub copy: Result<Copy, String>,
}

/// What a start takes beside the usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Care {
    /// It is started read-only, and goes no further than this (`sync_max`) until somebody looks after it.
    pub hold_at: Option<u64>,
    /// It goes back, or has gone back: what was to follow it does not.
    pub turned: bool,
}

/// Sees to a reshape that is under way; `turned`: it goes back from now on.
///
/// # Errors
/// It cannot go on, and why; the words are the reference's where it has some.
pub fn prepare(
    wishes: &Wishes,
    members: &[Matched<'_>],
    ranking: &mut Ranking,
    edits: &mut Edits,
    turned: bool,
) -> Result<Care, Refusal> {
    let sbs = || edits.members.iter().map(|e| &e.sb);
    let Some(best) = edits.members.get(ranking.chosen).map(|e| e.sb.clone()) else { return Ok(Care::default()) };
    let Some(mut now) = reshape::of(&best, sbs()) else { return Ok(Care::default()) };
    let shown = &wishes.shown;
    if now.level == Level::Raid10 {
        if wishes.readonly {
            return Err(Refusal::new(format!(
                "{shown}: a reshape is under way, and read-only the kernel would read what has moved from where it was (raid10); nothing was changed"
            ))
            .hint("leave --readonly away"));
        }
        return Ok(Care::default());
    }
    let settled = choose(wishes, &best, &now, &mut edits.lines)?;
    if let Some(copy) = settled {
        now = put_back(&now, copy, members, ranking, edits).map_err(|why| lost(&now, wishes).hint(why))?;
        edits.lines.push(Line::normal(format!("restoring critical section from {}", copy.shown)));
    } else if (now.start() != Start::ByItself || now.overwrites())
        && !is_at_a_boundary(wishes, &best, &now)
        && !wishes.invalid_backup
    {
        let found = wishes.backups.iter().filter_map(|f| Some(format!("{}: {}", f.shown, f.copy.as_ref().err()?)));
        return Err(lost(&now, wishes).hints(found));
    }
    match now.start() {
        // Linux starts no array with nothing left to move, or nothing moved yet.
        Start::TooEarly if now.backwards && now.is_over() => {
            edits.lines.push(Line::normal(format!("{shown}: with that all data of its reshape has moved")));
            settle(members, ranking, edits, false).map(|()| Care { hold_at: None, turned })
        }
        Start::TooEarly if !now.backwards && now.position == 0 => {
            edits.lines.push(Line::normal(format!(
                "{shown}: nothing of its reshape had moved yet: it is what it was before, and can be reshaped again"
            )));
            settle(members, ranking, edits, true).map(|()| Care { hold_at: None, turned: true })
        }
        Start::TooEarly if !now.is_over() || now.backwards => Err(Refusal::new(format!(
            "{shown}: its reshape has come to sector {} and no further, and the kernel starts no such array; nothing was changed",
            now.position
        ))
        .hint("a program that has its own copies may know more: the one that began it")),
        // What was turned has a level or a bitmap to follow it: who does that cannot take over later without holding it back, and
        // what is held back fails requests across its position.
        Start::ByItself if !now.overwrites() && !now.will_overwrite() && !turned => Ok(Care::default()),
        _ => Ok(Care { hold_at: Some(now.as_sync(now.position)), turned }),
    }
}

/// The superblocks say that it is done; with `back` that it is as it was before.
fn settle(members: &[Matched<'_>], ranking: &mut Ranking, edits: &mut Edits, back: bool) -> Result<(), Refusal> {
    for ((m, e), verdict) in members.iter().zip(&mut edits.members).zip(&mut ranking.verdicts) {
        if !verdict.counts() {
            continue;
        }
        let Some(now) = Reshape::of(&e.sb).ok().flatten() else { continue };
        if back {
            self::turned(m, e, &now)?;
        }
        reshape::settle(&mut e.sb);
        e.what.push("no reshape any more".into());
        if matches!(verdict, Verdict::Active(slot) | Verdict::Rebuilding(slot) if *slot >= e.sb.raid_disks()) {
            *verdict = Verdict::Spare;
        }
    }
    Ok(())
}

fn lost(now: &Reshape, wishes: &Wishes) -> Refusal {
    Refusal::new("Failed to restore critical section for reshape, sorry.").hint(format!(
        "{}: a reshape was overwriting its own data at sector {}, and no copy of that was found; nothing was changed. Name the file with \
         --backup-file, or go on without with --invalid-backup",
        wishes.shown, now.position
    ))
}

/// The copy that holds what was being overwritten; a stale one is refused.
fn choose<'a>(
    wishes: &'a Wishes,
    best: &SuperV1,
    now: &Reshape,
    lines: &mut Vec<Line>,
) -> Result<Option<&'a Copy>, Refusal> {
    let mut chosen: Option<&Copy> = None;
    for found in &wishes.backups {
        match &found.copy {
            Ok(copy) if copy.uuid != best.set_uuid() => {
                lines.push(Line::normal(format!("{} is a backup of another array ({})", found.shown, copy.uuid)));
            }
            Ok(copy) if covers(now, copy) => {
                if copy.mtime.saturating_add(OLDEST) < best.utime() && !wishes.old_backup {
                    return Err(Refusal::new(format!("too-old timestamp on backup-metadata on {}", found.shown))
                        .hint("If you think it is should be safe, try 'export MDADM_GROW_ALLOW_OLD=1'"));
                }
                chosen = chosen.filter(|c| c.mtime >= copy.mtime).or(Some(copy));
            }
            Err(why) if wishes.wants_backup(&found.shown) => {
                lines.push(Line::normal(format!("{}: {why}", found.shown)));
            }
            _ => {}
        }
    }
    Ok(chosen)
}

fn covers(now: &Reshape, copy: &Copy) -> bool {
    match now.backwards {
        true => copy.start < now.position && now.position <= copy.end(),
        false => copy.start <= now.position && now.position < copy.end(),
    }
}

/// Nothing has moved since the superblocks were written: the copy of what was before ends here, or none was needed yet.
fn is_at_a_boundary(wishes: &Wishes, best: &SuperV1, now: &Reshape) -> bool {
    let edge = |c: &&Copy| if now.backwards { c.start } else { c.end() };
    let own = wishes.backups.iter().filter_map(|f| f.copy.as_ref().ok()).filter(|c| c.uuid == best.set_uuid());
    own.into_iter().any(|c| now.position == edge(&c))
}

/// Writes the copy in its new form, and moves the position behind it.
fn put_back(
    now: &Reshape,
    copy: &Copy,
    members: &[Matched<'_>],
    ranking: &Ranking,
    edits: &mut Edits,
) -> Result<Reshape, String> {
    let (from, to) = match now.backwards {
        true => (copy.start, now.position),
        false => (now.position, copy.end()),
    };
    if !from.is_multiple_of(now.step()) || !to.is_multiple_of(now.step()) || to > now.array_sectors(&now.new) {
        return Err(format!(
            "{} holds sectors {} to {}, which no reshape of this array saves",
            copy.shown,
            copy.start,
            copy.end()
        ));
    }
    let columns = columns(now, copy, from, to).ok_or("its layout is not known")?;
    let position = if now.backwards { from } else { to };
    let first_row = from / now.data(&now.new);
    for (i, m) in members.iter().enumerate() {
        let slot = match ranking.verdicts.get(i) {
            Some(Verdict::Active(s) | Verdict::Rebuilding(s)) => usize::try_from(*s).ok(),
            _ => continue,
        };
        let Some(edit) = edits.members.get_mut(i) else { continue };
        let at =
            i128::from(m.member.sb.data_offset()) + i128::from(reshape::moves(&m.member.sb)) + i128::from(first_row);
        let at = u64::try_from(at)
            .ok()
            .filter(|at| at.saturating_add(now.size) <= m.candidate.size.0.saturating_add(now.size));
        let (Some(offset), column) = (at.map(|a| a * SECTOR_BYTES), slot.and_then(|s| columns.get(s))) else {
            return Err("a member's data lies outside of it".into());
        };
        if let Some(bytes) = column.filter(|c| !c.is_empty()) {
            let what = format!("sectors {from} to {to} of the array, from the backup");
            edit.areas.push(EditedArea { offset, bytes: bytes.clone(), what });
        }
        moved(edit, position);
    }
    Ok(Reshape { position, ..*now })
}

fn moved(edit: &mut Edited, position: u64) {
    edit.sb.set_reshape_position(position);
    edit.what.push(format!("reshape position {position}"));
}

/// What each slot holds of the stripes from one sector of the array to another.
fn columns(now: &Reshape, copy: &Copy, from: u64, to: u64) -> Option<Vec<Vec<u8>>> {
    let stripe_sectors = u64::from(now.new.chunk) * now.data(&now.new);
    let bytes = |sectors: u64| usize::try_from(sectors * SECTOR_BYTES).ok();
    let data = copy.data.get(bytes(from - copy.start)?..bytes(to - copy.start)?)?;
    let mut columns = vec![Vec::new(); usize::try_from(now.new.slots).ok()?];
    for (n, stripe) in data.chunks_exact(bytes(stripe_sectors)?).enumerate() {
        let number = from / stripe_sectors + u64::try_from(n).ok()?;
        let row = stripe::row(now.level, &now.new, number)?;
        columns.iter_mut().zip(row.encode(stripe)).for_each(|(column, chunk)| column.extend(chunk));
    }
    Some(columns)
}

/// Has the array start read-only and go no further, where somebody has to look after it.
pub fn hold(plan: &mut Plan, care: Care, devname: &str) {
    let (Some(at), Some(place)) = (care.hold_at, plan.steps.iter().position(Step::starts_array)) else { return };
    let set =
        |attr: &str, value: String| Step::Sysfs { devname: devname.to_owned(), attr: attr.into(), value, verify: None };
    let steps = [set("array_state", "readonly".into()), set("sync_max", at.to_string())];
    plan.steps.splice(place..=place, steps);
}

/// Whether this member is of an array in mid-reshape.
#[must_use]
pub fn is_active(sb: &SuperV1) -> bool {
    sb.has(feature::RESHAPE_ACTIVE)
}

/// `--update=revert-reshape`: what is new becomes old, and the other way round. What has moved moves back.
///
/// # Errors
/// There is no reshape, or it cannot be turned where it is; the words are the reference's where it has some.
pub fn turn(wishes: &Wishes, m: &Matched<'_>, e: &mut Edited) -> Result<(), Refusal> {
    let shown = m.candidate.path.display();
    let Ok(Some(now)) = Reshape::of(&e.sb) else {
        return Err(Refusal::new(format!("{shown}: No active reshape to revert on this array; nothing was changed")));
    };
    if let Some(why) = never(&now, e.old.is_some()) {
        return Err(Refusal::new(format!("{shown}: {why}; nothing was changed")));
    }
    let running = "start the array, and it goes back from the next place where it can: mdadm --assemble, then mdadm --grow --revert";
    let copied = now.start() == Start::Watched && !is_copied_nowhere(wishes, &e.sb, &now);
    if copied || (now.overwrites() && now.start() != Start::Watched) || now.start() == Start::TooEarly {
        return Err(Refusal::new(format!(
            "{shown}: the reshape overwrites its own data at sector {}, and cannot be turned there; nothing was changed",
            now.position
        ))
        .hint(running));
    }
    if !now.can_turn() {
        return Err(Refusal::new("Reshape position is not suitably aligned.").hint(running));
    }
    turned(m, e, &now)?;
    // Should the power go before all members have been written, this tells which way was wanted.
    e.sb.set_utime_raw(e.sb.utime_raw().wrapping_add(1));
    Ok(())
}

/// Why such a reshape can be turned at no place.
#[must_use]
pub fn never(now: &Reshape, old_metadata: bool) -> Option<&'static str> {
    if now.level == Level::Raid10 {
        return Some(
            "a reshape of a raid10 cannot be turned: the kernel takes no devices out of a raid10, so let it end",
        );
    }
    let same = now.old.slots == now.new.slots;
    (same && old_metadata).then_some(
        "metadata 0.90 cannot say that a reshape of as many devices goes back: let it end, and ask for what it was before",
    )
}

/// The copies tell that nothing is overwritten here.
fn is_copied_nowhere(wishes: &Wishes, sb: &SuperV1, now: &Reshape) -> bool {
    let own = wishes.backups.iter().filter_map(|f| f.copy.as_ref().ok()).filter(|c| c.uuid == sb.set_uuid());
    let mut own = own.filter(|c| c.start == now.position || c.end() == now.position || covers(now, c)).peekable();
    own.peek().is_some() && own.all(|c| c.data.is_empty())
}

/// What a member's superblock says of the reshape, the other way round.
fn turned(m: &Matched<'_>, e: &mut Edited, now: &Reshape) -> Result<(), Refusal> {
    let shown = m.candidate.path.display();
    let sb = &mut e.sb;
    let moves = reshape::moves(sb);
    let (delta, layout, chunk) = (sb.delta_disks(), sb.layout(), sb.chunksize());
    sb.set_raid_disks(now.old.slots);
    sb.set_delta_disks(delta.wrapping_neg());
    sb.set_layout(sb.new_layout());
    sb.set_new_layout(layout);
    sb.set_chunksize(sb.new_chunk());
    sb.set_new_chunk(chunk);
    sb.set_reshape_position(now.turned().position);
    if moves != 0 {
        let at = sb.data_offset().checked_add_signed(moves);
        let room = sb.data_size().checked_add_signed(-moves);
        let (Some(at), Some(room)) = (at, room) else {
            return Err(Refusal::new(format!("{shown}: its data would begin before the device")));
        };
        sb.set_data_offset(at);
        sb.set_data_size(room);
        sb.set_new_offset(sb.new_offset().wrapping_neg());
    }
    sb.set_feature_map(sb.feature_map() ^ feature::RESHAPE_BACKWARDS);
    e.what.push("the reshape goes back".into());
    Ok(())
}

/// The power went while a reshape was turned: some superblocks say one thing, some the other, and both are right. The later ones
/// count. Whether there was something to do.
///
/// # Errors
/// A member cannot take it.
pub fn turn_the_rest(members: &[Matched<'_>], ranking: &Ranking, edits: &mut Edits) -> Result<bool, Refusal> {
    let in_use = |i: usize| ranking.verdicts.get(i).is_some_and(Verdict::counts);
    let fresh = members.get(ranking.chosen).map_or(0, |m| m.member.sb.events());
    let of = |sb: &SuperV1| Reshape::of(sb).ok().flatten().filter(|_| sb.events() == fresh);
    let all = edits.members.iter().enumerate().filter(|(i, _)| in_use(*i)).map(|(_, e)| &e.sb);
    let Some(wanted) = all.filter(|sb| of(sb).is_some()).max_by_key(|sb| sb.utime()).cloned() else { return Ok(false) };
    let Some(wish) = of(&wanted) else { return Ok(false) };
    let mut any = false;
    for (i, (m, e)) in members.iter().zip(&mut edits.members).enumerate() {
        let Some(now) = of(&e.sb).filter(|now| in_use(i) && is_other_way(now, &wish)) else { continue };
        turned(m, e, &now)?;
        e.sb.set_utime_raw(wanted.utime_raw());
        any = true;
    }
    if any {
        edits.lines.push(Line::normal("some members had not been told yet that the reshape goes back, and are now"));
    }
    Ok(any)
}

/// Two accounts of the same reshape, one each way.
fn is_other_way(now: &Reshape, wish: &Reshape) -> bool {
    let there = now.turned();
    let same = |r: &Reshape| (r.level, r.old, r.new, r.backwards, r.position, r.size);
    same(&there) == same(wish)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::superblock::reshape::Arranged;

    #[test]
    fn a_copy_much_older_than_the_superblocks_is_taken_only_if_the_environment_says_so() {
        let mut best = SuperV1::empty();
        best.set_utime_raw(1_000_000);
        let mtime = 1_000_000 - OLDEST - 1;
        let data = vec![0; 128 * 512];
        let copy = Copy { shown: "/b".into(), uuid: best.set_uuid(), mtime, start: 0, data };
        let shape = Arranged { slots: 3, layout: 2, chunk: 128 };
        let now = Reshape {
            level: Level::Raid5,
            old: shape,
            new: shape,
            backwards: false,
            position: 64,
            size: 4096,
            moves: 0,
        };
        let mut wishes = Wishes { backups: vec![Found { shown: "/b".into(), copy: Ok(copy) }], ..Wishes::default() };
        let refusal = choose(&wishes, &best, &now, &mut Vec::new()).unwrap_err();
        assert!(refusal.to_string().contains("too-old timestamp on backup-metadata on /b"));
        assert!(refusal.lines.iter().any(|l| l.contains("MDADM_GROW_ALLOW_OLD=1")));
        wishes.old_backup = true;
        assert!(choose(&wishes, &best, &now, &mut Vec::new()).unwrap().is_some());
    }
}
