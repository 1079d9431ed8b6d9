//! `--revert`: whether a reshape that runs can go back, and what that takes.

use crate::error::{Exit, Refusal};
use crate::level::Level;
use crate::plan::assemble::reshape::never;
use crate::plan::step::{Plan, Step};
use crate::superblock::reshape::Reshape;

/// A running array.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Kernel name.
    pub devname: String,
    /// As shown to the user.
    pub shown: String,
    /// Its reshape, as its superblocks tell of it.
    pub reshape: Option<Reshape>,
    /// Its metadata are 0.90.
    pub old_metadata: bool,
    /// It is read-only.
    pub readonly: bool,
    /// Slots without a member in sync.
    pub missing: Vec<u32>,
    /// The devices that it is assembled of again.
    pub members: Vec<String>,
}

/// What will be done.
///
/// # Errors
/// Why not, and what to do.
pub fn plan(facts: &Facts) -> Result<Plan, Refusal> {
    let shown = &facts.shown;
    let Some(now) = facts.reshape else {
        return Err(Refusal::new(format!("there is no reshape to revert on {shown}")).with_exit(Exit::USAGE));
    };
    let cannot = |why: String| Refusal::new(format!("cannot revert the reshape of {shown}: {why}"));
    let ends = format!("it goes on: mdadm --wait {shown}");
    if let Some(why) = never(&now, facts.old_metadata) {
        return Err(cannot(why.into()).hint(ends));
    }
    if facts.readonly {
        return Err(cannot(format!("{shown} is read-only")).hint(format!("mdadm --readwrite {shown}")));
    }
    // Of what is a raid0 but for the reshape the parity is missing on purpose, that of before and that of after.
    let on_purpose = now.level == Level::Raid4 && facts.missing.iter().all(|n| *n + 2 >= now.all_slots());
    if !facts.missing.is_empty() && !on_purpose && now.old.slots < now.new.slots {
        return Err(cannot(format!(
            "it is degraded, and would get fewer devices: the kernel rebuilds the freed one wrongly (slot {})",
            facts.missing.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
        ))
        .hint(ends));
    }
    let Some(place) = now.next_turn() else {
        return Err(cannot("it is all but over, and there is no place left where it could be turned".into()).hint(ends));
    };
    let back = now.turned();
    let kernel = |what: String| Step::Kernel { what };
    let steps = vec![
        kernel(format!(
            "goes on to where the reshape can be turned: sector {place} of the array or soon behind it; it is held there"
        )),
        Step::StopArray { devname: facts.devname.clone() },
        kernel(format!(
            "is given {} again, their superblocks turned (mdadm --assemble --update=revert-reshape): {} slots and a chunk of {}K become {} and {}K",
            facts.members.join(" "),
            back.old.slots,
            back.old.chunk / 2,
            back.new.slots,
            back.new.chunk / 2
        )),
        kernel(format!("moves back what has moved: {}K of each member", place / back.data(&back.new).max(1) / 2)),
    ];
    Ok(Plan { steps })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::superblock::reshape::Arranged;

    fn grows() -> Facts {
        let a = |slots| Arranged { slots, layout: 2, chunk: 128 };
        let reshape = Reshape {
            level: Level::Raid5,
            old: a(3),
            new: a(4),
            backwards: false,
            position: 1152,
            size: 40_960,
            moves: -768,
        };
        Facts { devname: "md0".into(), shown: "/dev/md0".into(), reshape: Some(reshape), ..Facts::default() }
    }

    #[test]
    fn it_is_held_stopped_turned_and_started() {
        let lines: Vec<String> = plan(&grows()).unwrap().steps.iter().map(Step::line).collect();
        assert!(lines.first().unwrap().contains("sector 1536 of the array"), "{lines:?}");
        assert_eq!(lines.get(1).unwrap(), "ioctl  md0 STOP_ARRAY");
        assert!(lines.get(3).unwrap().contains("384K of each member"), "{lines:?}");
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_reason() {
        let refused = |facts: Facts| plan(&facts).unwrap_err().lines.join("; ");
        assert!(refused(Facts { reshape: None, ..grows() }).contains("no reshape to revert"));
        assert!(refused(Facts { readonly: true, ..grows() }).contains("read-only"));
        assert!(refused(Facts { missing: vec![1], ..grows() }).contains("degraded"));
        let with = |change: fn(&mut Reshape)| {
            let mut facts = grows();
            change(facts.reshape.as_mut().unwrap());
            facts
        };
        assert!(refused(with(|r| r.level = Level::Raid10)).contains("raid10"));
        assert!(refused(with(|r| r.position = 122_880)).contains("all but over"));
        let same = Facts { old_metadata: true, ..with(|r| r.new.slots = 3) };
        assert!(refused(same).contains("0.90"));
        // Of a raid0 that grows the parity is missing.
        let mut raid0 = with(|r| r.level = Level::Raid4);
        raid0.missing = vec![2, 3];
        assert!(plan(&raid0).is_ok());
    }
}
