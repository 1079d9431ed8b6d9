//! Executes a plan, step by step; on failure undoes what was done or says what was left.
//!
//! This is the only place that writes to members and drives the md ioctls of create, assemble, stop and zero-superblock.

mod array;
mod bitmap;
pub(super) mod files;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::save::{self, Saving};
use crate::blockio::{ReadAt, WriteAt};
use crate::cli::request::Common;
use crate::cmd::print::{complain, out};
use crate::cmd::zeroing::{self, Stopped};
use crate::device::real::{Access, RealDevice};
use crate::error::Refusal;
pub use crate::error::reason;
use crate::host::Host;
use crate::host::interrupt::Interrupts;
use crate::host::kernel_log::KernelLog;
use crate::host::map::{MapEntry, MapLock};
use crate::host::node::OpenArray;
use crate::host::udev::UdevBlock;
use crate::kernel::md;
use crate::plan::file_step::FileStep;
use crate::plan::step::{MemberBy, Plan, Step, ZeroArea};
use crate::sysfs::{SysfsError, attr};

/// A step was done that changes something.
static CHANGED: AtomicBool = AtomicBool::new(false);

/// Whether any step was done since the last time that changes something, undone later or not.
#[must_use]
pub fn changed_anything() -> bool {
    CHANGED.swap(false, Ordering::Relaxed)
}

/// What undoes a step.
enum Undo {
    Restore { device: PathBuf, offset: u64, bytes: Vec<u8> },
    Forget { devname: String },
    Remove { file: PathBuf },
    File { path: PathBuf, before: Option<Vec<u8>> },
}

/// The machine while a plan is executed.
pub struct Session<'a> {
    host: &'a Host,
    saving: Saving,
    devices: BTreeMap<PathBuf, RealDevice>,
    /// The array that the plan is about.
    pub array: Option<OpenArray>,
    /// Held from before a free number was chosen until the array is in the map file.
    pub lock: Option<MapLock>,
    /// The lock is kept until the array runs: nobody else may find it complete and start it too.
    pub lock_to_the_end: bool,
    block: Option<UdevBlock>,
    undo: Vec<Undo>,
    started: bool,
    /// A terminal reads stderr: show how far long steps are.
    pub show_progress: bool,
    /// Held from before data was zeroed until the array runs.
    interrupts: Option<Interrupts>,
    /// Printed on stdout before the first byte of a member is written.
    pub announce: Option<&'static str>,
    /// Keep what was done when a step fails (stop, assemble: nothing was written that has to go).
    pub keep: bool,
}

/// Why a plan stopped.
#[derive(Debug)]
pub struct ApplyError {
    /// What was tried and what came back, in words.
    pub line: String,
    /// What was undone, and what could not be.
    pub after: Vec<String>,
}

