//! What each option does to the collected line. One arm per option; messages are the reference's.

mod later;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::layout;
use crate::level::Level;
use crate::metadata::Metadata;
use crate::units::Sectors;
use crate::uuid::Uuid;

use super::error::CliError;
use super::line::{Device, Line};
use super::mode::Mode;
use super::request::{BitmapChoice, DataOffset, Note, SavedMetadata, SizeChoice};
use super::table::Id;
use super::token::{Spelled, text};
use super::words;

/// Bytes that a bitmap superblock has for the cluster's name.
const LONGEST_CLUSTER: usize = 64;

type Done = Result<(), CliError>;

impl Line {
    /// Does what one option says. The mode has been checked.
    ///
    /// # Errors
    /// A bad value, or an option given twice where only one can hold.
    pub fn apply(&mut self, id: Id, spelled: Spelled, value: OsString) -> Done {
        let done = self.common(id, &value)?
            || self.geometry(id, &value)?
            || self.array_words(id, &value)?
            || self.assemble_words(id, &value)?
            || self.operations(id, spelled)?
            || self.operations_with_value(id, spelled, &value)?
            || self.monitor_words(id, &value)?;
        debug_assert!(done || matches!(id, Id::Version | Id::Offroot), "{id:?} has no effect");
        Ok(())
    }

    fn note(&mut self, text: impl Into<String>) {
        self.common.notes.push(Note { stdout: false, text: text.into() });
    }

