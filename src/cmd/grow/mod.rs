//! `--grow`: changes to a running array, one file for each kind.

use super::apply::reason;
use super::print::complain;
use crate::cli::request::GrowRequest;
use crate::error::{Exit, Refusal};
use crate::host::Host;
use crate::host::node::{OpenArray, OpenError};
use crate::plan::grow::{Change, changes};

/// Runs the request.
#[must_use]
pub fn run(req: &GrowRequest) -> Exit {
    let host = Host::default();
    match open(&host, req).and_then(|array| all(&host, req, &array)) {
        Ok(()) => Exit::OK,
        Err(refusal) => {
            refusal.lines.iter().for_each(complain);
            refusal.exit
        }
    }
}

fn open(host: &Host, req: &GrowRequest) -> Result<OpenArray, Refusal> {
    host.open_array(&req.array).map_err(|e| {
        let shown = req.array.display();
        Refusal::new(match e {
            OpenError::Open(e) => format!("error opening {shown}: {}", reason(&e)),
            OpenError::NotMd => format!("{shown} does not appear to be an md device"),
        })
    })
}

fn all(host: &Host, req: &GrowRequest, array: &OpenArray) -> Result<(), Refusal> {
    let changes = changes(req)?;
    if changes.is_empty() {
        complain("no changes to --grow");
    }
    changes.into_iter().try_for_each(|change| one(host, req, array, change))
}

fn one(_host: &Host, req: &GrowRequest, _array: &OpenArray, change: Change) -> Result<(), Refusal> {
    match change {
        Change::ArraySize | Change::Add | Change::Bitmap | Change::Continue | Change::Reshape | Change::Policy => {
            Err(not_built(change.option(req)))
        }
    }
}

fn not_built(option: &str) -> Refusal {
    Refusal::new(format!("{option} with --grow is not in this version of mdadm-rs yet; nothing was changed"))
}
