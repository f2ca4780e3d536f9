//! Who watches what on one link, a row for each host and group.
//!
//! In:  records of hosts, time. Out: what is watched of each group, by whom; which group has to be asked about.
//!
//! Every host is remembered by itself, since hosts of IGMPv3 and MLDv2 speak for themselves and not for others (RFC 3376 appendix A.2): when
//! the last one leaves, the stream stops at once, and nobody has to be asked. Hosts of the old protocols keep silent when another one
//! has reported, so when one of these leaves the others are asked, and have [`LAST_MS`] to answer.
//!
//! Pure. Source: RFC 3376 §6, RFC 3810 §7; RFC 4605 §4.1 (merging).

use std::net::IpAddr;

use crate::message::{Kind, Record, Sources};

/// How long a host's word stands, in milliseconds: 2 × 125 s + 10 s. Source: RFC 3376 §8.4.
pub const MEMBER_MS: u64 = 260_000;
/// How long the others have to answer when a host of the old protocol leaves, in milliseconds: twice the time that the query names, and a
/// little for the way. RFC 3376 §8.8 has 2 s, which is long when somebody changes channels on a line that carries two.
pub const LAST_MS: u64 = 500;
/// What that query names, in milliseconds.
pub const LAST_RESPONSE_MS: u16 = 200;
/// Rows of one link: 32 hosts with 16 groups each.
pub const ROWS_MAX: usize = 512;
/// Groups of one host: it cannot take all rows.
pub const HOST_GROUPS_MAX: usize = 64;

/// What is watched of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Only from these sources (INCLUDE); else from all but these (EXCLUDE).
    pub only: bool,
    /// The sources.
    pub sources: Sources,
}

impl Filter {
    /// Is `source` watched?
    #[must_use]
    pub fn passes(&self, source: IpAddr) -> bool {
        self.sources.contains(&source) == self.only
    }

    /// This and another one's, together. Source: RFC 3376 §3.2.
    #[must_use]
    pub fn merged(&self, other: &Self) -> Self {
        let both = |only, mine: &mut dyn Iterator<Item = &IpAddr>| Self { only, sources: limited(mine) };
        let (mine, others) = (&self.sources, &other.sources);
        match (self.only, other.only) {
            // What does not fit is dropped; a list of sources that is full is rather opened for all.
            (true, true) => {
                let new = others.iter().filter(|source| !mine.contains(source));
                if mine.len() + new.clone().count() > mine.capacity() {
                    return Self { only: false, sources: Sources::new() };
                }
                both(true, &mut mine.iter().chain(new))
            }
            (false, false) => both(false, &mut mine.iter().filter(|source| others.contains(source))),
            (false, true) => both(false, &mut mine.iter().filter(|source| !others.contains(source))),
            (true, false) => both(false, &mut others.iter().filter(|source| !mine.contains(source))),
        }
    }
}

fn limited(sources: &mut dyn Iterator<Item = &IpAddr>) -> Sources {
    sources.copied().take(Sources::new().capacity()).collect()
}

/// What one host watches of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The host.
    pub host: IpAddr,
    /// The group.
    pub group: IpAddr,
    /// What of it.
    pub filter: Filter,
    /// Until when its word stands, in milliseconds after boot.
    pub until_ms: u64,
    /// It speaks the old protocol.
    pub old: bool,
}

/// Who watches what on one link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    rows: Vec<Member>,
}

impl Members {
    /// All rows.
    #[must_use]
    pub fn rows(&self) -> &[Member] {
        &self.rows
    }

    /// Takes a host's word. Returns whether the other hosts have to be asked about the group.
    pub fn hear(&mut self, host: IpAddr, record: &Record, now_ms: u64) -> bool {
        let place = self.rows.iter().position(|row| row.host == host && row.group == record.group);
        let known = place.map(|place| self.rows.swap_remove(place));
        let Some(filter) = says(known.as_ref().map(|known| &known.filter), record) else {
            // It watches no longer. Of a host that we do not know the others may know more than we do.
            let old = record.old || known.as_ref().is_some_and(|known| known.old);
            if let Some(known) = known.filter(|_| old) {
                let until_ms = known.until_ms.min(now_ms.saturating_add(LAST_MS));
                self.rows.push(Member { until_ms, ..known });
            }
            return old && self.rows.iter().any(|row| row.group == record.group);
        };
        let groups = self.rows.iter().filter(|row| row.host == host).count();
        if self.rows.len() < ROWS_MAX && groups < HOST_GROUPS_MAX {
            let until_ms = now_ms.saturating_add(MEMBER_MS);
            self.rows.push(Member { host, group: record.group, filter, until_ms, old: record.old });
        }
        if record.old {
            self.has_answered(record.group, now_ms);
        }
        false
    }

