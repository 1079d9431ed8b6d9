//! What the kernel and the members' superblocks say of an array, put into the view.

use std::cell::OnceCell;
use std::path::Path;

use super::members::{self, Read};
use crate::bitmap::lockless::{self, ChunkState, StateCounts};
use crate::cmd::apply::reason;
use crate::cmd::examine_bitmap::find::find;
use crate::host::Host;
use crate::host::devmap::DevMap;
use crate::host::map::MapEntry;
use crate::host::names;
use crate::host::node::{OpenArray, OpenError};
use crate::host::saved;
use crate::kernel::{blk, clock, md};
use crate::level::Level;
use crate::monitor::memory::Members;
use crate::output::detail::External;
use crate::output::detail::LastSeen;
use crate::output::detail::{Action, Bitmap, Counts, Detail, Lockless, Member, Moment, Sync, why_not_started};
use crate::output::examine::is_local;
use crate::plan::create::slots::enough;
use crate::superblock::v0;
use crate::superblock::v1::{SuperV1, feature};
use crate::sysfs::ArrayDir;
use crate::sysfs::attr;
use crate::sysfs::value::{ArrayState, Maybe, MetadataVersion};
use crate::time;
use crate::uuid::Uuid;

/// Why there is nothing to show.
#[derive(Debug)]
pub enum NoDetail {
    /// The path cannot be opened.
    Open(String),
    /// It is no array.
    NotMd,
    /// An array that holds nothing.
    Empty,
    /// The kernel does not tell.
    Kernel(String),
}

/// What does not change from array to array.
pub struct Gathering<'a> {
    /// The machine.
    pub host: &'a Host,
    /// Paths of all devices.
    pub devices: DevMap,
    /// `--prefer`
    pub prefer: Option<&'a str>,
    /// Arrays of this host are local.
    pub homehost: String,
    /// The map file.
    pub map: Vec<MapEntry>,
    /// What identifies each member is to be told.
    pub identities: bool,
    /// What the monitor saw, once it is asked for.
    pub seen: OnceCell<Members>,
}

