//! Version 1.x superblocks (kernel: `struct mdp_superblock_1` in uapi `linux/raid/md_p.h`, `super_1_*` in `md.c`).
//!
//! ```text
//!   0 magic  4 major  8 feature_map  12 pad0 | 16 set_uuid | 32 set_name
//!  64 ctime 72 level 76 layout 80 size 88 chunksize 92 raid_disks 96 bitmap_offset or ppl.offset,ppl.size
//! 100 new_level 104 reshape_position 112 delta_disks 116 new_layout 120 new_chunk 124 new_offset
//! 128 data_offset 136 data_size 144 super_offset 152 recovery_offset or journal_tail 160 dev_number
//! 164 cnt_corrected_read 168 device_uuid 184 devflags 185 bblog_shift 186 bblog_size 188 bblog_offset
//! 192 utime 200 events 208 resync_offset 216 sb_csum 220 max_dev 224 logical_block_size 228 pad3 | 256 dev_roles
//! ```

mod badblocks;
mod kernel;
mod place;

pub use badblocks::{BadBlocks, BadRange, bad_blocks};
pub use kernel::{OldestKernel, oldest_kernel};
pub use place::{Minor, read, read_any, super_offset};

use super::SuperError;
use super::field::{get, le_fields, put};
use crate::units::Sectors;
use crate::uuid::Uuid;

/// First word of every md superblock, v0.90 and v1.x (`MD_SB_MAGIC`).
pub const MAGIC: u32 = 0xa92b_4efc;
/// Bytes from the superblock's start that belong to it: the fixed part and room for [`MAX_ROLES`] roles.
pub const SUPER_BYTES: usize = 4096;
/// Bytes of the fixed part.
pub const FIXED_BYTES: usize = 256;
/// As many roles as fit behind the fixed part.
pub const MAX_ROLES: u32 = 1920;

/// Offsets of the fields in bytes from the superblock's start, each from the one before.
pub mod offset {
    #![allow(missing_docs)]
    pub const MAGIC: usize = 0;
    pub const MAJOR_VERSION: usize = MAGIC + 4;
    pub const FEATURE_MAP: usize = MAJOR_VERSION + 4;
    pub const PAD0: usize = FEATURE_MAP + 4;
    pub const SET_UUID: usize = PAD0 + 4;
    pub const SET_NAME: usize = SET_UUID + 16;
    pub const CTIME: usize = SET_NAME + 32;
    pub const LEVEL: usize = CTIME + 8;
    pub const LAYOUT: usize = LEVEL + 4;
    pub const SIZE: usize = LAYOUT + 4;
    pub const CHUNKSIZE: usize = SIZE + 8;
    pub const RAID_DISKS: usize = CHUNKSIZE + 4;
    pub const BITMAP_OFFSET: usize = RAID_DISKS + 4;
    pub const NEW_LEVEL: usize = BITMAP_OFFSET + 4;
    pub const RESHAPE_POSITION: usize = NEW_LEVEL + 4;
    pub const DELTA_DISKS: usize = RESHAPE_POSITION + 8;
    pub const NEW_LAYOUT: usize = DELTA_DISKS + 4;
    pub const NEW_CHUNK: usize = NEW_LAYOUT + 4;
    pub const NEW_OFFSET: usize = NEW_CHUNK + 4;
    pub const DATA_OFFSET: usize = NEW_OFFSET + 4;
    pub const DATA_SIZE: usize = DATA_OFFSET + 8;
    pub const SUPER_OFFSET: usize = DATA_SIZE + 8;
    pub const RECOVERY_OFFSET: usize = SUPER_OFFSET + 8;
    pub const DEV_NUMBER: usize = RECOVERY_OFFSET + 8;
    pub const CNT_CORRECTED_READ: usize = DEV_NUMBER + 4;
    pub const DEVICE_UUID: usize = CNT_CORRECTED_READ + 4;
    pub const DEVFLAGS: usize = DEVICE_UUID + 16;
    pub const BBLOG_SHIFT: usize = DEVFLAGS + 1;
    pub const BBLOG_SIZE: usize = BBLOG_SHIFT + 1;
    pub const BBLOG_OFFSET: usize = BBLOG_SIZE + 2;
    pub const UTIME: usize = BBLOG_OFFSET + 4;
    pub const EVENTS: usize = UTIME + 8;
    pub const RESYNC_OFFSET: usize = EVENTS + 8;
    pub const SB_CSUM: usize = RESYNC_OFFSET + 8;
    pub const MAX_DEV: usize = SB_CSUM + 4;
    pub const LOGICAL_BLOCK_SIZE: usize = MAX_DEV + 4;
    pub const PAD3: usize = LOGICAL_BLOCK_SIZE + 4;
    pub const DEV_ROLES: usize = PAD3 + 28;
    const _: () = assert!(DEV_ROLES == super::FIXED_BYTES);
}

