//! Times as md stores and prints them.
#![forbid(unsafe_code)]

/// A point in time broken down for a time zone (C's `struct tm`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// The year, e.g. 2022.
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 for Sunday.
    pub weekday: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60.
    pub second: u8,
}

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `Sun Aug  7 21:15:49 2022`: C's `asctime` in the C locale, cut to 24 characters as the reference does.
#[must_use]
pub fn asctime(t: &Civil) -> String {
    let day = DAYS.get(usize::from(t.weekday)).unwrap_or(&"???");
    let month = MONTHS.get(usize::from(t.month).wrapping_sub(1)).unwrap_or(&"???");
    let text = format!("{day} {month} {:2} {:02}:{:02}:{:02} {}", t.day, t.hour, t.minute, t.second, t.year);
    text.chars().take(24).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_that_of_asctime() {
        let t = Civil { year: 2022, month: 8, day: 7, weekday: 0, hour: 21, minute: 15, second: 49 };
        assert_eq!(asctime(&t), "Sun Aug  7 21:15:49 2022");
        assert_eq!(asctime(&Civil { year: 36812, day: 20, month: 2, weekday: 3, ..t }), "Wed Feb 20 21:15:49 3681");
    }
}
