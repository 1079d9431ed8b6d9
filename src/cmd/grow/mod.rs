//! `--grow`: changes to a running array, one file for each kind.

pub(in crate::cmd) mod after;
pub mod bitmap;
mod bitmap_check;
mod bitmap_gather;
mod bitmap_off;
mod check_first;
mod gather;
mod knobs;
mod lock;
mod reshape;
mod revert;
mod size;
mod start;
pub mod worker;

use std::time::{Duration, Instant};

use super::apply::{Session, reason};
use super::print::{complain, out};
use super::save;
use crate::cli::request::GrowRequest;
use crate::device::real::{Access, RealDevice};
use crate::error::{Exit, Refusal};
use crate::host::Host;
use crate::host::conf::Conf;
use crate::host::node::{OpenArray, OpenError};
use crate::plan::grow::{Change, changes};
use crate::plan::save::devices;
use crate::plan::step::Plan;
use crate::sysfs::ArrayDir;

/// How long is tried while the kernel says EBUSY, and the pause in between: it looks for work to do now and then.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);
/// How long raid4/5/6 are given to come to rest while they are used.
const A_MOMENT: Duration = Duration::from_secs(1);

/// Runs the request.
#[must_use]
pub fn run(req: &GrowRequest, conf: &Conf) -> Exit {
    let host = Host::default();
    let done = open(&host, req).and_then(|array| match changes(req)?.as_slice() {
        [Change::Continue] => go_on(&host, req, array),
        [Change::Revert] => revert::run(&host, (req, conf), array),
        _ => all(&host, req, array),
    });
    match done {
        Ok(()) => Exit::OK,
        Err(refusal) => {
            refusal.lines.iter().for_each(complain);
            refusal.exit
        }
    }
}

fn open(host: &Host, req: &GrowRequest) -> Result<OpenArray, Refusal> {
    host.open_array(&req.array).map_err(|e| {
        let shown = req.array.display();
        Refusal::new(match e {
            OpenError::Open(e) => format!("error opening {shown}: {}", reason(&e)),
            OpenError::NotMd => format!("{shown} does not appear to be an md device"),
        })
    })
}

/// `--continue`: the array is not open meanwhile, so that it can be stopped.
fn go_on(host: &Host, req: &GrowRequest, array: OpenArray) -> Result<(), Refusal> {
    let job = worker::Job { devname: array.name.devname.clone(), backup: req.backup_file.clone() };
    drop(array);
    if req.common.plan {
        return Ok(());
    }
    worker::follow(host, &job)
}

fn all(host: &Host, req: &GrowRequest, array: OpenArray) -> Result<(), Refusal> {
    let changes = changes(req)?;
    if changes.is_empty() && req.nodes.is_some() {
        return Err(
            Refusal::new("The md can't get cluster name").hint("there is none: --nodes is for clustered bitmaps")
        );
    }
    if changes.is_empty() {
        complain("no changes to --grow");
    }
    let lock = if req.common.plan { None } else { Some(lock::change(host, &array.name)?) };
    let mut running = Running { host, req, array, shown: Plan::default(), over: false };
    changes.into_iter().try_for_each(|change| one(&mut running, change))?;
    if req.common.plan {
        out(&save::shown(host, &req.common, &running.shown));
    }
    // What follows a reshape takes the lock itself.
    let (over, devname) = (running.over, running.array.name.devname.clone());
    drop((running, lock));
    if over { after::finish(host, &devname) } else { Ok(()) }
}

fn one(running: &mut Running<'_>, change: Change) -> Result<(), Refusal> {
    match change {
        Change::Bitmap => bitmap::run(running),
        Change::Knobs => knobs::run(running),
        Change::ArraySize => size::array_size(running),
        Change::Reshape if running.req.size.is_some() => size::run(running),
        Change::Reshape => reshape::run(running),
        Change::Policy => reshape::policy(running),
        Change::Add => reshape::longer(running),
        Change::Continue | Change::Revert => {
            // Whoever looks after it must not keep the array from being stopped: it is not open meanwhile.
            let (option, shown) = (change.option(running.req), running.array.name.path.display());
            Err(Refusal::new(format!("{option} stands alone: mdadm --grow {option} {shown}")))
        }
    }
}

/// Waits for a while until raid4/5/6 work on no stripe.
fn stripes_rest(array: &ArrayDir) {
    let busy = || array.text("stripe_cache_active").ok().flatten().is_some_and(|n| n.trim() != "0");
    let end = Instant::now() + A_MOMENT;
    while busy() && Instant::now() < end {
        std::thread::sleep(PAUSE);
    }
}

/// The array while it is changed.
pub(super) struct Running<'a> {
    /// The machine.
    pub host: &'a Host,
    /// What was asked for.
    pub req: &'a GrowRequest,
    /// The array.
    pub array: OpenArray,
    /// With `--plan`: all steps so far.
    pub shown: Plan,
    /// A reshape was over before anyone could look, and what follows it is still to be done.
    pub over: bool,
}

impl Running<'_> {
    /// Says something unless `--quiet` or `--plan`.
    pub fn say(&self, line: impl std::fmt::Display) {
        if !self.req.common.is_quiet() && !self.req.common.plan {
            complain(line);
        }
    }

    /// Executes steps; with `--plan` keeps them to be shown. Members are written to though the array holds them.
    pub fn execute(&mut self, plan: &Plan) -> Result<(), Refusal> {
        if self.req.common.plan {
            self.shown.steps.extend(plan.steps.iter().cloned());
            return Ok(());
        }
        let cannot = |what: String, e: &std::io::Error| Refusal::new(format!("cannot open {what}: {}", reason(e)));
        let mut session = Session::new(self.host, &self.req.common);
        let shown = self.req.array.display().to_string();
        session.array = Some(self.array.again().map_err(|e| cannot(shown, &e))?);
        for path in devices(plan) {
            let opened = RealDevice::open(&path, Access::Write);
            session.give(opened.map_err(|e| cannot(path.display().to_string(), &e))?);
        }
        session.apply(plan).map_err(Refusal::from)
    }

    /// The same, again and again for a while where the kernel says that the array is busy.
    pub fn execute_patiently(&mut self, plan: &Plan) -> Result<(), Refusal> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.execute(plan) {
                Err(e) if is_busy(&e) && Instant::now() < end => std::thread::sleep(PAUSE),
                done => return done,
            }
        }
    }
}

/// Whether the kernel answered EBUSY.
fn is_busy(refusal: &Refusal) -> bool {
    refusal.lines.first().is_some_and(|l| l.contains("Device or resource busy"))
}
