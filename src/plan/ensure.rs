//! `--create --ensure`: whether an array that exists is the one that was asked for. What was not asked for is no difference.

use serde_json::{Value, json};

use crate::bitmap::header::Kind;
use crate::bitmap::summary::BitmapSummary;
use crate::cli::request::{BitmapChoice, ConsistencyPolicy, CreateRequest, DataOffset, Metadata, SizeChoice};
use crate::layout;
use crate::level::Level;
use crate::superblock::v0::SuperV0;
use crate::superblock::v1::{Minor, SuperV1, feature};
use crate::units::{SECTOR_BYTES, Sectors};
use crate::uuid::Uuid;

/// An array that exists, as a member's superblock has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Existing {
    /// `1.2`, `0.90`.
    pub metadata: String,
    /// Its uuid.
    pub uuid: Uuid,
    /// Its name, the host's in front of it; empty where the metadata has none.
    pub name: String,
    /// Number of the level.
    pub level: i32,
    /// Number of the layout.
    pub layout: u32,
    /// Array chunk.
    pub chunk: Sectors,
    /// Slots.
    pub raid_disks: u32,
    /// Used of each member.
    pub size: Sectors,
    /// Where data begins on the member that was read; none on 0.90.
    pub data_offset: Option<Sectors>,
    /// `none`, `internal`, `lockless`, `clustered`.
    pub bitmap: &'static str,
    /// Bytes per chunk of the bitmap, where it is known.
    pub bitmap_chunk: Option<u64>,
    /// Writes that write-mostly members may be behind.
    pub write_behind: u32,
    /// `resync`, `bitmap`, `journal`, `ppl`.
    pub policy: &'static str,
    /// Bytes; 0 where it is not recorded.
    pub logical_block: u32,
    /// Event count of the member that was read.
    pub events: u64,
}

impl Existing {
    /// From a v1.x superblock and the bitmap beside it.
    #[must_use]
    pub fn v1(minor: Minor, sb: &SuperV1, bitmap: Option<&BitmapSummary>) -> Existing {
        let kind = match bitmap.map(|b| b.kind) {
            None => "none",
            Some(Kind::Lockless) => "lockless",
            Some(Kind::Clustered) => "clustered",
            Some(_) => "internal",
        };
        Existing {
            metadata: format!("1.{}", minor.number()),
            uuid: sb.set_uuid(),
            name: String::from_utf8_lossy(&sb.set_name()).into_owned(),
            level: sb.level_raw(),
            layout: sb.layout(),
            chunk: Sectors(sb.chunksize().into()),
            raid_disks: sb.raid_disks(),
            size: Sectors(sb.size()),
            data_offset: Some(Sectors(sb.data_offset())),
            bitmap: kind,
            bitmap_chunk: bitmap.and_then(|b| b.chunk_bytes),
            write_behind: bitmap.map_or(0, |b| b.sb.write_behind()),
            policy: policy(sb.has(feature::JOURNAL), sb.has(feature::PPL | feature::MULTIPLE_PPLS), kind),
            logical_block: sb.logical_block_size(),
            events: sb.events(),
        }
    }

    /// From a v0.90 superblock, and whether a bitmap is behind it.
    #[must_use]
    pub fn v0(sb: &SuperV0, bitmap: Option<(u64, u32)>) -> Existing {
        let kind = if bitmap.is_some() { "internal" } else { "none" };
        Existing {
            metadata: "0.90".into(),
            uuid: sb.uuid(),
            level: sb.level_raw(),
            layout: sb.layout(),
            chunk: Sectors(u64::from(sb.chunk_bytes()) / SECTOR_BYTES),
            raid_disks: sb.raid_disks(),
            size: sb.size(),
            bitmap: kind,
            bitmap_chunk: bitmap.map(|b| b.0),
            write_behind: bitmap.map_or(0, |b| b.1),
            policy: policy(false, false, kind),
            events: sb.events(),
            ..Existing::default()
        }
    }
}

fn policy(journal: bool, ppl: bool, bitmap: &str) -> &'static str {
    match (journal, ppl, bitmap) {
        (true, _, _) => "journal",
        (_, true, _) => "ppl",
        (_, _, "none") => "resync",
        _ => "bitmap",
    }
}

/// What a device is in the array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// A member in good order: active, a spare or being rebuilt. Who of them is a spare may change without anybody's doing.
    Member,
    /// The journal.
    Journal,
    /// None, or no good one: why.
    Not(String),
}

/// A device that was named, or one that the array has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its path.
    pub shown: String,
    /// What it is.
    pub standing: Standing,
    /// It is marked write-mostly.
    pub write_mostly: bool,
    /// It is marked failfast.
    pub failfast: bool,
}

/// One thing that is not as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `level`, `chunk`, `member /dev/sda`.
    pub what: String,
    /// As asked for.
    pub asked: String,
    /// As it is.
    pub found: String,
}

impl Difference {
    /// One.
    pub fn new(what: impl Into<String>, asked: impl Into<String>, found: impl Into<String>) -> Difference {
        Difference { what: what.into(), asked: asked.into(), found: found.into() }
    }