/// Bits of `feature_map` (uapi `md_p.h`, `MD_FEATURE_*`).
#[allow(missing_docs)]
pub mod feature {
    pub const BITMAP_OFFSET: u32 = 1;
    pub const RECOVERY_OFFSET: u32 = 2;
    pub const RESHAPE_ACTIVE: u32 = 4;
    pub const BAD_BLOCKS: u32 = 8;
    pub const REPLACEMENT: u32 = 16;
    pub const RESHAPE_BACKWARDS: u32 = 32;
    pub const NEW_OFFSET: u32 = 64;
    pub const RECOVERY_BITMAP: u32 = 128;
    pub const CLUSTERED: u32 = 256;
    pub const JOURNAL: u32 = 512;
    pub const PPL: u32 = 1024;
    pub const MULTIPLE_PPLS: u32 = 2048;
    pub const RAID0_LAYOUT: u32 = 4096;
    /// Every bit that is defined; a kernel refuses a member with another one.
    pub const ALL: u32 = 8191;
}

/// Bits of `devflags`.
#[allow(missing_docs)]
pub mod devflag {
    pub const WRITE_MOSTLY: u8 = 1;
    pub const FAILFAST: u8 = 2;
}

/// A slot's number in the role table, or what a device is instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Active, or to become so, in this slot.
    Slot(u16),
    /// 0xffff
    Spare,
    /// 0xfffe
    Faulty,
    /// 0xfffd
    Journal,
}

impl Role {
    /// From the number in the table. Slots stop at 0xff00 (`MD_DISK_ROLE_MAX`).
    #[must_use]
    pub fn from_raw(raw: u16) -> Role {
        match raw {
            0xffff => Role::Spare,
            0xfffe => Role::Faulty,
            0xfffd => Role::Journal,
            n => Role::Slot(n),
        }
    }

    /// The number in the table.
    #[must_use]
    pub fn raw(self) -> u16 {
        match self {
            Role::Slot(n) => n,
            Role::Spare => 0xffff,
            Role::Faulty => 0xfffe,
            Role::Journal => 0xfffd,
        }
    }
}

/// A v1.x superblock: its bytes whole, so that read and write are the identity, and its fields by name.
#[derive(Clone, PartialEq, Eq)]
pub struct SuperV1 {
    raw: Box<[u8; SUPER_BYTES]>,
}

impl std::fmt::Debug for SuperV1 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SuperV1").field("set_uuid", &self.set_uuid()).field("events", &self.events()).finish()
    }
}

impl SuperV1 {
    /// All zero but for magic and major version.
    #[must_use]
    pub fn empty() -> SuperV1 {
        let mut sb = SuperV1 { raw: Box::new([0; SUPER_BYTES]) };
        sb.set_magic(MAGIC);
        sb.set_major_version(1);
        sb
    }

