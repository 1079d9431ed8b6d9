//! Whether the kernel can keep a lockless bitmap.
//!
//! The kernel says so only in `md/bitmap_type` of an array that exists (6.18 and later), running or not: the words are those of
//! the bitmap types that are built in. Seen on 7.2: `none [bitmap] llbitmap`.
#![forbid(unsafe_code)]

use super::value::{ChoiceList, FromAttr};

/// One of the words of `md/bitmap_type`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BitmapType {
    /// `none`, `bitmap`, `llbitmap`
    pub name: String,
    /// In brackets: chosen for this array, though it need not have a bitmap.
    pub active: bool,
}

/// What the kernel offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LlbitmapSupport {
    /// `llbitmap` can be chosen.
    Yes,
    /// There is a choice, but not this one: CONFIG_MD_LLBITMAP is off.
    NotBuiltIn,
    /// There is no choice: the kernel is older than 6.18.
    TooOld,
}

impl LlbitmapSupport {
    /// What a kernel of this release lacks for a lockless bitmap, in words.
    #[must_use]
    pub fn missing(self, release: &str) -> Option<String> {
        match self {
            LlbitmapSupport::Yes => None,
            LlbitmapSupport::NotBuiltIn => Some(format!(
                "a lockless bitmap takes what this kernel ({release}) was built without: CONFIG_MD_LLBITMAP"
            )),
            LlbitmapSupport::TooOld => {
                Some(format!("a lockless bitmap takes Linux 6.18 or later; this kernel is {release}"))
            }
        }
    }
}

pub(super) fn bitmap_types(text: &str) -> Vec<BitmapType> {
    let list = ChoiceList::from_attr(text).unwrap_or(ChoiceList { words: Vec::new(), active: None });
    let active = list.active;
    list.words.into_iter().map(|name| BitmapType { active: active.as_ref() == Some(&name), name }).collect()
}

pub(super) fn support(types: Option<&[BitmapType]>) -> LlbitmapSupport {
    match types {
        None => LlbitmapSupport::TooOld,
        Some(t) if t.iter().any(|t| t.name == "llbitmap") => LlbitmapSupport::Yes,
        Some(_) => LlbitmapSupport::NotBuiltIn,
    }
}
