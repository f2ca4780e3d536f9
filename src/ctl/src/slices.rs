//! Commands about slices: what the gateway can promise, and to whom it has.
//!
//! In:  words. Out: rows, or JSON.
//!
//! Source: docs/manifest.md.

use contract::Name;
use contract::control::{Answer, Ask, Promised};
use contract::manifest::{Cpu, Disk, Memory, Rate};
use contract::sla::{Amounts, Ceilings, RESOURCES};
use contract::slice::Slice;

use crate::command::{Out, Words};
use crate::json::{self, Object};
use crate::processes::ask;
use crate::{Error, table};

/// Columns: what each number is.
const AMOUNTS: [&str; RESOURCES] =
    ["cpu_permille", "memory_mib", "up_kbit_s", "down_kbit_s", "disk_permille"];
/// The same of ceilings: the disk has one each way.
const CEILINGS: [&str; RESOURCES + 1] =
    ["cpu_permille", "memory_mib", "up_kbit_s", "down_kbit_s", "disk_read_kib_s", "disk_write_kib_s"];

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
    // What these ceilings keep somebody from is not seen in any other row; 0: there is none.
    let up_to = |cell: String, what: &str, ceiling: fn(&Slice) -> u32| {
        let most = row.rented.as_ref().map_or(0, ceiling);
        if most == 0 { cell } else { format!("{cell}, {what}up to {most}") }
    };
    let disk = up_to(cell(4), "reads KiB/s ", |slice| slice.disk.read_ceiling_kib_s);
    let slice = row.slice.as_ref().map_or_else(|| "-".to_owned(), Name::to_string);
    [
        slice,
        cell(0),
        cell(1),
        up_to(cell(2), "", |slice| slice.uplink.ceiling_kbit_s),
        up_to(cell(3), "", |slice| slice.downlink.ceiling_kbit_s),
        up_to(disk, "writes KiB/s ", |slice| slice.disk.write_ceiling_kib_s),
    ]
}

fn row_json(row: &Promised) -> String {
    let object = |names: &[&'static str], amounts: &[u32]| {
        let each = names.iter().zip(amounts);
        each.fold(Object::default(), |object, (name, amount)| object.number(name, Some((*amount).into())))
            .end()
    };
    let amounts = |amounts: &Amounts| object(&AMOUNTS, amounts);
    let ceilings = row.rented.as_ref().map(|slice| {
        let Slice { cpu, memory, uplink, downlink, disk, .. } = slice;
        let ceilings: Ceilings = [
            cpu.ceiling_permille,
            memory.ceiling_mib,
            uplink.ceiling_kbit_s,
            downlink.ceiling_kbit_s,
            disk.read_ceiling_kib_s,
            disk.write_ceiling_kib_s,
        ];
        object(&CEILINGS, &ceilings)
    });
    Object::default()
        .maybe("slice", row.slice.as_ref())
        .list("all", &[amounts(&row.all)])
        .list("promised", &[amounts(&row.promised)])
        .list("ceilings", ceilings.as_slice())
        .end()
}

/// An amount of a slice.
type Amount = fn(&mut Slice) -> &mut u32;

/// Words of `rent`: `KEY=FLOOR`, `KEY=FLOOR..CEILING`, `KEY=..CEILING`; where there is no floor, `KEY=CEILING`.
const RENTED: [(&str, Option<Amount>, Option<Amount>); 7] = [
    ("cpu", Some(|slice| &mut slice.cpu.floor_permille), Some(|slice| &mut slice.cpu.ceiling_permille)),
    ("memory", Some(|slice| &mut slice.memory.floor_mib), Some(|slice| &mut slice.memory.ceiling_mib)),
    ("uplink", Some(|slice| &mut slice.uplink.floor_kbit_s), Some(|slice| &mut slice.uplink.ceiling_kbit_s)),
    (
        "downlink",
        Some(|slice| &mut slice.downlink.floor_kbit_s),
        Some(|slice| &mut slice.downlink.ceiling_kbit_s),
    ),
    ("disk", Some(|slice| &mut slice.disk.floor_permille), None),
    ("reads", None, Some(|slice| &mut slice.disk.read_ceiling_kib_s)),
    ("writes", None, Some(|slice| &mut slice.disk.write_ceiling_kib_s)),
];

/// A slice of which nothing was said yet.
fn nothing(name: Name) -> Slice {
    Slice {
        name,
        cpu: Cpu { floor_permille: 0, ceiling_permille: 0 },
        memory: Memory { floor_mib: 0, high_mib: 0, ceiling_mib: 0 },
        disk: Disk::default(),
        uplink: Rate::default(),
        downlink: Rate::default(),
    }
}

