//! A report: values of the tree, as JSON or CSV.
//!
//! In:  the world, a profile. Out: a [`Piece`]; and the text of one piece or more.
//!
//! Pure. Names are as R-BULK.9 and R-BULK.10 have them: behind a name of the profile's own stand the rows that a `*` found, and what of the
//! path was not said.
//!
//! Source: TR-369 Annex A; RFC 8259, RFC 4180.

use std::fmt::Write;

use serde_json::{Map, Value, json};
use usp::message::read::ValueType;
use usp::path::{Leaf, Path, Step};

use super::profile::{Encoding, Layout, Profile, Reference, Table, Timestamp};
use crate::access::Access;
use crate::journal;
use crate::resolve::parameters;
use crate::world::{World, date};

/// Values of one report.
const VALUES_MAX: usize = 1024;
/// Their bytes.
const VALUES_BYTES_MAX: usize = 128 * 1024;

/// A report before it is part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// An object.
    Json(Value),
    /// The head of the table, and rows.
    Csv(String, String),
}

impl Piece {
    /// About as many bytes as it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Json(value) => value.to_string().len(),
            Self::Csv(head, rows) => head.len().saturating_add(rows.len()),
        }
    }
}

/// A value, with its name in the report.
struct Found {
    path: String,
    name: String,
    value: String,
    kind: ValueType,
}

/// Makes one.
#[must_use]
pub fn collect(world: &World, profile: &Profile) -> Piece {
    let found = all(world, profile);
    match profile.encoding {
        Encoding::Json => Piece::Json(object(profile, found, world.facts.now_s)),
        Encoding::Csv => csv(profile, found, world.facts.now_s),
    }
}

/// The text of one report and those before it that were not delivered.
#[must_use]
pub fn write(profile: &Profile, pieces: &[Piece]) -> String {
    match profile.encoding {
        Encoding::Json => {
            let reports = pieces.iter().filter_map(|piece| match piece {
                Piece::Json(report) => Some(report.clone()),
                Piece::Csv(..) => None,
            });
            json!({"Report": reports.collect::<Vec<_>>()}).to_string()
        }
        Encoding::Csv => {
            let mut text = String::new();
            let mut head = None;
            for piece in pieces {
                let Piece::Csv(its_head, rows) = piece else { continue };
                // Rows of a table that was another one then have a head of their own.
                if head.replace(its_head) != Some(its_head) {
                    text.push_str(its_head);
                }
                text.push_str(rows);
            }
            text
        }
    }
}

/// What stands in the URL beside who we are: values of single parameters, as the profile's controller may read them.
#[must_use]
pub fn single(world: &World, profile: &Profile, reference: &Reference) -> Option<String> {
    let found = values(world, profile, reference);
    found.into_iter().next().map(|found| found.value)
}

fn all(world: &World, profile: &Profile) -> Vec<Found> {
    let mut all: Vec<Found> = Vec::new();
    let (left_out, said): (Vec<_>, Vec<_>) = profile.parameters.iter().partition(|one| one.exclude);
    let left_out: Vec<Found> = left_out.into_iter().flat_map(|one| values(world, profile, one)).collect();
    let mut bytes = 0;
    for found in said.into_iter().flat_map(|reference| values(world, profile, reference)) {
        if left_out.iter().any(|one| one.path == found.path) {
            continue; // R-BULK.10a
        }
        bytes += found.name.len() + found.value.len();
        if all.len() >= VALUES_MAX || bytes > VALUES_BYTES_MAX {
            break;
        }
        all.push(found);
    }
    all
}

fn values(world: &World, profile: &Profile, reference: &Reference) -> Vec<Found> {
    let Some(row) = journal::row(world, &profile.controller) else { return Vec::new() };
    let Ok(path) = Path::parse(&reference.path) else { return Vec::new() };
    let access = Access::of(world, row);
    let mut all = Vec::new();
    for (place, parameters) in parameters(world, access, (&path, 0)).unwrap_or_default() {
        let at = place.path();
        let name = Name::of(&path, &place.rows, &reference.name);
        for parameter in parameters {
            let whole = format!("{at}{}", parameter.name);
            if parameter.is_secret() || !access.at(&whole).read || all.len() >= VALUES_MAX {
                continue;
            }
            if let Some(value) = (parameter.get)(world, &place.rows) {
                all.push(Found { name: name.text(&whole), path: whole, value, kind: parameter.kind });
            }
        }
    }
    all
}

/// How a name in the report is made.
struct Name {
    /// What stands in place of the path; `None`: the path itself.
    alias: Option<String>,
    /// The letters of the path that the alias stands for.
    said: usize,
    /// The path went on to no parameter.
    is_object: bool,
}

