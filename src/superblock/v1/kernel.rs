//! Which kernels can assemble a member.

use super::SuperV1;

/// The oldest kernel that can assemble an array, with the reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldestKernel {
    /// Major and minor number.
    pub version: (u32, u32),
    /// What older kernels lack.
    pub reasons: Vec<&'static str>,
}

impl OldestKernel {
    /// `6.19`
    #[must_use]
    pub fn version_text(&self) -> String {
        format!("{}.{}", self.version.0, self.version.1)
    }
}

/// The oldest kernel for a member with this superblock; `None` where nothing in it is newer than every kernel in use.
///
/// 6.19 and later record the array's logical block size in a field that older kernels require to be 0
/// (`super_1_load`); lockless bitmaps came with 6.18 (seen on 7.2, and the kernel's history).
#[must_use]
pub fn oldest_kernel(sb: &SuperV1, lockless: bool) -> Option<OldestKernel> {
    let records_block_size = sb.logical_block_size() != 0;
    let needs =
        [(records_block_size, (6, 19), "the logical block size is recorded"), (lockless, (6, 18), "lockless bitmap")];
    let reasons: Vec<_> = needs.iter().filter(|n| n.0).collect();
    let version = reasons.iter().map(|n| n.1).max()?;
    Some(OldestKernel { version, reasons: reasons.iter().map(|n| n.2).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_need_decides_and_all_reasons_are_told() {
        let mut sb = SuperV1::empty();
        assert_eq!(oldest_kernel(&sb, false), None);
        assert_eq!(oldest_kernel(&sb, true).unwrap().version_text(), "6.18");
        sb.set_logical_block_size(512);
        let both = oldest_kernel(&sb, true).unwrap();
        assert_eq!((both.version_text().as_str(), both.reasons.len()), ("6.19", 2));
    }
}
