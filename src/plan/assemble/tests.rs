use proptest::prelude::*;

use super::rank::{Verdict, rank};
use super::steps::decide;
use super::{Candidate, Content, Member, Update, Wishes, identify};
use crate::level::Level;
use crate::plan::create::Node;
use crate::plan::create::slots::enough;
use crate::plan::step::Step;
use crate::superblock::Version;
use crate::superblock::v1::{Minor, Role, SuperV1};
use crate::units::Sectors;
use crate::uuid::Uuid;

const SIZE: Sectors = Sectors(81920);

/// A member of an array of `disks` slots; `sees` has a bit for each slot that it knows to be filled.
fn sb(level: Level, disks: u32, role: Role, number: u32, events: u64, sees: u32) -> SuperV1 {
    let mut sb = SuperV1::empty();
    sb.put_set_uuid(Uuid([7; 16]));
    sb.put_set_name(b"box:tank");
    let mut own = [1; 16];
    own[0] = u8::try_from(number).unwrap();
    sb.put_device_uuid(Uuid(own));
    sb.set_level_raw(level.raw());
    sb.set_layout(if level == Level::Raid10 { 0x102 } else { 2 });
    sb.set_raid_disks(disks);
    sb.set_max_dev(16);
    for slot in 0..disks {
        let known = sees & (1 << slot) != 0;
        sb.put_role(slot, if known { Role::Slot(u16::try_from(slot).unwrap()) } else { Role::Faulty });
    }
    for n in disks..16 {
        sb.put_role(n, Role::Spare);
    }
    sb.put_role(number, role);
    sb.set_dev_number(number);
    sb.set_super_offset(8);
    sb.set_data_offset(2048);
    sb.set_data_size(8192);
    sb.set_size(8192);
    sb.set_events(events);
    sb.set_resync_offset(u64::MAX);
    sb.update_csum();
    sb
}

fn device(n: u32, sb: SuperV1) -> Candidate {
    let member = Member {
        version: Version::V1(Minor::V2),
        sb,
        old: None,
        turned: false,
        bitmap: None,
        busy: false,
        updated: "then".into(),
    };
    let content = Content::Member(Box::new(member));
    Candidate { path: format!("/dev/sd{n}").into(), dev: (8, n), size: SIZE, block: 512, content }
}

fn wishes() -> Wishes {
    Wishes { shown: "/dev/md0".into(), ..Wishes::default() }
}

fn node() -> Node {
    Node { devname: "md0".into(), path: "/dev/md0".into(), readonly: false }
}

fn slot(n: u16) -> Role {
    Role::Slot(n)
}

/// Said and done: the line about the start, or the lines of the refusal.
fn outcome(wishes: &Wishes, devices: &[Candidate]) -> String {
    match decide(wishes, devices, &node()) {
        Ok(d) => d.start.said,
        Err((_, refusal)) => refusal.to_string(),
    }
}

#[test]
fn a_degraded_array_starts_as_it_was_and_a_newly_missing_member_needs_run() {
    let two = |sees| {
        let d = |n: u16| device(n.into(), sb(Level::Raid5, 3, slot(n), n.into(), 9, sees));
        vec![d(0), d(1)]
    };
    assert_eq!(outcome(&wishes(), &two(0b011)), "has been started with 2 drives (out of 3).");
    let need = "assembled from 2 drives - need all 3 to start it (use --run to insist).";
    assert_eq!(outcome(&wishes(), &two(0b111)), need);
    let run = Wishes { run: true, ..wishes() };
    assert_eq!(outcome(&run, &two(0b111)), "has been started with 2 drives (out of 3).");
    assert_eq!(outcome(&wishes(), &two(0b111)[..1]), "assembled from 1 drive - not enough to start the array.");
}

#[test]
fn one_event_behind_is_in_unless_the_freshest_says_failed() {
    let pair = |sees| {
        let (a, b) = (sb(Level::Raid1, 2, slot(0), 0, 9, sees), sb(Level::Raid1, 2, slot(1), 1, 8, 0b11));
        vec![device(0, a), device(1, b)]
    };
    assert_eq!(outcome(&wishes(), &pair(0b11)), "has been started with 2 drives.");
    assert_eq!(outcome(&wishes(), &pair(0b01)), "has been started with 1 drive (out of 2).");
}

