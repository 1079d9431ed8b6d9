//! Monitor mode, and what reports on or checks arrays from a timer.

use std::path::PathBuf;

use super::Common;

/// `--monitor`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MonitorRequest {
    /// Options that every mode takes; `--scan`, `--test`, `--json` and `--config` among them.
    pub common: Common,
    /// The arrays as typed.
    pub arrays: Vec<PathBuf>,
    /// `--mail`
    pub mail: Option<String>,
    /// `--program`, `--alert`
    pub program: Option<String>,
    /// `--delay`, seconds
    pub delay: Option<u32>,
    /// `--increment`, percent
    pub increment: Option<u32>,
    /// `--daemonise`
    pub daemonise: bool,
    /// `--pid-file`
    pub pid_file: Option<PathBuf>,
    /// `--oneshot`
    pub oneshot: bool,
    /// `--syslog`
    pub syslog: bool,
    /// `--no-sharing`
    pub no_sharing: bool,
    /// `--metrics` (ours)
    pub metrics: Option<PathBuf>,
}

/// `--health`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthRequest {
    /// Options that every mode takes.
    pub common: Common,
    /// The arrays as typed; none: all.
    pub arrays: Vec<PathBuf>,
}
