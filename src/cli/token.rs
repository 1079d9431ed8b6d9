//! Words into options and device names, in order, as getopt_long does with a short-option string that begins with `-`.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::error::CliError;
use super::mode::Mode;
use super::table::{self, Arity, Lookup, Opt};

/// How an option was spelled, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelled {
    /// Its full long name.
    Long(&'static str),
    /// A letter.
    Short(char),
}

impl fmt::Display for Spelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Spelled::Long(name) => write!(f, "--{name}"),
            Spelled::Short(letter) => write!(f, "-{letter}"),
        }
    }
}

/// One option or device name.
#[derive(Debug, Clone)]
pub enum Token {
    /// An option.
    Option {
        /// As typed.
        spelled: Spelled,
        /// Its line in the table; `None` for a letter that means nothing in the mode.
        opt: Option<&'static Opt>,
        /// Its value.
        value: Option<OsString>,
    },
    /// Anything that does not begin with `-`, and `-` itself.
    Device(OsString),
}

/// The walk over the words.
#[derive(Debug)]
pub struct Tokens<'a> {
    words: std::slice::Iter<'a, OsString>,
    /// What is left of a word of glued letters.
    letters: &'a [u8],
    /// `--` was seen.
    only_devices: bool,
}

impl<'a> Tokens<'a> {
    /// Starts at the first word behind the program's name.
    #[must_use]
    pub fn new(words: &'a [OsString]) -> Self {
        Tokens { words: words.iter(), letters: &[], only_devices: false }
    }

    /// The next token; `mode` as decided so far tells which letters take a value.
    ///
    /// # Errors
    /// What getopt_long would complain about, in its words.
    pub fn next(&mut self, mode: Option<Mode>) -> Result<Option<Token>, CliError> {
        if let Some((&letter, rest)) = self.letters.split_first() {
            self.letters = rest;
            return self.letter(mode, char::from(letter)).map(Some);
        }
        let Some(word) = self.words.next() else { return Ok(None) };
        let bytes = word.as_bytes();
        if self.only_devices || bytes == b"-" {
            return Ok(Some(Token::Device(word.clone())));
        }
        if bytes == b"--" {
            self.only_devices = true;
            return self.next(mode);
        }
        if let Some(long) = bytes.strip_prefix(b"--") {
            return self.long(long).map(Some);
        }
        match bytes.strip_prefix(b"-") {
            Some(letters) => {
                self.letters = letters;
                self.next(mode)
            }
            None => Ok(Some(Token::Device(word.clone()))),
        }
    }

    fn letter(&mut self, mode: Option<Mode>, letter: char) -> Result<Token, CliError> {
        let Some(arity) = table::short_arity(mode, letter) else {
            return Err(CliError::getopt(format!("invalid option -- '{letter}'")));
        };
        let mut value = None;
        if arity == Arity::Value {
            let glued = std::mem::take(&mut self.letters);
            value = if glued.is_empty() { self.words.next().cloned() } else { Some(os(glued)) };
            if value.is_none() {
                return Err(CliError::getopt(format!("option requires an argument -- '{letter}'")));
            }
        }
        Ok(Token::Option { spelled: Spelled::Short(letter), opt: table::short(mode, letter), value })
    }

    fn long(&mut self, typed: &[u8]) -> Result<Token, CliError> {
        let whole = String::from_utf8_lossy(typed);
        let mut parts = typed.splitn(2, |b| *b == b'=');
        let name = String::from_utf8_lossy(parts.next().unwrap_or_default());
        let glued = parts.next().map(os);
        let opt = match table::long(&name) {
            Lookup::Found(opt) => opt,
            Lookup::Unknown => return Err(CliError::getopt(format!("unrecognized option '--{whole}'"))),
            Lookup::Ambiguous(names) => {
                let list: Vec<String> = names.iter().map(|n| format!("'--{n}'")).collect();
                let list = list.join(" ");
                return Err(CliError::getopt(format!("option '--{whole}' is ambiguous; possibilities: {list}")));
            }
        };
        let value = match (opt.arity, glued) {
            (Arity::Flag, Some(_)) => {
                return Err(CliError::getopt(format!("option '--{}' doesn't allow an argument", opt.long)));
            }
            (Arity::Flag, None) => None,
            (Arity::Optional, glued) => glued,
            (Arity::Value, Some(glued)) => Some(glued),
            (Arity::Value, None) => match self.words.next() {
                Some(word) => Some(word.clone()),
                None => return Err(CliError::getopt(format!("option '--{}' requires an argument", opt.long))),
            },
        };
        Ok(Token::Option { spelled: Spelled::Long(opt.long), opt: Some(opt), value })
    }
}

fn os(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

/// The text of a value, for words and numbers; bytes that are not UTF-8 become U+FFFD and so match nothing.
#[must_use]
pub fn text(value: &OsStr) -> String {
    value.to_string_lossy().into_owned()
}
