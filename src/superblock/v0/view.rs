//! A v0.90 superblock in the terms of a v1.x one, and back.
//!
//! What is decided about members (who is fresh, what may be forced, who may come back) is the same for all versions, so it is
//! decided on [`SuperV1`]. The terms follow the kernel's `super_90_validate`: a descriptor with SYNC or ACTIVE is in its slot,
//! one that is faulty or removed is failed, all else are spares; the slots' own descriptors have their numbers.

use super::{DISK_WORDS, DiskV0, MAX_DISKS, SuperV0, bit, state, word};
use crate::superblock::v1::{Role, SuperV1, devflag, feature};
use crate::units::Bytes;
use crate::uuid::Uuid;

/// Sectors from the superblock to an internal bitmap (kernel: `default_offset`).
pub const BITMAP_OFFSET: i32 = 8;
/// Sectors that an internal bitmap may take (kernel: `default_space`).
pub const BITMAP_SECTORS: u64 = 120;

impl SuperV0 {
    /// What the superblock says, in the terms of 1.x metadata. Its checksum is right, whatever that of this one is.
    #[must_use]
    pub fn as_v1(&self, device: Bytes) -> SuperV1 {
        let mut sb = SuperV1::empty();
        let mut features = 0;
        sb.put_set_uuid(self.uuid());
        sb.set_ctime_raw(self.ctime().into());
        sb.set_utime_raw(self.utime().into());
        sb.set_level_raw(self.level_raw());
        sb.set_layout(self.layout());
        sb.set_size(self.size().0);
        sb.set_chunksize(self.chunk_bytes() / 512);
        sb.set_raid_disks(self.raid_disks());
        sb.set_events(self.events());
        sb.set_resync_offset(self.resync_offset());
        let at = super::super_offset(device).unwrap_or_default().sectors();
        sb.set_super_offset(at.0);
        sb.set_data_size(at.0);
        if self.state() & state::BITMAP_PRESENT != 0 {
            features |= feature::BITMAP_OFFSET;
            sb.set_bitmap_offset(BITMAP_OFFSET);
        }
        if self.minor_version() == 91 {
            features |= feature::RESHAPE_ACTIVE | if self.delta_disks() < 0 { feature::RESHAPE_BACKWARDS } else { 0 };
            sb.set_reshape_position(self.reshape_position());
            sb.set_new_level_raw(self.new_level_raw());
            sb.set_delta_disks(self.delta_disks());
            sb.set_new_layout(self.new_layout());
            sb.set_new_chunk(self.new_chunk_bytes() / 512);
        }
        sb.set_feature_map(features);
        sb.set_max_dev(u32::try_from(MAX_DISKS).unwrap_or(0));
        for n in 0..sb.max_dev() {
            sb.put_role(n, self.disk(n as usize).map_or(Role::Spare, |d| role(&d)));
        }
        let own = self.this_disk();
        sb.set_dev_number(own.number);
        let flag = |on: u32, flag: u8| if own.state & on != 0 { flag } else { 0 };
        sb.set_devflags(flag(bit::WRITE_MOSTLY, devflag::WRITE_MOSTLY) | flag(bit::FAILFAST, devflag::FAILFAST));
        sb.put_device_uuid(self.device_uuid(own));
        sb.update_csum();
        sb
    }

    /// No device has a uuid here: the array's, mixed with the descriptor as it was written, tells members apart, and is the
    /// same on a copy of a member.
    fn device_uuid(&self, own: DiskV0) -> Uuid {
        let mut uuid = self.uuid().0;
        let mix = [own.number, own.major, own.minor].map(u32::to_le_bytes);
        for (b, mix) in uuid.iter_mut().zip(mix.as_flattened()) {
            *b ^= mix;
        }
        Uuid(uuid)
    }

    /// The array's uuid as it stands in a bitmap's superblock: the bytes as they are here (kernel: `mddev->uuid`).
    #[must_use]
    pub fn bitmap_uuid(&self) -> Uuid {
        let mut uuid = self.uuid().0;
        if self.order() == super::Order::Little {
            uuid.chunks_exact_mut(4).for_each(<[u8]>::reverse);
        }
        Uuid(uuid)
    }

    /// Sectors in sync of an array that is not clean; all ones where it is (kernel `super_90_validate`).
    #[must_use]
    pub fn resync_offset(&self) -> u64 {
        if self.state() & state::CLEAN != 0 {
            u64::MAX
        } else if self.events() == self.cp_events() {
            self.recovery_cp().into()
        } else {
            0
        }
    }

