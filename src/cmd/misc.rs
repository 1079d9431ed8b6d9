//! Misc mode: one action on each device, in the order typed; the worst status counts.

use std::path::{Path, PathBuf};

use crate::cli::request::{MiscAction, MiscRequest};
use crate::cmd::{detail, examine, examine_bitmap, not_built, stop};
use crate::error::Exit;

/// Does what was asked for.
#[must_use]
pub fn run(request: &MiscRequest) -> Exit {
    // As in the reference: the last mode option decides whether devices are examined together or handled one by one.
    if request.action == Some(MiscAction::Examine) {
        return examine::run(request);
    }
    if request.action == Some(MiscAction::ExamineBitmap) {
        return examine_bitmap::run(request);
    }
    if request.items.is_empty() {
        return without_device(request);
    }
    // One `--plan` shows one document, so arrays to be stopped are planned together.
    if request.items.iter().all(|(action, _)| *action == MiscAction::Stop) {
        let paths: Vec<PathBuf> = request.items.iter().map(|(_, path)| path.clone()).collect();
        return stop::run(&request.common, &paths);
    }
    // All in one document with --json, and /dev is walked over once.
    if request.items.iter().all(|(action, _)| *action == MiscAction::Detail) {
        let paths: Vec<&Path> = request.items.iter().map(|(_, path)| path.as_path()).collect();
        return detail::run(request, &paths);
    }
    request.items.iter().fold(Exit::OK, |worst, (action, path)| worst.worst(one(request, *action, path)))
}

/// One action on one device.
fn one(request: &MiscRequest, action: MiscAction, path: &Path) -> Exit {
    match action {
        MiscAction::Stop => stop::run(&request.common, &[path.to_owned()]),
        MiscAction::Detail => detail::run(request, &[path]),
        _ => not_built(&format!("{action:?}")),
    }
}

/// An action that was given no device: `--detail --scan`, `--stop --scan`.
fn without_device(request: &MiscRequest) -> Exit {
    match request.action {
        Some(MiscAction::Stop) if request.common.scan => stop::scan(&request.common),
        Some(MiscAction::Detail) => detail::scan(request),
        _ => not_built("misc mode without a device"),
    }
}
