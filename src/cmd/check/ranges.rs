//! Where members differ: only levels 4, 5 and 6 tell, in the kernel log, and no more than ten times in five seconds
//! (`handle_parity_checks5`, `handle_parity_checks6`). So whether all are known is found by counting.

use std::collections::HashMap;

use crate::host::Host;
use crate::host::kernel_log::KernelLog;

/// From the first sector of each member's data; the end is not in it.
pub type Range = [u64; 2];

/// More of an array are not kept.
const MAX_RANGES: usize = 1000;

/// What the kernel said since it was begun.
pub struct Heard {
    log: KernelLog,
    ranges: HashMap<String, Vec<Range>>,
}

impl Heard {
    pub fn from_now(host: &Host) -> Heard {
        Heard { log: KernelLog::from_now(&host.dev), ranges: HashMap::new() }
    }

    /// The ranges of an array that were named since the last call.
    pub fn of(&mut self, devname: &str) -> Vec<Range> {
        for line in self.log.kernel_lines() {
            if let Some((name, range)) = named(&line) {
                self.ranges.entry(name.to_owned()).or_default().push(range);
            }
        }
        self.ranges.remove(devname).unwrap_or_default()
    }
}

/// `md0: mismatch sector in range 8-16`
fn named(line: &str) -> Option<(&str, Range)> {
    let (name, range) = line.split_once(": mismatch sector in range ")?;
    let (start, end) = range.split_once('-')?;
    let range = [start.parse().ok()?, end.parse().ok()?];
    (range[0] < range[1]).then_some((name, range))
}

/// Takes in more of them: sorted, and those that touch are one.
pub fn add(ranges: &mut Vec<Range>, more: Vec<Range>) {
    if more.is_empty() {
        return;
    }
    ranges.extend(more);
    ranges.sort_unstable();
    let mut merged: Vec<Range> = Vec::with_capacity(ranges.len());
    for range in ranges.iter() {
        match merged.last_mut() {
            Some(last) if range[0] <= last[1] => last[1] = last[1].max(range[1]),
            _ => merged.push(*range),
        }
    }
    merged.truncate(MAX_RANGES);
    *ranges = merged;
}

/// How many sectors they are.
pub fn sectors(ranges: &[Range]) -> u64 {
    ranges.iter().fold(0, |sum: u64, r| sum.saturating_add(r[1].saturating_sub(r[0])))
}

/// Lines for a person: which sectors differ, and how that is known.
pub fn lines(ranges: &[Range], mismatch_sectors: u64) -> Vec<String> {
    const SHOWN: usize = 10;
    if ranges.is_empty() {
        return Vec::new();
    }
    let mut lines: Vec<String> = ranges
        .iter()
        .take(SHOWN)
        .map(|r| format!("  sectors {} to {} of each member's data", r[0], r[1] - 1))
        .collect();
    if ranges.len() > SHOWN {
        lines.push(format!("  and {} ranges more (--check=status --json)", ranges.len() - SHOWN));
    }
    let known = sectors(ranges);
    lines.push(if known == mismatch_sectors {
        "  so the kernel log; these are all".to_owned()
    } else {
        format!("  so the kernel log, which leaves out some where many differ: it names {known} of {mismatch_sectors}")
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernel_names_a_range() {
        assert_eq!(named("md0: mismatch sector in range 8-16"), Some(("md0", [8, 16])));
        for line in ["md0: mismatch sector in range 16-8", "md0: mismatch sector in range 8", "md0: check done", ""] {
            assert_eq!(named(line), None, "{line}");
        }
    }

    #[test]
    fn ranges_that_touch_are_one_and_are_counted() {
        let mut ranges = vec![[64, 72]];
        add(&mut ranges, vec![[16, 24], [8, 16], [8, 16], [72, 80], [100, 108]]);
        assert_eq!((ranges.as_slice(), sectors(&ranges)), (&[[8, 24], [64, 80], [100, 108]][..], 40));
        assert_eq!(lines(&ranges, 40).last().map(String::as_str), Some("  so the kernel log; these are all"));
        assert!(lines(&ranges, 48).last().is_some_and(|l| l.ends_with("it names 40 of 48")));
        let many: Vec<Range> = (0..5000).map(|n| [n * 16, n * 16 + 8]).collect();
        add(&mut ranges, many);
        assert_eq!(ranges.len(), MAX_RANGES);
        assert!(lines(&ranges, 1)[10].contains("990 ranges more"));
    }
}
