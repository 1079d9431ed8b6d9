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
