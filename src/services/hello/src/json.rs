//! `/facts.json`: the same facts for programs.
//!
//! In:  facts. Out: a text of JSON. What cannot be seen is an object with the one key `hidden` and the reason.
//!
//! Not here: the page.
//!
//! Source: RFC 8259.

use std::fmt::{self, Write as _};

use crate::facts::Facts;
use crate::gateway::Told;
use crate::kernel::process::{Limit, Range, Status};
use crate::kernel::{Listed, Seen};
use crate::probe::Outcome;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing known.
    Null,
    /// Yes or no.
    Flag(bool),
    /// A whole number.
    Number(u64),
    /// A text.
    Text(String),
    /// Values in order.
    List(Vec<Value>),
    /// Values by key.
    Object(Vec<(&'static str, Value)>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => quote(text, f),
            Self::List(values) => {
                f.write_char('[')?;
                for (place, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if place == 0 { "" } else { "," })?;
                }
                f.write_char(']')
            }
            Self::Object(rows) => {
                f.write_char('{')?;
                for (place, (key, value)) in rows.iter().enumerate() {
                    write!(f, "{}\"{key}\":{value}", if place == 0 { "" } else { "," })?;
                }
                f.write_char('}')
            }
        }
    }
}

/// Source: RFC 8259 §7.
fn quote(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for letter in text.chars() {
        match letter {
            '"' | '\\' => write!(f, "\\{letter}")?,
            control if control < ' ' => write!(f, "\\u{:04x}", u32::from(control))?,
            plain => f.write_char(plain)?,
        }
    }
    f.write_char('"')
}

fn told(told: &Told) -> Value {
    Value::Object(vec![
        ("connected", Value::Flag(told.connected)),
        ("greeting", told.greeting.as_ref().map_or(Value::Null, text)),
        ("secrets", Value::List(told.secrets.iter().map(text).collect())),
    ])
}

fn text(value: impl fmt::Display) -> Value {
    Value::Text(value.to_string())
}

fn number(value: Option<impl Into<u64>>) -> Value {
    value.map_or(Value::Null, |value| Value::Number(value.into()))
}

fn flag(value: Option<bool>) -> Value {
    value.map_or(Value::Null, Value::Flag)
}

fn seen<T>(value: &Seen<T>, say: impl FnOnce(&T) -> Value) -> Value {
    match value {
        Ok(value) => say(value),
        Err(hidden) => Value::Object(vec![("hidden", text(hidden))]),
    }
}

fn listed<T>(list: &Listed<T>, say: impl FnMut(&T) -> Value) -> Value {
    Value::Object(vec![
        ("list", Value::List(list.shown.iter().map(say).collect())),
        ("more", number(u64::try_from(list.more).ok())),
    ])
}

/// The facts as one object.
#[must_use]
pub fn of(facts: &Facts) -> String {
    let object = Value::Object(vec![
        ("confined", Value::Flag(facts.is_confined())),
        ("local", text(facts.local)),
        ("peer", text(facts.peer)),
        ("uptime_ms", number(u64::try_from(facts.uptime.as_millis()).ok())),
        ("visits", Value::Number(facts.visits)),
        ("gateway", told(&facts.told)),
        ("own", seen(&facts.own, status)),
        ("users", seen(&facts.users, |ranges| Value::List(ranges.iter().map(range).collect()))),
        ("groups", seen(&facts.groups, |ranges| Value::List(ranges.iter().map(range).collect()))),
        ("processes", seen(&facts.processes, |list| listed(list, process))),
        ("namespaces", Value::List(facts.namespaces.iter().map(namespace).collect())),
        ("limits", seen(&facts.limits, |limits| Value::List(limits.iter().map(limit).collect()))),
        ("cgroup", cgroup(facts)),
        ("mounts", seen(&facts.mounts, |list| listed(list, mount))),
        ("links", seen(&facts.links, |list| listed(list, link))),
        ("addresses", seen(&facts.addresses, |list| listed(list, |address| text(address)))),
        ("machine", machine(facts)),
        ("tried", seen(&facts.answers, |answers| Value::List(answers.iter().map(answer).collect()))),
    ]);
    format!("{object}\n")
}

fn status(status: &Status) -> Value {
    let sets = status.capabilities.iter();
    Value::Object(vec![
        ("name", text(&status.name)),
        ("state", text(&status.state)),
        ("user", number(status.user)),
        ("group", number(status.group)),
        ("groups", Value::List(status.groups.iter().map(|group| number(Some(*group))).collect())),
        ("memory_kib", number(status.memory_kib)),
        ("threads", number(status.threads)),
        // Sixteen digits, as the kernel writes them: a number of JSON has no room for 64 bits everywhere.
        (
            "capabilities",
            Value::Object(
                sets.map(|(word, set)| {
                    (*word, set.map_or(Value::Null, |set| text(format_args!("{set:016x}"))))
                })
                .collect(),
            ),
        ),
        ("no_new_privileges", flag(status.no_new_privileges)),
        ("seccomp", number(status.seccomp)),
        ("filters", number(status.filters)),
        ("processors", text(&status.processors)),
    ])
}

