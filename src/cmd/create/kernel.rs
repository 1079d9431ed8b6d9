//! What the running kernel must have for a new array: asked for before anything is written.

use crate::cli::request::CreateRequest;
use crate::error::Refusal;
use crate::host::Host;
use crate::level::Level;
use crate::plan::create::design::Design;

/// Refuses what this kernel would refuse at the start, when the members have been written.
pub(super) fn refuse_missing(req: &CreateRequest, design: &Design, host: &Host) -> Result<(), Refusal> {
    if req.common.offline || host.has_level(design.level, req.common.plan) {
        return Ok(());
    }
    let name = design.level.name();
    let refusal =
        Refusal::new(format!("this kernel ({}) has no raid level {name}: nothing was written.", host.release()));
    Err(match design.level {
        Level::Multipath => refusal.hint("Linux 6.8 removed it; dm-multipath (multipath-tools) does its work."),
        Level::Faulty => refusal.hint("Linux 6.8 removed it; dm-flakey and dm-dust inject faults."),
        Level::Linear => {
            refusal.hint("Linux 6.8 removed it and 6.14 brought it back; a linear volume of LVM joins disks too.")
        }
        _ => refusal.hint(format!("It lacks the module md-level-{}; is it installed?", design.level.raw())),
    })
}
