//! The text for people, which many programs read: every line as the reference prints it.

use std::fmt::Write;

use super::{Bitmap, Detail, External, Lockless, Member, named_states};
use crate::layout;
use crate::level::Level;
use crate::output::{escape, human, telling};
use crate::time::stamp;

/// A line whose key ends where the reference's do.
macro_rules! line {
    ($out:expr, $key:expr, $($value:tt)*) => {{
        // Writing to a String does not fail.
        let _ = writeln!($out, "{:>18} : {}", $key, format_args!($($value)*));
    }};
}

fn kib(size: u64) -> String {
    format!("{size}{}", human::size(size.saturating_mul(1024)))
}

impl Detail {
    /// The text of `--detail`; `devices`: with the table of members.
    #[must_use]
    pub fn text(&self, devices: bool) -> String {
        let mut out = format!("{}:\n", escape::text(self.path.as_bytes()));
        self.head(&mut out);
        self.health(&mut out);
        self.geometry(&mut out);
        self.policy(&mut out);
        self.identity(&mut out);
        if devices {
            self.table(&mut out);
        }
        out
    }

    fn head(&self, out: &mut String) {
        if let Some(External::Member { container, index }) = &self.external {
            let container = escape::text(container.as_bytes());
            line!(out, "Container", "{container}, member {}", escape::text(index.as_bytes()));
        } else {
            line!(out, "Version", "{}", self.metadata);
        }
        if let Some(t) = self.created.as_ref().filter(|_| !self.inactive && self.external.is_none()) {
            line!(out, "Creation Time", "{}", t.text);
        }
        match self.level {
            Some(level) => line!(out, "Raid Level", "{}", level.name()),
            None => line!(out, "Raid Level", "-unknown-"),
        }
        if let Some(size) = self.array_kib.filter(|_| !self.inactive) {
            line!(out, "Array Size", "{}", kib(size));
        }
        if !self.inactive && self.level.is_some_and(Level::is_redundant) {
            match self.component_kib {
                Some(size) => line!(out, "Used Dev Size", "{}", kib(size)),
                None => line!(out, "Used Dev Size", "unknown"),
            }
        }
        if !self.inactive {
            line!(out, "Raid Devices", "{}", self.raid_disks);
        }
        line!(out, "Total Devices", "{}", self.counts.total);
        if let Some(minor) = self.preferred_minor {
            line!(out, "Preferred Minor", "{minor}");
        }
        if self.persistent {
            line!(out, "Persistence", "Superblock is persistent");
        }
        if let (Some(now), Some(next)) = (self.sector_bytes, self.next_sector_bytes) {
            line!(out, "Sector Size", "{now}, {next} from the next assembly on");
        }
        out.push('\n');
        self.bitmap_lines(out);
    }

    fn bitmap_lines(&self, out: &mut String) {
        match &self.bitmap {
            None => return,
            Some(Bitmap::Internal) => line!(out, "Intent Bitmap", "Internal"),
            Some(Bitmap::Clustered) => line!(out, "Intent Bitmap", "Internal(Clustered)"),
            Some(Bitmap::File(path)) => line!(out, "Intent Bitmap", "{}", escape::text(path.as_bytes())),
            Some(Bitmap::Lockless(l)) => {
                line!(out, "Intent Bitmap", "Internal");
                lockless_lines(out, l);
            }
        }
        out.push('\n');
    }

    fn health(&self, out: &mut String) {
        if let Some(t) = self.updated.as_ref().filter(|_| !self.inactive && self.persistent) {
            line!(out, "Update Time", "{}", t.text);
        }
        if self.is_stuck() {
            line!(out, "State", "inactive");
        } else if !self.inactive {
            line!(out, "State", "{} ", self.state_words());
        }
        line!(out, "Active Devices", "{}", self.counts.active);
        line!(out, "Working Devices", "{}", self.counts.working);
        line!(out, "Failed Devices", "{}", self.counts.failed);
        line!(out, "Spare Devices", "{}", self.counts.spare);
        self.last_seen(out);
        out.push('\n');
    }

