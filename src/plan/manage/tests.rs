use super::*;

fn member(minor: u32, slot: Option<u32>) -> Member {
    Member {
        kname: format!("loop{minor}"),
        dev: Some((7, minor)),
        number: Some(minor),
        slot,
        in_sync: slot.is_some(),
        ..Member::default()
    }
}

pub(super) fn array(level: Level, layout: u32, slots: u32) -> ArrayFacts {
    ArrayFacts {
        devname: "md0".into(),
        shown: "/dev/md0".into(),
        level,
        layout,
        slots,
        reshaping: false,
        members: (0..slots).map(|n| member(n, Some(n))).collect(),
    }
}

fn path(minor: u32) -> Target {
    Target { shown: format!("/dev/loop{minor}"), dev: Some((7, minor)), kname: None }
}

fn first_line<T: std::fmt::Debug>(refused: Result<T, Refusal>) -> String {
    refused.unwrap_err().lines[0].clone()
}

#[test]
fn words_stand_for_members_or_are_refused_in_the_words_of_the_reference() {
    let mut a = array(Level::Raid1, 0, 2);
    a.members[0].faulty = true;
    a.members[1].gone = true;
    let names = |op, word: &str| -> Vec<String> {
        members_of_word(op, word, &a).unwrap().unwrap().into_iter().map(|t| t.shown).collect()
    };
    assert_eq!(names(ManageOp::Remove, "failed"), ["7:0"]);
    assert_eq!(names(ManageOp::Fail, "detached"), ["7:1"]);
    assert_eq!(names(ManageOp::Fail, "loop1"), ["loop1"]);
    assert_eq!(names(ManageOp::Fail, "7:5"), ["7:5"]);
    assert_eq!(members_of_word(ManageOp::Fail, "/dev/loop1", &a), Ok(None));
    for (op, word, line) in [
        (ManageOp::Fail, "failed", "failed only meaningful with -r or --re-add, not -f"),
        (ManageOp::Add, "detached", "detached only meaningful with -r of -f, not -a"),
        (ManageOp::Remove, "missing", "'missing' only meaningful with --re-add"),
        (ManageOp::Fail, "set-A", "'set-A' only meaningful with RAID10 arrays"),
        (ManageOp::Add, "set-A", "'set-A' only meaningful with -r or -f"),
        (ManageOp::Add, "loop0", "loop0 only meaningful with -r, -f, not -a"),
        (ManageOp::Fail, "sda", "sda does not appear to be a component of /dev/md0"),
    ] {
        assert_eq!(first_line(members_of_word(op, word, &a)), line);
    }
}

#[test]
fn a_set_of_a_raid10_is_one_copy_of_everything() {
    let a = array(Level::Raid10, 0x102, 4);
    let set = |word: &str| members_of_word(ManageOp::Fail, word, &a);
    let b: Vec<_> = set("set-B").unwrap().unwrap().into_iter().map(|t| t.shown).collect();
    assert_eq!(b, ["7:1", "7:3"]);
    assert_eq!(first_line(set("set-C")), "'set-C' not meaningful with this array");
}

#[test]
fn the_last_good_copy_is_found_by_number_and_not_by_name_and_needs_force() {
    let mut a = array(Level::Raid5, 2, 3);
    assert!(fail(&a, &path(0), false).is_ok());
    a.after_fail(&path(0));
    let other_name = Target { shown: "/dev/disk/by-id/x".into(), ..path(1) };
    let line = "Cannot remove /dev/disk/by-id/x from /dev/md0, array will be failed.";
    assert_eq!(first_line(fail(&a, &other_name, false)), line);
    assert_eq!(first_line(fail(&a, &Target { kname: Some("loop1".into()), ..path(1) }, false)).len(), line.len() - 7);
    assert!(fail(&a, &other_name, true).is_ok());
    assert_eq!(fail(&a, &other_name, false).unwrap_err().lines.len(), 1);
    a.members[2].in_sync = false;
    let why = "loop2 is still being rebuilt: mdadm --wait /dev/md0 first";
    assert_eq!(fail(&a, &other_name, false).unwrap_err().lines[1], why);
    assert!(fail(&a, &path(0), false).is_ok(), "it has failed already");
}

