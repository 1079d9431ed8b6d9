//! `--udev-rules`: from the POLICY lines of the configuration to a rules file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::apply::{Session, reason};
use super::print::{complain, out};
use crate::cli::request::Common;
use crate::error::Exit;
use crate::host::Host;
use crate::host::conf::{is_keyword, lines};
use crate::output::udev_rules::{Policy, rules};
use crate::plan::file_step::FileStep;
use crate::plan::step::{Plan, Step};

/// The configuration files that are read without `--config`: the first that is there, each with its folder.
const DEFAULTS: [(&str, &str); 2] =
    [("/etc/mdadm.conf", "/etc/mdadm.conf.d"), ("/etc/mdadm/mdadm.conf", "/etc/mdadm/mdadm.conf.d")];

/// Prints the rules, or writes them to a file.
#[must_use]
pub fn run(common: &Common, file: Option<&Path>) -> Exit {
    let mut policies = Vec::new();
    for text in texts(common.config.as_deref()) {
        for line in lines(&text) {
            let Some((keyword, words)) = line.split_first() else { continue };
            let partitions = is_keyword(keyword, "part-policy");
            if partitions || is_keyword(keyword, "policy") {
                let (policy, unknown) = Policy::from_words(partitions, words);
                unknown
                    .iter()
                    .for_each(|w| complain(format!("policy rule {} unrecognised and ignored", w.escape_debug())));
                policies.push(policy);
            }
        }
    }
    let (text, refused) = rules(&policies);
    for word in refused {
        complain(format!("policy rule for '{}' left out: it cannot stand in a udev rule", word.escape_debug()));
    }
    match file {
        None => {
            out(&text);
            Exit::OK
        }
        Some(path) => write(common, path, text),
    }
}

fn write(common: &Common, path: &Path, text: String) -> Exit {
    let file = FileStep::Put { path: path.to_owned(), bytes: text.into_bytes(), what: "udev rules".into() };
    let plan = Plan { steps: vec![Step::File(file)] };
    if common.plan {
        out(&if common.json { format!("{:#}\n", plan.json()) } else { plan.text() });
        return Exit::OK;
    }
    match Session::new(&Host::default(), common).apply(&plan) {
        Ok(()) => Exit::OK,
        Err(e) => {
            complain(e);
            Exit::FAIL
        }
    }
}

/// The texts of all configuration files, in the order in which they are read (mdadm.conf(5), FILES).
fn texts(config: Option<&str>) -> Vec<String> {
    match config {
        Some("none" | "partitions") => Vec::new(),
        Some(path) if Path::new(path).is_dir() => folder(Path::new(path)),
        Some(path) => read(Path::new(path)).into_iter().collect(),
        None => {
            let [(first, first_dir), (second, second_dir)] = DEFAULTS;
            match read(Path::new(first)) {
                Some(text) => std::iter::once(text).chain(folder(Path::new(first_dir))).collect(),
                None => read(Path::new(second)).into_iter().chain(folder(Path::new(second_dir))).collect(),
            }
        }
    }
}

/// The files `*.conf` of a folder by name, hidden ones left out.
fn folder(dir: &Path) -> Vec<String> {
    let is_conf = |p: &PathBuf| {
        let name = p.file_name().unwrap_or_default().as_encoded_bytes();
        name.ends_with(b".conf") && !name.starts_with(b".")
    };
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).filter(is_conf).collect();
    paths.sort();
    paths.iter().filter_map(|p| read(p)).collect()
}

/// A file that is not there is no configuration; one that cannot be read is said.
fn read(path: &Path) -> Option<String> {
    match fs::read(path) {
        Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Err(e) => {
            if e.kind() != io::ErrorKind::NotFound {
                complain(format!("cannot read {}: {}", path.display(), reason(&e)));
            }
            None
        }
    }
}
