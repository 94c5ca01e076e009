//! `mcpace ctl`: changes the load of a run that goes on, through its control socket.

use std::fmt;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::anyhow;
use clap::{Args, Subcommand};

use super::control::default_path;
use super::exit::{Exit, Failure};
use super::results;
use crate::engine::Act;
use crate::report::clean;
use crate::time::Rate;

/// How long a run has for each piece of its answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// No answer is longer.
const LONGEST: u64 = 64 << 10;

/// Flags of `mcpace ctl`.
#[derive(Clone, Debug, Args)]
pub(super) struct CtlArgs {
    /// The run's socket [default: that of a run with --control auto].
    #[arg(long, value_name = "PATH", global = true)]
    socket: Option<PathBuf>,
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum What {
    /// Go on at this rate, all flows together, to the schedule's end.
    Rate {
        /// Arrivals per second: 500, 500/s, 60000/m.
        #[arg(value_name = "R", value_parser = Rate::parse_load)]
        rate: Rate,
    },
    /// Send nothing more until resume. The schedule's end stays where it is.
    Pause,
    /// Go on with what the schedule says of the present.
    Resume,
    /// End the schedule: what was due is awaited, then the run reports.
    Stop,
    /// Say how the run stands.
    Status,
}

/// What a run can be told, as a line of text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Command {
    /// To change.
    Act(Act),
    /// To say how it stands.
    Status,
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Act(Act::Rate(rate)) => write!(f, "rate {rate}"),
            Self::Act(Act::Pause) => f.write_str("pause"),
            Self::Act(Act::Resume) => f.write_str("resume"),
            Self::Act(Act::Stop) => f.write_str("stop"),
            Self::Status => f.write_str("status"),
        }
    }
}

impl FromStr for Command {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_whitespace().collect::<Vec<_>>()[..] {
            ["rate", rate] => {
                Rate::parse_load(rate).map(|rate| Self::Act(Act::Rate(rate))).map_err(|why| why.to_string())
            }
            ["pause"] => Ok(Self::Act(Act::Pause)),
            ["resume"] => Ok(Self::Act(Act::Resume)),
            ["stop"] => Ok(Self::Act(Act::Stop)),
            ["status"] => Ok(Self::Status),
            _ => Err(format!("{text:?} is no command: give rate R, pause, resume, stop or status")),
        }
    }
}

/// Tells the run, and prints what it answers.
pub(super) fn ctl(args: &CtlArgs) -> Result<Exit, Failure> {
    let command = match args.what {
        What::Rate { rate } => Command::Act(Act::Rate(rate)),
        What::Pause => Command::Act(Act::Pause),
        What::Resume => Command::Act(Act::Resume),
        What::Stop => Command::Act(Act::Stop),
        What::Status => Command::Status,
    };
    let path = args.socket.clone().unwrap_or_else(default_path);
    let answer = tell(&path, command).map_err(|why| {
        let way = "start one with --control PATH, and name the same path with --socket";
        Failure::new(Exit::Target, anyhow!("failed to reach a run at {}: {why}; {way}", path.display()))
    })?;
    match answer.split_once(' ') {
        Some(("ok", said)) => results::write(shown(said).as_bytes()).map(|()| Exit::Pass),
        Some(("error", why)) => Err(Failure::usage(anyhow!("{}", shown(why).trim_end()))),
        _ => Err(Failure::new(Exit::Target, anyhow!("failed to understand what {} answers", path.display()))),
    }
}

/// Line by line without what a terminal would obey: whoever listens at the socket may be anybody.
fn shown(answer: &str) -> String {
    answer.lines().map(|line| clean(line) + "\n").collect()
}

fn tell(path: &Path, command: Command) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{command}\n").as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.take(LONGEST).read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_shown_in_its_lines_and_tells_the_terminal_nothing() {
        assert_eq!(shown("run \u{1b}]0;x\u{7}a\u{9b}1m\r\nstate \u{8}over\n"), "run a1m\nstate over\n");
        assert_eq!(shown("is paused"), "is paused\n");
    }

    #[test]
    fn commands_are_read_as_they_are_written_and_others_are_refused_with_the_way_out() {
        let rate = Rate::per_second(2.5).unwrap();
        for act in
            [Act::Rate(rate), Act::Pause, Act::Resume, Act::Stop].map(Command::Act).into_iter().chain([Command::Status])
        {
            assert_eq!(act.to_string().parse(), Ok(act));
        }
        for (wrong, said) in
            [("", "is no command"), ("rate", "is no command"), ("rate 0", "0"), ("halt\u{1b}[1m", "\\u{1b}")]
        {
            let why = wrong.parse::<Command>().unwrap_err();
            assert!(why.contains(said), "{wrong}: {why}");
        }
    }
}
