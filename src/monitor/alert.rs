//! Who is told: stdout, syslog, the program, the mail. Program and mail run one after the other beside the watching, so
//! that one that hangs keeps nothing from being seen.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::daemon;
use super::message::Told;
use super::state::{Priority, What};
use crate::cmd::print::{complain, out, report};
use crate::error::reason;
use crate::kernel::clock;
use crate::kernel::process::start;
use crate::time::asctime;

/// The mail program, as in the reference.
const SENDMAIL: &str = "/usr/sbin/sendmail";
/// A program or the mail program is ended after this.
const LIMIT: Duration = Duration::from_secs(60);
/// Where syslog listens.
const SYSLOG: &str = "/dev/log";

/// Whom to tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Whom {
    /// `--mail`, MAILADDR
    pub mail: Option<String>,
    /// MAILFROM
    pub mail_from: Option<String>,
    /// `--program`, PROGRAM
    pub program: Option<String>,
    /// `--syslog`, or nobody else is there to be told.
    pub syslog: bool,
    /// JSON lines on stdout.
    pub json: bool,
    /// It is said of a TestMessage that it went out.
    pub reports_tests: bool,
}

/// Tells of events.
#[derive(Debug, Default)]
pub struct Alerts {
    queue: Option<Sender<(Whom, Told)>>,
    worker: Option<JoinHandle<()>>,
}

impl Alerts {
    /// Tells of one event.
    pub fn tell(&mut self, whom: &Whom, told: Told) {
        if whom.json {
            report(&told.json());
        } else {
            out(&format!("mdadm: {}\n", told.line()));
        }
        told.remarks().iter().for_each(complain);
        if whom.syslog {
            syslog(told.event.what.priority(), &told.line());
            told.remarks().iter().for_each(|r| syslog(told.event.what.priority(), r));
        }
        if whom.program.is_none() && !(whom.mail.is_some() && told.event.what.is_mailed()) {
            return;
        }
        let queue = self.queue.get_or_insert_with(|| {
            let (queue, jobs) = channel::<(Whom, Told)>();
            let mut teller = Teller::default();
            let mut tell = move |(w, t): (Whom, Told)| teller.tell(&w, &t, &mut |line| complain(line));
            self.worker = Some(std::thread::spawn(move || jobs.into_iter().for_each(&mut tell)));
            queue
        });
        // The worker ends with the queue only.
        let _ = queue.send((whom.clone(), told));
    }

    /// Waits so long at most for programs and mails. systemd's watchdog is fed meanwhile.
    pub fn finish_within(&mut self, limit: Duration) {
        let (start, watchdog) = (Instant::now(), daemon::watchdog());
        let (mut fed, mut pause) = (start, Duration::from_millis(1));
        self.queue = None;
        while self.worker.as_ref().is_some_and(|w| !w.is_finished()) && start.elapsed() < limit {
            if watchdog.is_some_and(|often| fed.elapsed() >= often) {
                daemon::notify("WATCHDOG=1");
                fed = Instant::now();
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    /// Waits until all programs and mails are through: each has its limit.
    pub fn finish(&mut self) {
        self.finish_within(Duration::MAX);
    }
}

/// What the worker knows.
#[derive(Debug)]
struct Teller {
    sendmail: &'static str,
    limit: Duration,
    unsent_mails: u64,
}

impl Default for Teller {
    fn default() -> Teller {
        Teller { sendmail: SENDMAIL, limit: LIMIT, unsent_mails: 0 }
    }
}

impl Teller {
    /// Runs the program and mails; `say` gets what there is to say of that.
    fn tell(&mut self, whom: &Whom, told: &Told, say: &mut impl FnMut(String)) {
        if let Some(program) = &whom.program {
            let mut command = Command::new(program);
            command.args(told.arguments()).envs(told.environment());
            let program = program.escape_debug();
            match run(heard(command.stdin(Stdio::null()), whom), "", self.limit) {
                Ok(()) => delivered(whom, told, &format!("{program} was run"), say),
                Err(why) => say(format!("{program}: {} of {}: {why}", told.event.what.name(), told.array())),
            }
        }
        if let Some(to) = whom.mail.as_ref().filter(|_| told.event.what.is_mailed()) {
            self.mail(whom, to, told, say);
        }
    }

    fn mail(&mut self, whom: &Whom, to: &str, told: &Told, say: &mut impl FnMut(String)) {
        let (from, sendmail) = (whom.mail_from.as_deref(), self.sendmail);
        let mut command = Command::new(sendmail);
        command.arg("-t").args(from.and_then(address).map(|a| format!("-f{a}")));
        let to_shown = to.escape_debug();
        match run(heard(command.stdin(Stdio::piped()), whom), &told.mail(from, to), self.limit) {
            Ok(()) => {
                if self.unsent_mails > 0 {
                    say(format!("mail is sent again; {} were not", self.unsent_mails));
                    self.unsent_mails = 0;
                }
                delivered(whom, told, &format!("{sendmail} took the mail to {to_shown}"), say);
            }
            Err(why) => {
                self.unsent_mails += 1;
                if self.unsent_mails == 1 {
                    say(format!(
                        "mail to {to_shown} was not sent: {sendmail}: {why}; further ones are tried and counted, and not reported"
                    ));
                }
            }
        }
    }
}

fn delivered(whom: &Whom, told: &Told, how: &str, say: &mut impl FnMut(String)) {
    if whom.reports_tests && told.event.what == What::TestMessage {
        say(format!("TestMessage of {}: {how}", told.array()));
    }
}

/// Where stdout is the events' alone, what a program prints goes to stderr.
fn heard<'a>(command: &'a mut Command, whom: &Whom) -> &'a mut Command {
    let elsewhere = || io::stderr().as_fd().try_clone_to_owned().map_or_else(|_| Stdio::null(), Stdio::from);
    if whom.json { command.stdout(elsewhere()) } else { command }
}

/// The bare address of a From line, for the envelope.
fn address(from: &str) -> Option<&str> {
    let inner = from.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(inner, _)| inner);
    let word = inner.or_else(|| from.split_whitespace().find(|w| w.contains('@')));
    word.or_else(|| from.split_whitespace().next()).filter(|a| !a.is_empty() && !a.starts_with('-'))
}

