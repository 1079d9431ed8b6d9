//! `--stop`: takes arrays apart and their names away.
//!
//! The messages, the five seconds of tries and the passes of `--stop --scan` are those of the reference (seen with 4.6); what
//! holds an array that cannot be stopped is said in addition.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::apply::{Session, reason};
use super::print::{complain, err, out};
use crate::cli::request::Common;
use crate::error::{Exit, Refusal};
use crate::host::Host;
use crate::host::holders::Holder;
use crate::host::names;
use crate::host::node::{ArrayName, OpenArray, OpenError};
use crate::plan::step::{Plan, Step};

/// What the reference thinks holds an array.
const PERHAPS: &str = "Perhaps a running process, mounted filesystem or active volume group?";

/// How much is said.
#[derive(Clone, Copy)]
pub(super) struct Say {
    pub(super) stopped: bool,
    pub(super) errors: bool,
}

/// Stops these arrays, one after the other.
#[must_use]
pub fn run(common: &Common, paths: &[PathBuf]) -> Exit {
    let host = Host::default();
    if common.plan {
        return show(&host, common, paths);
    }
    let say = Say { stopped: !common.is_quiet(), errors: !common.is_quiet() };
    paths.iter().fold(Exit::OK, |worst, path| worst.worst(one(&host, common, path, say)))
}

/// Stops all arrays, as often as one more could be stopped: arrays on arrays come apart from the top.
#[must_use]
pub fn scan(common: &Common) -> Exit {
    let host = Host::default();
    let all = || host.mdstat().arrays.into_iter().map(|a| host.dev.join(a.devname)).collect::<Vec<_>>();
    if common.plan {
        return show(&host, common, &all());
    }
    let mut last = false;
    loop {
        let say = Say { stopped: common.verbose > 0, errors: last && !common.is_quiet() };
        let (mut left, mut progress) = (false, false);
        for path in all() {
            if one(&host, common, &path, say) == Exit::OK { progress = true } else { left = true }
        }
        if !left || last {
            return if left { Exit::FAIL } else { Exit::OK };
        }
        last = !progress;
    }
}

pub(super) fn steps(devname: &str) -> Plan {
    let devname = || devname.to_owned();
    Plan { steps: vec![Step::StopArray { devname: devname() }, Step::Forget { devname: devname() }] }
}

/// Says what is wrong with the name, as the reference does.
fn cannot_open(path: &Path, e: &OpenError) -> String {
    match e {
        OpenError::Open(e) => format!("error opening {}: {}", path.display(), reason(e)),
        OpenError::NotMd => format!("{} does not appear to be an md device", path.display()),
    }
}

/// A kernel name of no array. The reference makes the array to open it, and stops it again: a success.
fn is_no_array(host: &Host, path: &Path) -> bool {
    let word = path.to_str().unwrap_or_default();
    !word.contains('/') && names::is_kernel_name(word) && !host.sysfs.array(word).exists() && host.has_md()
}

/// Opens the array for itself: with nobody else's claim on it.
fn open_exclusive(host: &Host, path: &Path) -> Result<OpenArray, String> {
    let word = path.to_str().unwrap_or_default();
    let bare = !word.contains('/') && names::is_kernel_name(word);
    let node = host.array_node(path);
    if bare && !host.has_md() {
        return Err(format!("error opening {word}: No such file or directory{}", host.md_hint()));
    }
    if bare && node.symlink_metadata().is_err() {
        // No udev made the node, or somebody removed it.
        let dev = host.sysfs.dev_of(word).unwrap_or_default();
        let name = ArrayName { devname: word.to_owned(), path: path.to_owned(), dev };
        let file = host.open_number(&name).map_err(|e| cannot_open(path, &OpenError::Open(e)))?;
        return host.opened(file, path).map_err(|e| cannot_open(path, &e));
    }
    drop(host.open_array(path).map_err(|e| cannot_open(path, &e))?);
    let flags = libc::O_EXCL | libc::O_CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(&node).map_err(|e| {
        if e.raw_os_error() == Some(libc::EBUSY) {
            return format!("Cannot get exclusive access to {}:{PERHAPS}", path.display());
        }
        cannot_open(path, &OpenError::Open(e))
    })?;
    host.opened(file, path).map_err(|e| cannot_open(path, &e))
}

/// A line for each who holds the array.
fn holders(host: &Host, path: &Path) -> Vec<String> {
    let dev = crate::host::devmap::block_dev(path).or_else(|| host.sysfs.dev_of(path.to_str()?));
    let holders = dev.map(|dev| host.who_holds(dev)).unwrap_or_default();
    holders.iter().map(|holder| format!("{} is {holder}", path.display())).collect()
}

/// Whether it can be stopped: nothing holds it.
///
/// # Errors
/// Who does.
pub(super) fn can_be_stopped(host: &Host, path: &Path) -> Result<(), Refusal> {
    let Err(line) = open_exclusive(host, path) else { return Ok(()) };
    Err(Refusal::new(line).hints(holders(host, path)))
}

pub(super) fn one(host: &Host, common: &Common, path: &Path, say: Say) -> Exit {
    if is_no_array(host, path) {
        return stopped(path, say);
    }
    let array = match open_exclusive(host, path) {
        Ok(array) => array,
        Err(line) => {
            if say.errors {
                complain(line);
                holders(host, path).iter().for_each(complain);
            }
            return Exit::FAIL;
        }
    };
    let plan = steps(&array.name.devname);
    let mut session = Session::new(host, common);
    session.keep = true;
    session.array = Some(array);
    if let Err(e) = session.apply(&plan) {
        if say.errors {
            complain(e);
            err(&format!("       {PERHAPS}\n"));
            holders(host, path).iter().for_each(complain);
        }
        return Exit::FAIL;
    }
    stopped(path, say)
}

fn stopped(path: &Path, say: Say) -> Exit {
    if say.stopped {
        out(&format!("mdadm: stopped {}\n", path.display()));
    }
    Exit::OK
}

/// `--plan`: what would be done, and the status as if it had been. An array that only arrays hold which are stopped
/// before it is not busy then.
fn show(host: &Host, common: &Common, paths: &[PathBuf]) -> Exit {
    let (mut plan, mut exit) = (Plan::default(), Exit::OK);
    let mut gone = BTreeSet::new();
    let mut waiting: Vec<PathBuf> = paths.to_vec();
    loop {
        let before = waiting.len();
        waiting.retain(|path| match host.open_array(path) {
            Ok(array) => {
                let free =
                    host.holders(array.name.dev).iter().all(|h| matches!(h, Holder::Array(n) if gone.contains(n)));
                if free && gone.insert(array.name.devname.clone()) {
                    plan.steps.extend(steps(&array.name.devname).steps);
                }
                !free
            }
            Err(_) if is_no_array(host, path) => false,
            Err(e) => {
                complain(cannot_open(path, &e));
                exit = Exit::FAIL;
                false
            }
        });
        if waiting.is_empty() || waiting.len() == before {
            break;
        }
    }
    for path in waiting {
        complain(format!("Cannot get exclusive access to {}:{PERHAPS}", path.display()));
        holders(host, &path).iter().for_each(complain);
        exit = Exit::FAIL;
    }
    out(&if common.json { format!("{:#}\n", plan.json()) } else { plan.text() });
    exit
}
