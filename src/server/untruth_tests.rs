//! The faults of payments as clients see them: over real connections, in every mode.

use serde_json::{Value, json};

use super::tests::{Client, MODES, REVISIONS, Served, an_order, refusal, served, told};
use super::*;
use crate::server::fault::Share;
use crate::server::slip::LedgerFaults;

/// For each mode, a server that slips like this and a client of it.
async fn each_mode(ledger: LedgerFaults, test: impl AsyncFn(Client, &Served)) {
    for (sessions, replies) in MODES {
        let faults = Faults { ledger, ..Faults::default() };
        let server = served(Settings { sessions, replies, faults, ..Settings::default() }).await;
        test(Client::initialized(server.listening.address, REVISIONS[0]).await, &server).await;
    }
}

async fn pay(client: &mut Client, key: &str) -> Value {
    let made = client.call("create_payment", an_order(key)).await;
    assert_eq!(made["result"]["isError"], false, "{made}");
    told(&made)
}

async fn verify(client: &mut Client, payment: &Value) -> Value {
    client.call("verify_payment", json!({"payment_id": payment["payment_id"]})).await
}

async fn balance(client: &mut Client) -> f64 {
    let wallet = client.call("get_wallet_balance", json!({"customer_id": "ann", "currency": "EUR"})).await;
    wallet["result"]["structuredContent"]["balance"].as_f64().unwrap()
}

#[tokio::test]
async fn a_double_charge_makes_a_second_payment_under_the_same_key_and_takes_an_altered_body() {
    let slips = LedgerFaults { double_charges: Share::ALL, ..LedgerFaults::default() };
    each_mode(slips, async |mut client, _| {
        let before = balance(&mut client).await;
        let (first, second) = (pay(&mut client, "k").await, pay(&mut client, "k").await);
        assert_ne!(first["payment_id"], second["payment_id"]);
        let mut altered = an_order("k");
        altered["amount"] = json!(20);
        let third = client.call("create_payment", altered).await;
        assert_eq!(third["result"]["structuredContent"]["amount"], 20.0, "{third}");
        assert!((balance(&mut client).await - before - 12.34 * 2.0 - 20.0).abs() < 1e-6);
        assert_eq!(verify(&mut client, &second).await["result"]["structuredContent"], second);
    })
    .await;
}

#[tokio::test]
async fn a_lost_write_is_acknowledged_and_never_found_and_leaves_the_balance_alone() {
    let slips = LedgerFaults { lost_writes: Share::ALL, ..LedgerFaults::default() };
    each_mode(slips, async |mut client, _| {
        let before = balance(&mut client).await;
        let lost = pay(&mut client, "k").await;
        assert_eq!((&lost["amount"], &lost["status"]), (&json!(12.34), &json!("completed")));
        assert!(refusal(&verify(&mut client, &lost).await).starts_with("no payment pay_"));
        assert!((balance(&mut client).await - before).abs() < 1e-9);
    })
    .await;
}

#[tokio::test]
async fn a_wrong_amount_is_answered_by_creates_and_verifies_while_the_balance_is_right() {
    let slips = LedgerFaults { wrong_amounts: Share::ALL, ..LedgerFaults::default() };
    each_mode(slips, async |mut client, _| {
        let before = balance(&mut client).await;
        let made = pay(&mut client, "k").await;
        assert_eq!(made["amount"], 13.34);
        assert_eq!(verify(&mut client, &made).await["result"]["structuredContent"], made);
        assert!((balance(&mut client).await - before - 12.34).abs() < 1e-6);
    })
    .await;
}

#[tokio::test]
async fn a_wrong_balance_is_one_too_high_and_nothing_else_is_wrong() {
    let right = served(Settings::default()).await;
    let before = balance(&mut Client::initialized(right.listening.address, REVISIONS[0]).await).await;
    let slips = LedgerFaults { wrong_balances: Share::ALL, ..LedgerFaults::default() };
    each_mode(slips, async |mut client, _| {
        assert!((balance(&mut client).await - before - 1.0).abs() < 1e-6);
        assert_eq!(pay(&mut client, "k").await["amount"], 12.34);
    })
    .await;
}