impl Name {
    fn of(path: &Path<'_>, rows: &[u32], alias: &str) -> Self {
        let (mut said, mut found, mut rows) = (String::new(), String::new(), rows.iter());
        let mut followed = false;
        for step in &path.steps {
            match step {
                Step::Name(name) => {
                    said.push_str(name);
                    said.push('.');
                }
                Step::Instance(_) | Step::Each | Step::Search(_) | Step::Row => {
                    let Some(row) = rows.next() else { continue };
                    let _ = write!(said, "{row}.");
                    if !matches!(step, Step::Instance(_)) {
                        let _ = write!(found, ".{row}");
                    }
                }
                Step::Follow(..) => followed = true,
            }
        }
        // Where a reference was followed the path says nothing of where it led.
        let alias = (!alias.is_empty() && !followed).then(|| format!("{alias}{found}"));
        Self { alias, said: said.len(), is_object: path.leaf == Leaf::Object }
    }

    fn text(&self, whole: &str) -> String {
        match &self.alias {
            None => whole.to_owned(),
            Some(alias) if self.is_object => {
                format!("{alias}.{}", whole.get(self.said..).unwrap_or_default())
            }
            Some(alias) => alias.clone(),
        }
    }
}

/// Source: TR-106 §3.2; numbers and booleans are those of JSON.
fn value(found: &Found) -> Value {
    match found.kind {
        ValueType::Boolean => Value::Bool(found.value == "true"),
        ValueType::Int
        | ValueType::Long
        | ValueType::UnsignedInt
        | ValueType::UnsignedLong
        | ValueType::Decimal => {
            found.value.parse().map_or_else(|_| Value::String(found.value.clone()), Value::Number)
        }
        ValueType::Unknown
        | ValueType::Base64
        | ValueType::DateTime
        | ValueType::HexBinary
        | ValueType::String => Value::String(found.value.clone()),
    }
}

fn object(profile: &Profile, all: Vec<Found>, now_s: Option<i64>) -> Value {
    let mut report = Map::new();
    match profile.json_time {
        Timestamp::UnixEpoch => drop(report.insert("CollectionTime".to_owned(), json!(now_s.unwrap_or(0)))),
        Timestamp::Iso8601 => drop(report.insert("CollectionTime".to_owned(), json!(date(now_s)))),
        Timestamp::None => {}
    }
    for found in all {
        match profile.layout {
            Layout::NameValuePair => drop(report.insert(found.name.clone(), value(&found))),
            Layout::ObjectHierarchy => insert(&mut report, &found.name, value(&found)),
        }
    }
    Value::Object(report)
}

/// Puts a value where its path leads.
fn insert(within: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => drop(within.insert(path.to_owned(), value)),
        Some((name, rest)) => {
            let below = within.entry(name.to_owned()).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(below) = below {
                insert(below, rest, value);
            }
        }
    }
}

/// The characters that a setting of CSV stands for.
fn characters(text: &str) -> String {
    text.replace("&#13;", "\r").replace("&#10;", "\n").replace("&quot;", "\"").replace("&#34;", "\"")
}

