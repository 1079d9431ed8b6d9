//! The 256-byte bitmap superblock (kernel `bitmap_super_t`, `drivers/md/md-bitmap.h`), the same for all versions.
//!
//! ```text
//!  0 magic   4 version   8 uuid  24 events  32 events_cleared  40 sync_size  48 state  52 chunksize
//! 56 daemon_sleep  60 write_behind  64 sectors_reserved  68 nodes  72 cluster_name  136 pad ... 256
//! ```
//!
//! All fields are little-endian, in version 3 too: there only the bits are in the byte order of the host
//! (`BITMAP_HOSTENDIAN`, kernel `md_bitmap_read_sb`).

use super::BitmapError;
use crate::blockio::ReadAt;
use crate::superblock::field::{get, le_fields, put};
use crate::units::SECTOR_BYTES;
use crate::uuid::Uuid;

/// First word of every bitmap superblock (`BITMAP_MAGIC`), "bitm" in the order of bytes.
pub const MAGIC: u32 = 0x6d74_6962;
/// Bytes of a bitmap superblock.
pub const SUPER_BYTES: usize = 256;

/// Offsets of the fields in bytes, each from the one before.
pub mod offset {
    #![allow(missing_docs)]
    pub const MAGIC: usize = 0;
    pub const VERSION: usize = MAGIC + 4;
    pub const UUID: usize = VERSION + 4;
    pub const EVENTS: usize = UUID + 16;
    pub const EVENTS_CLEARED: usize = EVENTS + 8;
    pub const SYNC_SIZE: usize = EVENTS_CLEARED + 8;
    pub const STATE: usize = SYNC_SIZE + 8;
    pub const CHUNKSIZE: usize = STATE + 4;
    pub const DAEMON_SLEEP: usize = CHUNKSIZE + 4;
    pub const WRITE_BEHIND: usize = DAEMON_SLEEP + 4;
    pub const SECTORS_RESERVED: usize = WRITE_BEHIND + 4;
    pub const NODES: usize = SECTORS_RESERVED + 4;
    pub const CLUSTER_NAME: usize = NODES + 4;
    pub const PAD: usize = CLUSTER_NAME + 64;
    const _: () = assert!(PAD + 120 == super::SUPER_BYTES);
}

/// Bits of `state` (kernel `enum bitmap_state`): the enum counts bits, these are their values.
pub mod state {
    /// The bitmap is out of date.
    pub const STALE: u32 = 1 << 1;
    /// A write of the bitmap failed.
    pub const WRITE_ERROR: u32 = 1 << 2;
    /// Lockless: just created, no chunk has a state yet.
    pub const FIRST_USE: u32 = 1 << 3;
    /// Lockless: created with `--assume-clean`; counts with [`FIRST_USE`].
    pub const CLEAN: u32 = 1 << 4;
    /// Lockless: the daemon had not finished within its period.
    pub const DAEMON_BUSY: u32 = 1 << 5;
    /// Lockless: being taken down.
    pub const SHUTDOWN: u32 = 1 << 6;
    /// The bits are in the byte order of the host.
    pub const HOSTENDIAN: u32 = 1 << 15;

    /// The flags with their names, in the order of the bits.
    pub const NAMES: [(u32, &str); 7] = [
        (STALE, "stale"),
        (WRITE_ERROR, "write error"),
        (FIRST_USE, "first use"),
        (CLEAN, "clean"),
        (DAEMON_BUSY, "daemon busy"),
        (SHUTDOWN, "shut down"),
        (HOSTENDIAN, "host-endian"),
    ];
}

/// What a version number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// 3: one bit per chunk, in the byte order of the host.
    HostEndian,
    /// 4: one bit per chunk.
    LittleEndian,
    /// 5: one bit per chunk, once per node of a cluster.
    Clustered,
    /// 6: one byte per chunk.
    Lockless,
}

impl Kind {
    /// From the superblock's version.
    #[must_use]
    pub fn from_version(version: u32) -> Option<Kind> {
        match version {
            3 => Some(Kind::HostEndian),
            4 => Some(Kind::LittleEndian),
            5 => Some(Kind::Clustered),
            6 => Some(Kind::Lockless),
            _ => None,
        }
    }

    /// The number in the superblock.
    #[must_use]
    pub fn version(self) -> u32 {
        match self {
            Kind::HostEndian => 3,
            Kind::LittleEndian => 4,
            Kind::Clustered => 5,
            Kind::Lockless => 6,
        }
    }
}

