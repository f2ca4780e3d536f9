//! The command `verify`: every layer of a service, what was wanted and what the kernel says.
//!
//! In:  a service's name. Out: a table, or JSON. It fails where a layer is missing.
//!
//! Source: docs/security.md.

use contract::control::{Answer, Ask, Verified};

use crate::command::{Out, Words};
use crate::json::{self, Object};
use crate::{Error, processes, table};

pub(crate) fn verify(words: &Words<'_>, out: Out<'_>) -> Result<(), Error> {
    let name = words.name()?;
    let mut rows = Vec::new();
    processes::ask(&Ask::Verify(name.clone()), |answer| {
        if let Answer::Layer(row) = answer {
            rows.push(row);
        }
    })?;
    if words.json {
        let rows: Vec<String> = rows.iter().map(as_json).collect();
        writeln!(out, "{}", json::array(&rows))?;
    } else {
        table::print(
            ["PID", "LAYER", "HOLDS", "WANTED", "FOUND"],
            &rows.iter().map(as_row).collect::<Vec<_>>(),
            out,
        )?;
    }
    judge(&name, &rows)
}

/// Nothing seen is nothing that holds.
fn judge(name: &contract::Name, rows: &[Verified]) -> Result<(), Error> {
    match rows.iter().find(|row| !row.holds) {
        Some(row) => Err(Error::Refused(format!("{name}: {} does not hold", row.layer.word()))),
        None if rows.is_empty() => Err(Error::Refused(format!("{name}: nothing could be seen"))),
        None => Ok(()),
    }
}

fn as_row(row: &Verified) -> [String; 5] {
    let holds = if row.holds { "yes" } else { "NO" };
    [
        row.pid.to_string(),
        row.layer.word().to_owned(),
        holds.to_owned(),
        row.wanted.to_string(),
        row.found.to_string(),
    ]
}

fn as_json(row: &Verified) -> String {
    Object::default()
        .number("pid", Some(row.pid.into()))
        .text("layer", row.layer.word())
        .flag("holds", row.holds)
        .text("wanted", &row.wanted)
        .text("found", &row.found)
        .end()
}

#[cfg(test)]
mod tests {
    use super::{as_json, judge};
    use contract::Name;
    use contract::control::Verified;
    use contract::layer::Layer;

    #[test]
    fn one_layer_that_does_not_hold_is_named_and_so_is_nothing() {
        let row = |layer, holds| Verified { pid: 7, layer, wanted: "2".into(), found: "0".into(), holds };
        let name = Name::new("hello").unwrap();
        assert!(judge(&name, &[row(Layer::Seccomp, true)]).is_ok());
        let bad = [row(Layer::Cgroup, true), row(Layer::Seccomp, false)];
        assert!(judge(&name, &bad).unwrap_err().to_string().contains("seccomp does not hold"));
        assert!(judge(&name, &[]).unwrap_err().to_string().contains("nothing could be seen"));
        let json = as_json(&row(Layer::Seccomp, false));
        assert_eq!(json, r#"{"pid":7,"layer":"seccomp","holds":false,"wanted":"2","found":"0"}"#);
    }
}
