//! `--incremental`: one device at a time, as udev finds them.

use std::path::PathBuf;

use super::Common;

/// `--incremental`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IncrementalRequest {
    /// Options that every mode takes.
    pub common: Common,
    /// The device, and other names of it; with `remove` its kernel name.
    pub devices: Vec<PathBuf>,
    /// `--fail` or `--remove`: the device is gone.
    pub remove: bool,
    /// `--path`: where it was plugged in.
    pub path: Option<String>,
    /// `--rebuild-map`
    pub rebuild_map: bool,
}