/// Runs a program to its end, or to that of its time.
fn run(command: &mut Command, input: &str, limit: Duration) -> Result<(), String> {
    let mut child = start(command).map_err(|e| format!("cannot be run: {}", reason(&e)))?;
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_owned();
        // One that reads nothing must not hold us up past its time.
        std::thread::spawn(move || {
            let _ = stdin.write_all(input.as_bytes());
        });
    }
    let status = wait(&mut child, limit).map_err(|e| reason(&e))?;
    match status {
        None => Err(format!("was ended: it ran for {} seconds", limit.as_secs())),
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(status.to_string()),
    }
}

/// Its status; none where it had to be killed.
fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<std::process::ExitStatus>> {
    let end = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            // With all that it started.
            let group = i32::try_from(child.id()).map(Pid::from_raw).map_err(io::Error::other)?;
            killpg(group, Signal::SIGKILL)?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// One line to syslog, facility daemon. Nobody listens: it is lost, as with syslog(3).
pub fn syslog(priority: Priority, line: &str) {
    let now = super::now_seconds();
    let time = clock::local(i64::try_from(now).unwrap_or(0)).map(|t| asctime(&t)).unwrap_or_default();
    // "Sun Aug  7 21:15:49 2022" without the day of the week and the year
    let time = time.get(4..19).unwrap_or_default();
    let text = format!("<{}>{time} mdadm[{}]: {line}", number(priority), std::process::id());
    let _ = UnixDatagram::unbound().and_then(|socket| socket.send_to(text.as_bytes(), SYSLOG));
}

/// Facility and priority as syslog counts them.
fn number(priority: Priority) -> u8 {
    const DAEMON: u8 = 3 << 3;
    DAEMON
        | match priority {
            Priority::Critical => 2,
            Priority::Warning => 4,
            Priority::Info => 6,
        }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::monitor::state::{Array, Event, Subject};

    #[test]
    fn each_event_has_the_priority_of_the_manual_and_those_that_are_bad_are_mailed() {
        let m = || "sda".to_owned();
        for (what, name, severity, syslog, mailed) in [
            (What::DeviceDisappeared, "DeviceDisappeared", "critical", 26, false),
            (What::WrongLevel, "DeviceDisappeared", "critical", 26, false),
            (What::RebuildStarted, "RebuildStarted", "warning", 28, false),
            (What::Rebuild(5), "Rebuild05", "warning", 28, false),
            (What::RebuildFinished(None), "RebuildFinished", "warning", 28, false),
            (What::RebuildFinished(Some(8)), "RebuildFinished", "warning", 28, false),
            (What::Fail(m()), "Fail", "critical", 26, true),
            (What::FailSpare(m()), "FailSpare", "critical", 26, true),
            (What::SpareActive(m()), "SpareActive", "info", 30, false),
            (What::NewArray, "NewArray", "info", 30, false),
            (What::DegradedArray, "DegradedArray", "critical", 26, true),
            (What::MoveSpare(m()), "MoveSpare", "info", 30, false),
            (What::SparesMissing, "SparesMissing", "warning", 28, true),
            (What::TestMessage, "TestMessage", "info", 30, true),
        ] {
            let priority = what.priority();
            let is = (what.name(), priority.word(), number(priority), what.is_mailed());
            assert_eq!(is, (name.to_owned(), severity, syslog, mailed));
        }
    }

    fn script(path: &std::path::Path, text: &str) -> &'static str {
        fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned().leak()
    }

    #[test]
    fn what_hangs_or_fails_is_said_and_keeps_no_later_event_from_program_and_mail() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let shown = |name: &str| at(name).display().to_string();
        let hangs = format!("[ \"$1\" != Fail ] || exec sleep 1000\necho \"$*\" >>{}", shown("calls"));
        let mail = format!("[ ! -e {0} ] || exit 75\ncat >>{1}", shown("broken"), shown("mails"));
        let program = script(&at("program"), &hangs);
        let sendmail = script(&at("sendmail"), &mail);
        fs::write(at("broken"), "").unwrap();
        let whom = Whom { program: Some(program.into()), mail: Some("root".into()), ..Whom::default() };
        let mut teller = Teller { sendmail, limit: Duration::from_secs(3), unsent_mails: 0 };
        let mut tell = |what: What| {
            let subject = Subject { name: "/dev/md0".into(), devname: "md0".into(), uuid: None };
            let event = Event { what, subject, array: Array::default() };
            let (mdstat, host) = (String::new(), "h".into());
            let told = Told { event, member: None, missing: Vec::new(), mdstat, seconds: 0, host };
            let mut said = Vec::new();
            teller.tell(&whom, &told, &mut |line| said.push(line));
            said
        };
        let unsent = format!(
            "mail to root was not sent: {sendmail}: exit status: 75; further ones are tried and counted, and not reported"
        );
        let hung = format!("{program}: Fail of /dev/md0: was ended: it ran for 3 seconds");
        assert_eq!(tell(What::Fail("sda".into())), [hung, unsent.clone()]);
        assert_eq!(tell(What::NewArray), [""; 0]);
        assert_eq!(tell(What::DegradedArray), [""; 0]);
        assert!(!at("mails").exists());
        fs::remove_file(at("broken")).unwrap();
        assert_eq!(tell(What::SparesMissing), ["mail is sent again; 2 were not"]);
        assert_eq!(tell(What::TestMessage), [""; 0]);
        assert_eq!(
            fs::read_to_string(at("calls")).unwrap(),
            "NewArray /dev/md0\nDegradedArray /dev/md0\nSparesMissing /dev/md0\nTestMessage /dev/md0\n"
        );
        assert_eq!(fs::read_to_string(at("mails")).unwrap().matches("\nSubject: ").count(), 2);
        // and it is said again, once it fails anew
        fs::write(at("broken"), "").unwrap();
        assert_eq!(tell(What::SparesMissing), [unsent]);
    }

    #[test]
    fn the_envelope_gets_the_bare_address() {
        for (from, bare) in [
            ("md@host", Some("md@host")),
            ("the monitor <md@host>", Some("md@host")),
            ("monitor md@host", Some("md@host")),
            ("root", Some("root")),
            ("-oQ/tmp", None),
            ("", None),
        ] {
            assert_eq!(address(from), bare, "{from}");
        }
    }

    #[test]
    fn a_program_that_runs_too_long_is_ended_with_its_children() {
        let start = Instant::now();
        let mut shell = Command::new("sh");
        let why = run(shell.args(["-c", "sleep 100 & wait"]), "", Duration::from_millis(50)).unwrap_err();
        assert!(why.starts_with("was ended") && start.elapsed() < Duration::from_secs(20), "{why}");
        assert!(run(Command::new("sh").args(["-c", "exit 3"]), "", LIMIT).unwrap_err().contains('3'));
        assert_eq!(
            run(&mut Command::new("/nowhere"), "", LIMIT),
            Err("cannot be run: No such file or directory".into())
        );
        let mut reads_nothing = Command::new("true");
        assert_eq!(run(reads_nothing.stdin(Stdio::piped()), &"x".repeat(1 << 20), LIMIT), Ok(()));
    }
}
