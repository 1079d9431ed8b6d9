//! A process of its own.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::SigSet;
use nix::unistd::{ForkResult, Pid, fork};

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
