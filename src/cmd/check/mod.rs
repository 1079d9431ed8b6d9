//! `--check`: has arrays check their redundancy, for a time and no faster than asked for; what is left is gone on with the next
//! time. A check that was interrupted never counts as done.
//!
//! The kernel forgets `sync_max` when a check got to its end, and keeps it when it was interrupted (`md_do_sync`): a `sync_max`
//! past the end, which limits nothing, tells the one from the other.

mod kept;
mod ranges;
mod status;
mod stop;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kept::{Checks, Complete, Kept, Speed, Unfinished};
use ranges::Heard;
use serde_json::{Map, Value, json};

use super::apply::Session;
use super::print::{complain, out};
use crate::bitmap::lockless::ChunkState;
use crate::cli::request::{CheckAction, CheckRequest};
use crate::error::{Exit, reason};
use crate::host::Host;
use crate::host::saved;
use crate::level::Level;
use crate::monitor::now_seconds;
use crate::output::escape;
use crate::plan::check::{self, Check, Facts};
use crate::plan::step::Plan;
use crate::sysfs::value::{ArrayState, Maybe, SyncAction, SyncProgress};
use crate::sysfs::{ArrayDir, attr};
use crate::uuid::Uuid;

/// How often it is looked at, and how often the position is written down.
const LOOK: Duration = Duration::from_millis(200);
const KEEP: Duration = Duration::from_secs(30);

/// Starts, stops or tells; with what `--json` says of it besides.
#[must_use]
pub fn run(request: &CheckRequest) -> (Exit, Map<String, Value>) {
    let host = Host::default();
    let (mut exit, mut arrays) = (Exit::OK, Vec::new());
    for (shown, devname) in targets(&host, request) {
        match devname.ok_or(NONE).and_then(|name| Target::new(&host, shown.clone(), &name)) {
            Ok(target) => arrays.push(target),
            // It was an array when they were listed; and what keeps no results has nothing to go on with.
            Err(why) if request.common.scan && (why == NONE || request.action == CheckAction::Continue) => {}
            Err(why) => {
                complain(format!("{shown} {why}"));
                exit = if request.common.scan { exit } else { Exit::FAIL };
            }
        }
    }
    let mut kept = Kept::load(Path::new(saved::DEFAULT_DIR));
    if request.action == CheckAction::Status {
        return (exit.worst(status::run(request, &arrays, &kept)), Map::new());
    }
    if request.action == CheckAction::Stop {
        return (exit.worst(stop::stop(&host, request, &arrays, &mut kept)), Map::new());
    }
    if request.action == CheckAction::Continue {
        arrays.retain(|target| kept.of(target.uuid).unfinished.is_some());
    }
    let mut checks = Checking { host: &host, request, heard: Heard::from_now(&host), results: Vec::new() };
    let exit = exit.worst(checks.run(arrays, &mut kept));
    (exit, Map::from_iter([("checks".to_owned(), checks.results.into())]))
}

/// Those named, or with `--scan` all that have redundancy.
fn targets(host: &Host, request: &CheckRequest) -> Vec<(String, Option<String>)> {
    if !request.common.scan {
        let one = |path: &PathBuf| (escape::text(path.display().to_string().as_bytes()), host.devname_of(path));
        return request.arrays.iter().map(one).collect();
    }
    let stat = host.mdstat();
    let redundant = stat
        .arrays
        .iter()
        .rev()
        .filter(|a| a.active && a.level.as_deref().and_then(Level::parse).is_some_and(Level::is_redundant));
    redundant.map(|a| (format!("/dev/{}", a.devname), Some(a.devname.clone()))).collect()
}

const NONE: &str = "is no array that runs and has redundancy";
const NO_UUID: &str = "has no uuid (--build makes such arrays), so no result can be kept: mdadm --action=check and --action=idle need none";

/// An array.
struct Target {
    shown: String,
    dir: ArrayDir,
    uuid: Uuid,
    level: Option<Level>,
    /// While it is checked: where it was started.
    begun: Option<Unfinished>,
    /// What is done at its end.
    end: Plan,
    kept_at: Instant,
}

