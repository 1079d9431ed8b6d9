//! `--grow`: changes to a running array.

use std::path::PathBuf;

use super::{BitmapChoice, Common, ConsistencyPolicy, DataOffset, SizeChoice};
use crate::level::Level;
use crate::units::Sectors;

/// `--grow`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrowRequest {
    /// Options that every mode takes.
    pub common: Common,
    /// The array as typed.
    pub array: PathBuf,
    /// Devices behind `--add`.
    pub add: Vec<PathBuf>,
    /// `--level`
    pub level: Option<Level>,
    /// `--layout`, not yet looked up.
    pub layout: Option<String>,
    /// `--chunk`
    pub chunk: Option<Sectors>,
    /// `--raid-devices`
    pub raid_devices: Option<u32>,
    /// `--size`, of each member
    pub size: Option<SizeChoice>,
    /// `--array-size`
    pub array_size: Option<SizeChoice>,
    /// `--data-offset`
    pub data_offset: Option<DataOffset>,
    /// `--assume-clean`
    pub assume_clean: bool,
    /// `--bitmap`
    pub bitmap: Option<BitmapChoice>,
    /// `--bitmap-chunk`
    pub bitmap_chunk: Option<Sectors>,
    /// `--bitmap-chunk=auto`: the finest that there is room for
    pub finest_chunk: bool,
    /// `--bitmap-idle`, seconds (ours)
    pub bitmap_idle: Option<u32>,
    /// `--proactive-sync` (ours)
    pub proactive_sync: bool,
    /// `--delay`, seconds
    pub delay: Option<u32>,
    /// `--write-behind`
    pub write_behind: Option<u32>,
    /// `--nodes`
    pub nodes: Option<u32>,
    /// `--consistency-policy`
    pub policy: Option<ConsistencyPolicy>,
    /// `--backup-file`
    pub backup_file: Option<PathBuf>,
    /// `--continue`
    pub goes_on: bool,
    /// `--check-first` (ours): members are read before a reshape
    pub check_first: bool,
    /// `--revert` (ours)
    pub reverts: bool,
}
