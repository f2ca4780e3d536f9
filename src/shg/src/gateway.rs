//! `shg gateway list|get|set|watch`.
//!
//! In:  paths of the data model. Out: values, news, or why not, gateway by gateway.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use usp::message::act::NotifyKind;
use usp::message::read::Get;
use usp::message::write::{
    Add, CreateObject, CreatedKind, Delete, ParamSetting, Set, UpdateObject, UpdatedKind,
};
use usp::message::{BodyKind, RequestKind, ResponseKind};
use usp::{DESK, Msg};

use crate::command::Answer;
use crate::controller::{Asked, Desk, Fleet, code_words, notify};
use crate::error::Error;
use crate::options::Options;

/// What `list` asks.
const LISTED: [&str; 3] = [
    "Device.DeviceInfo.SoftwareVersion",
    "Device.DeviceInfo.UpTime",
    "Device.SoftwareModules.ExecutionUnitNumberOfEntries",
];
/// How long a subscription holds that nobody has ended, in seconds: who watches longer begins anew.
const SUBSCRIPTION_S: &str = "86400";

/// What became of something on one gateway: for a person and for a program, or why not.
pub(crate) type Outcome = Result<(String, Value), String>;

/// The values of a Get's answer, with whole paths; or why one path has none.
pub(crate) fn values(answer: &Asked) -> Result<Vec<(String, String)>, String> {
    let bytes = answer.as_ref().map_err(Clone::clone)?;
    let Some(ResponseKind::Get(get)) = response(bytes) else { return Err("not an answer to Get".to_owned()) };
    let mut found = Vec::new();
    for path in &get.req_path_results {
        if path.err_code != 0 {
            return Err(format!("{}: {}", path.requested_path, code_words(path.err_code, &path.err_msg)));
        }
        for place in &path.resolved_path_results {
            let at = &place.resolved_path;
            found.extend(
                place.result_params.iter().map(|one| (format!("{at}{}", one.key), one.value.to_string())),
            );
        }
    }
    Ok(found)
}

/// The response in a message.
pub(crate) fn response(bytes: &[u8]) -> Option<ResponseKind<'_>> {
    match Msg::decode(bytes, &DESK).ok()?.body?.kind? {
        BodyKind::Response(response) => response.kind,
        BodyKind::Request(_) | BodyKind::Error(_) => None,
    }
}

/// A Get of `paths`.
pub(crate) fn get_of<'p>(paths: &'p [String]) -> RequestKind<'p> {
    RequestKind::Get(Get {
        param_paths: paths.iter().map(|path| path.as_str().into()).collect(),
        max_depth: 0,
    })
}

/// What came of it, gateway by gateway: lines and values; and how many have failed.
pub(crate) fn gather(outcomes: Vec<(&str, Outcome)>) -> Answer {
    let many = outcomes.len() > 1;
    let (mut text, mut rows, mut failed) = (String::new(), Vec::new(), Vec::new());
    for (gateway, outcome) in outcomes {
        match outcome {
            Ok((lines, value)) => {
                for line in lines.lines() {
                    text.push_str(&if many { format!("{gateway}: {line}\n") } else { format!("{line}\n") });
                }
                rows.push(json!({ "gateway": gateway, "result": value }));
            }
            Err(why) => {
                rows.push(json!({ "gateway": gateway, "error": why }));
                failed.push(format!("gateway {gateway}: {why}"));
            }
        }
    }
    let failed = (!failed.is_empty()).then(|| failed.join("\n     "));
    Answer { text, value: Value::Array(rows), failed }
}

