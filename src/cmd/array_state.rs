//! `--run`, `--readonly`, `--readwrite`: what an array that exists may do.

use std::path::{Path, PathBuf};

use super::apply::{ApplyError, Session, reason};
use super::detail::{any_superblock, load_or_rebuild_map};
use super::print::{complain, out};
use crate::bitmap::header::Kind;
use crate::bitmap::summary;
use crate::cli::request::{Common, MiscAction, MiscRequest};
use crate::cmd::incremental::array;
use crate::device::real::{Access, RealDevice};
use crate::error::{Exit, errno_text};
use crate::host::Host;
use crate::host::devmap::DevMap;
use crate::host::holders::Holder;
use crate::host::kernel_log;
use crate::host::node::{OpenArray, OpenError};
use crate::plan::assemble::naming::member;
use crate::plan::step::{Plan, Step};
use crate::sysfs::value::ArrayState;
use crate::sysfs::{MemberDir, attr};

/// Does one of the three on these arrays, one after the other.
#[must_use]
pub fn run(request: &MiscRequest, action: MiscAction, paths: &[PathBuf]) -> Exit {
    let common = &request.common;
    if !nix::unistd::geteuid().is_root() {
        complain("must be super-user to perform this action");
        return Exit::FAIL;
    }
    let host = Host::default();
    let (mut whole, mut exit) = (Plan::default(), Exit::OK);
    for path in paths {
        let done = open(&host, path).and_then(|array| match action {
            MiscAction::Run => start(&host, common, path, array),
            MiscAction::Readonly => read_only(&host, common, path, array),
            // As in the reference: in manage mode an array that is writable is no failure.
            _ if request.manage && is_writable(&array) => Ok(Plan::default()),
            _ => read_write(&host, common, path, array),
        });
        match done {
            Ok(plan) => whole.steps.extend(plan.steps),
            Err(lines) => {
                lines.iter().for_each(complain);
                exit = exit.and(Exit::FAIL);
            }
        }
    }
    if common.plan {
        out(&if common.json { format!("{:#}\n", whole.json()) } else { whole.text() });
    }
    exit
}

/// Executes the plan, unless it is only to be shown.
fn apply(host: &Host, common: &Common, array: OpenArray, plan: &Plan) -> Result<(), ApplyError> {
    if common.plan {
        return Ok(());
    }
    let mut session = Session::new(host, common);
    session.keep = true;
    session.array = Some(array);
    session.apply(plan)
}

/// Whether this is an array: 1, and a line, where it is not.
#[must_use]
pub fn is_array(path: &Path) -> Exit {
    match open(&Host::default(), path) {
        Ok(_) => Exit::OK,
        Err(lines) => {
            lines.iter().for_each(complain);
            Exit::FAIL
        }
    }
}

fn open(host: &Host, path: &Path) -> Result<OpenArray, Vec<String>> {
    host.open_array(path).map_err(|e| {
        vec![match e {
            OpenError::Open(e) => format!("error opening {}: {}", path.display(), reason(&e)),
            OpenError::NotMd => format!("{} does not appear to be an md device", path.display()),
        }]
    })
}

fn state(array: &OpenArray) -> Option<ArrayState> {
    array.sysfs.get(attr::ARRAY_STATE)
}

/// The kernel changes the state of running arrays only.
fn running(path: &Path, array: &OpenArray) -> Result<(), Vec<String>> {
    match state(array) {
        Some(ArrayState::Clear | ArrayState::Inactive) => {
            Err(vec![format!("{} does not appear to be active.", path.display())])
        }
        _ => Ok(()),
    }
}

fn read_only(host: &Host, common: &Common, path: &Path, array: OpenArray) -> Result<Plan, Vec<String>> {
    running(path, &array)?;
    let shown = path.display();
    let refused = |errno: i32, why: Vec<String>| {
        let mut lines = vec![format!("failed to set readonly for {shown}: {}", errno_text(errno))];
        lines.extend(why);
        lines
    };
    if state(&array) == Some(ArrayState::Readonly) {
        return Err(refused(libc::ENXIO, vec![format!("{shown} is read-only already")]));
    }
    let (dev, devname) = (array.name.dev, array.name.devname.clone());
    let plan = Plan { steps: vec![Step::SetReadOnly { devname }] };
    if common.plan && host.holders(dev).iter().any(|h| matches!(h, Holder::Mount(_))) {
        return Err(refused(libc::EBUSY, held(host, dev, path)));
    }
    apply(host, common, array, &plan).map_err(|e| {
        let errno = e.line.rsplit(": ").next().unwrap_or_default();
        let why = if errno == errno_text(libc::EBUSY) { held(host, dev, path) } else { Vec::new() };
        let mut lines = vec![format!("failed to set readonly for {shown}: {errno}")];
        lines.extend(why);
        lines
    })?;
    Ok(plan)
}

