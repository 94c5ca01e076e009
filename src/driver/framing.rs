//! Where the body of an answer in HTTP/1 ends, and what of the bytes is its content (RFC 9112, sections 6 and 7).

use bytes::{Buf, Bytes, BytesMut};

/// What may come beside the content: extensions of all chunks, and trailers.
const MOST_BESIDE: usize = 16 * 1024;
/// The most digits and blanks of a chunk's size.
const MOST_SIZE: usize = 64;
/// The most trailers.
const MOST_TRAILERS: usize = 100;

/// Bytes that are no HTTP, and why not: a text that is part of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Garbled(pub(super) &'static str);

/// How a body ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many more bytes.
    Length(u64),
    /// After its last chunk.
    Chunked(Chunks),
    /// With the connection.
    ToTheEnd,
}

/// What the bytes at hand are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Content.
    Content(Bytes),
    /// The end.
    End,
    /// Too few to say: more must be read.
    Nothing,
}

/// How far a body in chunks was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Chunks {
    at: At,
    /// What is left of the present chunk, or the size of it so far.
    left: u64,
    /// Digits and blanks of the present chunk's size.
    size: usize,
    /// Bytes of extensions and trailers.
    beside: usize,
    trailers: usize,
}

const TOO_LONG: Garbled = Garbled("invalid chunk size: too large");

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// Before the first digit of a size.
    #[default]
    Size,
    /// Behind one.
    Digits,
    /// Behind a size: blanks, perhaps.
    Blanks,
    /// In an extension.
    Extension,
    /// Before the line feed that ends the line of a size.
    SizeEnd,
    Content,
    /// Before the line's end that follows a chunk.
    ChunkReturn,
    ChunkFeed,
    /// At the beginning of a line of trailers, or of the last one, which is empty.
    Line,
    Trailer,
    TrailerFeed,
    LastFeed,
    End,
}

impl Framing {
    /// Takes what is the body's from the beginning of `bytes`.
    ///
    /// # Errors
    /// They are no body.
    pub(super) fn take(&mut self, bytes: &mut BytesMut) -> Result<Part, Garbled> {
        let part = match self {
            Self::Length(0) => Part::End,
            _ if bytes.is_empty() => Part::Nothing,
            Self::Length(left) => {
                let content = some(bytes, *left);
                *left -= content.len() as u64;
                Part::Content(content)
            }
            Self::Chunked(chunks) => return chunks.take(bytes),
            Self::ToTheEnd => Part::Content(some(bytes, u64::MAX)),
        };
        Ok(part)
    }

    /// Whether all of it was taken. What follows the last content is passed over, as far as it is there.
    ///
    /// # Errors
    /// What follows is no part of a body.
    pub(super) fn is_over(&mut self, bytes: &mut BytesMut) -> Result<bool, Garbled> {
        match self {
            Self::Length(left) => Ok(*left == 0),
            Self::Chunked(chunks) => Ok(chunks.pass(bytes)? == At::End),
            Self::ToTheEnd => Ok(false),
        }
    }
}

/// At most so many of these bytes. All of them are handed over as they are.
fn some(bytes: &mut BytesMut, most: u64) -> Bytes {
    if bytes.len() as u64 <= most {
        return std::mem::take(bytes).freeze();
    }
    bytes.split_to(most as usize).freeze()
}

impl Chunks {
    fn take(&mut self, bytes: &mut BytesMut) -> Result<Part, Garbled> {
        match self.pass(bytes)? {
            At::End => Ok(Part::End),
            At::Content if !bytes.is_empty() => {
                let content = some(bytes, self.left);
                self.left -= content.len() as u64;
                if self.left == 0 {
                    self.at = At::ChunkReturn;
                }
                Ok(Part::Content(content))
            }
            _ => Ok(Part::Nothing),
        }
    }

