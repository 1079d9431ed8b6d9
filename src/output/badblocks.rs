//! `--examine-badblocks`: the bad-block log of a member.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::superblock::v1::BadBlocks;

/// The text, as the reference prints it.
#[must_use]
pub fn text(device: &str, blocks: &BadBlocks) -> String {
    let list = match blocks {
        BadBlocks::NotConfigured => return format!("No bad-blocks list configured on {device}\n"),
        BadBlocks::Empty => return format!("Bad-blocks list is empty in {device}\n"),
        BadBlocks::List(list) => list,
    };
    let mut out = format!("Bad-blocks on {device}:\n");
    for bad in list {
        let _ = writeln!(out, "{:20} for {} sectors", bad.sector, bad.sectors);
    }
    out
}

/// The object of `--json`: schema `mdadm-rs/examine-badblocks/1`, described in docs/json.md.
#[must_use]
pub fn object(device: &str, blocks: Result<&BadBlocks, &str>) -> Value {
    let list = match blocks {
        Ok(BadBlocks::List(list)) => Some(list.as_slice()),
        Ok(BadBlocks::Empty) => Some(&[][..]),
        Ok(BadBlocks::NotConfigured) | Err(_) => None,
    };
    let range = |b: &crate::superblock::v1::BadRange| json!({ "start_sectors": b.sector, "length_sectors": b.sectors });
    json!({
        "schema": "mdadm-rs/examine-badblocks/1",
        "device": device,
        "error": blocks.err(),
        "has_log": blocks.ok().map(|b| *b != BadBlocks::NotConfigured),
        "bad_blocks": list.map(|l| l.iter().map(range).collect::<Vec<_>>()),
    })
}
