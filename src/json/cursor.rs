//! Passes over a text that may be no JSON, with a look at all of its grammar.

use super::letters::{blanks, byte, special};
use super::{DEEPEST, Fault, Json, Member, Name, Part, Range};

/// A place in a text, at a value. Who is given one passes over that value.
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    /// So many arrays and objects may be nested from here on.
    depth: usize,
}

/// Where a name is, without its quotes.
struct Place {
    range: Range,
    is_escaped: bool,
}

impl<'a> Cursor<'a> {
    /// Reads the one value that `text` is, with blanks around it or not, as `read` does.
    ///
    /// # Errors
    /// It is no JSON, or nested too deep, or whatever `read` says.
    pub(crate) fn whole<T, E: From<Fault>>(
        text: &'a str,
        read: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut cursor = Self { text, at: blanks(text.as_bytes(), 0), depth: DEEPEST };
        let read = read(&mut cursor)?;
        if blanks(text.as_bytes(), cursor.at) == text.len() { Ok(read) } else { Err(Fault::NotJson.into()) }
    }

    /// Passes over the value and gives it.
    ///
    /// # Errors
    /// It is no JSON, or nested too deep.
    pub(crate) fn value(&mut self) -> Result<Json<'a>, Fault> {
        let start = self.at;
        self.pass()?;
        Ok(self.since(start))
    }

    /// The same; where the value is an object, `each` is called at the value of each member, with its name.
    ///
    /// # Errors
    /// It is no JSON, or nested too deep, or whatever `each` says.
    pub(crate) fn members<E: From<Fault>>(
        &mut self,
        mut each: impl FnMut(Name<'a>, &mut Self) -> Result<(), E>,
    ) -> Result<Json<'a>, E> {
        if self.byte() != b'{' {
            return Ok(self.value()?);
        }
        let start = self.at;
        self.object(|Place { range, is_escaped }, cursor| {
            each(Name { written: &cursor.text[range], is_escaped }, cursor)
        })?;
        Ok(self.since(start))
    }

    /// The same; `found` gets the places of the members in the whole text, as those of `part`, or none of them where there are more
    /// than `most`.
    ///
    /// # Errors
    /// It is no JSON, or nested too deep.
    pub(crate) fn places(&mut self, part: Part, most: usize, found: &mut Vec<Member>) -> Result<Json<'a>, Fault> {
        if self.byte() != b'{' {
            return self.value();
        }
        let (start, first) = (self.at, found.len());
        let mut count = 0;
        self.object(|Place { range, is_escaped }, cursor| {
            let value = cursor.at;
            cursor.pass()?;
            count += 1;
            if count <= most {
                found.push(Member { name: range, is_escaped, value: value..cursor.at, part });
            }
            Ok::<_, Fault>(())
        })?;
        if count > most {
            found.truncate(first);
        }
        Ok(self.since(start))
    }

    /// Where it is in the text.
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    fn since(&self, start: usize) -> Json<'a> {
        Json(&self.text[start..self.at])
    }

    /// The byte here; zero, which is none of JSON, at the end.
    fn byte(&self) -> u8 {
        byte(self.text.as_bytes(), self.at)
    }

    /// Passes over blanks; gives the byte behind them.
    fn blanks(&mut self) -> u8 {
        self.at = blanks(self.text.as_bytes(), self.at);
        self.byte()
    }

    /// Passes over the byte here and the blanks behind it; gives the byte behind these.
    fn step(&mut self) -> u8 {
        self.at += 1;
        self.blanks()
    }

    fn pass(&mut self) -> Result<(), Fault> {
        match self.byte() {
            b'"' => self.string().map(|_| ()),
            b'{' => self.object(|_, cursor| cursor.pass()),
            b'[' => self.array(),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => Err(Fault::NotJson),
        }
    }

    fn object<E: From<Fault>>(&mut self, mut each: impl FnMut(Place, &mut Self) -> Result<(), E>) -> Result<(), E> {
        self.enter()?;
        let mut is_last = self.step() == b'}';
        while !is_last {
            let start = self.at + 1;
            if self.byte() != b'"' {
                return Err(Fault::NotJson.into());
            }
            let is_escaped = self.string()?;
            let range = start..self.at - 1;
            if self.blanks() != b':' {
                return Err(Fault::NotJson.into());
            }
            self.step();
            each(Place { range, is_escaped }, self)?;
            is_last = self.is_last(b'}')?;
        }
        self.leave();
        Ok(())
    }

    fn array(&mut self) -> Result<(), Fault> {
        self.enter()?;
        let mut is_last = self.step() == b']';
        while !is_last {
            self.pass()?;
            is_last = self.is_last(b']')?;
        }
        self.leave();
        Ok(())
    }

    fn enter(&mut self) -> Result<(), Fault> {
        self.depth = self.depth.checked_sub(1).ok_or(Fault::TooDeep)?;
        Ok(())
    }

    /// Passes over the closing bracket.
    fn leave(&mut self) {
        self.depth += 1;
        self.at += 1;
    }

    /// Whether `close` follows a member or an item, and not a comma, which is passed over.
    fn is_last(&mut self, close: u8) -> Result<bool, Fault> {
        match self.blanks() {
            b',' => {
                self.step();
                Ok(false)
            }
            byte if byte == close => Ok(true),
            _ => Err(Fault::NotJson),
        }
    }

    /// Passes over a text; says whether anything in it is escaped.
    fn string(&mut self) -> Result<bool, Fault> {
        let mut is_escaped = false;
        self.at += 1;
        loop {
            self.at = special(self.text.as_bytes(), self.at);
            match self.byte() {
                b'"' => break,
                b'\\' => self.escape()?,
                _ => return Err(Fault::NotJson),
            }
            is_escaped = true;
        }
        self.at += 1;
        Ok(is_escaped)
    }

    fn escape(&mut self) -> Result<(), Fault> {
        let bytes = self.text.as_bytes();
        let length = match byte(bytes, self.at + 1) {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
            b'u' => {
                let digits = bytes.get(self.at + 2..self.at + 6).ok_or(Fault::NotJson)?;
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
        let is_it = self.text.as_bytes()[self.at..].starts_with(word);
        self.at += word.len();
        if is_it { Ok(()) } else { Err(Fault::NotJson) }
    }
}
