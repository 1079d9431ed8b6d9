//! The lines of `--examine-bitmap` that only a lockless bitmap has. The reference cannot read version 6.

use super::text::{line, percent};
use super::{BitmapView, Body, Chunks, LocklessView};
use crate::bitmap::lockless::{ChunkState, StateCounts};
use crate::bitmap::ranges::Run;
use crate::superblock::v1::Role;

/// The value of the line `Chunksize`.
pub(super) fn chunk(view: &BitmapView) -> String {
    let Some(Body::Lockless(body)) = &view.body else {
        return kib(view.sb.chunk_bytes());
    };
    let size = kib(body.cover.chunk_bytes);
    let of = match body.cover.stripes {
        Some(s) => {
            let wide = kib(body.cover.chunk_bytes.saturating_mul(s.data_members));
            format!("{size} of each member, {wide} of the array")
        }
        None => size,
    };
    match body.chunks {
        Chunks::Predicted(_) => format!("{of}, as the kernel will choose it at the first start"),
        Chunks::Stored(_) | Chunks::Kernel(_) => of,
    }
}

fn kib(bytes: u64) -> String {
    if bytes.is_multiple_of(1024) { format!("{} KiB", bytes / 1024) } else { format!("{bytes} bytes") }
}

/// Everything behind the line `Sync Size`.
pub(super) fn text(out: &mut String, view: &BitmapView) {
    line(out, "Bitmap Type", "lockless");
    line(
        out,
        "Room",
        match view.sb.sectors_reserved() {
            0 => "not recorded".to_string(),
            n => format!("{} ({n} sectors)", kib(u64::from(n) * 512)),
        },
    );
    if let Some(note) = not_in_use(view) {
        line(out, "In Use", note);
    }
    view.odd.iter().for_each(|why| line(out, "Fault", why));
    let Some(Body::Lockless(body)) = &view.body else { return };
    line(out, "Chunks", body.chunks.choice().chunks);
    if let Some(running) = &body.running {
        let source = match &running.counts {
            Some(_) => "the states are the kernel's".to_string(),
            None => format!("the kernel says \"{}\" of the states", running.says),
        };
        line(out, "Array", format_args!("/dev/{} is running: {source}", running.array));
    }
    if let Some(counts) = body.counts() {
        states(out, counts, body.cover.stripes.is_some());
    }
    match body.agrees() {
        Some(true) => line(out, "On This Member", "the same"),
        Some(false) => line(out, "On This Member", differs(body)),
        None => {}
    }
    resync(out, view, body);
    if let Some(runs) = &body.runs {
        runs.kept.iter().for_each(|run| range(out, body, *run));
        if runs.more > 0 {
            line(out, "Ranges", format_args!("{} more are not listed", runs.more));
        }
    }
}

fn not_in_use(view: &BitmapView) -> Option<&'static str> {
    match view.member?.role {
        Role::Slot(_) => None,
        Role::Spare => Some("no, this member is a spare; the kernel leaves its copy as it was made"),
        Role::Faulty => Some("no, this member is faulty"),
        Role::Journal => Some("no, this member is a journal"),
    }
}

fn states(out: &mut String, counts: &StateCounts, parity: bool) {
    for state in ChunkState::ALL {
        let rare = state as u8 > ChunkState::Syncing as u8;
        let n = counts.get(state);
        if n > 0 || !rare || parity {
            line(out, title(state), format_args!("{n} ({})", percent(n, counts.total())));
        }
    }
    if counts.invalid > 0 {
        line(out, "Invalid", format_args!("{} ({})", counts.invalid, percent(counts.invalid, counts.total())));
    }
}

fn title(state: ChunkState) -> &'static str {
    match state {
        ChunkState::Unwritten => "Unwritten",
        ChunkState::Clean => "Clean",
        ChunkState::Dirty => "Dirty",
        ChunkState::NeedSync => "Need Sync",
        ChunkState::Syncing => "Syncing",
        ChunkState::NeedSyncUnwritten => "Need Sync Unwr.",
        ChunkState::SyncingUnwritten => "Syncing Unwr.",
        ChunkState::CleanUnwritten => "Clean Unwr.",
    }
}

/// The states on the member where they are not the kernel's.
fn differs(body: &LocklessView) -> String {
    let (Some(disk), Some(kernel)) = (&body.disk, body.counts()) else { return String::new() };
    let other = ChunkState::ALL.into_iter().filter(|s| disk.get(*s) != kernel.get(*s));
    let mut words: Vec<String> = other.map(|s| format!("{} {}", s.name(), disk.get(s))).collect();
    if disk.invalid != kernel.invalid {
        words.push(format!("invalid {}", disk.invalid));
    }
    words.join(", ")
}

fn resync(out: &mut String, view: &BitmapView, body: &LocklessView) {
    let stale = view.is_stale() == Some(true);
    if stale && let Some(member) = view.member {
        let (bitmap, newest) = (view.sb.events(), member.newest_events.max(member.events));
        let what = match bitmap < newest {
            true => format!("events {bitmap}, the array's {newest}: all written chunks need a resync"),
            false => "it says so itself: all written chunks need a resync".to_owned(),
        };
        line(out, "Out Of Date", what);
    }
    if !view.is_in_use() && body.running.is_none() {
        return;
    }
    match body.resync(stale) {
        Some((0, _)) if matches!(body.chunks, Chunks::Predicted(_)) => {
            line(out, "Resync", "nothing, no chunk has a state yet")
        }
        Some((0, _)) => line(out, "Resync", "nothing, if the array started now"),
        Some((chunks, bytes)) => {
            let size = match body.cover.stripes {
                Some(s) => {
                    let wide = kib(bytes.saturating_mul(s.data_members));
                    format!("{} of each member, {wide} of the array", kib(bytes))
                }
                None => kib(bytes),
            };
            line(out, "Resync", format_args!("{chunks} chunks, {size}, if the array started now"));
            if let Some(kib) = body.resync_limit.filter(|k| *k > 0) {
                let seconds = (bytes / 1024).div_ceil(kib);
                line(out, "Resync Time", format_args!("{} or more, at most {kib} KiB/s being allowed", time(seconds)));
            }
        }
        None => {}
    }
    after_crash(out, body);
}

/// What is on the members lags behind what the kernel knows: a crash makes that count.
fn after_crash(out: &mut String, body: &LocklessView) {
    if let Some((chunks, bytes)) = body.crash_resync() {
        let wide = bytes.saturating_mul(body.cover.stripes.map_or(1, |s| s.data_members));
        let of = if body.cover.stripes.is_some() {
            format!(" of each member, {} of the array", kib(wide))
        } else {
            String::new()
        };
        line(
            out,
            "After A Crash",
            format_args!("{chunks} chunks, {}{of} would be resynced: the states on disk lag behind", kib(bytes)),
        );
    }
}

/// `0:05`, `1:02:03`
fn time(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

fn range(out: &mut String, body: &LocklessView, run: Run) {
    let name = ChunkState::from_byte(run.state).map_or("invalid", ChunkState::name);
    let bytes = body.cover.bytes(run);
    let place = |(start, end): (u64, u64)| format!("{} to {}", kib(start), kib(end));
    let text = match body.cover.stripes {
        Some(_) => format!("{name}, member {}, array {}", place(bytes), place(body.cover.array(bytes))),
        None => format!("{name}, {}", place(bytes)),
    };
    line(out, &format!("{}-{}", run.first, run.last), text);
}
