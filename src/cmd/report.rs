//! `--report`: all that somebody who is to help needs to see, in one text. Nothing is written anywhere.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use super::print::{complain, out};
use crate::cli::request::ReportRequest;
use crate::error::{Exit, reason};
use crate::host::Host;
use crate::host::devmap::DevMap;
use crate::host::kernel_log;
use crate::output::escape;
use crate::sysfs::attr;

/// One question may take so long: a device that hangs must not keep the rest back.
const LIMIT: Duration = Duration::from_secs(30);
/// More of a file is not shown.
const FILE_BYTES: u64 = 1 << 16;
/// Lines of the kernel log, the newest.
const LOG_LINES: usize = 500;

const INTRODUCTION: &str = "mdadm --report, to be sent to somebody who helps. It names this host, its disks (serial numbers too), its arrays and the lines of\n\
    mdadm.conf but for mail addresses and programs: look it through, and take out what is nobody's business.\n";

/// Prints the report.
#[must_use]
pub fn run(request: &ReportRequest) -> Exit {
    if request.common.json {
        complain("--report is a text for people: it has no --json");
        return Exit::USAGE;
    }
    let host = Host::default();
    out(INTRODUCTION);
    section("versions");
    out(&format!("mdadm-rs {}, Linux {} {}\n", env!("CARGO_PKG_VERSION"), host.release(), std::env::consts::ARCH));
    file(&host.proc.join("mdstat"));
    configuration(&host, request.common.config.as_deref());
    let devices = DevMap::read(&host);
    let mut members: Vec<PathBuf> = Vec::new();
    for devname in host.sysfs.arrays() {
        let array = host.dev.join(&devname);
        ask("--detail", &array);
        ask("--check=status", &array);
        let md = host.sysfs.array(&devname).md();
        [md.clone(), md.join("bitmap"), md.join("llbitmap")].iter().filter(|d| d.is_dir()).for_each(|d| attributes(d));
        for member in host.sysfs.array(&devname).members() {
            attributes(&md.join(format!("dev-{}", member.name())));
            let dev = member.get(attr::BLOCK_DEV).map(|d| (d.major, d.minor));
            let path = dev.and_then(|dev| devices.path(dev, None));
            members.push(path.map_or_else(|| host.dev.join(member.name()), PathBuf::from));
        }
    }
    members.extend(request.devices.iter().cloned());
    members.sort();
    members.dedup();
    for member in &members {
        ["--examine", "--examine-bitmap", "--examine-badblocks"].iter().for_each(|what| ask(what, member));
    }
    question(&["--examine", "--scan", "-v"].map(OsStr::new));
    question(&[OsStr::new("--health")]);
    kernel(&host, &members);
    Exit::OK
}

fn section(title: &str) {
    out(&format!("\n== {}\n", escape::text(title.as_bytes())));
}

fn file(path: &Path) {
    section(&path.display().to_string());
    match read(path) {
        Ok(text) => out(&text),
        Err(e) => out(&format!("{}\n", reason(&e))),
    };
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The files, without whom mail goes to and what is run.
fn configuration(host: &Host, named: Option<&str>) {
    let standard = ["mdadm.conf", "mdadm/mdadm.conf"].map(|name| host.etc.join(name));
    let files = named.map_or_else(|| standard.to_vec(), |name| vec![PathBuf::from(name)]);
    for path in files {
        let Ok(text) = read(&path) else { continue };
        section(&path.display().to_string());
        for line in text.lines() {
            out(&format!("{}\n", discreet(line)));
        }
    }
}

fn discreet(line: &str) -> &str {
    // Keywords may be shortened to three letters and are of any case.
    let is_private = |key: &str| {
        let key = key.to_ascii_lowercase();
        key.starts_with("mai") || key.starts_with("pro") && !key.starts_with("prob")
    };
    match line.split_whitespace().next() {
        Some(key) if is_private(key) => "(a line about mail or a program)",
        _ => line,
    }
}

/// Each attribute on a line.
fn attributes(dir: &Path) {
    section(&dir.display().to_string());
    let mut names: Vec<PathBuf> = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()).collect();
    names.sort();
    for path in names.iter().filter(|p| p.is_file()) {
        // What can only be written to has nothing to say.
        if let Ok(text) = read(path) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            out(&format!("{name}: {}\n", text.trim_end().replace('\n', " | ")));
        }
    }
}

fn ask(what: &str, path: &Path) {
    question(&[OsStr::new(what), path.as_os_str()]);
}

/// Asks this program, in a process of its own, that may end badly or not at all.
fn question(args: &[&OsStr]) {
    let shown: Vec<_> = args.iter().map(|a| a.to_string_lossy()).collect();
    section(&format!("mdadm {}", shown.join(" ")));
    match answer(args) {
        Ok(text) => out(&text),
        Err(e) => out(&format!("{}\n", reason(&e))),
    };
}

fn answer(args: &[&OsStr]) -> std::io::Result<String> {
    let (mut reader, writer) = std::io::pipe()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(args).stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn()?;
    // Ours of the pipe's ends, or the reader never ends.
    drop(command);
    let (sender, said) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = reader.read_to_end(&mut bytes);
        let _ = sender.send(bytes);
    });
    let Ok(bytes) = said.recv_timeout(LIMIT) else {
        child.kill()?;
        return Ok(format!("(did not end within {} seconds)\n", LIMIT.as_secs()));
    };
    let status = child.wait()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(if status.success() { text } else { format!("{text}({status})\n") })
}

/// What the kernel said of arrays, their members and the disks below.
fn kernel(host: &Host, members: &[PathBuf]) {
    section("kernel log");
    let names: Vec<_> = members.iter().filter_map(|m| m.file_name()).map(|n| n.to_string_lossy()).collect();
    let concerns = |text: &str| {
        text.starts_with("md") || text.contains("raid") || names.iter().any(|n| text.split(is_edge).any(|w| w == n))
    };
    let lines: Vec<_> = kernel_log::history(&host.dev, None).into_iter().filter(|l| concerns(&l.text)).collect();
    for line in lines.iter().skip(lines.len().saturating_sub(LOG_LINES)) {
        out(&format!("{} {}\n", line.at, line.text));
    }
}

fn is_edge(c: char) -> bool {
    !c.is_alphanumeric() && c != '_' && c != '-'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_programs_are_left_out() {
        for (line, kept) in [
            ("MAILADDR someone@example.org", false),
            ("  mailfrom x", false),
            ("PROGRAM /usr/local/bin/page --key=secret", false),
            ("PROBING ddf_extended", true),
            ("ARRAY /dev/md0 UUID=1", true),
            ("", true),
        ] {
            assert_eq!(discreet(line) == line, kept, "{line}");
        }
    }
}
