//! View structs and their renderings: exact text, `--brief`, `--export`, `--json`.
//!
//! Pure: a view goes in, a string comes out; `cmd` prints it.
#![forbid(unsafe_code)]
#![deny(clippy::cast_possible_truncation)]

pub mod badblocks;
pub mod detail;
pub mod escape;
pub mod examine;
pub mod examine_bitmap;
pub mod human;
pub mod lockless_cost;
pub mod progress;
pub mod query;
pub mod udev_rules;

use std::collections::BTreeMap;

/// What of a device's identity a person finds on its label, and which that is.
#[must_use]
pub fn telling(identity: &BTreeMap<String, String>) -> Option<(&'static str, String)> {
    let of = |key: &'static str| Some((key, escape::text(identity.get(key)?.as_bytes())));
    ["serial", "wwid", "loop_file"].into_iter().find_map(of)
}