    /// One host of the old protocol has reported, so the others that were asked keep silent: they stand again for as long as it.
    fn has_answered(&mut self, group: IpAddr, now_ms: u64) {
        let until_ms = now_ms.saturating_add(MEMBER_MS);
        let asked = |row: &&mut Member| row.group == group && row.old && row.until_ms > now_ms + LAST_MS;
        self.rows.iter_mut().filter(asked).for_each(|row| row.until_ms = until_ms);
    }

    /// Forgets whose word no longer stands. Was there any?
    pub fn expire(&mut self, now_ms: u64) -> bool {
        let before = self.rows.len();
        self.rows.retain(|row| row.until_ms > now_ms);
        self.rows.len() != before
    }

    /// When the next one's word ends, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        self.rows.iter().map(|row| row.until_ms).min()
    }

    /// What is watched of `group`; `None`: nothing.
    #[must_use]
    pub fn filter(&self, group: IpAddr) -> Option<Filter> {
        let mut filters = self.rows.iter().filter(|row| row.group == group).map(|row| &row.filter);
        let first = filters.next()?.clone();
        Some(filters.fold(first, |sum, filter| sum.merged(filter)))
    }

    /// The groups that are watched, each once, in order.
    #[must_use]
    pub fn groups(&self) -> Vec<IpAddr> {
        let mut groups: Vec<IpAddr> = self.rows.iter().map(|row| row.group).collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }
}

/// What a host watches once it has said `record`; `None`: nothing. Source: RFC 3376 §4.2.12.
fn says(known: Option<&Filter>, record: &Record) -> Option<Filter> {
    let said = &record.sources;
    let with = |only, sources: &mut dyn Iterator<Item = &IpAddr>| Filter { only, sources: limited(sources) };
    let filter = match (record.kind, known) {
        (Kind::IsOnly | Kind::ToOnly, _) => with(true, &mut said.iter()),
        (Kind::IsAllBut | Kind::ToAllBut, _) => with(false, &mut said.iter()),
        (Kind::Allow, Some(Filter { only: true, sources })) => {
            let new = said.iter().filter(|source| !sources.contains(source));
            with(true, &mut sources.iter().chain(new))
        }
        (Kind::Allow, Some(Filter { only: false, sources })) => {
            with(false, &mut sources.iter().filter(|source| !said.contains(source)))
        }
        (Kind::Allow, None) => with(true, &mut said.iter()),
        (Kind::Block, Some(Filter { only: true, sources })) => {
            with(true, &mut sources.iter().filter(|source| !said.contains(source)))
        }
        (Kind::Block, Some(Filter { only: false, sources })) => {
            let new = said.iter().filter(|source| !sources.contains(source));
            with(false, &mut sources.iter().chain(new))
        }
        (Kind::Block, None) => return None,
    };
    (!filter.only || !filter.sources.is_empty()).then_some(filter)
}

#[cfg(test)]
mod tests {
    use super::{Filter, HOST_GROUPS_MAX, LAST_MS, MEMBER_MS, Members, ROWS_MAX};
    use crate::message::{Kind, Record, Sources};
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
    use std::net::IpAddr;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn group(last: u8) -> IpAddr {
        [239, 1, 1, last].into()
    }

    fn record(kind: Kind, sources: &[u8], old: bool) -> Record {
        let sources: Sources = sources.iter().map(|last| address(*last)).collect();
        Record { kind, group: group(1), sources, old }
    }

    fn shown(filter: Option<Filter>) -> String {
        let Some(mut filter) = filter else { return "nothing".to_owned() };
        filter.sources.sort_unstable();
        let sources = filter
            .sources
            .iter()
            .map(|source| format!(" {}", source.to_string().rsplit('.').next().unwrap()));
        let word = if filter.only { "only" } else { "all but" };
        format!("{word}{}", sources.collect::<String>())
    }

