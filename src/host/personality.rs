//! Whether the kernel has md, a level, the lockless bitmap: found out, or loaded, before anything is written.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::Host;
use crate::error::{Refusal, reason};
use crate::level::Level;
use crate::plan::known_faults::numbers;
use crate::sysfs::LlbitmapSupport;

/// The first release that has the lockless bitmap.
const LLBITMAP_SINCE: (u32, u32) = (6, 18);

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
        let done = self.modprobe(&format!("md-level-{}", level.raw()), ask_only).is_ok();
        if ask_only { done } else { listed() }
    }

    /// Whether the kernel has the md driver, built in or loaded.
    #[must_use]
    pub fn has_md(&self) -> bool {
        self.proc.join("mdstat").exists() || self.sysfs.root().join("module/md_mod").exists()
    }

    /// What is said behind "No such file or directory" where that is for lack of the md driver.
    #[must_use]
    pub fn md_hint(&self) -> &'static str {
        if self.has_md() { "" } else { " (the md driver is not loaded: modprobe md_mod)" }
    }

    /// Loads the md driver where it is missing, or with `ask_only` asks whether it could be loaded.
    ///
    /// # Errors
    /// A refusal that names what was tried and what came of it.
    pub fn need_md(&self, ask_only: bool) -> Result<(), Refusal> {
        if self.has_md() {
            return Ok(());
        }
        let tried = match self.modprobe("md_mod", ask_only) {
            Ok(()) if ask_only || self.has_md() => return Ok(()),
            Ok(()) => "loading md_mod changed nothing".to_owned(),
            Err(why) => why,
        };
        let line = format!("this kernel ({}) has no md driver (CONFIG_BLK_DEV_MD), and {tried}", self.release());
        Err(Refusal::new(line).hint("nothing was changed; once \"modprobe md_mod\" works, this command does"))
    }

    /// Has the kernel's own program load a module.
    fn modprobe(&self, module: &str, ask_only: bool) -> Result<(), String> {
        let path = std::fs::read_to_string(self.proc.join("sys/kernel/modprobe")).unwrap_or_default();
        let path = path.trim();
        if path.is_empty() {
            return Err("it loads no modules".to_owned());
        }
        let mut command = Command::new(path);
        command.args(ask_only.then_some("-n")).args(["-q", "--", module]);
        match command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("\"{path} {module}\" failed ({status})")),
            Err(e) => Err(format!("{path} cannot be run: {}", reason(&e))),
        }
    }

    /// What this kernel lacks for a lockless bitmap, in words. An array that exists tells it, else the names of the kernel's
    /// functions where the md driver is loaded, else its release.
    #[must_use]
    pub fn lacks_llbitmap(&self) -> Option<String> {
        self.lacks_llbitmap_on(&self.release())
    }

    fn lacks_llbitmap_on(&self, release: &str) -> Option<String> {
        let arrays = self.sysfs.arrays();
        let told = arrays.iter().map(|name| self.sysfs.array(name)).find_map(|array| {
            let support = array.llbitmap_support().ok()?;
            // an array that was stopped meanwhile has no attributes at all
            Some(support).filter(|_| array.exists())
        });
        let old = numbers(release).is_some_and(|n| n < LLBITMAP_SINCE);
        let without = if old { LlbitmapSupport::TooOld } else { LlbitmapSupport::NotBuiltIn };
        match told {
            Some(support) => support.missing(release),
            None => match self.has_llbitmap_functions() {
                Some(true) => None,
                Some(false) => without.missing(release),
                None => without.missing(release).filter(|_| old),
            },
        }
    }

    /// `None` where /proc/kallsyms does not name md's functions: it is not there, or md is a module that is not loaded.
    fn has_llbitmap_functions(&self) -> Option<bool> {
        let list = std::fs::File::open(self.proc.join("kallsyms")).ok()?;
        let mut md = None;
        for line in BufReader::new(list).split(b'\n').map_while(Result::ok) {
            let name = line.split(|b| *b == b' ').nth(2).unwrap_or_default();
            if name.starts_with(b"llbitmap_") {
                return Some(true);
            }
            if name == b"md_run" || name.starts_with(b"md_run\t") {
                md = Some(false);
            }
        }
        md
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

    #[test]
    fn without_any_array_the_functions_of_the_kernel_or_its_release_tell_of_the_lockless_bitmap() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host { proc: dir.path().to_owned(), sysfs: crate::sysfs::Sysfs::at(dir.path()), ..Host::default() };
        let lacks = |symbols: &str, release: &str| {
            std::fs::write(dir.path().join("kallsyms"), symbols).unwrap();
            host.lacks_llbitmap_on(release).unwrap_or_default()
        };
        let (without, with) = ("0 t md_run_setup\n0 t md_run\t[md_mod]\n", "0 t md_run\n0 t llbitmap_flush\n");
        assert_eq!(lacks(with, "7.2.13"), "");
        // Brought to an older kernel.
        assert_eq!(lacks(with, "6.12.0"), "");
        assert!(lacks(without, "6.12.0").contains("takes Linux 6.18 or later; this kernel is 6.12.0"));
        assert!(lacks(without, "6.18.0").contains("(6.18.0) was built without: CONFIG_MD_LLBITMAP"));
        // The driver is not loaded.
        for (release, known) in [("6.17.9", true), ("6.18.0", false), ("7.2.13", false), ("what", false)] {
            assert_eq!(!lacks("0 t schedule\n", release).is_empty(), known, "{release}");
        }
    }
}