/// Which gateways answer, and what they are.
pub(crate) fn list(options: &Options) -> Result<Answer, Error> {
    let fleet = Fleet::open(options)?;
    let chosen = fleet.chosen(options, true)?;
    let mut desk = Desk::open(&fleet, &chosen, options)?;
    let paths = LISTED.map(str::to_owned);
    let answers = desk.ask(|_| Some(get_of(&paths)))?;
    let mut text = format!("{:<32} {:<9} {:>10} {:>8}  LABELS\n", "GATEWAY", "VERSION", "UP", "SERVICES");
    let mut rows = Vec::new();
    for (gateway, answer) in chosen.iter().zip(answers.into_iter().flatten()) {
        let labels: Vec<String> =
            gateway.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let labels = labels.join(",");
        match values(&answer) {
            Ok(found) => {
                let value = |path: &str| {
                    let found = found.iter().find(|(one, _)| one == path);
                    found.map(|(_, value)| value.clone()).unwrap_or_default()
                };
                let [version, up_s, services] = LISTED.map(value);
                let up = span(up_s.parse().unwrap_or(0));
                let line = format!("{:<32} {version:<9} {up:>10} {services:>8}  {labels}", gateway.endpoint);
                text.push_str(&format!("{}\n", line.trim_end()));
                rows.push(json!({ "gateway": gateway.endpoint, "labels": gateway.labels, "answers": true,
                    "version": version, "up_s": up_s.parse::<u64>().ok(), "services": services.parse::<u64>().ok() }));
            }
            Err(why) => {
                let line = format!("{:<32} {why}  {labels}", gateway.endpoint);
                text.push_str(&format!("{}\n", line.trim_end()));
                rows.push(json!({ "gateway": gateway.endpoint, "labels": gateway.labels, "answers": false, "error": why }));
            }
        }
    }
    Ok(Answer { text, value: Value::Array(rows), failed: None })
}

fn span(seconds: u64) -> String {
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes:02}"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// Reads values.
pub(crate) fn get(options: &Options) -> Result<Answer, Error> {
    let fleet = Fleet::open(options)?;
    let mut desk = Desk::open(&fleet, &fleet.chosen(options, false)?, options)?;
    let answers = desk.ask(|_| Some(get_of(&options.words)))?;
    let outcomes = answers.iter().enumerate().filter_map(|(place, answer)| {
        let outcome = values(answer.as_ref()?).map(|found| {
            let lines = found.iter().map(|(path, value)| format!("{path} = {value}\n")).collect();
            let map: Map<String, Value> =
                found.into_iter().map(|(path, value)| (path, value.into())).collect();
            (lines, Value::Object(map))
        });
        Some((desk.name(place), outcome))
    });
    Ok(gather(outcomes.collect()))
}

fn update(word: &str) -> Result<(&str, &str, &str), Error> {
    let wrong = || Error::Usage(format!("{word}: it is PATH=VALUE"));
    let (path, value) = word
        .split_once('=')
        .filter(|(path, _)| !path.contains('['))
        .or_else(|| {
            // A search has = in it.
            let end = word.rfind(']')?;
            let (path, value) = word.get(end..)?.split_once('=')?;
            Some((word.get(..end + path.len())?, value))
        })
        .ok_or_else(wrong)?;
    let dot = path.rfind('.').ok_or_else(wrong)?;
    let (object, name) = path.split_at(dot + 1);
    if name.is_empty() { Err(wrong()) } else { Ok((object, name, value)) }
}

/// Sets values, all of a gateway's or none.
pub(crate) fn set(options: &Options) -> Result<Answer, Error> {
    let updates: Vec<(&str, &str, &str)> =
        options.words.iter().map(|word| update(word)).collect::<Result<_, _>>()?;
    let fleet = Fleet::open(options)?;
    let mut desk = Desk::open(&fleet, &fleet.chosen(options, false)?, options)?;
    let answers = desk.ask(|_| Some(set_of(&updates)))?;
    let outcomes = answers.into_iter().enumerate().filter_map(|(place, answer)| {
        let outcome = answer?.and_then(|bytes| updated(&bytes));
        Some((desk.name(place), outcome))
    });
    Ok(gather(outcomes.collect()))
}

/// A Set of all of them or none: object, parameter, value.
pub(crate) fn set_of<'u>(updates: &[(&'u str, &'u str, &'u str)]) -> RequestKind<'u> {
    let objects = updates.iter().map(|(object, name, value)| UpdateObject {
        obj_path: (*object).into(),
        param_settings: vec![ParamSetting { param: (*name).into(), value: (*value).into(), required: true }],
    });
    RequestKind::Set(Set { allow_partial: false, update_objs: objects.collect() })
}

