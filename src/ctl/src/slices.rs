//! Commands about slices: what the gateway can promise, and to whom it has.
//!
//! In:  words. Out: rows, or JSON.
//!
//! Source: docs/manifest.md.

use contract::Name;
use contract::control::{Answer, Ask, Promised};
use contract::manifest::{Cpu, Disk, Memory, Rate};
use contract::sla::{Amounts, RESOURCES};
use contract::slice::Slice;

use crate::command::{Out, Words};
use crate::json::{self, Object};
use crate::processes::ask;
use crate::{Error, table};

/// Columns: what each number is.
const AMOUNTS: [&str; RESOURCES] =
    ["cpu_permille", "memory_mib", "up_kbit_s", "down_kbit_s", "disk_permille"];

pub(crate) fn slices(words: &Words<'_>, out: Out<'_>) -> Result<(), Error> {
    words.none()?;
    let mut rows = Vec::new();
    ask(&Ask::Slices, |answer| {
        if let Answer::Promised(row) = answer {
            rows.push(row);
        }
    })?;
    if words.json {
        let rows: Vec<String> = rows.iter().map(row_json).collect();
        return Ok(writeln!(out, "{}", json::array(&rows))?);
    }
    let rows: Vec<[String; 6]> = rows.iter().map(row).collect();
    let heads = ["SLICE", "CPU permille", "MEMORY MiB", "UP kbit/s", "DOWN kbit/s", "DISK permille"];
    table::print(heads, &rows, out)
}

fn row(row: &Promised) -> [String; 6] {
    let cell = |place: usize| {
        let of = |amounts: &Amounts| amounts.get(place).copied().unwrap_or_default();
        format!("{} of {}", of(&row.promised), of(&row.all))
    };
    // What a ceiling of the line is kept from is not seen in any other row; 0: there is none.
    let line = |place: usize, rate: fn(&Slice) -> Rate| {
        let most = row.rented.as_ref().map_or(0, |slice| rate(slice).ceiling_kbit_s);
        if most == 0 { cell(place) } else { format!("{}, up to {most}", cell(place)) }
    };
    let slice = row.slice.as_ref().map_or_else(|| "-".to_owned(), Name::to_string);
    [slice, cell(0), cell(1), line(2, |slice| slice.uplink), line(3, |slice| slice.downlink), cell(4)]
}

fn row_json(row: &Promised) -> String {
    let amounts = |amounts: &Amounts| {
        let each = AMOUNTS.into_iter().zip(amounts);
        each.fold(Object::default(), |object, (name, amount)| object.number(name, Some((*amount).into())))
            .end()
    };
    let ceilings = row.rented.as_ref().map(|slice| {
        let Slice { cpu, memory, uplink, downlink, .. } = slice;
        // The disk has none.
        amounts(&[
            cpu.ceiling_permille,
            memory.ceiling_mib,
            uplink.ceiling_kbit_s,
            downlink.ceiling_kbit_s,
            0,
        ])
    });
    Object::default()
        .maybe("slice", row.slice.as_ref())
        .list("all", &[amounts(&row.all)])
        .list("promised", &[amounts(&row.promised)])
        .list("ceilings", ceilings.as_slice())
        .end()
}

pub(crate) fn rent(words: &Words<'_>, _: Out<'_>) -> Result<(), Error> {
    let [name, numbers @ ..] = words.plain() else { return Err(words.wrong()) };
    let name = Name::new(name).map_err(|_| words.wrong())?;
    let numbers: Result<Vec<u32>, _> = numbers.iter().map(|number| number.parse()).collect();
    let numbers = numbers.map_err(|_| words.wrong())?;
    let slice = match numbers.as_slice() {
        [cpu, cpu_ceiling, memory, memory_ceiling, more @ ..] if more.len() <= 6 => {
            let said = |place: usize| more.get(place).copied().unwrap_or_default();
            Slice {
                name,
                cpu: Cpu { floor_permille: *cpu, ceiling_permille: *cpu_ceiling },
                memory: Memory { floor_mib: *memory, high_mib: 0, ceiling_mib: *memory_ceiling },
                uplink: Rate { floor_kbit_s: said(0), ceiling_kbit_s: said(3) },
                downlink: Rate { floor_kbit_s: said(1), ceiling_kbit_s: said(4) },
                disk: Disk { floor_permille: said(2), read_ceiling_kib_s: said(5) },
            }
        }
        _ => return Err(words.wrong()),
    };
    ask(&Ask::Rent(slice), |_| {})
}

pub(crate) fn release(words: &Words<'_>, _: Out<'_>) -> Result<(), Error> {
    ask(&Ask::Release(words.name()?), |_| {})
}
