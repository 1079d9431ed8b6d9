//! `--assemble`.

mod backups;
mod bitmap_maps;
pub(super) mod probe;
mod report;
pub(super) mod scan;
mod search;
mod waiting;
mod wishes;

use std::path::{Path, PathBuf};

pub use self::report::arrays;
pub(super) use self::search::already_active;
use self::search::{Search, all_devices, running_arrays};
use self::wishes::wishes;
use super::apply::{ApplyError, Session};
use super::grow::{after, worker};
use super::print::{complain, out};
use super::save;
use crate::cli::request::{AssembleRequest, SuperMinor};
use crate::error::{Exit, Refusal};
use crate::host::Host;
use crate::host::conf::{ArrayLine, Conf, SysfsLine};
use crate::host::devmap::block_dev;
use crate::host::kernel_log;
use crate::host::map::MapLock;
use crate::host::names::{self, TypedName};
use crate::host::node::OpenArray;
use crate::level::Level;
use crate::plan::assemble::identify::identify;
use crate::plan::assemble::line::line_of;
use crate::plan::assemble::naming::own_number;
use crate::plan::assemble::start::explain;
use crate::plan::assemble::steps::{Decision, decide};
use crate::plan::assemble::{Candidate, Content, Line, Update, Wishes};
use crate::plan::create::Node;
use crate::plan::known_faults;
use crate::plan::step::Plan;
use crate::uuid::Uuid;

const BITMAP_IS_LOCKLESS: &str =
    "the array has a lockless bitmap: --assemble --update=bitmap=internal gives it another";

/// Runs the request.
#[must_use]
pub fn run(req: &AssembleRequest, conf: &Conf) -> Exit {
    let done = if req.common.scan { scan::run(req, conf) } else { assemble(req, conf) };
    done.unwrap_or_else(|refusal| {
        refusal.lines.iter().for_each(complain);
        refusal.exit
    })
}

/// One array, and where it is to be.
pub(super) struct Asked<'a> {
    /// Its name, and number where one is asked for.
    pub typed: TypedName,
    /// The number that it gets if it is free, where none is asked for.
    pub wished: Option<u32>,
    /// The devices that may be its members.
    pub candidates: &'a [Candidate],
    /// Names and kernel names that are given away already: `--plan` makes none.
    pub planned: &'a [(PathBuf, String)],
    /// The ARRAY line that it is assembled by.
    pub line: Option<&'a ArrayLine>,
    /// SYSFS lines of the configuration.
    pub settings: &'a [SysfsLine],
    /// The arrays that run.
    pub running: &'a [(Uuid, PathBuf)],
    /// Some devices have not answered yet: it is started only if it is complete; else it is refused in silence, for now.
    pub whole: bool,
}

/// What became of one array.
pub(super) struct Put {
    /// Where it is.
    pub path: PathBuf,
    /// Kernel name.
    pub devname: String,
    /// The array's uuid, as it was found.
    pub uuid: Uuid,
    /// The status of its own.
    pub exit: Exit,
    /// It runs, or would.
    pub started: bool,
    /// With `--plan`: what would be done.
    pub plan: Option<Plan>,
}

pub(super) fn assemble(req: &AssembleRequest, conf: &Conf) -> Result<Exit, Refusal> {
    let Some(array) = req.array.as_deref() else {
        return Err(Refusal::new("no array to assemble is named: --scan finds them"));
    };
    let typed = names::parse(&array.to_string_lossy())?;
    if req.nodes.is_some() && req.home_cluster.is_none() {
        return Err(Refusal::new("The md can't get cluster name").hint("Give it with --home-cluster."));
    }
    if req.no_degraded {
        return Err(Refusal::new("--no-degraded not meaningful without a --scan assembly."));
    }
    let host = Host::default();
    if req.super_minor == Some(SuperMinor::Dev) && block_dev(&typed.path).is_none() {
        let path = typed.path.display();
        return Err(Refusal::new(format!("--super-minor=dev given, and listed device {path} doesn't exist.")));
    }
    let named = req.uuid.is_some() || req.name.is_some() || req.super_minor.is_some();
    if req.members.is_empty() && (!named || matches!(req.update.as_deref(), Some("uuid" | "name"))) {
        return match line_of(conf, &typed) {
            Some(_) => scan::run(req, conf),
            None => Err(not_identified(array).hint("name its members, or --uuid= or --name=")),
        };
    }
    let asked = wishes(req, &host, &Node { devname: String::new(), path: typed.path.clone(), readonly: false })?;
    let running = running_arrays(&host);
    let listed = if asked.searched { all_devices(&host) } else { req.members.clone() };
    let mut search = Search::default();
    search.look(&host, listed, &asked);
    let start = |search: &Search, whole| {
        let candidates = &search.candidates;
        let wished = identify(&asked, candidates).ok().and_then(|found| own_number(found.members.first()?.member));
        let (typed, running) = (typed.clone(), running.as_slice());
        let settings = &conf.sysfs;
        let asked = Asked { typed, wished, candidates, planned: &[], line: None, settings, running, whole };
        assemble_from(req, &host, &asked)
    };
    let mut put = None;
    if search.waits() {
        put = start(&search, true).ok();
        search.catch_up(&host);
    }
    let put = put.map_or_else(|| start(&search, false), Ok)?;
    show_plan(&host, req, put.plan);
    Ok(put.exit)
}

