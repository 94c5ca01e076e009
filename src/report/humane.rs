//! Figures and texts as readers want them: grouped digits, few decimals, nothing that could move a terminal's cursor.

use crate::measure::Quantile;
use crate::stamp;
use crate::time::humane_duration;

/// A whole number with its digits in groups: `12 345`.
pub(super) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// `count` of `what`, which gets an s where there is not exactly one: `1 call`, `12 345 calls`.
pub(super) fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A share (0 to 1) in percent. `100 %` and `0 %` are said of nothing else: near them there are as many decimals as it
/// takes to tell.
pub(super) fn percent(share: f64) -> String {
    let value = share * 100.0;
    let distance = value.min(100.0 - value);
    // Two digits of the distance to the nearer end, and never fewer than one decimal.
    let decimals = if distance > 0.0 { (1 - distance.log10().floor() as i32).clamp(1, 9) as usize } else { 0 };
    format!("{} %", trimmed(&format!("{value:.decimals$}")))
}

/// Bytes in the largest unit (of 1024) of which there is one, to three digits: `12.3 MiB`.
pub(super) fn bytes(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let power = (bytes.max(1.0).log2() / 10.0).floor().min(units.len() as f64 - 1.0);
    let value = bytes / 1024_f64.powf(power);
    let decimals = if power == 0.0 { 0 } else { (2 - value.max(1.0).log10().floor() as i32).clamp(0, 2) as usize };
    format!("{value:.decimals$} {}", units[power as usize])
}

/// A rate per second, to four digits: `1 000/s`, `998.7/s`, `0.5/s`.
pub fn rate(per_second: f64) -> String {
    if !per_second.is_finite() || per_second <= 0.0 {
        return "0/s".to_owned();
    }
    if per_second >= 999.95 {
        return format!("{}/s", count(per_second.round() as u64));
    }
    let decimals = (3 - per_second.log10().floor() as i32).clamp(1, 6) as usize;
    format!("{}/s", trimmed(&format!("{per_second:.decimals$}")))
}

/// A number without the zeros behind its last decimal.
fn trimmed(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

/// A duration to three digits; a quantile among arrivals without a complete reply is `no reply`.
pub(super) fn quantile(quantile: Quantile) -> String {
    match quantile {
        Quantile::Finite(time) => humane_duration(time),
        Quantile::Unbounded => "no reply".to_owned(),
    }
}

/// Milliseconds since 1970 as a date and a time of day in UTC, to the second.
pub(super) fn date(unix_ms: u64) -> String {
    let mut text = String::new();
    stamp::write_rfc3339(unix_ms / 1000 * 1000, &mut text);
    text.replace('T', " ").replace(".000Z", " UTC")
}

/// `text` in one line of visible characters: escape sequences, control characters and those that turn the direction of
/// writing or show nothing are taken out, and runs of white space become one space. Safe on any terminal.
pub fn clean(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => skip_escape(&mut rest),
            _ if c.is_whitespace() => {
                if !line.ends_with(' ') {
                    line.push(' ');
                }
            }
            _ if c.is_control() || is_unseen(c) => {}
            _ => line.push(c),
        }
    }
    line.trim().to_owned()
}

/// `text` without what is not visible, its spaces as they are: for lines whose cells are clean already.
pub(super) fn visible(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && !is_unseen(*c)).collect()
}

/// Goes on behind an escape sequence (ECMA-48): CSI ends with a final byte, the strings OSC, DCS, SOS, PM and APC with BEL
/// or ST, any other after one character.
fn skip_escape(rest: &mut std::str::Chars<'_>) {
    match rest.next() {
        Some('[') => while rest.next().is_some_and(|c| !('\u{40}'..='\u{7e}').contains(&c)) {},
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while rest.next().is_some_and(|c| !matches!(c, '\u{7}' | '\u{1b}' | '\u{9c}')) {}
        }
        _ => {}
    }
}

