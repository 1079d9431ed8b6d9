//! Whose the superblock at the end of a device is: the device's own, or that of the disk or partition that it shares its end
//! with.

use crate::device::ReadAt;
use crate::device::real::{NodeKind, RealDevice};
use crate::host::Host;
use crate::plan::whose::{other_owner, owner_by_place};
use crate::superblock::SuperError;
use crate::superblock::v0::SuperV0;

/// A line that says which other device a v0.90 superblock belongs to, and why; `None` where it is the device's own.
#[must_use]
pub fn v0_of_another(host: &Host, device: &RealDevice, shown: &str, sb: &SuperV0) -> Option<String> {
    let (this, others) = places(host, device)?;
    let (owner, why) = other_owner(sb, &this, &others)?;
    Some(format!("the superblock found on {shown} is that of {}: {why}", owner.shown))
}

/// The same for a v1.0 superblock that says that it lies elsewhere.
#[must_use]
pub fn v1_of_another(host: &Host, device: &RealDevice, shown: &str, error: &SuperError) -> Option<String> {
    let SuperError::WrongPlace { found, recorded } = error else { return None };
    let (this, others) = places(host, device)?;
    let owner = owner_by_place(*found, *recorded, &this, &others)?;
    Some(format!("the superblock found on {shown} is that of {}: it lies at sector {recorded} there", owner.shown))
}

type Places = (crate::plan::whose::Place, Vec<crate::plan::whose::Place>);

fn places(host: &Host, device: &RealDevice) -> Option<Places> {
    if device.kind() != NodeKind::Block || device.size().0 == 0 {
        return None;
    }
    host.place_and_others(device.dev())
}
