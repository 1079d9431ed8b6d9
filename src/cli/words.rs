//! Values of options: numbers, sizes and words of a list.

use std::ffi::{OsStr, OsString};

use crate::level::Level;
use crate::units::{SECTOR_BYTES, Sectors};

use super::request::ConsistencyPolicy;

/// A decimal number as C's strtol takes it: spaces in front and a sign are fine, anything behind is not.
#[must_use]
pub fn number(text: &str) -> Option<i64> {
    let text = text.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// A number of at least `least` that fits an int.
#[must_use]
pub fn int_from(text: &str, least: i64) -> Option<u32> {
    let n = number(text)?;
    if n < least || n > i64::from(i32::MAX) { None } else { u32::try_from(n).ok() }
}

/// A span of time above 0 in seconds, or with m, h, d.
#[must_use]
pub fn seconds(text: &str) -> Option<u64> {
    let (digits, each) = match text.char_indices().next_back()? {
        (at, 's') => (text.get(..at)?, 1),
        (at, 'm') => (text.get(..at)?, 60),
        (at, 'h') => (text.get(..at)?, 3600),
        (at, 'd') => (text.get(..at)?, 86400),
        _ => (text, 1),
    };
    u64::from(int_from(digits, 1)?).checked_mul(each)
}

/// A size: KiB, or with a suffix K, M, G, T (powers of 1024) or s (sectors). Above 0.
///
/// Past 2^63 sectors is `None` too, where the reference wraps round (docs/compat.md).
#[must_use]
pub fn size(text: &str) -> Option<Sectors> {
    let (digits, sectors_each) = match text.char_indices().next_back()? {
        (at, 'K') => (text.get(..at)?, 2),
        (at, 'M') => (text.get(..at)?, 2 << 10),
        (at, 'G') => (text.get(..at)?, 2 << 20),
        (at, 'T') => (text.get(..at)?, 2 << 30),
        (at, 's') => (text.get(..at)?, 1),
        _ => (text, 2),
    };
    let n = number(digits).filter(|n| *n > 0)?;
    let sectors = n.checked_mul(sectors_each)?;
    u64::try_from(sectors).ok().map(Sectors)
}

/// A device with its data offset behind a colon, as `--data-offset=variable` has them. The last colon counts, and only with
/// a size behind it: names in /dev/disk/by-path have colons too.
#[must_use]
pub fn device_and_offset(word: &OsStr) -> (OsString, Option<Sectors>) {
    let split = word.to_str().and_then(|w| w.rsplit_once(':')).and_then(|(device, tail)| Some((device, size(tail)?)));
    match split {
        Some((device, offset)) => (device.into(), Some(offset)),
        None => (word.to_owned(), None),
    }
}

/// Smallest `--size` and `--chunk`: 4 KiB.
const SMALLEST: Sectors = Sectors(8);

/// `--size` and `--array-size` have their own checks; this is the one for `--size`.
#[must_use]
pub fn member_size(text: &str) -> Option<Sectors> {
    size(text).filter(|s| *s >= SMALLEST)
}

/// `--chunk`: from 4 KiB to what fits an int in sectors.
#[must_use]
pub fn chunk(text: &str) -> Option<Sectors> {
    member_size(text).filter(|s| i32::try_from(s.0).is_ok())
}

/// `--bitmap-chunk`: a power of two of bytes, in KiB with suffix, at most what fits in 31 bits of sectors.
#[must_use]
pub fn bitmap_chunk(text: &str) -> Option<Sectors> {
    let sectors = size(text)?;
    let bytes = sectors.0.checked_mul(SECTOR_BYTES)?;
    (bytes >= 1024 && bytes.is_power_of_two() && i32::try_from(sectors.0 - 1).is_ok()).then_some(sectors)
}

/// `--level` on the command line: names, or the plain digits of the redundant levels.
#[must_use]
pub fn level(text: &str) -> Option<Level> {
    Level::parse(text)
}

/// `--consistency-policy`.
#[must_use]
pub fn policy(text: &str) -> Option<ConsistencyPolicy> {
    Some(match text {
        "resync" => ConsistencyPolicy::Resync,
        "bitmap" => ConsistencyPolicy::Bitmap,
        "journal" => ConsistencyPolicy::Journal,
        "ppl" => ConsistencyPolicy::Ppl,
        _ => return None,
    })
}

/// The words of `--update`, in the order in which the reference lists them.
pub const UPDATES: &[&str] = &[
    "name",
    "ppl",
    "no-ppl",
    "bitmap",
    "no-bitmap",
    "sparc2.2",
    "super-minor",
    "summaries",
    "resync",
    "uuid",
    "homehost",
    "home-cluster",
    "nodes",
    "devicesize",
    "bbl",
    "no-bbl",
    "force-no-bbl",
    "metadata",
    "revert-reshape",
    "layout-original",
    "layout-alternate",
    "layout-unspecified",
    "byteorder",
];

/// Ours, of assemble mode: not in the reference's list.
pub const OUR_UPDATES: &[&str] = &["bitmap=none", "bitmap=internal", "bitmap=lockless", "no-logical-block-size"];

/// A version of Linux: `6.1`, `6.1.0-31-amd64`.
#[must_use]
pub fn kernel(word: &str) -> Option<(u32, u32)> {
    let mut numbers = word.split(['.', '-']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Those of them that `--update-subarray` takes.
pub const SUBARRAY_UPDATES: &[&str] = &["name", "ppl", "no-ppl", "bitmap", "no-bitmap"];
/// Those of them that `--re-add` takes.
pub const RE_ADD_UPDATES: &[&str] = &["devicesize", "bbl", "no-bbl", "force-no-bbl"];

/// The list as the reference prints it: five words to a line, each line begun with a tab; without the last line end.
#[must_use]
pub fn update_list(words: &[&str]) -> String {
    let mut out = String::from("\t");
    for (i, word) in words.iter().enumerate() {
        out.push_str(&format!("'{word}', "));
        if (i + 1) % 5 == 0 {
            out.push_str("\n\t");
        }
    }
    if !words.len().is_multiple_of(5) {
        out.push('\n');
    }
    out.push('\r'); // the reference does
    out
}