/// What a Set has done: lines and values.
pub(crate) fn updated(bytes: &[u8]) -> Result<(String, Value), String> {
    let Some(ResponseKind::Set(set)) = response(bytes) else { return Err("not an answer to Set".to_owned()) };
    let (mut lines, mut map) = (String::new(), Map::new());
    for object in &set.updated_obj_results {
        match object.oper_status.as_ref().and_then(|status| status.kind.as_ref()) {
            Some(UpdatedKind::Success(updated)) => {
                for one in &updated.updated_inst_results {
                    for entry in &one.updated_params {
                        lines.push_str(&format!("{}{} = {}\n", one.affected_path, entry.key, entry.value));
                        map.insert(
                            format!("{}{}", one.affected_path, entry.key),
                            entry.value.to_string().into(),
                        );
                    }
                }
            }
            Some(UpdatedKind::Failure(failure)) => {
                return Err(format!(
                    "{}: {}",
                    object.requested_path,
                    code_words(failure.err_code, &failure.err_msg)
                ));
            }
            None => return Err(format!("{}: neither done nor refused", object.requested_path)),
        }
    }
    Ok((lines, Value::Object(map)))
}

/// A subscription of this run: its name, what is told, of what. It ends by itself, should we not end it.
pub(crate) fn subscription<'s>(id: &'s str, kind: &'s str, references: &'s str) -> CreateObject<'s> {
    let setting = |param: &'s str, value: &'s str| ParamSetting {
        param: param.into(),
        value: value.into(),
        required: true,
    };
    CreateObject {
        obj_path: "Device.LocalAgent.Subscription.".into(),
        param_settings: vec![
            setting("ID", id),
            setting("NotifType", kind),
            setting("ReferenceList", references),
            setting("NotifRetry", "true"),
            setting("TimeToLive", SUBSCRIPTION_S),
            setting("Enable", "true"),
        ],
    }
}

/// Adds subscriptions; what a gateway has called them.
pub(crate) fn subscribed(answer: &Asked) -> Result<Vec<String>, String> {
    let bytes = answer.as_ref().map_err(Clone::clone)?;
    let Some(ResponseKind::Add(add)) = response(bytes) else { return Err("not an answer to Add".to_owned()) };
    let made = add.created_obj_results.iter().map(|object| {
        match object.oper_status.as_ref().and_then(|status| status.kind.as_ref()) {
            Some(CreatedKind::Success(made)) => Ok(made.instantiated_path.to_string()),
            Some(CreatedKind::Failure(failure)) => Err(code_words(failure.err_code, &failure.err_msg)),
            None => Err("neither done nor refused".to_owned()),
        }
    });
    made.collect()
}

/// Ends subscriptions, each gateway's own.
pub(crate) fn unsubscribe(desk: &mut Desk<'_>, rows: &[Vec<String>]) -> Result<(), Error> {
    desk.ask(|place| {
        let rows = rows.get(place).filter(|rows| !rows.is_empty())?;
        let obj_paths = rows.iter().map(|row| row.as_str().into()).collect();
        Some(RequestKind::Delete(Delete { allow_partial: true, obj_paths }))
    })
    .map(drop)
}

/// What is told of a path, by how it ends.
fn kind(path: &str) -> &'static str {
    if path.ends_with('!') {
        "Event"
    } else if path.ends_with("()") {
        "OperationComplete"
    } else {
        "ValueChange"
    }
}

