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
        let chunk = u64::from(now.old.chunk);
        let rows = chunk * now.data(&now.old);
        let size = |sectors: u64| usize::try_from(sectors * SECTOR_BYTES).unwrap_or(0);
        let (first, last) = (from / rows, to.div_ceil(rows));
        // Behind the end of what it was there is nothing.
        let whole = last.min(now.size / chunk.max(1)).max(first);
        let slots = self.slots.iter().take(usize::try_from(now.old.slots).unwrap_or(0));
        let one = |slot: &Option<(RealDevice, u64)>, row: u64, rows: u64| {
            let (device, offset) = slot.as_ref()?;
            device.read_vec((offset + row * chunk) * SECTOR_BYTES, size(rows * chunk)).ok()
        };
        let columns: Vec<_> = slots.map(|slot| (slot, one(slot, first, whole - first))).collect();
        let mut data = Vec::with_capacity(size((last - first) * rows));
        for number in first..whole {
            let at = size((number - first) * chunk);
            // Where not all of it can be read, some of it may.
            let part = |(slot, column): &(&Option<(RealDevice, u64)>, Option<Vec<u8>>)| match column {
                Some(column) => Some(column.get(at..at + size(chunk))?.to_vec()),
                None => one(slot, number, 1),
            };
            let chunks: Vec<Option<Vec<u8>>> = columns.iter().map(part).collect();
            let row = stripe::row(now.level, &now.old, number).ok_or("its layout is not known")?;
            let row = row.decode(&chunks, size(chunk));
            data.extend(row.ok_or_else(|| {
                format!("too many members cannot be read at sector {} of their data", number * chunk)
            })?);
        }
        data.resize(size((last - first) * rows), 0);
        data.drain(..size(from - first * rows).min(data.len()));
        data.truncate(size(to - from));
        Ok(data)
    }
}
