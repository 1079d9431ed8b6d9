//! `--monitor`: watches arrays and tells what happens to them.
//!
//! [`state`] decides, and is pure; [`snapshot`] reads, [`alert`] tells, [`daemon`] is what a daemon needs besides.

pub mod alert;
pub mod daemon;
pub mod memory;
mod message;
mod metrics;
mod share;
pub mod snapshot;
pub mod state;
mod wait;
mod wanted;

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use alert::{Alerts, Whom};
use daemon::Role;
use memory::Members;
use message::{Missing, Told};
use metrics::Metrics;
use snapshot::Reader;
use state::{Event, Rules, Watch};
use wait::{Waiter, Woken};

use crate::cli::request::MonitorRequest;
use crate::cmd::print::{complain, only_stream};
use crate::error::{Exit, reason};
use crate::host::Host;
use crate::host::conf::{Conf, Policy};
use crate::host::conf_files;
use crate::host::devmap::DevMap;
use crate::host::saved;

/// mdadm(8), `--delay`.
const DELAY_SECONDS: u32 = 60;
/// How often an array is looked at that is about to be told of.
const SOON: Duration = Duration::from_secs(1);
/// How long programs and mails may take when the monitor is ended by SIGTERM.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// mdadm(8), RebuildNN.
const INCREMENT: u32 = 20;

/// Seconds since 1970; 0 before that.
#[must_use]
pub fn now_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Watches until nothing is left to watch.
#[must_use]
pub fn run(request: &MonitorRequest, conf: &Conf) -> Exit {
    if let Some(line) = refusal(request) {
        complain(line);
        return Exit::FAIL;
    }
    if request.common.json {
        only_stream();
    }
    let host = Host::default();
    let shares = !request.no_sharing && !request.oneshot;
    let taken = shares && daemon::other_shares(&host);
    if taken && request.common.scan {
        complain("Only one autorebuild process allowed in scan mode, aborting");
        return Exit::FAIL;
    } else if taken {
        complain("Warning: One autorebuild process already running.");
    }
    let whom = whom(request, conf);
    let delay = Duration::from_secs(delay(request, conf).into());
    introduce(request, &whom, delay);
    let mut monitor = Monitor {
        host: &host,
        request,
        whom,
        policies: conf.policies.clone(),
        delay,
        watch: Watch::new(rules(request), wanted::list(&host, request, conf)),
        members: Members::load(Path::new(saved::DEFAULT_DIR)),
        alerts: Alerts::default(),
        metrics: request.metrics.as_deref().map(Metrics::new),
        unhurried: None,
    };
    match background(request) {
        Ok(Role::Daemon) => {}
        Ok(Role::Parent) => return Exit::OK,
        Err(e) => {
            complain(format!("cannot go on in the background: {}", reason(&e)));
            return Exit::FAIL;
        }
    }
    let shares = shares && !taken;
    if shares && let Err(e) = daemon::share(&host) {
        complain(format!("Cannot write {}: {}", host.run.join("autorebuild.pid").display(), reason(&e)));
        return Exit::FAIL;
    }
    let exit = monitor.watch(shares);
    wait::let_end();
    monitor.alerts.finish();
    exit
}

/// What cannot be together, in the reference's words.
fn refusal(request: &MonitorRequest) -> Option<&'static str> {
    if !request.common.scan && request.arrays.is_empty() {
        Some("Cannot monitor: need --scan or at least one device")
    } else if request.pid_file.is_some() && !request.daemonise {
        Some("Cannot write a pid file when not in daemon mode")
    } else if request.common.scan && !request.arrays.is_empty() {
        Some("Devices list and --scan option cannot be combined - not monitoring.")
    } else if request.metrics.as_ref().is_some_and(|m| m.file_name().is_none()) {
        Some("--metrics needs the name of a file")
    } else {
        None
    }
}

fn background(request: &MonitorRequest) -> std::io::Result<Role> {
    if request.daemonise { daemon::daemonise(request.pid_file.as_deref()) } else { Ok(Role::Daemon) }
}

fn rules(request: &MonitorRequest) -> Rules {
    Rules {
        scan: request.common.scan,
        test: request.common.test,
        increment: request.increment.unwrap_or(INCREMENT),
        hurried: false,
    }
}

fn delay(request: &MonitorRequest, conf: &Conf) -> u32 {
    request.delay.or(conf.monitor_delay_seconds).unwrap_or(DELAY_SECONDS)
}

/// Nobody hears a daemon's stdout: where nobody else is told, syslog is.
fn whom(request: &MonitorRequest, conf: &Conf) -> Whom {
    let mail = request.mail.clone().or_else(|| conf.mail_to.clone());
    let program = request.program.clone().or_else(|| conf.program.clone());
    let alone = mail.is_none() && program.is_none() && request.daemonise;
    Whom {
        syslog: request.syslog || alone,
        mail,
        mail_from: conf.mail_from.clone(),
        program,
        json: request.common.json,
        reports_tests: request.common.test && request.common.verbose > 0,
    }
}

/// A monitor at work.
struct Monitor<'a> {
    host: &'a Host,
    request: &'a MonitorRequest,
    whom: Whom,
    policies: Vec<Policy>,
    delay: Duration,
    watch: Watch,
    members: Members,
    alerts: Alerts,
    metrics: Option<Metrics>,
    /// The last look that was no hurried one.
    unhurried: Option<Instant>,
}

