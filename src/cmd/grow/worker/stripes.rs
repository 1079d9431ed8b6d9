//! What is in a stretch of the array, read from its members: through the array itself it could wait for writes that wait for us.

use crate::backup::stripe;
use crate::blockio::ReadAt;
use crate::cmd::member::superblock;
use crate::device::real::{Access, RealDevice};
use crate::host::Host;
use crate::superblock::reshape::Reshape;
use crate::sysfs::value::Slot;
use crate::sysfs::{ArrayDir, attr};
use crate::units::SECTOR_BYTES;

/// The members in their slots.
pub(super) struct Members {
    slots: Vec<Option<(RealDevice, u64)>>,
}

impl Members {
    /// Opens those that are in sync.
    pub fn open(host: &Host, array: &ArrayDir, now: &Reshape) -> Members {
        let mut slots: Vec<Option<(RealDevice, u64)>> = (0..now.all_slots()).map(|_| None).collect();
        for member in array.members() {
            let Some(Slot::At(slot)) = member.get(attr::SLOT) else { continue };
            if !member.get(attr::STATE).is_some_and(|s| s.has("in_sync") && !s.has("faulty")) {
                continue;
            }
            let Ok(device) = RealDevice::open(&host.dev.join(member.name()), Access::Read) else { continue };
            let Some(offset) = superblock(&device).map(|sb| sb.data_offset()) else { continue };
            if let Some(place) = usize::try_from(slot).ok().and_then(|s| slots.get_mut(s)) {
                *place = Some((device, offset));
            }
        }
        Members { slots }
    }

    /// Reads from one sector of the array to another, as it was before the reshape.
    ///
    /// # Errors
    /// Too many members cannot be read.
    pub fn read(&self, now: &Reshape, from: u64, to: u64) -> Result<Vec<u8>, String> {
        let rows = u64::from(now.old.chunk) * now.data(&now.old);
        let size = |sectors: u64| usize::try_from(sectors * SECTOR_BYTES).unwrap_or(0);
        let mut data = Vec::with_capacity(size(to - from + 2 * rows));
        for number in from / rows..to.div_ceil(rows) {
            data.extend(self.row(now, number)?);
        }
        let skip = size(from - from / rows * rows);
        data.drain(..skip.min(data.len()));
        data.truncate(size(to - from));
        Ok(data)
    }

    fn row(&self, now: &Reshape, number: u64) -> Result<Vec<u8>, String> {
        let chunk = u64::from(now.old.chunk);
        let bytes = usize::try_from(chunk * SECTOR_BYTES).unwrap_or(0);
        let Some(row) = stripe::row(now.level, &now.old, number) else { return Err("its layout is not known".into()) };
        let Some(at) = number.checked_mul(chunk).filter(|at| at.saturating_add(chunk) <= now.size) else {
            // Behind the end of what it was.
            return Ok(vec![0; bytes * row.data.len()]);
        };
        let one = |slot: &Option<(RealDevice, u64)>| {
            let (device, offset) = slot.as_ref()?;
            device.read_vec((offset + at) * SECTOR_BYTES, bytes).ok()
        };
        let old = usize::try_from(now.old.slots).unwrap_or(0);
        let chunks: Vec<Option<Vec<u8>>> = self.slots.iter().take(old).map(one).collect();
        row.decode(&chunks, bytes)
            .ok_or_else(|| format!("too many members cannot be read at sector {at} of their data"))
    }
}
