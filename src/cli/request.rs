//! What was asked for: one typed request per verb, made from the words of the command line.
//!
//! A request holds what was typed, checked for form only (numbers are numbers, words are words of their list).
//! Whether it makes sense for these devices is decided in `plan`.

mod build;
mod grow;
mod incremental;
mod manage;
mod misc;
mod monitor;

use std::path::PathBuf;

use crate::level::Level;
pub use crate::metadata::Metadata;
use crate::units::Sectors;
use crate::uuid::Uuid;

use super::mode::Mode;
pub use build::BuildRequest;
pub use grow::GrowRequest;
pub use incremental::IncrementalRequest;
pub use manage::{ManageItem, ManageOp, ManageRequest};
pub use misc::{MiscAction, MiscRequest};
pub use monitor::{CheckAction, CheckRequest, HealthRequest, MonitorRequest, ReportRequest};

/// Options that every mode takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Common {
    /// `-v` counted; `-q` lowers it below 0 (the reference adds and subtracts likewise).
    pub verbose: i32,
    /// `--brief` / `-b`, counted.
    pub brief: u8,
    /// `--export` / `-Y`.
    pub export: bool,
    /// `--json` (ours).
    pub json: bool,
    /// `--plan` (ours): show what would be done and touch nothing.
    pub plan: bool,
    /// `--offline` (ours): members may be plain files, no kernel is asked.
    pub offline: bool,
    /// `--force` / `-f`, counted.
    pub force: u8,
    /// `--run` / `-R`.
    pub run: bool,
    /// `--scan` / `-s`.
    pub scan: bool,
    /// `--test` / `-t`.
    pub test: bool,
    /// `--no-devices`.
    pub no_devices: bool,
    /// `--readonly` / `-o` as an option of create and assemble.
    pub readonly: bool,
    /// `--config` / `-c`.
    pub config: Option<String>,
    /// `--homehost`; the word `any` and `<ignore>` are kept as typed.
    pub homehost: Option<String>,
    /// `CREATE bbl=no` of the configuration: new members have no bad-block log.
    pub no_bbl: bool,
    /// `--prefer`.
    pub prefer: Option<String>,
    /// `--metadata` / `-e`, where it was typed.
    pub metadata: Option<Metadata>,
    /// It was not typed: it is the configuration's for new arrays.
    pub metadata_of_conf: bool,
    /// `--ensure` (ours): what is there already as asked for is left alone.
    pub ensure: bool,
    /// `--saved-metadata` (ours).
    pub saved_metadata: SavedMetadata,
    /// Remarks about the command line, to be printed before anything else is done.
    pub notes: Vec<Note>,
}

/// A remark about the command line that does not stop it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// On stdout (as the reference prints this one), else on stderr.
    pub stdout: bool,
    /// Without prefix and line end.
    pub text: String,
}

impl Common {
    /// `--quiet` outweighs `--verbose`.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.verbose < 0
    }
}

/// Where what is overwritten is saved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SavedMetadata {
    /// In the directory that is built in.
    #[default]
    Default,
    /// Nowhere.
    Off,
    /// In this directory.
    Dir(PathBuf),
}

/// A bitmap named by `--bitmap`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BitmapChoice {
    /// `none`
    None,
    /// `internal`
    Internal,
    /// `clustered`
    Clustered,
    /// `lockless`
    Lockless,
    /// A path with a slash: a bitmap file.
    File(PathBuf),
}

/// `--consistency-policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsistencyPolicy {
    /// resync
    Resync,
    /// bitmap
    Bitmap,
    /// journal
    Journal,
    /// ppl
    Ppl,
    /// none
    None,
    /// auto
    Auto,
}

impl ConsistencyPolicy {
    /// The word of the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            ConsistencyPolicy::Resync => "resync",
            ConsistencyPolicy::Bitmap => "bitmap",
            ConsistencyPolicy::Journal => "journal",
            ConsistencyPolicy::Ppl => "ppl",
            ConsistencyPolicy::None => "none",
            ConsistencyPolicy::Auto => "auto",
        }
    }
}

/// A device on the command line of create and build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberArg {
    /// The path; `None` for the word `missing`.
    pub path: Option<PathBuf>,
    /// `--write-mostly` stood before it.
    pub write_mostly: bool,
    /// `--failfast` stood before it.
    pub failfast: bool,
    /// Behind a colon, with `--data-offset=variable`.
    pub data_offset: Option<Sectors>,
}

/// `--size`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeChoice {
    /// `max`
    Max,
    /// A number of sectors per member.
    Sectors(Sectors),
}

/// `--data-offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataOffset {
    /// `variable`: each device carries its own behind a colon.
    Variable,
    /// The same on every member.
    Sectors(Sectors),
}