#[test]
fn only_members_that_are_not_active_are_removed() {
    let mut a = array(Level::Raid1, 0, 2);
    assert_eq!(first_line(remove(&a, &path(1))), "hot remove failed for /dev/loop1: Device or resource busy");
    assert_eq!(first_line(remove(&a, &path(7))), "hot remove failed for /dev/loop7: No such device or address");
    a.after_fail(&path(1));
    let plan = remove(&a, &path(1)).unwrap();
    assert_eq!(plan.text(), "ioctl  md0 HOT_REMOVE_DISK /dev/loop1 (7:1)\n");
    let by_name = Target { kname: Some("loop1".into()), ..path(1) };
    assert_eq!(remove(&a, &by_name).unwrap().text(), "sysfs  md0/md/dev-loop1/state = remove\n");
    a.after_remove(&path(1));
    assert!(remove(&a, &path(1)).is_err());
}

#[test]
fn a_spare_that_the_kernel_chose_itself_is_the_replacement_already() {
    let mut a = array(Level::Raid1, 0, 2);
    a.members.push(member(5, None));
    assert_eq!(replace::with(&a, &path(5), 1).unwrap().text(), "sysfs  md0/md/dev-loop5/slot = 1\n");
    a.members[2] = Member { slot: Some(1), in_sync: false, replacement: true, ..member(5, None) };
    assert_eq!(replace::with(&a, &path(5), 1), Ok(Plan::default()));
    assert_eq!(first_line(replace::with(&a, &path(5), 0)), "/dev/loop5 is active and cannot be a replacement");
}

#[test]
fn a_reshape_keeps_its_redundancy_unless_that_is_forced() {
    for (level, layout, slots, allowed) in
        [(Level::Raid5, 2, 4, false), (Level::Raid6, 2, 4, true), (Level::Raid10, 0x102, 4, false)]
    {
        let mut a = array(level, layout, slots);
        assert!(fail(&a, &path(1), false).is_ok());
        a.reshaping = true;
        let refused = fail(&a, &path(1), false);
        assert_eq!(refused.is_ok(), allowed, "{level:?}");
        if !allowed {
            assert!(first_line(refused).contains("without redundancy"));
        }
        assert!(fail(&a, &path(1), true).is_ok());
        // A second one of a raid6.
        a.after_fail(&path(0));
        assert!(fail(&a, &path(1), false).is_err());
    }
}

#[test]
fn what_keeps_a_member_from_being_removed_is_named() {
    let mut a = array(Level::Raid5, 2, 3);
    let why = |a: &ArrayFacts, runs| why_busy(a, &path(1), runs).unwrap();
    assert_eq!(why(&a, Some("recover")), "/dev/loop1 is being rebuilt in slot 1 of /dev/md0: --fail it first");
    a.after_fail(&path(1));
    let waits = "a reshape of /dev/md0 runs, which holds it: mdadm --wait /dev/md0, then try again";
    assert_eq!(why(&a, Some("reshape")), waits);
    assert_eq!(why(&a, None), "requests to /dev/loop1 are still under way: try again");
    assert_eq!(why_busy(&a, &path(7), None), None);
}

#[test]
fn while_a_reshape_takes_slots_away_those_that_go_count_too() {
    assert_eq!((facts::slots("3 (4)"), facts::slots("4"), facts::slots("5 (4)")), (4, 4, 5));
    let mut a = array(Level::Raid5, 2, facts::slots("3 (4)"));
    a.reshaping = true;
    assert!(first_line(fail(&a, &path(3), false)).contains("without redundancy"));
    assert!(fail(&a, &path(3), true).is_ok());
}