    /// Passes over whatever is no content; says where it came to.
    fn pass(&mut self, bytes: &mut BytesMut) -> Result<At, Garbled> {
        let mut passed = 0;
        let mut wrong = None;
        for byte in bytes.iter() {
            if matches!(self.at, At::Content | At::End) {
                break;
            }
            match self.step(*byte) {
                Ok(at) => self.at = at,
                // Stays what it is, and where it is.
                Err(garbled) => {
                    wrong = Some(garbled);
                    break;
                }
            }
            passed += 1;
        }
        bytes.advance(passed);
        wrong.map_or(Ok(self.at), Err)
    }

    fn step(&mut self, byte: u8) -> Result<At, Garbled> {
        let wants = |wanted: u8, next: At, why: &'static str| if byte == wanted { Ok(next) } else { Err(Garbled(why)) };
        match (self.at, byte) {
            (At::Size | At::Digits, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.digit(byte),
            (At::Size, _) => Err(Garbled("invalid chunk size: no digit")),
            (At::Digits | At::Blanks, b' ' | b'\t') => self.size(At::Blanks),
            (At::Digits | At::Blanks, b';') => Ok(At::Extension),
            (At::Digits | At::Blanks | At::Extension, b'\r') => Ok(At::SizeEnd),
            (At::Extension, b'\n') => Err(Garbled("invalid chunk extension")),
            (At::Extension, _) => self.beside(At::Extension),
            (At::Digits | At::Blanks, _) => Err(Garbled("invalid chunk size")),
            (At::SizeEnd, _) => {
                self.size = 0;
                let next = if self.left == 0 { At::Line } else { At::Content };
                wants(b'\n', next, "invalid end of a chunk size")
            }
            (At::ChunkReturn, _) => wants(b'\r', At::ChunkFeed, "invalid end of a chunk"),
            (At::ChunkFeed, _) => wants(b'\n', At::Size, "invalid end of a chunk"),
            (At::Line, b'\r') => Ok(At::LastFeed),
            (At::Line, _) => {
                self.trailers += 1;
                if self.trailers > MOST_TRAILERS { Err(Garbled("too many trailers")) } else { self.beside(At::Trailer) }
            }
            (At::Trailer, b'\r') => Ok(At::TrailerFeed),
            (At::Trailer, _) => self.beside(At::Trailer),
            (At::TrailerFeed, _) => wants(b'\n', At::Line, "invalid end of a trailer"),
            (At::LastFeed, _) => wants(b'\n', At::End, "invalid end of a body"),
            (At::Content | At::End, _) => Ok(self.at),
        }
    }

    fn digit(&mut self, byte: u8) -> Result<At, Garbled> {
        let digit = u64::from((byte as char).to_digit(16).unwrap_or_default());
        let size = self.left.checked_mul(16).and_then(|size| size.checked_add(digit));
        self.left = size.ok_or(TOO_LONG)?;
        self.size(At::Digits)
    }

    /// Counts a byte of a size.
    fn size(&mut self, next: At) -> Result<At, Garbled> {
        self.size += 1;
        if self.size > MOST_SIZE { Err(TOO_LONG) } else { Ok(next) }
    }

    /// Counts a byte that is no content.
    fn beside(&mut self, next: At) -> Result<At, Garbled> {
        self.beside += 1;
        if self.beside > MOST_BESIDE { Err(Garbled("too much beside the chunks of a body")) } else { Ok(next) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Content, and what comes behind it.
    type Parted = (Vec<u8>, Vec<u8>);

    /// The content of a body that comes in these pieces, and what is left behind it; `None` where there is no end.
    fn read(framing: &mut Framing, pieces: &[&[u8]]) -> Result<Option<Parted>, Garbled> {
        let (mut content, mut bytes) = (Vec::new(), BytesMut::new());
        for (place, piece) in pieces.iter().enumerate() {
            bytes.extend_from_slice(piece);
            loop {
                let part = framing.take(&mut bytes)?;
                let is_over = framing.is_over(&mut bytes)?;
                match part {
                    Part::Content(part) => content.extend_from_slice(&part),
                    Part::End => assert!(is_over),
                    Part::Nothing => assert!(bytes.is_empty()),
                }
                if is_over {
                    return Ok(Some((content, [&bytes[..], &pieces[place + 1..].concat()].concat())));
                }
                if bytes.is_empty() {
                    break;
                }
            }
        }
        Ok(None)
    }

    proptest! {
        #[test]
        fn a_body_is_the_same_however_it_comes(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..5),
            beside in "(;[a-z=\" ]{0,9})?",
            trailers in proptest::collection::vec("[a-z]{1,5}: [a-z]{0,5}", 0..3),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
            rest in proptest::collection::vec(any::<u8>(), 0..5),
        ) {
            let whole: Vec<u8> = chunks.concat();
            let mut body = Vec::new();
            for chunk in &chunks {
                body.extend_from_slice(format!("{:x}{beside}\r\n", chunk.len()).as_bytes());
                body.extend_from_slice(&[&chunk[..], b"\r\n"].concat());
            }
            body.extend_from_slice(format!("0{beside}\r\n").as_bytes());
            for line in trailers {
                body.extend_from_slice(format!("{line}\r\n").as_bytes());
            }
            body.extend_from_slice(b"\r\n");
            let length = whole.len() as u64;
            let bodies = [(Framing::Chunked(Chunks::default()), body), (Framing::Length(length), whole.clone())];
            for (mut framing, body) in bodies {
                let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
                places.sort_unstable();
                let mut pieces = Vec::new();
                let mut start = 0;
                for place in places {
                    pieces.push(&body[start..place]);
                    start = place;
                }
                let last = [&body[start..], &rest].concat();
                pieces.push(&last);
                let (content, left) = read(&mut framing, &pieces).unwrap().unwrap();
                prop_assert_eq!((&content, &left), (&whole, &rest));
            }
        }
    }

    #[test]
    fn what_is_no_chunk_is_said_to_be_none() {
        let error = |body: &str| read(&mut Framing::Chunked(Chunks::default()), &[body.as_bytes()]).unwrap_err().0;
        for (body, why) in [
            ("zz\r\n", "invalid chunk size: no digit"),
            ("\r\n", "invalid chunk size: no digit"),
            ("1x\r\n", "invalid chunk size"),
            ("fffffffffffffffff\r\n", "invalid chunk size: too large"),
            (&"0".repeat(MOST_SIZE + 1), "invalid chunk size: too large"),
            (&format!("1{}", " ".repeat(MOST_SIZE)), "invalid chunk size: too large"),
            ("1\n", "invalid chunk size"),
            ("1;a\n", "invalid chunk extension"),
            ("1\rx", "invalid end of a chunk size"),
            ("1\r\nabc", "invalid end of a chunk"),
            ("1\r\na\rx", "invalid end of a chunk"),
            ("0\r\na: b\rx", "invalid end of a trailer"),
            ("0\r\n\rx", "invalid end of a body"),
        ] {
            assert_eq!(error(body), why, "{body:?}");
        }
        assert_eq!(error(&format!("1;{}", "a".repeat(MOST_BESIDE + 1))), "too much beside the chunks of a body");
        assert_eq!(error(&format!("0\r\n{}", "a: b\r\n".repeat(MOST_TRAILERS + 1))), "too many trailers");
    }

    #[test]
    fn a_body_without_a_length_ends_with_its_connection() {
        assert_eq!(read(&mut Framing::ToTheEnd, &[b"abc", b"d"]), Ok(None));
        assert_eq!(read(&mut Framing::Length(5), &[b"abc", b"d"]), Ok(None));
        assert_eq!(read(&mut Framing::Chunked(Chunks::default()), &[b"5\r\nabc", b"de\r\n0\r\n\r"]), Ok(None));
    }
}
