//! The built-in payments operations: their arguments, captures and expectations.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Balance, Direction, Idempotency, Moves, Operation};

/// The names of the three operations, which are also the names of their tools.
pub const NAMES: [&str; 3] = ["create_payment", "verify_payment", "get_wallet_balance"];

const PAYMENT_ID: &str = "/payment_id|/paymentId|/payment/id|/id";
const AMOUNT: &str = "/amount|/payment/amount";
const BALANCE: &str = "/balance|/available_balance|/available|/wallet/balance";
const CURRENCY: &str = "/currency|/payment/currency";

/// The three operations, in the order of [`NAMES`]. A create must name a payment id; a verify must find the payment that it
/// was asked about and answer for it, with a status; a balance must have a balance. Amount, currency and customer must be
/// those that were sent, where an answer names them.
pub fn operations() -> Vec<Operation> {
    let present = json!({"present": true});
    let sent = |pointer: &str| json!({"sent": pointer, "where_present": true});
    let captured = |name: &str| json!({"captured": name, "where_present": true});
    let currency = json!({"choice": ["USD", "EUR", "GBP", "INR", "JPY"]});
    vec![
        operation(
            NAMES[0],
            json!({
                "amount": {"uniform": [10.0, 1000.0], "decimals": 2},
                "currency": currency,
                "method": {"choice": ["card", "bank_transfer", "wallet", "upi"]},
                "customer_id": {"uuid": true},
                "idempotency_key": {"unique": 32, "prefix": "test_"},
                "description": {"text": 8, "prefix": "Load test payment "},
                "metadata": {
                    "test_run": true,
                    "load_test_id": {"run_id": true},
                    "timestamp": {"timestamp": true},
                },
            }),
            &[("payment_id", PAYMENT_ID)],
            &[(AMOUNT, sent("/amount")), (CURRENCY, sent("/currency"))],
        )
        .remembering(&["amount", "currency"])
        .under_a_key(),
        operation(
            NAMES[1],
            json!({"payment_id": {"captured": "payment_id"}}),
            &[],
            &[
                (PAYMENT_ID, json!({"captured": true})),
                ("/status|/payment/status", present.clone()),
                (AMOUNT, captured("amount")),
                (CURRENCY, captured("currency")),
            ],
        )
        .finding(),
        operation(
            NAMES[2],
            json!({"customer_id": {"uuid": true}, "currency": currency}),
            &[],
            &[
                (BALANCE, present),
                ("/customer_id|/customerId|/wallet/customer_id", sent("/customer_id")),
                ("/currency|/wallet/currency", sent("/currency")),
            ],
        ),
    ]
}

/// How many customers a lane has where balances are checked.
const CUSTOMERS: u64 = 50;

/// The three operations for a server that moves a customer's balance by each payment: customers come from a pool, and
/// balances must add up.
pub fn operations_with_wallets(direction: Direction) -> Vec<Operation> {
    let account = || vec!["/customer_id".to_owned(), "/currency".to_owned()];
    let customers = json!({"pool": CUSTOMERS, "fresh": true});
    let mut all = operations();
    for (operation, name) in all.iter_mut().zip(NAMES) {
        match name {
            "create_payment" => {
                operation.moves = Some(Moves { account: account(), amount: "/amount".to_owned(), direction });
            }
            "get_wallet_balance" => {
                operation.balance = Some(Balance { account: account(), value: BALANCE.to_owned() });
            }
            _ => continue,
        }
        operation.arguments["customer_id"].clone_from(&customers);
    }
    all
}

