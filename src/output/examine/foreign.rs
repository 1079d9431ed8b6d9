//! The text of `--examine` for what is not v1.x metadata.

use std::fmt::Write;

use crate::level::Level;
use crate::output::{escape, human};
use crate::superblock::foreign::{Ddf, Found, Imsm, MbrEntry, Table, V090};

/// The lines behind `DEVICE:`. Partition tables as the reference prints them; of other metadata what names it.
pub(super) fn text(found: &Found, created: &str) -> String {
    let mut out = String::new();
    match found {
        Found::V090(sb) => v090(&mut out, sb, created),
        Found::Ddf(d) => ddf(&mut out, d),
        Found::Imsm(i) => imsm(&mut out, i),
        Found::Table(Table::Mbr(entries)) => mbr(&mut out, entries),
        Found::Table(Table::Gpt { .. }) | Found::FileSystem(_) => {
            let _ = writeln!(out, "   {}", escape::text(found.name().as_bytes()));
        }
    }
    out
}

fn v090(out: &mut String, sb: &V090, created: &str) {
    let size = u64::from(sb.size_kib);
    let _ = writeln!(out, "          Magic : a92b4efc");
    let _ = writeln!(out, "        Version : 0.{:02}.00", sb.minor_version);
    let _ = writeln!(out, "           UUID : {}", sb.uuid);
    let _ = writeln!(out, "  Creation Time : {created}");
    let _ = writeln!(out, "     Raid Level : {}", Level::from_raw(sb.level_raw).map_or("-unknown-", Level::name));
    if sb.level_raw > 0 {
        let _ = writeln!(out, "  Used Dev Size : {size}{}", human::size(size * 1024));
    }
    let _ = writeln!(out, "   Raid Devices : {}", sb.raid_disks);
    let _ = writeln!(out, "  Total Devices : {}", sb.nr_disks);
    let _ = writeln!(out, "Preferred Minor : {}", sb.md_minor);
    let _ = writeln!(out, "         Events : {}", sb.events);
}

fn ddf(out: &mut String, d: &Ddf) {
    let _ = writeln!(out, "          Magic : de11de11");
    let _ = writeln!(out, "        Version : {}", escape::text(d.revision.as_bytes()));
    let _ = writeln!(out, " Container GUID : {}", d.guid_text());
    let vendor: Vec<u8> = d.guid.iter().copied().take(8).collect();
    let _ = writeln!(out, "                  ({})", escape::text(&vendor));
}

fn imsm(out: &mut String, i: &Imsm) {
    let _ = writeln!(out, "          Magic : Intel Raid ISM Cfg Sig.");
    let _ = writeln!(out, "        Version : {}", escape::text(i.version.as_bytes()));
    let _ = writeln!(out, "    Orig Family : {:08x}", i.orig_family);
    let _ = writeln!(out, "         Family : {:08x}", i.family);
    let _ = writeln!(out, "     Generation : {:08x}", i.generation);
    let _ = writeln!(out, "          Disks : {}", i.disks);
    let _ = writeln!(out, "   RAID Devices : {}", i.volumes);
}

fn mbr(out: &mut String, entries: &[MbrEntry; 4]) {
    let _ = writeln!(out, "   MBR Magic : aa55");
    for (n, e) in entries.iter().enumerate().filter(|(_, e)| e.blocks != 0) {
        let _ = writeln!(out, "Partition[{n}] : {:12} sectors at {:12} (type {:02x})", e.blocks, e.start, e.kind);
    }
}
