//! `--add` and `--re-add` to arrays without metadata.

use std::path::Path;

use super::Manager;
use crate::blockio::ReadAt;
use crate::cli::request::{ManageItem, ManageOp};
use crate::cmd::bitmap_file;
use crate::error::Refusal;
use crate::host::kernel_log;
use crate::plan::manage::add::{NewMember, free_number};
use crate::plan::manage::plain::{Plain, add, left_slot};
use crate::plan::manage::{ArrayFacts, Target};
use crate::sysfs::attr;
use crate::sysfs::value::{ArrayState, MetadataVersion};
use crate::units::Sectors;
use crate::uuid::Uuid;

impl Manager<'_> {
    /// What there is to know of the array; `None` where it keeps metadata, or does not run.
    pub(super) fn plain(&self) -> Option<Plain> {
        let array = self.array.as_ref()?;
        let state = array.sysfs.get(attr::ARRAY_STATE).filter(ArrayState::is_running)?;
        if array.sysfs.get(attr::METADATA_VERSION) != Some(MetadataVersion::None) {
            return None;
        }
        let block = crate::kernel::blk::logical_block_size(&array.file).unwrap_or(512);
        let size = Sectors(array.sysfs.get(attr::COMPONENT_SIZE)?.checked_mul(2)?);
        Some(Plain { size, block, readonly: state == ArrayState::Readonly })
    }

    /// Adds a device, or lets it come back by the bitmap file.
    pub(super) fn add_plain(&mut self, item: &ManageItem, target: &Target, plain: &Plain) -> Result<(), Refusal> {
        let facts = self.facts()?;
        let device = self.open_new(Path::new(&target.shown))?;
        let new = NewMember {
            shown: target.shown.clone(),
            dev: device.dev(),
            size: device.size().sectors(),
            block: device.logical_block_size(),
            uuid: Uuid([0; 16]),
            write_mostly: item.write_mostly == Some(true),
            failfast: item.failfast == Some(true),
            stale_supers: Vec::new(),
            any_block: self.req.any_sector_size,
            no_log: true,
            journal: false,
        };
        let again = item.op == ManageOp::ReAdd;
        let slot = if again { Some(self.left_slot(&facts, target)?) } else { None };
        let plan = add(&facts, plain, &new, slot)?;
        self.execute_with(&plan, Some(device))?;
        let mut facts = facts.clone();
        let kname = self.host.sysfs.block_name(new.dev).unwrap_or_default();
        let number = free_number(&facts);
        facts.after_add(new.dev, kname, number);
        self.remember(facts);
        self.came_back = again;
        if self.req.common.verbose >= 0 {
            self.say(format!("{} {}", if again { "re-added" } else { "added" }, target.shown));
            if again {
                let shown = &target.shown;
                self.say(format!("note: {shown} is believed to be the member that failed: it has nothing that tells"));
            }
        }
        Ok(())
    }

    fn left_slot(&self, facts: &ArrayFacts, target: &Target) -> Result<u32, Refusal> {
        let refuse = |why: &str| {
            let line = format!(
                "Cannot re-add member device {} to {}, array is not persistent, aborting.",
                target.shown, facts.devname
            );
            Refusal::new(line).hint(format!("{why}; --add would rebuild it fully"))
        };
        if self.array.as_ref().and_then(bitmap_file::of_array).is_none() {
            return Err(refuse("there is no bitmap file that tells what it missed"));
        }
        let kname = target.dev.and_then(|dev| self.host.sysfs.block_name(dev)).unwrap_or_default();
        let log = kernel_log::history(&self.host.dev, None);
        left_slot(facts, &log, &kname).map_err(|why| refuse(&why))
    }
}