impl Target {
    fn new(host: &Host, shown: String, devname: &str) -> Result<Target, &'static str> {
        let dir = host.sysfs.array(devname);
        let level = dir.get(attr::LEVEL).and_then(|w| Level::parse(&w.0)).filter(|l| l.is_redundant());
        if level.is_none() {
            return Err(NONE);
        }
        let uuid = host.uuid_of(devname).ok_or(NO_UUID)?;
        Ok(Target { shown, dir, uuid, level, begun: None, end: Plan::default(), kept_at: Instant::now() })
    }

    fn action(&self) -> Option<SyncAction> {
        self.dir.get(attr::SYNC_ACTION)
    }

    /// Also while it comes to its end: of a member that failed the kernel says "recover" at once (md_error), and only then ends
    /// the check, which sets `sync_min`.
    fn is_checked(&self) -> bool {
        match self.action() {
            Some(SyncAction::Check) => true,
            None | Some(SyncAction::Idle | SyncAction::Frozen) => false,
            Some(_) => self.dir.get(attr::LAST_SYNC_ACTION) == Some(SyncAction::Check),
        }
    }

    fn state(&self) -> Option<ArrayState> {
        self.dir.get(attr::ARRAY_STATE)
    }

    fn facts(&self, request: &CheckRequest, kept: &Checks) -> Facts {
        let limit = self.dir.get(attr::SYNC_SPEED_MAX).filter(|limit| limit.local).map(|limit| limit.kib);
        // If nobody has set another one since.
        let left = kept.speed.as_ref().filter(|speed| limit == Some(speed.kib));
        Facts {
            devname: self.dir.devname().to_owned(),
            shown: self.shown.clone(),
            level: self.level,
            action: self.action().map(|a| a.word().to_owned()),
            degraded: self.dir.get(attr::DEGRADED).unwrap_or(1),
            readonly: matches!(self.state(), Some(ArrayState::Readonly | ArrayState::ReadAuto)),
            member_sectors: self.dir.get(attr::COMPONENT_SIZE).unwrap_or(0).saturating_mul(2),
            array_sectors: self.dir.size_sectors().unwrap_or(0),
            left: kept.unfinished.as_ref().map(|u| (u.done_sectors, u.member_sectors)),
            speed_kib: request.speed_kib.map(u64::from),
            own_speed_kib: left.map_or(limit, |speed| speed.before_kib),
            has_left_speed: left.is_some(),
        }
    }
}

/// Checks that run.
struct Checking<'a> {
    host: &'a Host,
    request: &'a CheckRequest,
    heard: Heard,
    /// What came of them, for `--json`.
    results: Vec<Value>,
}

impl Checking<'_> {
    fn run(&mut self, arrays: Vec<Target>, kept: &mut Kept) -> Exit {
        let signals = match self.host.hold_interrupts() {
            Ok(signals) => signals,
            Err(e) => {
                complain(format!("cannot hold signals back: {}", reason(&e)));
                return Exit::FAIL;
            }
        };
        let end = self.request.seconds.map(|s| Instant::now() + Duration::from_secs(s));
        let (mut running, mut exit) = self.begin(arrays, kept);
        while !running.is_empty() {
            let over = end.is_some_and(|end| Instant::now() >= end) || signals.came().is_some();
            if over {
                for target in &running {
                    // It may have ended by itself meanwhile.
                    let _ = self.apply(&check::stop(target.dir.devname()));
                }
            }
            running.retain_mut(|target| match self.look(target, kept) {
                None => true,
                Some(ended) => {
                    exit = exit.worst(ended);
                    false
                }
            });
            if !running.is_empty() {
                std::thread::sleep(LOOK);
            }
        }
        exit
    }

    /// Starts those that can be; with `--plan` shows how.
    fn begin(&self, arrays: Vec<Target>, kept: &mut Kept) -> (Vec<Target>, Exit) {
        let (mut running, mut whole, mut exit) = (Vec::new(), Plan::default(), Exit::OK);
        for mut target in arrays {
            let before = kept.of(target.uuid);
            let facts = target.facts(self.request, &before);
            let started = check::start(&facts).map_err(|refusal| refusal.lines).and_then(|check| {
                if self.request.common.plan {
                    whole.steps.extend(check.whole(&facts.devname).steps);
                    return Ok(());
                }
                let speed = facts.speed_kib.map(|kib| Speed { kib, before_kib: facts.own_speed_kib });
                if speed.is_some() || before.speed.is_some() {
                    keep(&target, kept, |c| c.speed = speed);
                }
                self.start(&check).map_err(|e| vec![format!("{} is not checked: {e}", target.shown)])?;
                let fresh = Unfinished {
                    started_seconds: now_seconds(),
                    member_sectors: facts.member_sectors,
                    ..Unfinished::default()
                };
                target.begun = Some(before.unfinished.filter(|_| check.goes_on_at.is_some()).unwrap_or(fresh));
                target.end = check.end;
                running.push(target);
                Ok(())
            });
            if let Err(lines) = started {
                lines.iter().for_each(complain);
                // With --scan it is left out: another time.
                exit = if self.request.common.scan { exit } else { Exit::FAIL };
            }
        }
        show(self.request, &whole, exit);
        (running, exit)
    }

    fn start(&self, check: &Check) -> Result<(), String> {
        self.apply(&check.start).inspect_err(|_| {
            let _ = self.apply(&check.end);
        })
    }

    fn apply(&self, plan: &Plan) -> Result<(), String> {
        Session::new(self.host, &self.request.common).apply(plan).map_err(|e| e.to_string())
    }

    /// Where it is now; its end, once it is there.
    fn look(&mut self, target: &mut Target, kept: &mut Kept) -> Option<Exit> {
        let runs = target.is_checked();
        // Asked for after that: what is said until the end is in it.
        let begun = target.begun.get_or_insert_default();
        ranges::add(&mut begun.differing, self.heard.of(target.dir.devname()));
        let mut now = begun.clone();
        let found = target.dir.get(attr::MISMATCH_CNT).unwrap_or(0);
        now.mismatch_sectors = now.mismatch_sectors.saturating_add(found);
        if !runs {
            return Some(self.ended(target, kept, now));
        }
        if let Some(SyncProgress::At { done, .. }) = target.dir.get(attr::SYNC_COMPLETED)
            && target.kept_at.elapsed() >= KEEP
        {
            target.kept_at = Instant::now();
            now.done_sectors = done;
            keep(target, kept, |c| c.unfinished = Some(now));
        }
        None
    }

    /// `now` says what was found, and not how far it got.
    fn ended(&mut self, target: &Target, kept: &mut Kept, mut now: Unfinished) -> Exit {
        let shown = &target.shown;
        let limit = target.dir.get(attr::SYNC_MAX);
        now.done_sectors = target.dir.get(attr::SYNC_MIN).unwrap_or(0);
        let last = target.dir.get(attr::LAST_SYNC_ACTION);
        // Asked for after the limit: a stop forgets that too (md_clean), but first of all the array does not run.
        if !target.state().is_some_and(|state| state.is_running()) {
            complain(format!("{shown} was stopped; its check goes on from where it was last seen"));
            self.results.push(result(target, false, None, None));
            return Exit::OK;
        }
        // A recovery that came after an interrupted check forgets the limit, and so does an assembly.
        let complete = limit == Some(Maybe::None) && last == Some(SyncAction::Check);
        // Not to be left behind for what runs next.
        if let Err(e) = self.apply(&target.end) {
            complain(format!("{e}; mdadm --check=stop {shown} does that once nothing runs"));
        }
        let mismatch_sectors = now.mismatch_sectors;
        let done_sectors = (!complete).then_some(now.done_sectors);
        self.results.push(result(target, complete, done_sectors, Some(mismatch_sectors)));
        if let Some(done_sectors) = done_sectors {
            keep(target, kept, |c| (c.unfinished, c.speed) = (Some(now), None));
            out(&format!(
                "mdadm: {shown}: the check was interrupted at sector {done_sectors} and goes on from there\n"
            ));
            return Exit::OK;
        }
        completed(target, kept, now);
        if mismatch_sectors > 0 && target.level.is_some_and(Level::is_parity) { Exit::FAIL } else { Exit::OK }
    }
}

