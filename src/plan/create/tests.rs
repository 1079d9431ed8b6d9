//! Design and sizing held against what the reference wrote for devices from 512 KiB to 4 TiB
//! (`tests/golden/create-geometry.tsv`, recorded by `tests/golden/record-geometry.py`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::design::design;
use super::sizing::{Sizing, sizing};
use super::{MemberFacts, NewBitmapKind};
use crate::cli::{self, Request};
use crate::error::Refusal;
use crate::units::Bytes;
use crate::uuid::Uuid;

fn member(path: PathBuf, bytes: u64) -> MemberFacts {
    MemberFacts {
        path,
        dev: (7, 0),
        size: Bytes(bytes).sectors(),
        block: 512,
        write_mostly: false,
        failfast: false,
        data_offset: None,
        device_uuid: Uuid([0; 16]),
        stale_supers: Vec::new(),
        zeroes_by_unmap: false,
    }
}

/// What ours would do for a line of the table.
fn ours(version: &str, bytes: u64, words: &str) -> Result<(Sizing, NewBitmapKind), Refusal> {
    let line = format!("--create /dev/md0 --metadata={version} {words} --run --quiet");
    let words: Vec<_> = line.split(' ').map(Into::into).collect();
    let Ok(Request::Create(request)) = cli::parse(&words) else { panic!("{line}") };
    let design = design(&request, false)?;
    let members: Vec<_> =
        request.members.iter().filter_map(|m| m.path.clone()).map(|path| member(path, bytes)).collect();
    Ok((sizing(&design, None, None, &members)?, design.bitmap))
}

#[test]
fn every_place_and_size_is_what_the_reference_wrote() {
    let table = include_str!("../../../tests/golden/create-geometry.tsv");
    let (mut same, mut refused, mut bad) = (0, 0, Vec::new());
    for row in table.lines() {
        let fields: Vec<&str> = row.split('\t').collect();
        let [version, bytes, words, recorded, said] = fields[..] else { panic!("{row}") };
        let result = ours(version, bytes.parse().unwrap(), words);
        let Ok((sizing, bitmap)) = result else {
            // the reference refuses too, or the kernel did so after it had written
            refused += 1;
            if said.is_empty() {
                bad.push(format!("{row}\n  ours: {:?}", result.err()));
            }
            continue;
        };
        let recorded: BTreeMap<&str, i64> =
            recorded.split(' ').filter_map(|f| f.split_once('=')).map(|(k, v)| (k, v.parse().unwrap())).collect();
        let place = sizing.places.first().unwrap();
        let int = |n: u64| i64::try_from(n).unwrap();
        let mut found = BTreeMap::from([
            ("size", int(sizing.size.0)),
            ("bitmap_offset", place.bitmap_offset.into()),
            ("data_offset", int(place.data_offset.0)),
            ("data_size", int(place.data_size.0)),
            ("super_offset", int(place.super_offset.0)),
            ("log_size", place.log_sectors.into()),
            ("log_offset", place.log_offset.into()),
        ]);
        if bitmap != NewBitmapKind::None {
            found.extend([("sync", int(sizing.sync.0)), ("bitmap_chunk", int(sizing.bitmap_chunk_bytes))]);
        }
        if found == recorded {
            same += 1;
        } else {
            bad.push(format!("{row}\n  ours: {found:?}"));
        }
    }
    assert!(bad.is_empty(), "{} of {} rows differ:\n{}", bad.len(), same + refused + bad.len(), bad.join("\n"));
    assert!(same > 480 && refused < 50, "{same} rows equal, {refused} refused");
}
