//! `--update=ppl`: a partial parity log for a raid5 that has none.

use super::Matched;
use super::edits::{Edited, EditedArea};
use crate::error::Refusal;
use crate::level::Level;
use crate::plan::member_areas::{PAGE_SECTORS, free_place};
use crate::superblock::Version;
use crate::superblock::raid_log::{PPL_SECTORS, PPL_SLOTS, ppl_area};
use crate::superblock::v1::feature;
use crate::units::SECTOR_BYTES;

/// Reserves the log on a member, and empties it. One that is there stays as it is.
///
/// # Errors
/// The array cannot have one, or the member has no room for it.
pub(super) fn enable(m: &Matched<'_>, e: &mut Edited) -> Result<(), Refusal> {
    let shown = m.candidate.path.display();
    let sb = &mut e.sb;
    let refuse = |why: &str| Err(Refusal::new(format!("{shown}: {why}; nothing was changed")));
    let Version::V1(minor) = m.member.version else { return Ok(()) };
    if sb.has_ppl() {
        return Ok(());
    }
    if sb.has(feature::BITMAP_OFFSET) {
        return Err(Refusal::new("PPL is not compatible with bitmap"));
    }
    if sb.has(feature::JOURNAL) {
        return Err(Refusal::new("PPL is not compatible with journal"));
    }
    if Level::from_raw(sb.level_raw()) != Some(Level::Raid5) {
        return refuse("a partial parity log (ppl) is for raid5 only");
    }
    if sb.raid_disks() > PPL_SLOTS {
        return refuse(&format!("a partial parity log can serve {PPL_SLOTS} devices at most"));
    }
    // The kernel takes an array with an empty log for one in sync (raid5-ppl.c, `ppl_load`).
    if sb.resync_offset() != u64::MAX {
        return Err(Refusal::new(format!(
            "{shown}: the array is not in sync, and a partial parity log would hide that"
        ))
        .hint("start it as it is, wait for the resync (--wait), stop it, and try again"));
    }
    let least = sb.chunksize().saturating_add(PAGE_SECTORS.into());
    let sizes = std::iter::successors(Some(PPL_SECTORS), |n| Some(n / 2)).take_while(|n| *n > PAGE_SECTORS);
    let place = sizes.filter(|n| u32::from(*n) >= least).find_map(|sectors| {
        let at = free_place(minor, sb, None, sectors, &[])?;
        Some((i16::try_from(at).ok()?, sectors))
    });
    let Some((at, sectors)) = place else {
        return refuse("there is no room for a partial parity log");
    };
    sb.set_ppl_offset(at);
    sb.set_ppl_size(sectors);
    sb.set_feature_map(sb.feature_map() | feature::PPL);
    let offset = sb.super_offset().saturating_add_signed(at.into()) * SECTOR_BYTES;
    let bytes = ppl_area(sb.set_uuid(), sectors);
    e.areas.push(EditedArea { offset, bytes, what: "empty partial parity log".into() });
    e.what.push(format!("partial parity log of {sectors} sectors"));
    Ok(())
}