#[test]
fn a_replaced_member_of_the_same_slot_loses_to_the_one_that_replaced_it() {
    let mut old = sb(Level::Raid1, 2, slot(1), 1, 3, 0b11);
    old.set_dev_number(1);
    let mut new = sb(Level::Raid1, 2, slot(1), 2, 9, 0b01);
    new.put_role(1, Role::Spare);
    let mut first = sb(Level::Raid1, 2, slot(0), 0, 9, 0b01);
    first.put_role(1, Role::Spare);
    first.put_role(2, slot(1));
    let devices = [device(1, old), device(0, first), device(2, new)];
    let found = identify::identify(&wishes(), &devices).unwrap();
    assert_eq!(rank(&found.members).verdicts, [Verdict::Copy(2), Verdict::Active(0), Verdict::Active(1)]);
    let forced = Wishes { force: true, ..wishes() };
    let d = decide(&forced, &devices, &node()).unwrap();
    assert!(!d.plan.steps.iter().any(|s| matches!(s, Step::Write { .. })));
}

#[test]
fn who_left_before_a_successor_came_is_out_of_date_and_who_ran_alone_is_not_passed_over() {
    let successor = |mut sb: SuperV1, number: u32, at: u16| {
        sb.put_role(at.into(), Role::Spare);
        sb.put_role(number, slot(at));
        sb
    };
    let four = |n: u16, number: u32, events, sees| sb(Level::Raid6, 4, slot(n), number, events, sees);
    // 0 failed, 1 failed, then 4 was rebuilt in slot 0, and has never been with 1.
    let left = four(1, 1, 5, 0b1110);
    let fresh = |n, number| successor(four(n, number, 20, 0b1101), 4, 0);
    let devices = [device(1, left.clone()), device(2, fresh(2, 2)), device(3, fresh(3, 3)), device(4, fresh(0, 4))];
    assert_eq!(outcome(&wishes(), &devices), "has been started with 3 drives (out of 4).");
    // 1 has gone on alone with 0: nobody who is up to date was there.
    let apart = [
        device(0, four(0, 0, 5, 0b0011)),
        device(1, four(1, 1, 5, 0b0011)),
        device(2, four(2, 2, 9, 0b1100)),
        device(3, four(3, 3, 9, 0b1100)),
    ];
    assert!(outcome(&wishes(), &apart).contains("have each been written to while the other was missing"));
    // The same, and 1 knows of the slot in which 4 has followed 2, but not of 4.
    let one = device(1, four(1, 1, 5, 0b0110));
    let heirs = |n, number| successor(four(n, number, 9, 0b1001), 4, 2);
    let devices = [one, device(0, heirs(0, 0)), device(3, heirs(3, 3)), device(4, heirs(2, 4))];
    assert!(outcome(&wishes(), &devices).contains("have each been written to while the other was missing"));
}

#[test]
fn the_kernel_is_to_believe_the_lowest_slot_whatever_the_order_of_the_list() {
    let devices: Vec<Candidate> =
        [2, 0, 1].map(|n: u16| device(n.into(), sb(Level::Raid5, 3, slot(n), n.into(), 9, 0b111))).into();
    let d = decide(&wishes(), &devices, &node()).unwrap();
    let added = d.plan.steps.iter().filter_map(|s| match s {
        Step::AddDisk { spec, .. } => Some(spec.raid_disk),
        _ => None,
    });
    assert_eq!(added.collect::<Vec<_>>(), [1, 2, 0]);
}

#[test]
fn devices_that_were_searched_and_not_named_are_passed_over() {
    let junk = Candidate { content: Content::Nothing([0; 4]), ..device(5, SuperV1::empty()) };
    let broken = Candidate { content: Content::Broken("x".into()), ..device(6, SuperV1::empty()) };
    let devices = [junk, device(0, sb(Level::Raid1, 1, slot(0), 0, 1, 1)), broken];
    let searched = Wishes { searched: true, ..wishes() };
    assert_eq!(outcome(&searched, &devices), "has been started with 1 drive.");
    assert!(outcome(&wishes(), &devices).contains("has no superblock - assembly aborted"));
}

