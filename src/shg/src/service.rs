//! `shg service status|install|start|stop|restart|update|remove`.
//!
//! In:  a service's name, or where its bundle is. Out: what became of it on each gateway that is meant.
//!
//! A command that takes its time is waited for: its OperationComplete, and for bundles the `DUStateChange!` that follows. Progress is asked for
//! meanwhile. Where the wait ends first, the gateway goes on by itself.
//!
//! Not here: logs (`logs.rs`).

use std::collections::BTreeMap;
use std::env;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use usp::message::act::{CompleteKind, NotifyKind, Operate, OperationKind};
use usp::message::write::Add;
use usp::message::{Entry, RequestKind, ResponseKind};
use usp::{DESK, Msg};

use crate::command::Answer;
use crate::controller::{Asked, Desk, Fleet, code_words, notify};
use crate::error::Error;
use crate::gateway::{gather, get_of, response, subscribed, subscription, unsubscribe, values};
use crate::options::Options;
use crate::progress::Bar;

pub(crate) const MODULES: &str = "Device.SoftwareModules.";
/// How long a command is waited for where nothing else is said, in seconds.
const WAIT_S: u64 = 600;
/// How often progress is asked for.
const EVERY: Duration = Duration::from_secs(1);

type Row = BTreeMap<String, String>;

/// Rows of a table, by their names.
fn rows(found: &[(String, String)], table: &str) -> BTreeMap<String, Row> {
    let mut by_row: BTreeMap<&str, Row> = BTreeMap::new();
    for (path, value) in found {
        let rest = path.strip_prefix(MODULES).and_then(|rest| rest.strip_prefix(table));
        let Some((row, name)) = rest.and_then(|rest| rest.split_once('.')) else { continue };
        by_row.entry(row).or_default().insert(name.to_owned(), value.clone());
    }
    let named = by_row.into_values().filter_map(|row| Some((row.get("Name")?.clone(), row)));
    named.collect()
}

/// What runs, and how.
pub(crate) fn status(options: &Options) -> Result<Answer, Error> {
    let fleet = Fleet::open(options)?;
    let mut desk = Desk::open(&fleet, &fleet.chosen(options, false)?, options)?;
    let paths = ["ExecutionUnit.", "DeploymentUnit."].map(|table| format!("{MODULES}{table}"));
    let answers = desk.ask(|_| Some(get_of(&paths)))?;
    let only = options.words.first();
    let outcomes = answers.iter().enumerate().filter_map(|(place, answer)| {
        let outcome = values(answer.as_ref()?).and_then(|found| {
            let (units, bundles) = (rows(&found, "ExecutionUnit."), rows(&found, "DeploymentUnit."));
            let meant = units.into_iter().filter(|(name, _)| only.is_none_or(|only| only == name));
            let meant: Vec<(String, Row)> = meant.collect();
            match only {
                Some(only) if meant.is_empty() => Err(format!("service {only}: not there")),
                Some(_) | None => Ok(table(&meant, &bundles)),
            }
        });
        Some((desk.name(place), outcome))
    });
    Ok(gather(outcomes.collect()))
}

/// A time that the gateway does not know: its clock was not set then. Source: TR-106, "Unknown Time".
const UNKNOWN_TIME: &str = "0001-01-01T00:00:00Z";

/// What a program is told of a row: a time that is not known is `null`, and no time.
fn known(row: &Row) -> Map<String, Value> {
    let value =
        |value: &String| if value == UNKNOWN_TIME { Value::Null } else { Value::from(value.as_str()) };
    row.iter().map(|(name, text)| (name.clone(), value(text))).collect()
}