/// Takes out of built-in operations what others, put in their place, give no ground for: what is sent, remembered or
/// promised there may have other names.
pub fn fit(operation: &mut Operation, makes: &[String]) {
    let captured = operation.asks().into_iter().next().cloned();
    operation.must_find &= captured.is_some();
    let sends = |pointer: &str| operation.sends(pointer);
    let is_grounded = |want: &Value| match (want.get("captured"), want.get("sent")) {
        (Some(Value::String(name)), _) => captured.is_some() && makes.contains(name),
        (Some(_), _) => captured.is_some(),
        (_, Some(Value::String(pointer))) => sends(pointer),
        _ => true,
    };
    let expect = operation.expect.iter().filter(|(_, want)| is_grounded(want));
    let expect = expect.map(|(at, want)| (at.clone(), want.clone())).collect();
    let remember = operation.remember.iter().filter(|(_, pointer)| sends(pointer));
    let remember = remember.map(|(name, pointer)| (name.clone(), pointer.clone())).collect();
    let are_sent = |account: &[String]| account.iter().all(|pointer| sends(pointer));
    // A key that is the same in every call is none that could be used again.
    let key = operation.idempotency.clone().filter(|key| operation.generates(&key.key));
    let key = key.map(|key| {
        let alter = key.alter.filter(|pointer| operation.generates(pointer));
        Idempotency { alter, ..key }
    });
    let moves = operation.moves.clone().filter(|moves| are_sent(&moves.account) && sends(&moves.amount));
    let balance = operation.balance.clone().filter(|balance| are_sent(&balance.account));
    (operation.expect, operation.remember) = (expect, remember);
    (operation.idempotency, operation.moves, operation.balance) = (key, moves, balance);
}

impl Operation {
    fn remembering(mut self, fields: &[&str]) -> Self {
        self.remember = fields.iter().map(|field| ((*field).to_owned(), format!("/{field}"))).collect();
        self
    }

    fn under_a_key(mut self) -> Self {
        self.idempotency = Some(Idempotency {
            key: "/idempotency_key".to_owned(),
            id: PAYMENT_ID.to_owned(),
            alter: Some("/amount".to_owned()),
            replayed: Some("/replayed|/idempotent_replayed|/idempotent_replay|/is_replay".to_owned()),
        });
        self
    }

    const fn finding(mut self) -> Self {
        self.must_find = true;
        self
    }
}

