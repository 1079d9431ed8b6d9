//! `--assemble`.

use std::path::{Path, PathBuf};

use super::apply::{ApplyError, Session, reason};
use super::print::{complain, out};
use crate::bitmap::summary;
use crate::blockio::ReadAt;
use crate::cli::request::{AssembleRequest, BitmapChoice, Metadata};
use crate::device::real::{Access, NodeKind, RealDevice};
use crate::error::{Exit, Refusal};
use crate::host::Host;
use crate::host::map::MapLock;
use crate::host::names;
use crate::plan::assemble::start::explain;
use crate::plan::assemble::steps::{Decision, decide};
use crate::plan::assemble::{Candidate, Content, Line, Member, Update, Wishes};
use crate::plan::create::Node;
use crate::superblock::foreign;
use crate::superblock::v1::{Minor, SuperV1, read, read_any, super_offset};
use crate::units::Sectors;
use crate::uuid::Uuid;

/// Updates that make no sense for 1.x metadata: the reference refuses them with these words.
const NOT_FOR_V1: [&str; 5] = ["sparc2.2", "super-minor", "summaries", "metadata", "byteorder"];

/// Runs the request.
#[must_use]
pub fn run(req: &AssembleRequest) -> Exit {
    match assemble(req) {
        Ok(exit) => exit,
        Err(refusal) => {
            refusal.lines.iter().for_each(complain);
            refusal.exit
        }
    }
}

fn assemble(req: &AssembleRequest) -> Result<Exit, Refusal> {
    let Some(array) = req.array.as_deref().filter(|_| !req.common.scan) else {
        return Err(no_scan());
    };
    let typed = names::parse(&array.to_string_lossy())?;
    if req.no_degraded {
        return Err(Refusal::new("--no-degraded not meaningful without a --scan assembly."));
    }
    let named = req.uuid.is_some() || req.name.is_some() || req.super_minor.is_some();
    if req.members.is_empty() && (!named || matches!(req.update.as_deref(), Some("uuid" | "name"))) {
        let line = format!("{} not identified in config file.", typed.path.display());
        return Err(Refusal::new(line).hint("name its members, or --uuid= or --name="));
    }
    let host = Host::default();
    let (lock, node) = super::node::choose(&req.common, &host, typed.number, &typed.path)?;
    let wishes = wishes(req, &host, &node)?;
    let listed = if wishes.searched { all_devices(&host) } else { req.members.clone() };
    let candidates: Vec<Candidate> = listed.iter().map(|path| candidate(path, wishes.minor)).collect();
    let say = |lines: &[Line]| {
        lines.iter().filter(|l| req.common.verbose >= l.verbose).for_each(|l| complain(&l.text));
    };
    let decision = decide(&wishes, &candidates, &node).map_err(|(lines, refusal)| {
        say(&lines);
        if !wishes.searched {
            name_holders(req, &host, &candidates);
        }
        refusal
    })?;
    say(&decision.lines);
    if let Some(path) = already_active(&host, decision.uuid) {
        let line = format!("Found some drive for an array that is already active: {}", path.display());
        return Err(Refusal::new(line).hint("giving up."));
    }
    if !decision.start.go {
        return Err(Refusal::new(format!("{} {}", wishes.shown, decision.start.said)));
    }
    if req.common.plan {
        let plan = &decision.plan;
        out(&if req.common.json { format!("{:#}\n", plan.json()) } else { plan.text() });
        return Ok(Exit::OK);
    }
    execute(req, &host, lock, &decision, &wishes)
}

fn no_scan() -> Refusal {
    Refusal::new(
        "--assemble --scan is not in this version of mdadm-rs yet: name the array, and its members, --uuid= or --name=; nothing was changed",
    )
}

/// All block devices, the last of /proc/partitions first, as the reference looks through them.
fn all_devices(host: &Host) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(host.proc.join("partitions")).unwrap_or_default();
    let names = text.lines().skip(2).filter_map(|line| line.split_ascii_whitespace().nth(3));
    let mut paths: Vec<PathBuf> = names.map(|name| host.dev.join(name)).filter(|p| p.exists()).collect();
    paths.reverse();
    paths
}

/// The running array with this uuid: its other members must not become a second one.
fn already_active(host: &Host, uuid: Uuid) -> Option<PathBuf> {
    let map = host.map().load().unwrap_or_default();
    let running = |devname: &String| host.sysfs.array(devname).members().first().map(|m| m.name().to_owned());
    host.sysfs.arrays().into_iter().find_map(|devname| {
        let member = running(&devname)?;
        let entry = map.iter().find(|e| e.devname == devname);
        let of_member = || {
            let device = RealDevice::open(&host.dev.join(member), Access::Read).ok()?;
            read_any(&device).ok()?.map(|(_, sb)| sb.set_uuid())
        };
        // The map file may be gone, or of an older array with that number.
        let known = of_member().or(entry.map(|e| e.uuid))?;
        (known == uuid).then(|| entry.and_then(|e| e.path.clone()).unwrap_or_else(|| host.dev.join(&devname)))
    })
}