    /// Which disk it is that is missing.
    fn last_seen(&self, out: &mut String) {
        for m in &self.members {
            let (Some(slot), Some(last)) = (m.slot, &m.last) else { continue };
            let path = escape::text(last.path.as_bytes());
            let which = telling(&m.identity).map_or(String::new(), |(key, value)| format!(", {key} {value}"));
            line!(out, format!("Slot {slot} Was"), "{path}{which}, last seen {}", stamp(last.seconds));
        }
    }

    fn state_words(&self) -> String {
        let word = if self.broken {
            "broken"
        } else if self.clean {
            "clean"
        } else {
            "active"
        };
        let mut words = word.to_owned();
        if self.failed || self.broken {
            words.push_str(", FAILED");
        } else if self.degraded {
            words.push_str(", degraded");
        }
        if let Some(sync) = &self.sync {
            let _ = write!(words, ", {}", sync.action.doing());
            if let Some(waits) = &sync.waits {
                let _ = write!(words, " ({waits})");
            }
        }
        words
    }

    fn geometry(&self, out: &mut String) {
        let Some(level) = self.level.filter(|_| !self.inactive) else { return };
        if matches!(level, Level::Raid0 | Level::Raid5 | Level::Raid6 | Level::Raid10 | Level::Faulty) {
            // 0 is a layout of raid0 to the kernel, but the reference does not know it here.
            let name = layout::name(level, self.layout).filter(|_| level != Level::Raid0 || self.layout != 0);
            line!(out, "Layout", "{}", name.as_deref().unwrap_or("-unknown-"));
        }
        if level.is_striped() {
            line!(out, "Chunk Size", "{}K", self.chunk_bytes / 1024);
        } else if level == Level::Linear {
            line!(out, "Rounding", "{}K", self.chunk_bytes / 1024);
        } else if level != Level::Faulty {
            return;
        }
        out.push('\n');
    }

    fn policy(&self, out: &mut String) {
        if let Some(policy) = self.consistency_policy.as_ref().filter(|_| !self.inactive) {
            line!(out, "Consistency Policy", "{}\n", escape::text(policy.as_bytes()));
        }
        let running = self.sync.as_ref().and_then(|s| Some((s.action.noun(), s.percent?)));
        if let Some((noun, percent)) = running {
            line!(out, format!("{noun} Status"), "{percent}% complete");
        }
        self.reshape_lines(out);
        if running.is_some() || self.reshape.active {
            out.push('\n');
        }
    }

    fn reshape_lines(&self, out: &mut String) {
        let r = &self.reshape;
        if !r.active {
            return;
        }
        if r.delta_disks != 0 {
            let now = i64::from(self.raid_disks);
            line!(out, "Delta Devices", "{}, ({}->{now})", r.delta_disks, now - i64::from(r.delta_disks));
        }
        if let Some(level) = r.new_level {
            line!(out, "New Level", "{}", level.name());
        }
        if let (Some(number), Some(level)) = (r.new_layout, r.new_level.or(self.level)) {
            line!(out, "New Layout", "{}", layout::name(level, number).as_deref().unwrap_or("-unknown-"));
        }
        if let Some(bytes) = r.new_chunk_bytes {
            line!(out, "New Chunksize", "{}K", bytes / 1024);
        }
        self.progress_lines(out);
    }

    /// Ours.
    fn progress_lines(&self, out: &mut String) {
        if let Some(p) = &self.reshape.progress {
            let way = if p.backwards { ", from the end" } else { "" };
            line!(out, "Reshape Position", "{}K of {}K{way}", p.done_bytes / 1024, p.all_bytes / 1024);
            let word = if p.critical { "now: what is overwritten next is saved first" } else { "not now" };
            line!(out, "Critical Section", "{word}");
        }
        if self.reshape.abandoned {
            let path = escape::text(self.path.as_bytes());
            line!(out, "Reshape Waits", "nobody looks after it: mdadm --grow --continue {path}");
        }
    }

