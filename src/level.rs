//! RAID levels: numbers of the md metadata and their names.
#![forbid(unsafe_code)]

/// A RAID level as md knows it (uapi `linux/raid/md_p.h`, `LEVEL_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// Members one behind the other.
    Linear,
    /// Striping without redundancy.
    Raid0,
    /// Mirror.
    Raid1,
    /// Striping with one parity member.
    Raid4,
    /// Striping with rotating parity.
    Raid5,
    /// Striping with two rotating syndromes.
    Raid6,
    /// Mirrored stripes.
    Raid10,
    /// Several paths to one device (removed from the kernel).
    Multipath,
    /// Fault injection (removed from the kernel).
    Faulty,
    /// A set of devices with external metadata.
    Container,
}

/// Every level with its number and canonical name, as `--detail` prints it.
const TABLE: &[(Level, i32, &str)] = &[
    (Level::Linear, -1, "linear"),
    (Level::Raid0, 0, "raid0"),
    (Level::Raid1, 1, "raid1"),
    (Level::Raid4, 4, "raid4"),
    (Level::Raid5, 5, "raid5"),
    (Level::Raid6, 6, "raid6"),
    (Level::Raid10, 10, "raid10"),
    (Level::Multipath, -4, "multipath"),
    (Level::Faulty, -5, "faulty"),
    (Level::Container, -100, "container"),
];

/// Most members of a raid6: with one more the kernel panics at the first write (`async_gen_syndrome`, seen on Linux 7.2).
pub const MOST_RAID6: u32 = 255;

/// The other words that the reference takes on the command line.
const WORDS: &[(&str, Level)] = &[
    ("0", Level::Raid0),
    ("stripe", Level::Raid0),
    ("1", Level::Raid1),
    ("mirror", Level::Raid1),
    ("4", Level::Raid4),
    ("5", Level::Raid5),
    ("6", Level::Raid6),
    ("10", Level::Raid10),
    ("mp", Level::Multipath),
];

impl Level {
    /// The level with this number in metadata or ioctls; `None` for a number md does not define.
    #[must_use]
    pub fn from_raw(raw: i32) -> Option<Level> {
        TABLE.iter().find(|t| t.1 == raw).map(|t| t.0)
    }

    /// The number in metadata and ioctls.
    #[must_use]
    pub fn raw(self) -> i32 {
        TABLE.iter().find(|t| t.0 == self).map_or(0, |t| t.1)
    }

    /// The canonical name: what `--detail` prints and sysfs `level` holds.
    #[must_use]
    pub fn name(self) -> &'static str {
        TABLE.iter().find(|t| t.0 == self).map_or("", |t| t.2)
    }

    /// Reads a word of the command line or the configuration (`raid5`, `5`, `stripe`, `mirror`, ...).
    #[must_use]
    pub fn parse(word: &str) -> Option<Level> {
        TABLE.iter().find(|t| t.2 == word).map(|t| t.0).or_else(|| WORDS.iter().find(|w| w.0 == word).map(|w| w.1))
    }

    /// Whether the level keeps redundancy, and so has a sync state and can have a bitmap.
    #[must_use]
    pub fn is_redundant(self) -> bool {
        matches!(self, Level::Raid1 | Level::Raid4 | Level::Raid5 | Level::Raid6 | Level::Raid10)
    }

    /// Whether all members use equally much, which their superblocks record; linear and raid0 take each whole.
    #[must_use]
    pub fn has_size(self) -> bool {
        self.is_redundant() || matches!(self, Level::Multipath | Level::Faulty)
    }

    /// Whether the level computes parity (raid4, raid5, raid6).
    #[must_use]
    pub fn is_parity(self) -> bool {
        matches!(self, Level::Raid4 | Level::Raid5 | Level::Raid6)
    }

    /// Whether data is striped over members in chunks, so that `chunksize` means something.
    #[must_use]
    pub fn is_striped(self) -> bool {
        matches!(self, Level::Raid0 | Level::Raid4 | Level::Raid5 | Level::Raid6 | Level::Raid10)
    }
}
