//! AUTO, POLICY and SYSFS lines: what may be done with which devices, and what is set on which arrays.

use crate::metadata::Metadata;
use crate::uuid::Uuid;

/// Whether arrays of some kind are assembled by themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutoRule {
    /// `+`, else `-`.
    pub allow: bool,
    /// Which arrays.
    pub what: AutoWhat,
}

/// What a rule of the AUTO line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoWhat {
    /// Everything.
    All,
    /// Arrays made for this host.
    Homehost,
    /// v0.90 metadata.
    V0,
    /// v1.x metadata.
    V1,
    /// DDF sets.
    Ddf,
    /// IMSM sets.
    Imsm,
}

/// A POLICY or PART-POLICY line: what must match, and what then holds, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// PART-POLICY: for the partitions of the disks that match.
    pub for_partitions: bool,
    /// In order; a key may come more than once.
    pub words: Vec<(PolicyKey, String)>,
}

/// The left side of a word of a POLICY line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum PolicyKey {
    Path,
    Type,
    Domain,
    Metadata,
    Action,
    Auto,
}

/// A SYSFS line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SysfsLine {
    /// Which array; this outweighs the name.
    pub uuid: Option<Uuid>,
    /// `/dev/md/NAME`.
    pub name: Option<String>,
    /// Attribute below `md/`, and value.
    pub attributes: Vec<(String, String)>,
}

/// The words of an AUTO line, or of the environment variable MDADM_CONF_AUTO.
pub fn auto(words: &[String], problems: &mut Vec<String>) -> Vec<AutoRule> {
    let mut rules = Vec::new();
    for word in words {
        let (allow, name) = match (word.strip_prefix('+'), word.strip_prefix('-')) {
            (Some(name), _) => (true, name),
            (_, Some(name)) => (false, name),
            _ if word.eq_ignore_ascii_case("yes") => (true, "all"),
            _ if word.eq_ignore_ascii_case("no") => (false, "all"),
            _ if word.eq_ignore_ascii_case("homehost") => (true, "homehost"),
            _ => (true, ""),
        };
        let what = match name.to_ascii_lowercase().as_str() {
            "all" => AutoWhat::All,
            "homehost" => AutoWhat::Homehost,
            "0.90" | "0" | "0.9" => AutoWhat::V0,
            "1.x" | "1" | "1.0" | "1.1" | "1.2" => AutoWhat::V1,
            "ddf" => AutoWhat::Ddf,
            "imsm" => AutoWhat::Imsm,
            _ => {
                problems.push(format!("unrecognised word on AUTO line: {word}"));
                continue;
            }
        };
        rules.push(AutoRule { allow, what });
    }
    rules
}

/// Other than elsewhere the keys are in small letters only, as in the reference.
pub(super) fn policy(for_partitions: bool, words: &[String], problems: &mut Vec<String>) -> Policy {
    let keys = [
        ("path", PolicyKey::Path),
        ("type", PolicyKey::Type),
        ("domain", PolicyKey::Domain),
        ("metadata", PolicyKey::Metadata),
        ("action", PolicyKey::Action),
        ("auto", PolicyKey::Auto),
    ];
    let mut known = Vec::new();
    for word in words {
        let pair = word.split_once('=');
        match keys.iter().find_map(|(key, id)| Some((*id, pair.filter(|p| p.0 == *key)?.1.to_owned()))) {
            Some((key, value)) => {
                if !makes_sense(key, &value) {
                    problems.push(format!("policy rule {word} unrecognised: {}", what_instead(key)));
                }
                // A line whose condition cannot be understood matches nothing: without it, it would match everything.
                known.push((key, value));
            }
            None => problems.push(format!("policy rule {word} unrecognised and ignored")),
        }
    }
    Policy { for_partitions, words: known }
}

fn makes_sense(key: PolicyKey, value: &str) -> bool {
    match key {
        PolicyKey::Path => glob::Pattern::new(value).is_ok(),
        PolicyKey::Type => matches!(value, "disk" | "part"),
        PolicyKey::Domain => !value.is_empty(),
        PolicyKey::Metadata => matches!(value, "0" | "1.x") || Metadata::parse(value).is_some(),
        PolicyKey::Action => {
            matches!(value, "ignore" | "include" | "re-add" | "spare" | "spare-same-slot" | "force-spare")
        }
        PolicyKey::Auto => matches!(value, "yes" | "no" | "homehost"),
    }
}

fn what_instead(key: PolicyKey) -> &'static str {
    match key {
        PolicyKey::Path => "no pattern, so no device matches",
        PolicyKey::Type => "it is disk or part, so no device matches",
        PolicyKey::Domain => "no name",
        PolicyKey::Metadata => "no metadata is called so, so no device matches",
        PolicyKey::Action => "it is ignore, include, re-add, spare, spare-same-slot or force-spare; it allows nothing",
        PolicyKey::Auto => "it is yes, no or homehost",
    }
}

/// The words of a SYSFS line; none where it names no array.
pub(super) fn sysfs(words: &[String], problems: &mut Vec<String>) -> Option<SysfsLine> {
    let mut line = SysfsLine { uuid: None, name: None, attributes: Vec::new() };
    for word in words {
        match word.split_once('=') {
            Some((key, uuid)) if key.eq_ignore_ascii_case("uuid") => match (Uuid::parse(uuid), line.uuid) {
                (None, _) => problems.push(format!("Invalid uuid: {uuid}")),
                (_, Some(_)) => problems.push(format!("Only give one uuid per SYSFS line: {uuid}")),
                (parsed, None) => line.uuid = parsed,
            },
            Some((key, name)) if key.eq_ignore_ascii_case("name") => match name.strip_prefix("/dev/md/") {
                Some(rest) if !rest.is_empty() && !rest.contains('/') => line.name = Some(name.to_owned()),
                _ => problems.push(format!("{name} is an invalid name for an md device - ignored.")),
            },
            Some((key, value)) if !key.is_empty() && !value.is_empty() => {
                line.attributes.push((key.to_owned(), value.to_owned()));
            }
            _ => problems.push(format!("Cannot parse \"{word}\" - ignoring.")),
        }
    }
    if line.uuid.is_none() && line.name.is_none() {
        problems.push("Device name not found in sysfs config entry - ignoring.".into());
        return None;
    }
    Some(line)
}
