//! A running array as manage mode sees it.

use super::Target;
use crate::level::Level;
use crate::plan::redundancy::Copy;

/// A member of a running array.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// Kernel name; empty where sysfs does not tell it any more.
    pub kname: String,
    /// Device number.
    pub dev: Option<(u32, u32)>,
    /// Descriptor number.
    pub number: Option<u32>,
    /// Slot; `None` for spares and for members that were taken out of theirs.
    pub slot: Option<u32>,
    /// Marked faulty.
    pub faulty: bool,
    /// All its data is there.
    pub in_sync: bool,
    /// The log device.
    pub journal: bool,
    /// It is being filled to replace the member of its slot.
    pub replacement: bool,
    /// The device itself is gone from the machine.
    pub gone: bool,
    /// Recorded bad blocks, in sectors from the start of its data: first and count.
    pub bad: Vec<(u64, u64)>,
}

/// A running array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrayFacts {
    /// Kernel name.
    pub devname: String,
    /// As typed.
    pub shown: String,
    /// Level.
    pub level: Level,
    /// Layout number.
    pub layout: u32,
    /// Number of slots; while their number changes, the larger one.
    pub slots: u32,
    /// Its data moves to another shape.
    pub reshaping: bool,
    /// Its members, by descriptor number.
    pub members: Vec<Member>,
}

/// `raid_disks`: while a reshape changes it that is `NEW (OLD)`, and both hold data.
#[must_use]
pub fn slots(raid_disks: &str) -> u32 {
    let numbers = raid_disks.split(|c: char| !c.is_ascii_digit());
    numbers.filter_map(|n| n.parse().ok()).max().unwrap_or(0)
}

impl ArrayFacts {
    /// The member that a target stands for, with its index. Device numbers count, not names.
    #[must_use]
    pub fn find(&self, target: &Target) -> Option<(usize, &Member)> {
        self.members.iter().enumerate().find(|(_, m)| match (&target.kname, target.dev) {
            (Some(name), _) => m.kname == *name,
            (None, dev) => dev.is_some() && m.dev == dev,
        })
    }

    /// The members that fit, named by their device numbers as the reference does.
    pub fn targets(&self, fits: impl Fn(&Member) -> bool) -> Vec<Target> {
        let fitting = self.members.iter().filter(|m| fits(m));
        fitting
            .map(|m| match m.dev {
                Some((major, minor)) => Target { shown: format!("{major}:{minor}"), dev: m.dev, kname: None },
                None => Target { shown: m.kname.clone(), dev: None, kname: Some(m.kname.clone()) },
            })
            .collect()
    }

    /// What each member holds.
    #[must_use]
    pub fn copies(&self) -> Vec<Copy> {
        let copy = |m: &Member| Copy {
            slot: m.slot.and_then(|s| usize::try_from(s).ok()).filter(|_| !m.journal),
            in_sync: m.in_sync && !m.faulty,
            bad: m.bad.clone(),
        };
        self.members.iter().map(copy).collect()
    }

    /// The array as it will be when the member has failed: for what follows in the same command with `--plan`.
    pub fn after_fail(&mut self, target: &Target) {
        if let Some(index) = self.find(target).map(|f| f.0)
            && let Some(m) = self.members.get_mut(index)
        {
            m.faulty = true;
            m.in_sync = false;
        }
    }

    /// The array as it will be with a new spare.
    pub fn after_add(&mut self, dev: (u32, u32), kname: String, number: u32) {
        self.members.push(Member { kname, dev: Some(dev), number: Some(number), ..Member::default() });
    }

    /// The array as it will be when the member is removed.
    pub fn after_remove(&mut self, target: &Target) {
        if let Some(index) = self.find(target).map(|f| f.0) {
            self.members.remove(index);
        }
    }
}
