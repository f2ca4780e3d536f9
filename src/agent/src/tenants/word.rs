//! The words between a service and the agent: a JSON object a line.
//!
//! In:  a line of a service's, which may hold anything. Out: a [`Word`], checked; and lines for services.
//!
//! Pure. Source: docs/tenant.md, which is what authors of services read; RFC 8259.

use std::collections::BTreeMap;

use contract::tenant::{ARGUMENTS, WORD_BYTES};
use serde::Deserialize;
use serde_json::{Value, json};

/// Letters of a reason, and of a value that comes with an event.
const TEXT_BYTES: usize = 256;
/// The largest number: beyond it a double does not hold whole ones one by one.
const NUMBER_MAX: f64 = 1e15;

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It goes up and down.
    Gauge,
    /// It counts since the service's start.
    Counter,
}

impl Kind {
    /// Its word in the tree.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Gauge => "Gauge",
            Self::Counter => "Counter",
        }
    }
}

/// How a service says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Health {
    /// It does not say.
    #[default]
    Unknown,
    /// Well.
    Good,
    /// Not well.
    Failing,
}

impl Health {
    /// Its word in the tree.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "Unknown",
            Self::Good => "Good",
            Self::Failing => "Failing",
        }
    }
}

/// What a service says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// A metric has this value.
    Metric {
        /// Its name.
        name: String,
        /// What it is.
        kind: Kind,
        /// Its value: a decimal number.
        value: String,
    },
    /// A metric is there no more.
    NoMetric(String),
    /// Something happened.
    Event {
        /// What.
        name: String,
        /// What goes with it.
        data: Vec<(String, String)>,
    },
    /// How it is, and why.
    Health(Health, String),
    /// It does its work from now on.
    Ready,
}

/// A line that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The number by which an answer is wanted.
    pub id: Option<u64>,
    /// The word, or why it is none.
    pub word: Result<Word, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: Option<u64>,
    metric: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    value: Option<f64>,
    event: Option<String>,
    data: Option<BTreeMap<String, Value>>,
    health: Option<String>,
    reason: Option<String>,
    ready: Option<bool>,
}

/// A name as metrics, events and settings have it: a letter, then letters, digits, `_`, `-`, `.`; `None`: it is none.
#[must_use]
pub fn name(text: &str) -> Option<String> {
    let mut letters = text.chars();
    let first = letters.next().is_some_and(|letter| letter.is_ascii_alphabetic());
    let rest = letters.all(|letter| letter.is_ascii_alphanumeric() || "_-.".contains(letter));
    (first && rest && text.len() <= WORD_BYTES).then(|| text.to_owned())
}

/// A number as the tree has it: decimal, six places at most. Source: TR-106 §3.2 (xsd:decimal).
#[must_use]
pub fn number(value: f64) -> String {
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Reads a line, without its end.
#[must_use]
pub fn read(line: &[u8]) -> Said {
    match serde_json::from_slice::<Line>(line) {
        Ok(line) => Said { id: line.id, word: check(line) },
        Err(error) => Said { id: None, word: Err(error.to_string()) },
    }
}

fn check(line: Line) -> Result<Word, String> {
    let stray = |what: &str, there: bool| if there { Err(format!("{what}: not with this")) } else { Ok(()) };
    match (&line.metric, &line.event, &line.health, line.ready) {
        (Some(_), None, None, None) => {
            stray("data", line.data.is_some())?;
            stray("reason", line.reason.is_some())?;
            metric(line)
        }
        (None, Some(event), None, None) => {
            stray("value", line.value.is_some() || line.kind.is_some())?;
            stray("reason", line.reason.is_some())?;
            let name = name(event).ok_or("event: no name")?;
            Ok(Word::Event { name, data: data(line.data.unwrap_or_default())? })
        }
        (None, None, Some(health), None) => {
            stray("value", line.value.is_some() || line.kind.is_some())?;
            stray("data", line.data.is_some())?;
            let health = match health.as_str() {
                "good" => Health::Good,
                "failing" => Health::Failing,
                _ => return Err("health: good or failing".to_owned()),
            };
            Ok(Word::Health(health, text("reason", line.reason.unwrap_or_default())?))
        }
        (None, None, None, Some(true)) => {
            stray("value", line.value.is_some() || line.kind.is_some())?;
            stray("data", line.data.is_some())?;
            stray("reason", line.reason.is_some())?;
            Ok(Word::Ready)
        }
        (None, None, None, Some(false)) => Err("ready: true".to_owned()),
        _ => Err("one of metric, event, health, ready".to_owned()),
    }
}

fn metric(line: Line) -> Result<Word, String> {
    let name = line.metric.as_deref().and_then(name).ok_or("metric: no name")?;
    let Some(value) = line.value else { return Ok(Word::NoMetric(name)) };
    let kind = match line.kind.as_deref() {
        None | Some("gauge") => Kind::Gauge,
        Some("counter") => Kind::Counter,
        Some(_) => return Err("type: gauge or counter".to_owned()),
    };
    let least = if kind == Kind::Counter { 0.0 } else { -NUMBER_MAX };
    if !(least..=NUMBER_MAX).contains(&value) {
        return Err(format!("value: {} to {}", number(least), number(NUMBER_MAX)));
    }
    Ok(Word::Metric { name, kind, value: number(value) })
}

fn data(all: BTreeMap<String, Value>) -> Result<Vec<(String, String)>, String> {
    if all.len() > ARGUMENTS {
        return Err(format!("data: more than {ARGUMENTS}"));
    }
    let one = |(key, value): (String, Value)| {
        let key = name(&key).ok_or("data: no name")?;
        let value = match value {
            Value::String(value) => text("data", value)?,
            Value::Bool(value) => value.to_string(),
            Value::Number(value) => value.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                return Err(format!("data: {key} is no text, number or boolean"));
            }
        };
        Ok((key, value))
    };
    all.into_iter().map(one).collect()
}

