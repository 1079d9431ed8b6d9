//! Misc mode.

use std::path::PathBuf;

use super::Common;

/// One operation of misc mode on one device, in the order typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MiscAction {
    /// A bare device name with `--misc` or `--query`
    Query,
    /// `--detail`
    Detail,
    /// No operation: the device must be an array, and that is all
    Nothing,
    /// `--detail-platform`
    DetailPlatform,
    /// `--examine`
    Examine,
    /// `--examine-bitmap`
    ExamineBitmap,
    /// `--examine-badblocks`
    ExamineBadblocks,
    /// `--zero-superblock`
    ZeroSuperblock,
    /// `--run`
    Run,
    /// `--stop`
    Stop,
    /// `--readonly`
    Readonly,
    /// `--readwrite`
    Readwrite,
    /// `--action=WORD`; the word is in [`MiscRequest::sync_action`]
    SyncAction,
    /// `--wait`
    Wait,
    /// `--wait-clean`
    WaitClean,
    /// `--dump=DIR`; the folder is in [`MiscRequest::dump`]
    Dump,
    /// `--restore=DIR`, likewise
    Restore,
    /// `--udev-rules`; the file is in [`MiscRequest::udev_rules`]
    UdevRules,
    /// `--kill-subarray`
    KillSubarray,
    /// `--update-subarray`
    UpdateSubarray,
}

/// Misc mode, and manage mode as far as it acts on whole arrays (`mdadm --stop /dev/md0`, `mdadm /dev/md0 --run`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MiscRequest {
    /// Options that every mode takes.
    pub common: Common,
    /// What to do with which device, in order.
    pub items: Vec<(MiscAction, PathBuf)>,
    /// The action as last typed; what to do where there is no device (`--detail --scan`, `--examine --scan`,
    /// `--stop --scan`).
    pub action: Option<MiscAction>,
    /// The word of `--action`.
    pub sync_action: Option<String>,
    /// Folder of `--dump` and `--restore`, or the file of the latter.
    pub dump: Option<PathBuf>,
    /// `--map` (ours)
    pub map: bool,
    /// `--ranges` (ours)
    pub ranges: bool,
    /// `--watch` (ours): seconds between two looks.
    pub watch: Option<u32>,
    /// File of `--udev-rules=FILE`.
    pub udev_rules: Option<PathBuf>,
    /// `--update` with `--update-subarray`.
    pub update: Option<String>,
    /// A device name stood alone, without any option that names a mode: the reference then answers in fewer words.
    pub bare: bool,
    /// Manage mode (`mdadm --manage /dev/md0 --stop`).
    pub manage: bool,
}
