//! Whether the kernel has the code of a level, found out without making an array.

use std::process::{Command, Stdio};

use super::Host;
use crate::level::Level;

impl Host {
    /// Whether the kernel can run arrays of this level: /proc/mdstat names it, or does so once its module is loaded. The
    /// kernel itself has the same program load the same module at RUN_ARRAY (`md_run`, `md-level-N`). With `ask_only` it is
    /// asked whether it would, and nothing is loaded.
    #[must_use]
    pub fn has_level(&self, level: Level, ask_only: bool) -> bool {
        let listed = || self.mdstat().personalities.iter().any(|p| p == level.name());
        if listed() {
            return true;
        }
        let Ok(modprobe) = std::fs::read_to_string(self.proc.join("sys/kernel/modprobe")) else { return false };
        if modprobe.trim().is_empty() {
            return false;
        }
        let mut command = Command::new(modprobe.trim());
        command.args(ask_only.then_some("-n")).args(["-q", "--", &format!("md-level-{}", level.raw())]);
        let done = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        let done = done.is_ok_and(|s| s.success());
        if ask_only { done } else { listed() }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A host whose /proc is `dir`, with a modprobe that does `script`.
    fn host(dir: &std::path::Path, script: &str) -> Host {
        let modprobe = dir.join("modprobe");
        std::fs::write(&modprobe, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&modprobe, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::create_dir_all(dir.join("sys/kernel")).unwrap();
        std::fs::write(dir.join("sys/kernel/modprobe"), format!("{}\n", modprobe.display())).unwrap();
        std::fs::write(dir.join("mdstat"), "Personalities : [raid1] \nunused devices: <none>\n").unwrap();
        Host { proc: dir.to_owned(), ..Host::default() }
    }

    #[test]
    fn a_level_is_there_once_modprobe_has_loaded_it() {
        let dir = tempfile::tempdir().unwrap();
        let stat = dir.path().join("mdstat");
        let script = format!("[ \"$*\" = '-q -- md-level--1' ] && echo 'Personalities : [linear]' >{}", stat.display());
        let host = host(dir.path(), &script);
        assert!(host.has_level(Level::Raid1, false) && !host.has_level(Level::Raid5, false));
        assert!(host.has_level(Level::Linear, false));
    }

    #[test]
    fn asked_only_nothing_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let host = host(dir.path(), "[ \"$*\" = '-n -q -- md-level-10' ]");
        assert!(host.has_level(Level::Raid10, true) && !host.has_level(Level::Multipath, true));
    }

    #[test]
    fn a_kernel_without_modules_has_what_it_lists() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("mdstat"), "Personalities : [raid0] [linear]\n").unwrap();
        let host = Host { proc: dir.path().to_owned(), ..Host::default() };
        assert!(host.has_level(Level::Linear, false) && !host.has_level(Level::Faulty, false));
    }
}
