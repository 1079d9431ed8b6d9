//! `--check-first`: all that a reshape will read is read once before it, so that a bad sector is found while it does no harm.

use std::path::PathBuf;
use std::time::Instant;

use super::Running;
use crate::blockio::ReadAt;
use crate::cmd::print::complain;
use crate::device::real::{Access, RealDevice};
use crate::error::{Refusal, reason};
use crate::plan::grow::reshape::member_sectors;
use crate::plan::grow::reshape::summary::clock;
use crate::plan::grow::shape::{Part, Shape};
use crate::units::SECTOR_BYTES;

/// What is read at a time, and what tells how fast that goes: bytes.
const PIECE: u64 = 1 << 20;
const SAMPLE: u64 = 8 * PIECE;

/// What is read of a member: bytes of the device.
struct Area {
    path: PathBuf,
    from: u64,
    to: u64,
}

/// Reads all members; says before how long that takes.
///
/// # Errors
/// A sector cannot be read: which one, of which member.
pub(super) fn run(running: &Running<'_>, shape: &Shape) -> Result<(), Refusal> {
    let areas: Vec<Area> =
        shape.parts.iter().filter(|p| p.slot.is_some() && !p.faulty).map(|p| area(p, shape)).collect();
    if let Some(bad) = shape.parts.iter().find(|p| p.slot.is_some() && p.bad) {
        return Err(refused(shape, &format!("bad blocks of {} are on record", bad.shown), &bad.shown));
    }
    let begun = Instant::now();
    read_all(shape, &areas, |area| (area.from, area.to.min(area.from + SAMPLE)))?;
    if !running.req.common.is_quiet() {
        let longest = areas.iter().map(|a| a.to - a.from).max().unwrap_or(0);
        let seconds = begun.elapsed().as_secs_f64() * longest as f64 / longest.clamp(1, SAMPLE) as f64;
        complain(format!(
            "reading {}K of each of {} members first, about {}",
            longest / 1024,
            areas.len(),
            clock(seconds.ceil() as u64)
        ));
    }
    read_all(shape, &areas, |area| (area.to.min(area.from + SAMPLE), area.to))
}

fn area(part: &Part, shape: &Shape) -> Area {
    let from = part.offset.saturating_mul(SECTOR_BYTES);
    let to = from.saturating_add(member_sectors(shape).saturating_mul(SECTOR_BYTES));
    Area { path: PathBuf::from(&part.shown), from, to }
}

fn refused(shape: &Shape, why: &str, device: &str) -> Refusal {
    let shown = &shape.shown;
    Refusal::new(format!("cannot reshape {shown}: {why}; nothing was changed"))
        .hint(format!("first have it repaired from the others: mdadm --action=repair {shown}; or replace it: mdadm {shown} --replace {device}"))
}

/// All at the same time, as the reshape does.
fn read_all(shape: &Shape, areas: &[Area], of: impl Fn(&Area) -> (u64, u64) + Sync) -> Result<(), Refusal> {
    let of = &of;
    let bad: Vec<(String, String)> = std::thread::scope(|scope| {
        let all: Vec<_> = areas.iter().map(|area| scope.spawn(move || read(area, of(area)))).collect();
        let ended = areas.iter().zip(all).map(|(area, thread)| (area.path.display().to_string(), thread.join()));
        ended
            .filter_map(|(path, end)| Some((path, end.unwrap_or_else(|_| Err("its reader ended".into())).err()?)))
            .collect()
    });
    let Some((device, why)) = bad.first() else { return Ok(()) };
    let others = bad.iter().skip(1).map(|(path, why)| format!("{path}: {why}"));
    Err(refused(shape, &format!("{device}: {why}"), device).hints(others))
}

/// Past the page cache, as a device is opened.
fn read(area: &Area, (from, to): (u64, u64)) -> Result<(), String> {
    let device = RealDevice::open(&area.path, Access::Read).map_err(|e| format!("cannot be opened: {}", reason(&e)))?;
    let get = |at: u64, len: u64| device.read_vec(at, usize::try_from(len).unwrap_or(0));
    let mut at = from;
    while at < to {
        let len = PIECE.min(to - at);
        if let Err(e) = get(at, len) {
            let mut sectors = (at..at + len).step_by(512);
            let bad = sectors.find(|byte| get(*byte, SECTOR_BYTES).is_err()).unwrap_or(at) / SECTOR_BYTES;
            return Err(format!("sector {bad} cannot be read: {}", reason(&e)));
        }
        at += len;
    }
    Ok(())
}
