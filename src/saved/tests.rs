#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use proptest::prelude::*;

use super::*;

fn sample() -> Saved {
    let range = |offset, content| Range { offset, what: "superblock".into(), content };
    let member = Member { metadata: "1.2".into(), uuid: Uuid([7; 16]), name: "h:data".into(), events: 19 };
    let device = |path: &str| Device {
        path: path.into(),
        size_bytes: 1 << 20,
        identity: [("serial".to_owned(), "S1\u{e9}".to_owned())].into(),
        array: Some(member.clone()),
        ranges: vec![range(4096, Content::Bytes(vec![3; 512])), range(8192, Content::Zeros(4096))],
    };
    Saved {
        command: vec!["mdadm".into(), "--create".into()],
        time_seconds: 1_790_000_000,
        incomplete: false,
        devices: vec![device("/dev/sda"), device("/dev/sdb")],
    }
}

/// A file with a right checksum around any header and data.
fn file(header: &[u8], data: &[u8]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend(VERSION.to_le_bytes());
    out.extend((header.len() as u32).to_le_bytes());
    out.extend((data.len() as u64).to_le_bytes());
    out.extend(header);
    out.extend(data);
    out.extend(crc::crc32c(&out).to_le_bytes());
    out
}

fn device_strategy() -> impl Strategy<Value = Device> {
    use std::os::unix::ffi::OsStringExt;
    let path = prop::collection::vec(1u8..=255, 0..12).prop_map(|mut b| {
        b.insert(0, b'/');
        PathBuf::from(std::ffi::OsString::from_vec(b))
    });
    let content = prop_oneof![
        (1u64..100_000).prop_map(Content::Zeros),
        prop::collection::vec(any::<u8>(), 1..600).prop_map(Content::Bytes)
    ];
    let ranges = prop::collection::vec((0u64..10_000, ".{0,8}", content), 0..6).prop_map(|parts| {
        let mut at = 0;
        parts
            .into_iter()
            .map(|(gap, what, content)| {
                let range = Range { offset: at + gap, what, content };
                at = range.offset + range.len();
                range
            })
            .collect::<Vec<_>>()
    });
    let identity = prop::collection::btree_map("[a-z]{1,6}", ".{0,10}", 0..3);
    let member = prop::option::of((".{0,6}", any::<[u8; 16]>(), ".{0,40}", any::<u64>()));
    (path, ranges, identity, member).prop_map(|(path, ranges, identity, member)| Device {
        path,
        size_bytes: ranges.last().map_or(0, |r| r.offset + r.len()),
        identity,
        array: member.map(|(metadata, uuid, name, events)| Member { metadata, uuid: Uuid(uuid), name, events }),
        ranges,
    })
}

#[test]
fn what_was_written_is_read_again() {
    let saved = sample();
    assert_eq!(Saved::parse(&saved.to_bytes().unwrap()).unwrap(), saved);
}

#[test]
fn one_flipped_bit_anywhere_is_noticed() {
    let good = sample().to_bytes().unwrap();
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            assert!(Saved::parse(&bad).is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn a_file_that_was_cut_or_has_a_tail_is_refused() {
    let good = sample().to_bytes().unwrap();
    for len in 0..good.len() {
        assert!(Saved::parse(&good[..len]).is_err(), "{len}");
    }
    let long: Vec<u8> = good.iter().copied().chain([0]).collect();
    assert!(matches!(Saved::parse(&long), Err(SavedError::Length { .. })));
}

#[test]
fn ranges_that_cannot_be_are_refused_though_the_checksum_is_right() {
    let with = |ranges: &str, data: &[u8]| {
        let header = format!(
            r#"{{"schema":"mdadm-rs/saved/1","command":[],"time_seconds":1,"devices":[{{"path":"/dev/sda","size_bytes":8192,"identity":{{}},"array":null,"ranges":[{ranges}]}}]}}"#
        );
        Saved::parse(&file(header.as_bytes(), data)).map(|_| ()).unwrap_err().to_string()
    };
    let range = |offset: u64, len: u64, stored: bool| {
        format!(r#"{{"offset_bytes":{offset},"length_bytes":{len},"stored":{stored},"what":"x"}}"#)
    };
    assert!(with(&range(8000, 512, false), &[]).contains("past its device"));
    assert!(with(&range(u64::MAX, 512, false), &[]).contains("past its device"));
    assert!(with(&range(0, u64::MAX, true), &[]).contains("less data"));
    assert!(with(&range(0, 512, true), &[0; 100]).contains("less data"));
    assert!(with(&range(0, 50, true), &[0; 100]).contains("more data"));
    let two = format!("{},{}", range(512, 512, false), range(1000, 512, false));
    assert!(with(&two, &[]).contains("overlap"));
}

#[test]
fn headers_that_are_none_are_refused() {
    for header in ["", "[]", "{}", "null", r#"{"schema":"x","command":[],"time_seconds":1,"devices":[]}"#] {
        assert!(matches!(Saved::parse(&file(header.as_bytes(), b"")), Err(SavedError::Header(_))), "{header}");
    }
    let deep = "[".repeat(100_000);
    assert!(Saved::parse(&file(deep.as_bytes(), b"")).is_err());
    let mut relative = sample();
    relative.devices[0].path = "dev/sda".into();
    assert!(relative.to_bytes().is_err());
    let mut twice = sample();
    twice.devices[1].path = twice.devices[0].path.clone();
    assert!(twice.to_bytes().is_err());
    let mut zeros = sample();
    zeros.devices[0].size_bytes = u64::MAX;
    zeros.devices[0].ranges[1].content = Content::Zeros(MAX_DATA + 1);
    assert_eq!(zeros.to_bytes(), Err(SavedError::TooLarge("bytes")));
}

proptest! {
    #[test]
    fn anything_is_written_and_read_again(
        command in prop::collection::vec(".{0,10}", 0..4),
        time_seconds in any::<u64>(),
        incomplete in any::<bool>(),
        devices in prop::collection::vec(device_strategy(), 0..4),
    ) {
        let mut devices = devices;
        devices.sort_by(|a, b| a.path.cmp(&b.path));
        devices.dedup_by(|a, b| a.path == b.path);
        let saved = Saved { command, time_seconds, incomplete, devices };
        prop_assert_eq!(Saved::parse(&saved.to_bytes().unwrap()).unwrap(), saved);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Saved::parse(&bytes);
        let _ = Saved::parse(&file(&bytes, &bytes));
    }

    #[test]
    fn no_changed_header_panics(at in 0usize..400, byte in any::<u8>()) {
        let good = sample().to_bytes().unwrap();
        let len = u32::from_le_bytes(good[20..24].try_into().unwrap()) as usize;
        let (mut header, data) = (good[32..32 + len].to_vec(), &good[32 + len..good.len() - 4]);
        let at = at % header.len();
        header[at] = byte;
        let _ = Saved::parse(&file(&header, data));
    }
}
