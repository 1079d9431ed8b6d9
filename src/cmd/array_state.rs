//! `--run`, `--readonly`, `--readwrite`: what an array that exists may do.

use std::path::Path;

use super::apply::reason;
use super::detail::{any_superblock, load_or_rebuild_map};
use super::print::complain;
use crate::bitmap::header::Kind;
use crate::bitmap::summary;
use crate::cli::request::{Common, MiscAction};
use crate::device::real::{Access, RealDevice};
use crate::error::Exit;
use crate::host::Host;
use crate::host::devmap::DevMap;
use crate::host::kernel_log::KernelLog;
use crate::host::node::{OpenArray, OpenError};
use crate::kernel::md;
use crate::sysfs::value::ArrayState;
use crate::sysfs::{MemberDir, attr};

/// Does one of the three on one array.
#[must_use]
pub fn run(common: &Common, action: MiscAction, path: &Path) -> Exit {
    if !nix::unistd::geteuid().is_root() {
        complain("must be super-user to perform this action");
        return Exit::FAIL;
    }
    let host = Host::default();
    let done = open(&host, path).and_then(|array| match action {
        MiscAction::Run => start(&host, common, path, &array),
        MiscAction::Readonly => read_only(&host, path, &array),
        _ => read_write(path, &array),
    });
    match done {
        Ok(()) => Exit::OK,
        Err(lines) => {
            lines.iter().for_each(complain);
            Exit::FAIL
        }
    }
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

fn read_only(host: &Host, path: &Path, array: &OpenArray) -> Result<(), Vec<String>> {
    running(path, array)?;
    md::stop_array_ro(&array.file).map_err(|e| {
        let shown = path.display();
        let mut lines = vec![format!("failed to set readonly for {shown}: {}", reason(&e))];
        match e.raw_os_error() {
            Some(libc::EBUSY) => {
                lines.extend(host.who_holds(array.name.dev).iter().map(|h| format!("{shown} is {h}")));
                if lines.len() == 1 {
                    lines.push(format!("{shown} is open for writing, or a recovery of it runs"));
                }
            }
            Some(libc::ENXIO) => lines.push(format!("{shown} is read-only already")),
            _ => {}
        }
        lines
    })
}

fn read_write(path: &Path, array: &OpenArray) -> Result<(), Vec<String>> {
    running(path, array)?;
    md::restart_array_rw(&array.file).map_err(|e| {
        let shown = path.display();
        let mut lines = vec![format!("failed to set writable for {shown}: {}", reason(&e))];
        match e.raw_os_error() {
            Some(libc::EBUSY) => lines.push(format!("{shown} is not read-only")),
            Some(libc::EINVAL) if misses_its_journal(array) => lines.push(format!(
                "{shown} has lost its journal: mdadm {shown} --re-add JOURNAL, or --add-journal with another device"
            )),
            Some(libc::EROFS | libc::EACCES) => lines.push(format!("a member of {shown} is read-only")),
            _ => {}
        }
        lines
    })
}

/// An array with a journal is read-only without it.
fn misses_its_journal(array: &OpenArray) -> bool {
    let there = |m: &MemberDir| m.get(attr::STATE).is_some_and(|s| s.has("journal") && !s.has("faulty"));
    array.sysfs.get(attr::CONSISTENCY_POLICY).is_some_and(|p| p.0 == "journal")
        && !array.sysfs.members().iter().any(there)
}

/// Starts an array whose members are there, though some may be missing. A running one stays as it is.
fn start(host: &Host, common: &Common, path: &Path, array: &OpenArray) -> Result<(), Vec<String>> {
    if state(array) != Some(ArrayState::Inactive) {
        return Ok(());
    }
    let known = load_or_rebuild_map(host, common.homehost.as_deref());
    let entry = known.into_iter().find(|e| e.devname == array.name.devname);
    let shown = entry.and_then(|e| e.path).unwrap_or_else(|| path.to_owned());
    let shown = shown.display();
    let failed = |why: String| vec![format!("failed to start array {shown}: {why}")];
    choose_bitmap_type(host, array).map_err(failed)?;
    let mut log = KernelLog::from_now(&host.dev);
    array.sysfs.store(attr::ARRAY_STATE, "read-auto").map_err(|e| {
        let mut lines = failed(e.reason());
        lines.extend(log.reasons(&array.name.devname).into_iter().map(|l| format!("kernel: {l}")));
        lines.push(format!("see what is missing with: mdadm --detail {}", path.display()));
        lines
    })?;
    if !common.is_quiet() {
        complain(format!("started array {shown}"));
    }
    Ok(())
}

/// A kernel before 7.2 has to be told of a lockless bitmap before the array runs, or it refuses it.
fn choose_bitmap_type(host: &Host, array: &OpenArray) -> Result<(), String> {
    let devices = DevMap::read(host);
    let Some((device, sb)) = any_superblock(host, &devices, &array.sysfs) else { return Ok(()) };
    let Ok(dev) = RealDevice::open(Path::new(&device), Access::Read) else { return Ok(()) };
    let lockless = matches!(summary::read(&dev, &sb), Ok(Some(s)) if s.kind == Kind::Lockless);
    let types = array.sysfs.bitmap_types().ok().flatten();
    if !lockless || types.as_ref().is_some_and(|t| t.iter().any(|t| t.active && t.name == "llbitmap")) {
        return Ok(());
    }
    array.sysfs.store(attr::BITMAP_TYPE, "llbitmap").map_err(|e| {
        format!("its bitmap is lockless, which this kernel does not have (needs 6.18 and CONFIG_MD_LLBITMAP): {e}")
    })
}