/// `--create`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateRequest {
    /// Options that every mode takes.
    pub common: Common,
    /// The array as typed: `/dev/md0`, `/dev/md/NAME`, `NAME`.
    pub array: PathBuf,
    /// `--level`; `None` where it was not typed.
    pub level: Option<Level>,
    /// `--layout`, not yet looked up: its words depend on the level.
    pub layout: Option<String>,
    /// `--chunk`
    pub chunk: Option<Sectors>,
    /// `--raid-devices`
    pub raid_devices: Option<u32>,
    /// `--spare-devices`
    pub spare_devices: u32,
    /// `--size`
    pub size: Option<SizeChoice>,
    /// `--data-offset`
    pub data_offset: Option<DataOffset>,
    /// `--name`
    pub name: Option<String>,
    /// `--uuid`
    pub uuid: Option<Uuid>,
    /// `--assume-clean`
    pub assume_clean: bool,
    /// `--bitmap`
    pub bitmap: Option<BitmapChoice>,
    /// `--bitmap-chunk`
    pub bitmap_chunk: Option<Sectors>,
    /// `--delay`, seconds
    pub delay: Option<u32>,
    /// `--consistency-policy`
    pub consistency_policy: Option<ConsistencyPolicy>,
    /// `--write-journal`, and its place in the list: so many members stand before it.
    pub write_journal: Option<(MemberArg, usize)>,
    /// `--write-behind`
    pub write_behind: Option<u32>,
    /// `--write-zeroes`
    pub write_zeroes: bool,
    /// `--logical-block-size`, bytes
    pub logical_block_size: Option<u32>,
    /// `--compat-kernel`: the oldest that is to assemble it
    pub compat_kernel: Option<(u32, u32)>,
    /// `--nodes`
    pub nodes: Option<u32>,
    /// `--home-cluster`
    pub home_cluster: Option<String>,
    /// `--bitmap-chunk=auto`: the finest chunk that there is room for
    pub finest_chunk: bool,
    /// The members in order.
    pub members: Vec<MemberArg>,
}

/// `--super-minor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SuperMinor {
    /// The minor number of the array device that is being assembled.
    Dev,
    /// This one.
    Minor(u32),
}

/// `--assemble`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssembleRequest {
    /// Options that every mode takes.
    pub common: Common,
    /// The array as typed; `None` with `--scan` and no device.
    pub array: Option<PathBuf>,
    /// Further devices.
    pub members: Vec<PathBuf>,
    /// `--uuid`
    pub uuid: Option<Uuid>,
    /// `--name`
    pub name: Option<String>,
    /// `--super-minor`
    pub super_minor: Option<SuperMinor>,
    /// `--update=WORD`, checked against the reference's list.
    pub update: Option<String>,
    /// `--no-degraded`
    pub no_degraded: bool,
    /// `--bitmap`
    pub bitmap: Option<BitmapChoice>,
    /// `--bitmap-chunk`, with `--update=bitmap=`
    pub bitmap_chunk: Option<Sectors>,
    /// `--bitmap-chunk=auto`
    pub finest_chunk: bool,
    /// `--backup-file`
    pub backup_file: Option<PathBuf>,
    /// `--invalid-backup`
    pub invalid_backup: bool,
    /// `--nodes`
    pub nodes: Option<u32>,
    /// `--home-cluster`
    pub home_cluster: Option<String>,
}

/// `--ensure-absent`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbsentRequest {
    /// Options that every mode takes.
    pub common: Common,
    /// The array: a path, a name or a uuid.
    pub array: PathBuf,
    /// Devices that may be its members.
    pub members: Vec<PathBuf>,
}

/// `--restore-saved`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreRequest {
    /// Options that every mode takes.
    pub common: Common,
    /// The file.
    pub file: PathBuf,
    /// Only these devices; all that the file names where there are none.
    pub devices: Vec<PathBuf>,
}

/// Everything that can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Print this text on stdout and succeed (help, version).
    Show(String),
    /// `--create`
    Create(Box<CreateRequest>),
    /// `--build`
    Build(Box<BuildRequest>),
    /// `--assemble`
    Assemble(Box<AssembleRequest>),
    /// `--grow`
    Grow(Box<GrowRequest>),
    /// Misc mode
    Misc(Box<MiscRequest>),
    /// `--ensure-absent`
    Absent(Box<AbsentRequest>),
    /// `--restore-saved`
    Restore(Box<RestoreRequest>),
    /// `--check`
    Check(Box<CheckRequest>),
    /// `--health`
    Health(Box<HealthRequest>),
    /// `--report`
    Report(Box<ReportRequest>),
    /// `--monitor`
    Monitor(Box<MonitorRequest>),
    /// Manage mode on members
    Manage(Box<ManageRequest>),
    /// `--incremental`
    Incremental(Box<IncrementalRequest>),
    /// `--auto-detect`
    AutoDetect(Box<Common>),
    /// Understood, but the verb is not built yet.
    NotYet(NotYet),
}

/// What was asked for and is not built yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotYet {
    /// Options that every mode takes.
    pub common: Common,
    /// The mode.
    pub mode: Mode,
    /// The option that asks for it, as in `--grow`.
    pub what: String,
}
