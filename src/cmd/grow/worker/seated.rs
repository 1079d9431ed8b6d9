//! The members in the array's slots, kept open: how far a reshape is, is read from them again and again.

use std::time::{Duration, Instant};

use crate::blockio::ReadAt;
use crate::cmd::member::superblock;
use crate::device::real::{Access, RealDevice};
use crate::host::Host;
use crate::superblock::reshape::{self, Reshape};
use crate::superblock::v1::{self, Minor, SuperV1};
use crate::sysfs::value::Slot;
use crate::sysfs::{ArrayDir, MemberDir, attr};
use crate::uuid::Uuid;

/// So long who is in which slot is not looked at again while all goes on.
const KNOWN: Duration = Duration::from_millis(500);

struct Seat {
    name: String,
    slot: u32,
    /// With the metadata's minor version; `None` for 0.90, and where it cannot be opened.
    device: Option<(RealDevice, Option<Minor>)>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Seated {
    seats: Vec<Seat>,
    listed: Option<Instant>,
    position: Option<u64>,
}

impl Seated {
    /// The reshape as it would be found after a crash now: of the superblocks on the members that are in the array, the least advanced.
    /// Who is in the array is looked at anew where it has not got on since the last time: one of them may have failed.
    pub fn recorded(&mut self, host: &Host, array: &ArrayDir) -> Option<(Reshape, Uuid)> {
        let known = self.listed.is_some_and(|at| at.elapsed() < KNOWN);
        let mut found = if known { self.read() } else { None };
        if found.as_ref().is_none_or(|(now, _)| self.position == Some(now.position)) {
            self.list(host, array);
            found = self.read();
        }
        self.position = found.as_ref().map(|(now, _)| now.position);
        found
    }

    /// The array's uuid, as its members say now.
    pub fn uuid(&mut self, host: &Host, array: &ArrayDir) -> Option<Uuid> {
        self.list(host, array);
        self.seats.iter().find_map(Seat::superblock).map(|sb| sb.set_uuid())
    }

    /// Members and their slots, as they were listed last.
    pub fn seats(&self) -> Vec<(String, u32)> {
        self.seats.iter().map(|s| (s.name.clone(), s.slot)).collect()
    }

    fn list(&mut self, host: &Host, array: &ArrayDir) {
        self.seats = array.members().iter().filter_map(|member| seat(host, member)).collect();
        self.listed = Some(Instant::now());
    }

    fn read(&self) -> Option<(Reshape, Uuid)> {
        let all: Vec<SuperV1> = self.seats.iter().filter_map(Seat::superblock).collect();
        let one = |sb: &SuperV1| reshape::of(sb, all.iter());
        let found: Vec<Reshape> = all.iter().filter_map(one).collect();
        let backwards = found.first()?.backwards;
        let behind = |r: &Reshape| if backwards { u64::MAX - r.position } else { r.position };
        Some((found.into_iter().min_by_key(behind)?, all.first()?.set_uuid()))
    }
}

fn seat(host: &Host, member: &MemberDir) -> Option<Seat> {
    let Some(Slot::At(slot)) = member.get(attr::SLOT) else { return None };
    let open = || {
        // What a faulty one says is old.
        member.get(attr::STATE).filter(|s| !s.has("faulty"))?;
        let device = RealDevice::open(&host.dev.join(member.name()), Access::Read).ok()?;
        let minor = v1::read_any(&device).ok().flatten().map(|(minor, _)| minor);
        Some((device, minor))
    };
    Some(Seat { name: member.name().to_owned(), slot, device: open() })
}

impl Seat {
    fn superblock(&self) -> Option<SuperV1> {
        let (device, minor) = self.device.as_ref()?;
        match minor {
            Some(minor) => v1::read(device as &dyn ReadAt, *minor).ok().flatten(),
            None => superblock(device),
        }
    }
}
