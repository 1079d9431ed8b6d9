//! One device that was found: added to its array, which is started once it is complete.

use std::path::Path;

use super::array::{self, Found};
use super::late;
use super::report::Report;
use super::spare;
use crate::cli::request::{IncrementalRequest, Metadata};
use crate::cmd::apply::{ApplyError, Session, reason};
use crate::cmd::assemble::kernel_is;
use crate::cmd::assemble::probe::candidate;
use crate::cmd::bitmap_file;
use crate::cmd::configured;
use crate::cmd::node;
use crate::cmd::print::{complain, out};
use crate::cmd::save;
use crate::device::real::{Access, RealDevice};
use crate::error::{Exit, Refusal};
use crate::host::Host;
use crate::host::conf::{ArrayLine, Conf};
use crate::host::devmap::block_dev;
use crate::host::kernel_log;
use crate::host::map::{MapEntry, MapLock};
use crate::host::names::{self, TypedName};
use crate::level::Level;
use crate::plan::assemble::line::{matching, of_this_cluster};
use crate::plan::assemble::naming::{Local, auto_name, format_name, is_local, may_start, member, own_number};
use crate::plan::assemble::start::explain;
use crate::plan::assemble::{Candidate, Content, Member, Wishes};
use crate::plan::create::Node;
use crate::plan::incremental::{Decision, Facts, Named, Outcome, decide};
use crate::plan::known_faults;
use crate::plan::policy::{Action, allowed};
use crate::plan::step::Plan;
use crate::superblock::Version;
use crate::superblock::v1::Minor;
use crate::sysfs::attr;

/// Adds the device.
pub fn run(req: &IncrementalRequest, conf: &Conf, host: &Host, device: &Path) -> Result<Exit, Refusal> {
    let c = look(req, conf, host, device)?;
    let Some(m) = member(&c.content) else {
        if !req.common.is_quiet() {
            complain(format!("no recognisable superblock on {}.", device.display()));
        }
        return spare::run(req, conf, host, &c)?.ok_or_else(|| no_member(&c));
    };
    let allowed = allowed(&conf.policies, &spare::place(host, req, c.dev), Some(format_name(m.version)));
    let lines = matching(conf, &c, m)?;
    let line = lines.first().copied();
    let local = match (line, local(req, conf, host)) {
        (Some(_), _) => Local::All,
        (None, local) => local,
    };
    if line.is_none() && !may_start(conf.auto.as_deref(), allowed.auto, m, &local) {
        let said = format!(
            "{} has metadata type {} for which auto-assembly is disabled",
            device.display(),
            format_name(m.version)
        );
        let lines = if req.common.verbose > 0 { vec![said] } else { Vec::new() };
        return Err(Refusal { lines, exit: Exit::FAIL });
    }
    of_this_cluster(&c, m, conf)?;
    let (lock, map) = array::locked(host, req.common.plan);
    still_free(host, device)?;
    let kname = host.sysfs.block_name(c.dev).unwrap_or_default();
    let uuid = m.sb.set_uuid();
    let foreign = !is_local(m, &local);
    let named = Named { kname: kname.replace('/', "!"), candidate: c.clone() };
    let found = array::find(host, &map, uuid);
    let action = allowed.action;
    let attach = Attach { req, conf, host, device, new: &named, foreign, line, action };
    match found {
        Some(found) if found.runs() => late::run(&attach, &found, m, lock),
        Some(found) => attach.to_existing(&found, lock),
        None => {
            let typed = name(host, &map, line, m, &local)?;
            attach.to_new(&typed, lock, &map)
        }
    }
}

/// What is on the device, if it may be looked at.
fn look(req: &IncrementalRequest, conf: &Conf, host: &Host, device: &Path) -> Result<Candidate, Refusal> {
    let shown = device.display();
    if let Err(e) = std::fs::metadata(device) {
        return Err(Refusal::new(format!("stat failed for {shown}: {}", reason(&e))));
    }
    let Some(dev) = block_dev(device) else {
        return Err(Refusal::new(format!("{shown} is not a block device.")));
    };
    // The others are links that udev is about to make.
    if !conf.devices.is_empty() && !configured::permitted(conf, &req.devices, dev) {
        return Err(Refusal::new(format!("{shown} not permitted by mdadm.conf.")));
    }
    let version = match req.common.metadata {
        Some(Metadata::V090) => Some(Version::V090),
        Some(Metadata::V1_0) => Some(Version::V1(Minor::V0)),
        Some(Metadata::V1_1) => Some(Version::V1(Minor::V1)),
        Some(Metadata::V1_2) => Some(Version::V1(Minor::V2)),
        Some(Metadata::Ddf | Metadata::Imsm | Metadata::V1Default) | None => None,
    };
    let c = candidate(host, device, &Wishes { version, ..Wishes::default() });
    match &c.content {
        Content::Unusable(line) => Err(Refusal::new(line.clone())),
        _ => Ok(c),
    }
}

