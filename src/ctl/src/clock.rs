//! The command about the clock: what it says, and who says so.

use contract::clock::{Answer, Ask, Clock, Source};
use contract::wires::CLOCK;
use wire::Client;

use crate::command::{Out, Words};
use crate::json::Object;
use crate::{Error, table};

pub(crate) fn time(words: &Words<'_>, out: Out<'_>) -> Result<(), Error> {
    words.none()?;
    let failed = |error| Error::Wire(CLOCK.server, error);
    let client = Client::dial(CLOCK).map_err(failed)?;
    client.send(&Ask::Clock, &[]).map_err(failed)?;
    let (mut clock, mut sources) = (None, Vec::new());
    loop {
        match client.wait::<Answer>().map_err(failed)?.0 {
            Answer::Clock(said) => clock = Some(said),
            Answer::Source(source) => sources.push(source),
            Answer::Done => break,
        }
    }
    let clock = clock.ok_or_else(|| Error::Refused("no answer to the question".to_owned()))?;
    if words.json {
        let rows: Vec<String> = sources.iter().map(row_json).collect();
        return Ok(writeln!(out, "{}", clock_json(&clock).list("sources", &rows).end())?);
    }
    let seal = if clock.sealed { ", sealed" } else { "" };
    let source = match clock.source.as_str() {
        "" => String::new(),
        name => format!(
            ", {name}{seal}, stratum {}, {} us behind {} s ago, within {} us",
            clock.stratum, clock.offset_us, clock.since_s, clock.dispersion_us
        ),
    };
    writeln!(out, "TIME   {} UTC, {}{source}", civil(clock.now_s), clock.state.word())?;
    if !clock.reason.is_empty() {
        writeln!(out, "WHY    {}", clock.reason)?;
    }
    let rows: Vec<[String; 7]> = sources.iter().map(row).collect();
    table::print(["SERVER", "ADDRESS", "VERDICT", "STRATUM", "BEHIND", "DELAY", "EVERY"], &rows, out)
}

fn clock_json(clock: &Clock) -> Object {
    Object::default()
        .text("state", clock.state.word())
        .text("now", civil(clock.now_s))
        .number("now_s", u64::try_from(clock.now_s).ok())
        .text("source", &clock.source)
        .text("sealed", if clock.sealed { "nts" } else { "" })
        .number("stratum", Some(clock.stratum.into()))
        .text("offset_us", clock.offset_us)
        .number("dispersion_us", Some(clock.dispersion_us))
        .text("frequency_ppb", clock.frequency_ppb)
        .number("since_s", Some(clock.since_s))
        .text("reason", &clock.reason)
}

fn row_json(source: &Source) -> String {
    Object::default()
        .text("name", &source.name)
        .text("address", &source.address)
        .text("sealed", if source.sealed { "nts" } else { "" })
        .text("verdict", &source.verdict)
        .number("stratum", Some(source.stratum.into()))
        .text("offset_us", source.offset_us)
        .number("delay_us", Some(source.delay_us))
        .number("reach", Some(source.reach.into()))
        .number("poll_s", Some(source.poll_s.into()))
        .end()
}

fn row(source: &Source) -> [String; 7] {
    let seal = if source.sealed { ", sealed" } else { "" };
    [
        source.name.to_string(),
        source.address.to_string(),
        format!("{}{seal}", source.verdict),
        source.stratum.to_string(),
        format!("{} us", source.offset_us),
        format!("{} us", source.delay_us),
        format!("{} s", source.poll_s),
    ]
}

/// Seconds since 1970 as a date and a time of day.
///
/// Source: the Gregorian calendar, in eras of 400 years that begin on 1 March.
fn civil(seconds: i64) -> String {
    const DAY_S: i64 = 86_400;
    let (days, rest) = (seconds.div_euclid(DAY_S) + 719_468, seconds.rem_euclid(DAY_S));
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", rest / 3_600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::civil;

    #[test]
    fn days_are_those_of_the_calendar() {
        // `date -u -d @N '+%F %T'`
        let table = [
            (0, "1970-01-01 00:00:00"),
            (951_782_400, "2000-02-29 00:00:00"),
            (1_793_491_200, "2026-11-01 00:00:00"),
            (2_147_483_648, "2038-01-19 03:14:08"),
            (4_107_542_399, "2100-02-28 23:59:59"),
            (4_107_542_400, "2100-03-01 00:00:00"),
        ];
        for (seconds, want) in table {
            assert_eq!(civil(seconds), want);
        }
    }
}
