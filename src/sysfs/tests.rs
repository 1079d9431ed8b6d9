use super::attr::*;
use super::value::*;
use super::*;

/// An array directory below a temporary root, with these files.
fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, ArrayDir) {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = root.path().join("block/md0/md").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let array = Sysfs::at(root.path()).array("md0");
    (root, array)
}

#[test]
fn attributes_read_as_their_types() {
    let (_root, a) = tree(&[
        ("level", "raid5\n"),
        ("raid_disks", "4 (3)\n"),
        ("metadata_version", "1.2\n"),
        ("array_state", "write-pending\n"),
        ("array_size", "default\n"),
        ("sync_completed", "128 / 77824\n"),
        ("sync_speed_min", "1000 (system)\n"),
        ("resync_start", "none\n"),
        ("llbitmap/bits", "unwritten 608\nclean 0\nneed sync 3\nneed sync unwritten 7\n"),
        ("dev-sda/state", "in_sync,write_mostly,new_word\n"),
        ("dev-sda/slot", "none\n"),
        ("dev-sda/block/dev", "7:12\n"),
        ("dev-sda/bad_blocks", "128 8\n4096 16\n"),
    ]);
    assert_eq!(a.get(LEVEL), Some(Word("raid5".into())));
    assert_eq!(a.get(RAID_DISKS), Some(4));
    assert_eq!(a.get(METADATA_VERSION), Some(MetadataVersion::Md { major: 1, minor: 2 }));
    assert_eq!(a.get(ARRAY_STATE), Some(ArrayState::WritePending));
    assert_eq!(a.get(ARRAY_SIZE), Some(Maybe::None));
    assert_eq!(a.get(SYNC_COMPLETED), Some(SyncProgress::At { done: 128, total: 77824 }));
    assert_eq!(a.get(SYNC_SPEED_MIN), Some(SpeedLimit { kib: 1000, local: false }));
    assert_eq!(a.get(RESYNC_START).and_then(Maybe::some), None);
    let bits = a.get(LLBITMAP_BITS).unwrap();
    assert_eq!(
        (bits.number("need sync"), bits.number("need sync unwritten"), bits.number("sync")),
        (Some(3), Some(7), None)
    );
    let members = a.members();
    assert_eq!(members.len(), 1);
    assert!(members[0].get(STATE).unwrap().has("new_word"));
    assert_eq!(members[0].get(SLOT), Some(Slot::None));
    assert_eq!(members[0].get(BLOCK_DEV), Some(DevNumber { major: 7, minor: 12 }));
    assert_eq!(members[0].get(BAD_BLOCKS), Some(BadBlocks(vec![(128, 8), (4096, 16)])));
}

#[test]
fn an_attribute_that_is_not_there_or_empty_is_none_and_not_an_error() {
    let (_root, a) = tree(&[("level", ""), ("dev-sda/bad_blocks", ""), ("dev-sda/state", "\n")]);
    assert!(a.read(LEVEL).unwrap().is_none());
    assert!(a.read(DEGRADED).unwrap().is_none());
    assert_eq!(a.member("sda").read(BAD_BLOCKS).unwrap(), Some(BadBlocks::default()));
    assert_eq!(a.member("sda").read(STATE).unwrap(), Some(MemberState::default()));
    assert!(a.member("sdb").read(STATE).unwrap().is_none());
}

#[test]
fn unknown_words_are_kept_and_wrong_numbers_named() {
    let (_root, a) = tree(&[("array_state", "hibernating\n"), ("sync_action", "dream\n"), ("degraded", "many\n")]);
    assert_eq!(a.get(ARRAY_STATE), Some(ArrayState::Other("hibernating".into())));
    assert_eq!(a.get(SYNC_ACTION).unwrap().word(), "dream");
    let e = a.read(DEGRADED).unwrap_err().to_string();
    assert!(e.ends_with("md0/md/degraded holds \"many\", which is no number"), "{e}");
}

#[test]
fn a_failed_store_names_attribute_value_and_reason() {
    let (_root, a) = tree(&[("level", "raid1\n")]);
    a.store(LEVEL, "raid5").unwrap();
    assert_eq!(a.text("level").unwrap().as_deref(), Some("raid5\n".trim_end()));
    let e = a.store(BITMAP_LOCATION, "none").unwrap_err();
    assert_eq!(e.errno(), libc::ENOENT);
    assert!(e.to_string().starts_with("cannot write \"none\" to "), "{e}");
    assert!(e.to_string().ends_with("md/bitmap/location: No such file or directory"), "{e}");
}

#[test]
fn the_kernel_says_in_bitmap_type_whether_it_has_llbitmap() {
    for (text, want) in [
        (Some("none [bitmap] llbitmap \n"), LlbitmapSupport::Yes),
        (Some("none [bitmap] \n"), LlbitmapSupport::NotBuiltIn),
        (None, LlbitmapSupport::TooOld),
    ] {
        let files: Vec<_> = text.into_iter().map(|t| ("bitmap_type", t)).chain([("level", "")]).collect();
        let (_root, a) = tree(&files);
        assert_eq!(a.llbitmap_support().unwrap(), want);
    }
    let (_root, a) = tree(&[("bitmap_type", "none bitmap [llbitmap] \n")]);
    let types = a.bitmap_types().unwrap().unwrap();
    assert_eq!(types.iter().find(|t| t.active).map(|t| t.name.as_str()), Some("llbitmap"));
}

#[test]
fn devices_are_found_by_number_and_by_name() {
    let root = tempfile::tempdir().unwrap();
    let disk = root.path().join("devices/virtual/block/md0");
    fs::create_dir_all(disk.join("md0p1")).unwrap();
    fs::create_dir_all(disk.join("md")).unwrap();
    fs::write(disk.join("md0p1/partition"), "1\n").unwrap();
    fs::write(disk.join("dev"), "9:0\n").unwrap();
    for dir in ["dev/block", "block", "class/block"] {
        fs::create_dir_all(root.path().join(dir)).unwrap();
    }
    let link = |to: &str, at: &str| std::os::unix::fs::symlink(to, root.path().join(at)).unwrap();
    link("../../devices/virtual/block/md0", "dev/block/9:0");
    link("../../devices/virtual/block/md0/md0p1", "dev/block/259:0");
    link("../devices/virtual/block/md0", "block/md0");
    let sysfs = Sysfs::at(root.path());
    assert_eq!(sysfs.block_name((259, 0)).as_deref(), Some("md0p1"));
    assert_eq!(sysfs.disk_name((259, 0)).as_deref(), Some("md0"));
    assert_eq!(sysfs.disk_name((9, 0)).as_deref(), Some("md0"));
    assert_eq!(sysfs.dev_of("md0"), Some((9, 0)));
    assert_eq!(sysfs.array("md0").dev(), Some((9, 0)));
    assert_eq!(sysfs.arrays(), ["md0"]);
    assert_eq!(sysfs.block_name((8, 0)), None);
}

proptest::proptest! {
    #[test]
    fn no_text_makes_a_value_panic(text in ".{0,40}") {
        let _ = (ArrayState::from_attr(&text), SyncProgress::from_attr(&text), MetadataVersion::from_attr(&text));
        let _ = (Slot::from_attr(&text), BadBlocks::from_attr(&text), DevNumber::from_attr(&text), ChoiceList::from_attr(&text));
        let _ = (Maybe::<u64>::from_attr(&text), SpeedLimit::from_attr(&text), u32::from_attr(&text), i32::from_attr(&text));
        let _ = Lines::from_attr(&text).and_then(|l| l.number("clean"));
    }
}
