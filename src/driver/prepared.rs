//! What the calls of one operation have in common on the wire, made once: all but the id and the arguments.

use http::header::{HeaderName, HeaderValue};

use super::request::{Head, Request};
use crate::mcp::headers::HeaderPlan;
use crate::mcp::{CallTemplate, Negotiated, Revision};
use crate::workload::Call;

/// W3C trace context.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The request of an operation's calls.
#[derive(Debug)]
pub(super) struct Prepared {
    template: CallTemplate,
    /// Where the revision wants each request to name its tool: such requests belong to no session.
    head: Option<Head>,
    /// The arguments that are sent as headers too.
    plan: HeaderPlan,
}

impl Prepared {
    /// The request of a tool's calls, after `negotiated`; `head` is that of all requests to the target.
    pub(super) fn new(tool: &str, negotiated: &Negotiated, head: &Head) -> Self {
        let is_modern = negotiated.revision.is_some_and(Revision::is_modern);
        let listed = negotiated.tool(tool).filter(|_| is_modern);
        Self {
            template: CallTemplate::new(tool, negotiated.revision),
            head: is_modern.then(|| head.naming("tools/call", Some(tool))),
            // A tool with annotations that nobody can follow is not on the list.
            plan: listed.and_then(|tool| HeaderPlan::of(&tool.input_schema).ok()).unwrap_or_default(),
        }
    }

    /// The request of one call, with `head` where the operation needs none of its own.
    pub(super) fn request<'a>(&'a self, head: &Head, call: &'a Call) -> Request<'a> {
        let head = self.head.as_ref().unwrap_or(head);
        let mut request = head.call(&self.template, call.id, &call.arguments);
        if !self.plan.is_empty() {
            for (name, value) in self.plan.headers(&call.arguments) {
                request.put(name.clone(), value);
            }
        }
        if let Some(trace) = call.trace
            && let Ok(value) = HeaderValue::from_bytes(&trace.header())
        {
            request.put(TRACEPARENT, value);
        }
        request
    }
}
