//! `--assemble --scan`: the arrays of the configuration, or all that are found where it names none.
//!
//! Each device is opened and read once, several at a time, whatever the number of arrays; what appears while arrays are
//! started (arrays on arrays) is looked at in the next round.

use std::path::PathBuf;

use super::search::Search;
use super::{Asked, Put, assemble_from, running_arrays, show_plan, wishes};
use crate::cli::request::AssembleRequest;
use crate::cmd::print::complain;
use crate::cmd::{configured, node};
use crate::error::{Exit, Refusal};
use crate::host::Host;
use crate::host::conf::{ArrayLine, Conf, PolicyKey};
use crate::host::names::{self, TypedName};
use crate::plan::assemble::line::{fits, line_of};
use crate::plan::assemble::naming::{AutoName, Local, auto_name, format_name, is_local, may_start, member, own_number};
use crate::plan::assemble::{Candidate, Content, Member, Wishes};
use crate::plan::policy::allowed;
use crate::plan::step::Plan;
use crate::uuid::Uuid;

struct Scan<'a> {
    req: &'a AssembleRequest,
    conf: &'a Conf,
    host: Host,
    local: Option<Local>,
    search: Search,
    /// Names that `--plan` has given away, with their numbers.
    planned: Vec<(PathBuf, String)>,
    /// What runs, with what was started.
    running: Vec<(Uuid, PathBuf)>,
    plan: Option<Plan>,
    exit: Exit,
    started: bool,
}

