//! `--update` of members with 0.90 metadata.

use super::edits::Edited;
use super::updates::{edit_bitmap, not_understood};
use super::{Matched, Update, Wishes};
use crate::bitmap::header::{Kind, state};
use crate::error::Refusal;
use crate::superblock::v0::{self, mark_host};
use crate::superblock::v1::feature;
use crate::uuid::Uuid;

/// Changes one member.
pub(super) fn old_one(wishes: &Wishes, update: &Update, m: &Matched<'_>, e: &mut Edited) -> Result<(), Refusal> {
    if *update == Update::RevertReshape {
        return super::reshape::turn(wishes, m, e);
    }
    let Some(old) = e.old.as_deref_mut() else { return Ok(()) };
    match update {
        // The host is the second half of the uuid; one that was given stays whole.
        Update::Uuid(uuid) => {
            let host = wishes.homehost.as_deref().filter(|_| wishes.uuid.is_none());
            return rename_old(m, e, host.map_or(*uuid, |host| mark_host(*uuid, host)));
        }
        Update::HomeHost(host) => {
            let uuid = mark_host(e.sb.set_uuid(), host);
            return rename_old(m, e, uuid);
        }
        Update::Resync => {
            e.sb.set_resync_offset(0);
            e.what.push("not in sync".into());
            edit_bitmap(m, e, "out of date", |bitmap| bitmap.set_state(bitmap.state() | state::STALE))?;
        }
        Update::SuperMinor(number) => {
            old.set_md_minor(*number);
            e.what.push(format!("number {number}"));
        }
        Update::Summaries => {
            old.count_members();
            e.what.push("counts of members".into());
        }
        Update::ByteOrder if m.member.turned => {
            let uuid = old.bitmap_uuid();
            e.what.push("this machine's byte order".into());
            edit_bitmap(m, e, "this machine's byte order", |bitmap| {
                bitmap.put_uuid(uuid);
                if matches!(bitmap.kind(), Ok(Kind::HostEndian)) {
                    // Its bits are in the order of the other machine.
                    bitmap.set_state(bitmap.state() | state::STALE);
                }
            })?;
        }
        Update::NoBitmap if e.sb.has(feature::BITMAP_OFFSET) => {
            old.set_state(old.state() & !v0::state::BITMAP_PRESENT);
            e.sb.set_feature_map(e.sb.feature_map() & !feature::BITMAP_OFFSET);
            e.what.push("no bitmap".into());
        }
        // Turned before the power failed, say; never had one; never was in a cluster.
        Update::ByteOrder | Update::NoBitmap | Update::Nodes(_) => {}
        Update::HomeCluster => return super::updates::of_a_cluster(update, m),
        // It moves fields of superblocks that Linux 2.2 wrote on sparc. Nothing in them tells them from others, which it ruins.
        Update::Sparc22 => {
            let line = "--update=sparc2.2 would ruin the superblocks of any later Linux; nothing was changed";
            return Err(Refusal::new(line).hint("mdadm-rs does not read superblocks of Linux 2.2 on sparc"));
        }
        _ => return not_understood(update.word(), "0.90"),
    }
    Ok(())
}

fn rename_old(m: &Matched<'_>, e: &mut Edited, uuid: Uuid) -> Result<(), Refusal> {
    e.sb.put_set_uuid(uuid);
    e.what.push(format!("uuid {uuid}"));
    let mut renamed = e.old.clone();
    let in_bitmap = renamed.as_deref_mut().map(|old| {
        old.put_uuid(uuid);
        old.bitmap_uuid()
    });
    edit_bitmap(m, e, "uuid", |bitmap| bitmap.put_uuid(in_bitmap.unwrap_or(uuid)))
}
