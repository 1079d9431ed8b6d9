//! The option table: every long and short option, what it takes, where it is valid.
//!
//! The order of [`TABLE`] is the order of the reference's own table, which its message about an
//! ambiguous abbreviation shows (`mdadm --=`); `tests/golden/cli/prefixes.txt` holds every prefix as recorded.
//! To add an option of ours: one line with `ours`, its [`Id`], and what it does in `line.rs`; help, manual page and
//! completions are checked against the table by `tests/cli_table.rs`.

use super::mode::{A, ALL, B, C, D, F, G, I, M, Mode, Modes, X};

/// What an option means, whatever it was typed as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
#[rustfmt::skip]
pub enum Id {
    Manage, Misc, Assemble, Build, Create, Detail, Examine, Monitor, Grow, Incremental, ZeroSuperblock, Query,
    ExamineBitmap, AutoDetect, DetailPlatform, KillSubarray, UpdateSubarray, UdevRules, Offroot, ExamineBadblocks, Dump,
    Restore, Help, HelpOptions, Version, Verbose, Quiet, Chunk, Level, Layout, RaidDevices, SpareDevices, Size, Auto,
    AssumeClean, WriteZeroes, Metadata, Bitmap, BitmapChunk, WriteBehind, WriteMostly, Failfast, NoFailfast, ReAdd,
    HomeHost, DataOffset, Nodes, HomeCluster, WriteJournal, ConsistencyPolicy, LogicalBlockSize, CompatKernel, Uuid, SuperMinor, Name,
    Config, Scan, Force, Update, Add, AddSpare, AddJournal, Remove, Fail, Replace, With, Run, Stop, Readonly, Readwrite,
    NoDegraded, Wait, WaitClean, Action, ClusterConfirm, Brief, NoDevices, Export, Sparc22, Test, Prefer, Mail, Program,
    Increment, Delay, Daemonise, Oneshot, PidFile, Syslog, NoSharing, BackupFile, InvalidBackup, ArraySize, Continue, Revert, CheckFirst,
    RebuildMap, Path, Json, Plan, Offline, AllowSectorSizeChange, SavedMetadata, RestoreSaved, Ensure, EnsureAbsent, Map, Ranges, Watch, BitmapIdle, ProactiveSync,
    Metrics, Health, Report, Check, CheckTime, CheckSpeed,
}

/// Whether an option takes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arity {
    /// Never.
    Flag,
    /// Always.
    Value,
    /// Only behind `=`.
    Optional,
}

/// What an option does to a mode that is not decided yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sets {
    /// Nothing, and it is refused as the first option.
    Nothing,
    /// Nothing, and it may stand anywhere.
    Neutral,
    /// Decides it; another mode decided before is a conflict.
    Always(Mode),
    /// Decides it where none is decided yet.
    First(Mode),
}

/// One line of the table.
#[derive(Debug)]
pub struct Opt {
    /// The meaning; synonyms share it.
    pub id: Id,
    /// The long name without the dashes.
    pub long: &'static str,
    /// What it takes.
    pub arity: Arity,
    /// The modes in which it is valid.
    pub modes: Modes,
    /// What it does to the mode.
    pub sets: Sets,
    /// Short option, and the modes in which that letter means this.
    pub short: Option<(char, Modes)>,
    /// Not in the reference: must be typed in full, takes no part in abbreviation.
    pub ours: bool,
    /// In the reference, not in this version yet: known to the reading, absent from help, manual page and completions.
    pub later: bool,
}

const fn opt(id: Id, long: &'static str, arity: Arity, modes: Modes, sets: Sets) -> Opt {
    Opt { id, long, arity, modes, sets, short: None, ours: false, later: false }
}

impl Opt {
    const fn short(mut self, letter: char, modes: Modes) -> Opt {
        self.short = Some((letter, modes));
        self
    }

    const fn later(mut self) -> Opt {
        self.later = true;
        self
    }

