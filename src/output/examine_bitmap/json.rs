//! `--examine-bitmap --json`: schema `mdadm-rs/examine-bitmap/1`, described in docs/json.md.

use serde_json::{Value, json};

use super::{BitmapView, Body, Chunks, LocklessView};
use crate::bitmap::bits::NodeBitmap;
use crate::bitmap::header::Kind;
use crate::bitmap::lockless::{ChunkState, StateCounts};
use crate::bitmap::ranges::Run;
use crate::output::escape;
use crate::superblock::v1::Role;

const SCHEMA: &str = "mdadm-rs/examine-bitmap/1";

/// The object of a device whose bitmap could not be read.
#[must_use]
pub fn failed(device: &str, error: &str) -> Value {
    json!({ "schema": SCHEMA, "device": device, "error": error })
}

/// The object of one bitmap; `error` where not all of it could be read.
#[must_use]
pub fn object(view: &BitmapView, error: Option<&str>) -> Value {
    let sb = &view.sb;
    let clustered = sb.nodes() > 0 && sb.version() != Kind::Lockless.version();
    let mut out = json!({
        "schema": SCHEMA,
        "device": view.device,
        "error": error,
        "bitmap_start_bytes": view.start,
        "version": sb.version(),
        "type": kind(view),
        "uuid": sb.uuid().to_string(),
        "events": sb.events(),
        "events_cleared": sb.events_cleared(),
        "state": sb.state(),
        "state_flags": sb.state_words(),
        "chunk_bytes": chunk_bytes(view),
        "chunks": chunks(view),
        "daemon_sleep_seconds": sb.daemon_sleep(),
        "write_behind": sb.write_behind(),
        "sync_size_bytes": sb.sync_size().checked_mul(512),
        "reserved_bytes": Some(u64::from(sb.sectors_reserved()) * 512).filter(|n| *n > 0),
        "nodes": clustered.then(|| sb.nodes()),
        "cluster_name": clustered.then(|| escape::text(&sb.cluster_name())),
        "member": member(view),
        "faults": view.odd,
    });
    let body = match &view.body {
        Some(Body::Bits(nodes)) => bits(nodes, clustered),
        Some(Body::Lockless(body)) => lockless(view, body),
        None => json!({}),
    };
    if let (Value::Object(out), Value::Object(body)) = (&mut out, body) {
        out.extend(body);
    }
    out
}

fn kind(view: &BitmapView) -> Option<&'static str> {
    match Kind::from_version(view.sb.version())? {
        Kind::Lockless => Some("lockless"),
        Kind::Clustered => Some("clustered"),
        _ if view.member.is_none() && view.start == 0 => Some("file"),
        _ => Some("internal"),
    }
}

fn chunk_bytes(view: &BitmapView) -> Option<u64> {
    match &view.body {
        Some(Body::Lockless(body)) => Some(body.cover.chunk_bytes),
        _ => Kind::from_version(view.sb.version()).map(|_| view.sb.chunk_bytes()),
    }
}

fn chunks(view: &BitmapView) -> Option<u64> {
    match &view.body {
        Some(Body::Lockless(body)) => Some(body.chunks.choice().chunks),
        _ => Kind::from_version(view.sb.version()).and_then(|_| view.sb.chunks().ok()),
    }
}

fn member(view: &BitmapView) -> Value {
    let Some(m) = &view.member else { return Value::Null };
    let role = match m.role {
        Role::Slot(_) => "active",
        Role::Spare => "spare",
        Role::Faulty => "faulty",
        Role::Journal => "journal",
    };
    json!({
        "events": m.events,
        "level": m.level.map(|l| l.name()),
        "role": role,
        "slot": match m.role { Role::Slot(n) => Some(n), _ => None },
        "recovering": m.recovering,
        "reshaping": m.reshaping,
    })
}

fn bits(nodes: &[NodeBitmap], clustered: bool) -> Value {
    let dirty_bytes = |n: &NodeBitmap| n.dirty.checked_mul(n.sb.chunk_bytes());
    if !clustered {
        let only = nodes.first();
        return json!({ "dirty_chunks": only.map(|n| n.dirty), "dirty_bytes": only.and_then(dirty_bytes) });
    }
    let list = nodes.iter().enumerate().map(|(slot, n)| {
        json!({
            "slot": slot, "events": n.sb.events(), "events_cleared": n.sb.events_cleared(), "state": n.sb.state(),
            "state_flags": n.sb.state_words(), "chunks": n.chunks, "dirty_chunks": n.dirty, "dirty_bytes": dirty_bytes(n),
        })
    });
    json!({ "node_bitmaps": list.collect::<Vec<_>>() })
}

fn states(counts: &StateCounts) -> Value {
    let mut out = serde_json::Map::new();
    for state in ChunkState::ALL {
        out.insert(state.name().replace(' ', "_"), counts.get(state).into());
    }
    out.insert("invalid".into(), counts.invalid.into());
    Value::Object(out)
}

fn lockless(view: &BitmapView, body: &LocklessView) -> Value {
    let stale = view.is_stale();
    // What a spare's copy says decides nothing.
    let resync = body.resync(stale == Some(true)).filter(|_| view.is_in_use() || body.running.is_some());
    json!({
        "chunks_from": match body.chunks {
            Chunks::Stored(_) => "superblock",
            Chunks::Kernel(_) => "kernel",
            Chunks::Predicted(_) => "prediction",
        },
        "in_use": view.is_in_use(),
        "states": body.counts().map(states),
        "states_from": match (&body.running, &body.disk) {
            (Some(r), _) if r.counts.is_some() => Some("kernel"),
            (_, Some(_)) => Some("member"),
            _ => None,
        },
        "member_states": body.disk.as_ref().map(states),
        "array": body.running.as_ref().map(|r| r.array.clone()),
        "equal_to_kernel": body.agrees(),
        "stale": stale,
        "resync_chunks": resync.map(|r| r.0),
        "resync_bytes": resync.map(|r| r.1),
        "array_resync_bytes": resync.and_then(|r| body.cover.stripes.map_or(Some(r.1), |s| r.1.checked_mul(s.data_members))),
        "crash_resync_chunks": body.crash_resync().map(|r| r.0),
        "crash_resync_bytes": body.crash_resync().map(|r| r.1),
        "resync_limit_kib_per_second": body.resync_limit,
        "resync_seconds": resync.zip(body.resync_limit.filter(|k| *k > 0)).map(|(r, kib)| (r.1 / 1024).div_ceil(kib)),
        "differs_from": body.differs.iter().map(|(other, d)| {
            json!({ "device": other, "chunks": d.chunks, "first_chunk": d.first })
        }).collect::<Vec<_>>(),
        "ranges": body.runs.as_ref().map(|r| r.kept.iter().map(|run| range(body, *run)).collect::<Vec<_>>()),
        "ranges_not_listed": body.runs.as_ref().map(|r| r.more),
    })
}

fn range(body: &LocklessView, run: Run) -> Value {
    let (start, end) = body.cover.bytes(run);
    let array = body.cover.array((start, end));
    json!({
        "state": ChunkState::from_byte(run.state).map_or("invalid".into(), |s| s.name().replace(' ', "_")),
        "first_chunk": run.first, "last_chunk": run.last,
        "start_bytes": start, "end_bytes": end,
        "array_start_bytes": array.0, "array_end_bytes": array.1,
    })
}
