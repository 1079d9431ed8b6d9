//! Who looks after a reshape while it runs: saves stripes before the kernel moves them, lets it go on, and cleans up behind it.
//! It goes on when the terminal closes, and after a restart `--assemble`, `-I` or the shipped unit start it again.
//!
//! **Every reshape of raid4, raid5 and raid6 needs it**, also where the data offset moves: the kernel knows of that only from the next
//! assembly on ([`crate::superblock::reshape::Reshape::reach`]). So whoever starts one stores 0 in `sync_max` before `reshape` in
//! `sync_action` (Linux refuses that once it runs, `max_sync_store` in md.c; mdadm 4.6 does it then, and loses data), and calls [`launch`] after it.

mod saver;
mod seated;
mod store;
mod stripes;
mod turn;
mod watch;

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::fcntl::Flock;

use super::{after, lock};
use crate::backup::MOST_SECTORS;
use crate::cmd::print::complain;
use crate::error::{Exit, Refusal, reason};
use crate::host::Host;
use crate::host::saved::DEFAULT_DIR;
use crate::kernel::process::in_own_session;
use crate::plan::grow::reshape::summary::Backup;
use crate::superblock::reshape::Reshape;
use crate::sysfs::value::{ArrayState, Maybe, SyncAction};
use crate::sysfs::{ArrayDir, attr};
use crate::units::SECTOR_BYTES;
use crate::uuid::Uuid;
use seated::Seated;

/// How long a worker may take until it has taken over.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often the lock is tried.
const TRIES: u32 = 10;
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// A reshape to look after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Kernel name of the array.
    pub devname: String,
    /// Where stripes are saved, if they have to be; `None`: the worker finds it out.
    pub backup: Option<PathBuf>,
}

/// Where stripes of an array are saved unless `--backup-file` says otherwise.
#[must_use]
pub fn backup_of(uuid: Uuid) -> PathBuf {
    Path::new(DEFAULT_DIR).join(format!("reshape-{uuid}.backup").replace(':', "-"))
}

/// Makes the file that stripes of this reshape will be saved in, before anything is begun: it can be used, and has its room.
///
/// # Errors
/// It is on the array, is something else, or there is no room.
pub fn prepare(host: &Host, job: &Job, first: &Reshape) -> Result<(), Refusal> {
    let (path, uuid, half) = file_of(host, job, first)?;
    if store::is_in_memory(&path) {
        complain(format!("note: {} is in memory: a power cut while data is overwritten would lose it", path.display()));
    }
    let made = store::Store::open(host, &job.devname, &path, uuid, half);
    // Nothing is under way that the file could tell of.
    made.and_then(|store| store.forget(first.position)).map_err(|why| cannot_save(job, &why))
}

/// The same for `--plan`: nothing is made, and what would be refused is.
///
/// # Errors
/// As [`prepare`].
pub fn foreseen(host: &Host, job: &Job, first: &Reshape) -> Result<Backup, Refusal> {
    let (path, uuid, half) = file_of(host, job, first)?;
    let bytes = store::bytes(half);
    store::could_be(host, &job.devname, &path, uuid, bytes).map_err(|why| cannot_save(job, &why))?;
    Ok(Backup { shown: path.display().to_string(), kib: bytes / 1024, in_memory: store::is_in_memory(&path) })
}

fn cannot_save(job: &Job, why: &str) -> Refusal {
    Refusal::new(format!("cannot save what the reshape of {} overwrites: {why}", job.devname))
        .hint("nothing was changed; another place: --backup-file=FILE")
}

/// The file, the array's uuid, and the bytes of a window.
fn file_of(host: &Host, job: &Job, first: &Reshape) -> Result<(PathBuf, Uuid, u64), Refusal> {
    let uuid = Seated::default().uuid(host, &host.sysfs.array(&job.devname));
    let uuid = uuid.ok_or_else(|| Refusal::new(format!("cannot read a superblock of {}", job.devname)))?;
    let half = saver::window(first);
    if half / SECTOR_BYTES > MOST_SECTORS {
        return Err(Refusal::new(format!("the stripes of {} are too large to be saved", job.devname))
            .hint("nothing was changed; smaller chunks can be"));
    }
    Ok((job.backup.clone().unwrap_or_else(|| backup_of(uuid)), uuid, half))
}

