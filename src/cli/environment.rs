//! The variables that the program listens to, and their place between flags and plan file.

use std::num::{NonZeroU32, NonZeroU64};
use std::str::FromStr;
use std::time::Duration;

use crate::plan::{Draft, FlowDraft, Load};
use crate::time::parse_duration;

/// What the environment says. Its faults name the variable.
pub(super) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<(Draft, FlowDraft), String> {
    let given = |name: &str| variable(name).filter(|value| !value.is_empty());
    let draft = Draft {
        url: given("API_BASE_URL"),
        concurrent: number::<NonZeroU32>("LOAD_TEST_CONCURRENT", given("LOAD_TEST_CONCURRENT"))?,
        timeout: duration("LOAD_TEST_TIMEOUT", given("LOAD_TEST_TIMEOUT"))?,
        ..Draft::default()
    };
    let total = number::<NonZeroU64>("LOAD_TEST_TOTAL", given("LOAD_TEST_TOTAL"))?;
    let load = Load { total: total.map(NonZeroU64::get), ..Load::default() };
    Ok((draft, FlowDraft { load, ..FlowDraft::default() }))
}

fn number<T: FromStr>(name: &str, value: Option<String>) -> Result<Option<T>, String> {
    value.map(|v| v.parse().map_err(|_| format!("{name}={v} is not a whole number from 1 up"))).transpose()
}

fn duration(name: &str, value: Option<String>) -> Result<Option<Duration>, String> {
    value.map(|v| parse_duration(&v).map_err(|why| format!("{name}: {why}"))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_variables_are_read_and_empty_ones_say_nothing() {
        let (draft, flow) = read(|name| {
            let value = match name {
                "API_BASE_URL" => "http://localhost:9",
                "LOAD_TEST_TOTAL" => "5",
                "LOAD_TEST_CONCURRENT" => "",
                "LOAD_TEST_TIMEOUT" => "60",
                _ => return None,
            };
            Some(value.to_owned())
        })
        .unwrap();
        assert_eq!(draft.url.as_deref(), Some("http://localhost:9"));
        assert_eq!(flow.load.total, Some(5));
        assert_eq!(draft.concurrent, None);
        assert_eq!(draft.timeout, Some(Duration::from_mins(1)));
    }

    #[test]
    fn a_fault_names_its_variable() {
        for value in ["many", "0", "-1"] {
            let fault = read(|name| (name == "LOAD_TEST_TOTAL").then(|| value.to_owned())).unwrap_err();
            assert_eq!(fault, format!("LOAD_TEST_TOTAL={value} is not a whole number from 1 up"));
        }
    }
}
