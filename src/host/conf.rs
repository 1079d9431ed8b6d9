//! The words of a configuration file (mdadm.conf(5), SYNTAX).

/// The logical lines of a file, each as its words. A line that begins with white space goes on with the one before; a `#` at
/// the start of a word begins a comment; quotes keep white space together and end with the line at the latest.
#[must_use]
pub fn lines(text: &str) -> Vec<Vec<String>> {
    let mut lines: Vec<Vec<String>> = Vec::new();
    for line in text.lines() {
        let found = words(line);
        match lines.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) => last.extend(found),
            _ if found.is_empty() => {}
            _ => lines.push(found),
        }
    }
    lines
}

fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (c, quote) {
            (c, Some(q)) if c == q => quote = None,
            (c, Some(_)) => word.get_or_insert_default().push(c),
            (' ' | '\t', None) => words.extend(word.take()),
            ('#', None) if word.is_none() => break,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Whether a word is this keyword: in any case, and cut short to no less than three letters.
#[must_use]
pub fn is_keyword(word: &str, keyword: &str) -> bool {
    word.len() >= 3 && keyword.get(..word.len()).is_some_and(|k| k.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_on_quotes_hold_together_and_comments_are_left_out() {
        let text = "# c\nPOLICY path=a\n\taction=\"force spare\" # x\n\n type=d'i\"s'k\nA b#c \"\"\nQ 'open\nlast";
        let want: [&[&str]; 4] =
            [&["POLICY", "path=a", "action=force spare", "type=di\"sk"], &["A", "b#c", ""], &["Q", "open"], &["last"]];
        assert_eq!(lines(text), want);
        assert!(lines("").is_empty() && lines(" \n#\n").is_empty());
    }

    #[test]
    fn keywords_may_be_cut_short_and_in_any_case() {
        for word in ["POLICY", "pol", "Polic"] {
            assert!(is_keyword(word, "policy"), "{word}");
        }
        for word in ["po", "policyx", "", "polx"] {
            assert!(!is_keyword(word, "policy"), "{word}");
        }
    }
}
