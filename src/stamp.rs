//! Milliseconds since 1970 as the text of a timestamp (RFC 3339, UTC).

use std::fmt::Write;

/// Appends for example `2026-11-22T16:51:00.042Z`.
pub(crate) fn write_rfc3339(unix_ms: u64, out: &mut String) {
    let (days, ms) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    let (year, month, day) = civil(days);
    let (hour, minute, second, ms) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000);
    if year > 9999 {
        let written = write!(out, "{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z");
        debug_assert!(written.is_ok(), "writing to a String cannot fail");
        return;
    }
    // Each call has one, and formatting seven numbers takes as long as all other values of a call.
    let mut text = *b"0000-00-00T00:00:00.000Z";
    for (number, places) in
        [(year, 0..4), (month, 5..7), (day, 8..10), (hour, 11..13), (minute, 14..16), (second, 17..19), (ms, 20..23)]
    {
        let mut left = number;
        for digit in text[places].iter_mut().rev() {
            *digit = b'0' + (left % 10) as u8;
            left /= 10;
        }
    }
    out.push_str(std::str::from_utf8(&text).unwrap_or_default());
}

/// Year, month and day of a count of days since 1970-01-01 in the Gregorian calendar, by eras of 400 years that begin
/// with March (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`).
const fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + (month <= 2) as u64;
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(unix_ms: u64) -> String {
        let mut out = String::new();
        write_rfc3339(unix_ms, &mut out);
        out
    }

    #[test]
    fn known_instants_print_as_the_calendar_says() {
        assert_eq!(text(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(text(1_709_251_199_999), "2024-02-29T23:59:59.999Z");
        assert_eq!(text(1_795_366_260_042), "2026-11-22T16:51:00.042Z");
        assert_eq!(text(4_102_444_800_000), "2100-01-01T00:00:00.000Z");
        assert_eq!(text(253_402_300_799_987), "9999-12-31T23:59:59.987Z");
        assert_eq!(text(253_402_300_800_000), "10000-01-01T00:00:00.000Z");
    }
}
