//! The command line is read as the reference reads it: every prefix of every option, every option in every mode, and a
//! list of single cases, against what the reference was recorded to answer (tests/golden/cli/record.sh).

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::ffi::OsString;

use mdadm::cli;

/// What was recorded of one command line.
struct Record {
    typed: String,
    words: Vec<OsString>,
    status: u8,
    err: String,
    out: String,
}

/// Reads words as a shell does, as far as the cases need it: spaces part, quotes of both kinds hold together.
fn shell_words(line: &str) -> Vec<OsString> {
    let (mut words, mut word, mut quote, mut in_word) = (Vec::new(), String::new(), None, false);
    for c in line.chars() {
        match (quote, c) {
            (Some(q), _) if c == q => quote = None,
            (Some(_), _) => word.push(c),
            (None, '"' | '\'') => (quote, in_word) = (Some(c), true),
            (None, ' ') => {
                if std::mem::take(&mut in_word) {
                    words.push(std::mem::take(&mut word).into());
                }
            }
            (None, _) => {
                word.push(c);
                in_word = true;
            }
        }
    }
    if in_word {
        words.push(word.into());
    }
    words
}

fn records(tsv: &str) -> Vec<Record> {
    let plain = |text: Option<&str>| text.unwrap_or_default().replace("\\n", "\n").replace("\\t", "\t");
    tsv.lines()
        .map(|line| {
            let mut fields = line.split('\t');
            let typed = fields.next().unwrap().to_owned();
            let status = fields.next().unwrap().parse().unwrap();
            let (err, out) = (plain(fields.next()), plain(fields.next()));
            Record { words: shell_words(&typed), typed, status, err, out }
        })
        .collect()
}

/// What the reference says once a line has been read and the devices are looked at; ours says it in `cmd`.
const BEHIND_THE_READING: &[&str] = &[
    "error opening ",
    "cannot open ",
    "cannot open device",
    "stat failed for ",
    "Couldn't open ",
    "failed to open bitmap file ",
    "not identified in config file.",
    "no raid-devices specified.",
    "To optimize recovery speed, it is recommended",
    "You haven't given enough devices",
    "requested ",
    "The md can't get cluster name",
    "a RAID level is needed to ",
    "--super-minor=dev given, and listed device",
    "-U/--update must be specified with --update-subarray",
    "Please specify nodes number with --nodes",
    "--no-degraded not meaningful without a --scan assembly.",
    "Cannot monitor: need --scan or at least one device",
    "--incremental requires a device.",
    "No arrays found in config file or automatically",
];

/// Deliberate differences: how the line is typed, and why ours answers otherwise (docs/compat.md).
const DIFFERENT: &[(&str, &str)] = &[
    ("--detail --udev-rules --none", "the reference complains twice"),
    ("-E -- /dev/none -D", DASHES),
    ("-- -D", DASHES),
    ("-D -- -D", DASHES),
    ("-- /dev/none", DASHES),
    ("-C /dev/none -z 9223372036854775807", WRAPS),
    ("-C /dev/none -z 9223372036854775808", WRAPS),
    ("-C /dev/none -z 4611686018427387904", WRAPS),
    ("-C /dev/none -z 18446744073709551616", WRAPS),
    ("-C /dev/none --data-offset=9007199254740992T", WRAPS),
    ("-A /dev/none -e mbr", NOT_RAID),
    ("-A /dev/none -e gpt", NOT_RAID),
    ("-C /dev/none -e mbr", NOT_RAID),
    ("-C /dev/none -e gpt", NOT_RAID),
    ("-C /dev/none -b /tmp/foo", FILES),
    ("-A /dev/none -b /tmp/foo", FILES),
    ("-A /dev/none -e \"\"", "an empty word names no format"),
    (
        "--assemble --bitmap-chunk=2 --none",
        "--update=bitmap=lockless may follow, so --bitmap-chunk is looked at when all is read",
    ),
];
const DASHES: &str = "names behind -- are devices; the reference drops them";
const WRAPS: &str = "sizes past 2^63 sectors are refused; the reference's arithmetic wraps round";
const FILES: &str = "bitmap files are taken; mdadm 4.4 dropped them";
const NOT_RAID: &str = "a partition table is no RAID metadata; the reference takes the word and can do nothing with it";

fn differences(records: &[Record]) -> Vec<String> {
    let mut found = Vec::new();
    for r in records {
        let told = match cli::parse(&r.words) {
            Err(e) if e.text == r.err && e.out == r.out && e.exit.0 == r.status => None,
            Err(e) => Some(format!("{} {:?} {:?}", e.exit.0, e.text, e.out)),
            Ok(_) if r.status == 0 && r.err.is_empty() => None,
            Ok(_) if BEHIND_THE_READING.iter().any(|m| r.err.contains(m)) => None,
            Ok(_) if r.err.is_empty() && r.out.is_empty() => None,
            Ok(request) => Some(format!("{request:?}")),
        };
        let Some(told) = told else { continue };
        if !DIFFERENT.iter().any(|d| d.0 == r.typed) {
            found.push(format!("mdadm {}\n  reference: {} {:?} {:?}\n  ours: {told}", r.typed, r.status, r.err, r.out));
        }
    }
    found
}

