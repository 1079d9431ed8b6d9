//! `--grow` where data moves: what is refused, and the steps that start the kernel's reshape.

pub mod offset;
pub mod route;
pub mod summary;

use super::bitmap::Now;
use super::shape::Shape;
use crate::cli::request::{DataOffset, GrowRequest};
use crate::error::{Exit, Refusal};
use crate::level::{Level, MOST_RAID6};
use crate::plan::step::Plan;
use crate::superblock::Version;
use crate::superblock::foreign::InUse;
use crate::superblock::reshape::MOST_SLOTS;
use crate::superblock::v0::MAX_DISKS;
use offset::{Move, NoRoom};
use route::{Geometry, PAGE_SECTORS, Route};

/// Stripes in memory while windows are saved: as many as the reference takes.
const STRIPES_OF_WINDOWS: u64 = 1027;

/// Sectors used of each member once the levels before the reshape were taken: a raid0 counts none itself.
#[must_use]
pub fn member_sectors(shape: &Shape) -> u64 {
    match shape.level {
        // What is offered may be limited.
        Level::Raid0 => {
            let chunk = shape.chunk.0.max(1);
            let least = shape.parts.iter().filter(|p| p.slot.is_some()).map(|p| p.size.saturating_mul(2)).min();
            least.unwrap_or(0) / chunk * chunk
        }
        _ => shape.size.saturating_mul(2),
    }
}

/// Refuses in the reference's words where it has some.
///
/// # Errors
/// Why not, and what to do.
pub fn check(shape: &Shape, req: &GrowRequest, route: &Route, used: &[InUse]) -> Result<(), Refusal> {
    shape.at_rest(false)?;
    let shown = &shape.shown;
    let cannot = format!("cannot reshape {shown}");
    shape.writable(&cannot)?;
    if shape.resync_pending {
        return Err(Refusal::new(format!("{shown} is performing resync/recovery and cannot be reshaped"))
            .hint(format!("it is not in sync: mdadm --action=idle {shown}; mdadm --wait {shown}")));
    }
    if let Some(log) = shape.log {
        let refusal = Refusal::new(cannot).hint(format!("the kernel reshapes no array with a {log}"));
        return Err(match log {
            "PPL" => {
                refusal.hint(format!("take it off for the time: mdadm --grow {shown} --consistency-policy=resync"))
            }
            _ => refusal,
        });
    }
    if matches!(shape.bitmap, Now::Clustered) || (matches!(shape.bitmap, Now::File) && !route.first.is_empty()) {
        return Err(Refusal::new(cannot).hint(format!("first take its bitmap off: mdadm --grow {shown} --bitmap=none")));
    }
    if let Some(new) = shape.parts.iter().find(|p| p.replacement && p.slot.is_some()) {
        return Err(Refusal::new(cannot).hint(format!(
            "{} replaces another member: mdadm --wait {shown}, or mdadm {shown} --fail {0} --remove {0}",
            new.shown
        )));
    }
    chunk(shape, route)?;
    number(shape, req, route)?;
    if route.to.level == Level::Raid10 {
        raid10(shape, route)?;
    }
    smaller(shape, req, route, used)?;
    whole(shape, req, route)
}

fn chunk(shape: &Shape, route: &Route) -> Result<(), Refusal> {
    let (sectors, shown) = (route.to.chunk.0, &shape.shown);
    if !sectors.is_power_of_two() || sectors < PAGE_SECTORS {
        return Err(Refusal::new(format!("chunk size {}K is no power of 2 from 4K on", sectors / 2)));
    }
    let member = member_sectors(shape);
    if !member.is_multiple_of(sectors) && sectors != route.from.chunk.0 {
        let whole = member / sectors * sectors / 2;
        return Err(Refusal::new(format!(
            "component size {}K is not a multiple of chunksize {}K",
            member / 2,
            sectors / 2
        ))
        .hint(format!("after shrinking any filesystem, mdadm --grow {shown} --size={whole}")));
    }
    match shape.limited {
        Some(kib) if !kib.saturating_mul(2).is_multiple_of(sectors) => Err(Refusal::new(format!(
            "the --array-size of {shown} is {kib}K, no multiple of the chunk of {}K: the kernel refuses that",
            sectors / 2
        ))),
        _ => Ok(()),
    }
}