fn range([inside, outside, count]: &Range) -> Value {
    Value::Object(vec![
        ("inside", number(Some(*inside))),
        ("outside", number(Some(*outside))),
        ("count", number(Some(*count))),
    ])
}

fn process((id, its): &(u32, Seen<Status>)) -> Value {
    Value::Object(vec![("number", number(Some(*id))), ("status", seen(its, status))])
}

fn namespace(namespace: &crate::kernel::namespaces::Namespace) -> Value {
    Value::Object(vec![
        ("kind", text(namespace.kind.0)),
        ("number", seen(&namespace.number, |its| Value::Number(*its))),
        ("own", flag(namespace.is_own())),
    ])
}

fn limit(limit: &Limit) -> Value {
    Value::Object(vec![
        ("what", text(&limit.what)),
        ("soft", text(&limit.soft)),
        ("hard", text(&limit.hard)),
        ("unit", text(&limit.unit)),
    ])
}

fn cgroup(facts: &Facts) -> Value {
    let files = facts.cgroup.files.iter().map(|(file, _, says)| (*file, seen(says, |its| text(its))));
    Value::Object(vec![
        ("path", seen(&facts.cgroup.path, |path| text(path))),
        ("files", Value::Object(files.collect())),
    ])
}

fn mount(mount: &crate::kernel::mounts::Mount) -> Value {
    Value::Object(vec![
        ("place", text(&mount.place)),
        ("kind", text(&mount.kind)),
        ("source", text(&mount.source)),
        ("read_only", Value::Flag(mount.read_only)),
        ("restrictions", Value::List(mount.restrictions.iter().map(text).collect())),
        ("options", text(&mount.options)),
        ("size_bytes", number(mount.room_bytes.map(|(size, _)| size))),
        ("used_bytes", number(mount.room_bytes.map(|(_, used)| used))),
    ])
}

fn link(link: &crate::kernel::links::Link) -> Value {
    Value::Object(vec![
        ("name", text(&link.name)),
        ("received_bytes", Value::Number(link.received_bytes)),
        ("sent_bytes", Value::Number(link.sent_bytes)),
    ])
}

fn machine(facts: &Facts) -> Value {
    let names = seen(&facts.names, |names| {
        Value::Object(vec![
            ("host", text(&names.host)),
            ("kernel", text(&names.kernel)),
            ("version", text(&names.version)),
            ("machine", text(&names.machine)),
        ])
    });
    let state = seen(&facts.state, |state| {
        Value::Object(vec![
            ("uptime_s", Value::Number(state.uptime.as_secs())),
            ("memory_bytes", Value::Number(state.memory_bytes)),
            ("free_bytes", Value::Number(state.free_bytes)),
            ("threads", number(Some(state.threads))),
        ])
    });
    Value::Object(vec![("names", names), ("state", state)])
}

fn answer(answer: &crate::probe::Answer) -> Value {
    let outcome = match answer.outcome {
        Outcome::Through => text("through"),
        Outcome::Refused(errno) => text(format_args!("{errno:?}")),
        Outcome::Ended => text("ended"),
    };
    Value::Object(vec![
        ("what", text(answer.tried.what)),
        ("call", text(answer.tried.call)),
        ("outcome", outcome),
    ])
}

#[cfg(test)]
mod tests {
    use super::Value;
    use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Flag),
            any::<u64>().prop_map(Value::Number),
            any::<String>().prop_map(Value::Text),
        ];
        leaf.prop_recursive(4, 32, 8, |inner| {
            let keyed = prop::collection::vec(inner.clone(), 0..3)
                .prop_map(|values| Value::Object(["a", "b", "c"].into_iter().zip(values).collect()));
            prop_oneof![prop::collection::vec(inner, 0..8).prop_map(Value::List), keyed]
        })
    }

    fn as_others_see_it(value: &Value) -> serde_json::Value {
        match value {
            Value::Null => serde_json::Value::Null,
            Value::Flag(flag) => (*flag).into(),
            Value::Number(number) => (*number).into(),
            Value::Text(text) => text.as_str().into(),
            Value::List(values) => values.iter().map(as_others_see_it).collect(),
            Value::Object(rows) => {
                rows.iter().map(|(key, value)| ((*key).to_owned(), as_others_see_it(value))).collect()
            }
        }
    }

    proptest! {
        #[test]
        fn another_reader_understands_the_same(value in values()) {
            let read: serde_json::Value = serde_json::from_str(&value.to_string()).unwrap();
            assert_eq!(read, as_others_see_it(&value));
        }
    }
}