impl Gathering<'_> {
    /// Everything about one array.
    pub fn detail(&self, path: &Path) -> Result<Detail, NoDetail> {
        // Other than the verbs that act on arrays, --detail takes paths only.
        let file = self.host.open_for_questions(path).map_err(|e| NoDetail::Open(reason(&e)))?;
        let array = self.host.opened(file, path).map_err(|e| match e {
            OpenError::Open(e) => NoDetail::Open(reason(&e)),
            OpenError::NotMd => NoDetail::NotMd,
        })?;
        let info = match md::get_array_info(&array.file) {
            Ok(info) => info,
            // An array that does not run has no number of slots; sysfs knows its members.
            Err(e) if e.raw_os_error() == Some(libc::ENODEV) => unstarted_info(&array.sysfs).ok_or(NoDetail::Empty)?,
            Err(e) if e.raw_os_error() == Some(libc::ENOTTY) => return Err(NoDetail::NotMd),
            Err(e) => return Err(NoDetail::Kernel(reason(&e))),
        };
        let mut detail = Detail::default();
        self.add_kernel(&mut detail, &array, &info);
        let read =
            if detail.inactive { members::inactive(self, &array.sysfs) } else { members::running(self, &array, &info) };
        self.add_members(&mut detail, read);
        self.add_identities(&mut detail);
        Ok(detail)
    }

    /// Which disks they are; of a slot that is empty, which one it was.
    fn add_identities(&self, d: &mut Detail) {
        for m in &mut d.members {
            if m.removed {
                let seen = self.seen.get_or_init(|| Members::load(Path::new(saved::DEFAULT_DIR)));
                let Some(known) = m.slot.and_then(|slot| seen.of(d.uuid, slot)) else { continue };
                m.identity.clone_from(&known.identity);
                m.last = Some(LastSeen { path: known.path.clone(), seconds: known.seen_seconds });
            } else if self.identities && !m.gone {
                m.identity = self.host.identity(m.dev);
            }
        }
    }

    fn add_kernel(&self, d: &mut Detail, array: &OpenArray, info: &md::ArrayInfo) {
        let sysfs = &array.sysfs;
        let state = sysfs.get(attr::ARRAY_STATE);
        d.path = array.name.path.display().to_string();
        d.devname.clone_from(&array.name.devname);
        d.inactive = matches!(state, Some(ArrayState::Inactive | ArrayState::Clear));
        d.array_state = state.as_ref().map(|s| s.word().to_owned());
        d.persistent = info.not_persistent == 0;
        d.metadata = metadata(sysfs);
        d.created = moment(info.ctime);
        d.updated = moment(info.utime);
        d.level = Level::from_raw(info.level);
        // The other levels go on without data to read, and are shown as failed.
        d.broken = state == Some(ArrayState::Broken) && !d.level.is_some_and(Level::is_redundant);
        d.layout = u32::try_from(info.layout).unwrap_or(0);
        d.array_kib = blk::size_bytes(&array.file).ok().map(|b| b.0 / 1024);
        d.component_kib = component_kib(sysfs, info.size);
        d.chunk_bytes = u64::try_from(info.chunk_size).unwrap_or(0);
        add_sectors(d, sysfs);
        d.raid_disks = count(info.raid_disks);
        d.counts = Counts {
            total: count(info.nr_disks),
            active: count(info.active_disks),
            working: count(info.working_disks),
            failed: count(info.failed_disks),
            spare: count(info.spare_disks),
        };
        d.clean = info.state & md::sb::CLEAN != 0;
        d.bitmap = bitmap(self.host, array, info);
        if let Some(Bitmap::Lockless(l)) = &mut d.bitmap {
            let kib = if d.level.is_some_and(Level::is_parity) {
                d.component_kib
            } else {
                sysfs.size_sectors().map(|s| s / 2)
            };
            l.covered_bytes = kib.and_then(|k| k.checked_mul(1024));
        }
        d.consistency_policy = sysfs.get(attr::CONSISTENCY_POLICY).map(|w| w.0).filter(|w| w != "unknown");
        d.sync = self.sync(&array.name.devname);
        d.reshape.active = sysfs.get(attr::RESHAPE_POSITION).and_then(Maybe::some).is_some();
        d.uuid = sysfs_uuid(sysfs, info);
        self.add_external(d, sysfs);
        if d.metadata == "0.90" {
            d.preferred_minor = u32::try_from(info.md_minor).ok();
        }
        let entry = self.map.iter().find(|e| e.devname == d.devname);
        let link = entry.and_then(|e| e.path.as_ref()?.strip_prefix("/dev/md").ok());
        d.link = link.map(|p| p.display().to_string()).filter(|l| !l.is_empty());
    }

    /// DDF and IMSM: the kernel knows the set of an array, the map file the uuids.
    fn add_external(&self, d: &mut Detail, sysfs: &ArrayDir) {
        let Some(MetadataVersion::External(kind)) = sysfs.get(attr::METADATA_VERSION) else { return };
        d.uuid = self.map.iter().find(|e| e.devname == d.devname).map(|e| e.uuid).filter(|u| !u.is_zero());
        // `-` instead of the slash: the program that keeps the metadata must leave the array alone.
        if let Some((container, index)) = kind.strip_prefix(['/', '-']).and_then(|k| k.split_once('/')) {
            d.external = Some(External::Member { container: self.path_of(container), index: index.to_owned() });
            return;
        }
        let members = |devname: &String| match self.host.sysfs.array(devname).get(attr::METADATA_VERSION) {
            Some(MetadataVersion::External(k)) => {
                k.strip_prefix(['/', '-']).and_then(|k| k.split_once('/')).is_some_and(|(c, _)| c == d.devname)
            }
            _ => false,
        };
        let stat = self.host.mdstat();
        let arrays = stat.arrays.into_iter().rev().map(|a| a.devname).filter(members);
        d.external = Some(External::Container { arrays: arrays.map(|a| self.path_of(&a)).collect() });
        d.level = Some(Level::Container);
        d.metadata = kind;
        d.persistent = false;
    }

    /// The path that the map file has for an array.
    fn path_of(&self, devname: &str) -> String {
        let known = self.map.iter().find(|e| e.devname == devname).and_then(|e| e.path.clone());
        let link = || self.host.md_link(self.host.sysfs.array(devname).dev()?);
        known.or_else(link).unwrap_or_else(|| self.host.dev.join(devname)).display().to_string()
    }

    fn sync(&self, devname: &str) -> Option<Sync> {
        let stat = self.host.mdstat();
        let sync = stat.array(devname)?.sync.clone()?;
        Some(Sync { action: Action::from_mdstat(&sync.action)?, percent: sync.percent, waits: sync.waits })
    }

    fn add_members(&self, d: &mut Detail, read: Read) {
        d.degraded = !d.inactive && d.counts.active < d.raid_disks;
        let in_slots = members::in_sync_slots(&read.members, d.raid_disks);
        d.failed = d.degraded && d.level.is_some_and(|l| !enough(l, d.layout, &in_slots));
        if let Some(sb) = &read.superblock {
            self.add_superblock(d, sb);
        }
        if let Some(old) = &read.old_superblock {
            d.uuid = Some(old.uuid());
            d.events = Some(format!("{}.{}", old.events() >> 32, old.events() & 0xffff_ffff));
            d.local_to = Some(self.homehost.clone()).filter(|host| v0::is_local(old, host));
            if d.inactive {
                d.level = Level::from_raw(old.level_raw());
            }
        }
        if d.inactive && d.external.is_none() {
            let name = d.path.clone();
            let slots = d.raid_disks;
            let (level, layout) = (d.level, d.layout);
            let enough = |there: &[bool]| level.is_some_and(|l| enough(l, layout, there));
            let (reasons, hint) = why_not_started(&name, level, slots, &read.present, enough);
            d.reasons = reasons;
            d.hint = Some(hint);
        }
        d.plain_spares = read.plain_spares;
        d.members = read.members;
        if d.level == Some(Level::Raid10) {
            let (layout, raid_disks) = (d.layout, d.raid_disks);
            for m in &mut d.members {
                m.set = m.slot.and_then(|s| Member::raid10_set(layout, raid_disks, s));
            }
        }
        d.listed = read.listed;
    }

    fn add_superblock(&self, d: &mut Detail, sb: &SuperV1) {
        let name = sb.set_name();
        if is_local(&name, &self.homehost) {
            d.local_to = Some(self.homehost.clone());
        }
        d.name = Some(name);
        d.uuid = Some(sb.set_uuid());
        d.events = Some(sb.events().to_string());
        if d.inactive {
            d.level = Level::from_raw(sb.level_raw());
            d.layout = sb.layout();
            d.raid_disks = sb.raid_disks();
            d.chunk_bytes = u64::from(sb.chunksize()) * 512;
            d.bitmap = None;
        }
        if d.reshape.active && sb.has(feature::RESHAPE_ACTIVE) {
            d.reshape = super::reshape::view(self.host, &d.devname, sb);
        }
    }
}

