//! UUIDs in md's spelling: four groups of eight hexadecimal digits.
#![forbid(unsafe_code)]

use std::fmt;

/// 128 bits in the order in which a v1.x superblock stores them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// The all-zero uuid: "none given".
    pub const ZERO: Uuid = Uuid([0; 16]);

    /// Whether all bits are 0.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Uuid::ZERO
    }

    /// Reads 32 hexadecimal digits with any of `:`, `.`, `-` and space between them, as the reference does
    /// for `--uuid=` and in mdadm.conf. The digits are taken in pairs in the order of the bytes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Uuid> {
        let mut out = [0u8; 16];
        let mut digits = 0usize;
        for c in text.chars() {
            if matches!(c, ':' | '.' | '-' | ' ') {
                continue;
            }
            let d = u8::try_from(c.to_digit(16)?).ok()?;
            let byte = out.get_mut(digits / 2)?;
            *byte = (*byte << 4) | d;
            digits += 1;
        }
        (digits == 32).then_some(Uuid(out))
    }

    /// RFC spelling (8-4-4-4-12), as `/dev/disk/by-id` and JSON show beside md's own.
    #[must_use]
    pub fn hyphenated(&self) -> String {
        uuid::Uuid::from_bytes(self.0).hyphenated().to_string()
    }
}

impl fmt::Display for Uuid {
    /// md's spelling: `01234567:89abcdef:01234567:89abcdef`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, b) in self.0.iter().enumerate() {
            if i > 0 && i % 4 == 0 {
                f.write_str(":")?;
            }
            write!(f, "{b:02x}")?;
        }
        Ok(())
    }
}
