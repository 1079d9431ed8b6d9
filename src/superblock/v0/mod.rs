//! Version 0.90 superblocks (kernel: `mdp_super_t` in uapi `linux/raid/md_p.h`, `super_90_*` in `md.c`).
//!
//! 1024 words of 32 bits in the byte order of the machine that wrote them, 64 KiB aligned before the device's end.
//!
//! ```text
//! words   0 magic major minor patch gvalid_words set_uuid0 ctime level size nr_disks raid_disks md_minor not_persistent
//!        13 set_uuid1 set_uuid2 set_uuid3
//!        32 utime state active working failed spare csum events(2) cp_events(2) recovery_cp reshape_position(2)
//!           new_level delta_disks new_layout new_chunk
//!        64 layout chunk_size root_pv root_block
//!       128 disks[27], 32 words each: number major minor raid_disk state
//!       992 this_disk, likewise
//! ```

mod disk;
mod homehost;
mod place;
#[cfg(test)]
mod tests;
mod view;

pub use disk::{DISK_WORDS, DiskV0, MAX_DISKS};
pub use homehost::{is_local, mark_host};
pub use place::{read, super_offset};
pub use view::{BITMAP_OFFSET, BITMAP_SECTORS};

use super::field::{get, put};
use crate::superblock::v1::MAGIC;
use crate::units::{Bytes, KiB, Sectors};
use crate::uuid::Uuid;

/// Bytes of the superblock.
pub const SUPER_BYTES: usize = 4096;
/// The superblock lies in the last whole block of this size (`MD_RESERVED_BYTES`).
pub const RESERVED: Bytes = Bytes(64 * 1024);

/// Word numbers of the fields.
pub mod word {
    #![allow(missing_docs)]
    pub const MAGIC: usize = 0;
    pub const MAJOR_VERSION: usize = MAGIC + 1;
    pub const MINOR_VERSION: usize = MAJOR_VERSION + 1;
    pub const PATCH_VERSION: usize = MINOR_VERSION + 1;
    pub const GVALID_WORDS: usize = PATCH_VERSION + 1;
    pub const SET_UUID0: usize = GVALID_WORDS + 1;
    pub const CTIME: usize = SET_UUID0 + 1;
    pub const LEVEL: usize = CTIME + 1;
    pub const SIZE: usize = LEVEL + 1;
    pub const NR_DISKS: usize = SIZE + 1;
    pub const RAID_DISKS: usize = NR_DISKS + 1;
    pub const MD_MINOR: usize = RAID_DISKS + 1;
    pub const NOT_PERSISTENT: usize = MD_MINOR + 1;
    pub const SET_UUID1: usize = NOT_PERSISTENT + 1;
    pub const UTIME: usize = 32;
    pub const STATE: usize = UTIME + 1;
    pub const ACTIVE_DISKS: usize = STATE + 1;
    pub const WORKING_DISKS: usize = ACTIVE_DISKS + 1;
    pub const FAILED_DISKS: usize = WORKING_DISKS + 1;
    pub const SPARE_DISKS: usize = FAILED_DISKS + 1;
    pub const SB_CSUM: usize = SPARE_DISKS + 1;
    pub const EVENTS: usize = SB_CSUM + 1;
    pub const CP_EVENTS: usize = EVENTS + 2;
    pub const RECOVERY_CP: usize = CP_EVENTS + 2;
    pub const RESHAPE_POSITION: usize = RECOVERY_CP + 1;
    pub const NEW_LEVEL: usize = RESHAPE_POSITION + 2;
    pub const DELTA_DISKS: usize = NEW_LEVEL + 1;
    pub const NEW_LAYOUT: usize = DELTA_DISKS + 1;
    pub const NEW_CHUNK: usize = NEW_LAYOUT + 1;
    pub const LAYOUT: usize = 64;
    pub const CHUNK_SIZE: usize = LAYOUT + 1;
    pub const DISKS: usize = 128;
    pub const THIS_DISK: usize = DISKS + super::DISK_WORDS * super::MAX_DISKS;
    const _: () = assert!(THIS_DISK * 4 + super::DISK_WORDS * 4 == super::SUPER_BYTES);
}

/// Bits of the state word (`MD_SB_*`).
#[allow(missing_docs)]
pub mod state {
    pub const CLEAN: u32 = 1 << 0;
    pub const ERRORS: u32 = 1 << 1;
    pub const CLUSTERED: u32 = 1 << 5;
    pub const BITMAP_PRESENT: u32 = 1 << 8;
}

/// Bits of a descriptor's state (`MD_DISK_*`).
#[allow(missing_docs)]
pub mod bit {
    pub const FAULTY: u32 = 1 << 0;
    pub const ACTIVE: u32 = 1 << 1;
    pub const SYNC: u32 = 1 << 2;
    pub const REMOVED: u32 = 1 << 3;
    pub const WRITE_MOSTLY: u32 = 1 << 9;
    pub const FAILFAST: u32 = 1 << 10;
}

