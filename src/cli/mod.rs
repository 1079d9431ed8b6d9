//! What was typed, in order, and what it asks for.
//!
//! [`token`] cuts words into options and device names over the one [`table`]; [`line`] collects them, decides the mode and
//! refuses what the mode does not take; [`build`] makes a typed [`request`] of the collected line.
#![forbid(unsafe_code)]
#![deny(clippy::cast_possible_truncation)]

pub mod about;
mod apply;
mod build;
mod check;
pub mod commands;
pub mod error;
pub mod help;
pub mod line;
pub mod mode;
mod operation;
pub mod request;
pub mod table;
pub mod token;
pub mod words;

use std::ffi::OsString;

pub use error::CliError;
pub use request::Request;

/// Reads the words behind the program's name.
///
/// # Errors
/// What is wrong with them, in the reference's words, with its exit status; also texts that end the command (`--version`).
pub fn parse(words: &[OsString]) -> Result<Request, CliError> {
    let line = line::Line::collect(words)?;
    build::request(line)
}
