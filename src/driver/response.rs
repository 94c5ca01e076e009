//! The head of an answer in HTTP/1: its status, the headers that somebody looks at, and how its body ends (RFC 9112, section 6.3).

use std::mem::MaybeUninit;

use http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
    TRANSFER_ENCODING,
};
use http::{HeaderMap, StatusCode};

use super::framing::{Chunks, Framing, Garbled};
use super::request::SESSION;

/// The most headers of an answer.
const MOST_HEADERS: usize = 100;
/// What is said of a head that has too much of something.
pub(super) const TOO_LARGE: Garbled = Garbled("message head is too large");
/// Headers of an answer that somebody looks at.
static OF_INTEREST: [HeaderName; 5] = [CONTENT_TYPE, CONTENT_ENCODING, RETRY_AFTER, LOCATION, SESSION];

/// Content types that most answers have, letter for letter: such a one takes no memory of its own.
const COMMON: [&str; 4] =
    ["application/json", "application/json; charset=utf-8", "application/json;charset=utf-8", "text/event-stream"];

/// The headers of an answer that somebody looks at, the first of each name; of HTTP/2, whose machine has them already, all.
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// Beside the others: most answers have no other.
    content_type: Option<HeaderValue>,
    others: HeaderMap,
}

impl Noted {
    pub(super) fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        if *name == CONTENT_TYPE { self.content_type.as_ref() } else { self.others.get(name) }
    }

    fn note(&mut self, header: &httparse::Header<'_>) -> Result<(), Garbled> {
        let name = OF_INTEREST.iter().find(|name| name.as_str().eq_ignore_ascii_case(header.name));
        let Some(name) = name.filter(|name| self.get(name).is_none()) else { return Ok(()) };
        let common = COMMON.iter().find(|common| common.as_bytes() == header.value);
        let value = match common {
            Some(common) => HeaderValue::from_static(common),
            None => HeaderValue::from_bytes(header.value).map_err(|_| Garbled("invalid HTTP header parsed"))?,
        };
        if *name == CONTENT_TYPE {
            self.content_type = Some(value);
        } else {
            self.others.insert(name.clone(), value);
        }
        Ok(())
    }
}

impl From<HeaderMap> for Noted {
    fn from(mut others: HeaderMap) -> Self {
        Self { content_type: others.remove(CONTENT_TYPE), others }
    }
}

/// The head of an answer.
#[derive(Debug)]
pub(super) struct ResponseHead {
    pub(super) status: StatusCode,
    pub(super) headers: Noted,
    /// How the body ends.
    pub(super) framing: Framing,
    /// Whether the connection is done for then.
    pub(super) closes: bool,
    /// How long it is.
    pub(super) length: usize,
}

/// Reads the head at the beginning of `bytes`; `None` where that is not yet complete.
///
/// # Errors
/// It is none.
pub(super) fn read_head(bytes: &[u8]) -> Result<Option<ResponseHead>, Garbled> {
    let mut room = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let status = config.parse_response_with_uninit_headers(&mut response, bytes, &mut room).map_err(garbled)?;
    let httparse::Status::Complete(length) = status else { return Ok(None) };
    let status = StatusCode::from_u16(response.code.unwrap_or_default()).map_err(|_| BAD_STATUS)?;
    let mut said = Said { is_1_0: response.version == Some(0), ..Said::default() };
    let mut headers = Noted::default();
    for header in &*response.headers {
        said.hear(header.name, header.value);
        headers.note(header)?;
    }
    let framing = said.framing(status)?;
    let closes = said.closes() || matches!(framing, Framing::ToTheEnd) || status == StatusCode::SWITCHING_PROTOCOLS;
    Ok(Some(ResponseHead { status, headers, framing, closes, length }))
}

const BAD_STATUS: Garbled = Garbled("invalid HTTP status-code parsed");

fn garbled(error: httparse::Error) -> Garbled {
    match error {
        httparse::Error::Version => Garbled("invalid HTTP version parsed"),
        httparse::Error::Status => BAD_STATUS,
        httparse::Error::TooManyHeaders => TOO_LARGE,
        _ => Garbled("invalid HTTP header parsed"),
    }
}

/// What a head says of its body and its connection.
#[derive(Default)]
struct Said {
    is_1_0: bool,
    /// How long the body is, or that what is said of that is none.
    length: Option<Result<u64, Garbled>>,
    /// Whether the body is coded for transfer, and with chunks last.
    is_coded: Option<bool>,
    is_close: bool,
    is_keep_alive: bool,
}

