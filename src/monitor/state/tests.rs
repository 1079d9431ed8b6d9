//! Two looks, or some, and the events.

use std::collections::BTreeSet;

use super::spares::{Ask, Move, moves};
use super::*;

/// `a0U b1U c-S`: kernel name, slot, condition (U in sync, R rebuilding, P replacement, S spare, F faulty, J journal).
fn members(text: &str) -> Vec<Member> {
    let condition = |c| match c {
        'U' => Condition::InSync,
        'R' => Condition::Rebuilding,
        'P' => Condition::Replacement,
        'F' => Condition::Faulty,
        'J' => Condition::Journal,
        _ => Condition::Spare,
    };
    let one = |word: &str| {
        let c: Vec<char> = word.chars().collect();
        Member { kname: c[0].into(), dev: (7, c[0].into()), slot: c[1].to_digit(10), condition: condition(c[2]) }
    };
    text.split(' ').map(one).collect()
}

fn array(text: &str, sync: &str) -> Array {
    let members = members(text);
    let held = members.iter().filter(|m| m.condition == Condition::InSync && m.slot.is_some()).count() as u32;
    let words: Vec<&str> = sync.split(' ').collect();
    let percent = words.get(1).and_then(|p| p.parse().ok());
    let sync = (!sync.is_empty()).then(|| Sync { action: words[0].into(), percent });
    Array {
        devname: "md0".into(),
        uuid: Some(Uuid([1; 16])),
        level: Some(Level::Raid5),
        raid_disks: 3,
        degraded: 3 - held.min(3),
        members,
        sync,
        ..Array::default()
    }
}

const SCAN: Rules = Rules { scan: true, test: false, increment: 20, hurried: false };

fn named(events: &[Event]) -> Vec<String> {
    events.iter().map(|e| e.what.name() + &e.what.member().map_or(String::new(), |m| format!(" {m}"))).collect()
}

/// The events of the last of some looks.
fn last(looks: &[(&str, &str)]) -> String {
    let mut watch = Watch::new(SCAN, Vec::new());
    let told = looks.iter().map(|(text, sync)| watch.look(&[array(text, sync)], &Memory::new()));
    named(&told.last().unwrap()).join(", ")
}

#[test]
fn what_two_looks_tell() {
    let whole = ("a0U b1U c2U d-S", "");
    for (before, now, events) in [
        (whole, whole, ""),
        (whole, ("a0U b1U c-F d-S", ""), "Fail c"),
        // failed and removed between two looks
        (whole, ("a0U b1U d-S", ""), "Fail c"),
        (whole, ("a0U b1U c-F d2R", "recovery 6"), "Fail c, RebuildStarted"),
        // rebuilt before anybody looked
        (whole, ("a0U b1U c-F d2U", ""), "Fail c, SpareActive d"),
        (("a0U b1U c-F d2R", "recovery 99"), ("a0U b1U c-F d2U", ""), "RebuildFinished, SpareActive d"),
        (("a0U b1U d2R", "recovery 40"), ("a0U b1U d-F", ""), "FailSpare d, RebuildFinished"),
        (whole, ("a0U b1U c2U d-F", ""), "FailSpare d"),
        // a spare that is taken away, or added
        (whole, ("a0U b1U c2U", ""), ""),
        (("a0U b1U c2U", ""), whole, ""),
        // re-added by the bitmap between two looks
        (("a0U b1U", ""), ("a0U b1U c2U", ""), "SpareActive c"),
        // --replace: the member that was replaced is made faulty by the kernel, and nothing is lost
        (whole, ("a0U b1U c2U d2P", "recovery 5"), "RebuildStarted"),
        (("a0U b1U c2U d2P", "recovery 95"), ("a0U b1U c-F d2U", ""), "RebuildFinished, SpareActive d"),
        (("a0U b1U c2U d2P", "recovery 95"), ("a0U b1U c2F d2U", "recovery 99"), "SpareActive d"),
        (("a0U b1U c2U d2P", "recovery 95"), ("a0U b1U c2U d2U", ""), "RebuildFinished, SpareActive d"),
        (("a0U b1U c2U d2U", ""), ("a0U b1U c2F d2U", ""), ""),
        (("a0U b1U c2U d2P", "recovery 95"), ("a0U b1U c2U d-F", ""), "FailSpare d, RebuildFinished"),
        // two at once
        (whole, ("a0U b-F c-F d-S", ""), "Fail b, Fail c"),
        // out of sync without having failed
        (whole, ("a0U b1U c2R d-S", "recovery 1"), "Fail c, RebuildStarted"),
        (("a0U b1U c2U j-J", ""), ("a0U b1U c2U j-F", ""), "Fail j"),
    ] {
        assert_eq!(last(&[before, now]), events, "{before:?} -> {now:?}");
    }
}

