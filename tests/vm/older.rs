//! Tests that need what an older kernel has not: there they assert that it is refused, instead of being skipped.

use super::{MIB, disks, in_guest, mdadm, sh, write_pattern};
use std::sync::OnceLock;

/// Whether the guest's kernel was built with an option, such as `CONFIG_MD_LLBITMAP=y`.
#[track_caller]
pub fn kernel_has(option: &str) -> bool {
    static CONFIG: OnceLock<String> = OnceLock::new();
    assert!(in_guest(), "the kernel of the guest is meant");
    CONFIG.get_or_init(|| sh("zcat /proc/config.gz")).lines().any(|line| line == option)
}

/// Declares a test that needs a lockless bitmap. On a kernel without it this asserts that ours refuses to create one before
/// anything is written and says what is missing, and returns `true`: the test is then done.
#[must_use]
#[track_caller]
pub fn lockless_is_refused() -> bool {
    if kernel_has("CONFIG_MD_LLBITMAP=y") {
        return false;
    }
    let members = disks(2, 20 * MIB);
    members.iter().for_each(|m| write_pattern(m, 0, 20 * MIB, 9));
    let content = || sh(&format!("sync; echo 3 >/proc/sys/vm/drop_caches; cat {} | sha256sum", members.join(" ")));
    let before = content();
    let arrays = || {
        sh("ls /sys/block /dev/md; cat /run/mdadm/map 2>/dev/null || true; ls /var/lib/mdadm-rs 2>/dev/null || true")
    };
    let arrays_before = arrays();
    let create = format!("--create /dev/md/refused --run -l1 -n2 --bitmap=lockless {}", members.join(" "));
    let out = mdadm(&create);
    let release = sh("uname -r");
    let missing = if kernel_has("CONFIG_MD_BITMAP=y") {
        format!(
            "mdadm: a lockless bitmap takes what this kernel ({}) was built without: CONFIG_MD_LLBITMAP\n",
            release.trim()
        )
    } else {
        format!("mdadm: a lockless bitmap takes Linux 6.18 or later; this kernel is {}\n", release.trim())
    };
    assert_eq!((out.status, out.stdout.as_str()), (1, ""), "{}", out.stderr);
    assert!(out.stderr.contains(&missing), "{}", out.stderr);
    assert_eq!(content(), before, "a refused create wrote to a member");
    assert_eq!(arrays(), arrays_before, "a refused create left an array or a name");
    sh(&format!("losetup -d {}", members.join(" ")));
    println!("this kernel has no lockless bitmap; it was refused, as it should");
    true
}

/// The bitmaps that a new array can have: none, internal and, where the kernel has it, lockless; see [`lockless_is_refused`].
#[track_caller]
pub fn bitmaps() -> &'static [&'static str] {
    if lockless_is_refused() { &["none", "internal"] } else { &["none", "internal", "lockless"] }
}

/// The words of a create, with an internal bitmap in place of a lockless one where that is refused; see [`lockless_is_refused`].
#[track_caller]
pub fn or_internal(words: &str) -> String {
    if words.contains("lockless") && lockless_is_refused() {
        words.replace("lockless", "internal")
    } else {
        words.to_owned()
    }
}
