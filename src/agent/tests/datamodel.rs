//! `docs/datamodel.md` is made of the table of parameters: this test makes it, and fails where the page says something else.
//!
//! `UPDATE=1 cargo test -p agent --test datamodel` writes the page.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write;
use std::fs;
use std::path::Path;

use agent::model::{Object, objects};
use usp::message::read::{CommandType, ObjectAccess};

const HEAD: &str = "# The data model\n\n\
    What a controller finds in the tree: names of TR-181 2.19.1 (Device:2), and ours, `X_SHG_…` ([decision 60](decisions/0060-vendor-prefix.md)). This page is made of the table in `src/agent/src/model.rs` by a\n\
    test (`UPDATE=1 cargo test -p agent --test datamodel`), so it says what is there; another holds every name against the Broadband Forum's list (`agent/names`). R: read, W: read and set. A parameter whose change is not\n\
    told (it moves all the time) has a dot.\n";

fn section(object: &Object) -> String {
    let mut text = format!("\n## {}\n\n", object.path);
    if object.rows.is_some() {
        let rows = match object.access {
            ObjectAccess::ReadOnly => "Rows come and go by themselves.",
            ObjectAccess::AddDelete => "A controller adds and deletes rows.",
            ObjectAccess::AddOnly => "A controller adds rows.",
            ObjectAccess::DeleteOnly => "A controller deletes rows.",
        };
        let keys: Vec<String> = object.keys.iter().map(|set| set.join(" with ")).collect();
        writeln!(text, "{rows} Known by: {}.\n", keys.join("; ")).unwrap();
    }
    if !object.parameters.is_empty() {
        text.push_str("| parameter | type | |\n|---|---|---|\n");
    }
    for one in object.parameters {
        let access = if one.set.is_some() { "W" } else { "R" };
        let told = if one.tells { "" } else { "." };
        writeln!(text, "| {} | {} | {access}{told} |", one.name, one.kind.word()).unwrap();
    }
    for one in object.commands {
        let inputs: Vec<&str> = one.inputs.iter().map(|input| input.trim_start_matches('*')).collect();
        let kind = if one.kind == CommandType::Async { "takes its time" } else { "at once" };
        writeln!(text, "\nCommand `{}({})`: {kind}.", one.name, inputs.join(", ")).unwrap();
    }
    for one in object.events {
        writeln!(text, "\nEvent `{}!` ({}).", one.name, one.arguments.join(", ")).unwrap();
    }
    text
}

/// What of two parts of TR-181 is not there, and why.
fn absent() -> String {
    let mut text = String::from(
        "\n## Not there\n\n| of `Device.LocalAgent.` and `Device.SoftwareModules.` | why not |\n|---|---|\n",
    );
    for row in include_str!("data/absent.txt").lines().filter(|row| !row.starts_with('#')) {
        let (name, mut why) = row.split_once(' ').unwrap();
        let mut name = name.to_owned();
        // An argument of a command begins with a capital letter.
        if let Some((argument, rest)) =
            why.split_once(' ').filter(|(word, _)| word.starts_with(char::is_uppercase))
        {
            name = format!("{name} {argument}");
            why = rest;
        }
        writeln!(text, "| `{}` | {why} |", name.trim_start_matches("Device.")).unwrap();
    }
    text
}

#[test]
fn the_page_says_what_is_there() {
    let text: String =
        std::iter::once(HEAD.to_owned()).chain(objects().map(section)).chain([absent()]).collect();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/datamodel.md");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&page, &text).unwrap();
    }
    assert!(
        fs::read_to_string(page).unwrap_or_default() == text,
        "docs/datamodel.md is stale: UPDATE=1 writes it"
    );
}
