//! Several members named: which is the newest, and whose copies of the bitmap differ.

use std::collections::HashMap;
use std::thread::sleep;
use std::time::Duration;

use super::Examined;
use super::find::Found;
use crate::bitmap::compare::{Difference, compare};
use crate::bitmap::lockless;
use crate::superblock::v1::{Role, SuperV1, feature};
use crate::uuid::Uuid;

/// A running array's members are written one after the other: what differs is looked at again.
const TRIES: u32 = 3;

/// The most events of the members of each array.
pub fn newest_events(found: &[Found]) -> HashMap<Uuid, u64> {
    let mut newest = HashMap::new();
    for sb in found.iter().filter_map(|f| f.member.as_ref().map(|(_, sb)| sb)) {
        let events = newest.entry(sb.set_uuid()).or_insert(0);
        *events = sb.events().max(*events);
    }
    newest
}

/// Compares the copies of members that must agree, notes it in both views and gives the warnings.
pub fn find(found: &[Found], examined: &mut [Examined]) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut first_of: Vec<(usize, &Found)> = Vec::new();
    for (n, this) in comparable(found, examined) {
        let Some((m, other)) = first_of.iter().copied().find(|(_, f)| same_array(f, this)) else {
            first_of.push((n, this));
            continue;
        };
        let Some(chunks) = examined.get_mut(n).and_then(Examined::lockless).map(|b| b.chunks.choice().chunks) else {
            continue;
        };
        let Some(difference) = differ(other, this, chunks) else { continue };
        let Difference { chunks, first } = difference;
        let names = [m, n].map(|i| examined.get(i).map(|e| e.shown.clone()).unwrap_or_default());
        let [a, b] = &names;
        warnings.push(format!(
            "{a} and {b} are in sync and of equal events, but their bitmaps differ in {chunks} chunks, the first is chunk {first}"
        ));
        for (i, name) in [(m, b), (n, a)] {
            if let Some(body) = examined.get_mut(i).and_then(Examined::lockless) {
                body.differs.push((name.clone(), difference));
            }
        }
    }
    warnings
}

/// The examined lockless bitmaps of active members in sync, with their place in the list.
fn comparable<'a>(found: &'a [Found], examined: &mut [Examined]) -> Vec<(usize, &'a Found)> {
    let mut found = found.iter();
    let mut list = Vec::new();
    for (n, one) in examined.iter_mut().enumerate() {
        // Every view has its `Found`, in the same order.
        let Some(this) = one.view.is_some().then(|| found.next()).flatten() else { continue };
        let active = this.member.as_ref().is_some_and(|(_, sb)| is_in_sync(sb));
        let has_states = one.lockless().is_some_and(|b| b.disk.is_some());
        if active && has_states {
            list.push((n, this));
        }
    }
    list
}

fn is_in_sync(sb: &SuperV1) -> bool {
    matches!(sb.role(), Role::Slot(_)) && !sb.has(feature::RECOVERY_OFFSET)
}

fn same_array(a: &Found, b: &Found) -> bool {
    let key = |f: &Found| f.member.as_ref().map(|(_, sb)| (sb.set_uuid(), sb.events()));
    let first_use = |f: &Found| lockless::is_first_use(&f.sb);
    key(a) == key(b) && first_use(a) == first_use(b) && a.sb.chunksize() == b.sb.chunksize()
}

fn differ(a: &Found, b: &Found, chunks: u64) -> Option<Difference> {
    let mut last = None;
    for attempt in 0..TRIES {
        if attempt > 0 {
            sleep(Duration::from_millis(200));
        }
        // What cannot be read was said when it was counted.
        last = compare((&a.dev, a.start), (&b.dev, b.start), chunks).ok().flatten();
        if last.is_none() || a.array.is_none() {
            break;
        }
    }
    last
}
