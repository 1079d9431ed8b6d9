//! `--check=status`: how far a check is, and what those before found.

use serde_json::json;

use super::kept::{Checks, Kept};
use super::{Target, print, ranges};
use crate::cli::request::CheckRequest;
use crate::cmd::print::{out, report};
use crate::error::Exit;
use crate::sysfs::attr;
use crate::sysfs::value::{SyncAction, SyncProgress};
use crate::time::stamp;

/// Says it.
pub fn run(request: &CheckRequest, arrays: &[Target], kept: &Kept) -> Exit {
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
        objects.push(json!({
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
