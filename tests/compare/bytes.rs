//! What is on the disks, sector by sector, with times, uuids and checksums masked.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use super::mask::Keep;

const SECTOR: usize = 512;

/// The sectors of a disk that are not all zeros.
pub type Image = BTreeMap<u64, [u8; SECTOR]>;

/// Fields of a v1.x superblock (struct mdp_superblock_1), for messages.
const SUPER_FIELDS: &[(usize, &str)] = &[
    (0, "magic"),
    (4, "major"),
    (8, "feature map"),
    (12, "pad0"),
    (16, "set uuid"),
    (32, "set name"),
    (64, "ctime"),
    (72, "level"),
    (76, "layout"),
    (80, "size"),
    (88, "chunk"),
    (92, "raid disks"),
    (96, "bitmap offset"),
    (100, "new level"),
    (104, "reshape position"),
    (112, "delta disks"),
    (116, "new layout"),
    (120, "new chunk"),
    (124, "new offset"),
    (128, "data offset"),
    (136, "data size"),
    (144, "super offset"),
    (152, "recovery offset"),
    (160, "device number"),
    (164, "corrected reads"),
    (168, "device uuid"),
    (184, "device flags"),
    (185, "log shift"),
    (186, "log size"),
    (188, "log offset"),
    (192, "utime"),
    (200, "events"),
    (208, "resync offset"),
    (216, "checksum"),
    (220, "max dev"),
    (224, "logical block size"),
    (228, "pad3"),
    (256, "roles"),
];

/// Fields of a v0.90 superblock (mdp_super_t) in its first sector.
const OLD_FIELDS: &[(usize, &str)] = &[
    (0, "magic"),
    (4, "version"),
    (20, "uuid0"),
    (24, "ctime"),
    (28, "level"),
    (32, "size"),
    (36, "devices"),
    (40, "raid disks"),
    (44, "minor"),
    (48, "not persistent"),
    (52, "uuid1 to 3"),
    (64, "pad"),
    (128, "utime"),
    (132, "state"),
    (136, "active"),
    (140, "working"),
    (144, "failed"),
    (148, "spare"),
    (152, "checksum"),
    (156, "events"),
    (164, "checkpoint events"),
    (172, "checkpoint"),
    (176, "reshape"),
    (256, "layout"),
    (260, "chunk"),
    (264, "rest"),
];

/// Fields of a bitmap superblock (struct bitmap_super_s).
const BITMAP_FIELDS: &[(usize, &str)] = &[
    (0, "magic"),
    (4, "version"),
    (8, "uuid"),
    (24, "events"),
    (32, "events cleared"),
    (40, "sync size"),
    (48, "state"),
    (52, "chunk size"),
    (56, "daemon sleep"),
    (60, "write behind"),
    (64, "sectors reserved"),
    (68, "nodes"),
    (72, "cluster name"),
    (136, "pad"),
    (256, "bits"),
];

fn is_super(sector: &[u8; SECTOR]) -> bool {
    sector.starts_with(&0xa92b_4efc_u32.to_le_bytes()) && sector[4] == 1
}

/// In this machine's byte order.
fn is_old(sector: &[u8; SECTOR]) -> bool {
    sector.starts_with(&0xa92b_4efc_u32.to_le_bytes()) && sector[4..12] == [0, 0, 0, 0, 90, 0, 0, 0]
}

fn is_bitmap(sector: &[u8; SECTOR]) -> bool {
    sector.starts_with(b"bitm")
}

/// Reads the file behind a disk, holes left out.
pub fn image(path: &str) -> Image {
    let file = File::open(path).unwrap();
    let mut image = Image::new();
    let mut at = 0;
    let seek = |at, whence| {
        // SAFETY: lseek on an open descriptor touches no memory of ours.
        unsafe { libc::lseek(file.as_raw_fd(), at, whence) }
    };
    loop {
        let start = seek(at, libc::SEEK_DATA);
        if start < 0 {
            return image;
        }
        let end = seek(start, libc::SEEK_HOLE);
        let mut data = vec![0; usize::try_from(end - start).unwrap()];
        file.read_exact_at(&mut data, u64::try_from(start).unwrap()).unwrap();
        for (i, sector) in data.chunks_exact(SECTOR).enumerate() {
            let sector: [u8; SECTOR] = sector.try_into().unwrap();
            if sector.iter().any(|b| *b != 0) {
                image.insert(u64::try_from(start).unwrap() / 512 + u64::try_from(i).unwrap(), sector);
            }
        }
        at = end;
    }
}

/// Masks what differs from run to run; a checksum becomes ones when it is right and twos when it is not.
pub fn mask(image: &mut Image, keep: Keep) {
    let supers: Vec<u64> = image.iter().filter(|(_, s)| is_super(s)).map(|(n, _)| *n).collect();
    for n in supers {
        let good = checksum_is_right(image, n);
        let sector = image.get_mut(&n).unwrap();
        let mut blank = vec![64..72, 168..184, 192..200];
        if !keep.uuid {
            blank.push(16..32);
        }
        if !keep.events {
            // what a resync or recovery has done so far, too; the block size comes with the kernel's first write
            blank.extend([152..160, 200..208, 208..216, 224..228]);
        }
        blank.into_iter().for_each(|r| sector[r].fill(0));
        sector[216..220].fill(if good { 1 } else { 2 });
    }
    mask_old(image, keep);
    // a journal's blocks begin at a random number; the kernel judges their checksums
    for sector in image.values_mut().filter(|s| s.starts_with(&0x6433_c509_u32.to_le_bytes())) {
        [4..8, 16..24].into_iter().for_each(|r| sector[r].fill(0));
    }
    if !keep.uuid {
        ppl_headers(image);
    }
    for sector in image.values_mut().filter(|s| is_bitmap(s)) {
        if !keep.uuid {
            sector[8..24].fill(0);
        }
        if !keep.events {
            sector[24..40].fill(0);
        }
    }
}

