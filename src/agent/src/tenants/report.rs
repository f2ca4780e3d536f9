//! What a service has said of itself: its metrics, its health.
//!
//! In:  words that were read (`word.rs`). Out: the newest of each. It is in memory: a service says it again when the agent is new.

use std::collections::BTreeMap;

use contract::tenant::METRICS;

use super::word::{Health, Kind, Word};

/// A metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The newest value.
    pub value: String,
    /// When that came, in seconds since 1970; `None`: the clock was not believed.
    pub at_s: Option<i64>,
}

/// All that it has said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Connections that are open.
    pub connections: usize,
    /// How it says that it is.
    pub health: Health,
    /// Why, where it says so.
    pub reason: String,
    /// Metrics, by their rows.
    pub metrics: BTreeMap<u32, Metric>,
    /// Lines that were taken.
    pub lines: u64,
    /// Lines that were not.
    pub refused: u64,
    last_row: u32,
}

impl Report {
    /// Takes a word about itself. Is the tree another one now, but for values of metrics?
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn take(&mut self, word: Word, now_s: Option<i64>) -> Result<bool, &'static str> {
        match word {
            Word::Health(health, reason) => {
                let before = (self.health, std::mem::replace(&mut self.reason, reason));
                self.health = health;
                Ok(before != (self.health, self.reason.clone()))
            }
            Word::NoMetric(name) => {
                let before = self.metrics.len();
                self.metrics.retain(|_, metric| metric.name != name);
                Ok(before != self.metrics.len())
            }
            Word::Metric { name, kind, value } => self.measure(Metric { name, kind, value, at_s: now_s }),
            Word::Event { .. } | Word::Ready => Ok(false),
        }
    }

    fn measure(&mut self, new: Metric) -> Result<bool, &'static str> {
        let many = self.metrics.len() >= METRICS;
        match self.metrics.values_mut().find(|one| one.name == new.name) {
            Some(metric) if metric.kind != new.kind => Err("metric: it was of another type before"),
            Some(metric) => {
                *metric = new;
                Ok(false)
            }
            None if many => Err("metric: too many"),
            None => {
                self.last_row = self.last_row.saturating_add(1);
                self.metrics.insert(self.last_row, new);
                Ok(true)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use contract::tenant::METRICS;

    use super::Report;
    use crate::tenants::word::{Health, Kind, Word};

    fn metric(name: &str, kind: Kind, value: &str) -> Word {
        Word::Metric { name: name.to_owned(), kind, value: value.to_owned() }
    }

    #[test]
    fn the_newest_counts_and_there_are_not_too_many() {
        let mut report = Report::default();
        assert_eq!(report.take(metric("a", Kind::Gauge, "1"), Some(7)), Ok(true), "a row more");
        assert_eq!(report.take(metric("a", Kind::Gauge, "2"), Some(8)), Ok(false), "only its value");
        assert_eq!(report.metrics[&1].value, "2");
        assert!(report.take(metric("a", Kind::Counter, "2"), None).is_err());
        for number in 1..METRICS {
            assert_eq!(report.take(metric(&format!("m{number}"), Kind::Gauge, "0"), None), Ok(true));
        }
        assert_eq!(report.take(metric("more", Kind::Gauge, "0"), None), Err("metric: too many"));
        assert_eq!(report.take(Word::NoMetric("a".to_owned()), None), Ok(true));
        assert_eq!(report.take(metric("more", Kind::Gauge, "0"), None), Ok(true), "there is room again");
        assert!(!report.metrics.contains_key(&1), "a row comes once");
    }

    #[test]
    fn health_is_news_when_it_is_another() {
        let mut report = Report::default();
        let word = |reason: &str| Word::Health(Health::Failing, reason.to_owned());
        assert_eq!(report.take(word("no disk"), None), Ok(true));
        assert_eq!(report.take(word("no disk"), None), Ok(false));
        assert_eq!(report.take(word("no line"), None), Ok(true));
    }
}
