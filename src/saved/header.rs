//! The header of a saved file: JSON to and from [`Saved`], and what has to hold of it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Content, Device, MAX_DATA, MAX_DEVICES, MAX_RANGES, Member, Range, Saved, SavedError};
use crate::uuid::Uuid;

/// Names the document.
const SCHEMA: &str = "mdadm-rs/saved/1";

#[derive(Serialize, Deserialize)]
struct HeaderDoc {
    schema: String,
    command: Vec<String>,
    time_seconds: u64,
    #[serde(default)]
    incomplete: bool,
    devices: Vec<DeviceDoc>,
}

#[derive(Serialize, Deserialize)]
struct DeviceDoc {
    path: String,
    size_bytes: u64,
    identity: BTreeMap<String, String>,
    array: Option<MemberDoc>,
    ranges: Vec<RangeDoc>,
}

#[derive(Serialize, Deserialize)]
struct MemberDoc {
    metadata: String,
    uuid: String,
    name: String,
    events: u64,
}

#[derive(Serialize, Deserialize)]
struct RangeDoc {
    offset_bytes: u64,
    length_bytes: u64,
    stored: bool,
    what: String,
}

fn wrong(what: impl Into<String>) -> SavedError {
    SavedError::Header(what.into())
}

/// A path as text: a backslash, and every byte that is not printable ASCII, is `\xHH`.
fn escape(path: &Path) -> String {
    let byte = |b: &u8| match b {
        b' '..=b'~' if *b != b'\\' => char::from(*b).to_string(),
        other => format!("\\x{other:02x}"),
    };
    path.as_os_str().as_bytes().iter().map(byte).collect()
}

fn unescape(text: &str) -> Option<PathBuf> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first != b'\\' {
            bytes.push(*first);
            rest = tail;
            continue;
        }
        let code = tail.get(..3)?;
        let digits = std::str::from_utf8(code).ok()?.strip_prefix('x')?;
        let hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
        bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| hex)?);
        rest = tail.get(3..)?;
    }
    Some(PathBuf::from(OsString::from_vec(bytes)))
}

/// The header's bytes.
pub(super) fn write(saved: &Saved) -> Result<Vec<u8>, SavedError> {
    let range = |r: &Range| RangeDoc {
        offset_bytes: r.offset,
        length_bytes: r.len(),
        stored: matches!(r.content, Content::Bytes(_)),
        what: r.what.clone(),
    };
    let member = |m: &Member| MemberDoc {
        metadata: m.metadata.clone(),
        uuid: m.uuid.to_string(),
        name: m.name.clone(),
        events: m.events,
    };
    let device = |d: &Device| DeviceDoc {
        path: escape(&d.path),
        size_bytes: d.size_bytes,
        identity: d.identity.clone(),
        array: d.array.as_ref().map(member),
        ranges: d.ranges.iter().map(range).collect(),
    };
    let doc = HeaderDoc {
        schema: SCHEMA.into(),
        command: saved.command.clone(),
        time_seconds: saved.time_seconds,
        incomplete: saved.incomplete,
        devices: saved.devices.iter().map(device).collect(),
    };
    serde_json::to_vec(&doc).map_err(|e| wrong(e.to_string()))
}

/// Header and data to one.
pub(super) fn read(header: &[u8], mut data: &[u8]) -> Result<Saved, SavedError> {
    let doc: HeaderDoc = serde_json::from_slice(header).map_err(|e| wrong(e.to_string()))?;
    if doc.schema != SCHEMA {
        return Err(wrong(format!("schema {:?}", doc.schema)));
    }
    let mut devices = Vec::new();
    for d in doc.devices {
        let mut ranges = Vec::new();
        for r in d.ranges {
            let content = if r.stored {
                let len = usize::try_from(r.length_bytes).map_err(|_| wrong("a length is too large"))?;
                let (bytes, rest) =
                    data.split_at_checked(len).ok_or_else(|| wrong("there is less data than it says"))?;
                data = rest;
                Content::Bytes(bytes.to_vec())
            } else {
                Content::Zeros(r.length_bytes)
            };
            ranges.push(Range { offset: r.offset_bytes, what: r.what, content });
        }
        let array = d.array.map(member).transpose()?;
        let path = unescape(&d.path).ok_or_else(|| wrong("a path is not written as paths are"))?;
        devices.push(Device { path, size_bytes: d.size_bytes, identity: d.identity, array, ranges });
    }
    if !data.is_empty() {
        return Err(wrong("there is more data than it says"));
    }
    let (command, time_seconds) = (doc.command, doc.time_seconds);
    Ok(Saved { command, time_seconds, incomplete: doc.incomplete, devices })
}

fn member(doc: MemberDoc) -> Result<Member, SavedError> {
    let uuid = Uuid::parse(&doc.uuid).ok_or_else(|| wrong("a uuid is none"))?;
    Ok(Member { metadata: doc.metadata, uuid, name: doc.name, events: doc.events })
}

/// What has to hold, written or read: counts, sizes, ranges in order, apart and inside their device.
pub(super) fn check(saved: &Saved) -> Result<(), SavedError> {
    if saved.devices.len() > MAX_DEVICES {
        return Err(SavedError::TooLarge("devices"));
    }
    if saved.devices.iter().map(|d| d.ranges.len()).sum::<usize>() > MAX_RANGES {
        return Err(SavedError::TooLarge("ranges"));
    }
    let mut total = 0u64;
    for d in &saved.devices {
        if !d.path.is_absolute() || d.path.as_os_str().as_bytes().contains(&0) {
            return Err(wrong("a path is not absolute"));
        }
        if saved.devices.iter().filter(|other| other.path == d.path).count() > 1 {
            return Err(wrong("a device is there twice"));
        }
        let mut free = 0u64;
        for r in &d.ranges {
            let end = r.offset.checked_add(r.len()).filter(|end| *end <= d.size_bytes);
            let end = end.ok_or_else(|| wrong("a range reaches past its device"))?;
            if r.offset < free {
                return Err(wrong("ranges overlap"));
            }
            free = end;
            total = total.saturating_add(r.len());
        }
    }
    if total > MAX_DATA { Err(SavedError::TooLarge("bytes")) } else { Ok(()) }
}
