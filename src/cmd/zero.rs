//! `--zero-superblock`: makes the kernel and us forget that a device was a member.

use std::path::{Path, PathBuf};

use crate::cli::request::{Common, Metadata};
use crate::cmd::apply::{Session, reason};
use crate::cmd::whose;
use crate::cmd::{print, save};
use crate::device::ReadAt;
use crate::device::real::{Access, RealDevice};
use crate::error::Exit;
use crate::host::Host;
use crate::host::devmap::block_dev;
use crate::output::escape;
use crate::plan::step::Plan;
use crate::plan::zero::{self, Target};
use crate::superblock::SuperError;
use crate::superblock::foreign::{self, Found};
use crate::superblock::v0;
use crate::superblock::v1::{self, MAGIC, Minor};

/// Zeroes the superblocks of these devices, one after the other.
pub fn run(common: &Common, paths: &[PathBuf]) -> Exit {
    let host = Host::default();
    let mut exit = Exit::OK;
    let mut whole = Plan::default();
    for path in paths {
        let device = escape::text(path.as_os_str().as_encoded_bytes());
        match one(&host, common, path, &device) {
            Ok(plan) => whole.steps.extend(plan.steps),
            Err(failure) => {
                if !common.is_quiet() || failure.even_if_quiet {
                    failure.lines.iter().for_each(print::complain);
                }
                exit = exit.worst(failure.exit);
            }
        }
    }
    if common.plan {
        print::out(&save::shown(&host, common, &whole));
    }
    exit
}

struct Failure {
    lines: Vec<String>,
    exit: Exit,
    even_if_quiet: bool,
}

fn failure<T>(lines: Vec<String>, exit: Exit) -> Result<T, Failure> {
    Err(Failure { lines, exit, even_if_quiet: false })
}

/// Zeroes what is on one device; with `--plan` only gives the steps.
fn one(host: &Host, common: &Common, path: &Path, device: &str) -> Result<Plan, Failure> {
    let dev = open(host, common, path, device)?;
    let targets = match common.metadata {
        None => any(common, &dev, device)?,
        Some(Metadata::Ddf) => set(common, &dev, device, foreign::ddf(&dev).map(Found::Ddf))?,
        Some(Metadata::Imsm) => set(common, &dev, device, foreign::imsm(&dev).map(Found::Imsm))?,
        Some(metadata) => named(common, &dev, device, metadata)?,
    };
    refuse_of_another(host, common, &dev, device, &targets)?;
    let plan = zero::plan(path, &targets);
    if !common.plan {
        let mut session = Session::new(host, common);
        session.save_or_stop();
        session.give(dev);
        if let Err(e) = session.apply(&plan) {
            let mut lines = vec![format!("Could not zero superblock on {device}: {}", e.line)];
            lines.extend(e.after);
            return Err(Failure { lines, exit: Exit::FAIL, even_if_quiet: true });
        }
        if !common.is_quiet() {
            for t in targets.iter().filter(|t| !t.found.is_empty()) {
                print::complain(format!("note: zeroed on {device}, at byte {}: {}", t.offset, t.found));
            }
        }
    }
    Ok(plan)
}

/// A 0.90 superblock that is that of the device's last partition, or of the whole disk, is not taken from it unasked.
fn refuse_of_another(
    host: &Host,
    common: &Common,
    dev: &RealDevice,
    device: &str,
    targets: &[Target],
) -> Result<(), Failure> {
    let place = zero::v090_place(dev);
    if common.force > 0 || !targets.iter().any(|t| place.as_ref().is_some_and(|p| p.offset == t.offset)) {
        return Ok(());
    }
    let Ok(Some(sb)) = v0::read(dev) else { return Ok(()) };
    let Some(line) = whose::v0_of_another(host, dev, device, &sb) else { return Ok(()) };
    let lines = vec![
        format!("{line} - not zeroing"),
        format!("name that device, or if this one is meant: mdadm --zero-superblock --force {device}"),
    ];
    Err(Failure { lines, exit: Exit::FAIL, even_if_quiet: true })
}

/// As in the reference, `--force` opens a device that is in use, too.
fn open(host: &Host, common: &Common, path: &Path, device: &str) -> Result<RealDevice, Failure> {
    let access = match (common.plan, common.force > 0) {
        (true, true) => Access::Read,
        (true, false) => Access::ReadExclusive,
        (false, true) => Access::Write,
        (false, false) => Access::WriteExclusive,
    };
    RealDevice::open(path, access).or_else(|e| {
        if e.raw_os_error() == Some(libc::ENOTBLK) && !path.is_dir() {
            return failure(vec![format!("Unrecognised md component device - {device}")], Exit::OK);
        }
        let mut lines = vec![format!("Couldn't open {device} for write - not zeroing")];
        lines.push(format!("{device}: {}", reason(&e)));
        if e.raw_os_error() == Some(libc::EBUSY)
            && let Some(dev) = block_dev(path)
        {
            lines.extend(host.who_holds(dev).iter().map(|h| format!("{device} is {h}")));
        }
        failure(lines, Exit::USAGE)
    })
}

