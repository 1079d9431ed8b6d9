//! What has to be done when all data of a reshape has moved: kept in a file of the array's uuid, since that may be after a restart.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Running, gather};
use crate::cli::request::{BitmapChoice, Common, GrowRequest};
use crate::cmd::wait::until_idle;
use crate::error::{Exit, Refusal, reason};
use crate::host::Host;
use crate::host::conf::Conf;
use crate::host::saved::{self, DEFAULT_DIR, SavedDir};
use crate::level::Level;
use crate::plan::grow::level;
use crate::plan::step::{Plan, Step};
use crate::sysfs::value::Maybe;
use crate::sysfs::{ArrayDir, attr};
use crate::uuid::Uuid;

const SCHEMA: &str = "mdadm-rs/after-reshape/1";

/// The rest of a change that was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cmd) struct After {
    schema: String,
    /// Changes of level, by their names.
    #[serde(default)]
    pub levels: Vec<String>,
    /// The same should it be turned.
    #[serde(default)]
    pub back: Vec<String>,
    /// A lockless bitmap is put back on.
    #[serde(default)]
    pub lockless: bool,
    /// `stripe_cache_size` of before.
    #[serde(default)]
    pub stripe_cache: Option<u64>,
}

fn path(uuid: Uuid) -> PathBuf {
    Path::new(DEFAULT_DIR).join(format!("after-reshape-{uuid}.json").replace(':', "-"))
}

impl After {
    fn is_nothing(&self) -> bool {
        self.levels.is_empty() && self.back.is_empty() && !self.lockless && self.stripe_cache.is_none()
    }

    /// Makes it durable, or removes what is left of an earlier one.
    ///
    /// # Errors
    /// It could not be written.
    pub fn keep(mut self, uuid: Uuid) -> Result<(), Refusal> {
        let path = path(uuid);
        if self.is_nothing() {
            let _ = std::fs::remove_file(path);
            return Ok(());
        }
        SCHEMA.clone_into(&mut self.schema);
        let bytes = serde_json::to_vec_pretty(&self).unwrap_or_default();
        SavedDir::open(Path::new(DEFAULT_DIR)).and_then(|dir| dir.replace(&path, &bytes)).map_err(|e| {
            Refusal::new(format!("cannot keep in {} what follows the reshape: {}", path.display(), reason(&e)))
        })
    }

    fn load(uuid: Uuid) -> Option<After> {
        let kept: After = serde_json::from_slice(&saved::read(&path(uuid)).ok()?).ok()?;
        (kept.schema == SCHEMA).then_some(kept)
    }

    /// What is still to be done by hand, where nobody does it.
    #[must_use]
    pub fn commands(&self, shown: &str) -> Vec<String> {
        let level = self.levels.iter().map(|l| format!("mdadm --grow {shown} --level={l}"));
        let bitmap = self.lockless.then(|| format!("mdadm --grow {shown} --bitmap=lockless"));
        level.chain(bitmap).collect()
    }
}

/// The reshape goes back: levels that were to follow it do not, and the one before it does. Gives both.
///
/// # Errors
/// They could not be changed in the file.
pub(in crate::cmd) fn turned(uuid: Uuid) -> Result<(Vec<String>, Vec<String>), Refusal> {
    let Some(mut after) = After::load(uuid) else { return Ok(Default::default()) };
    let levels = std::mem::replace(&mut after.levels, std::mem::take(&mut after.back));
    let back = after.levels.clone();
    after.keep(uuid).map(|()| (levels, back))
}

/// Whether something is left to be done.
pub(in crate::cmd) fn is_left(host: &Host, devname: &str) -> bool {
    let map = host.map().load().unwrap_or_default();
    host.uuid_in(&host.sysfs.array(devname), &map).and_then(After::load).is_some()
}

/// Does it, if the reshape of the array is over and something is left to be done.
///
/// # Errors
/// What could not be done, and the commands that do.
pub(in crate::cmd) fn finish(host: &Host, devname: &str) -> Result<(), Refusal> {
    let array = host.sysfs.array(devname);
    let map = host.map().load().unwrap_or_default();
    let Some(uuid) = host.uuid_in(&array, &map) else { return Ok(()) };
    let Some(after) = After::load(uuid) else { return Ok(()) };
    if array.get(attr::RESHAPE_POSITION).and_then(Maybe::some).is_some() {
        return Ok(());
    }
    let shown = host.dev.join(devname);
    let _ = until_idle(host, devname, &shown, false, false);
    if let Some(cache) = after.stripe_cache {
        let _ = array.store(attr::STRIPE_CACHE_SIZE, &cache.to_string());
    }
    let request = || GrowRequest {
        common: Common { verbose: -1, ..Common::default() },
        array: shown.clone(),
        ..GrowRequest::default()
    };
    let mut done = is_settled(&array);
    for word in &after.levels {
        let level = Level::parse(word);
        let request = GrowRequest { level, ..request() };
        done = done
            && (level == now(&array)
                || (moves_nothing(host, &request) && super::run(&request, &Conf::default()) == Exit::OK));
    }
    if done && after.lockless {
        let bitmap = Some(BitmapChoice::Lockless);
        done = super::run(&GrowRequest { bitmap, ..request() }, &Conf::default()) == Exit::OK;
    }
    if done {
        let _ = std::fs::remove_file(path(uuid));
        return Ok(());
    }
    let commands = after.commands(&shown.display().to_string());
    let refusal = Refusal::new(format!("the reshape of {} is done, but not what follows it", shown.display()));
    Err(refusal.hints(commands))
}

/// Another reshape is nobody's wish: the one before may have been turned.
fn moves_nothing(host: &Host, req: &GrowRequest) -> bool {
    let Ok(array) = super::open(host, req) else { return false };
    let running = Running { host, req, array, shown: Plan::default(), over: false };
    let change = gather::shape(&running).and_then(|shape| level::plan(&shape, req));
    change.is_ok_and(|change| matches!(change, level::Change::AtOnce(_)))
}

fn now(array: &ArrayDir) -> Option<Level> {
    array.get(attr::LEVEL).and_then(|w| Level::parse(&w.0))
}

fn is_settled(array: &ArrayDir) -> bool {
    use crate::sysfs::value::SyncAction;
    matches!(array.get(attr::SYNC_ACTION), None | Some(SyncAction::Idle))
}

/// As a step, to be shown.
pub(super) fn shown(after: &After, array: &str) -> Plan {
    let steps =
        after.commands(array).into_iter().map(|c| Step::Kernel { what: format!("has moved all data; then {c}") });
    Plan { steps: steps.collect() }
}
