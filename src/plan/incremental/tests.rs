use super::*;
use crate::level::Level;
use crate::plan::assemble::{Content, Member};
use crate::superblock::Version;
use crate::superblock::v1::{Minor, Role, SuperV1};
use crate::units::Sectors;

/// A member of an array of three slots; `sees` has a bit for each slot that it knows to be filled.
fn named(slot: u16, events: u64, sees: u32) -> Named {
    let mut sb = SuperV1::empty();
    sb.put_set_uuid(Uuid([7; 16]));
    sb.put_device_uuid(Uuid([u8::try_from(slot).unwrap() + 1; 16]));
    sb.set_level_raw(Level::Raid5.raw());
    sb.set_layout(2);
    sb.set_raid_disks(3);
    sb.set_max_dev(16);
    for n in 0..16u16 {
        let known = n < 3 && sees & (1 << n) != 0;
        sb.put_role(n.into(), if known { Role::Slot(n) } else { Role::Spare });
    }
    sb.put_role(slot.into(), Role::Slot(slot));
    sb.set_dev_number(slot.into());
    sb.set_super_offset(8);
    sb.set_events(events);
    sb.set_resync_offset(u64::MAX);
    sb.update_csum();
    let version = Version::V1(Minor::V2);
    let member = Member { version, sb, old: None, turned: false, bitmap: None, busy: false, updated: "then".into() };
    let candidate = Candidate {
        path: format!("/dev/sd{slot}").into(),
        dev: (8, slot.into()),
        size: Sectors(81920),
        block: 512,
        content: Content::Member(Box::new(member)),
    };
    Named { kname: format!("sd{slot}"), candidate }
}

fn change(named: &mut Named, how: impl Fn(&mut SuperV1)) {
    if let Content::Member(m) = &mut named.candidate.content {
        how(&mut m.sb);
        m.sb.update_csum();
    }
}

fn judged(attached: &[Named], new: &Named, run: bool) -> Result<Decision, Refusal> {
    let node = Node { devname: "md127".into(), path: "/dev/md/x".into(), readonly: false };
    let fresh = attached.is_empty();
    let new = Some(new);
    decide(&Facts {
        node: &node,
        fresh,
        new,
        attached,
        spoilt: false,
        lockless_set: false,
        bitmap_file: None,
        foreign: false,
        settings: &[],
        run,
    })
}

fn outcome_of(attached: &[Named], new: &Named, run: bool) -> Outcome {
    judged(attached, new, run).unwrap().outcome
}

fn steps(d: &Decision) -> String {
    d.attach.text() + &d.start.text()
}

#[test]
fn the_array_starts_when_all_are_there_that_were_there() {
    let d = [named(0, 9, 7), named(1, 9, 7), named(2, 9, 7)];
    assert_eq!(outcome_of(&[], &d[0], false), Outcome::NotEnough(1));
    assert_eq!(outcome_of(&d[..1], &d[1], false), Outcome::Unsafe);
    let complete = Outcome::Start { complete: true, without_journal: false };
    assert_eq!(outcome_of(&d[..2], &d[2], false), complete);
    let degraded = [named(0, 9, 3), named(1, 9, 3)];
    assert_eq!(outcome_of(&degraded[..1], &degraded[1], false), complete, "it was degraded when it stopped");
    let text = steps(&judged(&d[..2], &d[2], false).unwrap());
    assert!(text.ends_with("ioctl  md127 RUN_ARRAY\nsysfs  md127/uevent = change\n"), "{text}");
}

#[test]
fn run_starts_as_soon_as_the_level_can_and_read_only_until_written_to() {
    let d = [named(0, 9, 7), named(1, 9, 7)];
    assert_eq!(outcome_of(&[], &d[0], true), Outcome::NotEnough(1));
    let decision = judged(&d[..1], &d[1], true).unwrap();
    assert_eq!(decision.outcome, Outcome::Start { complete: false, without_journal: false });
    assert!(steps(&decision).contains("array_state = read-auto"), "{}", steps(&decision));
    let mut dirty = d.clone();
    dirty.iter_mut().for_each(|n| change(n, |sb| sb.set_resync_offset(0)));
    assert_eq!(outcome_of(&dirty[..1], &dirty[1], true), Outcome::NotEnough(2), "the kernel starts no such array");
}

#[test]
fn who_has_missed_writes_is_taken_out_before_the_start_and_named() {
    let (stale, a, b) = (named(1, 4, 7), named(0, 9, 5), named(2, 9, 5));
    for attached in [[stale.clone(), a.clone()], [a, stale]] {
        let d = judged(&attached, &b, false).unwrap();
        let text = steps(&d);
        let (out, run) = (text.find("md/dev-sd1/state = remove").unwrap(), text.find("RUN_ARRAY").unwrap());
        assert!(out < run && d.lines.iter().any(|l| l.text.starts_with("/dev/sd1 is out of date")), "{text}");
    }
}

#[test]
fn copies_halves_and_other_arrays_are_refused_and_nothing_is_done() {
    let (a, b) = (named(0, 9, 7), named(1, 9, 7));
    let mut copy = a.clone();
    copy.candidate.path = "/dev/sdx".into();
    copy.candidate.dev = (8, 99);
    let refused = judged(std::slice::from_ref(&a), &copy, false).unwrap_err();
    assert!(refused.exit == Exit::USAGE && refused.to_string().contains("is a copy of /dev/sd0"), "{refused}");
    let refused = judged(&[named(0, 9, 1)], &named(1, 9, 2), false).unwrap_err();
    assert!(refused.to_string().contains("each calls the other failed"), "{refused}");
    let mut other = b;
    change(&mut other, |sb| sb.set_level_raw(1));
    let refused = judged(&[a], &other, false).unwrap_err();
    assert!(refused.to_string().starts_with("metadata mismatch between"), "{refused}");
}

#[test]
fn an_array_whose_start_failed_is_made_anew_with_all_its_members() {
    let d = [named(0, 9, 7), named(1, 9, 7)];
    let node = Node { devname: "md127".into(), path: "/dev/md/x".into(), readonly: false };
    let facts = Facts {
        node: &node,
        fresh: false,
        new: Some(&d[1]),
        attached: &d[..1],
        spoilt: true,
        lockless_set: false,
        bitmap_file: None,
        foreign: false,
        settings: &[],
        run: false,
    };
    let text = steps(&decide(&facts).unwrap());
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("no {what} in {text}"));
    assert!(at("STOP_ARRAY") < at("SET_ARRAY_INFO") && at("SET_ARRAY_INFO") < at("ADD_NEW_DISK /dev/sd0"));
    assert!(at("ADD_NEW_DISK /dev/sd0") < at("ADD_NEW_DISK /dev/sd1"), "{text}");
}
