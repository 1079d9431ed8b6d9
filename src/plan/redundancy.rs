//! Which data can still be read when members are gone: by level, layout and slots, not by names.
//!
//! raid10 placement is that of the kernel (`setup_geo`, `__raid10_find_phys` in raid10.c).
#![forbid(unsafe_code)]

use crate::level::Level;

/// Bits of a raid10 layout: near copies, far copies, and above the offset bit how far copies stay within sets.
const COPIES: u32 = 0xff;
const FAR_SHIFT: u32 = 8;
const FAR_SETS_SHIFT: u32 = 17;

/// Whether all data can be read: `active` says of each slot whether a member with its data is there.
#[must_use]
pub fn enough(level: Level, layout: u32, active: &[bool]) -> bool {
    let gone = active.iter().filter(|a| !**a).count();
    match level {
        Level::Raid1 => gone < active.len(),
        Level::Raid4 | Level::Raid5 => gone <= 1,
        Level::Raid6 => gone <= 2,
        Level::Raid10 => raid10_copies(layout, active.len())
            .iter()
            .all(|copies| copies.iter().any(|slot| active.get(*slot).copied().unwrap_or(false))),
        _ => gone == 0,
    }
}

/// The slots that hold the copies of each array chunk, for all array chunks until the pattern repeats.
#[must_use]
pub fn raid10_copies(layout: u32, disks: usize) -> Vec<Vec<usize>> {
    let number = |n: u32| usize::try_from(n).unwrap_or(1).clamp(1, disks.max(1));
    let near = number(layout & COPIES);
    let far = number((layout >> FAR_SHIFT) & COPIES);
    // Sets in which far copies stay: none, one per far copy, or just large enough for all copies.
    let set = match layout >> FAR_SETS_SHIFT {
        1 => disks / far,
        2 => far * near,
        _ => disks,
    }
    .clamp(1, disks.max(1));
    let last_start = ((disks / set).max(1) - 1) * set;
    let last_size = disks - last_start;
    let next = |slot: usize| {
        let moved = slot + near;
        if last_size > set && moved > last_start {
            last_start + (moved - last_start) % last_size
        } else {
            slot / set * set + moved % set
        }
    };
    let copies = |chunk: usize| {
        let mut slots = Vec::with_capacity(near * far);
        for n in 0..near {
            let mut slot = (chunk * near + n) % disks;
            for _ in 0..far {
                slots.push(slot);
                slot = next(slot);
            }
        }
        slots
    };
    (0..disks).map(copies).collect()
}

/// A member of a running array, as far as its data goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copy {
    /// Its slot; a replacement has that of the member it is to replace.
    pub slot: Option<usize>,
    /// All its data is there.
    pub in_sync: bool,
    /// Ranges that it cannot give, in sectors from the start of its data: first and count.
    pub bad: Vec<(u64, u64)>,
}

/// What is lost with a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Nothing.
    Nothing,
    /// Some data of the array has no other copy.
    Array,
    /// It has the last good copy of what another member (by its index) records as bad.
    BadBlocks(usize),
}

/// What becomes unreadable when member `leaving` is gone.
#[must_use]
pub fn loss(level: Level, layout: u32, slots: usize, members: &[Copy], leaving: usize) -> Loss {
    if !members.get(leaving).is_some_and(|m| m.in_sync && m.slot.is_some_and(|s| s < slots)) {
        return Loss::Nothing;
    }
    let stays = |without: &dyn Fn(usize) -> bool| {
        let mut active = vec![false; slots];
        for (_, m) in members.iter().enumerate().filter(|(n, m)| m.in_sync && !without(*n)) {
            if let Some(there) = m.slot.and_then(|s| active.get_mut(s)) {
                *there = true;
            }
        }
        enough(level, layout, &active)
    };
    if !stays(&|n| n == leaving) {
        return Loss::Array;
    }
    // Sectors of members stand for the same stripe everywhere but on raid10: there a bad block counts for the whole member.
    let aligned = level != Level::Raid10;
    for (index, member) in members.iter().enumerate().filter(|(n, _)| *n != leaving) {
        for &(at, _) in &member.bad {
            let bad = |n: usize| members.get(n).is_some_and(|m| if aligned { holds(m, at) } else { !m.bad.is_empty() });
            if !stays(&|n| n == leaving || bad(n)) && stays(&|n| bad(n)) {
                return Loss::BadBlocks(index);
            }
        }
    }
    Loss::Nothing
}

