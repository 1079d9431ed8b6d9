//! `--add` and `--add-spare`: devices that become members anew.

use std::path::{Path, PathBuf};

use super::{Manager, holders};
use crate::bitmap::header::BitmapSuper;
use crate::bitmap::summary;
use crate::cli::request::ManageItem;
use crate::cmd::apply::reason;
use crate::cmd::bitmap_file;
use crate::device::real::{Access, RealDevice};
use crate::error::Refusal;
use crate::host::devmap::{DevMap, block_dev};
use crate::kernel::md;
use crate::plan::manage::add::{self, NewMember, Running};
use crate::plan::manage::{ArrayFacts, Target};
use crate::superblock::Version;
use crate::superblock::v0::{self, SuperV0};
use crate::superblock::v1::{self, Minor, SuperV1};
use crate::sysfs::attr;
use crate::sysfs::value::{ArrayState, MetadataVersion};
use crate::uuid::Uuid;

impl Manager<'_> {
    pub(super) fn add_spare(&mut self, item: &ManageItem, target: &Target) -> Result<(), Refusal> {
        if let Some(plain) = self.plain() {
            return self.add_plain(item, target, &plain);
        }
        let facts = self.facts()?;
        let running = self.running(&facts, &target.shown)?.0;
        let device = self.open_new(Path::new(&target.shown))?;
        self.add_as_new(item, target, &facts, &running, device)
    }

    /// Adds the device as a spare that knows nothing of the array's data.
    pub(super) fn add_as_new(
        &mut self,
        item: &ManageItem,
        target: &Target,
        facts: &ArrayFacts,
        running: &Running,
        device: RealDevice,
    ) -> Result<(), Refusal> {
        let new = self.new_member(item, target, running.version, &device);
        let plan = add::plan(facts, running, &new)?;
        let number = add::free_number(facts);
        self.execute_with(&plan, Some(device)).map_err(|e| {
            // The reference names the number.
            let mut e = e;
            let start = format!("ADD_NEW_DISK for {} failed", target.shown);
            if let Some(first) = e.lines.first_mut()
                && let Some(why) = first.strip_prefix(&start)
            {
                *first = format!("add new device failed for {} as {number}{why}", target.shown);
            } else if let Some(first) = e
                .lines
                .first()
                .filter(|l| ["cannot read ", "cannot write ", "cannot sync "].iter().any(|w| l.starts_with(w)))
            {
                // The reference says no more than the line in front.
                let (first, line) = (first.clone(), format!("Failed to write metadata to {}", target.shown));
                let rest = e.lines.drain(1..).collect::<Vec<_>>();
                e = Refusal::new(line).hint(first).hints(rest);
                if self.host.sysfs.is_read_only(new.dev) {
                    e = e.hint(format!("{} is read-only (blockdev --setrw)", target.shown));
                }
            }
            e
        })?;
        let mut facts = facts.clone();
        let kname = self.host.sysfs.block_name(new.dev).unwrap_or_default();
        facts.after_add(new.dev, kname, number);
        self.remember(facts);
        if self.req.common.verbose >= 0 {
            self.say(format!("added {}", target.shown));
        }
        Ok(())
    }

    pub(super) fn new_member(
        &self,
        item: &ManageItem,
        target: &Target,
        version: Version,
        device: &RealDevice,
    ) -> NewMember {
        use crate::blockio::ReadAt;
        NewMember {
            shown: target.shown.clone(),
            dev: device.dev(),
            size: device.size().sectors(),
            block: device.logical_block_size(),
            uuid: Uuid(*uuid::Uuid::new_v4().as_bytes()),
            write_mostly: item.write_mostly == Some(true),
            failfast: item.failfast == Some(true),
            stale_supers: stale_supers(version, device),
            any_block: self.req.any_sector_size,
            no_log: self.req.common.no_bbl,
            journal: false,
        }
    }

    /// Opens a device that is to become a member: held by nobody.
    pub(super) fn open_new(&self, path: &Path) -> Result<RealDevice, Refusal> {
        let own = self.array.as_ref().and_then(|a| self.host.sysfs.dev_of(&a.name.devname));
        if let (Some(dev), Some(own)) = (block_dev(path), own)
            && self.host.lies_on(dev, own)
        {
            let (path, array) = (path.display(), self.req.array.display());
            return Err(Refusal::new(format!("Cannot open {path}: it lies on {array} itself")));
        }
        let access = if self.req.common.plan { Access::ReadExclusive } else { Access::WriteExclusive };
        RealDevice::open(path, access).map_err(|e| {
            let refusal = Refusal::new(format!("Cannot open {}: {}", path.display(), reason(&e)));
            if e.raw_os_error() == Some(libc::EBUSY) { holders(self.host, path, refusal) } else { refusal }
        })
    }

    /// The metadata of a member in sync.
    pub(super) fn running(&self, facts: &ArrayFacts, shown: &str) -> Result<(Running, RealDevice), Refusal> {
        let name = &facts.shown;
        let array = self.array.as_ref().ok_or_else(|| Refusal::new(format!("{name} is not open")))?;
        let version = match array.sysfs.get(attr::METADATA_VERSION) {
            Some(MetadataVersion::Md { major, minor }) => Version::from_numbers(major, minor),
            _ => None,
        };
        let none = || Refusal::new(format!("cannot add {shown} to {name}: it keeps no metadata of md's own"));
        let version = version.ok_or_else(none)?;
        let state = array.sysfs.get(attr::ARRAY_STATE);
        if !state.as_ref().is_some_and(ArrayState::is_running) {
            return Err(Refusal::new(format!("{name} is not active: start it first (mdadm --run {name})")));
        }
        let mut devices = None;
        for member in facts.members.iter().filter(|m| m.in_sync && !m.faulty && !m.gone) {
            let Some(dev) = member.dev else { continue };
            let Some(path) = self.node(dev, &member.kname, &mut devices) else { continue };
            let Ok(device) = RealDevice::open(&path, Access::Read) else { continue };
            let Some(Ok((sb, old))) = self.superblock_on(&device, version, "") else { continue };
            let bitmap = bitmap(&device, &sb).map_err(|why| {
                Refusal::new(format!(
                    "cannot add {shown} to {name}: cannot read the bitmap on {}: {why}",
                    path.display()
                ))
            })?;
            let sysfs_block = array.sysfs.get(attr::LOGICAL_BLOCK_SIZE).filter(|b| *b > 0);
            let block = sysfs_block.or_else(|| crate::kernel::blk::logical_block_size(&array.file).ok()).unwrap_or(512);
            let planned = self.req.common.plan && self.req.readonly;
            let readonly = planned || state == Some(ArrayState::Readonly);
            let has_bitmap = bitmap.is_some() || md::get_bitmap_file(&array.file).is_ok_and(|file| file.is_some());
            let uuid = old.as_ref().map_or(sb.set_uuid(), |old| old.bitmap_uuid());
            let bitmap_file = bitmap_file::of_array(array).map(|b| b.sb).filter(|b| b.uuid() == uuid);
            return Ok((Running { version, sb, old, bitmap, bitmap_file, block, readonly, has_bitmap }, device));
        }
        Err(Refusal::new(format!("cannot add {shown} to {name}: no active member's superblock can be read")))
    }

    /// The superblock of this version on a device; `None` where there is none of the device's own, an error where it is
    /// damaged (a 1.x one is checked later).
    pub(super) fn superblock_on(&self, device: &RealDevice, version: Version, shown: &str) -> Option<Superblock> {
        use crate::blockio::ReadAt;
        let Version::V1(minor) = version else {
            let sb = match v0::read(device) {
                Ok(sb) => sb.filter(SuperV0::is_native)?,
                Err(e) => return Some(Err(e.to_string())),
            };
            if crate::cmd::whose::v0_of_another(self.host, device, shown, &sb).is_some() {
                return None;
            }
            let checked = sb.check(device.size()).map_err(|e| e.to_string());
            return Some(checked.map(|()| (sb.as_v1(device.size()), Some(Box::new(sb)))));
        };
        v1::read(device, minor).map(|sb| sb.map(|sb| (sb, None))).map_err(|e| e.to_string()).transpose()
    }

    /// A node of a device: by its kernel name, else by a walk over /dev.
    pub(super) fn node(&self, dev: (u32, u32), kname: &str, devices: &mut Option<DevMap>) -> Option<PathBuf> {
        let plain = self.host.dev.join(kname);
        if block_dev(&plain) == Some(dev) {
            return Some(plain);
        }
        let devices = devices.get_or_insert_with(|| DevMap::read(self.host));
        devices.path(dev, None).map(PathBuf::from)
    }
}

/// A superblock in terms of 1.x, and the 0.90 one where it is such.
pub(super) type Superblock = Result<(SuperV1, Option<Box<SuperV0>>), String>;

fn bitmap(device: &RealDevice, sb: &SuperV1) -> Result<Option<BitmapSuper>, crate::bitmap::BitmapError> {
    match summary::start(device, sb)? {
        Some(start) => BitmapSuper::read(device, start).map(Some),
        None => Ok(None),
    }
}

/// Older md superblocks that would be found beside the new one.
fn stale_supers(version: Version, device: &RealDevice) -> Vec<u64> {
    use crate::blockio::ReadAt;
    let others =
        Minor::ALL.into_iter().filter(|m| Version::V1(*m) != version && !matches!(v1::read(device, *m), Ok(None)));
    let mut stale: Vec<u64> =
        others.filter_map(|m| Some(v1::super_offset(m, device.size().sectors())?.bytes()?.0)).collect();
    if version != Version::V090 && matches!(v0::read(device), Ok(Some(_))) {
        stale.extend(v0::super_offset(device.size()).map(|at| at.0));
    }
    stale
}
