//! One file per verb. Writers gather facts, plan, apply; readers read, fill a view, render.

pub mod apply;
mod apply_file;
pub mod array_state;
pub mod assemble;
pub mod auto_detect;
pub mod bitmap_file;
pub mod build;
pub mod check;
pub mod configured;
pub mod create;
pub mod detail;
pub mod dump;
pub mod ensure;
pub mod examine;
pub mod examine_badblocks;
pub mod examine_bitmap;
mod fault;
pub mod grow;
pub mod health;
pub mod incremental;
pub mod manage;
pub mod member;
pub mod misc;
pub mod node;
pub mod outcome;
pub mod platform;
pub mod print;
pub mod query;
pub mod report;
pub mod restore;
pub mod save;
pub mod stop;
pub mod subarray;
pub mod sync_action;
pub mod udev_rules;
mod unwritten;
pub mod wait;
pub mod whose;
pub mod zero;
pub mod zeroing;

use std::path::{Path, PathBuf};

use crate::cli::CliError;
use crate::cli::request::{CheckAction, Common, MiscAction, Request};
use crate::device::readers::some_hang;
use crate::error::Exit;
use crate::host::Host;
use crate::host::names;
use crate::kernel::process::{Side, behind};

/// Does what was asked for.
#[must_use]
pub fn run(request: Request) -> Exit {
    if !looks_through_devices(&request) {
        return run_here(request);
    }
    match behind() {
        Ok(Side::Front(status)) => Exit(status),
        Ok(Side::Back(report)) => {
            let exit = run_here(request);
            if some_hang() {
                report.done(exit.0);
            }
            exit
        }
        Err(_) => run_here(request),
    }
}

/// Whether devices are read that nobody named: one that does not answer must not hold up who waits for the command.
fn looks_through_devices(request: &Request) -> bool {
    match request {
        Request::Assemble(r) => r.members.is_empty(),
        Request::Misc(r) => r.common.scan && r.items.is_empty() && r.action == Some(MiscAction::Examine),
        _ => false,
    }
}

fn run_here(mut request: Request) -> Exit {
    if needs_root(&request) && !nix::unistd::geteuid().is_root() {
        print::complain("must be super-user to perform this action");
        return Exit::FAIL;
    }
    let conf = configured::configure(&mut request);
    match request {
        Request::Show(text) => show(&text),
        // It has a document of its own.
        Request::Create(r) if r.common.ensure => {
            outcome::own(&r.common, || making(&r.common, Some(&r.array), || create::run(&r)))
        }
        Request::Create(r) => outcome::command(&r.common, "create", Some(&r.array), || {
            making(&r.common, Some(&r.array), || create::run(&r))
        }),
        Request::Build(r) => outcome::command(&r.common, "build", Some(&r.array), || {
            making(&r.common, Some(&r.array), || build::run(&r))
        }),
        Request::Assemble(r) => outcome::command_with(&r.common, "assemble", r.array.as_deref(), || {
            (making(&r.common, r.array.as_deref(), || assemble::run(&r, &conf)), assemble::arrays())
        }),
        Request::Grow(r) => {
            outcome::command(&r.common, "grow", Some(&r.array), || noted(&r.common, || grow::run(&r, &conf)))
        }
        Request::Incremental(r) => {
            outcome::command_with(&r.common, "incremental", r.devices.first().map(PathBuf::as_path), || {
                (noted(&r.common, || incremental::run(&r, &conf)), incremental::told())
            })
        }
        Request::AutoDetect(common) => noted(&common, auto_detect::run),
        Request::Manage(r) => outcome::command_with(&r.common, "manage", Some(&r.array), || {
            notes(&r.common);
            manage::run(&r)
        }),
        Request::Check(r) if r.action == CheckAction::Status => noted(&r.common, || check::run(&r).0),
        Request::Check(r) => {
            // All go on at the same time, and are one command.
            let only = r.arrays.first().filter(|_| r.arrays.len() == 1).map(PathBuf::as_path);
            outcome::command_with(&r.common, "check", only, || {
                notes(&r.common);
                check::run(&r)
            })
        }
        Request::Health(r) => noted(&r.common, || health::run(&r, &conf)),
        Request::Report(r) => noted(&r.common, || report::run(&r)),
        Request::Monitor(r) => noted(&r.common, || crate::monitor::run(&r, &conf)),
        Request::Absent(r) => outcome::own(&r.common, || noted(&r.common, || ensure::absent(&r))),
        Request::Restore(r) => outcome::own(&r.common, || noted(&r.common, || restore::run(&r))),
        Request::Misc(r) => noted(&r.common, || misc::run(&r, &conf)),
        Request::NotYet(r) => noted(&r.common, || not_built(&r.what)),
    }
}

/// Whether only root can do it. What reads superblocks, or writes to images, is left to the rights on the files.
fn needs_root(request: &Request) -> bool {
    use crate::cli::request::MiscAction::{Stop, SyncAction};
    match request {
        Request::Create(r) => !r.common.offline,
        Request::Misc(r) => {
            r.items.iter().map(|i| i.0).chain(r.action).any(|action| matches!(action, Stop | SyncAction))
        }
        Request::Show(_) | Request::Restore(_) | Request::NotYet(_) | Request::Health(_) => false,
        _ => true,
    }
}

/// Prints the text of a command line that ends here, and gives its status.
#[must_use]
pub fn refuse(error: &CliError) -> Exit {
    print::out(&error.out);
    print::err(&error.text);
    error.exit
}

fn show(text: &str) -> Exit {
    print::out(text);
    Exit::OK
}

/// Prints the remarks about the command line, then goes on.
fn noted(common: &Common, go_on: impl FnOnce() -> Exit) -> Exit {
    notes(common);
    go_on()
}

fn notes(common: &Common) {
    for note in &common.notes {
        if note.stdout {
            print::out(&format!("mdadm: {}\n", note.text));
        } else {
            print::complain(&note.text);
        }
    }
}

/// [`noted`], where the array that is to be made can have this name: nobody is asked or warned about members before that.
fn making(common: &Common, array: Option<&Path>, go_on: impl FnOnce() -> Exit) -> Exit {
    let refused = |typed| names::refuse_other(&Host::default(), typed);
    match array.filter(|_| !common.offline).map(refused) {
        Some(Err(refusal)) => noted(common, || {
            refusal.lines.iter().for_each(print::complain);
            refusal.exit
        }),
        _ => noted(common, go_on),
    }
}

fn not_built(what: &str) -> Exit {
    print::complain(format!("{what} is not in this version of mdadm-rs yet; nothing was changed"));
    Exit::FAIL
}