/// What can be said without GET_ARRAY_INFO: each member counts as a spare, as in the reference. `None` without members.
fn unstarted_info(sysfs: &ArrayDir) -> Option<md::ArrayInfo> {
    let members = i32::try_from(sysfs.members().len()).ok().filter(|n| *n > 0)?;
    let persistent = !metadata(sysfs).is_empty();
    Some(md::ArrayInfo {
        nr_disks: members,
        working_disks: members,
        spare_disks: members,
        not_persistent: i32::from(!persistent),
        ..md::ArrayInfo::default()
    })
}

/// The kernel takes the largest sectors of all members when it assembles, and leaves a running array as it is.
fn add_sectors(d: &mut Detail, sysfs: &ArrayDir) {
    d.sector_bytes = sysfs.logical_block_size().filter(|_| !d.inactive);
    let largest = sysfs.members().iter().filter_map(|m| m.logical_block_size()).max();
    d.next_sector_bytes = largest.filter(|next| d.sector_bytes.is_some_and(|now| *next > now));
}

fn count(n: i32) -> u32 {
    u32::try_from(n).unwrap_or(0)
}

fn moment(seconds: u32) -> Option<Moment> {
    let text = clock::local(i64::from(seconds)).map(|t| time::asctime(&t)).unwrap_or_default();
    Some(Moment { seconds: seconds.into(), text })
}

fn metadata(sysfs: &ArrayDir) -> String {
    match sysfs.get(attr::METADATA_VERSION) {
        Some(MetadataVersion::Md { major, minor }) => {
            format!("{major}.{minor:0width$}", width = 1 + usize::from(major == 0))
        }
        Some(MetadataVersion::External(kind)) => format!("external:{kind}"),
        Some(MetadataVersion::Other(text)) => text,
        Some(MetadataVersion::None) | None => String::new(),
    }
}

/// The ioctl's number is cut to 32 bits; sysfs tells more.
fn component_kib(sysfs: &ArrayDir, size: i32) -> Option<u64> {
    match u64::try_from(size) {
        Ok(size) if size > 0 => Some(size),
        _ => sysfs.get(attr::COMPONENT_SIZE).filter(|s| *s > 0),
    }
}

