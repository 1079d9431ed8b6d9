//! `--incremental`: one device is added to the array that it belongs to, and the array started once all are there that were
//! there last time.
//!
//! Freshness, copies and lazy recoveries are judged as `--assemble` judges them, over the members that the kernel holds
//! already and the new one. What is started when is the reference's (mdadm 4.6, observed).

mod count;

pub use count::{Count, able, count};

use std::path::Path;

use super::assemble::bitmap_file;
use super::assemble::edits::{Edited, Edits};
use super::assemble::heal::heal_lazy;
use super::assemble::identify::same_array;
use super::assemble::naming::member;
use super::assemble::rank::{Ranking, Verdict, rank};
use super::assemble::reshape::turn_the_rest;
use super::assemble::settings;
use super::assemble::steps::{add, leave_spares_out, write};
use super::assemble::table;
use super::assemble::{Candidate, Line, Matched};
use super::bitmap_file::FileFacts;
use super::create::Node;
use super::step::{MemberBy, Plan, Step};
use crate::bitmap::header::Kind;
use crate::error::{Exit, Refusal};
use crate::host::conf::SysfsLine;
use crate::level::Level;
use crate::superblock::Version;
use crate::superblock::reshape;
use crate::superblock::v1::{SuperV1, feature};
use crate::uuid::Uuid;

/// A device with the kernel name by which sysfs has it.
#[derive(Debug, Clone)]
pub struct Named {
    /// Kernel name.
    pub kname: String,
    /// What is on it.
    pub candidate: Candidate,
}

/// What there is of the array that a device belongs to.
#[derive(Debug)]
pub struct Facts<'a> {
    /// Its number and path.
    pub node: &'a Node,
    /// The array has to be made: no member is there yet.
    pub fresh: bool,
    /// The device; `None` where the array is only to be started.
    pub new: Option<&'a Named>,
    /// The members that the kernel holds; the array does not run.
    pub attached: &'a [Named],
    /// A start of it has failed: the kernel takes no further members, so it is made anew with those it has.
    pub spoilt: bool,
    /// The kernel knows already that the bitmap is lockless.
    pub lockless_set: bool,
    /// It is another host's by its metadata, and the configuration does not name it: nothing is written to it until somebody does.
    pub foreign: bool,
    /// SYSFS lines of the configuration.
    pub settings: &'a [SysfsLine],
    /// The bitmap file that the configuration names.
    pub bitmap_file: Option<&'a FileFacts>,
    /// Start the array as soon as it can be: `--run`.
    pub run: bool,
}

/// What becomes of the array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// So many members in sync are too few, or too few for an array that is not clean.
    NotEnough(usize),
    /// It could start, but not with all members that were there last time.
    Unsafe,
    /// It could start, but writes that only its journal has would be lost.
    NoJournal,
    /// It is in the middle of a reshape, which only `--assemble` goes on with.
    Reshaping,
    /// It is started.
    Start {
        /// All members are there that were there last time.
        complete: bool,
        /// Its journal is missing: it will be read-only.
        without_journal: bool,
    },
}

/// What is to be done.
#[derive(Debug)]
pub struct Decision {
    /// What is said before.
    pub lines: Vec<Line>,
    /// The device is added.
    pub attach: Plan,
    /// The array is started; empty where it is not.
    pub start: Plan,
    /// What becomes of the array.
    pub outcome: Outcome,
    /// Metadata of the freshest member.
    pub version: Option<Version>,
    /// Its superblock.
    pub sb: SuperV1,
    /// Its bitmap is lockless.
    pub lockless: bool,
    /// Slots are empty.
    pub degraded: bool,
}

