//! `--json` of commands that change something: one document on what came of it, in place of lines for a person.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::apply;
use super::print;
use crate::cli::request::Common;
use crate::error::Exit;
use crate::host::Host;
use crate::output::escape;

/// Runs a command that acts on one array or device.
pub fn command(common: &Common, what: &str, target: Option<&Path>, act: impl FnOnce() -> Exit) -> Exit {
    command_with(common, what, target, || (act(), Map::new()))
}

/// The same for a command that has more to tell.
pub fn command_with(
    common: &Common,
    what: &str,
    target: Option<&Path>,
    act: impl FnOnce() -> (Exit, Map<String, Value>),
) -> Exit {
    if !common.json {
        return act().0;
    }
    if common.plan {
        return planned(|| act().0);
    }
    print::only_report();
    let (exit, object) = one(what, target, act);
    report(vec![object]);
    exit
}

/// The same for one whose document is another: with `--plan` its refusal is a plan too.
pub fn own(common: &Common, act: impl FnOnce() -> Exit) -> Exit {
    if common.json && common.plan { planned(act) } else { act() }
}

/// Prints the document; [`print::only_report`] has kept stdout free for it.
pub fn report(objects: Vec<Value>) {
    print::report(&format!("{:#}\n", Value::from(objects)));
}

/// Runs one action and gives what came of it.
pub fn one(what: &str, target: Option<&Path>, act: impl FnOnce() -> (Exit, Map<String, Value>)) -> (Exit, Value) {
    let (exit, more) = act();
    let (messages, errors) = print::said();
    let changed = apply::changed_anything();
    let failed = exit != Exit::OK;
    let mut object = json!({
        "schema": "mdadm-rs/done/1", "command": what, "status": exit.0, "messages": messages,
        "device": target.map(|t| escape::text(t.as_os_str().as_encoded_bytes())),
        "kernel_name": target.and_then(kernel_name),
        // What was done before it failed may have been undone: the messages say so.
        "changed": if failed && changed { None } else { Some(changed) },
        "error": Some(errors.join("\n")).filter(|e| failed && !e.is_empty()),
    });
    if let Some(object) = object.as_object_mut() {
        object.extend(more);
    }
    (exit, object)
}

/// `--plan`: a refusal is a document too.
fn planned(act: impl FnOnce() -> Exit) -> Exit {
    print::keep();
    let exit = act();
    let (_, errors) = print::said();
    if !print::has_reported() {
        let error = Some(errors.join("\n")).filter(|e| !e.is_empty());
        report(vec![json!({"schema": "mdadm-rs/plan/1", "steps": [], "error": error})]);
    }
    exit
}

/// The array of this name, where there is one.
fn kernel_name(target: &Path) -> Option<String> {
    Host::default().open_array(target).ok().map(|array| array.name.devname)
}
