//! The answers, written into a buffer that is used again: one write a call.

use std::io::Write;

use super::http::Asked;

/// Revisions with a handshake, the newest first: what is offered is agreed to, anything else gets the newest.
const REVISIONS: [&str; 3] = ["2025-11-25", "2025-06-18", "2025-03-26"];
const TOOLS: &str = concat!(
    r#"{"tools":[{"name":"create_payment","description":"Creates a payment","inputSchema":{"type":"object"}},"#,
    r#"{"name":"get_wallet_balance","description":"Tells a balance","inputSchema":{"type":"object"}}]}"#
);
/// With an id of five digits the body of an answer has 300 bytes.
const CALLED: (&str, &str) = (
    concat!(
        r#"{"content":[{"type":"text","text":"The payment was accepted and is on its way to the bank of its payee and stays pending."}],"#,
        r#""structuredContent":{"payment_id":"pay_"#
    ),
    r#"","status":"pending","balance":"1234.56","available":"1200.00","fee":"0.10"},"isError":false}"#,
);

/// How an answer is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `application/json`.
    Json,
    /// `text/event-stream`: the answer is the one event of a stream.
    Sse,
}

/// Bodies and whole answers, in buffers of their own.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    body: Vec<u8>,
    whole: Vec<u8>,
}

impl Writer {
    /// The body of the answer; `None` where there is none.
    pub(crate) fn body(&mut self, asked: Asked<'_>) -> Option<&[u8]> {
        self.body.clear();
        let body = &mut self.body;
        match asked {
            Asked::Nothing => return None,
            Asked::Call(id) => {
                let (begin, end) = CALLED;
                write!(body, r#"{{"jsonrpc":"2.0","id":{id},"result":{begin}{id}{end}}}"#)
            }
            Asked::Tools(id) => write!(body, r#"{{"jsonrpc":"2.0","id":{id},"result":{TOOLS}}}"#),
            Asked::Discover(id) => write!(
                body,
                r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"no such method: initialize"}}}}"#
            ),
            Asked::Initialize(id, offered) => {
                let known = REVISIONS.iter().find(|known| known.as_bytes() == offered).unwrap_or(&REVISIONS[0]);
                write!(
                    body,
                    r#"{{"jsonrpc":"2.0","id":{id},"result":{{"protocolVersion":"{known}","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"ground-truth","version":"1"}}}}}}"#
                )
            }
        }
        .expect("a vector takes everything");
        Some(&self.body)
    }

    /// The whole answer of HTTP/1.1.
    pub(crate) fn answer(&mut self, asked: Asked<'_>, form: Form, is_old: bool) -> &[u8] {
        let is_call = matches!(asked, Asked::Call(_));
        let has_body = self.body(asked).is_some();
        let whole = &mut self.whole;
        whole.clear();
        let keep = if is_old { "Connection: keep-alive\r\n" } else { "" };
        if !has_body {
            whole.extend_from_slice(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
            return whole;
        }
        let length = self.body.len();
        match form {
            Form::Sse if is_call => {
                let event = length + "event: message\ndata: \n\n".len();
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n";
                write!(whole, "{head}{keep}\r\n{event:x}\r\nevent: message\ndata: ")
                    .expect("a vector takes everything");
                whole.extend_from_slice(&self.body);
                whole.extend_from_slice(b"\n\n\r\n0\r\n\r\n");
            }
            Form::Json | Form::Sse => {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
                write!(whole, "{head}{keep}Content-Length: {length}\r\n\r\n").expect("a vector takes everything");
                whole.extend_from_slice(&self.body);
            }
        }
        whole
    }
}

/// What is answered to anything but a POST.
pub(crate) const NOT_ALLOWED: &[u8] = b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn text(writer: &mut Writer, asked: Asked<'_>, form: Form) -> String {
        String::from_utf8(writer.answer(asked, form, false).to_vec()).unwrap()
    }

    #[test]
    fn an_answer_has_the_id_that_was_asked_with_and_the_length_that_it_says() {
        let mut writer = Writer::default();
        for id in [1, 12_345, u64::MAX] {
            let answer = text(&mut writer, Asked::Call(id), Form::Json);
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{head}");
            let value: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(value["id"], id);
            assert_eq!(value["result"]["structuredContent"]["payment_id"], format!("pay_{id}"));
        }
        assert_eq!(writer.body(Asked::Call(12_345)).unwrap().len(), 300);
    }

    #[test]
    fn a_stream_has_one_event_in_one_chunk_and_ends() {
        let answer = text(&mut Writer::default(), Asked::Call(7), Form::Sse);
        let (_, chunks) = answer.split_once("\r\n\r\n").unwrap();
        let (length, rest) = chunks.split_once("\r\n").unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        assert_eq!(&rest[length..], "\r\n0\r\n\r\n");
        let data = rest[..length].strip_prefix("event: message\ndata: ").unwrap().strip_suffix("\n\n").unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(data).unwrap()["id"], 7);
    }

    #[test]
    fn a_revision_that_is_offered_is_agreed_to_and_an_unknown_one_gets_the_newest() {
        let mut writer = Writer::default();
        for (offered, agreed) in [("2025-06-18", "2025-06-18"), ("2099-01-01", "2025-11-25")] {
            let body = writer.body(Asked::Initialize(1, offered.as_bytes())).unwrap();
            let value: serde_json::Value = serde_json::from_slice(body).unwrap();
            assert_eq!(value["result"]["protocolVersion"], agreed);
        }
        assert_eq!(text(&mut writer, Asked::Nothing, Form::Sse).lines().next(), Some("HTTP/1.1 202 Accepted"));
        let refused: serde_json::Value = serde_json::from_slice(writer.body(Asked::Discover(3)).unwrap()).unwrap();
        assert_eq!(refused["error"]["code"], -32601);
    }
}
