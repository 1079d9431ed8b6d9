use super::*;

fn moment() -> Option<Moment> {
    Some(Moment { seconds: 1_795_177_511, text: "Fri Nov 20 12:25:07 2026".into() })
}

fn disk(number: u32, slot: Option<u32>) -> Member {
    Member {
        number: Some(number),
        dev: (7, number),
        kname: Some(format!("loop{number}")),
        path: Some(format!("/dev/loop{number}")),
        slot,
        active: slot.is_some(),
        in_sync: slot.is_some(),
        ..Member::default()
    }
}

/// A raid5 in recovery, as the reference showed it.
fn recovering() -> Detail {
    let rebuilding = Member { active: false, in_sync: false, ..disk(3, Some(1)) };
    let faulty = Member { faulty: true, ..disk(1, None) };
    Detail {
        path: "/dev/md0".into(),
        devname: "md0".into(),
        metadata: "1.2".into(),
        persistent: true,
        created: moment(),
        updated: moment(),
        level: Some(Level::Raid5),
        layout: 2,
        array_kib: Some(77824),
        component_kib: Some(38912),
        chunk_bytes: 512 << 10,
        raid_disks: 3,
        counts: Counts { total: 4, active: 2, working: 3, failed: 1, spare: 1 },
        plain_spares: 1,
        clean: true,
        degraded: true,
        sync: Some(Sync { action: Action::Recovery, percent: Some(2), waits: None }),
        consistency_policy: Some("resync".into()),
        name: Some(b"myhost:0".to_vec()),
        local_to: Some("myhost".into()),
        uuid: Uuid::parse("f627d6fe:944e953f:6fec4219:97498454"),
        events: Some("2".into()),
        members: vec![disk(0, Some(0)), rebuilding, disk(2, Some(2)), faulty],
        listed: vec![2, 0, 1, 3],
        ..Detail::default()
    }
}

const RECOVERING: &str = "/dev/md0:
           Version : 1.2
     Creation Time : Fri Nov 20 12:25:07 2026
        Raid Level : raid5
        Array Size : 77824 (76.00 MiB 79.69 MB)
     Used Dev Size : 38912 (38.00 MiB 39.85 MB)
      Raid Devices : 3
     Total Devices : 4
       Persistence : Superblock is persistent

       Update Time : Fri Nov 20 12:25:07 2026
             State : clean, degraded, recovering 
    Active Devices : 2
   Working Devices : 3
    Failed Devices : 1
     Spare Devices : 1

            Layout : left-symmetric
        Chunk Size : 512K

Consistency Policy : resync

    Rebuild Status : 2% complete

              Name : myhost:0  (local to host myhost)
              UUID : f627d6fe:944e953f:6fec4219:97498454
            Events : 2

    Number   Major   Minor   RaidDevice State
       0       7        0        0      active sync   /dev/loop0
       3       7        3        1      spare rebuilding   /dev/loop3
       2       7        2        2      active sync   /dev/loop2

       1       7        1        -      faulty   /dev/loop1
";

#[test]
fn a_recovering_raid5_is_shown_as_by_the_reference() {
    assert_eq!(recovering().text(true), RECOVERING);
    assert_eq!(recovering().test_status(), 1);
}

#[test]
fn brief_lines_and_keys_are_those_of_the_reference() {
    let d = recovering();
    assert_eq!(
        d.brief(true, true),
        "ARRAY /dev/md0 level=raid5 num-devices=3 metadata=1.2 spares=1 UUID=f627d6fe:944e953f:6fec4219:97498454\n   \
         devices=/dev/loop0,/dev/loop1,/dev/loop2,/dev/loop3\n"
    );
    let export = d.export(true);
    assert!(export.starts_with("MD_LEVEL=raid5\nMD_DEVICES=3\nMD_METADATA=1.2\nMD_UUID=f627d6fe"), "{export}");
    assert!(export.ends_with("MD_DEVICE_dev_loop1_ROLE=spare\nMD_DEVICE_dev_loop1_DEV=/dev/loop1\n"), "{export}");
    assert!(!d.export(false).contains("MD_DEVICE_"));
}

#[test]
fn a_hostile_name_adds_no_line_anywhere() {
    let mut d = recovering();
    d.name = Some(b"h:a\nMD_LEVEL=raid9\n\"x$(id)`".to_vec());
    d.path = "/dev/md/a b\nc".into();
    d.link = Some("a b\nc'd".into());
    assert_eq!(d.text(true).lines().count(), RECOVERING.lines().count());
    assert_eq!(d.brief(false, true).lines().count(), 1);
    for line in d.export(true).lines() {
        let (key, value) = line.split_once('=').unwrap();
        assert!(key.starts_with("MD_") && !value.contains([' ', '$', '`', '"', '\'', '\n']), "{line}");
    }
    let json: serde_json::Value = serde_json::from_str(&document(&[Outcome::Array(Box::new(d))], true)).unwrap();
    assert_eq!(json[0]["schema"], "mdadm-rs/detail/1");
}