/// A bitmap superblock: its bytes kept whole. Only the magic has been looked at.
#[derive(Clone, PartialEq, Eq)]
pub struct BitmapSuper {
    raw: [u8; SUPER_BYTES],
}

impl std::fmt::Debug for BitmapSuper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BitmapSuper")
            .field("version", &self.version())
            .field("uuid", &self.uuid())
            .field("events", &self.events())
            .field("sync_size", &self.sync_size())
            .field("state", &self.state())
            .field("chunksize", &self.chunksize())
            .field("sectors_reserved", &self.sectors_reserved())
            .finish_non_exhaustive()
    }
}

/// What a new bitmap superblock is made of; see [`BitmapSuper::internal`] and [`BitmapSuper::lockless`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewBitmap {
    /// The array's uuid.
    pub uuid: Uuid,
    /// Sectors of the range that resync happens across: of a member for raid1, 4, 5 and 6, of the array for raid10.
    pub sync_sectors: u64,
    /// Bytes per bitmap chunk. Lockless stores sectors: a multiple of 512.
    pub chunk_bytes: u64,
    /// Seconds between two runs of the daemon that clears bits.
    pub daemon_sleep: u32,
    /// Outstanding write-behind writes allowed; 0 is none.
    pub write_behind: u32,
    /// Room for the bitmap, its superblock included; 0 is not recorded.
    pub sectors_reserved: u32,
}

impl BitmapSuper {
    /// From bytes; `None` where the magic is not there.
    #[must_use]
    pub fn from_bytes(raw: &[u8; SUPER_BYTES]) -> Option<BitmapSuper> {
        let sb = BitmapSuper { raw: *raw };
        (sb.magic() == MAGIC).then_some(sb)
    }

    /// The bytes as they are on disk.
    #[must_use]
    pub fn bytes(&self) -> &[u8; SUPER_BYTES] {
        &self.raw
    }

    /// Reads the superblock at byte `start` of a device.
    ///
    /// # Errors
    /// [`BitmapError::Io`], [`BitmapError::OutsideDevice`] and [`BitmapError::NoMagic`].
    pub fn read(dev: &dyn ReadAt, start: u64) -> Result<BitmapSuper, BitmapError> {
        let end = i128::from(start) + 256;
        if end > i128::from(dev.size().0) {
            return Err(BitmapError::OutsideDevice { start: start.into(), end, device: dev.size().0 });
        }
        let mut raw = [0u8; SUPER_BYTES];
        dev.read_at(start, &mut raw)?;
        BitmapSuper::from_bytes(&raw)
            .ok_or(BitmapError::NoMagic { found: u32::from_le_bytes(get(&raw, offset::MAGIC)) })
    }

    fn new(version: u32, state: u32, chunksize: u32, new: &NewBitmap) -> BitmapSuper {
        let mut sb = BitmapSuper { raw: [0; SUPER_BYTES] };
        sb.set_magic(MAGIC);
        sb.set_version(version);
        sb.put_uuid(new.uuid);
        sb.set_sync_size(new.sync_sectors);
        sb.set_state(state);
        sb.set_chunksize(chunksize);
        sb.set_daemon_sleep(new.daemon_sleep);
        sb.set_write_behind(new.write_behind);
        sb.set_sectors_reserved(new.sectors_reserved);
        sb
    }

    /// A new version-4 superblock, events 0, as the reference writes it at create.
    /// `None` where the chunk does not fit its field (4 GiB and more).
    #[must_use]
    pub fn internal(new: &NewBitmap) -> Option<BitmapSuper> {
        Some(BitmapSuper::new(4, 0, u32::try_from(new.chunk_bytes).ok()?, new))
    }

    /// A new version-5 superblock, the same for each node's bitmap, as the reference writes it at create. The name is cut to
    /// its 64 bytes. `None` where the chunk does not fit its field.
    #[must_use]
    pub fn clustered(new: &NewBitmap, nodes: u32, cluster: &[u8]) -> Option<BitmapSuper> {
        let mut sb = BitmapSuper::new(5, 0, u32::try_from(new.chunk_bytes).ok()?, new);
        sb.set_nodes(nodes);
        sb.put_cluster_name(cluster);
        Some(sb)
    }

