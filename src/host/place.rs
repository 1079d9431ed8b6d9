//! Where devices are, for the lines of POLICY.

use std::path::Path;

use super::Host;
use super::devmap::block_dev;
use crate::plan::policy::Place;
use crate::sysfs::value::MetadataVersion;
use crate::sysfs::{ArrayDir, attr};

impl Host {
    /// Where a device is: by the links that there are, and by those that were `named`, which udev may be about to make.
    #[must_use]
    pub fn place_of(&self, dev: (u32, u32), named: &[String]) -> Place {
        let links = std::fs::read_dir(self.dev.join("disk/by-path")).into_iter().flatten().filter_map(Result::ok);
        let links = links.filter(|l| block_dev(&l.path()) == Some(dev));
        let mut paths: Vec<String> = links.filter_map(|l| l.file_name().into_string().ok()).collect();
        paths.extend(named.iter().filter(|n| !paths.contains(n)).cloned().collect::<Vec<_>>());
        let partition = self.sysfs.root().join(format!("dev/block/{}:{}/partition", dev.0, dev.1)).exists();
        Place { paths, partition }
    }

    /// A path's name in /dev/disk/by-path.
    #[must_use]
    pub fn by_path(&self, path: &Path) -> Option<String> {
        let inside = path.strip_prefix(self.dev.join("disk/by-path")).ok()?;
        inside.to_str().map(str::to_owned)
    }
}

/// The word that `metadata=` has to match for an array; none where it has none, or another's.
#[must_use]
pub fn metadata_word(array: &ArrayDir) -> Option<&'static str> {
    match array.get(attr::METADATA_VERSION) {
        Some(MetadataVersion::Md { major: 0, .. }) => Some("0.90"),
        Some(MetadataVersion::Md { .. }) => Some("1.x"),
        _ => None,
    }
}