/// Why a device is no member, where there is more to say than that it has no superblock.
fn no_member(c: &Candidate) -> Refusal {
    let shown = c.path.display();
    let lines = match &c.content {
        Content::Elsewhere(whose) => vec![whose.clone()],
        Content::Broken(why) => vec![format!("the superblock on {shown} is damaged: {why}")],
        Content::Foreign(name) => vec![format!("{shown} holds {name}: arrays of that kind are left alone")],
        Content::OtherOrder => vec![format!(
            "{shown} has a 0.90 superblock of a machine of the other byte order: mdadm --assemble --update=byteorder \
             makes it this one's"
        )],
        _ => Vec::new(),
    };
    Refusal { lines, exit: Exit::FAIL }
}

/// Whose arrays are local; without any host all are.
fn local(req: &IncrementalRequest, conf: &Conf, host: &Host) -> Local {
    match req.common.homehost.as_deref() {
        Some("<ignore>" | "<none>") => Local::All,
        Some("<system>") => Local::Host(host.hostname()),
        Some(name) => Local::Host(name.to_owned()),
        None if conf.ignores_homehost => Local::All,
        None => Local::Host(host.hostname()),
    }
}

/// What the array will be called.
fn name(
    host: &Host,
    map: &[MapEntry],
    line: Option<&ArrayLine>,
    m: &Member,
    local: &Local,
) -> Result<TypedName, Refusal> {
    let own = || node::free_name(host, &[], auto_name(m, local));
    let Some(typed) = line.and_then(|line| line.device.as_deref()).map(names::parse).transpose()? else {
        return Ok(own());
    };
    let number = typed.number.or_else(|| node::free(host, map, own_number(m)));
    let devname = node::devname(host, number, &typed.path, map)?;
    if host.is_free(&devname, &typed.path, map) {
        return Ok(TypedName { number, ..typed });
    }
    // Two arrays fit one line: the machine gets both.
    let own = own();
    complain(format!(
        "Array name {} is in use already: the other array is {}",
        typed.path.display(),
        own.path.display()
    ));
    Ok(own)
}

/// Another may have taken the device while we waited for the lock.
fn still_free(host: &Host, device: &Path) -> Result<(), Refusal> {
    match RealDevice::open(device, Access::ReadExclusive) {
        Ok(_) => Ok(()),
        Err(e) => {
            let shown = device.display();
            let refusal = Refusal::new(format!("cannot reopen {shown}: {}.", reason(&e)));
            let holders = block_dev(device).map(|dev| host.who_holds(dev)).unwrap_or_default();
            Err(holders.iter().fold(refusal, |r, h| r.hint(format!("{shown} is {h}"))))
        }
    }
}

/// A device on its way into an array.
pub struct Attach<'a> {
    pub req: &'a IncrementalRequest,

    pub conf: &'a Conf,
    pub host: &'a Host,
    /// As typed.
    pub device: &'a Path,
    pub new: &'a Named,
    pub foreign: bool,
    /// The ARRAY line that fits.
    pub line: Option<&'a ArrayLine>,
    /// What policies allow.
    pub action: Action,
}

impl Attach<'_> {
    fn to_new(&self, typed: &TypedName, lock: Option<MapLock>, map: &[MapEntry]) -> Result<Exit, Refusal> {
        self.host.need_md(self.req.common.plan)?;
        let devname = node::devname(self.host, typed.number, &typed.path, map)?;
        let node = Node { devname, path: typed.path.clone(), readonly: false };
        let file = bitmap_file::configured(self.host, self.line);
        let facts = Facts {
            node: &node,
            fresh: true,
            new: Some(self.new),
            attached: &[],
            spoilt: false,
            foreign: self.foreign,
            settings: &self.conf.sysfs,
            lockless_set: false,
            bitmap_file: file.as_ref(),
            run: self.req.common.run,
        };
        let decision = decide(&facts)?;
        let mut session = self.session(lock);
        forget_old(&session, self.host, &decision);
        self.go_on(&mut session, &node, &decision, true)
    }

    fn to_existing(&self, found: &Found, lock: Option<MapLock>) -> Result<Exit, Refusal> {
        let attached = found.members(self.host);
        let node = Node { devname: found.devname.clone(), path: found.path.clone(), readonly: false };
        let file = bitmap_file::configured(self.host, self.line);
        let facts = Facts {
            node: &node,
            fresh: false,
            new: Some(self.new),
            attached: &attached,
            spoilt: found.spoilt(),
            foreign: self.foreign,
            settings: &self.conf.sysfs,
            lockless_set: found.lockless_set(),
            bitmap_file: file.as_ref(),
            run: self.req.common.run,
        };
        let decision = decide(&facts)?;
        if let (Some(lock), Some(m), false) = (&lock, member(&self.new.candidate.content), found.in_map) {
            let (devname, path) = (found.devname.clone(), Some(found.path.clone()));
            let entry = MapEntry { devname, metadata: m.version.word().into(), uuid: m.sb.set_uuid(), path };
            // It can be found without.
            let _ = lock.put(entry);
        }
        let mut session = self.session(lock);
        if !self.req.common.plan {
            session.array = Some(found.open(self.host)?);
        }
        self.go_on(&mut session, &node, &decision, false)
    }

    fn session(&self, lock: Option<MapLock>) -> Session<'_> {
        let mut session = Session::new(self.host, &self.req.common);
        session.lock = lock;
        session.lock_to_the_end = true;
        session
    }

    pub fn report(&self, node: &Node) -> Report<'_> {
        Report::new(&self.req.common, self.device, &node.devname, &node.path, self.foreign)
    }

    fn go_on(&self, session: &mut Session<'_>, node: &Node, d: &Decision, fresh: bool) -> Result<Exit, Refusal> {
        tell(self.req, d);
        if self.req.common.plan {
            let steps = d.attach.steps.iter().chain(&d.start.steps).cloned().collect();
            out(&save::shown(self.host, &self.req.common, &Plan { steps }));
            return Ok(Exit::OK);
        }
        session.apply(&d.attach).map_err(|e| not_added(e, self.device, node, fresh))?;
        let report = self.report(node);
        report.attached();
        if !matches!(d.outcome, Outcome::Start { .. }) {
            report.waits(d.outcome);
            return Ok(Exit::OK);
        }
        if let Err(e) = start(session, self.host, &node.devname, d) {
            // Somebody else, without the lock, was faster.
            if session.array.as_ref().and_then(|a| a.sysfs.get(attr::ARRAY_STATE)).is_some_and(|s| s.is_running()) {
                report.runs_already();
                return Ok(Exit::OK);
            }
            let why = e.line.rsplit(": ").next().unwrap_or_default().to_owned();
            report.failed_to_start(&why);
            why_not(d).iter().chain(&e.after).for_each(complain);
            return Ok(Exit::FAIL);
        }
        report.started();
        Ok(settled(self.host, session, &self.req.common, d, node))
    }
}