fn text(what: &str, text: String) -> Result<String, String> {
    let good = text.len() <= TEXT_BYTES && !text.chars().any(char::is_control);
    if good {
        Ok(text)
    } else {
        Err(format!("{what}: a text of {TEXT_BYTES} bytes without control characters"))
    }
}

fn line(value: &Value) -> Vec<u8> {
    format!("{value}\n").into_bytes()
}

/// The first line that a service hears: who it is to us.
#[must_use]
pub fn hello(service: &str) -> Vec<u8> {
    line(&json!({"gateway": 1, "service": service}))
}

/// A value of its configuration, or a secret; `None`: it is there no more.
#[must_use]
pub fn given(is_secret: bool, name: &str, value: Option<&str>) -> Vec<u8> {
    let kind = if is_secret { "secret" } else { "configuration" };
    line(&json!({kind: name, "value": value}))
}

/// All that there is to be told has been told.
#[must_use]
pub fn all() -> Vec<u8> {
    line(&json!({"all": true}))
}

/// What became of a line; `None`: nobody wants to know.
#[must_use]
pub fn answer(id: Option<u64>, outcome: Result<(), &str>) -> Option<Vec<u8>> {
    match (id, outcome) {
        (None, Ok(())) => None,
        (Some(id), Ok(())) => Some(line(&json!({"done": id}))),
        (None, Err(why)) => Some(line(&json!({"error": why}))),
        (Some(id), Err(why)) => Some(line(&json!({"error": why, "id": id}))),
    }
}

#[cfg(test)]
mod tests {
    use super::{Health, Kind, Word, answer, given, number, read};

    #[test]
    fn lines_are_read() {
        let gauge = |name: &str, kind, value: &str| {
            Ok(Word::Metric { name: name.to_owned(), kind, value: value.to_owned() })
        };
        let event = |data: &[(&str, &str)]| {
            let data = data.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
            Ok(Word::Event { name: "door".to_owned(), data })
        };
        let table: &[(&str, Result<Word, &str>)] = &[
            (r#"{"metric":"t","value":21.50}"#, gauge("t", Kind::Gauge, "21.5")),
            (r#"{"metric":"n.x-y_1","type":"counter","value":3}"#, gauge("n.x-y_1", Kind::Counter, "3")),
            (r#"{"metric":"t"}"#, Ok(Word::NoMetric("t".to_owned()))),
            (r#"{"event":"door"}"#, event(&[])),
            (
                r#"{"event":"door","data":{"open":true,"by":"me","n":7}}"#,
                event(&[("by", "me"), ("n", "7"), ("open", "true")]),
            ),
            (r#"{"health":"good"}"#, Ok(Word::Health(Health::Good, String::new()))),
            (
                r#"{"health":"failing","reason":"no disk"}"#,
                Ok(Word::Health(Health::Failing, "no disk".to_owned())),
            ),
            (r#"{"health":"splendid"}"#, Err("health")),
            (r#"{"metric":"1t","value":1}"#, Err("metric")),
            (r#"{"metric":"t","type":"counter","value":-1}"#, Err("value: 0 to")),
            (r#"{"metric":"t","value":1e16}"#, Err("value")),
            (r#"{"metric":"t","value":1e999}"#, Err("range")),
            (r#"{"metric":"t","value":"1"}"#, Err("invalid type")),
            (r#"{"metric":"t","value":1,"value":2}"#, Err("duplicate field")),
            (r#"{"metric":"t","event":"e"}"#, Err("one of")),
            (r#"{"event":"door","data":{"a":[1]}}"#, Err("data: a is")),
            (r#"{"event":"door","value":1}"#, Err("value: not with this")),
            (r#"{"event":"door","who":"me"}"#, Err("unknown field")),
            ("{}", Err("one of")),
            ("[]", Err("invalid")),
            ("", Err("EOF")),
            ("{\"event\":\"door\",\"data\":{\"a\":\"\\u0007\"}}", Err("control")),
        ];
        for (text, want) in table {
            let got = read(text.as_bytes()).word;
            match (&got, want) {
                (Err(got), Err(want)) => assert!(got.contains(want), "{text}: {got}"),
                _ => assert_eq!(got.as_ref().ok(), want.as_ref().ok(), "{text}: {got:?}"),
            }
        }
        let nine = (0..9).map(|one| format!("\"k{one}\":1")).collect::<Vec<_>>().join(",");
        assert!(read(format!("{{\"event\":\"door\",\"data\":{{{nine}}}}}").as_bytes()).word.is_err());
        assert_eq!(read(br#"{"id":9,"health":"good"}"#).id, Some(9));
        let deep = format!("{{\"data\":{}", "[".repeat(4000));
        assert!(read(deep.as_bytes()).word.is_err(), "depth has a limit");
    }

    #[test]
    fn lines_are_written() {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        assert_eq!(text(given(false, "a", Some("x\"y"))), "{\"configuration\":\"a\",\"value\":\"x\\\"y\"}\n");
        assert_eq!(text(given(true, "a", None)), "{\"secret\":\"a\",\"value\":null}\n");
        assert_eq!(answer(None, Ok(())), None);
        assert_eq!(text(answer(Some(7), Err("no")).unwrap()), "{\"error\":\"no\",\"id\":7}\n");
    }

    #[test]
    fn numbers_are_decimal() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1e15, "1000000000000000"),
            (0.1, "0.1"),
            (-2.5, "-2.5"),
            (1e-9, "0"),
            (100.0, "100"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
