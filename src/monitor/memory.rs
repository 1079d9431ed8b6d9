//! What was last known of the members of each array, kept over restarts: who held which slot.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::state::{Array, Memory};
use crate::host::Host;
use crate::host::devmap::DevMap;
use crate::host::saved::{self, SavedDir};
use crate::uuid::Uuid;

const FILE: &str = "members.json";
const SCHEMA: &str = "mdadm-rs/members/1";
/// More arrays than this are not kept: those that were not seen the longest go.
const MAX_ARRAYS: usize = 4096;

/// A member as it was last seen in its slot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Its path then.
    pub path: String,
    /// What identifies it: serial number and the like.
    #[serde(default)]
    pub identity: BTreeMap<String, String>,
    /// Seconds since 1970.
    pub seen_seconds: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    schema: String,
    /// uuid -> slot -> member
    arrays: BTreeMap<String, BTreeMap<u32, Known>>,
}

/// The file, and what it holds.
#[derive(Debug)]
pub struct Members {
    dir: PathBuf,
    kept: Kept,
    /// The members of each array as they were when they were written down.
    written: HashMap<Uuid, Vec<(u32, String)>>,
    complained: bool,
}

impl Members {
    /// Reads it; what cannot be read is nothing.
    #[must_use]
    pub fn load(dir: &Path) -> Members {
        let bytes = saved::read(&dir.join(FILE)).unwrap_or_default();
        let kept: Kept = serde_json::from_slice(&bytes).unwrap_or_default();
        let kept = if kept.schema == SCHEMA { kept } else { Kept::default() };
        Members { dir: dir.to_owned(), kept, written: HashMap::new(), complained: false }
    }

    /// Which slots were once in sync.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let one = |(uuid, slots): (&String, &BTreeMap<u32, Known>)| {
            Some((Uuid::parse(uuid)?, slots.keys().copied().collect()))
        };
        self.kept.arrays.iter().filter_map(one).collect()
    }

    /// Who held a slot.
    #[must_use]
    pub fn of(&self, uuid: Option<Uuid>, slot: u32) -> Option<&Known> {
        self.kept.arrays.get(&uuid?.to_string())?.get(&slot)
    }

    /// Takes over who is in sync now. The line to print where that cannot be written down, once.
    pub fn learn(&mut self, host: &Host, arrays: &[Array], now_seconds: u64) -> Option<String> {
        let mut devices = None;
        for array in arrays.iter().filter(|a| a.is_redundant()) {
            let Some(uuid) = array.uuid else { continue };
            let now: Vec<(u32, String)> = array.in_sync().filter_map(|m| Some((m.slot?, m.kname.clone()))).collect();
            if self.written.get(&uuid) == Some(&now) {
                continue;
            }
            let devices = devices.get_or_insert_with(|| DevMap::read(host));
            let slots = self.kept.arrays.entry(uuid.to_string()).or_default();
            slots.retain(|slot, _| *slot < array.raid_disks);
            for member in array.in_sync() {
                let Some(slot) = member.slot else { continue };
                let path =
                    devices.path(member.dev, None).map_or_else(|| format!("/dev/{}", member.kname), str::to_owned);
                slots.insert(slot, Known { path, identity: host.identity(member.dev), seen_seconds: now_seconds });
            }
            self.written.insert(uuid, now);
        }
        devices.and_then(|_| self.store().err())
    }

    fn store(&mut self) -> Result<(), String> {
        self.forget();
        SCHEMA.clone_into(&mut self.kept.schema);
        let bytes = serde_json::to_vec_pretty(&self.kept).unwrap_or_default();
        let stored = SavedDir::open(&self.dir).and_then(|dir| dir.replace(&self.dir.join(FILE), &bytes));
        let first = !std::mem::replace(&mut self.complained, stored.is_err());
        match stored {
            Err(e) if first => {
                Err(format!("cannot keep in {} who the members are: {}", self.dir.display(), crate::error::reason(&e)))
            }
            _ => Ok(()),
        }
    }

    fn forget(&mut self) {
        let newest = |slots: &BTreeMap<u32, Known>| slots.values().map(|k| k.seen_seconds).max().unwrap_or(0);
        while self.kept.arrays.len() > MAX_ARRAYS {
            let oldest = self.kept.arrays.iter().min_by_key(|(_, slots)| newest(slots)).map(|(uuid, _)| uuid.clone());
            let Some(oldest) = oldest else { return };
            self.kept.arrays.remove(&oldest);
        }
    }
}
