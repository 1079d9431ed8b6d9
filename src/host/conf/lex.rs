//! The lines and words of mdadm.conf.
//!
//! A word ends at a space, a tab or the end of its line; quotes of one kind keep what is between them together, as far as
//! the line goes. A line that begins with a space or tab goes on with the one before, whatever empty or comment lines are
//! between (seen with the reference).

/// One line of the configuration with those that continue it; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where it begins; the first line is 1.
    pub number: usize,
    /// The keyword.
    pub keyword: String,
    /// The other words.
    pub words: Vec<String>,
}

/// Splits the text. Bytes that are not UTF-8 become U+FFFD.
#[must_use]
pub fn lines(text: &[u8]) -> Vec<Line> {
    let text = String::from_utf8_lossy(text);
    let mut out: Vec<Line> = Vec::new();
    for (raw, number) in text.split('\n').zip(1..) {
        let mut words = words(raw).into_iter();
        match out.last_mut().filter(|_| raw.starts_with([' ', '\t'])) {
            Some(before) => before.words.extend(words),
            None => {
                if let Some(keyword) = words.next() {
                    out.push(Line { number, keyword, words: words.collect() });
                }
            }
        }
    }
    out
}

/// The words of one line, without its comment.
fn words(line: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut chars = line.chars().peekable();
    loop {
        while chars.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
        match chars.peek() {
            None | Some('#') => return out,
            Some(_) => out.push(word(&mut chars)),
        }
    }
}

fn word(chars: &mut std::iter::Peekable<std::str::Chars>) -> String {
    let mut word = String::new();
    let mut quote = None;
    while let Some(c) = chars.next_if(|c| quote.is_some() || !matches!(c, ' ' | '\t')) {
        match quote {
            None if matches!(c, '"' | '\'') => quote = Some(c),
            Some(q) if q == c => quote = None,
            _ => word.push(c),
        }
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: usize, keyword: &str, words: &[&str]) -> Line {
        Line { number, keyword: keyword.into(), words: words.iter().map(|w| (*w).into()).collect() }
    }

    #[test]
    fn words_end_at_blanks_and_lines_and_a_comment_is_a_word_that_begins_so() {
        let text = b"# all\nDEVICE /dev/a#b\t/dev/c #d e\n\nARRAY x";
        assert_eq!(lines(text), [line(2, "DEVICE", &["/dev/a#b", "/dev/c"]), line(4, "ARRAY", &["x"])]);
    }

    #[test]
    fn a_line_that_begins_with_a_blank_goes_on_with_the_one_before_it() {
        let text = b"DEVICE a\n\n# c\n  b # x\n\tc\nARRAY d\n e";
        assert_eq!(lines(text), [line(1, "DEVICE", &["a", "b", "c"]), line(6, "ARRAY", &["d", "e"])]);
        assert_eq!(lines(b"  FOO y\n\tBAR\n"), [line(1, "FOO", &["y", "BAR"])]);
    }

    #[test]
    fn quotes_hold_blanks_and_the_other_quote_together_up_to_the_end_of_the_line() {
        let text = b"ARRAY \"/dev/md/a b\" x'y \"z'w 'it''s' \"\nFOO";
        assert_eq!(lines(text), [line(1, "ARRAY", &["/dev/md/a b", "xy \"zw", "its", ""]), line(2, "FOO", &[])]);
        assert_eq!(lines(b"ARRAY \"/dev/md0 name=x\nFOO y\n").len(), 2);
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_refused_and_no_line_is_empty(text: Vec<u8>) {
            for line in lines(&text) {
                proptest::prop_assert!(line.number >= 1 && line.number <= text.iter().filter(|b| **b == b'\n').count() + 1);
            }
        }
    }
}
