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

/// `--report`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReportRequest {
    /// Options that every mode takes.
    pub common: Common,
    /// Devices that are to be in it beside the members of the arrays.
    pub devices: Vec<PathBuf>,
}

/// The word of `--check`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckAction {
    /// Check, and stay until it is through or the time is over.
    Start,
    /// The same for those arrays only whose check is not through.
    Continue,
    /// Interrupt it.
    Stop,
    /// Say how it is and was.
    Status,
}

impl CheckAction {
    /// The action of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<CheckAction> {
        Some(match word {
            "start" => CheckAction::Start,
            "continue" => CheckAction::Continue,
            "stop" => CheckAction::Stop,
            "status" => CheckAction::Status,
            _ => return None,
        })
    }
}

/// `--check`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckRequest {
    /// Options that every mode takes.
    pub common: Common,
    /// What to do.
    pub action: CheckAction,
    /// The arrays as typed; with `--scan` all.
    pub arrays: Vec<PathBuf>,
    /// `--check-time`
    pub seconds: Option<u64>,
    /// `--check-speed`, KiB per second.
    pub speed_kib: Option<u32>,
}