    fn common(&mut self, id: Id, value: &OsStr) -> Result<bool, CliError> {
        let c = &mut self.common;
        match id {
            Id::Help => self.help = true,
            Id::HelpOptions => self.help_options = true,
            Id::Verbose => c.verbose = c.verbose.saturating_add(1),
            Id::Quiet => c.verbose = c.verbose.saturating_sub(1),
            Id::Brief => c.brief = c.brief.saturating_add(1),
            Id::Export => c.export = true,
            Id::NoDevices => c.no_devices = true,
            Id::Force => c.force = c.force.saturating_add(1),
            Id::Scan => c.scan = true,
            Id::Test => c.test = true,
            Id::Json => c.json = true,
            Id::Plan => c.plan = true,
            Id::Ensure => c.ensure = true,
            Id::Offline => c.offline = true,
            Id::SavedMetadata => c.saved_metadata = saved_metadata(value)?,
            Id::HomeHost => c.homehost = Some(text(value)),
            Id::Prefer => c.prefer = Some(text(value)),
            Id::Metadata => self.metadata(&text(value))?,
            Id::Config => {
                let word = text(value);
                if c.config.is_some() {
                    return Err(CliError::new(format!("configfile cannot be set twice.  Second value is {word}.")));
                }
                c.config = Some(word);
            }
            Id::Auto => c.notes.push(Note {
                stdout: true,
                text: "--auto is deprecated and will be removed in future releases.".to_owned(),
            }),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn metadata(&mut self, word: &str) -> Done {
        if self.common.metadata.is_some() {
            return Err(CliError::new("metadata information already given"));
        }
        let found = Metadata::parse(word);
        let found = found.ok_or_else(|| CliError::new(format!("unrecognised metadata identifier: {word}")))?;
        self.common.metadata = Some(found);
        Ok(())
    }

    fn geometry(&mut self, id: Id, value: &OsStr) -> Result<bool, CliError> {
        let word = text(value);
        match id {
            Id::Level => self.level(&word)?,
            Id::Layout => self.layout(word)?,
            Id::Chunk => {
                if self.chunk.is_some() {
                    let line = format!("chunk/rounding may only be specified once. Second value is {word}.");
                    return Err(CliError::new(line));
                }
                self.chunk = Some(valid(words::chunk(&word), "chunk/rounding value", &word)?);
            }
            Id::RaidDevices => {
                if let Some(first) = self.raid_devices {
                    return Err(CliError::new(format!("raid-devices set twice: {first} and {word}")));
                }
                self.raid_devices = Some(valid(words::int_from(&word, 1), "number of raid devices", &word)?);
            }
            Id::SpareDevices => self.spare_devices(&word)?,
            Id::Size => {
                once(self.size.is_some(), "size may only be specified once.", &word)?;
                self.size = Some(size_choice(&word, words::member_size, "size")?);
            }
            Id::ArraySize => {
                once(self.array_size.is_some(), "array-size may only be specified once.", &word)?;
                self.array_size = Some(size_choice(&word, words::size, "array size")?);
            }
            Id::DataOffset => {
                once(self.data_offset.is_some(), "data-offset may only be specified one.", &word)?;
                self.data_offset = Some(match word.as_str() {
                    "variable" if self.mode == Some(Mode::Create) => DataOffset::Variable,
                    _ => DataOffset::Sectors(valid(words::size(&word), "data-offset", &word)?),
                });
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn level(&mut self, word: &str) -> Done {
        if self.level.is_some() {
            return Err(CliError::new(format!("raid level may only be set once.  Second value is {word}.")));
        }
        let level = valid(words::level(word), "raid level", word)?;
        if self.mode == Some(Mode::Build) && (level.is_parity() || level == Level::Container) {
            return Err(CliError::new(format!("Raid level {word} not permitted with --build.")));
        }
        if self.spare_devices.is_some_and(|n| n > 0) && !takes_spares(level) {
            return Err(CliError::new(format!("raid level {word} is incompatible with spare-devices setting.")));
        }
        self.level = Some(level);
        Ok(())
    }

    fn spare_devices(&mut self, word: &str) -> Done {
        if let Some(first) = self.spare_devices.filter(|n| *n > 0) {
            return Err(CliError::new(format!("spare-devices set twice: {first} and {word}")));
        }
        let count = valid(words::int_from(word, 0), "number of spare-devices", word)?;
        if let Some(level) = self.level.filter(|l| count > 0 && !takes_spares(*l)) {
            let raw = level.raw();
            return Err(CliError::new(format!("spare-devices setting is incompatible with raid level {raw}")));
        }
        self.spare_devices = Some(count);
        Ok(())
    }

    fn layout(&mut self, word: String) -> Done {
        if self.layout.is_some() {
            return Err(CliError::new(format!("layout may only be sent once.  Second value was {word}")));
        }
        if self.mode != Some(Mode::Grow) {
            let Some(level) = self.level else {
                return Err(CliError::new("raid level must be given before layout."));
            };
            if layout::parse(level, &word).is_none() {
                return Err(CliError::new(bad_layout(level, &word)));
            }
        }
        self.layout = Some(word);
        Ok(())
    }

    fn array_words(&mut self, id: Id, value: &OsStr) -> Result<bool, CliError> {
        let word = text(value);
        match id {
            Id::AssumeClean => self.assume_clean = true,
            Id::WriteZeroes => self.write_zeroes = true,
            Id::WriteMostly => self.write_mostly = Some(true),
            Id::AllowSectorSizeChange => self.any_sector_size = true,
            Id::Failfast => self.failfast = Some(true),
            Id::NoFailfast => self.failfast = Some(false),
            Id::Bitmap => self.bitmap(value)?,
            Id::BitmapChunk if word == "auto" => self.finest_chunk = true,
            Id::BitmapIdle => self.bitmap_idle = Some(valid(words::int_from(&word, 1), "bitmap-idle", &word)?),
            Id::ProactiveSync => self.proactive_sync = true,
            Id::BitmapChunk => {
                self.bitmap_chunk = Some(valid(words::bitmap_chunk(&word), "bitmap chunksize", &word)?);
            }
            Id::WriteBehind => self.write_behind(value)?,
            Id::Nodes => {
                let bad = || CliError::new(format!("clustered array needs two nodes at least: {word}"));
                self.nodes = Some(words::int_from(&word, 2).ok_or_else(bad)?);
            }
            Id::HomeCluster if word.len() > LONGEST_CLUSTER => return Err(CliError::new("Cluster name too big.")),
            Id::HomeCluster => self.home_cluster = Some(word),
            Id::WriteJournal if self.journal.is_some() => {
                self.note("Please specify only one journal device for the array.");
                self.note(format!("Ignoring --write-journal {word}..."));
            }
            Id::WriteJournal => {
                let device = Device { word: value.to_owned(), op: None, write_mostly: None, failfast: None };
                self.journal = Some((device, self.devices.len()));
            }
            Id::ConsistencyPolicy => {
                let bad = || CliError::new(format!("Invalid consistency policy: {word}"));
                self.policy = Some(words::policy(&word).ok_or_else(bad)?);
            }
            Id::LogicalBlockSize => self.logical_block_size(&word)?,
            Id::CompatKernel => {
                self.compat_kernel = Some(words::kernel(&word).ok_or_else(|| {
                    CliError::new(format!("--compat-kernel takes a version of Linux as in 6.1, not {word}"))
                })?)
            }
            Id::Uuid => {
                if self.uuid.is_some() {
                    return Err(CliError::new(format!("uuid cannot be set twice.  Second value {word}.")));
                }
                self.uuid = Some(Uuid::parse(&word).ok_or_else(|| CliError::new(format!("Bad uuid: {word}")))?);
            }
            Id::Name => self.name(word)?,
            Id::Delay => self.delay(&word)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn bitmap(&mut self, value: &OsStr) -> Done {
        let word = text(value);
        if self.bitmap.is_some() {
            return Err(CliError::new(format!("--bitmap cannot be set twice. Second value: \"{word}\".")));
        }
        self.bitmap = Some(match word.as_str() {
            "lockless" => BitmapChoice::Lockless,
            // Grow takes bitmap files on and off running arrays: not there, as in the reference.
            _ if word.contains('/') && self.mode != Some(Mode::Grow) => BitmapChoice::File(PathBuf::from(value)),
            _ if self.mode == Some(Mode::Assemble) => {
                return Err(CliError::new(format!("bitmap file is not supported {word}")));
            }
            "none" => BitmapChoice::None,
            "internal" => BitmapChoice::Internal,
            "clustered" => BitmapChoice::Clustered,
            _ if word.contains('/') => {
                return Err(CliError::new("Custom write-intent bitmap file option is not supported."));
            }
            _ => {
                return Err(CliError::new("--bitmap value must be 'internal', 'clustered' or 'none'")
                    .also(format!("Current value is \"{word}\"")));
            }
        });
        Ok(())
    }

    fn write_behind(&mut self, value: &OsStr) -> Done {
        let word = text(value);
        let count = words::int_from(&word, 0).filter(|n| *n <= 16383);
        self.write_behind = Some(count.ok_or_else(|| {
            let line = format!("Invalid value for maximum outstanding write-behind writes: {word}.");
            CliError::new(line + "\n\tMust be between 0 and 16383.")
        })?);
        Ok(())
    }

    fn logical_block_size(&mut self, word: &str) -> Done {
        let Some(number) = words::number(word) else {
            return Err(CliError::new(format!("logical block size [{word}] can't be converted to an integer")));
        };
        let size = u32::try_from(number).ok().filter(|n| *n > 0);
        self.logical_block_size = Some(size.ok_or_else(|| {
            CliError::new(format!("The range of logical-block-size is (0, 4294967295], current is {number}"))
        })?);
        Ok(())
    }

    fn name(&mut self, word: String) -> Done {
        /// What a v1 superblock holds.
        const LONGEST: usize = 32;
        if self.mode == Some(Mode::Misc) && self.subarray.is_none() {
            return Err(CliError::new("-N/--name only valid with --update-subarray in misc mode"));
        }
        let reason = if self.name.is_some() {
            "Already defined."
        } else if word.is_empty() || word.len() > LONGEST {
            "Too long or empty."
        } else {
            self.name = Some(word);
            return Ok(());
        };
        Err(CliError::new(format!("Value \"{word}\" cannot be set as name. Reason: {reason}")))
    }

    fn delay(&mut self, word: &str) -> Done {
        if self.delay.is_some() {
            self.note(format!("only specify delay once. {word} ignored."));
            return Ok(());
        }
        self.delay = Some(valid(words::int_from(word, 1), "delay", word)?);
        Ok(())
    }
}

fn saved_metadata(value: &OsStr) -> Result<SavedMetadata, CliError> {
    match value {
        v if v == "none" => Ok(SavedMetadata::Off),
        v if v.is_empty() => Err(CliError::new("--saved-metadata needs a directory, or none")),
        v => Ok(SavedMetadata::Dir(PathBuf::from(v))),
    }
}

/// The value, or `invalid WHAT: WORD`.
fn valid<T>(value: Option<T>, what: &str, word: &str) -> Result<T, CliError> {
    value.ok_or_else(|| CliError::new(format!("invalid {what}: {word}")))
}

fn once(given: bool, message: &str, word: &str) -> Done {
    if given { Err(CliError::new(format!("{message} Second value is {word}."))) } else { Ok(()) }
}

fn size_choice(word: &str, parse: fn(&str) -> Option<Sectors>, what: &str) -> Result<SizeChoice, CliError> {
    if word == "max" { Ok(SizeChoice::Max) } else { valid(parse(word), what, word).map(SizeChoice::Sectors) }
}

fn takes_spares(level: Level) -> bool {
    !matches!(level, Level::Linear | Level::Raid0)
}

fn bad_layout(level: Level, word: &str) -> String {
    match level {
        Level::Raid10 => {
            format!("layout for raid10 must be 'nNN', 'oNN' or 'fNN' where NN is a number, not {word}")
        }
        Level::Raid0 | Level::Raid5 | Level::Raid6 | Level::Faulty => {
            format!("layout {word} not understood for {}.", level.name())
        }
        _ => format!("layout not meaningful for {} arrays.", level.name()),
    }
}
