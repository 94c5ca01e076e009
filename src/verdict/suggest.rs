//! "Did you mean": the known name that is nearest to a mistyped one.

/// The one of `known` that is fewest edits from `given` (Levenshtein 1966), where that is at most a third of its letters.
pub(super) fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let rated = known.into_iter().map(|name| (edits(&given.to_lowercase(), &name.to_lowercase()), name));
    let (edits, name) = rated.min_by_key(|(edits, _)| *edits)?;
    (edits <= (name.chars().count() / 3).max(1)).then_some(name)
}

/// How many letters must be put in, taken out or changed to turn one text into the other.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, other) in to.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_a_stranger_none() {
        let known = ["p95", "error_rate", "rate", "create_payment"];
        assert_eq!(nearest("eror_rate", known), Some("error_rate"));
        assert_eq!(nearest("Create_Payments", known), Some("create_payment"));
        assert_eq!(nearest("happiness", known), None);
        assert_eq!(nearest("p95", []), None);
        assert_eq!(edits("kitten", "sitting"), 3);
    }
}
