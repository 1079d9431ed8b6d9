//! What `--plan` says of a reshape before its steps.

use serde_json::{Value, json};

use super::super::shape::Shape;
use super::route::{Geometry, Route};
use super::{Start, member_sectors, offset};
use crate::layout;
use crate::level::Level;

/// What a reshape comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// As typed.
    pub shown: String,
    /// Before and in the end.
    pub from: Geometry,
    /// The same.
    pub to: Geometry,
    /// KiB of the array before and in the end.
    pub kib: (u64, u64),
    /// KiB by which the data of each member moves, and whether up; `None`: it stays where it is, and is saved first.
    pub moves: Option<(u64, bool)>,
    /// KiB of each member that are read and written.
    pub member_kib: u64,
    /// KiB of each member in which what is written could still be needed if data stayed where it is.
    pub critical_kib: u64,
    /// KiB per second of each member, at least and at most, as the limits are now.
    pub speed: (u64, u64),
    /// The kernel waits where it must, for somebody to let it go on.
    pub held: bool,
    /// Where what is overwritten is saved; `None`: nothing is.
    pub backup: Option<Backup>,
    /// Why it is not safe to interrupt.
    pub risks: Vec<String>,
}

/// A file for what is overwritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// The file, as shown to the user.
    pub shown: String,
    /// KiB that it takes.
    pub kib: u64,
    /// A power cut loses it.
    pub in_memory: bool,
}

/// Why an interruption would not be harmless. `shape` is that before all levels.
fn risks(shape: &Shape, backup: Option<&Backup>) -> Vec<String> {
    let mut risks = Vec::new();
    if let Some(backup) = backup.filter(|b| b.in_memory) {
        risks.push(format!(
            "{} is in memory: a power cut while data is overwritten would lose it; another place: --backup-file=FILE",
            backup.shown
        ));
    }
    let there = shape.parts.iter().filter(|p| p.slot.is_some() && p.in_sync && !p.faulty).count();
    let missing = u64::from(shape.slots).saturating_sub(u64::try_from(there).unwrap_or(0));
    if missing > 0 && shape.level.is_parity() {
        risks.push(format!(
            "{missing} of its {} members are missing: after a power cut amid writes it is started by --assemble --force only, and what \
             was being written may read back wrong",
            shape.slots
        ));
    }
    risks
}

/// The summary of a start. `shape` is that before all levels; `speed` in KiB per second, at least and at most.
#[must_use]
pub fn of(shape: &Shape, route: &Route, start: &Start, speed: (u64, u64), backup: Option<Backup>) -> Summary {
    let member = member_sectors(shape);
    let kib = |g: &Geometry| g.array_sectors(member) / 2;
    Summary {
        shown: shape.shown.clone(),
        from: Geometry::of(shape),
        to: route.end,
        kib: (kib(&route.from), kib(&route.to)),
        moves: start.moved.as_ref().map(|m| (m.by / 2, m.backwards)),
        member_kib: member / 2,
        critical_kib: offset::critical(&route.from, &route.to, member) / 2,
        speed,
        held: start.held,
        risks: risks(shape, backup.as_ref()),
        backup,
    }
}

fn words(g: &Geometry) -> String {
    let layout = match g.level {
        Level::Raid5 | Level::Raid6 | Level::Raid10 => layout::name(g.level, g.layout).map(|l| format!(", layout {l}")),
        _ => None,
    };
    let chunk = if g.level.is_striped() { format!(", chunk {}K", g.chunk.0 / 2) } else { String::new() };
    format!("{} of {}{}{chunk}", g.level.name(), g.slots, layout.unwrap_or_default())
}

