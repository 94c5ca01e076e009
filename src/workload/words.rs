//! What the words of an answer say of a payment and of its key, in the phrases that servers use.

/// What servers call what was made.
const NOUNS: [&str; 12] = [
    "payment",
    "payments",
    "transaction",
    "charge",
    "order",
    "record",
    "payment_id",
    "paymentid",
    "transaction_id",
    "transactionid",
    "charge_id",
    "order_id",
];
/// After a noun, these make it another thing.
const PARTS: [&str; 7] = ["method", "gateway", "service", "provider", "processor", "system", "type"];

/// Words in small letters, without signs but for those of names and ids, each between two blanks.
struct Words(String);

impl Words {
    fn of(text: &str) -> Self {
        let mut text = text.to_ascii_lowercase();
        for (joined, parted) in [
            ("not_found", " not found"),
            ("not-found", " not found"),
            ("unknown_", "unknown "),
            ("no_such_", "no such "),
        ] {
            text = text.replace(joined, parted);
        }
        text.retain(|c| !matches!(c, '\'' | '’'));
        let words = text.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-');
        let words: Vec<&str> =
            words.map(|word| word.trim_matches(['_', '-'])).filter(|word| !word.is_empty()).collect();
        Self(format!(" {} ", words.join(" ")))
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split_ascii_whitespace()
    }

    /// Whether one of these phrases is in it, each as whole words.
    fn say(&self, phrases: &[&str]) -> bool {
        phrases.iter().any(|phrase| self.0.contains(&format!(" {phrase} ")))
    }

    /// Whether a word of it begins so.
    fn begin(&self, stems: &[&str]) -> bool {
        self.iter().any(|word| stems.iter().any(|stem| word.starts_with(stem)))
    }

    /// Whether `first` is followed by a word that is `second`.
    fn pair(&self, first: &str, second: impl Fn(&str) -> bool) -> bool {
        self.iter().zip(self.iter().skip(1)).any(|(word, next)| word == first && second(next))
    }

    /// Whether it names a payment.
    fn name_a_payment(&self) -> bool {
        let next = self.iter().skip(1).map(Some).chain([None]);
        self.iter().zip(next).any(|(word, next)| {
            let is_noun = NOUNS.contains(&word) || (word.ends_with("notfound") && begins_with_noun(word));
            is_noun && !next.is_some_and(|next| PARTS.contains(&next))
        })
    }

    /// Whether they ask for less load, whatever else they speak of.
    fn ask_for_less(&self) -> bool {
        self.say(&["too many", "rate"]) || self.begin(&["limit", "throttl"])
    }

    /// Whether they say that it was done already.
    fn say_done(&self) -> bool {
        const DONE: [&str; 6] = ["processed", "paid", "completed", "charged", "exists", "created"];
        let is_done = self.pair("already", |next| DONE.contains(&next))
            || DONE.iter().any(|done| self.say(&[&format!("already been {done}")]));
        // A key that exists may be that of a call that is under way.
        is_done && !self.say(&["progress", "processing", "pending", "being processed", "key already exists"])
    }
}

fn begins_with_noun(word: &str) -> bool {
    NOUNS.iter().any(|noun| word.starts_with(noun))
}

/// The text without the names of tools that libraries put before a tool's own words.
fn without_prefix(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let found = ["error executing tool ", "error calling tool "].iter().find_map(|prefix| {
        let start = lower.find(prefix)?;
        let colon = lower[start..].find(": ")?;
        Some((start, start + colon + 2))
    });
    match found {
        Some((start, end)) => format!("{}{}", &text[..start], &text[end..]),
        None => text.to_owned(),
    }
}

/// Whether these words say that the payment that was `asked` for does not exist, and not that something else went wrong.
pub(super) fn say_missing(text: &str, asked: &str) -> bool {
    const OTHERS: [&str; 16] = [
        "unknown tool",
        "tool not found",
        "no such tool",
        "tool does not exist",
        "unknown method",
        "method not found",
        "no such method",
        "unknown session",
        "session not found",
        "no such session",
        "session does not exist",
        "unknown host",
        "host not found",
        "no such host",
        "could not find host",
        "route not found",
    ];
    const ABSENT: [&str; 10] = [
        "not found",
        "does not exist",
        "doesnt exist",
        "could not find",
        "couldnt find",
        "cannot find",
        "cant find",
        "can not find",
        "not be found",
        "no longer exists",
    ];
    let text = without_prefix(text);
    let words = Words::of(&text);
    if words.say(&OTHERS) {
        return false;
    }
    let asked = asked.to_ascii_lowercase();
    let is_asked = |word: &str| !asked.is_empty() && word == asked;
    let is_noun = |word: &str| NOUNS.contains(&word);
    let is_named = words.name_a_payment() || words.iter().any(is_asked);
    let is_absent = words.say(&ABSENT) || words.iter().any(|word| word.ends_with("notfound"));
    // Of a payment whose status is unknown nobody says that there is none.
    let is_unknown = words.say(&["is unknown", "was unknown", "not known"])
        && !words.begin(&["status", "state", "outcome", "result", "reason"]);
    let is_none =
        words.pair("no", is_noun) && words.say(&["found", "known", "exists", "exist", "with", "for", "matches"]);
    words.say(&["never made", "unknown id", "no such id"])
        || words.pair("unknown", |next| is_noun(next) || is_asked(next)) && !names_a_part(&words, "unknown")
        || words.pair("such", is_noun) && !names_a_part(&words, "such")
        || is_named && (is_absent || is_unknown || is_none)
}

