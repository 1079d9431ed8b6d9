//! Hostile and damaged superblocks: every rendering of every one of them ends, and keeps its lines.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::superblock::v1::{Role, SUPER_BYTES, feature};

const MIB: u64 = 2048;

fn member(sb: SuperV1) -> Member {
    Member {
        minor: Minor::V2,
        sb,
        device_sectors: Sectors(24 * MIB),
        bitmap: None,
        odd: Vec::new(),
        created: "Sun Aug  7 21:15:49 2022".into(),
        updated: "Sun Aug  7 21:15:50 2022".into(),
        homehost: Some("host1".into()),
    }
}

fn sample() -> SuperV1 {
    let mut sb = SuperV1::empty();
    sb.set_super_offset(8);
    sb.set_level_raw(5);
    sb.set_layout(2);
    sb.set_chunksize(1024);
    sb.set_raid_disks(3);
    sb.set_data_offset(2048);
    sb.set_data_size(22 * MIB);
    sb.set_size(22 * MIB);
    sb.set_resync_offset(u64::MAX);
    sb.put_set_name(b"host1:data");
    sb.set_bblog_offset(16);
    sb.set_bblog_size(8);
    sb.set_max_dev(128);
    (0..128).for_each(|n| sb.put_role(n, if n < 3 { Role::Slot(u16::try_from(n).unwrap()) } else { Role::Spare }));
    sb.update_csum();
    sb
}

fn examined(sb: SuperV1) -> Examined {
    Examined { device: "/dev/sda".into(), what: What::Member(Box::new(member(sb))) }
}

/// All renderings, with what holds for each of them however hostile the superblock.
fn render(e: &Examined) -> String {
    let export = e.export();
    for line in export.lines() {
        let (key, value) = line.split_once('=').unwrap();
        assert!(key.starts_with("MD_") && !value.contains([' ', '\'', '"', '$', '`', ';']), "{line}");
    }
    let lines = array_lines(std::slice::from_ref(e), true);
    assert!(lines.starts_with("ARRAY ") && lines.lines().count() == 2, "{lines}");
    let json: Value = serde_json::from_str(&e.json().to_string()).unwrap();
    assert_eq!(json["schema"], "mdadm-rs/examine/1");
    let text = e.text(true);
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
    text
}

#[test]
fn a_flipped_byte_anywhere_shows_as_a_wrong_checksum_and_nothing_worse() {
    let good = sample();
    assert!(render(&examined(good.clone())).contains(" - correct\n"));
    for at in (0..SUPER_BYTES).filter(|at| !(0..8).contains(at)) {
        for bit in [0x01, 0x80] {
            let mut bytes = *good.bytes();
            bytes[at] ^= bit;
            let text = render(&examined(SuperV1::from_bytes(&bytes).unwrap()));
            assert_eq!(text.contains(" - expected "), at < 512, "byte {at}");
        }
    }
}

#[test]
fn a_hostile_name_adds_no_line_and_no_word() {
    let plain = render(&examined(sample()));
    for name in
        [&b"a\nMD_LEVEL=x"[..], b"$(reboot)", b"a b", b"';reboot;'", b"\x1b[2J", b"\xff\xfe", b"\"", b"\\", b"`x`"]
    {
        let mut sb = sample();
        sb.put_set_name(name);
        sb.update_csum();
        let e = examined(sb);
        assert_eq!(render(&e).lines().count(), plain.lines().count(), "{name:?}");
        assert_eq!(e.export().lines().count(), 8, "{name:?}");
    }
}

#[test]
fn a_name_of_this_host_is_told_so() {
    let text = examined(sample()).text(false);
    assert!(text.contains("           Name : host1:data  (local to host host1)\n"));
    assert!(is_local(b"host1:data", "host1"));
    assert!(!is_local(b"host12:data", "host1") && !is_local(b"host1", "host1") && !is_local(b":x", ""));
}

#[test]
fn the_oldest_kernel_is_told_with_verbose_only() {
    let mut sb = sample();
    sb.set_logical_block_size(512);
    let e = examined(sb);
    assert!(!e.text(false).contains("Oldest Kernel"));
    assert!(e.text(true).ends_with("  Oldest Kernel : 6.19 (the logical block size is recorded)\n"));
    assert!(!examined(sample()).text(true).contains("Oldest Kernel"));
}

#[test]
fn members_of_one_array_share_a_line_and_others_come_before() {
    let mut spare = sample();
    spare.set_dev_number(5);
    let mut other = sample();
    other.put_set_uuid(crate::uuid::Uuid([7; 16]));
    let all = [examined(sample()), examined(other), examined(spare)];
    let text = array_lines(&all, false);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].contains("UUID=07070707:"), "{text}");
    assert_eq!(lines[2], "   spares=1", "{text}");
}

proptest! {
    #[test]
    fn random_superblocks_are_rendered(bytes in prop::collection::vec(any::<u8>(), SUPER_BYTES - 8), size in any::<u64>()) {
        let mut raw = *sample().bytes();
        raw[8..].copy_from_slice(&bytes);
        let mut m = member(SuperV1::from_bytes(&raw).unwrap());
        m.device_sectors = Sectors(size);
        render(&Examined { device: "/dev/sda".into(), what: What::Member(Box::new(m)) });
    }

    #[test]
    fn random_fields_of_a_good_superblock_are_rendered(at in 8usize..512, with in any::<u64>(), bits in any::<u32>()) {
        let mut raw = *sample().bytes();
        raw[at..at + 8].copy_from_slice(&with.to_le_bytes());
        let mut sb = SuperV1::from_bytes(&raw).unwrap();
        sb.set_feature_map(bits & feature::ALL);
        sb.update_csum();
        let e = examined(sb);
        prop_assert!(render(&e).contains(" - correct\n"));
    }
}
