//! Moves spares between arrays of a spare-group or of a domain.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::state::spares::{Ask, Move, moves};
use super::state::{Event, Subject, Watch, Watched, What};
use crate::cli::request::{Common, ManageItem, ManageOp, ManageRequest};
use crate::cmd::manage;
use crate::cmd::print::complain;
use crate::error::Exit;
use crate::host::Host;
use crate::host::conf::Policy;
use crate::host::place::metadata_word;
use crate::kernel::process::nothing_starts;
use crate::plan::policy::allowed;
use crate::sysfs::attr;

/// How long a program may take to be started, until a spare is moved all the same.
const STARTS: Duration = Duration::from_secs(5);

/// Spares that could not be moved to an array: when that was tried last, and how often.
#[derive(Debug, Default)]
pub struct Failed(HashMap<(String, String), (Instant, u32)>);

impl Failed {
    fn add(&mut self, kname: &str, array: &str) {
        let (at, tries) = self.0.entry((kname.to_owned(), array.to_owned())).or_insert((Instant::now(), 0));
        (*at, *tries) = (Instant::now(), *tries + 1);
    }

    fn is_due(&self, kname: &str, array: &str) -> bool {
        let failed = self.0.get(&(kname.to_owned(), array.to_owned()));
        failed.is_none_or(|(at, tries)| at.elapsed() >= pause(*tries))
    }
}

/// What was in the way may go, but a spare that never fits is not to be tried, and told of, each minute.
fn pause(tries: u32) -> Duration {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    (Duration::from_secs(60) * 2u32.saturating_pow(tries.saturating_sub(1).min(11))).min(DAY)
}

/// What is known when spares are chosen.
struct Known<'a> {
    host: &'a Host,
    policies: &'a [Policy],
    failed: &'a Failed,
}

impl Ask for Known<'_> {
    fn domains(&self, array: &Watched, dev: (u32, u32)) -> BTreeSet<String> {
        let Some(last) = array.last.as_ref().filter(|_| !self.policies.is_empty()) else { return BTreeSet::new() };
        let Some(metadata) = metadata_word(&self.host.sysfs.array(&last.devname)) else { return BTreeSet::new() };
        allowed(self.policies, &self.host.place_of(dev, &[]), Some(metadata)).domains
    }

    fn fits(&self, array: &Watched, kname: &str) -> bool {
        self.failed.is_due(kname, &array.wanted.name) && is_large_enough(self.host, array, kname)
    }
}

/// Moves what is to be moved; an event for each spare that was.
pub fn share(host: &Host, watch: &Watch, policies: &[Policy], failed: &mut Failed) -> Vec<Event> {
    let mut events = Vec::new();
    for m in moves(watch, &Known { host, policies, failed }) {
        let (Some(from), Some(to)) = (watch.arrays.get(m.from), watch.arrays.get(m.to)) else { continue };
        if carry_out(host, &m, from, to) {
            events.extend(moved(from, to));
        } else {
            failed.add(&m.kname, &to.wanted.name);
        }
    }
    events
}

fn moved(from: &Watched, to: &Watched) -> Option<Event> {
    let array = to.last.clone()?;
    let subject = Subject { name: to.wanted.name.clone(), devname: array.devname.clone(), uuid: array.uuid };
    Some(Event { what: What::MoveSpare(from.wanted.name.clone()), subject, array })
}

/// Takes it out of one array and adds it to the other; back to the first where that takes it no more.
fn carry_out(host: &Host, m: &Move, from: &Watched, to: &Watched) -> bool {
    // The program that is told of the failure just now would keep the spare busy.
    let _free = nothing_starts(STARTS);
    let device = host.dev.join(&m.kname);
    let act = |op, at: &Watched| {
        let Some(array) = at.last.as_ref().map(|a| host.dev.join(&a.devname)) else { return Exit::FAIL };
        manage::run(&request(op, array, device.clone())).0
    };
    if act(ManageOp::Remove, from) != Exit::OK {
        return false;
    }
    if act(ManageOp::AddSpare, to) == Exit::OK {
        return true;
    }
    let shown = device.display();
    complain(format!("{shown} could not be moved to {}; it goes back to {}", to.wanted.name, from.wanted.name));
    if act(ManageOp::AddSpare, from) != Exit::OK {
        complain(format!("{shown} is in no array now: mdadm {} --add {shown}", from.wanted.name));
    }
    false
}

fn request(op: ManageOp, array: PathBuf, device: PathBuf) -> ManageRequest {
    let common = Common { verbose: -1, ..Common::default() };
    let item = ManageItem { op, device, write_mostly: None, failfast: None };
    ManageRequest {
        common,
        array,
        items: vec![item],
        update: None,
        any_sector_size: false,
        readonly: false,
        after: None,
    }
}

/// Whether the device holds what a member of the array holds.
fn is_large_enough(host: &Host, needy: &Watched, kname: &str) -> bool {
    let Some(array) = &needy.last else { return false };
    let dir = host.sysfs.array(&array.devname);
    let need = |kname: &str| {
        let member = dir.member(kname);
        Some(member.get(attr::OFFSET)?.saturating_add(member.get(attr::SIZE)?.saturating_mul(2)))
    };
    let need = array.in_sync().find_map(|m| need(&m.kname));
    need.zip(host.sysfs.sectors_of(kname)).is_some_and(|(need, have)| have >= need)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spare_that_was_not_taken_is_tried_again_ever_later() {
        let mut failed = Failed::default();
        assert!(failed.is_due("sda", "/dev/md0"));
        failed.add("sda", "/dev/md0");
        assert!(
            !failed.is_due("sda", "/dev/md0") && failed.is_due("sda", "/dev/md1") && failed.is_due("sdb", "/dev/md0")
        );
        assert_eq!([1, 2, 3, 50].map(|tries| pause(tries).as_secs()), [60, 120, 240, 24 * 3600]);
    }
}
