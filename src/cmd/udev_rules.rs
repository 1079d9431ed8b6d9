//! `--udev-rules`: from the POLICY lines of the configuration to a rules file.

use std::path::Path;

use super::apply::Session;
use super::print::{complain, out};
use crate::cli::request::Common;
use crate::error::Exit;
use crate::host::Host;
use crate::host::conf::Conf;
use crate::output::udev_rules::rules;
use crate::plan::file_step::FileStep;
use crate::plan::step::{Plan, Step};

/// Prints the rules, or writes them to a file.
#[must_use]
pub fn run(common: &Common, conf: &Conf, file: Option<&Path>) -> Exit {
    let (text, refused) = rules(&conf.policies);
    for word in refused {
        complain(format!("policy rule for '{}' left out: it cannot stand in a udev rule", word.escape_debug()));
    }
    match file {
        None => {
            out(&text);
            Exit::OK
        }
        Some(path) => write(common, path, text),
    }
}

fn write(common: &Common, path: &Path, text: String) -> Exit {
    let file = FileStep::Put { path: path.to_owned(), bytes: text.into_bytes(), what: "udev rules".into() };
    let plan = Plan { steps: vec![Step::File(file)] };
    if common.plan {
        out(&if common.json { format!("{:#}\n", plan.json()) } else { plan.text() });
        return Exit::OK;
    }
    match Session::new(&Host::default(), common).apply(&plan) {
        Ok(()) => Exit::OK,
        Err(e) => {
            complain(e);
            Exit::FAIL
        }
    }
}
