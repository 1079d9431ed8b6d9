//! One line about every option that exists, for help and completions. The manual page says more.

use super::mode::Mode;
use super::table::Id;

/// What the value is called, and what the option does.
pub struct About {
    /// Placeholder of the value; empty for flags.
    pub value: &'static str,
    /// One line.
    pub text: &'static str,
}

/// Lines for all modes. Where a mode has its own meaning, [`IN_MODE`] has it.
#[rustfmt::skip]
const TEXTS: &[(Id, &str, &str)] = &[
    (Id::Manage, "", "act on one array, named first"),
    (Id::Misc, "", "report on or act on each device named"),
    (Id::Assemble, "", "put an array together again from its members"),
    (Id::Create, "", "make a new array"),
    (Id::Build, "", "make an array of devices without metadata"),
    (Id::Grow, "", "change an array while it runs"),
    (Id::Detail, "", "show a running array"),
    (Id::Examine, "", "show the md superblock of a member"),
    (Id::ZeroSuperblock, "", "wipe the md superblock of a device"),
    (Id::Query, "", "say in a line what a device has to do with md"),
    (Id::ExamineBadblocks, "", "list the bad blocks recorded on a member"),
    (Id::ExamineBitmap, "", "show the bitmap of a member, or of a bitmap file"),
    (Id::Offroot, "", "accepted for boot scripts; changes nothing"),
    (Id::Help, "", "show this help; behind a mode, the help of the mode"),
    (Id::HelpOptions, "", "show the options that every mode takes"),
    (Id::Version, "", "print the version, on stderr"),
    (Id::Verbose, "", "say more; may be given twice"),
    (Id::Quiet, "", "say only what is really important"),
    (Id::Chunk, "SIZE", "array chunk in KiB, or with K, M, G (default 512)"),
    (Id::Level, "LEVEL", "linear, 0, 1, 4, 5, 6, 10, or raidN, stripe, mirror"),
    (Id::Layout, "LAYOUT", "layout within the level: raid5/6 by name, raid10 nN, fN, oN"),
    (Id::RaidDevices, "N", "number of active members"),
    (Id::SpareDevices, "N", "number of spare members"),
    (Id::Size, "SIZE", "space to use of each member, in KiB or with K, M, G, T; or max"),
    (Id::Auto, "WORD", "obsolete; changes nothing"),
    (Id::AssumeClean, "", "take the members as in sync; no resync"),
    (Id::WriteZeroes, "", "zero the members' data first; then they are in sync"),
    (Id::Metadata, "FORMAT", "1.2 (default), 1.1, 1.0 or 0.90"),
    (Id::Bitmap, "KIND", "none, internal, lockless, clustered, or /PATH: a file, which must be named at every start"),
    (Id::Nodes, "N", "with --bitmap=clustered: nodes of the cluster, each with a bitmap of its own (default 4)"),
    (Id::HomeCluster, "NAME", "with --bitmap=clustered: the cluster's name"),
    (Id::BitmapChunk, "SIZE", "bitmap chunk in KiB, or with K, M, G; lockless: no coarser than this"),
    (Id::WriteBehind, "N", "writes that write-mostly members may be behind (default 256); takes a bitmap"),
    (Id::WriteMostly, "", "members that follow are read only when no other can be"),
    (Id::Failfast, "", "I/O to members that follow fails quickly"),
    (Id::HomeHost, "NAME", "host that the array belongs to; any for no host"),
    (Id::DataOffset, "SIZE", "where data begins on each member, in KiB or with K, M, G; variable: behind a colon of each"),
    (Id::LogicalBlockSize, "BYTES", "sectors of the array, larger than its members' (Linux 6.19)"),
    (Id::WriteJournal, "DEVICE", "log writes to a raid4/5/6 on this device before they go to the members"),
    (Id::ConsistencyPolicy, "POLICY", "resync, bitmap, journal or ppl"),
    (Id::Uuid, "UUID", "uuid of the new array"),
    (Id::SuperMinor, "N", "only members with this preferred minor (0.90); dev: that of the array"),
    (Id::Name, "NAME", "name of the new array, at most 32 bytes"),
    (Id::Config, "FILE", "configuration file; also none, partitions"),
    (Id::Scan, "", "find the devices or arrays"),
    (Id::Force, "", "go on where that is dangerous"),
    (Id::Update, "WORD", "change the superblocks while assembling; ? lists the words"),
    (Id::NoFailfast, "", "members that follow are added without --failfast"),
    (Id::Add, "", "add devices that follow: as members of old where that is safe, else as spares"),
    (Id::ReAdd, "", "let members that follow come back: by the bitmap where that is safe, else rebuilt fully"),
    (Id::Replace, "", "copy members that follow to a spare while they are still read"),
    (Id::With, "", "behind --replace: the spare to use"),
    (Id::ClusterConfirm, "", "answer SLOT:DEVICE to a node of a cluster (there is none in this version: refused)"),
    (Id::AddSpare, "", "add devices that follow as spares, whatever they were"),
    (Id::AddJournal, "", "make the device that follows the journal of a read-only raid4/5/6"),
    (Id::AllowSectorSizeChange, "", "add devices with larger sectors than the array has"),
    (Id::Remove, "", "take members that follow out of the array: failed ones and spares"),
    (Id::Fail, "", "mark members that follow as faulty"),
    (Id::Run, "", "start a partly assembled array"),
    (Id::Stop, "", "stop an array"),
    (Id::Readonly, "", "make an array read-only"),
    (Id::Readwrite, "", "make an array writable again"),
    (Id::NoDegraded, "", "start no array of which members are missing that were there last time"),
    (Id::Wait, "", "wait until no resync of an array runs"),
    (Id::WaitClean, "", "wait until an array is marked clean"),
    (Id::Dump, "DIR", "copy the metadata of members to sparse files in a folder"),
    (Id::Restore, "DIR", "put such copies back; or one file"),
    (Id::UdevRules, "FILE", "make udev rules of the POLICY lines of the configuration"),
    (Id::DetailPlatform, "", "say what the firmware knows of RAID; with --metadata in the exit status"),
    (Id::KillSubarray, "N", "delete an array of a container (sets of DDF and IMSM: only recognised)"),
    (Id::UpdateSubarray, "N", "change an array of a container (sets of DDF and IMSM: only recognised)"),
    (Id::Action, "WORD", "have an array check or repair its redundancy; idle ends that, frozen holds all back"),
    (Id::Brief, "", "one line per array"),
    (Id::NoDevices, "", "leave member devices out of brief output"),
    (Id::Export, "", "print KEY=value lines"),
    (Id::Test, "", "with --detail: exit status tells the state of the array"),
    (Id::Prefer, "WORD", "prefer device names with this path component"),
    (Id::Delay, "SECONDS", "how long until clean bits of the bitmap are written"),
    (Id::Json, "", "print JSON"),
    (Id::Plan, "", "show every step that would be taken; touch nothing"),
    (Id::Ensure, "", "leave an array alone that is as asked for, start it if it is stopped; status 16 if it differs"),
    (Id::EnsureAbsent, "", "stop the array named first and clear its own members; none is fine"),
    (Id::SavedMetadata, "DIR", "save metadata that is overwritten in DIR (default /var/lib/mdadm-rs); none: nowhere"),
    (Id::RestoreSaved, "FILE", "put back what was saved in FILE before it was overwritten"),
    (Id::Offline, "", "members may be plain files; only metadata is written, no kernel is asked"),
];

