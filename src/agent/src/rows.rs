//! Numbers of rows that come and go by themselves: each thing keeps its own, and none is ever another's.
//!
//! In:  names. Out: rows. They outlive a restart: what a controller has learned of them holds.
//!
//! Source: TR-369 §2.4 (instance numbers).

use contract::Name;
use serde::{Deserialize, Serialize};

/// Rows of one table: more than the gateway holds of anything (services, slices). As many that are gone are remembered: after a restart not
/// every room knows all of its things at once.
pub const ROWS_MAX: usize = 64;

/// A table's rows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rows {
    last: u32,
    rows: Vec<(u32, Name)>,
    gone: Vec<(u32, Name)>,
}

impl Rows {
    /// These are there now, and no others.
    pub fn keep<'n>(&mut self, names: impl Iterator<Item = &'n Name> + Clone) {
        let gone = self.rows.extract_if(.., |(_, name)| !names.clone().any(|other| other == name));
        self.gone.extend(gone);
        let eldest = self.gone.len().saturating_sub(ROWS_MAX);
        self.gone.drain(..eldest);
        for name in names {
            if self.row(name).is_some() || self.rows.len() >= ROWS_MAX {
                continue;
            }
            if let Some(place) = self.gone.iter().position(|(_, one)| one == name) {
                self.rows.push(self.gone.remove(place));
            } else {
                self.last = self.last.saturating_add(1);
                self.rows.push((self.last, name.clone()));
            }
        }
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<u32> {
        self.rows.iter().map(|(row, _)| *row).collect()
    }

    /// What is in `row`.
    #[must_use]
    pub fn name(&self, row: u32) -> Option<&Name> {
        self.rows.iter().find(|(one, _)| *one == row).map(|(_, name)| name)
    }

    /// Where `name` is.
    #[must_use]
    pub fn row(&self, name: &str) -> Option<u32> {
        self.rows.iter().find(|(_, one)| one.as_str() == name).map(|(row, _)| *row)
    }
}

#[cfg(test)]
mod tests {
    use super::Rows;
    use contract::Name;

    #[test]
    fn a_row_is_never_somebody_elses() {
        let name = |text: &str| Name::new(text).unwrap();
        let mut rows = Rows::default();
        rows.keep([name("a"), name("b")].iter());
        assert_eq!((rows.row("a"), rows.row("b")), (Some(1), Some(2)));
        rows.keep([name("b")].iter());
        rows.keep([name("b"), name("c"), name("a")].iter());
        assert_eq!((rows.row("b"), rows.row("c"), rows.row("a")), (Some(2), Some(3), Some(1)));
        assert_eq!(rows.name(3), Some(&name("c")));
        rows.keep([].iter());
        assert_eq!((rows.name(1), rows.all()), (None, Vec::new()));
        let many: Vec<Name> = (0..200).map(|number| name(&format!("n{number}"))).collect();
        many.iter().for_each(|one| rows.keep([one].into_iter()));
        assert_eq!(
            rows.row("n199"),
            Some(203),
            "what is gone for long is forgotten, its number is not given again"
        );
    }
}