fn csv(profile: &Profile, all: Vec<Found>, now_s: Option<i64>) -> Piece {
    let [comma, end, quote] =
        [&profile.field_separator, &profile.row_separator, &profile.escape].map(|text| characters(text));
    // RFC 4180 §2.6 and §2.7.
    let field = |text: &str| {
        let special = [comma.as_str(), end.as_str(), quote.as_str(), "\r", "\n"];
        if quote.is_empty() || !special.iter().any(|one| !one.is_empty() && text.contains(one)) {
            return text.to_owned();
        }
        format!("{quote}{}{quote}", text.replace(&quote, &format!("{quote}{quote}")))
    };
    let row = |fields: Vec<String>| {
        let fields: Vec<String> = fields.iter().map(|one| field(one)).collect();
        format!("{}{end}", fields.join(&comma))
    };
    let time = match profile.csv_time {
        Timestamp::UnixEpoch => Some(now_s.unwrap_or(0).to_string()),
        Timestamp::Iso8601 => Some(date(now_s)),
        Timestamp::None => None,
    };
    let first = |more: Vec<String>| time.iter().cloned().chain(more).collect::<Vec<_>>();
    let head = |names: Vec<String>| {
        let stamp = time.iter().map(|_| "ReportTimestamp".to_owned());
        row(stamp.chain(names).collect())
    };
    match profile.table {
        Table::ParameterPerRow => {
            let names = ["ParameterName", "ParameterValue", "ParameterType"].map(str::to_owned);
            let one = |found: Found| row(first(vec![found.name, found.value, found.kind.word().to_owned()]));
            Piece::Csv(head(names.to_vec()), all.into_iter().map(one).collect())
        }
        Table::ParameterPerColumn => {
            let (names, values) = all.into_iter().map(|found| (found.name, found.value)).unzip();
            Piece::Csv(head(names), row(first(values)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Piece, collect, write};
    use crate::bulk::profile::{Encoding, Layout, Profile, Reference, Table, Timestamp};
    use crate::testing::world;

    fn profile(references: &[(&str, &str)]) -> Profile {
        let one = |(name, path): &(&str, &str)| Reference {
            row: 1,
            name: name.to_string(),
            path: path.to_string(),
            exclude: false,
        };
        Profile { parameters: references.iter().map(one).collect(), ..Profile::new(1, "self::a") }
    }

    fn text(profile: &Profile) -> String {
        let mut world = world();
        world.facts.now_s = Some(1_364_529_149);
        write(profile, &[collect(&world, profile)])
    }

    const EACH: &str = "Device.LocalAgent.Controller.*.";

    // Shows R-BULK.9, R-BULK.10.
    #[test]
    fn names_follow_the_standard() {
        let period = format!("{EACH}PeriodicNotifInterval");
        let table: &[(&str, &str, &str)] = &[
            (
                "",
                "Device.LocalAgent.Controller.2.PeriodicNotifInterval",
                "\"Device.LocalAgent.Controller.2.PeriodicNotifInterval\":86400",
            ),
            ("", &period, "\"Device.LocalAgent.Controller.1.PeriodicNotifInterval\":86400"),
            ("P", "Device.LocalAgent.Controller.2.PeriodicNotifInterval", "\"P\":86400"),
            ("P", &period, "\"P.2\":86400"),
            ("C", EACH, "\"C.2.Enable\":true"),
            ("C", "Device.LocalAgent.Controller.2.", "\"C.E2ESession.Enable\":true"),
            ("C", "Device.LocalAgent.Controller.", "\"C.2.E2ESession.Enable\":true"),
            ("", "Device.Nothing.", "{\"Report\":[{\"CollectionTime\":1364529149}]}"),
        ];
        for (name, path, want) in table {
            let got = text(&profile(&[(name, path)]));
            assert!(got.contains(want), "{name} {path}: {got}");
        }
    }

    // Shows R-BULK.10a.
    #[test]
    fn what_is_excluded_is_left_out() {
        let mut profile = profile(&[("C", EACH), ("", "Device.LocalAgent.Controller.*.Alias")]);
        assert!(text(&profile).contains("\"C.1.Alias\":\"cpe-1\""));
        profile.parameters[1].exclude = true;
        let got = text(&profile);
        assert!(!got.contains("C.1.Alias") && got.contains("\"C.1.Enable\":true"), "{got}");
    }

    #[test]
    fn a_profile_reads_what_its_controller_may() {
        let foreign = Profile { controller: "self::nobody".to_owned(), ..profile(&[("", EACH)]) };
        assert_eq!(text(&foreign), "{\"Report\":[{\"CollectionTime\":1364529149}]}");
    }

    // Shows R-BULK.11, R-BULK.12, R-BULK.13.
    #[test]
    fn each_layout_is_that_of_the_standard() {
        let references = [
            ("", "Device.LocalAgent.Controller.*.PeriodicNotifInterval"),
            ("", "Device.LocalAgent.Controller.1.Alias"),
        ];
        let json =
            Profile { layout: Layout::ObjectHierarchy, json_time: Timestamp::None, ..profile(&references) };
        assert_eq!(
            text(&json),
            r#"{"Report":[{"Device":{"LocalAgent":{"Controller":{"1":{"Alias":"cpe-1","PeriodicNotifInterval":86400},"2":{"PeriodicNotifInterval":86400}}}}}]}"#
        );
        let rows = Profile { encoding: Encoding::Csv, table: Table::ParameterPerRow, ..profile(&references) };
        assert_eq!(
            text(&rows),
            "ReportTimestamp,ParameterName,ParameterValue,ParameterType\r\n\
             1364529149,Device.LocalAgent.Controller.1.PeriodicNotifInterval,86400,unsignedInt\r\n\
             1364529149,Device.LocalAgent.Controller.2.PeriodicNotifInterval,86400,unsignedInt\r\n\
             1364529149,Device.LocalAgent.Controller.1.Alias,cpe-1,string\r\n"
        );
        let columns = Profile {
            encoding: Encoding::Csv,
            csv_time: Timestamp::Iso8601,
            field_separator: "e".to_owned(),
            ..profile(&[("Al", "Device.LocalAgent.Controller.1.Alias")])
        };
        assert_eq!(text(&columns), "\"ReportTimestamp\"eAl\r\n2013-03-29T03:52:29Ze\"cpe-1\"\r\n");
        // Those that were not delivered stand before it, under one head.
        let mut world = world();
        world.facts.now_s = Some(7);
        let columns = Profile { field_separator: ",".to_owned(), csv_time: Timestamp::UnixEpoch, ..columns };
        let pieces: Vec<Piece> = (0..2).map(|_| collect(&world, &columns)).collect();
        assert_eq!(write(&columns, &pieces), "ReportTimestamp,Al\r\n7,cpe-1\r\n7,cpe-1\r\n");
    }
}
