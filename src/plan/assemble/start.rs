//! Whether the array is started, and the sentences about it.

use super::rank::{Ranking, Verdict};
use super::{Degraded, Line, Member, Wishes, count};
use crate::error::Refusal;
use crate::level::Level;
use crate::plan::incremental::{Count, count as count_members};
use crate::superblock::Version;
use crate::superblock::reshape::all_slots;
use crate::superblock::v1::{Role, SuperV1, feature};

/// What is done with the array, and what is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// It is put together: started, or at least tried to.
    pub go: bool,
    /// It is put together and not started.
    pub waits: bool,
    /// `has been started with 3 drives.`, or why it is not started; without the array's name.
    pub said: String,
    /// What is said where the kernel refuses to start it.
    pub on_failure: Option<String>,
}

/// Decides by the chosen member's superblock, as edited.
#[must_use]
pub fn start(wishes: &Wishes, sb: &SuperV1, ranking: &Ranking) -> Start {
    let disks = sb.raid_disks();
    let active = ranking.active(all_slots(sb));
    let Count { there, rebuilding, known, able, dirty } = count_members(sb, ranking);
    let spares = ranking.count(|v| *v == Verdict::Spare);
    let tail = suffix(rebuilding, spares);
    let reason = match (able, dirty) {
        (false, _) => Some("not enough to start the array."),
        (true, true) => Some("not enough to start the array while not clean - consider --force."),
        (true, false) => None,
    };
    let insists = wishes.run || wishes.force || wishes.degraded == Degraded::Start;
    let all = there + rebuilding >= known;
    if wishes.degraded == Degraded::Never && reason.is_none() && !all {
        let said = format!("assembled from {} (out of {disks}), but not started.", count(there, "drive"));
        return Start { go: true, waits: true, said, on_failure: None };
    }
    if wishes.run || (reason.is_none() && (all || insists)) {
        let out_of = if there < active.len() { format!(" (out of {disks})") } else { String::new() };
        let journal = if ranking.verdicts.contains(&Verdict::Journal) { " and 1 journal" } else { "" };
        let said = format!("has been started with {}{out_of}{tail}{journal}.", count(there, "drive"));
        let on_failure = reason.map(|r| r.replacen("not", "Not", 1).replace("Not enough to", "Not enough devices to"));
        return Start { go: true, waits: false, said, on_failure };
    }
    let from = format!("assembled from {}{tail}", count(there, "drive"));
    let why = match reason {
        Some(reason) => reason.to_owned(),
        None if known == active.len() => format!("need all {known} to start it (use --run to insist)."),
        None => format!("need {known} to start (use --run to insist)."),
    };
    Start { go: false, waits: false, said: format!("{from} - {why}"), on_failure: None }
}

fn suffix(rebuilding: usize, spares: usize) -> String {
    let mut text = String::new();
    if rebuilding > 0 {
        text += &format!("{} {rebuilding} rebuilding", if spares > 0 { "," } else { " and" });
    }
    if spares > 0 {
        text += &format!(" and {}", count(spares, "spare"));
    }
    text
}

/// Writes that only the journal has would be lost without it: then the array starts read-only, and with `--force` only.
///
/// # Errors
/// The [`Refusal`] without `--force`.
pub fn journal(wishes: &Wishes, sb: &SuperV1, ranking: &Ranking) -> Result<Option<Line>, Refusal> {
    if !sb.has(feature::JOURNAL) || ranking.verdicts.contains(&Verdict::Journal) {
        return Ok(None);
    }
    if wishes.force {
        return Ok(Some(Line::normal("Journal is missing or stale, starting array read only.")));
    }
    Err(Refusal::new("Not safe to assemble with missing or stale journal device, consider --force."))
}

/// Why a kernel may refuse this array, in words, where the superblock tells.
#[must_use]
pub fn explain(version: Version, sb: &SuperV1, kernel_records_block_size: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let raid0 = Level::from_raw(sb.level_raw()) == Some(Level::Raid0);
    if raid0 && version == Version::V090 {
        lines.push(
            "0.90 metadata cannot record which layout a raid0 has on members of different sizes, and a wrong one reads as \
             garbage: the kernel takes it from /sys/module/raid0/parameters/default_layout, 1 if the array was made with \
             Linux before 3.14, else 2"
                .into(),
        );
        return lines;
    }
    if sb.logical_block_size() != 0 && !kernel_records_block_size {
        lines.push(format!(
            "the array records its logical block size ({} bytes): it takes Linux 6.19 or later to assemble it, or \
             --update=no-logical-block-size, which takes the record away",
            sb.logical_block_size()
        ));
    }
    if raid0 && !sb.has(feature::RAID0_LAYOUT) {
        lines.push(
            "the array does not record which layout it has on members of different sizes, and a wrong one reads as garbage: \
             --update=layout-original if it was made with Linux before 3.14, else --update=layout-alternate"
                .into(),
        );
    }
    lines
}

/// The slot as `--verbose` prints it.
#[must_use]
pub fn slot_words(member: &Member) -> String {
    let sb = &member.sb;
    // A 0.90 spare has the number of its descriptor here.
    if let Some(old) = member.old.as_ref().filter(|_| sb.role() == Role::Spare) {
        return i32::from_ne_bytes(old.this_disk().raid_disk.to_ne_bytes()).to_string();
    }
    let replacement = if sb.has(feature::REPLACEMENT) { " replacement" } else { "" };
    format!("{}{replacement}", slot_number(sb))
}

/// The slot; -1 for a spare. A journal has the number of its role.
#[must_use]
pub fn slot_number(sb: &SuperV1) -> i64 {
    match sb.role() {
        Role::Slot(slot) => slot.into(),
        Role::Journal => Role::Journal.raw().into(),
        _ => -1,
    }
}
