//! What the machine lets us have: a core each for server and generator, and real-time priority.

use std::process::{Command, Stdio};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::Pid;

/// Of the server and of each generator, where that is allowed; below what kernels run their own threads at.
const PRIORITY: &str = "40";
/// Of the runner, which does nothing but look at the clock: a saturated server on its core must not keep it from that.
const RUNNER_PRIORITY: &str = "41";

/// Where generators are put, and how they are scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placing {
    /// On core 1, with real-time priority where that is allowed.
    Apart,
    /// On core 1, with plain scheduling: a thread that never sleeps takes its share of the core, and no more.
    Plain,
    /// On both cores, with plain scheduling: the server goes first on its own.
    Anywhere,
}

/// How processes are placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    /// Server and runner are on core 0, generators on core 1.
    pub(crate) is_pinned: bool,
    pub(crate) is_realtime: bool,
    /// Generators do not outlive a runner that is killed.
    pub(crate) is_tied: bool,
    pub(crate) placing: Placing,
}

/// What ties a generator to its runner: it dies with it.
const TIED: [&str; 3] = ["setpriv", "--pdeathsig", "KILL"];

impl Machine {
    /// Sees what can be had, and raises the limit of open files as far as it goes.
    pub(crate) fn look(wants_realtime: bool) -> Self {
        let limit = getrlimit(Resource::Nofile);
        // Where it stays low, runs with many connections say so.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let is_pinned = cores > 1 && can(&["taskset", "-c", "0", "true"]) && can(&["taskset", "-c", "1", "true"]);
        let is_realtime = wants_realtime && is_pinned && can(&["chrt", "-f", PRIORITY, "true"]);
        let is_tied = can(&[&TIED[..], &["true"]].concat());
        Self { cores, is_pinned, is_realtime, is_tied, placing: Placing::Apart }
    }

    /// Places a thread of the server.
    pub(crate) fn place_server(&self, thread: Pid) {
        self.place(thread, "0", PRIORITY);
    }

    /// Places the calling thread, as the runner's.
    pub(crate) fn place_runner(&self) {
        self.place(rustix::thread::gettid(), "0", RUNNER_PRIORITY);
    }

    /// Places the calling thread where generators are, with their priority.
    pub(crate) fn place_yardstick(&self) {
        self.place(rustix::thread::gettid(), "1", PRIORITY);
        // Threads of the runner begin with its priority, which would leave no other the core.
        if self.is_realtime && self.placing != Placing::Apart {
            can(&["chrt", "-o", "-p", "0", &rustix::thread::gettid().as_raw_nonzero().to_string()]);
        }
    }

    fn place(&self, thread: Pid, core: &str, priority: &str) {
        let thread = thread.as_raw_nonzero().to_string();
        // Both were tried before; what fails now is as good as it gets.
        if self.is_pinned {
            can(&["taskset", "-cp", core, &thread]);
        }
        if self.is_realtime {
            can(&["chrt", "-f", "-p", priority, &thread]);
        }
    }

    /// What comes before the words of a generator's command.
    pub(crate) fn prefix(&self) -> Vec<String> {
        let mut words = Vec::new();
        if self.is_tied {
            words.extend(TIED);
        }
        // A child begins with the runner's own priority and core: what it is to have is always said.
        match self.placing {
            Placing::Apart if self.is_realtime => words.extend(["chrt", "-f", PRIORITY]),
            Placing::Plain | Placing::Anywhere if self.is_realtime => words.extend(["chrt", "-o", "0"]),
            _ => {}
        }
        if self.is_pinned {
            words.extend(["taskset", "-c", if self.placing == Placing::Anywhere { "0,1" } else { "1" }]);
        }
        words.into_iter().map(str::to_owned).collect()
    }

    /// One sentence for the head of the output.
    pub(crate) fn sentence(&self) -> String {
        let place = if self.is_pinned { "server on core 0, generators on core 1" } else { "nothing pinned to a core" };
        let priority = if self.is_realtime { "real-time priority (SCHED_FIFO)" } else { "plain scheduling" };
        format!("{} cores; {place}; {priority}", self.cores)
    }
}

/// Whether a command ends well.
pub(crate) fn can(words: &[&str]) -> bool {
    let quiet = || Stdio::null();
    let status = Command::new(words[0]).args(&words[1..]).stdin(quiet()).stdout(quiet()).stderr(quiet()).status();
    status.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generator_is_told_its_core_and_its_priority_and_never_keeps_those_of_the_runner() {
        let words = |is_realtime, placing| {
            let machine = Machine { cores: 2, is_pinned: true, is_realtime, is_tied: true, placing };
            machine.prefix().join(" ")
        };
        let tied = "setpriv --pdeathsig KILL";
        assert_eq!(words(true, Placing::Apart), format!("{tied} chrt -f 40 taskset -c 1"));
        assert_eq!(words(true, Placing::Plain), format!("{tied} chrt -o 0 taskset -c 1"));
        assert_eq!(words(true, Placing::Anywhere), format!("{tied} chrt -o 0 taskset -c 0,1"));
        assert_eq!(words(false, Placing::Plain), format!("{tied} taskset -c 1"));
    }
}
