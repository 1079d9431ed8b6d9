//! Errors shared by all layers, and the exit statuses.
#![forbid(unsafe_code)]

use std::fmt;

/// What an error number means, in the words of the C library: `Input/output error` (other crates have words of their own).
#[must_use]
pub fn errno_text(errno: i32) -> String {
    let text = std::io::Error::from_raw_os_error(errno).to_string();
    text.rsplit_once(" (os error ").map_or(text.as_str(), |(words, _)| words).to_owned()
}

/// Why an operation failed, in words without numbers: `Device or resource busy`.
#[must_use]
pub fn reason(e: &std::io::Error) -> String {
    e.raw_os_error().map_or_else(|| e.to_string(), errno_text)
}

/// Exit status of a command, as the reference uses them (mdadm(8), EXIT STATUS, and observed behaviour).
///
/// The same number means different things in different modes, so the type keeps the number and
/// names the ones that have one meaning everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exit(pub u8);

impl Exit {
    /// Done as asked.
    pub const OK: Exit = Exit(0);
    /// Failed, or not found.
    pub const FAIL: Exit = Exit(1);
    /// Wrong usage of the command line; also "already so" in some modes.
    pub const USAGE: Exit = Exit(2);

    /// `--ensure`, `--ensure-absent`: what there is is not what was asked for, and nothing was changed.
    pub const DIFFERS: Exit = Exit(16);

    /// Both statuses in one, bit by bit: what the reference does with several devices where statuses are bits (1 degraded,
    /// 2 failed, 4 missing: 3 is one of each of the first two).
    #[must_use]
    pub fn and(self, other: Exit) -> Exit {
        Exit(self.0 | other.0)
    }

    /// The worse of two statuses: a command on several devices goes on and reports the worst.
    #[must_use]
    pub fn worst(self, other: Exit) -> Exit {
        self.max(other)
    }
}

/// A refusal: nothing was changed, and the text says why and what to do.
///
/// `lines` are printed to stderr, each behind `mdadm: `.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What to print, without the `mdadm: ` prefix and without line ends.
    pub lines: Vec<String>,
    /// The exit status of the command.
    pub exit: Exit,
}

impl Refusal {
    /// A refusal of one line with exit status 1.
    pub fn new(line: impl Into<String>) -> Self {
        Refusal { lines: vec![line.into()], exit: Exit::FAIL }
    }

    /// The same with another exit status.
    #[must_use]
    pub fn with_exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// Adds a line: the next command to try, or what was left.
    #[must_use]
    pub fn hint(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// Adds several lines.
    #[must_use]
    pub fn hints(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.lines.extend(lines);
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_numbers_have_the_words_of_the_c_library() {
        assert_eq!(
            (errno_text(5).as_str(), errno_text(16).as_str()),
            ("Input/output error", "Device or resource busy")
        );
        assert_eq!(errno_text(524), "Unknown error 524");
    }
}
