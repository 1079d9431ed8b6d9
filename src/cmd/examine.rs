//! `--examine`: prints what the metadata on devices says.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::bitmap::header::Kind;
use crate::bitmap::summary;
use crate::cli::request::{Common, Metadata, MiscRequest};
use crate::cmd::member::{Loaded, cannot_open, load};
use crate::cmd::whose;
use crate::cmd::{configured, print};
use crate::device::ReadAt;
use crate::device::readers::Readers;
use crate::device::real::{Access, RealDevice};
use crate::error::Exit;
use crate::host::Host;
use crate::host::conf::Conf;
use crate::host::devmap::DevMap;
use crate::kernel::clock;
use crate::output::escape;
use crate::output::examine::{self, Examined, Member, MemberBitmap, OldMember, What};
use crate::plan::startable;
use crate::superblock::Version;
use crate::superblock::foreign::{self, Found, Table};
use crate::superblock::v0::{self, DiskV0, MAX_DISKS, SuperV0};
use crate::superblock::v1::{self, Minor, SuperV1};
use crate::time;
use crate::units::Sectors;

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Brief,
    Export,
    Json,
}

/// Examines every device named, whatever was asked of it: as in the reference, the last mode option decides.
pub fn run(request: &MiscRequest, conf: &Conf) -> Exit {
    let common = &request.common;
    let named: Vec<PathBuf> = request.items.iter().map(|(_, path)| path.clone()).collect();
    let walked = named.is_empty();
    let devices = match walked {
        false => named,
        true if common.scan => match configured::devices(&Host::default(), conf, common) {
            Ok(devices) => devices,
            Err(line) => {
                print::complain(line);
                return Exit::FAIL;
            }
        },
        true => {
            print::complain("No devices to examine");
            return Exit::USAGE;
        }
    };
    let (metadata, scan, prefer) = (common.metadata, common.scan, common.prefer.clone());
    let ask = Ask { metadata, scan, walked, prefer, homehost: homehost(common) };
    Run { form: form(common), common, ask, exit: Exit::OK, done: Vec::new() }.all(&devices)
}

/// What is wanted of each device.
#[derive(Debug, Clone)]
struct Ask {
    metadata: Option<Metadata>,
    scan: bool,
    /// The paths are from a walk over the block devices.
    walked: bool,
    prefer: Option<String>,
    homehost: Option<String>,
}

/// `--json` before all; then one line per array with `--brief`, and with `--scan` but for `-vv`; then `--export`.
fn form(common: &Common) -> Form {
    match common {
        c if c.json => Form::Json,
        c if c.brief > 0 || (c.scan && c.verbose <= 1) => Form::Brief,
        c if c.export => Form::Export,
        _ => Form::Text,
    }
}

struct Run<'a> {
    form: Form,
    common: &'a Common,
    ask: Ask,
    exit: Exit,
    done: Vec<Result<Examined, (String, String)>>,
}

