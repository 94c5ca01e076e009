//! Going on with a stream of events that ended before its answer: where it broke off, and when the server wants it.

use std::future::pending;
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use http::{Method, StatusCode};
use tokio::time::timeout;

use super::ending::{broken, is_session_lost};
use super::errands::Errands;
use super::exchange::{After, Answer, Content, Listener, exchange};
use super::request::Head;
use crate::measure::SideKind;
use crate::outcome::Outcome;
use crate::time::Clock;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How long the server is left alone where it does not say.
const USUAL_RETRY: Duration = Duration::from_secs(1);
/// The least, whatever it says.
const LEAST_RETRY: Duration = Duration::from_millis(10);
/// How often one stream is resumed.
const MOST_RESUMPTIONS: usize = 100;

impl<C: Clock + 'static> Errands<C> {
    /// Reads on in the stream that the `listener` has read so far, until the answer to `id`; `None` where there is none to
    /// be had. It takes as long as it takes: the patience is the caller's.
    pub(super) async fn resume(
        &self,
        head: &Head,
        id: u64,
        most: usize,
        listener: &mut Listener<'_>,
    ) -> Option<Answer> {
        let in_session = head.is_in_session();
        for _ in 0..MOST_RESUMPTIONS {
            let place = listener.place.clone()?;
            let wait = listener.retry.map_or(USUAL_RETRY, Duration::from_millis).max(LEAST_RETRY);
            let _ = timeout(wait, pending::<()>()).await;
            let began = self.connections.now();
            let mut request = head.bare(Method::GET, "text/event-stream");
            request.put(LAST_EVENT_ID, HeaderValue::from_bytes(&place).ok()?);
            let mut connection = match self.connections.get(None).await {
                Ok(connection) => connection,
                Err((outcome, ..)) => {
                    self.note(SideKind::Resume, outcome, began);
                    continue;
                }
            };
            connection.begin_call();
            let mut answer = match exchange(&mut connection, request, id, most, listener).await {
                Ok(answer) => answer,
                Err(error) => {
                    let outcome = broken(&error, connection.is_reused, connection.stamps()).0;
                    self.note(SideKind::Resume, outcome, began);
                    continue;
                }
            };
            let after = std::mem::replace(&mut answer.after, After::Close);
            self.connections.keep(connection, after, answer.done);
            let is_stream = answer.status == StatusCode::OK && !matches!(answer.content, Content::Other(_));
            self.note(SideKind::Resume, if is_stream { Outcome::Ok } else { Outcome::HttpError }, began);
            match answer.content {
                _ if in_session && is_session_lost(&answer) => return Some(answer),
                Content::Nothing => {}
                _ if is_stream => return Some(answer),
                _ => return None,
            }
        }
        None
    }
}