/// What is said before the array is started.
pub fn tell(req: &IncrementalRequest, d: &Decision) {
    d.lines.iter().filter(|l| req.common.verbose >= l.verbose).for_each(|l| complain(&l.text));
    if matches!(d.outcome, Outcome::Start { without_journal: true, .. }) && !req.common.is_quiet() {
        complain("Trying to run with missing journal device");
    }
}

/// Starts the array. What was added stays added where that fails.
pub fn start(session: &mut Session<'_>, host: &Host, devname: &str, d: &Decision) -> Result<(), ApplyError> {
    session.keep = true;
    if d.lockless {
        // Nobody is there to say --force: --assemble takes it.
        let level = Level::from_raw(d.sb.level_raw());
        let warned = known_faults::warning(&host.release(), level, d.degraded, false).map_err(|refusal| {
            let mut lines = refusal.lines.into_iter();
            ApplyError { line: lines.next().unwrap_or_default(), after: lines.collect() }
        })?;
        warned.iter().for_each(complain);
    }
    kernel_log::mark_start(&host.dev, devname, d.sb.events());
    session.apply(&d.start)
}

/// Why the kernel may have refused the array, where its superblock tells.
pub fn why_not(d: &Decision) -> Vec<String> {
    d.version.map(|version| explain(version, &d.sb, kernel_is((6, 19)))).unwrap_or_default()
}

/// What is seen once the array runs. Others may take the lock.
pub fn settled(
    host: &Host,
    session: &mut Session<'_>,
    common: &crate::cli::request::Common,
    d: &Decision,
    node: &Node,
) -> Exit {
    session.lock = None;
    let Some(array) = &session.array else { return Exit::FAIL };
    let mut exit = Exit::OK;
    if d.lockless {
        let shows = array.sysfs.text("bitmap_type").ok().flatten().unwrap_or_default();
        if !shows.contains("[llbitmap]") {
            let (shown, shows) = (node.path.display(), shows.trim());
            complain(format!("{shown}: the lockless bitmap is not active: md/bitmap_type shows '{shows}'"));
            exit = Exit::FAIL;
        }
    }
    // With --export udev itself runs us: its rules make the link when we are done.
    if !common.export && host.udev_runs() && !host.wait_for_path(&array.name) {
        complain(format!("timeout waiting for {}", array.name.path.display()));
        exit = Exit::FAIL;
    }
    exit
}

/// An entry of this array under a number that it does not have any more would be believed.
fn forget_old(session: &Session<'_>, host: &Host, d: &Decision) {
    let Some(lock) = &session.lock else { return };
    for old in lock.load().into_iter().filter(|e| e.uuid == d.sb.set_uuid() && !host.sysfs.array(&e.devname).exists()) {
        let _ = lock.remove(&old.devname);
    }
}

pub fn not_added(e: ApplyError, device: &Path, node: &Node, fresh: bool) -> Refusal {
    let (shown, array) = (device.display(), node.path.display());
    let kind = if fresh { "new" } else { "existing" };
    let why = e.line.strip_prefix("ADD_NEW_DISK for ").and_then(|rest| rest.split_once(" failed: "));
    let line = match why {
        Some((_, why)) => format!("failed to add {shown} to {kind} array {array}: {why}."),
        None => e.line.clone(),
    };
    Refusal::new(line).with_exit(Exit::USAGE).hints(e.after)
}
