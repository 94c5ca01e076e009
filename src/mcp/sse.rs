//! Server-sent events out of chunks that may be cut anywhere, each byte looked at once.

use bytes::{Bytes, BytesMut};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// One event, as the server meant it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The `event` field; empty for the usual kind, `message`.
    pub kind: Bytes,
    /// The `data` lines, joined by line feeds.
    pub data: Bytes,
    /// The `id` field, where there was one.
    pub id: Option<Bytes>,
    /// The `retry` field, in milliseconds.
    pub retry: Option<u64>,
}

impl Event {
    /// Whether this event carries a protocol message: of the usual kind, and not one of those without data by which a
    /// server only names a place to resume from.
    pub fn is_message(&self) -> bool {
        !self.data.is_empty() && (self.kind.is_empty() || &self.kind[..] == b"message")
    }
}

/// An event, or a line of it, is longer than was allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of more than {0} bytes")]
pub struct EventTooLarge(pub usize);

/// Turns chunks into events. Give it a chunk, then take events until there is none, then give it the next.
///
/// Lines end in LF, CRLF or CR; an event that the stream does not finish with an empty line never was one. An event
/// whose data is one line within one chunk is not copied.
#[derive(Debug)]
pub struct Decoder {
    most: usize,
    chunk: Bytes,
    /// The beginning of a line whose end is yet to come.
    line: BytesMut,
    /// The last line ended in CR at the very end of a chunk: an LF that follows belongs to it.
    after_cr: bool,
    at_start: bool,
    event: Event,
    /// The data lines so far, once there is more than one.
    lines: Option<BytesMut>,
    has_field: bool,
}

