//! mdadm.conf: what is configured of devices, arrays, mail, policies (mdadm.conf(5)).
//!
//! A line or word that is wrong is left out and said, with its file and line; the others count. The words of the messages
//! behind `FILE:LINE: ` are the reference's.

mod array;
pub mod lex;
mod rules;
#[cfg(test)]
mod tests;

pub use array::ArrayLine;
pub use rules::{AutoRule, AutoWhat, Policy, PolicyKey, SysfsLine, auto};

use std::fmt;

use rules::{policy, sysfs};

use crate::metadata::Metadata;

/// All of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conf {
    /// The words of all DEVICE lines; empty means [`DeviceWord::Partitions`] and [`DeviceWord::Containers`].
    pub devices: Vec<DeviceWord>,
    /// The ARRAY lines that identify an array, in order.
    pub arrays: Vec<ArrayLine>,
    /// MAILADDR: the first one counts.
    pub mail_to: Option<String>,
    /// MAILFROM: the words of the first line, with spaces between.
    pub mail_from: Option<String>,
    /// PROGRAM: the first one counts.
    pub program: Option<String>,
    /// The CREATE lines together.
    pub create: Create,
    /// HOMEHOST, a name or `<system>`, `<none>`: the first one counts.
    pub homehost: Option<String>,
    /// HOMEHOST `<ignore>`: the host in the metadata does not matter.
    pub ignores_homehost: bool,
    /// HOMECLUSTER: the first one counts.
    pub homecluster: Option<String>,
    /// The first AUTO line; `None` without one.
    pub auto: Option<Vec<AutoRule>>,
    /// POLICY and PART-POLICY lines.
    pub policies: Vec<Policy>,
    /// SYSFS lines.
    pub sysfs: Vec<SysfsLine>,
    /// MONITORDELAY: the first that is not 0.
    pub monitor_delay_seconds: Option<u32>,
    /// PROBING ddf_extended.
    pub ddf_extended: bool,
    /// What was wrong, in order.
    pub problems: Vec<Problem>,
}

/// A word of a DEVICE line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceWord {
    /// All of /proc/partitions.
    Partitions,
    /// Assembled containers.
    Containers,
    /// Paths, as glob(7) has them.
    Glob(String),
}

/// The CREATE line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Create {
    /// User name or number of array nodes.
    pub owner: Option<String>,
    /// Group name or number of array nodes.
    pub group: Option<String>,
    /// Permission bits of array nodes.
    pub mode: Option<u32>,
    /// Where no `--metadata` is given.
    pub metadata: Option<Metadata>,
    /// `names=yes`: kernel names like `md_home`.
    pub names: Option<bool>,
    /// `bbl=no`: no bad-block log on new members.
    pub bbl: Option<bool>,
}

/// Something that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// As it was opened.
    pub file: String,
    /// Of the file, the first is 1; `None`: the whole file.
    pub line: Option<usize>,
    /// In a line for a person.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

/// Keywords in the order in which an abbreviation is looked up, and how short it may be.
const KEYWORDS: &[(&str, usize, Keyword)] = &[
    ("devices", 3, Keyword::Device),
    ("array", 3, Keyword::Array),
    ("mailaddr", 3, Keyword::MailAddr),
    ("mailfrom", 5, Keyword::MailFrom),
    ("program", 3, Keyword::Program),
    ("create", 3, Keyword::Create),
    ("homehost", 3, Keyword::HomeHost),
    ("homecluster", 3, Keyword::HomeCluster),
    ("auto", 3, Keyword::Auto),
    ("policy", 3, Keyword::Policy),
    ("part-policy", 3, Keyword::PartPolicy),
    ("sysfs", 3, Keyword::Sysfs),
    ("monitordelay", 3, Keyword::MonitorDelay),
    ("encryption_no_verify", 3, Keyword::EncryptionNoVerify),
    ("probing", 3, Keyword::Probing),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keyword {
    Device,
    Array,
    MailAddr,
    MailFrom,
    Program,
    Create,
    HomeHost,
    HomeCluster,
    Auto,
    Policy,
    PartPolicy,
    Sysfs,
    MonitorDelay,
    EncryptionNoVerify,
    Probing,
}

fn keyword(word: &str) -> Option<Keyword> {
    let word = word.to_ascii_lowercase();
    KEYWORDS.iter().find(|(name, least, _)| word.len() >= *least && name.starts_with(&word)).map(|k| k.2)
}

/// The value of `KEY=value`, the key in any case.
fn value<'a>(word: &'a str, key: &str) -> Option<&'a str> {
    let (left, right) = word.split_once('=')?;
    left.eq_ignore_ascii_case(key).then_some(right)
}

impl Conf {
    /// Two ARRAY lines that give one name to two arrays: what tells them apart, and the name.
    #[must_use]
    pub fn duplicate_names(&self) -> Option<(String, String, String)> {
        let shown = |line: &ArrayLine| line.uuid.map_or_else(|| "another array".to_owned(), |u| format!("UUID-{u}"));
        let named = |line: &ArrayLine| line.device.clone();
        self.arrays.iter().enumerate().find_map(|(n, line)| {
            let name = named(line)?;
            let is_other =
                |l: &&ArrayLine| named(l).as_ref() == Some(&name) && (l.uuid.is_none() || l.uuid != line.uuid);
            let first = self.arrays.iter().take(n).find(is_other)?;
            Some((shown(first), shown(line), name))
        })
    }