impl Run<'_> {
    fn all(mut self, devices: &[PathBuf]) -> Exit {
        let all_read = if self.ask.scan { self.scan(devices) } else { devices.iter().all(|path| self.one(path)) };
        if !all_read {
            return self.exit;
        }
        match self.form {
            Form::Brief => {
                let found: Vec<Examined> = self.done.into_iter().filter_map(Result::ok).collect();
                print::out(&examine::array_lines(&found, self.common.verbose > 0));
            }
            Form::Json => {
                let object = |d: &Result<Examined, (String, String)>| match d {
                    Ok(found) => found.json(),
                    Err((device, line)) => examine::failed(device, line),
                };
                let all: Value = self.done.iter().map(object).collect();
                print::out(&format!("{all:#}\n"));
            }
            Form::Text | Form::Export => {}
        }
        self.exit
    }

    /// One device; false where nobody reads any more.
    fn one(&mut self, path: &Path) -> bool {
        let device = shown(path);
        let found = examine_device(path, &device, &self.ask);
        self.tell(device, found)
    }

    /// Several at a time: one that does not answer is left out.
    fn scan(&mut self, devices: &[PathBuf]) -> bool {
        let (ask, wait) = (self.ask.clone(), Host::default().device_wait);
        let readers = Readers::start(devices.to_vec(), move |path| {
            let device = shown(path);
            let found = examine_device(path, &device, &ask);
            (device, found)
        });
        readers.wait(wait);
        readers.silent().iter().for_each(|path| print::left_out(path, wait));
        readers.take().into_iter().all(|(device, found)| self.tell(device, found))
    }

    fn tell(&mut self, device: String, found: Result<Examined, Failure>) -> bool {
        let found = match found {
            Ok(found) => found,
            Err(failure) => {
                self.failed(&device, failure);
                return true;
            }
        };
        match self.form {
            Form::Text => print::out(&found.text(self.common.verbose > 0)),
            Form::Export => print::out(&found.export()),
            Form::Brief => {
                self.remark(&found);
                self.done.push(Ok(found));
                true
            }
            Form::Json => {
                self.done.push(Ok(found));
                true
            }
        }
    }

    /// A scan says nothing of devices without metadata; `--brief` only of those that cannot be opened.
    fn failed(&mut self, device: &str, failure: Failure) {
        let is_told = match &failure {
            Failure::Open(_) => !self.common.scan,
            Failure::Nothing(_) | Failure::NotOfFormat(_) => self.form != Form::Brief,
        };
        let fails = is_told && !matches!(failure, Failure::NotOfFormat(_));
        let (line, hint) = match failure {
            Failure::Open(why) => (format!("cannot open {device}: {why}"), None),
            Failure::Nothing(why) => (format!("No md superblock detected on {device}."), why),
            Failure::NotOfFormat(got) => {
                (format!("No super block found on {device} (Expected magic {:08x}, got {got:08x})", v1::MAGIC), None)
            }
        };
        if is_told {
            print::complain(&line);
            if let Some(hint) = hint {
                print::complain(format!("{device}: {hint}"));
            }
        }
        if !self.common.scan {
            if fails {
                self.exit = Exit::FAIL;
            }
            self.done.push(Err((device.to_owned(), line)));
        }
    }

    /// What has no `ARRAY` line gets one on stderr.
    fn remark(&self, found: &Examined) {
        let device = &found.device;
        match &found.what {
            What::Foreign(Found::Table(Table::Mbr(_))) if !self.common.scan => {
                print::complain(format!("No brief listing for mbr on {device}"));
            }
            What::Foreign(Found::Table(Table::Gpt { .. })) if !self.common.scan => {
                print::complain(format!("No brief listing for gpt on {device}"));
            }
            What::Foreign(f @ (Found::Ddf(_) | Found::Imsm(_))) => {
                print::complain(format!("{device} holds {}: left alone", f.name()));
            }
            _ => {}
        }
    }
}

/// The name that arrays of this machine start with: `--homehost`, or the machine's own.
fn homehost(common: &Common) -> Option<String> {
    match common.homehost.as_deref() {
        Some("<system>") | None => Some(Host::default().hostname()),
        Some(word) => Some(word.to_owned()),
    }
}

/// Local time as the reference prints it; the number where libc has no such time.
pub fn when(seconds: u64) -> String {
    i64::try_from(seconds).ok().and_then(clock::local).map_or_else(|| seconds.to_string(), |t| time::asctime(&t))
}

/// Why there is nothing to print of a device.
enum Failure {
    /// It could not be opened.
    Open(String),
    /// There is no metadata, or none that can be used, for this reason.
    Nothing(Option<String>),
    /// There is none of the format that was asked for: the word where its magic would be.
    NotOfFormat(u32),
}

fn shown(path: &Path) -> String {
    escape::text(path.as_os_str().as_encoded_bytes())
}

