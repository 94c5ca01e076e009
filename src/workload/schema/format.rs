//! Texts of the formats that JSON Schema names. Names and addresses are those kept for examples (RFC 2606, 5737, 3849):
//! whatever a tool does with them, it reaches nobody.

use std::fmt::Write;

use rand::{Rng, RngExt};

/// A format, as named by the `format` of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Uuid,
    Date,
    DateTime,
    Time,
    Duration,
    Email,
    Hostname,
    Ipv4,
    Ipv6,
    Uri,
    JsonPointer,
    RelativePointer,
    Regex,
    Base64,
}

impl Format {
    /// The format of this name; `None` where it says nothing about texts, or nothing that is known.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "uuid" => Self::Uuid,
            "date" => Self::Date,
            "date-time" => Self::DateTime,
            "time" => Self::Time,
            "duration" => Self::Duration,
            "email" | "idn-email" => Self::Email,
            "hostname" | "idn-hostname" => Self::Hostname,
            "ipv4" | "ip-address" => Self::Ipv4,
            "ipv6" => Self::Ipv6,
            "uri" | "url" | "iri" | "uri-reference" | "iri-reference" | "uri-template" => Self::Uri,
            "json-pointer" => Self::JsonPointer,
            "relative-json-pointer" => Self::RelativePointer,
            "regex" => Self::Regex,
            "byte" => Self::Base64,
            _ => return None,
        })
    }

    /// The fewest and the most characters of its texts.
    pub(super) const fn lengths(self) -> (usize, usize) {
        match self {
            Self::Uuid => (36, 36),
            Self::Date => (10, 10),
            Self::DateTime => (20, 20),
            Self::Time => (9, 9),
            Self::Duration => (4, 5),
            Self::Email | Self::Hostname => (25, 25),
            Self::Ipv4 => (9, 11),
            Self::Ipv6 => (14, 14),
            Self::Uri => (28, 28),
            Self::JsonPointer => (5, 5),
            Self::RelativePointer | Self::Regex => (6, 6),
            Self::Base64 => (16, 16),
        }
    }

    /// Appends a text, which needs no escapes in JSON.
    pub(super) fn draw(self, random: &mut impl Rng, out: &mut String) {
        let word: u32 = random.random();
        let mut below = |count: u32| random.random_range(0..count);
        let written = match self {
            Self::Uuid => {
                let id = uuid::Builder::from_random_bytes(random.random()).into_uuid();
                write!(out, "{}", id.hyphenated())
            }
            Self::Date => write!(out, "20{}-{:02}-{:02}", 20 + below(10), 1 + below(12), 1 + below(28)),
            Self::DateTime => {
                Self::Date.draw(random, out);
                out.push('T');
                return Self::Time.draw(random, out);
            }
            Self::Time => write!(out, "{:02}:{:02}:{:02}Z", below(24), below(60), below(60)),
            Self::Duration => write!(out, "PT{}M", 1 + below(59)),
            Self::Email => write!(out, "user-{word:08x}@example.com"),
            Self::Hostname => write!(out, "host-{word:08x}.example.com"),
            Self::Ipv4 => write!(out, "192.0.2.{}", 1 + below(254)),
            Self::Ipv6 => write!(out, "2001:db8::{:x}", 0x1000 + below(0xf000)),
            Self::Uri => write!(out, "https://example.com/{word:08x}"),
            Self::JsonPointer => write!(out, "/{:04x}", word >> 16),
            Self::RelativePointer => write!(out, "0/{:04x}", word >> 16),
            Self::Regex => write!(out, "^{:04x}$", word >> 16),
            Self::Base64 => {
                use base64::Engine;
                let bytes: [u8; 12] = random.random();
                base64::engine::general_purpose::STANDARD.encode_string(bytes, out);
                Ok(())
            }
        };
        debug_assert!(written.is_ok(), "writing to a String cannot fail");
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn each_format_keeps_its_lengths() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for name in [
            "uuid",
            "date",
            "date-time",
            "time",
            "duration",
            "email",
            "hostname",
            "ipv4",
            "ipv6",
            "uri",
            "json-pointer",
            "relative-json-pointer",
            "regex",
            "byte",
        ] {
            let format = Format::named(name).unwrap();
            let (least, most) = format.lengths();
            for _ in 0..200 {
                let mut text = String::new();
                format.draw(&mut random, &mut text);
                assert!((least..=most).contains(&text.len()), "{name}: {text} has {}", text.len());
            }
        }
        assert_eq!(Format::named("int64"), None);
    }
}