fn number(shape: &Shape, req: &GrowRequest, route: &Route) -> Result<(), Refusal> {
    let to = route.to.slots;
    let least = if route.to.level == Level::Raid6 { 4 } else { 2 };
    let most = match (shape.version, route.to.level) {
        (Some(Version::V090), _) => u32::try_from(MAX_DISKS).unwrap_or(u32::MAX),
        (_, Level::Raid6) => MOST_RAID6,
        _ => MOST_SLOTS,
    };
    if route.end.slots == 1 && req.common.force == 0 {
        return Err(Refusal::new(
            "'1' is an unusual number of drives for an array, so it is probably\n     a mistake.  If you really mean it you \
             will need to specify --force before\n     setting the number of drives.",
        )
        .with_exit(Exit::USAGE));
    }
    if to < least {
        return Err(Refusal::new(format!(
            "{} needs at least {least} devices, {} would have {to}",
            route.to.level.name(),
            shape.shown
        )));
    }
    if to > most {
        return Err(Refusal::new(format!("{to} devices are more than there can be: {most}")));
    }
    let have = shape.spares().saturating_add(u32::try_from(req.add.len()).unwrap_or(u32::MAX));
    let need = to.saturating_sub(shape.slots).saturating_sub(route.lacks(shape));
    if have < need && (req.common.force == 0 || route.to.level == Level::Raid10) {
        let s = if need == 1 { "" } else { "s" };
        let line = format!("Need {need} spare{s} to avoid degraded array, and only have {have}.");
        return Err(if route.to.level == Level::Raid10 {
            Refusal::new(line).hint("the kernel grows a raid10 only with all of them")
        } else {
            Refusal::new(format!("{line}\n       Use --force to over-ride this check."))
        });
    }
    Ok(())
}

/// What the kernel does wrong, or not at all.
fn raid10(shape: &Shape, route: &Route) -> Result<(), Refusal> {
    let (from, to) = (route.from.copies(), route.to.copies());
    let shown = &shape.shown;
    let no = |why: &str| Err(Refusal::new(format!("cannot reshape {shown}: {why}")));
    if (from.1 > 1 && !from.2) || (to.1 > 1 && !to.2) {
        return no("the kernel reshapes no raid10 of layout far, and makes none");
    }
    if from.0 * from.1 != to.0 * to.1 {
        return no("the number of copies cannot be changed");
    }
    // `geo.stride` stays that of before.
    if to.1 > 1 && (from.1 == 1 || route.from.chunk != route.to.chunk) {
        return no("the kernel would write the copies of layout offset where those of before lay");
    }
    if route.to.slots < route.from.slots {
        return no("the kernel takes no devices out of a raid10");
    }
    Ok(())
}

/// The reference's words, and what is on the array.
fn smaller(shape: &Shape, req: &GrowRequest, route: &Route, used: &[InUse]) -> Result<(), Refusal> {
    let (now, new) = (shape.offered, route.to.array_sectors(member_sectors(shape)) / 2);
    if new < now {
        return Err(Refusal::new(format!(
            "this change will reduce the size of the array.\n       use --grow --array-size first to truncate array.\n       \
             e.g. mdadm --grow {} --array-size {new}",
            shape.shown
        )));
    }
    let shrinks = new < route.from.array_sectors(member_sectors(shape)) / 2;
    if shrinks && req.common.force == 0 {
        return super::size::cut(&shape.shown, new, used);
    }
    Ok(())
}

