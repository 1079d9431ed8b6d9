//! `--grow`: which change was asked for. One command makes one kind of change; `--array-size` may come with others.
#![deny(clippy::cast_possible_truncation)]

pub mod bitmap;
pub mod devices;
pub mod level;
pub mod policy;
pub mod reshape;
pub mod revert;
pub mod shape;
pub mod size;
pub mod space;

use crate::cli::request::GrowRequest;
use crate::error::Refusal;

/// A kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// `--array-size`: how much of the array is offered. Before all others.
    ArraySize,
    /// `--add` without a new geometry: linear arrays.
    Add,
    /// `--bitmap`
    Bitmap,
    /// `--continue`: an interrupted reshape.
    Continue,
    /// `--revert`: a reshape goes back.
    Revert,
    /// `--size`, `--raid-devices`, `--level`, `--layout`, `--chunk`, `--data-offset`
    Reshape,
    /// `--consistency-policy`
    Policy,
    /// `--delay` without `--bitmap`, `--bitmap-idle`, `--proactive-sync`: of a lockless bitmap
    Knobs,
}

impl Change {
    /// The option that asks for it.
    #[must_use]
    pub fn option(self, req: &GrowRequest) -> &'static str {
        match self {
            Change::ArraySize => "--array-size",
            Change::Add => "--add",
            Change::Bitmap => "--bitmap",
            Change::Continue => "--continue",
            Change::Revert => "--revert",
            Change::Policy => "--consistency-policy",
            Change::Knobs => "--delay",
            Change::Reshape if req.size.is_some() => "--size",
            Change::Reshape if req.raid_devices.is_some() => "--raid-devices",
            Change::Reshape if req.level.is_some() => "--level",
            Change::Reshape if req.layout.is_some() => "--layout",
            Change::Reshape if req.chunk.is_some() => "--chunk",
            Change::Reshape => "--data-offset",
        }
    }
}

/// The changes asked for, in the order in which they are made; the words are the reference's.
///
/// # Errors
/// Kinds of change that cannot be made in one command.
pub fn changes(req: &GrowRequest) -> Result<Vec<Change>, Refusal> {
    let mut changes = Vec::with_capacity(2);
    if req.reverts {
        let alone = GrowRequest {
            common: req.common.clone(),
            array: req.array.clone(),
            backup_file: req.backup_file.clone(),
            reverts: true,
            ..GrowRequest::default()
        };
        if *req != alone {
            return Err(Refusal::new(format!("--revert stands alone: mdadm --grow --revert {}", req.array.display())));
        }
        return Ok(vec![Change::Revert]);
    }
    if req.array_size.is_some() {
        if req.raid_devices.is_some() || req.level.is_some() {
            return Err(Refusal::new(
                "cannot change array size in same operation as changing raiddisks or level.\n    Change size first, then \
                 check that data is still intact.",
            ));
        }
        changes.push(Change::ArraySize);
    }
    let sized = req.size.is_some() || req.chunk.is_some() || req.layout.is_some();
    if !req.add.is_empty() && req.raid_devices.is_none() && req.level.is_none() {
        if sized || req.bitmap.is_some() {
            return Err(Refusal::new("--add cannot be used with other geometry changes in --grow mode"));
        }
        changes.push(Change::Add);
    } else if req.bitmap.is_some() {
        if sized || req.raid_devices.is_some() || !req.add.is_empty() {
            let line = "--bitmap changes cannot be used with other geometry changes in --grow mode";
            return Err(Refusal::new(line));
        }
        changes.push(Change::Bitmap);
    } else if req.goes_on {
        changes.push(Change::Continue);
    } else if sized || req.raid_devices.is_some() || req.level.is_some() || req.data_offset.is_some() {
        changes.push(Change::Reshape);
    } else if req.policy.is_some() {
        changes.push(Change::Policy);
    }
    if req.bitmap_idle.is_some() || req.proactive_sync || (changes.is_empty() && req.delay.is_some()) {
        changes.push(Change::Knobs);
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::request::{BitmapChoice, SizeChoice};

    fn asked(change: impl FnOnce(&mut GrowRequest)) -> Result<Vec<Change>, Refusal> {
        let mut req = GrowRequest::default();
        change(&mut req);
        changes(&req)
    }

    #[test]
    fn one_command_makes_one_kind_of_change_and_the_array_size_comes_first() {
        assert_eq!(asked(|_| {}).unwrap(), []);
        assert_eq!(asked(|r| r.bitmap = Some(BitmapChoice::None)).unwrap(), [Change::Bitmap]);
        let both = asked(|r| {
            r.array_size = Some(SizeChoice::Max);
            r.size = Some(SizeChoice::Max);
        });
        assert_eq!(both.unwrap(), [Change::ArraySize, Change::Reshape]);
        assert_eq!(asked(|r| r.add = vec!["/dev/sda".into()]).unwrap(), [Change::Add]);
    }

    #[test]
    fn a_bitmap_and_another_geometry_are_two_commands() {
        let refused = asked(|r| {
            r.bitmap = Some(BitmapChoice::Internal);
            r.raid_devices = Some(4);
        });
        assert!(refused.unwrap_err().lines.iter().any(|l| l.starts_with("--bitmap changes cannot")));
    }
}