/// Assembles what the configuration has, or everything.
pub fn run(req: &AssembleRequest, conf: &Conf) -> Result<Exit, Refusal> {
    let host = Host::default();
    let local = local(req, conf, &host);
    let named: Vec<&PathBuf> = req.array.iter().chain(&req.members).collect();
    let running = running_arrays(&host);
    let mut scan = Scan {
        req,
        conf,
        host,
        local,
        search: Search::default(),
        planned: Vec::new(),
        running,
        plan: req.common.plan.then(Plan::default),
        exit: Exit::OK,
        started: false,
    };
    if !named.is_empty() {
        let exit = scan.named(&named);
        show_plan(&scan.host, req, scan.plan);
        return exit;
    }
    if req.update.is_some() {
        return Err(Refusal::new("--update not meaningful with a --scan assembly."));
    }
    if let Some((a, b, name)) = conf.duplicate_names() {
        return Err(Refusal::new(format!("Devices {a} and {b} have the same name: {name}"))
            .hint("Duplicate MD device names in conf file were found."));
    }
    let mut lines: Vec<&ArrayLine> = Vec::new();
    for line in conf.arrays.iter().filter(|line| !line.ignore) {
        // Else appended once too often.
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    let exit = if lines.is_empty() { scan.automatic() } else { scan.configured(lines) };
    show_plan(&scan.host, req, scan.plan);
    exit
}

/// `None` where no host is known: then nothing is assembled by itself.
fn local(req: &AssembleRequest, conf: &Conf, host: &Host) -> Option<Local> {
    match req.common.homehost.as_deref() {
        Some("<ignore>") => Some(Local::All),
        Some("<none>") => None,
        Some("<system>") => Some(Local::Host(host.hostname())),
        Some(name) => Some(Local::Host(name.to_owned())),
        None if conf.ignores_homehost => Some(Local::All),
        None => Some(Local::Host(host.hostname())),
    }
}

impl Scan<'_> {
    /// Reads the devices that were not there before.
    fn look(&mut self) -> Result<(), Refusal> {
        let listed = configured::devices(&self.host, self.conf, &self.req.common).map_err(Refusal::new)?;
        self.search.look(&self.host, listed, &Wishes { searched: true, ..Wishes::default() });
        Ok(())
    }

    /// Arrays that were named: what they are the configuration says, or the options.
    fn named(&mut self, named: &[&PathBuf]) -> Result<Exit, Refusal> {
        for path in named {
            let typed = names::parse(&path.to_string_lossy()).ok();
            match typed.and_then(|typed| Some((line_of(self.conf, &typed)?, typed))) {
                Some((line, typed)) => {
                    self.look()?;
                    let early = self.early(|scan| scan.one_line(line, typed.clone(), true).ok());
                    let result = early.map_or_else(|| self.one_line(line, typed, false), Ok);
                    self.count(result);
                }
                None => self.failed(super::not_identified(path)),
            }
        }
        Ok(self.exit)
    }

    /// Line by line, as long as a round starts something: an array may be a member of another.
    fn configured(&mut self, mut lines: Vec<&ArrayLine>) -> Result<Exit, Refusal> {
        loop {
            self.look()?;
            let before = self.search.listed();
            lines = self.early(|scan| Some(scan.round_of_lines(&lines, true).0)).unwrap_or(lines);
            let (left, refused) = self.round_of_lines(&lines, false);
            let more = configured::devices(&self.host, self.conf, &self.req.common).map_or(0, |d| d.len()) > before;
            if left.is_empty() || !more || self.req.common.plan {
                refused.into_iter().for_each(|refusal| self.failed(refusal));
                return Ok(self.exit);
            }
            lines = left;
        }
    }

    /// What can be done while a device has not answered: arrays that are complete. Then it is waited for.
    fn early<T>(&mut self, work: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if !self.search.waits() {
            return None;
        }
        let done = work(self);
        self.search.catch_up(&self.host);
        done
    }

    /// The lines that could not be assembled, and why. `whole`: only what is complete is started.
    fn round_of_lines<'l>(&mut self, lines: &[&'l ArrayLine], whole: bool) -> (Vec<&'l ArrayLine>, Vec<Refusal>) {
        let (mut left, mut refused) = (Vec::new(), Vec::new());
        for line in lines {
            match self.line_name(line).and_then(|typed| self.one_line(line, typed, whole)) {
                Ok(put) if put.exit == Exit::OK => self.started |= put.started,
                Ok(put) => self.exit = self.exit.and(put.exit),
                Err(refusal) => {
                    left.push(*line);
                    refused.push(refusal);
                }
            }
        }
        (left, refused)
    }

    /// The name of the line, or the array's own.
    fn line_name(&self, line: &ArrayLine) -> Result<TypedName, Refusal> {
        if let Some(device) = &line.device {
            return names::parse(device);
        }
        let local = self.local.clone().unwrap_or(Local::All);
        let found = self.search.candidates.iter().find_map(|c| member(&c.content).filter(|m| fits(line, c, m)));
        let found = found.ok_or(Refusal { lines: Vec::new(), exit: Exit::USAGE })?;
        Ok(self.free_name(auto_name(found, &local)))
    }

    fn one_line(&mut self, line: &ArrayLine, typed: TypedName, whole: bool) -> Result<Put, Refusal> {
        let of_line = |c: &&Candidate| member(&c.content).is_none_or(|m| fits(line, c, m));
        let fitting: Vec<Candidate> = self.search.candidates.iter().filter(of_line).cloned().collect();
        let mut req = self.one(&typed);
        req.uuid = req.uuid.or(line.uuid);
        req.super_minor = req.super_minor.or(line.super_minor.map(crate::cli::request::SuperMinor::Minor));
        let first = fitting.iter().find_map(|c| member(&c.content));
        let asked = Asked {
            typed,
            wished: line.device.as_ref().and(first).and_then(own_number),
            line: Some(line),
            candidates: &fitting,
            planned: &self.planned,
            settings: &self.conf.sysfs,
            running: &self.running,
            whole,
        };
        let mut put = assemble_from(&req, &self.host, &asked)?;
        self.note(&mut put);
        Ok(put)
    }

    /// The request for one array.
    fn one(&self, typed: &TypedName) -> AssembleRequest {
        let mut req = self.req.clone();
        req.array = Some(typed.path.clone());
        req.members = Vec::new();
        // What the configuration names starts without the members that are not there, as with --scan.
        req.common.scan = true;
        req
    }

    /// Everything that may start by itself, one array after the other, as long as there is one that was not tried.
    fn automatic(&mut self) -> Result<Exit, Refusal> {
        let Some(local) = self.local.clone() else {
            return Err(Refusal::new("No arrays found in config file"));
        };
        let asked = wishes(self.req, &self.host, &placeholder())?;
        let mut tried: Vec<Uuid> = Vec::new();
        loop {
            let before = self.search.candidates.len();
            self.look()?;
            let early = self.early(|scan| Some(scan.round(&asked, &local, &mut tried, true)));
            self.tell_disabled(&local, before);
            let round = self.round(&asked, &local, &mut tried, false) || early == Some(true);
            if !round || self.req.common.plan {
                break;
            }
        }
        if !self.started {
            return Err(Refusal::new("No arrays found in config file or automatically"));
        }
        Ok(self.exit)
    }

    /// All arrays that were not tried; whether one was started. `whole`: only what is complete, the others are for later.
    fn round(&mut self, asked: &Wishes, local: &Local, tried: &mut Vec<Uuid>, whole: bool) -> bool {
        let (mut round, mut later) = (false, Vec::new());
        while let Some((uuid, name)) = self.next(asked, local, tried) {
            tried.push(uuid);
            let typed = self.free_name(name);
            let mut req = self.one(&typed);
            (req.uuid, req.name, req.super_minor) = (Some(uuid), None, None);
            let at = Asked {
                typed,
                wished: None,
                line: None,
                candidates: &self.search.candidates,
                planned: &self.planned,
                settings: &self.conf.sysfs,
                running: &self.running,
                whole,
            };
            match assemble_from(&req, &self.host, &at) {
                Ok(mut put) => {
                    round |= put.started;
                    self.note(&mut put);
                    self.count(Ok(put));
                }
                Err(_) if whole => later.push(uuid),
                // The others go on; the status tells of it only where nothing starts.
                Err(refusal) => refusal.lines.iter().for_each(complain),
            }
        }
        tried.retain(|uuid| !later.contains(uuid));
        round
    }

    /// Says once whose superblock is damaged, and which devices AUTO keeps from being assembled.
    fn tell_disabled(&self, local: &Local, from: usize) {
        for c in self.search.candidates.iter().skip(from).filter(|_| !self.req.common.is_quiet()) {
            if let Content::Broken(why) = &c.content {
                complain(format!("the superblock on {} is damaged: {why}: left out", c.path.display()));
            }
        }
        if self.req.common.verbose <= 0 {
            return;
        }
        for c in self.search.candidates.iter().skip(from) {
            if let Some(m) = member(&c.content).filter(|m| !self.may_start(c, m, local)) {
                let (path, format) = (c.path.display(), format_name(m.version));
                complain(format!("{path} has metadata type {format} for which auto-assembly is disabled"));
            }
        }
    }

    /// The next array: of the first device that may be assembled, is not in use and was not tried.
    fn next(&self, asked: &Wishes, local: &Local, tried: &[Uuid]) -> Option<(Uuid, AutoName)> {
        self.search.candidates.iter().find_map(|c| {
            let m = member(&c.content).filter(|m| !m.busy && !tried.contains(&m.sb.set_uuid()))?;
            let uuid = m.sb.set_uuid();
            let wrong_uuid = asked.uuid.is_some_and(|wanted| wanted != uuid);
            let is_called = |wanted: &String| {
                let own = || is_local(m, local) && auto_name(m, local).name == *wanted;
                m.sb.set_name() == wanted.as_bytes() || own()
            };
            let wrong_name = asked.name.as_ref().is_some_and(|wanted| !is_called(wanted));
            let number = m.old.as_ref().map(|old| old.md_minor());
            let wrong_minor = asked.super_minor.is_some_and(|wanted| number != Some(wanted));
            let wrong_version = asked.version.is_some_and(|wanted| wanted != m.version);
            if wrong_uuid || wrong_name || wrong_minor || wrong_version {
                return None;
            }
            if self.is_ignored(uuid) {
                return None;
            }
            // Who knows its name trusts it.
            let known = if asked.name.is_some() { &Local::All } else { local };
            self.may_start(c, m, local).then(|| (uuid, auto_name(m, known)))
        })
    }

    /// Whether an array may be assembled by itself for this member of it.
    fn may_start(&self, c: &Candidate, m: &Member, local: &Local) -> bool {
        let has_a_say = self.conf.policies.iter().any(|p| p.words.iter().any(|(key, _)| *key == PolicyKey::Auto));
        let policy = has_a_say.then(|| {
            let place = self.host.place_of(c.dev, &[]);
            allowed(&self.conf.policies, &place, Some(format_name(m.version))).auto
        });
        may_start(self.conf.auto.as_deref(), policy.unwrap_or_default(), m, local)
    }

    /// Whether a member of this array fits a line with `<ignore>`.
    fn is_ignored(&self, uuid: Uuid) -> bool {
        let of_array = |c: &&Candidate| member(&c.content).is_some_and(|m| m.sb.set_uuid() == uuid);
        let ignored = |c: &Candidate| {
            let lines = self.conf.arrays.iter().filter(|line| line.ignore);
            member(&c.content).is_some_and(|m| lines.into_iter().any(|line| fits(line, c, m)))
        };
        self.search.candidates.iter().filter(of_array).any(ignored)
    }

    /// A path that no array has: `_0`, `_1` ... behind a name that is taken.
    fn free_name(&self, wanted: AutoName) -> TypedName {
        node::free_name(&self.host, &self.planned, wanted)
    }

    /// Keeps in mind what runs; with `--plan` what is given away, and what would be done.
    fn note(&mut self, put: &mut Put) {
        self.running.push((put.uuid, put.path.clone()));
        if let (Some(all), Some(one)) = (&mut self.plan, put.plan.take()) {
            all.steps.extend(one.steps);
            self.planned.push((put.path.clone(), put.devname.clone()));
        }
    }

    fn count(&mut self, result: Result<Put, Refusal>) {
        match result {
            Ok(put) => {
                self.started |= put.started;
                self.exit = self.exit.and(put.exit);
            }
            Err(refusal) => self.failed(refusal),
        }
    }

    /// The statuses of all arrays in one, bit by bit.
    fn failed(&mut self, refusal: Refusal) {
        refusal.lines.iter().for_each(complain);
        self.exit = self.exit.and(refusal.exit);
    }
}

/// Before an array has its place.
fn placeholder() -> crate::plan::create::Node {
    crate::plan::create::Node { devname: String::new(), path: PathBuf::new(), readonly: false }
}
