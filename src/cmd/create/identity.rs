//! What a new array is called: its name, its uuid, its time.

use crate::cli::request::CreateRequest;
use crate::error::Refusal;
use crate::host::Host;
use crate::host::names::{self, TypedName};
use crate::plan::create::Identity;
use crate::uuid::Uuid;

/// The identity of a new array; with `--offline` nothing of this machine goes in, and the time is SOURCE_DATE_EPOCH.
pub(super) fn identity(req: &CreateRequest, host: &Host, typed: Option<&TypedName>) -> Result<Identity, Refusal> {
    let from_path = match typed {
        Some(t) => t.name.clone(),
        None => names::parse(&req.array.to_string_lossy())?.name,
    };
    let name = req.name.clone().unwrap_or(from_path);
    let homehost = match req.common.homehost.as_deref() {
        Some("<none>") => None,
        Some("<system>" | "<ignore>") | None if !req.common.offline => Some(host.hostname()),
        Some("<system>" | "<ignore>") | None => None,
        Some(other) => Some(other.to_owned()),
    };
    let set_name = match homehost {
        Some(h) if !h.is_empty() && h.len() + 1 + name.len() < 32 && !name.contains(':') => format!("{h}:{name}"),
        _ => name,
    };
    // A name of 32 bytes loses its last: the reference ends it with a zero.
    let mut set_name = set_name.into_bytes();
    set_name.truncate(31);
    let epoch = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|t| t.parse().ok());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let time = if req.common.offline { epoch.unwrap_or(now) } else { now };
    let uuid = req.uuid.unwrap_or_else(|| Uuid(*uuid::Uuid::new_v4().as_bytes()));
    Ok(Identity { uuid, set_name, time })
}