/// All members are there, and spares are large enough.
fn whole(shape: &Shape, req: &GrowRequest, route: &Route) -> Result<(), Refusal> {
    let shown = &shape.shown;
    let member = member_sectors(shape);
    if let Some(small) = shape.parts.iter().find(|p| p.slot.is_none() && !p.faulty && !p.journal && p.size * 2 < member)
    {
        let name = &small.shown;
        return Err(Refusal::new(format!(
            "the spare {name} has {}K for data, and {}K of each member are used",
            small.size,
            member / 2
        ))
        .hint(format!("take it out: mdadm {shown} --remove {name}")));
    }
    let there = shape.parts.iter().filter(|p| p.slot.is_some() && p.in_sync && !p.faulty).count();
    let missing = u64::from(shape.slots).saturating_sub(u64::try_from(there).unwrap_or(0));
    if missing > 0 && route.to.level != Level::Raid10 && route.to.slots < route.from.slots {
        return Err(Refusal::new(format!(
            "{shown} is degraded, and cannot get fewer devices: the kernel rebuilds the freed one wrongly"
        ))
        .hint(format!("first mdadm {shown} --add DEVICE; mdadm --wait {shown}")));
    }
    if missing > 0 && route.to.level != Level::Raid10 && req.common.force == 0 {
        return Err(Refusal::new(format!("{shown} is degraded: {missing} of its {} members are not in sync", shape.slots))
            .hint(format!(
                "first mdadm {shown} --add DEVICE; mdadm --wait {shown}; or use --force, and one more failure in the long time that \
                 a reshape takes loses all"
            )));
    }
    if missing > 0 && route.to.level == Level::Raid10 {
        return Err(Refusal::new(format!("{shown} is degraded, and cannot be reshaped"))
            .hint(format!("first mdadm {shown} --add DEVICE; mdadm --wait {shown}")));
    }
    Ok(())
}

/// Whether only numbers change: the kernel sets layout and chunk of a raid5 of two members at once.
#[must_use]
pub fn at_once(route: &Route) -> bool {
    let (from, to) = (&route.from, &route.to);
    from == to || (from.level == Level::Raid5 && from.slots == 2 && to.slots == 2)
}

/// A reshape that is about to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// Where data goes; `None`: it stays, and stripes have to be saved.
    pub moved: Option<Move>,
    /// Somebody has to let the kernel go on (`cmd::grow::worker`).
    pub held: bool,
    /// `stripe_cache_size` of before, where it is raised.
    pub cache: Option<u64>,
    /// The steps, the last the start itself; where nothing moves there is none, and `sync_max` stays.
    pub plan: Plan,
    /// What takes them back while it has not started, each for itself; the kernel refuses the last one, as it has to.
    pub undo: Plan,
}

/// Where data goes: as asked for, or chosen. `None` with the reason where it has to be saved instead.
///
/// # Errors
/// The offset that was asked for cannot be.
pub fn moved(shape: &Shape, req: &GrowRequest, route: &Route) -> Result<Result<Move, NoRoom>, Refusal> {
    let member = member_sectors(shape);
    match req.data_offset {
        Some(DataOffset::Sectors(wanted)) => {
            let found = offset::given(shape, &route.from, &route.to, member, wanted.0);
            found.map(Ok).map_err(|why| Refusal::new(format!("Cannot set new_offset for {}: {why}", shape.shown)))
        }
        Some(DataOffset::Variable) => {
            Err(Refusal::new("--data-offset=variable is not meaningful with --grow: one offset for all"))
        }
        None => Ok(offset::choose(shape, &route.from, &route.to, member)),
    }
}