/// Shows news as it comes, until `--count` pieces have come, or for `--seconds`.
pub(crate) fn watch(options: &Options, out: &mut dyn Write) -> Result<(), Error> {
    let limit = |name: &str| if options.has(name) { options.number(name).map(Some) } else { Ok(None) };
    let (count, seconds) = (limit("count")?, limit("seconds")?);
    let fleet = Fleet::open(options)?;
    let mut desk = Desk::open(&fleet, &fleet.chosen(options, false)?, options)?;
    let ids: Vec<String> =
        (0..options.words.len()).map(|place| desk.own(&format!("watch-{place}"))).collect();
    let add = || {
        let objects = ids.iter().zip(&options.words).map(|(id, path)| subscription(id, kind(path), path));
        RequestKind::Add(Add { allow_partial: false, create_objs: objects.collect() })
    };
    let answers = desk.ask(|_| Some(add()))?;
    let mut rows = Vec::new();
    for (place, answer) in answers.iter().enumerate() {
        let made = answer.as_ref().map_or(Ok(Vec::new()), subscribed);
        rows.push(made.map_err(|why| Error::Refused(format!("gateway {}: {why}", desk.name(place))))?);
    }
    let until = seconds.and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
    let mut told = 0;
    let mut shown = Ok(());
    while shown.is_ok() && count.is_none_or(|count| told < count) {
        let next = Instant::now() + Duration::from_secs(1);
        if until.is_some_and(|until| Instant::now() >= until) {
            break;
        }
        let Some(news) = desk.news(until.map_or(next, |until| until.min(next)))? else { continue };
        let Ok(message) = Msg::decode(&news.message, &DESK) else { continue };
        let Some(told_of) = notify(&message).and_then(|notify| notify.kind.as_ref()) else { continue };
        let (text, value) = one(told_of);
        let gateway = desk.name(news.gateway);
        shown = if options.has("json") {
            writeln!(out, "{}", json!({ "gateway": gateway, "news": value }))
        } else if desk.count() > 1 {
            writeln!(out, "{gateway}: {text}")
        } else {
            writeln!(out, "{text}")
        };
        shown = shown.and_then(|()| out.flush());
        told += 1;
    }
    unsubscribe(&mut desk, &rows)?;
    Ok(shown?)
}

/// A piece of news, for a person and for a program.
pub(crate) fn one(kind: &NotifyKind<'_>) -> (String, Value) {
    let map = |entries: &[usp::message::Entry<'_>]| -> Map<String, Value> {
        entries.iter().map(|one| (one.key.to_string(), one.value.to_string().into())).collect()
    };
    let words = |entries: &[usp::message::Entry<'_>]| {
        let words: Vec<String> = entries.iter().map(|one| format!("{}={}", one.key, one.value)).collect();
        words.join(" ")
    };
    match kind {
        NotifyKind::Event(event) => {
            let path = format!("{}{}", event.obj_path, event.event_name);
            (
                format!("{path} {}", words(&event.params)),
                json!({ "event": path, "arguments": map(&event.params) }),
            )
        }
        NotifyKind::ValueChange(change) => (
            format!("{} = {}", change.param_path, change.param_value),
            json!({ "path": change.param_path, "value": change.param_value }),
        ),
        NotifyKind::ObjectCreation(made) => {
            (format!("{} is there", made.obj_path), json!({ "created": made.obj_path }))
        }
        NotifyKind::ObjectDeletion(gone) => {
            (format!("{} is gone", gone.obj_path), json!({ "deleted": gone.obj_path }))
        }
        NotifyKind::OperationComplete(end) => {
            use usp::message::act::CompleteKind;
            let command = format!("{}{}", end.obj_path, end.command_name);
            match &end.kind {
                Some(CompleteKind::Failure(failure)) => {
                    let why = code_words(failure.err_code, &failure.err_msg);
                    (format!("{command} failed: {why}"), json!({ "command": command, "error": why }))
                }
                Some(CompleteKind::Output(output)) => (
                    format!("{command} has ended {}", words(&output.output_args)),
                    json!({ "command": command, "output": map(&output.output_args) }),
                ),
                None => (format!("{command} has ended"), json!({ "command": command })),
            }
        }
        NotifyKind::OnBoardRequest(request) => {
            let who = format!("{}-{}", request.oui, request.serial_number);
            (format!("{who} wants to be taken into the fleet"), json!({ "onboard": who }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{kind, span, update};

    #[test]
    fn words_are_paths_and_values() {
        let table = [
            ("Device.A.B=1", Some(("Device.A.", "B", "1"))),
            ("Device.A.B=a=b", Some(("Device.A.", "B", "a=b"))),
            ("Device.A.B=", Some(("Device.A.", "B", ""))),
            ("Device.A.[N==\"x\"].B=1", Some(("Device.A.[N==\"x\"].", "B", "1"))),
            ("Device.A.", None),
            ("Device.A.=1", None),
            ("B=1", None),
        ];
        for (word, want) in table {
            assert_eq!(update(word).ok(), want, "{word}");
        }
        assert_eq!([kind("A.B!"), kind("A.B()"), kind("A.B")], ["Event", "OperationComplete", "ValueChange"]);
        assert_eq!([span(59), span(3_700), span(90_000)], ["0 min", "1 h 01", "1 d 1 h"]);
    }
}