    /// As the reference prints it, odd blank lines included.
    fn external_lines(&self, out: &mut String) {
        if let Some(uuid) = self.uuid {
            out.push('\n');
            line!(out, "UUID", "{uuid}");
        }
        if let Some(External::Container { arrays }) = &self.external {
            let words: String = arrays.iter().map(|a| format!(" {}", escape::text(a.as_bytes()))).collect();
            let _ = writeln!(out, "     Member Arrays :{words}\n");
        }
    }

    fn identity(&self, out: &mut String) {
        if self.external.is_some() {
            return self.external_lines(out);
        }
        let before = out.len();
        if let Some(name) = &self.name {
            let local = self.local_to.as_ref().map_or(String::new(), |h| format!("  (local to host {h})"));
            line!(out, "Name", "{}{local}", escape::text(name));
        }
        if let Some(why) = self.why_link() {
            line!(out, "Name Because", "{why}");
        }
        if let Some(uuid) = self.uuid {
            // 0.90 metadata have no name: the host is in the uuid.
            let local = self.local_to.as_ref().filter(|_| self.name.is_none());
            let local = local.map_or(String::new(), |h| format!(" (local to host {h})"));
            line!(out, "UUID", "{uuid}{local}");
        }
        if let Some(events) = &self.events {
            line!(out, "Events", "{events}");
        }
        for reason in &self.reasons {
            line!(out, "Not Started", "{}", escape::text(reason.as_bytes()));
        }
        if let Some(hint) = &self.hint {
            line!(out, "Next Step", "{}", escape::text(hint.as_bytes()));
        }
        if out.len() > before {
            out.push('\n');
        }
    }

    fn table(&self, out: &mut String) {
        out.push_str("    Number   Major   Minor   RaidDevice");
        out.push_str(if self.inactive { "\n" } else { " State\n" });
        for member in self.members.iter().filter(|m| m.is_in_table()) {
            row(out, member);
        }
        for (i, member) in self.members.iter().filter(|m| !m.is_in_table()).enumerate() {
            if i == 0 {
                out.push('\n');
            }
            row(out, member);
        }
    }
}

fn row(out: &mut String, m: &Member) {
    let number = |n: Option<u32>| n.map_or("-".to_owned(), |n| n.to_string());
    let slot = number(m.slot);
    let _ = write!(out, "   {:>5}   {:>5}    {:>5}    {slot:>5}     {}", number(m.number), m.dev.0, m.dev.1, m.words());
    match &m.path {
        Some(path) => {
            let _ = writeln!(out, "   {}", escape::text(path.as_bytes()));
        }
        None if m.removed => out.push('\n'),
        None => out.push_str("   missing\n"),
    }
}

/// Ours: nothing that the reference prints has these keys.
fn lockless_lines(out: &mut String, l: &Lockless) {
    line!(out, "Bitmap Type", "lockless");
    if let Some(bytes) = l.chunk_bytes {
        line!(out, "Bitmap Chunk", "{}K", bytes / 1024);
    }
    if let Some(chunks) = l.chunks {
        line!(out, "Bitmap Chunks", "{chunks}");
    }
    if let Some(states) = &l.states {
        let words: Vec<String> =
            named_states(states).filter(|(_, n)| *n > 0).map(|(name, n)| format!("{n} {name}")).collect();
        let from = if l.on_disk { " (on disk; the kernel shows them from the next assembly on)" } else { "" };
        line!(out, "Bitmap States", "{}{from}", words.join(", "));
    }
    if let Some(bytes) = l.resync_bytes() {
        line!(out, "Bitmap Resync", "{}K{} at a start now", bytes.div_ceil(1024), human::size(bytes));
    }
}