/// Judges the members that are there and makes the plans.
///
/// # Errors
/// The device is no member of this array that could be used: why, status 2.
pub fn decide(facts: &Facts<'_>) -> Result<Decision, Refusal> {
    let all: Vec<&Named> = facts.attached.iter().chain(facts.new).collect();
    let members = matched(&all);
    let newest = facts.new.and_then(|_| members.iter().position(|m| m.index + 1 == all.len()));
    if let (Some(first), Some(n)) = (members.first(), newest.and_then(|i| members.get(i)))
        && !same_array(first.member, n.member)
    {
        return Err(refused(
            facts,
            n,
            format!(
                "metadata mismatch between {} and chosen array {}",
                n.candidate.path.display(),
                facts.node.path.display()
            ),
        ));
    }
    let mut ranking = rank(&members);
    if let Some(refusal) = newest.and_then(|i| refuse(facts, &members, &ranking, i)) {
        return Err(refusal);
    }
    let mut edits = Edits::none(&members);
    let kind = members.get(ranking.chosen).and_then(|m| m.member.bitmap.as_ref());
    let lockless = matches!(kind, Some(Ok(b)) if b.kind == Kind::Lockless);
    heal_lazy(&members, &mut ranking, &mut edits, lockless);
    let Some(best) = edits.members.get(ranking.chosen).map(|e| e.sb.clone()) else {
        return Err(Refusal::new(format!("{}: no member's superblock can be read", facts.node.path.display())));
    };
    let counted = count(&best, &ranking);
    let journal = best.has(feature::JOURNAL) && !ranking.verdicts.contains(&Verdict::Journal);
    let mut outcome = outcome(facts.run, &counted, journal);
    let reshape = reshape::of(&best, members.iter().map(|m| &m.member.sb));
    if matches!(outcome, Outcome::Start { .. })
        && (reshape.is_some_and(|r| r.start() != reshape::Start::ByItself || r.overwrites() || r.will_overwrite())
            || turn_the_rest(&members, &ranking, &mut edits.clone())?)
    {
        outcome = Outcome::Reshaping;
    }
    let starts = matches!(outcome, Outcome::Start { .. });
    let mut lines = Vec::new();
    if starts {
        lines.append(&mut ranking.lines);
        lines.append(&mut edits.lines);
    }
    if starts && lockless {
        lines.extend(leave_spares_out(&facts.node.path.display().to_string(), &best, &members, &mut ranking));
    }
    let make = Maker { facts, all: &all, members: &members, ranking: &ranking, edits: &edits };
    let mut attach = make.attach(newest, lockless, starts);
    let mut start = if starts { make.start(newest, outcome) } else { Plan::default() };
    if let (true, Some(m), Some(e)) = (starts, members.get(ranking.chosen), edits.members.get(ranking.chosen)) {
        let shown = facts.node.path.display().to_string();
        let asked = bitmap_file::Asked { facts: facts.bitmap_file, shown: &shown, resync: false };
        let mut file = bitmap_file::file_plan(&asked, m, e, &facts.node.devname)?;
        lines.append(&mut file.lines);
        start.steps.splice(0..0, file.steps);
    }
    if !starts && facts.new.is_some() {
        attach.steps.push(Step::Uevent { devname: facts.node.devname.clone() });
    }
    let version = members.get(ranking.chosen).map(|m| m.member.version);
    let degraded = ranking.active(reshape::all_slots(&best)).contains(&false);
    Ok(Decision { lines, attach, start, outcome, version, sb: best, lockless, degraded })
}

/// The devices that are members, with their places in the list.
fn matched<'a>(all: &[&'a Named]) -> Vec<Matched<'a>> {
    let one = |(index, named): (usize, &&'a Named)| {
        let candidate = &named.candidate;
        Some(Matched { index, candidate, member: member(&candidate.content)? })
    };
    all.iter().enumerate().filter_map(one).collect()
}

fn outcome(run: bool, counted: &Count, without_journal: bool) -> Outcome {
    if !counted.able || counted.dirty {
        return Outcome::NotEnough(counted.there);
    }
    match (counted.complete(), run, without_journal) {
        (_, false, true) => Outcome::NoJournal,
        (false, false, false) => Outcome::Unsafe,
        (complete, _, _) => Outcome::Start { complete: complete && !without_journal, without_journal },
    }
}

/// `failed to add X to existing array Y: why`, as the reference says it; the reason follows.
fn refused(facts: &Facts<'_>, new: &Matched<'_>, why: String) -> Refusal {
    let (shown, array) = (new.candidate.path.display(), facts.node.path.display());
    Refusal::new(why).hint(format!("{shown} was not added to {array}")).with_exit(Exit::USAGE)
}

/// A device that is no use to the array: nothing is done with it.
fn refuse(facts: &Facts<'_>, members: &[Matched<'_>], ranking: &Ranking, new: usize) -> Option<Refusal> {
    let m = members.get(new)?;
    let about = |i: usize| {
        ranking
            .lines
            .iter()
            .find(|l| {
                l.text.contains(&*members.get(i).map_or_else(String::new, |m| m.candidate.path.display().to_string()))
            })
            .map(|l| l.text.clone())
    };
    if ranking.verdicts.iter().any(|v| matches!(v, Verdict::Apart(_))) {
        let array = facts.node.path.display();
        let line = format!("{array}: members were written to without each other: each calls the other failed");
        let refusal = refused(facts, m, line).hints(table::lines(&table::rows(members, Some(ranking))));
        return Some(refusal.hint(format!(
            "decide which half is right: mdadm --stop {array}, then mdadm --assemble with the members of that half"
        )));
    }
    match ranking.verdicts.get(new)? {
        Verdict::Copy(_) => {
            let (shown, array) = (m.candidate.path.display(), facts.node.path.display());
            let line = format!("failed to add {shown} to existing array {array}: Device or resource busy.");
            Some(Refusal::new(line).with_exit(Exit::USAGE).hints(about(new)))
        }
        Verdict::Useless => Some(refused(facts, m, about(new)?)),
        _ => None,
    }
}

/// Makes the steps.
struct Maker<'a> {
    facts: &'a Facts<'a>,
    all: &'a [&'a Named],
    members: &'a [Matched<'a>],
    ranking: &'a Ranking,
    edits: &'a Edits,
}

