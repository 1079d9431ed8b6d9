//! The members of the arrays that were looked at: the table of `--verbose`, and `arrays` of `--json`.

use std::sync::Mutex;

use serde_json::{Map, Value, json};

use super::Put;
use crate::cli::request::Common;
use crate::error::Refusal;
use crate::output::escape;
use crate::plan::assemble::table::{self, MemberRow};
use crate::plan::assemble::{Candidate, Line, Wishes};

/// The arrays so far, for the one document of this command.
static ARRAYS: Mutex<Vec<Value>> = Mutex::new(Vec::new());

/// Notes the members of an array; the lines of `--verbose`.
pub fn begin(common: &Common, wishes: &Wishes, candidates: &[Candidate]) -> Vec<Line> {
    if !common.json && common.verbose <= 0 {
        return Vec::new();
    }
    let rows = table::members(wishes, candidates);
    if common.json
        && let Ok(mut arrays) = ARRAYS.lock()
    {
        let uuid = rows.first().map(|r| r.array.to_string());
        let members: Vec<Value> = rows.iter().map(member).collect();
        arrays.push(json!({ "array": escape::text(wishes.shown.as_bytes()), "uuid": uuid, "members": members }));
    }
    if rows.is_empty() { Vec::new() } else { table::lines(&rows).into_iter().map(Line::wordy).collect() }
}

/// Notes what became of it.
pub fn end(result: Result<&Put, &Refusal>) {
    let Ok(mut arrays) = ARRAYS.lock() else { return };
    let Some(array) = arrays.last_mut().and_then(Value::as_object_mut).filter(|a| !a.contains_key("status")) else {
        return;
    };
    let error = result.err().map(|r| r.lines.join("\n")).filter(|e| !e.is_empty());
    let exit = result.map_or_else(|r| r.exit, |put| put.exit);
    array.insert("status".into(), exit.0.into());
    array.insert("started".into(), result.is_ok_and(|put| put.started).into());
    array.insert("error".into(), error.into());
}

/// What was noted of the arrays that were looked at, for `--json`.
#[must_use]
pub fn arrays() -> Map<String, Value> {
    let arrays = ARRAYS.lock().map(|mut a| std::mem::take(&mut *a)).unwrap_or_default();
    std::iter::once(("arrays".to_owned(), Value::from(arrays))).collect()
}

fn member(row: &MemberRow) -> Value {
    json!({
        "device": escape::text(row.device.as_bytes()), "role": row.role, "slot": row.slot, "events": row.events,
        "update_time_seconds": row.updated_seconds, "sees": row.sees, "bitmap": row.bitmap, "verdict": row.verdict,
    })
}
