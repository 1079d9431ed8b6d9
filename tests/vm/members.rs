//! The members of a stopped array, read raw: does the redundancy hold over everything that was ever written?
//!
//! Written from the on-disk facts alone, so that it can judge the program under test: it shares no code with it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

const SECTOR: u64 = 512;
/// Of a v1.x superblock.
const MAGIC: u32 = 0xa92b_4efc;

/// What the check needs to know of an array with v1.x metadata and a lockless bitmap.
pub struct Members {
    /// In the order of their roles.
    files: Vec<File>,
    level: i32,
    chunk_bytes: u64,
    component_bytes: u64,
    data_bytes: u64,
    bitmap_chunk_bytes: u64,
    /// One state byte per bitmap chunk; 0 = unwritten.
    states: Vec<u8>,
}

impl Members {
    /// Opens the members of one array, all in sync, in any order.
    #[track_caller]
    pub fn open(paths: &[PathBuf]) -> Members {
        Members::of_bitmap(Members::by_role(paths))
    }

    #[track_caller]
    fn by_role(paths: &[PathBuf]) -> Vec<File> {
        let mut files: Vec<(u16, File)> = paths.iter().map(|p| File::open(p).unwrap()).map(|f| (role(&f), f)).collect();
        files.sort_by_key(|(role, _)| *role);
        assert!(files.iter().enumerate().all(|(n, (role, _))| n == usize::from(*role)), "roles are not 0 to n");
        files.into_iter().map(|(_, file)| file).collect()
    }

    /// The same without a bitmap: all of it counts as written.
    #[track_caller]
    pub fn open_all(paths: &[PathBuf]) -> Members {
        let files = Members::by_role(paths);
        let first = &files[0];
        let sb = superblock(first);
        let component_bytes = u64_at(first, sb + 80) * SECTOR;
        Members {
            level: u32_at(first, sb + 72) as i32,
            chunk_bytes: u64::from(u32_at(first, sb + 88)) * SECTOR,
            component_bytes,
            data_bytes: u64_at(first, sb + 128) * SECTOR,
            bitmap_chunk_bytes: 64 * 1024,
            states: vec![1; component_bytes.div_ceil(64 * 1024) as usize],
            files,
        }
    }

    #[track_caller]
    fn of_bitmap(files: Vec<File>) -> Members {
        let first = &files[0];
        let sb = superblock(first);
        let bitmap = sb.wrapping_add_signed(i64::from(u32_at(first, sb + 96) as i32) * SECTOR as i64);
        assert_eq!((u32_at(first, bitmap), u32_at(first, bitmap + 4)), (0x6d74_6962, 6), "no lockless bitmap");
        let bitmap_chunk_bytes = u64::from(u32_at(first, bitmap + 52)) * SECTOR;
        let chunks = u64_at(first, bitmap + 40).div_ceil(bitmap_chunk_bytes / SECTOR);
        let mut states = vec![0; chunks as usize];
        first.read_exact_at(&mut states, bitmap + 1024).unwrap();
        Members {
            level: u32_at(first, sb + 72) as i32,
            chunk_bytes: u64::from(u32_at(first, sb + 88)) * SECTOR,
            component_bytes: u64_at(first, sb + 80) * SECTOR,
            data_bytes: u64_at(first, sb + 128) * SECTOR,
            bitmap_chunk_bytes,
            states,
            files,
        }
    }

    /// How many bitmap chunks are not unwritten.
    pub fn written_chunks(&self) -> usize {
        self.states.iter().filter(|&&state| state != 0).count()
    }

    /// Offsets of the written bitmap chunks in which the members disagree: copies differ, or parity is wrong.
    pub fn wrong_chunks(&self) -> Vec<u64> {
        let written = self.states.iter().enumerate().filter(|(_, state)| **state != 0);
        let offsets = written.map(|(n, _)| n as u64 * self.bitmap_chunk_bytes);
        offsets.filter(|&at| !self.agree(at)).collect()
    }

