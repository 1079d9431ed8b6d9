//! The member of a lazy recovery is put back in sync, see [`crate::plan::lazy`].

use super::edits::Edits;
use super::rank::{Ranking, Verdict};
use super::{Line, Matched};
use crate::plan::lazy::{lazily_recovered, put_in_sync};
use crate::superblock::v1::{SuperV1, feature};

/// Puts the member of a lazy recovery back in sync where there is no doubt; where there is, says what `--force` would do.
/// Only members that go into slots are looked at: a stale one or a copy makes no array complete.
pub fn heal_lazy(members: &[Matched<'_>], ranking: &mut Ranking, edits: &mut Edits, lockless: bool) {
    let in_slots = |v: &Verdict| matches!(v, Verdict::Active(_) | Verdict::Rebuilding(_));
    let places: Vec<usize> = (0..members.len()).filter(|i| ranking.verdicts.get(*i).is_some_and(in_slots)).collect();
    let supers: Vec<&SuperV1> = places.iter().filter_map(|i| members.get(*i)).map(|m| &m.member.sb).collect();
    let Some(i) = lazily_recovered(&supers, lockless).and_then(|n| places.get(n).copied()) else {
        doubt(members, ranking, lockless);
        return;
    };
    let (Some(m), Some(verdict), Some(edit)) = (members.get(i), ranking.verdicts.get_mut(i), edits.members.get_mut(i))
    else {
        return;
    };
    if let Verdict::Rebuilding(slot) = *verdict {
        *verdict = Verdict::Active(slot);
    }
    put_in_sync(&mut edit.sb);
    edit.what.push("in sync: it only looked as if it were being rebuilt (lazy recovery)".into());
    edits.lines.push(Line::normal(format!(
        "{} was building parity when the array stopped, and holds all its data: taken as in sync",
        m.candidate.path.display()
    )));
}

/// A recovery guided by the bitmap: of a member that was re-added, or a lazy one. Nothing on disk tells which.
fn doubt(members: &[Matched<'_>], ranking: &mut Ranking, lockless: bool) {
    if !lockless {
        return;
    }
    for (m, verdict) in members.iter().zip(&ranking.verdicts) {
        let dirty = m.member.sb.resync_offset() != u64::MAX;
        if matches!(verdict, Verdict::Rebuilding(_)) && m.member.sb.has(feature::RECOVERY_BITMAP) && dirty {
            ranking.lines.push(Line::normal(format!(
                "{} was being recovered by the bitmap: it was re-added, or it was building parity. With --force it is \
                 rebuilt from the others; what was being written at the power cut may then be wrong on it",
                m.candidate.path.display()
            )));
        }
    }
}
