use super::*;
use crate::bitmap::file as bitmap_bytes;
use crate::cli::{self, Request};
use crate::device::mem::MemDevice;
use crate::plan::file_step::FileStep;

fn request(words: &str) -> BuildRequest {
    let line = format!("--build /dev/md0 {words}");
    let words: Vec<_> = line.split(' ').map(Into::into).collect();
    match cli::parse(&words) {
        Ok(Request::Build(request)) => *request,
        other => panic!("{line}: {other:?}"),
    }
}

fn member(n: u32, mib: u64) -> BuildMember {
    BuildMember { path: format!("/dev/x{n}").into(), dev: (8, n), size: Sectors(mib << 11), write_mostly: false }
}

fn node() -> Node {
    Node { devname: "md0".into(), path: "/dev/md0".into(), readonly: false }
}

fn lines(words: &str) -> Vec<String> {
    let req = request(words);
    let design = design(&req).unwrap();
    let members: Vec<_> = (0u32..).zip(&req.members).map(|(n, m)| m.path.is_some().then(|| member(n, 16))).collect();
    plan(&req, &design, &members, None, &node()).steps.iter().map(Step::line).collect()
}

#[test]
fn nothing_is_written_to_a_member() {
    for words in ["-l1 -n3 /a missing /b", "-l0 -n2 /a /b", "-llinear -n2 /a /b", "-l10 -n4 /a missing /b missing"] {
        let lines = lines(words);
        assert!(lines.iter().all(|l| !l.starts_with("write")), "{lines:?}");
        assert_eq!(lines.iter().filter(|l| l.contains("ADD_NEW_DISK")).count(), 2, "{words}");
        assert!(lines.iter().any(|l| l.ends_with("RUN_ARRAY")));
    }
}

#[test]
fn the_kernel_is_told_what_the_members_do_not_tell() {
    let info = |words: &str| lines(words)[1].clone();
    let none = "ioctl  md0 SET_ARRAY_INFO no metadata, level";
    assert_eq!(info("-l1 -n2 --assume-clean /a /b"), format!("{none} 1 layout 0x0 raid-disks 2 chunk 0 size 0K clean"));
    assert_eq!(info("-l0 -n2 -c16 /a /b"), format!("{none} 0 layout 0x0 raid-disks 2 chunk 16384 size 0K"));
    assert_eq!(info("-llinear -n2 /a /b"), format!("{none} -1 layout 0x0 raid-disks 2 chunk 65536 size 0K"));
    let raid10 = info("-l10 -n2 -z8M /a /b");
    assert_eq!(raid10, format!("{none} 10 layout 0x102 raid-disks 2 chunk 65536 size 8192K"));
    assert!(lines("-l0 -n2 -palternate /a /b").contains(&"sysfs  md0/md/layout = 2".to_owned()));
    let large = lines("-l1 -n2 -z3T /a /b");
    assert!(large[1].ends_with("size 0K") && large[2] == "sysfs  md0/md/component_size = 3221225472", "{large:?}");
    assert!(lines("-l1 -n2 /a /b").iter().all(|l| !l.contains("clean")));
}

#[test]
fn what_cannot_be_is_refused_in_the_words_of_the_reference() {
    let said = |words: &str| design(&request(words)).unwrap_err().lines[0].clone();
    assert_eq!(said(""), "no raid-devices specified.");
    assert_eq!(said("-n2 /a /b"), "a RAID level is needed to Build an array.");
    assert_eq!(said("-l1 -n3 /a /b"), "requested 3 devices in array but listed 2");
    assert_eq!(said("-l1 -n2 -b internal /a /b"), "--build argument only compatible with --bitmap=none");
    assert_eq!(said("-l1 -n2 --write-behind /a /b"), "write-behind mode requires a bitmap.");
    assert!(said("-l1 -n2 missing missing").starts_with("too many devices are missing"));
    assert!(said("-l0 -n2 /a missing").starts_with("too many devices are missing"));
    assert!(said("-l10 -n4 /a /b missing missing").starts_with("too many devices are missing"));
    assert!(said("-l10 -n2 -c12 /a /b").contains("power of two"));
    assert!(said("-l0 -n2 -c2G /a /b").contains("too large"));
    assert!(said("-l0 -n2 -b /x/f /a /b").contains("not meaningful"));
}

