//! The array itself: its node, its attributes, its members, its end.

use std::path::Path;
use std::time::Duration;

use super::{ApplyError, Session, Undo, failed, sysfs_failed};
use crate::cmd::print::complain;
use crate::error::reason;
use crate::host::map::{MapEntry, MapLock};
use crate::host::names;
use crate::host::node::{ArrayName, OpenArray};
use crate::kernel::md;
use crate::plan::step::DiskSpec;

/// How often STOP_ARRAY is tried while it says EBUSY, and how long is waited in between.
const STOP_TRIES: u32 = 25;
const STOP_PAUSE: Duration = Duration::from_millis(200);

/// What has become of an array that was to go on without a member: the errno alone does not tell.
pub(super) fn or_broken(mut failure: ApplyError, e: &std::io::Error, devname: &str) -> ApplyError {
    if e.raw_os_error() == Some(libc::EBUSY) {
        failure.after.push("the array is broken now: it had no other good copy of that data".into());
        failure.after.push(format!("Stop it (mdadm --stop {devname}); mdadm --assemble --force starts it again."));
    }
    failure
}

impl Session<'_> {
    pub(super) fn new_array(&mut self, devname: &str, path: &Path, entry: MapEntry) -> Result<(), ApplyError> {
        let refused = |r: crate::error::Refusal| ApplyError { line: r.to_string(), after: Vec::new() };
        if self.lock.is_none() {
            self.lock = self.host.map().lock().ok();
        }
        let map = self.lock.as_ref().map(MapLock::load).unwrap_or_default();
        let made = self.host.create_array_node(devname, path, &map).map_err(refused)?;
        self.block = Some(made.block);
        self.array = Some(made.array);
        self.undo.push(Undo::Forget { devname: devname.to_owned() });
        if let Some(Err(e)) = self.lock.as_ref().map(|lock| lock.put(entry)) {
            complain(format!("cannot write the map file: {}", reason(&e)));
        }
        Ok(())
    }

    pub(super) fn sysfs(&self, devname: &str, attr: &str, value: &str, verify: Option<&str>) -> Result<(), ApplyError> {
        let dir = self.host.sysfs.array(devname);
        if value == "llbitmap"
            && let Some(line) = dir.llbitmap_support().ok().and_then(|s| s.missing(&self.host.release()))
        {
            return Err(ApplyError { line, after: Vec::new() });
        }
        dir.store_text(attr, value).map_err(|e| {
            let mut failure = sysfs_failed(devname, &e);
            if attr == "logical_block_size" && e.errno() == libc::ENOENT {
                let release = self.host.release();
                let line =
                    format!("this kernel ({release}) cannot set it: --logical-block-size takes Linux 6.19 or later");
                failure.after.push(line);
            }
            failure
        })?;
        if let Some(word) = verify {
            let text = dir.text(attr).map_err(|e| sysfs_failed(devname, &e))?.unwrap_or_default();
            let chosen = text.split_whitespace().any(|w| w == format!("[{word}]")) || text.trim() == word;
            if !chosen {
                let line = format!("{devname}: the kernel took '{value}' for md/{attr} but shows '{}'", text.trim());
                return Err(ApplyError { line, after: Vec::new() });
            }
        }
        Ok(())
    }

    /// What a configuration names stays below `md/`.
    pub(super) fn setting(&self, devname: &str, attr: &str, value: &str) -> Result<(), ApplyError> {
        if attr.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(ApplyError { line: format!("{attr} is no attribute of an array"), after: Vec::new() });
        }
        self.array(devname)?.sysfs.store_text(attr, value).map_err(|e| sysfs_failed(devname, &e))
    }

    pub(super) fn add_disk(&mut self, devname: &str, path: &Path, spec: &DiskSpec) -> Result<(), ApplyError> {
        // The kernel claims the device for itself: ours has to be closed.
        self.devices.remove(path);
        let info = md::DiskInfo {
            number: spec.number,
            major: spec.major,
            minor: spec.minor,
            raid_disk: spec.raid_disk,
            state: spec.state,
        };
        md::add_new_disk(&self.array(devname)?.file, &info)
            .map_err(|e| failed(format_args!("ADD_NEW_DISK for {} failed", path.display()), &e))
    }

    pub(super) fn uevent(&mut self, devname: &str) -> Result<(), ApplyError> {
        self.block = None;
        let array = self.array(devname)?;
        // The array runs: a missing link is told by the caller, and a lost event is no reason to take it down.
        let _ = array.sysfs.uevent("change");
        self.host
            .make_path(&array.name)
            .map_err(|e| failed(format_args!("{}: cannot make its node", array.name.path.display()), &e))
    }

    /// Tries for five seconds, as the reference does: udev may be looking at the array.
    pub(super) fn stop(&self, devname: &str) -> Result<(), ApplyError> {
        let array = self.array(devname)?;
        let mut tries = STOP_TRIES;
        loop {
            tries -= 1;
            match md::stop_array(&array.file) {
                Err(e) if e.raw_os_error() == Some(libc::EBUSY) && tries > 0 => std::thread::sleep(STOP_PAUSE),
                other => {
                    let what = format_args!("failed to stop array {}", array.name.path.display());
                    return other.map_err(|e| failed(what, &e));
                }
            }
        }
    }

    pub(super) fn forget(&mut self, devname: &str) {
        self.block = None;
        let name = match self.array.take() {
            // With the file closed the kernel lets the array go.
            Some(OpenArray { name, .. }) => name,
            None => {
                let dev = (9, names::number_of(devname).unwrap_or(0));
                ArrayName { devname: devname.to_owned(), path: self.host.dev.join(devname), dev }
            }
        };
        let _ = self.host.wait_until_gone(devname);
        let lock = match self.lock.take() {
            Some(lock) => Some(lock),
            None => self.host.map().lock().ok(),
        };
        let map = lock.as_ref().map(MapLock::load).unwrap_or_default();
        let links = self.host.links_of(&name, &map);
        self.host.remove_path(&name, &map);
        if let Some(lock) = &lock {
            let _ = lock.remove(devname);
        }
        if self.lock_to_the_end {
            self.lock = lock;
        } else {
            // udev may run programs that want it.
            drop(lock);
        }
        if self.host.udev_runs() {
            let _ = self.host.wait_for_removal(&name, &links);
        }
    }
}