impl Said {
    fn hear(&mut self, name: &str, value: &[u8]) {
        let is = |known: HeaderName| known.as_str().eq_ignore_ascii_case(name);
        let words = || value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        if is(CONTENT_LENGTH) {
            // Some say it more than once.
            for length in words().map(|word| digits(word).ok_or(BAD_LENGTH)) {
                let is_same = self.length.is_none_or(|other| other == length);
                self.length = Some(if is_same { length } else { Err(BAD_LENGTH) });
            }
        } else if is(TRANSFER_ENCODING) {
            self.is_coded = words().next_back().map(|last| last.eq_ignore_ascii_case(b"chunked"));
        } else if is(CONNECTION) {
            self.is_close |= words().any(|word| word.eq_ignore_ascii_case(b"close"));
            self.is_keep_alive |= words().any(|word| word.eq_ignore_ascii_case(b"keep-alive"));
        }
    }

    fn framing(&self, status: StatusCode) -> Result<Framing, Garbled> {
        let has_none = status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        Ok(match (self.is_coded, self.length) {
            _ if has_none => Framing::Length(0),
            (Some(true), _) => Framing::Chunked(Chunks::default()),
            (None, Some(length)) => Framing::Length(length?),
            _ => Framing::ToTheEnd,
        })
    }

    fn closes(&self) -> bool {
        // That version knows no chunks: somebody in between may have read it otherwise.
        self.is_close || (self.is_1_0 && (self.is_coded.is_some() || !self.is_keep_alive))
    }
}

const BAD_LENGTH: Garbled = Garbled("invalid content-length parsed");

/// A number of bytes; none that nobody could ever send.
fn digits(text: &[u8]) -> Option<u64> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let number = is_number.then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten();
    number.filter(|number| *number < u64::MAX - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(head: &str) -> ResponseHead {
        read_head(head.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn how_a_body_ends_and_whether_the_connection_does_is_as_the_standard_says() {
        let chunked = || Framing::Chunked(Chunks::default());
        for (head, framing, closes) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n", Framing::Length(7), false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 7\r\ncontent-length: 7\r\n\r\n", Framing::Length(7), false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", chunked(), false),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n", chunked(), false),
            ("HTTP/1.1 200 OK\r\ncontent-length: 7, 7\r\n\r\n", Framing::Length(7), false),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n", chunked(), false),
            ("HTTP/1.1 200 OK\r\ncontent-length: \r\ntransfer-encoding: chunked\r\n\r\n", chunked(), false),
            ("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n", chunked(), true),
            ("HTTP/1.1 103 Hints\r\ncontent-length: x\r\n\r\n", Framing::Length(0), false),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n", Framing::ToTheEnd, true),
            ("HTTP/1.1 200 OK\r\n\r\n", Framing::ToTheEnd, true),
            ("HTTP/1.1 204 No\r\ncontent-length: 7\r\n\r\n", Framing::Length(0), false),
            ("HTTP/1.1 304 No\r\n\r\n", Framing::Length(0), false),
            ("HTTP/1.1 101 Up\r\n\r\n", Framing::Length(0), true),
            ("HTTP/1.1 200 OK\r\nconnection: x, Close\r\ncontent-length: 1\r\n\r\n", Framing::Length(1), true),
            ("HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\n", Framing::Length(1), true),
            ("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\n", Framing::Length(1), false),
        ] {
            let read = read(head);
            assert_eq!((read.framing, read.closes, read.length), (framing, closes, head.len()), "{head}");
        }
    }

    #[test]
    fn only_headers_of_interest_are_kept_and_the_first_of_each() {
        let head =
            "HTTP/1.1 503 Busy\r\nServer: x\r\nRetry-After: 7\r\nretry-after: 8\r\nContent-Type: a/b\r\n\r\nbody";
        let read = read(head);
        assert_eq!((read.status.as_u16(), read.length), (503, head.len() - 4));
        let said = |name| read.headers.get(&name).map(|value| value.to_str().unwrap());
        assert_eq!((said(RETRY_AFTER), said(CONTENT_TYPE), said(LOCATION)), (Some("7"), Some("a/b"), None));
        assert_eq!(read.headers.others.len(), 1, "the server's name is not kept");
    }

    #[test]
    fn what_is_cut_short_is_waited_for_and_what_is_none_is_said_to_be() {
        let whole = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n";
        for end in 0..whole.len() {
            assert!(read_head(&whole.as_bytes()[..end]).unwrap().is_none(), "{end}");
        }
        for (length, why) in
            [("-1", BAD_LENGTH), ("", BAD_LENGTH), ("1, 2", BAD_LENGTH), ("18446744073709551615", BAD_LENGTH)]
        {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            assert_eq!(read_head(head.as_bytes()).unwrap_err(), why, "{length}");
        }
        let two = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n";
        assert_eq!(read_head(two).unwrap_err(), BAD_LENGTH);
        assert_eq!(
            read_head(b"HTTP/1.1 200 OK\r\n bad: 1\r\n\r\n").unwrap_err(),
            Garbled("invalid HTTP header parsed")
        );
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(MOST_HEADERS + 1));
        assert_eq!(read_head(many.as_bytes()).unwrap_err(), TOO_LARGE);
    }
}
