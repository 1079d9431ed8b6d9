//! A reshape that is under way, put into the view.

use crate::cmd::grow::worker;
use crate::host::Host;
use crate::level::Level;
use crate::output::detail::{Progress, Reshape};
use crate::superblock::reshape;
use crate::superblock::v1::SuperV1;
use crate::units::SECTOR_BYTES;

/// What the superblock says of the array's reshape, and whether anybody looks after it.
pub(super) fn view(host: &Host, devname: &str, sb: &SuperV1) -> Reshape {
    let changed = |old: u32, new: u32| (old != new).then_some(new);
    Reshape {
        active: true,
        delta_disks: sb.delta_disks(),
        new_level: Level::from_raw(sb.new_level_raw()).filter(|_| sb.new_level_raw() != sb.level_raw()),
        new_layout: changed(sb.layout(), sb.new_layout()),
        new_chunk_bytes: changed(sb.chunksize(), sb.new_chunk()).map(|c| u64::from(c) * 512),
        progress: reshape::Reshape::of(sb).ok().flatten().map(|r| progress(&r)),
        abandoned: worker::is_abandoned(host, devname),
    }
}

fn progress(r: &reshape::Reshape) -> Progress {
    let all = r.array_sectors(if r.backwards { &r.old } else { &r.new });
    let done = if r.backwards { all.saturating_sub(r.position) } else { r.position };
    let bytes = |sectors: u64| sectors.saturating_mul(SECTOR_BYTES);
    Progress { done_bytes: bytes(done), all_bytes: bytes(all), backwards: r.backwards, critical: r.overwrites() }
}
