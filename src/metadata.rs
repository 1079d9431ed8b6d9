//! Metadata formats: the words of `--metadata` and of mdadm.conf.
#![forbid(unsafe_code)]

/// A metadata format named by a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metadata {
    /// 0, 0.90, 0.9, 0.91 (a reshape of 0.90)
    V090,
    /// 1.0
    V1_0,
    /// 1.1
    V1_1,
    /// 1.2, "default"
    V1_2,
    /// "1": 1.2 on create, any 1.x on reading and assembling
    V1Default,
    /// ddf
    Ddf,
    /// imsm
    Imsm,
}

impl Metadata {
    /// Reads the word. Zeros in front do not matter (`--detail` of old versions printed them).
    #[must_use]
    pub fn parse(text: &str) -> Option<Metadata> {
        let mut word = text;
        while let Some(rest) = word.strip_prefix('0').filter(|r| r.starts_with(|c: char| c.is_ascii_digit())) {
            word = rest;
        }
        Some(match word {
            "0" | "0.90" | "0.9" | "0.91" => Metadata::V090,
            "1.0" | "1.00" => Metadata::V1_0,
            "1.1" | "1.01" => Metadata::V1_1,
            "1.2" | "1.02" | "default" => Metadata::V1_2,
            "1" => Metadata::V1Default,
            "ddf" => Metadata::Ddf,
            "imsm" => Metadata::Imsm,
            _ => return None,
        })
    }
}
