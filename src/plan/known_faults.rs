//! Faults of the lockless bitmap in the kernel that are known, by the release that fixed them. Fixes may have been brought to
//! older releases by whoever built them: nothing here can see that, so it is said, and only the worst is refused.

use crate::error::Refusal;
use crate::level::Level;

/// A fault in print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Its name.
    pub id: &'static str,
    /// The first release without it.
    pub fixed: (u32, u32),
    /// What happens.
    pub what: &'static str,
    /// Only on degraded raid5 and raid6 arrays.
    pub degraded_parity: bool,
}

/// All that are known, as reported; below the release that fixed it each counts as there.
pub const FAULTS: [Fault; 3] = [
    Fault {
        id: "CVE-2026-45953",
        fixed: (7, 0),
        what: "requests to a degraded raid5 go round for ever",
        degraded_parity: true,
    },
    Fault { id: "CVE-2026-45955", fixed: (7, 0), what: "a suspended page is never resumed", degraded_parity: false },
    Fault { id: "CVE-2026-46095", fixed: (7, 0), what: "the barrier is raised too late", degraded_parity: false },
];

/// Major and minor number of a kernel's release (`7.2.13`); `None` where it begins with no number.
#[must_use]
pub fn numbers(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(['.', '-']).map_while(|n| n.parse::<u32>().ok());
    Some((numbers.next()?, numbers.next().unwrap_or(0)))
}

/// Those that a kernel of this release has; a release that cannot be read has none.
#[must_use]
pub fn of(release: &str) -> Vec<Fault> {
    let Some(release) = numbers(release) else { return Vec::new() };
    FAULTS.into_iter().filter(|f| release < f.fixed).collect()
}

/// The warning for whoever starts an array with a lockless bitmap on this kernel; `None` where nothing is known.
///
/// # Errors
/// A raid5 or raid6 that is degraded on a kernel with a fault in just that, unless `force`.
pub fn warning(release: &str, level: Option<Level>, degraded: bool, force: bool) -> Result<Option<String>, Refusal> {
    let found = of(release);
    let Some(first) = found.first() else { return Ok(None) };
    let at_risk = degraded && matches!(level, Some(Level::Raid4 | Level::Raid5 | Level::Raid6));
    if let Some(fault) = found.iter().find(|f| f.degraded_parity).filter(|_| at_risk && !force) {
        let (major, minor) = fault.fixed;
        return Err(Refusal::new(format!(
            "a degraded {} with a lockless bitmap can hang on this kernel ({release}): {} ({}), fixed in Linux {major}.{minor}",
            level.map_or("array", Level::name),
            fault.what,
            fault.id
        ))
        .hint("--force goes on all the same; --assemble --update=bitmap=none gives the bitmap up"));
    }
    let (major, minor) = first.fixed;
    let list: Vec<String> = found.iter().map(|f| format!("{} ({})", f.id, f.what)).collect();
    Ok(Some(format!(
        "warning: this kernel ({release}) may have known faults with lockless bitmaps: {}; fixed in Linux {major}.{minor}",
        list.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn kernels_below_the_fix_are_warned_of_and_those_from_it_on_are_not() {
        for affected in ["6.18.0", "6.19.14-arch1-1", "6.18"] {
            assert_eq!(of(affected).len(), 3, "{affected}");
            let said = warning(affected, Some(Level::Raid1), true, false).unwrap().unwrap();
            assert!(said.contains("CVE-2026-46095") && said.contains(affected), "{said}");
        }
        for fine in ["7.0.0-rc1", "7.2.13", "8.0", "what"] {
            assert_eq!(warning(fine, Some(Level::Raid5), true, false).unwrap(), None, "{fine}");
        }
    }

    #[test]
    fn a_degraded_raid5_or_raid6_takes_force_there() {
        for level in [Level::Raid5, Level::Raid6] {
            let refused = warning("6.18.3", Some(level), true, false).unwrap_err();
            assert!(refused.lines.iter().any(|l| l.contains("CVE-2026-45953")), "{refused}");
            assert!(refused.lines.iter().any(|l| l.contains("--force")), "{refused}");
            assert!(warning("6.18.3", Some(level), true, true).unwrap().is_some());
            assert!(warning("6.18.3", Some(level), false, false).unwrap().is_some());
        }
    }
}
