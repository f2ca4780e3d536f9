//! What there is to say on the wire `groups`: who watches what, and which streams pass.

use contract::groups::Answer;

use crate::household::Household;

/// Rows of one answer: what a socket's queue holds (unix(7)); what is beyond is left off.
const ROWS_MAX: usize = 250;

/// All rows, then the word that it was all.
#[must_use]
pub fn answers(households: &[Household], now_ms: u64) -> Vec<Answer> {
    let rows = households.iter().flat_map(|household| rows(household, now_ms)).take(ROWS_MAX);
    rows.chain([Answer::Done]).collect()
}

fn rows(household: &Household, now_ms: u64) -> Vec<Answer> {
    let groups = household.places().iter().flat_map(|place| {
        place.members.groups().into_iter().filter_map(move |group| {
            let filter = place.members.filter(group)?;
            let hosts = || place.members.rows().iter().filter(move |row| row.group == group);
            let until_ms = hosts().map(|row| row.until_ms).max().unwrap_or(0);
            Some(Answer::Group {
                link: place.name.clone(),
                group,
                only: filter.only,
                sources: filter.sources.iter().copied().take(contract::groups::SOURCES_SHOWN).collect(),
                hosts: u16::try_from(hosts().count()).unwrap_or(u16::MAX),
                remaining_s: u32::try_from(until_ms.saturating_sub(now_ms) / 1_000).unwrap_or(u32::MAX),
            })
        })
    });
    let streams = household.streams().rows().iter().map(|stream| Answer::Stream {
        source: stream.route.source,
        group: stream.route.group,
        from: household.name(stream.route.from).cloned().unwrap_or_default(),
        to: household.leaves(&stream.route).take(contract::limit::HOMES).cloned().collect(),
        packets: household
            .kernel()
            .packets(stream.route.source, stream.route.group)
            .unwrap_or(stream.packets),
    });
    groups.chain(streams).collect()
}
