//! A plan: the writes, ioctls and sysfs stores of a command, in order, as data.
//!
//! `cmd::apply` executes a plan; `--plan` prints it. Nothing else writes, so what is printed is what would be done.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::file_step::FileStep;
use crate::uuid::Uuid;

/// One member as ADD_NEW_DISK is told of it (`mdu_disk_info_t`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskSpec {
    /// Descriptor number.
    pub number: i32,
    /// Major number of the device.
    pub major: i32,
    /// Minor number of the device.
    pub minor: i32,
    /// Slot, or -1 for a spare.
    pub raid_disk: i32,
    /// Bits of `kernel::md::disk`.
    pub state: i32,
}

/// What the kernel is told of an array without metadata (`mdu_array_info_t` of SET_ARRAY_INFO).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// The level's number.
    pub level: i32,
    /// Layout number.
    pub layout: i32,
    /// Slots.
    pub raid_disks: i32,
    /// Array chunk in bytes.
    pub chunk_bytes: i32,
    /// Used KiB of each member; 0: what the least has.
    pub size_kib: i32,
    /// Nothing needs a resync.
    pub clean: bool,
}

/// How the kernel is told of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberBy {
    /// By its device number, in an ioctl.
    Dev((u32, u32)),
    /// By its kernel name, in sysfs.
    Name(String),
}

impl MemberBy {
    fn line(&self, devname: &str, device: &str, ioctl: &str, word: &str) -> String {
        match self {
            MemberBy::Dev((major, minor)) => format!("ioctl  {devname} {ioctl} {device} ({major}:{minor})"),
            MemberBy::Name(name) => format!("sysfs  {devname}/md/dev-{name}/state = {word}"),
        }
    }

    fn json(&self, devname: &str, device: &str, ioctl: &str, word: &str) -> Value {
        match self {
            MemberBy::Dev((major, minor)) => json!({
                "step": "ioctl", "ioctl": ioctl, "array": devname, "device": device, "major": major, "minor": minor,
            }),
            MemberBy::Name(name) => json!({
                "step": "sysfs", "array": devname, "attribute": format!("md/dev-{name}/state"), "value": word,
            }),
        }
    }
}

/// A stretch of a device that is zeroed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZeroArea {
    /// The device or image file.
    pub device: PathBuf,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
}

/// One thing that is done. `what` is a short reason for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Write these bytes at this byte offset.
    Write {
        /// The device or image file.
        device: PathBuf,
        /// Byte offset.
        offset: u64,
        /// What is written.
        bytes: Vec<u8>,
        /// Why.
        what: String,
    },
    /// Make a file.
    File(FileStep),
    /// Make the device's writes durable.
    Sync {
        /// The device or image file.
        device: PathBuf,
    },
    /// Zero these stretches, all devices at the same time, and make that durable. What was written before stays: over zeros it
    /// must not come back.
    Zero {
        /// One for each device.
        areas: Vec<ZeroArea>,
    },
    /// Make the array's node: `md_mod/parameters/new_array`, `/dev`, the map file.
    NewArray {
        /// Kernel name, `md0`.
        devname: String,
        /// As shown to the user, `/dev/md0` or `/dev/md/NAME`.
        path: PathBuf,
        /// Metadata word of the map file, `1.2`.
        metadata: String,
        /// The array's uuid, for the map file.
        uuid: Uuid,
    },
    /// Store `value` in the attribute `md/NAME` of the array.
    Sysfs {
        /// Kernel name of the array, `md0`.
        devname: String,
        /// Below `md/`, e.g. `bitmap_type`.
        attr: String,
        /// The value as written.
        value: String,
        /// Read the attribute back and fail where it does not hold (or, for lists, select) this word.
        verify: Option<String>,
    },
    /// SET_ARRAY_INFO with these metadata versions and nothing else: the kernel reads the rest from the members.
    SetArrayInfo {
        /// Kernel name of the array.
        devname: String,
        /// Major and minor metadata version.
        version: (i32, i32),
    },
    /// SET_ARRAY_INFO of an array without metadata.
    SetGeometry {
        /// Kernel name of the array.
        devname: String,
        /// What the members do not tell.
        geometry: Geometry,
    },
    /// SET_BITMAP_FILE: the array's bitmap is in this file.
    SetBitmapFile {
        /// Kernel name of the array.
        devname: String,
        /// The file.
        path: PathBuf,
        /// Where that fails the array starts without.
        optional: bool,
    },
    /// The array's bitmap is taken off: `none` to its location, or SET_ARRAY_INFO where it has none.
    BitmapOff {
        /// Kernel name of the array.
        devname: String,
    },
    /// ADD_NEW_DISK.
    AddDisk {
        /// Kernel name of the array.
        devname: String,
        /// The member.
        device: PathBuf,
        /// What the kernel is told of it.
        spec: DiskSpec,
    },
    /// RUN_ARRAY.
    RunArray {
        /// Kernel name of the array.
        devname: String,
    },
    /// What lies there was saved before the first write: shown, not executed.
    Save {
        /// The device or image file.
        device: PathBuf,
        /// Byte offset.
        offset: u64,
        /// How many bytes.
        length: u64,
        /// What lies there.
        what: String,
        /// The directory of the file.
        dir: PathBuf,
    },
    /// The kernel will do this by itself during the step before: shown, not executed.
    Kernel {
        /// What it does.
        what: String,
    },
    /// What a reshape comes to: shown, not executed.
    Reshape(Box<crate::plan::grow::reshape::summary::Summary>),
    /// SET_DISK_FAULTY, or `faulty` to the member's state.
    SetFaulty {
        /// Kernel name of the array.
        devname: String,
        /// The member as shown to the user.
        device: String,
        /// How the kernel is told which it is.
        by: MemberBy,
    },
    /// HOT_REMOVE_DISK, or `remove` to the member's state.
    HotRemove {
        /// Kernel name of the array.
        devname: String,
        /// The member as shown to the user.
        device: String,
        /// How the kernel is told which it is.
        by: MemberBy,
    },
    /// STOP_ARRAY.
    StopArray {
        /// Kernel name of the array.
        devname: String,
    },
    /// RESTART_ARRAY_RW.
    RestartReadWrite {
        /// Kernel name of the array.
        devname: String,
    },
    /// STOP_ARRAY_RO.
    SetReadOnly {
        /// Kernel name of the array.
        devname: String,
    },
    /// Store `value` in the attribute `md/NAME` of the running array, as the configuration asks. What fails is said, and no more.
    Setting {
        /// Kernel name of the array.
        devname: String,
        /// Below `md/`.
        attr: String,
        /// The value as written.
        value: String,
    },
    /// Tell udev that the array changed: `change` to the block device's `uevent`.
    Uevent {
        /// Kernel name of the array.
        devname: String,
    },
    /// Remove the array's nodes, links and map entry.
    Forget {
        /// Kernel name of the array.
        devname: String,
    },
}