    /// A new version-6 superblock in its first use: the kernel chooses the chunk and writes the states when the array
    /// starts. With `clean` all chunks start as clean (`--assume-clean`), else as unwritten.
    /// The chunk is stored in sectors; it must not be 0, or the reference divides by it (see docs/lockless.md).
    /// `None` where it does not fit its field.
    #[must_use]
    pub fn lockless(new: &NewBitmap, clean: bool) -> Option<BitmapSuper> {
        let chunk = u32::try_from(new.chunk_bytes / SECTOR_BYTES).ok().filter(|c| *c != 0)?;
        let flags = state::FIRST_USE | if clean { state::CLEAN } else { 0 };
        Some(BitmapSuper::new(6, flags, chunk, new))
    }

    le_fields! {
        /// [`MAGIC`]
        magic / set_magic: u32 = offset::MAGIC;
        /// Version; see [`Kind`].
        version / set_version: u32 = offset::VERSION;
        /// The array's events when the bitmap was last written. Below the member's: the bitmap is out of date.
        events / set_events: u64 = offset::EVENTS;
        /// The array's events when a bit was last cleared; version 6 does not keep it.
        events_cleared / set_events_cleared: u64 = offset::EVENTS_CLEARED;
        /// Sectors of the range that resync happens across.
        sync_size / set_sync_size: u64 = offset::SYNC_SIZE;
        /// Bits of [`state`].
        state / set_state: u32 = offset::STATE;
        /// As stored: bytes in versions 3 to 5, sectors in version 6. See [`Self::chunk_bytes`].
        chunksize / set_chunksize: u32 = offset::CHUNKSIZE;
        /// Seconds between two runs of the daemon that clears bits.
        daemon_sleep / set_daemon_sleep: u32 = offset::DAEMON_SLEEP;
        /// Outstanding write-behind writes allowed.
        write_behind / set_write_behind: u32 = offset::WRITE_BEHIND;
        /// Sectors of room for the bitmap, its superblock included; 0 is not recorded.
        sectors_reserved / set_sectors_reserved: u32 = offset::SECTORS_RESERVED;
        /// Version 5: nodes of the cluster, each with a bitmap of its own.
        nodes / set_nodes: u32 = offset::NODES;
    }