/// Zero-width and direction marks, joiners, variation selectors, tags.
fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// How many columns `text` takes at most on a terminal: beyond the alphabets of Europe and the Near East, punctuation and
/// lines, each character may take two.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

fn columns_of(c: char) -> usize {
    match c {
        '\0'..='\u{10ff}' | '\u{2000}'..='\u{2319}' | '\u{2500}'..='\u{257f}' => 1,
        _ => 2,
    }
}

/// `text` cut to `most` columns; a cut one ends in `…`.
pub(super) fn clip(text: &str, most: usize) -> String {
    if columns(text) <= most {
        return text.to_owned();
    }
    let mut used = 1;
    let fits = |c: &char| {
        used += columns_of(*c);
        used <= most
    };
    let kept: String = text.chars().take_while(fits).collect();
    if most == 0 { String::new() } else { format!("{}…", kept.trim_end()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counts_are_grouped_by_three() {
        assert_eq!([0, 999, 1000, 12_345, 1_234_567].map(count), ["0", "999", "1 000", "12 345", "1 234 567"]);
        assert_eq!((counted(1, "call"), counted(0, "call")), ("1 call".into(), "0 calls".into()));
    }

    #[test]
    fn only_all_is_a_hundred_percent_and_only_none_is_zero() {
        let shares = [1.0, 0.999_999, 0.9998, 0.955, 0.5, 0.1234, 0.0123, 0.000_012, 0.0];
        let shown = shares.map(percent);
        assert_eq!(shown, ["100 %", "99.9999 %", "99.98 %", "95.5 %", "50 %", "12.3 %", "1.2 %", "0.0012 %", "0 %"]);
    }

    #[test]
    fn rates_have_four_digits() {
        let shown = [0.0, 0.5, 9.8765, 998.74, 1000.0, 999.96, 16_000.4].map(rate);
        assert_eq!(shown, ["0/s", "0.5/s", "9.877/s", "998.7/s", "1 000/s", "1 000/s", "16 000/s"]);
        assert_eq!(rate(f64::NAN), "0/s");
    }

    #[test]
    fn a_date_is_read_to_the_second() {
        assert_eq!(date(1_795_366_260_042), "2026-11-22 16:51:00 UTC");
    }

    #[test]
    fn escape_sequences_and_what_cannot_be_seen_are_taken_out() {
        for (hostile, seen) in [
            ("\u{1b}[31;1mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}text", "text"),
            ("\u{1b}]8;;http://evil\u{1b}\\link", "\\link"),
            ("a\r\n\tb\u{8}\u{7f}\u{9b}c", "a bc"),
            ("abc\u{202e}fed\u{200b}", "abcfed"),
            ("tail\u{1b}", "tail"),
            ("\u{1b}[12", ""),
        ] {
            assert_eq!(clean(hostile), seen);
        }
    }

    #[test]
    fn bytes_are_in_the_unit_of_which_there_is_one() {
        let shown = [0.0, 1023.0, 1024.0, 1.5e7, 123_456_789_000.0].map(bytes);
        assert_eq!(shown, ["0 B", "1023 B", "1.00 KiB", "14.3 MiB", "115 GiB"]);
    }

    #[test]
    fn a_clipped_text_ends_in_a_sign_of_it() {
        assert_eq!(clip("create_payment", 14), "create_payment");
        assert_eq!(clip("create_payment", 8), "create_…");
        assert_eq!(clip("💳💳💳", 5), "💳💳…");
        assert_eq!(clip("abc", 0), "");
    }

    proptest! {
        #[test]
        fn what_is_clean_has_no_control_character_and_stays_as_it_is(text in any::<String>()) {
            let cleaned = clean(&text);
            prop_assert!(!cleaned.chars().any(|c| c.is_control() || is_unseen(c)));
            prop_assert_eq!(clean(&cleaned), cleaned);
        }

        #[test]
        fn a_clipped_text_is_never_wider(text in any::<String>(), most in 0_usize..40) {
            prop_assert!(columns(&clip(&text, most)) <= most);
        }
    }
}
