//! `mcpace serve`: from flags to a reference payments server that ends when it should.

use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::exit::{Exit, Failure};
use crate::server::fault::{FaultError, Faults, Freeze, ResponseTime, ServiceTime, Share};
use crate::server::slip::LedgerFaults;
use crate::server::switch::Switch;
use crate::server::{AllowedHosts, Listening, Replies, ServerError, Sessions, Settings, serve};
use crate::time::parse_duration;

/// Run the bundled reference payments server, with faults on request
#[derive(Args, Clone, Debug)]
pub(super) struct ServeArgs {
    /// Name or address to listen on
    #[arg(long, default_value = "127.0.0.1", value_name = "HOST")]
    pub(super) host: String,
    /// Port to listen on; 0 takes any free one
    #[arg(long, default_value_t = 8000, value_name = "PORT")]
    pub(super) port: u16,
    /// Whether clients before MCP 2026-07-28 get a session
    #[arg(long, value_enum, default_value_t = SessionsFlag::Stateless)]
    pub(super) sessions: SessionsFlag,
    /// Form of replies [default: json; sse with stateful sessions, which know no other]
    #[arg(long, value_enum)]
    pub(super) replies: Option<RepliesFlag>,
    /// Also serve requests for this name, besides loopback names; '*' for any (repeatable)
    #[arg(long, value_name = "NAME")]
    pub(super) allowed_host: Vec<String>,
    /// End when standard input closes, so that the server does not outlive whoever started it
    #[arg(long)]
    pub(super) exit_with_stdin: bool,
    /// Threads to serve on
    #[arg(long, default_value = "1", value_name = "N")]
    pub(super) threads: NonZeroUsize,
    /// Starting balances, payment ids and faults come from this number
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(super) seed: u64,
    /// Payments remembered; beyond, the oldest are forgotten, though not by balances
    #[arg(long, default_value = "1000000", value_name = "N")]
    pub(super) remember: NonZeroUsize,
    /// What goes wrong on purpose.
    #[command(flatten)]
    pub(super) faults: FaultArgs,
}

/// The flags that make the server misbehave. All follow from `--seed`.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Faults of tool calls")]
pub(super) struct FaultArgs {
    /// Response time added to each call: 2s, or lognormal(20ms, 0.5) for median and sigma
    #[arg(long, value_name = "TIME")]
    pub(super) response_time: Option<ResponseTime>,
    /// One queue for all calls, which serves one at a time, each for this long: 5ms make 200/s the most
    #[arg(long, value_name = "TIME")]
    pub(super) service_time: Option<ServiceTime>,
    /// Share of calls answered with isError, as in 1% or 0.01
    #[arg(long, value_name = "SHARE")]
    pub(super) error_share: Option<Share>,
    /// Share of calls answered with HTTP 500
    #[arg(long, value_name = "SHARE")]
    pub(super) http_error_share: Option<Share>,
    /// Share of calls whose connection is reset
    #[arg(long, value_name = "SHARE")]
    pub(super) reset_share: Option<Share>,
    /// Share of calls answered with something that is not JSON
    #[arg(long, value_name = "SHARE")]
    pub(super) malformed_share: Option<Share>,
    /// Share of calls answered wrongly: no payment id, another payment's id, no balance
    #[arg(long, value_name = "SHARE")]
    pub(super) wrong_share: Option<Share>,
    /// Share of calls whose reply carries the id of another request
    #[arg(long, value_name = "SHARE")]
    pub(super) other_id_share: Option<Share>,
    /// Share of calls that are done and whose connection is reset instead of the reply
    #[arg(long, value_name = "SHARE")]
    pub(super) lost_reply_share: Option<Share>,
    /// Begin without these faults: SIGUSR1 turns them on, and off again
    #[arg(long, conflicts_with = "freeze")]
    pub(super) fault_switch: bool,
    /// Freeze all connections for the last part of every period since the server began, as in 500ms/5s
    #[arg(long, value_name = "LENGTH/PERIOD")]
    pub(super) freeze: Option<Freeze>,
    /// Faults of the payments themselves.
    #[command(flatten)]
    pub(super) ledger: LedgerArgs,
}

/// The flags that make the payments themselves go wrong. Each share is drawn for itself.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Faults of payments")]
pub(super) struct LedgerArgs {
    /// Share of repeated idempotency keys that are ignored: the payment is made a second time
    #[arg(long, value_name = "SHARE")]
    pub(super) double_charge_share: Option<Share>,
    /// Share of payments that are acknowledged with an id and never stored
    #[arg(long, value_name = "SHARE")]
    pub(super) lost_write_share: Option<Share>,
    /// Share of creates and verifies that answer one more than was paid
    #[arg(long, value_name = "SHARE")]
    pub(super) wrong_amount_share: Option<Share>,
    /// Share of balances that are answered one too high
    #[arg(long, value_name = "SHARE")]
    pub(super) wrong_balance_share: Option<Share>,
    /// Verifies do not find payments younger than this
    #[arg(long, value_name = "LAG", value_parser = parse_duration)]
    pub(super) stale_reads: Option<Duration>,
    /// Share of verifies that are stale [default: 100%]
    #[arg(long, value_name = "SHARE", requires = "stale_reads")]
    pub(super) stale_share: Option<Share>,
    /// Verifies on another connection than the payment's do not find payments younger than this
    #[arg(long, value_name = "LAG", value_parser = parse_duration)]
    pub(super) replica_lag: Option<Duration>,
}

