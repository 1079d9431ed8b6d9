//! Misc mode: one action on each device, in the order typed; the worst status counts.

use std::path::{Path, PathBuf};

use serde_json::Map;

use crate::cli::request::{MiscAction, MiscRequest};
use crate::cmd::outcome;
use crate::cmd::print::{self, complain};
use crate::cmd::{
    array_state, detail, dump, examine, examine_badblocks, examine_bitmap, not_built, platform, query, stop, subarray,
    sync_action, udev_rules, wait, zero,
};
use crate::error::Exit;
use crate::host::conf::Conf;

/// Does what was asked for.
#[must_use]
pub fn run(request: &MiscRequest, conf: &Conf) -> Exit {
    // As in the reference: the last mode option decides whether devices are examined together or handled one by one.
    if request.action == Some(MiscAction::Examine) {
        return examine::run(request, conf);
    }
    if request.action == Some(MiscAction::ExamineBitmap) {
        return examine_bitmap::run(request);
    }
    if request.items.is_empty() {
        let what = request.action.filter(|a| word(*a).is_some());
        return match what.and_then(word) {
            Some(what) => outcome::command(&request.common, what, None, || without_device(request, conf)),
            None => without_device(request, conf),
        };
    }
    if request.common.json && request.items.iter().all(|(action, _)| word(*action).is_some()) {
        return reported(request);
    }
    in_order(request)
}

fn in_order(request: &MiscRequest) -> Exit {
    // One `--plan` or `--json` shows one document, and /dev is walked over once: devices of one action go together.
    if let Some((action, _)) = request.items.first()
        && request.items.iter().all(|(other, _)| other == action)
    {
        let paths: Vec<PathBuf> = request.items.iter().map(|(_, path)| path.clone()).collect();
        return all(request, *action, &paths);
    }
    request
        .items
        .iter()
        .fold(Exit::OK, |worst, (action, path)| worst.worst(all(request, *action, std::slice::from_ref(path))))
}

/// The name of an action that changes something, or waits: its `--json` says what came of it.
fn word(action: MiscAction) -> Option<&'static str> {
    Some(match action {
        MiscAction::ZeroSuperblock => "zero-superblock",
        MiscAction::Run => "run",
        MiscAction::Stop => "stop",
        MiscAction::Readonly => "readonly",
        MiscAction::Readwrite => "readwrite",
        MiscAction::SyncAction => "action",
        MiscAction::Wait => "wait",
        MiscAction::WaitClean => "wait-clean",
        MiscAction::Dump => "dump",
        MiscAction::Restore => "restore",
        MiscAction::UdevRules => "udev-rules",
        MiscAction::KillSubarray => "kill-subarray",
        MiscAction::UpdateSubarray => "update-subarray",
        _ => return None,
    })
}

/// `--json`: an object for each device.
fn reported(request: &MiscRequest) -> Exit {
    if request.common.plan {
        return outcome::command(&request.common, "", None, || in_order(request));
    }
    print::only_report();
    let mut exit = Exit::OK;
    let mut objects = Vec::new();
    for (action, path) in &request.items {
        let act = || (all(request, *action, std::slice::from_ref(path)), Map::new());
        let (status, object) = outcome::one(word(*action).unwrap_or_default(), Some(path), act);
        exit = exit.worst(status);
        objects.push(object);
    }
    outcome::report(objects);
    exit
}

/// One action on some devices.
fn all(request: &MiscRequest, action: MiscAction, paths: &[PathBuf]) -> Exit {
    let common = &request.common;
    match action {
        MiscAction::Query => query::run(common, paths),
        MiscAction::ExamineBadblocks => examine_badblocks::run(common, paths),
        MiscAction::Stop => stop::run(common, paths),
        MiscAction::ZeroSuperblock => zero::run(common, paths),
        MiscAction::Detail => detail::run(request, &paths.iter().map(PathBuf::as_path).collect::<Vec<_>>()),
        MiscAction::Run | MiscAction::Readonly | MiscAction::Readwrite => array_state::run(request, action, paths),
        MiscAction::SyncAction => sync_action::run(common, request.sync_action.as_deref().unwrap_or("idle"), paths),
        MiscAction::Wait => each(paths, |path| wait::wait(common, path)),
        MiscAction::WaitClean => each(paths, wait::wait_clean),
        MiscAction::Dump => dump::dump(common, request.dump.as_deref().unwrap_or(Path::new("")), paths),
        MiscAction::Restore => dump::restore(common, request.dump.as_deref().unwrap_or(Path::new("")), paths),
        MiscAction::DetailPlatform => platform::run(common),
        MiscAction::KillSubarray => each(paths, subarray::run),
        MiscAction::UpdateSubarray if request.update.is_none() => {
            complain("-U/--update must be specified with --update-subarray");
            Exit::FAIL
        }
        MiscAction::UpdateSubarray => each(paths, subarray::run),
        MiscAction::UdevRules | MiscAction::Nothing => each(paths, array_state::is_array),
        MiscAction::Examine | MiscAction::ExamineBitmap => not_built(&format!("{action:?}")),
    }
}

/// The statuses of all devices in one.
fn each(paths: &[PathBuf], one: impl Fn(&Path) -> Exit) -> Exit {
    paths.iter().fold(Exit::OK, |status, path| status.and(one(path)))
}

/// An action that was given no device: `--detail --scan`, `--stop --scan`.
fn without_device(request: &MiscRequest, conf: &Conf) -> Exit {
    match request.action {
        Some(MiscAction::Stop) if request.common.scan => stop::scan(&request.common),
        Some(MiscAction::Detail) => detail::scan(request),
        Some(MiscAction::DetailPlatform) => platform::run(&request.common),
        Some(MiscAction::UdevRules) => udev_rules::run(&request.common, conf, request.udev_rules.as_deref()),
        // The kernel marks arrays clean by itself.
        Some(MiscAction::WaitClean) if request.common.scan => Exit::OK,
        _ => not_built("misc mode without a device"),
    }
}
