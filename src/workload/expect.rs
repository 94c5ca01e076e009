//! What an answer must say, and what is kept of it.

use std::borrow::Cow;

use serde_json::Value;

use super::Failure;
use super::answer::Answer;
use super::capture::{FieldId, Record};
use super::pointer::Pointers;
use super::same::Kept;
use super::sent::{Sent, Span};
use crate::outcome::Violation;

/// One demand on an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Expectation {
    pub(super) pointers: Pointers,
    pub(super) want: Want,
    /// Whether an answer without the value is fine too.
    where_present: bool,
}

/// What a demand asks of the value it points at.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Want {
    /// It is there and not null.
    Present,
    /// It is the captured value that the call carried: what it asked for.
    Captured,
    /// It is this value of the record that the call took.
    Field(FieldId),
    /// It is the value that the call sent, by its place among the noted ones.
    Sent(usize),
    /// It equals this; a number and its text are equal.
    Equals(Value),
}

/// What a call carried: what its answer is held against.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// The value that it asked for, if it carried a captured one.
    pub(super) captured: Option<FieldId>,
    pub(super) record: Option<&'a Record>,
    pub(super) noted: &'a [Sent],
    pub(super) arguments: &'a str,
    pub(super) spans: &'a [Span],
}

impl Asked<'_> {
    pub(super) fn sent(&self, place: usize) -> Option<Kept> {
        Some(self.noted.get(place)?.of(self.arguments, self.spans))
    }
}

/// A demand that was not met.
#[derive(Debug)]
pub(super) struct Mismatch {
    pub(super) failure: Failure,
    /// Which promise about money that breaks, if it is one.
    pub(super) violation: Option<Violation>,
    /// What should have been there, in words.
    pub(super) expected: String,
    /// Whether there was no value at all.
    pub(super) is_missing: bool,
}

impl Expectation {
    /// Reads `"/status" = "refunded"`, or a table: `{ present = true }`, `{ captured = true }`, `{ captured = "name" }` or
    /// `{ sent = "/pointer" }`, the last two also with `where_present = true`. Pointers to what is sent are added to `notes`.
    pub(super) fn parse(
        pointers: &str,
        want: &Value,
        names: &[String],
        notes: &mut Vec<String>,
    ) -> Result<Self, String> {
        let compiled = Pointers::parse(pointers)?;
        let wrong = || {
            format!(
                "expect {pointers} = {want}: give a value, {{ present = true }}, {{ captured = true }}, {{ captured = \"name\" }} or \
                 {{ sent = \"/field\" }}, the last two also with where_present = true"
            )
        };
        let Value::Object(table) = want else {
            let want = Want::Equals(want.clone());
            return match &want {
                Want::Equals(Value::Array(_)) => Err(wrong()),
                _ => Ok(Self { pointers: compiled, want, where_present: false }),
            };
        };
        let where_present = match table.get("where_present") {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => return Err(wrong()),
        };
        let mut keys = table.iter().filter(|(key, _)| *key != "where_present");
        let want = match (keys.next().map(|(key, value)| (key.as_str(), value)), keys.next()) {
            (Some(("present", Value::Bool(true))), None) if !where_present => Want::Present,
            (Some(("captured", Value::Bool(true))), None) => Want::Captured,
            (Some(("captured", Value::String(name))), None) => {
                let field = names.binary_search(name).map_err(|_| {
                    format!("expect {pointers}: captured `{name}` is captured or remembered by no operation")
                })?;
                Want::Field(FieldId(field as u16))
            }
            (Some(("sent", Value::String(pointer))), None) => {
                notes.push(pointer.clone());
                Want::Sent(notes.len() - 1)
            }
            _ => return Err(wrong()),
        };
        Ok(Self { pointers: compiled, want, where_present })
    }