/// The uuid that the kernel keeps; v0.90 stores it in words of the machine's byte order, and is shown in such words.
fn sysfs_uuid(sysfs: &ArrayDir, info: &md::ArrayInfo) -> Option<Uuid> {
    let uuid = Uuid::parse(&sysfs.get(attr::UUID)?.0)?;
    if info.not_persistent != 0 || uuid.is_zero() {
        return None;
    }
    if info.major_version != 0 {
        return Some(uuid);
    }
    let mut bytes = uuid.0;
    for word in bytes.chunks_exact_mut(4) {
        let value = <[u8; 4]>::try_from(&*word).map_or(0, u32::from_ne_bytes);
        word.copy_from_slice(&value.to_be_bytes());
    }
    Some(Uuid(bytes))
}

fn bitmap(host: &Host, array: &OpenArray, info: &md::ArrayInfo) -> Option<Bitmap> {
    if let Ok(Some(path)) = md::get_bitmap_file(&array.file) {
        return Some(Bitmap::File(path));
    }
    if info.state & md::sb::BITMAP_PRESENT == 0 {
        return None;
    }
    let chosen = array.sysfs.get(attr::BITMAP_TYPE).and_then(|l| l.active);
    match chosen.as_deref() {
        Some("llbitmap") => {
            Some(Bitmap::Lockless(kernel_says(&array.sysfs).or_else(|| on_disk(host, array)).unwrap_or_default()))
        }
        _ if info.state & md::sb::CLUSTERED != 0 => Some(Bitmap::Clustered),
        _ => Some(Bitmap::Internal),
    }
}

/// `None` until the next assembly where the bitmap was added to the running array.
fn kernel_says(sysfs: &ArrayDir) -> Option<Lockless> {
    let lines = sysfs.get(attr::LLBITMAP_BITS)?;
    let mut states = StateCounts::default();
    for state in ChunkState::ALL {
        states.set(state, lines.number(state.name()).unwrap_or(0));
    }
    let meta = sysfs.get(attr::LLBITMAP_METADATA);
    let number = |name: &str| meta.as_ref().and_then(|m| m.number(name));
    Some(Lockless {
        chunk_bytes: number("chunksize").and_then(|s| s.checked_mul(512)),
        chunks: number("chunks"),
        states: Some(states),
        on_disk: false,
        daemon_sleep_seconds: number("daemon_sleep"),
        covered_bytes: None,
    })
}

/// What a member says that is in sync.
fn on_disk(host: &Host, array: &OpenArray) -> Option<Lockless> {
    let path = &array.name.path;
    let found = find(host, path, &path.display().to_string(), None).ok()?;
    let chunks = lockless::checked_chunks(&found.sb).ok()?;
    Some(Lockless {
        chunk_bytes: u64::from(found.sb.chunksize()).checked_mul(512),
        chunks: Some(chunks),
        states: Some(lockless::count(&found.dev, found.start, chunks).ok()?),
        on_disk: true,
        daemon_sleep_seconds: Some(found.sb.daemon_sleep().into()),
        covered_bytes: None,
    })
}

/// The entries of the map file; where it is missing, made anew from what runs, as the reference does it.
#[must_use]
pub fn load_or_rebuild_map(host: &Host, homehost: Option<&str>) -> Vec<MapEntry> {
    host.map().load().unwrap_or_else(|| map_of_arrays(host, homehost))
}

/// What the map file should have, by the arrays themselves.
#[must_use]
pub fn map_of_arrays(host: &Host, homehost: Option<&str>) -> Vec<MapEntry> {
    let this = homehost.map_or_else(|| host.hostname(), str::to_owned);
    let devices = DevMap::read(host);
    let stat = host.mdstat();
    stat.arrays.iter().rev().filter_map(|a| entry_of(host, &devices, &this, &a.devname)).collect()
}

fn entry_of(host: &Host, devices: &DevMap, this: &str, devname: &str) -> Option<MapEntry> {
    let sysfs = host.sysfs.array(devname);
    let sb = members::any_superblock(host, devices, &sysfs).map(|(_, sb)| sb);
    let name = sb.as_ref().map(SuperV1::set_name);
    let path = host.md_link(sysfs.dev()?).unwrap_or_else(|| {
        let number = names::number_of(devname).unwrap_or(0);
        host.dev.join("md").join(names::link_name(name.as_deref(), this, number))
    });
    let uuid = sb.map(|sb| sb.set_uuid()).or_else(|| Uuid::parse(&sysfs.get(attr::UUID)?.0))?;
    Some(MapEntry { devname: devname.to_owned(), metadata: metadata(&sysfs), uuid, path: Some(path) })
}
