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
