//! `--grow --add` of a linear array.

use std::path::Path;

use super::{Manager, by_path, cannot_open};
use crate::cli::request::{ManageItem, ManageRequest};
use crate::error::Refusal;
use crate::host::Host;
use crate::plan::manage::longer;
use crate::plan::step::Plan;

/// Makes a linear array longer by each of the devices, one after another; with `--plan` gives the steps.
///
/// # Errors
/// The first device that cannot be added: those before it have been.
pub fn longer(req: &ManageRequest) -> Result<Plan, Refusal> {
    let host = Host::default();
    let array = host.open_array(&req.array).map_err(|e| Refusal::new(cannot_open(&req.array, &e)))?;
    let mut manager = Manager::new(req, &host, array);
    req.items.iter().try_for_each(|item| manager.longer_by(item))?;
    Ok(std::mem::take(&mut manager.shown))
}

impl Manager<'_> {
    fn longer_by(&mut self, item: &ManageItem) -> Result<(), Refusal> {
        let target = by_path(&item.device)?;
        let mut facts = self.facts()?;
        let running = self.running(&facts, &target.shown)?.0;
        let device = self.open_new(Path::new(&target.shown))?;
        let new = self.new_member(item, &target, running.version, &device);
        let kname = self.host.sysfs.block_name(new.dev).unwrap_or_default();
        self.execute_with(&longer::plan(&facts, &running, &new)?, Some(device))?;
        // By itself: from here on nothing is put back.
        self.execute(&longer::recorded(&facts, &new, &kname)).map_err(|e| {
            let line = format!("{} is a member of {} now, but not all superblocks say so", target.shown, facts.shown);
            Refusal::new(line).hints(e.lines).hint(format!("mdadm --stop {0} writes them", facts.shown))
        })?;
        facts.after_add(new.dev, kname, facts.slots);
        facts.slots += 1;
        self.remember(facts);
        if self.req.common.verbose >= 0 {
            self.say(format!("added {}", target.shown));
        }
        Ok(())
    }
}