/// Steps in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// What is done, first to last.
    pub steps: Vec<Step>,
}

impl Step {
    /// Whether it writes to a member.
    #[must_use]
    pub fn overwrites(&self) -> bool {
        matches!(self, Step::Write { .. } | Step::Zero { .. })
    }

    /// Whether the array runs after this step.
    #[must_use]
    pub fn starts_array(&self) -> bool {
        matches!(self, Step::RunArray { .. }) || matches!(self, Step::Sysfs { attr, .. } if attr == "array_state")
    }

    /// One line for a person.
    #[must_use]
    pub fn line(&self) -> String {
        match self {
            Step::Write { device, offset, bytes, what } => {
                format!("write  {} bytes {}..{}: {what}", device.display(), offset, offset + bytes.len() as u64)
            }
            Step::File(file) => file.line(),
            Step::Sync { device } => format!("sync   {}", device.display()),
            Step::Zero { areas } => {
                let one = |a: &ZeroArea| format!("{} bytes {}..{}", a.device.display(), a.offset, a.offset + a.len);
                format!("zero   {}", areas.iter().map(one).collect::<Vec<_>>().join(", "))
            }
            Step::NewArray { devname, path, .. } => format!("node   {devname} as {}", path.display()),
            Step::Sysfs { devname, attr, value, .. } => format!("sysfs  {devname}/md/{attr} = {value}"),
            Step::SetArrayInfo { devname, version } => {
                format!("ioctl  {devname} SET_ARRAY_INFO metadata {}.{}", version.0, version.1)
            }
            Step::SetGeometry { devname, geometry: g } => format!(
                "ioctl  {devname} SET_ARRAY_INFO no metadata, level {} layout {:#x} raid-disks {} chunk {} size {}K{}",
                g.level,
                g.layout,
                g.raid_disks,
                g.chunk_bytes,
                g.size_kib,
                if g.clean { " clean" } else { "" }
            ),
            Step::SetBitmapFile { devname, path, .. } => format!("ioctl  {devname} SET_BITMAP_FILE {}", path.display()),
            Step::BitmapOff { devname } => format!("bitmap {devname}: take it off"),
            Step::AddDisk { devname, device, spec } => format!(
                "ioctl  {devname} ADD_NEW_DISK {} ({}:{}) number {} slot {} state {:#x}",
                device.display(),
                spec.major,
                spec.minor,
                spec.number,
                spec.raid_disk,
                spec.state
            ),
            Step::RunArray { devname } => format!("ioctl  {devname} RUN_ARRAY"),
            Step::Save { device, offset, length, what, dir } => {
                let end = offset.saturating_add(*length);
                format!("save   {} bytes {offset}..{end} in {}: {what}", device.display(), dir.display())
            }
            Step::Kernel { what } => format!("kernel {what}"),
            Step::Reshape(summary) => summary.line(),
            Step::SetFaulty { devname, device, by } => by.line(devname, device, "SET_DISK_FAULTY", "faulty"),
            Step::HotRemove { devname, device, by } => by.line(devname, device, "HOT_REMOVE_DISK", "remove"),
            Step::StopArray { devname } => format!("ioctl  {devname} STOP_ARRAY"),
            Step::RestartReadWrite { devname } => format!("ioctl  {devname} RESTART_ARRAY_RW"),
            Step::SetReadOnly { devname } => format!("ioctl  {devname} STOP_ARRAY_RO"),
            Step::Setting { devname, attr, value } => format!("sysfs  {devname}/md/{attr} = {value}"),
            Step::Uevent { devname } => format!("sysfs  {devname}/uevent = change"),
            Step::Forget { devname } => format!("node   {devname}: remove its names"),
        }
    }