impl Decoder {
    /// A decoder that allows at most `most` bytes in an event's data and in any line.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            chunk: Bytes::new(),
            line: BytesMut::new(),
            after_cr: false,
            at_start: true,
            event: Event::default(),
            lines: None,
            has_field: false,
        }
    }

    /// Takes the next bytes of the stream. Those before them must have been used up: [`Decoder::next_event`] gave `None`.
    pub fn push(&mut self, chunk: Bytes) {
        debug_assert!(self.chunk.is_empty(), "the chunk before has been used up");
        self.chunk = chunk;
    }

    /// The next event that is complete, if there is one in what was pushed.
    ///
    /// # Errors
    /// An event is larger than allowed; nothing more can be read from this stream.
    pub fn next_event(&mut self) -> Result<Option<Event>, EventTooLarge> {
        while let Some(line) = self.next_line()? {
            if !line.is_empty() {
                self.take_field(&line)?;
            } else if let Some(event) = self.finish() {
                return Ok(Some(event));
            } else {
                self.skip_empty_lines();
            }
        }
        Ok(None)
    }

    /// Whether data of an event has begun to come that is not complete yet.
    pub fn is_within_data(&self) -> bool {
        const FIELD: &[u8] = b"data:";
        let line_has_data = self.line.starts_with(FIELD) && self.line[FIELD.len()..].iter().any(|b| *b != b' ');
        line_has_data || !self.event.data.is_empty() || self.lines.is_some()
    }

    /// So many bytes are kept of what has come, but for those of the chunk that is being read.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let event = &self.event;
        let id = event.id.as_ref().map_or(0, Bytes::len);
        let lines = self.lines.as_ref().map_or(0, BytesMut::len);
        self.line.len() + event.kind.len() + event.data.len() + id + lines
    }

    /// The next line without its end; `None`, with the rest of the chunk put aside, where the end is yet to come.
    fn next_line(&mut self) -> Result<Option<Bytes>, EventTooLarge> {
        if self.after_cr && !self.chunk.is_empty() {
            self.after_cr = false;
            if self.chunk[0] == b'\n' {
                let _ = self.chunk.split_to(1);
            }
        }
        let end = self.chunk.iter().position(|b| matches!(b, b'\n' | b'\r'));
        if self.line.len() + end.unwrap_or(self.chunk.len()) > self.most.saturating_add(64) {
            return Err(EventTooLarge(self.most));
        }
        let Some(end) = end else {
            self.line.extend_from_slice(&self.chunk);
            self.chunk = Bytes::new();
            return Ok(None);
        };
        let mut line = self.chunk.split_to(end + 1);
        let is_cr = line[end] == b'\r';
        line.truncate(end);
        if is_cr && self.chunk.first() == Some(&b'\n') {
            let _ = self.chunk.split_to(1);
        } else if is_cr && self.chunk.is_empty() {
            self.after_cr = true;
        }
        if !self.line.is_empty() {
            self.line.extend_from_slice(&line);
            line = self.line.split().freeze();
        }
        if std::mem::take(&mut self.at_start) && line.starts_with(BOM) {
            let _ = line.split_to(BOM.len());
        }
        Ok(Some(line))
    }

    /// Empty lines mean nothing where there is no event to finish; a stream of nothing else should cost nothing.
    fn skip_empty_lines(&mut self) {
        let empty = self.chunk.iter().position(|b| !matches!(b, b'\n' | b'\r')).unwrap_or(self.chunk.len());
        let _ = self.chunk.split_to(empty);
    }

    fn take_field(&mut self, line: &Bytes) -> Result<(), EventTooLarge> {
        let colon = line.iter().position(|b| *b == b':');
        let (name, value) = match colon {
            Some(at) => {
                let from = at + 1 + usize::from(line.get(at + 1) == Some(&b' '));
                (&line[..at], line.slice(from..))
            }
            None => (&line[..], Bytes::new()),
        };
        match name {
            b"data" => self.take_data(value)?,
            b"event" => self.event.kind = value,
            b"id" if !value.contains(&0) => self.event.id = Some(value),
            b"retry" => {
                let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
                let number = std::str::from_utf8(&value).ok().filter(|_| is_number);
                self.event.retry = number.and_then(|n| n.parse().ok()).or(self.event.retry);
            }
            _ => return Ok(()), // a comment, or a field that nobody knows
        }
        self.has_field = true;
        Ok(())
    }

    fn take_data(&mut self, value: Bytes) -> Result<(), EventTooLarge> {
        let so_far = self.lines.as_ref().map_or(self.event.data.len(), BytesMut::len);
        if so_far + value.len() + 1 > self.most.saturating_add(1) {
            return Err(EventTooLarge(self.most));
        }
        if let Some(lines) = &mut self.lines {
            lines.extend_from_slice(b"\n");
            lines.extend_from_slice(&value);
        } else if self.event.data.is_empty() {
            // An empty first line followed by another loses its line feed: white space before JSON means nothing.
            self.event.data = value;
        } else {
            let mut lines = BytesMut::from(&self.event.data[..]);
            lines.extend_from_slice(b"\n");
            lines.extend_from_slice(&value);
            self.lines = Some(lines);
        }
        Ok(())
    }

    fn finish(&mut self) -> Option<Event> {
        let mut event = std::mem::take(&mut self.event);
        if let Some(lines) = self.lines.take() {
            event.data = lines.freeze();
        }
        std::mem::take(&mut self.has_field).then_some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events(chunks: &[&[u8]]) -> Vec<Event> {
        let mut decoder = Decoder::new(1 << 20);
        let mut events = Vec::new();
        for chunk in chunks {
            decoder.push(Bytes::copy_from_slice(chunk));
            while let Some(event) = decoder.next_event().unwrap() {
                events.push(event);
            }
        }
        events
    }

    fn event(kind: &'static str, data: &'static str, id: Option<&'static str>, retry: Option<u64>) -> Event {
        Event { kind: Bytes::from(kind), data: Bytes::from(data), id: id.map(Bytes::from), retry }
    }

    #[test]
    fn the_dialects_of_the_common_servers_are_understood() {
        let typescript = b"id: 6ffe\ndata: \n\nevent: message\nid: 3be6\ndata: {\"id\":3}\n\n";
        assert_eq!(
            events(&[typescript]),
            [event("", "", Some("6ffe"), None), event("message", "{\"id\":3}", Some("3be6"), None)]
        );
        let python = b": ping - 2026\r\n\r\nevent: message\r\ndata: {}\r\n\r\n";
        assert_eq!(events(&[python]), [event("message", "{}", None, None)]);
        let rust = b"data: \nid: 0/1\nretry: 3000\n\ndata: {}\nid: 1/1\n\n";
        assert_eq!(events(&[rust]), [event("", "", Some("0/1"), Some(3000)), event("", "{}", Some("1/1"), None)]);
    }

    #[test]
    fn the_rarer_rules_hold_too() {
        assert_eq!(events(&[b"\xef\xbb\xbfdata:a\ndata: b\ndata\n\n"]), [event("", "a\nb\n", None, None)]);
        assert_eq!(
            events(&[b"data: x\r\rdata:  y\r\n\r\n"]),
            [event("", "x", None, None), event("", " y", None, None)]
        );
        assert_eq!(events(&[b"nonsense\nretry: 1x\nid: a\0b\ndata: 1\n\n"]), [event("", "1", None, None)]);
        assert_eq!(events(&[b"data: never finished\n"]), []);
        assert_eq!(events(&[b"\n\n\n:\n\n"]), []);
    }

    #[test]
    fn only_events_of_the_usual_kind_with_data_are_messages() {
        let kinds = events(&[b"data: 1\n\nevent: message\ndata: 1\n\nevent: ping\ndata: 1\n\nid: 1\ndata:\n\n"]);
        assert_eq!(kinds.iter().map(Event::is_message).collect::<Vec<_>>(), [true, true, false, false]);
    }

    #[test]
    fn an_event_within_one_chunk_is_not_copied() {
        let chunk = Bytes::from_static(b"event: message\ndata: {\"id\":3}\n\n");
        let mut decoder = Decoder::new(100);
        decoder.push(chunk.clone());
        let event = decoder.next_event().unwrap().unwrap();
        assert!(chunk.as_ptr_range().contains(&event.data.as_ptr()));
    }

    #[test]
    fn neither_a_long_line_nor_many_lines_grow_beyond_the_bound() {
        let mut decoder = Decoder::new(1000);
        let outcome = (0..100).find_map(|_| {
            decoder.push(Bytes::from_static(&[b'x'; 100]));
            decoder.next_event().err()
        });
        assert_eq!(outcome, Some(EventTooLarge(1000)));
        let mut decoder = Decoder::new(1000);
        decoder.push(Bytes::from("data: 0123456789\n".repeat(200)));
        assert_eq!(decoder.next_event(), Err(EventTooLarge(1000)));
        let mut decoder = Decoder::new(1000);
        decoder.push(Bytes::from(format!("data: {}\n\n", "x".repeat(1000))));
        assert_eq!(decoder.next_event().unwrap().unwrap().data.len(), 1000);
    }

    #[test]
    fn data_that_has_begun_is_told_from_a_mere_announcement() {
        let mut decoder = Decoder::new(1000);
        for (chunk, within) in
            [("id: 1\nda", false), ("ta: ", false), ("\n\n: ping\n\ndata: {", true), ("}\n", true), ("\n", false)]
        {
            decoder.push(Bytes::from(chunk));
            while decoder.next_event().unwrap().is_some() {}
            assert_eq!(decoder.is_within_data(), within, "{chunk:?}");
        }
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_events(
            lines in prop::collection::vec("(data|id|event|retry|x|): ?[a-z0-9é ]{0,6}|", 0..30),
            ends in prop::collection::vec(prop::sample::select(vec!["\n", "\r\n", "\r"]), 30),
            cuts in prop::collection::vec(1_usize..8, 1..200),
            bom in any::<bool>(),
        ) {
            let mut stream = if bom { BOM.to_vec() } else { Vec::new() };
            for (line, end) in lines.iter().zip(&ends) {
                stream.extend_from_slice(line.as_bytes());
                stream.extend_from_slice(end.as_bytes());
            }
            let mut chunks = Vec::new();
            let mut rest = &stream[..];
            for cut in cuts {
                let (chunk, after) = rest.split_at(cut.min(rest.len()));
                chunks.push(chunk);
                rest = after;
            }
            chunks.push(rest);
            prop_assert_eq!(events(&chunks), events(&[&stream]));
        }
    }
}