/// Says who holds the members that are busy.
fn name_holders(req: &AssembleRequest, host: &Host, candidates: &[Candidate]) {
    for c in candidates {
        if matches!(&c.content, Content::Member(m) if m.busy) && !req.common.is_quiet() {
            for holder in host.holders(c.dev) {
                complain(format!("{} is {holder}", c.path.display()));
            }
        }
    }
}

fn wishes(req: &AssembleRequest, host: &Host, node: &Node) -> Result<Wishes, Refusal> {
    let homehost = match req.common.homehost.as_deref() {
        Some("<ignore>" | "<none>" | "any") => None,
        Some("<system>") | None => Some(host.hostname()),
        Some(other) => Some(other.to_owned()),
    }
    .filter(|h| !h.is_empty());
    let minor = match req.common.metadata {
        Some(Metadata::V1_0) => Some(Minor::V0),
        Some(Metadata::V1_1) => Some(Minor::V1),
        Some(Metadata::V1_2) => Some(Minor::V2),
        Some(Metadata::V090 | Metadata::Ddf | Metadata::Imsm) => {
            return Err(Refusal::new("this version of mdadm-rs assembles arrays with metadata 1.0, 1.1 and 1.2 only"));
        }
        Some(Metadata::V1Default) | None => None,
    };
    Ok(Wishes {
        shown: node.path.display().to_string(),
        searched: req.members.is_empty(),
        uuid: req.uuid,
        name: req.name.clone(),
        update: update(req, homehost.as_deref(), &node.devname)?,
        homehost,
        minor,
        super_minor: req.super_minor.is_some(),
        force: req.common.force > 0,
        run: req.common.run,
        readonly: req.common.readonly,
        lockless: req.bitmap == Some(BitmapChoice::Lockless),
    })
}

fn update(req: &AssembleRequest, homehost: Option<&str>, devname: &str) -> Result<Option<Update>, Refusal> {
    let Some(word) = req.update.as_deref() else { return Ok(None) };
    let default_name = devname.trim_start_matches("md");
    Ok(Some(match word {
        "uuid" => Update::Uuid(req.uuid.unwrap_or_else(|| Uuid(*uuid::Uuid::new_v4().as_bytes()))),
        "name" => {
            let name = req.name.as_deref().unwrap_or(default_name);
            Update::Name(match homehost {
                Some(h) if h.len() + 1 + name.len() <= 32 && !name.contains(':') => format!("{h}:{name}").into_bytes(),
                _ => name.as_bytes().to_vec(),
            })
        }
        "homehost" => Update::HomeHost(homehost.unwrap_or_default().to_owned()),
        "resync" => Update::Resync,
        "layout-original" => Update::Raid0Layout(1),
        "layout-alternate" => Update::Raid0Layout(2),
        word if NOT_FOR_V1.contains(&word) => {
            return Err(Refusal::new(format!("--update={word} not understood for 1.x metadata")));
        }
        word => {
            return Err(Refusal::new(format!(
                "--update={word} is not in this version of mdadm-rs yet; nothing was changed"
            )));
        }
    }))
}

/// Reads what is on a device; every failure is a line of its own.
fn candidate(path: &Path, minor: Option<Minor>) -> Candidate {
    let mut c = Candidate {
        path: path.to_owned(),
        dev: (0, 0),
        size: Sectors(0),
        block: 512,
        content: Content::Unusable(format!("{} is not a block device.", path.display())),
    };
    match RealDevice::open(path, Access::Read) {
        Err(e) if e.raw_os_error() != Some(libc::ENOTBLK) => {
            c.content = Content::Unusable(format!("cannot open device {}: {}", path.display(), reason(&e)));
        }
        Ok(device) if device.kind() == NodeKind::Block => {
            c.dev = device.dev();
            c.size = device.size().sectors();
            c.block = device.logical_block_size();
            c.content = content(path, &device, minor);
        }
        _ => {}
    }
    c
}

fn content(path: &Path, device: &RealDevice, minor: Option<Minor>) -> Content {
    let found = match minor {
        Some(minor) => read(device, minor).map(|found| found.map(|sb| (minor, sb))),
        None => read_any(device),
    };
    match found {
        Err(e) => Content::Broken(e.to_string()),
        Ok(Some((minor, sb))) => match sb.check(device.size().sectors()) {
            Err(e) => Content::Broken(e.to_string()),
            Ok(()) => Content::Member(Box::new(member(path, device, minor, sb))),
        },
        Ok(None) => match foreign::raid_metadata(device).first() {
            Some(found) => Content::Foreign(found.name()),
            None => Content::Nothing(Minor::ALL.map(|m| magic(device, m))),
        },
    }
}

