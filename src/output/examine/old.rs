//! `--examine` of v0.90 metadata.

use std::fmt::Write;

use crate::layout;
use crate::level::Level;
use crate::output::human;
use crate::superblock::v0::{DiskV0, MAX_DISKS, SuperV0, state, word};
use crate::superblock::v1::MAGIC;

/// A member with v0.90 metadata.
#[derive(Debug)]
pub struct OldMember {
    /// The superblock.
    pub sb: SuperV0,
    /// Creation time in local time, as `asctime` prints it.
    pub created: String,
    /// Time of the last update likewise.
    pub updated: String,
    /// This machine's name, where the array is of this machine.
    pub local_to: Option<String>,
    /// Paths of the devices with the numbers in the table, and last of `this`; `None` where there is none.
    pub paths: Vec<Option<String>>,
}

/// Appends one line; writing to a String does not fail.
macro_rules! line {
    ($out:expr, $($arg:tt)*) => { let _ = writeln!($out, $($arg)*); };
}

/// Descriptor bits (uapi `md_p.h`, `MD_DISK_*`).
mod bit {
    pub const FAULTY: u32 = 1 << 0;
    pub const ACTIVE: u32 = 1 << 1;
    pub const SYNC: u32 = 1 << 2;
    pub const REMOVED: u32 = 1 << 3;
    pub const WRITEMOSTLY: u32 = 1 << 9;
    pub const FAILFAST: u32 = 1 << 10;
}

fn level_name(raw: i32) -> &'static str {
    Level::from_raw(raw).map_or("-unknown-", Level::name)
}

/// KiB of the array, for levels with redundancy.
fn array_kib(sb: &SuperV0) -> Option<i64> {
    let (size, disks) = (i64::from(sb.size_kib()), i64::from(sb.raid_disks()));
    let (data, copies) = match Level::from_raw(sb.level_raw())? {
        Level::Raid1 => (1, 1),
        Level::Raid4 | Level::Raid5 => (disks - 1, 1),
        Level::Raid6 => (disks - 2, 1),
        Level::Raid10 => (disks, i64::from((sb.layout() & 0xff) * ((sb.layout() >> 8) & 0xff))),
        _ => return None,
    };
    if data == 0 { None } else { (size * data).checked_div(copies) }
}

impl OldMember {
    /// Whether this device counts as a spare of its array.
    #[must_use]
    pub fn is_spare(&self) -> bool {
        self.sb.this_disk().state & bit::SYNC == 0
    }

    pub(super) fn text(&self, out: &mut String) {
        self.identity(out);
        self.reshape(out);
        self.health(out);
        self.geometry(out);
        self.table(out);
    }

    fn identity(&self, out: &mut String) {
        let sb = &self.sb;
        line!(out, "          Magic : {MAGIC:08x}");
        line!(out, "        Version : 0.{:02}.{:02}", sb.minor_version(), sb.patch_version());
        let local = self.local_to.as_ref().map_or(String::new(), |host| format!(" (local to host {host})"));
        line!(out, "           UUID : {}{local}", sb.uuid());
        if sb.word(word::NOT_PERSISTENT) != 0 {
            line!(out, "           Eedk : not persistent");
        }
        line!(out, "  Creation Time : {}", self.created);
        line!(out, "     Raid Level : {}", level_name(sb.level_raw()));
        if sb.level_raw() > 0 {
            let size = u64::from(sb.size_kib());
            line!(out, "  Used Dev Size : {size}{}", human::size(size * 1024));
            if let Some(kib) = array_kib(sb) {
                line!(out, "     Array Size : {kib}{}", human::size(kib.wrapping_mul(1024) as u64));
            }
        }
        line!(out, "   Raid Devices : {}", sb.raid_disks() as i32);
        line!(out, "  Total Devices : {}", sb.nr_disks() as i32);
        line!(out, "Preferred Minor : {}", sb.md_minor() as i32);
        line!(out, "");
    }

