//! `--create`.

use std::collections::BTreeMap;
use std::path::Path;

use super::apply::{Session, reason};
use super::print::{complain, err, out};
use crate::blockio::ReadAt;
use crate::cli::request::{CreateRequest, DataOffset, SizeChoice};
use crate::device::real::{Access, NodeKind, RealDevice};
use crate::error::{Exit, Refusal};
use crate::host::Host;
use crate::host::map::MapLock;
use crate::host::names::{self, TypedName};
use crate::level::Level;
use crate::plan::create::design::{self, Design};
use crate::plan::create::{Identity, MemberFacts, NewBitmapKind, Node, sizing, slots, steps};
use crate::plan::step::Plan;
use crate::superblock::foreign::{self, Found};
use crate::superblock::v1::{Minor, read, super_offset};
use crate::units::Sectors;
use crate::uuid::Uuid;

/// The note of the reference about metadata that a boot loader may not understand.
const BOOT_NOTE: &str = "Note: this array has metadata at the start and
    may not be suitable as a boot device.  If you plan to
    store '/boot' on this device please ensure that
    your boot-loader understands md/v1.x metadata, or use
    --metadata=0.90";

/// Runs the request.
#[must_use]
pub fn run(req: &CreateRequest) -> Exit {
    match create(req) {
        Ok(exit) => exit,
        Err(refusal) => {
            for line in &refusal.lines {
                complain(line);
            }
            refusal.exit
        }
    }
}
