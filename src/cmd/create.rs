//! `--create`.

use std::collections::BTreeSet;
use std::path::Path;

use super::apply::{Session, reason};
use super::print::{complain, err, out};
use crate::blockio::ReadAt;
use crate::cli::request::{CreateRequest, DataOffset, SizeChoice};
use crate::device::real::{Access, NodeKind, RealDevice};
use crate::error::{Exit, Refusal};
use crate::host::Host;
use crate::host::map::MapLock;
use crate::host::names::{self, TypedName};
use crate::level::Level;
use crate::plan::create::design::{self, Design};
use crate::plan::create::{Identity, MemberFacts, NewBitmapKind, Node, sizing, slots, steps};
use crate::plan::step::Plan;
use crate::superblock::foreign::{self, Found};
use crate::superblock::v1::{Minor, read, super_offset};
use crate::units::Sectors;
use crate::uuid::Uuid;

/// The note of the reference about metadata that a boot loader may not understand.
const BOOT_NOTE: &str = "Note: this array has metadata at the start and
    may not be suitable as a boot device.  If you plan to
    store '/boot' on this device please ensure that
    your boot-loader understands md/v1.x metadata, or use
    --metadata=0.90";

/// Runs the request.
#[must_use]
pub fn run(req: &CreateRequest) -> Exit {
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

/// What the devices are, and what was warned of.
struct Gathered {
    members: Vec<MemberFacts>,
    by_index: Vec<Option<usize>>,
    open: Vec<RealDevice>,
    warned: bool,
}

fn create(req: &CreateRequest) -> Result<Exit, Refusal> {
    let wants_bitmap = design::asks_for_bitmap(req)
        && ask(
            "To optimize recovery speed, it is recommended to enable write-intent bitmap, do you want to enable it now? [y/N]? ",
        );
    let design = design::design(req, wants_bitmap)?;
    if req.common.verbose > 0 {
        design.notes.iter().for_each(complain);
    }
    let gathered = gather(req, &design)?;
    let sizing = sizing::sizing(&design, given_size(req), given_offset(req), &gathered.members)?;
    let mut warned = gathered.warned;
    if let Some(line) = &sizing.oversize {
        warned = true;
        if !(req.common.run && req.common.is_quiet()) {
            complain(line);
        }
    }
    if let Some(note) = &sizing.note
        && req.common.verbose > 0
    {
        complain(note);
    }
    let present: Vec<bool> = gathered.by_index.iter().map(Option::is_some).collect();
    let in_place = req.common.force > 0 || matches!(design.bitmap, NewBitmapKind::Lockless(_));
    let places = slots::assign(design.level, design.raid_disks, &present, in_place, req.assume_clean);
    refuse_too_few(&design, &places, &present)?;
    if warned && !req.common.plan {
        confirm(req)?;
    }
    remarks(req, &design, &gathered.members);
    let host = Host::default();
    let (lock, typed, node) = if req.common.offline { (None, None, None) } else { choose_node(req, &host)? };
    let identity = identity(req, &host, typed.as_ref())?;
    let parts = steps::Parts {
        design: &design,
        sizing: &sizing,
        slots: &places,
        members: &gathered.members,
        by_index: &gathered.by_index,
        identity: &identity,
        node: node.as_ref(),
        assume_clean: req.assume_clean,
        delay: req.delay,
    };
    let plan = steps::plan(&parts)?;
    if req.common.plan {
        out(&if req.common.json { format!("{:#}\n", plan.json()) } else { plan.text() });
        return Ok(Exit::OK);
    }
    execute(req, &host, lock, gathered.open, &plan, &design, node.as_ref())
}

/// Opens every device, warns of what is on it, and refuses what is in use.
fn gather(req: &CreateRequest, design: &Design) -> Result<Gathered, Refusal> {
    let mut g = Gathered { members: Vec::new(), by_index: Vec::new(), open: Vec::new(), warned: false };
    let loud = !(req.common.run && req.common.is_quiet());
    // The reference says it where it chose the version itself.
    let chosen = req.common.metadata.is_none();
    let at_start = chosen && design.level == Level::Raid1 && design.minor != Minor::V0 && !req.common.offline;
    let mut seen = BTreeSet::new();
    let (given, offset) = (given_size(req), given_offset(req));
    let (mut failed, mut noted) = (false, false);
    for (slot, arg) in req.members.iter().enumerate() {
        let Some(path) = &arg.path else {
            g.by_index.push(None);
            continue;
        };
        let shown = path.display();
        if !seen.insert(identity_of(path)) {
            return Err(Refusal::new(format!("{shown} is listed twice.")));
        }
        let device = open_member(path, req.common.offline)?;
        refuse_foreign(path, &device)?;
        let member = facts(req, design, slot, path, &device, arg.write_mostly, arg.failfast)?;
        let first = g.members.first().map_or(member.size, |m| m.size);
        let faults = sizing::faults(design, given, offset, first, &member);
        g.by_index.push(Some(g.members.len()));
        g.members.push(member);
        g.open.push(device);
        if chosen && g.members.len() == 1 && faults.iter().any(|l| l.starts_with("device ")) {
            return Err(Refusal::new(format!("device {shown} not suitable for any style of array"))
                .with_exit(Exit::USAGE)
                .hint(faults.first().map_or("", String::as_str)));
        }
        if !faults.is_empty() {
            failed = true;
            // The reference prints this one line without its name.
            faults.iter().for_each(|l| if l.starts_with("device ") { err(&format!("{l}\n")) } else { complain(l) });
            continue;
        }
        g.warned |= g.open.last().is_some_and(|d| warn_of_content(path, d, loud));
        if at_start && !noted {
            noted = true;
            g.warned = true;
            if loud {
                complain(BOOT_NOTE);
            }
        }
    }
    if failed { Err(Refusal::new("create aborted")) } else { Ok(g) }
}

/// The same for all names of a device or file.
fn identity_of(path: &Path) -> String {
    match crate::host::devmap::block_dev(path) {
        Some(dev) => format!("{dev:?}"),
        None => std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()).display().to_string(),
    }
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

fn open_member(path: &Path, offline: bool) -> Result<RealDevice, Refusal> {
    let shown = path.display();
    let device = RealDevice::open(path, Access::WriteExclusive).map_err(|e| match e.raw_os_error() {
        Some(libc::ENOTBLK) | Some(libc::EISDIR) => {
            Refusal::new(format!("{shown} is not a block device.")).with_exit(Exit::USAGE)
        }
        _ => cannot_open(path, &e),
    })?;
    if device.kind() == NodeKind::File && !offline {
        return Err(Refusal::new(format!("{shown} is not a block device.")).with_exit(Exit::USAGE));
    }
    Ok(device)
}

fn cannot_open(path: &Path, e: &std::io::Error) -> Refusal {
    let mut refusal = Refusal::new(format!("cannot open {}: {}", path.display(), reason(e))).with_exit(Exit::USAGE);
    if e.raw_os_error() == Some(libc::EBUSY)
        && let Some(dev) = crate::host::devmap::block_dev(path)
    {
        for holder in Host::default().holders(dev) {
            refusal = refusal.hint(format!("{} is {holder}", path.display()));
        }
    }
    refusal
}

/// DDF and IMSM sets are in use: their metadata would stay and be found again.
fn refuse_foreign(path: &Path, device: &RealDevice) -> Result<(), Refusal> {
    for found in foreign::raid_metadata(device) {
        if matches!(found, Found::Ddf(_) | Found::Imsm(_)) {
            let shown = path.display();
            return Err(Refusal::new(format!("{shown} is in use: it holds {}.", found.name()))
                .hint(format!("If that set is not needed any more: mdadm --zero-superblock --force {shown}")));
        }
    }
    Ok(())
}

fn local_time(seconds: i64) -> String {
    crate::kernel::clock::local(seconds).map(|t| crate::time::asctime(&t)).unwrap_or_default()
}

/// Prints what is on the device, in the reference's words. Whether there is anything.
fn warn_of_content(path: &Path, device: &RealDevice, loud: bool) -> bool {
    let shown = path.display();
    let mut warned = false;
    let mut say = |to_stdout: bool, text: String| {
        warned = true;
        if loud {
            if to_stdout {
                out(&text);
            } else {
                err(&text);
            }
        }
    };
    if let Some(fs) = foreign::file_system(device) {
        if fs.is_ext() {
            say(true, format!("mdadm: {shown} appears to contain an ext2fs file system\n"));
            let mtime = fs.mtime.map(|t| local_time(t.into())).unwrap_or_default();
            say(true, format!("mdadm: size={}K  mtime={mtime}\n", fs.size_kib.unwrap_or(0)));
        } else {
            // The reference does not know it and so does not ask.
            if loud {
                complain(format!("{shown} appears to contain {}", fs.name()));
            }
        }
    }
    if let Ok(Some((_, sb))) = crate::superblock::v1::read_any(device) {
        let level = Level::from_raw(sb.level_raw()).map_or("-unknown-", Level::name);
        let ctime = local_time(i64::try_from(sb.ctime()).unwrap_or(0));
        say(false, format!("mdadm: {shown} appears to be part of a raid array:\n"));
        say(false, format!("       level={level} devices={} ctime={ctime}\n", sb.raid_disks()));
    } else if let Some(sb) = foreign::v090(device) {
        let level = Level::from_raw(sb.level_raw).map_or("-unknown-", Level::name);
        let ctime = local_time(sb.ctime.into());
        say(false, format!("mdadm: {shown} appears to be part of a raid array:\n"));
        say(false, format!("       level={level} devices={} ctime={ctime}\n", sb.raid_disks));
    } else if let Some(table) = foreign::gpt(device).or_else(|| foreign::mbr(device)) {
        say(false, format!("mdadm: partition table exists on {shown}\n"));
        let _ = table;
    }
    warned
}

fn facts(
    req: &CreateRequest,
    design: &Design,
    slot: usize,
    path: &Path,
    device: &RealDevice,
    write_mostly: bool,
    failfast: bool,
) -> Result<MemberFacts, Refusal> {
    let size = device.size().sectors();
    let device_uuid = match (req.common.offline, req.uuid) {
        (true, Some(set)) => derived_uuid(set, slot),
        _ => Uuid(*uuid::Uuid::new_v4().as_bytes()),
    };
    let host = Host::default();
    let zeroes_by_unmap = host
        .sysfs
        .disk_name(device.dev())
        .and_then(|name| {
            std::fs::read_to_string(host.sysfs.root().join(format!("block/{name}/queue/write_zeroes_unmap_max_bytes")))
                .ok()
        })
        .and_then(|text| text.trim().parse::<u64>().ok())
        .is_some_and(|n| n > 0);
    Ok(MemberFacts {
        path: path.to_owned(),
        dev: device.dev(),
        size,
        block: device.logical_block_size(),
        write_mostly,
        failfast,
        data_offset: None,
        device_uuid,
        stale_supers: stale_supers(design, device, size),
        zeroes_by_unmap,
    })
}

/// The older md superblocks that would be found beside the new one.
fn stale_supers(design: &Design, device: &RealDevice, size: Sectors) -> Vec<(u64, u32)> {
    let mut stale = Vec::new();
    for minor in Minor::ALL.into_iter().filter(|m| *m != design.minor) {
        if !matches!(read(device, minor), Ok(None))
            && let Some(at) = super_offset(minor, size)
        {
            stale.push((at.0 * 512, 4096));
        }
    }
    if let Some(at) = foreign::v090_offset(device.size().0).filter(|_| foreign::v090(device).is_some()) {
        stale.push((at, 4096));
    }
    stale
}

/// With `--offline` and `--uuid` the same command gives the same bytes: the array's uuid, mixed with the place.
fn derived_uuid(set: Uuid, slot: usize) -> Uuid {
    let mut bytes = set.0;
    for (b, s) in bytes.iter_mut().rev().zip((slot as u64 + 1).to_le_bytes()) {
        *b ^= s;
    }
    // A fixed mark, so that no device has the uuid of an array that was numbered likewise.
    for (b, m) in bytes.iter_mut().zip(*b"md-device") {
        *b ^= m;
    }
    Uuid(bytes)
}

/// An array that the kernel would refuse to start is refused before anything is written.
fn refuse_too_few(design: &Design, places: &slots::Slots, present: &[bool]) -> Result<(), Refusal> {
    let disks = usize::try_from(design.raid_disks).unwrap_or(usize::MAX);
    let active: Vec<bool> = (0..disks)
        .map(|slot| places.assigned.iter().any(|a| a.slot.is_some_and(|s| usize::try_from(s) == Ok(slot))))
        .collect();
    if slots::enough(design.level, design.layout, &active) {
        return Ok(());
    }
    let given = present.iter().take(disks).filter(|p| **p).count();
    Err(Refusal::new(format!(
        "too many devices are missing: a {} array cannot start with these {given} of {disks}.",
        design.level.name()
    )))
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
        [_, _] | [b'\n'] => {
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
    if ask("Continue creating array [y/N]? ") { Ok(()) } else { Err(Refusal::new("create aborted.")) }
}

/// One line each, on stderr, about what the result means.
fn remarks(req: &CreateRequest, design: &Design, members: &[MemberFacts]) {
    if req.common.is_quiet() {
        return;
    }
    if req.common.run && req.bitmap.is_none() && design.bitmap == NewBitmapKind::None && design.level.is_redundant() {
        complain("no write-intent bitmap: a crash means a full resync; add --bitmap=internal or --bitmap=lockless");
    }
    if steps::kernel_zeroes(design, members, req.assume_clean) {
        complain(
            "every member can be zeroed by unmapping: the kernel will zero their whole data area before the array starts",
        );
    }
}

type Chosen = (Option<MapLock>, Option<TypedName>, Option<Node>);

/// The array's number. The map file stays locked until the array is in it, or two commands take the same free number.
fn choose_node(req: &CreateRequest, host: &Host) -> Result<Chosen, Refusal> {
    let typed = names::parse(&req.array.to_string_lossy())?;
    let (lock, map) = if req.common.plan {
        (None, host.map().load().unwrap_or_default())
    } else {
        let lock = host.map().lock().map_err(|e| Refusal::new(format!("cannot lock the map file: {}", reason(&e))))?;
        let map = lock.load();
        (Some(lock), map)
    };
    let number = typed.number.or_else(|| names::free_number(host, &map));
    let Some(number) = number else {
        return Err(Refusal::new("no free number for a new array"));
    };
    let state = host.sysfs.array(&format!("md{number}")).text("array_state").ok().flatten();
    if state.is_some_and(|s| s.trim() != "clear") {
        return Err(Refusal::new(format!("{} is already in use.", typed.path.display())));
    }
    let node = Node { devname: format!("md{number}"), path: typed.path.clone(), readonly: req.common.readonly };
    Ok((lock, Some(typed), Some(node)))
}

fn identity(req: &CreateRequest, host: &Host, typed: Option<&TypedName>) -> Result<Identity, Refusal> {
    let from_path = match typed {
        Some(t) => t.name.clone(),
        None => names::parse(&req.array.to_string_lossy())?.name,
    };
    let name = req.name.clone().unwrap_or(from_path);
    let homehost = match req.common.homehost.as_deref() {
        Some("<none>") => None,
        Some("<system>" | "<ignore>") | None if !req.common.offline => Some(host.hostname()),
        Some("<system>" | "<ignore>") | None => None,
        Some(other) => Some(other.to_owned()),
    };
    let set_name = match homehost {
        Some(h) if !h.is_empty() && h.len() + 1 + name.len() < 32 && !name.contains(':') => format!("{h}:{name}"),
        _ => name,
    };
    // A name of 32 bytes loses its last: the reference ends it with a zero.
    let mut set_name = set_name.into_bytes();
    set_name.truncate(31);
    let epoch = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|t| t.parse().ok());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let time = if req.common.offline { epoch.unwrap_or(now) } else { now };
    let uuid = req.uuid.unwrap_or_else(|| Uuid(*uuid::Uuid::new_v4().as_bytes()));
    Ok(Identity { uuid, set_name, time })
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
    let mut session = Session::new(host);
    session.lock = lock;
    open.into_iter().for_each(|d| session.give(d));
    if req.common.metadata.is_none() && !req.common.is_quiet() {
        out("mdadm: Defaulting to version 1.2 metadata\n");
    }
    session.apply(plan).map_err(|e| {
        let mut refusal = Refusal::new(e.line);
        if matches!(design.bitmap, NewBitmapKind::Lockless(_))
            && refusal.lines.iter().any(|l| l.contains("bitmap_type"))
        {
            refusal = refusal
                .hint("this kernel has no lockless bitmap: it takes Linux 6.18 or later built with CONFIG_MD_LLBITMAP");
        }
        e.after.into_iter().fold(refusal, Refusal::hint)
    })?;
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

/// The bitmap chunk that the kernel chose, in KiB; it counts in sectors.
fn lockless_chunk_kib(array: &crate::host::node::OpenArray) -> Option<u64> {
    let text = array.sysfs.text("llbitmap/metadata").ok()??;
    let line = text.lines().find_map(|l| l.trim().strip_prefix("chunksize"))?;
    line.trim().parse::<u64>().ok().map(|sectors| sectors / 2)
}

/// What is seen once the array runs: the bitmap that was asked for, its chunk, its node, the kernels that can read it.
fn after_start(req: &CreateRequest, host: &Host, session: &Session<'_>, design: &Design) -> Exit {
    let Some(array) = &session.array else { return Exit::FAIL };
    let mut exit = Exit::OK;
    if matches!(design.bitmap, NewBitmapKind::Lockless(_)) {
        let text = array.sysfs.text("bitmap_type").ok().flatten().unwrap_or_default();
        if !text.contains("[llbitmap]") {
            complain(format!(
                "{}: the lockless bitmap is not active: md/bitmap_type shows '{}'",
                array.name.path.display(),
                text.trim()
            ));
            exit = Exit::FAIL;
        }
    }
    if !req.common.is_quiet()
        && let Some(kib) = lockless_chunk_kib(array)
    {
        complain(format!("lockless bitmap with chunks of {kib}K"));
    }
    if host.udev_runs() && !host.wait_for_path(&array.name) {
        complain(format!("timeout waiting for {}", array.name.path.display()));
        exit = Exit::FAIL;
    }
    if !req.common.is_quiet() {
        let logical = array.sysfs.text("logical_block_size").ok().flatten().is_some();
        match (logical, matches!(design.bitmap, NewBitmapKind::Lockless(_))) {
            (true, _) => complain(
                "note: this kernel records the logical block size; only Linux 6.19 and later can assemble the array",
            ),
            (false, true) => complain("note: only Linux 6.18 and later can assemble an array with a lockless bitmap"),
            (false, false) => {}
        }
    }
    exit
}
