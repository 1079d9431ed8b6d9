//! `--json`; the schema is described in docs/json.md.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Bitmap, Detail, External, Lockless, Member, Moment, named_states};
use crate::layout;
use crate::output::escape;

const SCHEMA: &str = "mdadm-rs/detail/1";

/// An array, or why there is nothing to say of it.
#[derive(Debug)]
pub enum Outcome {
    /// The array.
    Array(Box<Detail>),
    /// The path as typed, and what is wrong with it.
    Error(String, String),
}

/// The document: an array with one object per array. Ends in a newline.
#[must_use]
pub fn document(outcomes: &[Outcome], devices: bool) -> String {
    let objects: Vec<AnyObject> = outcomes.iter().map(|o| AnyObject::new(o, devices)).collect();
    // The objects hold no map with keys other than strings, so this cannot fail.
    serde_json::to_string_pretty(&objects).unwrap_or_default() + "\n"
}

#[derive(Serialize)]
#[serde(untagged)]
enum AnyObject<'a> {
    Array(Box<Object<'a>>),
    Error { schema: &'static str, device: &'a str, error: &'a str },
}

impl<'a> AnyObject<'a> {
    fn new(outcome: &'a Outcome, devices: bool) -> Self {
        match outcome {
            Outcome::Array(d) => AnyObject::Array(Box::new(Object::new(d, devices))),
            Outcome::Error(device, error) => AnyObject::Error { schema: SCHEMA, device, error },
        }
    }
}

#[derive(Serialize)]
struct Object<'a> {
    schema: &'static str,
    device: &'a str,
    kernel_name: &'a str,
    link_name: Option<&'a str>,
    link_name_because: Option<String>,
    running: bool,
    not_started_because: &'a [String],
    next_step: Option<&'a str>,
    metadata: Option<&'a str>,
    container: Option<&'a str>,
    container_arrays: Option<&'a [String]>,
    level: Option<&'static str>,
    array_state: Option<&'a str>,
    clean: bool,
    degraded: bool,
    failed: bool,
    array_size_bytes: Option<u64>,
    component_size_bytes: Option<u64>,
    layout: Option<String>,
    chunk_size_bytes: Option<u64>,
    sector_size_bytes: Option<u64>,
    next_sector_size_bytes: Option<u64>,
    raid_devices: Option<u32>,
    total_devices: u32,
    active_devices: u32,
    working_devices: u32,
    failed_devices: u32,
    spare_devices: u32,
    created_seconds: Option<u64>,
    updated_seconds: Option<u64>,
    consistency_policy: Option<&'a str>,
    name: Option<String>,
    local: bool,
    uuid: Option<String>,
    uuid_rfc: Option<String>,
    events: Option<u64>,
    sync: Option<SyncObject<'a>>,
    reshape: Option<ReshapeObject>,
    bitmap: Option<BitmapObject<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Vec<MemberObject<'a>>>,
}

#[derive(Serialize)]
struct SyncObject<'a> {
    action: &'static str,
    percent: Option<u32>,
    waits: Option<&'a str>,
}

#[derive(Serialize)]
struct ReshapeObject {
    delta_devices: i32,
    new_level: Option<&'static str>,
    new_layout: Option<String>,
    new_chunk_size_bytes: Option<u64>,
    done_bytes: Option<u64>,
    total_bytes: Option<u64>,
    backwards: Option<bool>,
    critical_section: Option<bool>,
    abandoned: bool,
}

#[derive(Serialize)]
struct BitmapObject<'a> {
    version: Option<u32>,
    #[serde(rename = "type")]
    kind: &'static str,
    file: Option<&'a str>,
    chunk_bytes: Option<u64>,
    chunks: Option<u64>,
    states: Option<Map<String, Value>>,
    states_on_disk: bool,
    resync_bytes: Option<u64>,
    daemon_sleep_seconds: Option<u64>,
}

#[derive(Serialize)]
struct MemberObject<'a> {
    number: Option<u32>,
    slot: Option<u32>,
    device: Option<&'a str>,
    kernel_name: Option<&'a str>,
    major: Option<u32>,
    minor: Option<u32>,
    state: String,
    copy_set: Option<char>,
    faulty: bool,
    in_sync: bool,
    write_mostly: bool,
    failfast: bool,
    journal: bool,
    replacement: bool,
    gone: bool,
    identity: &'a BTreeMap<String, String>,
    last_device: Option<&'a str>,
    last_seen_seconds: Option<u64>,
}

fn seconds(moment: Option<&Moment>) -> Option<u64> {
    moment.map(|m| m.seconds)
}

