//! `--detail`: of the arrays named, or with `--scan` of all that exist.

mod gather;
mod members;
mod reshape;

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use super::print::{complain, out};
use crate::cli::request::{Common, MiscRequest};
use crate::error::Exit;
use crate::host::Host;
use crate::host::devmap::DevMap;
use crate::output::detail::{Detail, Outcome, document};

use gather::{Gathering, NoDetail};
pub use gather::{load_or_rebuild_map, map_of_arrays};
pub use members::any_superblock;

/// How the arrays are to be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Brief,
    Export,
    Json,
}

/// `--json` outweighs `--export`, which outweighs `--brief`; `--scan` is brief unless asked for more than once in words.
fn form(common: &Common, scan: bool) -> Form {
    if common.json {
        Form::Json
    } else if common.export {
        Form::Export
    } else if common.brief > 0 || (scan && common.verbose < 2) {
        Form::Brief
    } else {
        Form::Text
    }
}

/// Details of these arrays.
pub fn run(request: &MiscRequest, paths: &[&Path]) -> Exit {
    print_all(&request.common, paths, form(&request.common, false))
}

/// Details of all arrays, the oldest first.
pub fn scan(request: &MiscRequest) -> Exit {
    let host = Host::default();
    let map = load_or_rebuild_map(&host, request.common.homehost.as_deref());
    let mut paths: Vec<PathBuf> = Vec::new();
    let stat = host.mdstat();
    let mut arrays: Vec<_> = stat.arrays.iter().rev().collect();
    // Sets of DDF or IMSM members come before the arrays in them.
    arrays.sort_by_key(|a| !a.metadata.as_ref().is_some_and(|m| m.starts_with("external:") && !m.contains(['/', '-'])));
    for array in arrays {
        let Some(dev) = host.sysfs.array(&array.devname).dev() else { continue };
        let known = map.iter().find(|e| e.devname == array.devname).and_then(|e| e.path.clone());
        paths.push(known.filter(|p| host.leads_to(p, dev)).unwrap_or_else(|| host.dev.join(&array.devname)));
    }
    let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    print_all(&request.common, &paths, form(&request.common, true))
}

fn print_all(common: &Common, paths: &[&Path], form: Form) -> Exit {
    if !nix::unistd::geteuid().is_root() {
        complain("must be super-user to perform this action");
        return Exit::FAIL;
    }
    let host = Host::default();
    let gathering = Gathering {
        host: &host,
        devices: DevMap::read(&host),
        // The keys of --export are for programs, which want the same names whatever is preferred.
        prefer: common.prefer.as_deref().filter(|_| form != Form::Export),
        homehost: common.homehost.clone().unwrap_or_else(|| host.hostname()),
        map: load_or_rebuild_map(&host, common.homehost.as_deref()),
        identities: form == Form::Json,
        seen: OnceCell::new(),
    };
    let mut status = Exit::OK;
    let mut outcomes = Vec::new();
    for path in paths {
        match gathering.detail(path) {
            Ok(detail) => {
                status = status.and(if common.test { Exit(detail.test_status()) } else { Exit::OK });
                if form == Form::Json {
                    outcomes.push(Outcome::Array(Box::new(detail)));
                } else if !out(&render(&detail, common, form)) {
                    // Nobody reads any more.
                    return status;
                }
            }
            Err(why) => {
                let line = message(path, &why);
                complain(&line);
                outcomes.push(Outcome::Error(path.display().to_string(), line));
                status = status.and(if common.test { Exit(4) } else { Exit::FAIL });
            }
        }
    }
    if form == Form::Json {
        out(&document(&outcomes, !common.no_devices));
    }
    status
}

fn render(detail: &Detail, common: &Common, form: Form) -> String {
    let devices = !common.no_devices;
    match form {
        Form::Text | Form::Json => detail.text(devices),
        Form::Brief => detail.brief(common.verbose > 0, devices),
        Form::Export => detail.export(devices),
    }
}

fn message(path: &Path, why: &NoDetail) -> String {
    let path = path.display();
    match why {
        NoDetail::Open(reason) => format!("cannot open {path}: {reason}"),
        NoDetail::NotMd => format!("{path} does not appear to be an md device"),
        NoDetail::Empty => format!("Array associated with md device {path} does not exist."),
        NoDetail::Kernel(reason) => format!("failed to get array info from {path}: {reason}"),
    }
}
