//! The tools that a server lists: read tolerantly, within bounds, and looked up by name.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Negotiated, cut};

/// The most characters of a server's own words in a message of ours.
const MOST_WORDS: usize = 60;
/// The most characters of a description that are kept.
const MOST_DESCRIPTION: usize = 2000;
/// The most tools that are kept of all pages together.
pub const MOST_TOOLS: usize = 10_000;
/// The most JSON values in all pages of tools, counted by what begins or parts them: a page of millions of empty arrays
/// is small on the wire and large in memory.
pub const MOST_VALUES: usize = 1 << 19;

/// A tool as its server describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// The name to call it by.
    pub name: String,
    /// What it does, in the server's words: untrusted text, at most 2000 characters.
    pub description: Option<String>,
    /// The JSON Schema of its arguments; `{"type": "object"}` where there is none, `false` where it cannot be read.
    pub input_schema: Value,
    /// The JSON Schema of its `structuredContent`, where it promises one.
    pub output_schema: Option<Value>,
    /// What it says of its own effects: hints, as trustworthy as the server.
    pub hints: Hints,
}

/// What a tool says of its own effects (`annotations`); `None` where it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// It changes nothing.
    pub read_only: Option<bool>,
    /// What it changes may be lost. Means something only where it is not read-only.
    pub destructive: Option<bool>,
}

/// One page of a server's tools.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolPage {
    /// The tools on this page.
    pub tools: Vec<Tool>,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
}

/// A tool that is to be called and does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("find the tool `{wanted}` on the server: {way_out}")]
pub struct NoSuchTool {
    /// The tool that was asked for.
    pub wanted: String,
    /// The nearest name, or the names there are.
    pub way_out: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    #[serde(borrow)]
    tools: Vec<&'a RawValue>,
    #[serde(default)]
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'a> {
    name: String,
    #[serde(borrow, default)]
    description: Option<&'a RawValue>,
    #[serde(borrow, default)]
    input_schema: Option<&'a RawValue>,
    #[serde(borrow, default)]
    output_schema: Option<&'a RawValue>,
    #[serde(borrow, default)]
    annotations: Option<&'a RawValue>,
}

impl Tool {
    /// A tool of which nothing is known but its name.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: None,
            input_schema: json!({"type": "object"}),
            output_schema: None,
            hints: Hints::default(),
        }
    }

    /// Whether it says that it changes nothing.
    pub fn is_read_only(&self) -> bool {
        self.hints.read_only == Some(true)
    }

    /// Whether it says that what it changes may be lost.
    pub fn is_destructive(&self) -> bool {
        !self.is_read_only() && self.hints.destructive == Some(true)
    }
}

/// Reads the result of `tools/list`; `None` where it is none, or has no `room`: it begins as [`MOST_VALUES`] and holds
/// over all pages of a list.
///
/// A tool without a name is left out. What else is wrong in a tool harms that part of it only.
pub fn read_tool_page(result: &str, room: &mut usize) -> Option<ToolPage> {
    let values = result.bytes().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count();
    *room = room.checked_sub(values)?;
    let page: Page<'_> = serde_json::from_str(result).ok()?;
    let tools = page.tools.into_iter().filter_map(|raw| serde_json::from_str(raw.get()).ok()).map(read_tool);
    Some(ToolPage { tools: tools.collect(), next: page.next_cursor.filter(|cursor| !cursor.is_empty()) })
}

fn read_tool(listed: Listed<'_>) -> Tool {
    let part = |raw: &RawValue| serde_json::from_str::<Value>(raw.get()).ok();
    let annotations = listed.annotations.and_then(part).unwrap_or_default();
    let hint = |name| annotations.get(name).and_then(Value::as_bool);
    let description = listed.description.and_then(part);
    Tool {
        description: description.as_ref().and_then(Value::as_str).map(|text| cut(text, MOST_DESCRIPTION)),
        input_schema: match listed.input_schema.map(part) {
            None | Some(Some(Value::Null)) => json!({"type": "object"}),
            // Too deep to be read.
            Some(None) => Value::Bool(false),
            Some(Some(schema)) => schema,
        },
        output_schema: listed.output_schema.and_then(part).filter(|schema| !schema.is_null()),
        hints: Hints { read_only: hint("readOnlyHint"), destructive: hint("destructiveHint") },
        name: listed.name,
    }
}

impl Negotiated {
    /// The tool of this name, where the server lists it.
    pub fn tool(&self, name: &str) -> Option<&Tool> {
        self.tools.as_ref()?.iter().find(|tool| tool.name == name)
    }
}

/// Whether the server has every tool that is wanted; passes where it did not say what it has.
///
/// # Errors
/// The first tool that is missing.
pub fn check_tools<'a>(negotiated: &Negotiated, wanted: impl IntoIterator<Item = &'a str>) -> Result<(), NoSuchTool> {
    let Some(tools) = &negotiated.tools else { return Ok(()) };
    let missing = wanted.into_iter().find(|wanted| negotiated.tool(wanted).is_none());
    missing.map_or(Ok(()), |wanted| Err(NoSuchTool { wanted: wanted.to_owned(), way_out: way_out(wanted, tools) }))
}

