//! Parse, run, exit. Everything else is in the library.

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let exit = match mdadm::cli::parse(&words) {
        Ok(request) => mdadm::cmd::run(request),
        Err(error) => mdadm::cmd::refuse(&error),
    };
    ExitCode::from(exit.0)
}
