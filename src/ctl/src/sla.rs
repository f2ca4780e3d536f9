//! Commands about compliance: what services were promised and got, and what happened to them.
//!
//! In:  words. Out: rows, or JSON.
//!
//! Source: docs/sla.md.

use contract::control::{Answer, Ask};
use contract::sla::{Breach, Compliance, Event, What, Window};

use crate::command::{Out, Words};
use crate::json::{self, Object};
use crate::processes::ask;
use crate::{Error, table};

/// Spans, as rows call them.
const SPANS: [&str; 3] = ["1min", "1h", "1d"];

pub(crate) fn sla(words: &Words<'_>, out: Out<'_>) -> Result<(), Error> {
    words.none()?;
    let mut rows = Vec::new();
    ask(&Ask::Compliance, |answer| {
        if let Answer::Compliance(row) = answer {
            rows.push(row);
        }
    })?;
    if words.json {
        let rows: Vec<String> = rows.iter().map(compliance_json).collect();
        return Ok(writeln!(out, "{}", json::array(&rows))?);
    }
    let rows: Vec<[String; 10]> = rows.iter().flat_map(compliance_rows).collect();
    let heads = [
        "SERVICE",
        "SPAN",
        "UP",
        "CPU",
        "WAITED",
        "OWED",
        "MEMORY",
        "UP/DOWN kbit/s",
        "DISK kbyte/s",
        "BREACHES",
    ];
    table::print(heads, &rows, out)
}

/// `part` of `all`, in hundredths of a per cent; nothing of nothing is all of it.
fn share(part: u64, all: u64) -> u64 {
    (part * 10_000).checked_div(all).unwrap_or(10_000)
}

/// Thousandths of a thread: microseconds over milliseconds.
fn permille(us: u64, span_ms: u32) -> u64 {
    us.checked_div(span_ms.into()).unwrap_or(0)
}

/// kbit/s: bytes over milliseconds, by eight.
fn kbit_s(bytes: u64, span_ms: u32) -> u64 {
    (bytes * 8).checked_div(span_ms.into()).unwrap_or(0)
}

fn compliance_rows(row: &Compliance) -> impl Iterator<Item = [String; 10]> {
    let [cpu, memory, up, down, _] = row.promised;
    let breaches = match row.last {
        None => row.breaches.to_string(),
        Some(last) => format!("{}, last {}", row.breaches, breach_words(&last)),
    };
    let service = row.service.to_string();
    SPANS.into_iter().zip(row.windows).map(move |(span, window)| {
        let up_share = share(window.up_ms.into(), window.wanted_ms.into());
        [
            service.clone(),
            span.to_owned(),
            format!("{}.{:02} %", up_share / 100, up_share % 100),
            format!("{} of {cpu}", permille(window.cpu_us, window.span_ms)),
            permille(window.waited_us, window.span_ms).to_string(),
            permille(window.owed_us, window.span_ms).to_string(),
            format!("{} KiB of {memory} MiB", window.memory_kib),
            format!(
                "{} of {up} / {} of {down}",
                kbit_s(window.up_bytes, window.span_ms),
                kbit_s(window.down_bytes, window.span_ms)
            ),
            window.disk_bytes.checked_div(window.span_ms.into()).unwrap_or(0).to_string(),
            breaches.clone(),
        ]
    })
}

fn breach_words(breach: &Breach) -> String {
    let (word, unit) = breach.cause.words();
    format!("{word}: {} of {} {unit}", breach.got, breach.promised)
}

fn window_json(window: &Window) -> String {
    Object::default()
        .number("span_ms", Some(window.span_ms.into()))
        .number("wanted_ms", Some(window.wanted_ms.into()))
        .number("up_ms", Some(window.up_ms.into()))
        .number("cpu_us", Some(window.cpu_us))
        .number("waited_us", Some(window.waited_us))
        .number("owed_us", Some(window.owed_us))
        .number("memory_kib", Some(window.memory_kib.into()))
        .number("up_bytes", Some(window.up_bytes))
        .number("down_bytes", Some(window.down_bytes))
        .number("owed_bytes", Some(window.owed_bytes))
        .number("disk_bytes", Some(window.disk_bytes))
        .end()
}

fn breach_json(object: Object, breach: Option<&Breach>) -> Object {
    object
        .maybe("cause", breach.map(|breach| breach.cause.words().0))
        .number("breach_ms", breach.map(|breach| breach.at_ms))
        .number("promised", breach.map(|breach| breach.promised.into()))
        .number("got", breach.map(|breach| breach.got.into()))
}

fn compliance_json(row: &Compliance) -> String {
    let [cpu, memory, up, down, disk] = row.promised;
    let windows: Vec<String> = row.windows.iter().map(window_json).collect();
    let object = Object::default()
        .text("service", &row.service)
        .text("slice", &row.slice)
        .number("cpu_permille", Some(cpu.into()))
        .number("memory_mib", Some(memory.into()))
        .number("up_kbit_s", Some(up.into()))
        .number("down_kbit_s", Some(down.into()))
        .number("disk_permille", Some(disk.into()))
        .list("windows", &windows)
        .number("breaches", Some(row.breaches.into()));
    breach_json(object, row.last.as_ref()).end()
}

pub(crate) fn events(words: &Words<'_>, out: Out<'_>) -> Result<(), Error> {
    words.none()?;
    let mut rows = Vec::new();
    ask(&Ask::Events, |answer| {
        if let Answer::Event(row) = answer {
            rows.push(row);
        }
    })?;
    if words.json {
        let rows: Vec<String> = rows.iter().map(event_json).collect();
        return Ok(writeln!(out, "{}", json::array(&rows))?);
    }
    let rows: Vec<[String; 4]> = rows.iter().map(event_row).collect();
    table::print(["NUMBER", "MS AFTER BOOT", "WHO", "WHAT"], &rows, out)
}

fn event_row(event: &Event) -> [String; 4] {
    let what = match &event.what {
        What::State(state) => state.word().to_owned(),
        What::Breach(breach) => breach_words(breach),
        What::Damaged(damage) => match damage.words() {
            (part, Some(block)) => format!("damaged image: {part} {block}"),
            (part, None) => format!("damaged image: {part}"),
        },
        What::StartSkipped(state) => format!("its time of the day passed: {}", state.word()),
    };
    [event.number.to_string(), event.at_ms.to_string(), event.who.to_string(), what]
}

fn event_json(event: &Event) -> String {
    let object = Object::default()
        .number("number", Some(event.number))
        .number("at_ms", Some(event.at_ms))
        .text("who", &event.who);
    match &event.what {
        What::State(state) => object.text("state", state.word()).end(),
        What::Breach(breach) => breach_json(object, Some(breach)).end(),
        What::Damaged(damage) => {
            let (part, block) = damage.words();
            object.text("damaged", part).number("block", block).end()
        }
        What::StartSkipped(state) => object.text("start_skipped", state.word()).end(),
    }
}

#[cfg(test)]
mod tests {
    use super::{kbit_s, permille, share};

    #[test]
    fn numbers_in_a_persons_units() {
        assert_eq!(share(999, 1_000), 9_990);
        assert_eq!(share(0, 0), 10_000, "who was not wanted was never missing");
        assert_eq!(permille(30_000_000, 60_000), 500);
        assert_eq!(kbit_s(7_500_000, 60_000), 1_000);
    }
}
