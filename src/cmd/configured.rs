//! What mdadm.conf adds to a request, and the devices it lists.

use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;

use crate::cli::request::{Common, Request};
use crate::cmd::print;
use crate::host::Host;
use crate::host::conf::{Conf, DeviceWord};
use crate::host::conf_files;
use crate::host::devmap::{DevMap, block_dev};
use crate::host::node_defaults::NodeDefaults;

/// Reads the configuration, says what is wrong with it, and fills in what was not typed: the homehost and the metadata of new
/// arrays. Nothing of this machine goes into an array made with `--offline`.
pub fn configure(request: &mut Request) -> Conf {
    let common = match request {
        Request::Show(_) => return Conf::default(),
        Request::Create(r) => &mut r.common,
        Request::Build(r) => &mut r.common,
        Request::Assemble(r) => &mut r.common,
        Request::Grow(r) => &mut r.common,
        Request::Misc(r) => &mut r.common,
        Request::Manage(r) => &mut r.common,
        Request::Incremental(r) => &mut r.common,
        Request::AutoDetect(common) => common,
        Request::Check(r) => &mut r.common,
        Request::Health(r) => &mut r.common,
        Request::Report(r) => &mut r.common,
        Request::Monitor(r) => &mut r.common,
        Request::Restore(r) => &mut r.common,
        Request::Absent(r) => &mut r.common,
        Request::NotYet(r) => &mut r.common,
    };
    if common.offline {
        return Conf::default();
    }
    let conf = conf_files::read(&Host::default(), common.config.as_deref());
    for problem in &conf.problems {
        print::complain(problem);
    }
    let (nodes, unknown) = NodeDefaults::of(&conf.create);
    unknown.iter().for_each(print::complain);
    nodes.configure();
    common.no_bbl = conf.create.bbl == Some(false);
    if common.homehost.is_none() {
        common.homehost = conf.homehost.clone().filter(|h| h != "<system>");
    }
    match request {
        Request::Create(r) => r.home_cluster = r.home_cluster.take().or_else(|| conf.homecluster.clone()),
        Request::Assemble(r) => r.home_cluster = r.home_cluster.take().or_else(|| conf.homecluster.clone()),
        _ => {}
    }
    if let Request::Create(r) = request
        && r.common.metadata.is_none()
    {
        r.common.metadata = conf.create.metadata;
        r.common.metadata_of_conf = conf.create.metadata.is_some();
    }
    conf
}

/// The devices that a scan looks at: those of the DEVICE lines, of each word the last one first, as in the reference, by the names that
/// /dev has for those in /proc/partitions.
///
/// # Errors
/// A line that says why there are none.
pub fn devices(host: &Host, conf: &Conf, common: &Common) -> Result<Vec<PathBuf>, String> {
    let standard = [DeviceWord::Partitions, DeviceWord::Containers];
    let words = if conf.devices.is_empty() { &standard[..] } else { &conf.devices };
    let mut found = Vec::new();
    for word in words {
        let devices = match word {
            DeviceWord::Partitions => partitions(host)?,
            // Containers are left alone: there is nothing in them for us.
            DeviceWord::Containers => Vec::new(),
            DeviceWord::Glob(pattern) => block_devices(pattern),
        };
        found.extend(devices.into_iter().rev());
    }
    if found.is_empty() && !words.contains(&DeviceWord::Partitions) {
        let file = common.config.as_deref().unwrap_or("/etc/mdadm.conf");
        return Err(format!("No devices listed in {file}"));
    }
    Ok(found)
}

fn partitions(host: &Host) -> Result<Vec<PathBuf>, String> {
    let map = DevMap::read(host);
    let path = |dev| map.path(dev, None).map(PathBuf::from);
    Ok(host.partitions()?.into_iter().filter_map(|(dev, _)| path(dev)).collect())
}

/// A pattern that glob(7) has no sense in matches nothing.
pub fn block_devices(pattern: &str) -> Vec<PathBuf> {
    let is_block = |p: &PathBuf| std::fs::metadata(p).is_ok_and(|m| m.file_type().is_block_device());
    glob::glob(pattern).map(|paths| paths.filter_map(Result::ok).filter(is_block).collect()).unwrap_or_default()
}

/// Whether the DEVICE lines name it: by one of the names that were given, or by one that /dev has for it.
pub fn permitted(conf: &Conf, names: &[PathBuf], dev: (u32, u32)) -> bool {
    let has = |word: &DeviceWord| match word {
        DeviceWord::Partitions => true,
        DeviceWord::Containers => false,
        DeviceWord::Glob(pattern) => {
            glob::Pattern::new(pattern).is_ok_and(|p| names.iter().any(|name| p.matches_path(name)))
                || block_devices(pattern).iter().any(|path| block_dev(path) == Some(dev))
        }
    };
    conf.devices.iter().any(has)
}
