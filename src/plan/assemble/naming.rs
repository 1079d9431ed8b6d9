//! What an array that is assembled by itself is called, and whether it may be.
//!
//! As the reference does it (4.6, observed): an array of this host has its own name, one of another host `host:name`, one whose
//! metadata tell no host a name that ends in `_0`. A name that is a number or `mdN` asks for that number, if the array is
//! local.

use super::{Content, Member};
use crate::host::conf::{AutoRule, AutoWhat};
use crate::plan::policy::Auto;
use crate::superblock::{Version, v0};

/// Whose arrays are this machine's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Local {
    /// Those of this host.
    Host(String),
    /// All: `--homehost=<ignore>`.
    All,
}

/// A name for an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutoName {
    /// Below /dev/md: one file name.
    pub name: String,
    /// The number it asks for; another will do.
    pub number: Option<u32>,
    /// It ends in `_0` at once, and not only where the name is taken.
    pub suffixed: bool,
}

/// Whether the metadata say that the array was made for this host.
#[must_use]
pub fn is_local(member: &Member, local: &Local) -> bool {
    match (local, &member.old) {
        (Local::All, _) => true,
        (Local::Host(host), Some(old)) => v0::is_local(old, host),
        (Local::Host(host), None) => split(&name_of(member)).0.is_some_and(|h| h == host || h == "any"),
    }
}

/// The name of the array that this is a member of.
#[must_use]
pub fn auto_name(member: &Member, local: &Local) -> AutoName {
    let is_local = is_local(member, local);
    if let Some(old) = &member.old {
        let number = old.md_minor();
        return AutoName { name: number.to_string(), number: is_local.then_some(number), suffixed: !is_local };
    }
    let full = name_of(member);
    let (host, name) = split(&full);
    let shown = if is_local || host.is_none() { name } else { full.as_str() };
    // "." and ".." are no names; an empty one is none.
    let name = match file_name(shown) {
        word if word.chars().all(|c| c == '.') => "array".to_owned(),
        word => word,
    };
    let number = number_in(&name).filter(|_| is_local);
    AutoName { name, number, suffixed: !is_local && host.is_none() }
}

/// The number that an array's own name asks for, whatever host it is of: where somebody has named it otherwise it gets that, if it
/// is free.
#[must_use]
pub fn own_number(member: &Member) -> Option<u32> {
    match &member.old {
        Some(old) => Some(old.md_minor()),
        None => number_in(split(&name_of(member)).1),
    }
}

/// `7` or `md7`.
fn number_in(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("md").unwrap_or(name);
    digits.parse().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))
}

fn name_of(member: &Member) -> String {
    String::from_utf8_lossy(&member.sb.set_name()).into_owned()
}

/// Host and name.
fn split(full: &str) -> (Option<&str>, &str) {
    full.split_once(':').map_or((None, full), |(host, name)| (Some(host), name))
}

/// One word that can stand in /dev/md, and in the map file.
fn file_name(name: &str) -> String {
    let safe = |c: char| match c {
        '/' => '-',
        c if c.is_whitespace() || c.is_control() => '_',
        c => c,
    };
    name.chars().map(safe).collect()
}

/// What AUTO calls the metadata of a version.
#[must_use]
pub fn format_name(version: Version) -> &'static str {
    if version == Version::V090 { "0.90" } else { "1.x" }
}

/// Whether this array may be assembled by itself: the policies of the device decide, else the first rule of AUTO that fits, and
/// without one it may.
#[must_use]
pub fn may_start(rules: Option<&[AutoRule]>, policy: Auto, member: &Member, local: &Local) -> bool {
    if let Some(decided) = policy.decides(is_local(member, local)) {
        return decided;
    }
    let fits = |rule: &&AutoRule| match rule.what {
        AutoWhat::All => true,
        AutoWhat::Homehost => is_local(member, local),
        AutoWhat::V0 => member.version == Version::V090,
        AutoWhat::V1 => member.version != Version::V090,
        AutoWhat::Ddf | AutoWhat::Imsm => false,
    };
    rules.unwrap_or_default().iter().find(fits).is_none_or(|rule| rule.allow)
}

/// The member that a device is.
#[must_use]
pub fn member(content: &Content) -> Option<&Member> {
    match content {
        Content::Member(member) => Some(member),
        _ => None,
    }
}
