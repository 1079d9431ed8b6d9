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

/// `20260921T134640Z`: a time in UTC, in seconds since 1970, that sorts as text.
#[must_use]
pub fn stamp(seconds: u64) -> String {
    let (days, rest) = (seconds / 86400, seconds % 86400);
    // Days since 1 March of year 0, in cycles of 400 years; years begin in March, so that a leap day is a year's last.
    let days = days + 719_468;
    let (cycle, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (dom, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = cycle * 400 + year + u64::from(month <= 2);
    format!("{year:04}{month:02}{dom:02}T{:02}{:02}{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
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

    #[test]
    fn stamps_are_those_of_date_u() {
        for (seconds, text) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (1_709_251_199, "20240229T235959Z"),
            (1_790_000_000, "20260921T141320Z"),
            (4_107_542_400, "21000301T000000Z"),
        ] {
            assert_eq!(stamp(seconds), text);
        }
    }
}
