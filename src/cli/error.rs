//! What is wrong with a command line: the text to show and the exit status.

use crate::error::Exit;

/// The two lines that the reference prints on wrong usage.
pub const USAGE: &str = "Usage: mdadm --help\n  for help\n";

/// A command line that stops here: it asks for nothing that can be done, or only for a text (`--version`, `--update=?`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CliError {
    /// For stdout, whole. Notes and lists that were asked for.
    pub out: String,
    /// For stderr, whole: with prefixes and line ends.
    pub text: String,
    /// The exit status of the command.
    pub exit: Exit,
}

impl CliError {
    /// One line behind `mdadm: `, status 2. The text may hold further lines.
    pub fn new(line: impl AsRef<str>) -> Self {
        CliError { out: String::new(), text: format!("mdadm: {}\n", line.as_ref()), exit: Exit::USAGE }
    }

    /// What getopt complains about: the line and the usage.
    pub fn getopt(line: impl AsRef<str>) -> Self {
        CliError { out: String::new(), text: format!("mdadm: {}\n{USAGE}", line.as_ref()), exit: Exit::USAGE }
    }

    /// The usage alone: nothing was asked for.
    #[must_use]
    pub fn usage() -> Self {
        CliError { out: String::new(), text: USAGE.to_owned(), exit: Exit::USAGE }
    }

    /// Not an error: a list that was asked for, on stdout, status 0; the rest of the line is not looked at.
    #[must_use]
    pub fn shown(out: String) -> Self {
        CliError { out, text: String::new(), exit: Exit::OK }
    }

    /// The same with status 1: understood, but cannot be.
    #[must_use]
    pub fn failed(mut self) -> Self {
        self.exit = Exit::FAIL;
        self
    }

    /// Adds a line behind `mdadm: `.
    #[must_use]
    pub fn also(mut self, line: impl AsRef<str>) -> Self {
        self.text.push_str("mdadm: ");
        self.text.push_str(line.as_ref());
        self.text.push('\n');
        self
    }
}
