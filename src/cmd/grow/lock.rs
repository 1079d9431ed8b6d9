//! One change of an array's shape at a time.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::error::{Refusal, reason};
use crate::host::Host;
use crate::host::node::ArrayName;

/// How long another command may still take: one that starts a reshape is at its end soon.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// Takes the lock, which is held until it is dropped.
///
/// # Errors
/// Another command changes this array.
pub(super) fn change(host: &Host, array: &ArrayName) -> Result<Flock<File>, Refusal> {
    let shown = array.path.display();
    let end = Instant::now() + PATIENCE;
    loop {
        match once(host, &array.devname) {
            Ok(lock) => return Ok(lock),
            Err(Errno::EWOULDBLOCK) if Instant::now() < end => std::thread::sleep(PAUSE),
            Err(Errno::EWOULDBLOCK) => {
                return Err(Refusal::new(format!("another mdadm --grow is changing {shown}; nothing was changed"))
                    .hint("try again when that is done"));
            }
            Err(e) => {
                let why = reason(&io::Error::from(e));
                return Err(Refusal::new(format!("cannot lock {shown} in {}: {why}", host.run.display())));
            }
        }
    }
}

fn once(host: &Host, devname: &str) -> Result<Flock<File>, Errno> {
    let errno = |e: io::Error| Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO));
    std::fs::create_dir_all(&host.run).map_err(errno)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let file = options.open(host.run.join(format!("change-{devname}.lock"))).map_err(errno)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, e)| e)
}