    /// Whether `answer` meets it.
    pub(super) fn check(&self, answer: &Answer<'_>, asked: &Asked<'_>) -> Result<(), Mismatch> {
        let pointer = self.pointers.first();
        let field = |field: FieldId| asked.record.and_then(|record| record.get(field));
        let Some(found) = answer.find(&self.pointers) else {
            if self.where_present {
                return Ok(());
            }
            let failure = answer.failure(format!("{pointer} is missing"));
            let expected = pointer.to_owned();
            return Err(Mismatch { failure, violation: None, expected, is_missing: true });
        };
        // An object or a list in the place of a value does not say what the value is.
        if self.where_present && (found.is_object() || found.is_array()) {
            return Ok(());
        }
        let (wanted, is_the_id) = match &self.want {
            Want::Present => return Ok(()),
            Want::Equals(value) => {
                let met = match value.as_str() {
                    Some(text) => Kept::of(found).is_some_and(|kept| *kept.text == *text),
                    None => found.value().is_some_and(|found| found == *value),
                };
                let failure = || answer.failure(format!("{pointer} is not {value}"));
                let expected = || format!("{pointer} = {value}");
                return if met {
                    Ok(())
                } else {
                    Err(Mismatch { failure: failure(), violation: None, expected: expected(), is_missing: false })
                };
            }
            Want::Captured => (asked.captured.and_then(field).map(Cow::Borrowed), true),
            Want::Field(name) => (field(*name).map(Cow::Borrowed), asked.captured == Some(*name)),
            Want::Sent(place) => (asked.sent(*place).map(Cow::Owned), false),
        };
        // The record's own answer did not say it: then nothing is known that this one could contradict.
        let Some(wanted) = wanted else { return Ok(()) };
        if wanted.means(found) {
            return Ok(());
        }
        let is_money = !is_the_id && wanted.is_about_money();
        let violation = Some(if is_money { Violation::WrongAmount } else { Violation::WrongPayment });
        let what = match self.want {
            Want::Captured => "asked for",
            Want::Field(_) => "acknowledged",
            _ => "sent",
        };
        let failure = answer.failure(format!("{pointer} is not the value {what}"));
        Err(Mismatch { failure, violation, expected: format!("{pointer} = {}", wanted.text), is_missing: false })
    }
}

/// A value to keep from each ok answer; an answer without it is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Capture {
    pub(super) id: FieldId,
    pub(super) pointers: Pointers,
}

