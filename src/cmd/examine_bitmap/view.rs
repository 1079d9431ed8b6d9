//! From a bitmap on a device to what is shown of it.

use std::collections::HashMap;

use super::Examined;
use super::find::Found;
use crate::bitmap::header::Kind;
use crate::bitmap::lockless::{self, ChunkChoice, ChunkState, StateCounts};
use crate::bitmap::ranges::{Cover, Runs, Stripes};
use crate::bitmap::{BitmapError, bits, summary};
use crate::cli::request::MiscRequest;
use crate::device::ReadAt;
use crate::host::Host;
use crate::level::Level;
use crate::output::examine_bitmap::map::Cells;
use crate::output::examine_bitmap::{BitmapView, Body, Chunks, LocklessView, MemberFacts, Running};
use crate::plan::startable;
use crate::superblock::Version;
use crate::superblock::v1::{Minor, Role, SuperV1, feature};
use crate::sysfs::attr;
use crate::units::SECTOR_BYTES;
use crate::uuid::Uuid;

/// Reads what the chunks are, as far as it is wanted.
pub fn view(host: &Host, request: &MiscRequest, found: &Found, shown: String, newest: &HashMap<Uuid, u64>) -> Examined {
    let common = &request.common;
    let member = found.member.as_ref().map(|(_, sb)| facts(sb, newest));
    // As in the reference, both mean: no counts.
    let brief = (common.brief > 0 || common.scan) && !common.json;
    let (device, sb) = (shown.clone(), found.sb.clone());
    let mut view = BitmapView { device, start: found.start, sb, member, counted: !brief, odd: odd(found), body: None };
    let read = match found.sb.kind() {
        Err(_) => {
            let version = found.sb.version();
            let errors = vec![
                format!("unknown bitmap version {version}, either the bitmap file"),
                "is corrupted or you need to upgrade your tools".to_string(),
            ];
            return Examined { shown, view: Some(view), errors };
        }
        Ok(kind) => match kind {
            Kind::Lockless if brief => Ok(None),
            Kind::Lockless => lockless_body(host, request, found).map(|b| Some(Body::Lockless(Box::new(b)))),
            _ => bits_body(found, &mut view).map(|()| None),
        },
    };
    let mut errors = Vec::new();
    match read {
        Ok(Some(body)) => view.body = Some(body),
        Ok(None) => {}
        Err(BitmapError::NodeMagic { found }) => {
            errors.push(format!("invalid bitmap magic 0x{found:x}, the bitmap file appears to be corrupted"));
        }
        Err(e) => errors.push(format!("{shown}: {e}")),
    }
    if let Err(e) = fits(found).and_then(|()| found.sb.chunks())
        && errors.is_empty()
    {
        errors.push(format!("{shown}: {e}"));
    }
    Examined { shown, view: Some(view), errors }
}

/// Of an array that does not run; what the kernel runs is its own.
fn odd(found: &Found) -> Vec<String> {
    let Some((minor, sb)) = found.member.as_ref().filter(|_| found.array.is_none()) else { return Vec::new() };
    match summary::read(&found.dev, sb) {
        Ok(Some(read)) => startable::oddities(sb, Version::V1(*minor), Some(Ok(&read)), found.dev.size()),
        _ => Vec::new(),
    }
}

fn facts(sb: &SuperV1, newest: &HashMap<Uuid, u64>) -> MemberFacts {
    MemberFacts {
        events: sb.events(),
        newest_events: newest.get(&sb.set_uuid()).copied().unwrap_or(0),
        role: sb.role(),
        level: Level::from_raw(sb.level_raw()),
        recovering: sb.has(feature::RECOVERY_OFFSET),
        reshaping: sb.has(feature::RESHAPE_ACTIVE),
    }
}

/// A bitmap cannot be about more than its members can hold.
fn fits(found: &Found) -> Result<(), BitmapError> {
    let Some((_, sb)) = &found.member else { return Ok(()) };
    let members = if sb.level_raw() == Level::Raid10.raw() { u64::from(sb.raid_disks().max(1)) } else { 1 };
    let most = found.dev.size().sectors().0.saturating_mul(members);
    if found.sb.sync_size() > most {
        let why = "is more sectors than its members have";
        return Err(BitmapError::Field { field: "sync_size", value: found.sb.sync_size(), why });
    }
    Ok(())
}

/// Bits of all nodes; those read before an error are kept.
fn bits_body(found: &Found, view: &mut BitmapView) -> Result<(), BitmapError> {
    let mut nodes = Vec::new();
    let read = bits::each_node(&found.dev, found.start, &found.sb, view.counted, |_, node| nodes.push(node));
    if !nodes.is_empty() {
        view.body = Some(Body::Bits(nodes));
    }
    read
}

