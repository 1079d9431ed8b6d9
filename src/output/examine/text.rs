//! The text of `--examine`, line for line as the reference prints it.

use std::fmt::Write;

use super::facts::array_bytes;
use super::{Examined, Member, MemberBitmap, Space, What};
use crate::bitmap::header::Kind;
use crate::layout;
use crate::level::Level;
use crate::output::{escape, human};
use crate::superblock::v1::{Role, SuperV1, devflag, feature};
use crate::units::SECTOR_BYTES;

/// Bytes of an entry in the bad-block log.
const BADBLOCK_ENTRY: u32 = 8;

/// Appends one line; writing to a String does not fail.
macro_rules! line {
    ($out:expr, $($arg:tt)*) => { let _ = writeln!($out, $($arg)*); };
}

impl Examined {
    /// The text, ending in a newline; `verbose` adds what older kernels lack.
    #[must_use]
    pub fn text(&self, verbose: bool) -> String {
        let mut out = format!("{}:\n", escape::text(self.device.as_bytes()));
        match &self.what {
            What::Member(m) => m.text(&mut out, verbose),
            What::Old(m) => m.text(&mut out),
            What::Foreign(found) => out.push_str(&super::foreign::text(found)),
        }
        out
    }
}

fn sectors_human(sectors: u64) -> String {
    human::size(sectors.wrapping_mul(SECTOR_BYTES))
}

fn level_name(raw: i32) -> &'static str {
    Level::from_raw(raw).map_or("-unknown-", Level::name)
}

/// A layout's name behind a space, but for one that the reference sets without.
fn layout_name(sb: &SuperV1, number: u32) -> String {
    match Level::from_raw(sb.level_raw()).and_then(|l| layout::name(l, number)) {
        Some(name) if name.starts_with("NO ") => name,
        Some(name) => format!(" {name}"),
        None if sb.level_raw() == Level::Raid10.raw() => {
            let word = if number & 0x1_0000 == 0 { "far" } else { "offset" };
            format!(" near={}, {word}={}", number & 0xff, (number >> 8) & 0xff)
        }
        None => " -unknown-".into(),
    }
}

/// Whether an array's name starts with this machine's name and a colon.
#[must_use]
pub fn is_local(name: &[u8], host: &str) -> bool {
    !host.is_empty() && name.strip_prefix(host.as_bytes()).is_some_and(|rest| rest.first() == Some(&b':'))
}

impl Member {
    fn text(&self, out: &mut String, verbose: bool) {
        self.identity(out);
        self.sizes(out);
        self.places(out);
        self.logs(out);
        self.reshape(out);
        self.health(out);
        self.geometry(out);
        self.roles(out);
        self.lockless_lines(out);
        self.odd_lines(out);
        if verbose {
            self.kernel_line(out);
        }
    }

    fn identity(&self, out: &mut String) {
        let sb = &self.sb;
        line!(out, "          Magic : {:08x}", sb.magic());
        line!(out, "        Version : 1.{}", self.minor.number());
        line!(out, "    Feature Map : 0x{:x}", sb.feature_map());
        line!(out, "     Array UUID : {}", sb.set_uuid());
        let name = sb.set_name();
        let local = match self.homehost.as_deref() {
            Some(host) if is_local(&name, host) => format!("  (local to host {host})"),
            _ => String::new(),
        };
        line!(out, "           Name : {}{local}", escape::text(&name));
        if let Some(MemberBitmap::Known { summary, .. }) = &self.bitmap
            && summary.sb.nodes() > 0
            && summary.kind == Kind::Clustered
        {
            line!(out, "   Cluster Name : {:<64}", escape::text(&summary.sb.cluster_name()));
        }
        line!(out, "  Creation Time : {}", self.created);
        line!(out, "     Raid Level : {}", level_name(sb.level_raw()));
        line!(out, "   Raid Devices : {}", sb.raid_disks() as i32);
        line!(out, "");
    }

    fn sizes(&self, out: &mut String) {
        let sb = &self.sb;
        line!(out, " Avail Dev Size : {} sectors{}", sb.data_size(), sectors_human(sb.data_size()));
        if let Some(array) = array_bytes(sb) {
            line!(out, "     Array Size : {} KiB{}", (array as i64 / 1024) as u64, human::size(array));
        }
        if sb.size() != sb.data_size() && sb.level_raw() != 0 {
            line!(out, "  Used Dev Size : {} sectors{}", sb.size(), sectors_human(sb.size()));
        }
    }

    fn places(&self, out: &mut String) {
        let sb = &self.sb;
        if sb.data_offset() != 0 {
            line!(out, "    Data Offset : {} sectors", sb.data_offset());
        }
        if sb.has(feature::NEW_OFFSET) && sb.new_offset() != 0 {
            let at = sb.data_offset().wrapping_add_signed(i64::from(sb.new_offset()));
            line!(out, "     New Offset : {at} sectors");
        }
        line!(out, "   Super Offset : {} sectors", sb.super_offset());
        if sb.has(feature::RECOVERY_OFFSET) {
            line!(out, "Recovery Offset : {} sectors", sb.recovery_offset());
        }
        let space = self.space();
        let is_told = space != (Space { before: 0, after: 0 }) || sb.role() == Role::Journal;
        if is_told && !sb.has(feature::NEW_OFFSET) {
            let _ = write!(out, "   Unused Space : before={} sectors, ", space.before);
            if space.after < 0 {
                // One less than is missing, as the reference counts.
                line!(out, "after=-{} sectors DEVICE TOO SMALL", space.after.unsigned_abs() - 1);
            } else {
                line!(out, "after={} sectors", space.after);
            }
        }
        let clean = if sb.resync_offset() == u64::MAX { "clean" } else { "active" };
        line!(out, "          State : {clean}{}", if space.after < 0 { " TRUNCATED DEVICE" } else { "" });
        line!(out, "    Device UUID : {}", sb.device_uuid());
        line!(out, "");
    }

