//! /proc/mdstat (kernel `md_seq_show` in `md.c`, `*_status` of the levels).
//!
//! The text is for people, and its details change; what is not understood is left out.
#![forbid(unsafe_code)]
#![deny(clippy::cast_possible_truncation)]

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MdStat {
    /// Levels that are loaded: `raid0`, `raid1`, ...
    pub personalities: Vec<String>,
    /// The arrays, the newest first.
    pub arrays: Vec<MdStatArray>,
}

/// One array.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MdStatArray {
    /// Kernel name: `md0`.
    pub devname: String,
    /// Runs.
    pub active: bool,
    /// `read-only`, `auto-read-only` and whatever else is in parentheses; `broken` where a raid0 or linear lost a member.
    pub marks: Vec<String>,
    /// `raid5`; none while inactive.
    pub level: Option<String>,
    /// In the order of the line.
    pub members: Vec<MdStatMember>,
    /// Size in KiB.
    pub blocks: Option<u64>,
    /// `1.2`, `external:imsm`, `non-persistent`; `0.90` has no mark.
    pub metadata: Option<String>,
    /// `[3/2]`: wanted and present members.
    pub counts: Option<(u32, u32)>,
    /// `[UU_]`, without the brackets.
    pub pattern: Option<String>,
    /// The resync or the like that runs or waits.
    pub sync: Option<MdStatSync>,
    /// The line behind `bitmap:`.
    pub bitmap: Option<String>,
}

/// One member: `sda1[0](F)`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MdStatMember {
    /// Kernel name.
    pub name: String,
    /// Number of its descriptor.
    pub number: u32,
    /// Letters: F faulty, S spare, W write-mostly, J journal, R replacement.
    pub flags: String,
}

/// The resync, recovery, reshape or check.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MdStatSync {
    /// `resync`, `recovery`, `reshape`, `check`
    pub action: String,
    /// Whole percent; none where it waits.
    pub percent: Option<u32>,
    /// `DELAYED`, `PENDING`, `REMOTE` where it waits.
    pub waits: Option<String>,
    /// `12345/77824`: KiB or sectors of the kernel's own count.
    pub done: Option<(u64, u64)>,
    /// Minutes times 10, as `finish=1.2min` says.
    pub finish_tenths: Option<u64>,
    /// KiB per second.
    pub speed_kib: Option<u64>,
}

impl MdStat {
    /// The array with this kernel name.
    #[must_use]
    pub fn array(&self, devname: &str) -> Option<&MdStatArray> {
        self.arrays.iter().find(|a| a.devname == devname)
    }
}

/// Reads the text.
#[must_use]
pub fn parse(text: &str) -> MdStat {
    let mut stat = MdStat::default();
    for line in text.lines() {
        if let Some(levels) = line.strip_prefix("Personalities :") {
            stat.personalities = brackets(levels).into_iter().map(str::to_owned).collect();
        } else if line.starts_with([' ', '\t']) {
            if let Some(array) = stat.arrays.last_mut() {
                detail_line(array, line.trim());
            }
        } else if let Some((name, rest)) = line.split_once(" : ")
            && name.starts_with("md")
            && !name.contains(' ')
        {
            stat.arrays.push(head_line(name, rest));
        }
    }
    stat
}

/// `active (auto-read-only) raid5 loop2[4] loop3[3](S)`
fn head_line(name: &str, rest: &str) -> MdStatArray {
    let mut array = MdStatArray { devname: name.to_owned(), ..MdStatArray::default() };
    for word in rest.split_ascii_whitespace() {
        if matches!(word, "active" | "inactive" | "broken") {
            array.active = word != "inactive";
            array.marks.extend((word == "broken").then(|| word.to_owned()));
        } else if let Some(mark) = word.strip_prefix('(') {
            array.marks.push(mark.trim_end_matches(')').to_owned());
        } else if let Some(member) = member(word) {
            array.members.push(member);
        } else if array.members.is_empty() && array.level.is_none() {
            array.level = Some(word.to_owned());
        }
    }
    array
}

/// `sda1[0](F)`
fn member(word: &str) -> Option<MdStatMember> {
    let (name, rest) = word.split_once('[')?;
    let (number, rest) = rest.split_once(']')?;
    let flags = rest.chars().filter(char::is_ascii_uppercase).collect();
    Some(MdStatMember { name: name.to_owned(), number: number.parse().ok()?, flags })
}

fn detail_line(array: &mut MdStatArray, line: &str) {
    if let Some(bitmap) = line.strip_prefix("bitmap:") {
        array.bitmap = Some(bitmap.trim().to_owned());
    } else if let Some((blocks, rest)) = line.split_once(" blocks") {
        array.blocks = blocks.parse().ok();
        array.metadata = rest.trim().strip_prefix("super ").and_then(|r| r.split(' ').next()).map(str::to_owned);
        array_counts(array, rest);
    } else if let Some(sync) = sync_line(line) {
        array.sync = Some(sync);
    }
}

/// The last two things in brackets: `[3/2] [UU_]`
fn array_counts(array: &mut MdStatArray, rest: &str) {
    for word in brackets(rest) {
        if let Some((wanted, present)) = word.split_once('/')
            && let (Ok(wanted), Ok(present)) = (wanted.parse(), present.parse())
        {
            array.counts = Some((wanted, present));
        } else if !word.is_empty() && word.chars().all(|c| matches!(c, 'U' | '_')) {
            array.pattern = Some(word.to_owned());
        }
    }
}

