//! `--examine --brief` and `--scan`: one `ARRAY` line per array, as mdadm.conf takes it.

use std::fmt::Write;

use super::{Examined, Member, What};
use crate::level::Level;
use crate::output::escape;
use crate::superblock::v0::SuperV0;
use crate::superblock::v1::{Role, SuperV1, feature};

/// The lines of all arrays that the devices belong to. The array seen last comes first, as in the reference.
/// `verbose` adds level, number of devices and the devices.
#[must_use]
pub fn array_lines(devices: &[Examined], verbose: bool) -> String {
    let mut groups: Vec<Vec<&Examined>> = Vec::new();
    for device in devices.iter().filter(|d| has_line(&d.what)) {
        let same =
            |group: &&mut Vec<&Examined>| group.first().is_some_and(|first| same_array(&first.what, &device.what));
        match groups.iter_mut().find(same) {
            Some(group) => group.push(device),
            None => groups.push(vec![device]),
        }
    }
    groups.iter().rev().map(|g| group_text(g, verbose)).collect()
}

fn has_line(what: &What) -> bool {
    matches!(what, What::Member(_) | What::Old(_))
}

fn same_array(a: &What, b: &What) -> bool {
    match (a, b) {
        (What::Member(a), What::Member(b)) => same_set(&a.sb, &b.sb),
        (What::Old(a), What::Old(b)) => a.sb.uuid() == b.sb.uuid(),
        _ => false,
    }
}

/// Whether two superblocks are of one array as the reference compares them.
fn same_set(a: &SuperV1, b: &SuperV1) -> bool {
    let key =
        |s: &SuperV1| (s.set_uuid(), s.ctime_raw(), s.level_raw(), s.layout(), s.size(), s.chunksize(), s.raid_disks());
    key(a) == key(b)
}

fn group_text(group: &[&Examined], verbose: bool) -> String {
    let mut out = String::new();
    match group.first().map(|d| &d.what) {
        Some(What::Member(m)) => member_line(&mut out, m, verbose),
        Some(What::Old(m)) => old_line(&mut out, &m.sb, verbose),
        _ => return out,
    }
    out.push('\n');
    let spares = group.iter().filter(|d| is_spare(&d.what)).count();
    if spares > 0 {
        let _ = write!(out, "   spares={spares}");
    }
    if verbose {
        let devices: Vec<String> = group.iter().map(|d| escape::text(d.device.as_bytes())).collect();
        let _ = write!(out, "   devices={}", devices.join(","));
    }
    if spares > 0 || verbose {
        out.push('\n');
    }
    out
}

fn is_spare(what: &What) -> bool {
    match what {
        What::Member(m) => !matches!(m.sb.role(), Role::Slot(_)) || m.sb.has(feature::REPLACEMENT),
        What::Old(m) => m.is_spare(),
        What::Foreign(_) => false,
    }
}

/// What follows the host's name and a colon in an array's name; the whole name where there is none.
#[must_use]
pub fn short_name(name: &[u8]) -> &[u8] {
    match name.iter().position(|b| *b == b':') {
        Some(colon) => name.get(colon + 1..).unwrap_or_default(),
        None => name,
    }
}

fn member_line(out: &mut String, m: &Member, verbose: bool) {
    let sb = &m.sb;
    let name = sb.set_name();
    out.push_str("ARRAY ");
    if !name.is_empty() {
        let _ = write!(out, "/dev/md/{} ", escape::word(short_name(&name)));
    }
    if let Some(level) = Level::from_raw(sb.level_raw()).filter(|_| verbose) {
        let _ = write!(out, " level={}", level.name());
    }
    let _ = write!(out, " metadata=1.{} ", m.minor.number());
    if verbose {
        let _ = write!(out, "num-devices={} ", sb.raid_disks() as i32);
    }
    let _ = write!(out, "UUID={}", sb.set_uuid());
}

fn old_line(out: &mut String, sb: &SuperV0, verbose: bool) {
    let _ = write!(out, "ARRAY /dev/md{}", sb.md_minor());
    if verbose {
        let level = Level::from_raw(sb.level_raw()).map_or("-unknown-", Level::name);
        let _ = write!(out, " level={level} num-devices={}", sb.raid_disks());
    }
    let _ = write!(out, " UUID={}", sb.uuid());
}
