//! The number and node of an array that a command makes or starts.

use std::path::Path;

use super::apply::reason;
use crate::cli::request::Common;
use crate::error::Refusal;
use crate::host::Host;
use crate::host::map::MapLock;
use crate::host::names;
use crate::plan::create::Node;

/// The array's number: the one that was named, or a free one. The map file stays locked until the array is in it, or two
/// commands take the same free number. `--plan` touches nothing and takes no lock.
///
/// # Errors
/// The map file cannot be locked, or no number is free.
pub fn choose(
    common: &Common,
    host: &Host,
    number: Option<u32>,
    path: &Path,
) -> Result<(Option<MapLock>, Node), Refusal> {
    let (lock, map) = if common.plan {
        (None, host.map().load().unwrap_or_default())
    } else {
        let lock = host.map().lock().map_err(|e| Refusal::new(format!("cannot lock the map file: {}", reason(&e))))?;
        let map = lock.load();
        (Some(lock), map)
    };
    let number = number
        .or_else(|| names::free_number(host, &map))
        .ok_or_else(|| Refusal::new("no free number for another array"))?;
    Ok((lock, Node { devname: format!("md{number}"), path: path.to_owned(), readonly: common.readonly }))
}
