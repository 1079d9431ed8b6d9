//! What the kernel said while a command ran: an ioctl gives only an errno, the reason is in the kernel log.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

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
        let mut lines = Vec::new();
        let Some(file) = &mut self.file else { return lines };
        let mut record = vec![0u8; 8192];
        for _ in 0..MAX_RECORDS {
            // One record a read; nothing more is an error (EAGAIN), an overwritten record too (EPIPE).
            match file.read(&mut record) {
                Ok(n) if n > 0 => lines.extend(text_of(record.get(..n).unwrap_or_default())),
                Err(e) if e.raw_os_error() == Some(libc::EPIPE) => {}
                _ => break,
            }
        }
        lines.retain(|l: &String| is_about(l, devname));
        lines.split_off(lines.len().saturating_sub(MAX_LINES))
    }
}

/// The text of a record `prio,seq,time,flags;text\n KEY=value\n`.
fn text_of(record: &[u8]) -> Option<String> {
    let record = String::from_utf8_lossy(record);
    let (_, rest) = record.split_once(';')?;
    rest.lines().next().map(|l| l.trim().escape_debug().to_string())
}

fn is_about(line: &str, devname: &str) -> bool {
    let md = line.starts_with("md") || line.contains("md/");
    md && !line.contains("detected capacity change") && !line.ends_with("stopped.") && {
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
    }
}