#[test]
fn a_name_may_stand_with_this_machine_in_front_of_it() {
    let devices = [device(0, sb(Level::Raid1, 1, slot(0), 0, 1, 1))];
    let named = |name: &str, host: Option<&str>| Wishes {
        name: Some(name.into()),
        homehost: host.map(str::to_owned),
        ..wishes()
    };
    for (name, host, found) in
        [("tank", Some("box"), true), ("box:tank", None, true), ("tank", Some("other"), false), ("tank", None, false)]
    {
        assert_eq!(decide(&named(name, host), &devices, &node()).is_ok(), found, "{name} {host:?}");
    }
}

#[test]
fn an_update_is_refused_whole_where_a_member_cannot_take_it() {
    let name: Update = Update::HomeHost("a-host-with-a-name-of-more-than-32-bytes".into());
    let devices = [device(0, sb(Level::Raid1, 1, slot(0), 0, 1, 1))];
    assert!(outcome(&Wishes { update: Some(name), ..wishes() }, &devices).contains("nothing was changed"));
    let layout = Wishes { update: Some(Update::Raid0Layout(2)), ..wishes() };
    assert!(outcome(&layout, &devices).starts_with("/dev/sd0: layout-alternate only supported for RAID0"));
}

fn level() -> impl Strategy<Value = Level> {
    prop::sample::select(vec![Level::Linear, Level::Raid0, Level::Raid1, Level::Raid5, Level::Raid6, Level::Raid10])
}

/// Members with any events, roles, numbers and opinions of each other.
fn devices() -> impl Strategy<Value = (Level, u32, Vec<Candidate>)> {
    (level(), 1u32..6).prop_flat_map(|(level, disks)| {
        let role = prop_oneof![
            8 => (0..u16::try_from(disks).unwrap() + 1).prop_map(Role::Slot),
            1 => Just(Role::Spare),
            1 => Just(Role::Faulty),
        ];
        let member = (role, 0u32..8, 4u64..8, 0u32..32, prop::bool::weighted(0.8));
        prop::collection::vec(member, 1..8).prop_map(move |members| {
            let devices = members.into_iter().enumerate().map(|(n, (role, number, events, sees, clean))| {
                let mut sb = sb(level, disks, role, number, events, sees);
                sb.set_resync_offset(if clean { u64::MAX } else { 0 });
                device(u32::try_from(n).unwrap(), sb)
            });
            (level, disks, devices.collect())
        })
    })
}

proptest! {
    #[test]
    fn no_slot_is_filled_twice_and_nobody_in_sync_is_more_than_one_event_behind((_, disks, devices) in devices()) {
        let found = identify::identify(&wishes(), &devices).unwrap();
        let ranking = rank(&found.members);
        let events = |i: usize| found.members[i].member.sb.events();
        for slot in 0..disks {
            prop_assert!(ranking.count(|v| *v == Verdict::Active(slot)) <= 1);
        }
        for (i, v) in ranking.verdicts.iter().enumerate() {
            if matches!(v, Verdict::Active(_)) {
                prop_assert!(events(i) <= events(ranking.chosen) && events(i) + 1 >= events(ranking.chosen));
            }
            if let Verdict::Copy(of) = v {
                prop_assert!(!matches!(ranking.verdicts[*of], Verdict::Copy(_)) && *of != i);
            }
        }
    }

    #[test]
    fn nothing_is_written_without_force_or_update_and_nothing_at_all_where_it_does_not_start(
        (level, disks, devices) in devices(), force: bool, run: bool,
    ) {
        let wishes = Wishes { force, run, ..wishes() };
        let Ok(d) = decide(&wishes, &devices, &node()) else { return Ok(()) };
        let writes = d.plan.steps.iter().filter(|s| matches!(s, Step::Write { .. })).count();
        prop_assert!(force || writes == 0);
        prop_assert!(d.start.go || d.plan.steps.is_empty());
        let adds: Vec<_> = d.plan.steps.iter().filter_map(|s| match s {
            Step::AddDisk { device, .. } => Some(device.clone()),
            _ => None,
        }).collect();
        let mut once = adds.clone();
        once.sort();
        once.dedup();
        prop_assert_eq!(once.len(), adds.len());
        if d.start.go && !run {
            let there = disks as usize - d.missing;
            prop_assert!(there > 0 && (level.is_redundant() || d.missing == 0));
            if matches!(level, Level::Raid5 | Level::Raid6) {
                let active: Vec<bool> = (0..disks as usize).map(|n| n >= d.missing).collect();
                prop_assert!(enough(level, 2, &active));
            }
        }
    }

    #[test]
    fn what_force_writes_are_valid_superblocks_of_the_same_array((_, _, devices) in devices()) {
        let wishes = Wishes { force: true, ..wishes() };
        let Ok(d) = decide(&wishes, &devices, &node()) else { return Ok(()) };
        for step in &d.plan.steps {
            if let Step::Write { offset, bytes, .. } = step {
                prop_assert_eq!(*offset, 4096);
                let mut raw = [0u8; 4096];
                raw[..bytes.len()].copy_from_slice(bytes);
                let sb = SuperV1::from_bytes(&raw).unwrap();
                prop_assert!(sb.check(SIZE).is_ok());
                prop_assert_eq!(sb.set_uuid(), Uuid([7; 16]));
            }
        }
    }

    #[test]
    fn hostile_fields_neither_panic_nor_start_what_the_level_cannot(
        (_, _, mut devices) in devices(),
        bytes in prop::collection::vec((0usize..512, any::<u8>()), 1..6),
        force: bool,
        run: bool,
    ) {
        for device in &mut devices {
            let Content::Member(m) = &mut device.content else { continue };
            let mut raw = *m.sb.bytes();
            for (at, byte) in &bytes {
                raw[*at] = *byte;
            }
            if let Some(mut sb) = SuperV1::from_bytes(&raw) {
                // As it was read from sector 8.
                sb.set_super_offset(8);
                sb.update_csum();
                if sb.check(SIZE).is_ok() {
                    m.sb = sb;
                }
            }
        }
        for update in [None, Some(Update::Uuid(Uuid([9; 16]))), Some(Update::HomeHost("h".into())), Some(Update::Resync)] {
            let _ = outcome(&Wishes { force, run, update, ..wishes() }, &devices);
        }
    }
}

