//! A running array's bitmap is taken off.

use super::{ApplyError, Session, failed, sysfs_failed};
use crate::kernel::md;
use crate::sysfs::attr;

impl Session<'_> {
    /// A bitmap that was put on by way of `md/bitmap/location` has to go that way; one that was there at the assembly of the
    /// array may have no such attribute (lockless), and then goes by the ioctl (docs/lockless.md).
    pub(super) fn bitmap_off(&self, devname: &str) -> Result<(), ApplyError> {
        let array = self.array(devname)?;
        if array.sysfs.text(attr::BITMAP_LOCATION.name()).ok().flatten().is_some() {
            return array.sysfs.store(attr::BITMAP_LOCATION, "none").map_err(|e| sysfs_failed(devname, &e));
        }
        let what = format_args!("{devname}: SET_ARRAY_INFO failed");
        let mut info = md::get_array_info(&array.file).map_err(|e| failed(what, &e))?;
        info.state &= !md::sb::BITMAP_PRESENT;
        md::set_array_info(&array.file, &info).map_err(|e| failed(what, &e))
    }
}
