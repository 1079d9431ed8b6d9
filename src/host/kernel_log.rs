//! What the kernel said while a command ran: an ioctl gives only an errno, the reason is in the kernel log.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::time::{ClockId, clock_gettime};

use crate::plan::manage::late::{is_start_mark, start_mark};
use crate::plan::manage::readd::LogLine;

/// At most so many records are read, and so many lines are given.
const MAX_RECORDS: usize = 1000;
const MAX_LINES: usize = 5;

/// The kernel log from one moment on.
#[derive(Debug)]
pub struct KernelLog {
    file: Option<File>,
}

impl KernelLog {
    /// From now on. Where the log cannot be read (no permission, no /dev/kmsg) there will be no lines.
    #[must_use]
    pub fn from_now(dev: &Path) -> KernelLog {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open(dev.join("kmsg"))
            .ok()
            .and_then(|mut f| f.seek(SeekFrom::End(0)).is_ok().then_some(f));
        KernelLog { file }
    }

    /// The last few lines since then that are md's: about this array or one of its members.
    #[must_use]
    pub fn reasons(&mut self, devname: &str) -> Vec<String> {
        let mut lines = self.read(text_of);
        lines.retain(|l: &String| is_about(l, devname));
        lines.split_off(lines.len().saturating_sub(MAX_LINES))
    }

    /// What the kernel itself said since then, or since the last call.
    #[must_use]
    pub fn kernel_lines(&mut self) -> Vec<String> {
        self.read(|record| record_of(record).and_then(|(kernel, _, text)| kernel.then_some(text)))
    }

    fn read(&mut self, line: impl Fn(&[u8]) -> Option<String>) -> Vec<String> {
        let mut lines = Vec::new();
        let Some(file) = &mut self.file else { return lines };
        let mut record = vec![0u8; 8192];
        for _ in 0..MAX_RECORDS {
            // One record a read; nothing more is an error (EAGAIN), an overwritten record too (EPIPE).
            match file.read(&mut record) {
                Ok(n) if n > 0 => lines.extend(line(record.get(..n).unwrap_or_default())),
                Err(e) if e.raw_os_error() == Some(libc::EPIPE) => {}
                _ => break,
            }
        }
        lines
    }
}

/// Writes into the log with which events an array starts: a member that comes later can be compared with that.
pub fn mark_start(dev: &Path, devname: &str, events: u64) {
    let line = format!("{}\n", start_mark(devname, events));
    // Without it a late member is only not proven to be fresh.
    let _ = OpenOptions::new().write(true).open(dev.join("kmsg")).and_then(|mut f| f.write_all(line.as_bytes()));
}

/// All that the kernel itself said, and the marks of [`mark_start`], oldest first, with seconds since 1970.
///
/// The clock of the log is neither that of the machine nor in step with it, and it stands while the machine sleeps. With `mark`
/// a line is written into the log first, and times are counted back from it.
#[must_use]
pub fn history(dev: &Path, mark: Option<&str>) -> Vec<LogLine> {
    let path = dev.join("kmsg");
    if let Some(mark) = mark {
        // Without the line the times are only less exact. Without its end it could not be read yet.
        let line = format!("{mark}\n");
        let _ = OpenOptions::new().write(true).open(&path).and_then(|mut f| f.write_all(line.as_bytes()));
    }
    let (Ok(now), Ok(up)) = (clock_gettime(ClockId::CLOCK_REALTIME), clock_gettime(ClockId::CLOCK_MONOTONIC_RAW))
    else {
        return Vec::new();
    };
    let Ok(mut file) = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(path) else {
        return Vec::new();
    };
    let micros = |t: nix::sys::time::TimeSpec| t.tv_sec() * 1_000_000 + t.tv_nsec() / 1000;
    let mut start = micros(now) - micros(up);
    let mut found: Vec<(i64, String)> = Vec::new();
    let mut record = vec![0u8; 8192];
    loop {
        match file.read(&mut record) {
            Ok(n) if n > 0 => match record_of(record.get(..n).unwrap_or_default()) {
                Some((true, at, text)) => found.push((at, text)),
                Some((false, at, text)) if is_start_mark(&text) => found.push((at, text)),
                Some((false, at, text)) if mark == Some(text.as_str()) => start = micros(now) - at,
                _ => {}
            },
            // Overwritten while we read: what was read before has a gap behind it.
            Err(e) if e.raw_os_error() == Some(libc::EPIPE) => found.clear(),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            _ => break,
        }
    }
    found.into_iter().map(|(at, text)| LogLine { at: (start + at).div_euclid(1_000_000), text }).collect()
}

/// Whether the kernel itself said it (facility 0), when by its clock in microseconds, and what.
fn record_of(record: &[u8]) -> Option<(bool, i64, String)> {
    let text = text_of(record)?;
    let record = String::from_utf8_lossy(record);
    let mut head = record.split_once(';')?.0.split(',');
    let priority: u32 = head.next()?.parse().ok()?;
    Some((priority >> 3 == 0, head.nth(1)?.parse().ok()?, text))
}

/// The text of a record `prio,seq,time,flags;text\n KEY=value\n`.
fn text_of(record: &[u8]) -> Option<String> {
    let record = String::from_utf8_lossy(record);
    let (_, rest) = record.split_once(';')?;
    rest.lines().next().map(|l| l.trim().escape_debug().to_string())
}

fn is_about(line: &str, devname: &str) -> bool {
    let md = line.starts_with("md") || line.contains("md/");
    // Linux 7.2 says it of every array without that record.
    let is_usual = line.contains("will not be assembled in old kernels");
    md && !is_usual && !line.contains("detected capacity change") && !line.ends_with("stopped.") && {
        // Another array's line is not the reason.
        let other = line.split(|c: char| !c.is_ascii_alphanumeric()).any(|w| {
            w != devname && w.strip_prefix("md").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        });
        !other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_gives_its_text_and_only_lines_about_the_array_count() {
        let text =
            text_of(b"4,339,5140900,-;md/raid:md0: not enough operational devices (2/3 failed)\n SUBSYSTEM=block\n")
                .unwrap();
        assert_eq!(text, "md/raid:md0: not enough operational devices (2/3 failed)");
        assert!(is_about(&text, "md0") && !is_about(&text, "md1"));
        assert!(is_about("md: loop0 does not have a valid v1.2 superblock, not importing!", "md0"));
        assert!(
            !is_about("EXT4-fs (loop0): mounted", "md0")
                && !is_about("md0: detected capacity change from 0 to 8", "md0")
        );
        assert_eq!(text_of(b"nonsense"), None);
        let line = record_of(b"6,339,5140900,-;md: md0 stopped.\n").unwrap();
        assert_eq!(line, (true, 5_140_900, "md: md0 stopped.".to_owned()));
        assert_eq!(record_of(b"14,340,5140900,-;md: md0 stopped.\n").map(|r| r.0), Some(false), "said by a program");
    }
}
