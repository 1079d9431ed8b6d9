//! Design and sizing held against what the reference wrote for devices from 512 KiB to 4 TiB
//! (`tests/golden/create-geometry.tsv` and `create-clustered.tsv`, recorded by the scripts beside them).

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::design::design;
use super::sizing::{Sizing, sizing};
use super::{Identity, MemberFacts, NewBitmapKind, slots, steps};
use crate::bitmap::header::BitmapSuper;
use crate::cli::request::SizeChoice;
use crate::cli::{self, Request};
use crate::error::Refusal;
use crate::plan::step::Step;
use crate::superblock::v1::{SUPER_BYTES, SuperV1};
use crate::units::{Bytes, Sectors};
use crate::uuid::Uuid;

pub(super) fn member(path: PathBuf, bytes: u64) -> MemberFacts {
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
        journal: false,
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
fn a_mirror_with_its_metadata_behind_the_last_partition_keeps_a_partition_table() {
    let fate = |words: &str, given: Option<u64>, end: u64| {
        let line = format!("--create /dev/md0 --bitmap=none --raid-devices=2 {words} a b");
        let words: Vec<_> = line.split(' ').map(Into::into).collect();
        let Ok(Request::Create(request)) = cli::parse(&words) else { panic!("{line}") };
        let (design, a) = (design(&request, false).unwrap(), member("a".into(), 64 << 20));
        super::tables::fate(&design, given.map(Sectors), None, &a, &a, Sectors(end))
    };
    let (over, small) = ("metadata will over-write last partition on a.", "array size is too small");
    // The last sectors were found by trying mdadm 4.6 on disks of 64 MiB.
    for (words, last) in [("--level=1 --metadata=0.90", 130_944), ("--level=1 --metadata=1.0", 131_040)] {
        assert_eq!((fate(words, None, 0), fate(words, None, last)), (None, None));
        assert_eq!(fate(words, None, last + 1).as_deref(), Some(over));
        assert_eq!(fate(words, Some(102_400), 102_400), None);
        assert!(fate(words, Some(102_400), 102_401).unwrap().starts_with(small));
        assert_eq!(fate(words, Some(102_400), last + 1).as_deref(), Some(over));
    }
    for words in ["--level=1 --metadata=1.2", "--level=1 --metadata=1.1", "--level=0 --metadata=1.0"] {
        assert!(fate(words, None, 0).unwrap().contains("will be lost"));
    }
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

/// What ours would write to the first member: byte offsets and bytes, in order.
fn writes(bytes: u64, words: &str) -> Result<Vec<(u64, Vec<u8>)>, Refusal> {
    let line = format!("--create /dev/md0 --offline --run --quiet {words}");
    let words: Vec<_> = line.split(' ').map(Into::into).collect();
    let Ok(Request::Create(request)) = cli::parse(&words) else { panic!("{line}") };
    let design = design(&request, false)?;
    let paths: Vec<_> = request.members.iter().map(|m| m.path.clone()).collect();
    let members: Vec<_> = paths.iter().flatten().map(|path| member(path.clone(), bytes)).collect();
    let given = match request.size {
        Some(SizeChoice::Sectors(s)) => Some(s),
        _ => None,
    };
    let sizing = sizing(&design, given, None, &members)?;
    let present: Vec<bool> = paths.iter().map(Option::is_some).collect();
    let parts = steps::Parts {
        design: &design,
        sizing: &sizing,
        slots: &slots::assign(design.level, design.raid_disks, &present, None, false, design.assume_clean),
        members: &members,
        by_index: &present.iter().enumerate().map(|(i, p)| p.then_some(i)).collect::<Vec<_>>(),
        identity: &Identity { uuid: Uuid([1; 16]), set_name: b"x".to_vec(), time: 0, number: 0 },
        node: None,
        delay: request.delay,
        logical_block_size: None,
        bitmap_file: None,
        force: false,
    };
    let writes = steps::plan(&parts)?.steps.into_iter().filter_map(|s| match s {
        Step::Write { device, offset, bytes, .. } if Some(&device) == paths[0].as_ref() => Some((offset, bytes)),
        _ => None,
    });
    Ok(writes.collect())
}

#[test]
fn every_chunk_of_a_new_bitmap_has_its_bit_set() {
    // Sizes at which the bits reach into a block of 4 KiB that they would not reach without the header before them.
    for (mib, chunk) in
        [(15_872, "512K"), (15_872, "256K"), (31_744, "1M"), (7680, "256K"), (64, "64M"), (300_000, "8M")]
    {
        let words = format!("--level=5 --force -n2 --bitmap=internal --bitmap-chunk={chunk} /dev/a /dev/b");
        let writes = writes(mib << 20, &words).unwrap();
        let (at, bytes) = &writes[0];
        let sb = BitmapSuper::from_bytes(bytes[..256].try_into().unwrap()).unwrap();
        let chunks = usize::try_from(sb.chunks().unwrap()).unwrap();
        assert_eq!(*at, 8192);
        assert!(bytes.len() >= 256 + chunks.div_ceil(8), "{mib} {chunk}: {} bytes for {chunks} chunks", bytes.len());
        assert!(bytes[256..].iter().all(|b| *b == 0xff), "{mib} {chunk}");
    }
}

/// What ours would write to the first member of a clustered array, as `tests/golden/record-clustered.py` shows it.
fn clustered(bytes: u64, words: &str) -> Result<BTreeMap<String, String>, Refusal> {
    let writes = writes(bytes, &format!("--bitmap=clustered {words}"))?;
    let [(bitmaps_at, bitmaps), (super_at, sb)] = &writes[..] else { panic!("{} writes", writes.len()) };
    let mut whole = [0u8; SUPER_BYTES];
    whole[..sb.len()].copy_from_slice(sb);
    let sb = SuperV1::from_bytes(&whole).unwrap();
    assert_eq!((*super_at, *bitmaps_at), (4096, 8192));
    let heads: Vec<usize> = (0..bitmaps.len()).step_by(4096).filter(|o| bitmaps[*o..].starts_with(b"bitm")).collect();
    let step = heads.get(1).copied().unwrap_or(0);
    let head = |at: usize| BitmapSuper::from_bytes(bitmaps[at..at + 256].try_into().unwrap()).unwrap();
    let ones = |at: usize| bitmaps[at + 256..at + step].iter().take_while(|b| **b == 0xff).count();
    let bm = head(0);
    let fields: Vec<(&str, String)> = vec![
        ("features", sb.feature_map().to_string()),
        ("size", sb.size().to_string()),
        ("bitmap_offset", sb.bitmap_offset().to_string()),
        ("data_offset", sb.data_offset().to_string()),
        ("data_size", sb.data_size().to_string()),
        ("super_offset", sb.super_offset().to_string()),
        ("log_size", sb.bblog_size().to_string()),
        ("log_offset", sb.bblog_offset().to_string()),
        ("resync", i64::from_le_bytes(sb.resync_offset().to_le_bytes()).to_string()),
        ("bitmaps", heads.len().to_string()),
        ("step", step.to_string()),
        ("version", bm.version().to_string()),
        ("sync", bm.sync_size().to_string()),
        ("state", bm.state().to_string()),
        ("bitmap_chunk", bm.chunksize().to_string()),
        ("sleep", bm.daemon_sleep().to_string()),
        ("behind", bm.write_behind().to_string()),
        ("reserved", bm.sectors_reserved().to_string()),
        ("nodes", bm.nodes().to_string()),
        ("cluster", String::from_utf8(bm.cluster_name()).unwrap()),
        ("same", u8::from(bm == head(heads[heads.len() - 1])).to_string()),
        ("ones", ones(0).to_string()),
        ("others", heads[1..].iter().map(|at| ones(*at)).sum::<usize>().to_string()),
    ];
    Ok(fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
}

#[test]
fn a_clustered_array_is_what_the_reference_wrote() {
    let table = include_str!("../../../tests/golden/create-clustered.tsv");
    let (mut same, mut refused) = (0, 0);
    for row in table.lines() {
        let [_, bytes, words, recorded, said] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row}") };
        // the reference asked the cluster for its name
        let words = if words.contains("home-cluster") { words } else { &format!("--home-cluster=corocluster {words}") };
        match clustered(bytes.parse().unwrap(), words) {
            Ok(found) => {
                let recorded: BTreeMap<String, String> = recorded
                    .split(' ')
                    .filter_map(|f| f.split_once('='))
                    .map(|(k, v)| (k.to_owned(), v.to_owned()))
                    .collect();
                assert_eq!(found, recorded, "{row}");
                same += 1;
            }
            Err(refusal) => {
                let line = refusal.lines[0].split(": more").next().unwrap();
                assert!(said.contains(line), "{row}\n  ours: {refusal:?}");
                refused += 1;
            }
        }
    }
    assert!(same > 40 && refused > 20, "{same} rows equal, {refused} refused");
}

#[test]
fn a_raid6_has_no_more_members_than_the_kernel_bears() {
    let made = |count: usize| {
        let line = format!("--level=6 --raid-devices={count} --bitmap=none {}", "a ".repeat(count));
        ours("1.2", 64 << 20, line.trim_end()).map(|_| ())
    };
    assert_eq!(made(255), Ok(()));
    assert_eq!(made(256).unwrap_err().lines, ["no more than 255 raid-devices supported for level 6"]);
}