    /// Takes bytes as they are; `None` where magic or major version are not those of a v1.x superblock.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; SUPER_BYTES]) -> Option<SuperV1> {
        let sb = SuperV1 { raw: Box::new(*bytes) };
        (sb.magic() == MAGIC && sb.major_version() == 1).then_some(sb)
    }

    /// All bytes, the role table and what follows it included.
    #[must_use]
    pub fn bytes(&self) -> &[u8; SUPER_BYTES] {
        &self.raw
    }

    le_fields! {
        /// [`MAGIC`]
        magic / set_magic: u32 = offset::MAGIC;
        /// 1
        major_version / set_major_version: u32 = offset::MAJOR_VERSION;
        /// Bits of [`feature`].
        feature_map / set_feature_map: u32 = offset::FEATURE_MAP;
        /// Seconds since 1970 in the low 40 bits, microseconds above.
        ctime_raw / set_ctime_raw: u64 = offset::CTIME;
        /// Number of the level; see [`crate::level::Level::from_raw`].
        level_raw / set_level_raw: i32 = offset::LEVEL;
        /// Number of the layout.
        layout / set_layout: u32 = offset::LAYOUT;
        /// Used sectors of each member.
        size / set_size: u64 = offset::SIZE;
        /// Array chunk in sectors.
        chunksize / set_chunksize: u32 = offset::CHUNKSIZE;
        /// Number of slots.
        raid_disks / set_raid_disks: u32 = offset::RAID_DISKS;
        /// Sectors from the superblock to the bitmap, signed; valid with [`feature::BITMAP_OFFSET`].
        bitmap_offset / set_bitmap_offset: i32 = offset::BITMAP_OFFSET;
        /// Sectors from the superblock to the PPL, signed; valid with [`feature::PPL`].
        ppl_offset / set_ppl_offset: i16 = offset::BITMAP_OFFSET;
        /// Size of the PPL in sectors.
        ppl_size / set_ppl_size: u16 = offset::BITMAP_OFFSET + 2;
        /// Level after the reshape.
        new_level_raw / set_new_level_raw: i32 = offset::NEW_LEVEL;
        /// Next array sector to reshape; valid with [`feature::RESHAPE_ACTIVE`].
        reshape_position / set_reshape_position: u64 = offset::RESHAPE_POSITION;
        /// Change in the number of slots.
        delta_disks / set_delta_disks: i32 = offset::DELTA_DISKS;
        /// Layout after the reshape.
        new_layout / set_new_layout: u32 = offset::NEW_LAYOUT;
        /// Array chunk after the reshape, in sectors.
        new_chunk / set_new_chunk: u32 = offset::NEW_CHUNK;
        /// Sectors to add to the data offset after the reshape, signed.
        new_offset / set_new_offset: i32 = offset::NEW_OFFSET;
        /// Sector of the member where data starts.
        data_offset / set_data_offset: u64 = offset::DATA_OFFSET;
        /// Sectors of the member that can hold data.
        data_size / set_data_size: u64 = offset::DATA_SIZE;
        /// Sector of the member where this superblock is.
        super_offset / set_super_offset: u64 = offset::SUPER_OFFSET;
        /// Sectors recovered so far; valid with [`feature::RECOVERY_OFFSET`].
        recovery_offset / set_recovery_offset: u64 = offset::RECOVERY_OFFSET;
        /// Index of this device in the role table, permanent.
        dev_number / set_dev_number: u32 = offset::DEV_NUMBER;
        /// Read errors that were corrected by rewriting.
        cnt_corrected_read / set_cnt_corrected_read: u32 = offset::CNT_CORRECTED_READ;
        /// Bits of [`devflag`].
        devflags / set_devflags: u8 = offset::DEVFLAGS;
        /// Bad-block log: shift from sectors to its unit.
        bblog_shift / set_bblog_shift: u8 = offset::BBLOG_SHIFT;
        /// Bad-block log: sectors reserved.
        bblog_size / set_bblog_size: u16 = offset::BBLOG_SIZE;
        /// Bad-block log: sectors from the superblock, signed.
        bblog_offset / set_bblog_offset: i32 = offset::BBLOG_OFFSET;
        /// As [`Self::ctime_raw`], of the last update.
        utime_raw / set_utime_raw: u64 = offset::UTIME;
        /// Rises with each update.
        events / set_events: u64 = offset::EVENTS;
        /// Sectors of the member known to be in sync; all ones when all are.
        resync_offset / set_resync_offset: u64 = offset::RESYNC_OFFSET;
        /// Checksum as stored.
        sb_csum / set_sb_csum: u32 = offset::SB_CSUM;
        /// Entries in the role table.
        max_dev / set_max_dev: u32 = offset::MAX_DEV;
        /// The array's logical block size in bytes; 0 where the kernel (before 6.19) does not record it.
        logical_block_size / set_logical_block_size: u32 = offset::LOGICAL_BLOCK_SIZE;
    }

    /// Whether all of these [`feature`] bits are set.
    #[must_use]
    pub fn has(&self, bits: u32) -> bool {
        self.feature_map() & bits == bits
    }

    /// Whether it is in a slot, and not being rebuilt: the kernel reads the bitmaps of such members.
    #[must_use]
    pub fn is_in_sync(&self) -> bool {
        matches!(self.role(), Role::Slot(_)) && !self.has(feature::RECOVERY_OFFSET)
    }

    /// Whether there is a partial parity log: as made by mdadm, or as kept by the kernel.
    #[must_use]
    pub fn has_ppl(&self) -> bool {
        self.feature_map() & (feature::PPL | feature::MULTIPLE_PPLS) != 0
    }

    /// The array's uuid.
    #[must_use]
    pub fn set_uuid(&self) -> Uuid {
        Uuid(get(&self.raw[..], offset::SET_UUID))
    }

    /// Sets the array's uuid.
    pub fn put_set_uuid(&mut self, uuid: Uuid) {
        put(&mut self.raw[..], offset::SET_UUID, &uuid.0);
    }

    /// This device's uuid.
    #[must_use]
    pub fn device_uuid(&self) -> Uuid {
        Uuid(get(&self.raw[..], offset::DEVICE_UUID))
    }

    /// Sets this device's uuid.
    pub fn put_device_uuid(&mut self, uuid: Uuid) {
        put(&mut self.raw[..], offset::DEVICE_UUID, &uuid.0);
    }

    /// The array's name, up to its first zero byte; not always UTF-8, not always terminated.
    #[must_use]
    pub fn set_name(&self) -> Vec<u8> {
        let raw: [u8; 32] = get(&self.raw[..], offset::SET_NAME);
        raw.iter().copied().take_while(|b| *b != 0).collect()
    }

    /// Sets the array's name: cut to 32 bytes, padded with zeros.
    pub fn put_set_name(&mut self, name: &[u8]) {
        let mut field = [0u8; 32];
        for (dst, src) in field.iter_mut().zip(name) {
            *dst = *src;
        }
        put(&mut self.raw[..], offset::SET_NAME, &field);
    }

    /// Creation time in seconds since 1970.
    #[must_use]
    pub fn ctime(&self) -> u64 {
        self.ctime_raw() & ((1 << 40) - 1)
    }

    /// Time of the last update in seconds since 1970.
    #[must_use]
    pub fn utime(&self) -> u64 {
        self.utime_raw() & ((1 << 40) - 1)
    }

    /// How many entries of the role table are inside the superblock, whatever `max_dev` claims.
    #[must_use]
    pub fn role_count(&self) -> u32 {
        self.max_dev().min(MAX_ROLES)
    }

    /// The role table.
    #[must_use]
    pub fn roles(&self) -> Vec<Role> {
        (0..self.role_count()).map(|n| self.role_at(n)).collect()
    }

    /// The role of device `number`; a spare where the table does not reach so far.
    #[must_use]
    pub fn role_at(&self, number: u32) -> Role {
        match usize::try_from(number) {
            Ok(n) if number < self.role_count() => {
                Role::from_raw(u16::from_le_bytes(get(&self.raw[..], offset::DEV_ROLES + 2 * n)))
            }
            _ => Role::Spare,
        }
    }

    /// The role of this device.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role_at(self.dev_number())
    }

    /// Sets the role of device `number`; nothing past the end of the superblock.
    pub fn put_role(&mut self, number: u32, role: Role) {
        if number < MAX_ROLES
            && let Ok(n) = usize::try_from(number)
        {
            put(&mut self.raw[..], offset::DEV_ROLES + 2 * n, &role.raw().to_le_bytes());
        }
    }

    /// The checksum of the bytes as they are (kernel `calc_sb_1_csum`): little-endian words added, the stored sum as 0.
    /// A `max_dev` past the superblock's end counts as [`MAX_ROLES`].
    #[must_use]
    pub fn computed_csum(&self) -> u32 {
        let len = FIXED_BYTES + 2 * usize::try_from(self.role_count()).unwrap_or(0);
        let mut sum = 0u64;
        for (i, part) in self.raw.iter().as_slice().get(..len).unwrap_or_default().chunks(4).enumerate() {
            if i * 4 != offset::SB_CSUM {
                let mut word = [0u8; 4];
                for (dst, src) in word.iter_mut().zip(part) {
                    *dst = *src;
                }
                sum += u64::from(u32::from_le_bytes(word));
            }
        }
        let folded = (sum & 0xffff_ffff) + (sum >> 32);
        u32::try_from(folded & 0xffff_ffff).unwrap_or(0)
    }

    /// Stores the checksum of the bytes as they are.
    pub fn update_csum(&mut self) {
        let sum = self.computed_csum();
        self.set_sb_csum(sum);
    }

    /// Bytes to write: the fixed part and the role table, rounded up to `block` bytes and at most [`SUPER_BYTES`].
    #[must_use]
    pub fn write_bytes(&self, block: u32) -> &[u8] {
        let len = FIXED_BYTES + 2 * usize::try_from(self.role_count()).unwrap_or(0);
        let block = usize::try_from(block).unwrap_or(512).max(512);
        self.raw.get(..len.next_multiple_of(block).min(SUPER_BYTES)).unwrap_or_default()
    }

    /// Sectors of the member in use from its start, or whatever else arithmetic needs, checked.
    ///
    /// # Errors
    /// The first field that cannot be as it is on a member of `device` sectors; a wrong checksum counts too.
    pub fn check(&self, device: Sectors) -> Result<(), SuperError> {
        place::check(self, device)
    }
}
