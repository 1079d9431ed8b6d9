//! Stripes of raid4, raid5 and raid6: where data and parity lie, data out of members of which some are missing, and members out
//! of data. After `raid5_compute_sector` and `raid6_d0` of the kernel's raid5.c.

use crate::level::Level;
use crate::superblock::reshape::Arranged;

/// Places of one stripe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Slots of the data, in the order of the array.
    pub data: Vec<usize>,
    /// Slot of the parity.
    pub p: usize,
    /// Slot of the second parity (raid6).
    pub q: Option<usize>,
    /// Powers of the generator by which data counts in the second parity.
    powers: Vec<usize>,
}

/// Where the chunks of a stripe lie; `None` for a layout or a number of slots that cannot be.
#[must_use]
pub fn row(level: Level, a: &Arranged, number: u64) -> Option<Row> {
    let slots = usize::try_from(a.slots).ok()?;
    let modulo = |by: usize| usize::try_from(number % u64::try_from(by.max(1)).unwrap_or(1)).unwrap_or(0);
    match level {
        Level::Raid4 if slots >= 2 => Some(five(5, slots, 0)),
        Level::Raid5 if slots >= 2 && a.layout <= 5 => Some(five(a.layout, slots, modulo(slots))),
        Level::Raid6 if slots >= 3 => {
            let layout = a.layout;
            match layout {
                0..=5 | 8..=10 => Some(six(layout, slots, modulo(slots), (modulo(slots) + 1) % slots)),
                16..=20 => {
                    let inner = five(layout - 16, slots - 1, modulo(slots - 1));
                    let powers = (0..inner.data.len()).collect();
                    Some(Row { q: Some(slots - 1), powers, ..inner })
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// raid5 (and the layouts of raid6 that have the second parity on the last member).
fn five(layout: u32, slots: usize, turn: usize) -> Row {
    let p = match layout {
        0 | 2 => slots - 1 - turn,
        1 | 3 => turn,
        4 => 0,
        _ => slots - 1,
    };
    let data = match layout {
        2 | 3 => (1..slots).map(|n| (p + n) % slots).collect(),
        _ => (0..slots).filter(|slot| *slot != p).collect(),
    };
    Row { data, p, q: None, powers: Vec::new() }
}

fn six(layout: u32, slots: usize, turn: usize, next_turn: usize) -> Row {
    let p = match layout {
        0 | 2 | 10 => slots - 1 - turn,
        1 | 3 | 8 => turn,
        9 => slots - 1 - next_turn,
        4 => 0,
        _ => slots - 2,
    };
    let q = if layout == 10 { (p + slots - 1) % slots } else { (p + 1) % slots };
    let data: Vec<usize> = match layout {
        2 | 3 => (2..slots).map(|n| (p + n) % slots).collect(),
        10 => (1..slots - 1).map(|n| (p + n) % slots).collect(),
        _ => (0..slots).filter(|slot| *slot != p && *slot != q).collect(),
    };
    let of_ddf = (8..=10).contains(&layout);
    let first = if of_ddf { 0 } else { (q + 1) % slots };
    let around = (0..slots).map(|n| (first + n) % slots);
    let counted: Vec<usize> = around.filter(|slot| of_ddf || (*slot != p && *slot != q)).collect();
    let powers = data.iter().map(|slot| counted.iter().position(|c| c == slot).unwrap_or(0)).collect();
    Row { data, p, q: Some(q), powers }
}

/// Multiplication in the field of the second parity (polynomial 0x11d).
fn times(mut a: u8, mut b: u8) -> u8 {
    let mut product = 0;
    while b != 0 {
        if b & 1 == 1 {
            product ^= a;
        }
        a = (a << 1) ^ if a & 0x80 != 0 { 0x1d } else { 0 };
        b >>= 1;
    }
    product
}

fn power(exponent: usize) -> u8 {
    (0..exponent % 255).fold(1, |value, _| times(value, 2))
}

/// Of a number that is not 0.
fn inverse(a: u8) -> u8 {
    (0..253).fold(a, |value, _| times(value, a))
}

/// Adds `factor` times `from` to `to`.
fn add(to: &mut [u8], from: &[u8], factor: u8) {
    if factor == 1 {
        to.iter_mut().zip(from).for_each(|(t, f)| *t ^= f);
        return;
    }
    let table: Vec<u8> = (0..=u8::MAX).map(|n| times(n, factor)).collect();
    to.iter_mut().zip(from).for_each(|(t, f)| *t ^= table.get(usize::from(*f)).copied().unwrap_or(0));
}

impl Row {
    /// The chunk of each slot, out of the data of the stripe: as many equal chunks as it has.
    #[must_use]
    pub fn encode(&self, data: &[u8]) -> Vec<Vec<u8>> {
        let chunk = data.len() / self.data.len().max(1);
        let slots = self.data.len() + 1 + usize::from(self.q.is_some());
        let mut all = vec![vec![0; chunk]; slots];
        let (mut p, mut q) = (vec![0; chunk], vec![0; chunk]);
        for (n, (slot, piece)) in self.data.iter().zip(data.chunks_exact(chunk.max(1))).enumerate() {
            add(&mut p, piece, 1);
            if self.q.is_some() {
                add(&mut q, piece, power(self.powers.get(n).copied().unwrap_or(0)));
            }
            if let Some(to) = all.get_mut(*slot) {
                to.copy_from_slice(piece);
            }
        }
        if let Some(to) = all.get_mut(self.p) {
            *to = p;
        }
        if let Some(to) = self.q.and_then(|q| all.get_mut(q)) {
            *to = q;
        }
        all
    }

    /// The data of the stripe, out of the chunks that could be read; `None` where too few are there.
    #[must_use]
    pub fn decode(&self, chunks: &[Option<Vec<u8>>], chunk: usize) -> Option<Vec<u8>> {
        let of = |slot: usize| chunks.get(slot).and_then(|c| c.as_deref()).filter(|c| c.len() == chunk);
        let missing: Vec<usize> =
            (0..self.data.len()).filter(|n| self.data.get(*n).is_none_or(|s| of(*s).is_none())).collect();
        let (p, q) = (of(self.p), self.q.and_then(of));
        let factor = |n: usize| power(self.powers.get(n).copied().unwrap_or(0));
        let rest = |parity: &[u8], second: bool| {
            let mut sum = parity.to_vec();
            for (n, slot) in self.data.iter().enumerate() {
                if let Some(piece) = of(*slot) {
                    add(&mut sum, piece, if second { factor(n) } else { 1 });
                }
            }
            sum
        };
        let scaled = |from: &[u8], by: u8| {
            let mut out = vec![0; chunk];
            add(&mut out, from, by);
            out
        };
        let found: Vec<(usize, Vec<u8>)> = match (missing.as_slice(), p, q) {
            ([], _, _) => Vec::new(),
            ([one], Some(p), _) => vec![(*one, rest(p, false))],
            ([one], None, Some(q)) => vec![(*one, scaled(&rest(q, true), inverse(factor(*one))))],
            ([a, b], Some(p), Some(q)) => {
                // a + b = p', g(a) a + g(b) b = q'
                let (p, mut sum) = (rest(p, false), rest(q, true));
                add(&mut sum, &p, factor(*b));
                let first = scaled(&sum, inverse(factor(*a) ^ factor(*b)));
                let mut second = p;
                add(&mut second, &first, 1);
                vec![(*a, first), (*b, second)]
            }
            _ => return None,
        };
        let mut data = Vec::with_capacity(chunk * self.data.len());
        for (n, slot) in self.data.iter().enumerate() {
            let made = found.iter().find(|(m, _)| *m == n).map(|(_, d)| d.as_slice());
            data.extend_from_slice(of(*slot).or(made)?);
        }
        Some(data)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kinds() -> impl Strategy<Value = (Level, u32)> {
        prop_oneof![
            Just((Level::Raid4, 0)),
            (0..=5u32).prop_map(|l| (Level::Raid5, l)),
            prop_oneof![0..=5u32, 8..=10u32, 16..=20u32].prop_map(|l| (Level::Raid6, l)),
        ]
    }

    proptest! {
        #[test]
        fn every_slot_is_used_once_and_data_comes_back_whichever_members_are_missing(
            (level, layout) in kinds(), slots in 4..9u32, number: u64, seed: [u8; 16], gone in prop::array::uniform2(0..9usize),
        ) {
            let row = row(level, &Arranged { slots, layout, chunk: 8 }, number).unwrap();
            let mut used: Vec<usize> = row.data.iter().copied().chain([row.p]).chain(row.q).collect();
            used.sort_unstable();
            prop_assert_eq!(used, (0..slots as usize).collect::<Vec<_>>());
            let data: Vec<u8> = (0..row.data.len() * 16).map(|n| seed[n % 16].rotate_left(n as u32 % 7)).collect();
            let mut chunks: Vec<Option<Vec<u8>>> = row.encode(&data).into_iter().map(Some).collect();
            let most = if level == Level::Raid6 { 2 } else { 1 };
            for slot in &gone[..most] {
                if let Some(chunk) = chunks.get_mut(*slot) {
                    *chunk = None;
                }
            }
            prop_assert_eq!(row.decode(&chunks, 16), Some(data));
        }
    }

    #[test]
    fn the_default_layouts_are_the_kernels() {
        let a = |slots, layout| Arranged { slots, layout, chunk: 8 };
        let five = row(Level::Raid5, &a(4, 2), 1).unwrap();
        assert_eq!((five.data, five.p), (vec![3, 0, 1], 2));
        let six = row(Level::Raid6, &a(5, 2), 0).unwrap();
        assert_eq!((six.data, six.p, six.q), (vec![1, 2, 3], 4, Some(0)));
        assert_eq!(row(Level::Raid5, &a(4, 6), 0), None);
    }
}
