//! Which files the configuration is read from.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::Host;
use super::conf::{AutoRule, Conf, Problem, auto};
use crate::error::reason;

/// A configuration file is small; more than this is not read.
const FILE_BYTES: u64 = 4 << 20;
/// The files that are looked for, below /etc; the first one that there is counts.
const STANDARD: [&str; 2] = ["mdadm.conf", "mdadm/mdadm.conf"];

/// Reads the configuration: of the file or directory that `--config` names, of none, or of the standard places, as in
/// the reference: /etc/mdadm.conf, else /etc/mdadm/mdadm.conf, then the files `*.conf` of the directory with `.d` behind the
/// name of that file, or /etc/mdadm.conf.d without one.
///
/// What the environment variable MDADM_CONF_AUTO holds comes before the words of the AUTO line.
///
/// What cannot be read is one of the problems, and the work goes on without it, as in the reference (which says nothing).
#[must_use]
pub fn read(host: &Host, named: Option<&str>) -> Conf {
    let mut conf = Conf::default();
    match named {
        Some("none" | "partitions") => {}
        Some(name) => {
            let path = Path::new(name);
            let read = if path.is_dir() { directory(&mut conf, path) } else { file(&mut conf, path) };
            if let Err(e) = read {
                conf.problems.push(unreadable(path, &e));
            }
        }
        None => standard(&mut conf, host),
    }
    if let Some(words) = host.conf_auto.as_deref() {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        let mut rules: Vec<AutoRule> = auto(&words, &mut Vec::new());
        rules.extend(conf.auto.take().unwrap_or_default());
        conf.auto = Some(rules);
    }
    conf
}

fn unreadable(path: &Path, e: &io::Error) -> Problem {
    let what = format!("cannot be read: {}; going on without it", reason(e));
    Problem { file: path.display().to_string(), line: None, what }
}

/// A file or directory that is not there is no problem.
fn standard(conf: &mut Conf, host: &Host) {
    let tell = |conf: &mut Conf, path: &Path, e: io::Error| {
        if e.kind() != io::ErrorKind::NotFound {
            conf.problems.push(unreadable(path, &e));
        }
    };
    let mut found = host.etc.join("mdadm.conf");
    for path in STANDARD.map(|name| host.etc.join(name)) {
        match file(conf, &path) {
            Ok(()) => {
                found = path;
                break;
            }
            Err(e) => tell(conf, &path, e),
        }
    }
    found.as_mut_os_string().push(".d");
    if let Err(e) = directory(conf, &found) {
        tell(conf, &found, e);
    }
}

fn directory(conf: &mut Conf, folder: &Path) -> io::Result<()> {
    let is_one = |p: &PathBuf| {
        let name = p.file_name().unwrap_or_default().as_encoded_bytes();
        name.ends_with(b".conf") && !name.starts_with(b".") && p.is_file()
    };
    let mut files: Vec<PathBuf> = fs::read_dir(folder)?.filter_map(|e| Some(e.ok()?.path())).filter(is_one).collect();
    files.sort();
    for path in files {
        if let Err(e) = file(conf, &path) {
            conf.problems.push(unreadable(&path, &e));
        }
    }
    Ok(())
}

fn file(conf: &mut Conf, path: &Path) -> io::Result<()> {
    let mut text = Vec::new();
    fs::File::open(path)?.take(FILE_BYTES).read_to_end(&mut text)?;
    conf.add(&path.display().to_string(), &text);
    Ok(())
}
