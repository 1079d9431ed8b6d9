//! The attributes by name and type.
#![forbid(unsafe_code)]

use std::marker::PhantomData;

use super::value::{
    ArrayState, BadBlocks, ChoiceList, DevNumber, Lines, Maybe, MemberState, MetadataVersion, Slot, SpeedLimit,
    SyncAction, SyncProgress, Word,
};

macro_rules! token {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name<T> {
            name: &'static str,
            kind: PhantomData<fn() -> T>,
        }

        impl<T> Clone for $name<T> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<T> Copy for $name<T> {}

        impl<T> $name<T> {
            /// An attribute of this name and type.
            #[must_use]
            pub const fn new(name: &'static str) -> Self {
                $name { name, kind: PhantomData }
            }

            /// The name below the directory.
            #[must_use]
            pub const fn name(self) -> &'static str {
                self.name
            }
        }
    };
}

token!(
    /// An attribute below `/sys/block/mdX/md/`, with the type of its value.
    Attr
);
token!(
    /// An attribute below `/sys/block/mdX/md/dev-NAME/`, with the type of its value.
    MemberAttr
);

macro_rules! attrs {
    ($kind:ident: $($(#[$doc:meta])* $id:ident = $name:literal: $ty:ty;)*) => {
        $($(#[$doc])* pub const $id: $kind<$ty> = $kind::new($name);)*
    };
}

attrs! { Attr:
    /// `raid5`; nothing while none is set.
    LEVEL = "level": Word;
    /// The level that a reshape goes to, as a number.
    NEW_LEVEL = "new_level": i32;
    /// During a reshape the new number; the old one follows in parentheses.
    RAID_DISKS = "raid_disks": u32;
    /// `1.2`, `external:imsm`, `none`.
    METADATA_VERSION = "metadata_version": MetadataVersion;
    /// What the array does, see [`ArrayState`].
    ARRAY_STATE = "array_state": ArrayState;
    /// Bytes.
    CHUNK_SIZE = "chunk_size": u64;
    /// The level's own number of its layout.
    LAYOUT = "layout": u32;
    /// KiB per member.
    COMPONENT_SIZE = "component_size": u64;
    /// KiB, or `default`.
    ARRAY_SIZE = "array_size": Maybe<u64>;
    /// Missing and out-of-sync members.
    DEGRADED = "degraded": u32;
    /// Sectors that a check or repair found to differ.
    MISMATCH_CNT = "mismatch_cnt": u64;
    /// What runs, see [`SyncAction`].
    SYNC_ACTION = "sync_action": SyncAction;
    /// What ran last.
    LAST_SYNC_ACTION = "last_sync_action": SyncAction;
    /// How far it is, in sectors.
    SYNC_COMPLETED = "sync_completed": SyncProgress;
    /// KiB per second of the running action.
    SYNC_SPEED = "sync_speed": Maybe<u64>;
    /// KiB per second.
    SYNC_SPEED_MIN = "sync_speed_min": SpeedLimit;
    /// KiB per second.
    SYNC_SPEED_MAX = "sync_speed_max": SpeedLimit;
    /// Sectors up to which the array is in sync; `none`: all of it.
    RESYNC_START = "resync_start": Maybe<u64>;
    /// Sectors of the array that are in the new shape; `none`: no reshape.
    RESHAPE_POSITION = "reshape_position": Maybe<u64>;
    /// `forwards` or `backwards`
    RESHAPE_DIRECTION = "reshape_direction": Word;
    /// `resync`, `bitmap`, `journal`, `ppl`, `none`, `unknown`
    CONSISTENCY_POLICY = "consistency_policy": Word;
    /// The types of a bitmap, the one in use in brackets.
    BITMAP_TYPE = "bitmap_type": ChoiceList;
    /// `none`, `file`, or sectors from the superblock (`+8`, `-8`).
    BITMAP_LOCATION = "bitmap/location": Word;
    /// Bytes of the array or member per bit.
    BITMAP_CHUNKSIZE = "bitmap/chunksize": u64;
    /// `internal`, `external`, `clustered`
    BITMAP_METADATA = "bitmap/metadata": Word;
    /// Sectors of room, 0: not known.
    BITMAP_SPACE = "bitmap/space": u64;
    /// Seconds (with a fraction) between the daemon's rounds.
    BITMAP_TIME_BASE = "bitmap/time_base": Word;
    /// Write-behind: most writes under way.
    BITMAP_BACKLOG = "bitmap/backlog": u64;
    /// `true` or `false`: whether bits may be cleared.
    BITMAP_CAN_CLEAR = "bitmap/can_clear": Word;
    /// `unwritten 608`, one state and its count of chunks per line.
    LLBITMAP_BITS = "llbitmap/bits": Lines;
    /// `chunksize 128` (sectors), `chunks 608`, ... per line.
    LLBITMAP_METADATA = "llbitmap/metadata": Lines;
    /// Seconds.
    LLBITMAP_DAEMON_SLEEP = "llbitmap/daemon_sleep": u64;
    /// Seconds.
    LLBITMAP_BARRIER_IDLE = "llbitmap/barrier_idle": u64;
    /// Write only (raid4/5/6): builds the parity of unwritten chunks.
    LLBITMAP_PROACTIVE_SYNC = "llbitmap/proactive_sync": Word;
    /// Sectors: writes from here on wait ...
    SUSPEND_LO = "suspend_lo": u64;
    /// ... up to here.
    SUSPEND_HI = "suspend_hi": u64;
    /// Sectors: where a check or resync starts.
    SYNC_MIN = "sync_min": u64;
    /// Sectors, or `max`: where a check or resync stops.
    SYNC_MAX = "sync_max": Maybe<u64>;
    /// RFC spelling; all zeros where there is none.
    UUID = "uuid": Word;
    /// Stripes that raid4/5/6 keep in memory.
    STRIPE_CACHE_SIZE = "stripe_cache_size": u64;
    /// Bytes (6.19 and later).
    LOGICAL_BLOCK_SIZE = "logical_block_size": u32;
    /// Seconds with a fraction until a clean mark is written.
    SAFE_MODE_DELAY = "safe_mode_delay": Word;
    /// Write only: `MAJOR:MINOR`.
    NEW_DEV = "new_dev": Word;
}

attrs! { MemberAttr:
    /// What the member is, see [`MemberState`].
    STATE = "state": MemberState;
    /// Its place in the array.
    SLOT = "slot": Slot;
    /// Sectors: where its data starts.
    OFFSET = "offset": u64;
    /// Sectors: where a reshape puts it.
    NEW_OFFSET = "new_offset": u64;
    /// KiB of its data.
    SIZE = "size": u64;
    /// Read errors that were corrected.
    ERRORS = "errors": u64;
    /// Ranges that cannot be read, recorded in the log.
    BAD_BLOCKS = "bad_blocks": BadBlocks;
    /// The same, not yet recorded.
    UNACKNOWLEDGED_BAD_BLOCKS = "unacknowledged_bad_blocks": BadBlocks;
    /// Sectors already rebuilt; `none`: all of it.
    RECOVERY_START = "recovery_start": Maybe<u64>;
    /// Device number.
    BLOCK_DEV = "block/dev": DevNumber;
}