    fn logs(&self, out: &mut String) {
        let sb = &self.sb;
        if sb.has(feature::BITMAP_OFFSET) {
            line!(out, "Internal Bitmap : {} sectors from superblock", sb.bitmap_offset());
        }
        if sb.has_ppl() {
            line!(
                out,
                "            PPL : {} sectors at offset {} sectors from superblock",
                sb.ppl_size(),
                sb.ppl_offset() as u16
            );
        }
    }

    fn reshape(&self, out: &mut String) {
        let sb = &self.sb;
        if !sb.has(feature::RESHAPE_ACTIVE) {
            return;
        }
        let at = sb.reshape_position();
        line!(out, "  Reshape pos'n : {}{}", at / 2, sectors_human(at));
        if sb.delta_disks() != 0 {
            let now = sb.raid_disks() as i32;
            line!(out, "  Delta Devices : {} ({}->{now})", sb.delta_disks(), now.wrapping_sub(sb.delta_disks()));
        }
        if sb.new_level_raw() != sb.level_raw() {
            line!(out, "      New Level : {}", level_name(sb.new_level_raw()));
        }
        if sb.new_layout() != sb.layout()
            && let Some(Level::Raid5 | Level::Raid6 | Level::Raid10) = Level::from_raw(sb.level_raw())
        {
            line!(out, "     New Layout :{}", layout_name(sb, sb.new_layout()));
        }
        if sb.new_chunk() != sb.chunksize() {
            line!(out, "  New Chunksize : {}K", sb.new_chunk() / 2);
        }
        line!(out, "");
    }

    fn health(&self, out: &mut String) {
        let sb = &self.sb;
        if sb.devflags() != 0 {
            let words = [(devflag::WRITE_MOSTLY, " write-mostly"), (devflag::FAILFAST, " failfast")];
            let set: String = words.iter().filter(|w| sb.devflags() & w.0 != 0).map(|w| w.1).collect();
            line!(out, "          Flags :{set}");
        }
        line!(out, "    Update Time : {}", self.updated);
        if sb.bblog_size() != 0 && sb.bblog_offset() != 0 {
            let present = if sb.has(feature::BAD_BLOCKS) { " - bad blocks present." } else { "" };
            let entries = u32::from(sb.bblog_size()) * 512 / BADBLOCK_ENTRY;
            line!(
                out,
                "  Bad Block Log : {entries} entries available at offset {} sectors{present}",
                sb.bblog_offset()
            );
        }
        let (found, expected) = (sb.sb_csum(), sb.computed_csum());
        if found == expected {
            line!(out, "       Checksum : {found:x} - correct");
        } else {
            line!(out, "       Checksum : {found:x} - expected {expected:x}");
        }
        line!(out, "         Events : {}", sb.events());
        line!(out, "");
    }

    fn geometry(&self, out: &mut String) {
        let sb = &self.sb;
        let level = Level::from_raw(sb.level_raw());
        let has_layout = match level {
            Some(Level::Raid5 | Level::Raid6 | Level::Raid10) => true,
            Some(Level::Raid0) => sb.has(feature::RAID0_LAYOUT),
            _ => false,
        };
        if has_layout {
            line!(out, "         Layout :{}", layout_name(sb, sb.layout()));
        }
        match level {
            Some(Level::Raid0 | Level::Raid4 | Level::Raid5 | Level::Raid6 | Level::Raid10) => {
                line!(out, "     Chunk Size : {}K", sb.chunksize() / 2);
            }
            Some(Level::Linear) => {
                line!(out, "       Rounding : {}K", sb.chunksize() / 2);
            }
            _ => {}
        }
        line!(out, "");
    }

    fn roles(&self, out: &mut String) {
        let sb = &self.sb;
        let role = match sb.role() {
            Role::Slot(n) if sb.has(feature::REPLACEMENT) => format!("Replacement device {n}"),
            Role::Slot(n) => format!("Active device {n}"),
            Role::Journal => "Journal".into(),
            Role::Spare | Role::Faulty => "spare".into(),
        };
        line!(out, "   Device Role : {role}");
        line!(out, "   Array State : {} ('A' == active, '.' == missing, 'R' == replacing)", self.state_line());
        if self.is_inconsistent() {
            line!(out, "WARNING Array state is inconsistent - each number should appear only once");
            for (n, role) in sb.roles().into_iter().enumerate() {
                let _ = match role {
                    Role::Spare | Role::Faulty => write!(out, " {n}:-"),
                    other => write!(out, " {n}:{}", other.raw()),
                };
            }
            line!(out, "");
        }
    }
}
