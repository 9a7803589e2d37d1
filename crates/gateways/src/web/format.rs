//! Sizes and dates as pages show them; scripts show the same sizes (`format.js`), and dates by the reader's own clock.

use super::text::words;
use types::WallMillis;

/// `1.4 MB`, with the mark that the request's language has there.
pub(super) fn size(bytes: u64) -> String {
    apps::accounts::said_size(bytes).replace('.', words().decimal)
}

/// `2026-11-21 04:02`, UTC; nothing for what has no date.
pub(super) fn date(time: WallMillis) -> String {
    if time.0 == 0 {
        return String::new();
    }
    let seconds = time.0 / 1000;
    let (year, month, day) = civil(seconds / 86_400);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60)
}

/// For `<time datetime>`.
pub(super) fn machine_date(time: WallMillis) -> String {
    date(time).replace(' ', "T") + "Z"
}

/// To the second (RFC 3339).
pub(super) fn machine_second(time: WallMillis) -> String {
    let seconds = time.0 / 1000;
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The date of a day counted from 1970-01-01, in the Gregorian calendar: years are
/// counted from March, so that the leap day is a year's last.
pub(super) fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// The day after one typed as `2026-11-21`, where it begins, UTC: until then it lasts.
pub(super) fn end_of_day(typed: &str) -> Option<WallMillis> {
    let mut parts = typed.splitn(3, '-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if !(1970..=9999).contains(&year) {
        return None;
    }
    // Days are searched for from below: no month has more than 31, no year more than 366.
    let least = (year - 1970) * 365 + (month.max(1) - 1) * 28;
    let at = (least..least + 3000).find(|days| civil(*days) == (year, month, day))?;
    Some(WallMillis((at + 1) * 86_400_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read() {
        for (typed, end) in [("1970-01-01", "1970-01-02"), ("2024-02-29", "2024-03-01"), ("9999-12-31", "10000-01-01")]
        {
            assert!(date(end_of_day(typed).unwrap()).starts_with(end), "{typed}");
        }
        for typed in ["", "2023-02-29", "2024-13-01", "1969-12-31", "10000-01-01", "2024-01", "x-y-z"] {
            assert_eq!(end_of_day(typed), None, "{typed}");
        }
    }

    #[test]
    fn dates_are_right() {
        for (seconds, shown) in [
            (1, "1970-01-01 00:00"),
            (951_782_400, "2000-02-29 00:00"),
            (1_078_012_799, "2004-02-28 23:59"),
            (1_795_233_724, "2026-11-21 04:02"),
            (4_107_542_400, "2100-03-01 00:00"),
        ] {
            assert_eq!(date(WallMillis(seconds * 1000)), shown);
        }
        assert_eq!(date(WallMillis(0)), "");
    }
}
