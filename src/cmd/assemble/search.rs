//! The devices that are looked through for members, several at a time. One that does not answer delays no array that is
//! complete without it.

use std::path::PathBuf;
use std::time::Duration;

use super::probe::candidate;
use crate::cmd::member::superblock;
use crate::cmd::print::left_out;
use crate::device::readers::Readers;
use crate::device::real::{Access, RealDevice};
use crate::host::Host;
use crate::plan::assemble::{Candidate, Wishes};
use crate::uuid::Uuid;

/// After that arrays that are complete are started, whatever else is still awaited.
const PATIENCE: Duration = Duration::from_secs(2);

/// The devices looked at so far.
#[derive(Default)]
pub struct Search {
    /// What is on them, those of started arrays among them.
    pub candidates: Vec<Candidate>,
    seen: Vec<PathBuf>,
    waiting: Option<Readers<Candidate>>,
}

impl Search {
    /// Reads the devices that were not there before.
    pub fn look(&mut self, host: &Host, listed: Vec<PathBuf>, wishes: &Wishes) {
        let new: Vec<PathBuf> = listed.into_iter().filter(|path| !self.seen.contains(path)).collect();
        if new.is_empty() {
            return;
        }
        self.seen.extend_from_slice(&new);
        let (to_read, wishes) = (host.clone(), wishes.clone());
        let readers = Readers::start(new, move |path| candidate(&to_read, path, &wishes));
        let all = readers.wait(PATIENCE.min(host.device_wait));
        self.candidates.extend(readers.take());
        self.waiting = Some(readers).filter(|_| !all);
    }

    /// How many devices were listed so far.
    #[must_use]
    pub fn listed(&self) -> usize {
        self.seen.len()
    }

    /// Whether a device has not answered yet.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.waiting.is_some()
    }

    /// Waits for those that have not answered, and names those that do not.
    pub fn catch_up(&mut self, host: &Host) {
        let Some(readers) = self.waiting.take() else { return };
        readers.wait(host.device_wait);
        self.candidates.extend(readers.take());
        readers.silent().iter().for_each(|path| left_out(path, host.device_wait));
    }
}

/// All block devices, the last of /proc/partitions first, as the reference looks through them.
pub fn all_devices(host: &Host) -> Vec<PathBuf> {
    let names = host.partitions().unwrap_or_default().into_iter();
    let mut paths: Vec<PathBuf> = names.map(|(_, name)| host.dev.join(name)).filter(|p| p.exists()).collect();
    paths.reverse();
    paths
}

/// The running array with this uuid: its other members must not become a second one.
pub fn already_active(host: &Host, uuid: Uuid) -> Option<PathBuf> {
    running_arrays(host).into_iter().find(|(running, _)| *running == uuid).map(|(_, path)| path)
}

/// The uuid and the name of each running array.
pub fn running_arrays(host: &Host) -> Vec<(Uuid, PathBuf)> {
    let map = host.map().load().unwrap_or_default();
    let arrays = host.sysfs.arrays();
    let to_read = host.clone();
    let readers = Readers::start(arrays.iter().map(PathBuf::from).collect(), move |devname| {
        (devname.to_owned(), uuid_of_member(&to_read, &devname.to_string_lossy()))
    });
    readers.wait(PATIENCE);
    let read = readers.take();
    let of_array = |devname: String| {
        let entry = map.iter().find(|e| e.devname == devname);
        let of_member = read.iter().find(|(name, _)| name.as_os_str() == devname.as_str()).and_then(|(_, uuid)| *uuid);
        // The map file may be gone, or of an older array with that number.
        let has_members = || !host.sysfs.array(&devname).members().is_empty();
        let uuid = of_member.or_else(|| entry.filter(|_| has_members()).map(|e| e.uuid))?;
        Some((uuid, entry.and_then(|e| e.path.clone()).unwrap_or_else(|| host.dev.join(&devname))))
    };
    arrays.into_iter().filter_map(of_array).collect()
}

fn uuid_of_member(host: &Host, devname: &str) -> Option<Uuid> {
    let member = host.sysfs.array(devname).members().first().map(|m| m.name().to_owned())?;
    let device = RealDevice::open(&host.dev.join(member), Access::Read).ok()?;
    superblock(&device).map(|sb| sb.set_uuid())
}
