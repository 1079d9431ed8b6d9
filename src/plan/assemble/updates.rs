//! `--update`: the same edit on every member, refused whole where one cannot take it (mdadm(8), `--update`).

use super::convert::to_v1;
use super::edits::{Edited, EditedArea, Edits};
use super::old_updates::old_one;
use super::rank::{Ranking, Verdict};
use super::{Line, LogChange, Matched, Update, Wishes, layouts};
use crate::bitmap::header::{BitmapSuper, Kind, state};
use crate::error::Refusal;
use crate::level::Level;
use crate::plan::member_areas::{add_log, data_size, drop_log};
use crate::superblock::Version;
use crate::superblock::v1::{Role, feature};

/// Changes all members that count.
///
/// # Errors
/// A [`Refusal`] with the member that cannot take it.
pub fn update(wishes: &Wishes, members: &[Matched<'_>], ranking: &Ranking, edits: &mut Edits) -> Result<(), Refusal> {
    let Some(update) = &wishes.update else { return Ok(()) };
    if let Update::Bitmap(target) = update {
        return super::bitmap_convert::convert(wishes, *target, members, ranking, edits);
    }
    if *update == Update::NoBlockSize {
        sectors_stay(members)?;
    }
    for ((m, edited), verdict) in members.iter().zip(&mut edits.members).zip(&ranking.verdicts) {
        if matches!(verdict, Verdict::Copy(_) | Verdict::Apart(_) | Verdict::Useless) {
            continue;
        }
        one(wishes, update, m, edited)?;
    }
    if matches!(update, Update::Metadata { .. }) {
        edits.version = Some(Version::V1(crate::superblock::v1::Minor::V0));
    }
    if let Some(m) = members.get(ranking.chosen) {
        edits.lines.extend(remark(wishes, update, m));
    }
    Ok(())
}

/// Without the record an array has the largest sectors of its members: they must be those that it has now.
fn sectors_stay(members: &[Matched<'_>]) -> Result<(), Refusal> {
    let largest = members.iter().map(|m| m.candidate.block).max().unwrap_or(0);
    let recorded = members.iter().map(|m| m.member.sb.logical_block_size()).max().unwrap_or(0);
    if recorded == 0 || recorded == largest {
        return Ok(());
    }
    Err(Refusal::new(format!(
        "the array has sectors of {recorded} bytes; without the record they would be of {largest}, and what is on it might not \
         be readable: nothing was changed"
    )))
}

/// What else follows from it.
fn remark(wishes: &Wishes, update: &Update, m: &Matched<'_>) -> Option<Line> {
    let shown = &wishes.shown;
    match update {
        Update::NoBitmap if resynced_without(m) => Some(Line::normal(format!(
            "{shown}: the bitmap told which blocks were never in sync; without it all are resynced"
        ))),
        Update::Nodes(_) => Some(Line::normal("Warning: --nodes option is only suitable for clustered bitmap")),
        _ => None,
    }
}

fn one(wishes: &Wishes, update: &Update, m: &Matched<'_>, e: &mut Edited) -> Result<(), Refusal> {
    let shown = m.candidate.path.display();
    if m.member.old.is_some() {
        return match update {
            Update::Metadata { ctime, seed } => to_v1(m, e, *ctime, *seed),
            _ => old_one(wishes, update, m, e),
        };
    }
    match update {
        Update::Uuid(uuid) => {
            logs_keep_the_uuid(m)?;
            e.sb.put_set_uuid(*uuid);
            e.what.push(format!("uuid {uuid}"));
            edit_bitmap(m, e, "uuid", |bitmap| bitmap.put_uuid(*uuid))?;
        }
        Update::Name(name) => rename(e, name),
        Update::HomeHost(host) => {
            let old = e.sb.set_name();
            let own = old.iter().position(|b| *b == b':').and_then(|at| old.get(at + 1..)).unwrap_or(&old);
            let new: Vec<u8> = host.bytes().chain(*b":").chain(own.iter().copied()).collect();
            if new.len() > 32 {
                return Err(Refusal::new(format!(
                    "{shown}: '{}' is longer than the 32 bytes of a name; nothing was changed",
                    String::from_utf8_lossy(&new).escape_debug()
                )));
            }
            rename(e, &new);
        }
        Update::Resync => {
            e.sb.set_resync_offset(0);
            e.what.push("not in sync".into());
            // The kernel resyncs what the bitmap tells it to, and nothing else, unless the bitmap is out of date.
            edit_bitmap(m, e, "out of date", |bitmap| bitmap.set_state(bitmap.state() | state::STALE))?;
        }
        Update::Raid0Layout(layout) => return raid0_layout(*layout, m, e),
        Update::DeviceSize => device_size(m, e)?,
        Update::NoBitmap => no_bitmap(m, e),
        // All members together.
        Update::Bitmap(_) => {}
        Update::Log(change) => log(*change, m, e)?,
        Update::RevertReshape => super::reshape::turn(wishes, m, e)?,
        Update::NoBlockSize => {
            if e.sb.logical_block_size() != 0 {
                e.sb.set_logical_block_size(0);
                e.what.push("logical block size not recorded".into());
            }
        }
        Update::Ppl => super::ppl::enable(m, e)?,
        Update::NoPpl => {
            if e.sb.has_ppl() {
                e.sb.set_feature_map(e.sb.feature_map() & !(feature::PPL | feature::MULTIPLE_PPLS));
                e.what.push("no partial parity log".into());
            }
        }
        Update::Nodes(_) | Update::HomeCluster => of_a_cluster(update, m)?,
        Update::SuperMinor(_) | Update::Summaries | Update::ByteOrder | Update::Metadata { .. } | Update::Sparc22 => {
            return not_understood(update.word(), "1.x");
        }
    }
    Ok(())
}

fn rename(e: &mut Edited, name: &[u8]) {
    if e.sb.set_name() != name {
        e.sb.put_set_name(name);
        e.what.push(format!("name {}", String::from_utf8_lossy(name).escape_debug()));
    }
}

pub(super) fn not_understood(word: &str, metadata: &str) -> Result<(), Refusal> {
    Err(Refusal::new(format!("--update={word} not understood for {metadata} metadata")))
}

/// Which of two layouts members of different sizes have; 0: unknown, as before Linux 5.4.
fn raid0_layout(layout: u32, m: &Matched<'_>, e: &mut Edited) -> Result<(), Refusal> {
    if Level::from_raw(e.sb.level_raw()) != Some(Level::Raid0) {
        let word = layouts(layout);
        let shown = m.candidate.path.display();
        return Err(Refusal::new(format!("{shown}: {word} only supported for RAID0"))
            .hint(format!("--update={word} not understood for 1.x metadata")));
    }
    e.sb.set_layout(layout);
    let others = e.sb.feature_map() & !feature::RAID0_LAYOUT;
    e.sb.set_feature_map(if layout == 0 { others } else { others | feature::RAID0_LAYOUT });
    e.what.push(if layout == 0 { "layout not recorded".into() } else { format!("layout {layout}") });
    Ok(())
}

/// The device may have grown. Not on v1.0, whose superblock would not have been found then; and not of a journal, whose log
/// goes round in the size that it has.
fn device_size(m: &Matched<'_>, e: &mut Edited) -> Result<(), Refusal> {
    let Version::V1(minor) = m.member.version else { return Ok(()) };
    if minor == crate::superblock::v1::Minor::V0 || e.sb.role() == Role::Journal {
        return Ok(());
    }
    let (size, old) = (data_size(minor, &e.sb, m.candidate.size), e.sb.data_size());
    let Some(size) = size else {
        let shown = m.candidate.path.display();
        return Err(Refusal::new(format!("{shown} is too small for its data; nothing was changed")));
    };
    if size != old {
        e.sb.set_data_size(size);
        e.what.push(format!("data size from {old} to {size} sectors"));
    }
    Ok(())
}

/// Whether the array must be resynced if it loses its bitmap: a lockless one, whose unwritten chunks were never in sync, and
/// one that cannot be read, which may have been such a one.
fn resynced_without(m: &Matched<'_>) -> bool {
    let lockless = match &m.member.bitmap {
        Some(Ok(bitmap)) => bitmap.kind == Kind::Lockless,
        Some(Err(_)) => true,
        None => false,
    };
    lockless && Level::from_raw(m.member.sb.level_raw()).is_some_and(Level::is_redundant)
}

fn no_bitmap(m: &Matched<'_>, e: &mut Edited) {
    if !e.sb.has(feature::BITMAP_OFFSET) {
        return;
    }
    let mut gone = feature::BITMAP_OFFSET | feature::CLUSTERED;
    if e.sb.has(feature::RECOVERY_BITMAP) {
        // It was to be brought up to date by the bitmap: now from the start.
        gone |= feature::RECOVERY_BITMAP;
        e.sb.set_recovery_offset(0);
    }
    e.sb.set_feature_map(e.sb.feature_map() & !gone);
    e.what.push("no bitmap".into());
    if resynced_without(m) {
        e.sb.set_resync_offset(0);
        e.what.push("not in sync".into());
    }
}

fn log(change: LogChange, m: &Matched<'_>, e: &mut Edited) -> Result<(), Refusal> {
    let Version::V1(minor) = m.member.version else { return Ok(()) };
    let shown = m.candidate.path.display();
    let before = e.sb.clone();
    match change {
        LogChange::Add => {
            let bitmap = match &m.member.bitmap {
                Some(Err(why)) => {
                    return Err(Refusal::new(format!(
                        "{shown}: its bitmap cannot be read: {why}; nothing was changed"
                    )));
                }
                Some(Ok(bitmap)) => Some(&bitmap.sb),
                None => None,
            };
            add_log(minor, &mut e.sb, bitmap, &[])
                .map_err(|why| Refusal::new(format!("{shown}: {why}; nothing was changed")))?;
        }
        LogChange::Drop if e.sb.has(feature::BAD_BLOCKS) => {
            return Err(Refusal::new(format!("Cannot remove active bbl from {shown}")).hint(
                "blocks recorded as bad would read as good data: --examine-badblocks lists them, --update=force-no-bbl \
                 forgets them",
            ));
        }
        LogChange::Drop | LogChange::Forget => drop_log(&mut e.sb),
    }
    if e.sb != before {
        let gone = e.sb.bblog_size() == 0;
        e.what.push(if gone { "no bad-block log".into() } else { "empty bad-block log".to_owned() });
    }
    Ok(())
}

/// The bitmaps of a cluster are changed with the cluster's own tools running, which this program does not know.
pub(super) fn of_a_cluster(update: &Update, m: &Matched<'_>) -> Result<(), Refusal> {
    if m.member.sb.has(feature::CLUSTERED) || is_clustered(m) {
        let word = update.word();
        return Err(Refusal::new(format!(
            "--update={word} is not in this version of mdadm-rs yet; nothing was changed"
        )));
    }
    match update {
        Update::HomeCluster => Err(Refusal::new("Error: Invalid bitmap")
            .hint(format!("{}: the array is not one of a cluster; nothing was changed", m.candidate.path.display()))),
        _ => Ok(()),
    }
}

fn is_clustered(m: &Matched<'_>) -> bool {
    matches!(&m.member.bitmap, Some(Ok(bitmap)) if bitmap.kind == Kind::Clustered)
}

/// The logs of raid4/5/6 are bound to the uuid, and are thrown away by the kernel if they have another one.
fn logs_keep_the_uuid(m: &Matched<'_>) -> Result<(), Refusal> {
    let sb = &m.member.sb;
    let shown = m.candidate.path.display();
    if sb.has(feature::JOURNAL) {
        return Err(Refusal::new(format!(
            "{shown}: the uuid cannot be changed: what the array's journal holds would be lost"
        )));
    }
    if sb.has_ppl() && sb.resync_offset() != u64::MAX {
        let line = format!("{shown}: the uuid cannot be changed: what the partial parity log holds would be lost");
        return Err(Refusal::new(line).hint("start the array as it is, stop it, and try again"));
    }
    Ok(())
}

/// Changes the bitmap's superblock, where the member has a bitmap.
pub(super) fn edit_bitmap(
    m: &Matched<'_>,
    e: &mut Edited,
    what: &str,
    edit: impl Fn(&mut BitmapSuper),
) -> Result<(), Refusal> {
    match &m.member.bitmap {
        None => Ok(()),
        Some(Ok(bitmap)) => {
            let mut sb = bitmap.sb.clone();
            edit(&mut sb);
            let what = format!("bitmap superblock: {what}");
            e.areas.push(EditedArea { offset: bitmap.start, bytes: sb.bytes().to_vec(), what });
            Ok(())
        }
        Some(Err(why)) => {
            let shown = m.candidate.path.display();
            Err(Refusal::new(format!("{shown}: its bitmap cannot be updated: {why}; nothing was changed")))
        }
    }
}
