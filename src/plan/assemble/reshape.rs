//! Arrays that were being reshaped when they stopped.

use super::{Matched, Wishes};
use crate::error::Refusal;
use crate::level::Level;
use crate::superblock::reshape::{self, Start};
use crate::superblock::v1::SuperV1;

/// Whether the array can be started as it is.
///
/// # Errors
/// What was being overwritten has to be put back first; the words are the reference's.
pub fn check(wishes: &Wishes, sb: &SuperV1, members: &[Matched<'_>]) -> Result<(), Refusal> {
    let Some(reshape) = reshape::of(sb, members.iter().map(|m| &m.member.sb)) else { return Ok(()) };
    if reshape.level == Level::Raid10 && wishes.readonly {
        return Err(Refusal::new(format!(
            "{}: a reshape is under way, and read-only the kernel would read what has moved from where it was (raid10); nothing was changed",
            wishes.shown
        ))
        .hint("leave --readonly away"));
    }
    if reshape.start() == Start::ByItself {
        return Ok(());
    }
    let at = reshape.position;
    Err(Refusal::new("Failed to restore critical section for reshape, sorry.").hint(format!(
        "{}: a reshape was overwriting its own data at sector {at}, and there is no copy of it; nothing was changed",
        wishes.shown
    )))
}
