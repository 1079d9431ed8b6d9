//! A process of its own.

use std::fs::OpenOptions;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdin, dup2_stdout, fork};

/// Held while a program is being started.
static STARTING: Mutex<()> = Mutex::new(());

/// Starts a program that gets all signals, whatever this process keeps back, in a process group of its own.
///
/// # Errors
/// What the kernel reports.
pub fn start(command: &mut Command) -> io::Result<Child> {
    let unblock = || SigSet::empty().thread_set_mask().map_err(io::Error::from);
    // SAFETY: the closure calls pthread_sigmask(3) only, which is async-signal-safe, and allocates nothing.
    let command = unsafe { command.process_group(0).pre_exec(unblock) };
    let _starting = STARTING.lock();
    // It returns when the program runs.
    command.spawn()
}

/// While this is held, [`start`] starts nothing. Until its program runs, a child has all open that this process had when it was
/// made: a device that is closed here stays busy. None where one cannot be started for so long.
pub fn nothing_starts(limit: Duration) -> Option<MutexGuard<'static, ()>> {
    let end = Instant::now() + limit;
    loop {
        match STARTING.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if Instant::now() >= end => return None,
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// Has the program run in a session of its own: the end of this one's terminal does not end it.
pub fn in_own_session(command: &mut Command) -> &mut Command {
    let leave = || nix::unistd::setsid().map(drop).map_err(io::Error::from);
    // SAFETY: the closure calls setsid(2) only, which is async-signal-safe, and allocates nothing.
    unsafe { command.pre_exec(leave) }
}

/// Goes on in a child as well: `None` there, the child's id in the parent.
///
/// # Errors
/// What the kernel reports; also where other threads run, which would not live on in the child.
pub fn fork_single() -> io::Result<Option<Pid>> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    if threads != 1 {
        return Err(io::Error::other("other threads run"));
    }
    // SAFETY: no other thread exists, so none can hold a lock that the child would wait for.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(Some(child)),
        ForkResult::Child => Ok(None),
    }
}

/// Has glibc take memory for each thread in large pieces, not page by page with a system call for each.
pub fn roomy_heaps() {
    const PIECE: libc::c_int = 1 << 20;
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt(3) sets a number for later allocations; it may be called at any time.
    unsafe {
        libc::mallopt(libc::M_TOP_PAD, PIECE);
    }
}

/// Where the work of [`behind`] is done.
pub enum Side {
    /// In the child: this is its status.
    Front(u8),
    /// Here.
    Back(Report),
}

/// Tells the process in front that the work is done.
pub struct Report(PipeWriter);

impl Report {
    /// This process may be held for as long as a device does not answer: whoever started the command need not wait for that.
    /// Whoever reads what it prints sees the end of that.
    pub fn done(mut self, status: u8) {
        if let Ok(null) = OpenOptions::new().read(true).write(true).open("/dev/null") {
            let _ = dup2_stdin(&null).and_then(|()| dup2_stdout(&null)).and_then(|()| dup2_stderr(&null));
        }
        let _ = self.0.write_all(&[status]);
    }
}

/// Has the work done by a child: a thread that waits for a device keeps its whole process from ending.
///
/// # Errors
/// As [`fork_single`]; then there is no child.
pub fn behind() -> io::Result<Side> {
    let (reader, writer) = io::pipe()?;
    let Some(child) = fork_single()? else {
        set_pdeathsig(Signal::SIGTERM)?;
        return Ok(Side::Back(Report(writer)));
    };
    drop(writer);
    Ok(Side::Front(outcome(reader, child)))
}

/// What the child reports, else how it ended.
fn outcome(mut reader: PipeReader, child: Pid) -> u8 {
    let mut status = [0u8];
    if reader.read_exact(&mut status).is_ok() {
        return status[0];
    }
    loop {
        match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, code)) => return u8::try_from(code).unwrap_or(1),
            Ok(WaitStatus::Signaled(_, signal, _)) => return 128 + u8::try_from(signal as i32).unwrap_or(0),
            Err(nix::errno::Errno::EINTR) | Ok(_) => {}
            Err(_) => return 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn nothing_is_started_while_a_device_is_to_be_free_and_what_cannot_be_started_holds_nobody_up_for_ever() {
        let free = nothing_starts(Duration::ZERO).unwrap();
        assert!(nothing_starts(Duration::from_millis(5)).is_none());
        let (told, started) = channel();
        let thread = std::thread::spawn(move || {
            let mut child = start(&mut Command::new("true")).unwrap();
            told.send(()).unwrap();
            child.wait().unwrap()
        });
        assert!(started.recv_timeout(Duration::from_millis(100)).is_err());
        drop(free);
        assert!(thread.join().unwrap().success());
        started.recv().unwrap();
    }
}
