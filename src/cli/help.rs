//! `--version`, `--help`, `--help-options`.

use super::commands;
use super::error::CliError;
use super::mode::Mode;
use crate::error::Exit;

/// The version of the reference that this program takes the place of; programs match `mdadm - v([\d.]+) -`.
const REFERENCE: &str = "v4.6";
/// The date of this version.
const DATE: &str = "2026-11-20";

/// `--version`: one line on stderr, as the reference prints it, status 0.
#[must_use]
pub fn version() -> CliError {
    let ours = env!("CARGO_PKG_VERSION");
    let text = format!("mdadm - {REFERENCE} - {DATE} - mdadm-rs {ours}\n");
    CliError { out: String::new(), text, exit: Exit::OK }
}

/// `--help`: of the mode where one was named, else of them all.
#[must_use]
pub fn of(mode: Option<Mode>) -> String {
    match mode {
        Some(mode) => commands::of(mode).render_help().to_string(),
        None => general(),
    }
}

fn general() -> String {
    let mut out = String::from("mdadm makes, assembles, shows and changes Linux software RAID arrays (md).\n\n");
    for (n, mode) in commands::BUILT.into_iter().enumerate() {
        let lead = if n == 0 { "Usage: " } else { "       " };
        out.push_str(&format!("{lead}{}\n           {}\n", commands::usage(mode).0, purpose(mode)));
    }
    out.push_str(
        "       mdadm DEVICE\n           say in a line what the device has to do with md\n\n\
         A word that does not begin with - is a device name; the first is often the array, the others its members.\n\
         For the options of a mode: mdadm --create --help, and so on. For those of every mode: mdadm --help-options.\n\
         The manual is mdadm(8), mdadm.conf(5), md-lockless(7).\n",
    );
    out
}

fn purpose(mode: Mode) -> &'static str {
    match mode {
        Mode::Create => "make a new array",
        Mode::Assemble => "put an array together again from its members",
        Mode::Build => "make an array of devices without metadata",
        Mode::Manage => "act on one array",
        Mode::Monitor => "watch arrays and tell what happens to them",
        Mode::Grow => "change an array while it runs",
        Mode::Incremental => "take a device that has just been found, or is gone",
        Mode::AutoDetect => "have the kernel start what it finds",
        _ => "report on or act on each device named: --detail, --examine, --stop, ...",
    }
}

/// `--help-options`.
#[must_use]
pub fn options() -> String {
    commands::everywhere().render_help().to_string()
}
