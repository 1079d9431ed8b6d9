//! The array that a device belongs to, as far as it is there.

use std::path::PathBuf;

use crate::cmd::apply::reason;
use crate::cmd::assemble::probe::candidate;
use crate::cmd::detail::map_of_arrays;
use crate::cmd::member::superblock;
use crate::cmd::print::complain;
use crate::device::real::{Access, RealDevice};
use crate::error::Refusal;
use crate::host::Host;
use crate::host::devmap::{DevMap, block_dev};
use crate::host::map::{MapEntry, MapLock};
use crate::host::node::{ArrayName, OpenArray};
use crate::plan::assemble::{Candidate, Content, Wishes};
use crate::plan::incremental::Named;
use crate::sysfs::value::{ArrayState, MetadataVersion};
use crate::sysfs::{ArrayDir, MemberDir, attr};
use crate::uuid::Uuid;

/// An array that the kernel has.
#[derive(Debug)]
pub struct Found {
    /// Kernel name.
    pub devname: String,
    /// Its path by the map file, else its node.
    pub path: PathBuf,
    /// The map file has it.
    pub in_map: bool,
    /// What it does.
    pub state: ArrayState,
    sysfs: ArrayDir,
}

/// Takes the lock of the map file, and reads it. Where there can be none (a read-only /run) the work goes on as the reference's
/// does: a machine must boot, and the kernel starts no array twice.
pub fn locked(host: &Host, plan: bool) -> (Option<MapLock>, Vec<MapEntry>) {
    if plan {
        return (None, host.map().load().unwrap_or_default());
    }
    let lock = match host.map().lock() {
        Ok(lock) => lock,
        Err(e) => {
            complain(format!(
                "failed to get exclusive lock on mapfile: {}/map.lock: {}",
                host.run.display(),
                reason(&e)
            ));
            return (None, host.map().load().unwrap_or_else(|| map_of_arrays(host, None)));
        }
    };
    let map = match host.map().load() {
        Some(map) => map,
        // Lost: made anew of the arrays that are there.
        None => {
            let map = map_of_arrays(host, None);
            if !map.is_empty() {
                let _ = lock.store(&map);
            }
            map
        }
    };
    (Some(lock), map)
}

/// The array with this uuid: the one that the map file names, if a member of it agrees; else one that the map file does not
/// know (it may have been lost or cut short).
pub fn find(host: &Host, map: &[MapEntry], uuid: Uuid) -> Option<Found> {
    let mut mapped = map.iter().filter(|e| e.uuid == uuid).map(|e| e.devname.clone());
    let unknown = || host.sysfs.arrays_but(|name| map.iter().any(|e| e.devname == name));
    let is_it = |devname: &String| {
        let sysfs = host.sysfs.array(devname);
        let external = matches!(sysfs.get(attr::METADATA_VERSION), Some(MetadataVersion::External(_)));
        !external && sysfs.members().iter().find_map(|m| uuid_of(host, m)) == Some(uuid)
    };
    let devname = mapped.find(is_it).or_else(|| unknown().into_iter().find(is_it))?;
    Some(found(host, map, devname))
}

/// An array by its kernel name.
pub fn found(host: &Host, map: &[MapEntry], devname: String) -> Found {
    let sysfs = host.sysfs.array(&devname);
    let entry = map.iter().find(|e| e.devname == devname);
    let link = || sysfs.dev().and_then(|dev| host.md_link(dev));
    let path = entry.and_then(|e| e.path.clone()).or_else(link).unwrap_or_else(|| host.dev.join(&devname));
    let state = sysfs.get(attr::ARRAY_STATE).unwrap_or(ArrayState::Inactive);
    let in_map = entry.is_some();
    Found { devname, path, in_map, state, sysfs }
}

impl Found {
    /// It runs, read-only or not.
    pub fn runs(&self) -> bool {
        self.state.is_running()
    }

    /// It does not run, and the kernel knows its geometry already: a start has failed.
    pub fn spoilt(&self) -> bool {
        !self.runs() && self.sysfs.get(attr::RAID_DISKS).is_some_and(|n| n > 0)
    }

    /// The kernel knows that the bitmap is lockless.
    pub fn lockless_set(&self) -> bool {
        let types = self.sysfs.bitmap_types().ok().flatten().unwrap_or_default();
        types.iter().any(|t| t.active && t.name == "llbitmap")
    }

    /// Whether a device is one of its members.
    pub fn holds(&self, dev: (u32, u32)) -> bool {
        self.sysfs.members().iter().any(|m| m.get(attr::BLOCK_DEV).is_some_and(|d| (d.major, d.minor) == dev))
    }

    /// What is on its members. Those whose device is gone are there too, with nothing on them.
    pub fn members(&self, host: &Host) -> Vec<Named> {
        let wishes = Wishes { searched: true, ..Wishes::default() };
        let mut devices = None;
        let one = |dir: &MemberDir| {
            let kname = dir.name().to_owned();
            let candidate = match node(host, dir, &mut devices) {
                Some(path) => candidate(host, &path, &wishes),
                None => gone(host.dev.join(kname.replace('!', "/"))),
            };
            Named { kname, candidate }
        };
        self.sysfs.members().iter().map(one).collect()
    }

    /// Opens it, to drive it.
    pub fn open(&self, host: &Host) -> Result<OpenArray, Refusal> {
        let failed = |why: String| Refusal::new(format!("cannot open {}: {why}", self.path.display()));
        let dev = self.sysfs.dev().ok_or_else(|| failed("it is gone".into()))?;
        let name = ArrayName { devname: self.devname.clone(), path: self.path.clone(), dev };
        let file = host.open_number_shared(&name).map_err(|e| failed(reason(&e)))?;
        Ok(OpenArray { name, file, sysfs: self.sysfs.clone() })
    }
}

fn gone(path: PathBuf) -> Candidate {
    let content = Content::Unusable(format!("{} is gone", path.display()));
    Candidate { path, dev: (0, 0), size: crate::units::Sectors(0), block: 512, content }
}

/// A node of a member: by its kernel name, else by a walk over /dev.
fn node(host: &Host, dir: &MemberDir, devices: &mut Option<DevMap>) -> Option<PathBuf> {
    let dev = dir.get(attr::BLOCK_DEV).map(|d| (d.major, d.minor))?;
    let plain = host.dev.join(dir.name().replace('!', "/"));
    if block_dev(&plain) == Some(dev) {
        return Some(plain);
    }
    devices.get_or_insert_with(|| DevMap::read(host)).path(dev, None).map(PathBuf::from)
}

fn uuid_of(host: &Host, dir: &MemberDir) -> Option<Uuid> {
    let device = RealDevice::open(&node(host, dir, &mut None)?, Access::Read).ok()?;
    superblock(&device).map(|sb| sb.set_uuid())
}
