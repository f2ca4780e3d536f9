//! `shg conform modules`: does an agent keep the rules of TR-181's Software Modules? Any agent that speaks USP, ours or another's.
//!
//! In:  a gateway of the fleet, where two releases of one bundle are. Out: a row for each rule, and whether it was kept. The bundle is gone at the
//! end.
//!
//! It begins as a controller that knows nothing: paths come from the agent's own answers.
//!
//! Source: TR-369 §7.7 (R-OPR), §A.1 (R-SMM); TR-181 2.19.1, `Device.SoftwareModules.` (faults 7223, 7226; OperationComplete goes before
//! `DUStateChange!`).

mod environments;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use usp::message::RequestKind;
use usp::message::act::{CompleteKind, NotifyKind, Operate, OperationKind};
use usp::message::write::Add;
use usp::message::{Entry, ResponseKind};
use usp::{DESK, Msg};

use crate::command::Answer;
use crate::controller::{Desk, Fleet, notify};
use crate::error::Error;
use crate::gateway::{get_of, response, set_of, subscribed, subscription, unsubscribe, updated, values};
use crate::options::Options;

const MODULES: &str = "Device.SoftwareModules.";
/// How long one operation is waited for where nothing else is said, in seconds.
const WAIT_S: u64 = 600;
/// A unit's name everywhere, for this suite. Source: RFC 9562 §5.5 (version 5).
const UUID: &str = "b3b3d1f0-6d5c-5b44-9c0e-6f1f0c6a5e11";
/// A row that no agent has.
const NOWHERE: &str = "Device.SoftwareModules.ExecEnv.4711";
/// Nobody listens there (RFC 6335: port 1, tcpmux).
const DEAD: &str = "https://127.0.0.1:1/nobody:1";

type Row = BTreeMap<String, String>;
/// A rule was broken: how.
type Kept = Result<(), String>;

/// What came of a rule.
#[derive(Debug)]
enum Verdict {
    Kept,
    Broken(String),
    /// The agent has nothing that it is about, and need not.
    Skipped(String),
}

/// What came of one command.
#[derive(Debug, Default)]
struct Story {
    /// The row of `Request`, where the command took its time.
    request: Option<String>,
    /// Why it was refused at once.
    refused: Option<u32>,
    /// OperationComplete, or `DUStateChange!`, in the order in which they came.
    news: Vec<News>,
}

#[derive(Debug)]
enum News {
    /// What it says, or its error.
    Complete(Result<Row, u32>),
    /// The event's arguments.
    Change(Row),
}

impl Story {
    fn complete(&self) -> Option<&Result<Row, u32>> {
        self.news.iter().find_map(|one| if let News::Complete(end) = one { Some(end) } else { None })
    }

    fn change(&self) -> Option<&Row> {
        self.news.iter().find_map(|one| if let News::Change(row) = one { Some(row) } else { None })
    }

    fn of_change(&self, key: &str) -> &str {
        self.change().and_then(|row| row.get(key)).map(String::as_str).unwrap_or_default()
    }
}

/// The suite on its way.
struct Suite<'d, 'f> {
    desk: &'d mut Desk<'f>,
    asked: u32,
    wait: Duration,
    rows: Vec<(&'static str, &'static str, Verdict)>,
}

/// Runs it.
pub(crate) fn modules(options: &Options) -> Result<Answer, Error> {
    let fleet = Fleet::open(options)?;
    let chosen = fleet.chosen(options, false)?;
    if chosen.len() != 1 {
        return Err(Error::Usage("conform: one gateway".to_owned()));
    }
    let (first, second) = (options.need("url")?.to_owned(), options.need("next")?.to_owned());
    let wait_s = if options.has("wait") { options.number("wait")? } else { WAIT_S };
    let mut desk = Desk::open(&fleet, &chosen, options)?;
    let kinds = [("OperationComplete", MODULES), ("Event", "Device.SoftwareModules.DUStateChange!")];
    let ids = [desk.own("complete"), desk.own("change")];
    let create_objs =
        ids.iter().zip(kinds).map(|(id, (kind, reference))| subscription(id, kind, reference)).collect();
    let add = Add { allow_partial: false, create_objs };
    let answers = desk.ask(|_| Some(RequestKind::Add(add.clone())))?;
    let subscriptions: Vec<Vec<String>> = answers
        .iter()
        .flatten()
        .map(|answer| subscribed(answer).map_err(Error::Refused))
        .collect::<Result<_, Error>>()?;
    let mut suite = Suite { desk: &mut desk, asked: 0, wait: Duration::from_secs(wait_s), rows: Vec::new() };
    let ran = suite.run(&first, &second);
    let rows = suite.rows;
    unsubscribe(&mut desk, &subscriptions)?;
    ran?;
    Ok(table(rows))
}