impl<'a> Object<'a> {
    fn new(d: &'a Detail, devices: bool) -> Self {
        let running = !d.inactive;
        let (container, container_arrays) = match &d.external {
            Some(External::Member { container, .. }) => (Some(container.as_str()), None),
            Some(External::Container { arrays }) => (None, Some(arrays.as_slice())),
            None => (None, None),
        };
        Object {
            schema: SCHEMA,
            device: &d.path,
            kernel_name: &d.devname,
            link_name: d.link.as_deref(),
            link_name_because: d.why_link(),
            running,
            not_started_because: &d.reasons,
            next_step: d.hint.as_deref(),
            metadata: Some(d.metadata.as_str()).filter(|m| !m.is_empty()),
            container,
            container_arrays,
            level: d.level.map(|l| l.name()),
            array_state: d.array_state.as_deref(),
            clean: d.clean,
            degraded: d.degraded,
            failed: d.failed || d.broken,
            array_size_bytes: d.array_kib.filter(|_| running).and_then(|k| k.checked_mul(1024)),
            component_size_bytes: d.component_kib.and_then(|k| k.checked_mul(1024)),
            layout: d.level.and_then(|l| layout::name(l, d.layout)),
            chunk_size_bytes: Some(d.chunk_bytes).filter(|_| d.level.is_some_and(|l| l.is_striped())),
            sector_size_bytes: d.sector_bytes,
            next_sector_size_bytes: d.next_sector_bytes,
            raid_devices: Some(d.raid_disks).filter(|n| *n > 0),
            total_devices: d.counts.total,
            active_devices: d.counts.active,
            working_devices: d.counts.working,
            failed_devices: d.counts.failed,
            spare_devices: d.counts.spare,
            created_seconds: seconds(d.created.as_ref()),
            updated_seconds: seconds(d.updated.as_ref()),
            consistency_policy: d.consistency_policy.as_deref(),
            name: d.name.as_ref().map(|n| escape::text(n)),
            local: d.local_to.is_some(),
            uuid: d.uuid.map(|u| u.to_string()),
            uuid_rfc: d.uuid.map(|u| u.hyphenated()),
            events: d.events.as_ref().and_then(|e| e.parse().ok()),
            sync: d.sync.as_ref().map(|s| SyncObject {
                action: s.action.doing(),
                percent: s.percent,
                waits: s.waits.as_deref(),
            }),
            reshape: d.reshape.active.then(|| reshape(d)),
            bitmap: d.bitmap.as_ref().map(bitmap),
            members: devices.then(|| d.members.iter().map(member).collect()),
        }
    }
}

fn reshape(d: &Detail) -> ReshapeObject {
    let r = &d.reshape;
    let level = r.new_level.or(d.level);
    ReshapeObject {
        delta_devices: r.delta_disks,
        new_level: r.new_level.map(|l| l.name()),
        new_layout: r.new_layout.and_then(|n| layout::name(level?, n)),
        new_chunk_size_bytes: r.new_chunk_bytes,
        done_bytes: r.progress.map(|p| p.done_bytes),
        total_bytes: r.progress.map(|p| p.all_bytes),
        backwards: r.progress.map(|p| p.backwards),
        critical_section: r.progress.map(|p| p.critical),
        abandoned: r.abandoned,
    }
}

fn bitmap(bitmap: &Bitmap) -> BitmapObject<'_> {
    let (kind, version, file, lockless) = match bitmap {
        Bitmap::Internal => ("internal", Some(4), None, None),
        Bitmap::Clustered => ("clustered", Some(5), None, None),
        Bitmap::File(path) => ("file", None, Some(path.as_str()), None),
        Bitmap::Lockless(l) => ("lockless", Some(6), None, Some(*l)),
    };
    let l = lockless.unwrap_or(Lockless::default());
    BitmapObject {
        version,
        kind,
        file,
        chunk_bytes: l.chunk_bytes,
        chunks: l.chunks,
        states: l.states.map(|s| {
            let invalid = [("invalid", s.invalid)].into_iter();
            named_states(&s).chain(invalid).map(|(k, n)| (k.replace(' ', "_"), n.into())).collect()
        }),
        states_on_disk: l.on_disk,
        resync_bytes: l.resync_bytes(),
        daemon_sleep_seconds: l.daemon_sleep_seconds,
    }
}

fn member(m: &Member) -> MemberObject<'_> {
    let state = if m.unstarted { "not started".to_owned() } else { m.words().trim_start().to_owned() };
    MemberObject {
        number: m.number,
        slot: m.slot,
        device: m.path.as_deref(),
        kernel_name: m.kname.as_deref(),
        major: (!m.removed).then_some(m.dev.0),
        minor: (!m.removed).then_some(m.dev.1),
        state,
        copy_set: m.set,
        faulty: m.faulty,
        in_sync: m.in_sync,
        write_mostly: m.write_mostly,
        failfast: m.failfast,
        journal: m.journal,
        replacement: m.replacement,
        gone: m.gone,
        identity: &m.identity,
        last_device: m.last.as_ref().map(|l| l.path.as_str()),
        last_seen_seconds: m.last.as_ref().map(|l| l.seconds),
    }
}
