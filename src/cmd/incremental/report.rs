//! What `--incremental` says: for a person on stderr, or with `--export` for udev on stdout.

use std::path::Path;
use std::sync::Mutex;

use serde_json::{Map, Value};

use crate::cli::request::Common;
use crate::cmd::print::{complain, out};
use crate::output::escape::{self, word};
use crate::plan::incremental::Outcome;

/// What there is to say of the array, for `--json`.
static TOLD: Mutex<Vec<(String, Value)>> = Mutex::new(Vec::new());

fn note(key: &str, value: impl Into<Value>) {
    if let Ok(mut told) = TOLD.lock() {
        told.push((key.to_owned(), value.into()));
    }
}

/// What was noted.
#[must_use]
pub fn told() -> Map<String, Value> {
    TOLD.lock().map(|mut told| std::mem::take(&mut *told)).unwrap_or_default().into_iter().collect()
}

/// The words about one device and its array.
pub struct Report<'a> {
    common: &'a Common,
    /// The device as typed.
    device: String,
    /// Kernel name of the array.
    devname: String,
    /// Its path.
    array: String,
    foreign: bool,
}

impl<'a> Report<'a> {
    pub fn new(common: &'a Common, device: &Path, devname: &str, array: &Path, foreign: bool) -> Report<'a> {
        let (device, array) = (device.display().to_string(), array.display().to_string());
        Report { common, device, devname: devname.to_owned(), array, foreign }
    }

    /// The device has been added.
    pub fn attached(&self) {
        note("array", escape::text(self.array.as_bytes()));
        note("array_kernel_name", self.devname.clone());
        note("foreign", self.foreign);
        if self.common.export {
            let name = self.array.strip_prefix("/dev/md/").unwrap_or(&self.array);
            let (devname, name) = (word(self.devname.as_bytes()), word(name.as_bytes()));
            let foreign = if self.foreign { "yes" } else { "no" };
            out(&format!("MD_DEVICE={devname}\nMD_DEVNAME={name}\nMD_FOREIGN={foreign}\n"));
        }
    }

    fn say(&self, started: &str, text: &str) {
        note("started", started);
        if self.common.export {
            out(&format!("MD_STARTED={started}\n"));
        } else if !self.common.is_quiet() {
            complain(format!("{} attached to {}{text}", self.device, self.array));
        }
    }

    /// What became of an array that was not started.
    pub fn waits(&self, outcome: Outcome) {
        match outcome {
            Outcome::NotEnough(n) => self.say("no", &format!(", not enough to start ({n}).")),
            Outcome::Unsafe => self.say("unsafe", ", not enough to start safely."),
            Outcome::NoJournal => {
                note("started", "unsafe");
                if self.common.export {
                    out("MD_STARTED=unsafe\n");
                } else if !self.common.is_quiet() {
                    complain("Journal device is missing, not safe to start yet.");
                }
            }
            Outcome::Reshaping => {
                self.say("no", ", not started.");
                complain(format!("{}: This array is being reshaped and cannot be started", self.array));
                complain("by --incremental.  Please use --assemble");
            }
            Outcome::Start { .. } => {}
        }
    }

    pub fn started(&self) {
        self.say("yes", ", which has been started.");
    }

    pub fn runs_already(&self) {
        self.say("already", " which is already active.");
    }

    pub fn failed_to_start(&self, why: &str) {
        note("started", "no");
        if self.common.export {
            out("MD_STARTED=no\n");
        }
        complain(format!("{} attached to {}, but failed to start: {why}.", self.device, self.array));
    }
}
