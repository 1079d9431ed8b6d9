//! Ours: lines behind those of the reference, with keys that it never prints.

use std::fmt::Write;

use super::{Member, MemberBitmap};
use crate::bitmap::header::{Kind, state};
use crate::bitmap::lockless::ChunkState;
use crate::bitmap::summary::{BitmapSummary, Counts};
use crate::superblock::v1::{OldestKernel, oldest_kernel};

impl Member {
    /// The lockless bitmap, where the member has one.
    #[must_use]
    pub fn lockless(&self) -> Option<(&BitmapSummary, Option<&Counts>)> {
        match &self.bitmap {
            Some(MemberBitmap::Known { summary, counts }) if summary.kind == Kind::Lockless => {
                Some((summary, counts.as_ref()))
            }
            _ => None,
        }
    }

    /// See [`oldest_kernel`].
    #[must_use]
    pub fn oldest_kernel(&self) -> Option<OldestKernel> {
        oldest_kernel(&self.sb, self.lockless().is_some())
    }

    /// The bitmap's type, chunks and what they are.
    pub(super) fn lockless_lines(&self, out: &mut String) {
        let Some((summary, counts)) = self.lockless() else { return };
        out.push_str("    Bitmap Type : lockless\n");
        if summary.first_use {
            out.push_str("  Bitmap States : not started yet: the kernel chooses the chunk at the first start\n");
        }
        if let Some(bytes) = summary.chunk_bytes {
            let _ = writeln!(out, "   Bitmap Chunk : {}K", bytes / 1024);
        }
        if let Some(chunks) = summary.chunks {
            let _ = writeln!(out, "  Bitmap Chunks : {chunks}");
        }
        if let Some(Counts::States(states)) = counts {
            let invalid = (states.invalid > 0).then(|| format!("{} invalid", states.invalid));
            let words: Vec<String> = ChunkState::ALL
                .into_iter()
                .filter(|s| states.get(*s) > 0)
                .map(|s| format!("{} {}", states.get(s), s.name()))
                .chain(invalid)
                .collect();
            let _ = writeln!(out, "  Bitmap States : {}", words.join(", "));
        }
    }

    /// What is odd about the bitmap.
    pub(super) fn odd_lines(&self, out: &mut String) {
        if let Some((summary, _)) = self.lockless()
            && self.sb.is_in_sync()
            && !summary.first_use
        {
            let (events, array) = (summary.sb.events(), self.sb.events());
            let what = match events < array {
                true => format!("its events, {events}, are behind the member's, {array}"),
                false if summary.sb.state() & state::STALE != 0 => "it says so itself".to_owned(),
                false => String::new(),
            };
            if !what.is_empty() {
                let _ = writeln!(out, "   Bitmap Fault : out of date: {what}; all written chunks are resynced");
            }
        }
        for why in &self.odd {
            let _ = writeln!(out, "   Bitmap Fault : {why}");
        }
    }

    /// The oldest kernel, for `--verbose`.
    pub(super) fn kernel_line(&self, out: &mut String) {
        if let Some(kernel) = self.oldest_kernel() {
            let _ = writeln!(out, "  Oldest Kernel : {} ({})", kernel.version_text(), kernel.reasons.join("; "));
        }
    }
}
