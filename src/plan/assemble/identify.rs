//! Which of the devices are members of the array that was asked for.

use super::{Candidate, Content, Line, Matched, Member, Update, Wishes};
use crate::error::{Exit, Refusal};
use crate::superblock::Version;
use crate::superblock::v1::{MAGIC, SuperV1};

/// The members, and what is said about the other devices.
#[derive(Debug, Default)]
pub struct Identified<'a> {
    /// Members in the order of the list.
    pub members: Vec<Matched<'a>>,
    /// What was said.
    pub lines: Vec<Line>,
}

/// Goes through the devices in order, as the reference does: the first member settles which array it is, unless `--uuid`
/// or `--name` do.
///
/// # Errors
/// A device without a usable superblock, or with that of another array: listing it was a mistake. Exit status 2 and no
/// line where no member is left, as in the reference.
pub fn identify<'a>(wishes: &Wishes, candidates: &'a [Candidate]) -> Result<Identified<'a>, (Vec<Line>, Refusal)> {
    let mut found = Identified::default();
    found.lines.push(Line::wordy(format!("looking for devices for {}", wishes.shown)));
    let said = |text: String| if wishes.searched { Line::wordy(text) } else { Line::normal(text) };
    let mut like: Option<&Member> = None;
    for (index, candidate) in candidates.iter().enumerate() {
        let shown = candidate.path.display();
        let member = match usable(wishes, candidate, like.map(|l| l.version)) {
            Ok(member) => member,
            Err(refusal) if wishes.searched => {
                let lines = refusal.lines.into_iter().filter(|l| !l.ends_with(" - assembly aborted"));
                found.lines.extend(lines.map(Line::wordy));
                continue;
            }
            // Who named the array may list what is not in it; who named its members may not.
            Err(refusal) if identified(wishes) && !matches!(candidate.content, Content::Member(_)) => {
                let told = refusal.lines.into_iter().filter(|l| !l.ends_with("assembly aborted"));
                found.lines.extend(told.map(Line::normal));
                continue;
            }
            Err(refusal) => return Err((found.lines, refusal)),
        };
        if let Some(line) = wrong(wishes, member) {
            found.lines.push(said(format!("{shown} has wrong {line}.")));
            continue;
        }
        if member.busy {
            found.lines.push(said(format!("{shown} is busy - skipping")));
            continue;
        }
        if like.is_some_and(|first| !same_array(first, member)) {
            let line = format!("superblock on {shown} doesn't match others - assembly aborted");
            return Err((found.lines, Refusal::new(line)));
        }
        if found.members.iter().any(|m| m.candidate.dev == candidate.dev && candidate.dev != (0, 0)) {
            continue;
        }
        like = like.or(Some(member));
        found.members.push(Matched { index, candidate, member });
    }
    if found.members.is_empty() {
        return Err((found.lines, Refusal { lines: Vec::new(), exit: Exit::USAGE }));
    }
    Ok(found)
}

/// A device's metadata, or why listing it ends the assembly.
fn usable<'a>(wishes: &Wishes, candidate: &'a Candidate, others: Option<Version>) -> Result<&'a Member, Refusal> {
    let shown = candidate.path.display();
    let none = |magic: u32| {
        Refusal::new(format!("No super block found on {shown} (Expected magic {MAGIC:08x}, got {magic:08x})"))
            .hint(format!("no RAID superblock on {shown}"))
            .hint(format!("{shown} has no superblock - assembly aborted"))
    };
    let aborted = |line: String| Refusal::new(line).hint(format!("{shown} has no superblock - assembly aborted"));
    match &candidate.content {
        Content::Unusable(line) => Err(aborted(line.clone())),
        Content::Nothing(magic) => {
            if let Some(version) = others.or(wishes.version) {
                let at = Version::ALL.iter().position(|v| *v == version);
                return Err(none(at.and_then(|at| magic.get(at)).copied().unwrap_or(0)));
            }
            Err(aborted(format!("no recogniseable superblock on {shown}")))
        }
        Content::OtherOrder => Err(aborted(format!("no recogniseable superblock on {shown}")).hint(format!(
            "{shown} has a 0.90 superblock of a machine of the other byte order: --update=byteorder makes it this one's"
        ))),
        Content::Elsewhere(whose) => Err(aborted(whose.clone())),
        Content::Foreign(name) => Err(Refusal::new(format!(
            "{shown} holds {name}: arrays of that kind are not assembled by this version of mdadm-rs"
        ))),
        Content::Broken(why) => Err(aborted(format!("the superblock on {shown} is damaged: {why}"))),
        Content::Member(member) => Ok(member),
    }
}

/// Whether the array was named by its uuid, name or number, not only by its members.
fn identified(wishes: &Wishes) -> bool {
    let uuid = wishes.uuid.is_some() && !matches!(wishes.update, Some(Update::Uuid(_)));
    let name = wishes.name.is_some() && !matches!(wishes.update, Some(Update::Name(_)));
    uuid || name || wishes.super_minor.is_some()
}

/// Whether two members say the same of their array.
pub(crate) fn same_array(a: &Member, b: &Member) -> bool {
    let identity = |m: &Member| (m.version, m.sb.set_uuid(), m.sb.ctime(), m.sb.level_raw());
    identity(a) == identity(b)
}

/// Which part of the identity is another array's. With `--update=uuid` and `=name` those options are the new values.
fn wrong(wishes: &Wishes, member: &Member) -> Option<&'static str> {
    let sb = &member.sb;
    if !matches!(wishes.update, Some(Update::Uuid(_))) && wishes.uuid.is_some_and(|uuid| uuid != sb.set_uuid()) {
        return Some("uuid");
    }
    if !matches!(wishes.update, Some(Update::Name(_)))
        && wishes.name.as_ref().is_some_and(|name| !is_named(sb, name, wishes.homehost.as_deref()))
    {
        return Some("name");
    }
    let number = member.old.as_ref().map(|old| old.md_minor());
    wishes.super_minor.is_some_and(|wanted| number != Some(wanted)).then_some("super-minor")
}

/// The name itself, or with this machine's in front of it.
fn is_named(sb: &SuperV1, name: &str, homehost: Option<&str>) -> bool {
    let set = sb.set_name();
    set == name.as_bytes() || homehost.is_some_and(|h| set == format!("{h}:{name}").as_bytes())
}
