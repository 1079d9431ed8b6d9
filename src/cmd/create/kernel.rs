//! What the running kernel must have for a new array: asked for before anything is written.

use crate::cli::request::CreateRequest;
use crate::error::Refusal;
use crate::host::Host;
use crate::level::Level;
use crate::plan::create::design::Design;
use crate::plan::create::{MemberFacts, NewBitmapKind};
use crate::plan::known_faults;

/// Every array has at least this; the kernel takes only a larger one (`mddev_set_logical_block_size`).
const MOST_COMMON: u32 = 512;

/// Refuses what this kernel would refuse at the start, when the members have been written.
pub(super) fn refuse_missing(req: &CreateRequest, design: &Design, host: &Host) -> Result<(), Refusal> {
    if req.common.offline {
        return Ok(());
    }
    if let NewBitmapKind::Clustered { .. } = design.bitmap {
        return Err(Refusal::new("Something wrong with dlm library")
            .hint("mdadm-rs takes no part in the locks of a cluster (dlm), so it cannot start a clustered array.")
            .hint("--offline writes the same members; then start it on a node of the cluster."));
    }
    if let (NewBitmapKind::Lockless(_), Some(line)) = (design.bitmap, host.lacks_llbitmap()) {
        return Err(Refusal::new(line));
    }
    if let NewBitmapKind::Lockless(_) = design.bitmap {
        let degraded = req.members.iter().any(|m| m.path.is_none());
        let warned = known_faults::warning(&host.release(), Some(design.level), degraded, req.common.force > 0)?;
        warned.iter().filter(|_| !req.common.is_quiet()).for_each(crate::cmd::print::complain);
    }
    level(design.level, req.common.plan, host)
}

/// Refuses a level that this kernel does not have, or has no md for; with `ask_only` no module is loaded to find out.
pub(in crate::cmd) fn level(level: Level, ask_only: bool, host: &Host) -> Result<(), Refusal> {
    host.need_md(ask_only)?;
    if host.has_level(level, ask_only) {
        return Ok(());
    }
    let name = level.name();
    let refusal =
        Refusal::new(format!("this kernel ({}) has no raid level {name}: nothing was written.", host.release()));
    Err(match level {
        Level::Multipath => refusal.hint("Linux 6.8 removed it; dm-multipath (multipath-tools) does its work."),
        Level::Faulty => refusal.hint("Linux 6.8 removed it; dm-flakey and dm-dust inject faults."),
        Level::Linear => {
            refusal.hint("Linux 6.8 removed it and 6.14 brought it back; a linear volume of LVM joins disks too.")
        }
        _ => refusal.hint(format!("It lacks the module md-level-{}; is it installed?", level.raw())),
    })
}

/// Refuses a logical block size that the kernel would not take for these members, or would silently make larger.
pub(super) fn refuse_block_size(req: &CreateRequest, members: &[MemberFacts]) -> Result<(), Refusal> {
    let Some(bytes) = req.logical_block_size else { return Ok(()) };
    let failed = || Refusal::new(format!("Failed to set logical_block_size {bytes}"));
    if let Some(larger) = members.iter().filter(|m| m.block >= bytes).max_by_key(|m| m.block)
        && (larger.block > bytes || bytes == MOST_COMMON)
    {
        let (path, block) = (larger.path.display(), larger.block);
        return Err(failed().hint(format!("The sectors of {path} have {block} bytes, and so will those of the array.")));
    }
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
    match page.and_then(|p| u32::try_from(p).ok()) {
        Some(page) if bytes > page && !req.common.offline => {
            Err(failed().hint(format!("The kernel takes no larger blocks than its pages, {page} bytes.")))
        }
        _ => Ok(()),
    }
}