    /// The array's uuid.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        Uuid(get(&self.raw, offset::UUID))
    }

    /// Sets the array's uuid.
    pub fn put_uuid(&mut self, uuid: Uuid) {
        put(&mut self.raw, offset::UUID, &uuid.0);
    }

    /// Version 5: the cluster's name up to its first zero byte; not always UTF-8.
    #[must_use]
    pub fn cluster_name(&self) -> Vec<u8> {
        let raw: [u8; 64] = get(&self.raw, offset::CLUSTER_NAME);
        raw.into_iter().take_while(|b| *b != 0).collect()
    }

    /// Sets the cluster's name: cut to 64 bytes, padded with zeros.
    pub fn put_cluster_name(&mut self, name: &[u8]) {
        let mut field = [0u8; 64];
        for (dst, src) in field.iter_mut().zip(name) {
            *dst = *src;
        }
        put(&mut self.raw, offset::CLUSTER_NAME, &field);
    }

    /// What the version means.
    ///
    /// # Errors
    /// [`BitmapError::UnknownVersion`].
    pub fn kind(&self) -> Result<Kind, BitmapError> {
        Kind::from_version(self.version()).ok_or(BitmapError::UnknownVersion(self.version()))
    }

    /// Bytes per chunk, whatever unit the version stores.
    #[must_use]
    pub fn chunk_bytes(&self) -> u64 {
        let unit = if self.version() == Kind::Lockless.version() { SECTOR_BYTES } else { 1 };
        u64::from(self.chunksize()) * unit
    }

    /// How many chunks cover the sync range: bits in versions 3 to 5 (per node), bytes in version 6.
    ///
    /// # Errors
    /// [`BitmapError::Field`] for a chunk of 0 and for a sync range past 2^63 bytes, which no device has.
    pub fn chunks(&self) -> Result<u64, BitmapError> {
        if self.chunk_bytes() == 0 {
            return Err(BitmapError::Field { field: "chunksize", value: 0, why: "covers nothing" });
        }
        let bytes = self.sync_size().checked_mul(SECTOR_BYTES).filter(|b| i64::try_from(*b).is_ok());
        let bytes = bytes.ok_or(BitmapError::Field {
            field: "sync_size",
            value: self.sync_size(),
            why: "is more sectors than any device has",
        })?;
        Ok(bytes.div_ceil(self.chunk_bytes()))
    }

    /// The names of the set flags of `state`, in the order of the bits; unknown bits as `bit N`.
    #[must_use]
    pub fn state_words(&self) -> Vec<String> {
        (0..32)
            .map(|n| (n, 1u32 << n))
            .filter(|(_, bit)| self.state() & bit != 0)
            .map(|(n, bit)| {
                let known = state::NAMES.iter().find(|(b, _)| *b == bit);
                known.map_or_else(|| format!("bit {n}"), |(_, name)| (*name).to_string())
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::mem::MemDevice;
    use proptest::prelude::*;

    fn new() -> NewBitmap {
        NewBitmap {
            uuid: Uuid([7; 16]),
            sync_sectors: 612_352,
            chunk_bytes: 64 << 20,
            daemon_sleep: 5,
            write_behind: 0,
            sectors_reserved: 0,
        }
    }

    #[test]
    fn an_internal_superblock_has_the_bytes_of_the_reference() {
        // strace of mdadm 4.6 --create -l1 -n2 -e1.2 --bitmap=internal on 300 MiB devices.
        let hex = "6269746d04000000d20274ac6ae7fa93a13635176adab69a0000000000000000000000000000000000580900000000000000000000000004\
                   0500000000000000";
        let bytes: Vec<u8> =
            (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect();
        let mut want = [0u8; SUPER_BYTES];
        want[..bytes.len()].copy_from_slice(&bytes);
        let uuid = Uuid(want[8..24].try_into().unwrap());
        assert_eq!(BitmapSuper::internal(&NewBitmap { uuid, ..new() }).unwrap().bytes(), &want);
    }

    #[test]
    fn a_lockless_superblock_counts_its_chunk_in_sectors() {
        let plain = BitmapSuper::lockless(&NewBitmap { chunk_bytes: 65536, ..new() }, false).unwrap();
        assert_eq!((plain.chunksize(), plain.chunk_bytes(), plain.state()), (128, 65536, 8));
        assert_eq!(plain.state_words(), ["first use"]);
        let clean = BitmapSuper::lockless(&NewBitmap { chunk_bytes: 65536, ..new() }, true).unwrap();
        assert_eq!(clean.state_words(), ["first use", "clean"]);
        assert!(BitmapSuper::lockless(&NewBitmap { chunk_bytes: 0, ..new() }, true).is_none());
    }

    #[test]
    fn reading_outside_the_device_is_an_error_that_says_where() {
        let dev = MemDevice::new(4096);
        assert!(matches!(BitmapSuper::read(&dev, 0), Err(BitmapError::NoMagic { found: 0 })));
        for start in [4096 - 255, 4096, u64::MAX - 10, u64::MAX] {
            assert!(matches!(BitmapSuper::read(&dev, start), Err(BitmapError::OutsideDevice { .. })));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_behind_the_magic_come_back_unchanged_and_never_panic(
            mut raw in prop::collection::vec(any::<u8>(), SUPER_BYTES)
        ) {
            raw[..4].copy_from_slice(&MAGIC.to_le_bytes());
            let raw: [u8; SUPER_BYTES] = raw.try_into().unwrap();
            let sb = BitmapSuper::from_bytes(&raw).unwrap();
            let _ = (sb.kind(), sb.chunks(), sb.state_words(), sb.cluster_name());
            prop_assert_eq!(sb.bytes(), &raw);
        }

        #[test]
        fn setting_every_field_to_itself_changes_nothing(raw in prop::collection::vec(any::<u8>(), SUPER_BYTES)) {
            let raw: [u8; SUPER_BYTES] = raw.try_into().unwrap();
            let mut sb = BitmapSuper { raw };
            sb.set_version(sb.version());
            sb.put_uuid(sb.uuid());
            sb.set_events(sb.events());
            sb.set_events_cleared(sb.events_cleared());
            sb.set_sync_size(sb.sync_size());
            sb.set_state(sb.state());
            sb.set_chunksize(sb.chunksize());
            sb.set_daemon_sleep(sb.daemon_sleep());
            sb.set_write_behind(sb.write_behind());
            sb.set_sectors_reserved(sb.sectors_reserved());
            sb.set_nodes(sb.nodes());
            prop_assert_eq!(sb.bytes(), &raw);
        }
    }
}
