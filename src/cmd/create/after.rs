//! What is seen and said once a new array runs.

use crate::cli::request::CreateRequest;
use crate::cmd::apply::Session;
use crate::cmd::print::complain;
use crate::error::Exit;
use crate::host::Host;
use crate::plan::create::NewBitmapKind;
use crate::plan::create::design::Design;
use crate::superblock::Version;

/// The bitmap chunk that the kernel chose, in KiB; it counts in sectors.
fn lockless_chunk_kib(array: &crate::host::node::OpenArray) -> Option<u64> {
    let text = array.sysfs.text("llbitmap/metadata").ok()??;
    let line = text.lines().find_map(|l| l.trim().strip_prefix("chunksize"))?;
    line.trim().parse::<u64>().ok().map(|sectors| sectors / 2)
}

/// What is seen once the array runs: the bitmap that was asked for, its chunk, its node, the kernels that can read it.
pub(super) fn after_start(req: &CreateRequest, host: &Host, session: &Session<'_>, design: &Design) -> Exit {
    let Some(array) = &session.array else { return Exit::FAIL };
    let mut exit = Exit::OK;
    if matches!(design.bitmap, NewBitmapKind::Lockless(_)) {
        let text = array.sysfs.text("bitmap_type").ok().flatten().unwrap_or_default();
        if !text.contains("[llbitmap]") {
            complain(format!(
                "{}: the lockless bitmap is not active: md/bitmap_type shows '{}'",
                array.name.path.display(),
                text.trim()
            ));
            exit = Exit::FAIL;
        }
    }
    if matches!(design.bitmap, NewBitmapKind::File(_)) && !crate::cmd::bitmap_file::active(array) {
        complain(format!("{}: the bitmap file is not in use", array.name.path.display()));
        exit = Exit::FAIL;
    }
    if !req.common.is_quiet()
        && let Some(kib) = lockless_chunk_kib(array)
    {
        complain(format!("lockless bitmap with chunks of {kib}K"));
    }
    if host.udev_runs() && !host.wait_for_path(&array.name) {
        complain(format!("timeout waiting for {}", array.name.path.display()));
        exit = Exit::FAIL;
    }
    if !req.common.is_quiet() {
        let records = design.version != Version::V090;
        let logical = records && array.sysfs.text("logical_block_size").ok().flatten().is_some();
        match (logical, matches!(design.bitmap, NewBitmapKind::Lockless(_))) {
            (true, _) => complain(
                "note: this kernel records the logical block size; only Linux 6.19 and later can assemble the array",
            ),
            (false, true) => complain("note: only Linux 6.18 and later can assemble an array with a lockless bitmap"),
            (false, false) => {}
        }
    }
    exit
}
