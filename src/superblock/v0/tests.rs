use super::*;
use crate::blockio::ReadAt;
use crate::device::mem::MemDevice;

fn sample(order: Order) -> SuperV0 {
    let mut sb = SuperV0::empty(order);
    sb.put_uuid(Uuid::parse("00112233:44556677:8899aabb:ccddeeff").unwrap());
    sb.set_level_raw(-1);
    sb.set_raid_disks(2);
    sb.set_nr_disks(2);
    sb.set_events(0x0000_0001_0000_0002);
    sb.put_disk(1, &DiskV0 { number: 1, major: 8, minor: 17, raid_disk: 1, state: 6 });
    sb.put_this_disk(&DiskV0 { number: 1, major: 8, minor: 17, raid_disk: 1, state: 6 });
    sb.update_csum();
    sb
}

#[test]
fn both_byte_orders_read_alike() {
    for order in [Order::Little, Order::Big] {
        let sb = sample(order);
        let back = SuperV0::from_bytes(sb.bytes()).unwrap();
        assert_eq!(back, sb);
        assert_eq!((back.level_raw(), back.events(), back.disk(1).unwrap().minor), (-1, 0x1_0000_0002, 17));
        assert_eq!(back.uuid().to_string(), "00112233:44556677:8899aabb:ccddeeff");
        assert!(back.check(Bytes(1 << 20)).is_ok());
    }
}

#[test]
fn turning_the_byte_order_twice_is_the_identity_and_keeps_the_sum_right() {
    let sb = sample(Order::Little);
    let turned = sb.swapped();
    assert_eq!(turned.order(), Order::Big);
    assert_eq!((turned.events(), turned.uuid()), (sb.events(), sb.uuid()));
    assert!(turned.check(Bytes(1 << 20)).is_ok());
    assert_eq!(turned.swapped(), sb);
}

#[test]
fn it_is_found_64_kib_aligned_before_the_end() {
    for len in [128 * 1024, 200_000, 1 << 20] {
        let mut dev = MemDevice::new(len);
        let at = usize::try_from(super_offset(dev.size()).unwrap().0).unwrap();
        assert!(at % 65536 == 0 && at + 65536 <= len && len < at + 131072);
        dev.bytes[at..at + SUPER_BYTES].copy_from_slice(sample(Order::Big).bytes());
        assert_eq!(read(&dev).unwrap().unwrap().raid_disks(), 2);
    }
    assert!(read(&MemDevice::new(65535)).unwrap().is_none());
}

#[test]
fn a_flipped_byte_anywhere_is_seen_and_absurd_counts_do_no_harm() {
    let sb = sample(Order::Little);
    for i in 0..SUPER_BYTES {
        let mut bytes = *sb.bytes();
        bytes[i] ^= 1;
        assert_ne!(SuperV0::from_bytes(&bytes).map(|s| s.check(Bytes(1 << 20)).is_ok()), Some(true), "byte {i}");
    }
    let mut absurd = sb;
    absurd.set_raid_disks(u32::MAX);
    absurd.update_csum();
    assert!(absurd.check(Bytes(1 << 20)).is_err() && absurd.disk(usize::MAX).is_none());
}

#[test]
fn the_view_in_terms_of_v1_and_back_changes_what_was_decided_and_nothing_else() {
    use crate::superblock::v1::{Role, feature};
    let mut sb = sample(Order::Little);
    sb.set_state(state::CLEAN | state::BITMAP_PRESENT);
    sb.put_disk(0, &DiskV0 { number: 0, raid_disk: 0, state: 9, ..DiskV0::default() });
    sb.put_disk(2, &DiskV0 { number: 2, major: 8, minor: 33, raid_disk: 2, state: 0 });
    sb.update_csum();
    let view = sb.as_v1(Bytes(1 << 20));
    assert!(view.check(Bytes(1 << 20).sectors()).is_ok());
    assert_eq!((view.role_at(0), view.role_at(1), view.role_at(2)), (Role::Faulty, Role::Slot(1), Role::Spare));
    assert_eq!((view.dev_number(), view.role(), view.resync_offset()), (1, Role::Slot(1), u64::MAX));
    assert_eq!((view.super_offset(), view.bitmap_offset()), ((1 << 20) / 512 - 128, 8));
    assert!(view.has(feature::BITMAP_OFFSET) && !view.has(feature::RESHAPE_ACTIVE));
    let mut same = sb.clone();
    same.take_over(&view);
    assert_eq!(same, sb);
}

#[test]
fn what_is_not_clean_resyncs_from_the_checkpoint_only_if_it_is_of_the_same_events() {
    let mut sb = sample(Order::Little);
    sb.set_recovery_cp(77);
    assert_eq!(sb.resync_offset(), 0);
    sb.put_pair(word::CP_EVENTS, sb.events());
    assert_eq!(sb.resync_offset(), 77);
    sb.set_state(state::CLEAN);
    assert_eq!(sb.resync_offset(), u64::MAX);
}

#[test]
fn what_would_lead_the_kernel_out_of_the_table_is_refused() {
    type Change = fn(&mut SuperV0);
    let changes: [(&str, Change); 6] = [
        ("this_disk.number", |s| s.put_this_disk(&DiskV0 { number: 27, ..DiskV0::default() })),
        ("raid_disks", |s| s.set_raid_disks(28)),
        ("raid_disks", |s| s.set_raid_disks(0)),
        ("raid_disk", |s| s.put_disk(1, &DiskV0 { number: 1, major: 8, minor: 1, raid_disk: 2, state: 6 })),
        ("minor_version", |s| s.set_minor_version(89)),
        ("chunk_size", |s| s.set_chunk_bytes(1000)),
    ];
    for (name, change) in changes {
        let mut sb = sample(Order::Big);
        change(&mut sb);
        sb.update_csum();
        match sb.check(Bytes(1 << 20)) {
            Err(crate::superblock::SuperError::Field { field, .. }) => assert_eq!(field, name),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn a_checksum_folded_to_16_bits_counts_as_in_the_kernel() {
    let mut sb = sample(Order::Little);
    let sum = sb.sb_csum();
    let once = (sum & 0xffff) + (sum >> 16);
    sb.set_sb_csum((once & 0xffff) + (once >> 16));
    assert!(sb.check(Bytes(1 << 20)).is_ok());
    sb.set_sb_csum(sum ^ 1);
    assert!(sb.check(Bytes(1 << 20)).is_err());
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_view_edits_or_checks_panic_and_what_passes_stays_in_the_table(
        words in proptest::collection::vec((0usize..1024, proptest::prelude::any::<u32>()), 0..60),
        small in proptest::collection::vec((128usize..1024, 0u32..40), 0..60),
        big in proptest::prelude::any::<bool>(),
        size in 0u64..1 << 40,
    ) {
        let mut sb = sample(if big { Order::Big } else { Order::Little });
        for (n, value) in words.into_iter().chain(small).filter(|(n, _)| *n > word::MINOR_VERSION) {
            sb.put_word(n, value);
        }
        sb.update_csum();
        let passes = sb.check(Bytes(size)).is_ok();
        let view = sb.as_v1(Bytes(size));
        let _ = (view.role(), view.roles().len(), sb.bitmap_uuid(), sb.swapped().swapped() == sb);
        let mut edited = sb.clone();
        edited.take_over(&view);
        edited.count_members();
        proptest::prop_assert_eq!(edited.sb_csum(), edited.computed_csum());
        if passes {
            proptest::prop_assert!(view.dev_number() < 27 && view.raid_disks() <= 27);
        }
    }
}
