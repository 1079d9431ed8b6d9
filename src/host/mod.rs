//! The machine around the arrays: device nodes and names, the map file, /proc/mdstat, udev, who holds a device.

pub mod conf;
pub mod conf_files;
pub mod devmap;
pub mod holders;
pub mod identity;
pub mod interrupt;
pub mod kernel_log;
pub mod map;
pub mod mdstat;
pub mod names;
pub mod node;
pub mod node_defaults;
mod node_wait;
pub mod partitions;
pub mod personality;
pub mod place;
pub mod saved;
pub mod udev;

use std::path::PathBuf;
use std::time::Duration;

use crate::sysfs::Sysfs;

/// Where the machine keeps its things; tests give other roots.
#[derive(Debug, Clone)]
pub struct Host {
    /// `/sys`
    pub sysfs: Sysfs,
    /// `/dev`
    pub dev: PathBuf,
    /// `/run/mdadm`
    pub run: PathBuf,
    /// `/run/udev`: there while udev runs.
    pub udev: PathBuf,
    /// `/etc`
    pub etc: PathBuf,
    /// `/proc`
    pub proc: PathBuf,
    /// What this command overwrites is saved here.
    pub saved: saved::SavedFile,
    /// `MDADM_NO_UDEV=1` is set: make nodes and links ourselves, whether udev runs or not.
    pub no_udev: bool,
    /// How nodes of arrays are made.
    pub nodes: node_defaults::NodeDefaults,
    /// MDADM_CONF_AUTO: words in front of the AUTO line.
    pub conf_auto: Option<String>,
    /// MDADM_DEVICE_WAIT, in seconds: how long a scan waits for a device that does not answer.
    pub device_wait: Duration,
}

/// As long as the kernel gives a SCSI command.
const DEVICE_WAIT: Duration = Duration::from_secs(30);

impl Default for Host {
    fn default() -> Self {
        Host {
            sysfs: Sysfs::default(),
            dev: "/dev".into(),
            run: "/run/mdadm".into(),
            udev: "/run/udev".into(),
            etc: "/etc".into(),
            proc: "/proc".into(),
            saved: saved::SavedFile::default(),
            no_udev: std::env::var("MDADM_NO_UDEV").is_ok_and(|v| v == "1"),
            nodes: node_defaults::NodeDefaults::configured(),
            conf_auto: std::env::var("MDADM_CONF_AUTO").ok(),
            device_wait: std::env::var("MDADM_DEVICE_WAIT")
                .ok()
                .and_then(|v| v.parse().ok())
                .map_or(DEVICE_WAIT, Duration::from_secs),
        }
    }
}

impl Host {
    /// The arrays in /proc/mdstat, in its order; none where it cannot be read (no md in the kernel).
    #[must_use]
    pub fn mdstat(&self) -> mdstat::MdStat {
        mdstat::parse(&std::fs::read_to_string(self.proc.join("mdstat")).unwrap_or_default())
    }

    /// The map file.
    #[must_use]
    pub fn map(&self) -> map::MapDir {
        map::MapDir::at(&self.run)
    }

    /// The kernel's release, `7.2.13`.
    #[must_use]
    pub fn release(&self) -> String {
        nix::sys::utsname::uname().map(|u| u.release().to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// The name of this host, as in the `homehost` of new arrays.
    #[must_use]
    pub fn hostname(&self) -> String {
        nix::sys::utsname::uname().map(|u| u.nodename().to_string_lossy().into_owned()).unwrap_or_default()
    }
}