/// The choices of `--sessions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum SessionsFlag {
    /// Each call stands alone
    Stateless,
    /// initialize opens a session
    Stateful,
}

/// The choices of `--replies`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum RepliesFlag {
    /// application/json
    Json,
    /// Server-sent events
    Sse,
}

/// Serves until it is told to end.
pub(super) fn serve_payments(args: &ServeArgs) -> Result<Exit, Failure> {
    args.run().map(|()| Exit::Pass).map_err(Failure::usage)
}

impl ServeArgs {
    /// What the server is told.
    pub(super) fn settings(&self) -> Settings {
        let sessions = match self.sessions {
            SessionsFlag::Stateless => Sessions::Stateless,
            SessionsFlag::Stateful => Sessions::Stateful,
        };
        let replies = match (self.replies, sessions) {
            (Some(RepliesFlag::Json), _) | (None, Sessions::Stateless) => Replies::Json,
            (Some(RepliesFlag::Sse), _) | (None, Sessions::Stateful) => Replies::Sse,
        };
        let allowed_hosts = match self.allowed_host.as_slice() {
            [] => AllowedHosts::Loopback,
            names if names.iter().any(|name| name == "*") => AllowedHosts::Any,
            names => AllowedHosts::Also(names.to_vec()),
        };
        Settings {
            host: self.host.clone(),
            port: self.port,
            sessions,
            replies,
            allowed_hosts,
            seed: self.seed,
            capacity: self.remember.get(),
            faults: self.faults.faults(),
            switch: if self.faults.fault_switch { Switch::off() } else { Switch::default() },
        }
    }

    /// Serves until a signal, or the end of standard input where that was asked for.
    ///
    /// # Errors
    ///
    /// [`ServerError`] where the flags contradict each other, or the address cannot be listened on.
    pub(super) fn run(&self) -> Result<(), ServerError> {
        let runtime = runtime(self.threads).map_err(ServerError::Serve)?;
        runtime.block_on(async {
            let (settings, end) = (self.settings(), end(self.exit_with_stdin).map_err(ServerError::Serve)?);
            if self.faults.fault_switch {
                if !settings.faults.touch_calls() {
                    return Err(FaultError::Nothing.into());
                }
                turn_on_signal(settings.switch.clone()).map_err(ServerError::Serve)?;
            }
            serve(settings, announce, end).await
        })
    }
}

impl FaultArgs {
    fn faults(&self) -> Faults {
        Faults {
            response_time: self.response_time.unwrap_or_default(),
            service_time: self.service_time,
            errors: self.error_share.unwrap_or_default(),
            http_errors: self.http_error_share.unwrap_or_default(),
            resets: self.reset_share.unwrap_or_default(),
            malformed: self.malformed_share.unwrap_or_default(),
            wrong: self.wrong_share.unwrap_or_default(),
            other_ids: self.other_id_share.unwrap_or_default(),
            lost_replies: self.lost_reply_share.unwrap_or_default(),
            ledger: LedgerFaults {
                double_charges: self.ledger.double_charge_share.unwrap_or_default(),
                lost_writes: self.ledger.lost_write_share.unwrap_or_default(),
                wrong_amounts: self.ledger.wrong_amount_share.unwrap_or_default(),
                wrong_balances: self.ledger.wrong_balance_share.unwrap_or_default(),
                stale_reads: self.ledger.stale_reads,
                stale_share: self.ledger.stale_share,
                replica_lag: self.ledger.replica_lag,
            },
            freeze: self.freeze,
        }
    }
}

/// Turns the switch at each SIGUSR1, and says which way.
fn turn_on_signal(switch: Switch) -> io::Result<()> {
    let mut wish = signal(SignalKind::user_defined1())?;
    tokio::spawn(async move {
        while wish.recv().await.is_some() {
            say(&format!("mcpace serve: faults {}", if switch.turn() { "on" } else { "off" }));
        }
    });
    Ok(())
}

pub(super) fn runtime(threads: NonZeroUsize) -> io::Result<Runtime> {
    match threads.get() {
        1 => Builder::new_current_thread().enable_all().build(),
        more => Builder::new_multi_thread().worker_threads(more).enable_all().build(),
    }
}

fn announce(listening: Listening) {
    say(&format!("mcpace serve: listening on http://{}/mcp", listening.address));
}