    /// The same as data.
    #[must_use]
    pub fn json(&self) -> Value {
        let ioctl = |name: &str, devname: &str| json!({"step": "ioctl", "ioctl": name, "array": devname});
        match self {
            Step::Write { device, offset, bytes, what } => json!({
                "step": "write", "device": device.to_string_lossy(), "offset_bytes": offset,
                "length_bytes": bytes.len(), "what": what,
            }),
            Step::File(file) => file.json(),
            Step::Sync { device } => json!({"step": "sync", "device": device.to_string_lossy()}),
            Step::Zero { areas } => json!({"step": "zero", "areas": areas.iter().map(|a| json!({
                "device": a.device.to_string_lossy(), "offset_bytes": a.offset, "length_bytes": a.len,
            })).collect::<Vec<_>>()}),
            Step::NewArray { devname, path, .. } => {
                json!({"step": "node", "array": devname, "path": path.to_string_lossy()})
            }
            Step::Sysfs { devname, attr, value, .. } => {
                json!({"step": "sysfs", "array": devname, "attribute": format!("md/{attr}"), "value": value})
            }
            Step::SetArrayInfo { devname, version } => json!({
                "step": "ioctl", "ioctl": "SET_ARRAY_INFO", "array": devname,
                "metadata": format!("{}.{}", version.0, version.1),
            }),
            Step::SetGeometry { devname, geometry: g } => json!({
                "step": "ioctl", "ioctl": "SET_ARRAY_INFO", "array": devname, "metadata": null, "level": g.level,
                "layout": g.layout, "raid_disks": g.raid_disks, "chunk_bytes": g.chunk_bytes, "size_kib": g.size_kib,
                "clean": g.clean,
            }),
            Step::SetBitmapFile { devname, path, .. } => json!({
                "step": "ioctl", "ioctl": "SET_BITMAP_FILE", "array": devname, "path": path.to_string_lossy(),
            }),
            Step::BitmapOff { devname } => json!({"step": "bitmap-off", "array": devname}),
            Step::AddDisk { devname, device, spec } => json!({
                "step": "ioctl", "ioctl": "ADD_NEW_DISK", "array": devname, "device": device.to_string_lossy(),
                "major": spec.major, "minor": spec.minor, "number": spec.number, "slot": spec.raid_disk,
                "state": spec.state,
            }),
            Step::RunArray { devname } => ioctl("RUN_ARRAY", devname),
            Step::Save { device, offset, length, what, dir } => json!({
                "step": "save", "device": device.to_string_lossy(), "offset_bytes": offset, "length_bytes": length,
                "what": what, "directory": dir.to_string_lossy(),
            }),
            Step::Kernel { what } => json!({"step": "kernel", "what": what}),
            Step::Reshape(summary) => summary.json(),
            Step::SetFaulty { devname, device, by } => by.json(devname, device, "SET_DISK_FAULTY", "faulty"),
            Step::HotRemove { devname, device, by } => by.json(devname, device, "HOT_REMOVE_DISK", "remove"),
            Step::StopArray { devname } => ioctl("STOP_ARRAY", devname),
            Step::RestartReadWrite { devname } => ioctl("RESTART_ARRAY_RW", devname),
            Step::SetReadOnly { devname } => ioctl("STOP_ARRAY_RO", devname),
            Step::Setting { devname, attr, value } => {
                json!({"step": "sysfs", "array": devname, "attribute": format!("md/{attr}"), "value": value})
            }
            Step::Uevent { devname } => {
                json!({"step": "sysfs", "array": devname, "attribute": "uevent", "value": "change"})
            }
            Step::Forget { devname } => json!({"step": "forget", "array": devname}),
        }
    }
}

impl Plan {
    /// The text of `--plan`: one line a step.
    #[must_use]
    pub fn text(&self) -> String {
        self.steps.iter().map(|s| s.line() + "\n").collect()
    }

    /// The document of `--plan --json`.
    #[must_use]
    pub fn json(&self) -> Value {
        json!([{"schema": "mdadm-rs/plan/1", "steps": self.steps.iter().map(Step::json).collect::<Vec<_>>()}])
    }
}