impl Capture {
    /// The value to keep.
    pub(super) fn read(&self, answer: &Answer<'_>) -> Result<Kept, Mismatch> {
        let pointer = self.pointers.first();
        let (group, is_missing) = match answer.find(&self.pointers) {
            Some(value) => match Kept::of(value) {
                Some(kept) if (1..=super::capture::LONGEST).contains(&kept.text.len()) => return Ok(kept),
                _ => (format!("{pointer} is no id"), false),
            },
            None => (format!("{pointer} is missing"), true),
        };
        let expected = format!("{pointer}, to be used later");
        Err(Mismatch { failure: answer.failure(group), violation: None, expected, is_missing })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::json::ToolResult;

    fn expect(pointers: &str, want: &Value, result: &str, captured: Option<&str>) -> Result<(), String> {
        held(pointers, want, result, captured, "", &[]).map_err(|mismatch| mismatch.failure.group)
    }

    /// A call that carried `captured` as `id` and, of its arguments, remembered those at `spans`.
    fn held(
        pointers: &str,
        want: &Value,
        result: &str,
        captured: Option<&str>,
        arguments: &str,
        spans: &[Span],
    ) -> Result<(), Mismatch> {
        let expectation = Expectation::parse(pointers, want, &["id".into()], &mut Vec::new()).unwrap();
        let kept = captured.map(|text| (FieldId(0), Kept { text: text.into(), is_number: false }));
        let record = Record { fields: kept.into_iter().collect(), ..Record::default() };
        let asked =
            Asked { captured: Some(FieldId(0)), record: Some(&record), noted: &[Sent::Span(0)], arguments, spans };
        expectation.check(&Answer::of(&ToolResult::read(result.to_owned())), &asked)
    }

    #[test]
    fn what_was_sent_is_held_against_the_answer_where_it_names_it() {
        let sent = json!({"sent": "/amount", "where_present": true});
        let check = |result: &str| held("/amount|/total", &sent, result, None, r#"{"amount":12.50}"#, &[(10, 15)]);
        assert!(check(r#"{"structuredContent":{"amount":"12.5"}}"#).is_ok());
        assert!(check(r#"{"structuredContent":{"total":12.5}}"#).is_ok());
        assert!(check(r#"{"structuredContent":{}}"#).is_ok(), "it is not named");
        assert!(
            check(r#"{"structuredContent":{"amount":{"value":1,"currency":"EUR"}}}"#).is_ok(),
            "it is not plainly said"
        );
        assert!(check(r#"{"structuredContent":{"amount":[1]}}"#).is_ok());
        let mismatch = check(r#"{"structuredContent":{"amount":12.51}}"#).unwrap_err();
        assert_eq!(mismatch.violation, Some(Violation::WrongAmount));
        assert_eq!(mismatch.expected, "/amount = 12.50");
        assert_eq!(mismatch.failure.group, "/amount is not the value sent");
        let asked = held("/id", &json!({"captured": true}), r#"{"_meta":{"id":"q"}}"#, Some("p"), "", &[]);
        assert_eq!(asked.unwrap_err().violation, Some(Violation::WrongPayment));
        let must = held("/amount", &json!({"sent": "/amount"}), "{}", None, "", &[]).unwrap_err();
        assert!(must.is_missing && must.violation.is_none());
    }

    #[test]
    fn what_is_missing_null_or_different_is_named() {
        let result = r#"{"structuredContent":{"id":7,"status":null,"amount":"12.50"}}"#;
        assert_eq!(expect("/status", &json!({"present": true}), result, None), Err("/status is missing".into()));
        assert_eq!(expect("/status|/id", &json!({"present": true}), result, None), Ok(()));
        assert_eq!(expect("/id", &json!({"captured": true}), result, Some("7")), Ok(()));
        let other = expect("/id", &json!({"captured": true}), result, Some("8"));
        assert_eq!(other, Err("/id is not the value asked for".into()));
        assert_eq!(expect("/amount", &json!("12.5"), result, None), Err("/amount is not \"12.5\"".into()));
        assert_eq!(expect("/id", &json!(7), "not json", None), Err("/id is missing".into()));
    }

    #[test]
    fn expectations_that_cannot_be_meant_are_refused() {
        let wrong = |pointers: &str, want: Value| {
            Expectation::parse(pointers, &want, &["id".into()], &mut Vec::new()).unwrap_err()
        };
        assert_eq!(wrong("status", json!(1)), "`status` is not a JSON pointer: write it as /field or /outer/inner");
        assert!(wrong("/a", json!({"present": false})).starts_with("expect /a = "));
        assert!(wrong("/a", json!([1])).starts_with("expect /a = "));
        assert!(wrong("/a", json!({"captured": "id", "sent": "/x"})).starts_with("expect /a = "));
        assert!(wrong("/a", json!({"captured": "id", "where_present": 1})).starts_with("expect /a = "));
        assert!(
            wrong("/a", json!({"captured": "other"})).contains("`other` is captured or remembered by no operation")
        );
    }

    #[test]
    fn only_a_short_text_or_a_number_is_captured() {
        let capture = Capture { id: FieldId(0), pointers: Pointers::parse("/id").unwrap() };
        let read = |id: Value| capture.read(&Answer::of(&ToolResult::read(json!({"_meta": {"id": id}}).to_string())));
        assert_eq!(read(json!("p1")).unwrap(), Kept { text: "p1".into(), is_number: false });
        assert_eq!(read(json!(12)).unwrap(), Kept { text: "12".into(), is_number: true });
        assert_eq!(read(json!("")).unwrap_err().failure.group, "/id is no id");
        assert_eq!(read(json!("x".repeat(2000))).unwrap_err().failure.group, "/id is no id");
        assert_eq!(read(json!(null)).unwrap_err().failure.group, "/id is missing");
    }
}
