//! Misc mode: one action on each device, in the order typed; the worst status counts.

use std::path::Path;

use crate::cli::request::{MiscAction, MiscRequest};
use crate::cmd::{examine, examine_bitmap, not_built};
use crate::error::Exit;

/// Does what was asked for.
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
    request.items.iter().fold(Exit::OK, |worst, (action, path)| worst.worst(one(request, *action, path)))
}

/// One action on one device.
fn one(_request: &MiscRequest, action: MiscAction, _path: &Path) -> Exit {
    not_built(&format!("{action:?}"))
}

/// An action that was given no device: `--detail --scan`, `--stop --scan`.
fn without_device(_request: &MiscRequest) -> Exit {
    not_built("misc mode without a device")
}
