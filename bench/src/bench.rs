//! One measurement: a generator against the server, with everything in its place before and looked at afterwards.

use std::io::{self, Write};
use std::time::Duration;

use mcpace::workload::FIRST_CALL_ID;

use crate::clock::monotonic;
use crate::figures::grid;
use crate::generator::{Cost, GRACE, Watch, run};
use crate::machine::Machine;
use crate::options::Options;
use crate::server::Server;
use crate::server::reply::Form;
use crate::table::{Figure, Table};
use crate::tools::{Load, Place, Said, Tool, Wire};

/// How long a generator goes on after the window: it must not end while it is looked at.
pub(crate) const REST: Duration = Duration::from_millis(200);

/// With less time than this after its end, nothing is begun in a quick run.
const LEAST_GRACE: Duration = Duration::from_secs(5);

/// Everything that measurements have in common.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) machine: Machine,
    pub(crate) server: Server,
    pub(crate) place: Place,
    pub(crate) options: Options,
    pub(crate) table: Table,
    /// Measurements of mcpace that came to nothing, or do not agree with what the server saw.
    pub(crate) failures: u32,
    /// When nothing more is begun, where there is such a time.
    pub(crate) until: Option<Duration>,
}

/// What one measurement gave.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) cost: Cost,
    pub(crate) said: Said,
}

impl Bench {
    /// The watch of most parts.
    pub(crate) fn watch(&self) -> Watch {
        Watch { warm_up: self.options.warm_up(), window: self.options.window(), rest: REST }
    }

    /// Those of some tools whose program is there.
    pub(crate) fn there(&self, tools: impl IntoIterator<Item = Tool>) -> Vec<Tool> {
        tools.into_iter().filter(|tool| self.place.programs.contains_key(tool.program())).collect()
    }

    /// Runs a tool once; `None` where it cannot do that, or came to nothing, which is noted then.
    pub(crate) fn once(
        &mut self,
        part: &'static str,
        case: &str,
        tool: Tool,
        load: &Load,
        watch: Watch,
    ) -> Option<Seen> {
        let invocation = tool.invocation(load, &self.place)?;
        let left = self.until.map(|until| until.saturating_sub(monotonic() + watch.span()));
        if left.is_some_and(|left| left < LEAST_GRACE) {
            self.table.note(part, case, tool.name(), "was left out: the time of a quick run was over");
            return None;
        }
        say(&format!("{part}: {case}, {}", tool.name()));
        let shared = &self.server.shared;
        shared.forget();
        shared.answer_as(if load.wire == Wire::Sse { Form::Sse } else { Form::Json });
        let output = self.place.folder.join("output");
        let grace = left.map_or(GRACE, |left| left.min(GRACE));
        let seen = run(&self.machine, &invocation, &output, (watch, grace), || shared.calls())
            .and_then(|cost| Ok(Seen { cost, said: tool.said(&output, &self.place)? }))
            .and_then(|seen| agrees(&seen).map(|()| seen));
        shared.answer_as(Form::Json);
        match seen {
            Ok(seen) => {
                // Beyond what can be held, calls that were never sent are no surprise.
                if seen.said.failed > 0 && load.rate.is_some() {
                    let why = format!("did not do well with {} of {} calls", seen.said.failed, seen.said.calls);
                    self.table.note(part, case, tool.name(), &why);
                }
                Some(seen)
            }
            Err(why) => {
                self.trouble(part, case, tool, &why);
                None
            }
        }
    }

    /// Notes what went wrong, at once and at the end.
    pub(crate) fn trouble(&mut self, part: &'static str, case: &str, tool: Tool, why: &str) {
        say(&format!("  {} {why}", tool.name()));
        self.failures += u32::from(tool.program() == "mcpace");
        self.table.note(part, case, tool.name(), why);
    }

    /// Adds a figure of one repeat.
    pub(crate) fn add(&mut self, figure: Figure, tool: Tool, value: f64) {
        self.table.add(figure, tool.name(), value);
    }

    /// The stamps of the run so far, by their places on the schedule: mcpace numbers its calls, others are taken in order.
    pub(crate) fn arrivals(&self, tool: Tool) -> Vec<(u64, u64)> {
        let stamps = self.server.shared.stamps();
        if tool.program() == "mcpace" {
            stamps.iter().map(|stamp| (stamp.id.saturating_sub(FIRST_CALL_ID), stamp.at)).collect()
        } else {
            grid::placed(stamps.iter().map(|stamp| stamp.at).collect())
        }
    }
}

/// Whether mcpace and the server count the same calls.
fn agrees(seen: &Seen) -> Result<(), String> {
    let (says, saw) = (seen.said.calls, seen.cost.all_calls);
    match seen.said.own {
        Some(_) if says != saw => Err(format!("says that {says} calls were answered, and the server saw {saw}")),
        _ => Ok(()),
    }
}

/// Tells how far the benchmark is.
pub(crate) fn say(line: &str) {
    // Progress is not worth ending for.
    let _ = writeln!(io::stderr(), "{line}");
}
