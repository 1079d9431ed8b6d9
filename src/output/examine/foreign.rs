//! The text of `--examine` for what is not v1.x metadata.

use std::fmt::Write;

use crate::output::escape;
use crate::superblock::foreign::{Found, MbrEntry, Table};

/// The lines behind `DEVICE:`.
pub(super) fn text(found: &Found) -> String {
    let mut out = String::new();
    match found {
        Found::Table(Table::Mbr(entries)) => mbr(&mut out, entries),
        other => {
            let _ = writeln!(out, "   {}", escape::text(other.name().as_bytes()));
        }
    }
    out
}

fn mbr(out: &mut String, entries: &[MbrEntry; 4]) {
    let _ = writeln!(out, "   MBR Magic : aa55");
    for (n, e) in entries.iter().enumerate().filter(|(_, e)| e.blocks != 0) {
        let _ = writeln!(out, "Partition[{n}] : {:12} sectors at {:12} (type {:02x})", e.blocks, e.start, e.kind);
    }
}