impl Maker<'_> {
    fn devname(&self) -> String {
        self.facts.node.devname.clone()
    }

    /// The array is made where it is not there; the device is added.
    fn attach(&self, new: Option<usize>, lockless: bool, starts: bool) -> Plan {
        let (mut steps, fresh) = (Vec::new(), self.facts.fresh || self.facts.spoilt);
        let Some(m) = new.and_then(|i| self.members.get(i)) else {
            steps.extend(self.bitmap_type(lockless));
            return Plan { steps };
        };
        if self.facts.spoilt {
            steps.push(Step::StopArray { devname: self.devname() });
            steps.push(Step::Forget { devname: self.devname() });
        }
        if fresh {
            steps.push(Step::NewArray {
                devname: self.devname(),
                path: self.facts.node.path.clone(),
                metadata: m.member.version.word().into(),
                uuid: m.member.sb.set_uuid(),
            });
        }
        steps.extend(self.bitmap_type(lockless));
        if fresh {
            steps.push(Step::SetArrayInfo { devname: self.devname(), version: m.member.version.numbers() });
        }
        for (i, verdict) in self.ranking.verdicts.iter().enumerate().filter(|(i, _)| Some(*i) != new) {
            let copy = *verdict == Verdict::Copy(new.unwrap_or(usize::MAX));
            match (self.members.get(i), self.edits.members.get(i)) {
                (Some(m), Some(e)) if self.facts.spoilt && !copy => steps.push(add(m, &e.sb, self.devname())),
                // An older copy in its place has the number that the device needs.
                _ if copy && !self.facts.spoilt => steps.extend(self.take_out(i)),
                _ => {}
            }
        }
        if let Some(e) = new.and_then(|i| self.edits.members.get(i)) {
            if starts {
                write(m, e, &mut steps);
            }
            steps.push(add(m, &e.sb, self.devname()));
        }
        Plan { steps }
    }

    fn bitmap_type(&self, lockless: bool) -> Option<Step> {
        let value = || "llbitmap".to_owned();
        let attr = "bitmap_type".to_owned();
        let wanted = lockless && (!self.facts.lockless_set || self.facts.spoilt);
        wanted.then(|| Step::Sysfs { devname: self.devname(), attr, value: value(), verify: Some(value()) })
    }

    /// What is stale goes, what was taken for rebuilt by mistake is put right, then the array starts.
    fn start(&self, new: Option<usize>, outcome: Outcome) -> Plan {
        let mut steps = Vec::new();
        let readable = |index: usize| self.members.iter().any(|m| m.index == index);
        let spoilt = self.facts.spoilt && new.is_some();
        for (_, named) in self.all.iter().enumerate().filter(|(index, _)| !readable(*index) && !spoilt) {
            steps.push(self.hot_remove(named));
        }
        for (i, verdict) in self.ranking.verdicts.iter().enumerate() {
            use Verdict::{Apart, Copy, Stale, StaleJournal, Useless};
            let gone_already = *verdict == Copy(new.unwrap_or(usize::MAX));
            if matches!(verdict, Stale(_) | StaleJournal | Apart(_) | Copy(_) | Useless) && !gone_already {
                steps.extend(self.take_out(i));
            }
        }
        for (i, (m, e)) in self.members.iter().zip(&self.edits.members).enumerate() {
            if Some(i) != new && changes(e) {
                steps.extend(self.take_out(i));
                write(m, e, &mut steps);
                steps.push(add(m, &e.sb, self.devname()));
            }
        }
        let devname = self.devname();
        steps.push(match outcome {
            Outcome::Start { complete: true, .. } if !self.facts.foreign => Step::RunArray { devname },
            // Not writable, the kernel reads what has moved from where it was.
            _ if self.is_moving_raid10() => Step::RunArray { devname },
            _ => Step::Sysfs { devname, attr: "array_state".into(), value: "read-auto".into(), verify: None },
        });
        let uuid = self.members.get(self.ranking.chosen).map_or(Uuid::ZERO, |m| m.member.sb.set_uuid());
        steps.extend(settings::steps(self.facts.settings, uuid, &self.facts.node.path, &self.facts.node.devname));
        steps.push(Step::Uevent { devname: self.devname() });
        Plan { steps }
    }

    fn is_moving_raid10(&self) -> bool {
        let best = self.members.get(self.ranking.chosen).map(|m| &m.member.sb);
        best.is_some_and(|sb| sb.has(feature::RESHAPE_ACTIVE) && Level::from_raw(sb.level_raw()) == Some(Level::Raid10))
    }

    fn take_out(&self, i: usize) -> Option<Step> {
        self.members.get(i).and_then(|m| self.all.get(m.index)).map(|named| self.hot_remove(named))
    }

    fn hot_remove(&self, named: &Named) -> Step {
        Step::HotRemove {
            devname: self.devname(),
            device: shown(&named.candidate.path),
            by: MemberBy::Name(named.kname.clone()),
        }
    }
}

fn changes(e: &Edited) -> bool {
    !e.what.is_empty()
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
