//! `--examine`: what a member says of itself and its array.

mod array_line;
mod export;
mod facts;
mod foreign;
mod json;
mod lockless;
mod old;
mod text;

pub use array_line::{array_lines, short_name};
pub use facts::{Space, array_bytes};
pub use json::failed;
pub use old::OldMember;
pub use text::is_local;

use crate::bitmap::BitmapError;
use crate::bitmap::summary::{BitmapSummary, Counts};
use crate::superblock::foreign::Found;
use crate::superblock::v1::{Minor, SuperV1};
use crate::units::Sectors;

/// One device and what is on it.
#[derive(Debug)]
pub struct Examined {
    /// The path as typed.
    pub device: String,
    /// What was found there.
    pub what: What,
}

/// What is on a device.
#[derive(Debug)]
pub enum What {
    /// md metadata version 1.x.
    Member(Box<Member>),
    /// md metadata version 0.90.
    Old(Box<OldMember>),
    /// DDF, IMSM, or a partition table.
    Foreign(Found),
}

/// A member with v1.x metadata.
#[derive(Debug)]
pub struct Member {
    /// Where the superblock lies.
    pub minor: Minor,
    /// The superblock.
    pub sb: SuperV1,
    /// The device's size.
    pub device_sectors: Sectors,
    /// Its bitmap, where it has one.
    pub bitmap: Option<MemberBitmap>,
    /// What is odd about its bitmap.
    pub odd: Vec<String>,
    /// Creation time in local time, as `asctime` prints it.
    pub created: String,
    /// Time of the last update likewise.
    pub updated: String,
    /// This machine's name: its arrays are shown as local.
    pub homehost: Option<String>,
}

/// A member's bitmap.
#[derive(Debug)]
pub enum MemberBitmap {
    /// It can be understood.
    Known {
        /// From its superblock.
        summary: Box<BitmapSummary>,
        /// What the chunks are: read for lockless bitmaps only.
        counts: Option<Counts>,
    },
    /// The superblock tells of one, but there is none.
    Broken(BitmapError),
}

#[cfg(test)]
mod tests;
