//! A plan file: TOML in, a draft out, and every fault noted on the way.
//!
//! The file is read section by section rather than by one derived type, so that one fault does not hide the next.

use std::fmt::Display;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use toml::{Table, Value};

use super::truth::parse_share;
use super::{ConnectionDraft, Draft, Faults, FlowDraft, Load, Pacing, Warmup};
use crate::secret::Secret;
use crate::time::{Rate, parse_duration};
use crate::verdict::Objective;
use crate::workload::Operation;

/// Reads the text of a plan file.
pub fn read(text: &str) -> (Draft, Faults) {
    let mut faults = Faults::default();
    let table = match text.parse::<Table>() {
        Ok(table) => table,
        Err(why) => {
            faults.note(why.to_string().trim_end());
            return (Draft::default(), faults);
        }
    };
    let draft = Section { at: String::new(), table, faults: &mut faults }.plan();
    (draft, faults)
}

/// One table of the file: what has not been taken yet, and where it stands.
struct Section<'a> {
    at: String,
    table: Table,
    faults: &'a mut Faults,
}

impl Section<'_> {
    #[expect(clippy::redundant_closure_for_method_calls, reason = "the method alone is not general over lifetimes")]
    fn plan(mut self) -> Draft {
        let mut draft = Draft { name: self.text("name"), seed: self.count("seed"), ..Draft::default() };
        draft.objectives = self.objectives();
        draft.judging = self.parsed("judge");
        if let Some(mut target) = self.section("target") {
            draft.url = target.text("url");
            draft.protocol = target.parsed("protocol");
            draft.sessions = target.parsed("sessions");
            draft.connection = target.connection();
            target.end();
        }
        if let Some(mut run) = self.section("run") {
            draft.concurrent = run.number("concurrent");
            draft.timeout = run.duration("timeout");
            draft.warmup = run.warmup();
            draft.pacing = run.pacing();
            draft.lanes = run.number("lanes");
            draft.max_reply_bytes = run.count("max_reply_bytes");
            draft.until_decided = run.flag("until_decided");
            draft.abort_on_fail = run.flag("abort_on_fail");
            draft.trace = run.flag("trace");
            draft.slowest = run.count("slowest").map(|most| u32::try_from(most).unwrap_or(u32::MAX));
            run.end();
        }
        if let Some(mut truth) = self.section("truth") {
            draft.truth.read_elsewhere = truth.share("read_elsewhere");
            draft.truth.check_output = truth.share("check_output");
            draft.truth.probe_idempotency = truth.share("probe_idempotency");
            draft.truth.wallets = truth.parsed("wallets");
            truth.end();
        }
        draft.operations = self.each("operation", |section| section.operation());
        draft.flows = self.each("flow", |section| Some(section.flow()));
        self.end();
        draft
    }

    fn connection(&mut self) -> ConnectionDraft {
        ConnectionDraft {
            headers: self.headers(),
            bearer_token_file: self.text("bearer_token_file"),
            ca_cert: self.text("ca_cert"),
            client_cert: self.text("client_cert"),
            client_key: self.text("client_key"),
            insecure: self.flag("insecure"),
            http2: self.flag("http2"),
            per_call: self.flag("connect_per_call"),
            connect_timeout: self.duration("connect_timeout"),
        }
    }

    fn headers(&mut self) -> Vec<(String, Secret)> {
        let mut headers = Vec::new();
        match self.table.remove("headers") {
            None => {}
            Some(Value::Table(table)) => {
                for (name, value) in table {
                    match value {
                        Value::String(value) => headers.push((name, Secret::from(value))),
                        _ => self.fault("headers", format_args!("{name} is not a text: put its value in quotes")),
                    }
                }
            }
            // What stands there may be a secret.
            Some(_) => self.fault("headers", "is not a table: write { NAME = \"env:VAR\" }"),
        }
        headers
    }

    fn flow(mut self) -> FlowDraft {
        let flow = FlowDraft {
            name: self.text("name"),
            mix: self.mix(),
            load: Load {
                profile: self.parsed("load"),
                rate: self.text("rate").and_then(|text| self.valid("rate", Rate::parse_load(&text))),
                duration: self.duration("duration"),
                total: self.count("total"),
            },
            arrivals: self.text("arrivals"),
            burst: self.number("burst"),
            objectives: self.objectives(),
        };
        self.end();
        flow
    }

    fn operation(mut self) -> Option<Operation> {
        let name = self.text("name");
        if name.is_none() && !self.table.contains_key("name") {
            self.fault("name", "is missing: give the operation a name");
        }
        let tool = self.text("tool").or_else(|| name.clone());
        let arguments = self.json("arguments").unwrap_or_else(|| serde_json::json!({}));
        let capture = self.pointers("capture");
        let remember = self.pointers("remember");
        let must_find = self.flag("must_find").unwrap_or_default();
        let expect = self.json("expect").and_then(|value| match value {
            serde_json::Value::Object(table) => Some(table.into_iter().collect()),
            other => {
                self.fault("expect", format_args!("{other} is not a table: write {{ \"/field\" = value }}"));
                None
            }
        });
        let (idempotency, moves, balance) =
            (self.table_of("idempotency"), self.table_of("moves"), self.table_of("balance"));
        self.end();
        let expect = expect.unwrap_or_default();
        Some(Operation {
            name: name?,
            tool: tool?,
            arguments,
            capture,
            remember,
            expect,
            must_find,
            idempotency,
            moves,
            balance,
            ..Operation::default()
        })
    }

    fn mix(&mut self) -> Vec<(String, f64)> {
        let Some(value) = self.table.remove("operations") else { return Vec::new() };
        let Value::Table(table) = value else {
            self.fault("operations", format_args!("{value} is not a mix: write {{ create_payment = 1 }}"));
            return Vec::new();
        };
        let mut mix = Vec::new();
        for (name, weight) in table {
            match weight.as_float().or_else(|| weight.as_integer().map(|n| n as f64)) {
                Some(weight) => mix.push((name, weight)),
                None => self.fault("operations", format_args!("{name} = {weight} is not a weight: give a number")),
            }
        }
        mix
    }

    fn objectives(&mut self) -> Vec<Objective> {
        let Some(value) = self.table.remove("objectives") else { return Vec::new() };
        let Value::Array(items) = value else {
            self.fault("objectives", format_args!("{value} is not a list: write [\"p95 < 150ms\"]"));
            return Vec::new();
        };
        let mut objectives = Vec::new();
        for item in items {
            match item.as_str().map(str::parse::<Objective>) {
                Some(Ok(objective)) => objectives.push(objective),
                Some(Err(why)) => self.fault("objectives", format_args!("failed to {why}")),
                None => self.fault("objectives", format_args!("{item} is not a text: write \"p95 < 150ms\"")),
            }
        }
        objectives
    }

    /// `auto`, or a duration.
    fn warmup(&mut self) -> Option<Warmup> {
        match self.table.get("warmup") {
            Some(Value::String(_)) => self.parsed("warmup"),
            _ => self.duration("warmup").map(Warmup::For),
        }
    }

    fn pacing(&mut self) -> Option<Pacing> {
        match self.text("pacing")?.as_str() {
            "auto" => Some(Pacing::Auto),
            "exact" => Some(Pacing::Exact),
            "economical" => Some(Pacing::Economical),
            other => {
                self.fault("pacing", format_args!("`{other}` is not known: give auto, exact or economical"));
                None
            }
        }
    }

    /// A table of JSON pointers by name.
    fn pointers(&mut self, key: &str) -> std::collections::BTreeMap<String, String> {
        let mut pointers = std::collections::BTreeMap::new();
        match self.table.remove(key) {
            None => {}
            Some(Value::Table(table)) => {
                for (name, pointer) in table {
                    match pointer {
                        Value::String(pointer) => drop(pointers.insert(name, pointer)),
                        other => {
                            self.fault(key, format_args!("{name} = {other} is not a JSON pointer: write \"/field\""));
                        }
                    }
                }
            }
            Some(other) => self.fault(key, format_args!("{other} is not a table: write {{ name = \"/field\" }}")),
        }
        pointers
    }

    /// The sub-table `key`, if there is one.
    fn section(&mut self, key: &str) -> Option<Section<'_>> {
        match self.table.remove(key)? {
            Value::Table(table) => Some(Section { at: format!("[{key}] "), table, faults: self.faults }),
            other => {
                self.fault(key, format_args!("{other} is not a table: write it as [{key}]"));
                None
            }
        }
    }

    /// Every table of the list `key`.
    fn each<T>(&mut self, key: &str, read: impl Fn(Section<'_>) -> Option<T>) -> Vec<T> {
        let mut all = Vec::new();
        match self.table.remove(key) {
            None => {}
            Some(Value::Array(items)) if items.iter().all(Value::is_table) => {
                for (place, item) in items.into_iter().enumerate() {
                    let Value::Table(table) = item else { continue };
                    let at = format!("[[{key}]] {}: ", place + 1);
                    all.extend(read(Section { at, table, faults: self.faults }));
                }
            }
            Some(_) => self.fault(key, format_args!("is not a list of tables: write each as [[{key}]]")),
        }
        all
    }

    fn text(&mut self, key: &str) -> Option<String> {
        match self.table.remove(key)? {
            Value::String(text) => Some(text),
            other => {
                self.fault(key, format_args!("{other} is not a text: put it in quotes"));
                None
            }
        }
    }

    /// A value written as text, read by its own parser.
    fn parsed<T: FromStr<Err: Display>>(&mut self, key: &str) -> Option<T> {
        let text = self.text(key)?;
        self.valid(key, text.parse())
    }

    /// A duration as text, or a plain number of seconds.
    fn duration(&mut self, key: &str) -> Option<Duration> {
        let text = match self.table.remove(key)? {
            Value::String(text) => text,
            other => other.to_string(),
        };
        self.valid(key, parse_duration(&text))
    }

    fn flag(&mut self, key: &str) -> Option<bool> {
        let value = self.table.remove(key)?;
        let flag = value.as_bool();
        if flag.is_none() {
            self.fault(key, format_args!("{value} is not true or false"));
        }
        flag
    }

    fn count(&mut self, key: &str) -> Option<u64> {
        let value = self.table.remove(key)?;
        let count = value.as_integer().and_then(|n| u64::try_from(n).ok());
        if count.is_none() {
            self.fault(key, format_args!("{value} is not a whole number from 0 up"));
        }
        count
    }

    fn number(&mut self, key: &str) -> Option<NonZeroU32> {
        let value = self.table.remove(key)?;
        let number = value.as_integer().and_then(|n| u32::try_from(n).ok()).and_then(NonZeroU32::new);
        if number.is_none() {
            self.fault(key, format_args!("{value} is not a whole number from 1 to {}", u32::MAX));
        }
        number
    }

    /// A share as text, or a plain number from 0 to 1.
    fn share(&mut self, key: &str) -> Option<f64> {
        let text = match self.table.remove(key)? {
            Value::String(text) => text,
            other => other.to_string(),
        };
        self.valid(key, parse_share(&text))
    }

    fn json(&mut self, key: &str) -> Option<serde_json::Value> {
        let value = self.table.remove(key)?;
        self.valid(key, serde_json::to_value(value))
    }

    /// A table whose keys are those of `T`.
    fn table_of<T: serde::de::DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        let value = self.json(key)?;
        self.valid(key, serde_json::from_value(value))
    }

    fn valid<T>(&mut self, key: &str, result: Result<T, impl Display>) -> Option<T> {
        result.map_err(|why| self.fault(key, why)).ok()
    }

    fn fault(&mut self, key: &str, why: impl Display) {
        self.faults.note(format_args!("{}{key}: {why}", self.at));
    }

    /// Whatever has not been taken is not known.
    fn end(mut self) {
        for key in std::mem::take(&mut self.table).keys() {
            self.fault(key, "is not known here: look for a slip of the pen, or leave it out");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_plan_says_what_it_seems_to_say() {
        let (draft, faults) = read(
            r#"
            name = "payments at the promised rate"
            [target]
            url = "http://localhost:8000"
            [[flow]]
            operations = { create_payment = 1 }
            load = "1000/s for 5m"
            arrivals = "poisson"
            objectives = ["p95 < 150ms", "error_rate < 0.1%", "rate >= 1000/s"]
            [[operation]]
            name = "refund_payment"
            tool = "refund_payment"
            arguments = { payment_id = { captured = "payment_id" }, reason = "load test", amount = { uniform = [1.0, 10.0], decimals = 2 } }
            expect = { "/status" = "refunded" }
            "#,
        );
        assert_eq!(faults, Faults::default());
        let plan = draft.check(1, faults).unwrap();
        assert_eq!(plan.flows[0].load.to_string(), "1000/s for 5m");
        assert_eq!(plan.objectives.len(), 3);
        assert_eq!(plan.operation_names(), ["create_payment"]);
        let again: super::super::Plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
        assert_eq!(again, plan);
    }

    #[test]
    fn all_faults_are_named_at_once() {
        let (draft, faults) = read(
            r#"
            colour = "green"
            [target]
            url = "ftp://localhost"
            [run]
            timeout = "soon"
            [[flow]]
            operations = { pay = 1 }
            load = "fast"
            objectives = ["p95 is good"]
            "#,
        );
        let Faults(found) = draft.check(1, faults).unwrap_err();
        let about = |what: &str| found.iter().filter(|fault| fault.contains(what)).count();
        for what in ["colour", "ftp://localhost", "soon", "`pay`", "fast", "p95 is good"] {
            assert_eq!(about(what), 1, "{what} in {found:#?}");
        }
        assert_eq!(found.len(), 6, "{found:#?}");
    }

    #[test]
    fn a_syntax_error_shows_its_line() {
        let (_, faults) = read("name = \n");
        assert!(faults.to_string().contains("line 1"), "{faults}");
    }
}
