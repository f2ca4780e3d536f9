//! Whom to believe: the servers of which a majority agrees, and of these the ones that scatter least.
//!
//! In:  what each server's filter says. Out: who is believed, and the offset that they say together. This module is pure.
//!
//! Each server says: the true time lies within my offset plus or minus my distance. The truth lies where most of these intervals
//! intersect; who lies outside is a falseticker. Two that contradict each other are no majority: then nobody is believed.
//!
//! Source: RFC 5905 §11.2.1 (intersection), §11.2.2 (cluster), §11.2.3 (combine), appendix A.5.5.1. Unlike there, the middle of an interval
//! counts for nothing: servers that are all honest have an intersection always, though it may contain no middle (Marzullo's algorithm).

/// Servers that survive the cluster algorithm at least. Source: RFC 5905 §7.2, `NMIN`.
const SURVIVORS_MIN: usize = 3;
/// The greatest distance of a server that counts, in nanoseconds. Source: RFC 5905 §7.2, `MAXDIST`, is 1 s; ntpd's is 1.5 s.
pub const DISTANCE_NS_MAX: i64 = 1_500_000_000;

/// What one server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Which: its place in the list of sources.
    pub source: usize,
    /// How far our clock is behind its clock, in nanoseconds.
    pub offset_ns: i64,
    /// How wrong that may be, at most: half the way to the reference clock, and all errors on it.
    pub distance_ns: i64,
    /// How much its samples scatter.
    pub jitter_ns: i64,
    /// How far it is from a reference clock.
    pub stratum: u8,
}

/// Who is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The one that counts most: nearest to a reference clock.
    pub peer: Candidate,
    /// All of them, by place.
    pub survivors: Vec<usize>,
    /// Who contradicts them.
    pub false_ones: Vec<usize>,
    /// What they say together.
    pub offset_ns: i64,
    /// How much they scatter.
    pub jitter_ns: i64,
}

/// Believes a majority of `candidates`; `None`: there is none.
#[must_use]
pub fn select(candidates: &[Candidate]) -> Option<Verdict> {
    let fit: Vec<Candidate> =
        candidates.iter().copied().filter(|one| one.distance_ns <= DISTANCE_NS_MAX).collect();
    let (low, high) = intersection(&fit)?;
    let (mut true_ones, false_ones): (Vec<Candidate>, Vec<Candidate>) = fit.into_iter().partition(|one| {
        one.offset_ns.saturating_add(one.distance_ns) >= low
            && one.offset_ns.saturating_sub(one.distance_ns) <= high
    });
    // The best ones first: a stratum weighs as much as the greatest distance.
    true_ones.sort_by_key(|one| (i64::from(one.stratum) * DISTANCE_NS_MAX).saturating_add(one.distance_ns));
    cluster(&mut true_ones);
    let peer = *true_ones.first()?;
    Some(Verdict {
        peer,
        offset_ns: combine(&true_ones),
        jitter_ns: peer.jitter_ns.max(scatter(&peer, &true_ones)),
        survivors: true_ones.iter().map(|one| one.source).collect(),
        false_ones: false_ones.iter().map(|one| one.source).collect(),
    })
}

/// The interval in which those of a majority intersect, of the largest majority that there is.
fn intersection(all: &[Candidate]) -> Option<(i64, i64)> {
    /// An edge, and what it is to who comes from the left: the begin of an interval, or its end.
    type Edge = (i64, i8);
    let begin = |one: &Candidate| (one.offset_ns.saturating_sub(one.distance_ns), 1);
    let end = |one: &Candidate| (one.offset_ns.saturating_add(one.distance_ns), -1);
    let mut edges: Vec<Edge> = all.iter().flat_map(|one| [begin(one), end(one)]).collect();
    // Of equal edges an interval begins before another ends: they touch.
    edges.sort_by_key(|(edge, kind)| (*edge, -kind));
    let count = all.len();
    let scan = |edges: &mut dyn Iterator<Item = &Edge>, begins: i8, enough: usize| {
        let mut inside = 0_usize;
        for (edge, kind) in edges {
            inside = if *kind == begins { inside + 1 } else { inside.saturating_sub(1) };
            if inside >= enough {
                return Some(*edge);
            }
        }
        None
    };
    let more_than_half = (0..count).take_while(|liars| 2 * liars < count);
    more_than_half.map(|liars| count - liars).find_map(|enough| {
        let low = scan(&mut edges.iter(), 1, enough)?;
        let high = scan(&mut edges.iter().rev(), -1, enough)?;
        (low <= high).then_some((low, high))
    })
}

/// How far the others are from `one` (root of the mean square).
fn scatter(one: &Candidate, all: &[Candidate]) -> i64 {
    let others = i128::try_from(all.len().saturating_sub(1)).unwrap_or(0);
    let squares = all.iter().map(|other| {
        let difference = i128::from(other.offset_ns) - i128::from(one.offset_ns);
        difference.saturating_mul(difference)
    });
    let sum = squares.fold(0_i128, i128::saturating_add);
    i64::try_from((sum / others.max(1)).isqrt()).unwrap_or(i64::MAX)
}

