//! Options that name what to do with devices: misc and manage mode.

use std::ffi::OsStr;
use std::path::PathBuf;

use super::error::CliError;
use super::line::Line;
use super::mode::Mode;
use super::request::CheckAction;
use super::table::{self, Id};
use super::token::{Spelled, text};
use super::words;

impl Line {
    pub(super) fn operations(&mut self, id: Id, spelled: Spelled) -> Result<bool, CliError> {
        use Id::{
            Add, AddJournal, AddSpare, Assemble, AutoDetect, Build, ClusterConfirm, Create, Detail, DetailPlatform,
            EnsureAbsent, Examine, ExamineBadblocks, ExamineBitmap, Fail, Grow, Health, Incremental, Manage, Misc,
            Monitor, Query, ReAdd, Readonly, Readwrite, Remove, Replace, Report, Run, Sparc22, Stop, Wait, WaitClean,
            With, ZeroSuperblock,
        };
        match (id, self.mode) {
            (Manage | Misc | Assemble | Build | Create | Monitor | Grow | Incremental | AutoDetect, _) => {}
            (Examine, _) => self.examine(spelled)?,
            (
                Query | Detail | DetailPlatform | EnsureAbsent | Health | Report | ExamineBitmap | ExamineBadblocks
                | ZeroSuperblock | Wait | WaitClean,
                _,
            )
            | (Run | Stop | Readonly | Readwrite, Some(Mode::Misc)) => self.misc_op(id, spelled)?,
            (Run | Stop, Some(Mode::Manage)) => self.run_stop(id)?,
            (Readonly | Readwrite, Some(Mode::Manage)) => {
                self.read_mode = Some(id);
                if id == Readwrite {
                    self.write_mostly = Some(false);
                }
            }
            (Run, _) => self.common.run = true,
            (Readonly, _) => self.common.readonly = true,
            (Add | AddSpare | AddJournal | ReAdd | Remove | Fail | Replace | ClusterConfirm, _) => {
                self.op = Some((id, spelled));
            }
            (With, _) if self.op.is_none_or(|op| op.0 != Replace) => {
                return Err(CliError::new("--with must follow --replace"));
            }
            (With, _) => self.op = Some((id, spelled)),
            (Sparc22, _) if self.op.is_none_or(|op| op.0 != Examine) => {
                return Err(CliError::new("--sparc2.2 only allowed with --examine"));
            }
            (Sparc22, _) => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// `--examine` stands alone, but may follow `--query`.
    fn examine(&mut self, spelled: Spelled) -> Result<(), CliError> {
        if let Some((before, typed)) = self.op.filter(|op| !matches!(op.0, Id::Examine | Id::Query)) {
            let has_letter = before != Id::Wait || matches!(typed, Spelled::Short(_));
            let letter = table::letter_of(before).filter(|_| has_letter).map(|c| format!("-{c}"));
            return Err(cannot_examine(letter.as_deref().unwrap_or("previous option")));
        }
        self.op = Some((Id::Examine, spelled));
        Ok(())
    }

    fn misc_op(&mut self, id: Id, spelled: Spelled) -> Result<(), CliError> {
        if self.op.is_some_and(|op| op.0 == Id::Examine) {
            return Err(cannot_examine(&spelled.to_string()));
        }
        self.op = Some((id, spelled));
        Ok(())
    }

    fn run_stop(&mut self, id: Id) -> Result<(), CliError> {
        match (self.run_stop, id) {
            (Some(Id::Stop), Id::Run) => Err(CliError::new("Cannot both Stop and Run an array")),
            (Some(Id::Run), Id::Stop) => Err(CliError::new("Cannot both Run and Stop an array")),
            _ => {
                self.run_stop = Some(id);
                Ok(())
            }
        }
    }

    pub(super) fn operations_with_value(&mut self, id: Id, spelled: Spelled, value: &OsStr) -> Result<bool, CliError> {
        let word = text(value);
        match id {
            Id::KillSubarray | Id::UpdateSubarray => {
                self.misc_op(id, spelled)?;
                if self.subarray.is_some() {
                    return Err(CliError::new("subarray can only be specified once"));
                }
                self.subarray = Some(word);
            }
            Id::UdevRules => {
                if self.op.is_some() {
                    return Err(CliError::new("--udev-rules must be the only option."));
                }
                self.op = Some((id, spelled));
                self.udev_rules = Some((!value.is_empty()).then(|| PathBuf::from(value)));
            }
            Id::Dump | Id::Restore => {
                self.misc_op(id, spelled)?;
                if let Some(first) = &self.dump {
                    let first = first.display();
                    let line = format!("dump/restore directory specified twice: {first} and {word}");
                    return Err(CliError::new(line));
                }
                self.dump = Some(PathBuf::from(value));
            }
            Id::Check => {
                self.misc_op(id, spelled)?;
                let bad = || CliError::new("--check must be one of start, continue, stop, status");
                self.check = Some(CheckAction::parse(&word).ok_or_else(bad)?);
            }
            Id::CheckTime => {
                let bad = || CliError::new(format!("invalid check-time: {word}"));
                self.check_seconds = Some(words::seconds(&word).ok_or_else(bad)?);
            }
            Id::CheckSpeed => {
                let bad = || CliError::new(format!("invalid check-speed: {word}"));
                self.check_speed = Some(words::int_from(&word, 1).ok_or_else(bad)?);
            }
            Id::RestoreSaved => {
                self.misc_op(id, spelled)?;
                if self.restore_saved.is_some() {
                    return Err(CliError::new("--restore-saved can only be given once"));
                }
                self.restore_saved = Some(PathBuf::from(value));
            }
            Id::Action => {
                if self.sync_action.is_some() {
                    return Err(CliError::new("Only one --action can be specified"));
                }
                if !["idle", "frozen", "check", "repair"].contains(&word.as_str()) {
                    return Err(CliError::new("action must be one of idle, frozen, check, repair"));
                }
                self.misc_op(id, spelled)?;
                self.sync_action = Some(word);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// `--update=WORD`: which words are fine depends on the mode.
    pub(super) fn update(&mut self, word: String) -> Result<(), CliError> {
        let (words, kind): (&[&str], &str) = match self.mode {
            Some(Mode::Misc) if self.subarray.is_none() => {
                return Err(CliError::new("Only subarrays can be updated in misc mode"));
            }
            Some(Mode::Manage) if self.op.is_none_or(|op| op.0 != Id::ReAdd) => {
                return Err(CliError::new("--update in Manage mode only allowed with --re-add.").failed());
            }
            Some(Mode::Misc) if self.op.is_some_and(|op| op.0 == Id::UpdateSubarray) => {
                (words::SUBARRAY_UPDATES, "update-subarray")
            }
            Some(Mode::Manage) => (words::RE_ADD_UPDATES, "re-add"),
            _ => (words::UPDATES, "update"),
        };
        if let Some(first) = &self.update {
            let line = format!("Can only update one aspect of superblock, both {first} and {word} given.");
            return Err(CliError::new(line));
        }
        let ours = self.mode == Some(Mode::Assemble) && words::OUR_UPDATES.contains(&word.as_str());
        if words.contains(&word.as_str()) || ours {
            self.update = Some(word);
            return Ok(());
        }
        if kind == "re-add" {
            let line = "only 'devicesize', 'bbl', 'no-bbl', and 'force-no-bbl' can be updated with --re-add";
            return Err(CliError::new(line));
        }
        let list = words::update_list(words);
        let suffix = if kind == "update" { "" } else { " for update-subarray" };
        if word == "?" || word == "help" {
            return Err(CliError::shown(format!("Valid --update options{suffix} are:\n{list}\n")));
        }
        let head = format!("'--update={word}' is invalid {kind} option. Valid --update options{suffix} are:");
        Err(CliError::new(format!("{head}\n{list}")))
    }
}

/// `--examine` behind or in front of another operation.
fn cannot_examine(other: &str) -> CliError {
    CliError::new(format!("--examine/-E cannot be given with {other}"))
}
