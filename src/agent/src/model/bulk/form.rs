//! How a profile of bulk data is written and delivered: its encodings, its collector.

use usp::Code;
use usp::message::read::ValueType as T;

use super::{LAYOUTS, TABLES, TEXT_MAX, TIMES, change, kind, profile, word};
use crate::bulk::post;
use crate::model::{Own, Parameter, Set, boolean, number, read, set, text};

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
    set(
        "FieldSeparator",
        T::String,
        |world, rows| profile(world, rows, |one| one.field_separator.clone()),
        |settings, rows, value| {
            let text = separator(value)?;
            change(settings, rows, |one| one.field_separator = text)
        },
    ),
    set(
        "RowSeparator",
        T::String,
        |world, rows| profile(world, rows, |one| one.row_separator.clone()),
        |settings, rows, value| {
            let text = separator(value)?;
            change(settings, rows, |one| one.row_separator = text)
        },
    ),
    set(
        "EscapeCharacter",
        T::String,
        |world, rows| profile(world, rows, |one| one.escape.clone()),
        |settings, rows, value| {
            let text = separator(value)?;
            change(settings, rows, |one| one.escape = text)
        },
    ),
    set(
        "ReportFormat",
        T::String,
        |world, rows| profile(world, rows, |one| word(&TABLES, one.table)),
        |settings, rows, value| {
            let table = kind(&TABLES, value)?;
            change(settings, rows, |one| one.table = table)
        },
    ),
    set(
        "RowTimestamp",
        T::String,
        |world, rows| profile(world, rows, |one| word(&TIMES, one.csv_time)),
        |settings, rows, value| {
            let time = kind(&TIMES, value)?;
            change(settings, rows, |one| one.csv_time = time)
        },
    ),
];

pub(super) const JSON: &[Parameter] = &[
    set(
        "ReportFormat",
        T::String,
        |world, rows| profile(world, rows, |one| word(&LAYOUTS, one.layout)),
        |settings, rows, value| {
            let layout = kind(&LAYOUTS, value)?;
            change(settings, rows, |one| one.layout = layout)
        },
    ),
    set(
        "ReportTimestamp",
        T::String,
        |world, rows| profile(world, rows, |one| word(&TIMES, one.json_time)),
        |settings, rows, value| {
            let time = kind(&TIMES, value)?;
            change(settings, rows, |one| one.json_time = time)
        },
    ),
];

pub(super) const HTTP: &[Parameter] = &[
    set(
        "URL",
        T::String,
        |world, rows| profile(world, rows, |one| one.url.clone()),
        |settings, rows, value| {
            let url = url(value)?;
            change(settings, rows, |one| one.url = url)
        },
    ),
    set(
        "Username",
        T::String,
        |world, rows| profile(world, rows, |one| one.username.clone()),
        |settings, rows, value| {
            let username = text(value, TEXT_MAX)?;
            change(settings, rows, |one| one.username = username)
        },
    ),
    secret("Password", |_, settings, rows, value| {
        let password = text(value, TEXT_MAX)?;
        change(settings, rows, |one| one.password = password)
    }),
    read("CompressionsSupported", T::String, |world, rows| profile(world, rows, |_| "None".to_owned())),
    read("Compression", T::String, |world, rows| profile(world, rows, |_| "None".to_owned())),
    read("MethodsSupported", T::String, |world, rows| profile(world, rows, |_| "POST,PUT".to_owned())),
    set(
        "Method",
        T::String,
        |world, rows| profile(world, rows, |one| if one.puts { "PUT" } else { "POST" }.to_owned()),
        |settings, rows, value| {
            let puts = kind(&[(false, "POST"), (true, "PUT")], value)?;
            change(settings, rows, |one| one.puts = puts)
        },
    ),
    set(
        "UseDateHeader",
        T::Boolean,
        |world, rows| profile(world, rows, |one| one.dates.to_string()),
        |settings, rows, value| {
            let dates = boolean(value)?;
            change(settings, rows, |one| one.dates = dates)
        },
    ),
    set(
        "RetryEnable",
        T::Boolean,
        |world, rows| profile(world, rows, |one| one.retry.to_string()),
        |settings, rows, value| {
            let retry = boolean(value)?;
            change(settings, rows, |one| one.retry = retry)
        },
    ),
    set(
        "RetryMinimumWaitInterval",
        T::UnsignedInt,
        |world, rows| profile(world, rows, |one| one.retry_minimum_s.to_string()),
        |settings, rows, value| {
            let seconds = number(value, 1, u16::MAX)?;
            change(settings, rows, |one| one.retry_minimum_s = seconds)
        },
    ),
    set(
        "RetryIntervalMultiplier",
        T::UnsignedInt,
        |world, rows| profile(world, rows, |one| one.retry_multiplier.to_string()),
        |settings, rows, value| {
            let thousandths = number(value, 1000, u16::MAX)?;
            change(settings, rows, |one| one.retry_multiplier = thousandths)
        },
    ),
    read("RequestURIParameterNumberOfEntries", T::UnsignedInt, |world, rows| {
        profile(world, rows, |one| one.uri.len().to_string())
    }),
];
