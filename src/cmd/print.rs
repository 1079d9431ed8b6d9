//! Printing for all verbs: a reader that went away is a quiet success, so failures to print are not errors.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::output::escape;

/// Stdout is for one report; all else goes to stderr.
static REPORT_ONLY: AtomicBool = AtomicBool::new(false);
/// Something was printed on stdout.
static REPORTED: AtomicBool = AtomicBool::new(false);
/// What was printed, where a report is to tell it: whether it was meant for stderr, and the text.
static SAID: Mutex<Option<Vec<(bool, String)>>> = Mutex::new(None);

/// Keeps stdout for the document that [`report`] prints, and what is said for [`said`].
pub fn only_report() {
    only_stream();
    keep();
}

/// Keeps stdout for what [`report`] prints. What is said is not kept: for a program that runs on and on.
pub fn only_stream() {
    REPORT_ONLY.store(true, Ordering::Relaxed);
}

/// Keeps what is printed from now on for [`said`].
pub fn keep() {
    if let Ok(mut said) = SAID.lock() {
        said.get_or_insert_default();
    }
}

/// What was printed since the last time, in lines without `mdadm: `: all of it, and what was meant for stderr.
#[must_use]
pub fn said() -> (Vec<String>, Vec<String>) {
    let kept = SAID.lock().ok().and_then(|mut said| said.as_mut().map(std::mem::take)).unwrap_or_default();
    let lines = |only_errors: bool| {
        let text: String = kept.iter().filter(|(error, _)| *error || !only_errors).map(|(_, t)| t.as_str()).collect();
        // A line that shows progress is none.
        let lines = text.lines().filter(|l| !l.contains('\r') && !l.trim().is_empty());
        lines.map(|l| l.strip_prefix("mdadm: ").unwrap_or(l).trim().to_owned()).collect()
    };
    (lines(false), lines(true))
}

fn remember(error: bool, text: &str) {
    if let Ok(mut said) = SAID.lock()
        && let Some(said) = said.as_mut()
    {
        said.push((error, text.to_owned()));
    }
}

/// Writes to stdout, as it is. Whether anybody still reads.
pub fn out(text: &str) -> bool {
    if REPORT_ONLY.load(Ordering::Relaxed) {
        remember(false, text);
        to_stderr(text);
        return true;
    }
    report(text)
}

/// Writes to stdout, whatever [`only_report`] says.
pub fn report(text: &str) -> bool {
    REPORTED.store(true, Ordering::Relaxed);
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).is_ok()
}

/// Whether stdout has something on it.
#[must_use]
pub fn has_reported() -> bool {
    REPORTED.load(Ordering::Relaxed)
}

/// Writes to stderr, as it is.
pub fn err(text: &str) {
    remember(true, text);
    to_stderr(text);
}

fn to_stderr(text: &str) {
    // There is nobody left to tell.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// One line on stderr behind `mdadm: `.
pub fn complain(line: impl Display) {
    err(&format!("mdadm: {line}\n"));
}

/// Of a device that did not answer in time.
pub fn left_out(path: &Path, after: Duration) {
    let shown = escape::text(path.as_os_str().as_encoded_bytes());
    complain(format!("{shown} does not answer, and is left out after {} seconds", after.as_secs()));
}