/// The reshape as it would be found after a crash now, and the array's uuid.
#[must_use]
pub fn recorded(host: &Host, devname: &str) -> Option<(Reshape, Uuid)> {
    Seated::default().recorded(host, &host.sysfs.array(devname))
}

/// Whether its reshape is held back, and nobody looks after it who would let it go on.
#[must_use]
pub fn is_abandoned(host: &Host, devname: &str) -> bool {
    let array = host.sysfs.array(devname);
    let held = || {
        array.get(attr::SYNC_ACTION) == Some(SyncAction::Frozen)
            || array.text("sync_max").ok().flatten().is_some_and(|max| max.trim() != "max")
    };
    let under_way = array.get(attr::RESHAPE_POSITION).and_then(Maybe::some).is_some();
    under_way && held() && !lock::is_held(host, &seat_name(devname))
}

fn seat_name(devname: &str) -> String {
    format!("grow-{devname}")
}

/// Has another process look after it, and gives that back once it does: the unit where systemd runs (MDADM_NO_SYSTEMCTL says
/// that it does not), else a process that the end of the terminal does not end.
///
/// # Errors
/// Neither could be started, or it could not take over: what it said.
pub fn launch(host: &Host, job: &Job) -> Result<(), Refusal> {
    if by_systemd(host, job) {
        return Ok(());
    }
    let cannot = |e: std::io::Error| {
        let refusal =
            Refusal::new(format!("cannot start what looks after the reshape of {}: {}", job.devname, reason(&e)));
        refusal.hint(format!("the reshape waits; to go on: mdadm --grow --continue /dev/{}", job.devname))
    };
    let mut command = Command::new("/proc/self/exe");
    command.args(["--grow", "--continue"]).arg(host.dev.join(&job.devname));
    if let Some(path) = &job.backup {
        command.arg("--backup-file").arg(path);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = in_own_session(&mut command).spawn().map_err(cannot)?;
    taken_over(host, job, child)
}

/// Waits until the child has the lock, and the array is writable; what it says until then is ours to say.
fn taken_over(host: &Host, job: &Job, mut child: Child) -> Result<(), Refusal> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(_)) | Err(_) => break,
            Ok(None) => {}
        }
        let waits = host.sysfs.array(&job.devname).get(attr::ARRAY_STATE) == Some(ArrayState::Readonly);
        if !waits && seat(host, &job.devname).is_ok_and(|free| free.is_none()) {
            return Ok(());
        }
        sleep(PAUSE);
    }
    let mut said = String::new();
    let _ = child.kill().and_then(|()| child.stderr.take().map_or(Ok(0), |mut e| e.read_to_string(&mut said)));
    let said = said.lines().map(|l| l.strip_prefix("mdadm: ").unwrap_or(l).to_owned());
    let refusal = Refusal::new(format!("nothing looks after the reshape of {}, which waits", job.devname));
    let refusal = refusal.hints(said);
    Err(refusal.hint(format!("to go on: mdadm --grow --continue /dev/{}", job.devname)))
}