/// Lines that differ in one mode.
#[rustfmt::skip]
const IN_MODE: &[(Mode, Id, &str, &str)] = &[
    (Mode::Build, Id::Chunk, "SIZE", "array chunk in KiB, or with K, M, G (default 64)"),
    (Mode::Build, Id::Level, "LEVEL", "linear, 0, 1, 10"),
    (Mode::Build, Id::Layout, "LAYOUT", "raid10: nN, fN, oN; raid0 of different sizes: original, alternate"),
    (Mode::Build, Id::Bitmap, "FILE", "/PATH of the array's bitmap file, made where there is none; or none"),
    (Mode::Build, Id::Force, "", "take a single member; make the bitmap file anew"),
    (Mode::Build, Id::Run, "", "accepted; an array without metadata is started at once"),
    (Mode::Create, Id::Run, "", "do not ask, start the array"),
    (Mode::Create, Id::Force, "", "take the geometry as given: one member, no spare made of a raid5's last"),
    (Mode::Create, Id::Readonly, "", "start the array read-only"),
    (Mode::Create, Id::Config, "FILE", "configuration file"),
    (Mode::Assemble, Id::Scan, "", "the arrays of the configuration, or all that are found"),
    (Mode::Assemble, Id::Run, "", "start the array even if members are missing"),
    (Mode::Assemble, Id::Force, "", "take members that look out of date where the array cannot start without"),
    (Mode::Assemble, Id::Readonly, "", "start the array read-only"),
    (Mode::Assemble, Id::Uuid, "UUID", "only members of the array with this uuid"),
    (Mode::Assemble, Id::Name, "NAME", "only members of the array with this name"),
    (Mode::Assemble, Id::Nodes, "N", "nodes of a clustered array; takes --home-cluster, and changes nothing"),
    (Mode::Assemble, Id::HomeCluster, "NAME", "the cluster's name, with --nodes; changes nothing"),
    (Mode::Assemble, Id::Bitmap, "FILE", "/PATH of the array's bitmap file; or lockless: only if its bitmap is"),
    (Mode::Assemble, Id::Metadata, "FORMAT", "only members with this metadata"),
    (Mode::Manage, Id::Readwrite, "", "make an array writable again; members that follow are added without --write-mostly"),
    (Mode::Manage, Id::Force, "", "fail a member even if it has the last good copy of data"),
    (Mode::Manage, Id::Test, "", "exit status 2 where nothing was changed"),
    (Mode::Grow, Id::Bitmap, "KIND", "none, internal, lockless: what the array is to have from now on"),
    (Mode::Grow, Id::Force, "", "go on where that is dangerous"),
    (Mode::Misc, Id::Metadata, "FORMAT", "look for this metadata only"),
    (Mode::Misc, Id::Force, "", "zero also what is not recognised; stop harder"),
];

/// What there is to say of an option in a mode; `None` for options that do not exist yet.
#[must_use]
pub fn about(id: Id, mode: Option<Mode>) -> Option<About> {
    let own = IN_MODE.iter().find(|t| Some(t.0) == mode && t.1 == id).map(|t| (t.2, t.3));
    let (value, text) = own.or_else(|| TEXTS.iter().find(|t| t.0 == id).map(|t| (t.1, t.2)))?;
    Some(About { value, text })
}
