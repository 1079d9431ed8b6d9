//! `--add-journal`, and `--re-add` of a journal.

use std::path::Path;

use super::Manager;
use crate::blockio::ReadAt;
use crate::cli::request::ManageItem;
use crate::device::real::RealDevice;
use crate::error::Refusal;
use crate::plan::manage::add::Running;
use crate::plan::manage::{ArrayFacts, Target, journal};
use crate::superblock::v1::{self, Role, SuperV1};

impl Manager<'_> {
    /// A new journal; or the array's own, which then keeps what it holds.
    pub(super) fn add_journal(&mut self, item: &ManageItem, target: &Target) -> Result<(), Refusal> {
        let facts = self.facts()?;
        let device = self.open_new(Path::new(&target.shown))?;
        let running = self.running(&facts, &target.shown)?.0;
        journal::takes_a_journal(&facts, &running, &target.shown)?;
        let former = running.version.minor().and_then(|minor| v1::read(&device, minor).ok().flatten());
        if let Some(former) = former.filter(|f| journal::is_current(&running, f, device.size().sectors()).is_ok()) {
            self.back(item, target, &facts, &running, &former, device)?;
            self.say_added(target);
            self.say(format!("{} is the array's own journal: what it held has been replayed", target.shown));
            return Ok(());
        }
        let mut new = self.new_member(item, target, running.version, &device);
        new.journal = true;
        let plan = journal::new(&facts, &running, &new)?;
        self.execute_with(&plan, Some(device)).map_err(|e| explained(target, &facts, e))?;
        self.writable(&facts)?;
        self.journal_is_there(&facts, new.dev);
        self.say_added(target);
        Ok(())
    }

    /// `--re-add` of a device that was a journal; `None` where it was none.
    pub(super) fn journal_back(
        &mut self,
        item: &ManageItem,
        target: &Target,
        facts: &ArrayFacts,
        running: &Running,
        device: RealDevice,
    ) -> Result<Option<RealDevice>, Refusal> {
        let former = running.version.minor().and_then(|minor| v1::read(&device, minor).ok().flatten());
        let Some(former) = former else { return Ok(Some(device)) };
        if former.role() != Role::Journal || former.set_uuid() != running.sb.set_uuid() {
            return Ok(Some(device));
        }
        let not_possible = |why: Vec<String>| super::readd::not_possible(target, facts, why);
        journal::takes_a_journal(facts, running, &target.shown).map_err(|e| not_possible(e.lines))?;
        journal::is_current(running, &former, device.size().sectors()).map_err(|why| {
            not_possible(vec![format!("{}: {why}; --add-journal makes a new journal of it", target.shown)])
        })?;
        self.back(item, target, facts, running, &former, device)?;
        if self.req.common.verbose >= 0 {
            self.say(format!("re-added {}", target.shown));
        }
        Ok(None)
    }

    fn back(
        &mut self,
        item: &ManageItem,
        target: &Target,
        facts: &ArrayFacts,
        running: &Running,
        former: &SuperV1,
        device: RealDevice,
    ) -> Result<(), Refusal> {
        let new = self.new_member(item, target, running.version, &device);
        drop(device);
        self.execute(&journal::back(facts, former, &new)).map_err(|e| explained(target, facts, e))?;
        self.came_back = true;
        self.writable(facts)?;
        self.journal_is_there(facts, new.dev);
        Ok(())
    }

    fn writable(&mut self, facts: &ArrayFacts) -> Result<(), Refusal> {
        if self.req.common.verbose >= 0 {
            self.say(format!("Journal added successfully, making {} read-write", facts.shown));
        }
        self.execute(&journal::writable(facts))
    }

    fn journal_is_there(&mut self, facts: &ArrayFacts, dev: (u32, u32)) {
        let mut facts = facts.clone();
        let kname = self.host.sysfs.block_name(dev).unwrap_or_default();
        facts.after_add(dev, kname, u32::MAX);
        if let Some(member) = facts.members.last_mut() {
            member.journal = true;
        }
        self.remember(facts);
    }

    fn say_added(&self, target: &Target) {
        if self.req.common.verbose >= 0 {
            self.say(format!("added {}", target.shown));
        }
    }
}

fn explained(target: &Target, facts: &ArrayFacts, e: Refusal) -> Refusal {
    journal::failed(&target.shown, &facts.shown).hints(e.lines)
}
