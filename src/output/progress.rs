//! One line that says how far a long job is, for a terminal.

use std::time::Duration;

const MIB: u64 = 1 << 20;

/// `mdadm: zeroing  42% of 59.6 GiB, 310 MiB/s, 1:52 left`; nothing of speed and time in the first half second.
#[must_use]
pub fn line(what: &str, done: u64, total: u64, elapsed: Duration) -> String {
    let mut line = format!("mdadm: {what} {}", share(done, total));
    let millis = elapsed.as_millis();
    if millis >= 500 && done > 0 {
        let speed = u128::from(done) * 1000 / millis / u128::from(MIB);
        let left = u128::from(total.saturating_sub(done)) * millis / u128::from(done) / 1000;
        line += &format!(", {speed} MiB/s, {} left", clock(left));
    }
    line
}

/// `mdadm: resync of /dev/md0 [=====>........] 42% of 59.6 GiB, 310 MiB/s, 1:52 left`: the kernel tells the speed, in bytes
/// per second.
#[must_use]
pub fn bar(what: &str, done: u64, total: u64, speed: Option<u64>) -> String {
    const CELLS: usize = 20;
    let full = u128::from(done.min(total)) * CELLS as u128 / u128::from(total.max(1));
    let full = usize::try_from(full).unwrap_or(CELLS).min(CELLS);
    let (head, rest) = if full == CELLS { ("", 0) } else { (">", CELLS - full - 1) };
    let cells = format!("{}{head}{}", "=".repeat(full), ".".repeat(rest));
    let mut line = format!("mdadm: {what} [{cells}] {}", share(done, total));
    if let Some(speed) = speed.filter(|s| *s > 0) {
        let left = clock(u128::from(total.saturating_sub(done)) / u128::from(speed));
        line += &format!(", {} MiB/s, {left} left", speed / MIB);
    }
    line
}

/// ` 42% of 59.6 GiB`
fn share(done: u64, total: u64) -> String {
    let percent = u128::from(done.min(total)) * 100 / u128::from(total.max(1));
    let tenths = u128::from(total) * 10 / u128::from(1024 * MIB);
    match tenths {
        0..10 => format!("{percent:3}% of {} MiB", total / MIB),
        _ => format!("{percent:3}% of {}.{} GiB", tenths / 10, tenths % 10),
    }
}

/// `1:05`, `2:00:07`
fn clock(seconds: u128) -> String {
    match seconds / 3600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_share_size_speed_and_time_left() {
        let at = |done, total, ms| line("zeroing", done, total, Duration::from_millis(ms));
        assert_eq!(at(0, 40 * MIB, 10), "mdadm: zeroing   0% of 40 MiB");
        assert_eq!(at(1024 * MIB, 4096 * MIB, 2000), "mdadm: zeroing  25% of 4.0 GiB, 512 MiB/s, 0:06 left");
        assert_eq!(at(MIB, 7_207 * MIB, 1000), "mdadm: zeroing   0% of 7.0 GiB, 1 MiB/s, 2:00:06 left");
        assert_eq!(at(9, 0, 1000), "mdadm: zeroing   0% of 0 MiB, 0 MiB/s, 0:00 left");
        assert!(at(u64::MAX, u64::MAX, u64::MAX).contains("100%"));
    }

    #[test]
    fn a_bar_grows_with_the_share_and_needs_no_speed() {
        let half = bar("resync of /dev/md0", 50 * MIB, 100 * MIB, Some(10 * MIB));
        assert_eq!(half, "mdadm: resync of /dev/md0 [==========>.........]  50% of 100 MiB, 10 MiB/s, 0:05 left");
        assert_eq!(bar("x", 0, 0, None), "mdadm: x [>...................]   0% of 0 MiB");
        assert_eq!(bar("x", MIB, MIB, Some(0)), "mdadm: x [====================] 100% of 1 MiB");
        assert!(bar("x", u64::MAX, 1, Some(1)).contains("100%"));
    }
}
