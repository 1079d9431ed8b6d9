//! The arrays that are watched: which of those seen before is which of those seen now, and what to tell of it.

use std::collections::{HashMap, HashSet};

use super::change;
use super::{Array, Condition, Event, Subject, What};
use crate::uuid::Uuid;

/// Looks at an array that nothing rebuilds until that is told, where it was not plain at once: the kernel takes a spare a moment
/// after the start, and goes from one recovery to the next by way of none. Where many arrays start, looks come one upon another.
const PATIENCE: u8 = 3;

/// An array named on the command line or in the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// As shown.
    pub name: String,
    /// Kernel name, where its path leads to one now.
    pub devname: Option<String>,
    /// What identifies it.
    pub uuid: Option<Uuid>,
    /// `spares=`
    pub spares: Option<u32>,
    /// `spare-group=`
    pub spare_group: Option<String>,
}

/// How to watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// All arrays, not only those named.
    pub scan: bool,
    /// `--test`
    pub test: bool,
    /// `--increment`, percent.
    pub increment: u32,
    /// The look comes soon after another one, because of some array: that uses up no patience.
    pub hurried: bool,
}

/// Which slots of which arrays were once seen to be in sync, also by monitors of before.
pub type Memory = HashMap<Uuid, HashSet<u32>>;

/// What is known about members that are missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Trouble {
    /// Nothing is missing, or it was told.
    #[default]
    None,
    /// Something is missing that is, or may soon be, rebuilt; so many looks found that it is not.
    Waiting(u8),
}

/// One array that is watched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watched {
    /// Which one.
    pub wanted: Wanted,
    /// As it was last; none while it is not there.
    pub last: Option<Array>,
    /// Not asked for by name: found, and forgotten when it goes.
    found: bool,
    /// Its uuid while it is there.
    uuid: Option<Uuid>,
    /// Was there once.
    seen: bool,
    trouble: Trouble,
}

/// All of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    rules: Rules,
    /// In the order in which they are looked at.
    pub arrays: Vec<Watched>,
    tested: bool,
}

impl Watch {
    /// Nothing was seen yet.
    #[must_use]
    pub fn new(rules: Rules, wanted: Vec<Wanted>) -> Watch {
        let arrays = wanted.into_iter().map(|wanted| Watched { wanted, ..Watched::default() }).collect();
        Watch { rules, arrays, tested: false }
    }

    /// Whether the next look comes soon after the one before.
    pub fn hurry(&mut self, hurried: bool) {
        self.rules.hurried = hurried;
    }

    /// Another configuration: what was seen stays, names and wishes are the new ones'.
    pub fn rewant(&mut self, wanted: Vec<Wanted>) {
        for old in &mut self.arrays {
            old.found = true;
            (old.wanted.spares, old.wanted.spare_group) = (None, None);
        }
        for new in wanted {
            match self.arrays.iter_mut().find(|w| w.is_meant(&new)) {
                Some(old) => {
                    let devname = old.wanted.devname.clone().or(new.devname.clone());
                    (old.wanted, old.found) = (Wanted { devname, ..new }, false);
                }
                None => self.arrays.push(Watched { wanted: new, ..Watched::default() }),
            }
        }
    }

    /// What happened since the last look. `now` are all arrays that run, in the order in which new ones are to be told.
    pub fn look(&mut self, now: &[Array], memory: &Memory) -> Vec<Event> {
        let mut events = Vec::new();
        let mut taken = HashSet::new();
        let rules = Rules { test: self.rules.test && !self.tested, ..self.rules };
        for watched in &mut self.arrays {
            let mut candidates = now.iter().filter(|a| watched.is(a) && !taken.contains(a.devname.as_str()));
            let first = candidates.next();
            let same_place = |a: &&Array| watched.wanted.devname.as_ref() == Some(&a.devname);
            let found = first.filter(same_place).or_else(|| candidates.find(same_place)).or(first);
            taken.extend(found.map(|a| a.devname.as_str()));
            watched.step(found, rules, memory, &mut events);
        }
        let known = events.len();
        if self.rules.scan {
            for array in now.iter().filter(|a| a.is_redundant() && !taken.contains(a.devname.as_str())) {
                let wanted = Wanted {
                    name: format!("/dev/{}", array.devname),
                    devname: Some(array.devname.clone()),
                    ..Wanted::default()
                };
                let mut watched = Watched { wanted, found: true, ..Watched::default() };
                if rules.test {
                    // The newest first, and before all else, as in the reference.
                    events.insert(known, watched.event(What::TestMessage, array));
                }
                events.push(watched.event(What::NewArray, array));
                watched.step(Some(array), Rules { test: false, ..rules }, memory, &mut events);
                self.arrays.push(watched);
            }
        }
        self.arrays.retain(|w| !w.found || w.last.is_some());
        self.tested = true;
        events
    }

    /// Whether any array is there that can lose a member and go on.
    #[must_use]
    pub fn any_redundant(&self) -> bool {
        self.arrays.iter().filter_map(|w| w.last.as_ref()).any(Array::is_redundant)
    }

