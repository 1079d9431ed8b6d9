//! Superblocks and bitmaps with fields that no md writes: an assembly starts the array or is refused in words, and then nothing was
//! written. The kernel believes what it finds; what it cannot stand has to be refused before. `make soak` goes on for longer.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "vm/mod.rs"]
mod vm;

use std::fs;
use std::os::unix::fs::FileExt;

use mdadm::superblock::v1::{SUPER_BYTES, SuperV1};

use vm::{MIB, mdadm, mix};

const SECTORS: u64 = 8 * MIB / 512;
/// Where fields lie, and their bytes: of a 1.x superblock, and of a bitmap's.
const FIELDS: [(usize, usize); 26] = [
    (8, 4),
    (72, 4),
    (76, 4),
    (80, 8),
    (88, 4),
    (92, 4),
    (96, 4),
    (100, 4),
    (104, 8),
    (112, 4),
    (124, 4),
    (128, 8),
    (136, 8),
    (152, 8),
    (160, 4),
    (184, 1),
    (185, 1),
    (186, 2),
    (188, 4),
    (200, 8),
    (208, 8),
    (220, 4),
    (224, 4),
    (256, 2),
    (258, 2),
    (260, 2),
];
const BITMAP_FIELDS: [(usize, usize); 9] =
    [(4, 4), (24, 8), (32, 8), (40, 8), (48, 4), (52, 4), (56, 4), (60, 4), (64, 4)];
const VALUES: [u64; 20] = [
    0,
    1,
    2,
    3,
    6,
    8,
    0x7f,
    0xff,
    0x1000,
    0x7fff,
    0xfffd,
    0xffff,
    0x10000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 32,
    1 << 52,
    i64::MAX as u64,
    u64::MAX,
];

struct Kind {
    super_at: usize,
    images: Vec<Vec<u8>>,
}

fn write(disks: &[String], images: &[Vec<u8>]) {
    for (disk, image) in disks.iter().zip(images) {
        let file = fs::OpenOptions::new().write(true).open(disk).unwrap();
        file.write_all_at(image, 0).unwrap();
        file.sync_all().unwrap();
    }
}

fn read(disks: &[String]) -> Vec<Vec<u8>> {
    vm::sh(&format!("for disk in {}; do blockdev --flushbufs $disk; done", disks.join(" ")));
    disks.iter().map(|disk| fs::read(disk).unwrap()).collect()
}

/// Members as create and a start left them.
fn kinds(disks: &[String]) -> Vec<Kind> {
    let lockless = vm::or_internal("lockless");
    let make = |words: &str, super_at: u64| {
        write(disks, &vec![vec![0; (SECTORS * 512) as usize]; disks.len()]);
        mdadm(&format!("--create /dev/md0 -q --run --assume-clean -n3 {words} {}", disks.join(" "))).ok();
        mdadm("--stop /dev/md0").ok();
        Kind { super_at: (super_at * 512) as usize, images: read(disks) }
    };
    let end = SECTORS - 16;
    vec![
        make(&format!("-l5 -e1.2 -b {lockless}"), 8),
        make(&format!("-l5 -e1.0 -b {lockless}"), end),
        make(&format!("-l1 -e1.1 -b {lockless}"), 0),
        make(&format!("-l10 -e1.2 -b {lockless}"), 8),
        make("-l1 -e1.0 -b internal", end),
        make("-l5 -e1.2 -k ppl", 8),
        make("-l0 -e1.2", 8),
    ]
}

/// Changes one field of the first `members` of them, and makes the checksum right.
fn spoil(kind: &Kind, seed: u64) -> (Vec<Vec<u8>>, String) {
    let pick = |n: u64, len: usize| (mix(seed, n) % len as u64) as usize;
    let bitmap = kind.images[0].windows(4).step_by(512).position(|w| w == b"bitm").map(|n| n * 512);
    let (base, (at, len)) = match bitmap.filter(|_| pick(1, 5) < 2) {
        Some(bitmap) => (bitmap, BITMAP_FIELDS[pick(2, BITMAP_FIELDS.len())]),
        None => (kind.super_at, FIELDS[pick(2, FIELDS.len())]),
    };
    let value = if pick(3, 4) == 0 { mix(seed, 4) } else { VALUES[pick(5, VALUES.len())] };
    let members = [1, 3, 3][pick(6, 3)];
    let mut images = kind.images.clone();
    for image in images.iter_mut().take(members) {
        image[base + at..base + at + len].copy_from_slice(&value.to_le_bytes()[..len]);
        let raw: [u8; SUPER_BYTES] = image[kind.super_at..kind.super_at + SUPER_BYTES].try_into().unwrap();
        if let Some(mut sb) = SuperV1::from_bytes(&raw) {
            sb.update_csum();
            image[kind.super_at..kind.super_at + SUPER_BYTES].copy_from_slice(sb.bytes());
        }
    }
    (images, format!("byte {at} behind {base} of {members} = {value:#x}"))
}

#[test]
fn a_hostile_member_is_assembled_or_refused_in_words_and_nothing_is_written() {
    let rounds = std::env::var("GUEST_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(14u64);
    let disks = vm::disks(3, 8 * MIB);
    let kinds = kinds(&disks);
    for seed in 0..rounds {
        let kind = &kinds[(seed % kinds.len() as u64) as usize];
        let (images, what) = spoil(kind, seed);
        let words = ["", "--run", "--force", "--readonly"][(mix(seed, 7) % 4) as usize];
        write(&disks, &images);
        let out = mdadm(&format!("--assemble /dev/md0 {words} {}", disks.join(" ")));
        let told = format!("seed {seed}, {what} {words}: {out:?}");
        assert!([0, 1, 2].contains(&out.status) && !out.stderr.contains("panicked"), "{told}");
        if out.status == 0 {
            mdadm("--detail /dev/md0");
            vm::wait_until(std::time::Duration::from_secs(30), &told, || mdadm("--stop /dev/md0").status == 0);
        } else {
            assert!(out.stderr.contains("mdadm: "), "{told}");
            assert!(read(&disks) == images, "written: {told}");
        }
    }
}
