//! Table, help, manual page and completions hold the same options.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use clap_complete::{Shell, generate_to};
use mdadm::cli::mode::Mode;
use mdadm::cli::request::SavedMetadata;
use mdadm::cli::table::{Arity, TABLE};
use mdadm::cli::{Request, commands, parse};

fn here(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Long options that exist.
fn existing() -> BTreeSet<String> {
    TABLE.iter().filter(|o| !o.later).map(|o| o.long.to_owned()).collect()
}

/// Every `--word` in a text. A word inside another, as in `---`, does not count.
fn long_options(text: &str) -> BTreeSet<String> {
    let name =
        |s: &str| -> String { s.chars().take_while(|c| c.is_ascii_alphanumeric() || ".-".contains(*c)).collect() };
    text.match_indices("--")
        .filter(|(at, _)| !text[..*at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '-'))
        .map(|(at, _)| name(&text[at + 2..]).trim_end_matches(['.', '-']).to_owned())
        .filter(|n| !n.is_empty())
        .collect()
}

fn help(words: &[&str]) -> String {
    let words: Vec<_> = words.iter().map(Into::into).collect();
    match parse(&words) {
        Ok(Request::Show(text)) => text,
        other => panic!("{words:?} is no help: {other:?}"),
    }
}

#[test]
fn the_helps_together_show_exactly_the_options_that_exist() {
    let of = |mode: &Mode| long_options(&help(&[&format!("--{mode}"), "-h"]));
    let all: BTreeSet<String> = commands::BUILT.iter().flat_map(of).collect();
    assert_eq!(all, existing());
}

#[test]
fn the_help_of_a_mode_shows_what_is_valid_in_it() {
    for mode in commands::BUILT {
        let shown = long_options(&help(&[&format!("--{mode}"), "--help"]));
        for opt in TABLE.iter().filter(|o| commands::exists(o, mode)) {
            assert!(shown.contains(opt.long), "{mode}: {}", opt.long);
        }
    }
}

#[test]
fn the_manual_page_names_exactly_the_options_that_exist() {
    let page = fs::read_to_string(here("man/mdadm.8")).unwrap();
    let page = page.replace("\\-", "-");
    // What is to come, and options of other programs, stand in the page too: between these marks.
    let (mut told, mut counts) = (String::new(), true);
    for line in page.lines() {
        match line {
            ".\\\" not options of this version" => counts = false,
            ".\\\" options of this version" => counts = true,
            _ if counts => told.push_str(&format!("{line}\n")),
            _ => {}
        }
    }
    assert_eq!(long_options(&told), existing());
}

#[test]
fn every_letter_in_the_manual_page_stands_with_its_option() {
    let page = fs::read_to_string(here("man/mdadm.8")).unwrap().replace("\\-", "-").replace('"', "");
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ").replace(" ,", ",");
    for opt in TABLE.iter().filter(|o| !o.later) {
        if let Some((letter, _)) = opt.short {
            let together = format!("-{letter}, --{}", opt.long);
            assert!(page.contains(&together), "no {together}");
        }
    }
}

#[test]
fn the_completions_are_those_of_the_table() {
    let fresh = tempfile::tempdir().unwrap();
    for (shell, name) in [(Shell::Bash, "mdadm.bash"), (Shell::Zsh, "_mdadm"), (Shell::Fish, "mdadm.fish")] {
        let made = generate_to(shell, &mut commands::whole(), "mdadm", fresh.path()).unwrap();
        let kept = here("completions").join(name);
        let (made, kept) = (fs::read_to_string(made).unwrap(), fs::read_to_string(kept).unwrap());
        assert!(made == kept, "{name} is stale: cargo run --example completions completions");
        for long in existing() {
            let here = if shell == Shell::Fish { format!("-l {long} ") } else { format!("--{long}") };
            assert!(made.contains(&here), "{name} lacks {long}");
        }
    }
}

#[test]
fn options_of_ours_must_be_typed_in_full() {
    for opt in TABLE.iter().filter(|o| o.ours) {
        for cut in 1..opt.long.len() {
            let typed = &opt.long[..cut];
            let glued = if opt.arity == Arity::Value { "=x" } else { "" };
            let read = parse(&[format!("--{typed}{glued}").into(), "--detail".into(), "/dev/md0".into()]);
            // What it would be without ours: the reference's option, or none.
            let stands = TABLE.iter().filter(|o| !o.ours).any(|o| o.long.starts_with(typed));
            assert!(stands || read.is_err(), "{typed} of {}", opt.long);
            let ours = |c: &mdadm::cli::request::Common| c.json || c.plan || c.saved_metadata != SavedMetadata::Default;
            assert!(!matches!(&read, Ok(Request::Misc(r)) if ours(&r.common)), "{typed} of {}", opt.long);
        }
    }
}
