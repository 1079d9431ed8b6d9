//! What an ARRAY line names, and the names of arrays that none names.

use std::path::{Path, PathBuf};

use crate::host::Host;
use crate::host::conf::{ArrayLine, Conf};
use crate::host::names::{self, TypedName};
use crate::metadata::Metadata;
use crate::plan::assemble::naming::AutoName;
use crate::plan::assemble::{Candidate, Member};
use crate::superblock::Version;
use crate::superblock::v1::Minor;

/// The line of the configuration that names this array.
pub fn line_of<'a>(conf: &'a Conf, typed: &TypedName) -> Option<&'a ArrayLine> {
    let is_it = |line: &&ArrayLine| {
        line.device.as_deref().and_then(|device| names::parse(device).ok()).is_some_and(|t| t.path == typed.path)
    };
    conf.arrays.iter().find(is_it)
}

/// Whether a member agrees with all that an ARRAY line says.
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

/// A path that no array has: `_0`, `_1` ... behind a name that is taken. `planned` is what `--plan` has given away.
pub fn free_name(host: &Host, planned: &[(PathBuf, String)], wanted: AutoName) -> TypedName {
    let map = host.map().load().unwrap_or_default();
    let folder = Path::new("/dev/md");
    let runs = |devname: &str| host.sysfs.array(devname).exists();
    let taken = |path: &PathBuf| {
        planned.iter().any(|(p, _)| p == path)
            || map.iter().any(|e| e.path.as_ref() == Some(path) && runs(&e.devname))
            || path.exists()
    };
    let first = (!wanted.suffixed).then(|| folder.join(&wanted.name));
    let numbered = (0u32..).map(|n| folder.join(format!("{}_{n}", wanted.name)));
    let path = first.into_iter().chain(numbered).find(|path| !taken(path));
    let path = path.unwrap_or_else(|| folder.join(&wanted.name));
    let is_free = |n: &u32| {
        let devname = format!("md{n}");
        !runs(&devname) && !map.iter().any(|e| e.devname == devname) && !planned.iter().any(|p| p.1 == devname)
    };
    let kept = path.file_name().is_some_and(|name| name == wanted.name.as_str());
    TypedName { path, number: wanted.number.filter(|_| kept).filter(is_free), name: wanted.name }
}
