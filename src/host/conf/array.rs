//! ARRAY lines.

use std::path::{Path, PathBuf};

use super::value;
use crate::host::names;
use crate::level::Level;
use crate::metadata::Metadata;
use crate::uuid::Uuid;

/// An array as an ARRAY line identifies it. A member must agree with all that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArrayLine {
    /// Where it is to be, as written: a path, or a name below /dev/md. `None`: by its own name.
    pub device: Option<String>,
    /// `<ignore>`: not to be assembled by itself.
    pub ignore: bool,
    /// `uuid=`.
    pub uuid: Option<Uuid>,
    /// `super-minor=`, of v0.90.
    pub super_minor: Option<u32>,
    /// `devices=`: paths as glob(7) has them.
    pub devices: Option<Vec<String>>,
    /// `level=`.
    pub level: Option<Level>,
    /// `num-devices=` (or `disks=`): active members.
    pub raid_disks: Option<u32>,
    /// `spares=`: how many it should have, for the monitor.
    pub spares: Option<u32>,
    /// `spare-group=`.
    pub spare_group: Option<String>,
    /// `bitmap=`: the file that holds it.
    pub bitmap: Option<String>,
    /// `metadata=`.
    pub metadata: Option<Metadata>,
    /// `container=`.
    pub container: Option<String>,
    /// `member=`.
    pub member: Option<String>,
}

impl ArrayLine {
    /// Where it is to be, as a path.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        self.device.as_deref().map(|device| Path::new("/dev/md").join(device))
    }

    /// Whether it says which array is meant.
    fn identifies(&self) -> bool {
        let in_container = self.container.is_some() && self.member.is_some();
        self.uuid.is_some() || self.super_minor.is_some() || self.devices.is_some() || in_container
    }
}

/// Reads the words behind ARRAY; `None` where nothing says which array is meant.
pub fn parse(words: &[String], problems: &mut Vec<String>) -> Option<ArrayLine> {
    let mut line = ArrayLine::default();
    for word in words {
        if word.contains('=') {
            line.key(word, problems);
        } else if line.device.is_some() || line.ignore {
            problems
                .push(format!("Value \"{word}\" cannot be set as devname. Reason: Already defined. Value ignored."));
        } else if word.eq_ignore_ascii_case("<ignore>") {
            line.ignore = true;
        } else {
            match names::parse(word) {
                Err(refusal) if is_no_name(word) => {
                    problems.extend(refusal.lines.iter().map(|l| format!("{l} Value ignored.")))
                }
                _ => line.device = Some(word.clone()),
            }
        }
    }
    if line.identifies() {
        return Some(line);
    }
    let device = line.device.as_deref().unwrap_or(if line.ignore { "<ignore>" } else { "(null)" });
    problems.push(format!("ARRAY line {device} has no identity information."));
    None
}

/// A name of no bytes, or of too many: the array gets one as if none were given. What cannot be a path of an array fails its line.
fn is_no_name(word: &str) -> bool {
    let name = word.strip_prefix("/dev/md/").unwrap_or(word);
    name.is_empty() || name.len() > names::NAME_BYTES
}

impl ArrayLine {
    fn key(&mut self, word: &str, problems: &mut Vec<String>) {
        let is = |key| value(word, key);
        if let Some(uuid) = is("uuid") {
            match Uuid::parse(uuid) {
                _ if self.uuid.is_some() => problems.push(format!("only specify uuid once, {word} ignored.")),
                None => problems.push(format!("bad uuid: {word}")),
                parsed => self.uuid = parsed,
            }
        } else if let Some(minor) = is("super-minor") {
            match minor.parse() {
                _ if self.super_minor.is_some() => {
                    problems.push(format!("only specify super-minor once, {word} ignored."));
                }
                Err(_) => problems.push(format!("invalid super-minor number: {word}")),
                Ok(minor) => self.super_minor = Some(minor),
            }
        } else if let Some(devices) = is("devices") {
            match self.devices {
                Some(_) => {
                    problems.push(format!("only specify devices once (use a comma separated list). {word} ignored"))
                }
                None => self.devices = Some(devices.split(',').map(str::to_owned).collect()),
            }
        } else if let Some(group) = is("spare-group") {
            match self.spare_group {
                Some(_) => problems.push(format!("only specify one spare group per array. {word} ignored.")),
                None => self.spare_group = Some(group.to_owned()),
            }
        } else {
            self.other_key(word, problems);
        }
    }

    /// Keys of which the last one counts.
    fn other_key(&mut self, word: &str, problems: &mut Vec<String>) {
        let is = |key| value(word, key);
        let mut number = |text: &str| {
            let number = text.parse::<u32>().ok();
            if number.is_none() {
                problems.push(format!("no number on ARRAY line: {word}, ignored."));
            }
            number
        };
        if let Some(n) = is("num-devices").or_else(|| is("disks")) {
            self.raid_disks = number(n).or(self.raid_disks);
        } else if let Some(n) = is("spares") {
            self.spares = number(n).or(self.spares);
        } else if let Some(level) = is("level") {
            match Level::parse(level) {
                None => problems.push(format!("unknown level on ARRAY line: {word}, ignored.")),
                known => self.level = known,
            }
        } else if let Some(format) = is("metadata") {
            match Metadata::parse(format) {
                None => problems.push(format!("metadata format {format} unknown, ignored.")),
                known => self.metadata = known,
            }
        } else if let Some(path) = is("bitmap") {
            self.bitmap = Some(path.to_owned());
        } else if let Some(container) = is("container") {
            self.container = Some(container.to_owned());
        } else if let Some(member) = is("member") {
            self.member = Some(member.to_owned());
        } else if is("auto").is_none() && is("name").is_none() {
            // "auto" and "name" are taken and do nothing, as in the reference: a name is not unique.
            problems.push(format!("unrecognised word on ARRAY line: {word}"));
        }
    }
}
