//! What is known of the checks of each array: how far one got, and the results of those before.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ranges::Range;
use crate::host::saved::{self, SavedDir};
use crate::uuid::Uuid;

const FILE: &str = "checks.json";
const SCHEMA: &str = "mdadm-rs/checks/1";
/// Results of an array that are kept.
const MAX_RESULTS: usize = 100;

/// A check that is not through yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    /// Sectors that are checked, from the start.
    pub done_sectors: u64,
    /// Sectors of each member; of another number it begins anew.
    pub member_sectors: u64,
    /// Sectors that differed so far.
    pub mismatch_sectors: u64,
    /// Where, as far as the kernel log told.
    #[serde(default)]
    pub differing: Vec<Range>,
    /// When it was begun, seconds since 1970.
    pub started_seconds: u64,
}

/// One check, complete.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complete {
    /// Seconds since 1970.
    pub started_seconds: u64,
    /// Seconds since 1970.
    pub ended_seconds: u64,
    /// Sectors of each member.
    pub member_sectors: u64,
    /// Sectors that differed.
    pub mismatch_sectors: u64,
    /// Where, as far as the kernel log told.
    #[serde(default)]
    pub differing: Vec<Range>,
    /// These are all.
    #[serde(default)]
    pub differing_are_all: bool,
    /// Of a lockless bitmap: chunks that were never written to, at the end; they were not compared.
    #[serde(default)]
    pub unwritten_chunks: Option<u64>,
}

/// The limit that a check set; whoever comes after one that was killed puts it back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Speed {
    /// KiB per second.
    pub kib: u64,
    /// The limit that the array had of its own, KiB per second.
    pub before_kib: Option<u64>,
}

/// All that is kept of one array.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checks {
    /// The one to go on with.
    pub unfinished: Option<Unfinished>,
    /// Those that are complete, the newest last.
    #[serde(default)]
    pub complete: Vec<Complete>,
    /// While one runs that set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<Speed>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    schema: String,
    arrays: BTreeMap<String, Checks>,
}

/// The file.
#[derive(Debug)]
pub struct Kept {
    dir: PathBuf,
    content: Content,
}

impl Kept {
    /// Reads it; what cannot be read is nothing.
    #[must_use]
    pub fn load(dir: &Path) -> Kept {
        let bytes = saved::read(&dir.join(FILE)).unwrap_or_default();
        let content: Content = serde_json::from_slice(&bytes).unwrap_or_default();
        let content = if content.schema == SCHEMA { content } else { Content::default() };
        Kept { dir: dir.to_owned(), content }
    }

    /// What is kept of an array.
    #[must_use]
    pub fn of(&self, uuid: Uuid) -> Checks {
        self.content.arrays.get(&uuid.to_string()).cloned().unwrap_or_default()
    }

    /// Changes what is kept of an array, durably. Others may have changed the file meanwhile: theirs stays.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn change(&mut self, uuid: Uuid, change: impl FnOnce(&mut Checks)) -> std::io::Result<()> {
        let dir = SavedDir::open(&self.dir)?;
        self.content = Kept::load(&self.dir).content;
        SCHEMA.clone_into(&mut self.content.schema);
        let checks = self.content.arrays.entry(uuid.to_string()).or_default();
        change(checks);
        let extra = checks.complete.len().saturating_sub(MAX_RESULTS);
        checks.complete.drain(..extra);
        dir.replace(&self.dir.join(FILE), &serde_json::to_vec_pretty(&self.content).unwrap_or_default())
    }
}