#[test]
fn a_disk_that_is_pulled_fails_once_though_its_number_is_not_known_any_more() {
    let (whole, failed, gone) = (array("a0U b1U c2U", ""), array("a0U b1U c-F", ""), array("a0U b1U", ""));
    let mut pulled = failed.clone();
    pulled.members[2].dev = (0, 0);
    // In each order in which the looks may find it.
    for (looks, want) in [
        (vec![&whole, &failed, &pulled, &gone], "Fail c"),
        (vec![&whole, &pulled, &gone], "Fail c"),
        (vec![&whole, &pulled, &failed], "Fail c"),
        (vec![&whole, &gone], "Fail c"),
    ] {
        let mut watch = Watch::new(SCAN, Vec::new());
        let told = looks.iter().flat_map(|now| watch.look(std::slice::from_ref(*now), &Memory::new()));
        assert_eq!(named(&told.skip(1).collect::<Vec<_>>()).join(", "), want);
    }
    // Another disk of that name is another one.
    let mut other = array("a0U b1U c-F", "");
    other.members[2].dev = (7, 77);
    let mut watch = Watch::new(SCAN, Vec::new());
    watch.look(std::slice::from_ref(&gone), &Memory::new());
    watch.look(std::slice::from_ref(&failed), &Memory::new());
    assert_eq!(named(&watch.look(&[other], &Memory::new())), ["FailSpare c"]);
}

#[test]
fn progress_is_told_at_each_increment_and_what_waits_is_no_fault() {
    let whole = "a0U b1U c2U";
    for (before, now, events) in [
        ("", "resync 0", "RebuildStarted"),
        ("", "resync DELAYED", ""),
        ("", "resync PENDING", ""),
        ("resync DELAYED", "resync 3", "RebuildStarted"),
        ("resync 3", "resync 19", ""),
        ("resync 3", "resync 20", "Rebuild20"),
        ("resync 19", "resync 61", "Rebuild61"),
        ("resync 61", "resync DELAYED", ""),
        ("resync DELAYED", "", ""),
        ("check 95", "", "RebuildFinished"),
        ("check 95", "check 1", "RebuildFinished, RebuildStarted"),
        ("recovery 50", "check 60", "RebuildFinished, RebuildStarted"),
        ("", "check 5", "RebuildStarted"),
    ] {
        assert_eq!(last(&[(whole, before), (whole, now)]), events, "{before} -> {now}");
    }
    assert_eq!(What::Rebuild(5).name(), "Rebuild05");
}

#[test]
fn mismatches_are_those_of_a_check_and_not_of_a_recovery() {
    let whole = "a0U b1U c2U";
    for (action, found, told) in
        [("check", 8, Some(8)), ("resync", 8, Some(8)), ("recovery", 8, None), ("check", 0, None)]
    {
        let now = Array { mismatches: found, ..array(whole, "") };
        let what = change::between(&array(whole, &format!("{action} 50")), &now, 20);
        assert_eq!(what, [What::RebuildFinished(told)], "{action}");
    }
}

#[test]
fn a_degraded_array_is_told_once_when_it_is_first_seen() {
    let degraded = ("a0U b1U", "");
    assert_eq!(last(&[degraded]), "NewArray, DegradedArray");
    assert_eq!(last(&[degraded, degraded]), "");
    // a check of what is left does not help it
    assert_eq!(last(&[("a0U b1U", "check 5")]), "NewArray, DegradedArray, RebuildStarted");
    // one of two is rebuilt
    let two = Array { level: Some(Level::Raid6), raid_disks: 4, degraded: 2, ..array("a0U b1U c2R", "recovery 5") };
    let events = Watch::new(SCAN, Vec::new()).look(&[two], &Memory::new());
    assert_eq!(named(&events), ["NewArray", "DegradedArray", "RebuildStarted"]);
}

