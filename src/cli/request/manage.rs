//! Manage mode on members.

use std::path::PathBuf;

use super::{Common, MiscAction};

/// What manage mode does with a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ManageOp {
    /// `--add`
    Add,
    /// `--add-spare`
    AddSpare,
    /// `--add-journal`
    AddJournal,
    /// `--re-add`
    ReAdd,
    /// `--remove`
    Remove,
    /// `--fail`, `--set-faulty`
    Fail,
    /// `--replace`
    Replace,
    /// `--with`
    With,
    /// `--cluster-confirm`
    ClusterConfirm,
}

impl ManageOp {
    /// The option.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            ManageOp::Add => "add",
            ManageOp::AddSpare => "add-spare",
            ManageOp::AddJournal => "add-journal",
            ManageOp::ReAdd => "re-add",
            ManageOp::Remove => "remove",
            ManageOp::Fail => "fail",
            ManageOp::Replace => "replace",
            ManageOp::With => "with",
            ManageOp::ClusterConfirm => "cluster-confirm",
        }
    }

    /// The letter in the reference's messages.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            ManageOp::Add => 'a',
            ManageOp::AddSpare => 'S',
            ManageOp::AddJournal => 'j',
            ManageOp::ReAdd => 'A',
            ManageOp::Remove => 'r',
            ManageOp::Fail => 'f',
            ManageOp::Replace => 'R',
            ManageOp::With => 'W',
            ManageOp::ClusterConfirm => 'c',
        }
    }
}

/// One member with what is to be done with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManageItem {
    /// The operation that stood before it.
    pub op: ManageOp,
    /// The device as typed, or a word: `failed`, `detached`, `missing`, `set-A`, a kernel name.
    pub device: PathBuf,
    /// `--write-mostly` stood before it, or `--readwrite`, which takes the mark away.
    pub write_mostly: Option<bool>,
    /// `--failfast` stood before it, or `--nofailfast`.
    pub failfast: Option<bool>,
}

/// Manage mode on members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManageRequest {
    /// Options that every mode takes.
    pub common: Common,
    /// The array as typed.
    pub array: PathBuf,
    /// In the order typed.
    pub items: Vec<ManageItem>,
    /// `--update` with `--re-add`.
    pub update: Option<String>,
    /// `--allow-sector-size-change` (ours)
    pub any_sector_size: bool,
    /// `--readonly`: before the items.
    pub readonly: bool,
    /// `--run` or `--stop`: after the items.
    pub after: Option<MiscAction>,
}
