//! `--check`: has arrays check their redundancy, for a time and no faster than asked for; what is left is gone on with the next
//! time. A check that was interrupted never counts as done.
//!
//! The kernel forgets `sync_max` when a check got to its end, and keeps it when it was interrupted (`md_do_sync`): a `sync_max`
//! past the end, which limits nothing, tells the one from the other.

mod kept;
mod ranges;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kept::{Checks, Complete, Kept, Unfinished};
use ranges::Heard;

use super::print::{complain, out, report};
use crate::bitmap::lockless::ChunkState;
use crate::cli::request::{CheckAction, CheckRequest};
use crate::error::{Exit, reason};
use crate::host::Host;
use crate::host::saved;
use crate::level::Level;
use crate::monitor::now_seconds;
use crate::output::escape;
use crate::sysfs::value::{ArrayState, Maybe, SyncAction, SyncProgress};
use crate::sysfs::{ArrayDir, SysfsError, attr};
use crate::time::stamp;
use crate::uuid::Uuid;

/// Past the end of any array, and a multiple of every chunk size.
const PAST_THE_END: u64 = 1 << 52;
/// How often it is looked at, and how often the position is written down.
const LOOK: Duration = Duration::from_millis(200);
const KEEP: Duration = Duration::from_secs(30);

/// Starts, stops or tells.
#[must_use]
pub fn run(request: &CheckRequest) -> Exit {
    let host = Host::default();
    let mut exit = Exit::OK;
    let mut arrays = Vec::new();
    for (shown, devname) in targets(&host, request) {
        match devname.and_then(|name| Target::new(&host, shown.clone(), &name)) {
            Some(target) => arrays.push(target),
            None => {
                complain(format!("{shown} is no array that runs and has redundancy"));
                exit = Exit::FAIL;
            }
        }
    }
    let mut kept = Kept::load(Path::new(saved::DEFAULT_DIR));
    exit.worst(match request.action {
        CheckAction::Status => status(request, &arrays, &kept),
        CheckAction::Stop => stop(&arrays),
        CheckAction::Start => start(&host, request, arrays, &mut kept),
        CheckAction::Continue => {
            arrays.retain(|target| kept.of(target.uuid).unfinished.is_some());
            start(&host, request, arrays, &mut kept)
        }
    })
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

/// An array.
struct Target {
    shown: String,
    dir: ArrayDir,
    uuid: Uuid,
    level: Option<Level>,
    /// While it is checked: where it was started.
    begun: Option<Unfinished>,
    kept_at: Instant,
}

impl Target {
    fn new(host: &Host, shown: String, devname: &str) -> Option<Target> {
        let dir = host.sysfs.array(devname);
        let level = dir.get(attr::LEVEL).and_then(|w| Level::parse(&w.0)).filter(|l| l.is_redundant());
        let uuid = host.uuid_of(devname)?;
        level.is_some().then_some(Target { shown, dir, uuid, level, begun: None, kept_at: Instant::now() })
    }

    fn action(&self) -> Option<SyncAction> {
        self.dir.get(attr::SYNC_ACTION)
    }

    /// Why no check can be started now.
    fn obstacle(&self) -> Option<&'static str> {
        match self.action() {
            Some(SyncAction::Idle) => {}
            Some(SyncAction::Check) => return Some("is being checked already"),
            _ => return Some("is busy with something else, or frozen"),
        }
        if self.dir.get(attr::DEGRADED).unwrap_or(1) > 0 {
            return Some("is degraded: there is nothing to compare");
        }
        let readonly = matches!(self.dir.get(attr::ARRAY_STATE), Some(ArrayState::Readonly | ArrayState::ReadAuto));
        readonly.then_some("is read-only")
    }
}

