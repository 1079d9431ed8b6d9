//! Everything a command line said, collected in the order typed and checked word by word.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::level::Level;
use crate::units::Sectors;
use crate::uuid::Uuid;

use super::error::CliError;
use super::mode::Mode;
use super::request::{BitmapChoice, CheckAction, Common, ConsistencyPolicy, DataOffset, SizeChoice, SuperMinor};
use super::table::{Id, Opt};
use super::token::{Spelled, Token, Tokens};

/// `--write-behind` without a number: the manual page's default.
const WRITE_BEHIND: &str = "256";

/// A device name, with what stood before it.
#[derive(Debug, Clone)]
pub struct Device {
    /// As typed.
    pub word: OsString,
    /// The operation it is for (misc and manage mode).
    pub op: Option<Id>,
    /// `--write-mostly` stood before it; manage mode has `--readwrite` for the contrary.
    pub write_mostly: Option<bool>,
    /// `--failfast` stood before it, or `--nofailfast`.
    pub failfast: Option<bool>,
}

/// The collected line. Fields are what the options of the same name gave.
#[derive(Debug, Default)]
#[allow(missing_docs)]
pub struct Line {
    pub mode: Option<Mode>,
    pub common: Common,
    pub devices: Vec<Device>,
    /// The operation for devices that follow, and how it was spelled.
    pub op: Option<(Id, Spelled)>,
    pub help: bool,
    pub help_options: bool,
    pub level: Option<Level>,
    pub layout: Option<String>,
    pub chunk: Option<Sectors>,
    pub raid_devices: Option<u32>,
    pub spare_devices: Option<u32>,
    pub size: Option<SizeChoice>,
    pub array_size: Option<SizeChoice>,
    pub data_offset: Option<DataOffset>,
    pub name: Option<String>,
    pub uuid: Option<Uuid>,
    pub assume_clean: bool,
    pub bitmap: Option<BitmapChoice>,
    pub bitmap_chunk: Option<Sectors>,
    pub delay: Option<u32>,
    pub policy: Option<ConsistencyPolicy>,
    /// The journal, and how many devices stand before it.
    pub journal: Option<(Device, usize)>,
    pub write_behind: Option<u32>,
    pub write_zeroes: bool,
    pub logical_block_size: Option<u32>,
    pub compat_kernel: Option<(u32, u32)>,
    pub nodes: Option<u32>,
    pub home_cluster: Option<String>,
    pub write_mostly: Option<bool>,
    pub failfast: Option<bool>,
    pub any_sector_size: bool,
    pub super_minor: Option<SuperMinor>,
    pub update: Option<String>,
    pub no_degraded: bool,
    pub backup_file: Option<PathBuf>,
    pub invalid_backup: bool,
    /// `--continue` of grow mode.
    pub goes_on: bool,
    /// `--revert`
    pub reverts: bool,
    pub check_first: bool,
    /// `--bitmap-chunk=auto`
    pub finest_chunk: bool,
    pub bitmap_idle: Option<u32>,
    pub proactive_sync: bool,
    pub map: bool,
    pub ranges: bool,
    /// Seconds between two looks.
    pub watch: Option<u32>,
    pub subarray: Option<String>,
    pub dump: Option<PathBuf>,
    pub restore_saved: Option<PathBuf>,
    pub sync_action: Option<String>,
    pub udev_rules: Option<Option<PathBuf>>,
    /// `--run` or `--stop` of the whole array in manage mode.
    pub run_stop: Option<Id>,
    /// `--readonly` or `--readwrite` of the whole array in manage mode.
    pub read_mode: Option<Id>,
    pub rebuild_map: bool,
    pub path: Option<String>,
    pub mail: Option<String>,
    pub program: Option<String>,
    pub pid_file: Option<PathBuf>,
    pub increment: Option<u32>,
    pub daemonise: bool,
    pub oneshot: bool,
    pub syslog: bool,
    pub no_sharing: bool,
    pub metrics: Option<PathBuf>,
    pub check: Option<CheckAction>,
    pub check_seconds: Option<u64>,
    pub check_speed: Option<u32>,
    /// Options of ours: they may stand before the mode is known, and so are checked against it at the end.
    pub ours: Vec<&'static Opt>,
    /// The first option that is not in this version yet.
    pub later: Option<&'static Opt>,
}

