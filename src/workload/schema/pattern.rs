//! Texts that match a regular expression.

use rand::{Rng, RngExt};
use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// How many more than the fewest a repetition without an end is given at most.
const MOST_MORE: u32 = 8;
/// The most parts of a pattern, its bounded repetitions counted as often as they must be there.
const MOST_PARTS: usize = 10_000;

/// A pattern that texts are made from.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    root: Part,
    /// Whether a text may fail to match, because of what stands before or behind a place.
    pub(super) is_certain: bool,
}

#[derive(Clone, Debug)]
enum Part {
    Literal(String),
    /// Ranges of characters, and how many characters there are in all.
    Class(Vec<(char, char)>, u32),
    Repeat(Box<Self>, u32, u32),
    All(Vec<Self>),
    /// One of these, each with the length it has at least.
    One(Vec<(Self, usize)>),
}

impl Pattern {
    /// Reads a pattern; `least` is the length that its texts should have.
    pub(super) fn parse(pattern: &str, least: usize) -> Result<Self, String> {
        let refused = |why: String| format!("its pattern {} cannot be made into texts: {why}", super::shown(pattern));
        // In the patterns of JSON Schema `\/` is a slash; here it must not be escaped.
        let plain = pattern.replace("\\/", "/");
        let mut parser = regex_syntax::ParserBuilder::new().nest_limit(50).build();
        let hir = parser.parse(&plain).map_err(|why| match why {
            regex_syntax::Error::Parse(why) => refused(why.kind().to_string()),
            regex_syntax::Error::Translate(why) => refused(why.kind().to_string()),
            _ => refused("it is not understood".to_owned()),
        })?;
        let mut reader = Reader { parts: 0, is_certain: true, more: MOST_MORE.max(least as u32) };
        let root = reader.edged(&hir).map_err(|why| refused(why.to_owned()))?;
        Ok(Self { root, is_certain: reader.is_certain })
    }

    /// The length of its shortest text, in characters.
    pub(super) fn shortest(&self) -> usize {
        self.root.shortest()
    }

    /// Appends a text of at most `most` characters, where the shortest has no more; gives its length.
    pub(super) fn draw(&self, random: &mut impl Rng, most: usize, out: &mut String) -> usize {
        let mut slack = most.saturating_sub(self.shortest());
        self.root.draw(random, &mut slack, out)
    }
}

struct Reader {
    parts: usize,
    is_certain: bool,
    more: u32,
}

impl Reader {
    /// Reads a whole pattern, whose beginning and end need no mark.
    fn edged(&mut self, hir: &Hir) -> Result<Part, &'static str> {
        match hir.kind() {
            HirKind::Look(Look::Start | Look::End) => Ok(Part::All(Vec::new())),
            HirKind::Capture(capture) => self.edged(&capture.sub),
            HirKind::Alternation(parts) => {
                let parts = parts.iter().map(|part| self.edged(part).map(sized)).collect::<Result<_, _>>()?;
                Ok(Part::One(parts))
            }
            HirKind::Concat(parts) => {
                let mut inner = &parts[..];
                if inner.first().is_some_and(|first| is_look(first, Look::Start)) {
                    inner = &inner[1..];
                }
                if inner.last().is_some_and(|last| is_look(last, Look::End)) {
                    inner = &inner[..inner.len() - 1];
                }
                Ok(Part::All(inner.iter().map(|part| self.part(part)).collect::<Result<_, _>>()?))
            }
            _ => self.part(hir),
        }
    }

    fn part(&mut self, hir: &Hir) -> Result<Part, &'static str> {
        self.parts += 1;
        if self.parts > MOST_PARTS {
            return Err("it is too large");
        }
        Ok(match hir.kind() {
            HirKind::Empty => Part::All(Vec::new()),
            HirKind::Look(_) => {
                self.is_certain = false;
                Part::All(Vec::new())
            }
            HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
                Ok(text) => Part::Literal(text.to_owned()),
                Err(_) => return Err("it is about bytes, not characters"),
            },
            HirKind::Class(class) => class_of(class)?,
            HirKind::Repetition(repetition) => {
                let least = repetition.min;
                let most = repetition.max.unwrap_or_else(|| least.saturating_add(self.more));
                let inner = self.part(&repetition.sub)?;
                if inner.shortest().max(1).saturating_mul(least as usize) > MOST_PARTS {
                    return Err("it wants too much of something");
                }
                Part::Repeat(Box::new(inner), least, most)
            }
            HirKind::Capture(capture) => self.part(&capture.sub)?,
            HirKind::Concat(parts) => Part::All(parts.iter().map(|part| self.part(part)).collect::<Result<_, _>>()?),
            HirKind::Alternation(parts) => {
                Part::One(parts.iter().map(|part| self.part(part).map(sized)).collect::<Result<_, _>>()?)
            }
        })
    }
}

fn sized(part: Part) -> (Part, usize) {
    let shortest = part.shortest();
    (part, shortest)
}

fn is_look(hir: &Hir, look: Look) -> bool {
    matches!(hir.kind(), HirKind::Look(found) if *found == look)
}