fn table(units: &[(String, Row)], bundles: &BTreeMap<String, Row>) -> (String, Value) {
    let head = ["SERVICE", "STATUS", "VERSION", "AUTOSTART", "MEMORY", "CPU", "BREACHES"];
    let line = |cells: [&str; 7]| {
        let [name, status, version, starts, memory, cpu, breaches] = cells;
        format!("{name:<24} {status:<10} {version:>10} {starts:>9} {memory:>12} {cpu:>5} {breaches:>8}")
    };
    let mut text = line(head) + "\n";
    let mut values = Vec::new();
    for (name, unit) in units {
        let of = |key: &str| unit.get(key).map(String::as_str).unwrap_or_default();
        let memory = format!("{} KiB", of("MemoryInUse"));
        let cpu = format!("{} %", of("CPUPercentInUse"));
        let cells = [
            name,
            of("Status"),
            of("Version"),
            of("AutoStart"),
            &memory,
            &cpu,
            of("X_SHG_Compliance.Breaches"),
        ];
        text.push_str(&line(cells));
        let fault = of("ExecutionFaultMessage");
        text.push_str(&if fault.is_empty() { "\n".to_owned() } else { format!("  {fault}\n") });
        values.push(json!({ "service": name, "unit": known(unit), "bundle": bundles.get(name).map(known) }));
    }
    (text, Value::Array(values))
}

/// A command for each gateway: its path, its arguments.
pub(crate) type Order = (String, Vec<(String, String)>);

/// How far a command is, on one gateway.
#[derive(Default)]
struct Wait {
    /// Its request's path.
    request: Option<String>,
    /// OperationComplete has come: what it said, or why it has failed.
    end: Option<Result<Row, String>>,
    /// The change of a unit that follows.
    change: Option<Row>,
    /// It has ended, one way or the other.
    outcome: Option<Result<Value, String>>,
}

fn entries(list: &[Entry<'_>]) -> Row {
    list.iter().map(|one| (one.key.to_string(), one.value.to_string())).collect()
}

/// What is to be done on each gateway that is meant.
pub(crate) struct Task<'t> {
    /// What a person calls it.
    pub(crate) what: &'t str,
    /// Below which the command is.
    pub(crate) object: &'t str,
    /// The change of a unit follows its end.
    pub(crate) unit: bool,
}

impl<'t> Task<'t> {
    fn of_modules(what: &'t str, unit: bool) -> Self {
        Self { what, object: MODULES, unit }
    }
}

/// Gives a command to all that are meant, and waits for its end, and for the change of the unit that follows where one does.
pub(crate) fn operate(
    options: &Options,
    task: &Task<'_>,
    make: impl Fn(&mut Desk<'_>) -> Result<Vec<Result<Order, String>>, Error>,
) -> Result<Answer, Error> {
    let fleet = Fleet::open(options)?;
    let mut desk = Desk::open(&fleet, &fleet.chosen(options, false)?, options)?;
    let wait_s = if options.has("wait") { options.number("wait")? } else { WAIT_S };
    let orders = make(&mut desk)?;
    let mut waits: Vec<Wait> = orders
        .iter()
        .map(|order| Wait { outcome: order.as_ref().err().map(|why| Err(why.clone())), ..Wait::default() })
        .collect();
    let &Task { what, unit, .. } = task;
    let subscriptions = subscribe(&mut desk, task, &mut waits)?;
    begin(&mut desk, &orders, (what, &mut waits))?;
    let until = Instant::now() + Duration::from_secs(wait_s);
    let outcome = wait(&mut desk, (what, unit), &mut waits, until);
    unsubscribe(&mut desk, &subscriptions)?;
    outcome?;
    let outcomes = waits.into_iter().enumerate().map(|(place, wait)| {
        let outcome = wait.outcome.unwrap_or_else(|| {
            let request = wait.request.unwrap_or_default();
            Err(format!("not within {wait_s} s; it goes on ({request})"))
        });
        (desk.name(place), outcome.map(|value| (format!("{what}: done{}\n", detail(&value)), value)))
    });
    Ok(gather(outcomes.collect()))
}

/// What of the outcome a person wants to know.
fn detail(value: &Value) -> String {
    let words: Vec<String> = ["Version", "UUID"]
        .iter()
        .filter_map(|key| {
            Some(format!(
                "{} {}",
                key.to_lowercase(),
                value.get(key)?.as_str().filter(|one| !one.is_empty())?
            ))
        })
        .collect();
    if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) }
}