    /// Adds the lines of one file. `file` is for messages.
    pub fn add(&mut self, file: &str, text: &[u8]) {
        for line in lex::lines(text) {
            let mut problems = Vec::new();
            self.line(&line, &mut problems);
            let problem = |what| Problem { file: file.to_owned(), line: Some(line.number), what };
            self.problems.extend(problems.into_iter().map(problem));
        }
    }

    fn line(&mut self, line: &lex::Line, problems: &mut Vec<String>) {
        let words = line.words.as_slice();
        let first = || words.first().cloned();
        match keyword(&line.keyword) {
            None => problems.push(format!("Unknown keyword {}", line.keyword)),
            Some(Keyword::Device) => self.device(words, problems),
            Some(Keyword::Array) => self.arrays.extend(array::parse(words, problems)),
            Some(Keyword::MailAddr) => self.mail_to = self.mail_to.take().or_else(first),
            Some(Keyword::MailFrom) => {
                let all = (!words.is_empty()).then(|| words.join(" "));
                self.mail_from = self.mail_from.take().or(all);
            }
            Some(Keyword::Program) => self.program = self.program.take().or_else(first),
            Some(Keyword::Create) => self.create.line(words, problems),
            Some(Keyword::HomeHost) => self.homehost(words),
            Some(Keyword::HomeCluster) => self.homecluster = self.homecluster.take().or_else(first),
            Some(Keyword::Auto) => {
                if self.auto.is_none() {
                    self.auto = Some(auto(words, problems));
                }
            }
            Some(Keyword::Policy) => self.policies.push(policy(false, words, problems)),
            Some(Keyword::PartPolicy) => self.policies.push(policy(true, words, problems)),
            Some(Keyword::Sysfs) => self.sysfs.extend(sysfs(words, problems)),
            Some(Keyword::MonitorDelay) => self.monitor_delay(words, problems),
            Some(Keyword::EncryptionNoVerify) => {
                let unknown = words.iter().filter(|w| *w != "sata_opal");
                problems.extend(unknown.map(|w| format!("unrecognised word on ENCRYPTION_NO_VERIFY line: {w}")));
            }
            Some(Keyword::Probing) => {
                let (known, unknown): (Vec<_>, Vec<_>) = words.iter().partition(|w| *w == "ddf_extended");
                self.ddf_extended |= !known.is_empty();
                problems.extend(unknown.iter().map(|w| format!("unrecognised word on PROBING line: {w}")));
            }
        }
    }

    fn device(&mut self, words: &[String], problems: &mut Vec<String>) {
        for word in words {
            match word.as_str() {
                word if word.eq_ignore_ascii_case("partitions") => self.devices.push(DeviceWord::Partitions),
                word if word.eq_ignore_ascii_case("containers") => self.devices.push(DeviceWord::Containers),
                path if path.starts_with('/') => self.devices.push(DeviceWord::Glob(path.to_owned())),
                // The reference's own spelling, which programs may match.
                other => problems.push(format!("unreconised word on DEVICE line: {other}")),
            }
        }
    }

    /// Beside `<ignore>` there may be the name that new arrays get.
    fn homehost(&mut self, words: &[String]) {
        for word in words {
            if word.eq_ignore_ascii_case("<ignore>") {
                self.ignores_homehost = true;
            } else if self.homehost.is_none() {
                self.homehost = Some(word.clone());
            }
        }
    }

    fn monitor_delay(&mut self, words: &[String], problems: &mut Vec<String>) {
        let Some(word) = words.first() else { return };
        match word.parse::<u32>() {
            Ok(seconds) => {
                self.monitor_delay_seconds = self.monitor_delay_seconds.or(Some(seconds).filter(|s| *s > 0));
            }
            Err(_) => problems.push(format!("unrecognised MONITORDELAY {word}: seconds are wanted")),
        }
    }
}

impl Create {
    fn line(&mut self, words: &[String], problems: &mut Vec<String>) {
        for word in words {
            if let Some(owner) = value(word, "owner") {
                self.owner = Some(owner.to_owned());
            } else if let Some(group) = value(word, "group") {
                self.group = Some(group.to_owned());
            } else if let Some(mode) = value(word, "mode") {
                match u32::from_str_radix(mode, 8).ok().filter(|m| *m <= 0o7777) {
                    Some(mode) => self.mode = Some(mode),
                    None => problems.push(format!("unrecognised CREATE mode {mode}")),
                }
            } else if let Some(format) = value(word, "metadata") {
                match Metadata::parse(format) {
                    Some(format) => self.metadata = Some(format),
                    None => problems.push(format!("metadata format {format} unknown, ignoring")),
                }
            } else if let Some(names) = value(word, "names").and_then(yes_or_no) {
                self.names = Some(names);
            } else if let Some(bbl) = value(word, "bbl").and_then(yes_or_no) {
                self.bbl = Some(bbl);
            } else if value(word, "auto").is_none() {
                // "auto" was for partitionable arrays, which all are now.
                problems.push(format!("unrecognised word on CREATE line: {word}"));
            }
        }
    }
}

fn yes_or_no(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}
