//! One event, and what the reference calls it.

use super::Array;
use crate::uuid::Uuid;

/// How bad it is (mdadm(8): syslog priority).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Good to know.
    Info,
    /// Something goes on.
    Warning,
    /// Redundancy or an array was lost.
    Critical,
}

impl Priority {
    /// The word in JSON and in MD_SEVERITY.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Priority::Info => "info",
            Priority::Warning => "warning",
            Priority::Critical => "critical",
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// `--test`
    TestMessage,
    /// An array that was not watched before.
    NewArray,
    /// It is not there any more.
    DeviceDisappeared,
    /// It is of a level without redundancy: there is nothing to watch.
    WrongLevel,
    /// First seen, or left by a rebuild, with members missing.
    DegradedArray,
    /// Fewer spares than the configuration wants.
    SparesMissing,
    /// A resync, recovery, reshape or check runs.
    RebuildStarted,
    /// It has got to this percentage.
    Rebuild(u32),
    /// It ended. After a check or repair: the sectors that differed, where any did.
    RebuildFinished(Option<u64>),
    /// An active member failed, by its kernel name.
    Fail(String),
    /// A spare failed, or one that was being rebuilt.
    FailSpare(String),
    /// A member's data became complete.
    SpareActive(String),
    /// A spare came from another array, by that array's name.
    MoveSpare(String),
}

impl What {
    /// The name of the event.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            What::TestMessage => "TestMessage",
            What::NewArray => "NewArray",
            What::DeviceDisappeared | What::WrongLevel => "DeviceDisappeared",
            What::DegradedArray => "DegradedArray",
            What::SparesMissing => "SparesMissing",
            What::RebuildStarted => "RebuildStarted",
            What::Rebuild(percent) => return format!("Rebuild{percent:02}"),
            What::RebuildFinished(_) => "RebuildFinished",
            What::Fail(_) => "Fail",
            What::FailSpare(_) => "FailSpare",
            What::SpareActive(_) => "SpareActive",
            What::MoveSpare(_) => "MoveSpare",
        }
        .to_owned()
    }

    /// As the manual has it.
    #[must_use]
    pub fn priority(&self) -> Priority {
        match self {
            What::DeviceDisappeared | What::WrongLevel | What::DegradedArray | What::Fail(_) | What::FailSpare(_) => {
                Priority::Critical
            }
            What::SparesMissing | What::RebuildStarted | What::Rebuild(_) | What::RebuildFinished(_) => {
                Priority::Warning
            }
            What::TestMessage | What::NewArray | What::SpareActive(_) | What::MoveSpare(_) => Priority::Info,
        }
    }

    /// Whether mail is sent.
    #[must_use]
    pub fn is_mailed(&self) -> bool {
        matches!(
            self,
            What::Fail(_) | What::FailSpare(_) | What::DegradedArray | What::SparesMissing | What::TestMessage
        )
    }

    /// The member that it is about, by its kernel name.
    #[must_use]
    pub fn member(&self) -> Option<&str> {
        match self {
            What::Fail(m) | What::FailSpare(m) | What::SpareActive(m) => Some(m),
            _ => None,
        }
    }
}

/// Which array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// As shown: `/dev/md0`.
    pub name: String,
    /// Kernel name.
    pub devname: String,
    /// Its uuid.
    pub uuid: Option<Uuid>,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub what: What,
    /// To which array.
    pub subject: Subject,
    /// The array now; as it was last where it is gone.
    pub array: Array,
}