/// A member of a 0.90 array with what its table says of the slots, and its own place.
fn old_device(n: u32, own: u32, events: u64, table: &[u32]) -> Candidate {
    use crate::superblock::v0::{DiskV0, Order, SuperV0, bit};
    let mut old = SuperV0::empty(Order::Little);
    old.put_uuid(Uuid([7; 16]));
    old.set_level_raw(1);
    old.set_raid_disks(2);
    old.set_events(events);
    old.set_state(1);
    for (number, state) in (0..).zip(table) {
        let there = if *state & bit::REMOVED == 0 { 8 } else { 0 };
        let disk = DiskV0 { number, major: there, minor: number, raid_disk: number, state: *state };
        old.put_disk(number as usize, &disk);
    }
    old.put_this_disk(&old.disk(own as usize).unwrap());
    old.update_csum();
    assert!(old.check(SIZE.bytes().unwrap()).is_ok());
    let view = old.as_v1(SIZE.bytes().unwrap());
    let mut candidate = device(n, view);
    let Content::Member(member) = &mut candidate.content else { panic!() };
    member.version = Version::V090;
    member.old = Some(Box::new(old));
    candidate
}

const IN_SYNC: u32 = 6;
const REMOVED: u32 = 9;

#[test]
fn a_0_90_array_is_judged_by_the_same_rules() {
    let fresh = || vec![old_device(0, 0, 9, &[IN_SYNC, IN_SYNC, 0]), old_device(1, 1, 9, &[IN_SYNC, IN_SYNC, 0])];
    let mut three = fresh();
    three.push(old_device(2, 2, 3, &[IN_SYNC, IN_SYNC, 0]));
    assert_eq!(outcome(&wishes(), &three), "has been started with 2 drives and 1 spare.");
    let need = "assembled from 1 drive - need all 2 to start it (use --run to insist).";
    assert_eq!(outcome(&wishes(), &fresh()[..1]), need);
    // the member that is left knows that the other is gone
    let left = old_device(0, 0, 9, &[IN_SYNC, REMOVED]);
    assert_eq!(outcome(&wishes(), std::slice::from_ref(&left)), "has been started with 1 drive (out of 2).");
    let stale = old_device(1, 1, 5, &[IN_SYNC, IN_SYNC]);
    assert_eq!(outcome(&wishes(), &[stale, left]), "has been started with 1 drive (out of 2).");
}

