//! One session at a server, as requests name it.

use super::request::Head;

/// A session, or the agreement that there is none.
#[derive(Debug)]
pub(super) struct Session {
    /// What every request in it begins with.
    pub(super) head: Head,
    id: Option<String>,
    /// Whether it was opened here and is to be closed here.
    pub(super) is_own: bool,
}

impl Session {
    /// The session `id` for requests that else begin with `head`; one that cannot stand in a header is none.
    pub(super) fn new(head: &Head, id: Option<String>) -> Self {
        let named = id.as_deref().and_then(|id| head.in_session(id));
        let id = id.filter(|_| named.is_some());
        Self { head: named.unwrap_or_else(|| head.clone()), id, is_own: true }
    }

    /// The same for a session that somebody else closes.
    pub(super) fn lent(head: &Head, id: String) -> Self {
        Self { is_own: false, ..Self::new(head, Some(id)) }
    }

    /// Its name; `None` where the server opened none.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// What its name is, for whoever will close it.
    pub(super) fn into_id(self) -> Option<String> {
        self.id
    }
}

#[cfg(test)]
impl Session {
    /// A session at nobody's.
    pub(super) fn for_tests(id: &str) -> Self {
        let target = "http://localhost".parse().unwrap();
        Self::new(&Head::new(&target, &crate::mcp::Negotiated::default()), Some(id.to_owned()))
    }
}
