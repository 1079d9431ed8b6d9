//! Differences that are meant: each names one case and one line, the reason, and the test that shows ours is the better.

/// One of them.
pub struct Difference {
    pub case: &'static str,
    /// The line as the failed case shows it, its sign included.
    pub line: &'static str,
    pub reason: &'static str,
    pub test: &'static str,
}

/// The file: blocks of four lines `case`, `line`, `reason`, `test`, each with its key in front.
pub fn all() -> Vec<Difference> {
    let lines: Vec<&str> =
        include_str!("differences.txt").lines().filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
    lines
        .chunks(4)
        .map(|block| {
            let value = |i: usize, key: &str| {
                let line: &'static str = block.get(i).unwrap_or_else(|| panic!("{block:?}: {key} is missing"));
                line.strip_prefix(key)
                    .and_then(|l| l.strip_prefix(": "))
                    .unwrap_or_else(|| panic!("{key}: expected, not {line}"))
            };
            Difference {
                case: value(0, "case"),
                line: value(1, "line"),
                reason: value(2, "reason"),
                test: value(3, "test"),
            }
        })
        .collect()
}
