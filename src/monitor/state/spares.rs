//! Which spare goes where: from an array that has all its members to one that lacks one, where all domains of the spare are
//! domains of that array's members. A spare-group is a domain of all that is in its array (what 4.6 was seen to do).

use std::collections::BTreeSet;

use super::{Condition, Member, Watch, Watched};
use crate::plan::policy::compatible;

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

/// What is asked of the machine.
pub trait Ask {
    /// The domains that POLICY lines give to a device as a member of an array.
    fn domains(&self, array: &Watched, dev: (u32, u32)) -> BTreeSet<String>;
    /// Whether the spare is large enough for the array, and was not tried in vain.
    fn fits(&self, array: &Watched, kname: &str) -> bool;
}

/// What may be moved, one spare for each array that lacks one; candidates in the order in which they are to be tried.
#[must_use]
pub fn moves(watch: &Watch, ask: &impl Ask) -> Vec<Move> {
    let mut moves: Vec<Move> = Vec::new();
    for (to, needy) in watch.arrays.iter().enumerate().filter(|(_, w)| is_needy(w)) {
        let mut domains = None;
        let others = watch.arrays.iter().enumerate().filter(|(from, w)| *from != to && gives(w));
        let found = others.flat_map(|(from, w)| spares(w).map(move |spare| (from, w, spare))).find(|(_, w, spare)| {
            let domains = domains.get_or_insert_with(|| domains_of(needy, ask));
            !moves.iter().any(|m| m.kname == spare.kname)
                && compatible(&with_group(ask.domains(needy, spare.dev), w), domains)
                && ask.fits(needy, &spare.kname)
        });
        moves.extend(found.map(|(from, _, spare)| Move { from, to, kname: spare.kname.clone() }));
    }
    moves
}

/// The domains of all members, also of those that failed and are still there.
fn domains_of(w: &Watched, ask: &impl Ask) -> BTreeSet<String> {
    let members = w.last.iter().flat_map(|a| a.members.iter());
    with_group(members.flat_map(|m| ask.domains(w, m.dev)).collect(), w)
}

fn with_group(mut domains: BTreeSet<String>, w: &Watched) -> BTreeSet<String> {
    domains.extend(w.wanted.spare_group.clone());
    domains
}

/// Members are missing, and no spare is there to take their place.
fn is_needy(w: &Watched) -> bool {
    let Some(array) = w.last.as_ref() else { return false };
    let waits = array.count(Condition::Spare) + array.count(Condition::Rebuilding);
    array.degraded > 0 && array.is_redundant() && waits == 0 && !array.readonly
}

/// All members are there.
fn gives(w: &Watched) -> bool {
    w.last.as_ref().is_some_and(|a| a.degraded == 0 && !a.readonly)
}

fn spares(w: &Watched) -> impl Iterator<Item = &Member> {
    let members = w.last.iter().flat_map(|a| a.members.iter());
    members.filter(|m| m.condition == Condition::Spare && m.slot.is_none())
}
