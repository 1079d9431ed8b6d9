//! What a create does to a partition table that is on a member, in the reference's words (seen with mdadm 4.6).

use super::MemberFacts;
use super::design::Design;
use super::sizing::room;
use crate::level::Level;
use crate::superblock::Version;
use crate::superblock::v1::Minor;
use crate::units::Sectors;

/// The line that follows `partition table exists on`; none where the array still shows every partition, as a mirror does
/// whose metadata is behind them. `end` is the sector behind the last partition.
#[must_use]
pub fn fate(
    design: &Design,
    given: Option<Sectors>,
    offset: Option<Sectors>,
    first: &MemberFacts,
    member: &MemberFacts,
    end: Sectors,
) -> Option<String> {
    let path = member.path.display();
    let keeps = design.level == Level::Raid1 && matches!(design.version, Version::V090 | Version::V1(Minor::V0));
    if !keeps {
        return Some(format!(
            "partition table exists on {path} but will be lost or\n       meaningless after creating array"
        ));
    }
    if end > room(design, given, offset, first, member) {
        return Some(format!("metadata will over-write last partition on {path}."));
    }
    given.filter(|size| end > *size).map(|_| format!("array size is too small to cover all partitions on {path}."))
}
