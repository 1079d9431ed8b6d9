//! Manage mode: what a word stands for, what may be done with a member of a running array, and its steps.
//!
//! Learnt from what the reference says and does for each word and each state of a member.

pub mod add;
pub mod facts;
pub mod journal;
pub mod late;
pub mod longer;
pub mod old;
pub mod plain;
pub mod readd;
pub mod replace;
pub mod update;

use crate::cli::request::ManageOp;
use crate::error::Refusal;
use crate::level::Level;
use crate::plan::redundancy::{Loss, loss};
use crate::plan::step::{MemberBy, Plan, Step};
pub use facts::{ArrayFacts, Member};

/// A device that an operation is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// As messages name it.
    pub shown: String,
    /// Its device number.
    pub dev: Option<(u32, u32)>,
    /// Kernel name, where that was typed: it may be all that is left of a device.
    pub kname: Option<String>,
}

/// Longest kernel name that the reference takes.
const NAME_BYTES: usize = 50;

/// The members that a word without a slash stands for; `None` for a path, and for `missing`.
///
/// # Errors
/// A word that does not go with the operation, in the reference's words.
pub fn members_of_word(op: ManageOp, word: &str, array: &ArrayFacts) -> Result<Option<Vec<Target>>, Refusal> {
    let letter = op.letter();
    let set = word.strip_prefix("set-").filter(|s| s.len() == 1).and_then(|s| s.bytes().next());
    match word {
        _ if op == ManageOp::ClusterConfirm => Err(not_clustered(word, array)),
        "failed" | "faulty" if matches!(op, ManageOp::Remove | ManageOp::ReAdd) => {
            Ok(Some(array.targets(|m| m.faulty && !m.gone)))
        }
        "failed" | "faulty" => Err(Refusal::new(format!("{word} only meaningful with -r or --re-add, not -{letter}"))),
        "detached" if op == ManageOp::Remove => Ok(Some(array.targets(|m| m.gone))),
        "detached" if op == ManageOp::Fail => Ok(Some(array.targets(|m| m.gone && !m.faulty))),
        // "of" is the reference's.
        "detached" => Err(Refusal::new(format!("{word} only meaningful with -r of -f, not -{letter}"))),
        "missing" if op == ManageOp::ReAdd => Ok(None),
        "missing" => Err(Refusal::new("'missing' only meaningful with --re-add")),
        _ if set.is_some_and(|s| s.is_ascii_uppercase()) => {
            if !matches!(op, ManageOp::Remove | ManageOp::Fail) {
                return Err(Refusal::new(format!("'{word}' only meaningful with -r or -f")));
            }
            set_members(word, u32::from(set.unwrap_or(b'A') - b'A'), array).map(Some)
        }
        _ if word.contains('/') || word.len() >= NAME_BYTES => Ok(None),
        _ if word.contains(':') => {
            let number = word.split_once(':').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
            Ok(number.map(|dev| vec![Target { shown: word.to_owned(), dev: Some(dev), kname: None }]))
        }
        _ if !matches!(op, ManageOp::Remove | ManageOp::Fail) => {
            Err(Refusal::new(format!("{word} only meaningful with -r, -f, not -{letter}")))
        }
        _ => match array.members.iter().find(|m| m.kname == word) {
            Some(m) => Ok(Some(vec![Target { shown: word.to_owned(), dev: m.dev, kname: Some(word.to_owned()) }])),
            None => Err(Refusal::new(format!("{word} does not appear to be a component of {}", array.shown))),
        },
    }
}

/// `--cluster-confirm SLOT:DEVICE`: the answer of a node that was asked for a device.
fn not_clustered(word: &str, array: &ArrayFacts) -> Refusal {
    let slot = word.split_once(':').and_then(|(slot, device)| Some((slot.parse::<u32>().ok()?, device)));
    match slot.filter(|(_, device)| !device.is_empty()) {
        None => Refusal::new("Could not get the devname of cluster")
            .hint(format!("{}: the answer is SLOT:DEVICE or SLOT:missing", word.escape_debug())),
        Some(_) => Refusal::new(format!("{} is no array of a cluster: nothing waits for an answer", array.shown))
            .hint("clustered arrays are not in this version of mdadm-rs"),
    }
}

/// raid10 whose slots divide evenly by its copies: set A holds one copy of everything, set B another.
fn set_members(word: &str, set: u32, array: &ArrayFacts) -> Result<Vec<Target>, Refusal> {
    if array.level != Level::Raid10 {
        return Err(Refusal::new(format!("'{word}' only meaningful with RAID10 arrays")));
    }
    let copies = (array.layout & 0xff) * ((array.layout >> 8) & 0xff);
    if copies == 0 || set >= copies || !array.slots.is_multiple_of(copies) {
        return Err(Refusal::new(format!("'{word}' not meaningful with this array")));
    }
    Ok(array.targets(|m| m.slot.is_some_and(|s| s % copies == set) && !m.faulty))
}

