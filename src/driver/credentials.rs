//! What every request carries beside the protocol: headers of the user's, some of them secret.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::secret::{Scrub, Secret};

/// Headers of every request, and what takes their secrets out of answers.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    headers: HeaderMap,
    scrub: Scrub,
}

/// A value that no header can have. The value is not shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("send header `{name}`: its value is empty or has characters that no header may have, a line break perhaps")]
pub struct BadHeader {
    /// The header.
    pub name: String,
}

impl Credentials {
    /// Headers that anybody may see, those that nobody may, and other secrets that answers may repeat.
    ///
    /// # Errors
    /// A name or a value that no header can have.
    pub fn new(open: &[(String, Secret)], secret: &[(String, Secret)], others: &[Secret]) -> Result<Self, BadHeader> {
        let mut headers = HeaderMap::new();
        for ((name, value), is_secret) in open.iter().map(|h| (h, false)).chain(secret.iter().map(|h| (h, true))) {
            let bad = || BadHeader { name: name.clone() };
            let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
            let mut value = HeaderValue::from_str(value.expose()).map_err(|_| bad())?;
            if value.is_empty() {
                return Err(bad());
            }
            value.set_sensitive(is_secret);
            headers.insert(key, value);
        }
        let scrub = Scrub::new(secret.iter().map(|(_, value)| value).chain(others));
        Ok(Self { headers, scrub })
    }

    /// Whether there is nothing to send and nothing to take out.
    pub(super) fn is_empty(&self) -> bool {
        self.headers.is_empty() && self.scrub.is_empty()
    }

    /// Whether this header is among them.
    pub(super) fn have(&self, name: &HeaderName) -> bool {
        self.headers.contains_key(name)
    }

    /// Puts the headers on a request, in place of those of the same name.
    pub(super) fn put_on(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
    }

    /// What takes the secrets out of what others say.
    pub fn scrub(&self) -> &Scrub {
        &self.scrub
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, value: &str) -> (String, Secret) {
        (name.to_owned(), Secret::from(value.to_owned()))
    }

    #[test]
    fn headers_replace_those_of_the_same_name_and_secret_ones_are_marked() {
        let open = [header("host", "pay.example.com")];
        let credentials = Credentials::new(&open, &[header("authorization", "Bearer tok-123456")], &[]).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("localhost"));
        credentials.put_on(&mut headers);
        assert_eq!((headers["host"].to_str().unwrap(), headers.len()), ("pay.example.com", 2));
        assert!(headers["authorization"].is_sensitive() && !headers["host"].is_sensitive());
        assert!(!format!("{credentials:?}").contains("tok-"));
        assert_eq!(credentials.scrub().text("tok-123456 at pay.example.com"), "*** at pay.example.com");
    }

    #[test]
    fn a_value_that_no_header_can_have_is_refused_and_not_repeated() {
        for value in ["", "to\nken"] {
            let error = Credentials::new(&[], &[header("authorization", value)], &[]).unwrap_err();
            assert!(error.to_string().contains("`authorization`") && !error.to_string().contains("ken:"), "{error}");
        }
    }
}
