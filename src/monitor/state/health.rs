//! How an array is, in a word and a line: for cron, Nagios, systemd.

use std::collections::HashSet;

use super::{Array, Condition};

/// How it is; the number is the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// All is well.
    Ok = 0,
    /// Somebody should look at it.
    Warning = 1,
    /// Redundancy or data is lost, and nothing is done about it.
    Critical = 2,
}

impl Grade {
    /// The word that is shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Grade::Ok => "ok",
            Grade::Warning => "warning",
            Grade::Critical => "critical",
        }
    }
}

/// What the look at the arrays does not tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct More {
    /// Slots that once had their data.
    pub once: HashSet<u32>,
    /// So many members are missing that data cannot be read; or a raid0 or linear array lost one.
    pub broken: bool,
    /// Members with recorded bad blocks, by kernel name.
    pub bad_blocks: Vec<String>,
}

/// Judges a running array: the grade, and what there is to say, the worst first.
#[must_use]
pub fn judge(array: &Array, more: &More) -> (Grade, Vec<String>) {
    let mut found: Vec<(Grade, String)> = Vec::new();
    let missing = array.missing_slots();
    if more.broken {
        found.push((Grade::Critical, "so many members are gone that data cannot be read".into()));
    } else if !missing.is_empty() {
        let slots = missing.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
        let was = missing.iter().any(|s| more.once.contains(s));
        found.push(match (array.is_attended(), was) {
            (true, false) => (Grade::Ok, format!("is being built, slot {slots}{}", progress(array))),
            (true, true) => (Grade::Warning, format!("degraded, slot {slots} is being rebuilt{}", progress(array))),
            (false, _) => (Grade::Critical, format!("degraded, slot {slots} is missing and nothing rebuilds it")),
        });
    } else if let Some(sync) = &array.sync {
        let waits = if sync.percent.is_none() { " waits" } else { "" };
        found.push((Grade::Ok, format!("{}{waits}{}", sync.action, progress(array))));
    }
    for member in array.members.iter().filter(|m| m.condition == Condition::Faulty) {
        found.push((Grade::Warning, format!("{} has failed and is still attached", member.kname)));
    }
    for member in &more.bad_blocks {
        found.push((Grade::Warning, format!("{member} has bad blocks")));
    }
    // Mirrors differ where nobody reads: swap, files that were cut short while they were written.
    if array.mismatches > 0 && array.level.is_some_and(crate::level::Level::is_parity) {
        found.push((Grade::Warning, format!("the last check found {} sectors that differ", array.mismatches)));
    }
    found.sort_by_key(|(grade, _)| std::cmp::Reverse(*grade));
    let grade = found.first().map_or(Grade::Ok, |(grade, _)| *grade);
    (grade, found.into_iter().map(|(_, text)| text).collect())
}

fn progress(array: &Array) -> String {
    array.sync.as_ref().and_then(|s| s.percent).map_or(String::new(), |p| format!(" ({p}%)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::Level;
    use crate::monitor::state::{Member, Sync};

    fn array(slots: &[Condition], sync: Option<&str>) -> Array {
        let member = |(n, condition): (usize, &Condition)| Member {
            kname: format!("sd{n}"),
            slot: u32::try_from(n).ok().filter(|_| *condition != Condition::Faulty),
            condition: *condition,
            ..Member::default()
        };
        let held = slots.iter().filter(|c| **c == Condition::InSync).count();
        Array {
            level: Some(Level::Raid5),
            raid_disks: 3,
            degraded: 3 - u32::try_from(held).unwrap(),
            members: slots.iter().enumerate().map(member).collect(),
            sync: sync.map(|s| Sync { action: s.into(), percent: Some(7) }),
            ..Array::default()
        }
    }

    #[test]
    fn grades_and_words() {
        use Condition::{Faulty, InSync, Rebuilding, Spare};
        let once = More { once: [0, 1, 2].into(), ..More::default() };
        for (slots, sync, more, grade, text) in [
            (vec![InSync; 3], None, &once, Grade::Ok, ""),
            (vec![InSync; 3], Some("check"), &once, Grade::Ok, "check (7%)"),
            (vec![InSync, InSync], None, &once, Grade::Critical, "degraded, slot 2 is missing and nothing rebuilds it"),
            (
                vec![InSync, InSync, Spare],
                None,
                &once,
                Grade::Critical,
                "degraded, slot 2 is missing and nothing rebuilds it",
            ),
            (
                vec![InSync, InSync, Rebuilding],
                Some("recovery"),
                &once,
                Grade::Warning,
                "degraded, slot 2 is being rebuilt (7%)",
            ),
            (
                vec![InSync, InSync, Rebuilding],
                Some("recovery"),
                &More::default(),
                Grade::Ok,
                "is being built, slot 2 (7%)",
            ),
            (
                vec![InSync, InSync, Faulty],
                None,
                &once,
                Grade::Critical,
                "degraded, slot 2 is missing and nothing rebuilds it; sd2 has failed and is still attached",
            ),
        ] {
            let (got, texts) = judge(&array(&slots, sync), more);
            assert_eq!((got, texts.join("; ").as_str()), (grade, text));
        }
        let broken = More { broken: true, bad_blocks: vec!["sda".into()], ..More::default() };
        let (grade, texts) = judge(&array(&[InSync], None), &broken);
        assert_eq!((grade, texts.len()), (Grade::Critical, 2));
        let differs = |level| Array { mismatches: 8, level: Some(level), ..array(&[InSync; 3], None) };
        assert_eq!(judge(&differs(Level::Raid6), &once).0, Grade::Warning);
        assert_eq!(judge(&differs(Level::Raid1), &once).0, Grade::Ok);
    }
}
