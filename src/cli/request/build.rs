//! `--build`: arrays without metadata.

use std::path::PathBuf;

use super::{BitmapChoice, Common, MemberArg, SizeChoice};
use crate::level::Level;
use crate::units::Sectors;

/// `--build`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildRequest {
    /// Options that every mode takes.
    pub common: Common,
    /// The array as typed.
    pub array: PathBuf,
    /// `--level`; `None` where it was not typed.
    pub level: Option<Level>,
    /// `--layout`, not yet looked up.
    pub layout: Option<String>,
    /// `--chunk`, `--rounding`
    pub chunk: Option<Sectors>,
    /// `--raid-devices`
    pub raid_devices: Option<u32>,
    /// `--size`
    pub size: Option<SizeChoice>,
    /// `--assume-clean`
    pub assume_clean: bool,
    /// `--bitmap`
    pub bitmap: Option<BitmapChoice>,
    /// `--bitmap-chunk`
    pub bitmap_chunk: Option<Sectors>,
    /// `--delay`, seconds
    pub delay: Option<u32>,
    /// `--write-behind`
    pub write_behind: Option<u32>,
    /// The members in order.
    pub members: Vec<MemberArg>,
}
