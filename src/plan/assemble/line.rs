//! ARRAY lines: which of them names an array, and which is meant by a member.

use crate::bitmap::header::Kind;
use crate::error::{Exit, Refusal};
use crate::host::conf::{ArrayLine, Conf};
use crate::host::names::{self, TypedName};
use crate::metadata::Metadata;
use crate::output::escape;
use crate::plan::assemble::{Candidate, Member};
use crate::superblock::Version;
use crate::superblock::v1::Minor;

/// The line of the configuration that names this array.
#[must_use]
pub fn line_of<'a>(conf: &'a Conf, typed: &TypedName) -> Option<&'a ArrayLine> {
    let is_it = |line: &&ArrayLine| {
        line.device.as_deref().and_then(|device| names::parse(device).ok()).is_some_and(|t| t.path == typed.path)
    };
    conf.arrays.iter().find(is_it)
}

/// Whether a member agrees with all that an ARRAY line says.
#[must_use]
pub fn fits(line: &ArrayLine, candidate: &Candidate, member: &Member) -> bool {
    let matches = |pattern: &String| glob::Pattern::new(pattern).is_ok_and(|p| p.matches_path(&candidate.path));
    let version = match line.metadata {
        Some(Metadata::V090) => member.version == Version::V090,
        Some(Metadata::V1_0) => member.version == Version::V1(Minor::V0),
        Some(Metadata::V1_1) => member.version == Version::V1(Minor::V1),
        Some(Metadata::V1_2) => member.version == Version::V1(Minor::V2),
        Some(Metadata::V1Default) => member.version != Version::V090,
        Some(Metadata::Ddf | Metadata::Imsm) => false,
        None => true,
    };
    version
        && line.uuid.is_none_or(|uuid| uuid == member.sb.set_uuid())
        && line.super_minor.is_none_or(|n| member.old.as_ref().is_some_and(|old| old.md_minor() == n))
        && line.devices.as_ref().is_none_or(|patterns| patterns.iter().any(matches))
        && line.level.is_none_or(|level| level.raw() == member.sb.level_raw())
        && line.raid_disks.is_none_or(|n| n == member.sb.raid_disks())
        && line.container.is_none()
        && line.member.is_none()
}

/// An array of a cluster is for the cluster's own programs, unless this machine is configured as one of it.
///
/// # Errors
/// It is of another cluster.
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

/// The ARRAY lines that fit, the first of them for one array.
///
/// # Errors
/// One of them has the array ignored, or they name it differently.
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
