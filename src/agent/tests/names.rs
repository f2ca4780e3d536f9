//! Names of the model are the Broadband Forum's, or begin with our own prefix: paths, types, what may be set, commands, arguments, events.
//!
//! Source: tests/data/tr-181-2.19.1.txt, which says where it is from.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use agent::model::{Object, objects};
use usp::message::read::{CommandType, ObjectAccess};

const LIST: &str = include_str!("data/tr-181-2.19.1.txt");
/// What is ours (docs/decisions/0060-vendor-prefix.md).
const OURS: &str = "X_SHG_";

/// What is not there, and why.
const ABSENT: &str = include_str!("data/absent.txt");
/// Where each name is there, or not and why.
const WHOLE: [&str; 2] = ["Device.LocalAgent.", "Device.SoftwareModules."];

/// Where we differ on purpose, and why.
const DIFFERS: &[(&str, &str)] = &[
    (
        "Device.SoftwareModules.ExecutionUnit.{i}.SetRequestedState()",
        "it ends when the service is in that state",
    ),
    ("Device.SoftwareModules.ExecutionUnit.{i}.Restart()", "it ends when the service is up again"),
    ("Device.SoftwareModules.ExecEnvClass.{i}.AddExecEnv()", "admission is on the disk before it ends"),
];

/// What is wrong with an object's names.
fn faults(object: &Object, known: &BTreeMap<&str, &str>) -> Vec<String> {
    let mut faults = Vec::new();
    let at = |name: &str| format!("{}{name}", object.path);
    if object.path.contains(OURS) {
        return faults;
    }
    match known.get(object.path) {
        None if object.path != "Device." => faults.push(format!("{}: no such object", object.path)),
        Some(&"object readOnly") if object.access != ObjectAccess::ReadOnly => {
            faults.push(format!("{}: nobody adds rows", object.path));
        }
        Some(_) | None => {}
    }
    for one in object.parameters.iter().filter(|one| !one.name.starts_with(OURS)) {
        if one.name == "Alias" && object.rows.is_some() {
            continue;
        }
        let Some((kind, access)) = known.get(at(one.name).as_str()).and_then(|said| said.split_once(' '))
        else {
            faults.push(format!("{}: no such parameter", at(one.name)));
            continue;
        };
        // A list is a string in USP.
        let kind = if kind == "list" { "string" } else { kind };
        if kind != one.kind.word() {
            faults.push(format!("{}: it is {kind}", at(one.name)));
        }
        if one.set.is_some() && access == "readOnly" {
            faults.push(format!("{}: it is only read", at(one.name)));
        }
    }
    for one in object.commands.iter().filter(|one| !one.name.starts_with(OURS)) {
        let path = at(&format!("{}()", one.name));
        let Some(said) = known.get(path.as_str()) else {
            faults.push(format!("{path}: no such command"));
            continue;
        };
        let parts: Vec<&str> = said.split(' ').collect();
        let ours = if one.kind == CommandType::Async { "async" } else { "sync" };
        if parts[0] != ours && !DIFFERS.iter().any(|(other, _)| *other == path) {
            faults.push(format!("{path}: it is {}", parts[0]));
        }
        for (names, list) in [(one.inputs, parts[1]), (one.outputs, parts[2])] {
            let there = |name: &&&str| list.split(',').any(|one| one == name.trim_start_matches('*'));
            let strange = names.iter().filter(|name| !name.contains(OURS)).filter(|name| !there(name));
            faults.extend(strange.map(|name| format!("{path}: no argument {name}")));
        }
    }
    for one in object.events.iter().filter(|one| !one.name.starts_with(OURS)) {
        let path = at(&format!("{}!", one.name));
        let Some(list) = known.get(path.as_str()).and_then(|said| said.strip_prefix("event")) else {
            faults.push(format!("{path}: no such event"));
            continue;
        };
        let there = |name: &&&str| list.trim().split(',').any(|one| one == **name);
        let strange = one.arguments.iter().filter(|name| !name.contains(OURS)).filter(|name| !there(name));
        faults.extend(strange.map(|name| format!("{path}: no argument {name}")));
    }
    faults
}

