//! `--version`, `--help`, `--help-options`.

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

/// `--help`, of the mode where one was named.
#[must_use]
pub fn of(mode: Option<Mode>) -> String {
    format!("help {mode:?}\n")
}

/// `--help-options`.
#[must_use]
pub fn options() -> String {
    String::new()
}
