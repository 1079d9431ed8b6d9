//! Values of attributes. Words that are not known are kept: a newer kernel may have more of them.
#![forbid(unsafe_code)]
#![deny(clippy::cast_possible_truncation)]

/// A value that an attribute's text holds.
pub trait FromAttr: Sized {
    /// What to call it in an error.
    const WANTED: &'static str;
    /// Whether no text at all is a value too.
    const EMPTY_IS_A_VALUE: bool = false;

    /// Reads the text of the attribute, which has no line end; `None` where it is no such value.
    fn from_attr(text: &str) -> Option<Self>;
}

macro_rules! numbers {
    ($($ty:ty)*) => {$(
        impl FromAttr for $ty {
            const WANTED: &'static str = "number";

            /// The first word: a second one in parentheses is the value before a reshape.
            fn from_attr(text: &str) -> Option<Self> {
                text.split_ascii_whitespace().next()?.parse().ok()
            }
        }
    )*};
}
numbers!(u32 u64 i32);

/// A word, or whatever text there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word(pub String);

impl FromAttr for Word {
    const WANTED: &'static str = "word";

    fn from_attr(text: &str) -> Option<Self> {
        Some(Word(text.trim().to_owned()))
    }
}

/// Several lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines(pub Vec<String>);

impl FromAttr for Lines {
    const WANTED: &'static str = "list of lines";

    fn from_attr(text: &str) -> Option<Self> {
        Some(Lines(text.lines().map(str::to_owned).collect()))
    }
}

impl Lines {
    /// The number at the end of the line that starts with `name`; a name may have blanks in it.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.0.iter().find_map(|l| {
            let (key, value) = l.rsplit_once(' ')?;
            (key == name).then(|| value.parse().ok())?
        })
    }
}

/// A number, or a word that stands for "not any" (`none`, `default`, `max`, `delayed`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maybe<T> {
    /// The word.
    None,
    /// The number.
    Some(T),
}

impl<T> Maybe<T> {
    /// As an option.
    pub fn some(self) -> Option<T> {
        match self {
            Maybe::None => None,
            Maybe::Some(v) => Some(v),
        }
    }
}

impl<T: FromAttr> FromAttr for Maybe<T> {
    const WANTED: &'static str = "number or word";

    fn from_attr(text: &str) -> Option<Self> {
        if text.starts_with(|c: char| c.is_ascii_alphabetic()) {
            Some(Maybe::None)
        } else {
            T::from_attr(text).map(Maybe::Some)
        }
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $var:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $name {
            $($(#[$vdoc])* $var,)*
            /// A word that is not known here.
            Other(String),
        }

        impl $name {
            /// The kernel's word.
            #[must_use]
            pub fn word(&self) -> &str {
                match self {
                    $($name::$var => $word,)*
                    $name::Other(w) => w,
                }
            }
        }

        impl FromAttr for $name {
            const WANTED: &'static str = "word";

            fn from_attr(text: &str) -> Option<Self> {
                Some(match text.trim() {
                    $($word => $name::$var,)*
                    other => $name::Other(other.to_owned()),
                })
            }
        }
    };
}

words! {
    /// `md/array_state` (kernel `enum array_state`).
    ArrayState {
        /// No devices, no size, no level.
        Clear = "clear",
        /// May have some settings; does not run, no I/O.
        Inactive = "inactive",
        /// All I/O waits.
        Suspended = "suspended",
        /// Read-only, and no resync.
        Readonly = "readonly",
        /// As read-only, but becomes writable at the first write.
        ReadAuto = "read-auto",
        /// No write is under way.
        Clean = "clean",
        /// Writes may be under way.
        Active = "active",
        /// A write waits for `active` to be recorded.
        WritePending = "write-pending",
        /// As active, but no writes for a while.
        ActiveIdle = "active-idle",
        /// A raid0 or linear array that lost a member.
        Broken = "broken",
    }
}

impl ArrayState {
    /// Whether the array runs, that is: has its data to read.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !matches!(self, ArrayState::Clear | ArrayState::Inactive | ArrayState::Other(_))
    }
}

words! {
    /// `md/sync_action` (kernel `enum sync_action`).
    SyncAction {
        /// Nothing runs.
        Idle = "idle",
        /// Nothing runs and nothing may.
        Frozen = "frozen",
        /// Redundancy is made anew after an unclean stop.
        Resync = "resync",
        /// A spare gets its data.
        Recover = "recover",
        /// Differences are counted.
        Check = "check",
        /// Differences are counted and repaired.
        Repair = "repair",
        /// The array gets another shape.
        Reshape = "reshape",
    }
}

/// `md/sync_completed`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncProgress {
    /// Nothing runs.
    None,
    /// It waits for another array.
    Delayed,
    /// Sectors done of sectors to do.
    At {
        /// Sectors.
        done: u64,
        /// Sectors.
        total: u64,
    },
}

impl FromAttr for SyncProgress {
    const WANTED: &'static str = "progress";

