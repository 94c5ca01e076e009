//! Payments truth under load: each fault of the bundled server is found and named, and a right server is never accused.

#[expect(dead_code, reason = "each test file needs some of it")]
mod common;

use common::{Load, Loaded, Server, finish_line, words};
use mcpace::measure::{Scope, Truth, Unresolved};
use mcpace::outcome::{Outcome, Probe, Violation};

fn truth(loaded: &Loaded) -> &Truth {
    &loaded.run.summary.truth
}

/// The kinds of broken promises that a run found, and none of which its report is silent.
fn found(loaded: &Loaded) -> Vec<Violation> {
    let kinds: Vec<_> = truth(loaded).violations().iter().map(|violations| violations.kind).collect();
    for violations in truth(loaded).violations() {
        loaded.says(violations.kind.name());
        assert!(!violations.evidence.is_empty() && violations.evidence[0].sent.starts_with('{'));
    }
    kinds
}

/// The creates of a run that ended without saying whether they happened.
fn unresolved(loaded: &Loaded) -> Unresolved {
    truth(loaded).unresolved().first().copied().unwrap_or_default()
}

#[test]
fn each_fault_of_payments_is_found_and_named() {
    use Violation::{AlteredAccepted, BalanceOff, DoubleCharge, LostWrite, StaleRead, WrongAmount, WrongPayment};
    for (faults, flags, expected) in [
        ("--double-charge-share 50%", "--probe-idempotency 40%", &[DoubleCharge, AlteredAccepted][..]),
        ("--double-charge-share 50%", "--probe-idempotency 40% --wallets up", &[DoubleCharge, AlteredAccepted]),
        ("--lost-write-share 10%", "", &[LostWrite]),
        ("--stale-reads 150ms", "", &[StaleRead]),
        ("--replica-lag 300ms --response-time 5ms", "", &[StaleRead]),
        ("--wrong-amount-share 20%", "--wallets up", &[WrongAmount]),
        ("--wrong-share 20%", "--wallets up", &[WrongPayment]),
        ("--wrong-balance-share 20%", "--wallets up", &[BalanceOff]),
    ] {
        let server = Server::start(faults);
        let loaded = Load::on(&server.url, &format!("--mixed --rate 300 --total 900 --seed 5 {flags}")).run();
        let mut found = found(&loaded);
        // The last reads that miss a write have no second look, and may as well be stale.
        found.retain(|kind| *kind != StaleRead || expected != [LostWrite]);
        assert_eq!(found, expected, "{faults}: {}", loaded.ended.out);
        assert!(loaded.count(Outcome::WrongAnswer) > 0);
    }
}

#[test]
fn a_lost_write_is_missed_by_reads_and_by_balances() {
    let server = Server::start("--lost-write-share 10%");
    let loaded = Load::on(&server.url, "--mixed --rate 300 --total 1200 --wallets up").run();
    let found = found(&loaded);
    assert!(
        [Violation::LostWrite, Violation::BalanceOff].iter().all(|kind| found.contains(kind)),
        "{}",
        loaded.ended.out
    );
}

#[test]
fn what_a_replica_lags_behind_is_found_by_reads_over_other_connections_alone() {
    let server = Server::start("--replica-lag 300ms --response-time 5ms");
    let loaded = Load::on(&server.url, "--mixed --rate 300 --total 600 --sessions none --seed 5").run();
    let [same, other] = [truth(&loaded).same_connection, truth(&loaded).other_connection];
    assert_eq!(same.iter().map(|row| row.violations).sum::<u64>(), 0, "{}", loaded.ended.out);
    assert!(other.iter().map(|row| row.violations).sum::<u64>() > 0, "{}", loaded.ended.out);
    assert!(truth(&loaded).violations()[0].evidence.iter().all(|evidence| evidence.elsewhere == Some(true)));
}

