//! Manage mode on members: `--add`, `--fail`, `--remove` and their like, in the order typed, each applying to what follows.

mod add;
mod gather;
mod journal;
mod longer;
mod missed;
mod plain;
mod readd;
mod rebuild;

pub use gather::array as array_facts;
pub use longer::longer;
pub use readd::{late, new_spare};

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::apply::{ApplyError, Session, reason};
use super::print::{complain, out};
use super::save;
use crate::cli::request::{Common, ManageItem, ManageOp, ManageRequest, MiscRequest};
use crate::device::real::RealDevice;
use crate::error::{Exit, Refusal};
use crate::host::Host;
use crate::host::conf::Conf;
use crate::host::devmap::dev_of;
use crate::host::node::{OpenArray, OpenError};
use crate::plan::manage::{self, ArrayFacts, Target, replace};
use crate::plan::step::{Plan, Step};
use crate::sysfs::attr;
use crate::sysfs::value::SyncAction;

/// How often a failed member is tried to be removed while writes to it are under way, and the pause in between.
const REMOVE_TRIES: u32 = 50;
const REMOVE_PAUSE: Duration = Duration::from_millis(10);
/// How often a replacement is tried to be set while something is rebuilt, with the same pause.
const WITH_TRIES: u32 = 500;

/// Runs the request; `--json` lists the operations that were done, too.
#[must_use]
pub fn run(req: &ManageRequest) -> (Exit, Map<String, Value>) {
    let mut done = Vec::new();
    let exit = act(req, &mut done);
    (exit, std::iter::once(("operations".to_owned(), Value::from(done))).collect())
}

/// The same as a part of another command: its operations are done, or with `--plan` their steps given.
///
/// # Errors
/// The first operation that failed.
pub fn with_steps(req: &ManageRequest) -> Result<Plan, Refusal> {
    let host = Host::default();
    let array = host.open_array(&req.array).map_err(|e| Refusal::new(cannot_open(&req.array, &e)))?;
    let mut manager = Manager::new(req, &host, array);
    manager.all()?;
    Ok(std::mem::take(&mut manager.shown))
}

fn act(req: &ManageRequest, done: &mut Vec<Value>) -> Exit {
    let host = Host::default();
    let array = match host.open_array(&req.array) {
        Ok(array) => array,
        Err(e) => {
            complain(cannot_open(&req.array, &e));
            return Exit::FAIL;
        }
    };
    let mut manager = Manager::new(req, &host, array);
    let all = manager.all();
    done.append(&mut manager.done);
    let exit = match all {
        Ok(exit) => exit,
        Err(refusal) => {
            refusal.lines.iter().for_each(complain);
            return refusal.exit;
        }
    };
    if req.common.plan {
        out(&save::shown(&host, &req.common, &manager.shown));
        return exit;
    }
    drop(manager);
    match req.after {
        Some(action) if exit == Exit::OK => super::misc::run(
            &MiscRequest {
                // The report is that of this command.
                common: Common { json: false, ..req.common.clone() },
                items: vec![(action, req.array.clone())],
                manage: true,
                ..MiscRequest::default()
            },
            &Conf::default(),
        ),
        _ => exit,
    }
}

fn cannot_open(path: &Path, e: &OpenError) -> String {
    match e {
        OpenError::Open(e) => format!("error opening {}: {}", path.display(), reason(e)),
        OpenError::NotMd => format!("{} does not appear to be an md device", path.display()),
    }
}

/// One command while it runs.
struct Manager<'a> {
    req: &'a ManageRequest,
    host: &'a Host,
    /// Lent to the session while steps are executed.
    array: Option<OpenArray>,
    /// With `--plan`: the array as it would be by now.
    facts: Option<ArrayFacts>,
    /// The array as it was read last, until something is done to it.
    known: RefCell<Option<ArrayFacts>>,
    /// With `--plan`: all steps.
    shown: Plan,
    /// The device that is handled just now came back as it was, not to be rebuilt fully.
    came_back: bool,
    changed: u32,
    /// What was done, in order.
    done: Vec<Value>,
    /// Slots whose members are to be replaced, without a chosen spare yet.
    replaced: VecDeque<u32>,
    /// The array whose sync actions are held back.
    frozen: Option<String>,
}

impl<'a> Manager<'a> {
    fn new(req: &'a ManageRequest, host: &'a Host, array: OpenArray) -> Manager<'a> {
        Manager {
            req,
            host,
            array: Some(array),
            facts: None,
            known: RefCell::new(None),
            shown: Plan::default(),
            came_back: false,
            changed: 0,
            done: Vec::new(),
            replaced: VecDeque::new(),
            frozen: None,
        }
    }
}

