//! `--examine --json`: schema `mdadm-rs/examine/1`, described in docs/json.md.

use serde_json::{Map, Value, json};

use super::facts::array_bytes;
use super::text::is_local;
use super::{Examined, Member, MemberBitmap, OldMember, What};
use crate::bitmap::header::Kind;
use crate::bitmap::lockless::{ChunkState, StateCounts};
use crate::bitmap::summary::Counts;
use crate::layout;
use crate::level::Level;
use crate::output::escape;
use crate::superblock::foreign::{Found, Table};
use crate::superblock::v0::Order;
use crate::superblock::v1::{Role, SuperV1, devflag, feature};

const SCHEMA: &str = "mdadm-rs/examine/1";

/// The object of a device on which nothing was found, or that could not be read.
#[must_use]
pub fn failed(device: &str, error: &str) -> Value {
    json!({ "schema": SCHEMA, "device": device, "error": error, "kind": null })
}

/// Sectors as bytes; null past 2^64.
fn bytes(sectors: u64) -> Option<u64> {
    sectors.checked_mul(512)
}

/// Signed sectors as bytes.
fn signed(sectors: i64) -> Option<i64> {
    sectors.checked_mul(512)
}

impl Examined {
    /// The object.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut out = Map::new();
        out.insert("schema".into(), SCHEMA.into());
        out.insert("device".into(), self.device.as_str().into());
        out.insert("error".into(), Value::Null);
        let body = match &self.what {
            What::Member(m) => m.json(),
            What::Old(m) => old(m),
            What::Foreign(found) => foreign(found),
        };
        if let Value::Object(body) = body {
            out.extend(body);
        }
        Value::Object(out)
    }
}

fn old(m: &OldMember) -> Value {
    let sb = &m.sb;
    let expected = sb.computed_csum();
    let level = Level::from_raw(sb.level_raw());
    let striped = level.is_some_and(Level::is_striped);
    json!({
        "kind": "v0.90",
        "metadata": "0.90",
        "checksum": { "stored": sb.sb_csum(), "expected": expected, "correct": sb.sb_csum() == expected },
        "array": {
            "uuid": sb.uuid().to_string(),
            "is_local": m.local_to.is_some(),
            "creation_time_seconds": sb.ctime(),
            "level": level.map(Level::name),
            "layout": level.and_then(|l| layout::name(l, sb.layout())),
            "raid_devices": sb.raid_disks(),
            "preferred_minor": sb.md_minor(),
            "chunk_bytes": striped.then(|| sb.chunk_bytes()),
            "component_size_bytes": u64::from(sb.size_kib()) * 1024,
        },
        "big_endian": sb.order() == Order::Big,
        "reshaping": sb.minor_version() > 90,
        "device_number": sb.this_disk().number,
        "slot": (!m.is_spare()).then(|| sb.this_disk().raid_disk),
        "events": sb.events(),
        "update_time_seconds": sb.utime(),
    })
}

fn foreign(found: &Found) -> Value {
    match found {
        Found::V090(_) => json!({ "kind": "v0.90", "metadata": "0.90" }),
        Found::Ddf(d) => json!({
            "kind": "ddf", "metadata": "ddf", "guid": d.guid_text(), "revision": d.revision,
            "super_offset_bytes": d.offset,
        }),
        Found::Imsm(i) => json!({
            "kind": "imsm", "metadata": "imsm", "version": i.version, "family": i.family,
            "original_family": i.orig_family, "generation": i.generation, "disks": i.disks, "volumes": i.volumes,
            "super_offset_bytes": i.offset,
        }),
        Found::Table(Table::Mbr(entries)) => json!({
            "kind": "partition_table", "table": "mbr",
            "partitions": entries.iter().enumerate().filter(|(_, e)| e.blocks != 0).map(|(n, e)| json!({
                "number": n, "type": e.kind, "start_blocks": e.start, "size_blocks": e.blocks,
            })).collect::<Vec<_>>(),
        }),
        Found::Table(Table::Gpt { revision, entries }) => json!({
            "kind": "partition_table", "table": "gpt", "revision": revision,
            "partitions": entries.iter().map(|e| json!({
                "number": e.number, "start_blocks": e.first,
                "size_blocks": e.last.checked_sub(e.first).and_then(|n| n.checked_add(1)),
            })).collect::<Vec<_>>(),
        }),
        Found::FileSystem(f) => json!({ "kind": "file_system", "name": f.name() }),
    }
}

/// Names of the bits of `feature_map`.
const FEATURES: [(u32, &str); 13] = [
    (feature::BITMAP_OFFSET, "bitmap"),
    (feature::RECOVERY_OFFSET, "recovery_offset"),
    (feature::RESHAPE_ACTIVE, "reshape_active"),
    (feature::BAD_BLOCKS, "bad_blocks"),
    (feature::REPLACEMENT, "replacement"),
    (feature::RESHAPE_BACKWARDS, "reshape_backwards"),
    (feature::NEW_OFFSET, "new_offset"),
    (feature::RECOVERY_BITMAP, "recovery_bitmap"),
    (feature::CLUSTERED, "clustered"),
    (feature::JOURNAL, "journal"),
    (feature::PPL, "ppl"),
    (feature::MULTIPLE_PPLS, "multiple_ppls"),
    (feature::RAID0_LAYOUT, "raid0_layout"),
];

