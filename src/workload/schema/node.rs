//! A schema made ready: what to write at each place, and how small it can be.

use rand::{Rng, RngExt};

use super::format::Format;
use super::number::Number;
use super::pattern::Pattern;

/// A node's place in its plan.
pub(super) type NodeId = usize;

/// How deep parts that could be left out are still put in.
const DEEPEST: usize = 8;
/// How many values are written before only what must be there is.
const MOST_VALUES: usize = 500;
/// How often something else is drawn in place of what is there already.
const TRIES: u64 = 20;
/// How many members an object is given whose members the schema does not name.
const MOST_EXTRA: usize = 3;

/// What to write at one place.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// Nothing can stand there.
    Never,
    /// One of these, each as JSON text.
    Choice(Vec<String>),
    Number(Number),
    /// Letters, so many.
    Letters {
        least: usize,
        most: usize,
    },
    Format(Format),
    /// A text after a pattern; and one that is known to have the right length, if others may not.
    Pattern {
        pattern: Box<Pattern>,
        least: usize,
        most: usize,
        known: String,
    },
    Array(Array),
    Object(Box<Object>),
    /// One of these.
    One(Vec<NodeId>),
}

#[derive(Clone, Debug)]
pub(super) struct Array {
    /// The first items, each of its own kind.
    pub(super) first: Vec<NodeId>,
    /// All others.
    pub(super) rest: Option<NodeId>,
    pub(super) least: usize,
    pub(super) most: usize,
    pub(super) is_unique: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) fields: Vec<Field>,
    /// Members beyond those that are named: what they are called and what they are.
    pub(super) extra: Option<(Option<NodeId>, NodeId)>,
    pub(super) least: usize,
    pub(super) most: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Field {
    /// Its name with quotes and colon.
    pub(super) key: String,
    pub(super) node: NodeId,
    pub(super) is_required: bool,
}

/// All nodes of a schema; the first is its root.
#[derive(Clone, Debug)]
pub(super) struct Nodes {
    nodes: Vec<Node>,
    /// How deep each is at least.
    heights: Vec<usize>,
}

/// The writing of one value.
pub(super) struct Pen<'a, R> {
    pub(super) random: &'a mut R,
    pub(super) out: &'a mut String,
    room: usize,
}

impl<'a, R: Rng> Pen<'a, R> {
    pub(super) const fn new(random: &'a mut R, out: &'a mut String) -> Self {
        Self { random, out, room: MOST_VALUES }
    }
}

impl Nodes {
    /// Ready nodes; `None` where nothing meets the root.
    pub(super) fn new(nodes: Vec<Node>) -> Option<Self> {
        let mut heights = vec![usize::MAX; nodes.len()];
        // Each round knows those of one level more, and a node without an end never becomes known.
        loop {
            let next: Vec<usize> = nodes.iter().map(|node| height(node, &heights)).collect();
            if next == heights {
                break;
            }
            heights = next;
        }
        (heights[0] < usize::MAX).then_some(Self { nodes, heights })
    }

    /// How many values and characters the smallest of all values has, about.
    pub(super) fn smallest(&self) -> usize {
        let mut sizes = vec![usize::MAX; self.nodes.len()];
        loop {
            let next: Vec<usize> = self.nodes.iter().map(|node| size(node, &sizes)).collect();
            if next == sizes {
                return sizes[0];
            }
            sizes = next;
        }
    }

    /// How deep the lowest of all values is.
    pub(super) fn lowest(&self) -> usize {
        self.heights[0]
    }

    /// Writes one value.
    pub(super) fn write<R: Rng>(&self, pen: &mut Pen<'_, R>) {
        self.node(0, DEEPEST.max(self.heights[0]), pen);
    }

    /// Writes a value of this node, at most so deep.
    fn node<R: Rng>(&self, id: NodeId, depth: usize, pen: &mut Pen<'_, R>) {
        pen.room = pen.room.saturating_sub(1);
        match &self.nodes[id] {
            Node::Never => pen.out.push_str("null"),
            Node::Array(array) => self.array(array, depth, pen),
            Node::Object(object) => self.object(object, depth, pen),
            Node::One(ways) => {
                let lowest = ways.iter().map(|way| self.heights[*way]).min().unwrap_or(0);
                let limit = if pen.room == 0 { lowest } else { depth.max(lowest) };
                let fitting = || ways.iter().filter(|way| self.heights[**way] <= limit);
                let chosen = pen.random.random_range(0..fitting().count().max(1));
                if let Some(way) = fitting().nth(chosen) {
                    self.node(*way, depth, pen);
                }
            }
            leaf => write_leaf(leaf, 0, pen),
        }
    }

