//! `--kill-subarray`, `--update-subarray`: arrays with native metadata have no subarrays, and sets of other formats are left alone.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::apply::reason;
use super::print::complain;
use crate::error::Exit;
use crate::host::Host;
use crate::host::devmap::dev_of;
use crate::sysfs::attr;

/// Says why there is nothing to change.
#[must_use]
pub fn run(path: &Path) -> Exit {
    let shown = path.display();
    let line = match std::fs::metadata(path) {
        Err(e) => {
            complain(format!("Couldn't open {shown}, aborting"));
            format!("{shown}: {}", reason(&e))
        }
        Ok(meta) if meta.is_dir() => {
            complain(format!("Couldn't open {shown}, aborting"));
            format!("{shown} is a directory")
        }
        Ok(meta) if !meta.file_type().is_block_device() => format!("Failed to determine device number for {shown}"),
        Ok(meta) => {
            let host = Host::default();
            let name = host.sysfs.block_name(dev_of(&meta)).filter(|n| host.sysfs.array(n).exists());
            match name.map(|n| host.sysfs.array(&n).get(attr::LEVEL).map(|l| l.0)) {
                None => format!("Failed to read sysfs for {shown}"),
                Some(Some(level)) if level == "container" => {
                    format!("{shown} is a container: sets of DDF and IMSM are only recognised, nothing was changed")
                }
                Some(_) => format!("{shown} is not a container"),
            }
        }
    };
    complain(line);
    Exit::USAGE
}