/// Leaves out who is furthest from the others, as long as that makes the rest better than their own jitter.
fn cluster(all: &mut Vec<Candidate>) {
    while all.len() > SURVIVORS_MIN {
        let worst = all.iter().enumerate().map(|(place, one)| (scatter(one, all), place)).max();
        let steadiest = all.iter().map(|one| one.jitter_ns).min();
        match (worst, steadiest) {
            (Some((worst, place)), Some(steadiest)) if worst > steadiest => drop(all.remove(place)),
            _ => break,
        }
    }
}

/// The mean of their offsets, each weighed by one over its distance.
fn combine(all: &[Candidate]) -> i64 {
    const SCALE: i128 = 1 << 40;
    let weights = all.iter().map(|one| SCALE / i128::from(one.distance_ns.max(1)));
    let (sum, whole) = all.iter().zip(weights).fold((0_i128, 0_i128), |(sum, whole), (one, weight)| {
        (sum.saturating_add(i128::from(one.offset_ns).saturating_mul(weight)), whole.saturating_add(weight))
    });
    i64::try_from(sum / whole.max(1)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Candidate, select};
    use proptest::prelude::*;

    const MS: i64 = 1_000_000;

    fn candidates(all: &[(i64, i64)]) -> Vec<Candidate> {
        let one = |(source, (offset_ms, distance_ms)): (usize, &(i64, i64))| Candidate {
            source,
            offset_ns: offset_ms * MS,
            distance_ns: distance_ms * MS,
            jitter_ns: MS,
            stratum: 2,
        };
        all.iter().enumerate().map(one).collect()
    }

    #[test]
    fn a_majority_is_believed_and_liars_are_not() {
        type Row<'r> = (&'r str, &'r [(i64, i64)], Option<(&'r [usize], &'r [usize])>);
        // name, (offset, distance) of each in ms; who survives, who is false
        let table: &[Row<'_>] = &[
            ("nobody", &[], None),
            ("one", &[(5, 10)], Some((&[0], &[]))),
            ("two that agree", &[(5, 10), (9, 12)], Some((&[0, 1], &[]))),
            ("two that do not", &[(5, 10), (900, 10)], None),
            ("one of three lies", &[(5, 10), (900, 10), (7, 10)], Some((&[0, 2], &[1]))),
            ("a liar who is sure", &[(5, 10), (900, 0), (7, 10)], Some((&[0, 2], &[1]))),
            ("two of four lie alike", &[(5, 10), (6, 10), (900, 10), (901, 10)], None),
            (
                "two of five lie",
                &[(5, 10), (900, 10), (6, 10), (-900, 10), (7, 10)],
                Some((&[0, 2, 4], &[1, 3])),
            ),
            ("three, all different", &[(0, 10), (500, 10), (1_000, 10)], None),
            ("too far away to count", &[(5, 1_501), (900, 10)], Some((&[1], &[]))),
        ];
        for (name, all, want) in table {
            let got = select(&candidates(all));
            let got = got.as_ref().map(|got| {
                let mut survivors = got.survivors.clone();
                survivors.sort_unstable();
                (survivors, got.false_ones.clone())
            });
            let want = want.map(|(survivors, liars)| (survivors.to_vec(), liars.to_vec()));
            assert_eq!(got, want, "{name}");
        }
    }

    #[test]
    fn the_nearer_ones_weigh_more() {
        let got = select(&candidates(&[(0, 10), (8, 30)])).unwrap();
        assert_eq!((got.peer.source, (got.offset_ns + 500) / 1_000), (0, 2_000));
        let mut all = candidates(&[(0, 10), (8, 30)]);
        all[0].stratum = 3;
        assert_eq!(select(&all).unwrap().peer.source, 1, "a lower stratum is nearer");
        // Of many, who is far out is left out though he does not lie.
        let got = select(&candidates(&[(0, 50), (1, 50), (2, 50), (1, 50), (40, 50)])).unwrap();
        assert!(!got.survivors.contains(&4), "{got:?}");
    }

    proptest! {
        #[test]
        fn a_minority_moves_nobody(
            truth in -1_000_i64..1_000,
            honest in prop::collection::vec((-20_i64..20, 20_i64..60), 3..6),
            lies in prop::collection::vec((500_i64..100_000, 1_i64..60), 0..3),
        ) {
            prop_assume!(lies.len() < honest.len());
            let all: Vec<(i64, i64)> =
                honest.iter().map(|(off, distance)| (truth + off, *distance)).chain(
                lies.iter().map(|(off, distance)| (truth + off, *distance))).collect();
            let got = select(&candidates(&all)).expect("the honest ones are a majority");
            prop_assert!((got.offset_ns - truth * MS).abs() <= 20 * MS);
            prop_assert!(got.survivors.iter().all(|source| *source < honest.len()));
        }
    }
}
