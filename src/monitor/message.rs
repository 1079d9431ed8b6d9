//! An event in words: the line, the mail, the JSON object, the environment of the program.

use serde::Serialize;

use super::memory::Known;
use super::state::{Event, What};
use crate::output::{escape, telling};
use crate::time::stamp;

/// A slot that nobody holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The slot.
    pub slot: u32,
    /// Who held it last, where that is known.
    #[serde(flatten)]
    pub last: Option<Known>,
}

/// An event, with what was read for it.
#[derive(Debug, Clone)]
pub struct Told {
    /// The event.
    pub event: Event,
    /// Path of the member, for events about one.
    pub member: Option<String>,
    /// The slots without data.
    pub missing: Vec<Missing>,
    /// /proc/mdstat at that moment.
    pub mdstat: String,
    /// Seconds since 1970.
    pub seconds: u64,
    /// This host.
    pub host: String,
}

fn text(word: &str) -> String {
    escape::text(word.as_bytes())
}

impl Told {
    /// The array as it is shown, on one line whatever it is called.
    #[must_use]
    pub fn array(&self) -> String {
        text(&self.event.subject.name)
    }

    /// The arguments of the program, in the reference's way: it gets no Wrong-Level.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let third = self.detail().filter(|_| self.event.what != What::WrongLevel);
        [self.event.what.name(), self.array()].into_iter().chain(third).collect()
    }

    /// What there is to say besides: a member, another array, a count.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        match &self.event.what {
            What::WrongLevel => Some("Wrong-Level".to_owned()),
            What::RebuildFinished(Some(n)) => {
                let level = self.event.array.level.map_or(0, crate::level::Level::raw);
                // The blank in front is the reference's.
                Some(format!(" mismatches found: {n} (on raid level {level})"))
            }
            What::MoveSpare(from) => Some(text(from)),
            _ => self.member.as_deref().map(text),
        }
    }

    /// The line for stdout and syslog, in the reference's words.
    #[must_use]
    pub fn line(&self) -> String {
        let head = format!("{} event detected on md device {}", self.event.what.name(), self.array());
        match self.detail() {
            Some(detail) if self.event.what == What::WrongLevel => format!("{head}: {detail}"),
            Some(detail) => format!("{head}, component device {detail}"),
            None => head,
        }
    }

    /// Further lines, one for each missing slot.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        if self.event.what != What::DegradedArray {
            return Vec::new();
        }
        self.missing.iter().map(|m| format!("{}: slot {} {}", self.array(), m.slot, m.words())).collect()
    }

    /// The mail with its headers. No name ends a header's line: control characters are escaped.
    #[must_use]
    pub fn mail(&self, from: Option<&str>, to: &str) -> String {
        let from = from.map_or_else(|| format!("mdadm monitoring <root@{}>", text(&self.host)), text);
        let mut mail = format!(
            "From: {from}\nTo: {}\nSubject: {} event on {}:{}\n\nThis is an automatically generated mail message.\n{}\n\
             The /proc/mdstat file currently contains the following:\n\n{}",
            text(to),
            self.event.what.name(),
            self.array(),
            text(&self.host),
            self.line(),
            self.mdstat
        );
        for remark in self.remarks() {
            mail.push_str(&format!("{remark}\n"));
        }
        mail
    }

    /// One JSON object on one line.
    #[must_use]
    pub fn json(&self) -> String {
        let (event, array) = (&self.event, &self.event.array);
        let object = Object {
            schema: "mdadm-rs/event/1",
            time_seconds: self.seconds,
            time: stamp(self.seconds),
            event: event.what.name(),
            severity: event.what.priority().word(),
            array: &event.subject.name,
            kernel_name: &event.subject.devname,
            uuid: event.subject.uuid.map(|u| u.to_string()),
            detail: self.detail(),
            member: self.member.as_deref(),
            level: array.level.map(crate::level::Level::name),
            raid_devices: array.raid_disks,
            degraded: array.degraded,
            missing: &self.missing,
            sync_action: array.sync.as_ref().map(|s| s.action.as_str()),
            percent: array.sync.as_ref().and_then(|s| s.percent),
            mismatch_sectors: array.mismatches,
            message: self.line(),
        };
        serde_json::to_string(&object).unwrap_or_default() + "\n"
    }

    /// For the program: MD_EVENT and so on. No value holds a line end.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let (event, array) = (&self.event, &self.event.array);
        let some = |value: Option<String>| value.unwrap_or_default();
        let missing: Vec<String> = self.missing.iter().map(|m| m.slot.to_string()).collect();
        vec![
            ("MD_EVENT", event.what.name()),
            ("MD_SEVERITY", event.what.priority().word().to_owned()),
            ("MD_DEVICE", self.array()),
            ("MD_KERNEL_NAME", text(&event.subject.devname)),
            ("MD_UUID", some(event.subject.uuid.map(|u| u.to_string()))),
            ("MD_DETAIL", some(self.detail())),
            ("MD_MEMBER", some(self.member.as_deref().map(text))),
            ("MD_LEVEL", some(array.level.map(|l| l.name().to_owned()))),
            ("MD_RAID_DEVICES", array.raid_disks.to_string()),
            ("MD_DEGRADED", array.degraded.to_string()),
            ("MD_MISSING_SLOTS", missing.join(" ")),
            ("MD_SYNC_ACTION", some(array.sync.as_ref().map(|s| s.action.clone()))),
            ("MD_PERCENT", some(array.sync.as_ref().and_then(|s| s.percent).map(|p| p.to_string()))),
            ("MD_MISMATCH_SECTORS", array.mismatches.to_string()),
            ("MD_TIME_SECONDS", self.seconds.to_string()),
        ]
    }
}