/// The unit has no arguments but the array's name: it finds the backup by the link that the reference makes too.
fn by_systemd(host: &Host, job: &Job) -> bool {
    if std::env::var_os("MDADM_NO_SYSTEMCTL").is_some() || !host.run.with_file_name("systemd").join("system").is_dir() {
        return false;
    }
    if let Some(path) = &job.backup {
        let link = host.run.join(format!("backup_file-{}", job.devname));
        let _ = std::fs::remove_file(&link);
        if std::fs::canonicalize(path).and_then(|whole| std::os::unix::fs::symlink(whole, &link)).is_err() {
            return false;
        }
    }
    let unit = format!("mdadm-grow-continue@{}.service", job.devname);
    let mut command = Command::new("systemctl");
    command.args(["start", &unit]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Says whether who looks after the array's reshape may make it writable: it was assembled read-only only until the first copy is saved.
pub fn may_write(host: &Host, devname: &str, may: bool) {
    let mark = mark(host, devname);
    // Without it nothing is written: it is said then.
    let _ = if may {
        std::fs::create_dir_all(&host.run).and_then(|()| std::fs::File::create(mark)).map(drop)
    } else {
        std::fs::remove_file(mark)
    };
}

fn mark(host: &Host, devname: &str) -> PathBuf {
    host.run.join(format!("grow-{devname}.writable"))
}

/// The lock of the one who looks after an array's reshape; `None` while another has it.
fn seat(host: &Host, devname: &str) -> std::io::Result<Option<Flock<File>>> {
    lock::take(host, &seat_name(devname))
}

/// Looks after it until it is done, in this process; at once where the kernel does all by itself.
///
/// # Errors
/// No reshape is under way, another process looks after it, or it stopped before its end.
pub fn follow(host: &Host, job: &Job) -> Result<(), Refusal> {
    let shown = host.dev.join(&job.devname).display().to_string();
    let failed = |e: std::io::Error| Refusal::new(format!("cannot lock {}: {}", host.run.display(), reason(&e)));
    // Who launched us looks at the lock too, for a moment.
    let mut mine = seat(host, &job.devname).map_err(failed)?;
    for _ in 0..TRIES {
        if mine.is_some() {
            break;
        }
        sleep(PAUSE);
        mine = seat(host, &job.devname).map_err(failed)?;
    }
    let Some(_lock) = mine else {
        return Err(Refusal::new(format!("another process looks after the reshape of {shown} already")));
    };
    let array = host.sysfs.array(&job.devname);
    if array.get(attr::RESHAPE_POSITION).and_then(Maybe::some).is_none() {
        if after::is_left(host, &job.devname) {
            return after::finish(host, &job.devname);
        }
        return Err(Refusal::new(format!("there is no reshape to continue on {shown}")).with_exit(Exit::USAGE));
    }
    if array.get(attr::ARRAY_STATE) == Some(ArrayState::Readonly) && !mark(host, &job.devname).exists() {
        return Err(Refusal::new(format!("the reshape of {shown} cannot go on: {shown} is read-only"))
            .hint(format!("mdadm --readwrite {shown}; mdadm --grow --continue {shown}")));
    }
    match watch::watch(&watched(host, array, shown), job, None)? {
        watch::End::Over => after::finish(host, &job.devname),
        _ => Ok(()),
    }
}

fn watched(host: &Host, array: ArrayDir, shown: String) -> watch::Watched<'_> {
    watch::Watched { host, array, shown, let_go: Cell::new(false), seated: RefCell::default() }
}

/// Whether another one wants to look after it.
fn has_to_leave(host: &Host, devname: &str) -> bool {
    lock::take(host, &leave(devname)).is_ok_and(|free| free.is_none())
}

fn leave(devname: &str) -> String {
    format!("leave-{devname}")
}

/// Takes the place of whoever looks after the reshape, and has it go on to where it can go back: there it is held. `None`: it was
/// over before. As long as what it gives is kept, nobody else looks after it.
///
/// # Errors
/// The place is not left, or it cannot go on.
pub fn bring_to_turn(host: &Host, job: &Job) -> Result<Option<Flock<File>>, Refusal> {
    let shown = host.dev.join(&job.devname).display().to_string();
    let failed = |e: std::io::Error| Refusal::new(format!("cannot lock {}: {}", host.run.display(), reason(&e)));
    let end = Instant::now() + PATIENCE;
    let (mut asked, mut mine) = (None, None);
    while mine.is_none() {
        if Instant::now() > end {
            return Err(Refusal::new(format!(
                "another process looks after the reshape of {shown}, and does not leave it"
            ))
            .hint("nothing was changed; try again"));
        }
        asked = asked.map_or_else(|| lock::take(host, &leave(&job.devname)), |a| Ok(Some(a))).map_err(failed)?;
        mine = seat(host, &job.devname).map_err(failed)?;
        sleep(PAUSE);
    }
    drop(asked);
    let array = host.sysfs.array(&job.devname);
    let turn = Some(turn::Turn::default());
    match watch::watch(&watched(host, array, shown), job, turn)? {
        watch::End::Turns => Ok(mine),
        _ => after::finish(host, &job.devname).map(|()| None),
    }
}

/// Where stripes of this array are saved: as given, as it was told when it began, or where they are without being told.
#[must_use]
pub fn backup_in_use(host: &Host, job: &Job, uuid: Uuid) -> PathBuf {
    saver::place(host, job, uuid)
}