impl Manager<'_> {
    fn all(&mut self) -> Result<Exit, Refusal> {
        if self.req.readonly {
            let devname = self.array.as_ref().map(|a| a.name.devname.clone()).unwrap_or_default();
            self.execute(&Plan { steps: vec![Step::SetReadOnly { devname }] })?;
        }
        self.freeze()?;
        if self.may_rebuild() {
            self.leave_nothing_out()?;
        }
        let done = self.req.items.iter().try_for_each(|item| self.item(item));
        self.thaw();
        done?;
        // mdadm(8), --test: 2 if no changes were made.
        Ok(if self.req.common.test && self.changed == 0 && !self.req.items.is_empty() { Exit::USAGE } else { Exit::OK })
    }

    /// Several members that come at once are rebuilt together, and a replacement is not given to another: nothing may
    /// start in between, as in the reference.
    fn freeze(&mut self) -> Result<(), Refusal> {
        let coming = self
            .req
            .items
            .iter()
            .filter(|i| {
                use ManageOp::{AddJournal, ClusterConfirm, Fail, Remove};
                !matches!(i.op, Fail | Remove | AddJournal | ClusterConfirm)
            })
            .count();
        // A word can stand for several.
        let words = ["missing", "faulty", "failed"];
        let many = coming > 1 || self.req.items.iter().any(|i| words.iter().any(|w| i.device.as_os_str() == *w));
        let Some(array) = self.array.as_ref().filter(|_| coming > 0 && many) else { return Ok(()) };
        if array.sysfs.get(attr::SYNC_ACTION) != Some(SyncAction::Idle) {
            return Ok(());
        }
        let devname = array.name.devname.clone();
        self.execute(&sync_action(devname.clone(), "frozen"))?;
        self.frozen = Some(devname);
        Ok(())
    }

    fn thaw(&mut self) {
        if let Some(devname) = self.frozen.take()
            && let Err(refusal) = self.execute(&sync_action(devname, "idle"))
        {
            refusal.lines.iter().for_each(complain);
        }
    }

    /// The array as it is now; with `--plan`, as it would be.
    fn facts(&self) -> Result<ArrayFacts, Refusal> {
        if let Some(facts) = &self.facts {
            return Ok(facts.clone());
        }
        if let Some(known) = self.known.borrow().as_ref() {
            return Ok(known.clone());
        }
        let facts = self.array.as_ref().and_then(|a| gather::array(self.host, a));
        self.known.replace(facts.clone());
        let shown = self.req.array.display();
        facts.ok_or_else(|| {
            Refusal::new(format!("Cannot get array info for {shown}"))
                .hint(format!("{shown} does not run: start it first (mdadm --run {shown})"))
        })
    }

    fn item(&mut self, item: &ManageItem) -> Result<(), Refusal> {
        let facts = self.facts()?;
        let word = item.device.to_string_lossy();
        let targets = match manage::members_of_word(item.op, &word, &facts)? {
            Some(targets) => targets,
            None if word == "missing" => self.missing(&facts)?,
            None => vec![by_path(&item.device)?],
        };
        for target in targets {
            match item.op {
                // Found by us: those that cannot come back are left alone.
                ManageOp::ReAdd if word == "missing" => match self.come_back(item, &target) {
                    Err(e) if e.lines.first().is_some_and(|l| l.ends_with("is not possible")) => continue,
                    done => done?,
                },
                ManageOp::Fail => self.fail(&target)?,
                ManageOp::Remove => self.remove(&target)?,
                ManageOp::AddSpare => self.add_spare(item, &target)?,
                ManageOp::AddJournal => self.add_journal(item, &target)?,
                ManageOp::Add | ManageOp::ReAdd => self.come_back(item, &target)?,
                ManageOp::Replace => self.replace(&target)?,
                ManageOp::With => self.with(&target)?,
                // Refused with its word.
                ManageOp::ClusterConfirm => continue,
            }
            self.changed += 1;
            self.done.push(json!({
                "operation": item.op.word(), "device": target.shown, "re_added": std::mem::take(&mut self.came_back),
            }));
        }
        Ok(())
    }

    fn fail(&mut self, target: &Target) -> Result<(), Refusal> {
        let mut facts = self.facts()?;
        let plan = manage::fail(&facts, target, self.req.common.force > 0)?;
        let busy = reason(&std::io::Error::from_raw_os_error(libc::EBUSY));
        self.execute(&plan).map_err(|refusal| {
            // As the reference: the array cannot do without it.
            let is_busy = refusal.lines.first().is_some_and(|l| l.ends_with(&busy));
            if is_busy && !self.req.common.test { refusal.with_exit(Exit::USAGE) } else { refusal }
        })?;
        let journal = facts.find(target).is_some_and(|(_, m)| m.journal);
        if facts.reshaping && self.req.common.verbose >= 0 {
            let name = self.req.array.display();
            self.say(format!("note: {name} is being reshaped, which goes on without {}", target.shown));
        }
        facts.after_fail(target);
        self.remember(facts);
        if self.req.common.verbose != 0 {
            self.say(format!("set {} faulty in {}", target.shown, self.req.array.display()));
        }
        if journal && self.req.common.verbose >= 0 {
            let name = self.req.array.display();
            self.say(format!(
                "note: {name} fails all writes without its journal; for a new one: --remove this, mdadm --readonly {name}, --add-journal"
            ));
        }
        Ok(())
    }

    fn remove(&mut self, target: &Target) -> Result<(), Refusal> {
        let mut facts = self.facts()?;
        let plan = manage::remove(&facts, target)?;
        let mut tries = REMOVE_TRIES;
        while let Err(refusal) = self.execute(&plan) {
            tries -= 1;
            let busy = refusal.lines.first().is_some_and(|l| l.ends_with("Device or resource busy"));
            if !busy || tries == 0 {
                let runs = self.array.as_ref().and_then(|a| a.sysfs.get(attr::SYNC_ACTION));
                let runs = runs.filter(|a| !matches!(a, SyncAction::Idle | SyncAction::Frozen));
                let why = manage::why_busy(&facts, target, runs.as_ref().map(SyncAction::word));
                return Err(refusal.hints(why));
            }
            std::thread::sleep(REMOVE_PAUSE);
        }
        facts.after_remove(target);
        self.remember(facts);
        self.say(format!("hot removed {} from {}", target.shown, self.req.array.display()));
        Ok(())
    }

    fn replace(&mut self, target: &Target) -> Result<(), Refusal> {
        let facts = self.facts()?;
        let (plan, slot) = replace::replace(&facts, target)?;
        self.execute(&plan).map_err(|e| {
            let line = format!("Failed to request replacement for {}", target.shown);
            Refusal::new(line).hints(e.lines)
        })?;
        self.replaced.push_back(slot);
        if self.req.common.verbose >= 0 {
            self.say(format!("Marked {} (device {slot} in {}) for replacement", target.shown, facts.shown));
        }
        Ok(())
    }

    /// The first `--with` goes with the first `--replace`.
    fn with(&mut self, target: &Target) -> Result<(), Refusal> {
        let none = || Refusal::new(format!("No matching --replace device for --with {}", target.shown));
        let slot = self.replaced.pop_front().ok_or_else(none)?;
        let mut tries = WITH_TRIES;
        // While something is rebuilt the kernel answers EBUSY, and when that ends it may take the spare by itself.
        let facts = loop {
            let facts = self.facts()?;
            let Err(refusal) = self.execute(&replace::with(&facts, target, slot)?) else { break facts };
            tries -= 1;
            let busy = refusal.lines.first().is_some_and(|l| l.ends_with("Device or resource busy"));
            if !busy || tries == 0 {
                let line = format!("Failed to set {} as preferred replacement.", target.shown);
                let failed = Refusal::new(line).hints(refusal.lines);
                let array = self.req.array.display();
                let wait = format!("{array} is being rebuilt: mdadm --wait {array}, then try again");
                return Err(if busy { failed.hint(wait) } else { failed });
            }
            std::thread::sleep(REMOVE_PAUSE);
        };
        if self.req.common.verbose >= 0 {
            self.say(format!("Marked {} in {} as replacement for device {slot}", target.shown, facts.shown));
        }
        Ok(())
    }

    fn remember(&mut self, facts: ArrayFacts) {
        if self.req.common.plan {
            self.facts = Some(facts);
        }
    }

    /// What was done: nothing is done with `--plan`.
    fn say(&self, line: String) {
        if !self.req.common.plan {
            complain(line);
        }
    }

    fn execute(&mut self, plan: &Plan) -> Result<(), Refusal> {
        self.execute_with(plan, None)
    }

    /// Executes steps, the writes among them on this open device.
    fn execute_with(&mut self, plan: &Plan, device: Option<RealDevice>) -> Result<(), Refusal> {
        if self.req.common.plan {
            self.shown.steps.extend(plan.steps.iter().cloned());
            return Ok(());
        }
        self.known.replace(None);
        let mut session = Session::new(self.host, &self.req.common);
        session.array = self.array.take();
        if let Some(device) = device {
            session.give(device);
        }
        let done = session.apply(plan);
        self.array = session.array.take();
        done.map_err(refused)
    }
}

fn sync_action(devname: String, word: &str) -> Plan {
    Plan { steps: vec![Step::Sysfs { devname, attr: "sync_action".into(), value: word.into(), verify: None }] }
}

fn refused(e: ApplyError) -> Refusal {
    Refusal::from(e)
}

/// Names who holds a device.
fn holders(host: &Host, path: &Path, refusal: Refusal) -> Refusal {
    let found = crate::host::devmap::block_dev(path).map(|dev| host.who_holds(dev)).unwrap_or_default();
    found.iter().fold(refusal, |r, h| r.hint(format!("{} is {h}", path.display())))
}

/// A path that was typed: the device's number counts.
fn by_path(path: &Path) -> Result<Target, Refusal> {
    use std::os::unix::fs::FileTypeExt;
    let shown = path.display().to_string();
    let meta = std::fs::metadata(path).map_err(|e| Refusal::new(format!("stat failed for {shown}: {}", reason(&e))))?;
    if !meta.file_type().is_block_device() {
        return Err(Refusal::new(format!("{shown} is not a block device.")));
    }
    Ok(Target { dev: Some(dev_of(&meta)), shown, kname: None })
}
