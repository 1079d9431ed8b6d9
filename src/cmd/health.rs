//! `--health`: one line for each array, and a status that says how the worst of them is. Anybody may ask, as Nagios does; who held
//! which slot once is root's to know.

use std::path::Path;

use serde::Serialize;

use super::print::{complain, out, report};
use crate::cli::request::HealthRequest;
use crate::error::Exit;
use crate::host::Host;
use crate::host::conf::{ArrayLine, Conf};
use crate::host::mdstat::{MdStat, MdStatArray};
use crate::host::saved;
use crate::level::Level;
use crate::metadata::Metadata;
use crate::monitor::memory::Members;
use crate::monitor::snapshot;
use crate::monitor::state::health::{Grade, More, judge};
use crate::monitor::state::{Array, Memory};
use crate::output::escape;
use crate::plan::redundancy::enough;
use crate::sysfs::value::ArrayState;
use crate::sysfs::{ArrayDir, attr};

/// More slots than any array has.
const MAX_SLOTS: u32 = 4096;

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

/// Judges the arrays named, or all: those that there are, and those of the configuration.
#[must_use]
pub fn run(request: &HealthRequest, conf: &Conf) -> Exit {
    let host = Host::default();
    let stat = host.mdstat();
    let memory = nix::unistd::geteuid().is_root().then(|| Members::load(Path::new(saved::DEFAULT_DIR)).memory());
    let memory = memory.as_ref();
    let lines: Vec<Line> = if request.arrays.is_empty() {
        let all = stat.arrays.iter().rev().filter(|a| !is_container(a));
        let there = all.map(|a| line(&host, memory, a, format!("/dev/{}", a.devname)));
        let missing = conf.arrays.iter().filter(|l| is_missing(&host, &stat, l));
        there.chain(missing.map(|l| unknown(name_of(l), "is in the configuration, and is not there"))).collect()
    } else {
        let one = |path: &std::path::PathBuf| {
            let shown = escape::text(path.display().to_string().as_bytes());
            match host.devname_of(path).and_then(|name| stat.array(&name).cloned()) {
                Some(found) => line(&host, memory, &found, shown),
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

/// Whether an array that is to be there is not, not even as one that was not started. Sets of other metadata are not ours.
fn is_missing(host: &Host, stat: &MdStat, line: &ArrayLine) -> bool {
    let foreign = line.container.is_some() || matches!(line.metadata, Some(Metadata::Ddf | Metadata::Imsm));
    if line.ignore || foreign {
        return false;
    }
    let map = host.map().load().unwrap_or_default();
    match line.uuid {
        Some(uuid) => !stat.arrays.iter().any(|a| host.uuid_in(&host.sysfs.array(&a.devname), &map) == Some(uuid)),
        None => line.path().is_some_and(|path| host.devname_of(&path).is_none_or(|name| stat.array(&name).is_none())),
    }
}

fn name_of(line: &ArrayLine) -> String {
    let by_uuid = || line.uuid.map_or_else(String::new, |uuid| format!("UUID={uuid}"));
    line.path().map_or_else(by_uuid, |path| escape::text(path.display().to_string().as_bytes()))
}

fn line(host: &Host, memory: Option<&Memory>, stat: &MdStatArray, shown: String) -> Line {
    let map = host.map().load().unwrap_or_default();
    let dir = host.sysfs.array(&stat.devname);
    let Some(array) = snapshot::array(host, stat, &map) else {
        let uuid = host.uuid_in(&dir, &map).map(|u| u.to_string());
        let why = format!("is not started (mdadm --detail {shown} says why)");
        return Line { kernel_name: Some(stat.devname.clone()), uuid, ..unknown(shown, &why) };
    };
    let more = More {
        // What is not known may have been.
        once: match memory {
            Some(memory) => array.uuid.and_then(|u| memory.get(&u).cloned()).unwrap_or_default(),
            None => (0..array.raid_disks.min(MAX_SLOTS)).collect(),
        },
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
    let held: Vec<bool> = (0..array.raid_disks.min(MAX_SLOTS)).map(|s| !missing.contains(&s)).collect();
    let layout = dir.get(attr::LAYOUT).unwrap_or(0);
    says_so || array.is_redundant() && array.level.is_some_and(|level| !enough(level, layout, &held))
}

fn bad_blocks(dir: &ArrayDir) -> Vec<String> {
    dir.members().iter().filter(|m| m.has_bad_blocks()).map(|m| m.name().to_owned()).collect()
}
