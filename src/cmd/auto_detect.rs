//! `--auto-detect`: RAID_AUTORUN, which today's kernels have no more (6.12 and 7.2: ENOTTY, even with CONFIG_MD_AUTODETECT).

use crate::cmd::apply::reason;
use crate::cmd::print::complain;
use crate::error::Exit;
use crate::host::Host;
use crate::host::node::ArrayName;
use crate::kernel::md;

/// Has the kernel start the arrays with 0.90 metadata on partitions of type fd.
#[must_use]
pub fn run() -> Exit {
    let host = Host::default();
    let name = ArrayName { devname: "md0".into(), path: host.dev.join("md0"), dev: (9, 0) };
    let done = host.open_number_shared(&name).and_then(md::raid_autorun);
    match done {
        Ok(()) => Exit::OK,
        Err(e) if e.raw_os_error() == Some(libc::ENOTTY) => {
            complain("this kernel cannot be asked to look for arrays (it has no RAID_AUTORUN): use --assemble --scan");
            Exit::FAIL
        }
        Err(e) => {
            complain(format!("failed to run auto-detect: {}", reason(&e)));
            Exit::FAIL
        }
    }
}
