//! `--query`, and a device name alone: is it an array, is it a member of one.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::request::Common;
use crate::cmd::apply::reason;
use crate::cmd::member::{Loaded, load};
use crate::cmd::print;
use crate::device::real::{Access, RealDevice};
use crate::error::Exit;
use crate::host::Host;
use crate::host::devmap::block_dev;
use crate::host::map::MapEntry;
use crate::kernel::{blk, md};
use crate::level::Level;
use crate::output::escape;
use crate::output::query::{self, Activity, ArrayState, MemberState, Query};
use crate::superblock::foreign::Found;
use crate::superblock::v0::SuperV0;
use crate::superblock::v1::{Minor, SuperV1};
use crate::uuid::Uuid;

/// Tells of these devices, one after the other.
pub fn run(common: &Common, paths: &[PathBuf]) -> Exit {
    let host = Host::default();
    let map = host.map().load().unwrap_or_default();
    let mut exit = Exit::OK;
    let mut objects = Vec::new();
    for path in paths {
        let device = escape::text(path.as_os_str().as_encoded_bytes());
        match query(&host, &map, path, device.clone()) {
            Ok(found) if common.json => objects.push(found.json()),
            Ok(found) => {
                if !print::out(&found.text()) {
                    return exit;
                }
            }
            Err(why) => {
                let line = format!("cannot open {device}: {why}");
                print::complain(&line);
                objects.push(query::failed(&device, &line));
                exit = Exit::FAIL;
            }
        }
    }
    if common.json {
        print::out(&format!("{:#}\n", Value::from(objects)));
    }
    exit
}

fn query(host: &Host, map: &[MapEntry], path: &Path, device: String) -> Result<Query, String> {
    let flags = libc::O_CLOEXEC | libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|e| reason(&e))?;
    let array = array_state(&file);
    let member = RealDevice::open(path, Access::Read)
        .ok()
        .and_then(|dev| load(&dev, None).ok().flatten())
        .and_then(|loaded| member_state(host, map, path, &loaded));
    Ok(Query { device, array, member })
}

fn array_state(file: &File) -> ArrayState {
    if md::raid_version(file).is_err() {
        return ArrayState::No;
    }
    match md::get_array_info(file) {
        Ok(info) => ArrayState::Active {
            bytes: blk::size_bytes(file).map_or(0, |b| b.0),
            level: info.level,
            raid_disks: info.raid_disks,
            // The journal counts, too; the kernel does not count it.
            spares: info.working_disks.saturating_sub(info.active_disks),
        },
        Err(_) => ArrayState::Inactive,
    }
}

fn member_state(host: &Host, map: &[MapEntry], path: &Path, loaded: &Loaded) -> Option<MemberState> {
    match loaded {
        Loaded::V1(minor, sb) => Some(v1_state(host, map, path, *minor, sb)),
        Loaded::V0(sb) => Some(v0_state(host, map, path, sb)),
        Loaded::Foreign(f @ (Found::Ddf(_) | Found::Imsm(_))) => {
            let metadata = if matches!(f, Found::Ddf(_)) { "ddf" } else { "imsm" };
            Some(MemberState {
                number: None,
                raid_disks: None,
                level: "container".into(),
                activity: Activity::Undetected,
                array: None,
                uuid: None,
                metadata: metadata.into(),
            })
        }
        Loaded::Foreign(Found::V090(_) | Found::Table(_) | Found::FileSystem(_)) => None,
    }
}

fn v1_state(host: &Host, map: &[MapEntry], path: &Path, minor: Minor, sb: &SuperV1) -> MemberState {
    let (activity, array) = activity(host, map, path, sb.set_uuid(), sb.dev_number());
    MemberState {
        number: Some(sb.dev_number()),
        raid_disks: Some(sb.raid_disks()),
        level: Level::from_raw(sb.level_raw()).map_or("-unknown-", Level::name).into(),
        activity,
        array,
        uuid: Some(sb.set_uuid()),
        metadata: format!("1.{}", minor.number()),
    }
}

fn v0_state(host: &Host, map: &[MapEntry], path: &Path, sb: &SuperV0) -> MemberState {
    let number = sb.this_disk().number;
    let (activity, array) = activity(host, map, path, sb.uuid(), number);
    MemberState {
        number: Some(number),
        raid_disks: Some(sb.raid_disks()),
        level: Level::from_raw(sb.level_raw()).map_or("-unknown-", Level::name).into(),
        activity,
        array,
        uuid: Some(sb.uuid()),
        metadata: "0.90".into(),
    }
}

/// Looks the array up in the map file, and asks the kernel whether its member of this number is this device.
fn activity(host: &Host, map: &[MapEntry], path: &Path, uuid: Uuid, number: u32) -> (Activity, Option<String>) {
    let Some(entry) = map.iter().find(|e| e.uuid == uuid) else { return (Activity::Inactive, None) };
    let shown = entry.path.clone().unwrap_or_else(|| host.dev.join(&entry.devname));
    let Ok(array) = host.open_array(&host.dev.join(&entry.devname)) else { return (Activity::Inactive, None) };
    let shown = Some(escape::text(shown.as_os_str().as_encoded_bytes()));
    let Ok(info) = md::get_disk_info(&array.file, i32::try_from(number).unwrap_or(-1)) else {
        return (Activity::Undetected, shown);
    };
    let kernel = (u32::try_from(info.major).unwrap_or(0), u32::try_from(info.minor).unwrap_or(0));
    let is_it = block_dev(path) == Some(kernel);
    (if is_it { Activity::Active } else { Activity::Mismatch }, shown)
}
