//! From the collected line to a request, with the checks that need the whole line.

use std::path::PathBuf;

use super::check::check;
use super::error::CliError;
use super::help;
use super::line::{Device, Line, not_valid};
use super::mode::Mode;
use super::request::{
    AbsentRequest, AssembleRequest, BuildRequest, CheckRequest, CreateRequest, DataOffset, GrowRequest, HealthRequest,
    IncrementalRequest, ManageItem, ManageOp, ManageRequest, MemberArg, MiscAction, MiscRequest, MonitorRequest,
    NotYet, ReportRequest, Request, RestoreRequest,
};
use super::table::Id;
use super::token::Spelled;
use super::words;

/// Makes the request.
///
/// # Errors
/// What is missing or cannot be together, in the reference's words.
pub fn request(line: Line) -> Result<Request, CliError> {
    if line.help_options {
        return Ok(Request::Show(help::options()));
    }
    if line.help {
        return Ok(Request::Show(help::of(line.mode)));
    }
    let Some(mode) = line.mode else { return bare(line) };
    if let Some(opt) = line.ours.iter().find(|o| !o.modes.has(mode)) {
        return Err(line.with_notes(not_valid(Spelled::Long(opt.long), mode)));
    }
    check(&line, mode).map_err(|e| line.with_notes(e))?;
    if let Some(later) = line.later {
        return Ok(not_yet(line, mode, format!("--{}", later.long)));
    }
    match mode {
        Mode::Create => Ok(Request::Create(Box::new(create(line)))),
        Mode::Build => Ok(Request::Build(Box::new(build(line)))),
        Mode::Assemble => Ok(Request::Assemble(Box::new(assemble(line)))),
        Mode::Misc => misc(line),
        Mode::Manage => Ok(manage(line)),
        Mode::Grow => Ok(Request::Grow(Box::new(grow(line)))),
        Mode::Incremental => Ok(Request::Incremental(Box::new(incremental(line)))),
        Mode::AutoDetect => Ok(Request::AutoDetect(Box::new(line.common))),
        Mode::Monitor => Ok(Request::Monitor(Box::new(monitor(line)))),
    }
}

fn not_yet(line: Line, mode: Mode, what: String) -> Request {
    Request::NotYet(NotYet { common: line.common, mode, what })
}

/// A device name without any option that sets the mode: what is it?
fn bare(line: Line) -> Result<Request, CliError> {
    let Some(device) = line.devices.into_iter().next() else {
        return Err(CliError::usage());
    };
    Ok(Request::Misc(Box::new(MiscRequest {
        common: line.common,
        items: vec![(MiscAction::Query, PathBuf::from(device.word))],
        bare: true,
        ..MiscRequest::default()
    })))
}

fn path(device: &Device) -> PathBuf {
    PathBuf::from(&device.word)
}

/// A device of create or build; `variable` is `--data-offset=variable`, where each may bring its own.
fn new_member(d: &Device, variable: bool) -> MemberArg {
    let (word, data_offset) = if variable { words::device_and_offset(&d.word) } else { (d.word.clone(), None) };
    MemberArg {
        path: (d.word != "missing").then(|| PathBuf::from(word)),
        write_mostly: d.write_mostly == Some(true),
        failfast: d.failfast == Some(true),
        data_offset,
    }
}

fn create(line: Line) -> CreateRequest {
    let mut devices = line.devices.iter();
    let array = devices.next().map(path).unwrap_or_default();
    let variable = line.data_offset == Some(DataOffset::Variable);
    let members = devices.map(|d| new_member(d, variable)).collect();
    // Before the array's name it is the first as well.
    let write_journal = line.journal.as_ref().map(|(d, before)| (new_member(d, variable), before.saturating_sub(1)));
    CreateRequest {
        array,
        members,
        common: line.common,
        level: line.level,
        layout: line.layout,
        chunk: line.chunk,
        raid_devices: line.raid_devices,
        spare_devices: line.spare_devices.unwrap_or(0),
        size: line.size,
        data_offset: line.data_offset,
        name: line.name,
        uuid: line.uuid,
        assume_clean: line.assume_clean,
        bitmap: line.bitmap,
        bitmap_chunk: line.bitmap_chunk,
        delay: line.delay,
        consistency_policy: line.policy,
        write_journal,
        write_behind: line.write_behind,
        write_zeroes: line.write_zeroes,
        logical_block_size: line.logical_block_size,
        compat_kernel: line.compat_kernel,
        nodes: line.nodes,
        home_cluster: line.home_cluster,
        finest_chunk: line.finest_chunk,
    }
}