    fn from_attr(text: &str) -> Option<Self> {
        match text.trim() {
            "none" => Some(SyncProgress::None),
            "delayed" => Some(SyncProgress::Delayed),
            other => {
                let (done, total) = other.split_once('/')?;
                Some(SyncProgress::At { done: done.trim().parse().ok()?, total: total.trim().parse().ok()? })
            }
        }
    }
}

/// `md/sync_speed_min`: `1000 (system)` or `2000 (local)`, KiB per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpeedLimit {
    /// KiB per second.
    pub kib: u64,
    /// Set for this array, not for the system.
    pub local: bool,
}

impl FromAttr for SpeedLimit {
    const WANTED: &'static str = "speed";

    fn from_attr(text: &str) -> Option<Self> {
        Some(SpeedLimit { kib: u64::from_attr(text)?, local: text.contains("(local)") })
    }
}

/// `md/metadata_version`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetadataVersion {
    /// No metadata.
    None,
    /// `0.90`, `1.2`
    Md {
        /// 0 or 1
        major: u32,
        /// 90; or 0, 1, 2
        minor: u32,
    },
    /// Kept by a program: `imsm`, `ddf`, or `/md127/0` (a member of a container; `-` instead of the first slash: read-only).
    External(String),
    /// Anything else.
    Other(String),
}

impl FromAttr for MetadataVersion {
    const WANTED: &'static str = "metadata version";

    fn from_attr(text: &str) -> Option<Self> {
        let text = text.trim();
        if text == "none" {
            return Some(MetadataVersion::None);
        }
        if let Some(kind) = text.strip_prefix("external:") {
            return Some(MetadataVersion::External(kind.to_owned()));
        }
        let numbers = text.split_once('.').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        Some(match numbers {
            Some((major, minor)) => MetadataVersion::Md { major, minor },
            None => MetadataVersion::Other(text.to_owned()),
        })
    }
}

/// `md/dev-X/slot`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// Spare, or failed.
    None,
    /// The log device.
    Journal,
    /// Its place in the array.
    At(u32),
}

impl FromAttr for Slot {
    const WANTED: &'static str = "slot";

    fn from_attr(text: &str) -> Option<Self> {
        match text.trim() {
            "none" => Some(Slot::None),
            "journal" => Some(Slot::Journal),
            n => n.parse().ok().map(Slot::At),
        }
    }
}

/// `md/dev-X/state`: words with commas between them (kernel `state_show`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemberState {
    /// All of them, known or not.
    pub words: Vec<String>,
}

impl MemberState {
    /// Whether this word is among them: `faulty`, `in_sync`, `journal`, `write_mostly`, `blocked`, `spare`, `write_error`,
    /// `want_replacement`, `replacement`, `external_bbl`, `failfast`.
    #[must_use]
    pub fn has(&self, word: &str) -> bool {
        self.words.iter().any(|w| w == word)
    }
}

impl FromAttr for MemberState {
    const WANTED: &'static str = "list of words";
    const EMPTY_IS_A_VALUE: bool = true;

    fn from_attr(text: &str) -> Option<Self> {
        Some(MemberState {
            words: text.split(',').map(str::trim).filter(|w| !w.is_empty()).map(str::to_owned).collect(),
        })
    }
}

/// `md/dev-X/bad_blocks`: first sector and count of sectors per line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BadBlocks(pub Vec<(u64, u64)>);

impl FromAttr for BadBlocks {
    const WANTED: &'static str = "list of ranges";
    const EMPTY_IS_A_VALUE: bool = true;

    fn from_attr(text: &str) -> Option<Self> {
        let ranges = text.lines().map(|l| {
            let (at, len) = l.trim().split_once(' ')?;
            Some((at.parse().ok()?, len.trim().parse().ok()?))
        });
        ranges.collect::<Option<Vec<_>>>().map(BadBlocks)
    }
}

/// `block/dev`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DevNumber {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

impl FromAttr for DevNumber {
    const WANTED: &'static str = "device number";

    fn from_attr(text: &str) -> Option<Self> {
        let (major, minor) = text.trim().split_once(':')?;
        Some(DevNumber { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

/// Words to choose from, the chosen one in brackets: `none [bitmap] llbitmap`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChoiceList {
    /// All words, in order, without brackets.
    pub words: Vec<String>,
    /// The one in brackets.
    pub active: Option<String>,
}

impl FromAttr for ChoiceList {
    const WANTED: &'static str = "list of words";

    fn from_attr(text: &str) -> Option<Self> {
        let mut list = ChoiceList { words: Vec::new(), active: None };
        for word in text.split_ascii_whitespace() {
            let bare = word.strip_prefix('[').and_then(|w| w.strip_suffix(']'));
            if let Some(bare) = bare {
                list.active = Some(bare.to_owned());
            }
            list.words.push(bare.unwrap_or(word).to_owned());
        }
        Some(list)
    }
}