/// `--fail` of one member.
///
/// # Errors
/// It is no member, or the last good copy of some data would go with it and `force` is not given.
pub fn fail(array: &ArrayFacts, target: &Target, force: bool) -> Result<Plan, Refusal> {
    let Some((index, member)) = array.find(target) else {
        return Err(Refusal::new(format!("set device faulty failed for {}: No such device", target.shown))
            .hint(format!("{} is no member of {}", target.shown, array.shown)));
    };
    if !force {
        keeps_all_data(array, index, target)?;
        keeps_redundancy(array, index, target)?;
    }
    let (devname, device) = (array.devname.clone(), target.shown.clone());
    Ok(Plan { steps: vec![Step::SetFaulty { devname, device, by: by(target, member) }] })
}

/// Refuses to leave a reshape without redundancy: it may take days, and its data lies in two shapes meanwhile.
fn keeps_redundancy(array: &ArrayFacts, index: usize, target: &Target) -> Result<(), Refusal> {
    let counts = array.members.get(index).is_some_and(|m| m.slot.is_some() && m.in_sync && !m.faulty && !m.journal);
    if !array.reshaping || !counts {
        return Ok(());
    }
    let slots = usize::try_from(array.slots).unwrap_or(0);
    let mut after = array.copies();
    if let Some(gone) = after.get_mut(index) {
        gone.in_sync = false;
    }
    let last = |other: usize| loss(array.level, array.layout, slots, &after, other) == Loss::Array;
    let holds = |other: &usize| after.get(*other).is_some_and(|c| c.in_sync && c.slot.is_some());
    if !(0..after.len()).filter(holds).any(last) {
        return Ok(());
    }
    let (name, shown) = (&array.shown, &target.shown);
    Err(Refusal::new(format!(
        "Cannot remove {shown} from {name}: a reshape runs, which would go on without redundancy."
    ))
    .hint(format!("wait for it: mdadm --wait {name}; or use --force")))
}

/// Refuses to take the last good copy of any data.
fn keeps_all_data(array: &ArrayFacts, index: usize, target: &Target) -> Result<(), Refusal> {
    let slots = usize::try_from(array.slots).unwrap_or(0);
    let line = format!("Cannot remove {} from {}, array will be failed.", target.shown, array.shown);
    match loss(array.level, array.layout, slots, &array.copies(), index) {
        Loss::Nothing => Ok(()),
        Loss::Array => {
            // What is being rebuilt cannot stand in for it yet, but soon.
            let rebuilt = array.members.iter().find(|m| m.slot.is_some() && !m.in_sync && !m.faulty && !m.journal);
            Err(rebuilt.into_iter().fold(Refusal::new(line), |r, m| {
                r.hint(format!("{} is still being rebuilt: mdadm --wait {} first", m.kname, array.shown))
            }))
        }
        Loss::BadBlocks(other) => {
            let name = array.members.get(other).map(|m| m.kname.clone()).unwrap_or_default();
            Err(Refusal::new(format!("Cannot remove {} from {}, data will be lost.", target.shown, array.shown))
                .hint(format!("{name} has bad blocks recorded whose data can be had only with {}.", target.shown))
                .hint("Rewrite them with --action=repair, or use --force to lose them."))
        }
    }
}

/// `--remove` of one member.
///
/// # Errors
/// It is no member, or is active.
pub fn remove(array: &ArrayFacts, target: &Target) -> Result<Plan, Refusal> {
    let (shown, devname) = (target.shown.clone(), array.devname.clone());
    let Some((_, member)) = array.find(target) else {
        return Err(Refusal::new(format!("hot remove failed for {shown}: No such device or address"))
            .hint(format!("{shown} is no member of {}", array.shown)));
    };
    if let Some(slot) = member.slot.filter(|_| member.in_sync && !member.faulty) {
        return Err(Refusal::new(format!("hot remove failed for {shown}: Device or resource busy"))
            .hint(format!("{shown} is active in slot {slot} of {}: --fail or --replace it first", array.shown)));
    }
    if member.journal && !member.faulty {
        return Err(Refusal::new(format!("hot remove failed for {shown}: Device or resource busy"))
            .hint(format!("{shown} is the journal of {}: --fail it first", array.shown)));
    }
    Ok(Plan { steps: vec![Step::HotRemove { devname, device: shown, by: by(target, member) }] })
}

/// Why the kernel does not let a member go that is not in sync; `runs` is the sync action.
#[must_use]
pub fn why_busy(array: &ArrayFacts, target: &Target, runs: Option<&str>) -> Option<String> {
    let (_, member) = array.find(target)?;
    let (device, name) = (&target.shown, &array.shown);
    Some(match (member.slot.filter(|_| !member.faulty), runs) {
        (Some(slot), _) => format!("{device} is being rebuilt in slot {slot} of {name}: --fail it first"),
        (None, Some(action)) => {
            format!("a {action} of {name} runs, which holds it: mdadm --wait {name}, then try again")
        }
        (None, None) => format!("requests to {device} are still under way: try again"),
    })
}

/// By name where a name was typed: the device itself may be gone.
fn by(target: &Target, member: &Member) -> MemberBy {
    match member.dev.filter(|_| target.kname.is_none()) {
        Some(dev) => MemberBy::Dev(dev),
        None => MemberBy::Name(member.kname.clone()),
    }
}

#[cfg(test)]
mod tests;