fn not_identified(array: &Path) -> Refusal {
    Refusal::new(format!("{} not identified in config file.", array.display()))
}

fn show_plan(host: &Host, req: &AssembleRequest, plan: Option<Plan>) {
    if let Some(plan) = plan {
        out(&save::shown(host, &req.common, &plan));
    }
}

/// Judges the devices and starts the array.
pub(super) fn assemble_from(req: &AssembleRequest, host: &Host, asked: &Asked<'_>) -> Result<Put, Refusal> {
    let result = judge_and_start(req, host, asked);
    report::end(result.as_ref());
    result
}

fn judge_and_start(req: &AssembleRequest, host: &Host, asked: &Asked<'_>) -> Result<Put, Refusal> {
    let (typed, candidates) = (&asked.typed, asked.candidates);
    let (lock, mut node) =
        super::node::choose(&req.common, host, (typed.number, asked.wished), &typed.path, asked.planned)?;
    let mut wishes = Wishes { settings: asked.settings.to_vec(), ..wishes(req, host, &node)? };
    if wishes.bitmap_file.is_none() && !wishes.lockless {
        wishes.bitmap_file = super::bitmap_file::configured(host, asked.line);
    }
    wishes.maps = bitmap_maps::read(&wishes, candidates);
    wishes.backups = backups::find(req, host, &node.devname, candidates);
    let say = |lines: &[Line]| {
        lines.iter().filter(|l| req.common.verbose >= l.verbose).for_each(|l| complain(&l.text));
    };
    let members = report::begin(&req.common, &wishes, candidates);
    let later = || Refusal { lines: Vec::new(), exit: Exit::FAIL };
    let mut decision = decide(&wishes, candidates, &node).map_err(|(lines, refusal)| {
        if asked.whole {
            return later();
        }
        say(&lines);
        if !wishes.searched {
            name_holders(req, host, candidates);
        }
        refusal
    })?;
    let runs = |wanted: Uuid| asked.running.iter().find(|(uuid, _)| *uuid == wanted);
    let waits = runs(decision.uuid).and_then(|(uuid, _)| waiting::find(host, *uuid));
    // A clone gets its own uuid while the array that it was made of runs.
    let there = match wishes.update {
        Some(Update::Uuid(new)) => runs(new),
        _ => runs(decision.uuid),
    }
    .filter(|_| waits.is_none());
    if asked.whole && (waits.is_some() || there.is_some() || decision.missing > 0 || !decision.start.go) {
        return Err(later());
    }
    if let Some(found) = &waits {
        let merged = waiting::merge(req, host, asked, (&mut wishes, &mut node), (found, decision.uuid));
        decision = merged.map_err(|(lines, refusal)| {
            say(&lines);
            refusal
        })?;
    }
    say(&decision.lines);
    say(&members);
    if let Some((_, path)) = there {
        let line = format!("Found some drive for an array that is already active: {}", path.display());
        return Err(Refusal::new(line).hint("giving up."));
    }
    if !decision.start.go {
        return Err(Refusal::new(format!("{} {}", wishes.shown, decision.start.said)));
    }
    if decision.lockless {
        if let Some(line) = host.lacks_llbitmap() {
            return Err(explained(Refusal::new(line).hint(BITMAP_IS_LOCKLESS), &decision));
        }
        let (level, degraded) = (Level::from_raw(decision.sb.level_raw()), decision.missing > 0);
        let warned = known_faults::warning(&host.release(), level, degraded, req.common.force > 0)?;
        warned.iter().filter(|_| !req.common.is_quiet()).for_each(complain);
    }
    let uuid = decision.uuid;
    let put =
        |exit, plan| Put { path: node.path.clone(), devname: node.devname.clone(), uuid, exit, started: true, plan };
    if req.common.plan {
        return Ok(put(Exit::OK, Some(decision.plan)));
    }
    let array = waits.map(|found| found.open(host)).transpose()?;
    Ok(put(execute(req, host, (lock, array), &node.devname, &decision, &wishes)?, None))
}

/// Says who holds the members that are busy.
fn name_holders(req: &AssembleRequest, host: &Host, candidates: &[Candidate]) {
    for c in candidates {
        if matches!(&c.content, Content::Member(m) if m.busy) && !req.common.is_quiet() {
            for holder in host.who_holds(c.dev) {
                complain(format!("{} is {holder}", c.path.display()));
            }
        }
    }
}

