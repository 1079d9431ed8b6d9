//! `--check`: what the kernel is told so that an array checks its redundancy, and what is put back after that.

use super::step::{Plan, Step};
use crate::error::Refusal;
use crate::level::Level;

/// Past the end of any array, and a multiple of every chunk size: it limits nothing, and is not what the kernel has by itself.
pub const PAST_THE_END: u64 = 1 << 52;

/// An array that is to be checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Kernel name.
    pub devname: String,
    /// As typed.
    pub shown: String,
    /// Its level.
    pub level: Option<Level>,
    /// What runs now, the kernel's word.
    pub action: Option<String>,
    /// Slots without data.
    pub degraded: u32,
    /// Nothing is written to it.
    pub readonly: bool,
    /// Sectors of each member.
    pub member_sectors: u64,
    /// Sectors of the array.
    pub array_sectors: u64,
    /// The check before got to this sector, with so many sectors of each member.
    pub left: Option<(u64, u64)>,
    /// `--check-speed`, KiB per second.
    pub speed_kib: Option<u64>,
    /// The limit that was set for this array alone, KiB per second.
    pub own_speed_kib: Option<u64>,
    /// A check that was killed left another one behind.
    pub has_left_speed: bool,
}

/// What is done before and after.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Check {
    /// Starts it.
    pub start: Plan,
    /// Once it is over: nothing is left behind for what runs next.
    pub end: Plan,
    /// The first sector; none where it begins anew.
    pub goes_on_at: Option<u64>,
}

impl Check {
    /// All of it, as it is shown.
    #[must_use]
    pub fn whole(&self, devname: &str) -> Plan {
        let from = self.goes_on_at.unwrap_or(0);
        let what = format!("checks {devname} from sector {from} on; when it ends:");
        let between = Step::Kernel { what };
        Plan { steps: self.start.steps.iter().chain([&between]).chain(&self.end.steps).cloned().collect() }
    }
}

/// The steps of a check.
///
/// # Errors
/// Why none can be started now.
pub fn start(array: &Facts) -> Result<Check, Refusal> {
    if let Some(why) = obstacle(array) {
        return Err(Refusal::new(format!("{} is not checked: {why}", array.shown)));
    }
    let store = |attr: &str, value: &dyn ToString| sysfs(&array.devname, attr, value.to_string());
    // A raid10 counts sectors of the array. What is not of this array's size is no place to go on from.
    let end = if array.level == Some(Level::Raid10) { array.array_sectors } else { array.member_sectors };
    let fits = |(done, member_sectors): &(u64, u64)| *member_sectors == array.member_sectors && *done < end;
    let goes_on_at = array.left.filter(fits).map(|(done, _)| done);
    let mut check = Check { goes_on_at, ..Check::default() };
    // The order matters: the kernel takes no sync_min past sync_max.
    let own = array.own_speed_kib.map_or("system".to_owned(), |kib| kib.to_string());
    let speed = array.speed_kib.map(|kib| kib.to_string()).or_else(|| array.has_left_speed.then(|| own.clone()));
    check.start.steps.extend(speed.map(|speed| store("sync_speed_max", &speed)));
    check.start.steps.extend([
        store("sync_max", &"max"),
        store("sync_min", &goes_on_at.unwrap_or(0)),
        store("sync_max", &PAST_THE_END),
        store("sync_action", &"check"),
    ]);
    check.end = end_of(array, array.speed_kib.is_some());
    Ok(check)
}

/// Whether a check that was killed left something to be put back, by `sync_min` and `sync_max` of the array.
#[must_use]
pub fn is_left(array: &Facts, (min, max): (u64, Option<u64>), idle: bool) -> bool {
    // Nobody but a check that was to go on there has set it.
    let left_min = min > 0 && array.left.is_some_and(|(done, _)| done == min);
    max == Some(PAST_THE_END) || array.has_left_speed || (left_min && idle)
}

/// What is put back after a check that was killed.
#[must_use]
pub fn tidy(array: &Facts) -> Plan {
    end_of(array, array.has_left_speed)
}

fn end_of(array: &Facts, has_speed: bool) -> Plan {
    let store = |attr: &str, value: String| sysfs(&array.devname, attr, value);
    let own = array.own_speed_kib.map_or("system".to_owned(), |kib| kib.to_string());
    let mut steps: Vec<Step> = has_speed.then(|| store("sync_speed_max", own)).into_iter().collect();
    // The last is refused while anything runs.
    steps.extend([store("sync_max", "max".into()), store("sync_min", "0".into())]);
    Plan { steps }
}