    fn array<R: Rng>(&self, array: &Array, depth: usize, pen: &mut Pen<'_, R>) {
        let inner = depth.saturating_sub(1);
        let may =
            pen.room > 0 && array.rest.or(array.first.last().copied()).is_some_and(|item| self.heights[item] < depth);
        let open = array.first.len().max(array.least.max(1)) + 2;
        let most = if may { array.most.min(open).max(array.least) } else { array.least };
        let mut count = pen.random.random_range(array.least..=most);
        if array.rest.is_none() {
            count = count.min(array.first.len());
        }
        let mut places: Vec<(usize, usize)> = Vec::new();
        pen.out.push('[');
        for place in 0..count {
            let Some(item) = array.first.get(place).copied().or(array.rest) else { break };
            let before = pen.out.len();
            if place > 0 {
                pen.out.push(',');
            }
            let from = pen.out.len();
            let is_new = (0..TRIES).any(|turn| {
                pen.out.truncate(from);
                match &self.nodes[item] {
                    leaf @ (Node::Choice(_) | Node::Number(_)) => write_leaf(leaf, turn, pen),
                    _ => self.node(item, inner, pen),
                }
                let known = |(a, b): &(usize, usize)| pen.out[*a..*b] == pen.out[from..];
                !(array.is_unique && places.iter().any(known))
            });
            if !is_new && place >= array.least {
                pen.out.truncate(before);
                break;
            }
            if array.is_unique {
                places.push((from, pen.out.len()));
            }
        }
        pen.out.push(']');
    }

    fn object<R: Rng>(&self, object: &Object, depth: usize, pen: &mut Pen<'_, R>) {
        let inner = depth.saturating_sub(1);
        let required = object.fields.iter().filter(|field| field.is_required).count();
        let mut optional_left = object.fields.len() - required;
        let mut count = required;
        let mut is_first = true;
        pen.out.push('{');
        for field in &object.fields {
            if !field.is_required {
                optional_left -= 1;
                // In, where it would otherwise be too few; else by the toss of a coin.
                let must = count + optional_left < object.least;
                let toss = pen.random.random_bool(0.5);
                let fits = self.heights[field.node] < depth && pen.room > 0;
                if self.heights[field.node] == usize::MAX || count >= object.most || !(must || toss && fits) {
                    continue;
                }
                count += 1;
            }
            separate(&mut is_first, pen.out);
            pen.out.push_str(&field.key);
            self.node(field.node, inner, pen);
        }
        self.extra(object, count, inner, &mut is_first, pen);
        pen.out.push('}');
    }

    /// Members that the schema does not name: as many as there must be, and a few where it names none at all.
    fn extra<R: Rng>(&self, object: &Object, count: usize, inner: usize, is_first: &mut bool, pen: &mut Pen<'_, R>) {
        let Some((name, node)) = object.extra else { return };
        let must = object.least.saturating_sub(count);
        let may = if object.fields.is_empty() && self.heights[node] < inner && pen.room > 0 {
            object.most.saturating_sub(count).min(MOST_EXTRA).max(must)
        } else {
            must
        };
        let mut names: Vec<String> = Vec::new();
        for place in 0..pen.random.random_range(must..=may) {
            let mut key = String::new();
            for _ in 0..TRIES {
                key.clear();
                match name {
                    None => key = format!("\"key{}\"", place + 1),
                    Some(name) => self.node(name, 0, &mut Pen::new(&mut *pen.random, &mut key)),
                }
                let stands = |field: &Field| field.key.strip_suffix(':') == Some(&key);
                if !names.contains(&key) && !object.fields.iter().any(stands) {
                    break;
                }
            }
            if names.contains(&key) {
                continue;
            }
            separate(is_first, pen.out);
            pen.out.push_str(&key);
            pen.out.push(':');
            self.node(node, inner, pen);
            names.push(key);
        }
    }
}

fn separate(is_first: &mut bool, out: &mut String) {
    if !std::mem::take(is_first) {
        out.push(',');
    }
}