    /// Takes over what decisions change in the view: uuid, events, whether the array is in sync, and devices that come
    /// back into a slot. The kernel fills in their device numbers when it writes next. The checksum is renewed.
    pub fn take_over(&mut self, view: &SuperV1) {
        self.put_uuid(view.set_uuid());
        self.set_events(view.events());
        if view.resync_offset() == u64::MAX {
            self.set_state(self.state() | state::CLEAN);
        } else if view.resync_offset() == 0 {
            self.set_state(self.state() & !state::CLEAN);
            self.set_recovery_cp(0);
        }
        if self.minor_version() == 91 {
            self.put_reshape_position(view.reshape_position());
            // It may have been turned.
            self.set_raid_disks(view.raid_disks());
            self.set_delta_disks(view.delta_disks());
            self.set_layout(view.layout());
            self.set_new_layout(view.new_layout());
            self.set_chunk_bytes(view.chunksize().saturating_mul(512));
            self.set_new_chunk_bytes(view.new_chunk().saturating_mul(512));
            self.set_utime(u32::try_from(view.utime()).unwrap_or_else(|_| self.utime()));
            if !view.has(feature::RESHAPE_ACTIVE) {
                self.set_minor_version(90);
                self.free_slots(view);
            }
        }
        for n in 0..MAX_DISKS {
            let Role::Slot(slot) = view.role_at(u32::try_from(n).unwrap_or(u32::MAX)) else { continue };
            if let Some(disk) = self.disk(n).filter(|d| role(d) != Role::Slot(slot)) {
                let kept = disk.state & (bit::WRITE_MOSTLY | bit::FAILFAST);
                let state = bit::ACTIVE | bit::SYNC | kept;
                self.put_disk(n, &DiskV0 { raid_disk: slot.into(), state, ..disk });
            }
        }
        self.update_csum();
    }

    /// Devices in slots that the array has no more are spares.
    fn free_slots(&mut self, view: &SuperV1) {
        for n in 0..MAX_DISKS {
            let is_spare = view.role_at(u32::try_from(n).unwrap_or(u32::MAX)) == Role::Spare;
            if let Some(disk) = self.disk(n).filter(|d| is_spare && matches!(role(d), Role::Slot(_))) {
                self.put_disk(n, &DiskV0 { raid_disk: disk.number, state: 0, ..disk });
            }
        }
        let own = self.this_disk();
        if let Some(disk) = usize::try_from(own.number).ok().and_then(|n| self.disk(n)) {
            self.put_this_disk(&disk);
        }
    }

    /// Counts the members anew from the table (`--update=summaries`): of every kind, active, working, failed, spare.
    pub fn count_members(&mut self) {
        let (mut all, mut active, mut working, mut failed, mut spare) = (0u32, 0u32, 0u32, 0u32, 0u32);
        for (n, disk) in (0..MAX_DISKS).filter_map(|n| Some((n, self.disk(n)?))) {
            let slot = u32::try_from(n).is_ok_and(|n| n < self.raid_disks());
            if disk.is_there() {
                all += 1;
            }
            match (disk.state & bit::FAULTY != 0, disk.state & (bit::ACTIVE | bit::SYNC) != 0) {
                (true, _) => failed += 1,
                (_, true) => (active, working) = (active + 1, working + 1),
                _ if disk.is_there() => (spare, working) = (spare + 1, working + 1),
                _ if slot => failed += 1,
                _ => {}
            }
        }
        self.set_nr_disks(all);
        self.set_active_disks(active);
        self.set_working_disks(working);
        self.set_failed_disks(failed);
        self.set_spare_disks(spare);
        self.update_csum();
    }

    /// Whether the own descriptor's number is one of the table's.
    #[must_use]
    pub fn own_disk_is_in_the_table(&self) -> bool {
        usize::try_from(self.this_disk().number).is_ok_and(|n| n < MAX_DISKS)
    }
}

fn role(disk: &DiskV0) -> Role {
    if disk.state & (bit::FAULTY | bit::REMOVED) != 0 {
        return Role::Faulty;
    }
    if disk.state & (bit::ACTIVE | bit::SYNC) != 0 {
        return u16::try_from(disk.raid_disk).map_or(Role::Faulty, Role::from_raw);
    }
    Role::Spare
}

const _: () = assert!(word::THIS_DISK == word::DISKS + DISK_WORDS * MAX_DISKS);
