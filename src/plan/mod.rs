//! Pure decisions: what a request means for these devices, as data that can be shown before it is done.
#![forbid(unsafe_code)]
#![deny(clippy::cast_possible_truncation)]

pub mod assemble;
pub mod bitmap_file;
pub mod bitmap_place;
pub mod build;
pub mod check;
pub mod create;
pub mod dump;
pub mod ensure;
pub mod file_step;
pub mod grow;
pub mod incremental;
pub mod known_faults;
pub mod lazy;
pub mod manage;
pub mod mark;
pub mod member_areas;
pub mod place;
pub mod policy;
pub mod redundancy;
pub mod restore;
pub mod save;
pub mod startable;
pub mod step;
pub mod sync_action;
pub mod whose;
pub mod zero;
