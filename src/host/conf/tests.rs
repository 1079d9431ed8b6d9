use super::*;
use proptest::prelude::*;

const UUID: &str = "11111111:22222222:33333333:44444444";

fn conf(text: &str) -> Conf {
    let mut conf = Conf::default();
    conf.add("c", text.as_bytes());
    conf
}

fn problems(text: &str) -> Vec<String> {
    conf(text).problems.into_iter().map(|p| p.what).collect()
}

#[test]
fn the_example_of_the_manual_page_is_understood() {
    let text = "\
DEVICE /dev/sd[bcdjkl]1
DEVICE partitions containers
# /dev/md0 is known by its UUID.
ARRAY /dev/md0 UUID=3aaa0122:29827cfa:5331ad66:ca767371
ARRAY /dev/md2 devices=/dev/hda1,/dev/hdb1
ARRAY /dev/md4 uuid=b23f3c6d:aec43a9f:fd65db85:369432df
           spare-group=group1
ARRAY /dev/md/home UUID=9187a482:5dde19d9:eea3cc4a:d646ab8b
           auto=part
POLICY domain=domain1 metadata=imsm path=pci-0000:00:1f.2-scsi-*
           action=spare
MAILADDR root@mydomain.tld
PROGRAM /usr/sbin/handle-mdadm-events
CREATE group=system mode=0640 auto=part-8
HOMEHOST <system>
AUTO +1.x homehost -all
SYSFS name=/dev/md/raid5 group_thread_cnt=4 sync_speed_max=1000000
MONITORDELAY 60
ENCRYPTION_NO_VERIFY sata_opal
PROBING ddf_extended
";
    let conf = conf(text);
    assert_eq!(conf.problems, []);
    let glob = DeviceWord::Glob("/dev/sd[bcdjkl]1".into());
    assert_eq!(conf.devices, [glob, DeviceWord::Partitions, DeviceWord::Containers]);
    let names: Vec<_> = conf.arrays.iter().map(|a| a.device.as_deref().unwrap()).collect();
    assert_eq!(names, ["/dev/md0", "/dev/md2", "/dev/md4", "/dev/md/home"]);
    assert_eq!(conf.arrays[1].devices, Some(vec!["/dev/hda1".into(), "/dev/hdb1".into()]));
    assert_eq!(conf.arrays[2].spare_group.as_deref(), Some("group1"));
    assert_eq!(conf.policies[0].words.last(), Some(&(PolicyKey::Action, "spare".to_owned())));
    assert_eq!((conf.create.group.as_deref(), conf.create.mode), (Some("system"), Some(0o640)));
    let rule = |allow, what| AutoRule { allow, what };
    let rules = [rule(true, AutoWhat::V1), rule(true, AutoWhat::Homehost), rule(false, AutoWhat::All)];
    assert_eq!(conf.auto.unwrap(), rules);
    assert_eq!(conf.sysfs[0].attributes.len(), 2);
    assert_eq!((conf.monitor_delay_seconds, conf.ddf_extended), (Some(60), true));
}

#[test]
fn keywords_are_known_by_three_letters_in_any_case_and_mailfrom_by_five() {
    let conf =
        conf("mai a\nMAILF x y\nHom h\nHOMEC c\nPRO p\nMON 5\nPART domain=a path=b\ndev /dev/x\nDEVICES /dev/y\n");
    assert_eq!(conf.problems, []);
    let (to, from) = (conf.mail_to.as_deref(), conf.mail_from.as_deref());
    assert_eq!((to, from, conf.program.as_deref()), (Some("a"), Some("x y"), Some("p")));
    assert_eq!((conf.homehost.as_deref(), conf.homecluster.as_deref()), (Some("h"), Some("c")));
    assert!(conf.policies[0].for_partitions && conf.devices.len() == 2);
    for word in ["DE", "devix", "ARRAYS", "HOMEHOSTS", "PARTPOLICY", "MA", "FOO"] {
        assert_eq!(problems(&format!("{word} x\n")), [format!("Unknown keyword {word}")]);
    }
}

#[test]
fn of_lines_that_should_be_there_once_the_first_counts_and_of_create_lines_the_last() {
    let text = "MAILADDR\nMAILADDR a b\nMAILADDR c\nPROGRAM p\nPROGRAM q\nHOMEHOST <ignore> h i\nHOMEHOST k\n\
                AUTO -all\nAUTO +all\nMONITORDELAY 0\nMONITORDELAY 7\nMONITORDELAY 8\nCREATE mode=600 bbl=no\nCREATE mode=640\n";
    let conf = conf(text);
    assert_eq!((conf.mail_to.as_deref(), conf.program.as_deref()), (Some("a"), Some("p")));
    assert_eq!((conf.homehost.as_deref(), conf.ignores_homehost), (Some("h"), true));
    assert_eq!(conf.auto, Some(vec![AutoRule { allow: false, what: AutoWhat::All }]));
    assert_eq!(conf.monitor_delay_seconds, Some(7));
    assert_eq!((conf.create.mode, conf.create.bbl), (Some(0o640), Some(false)));
}

