//! The text of `--examine` for what is not v1.x metadata.

use std::fmt::Write;

use crate::output::escape;
use crate::superblock::foreign::{Ddf, Found, Imsm, MbrEntry, Table};

/// The lines behind `DEVICE:`. Partition tables as the reference prints them; of other metadata what names it.
pub(super) fn text(found: &Found) -> String {
    let mut out = String::new();
    match found {
        Found::Ddf(d) => ddf(&mut out, d),
        Found::Imsm(i) => imsm(&mut out, i),
        Found::Table(Table::Mbr(entries)) => mbr(&mut out, entries),
        Found::V090(_) | Found::Table(Table::Gpt { .. }) | Found::FileSystem(_) => {
            let _ = writeln!(out, "   {}", escape::text(found.name().as_bytes()));
        }
    }
    out
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