#[derive(Serialize)]
struct Object<'a> {
    schema: &'static str,
    time_seconds: u64,
    time: String,
    event: String,
    severity: &'static str,
    array: &'a str,
    kernel_name: &'a str,
    uuid: Option<String>,
    detail: Option<String>,
    member: Option<&'a str>,
    level: Option<&'static str>,
    raid_devices: u32,
    degraded: u32,
    missing: &'a [Missing],
    sync_action: Option<&'a str>,
    percent: Option<u32>,
    mismatch_sectors: u64,
    message: String,
}

impl Missing {
    fn words(&self) -> String {
        let Some(last) = &self.last else { return "is missing".to_owned() };
        let who = telling(&last.identity).map_or_else(String::new, |(key, value)| format!(", {key} {value}"));
        format!("is missing: last held by {}{who}, seen {}", text(&last.path), stamp(last.seen_seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::state::{Array, Subject};

    fn told(name: &str, what: What) -> Told {
        let subject = Subject { name: name.into(), devname: "md0".into(), uuid: None };
        let array = Array { level: Some(crate::level::Level::Raid5), ..Array::default() };
        let event = Event { what, subject, array };
        Told { event, member: None, missing: Vec::new(), mdstat: "md0\n".into(), seconds: 0, host: "h\nBcc: x".into() }
    }

    #[test]
    fn no_name_adds_a_header_or_a_line() {
        let mut event = told("/dev/md/a\r\nBcc: everybody\n\nhello", What::Fail("sda".into()));
        event.member = Some("/dev/sd\na".into());
        let mail = event.mail(Some("me\nCc: x"), "you\nBcc: y");
        let headers: Vec<&str> = mail.split("\n\n").next().unwrap().lines().collect();
        assert_eq!(headers.iter().map(|h| h.split(':').next().unwrap()).collect::<Vec<_>>(), ["From", "To", "Subject"]);
        assert!(!event.line().contains(['\n', '\r']) && event.json().matches('\n').count() == 1);
        assert!(event.environment().iter().all(|(_, value)| !value.contains('\n')));
        assert!(event.arguments().iter().all(|a| !a.contains('\n')));
    }

    #[test]
    fn the_program_is_told_all_that_there_is() {
        use crate::monitor::state::Sync;
        let mut all = told("/dev/md/a\"b", What::Fail("sda".into()));
        all.member = Some("/dev/sda".into());
        all.missing = [1, 3].map(|slot| Missing { slot, last: None }).to_vec();
        all.seconds = 1_700_000_000;
        all.event.subject.uuid = crate::uuid::Uuid::parse("01234567:89abcdef:01234567:89abcdef");
        let sync = Some(Sync { action: "recovery".into(), percent: Some(7) });
        all.event.array = Array { raid_disks: 6, degraded: 2, mismatches: 16, sync, ..all.event.array };
        let list: Vec<String> = all.environment().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            list,
            [
                "MD_EVENT=Fail",
                "MD_SEVERITY=critical",
                "MD_DEVICE=/dev/md/a\"b",
                "MD_KERNEL_NAME=md0",
                "MD_UUID=01234567:89abcdef:01234567:89abcdef",
                "MD_DETAIL=/dev/sda",
                "MD_MEMBER=/dev/sda",
                "MD_LEVEL=raid5",
                "MD_RAID_DEVICES=6",
                "MD_DEGRADED=2",
                "MD_MISSING_SLOTS=1 3",
                "MD_SYNC_ACTION=recovery",
                "MD_PERCENT=7",
                "MD_MISMATCH_SECTORS=16",
                "MD_TIME_SECONDS=1700000000",
            ]
        );
        // All are in the manual, and what is not known is empty, not left from whoever started the monitor.
        let manual = include_str!("../../man/mdadm.8");
        let nothing = told("/dev/md0", What::MoveSpare("/dev/md1".into())).environment();
        assert!(nothing.iter().all(|(name, _)| manual.contains(name)));
        assert!(nothing.contains(&("MD_MEMBER", String::new())) && nothing.contains(&("MD_PERCENT", String::new())));
        assert!(nothing.contains(&("MD_DETAIL", "/dev/md1".into())));
    }

    #[test]
    fn lines_are_the_references() {
        let line = |what| told("/dev/md0", what).line();
        assert_eq!(line(What::Rebuild(5)), "Rebuild05 event detected on md device /dev/md0");
        assert_eq!(line(What::WrongLevel), "DeviceDisappeared event detected on md device /dev/md0: Wrong-Level");
        assert_eq!(
            line(What::RebuildFinished(Some(8))),
            "RebuildFinished event detected on md device /dev/md0, component device  mismatches found: 8 (on raid level 5)"
        );
        assert_eq!(
            line(What::MoveSpare("/dev/md1".into())),
            "MoveSpare event detected on md device /dev/md0, component device /dev/md1"
        );
        assert_eq!(told("/dev/md0", What::WrongLevel).arguments(), ["DeviceDisappeared", "/dev/md0"]);
    }
}
