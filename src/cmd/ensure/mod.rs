//! `--create --ensure` and `--ensure-absent`: for programs that describe what should be there, and may ask for it again and
//! again.

mod absent;
mod look;

pub use absent::absent;

use serde_json::{Value, json};

use super::print::{complain, out};
use super::{assemble, create, print, save};
use crate::cli::request::{AssembleRequest, BitmapChoice, CreateRequest};
use crate::error::{Exit, Refusal};
use crate::host::conf::Conf;
use crate::host::{Host, names};
use crate::plan::ensure::{self, Difference, Standing};
use crate::plan::step::Plan;
use look::{There, devices, look};

/// What came of it.
struct Done {
    action: &'static str,
    changed: Option<bool>,
    exit: Exit,
    differences: Vec<Difference>,
    error: Option<String>,
}

/// Makes the array, starts it, or finds it as it was asked for; or writes nothing and says what differs.
#[must_use]
pub fn ensure(req: &CreateRequest) -> Exit {
    let reports = req.common.json && !req.common.plan;
    if reports {
        print::only_report();
    }
    let done = decide(req).unwrap_or_else(|refusal| {
        refusal.lines.iter().for_each(complain);
        failed(&refusal)
    });
    if reports {
        print::report(&format!("{:#}\n", report(req, &done)));
    }
    done.exit
}

fn failed(refusal: &Refusal) -> Done {
    let error = Some(refusal.lines.join("\n"));
    Done { action: "failed", changed: None, exit: refusal.exit, differences: Vec::new(), error }
}

fn decide(req: &CreateRequest) -> Result<Done, Refusal> {
    if matches!(req.bitmap, Some(BitmapChoice::File(_))) || req.common.offline {
        let what = if req.common.offline { "--offline" } else { "a bitmap in a file" };
        return Err(Refusal::new(format!("--ensure cannot be used with {what}.")).with_exit(Exit::USAGE));
    }
    let typed = names::parse(&req.array.to_string_lossy())?;
    let host = Host::default();
    let Some(there) = look(&host, req, &typed.path) else {
        let exit = create::create(req)?;
        return Ok(Done { action: "created", changed: Some(true), exit, differences: Vec::new(), error: None });
    };
    let differences = differences(req, &there);
    if !differences.is_empty() {
        let shown = typed.path.display();
        complain(format!("{shown} is not as it was asked for; nothing was changed:"));
        differences.iter().for_each(|d| complain(d.line()));
        let out = there.listed.iter().find(|s| matches!(s.standing, Standing::Not(_)));
        if let (Some(_), Some(seen)) = (&there.devname, out) {
            complain(format!("a device becomes a member with: mdadm {shown} --add {}", seen.shown));
        }
        return Ok(Done { action: "differs", changed: Some(false), exit: Exit::DIFFERS, differences, error: None });
    }
    if there.devname.is_none() {
        let exit = assemble::assemble(&start(req, &there), &Conf::default())?;
        return Ok(Done { action: "started", changed: Some(true), exit, differences, error: None });
    }
    show_no_steps(&host, req);
    if !req.common.is_quiet() && !req.common.plan {
        out(&format!("mdadm: array {} unchanged.\n", typed.path.display()));
    }
    Ok(Done { action: "unchanged", changed: Some(false), exit: Exit::OK, differences, error: None })
}

/// `--plan` where nothing would be done.
fn show_no_steps(host: &Host, req: &CreateRequest) {
    if req.common.plan {
        out(&save::shown(host, &req.common, &Plan::default()));
    }
}

fn differences(req: &CreateRequest, there: &There) -> Vec<Difference> {
    let mut all = there.differences.clone();
    match &there.existing {
        Some(existing) => all.extend(ensure::array(req, existing)),
        None => all.push(Difference::new("array", "one whose metadata can be read", "none")),
    }
    all.extend(ensure::members(req, &there.listed, &there.others));
    all
}

/// The request that starts the array from the devices that were named.
fn start(req: &CreateRequest, there: &There) -> AssembleRequest {
    let mut common = req.common.clone();
    common.metadata = None;
    common.force = 0;
    AssembleRequest {
        common,
        array: Some(req.array.clone()),
        members: devices(req),
        uuid: there.existing.as_ref().map(|e| e.uuid),
        name: None,
        super_minor: None,
        update: None,
        no_degraded: false,
        bitmap: None,
        bitmap_chunk: None,
        finest_chunk: false,
        backup_file: None,
        invalid_backup: false,
        nodes: None,
        home_cluster: None,
    }
}

fn report(req: &CreateRequest, done: &Done) -> Value {
    json!([{
        "schema": "mdadm-rs/ensure/1", "array": req.array.to_string_lossy(), "action": done.action,
        "changed": done.changed, "error": done.error,
        "differences": done.differences.iter().map(Difference::json).collect::<Vec<_>>(),
    }])
}