fn way_out(wanted: &str, tools: &[Tool]) -> String {
    const MOST_NAMES: usize = 10;
    let nearest = tools.iter().map(|tool| (distance(wanted, &tool.name), &tool.name)).min();
    let shown: Vec<String> = tools.iter().take(MOST_NAMES).map(|tool| cut(&tool.name, MOST_WORDS)).collect();
    let more = tools.len().saturating_sub(MOST_NAMES);
    let has = match more {
        _ if tools.is_empty() => "it has no tools at all".to_owned(),
        0 => format!("it has {}", shown.join(", ")),
        _ => format!("it has {} and {more} more", shown.join(", ")),
    };
    match nearest {
        Some((changes, tool)) if changes <= wanted.chars().count().div_ceil(3) => {
            format!("did you mean `{}`? {has}", cut(tool, MOST_WORDS))
        }
        _ => has,
    }
}

/// How many characters must be put in, taken out or replaced to get from one name to the other, but for case and for the
/// kind of dash (the edit distance of Levenshtein, by rows).
fn distance(a: &str, b: &str) -> usize {
    let plain = |text: &str| -> Vec<char> {
        let dash = |c| if c == '-' { '_' } else { c };
        text.chars().take(MOST_WORDS).flat_map(char::to_lowercase).map(dash).collect()
    };
    let (a, b) = (plain(a), plain(b));
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(result: &str) -> Option<ToolPage> {
        read_tool_page(result, &mut { MOST_VALUES })
    }

    #[test]
    fn a_page_of_tools_is_read_with_its_cursor() {
        let page = read(r#"{"tools":[{"name":"a","inputSchema":{}},{"name":"b"}],"nextCursor":"2"}"#);
        let a = Tool { input_schema: json!({}), ..Tool::named("a") };
        assert_eq!(page, Some(ToolPage { tools: vec![a, Tool::named("b")], next: Some("2".to_owned()) }));
        assert_eq!(read(r#"{"tools":[],"nextCursor":""}"#), Some(ToolPage::default()));
        assert_eq!(read("{}"), None);
    }

    #[test]
    fn a_missing_tool_is_named_with_the_nearest_or_all_there_are() {
        let having = |tools: &[&str]| Negotiated {
            tools: Some(tools.iter().map(|name| Tool::named(*name)).collect()),
            ..Negotiated::default()
        };
        let server = having(&["create_payment", "verify_payment"]);
        assert_eq!(check_tools(&server, ["verify_payment"]), Ok(()));
        assert_eq!(check_tools(&Negotiated::default(), ["anything"]), Ok(()));
        assert_eq!(
            check_tools(&server, ["Create-Paymnt"]).unwrap_err().to_string(),
            "find the tool `Create-Paymnt` on the server: did you mean `create_payment`? \
             it has create_payment, verify_payment"
        );
        assert_eq!(check_tools(&server, ["echo"]).unwrap_err().way_out, "it has create_payment, verify_payment");
        assert_eq!(check_tools(&having(&[]), ["echo"]).unwrap_err().way_out, "it has no tools at all");
        let many: Vec<String> = (0..12).map(|n| format!("t{n}")).collect();
        let many = having(&many.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(check_tools(&many, ["echo"]).unwrap_err().way_out.ends_with("t9 and 2 more"));
    }

    #[test]
    fn what_is_odd_about_a_tool_harms_that_part_of_it_only() {
        let deep = format!("{}0{}", "[".repeat(100_000), "]".repeat(100_000));
        let page = format!(
            r#"{{"tools":[
                {{"name":"full","title":"t","description":"Pays.","inputSchema":{{"type":"object"}},"outputSchema":{{"x":1}},
                  "annotations":{{"readOnlyHint":false,"destructiveHint":true}}}},
                {{"description":"no name"}}, 7, {{"name":8}},
                {{"name":"odd","description":9,"inputSchema":null,"outputSchema":null,"annotations":[]}},
                {{"name":"deep","inputSchema":{deep}}}]}}"#
        );
        let tools = read(&page).unwrap().tools;
        let full = Tool {
            name: "full".to_owned(),
            description: Some("Pays.".to_owned()),
            input_schema: json!({"type": "object"}),
            output_schema: Some(json!({"x": 1})),
            hints: Hints { read_only: Some(false), destructive: Some(true) },
        };
        let deep = Tool { input_schema: json!(false), ..Tool::named("deep") };
        assert_eq!(tools, [full, Tool::named("odd"), deep]);
        assert!(tools[0].is_destructive() && !tools[1].is_destructive() && !tools[1].is_read_only());
    }

    #[test]
    fn a_page_that_unfolds_in_memory_is_not_read() {
        let page = format!(r#"{{"tools":[{{"name":"a","inputSchema":[{}0]}}]}}"#, "[],".repeat(MOST_VALUES / 2));
        assert_eq!(read(&page), None);
        let (half, mut room) = (page.replacen("[],", "", MOST_VALUES / 4), MOST_VALUES);
        assert!(read_tool_page(&half, &mut room).is_some());
        assert_eq!(read_tool_page(&half, &mut room), None, "pages share the room");
        let long = format!(r#"{{"tools":[{{"name":"a","description":"{}"}}]}}"#, "d".repeat(5000));
        let tools = read(&long).unwrap().tools;
        assert_eq!(tools[0].description.as_ref().unwrap().chars().count(), MOST_DESCRIPTION);
    }
}
