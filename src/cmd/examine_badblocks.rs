//! `--examine-badblocks`: lists what the bad-block logs of members hold.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::request::Common;
use crate::cmd::member::{Loaded, cannot_open, load};
use crate::cmd::print;
use crate::device::real::{Access, RealDevice};
use crate::error::Exit;
use crate::output::{badblocks, escape};
use crate::superblock::SuperError;
use crate::superblock::v1::{BadBlocks, bad_blocks};

/// Lists the bad blocks of these devices, one after the other.
pub fn run(common: &Common, paths: &[PathBuf]) -> Exit {
    let mut exit = Exit::OK;
    let mut objects = Vec::new();
    for path in paths {
        let device = escape::text(path.as_os_str().as_encoded_bytes());
        let found = read(common, path, &device);
        if let Err(line) = &found {
            print::complain(line);
            exit = Exit::FAIL;
        }
        match &found {
            _ if common.json => objects.push(badblocks::object(&device, found.as_ref().map_err(String::as_str))),
            Ok(blocks) if !print::out(&badblocks::text(&device, blocks)) => return exit,
            _ => {}
        }
    }
    if common.json {
        print::out(&format!("{:#}\n", Value::from(objects)));
    }
    exit
}

fn read(common: &Common, path: &Path, device: &str) -> Result<BadBlocks, String> {
    let dev = RealDevice::open(path, Access::Read).map_err(|e| format!("cannot open {device}: {}", cannot_open(&e)))?;
    let loaded = load(&dev, common.metadata).map_err(|e| format!("No md superblock detected on {device}: {e}"))?;
    match loaded {
        None => Err(format!("No md superblock detected on {device}")),
        Some(Loaded::V1(_, sb)) => bad_blocks(&dev, &sb).map_err(|e| match e {
            SuperError::Io(e) => format!("Cannot read bad-blocks list: {}", crate::cmd::apply::reason(&e)),
            e => format!("Cannot read bad-blocks list: {e}"),
        }),
        Some(other) => Err(format!("{} metadata does not support badblocks", other.format())),
    }
}
