//! mdadm-rs: administer Linux software RAID (md).
//!
//! The layers, from the top down; each may import only what stands below it (`tests/layers.rs` enforces it):
//!
//! | layer | modules | what it does |
//! |---|---|---|
//! | 5 | `main.rs` | parse, run, exit |
//! | 4 | [`cli`], [`cmd`], [`monitor`] | what was typed; one file per verb: gather facts, plan, apply; or read, view, render |
//! | 3 | [`plan`], [`host`], [`sysfs`], [`kernel`], [`device`], [`output`] | pure decisions; and the machine they are about |
//! | 2 | [`superblock`], [`bitmap`], [`saved`], [`backup`] | bytes <-> typed records |
//! | 1 | [`blockio`], [`units`], [`level`], [`layout`], [`metadata`], [`uuid`], [`error`], [`time`] | words shared by all |
//!
//! `cli`, `plan`, `superblock`, `bitmap`, `saved`, `backup`, `output` and layer 1 are pure: no files, no clock, no environment, no printing.

pub mod backup;
pub mod bitmap;
pub mod blockio;
pub mod cli;
pub mod cmd;
pub mod device;
pub mod error;
pub mod host;
pub mod kernel;
pub mod layout;
pub mod level;
pub mod metadata;
pub mod monitor;
pub mod output;
pub mod plan;
pub mod saved;
pub mod superblock;
pub mod sysfs;
pub mod time;
pub mod units;
pub mod uuid;