/// One line on standard output, at once, for whoever started this. Nobody may be reading it.
pub(super) fn say(line: &str) {
    let mut stdout = io::stdout().lock();
    if let Err(error) = writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        tracing::warn!(%error, line, "a line could not be printed");
    }
}

/// Ready when the server should end. The signals are caught from now on.
pub(super) fn end(with_stdin: bool) -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stdin = with_stdin.then(stdin_closed);
    Ok(async move {
        let closed = async {
            match stdin {
                Some(closed) => drop(closed.await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = closed => {}
        }
    })
}

/// Ready when standard input is at its end. A thread of its own reads it: a runtime would wait for the read to return.
fn stdin_closed() -> oneshot::Receiver<()> {
    let (closed, when_closed) = oneshot::channel();
    thread::spawn(move || {
        let mut nowhere = [0; 256];
        let mut stdin = io::stdin().lock();
        loop {
            match stdin.read(&mut nowhere) {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
            }
        }
        let _ = closed.send(());
    });
    when_closed
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ServeArgs,
    }

    fn settings(flags: &[&str]) -> Result<Settings, clap::Error> {
        Line::try_parse_from([&["serve"], flags].concat()).map(|line| line.args.settings())
    }

    #[test]
    fn without_flags_the_settings_are_the_defaults() {
        assert_eq!(settings(&[]).unwrap(), Settings::default());
    }

    #[test]
    fn every_flag_reaches_the_settings() {
        let flags = "--host ::1 --port 0 --sessions stateful --seed 7 --remember 5 --allowed-host a --allowed-host b \
            --response-time 2s --service-time 5ms --error-share 1% --http-error-share 0.02 --reset-share 3% --malformed-share 4% \
            --wrong-share 5% --other-id-share 6% --double-charge-share 7% --lost-write-share 8% --wrong-amount-share 9% \
            --stale-reads 100ms --stale-share 10% --replica-lag 1s --freeze 500ms/5s --lost-reply-share 11% \
            --wrong-balance-share 12%";
        let faults = Faults {
            response_time: ResponseTime::Fixed(Duration::from_secs(2)),
            service_time: Some("5ms".parse().unwrap()),
            errors: "1%".parse().unwrap(),
            http_errors: "2%".parse().unwrap(),
            resets: "3%".parse().unwrap(),
            malformed: "4%".parse().unwrap(),
            wrong: "5%".parse().unwrap(),
            other_ids: "6%".parse().unwrap(),
            lost_replies: "11%".parse().unwrap(),
            ledger: LedgerFaults {
                double_charges: "7%".parse().unwrap(),
                lost_writes: "8%".parse().unwrap(),
                wrong_amounts: "9%".parse().unwrap(),
                wrong_balances: "12%".parse().unwrap(),
                stale_reads: Some(Duration::from_millis(100)),
                stale_share: Some("10%".parse().unwrap()),
                replica_lag: Some(Duration::from_secs(1)),
            },
            freeze: Some("500ms/5s".parse().unwrap()),
        };
        let wanted = Settings {
            host: "::1".to_owned(),
            port: 0,
            sessions: Sessions::Stateful,
            replies: Replies::Sse,
            allowed_hosts: AllowedHosts::Also(vec!["a".to_owned(), "b".to_owned()]),
            seed: 7,
            capacity: 5,
            faults,
            switch: Switch::default(),
        };
        assert_eq!(settings(&flags.split_whitespace().collect::<Vec<_>>()).unwrap(), wanted);
    }

    #[test]
    fn a_switch_is_off_at_first_and_wants_faults_to_turn_on() {
        assert_eq!(settings(&["--fault-switch", "--error-share", "1%"]).unwrap().switch, Switch::off());
        let line = Line::try_parse_from(["serve", "--port", "0", "--fault-switch"]).unwrap();
        assert!(line.args.run().unwrap_err().to_string().contains("give some, as --response-time"));
        assert!(settings(&["--fault-switch", "--freeze", "1s/5s"]).unwrap_err().to_string().contains("--freeze"));
    }

    #[test]
    fn a_star_allows_every_host() {
        assert_eq!(settings(&["--allowed-host", "a", "--allowed-host", "*"]).unwrap().allowed_hosts, AllowedHosts::Any);
    }

    #[test]
    fn a_wrong_value_is_refused_with_the_way_out() {
        let refused = |flags: &[&str]| settings(flags).unwrap_err().to_string();
        assert!(refused(&["--error-share", "2"]).contains("give it as 1% or 0.01"));
        assert!(refused(&["--freeze", "5s/5s"]).contains("as in 500ms/5s"));
        assert!(refused(&["--response-time", "lognormal(20ms)"]).contains("lognormal(20ms, 0.5)"));
        assert!(refused(&["--service-time", "0s"]).contains("as in 5ms"));
        assert!(refused(&["--stale-share", "5%"]).contains("--stale-reads"));
        assert!(refused(&["--replica-lag", "soon"]).contains("soon"));
        assert!(refused(&["--threads", "0"]).contains("--threads"));
    }
}
