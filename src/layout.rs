//! Names of data layouts per level, and their numbers in metadata, ioctls and sysfs `layout`.
//!
//! Numbers: kernel `drivers/md/raid5.h` (`ALGORITHM_*`), `raid10.c` (near, far, offset), `raid0.h` (`RAID0_*_LAYOUT`)
//! and `md-faulty.c`.
#![forbid(unsafe_code)]

use crate::level::Level;

/// raid5; the DDF names mean the native layout that places blocks alike.
const RAID5: &[(&str, u32)] = &[
    ("left-asymmetric", 0),
    ("right-asymmetric", 1),
    ("left-symmetric", 2),
    ("right-symmetric", 3),
    ("la", 0),
    ("ra", 1),
    ("ls", 2),
    ("rs", 3),
    ("parity-first", 4),
    ("parity-last", 5),
    ("ddf-zero-restart", 1),
    ("ddf-N-restart", 0),
    ("ddf-N-continue", 2),
    ("default", 2),
];

/// raid6
const RAID6: &[(&str, u32)] = &[
    ("left-asymmetric", 0),
    ("right-asymmetric", 1),
    ("left-symmetric", 2),
    ("right-symmetric", 3),
    ("la", 0),
    ("ra", 1),
    ("ls", 2),
    ("rs", 3),
    ("parity-first", 4),
    ("parity-last", 5),
    ("ddf-zero-restart", 8),
    ("ddf-N-restart", 9),
    ("ddf-N-continue", 10),
    ("left-asymmetric-6", 16),
    ("right-asymmetric-6", 17),
    ("left-symmetric-6", 18),
    ("right-symmetric-6", 19),
    ("parity-first-6", 20),
    ("default", 2),
];

/// raid0 over members of differing sizes.
const RAID0: &[(&str, u32)] = &[("original", 1), ("alternate", 2), ("1", 1), ("2", 2), ("dangerous", 0)];

/// faulty: the mode, in the low five bits; a period may follow the name.
const FAULTY: &[(&str, u32)] = &[
    ("write-transient", 0),
    ("wt", 0),
    ("read-transient", 1),
    ("rt", 1),
    ("write-persistent", 2),
    ("wp", 2),
    ("read-persistent", 3),
    ("rp", 3),
    ("write-all", 4),
    ("wa", 4),
    ("read-fixable", 5),
    ("rf", 5),
    ("clear", 31),
    ("flush", 30),
    ("none", 31),
    ("default", 31),
];

/// Bits of the mode in a layout of level faulty; the period is above them.
const FAULTY_MODE_BITS: u32 = 5;

/// Most copies of a raid10 that the reference takes.
const RAID10_MOST: u32 = 200;

/// Bit of a raid10 layout: the far copies are by offset.
const RAID10_OFFSET: u32 = 1 << 16;

/// Reads a word of `--layout` for this level; `None` for a word it does not know and for levels without layouts.
#[must_use]
pub fn parse(level: Level, word: &str) -> Option<u32> {
    match level {
        Level::Raid5 => find(RAID5, word),
        Level::Raid6 => find(RAID6, word),
        Level::Raid0 => find(RAID0, word),
        Level::Raid10 => raid10(word),
        Level::Faulty => faulty(word),
        _ => None,
    }
}

fn find(table: &[(&str, u32)], word: &str) -> Option<u32> {
    table.iter().find(|t| t.0 == word).map(|t| t.1)
}

fn raid10(word: &str) -> Option<u32> {
    let copies: u32 = word.get(1..)?.trim_start_matches(' ').parse().ok().filter(|n| (1..=RAID10_MOST).contains(n))?;
    match word.chars().next()? {
        'n' => Some((1 << 8) | copies),
        'f' => Some((copies << 8) | 1),
        'o' => Some(RAID10_OFFSET | (copies << 8) | 1),
        _ => None,
    }
}

fn faulty(word: &str) -> Option<u32> {
    let name = word.trim_end_matches(|c: char| c.is_ascii_digit());
    let mode = find(FAULTY, name)?;
    let digits = word.get(name.len()..)?;
    let period: u32 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    period.checked_mul(1 << FAULTY_MODE_BITS).map(|p| p | mode)
}

/// The name of a layout number as `--detail` and `--examine` print it; `None` where they print `-unknown-`, and for
/// levels without layouts.
#[must_use]
pub fn name(level: Level, layout: u32) -> Option<String> {
    let first = |table: &[(&str, u32)]| table.iter().find(|t| t.1 == layout).map(|t| t.0.to_owned());
    match level {
        Level::Raid5 => first(RAID5),
        Level::Raid6 => first(RAID6),
        Level::Raid0 => first(RAID0),
        Level::Raid10 => raid10_name(layout),
        _ => None,
    }
}

