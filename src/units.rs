//! Newtypes for the three units that md mixes: sectors (512 bytes), bytes and KiB.
#![forbid(unsafe_code)]

use std::fmt;

/// Bytes in one md sector. md counts in 512-byte sectors whatever the device's logical block size is.
pub const SECTOR_BYTES: u64 = 512;

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u64);

        impl $name {
            /// Nothing.
            pub const ZERO: $name = $name(0);

            /// Checked sum.
            #[must_use]
            pub fn checked_add(self, other: $name) -> Option<$name> {
                self.0.checked_add(other.0).map($name)
            }

            /// Checked difference.
            #[must_use]
            pub fn checked_sub(self, other: $name) -> Option<$name> {
                self.0.checked_sub(other.0).map($name)
            }

            /// Rounds down to a multiple of `step`; `step` 0 leaves the value as it is.
            #[must_use]
            pub fn round_down(self, step: $name) -> $name {
                if step.0 == 0 { self } else { $name(self.0 - self.0 % step.0) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

unit!(
    /// A count or offset in 512-byte sectors.
    Sectors
);
unit!(
    /// A count or offset in bytes.
    Bytes
);
unit!(
    /// A count in KiB (1024 bytes), the unit of most mdadm options and of the MD ioctls.
    KiB
);

impl Sectors {
    /// In bytes; `None` past 2^64.
    #[must_use]
    pub fn bytes(self) -> Option<Bytes> {
        self.0.checked_mul(SECTOR_BYTES).map(Bytes)
    }

    /// In whole KiB, rounded down.
    #[must_use]
    pub fn kib(self) -> KiB {
        KiB(self.0 / 2)
    }
}

impl Bytes {
    /// In whole sectors, rounded down.
    #[must_use]
    pub fn sectors(self) -> Sectors {
        Sectors(self.0 / SECTOR_BYTES)
    }
}

impl KiB {
    /// In sectors; `None` past 2^64.
    #[must_use]
    pub fn sectors(self) -> Option<Sectors> {
        self.0.checked_mul(2).map(Sectors)
    }
}