    fn agree(&self, at: u64) -> bool {
        match self.level {
            1 => {
                let len = self.bitmap_chunk_bytes.min(self.component_bytes - at);
                let copies = self.read_all(at, len);
                copies.iter().all(|copy| *copy == copies[0])
            }
            10 => self.raid10_agrees(at),
            5 | 4 => {
                let len = self.bitmap_chunk_bytes.min(self.component_bytes - at);
                sum_is_zero(&self.read_all(at, len))
            }
            6 => self.raid6_agrees(at),
            other => panic!("level {other}"),
        }
    }

    /// Layout near=2 on an even number of members: the bitmap chunk is one of the array.
    fn raid10_agrees(&self, at: u64) -> bool {
        let pairs = self.files.len() as u64 / 2;
        (at / self.chunk_bytes..(at + self.bitmap_chunk_bytes).div_ceil(self.chunk_bytes)).all(|unit| {
            let (row, pair) = (unit / pairs, (unit % pairs) as usize);
            let offset = row * self.chunk_bytes;
            if offset >= self.component_bytes {
                return true;
            }
            let len = self.chunk_bytes.min(self.component_bytes - offset);
            self.read(2 * pair, offset, len) == self.read(2 * pair + 1, offset, len)
        })
    }

    /// Layout left-symmetric: P moves down from the last member, Q follows it, data follows Q.
    fn raid6_agrees(&self, at: u64) -> bool {
        let members = self.files.len() as u64;
        let end = (at + self.bitmap_chunk_bytes).min(self.component_bytes);
        let mut at = at;
        while at < end {
            let row = at / self.chunk_bytes;
            let len = ((row + 1) * self.chunk_bytes).min(end) - at;
            let blocks = self.read_all(at, len);
            let p = members - 1 - row % members;
            let data: Vec<&Vec<u8>> = (0..members - 2).map(|n| &blocks[((p + 2 + n) % members) as usize]).collect();
            let q = &blocks[((p + 1) % members) as usize];
            for byte in 0..len as usize {
                let sum = data.iter().fold(0, |sum, d| sum ^ d[byte]);
                let syndrome = data.iter().rev().fold(0, |sum, d| times_two(sum) ^ d[byte]);
                if sum != blocks[p as usize][byte] || syndrome != q[byte] {
                    return false;
                }
            }
            at += len;
        }
        true
    }

    fn read(&self, member: usize, at: u64, len: u64) -> Vec<u8> {
        let mut bytes = vec![0; len as usize];
        self.files[member].read_exact_at(&mut bytes, self.data_bytes + at).unwrap();
        bytes
    }

    fn read_all(&self, at: u64, len: u64) -> Vec<Vec<u8>> {
        (0..self.files.len()).map(|member| self.read(member, at, len)).collect()
    }
}

/// In GF(2^8) with the polynomial 0x11d, as raid6 computes Q.
fn times_two(byte: u8) -> u8 {
    (byte << 1) ^ if byte & 0x80 == 0 { 0 } else { 0x1d }
}

/// Whether the blocks, all of one length, add up to zeros; sixteen bytes at a time, as tests are not optimised.
fn sum_is_zero(blocks: &[Vec<u8>]) -> bool {
    let word = |block: &Vec<u8>, at: usize| u128::from_ne_bytes(block[at..at + 16].try_into().unwrap());
    (0..blocks[0].len()).step_by(16).all(|at| blocks.iter().fold(0, |sum, block| sum ^ word(block, at)) == 0)
}

/// Where the superblock is: 4 KiB from the start (1.2), at the start (1.1), or 8 KiB from the end and rounded down (1.0).
fn superblock(file: &File) -> u64 {
    let end = (file.metadata().unwrap().len() / SECTOR - 16) & !7;
    *[4096, 0, end * SECTOR].iter().find(|&&at| u32_at(file, at) == MAGIC).expect("no superblock")
}

fn role(file: &File) -> u16 {
    let sb = superblock(file);
    let number = u64::from(u32_at(file, sb + 160));
    (u32_at(file, sb + 256 + 2 * number) & 0xffff) as u16
}

fn u32_at(file: &File, at: u64) -> u32 {
    let mut bytes = [0; 4];
    file.read_exact_at(&mut bytes, at).unwrap();
    u32::from_le_bytes(bytes)
}

fn u64_at(file: &File, at: u64) -> u64 {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, at).unwrap();
    u64::from_le_bytes(bytes)
}