#[test]
fn an_initial_build_is_no_fault_but_one_that_fails_is() {
    let build = ("a0U b1U c2R", "recovery 8");
    let left = ("a0U b1U", "");
    assert_eq!(last(&[build]), "NewArray, RebuildStarted");
    assert_eq!(last(&[("a0U b1U c-S", "")]), "NewArray");
    // it has its slot, and the recovery is about to start
    assert_eq!(last(&[("a0U b1U c2R", "")]), "NewArray");
    assert_eq!(last(&[("a0U b1U c2R", ""), build]), "RebuildStarted");
    assert_eq!(last(&[build, ("a0U b1U c2U", "")]), "RebuildFinished, SpareActive c");
    // it waits for another array on the same disks, however long
    assert_eq!(last(&[("a0U b1U c2R", "resync DELAYED"); 9]), "");
    assert_eq!(last(&[build, ("a0U b1U c2U", ""), left]), "Fail c");
    // stopped short, and nothing goes on
    assert_eq!(last(&[build, left, left, left]), "DegradedArray");
    assert_eq!(last(&[build, left, left, left, left]), "");
    // between two recoveries there is a moment of none
    assert_eq!(last(&[build, left, build, left, build, left]), "RebuildFinished");
    // who fails is told, and that is enough
    assert_eq!(last(&[build, ("a0U b1U c-F", "")]), "FailSpare c, RebuildFinished");
    assert_eq!(last(&[build, ("a0U b1U c-F", ""), left, left, left]), "");
    // a spare that the kernel does not take
    let spare = ("a0U b1U c-S", "");
    assert_eq!(last(&[spare, spare, spare]), "DegradedArray");
    // looks for the sake of other arrays, one upon another, take none of its time
    let mut watch = Watch::new(SCAN, Vec::new());
    let mut look = |hurried| {
        watch.hurry(hurried);
        named(&watch.look(&[array(spare.0, spare.1)], &Memory::new()))
    };
    assert_eq!(look(false), ["NewArray"]);
    assert!((0..10).all(|_| look(true).is_empty()) && look(false).is_empty());
    assert_eq!(look(false), ["DegradedArray"]);
    let readonly = Array { readonly: true, ..array("a0U b1U c-S", "") };
    let events = Watch::new(SCAN, Vec::new()).look(&[readonly], &Memory::new());
    assert_eq!(named(&events), ["NewArray", "DegradedArray"]);
}

#[test]
fn a_slot_that_once_had_its_data_is_told_though_it_is_rebuilt() {
    let memory = Memory::from([(Uuid([1; 16]), [0, 1, 2].into())]);
    let events = Watch::new(SCAN, Vec::new()).look(&[array("a0U b1U c2R", "recovery 8")], &memory);
    assert_eq!(named(&events), ["NewArray", "DegradedArray", "RebuildStarted"]);
    let other = Memory::from([(Uuid([1; 16]), [0, 1].into())]);
    let events = Watch::new(SCAN, Vec::new()).look(&[array("a0U b1U c2R", "recovery 8")], &other);
    assert_eq!(named(&events), ["NewArray", "RebuildStarted"]);
}

#[test]
fn an_array_is_known_by_its_uuid_whatever_it_is_called() {
    let mut watch = Watch::new(SCAN, Vec::new());
    let whole = array("a0U b1U c2U", "");
    let moved = Array { devname: "md127".into(), ..whole.clone() };
    assert_eq!(named(&watch.look(std::slice::from_ref(&whole), &Memory::new())), ["NewArray"]);
    assert_eq!(watch.look(&[moved], &Memory::new()), []);
    assert_eq!(watch.arrays[0].wanted.name, "/dev/md127");
    assert_eq!(named(&watch.look(&[], &Memory::new())), ["DeviceDisappeared"]);
    assert_eq!(watch.look(&[], &Memory::new()), []);
    assert!(watch.arrays.is_empty() && !watch.any_redundant());
    assert_eq!(named(&watch.look(&[whole], &Memory::new())), ["NewArray"]);
}

#[test]
fn another_array_of_the_same_name_is_another_one() {
    let whole = array("a0U b1U c2U", "");
    let other = Array { uuid: Some(Uuid([2; 16])), degraded: 1, ..array("a0U b1U", "") };
    let listed = Wanted { name: "/dev/md0".into(), devname: Some("md0".into()), ..Wanted::default() };
    for (rules, wanted, want) in [
        (SCAN, Vec::new(), "DeviceDisappeared, NewArray, DegradedArray"),
        (Rules { scan: false, ..SCAN }, vec![listed], "DeviceDisappeared, DegradedArray"),
    ] {
        let mut watch = Watch::new(rules, wanted);
        watch.look(std::slice::from_ref(&whole), &Memory::new());
        let mut events = watch.look(std::slice::from_ref(&other), &Memory::new());
        events.extend(watch.look(std::slice::from_ref(&other), &Memory::new()));
        assert_eq!(named(&events).join(", "), want);
    }
}