/// Takes one word of `rent` into `slice`; `None`: it is none.
fn take(slice: &mut Slice, word: &str) -> Option<()> {
    let (key, said) = word.split_once('=')?;
    let (_, floor, ceiling) = RENTED.into_iter().find(|(name, ..)| *name == key)?;
    let (low, high) = match (said.split_once(".."), floor) {
        (Some(both), _) => both,
        (None, Some(_)) => (said, ""),
        (None, None) => ("", said),
    };
    for (amount, digits) in [(floor, low), (ceiling, high)] {
        if !digits.is_empty() {
            *amount?(slice) = digits.parse().ok()?;
        }
    }
    (!low.is_empty() || !high.is_empty()).then_some(())
}

pub(crate) fn rent(words: &Words<'_>, _: Out<'_>) -> Result<(), Error> {
    let [name, amounts @ ..] = words.plain() else { return Err(words.wrong()) };
    let name = Name::new(name).map_err(|_| words.wrong())?;
    let mut slice = nothing(name);
    for (place, word) in amounts.iter().enumerate() {
        let of_one_key = |other: &&str| other.split('=').next() == word.split('=').next();
        let twice = amounts.iter().take(place).any(of_one_key);
        if twice || take(&mut slice, word).is_none() {
            let what = if twice { "it is said twice" } else { "it is no amount" };
            return Err(Error::Usage(format!("{}\n{word}: {what}", words.usage())));
        }
    }
    ask(&Ask::Rent(slice), |_| {})
}

pub(crate) fn release(words: &Words<'_>, _: Out<'_>) -> Result<(), Error> {
    ask(&Ask::Release(words.name()?), |_| {})
}

#[cfg(test)]
mod tests {
    use super::{Promised, Slice, nothing, row, row_json, take};
    use contract::Name;

    #[test]
    fn amounts_are_said_by_name() {
        let mut slice = nothing(Name::new("demo").unwrap());
        for word in [
            "cpu=100..1000",
            "memory=8..64",
            "uplink=500",
            "downlink=..900",
            "disk=150",
            "reads=1024",
            "writes=64",
        ] {
            assert_eq!(take(&mut slice, word), Some(()), "{word}");
        }
        assert_eq!((slice.cpu.floor_permille, slice.cpu.ceiling_permille), (100, 1000));
        assert_eq!((slice.memory.floor_mib, slice.memory.ceiling_mib), (8, 64));
        assert_eq!((slice.uplink.floor_kbit_s, slice.uplink.ceiling_kbit_s), (500, 0));
        assert_eq!((slice.downlink.floor_kbit_s, slice.downlink.ceiling_kbit_s), (0, 900));
        let contract::manifest::Disk { floor_permille, read_ceiling_kib_s, write_ceiling_kib_s } = slice.disk;
        assert_eq!([floor_permille, read_ceiling_kib_s, write_ceiling_kib_s], [150, 1024, 64]);
    }

    #[test]
    fn ceilings_of_a_slice_are_shown_where_there_are_some() {
        let mut slice = nothing(Name::new("demo").unwrap());
        let promised = |slice: &Slice| Promised {
            slice: Some(slice.name.clone()),
            all: [0, 0, 0, 0, 150],
            promised: [0; 5],
            rented: Some(slice.clone()),
        };
        assert_eq!(row(&promised(&slice))[5], "0 of 150");
        for word in ["downlink=..900", "reads=1024", "writes=64"] {
            take(&mut slice, word).unwrap();
        }
        let shown = row(&promised(&slice));
        assert_eq!(
            shown[4..],
            ["0 of 0, up to 900", "0 of 150, reads KiB/s up to 1024, writes KiB/s up to 64"]
        );
        let json = row_json(&promised(&slice));
        assert!(json.contains("\"disk_read_kib_s\":1024,\"disk_write_kib_s\":64"), "{json}");
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for word in [
            "",
            "cpu",
            "cpu=",
            "cpu=..",
            "100",
            "=1",
            "cpu=1...2",
            "cpu=1..2..3",
            "cpu=-1",
            "cpu=+1x",
            "cpu=1.5",
            "memory=8MiB",
            "disk=1..2",
            "reads=1..2",
            "tape=1",
            "CPU=1",
            "uplink=4294967296",
        ] {
            assert_eq!(take(&mut nothing(Name::new("demo").unwrap()), word), None, "{word}");
        }
    }
}
