//! Options of assemble, grow, misc and monitor mode.

use std::ffi::OsStr;
use std::path::PathBuf;

use super::super::error::CliError;
use super::super::line::Line;
use super::super::mode::Mode;
use super::super::request::SuperMinor;
use super::super::table::Id;
use super::super::token::text;
use super::super::words;
use super::valid;

/// `--watch` without a number: seconds.
const WATCH_SECONDS: u32 = 2;

impl Line {
    pub(super) fn assemble_words(&mut self, id: Id, value: &OsStr) -> Result<bool, CliError> {
        let word = text(value);
        match id {
            Id::SuperMinor => {
                if self.super_minor.is_some() {
                    return Err(CliError::new(format!("super-minor cannot be set twice.  Second value: {word}.")));
                }
                let bad = || CliError::new(format!("Bad super-minor number: {word}."));
                self.super_minor = Some(match word.as_str() {
                    "dev" => SuperMinor::Dev,
                    _ => SuperMinor::Minor(words::int_from(&word, 0).ok_or_else(bad)?),
                });
            }
            Id::Update => self.update(word)?,
            Id::NoDegraded => {
                if self.mode == Some(Mode::Incremental) {
                    self.note("--no-degraded is deprecated in Incremental mode");
                }
                self.no_degraded = true;
            }
            Id::BackupFile => {
                if self.backup_file.is_some() {
                    return Err(CliError::new(format!("backup file already specified, rejecting {word}")));
                }
                self.backup_file = Some(PathBuf::from(value));
            }
            Id::InvalidBackup => self.invalid_backup = true,
            Id::Continue => self.goes_on = true,
            Id::Revert => self.reverts = true,
            Id::CheckFirst => self.check_first = true,
            Id::Path => self.path = Some(word),
            Id::RebuildMap => self.rebuild_map = true,
            Id::Map => self.map = true,
            Id::Ranges => self.ranges = true,
            Id::Watch if word.is_empty() => self.watch = Some(WATCH_SECONDS),
            Id::Watch => self.watch = Some(valid(words::int_from(&word, 1), "watch", &word)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    pub(super) fn monitor_words(&mut self, id: Id, value: &OsStr) -> Result<bool, CliError> {
        let word = text(value);
        match id {
            Id::Mail if self.mail.is_some() => self.note(format!("only specify one mailaddress. {word} ignored.")),
            Id::Mail => self.mail = Some(word),
            Id::Program if self.program.is_some() => {
                self.note(format!("only specify one alter program. {word} ignored."));
            }
            Id::Program => self.program = Some(word),
            Id::PidFile if self.pid_file.is_some() => self.note(format!("only specify one pid file. {word} ignored.")),
            Id::PidFile => self.pid_file = Some(PathBuf::from(value)),
            Id::Increment => {
                let count = words::int_from(&word, 1).filter(|n| *n < 100);
                self.increment = Some(count.ok_or_else(|| {
                    CliError::new("please specify positive integer between 1 and 99 as rebuild increments.")
                })?);
            }
            Id::Daemonise => self.daemonise = true,
            Id::Oneshot => self.oneshot = true,
            Id::Syslog => self.syslog = true,
            Id::NoSharing => self.no_sharing = true,
            Id::Metrics => self.metrics = Some(PathBuf::from(value)),
            _ => return Ok(false),
        }
        Ok(true)
    }
}
