use super::*;
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
