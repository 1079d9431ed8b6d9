//! Locks of an array in /run: one change of its shape at a time, and one who looks after its reshape.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::error::{Refusal, reason};
use crate::host::Host;
use crate::host::node::ArrayName;

/// How long another command may still take: one that starts a reshape is at its end soon.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// Takes the lock on changes, which is held until it is dropped.
///
/// # Errors
/// Another command changes this array.
pub(super) fn change(host: &Host, array: &ArrayName) -> Result<Flock<File>, Refusal> {
    let shown = array.path.display();
    let end = Instant::now() + PATIENCE;
    loop {
        match take(host, &format!("change-{}", array.devname)) {
            Ok(Some(lock)) => return Ok(lock),
            Ok(None) if Instant::now() < end => std::thread::sleep(PAUSE),
            Ok(None) => {
                return Err(Refusal::new(format!("another mdadm --grow is changing {shown}; nothing was changed"))
                    .hint("try again when that is done"));
            }
            Err(e) => {
                let why = reason(&e);
                return Err(Refusal::new(format!("cannot lock {shown} in {}: {why}", host.run.display())));
            }
        }
    }
}

/// The lock of this name; `None` while another has it.
///
/// # Errors
/// What making the folder, the file or the lock reports.
pub(super) fn take(host: &Host, name: &str) -> io::Result<Option<Flock<File>>> {
    std::fs::create_dir_all(&host.run)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let file = options.open(path(host, name))?;
    lock(file, FlockArg::LockExclusiveNonblock)
}

/// Whether anybody has the lock of this name.
pub(super) fn is_held(host: &Host, name: &str) -> bool {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path(host, name));
    file.is_ok_and(|file| matches!(lock(file, FlockArg::LockSharedNonblock), Ok(None)))
}

fn path(host: &Host, name: &str) -> PathBuf {
    host.run.join(format!("{name}.lock"))
}

fn lock(file: File, how: FlockArg) -> io::Result<Option<Flock<File>>> {
    match Flock::lock(file, how) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, e)) => Err(e.into()),
    }
}