impl Member {
    fn json(&self) -> Value {
        let sb = &self.sb;
        let expected = sb.computed_csum();
        let space = self.space();
        let features: Vec<&str> = FEATURES.iter().filter(|f| sb.has(f.0)).map(|f| f.1).collect();
        json!({
            "kind": "member",
            "metadata": format!("1.{}", self.minor.number()),
            "device_size_bytes": bytes(self.device_sectors.0),
            "super_offset_bytes": bytes(sb.super_offset()),
            "feature_map": sb.feature_map(),
            "features": features,
            "checksum": { "stored": sb.sb_csum(), "expected": expected, "correct": sb.sb_csum() == expected },
            "array": self.array(),
            "device_uuid": sb.device_uuid().to_string(),
            "device_number": sb.dev_number(),
            "role": role(sb),
            "slot": match sb.role() { Role::Slot(n) => Some(n), _ => None },
            "write_mostly": sb.devflags() & devflag::WRITE_MOSTLY != 0,
            "failfast": sb.devflags() & devflag::FAILFAST != 0,
            "events": sb.events(),
            "update_time_seconds": sb.utime(),
            "data_offset_bytes": bytes(sb.data_offset()),
            "data_size_bytes": bytes(sb.data_size()),
            "unused_before_bytes": bytes(space.before),
            "unused_after_bytes": signed(space.after),
            "recovery_offset_bytes": sb.has(feature::RECOVERY_OFFSET).then(|| bytes(sb.recovery_offset())),
            "corrected_read_errors": sb.cnt_corrected_read(),
            "logical_block_size_bytes": Some(sb.logical_block_size()).filter(|n| *n != 0),
            "bitmap": self.bitmap.as_ref().map(|b| self.bitmap(b)),
            "bad_block_log": (sb.bblog_size() != 0 && sb.bblog_offset() != 0).then(|| json!({
                "entries": u32::from(sb.bblog_size()) * 64,
                "offset_bytes": signed(i64::from(sb.bblog_offset())),
                "has_bad_blocks": sb.has(feature::BAD_BLOCKS),
            })),
            "ppl": sb.has_ppl().then(|| json!({
                "size_bytes": bytes(u64::from(sb.ppl_size())), "offset_bytes": signed(i64::from(sb.ppl_offset())),
            })),
            "reshape": sb.has(feature::RESHAPE_ACTIVE).then(|| reshape(sb)),
            "oldest_kernel": self.oldest_kernel().map(|k| json!({ "version": k.version_text(), "reasons": k.reasons })),
        })
    }

    fn array(&self) -> Value {
        let sb = &self.sb;
        let name = sb.set_name();
        let level = Level::from_raw(sb.level_raw());
        let striped = level.is_some_and(Level::is_striped);
        let clean = sb.resync_offset() == u64::MAX;
        json!({
            "uuid": sb.set_uuid().to_string(),
            "name": escape::text(&name),
            "is_local": self.homehost.as_deref().map(|h| is_local(&name, h)),
            "creation_time_seconds": sb.ctime(),
            "level": level.map(Level::name),
            "layout": level.and_then(|l| layout::name(l, sb.layout())),
            "raid_devices": sb.raid_disks(),
            "chunk_bytes": striped.then(|| bytes(u64::from(sb.chunksize()))),
            "size_bytes": array_bytes(sb),
            "component_size_bytes": bytes(sb.size()),
            "state": if clean { "clean" } else { "active" },
            "resync_offset_bytes": if clean { None } else { bytes(sb.resync_offset()) },
            "slots": self.state_line(),
            "is_consistent": !self.is_inconsistent(),
        })
    }

    fn bitmap(&self, bitmap: &MemberBitmap) -> Value {
        let offset = signed(i64::from(self.sb.bitmap_offset()));
        let (summary, counts) = match bitmap {
            MemberBitmap::Known { summary, counts } => (summary, counts),
            MemberBitmap::Broken(e) => {
                return json!({ "error": e.to_string(), "offset_bytes": offset, "faults": self.odd });
            }
        };
        let states = match counts {
            Some(Counts::States(s)) => Some(s),
            _ => None,
        };
        let kind = match summary.kind {
            Kind::Lockless => "lockless",
            Kind::Clustered => "clustered",
            _ => "internal",
        };
        let stale = summary.sb.events() < self.sb.events();
        let chunk = summary.chunk_bytes.unwrap_or(0);
        json!({
            "error": null,
            "version": summary.sb.version(),
            "type": kind,
            "offset_bytes": offset,
            "first_use": summary.first_use,
            "faults": self.odd,
            "chunk_bytes": summary.chunk_bytes,
            "chunks": summary.chunks,
            "states": states.map(states_object),
            "resync_bytes": states.map(|s| s.resync_bytes(stale, summary.sb.sync_size(), chunk)),
        })
    }
}

fn states_object(states: &StateCounts) -> Value {
    let mut out: Map<String, Value> =
        ChunkState::ALL.into_iter().map(|s| (s.name().replace(' ', "_"), states.get(s).into())).collect();
    out.insert("invalid".into(), states.invalid.into());
    Value::Object(out)
}

fn role(sb: &SuperV1) -> &'static str {
    match sb.role() {
        Role::Slot(_) if sb.has(feature::REPLACEMENT) => "replacement",
        Role::Slot(_) => "active",
        Role::Spare => "spare",
        Role::Faulty => "faulty",
        Role::Journal => "journal",
    }
}

fn reshape(sb: &SuperV1) -> Value {
    let level = Level::from_raw(sb.new_level_raw());
    json!({
        "position_bytes": bytes(sb.reshape_position()),
        "backwards": sb.has(feature::RESHAPE_BACKWARDS),
        "delta_devices": sb.delta_disks(),
        "new_level": level.map(Level::name),
        "new_layout": level.and_then(|l| layout::name(l, sb.new_layout())),
        "new_chunk_bytes": bytes(u64::from(sb.new_chunk())),
        "new_data_offset_bytes": sb.has(feature::NEW_OFFSET)
            .then(|| bytes(sb.data_offset().wrapping_add_signed(i64::from(sb.new_offset())))),
    })
}
