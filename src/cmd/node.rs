//! The number and node of an array that a command makes or starts.

use std::path::{Path, PathBuf};

use super::apply::reason;
use super::print::complain;
use crate::cli::request::Common;
use crate::error::Refusal;
use crate::host::Host;
use crate::host::map::{MapEntry, MapLock};
use crate::host::names::{self, TypedName};
use crate::plan::assemble::naming::AutoName;
use crate::plan::create::Node;
use crate::uuid::Uuid;

/// The array's number: the one that was named, the one that is `wished` if it is free, or another free one. The map file stays locked until the array is in it, or two
/// commands take the same free number. `--plan` touches nothing and takes no lock; what it has given away is in `planned`.
///
/// # Errors
/// The kernel has no md driver, or no number is free.
pub fn choose(
    common: &Common,
    host: &Host,
    (number, wished): (Option<u32>, Option<u32>),
    path: &Path,
    planned: &[(PathBuf, String)],
) -> Result<(Option<MapLock>, Node), Refusal> {
    host.need_md(common.plan)?;
    let (lock, map) = if common.plan {
        (None, host.map().load().unwrap_or_default())
    } else {
        // A /run that cannot be written to keeps no machine from booting: the kernel makes no array twice.
        let lock = host.map().lock().map_err(|e| {
            complain(format!("failed to get exclusive lock on mapfile - continue anyway... ({})", reason(&e)));
        });
        let map = lock.as_ref().map_or_else(|()| host.map().load().unwrap_or_default(), MapLock::load);
        (lock.ok(), map)
    };
    let given = |(path, devname): &(PathBuf, String)| MapEntry {
        devname: devname.clone(),
        metadata: String::new(),
        uuid: Uuid::ZERO,
        path: Some(path.clone()),
    };
    let map: Vec<MapEntry> = map.into_iter().chain(planned.iter().map(given)).collect();
    let devname = devname(host, number.or_else(|| free(host, &map, wished)), path, &map)?;
    Ok((lock, Node { devname, path: path.to_owned(), readonly: common.readonly }))
}

/// A number that is wished for, if it is free.
pub fn free(host: &Host, map: &[MapEntry], wished: Option<u32>) -> Option<u32> {
    wished.filter(|n| *n <= names::MAX_NUMBER && !names::is_number_taken(host, map, *n))
}

/// A path that no array has: `_0`, `_1` ... behind a name that is taken. `planned` is what `--plan` has given away.
pub fn free_name(host: &Host, planned: &[(PathBuf, String)], wanted: AutoName) -> TypedName {
    let map = host.map().load().unwrap_or_default();
    let folder = Path::new("/dev/md");
    let runs = |devname: &str| host.sysfs.array(devname).exists();
    let taken = |path: &PathBuf| {
        planned.iter().any(|(p, _)| p == path)
            || map.iter().any(|e| e.path.as_ref() == Some(path) && runs(&e.devname))
            || path.exists()
    };
    let first = (!wanted.suffixed).then(|| folder.join(&wanted.name));
    let numbered = (0u32..).map(|n| folder.join(format!("{}_{n}", wanted.name)));
    let path = first.into_iter().chain(numbered).find(|path| !taken(path));
    let path = path.unwrap_or_else(|| folder.join(&wanted.name));
    let given = |n: &u32| planned.iter().any(|p| p.1 == format!("md{n}"));
    let kept = path.file_name().is_some_and(|name| name == wanted.name.as_str());
    let number = free(host, &map, wanted.number.filter(|_| kept)).filter(|n| !given(n));
    TypedName { path, number, name: wanted.name }
}

/// The kernel name of a new array: by its number, by its name where the configuration wants that, or a free number.
///
/// # Errors
/// No number is free.
pub fn devname(host: &Host, number: Option<u32>, path: &Path, map: &[MapEntry]) -> Result<String, Refusal> {
    let by_number = |n: u32| format!("md{n}");
    let free = || names::free_number(host, map).map(by_number);
    let devname = number.map(by_number).or_else(|| by_name(host, path, map)).or_else(free);
    devname.ok_or_else(|| Refusal::new("no free number for another array"))
}

/// `md_home` for /dev/md/home, where the configuration has `CREATE names=yes` and no other array is called so.
fn by_name(host: &Host, path: &Path, map: &[MapEntry]) -> Option<String> {
    let name = path.strip_prefix("/dev/md").ok().filter(|_| host.nodes.names)?.to_str()?;
    let devname = format!("md_{name}");
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._+".contains(&b));
    let taken = host.sysfs.array(&devname).exists() || map.iter().any(|e| e.devname == devname);
    (plain && names::is_kernel_name(&devname) && !taken).then_some(devname)
}
