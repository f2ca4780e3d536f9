//! How a profile of bulk data is written and delivered: its encodings, its collector.

use usp::Code;
use usp::message::read::ValueType as T;

use super::{LAYOUTS, TABLES, TEXT_MAX, TIMES, change, get};
use crate::bulk::post;
use crate::model::{Own, Parameter, Set, boolean, number, read, text};

/// Does it put?
const METHODS: [(bool, &str); 2] = [(false, "POST"), (true, "PUT")];

/// What separates: a few characters, those of a line's end among them.
fn separator(value: &str) -> Result<String, Code> {
    let good = value.len() <= 16 && value.chars().all(|one| !one.is_control() || "\r\n\t".contains(one));
    if good { Ok(value.to_owned()) } else { Err(Code::INVALID_VALUE) }
}

fn url(value: &str) -> Result<String, Code> {
    let value = text(value, TEXT_MAX)?;
    let good = value.is_empty() || post::url(&value).is_some();
    if good { Ok(value) } else { Err(Code::INVALID_VALUE) }
}

/// A password: it is kept, and nobody reads it back.
const fn secret(name: &'static str, own: Own) -> Parameter {
    Parameter {
        name,
        kind: T::String,
        get: |_, _| Some(String::new()),
        set: Some(Set::Secret(own)),
        tells: false,
    }
}

pub(super) const CSV: &[Parameter] = &[
    field!("FieldSeparator", String, field_separator, separator()),
    field!("RowSeparator", String, row_separator, separator()),
    field!("EscapeCharacter", String, escape, separator()),
    choice!("ReportFormat", table, TABLES),
    choice!("RowTimestamp", csv_time, TIMES),
];

pub(super) const JSON: &[Parameter] =
    &[choice!("ReportFormat", layout, LAYOUTS), choice!("ReportTimestamp", json_time, TIMES)];

pub(super) const HTTP: &[Parameter] = &[
    field!("URL", String, url, url()),
    field!("Username", String, username, text(TEXT_MAX)),
    secret("Password", |_, settings, rows, value| {
        let password = text(value, TEXT_MAX)?;
        change(settings, rows, |one| one.password = password)
    }),
    read("CompressionsSupported", T::String, |world, rows| get(world, rows, |_| "None".to_owned())),
    read("Compression", T::String, |world, rows| get(world, rows, |_| "None".to_owned())),
    read("MethodsSupported", T::String, |world, rows| get(world, rows, |_| "POST,PUT".to_owned())),
    choice!("Method", puts, METHODS),
    field!("UseDateHeader", Boolean, dates, boolean()),
    field!("RetryEnable", Boolean, retry, boolean()),
    field!("RetryMinimumWaitInterval", UnsignedInt, retry_minimum_s, number(1, u16::MAX)),
    field!("RetryIntervalMultiplier", UnsignedInt, retry_multiplier, number(1000, u16::MAX)),
    read("RequestURIParameterNumberOfEntries", T::UnsignedInt, |world, rows| {
        get(world, rows, |one| one.uri.len().to_string())
    }),
];
