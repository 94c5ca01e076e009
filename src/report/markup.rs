//! Markup that can only be built escaped: the one place that knows how HTML, SVG and XML keep text from being anything else.
//!
//! Names of elements and attributes are constants of this program; every text and every value of an attribute goes through
//! [`Markup::text`] or [`Tag::with`]. Elements are always closed, so that what is written is well-formed XML as well as HTML.

use std::fmt::{Display, Write};

use super::humane::{clean, visible};

/// A piece of markup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Markup(String);

/// The name and the attributes of an element.
#[derive(Clone, Debug)]
pub(super) struct Tag {
    name: &'static str,
    head: String,
}

/// The tag `name` without attributes.
pub(super) fn tag(name: &'static str) -> Tag {
    Tag { name, head: format!("<{name}") }
}

impl Tag {
    /// The same tag with one more attribute.
    pub(super) fn with(mut self, name: &'static str, value: impl Display) -> Self {
        let value = value.to_string();
        let _ = write!(self.head, " {name}=\"");
        escape(&clean(&value), &mut self.head);
        self.head.push('"');
        self
    }

    /// The same tag of this class.
    pub(super) fn class(self, class: &'static str) -> Self {
        self.with("class", class)
    }
}

impl Markup {
    /// Adds a text in one line of visible characters, of which nothing is markup.
    pub(super) fn text(&mut self, text: &str) {
        escape(&clean(text), &mut self.0);
    }

    /// Adds a text of several lines, whose spaces stay as they are.
    pub(super) fn lines(&mut self, text: &str) {
        for line in text.lines() {
            escape(&visible(line), &mut self.0);
            self.0.push('\n');
        }
    }

    /// Adds a constant of this program as it stands: a declaration, a style sheet.
    pub(super) fn constant(&mut self, text: &'static str) {
        self.0.push_str(text);
    }

    /// Adds an element with what `inside` puts into it.
    pub(super) fn element(&mut self, tag: Tag, inside: impl FnOnce(&mut Self)) {
        let Tag { name, head } = tag;
        self.0.push_str(&head);
        self.0.push('>');
        inside(self);
        let _ = write!(self.0, "</{name}>");
    }

    /// Adds an element that is a line of its own in the source.
    pub(super) fn block(&mut self, tag: Tag, inside: impl FnOnce(&mut Self)) {
        self.element(tag, inside);
        self.0.push('\n');
    }

    /// Adds an element that holds a text alone.
    pub(super) fn said(&mut self, tag: Tag, text: &str) {
        self.element(tag, |inside| inside.text(text));
    }

    /// Adds an element that holds nothing, and needs no end where it is read as HTML.
    pub(super) fn void(&mut self, tag: Tag) {
        let Tag { head, .. } = tag;
        self.0.push_str(&head);
        self.0.push_str("/>");
    }

    /// All of it.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // XML has no way to say these; control characters are gone before.
            '\u{fffe}' | '\u{ffff}' => {}
            _ => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(text: &str) -> String {
        let mut page = Markup::default();
        page.element(tag("p").with("title", text), |inside| {
            inside.said(tag("b"), text);
            inside.void(tag("br"));
            inside.element(tag("pre"), |inside| inside.lines(text));
        });
        page.as_str().to_owned()
    }

    #[test]
    fn a_text_is_no_element_and_ends_no_attribute() {
        let mut markup = Markup::default();
        markup.said(tag("p").with("title", "\"><x y='"), "<script>alert(1)</script>&amp;\u{1b}[2J\u{202e}");
        assert_eq!(
            markup.as_str(),
            "<p title=\"&quot;&gt;&lt;x y=&#39;\">&lt;script&gt;alert(1)&lt;/script&gt;&amp;amp;</p>"
        );
    }

    proptest! {
        #[test]
        fn whatever_a_text_is_it_is_read_as_that_text_and_changes_no_structure(text in any::<String>()) {
            let page = page(&text);
            let read = roxmltree::Document::parse(&page).unwrap();
            let names: Vec<_> = read.descendants().filter(roxmltree::Node::is_element).map(|n| n.tag_name().name()).collect();
            prop_assert_eq!(names, ["p", "b", "br", "pre"]);
            let wanted = clean(&text).replace(['\u{fffe}', '\u{ffff}'], "");
            prop_assert_eq!(read.root_element().attribute("title"), Some(wanted.as_str()));
            prop_assert_eq!(read.root_element().first_child().and_then(|b| b.text()).unwrap_or_default(), wanted);
        }
    }
}