/// The same for v0.90. The second half of its uuid is the hash of the host's name, unless the uuid is a random one.
fn mask_old(image: &mut Image, keep: Keep) {
    let zeros = [0; SECTOR];
    let supers: Vec<u64> = image.iter().filter(|(_, s)| is_old(s)).map(|(n, _)| *n).collect();
    for n in supers {
        let bytes: Vec<u8> = (n..n + 8).flat_map(|n| *image.get(&n).unwrap_or(&zeros)).collect();
        let word = |i: usize| u64::from(u32::from_le_bytes(bytes[4 * i..4 * i + 4].try_into().unwrap()));
        let sum: u64 = (0..1024).filter(|i| *i != 38).map(word).sum();
        let good = (sum & 0xffff_ffff) + (sum >> 32) == word(38);
        let sector = image.get_mut(&n).unwrap();
        let mut blank = vec![24..28, 128..132];
        if !keep.uuid {
            blank.extend([20..24, 52..56]);
        }
        if !keep.events {
            blank.push(156..176);
        }
        blank.into_iter().for_each(|r| sector[r].fill(0));
        sector[152..156].fill(if good { 1 } else { 2 });
    }
}

/// The signature of a PPL header is made of the array's uuid, and its checksum of that.
fn ppl_headers(image: &mut Image) {
    let reserved: Vec<u64> = image.iter().filter(|(_, s)| s.iter().all(|b| *b == 0xff)).map(|(n, _)| *n).collect();
    let zero_behind = |s: &[u8; SECTOR]| s[4..16].iter().chain(&s[24..]).all(|b| *b == 0);
    for n in reserved {
        if let Some(sector) = image.get_mut(&(n + 1)).filter(|s| zero_behind(s)) {
            [0..4, 20..24].into_iter().for_each(|r| sector[r].fill(0));
        }
    }
}

/// Sum of little-endian words with the carry folded in (md.c, calc_sb_1_csum).
fn checksum_is_right(image: &Image, n: u64) -> bool {
    let zeros = [0; SECTOR];
    let bytes: Vec<u8> = (n..n + 8).flat_map(|n| *image.get(&n).unwrap_or(&zeros)).collect();
    let word = |at: usize| u64::from(u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()));
    let length = (256 + 2 * usize::try_from(word(220)).unwrap()).min(4096);
    let mut sum: u64 = (0..length / 4).map(|i| if i == 54 { 0 } else { word(4 * i) }).sum();
    if length % 4 == 2 {
        sum += word(length - 2) & 0xffff;
    }
    (sum & 0xffff_ffff) + (sum >> 32) == word(216)
}

/// One line for each field or sector that differs; disks that differ alike share a line.
pub fn differences(reference: &[Image], ours: &[Image]) -> Vec<String> {
    let mut lines: Vec<(String, String)> = Vec::new();
    for ((r, o), disk) in reference.iter().zip(ours).zip('A'..) {
        for line in of_one(r, o) {
            match lines.iter_mut().find(|l| l.1 == line) {
                Some(known) => known.0.push(disk),
                None => lines.push((disk.to_string(), line)),
            }
        }
    }
    lines.into_iter().map(|(disks, line)| format!("on {disks}: {line}")).collect()
}

fn of_one(reference: &Image, ours: &Image) -> Vec<String> {
    let zeros = [0; SECTOR];
    let mut lines = Vec::new();
    // sectors that one of them has and the other leaves zeros: a line for all
    let mut only = [Vec::new(), Vec::new()];
    let mut sectors: Vec<u64> = reference.keys().chain(ours.keys()).copied().collect();
    sectors.sort_unstable();
    sectors.dedup();
    for n in sectors {
        let (r, o) = (reference.get(&n).unwrap_or(&zeros), ours.get(&n).unwrap_or(&zeros));
        if r == o {
            continue;
        }
        let (kind, fields) = match () {
            () if is_super(r) || is_super(o) => ("superblock", SUPER_FIELDS),
            () if is_old(r) || is_old(o) => ("v0.90 superblock", OLD_FIELDS),
            () if is_bitmap(r) || is_bitmap(o) => ("bitmap superblock", BITMAP_FIELDS),
            () => ("data", &[(0, "bytes")][..]),
        };
        if *r == zeros || *o == zeros {
            let whose = usize::from(*r == zeros);
            only[whose].push(if kind == "data" { n.to_string() } else { format!("{n} ({kind})") });
            continue;
        }
        for (i, (from, name)) in fields.iter().enumerate() {
            let to = fields.get(i + 1).map_or(SECTOR, |f| f.0);
            if r[*from..to] != o[*from..to] {
                lines.push(format!("sector {n} {kind} {name}: {} ours {}", hex(&r[*from..to]), hex(&o[*from..to])));
            }
        }
    }
    for (whose, list) in ["the reference", "ours"].iter().zip(only).filter(|l| !l.1.is_empty()) {
        let shown = list.iter().take(12).map(String::as_str).collect::<Vec<_>>().join(" ");
        lines.push(format!("written by {whose} only: {} sectors: {shown}", list.len()));
    }
    if lines.len() > 12 {
        let more = lines.len() - 10;
        lines.truncate(10);
        lines.push(format!("{more} more"));
    }
    lines
}

fn hex(bytes: &[u8]) -> String {
    if bytes.iter().all(|b| *b == 0) {
        return "0".into();
    }
    let used = bytes.iter().rposition(|b| *b != 0).unwrap() + 1;
    bytes[..used.min(40)].iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")
}
