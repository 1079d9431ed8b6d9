//! `--brief` (lines for mdadm.conf) and `--export` (`KEY=value` for udev and shells).

use std::fmt::Write;

use super::{Bitmap, Detail, External, Member};
use crate::output::escape;

/// Whether a word stands in mdadm.conf as it is; others need quotes.
#[must_use]
pub fn is_plain_word(word: &str) -> bool {
    !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '#'))
}

/// A path as a word of mdadm.conf: in quotes where it has to be; control characters cannot be in one.
fn conf_word(path: &str) -> String {
    match path {
        p if is_plain_word(p) => p.to_owned(),
        p if !p.contains('"') => format!("\"{}\"", escape::text(p.as_bytes())),
        p if !p.contains('\'') => format!("'{}'", escape::text(p.as_bytes())),
        p => escape::word(p.as_bytes()),
    }
}

impl Detail {
    /// The `ARRAY` line; `verbose`: with level, count and members.
    #[must_use]
    pub fn brief(&self, verbose: bool, devices: bool) -> String {
        let mut out = if self.is_stuck() { "INACTIVE-ARRAY " } else { "ARRAY " }.to_owned();
        out.push_str(&conf_word(&self.path));
        if verbose {
            if let Some(level) = self.level.filter(|_| !self.is_stuck()) {
                let _ = write!(out, " level={}", level.name());
            }
            let count = if self.inactive { self.counts.total } else { self.raid_disks };
            let _ = write!(out, " num-devices={count}");
        }
        if let Some(External::Member { container, index }) = &self.external {
            let _ = write!(out, " container={} member={}", conf_word(container), conf_word(index));
        } else {
            let _ = write!(out, " metadata={}", self.metadata);
        }
        if self.plain_spares > 0 && !self.inactive && devices {
            let _ = write!(out, " spares={}", self.plain_spares);
        }
        // As the reference does for a member that has no node: on the same line, with three blanks.
        out.extend(self.real_members().filter(|m| m.path.is_none()).map(|_| "   missing"));
        if let Some(uuid) = self.uuid {
            let _ = write!(out, " UUID={uuid}");
        }
        if let Some(Bitmap::File(path)) = &self.bitmap {
            let _ = write!(out, " bitmap={}", conf_word(path));
        }
        out.push('\n');
        if verbose && devices {
            let mut paths: Vec<&str> = self.real_members().filter_map(|m| m.path.as_deref()).collect();
            paths.sort_unstable();
            let paths: Vec<String> = paths.into_iter().map(conf_word).collect();
            let _ = writeln!(out, "   devices={}", paths.join(","));
        }
        out
    }

    fn real_members(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|m| !m.removed)
    }

    /// The lines of `--export`.
    #[must_use]
    pub fn export(&self, devices: bool) -> String {
        let mut out = String::new();
        let mut put = |key: &str, value: &str| {
            let _ = writeln!(out, "{key}={}", escape::word(value.as_bytes()));
        };
        if let Some(level) = self.level.filter(|_| !self.is_stuck()) {
            put("MD_LEVEL", level.name());
        }
        let count = if self.inactive { self.counts.total } else { self.raid_disks };
        put("MD_DEVICES", &count.to_string());
        if let Some(External::Member { container, index }) = &self.external {
            put("MD_CONTAINER", container);
            put("MD_MEMBER", index);
        } else {
            put("MD_METADATA", &self.metadata);
        }
        if self.uuid.is_some() || !matches!(self.external, Some(External::Member { .. })) {
            put("MD_UUID", &self.uuid.unwrap_or_default().to_string());
        }
        if let Some(link) = &self.link {
            put("MD_DEVNAME", link);
        }
        if self.persistent || (self.is_container() && self.uuid.is_some()) {
            put("MD_RESHAPE_ACTIVE", if self.reshape.active { "True" } else { "False" });
        }
        if let Some(name) = &self.name {
            let _ = writeln!(out, "MD_NAME={}", escape::word(name));
        }
        if let Some(Bitmap::Lockless(_)) = self.bitmap {
            out.push_str("MD_BITMAP_TYPE=lockless\n");
        }
        if devices {
            for member in self.listed.iter().filter_map(|i| self.members.get(*i)) {
                export_member(&mut out, member);
            }
        }
        out
    }
}

fn export_member(out: &mut String, m: &Member) {
    let Some(kname) = &m.kname else { return };
    // The reference leaves out a member whose device is gone.
    if m.gone {
        return;
    }
    let id: String = kname.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let role = m.slot.map_or("spare".to_owned(), |s| s.to_string());
    let _ = writeln!(out, "MD_DEVICE_dev_{id}_ROLE={role}");
    if let Some(path) = &m.path {
        let _ = writeln!(out, "MD_DEVICE_dev_{id}_DEV={}", escape::word(path.as_bytes()));
    }
}
