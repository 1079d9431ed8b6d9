//! `-If`: a device that is gone leaves every array.

use std::path::Path;

use super::array::{self, Found};
use crate::cli::request::IncrementalRequest;
use crate::cmd::apply::{Session, reason};
use crate::cmd::manage;
use crate::cmd::print::{complain, out};
use crate::cmd::{save, stop};
use crate::error::{Exit, Refusal};
use crate::host::Host;
use crate::plan::manage::{Target, fail};
use crate::plan::step::{MemberBy, Plan, Step};
use crate::sysfs::attr;
use crate::uuid::Uuid;

/// How often a member that has just been failed is tried to be removed, while requests to it are under way.
const REMOVE_TRIES: u32 = 50;
const REMOVE_PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

/// Takes the device with this kernel name out of all arrays.
pub fn run(req: &IncrementalRequest, host: &Host, typed: &Path) -> Result<Exit, Refusal> {
    let word = typed.to_string_lossy();
    let name = word.strip_prefix("/dev/").unwrap_or(&word).replace('/', "!");
    if name.is_empty() || name.starts_with('!') || name == "." || name == ".." {
        let line = format!("Cannot remove \"{word}\", devnode path or kernel device name is allowed.");
        return Err(Refusal::new(line));
    }
    let holds = |devname: &String| host.sysfs.array(devname).members().iter().any(|m| m.name() == name);
    let arrays: Vec<String> = host.sysfs.arrays().into_iter().filter(holds).collect();
    if arrays.is_empty() && name.contains('!') {
        let line = format!("Cannot remove \"{word}\", devnode path or kernel device name is allowed.");
        return Err(Refusal::new(line));
    }
    if arrays.is_empty() {
        if req.common.verbose > 0 {
            complain(format!("{name} does not appear to be a component of any array"));
        }
        return Ok(Exit::OK);
    }
    let (mut exit, mut shown) = (Exit::OK, Plan::default());
    for devname in arrays {
        let (lock, map) = array::locked(host, req.common.plan);
        let found = array::found(host, &map, devname);
        drop(lock);
        let one = if found.runs() {
            from_running(req, host, &found, &name, &mut shown)
        } else {
            from_waiting(req, host, &found, &name, &mut shown)
        };
        match one {
            Ok(()) => {
                let entry = map.iter().find(|e| e.devname == found.devname);
                if let (Some(path), Some(entry), false) = (&req.path, entry, req.common.plan) {
                    note_slot(host, path, &entry.metadata, entry.uuid);
                }
            }
            Err(refusal) => {
                if !req.common.is_quiet() {
                    refusal.lines.iter().for_each(complain);
                }
                exit = exit.worst(refusal.exit);
            }
        }
    }
    if req.common.plan {
        out(&save::shown(host, &req.common, &shown));
    }
    Ok(exit)
}

/// A running array: failed, then removed.
fn from_running(
    req: &IncrementalRequest,
    host: &Host,
    found: &Found,
    name: &str,
    shown: &mut Plan,
) -> Result<(), Refusal> {
    let devname = found.devname.clone();
    let cannot = |what: &str, from: &str| Refusal::new(format!("Cannot {what} member device {name} {from} {devname}."));
    let facts = manage::array_facts(host, &found.open(host)?);
    let still_there = host.sysfs.dev_of(&name.replace('!', "/")).is_some();
    let target = Target { shown: name.to_owned(), dev: None, kname: Some(name.replace('!', "/")) };
    // What is gone has failed, whether the array can do without it or not; what is there need not.
    if let (Some(facts), true) = (&facts, still_there)
        && let Err(why) = fail(facts, &target, false)
    {
        let refusal = cannot("fail", "in array").hint(format!("{name} is still there"));
        return Err(refusal.hints(why.lines));
    }
    // So that nothing is written to an array that nobody uses: the device may come back as it was.
    if !req.common.plan {
        let _ = host.sysfs.array(&devname).store(attr::ARRAY_STATE, "read-auto");
    }
    let array = found.open(host)?;
    let by = || MemberBy::Name(name.to_owned());
    let failed = Step::SetFaulty { devname: devname.clone(), device: name.to_owned(), by: by() };
    let remove = Step::HotRemove { devname: devname.clone(), device: name.to_owned(), by: by() };
    if req.common.plan {
        shown.steps.extend([failed, remove]);
        return Ok(());
    }
    let mut session = Session::new(host, &req.common);
    (session.array, session.keep) = (Some(array), true);
    session.apply(&Plan { steps: vec![failed] }).map_err(|e| cannot("fail", "in array").hint(e.line))?;
    let plan = Plan { steps: vec![remove] };
    let mut tries = REMOVE_TRIES;
    while let Err(e) = session.apply(&plan) {
        tries -= 1;
        if tries == 0 {
            return Err(cannot("remove", "from").hint(e.line));
        }
        std::thread::sleep(REMOVE_PAUSE);
    }
    Ok(())
}

/// An array that waits for members: the device goes, and with the last one the array.
fn from_waiting(
    req: &IncrementalRequest,
    host: &Host,
    found: &Found,
    name: &str,
    shown: &mut Plan,
) -> Result<(), Refusal> {
    let devname = found.devname.clone();
    let members = host.sysfs.array(&devname).members();
    let mut plan = Plan {
        steps: vec![Step::HotRemove {
            devname: devname.clone(),
            device: name.to_owned(),
            by: MemberBy::Name(name.to_owned()),
        }],
    };
    if members.len() == 1 {
        plan = stop::steps(&devname);
    }
    if req.common.plan {
        shown.steps.extend(plan.steps);
        return Ok(());
    }
    let mut session = Session::new(host, &req.common);
    (session.array, session.keep) = (Some(found.open(host)?), true);
    let cannot = |e: crate::cmd::apply::ApplyError| {
        Refusal::new(format!("Cannot remove member device {name} from {devname}.")).hint(e.line)
    };
    session.apply(&plan).map_err(cannot)
}

/// Where the device was plugged in, a disk that comes may take its place: `POLICY action=spare-same-slot`.
fn note_slot(host: &Host, path: &str, metadata: &str, uuid: Uuid) {
    let name = path.strip_prefix("/dev/disk/by-path/").unwrap_or(path);
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        complain(format!("--path={path} is no name of a place: not kept"));
        return;
    }
    let dir = host.run.join("failed-slots");
    let line = format!("{:>20} {}\n", metadata, map_uuid(metadata, uuid));
    let done = std::fs::create_dir_all(&dir).and_then(|()| std::fs::write(dir.join(name), line));
    if let Err(e) = done {
        complain(format!("cannot keep {}: {}", dir.join(name).display(), reason(&e)));
    }
}

/// In the words of the map file.
fn map_uuid(metadata: &str, uuid: Uuid) -> String {
    let entry = crate::host::map::MapEntry { devname: "md".into(), metadata: metadata.to_owned(), uuid, path: None };
    crate::host::map::format(&[entry]).split_ascii_whitespace().nth(2).unwrap_or_default().to_owned()
}