impl Line {
    /// Reads the words behind the program's name.
    ///
    /// # Errors
    /// The first thing that is wrong, with what was already noted in front of it.
    pub fn collect(words: &[OsString]) -> Result<Line, CliError> {
        let mut line = Line::default();
        match line.walk(&mut Tokens::new(words)) {
            Ok(()) => Ok(line),
            Err(error) => Err(line.with_notes(error)),
        }
    }

    /// Puts the notes so far in front of an error's text.
    #[must_use]
    pub fn with_notes(&self, mut error: CliError) -> CliError {
        let lines = |stdout: bool| -> String {
            self.common.notes.iter().filter(|n| n.stdout == stdout).map(|n| format!("mdadm: {}\n", n.text)).collect()
        };
        error.text.insert_str(0, &lines(false));
        error.out.insert_str(0, &lines(true));
        error
    }

    fn walk(&mut self, tokens: &mut Tokens) -> Result<(), CliError> {
        while let Some(token) = tokens.next(self.mode)? {
            match token {
                Token::Device(word) => self.device(word)?,
                Token::Option { spelled, opt, value } => {
                    let opt = self.gate(spelled, opt)?;
                    if opt.ours {
                        self.ours.push(opt);
                    }
                    if opt.later {
                        self.later.get_or_insert(opt);
                    }
                    if opt.id == Id::Version {
                        return Err(super::help::version());
                    }
                    let without = if opt.id == Id::WriteBehind { WRITE_BEHIND } else { "" };
                    self.apply(opt.id, spelled, value.unwrap_or_else(|| without.into()))?;
                }
            }
        }
        Ok(())
    }

    fn device(&mut self, word: OsString) -> Result<(), CliError> {
        if self.mode.is_none() && !self.devices.is_empty() {
            return Err(CliError::new(format!(
                "An option must be given to set the mode before a second device\n       ({}) is listed",
                word.to_string_lossy()
            )));
        }
        if self.mode == Some(Mode::Manage) && !self.devices.is_empty() && self.op.is_none() {
            let word = word.to_string_lossy();
            return Err(CliError::new(format!("Must give one of -a/-r/-f for subsequent devices at {word}")));
        }
        if self.mode == Some(Mode::Grow) && !self.devices.is_empty() && self.op.is_none() {
            let word = word.to_string_lossy();
            return Err(CliError::new(format!("Must give -a/--add for devices to add: {word}")));
        }
        let op = self.op.map(|op| op.0);
        self.devices.push(Device { word, op, write_mostly: self.write_mostly, failfast: self.failfast });
        Ok(())
    }

    /// Decides the mode, or refuses what does not belong to it.
    fn gate(&mut self, spelled: Spelled, opt: Option<&'static Opt>) -> Result<&'static Opt, CliError> {
        use super::table::Sets;
        match (self.mode, opt.map(|o| o.sets)) {
            (Some(mode), Some(Sets::Always(new))) if new != mode => {
                return Err(CliError::new(format!(
                    "{spelled} would set mdadm mode to \"{new}\", but it is already set to \"{mode}\"."
                )));
            }
            (None, Some(Sets::Always(new) | Sets::First(new))) => self.set_mode(new)?,
            (None, Some(Sets::Nothing) | None) => {
                return Err(CliError::new(format!(
                    "{spelled} does not set the mode, and so cannot be the first option."
                )));
            }
            _ => {}
        }
        match (opt, self.mode) {
            (Some(opt), Some(mode)) if !opt.modes.has(mode) => Err(not_valid(spelled, mode)),
            (None, Some(mode)) => Err(not_valid(spelled, mode)),
            (Some(opt), _) => Ok(opt),
            (None, None) => Err(CliError::usage()),
        }
    }

    fn set_mode(&mut self, new: Mode) -> Result<(), CliError> {
        if let (Mode::Misc, Some(first)) = (new, self.devices.first()) {
            return Err(CliError::new(format!(
                "No action given for {} in --misc mode\n       Action options must come before device names",
                first.word.to_string_lossy()
            )));
        }
        self.mode = Some(new);
        Ok(())
    }
}

/// The refusal of an option that does not belong to the mode.
#[must_use]
pub fn not_valid(spelled: Spelled, mode: Mode) -> CliError {
    // The reference has a stray colon in front of the long form; scripts may match either.
    let colon = if matches!(spelled, Spelled::Long(_)) { ":" } else { "" };
    CliError::new(format!("{colon}option {spelled} not valid in {mode} mode"))
}
