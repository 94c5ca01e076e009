//! What a call sends that somebody wants to know later: found in the arguments as they are written, and as rendered.

use std::borrow::Cow;

use serde_json::Value;

use super::same::{Kept, said};
use super::template::generator_of;
use crate::json::Json;

/// Where a noted value stands in rendered arguments.
pub(super) type Span = (u32, u32);

/// A value that a call sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// A generated one, by its place among the spans.
    Span(usize),
    /// The same in every call.
    Constant(Kept),
}

impl Sent {
    /// The value that these arguments carry.
    pub(super) fn of(&self, arguments: &str, spans: &[Span]) -> Kept {
        match self {
            Self::Span(place) => {
                let (from, to) = spans.get(*place).copied().unwrap_or_default();
                Kept::sent(arguments.get(from as usize..to as usize).unwrap_or_default())
            }
            Self::Constant(kept) => kept.clone(),
        }
    }

    /// The same as text.
    pub(super) fn text<'a>(&'a self, arguments: &'a str, spans: &[Span]) -> Cow<'a, str> {
        match self {
            Self::Span(place) => {
                let (from, to) = spans.get(*place).copied().unwrap_or_default();
                said(arguments.get(from as usize..to as usize).unwrap_or_default())
            }
            Self::Constant(kept) => Cow::Borrowed(&kept.text),
        }
    }
}

/// What a JSON pointer into arguments leads to.
pub(super) enum Walked {
    /// A generator, at this place.
    Generated(String),
    /// A text or a number that stands there.
    Constant(Kept),
}

/// Follows a JSON pointer into arguments as they are written.
pub(super) fn walk(arguments: &Value, pointer: &str) -> Result<Walked, String> {
    let literal = |value: &Value| {
        let table = value.as_object()?;
        (generator_of(table) == Ok(Some("literal"))).then(|| table["literal"].clone())
    };
    let missing = || format!("the arguments have no `{pointer}`: point at one of their values");
    let mut at = "arguments".to_owned();
    let whole = literal(arguments).filter(Value::is_object);
    // Nothing in a literal is a generator, whatever it looks like.
    let mut is_literal = whole.is_some();
    let mut value = whole.unwrap_or_else(|| arguments.clone());
    for token in pointer.strip_prefix('/').ok_or_else(missing)?.split('/') {
        let token = token.replace("~1", "/").replace("~0", "~");
        let next = match &value {
            Value::Object(table) => {
                at = format!("{at}.{token}");
                table.get(&token).cloned()
            }
            Value::Array(items) => {
                at = format!("{at}[{token}]");
                token.parse().ok().and_then(|place: usize| items.get(place).cloned())
            }
            _ => None,
        };
        value = next.ok_or_else(missing)?;
        if let Some(inside) = literal(&value).filter(|_| !is_literal) {
            (value, is_literal) = (inside, true);
        }
    }
    match &value {
        Value::Object(table) if !is_literal && matches!(generator_of(table), Ok(Some(_))) => Ok(Walked::Generated(at)),
        plain => Json::read(&plain.to_string()).ok().and_then(Kept::of).map(Walked::Constant).ok_or_else(|| {
            format!("`{pointer}` of the arguments is {plain}: point at a text, a number or a generated value")
        }),
    }
}
