//! Passes over JSON, byte by byte: at first with a look at all of its grammar, later by brackets and quotes alone.

use super::{DEEPEST, Fault, Member, Range};

/// A place in a text that may be no JSON.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// Where the one value is that these bytes are.
pub(super) fn only_value(bytes: &[u8]) -> Result<Range, Fault> {
    let mut scan = Scan { bytes, at: blanks(bytes, 0) };
    let start = scan.at;
    scan.value(DEEPEST)?;
    let value = start..scan.at;
    if blanks(bytes, scan.at) == bytes.len() { Ok(value) } else { Err(Fault::NotJson) }
}

impl Scan<'_> {
    /// The byte here; zero, which is none of JSON, at the end.
    fn byte(&self) -> u8 {
        byte(self.bytes, self.at)
    }

    /// Passes over the byte here and the blanks behind it.
    fn step(&mut self) {
        self.at = blanks(self.bytes, self.at + 1);
    }

    /// Passes over a value in which arrays and objects may be nested so deep.
    fn value(&mut self, depth: usize) -> Result<(), Fault> {
        match self.byte() {
            b'"' => self.string(),
            open @ (b'{' | b'[') => {
                let Some(depth) = depth.checked_sub(1) else { return Err(Fault::TooDeep) };
                if open == b'{' { self.object(depth) } else { self.array(depth) }
            }
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => Err(Fault::NotJson),
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), Fault> {
        self.step();
        if self.byte() == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            if self.byte() != b'"' {
                return Err(Fault::NotJson);
            }
            self.string()?;
            self.at = blanks(self.bytes, self.at);
            if self.byte() != b':' {
                return Err(Fault::NotJson);
            }
            self.step();
            self.value(depth)?;
            if self.is_last(b'}')? {
                return Ok(());
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), Fault> {
        self.step();
        if self.byte() == b']' {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(depth)?;
            if self.is_last(b']')? {
                return Ok(());
            }
        }
    }

    /// Passes over what follows a member or an item: `close`, or a comma.
    fn is_last(&mut self, close: u8) -> Result<bool, Fault> {
        self.at = blanks(self.bytes, self.at);
        match self.byte() {
            b',' => {
                self.step();
                Ok(false)
            }
            byte if byte == close => {
                self.at += 1;
                Ok(true)
            }
            _ => Err(Fault::NotJson),
        }
    }

    fn string(&mut self) -> Result<(), Fault> {
        self.at += 1;
        loop {
            self.at = special(self.bytes, self.at);
            match self.byte() {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => self.escape()?,
                _ => return Err(Fault::NotJson),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        let length = match byte(self.bytes, self.at + 1) {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
            b'u' => {
                let digits = self.bytes.get(self.at + 2..self.at + 6).ok_or(Fault::NotJson)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(Fault::NotJson);
                }
                6
            }
            _ => return Err(Fault::NotJson),
        };
        self.at += length;
        Ok(())
    }

    fn number(&mut self) -> Result<(), Fault> {
        self.at += usize::from(self.byte() == b'-');
        if self.byte() == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.byte() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if let b'e' | b'E' = self.byte() {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), b'+' | b'-'));
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while self.byte().is_ascii_digit() {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(Fault::NotJson) }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Fault> {
        let is_it = self.bytes[self.at..].starts_with(word);
        self.at += word.len();
        if is_it { Ok(()) } else { Err(Fault::NotJson) }
    }
}

/// The member of a valid object at `at` or behind the comma there; `at` is behind it then.
pub(super) fn next_member(bytes: &[u8], at: &mut usize) -> Option<Member> {
    let start = next_value(bytes, *at);
    if byte(bytes, start) != b'"' {
        return None;
    }
    let (end, is_escaped) = end_of_string(bytes, start);
    let colon = blanks(bytes, end);
    let value = blanks(bytes, colon + 1);
    *at = end_of_value(bytes, value);
    Some(Member { name: start + 1..end - 1, is_escaped, value: value..*at })
}

/// The item of a valid array at `at` or behind the comma there; `at` is behind it then.
pub(super) fn next_item(bytes: &[u8], at: &mut usize) -> Option<Range> {
    let start = next_value(bytes, *at);
    if matches!(byte(bytes, start), b']' | 0) {
        return None;
    }
    *at = end_of_value(bytes, start);
    Some(start..*at)
}

/// Behind the blanks and the comma between two values.
fn next_value(bytes: &[u8], at: usize) -> usize {
    let at = blanks(bytes, at);
    if byte(bytes, at) == b',' { blanks(bytes, at + 1) } else { at }
}

/// Where a valid value ends that begins here.
fn end_of_value(bytes: &[u8], mut at: usize) -> usize {
    match byte(bytes, at) {
        b'"' => end_of_string(bytes, at).0,
        b'{' | b'[' => {
            let mut depth = 0_usize;
            loop {
                match byte(bytes, at) {
                    b'"' => {
                        at = end_of_string(bytes, at).0;
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    0 => return bytes.len(),
                    _ => {}
                }
                at += 1;
                if depth == 0 {
                    return at;
                }
            }
        }
        _ => {
            while !matches!(byte(bytes, at), b',' | b']' | b'}' | b' ' | b'\n' | b'\t' | b'\r' | 0) {
                at += 1;
            }
            at
        }
    }
}

/// Where a valid text ends whose opening quote is here, and whether anything in it is escaped.
fn end_of_string(bytes: &[u8], at: usize) -> (usize, bool) {
    let (mut at, mut is_escaped) = (at + 1, false);
    loop {
        at = special(bytes, at);
        if byte(bytes, at) != b'\\' {
            return ((at + 1).min(bytes.len()), is_escaped);
        }
        is_escaped = true;
        at += 2;
    }
}

/// The first place from `at` on that is no blank.
fn blanks(bytes: &[u8], mut at: usize) -> usize {
    while matches!(byte(bytes, at), b' ' | b'\n' | b'\t' | b'\r') {
        at += 1;
    }
    at
}

/// The byte at this place; zero, which is none of JSON outside of texts, behind the end.
fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

/// The first place from `at` on with a quote, a backslash or a control character, which no text may have in it; the end where
/// there is none. Eight bytes at a time: where a byte of a word is zero, only that byte and none below it lends from the
/// byte above when one is taken from each (Mycroft's trick), so that the lowest hit is a true one.
fn special(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHS: u64 = ONES << 7;
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word;
    while let Some(eight) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*eight);
        let controls = word.wrapping_sub(ONES * 0x20) & !word;
        let found =
            (zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\'))) | controls) & HIGHS;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while at < bytes.len() && !matches!(bytes[at], b'"' | b'\\' | 0..0x20) {
        at += 1;
    }
    at.min(bytes.len())
}