#[test]
fn a_lockless_bitmap_adds_lines_that_no_known_pattern_matches() {
    let mut d = recovering();
    let plain = Detail { bitmap: Some(Bitmap::Internal), ..d.clone() }.text(true);
    let mut states = StateCounts::default();
    states.set(ChunkState::Unwritten, 600);
    states.set(ChunkState::NeedSync, 8);
    d.bitmap = Some(Bitmap::Lockless(Lockless {
        chunk_bytes: Some(65536),
        chunks: Some(608),
        states: Some(states),
        on_disk: false,
        daemon_sleep_seconds: Some(30),
        covered_bytes: Some(38912 << 10),
    }));
    let text = d.text(true);
    let added: Vec<&str> = text.lines().filter(|l| !plain.contains(l)).collect();
    assert_eq!(
        added,
        [
            "       Bitmap Type : lockless",
            "      Bitmap Chunk : 64K",
            "     Bitmap Chunks : 608",
            "     Bitmap States : 600 unwritten, 8 need sync",
            "     Bitmap Resync : 512K at a start now",
        ]
    );
    for pattern in ["State :", "Chunk Size :", "Intent Bitmap :", "Level :", "Size :", "Status :", "Devices :"] {
        assert!(!added.iter().any(|l| l.contains(pattern)), "{pattern}");
    }
    assert!(d.export(true).contains("\nMD_BITMAP_TYPE=lockless\n"));
    assert_eq!(d.brief(true, true), recovering().brief(true, true));
    let json: serde_json::Value = serde_json::from_str(&document(&[Outcome::Array(Box::new(d))], true)).unwrap();
    assert_eq!(json[0]["bitmap"]["states"]["need_sync"], 8);
    assert_eq!(json[0]["bitmap"]["resync_bytes"], 512 << 10);
}

#[test]
fn an_inactive_array_keeps_the_lines_of_the_reference_and_says_why() {
    let mut d = recovering();
    let member = Member { unstarted: true, number: None, slot: None, ..disk(0, None) };
    d = Detail {
        inactive: true,
        counts: Counts { total: 1, working: 1, spare: 1, ..Counts::default() },
        members: vec![member],
        listed: vec![0],
        sync: None,
        reasons: vec!["1 of 3 members is here, 2 are needed".into()],
        hint: Some("mdadm --run /dev/md0".into()),
        ..d
    };
    let want = "/dev/md0:
           Version : 1.2
        Raid Level : raid5
     Total Devices : 1
       Persistence : Superblock is persistent

             State : inactive
    Active Devices : 0
   Working Devices : 1
    Failed Devices : 0
     Spare Devices : 1

              Name : myhost:0  (local to host myhost)
              UUID : f627d6fe:944e953f:6fec4219:97498454
            Events : 2
       Not Started : 1 of 3 members is here, 2 are needed
         Next Step : mdadm --run /dev/md0

    Number   Major   Minor   RaidDevice

       -       7        0        -        /dev/loop0
";
    assert_eq!(d.text(true), want);
    assert_eq!(
        d.brief(true, true),
        "INACTIVE-ARRAY /dev/md0 num-devices=1 metadata=1.2 UUID=f627d6fe:944e953f:6fec4219:97498454\n   devices=/dev/loop0\n"
    );
    assert!(d.export(true).starts_with("MD_DEVICES=1\nMD_METADATA=1.2\n"));
    assert_eq!(d.test_status(), 2);
}

#[test]
fn raid10_sets_are_named_where_each_copy_is_whole() {
    let sets = |layout, disks| (0..disks).map(|s| Member::raid10_set(layout, disks, s)).collect::<Option<String>>();
    assert_eq!(sets(0x103, 6).as_deref(), Some("ABCABC"));
    assert_eq!(sets(0x104, 4).as_deref(), Some("ABCD"));
    for (layout, disks) in [(0x102, 3), (0x201, 4), (0x1_0201, 2), (0x101, 2), (0, 2), (0x1ff, 255)] {
        assert_eq!(sets(layout, disks), None, "{layout:x}");
    }
}

#[test]
fn an_array_that_cannot_be_read_has_its_object_too() {
    let error = Outcome::Error("/dev/x\ny".into(), "cannot open".into());
    let json: serde_json::Value = serde_json::from_str(&document(&[error], true)).unwrap();
    assert_eq!(
        json,
        serde_json::json!([{"schema": "mdadm-rs/detail/1", "device": "/dev/x\ny", "error": "cannot open"}])
    );
}
