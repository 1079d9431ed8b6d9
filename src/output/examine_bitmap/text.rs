//! The text of `--examine-bitmap`. For versions 3 to 5 it is the reference's, byte for byte.

use std::fmt::Write;

use super::{BitmapView, Body, lockless};
use crate::bitmap::bits::NodeBitmap;
use crate::bitmap::header::{BitmapSuper, Kind, state};
use crate::output::{escape, human};

/// Writes a line with its key right-aligned. Writing to a String does not fail.
pub(super) fn line(out: &mut String, key: &str, value: impl std::fmt::Display) {
    let _ = writeln!(out, "{key:>16} : {value}");
}

/// The lines that stand before anything else is known.
#[must_use]
pub fn header(device: &str, sb: &BitmapSuper) -> String {
    let mut out = String::new();
    line(&mut out, "Filename", device);
    line(&mut out, "Magic", format_args!("{:08x}", sb.magic()));
    line(&mut out, "Version", sb.version());
    out
}

/// All that is known.
#[must_use]
pub fn text(view: &BitmapView) -> String {
    let sb = &view.sb;
    let mut out = header(&view.device, sb);
    line(&mut out, "UUID", sb.uuid());
    // Any version but ours: the reference goes by the number of nodes alone.
    let clustered = sb.nodes() > 0 && sb.version() != Kind::Lockless.version();
    if !clustered {
        progress(&mut out, sb);
    }
    line(&mut out, "Chunksize", chunk(sb, view));
    line(&mut out, "Daemon", format_args!("{}s flush period", i32::from_le_bytes(sb.daemon_sleep().to_le_bytes())));
    match sb.write_behind() {
        0 => line(&mut out, "Write Mode", "Normal"),
        n => line(&mut out, "Write Mode", format_args!("Allow write behind, max {n}")),
    }
    let bytes = sb.sync_size().saturating_mul(512);
    line(&mut out, "Sync Size", format_args!("{}{}", sb.sync_size() / 2, human::size(bytes)));
    if clustered {
        line(&mut out, "Cluster nodes", sb.nodes());
        line(&mut out, "Cluster name", format_args!("{:<64}", escape::text(&sb.cluster_name())));
    }
    if sb.version() == Kind::Lockless.version() {
        lockless::text(&mut out, view);
        return out;
    }
    match &view.body {
        Some(Body::Bits(nodes)) if clustered => {
            for (slot, node) in nodes.iter().enumerate() {
                line(&mut out, "Node Slot", slot);
                progress(&mut out, &node.sb);
                bits(&mut out, view, node);
            }
        }
        Some(Body::Bits(nodes)) => nodes.iter().for_each(|n| bits(&mut out, view, n)),
        _ => {}
    }
    out
}

fn progress(out: &mut String, sb: &BitmapSuper) {
    line(out, "Events", sb.events());
    line(out, "Events Cleared", sb.events_cleared());
    let words = if sb.version() == Kind::Lockless.version() {
        match sb.state_words() {
            words if words.is_empty() => "OK".to_string(),
            words => words.join(", "),
        }
    } else {
        match sb.state() {
            0 => "OK",
            state::STALE => "Out of date",
            _ => "Unknown",
        }
        .to_string()
    };
    line(out, "State", words);
}

fn chunk(sb: &BitmapSuper, view: &BitmapView) -> String {
    if sb.version() == Kind::Lockless.version() {
        return lockless::chunk(view);
    }
    let (mut size, mut units) = (sb.chunk_bytes(), ["B", "KB", "MB", "GB"].into_iter());
    let mut unit = units.next().unwrap_or_default();
    while size >= 1024
        && let Some(next) = units.next()
    {
        size /= 1024;
        unit = next;
    }
    format!("{size} {unit}")
}

fn bits(out: &mut String, view: &BitmapView, node: &NodeBitmap) {
    if !view.counted {
        return;
    }
    let share = percent(node.dirty, node.chunks);
    line(out, "Bitmap", format_args!("{} bits (chunks), {} dirty ({share})", node.chunks, node.dirty));
}

/// A share as the reference prints it: one digit behind the point; 0 of nothing is 0.
pub(super) fn percent(part: u64, whole: u64) -> String {
    // f64 as in the reference: counts stay far below 2^53.
    let share = if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 };
    format!("{share:.1}%")
}