/// `12 s`, `5 min`, `3 h 7 min`.
#[must_use]
pub fn clock(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

impl Summary {
    fn seconds(&self) -> (u64, u64) {
        let at = |speed: u64| self.member_kib.div_ceil(speed.max(1));
        (at(self.speed.1), at(self.speed.0))
    }

    /// One line a fact.
    #[must_use]
    pub fn line(&self) -> String {
        let (fast, slow) = self.seconds();
        let mut lines = vec![
            format!("reshape {}: {} -> {}", self.shown, words(&self.from), words(&self.to)),
            format!("  size: {}K -> {}K", self.kib.0, self.kib.1),
        ];
        lines.push(match self.moves {
            Some((by, up)) => format!(
                "  moves: {}K of each member, {by}K {}; backup: not needed",
                self.member_kib,
                if up { "up" } else { "down" }
            ),
            None => {
                let place = self.backup.as_ref().map(|b| format!(", {}K in {}", b.kib, b.shown)).unwrap_or_default();
                format!("  moves: {}K of each member, in place; backup: needed{place}", self.member_kib)
            }
        });
        lines.push(format!("  critical section: {}K of each member", self.critical_kib));
        lines.push(format!(
            "  time: {} at {}K/s (sync_speed_max), {} at {}K/s (sync_speed_min)",
            clock(fast),
            self.speed.1,
            clock(slow),
            self.speed.0
        ));
        lines.push(match self.risks.as_slice() {
            [] => "  safe to interrupt: yes".into(),
            risks => format!("  safe to interrupt: no: {}", risks.join("; ")),
        });
        lines.join("\n")
    }

    /// The same as data.
    #[must_use]
    pub fn json(&self) -> Value {
        let one = |g: &Geometry| {
            json!({
                "level": g.level.name(), "raid_devices": g.slots, "layout": layout::name(g.level, g.layout),
                "chunk_bytes": g.chunk.0.saturating_mul(512),
            })
        };
        let (fast, slow) = self.seconds();
        json!({
            "step": "reshape", "array": self.shown, "from": one(&self.from), "to": one(&self.to),
            "size_bytes": self.kib.0.saturating_mul(1024), "new_size_bytes": self.kib.1.saturating_mul(1024),
            "member_bytes": self.member_kib.saturating_mul(1024),
            "data_moves_bytes": self.moves.map(|m| m.0.saturating_mul(1024)),
            "data_moves": self.moves.map(|m| if m.1 { "up" } else { "down" }),
            "backup_needed": self.moves.is_none(),
            "critical_section_bytes": self.critical_kib.saturating_mul(1024),
            "least_seconds": fast, "most_seconds": slow, "safe_to_interrupt": self.risks.is_empty(),
            "not_safe_because": self.risks,
            "backup_file": self.backup.as_ref().map(|b| &b.shown),
            "backup_bytes": self.backup.as_ref().map(|b| b.kib.saturating_mul(1024)),
            "looked_after": self.held,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{moved, start, tests::shape};
    use super::*;
    use crate::cli::request::GrowRequest;
    use crate::plan::grow::reshape::route::route;

    #[test]
    fn a_reshape_is_told_with_its_size_its_way_and_its_time() {
        let it = shape(Level::Raid5, 128, 3, 2);
        let req = GrowRequest { raid_devices: Some(4), ..GrowRequest::default() };
        let route = route(&it, &req).unwrap();
        let start = start(&it, &route, Some(moved(&it, &req, &route).unwrap().unwrap()));
        let told = of(&it, &route, &start, (1000, 4000), None);
        assert_eq!(
            told.line(),
            "reshape /dev/md0: raid5 of 3, layout left-symmetric, chunk 64K -> raid5 of 4, layout left-symmetric, chunk 64K\n  \
             size: 20480K -> 30720K\n  moves: 10240K of each member, 384K down; backup: not needed\n  critical section: 384K of \
             each member\n  time: 3 s at 4000K/s (sync_speed_max), 11 s at 1000K/s (sync_speed_min)\n  safe to interrupt: yes"
        );
        assert_eq!(told.json()["new_size_bytes"], 31_457_280);
        assert_eq!(told.json()["safe_to_interrupt"], true);
    }

    #[test]
    fn what_an_interruption_would_lose_is_said() {
        let mut it = shape(Level::Raid5, 128, 3, 2);
        it.parts.pop();
        let req = GrowRequest { chunk: Some(crate::units::Sectors(256)), ..GrowRequest::default() };
        let route = route(&it, &req).unwrap();
        let start = start(&it, &route, None);
        let backup = Backup { shown: "/run/backup".into(), kib: 8196, in_memory: true };
        let told = of(&it, &route, &start, (1000, 4000), Some(backup));
        let line = told.line();
        assert!(line.contains("backup: needed, 8196K in /run/backup"), "{line}");
        assert!(
            line.contains("interrupt: no: /run/backup is in memory") && line.contains("1 of its 3 members"),
            "{line}"
        );
        assert_eq!(
            (told.json()["safe_to_interrupt"].clone(), told.json()["backup_bytes"].clone()),
            (false.into(), 8_392_704.into())
        );
    }
}
