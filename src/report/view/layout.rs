//! Which section gets how many rows, so that the most important ones are on the smallest terminal too.

/// The parts of the view between its head and its foot, from top to bottom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    /// Rates and times over the run, and how times are spread.
    Charts,
    /// A table of the operations.
    Operations,
    /// The promises.
    Objectives,
    /// What did not end ok.
    Errors,
    /// What happened.
    Events,
}

impl Section {
    /// All, from top to bottom.
    pub(super) const ALL: [Self; 5] = [Self::Charts, Self::Operations, Self::Objectives, Self::Errors, Self::Events];
    /// All, the most important one first.
    const BY_RANK: [Self; 5] = [Self::Objectives, Self::Operations, Self::Errors, Self::Charts, Self::Events];

    /// What it is called.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Charts => "charts",
            Self::Operations => "operations",
            Self::Objectives => "objectives",
            Self::Errors => "errors",
            Self::Events => "events",
        }
    }
}

/// How many rows a section can do with, and how many it can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) least: usize,
    pub(super) most: usize,
}

/// Rows for each section of [`Section::ALL`]; none for one that finds no room.
pub(super) fn share_out(rows: usize, wish: impl Fn(Section) -> Wish) -> [usize; Section::ALL.len()] {
    let mut given = [0; Section::ALL.len()];
    let mut left = rows;
    for section in Section::BY_RANK {
        let least = wish(section).least;
        if least <= left {
            given[section as usize] = least;
            left -= least;
        }
    }
    // What is left goes round, a row at a time, so that no long list takes all of it.
    loop {
        let before = left;
        for section in Section::BY_RANK {
            let rows = &mut given[section as usize];
            if left > 0 && *rows > 0 && *rows < wish(section).most {
                *rows += 1;
                left -= 1;
            }
        }
        if left == before {
            return given;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wish(section: Section) -> Wish {
        match section {
            Section::Charts => Wish { least: 6, most: 16 },
            Section::Operations => Wish { least: 3, most: 5 },
            Section::Objectives => Wish { least: 2, most: 4 },
            Section::Errors => Wish { least: 1, most: 6 },
            Section::Events => Wish { least: 1, most: 4 },
        }
    }

    #[test]
    fn on_the_smallest_terminal_objectives_and_operations_are_left() {
        assert_eq!(share_out(6, wish), [0, 3, 2, 1, 0]);
        assert_eq!(share_out(20, wish), [7, 5, 4, 2, 2]);
    }

    proptest! {
        #[test]
        fn no_more_is_given_than_there_is_or_can_be_used(rows in 0_usize..80) {
            let given = share_out(rows, wish);
            prop_assert!(given.iter().sum::<usize>() <= rows);
            for section in Section::ALL {
                let (rows, wish) = (given[section as usize], wish(section));
                prop_assert!(rows == 0 || (wish.least..=wish.most).contains(&rows));
            }
            if rows >= 35 {
                prop_assert_eq!(given, [16, 5, 4, 6, 4]);
            }
        }
    }
}