fn introduce(request: &MonitorRequest, whom: &Whom, delay: Duration) {
    if request.common.verbose <= 0 {
        return;
    }
    complain(format!("Monitor is started with delay {}s", delay.as_secs()));
    if let Some(mail) = &whom.mail {
        complain(format!("Monitor using email address {}", mail.escape_debug()));
    }
    if let Some(program) = &whom.program {
        complain(format!("Monitor using program {}", program.escape_debug()));
    }
}

impl Monitor<'_> {
    fn watch(&mut self, shares: bool) -> Exit {
        let host = self.host;
        let mut reader = match Reader::open(host) {
            Ok(reader) => reader,
            Err(e) => {
                complain(format!("Cannot open /proc/mdstat: {}{}", reason(&e), host.md_hint()));
                return Exit::FAIL;
            }
        };
        let waiter = Waiter::new();
        let mut ready = false;
        let mut failed = share::Failed::default();
        loop {
            if let Err(e) = self.look(&mut reader) {
                complain(format!("cannot read /proc/mdstat: {}", reason(&e)));
            }
            if shares {
                let moved = share::share(host, &self.watch, &self.policies, &mut failed);
                self.tell(moved, &reader.text);
            }
            if let Some(line) = self.metrics.as_mut().and_then(|m| m.write(host, &self.watch, now_seconds())) {
                complain(line);
            }
            if !std::mem::replace(&mut ready, true) {
                daemon::notify("READY=1");
            }
            if self.request.oneshot {
                return Exit::OK;
            }
            if !self.watch.any_redundant() {
                complain("No array with redundancy detected, stopping");
                return Exit::OK;
            }
            match waiter.wait(reader.notices(), self.timeout()) {
                Woken::Look => {}
                Woken::Reload => self.reload(),
                Woken::End => {
                    // What was seen is not to be lost: the signal does the rest.
                    self.alerts.finish_within(LAST_WORDS);
                    let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGTERM);
                    return Exit::FAIL;
                }
            }
        }
    }

    /// One look, and all that follows from it.
    fn look(&mut self, reader: &mut Reader<'_>) -> std::io::Result<()> {
        wanted::find(self.host, &mut self.watch);
        if !reader.look()? && !self.watch.is_impatient() && !self.watch.any_lost() {
            return Ok(());
        }
        let hurried = self.unhurried.is_some_and(|last| last.elapsed() < SOON * 9 / 10);
        self.watch.hurry(hurried);
        if !hurried {
            self.unhurried = Some(Instant::now());
        }
        let now = reader.arrays.clone();
        let memory = self.members.memory();
        let events = self.watch.look(&now, &memory);
        self.tell(events, &reader.text);
        if let Some(line) = self.members.learn(self.host, &now, now_seconds()) {
            complain(line);
        }
        Ok(())
    }

    fn tell(&mut self, events: Vec<Event>, mdstat: &str) {
        if events.is_empty() {
            return;
        }
        let devices = DevMap::read(self.host);
        for event in events {
            if let Some(metrics) = &mut self.metrics {
                metrics.count(&event);
            }
            let told = self.told(event, &devices, mdstat);
            self.alerts.tell(&self.whom, told);
        }
    }

    /// The event, with what belongs to it.
    fn told(&self, event: Event, devices: &DevMap, mdstat: &str) -> Told {
        let member = event.what.member().map(|kname| self.member_path(&event, kname, devices));
        let uuid = event.subject.uuid;
        let missing = |slot| Missing { slot, last: self.members.of(uuid, slot).cloned() };
        Told {
            member,
            missing: event.array.missing_slots().into_iter().map(missing).collect(),
            mdstat: mdstat.to_owned(),
            seconds: now_seconds(),
            host: self.host.hostname(),
            event,
        }
    }

    /// A member's path; of one that is gone as it was called last.
    fn member_path(&self, event: &Event, kname: &str, devices: &DevMap) -> String {
        let dev = event.array.members.iter().find(|m| m.kname == kname).map(|m| m.dev);
        let dev = dev.or_else(|| self.host.sysfs.dev_of(kname));
        let path = dev.and_then(|dev| devices.path(dev, self.request.common.prefer.as_deref()));
        path.map_or_else(|| self.host.dev.join(kname).display().to_string(), str::to_owned)
    }

    /// How long to wait at most for the kernel's next notice: it tells of no progress, and not of what does not happen.
    fn timeout(&self) -> Duration {
        const PROGRESS: Duration = Duration::from_secs(5);
        let mut timeout = self.delay;
        if self.watch.is_syncing() {
            timeout = timeout.min(PROGRESS);
        }
        if self.watch.is_impatient() {
            timeout = timeout.min(SOON);
        }
        daemon::watchdog().map_or(timeout, |watchdog| timeout.min(watchdog))
    }

    /// SIGHUP: the configuration anew.
    fn reload(&mut self) {
        daemon::notify(&wait::reloading());
        let conf = conf_files::read(self.host, self.request.common.config.as_deref());
        conf.problems.iter().for_each(complain);
        self.whom = whom(self.request, &conf);
        self.delay = Duration::from_secs(delay(self.request, &conf).into());
        self.policies.clone_from(&conf.policies);
        self.watch.rewant(wanted::list(self.host, self.request, &conf));
        daemon::notify("READY=1");
    }
}