/// The steps. `shape` is that after the levels before it were taken, with all members.
#[must_use]
pub fn start(shape: &Shape, route: &Route, moved: Option<Move>) -> Start {
    let (from, to) = (&route.from, &route.to);
    let mut plan = Plan::default();
    let mut undo = Plan::default();
    let mut store = |attr: &str, now: String, new: String| {
        if now != new {
            plan.steps.push(shape.set(attr, new));
            undo.steps.insert(0, shape.set(attr, now));
        }
    };
    let cache = cache(shape, from, to, moved.is_none() && !at_once(route));
    if let Some(needed) = cache {
        store("stripe_cache_size", shape.stripe_cache.unwrap_or(0).to_string(), needed.to_string());
    }
    if let Some(moved) = &moved {
        let way = if moved.backwards { "backwards" } else { "forwards" };
        store("reshape_direction", "forwards".into(), way.into());
        for (name, offset) in &moved.offsets {
            let now = shape.parts.iter().find(|p| p.name == *name).map_or(0, |p| p.offset);
            store(&format!("dev-{name}/new_offset"), now.to_string(), offset.to_string());
        }
    }
    let bytes = |g: &Geometry| (g.chunk.0 * 512).to_string();
    store("chunk_size", bytes(from), bytes(to));
    store("layout", from.layout.to_string(), to.layout.to_string());
    let still = moved.is_none() && at_once(route);
    let held = to.level != Level::Raid10 && !still;
    let first = held.then(|| offset::first(from, to, member_sectors(shape), moved.as_ref()));
    let first = first.filter(|r| r.reach() != r.end());
    if let Some(first) = &first {
        store("sync_max", "max".into(), first.as_sync(first.reach()).to_string());
    }
    let held = first.is_some();
    if from.slots != to.slots {
        // Behind it only the start can fail.
        plan.steps.push(shape.set("raid_disks", to.slots.to_string()));
        if to.level != Level::Raid10 {
            // The kernel takes the number that it has for no change; one that it always refuses makes it forget the other.
            undo.steps.push(shape.set("raid_disks", "1"));
        }
    }
    if !still {
        plan.steps.push(shape.set("sync_action", "reshape"));
    }
    Start { moved, held, cache: cache.and(shape.stripe_cache), plan, undo }
}

