//! Numbers of rows that come and go by themselves: each thing keeps its own, and none is ever another's.
//!
//! In:  names. Out: rows. They outlive a restart: what a controller has learned of them holds.
//!
//! Source: TR-369 §2.4 (instance numbers).

use serde::{Deserialize, Serialize};

/// Rows of one table: more than the gateway holds of anything; most are forwarded ports, and leases. As many that are gone are remembered
/// as [`GONE_MAX`] says: after a restart not every room knows all of its things at once.
pub const ROWS_MAX: usize = 512;
/// See [`ROWS_MAX`].
pub const GONE_MAX: usize = 64;

/// A table's rows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rows {
    last: u32,
    rows: Vec<(u32, String)>,
    gone: Vec<(u32, String)>,
}

impl Rows {
    /// These are there now, and no others.
    pub fn keep<'n>(&mut self, names: impl Iterator<Item = &'n str> + Clone) {
        let gone = self.rows.extract_if(.., |(_, name)| !names.clone().any(|other| other == name));
        self.gone.extend(gone);
        let eldest = self.gone.len().saturating_sub(GONE_MAX);
        self.gone.drain(..eldest);
        for name in names {
            if self.row(name).is_some() || self.rows.len() >= ROWS_MAX {
                continue;
            }
            self.add(name);
        }
    }

    /// One more is there: its row.
    pub fn add(&mut self, name: &str) -> u32 {
        if let Some(place) = self.gone.iter().position(|(_, one)| one == name) {
            let back = self.gone.remove(place);
            let row = back.0;
            self.rows.push(back);
            return row;
        }
        self.last = self.last.saturating_add(1);
        self.rows.push((self.last, name.to_owned()));
        self.last
    }

    /// What is in `row` is called otherwise from now on. Is no other called so?
    pub fn rename(&mut self, row: u32, name: &str) -> bool {
        if self.row(name).is_some_and(|other| other != row) {
            return false;
        }
        if let Some((_, old)) = self.rows.iter_mut().find(|(one, _)| *one == row) {
            name.clone_into(old);
        }
        true
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<u32> {
        self.rows.iter().map(|(row, _)| *row).collect()
    }

    /// What is in `row`.
    #[must_use]
    pub fn name(&self, row: u32) -> Option<&str> {
        self.rows.iter().find(|(one, _)| *one == row).map(|(_, name)| name.as_str())
    }

    /// Where `name` is.
    #[must_use]
    pub fn row(&self, name: &str) -> Option<u32> {
        self.rows.iter().find(|(_, one)| one == name).map(|(row, _)| *row)
    }
}

#[cfg(test)]
mod tests {
    use super::Rows;

    #[test]
    fn a_row_is_never_somebody_elses() {
        let mut rows = Rows::default();
        rows.keep(["a", "b"].into_iter());
        assert_eq!((rows.row("a"), rows.row("b")), (Some(1), Some(2)));
        rows.keep(["b"].into_iter());
        rows.keep(["b", "c", "a"].into_iter());
        assert_eq!((rows.row("b"), rows.row("c"), rows.row("a")), (Some(2), Some(3), Some(1)));
        assert_eq!(rows.name(3), Some("c"));
        rows.keep([].into_iter());
        assert_eq!((rows.name(1), rows.all()), (None, Vec::new()));
        let many: Vec<String> = (0..200).map(|number| format!("n{number}")).collect();
        many.iter().for_each(|one| rows.keep([one.as_str()].into_iter()));
        assert_eq!(
            rows.row("n199"),
            Some(203),
            "what is gone for long is forgotten, its number is not given again"
        );
        assert!(rows.rename(203, "other") && rows.row("other") == Some(203) && rows.row("n199").is_none());
        let row = rows.add("one-more");
        assert!(!rows.rename(row, "other"), "two are not called the same");
    }
}
