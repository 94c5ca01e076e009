//! What mcpace is held to, and whether this run reached it.
//!
//! A goal in microseconds belongs to the machine that it was set on. Where oha was saturated as well, what its call took there says how
//! much slower this core is at present, and each time of the processor is also told by that: *at pace* is what a slower core alone
//! does not explain.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::figures::spread::Spread;
use crate::measure::cost::CPU;
use crate::measure::exactness::ERROR;
use crate::measure::highest::HELD;
use crate::table::{Table, short, write_rows};

/// The name of this section.
const NAME: &str = "goals";
/// What a call took of oha, saturated, where the goals were set: microseconds.
const OHA_SATURATED: f64 = 9.9;
const OHA: &str = "oha";
const EXACT: &str = "mcpace exact";
const ECONOMICAL: &str = "mcpace economical";
const AUTO: &str = "mcpace";
const FREEZES: [&str; 2] = ["500 ms every 5 s, 64 connections", "500 ms every 5 s, any connections"];

/// Which figure is looked at.
#[derive(Clone, Copy, Debug)]
enum Seen {
    /// The figure itself: the median of its repeats.
    Alone,
    /// The figure by that of oha.
    ByOha,
    /// That of oha by the figure.
    OhaBy,
    /// The figure by another one of the same case and tool.
    By(&'static str),
    /// The figure's distance from nothing, in each repeat.
    Apart,
    /// The least of all repeats.
    Least,
}

/// Where it has to be.
#[derive(Clone, Copy, Debug)]
enum Asked {
    AtMost(f64),
    AtLeast(f64),
}

#[derive(Clone, Copy, Debug)]
struct Goal {
    part: &'static str,
    case: &'static str,
    figure: &'static str,
    tool: &'static str,
    seen: Seen,
    asked: Asked,
    unit: &'static str,
    /// Whether a slower core moves it as far as it does a saturated generator.
    is_paced: bool,
}

type Which = (&'static str, &'static str, &'static str, &'static str);

const fn goal((part, case, figure, tool): Which, seen: Seen, asked: Asked, unit: &'static str) -> Goal {
    Goal { part, case, figure, tool, seen, asked, unit, is_paced: false }
}

const fn cpu(case: &'static str, tool: &'static str, most: f64) -> Goal {
    Goal { is_paced: true, ..goal(("cost", case, CPU, tool), Seen::Alone, Asked::AtMost(most), "µs") }
}

const fn no_dearer(case: &'static str) -> Goal {
    goal(("cost", case, CPU, ECONOMICAL), Seen::ByOha, Asked::AtMost(1.0), "of oha's")
}

const fn exact(case: &'static str) -> Goal {
    goal(("exactness", case, ERROR, EXACT), Seen::Alone, Asked::AtMost(35.0), "µs")
}

const fn more_exact(case: &'static str) -> Goal {
    goal(("exactness", case, ERROR, ECONOMICAL), Seen::OhaBy, Asked::AtLeast(4.0), "times better than oha")
}

const fn highest(case: &'static str) -> Goal {
    goal(("highest", case, HELD, AUTO), Seen::Alone, Asked::AtLeast(80_000.0), "1/s")
}

const fn truth(case: &'static str, figure: &'static str) -> Goal {
    goal(("truth", case, figure, AUTO), Seen::Apart, Asked::AtMost(2.0), "%")
}

/// Both sides are the same calls: what is told is right, or not.
const fn told_right(case: &'static str, figure: &'static str) -> Goal {
    goal(("truth", case, figure, AUTO), Seen::Apart, Asked::AtMost(0.2), "%")
}

const GOALS: [Goal; 30] = [
    exact("1000/s"),
    exact("10000/s"),
    cpu("1000/s", EXACT, 50.0),
    cpu("10000/s", EXACT, 50.0),
    no_dearer("1000/s"),
    no_dearer("10000/s"),
    no_dearer("20000/s"),
    more_exact("1000/s"),
    more_exact("10000/s"),
    more_exact("20000/s"),
    cpu("saturated", AUTO, 12.0),
    highest("one core, create_payment"),
    highest("one core, get_wallet_balance"),
    truth(FREEZES[0], "p95, error"),
    told_right(FREEZES[0], "p95, error by the server's record"),
    truth(FREEZES[0], "p99, error"),
    told_right(FREEZES[0], "p99, error by the server's record"),
    truth(FREEZES[0], "p99.9, error"),
    told_right(FREEZES[0], "p99.9, error by the server's record"),
    truth(FREEZES[1], "p95, error"),
    told_right(FREEZES[1], "p95, error by the server's record"),
    truth(FREEZES[1], "p99, error"),
    told_right(FREEZES[1], "p99, error by the server's record"),
    truth(FREEZES[1], "p99.9, error"),
    told_right(FREEZES[1], "p99.9, error by the server's record"),
    // 15, and one for each operation and lane.
    goal(("memory", "64 connections", "peak memory", AUTO), Seen::Alone, Asked::AtMost(16.0), "MiB"),
    goal(("memory", "10000000 calls", "peak at the end", AUTO), Seen::Alone, Asked::AtMost(16.0), "MiB"),
    // Flat, but for a few pages.
    goal(
        ("memory", "10000000 calls", "peak at the end", AUTO),
        Seen::By("peak after a tenth"),
        Asked::AtMost(1.02),
        "of that after a tenth",
    ),
    goal(("start", "1000/s", "preflight to first call", AUTO), Seen::Alone, Asked::AtMost(50.0), "ms"),
    goal(
        ("starved", "50000/s, core shared with 3", "runs called INVALID", AUTO),
        Seen::Least,
        Asked::AtLeast(1.0),
        "of 1",
    ),
];

/// How far a goal is reached.
#[derive(Clone, Copy, Debug)]
struct Reached {
    seen: f64,
    /// What was seen by what is asked, or the other way round where more is better: 1 and less is met.
    ratio: f64,
    /// The same by how much slower saturated oha was than where the goal was set.
    at_pace: Option<f64>,
}

impl Goal {
    /// `None` where this run has not what it takes to tell.
    fn reached(&self, table: &Table) -> Option<Reached> {
        let values = |figure, tool| table.values((self.part, self.case, figure), tool);
        let median = |figure, tool| Some(Spread::of(values(figure, tool)?)?.median);
        let own = values(self.figure, self.tool)?;
        let spread = Spread::of(own)?;
        let seen = match self.seen {
            Seen::Alone => spread.median,
            Seen::Least => spread.least,
            Seen::Apart => Spread::of(&own.iter().map(|value| value.abs()).collect::<Vec<_>>())?.median,
            Seen::ByOha => spread.median / median(self.figure, OHA)?,
            Seen::OhaBy => median(self.figure, OHA)? / spread.median,
            Seen::By(other) => spread.median / median(other, self.tool)?,
        };
        let ratio = match self.asked {
            Asked::AtMost(most) => seen / most,
            Asked::AtLeast(least) => least / seen,
        };
        let pace = table.values(("cost", "saturated", CPU), OHA).and_then(Spread::of).filter(|_| self.is_paced);
        let at_pace = pace.map(|oha| ratio * OHA_SATURATED / oha.median);
        Some(Reached { seen, ratio, at_pace })
    }

