//! `--assemble`: which devices are members of the array, which of them are fresh, and whether it is started.
//!
//! [`identify`] tells members from other devices, [`rank`] compares them with each other, [`edits`] makes the changes of
//! `--force` and `--update`, [`steps`] the plan. The rules are those of the reference (mdadm 4.6, observed) and of the kernel
//! (`super_1_validate` in md.c), which looks at the members again when they are added.

mod bitmap_convert;
pub mod bitmap_file;
mod convert;
pub mod edits;
pub mod heal;
pub mod identify;
pub mod line;
pub mod naming;
mod old_updates;
mod ppl;
pub mod rank;
pub mod reshape;
pub mod settings;
mod split;
pub mod start;
pub mod steps;
pub mod table;
pub mod updates;

use std::path::PathBuf;

use crate::bitmap::summary::BitmapSummary;
use crate::host::conf::SysfsLine;
use crate::plan::bitmap_file::FileFacts;
use crate::superblock::Version;
use crate::superblock::v0::SuperV0;
use crate::superblock::v1::SuperV1;
use crate::units::Sectors;
use crate::uuid::Uuid;

/// A superblock edit that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// The array's uuid becomes this one, in the bitmap too.
    Uuid(Uuid),
    /// The array's name becomes this one, host included.
    Name(Vec<u8>),
    /// The name's host becomes this one.
    HomeHost(String),
    /// The array counts as not in sync from its start on.
    Resync,
    /// raid0: the layout of members of different sizes, as in kernels before 3.14 (1) or from it on (2); 0: not recorded.
    Raid0Layout(u32),
    /// 1.1, 1.2: what the device has room for, after it grew.
    DeviceSize,
    /// The bitmap on the members is given up.
    NoBitmap,
    /// 1.x: the bitmap becomes one of this kind.
    Bitmap(BitmapTarget),
    /// 1.x: the bad-block log.
    Log(LogChange),
    /// The reshape goes back to where it came from.
    RevertReshape,
    /// `no-logical-block-size`: older kernels may assemble it
    NoBlockSize,
    /// 1.x, raid5: a partial parity log.
    Ppl,
    /// 1.x: no partial parity log.
    NoPpl,
    /// 0.90: converted to 1.0.
    Metadata {
        /// Now, in seconds since 1970.
        ctime: u64,
        /// Random.
        seed: Uuid,
    },
    /// Nodes of a cluster.
    Nodes(u32),
    /// The name of a cluster.
    HomeCluster,
    /// 0.90: the array's number becomes this one.
    SuperMinor(u32),
    /// 0.90: the members are counted anew.
    Summaries,
    /// 0.90: members of a machine of the other byte order become this one's.
    ByteOrder,
    /// 0.90, of Linux 2.2 on sparc.
    Sparc22,
}

/// What a bitmap is converted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BitmapTarget {
    /// No bitmap.
    None,
    /// One bit per chunk.
    Internal,
    /// One byte per chunk.
    Lockless,
}

impl BitmapTarget {
    /// The word of the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            BitmapTarget::None => "none",
            BitmapTarget::Internal => "internal",
            BitmapTarget::Lockless => "lockless",
        }
    }
}

/// A member's bitmap, read whole for a conversion, in terms of a lockless one: set bits are "need sync", others clean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BitmapMap {
    /// Sectors per chunk.
    pub chunk_sectors: u64,
    /// One byte per chunk.
    pub states: Vec<u8>,
    /// The array's events when it was last written.
    pub events: u64,
    /// It says of itself that it is out of date.
    pub stale: bool,
}

/// What becomes of the bad-block log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogChange {
    /// It is there.
    Add,
    /// It goes, if it is empty.
    Drop,
    /// It goes, and what it says.
    Forget,
}

impl Update {
    /// The word behind `--update=`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Update::Uuid(_) => "uuid",
            Update::Name(_) => "name",
            Update::HomeHost(_) => "homehost",
            Update::Resync => "resync",
            Update::Raid0Layout(layout) => layouts(*layout),
            Update::DeviceSize => "devicesize",
            Update::NoBitmap => "no-bitmap",
            Update::Bitmap(_) => "bitmap",
            Update::Log(LogChange::Add) => "bbl",
            Update::Log(LogChange::Drop) => "no-bbl",
            Update::Log(LogChange::Forget) => "force-no-bbl",
            Update::RevertReshape => "revert-reshape",
            Update::NoBlockSize => "no-logical-block-size",
            Update::Ppl => "ppl",
            Update::NoPpl => "no-ppl",
            Update::Metadata { .. } => "metadata",
            Update::Nodes(_) => "nodes",
            Update::HomeCluster => "home-cluster",
            Update::SuperMinor(_) => "super-minor",
            Update::Summaries => "summaries",
            Update::ByteOrder => "byteorder",
            Update::Sparc22 => "sparc2.2",
        }
    }
}

/// The word for a layout of raid0.
fn layouts(layout: u32) -> &'static str {
    match layout {
        0 => "layout-unspecified",
        1 => "layout-original",
        _ => "layout-alternate",
    }
}

/// What is done with an array of which members are missing that were there last time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Degraded {
    /// Not started without `--run`.
    #[default]
    Ask,
    /// Started: `--scan`.
    Start,
    /// Put together and not started: `--no-degraded`.
    Never,
}

