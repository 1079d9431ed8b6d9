//! Printing for all verbs: a reader that went away is a quiet success, so failures to print are not errors.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Stdout is for one report; all else goes to stderr.
static REPORT_ONLY: AtomicBool = AtomicBool::new(false);

/// Keeps stdout for the document that [`report`] prints.
pub fn only_report() {
    REPORT_ONLY.store(true, Ordering::Relaxed);
}

/// Writes to stdout, as it is. Whether anybody still reads.
pub fn out(text: &str) -> bool {
    if REPORT_ONLY.load(Ordering::Relaxed) {
        err(text);
        return true;
    }
    report(text)
}

/// Writes to stdout, whatever [`only_report`] says.
pub fn report(text: &str) -> bool {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).is_ok()
}

/// Writes to stderr, as it is.
pub fn err(text: &str) {
    // There is nobody left to tell.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// One line on stderr behind `mdadm: `.
pub fn complain(line: impl Display) {
    err(&format!("mdadm: {line}\n"));
}