/// Whether a noun after `first` is another thing by the word that follows it.
fn names_a_part(words: &Words, first: &str) -> bool {
    NOUNS.iter().any(|noun| PARTS.iter().any(|part| words.say(&[&format!("{first} {noun} {part}")])))
}

/// Whether these words say that a call under the same key is under way or was done.
pub(super) fn say_known(text: &str) -> bool {
    const USED: [&str; 13] = [
        "progress",
        "in_progress",
        "being processed",
        "processing",
        "already",
        "was used",
        "been used",
        "in use",
        "reused",
        "locked",
        "another request",
        "same request",
        "http 409",
    ];
    let words = Words::of(text);
    if words.ask_for_less() {
        return false;
    }
    let names_key = words.begin(&["idempoten"])
        || words.say(&["key", "duplicate request", "same request", "request in progress", "request is in progress"]);
    let is_used = words.say(&USED) || words.begin(&["conflict", "concurrent", "duplicate"]);
    words.say(&["http 409", "duplicate payment", "duplicate transaction"]) || words.say_done() || (names_key && is_used)
}

/// Whether such words say that it was done, and not that it is still under way.
pub(super) fn say_done(text: &str) -> bool {
    Words::of(text).say_done()
}

/// Whether these words are about a key, or about a body that is another one than before.
pub(super) fn are_about_the_body(text: &str) -> bool {
    let words = Words::of(text);
    let names_key = words.begin(&["idempoten", "key"]) && !words.say(&["api key", "api_key", "access key"]);
    let names_body =
        words.say(&["body", "already used with"]) || words.begin(&["mismatch", "different", "parameter", "conflict"]);
    !words.ask_for_less() && (names_key || names_body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_say_that_a_payment_is_not_there_are_told_from_other_errors() {
        for words in [
            "Payment pay_1 not found",
            "payment pay_1 is not known: it was never made here, or is too old",
            "No such payment: pay_1",
            "no payment pay_1 is known: it was never made here, or is too old",
            "Unknown payment_id",
            "unknown transaction pay_7",
            "payment 7 does not exist",
            "Payment pay_1 doesn't exist",
            "PaymentNotFound",
            "PAYMENT_NOT_FOUND",
            "pay_1 not found",
            "the payment is unknown",
            "Error executing tool verify_payment: Payment pay_1 not found",
            "Error calling tool 'verify_payment': unknown id",
            r#"{"content":[{"type":"text","text":"Error executing tool verify_payment: No such payment"}]}"#,
        ] {
            assert!(say_missing(words, "pay_1"), "{words}");
        }
        for words in [
            "the bank did not answer",
            "Unknown tool: verify_payment",
            "tool verify_payment not found",
            "Error executing tool verify_payment: the bank did not answer",
            "Method not found",
            "Payment method not found",
            "unknown payment method",
            "payment gateway host not found",
            "the payment service could not find a route",
            "bank answered with an unknown response code, try again",
            "the status of the payment is unknown",
            "unknown error",
            "not found",
            "session not found",
            "",
        ] {
            assert!(!say_missing(words, "pay_1"), "{words}");
        }
    }

    #[test]
    fn words_about_a_used_key_are_told_from_words_about_load() {
        for words in [
            "a request with this key is in progress",
            "duplicate idempotency key",
            "Idempotency key already in use",
            "conflict: idempotency_key k was seen",
            "a concurrent call holds this idempotency key",
            "duplicate request",
            "payment was already processed",
            "HTTP 409",
        ] {
            assert!(say_known(words), "{words}");
        }
        for words in [
            "Too many concurrent requests, slow down",
            "write conflict, retry",
            "limit already reached",
            "max concurrent connections",
            "rate of requests with this key already too high",
            "idempotency_key is required",
        ] {
            assert!(!say_known(words), "{words}");
        }
    }

    #[test]
    fn only_a_deed_that_is_named_as_done_was_done() {
        for words in ["payment already processed", "the order has already been paid", "payment already exists"] {
            assert!(say_done(words), "{words}");
        }
        for words in [
            "Idempotency key already in use",
            "this idempotency key was already used",
            "idempotency key already exists",
            "the key is locked",
            "a request with this key is in progress",
            "another request has this key",
            "duplicate: already processed, or pending",
        ] {
            assert!(!say_done(words), "{words}");
        }
    }

    #[test]
    fn words_about_another_body_are_told_from_other_refusals() {
        for words in [
            "idempotency_key k was used for another order",
            "Keys for idempotent requests can only be used with the same parameters",
            "request body mismatch",
            "already used with a different amount",
        ] {
            assert!(are_about_the_body(words), "{words}");
        }
        for words in [
            "insufficient funds",
            "the bank did not answer",
            "invalid API key",
            "nobody answered",
            "rate limit of this key",
        ] {
            assert!(!are_about_the_body(words), "{words}");
        }
    }
}