#[test]
fn a_reply_to_another_request_is_no_reply() {
    let server = Server::start("--other-id-share 20%");
    let loaded = Load::on(&server.url, "--mixed --rate 200 --total 100 --timeout 1s").run();
    assert!(loaded.count(Outcome::InvalidReply) > 5, "{}", loaded.ended.out);
    loaded.says("the id of another request");
    assert!(found(&loaded).is_empty());
}

#[test]
fn a_right_server_is_never_accused_and_wanted_errors_are_no_errors() {
    for (serve, flags) in [
        ("--response-time 20ms", "--lanes 2 --warmup 500ms"),
        ("--response-time lognormal(5ms,1) --replies sse --sessions stateful", "--arrivals token-bucket --burst 20"),
    ] {
        let server = Server::start(serve);
        let flags = format!("--mixed --rate 300 --total 900 --probe-idempotency 30% --wallets up {flags}");
        let loaded = Load::on(&server.url, &flags).promising("error_rate < 0.1%").run();
        loaded.exited(0);
        assert_eq!(loaded.run.summary.tally(Scope::Total, None).ok(), 900, "{}", loaded.ended.out);
        assert!(found(&loaded).is_empty());
        let truth = truth(&loaded);
        for probe in [Probe::Parallel, Probe::Later, Probe::Altered] {
            let probes = truth.probes[probe.index()];
            assert!(probes.kept > 5 && probes.ended() == probes.kept, "{probe}: {}", loaded.ended.out);
        }
        assert!(truth.balances > 200 && truth.reads().reads > 100, "{}", loaded.ended.out);
        // Of some 300 creates, three in ten.
        assert!((50..150).contains(&truth.probed()), "{}", loaded.ended.out);
        loaded.says("used an idempotency key again");
        assert!(loaded.ended.err.contains("will charge twice"), "{}", loaded.ended.err);
    }
}

#[test]
fn with_errors_of_every_kind_but_no_lies_nothing_is_called_a_lie() {
    let server = Server::start(
        "--error-share 5% --http-error-share 5% --reset-share 5% --lost-reply-share 5% --malformed-share 5% --response-time 5ms",
    );
    let flags = "--mixed --rate 300 --total 1200 --probe-idempotency 30% --wallets up --seed 11";
    let loaded = Load::on(&server.url, flags).run();
    assert!(found(&loaded).is_empty(), "{}", loaded.ended.out);
    assert!(truth(&loaded).probes[Probe::AfterTimeout.index()].kept > 3, "{}", loaded.ended.out);
}

#[test]
fn what_a_call_without_an_answer_did_is_found_out_by_its_key() {
    for (faults, has_happened) in [("--lost-reply-share 10%", true), ("--reset-share 10%", false)] {
        let server = Server::start(faults);
        let flags = "--rate 300 --total 900 --probe-idempotency 40% --seed 3";
        let loaded = Load::on(&server.url, flags).promising("error_rate < 50%").run();
        let row = unresolved(&loaded);
        let (known, never) =
            if has_happened { (row.happened, row.not_happened) } else { (row.not_happened, row.happened) };
        assert!(row.calls > 20 && known > 20 && never == 0, "{faults} {row:?}: {}", loaded.ended.out);
        assert!(found(&loaded).is_empty());
        loaded.says("calls ended without saying whether they happened, so that its error rate is from");
    }
}

#[test]
fn without_probes_the_error_rate_has_two_bounds() {
    let server = Server::start("--lost-reply-share 50%");
    let loaded = Load::on(&server.url, "--rate 200 --total 100").promising("error_rate < 90%").run();
    let row = unresolved(&loaded);
    let errors = 100 - loaded.measured().ok();
    assert_eq!((row.calls, row.unknown()), (errors, errors));
    assert_eq!(truth(&loaded).probed(), 0);
    loaded.says(&format!("error rate is from 0 % to {errors} %"));
}

