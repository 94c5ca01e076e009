//! Whether two values mean the same: texts letter by letter, money as decimal numbers.

use std::borrow::Cow;

use compact_str::CompactString;

use crate::json::Json;

/// Amounts that differ by less are the same amount: what a server's floating point adds is no money.
const TOLERANCE: f64 = 1e-9;

/// A value as it was sent or answered: its text, and whether it was a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) text: CompactString,
    pub(super) is_number: bool,
}

impl Kept {
    /// A value of an answer; `None` where it is neither text nor number.
    pub(super) fn of(value: Json<'_>) -> Option<Self> {
        if let Some(text) = value.text() {
            // Copied: a text that was decoded has room for its escapes, too.
            return Some(Self { text: CompactString::new(text), is_number: false });
        }
        if is_short_and_whole(value.raw()) {
            return Some(Self { text: value.raw().into(), is_number: true });
        }
        value.number().map(|number| Self { text: number.to_string().into(), is_number: true })
    }

    /// A value of a call's arguments, as JSON.
    pub(super) fn sent(json: &str) -> Self {
        Self { text: said(json).into(), is_number: json.starts_with(|c: char| c == '-' || c.is_ascii_digit()) }
    }

    /// Whether it is an amount or a currency rather than somebody's name or id.
    pub(super) fn is_about_money(&self) -> bool {
        self.is_number || decimal(&self.text).is_some() || is_code(&self.text)
    }

    /// Whether `found`, of an answer, means the same. A number equals its text, an amount equals itself at any scale
    /// (`12.5`, `"12.50"`), and codes of three letters, as currencies are, equal themselves in capitals.
    pub(super) fn means(&self, found: Json<'_>) -> bool {
        if let Some(text) = found.text() {
            return *self.text == *text
                || (is_code(&text) && self.text.eq_ignore_ascii_case(&text))
                || ((self.is_number || (text.contains('.') || self.text.contains('.'))) && equal(&self.text, &text));
        }
        if let Some(found) = found.flag() {
            return *self.text == *found.to_string();
        }
        let Some(number) = found.number() else { return false };
        number.as_f64().is_some_and(|found| match decimal(&self.text) {
            Some(wanted) if is_exact(wanted) => (wanted - found).abs() <= TOLERANCE,
            _ => *self.text == *number.to_string(),
        })
    }
}

/// Whether a number is written in the only way that there is: then its text needs no making.
fn is_short_and_whole(written: &str) -> bool {
    const SHORT: usize = 18;
    written.len() <= SHORT
        && written.bytes().all(|byte| byte.is_ascii_digit())
        && (written.len() == 1 || !written.starts_with('0'))
}

/// A value of a call's arguments, as JSON, without quotes.
pub(super) fn said(json: &str) -> Cow<'_, str> {
    match json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(plain) if !plain.contains('\\') => Cow::Borrowed(plain),
        Some(_) => Cow::Owned(serde_json::from_str(json).unwrap_or_default()),
        None => Cow::Borrowed(json),
    }
}

fn is_code(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|b| b.is_ascii_alphabetic())
}

/// A plain decimal number, without exponent or blanks.
pub(super) fn decimal(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain =
        digits.starts_with(|c: char| c.is_ascii_digit()) && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    plain.then(|| text.parse().ok()).flatten()
}

/// Whether a float of this size still tells hundred-millionths apart well enough, and whole numbers in any case.
fn is_exact(number: f64) -> bool {
    number.abs() < 1e15
}

fn equal(left: &str, right: &str) -> bool {
    match (decimal(left), decimal(right)) {
        (Some(left), Some(right)) => is_exact(left) && (left - right).abs() <= TOLERANCE,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn means(kept: &Kept, answered: &Value) -> bool {
        kept.means(Json::read(&answered.to_string()).unwrap())
    }

    fn of(answered: &Value) -> Option<Kept> {
        Kept::of(Json::read(&answered.to_string()).unwrap())
    }

    #[test]
    fn an_amount_is_the_same_at_every_scale_and_as_text() {
        for sent in ["12.5", "12.50", "\"12.5\"", "\"12.50\""] {
            for answered in [json!(12.5), json!("12.5"), json!("12.50"), json!("12.500")] {
                assert!(means(&Kept::sent(sent), &answered), "{sent} {answered}");
            }
            for other in [json!(12.51), json!("12.49"), json!("12,5"), json!(null), json!([12.5]), json!("1250")] {
                assert!(!means(&Kept::sent(sent), &other), "{sent} {other}");
            }
        }
        assert!(means(&Kept::sent("0.3"), &json!(0.1 + 0.2)));
        assert!(means(&Kept::sent("100"), &json!("100.00")) && means(&Kept::sent("100.00"), &json!(100)));
    }

    #[test]
    fn ids_are_compared_letter_by_letter() {
        assert!(means(&Kept::sent("\"p1\""), &json!("p1")) && !means(&Kept::sent("\"p1\""), &json!("P1")));
        assert!(!means(&Kept::sent("\"0012\""), &json!("12")), "two texts without a point are no amounts");
        assert!(means(&of(&json!(7)).unwrap(), &json!("7")));
        let large = of(&json!(9_007_199_254_740_993_u64)).unwrap();
        assert!(means(&large, &json!(9_007_199_254_740_993_u64)) && !means(&large, &json!(9_007_199_254_740_992_u64)));
        assert!(means(&large, &json!("9007199254740993")) && !means(&large, &json!("9007199254740992")));
        assert!(means(&Kept::sent("\"a\\\"b\""), &json!("a\"b")));
        assert_eq!(of(&json!(null)), None);
    }

    #[test]
    fn a_currency_is_the_same_in_small_letters() {
        assert!(means(&Kept::sent("\"USD\""), &json!("usd")) && !means(&Kept::sent("\"USD\""), &json!("eur")));
        assert!(Kept::sent("\"USD\"").is_about_money() && Kept::sent("\"12.5\"").is_about_money());
        assert!(!Kept::sent("\"cust_1\"").is_about_money());
    }
}
