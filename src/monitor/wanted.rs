//! The arrays that are to be watched: of the command line, of the configuration.

use std::path::Path;

use super::state::{Wanted, Watch};
use crate::cli::request::MonitorRequest;
use crate::cmd::print::complain;
use crate::error::reason;
use crate::host::Host;
use crate::host::conf::{ArrayLine, Conf};
use crate::host::devmap::{block_dev, dev_of};

/// Those named, or with `--scan` those of the configuration. Of several the last one comes first, as in the reference.
#[must_use]
pub fn list(host: &Host, request: &MonitorRequest, conf: &Conf) -> Vec<Wanted> {
    let line_of = |devname: Option<&str>, path: &Path| {
        let same = |l: &&ArrayLine| {
            l.path().is_some_and(|n| n == path || devname.is_some() && host.devname_of(&n).as_deref() == devname)
        };
        conf.arrays.iter().find(same)
    };
    let mut wanted: Vec<Wanted> = if request.common.scan {
        conf.arrays.iter().filter_map(|line| configured(host, line)).collect()
    } else {
        let one = |path: &std::path::PathBuf| {
            let devname = named(host, path);
            let line = line_of(devname.as_deref(), path);
            Wanted {
                name: path.display().to_string(),
                devname,
                uuid: None,
                spares: line.and_then(|l| l.spares),
                spare_group: line.and_then(|l| l.spare_group.clone()),
            }
        };
        request.arrays.iter().map(one).collect()
    };
    wanted.reverse();
    wanted
}

fn configured(host: &Host, line: &ArrayLine) -> Option<Wanted> {
    let path = &line.path().filter(|_| !line.ignore)?;
    let name = path.display().to_string();
    let here = line.uuid.is_some_and(|uuid| host.sysfs.arrays().iter().any(|a| host.uuid_of(a) == Some(uuid)));
    let devname = if here { host.devname_of(path) } else { named(host, path) };
    let (uuid, spares) = (line.uuid, line.spares);
    Some(Wanted { devname, uuid, spares, spare_group: line.spare_group.clone(), name })
}

/// The kernel name behind a path; a line where there is none.
fn named(host: &Host, path: &Path) -> Option<String> {
    let shown = path.display();
    match std::fs::metadata(host.array_node(path)) {
        Err(e) => complain(format!("error opening {shown}: {}{}", reason(&e), host.md_hint())),
        Ok(meta) => match host.sysfs.disk_name(dev_of(&meta)).filter(|name| host.sysfs.array(name).exists()) {
            Some(devname) => return Some(devname),
            None if block_dev(path).is_some_and(|dev| dev.0 == 9) => {
                complain(format!("error opening {shown}: {}", crate::error::errno_text(libc::ENODEV)));
            }
            None => complain(format!("{shown} does not appear to be an md device")),
        },
    }
    None
}

/// Looks again for those that are not there: their path may lead to one by now.
pub fn find(host: &Host, watch: &mut Watch) {
    for watched in watch.arrays.iter_mut().filter(|w| w.last.is_none()) {
        watched.wanted.devname = host.devname_of(Path::new(&watched.wanted.name));
    }
}
