//! `--rebuild-map`.

use super::array;
use crate::cli::request::IncrementalRequest;
use crate::cmd::apply::reason;
use crate::cmd::detail::map_of_arrays;
use crate::error::Refusal;
use crate::host::Host;

/// Writes the map file anew from what the arrays say.
pub fn rebuild(req: &IncrementalRequest, host: &Host) -> Result<(), Refusal> {
    if req.common.plan {
        return Ok(());
    }
    let (lock, _) = array::locked(host, false);
    let entries = map_of_arrays(host, req.common.homehost.as_deref());
    let Some(lock) = lock else { return Err(Refusal::new("the map file was not written")) };
    lock.store(&entries).map_err(|e| Refusal::new(format!("cannot write the map file: {}", reason(&e))))
}
