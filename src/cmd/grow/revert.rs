//! `--revert`: a reshape goes back. Linux turns none that runs, so the array is stopped, its superblocks are turned, and it is assembled again.

use std::path::PathBuf;

use super::{lock, worker};
use crate::cli::request::{AssembleRequest, Common, GrowRequest};
use crate::cmd::print::out;
use crate::cmd::{assemble, save, stop};
use crate::error::{Exit, Refusal};
use crate::host::Host;
use crate::host::conf::Conf;
use crate::host::node::OpenArray;
use crate::plan::grow::revert::{self, Facts};
use crate::sysfs::value::{ArrayState, MetadataVersion, Slot};
use crate::sysfs::{ArrayDir, MemberDir, attr};

/// The array is not open meanwhile, so that it can be stopped.
pub(super) fn run(host: &Host, (req, conf): (&GrowRequest, &Conf), array: OpenArray) -> Result<(), Refusal> {
    let name = array.name.clone();
    let (shown, dir) = (name.path.display().to_string(), host.sysfs.array(&name.devname));
    drop(array);
    let facts = facts(host, &dir, &shown);
    let plan = revert::plan(&facts)?;
    stop::can_be_stopped(host, &name.path)?;
    if req.common.plan {
        out(&save::shown(host, &req.common, &plan));
        return Ok(());
    }
    let _lock = lock::change(host, &name)?;
    let job = worker::Job { devname: name.devname.clone(), backup: req.backup_file.clone() };
    let Some(seat) = worker::bring_to_turn(host, &job).map_err(|e| go_on(host, &job, e))? else {
        return Err(Refusal::new(format!("the reshape of {shown} was over before it could be turned"))
            .hint("to have it as it was before: another --grow"));
    };
    // What was added or failed meanwhile counts.
    let members = paths(host, &dir);
    let backup = worker::recorded(host, &name.devname).map(|(_, uuid)| worker::backup_in_use(host, &job, uuid));
    let backup = backup.filter(|p| p.exists());
    let quiet = Common { verbose: -1, ..req.common.clone() };
    drop(seat);
    if stop::one(host, &quiet, &name.path, stop::Say { stopped: false, errors: true }) != Exit::OK {
        return Err(go_on(host, &job, Refusal::new(format!("{shown} cannot be stopped, and goes on as before"))));
    }
    let request = AssembleRequest {
        common: Common { run: true, ..req.common.clone() },
        array: Some(name.path.clone()),
        members,
        update: Some("revert-reshape".into()),
        backup_file: backup,
        ..AssembleRequest::default()
    };
    match assemble::assemble(&request, conf) {
        Ok(Exit::OK) => Ok(()),
        Ok(exit) => Err(Refusal { lines: Vec::new(), exit }),
        Err(why) if dir.exists() => Err(why),
        Err(why) => Err(not_turned(&request, conf, why)),
    }
}

fn attached(dir: &ArrayDir) -> impl Iterator<Item = MemberDir> {
    let faulty = |m: &MemberDir| m.get(attr::STATE).is_none_or(|s| s.has("faulty"));
    dir.members().into_iter().filter(move |m| !faulty(m))
}

fn paths(host: &Host, dir: &ArrayDir) -> Vec<PathBuf> {
    attached(dir).map(|m| host.dev.join(m.name())).collect()
}

fn facts(host: &Host, dir: &ArrayDir, shown: &str) -> Facts {
    let reshape = worker::recorded(host, dir.devname()).map(|(reshape, _)| reshape);
    let in_sync = |m: MemberDir| match m.get(attr::SLOT) {
        Some(Slot::At(slot)) if m.get(attr::STATE).is_some_and(|s| s.has("in_sync")) => Some(slot),
        _ => None,
    };
    let there: Vec<u32> = attached(dir).filter_map(in_sync).collect();
    let slots = reshape.map_or(0, |r| r.all_slots());
    Facts {
        devname: dir.devname().to_owned(),
        shown: shown.to_owned(),
        reshape,
        old_metadata: dir
            .get(attr::METADATA_VERSION)
            .is_some_and(|v| matches!(v, MetadataVersion::Md { major: 0, .. })),
        readonly: dir.get(attr::ARRAY_STATE) == Some(ArrayState::Readonly),
        missing: (0..slots).filter(|slot| !there.contains(slot)).collect(),
        members: paths(host, dir).iter().map(|p| p.display().to_string()).collect(),
    }
}

/// It is stopped and could not be turned: as it was, then.
fn not_turned(request: &AssembleRequest, conf: &Conf, why: Refusal) -> Refusal {
    let shown = request.array.as_deref().unwrap_or(std::path::Path::new("")).display().to_string();
    let request = AssembleRequest { update: None, ..request.clone() };
    let names: Vec<String> = request.members.iter().map(|m| m.display().to_string()).collect();
    match assemble::assemble(&request, conf) {
        Ok(_) => why.hint(format!("{shown} goes on as before")),
        Err(e) => why
            .hints(e.lines)
            .hint(format!("{shown} is stopped; to start it: mdadm --assemble {shown} {}", names.join(" "))),
    }
}

/// Whoever looked after it was sent away.
fn go_on(host: &Host, job: &worker::Job, why: Refusal) -> Refusal {
    match worker::launch(host, job) {
        Ok(()) => why,
        Err(e) => why.hints(e.lines),
    }
}