fn build(line: Line) -> BuildRequest {
    let mut devices = line.devices.iter();
    let array = devices.next().map(path).unwrap_or_default();
    let members = devices.map(|d| new_member(d, false)).collect();
    BuildRequest {
        array,
        members,
        common: line.common,
        level: line.level,
        layout: line.layout,
        chunk: line.chunk,
        raid_devices: line.raid_devices,
        size: line.size,
        assume_clean: line.assume_clean,
        bitmap: line.bitmap,
        bitmap_chunk: line.bitmap_chunk,
        delay: line.delay,
        write_behind: line.write_behind,
    }
}

fn assemble(line: Line) -> AssembleRequest {
    let mut devices = line.devices.iter().map(path);
    let array = devices.next();
    let members = devices.collect();
    AssembleRequest {
        array,
        members,
        common: line.common,
        uuid: line.uuid,
        name: line.name,
        super_minor: line.super_minor,
        update: line.update,
        no_degraded: line.no_degraded,
        bitmap: line.bitmap,
        bitmap_chunk: line.bitmap_chunk,
        finest_chunk: line.finest_chunk,
        backup_file: line.backup_file,
        invalid_backup: line.invalid_backup,
        nodes: line.nodes,
        home_cluster: line.home_cluster,
    }
}

fn grow(line: Line) -> GrowRequest {
    let mut devices = line.devices.iter().map(path);
    let array = devices.next().unwrap_or_default();
    let add = devices.collect();
    GrowRequest {
        array,
        add,
        common: line.common,
        level: line.level,
        layout: line.layout,
        chunk: line.chunk,
        raid_devices: line.raid_devices,
        size: line.size,
        array_size: line.array_size,
        data_offset: line.data_offset,
        assume_clean: line.assume_clean,
        bitmap: line.bitmap,
        bitmap_chunk: line.bitmap_chunk,
        delay: line.delay,
        write_behind: line.write_behind,
        nodes: line.nodes,
        policy: line.policy,
        backup_file: line.backup_file,
        goes_on: line.goes_on,
        reverts: line.reverts,
        check_first: line.check_first,
        finest_chunk: line.finest_chunk,
        bitmap_idle: line.bitmap_idle,
        proactive_sync: line.proactive_sync,
    }
}

fn incremental(line: Line) -> IncrementalRequest {
    IncrementalRequest {
        devices: line.devices.iter().map(path).collect(),
        remove: line.op.is_some(),
        common: line.common,
        path: line.path,
        rebuild_map: line.rebuild_map,
    }
}

fn monitor(line: Line) -> MonitorRequest {
    MonitorRequest {
        arrays: line.devices.iter().map(path).collect(),
        common: line.common,
        mail: line.mail,
        program: line.program,
        delay: line.delay,
        increment: line.increment,
        daemonise: line.daemonise,
        pid_file: line.pid_file,
        oneshot: line.oneshot,
        syslog: line.syslog,
        no_sharing: line.no_sharing,
        metrics: line.metrics,
    }
}

fn misc_action(op: Option<Id>) -> Option<MiscAction> {
    Some(match op {
        None => MiscAction::Nothing,
        Some(Id::Query) => MiscAction::Query,
        Some(Id::Detail) => MiscAction::Detail,
        Some(Id::DetailPlatform) => MiscAction::DetailPlatform,
        Some(Id::Examine) => MiscAction::Examine,
        Some(Id::ExamineBitmap) => MiscAction::ExamineBitmap,
        Some(Id::ExamineBadblocks) => MiscAction::ExamineBadblocks,
        Some(Id::ZeroSuperblock) => MiscAction::ZeroSuperblock,
        Some(Id::Run) => MiscAction::Run,
        Some(Id::Stop) => MiscAction::Stop,
        Some(Id::Readonly) => MiscAction::Readonly,
        Some(Id::Readwrite) => MiscAction::Readwrite,
        Some(Id::Action) => MiscAction::SyncAction,
        Some(Id::Wait) => MiscAction::Wait,
        Some(Id::WaitClean) => MiscAction::WaitClean,
        Some(Id::Dump) => MiscAction::Dump,
        Some(Id::Restore) => MiscAction::Restore,
        Some(Id::UdevRules) => MiscAction::UdevRules,
        Some(Id::KillSubarray) => MiscAction::KillSubarray,
        Some(Id::UpdateSubarray) => MiscAction::UpdateSubarray,
        _ => return None,
    })
}

