//! Sizes for people, as the reference prints them: `24.12 MB`, and how it rounds.

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;
const MB: u64 = 1_000_000;
const GB: u64 = 1_000_000_000;
const TB: u64 = 1_000_000_000_000;

/// Below this the reference prints no size for people at all.
const SMALLEST: u64 = 5000 * 1024;

/// Units of [`size_brief`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    /// MiB, GiB, TiB: powers of 1024.
    Iec,
    /// MB, GB, TB: powers of 1000.
    Decimal,
}

/// Hundredths of `unit` in `bytes`, rounded half up; in wrapping arithmetic where the reference wraps.
fn hundredths(bytes: u64, unit: u64, binary: bool) -> u64 {
    let doubled = if binary {
        u64::try_from(u128::from(bytes) * 200 / u128::from(unit)).unwrap_or(u64::MAX)
    } else {
        bytes / (unit / 200)
    };
    doubled.saturating_add(1) / 2
}

fn point(hundredths: u64) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// The binary and decimal unit that fit, with their names.
fn units(bytes: u64) -> (u64, &'static str, u64, &'static str) {
    match bytes {
        b if b < 2 * GIB => (MIB, "MiB", MB, "MB"),
        b if b < 2 * TIB => (GIB, "GiB", GB, "GB"),
        _ => (TIB, "TiB", TB, "TB"),
    }
}

/// ` (23.98 MiB 25.15 MB)`, with the leading space; nothing below 5000 KiB.
#[must_use]
pub fn size(bytes: u64) -> String {
    if bytes < SMALLEST || bytes > i64::MAX as u64 {
        return String::new();
    }
    let (bin, bin_name, dec, dec_name) = units(bytes);
    format!(" ({} {bin_name} {} {dec_name})", point(hundredths(bytes, bin, true)), point(hundredths(bytes, dec, false)))
}

/// `23.98MiB` or `25.15MB`; `0.00KiB`-like small sizes are nothing, as in [`size`].
#[must_use]
pub fn size_brief(bytes: u64, prefix: Prefix) -> String {
    if bytes < SMALLEST {
        return String::new();
    }
    let (bin, bin_name, dec, dec_name) = units(bytes);
    match prefix {
        Prefix::Iec => format!("{}{bin_name}", point(hundredths(bytes, bin, true))),
        Prefix::Decimal => format!("{}{dec_name}", point(hundredths(bytes, dec, false))),
    }
}