/// The word where the magic would be.
fn magic(device: &RealDevice, minor: Minor) -> u32 {
    let mut word = [0u8; 4];
    let at = super_offset(minor, device.size().sectors()).and_then(Sectors::bytes);
    match at.map(|at| device.read_at(at.0, &mut word)) {
        Some(Ok(())) => u32::from_le_bytes(word),
        _ => 0,
    }
}

fn member(path: &Path, device: &RealDevice, minor: Minor, sb: SuperV1) -> Member {
    let busy = RealDevice::open(path, Access::ReadExclusive).is_err_and(|e| e.raw_os_error() == Some(libc::EBUSY));
    let bitmap = summary::read(device, &sb).map_err(|e| e.to_string()).transpose();
    let seconds = i64::try_from(sb.utime()).unwrap_or(0);
    let updated = crate::kernel::clock::local(seconds).map_or_else(String::new, |t| crate::time::asctime(&t));
    Member { minor, sb, bitmap, busy, updated: updated.trim_end().to_owned() }
}

fn execute(
    req: &AssembleRequest,
    host: &Host,
    lock: Option<MapLock>,
    decision: &Decision,
    wishes: &Wishes,
) -> Result<Exit, Refusal> {
    let mut session = Session::new(host);
    session.lock = lock;
    session.apply(&decision.plan).map_err(|e| failed(e, decision, wishes))?;
    if !req.common.is_quiet() {
        out(&format!("mdadm: {} {}\n", wishes.shown, decision.start.said));
    }
    Ok(after_start(host, &session, decision, wishes))
}

/// What failed, in the reference's words where it has them, and why where that is known.
fn failed(e: ApplyError, decision: &Decision, wishes: &Wishes) -> Refusal {
    let shown = &wishes.shown;
    if let Some(why) = e.line.strip_prefix("RUN_ARRAY failed: ") {
        let mut refusal = Refusal::new(format!("failed to RUN_ARRAY {shown}: {why}"));
        if let Some(line) = &decision.start.on_failure {
            refusal = refusal.hint(line);
        } else {
            refusal = explain(&decision.sb, kernel_is(6, 19)).into_iter().fold(refusal, Refusal::hint);
            refusal = refusal.hint("the kernel log (dmesg) has its reason");
        }
        return e.after.into_iter().fold(refusal, Refusal::hint);
    }
    let line = match e.line.strip_prefix("ADD_NEW_DISK for ").and_then(|rest| rest.split_once(" failed: ")) {
        Some((device, why)) => format!("failed to add {device} to {shown}: {why}"),
        None => e.line,
    };
    let of_bitmap = decision.lockless && line.contains("bitmap_type");
    let mut refusal = Refusal::new(line);
    if of_bitmap {
        refusal = refusal.hint("the array has a lockless bitmap");
    } else {
        refusal = explain(&decision.sb, kernel_is(6, 19)).into_iter().fold(refusal, Refusal::hint);
    }
    e.after.into_iter().fold(refusal, Refusal::hint)
}

/// Whether the running kernel is at least this one.
fn kernel_is(major: u32, minor: u32) -> bool {
    let release = nix::sys::utsname::uname().map(|u| u.release().to_string_lossy().into_owned()).unwrap_or_default();
    let mut numbers = release.split(['.', '-']).map_while(|n| n.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (major, minor)
}

/// What is seen once the array runs: its name, and members that the kernel left out.
fn after_start(host: &Host, session: &Session<'_>, decision: &Decision, wishes: &Wishes) -> Exit {
    let Some(array) = &session.array else { return Exit::FAIL };
    let mut exit = Exit::OK;
    let degraded = array.sysfs.text("degraded").ok().flatten().and_then(|t| t.trim().parse::<usize>().ok());
    if degraded.is_some_and(|n| n > decision.missing) {
        complain(format!("{}: the kernel left members out: see its log (dmesg) and --detail", wishes.shown));
    }
    if decision.lockless {
        let text = array.sysfs.text("bitmap_type").ok().flatten().unwrap_or_default();
        if !text.contains("[llbitmap]") {
            let shows = text.trim();
            complain(format!("{}: the lockless bitmap is not active: md/bitmap_type shows '{shows}'", wishes.shown));
            exit = Exit::FAIL;
        }
    }
    if host.udev_runs() && !host.wait_for_path(&array.name) {
        complain(format!("timeout waiting for {}", array.name.path.display()));
        exit = Exit::FAIL;
    }
    exit
}
