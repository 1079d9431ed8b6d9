//! What is seen and said once a new array runs.

use crate::cli::request::CreateRequest;
use crate::cmd::apply::Session;
use crate::cmd::print::complain;
use crate::cmd::unwritten;
use crate::error::Exit;
use crate::host::Host;
use crate::output::lockless_cost;
use crate::plan::create::NewBitmapKind;
use crate::plan::create::design::Design;
use crate::plan::step::Step;
use crate::superblock::Version;
use crate::sysfs::attr;

/// The chunks that the kernel chose, and their sectors.
fn lockless_chunks(array: &crate::host::node::OpenArray) -> Option<(u64, u64)> {
    let metadata = array.sysfs.get(attr::LLBITMAP_METADATA)?;
    Some((metadata.number("chunks")?, metadata.number("chunksize")?))
}

/// The kernel overwrites what the superblock says at the first start.
fn set_delay(array: &crate::host::node::OpenArray, seconds: u32) -> Exit {
    let stored = array.sysfs.store(attr::LLBITMAP_DAEMON_SLEEP, &seconds.to_string());
    if stored.is_ok() && array.sysfs.get(attr::LLBITMAP_DAEMON_SLEEP) == Some(seconds.into()) {
        return Exit::OK;
    }
    complain(format!("{}: --delay={seconds} could not be set", array.name.path.display()));
    Exit::FAIL
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
    if matches!(design.bitmap, NewBitmapKind::Lockless(_))
        && let Some(seconds) = req.delay
    {
        exit = exit.worst(set_delay(array, seconds));
    }
    // A spare is taken by the kernel when it likes.
    if req.spare_devices > 0
        && let Some(marks) = unwritten::before_rebuild(host, array)
    {
        for step in &marks.all.steps {
            if let Step::Sysfs { attr, value, .. } = step
                && let Err(e) = array.sysfs.store_text(attr, value)
            {
                complain(format!("{}: a rebuild may leave out data: {e}", array.name.path.display()));
                exit = Exit::FAIL;
            }
        }
    }
    if !req.common.is_quiet()
        && let Some((chunks, sectors)) = lockless_chunks(array)
    {
        complain(format!("lockless bitmap with chunks of {}K", sectors / 2));
        let block = array.sysfs.logical_block_size().unwrap_or(512);
        if req.common.verbose > 0 || req.bitmap_chunk.is_some() || req.finest_chunk {
            complain(lockless_cost::line(chunks, sectors, block));
        }
    }
    if host.udev_runs() && !host.wait_for_path(&array.name) {
        complain(format!("timeout waiting for {}", array.name.path.display()));
        exit = Exit::FAIL;
    }
    let parity = matches!(design.bitmap, NewBitmapKind::Lockless(_)) && design.level.is_parity();
    if parity && !req.common.is_quiet() && !req.write_zeroes && !req.assume_clean {
        complain(format!(
            "note: when parity is built at a first write, this kernel ({}) can leave some out: --write-zeroes at creation, or mdadm \
             --action=repair now and then, makes up for it (md-lockless(7))",
            host.release()
        ));
    }
    if !req.common.is_quiet() {
        let records = design.version != Version::V090;
        let recorded = array.sysfs.text("logical_block_size").ok().flatten();
        let logical = records && recorded.is_some_and(|bytes| !design.for_older || bytes.trim() != "0");
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
