//! Results held to the output schema of their tool.

use std::sync::Arc;

use serde_json::Value;

use super::conform::{Breach, Conform};

/// The most values of a schema times bytes of a result: more would keep a lane from its schedule.
const MOST_WORK: usize = 1 << 24;
/// What a tool promises of its `structuredContent`.
#[derive(Clone, Debug)]
pub(in crate::workload) struct Output {
    conform: Arc<Conform>,
    /// How many values the schema has.
    size: usize,
}

impl Output {
    /// Makes an output schema ready.
    ///
    /// # Errors
    /// It cannot be used: in words.
    pub(in crate::workload) fn new(schema: &Value) -> Result<Self, String> {
        // Formats are remarks, unless a schema says otherwise: what is called wrong must be wrong beyond doubt.
        let conform = Arc::new(Conform::at(schema, "", false)?);
        let size = schema.to_string().bytes().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count();
        Ok(Self { conform, size: size.max(1) })
    }

    /// Holds the raw JSON of `structuredContent` to it. What would take too much work is let pass.
    pub(in crate::workload) fn check(&self, structured: Option<&str>) -> Result<(), Breach> {
        let structured = structured.ok_or(Breach::Missing)?;
        if structured.len().saturating_mul(self.size) > MOST_WORK {
            return Ok(());
        }
        let Ok(value) = serde_json::from_str::<Value>(structured) else { return Ok(()) };
        match self.conform.check(&value) {
            Err(Breach::TooDeep) => Ok(()),
            checked => checked,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_result_is_held_to_the_schema_and_the_place_that_it_breaks_is_named() {
        let schema = json!({"type": "object", "properties": {"balance": {"type": "number"}}, "required": ["balance"]});
        let output = Output::new(&schema).unwrap();
        assert_eq!(output.check(Some(r#"{"balance": 1.5}"#)), Ok(()));
        assert_eq!(output.check(None), Err(Breach::Missing));
        let Err(Breach::At { rule, why }) = output.check(Some(r#"{"balance": "1.5"}"#)) else { panic!() };
        assert_eq!(rule, "/properties/balance/type");
        assert!(why.contains("number") && !why.contains("1.5"), "{why}");
        let Err(Breach::At { rule, .. }) = output.check(Some("{}")) else { panic!() };
        assert_eq!(rule, "/required");
    }

    #[test]
    fn what_would_take_too_much_work_is_let_pass() {
        let output = Output::new(&json!({"type": "array", "items": {"type": "number"}})).unwrap();
        assert!(output.check(Some("[\"x\"]")).is_err());
        let deep = format!("{}\"x\"{}", "[".repeat(100), "]".repeat(100));
        assert_eq!(output.check(Some(&deep)), Ok(()));
        assert_eq!(output.check(Some(&format!("[\"{}\"]", "x".repeat(MOST_WORK)))), Ok(()));
    }
}
