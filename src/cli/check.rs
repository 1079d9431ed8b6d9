//! What is missing from a line, or cannot be together, before any device is looked at.

use crate::level::Level;

use super::error::CliError;
use super::line::{Line, not_valid};
use super::mode::Mode;
use super::request::{BitmapChoice, ConsistencyPolicy};
use super::table::Id;
use super::token::Spelled;

/// Checks the line as a whole.
///
/// # Errors
/// The first thing that is missing, or cannot be together with another.
pub fn check(line: &Line, mode: Mode) -> Result<(), CliError> {
    if mode == Mode::Create {
        journal(line)?;
        policy(line)?;
    }
    // Ours: a conversion chooses the chunk too.
    let chunk = line.bitmap_chunk.is_some() || line.finest_chunk;
    let converts = line.update.as_deref().is_some_and(|u| matches!(u, "bitmap=lockless" | "bitmap=internal"));
    if mode == Mode::Assemble && chunk && !converts {
        return Err(not_valid(Spelled::Long("bitmap-chunk"), mode));
    }
    let needs_array = match mode {
        Mode::Create | Mode::Build | Mode::Grow | Mode::Manage => true,
        Mode::Assemble => !line.common.scan,
        _ => false,
    };
    if needs_array && line.devices.is_empty() {
        return Err(CliError::new("an md device must be given in this mode"));
    }
    if mode == Mode::Misc && line.devices.is_empty() && !needs_no_device(line) {
        let examine = line.op.is_some_and(|op| op.0 == Id::Examine);
        return Err(CliError::new(if examine { "No devices to examine" } else { "No devices given." }));
    }
    if line.raid_devices == Some(1)
        && matches!(mode, Mode::Create | Mode::Build)
        && line.common.force == 0
        && line.level != Some(Level::Faulty)
    {
        return Err(CliError::new(
            "'1' is an unusual number of drives for an array, so it is probably\n     a mistake.  If you really mean it \
             you will need to specify --force before\n     setting the number of drives.",
        ));
    }
    Ok(())
}

/// Misc operations that find their devices, or look at none.
fn needs_no_device(line: &Line) -> bool {
    match line.op.map(|op| op.0) {
        Some(Id::Detail | Id::Examine | Id::Stop | Id::WaitClean | Id::Check) => line.common.scan,
        Some(Id::DetailPlatform | Id::UdevRules | Id::RestoreSaved | Id::Health | Id::Report) => true,
        _ => false,
    }
}

/// `--write-journal` wants parity, and no other policy.
fn journal(line: &Line) -> Result<(), CliError> {
    if line.journal.is_none() {
        return Ok(());
    }
    if !line.level.is_some_and(Level::is_parity) {
        return Err(CliError::new("--write-journal is only supported for RAID level 4/5/6."));
    }
    match line.policy {
        Some(policy) if policy != ConsistencyPolicy::Journal => {
            let word = policy.word();
            Err(CliError::new(format!("--write-journal is not supported with consistency policy: {word}")))
        }
        _ => Ok(()),
    }
}

/// `--consistency-policy` against level, bitmap and journal.
fn policy(line: &Line) -> Result<(), CliError> {
    let Some(policy) = line.policy else { return Ok(()) };
    let word = policy.word();
    if let Some(level) = line.level.filter(|l| l.raw() <= 0) {
        return Err(CliError::new(format!("--consistency-policy not meaningful with level {}.", level.name())));
    }
    let has_bitmap = line.bitmap.as_ref().is_some_and(|b| *b != BitmapChoice::None);
    let none = line.bitmap == Some(BitmapChoice::None);
    match policy {
        ConsistencyPolicy::Ppl if line.level != Some(Level::Raid5) => {
            Err(CliError::new("PPL consistency policy is only supported for RAID level 5."))
        }
        ConsistencyPolicy::Resync | ConsistencyPolicy::Ppl if has_bitmap => {
            Err(CliError::new(format!("--bitmap is not compatible with consistency policy: {word}")))
        }
        ConsistencyPolicy::Bitmap if none => {
            Err(CliError::new(format!("--bitmap is required for consistency policy: {word}")))
        }
        ConsistencyPolicy::Journal if line.journal.is_none() => {
            Err(CliError::new(format!("--write-journal is required for consistency policy: {word}")))
        }
        _ => Ok(()),
    }
}
