//! Whether the configuration lets a device be looked at and assembled, and by which line.

use std::path::PathBuf;

use crate::bitmap::header::Kind;
use crate::cmd::assemble::line::fits;
use crate::cmd::configured;
use crate::error::{Exit, Refusal};
use crate::host::conf::{ArrayLine, Conf, DeviceWord};
use crate::host::devmap::block_dev;
use crate::host::names;
use crate::output::escape;
use crate::plan::assemble::{Candidate, Member};

/// Whether the DEVICE lines name it: by one of the names that were given, or by one that /dev has for it.
pub fn permitted(conf: &Conf, names: &[PathBuf], dev: (u32, u32)) -> bool {
    let has = |word: &DeviceWord| match word {
        DeviceWord::Partitions => true,
        DeviceWord::Containers => false,
        DeviceWord::Glob(pattern) => {
            glob::Pattern::new(pattern).is_ok_and(|p| names.iter().any(|name| p.matches_path(name)))
                || configured::block_devices(pattern).iter().any(|path| block_dev(path) == Some(dev))
        }
    };
    conf.devices.iter().any(has)
}

/// An array of a cluster is for the cluster's own programs, unless this machine is configured as one of it.
pub fn of_this_cluster(c: &Candidate, m: &Member, conf: &Conf) -> Result<(), Refusal> {
    let Some(Ok(bitmap)) = m.bitmap.as_ref().filter(|b| matches!(b, Ok(b) if b.kind == Kind::Clustered)) else {
        return Ok(());
    };
    let (name, shown) = (bitmap.sb.cluster_name(), c.path.display());
    if conf.homecluster.as_ref().is_some_and(|home| home.as_bytes() == name) {
        return Ok(());
    }
    let name = escape::text(&name);
    let line = format!("{shown} is a member of an array of the cluster {name}: left alone (HOMECLUSTER in mdadm.conf)");
    Err(Refusal::new(line))
}

/// The ARRAY line that fits; of several lines for one array the first.
pub fn matching<'a>(conf: &'a Conf, c: &Candidate, m: &Member) -> Result<Vec<&'a ArrayLine>, Refusal> {
    // Who is meant is said by identity here; a level or a number of devices may have changed since (seen with 4.6).
    let meant = |line: &&ArrayLine| {
        let identity = ArrayLine {
            uuid: line.uuid,
            super_minor: line.super_minor,
            devices: line.devices.clone(),
            ..ArrayLine::default()
        };
        identity != ArrayLine::default() && fits(&identity, c, m)
    };
    let lines: Vec<&ArrayLine> = conf.arrays.iter().filter(meant).collect();
    if lines.iter().any(|line| line.ignore) {
        let shown = c.path.display();
        return Err(Refusal::new(format!("array containing {shown} is explicitly ignored by mdadm.conf")));
    }
    let path = |line: &ArrayLine| line.device.as_deref().and_then(|d| names::parse(d).ok()).map(|t| t.path);
    if let [first, rest @ ..] = lines.as_slice()
        && let (Some(a), Some(b)) =
            (path(first), rest.iter().filter_map(|l| path(l)).find(|p| Some(p) != path(first).as_ref()))
    {
        let line = format!("we match both {} and {} - cannot decide which to use.", a.display(), b.display());
        return Err(Refusal::new(line).with_exit(Exit::USAGE));
    }
    Ok(lines)
}
