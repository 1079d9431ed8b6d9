//! The members beside each other, for a person who has to decide, and for `--json`.

use super::rank::{Ranking, Verdict, slot_of};
use super::{Candidate, Matched, Wishes, array_state, identify, knows_slot, rank};
use crate::bitmap::header::{Kind, state};
use crate::superblock::v1::{Role, feature};
use crate::uuid::Uuid;

/// One member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRow {
    /// Its path.
    pub device: String,
    /// Its array's uuid.
    pub array: Uuid,
    /// `slot 1`, `spare`, `journal`, ...
    pub role: String,
    /// Its slot, where it has one.
    pub slot: Option<u32>,
    /// Its count of events.
    pub events: u64,
    /// When it was last written, in seconds since 1970.
    pub updated_seconds: u64,
    /// The same for a person.
    pub updated: String,
    /// The slots as it knows them: `A` active, `.` missing.
    pub sees: String,
    /// What bitmap it has, and whether that is up to date.
    pub bitmap: String,
    /// What becomes of it.
    pub verdict: String,
}

/// The members of the array that is asked for among the devices, as `decide` finds them.
#[must_use]
pub fn members(wishes: &Wishes, candidates: &[Candidate]) -> Vec<MemberRow> {
    match identify::identify(wishes, candidates) {
        Ok(found) => rows(&found.members, Some(&rank::rank(&found.members))),
        Err(_) => Vec::new(),
    }
}

/// One row for each member; without a ranking nothing is said of what becomes of it.
#[must_use]
pub fn rows(members: &[Matched<'_>], ranking: Option<&Ranking>) -> Vec<MemberRow> {
    let chosen = ranking.and_then(|r| members.get(r.chosen)).and_then(|m| slot_of(&m.member.sb));
    let verdict = |n: usize, m: &Matched<'_>| {
        let verdict = *ranking?.verdicts.get(n)?;
        let alone = slot_of(&m.member.sb).and(chosen).is_some_and(|slot| !knows_slot(&m.member.sb, slot));
        Some(match verdict {
            Verdict::Apart(_) | Verdict::Stale(_) if alone => "has run without the others".into(),
            _ => words(members, verdict),
        })
    };
    members.iter().enumerate().map(|(n, m)| row(m, verdict(n, m).unwrap_or_default())).collect()
}

fn row(m: &Matched<'_>, verdict: String) -> MemberRow {
    let sb = &m.member.sb;
    let slot = slot_of(sb);
    MemberRow {
        device: m.candidate.path.display().to_string(),
        array: sb.set_uuid(),
        role: match (sb.role(), slot) {
            (_, Some(slot)) if sb.has(feature::REPLACEMENT) => format!("replaces slot {slot}"),
            (_, Some(slot)) => format!("slot {slot}"),
            (Role::Spare, _) => "spare".into(),
            (Role::Journal, _) => "journal".into(),
            _ => "no slot".into(),
        },
        slot,
        events: sb.events(),
        updated_seconds: sb.utime(),
        updated: m.member.updated.clone(),
        sees: array_state(sb),
        bitmap: bitmap(m),
        verdict,
    }
}

fn bitmap(m: &Matched<'_>) -> String {
    let found = match &m.member.bitmap {
        None => return "none".into(),
        Some(Err(_)) => return "unreadable".into(),
        Some(Ok(found)) => found,
    };
    let kind = match found.kind {
        Kind::Lockless => "lockless",
        Kind::Clustered => "clustered",
        Kind::HostEndian | Kind::LittleEndian => "internal",
    };
    // Kernel md_bitmap_read_sb: one that is older than the superblock, or marked so, counts as all dirty.
    let stale = found.sb.events() < m.member.sb.events() || found.sb.state() & state::STALE != 0;
    match (found.first_use, stale) {
        (true, _) => format!("{kind}, never used"),
        (_, true) => format!("{kind}, out of date"),
        _ => kind.into(),
    }
}

fn words(members: &[Matched<'_>], verdict: Verdict) -> String {
    match verdict {
        Verdict::Active(_) => "in sync".into(),
        Verdict::Rebuilding(_) => "rebuilt in part".into(),
        Verdict::Replacement(_) => "replacement".into(),
        Verdict::Spare => "spare".into(),
        Verdict::Journal => "journal".into(),
        Verdict::StaleJournal | Verdict::Stale(_) => "out of date".into(),
        Verdict::Apart(_) => "left out".into(),
        Verdict::Copy(of) => {
            let of = members.get(of).map_or_else(String::new, |m| m.candidate.path.display().to_string());
            format!("copy of {of}")
        }
        Verdict::Useless => "failed".into(),
    }
}

/// The rows in aligned columns, a head first.
#[must_use]
pub fn lines(rows: &[MemberRow]) -> Vec<String> {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    let told = rows.iter().any(|r| !r.verdict.is_empty());
    let mut head = vec!["device", "role", "events", "last written", "sees", "bitmap"];
    head.extend(told.then_some("verdict"));
    table.set_header(head);
    for row in rows {
        let (role, bitmap) = (row.role.clone(), row.bitmap.clone());
        let mut cells =
            vec![row.device.clone(), role, row.events.to_string(), row.updated.clone(), row.sees.clone(), bitmap];
        cells.extend(told.then(|| row.verdict.clone()));
        table.add_row(cells);
    }
    table.lines().map(|line| format!(" {}", line.trim_end())).collect()
}
