//! What was asked for, in the terms of the plan.

use std::path::Path;

use crate::bitmap::lockless::FINEST;
use crate::cli::request::{AssembleRequest, BitmapChoice, Metadata, SuperMinor};
use crate::cmd::bitmap_file;
use crate::error::Refusal;
use crate::host::Host;
use crate::host::names;
use crate::plan::assemble::{BitmapTarget, Degraded, LogChange, Update, Wishes};
use crate::plan::create::Node;
use crate::superblock::Version;
use crate::superblock::v1::Minor;
use crate::uuid::Uuid;

pub(super) fn wishes(req: &AssembleRequest, host: &Host, node: &Node) -> Result<Wishes, Refusal> {
    let homehost = match req.common.homehost.as_deref() {
        Some("<ignore>" | "<none>" | "any") => None,
        Some("<system>") | None => Some(host.hostname()),
        Some(other) => Some(other.to_owned()),
    }
    .filter(|h| !h.is_empty());
    let version = match req.common.metadata {
        Some(Metadata::V090) => Some(Version::V090),
        Some(Metadata::V1_0) => Some(Version::V1(Minor::V0)),
        Some(Metadata::V1_1) => Some(Version::V1(Minor::V1)),
        Some(Metadata::V1_2) => Some(Version::V1(Minor::V2)),
        Some(Metadata::Ddf | Metadata::Imsm) => {
            return Err(Refusal::new("this version of mdadm-rs assembles arrays with md's own metadata only"));
        }
        Some(Metadata::V1Default) | None => None,
    };
    Ok(Wishes {
        shown: node.path.display().to_string(),
        searched: req.members.is_empty(),
        uuid: req.uuid,
        name: req.name.clone(),
        update: update(req, homehost.as_deref(), &node.devname)?,
        homehost,
        version,
        super_minor: super_minor(req, &node.devname)?,
        force: req.common.force > 0,
        run: req.common.run,
        degraded: match (req.no_degraded, req.common.scan) {
            (true, _) => Degraded::Never,
            (false, true) => Degraded::Start,
            (false, false) => Degraded::Ask,
        },
        readonly: req.common.readonly,
        maps: Vec::new(),
        bitmap_chunk: if req.finest_chunk { Some(FINEST) } else { req.bitmap_chunk.map(|c| c.0) },
        settings: Vec::new(),
        backup_file: req.backup_file.clone(),
        invalid_backup: req.invalid_backup,
        old_backup: std::env::var("MDADM_GROW_ALLOW_OLD").is_ok_and(|v| v == "1"),
        backups: Vec::new(),
        lockless: req.bitmap == Some(BitmapChoice::Lockless),
        bitmap_file: match &req.bitmap {
            Some(BitmapChoice::File(path)) => Some(bitmap_file::facts(host, path)),
            _ => None,
        },
    })
}

/// `dev` is the number of the array that is assembled: it must have been named by its number.
fn super_minor(req: &AssembleRequest, devname: &str) -> Result<Option<u32>, Refusal> {
    let array = req.array.as_deref().unwrap_or(Path::new(""));
    match req.super_minor {
        None => Ok(None),
        Some(SuperMinor::Minor(n)) => Ok(Some(n)),
        Some(SuperMinor::Dev) if names::parse(&array.to_string_lossy())?.number.is_some() => {
            Ok(names::number_of(devname))
        }
        Some(SuperMinor::Dev) => Err(Refusal::new(format!(
            "--super-minor=dev given, and {} has no number: name the array /dev/mdN",
            array.display()
        ))),
    }
}

fn random_uuid() -> Uuid {
    Uuid(*uuid::Uuid::new_v4().as_bytes())
}

fn update(req: &AssembleRequest, homehost: Option<&str>, devname: &str) -> Result<Option<Update>, Refusal> {
    let Some(word) = req.update.as_deref() else { return Ok(None) };
    let default_name = devname.trim_start_matches("md");
    Ok(Some(match word {
        "uuid" => Update::Uuid(req.uuid.unwrap_or_else(random_uuid)),
        "name" => {
            let name = req.name.as_deref().unwrap_or(default_name);
            Update::Name(match homehost {
                Some(h) if h.len() + 1 + name.len() <= 32 && !name.contains(':') => format!("{h}:{name}").into_bytes(),
                _ => name.as_bytes().to_vec(),
            })
        }
        "homehost" => Update::HomeHost(homehost.unwrap_or_default().to_owned()),
        "resync" => Update::Resync,
        "layout-unspecified" => Update::Raid0Layout(0),
        "layout-original" => Update::Raid0Layout(1),
        "layout-alternate" => Update::Raid0Layout(2),
        "super-minor" => Update::SuperMinor(names::number_of(devname).unwrap_or(0)),
        "summaries" => Update::Summaries,
        "byteorder" => Update::ByteOrder,
        "sparc2.2" => Update::Sparc22,
        "metadata" => Update::Metadata { ctime: crate::kernel::clock::now(), seed: random_uuid() },
        "devicesize" => Update::DeviceSize,
        "no-bitmap" => Update::NoBitmap,
        "bitmap=none" => Update::Bitmap(BitmapTarget::None),
        "bitmap" => {
            return Err(Refusal::new("--update=bitmap not understood for 1.x metadata")
                .hint("for an internal bitmap: --update=bitmap=internal"));
        }
        "bitmap=internal" => Update::Bitmap(BitmapTarget::Internal),
        "bitmap=lockless" => Update::Bitmap(BitmapTarget::Lockless),
        "revert-reshape" => Update::RevertReshape,
        "bbl" => Update::Log(LogChange::Add),
        "no-bbl" => Update::Log(LogChange::Drop),
        "force-no-bbl" => Update::Log(LogChange::Forget),
        "no-logical-block-size" => Update::NoBlockSize,
        "ppl" => Update::Ppl,
        "no-ppl" => Update::NoPpl,
        "home-cluster" => Update::HomeCluster,
        "nodes" => Update::Nodes(req.nodes.ok_or_else(|| Refusal::new("Please specify nodes number with --nodes"))?),
        word => {
            return Err(Refusal::new(format!(
                "--update={word} is not in this version of mdadm-rs yet; nothing was changed"
            )));
        }
    }))
}