    const fn ours(mut self) -> Opt {
        self.ours = true;
        self
    }
}

use Arity::{Flag, Optional, Value};
use Sets::{Always, First, Neutral, Nothing};

const ABC: Modes = A.or(B).or(C);
const AC: Modes = A.or(C);
const BC: Modes = B.or(C);
const BCG: Modes = B.or(C).or(G);
const CG: Modes = C.or(G);
const CM: Modes = C.or(M);
const MX: Modes = M.or(X);

/// Every option, in the reference's order; ours follow.
#[rustfmt::skip]
pub static TABLE: &[Opt] = &[
    opt(Id::Manage, "manage", Flag, M, Always(Mode::Manage)),
    opt(Id::Misc, "misc", Flag, X, Always(Mode::Misc)),
    opt(Id::Assemble, "assemble", Flag, A, Always(Mode::Assemble)).short('A', ALL),
    opt(Id::Build, "build", Flag, B, Always(Mode::Build)).short('B', ALL),
    opt(Id::Create, "create", Flag, C, Always(Mode::Create)).short('C', ALL),
    opt(Id::Detail, "detail", Flag, X, Always(Mode::Misc)).short('D', ALL),
    opt(Id::Examine, "examine", Flag, X, Always(Mode::Misc)).short('E', ALL),
    opt(Id::Monitor, "follow", Flag, F, Always(Mode::Monitor)).short('F', ALL),
    opt(Id::Monitor, "monitor", Flag, F, Always(Mode::Monitor)),
    opt(Id::Grow, "grow", Flag, G, Always(Mode::Grow)).short('G', ALL),
    opt(Id::Incremental, "incremental", Flag, I, Always(Mode::Incremental)).short('I', ALL),
    opt(Id::ZeroSuperblock, "zero-superblock", Flag, X, First(Mode::Misc)),
    opt(Id::Query, "query", Flag, X, Always(Mode::Misc)).short('Q', ALL),
    opt(Id::ExamineBitmap, "examine-bitmap", Flag, X, Always(Mode::Misc)).short('X', ALL),
    opt(Id::AutoDetect, "auto-detect", Flag, D, Always(Mode::AutoDetect)),
    opt(Id::DetailPlatform, "detail-platform", Flag, X, First(Mode::Misc)),
    opt(Id::KillSubarray, "kill-subarray", Value, X, First(Mode::Misc)),
    opt(Id::UpdateSubarray, "update-subarray", Value, X, First(Mode::Misc)),
    opt(Id::UdevRules, "udev-rules", Optional, X, First(Mode::Misc)),
    opt(Id::Offroot, "offroot", Flag, ALL, Neutral),
    opt(Id::ExamineBadblocks, "examine-badblocks", Flag, X, Always(Mode::Misc)),
    opt(Id::Dump, "dump", Value, X, Always(Mode::Misc)),
    opt(Id::Restore, "restore", Value, X, Always(Mode::Misc)),
    opt(Id::Help, "help", Flag, ALL, Neutral).short('h', ALL),
    opt(Id::HelpOptions, "help-options", Flag, ALL, Neutral),
    opt(Id::Version, "version", Flag, ALL, Neutral).short('V', ALL),
    opt(Id::Verbose, "verbose", Flag, ALL, Neutral).short('v', ALL),
    opt(Id::Quiet, "quiet", Flag, ALL, Neutral).short('q', ALL),
    opt(Id::Chunk, "chunk", Value, BCG, Nothing).short('c', BCG),
    opt(Id::Chunk, "rounding", Value, BCG, Nothing),
    opt(Id::Level, "level", Value, BCG, Nothing).short('l', BCG),
    opt(Id::Layout, "parity", Value, BCG, Nothing),
    opt(Id::Layout, "layout", Value, BCG, Nothing).short('p', BCG),
    opt(Id::RaidDevices, "raid-disks", Value, BCG, Nothing),
    opt(Id::RaidDevices, "raid-devices", Value, BCG, Nothing).short('n', BCG),
    opt(Id::SpareDevices, "spare-disks", Value, C, Nothing),
    opt(Id::SpareDevices, "spare-devices", Value, C, Nothing).short('x', C),
    opt(Id::Size, "size", Value, BCG, Nothing).short('z', BCG),
    opt(Id::Auto, "auto", Value, ABC.or(I), Nothing).short('a', ABC.or(I)),
    opt(Id::AssumeClean, "assume-clean", Flag, BCG, Nothing),
    opt(Id::WriteZeroes, "write-zeroes", Flag, C, Nothing),
    opt(Id::Metadata, "metadata", Value, AC.or(I).or(X), Nothing).short('e', AC.or(I).or(X)),
    opt(Id::Bitmap, "bitmap", Value, ABC.or(G), Nothing).short('b', ABC.or(G)),
    opt(Id::BitmapChunk, "bitmap-chunk", Value, ABC.or(G), Nothing),
    opt(Id::WriteBehind, "write-behind", Optional, BCG, Nothing),
    opt(Id::WriteMostly, "write-mostly", Flag, BC.or(M), Nothing).short('W', BC.or(M)),
    opt(Id::Failfast, "failfast", Flag, CM, Nothing),
    opt(Id::NoFailfast, "nofailfast", Flag, M, Nothing),
    opt(Id::ReAdd, "re-add", Flag, M, First(Mode::Manage)),
    opt(Id::HomeHost, "homehost", Value, ALL, Neutral),
    opt(Id::DataOffset, "data-offset", Value, CG, Nothing),
    opt(Id::Nodes, "nodes", Value, AC.or(G), Nothing),
    opt(Id::HomeCluster, "home-cluster", Value, AC, Nothing),
    opt(Id::WriteJournal, "write-journal", Value, C, Nothing),
    opt(Id::ConsistencyPolicy, "consistency-policy", Value, CG, Nothing).short('k', CG),
    opt(Id::LogicalBlockSize, "logical-block-size", Value, C, Nothing),
    opt(Id::CompatKernel, "compat-kernel", Value, C, Nothing).ours(),
    opt(Id::Uuid, "uuid", Value, AC, Nothing).short('u', AC),
    opt(Id::SuperMinor, "super-minor", Value, A, Nothing).short('m', A),
    opt(Id::Name, "name", Value, AC.or(X), Nothing).short('N', AC.or(X)),
    opt(Id::Config, "config", Value, AC.or(F).or(I).or(X), Nothing).short('c', A.or(F).or(I).or(X)),
    opt(Id::Scan, "scan", Flag, A.or(F).or(I).or(X), Nothing).short('s', A.or(F).or(I).or(X)),
    opt(Id::Force, "force", Flag, ABC.or(G).or(MX), Nothing).short('f', ABC.or(G).or(X)),
    opt(Id::Update, "update", Value, A.or(MX), Nothing).short('U', A.or(MX)),
    opt(Id::Add, "add", Flag, G.or(M), First(Mode::Manage)).short('a', G.or(M)),
    opt(Id::AddSpare, "add-spare", Flag, M, First(Mode::Manage)),
    opt(Id::AddJournal, "add-journal", Flag, M, First(Mode::Manage)),
    opt(Id::Remove, "remove", Flag, M.or(I), First(Mode::Manage)).short('r', M),
    opt(Id::Fail, "fail", Flag, M.or(I), First(Mode::Manage)).short('f', M.or(I)),
    opt(Id::Fail, "set-faulty", Flag, M.or(I), First(Mode::Manage)),
    opt(Id::Replace, "replace", Flag, M, First(Mode::Manage)),
    opt(Id::With, "with", Flag, M, First(Mode::Manage)),
    opt(Id::Run, "run", Flag, ABC.or(I).or(MX), First(Mode::Misc)).short('R', ABC.or(I).or(MX)),
    opt(Id::Stop, "stop", Flag, MX, First(Mode::Misc)).short('S', MX),
    opt(Id::Readonly, "readonly", Flag, AC.or(MX), First(Mode::Misc)).short('o', AC.or(MX)),
    opt(Id::Readwrite, "readwrite", Flag, MX, First(Mode::Misc)).short('w', MX),
    opt(Id::NoDegraded, "no-degraded", Flag, A.or(I), Nothing),
    opt(Id::Wait, "wait", Flag, X, First(Mode::Misc)).short('W', X),
    opt(Id::WaitClean, "wait-clean", Flag, X, First(Mode::Misc)),
    opt(Id::Action, "action", Value, X, Always(Mode::Misc)),
    opt(Id::ClusterConfirm, "cluster-confirm", Flag, M, First(Mode::Manage)),
    opt(Id::Brief, "brief", Flag, ALL, Neutral).short('b', F.or(X).or(D)),
    opt(Id::NoDevices, "no-devices", Flag, ALL, Neutral),
    opt(Id::Export, "export", Flag, ALL, Neutral).short('Y', ALL),
    opt(Id::Sparc22, "sparc2.2", Flag, X, Nothing).later(),
    opt(Id::Test, "test", Flag, F.or(MX), Nothing).short('t', F.or(MX)),
    opt(Id::Prefer, "prefer", Value, ALL, Neutral),
    opt(Id::Mail, "mail", Value, F, Nothing).short('m', F),
    opt(Id::Program, "program", Value, F, Nothing).short('p', F),
    opt(Id::Program, "alert", Value, F, Nothing),
    opt(Id::Increment, "increment", Value, F, Nothing).short('r', F),
    opt(Id::Delay, "delay", Value, BCG.or(F), Nothing).short('d', BCG.or(F)),
    opt(Id::Daemonise, "daemonise", Flag, F, Nothing).short('f', F),
    opt(Id::Daemonise, "daemonize", Flag, F, Nothing),
    opt(Id::Oneshot, "oneshot", Flag, F, Nothing).short('1', F),
    opt(Id::PidFile, "pid-file", Value, F, Nothing).short('i', F),
    opt(Id::Syslog, "syslog", Flag, F, Nothing).short('y', F),
    opt(Id::NoSharing, "no-sharing", Flag, F, Always(Mode::Monitor)),
    opt(Id::BackupFile, "backup-file", Value, A.or(G), Nothing),
    opt(Id::InvalidBackup, "invalid-backup", Flag, A, Nothing),
    opt(Id::ArraySize, "array-size", Value, G, Nothing).short('Z', G),
    opt(Id::Continue, "continue", Flag, G, Nothing),
    opt(Id::Revert, "revert", Flag, G, Nothing).ours(),
    opt(Id::CheckFirst, "check-first", Flag, G, Nothing).ours(),
    opt(Id::RebuildMap, "rebuild-map", Flag, I, Nothing).short('r', I),
    opt(Id::Path, "path", Value, I, Nothing),

    opt(Id::Json, "json", Flag, ABC.or(F).or(G).or(I).or(MX), Neutral).ours(),
    opt(Id::Plan, "plan", Flag, ABC.or(G).or(I).or(MX), Neutral).ours(),
    opt(Id::Offline, "offline", Flag, C, Neutral).ours(),
    opt(Id::SavedMetadata, "saved-metadata", Value, ALL, Neutral).ours(),
    opt(Id::RestoreSaved, "restore-saved", Value, X, Always(Mode::Misc)).ours(),
    opt(Id::Ensure, "ensure", Flag, C, Neutral).ours(),
    opt(Id::EnsureAbsent, "ensure-absent", Flag, X, Always(Mode::Misc)).ours(),
    opt(Id::Map, "map", Flag, X, Neutral).ours(),
    opt(Id::Ranges, "ranges", Flag, X, Neutral).ours(),
    opt(Id::Watch, "watch", Optional, X, Neutral).ours(),
    opt(Id::BitmapIdle, "bitmap-idle", Value, G, Neutral).ours(),
    opt(Id::ProactiveSync, "proactive-sync", Flag, G, Neutral).ours(),
    opt(Id::AllowSectorSizeChange, "allow-sector-size-change", Flag, M, Neutral).ours(),
    opt(Id::Metrics, "metrics", Value, F, Neutral).ours(),
    opt(Id::Health, "health", Flag, X, Always(Mode::Misc)).ours(),
    opt(Id::Report, "report", Flag, X, Always(Mode::Misc)).ours(),
    opt(Id::Check, "check", Value, X, Always(Mode::Misc)).ours(),
    opt(Id::CheckTime, "check-time", Value, X, Neutral).ours(),
    opt(Id::CheckSpeed, "check-speed", Value, X, Neutral).ours(),
];