/// Every md superblock; DDF and IMSM with `--force` only.
fn any(common: &Common, dev: &RealDevice, device: &str) -> Result<Vec<Target>, Failure> {
    let zero::Superblocks { mut targets, elsewhere } = zero::md_superblocks(dev);
    if common.force > 0 {
        targets.extend(elsewhere.iter().cloned());
    }
    if let Some(found) = foreign::container(dev) {
        if common.force > 0 {
            targets.extend(zero::container(dev, &found));
        } else if targets.is_empty() {
            return refuse_set(device, &found);
        } else {
            print::complain(format!("{device} also holds {}, which is left: --force zeroes it", found.name()));
        }
    }
    let left: Vec<String> = elsewhere
        .iter()
        .filter(|_| common.force == 0)
        .map(|t| format!("note: left on {device}, at byte {}: {}; --force zeroes it", t.offset, t.found))
        .collect();
    if targets.is_empty() {
        if let Err(e @ SuperError::Io(_)) = v1::read_any(dev) {
            let lines = vec![format!("Unrecognised md component device - {device}"), format!("{device}: {e}")];
            return Err(Failure { lines, exit: Exit::FAIL, even_if_quiet: true });
        }
        let lines = std::iter::once(format!("Unrecognised md component device - {device}")).chain(left);
        return failure(lines.collect(), Exit::OK);
    }
    if !common.is_quiet() {
        left.iter().for_each(print::complain);
    }
    Ok(targets)
}

fn refuse_set(device: &str, found: &Found) -> Result<Vec<Target>, Failure> {
    let name = found.name();
    Err(Failure {
        lines: vec![
            format!("{device} holds {name} - not zeroing: a set of disks may still need it"),
            format!("if it does not: mdadm --zero-superblock --force {device}"),
        ],
        exit: Exit::FAIL,
        even_if_quiet: true,
    })
}

/// The set's metadata that `--metadata` names.
fn set(common: &Common, dev: &RealDevice, device: &str, found: Option<Found>) -> Result<Vec<Target>, Failure> {
    match found {
        None => {
            failure(vec![format!("Could not zero superblock on {device}: there is none of that format")], Exit::FAIL)
        }
        Some(found) if common.force == 0 => refuse_set(device, &found),
        Some(found) => Ok(zero::container(dev, &found)),
    }
}

/// The one superblock of the format that `--metadata` names; with `--force` its place, whatever is there.
fn named(common: &Common, dev: &RealDevice, device: &str, metadata: Metadata) -> Result<Vec<Target>, Failure> {
    let zero::Superblocks { targets, elsewhere } = zero::md_superblocks(dev);
    let v1 = |minor| zero::v1_place(dev, minor);
    let place = match metadata {
        Metadata::V090 => zero::v090_place(dev),
        Metadata::V1_0 => v1(Minor::V0),
        Metadata::V1_1 => v1(Minor::V1),
        Metadata::V1_2 | Metadata::Ddf | Metadata::Imsm => v1(Minor::V2),
        Metadata::V1Default => match v1::read_any(dev) {
            Ok(Some((minor, _))) => v1(minor),
            _ => v1(Minor::V2),
        },
    };
    let Some(place) = place else {
        let sectors = dev.size().sectors();
        let line = format!("{device} is too small for md: size is {sectors} sectors.");
        return Err(Failure { lines: vec![line], exit: Exit::FAIL, even_if_quiet: true });
    };
    if let Some(found) = targets.into_iter().find(|t| t.offset == place.offset) {
        return Ok(vec![found]);
    }
    if elsewhere.iter().any(|t| t.offset == place.offset) && common.force == 0 {
        let line = format!("No superblock found on {device} (super_offset is wrong)");
        return Err(Failure { lines: vec![line], exit: Exit::USAGE, even_if_quiet: true });
    }
    let mut word = [0u8; 4];
    let got = dev.read_at(place.offset, &mut word).map_or(0, |()| u32::from_le_bytes(word));
    let line = format!("No super block found on {device} (Expected magic {MAGIC:08x}, got {got:08x})");
    if common.force == 0 {
        return Err(Failure { lines: vec![line], exit: Exit::USAGE, even_if_quiet: true });
    }
    print::complain(line);
    if !common.is_quiet() {
        print::complain(if common.plan { "superblock would be zeroed anyway" } else { "superblock zeroed anyway" });
    }
    Ok(vec![place])
}
