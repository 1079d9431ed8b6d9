//! `--action`: what an array is told to do with its redundancy, and what it cannot do (kernel `action_store`).

use crate::error::{Refusal, errno_text};
use crate::level::Level;
use crate::plan::step::{Plan, Step};

/// An array that is told what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Kernel name.
    pub devname: String,
    /// As typed.
    pub shown: String,
    /// Its level; `None` where it has none yet.
    pub level: Option<Level>,
    /// What it does now; `None` where it has no redundancy to do anything with.
    pub action: Option<String>,
    /// It runs.
    pub running: bool,
    /// It runs and is read-only.
    pub readonly: bool,
}

/// The refusal: the reference's words ("count" is its own), and the reason.
#[must_use]
pub fn not_set(shown: &str, word: &str, errno: &str, why: Option<String>) -> Refusal {
    let refusal = Refusal::new(format!("Count not set action for {shown} to {word}: {errno}"));
    refusal.hints(why)
}

/// The one step.
///
/// # Errors
/// The array cannot do that, with the reason.
pub fn plan(array: &Facts, word: &str) -> Result<Plan, Refusal> {
    let shown = &array.shown;
    let no = |errno: i32, why: String| Err(not_set(shown, word, &errno_text(errno), Some(why)));
    let starts = word == "check" || word == "repair";
    if !array.running && (starts || array.action.is_none()) {
        return no(ENOENT, format!("{shown} does not run: start it first (mdadm --run {shown})"));
    }
    let Some(action) = &array.action else {
        let level = array.level.map_or("array without a level", Level::name);
        return no(ENOENT, format!("{shown} is a {level}: it has no redundancy to check or repair"));
    };
    if starts && array.readonly {
        // The kernel takes the word and forgets it.
        return no(EROFS, format!("{shown} is read-only: mdadm --readwrite {shown} first"));
    }
    if starts && !matches!(action.as_str(), "idle" | "frozen") {
        return no(EBUSY, busy(shown, action));
    }
    let (devname, attr) = (array.devname.clone(), "sync_action".into());
    Ok(Plan { steps: vec![Step::Sysfs { devname, attr, value: word.into(), verify: None }] })
}

/// What runs, and what to do about it. What the array needs begins anew at once when it is ended.
#[must_use]
pub fn busy(shown: &str, action: &str) -> String {
    let wait = format!("a {action} of {shown} runs: wait for its end with mdadm --wait {shown}");
    match action {
        "check" | "repair" => format!("{wait}, or end it with mdadm --action=idle {shown}"),
        _ => wait,
    }
}

const ENOENT: i32 = 2;
const EBUSY: i32 = 16;
const EROFS: i32 = 30;

#[cfg(test)]
mod tests {
    use super::*;

    fn array(action: Option<&str>) -> Facts {
        Facts {
            devname: "md0".into(),
            shown: "/dev/md0".into(),
            level: Some(Level::Raid5),
            action: action.map(str::to_owned),
            running: true,
            readonly: false,
        }
    }

    #[test]
    fn an_idle_array_takes_every_word() {
        for word in ["check", "repair", "idle", "frozen"] {
            let plan = plan(&array(Some("idle")), word).unwrap();
            assert_eq!(plan.text(), format!("sysfs  md0/md/sync_action = {word}\n"));
        }
    }

    #[test]
    fn what_an_array_cannot_do_is_refused_with_the_reason() {
        let read_only = Facts { readonly: true, ..array(Some("idle")) };
        let stopped = Facts { running: false, ..array(Some("idle")) };
        let striped = Facts { level: Some(Level::Raid0), ..array(None) };
        for (array, errno, why) in [
            (read_only.clone(), "Read-only file system", "--readwrite"),
            (stopped.clone(), "No such file or directory", "--run"),
            (striped, "No such file or directory", "is a raid0: it has no redundancy"),
            (array(Some("recover")), "Device or resource busy", "a recover of /dev/md0 runs"),
        ] {
            let refusal = plan(&array, "check").unwrap_err();
            assert_eq!(refusal.lines[0], format!("Count not set action for /dev/md0 to check: {errno}"));
            assert!(refusal.lines[1].contains(why), "{refusal}");
        }
        assert!(plan(&read_only, "frozen").is_ok() && plan(&stopped, "idle").is_ok());
        assert!(plan(&array(Some("resync")), "idle").is_ok());
    }
}