/// What was asked for, and what the machine adds to it.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// The array as shown to the user.
    pub shown: String,
    /// The devices are all there are, none was named: those that are no members are passed over.
    pub searched: bool,
    /// Only members of the array with this uuid.
    pub uuid: Option<Uuid>,
    /// Only members of the array with this name.
    pub name: Option<String>,
    /// What a name may have in front of it: this machine's name, or `--homehost`.
    pub homehost: Option<String>,
    /// Only members with this metadata version.
    pub version: Option<Version>,
    /// `--super-minor`: only members of the array with this number; 1.x metadata have none, so no such member matches.
    pub super_minor: Option<u32>,
    /// `--force`
    pub force: bool,
    /// `--run`
    pub run: bool,
    /// What a scan does with an array that is not whole.
    pub degraded: Degraded,
    /// `--readonly`
    pub readonly: bool,
    /// `--update`
    pub update: Option<Update>,
    /// With `--update=bitmap=`: the bitmaps of the candidates, by place; `None` where there is none that can be read.
    pub maps: Vec<Option<BitmapMap>>,
    /// With `--update=bitmap=`: `--bitmap-chunk` in sectors, [`crate::bitmap::lockless::FINEST`] for `auto`.
    pub bitmap_chunk: Option<u64>,
    /// `--bitmap=lockless`
    pub lockless: bool,
    /// What is at the path of `--bitmap=FILE`.
    pub bitmap_file: Option<FileFacts>,
    /// SYSFS lines of the configuration.
    pub settings: Vec<SysfsLine>,
    /// `--backup-file`, as typed.
    pub backup_file: Option<PathBuf>,
    /// `--invalid-backup`
    pub invalid_backup: bool,
    /// MDADM_GROW_ALLOW_OLD=1 is set.
    pub old_backup: bool,
    /// Where copies of what a reshape overwrites were looked for.
    pub backups: Vec<reshape::Found>,
}

impl Wishes {
    /// Whether this backup was asked for.
    #[must_use]
    pub fn wants_backup(&self, shown: &str) -> bool {
        self.backup_file.as_ref().is_some_and(|path| path.display().to_string() == shown)
    }
}

/// What is on a device.
#[derive(Debug, Clone)]
pub enum Content {
    /// It cannot be read, or is no block device: the line to print.
    Unusable(String),
    /// No superblock; what stands where the magic of each version of [`Version::ALL`] would.
    Nothing([u32; 4]),
    /// A 0.90 superblock of a machine of the other byte order.
    OtherOrder,
    /// A superblock that is another device's, seen through this one: whose, and why.
    Elsewhere(String),
    /// Metadata of another kind, by name.
    Foreign(String),
    /// md, and broken: why.
    Broken(String),
    /// A member.
    Member(Box<Member>),
}

/// A member's metadata, checked against the device.
#[derive(Debug, Clone)]
pub struct Member {
    /// Metadata version.
    pub version: Version,
    /// Its superblock; what a 0.90 one says in terms of 1.x.
    pub sb: SuperV1,
    /// Its 0.90 superblock, in this machine's byte order.
    pub old: Option<Box<SuperV0>>,
    /// On disk the 0.90 superblock is in the other byte order.
    pub turned: bool,
    /// Its bitmap; `None` where it has none, else why it cannot be read.
    pub bitmap: Option<Result<BitmapSummary, String>>,
    /// Something holds the device: it cannot be added.
    pub busy: bool,
    /// When its superblock was last written, for a person.
    pub updated: String,
}

/// A device that was listed.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// As typed.
    pub path: PathBuf,
    /// Major and minor number.
    pub dev: (u32, u32),
    /// Size in sectors.
    pub size: Sectors,
    /// Logical block size in bytes.
    pub block: u32,
    /// What is on it.
    pub content: Content,
}

/// A line for stderr.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Printed at this verbosity and above: 1 with `--verbose`, 0 unless `--quiet`.
    pub verbose: i32,
    /// Without prefix.
    pub text: String,
}

impl Line {
    /// Printed unless `--quiet`.
    pub fn normal(text: impl Into<String>) -> Line {
        Line { verbose: 0, text: text.into() }
    }

    /// Printed with `--verbose`.
    pub fn wordy(text: impl Into<String>) -> Line {
        Line { verbose: 1, text: text.into() }
    }
}

/// A candidate that is a member of the array, by its place in the list.
#[derive(Debug, Clone)]
pub struct Matched<'a> {
    /// Place in the list of candidates.
    pub index: usize,
    /// The device.
    pub candidate: &'a Candidate,
    /// Its metadata.
    pub member: &'a Member,
}

/// `1 drive`, `2 drives`.
pub(crate) fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// The state of the slots as a member knows it: `A` active, `.` missing.
#[must_use]
pub fn array_state(sb: &SuperV1) -> String {
    (0..sb.raid_disks()).map(|slot| if knows_slot(sb, slot) { 'A' } else { '.' }).collect()
}

/// Whether a member's role table has a device in this slot.
pub(crate) fn knows_slot(sb: &SuperV1, slot: u32) -> bool {
    sb.roles().iter().any(|r| matches!(r, crate::superblock::v1::Role::Slot(s) if u32::from(*s) == slot))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
