//! `--examine --export`: `KEY=value` lines for udev and shells.

use std::fmt::Write;

use super::facts::array_bytes;
use super::{Examined, Member, MemberBitmap, What};
use crate::bitmap::header::Kind;
use crate::level::Level;
use crate::output::{escape, human};
use crate::superblock::foreign::Found;
use crate::superblock::v0::SuperV0;

impl Examined {
    /// The lines; none for a partition table.
    #[must_use]
    pub fn export(&self) -> String {
        let mut out = String::new();
        match &self.what {
            What::Member(m) => m.export(&mut out),
            What::Old(m) => old(&mut out, &m.sb),
            What::Foreign(Found::Ddf(_)) => out.push_str("MD_METADATA=ddf\nMD_LEVEL=container\n"),
            What::Foreign(Found::Imsm(_)) => out.push_str("MD_METADATA=imsm\nMD_LEVEL=container\n"),
            What::Foreign(Found::V090(_) | Found::Table(_) | Found::FileSystem(_)) => {}
        }
        out
    }
}

impl Member {
    fn export(&self, out: &mut String) {
        let sb = &self.sb;
        level(out, sb.level_raw());
        let _ = writeln!(out, "MD_DEVICES={}", sb.raid_disks() as i32);
        let name = sb.set_name();
        if !name.is_empty() {
            let _ = writeln!(out, "MD_NAME={}", escape::word(&name));
        }
        if let Some(bytes) = array_bytes(sb) {
            let _ = writeln!(out, "MD_ARRAY_SIZE={}", human::size_brief(bytes, human::Prefix::Decimal));
        }
        let _ = writeln!(out, "MD_UUID={}", sb.set_uuid());
        let _ = writeln!(out, "MD_UPDATE_TIME={}", sb.utime());
        let _ = writeln!(out, "MD_DEV_UUID={}", sb.device_uuid());
        let _ = writeln!(out, "MD_EVENTS={}", sb.events());
        if matches!(&self.bitmap, Some(MemberBitmap::Known { summary, .. }) if summary.kind == Kind::Lockless) {
            out.push_str("MD_BITMAP_TYPE=lockless\n");
        }
    }
}

fn level(out: &mut String, raw: i32) {
    if let Some(level) = Level::from_raw(raw) {
        let _ = writeln!(out, "MD_LEVEL={}", level.name());
    }
}

fn old(out: &mut String, sb: &SuperV0) {
    level(out, sb.level_raw());
    let _ = writeln!(out, "MD_DEVICES={}", sb.raid_disks());
    let _ = writeln!(out, "MD_UUID={}", sb.uuid());
    // The reference gives the time of creation here.
    let _ = writeln!(out, "MD_UPDATE_TIME={}", sb.ctime());
    let _ = writeln!(out, "MD_EVENTS={}", sb.events());
}
