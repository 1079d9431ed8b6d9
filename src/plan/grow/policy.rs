//! `--grow --consistency-policy`: a partial parity log is put on a running raid5, or taken off.

use super::bitmap::{Facts, Member};
use super::shape::Shape;
use super::space::{Gap, Lies, gaps};
use crate::cli::request::ConsistencyPolicy;
use crate::error::Refusal;
use crate::level::Level;
use crate::plan::step::{Plan, Step};
use crate::superblock::Version;
use crate::superblock::raid_log::{PPL_SECTORS, ppl_area};
use crate::superblock::v1::Minor;
use crate::units::SECTOR_BYTES;

/// How far a PPL can be from the superblock, in sectors either way (a field of 16 bits).
const FARTHEST: i64 = 32_767;

/// The steps; `now` is the kernel's word for what there is. Refusals are in the reference's words.
///
/// # Errors
/// The level, the metadata or what there is has no such policy; there is no room for a PPL.
pub fn plan(shape: &Shape, facts: &Facts, policy: ConsistencyPolicy, now: &str) -> Result<Plan, Refusal> {
    let no = |line: String| Err(Refusal::new(line));
    let word = policy.word();
    let ppl = policy == ConsistencyPolicy::Ppl;
    if shape.level != Level::Raid5 {
        return no(format!("Operation not supported for array level {}", shape.level.raw()));
    }
    if !ppl && policy != ConsistencyPolicy::Resync {
        let refusal = Refusal::new(format!("Operation not supported for consistency policy {word}"));
        return Err(match policy {
            ConsistencyPolicy::Bitmap => {
                refusal.hint(format!("mdadm --grow {} --bitmap=internal does it", shape.shown))
            }
            ConsistencyPolicy::Journal => {
                refusal.hint(format!("see mdadm --readonly {0}, mdadm {0} --add-journal DEVICE", shape.shown))
            }
            _ => refusal,
        });
    }
    if ppl && !matches!(shape.version, Some(Version::V1(_))) {
        return no("0.90 metadata does not support PPL".into());
    }
    if now == word {
        return no(format!("Consistency policy is already {word}"));
    }
    if !matches!(now, "resync" | "ppl") {
        return no(format!("Current consistency policy is {now}, cannot change to {word}"));
    }
    shape.writable(&format!("cannot change the consistency policy of {}", shape.shown))?;
    let set = shape.set("consistency_policy", word);
    if !ppl {
        return Ok(Plan { steps: vec![set] });
    }
    let mut plan = put_on(shape, facts)?;
    plan.steps.push(set);
    Ok(plan)
}

/// An empty log on every member, spares too, and where the kernel finds it.
fn put_on(shape: &Shape, facts: &Facts) -> Result<Plan, Refusal> {
    let Some(Version::V1(minor)) = facts.version else { return Err(Refusal::new("PPL takes metadata 1.x")) };
    let unreadable = |m: &Member| Refusal::new(format!("cannot read the superblock of {}", m.path.display()));
    let lies = |m: &Member| m.lies.ok_or_else(|| unreadable(m));
    let all: Vec<Lies> = facts.members.iter().map(lies).collect::<Result<_, _>>()?;
    let offset = place(minor, &gaps(minor, &all, &[])).ok_or_else(|| {
        Refusal::new("Not enough space to add ppl").hint(format!(
            "the members of {} have no {}K free at the same place beside their metadata",
            shape.shown,
            PPL_SECTORS / 2
        ))
    })?;
    let (mut written, mut told) = (Vec::new(), Vec::new());
    for (member, lies) in facts.members.iter().zip(all) {
        let shown = member.path.display().to_string();
        let part = shape.parts.iter().find(|p| p.shown == shown).ok_or_else(|| unreadable(member))?;
        let sector = lies.at.checked_add_signed(offset).ok_or_else(|| unreadable(member))?;
        written.push(Step::Write {
            device: member.path.clone(),
            offset: sector.saturating_mul(SECTOR_BYTES),
            bytes: ppl_area(facts.uuid, PPL_SECTORS),
            what: "an empty PPL".into(),
        });
        told.push(shape.set_part(part, "ppl_sector", sector.to_string()));
        told.push(shape.set_part(part, "ppl_size", PPL_SECTORS.to_string()));
    }
    written.extend(facts.members.iter().map(|m| Step::Sync { device: m.path.clone() }));
    written.extend(told);
    Ok(Plan { steps: written })
}

/// The nearest place to the superblock, as the reference has it where it has any.
fn place(minor: Minor, free: &[Gap]) -> Option<i64> {
    let takes = i64::from(PPL_SECTORS);
    let mut fits = free.iter().filter(|(from, to)| to - from >= takes);
    let offset = match minor {
        Minor::V0 => fits.next_back()?.1 - takes,
        Minor::V1 | Minor::V2 => fits.next()?.0,
    };
    (offset.abs() <= FARTHEST).then_some(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ppl_lies_next_to_the_superblock_where_there_is_room_for_all_of_it() {
        assert_eq!(place(Minor::V2, &[(8, 16), (24, 2040)]), None);
        assert_eq!(place(Minor::V2, &[(8, 16), (24, 2072)]), Some(24));
        assert_eq!(place(Minor::V0, &[(-9000, -16), (-8, 0)]), Some(-2064));
        assert_eq!(place(Minor::V2, &[(40_000, 90_000)]), None);
    }
}
