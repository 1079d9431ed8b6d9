//! `--detail-platform`: what the firmware of this machine knows of RAID. Native metadata and DDF are the same everywhere; Intel's
//! (IMSM) would need its controllers, which this version does not look for.

use serde_json::{Value, json};

use super::print::{complain, out};
use crate::cli::request::{Common, Metadata};
use crate::error::Exit;

/// Statuses of mdadm(8), `--detail-platform`: the metadata does not depend on a platform; its platform was not found.
const INDEPENDENT: Exit = Exit(1);
const NOT_FOUND: Exit = Exit(2);

/// The formats, in the reference's order.
const FORMATS: [&str; 6] = ["0.90", "1.x", "ddf", "imsm", "mbr", "gpt"];

/// Tells of one format, or of all.
#[must_use]
pub fn run(common: &Common) -> Exit {
    let one = common.metadata.map(|m| match m {
        Metadata::V090 => "0.90",
        Metadata::V1_0 | Metadata::V1_1 | Metadata::V1_2 | Metadata::V1Default => "1.x",
        Metadata::Ddf => "ddf",
        Metadata::Imsm => "imsm",
    });
    let formats: Vec<&str> = one.map_or(FORMATS.to_vec(), |f| vec![f]);
    if common.verbose > 0 {
        for format in &formats {
            if one.is_none() {
                complain(format!("checking metadata {format}"));
            }
            complain(match *format {
                "imsm" if common.export => "IMSM_DETAIL_PLATFORM_ERROR=NO_INTEL_DEVICES".to_owned(),
                "imsm" => "no active Intel(R) RAID controller found.".to_owned(),
                other => format!("{other} metadata is platform independent"),
            });
        }
    }
    if common.json {
        let object = |f: &&str| {
            let platform = if *f == "imsm" { "not-found" } else { "independent" };
            json!({"schema": "mdadm-rs/platform/1", "metadata": f, "platform": platform})
        };
        out(&format!("{:#}\n", Value::from(formats.iter().map(object).collect::<Vec<_>>())));
    }
    if formats.contains(&"imsm") { NOT_FOUND } else { INDEPENDENT }
}