/// `[==>..]  recovery = 12.6% (37043392/292945152) finish=127.5min speed=33440K/sec`, or `resync=DELAYED`
fn sync_line(line: &str) -> Option<MdStatSync> {
    let line = line.rsplit_once(']').map_or(line, |(_, rest)| rest).trim();
    let (action, rest) = line.split_once('=')?;
    let action = action.trim();
    if !matches!(action, "resync" | "recovery" | "reshape" | "check" | "repair") {
        return None;
    }
    let mut sync = MdStatSync { action: action.to_owned(), ..MdStatSync::default() };
    let rest = rest.trim();
    if rest.starts_with(|c: char| c.is_ascii_uppercase()) {
        sync.waits = rest.split(' ').next().map(str::to_owned);
        return Some(sync);
    }
    sync.percent = rest.split(['.', '%']).next().and_then(|p| p.parse().ok());
    for word in rest.split_ascii_whitespace() {
        if let Some((done, total)) = word.trim_matches(['(', ')']).split_once('/')
            && let (Ok(done), Ok(total)) = (done.parse(), total.parse())
        {
            sync.done = Some((done, total));
        } else if let Some(minutes) = word.strip_prefix("finish=").and_then(|w| w.strip_suffix("min")) {
            sync.finish_tenths = minutes.replacen('.', "", 1).parse().ok();
        } else if let Some(speed) = word.strip_prefix("speed=").and_then(|w| w.strip_suffix("K/sec")) {
            sync.speed_kib = speed.parse().ok();
        }
    }
    Some(sync)
}

/// What stands in brackets.
fn brackets(text: &str) -> Vec<&str> {
    text.split('[').skip(1).filter_map(|p| p.split_once(']')).map(|(inside, _)| inside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "Personalities : [raid1] [raid4] [raid5] [raid6] \n\
        md1 : active (auto-read-only) raid1 sdc1[1](W) sdb1[0]\n      39936 blocks super 1.2 [2/2] [UU]\n      \
        \tresync=PENDING\n      bitmap: 1/1 pages [4KB], 65536KB chunk\n\n\
        md0 : active raid5 loop2[4] loop3[3](S) loop1[1](F) loop0[0]\n      \
        77824 blocks super 1.2 level 5, 512k chunk, algorithm 2 [3/2] [U_U]\n      \
        [==>..................]  recovery = 12.6% (4918/38912) finish=127.5min speed=33440K/sec\n      \n\
        md9 : inactive sdd[0](S)\n      1024 blocks\n       \nunused devices: <none>\n";

    #[test]
    fn arrays_members_and_progress_are_read() {
        let s = parse(SAMPLE);
        assert_eq!(s.personalities, ["raid1", "raid4", "raid5", "raid6"]);
        assert_eq!(s.arrays.iter().map(|a| a.devname.as_str()).collect::<Vec<_>>(), ["md1", "md0", "md9"]);
        let md1 = s.array("md1").unwrap();
        assert_eq!((md1.marks.as_slice(), md1.level.as_deref()), (&["auto-read-only".to_owned()][..], Some("raid1")));
        assert_eq!(md1.sync.as_ref().unwrap().waits.as_deref(), Some("PENDING"));
        assert_eq!(md1.bitmap.as_deref(), Some("1/1 pages [4KB], 65536KB chunk"));
        assert_eq!(md1.members[0], MdStatMember { name: "sdc1".into(), number: 1, flags: "W".into() });
        let md0 = s.array("md0").unwrap();
        assert_eq!((md0.blocks, md0.counts, md0.pattern.as_deref()), (Some(77824), Some((3, 2)), Some("U_U")));
        let sync = md0.sync.as_ref().unwrap();
        assert_eq!((sync.action.as_str(), sync.percent, sync.done), ("recovery", Some(12), Some((4918, 38912))));
        assert_eq!((sync.finish_tenths, sync.speed_kib), (Some(1275), Some(33440)));
        assert_eq!((md0.metadata.as_deref(), md0.members.len()), (Some("1.2"), 4));
        let md9 = s.array("md9").unwrap();
        assert_eq!((md9.active, md9.level.as_deref(), md9.members.len(), md9.blocks), (false, None, 1, Some(1024)));
    }

    #[test]
    fn a_raid0_that_lost_a_member_is_broken() {
        let s = parse("md0 : broken raid0 loop1[1] sda[0]\n      45056 blocks super 1.2 512k chunks\n");
        let md0 = s.array("md0").unwrap();
        assert_eq!(
            (md0.active, md0.level.as_deref(), md0.marks.as_slice()),
            (true, Some("raid0"), &["broken".to_owned()][..])
        );
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "(md[0-9] : |active|inactive|\\[|\\]|/|=|blocks|resync|\\(|\\)|[0-9]{1,25}|\\.|%|\n|  |.){0,60}") {
            let _ = parse(&text);
        }

        #[test]
        fn a_cut_or_damaged_file_never_panics(cut in 0usize..SAMPLE.len(), at in 0usize..SAMPLE.len(), byte in 0u8..128) {
            let mut bytes = SAMPLE.as_bytes().to_vec();
            bytes[at] = byte;
            bytes.truncate(cut);
            let _ = parse(&String::from_utf8_lossy(&bytes));
        }
    }
}