/// Printable ASCII of a class where it has any, and else all of it.
fn class_of(class: &Class) -> Result<Part, &'static str> {
    let ranges: Vec<(char, char)> = match class {
        Class::Unicode(class) => class.iter().map(|range| (range.start(), range.end())).collect(),
        Class::Bytes(class) => class.iter().map(|range| (char::from(range.start()), char::from(range.end()))).collect(),
    };
    let printable: Vec<(char, char)> =
        ranges.iter().map(|(from, to)| ((*from).max(' '), (*to).min('~'))).filter(|(from, to)| from <= to).collect();
    let ranges = if printable.is_empty() { ranges } else { printable };
    let count = ranges.iter().map(|(from, to)| *to as u32 - *from as u32 + 1).sum();
    if count == 0 { Err("nothing can match it") } else { Ok(Part::Class(ranges, count)) }
}

impl Part {
    fn shortest(&self) -> usize {
        match self {
            Self::Literal(text) => text.chars().count(),
            Self::Class(..) => 1,
            Self::Repeat(part, least, _) => part.shortest().saturating_mul(*least as usize),
            Self::All(parts) => parts.iter().map(Self::shortest).fold(0, usize::saturating_add),
            Self::One(parts) => parts.iter().map(|(_, shortest)| *shortest).min().unwrap_or(0),
        }
    }

    /// Appends a text that is longer than the shortest by the `slack` it takes at most.
    fn draw(&self, random: &mut impl Rng, slack: &mut usize, out: &mut String) -> usize {
        match self {
            Self::Literal(text) => {
                text.chars().for_each(|c| super::push_escaped(c, out));
                text.chars().count()
            }
            Self::Class(ranges, count) => {
                let mut place = random.random_range(0..*count);
                for (from, to) in ranges {
                    let size = *to as u32 - *from as u32 + 1;
                    if place < size {
                        // Between two ends on either side of the surrogates there are numbers that are no characters.
                        super::push_escaped(char::from_u32(*from as u32 + place).unwrap_or(*from), out);
                        break;
                    }
                    place -= size;
                }
                1
            }
            Self::Repeat(part, least, most) => {
                let (mut length, each) = (0, part.shortest());
                let times = random.random_range(*least..=*most);
                for turn in 0..times {
                    if turn >= *least {
                        match slack.checked_sub(each) {
                            Some(rest) if each > 0 || turn < least.saturating_add(MOST_MORE) => *slack = rest,
                            _ => break,
                        }
                    }
                    length += part.draw(random, slack, out);
                }
                length
            }
            Self::All(parts) => parts.iter().map(|part| part.draw(random, slack, out)).sum(),
            Self::One(parts) => {
                let shortest = self.shortest();
                let fits = |extra: &usize| extra - shortest <= *slack;
                let count = parts.iter().filter(|(_, length)| fits(length)).count();
                let chosen = random.random_range(0..count.max(1));
                let Some((part, length)) = parts.iter().filter(|(_, length)| fits(length)).nth(chosen) else {
                    return 0;
                };
                *slack -= length - shortest;
                part.draw(random, slack, out)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    fn texts(pattern: &str, most: usize) -> Vec<String> {
        let parsed = Pattern::parse(pattern, 0).unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut draw = || {
            let mut out = "\"".to_owned();
            let length = parsed.draw(&mut random, most, &mut out);
            let text: String = serde_json::from_str(&(out + "\"")).unwrap();
            assert_eq!(length, text.chars().count(), "{pattern} {text}");
            assert!(length <= most.max(parsed.shortest()), "{pattern} {text}");
            text
        };
        (0..200).map(|_| draw()).collect()
    }

    #[test]
    fn texts_are_of_the_form_that_the_pattern_names() {
        let all = |pattern: &str, is: &dyn Fn(&str) -> bool| {
            let texts = texts(pattern, 100);
            assert!(texts.iter().all(|text| is(text)), "{pattern}: {texts:?}");
            texts
        };
        all(r"^[A-Z]{3}$", &|t| t.len() == 3 && t.bytes().all(|b| b.is_ascii_uppercase()));
        all(r"^\d{4}-\d{2}$", &|t| t.len() == 7 && t.as_bytes()[4] == b'-');
        all(r"^\w+@\w+\.com$", &|t| t.split_once('@').is_some_and(|(_, host)| host.len() > 4));
        all(r"^https?:\/\/", &|t| t == "http://" || t == "https://");
        all(r#"^["\\]{2}$"#, &|t| t.len() == 2 && t.chars().all(|c| "\"\\".contains(c)));
        let three = all("^(a|bb|ccc)$", &|t| ["a", "bb", "ccc"].contains(&t));
        assert!(["a", "bb", "ccc"].iter().all(|one| three.iter().any(|text| text == one)));
        all(r"^[^\x00-\x7f]$", &|t| t.chars().count() == 1 && !t.is_ascii());
    }

    #[test]
    fn a_text_is_no_longer_than_it_may_be() {
        assert!(texts("^(a|bb|cccc)+x*$", 3).iter().all(|text| (1..=3).contains(&text.len())));
        assert!(texts("^a*$", 0).iter().all(String::is_empty));
        assert!(texts("^(a?){3,}$", 10).iter().all(|text| text.len() <= 10));
    }

    #[test]
    fn what_cannot_be_made_into_texts_is_named() {
        for pattern in [r"(?=a)b", r"(a)\1", "(", "[b-a]", "(a{5000}){5000}", &"(".repeat(200)] {
            let why = Pattern::parse(pattern, 0).unwrap_err();
            assert!(why.starts_with("its pattern `") && why.contains("cannot be made into texts: "), "{why}");
        }
        assert!(!Pattern::parse(r"a\bc", 0).unwrap().is_certain);
        assert!(Pattern::parse(r"^(a|b)$", 0).unwrap().is_certain);
    }
}