fn subscribe(desk: &mut Desk<'_>, task: &Task<'_>, waits: &mut [Wait]) -> Result<Vec<Vec<String>>, Error> {
    let (end, change) = (desk.own("end"), desk.own("change"));
    let event = format!("{MODULES}DUStateChange!");
    let answers = desk.ask(|place| {
        waits.get(place).filter(|wait| wait.outcome.is_none())?;
        let mut create_objs = vec![subscription(&end, "OperationComplete", task.object)];
        if task.unit {
            create_objs.push(subscription(&change, "Event", &event));
        }
        Some(RequestKind::Add(Add { allow_partial: false, create_objs }))
    })?;
    let mut rows = Vec::new();
    for (answer, wait) in answers.iter().zip(waits) {
        match answer.as_ref().map(subscribed) {
            Some(Ok(made)) => rows.push(made),
            Some(Err(why)) => {
                wait.outcome = Some(Err(why));
                rows.push(Vec::new());
            }
            None => rows.push(Vec::new()),
        }
    }
    Ok(rows)
}

fn begin(
    desk: &mut Desk<'_>,
    orders: &[Result<Order, String>],
    (what, waits): (&str, &mut [Wait]),
) -> Result<(), Error> {
    let key = desk.own("key");
    let answers = desk.ask(|place| {
        waits.get(place).filter(|wait| wait.outcome.is_none())?;
        let (command, arguments) = orders.get(place)?.as_ref().ok()?;
        Some(RequestKind::Operate(Operate {
            command: command.as_str().into(),
            command_key: key.clone().into(),
            send_resp: true,
            input_args: arguments
                .iter()
                .map(|(name, value)| Entry::new(name.as_str(), value.as_str()))
                .collect(),
        }))
    })?;
    for (answer, wait) in answers.into_iter().zip(waits) {
        match answer.map(|answer| begun(&answer, what)) {
            Some(Ok(request)) => wait.request = Some(request),
            Some(Err(why)) => wait.outcome = Some(Err(why)),
            None => {}
        }
    }
    Ok(())
}

/// The request that waits for the end of the command that was given to `what`.
fn begun(answer: &Asked, what: &str) -> Result<String, String> {
    let bytes = answer.as_ref().map_err(Clone::clone)?;
    let Some(ResponseKind::Operate(operate)) = response(bytes) else {
        return Err("not an answer to Operate".to_owned());
    };
    // A search that finds nothing is no error to USP.
    let Some(one) = operate.operation_results.first() else {
        return Err(format!("{what}: not there"));
    };
    match &one.kind {
        Some(OperationKind::Request(request)) => Ok(request.to_string()),
        Some(OperationKind::Failure(failure)) => Err(code_words(failure.err_code, &failure.err_msg)),
        Some(OperationKind::Output(_)) | None => {
            Err("it was done at once, which was not expected".to_owned())
        }
    }
}

fn wait(
    desk: &mut Desk<'_>,
    (what, unit): (&str, bool),
    waits: &mut [Wait],
    until: Instant,
) -> Result<(), Error> {
    let key = desk.own("key");
    let mut bar: Option<Bar> = None;
    let mut look = Instant::now() + EVERY;
    while waits.iter().any(|wait| wait.outcome.is_none()) && Instant::now() < until {
        if let Some(news) = desk.news(until.min(look))? {
            let Some(wait) = waits.get_mut(news.gateway) else { continue };
            let Ok(message) = Msg::decode(&news.message, &DESK) else { continue };
            let Some(kind) = notify(&message).and_then(|notify| notify.kind.as_ref()) else { continue };
            take(wait, kind, (&key, unit));
            continue;
        }
        look = Instant::now() + EVERY;
        progress(desk, what, waits, &mut bar)?;
    }
    Ok(())
}

