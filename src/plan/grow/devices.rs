//! `--grow --raid-devices` of a raid1: mirrors more or fewer.

use super::shape::Shape;
use crate::cli::request::GrowRequest;
use crate::error::{Exit, Refusal};
use crate::level::Level;
use crate::plan::step::Plan;

/// Refuses, in the reference's words and order, a number that cannot be. `None`: it is that already.
///
/// # Errors
/// Why not, and what to do.
pub fn check(shape: &Shape, req: &GrowRequest) -> Result<Option<u32>, Refusal> {
    let Some(wanted) = req.raid_devices else {
        meaningful(shape, req)?;
        return Ok(None);
    };
    let forced = req.common.force > 0;
    if wanted == 1 && !forced {
        return Err(Refusal::new(
            "'1' is an unusual number of drives for an array, so it is probably\n     a mistake.  If you really mean it you \
             will need to specify --force before\n     setting the number of drives.",
        )
        .with_exit(Exit::USAGE));
    }
    meaningful(shape, req)?;
    if wanted == shape.slots {
        return Ok(None);
    }
    let have = shape.spares().saturating_add(u32::try_from(req.add.len()).unwrap_or(u32::MAX));
    let need = wanted.saturating_sub(shape.slots);
    if have < need && !forced {
        let s = if need == 1 { "" } else { "s" };
        return Err(Refusal::new(format!(
            "Need {need} spare{s} to avoid degraded array, and only have {have}.\n       Use --force to over-ride this check."
        )));
    }
    shape.at_rest(false)?;
    shape.writable(FAILED)?;
    fewer(shape, wanted)?;
    Ok(Some(wanted))
}

/// A mirror has neither chunks nor layouts.
fn meaningful(shape: &Shape, req: &GrowRequest) -> Result<(), Refusal> {
    let what = match shape.level {
        Level::Raid1 if req.layout.is_some() => "layout not meaningful with this level",
        Level::Raid1 if req.chunk.is_some() => "chunk size not meaningful for this level",
        _ => return Ok(()),
    };
    Err(Refusal::new(what))
}

/// The reference's line.
const FAILED: &str = "failed to set raid disks";

/// The kernel takes no member out of its slot.
fn fewer(shape: &Shape, wanted: u32) -> Result<(), Refusal> {
    let shown = &shape.shown;
    let there: Vec<&str> = shape.parts.iter().filter(|p| p.slot.is_some()).map(|p| p.shown.as_str()).collect();
    let too_many = there.len().saturating_sub(usize::try_from(wanted).unwrap_or(usize::MAX));
    if too_many == 0 {
        return Ok(());
    }
    Err(Refusal::new(FAILED).hint(format!(
        "{shown} has {} members in its slots ({}): first take {too_many} of them out: mdadm {shown} --fail DEVICE --remove DEVICE",
        there.len(),
        there.join(", ")
    )))
}

/// The step.
#[must_use]
pub fn plan(shape: &Shape, wanted: u32) -> Plan {
    Plan { steps: vec![shape.set("raid_disks", wanted.to_string())] }
}

/// What the kernel refused, with the reference's line before it.
#[must_use]
pub fn failed(refusal: Refusal) -> Refusal {
    Refusal::new(FAILED).hints(refusal.lines)
}