#[test]
fn arrays_of_the_configuration_are_no_news_until_they_come_back() {
    let wanted = Wanted { name: "/dev/md/x".into(), uuid: Some(Uuid([1; 16])), spares: Some(1), ..Wanted::default() };
    let mut watch = Watch::new(SCAN, vec![wanted]);
    let whole = array("a0U b1U c2U", "");
    assert!(watch.any_lost());
    let events = watch.look(std::slice::from_ref(&whole), &Memory::new());
    assert_eq!((named(&events), events[0].subject.name.as_str()), (vec!["SparesMissing".to_owned()], "/dev/md/x"));
    assert_eq!(named(&watch.look(&[], &Memory::new())), ["DeviceDisappeared"]);
    assert_eq!(named(&watch.look(&[whole], &Memory::new())), ["NewArray", "SparesMissing"]);
}

#[test]
fn levels_without_redundancy_are_named_only_where_they_were_asked_for() {
    let raid0 = Array { level: Some(Level::Raid0), ..array("a0U", "") };
    assert_eq!(Watch::new(SCAN, Vec::new()).look(std::slice::from_ref(&raid0), &Memory::new()), []);
    let listed = Wanted { name: "/dev/md0".into(), devname: Some("md0".into()), ..Wanted::default() };
    let mut watch = Watch::new(Rules { scan: false, ..SCAN }, vec![listed]);
    let events = watch.look(std::slice::from_ref(&raid0), &Memory::new());
    assert_eq!(events.iter().map(|e| e.what.clone()).collect::<Vec<_>>(), [What::WrongLevel]);
    assert_eq!(watch.look(&[raid0], &Memory::new()), []);
    assert!(!watch.any_redundant());
}

#[test]
fn test_messages_come_once_and_only_for_arrays_of_the_start() {
    let mut watch = Watch::new(Rules { test: true, ..SCAN }, Vec::new());
    let whole = array("a0U b1U c2U", "");
    let other = Array { devname: "md1".into(), uuid: Some(Uuid([2; 16])), ..whole.clone() };
    assert_eq!(named(&watch.look(std::slice::from_ref(&whole), &Memory::new())), ["TestMessage", "NewArray"]);
    assert_eq!(named(&watch.look(&[whole, other], &Memory::new())), ["NewArray"]);
}

#[test]
fn a_reload_keeps_what_was_seen() {
    let mut watch = Watch::new(SCAN, Vec::new());
    let whole = array("a0U b1U c2U", "");
    watch.look(std::slice::from_ref(&whole), &Memory::new());
    watch.rewant(vec![Wanted { name: "/dev/md/x".into(), uuid: Some(Uuid([1; 16])), ..Wanted::default() }]);
    let events = watch.look(&[array("a0U b1U c-F", "")], &Memory::new());
    assert_eq!((named(&events), events[0].subject.name.as_str()), (vec!["Fail c".to_owned()], "/dev/md/x"));
}

#[test]
fn of_thousands_of_arrays_each_event_is_told_and_no_other() {
    const COUNT: usize = 5000;
    let number = |n: usize| {
        let mut bytes = [7; 16];
        bytes[..8].copy_from_slice(&n.to_le_bytes());
        Uuid(bytes)
    };
    let all = |text: &dyn Fn(usize) -> Option<&'static str>| -> Vec<Array> {
        let one = |n| text(n).map(|t| Array { devname: format!("md{n}"), uuid: Some(number(n)), ..array(t, "") });
        (0..COUNT).filter_map(one).collect()
    };
    let mut watch = Watch::new(SCAN, Vec::new());
    let events = watch.look(&all(&|n| (n != 4000).then_some("a0U b1U c2U")), &Memory::new());
    assert!(events.len() == COUNT - 1 && events.iter().all(|e| e.what == What::NewArray));
    let later = all(&|n| (n != 17).then_some(if n % 1000 == 999 { "a0U b1U c-F" } else { "a0U b1U c2U" }));
    let told = watch.look(&later, &Memory::new());
    let told: Vec<(String, &str)> = told.iter().map(|e| (e.what.name(), e.subject.name.as_str())).collect();
    let mut want: Vec<(String, String)> =
        (0..5).map(|n| ("Fail".into(), format!("/dev/md{}", n * 1000 + 999))).collect();
    want.insert(0, ("DeviceDisappeared".into(), "/dev/md17".into()));
    want.push(("NewArray".into(), "/dev/md4000".into()));
    assert_eq!(told, want.iter().map(|(w, n)| (w.clone(), n.as_str())).collect::<Vec<_>>());
    assert_eq!(watch.look(&later, &Memory::new()), []);
}