fn lockless_body(host: &Host, request: &MiscRequest, found: &Found) -> Result<LocklessView, BitmapError> {
    let with_runs = request.common.verbose > 0 || request.ranges;
    let in_use = found.member.as_ref().is_none_or(|(_, sb)| matches!(sb.role(), Role::Slot(_)));
    let kernel = found.array.as_deref().and_then(|name| running(host, name));
    let first_use = lockless::is_first_use(&found.sb);
    let chunks = match &kernel {
        // The kernel writes its choice into the superblock only at the array's next superblock update.
        Some((_, choice)) => Chunks::Kernel(*choice),
        None if first_use => Chunks::Predicted(predicted(found)),
        None => Chunks::Stored(ChunkChoice {
            chunks: lockless::checked_chunks(&found.sb)?,
            chunk_sectors: found.sb.chunksize().into(),
        }),
    };
    let choice = chunks.choice();
    let cover = cover(found, choice)?;
    let (mut counts, mut runs) = (StateCounts::default(), Runs::default());
    let mut cells = request.map.then(|| Cells::new(choice.chunks, super::screen()));
    let has_states = in_use && (kernel.is_some() || !first_use);
    let has_states = has_states || matches!(chunks, Chunks::Stored(_));
    if has_states {
        lockless::read_states(&found.dev, found.start, choice.chunks, |first, states| {
            counts.add(states);
            if with_runs {
                runs.add(first, states);
            }
            if let Some(cells) = &mut cells {
                cells.add(first, states);
            }
        })?;
    }
    Ok(LocklessView {
        chunks,
        cover,
        disk: has_states.then_some(counts),
        running: kernel.map(|(running, _)| running),
        runs: (has_states && with_runs).then(|| runs.finish()),
        cells: cells.filter(|_| has_states),
        resync_limit: resync_limit(host, found.array.as_deref()),
        differs: Vec::new(),
    })
}

/// The array's limit where it runs, else the machine's.
fn resync_limit(host: &Host, array: Option<&str>) -> Option<u64> {
    let of_array = array.and_then(|name| host.sysfs.array(name).get(attr::SYNC_SPEED_MAX)).map(|l| l.kib);
    let of_machine = || {
        let file = host.proc.join("sys/dev/raid/speed_limit_max");
        std::fs::read_to_string(file).ok()?.trim().parse().ok()
    };
    of_array.or_else(of_machine)
}

fn predicted(found: &Found) -> ChunkChoice {
    let room = match &found.member {
        Some((Minor::V0, sb)) => lockless::room_v1_0(sb.bitmap_offset()).unwrap_or(found.sb.sectors_reserved()),
        _ => found.sb.sectors_reserved(),
    };
    lockless::kernel_chunk(found.sb.sync_size(), room)
}

fn cover(found: &Found, choice: ChunkChoice) -> Result<Cover, BitmapError> {
    let too_much = |field, value| BitmapError::Field { field, value, why: "is more sectors than any device has" };
    let chunk_bytes = choice.chunk_sectors.checked_mul(SECTOR_BYTES);
    let chunk_bytes = chunk_bytes.ok_or_else(|| too_much("chunksize", choice.chunk_sectors))?;
    let sync = found.sb.sync_size().checked_mul(SECTOR_BYTES);
    let sync = sync.ok_or_else(|| too_much("sync_size", found.sb.sync_size()))?;
    let stripes = found
        .member
        .as_ref()
        .filter(|(_, sb)| !sb.has(feature::RESHAPE_ACTIVE))
        .and_then(|(_, sb)| Stripes::new(Level::from_raw(sb.level_raw())?, sb.raid_disks(), sb.chunksize()));
    Ok(Cover { chunk_bytes, sync_bytes: sync.min(choice.chunks.saturating_mul(chunk_bytes)), stripes })
}

/// The bitmap of a running array; `None` where the array has no lockless one, or does not run.
fn running(host: &Host, name: &str) -> Option<(Running, ChunkChoice)> {
    let array = host.sysfs.array(name);
    let metadata = array.get(attr::LLBITMAP_METADATA)?;
    let choice = ChunkChoice { chunk_sectors: metadata.number("chunksize")?, chunks: metadata.number("chunks")? };
    let bits = array.get(attr::LLBITMAP_BITS)?;
    let mut counts = StateCounts::default();
    let known = ChunkState::ALL.into_iter().filter(|s| {
        let n = bits.number(s.name());
        n.is_some_and(|n| {
            counts.set(*s, n);
            true
        })
    });
    let counts = (known.count() > 0).then(|| {
        // The kernel leaves out what is no state.
        counts.invalid = choice.chunks.saturating_sub(counts.total());
        counts
    });
    Some((Running { array: name.to_string(), counts, says: bits.0.join(" ") }, choice))
}