fn operation(name: &str, arguments: Value, capture: &[(&str, &str)], expect: &[(&str, Value)]) -> Operation {
    let own = |(name, pointers): &(&str, &str)| ((*name).to_owned(), (*pointers).to_owned());
    Operation {
        name: name.to_owned(),
        tool: name.to_owned(),
        arguments,
        capture: capture.iter().map(own).collect(),
        expect: expect.iter().map(|(at, want)| ((*at).to_owned(), want.clone())).collect::<BTreeMap<_, _>>(),
        ..Operation::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrival::{Arrival, FlowId};
    use crate::outcome::Outcome;
    use crate::time::Moment;
    use crate::workload::{Mix, OperationId, Reply, RunIdentity, Stamps, ToolResult, Workload};

    #[test]
    fn a_promise_about_what_other_arguments_do_not_send_is_taken_out() {
        let [create, _, balance] = operations_with_wallets(Direction::Up).try_into().unwrap();
        let fitted = |of: &Operation, arguments: Value| {
            let mut operation = Operation { arguments, ..of.clone() };
            fit(&mut operation, &[]);
            operation
        };
        assert_eq!(fitted(&create, create.arguments.clone()).idempotency, create.idempotency);
        assert_eq!(fitted(&create, create.arguments.clone()).moves, create.moves);
        let bare = fitted(&create, json!({"literal": {}}));
        assert_eq!((bare.idempotency, bare.moves), (None, None));
        let key = json!({"idempotency_key": {"uuid": true}, "amount": 5, "customer_id": "c"});
        let fixed = fitted(&create, key);
        assert_eq!(fixed.idempotency.unwrap().alter, None, "an amount that is always the same cannot be altered");
        assert_eq!(fixed.moves, None, "the account's currency is not sent");
        assert_eq!(fitted(&create, json!({"idempotency_key": "always"})).idempotency, None);
        assert_eq!(fitted(&balance, json!({"customer_id": "c"})).balance, None);
    }

    fn only(operation: u16) -> Workload {
        let identity = RunIdentity { run_id: "0123".into(), started_unix_ms: 0 };
        Workload::new(&operations(), vec![Mix::new(&[(OperationId(operation), 1.0)]).unwrap()], 3, identity).unwrap()
    }

    #[test]
    fn a_create_has_every_field_in_its_range() {
        let mut workload = only(0);
        let mut captures = workload.captures();
        for sequence in 0..100 {
            let arrival = Arrival { flow: FlowId(0), sequence, intended: Moment::ZERO };
            let choice = workload.choose(&arrival, &captures);
            let value: Value = serde_json::from_str(&workload.call(&arrival, choice, &mut captures).arguments).unwrap();
            assert!((10.0..=1000.0).contains(&value["amount"].as_f64().unwrap()));
            assert!(["USD", "EUR", "GBP", "INR", "JPY"].contains(&value["currency"].as_str().unwrap()));
            assert!(["card", "bank_transfer", "wallet", "upi"].contains(&value["method"].as_str().unwrap()));
            assert!(uuid::Uuid::parse_str(value["customer_id"].as_str().unwrap()).is_ok());
            let key = value["idempotency_key"].as_str().unwrap().strip_prefix("test_").unwrap();
            assert!(key.len() == 32 && key.bytes().all(|b| b.is_ascii_hexdigit()));
            assert_eq!(value["description"].as_str().unwrap().len(), "Load test payment ".len() + 8);
            assert_eq!(value["metadata"]["test_run"], true);
            assert_eq!(value["metadata"]["load_test_id"], "0123");
            assert_eq!(value["metadata"]["timestamp"], "1970-01-01T00:00:00.000Z");
        }
    }

    #[test]
    fn each_answer_is_held_to_its_meaning_in_every_dialect() {
        let cases = [
            (0, r#"{"structuredContent":{"payment_id":"p"}}"#, Outcome::Ok),
            (
                0,
                r#"{"content":[{"type":"text","text":"Payment created successfully with ID: p"}],"_meta":{"payment_id":"p","amount":"AMOUNT"}}"#,
                Outcome::Ok,
            ),
            (0, r#"{"content":[{"type":"text","text":"{\"id\":\"p\"}"}]}"#, Outcome::Ok),
            (0, r#"{"content":[{"type":"text","text":"done"}]}"#, Outcome::WrongAnswer),
            (0, r#"{"structuredContent":{"payment_id":"p","amount":"9.99"}}"#, Outcome::WrongAnswer),
            (0, r#"{"structuredContent":{"payment_id":"p","currency":"usd or so"}}"#, Outcome::WrongAnswer),
            (0, r#"{"hello":"world"}"#, Outcome::WrongAnswer),
            (2, r#"{"_meta":{"balance":"100.00"}}"#, Outcome::Ok),
            (2, r#"{"structuredContent":{"balance":0}}"#, Outcome::Ok),
            (2, r#"{"structuredContent":{"currency":"USD"}}"#, Outcome::WrongAnswer),
        ];
        for (operation, result, expected) in cases {
            let mut workload = only(operation);
            let mut captures = workload.captures();
            let arrival = Arrival { flow: FlowId(0), sequence: 0, intended: Moment::ZERO };
            let choice = workload.choose(&arrival, &captures);
            let call = workload.call(&arrival, choice, &mut captures);
            let sent: Value = serde_json::from_str(&call.arguments).unwrap();
            let mut reply = Reply {
                outcome: Outcome::Ok,
                stamps: Stamps::default(),
                result: ToolResult::read(result.replace("AMOUNT", &sent["amount"].to_string())),
                failure: None,
                connection: None,
            };
            workload.learn(&arrival, &call, &mut reply, &mut captures);
            assert_eq!(reply.outcome, expected, "{result}");
        }
    }
}
