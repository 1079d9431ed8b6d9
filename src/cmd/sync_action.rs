//! `--action`: check, repair, idle, frozen.

use std::path::{Path, PathBuf};

use super::apply::Session;
use super::print::{complain, out};
use crate::cli::request::Common;
use crate::error::{Exit, Refusal};
use crate::host::Host;
use crate::host::node::{OpenArray, OpenError};
use crate::level::Level;
use crate::plan::step::Plan;
use crate::plan::sync_action::{self, Facts, busy, not_set};
use crate::sysfs::attr;
use crate::sysfs::value::ArrayState;

/// Tells these arrays what to do, one after the other; the worst status counts.
#[must_use]
pub fn run(common: &Common, word: &str, paths: &[PathBuf]) -> Exit {
    let host = Host::default();
    let mut whole = Plan::default();
    let mut exit = Exit::OK;
    for path in paths {
        match one(&host, common, word, path) {
            Ok(plan) => whole.steps.extend(plan.steps),
            Err(refusal) => {
                refusal.lines.iter().for_each(complain);
                exit = exit.worst(refusal.exit);
            }
        }
    }
    if common.plan {
        out(&if common.json { format!("{:#}\n", whole.json()) } else { whole.text() });
    }
    exit
}

fn one(host: &Host, common: &Common, word: &str, path: &Path) -> Result<Plan, Refusal> {
    let shown = path.display().to_string();
    let array = host.open_array(path).map_err(|e| {
        Refusal::new(match e {
            OpenError::Open(e) => format!("Couldn't open {shown}: {}", super::apply::reason(&e)),
            OpenError::NotMd => format!("{shown} is no an md array"),
        })
    })?;
    let facts = facts(&array, shown.clone());
    let plan = sync_action::plan(&facts, word)?;
    if !common.plan {
        let mut session = Session::new(host, common);
        let sysfs = array.sysfs.clone();
        session.array = Some(array);
        session.apply(&plan).map_err(|e| {
            let errno = e.line.rsplit(": ").next().unwrap_or_default();
            let now = sysfs.get(attr::SYNC_ACTION).map(|a| a.word().to_owned());
            let why = now.filter(|a| a != "idle" && a != "frozen").map(|a| busy(&shown, &a));
            not_set(&shown, word, errno, why).hints(e.after.clone())
        })?;
    }
    Ok(plan)
}

fn facts(array: &OpenArray, shown: String) -> Facts {
    let state = array.sysfs.get(attr::ARRAY_STATE);
    Facts {
        devname: array.name.devname.clone(),
        shown,
        level: array.sysfs.get(attr::LEVEL).and_then(|w| Level::parse(&w.0)),
        action: array.sysfs.get(attr::SYNC_ACTION).map(|a| a.word().to_owned()),
        running: state.as_ref().is_some_and(ArrayState::is_running),
        readonly: state == Some(ArrayState::Readonly),
    }
}
