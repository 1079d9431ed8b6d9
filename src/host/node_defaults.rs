//! The CREATE line of mdadm.conf, as far as it is about nodes: who owns those that are made here, and names in place of numbers.

use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::sync::OnceLock;

use nix::unistd::{Group, User};

use super::conf::Create;

/// What the configuration of this run says; a program has one.
static CONFIGURED: OnceLock<NodeDefaults> = OnceLock::new();

/// How nodes of arrays are made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeDefaults {
    /// User.
    pub owner: Option<u32>,
    /// Group.
    pub group: Option<u32>,
    /// Permission bits.
    pub mode: Option<u32>,
    /// `names=yes`: an array without a number is `md_NAME`, not a number from 127 down.
    pub names: bool,
}

impl NodeDefaults {
    /// Of a configuration; a line for each user or group that there is not.
    #[must_use]
    pub fn of(create: &Create) -> (NodeDefaults, Vec<String>) {
        let mut unknown = Vec::new();
        let mut id = |name: &Option<String>, what: &str, find: fn(&str) -> Option<u32>| {
            let name = name.as_deref()?;
            let found = name.parse().ok().or_else(|| find(name));
            if found.is_none() {
                unknown.push(format!("CREATE {what} {name} not found"));
            }
            found
        };
        let owner = id(&create.owner, "user", |name| User::from_name(name).ok().flatten().map(|u| u.uid.as_raw()));
        let group = id(&create.group, "group", |name| Group::from_name(name).ok().flatten().map(|g| g.gid.as_raw()));
        (NodeDefaults { owner, group, mode: create.mode, names: create.names == Some(true) }, unknown)
    }

    /// Makes these the defaults of every [`super::Host`] from now on; the first call counts.
    pub fn configure(self) {
        let _ = CONFIGURED.set(self);
    }

    /// What was configured.
    #[must_use]
    pub fn configured() -> NodeDefaults {
        CONFIGURED.get().cloned().unwrap_or_default()
    }

    /// Gives a node to its owner.
    ///
    /// # Errors
    /// What the system reports.
    pub fn apply(&self, node: &Path) -> io::Result<()> {
        if self.owner.is_some() || self.group.is_some() {
            chown(node, self.owner, self.group)?;
        }
        match self.mode {
            Some(mode) => std::fs::set_permissions(node, std::fs::Permissions::from_mode(mode)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_looked_up_and_those_that_are_not_there_are_told() {
        let line = |owner: &str, group: &str| Create {
            owner: Some(owner.into()),
            group: Some(group.into()),
            mode: Some(0o640),
            names: Some(true),
            ..Create::default()
        };
        let (found, told) = NodeDefaults::of(&line("root", "7"));
        assert_eq!((found.owner, found.group, found.mode, found.names), (Some(0), Some(7), Some(0o640), true));
        assert!(told.is_empty());
        let (found, told) = NodeDefaults::of(&line("no such user", "no such group"));
        assert_eq!((found.owner, found.group), (None, None));
        assert_eq!(told, ["CREATE user no such user not found", "CREATE group no such group not found"]);
    }
}