fn file(sync: u64, uuid: u8, dirty: bool) -> FileFacts {
    let (chunk_bytes, daemon_sleep) = (65536, 5);
    let uuid = Uuid([uuid; 16]);
    let new = NewBitmap { uuid, sync_sectors: sync, chunk_bytes, daemon_sleep, write_behind: 0, sectors_reserved: 0 };
    let mut bytes = bitmap_bytes::new_file(&new).unwrap();
    if !dirty {
        bytes[256..].fill(0);
        bytes[256] = 3;
    }
    let bitmap = bitmap_bytes::read(&MemDevice::from_bytes(bytes)).unwrap();
    FileFacts { path: "/x/f".into(), state: FileState::Bitmap(Box::new(bitmap)), optional: false }
}

fn with_file(words: &str, facts: &FileFacts) -> Result<BitmapPlan, Refusal> {
    let req = request(&format!("-b /x/f {words}"));
    bitmap_plan(&req, &design(&req).unwrap(), &[member(0, 16), member(1, 17)], facts)
}

#[test]
fn the_bitmap_that_is_there_is_the_arrays_own_and_is_kept() {
    let sync = 16 << 11;
    let kept = with_file("-l1 -n2 /a /b", &file(sync, 0, false)).unwrap();
    assert_eq!((kept.make, kept.notes), (None, vec!["/x/f is used as it is: 1 MiB of 16 MiB are dirty".into()]));
    let clean = with_file("-l1 -n2 --assume-clean --delay=9 /a /b", &file(sync, 0, false)).unwrap();
    assert!(clean.notes[0].starts_with("--delay is ignored") && clean.notes[1].contains("are not resynced"));
    assert!(with_file("-l1 -n2 /a /b", &file(sync, 7, false)).unwrap_err().to_string().contains("bitmap of array"));
    assert!(with_file("-l1 -n2 /a /b", &file(sync + 8, 0, false)).is_err(), "of an array of another size");
    assert!(with_file("-l1 -n2 -z8M /a /b", &file(8 << 11, 0, false)).is_ok());
    let anew = with_file("-l1 -n2 --force /a /b", &file(sync, 7, false)).unwrap();
    assert!(matches!(anew.make, Some(Step::File(FileStep::Bitmap { replace: true, .. }))));
}

#[test]
fn a_file_that_is_not_there_is_made_for_the_range_that_the_kernel_syncs() {
    let absent = FileFacts { path: "/x/f".into(), state: FileState::Absent, optional: false };
    for (words, sync, chunk) in [
        ("-l1 -n2 /a /b", 16 << 11, 4096),
        ("-l1 -n2 -z8M --bitmap-chunk=64K /a /b", 8 << 11, 65536),
        ("-l10 -n2 --layout=f2 -c64 /a /b", 16 << 11, 4096),
    ] {
        let Some(Step::File(FileStep::Bitmap { bytes, .. })) = with_file(words, &absent).unwrap().make else {
            panic!("{words}")
        };
        let bitmap = bitmap_bytes::read(&MemDevice::from_bytes(bytes)).unwrap();
        assert_eq!((bitmap.sb.sync_size(), bitmap.sb.chunk_bytes()), (sync, chunk), "{words}");
        assert_eq!((bitmap.dirty, bitmap.sb.uuid()), (bitmap.chunks, Uuid([0; 16])));
    }
    assert!(with_file("-l1 -n2 --bitmap-chunk=1K /a /b", &absent).is_err());
}
