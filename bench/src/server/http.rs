//! What the server needs to know of a request: where it ends, which method of JSON-RPC it calls, and with which id.

use memchr::{memchr, memmem};

/// How far into a body its method and its id are looked for: both stand before the arguments.
const LOOKED_AT: usize = 256;

/// A whole request of HTTP/1.1 at the beginning of what was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    pub(crate) body: &'a [u8],
    /// Its length, head included.
    pub(crate) length: usize,
    pub(crate) is_post: bool,
    /// HTTP/1.0 has to be told that the connection is kept.
    pub(crate) is_old: bool,
}

/// What a body asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked<'a> {
    /// No answer: a notification.
    Nothing,
    /// The handshake; the revision that was offered.
    Initialize(u64, &'a [u8]),
    /// A list of tools.
    Tools(u64),
    /// The probe for revisions without a handshake.
    Discover(u64),
    /// What is measured: a call of a tool.
    Call(u64),
}

/// The first whole request; `None` where more has to come.
pub(crate) fn request(bytes: &[u8]) -> Option<Request<'_>> {
    let head = memmem::find(bytes, b"\r\n\r\n")?;
    let mut length = 0;
    let mut rest = &bytes[..head];
    let first = memchr(b'\n', rest).map_or(rest, |end| &rest[..end]);
    let is_old = first.trim_ascii_end().ends_with(b"/1.0");
    while let Some(end) = memchr(b'\n', rest) {
        rest = &rest[end + 1..];
        if rest.len() > 15 && rest[..15].eq_ignore_ascii_case(b"content-length:") {
            length = number(rest[15..].trim_ascii_start())? as usize;
        }
    }
    let body = head + 4;
    let end = body.checked_add(length)?;
    let is_post = bytes.starts_with(b"POST ");
    (bytes.len() >= end).then(|| Request { body: &bytes[body..end], length: end, is_post, is_old })
}

/// What a body asks for.
pub(crate) fn asked(body: &[u8]) -> Asked<'_> {
    let beginning = &body[..body.len().min(LOOKED_AT)];
    let method = after(beginning, br#""method":""#).unwrap_or_default();
    let Some(id) = after(beginning, br#""id":"#).and_then(|rest| number(rest.trim_ascii_start())) else {
        return if method.starts_with(b"tools/call") { Asked::Call(0) } else { Asked::Nothing };
    };
    match method {
        [b'i', ..] => {
            let offered = after(body, br#""protocolVersion":""#).unwrap_or_default();
            Asked::Initialize(id, memchr(b'"', offered).map_or(b"", |end| &offered[..end]))
        }
        method if method.starts_with(b"tools/list") => Asked::Tools(id),
        method if method.starts_with(b"server/discover") => Asked::Discover(id),
        _ => Asked::Call(id),
    }
}

fn after<'a>(bytes: &'a [u8], pattern: &[u8]) -> Option<&'a [u8]> {
    memmem::find(bytes, pattern).map(|place| &bytes[place + pattern.len()..])
}

fn number(bytes: &[u8]) -> Option<u64> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&bytes[..digits]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_ends_where_its_length_says_whatever_the_case_of_the_header() {
        let text = b"POST /mcp HTTP/1.1\r\nhost: x\r\ncOnTent-LENGTH:  4\r\n\r\nbodyPOST";
        let whole = request(text).unwrap();
        assert_eq!(
            (whole.body, whole.length, whole.is_post, whole.is_old),
            (&b"body"[..], text.len() - 4, true, false)
        );
        assert_eq!(request(&text[..whole.length - 1]), None, "a byte is missing");
        assert_eq!(request(&text[..20]), None, "the head is not whole");
        let old = request(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        assert_eq!((old.body, old.is_post, old.is_old), (&b""[..], false, true));
        assert_eq!(request(b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"), None, "a length that is none");
    }

    #[test]
    fn ids_and_methods_are_read_from_the_envelope_alone() {
        let call = br#"{"jsonrpc":"2.0","id":1234,"method":"tools/call","params":{"arguments":{"customer_id":"7"}}}"#;
        assert_eq!(asked(call), Asked::Call(1234));
        assert_eq!(asked(br#"{"method":"tools/call", "id": 9}"#), Asked::Call(9));
        assert_eq!(asked(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#), Asked::Nothing);
        assert_eq!(asked(br#"{"id":2,"method":"tools/list","params":{}}"#), Asked::Tools(2));
        assert_eq!(asked(br#"{"id":1,"method":"server/discover","params":{}}"#), Asked::Discover(1));
        let hello = br#"{"id":3,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}"#;
        assert_eq!(asked(hello), Asked::Initialize(3, b"2025-06-18"));
    }
}