    /// A line for a person.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{}: asked for {}, found {}", self.what, self.asked, self.found)
    }

    /// The same as data.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({"what": self.what, "asked": self.asked, "found": self.found})
    }
}

/// Collects what differs.
struct Found(Vec<Difference>);

impl Found {
    fn differs(&mut self, same: bool, what: &str, asked: impl Into<String>, found: impl Into<String>) {
        if !same {
            self.0.push(Difference::new(what, asked, found));
        }
    }
}

/// What of the array itself is not as asked for.
#[must_use]
pub fn array(req: &CreateRequest, is: &Existing) -> Vec<Difference> {
    let mut f = Found(Vec::new());
    let level = |raw: i32| Level::from_raw(raw).map_or_else(|| raw.to_string(), |l| l.name().to_owned());
    if let Some(asked) = req.level {
        f.differs(asked.raw() == is.level, "level", asked.name(), level(is.level));
    }
    if let Some(n) = req.raid_devices {
        f.differs(n == is.raid_disks, "raid-devices", n.to_string(), is.raid_disks.to_string());
    }
    if let Some(asked) = req.common.metadata.filter(|_| !req.common.metadata_of_conf).map(metadata) {
        let same = asked == is.metadata || (asked == "1" && is.metadata.starts_with("1."));
        f.differs(same, "metadata", asked, &is.metadata);
    }
    if let (Some(word), Some(asked)) = (&req.layout, req.level)
        && let Some(number) = layout::parse(asked, word)
    {
        let name = layout::name(asked, is.layout).unwrap_or_else(|| is.layout.to_string());
        f.differs(number == is.layout || asked.raw() != is.level, "layout", word, name);
    }
    if let Some(chunk) = req.chunk {
        f.differs(chunk == is.chunk, "chunk", kib(chunk), kib(is.chunk));
    }
    if let Some(SizeChoice::Sectors(size)) = req.size {
        // Rounded down to the chunk, or to 64 KiB, when it was made.
        let round = is.chunk.0.max(128);
        f.differs(is.size <= size && size.0 - is.size.0 < round, "size", kib(size), kib(is.size));
    }
    if let Some(DataOffset::Sectors(at)) = req.data_offset {
        f.differs(is.data_offset == Some(at), "data-offset", kib(at), is.data_offset.map_or("none".into(), kib));
    }
    if let Some(name) = &req.name {
        let own = is.name.split_once(':').map_or(is.name.as_str(), |(_, own)| own);
        f.differs(
            *name == is.name || name == own,
            "name",
            name.escape_debug().to_string(),
            is.name.escape_debug().to_string(),
        );
    }
    if let Some(uuid) = req.uuid {
        f.differs(uuid == is.uuid, "uuid", uuid.to_string(), is.uuid.to_string());
    }
    if let Some(bytes) = req.logical_block_size {
        f.differs(bytes == is.logical_block, "logical-block-size", bytes.to_string(), is.logical_block.to_string());
    }
    if let Some((major, minor)) = req.compat_kernel.filter(|k| *k < (6, 19)) {
        f.differs(is.logical_block == 0, "compat-kernel", format!("{major}.{minor}"), "6.19".to_owned());
    }
    bitmap(req, is, &mut f);
    f.0
}

fn bitmap(req: &CreateRequest, is: &Existing, f: &mut Found) {
    if let Some(asked) = &req.bitmap {
        let asked = match asked {
            BitmapChoice::None => "none",
            BitmapChoice::Internal => "internal",
            BitmapChoice::Clustered => "clustered",
            BitmapChoice::Lockless => "lockless",
            BitmapChoice::File(_) => "a file",
        };
        f.differs(asked == is.bitmap, "bitmap", asked, is.bitmap);
    }
    if let (Some(asked), Some(found)) = (req.bitmap_chunk, is.bitmap_chunk) {
        let bytes = asked.0.saturating_mul(SECTOR_BYTES);
        // Of a lockless one it is the coarsest that is wanted.
        let same = if is.bitmap == "lockless" { found <= bytes } else { found == bytes };
        f.differs(same, "bitmap-chunk", kib(asked), kib(Sectors(found / SECTOR_BYTES)));
    }
    if let Some(policy) = req.consistency_policy.filter(|p| *p != ConsistencyPolicy::Auto) {
        f.differs(policy.word() == is.policy, "consistency-policy", policy.word(), is.policy);
    }
    if let Some(writes) = req.write_behind.filter(|_| is.bitmap != "none") {
        f.differs(writes == is.write_behind, "write-behind", writes.to_string(), is.write_behind.to_string());
    }
}

fn kib(sectors: Sectors) -> String {
    if sectors.0.is_multiple_of(2) { format!("{}K", sectors.0 / 2) } else { format!("{}s", sectors.0) }
}

fn metadata(asked: Metadata) -> &'static str {
    match asked {
        Metadata::V090 => "0.90",
        Metadata::V1_0 => "1.0",
        Metadata::V1_1 => "1.1",
        Metadata::V1_2 => "1.2",
        Metadata::V1Default => "1",
        Metadata::Ddf => "ddf",
        Metadata::Imsm => "imsm",
    }
}