    /// Whether an array that was asked for is not there.
    #[must_use]
    pub fn any_lost(&self) -> bool {
        self.arrays.iter().any(|w| w.last.is_none())
    }

    /// Whether something runs whose progress is to be told.
    #[must_use]
    pub fn is_syncing(&self) -> bool {
        self.arrays.iter().filter_map(|w| w.last.as_ref()).any(|a| a.percent().is_some())
    }

    /// Whether an array is to be looked at again soon, though the kernel may tell nothing more.
    #[must_use]
    pub fn is_impatient(&self) -> bool {
        self.arrays.iter().any(|w| matches!(w.trouble, Trouble::Waiting(_)) && w.last.is_some())
    }
}

impl Watched {
    /// Whether a line of a new configuration means this array.
    fn is_meant(&self, line: &Wanted) -> bool {
        match (self.wanted.uuid.or(self.uuid), line.uuid) {
            (Some(uuid), Some(wanted)) => uuid == wanted,
            _ => self.wanted.name == line.name,
        }
    }

    /// Known by its uuid, so that a name that changes is nothing; by its kernel name where it has none.
    fn is(&self, array: &Array) -> bool {
        match (self.wanted.uuid.or(self.uuid), array.uuid) {
            (Some(wanted), Some(uuid)) => wanted == uuid,
            (Some(_), None) if self.last.is_none() => false,
            _ => self.wanted.devname.as_deref() == Some(array.devname.as_str()),
        }
    }

    fn event(&self, what: What, array: &Array) -> Event {
        let (name, uuid) = (self.wanted.name.clone(), array.uuid.or(self.wanted.uuid));
        let subject = Subject { name, devname: array.devname.clone(), uuid };
        Event { what, subject, array: array.clone() }
    }

    fn step(&mut self, found: Option<&Array>, rules: Rules, memory: &Memory, events: &mut Vec<Event>) {
        let before = self.last.take();
        let Some(now) = found else {
            let gone = before.map(|last| self.event(What::DeviceDisappeared, &last));
            events.extend(gone.filter(|e| e.array.is_redundant()));
            (self.trouble, self.uuid) = (Trouble::None, None);
            return;
        };
        self.last = Some(now.clone());
        self.wanted.devname = Some(now.devname.clone());
        self.uuid = now.uuid;
        if self.found {
            self.wanted.name = format!("/dev/{}", now.devname);
        }
        let mut what = match before.as_ref().filter(|b| b.is_redundant()) {
            _ if !now.is_redundant() => self.without_redundancy(before.as_ref(), rules),
            Some(before) => self.again(before, now, rules),
            None => self.first(now, rules, memory),
        };
        // Gone before, and here again: with --scan that is news.
        if before.is_none() && self.seen && rules.scan && now.is_redundant() {
            what.insert(0, What::NewArray);
        }
        self.seen = true;
        events.extend(what.into_iter().map(|what| self.event(what, now)));
    }

    fn without_redundancy(&mut self, before: Option<&Array>, rules: Rules) -> Vec<What> {
        let known = before.is_some_and(|b| !b.is_redundant());
        let asked_for = !rules.scan || before.is_some();
        if known || !asked_for {
            return Vec::new();
        }
        let test = (rules.test && !rules.scan).then_some(What::TestMessage);
        test.into_iter().chain([What::WrongLevel]).collect()
    }

    fn first(&mut self, now: &Array, rules: Rules, memory: &Memory) -> Vec<What> {
        let mut what = Vec::new();
        if rules.test {
            what.push(What::TestMessage);
        }
        let missing = now.missing_slots();
        if !missing.is_empty() {
            // A slot that once had its data has lost it, whatever is done about it now.
            let once = now.uuid.and_then(|uuid| memory.get(&uuid));
            let lost = once.is_some_and(|slots| missing.iter().any(|s| slots.contains(s)));
            let waits = now.count(Condition::Spare) + now.count(Condition::Rebuilding);
            let soon = now.is_attended() || (waits > 0 && now.sync.is_none() && !now.readonly);
            if lost || !soon {
                what.push(What::DegradedArray);
            } else {
                self.trouble = Trouble::Waiting(u8::from(!now.is_attended()));
            }
        }
        let spares = now.count(Condition::Spare) + now.count(Condition::Rebuilding);
        if self.wanted.spares.is_some_and(|wanted| usize::try_from(wanted).is_ok_and(|wanted| spares < wanted)) {
            what.push(What::SparesMissing);
        }
        what.extend(change::sync(None, now, rules.increment));
        what
    }

    fn again(&mut self, before: &Array, now: &Array, rules: Rules) -> Vec<What> {
        let mut what = change::between(before, now, rules.increment);
        let Trouble::Waiting(looks) = self.trouble else { return what };
        let told = what.iter().any(|w| matches!(w, What::Fail(_) | What::FailSpare(_)));
        self.trouble = match looks.saturating_add(u8::from(!rules.hurried)) {
            _ if now.missing_slots().is_empty() || told => Trouble::None,
            _ if now.is_attended() => Trouble::Waiting(0),
            looks if looks < PATIENCE => Trouble::Waiting(looks),
            _ => {
                what.push(What::DegradedArray);
                Trouble::None
            }
        };
        what
    }
}
