//! `--incremental`: what udev calls for each device that is found, and for each that is gone.

pub(super) mod array;
mod attach;
mod late;
mod map;
mod remove;
mod report;
mod scan;
mod spare;

pub use report::told;

use crate::cli::request::IncrementalRequest;
use crate::cmd::print::complain;
use crate::error::{Exit, Refusal};
use crate::host::Host;
use crate::host::conf::Conf;

/// Runs the request.
#[must_use]
pub fn run(req: &IncrementalRequest, conf: &Conf) -> Exit {
    let host = Host::default();
    match dispatch(req, conf, &host) {
        Ok(exit) => exit,
        Err(refusal) => {
            if !req.common.is_quiet() {
                refusal.lines.iter().for_each(complain);
            }
            refusal.exit
        }
    }
}

fn dispatch(req: &IncrementalRequest, conf: &Conf, host: &Host) -> Result<Exit, Refusal> {
    if req.common.scan {
        if !req.devices.is_empty() {
            return Err(Refusal::new("In --incremental mode, a device cannot be given with --scan."));
        }
        if !req.common.run {
            return Err(Refusal::new("--incremental --scan meaningless without --run."));
        }
        if req.remove {
            return Err(Refusal::new("--incremental --scan --fail not supported."));
        }
    }
    if req.rebuild_map {
        map::rebuild(req, host)?;
    }
    if req.common.scan {
        return scan::run(req, conf, host);
    }
    match req.devices.as_slice() {
        [] if req.rebuild_map => Ok(Exit::OK),
        [] => Err(Refusal::new("--incremental requires a device.")),
        [device] if req.remove => remove::run(req, host, device),
        _ if req.remove => Err(Refusal::new("'--incremental --fail' can only handle one device.")),
        [device, ..] => attach::run(req, conf, host, device),
    }
}