/// Keeps and says what was found.
fn completed(target: &Target, kept: &mut Kept, now: Unfinished) {
    let mismatch_sectors = now.mismatch_sectors;
    let mut lines = ranges::lines(&now.differing, mismatch_sectors);
    let unwritten_chunks = target.dir.get(attr::LLBITMAP_BITS).and_then(|b| b.number(ChunkState::Unwritten.name()));
    if let Some(n) = unwritten_chunks.filter(|n| *n > 0) {
        lines.push(format!("  {n} chunks of its lockless bitmap were never written to, and not compared"));
    }
    keep(target, kept, |c| {
        (c.unfinished, c.speed) = (None, None);
        c.complete.push(Complete { unwritten_chunks, ..complete_of(now) });
    });
    let meaning = meaning(target, mismatch_sectors);
    out(&format!("mdadm: {}: checked, {mismatch_sectors} sectors differ{meaning}\n", target.shown));
    print(&lines);
}

/// One array of `--json`.
fn result(target: &Target, complete: bool, done_sectors: Option<u64>, mismatch_sectors: Option<u64>) -> Value {
    json!({
        "array": target.shown,
        "kernel_name": target.dir.devname(),
        "uuid": target.uuid.to_string(),
        "complete": complete,
        "done_sectors": done_sectors,
        "mismatch_sectors": mismatch_sectors,
    })
}

/// `--plan`; where all was refused, that is said elsewhere.
fn show(request: &CheckRequest, plan: &Plan, exit: Exit) {
    if request.common.plan && (exit == Exit::OK || !plan.steps.is_empty()) {
        out(&if request.common.json { format!("{:#}\n", plan.json()) } else { plan.text() });
    }
}

fn print(lines: &[String]) {
    lines.iter().for_each(|line| {
        out(&format!("{line}\n"));
    });
}

fn complete_of(now: Unfinished) -> Complete {
    Complete {
        started_seconds: now.started_seconds,
        ended_seconds: now_seconds(),
        member_sectors: now.member_sectors,
        mismatch_sectors: now.mismatch_sectors,
        differing_are_all: ranges::sectors(&now.differing) == now.mismatch_sectors,
        differing: now.differing,
        unwritten_chunks: None,
    }
}

fn meaning(target: &Target, mismatch_sectors: u64) -> &'static str {
    match target.level {
        _ if mismatch_sectors == 0 => "",
        Some(level) if level.is_parity() => ": parity does not fit the data (mdadm --action=repair makes it anew)",
        _ => ": on mirrors that is often swap, or what was written to while it was written out",
    }
}

fn keep(target: &Target, kept: &mut Kept, change: impl FnOnce(&mut Checks)) {
    if let Err(e) = kept.change(target.uuid, change) {
        complain(format!("{}: cannot keep how far the check is: {}", target.shown, reason(&e)));
    }
}
