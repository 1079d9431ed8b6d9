//! `--health`: one line for each array, and a status that says how the worst of them is.

use std::path::Path;

use serde::Serialize;

use super::print::{complain, out, report};
use crate::cli::request::HealthRequest;
use crate::error::Exit;
use crate::host::Host;
use crate::host::mdstat::MdStatArray;
use crate::host::saved;
use crate::level::Level;
use crate::monitor::memory::Members;
use crate::monitor::snapshot;
use crate::monitor::state::health::{Grade, More, judge};
use crate::monitor::state::{Array, Memory};
use crate::output::escape;
use crate::plan::redundancy::enough;
use crate::sysfs::value::ArrayState;
use crate::sysfs::{ArrayDir, attr};

/// One array, judged.
#[derive(Serialize)]
struct Line {
    schema: &'static str,
    array: String,
    kernel_name: Option<String>,
    uuid: Option<String>,
    status: &'static str,
    level: Option<&'static str>,
    raid_devices: u32,
    degraded: u32,
    reasons: Vec<String>,
    #[serde(skip)]
    grade: Grade,
}

/// Judges the arrays named, or all.
#[must_use]
pub fn run(request: &HealthRequest) -> Exit {
    let host = Host::default();
    let stat = host.mdstat();
    let memory = Members::load(Path::new(saved::DEFAULT_DIR)).memory();
    let lines: Vec<Line> = if request.arrays.is_empty() {
        let all = stat.arrays.iter().rev().filter(|a| !is_container(a));
        all.map(|a| line(&host, &memory, a, format!("/dev/{}", a.devname))).collect()
    } else {
        let one = |path: &std::path::PathBuf| {
            let shown = escape::text(path.display().to_string().as_bytes());
            match host.devname_of(path).and_then(|name| stat.array(&name).cloned()) {
                Some(found) => line(&host, &memory, &found, shown),
                None => unknown(shown, "there is no such array"),
            }
        };
        request.arrays.iter().map(one).collect()
    };
    if request.common.json {
        report(&(serde_json::to_string_pretty(&lines).unwrap_or_default() + "\n"));
    } else {
        lines.iter().for_each(|l| {
            out(&text(l));
        });
    }
    if lines.is_empty() && !request.common.json && !request.common.is_quiet() {
        complain("no arrays");
    }
    Exit(lines.iter().map(|l| l.grade).max().map_or(0, |g| g as u8))
}

fn text(line: &Line) -> String {
    let raid_devices = line.raid_devices;
    let devices =
        (raid_devices > 0).then(|| format!("{} of {raid_devices} members", raid_devices.saturating_sub(line.degraded)));
    let level = line.level.map(str::to_owned);
    let words: Vec<String> = level.into_iter().chain(devices).chain(line.reasons.iter().cloned()).collect();
    format!("{}: {}: {}\n", line.array, line.status, words.join(", "))
}

fn unknown(array: String, why: &str) -> Line {
    Line {
        schema: "mdadm-rs/health/1",
        array,
        kernel_name: None,
        uuid: None,
        status: Grade::Critical.word(),
        level: None,
        raid_devices: 0,
        degraded: 0,
        reasons: vec![why.to_owned()],
        grade: Grade::Critical,
    }
}

/// A set with metadata of another kind: it never runs itself.
fn is_container(array: &MdStatArray) -> bool {
    !array.active && array.metadata.as_deref().is_some_and(|m| m.starts_with("external:"))
}

fn line(host: &Host, memory: &Memory, stat: &MdStatArray, shown: String) -> Line {
    let map = host.map().load().unwrap_or_default();
    let dir = host.sysfs.array(&stat.devname);
    let Some(array) = snapshot::array(host, stat, &map) else {
        let uuid = host.uuid_in(&dir, &map).map(|u| u.to_string());
        let why = format!("is not started (mdadm --detail {shown} says why)");
        return Line { kernel_name: Some(stat.devname.clone()), uuid, ..unknown(shown, &why) };
    };
    let more = More {
        once: array.uuid.and_then(|u| memory.get(&u).cloned()).unwrap_or_default(),
        broken: is_broken(&dir, &array, stat),
        bad_blocks: bad_blocks(&dir),
    };
    let (grade, reasons) = judge(&array, &more);
    Line {
        schema: "mdadm-rs/health/1",
        array: shown,
        kernel_name: Some(array.devname.clone()),
        uuid: array.uuid.map(|u| u.to_string()),
        status: grade.word(),
        level: array.level.map(Level::name),
        raid_devices: array.raid_disks,
        degraded: array.degraded,
        reasons,
        grade,
    }
}

fn is_broken(dir: &ArrayDir, array: &Array, stat: &MdStatArray) -> bool {
    let says_so = stat.marks.iter().any(|m| m == "broken") || dir.get(attr::ARRAY_STATE) == Some(ArrayState::Broken);
    let missing = array.missing_slots();
    let held: Vec<bool> = (0..array.raid_disks.min(4096)).map(|s| !missing.contains(&s)).collect();
    let layout = dir.get(attr::LAYOUT).unwrap_or(0);
    says_so || array.is_redundant() && array.level.is_some_and(|level| !enough(level, layout, &held))
}

fn bad_blocks(dir: &ArrayDir) -> Vec<String> {
    dir.members().iter().filter(|m| m.has_bad_blocks()).map(|m| m.name().to_owned()).collect()
}
