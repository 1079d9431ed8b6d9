//! `--map`: a lockless bitmap as a grid, each cell a range of chunks and as bad as the worst of them.

use super::{BitmapView, Body};
use crate::bitmap::lockless::ChunkState;
use crate::output::lockless_cost::size;

/// Lines that the map has beside the grid: two above, the legend and a remark in up to five, and one for the prompt.
const OTHER_LINES: usize = 8;
/// Columns before the first cell.
const LABEL: usize = 9;

/// How large a terminal is, and whether it takes colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// Columns.
    pub columns: usize,
    /// Lines.
    pub lines: usize,
    /// Escape sequences are understood.
    pub colour: bool,
}

/// The worst state of each cell, collected in the order of the chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cells {
    per_cell: u64,
    worst: Vec<u8>,
}

/// From bad to good: letter, colour, name. What is no state counts as "need sync" to the kernel.
const ORDER: [(Option<ChunkState>, char, u8); 9] = [
    (None, '!', 31),
    (Some(ChunkState::NeedSync), 'N', 31),
    (Some(ChunkState::Syncing), 'S', 35),
    (Some(ChunkState::Dirty), 'D', 33),
    (Some(ChunkState::NeedSyncUnwritten), 'n', 36),
    (Some(ChunkState::SyncingUnwritten), 's', 36),
    (Some(ChunkState::Clean), 'c', 32),
    (Some(ChunkState::CleanUnwritten), 'u', 34),
    (Some(ChunkState::Unwritten), '.', 90),
];

fn rank(byte: u8) -> usize {
    let state = ChunkState::from_byte(byte);
    ORDER.iter().position(|o| o.0 == state).unwrap_or(0)
}

impl Cells {
    /// Cells for so many chunks that fit the screen.
    #[must_use]
    pub fn new(chunks: u64, screen: Screen) -> Cells {
        let cells = (width(screen) * screen.lines.saturating_sub(OTHER_LINES).max(1)) as u64;
        Cells { per_cell: chunks.div_ceil(cells).max(1), worst: Vec::new() }
    }

    /// Adds states; `first` is the number of the first one's chunk.
    pub fn add(&mut self, first: u64, states: &[u8]) {
        for (chunk, state) in (first..).zip(states) {
            let cell = usize::try_from(chunk / self.per_cell).unwrap_or(usize::MAX);
            match self.worst.get_mut(cell) {
                Some(worst) if rank(*state) < rank(*worst) => *worst = *state,
                Some(_) => {}
                None => self.worst.push(*state),
            }
        }
    }
}

fn width(screen: Screen) -> usize {
    // A multiple of 8 reads better.
    (screen.columns.saturating_sub(LABEL + 1) / 8 * 8).max(8)
}

/// The map as text; the reason in a line where there is nothing to draw.
#[must_use]
pub fn map(view: &BitmapView, screen: Screen) -> String {
    let Some(Body::Lockless(body)) = &view.body else {
        return format!("{}: only a lockless bitmap has a map\n", view.device);
    };
    let Some(cells) = &body.cells else {
        return format!("{}: no chunk has a state yet\n", view.device);
    };
    let (chunk, chunks) = (body.cover.chunk_bytes, body.chunks.choice().chunks);
    let of = if body.cover.stripes.is_some() { " of each member" } else { "" };
    let mut out = format!("{}: {chunks} chunks of {}{of}\n", view.device, size(chunk));
    let cell = cells.per_cell.saturating_mul(chunk);
    out.push_str(&format!("each cell {} ({} chunks), as bad as the worst of them\n", size(cell), cells.per_cell));
    let wide = width(screen);
    for (row, line) in cells.worst.chunks(wide).enumerate() {
        let at = (row * wide) as u64;
        let start = body.cover.array((at.saturating_mul(cell), at.saturating_mul(cell))).0;
        out.push_str(&format!("{:>LABEL$} ", exact(start)));
        out.push_str(&drawn(line, screen.colour));
        out.push('\n');
    }
    legend(&mut out, cells, screen.colour);
    if body.agrees() == Some(false) {
        out.push_str(
            "as on a member, which lags behind the kernel's memory: what was cleaned or\ndiscarded since is not there yet\n",
        );
    }
    out
}

/// A place, not rounded: in the largest unit that divides it.
fn exact(bytes: u64) -> String {
    let units = [(1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];
    let fits = units.into_iter().find(|(unit, _)| bytes != 0 && bytes.is_multiple_of(*unit));
    fits.map_or_else(|| bytes.to_string(), |(unit, letter)| format!("{}{letter}", bytes / unit))
}

fn drawn(cells: &[u8], colour: bool) -> String {
    let mut out = String::new();
    let mut last = None;
    for byte in cells {
        let (_, letter, code) = ORDER.get(rank(*byte)).copied().unwrap_or((None, '?', 0));
        if colour && last != Some(code) {
            out.push_str(&format!("\x1b[{code}m"));
            last = Some(code);
        }
        out.push(letter);
    }
    if last.is_some() {
        out.push_str("\x1b[0m");
    }
    out
}

/// The letters that occur.
fn legend(out: &mut String, cells: &Cells, colour: bool) {
    let mut words = Vec::new();
    for (state, letter, _) in ORDER {
        let byte = cells.worst.iter().find(|b| ChunkState::from_byte(**b) == state);
        if let Some(byte) = byte {
            let name = state.map_or("no state", ChunkState::name);
            let drawn = if colour { drawn(&[*byte], true) } else { letter.to_string() };
            words.push(format!("{drawn} {name}"));
        }
    }
    let (first, rest) = words.split_at(words.len().min(5));
    out.push_str(&first.join("   "));
    out.push('\n');
    if !rest.is_empty() {
        out.push_str(&rest.join("   "));
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCREEN: Screen = Screen { columns: 80, lines: 24, colour: false };

    #[test]
    fn a_cell_is_as_bad_as_the_worst_of_its_chunks() {
        let mut cells = Cells::new(4096, SCREEN);
        assert_eq!(cells.per_cell, 4);
        let mut states = [1u8; 4096];
        (states[5], states[6], states[4095]) = (3, 2, 9);
        states[4000..4092].fill(0);
        cells.add(0, &states);
        let text = drawn(&cells.worst, false);
        assert!(text.starts_with("cNcc") && text.ends_with("..!"), "{text}");
        assert!(text.len() <= 64 * 16);
    }

    #[test]
    fn places_are_exact() {
        let shown = [0, 1040 << 20, 1 << 30, 65536, 3 << 40, 100].map(exact);
        assert_eq!(shown, ["0", "1040M", "1G", "64K", "3T", "100"]);
    }

    #[test]
    fn colours_change_only_where_the_state_does() {
        assert_eq!(drawn(&[1, 1, 3], true), "\x1b[32mcc\x1b[31mN\x1b[0m");
    }
}
