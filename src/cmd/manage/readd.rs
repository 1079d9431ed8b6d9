//! `--re-add`, and `--add` of a device that was a member before.

use std::path::{Path, PathBuf};

use super::{Manager, by_path};
use crate::blockio::ReadAt;
use crate::cli::request::{Common, ManageItem, ManageOp, ManageRequest};
use crate::cmd::print::{complain, out};
use crate::cmd::save;
use crate::device::real::{Access, RealDevice};
use crate::error::{Refusal, reason};
use crate::host::Host;
use crate::host::devmap::DevMap;
use crate::host::kernel_log;
use crate::host::node::OpenArray;
use crate::plan::manage::add::{NewMember, Running, spec};
use crate::plan::manage::late::{in_its_place, judge_late, since_start};
use crate::plan::manage::readd::{Verdict, judge, unbroken};
use crate::plan::manage::update::{log_must_stay, update};
use crate::plan::manage::{ArrayFacts, Member, Target, remove};
use crate::plan::step::{Plan, Step};
use crate::superblock::v1::{Role, SuperV1, bad_blocks, devflag};
use crate::units::Sectors;
use crate::uuid::Uuid;

/// `--incremental`: a bare device becomes a spare.
///
/// # Errors
/// Why the array does not take it.
pub fn new_spare(host: &Host, common: &Common, array: OpenArray, device: &Path) -> Result<(), Refusal> {
    let req = request(common, &array);
    let mut manager = Manager::new(&req, host, array);
    manager.leave_nothing_out()?;
    manager.add_spare(&item(ManageOp::AddSpare, device), &by_path(device)?)?;
    if common.plan {
        out(&save::shown(host, common, &manager.shown));
    }
    Ok(())
}

fn item(op: ManageOp, device: &Path) -> ManageItem {
    ManageItem { op, device: device.to_owned(), write_mostly: None, failfast: None }
}

/// A request that names nothing yet.
fn request(common: &Common, array: &OpenArray) -> ManageRequest {
    ManageRequest {
        common: common.clone(),
        array: array.name.path.clone(),
        items: Vec::new(),
        update: None,
        any_sector_size: false,
        readonly: false,
        after: None,
    }
}

/// `--incremental`: a device comes whose array runs. It is added as the member that it was where that is safe, with `full`
/// else as a spare, which is rebuilt.
///
/// # Errors
/// Why it cannot come back.
pub fn late(host: &Host, common: &Common, array: OpenArray, device: &Path, full: bool) -> Result<(), Refusal> {
    let req = request(common, &array);
    let mut manager = Manager::new(&req, host, array);
    manager.leave_nothing_out()?;
    manager.late(&item(ManageOp::ReAdd, device), &by_path(device)?, full)?;
    if common.plan {
        out(&save::shown(host, common, &manager.shown));
    }
    Ok(())
}

