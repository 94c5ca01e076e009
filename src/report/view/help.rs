//! The keys of the view, and what its words mean.

use super::paper::{Mood, Paper};

/// Each line with its key or word; the keys first, as there may be no room for more.
const LINES: [(&str, &str); 15] = [
    ("q", "end the run: what is in flight is awaited, the report follows"),
    ("q q", "end the program at once, without a report; so do two Ctrl-C"),
    ("p", "freeze and unfreeze this view; the run goes on"),
    ("?", "help and back"),
    ("", ""),
    ("due, ok", "arrivals a second, and ok answers to them, in the last seconds"),
    ("response", "from the instant a call was due until its reply: what a user feels"),
    ("service", "from sent until the reply: what the server took"),
    ("waiting", "due, and no room to be sent yet"),
    ("dropped", "never sent, for want of room"),
    ("lag", "how late this generator was itself, and how late it may be"),
    ("left", "what is left of the calls that an objective lets be bad"),
    ("open", "neither met nor missed yet"),
    ("no reply", "this quantile falls among calls without a complete reply"),
    ("so far", "figures are of what is judged: all that is due after warm-up"),
];

/// Writes as many lines as there is room for.
pub(super) fn draw(paper: &mut Paper<'_>) {
    let width = paper.width();
    for (row, (word, meaning)) in LINES.iter().enumerate() {
        let from = if word.is_empty() { 0 } else { paper.put(0, row, word, width, Mood::Heading) };
        // Close to a key, and in a column behind words, where there is room for one.
        let from = if width >= 72 { from.max(9) } else { from } + 1;
        paper.put(from, row, meaning, width, Mood::Plain);
    }
}
