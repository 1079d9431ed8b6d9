//! Takes out of printed text what differs from run to run: times, uuids, checksums, event counts, progress.

/// What may not be masked.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    pub events: bool,
    pub uuid: bool,
}

/// Keys whose value is a time or a progress.
const TIMES: &[&str] =
    &["Creation Time", "Update Time", "Resync Status", "Rebuild Status", "Reshape Status", "Check Status"];

/// The text with every line masked.
pub fn text(text: &str, keep: Keep) -> String {
    text.lines().map(|l| line(l, keep) + "\n").collect()
}

fn line(line: &str, keep: Keep) -> String {
    // getopt names the program by its path
    let line = match line.split_once("/sbin/mdadm: ") {
        Some((path, rest)) if path.starts_with('/') => &format!("mdadm: {rest}"),
        _ => line,
    };
    let line = if keep.uuid { line.to_owned() } else { uuids(line) };
    if let Some((head, value)) = line.split_once(" : ") {
        let key = head.trim();
        if TIMES.contains(&key) {
            return format!("{head} : TIME");
        }
        if key == "Device UUID" {
            return format!("{head} : UUID");
        }
        if key == "Checksum" {
            let verdict = value.split_once(' ').map_or("", |v| v.1);
            return format!("{head} : SUM {}", verdict.trim_end_matches(|c: char| c.is_ascii_hexdigit()));
        }
        if key.starts_with("Events") && !keep.events {
            return format!("{head} : EVENTS");
        }
    }
    for key in ["mtime=", "ctime=", "MD_UPDATE_TIME=", "MD_CREATION_TIME="] {
        if let Some(at) = line.find(key) {
            return format!("{}{key}TIME", &line[..at]);
        }
    }
    if line.starts_with("MD_EVENTS=") && !keep.events {
        return "MD_EVENTS=EVENTS".into();
    }
    line
}

/// Replaces `8:8:8:8` hex digits, and the form with dashes.
fn uuids(line: &str) -> String {
    let bytes = line.as_bytes();
    let mut out = String::new();
    let mut at = 0;
    while at < bytes.len() {
        let boundary = at == 0 || !bytes[at - 1].is_ascii_hexdigit();
        let length = [35, 36].into_iter().find(|n| boundary && bytes.get(at..at + n).is_some_and(is_uuid));
        if let Some(n) = length {
            out.push_str("UUID");
            at += n;
        } else {
            let c = line[at..].chars().next().unwrap();
            out.push(c);
            at += c.len_utf8();
        }
    }
    out
}

fn is_uuid(bytes: &[u8]) -> bool {
    let marks: &[(usize, u8)] = match bytes.len() {
        35 => &[(8, b':'), (17, b':'), (26, b':')],
        _ => &[(8, b'-'), (13, b'-'), (18, b'-'), (23, b'-')],
    };
    bytes.iter().enumerate().all(|(i, b)| match marks.iter().find(|m| m.0 == i) {
        Some(m) => *b == m.1,
        None => b.is_ascii_hexdigit(),
    })
}

/// /proc/mdstat without progress.
pub fn mdstat(text: &str) -> String {
    text.lines()
        .filter(|l| !l.trim_start().starts_with('[') && !l.contains("=PENDING") && !l.contains("=DELAYED"))
        .map(|l| if l.contains("finish=") { "" } else { l })
        .filter(|l| !l.is_empty() && !l.starts_with("Personalities") && !l.starts_with("unused"))
        .map(|l| format!("{l}\n"))
        .collect()
}

#[test]
fn a_uuid_a_time_and_a_checksum_are_masked_and_nothing_else() {
    let keep = Keep { events: false, uuid: false };
    assert_eq!(line("     Array UUID : 01234567:89abcdef:01234567:89abcdef", keep), "     Array UUID : UUID");
    assert_eq!(line("  Creation Time : Sun Aug  7 21:15:49 2022", keep), "  Creation Time : TIME");
    assert_eq!(line("       Checksum : 8a9b - correct", keep), "       Checksum : SUM - correct");
    assert_eq!(line("       Checksum : 8a9b - expected 8a9c", keep), "       Checksum : SUM - expected ");
    assert_eq!(line("       level=raid1 devices=2 ctime=Sun Aug  7", keep), "       level=raid1 devices=2 ctime=TIME");
    assert_eq!(
        line("     Array Size : 15360 (15.00 MiB 15.73 MB)", keep),
        "     Array Size : 15360 (15.00 MiB 15.73 MB)"
    );
}
