//! The three payments tools as MCP sees them: arguments, answers and their schemas.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::request::Parts;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::tool::ToolCallContext;
use rmcp::handler::server::wrapper::{Json, Parameters};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, ServerCapabilities,
    ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler, tool, tool_handler, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::fault::Fault;
use super::inject::Befallen;
use super::ledger::{Currency, Ledger, Money, Order, Record, Visit};

/// The longest id or key that is accepted, in bytes.
const LONGEST_ID: usize = 255;

/// How a payment is made.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Method {
    Card,
    BankTransfer,
    Wallet,
    Upi,
}

/// What has become of a payment.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Status {
    Completed,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct CreatePayment {
    /// The amount, from 0.01 to 1000000, with at most two decimals
    #[schemars(range(min = 0.01, max = 1_000_000))]
    amount: f64,
    /// The currency of the amount
    currency: Currency,
    /// How it is paid
    method: Method,
    /// Who pays
    #[schemars(length(min = 1, max = 255))]
    customer_id: String,
    /// Two calls with the same key and the same body are one payment
    #[schemars(length(min = 1, max = 255))]
    idempotency_key: Option<String>,
    /// What it is for
    description: Option<String>,
    /// Anything else
    metadata: Option<Map<String, Value>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct VerifyPayment {
    /// The id that `create_payment` answered
    payment_id: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct GetWalletBalance {
    /// Whose wallet
    #[schemars(length(min = 1, max = 255))]
    customer_id: String,
    /// The balance of which currency
    currency: Currency,
}

/// A payment, made or found.
#[derive(Debug, Serialize, JsonSchema)]
struct PaymentAnswer {
    /// Names the payment in later calls
    payment_id: String,
    /// What has become of it
    status: Status,
    /// The amount paid
    amount: f64,
    /// The currency of the amount
    currency: Currency,
    /// In answers of `create_payment`: whether the payment was made before, under the same key
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed: Option<bool>,
}

/// What a customer has in one currency.
#[derive(Debug, Serialize, JsonSchema)]
struct BalanceAnswer {
    /// Whose wallet
    customer_id: String,
    /// The balance
    balance: f64,
    /// The currency of the balance
    currency: Currency,
}

impl From<Record> for PaymentAnswer {
    fn from(record: Record) -> Self {
        let Record { id, amount, currency, .. } = record;
        Self { payment_id: id, status: Status::Completed, amount: amount.number(), currency, replayed: None }
    }
}

/// The MCP server: cheap to clone, one ledger behind all clones.
#[derive(Clone)]
pub(super) struct Payments {
    shared: Arc<Shared>,
}

struct Shared {
    ledger: Mutex<Ledger>,
    tools: ToolRouter<Payments>,
}

#[tool_router]
impl Payments {
    pub(super) fn new(ledger: Ledger) -> Self {
        Self { shared: Arc::new(Shared { ledger: Mutex::new(ledger), tools: Self::tool_router() }) }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.shared.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[tool(description = "Make a payment; an idempotency key makes repeating it harmless")]
    async fn create_payment(
        &self,
        Parameters(wanted): Parameters<CreatePayment>,
        context: RequestContext<RoleServer>,
    ) -> Result<Json<PaymentAnswer>, String> {
        check_length("customer_id", &wanted.customer_id)?;
        if let Some(key) = &wanted.idempotency_key {
            check_length("idempotency_key", key)?;
        }
        let order = Order {
            amount: Money::payable(wanted.amount).map_err(|refusal| refusal.to_string())?,
            currency: wanted.currency,
            customer: &wanted.customer_id,
            key: wanted.idempotency_key.as_deref(),
            details: &details(wanted.method, wanted.description.as_deref(), wanted.metadata.as_ref()),
        };
        let visit = visit(&context);
        let made = self.ledger().create(&order, visit);
        let answer = |record: Record| PaymentAnswer { replayed: Some(record.is_replay), ..told(record, visit) };
        made.map(|record| Json(answer(record))).map_err(|refusal| refusal.to_string())
    }

    #[tool(description = "Tell what has become of a payment", annotations(read_only_hint = true))]
    async fn verify_payment(
        &self,
        Parameters(wanted): Parameters<VerifyPayment>,
        context: RequestContext<RoleServer>,
    ) -> Result<Json<PaymentAnswer>, String> {
        check_length("payment_id", &wanted.payment_id)?;
        let visit = visit(&context);
        let found = self.ledger().find(&wanted.payment_id, visit);
        found.map(|record| Json(told(record, visit))).map_err(|refusal| refusal.to_string())
    }

    #[tool(description = "Tell what a customer has in one currency", annotations(read_only_hint = true))]
    async fn get_wallet_balance(
        &self,
        Parameters(wanted): Parameters<GetWalletBalance>,
        context: RequestContext<RoleServer>,
    ) -> Result<Json<BalanceAnswer>, String> {
        check_length("customer_id", &wanted.customer_id)?;
        let balance = self.ledger().balance(&wanted.customer_id, wanted.currency);
        let balance = if visit(&context).slips.wrong_balance { balance.one_more() } else { balance }.number();
        Ok(Json(BalanceAnswer { customer_id: wanted.customer_id, balance, currency: wanted.currency }))
    }
}

#[tool_handler(router = self.shared.tools)]
impl ServerHandler for Payments {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("mcpace-payments", env!("CARGO_PKG_VERSION")))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let fault = befallen(&context).and_then(|befallen| befallen.fault);
        if fault == Some(Fault::ToolError) {
            return Ok(CallToolResult::error(vec![ContentBlock::text("the bank did not answer")]).into());
        }
        let wrong = (fault == Some(Fault::Wrong)).then(|| request.clone());
        let response = self.shared.tools.call(ToolCallContext::new(self, request, context)).await?;
        Ok(match (wrong, response) {
            (Some(asked), CallToolResponse::Complete(CallToolResult { structured_content: Some(answer), .. })) => {
                let id = asked.arguments.as_ref().and_then(|arguments| arguments.get("payment_id")?.as_str());
                let other = id.and_then(|id| self.ledger().neighbour(id));
                CallToolResult::structured(spoiled(&asked.name, answer, other)).into()
            }
            (_, untouched) => untouched,
        })
    }
}

/// What the layer that injects faults had to say of this call; nothing where there is no such layer.
fn befallen(context: &RequestContext<RoleServer>) -> Option<&Befallen> {
    context.extensions.get::<Parts>()?.extensions.get::<Befallen>()
}

fn visit(context: &RequestContext<RoleServer>) -> Visit {
    befallen(context).map(Befallen::visit).unwrap_or_default()
}

/// The answer about a payment, with another amount where that was asked for.
fn told(record: Record, visit: Visit) -> PaymentAnswer {
    let amount = if visit.slips.wrong_amount { record.amount.one_more() } else { record.amount };
    Record { amount, ..record }.into()
}

fn check_length(name: &str, id: &str) -> Result<(), String> {
    match id.len() {
        1..=LONGEST_ID => Ok(()),
        length => Err(format!("{name} has {length} bytes: give 1 to {LONGEST_ID}")),
    }
}

/// Everything of an order that is not its amount, currency, customer or key; the order of members does not matter.
fn details(method: Method, description: Option<&str>, metadata: Option<&Map<String, Value>>) -> String {
    let mut all = serde_json::json!({ "method": method, "description": description, "metadata": metadata });
    all.sort_all_objects();
    all.to_string()
}

/// A well-formed answer made wrong: a create names no payment, a verify answers for another one, a balance has none.
fn spoiled(tool: &str, mut answer: Value, other: Option<Record>) -> Value {
    if tool == "verify_payment"
        && let Some(other) = other
    {
        return serde_json::to_value(PaymentAnswer::from(other)).unwrap_or_default();
    }
    if let Some(members) = answer.as_object_mut() {
        match tool {
            "create_payment" => members.remove("payment_id"),
            "verify_payment" => members.insert("payment_id".to_owned(), Value::from("pay_of_somebody_else")),
            _ => members.remove("balance"),
        };
    }
    answer
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn metadata_in_another_order_is_the_same_order_of_goods() {
        let with = |metadata: Value| details(Method::Card, None, metadata.as_object());
        assert_eq!(with(json!({"a": 1, "b": {"c": 2, "d": 3}})), with(json!({"b": {"d": 3, "c": 2}, "a": 1})));
        assert_ne!(with(json!({"a": 1})), with(json!({"a": 2})));
    }

    #[test]
    fn a_spoiled_answer_lacks_what_its_caller_checks() {
        let payment = json!({"payment_id": "pay_1", "amount": 1.0});
        assert_eq!(spoiled("create_payment", payment.clone(), None), json!({"amount": 1.0}));
        assert_eq!(spoiled("verify_payment", payment.clone(), None)["payment_id"], "pay_of_somebody_else");
        let amount = Money::payable(2.5).unwrap();
        let other = Record { id: "pay_2".to_owned(), amount, currency: Currency::Eur, is_replay: false };
        let answer = json!({"payment_id": "pay_2", "status": "completed", "amount": 2.5, "currency": "EUR"});
        assert_eq!(spoiled("verify_payment", payment, Some(other)), answer);
        let balance = json!({"balance": 1.0, "currency": "USD"});
        assert_eq!(spoiled("get_wallet_balance", balance, None), json!({"currency": "USD"}));
    }

    #[test]
    fn ids_have_a_length_within_bounds() {
        assert!(check_length("payment_id", "").is_err());
        assert!(check_length("payment_id", &"x".repeat(255)).is_ok());
        assert!(check_length("payment_id", &"x".repeat(256)).unwrap_err().contains("256 bytes"));
    }
}