impl Manager<'_> {
    fn late(&mut self, item: &ManageItem, target: &Target, full: bool) -> Result<(), Refusal> {
        let facts = self.facts()?;
        let device = self.open_new(Path::new(&target.shown))?;
        let running = self.running(&facts, &target.shown)?.0;
        let Some(device) = self.journal_back(item, target, &facts, &running, device)? else { return Ok(()) };
        let former = match self.superblock_on(&device, running.version, &target.shown) {
            Some(Ok((former, _))) => former,
            Some(Err(why)) => return Err(Refusal::new(format!("its superblock cannot be used: {why}"))),
            None => return Err(Refusal::new("it has no superblock of this array")),
        };
        if let Some(there) = in_its_place(&facts, &former) {
            let (shown, other, slot) = (&target.shown, &there.kname, there.slot.unwrap_or_default());
            let line =
                format!("{shown} is a copy of {other}, or of what {other} was before: slot {slot} is taken by it");
            return Err(Refusal::new(line).hint(format!(
                "if {shown} is of a cloned array: mdadm --assemble --update=uuid with all members of the clone gives it a uuid of its own"
            )));
        }
        let kname = target.dev.and_then(|d| self.host.sysfs.block_name(d)).unwrap_or_default();
        let log = || self.log_proves(&facts, &kname, &former, true);
        match judge_late(&facts, &running, &former, device.size().sectors(), log) {
            Verdict::Proven(slot) => self.by_bitmap(item, target, &facts, &former, slot, (&running, device)),
            _ if full => self.add_as_new(item, target, &facts, &running, device),
            verdict => Err(Refusal::new(format!("{}: {}", target.shown, verdict.why()))
                .hint(format!("mdadm {} --add {} rebuilds it fully", facts.shown, target.shown))),
        }
    }

    /// What the kernel log says of the time since a member left; `started`: a start with its events will do.
    fn log_proves(&self, facts: &ArrayFacts, kname: &str, former: &SuperV1, started: bool) -> Result<(), String> {
        let last = self.array.as_ref().and_then(|a| a.sysfs.text("last_sync_action").ok().flatten());
        // A kernel that does not say it may have rebuilt anything.
        let last = last.unwrap_or_else(|| "recover".into());
        let left = i64::try_from(former.utime()).unwrap_or(i64::MAX);
        let mark = format!("mdadm: can {kname} come back into {} by the bitmap?", facts.devname);
        // With --plan too: only the log is written to, and with another clock a plan may show what is not done.
        let log = kernel_log::history(&self.host.dev, Some(mark.as_str()));
        let proven = unbroken(&log, &facts.devname, kname, left, last.trim());
        match proven {
            Err(_) if started => since_start(&log, &facts.devname, former.events()),
            proven => proven,
        }
    }

    /// `--add`, `--re-add`: by the bitmap where that is proven to be enough.
    pub(super) fn come_back(&mut self, item: &ManageItem, target: &Target) -> Result<(), Refusal> {
        if let Some(plain) = self.plain() {
            return self.add_plain(item, target, &plain);
        }
        let facts = self.facts()?;
        let member = facts.find(target).map(|(_, m)| m.clone());
        if let Some(member) = member.filter(|m| m.faulty && item.op == ManageOp::ReAdd) {
            return self.faulty_member_back(item, target, &facts, &member);
        }
        let device = self.open_new(Path::new(&target.shown))?;
        let (running, good) = self.running(&facts, &target.shown)?;
        let device = match item.op {
            ManageOp::ReAdd => match self.journal_back(item, target, &facts, &running, device)? {
                Some(device) => device,
                None => return Ok(()),
            },
            _ => device,
        };
        let (verdict, former) = self.judged(&facts, &running, &device, target);
        let again = item.op == ManageOp::ReAdd;
        match (verdict, former) {
            (Verdict::Proven(slot), Some(former)) => {
                match self.by_bitmap(item, target, &facts, &former, slot, (&running, device)) {
                    Ok(()) => {
                        self.say_missed(target, &running, &good);
                        Ok(())
                    }
                    Err(refusal) if again && self.req.update.is_some() => Err(refusal),
                    Err(refusal) if again => Err(not_possible(target, &facts, refusal.lines)),
                    Err(_) => {
                        let device = self.open_new(Path::new(&target.shown))?;
                        self.add_as_new(item, target, &facts, &running, device)
                    }
                }
            }
            (verdict @ Verdict::Unproven(..), _) => {
                self.add_as_new(item, target, &facts, &running, device)?;
                self.say_unproven(target, &verdict, &running);
                Ok(())
            }
            (verdict @ (Verdict::Never(_) | Verdict::NoBitmap(_)), _) if again => {
                let why = format!("{}: {}; --add would rebuild it fully", target.shown, verdict.why());
                Err(not_possible(target, &facts, vec![why]))
            }
            _ => self.add_as_new(item, target, &facts, &running, device),
        }
    }

    /// Whether what is on a device can come back, and its superblock.
    fn judged(
        &self,
        facts: &ArrayFacts,
        running: &Running,
        device: &RealDevice,
        target: &Target,
    ) -> (Verdict, Option<SuperV1>) {
        match self.superblock_on(device, running.version, &target.shown) {
            None => (Verdict::Never("it has no superblock of this array".into()), None),
            Some(Err(why)) => (Verdict::Never(format!("its superblock cannot be used: {why}")), None),
            Some(Ok((former, _))) => (self.verdict(facts, running, &former, device, target), Some(former)),
        }
    }

    fn verdict(
        &self,
        facts: &ArrayFacts,
        running: &Running,
        former: &SuperV1,
        device: &RealDevice,
        target: &Target,
    ) -> Verdict {
        let kname = target.dev.and_then(|d| self.host.sysfs.block_name(d)).unwrap_or_default();
        judge(facts, running, former, device.size().sectors(), || self.log_proves(facts, &kname, former, false))
    }

    /// Tells the kernel that the device is the member of this slot.
    fn by_bitmap(
        &mut self,
        item: &ManageItem,
        target: &Target,
        facts: &ArrayFacts,
        former: &SuperV1,
        slot: u32,
        (running, device): (&Running, RealDevice),
    ) -> Result<(), Refusal> {
        use crate::kernel::md::disk;
        let mut steps = self.update(target, running, former, &device)?;
        let had = |flag: u8| former.devflags() & flag != 0;
        let back = NewMember {
            shown: target.shown.clone(),
            dev: target.dev.unwrap_or_default(),
            size: Sectors(0),
            block: 512,
            uuid: Uuid([0; 16]),
            write_mostly: item.write_mostly.unwrap_or(had(devflag::WRITE_MOSTLY)),
            failfast: item.failfast.unwrap_or(had(devflag::FAILFAST)),
            stale_supers: Vec::new(),
            any_block: false,
            no_log: false,
            journal: false,
        };
        let raid_disk = i32::try_from(slot).unwrap_or(-1);
        let spec = spec(&back, former.dev_number(), raid_disk, disk::ACTIVE | disk::SYNC);
        let path = PathBuf::from(&target.shown);
        steps.push(Step::AddDisk { devname: facts.devname.clone(), device: path, spec });
        self.execute_with(&Plan { steps }, Some(device))?;
        let mut facts = facts.clone();
        let kname = self.host.sysfs.block_name(back.dev).unwrap_or_default();
        facts.after_add(back.dev, kname, former.dev_number());
        self.remember(facts);
        self.came_back = true;
        if self.req.common.verbose >= 0 {
            self.say(format!("re-added {}", target.shown));
        }
        Ok(())
    }

    /// `--update`: the superblock as it will be, durable before the kernel reads it.
    fn update(
        &self,
        target: &Target,
        running: &Running,
        former: &SuperV1,
        device: &RealDevice,
    ) -> Result<Vec<Step>, Refusal> {
        let Some(word) = &self.req.update else { return Ok(Vec::new()) };
        let failed = |why: String| {
            let why = format!("{}: --update={word}: {why}; nothing was changed", target.shown);
            Refusal::new("failed to update superblock during re-add").hint(why)
        };
        let bad = bad_blocks(device, former).map_err(|e| failed(e.to_string()))?;
        if log_must_stay(word, &bad) {
            complain(format!("Cannot remove active bbl from {}", self.req.array.display()));
            complain(format!("bad blocks are recorded on {}: --update=force-no-bbl forgets them", target.shown));
            return Ok(Vec::new());
        }
        let Some(sb) = update(word, running, former, device.size().sectors()).map_err(failed)? else {
            return Ok(Vec::new());
        };
        let path = device.path().to_owned();
        let bytes = sb.write_bytes(device.logical_block_size()).to_vec();
        let (offset, what) = (sb.super_offset().saturating_mul(512), format!("superblock, {word}"));
        Ok(vec![Step::Write { device: path.clone(), offset, bytes, what }, Step::Sync { device: path }])
    }

    /// A member that failed and is still attached.
    fn faulty_member_back(
        &mut self,
        item: &ManageItem,
        target: &Target,
        facts: &ArrayFacts,
        member: &Member,
    ) -> Result<(), Refusal> {
        let (running, good) = self.running(facts, &target.shown)?;
        let path = member.dev.and_then(|dev| self.node(dev, &member.kname, &mut None));
        let path = path.ok_or_else(|| not_possible(target, facts, vec!["it has no node in /dev".into()]))?;
        let device = RealDevice::open(&path, Access::Read)
            .map_err(|e| not_possible(target, facts, vec![format!("{}: {}", path.display(), reason(&e))]))?;
        let (verdict, former) = self.judged(facts, &running, &device, target);
        match (verdict, former) {
            (Verdict::Proven(slot), Some(former)) if self.req.update.is_some() => {
                // What cannot be changed is refused while it is still attached.
                self.update(target, &running, &former, &device)?;
                drop(device);
                let (target, facts, device) = self.detach(facts, target, member, &path)?;
                self.by_bitmap(item, &target, &facts, &former, slot, (&running, device))?;
                self.say_missed(&target, &running, &good);
                Ok(())
            }
            (Verdict::Proven(_), _) => {
                let attr = format!("dev-{}/state", member.kname.replace('/', "!"));
                let devname = facts.devname.clone();
                let step = Step::Sysfs { devname, attr, value: "re-add".into(), verify: None };
                self.execute(&Plan { steps: vec![step] })?;
                self.came_back = true;
                self.say(format!("re-add {} to {} succeed", target.shown, facts.devname));
                self.say_missed(target, &running, &good);
                Ok(())
            }
            // Not possible without a bitmap once it is removed, as with the reference; so long as it is attached it is.
            (verdict @ (Verdict::Unproven(..) | Verdict::NoBitmap(_)), _) => {
                drop(device);
                let (target, facts, device) = self.detach(facts, target, member, &path)?;
                self.add_as_new(item, &target, &facts, &running, device)?;
                self.say_unproven(&target, &verdict, &running);
                Ok(())
            }
            (Verdict::Never(why), _) => {
                let why = format!("{}: {why}; --remove and --add would rebuild it fully", target.shown);
                Err(not_possible(target, facts, vec![why]))
            }
        }
    }

    /// Takes a failed member out and opens it for itself; gives the array without it.
    fn detach(
        &mut self,
        facts: &ArrayFacts,
        target: &Target,
        member: &Member,
        path: &Path,
    ) -> Result<(Target, ArrayFacts, RealDevice), Refusal> {
        self.execute(&remove(facts, target)?)?;
        let mut facts = facts.clone();
        facts.after_remove(target);
        self.remember(facts.clone());
        let access = if self.req.common.plan { Access::Read } else { Access::WriteExclusive };
        let device = RealDevice::open(path, access)
            .map_err(|e| not_possible(target, &facts, vec![format!("{}: {}", path.display(), reason(&e))]))?;
        let target = Target { shown: path.display().to_string(), dev: member.dev, kname: None };
        Ok((target, facts, device))
    }

    /// `--re-add missing`: every device that has a place in this array by its superblock, and is no member.
    pub(super) fn missing(&self, facts: &ArrayFacts) -> Result<Vec<Target>, Refusal> {
        if self.plain().is_some() {
            let name = &facts.devname;
            let why = format!("Cannot re-add member device missing to {name}, array is not persistent, aborting.");
            return Err(Refusal::new(why));
        }
        let running = self.running(facts, "missing devices")?.0;
        let mut found = Vec::new();
        let map = DevMap::read(self.host);
        for dev in map.devices() {
            if facts.members.iter().any(|m| m.dev == Some(dev)) {
                continue;
            }
            let Some(path) = map.path(dev, self.req.common.prefer.as_deref()).map(PathBuf::from) else { continue };
            let Ok(device) = RealDevice::open(&path, Access::ReadExclusive) else { continue };
            let shown = path.display().to_string();
            let Some(Ok((sb, _))) = self.superblock_on(&device, running.version, &shown) else { continue };
            if sb.set_uuid() == running.sb.set_uuid() && matches!(sb.role(), Role::Slot(_)) {
                found.push(by_path(&path)?);
            }
        }
        Ok(found)
    }
}

pub(super) fn not_possible(target: &Target, facts: &ArrayFacts, why: Vec<String>) -> Refusal {
    let line = format!("--re-add for {} to {} is not possible", target.shown, facts.shown);
    Refusal::new(line).hints(why)
}
