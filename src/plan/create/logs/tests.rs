//! Journals and partial parity logs held against what the reference wrote (`tests/golden/create-log-geometry.tsv`, recorded by
//! `tests/golden/record-log-geometry.py`).

use super::design::design;
use super::sizing::{Sizing, sizing};
use super::tests::member;
use super::{MemberFacts, RaidLog};
use crate::cli::request::{DataOffset, SizeChoice};
use crate::cli::{self, Request};
use crate::error::Refusal;

/// Places of the first member and of the journal, where ours makes the array.
fn ours_with_log(version: &str, bytes: u64, journal: u64, words: &str) -> Result<(Sizing, RaidLog), Refusal> {
    let line = format!("--create /dev/md0 --metadata={version} -l5 -n3 {words} a b missing --run --quiet");
    let words: Vec<_> = line.split(' ').map(Into::into).collect();
    let Ok(Request::Create(request)) = cli::parse(&words) else { panic!("{line}") };
    let design = design(&request, false)?;
    let mut members = vec![member("a".into(), bytes), member("b".into(), bytes)];
    if design.log == RaidLog::Journal {
        members.insert(0, MemberFacts { journal: true, ..member("j".into(), journal) });
    }
    let given = match request.size {
        Some(SizeChoice::Sectors(s)) => Some(s),
        _ => None,
    };
    let offset = match request.data_offset {
        Some(DataOffset::Sectors(s)) => Some(s),
        _ => None,
    };
    Ok((sizing(&design, given, offset, &members)?, design.log))
}

#[test]
fn journals_and_ppls_lie_where_the_reference_puts_them() {
    let (mut same, mut bad) = (0, Vec::new());
    for row in include_str!("../../../../tests/golden/create-log-geometry.tsv").lines() {
        let fields: Vec<&str> = row.split('\t').collect();
        let [version, bytes, journal, words, of_member, of_journal, said] = fields[..] else { panic!("{row}") };
        let number = |text: &str| text.parse::<u64>().unwrap();
        let (bytes, journal_bytes) = (number(bytes), number(journal));
        let Ok((sizing, log)) = ours_with_log(version, bytes, journal_bytes, words) else {
            // the reference refuses too, or finds out when it writes
            if said.is_empty() || said.contains("RUN_ARRAY") {
                bad.push(row.to_owned());
            }
            continue;
        };
        for (recorded, place) in
            [of_journal, of_member].iter().skip(usize::from(log == RaidLog::Ppl)).zip(&sizing.places)
        {
            if *recorded == "none" {
                continue; // it stopped at the journal
            }
            if version == "1.0" && (said.contains("ADD_NEW_DISK") || words.contains("data-offset")) {
                continue; // data past the end: of a journal smaller than the members, of data with an offset behind a PPL
            }
            let ppl = log == RaidLog::Ppl;
            let found = format!(
                "size={} ppl_offset={} ppl_size={} data_offset={} data_size={} super_offset={} log_size={} log_offset={}",
                sizing.size,
                if ppl { place.bitmap_offset } else { 0 },
                if ppl { place.bitmap_sectors } else { 0 },
                place.data_offset,
                place.data_size,
                place.super_offset,
                place.log_sectors,
                place.log_offset
            );
            if found == **recorded { same += 1 } else { bad.push(format!("{row}\n  ours: {found}")) }
        }
    }
    assert!(bad.is_empty(), "{} rows differ:\n{}", bad.len(), bad.join("\n"));
    assert!(same > 600, "{same} places equal");
}