/// Domains by kernel name, and whether any spare fits.
struct Domains(&'static [(&'static str, &'static str)], bool);

impl Ask for Domains {
    fn domains(&self, _: &Watched, dev: (u32, u32)) -> BTreeSet<String> {
        let of = |d: &&(&str, &str)| u32::from(d.0.as_bytes()[0]) == dev.1;
        self.0.iter().filter(of).map(|d| d.1.to_owned()).collect()
    }

    fn fits(&self, _: &Watched, _: &str) -> bool {
        self.1
    }
}

/// The spares that go from the second array to the first.
fn moved(groups: [&str; 2], arrays: [&str; 2], ask: &Domains) -> Vec<String> {
    let group = |g: &str, n: u8| Wanted {
        name: format!("/dev/md{n}"),
        uuid: Some(Uuid([n; 16])),
        spare_group: (!g.is_empty()).then(|| g.into()),
        ..Wanted::default()
    };
    let of = |n: u8, text: &str| Array { devname: format!("md{n}"), uuid: Some(Uuid([n; 16])), ..array(text, "") };
    let mut watch = Watch::new(SCAN, vec![group(groups[0], 1), group(groups[1], 2)]);
    watch.look(&[of(1, arrays[0]), of(2, arrays[1])], &Memory::new());
    let found = moves(&watch, ask);
    assert!(found.iter().all(|m| *m == Move { from: 1, to: 0, kname: m.kname.clone() }));
    found.into_iter().map(|m| m.kname).collect()
}

const NEEDY: &str = "a0U b1U c-F";
const RICH: &str = "e0U f1U g2U h-S";

#[test]
fn a_spare_goes_to_an_array_of_its_group_that_lacks_a_member() {
    for (groups, first, second, fits, want) in [
        (["g", "g"], NEEDY, RICH, true, vec!["h"]),
        (["g", "g"], NEEDY, RICH, false, vec![]),
        (["g", "x"], NEEDY, RICH, true, vec![]),
        (["", ""], NEEDY, RICH, true, vec![]),
        (["g", "g"], "a0U b1U c-S", RICH, true, vec![]),
        (["g", "g"], NEEDY, "e0U f1U h-S", true, vec![]),
        (["g", "g"], "a0U b1U c2U", RICH, true, vec![]),
    ] {
        assert_eq!(moved(groups, [first, second], &Domains(&[], fits)), want, "{groups:?} {first} {second}");
    }
}

#[test]
fn all_domains_of_a_spare_must_be_the_arrays_and_groups_are_domains() {
    // Each line was seen with mdadm 4.6.
    for (groups, domains, moves) in [
        (["", ""], &[("a", "d"), ("h", "d")] as &[_], true),
        // of a failed member
        (["", ""], &[("c", "d"), ("h", "d")], true),
        (["", ""], &[("a", "d"), ("b", "e"), ("h", "d"), ("h", "e")], true),
        (["", ""], &[("a", "d"), ("h", "d"), ("h", "e")], false),
        (["", ""], &[("h", "d")], false),
        (["", ""], &[("a", "d")], false),
        (["one", ""], &[("h", "one")], true),
        (["", "one"], &[("a", "one")], true),
        (["one", "one"], &[("h", "x")], false),
        (["one", "two"], &[("a", "x"), ("h", "x")], false),
        (["", "two"], &[("a", "x"), ("h", "x")], false),
        (["two", ""], &[("a", "x"), ("h", "x")], true),
    ] {
        assert_eq!(!moved(groups, [NEEDY, RICH], &Domains(domains, true)).is_empty(), moves, "{groups:?} {domains:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_two_looks_panic_and_a_lost_member_never_goes_unsaid(
        before in "(a0|b1|c2|d-)[URPSFJ]( (e0|f1|g2|h-)[URPSFJ]){0,4}",
        now in "(a0|b1|c2|d-)[URPSFJ]( (e0|f1|g2|h-)[URPSFJ]){0,4}",
        raid_disks in 0u32..9, degraded in 0u32..5, percent in 0u32..200,
    ) {
        let old = Array { raid_disks: 3, degraded: 0, ..array(&before, "") };
        let new = Array { raid_disks, degraded, ..array(&now, &format!("recovery {percent}")) };
        let mut watch = Watch::new(SCAN, Vec::new());
        watch.look(std::slice::from_ref(&old), &Memory::new());
        let events = watch.look(std::slice::from_ref(&new), &Memory::new());
        for m in old.in_sync().filter(|m| m.slot.is_some_and(|s| s < raid_disks)) {
            let slot_held = new.in_sync().any(|n| n.slot == m.slot);
            let told = events.iter().any(|e| e.what == What::Fail(m.kname.clone()));
            let still = new.in_sync().any(|n| n.kname == m.kname && n.dev == m.dev);
            proptest::prop_assert!(slot_held || still || told, "{} of {} went unsaid in {}", m.kname, before, now);
        }
    }
}