/// `near=2`, `far=2`, `offset=2`, or near and one of the others joined by a comma; `NO REDUNDANCY` for one copy of each.
/// `None` for no copies at all, of which the reference dies.
fn raid10_name(layout: u32) -> Option<String> {
    let near = layout & 0xff;
    let far = (layout >> 8) & 0xff;
    let word = if layout & RAID10_OFFSET == 0 { "far" } else { "offset" };
    match (near, far) {
        (0, _) | (_, 0) => None,
        (1, 1) => Some("NO REDUNDANCY".to_owned()),
        (_, 1) => Some(format!("near={near}")),
        (1, _) => Some(format!("{word}={far}")),
        _ => Some(format!("near={near}, {word}={far}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_layouts_of_raid5_have_the_numbers_of_the_kernel() {
        assert_eq!(parse(Level::Raid5, "la"), Some(0));
        assert_eq!(parse(Level::Raid5, "left-symmetric"), Some(2));
        assert_eq!(parse(Level::Raid5, "parity-last"), Some(5));
        assert_eq!(parse(Level::Raid5, "left-symmetric-6"), None);
        assert_eq!(parse(Level::Raid6, "left-symmetric-6"), Some(18));
        assert_eq!(parse(Level::Raid1, "la"), None);
    }

    #[test]
    fn raid10_layouts_pack_near_far_and_offset() {
        assert_eq!(parse(Level::Raid10, "n2"), Some(0x102));
        assert_eq!(parse(Level::Raid10, "f3"), Some(0x301));
        assert_eq!(parse(Level::Raid10, "o2"), Some(0x1_0201));
        assert_eq!(parse(Level::Raid10, "n0"), None);
        assert_eq!(parse(Level::Raid10, "n201"), None);
        assert_eq!(parse(Level::Raid10, "n2x"), None);
        assert_eq!(parse(Level::Raid10, "\u{e9}2"), None);
    }

    #[test]
    fn faulty_takes_a_period_behind_its_mode() {
        assert_eq!(parse(Level::Faulty, "wp5"), Some((5 << 5) | 2));
        assert_eq!(parse(Level::Faulty, "read-fixable"), Some(5));
        assert_eq!(parse(Level::Faulty, "wt99999999999"), None);
    }

    #[test]
    fn names_are_those_that_the_reference_prints() {
        // From `mdadm -E` of superblocks with these layouts.
        let seen: &[(Level, u32, Option<&str>)] = &[
            (Level::Raid5, 0, Some("left-asymmetric")),
            (Level::Raid5, 2, Some("left-symmetric")),
            (Level::Raid5, 5, Some("parity-last")),
            (Level::Raid5, 6, None),
            (Level::Raid5, 8, None),
            (Level::Raid6, 8, Some("ddf-zero-restart")),
            (Level::Raid6, 10, Some("ddf-N-continue")),
            (Level::Raid6, 16, Some("left-asymmetric-6")),
            (Level::Raid6, 20, Some("parity-first-6")),
            (Level::Raid6, 21, None),
            (Level::Raid0, 0, Some("dangerous")),
            (Level::Raid0, 1, Some("original")),
            (Level::Raid0, 3, None),
            (Level::Raid10, 0x101, Some("NO REDUNDANCY")),
            (Level::Raid10, 0x102, Some("near=2")),
            (Level::Raid10, 0x201, Some("far=2")),
            (Level::Raid10, 0x203, Some("near=3, far=2")),
            (Level::Raid10, 0x1_0201, Some("offset=2")),
            (Level::Raid10, 0x1_0202, Some("near=2, offset=2")),
            (Level::Raid10, 0x2_0201, Some("far=2")),
            (Level::Raid10, 0x8000_0102, Some("near=2")),
            (Level::Raid1, 0, None),
        ];
        for (level, number, text) in seen {
            assert_eq!(name(*level, *number).as_deref(), *text, "{level:?} {number:#x}");
        }
    }

    proptest! {
        #[test]
        fn the_printed_name_of_a_parsed_layout_parses_to_the_same_number(
            level in prop::sample::select(vec![Level::Raid0, Level::Raid5, Level::Raid6]),
            pick in 0usize..64,
        ) {
            let table = match level { Level::Raid0 => RAID0, Level::Raid5 => RAID5, _ => RAID6 };
            let (word, number) = table[pick % table.len()];
            prop_assert_eq!(parse(level, word), Some(number));
            prop_assert_eq!(parse(level, &name(level, number).unwrap()), Some(number));
        }

        #[test]
        fn a_raid10_layout_has_a_name_if_it_has_copies(layout in any::<u32>()) {
            let copies = layout & 0xff != 0 && (layout >> 8) & 0xff != 0;
            prop_assert_eq!(name(Level::Raid10, layout).is_some(), copies);
        }

        #[test]
        fn no_word_panics(word in ".{0,12}") {
            for level in [Level::Raid0, Level::Raid5, Level::Raid6, Level::Raid10, Level::Faulty, Level::Linear] {
                let _ = parse(level, &word);
            }
        }
    }
}