fn assert_same(tsv: &str, least: usize) {
    let records = records(tsv);
    assert!(records.len() >= least, "only {} records", records.len());
    let found = differences(&records);
    assert!(found.is_empty(), "{} of {} differ:\n{}", found.len(), records.len(), found.join("\n"));
}

#[test]
fn every_prefix_of_every_option_resolves_as_in_the_reference() {
    assert_same(include_str!("golden/cli/prefixes.tsv"), 640);
}

#[test]
fn every_option_in_every_mode_is_taken_or_refused_as_in_the_reference() {
    assert_same(include_str!("golden/cli/matrix.tsv"), 1900);
}

#[test]
fn every_recorded_case_is_read_as_in_the_reference() {
    assert_same(include_str!("golden/cli/cases.tsv"), 400);
}

/// Options and values for random lines; nothing here looks for devices of its own or leaves a process behind.
const PIECES: &[&str] = &[
    "-A -B -C -D -E -G -Q -X -S -R -W -Y -a -b -f -h -o -q -r -t -v -w --manage --misc --add --remove --fail --re-add",
    "--replace --with --add-spare --run --stop --readonly --readwrite --zero-superblock --wait --wait-clean --force",
    "--assume-clean --brief --export --no-devices --write-mostly --failfast --nofailfast --no-degraded --continue",
    "--invalid-backup --write-behind --examine-badblocks --offroot --sparc2.2 --cluster-confirm --test",
    "-l0 -l1 -lraid5 -l6 -l10 -llinear -lfoo -lmp -lcontainer -n1 -n2 -n0 -nx -n3 -x0 -x1 -xx -c64 -c4k -c1M -cx -z1 -z1G",
    "-zmax -pla -pn2 -poriginal -pfoo -e1.2 -e0.90 -efoo -edefault -eimsm --bitmap=none --bitmap=internal --bitmap=foo",
    "--bitmap-chunk=4M --bitmap-chunk=3 -Na -Nb -N -u0123456789abcdef0123456789abcdef -ux --data-offset=1M",
    "--data-offset=variable --data-offset=x -kresync -kbitmap -kppl -kjournal -kfoo -d1 -d0 --write-behind=x",
    "--write-behind=5 -Uresync -Uname -Ubbl -Ufoo -m0 -mdev -mx --homehost=a --prefer=x -Z100 -Zx",
    "--write-journal=/dev/none1 --action=idle --action=foo --config=none --backup-file=/x --logical-block-size=512 --name=q",
    "--kill-subarray=0 --update-subarray=0 --auto=md --raid-d=2 --spare-d=1 --chun=64 --meta=1.1 -ix --nodes=1 --level",
    "/dev/none /dev/none /dev/none /dev/none /dev/none2 /dev/none2 /dev/none2 /dev/none2 missing missing - 2 1M",
];

/// SOAK_SEEDS times a thousand random lines, read by ours and by the reference named in MDADM_REFERENCE.
#[test]
#[ignore = "a campaign: make soak"]
fn soak_random_lines_are_read_as_by_the_reference() {
    let number = |name: &str, default: u64| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default);
    let cache = std::env::var("XDG_CACHE_HOME").or_else(|_| std::env::var("HOME").map(|h| h + "/.cache")).unwrap();
    let reference = std::env::var("MDADM_REFERENCE").unwrap_or(cache + "/mdadm-rs/ref/mdadm");
    let pieces: Vec<&str> = PIECES.iter().flat_map(|p| p.split(' ')).collect();
    let mut lines = Vec::new();
    for seed in 0..number("SOAK_SEEDS", 1) {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut below = |n: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as usize % n
        };
        for _ in 0..1000 {
            let words: Vec<&str> = (0..=below(6)).map(|_| pieces[below(pieces.len())]).collect();
            // Help is in our words.
            if words.iter().any(|w| w.starts_with("-h")) {
                continue;
            }
            let out = std::process::Command::new(&reference).args(&words).stdin(std::process::Stdio::null()).output();
            let out = out.unwrap();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            // getopt names the program by its path.
            let plain = |line: &str| match line.split_once("/mdadm: ") {
                Some((path, rest)) if line.starts_with('/') && !path.contains(' ') => format!("mdadm: {rest}\n"),
                _ => format!("{line}\n"),
            };
            lines.push(Record {
                typed: words.join(" "),
                words: words.iter().map(Into::into).collect(),
                status: u8::try_from(out.status.code().unwrap()).unwrap(),
                err: text(&out.stderr).lines().map(plain).collect(),
                out: text(&out.stdout),
            });
        }
    }
    let found = differences(&lines);
    assert!(found.is_empty(), "{} of {} differ:\n{}", found.len(), lines.len(), found.join("\n"));
}