/// Takes a piece of news. The change of our unit is the first after our command's end: the gateway tells them in this order.
fn take(wait: &mut Wait, kind: &NotifyKind<'_>, (key, unit): (&str, bool)) {
    if let NotifyKind::OperationComplete(end) = kind
        && end.command_key == key
    {
        wait.end = Some(match &end.kind {
            Some(CompleteKind::Failure(failure)) => Err(code_words(failure.err_code, &failure.err_msg)),
            Some(CompleteKind::Output(output)) => Ok(entries(&output.output_args)),
            None => Ok(Row::new()),
        });
    } else if let NotifyKind::Event(event) = kind
        && wait.end.is_some()
        && wait.change.is_none()
    {
        wait.change = Some(entries(&event.params));
    }
    wait.outcome = match (&wait.end, &wait.change) {
        (None, _) => None,
        (Some(end), _) if !unit => Some(end.clone().map(|output| json!(output))),
        (Some(_), None) => None,
        (Some(Ok(_)), Some(change)) => Some(Ok(json!(change))),
        (Some(Err(why)), Some(change)) => Some(Err(fault(why, change))),
    };
}

/// Why, with the fault of the unit, which says more.
fn fault(why: &str, change: &Row) -> String {
    let of = |key: &str| change.get(key).map(String::as_str).unwrap_or_default();
    let number = of("Fault.FaultCode").parse().unwrap_or(0);
    if number == 0 { why.to_owned() } else { code_words(number, of("Fault.FaultString")) }
}

fn progress(desk: &mut Desk<'_>, what: &str, waits: &[Wait], bar: &mut Option<Bar>) -> Result<(), Error> {
    let paths: Vec<Vec<String>> = waits
        .iter()
        .map(|wait| {
            let request = wait.request.iter().filter(|_| wait.outcome.is_none());
            let names = ["X_SHG_BytesReceived", "X_SHG_BytesTotal"];
            request.flat_map(|request| names.map(|name| format!("{request}{name}"))).collect()
        })
        .collect();
    let answers = desk.ask(|place| Some(get_of(paths.get(place).filter(|paths| !paths.is_empty())?)))?;
    let (mut bytes, mut of) = (0, 0);
    for found in answers.iter().flatten().filter_map(|answer| values(answer).ok()) {
        for (path, value) in found {
            let number = value.parse::<u64>().unwrap_or(0);
            if path.ends_with("Total") { of += number } else { bytes += number }
        }
    }
    if of > 0 {
        bar.get_or_insert_with(|| Bar::new(what, of)).at(bytes);
    }
    Ok(())
}

fn word(options: &Options) -> &str {
    options.words.first().map(String::as_str).unwrap_or_default()
}

/// The same command for every gateway.
fn same(desk: &Desk<'_>, path: &str, arguments: &[(&str, &str)]) -> Vec<Result<Order, String>> {
    let arguments: Vec<(String, String)> =
        arguments.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    (0..desk.count()).map(|_| Ok((format!("{MODULES}{path}"), arguments.clone()))).collect()
}

/// A service's name, that of a search.
pub(crate) fn named(table: &str, name: &str) -> Result<String, Error> {
    contract::Name::new(name).map_err(|error| Error::Usage(format!("{name}: {error}")))?;
    Ok(format!("{table}.[Name==\"{name}\"]."))
}

/// Who may fetch a bundle: never on a command line, which others can read.
fn fetcher() -> Vec<(String, String)> {
    let named = [("SHG_REGISTRY_USER", "Username"), ("SHG_REGISTRY_PASSWORD", "Password")];
    named.iter().filter_map(|(name, argument)| Some(((*argument).to_owned(), env::var(name).ok()?))).collect()
}

