//! Where copies of what a reshape overwrites may be: the file named, that of the array, and new members.

use std::path::{Path, PathBuf};

use crate::backup::{Copy, HEADER_BYTES, Header, collect};
use crate::blockio::ReadAt;
use crate::cli::request::AssembleRequest;
use crate::cmd::grow::worker::backup_of;
use crate::device::real::{Access, NodeKind, RealDevice};
use crate::error::reason;
use crate::host::Host;
use crate::plan::assemble::reshape::{Found, is_active};
use crate::plan::assemble::{Candidate, Content, Member};
use crate::superblock::reshape::{Reshape, moves};
use crate::units::SECTOR_BYTES;
use crate::uuid::Uuid;

/// Sectors from the header on a member to the end of what the array uses of it.
const BEHIND: u64 = 8;

/// Reads them all; nothing where no member is in a reshape.
pub(super) fn find(req: &AssembleRequest, host: &Host, devname: &str, candidates: &[Candidate]) -> Vec<Found> {
    let members = || {
        candidates.iter().filter_map(|c| match &c.content {
            Content::Member(m) if is_active(&m.sb) => Some((c, m.as_ref())),
            _ => None,
        })
    };
    let Some((_, first)) = members().next() else { return Vec::new() };
    let mut paths: Vec<PathBuf> = req.backup_file.iter().cloned().collect();
    paths.push(host.run.join(format!("backup_file-{devname}")));
    paths.push(backup_of(first.sb.set_uuid()));
    let uuid = first.sb.set_uuid();
    let named = |path: &Path| req.backup_file.as_deref() == Some(path);
    let mut found: Vec<Found> = paths.iter().filter(|p| named(p) || p.exists()).map(|p| file(p, uuid)).collect();
    found.extend(members().flat_map(|(c, m)| on_member(c, m)));
    found
}

fn file(path: &Path, uuid: Uuid) -> Found {
    let shown = path.display().to_string();
    let copy = || {
        let device = RealDevice::open(path, Access::Read).map_err(|e| format!("cannot be read: {}", reason(&e)))?;
        if device.kind() != NodeKind::File {
            return Err("it is no plain file".to_owned());
        }
        read(&device, 0, (&shown, uuid), None)
            .and_then(|found| found.ok_or_else(|| "No backup metadata on it".to_owned()))
    };
    Found { copy: copy(), shown: shown.clone() }
}

/// The data is read only where it is that of the array.
fn read(
    device: &RealDevice,
    at: u64,
    (shown, uuid): (&str, Uuid),
    behind: Option<u64>,
) -> Result<Option<Copy>, String> {
    let mut bytes = [0; HEADER_BYTES];
    device.read_at(at, &mut bytes).map_err(|e| format!("cannot be read: {}", reason(&e)))?;
    let Some(mut header) = Header::parse(&bytes)? else { return Ok(None) };
    if header.uuid != uuid {
        header.windows.clear();
    }
    // On a member the data ends where the header begins.
    if let (Some(sector), Some(w)) = (behind, header.windows.first_mut()) {
        w.kept_at = sector.checked_sub(w.len).ok_or("its header tells of more than there is room for")?;
    }
    let of = |offset, len| {
        device
            .read_vec(offset, len)
            .map_err(|e| format!("is shorter than its header says, or cannot be read: {}", reason(&e)))
    };
    collect(&header, shown, of).map(Some)
}

fn on_member(c: &Candidate, m: &Member) -> Option<Found> {
    let reshape = Reshape::of(&m.sb).ok().flatten().filter(|r| r.new.slots > r.old.slots)?;
    let shown = c.path.display().to_string();
    let device = RealDevice::open(&c.path, Access::Read).ok()?;
    [0, moves(&m.sb)].into_iter().find_map(|moved| {
        let end = m.sb.data_offset().checked_add(reshape.size)?.checked_add_signed(moved)?;
        let header = end.checked_sub(BEHIND)?;
        match read(&device, header.checked_mul(SECTOR_BYTES)?, (&shown, m.sb.set_uuid()), Some(header)) {
            Ok(None) => None,
            Ok(Some(copy)) => Some(Found { shown: shown.clone(), copy: Ok(copy) }),
            Err(why) => Some(Found { shown: shown.clone(), copy: Err(why) }),
        }
    })
}
