//! clap commands generated from the table: one per mode for help, one over all for completions.
//!
//! They are built only where they are shown: reading a command line needs none of them (docs/design-notes.md has the
//! cost). clap's own abbreviation of options stays off; `table::long` has the reference's.

use clap::{Arg, ArgAction, Command, ValueHint};

use super::about::about;
use super::mode::{ALL, Mode};
use super::table::{self, Arity, Id, Opt};

/// How a mode is called, and what it is for.
pub(super) fn usage(mode: Mode) -> (&'static str, &'static str) {
    match mode {
        Mode::Create => (
            "mdadm --create ARRAY --level=LEVEL --raid-devices=N [OPTION]... MEMBER...",
            "Makes a new array. The word missing stands for a member that is not there yet.\n\
             What is on the members is looked at first; mdadm asks before it takes one that is in use.",
        ),
        Mode::Assemble => (
            "mdadm --assemble ARRAY [OPTION]... MEMBER...",
            "Puts an array together again from its members, and starts it if it can be started.",
        ),
        Mode::Misc => (
            "mdadm [--misc] OPERATION [OPTION]... DEVICE...",
            "Does the operation on each device that follows it. Operations may be mixed; --examine stands alone.",
        ),
        Mode::Manage => (
            "mdadm --manage ARRAY OPERATION...",
            "Acts on one array. A device name in front of all options means this mode too.",
        ),
        Mode::Build => (
            "mdadm --build ARRAY --level=LEVEL --raid-devices=N [OPTION]... MEMBER...",
            "Makes an array of devices that hold nothing but data: no metadata is written to them or read from them, so the\n\
             same has to be said at every start. The word missing stands for a member that is not there.",
        ),
        Mode::Grow => ("mdadm --grow ARRAY [OPTION]...", "Changes an array while it runs."),
        Mode::Incremental => (
            "mdadm --incremental [OPTION]... DEVICE",
            "Takes one device that has just been found, adds it to the array it belongs to, and starts the array once it is\n\
             complete: what udev calls for every device. With --fail it takes one out that is gone.",
        ),
        Mode::AutoDetect => (
            "mdadm --auto-detect",
            "Has the kernel start the arrays with 0.90 metadata on partitions of the type \"Linux raid autodetect\".",
        ),
        Mode::Monitor => (
            "mdadm --monitor --scan|ARRAY... [OPTION]...",
            "Watches arrays and tells what happens to them: on stdout, by mail, to a program, to syslog.",
        ),
    }
}

/// The modes that exist in this version.
pub const BUILT: [Mode; 9] = [
    Mode::Create,
    Mode::Build,
    Mode::Assemble,
    Mode::Manage,
    Mode::Misc,
    Mode::Grow,
    Mode::Incremental,
    Mode::Monitor,
    Mode::AutoDetect,
];

/// The command of one mode.
#[must_use]
pub fn of(mode: Mode) -> Command {
    let (usage, about) = usage(mode);
    let shown = |o: &&Opt| exists(o, mode);
    let args = first_names().filter(shown).map(|o| arg(o, Some(mode)));
    plain(Command::new("mdadm")).override_usage(usage).about(about).args(args)
}

/// Whether the option does something in this mode, in this version.
#[must_use]
pub fn exists(opt: &Opt, mode: Mode) -> bool {
    BUILT.contains(&mode) && !opt.later && opt.modes.has(mode) && !ABSENT.contains(&(mode, opt.id))
}

/// Known to the reading, and to the mode once it can do more.
const ABSENT: &[(Mode, Id)] = &[
    (Mode::Manage, Id::Update),
    (Mode::Misc, Id::Name),
    (Mode::Misc, Id::Update),
    (Mode::Grow, Id::Chunk),
    (Mode::Grow, Id::DataOffset),
    (Mode::Grow, Id::Nodes),
];

/// All options at once, in the order of the table: what a shell can complete behind `mdadm`.
#[must_use]
pub fn whole() -> Command {
    let args = first_names().filter(|o| !o.later).map(|o| arg(o, None));
    let devices = Arg::new("device").num_args(0..).value_hint(ValueHint::FilePath);
    plain(Command::new("mdadm")).about("administer Linux software RAID (md)").args(args).arg(devices)
}

/// Options that every mode takes.
#[must_use]
pub fn everywhere() -> Command {
    let args = first_names().filter(|o| !o.later && o.modes == ALL).map(|o| arg(o, None));
    plain(Command::new("mdadm"))
        .override_usage("mdadm [MODE] [OPTION]... DEVICE...")
        .about("Options that every mode takes:")
        .args(args)
}

fn plain(command: Command) -> Command {
    command.disable_help_flag(true).disable_version_flag(true)
}

/// The table without the second and further names of an option.
fn first_names() -> impl Iterator<Item = &'static Opt> {
    table::TABLE.iter().filter(|o| main_name(o.id) == Some(o.long))
}

/// Of synonyms, the one with the letter, else the first.
fn main_name(id: Id) -> Option<&'static str> {
    let same = || table::TABLE.iter().filter(|o| o.id == id);
    same().find(|o| o.short.is_some()).or_else(|| same().next()).map(|o| o.long)
}

/// Words that a shell can offer as values.
fn words(id: Id) -> Option<&'static [&'static str]> {
    Some(match id {
        Id::Bitmap => &["none", "internal", "lockless"],
        Id::Level => &["linear", "raid0", "raid1", "raid4", "raid5", "raid6", "raid10"],
        Id::Metadata => &["1.0", "1.1", "1.2"],
        Id::ConsistencyPolicy => &["resync", "bitmap"],
        Id::Update => &["uuid", "name", "homehost", "resync"],
        _ => return None,
    })
}

fn arg(opt: &'static Opt, mode: Option<Mode>) -> Arg {
    let others = table::TABLE.iter().filter(|o| o.id == opt.id && o.long != opt.long).map(|o| o.long);
    let mut arg = Arg::new(opt.long).long(opt.long).visible_aliases(others.collect::<Vec<_>>());
    let one_meaning = |c| table::TABLE.iter().filter(|o| !o.later && o.short.is_some_and(|s| s.0 == c)).count() == 1;
    let letter = opt.short.filter(|s| mode.map_or_else(|| one_meaning(s.0), |m| s.1.has(m)));
    if let Some((letter, _)) = letter {
        arg = arg.short(letter);
    }
    let text = about(opt.id, mode);
    if let Some(text) = &text {
        arg = arg.help(text.text);
    }
    arg = match opt.arity {
        Arity::Flag => arg.action(ArgAction::SetTrue),
        Arity::Value => arg.value_name(text.map_or("VALUE", |t| t.value)),
        Arity::Optional => arg.num_args(0..=1).require_equals(true),
    };
    if let Some(words) = words(opt.id) {
        arg = arg.value_parser(words.to_vec()).hide_possible_values(true);
    }
    if opt.modes == ALL { arg.help_heading("Options of every mode") } else { arg }
}