fn execute(
    req: &AssembleRequest,
    host: &Host,
    (lock, array): (Option<MapLock>, Option<OpenArray>),
    devname: &str,
    decision: &Decision,
    wishes: &Wishes,
) -> Result<Exit, Refusal> {
    let mut session = Session::new(host, &req.common);
    (session.lock, session.lock_to_the_end, session.array) = (lock, true, array);
    kernel_log::mark_start(&host.dev, devname, decision.sb.events());
    let watched = decision.care.hold_at.is_some() && !wishes.readonly;
    worker::may_write(host, devname, watched);
    session.apply(&decision.plan).map_err(|e| failed(e, decision, wishes))?;
    if decision.care.turned {
        let (forth, back) = after::turned(decision.uuid)?;
        let shown = &wishes.shown;
        for level in forth {
            complain(format!("note: {shown} would have become a {level} after its reshape, and does not now"));
        }
        for level in back {
            complain(format!(
                "note: {shown} becomes a {level} again once it has gone back; mdadm --grow --continue {shown} sees to that"
            ));
        }
    }
    // udev may run programs that want it.
    session.lock = None;
    if decision.start.waits {
        complain(format!("{} {}", wishes.shown, decision.start.said));
        return Ok(Exit::OK);
    }
    if !req.common.is_quiet() {
        out(&format!("mdadm: {} {}\n", wishes.shown, decision.start.said));
    }
    if watched {
        let job = worker::Job { devname: devname.to_owned(), backup: req.backup_file.clone() };
        worker::launch(host, &job)?;
    }
    Ok(after_start(host, &session, decision, wishes))
}

/// What failed, in the reference's words where it has them, and why where that is known.
fn failed(e: ApplyError, decision: &Decision, wishes: &Wishes) -> Refusal {
    let shown = &wishes.shown;
    if let Some(why) = e.line.strip_prefix("RUN_ARRAY failed: ") {
        let mut refusal = Refusal::new(format!("failed to RUN_ARRAY {shown}: {why}"));
        if let Some(line) = &decision.start.on_failure {
            refusal = refusal.hint(line);
        } else {
            refusal = explained(refusal, decision).hint("the kernel log (dmesg) has its reason");
        }
        return refusal.hints(e.after);
    }
    let line = match e.line.strip_prefix("ADD_NEW_DISK for ").and_then(|rest| rest.split_once(" failed: ")) {
        Some((device, why)) => format!("failed to add {device} to {shown}: {why}"),
        None => e.line,
    };
    let of_bitmap = decision.lockless && (line.contains("bitmap_type") || line.starts_with("a lockless bitmap"));
    let mut refusal = Refusal::new(line);
    if of_bitmap {
        refusal = refusal.hint(BITMAP_IS_LOCKLESS);
    }
    explained(refusal, decision).hints(e.after)
}

/// With what the superblock tells of why this kernel may refuse the array.
fn explained(refusal: Refusal, decision: &Decision) -> Refusal {
    refusal.hints(explain(decision.version, &decision.sb, kernel_is((6, 19))))
}

/// Whether the running kernel is at least this one.
pub(super) fn kernel_is(least: (u32, u32)) -> bool {
    known_faults::numbers(&Host::default().release()).unwrap_or_default() >= least
}

/// What is seen once the array runs: its name, and members that the kernel left out.
fn after_start(host: &Host, session: &Session<'_>, decision: &Decision, wishes: &Wishes) -> Exit {
    let Some(array) = &session.array else { return Exit::FAIL };
    let mut exit = Exit::OK;
    let degraded = array.sysfs.text("degraded").ok().flatten().and_then(|t| t.trim().parse::<usize>().ok());
    if degraded.is_some_and(|n| n > decision.missing) {
        complain(format!("{}: the kernel left members out: see its log (dmesg) and --detail", wishes.shown));
    }
    if decision.lockless {
        let text = array.sysfs.text("bitmap_type").ok().flatten().unwrap_or_default();
        if !text.contains("[llbitmap]") {
            let shows = text.trim();
            complain(format!("{}: the lockless bitmap is not active: md/bitmap_type shows '{shows}'", wishes.shown));
            exit = Exit::FAIL;
        }
    }
    if wishes.bitmap_file.as_ref().is_some_and(|f| !f.optional) && !super::bitmap_file::active(array) {
        complain(format!("{}: the bitmap file is not in use", wishes.shown));
        exit = Exit::FAIL;
    }
    if host.udev_runs() && !host.wait_for_path(&array.name) {
        complain(format!("timeout waiting for {}", array.name.path.display()));
        exit = Exit::FAIL;
    }
    exit
}