/// Why an array cannot become read-only.
fn held(host: &Host, dev: (u32, u32), path: &Path) -> Vec<String> {
    let shown = path.display();
    let holders: Vec<String> = host.who_holds(dev).iter().map(|h| format!("{shown} is {h}")).collect();
    if holders.is_empty() {
        return vec![format!("{shown} is open for writing, or a recovery of it runs")];
    }
    holders
}

fn is_writable(array: &OpenArray) -> bool {
    state(array).is_some_and(|s| s.is_running() && !matches!(s, ArrayState::Readonly | ArrayState::ReadAuto))
}

fn read_write(host: &Host, common: &Common, path: &Path, array: OpenArray) -> Result<Plan, Vec<String>> {
    running(path, &array)?;
    let shown = path.display();
    let failed = |errno: &str, why: Option<String>| {
        std::iter::once(format!("failed to set writable for {shown}: {errno}")).chain(why).collect::<Vec<_>>()
    };
    if !matches!(state(&array), Some(ArrayState::Readonly | ArrayState::ReadAuto)) {
        return Err(failed(&errno_text(libc::EBUSY), Some(format!("{shown} is not read-only"))));
    }
    if misses_its_journal(&array) {
        let why = format!(
            "{shown} has lost its journal: mdadm {shown} --re-add JOURNAL, or --add-journal with another device"
        );
        return Err(failed(&errno_text(libc::EINVAL), Some(why)));
    }
    let plan = Plan { steps: vec![Step::RestartReadWrite { devname: array.name.devname.clone() }] };
    apply(host, common, array, &plan).map_err(|e| {
        let errno = e.line.rsplit(": ").next().unwrap_or_default();
        let frozen = [libc::EROFS, libc::EACCES].iter().any(|n| errno_text(*n) == errno);
        failed(errno, frozen.then(|| format!("a member of {shown} is read-only")))
    })?;
    Ok(plan)
}

/// An array with a journal is read-only without it.
fn misses_its_journal(array: &OpenArray) -> bool {
    let there = |m: &MemberDir| m.get(attr::STATE).is_some_and(|s| s.has("journal") && !s.has("faulty"));
    array.sysfs.get(attr::CONSISTENCY_POLICY).is_some_and(|p| p.0 == "journal")
        && !array.sysfs.members().iter().any(there)
}

/// Starts an array whose members are there, though some may be missing. A running one stays as it is.
fn start(host: &Host, common: &Common, path: &Path, array: OpenArray) -> Result<Plan, Vec<String>> {
    if state(&array) != Some(ArrayState::Inactive) {
        return Ok(Plan::default());
    }
    let known = load_or_rebuild_map(host, common.homehost.as_deref());
    let entry = known.into_iter().find(|e| e.devname == array.name.devname);
    let shown = entry.and_then(|e| e.path).unwrap_or_else(|| path.to_owned());
    let shown = shown.display();
    let plan = start_steps(host, &array);
    if !common.plan {
        mark(host, &array.name.devname);
    }
    apply(host, common, array, &plan).map_err(|e| {
        let why = e.line.rsplit(": ").next().unwrap_or_default();
        let whole = if e.line.contains("array_state") { why } else { &e.line };
        let mut lines = vec![format!("failed to start array {shown}: {whole}")];
        lines.extend(e.after);
        lines.push(format!("see what is missing with: mdadm --detail {}", path.display()));
        lines
    })?;
    if !common.is_quiet() && !common.plan {
        complain(format!("started array {shown}"));
    }
    Ok(plan)
}

/// A member that comes late is compared with the events of the start.
fn mark(host: &Host, devname: &str) {
    let members = array::found(host, &[], devname.to_owned()).members(host);
    let events = members.iter().filter_map(|named| member(&named.candidate.content)).map(|m| m.sb.events()).max();
    if let Some(events) = events {
        kernel_log::mark_start(&host.dev, devname, events);
    }
}

/// A kernel before 7.2 has to be told of a lockless bitmap before the array runs, or it refuses it.
fn start_steps(host: &Host, array: &OpenArray) -> Plan {
    let devname = array.name.devname.clone();
    let store = |attr: &str, value: &str| Step::Sysfs {
        devname: devname.clone(),
        attr: attr.into(),
        value: value.into(),
        verify: None,
    };
    let devices = DevMap::read(host);
    let member = any_superblock(host, &devices, &array.sysfs);
    let kind = member.and_then(|(device, sb)| {
        let dev = RealDevice::open(Path::new(&device), Access::Read).ok()?;
        Some(summary::read(&dev, &sb).ok()??.kind)
    });
    let types = array.sysfs.bitmap_types().ok().flatten();
    let active = types.is_some_and(|t| t.iter().any(|t| t.active && t.name == "llbitmap"));
    let mut steps = vec![store("array_state", "read-auto")];
    if kind == Some(Kind::Lockless) && !active {
        steps.insert(0, store("bitmap_type", "llbitmap"));
    }
    Plan { steps }
}