fn start(host: &Host, request: &CheckRequest, arrays: Vec<Target>, kept: &mut Kept) -> Exit {
    let signals = match host.hold_interrupts() {
        Ok(signals) => signals,
        Err(e) => {
            complain(format!("cannot hold signals back: {}", reason(&e)));
            return Exit::FAIL;
        }
    };
    let end = request.seconds.map(|s| Instant::now() + Duration::from_secs(s));
    let mut exit = Exit::OK;
    let mut running = Vec::new();
    let mut heard = Heard::from_now(host);
    for mut target in arrays {
        match begin(&mut target, request, kept) {
            Ok(()) => running.push(target),
            // With --scan it is left out: another time.
            Err(why) => {
                complain(format!("{} is not checked: {why}", target.shown));
                exit = if request.common.scan { exit } else { Exit::FAIL };
            }
        }
    }
    while !running.is_empty() {
        let over = end.is_some_and(|end| Instant::now() >= end) || signals.came().is_some();
        if over {
            for target in &running {
                // It may have ended by itself meanwhile.
                let _ = target.dir.store(attr::SYNC_ACTION, "idle");
            }
        }
        running.retain_mut(|target| match look(target, kept, &mut heard) {
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

/// Starts one, where it was left.
fn begin(target: &mut Target, request: &CheckRequest, kept: &mut Kept) -> Result<(), String> {
    if let Some(why) = target.obstacle() {
        return Err(why.to_owned());
    }
    let text = |e: SysfsError| e.to_string();
    let member_sectors = target.dir.get(attr::COMPONENT_SIZE).unwrap_or(0).saturating_mul(2);
    // A raid10 counts sectors of the array. What is not of this array's size is no place to go on from.
    let array_sectors = target.dir.size_sectors().unwrap_or(0);
    let end = if target.level == Some(Level::Raid10) { array_sectors } else { member_sectors };
    let fits = |u: &Unfinished| u.member_sectors == member_sectors && u.done_sectors < end;
    let fresh = Unfinished { started_seconds: now_seconds(), member_sectors, ..Unfinished::default() };
    let before = kept.of(target.uuid).unfinished.filter(fits).unwrap_or(fresh);
    if let Some(kib) = request.speed_kib {
        target.dir.store(attr::SYNC_SPEED_MAX, &kib.to_string()).map_err(text)?;
    }
    // The order matters: the kernel takes no sync_min past sync_max.
    target.dir.store(attr::SYNC_MAX, "max").map_err(text)?;
    target.dir.store(attr::SYNC_MIN, &before.done_sectors.to_string()).map_err(text)?;
    target.dir.store(attr::SYNC_MAX, &PAST_THE_END.to_string()).map_err(text)?;
    target.dir.store(attr::SYNC_ACTION, "check").map_err(text)?;
    target.begun = Some(before);
    Ok(())
}

/// Where it is now; its end, once it is there.
fn look(target: &mut Target, kept: &mut Kept, heard: &mut Heard) -> Option<Exit> {
    if !target.dir.exists() {
        complain(format!("{} was stopped; its check goes on from where it was last seen", target.shown));
        return Some(Exit::OK);
    }
    let runs = matches!(target.action(), Some(SyncAction::Check));
    // Asked for after that: what is said until the end is in it.
    let mut now = target.begun.take().unwrap_or_default();
    ranges::add(&mut now.differing, heard.of(target.dir.devname()));
    target.begun = Some(now.clone());
    let found = target.dir.get(attr::MISMATCH_CNT).unwrap_or(0);
    now.mismatch_sectors = now.mismatch_sectors.saturating_add(found);
    if !runs {
        return Some(ended(target, kept, now));
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
fn ended(target: &Target, kept: &mut Kept, mut now: Unfinished) -> Exit {
    // Not to be left behind for what runs next.
    let complete = target.dir.get(attr::SYNC_MAX) == Some(Maybe::None);
    now.done_sectors = target.dir.get(attr::SYNC_MIN).unwrap_or(0);
    let _ = target.dir.store(attr::SYNC_MIN, "0");
    let _ = target.dir.store(attr::SYNC_MAX, "max");
    let _ = target.dir.store(attr::SYNC_SPEED_MAX, "system");
    let (shown, mismatch_sectors) = (&target.shown, now.mismatch_sectors);
    if !complete {
        let done_sectors = now.done_sectors;
        keep(target, kept, |c| c.unfinished = Some(now));
        out(&format!("mdadm: {shown}: the check was interrupted at sector {done_sectors} and goes on from there\n"));
        return Exit::OK;
    }
    let mut lines = ranges::lines(&now.differing, mismatch_sectors);
    let unwritten_chunks = target.dir.get(attr::LLBITMAP_BITS).and_then(|b| b.number(ChunkState::Unwritten.name()));
    if let Some(n) = unwritten_chunks.filter(|n| *n > 0) {
        lines.push(format!("  {n} chunks of its lockless bitmap were never written to, and not compared"));
    }
    keep(target, kept, |c| {
        c.unfinished = None;
        c.complete.push(Complete { unwritten_chunks, ..complete_of(now) });
    });
    let meaning = meaning(target, mismatch_sectors);
    out(&format!("mdadm: {shown}: checked, {mismatch_sectors} sectors differ{meaning}\n"));
    print(&lines);
    if mismatch_sectors > 0 && target.level.is_some_and(Level::is_parity) { Exit::FAIL } else { Exit::OK }
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

fn stop(arrays: &[Target]) -> Exit {
    let mut exit = Exit::OK;
    for target in arrays.iter().filter(|t| t.action() == Some(SyncAction::Check)) {
        if let Err(e) = target.dir.store(attr::SYNC_ACTION, "idle") {
            complain(format!("{}: {e}", target.shown));
            exit = Exit::FAIL;
        }
    }
    exit
}

fn status(request: &CheckRequest, arrays: &[Target], kept: &Kept) -> Exit {
    let mut objects = Vec::new();
    for target in arrays {
        let checks = kept.of(target.uuid);
        let runs = target.action() == Some(SyncAction::Check);
        let at = match target.dir.get(attr::SYNC_COMPLETED).filter(|_| runs) {
            Some(SyncProgress::At { done, total }) => Some((done, total)),
            _ => None,
        };
        if !request.common.json {
            out(&format!("{}: {}\n", target.shown, words(runs, at, &checks)));
            let last = checks.complete.last();
            print(&last.map(|c| ranges::lines(&c.differing, c.mismatch_sectors)).unwrap_or_default());
        }
        objects.push(serde_json::json!({
            "schema": "mdadm-rs/check/1",
            "array": target.shown,
            "kernel_name": target.dir.devname(),
            "uuid": target.uuid.to_string(),
            "running": runs,
            "done_sectors": at.map(|a| a.0),
            "total_sectors": at.map(|a| a.1),
            "unfinished": checks.unfinished,
            "complete": checks.complete,
        }));
    }
    if request.common.json {
        report(&(serde_json::to_string_pretty(&objects).unwrap_or_default() + "\n"));
    }
    Exit::OK
}

fn words(runs: bool, at: Option<(u64, u64)>, checks: &Checks) -> String {
    let now = match (runs, at, &checks.unfinished) {
        (true, Some((done, total)), _) => format!("is being checked, at sector {done} of {total}; "),
        (true, None, _) => "is being checked; ".to_owned(),
        (false, _, Some(u)) => format!("a check was interrupted at sector {}; ", u.done_sectors),
        (false, _, None) => String::new(),
    };
    let last = match checks.complete.last() {
        None => "never checked to the end".to_owned(),
        Some(c) => format!("last checked {}, {} sectors differed", stamp(c.ended_seconds), c.mismatch_sectors),
    };
    now + &last
}
