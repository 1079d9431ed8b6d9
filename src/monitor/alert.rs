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
use crate::kernel::process::with_all_signals;
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
            self.worker = Some(std::thread::spawn(move || jobs.into_iter().for_each(|(w, t)| teller.tell(&w, &t))));
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

/// What the worker remembers.
#[derive(Debug, Default)]
struct Teller {
    unsent_mails: u64,
}

impl Teller {
    fn tell(&mut self, whom: &Whom, told: &Told) {
        if let Some(program) = &whom.program {
            let mut command = Command::new(program);
            command.args(told.arguments()).envs(told.environment());
            let program = program.escape_debug();
            match run(heard(command.stdin(Stdio::null()), whom), "", LIMIT) {
                Ok(()) => Self::delivered(whom, told, &format!("{program} was run")),
                Err(why) => complain(format!("{program}: {} of {}: {why}", told.event.what.name(), told.array())),
            }
        }
        if let Some(to) = whom.mail.as_ref().filter(|_| told.event.what.is_mailed()) {
            self.mail(whom, to, told);
        }
    }

    fn delivered(whom: &Whom, told: &Told, how: &str) {
        if whom.reports_tests && told.event.what == What::TestMessage {
            complain(format!("TestMessage of {}: {how}", told.array()));
        }
    }

    fn mail(&mut self, whom: &Whom, to: &str, told: &Told) {
        let from = whom.mail_from.as_deref();
        let mut command = Command::new(SENDMAIL);
        command.arg("-t").args(from.and_then(address).map(|a| format!("-f{a}")));
        match run(heard(command.stdin(Stdio::piped()), whom), &told.mail(from, to), LIMIT) {
            Ok(()) => {
                if self.unsent_mails > 0 {
                    complain(format!("mail is sent again; {} were not", self.unsent_mails));
                    self.unsent_mails = 0;
                }
                Self::delivered(whom, told, &format!("{SENDMAIL} took the mail to {}", to.escape_debug()));
            }
            Err(why) => {
                self.unsent_mails += 1;
                if self.unsent_mails == 1 {
                    let to = to.escape_debug();
                    complain(format!(
                        "mail to {to} was not sent: {SENDMAIL}: {why}; further ones are tried and counted, and not reported"
                    ));
                }
            }
        }
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
    let mut child = with_all_signals(command).spawn().map_err(|e| format!("cannot be run: {}", reason(&e)))?;
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
    const DAEMON: u8 = 3 << 3;
    let severity = match priority {
        Priority::Critical => 2,
        Priority::Warning => 4,
        Priority::Info => 6,
    };
    let now = super::now_seconds();
    let time = clock::local(i64::try_from(now).unwrap_or(0)).map(|t| asctime(&t)).unwrap_or_default();
    // "Sun Aug  7 21:15:49 2022" without the day of the week and the year
    let time = time.get(4..19).unwrap_or_default();
    let text = format!("<{}>{time} mdadm[{}]: {line}", DAEMON | severity, std::process::id());
    let _ = UnixDatagram::unbound().and_then(|socket| socket.send_to(text.as_bytes(), SYSLOG));
}

#[cfg(test)]
mod tests {
    use super::*;

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