    #[test]
    fn a_group_is_what_its_hosts_say() {
        use Kind as K;
        type Said = (u8, Kind, &'static [u8]);
        let table: &[(&str, &[Said], &str)] = &[
            ("one watches", &[(1, K::ToAllBut, &[])], "all but"),
            ("and leaves", &[(1, K::ToAllBut, &[]), (1, K::ToOnly, &[])], "nothing"),
            (
                "the other stays",
                &[(1, K::ToAllBut, &[]), (2, K::IsAllBut, &[]), (1, K::ToOnly, &[])],
                "all but",
            ),
            ("one source", &[(1, K::Allow, &[7])], "only 7"),
            ("two hosts, two sources", &[(1, K::Allow, &[7]), (2, K::Allow, &[8])], "only 7 8"),
            ("one source less", &[(1, K::IsOnly, &[7, 8]), (1, K::Block, &[8])], "only 7"),
            ("and none", &[(1, K::IsOnly, &[7]), (1, K::Block, &[7])], "nothing"),
            ("all but one", &[(1, K::ToAllBut, &[7])], "all but 7"),
            ("which another wants", &[(1, K::ToAllBut, &[7, 8]), (2, K::Allow, &[7])], "all but 8"),
            ("the same, the other way round", &[(2, K::Allow, &[7]), (1, K::ToAllBut, &[7, 8])], "all but 8"),
            ("both leave one out", &[(1, K::ToAllBut, &[7, 8]), (2, K::ToAllBut, &[8, 9])], "all but 8"),
            ("block in all but", &[(1, K::ToAllBut, &[]), (1, K::Block, &[7])], "all but 7"),
            ("allow in all but", &[(1, K::ToAllBut, &[7]), (1, K::Allow, &[7])], "all but"),
            ("a block out of the blue", &[(1, K::Block, &[7])], "nothing"),
        ];
        for (what, said, want) in table {
            let mut members = Members::default();
            for (host, kind, sources) in *said {
                assert!(!members.hear(address(*host), &record(*kind, sources, false), 0), "{what}");
            }
            assert_eq!(shown(members.filter(group(1))), *want, "{what}");
        }
    }

    #[test]
    fn hosts_of_the_old_protocol_are_asked_before_the_stream_stops() {
        let mut members = Members::default();
        assert!(!members.hear(address(1), &record(Kind::IsAllBut, &[], true), 0));
        assert!(members.hear(address(1), &record(Kind::ToOnly, &[], true), 1_000), "others may watch");
        members.expire(1_000 + LAST_MS - 1);
        assert!(members.filter(group(1)).is_some());
        // Another one answers: it was silent until now.
        members.hear(address(2), &record(Kind::IsAllBut, &[], true), 1_200);
        members.expire(1_000 + LAST_MS);
        assert_eq!(members.rows().len(), 1);
        assert!(
            !members.hear(address(3), &record(Kind::ToOnly, &[], false), 2_000),
            "a stranger of the new one"
        );
        members.expire(1_200 + MEMBER_MS);
        assert_eq!(members.filter(group(1)), None, "a host that says nothing more is forgotten");
    }

    #[test]
    fn nobody_takes_all_rows() {
        let mut members = Members::default();
        for number in 0..=255 {
            let one = Record { group: group(number), ..record(Kind::ToAllBut, &[], false) };
            members.hear(address(1), &one, 0);
        }
        assert_eq!(members.rows().len(), HOST_GROUPS_MAX);
        for host in 2..=255 {
            for number in 0..4 {
                let one = Record { group: group(number), ..record(Kind::ToAllBut, &[], false) };
                members.hear(address(host), &one, 0);
            }
        }
        assert_eq!(members.rows().len(), ROWS_MAX);
    }

    fn kind(number: u8) -> Kind {
        Kind::of(1 + number % 6).unwrap()
    }

    proptest! {
        /// Whatever two hosts say: a source passes exactly if one of the two watches it.
        #[test]
        fn the_sum_passes_what_one_of_them_watches(said in proptest::collection::vec(any::<(bool, u8, u8)>(), 0..24)) {
            let mut members = Members::default();
            for (host, number, source) in said {
                members.hear(address(u8::from(host)), &record(kind(number), &[source % 8], false), 0);
            }
            let sum = members.filter(group(1));
            for source in 0..8 {
                let source = address(source);
                let one = members.rows().iter().any(|row| row.filter.passes(source));
                prop_assert_eq!(sum.as_ref().is_some_and(|sum| sum.passes(source)), one);
            }
        }

        /// Whatever is said, the table keeps its limits, and in the end everybody is forgotten.
        #[test]
        fn the_table_is_bounded(said in proptest::collection::vec(any::<(u8, u8, u8, bool)>(), 0..64)) {
            let mut members = Members::default();
            for (host, number, which, old) in said {
                let one = Record { group: group(which), ..record(kind(number), &[which], old) };
                members.hear(address(host), &one, u64::from(number));
            }
            prop_assert!(members.rows().len() <= ROWS_MAX);
            members.expire(MEMBER_MS + 256);
            prop_assert!(members.rows().is_empty());
        }
    }
}
