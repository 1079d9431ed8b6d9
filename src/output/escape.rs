//! Words from metadata that a hostile device may have written: names of arrays.

use std::fmt::Write;

/// For `--export` and `ARRAY` lines: one word that neither a line reader, a shell that sources it, nor the parser of
/// mdadm.conf takes for anything else. What is not plainly harmless becomes `\xHH`, byte by byte.
#[must_use]
pub fn word(raw: &[u8]) -> String {
    escape(raw, |c| !c.is_ascii() && c.is_alphanumeric() || c.is_ascii_alphanumeric() || "_.:/+-=@,%^".contains(c))
}

/// For text that a person reads: control characters, and bytes that are not UTF-8, become `\xHH`, so that a name cannot
/// add lines or move the cursor.
#[must_use]
pub fn text(raw: &[u8]) -> String {
    escape(raw, |c| {
        !c.is_control()
            && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    })
}

fn escape(raw: &[u8], keep: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(raw.len());
    for part in raw.utf8_chunks() {
        for c in part.valid().chars() {
            if keep(c) {
                out.push(c);
            } else {
                let mut buf = [0u8; 4];
                hex(&mut out, c.encode_utf8(&mut buf).as_bytes());
            }
        }
        hex(&mut out, part.invalid());
    }
    out
}

fn hex(out: &mut String, bytes: &[u8]) {
    for b in bytes {
        // Writing to a String does not fail.
        let _ = write!(out, "\\x{b:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_stay_as_they_are() {
        for name in ["host1:v1.0", "md_d0", "a-b+c@d,e", "größe", "127"] {
            assert_eq!((word(name.as_bytes()), text(name.as_bytes())), (name.into(), name.into()));
        }
    }

    #[test]
    fn nothing_that_ends_a_line_or_a_word_or_means_something_to_a_shell_survives_in_a_word() {
        let hostile = (0u8..=127).collect::<Vec<_>>();
        let got = word(&hostile);
        assert!(!got.contains([
            '\n', ' ', '\t', '"', '\'', '$', '`', ';', '&', '|', '<', '>', '(', ')', '*', '?', '~', '#', '!', '\0'
        ]));
        assert_eq!(word(b"a\nMD_X=$(ls)"), "a\\x0aMD_X=\\x24\\x28ls\\x29");
        assert_eq!(word(b"\xff\xc3"), "\\xff\\xc3");
    }

    #[test]
    fn text_keeps_spaces_and_quotes_but_no_control_character() {
        assert_eq!(text(b"a 'b' \"c\" $d"), "a 'b' \"c\" $d");
        assert_eq!(text(b"a\nb\x1b[2Jc\x7f\xff"), "a\\x0ab\\x1b[2Jc\\x7f\\xff");
    }
}