    fn reshape(&self, out: &mut String) {
        let sb = &self.sb;
        if sb.minor_version() <= 90 {
            return;
        }
        let at = sb.reshape_position();
        line!(out, "  Reshape pos'n : {}{}", at / 2, human::size(at.wrapping_mul(512)));
        let (now, delta) = (sb.raid_disks() as i32, sb.delta_disks());
        if delta != 0 {
            line!(out, "  Delta Devices : {delta} ({}->{now})", now.wrapping_sub(delta));
        }
        if sb.new_level_raw() != sb.level_raw() {
            line!(out, "      New Level : {}", level_name(sb.new_level_raw()));
        }
        if sb.new_layout() != sb.layout() {
            self.new_layout(out);
        }
        if sb.new_chunk_bytes() != sb.chunk_bytes() {
            line!(out, "  New Chunksize : {}", sb.new_chunk_bytes());
        }
        line!(out, "");
    }

    fn new_layout(&self, out: &mut String) {
        let number = self.sb.new_layout();
        match Level::from_raw(self.sb.level_raw()) {
            Some(level @ (Level::Raid5 | Level::Raid6)) => {
                line!(out, "     New Layout : {}", layout::name(level, number).as_deref().unwrap_or("-unknown-"));
            }
            Some(Level::Raid10) => {
                let word = if number & 0x1_0000 == 0 { "far" } else { "offset" };
                line!(out, "     New Layout : near={}, {word}={}", number & 0xff, (number >> 8) & 0xff);
            }
            _ => {}
        }
    }

    fn health(&self, out: &mut String) {
        let sb = &self.sb;
        line!(out, "    Update Time : {}", self.updated);
        line!(out, "          State : {}", if sb.state() & state::CLEAN != 0 { "clean" } else { "active" });
        if sb.state() & state::BITMAP_PRESENT != 0 {
            line!(out, "Internal Bitmap : present");
        }
        line!(out, " Active Devices : {}", sb.active_disks() as i32);
        line!(out, "Working Devices : {}", sb.working_disks() as i32);
        line!(out, " Failed Devices : {}", sb.failed_disks() as i32);
        line!(out, "  Spare Devices : {}", sb.spare_disks() as i32);
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
        if let Some(level @ (Level::Raid5 | Level::Raid6 | Level::Raid10)) = level {
            line!(out, "         Layout : {}", layout::name(level, sb.layout()).as_deref().unwrap_or("-unknown-"));
        }
        match level {
            Some(Level::Raid0 | Level::Raid4 | Level::Raid5 | Level::Raid6 | Level::Raid10) => {
                line!(out, "     Chunk Size : {}K", sb.chunk_bytes() / 1024);
            }
            Some(Level::Linear) => {
                line!(out, "       Rounding : {}K", sb.chunk_bytes() / 1024);
            }
            _ => {}
        }
        line!(out, "");
    }

    fn table(&self, out: &mut String) {
        let sb = &self.sb;
        line!(out, "      Number   Major   Minor   RaidDevice State");
        let path = |n: usize| self.paths.get(n).and_then(Option::as_deref);
        row(out, "this", &sb.this_disk(), path(MAX_DISKS));
        line!(out, "");
        for n in 0..self.rows() {
            let Some(disk) = sb.disk(n) else { continue };
            row(out, &n.to_string(), &disk, path(n));
        }
    }

    /// Rows of the table: slots of before and after a reshape, and spares.
    fn rows(&self) -> usize {
        let sb = &self.sb;
        let before = if sb.minor_version() > 90 { sb.delta_disks().min(0).wrapping_neg() } else { 0 };
        let rows = (sb.raid_disks() as i32).wrapping_add(sb.spare_disks() as i32).wrapping_add(before);
        usize::try_from(rows).unwrap_or(0).min(MAX_DISKS)
    }
}

fn row(out: &mut String, label: &str, disk: &DiskV0, path: Option<&str>) {
    let words = [
        (bit::FAULTY, " faulty"),
        (bit::ACTIVE, " active"),
        (bit::SYNC, " sync"),
        (bit::REMOVED, " removed"),
        (bit::WRITEMOSTLY, " write-mostly"),
        (bit::FAILFAST, " failfast"),
    ];
    let mut state: String = words.iter().filter(|w| disk.state & w.0 != 0).map(|w| w.1).collect();
    if disk.state & (bit::FAULTY | bit::ACTIVE | bit::SYNC | bit::REMOVED) == 0 {
        state.push_str(" spare");
    }
    let path = path.map_or(String::new(), |p| format!("   {p}"));
    let _ = writeln!(
        out,
        "{label:>4} {:5}   {:5}    {:5}    {:5}     {state}{path}",
        disk.number as i32, disk.major as i32, disk.minor as i32, disk.raid_disk as i32
    );
}
