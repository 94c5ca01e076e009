//! Figures as sentences show them: rounded, so that a reader sees what matters.

use std::time::Duration;

use crate::time::format_duration;

/// A time to four significant digits.
pub(super) fn time(time: Duration) -> String {
    let nanos = time.as_nanos();
    let grain = 10_u128.pow(nanos.checked_ilog10().unwrap_or(0).saturating_sub(3));
    let rounded = (nanos + grain / 2) / grain * grain;
    format_duration(Duration::from_nanos(u64::try_from(rounded).unwrap_or(u64::MAX)))
}

/// A share (0 to 1) in percent, to four significant digits.
pub(super) fn share(share: f64) -> String {
    format!("{}%", number(share * 100.0))
}

/// A number to four significant digits, without an exponent or trailing zeros.
pub(super) fn number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{}", value.abs());
    }
    let whole_digits = value.abs().log10().floor() as i32 + 1;
    let decimals = usize::try_from(4 - whole_digits).unwrap_or(0);
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A whole number with its digits in groups of three: `12 345`.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_four_significant_digits_and_no_trailing_zeros() {
        let shown = [0.0, 0.000_123_456, 0.1, 12.345_6, 999.96, 123_456.7].map(number);
        assert_eq!(shown, ["0", "0.0001235", "0.1", "12.35", "1000", "123457"]);
        assert_eq!(share(0.000_012), "0.0012%");
        assert_eq!([7, 1000, 12_345_678].map(grouped), ["7", "1 000", "12 345 678"]);
        assert_eq!(time(Duration::from_nanos(150_049_999)), format_duration(Duration::from_millis(150)));
        assert_eq!(time(Duration::ZERO), format_duration(Duration::ZERO));
    }
}