fn misc(line: Line) -> Result<Request, CliError> {
    let last = line.op.map(|op| op.0);
    if let Some(file) = &line.restore_saved {
        if last != Some(Id::RestoreSaved) || line.devices.iter().any(|d| d.op != last) {
            return Err(line.with_notes(CliError::new("--restore-saved must be the only operation")));
        }
        let (file, devices) = (file.clone(), line.devices.iter().map(path).collect());
        return Ok(Request::Restore(Box::new(RestoreRequest { common: line.common, file, devices })));
    }
    if last == Some(Id::EnsureAbsent) {
        if line.devices.iter().any(|d| d.op != last) {
            return Err(line.with_notes(CliError::new("--ensure-absent must be the only operation")));
        }
        let mut devices = line.devices.iter().map(path);
        let (array, members) = (devices.next().unwrap_or_default(), devices.collect());
        return Ok(Request::Absent(Box::new(AbsentRequest { common: line.common, array, members })));
    }
    if let Some(action) = line.check {
        if last != Some(Id::Check) || line.devices.iter().any(|d| d.op != last) {
            return Err(line.with_notes(CliError::new("--check must be the only operation")));
        }
        let arrays = line.devices.iter().map(path).collect();
        let (seconds, speed_kib) = (line.check_seconds, line.check_speed);
        return Ok(Request::Check(Box::new(CheckRequest { common: line.common, action, arrays, seconds, speed_kib })));
    }
    if let Some(only @ (Id::Health | Id::Report)) = last {
        if line.devices.iter().any(|d| d.op != last) {
            let what = super::table::long_of(only).unwrap_or_default();
            return Err(line.with_notes(CliError::new(format!("--{what} must be the only operation"))));
        }
        let paths = line.devices.iter().map(path).collect();
        let common = line.common;
        return Ok(match only {
            Id::Health => Request::Health(Box::new(HealthRequest { common, arrays: paths })),
            _ => Request::Report(Box::new(ReportRequest { common, devices: paths })),
        });
    }
    let mut items = Vec::with_capacity(line.devices.len());
    for device in &line.devices {
        let Some(action) = misc_action(device.op) else {
            let what = device.op.and_then(super::table::long_of).unwrap_or_default();
            return Ok(not_yet(line, Mode::Misc, format!("--{what}")));
        };
        items.push((action, path(device)));
    }
    let Some(action) = misc_action(last) else {
        let what = last.and_then(super::table::long_of).unwrap_or_default();
        return Ok(not_yet(line, Mode::Misc, format!("--{what}")));
    };
    Ok(Request::Misc(Box::new(MiscRequest {
        common: line.common,
        items,
        action: last.is_some().then_some(action),
        sync_action: line.sync_action,
        dump: line.dump,
        udev_rules: line.udev_rules.flatten(),
        map: line.map,
        ranges: line.ranges,
        watch: line.watch,
        update: line.update,
        ..MiscRequest::default()
    })))
}

fn manage_op(op: Option<Id>) -> Option<ManageOp> {
    Some(match op? {
        Id::Add => ManageOp::Add,
        Id::AddSpare => ManageOp::AddSpare,
        Id::AddJournal => ManageOp::AddJournal,
        Id::ReAdd => ManageOp::ReAdd,
        Id::Remove => ManageOp::Remove,
        Id::Fail => ManageOp::Fail,
        Id::Replace => ManageOp::Replace,
        Id::With => ManageOp::With,
        Id::ClusterConfirm => ManageOp::ClusterConfirm,
        _ => return None,
    })
}

/// Manage mode: members where any are named, else the array as a whole.
fn manage(line: Line) -> Request {
    let mut devices = line.devices.iter();
    let array = devices.next().map(path).unwrap_or_default();
    let mut items = Vec::with_capacity(line.devices.len());
    for device in devices {
        let Some(op) = manage_op(device.op) else {
            let what = device.op.and_then(super::table::long_of).unwrap_or("manage");
            return not_yet(line, Mode::Manage, format!("--{what}"));
        };
        let (write_mostly, failfast) = (device.write_mostly, device.failfast);
        items.push(ManageItem { op, device: path(device), write_mostly, failfast });
    }
    let after = line.run_stop.and_then(|id| misc_action(Some(id)));
    if !items.is_empty() || (line.read_mode.is_none() && after.is_none()) {
        let readonly = line.read_mode == Some(Id::Readonly);
        return Request::Manage(Box::new(ManageRequest {
            array,
            items,
            readonly,
            after,
            any_sector_size: line.any_sector_size,
            update: line.update,
            common: line.common,
        }));
    }
    let read_mode = line.read_mode.and_then(|id| misc_action(Some(id)));
    let items = [read_mode, after].into_iter().flatten().map(|a| (a, array.clone())).collect();
    Request::Misc(Box::new(MiscRequest { common: line.common, items, manage: true, ..MiscRequest::default() }))
}