/// What the kernel asks for at least (`check_stripe_cache`), and what makes windows that are saved move at once; where that is more
/// than there is.
fn cache(shape: &Shape, from: &Geometry, to: &Geometry, saved: bool) -> Option<u64> {
    let pages = from.chunk.0.max(to.chunk.0) / PAGE_SECTORS;
    let least = pages.saturating_mul(4).max(if saved { STRIPES_OF_WINDOWS } else { 0 });
    Some(least).filter(|needed| shape.stripe_cache.is_some_and(|now| now < *needed))
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::super::shape::Part;
    use super::*;
    use crate::superblock::Version;
    use crate::superblock::v1::Minor;
    use crate::units::Sectors;

    /// An array of 10 MiB of each member, all of whose data is at 2048 sectors, with room for 20 000 KiB.
    pub fn shape(level: Level, chunk: u64, slots: u32, layout: u32) -> Shape {
        let part = |n: u32| Part {
            shown: format!("/dev/sd{n}"),
            name: format!("sd{n}"),
            slot: Some(n),
            in_sync: true,
            faulty: false,
            journal: false,
            bad: false,
            replacement: false,
            size: 20_000,
            room: Some(30_000),
            offset: 2048,
            least_offset: 80,
        };
        let mut shape = Shape {
            devname: "md0".into(),
            shown: "/dev/md0".into(),
            level,
            version: Some(Version::V1(Minor::V2)),
            layout,
            chunk: Sectors(chunk),
            slots,
            size: 10_240,
            offered: 0,
            limited: None,
            readonly: false,
            action: None,
            frozen: false,
            syncs: true,
            resync_pending: false,
            request: Some(1280),
            stripe_cache: Some(256),
            bitmap: Now::None,
            log: None,
            parts: (0..slots).map(part).collect(),
        };
        shape.offered = Geometry::of(&shape).array_sectors(20_480) / 2;
        shape
    }

    fn asked(change: impl FnOnce(&mut GrowRequest)) -> GrowRequest {
        let mut req = GrowRequest::default();
        change(&mut req);
        req
    }

    fn lines(plan: &Plan) -> Vec<String> {
        plan.steps.iter().map(|s| s.line().replace("sysfs  md0/md/", "")).collect()
    }

    #[test]
    fn a_reshape_is_held_back_before_it_starts_and_what_came_before_can_be_undone() {
        let it = shape(Level::Raid5, 128, 3, 2);
        let req = asked(|r| {
            r.raid_devices = Some(4);
            r.chunk = Some(Sectors(1024));
            r.add = vec!["/dev/sdx".into()];
        });
        let route = route::route(&it, &req).unwrap();
        check(&it, &req, &route, &[]).unwrap();
        let moved = moved(&it, &req, &route).unwrap().unwrap();
        let start = start(&it, &route, Some(moved));
        assert_eq!(
            lines(&start.plan),
            [
                "stripe_cache_size = 512",
                "dev-sd0/new_offset = 1024",
                "dev-sd1/new_offset = 1024",
                "dev-sd2/new_offset = 1024",
                "chunk_size = 524288",
                "sync_max = 1024",
                "raid_disks = 4",
                "sync_action = reshape",
            ]
        );
        assert_eq!(lines(&start.undo)[..2], ["sync_max = max", "chunk_size = 65536"]);
        assert_eq!(lines(&start.undo).last().unwrap(), "raid_disks = 1");
        assert_eq!(start.cache, Some(256));
    }

    #[test]
    fn what_cannot_be_reshaped_is_refused_with_the_next_step() {
        let no = |it: &Shape, req: &GrowRequest, word: &str| {
            let refused = route::route(it, req).and_then(|route| check(it, req, &route, &[])).unwrap_err();
            assert!(refused.lines.iter().any(|l| l.contains(word)), "{word}: {refused:?}");
        };
        let mut it = shape(Level::Raid5, 128, 4, 2);
        let more = asked(|r| r.raid_devices = Some(5));
        no(&it, &more, "Need 1 spare to avoid degraded array");
        let past_raid6 = asked(|r| r.raid_devices = Some(256));
        no(&shape(Level::Raid6, 128, 255, 2), &past_raid6, "more than there can be: 255");
        no(&it, &asked(|r| r.raid_devices = Some(3)), "--array-size 20480");
        no(&it, &asked(|r| r.chunk = Some(Sectors(8192))), "--size=8192");
        no(&it, &asked(|r| r.chunk = Some(Sectors(96))), "power of 2");
        it.parts[1].in_sync = false;
        no(&it, &asked(|r| r.layout = Some("rs".into())), "is degraded");
        it.limited = Some(20_480);
        it.offered = 20_480;
        let fewer = |r: &mut GrowRequest| (r.raid_devices, r.common.force) = (Some(3), 1);
        no(&it, &asked(fewer), "cannot get fewer devices");
        (it.limited, it.offered) = (None, 30_720);
        it.log = Some("PPL");
        no(&it, &more, "--consistency-policy=resync");
        it.log = None;
        it.resync_pending = true;
        no(&it, &more, "cannot be reshaped");
    }

    #[test]
    fn a_raid10_whose_copies_the_kernel_would_misplace_is_refused() {
        let near = shape(Level::Raid10, 128, 4, 0x102);
        let fine = |it: &Shape, req: &GrowRequest| route::route(it, req).and_then(|r| check(it, req, &r, &[])).is_ok();
        assert!(fine(&near, &asked(|r| r.chunk = Some(Sectors(64)))));
        assert!(!fine(&near, &asked(|r| r.layout = Some("o2".into()))));
        assert!(!fine(&near, &asked(|r| r.layout = Some("f2".into()))));
        assert!(!fine(&near, &asked(|r| r.layout = Some("n3".into()))));
        let offset = shape(Level::Raid10, 128, 4, 0x1_0201);
        assert!(fine(&offset, &asked(|r| r.layout = Some("n2".into()))));
        assert!(!fine(&offset, &asked(|r| r.chunk = Some(Sectors(64)))));
    }

    #[test]
    fn requests_that_wait_while_the_level_changes_fit_the_new_one() {
        let step = |it: &Shape, to| it.narrow(to).map(|(step, back)| lines(&Plan { steps: vec![step, back] }));
        let mut it = shape(Level::Raid5, 128, 3, 5);
        assert_eq!(
            step(&it, Level::Raid0).unwrap(),
            ["../queue/max_sectors_kb = 64", "../queue/max_sectors_kb = 1280"]
        );
        assert_eq!(step(&it, Level::Raid6).unwrap()[0], "../queue/max_sectors_kb = 1024");
        assert_eq!(step(&it, Level::Raid1), None);
        it.request = Some(64);
        assert_eq!(step(&it, Level::Raid0), None);
    }
}