/// Letters that take a value wherever they are known at all.
const VALUE_LETTERS: &str = "NUZcdeiklmnpuxz";
/// Letters that take none.
const FLAG_LETTERS: &str = "1ABCDEFGIQRSVWXYfhoqstvwy";

/// What a long option as typed stands for.
#[derive(Debug)]
pub enum Lookup {
    /// This one.
    Found(&'static Opt),
    /// None.
    Unknown,
    /// Several that differ; in table order.
    Ambiguous(Vec<&'static str>),
}

/// Looks up a long option without dashes and without `=value`, abbreviated or not.
///
/// As glibc's getopt_long: a full name wins; else all names that begin so count, and those that mean and take the same as
/// the first of them are not listed.
#[must_use]
pub fn long(typed: &str) -> Lookup {
    if let Some(found) = TABLE.iter().find(|o| o.long == typed) {
        return Lookup::Found(found);
    }
    let mut hits = TABLE.iter().filter(|o| !o.ours && o.long.starts_with(typed));
    let Some(first) = hits.next() else { return Lookup::Unknown };
    let mut others = hits.filter(|o| o.id != first.id || o.arity != first.arity).map(|o| o.long).peekable();
    if others.peek().is_none() {
        return Lookup::Found(first);
    }
    Lookup::Ambiguous(std::iter::once(first.long).chain(others).collect())
}

/// Whether a short option takes a value in this mode; `None` for a letter that is no option at all.
#[must_use]
pub fn short_arity(mode: Option<Mode>, letter: char) -> Option<Arity> {
    let takes = |modes: Modes| if mode.is_some_and(|m| modes.has(m)) { Arity::Value } else { Arity::Flag };
    match letter {
        'a' => Some(takes(ABC.or(I))),
        'b' => Some(takes(ABC.or(I).or(M).or(G))),
        'r' => Some(takes(F)),
        c if VALUE_LETTERS.contains(c) => Some(Arity::Value),
        c if FLAG_LETTERS.contains(c) => Some(Arity::Flag),
        _ => None,
    }
}

/// The option that a letter stands for in this mode; `None` where it is not valid there.
#[must_use]
pub fn short(mode: Option<Mode>, letter: char) -> Option<&'static Opt> {
    let mut with_letter = TABLE.iter().filter(|o| o.short.is_some_and(|s| s.0 == letter));
    match mode {
        Some(mode) => with_letter.find(|o| o.short.is_some_and(|s| s.1.has(mode))),
        None => {
            let wanted = match letter {
                'b' => Id::Brief,
                'W' => Id::Wait,
                'a' => Id::Add,
                'r' => Id::Remove,
                'f' => Id::Fail,
                _ => return with_letter.next(),
            };
            with_letter.find(|o| o.id == wanted)
        }
    }
}

/// The letter of an option, for messages that name it by its letter.
#[must_use]
pub fn letter_of(id: Id) -> Option<char> {
    TABLE.iter().find(|o| o.id == id).and_then(|o| o.short).map(|s| s.0)
}

/// The long name of an option; the first of its synonyms.
#[must_use]
pub fn long_of(id: Id) -> Option<&'static str> {
    TABLE.iter().find(|o| o.id == id).map(|o| o.long)
}