/// Installs a bundle.
pub(crate) fn install(options: &Options) -> Result<Answer, Error> {
    let url = word(options);
    operate(options, &Task::of_modules(url, true), |desk| {
        let mut arguments = vec![("URL".to_owned(), url.to_owned())];
        arguments.extend(options.get("uuid").map(|uuid| ("UUID".to_owned(), uuid.to_owned())));
        arguments.extend(fetcher());
        let Some(slice) = options.get("slice") else {
            return Ok((0..desk.count())
                .map(|_| Ok((format!("{MODULES}InstallDU()"), arguments.clone())))
                .collect());
        };
        // Where the slice is, each gateway knows.
        let paths = [format!("{MODULES}{}Name", named("ExecEnv", slice)?)];
        let answers = desk.ask(|_| Some(get_of(&paths)))?;
        let orders = answers.iter().map(|answer| {
            let found = answer.as_ref().map_or(Ok(Vec::new()), values)?;
            let place = found.first().and_then(|(path, _)| path.strip_suffix("Name"));
            let place = place.ok_or_else(|| format!("slice {slice}: not there"))?;
            let mut arguments = arguments.clone();
            arguments.push(("ExecutionEnvRef".to_owned(), place.to_owned()));
            Ok((format!("{MODULES}InstallDU()"), arguments))
        });
        Ok(orders.collect())
    })
}

fn unit(options: &Options, command: &str, arguments: &[(&str, &str)]) -> Result<Answer, Error> {
    let path = named("ExecutionUnit", word(options))? + command;
    operate(options, &Task::of_modules(word(options), false), |desk| Ok(same(desk, &path, arguments)))
}

/// Starts a service.
pub(crate) fn start(options: &Options) -> Result<Answer, Error> {
    unit(options, "SetRequestedState()", &[("RequestedState", "Active")])
}

/// Stops one.
pub(crate) fn stop(options: &Options) -> Result<Answer, Error> {
    unit(options, "SetRequestedState()", &[("RequestedState", "Idle")])
}

/// Both.
pub(crate) fn restart(options: &Options) -> Result<Answer, Error> {
    unit(options, "Restart()", &[])
}

/// Puts a newer bundle in the place of an older one.
pub(crate) fn update(options: &Options) -> Result<Answer, Error> {
    let path = named("DeploymentUnit", word(options))? + "Update()";
    operate(options, &Task::of_modules(word(options), true), |desk| {
        let mut arguments = fetcher();
        arguments.extend(options.words.get(1).map(|url| ("URL".to_owned(), url.clone())));
        Ok((0..desk.count()).map(|_| Ok((format!("{MODULES}{path}"), arguments.clone()))).collect())
    })
}

/// Takes a bundle away.
pub(crate) fn remove(options: &Options) -> Result<Answer, Error> {
    let path = named("DeploymentUnit", word(options))? + "Uninstall()";
    let retain = if options.has("keep-data") { "true" } else { "false" };
    operate(options, &Task::of_modules(word(options), true), |desk| {
        Ok(same(desk, &path, &[("RetainData", retain)]))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Row, table};

    #[test]
    fn columns_stand_below_their_heads_and_times_are_times() {
        let cells =
            [("Status", "Active"), ("Version", "1795730297"), ("AutoStart", "false"), ("MemoryInUse", "784")];
        let unit: Row = cells.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let bundle: Row = [("Installed", "0001-01-01T00:00:00Z"), ("LastUpdate", "2026-11-26T12:00:00Z")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        let (text, values) =
            table(&[("hello".to_owned(), unit)], &BTreeMap::from([("hello".to_owned(), bundle)]));
        let ends: Vec<_> =
            text.lines().map(|line| line.find("AUTOSTART").or(line.find("    false"))).collect();
        assert!(ends[0].is_some() && ends[0] == ends[1], "{text}");
        let wants = serde_json::json!({ "Installed": null, "LastUpdate": "2026-11-26T12:00:00Z" });
        assert_eq!(values[0]["bundle"], wants, "a time that is not known is none");
    }
}