/// Writes a value that has no parts; `shift` places on from the one drawn, where values stand in a row.
fn write_leaf<R: Rng>(node: &Node, shift: u64, pen: &mut Pen<'_, R>) {
    match node {
        Node::Choice(texts) => {
            let drawn = pen.random.random_range(0..texts.len());
            pen.out.push_str(&texts[(drawn + shift as usize) % texts.len()]);
        }
        Node::Number(number) => number.draw(pen.random, shift, pen.out),
        Node::Letters { least, most } => {
            pen.out.push('"');
            for _ in 0..pen.random.random_range(*least..=*most) {
                pen.out.push(char::from(pen.random.random_range(b'a'..=b'z')));
            }
            pen.out.push('"');
        }
        Node::Format(format) => {
            pen.out.push('"');
            format.draw(pen.random, pen.out);
            pen.out.push('"');
        }
        Node::Pattern { pattern, least, most, known } => {
            pen.out.push('"');
            let from = pen.out.len();
            let fits = (0..TRIES).any(|_| {
                pen.out.truncate(from);
                pattern.draw(pen.random, *most, pen.out) >= *least
            });
            if !fits {
                pen.out.truncate(from);
                pen.out.push_str(known);
            }
            pen.out.push('"');
        }
        _ => {}
    }
}

/// How deep a node is at least, as far as those below it are known.
fn height(node: &Node, known: &[usize]) -> usize {
    match node {
        Node::Never => usize::MAX,
        Node::One(ways) => ways.iter().map(|way| known[*way]).min().unwrap_or(usize::MAX),
        Node::Array(array) => below(needed_items(array).map(|id| known[id]).max()),
        Node::Object(object) => below(needed_fields(object, known).map(|id| known[id]).max()),
        _ => 0,
    }
}

fn below(height: Option<usize>) -> usize {
    height.map_or(0, |height| height.saturating_add(1))
}

fn needed_items(array: &Array) -> impl Iterator<Item = NodeId> + '_ {
    let rest = array.rest.filter(|_| array.least > array.first.len());
    array.first.iter().take(array.least).copied().chain(rest)
}

fn needed_fields<'a>(object: &'a Object, known: &[usize]) -> impl Iterator<Item = NodeId> + 'a {
    let required: Vec<NodeId> = object.fields.iter().filter(|f| f.is_required).map(|f| f.node).collect();
    let missing = object.least.saturating_sub(required.len());
    let mut optional: Vec<NodeId> = object.fields.iter().filter(|f| !f.is_required).map(|f| f.node).collect();
    optional.sort_by_key(|id| known[*id]);
    optional.retain(|id| known[*id] < usize::MAX);
    optional.truncate(missing);
    let extra = object.extra.filter(|_| required.len() + optional.len() < object.least).map(|(_, node)| node);
    required.into_iter().chain(optional).chain(extra)
}

/// How large a node is at least, in values and characters, as far as those below it are known.
fn size(node: &Node, known: &[usize]) -> usize {
    let sum = |sizes: &mut dyn Iterator<Item = usize>| sizes.fold(1_usize, usize::saturating_add);
    match node {
        Node::Never => usize::MAX,
        Node::Choice(texts) => texts.iter().map(String::len).min().unwrap_or(0),
        Node::Letters { least, .. } => least.saturating_add(1),
        Node::Pattern { least, pattern, .. } => (*least).max(pattern.shortest()).saturating_add(1),
        Node::One(ways) => ways.iter().map(|way| known[*way]).min().unwrap_or(usize::MAX),
        Node::Array(array) => {
            let more = array.least.saturating_sub(array.first.len());
            let rest = array.rest.map_or(0, |rest| known[rest].saturating_mul(more));
            let rest = if more == 0 { 0 } else { rest };
            sum(&mut array.first.iter().take(array.least).map(|id| known[*id]).chain([rest]))
        }
        Node::Object(object) => {
            let needed = needed_fields(object, known).map(|id| known[id]);
            let more = object.least.saturating_sub(object.fields.len());
            let extra = object.extra.map_or(0, |(_, node)| known[node].saturating_mul(more.saturating_sub(1)));
            sum(&mut needed.chain([if more > 1 { extra } else { 0 }]))
        }
        _ => 1,
    }
}
