//! `--replace` and `--with`: a member is copied to a spare while it is still read.

use super::{ArrayFacts, Target};
use crate::error::Refusal;
use crate::plan::step::{Plan, Step};

/// Marks a member for replacement; gives its slot.
///
/// # Errors
/// It is no member, or not active.
pub fn replace(array: &ArrayFacts, target: &Target) -> Result<(Plan, u32), Refusal> {
    let (shown, name) = (&target.shown, &array.shown);
    let Some((_, member)) = array.find(target) else {
        return Err(Refusal::new(format!("{shown} not found in {name} so cannot --replace it")));
    };
    let Some(slot) = member.slot.filter(|_| !member.journal) else {
        return Err(Refusal::new(format!("{shown} is not active and so cannot be replaced.")));
    };
    Ok((store(array, &member.kname, "state", "want_replacement"), slot))
}

/// Makes a spare the replacement for the member of a slot; nothing is to do where the kernel has chosen it by itself.
///
/// # Errors
/// It is no spare of the array.
pub fn with(array: &ArrayFacts, target: &Target, slot: u32) -> Result<Plan, Refusal> {
    let (shown, name) = (&target.shown, &array.shown);
    match array.find(target) {
        None => Err(Refusal::new(format!("{shown} not found in {name} so cannot make it preferred replacement"))),
        Some((_, m)) if m.faulty => Err(Refusal::new(format!("{shown} is faulty and cannot be a replacement"))),
        Some((_, m)) if m.replacement && m.slot == Some(slot) => Ok(Plan::default()),
        Some((_, m)) if m.slot.is_some() => Err(Refusal::new(format!("{shown} is active and cannot be a replacement"))),
        Some((_, m)) => Ok(store(array, &m.kname, "slot", &slot.to_string())),
    }
}

fn store(array: &ArrayFacts, kname: &str, attr: &str, value: &str) -> Plan {
    let attr = format!("dev-{}/{attr}", kname.replace('/', "!"));
    let devname = array.devname.clone();
    Plan { steps: vec![Step::Sysfs { devname, attr, value: value.into(), verify: None }] }
}
