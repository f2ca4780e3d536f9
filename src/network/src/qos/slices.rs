//! Classes of slices on the line: between that of all services and those of a slice's own, where it has a ceiling.
//!
//! In:  attachments, each with what its slice is promised and allowed. Out: a `Share` for each slice that has a ceiling that way. Pure.
//!
//! A class's number follows from the slice's name, so that another life of ours, which is asked for one service after the other, finds the
//! same tree in the kernel, and there is nothing to be remembered. Two names of one number are so rare that the second may move when the
//! first one comes.
//!
//! Not here: services' own classes (`line.rs`), whether promises fit (`src/supervisor/src/admission.rs`).
//!
//! Source: docs/qos.md, docs/decisions/0139-a-slice-on-the-line.md.

use contract::Name;
use contract::attach::Rates;

use super::line::Way;
use crate::target::Attachment;

/// The first number of a slice's class, and how many there are: all services' come before, and the last ones are left to the kernel.
const FIRST: u16 = 0x1000;
const COUNT: u16 = 0xe000;

/// The class of a slice, one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share<'a> {
    /// Which.
    pub slice: &'a Name,
    /// Its class's number.
    pub minor: u16,
    /// What its services together are promised, in kbit/s.
    pub floor: u32,
    /// The most that they get, in kbit/s.
    pub ceiling: u32,
}

/// The number that a name asks for: FNV-1a, which spreads short names well. Source: Fowler, Noll and Vo, with their numbers for 32 bits.
fn home(name: &str) -> u16 {
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let hash = name.bytes().fold(0x811c_9dc5, step);
    u16::try_from(hash % u32::from(COUNT)).unwrap_or(0)
}

fn has_ceiling(rates: &Rates) -> bool {
    rates.ceiling_up_kbit_s != 0 || rates.ceiling_down_kbit_s != 0
}

/// The number of each slice that has a ceiling, both ways the same. Of two that ask for one number the first by name has it.
#[must_use]
pub fn numbers(attachments: &[Attachment]) -> Vec<(&Name, u16)> {
    let with = attachments.iter().filter(|service| has_ceiling(&service.slice_rates));
    let mut names: Vec<&Name> = with.map(|service| &service.slice).collect();
    names.sort_unstable();
    names.dedup();
    let mut numbers: Vec<(&Name, u16)> = Vec::new();
    for name in names {
        let first = home(name);
        let tries = (0..COUNT).map(|step| FIRST + (first + step) % COUNT);
        let is_free = |minor: &u16| numbers.iter().all(|(_, taken)| taken != minor);
        let free = tries.into_iter().find(is_free);
        numbers.extend(free.map(|minor| (name, minor)));
    }
    numbers
}