#[test]
fn the_same_seed_makes_the_same_probes_and_the_schedule_is_that_without_any() {
    let server = Server::start("");
    let seen = |flags: &str| {
        // Without reads, of which the first are creates for want of a payment: how many depends on the machine.
        let mix = "--mix create_payment=1,get_wallet_balance=1";
        let loaded = Load::on(&server.url, &format!("{mix} --rate 200 --total 200 --seed 9 {flags}")).run();
        let names = loaded.run.plan.operation_names();
        let scheduled = |place| loaded.run.summary.tally(Scope::Operation(place as u16), None).scheduled;
        let counts: Vec<_> = (0..names.len()).map(scheduled).collect();
        (loaded.run.summary.first_intended, counts, truth(&loaded).probed())
    };
    let (first, counts, probed) = seen("--probe-idempotency 50%");
    let (first_without, counts_without, none) = seen("");
    assert_eq!((first, counts), (first_without, counts_without));
    assert!(probed > 10 && none == 0);
}

#[test]
fn any_operation_can_promise_the_same_in_a_plan() {
    let server = Server::start("--double-charge-share 100% --wrong-balance-share 30%");
    let folder = tempfile::tempdir().expect("a folder");
    let plan = folder.path().join("plan.toml");
    let text = r#"
        [truth]
        probe_idempotency = "30%"
        [[flow]]
        operations = { transfer = 1, look = 1 }
        rate = "200/s"
        total = 400
        objectives = ["error_rate < 90%"]
        [[operation]]
        name = "transfer"
        tool = "create_payment"
        idempotency = { key = "/idempotency_key", id = "/payment_id", alter = "/metadata/note" }
        moves = { account = ["/customer_id", "/currency"], amount = "/amount", direction = "up" }
        [operation.arguments]
        amount = { uniform = [1.0, 2.0], decimals = 2 }
        currency = "EUR"
        method = "wallet"
        customer_id = { pool = 5, fresh = true }
        idempotency_key = { unique = 20 }
        metadata = { note = { text = 8 } }
        [[operation]]
        name = "look"
        tool = "get_wallet_balance"
        balance = { account = ["/customer_id", "/currency"], value = "/balance" }
        arguments = { customer_id = { pool = 5, fresh = true }, currency = "EUR" }
    "#;
    std::fs::write(&plan, text).expect("a file");
    let loaded = Load::on(&server.url, "").with(&["--plan", plan.to_str().expect("a path of letters")]).run();
    let expected = [Violation::DoubleCharge, Violation::AlteredAccepted, Violation::BalanceOff];
    assert_eq!(found(&loaded), expected, "{}", loaded.ended.out);
}

#[test]
fn promises_that_nothing_can_break_are_refused() {
    let refused = |flags: &str, part: &str| finish_line(&format!("run {flags}")).assert_refused(2, &[part]);
    refused("--tool verify_payment --args {} --probe-idempotency 5%", "no operation of this run has a key");
    refused("--wallets up", "wallets can be checked only where");
    refused("--mixed --wallets sideways", "neither up nor down");
    refused("--mixed --probe-idempotency 500%", "is not a share");
    let folder = tempfile::tempdir().expect("a folder");
    let plan = folder.path().join("plan.toml");
    let text = r#"
        [[flow]]
        operations = { pay = 1 }
        [[operation]]
        name = "pay"
        idempotency = { key = "/key", id = "id", alter = "/nowhere" }
        moves = { account = [], amount = "/amount", direction = "up" }
        arguments = { key = "always the same", amount = 5 }
        [[operation]]
        name = "look"
        balance = { account = ["/who"], valu = "/balance" }
    "#;
    std::fs::write(&plan, text).expect("a file");
    let ended = finish_line(&format!("run --plan {}", plan.display()));
    ended.assert_refused(
        2,
        &[
            "`/key` of the arguments is the same in every call",
            "`id` is not a JSON pointer",
            "the arguments have no `/nowhere`",
            "moves: no account",
            "unknown field `valu`",
        ],
    );
    assert!(!words(&ended.err).is_empty());
}