    fn asked(&self) -> String {
        let (sign, limit) = match self.asked {
            Asked::AtMost(most) => ('≤', most),
            Asked::AtLeast(least) => ('≥', least),
        };
        format!("{sign} {limit} {}", self.unit)
    }

    fn cells(&self, table: &Table) -> [String; 6] {
        let Self { part, case, figure, tool, .. } = self;
        let (goal, asked) = (format!("{part}, {case}: {figure}, {tool}"), self.asked());
        let Some(Reached { seen, ratio, at_pace }) = self.reached(table) else {
            return [goal, asked, "not measured".to_owned(), String::new(), String::new(), String::new()];
        };
        let word = if ratio <= 1.0 { "met" } else { "missed" };
        let at_pace = at_pace.map_or_else(String::new, |ratio| format!("{ratio:.3}"));
        [goal, asked, word.to_owned(), short(seen), format!("{ratio:.3}"), at_pace]
    }

    fn json(&self, table: &Table) -> Value {
        let Self { part, case, figure, tool, .. } = self;
        let reached = self.reached(table);
        json!({
            "part": NAME, "of": part, "case": case, "figure": figure, "tool": tool, "asked": self.asked(),
            "repeats": table.values((part, case, figure), tool).map(<[f64]>::len),
            "seen": reached.map(|reached| reached.seen), "ratio": reached.map(|reached| reached.ratio),
            "at_pace": reached.and_then(|reached| reached.at_pace), "met": reached.map(|reached| reached.ratio <= 1.0),
        })
    }
}

const HEAD: [&str; 6] = ["goal", "asked", "", "seen", "ratio", "at pace"];

/// Markdown and lines of JSON of the goals of all parts that were measured.
pub(crate) fn told(table: &Table) -> (String, Vec<Value>) {
    let goals: Vec<&Goal> = GOALS.iter().filter(|goal| table.has(goal.part)).collect();
    let mut out = String::new();
    if !goals.is_empty() {
        let _ = write!(out, "\n### {NAME}\n\n");
        write_rows(&mut out, &HEAD, &goals.iter().map(|goal| goal.cells(table)).collect::<Vec<_>>());
    }
    (out, goals.iter().map(|goal| goal.json(table)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Figure;

    fn table(oha_saturated: f64) -> Table {
        let mut table = Table::default();
        let mut add = |part, case: &str, name: &str, tool: &str, value: f64| {
            table.add(Figure::new(part, case, name, "µs"), tool, value);
        };
        add("cost", "1000/s", CPU, EXACT, 60.0);
        add("cost", "10000/s", CPU, ECONOMICAL, 18.0);
        add("cost", "10000/s", CPU, OHA, 20.0);
        add("cost", "saturated", CPU, OHA, oha_saturated);
        add("exactness", "10000/s", ERROR, ECONOMICAL, 400.0);
        add("exactness", "10000/s", ERROR, OHA, 1200.0);
        add("highest", "one core, create_payment", HELD, AUTO, 75_000.0);
        add("truth", FREEZES[0], "p95, error", AUTO, -2.5);
        add("truth", FREEZES[0], "p95, error", AUTO, 0.5);
        add("truth", FREEZES[0], "p95, error", AUTO, 3.0);
        add("exactness", "1000/s", ERROR, ECONOMICAL, 100.0);
        add("exactness", "1000/s", ERROR, OHA, 400.0);
        for is_invalid in [1.0, 0.0, 1.0] {
            add("starved", "50000/s, core shared with 3", "runs called INVALID", AUTO, is_invalid);
        }
        add("memory", "10000000 calls", "peak after a tenth", AUTO, 14.0);
        add("memory", "10000000 calls", "peak at the end", AUTO, 14.0);
        table
    }

    #[test]
    fn each_goal_is_met_or_missed_by_a_ratio_also_at_the_pace_at_which_it_was_set() {
        let (_, lines) = told(&table(12.375));
        let told: Vec<_> = lines
            .iter()
            .filter(|line| !line["met"].is_null())
            .map(|line| {
                let ratio = |key: &str| line[key].as_f64().map(|ratio| (ratio * 1000.0).round());
                (line["case"].as_str().unwrap(), line["met"].as_bool().unwrap(), ratio("ratio"), ratio("at_pace"))
            })
            .collect();
        assert_eq!(
            told,
            [
                ("1000/s", false, Some(1200.0), Some(960.0)),
                ("10000/s", true, Some(900.0), None),
                ("1000/s", true, Some(1000.0), None),
                ("10000/s", false, Some(1333.0), None),
                ("one core, create_payment", false, Some(1067.0), None),
                (FREEZES[0], false, Some(1250.0), None),
                ("10000000 calls", true, Some(875.0), None),
                ("10000000 calls", true, Some(980.0), None),
                // Infinite, which JSON does not know.
                ("50000/s, core shared with 3", false, None, None),
            ]
        );
    }

    #[test]
    fn the_table_has_a_line_for_each_goal_of_the_parts_that_were_measured() {
        let (text, _) = told(&table(9.9));
        let line = text.lines().find(|line| line.contains("create_payment")).unwrap();
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let goal = "highest, one core, create_payment: highest rate held, mcpace";
        assert_eq!(cells, ["", goal, "≥ 80000 1/s", "missed", "75000", "1.067", "", ""]);
        // Of a part that was measured, what is not there is said to be missing; of others nothing is.
        let unknown = text.lines().find(|line| line.contains("cost, 20000/s")).unwrap();
        assert!(unknown.contains("not measured"), "{unknown}");
        assert!(!text.contains("start, "), "{text}");
        assert_eq!(told(&Table::default()), (String::new(), Vec::new()));
    }
}
