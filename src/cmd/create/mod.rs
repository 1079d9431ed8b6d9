//! `--create`.

mod after;
mod gather;
mod identity;
pub(in crate::cmd) mod kernel;

use std::io::IsTerminal;

use super::apply::Session;
use super::print::{complain, err, out};
use super::{bitmap_file, node, save};
use crate::cli::request::{BitmapChoice, CreateRequest, DataOffset, SizeChoice};
use crate::device::real::RealDevice;
use crate::error::{Exit, Refusal};
use crate::host::Host;
use crate::host::map::MapLock;
use crate::host::names::{self, TypedName};
use crate::plan::create::design::{self, Design};
use crate::plan::create::{MemberFacts, NewBitmapKind, Node, RaidLog, sizing, slots, steps};
use crate::plan::step::Plan;
use crate::superblock::Version;
use crate::superblock::v0::MAX_DISKS;
use crate::units::Sectors;
use after::after_start;
use gather::gather;
use identity::identity;

/// Runs the request.
#[must_use]
pub fn run(req: &CreateRequest) -> Exit {
    if req.common.ensure {
        return super::ensure::ensure(req);
    }
    match create(req) {
        Ok(exit) => exit,
        Err(refusal) => {
            for line in &refusal.lines {
                complain(line);
            }
            refusal.exit
        }
    }
}

pub(super) fn create(req: &CreateRequest) -> Result<Exit, Refusal> {
    if req.write_zeroes && !req.assume_clean && !req.common.plan {
        out("mdadm: Disk zeroing requested, setting --assume-clean to skip resync\n");
    }
    let wants_bitmap = design::asks_for_bitmap(req)
        && !alone(req)
        && ask(
            "To optimize recovery speed, it is recommended to enable write-intent bitmap, do you want to enable it now? [y/N]? ",
        );
    let design = design::design(req, wants_bitmap)?;
    if req.common.verbose > 0 {
        design.notes.iter().for_each(complain);
    }
    let host = Host::default();
    kernel::refuse_missing(req, &design, &host)?;
    let gathered = gather(req, &design)?;
    kernel::refuse_block_size(req, &gathered.members)?;
    let sizing = sizing::sizing(&design, given_size(req), given_offset(req), &gathered.members)?;
    let mut warned = gathered.warned;
    if let Some(note) = &sizing.note
        && req.common.verbose > 0
    {
        complain(note);
    }
    if let Some(line) = &sizing.oversize {
        warned = true;
        if !(req.common.run && req.common.is_quiet()) {
            complain(line);
        }
    }
    let present: Vec<bool> = gathered.by_index.iter().map(Option::is_some).collect();
    // A spare that is rebuilt needs a descriptor of its own for a while: a full 0.90 table has none.
    let full = design.version == Version::V090 && present.len() >= MAX_DISKS;
    let in_place = req.common.force > 0 || matches!(design.bitmap, NewBitmapKind::Lockless(_)) || full;
    let journal = gathered.journal();
    let places = slots::assign(design.level, design.raid_disks, &present, journal, in_place, design.assume_clean);
    refuse_too_few(&design, &places, &present, journal)?;
    if warned && !req.common.plan && (gathered.content || !alone(req)) {
        confirm(req)?;
    }
    remarks(req, &design, &gathered.members);
    let (lock, typed, node) = if req.common.offline { (None, None, None) } else { choose_node(req, &host)? };
    let identity = identity(req, &host, design.version, typed.as_ref(), node.as_ref())?;
    let bitmap_file = match &req.bitmap {
        Some(BitmapChoice::File(path)) => Some(bitmap_file::facts(&host, path)),
        _ => None,
    };
    let parts = steps::Parts {
        design: &design,
        sizing: &sizing,
        slots: &places,
        members: &gathered.members,
        by_index: &gathered.by_index,
        identity: &identity,
        node: node.as_ref(),
        delay: req.delay,
        logical_block_size: req.logical_block_size,
        bitmap_file: bitmap_file.as_ref(),
        force: req.common.force > 0,
    };
    let plan = steps::plan(&parts)?;
    if req.common.plan {
        out(&save::shown(&host, &req.common, &plan));
        return Ok(Exit::OK);
    }
    execute(req, &host, lock, gathered.open, &plan, &design, node.as_ref())
}

fn given_size(req: &CreateRequest) -> Option<Sectors> {
    match req.size {
        Some(SizeChoice::Sectors(s)) => Some(s),
        Some(SizeChoice::Max) | None => None,
    }
}

fn given_offset(req: &CreateRequest) -> Option<Sectors> {
    match req.data_offset {
        Some(DataOffset::Sectors(s)) => Some(s),
        Some(DataOffset::Variable) | None => None,
    }
}

