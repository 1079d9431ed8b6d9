//! Which spare goes where: from an array that has all its members to one that lacks one, of the same spare-group.

use super::{Condition, Watch, Watched};

/// One move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Index of the array that gives, in [`Watch::arrays`].
    pub from: usize,
    /// Index of the array that gets.
    pub to: usize,
    /// Kernel name of the spare.
    pub kname: String,
}

/// What may be moved, one spare for each array that lacks one; candidates in the order in which they are to be tried.
///
/// `fits` tells whether the spare is large enough for the array.
#[must_use]
pub fn moves(watch: &Watch, fits: impl Fn(&Watched, &str) -> bool) -> Vec<Move> {
    let mut moves: Vec<Move> = Vec::new();
    for (to, needy) in watch.arrays.iter().enumerate().filter(|(_, w)| is_needy(w)) {
        let others = watch.arrays.iter().enumerate().filter(|(from, w)| *from != to && gives(w, needy));
        let found = others
            .flat_map(|(from, w)| spares(w).map(move |kname| (from, kname)))
            .find(|(_, kname)| !moves.iter().any(|m| m.kname == *kname) && fits(needy, kname));
        moves.extend(found.map(|(from, kname)| Move { from, to, kname: kname.to_owned() }));
    }
    moves
}

/// Members are missing, and no spare is there to take their place.
fn is_needy(w: &Watched) -> bool {
    let Some(array) = w.last.as_ref() else { return false };
    let waits = array.count(Condition::Spare) + array.count(Condition::Rebuilding);
    array.degraded > 0 && array.is_redundant() && waits == 0 && !array.readonly && w.wanted.spare_group.is_some()
}

/// All members are there, and it is in the same group.
fn gives(w: &Watched, needy: &Watched) -> bool {
    let whole = w.last.as_ref().is_some_and(|a| a.degraded == 0 && !a.readonly);
    whole && w.wanted.spare_group == needy.wanted.spare_group
}

fn spares(w: &Watched) -> impl Iterator<Item = &str> {
    let members = w.last.iter().flat_map(|a| a.members.iter());
    members.filter(|m| m.condition == Condition::Spare && m.slot.is_none()).map(|m| m.kname.as_str())
}
