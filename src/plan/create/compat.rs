//! `--compat-kernel`: an array that older kernels can assemble too.
//!
//! Linux 6.19 and later record the sector size of an array at its first start, which is one with events 0, in a field that older
//! kernels require to be 0 (`mddev_stack_rdev_limits`, `super_1_load`). An array whose events begin at 1 is none to them.

use super::NewBitmapKind;
use crate::cli::request::CreateRequest;
use crate::error::Refusal;

/// The first to record the sector size.
const RECORDS: (u32, u32) = (6, 19);
/// The first with the lockless bitmap.
const LOCKLESS: (u32, u32) = (6, 18);

/// Whether the array must hold nothing that is too new.
///
/// # Errors
/// What was asked for and is newer than that kernel.
pub fn for_older(req: &CreateRequest, bitmap: &NewBitmapKind) -> Result<bool, Refusal> {
    let Some(kernel) = req.compat_kernel else { return Ok(false) };
    let refuse = |what: &str| {
        let line = format!("Linux {}.{} cannot assemble {what}", kernel.0, kernel.1);
        Err(Refusal::new(line).hint("nothing was written; leave out --compat-kernel or the other option"))
    };
    if kernel < LOCKLESS && matches!(bitmap, NewBitmapKind::Lockless(_)) {
        return refuse("an array with a lockless bitmap (Linux 6.18)");
    }
    if kernel >= RECORDS {
        return Ok(false);
    }
    if req.logical_block_size.is_some() {
        return refuse("an array with --logical-block-size (Linux 6.19)");
    }
    match bitmap {
        // Its events would have to begin with the array's.
        NewBitmapKind::File(_) | NewBitmapKind::Clustered { .. } => {
            Err(Refusal::new("--compat-kernel before 6.19 is not for bitmap files and clustered bitmaps"))
        }
        _ => Ok(true),
    }
}
