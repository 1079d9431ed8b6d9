//! What a new array is called: its name, its uuid, its time.

use crate::cli::request::CreateRequest;
use crate::error::Refusal;
use crate::host::Host;
use crate::host::names::{self, TypedName};
use crate::plan::create::{Identity, Node};
use crate::superblock::Version;
use crate::superblock::v0::mark_host;
use crate::uuid::Uuid;

/// The identity of a new array; with `--offline` nothing of this machine goes in, and the time is SOURCE_DATE_EPOCH.
pub(super) fn identity(
    req: &CreateRequest,
    host: &Host,
    version: Version,
    typed: Option<&TypedName>,
    node: Option<&Node>,
) -> Result<Identity, Refusal> {
    let (from_path, wanted) = match typed {
        Some(t) => (t.name.clone(), t.number),
        None => names::parse(&req.array.to_string_lossy()).map(|t| (t.name, t.number))?,
    };
    let name = req.name.clone().unwrap_or(from_path);
    let homehost = match req.common.homehost.as_deref() {
        Some("<none>") => None,
        Some("<system>" | "<ignore>") | None if !req.common.offline => Some(host.hostname()),
        Some("<system>" | "<ignore>") | None => None,
        Some(other) => Some(other.to_owned()),
    };
    let set_name = match &homehost {
        Some(h) if !h.is_empty() && h.len() + 1 + name.len() < 32 && !name.contains(':') => format!("{h}:{name}"),
        _ => name,
    };
    // A name of 32 bytes loses its last: the reference ends it with a zero.
    let mut set_name = set_name.into_bytes();
    set_name.truncate(31);
    let epoch = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|t| t.parse().ok());
    let now = crate::kernel::clock::now();
    let time = if req.common.offline { epoch.unwrap_or(now) } else { now };
    let random = || Uuid(*uuid::Uuid::new_v4().as_bytes());
    let uuid = match (req.uuid, homehost.filter(|h| version == Version::V090 && !h.is_empty())) {
        (Some(given), _) => given,
        (None, Some(host)) => mark_host(random(), &host),
        (None, None) => random(),
    };
    let number = node.and_then(|n| names::number_of(&n.devname)).or(wanted).unwrap_or(0);
    Ok(Identity { uuid, set_name, time, number })
}