/// An array that the kernel would refuse to start is refused before anything is written.
fn refuse_too_few(
    design: &Design,
    places: &slots::Slots,
    present: &[bool],
    journal: Option<usize>,
) -> Result<(), Refusal> {
    let disks = usize::try_from(design.raid_disks).unwrap_or(usize::MAX);
    let active: Vec<bool> = (0..disks)
        .map(|slot| places.assigned.iter().any(|a| a.slot.is_some_and(|s| usize::try_from(s) == Ok(slot))))
        .collect();
    if slots::enough(design.level, design.layout, &active) {
        return Ok(());
    }
    let members = present.iter().enumerate().filter(|(i, _)| Some(*i) != journal);
    let given = members.take(disks).filter(|(_, p)| **p).count();
    Err(Refusal::new(format!(
        "too many devices are missing: a {} array cannot start with these {given} of {disks}.",
        design.level.name()
    )))
}

/// A program that ensures something, without a terminal: it is not kept waiting for an answer.
fn alone(req: &CreateRequest) -> bool {
    use std::io::IsTerminal;
    req.common.ensure && !std::io::stdin().is_terminal()
}

/// Asks on stderr and reads stdin as the reference does, two bytes at a time: `y` and a line end say yes; the end of input
/// and all else say no, and what is left of a longer line answers the next question.
fn ask(question: &str) -> bool {
    use std::io::Read;
    err(question);
    let mut answer = Vec::new();
    for byte in std::io::stdin().lock().bytes() {
        answer.extend(byte.ok());
        if answer.len() >= 2 || answer.last() == Some(&b'\n') {
            break;
        }
    }
    match answer.as_slice() {
        [b'y' | b'Y', b'\n'] => true,
        [b'n' | b'N', b'\n'] => false,
        [_, _] => {
            complain("bad option.");
            false
        }
        [] => false,
        _ => {
            complain("assuming no.");
            false
        }
    }
}

fn confirm(req: &CreateRequest) -> Result<(), Refusal> {
    if req.common.run {
        if req.common.verbose > 0 {
            complain("creation continuing despite oddities due to --run");
        }
        return Ok(());
    }
    if alone(req) {
        return Err(Refusal::new("create aborted.").hint("there is nobody to ask; --run overwrites what is there"));
    }
    if ask("Continue creating array [y/N]? ") { Ok(()) } else { Err(Refusal::new("create aborted.")) }
}

/// One line each, on stderr, about what the result means.
fn remarks(req: &CreateRequest, design: &Design, members: &[MemberFacts]) {
    if req.common.is_quiet() {
        return;
    }
    if design.version == Version::V090 && req.name.is_some() {
        complain("note: --name has no effect: 0.90 metadata keep no name");
    }
    let nothing = design.bitmap == NewBitmapKind::None && design.log == RaidLog::None;
    if req.common.run && req.bitmap.is_none() && nothing && design.level.is_redundant() {
        complain("no write-intent bitmap: a crash means a full resync; add --bitmap=internal or --bitmap=lockless");
    }
    let blocks = || members.iter().map(|m| m.block);
    if let (Some(least), Some(most)) = (blocks().min(), blocks().max())
        && least != most
    {
        complain(format!("note: members have sectors of {least} and {most} bytes: those of the array have {most}"));
    }
    if let Some(why) = design::idle_write_behind(req, design) {
        complain(format!("note: --write-behind has no effect: {why}"));
    }
    if matches!(design.bitmap, NewBitmapKind::File(_)) {
        complain(crate::plan::bitmap_file::DEPRECATED);
    }
    if steps::kernel_zeroes(design, members) {
        complain(
            "every member can be zeroed by unmapping: the kernel will zero their whole data area before the array starts",
        );
    }
}

type Chosen = (Option<MapLock>, Option<TypedName>, Option<Node>);

fn choose_node(req: &CreateRequest, host: &Host) -> Result<Chosen, Refusal> {
    let typed = names::parse(&req.array.to_string_lossy())?;
    let (lock, node) = node::choose(&req.common, host, (typed.number, None), &typed.path, &[])?;
    let state = host.sysfs.array(&node.devname).text("array_state").ok().flatten();
    if state.is_some_and(|s| s.trim() != "clear") {
        return Err(Refusal::new(format!("{} is already in use.", typed.path.display())));
    }
    Ok((lock, Some(typed), Some(node)))
}

fn execute(
    req: &CreateRequest,
    host: &Host,
    lock: Option<MapLock>,
    open: Vec<RealDevice>,
    plan: &Plan,
    design: &Design,
    node: Option<&Node>,
) -> Result<Exit, Refusal> {
    let mut session = Session::new(host, &req.common);
    session.save_or_stop();
    session.lock = lock;
    session.show_progress = !req.common.is_quiet() && std::io::stderr().is_terminal();
    open.into_iter().for_each(|d| session.give(d));
    if req.common.metadata.is_none() && !req.common.is_quiet() {
        session.announce = Some("mdadm: Defaulting to version 1.2 metadata\n");
    }
    session.apply(plan).map_err(Refusal::from)?;
    let Some(node) = node else {
        if !req.common.is_quiet() {
            out(&format!("mdadm: metadata for {} written; assemble it to start it.\n", req.array.display()));
        }
        return Ok(Exit::OK);
    };
    if !req.common.is_quiet() {
        out(&format!("mdadm: array {} started.\n", node.path.display()));
    }
    Ok(after_start(req, host, &session, design))
}
