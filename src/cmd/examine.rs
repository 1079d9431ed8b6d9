//! `--examine`: prints what the metadata on devices says.

use std::path::Path;

use crate::bitmap::summary;
use crate::cli::request::MiscRequest;
use crate::cmd::print;
use crate::device::ReadAt;
use crate::device::real::{Access, RealDevice};
use crate::error::Exit;
use crate::kernel::clock;
use crate::output::examine::{Examined, Member, MemberBitmap, What};
use crate::superblock::foreign;
use crate::superblock::v1::{self, Minor, SuperV1};
use crate::time;

/// Examines every device named, whatever was asked of it: as in the reference, the last mode option decides.
pub fn run(request: &MiscRequest) -> Exit {
    let mut exit = Exit::OK;
    let homehost = homehost(request);
    let devices: Vec<&Path> = request.items.iter().map(|(_, path)| path.as_path()).collect();
    for path in devices {
        match examine(path, homehost.as_deref()) {
            Ok(found) => {
                if !print::out(&found.text()) {
                    return exit;
                }
            }
            Err(line) => {
                print::complain(line);
                exit = Exit::FAIL;
            }
        }
    }
    exit
}

/// The name that arrays of this machine start with: `--homehost`, or the machine's own.
fn homehost(request: &MiscRequest) -> Option<String> {
    match request.common.homehost.as_deref() {
        Some(word) => Some(word.to_owned()),
        None => nix::unistd::gethostname().ok().and_then(|n| n.into_string().ok()),
    }
}

/// Local time as the reference prints it; the number where libc has no such time.
fn when(seconds: u64) -> String {
    i64::try_from(seconds).ok().and_then(clock::local).map_or_else(|| seconds.to_string(), |t| time::asctime(&t))
}

fn examine(path: &Path, homehost: Option<&str>) -> Result<Examined, String> {
    let shown = path.display();
    let dev = RealDevice::open(path, Access::Read).map_err(|e| format!("cannot open {shown}: {e}"))?;
    let what = match v1::read_any(&dev) {
        Ok(Some((minor, sb))) => What::Member(Box::new(member(&dev, minor, sb, homehost))),
        _ => foreign::identify(&dev)
            .into_iter()
            .next()
            .map(What::Foreign)
            .ok_or_else(|| format!("No md superblock detected on {shown}."))?,
    };
    Ok(Examined { device: path.to_string_lossy().into_owned(), what })
}

fn member(dev: &dyn ReadAt, minor: Minor, sb: SuperV1, homehost: Option<&str>) -> Member {
    let bitmap = match summary::read(dev, &sb) {
        Ok(None) => None,
        Ok(Some(summary)) => Some(MemberBitmap::Known { summary: Box::new(summary), counts: None }),
        Err(e) => Some(MemberBitmap::Broken(e)),
    };
    Member {
        minor,
        device_sectors: dev.size().sectors(),
        bitmap,
        created: when(sb.ctime()),
        updated: when(sb.utime()),
        homehost: homehost.map(str::to_owned),
        sb,
    }
}