#[tokio::test]
async fn a_call_of_which_the_reply_is_lost_is_done() {
    let faults = Faults { lost_replies: "50%".parse().unwrap(), ..Faults::default() };
    // The first call's reply is lost, and the second's is not.
    let lost = |seed, call| faults.fate(seed, call).fault.is_some();
    let seed = (0..100).find(|seed| lost(*seed, 0) && !lost(*seed, 1)).unwrap();
    for (sessions, replies) in MODES {
        let server = served(Settings { sessions, replies, seed, faults, ..Settings::default() }).await;
        let mut client = Client::initialized(server.listening.address, REVISIONS[0]).await;
        let params = json!({"name": "create_payment", "arguments": an_order("k")});
        let call = json!({"jsonrpc": "2.0", "id": 8, "method": "tools/call", "params": params});
        assert!(client.post(&call).await.is_err(), "the connection is reset");
        let mut client = Client::initialized(server.listening.address, REVISIONS[0]).await;
        let again = client.call("create_payment", an_order("k")).await;
        assert_eq!(again["result"]["structuredContent"]["replayed"], true, "{again}");
    }
}

#[tokio::test]
async fn a_stale_read_does_not_find_a_young_payment_and_finds_it_when_it_is_old() {
    let lag = Duration::from_millis(300);
    let slips = LedgerFaults { stale_reads: Some(lag), ..LedgerFaults::default() };
    each_mode(slips, async |mut client, server| {
        let began = server.listening.began;
        let asked = began.elapsed();
        let made = pay(&mut client, "k").await;
        let made_before = began.elapsed();
        let mut refused = 0;
        loop {
            let verify_sent = began.elapsed();
            let found = verify(&mut client, &made).await;
            if found["result"]["isError"] == true {
                assert!(verify_sent < made_before + lag, "stale beyond the lag");
                refused += 1;
            } else {
                assert!(began.elapsed() >= asked + lag, "found within the lag");
                break;
            }
        }
        assert!(refused > 0);
    })
    .await;
}

#[tokio::test]
async fn behind_a_lagging_replica_only_the_connection_that_paid_finds_the_payment_at_once() {
    let slips = LedgerFaults { replica_lag: Some(Duration::from_hours(1)), ..LedgerFaults::default() };
    each_mode(slips, async |mut client, server| {
        let made = pay(&mut client, "k").await;
        assert_eq!(verify(&mut client, &made).await["result"]["structuredContent"], made);
        let mut elsewhere = Client::initialized(server.listening.address, REVISIONS[0]).await;
        refusal(&verify(&mut elsewhere, &made).await);
        assert_eq!(pay(&mut elsewhere, "k").await, made, "keys are known everywhere");
    })
    .await;
}

#[tokio::test]
async fn a_wrong_verify_answers_for_another_payment_that_exists() {
    let faults = Faults { wrong: Share::ALL, ..Faults::default() };
    let server = served(Settings { faults, seed: 5, ..Settings::default() }).await;
    let mut client = Client::initialized(server.listening.address, REVISIONS[0]).await;
    // The wrong creates say no id; the same seed gives the same ids on a right server.
    let right = served(Settings { seed: 5, ..Settings::default() }).await;
    let mut told = Client::initialized(right.listening.address, REVISIONS[0]).await;
    let mut ids = Vec::new();
    for key in ["a", "b"] {
        pay(&mut client, key).await;
        ids.push(pay(&mut told, key).await);
    }
    for (asked, answered) in [(0, 1), (1, 0)] {
        assert_eq!(verify(&mut client, &ids[asked]).await["result"]["structuredContent"], ids[answered]);
    }
}

#[tokio::test]
async fn a_reply_under_another_id_is_the_right_reply_but_for_that() {
    for (sessions, replies) in MODES {
        let faults = Faults { other_ids: Share::ALL, ..Faults::default() };
        let server = served(Settings { sessions, replies, faults, ..Settings::default() }).await;
        let mut client = Client::initialized(server.listening.address, REVISIONS[0]).await;
        let made = client.call("create_payment", an_order("k")).await;
        assert_eq!((&made["id"], &made["result"]["structuredContent"]["amount"]), (&json!(8), &json!(12.34)));
        assert_eq!(client.request("tools/list", json!({})).await["id"], 7, "only calls are concerned");
    }
}