/// The step that interrupts a check.
#[must_use]
pub fn stop(devname: &str) -> Plan {
    Plan { steps: vec![sysfs(devname, "sync_action", "idle".to_owned())] }
}

fn sysfs(devname: &str, attr: &str, value: String) -> Step {
    Step::Sysfs { devname: devname.to_owned(), attr: attr.to_owned(), value, verify: None }
}

fn obstacle(array: &Facts) -> Option<&'static str> {
    match array.action.as_deref() {
        Some("idle") => {}
        Some("check") => return Some("is being checked already"),
        _ => return Some("is busy with something else, or frozen"),
    }
    if array.degraded > 0 {
        return Some("is degraded: there is nothing to compare");
    }
    array.readonly.then_some("is read-only")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            devname: "md0".into(),
            shown: "/dev/md0".into(),
            level: Some(Level::Raid1),
            action: Some("idle".into()),
            member_sectors: 1000,
            array_sectors: 2000,
            ..Facts::default()
        }
    }

    #[test]
    fn what_was_set_is_put_back_and_nothing_else() {
        let plain = start(&facts()).unwrap();
        assert_eq!(
            plain.whole("md0").text(),
            "sysfs  md0/md/sync_max = max\nsysfs  md0/md/sync_min = 0\nsysfs  md0/md/sync_max = 4503599627370496\n\
             sysfs  md0/md/sync_action = check\nkernel checks md0 from sector 0 on; when it ends:\n\
             sysfs  md0/md/sync_max = max\nsysfs  md0/md/sync_min = 0\n"
        );
        for (own_speed_kib, back) in [(None, "system"), (Some(777), "777")] {
            let check = start(&Facts { speed_kib: Some(50), own_speed_kib, ..facts() }).unwrap();
            assert_eq!(check.start.steps[0].line(), "sysfs  md0/md/sync_speed_max = 50");
            assert_eq!(check.end.steps[0].line(), format!("sysfs  md0/md/sync_speed_max = {back}"));
            assert_eq!((check.start.steps.len(), check.end.steps.len()), (5, 3));
            // One that was killed left its limit: it is put back before the next, and is not taken for the array's own.
            let left = Facts { has_left_speed: true, own_speed_kib, ..facts() };
            let check = start(&left).unwrap();
            assert_eq!(check.start.steps[0].line(), format!("sysfs  md0/md/sync_speed_max = {back}"));
            assert_eq!((check.end.steps.len(), tidy(&left).steps.len()), (2, 3));
            assert_eq!(tidy(&left).steps[0].line(), format!("sysfs  md0/md/sync_speed_max = {back}"));
        }
    }

    #[test]
    fn it_goes_on_where_it_was_left_if_that_is_a_place_of_this_array() {
        for (level, left, at) in [
            (Level::Raid1, (999, 1000), Some(999)),
            (Level::Raid1, (1000, 1000), None),
            (Level::Raid1, (10, 999), None),
            (Level::Raid10, (1999, 1000), Some(1999)),
            (Level::Raid10, (2000, 1000), None),
        ] {
            let check = start(&Facts { level: Some(level), left: Some(left), ..facts() }).unwrap();
            assert_eq!(check.goes_on_at, at, "{left:?}");
            let min = format!("sysfs  md0/md/sync_min = {}", at.unwrap_or(0));
            assert_eq!(check.start.steps[1].line(), min);
        }
    }

    #[test]
    fn what_a_killed_check_left_is_told_from_what_somebody_else_set() {
        let left = Facts { left: Some((2048, 1 << 20)), ..facts() };
        assert!(is_left(&facts(), (0, Some(PAST_THE_END)), false) && is_left(&left, (2048, None), true));
        assert!(is_left(&Facts { has_left_speed: true, ..facts() }, (0, None), false));
        for (array, min, idle) in
            [(&facts(), 0, true), (&facts(), 2048, true), (&left, 4096, true), (&left, 2048, false)]
        {
            assert!(!is_left(array, (min, Some(9000)), idle));
        }
    }

    #[test]
    fn what_cannot_be_checked_now_is_refused() {
        for (array, why) in [
            (Facts { action: Some("check".into()), ..facts() }, "is being checked already"),
            (Facts { action: Some("frozen".into()), ..facts() }, "is busy with something else, or frozen"),
            (Facts { action: None, ..facts() }, "is busy with something else, or frozen"),
            (Facts { degraded: 1, ..facts() }, "is degraded: there is nothing to compare"),
            (Facts { readonly: true, ..facts() }, "is read-only"),
        ] {
            assert_eq!(start(&array).unwrap_err().lines, [format!("/dev/md0 is not checked: {why}")]);
        }
    }
}