impl From<ApplyError> for Refusal {
    fn from(e: ApplyError) -> Refusal {
        Refusal::new(e.line).hints(e.after)
    }
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

fn failed(what: impl fmt::Display, e: &io::Error) -> ApplyError {
    ApplyError { line: format!("{what}: {}", reason(e)), after: Vec::new() }
}

fn sysfs_failed(devname: &str, e: &SysfsError) -> ApplyError {
    ApplyError { line: format!("{devname}: {e}"), after: Vec::new() }
}

impl<'a> Session<'a> {
    /// A session without open devices.
    #[must_use]
    pub fn new(host: &'a Host, common: &Common) -> Session<'a> {
        Session {
            host,
            saving: Saving::of(common),
            devices: BTreeMap::new(),
            array: None,
            lock: None,
            lock_to_the_end: false,
            block: None,
            undo: Vec::new(),
            started: false,
            announce: None,
            keep: false,
            show_progress: false,
            interrupts: None,
        }
    }

    /// Hands over an open device; steps on its path use it.
    pub fn give(&mut self, device: RealDevice) {
        self.devices.insert(device.path().to_owned(), device);
    }

    /// At a terminal, writes nothing unless what is overwritten could be saved before.
    pub fn save_or_stop(&mut self) {
        self.saving.must = true;
    }

    /// Executes all steps; before the first one that writes to a member, saves what all of them will overwrite.
    ///
    /// # Errors
    /// The first step that failed; what had been written is put back first.
    pub fn apply(&mut self, plan: &Plan) -> Result<(), ApplyError> {
        let mut saved = false;
        let mut log = KernelLog::from_now(&self.host.dev);
        for step in &plan.steps {
            super::fault::before(step);
            if step.overwrites()
                && let Some(text) = self.announce.take()
            {
                out(text);
            }
            // What is refused before it (a bitmap that this kernel has not) saves nothing.
            let ready = if step.overwrites() && !std::mem::replace(&mut saved, true) {
                save::before(self.host, &self.saving, plan, &self.devices)
            } else {
                Ok(())
            };
            if let Err(mut e) = ready.and_then(|()| self.step(step)) {
                let devname = self.array.as_ref().map(|a| a.name.devname.clone()).unwrap_or_default();
                e.after.extend(log.reasons(&devname).into_iter().map(|l| format!("the kernel says: {l}")));
                if self.started {
                    e.after.push(format!("{devname} runs all the same"));
                } else if !self.keep {
                    e.after.extend(self.roll_back());
                }
                return Err(e);
            }
            if !matches!(step, Step::Sync { .. } | Step::Kernel { .. } | Step::Save { .. } | Step::Reshape(_)) {
                CHANGED.store(true, Ordering::Relaxed);
            }
            if step.starts_array() {
                // From here on the kernel writes the members' metadata: what was there before must not come back.
                self.undo.clear();
                self.started = true;
            }
        }
        self.undo.clear();
        Ok(())
    }

    fn device(&mut self, path: &Path) -> Result<&mut RealDevice, ApplyError> {
        if !self.devices.contains_key(path) {
            let device = RealDevice::open(path, Access::WriteExclusive)
                .map_err(|e| failed(format_args!("cannot open {}", path.display()), &e))?;
            self.give(device);
        }
        self.devices.get_mut(path).ok_or_else(|| ApplyError { line: "device vanished".into(), after: Vec::new() })
    }

    fn array(&self, devname: &str) -> Result<&OpenArray, ApplyError> {
        self.array.as_ref().ok_or_else(|| ApplyError { line: format!("{devname} is not open"), after: Vec::new() })
    }

    /// Does something to a member: the ioctl, or `word` to its state.
    fn member(
        &self,
        devname: &str,
        by: &MemberBy,
        ioctl: fn(&std::fs::File, (u32, u32)) -> io::Result<()>,
        word: &str,
    ) -> io::Result<()> {
        let array = self.array(devname).map_err(|e| io::Error::other(e.line))?;
        match by {
            MemberBy::Dev(dev) => ioctl(&array.file, *dev),
            MemberBy::Name(name) => {
                let member = array.sysfs.member(name);
                member.store(attr::STATE, word).map_err(|e| io::Error::from_raw_os_error(e.errno()))
            }
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), ApplyError> {
        match step {
            Step::Write { device, offset, bytes, what } => self.write(device, *offset, bytes, what),
            Step::File(FileStep::Bitmap { path, bytes, replace, .. }) => self.new_bitmap_file(path, bytes, *replace),
            Step::File(file) => {
                let made = super::apply_file::step(file).map_err(|(what, e)| failed(what, &e))?;
                self.undo.extend(made.map(|file| Undo::Remove { file }));
                Ok(())
            }
            Step::Sync { device } => {
                self.device(device)?.sync().map_err(|e| failed(format_args!("cannot sync {}", device.display()), &e))
            }
            Step::Zero { areas } => self.zero(areas),
            Step::NewArray { devname, path, metadata, uuid } => self.new_array(
                devname,
                path,
                MapEntry {
                    devname: devname.clone(),
                    metadata: metadata.clone(),
                    uuid: *uuid,
                    path: Some(path.clone()),
                },
            ),
            Step::Sysfs { devname, attr, value, verify } => self.sysfs(devname, attr, value, verify.as_deref()),
            Step::SetArrayInfo { devname, version } => {
                let info = md::ArrayInfo { major_version: version.0, minor_version: version.1, ..Default::default() };
                md::set_array_info(&self.array(devname)?.file, &info)
                    .map_err(|e| failed(format_args!("{devname}: SET_ARRAY_INFO failed"), &e))
            }
            Step::SetGeometry { devname, geometry: g } => {
                let info = md::ArrayInfo {
                    level: g.level,
                    layout: g.layout,
                    raid_disks: g.raid_disks,
                    chunk_size: g.chunk_bytes,
                    size: g.size_kib,
                    state: if g.clean { md::sb::CLEAN } else { 0 },
                    minor_version: 90,
                    not_persistent: 1,
                    ..Default::default()
                };
                md::set_array_info(&self.array(devname)?.file, &info)
                    .map_err(|e| failed(format_args!("{devname}: SET_ARRAY_INFO failed"), &e))
            }
            Step::SetBitmapFile { devname, path, optional } => self.bitmap_file(devname, path, *optional),
            Step::BitmapOff { devname } => self.bitmap_off(devname),
            Step::AddDisk { devname, device, spec } => self.add_disk(devname, device, spec),
            Step::RunArray { devname } => {
                // The array is in the map file now: others may take the lock.
                if !self.lock_to_the_end {
                    self.lock = None;
                }
                md::run_array(&self.array(devname)?.file).map_err(|e| failed("RUN_ARRAY failed", &e))
            }
            Step::Kernel { .. } | Step::Save { .. } | Step::Reshape(_) => Ok(()),
            Step::SetFaulty { devname, device, by } => {
                let what = format_args!("set device faulty failed for {device}");
                let done = self.member(devname, by, |f, dev| md::set_disk_faulty(f, dev), "faulty");
                done.map_err(|e| array::or_broken(failed(what, &e), &e, devname))
            }
            Step::HotRemove { devname, device, by } => {
                let what = format_args!("hot remove failed for {device}");
                self.member(devname, by, |f, dev| md::hot_remove_disk(f, dev), "remove").map_err(|e| failed(what, &e))
            }
            Step::StopArray { devname } => self.stop(devname),
            Step::RestartReadWrite { devname } => match md::restart_array_rw(&self.array(devname)?.file) {
                // Not read-only: nothing to do.
                Err(e) if e.raw_os_error() == Some(libc::EBUSY) => Ok(()),
                other => other.map_err(|e| failed(format_args!("failed to set writable for {devname}"), &e)),
            },
            Step::SetReadOnly { devname } => md::stop_array_ro(&self.array(devname)?.file)
                .map_err(|e| failed(format_args!("failed to set readonly for {devname}"), &e)),
            Step::Setting { devname, attr, value } => {
                if let Err(e) = self.setting(devname, attr, value) {
                    complain(format!("SYSFS: failed to write '{value}' to '{attr}'"));
                    complain(e.line);
                }
                Ok(())
            }
            Step::Uevent { devname } => self.uevent(devname),
            Step::Forget { devname } => {
                self.forget(devname);
                Ok(())
            }
        }
    }

    fn write(&mut self, path: &Path, offset: u64, bytes: &[u8], what: &str) -> Result<(), ApplyError> {
        let device = self.device(path)?;
        let before = device
            .read_vec(offset, bytes.len())
            .map_err(|e| failed(format_args!("cannot read {} at byte {offset}", path.display()), &e))?;
        device
            .write_at(offset, bytes)
            .map_err(|e| failed(format_args!("cannot write to {} at byte {offset} ({what})", path.display()), &e))?;
        self.undo.push(Undo::Restore { device: path.to_owned(), offset, bytes: before });
        Ok(())
    }

    fn zero(&mut self, areas: &[ZeroArea]) -> Result<(), ApplyError> {
        for ZeroArea { device, offset, len } in areas {
            self.device(device)?;
            out(&format!("mdadm: zeroing data from {offset} to {len} on: {}\n", device.display()));
        }
        let held = self.host.hold_interrupts().map_err(|e| failed("cannot hold signals back", &e))?;
        // It can take hours, and the array is in the map file: others may take the lock.
        self.lock = None;
        self.undo.retain(|u| !matches!(u, Undo::Restore { .. }));
        let done = zeroing::zero(areas, &self.devices, &held, self.show_progress);
        self.interrupts = Some(held);
        done.map_err(|Stopped { line, zeroed }| {
            let gone = zeroed.iter().filter(|(_, from, to)| to > from);
            let gone = gone.map(|(path, from, to)| format!("{} bytes {from}..{to} are zeros now", path.display()));
            let after = std::iter::once("zeroing failed!".into()).chain(gone);
            let after = after.chain(["no md superblock is left on the members".into()]).collect();
            ApplyError { line, after }
        })?;
        out("mdadm: zeroing finished\n");
        Ok(())
    }

    /// Puts back what was written and takes the array down; gives a line for each part.
    fn roll_back(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        let undo = std::mem::take(&mut self.undo);
        // Only an array of ours: one that ran before (manage) goes on.
        let ours = undo.iter().any(|u| matches!(u, Undo::Forget { .. }));
        if let Some(array) = self.array.as_ref().filter(|_| ours) {
            let _ = md::stop_array(&array.file);
        }
        let (mut restored, mut left) = (Vec::new(), Vec::new());
        for item in undo.into_iter().rev() {
            match item {
                Undo::Restore { device, offset, bytes } => {
                    let put = self.device(&device).and_then(|d| {
                        d.write_at(offset, &bytes).and_then(|()| d.sync()).map_err(|e| failed("cannot write", &e))
                    });
                    let name = device.display().to_string();
                    let list = if put.is_ok() { &mut restored } else { &mut left };
                    if !list.contains(&name) {
                        list.push(name);
                    }
                }
                Undo::File { path, before } => {
                    let name = path.display().to_string();
                    match files::restore(&path, before.as_deref()) {
                        Ok(()) if before.is_some() => restored.push(name),
                        Ok(()) => {}
                        Err(_) => left.push(name),
                    }
                }
                Undo::Forget { devname } => self.forget(&devname),
                Undo::Remove { file } => {
                    let _ = std::fs::remove_file(file);
                }
            }
        }
        if !restored.is_empty() {
            restored.reverse();
            said.push(format!("what had been written to {} was put back", restored.join(", ")));
        }
        if !left.is_empty() {
            said.push(format!("could not put back what was written to {}", left.join(", ")));
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::request::SavedMetadata;

    fn write(device: &Path, offset: u64) -> Step {
        Step::Write { device: device.to_owned(), offset, bytes: vec![9; 512], what: "a test".into() }
    }

    #[test]
    fn what_was_written_before_a_failure_is_put_back() {
        let dir = tempfile::tempdir().unwrap();
        let paths = [dir.path().join("a"), dir.path().join("b")];
        for p in &paths {
            std::fs::write(p, vec![7; 8192]).unwrap();
        }
        let host = Host::default();
        let common = Common { saved_metadata: SavedMetadata::Off, ..Common::default() };
        let steps = vec![write(&paths[0], 0), write(&paths[1], 4096), write(&paths[1], 8000)];
        let error = Session::new(&host, &common).apply(&Plan { steps }).unwrap_err();
        assert!(error.line.contains("byte 8000"), "{error}");
        assert!(error.after.iter().any(|l| l.contains("was put back")), "{:?}", error.after);
        for p in &paths {
            assert_eq!(std::fs::read(p).unwrap(), vec![7; 8192]);
        }
    }
}
