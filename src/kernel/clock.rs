//! The time, and local time as libc tells it from `TZ` and `/etc/localtime`.

use crate::time::Civil;

/// Seconds since 1970.
#[must_use]
pub fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Breaks seconds since 1970 down for the local time zone; `None` where libc cannot (years past 2^31).
#[must_use]
pub fn local(seconds: i64) -> Option<Civil> {
    // SAFETY: a `struct tm` is integers and a pointer, for all of which zero is a value.
    let mut tm: libc::tm = unsafe { std::mem::zeroed() };
    // Once: it looks at /etc/localtime each time.
    static ZONE: std::sync::Once = std::sync::Once::new();
    // SAFETY: `tzset` reads the environment, which this program never changes.
    ZONE.call_once(|| unsafe { tzset() });
    // SAFETY: both pointers are to live variables; localtime_r keeps neither.
    let done = unsafe { libc::localtime_r(&seconds, &mut tm) };
    if done.is_null() {
        return None;
    }
    let small = |n: libc::c_int| u8::try_from(n).unwrap_or(0);
    Some(Civil {
        year: i64::from(tm.tm_year) + 1900,
        month: small(tm.tm_mon + 1),
        day: small(tm.tm_mday),
        weekday: small(tm.tm_wday),
        hour: small(tm.tm_hour),
        minute: small(tm.tm_min),
        second: small(tm.tm_sec),
    })
}

unsafe extern "C" {
    /// POSIX `tzset`: reads `TZ`; `localtime_r` need not.
    fn tzset();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_86400_seconds_and_absurd_times_are_none() {
        let (a, b) = (local(1_000_000_000).unwrap(), local(1_000_086_400).unwrap());
        assert_eq!((a.minute, a.second, (a.weekday + 1) % 7), (b.minute, b.second, b.weekday));
        assert_eq!(local(i64::MAX), None);
    }
}
