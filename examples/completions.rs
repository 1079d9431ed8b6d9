//! Writes the shell completions into the folder named on the command line: `cargo run --example completions completions`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use clap_complete::{Shell, generate_to};

fn main() {
    let folder = std::env::args_os().nth(1).expect("the folder to write to");
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let path = generate_to(shell, &mut mdadm::cli::commands::whole(), "mdadm", &folder).unwrap();
        println!("{}", path.display());
    }
}