/// Slices that have a ceiling that way. `floors` are those of their services as they are kept; what a slice is promised beyond them, it gets as
/// far as it fits into `all_kbit_s`.
#[must_use]
pub fn shares<'a>(
    way: Way,
    all_kbit_s: u32,
    (attachments, floors): (&'a [Attachment], &[u32]),
) -> Vec<Share<'a>> {
    let mut shares: Vec<Share<'a>> = Vec::new();
    for (slice, minor) in numbers(attachments) {
        let its = attachments.iter().find(|service| service.slice == *slice);
        let rates = its.map(|service| service.slice_rates).unwrap_or_default();
        let of_services = attachments.iter().zip(floors).filter(|(service, _)| service.slice == *slice);
        let floor = of_services.fold(0, |sum: u32, (_, floor)| sum.saturating_add(*floor));
        shares.push(Share { slice, minor, floor, ceiling: way.ceiling(&rates) });
    }
    shares.retain(|share| share.ceiling != 0);
    let promised = |share: &Share<'_>| {
        let its = attachments.iter().find(|service| service.slice == *share.slice);
        its.map_or(0, |service| way.floor(&service.slice_rates)).saturating_sub(share.floor)
    };
    let left = all_kbit_s.saturating_sub(floors.iter().fold(0, |sum: u32, floor| sum.saturating_add(*floor)));
    let more = super::line::fit(shares.iter().map(promised).collect(), left);
    for (share, more) in shares.iter_mut().zip(more) {
        share.floor = share.floor.saturating_add(more);
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::{FIRST, Share, home, numbers, shares};
    use crate::qos::line::Way;
    use crate::target::Attachment;
    use crate::testing::{rated, sharing};
    use contract::attach::Rates;

    #[test]
    fn a_number_is_a_names_own_whoever_else_is_there() {
        let names = ["acme", "demo", "north", "south"];
        let all: Vec<Attachment> =
            (0..).zip(names).map(|(slot, name)| sharing(rated(slot, 0, 0), (name, 0, 9))).collect();
        let mut numbers_of: Vec<u16> = numbers(&all).into_iter().map(|(_, number)| number).collect();
        for one in &all {
            let alone = numbers(std::slice::from_ref(one));
            assert_eq!(alone, [(&one.slice, FIRST + home(&one.slice))]);
            assert!(numbers_of.contains(&alone[0].1));
        }
        numbers_of.sort_unstable();
        numbers_of.dedup();
        assert_eq!(numbers_of.len(), names.len());
        assert_eq!(numbers(&[sharing(rated(0, 5, 9), ("acme", 7, 0))]), [], "no ceiling, no class");
    }

    #[test]
    fn two_names_of_one_number_have_two() {
        // Names are tried until two agree.
        let mut seen = std::collections::BTreeMap::new();
        let pair = (0..100_000).find_map(|number| {
            let name = format!("n-{number}");
            seen.insert(home(&name), name.clone()).map(|other| (other, name))
        });
        let (one, other) = pair.unwrap();
        let both = [sharing(rated(0, 0, 0), (&one, 0, 9)), sharing(rated(1, 0, 0), (&other, 0, 9))];
        let [(first, number), (_, next)] = numbers(&both).try_into().unwrap();
        assert_eq!((number, next), (FIRST + home(first), FIRST + (home(first) + 1) % super::COUNT));
        let [_, back] = both;
        assert_eq!(numbers(&[back]).len(), 1);
    }

    #[test]
    fn a_slice_has_what_it_is_promised_as_far_as_it_fits_and_never_less_than_its_services() {
        let demo = |slot, own, floor| sharing(rated(slot, own, 0), ("demo", floor, 3_000));
        let acme = |slot, own, floor| sharing(rated(slot, own, 0), ("acme", floor, 3_000));
        // services; what all may have; floors of acme and demo
        let table = [
            ("services alone", vec![demo(0, 500, 0), demo(1, 200, 0)], 4_000, vec![700]),
            ("the slice has more", vec![demo(0, 500, 1_000), demo(1, 200, 1_000)], 4_000, vec![1_000]),
            ("two slices", vec![demo(0, 500, 1_000), acme(1, 0, 2_000)], 4_000, vec![2_000, 1_000]),
            ("a smaller line", vec![demo(0, 500, 1_000), acme(1, 0, 2_000)], 1_000, vec![400, 600]),
            ("no line", vec![demo(0, 0, 1_000)], 0, vec![0]),
        ];
        for (what, services, all, wanted) in table {
            let floors: Vec<u32> = services.iter().map(|service| service.rates.floor_up_kbit_s).collect();
            for way in [Way::Up, Way::Down] {
                let shares = shares(way, all, (&services, &floors));
                let has: Vec<u32> = shares.iter().map(|share| share.floor).collect();
                assert_eq!(has, wanted, "{what}");
                assert!(shares.iter().all(|Share { ceiling, .. }| *ceiling == 3_000));
            }
        }
    }

    #[test]
    fn each_way_has_its_own_ceiling() {
        let slice_rates = Rates { ceiling_up_kbit_s: 900, ..Rates::default() };
        let services = [Attachment { slice_rates, ..rated(0, 0, 0) }];
        assert_eq!(shares(Way::Up, 1_000, (&services, &[0])).len(), 1);
        assert_eq!(shares(Way::Down, 1_000, (&services, &[0])), []);
    }
}