#[test]
fn every_name_is_the_forums_or_ours() {
    let rows = LIST.lines().filter(|line| !line.starts_with('#'));
    let known: BTreeMap<&str, &str> = rows.filter_map(|line| line.split_once(' ')).collect();
    assert!(known.len() > 1_000, "the list is read");
    let faults: Vec<String> = objects().flat_map(|object| faults(object, &known)).collect();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn what_differs_on_purpose_is_there() {
    for (path, _) in DIFFERS {
        let (object, command) = path.rsplit_once('.').unwrap();
        let object = objects().find(|one| one.path == format!("{object}.")).unwrap();
        let name = command.trim_end_matches("()");
        let one = object.commands.iter().find(|one| one.name == name).unwrap();
        assert_eq!(one.kind, CommandType::Async, "{path}");
    }
}

/// What the Forum lists below an object that is to be whole: names, and arguments of commands behind them.
fn listed() -> Vec<String> {
    let mut all = Vec::new();
    for line in LIST.lines().filter(|line| WHOLE.iter().any(|top| line.starts_with(top))) {
        let (path, said) = line.split_once(' ').unwrap();
        all.push(path.to_owned());
        if let Some(arguments) = path.ends_with("()").then(|| said.split(' ').nth(1)).flatten() {
            let named = arguments.split(',').filter(|name| !["", "-"].contains(name));
            all.extend(named.map(|name| format!("{path} {name}")));
        }
    }
    all
}

fn is_there(name: &str) -> bool {
    let (path, argument) = name.split_once(' ').unwrap_or((name, ""));
    if path.ends_with('.') {
        return objects().any(|object| object.path == path);
    }
    let (object, name) = path.rsplit_once('.').unwrap();
    let Some(object) = objects().find(|one| one.path == format!("{object}.")) else { return false };
    if let Some(name) = name.strip_suffix("()") {
        let command = object.commands.iter().find(|one| one.name == name);
        let has = |inputs: &[&str]| inputs.iter().any(|input| input.trim_start_matches('*') == argument);
        return command.is_some_and(|command| argument.is_empty() || has(command.inputs));
    }
    match name.strip_suffix('!') {
        Some(name) => object.events.iter().any(|one| one.name == name),
        None => object.parameter(name).is_some(),
    }
}

#[test]
fn what_is_not_there_has_its_reason() {
    let rows: Vec<&str> = ABSENT.lines().filter(|line| !line.starts_with('#')).collect();
    // A name ends where its reason begins: of a command's argument behind the second space.
    let name = |row: &&str| {
        let words = if row.split(' ').next().unwrap().ends_with("()") && is_argument(row) { 2 } else { 1 };
        row.split(' ').take(words).collect::<Vec<_>>().join(" ")
    };
    let names: Vec<String> = rows.iter().map(name).collect();
    let covers = |absent: &String, name: &String| {
        absent == name || (absent.ends_with('.') && name.starts_with(absent))
    };
    let all = listed();
    let silent: Vec<&String> = all
        .iter()
        .filter(|name| !is_there(name) && !names.iter().any(|absent| covers(absent, name)))
        .filter(|name| {
            !names.iter().any(|absent| absent.ends_with("()") && name.starts_with(absent.as_str()))
        })
        .collect();
    assert!(silent.is_empty(), "neither there nor said why not:\n{silent:#?}");
    for absent in &names {
        let named: Vec<&String> = all.iter().filter(|name| covers(absent, name)).collect();
        assert!(!named.is_empty(), "{absent}: nobody lists it");
        assert!(named.iter().all(|name| !is_there(name)), "{absent}: it is there");
    }
}

/// Is the second word of a row an argument of the command that is the first?
fn is_argument(row: &str) -> bool {
    let (command, rest) = row.split_once(' ').unwrap();
    let word = rest.split(' ').next().unwrap();
    listed().iter().any(|name| {
        name.strip_prefix(command)
            .is_some_and(|argument| argument.trim_start().starts_with(word) && argument.len() > 1)
    })
}
