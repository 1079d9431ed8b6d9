//! What must be so before a rebuild begins.

use super::Manager;
use crate::cli::request::ManageOp;
use crate::cmd::unwritten;
use crate::error::Refusal;

impl Manager<'_> {
    /// Whether what was asked for makes the kernel rebuild a member now, or when another fails.
    pub(super) fn may_rebuild(&self) -> bool {
        let spare = || {
            let facts = self.facts().ok();
            facts.is_some_and(|f| f.members.iter().any(|m| m.slot.is_none() && !m.faulty && !m.journal))
        };
        self.req.items.iter().any(|item| match item.op {
            ManageOp::Remove | ManageOp::AddJournal | ManageOp::ClusterConfirm => false,
            ManageOp::Fail => spare(),
            ManageOp::Add | ManageOp::AddSpare | ManageOp::ReAdd | ManageOp::Replace | ManageOp::With => true,
        })
    }

    /// On a raid10 with a lockless bitmap nothing may be unwritten then.
    ///
    /// # Errors
    /// Chunks stay unwritten: a rebuild would leave out data.
    pub(super) fn leave_nothing_out(&mut self) -> Result<(), Refusal> {
        let Some(array) = &self.array else { return Ok(()) };
        let Some(marks) = unwritten::before_rebuild(self.host, array) else { return Ok(()) };
        let sysfs = array.sysfs.clone();
        self.execute(&marks.first)?;
        if self.req.common.plan || !marks.shown {
            return Ok(());
        }
        if unwritten::unwritten(&sysfs) != Some(0) {
            self.execute(&marks.all)?;
        }
        let shown = self.req.array.display().to_string();
        match unwritten::unwritten(&sysfs) {
            Some(0) => {
                if self.req.common.verbose >= 0 {
                    self.say(format!(
                        "nothing of {shown} counts as unwritten any more: this kernel would leave out data when it rebuilds a raid10"
                    ));
                }
                Ok(())
            }
            _ => Err(Refusal::new(format!(
                "chunks of {shown} stay unwritten: this kernel would leave out data when it rebuilds a raid10"
            ))
            .hint(format!(
                "is something discarding all the time (fstrim)? Else: mdadm --grow {shown} --bitmap=internal"
            ))),
        }
    }
}