/// What of the members is not as asked for. `listed` are the devices named, in the order of the request without the missing
/// ones, the journal last; `others` those that the array has beside them.
#[must_use]
pub fn members(req: &CreateRequest, listed: &[Seen], others: &[Seen]) -> Vec<Difference> {
    let mut f = Found(Vec::new());
    let asked: Vec<_> = req.members.iter().filter(|m| m.path.is_some()).collect();
    for (n, seen) in listed.iter().enumerate() {
        let what = format!("member {}", seen.shown);
        let journal = n >= asked.len();
        let role = if journal { "the journal" } else { "a member" };
        match &seen.standing {
            Standing::Not(why) => f.differs(false, &what, role, why),
            Standing::Journal => f.differs(journal, &what, role, "the journal"),
            Standing::Member => f.differs(!journal, &what, role, "a member"),
        }
        if let (Some(arg), Standing::Member) = (asked.get(n), &seen.standing) {
            f.differs(!arg.write_mostly || seen.write_mostly, &what, "write-mostly", "not so");
            f.differs(!arg.failfast || seen.failfast, &what, "failfast", "not so");
        }
    }
    for seen in others {
        let is = match &seen.standing {
            Standing::Member => "a member",
            Standing::Journal => "the journal",
            Standing::Not(why) => why.as_str(),
        };
        f.differs(false, &format!("member {}", seen.shown), "none", is);
    }
    f.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Request, parse};

    fn asked(words: &str) -> CreateRequest {
        let words: Vec<_> = words.split_whitespace().map(Into::into).collect();
        match parse(&words) {
            Ok(Request::Create(r)) => *r,
            other => panic!("{other:?}"),
        }
    }

    fn existing() -> Existing {
        Existing {
            metadata: "1.2".into(),
            name: "box:data".into(),
            level: 5,
            layout: 2,
            chunk: Sectors(1024),
            raid_disks: 3,
            size: Sectors(100_352),
            data_offset: Some(Sectors(2048)),
            bitmap: "lockless",
            bitmap_chunk: Some(65_536),
            policy: "bitmap",
            ..Existing::default()
        }
    }

    fn names(found: &[Difference]) -> Vec<&str> {
        found.iter().map(|d| d.what.as_str()).collect()
    }

    #[test]
    fn what_was_not_asked_for_is_no_difference() {
        let line = "--create /dev/md0 -l5 -n3 a b c";
        assert_eq!(array(&asked(line), &existing()), []);
        let full = "--create /dev/md0 -l5 -n3 -e1.2 -c512 -p ls -N data --bitmap=lockless --bitmap-chunk=1M --size=50200 --data-offset=1M -k bitmap a b c";
        assert_eq!(array(&asked(full), &existing()), []);
        let other = "--create /dev/md0 -l5 -n3 -e1 -N box:data --bitmap-chunk=64K a b c";
        assert_eq!(array(&asked(other), &existing()), []);
    }

    #[test]
    fn each_thing_that_was_asked_for_and_is_not_so_is_named_once() {
        let one = |words: &str| {
            let found = array(&asked(&format!("--create /dev/md0 {words} a b c")), &existing());
            names(&found).join(" ")
        };
        assert_eq!(one("-l6 -n3"), "level");
        assert_eq!(one("-l5 -n4"), "raid-devices");
        assert_eq!(one("-l5 -n3 -c64"), "chunk");
        assert_eq!(one("-l5 -n3 -p ra"), "layout");
        assert_eq!(one("-l5 -n3 -e1.0"), "metadata");
        assert_eq!(one("-l5 -n3 -N dat"), "name");
        assert_eq!(one("-l5 -n3 -u 1:2:3:4:55555555:66666666:77777777:8888"), "uuid");
        assert_eq!(one("-l5 -n3 -b internal"), "bitmap");
        assert_eq!(one("-l5 -n3 -b none"), "bitmap");
        assert_eq!(one("-l5 -n3 -z 40M"), "size");
        assert_eq!(one("-l5 -n3 --data-offset=2M"), "data-offset");
        assert_eq!(one("-l5 -n3 -k resync"), "consistency-policy");
    }

    #[test]
    fn devices_are_compared_as_a_set_with_what_they_are() {
        let req = asked("--create /dev/md0 -l1 -n2 -x1 a -W b c");
        let seen = |shown: &str, standing| Seen { shown: shown.into(), standing, write_mostly: false, failfast: false };
        let good = |name| seen(name, Standing::Member);
        let mostly = Seen { write_mostly: true, ..good("b") };
        assert_eq!(members(&req, &[good("a"), mostly.clone(), mostly.clone()], &[]), []);
        let found = members(&req, &[good("a"), good("b"), seen("c", Standing::Not("blank".into()))], &[good("d")]);
        assert_eq!(names(&found), ["member b", "member c", "member d"]);
        assert_eq!(
            found.first().map(Difference::line).unwrap_or_default(),
            "member b: asked for write-mostly, found not so"
        );
    }
}