/// Byte order of a superblock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Written on a little-endian machine.
    Little,
    /// Written on a big-endian machine.
    Big,
}

/// A v0.90 superblock: its bytes whole, its fields by name, in either byte order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuperV0 {
    raw: Box<[u8; SUPER_BYTES]>,
    order: Order,
}

macro_rules! words {
    ($($(#[$doc:meta])* $get:ident / $set:ident = $word:expr;)*) => {
        $(
            $(#[$doc])*
            #[must_use]
            pub fn $get(&self) -> u32 {
                self.word($word)
            }

            #[doc = concat!("Sets [`Self::", stringify!($get), "`].")]
            pub fn $set(&mut self, value: u32) {
                self.put_word($word, value);
            }
        )*
    };
}

impl SuperV0 {
    /// Zeros but for magic, version 0.90.0 and the byte order.
    #[must_use]
    pub fn empty(order: Order) -> SuperV0 {
        let mut sb = SuperV0 { raw: Box::new([0; SUPER_BYTES]), order };
        sb.put_word(word::MAGIC, MAGIC);
        sb.put_word(word::MINOR_VERSION, 90);
        sb
    }

    /// Takes bytes as they are; `None` where the magic or the major version are not there in either byte order.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; SUPER_BYTES]) -> Option<SuperV0> {
        let magic: [u8; 4] = get(bytes, 0);
        let order = match magic {
            m if m == MAGIC.to_le_bytes() => Order::Little,
            m if m == MAGIC.to_be_bytes() => Order::Big,
            _ => return None,
        };
        let sb = SuperV0 { raw: Box::new(*bytes), order };
        (sb.word(word::MAJOR_VERSION) == 0).then_some(sb)
    }

    /// All bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; SUPER_BYTES] {
        &self.raw
    }

    /// The byte order.
    #[must_use]
    pub fn order(&self) -> Order {
        self.order
    }

    /// Word `n`.
    #[must_use]
    pub fn word(&self, n: usize) -> u32 {
        let bytes: [u8; 4] = get(&self.raw[..], n * 4);
        match self.order {
            Order::Little => u32::from_le_bytes(bytes),
            Order::Big => u32::from_be_bytes(bytes),
        }
    }

    /// Sets word `n`.
    pub fn put_word(&mut self, n: usize, value: u32) {
        let bytes = match self.order {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        };
        put(&mut self.raw[..], n * 4, &bytes);
    }

    /// Two words that make a 64-bit number: the low one first in little-endian superblocks.
    fn pair(&self, n: usize) -> u64 {
        let (low, high) = match self.order {
            Order::Little => (self.word(n), self.word(n + 1)),
            Order::Big => (self.word(n + 1), self.word(n)),
        };
        u64::from(low) | (u64::from(high) << 32)
    }

    fn put_pair(&mut self, n: usize, value: u64) {
        let low = u32::try_from(value & 0xffff_ffff).unwrap_or(0);
        let high = u32::try_from(value >> 32).unwrap_or(0);
        let (first, second) = if self.order == Order::Little { (low, high) } else { (high, low) };
        self.put_word(n, first);
        self.put_word(n + 1, second);
    }

    words! {
        /// 90, or 91 while a reshape is under way.
        minor_version / set_minor_version = word::MINOR_VERSION;
        /// 0 to 3.
        patch_version / set_patch_version = word::PATCH_VERSION;
        /// Creation, seconds since 1970.
        ctime / set_ctime = word::CTIME;
        /// Used KiB of each member.
        size_kib / set_size_kib = word::SIZE;
        /// Members of every kind.
        nr_disks / set_nr_disks = word::NR_DISKS;
        /// Slots.
        raid_disks / set_raid_disks = word::RAID_DISKS;
        /// N of the /dev/mdN that the array was last.
        md_minor / set_md_minor = word::MD_MINOR;
        /// Last update, seconds since 1970.
        utime / set_utime = word::UTIME;
        /// Bits of [`state`].
        state / set_state = word::STATE;
        /// Members in sync.
        active_disks / set_active_disks = word::ACTIVE_DISKS;
        /// Members not failed.
        working_disks / set_working_disks = word::WORKING_DISKS;
        /// Failed members.
        failed_disks / set_failed_disks = word::FAILED_DISKS;
        /// Spares.
        spare_disks / set_spare_disks = word::SPARE_DISKS;
        /// Checksum as stored.
        sb_csum / set_sb_csum = word::SB_CSUM;
        /// Sectors known to be in sync, where the array is not clean.
        recovery_cp / set_recovery_cp = word::RECOVERY_CP;
        /// Number of the layout.
        layout / set_layout = word::LAYOUT;
        /// Array chunk in bytes.
        chunk_bytes / set_chunk_bytes = word::CHUNK_SIZE;
        /// Layout after the reshape.
        new_layout / set_new_layout = word::NEW_LAYOUT;
        /// Array chunk after the reshape, in bytes.
        new_chunk_bytes / set_new_chunk_bytes = word::NEW_CHUNK;
    }

    /// Number of the level.
    #[must_use]
    pub fn level_raw(&self) -> i32 {
        signed(self.word(word::LEVEL))
    }

    /// Sets the level.
    pub fn set_level_raw(&mut self, level: i32) {
        self.put_word(word::LEVEL, u32::from_ne_bytes(level.to_ne_bytes()));
    }

    /// Level after the reshape.
    #[must_use]
    pub fn new_level_raw(&self) -> i32 {
        signed(self.word(word::NEW_LEVEL))
    }

    /// Change in the number of slots.
    #[must_use]
    pub fn delta_disks(&self) -> i32 {
        signed(self.word(word::DELTA_DISKS))
    }

    /// Sets the slots that a reshape adds.
    pub fn set_delta_disks(&mut self, delta: i32) {
        self.put_word(word::DELTA_DISKS, u32::from_ne_bytes(delta.to_ne_bytes()));
    }

    /// Rises with each update.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.pair(word::EVENTS)
    }

    /// The events at which [`Self::recovery_cp`] was right.
    #[must_use]
    pub fn cp_events(&self) -> u64 {
        self.pair(word::CP_EVENTS)
    }

    /// Sets the events.
    pub fn set_events(&mut self, events: u64) {
        self.put_pair(word::EVENTS, events);
    }

    /// Next array sector to reshape.
    #[must_use]
    pub fn reshape_position(&self) -> u64 {
        self.pair(word::RESHAPE_POSITION)
    }

    /// Sets the next array sector to reshape.
    pub fn put_reshape_position(&mut self, sector: u64) {
        self.put_pair(word::RESHAPE_POSITION, sector);
    }

    /// The array's uuid: four words, each in big-endian order, as md prints them.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        let mut uuid = [0u8; 16];
        let places = [word::SET_UUID0, word::SET_UUID1, word::SET_UUID1 + 1, word::SET_UUID1 + 2];
        for (dst, n) in uuid.chunks_exact_mut(4).zip(places) {
            dst.copy_from_slice(&self.word(n).to_be_bytes());
        }
        Uuid(uuid)
    }

    /// Sets the array's uuid.
    pub fn put_uuid(&mut self, uuid: Uuid) {
        let places = [word::SET_UUID0, word::SET_UUID1, word::SET_UUID1 + 1, word::SET_UUID1 + 2];
        for (src, n) in uuid.0.chunks_exact(4).zip(places) {
            self.put_word(n, u32::from_be_bytes(get(src, 0)));
        }
    }

    /// The descriptor of device `n`; `None` past the table's 27.
    #[must_use]
    pub fn disk(&self, n: usize) -> Option<DiskV0> {
        (n < MAX_DISKS).then(|| DiskV0::read(self, word::DISKS + n * DISK_WORDS))
    }

    /// Sets the descriptor of device `n`; nothing past the table's end.
    pub fn put_disk(&mut self, n: usize, disk: &DiskV0) {
        if n < MAX_DISKS {
            disk.write(self, word::DISKS + n * DISK_WORDS);
        }
    }

    /// The descriptor of the device that holds this superblock.
    #[must_use]
    pub fn this_disk(&self) -> DiskV0 {
        DiskV0::read(self, word::THIS_DISK)
    }

    /// Sets the descriptor of the device that holds this superblock.
    pub fn put_this_disk(&mut self, disk: &DiskV0) {
        disk.write(self, word::THIS_DISK);
    }

    /// The checksum of the bytes as they are (kernel `calc_sb_csum`): words added, the stored sum as 0, folded once.
    #[must_use]
    pub fn computed_csum(&self) -> u32 {
        let sum: u64 = (0..SUPER_BYTES / 4).filter(|n| *n != word::SB_CSUM).map(|n| u64::from(self.word(n))).sum();
        let folded = (sum & 0xffff_ffff) + (sum >> 32);
        u32::try_from(folded & 0xffff_ffff).unwrap_or(0)
    }

    /// Stores the checksum of the bytes as they are.
    pub fn update_csum(&mut self) {
        let sum = self.computed_csum();
        self.set_sb_csum(sum);
    }

    /// The same superblock in the other byte order (`--update=byteorder`): every word turned, pairs kept in their order.
    #[must_use]
    pub fn swapped(&self) -> SuperV0 {
        let order = if self.order == Order::Little { Order::Big } else { Order::Little };
        let mut other = SuperV0 { raw: self.raw.clone(), order };
        for n in 0..SUPER_BYTES / 4 {
            other.put_word(n, self.word(n));
        }
        for n in [word::EVENTS, word::CP_EVENTS, word::RESHAPE_POSITION] {
            other.put_pair(n, self.pair(n));
        }
        other.update_csum();
        other
    }

    /// Used sectors of each member.
    #[must_use]
    pub fn size(&self) -> Sectors {
        KiB(self.size_kib().into()).sectors().unwrap_or_default()
    }
}

fn signed(word: u32) -> i32 {
    i32::from_ne_bytes(word.to_ne_bytes())
}
