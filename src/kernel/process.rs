//! A process of its own.

use std::fs::OpenOptions;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdin, dup2_stdout, fork};

/// Has the program get all signals, whatever this process keeps back, in a process group of its own.
pub fn with_all_signals(command: &mut Command) -> &mut Command {
    let unblock = || SigSet::empty().thread_set_mask().map_err(io::Error::from);
    // SAFETY: the closure calls pthread_sigmask(3) only, which is async-signal-safe, and allocates nothing.
    unsafe { command.process_group(0).pre_exec(unblock) }
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