fn holds(member: &Copy, at: u64) -> bool {
    member.bad.iter().any(|&(start, len)| at >= start && at - start < len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The kernel's own quick test (`_enough`, raid10.c), right where there are no far sets.
    fn kernel_enough(layout: u32, active: &[bool]) -> bool {
        let (near, far) = ((layout & 0xff) as usize, (layout >> 8 & 0xff) as usize);
        let disks = active.len();
        let (mut first, mut ok) = (0, true);
        loop {
            ok &= (0..near * far).any(|n| active[(first + n) % disks]);
            first = (first + near) % disks;
            if first == 0 {
                return ok;
            }
        }
    }

    fn shapes() -> impl Strategy<Value = (Level, u32, usize)> {
        prop_oneof![
            (1usize..8).prop_map(|n| (Level::Raid1, 0, n)),
            (2usize..8).prop_map(|n| (Level::Raid4, 0, n)),
            (2usize..8, 0u32..6).prop_map(|(n, l)| (Level::Raid5, l, n)),
            (4usize..9, 0u32..6).prop_map(|(n, l)| (Level::Raid6, l, n)),
            (1usize..8).prop_map(|n| (Level::Raid0, 1, n)),
            (2usize..9, 1u32..4, 1u32..4, any::<bool>())
                .prop_filter("copies fit", |(n, near, far, _)| (near * far) as usize <= *n)
                .prop_map(|(n, near, far, offset)| (Level::Raid10, near | far << 8 | u32::from(offset) << 16, n)),
        ]
    }

    fn members(slots: usize) -> Vec<Copy> {
        (0..slots).map(|slot| Copy { slot: Some(slot), in_sync: true, bad: Vec::new() }).collect()
    }

    proptest! {
        #[test]
        fn taking_members_one_by_one_as_long_as_nothing_is_lost_never_loses_data(
            (level, layout, slots) in shapes(), order in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let mut left = members(slots);
            for index in order {
                let n = index.index(left.len());
                if loss(level, layout, slots, &left, n) == Loss::Nothing {
                    left[n].in_sync = false;
                }
            }
            let active: Vec<bool> = (0..slots).map(|s| left[s].in_sync).collect();
            prop_assert!(enough(level, layout, &active));
            // and what is refused would lose data
            for n in (0..slots).filter(|n| left[*n].in_sync && loss(level, layout, slots, &left, *n) == Loss::Array) {
                let mut without = active.clone();
                without[n] = false;
                prop_assert!(!enough(level, layout, &without));
            }
        }

        #[test]
        fn raid10_needs_what_the_kernel_needs(
            disks in 2usize..9, near in 1u32..4, far in 1u32..4, gone in any::<u16>(), offset in any::<bool>(),
        ) {
            prop_assume!((near * far) as usize <= disks);
            let layout = near | far << 8 | u32::from(offset) << 16;
            let active: Vec<bool> = (0..disks).map(|n| gone >> n & 1 == 0).collect();
            prop_assert_eq!(enough(Level::Raid10, layout, &active), kernel_enough(layout, &active));
        }

        #[test]
        fn no_layout_panics(layout in any::<u32>(), disks in 0usize..12) {
            for copies in raid10_copies(layout, disks) {
                prop_assert!(copies.iter().all(|slot| *slot < disks));
            }
        }
    }

    #[test]
    fn a_spare_a_member_being_rebuilt_and_one_that_is_replaced_can_go() {
        let mut all = members(2);
        all[1].in_sync = false;
        assert_eq!(loss(Level::Raid1, 0, 2, &all, 1), Loss::Nothing);
        assert_eq!(loss(Level::Raid1, 0, 2, &all, 0), Loss::Array);
        all.push(Copy { slot: None, in_sync: false, bad: Vec::new() });
        assert_eq!(loss(Level::Raid1, 0, 2, &all, 2), Loss::Nothing);
        all.push(Copy { slot: Some(0), in_sync: true, bad: Vec::new() });
        assert_eq!(loss(Level::Raid1, 0, 2, &all, 0), Loss::Nothing, "its replacement has all");
    }

    #[test]
    fn the_last_good_copy_of_a_bad_block_stays() {
        let mut all = members(3);
        all[0].bad = vec![(800, 8)];
        assert_eq!(loss(Level::Raid5, 2, 3, &all, 1), Loss::BadBlocks(0));
        assert_eq!(loss(Level::Raid5, 2, 3, &all, 0), Loss::Nothing);
        assert_eq!(loss(Level::Raid1, 0, 3, &all, 1), Loss::Nothing);
        all[2].bad = vec![(804, 8)];
        assert_eq!(loss(Level::Raid1, 0, 3, &all, 1), Loss::BadBlocks(2));
        all[2].bad = vec![(900, 8)];
        assert_eq!(loss(Level::Raid1, 0, 3, &all, 1), Loss::Nothing, "in different places");
        assert_eq!(loss(Level::Raid10, 0x103, 3, &all, 1), Loss::BadBlocks(0), "raid10 is not told so finely");
    }
}