/// Line, and what the reference says of it.
#[test]
fn what_is_wrong_is_said_in_the_words_of_the_reference() {
    for (line, said) in [
        ("ARRAY", "ARRAY line (null) has no identity information."),
        ("ARRAY <ignore> name=t", "ARRAY line <ignore> has no identity information."),
        ("ARRAY /dev/md0 name=x level=1 num-devices=2", "ARRAY line /dev/md0 has no identity information."),
        ("ARRAY /dev/md0 container=/dev/md3", "ARRAY line /dev/md0 has no identity information."),
        ("ARRAY /dev/md0 uuid=% uuid=%", "only specify uuid once, uuid=% ignored."),
        ("ARRAY /dev/md0 super-minor=1 SUPER-minor=1", "only specify super-minor once, SUPER-minor=1 ignored."),
        ("ARRAY a devices=/a devices=/a", "only specify devices once (use a comma separated list). devices=/a ignored"),
        (
            "ARRAY a uuid=% spare-group=a spare-group=b",
            "only specify one spare group per array. spare-group=b ignored.",
        ),
        ("ARRAY a b uuid=%", "Value \"b\" cannot be set as devname. Reason: Already defined. Value ignored."),
        ("ARRAY /dev/md/ uuid=%", "Value \"\" cannot be set as devname. Reason: Too long or empty. Value ignored."),
        ("ARRAY a uu=1 uuid=%", "unrecognised word on ARRAY line: uu=1"),
        ("ARRAY a uuid=% metadata=9", "metadata format 9 unknown, ignored."),
        ("CREATE mode=9", "unrecognised CREATE mode 9"),
        ("CREATE metadata=7", "metadata format 7 unknown, ignoring"),
        ("CREATE names=maybe", "unrecognised word on CREATE line: names=maybe"),
        ("POLICY foo=bar path=x", "policy rule foo=bar unrecognised and ignored"),
        ("SYSFS a=b", "Device name not found in sysfs config entry - ignoring."),
        ("SYSFS name=/dev/md/x foo", "Cannot parse \"foo\" - ignoring."),
        ("SYSFS uuid=% name=/dev/md0", "/dev/md0 is an invalid name for an md device - ignored."),
        ("SYSFS uuid=% uuid=%", "Only give one uuid per SYSFS line: %"),
        ("PROBING x", "unrecognised word on PROBING line: x"),
        ("ENCRYPTION_NO_VERIFY x", "unrecognised word on ENCRYPTION_NO_VERIFY line: x"),
        ("DEVICE /dev/a foo", "unreconised word on DEVICE line: foo"),
    ] {
        assert_eq!(problems(&line.replace('%', UUID)), [said.replace('%', UUID)], "{line}");
    }
    let both = ["bad uuid: uuid=zz", "ARRAY line /dev/md0 has no identity information."];
    assert_eq!(problems("ARRAY /dev/md0 uuid=zz"), both);
    for minor in ["x", "-1", ""] {
        assert_eq!(
            problems(&format!("ARRAY a super-minor={minor}"))[0],
            format!("invalid super-minor number: super-minor={minor}")
        );
    }
}

#[test]
fn a_bad_line_is_named_by_file_and_line_and_the_others_count() {
    let conf = conf(&format!("FOO\nARRAY /dev/md0\n\n  uuid={UUID} x=y\nARRAY /dev/md1 devices=/dev/a\n"));
    let said: Vec<String> = conf.problems.iter().map(ToString::to_string).collect();
    assert_eq!(said, ["c:1: Unknown keyword FOO", "c:2: unrecognised word on ARRAY line: x=y"]);
    assert_eq!(conf.arrays.len(), 2);
}

proptest! {
    #[test]
    fn any_text_is_taken_and_every_problem_has_a_line_of_the_file(text: Vec<u8>) {
        let mut conf = Conf::default();
        conf.add("c", &text);
        for p in &conf.problems {
            prop_assert!(p.line.is_some_and(|n| n >= 1 && n <= text.iter().filter(|b| **b == b'\n').count() + 1));
        }
    }

    #[test]
    fn any_words_of_known_lines_are_taken(
        key in prop::sample::select(vec!["ARRAY", "CREATE", "SYSFS", "POLICY", "AUTO", "MONITORDELAY", "DEVICE", "HOMEHOST"]),
        words in "[ -~]{0,40}",
    ) {
        conf(&format!("{key} {words}\n"));
    }
}

#[test]
fn values_of_policies_that_make_no_sense_are_told_with_their_line_and_never_widen_what_matches() {
    let mut conf = Conf::default();
    conf.add(
        "f",
        b"POLICY action=spare type=disk path=pci-*\nPOLICY type=dsk action=spare\nPOLICY action=spares metadata=1.2\n",
    );
    conf.add("f", b"POLICY metadata=3.7 path=[ auto=maybe domain= nonsense\n");
    let told: Vec<String> = conf.problems.iter().map(ToString::to_string).collect();
    assert!(told[0].starts_with("f:2: policy rule type=dsk unrecognised: "), "{told:?}");
    assert!(told[1].starts_with("f:3: policy rule action=spares unrecognised: "), "{told:?}");
    assert_eq!(told.len(), 7, "{told:?}");
    assert_eq!(conf.policies[1].words[0], (PolicyKey::Type, "dsk".to_owned()));
}