fn table(rows: Vec<(&'static str, &'static str, Verdict)>) -> Answer {
    let (mut text, mut list, mut broken) = (String::new(), Vec::new(), 0_usize);
    for (source, rule, verdict) in rows {
        let (word, why) = match &verdict {
            Verdict::Kept => ("kept", ""),
            Verdict::Broken(why) => ("BROKEN", why.as_str()),
            Verdict::Skipped(why) => ("skipped", why.as_str()),
        };
        text.push_str(format!("{word:<7} {source:<26} {rule} {why}").trim_end());
        text.push('\n');
        broken += usize::from(matches!(verdict, Verdict::Broken(_)));
        let (kept, skipped) = (matches!(verdict, Verdict::Kept), matches!(verdict, Verdict::Skipped(_)));
        list.push(json!({ "source": source, "rule": rule, "kept": kept, "skipped": skipped, "why": why }));
    }
    let why = (broken > 0).then(|| format!("{broken} of {} rules were broken", list.len()));
    Answer { text, value: Value::Array(list), failed: why }
}

fn row_of(entries: &[Entry<'_>]) -> Row {
    entries.iter().map(|one| (one.key.to_string(), one.value.to_string())).collect()
}

fn must(holds: bool, why: impl FnOnce() -> String) -> Kept {
    if holds { Ok(()) } else { Err(why()) }
}

impl Suite<'_, '_> {
    fn note(&mut self, source: &'static str, rule: &'static str, kept: Kept) {
        self.rows.push((source, rule, kept.map_or_else(Verdict::Broken, |()| Verdict::Kept)));
    }

    fn skip(&mut self, source: &'static str, rule: &'static str, why: &str) {
        self.rows.push((source, rule, Verdict::Skipped(why.to_owned())));
    }

    /// Values below a path.
    fn get(&mut self, path: &str) -> Result<Result<Row, String>, Error> {
        let paths = [path.to_owned()];
        let answers = self.desk.ask(|_| Some(get_of(&paths)))?;
        let first = answers.into_iter().flatten().next();
        let found = first.map(|answer| values(&answer));
        Ok(found.unwrap_or_else(|| Err("no answer".to_owned())).map(|list| list.into_iter().collect()))
    }

    /// One value.
    fn value(&mut self, path: &str) -> Result<String, Error> {
        Ok(self.get(path)?.ok().and_then(|row| row.into_values().next()).unwrap_or_default())
    }

    /// Waits until a value is this one; the last that was there.
    fn becomes(&mut self, path: &str, want: &str) -> Result<String, Error> {
        let until = Instant::now() + self.wait;
        loop {
            let value = self.value(path)?;
            if value == want || Instant::now() >= until {
                return Ok(value);
            }
            let _ = self.desk.news(Instant::now() + Duration::from_millis(200))?;
        }
    }

    /// Sets one value; or why not.
    fn set(&mut self, object: &str, name: &str, value: &str) -> Result<Kept, Error> {
        let answers = self.desk.ask(|_| Some(set_of(&[(object, name, value)])))?;
        let answer = answers.into_iter().flatten().next();
        let answer = answer.unwrap_or_else(|| Err("no answer".to_owned()));
        Ok(answer.and_then(|bytes| updated(&bytes)).map(drop))
    }

    /// Gives a command and waits for its end; with `unit`, for the change of a unit, too.
    fn operate(&mut self, command: &str, arguments: &[(&str, &str)], unit: bool) -> Result<Story, Error> {
        self.asked += 1;
        let key = self.desk.own(&format!("key-{}", self.asked));
        let input_args = arguments.iter().map(|(name, value)| Entry::new(*name, *value)).collect();
        let command_key = key.clone().into();
        let operate = Operate { command: command.into(), command_key, send_resp: true, input_args };
        let answers = self.desk.ask(|_| Some(RequestKind::Operate(operate.clone())))?;
        let answer = answers.into_iter().flatten().next();
        let bytes = answer.unwrap_or_else(|| Err("no answer".to_owned())).map_err(Error::Refused)?;
        let mut story = Story::default();
        let Some(ResponseKind::Operate(said)) = response(&bytes) else {
            return Err(Error::Refused(format!("{command}: not an answer to Operate")));
        };
        match said.operation_results.first().and_then(|one| one.kind.as_ref()) {
            Some(OperationKind::Request(request)) => story.request = Some(request.to_string()),
            Some(OperationKind::Failure(failure)) => story.refused = Some(failure.err_code),
            Some(OperationKind::Output(_)) | None => {}
        }
        let until = Instant::now() + self.wait;
        while story.request.is_some() && (story.complete().is_none() || (unit && story.change().is_none())) {
            let Some(news) = self.desk.news(until)? else { break };
            let Ok(message) = Msg::decode(&news.message, &DESK) else { continue };
            match notify(&message).and_then(|one| one.kind.as_ref()) {
                Some(NotifyKind::OperationComplete(end)) if end.command_key == key => {
                    story.news.push(News::Complete(match &end.kind {
                        Some(CompleteKind::Output(output)) => Ok(row_of(&output.output_args)),
                        Some(CompleteKind::Failure(failure)) => Err(failure.err_code),
                        None => Err(0),
                    }));
                }
                Some(NotifyKind::Event(event)) if event.event_name == "DUStateChange!" => {
                    story.news.push(News::Change(row_of(&event.params)));
                }
                Some(_) | None => {}
            }
        }
        Ok(story)
    }

    fn run(&mut self, first: &str, second: &str) -> Result<(), Error> {
        self.model()?;
        self.refusals()?;
        self.environments()?;
        let Some(unit) = self.install(first)? else { return Ok(()) };
        self.again(first)?;
        self.start_and_stop(&unit)?;
        self.update(&unit, second)?;
        self.remove(&unit)
    }

    /// What is there before anything was done.
    fn model(&mut self) -> Result<(), Error> {
        let found = self.get(MODULES)?;
        let counts = ["ExecEnv", "DeploymentUnit", "ExecutionUnit"];
        let kept = found.clone().and_then(|row| {
            let missing =
                counts.iter().find(|name| !row.contains_key(&format!("{MODULES}{name}NumberOfEntries")));
            must(missing.is_none(), || format!("no {}NumberOfEntries", missing.unwrap_or(&"")))
        });
        self.note("TR-181 SM_Baseline:1", "environments, units and their numbers are told", kept);
        let statuses: Vec<String> = found
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(path, value)| {
                let (_, name) = path.strip_prefix("Device.SoftwareModules.ExecEnv.")?.split_once('.')?;
                (name == "Status").then_some(value)
            })
            .collect();
        let words = ["Up", "Error", "Disabled", "Restarting"];
        let wrong = statuses.iter().find(|status| !words.contains(&status.as_str())).cloned();
        let kept = must(!statuses.is_empty() && wrong.is_none(), || {
            format!("Status: {wrong:?} of {}", statuses.len())
        });
        self.note("TR-181 SM_ExecEnvs:1", "each environment has one of four states", kept);
        Ok(())
    }

    /// What cannot be done is said at its own place, and leaves nothing.
    fn refusals(&mut self) -> Result<(), Error> {
        let install = format!("{MODULES}InstallDU()");
        let story = self.operate(&install, &[], false)?;
        let kept = must(story.refused == Some(7027), || format!("{:?}", story.refused));
        self.note("R-OPR.5", "InstallDU() without URL is refused with 7027", kept);
        let before = self.value(&format!("{MODULES}DeploymentUnitNumberOfEntries"))?;
        let story = self.operate(&install, &[("URL", DEAD), ("UUID", UUID)], true)?;
        let kept = must(story.request.is_some(), || format!("{story:?}"));
        self.note("R-OPR.0", "a command that takes its time has a row in Request", kept);
        let failed = matches!(story.complete(), Some(Err(_))) && story.of_change("CurrentState") == "Failed";
        let kept = must(failed && story.of_change("Fault.FaultCode") != "0", || format!("{:?}", story.news));
        self.note("TR-181 DUStateChange!", "an install that cannot be fetched fails, with a fault", kept);
        let ordered = matches!(story.news.as_slice(), [News::Complete(_), News::Change(_)]);
        self.note(
            "TR-181 DUStateChange!",
            "OperationComplete goes first",
            must(ordered, || format!("{:?}", story.news)),
        );
        let after = self.value(&format!("{MODULES}DeploymentUnitNumberOfEntries"))?;
        self.note(
            "R-SMM.1",
            "a failed install leaves no unit",
            must(before == after, || format!("{before}, then {after}")),
        );
        let gone = story.request.clone().unwrap_or_default();
        let kept = self.get(&gone)?.map_or(Ok(()), |row| Err(format!("{row:?}")));
        self.note("R-OPR.0", "the row goes when the command has ended", kept);
        let story = self.operate(&install, &[("URL", DEAD), ("ExecutionEnvRef", NOWHERE)], true)?;
        let code = story.of_change("Fault.FaultCode").to_owned();
        self.note(
            "TR-181 fault 7223",
            "an environment that is not there",
            must(code == "7223", || code.clone()),
        );
        Ok(())
    }

    /// A unit comes; its row.
    fn install(&mut self, first: &str) -> Result<Option<String>, Error> {
        let story =
            self.operate(&format!("{MODULES}InstallDU()"), &[("URL", first), ("UUID", UUID)], true)?;
        let good = matches!(story.complete(), Some(Ok(_))) && story.of_change("CurrentState") == "Installed";
        self.note("TR-181 InstallDU()", "a unit is installed", must(good, || format!("{story:?}")));
        let kept = must(story.of_change("UUID") == UUID, || story.of_change("UUID").to_owned());
        self.note("TR-181 InstallDU()", "it has the UUID that was said", kept);
        let kept =
            must(story.of_change("OperationPerformed") == "Install", || format!("{:?}", story.change()));
        self.note("TR-181 DUStateChange!", "it says which operation it was", kept);
        let unit = story.of_change("DeploymentUnitRef").trim_end_matches('.').to_owned();
        if !good || unit.is_empty() {
            return Ok(None);
        }
        let row = self.get(&format!("{unit}."))?.unwrap_or_default();
        let of = |name: &str| row.get(&format!("{unit}.{name}")).cloned().unwrap_or_default();
        let kept = must(of("Status") == "Installed" && of("UUID") == UUID, || format!("{row:?}"));
        self.note("TR-181 DeploymentUnit", "its row says so, too", kept);
        let units = of("ExecutionUnitList");
        self.note("TR-181 DeploymentUnit", "it has execution units", must(!units.is_empty(), String::new));
        Ok(Some(unit))
    }

    fn again(&mut self, first: &str) -> Result<(), Error> {
        let story =
            self.operate(&format!("{MODULES}InstallDU()"), &[("URL", first), ("UUID", UUID)], true)?;
        let code = story.of_change("Fault.FaultCode").to_owned();
        self.note(
            "TR-181 fault 7226",
            "the same unit once more",
            must(code == "7226", || format!("{story:?}")),
        );
        Ok(())
    }

    fn start_and_stop(&mut self, unit: &str) -> Result<(), Error> {
        let list = self.value(&format!("{unit}.ExecutionUnitList"))?;
        let Some(first) = list.split(',').next().filter(|first| !first.is_empty()) else { return Ok(()) };
        let execution = first.trim_end_matches('.').to_owned();
        let (command, status) = (format!("{execution}.SetRequestedState()"), format!("{execution}.Status"));
        for (state, rule) in [("Idle", "an execution unit stops"), ("Active", "it starts")] {
            self.operate(&command, &[("RequestedState", state)], false)?;
            let found = self.becomes(&status, state)?;
            self.note("TR-181 ExecutionUnit", rule, must(found == state, || found.clone()));
        }
        let story = self.operate(&command, &[("RequestedState", "x")], false)?;
        let refused = story.refused.is_some() || matches!(story.complete(), Some(Err(_)));
        self.note(
            "R-OPR.1",
            "a state that is none is refused in the answer",
            must(refused, || format!("{story:?}")),
        );
        let story = self.operate(&format!("{execution}.Restart()"), &[], false)?;
        let kept = must(matches!(story.complete(), Some(Ok(_))), || format!("{story:?}"));
        self.note("TR-181 Restart()", "the restart of a running unit ends", kept);
        let found = self.becomes(&status, "Active")?;
        self.note("TR-181 Restart()", "it runs again", must(found == "Active", || found.clone()));
        self.start_again(&execution)
    }

    /// Whether a unit is started again by itself can be said, and is as it was at the end.
    fn start_again(&mut self, execution: &str) -> Result<(), Error> {
        const RULE: (&str, &str) = ("TR-181 AutoRestart.", "Enable is set, and is so");
        let object = format!("{execution}.AutoRestart.");
        let path = format!("{object}Enable");
        let before = self.value(&path)?;
        let other = match before.as_str() {
            "true" | "1" => "false",
            "false" | "0" => "true",
            _ => {
                self.skip(RULE.0, RULE.1, "the agent has no AutoRestart.Enable");
                return Ok(());
            }
        };
        let mut kept = Ok(());
        for value in [other, before.as_str()] {
            let set = self.set(&object, "Enable", value)?;
            let found = if set.is_ok() { self.becomes(&path, value)? } else { String::new() };
            kept = kept.and(set).and(must(found == value, || format!("{value}: it is {found}")));
        }
        self.note(RULE.0, RULE.1, kept);
        Ok(())
    }

    fn update(&mut self, unit: &str, second: &str) -> Result<(), Error> {
        let before = self.value(&format!("{unit}.Version"))?;
        let story = self.operate(&format!("{unit}.Update()"), &[("URL", second)], true)?;
        let good = story.of_change("CurrentState") == "Installed"
            && story.of_change("OperationPerformed") == "Update";
        self.note("TR-181 Update()", "a newer release takes its place", must(good, || format!("{story:?}")));
        let after = self.value(&format!("{unit}.Version"))?;
        self.note("TR-181 Update()", "its version is another", must(before != after, || after.clone()));
        let uuid = self.value(&format!("{unit}.UUID"))?;
        self.note("TR-181 Update()", "it is the same unit", must(uuid == UUID, || uuid.clone()));
        let story = self.operate(&format!("{unit}.Update()"), &[("URL", DEAD)], true)?;
        let kept = must(story.of_change("CurrentState") == "Failed", || format!("{story:?}"));
        self.note("TR-181 Update()", "an update that cannot be fetched fails", kept);
        let status = [self.value(&format!("{unit}.Status"))?, self.value(&format!("{unit}.Version"))?];
        let kept = must(status == ["Installed".to_owned(), after], || format!("{status:?}"));
        self.note("TR-181 Update()", "what was there is still installed", kept);
        Ok(())
    }

    fn remove(&mut self, unit: &str) -> Result<(), Error> {
        let story = self.operate(&format!("{unit}.Uninstall()"), &[], true)?;
        let good =
            matches!(story.complete(), Some(Ok(_))) && story.of_change("CurrentState") == "Uninstalled";
        self.note("TR-181 Uninstall()", "it goes", must(good, || format!("{story:?}")));
        let left = self.get(&format!("{unit}."))?;
        let kept = left.map_or(Ok(()), |row| must(row.is_empty(), || format!("{row:?}")));
        self.note("TR-181 Uninstall()", "its row is gone", kept);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Verdict, table};

    #[test]
    fn a_rule_is_kept_broken_or_skipped() {
        let rows = vec![
            ("R-A", "one", Verdict::Kept),
            ("R-B", "two", Verdict::Skipped("the agent has none".to_owned())),
        ];
        let answer = table(rows);
        assert!(answer.failed.is_none(), "what is skipped is not broken");
        let words: Vec<&str> = answer.text.lines().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(words, ["kept", "skipped"]);
        assert!(answer.text.ends_with("two the agent has none\n"), "{}", answer.text);
        assert_eq!((&answer.value[1]["kept"], &answer.value[1]["skipped"]), (&json!(false), &json!(true)));
        let answer =
            table(vec![("R-A", "one", Verdict::Kept), ("R-B", "two", Verdict::Broken(String::new()))]);
        assert_eq!(answer.failed.as_deref(), Some("1 of 2 rules were broken"), "without words, too");
    }
}