fn examine_device(path: &Path, device: &str, ask: &Ask) -> Result<Examined, Failure> {
    let opened = if ask.walked { RealDevice::open_block } else { RealDevice::open }(path, Access::Read);
    let dev = opened.map_err(|e| Failure::Open(cannot_open(&e)))?;
    let what = match load(&dev, ask.metadata) {
        Ok(Some(Loaded::V1(minor, sb))) => What::Member(Box::new(member(&dev, minor, *sb, ask.homehost.as_deref()))),
        Ok(Some(Loaded::V0(sb))) => {
            if let Some(line) = whose::v0_of_another(&Host::default(), &dev, device, &sb) {
                if ask.scan {
                    return Err(Failure::Nothing(Some(line)));
                }
                print::complain(line);
            }
            What::Old(Box::new(old_member(*sb, ask)))
        }
        Ok(Some(Loaded::Foreign(found))) => What::Foreign(found),
        Ok(None) if ask.metadata.is_some() => return Err(Failure::NotOfFormat(first_word(&dev, ask))),
        Ok(None) => return Err(Failure::Nothing(None)),
        Err(e) => {
            let line = whose::v1_of_another(&Host::default(), &dev, device, &e);
            return Err(Failure::Nothing(Some(line.unwrap_or_else(|| e.to_string()))));
        }
    };
    Ok(Examined { device: device.to_owned(), what })
}

/// The word where the magic of the wanted format would be, for the message.
fn first_word(dev: &RealDevice, ask: &Ask) -> u32 {
    let sectors = dev.size().sectors();
    let at = match ask.metadata {
        Some(Metadata::V090) => foreign::v090_offset(dev.size().0),
        Some(Metadata::V1_0) => v1::super_offset(Minor::V0, sectors).and_then(Sectors::bytes).map(|b| b.0),
        Some(Metadata::V1_1) => Some(0),
        _ => Some(4096),
    };
    let mut word = [0u8; 4];
    at.and_then(|at| dev.read_at(at, &mut word).ok()).map_or(0, |()| u32::from_le_bytes(word))
}

fn old_member(sb: SuperV0, ask: &Ask) -> OldMember {
    let map = DevMap::read(&Host::default());
    let path = |disk: DiskV0| map.path((disk.major, disk.minor), ask.prefer.as_deref()).map(str::to_owned);
    let paths = (0..MAX_DISKS).map(|n| sb.disk(n).and_then(path)).chain([path(sb.this_disk())]).collect();
    OldMember {
        created: when(u64::from(sb.ctime())),
        updated: when(u64::from(sb.utime())),
        local_to: ask.homehost.clone().filter(|host| v0::is_local(&sb, host)),
        paths,
        sb,
    }
}

fn member(dev: &dyn ReadAt, minor: Minor, sb: SuperV1, homehost: Option<&str>) -> Member {
    let read = summary::read(dev, &sb);
    let why = read.as_ref().err().map(ToString::to_string).unwrap_or_default();
    let found = read.as_ref().map(Option::as_ref).map_err(|_| why.as_str()).transpose();
    let odd = startable::oddities(&sb, Version::V1(minor), found, dev.size());
    let bitmap =
        match read {
            Ok(None) => None,
            Ok(Some(summary)) => {
                let counts = if summary.kind == Kind::Lockless { summary::counts(dev, &summary) } else { Ok(None) };
                Some(counts.map_or_else(MemberBitmap::Broken, |counts| MemberBitmap::Known {
                    summary: Box::new(summary),
                    counts,
                }))
            }
            Err(e) => Some(MemberBitmap::Broken(e)),
        };
    Member {
        minor,
        device_sectors: dev.size().sectors(),
        bitmap,
        odd,
        created: when(sb.ctime()),
        updated: when(sb.utime()),
        homehost: homehost.map(str::to_owned),
        sb,
    }
}