#[test]
fn two_0_90_devices_in_one_place_are_refused_and_an_older_one_is_left_out() {
    let table = [IN_SYNC, IN_SYNC];
    let copy = [old_device(0, 0, 9, &table), old_device(1, 1, 9, &table), old_device(2, 1, 9, &table)];
    assert!(outcome(&wishes(), &copy).contains("/dev/sd1 and /dev/sd2 appear to have very similar superblocks"));
    let older = [old_device(0, 0, 9, &table), old_device(1, 1, 9, &table), old_device(2, 1, 4, &table)];
    assert_eq!(outcome(&wishes(), &older), "has been started with 2 drives.");
}

#[test]
fn an_edit_of_a_0_90_member_changes_its_own_superblock_and_its_checksum() {
    use crate::superblock::v0::{SUPER_BYTES, SuperV0};
    let members = [old_device(0, 0, 9, &[IN_SYNC, IN_SYNC]), old_device(1, 1, 9, &[IN_SYNC, IN_SYNC])];
    let written = |update: Update| -> Vec<SuperV0> {
        let steps = decide(&Wishes { update: Some(update), ..wishes() }, &members, &node()).unwrap().plan.steps;
        let bytes = steps.iter().filter_map(|s| match s {
            Step::Write { offset, bytes, .. } => Some((*offset, bytes.clone())),
            _ => None,
        });
        bytes
            .map(|(offset, bytes)| {
                assert_eq!(offset, (SIZE.0 * 512 / 65536 - 1) * 65536);
                let sb = SuperV0::from_bytes(&<[u8; SUPER_BYTES]>::try_from(bytes).unwrap()).unwrap();
                assert!(sb.check(SIZE.bytes().unwrap()).is_ok());
                sb
            })
            .collect()
    };
    assert_eq!(written(Update::SuperMinor(5)).iter().map(SuperV0::md_minor).collect::<Vec<_>>(), [5, 5]);
    let uuid = Uuid([3; 16]);
    assert_eq!(written(Update::Uuid(uuid)).iter().map(SuperV0::uuid).collect::<Vec<_>>(), [uuid, uuid]);
    assert_eq!(written(Update::Resync).iter().map(SuperV0::resync_offset).collect::<Vec<_>>(), [0, 0]);
    let counted = &written(Update::Summaries)[1];
    assert_eq!((counted.nr_disks(), counted.active_disks(), counted.failed_disks()), (2, 2, 0));
    assert!(written(Update::ByteOrder).is_empty(), "it is right already");
    let host = &written(Update::HomeHost("box".into()))[0];
    assert!(crate::superblock::v0::is_local(host, "box") && host.uuid().0[..8] == [7; 8]);
    for (update, word) in [(Update::Name(b"x".to_vec()), "name"), (Update::Raid0Layout(1), "layout-original")] {
        let refused = decide(&Wishes { update: Some(update), ..wishes() }, &members, &node()).unwrap_err().1;
        assert_eq!(refused.to_string(), format!("--update={word} not understood for 0.90 metadata"));
    }
}

#[test]
fn force_takes_a_stale_0_90_member_into_the_table_of_the_chosen_one() {
    use crate::superblock::v0::{SUPER_BYTES, SuperV0};
    let mut members = [old_device(0, 0, 9, &[IN_SYNC, REMOVED]), old_device(1, 1, 5, &[IN_SYNC, IN_SYNC])];
    for m in &mut members {
        let Content::Member(m) = &mut m.content else { panic!() };
        m.sb.set_level_raw(0);
    }
    let forced = Wishes { force: true, ..wishes() };
    let steps = decide(&forced, &members, &node()).unwrap().plan.steps;
    let supers: Vec<SuperV0> = steps
        .iter()
        .filter_map(|s| match s {
            Step::Write { bytes, .. } => SuperV0::from_bytes(&<[u8; SUPER_BYTES]>::try_from(bytes.clone()).unwrap()),
            _ => None,
        })
        .collect();
    assert_eq!(supers.iter().map(SuperV0::events).collect::<Vec<_>>(), [9, 9]);
    let taken = supers[0].disk(1).unwrap();
    assert_eq!((taken.number, taken.raid_disk, taken.state), (1, 1, IN_SYNC));
}
