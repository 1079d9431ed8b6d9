//! `--query`: whether a device is an array, and whether it is a member of one.

use std::fmt::Write;

use serde_json::{Value, json};

use super::human;
use crate::level::Level;
use crate::uuid::Uuid;

/// One device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The path as typed.
    pub device: String,
    /// Whether it is an array.
    pub array: ArrayState,
    /// What its metadata says, where it has some.
    pub member: Option<MemberState>,
}

/// Whether a device is an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArrayState {
    /// It is none.
    No,
    /// It is an md device that holds nothing.
    Inactive,
    /// It is one.
    Active {
        /// Size.
        bytes: u64,
        /// Number of the level.
        level: i32,
        /// Slots.
        raid_disks: i32,
        /// Spares.
        spares: i32,
    },
}

/// Whether the array that a member belongs to runs with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// It runs, and this device is in it.
    Active,
    /// It does not run.
    Inactive,
    /// It runs, and another device has this one's number.
    Mismatch,
    /// It runs, but does not tell of a device with this number.
    Undetected,
}

impl Activity {
    /// The word that is printed.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Activity::Active => "active",
            Activity::Inactive => "inactive",
            Activity::Mismatch => "mismatch",
            Activity::Undetected => "undetected",
        }
    }
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberState {
    /// Number of the device in its array; `None` where the metadata has no number of md's kind.
    pub number: Option<u32>,
    /// Slots; `None` likewise.
    pub raid_disks: Option<u32>,
    /// Name of the level.
    pub level: String,
    /// Whether the array runs with it.
    pub activity: Activity,
    /// The array's path, where it runs.
    pub array: Option<String>,
    /// The array's uuid.
    pub uuid: Option<Uuid>,
    /// Metadata: `1.2`, `ddf`, ...
    pub metadata: String,
}

fn level_name(raw: i32) -> &'static str {
    Level::from_raw(raw).map_or("-unknown-", Level::name)
}

impl Query {
    /// The text, as the reference prints it.
    #[must_use]
    pub fn text(&self) -> String {
        let device = &self.device;
        let mut out = match &self.array {
            ArrayState::No => format!("{device}: is not an md array\n"),
            ArrayState::Inactive => format!("{device}: is an md device which is not active\n"),
            ArrayState::Active { bytes, level, raid_disks, spares } => format!(
                "{device}: {} {} {raid_disks} devices, {spares} spare{}. Use mdadm --detail for more detail.\n",
                human::size_brief(*bytes, human::Prefix::Iec),
                level_name(*level),
                if *spares == 1 { "" } else { "s" },
            ),
        };
        if let Some(m) = &self.member {
            let array = m.array.as_deref().unwrap_or("array");
            let (activity, level) = (m.activity.word(), &m.level);
            let _ = match (m.number, m.raid_disks) {
                (Some(n), Some(disks)) => writeln!(
                    out,
                    "{device}: device {} in {disks} device {activity} {level} {array}.  Use mdadm --examine for more detail.",
                    n as i32
                ),
                _ => writeln!(
                    out,
                    "{device}: device in {activity} {} {level} {array}.  Use mdadm --examine for more detail.",
                    m.metadata
                ),
            };
        }
        out
    }

    /// The object of `--json`: schema `mdadm-rs/query/1`, described in docs/json.md.
    #[must_use]
    pub fn json(&self) -> Value {
        let array = match &self.array {
            ArrayState::No => Value::Null,
            ArrayState::Inactive => json!({ "active": false }),
            ArrayState::Active { bytes, level, raid_disks, spares } => json!({
                "active": true, "size_bytes": bytes, "level": level_name(*level), "raid_devices": raid_disks,
                "spare_devices": spares,
            }),
        };
        let member = self.member.as_ref().map(|m| {
            json!({
                "metadata": m.metadata, "uuid": m.uuid.map(|u| u.to_string()), "level": m.level,
                "raid_devices": m.raid_disks, "device_number": m.number, "activity": m.activity.word(),
                "array": m.array,
            })
        });
        json!({ "schema": SCHEMA, "device": self.device, "error": null, "array": array, "member": member })
    }
}

const SCHEMA: &str = "mdadm-rs/query/1";

/// The object of a device that could not be opened.
#[must_use]
pub fn failed(device: &str, error: &str) -> Value {
    json!({ "schema": SCHEMA, "device": device, "error": error, "array": null, "member": null })
}
