//! Properties of admission: whatever is asked in whatever order, no more is promised than there is, and what was promised stays.

use std::collections::BTreeMap;

use contract::sla::RESOURCES;
use contract::{Name, limit};
use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::test_runner::TestCaseError;

use super::{
    Books, DISK_PERMILLE, Floors, Measured, PROTECTED_MIB, Refusal, Resource, capacity, disk_weight, weight,
    weight_of_slices,
};

const SLICES: u8 = 4;
const SERVICES: u8 = 9;
const ALL: Floors = Floors([800, 734, 10_000, 50_000, DISK_PERMILLE]);

#[derive(Debug, Clone)]
enum Ask {
    /// Rent, or another size.
    Rent(u8, Floors),
    GiveBack(u8),
    /// Install and start, or another size, or another slice.
    Admit(u8, u8, Floors),
    /// Stop, remove.
    Release(u8),
    /// A line was set to another rate.
    Lines(u32),
}

fn floors() -> impl Strategy<Value = Floors> {
    let disk = prop_oneof![1 => 0..1_u32, 2 => 0..150_u32];
    (0..500_u32, 0..300_u32, 0..6_000_u32, 0..30_000_u32, disk)
        .prop_map(|(cpu, memory, up, down, disk)| Floors([cpu, memory, up, down, disk]))
}

fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        3 => (0..SLICES, floors()).prop_map(|(slice, floors)| Ask::Rent(slice, floors)),
        1 => (0..SLICES).prop_map(Ask::GiveBack),
        8 => (0..SERVICES, 0..SLICES, floors()).prop_map(|(service, slice, floors)| {
            Ask::Admit(service, slice, Floors(floors.0.map(|floor| floor / 3)))
        }),
        3 => (0..SERVICES).prop_map(Ask::Release),
        1 => (0..10_000_u32).prop_map(Ask::Lines),
    ]
}

fn slice(number: u8) -> Name {
    Name::new(&format!("p-{number}")).unwrap()
}

fn service(number: u8) -> Name {
    Name::new(&format!("s-{number}")).unwrap()
}

/// What was promised, kept by the simplest means.
#[derive(Debug, Clone, Default)]
struct Shadow {
    slices: BTreeMap<u8, Floors>,
    services: BTreeMap<u8, (u8, Floors)>,
}

impl Shadow {
    fn sum<'f>(floors: impl Iterator<Item = &'f Floors>) -> [u64; RESOURCES] {
        let mut sum = [0; RESOURCES];
        floors.for_each(|floors| (0..RESOURCES).for_each(|place| sum[place] += u64::from(floors.0[place])));
        sum
    }

    fn inside(&self, slice: u8) -> [u64; RESOURCES] {
        let inside = self.services.values().filter(|(of, _)| *of == slice);
        Self::sum(inside.map(|(_, floors)| floors))
    }
}

fn fits(sum: [u64; RESOURCES], all: Floors) -> bool {
    sum.into_iter().zip(all.0).all(|(sum, all)| sum <= u64::from(all))
}

/// Does `ask`, and writes it down where it was granted.
fn grant(books: &mut Books, shadow: &mut Shadow, ask: &Ask) -> Result<(), Refusal> {
    match *ask {
        Ask::Rent(number, floors) => {
            books.rent(&slice(number), floors)?;
            shadow.slices.insert(number, floors);
        }
        Ask::GiveBack(number) => {
            books.give_back(&slice(number))?;
            shadow.slices.remove(&number);
        }
        Ask::Admit(number, of, floors) => {
            books.admit(&service(number), &slice(of), floors)?;
            shadow.services.insert(number, (of, floors));
        }
        Ask::Release(number) => {
            books.release(&service(number));
            shadow.services.remove(&number);
        }
        Ask::Lines(up) => books.measure(Floors([800, 734, up, up * 5, DISK_PERMILLE])),
    }
    Ok(())
}

/// Nobody has more or less than was granted: nothing is ever taken from anybody by what another asks.
fn is_as(books: &Books, shadow: &Shadow) -> Result<(), TestCaseError> {
    for number in 0..SLICES {
        prop_assert_eq!(books.slice(&slice(number)), shadow.slices.get(&number).copied());
        prop_assert_eq!(books.used(&slice(number)).0.map(u64::from), shadow.inside(number));
    }
    for number in 0..SERVICES {
        prop_assert_eq!(books.has(&service(number)), shadow.services.contains_key(&number));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_more_is_promised_than_there_is(asks in proptest::collection::vec(ask(), 1..80)) {
        let (mut books, mut shadow) = (Books::new(ALL), Shadow::default());
        for ask in asks.iter().filter(|ask| !matches!(ask, Ask::Lines(_))) {
            let _ = grant(&mut books, &mut shadow, ask);
            is_as(&books, &shadow)?;
            prop_assert!(fits(Shadow::sum(shadow.slices.values()), ALL), "{ask:?}");
            for (number, floors) in &shadow.slices {
                prop_assert!(fits(shadow.inside(*number), *floors), "{ask:?}");
            }
            for (of, _) in shadow.services.values() {
                prop_assert!(shadow.slices.contains_key(of), "{ask:?}: a service without a slice");
            }
        }
    }

    #[test]
    fn a_line_that_shrinks_takes_nothing_from_anybody_and_gives_nothing(
        asks in proptest::collection::vec(ask(), 1..80),
    ) {
        let (mut books, mut shadow) = (Books::new(ALL), Shadow::default());
        for ask in &asks {
            let before = Shadow::sum(shadow.slices.values());
            let _ = grant(&mut books, &mut shadow, ask);
            is_as(&books, &shadow)?;
            let after = Shadow::sum(shadow.slices.values());
            for place in 0..RESOURCES {
                let fits = after[place] <= u64::from(books.capacity().0[place]);
                prop_assert!(fits || after[place] <= before[place], "{ask:?}: it grew, and there is none");
            }
        }
    }

    #[test]
    fn a_refusal_says_what_is_missing_to_the_last_unit(
        asks in proptest::collection::vec(ask(), 1..60),
        number in 0..SERVICES,
        of in 0..SLICES,
        wish in floors(),
        box_or_slice in any::<bool>(),
    ) {
        let (mut books, mut shadow) = (Books::new(ALL), Shadow::default());
        for ask in asks.iter().filter(|ask| !matches!(ask, Ask::Lines(_))) {
            let _ = grant(&mut books, &mut shadow, ask);
        }
        let last = if box_or_slice { Ask::Rent(of, wish) } else { Ask::Admit(number, of, wish) };
        let Err(refusal) = grant(&mut books.clone(), &mut shadow.clone(), &last) else { return Ok(()) };
        let less = |by: u32| {
            let mut less = wish;
            for (resource, short) in refusal.short() {
                let place = Resource::ALL.iter().position(|other| other == resource).unwrap();
                less.0[place] = less.0[place].saturating_sub(short - by);
            }
            less
        };
        let again = |wish: Floors| {
            let (mut books, mut shadow) = (books.clone(), shadow.clone());
            let ask = if box_or_slice { Ask::Rent(of, wish) } else { Ask::Admit(number, of, wish) };
            grant(&mut books, &mut shadow, &ask)
        };
        match &refusal {
            Refusal::Box { .. } | Refusal::Slice { .. } => {
                prop_assert!(!refusal.short().is_empty());
                // Exactly so much less would be admitted.
                let all = refusal.short().iter().all(|(resource, short)| {
                    wish.0[Resource::ALL.iter().position(|other| other == resource).unwrap()] >= *short
                });
                if all {
                    let fits = !matches!(again(less(0)), Err(Refusal::Box { .. } | Refusal::Slice { .. }));
                    prop_assert!(fits, "{refusal}");
                    prop_assert!(again(less(1)).is_err(), "{refusal}: one unit less is missing");
                }
            }
            Refusal::NoSlice(name) => prop_assert_eq!(books.slice(name), None),
            Refusal::InUse { .. } => prop_assert!(box_or_slice),
            Refusal::Disk(_) | Refusal::Full | Refusal::Rule(_) => prop_assert!(false, "there is room for all of them"),
        }
    }

    #[test]
    fn weights_yield_floors_when_everybody_runs(asks in proptest::collection::vec(ask(), 1..80)) {
        let (mut books, mut shadow) = (Books::new(ALL), Shadow::default());
        for ask in &asks {
            let _ = grant(&mut books, &mut shadow, ask);
        }
        let slices = f64::from(weight_of_slices());
        let all = 2_000.0 * slices / (slices + f64::from(super::WEIGHT_MAX));
        let weights: f64 = shadow.slices.values().map(|slice| of(slice.cpu_permille(), 800)).sum();
        for (number, slice) in &shadow.slices {
            let inside = shadow.services.values().filter(|(of, _)| of == number);
            let services: Vec<u32> = inside.map(|(_, floors)| floors.cpu_permille()).collect();
            let sum: f64 = services.iter().map(|floor| of(*floor, slice.cpu_permille())).sum();
            for floor in services {
                let part = of(slice.cpu_permille(), 800) / weights * of(floor, slice.cpu_permille()) / sum;
                let yields = all * part;
                prop_assert!(yields >= f64::from(floor) * 0.98 - 1.0, "{floor} permille: {yields}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn weights_of_the_disk_yield_floors_beside_all_that_are_promised_nothing(
        asks in proptest::collection::vec(ask(), 1..80),
    ) {
        let (mut books, mut shadow) = (Books::new(ALL), Shadow::default());
        for ask in &asks {
            let _ = grant(&mut books, &mut shadow, ask);
        }
        let part = f64::from(weight_of_slices());
        let part = 1_000.0 * part / (part + f64::from(super::WEIGHT_MAX));
        let nothing = |of: usize, but: u8| std::iter::repeat_n(0, of - usize::from(but));
        for (number, slice) in &shadow.slices {
            let all = slice.disk_permille();
            let slices = shadow.slices.values().map(|slice| slice.disk_permille());
            let has = of_disk(all, DISK_PERMILLE, slices.chain(nothing(limit::SLICES, SLICES)), part);
            prop_assert!(has >= f64::from(all), "a slice: {has} of {all} permille");
            let inside = shadow.services.values().filter(|(of, _)| of == number);
            let services: Vec<u32> = inside.map(|(_, floors)| floors.disk_permille()).collect();
            for floor in &services {
                let siblings = services.iter().copied().chain(nothing(limit::SERVICES, SERVICES));
                let yields = of_disk(*floor, all, siblings, has);
                prop_assert!(yields >= f64::from(*floor), "a service: {yields} of {floor} permille");
            }
        }
    }
}

fn of(floor: u32, all: u32) -> f64 {
    f64::from(weight(floor, all))
}

/// What `floor` of `all` yields of the `whole` when everybody wants it, beside siblings with these floors.
fn of_disk(floor: u32, all: u32, siblings: impl Iterator<Item = u32>, whole: f64) -> f64 {
    let weight = |floor: u32| f64::from(disk_weight(floor, all));
    whole * weight(floor) / siblings.map(weight).sum::<f64>()
}

#[test]
fn a_refusal_in_words() {
    let mut books = Books::new(Floors([800, 64, 0, 0, 90]));
    let (demo, camera) = (Name::new("demo").unwrap(), Name::new("camera").unwrap());
    let words = |refusal: Result<(), Refusal>| refusal.unwrap_err().to_string();
    assert_eq!(
        words(books.admit(&camera, &demo, Floors([10, 1, 0, 0, 0]))),
        "not admitted: demo rents no slice here"
    );
    assert_eq!(
        words(books.rent(&demo, Floors([801, 64, 500, 0, 100]))),
        "slice demo does not fit: the gateway is short of 1 permille of a thread cpu, 500 kbit/s uplink, \
         10 permille disk"
    );
    books.rent(&demo, Floors([100, 64, 0, 0, 0])).unwrap();
    assert_eq!(
        words(books.admit(&camera, &demo, Floors([10, 96, 0, 0, 0]))),
        "not admitted: slice demo is short of 32 MiB memory"
    );
    books.admit(&camera, &demo, Floors([10, 64, 0, 0, 0])).unwrap();
    assert_eq!(
        words(books.give_back(&demo)),
        "slice demo: its services have more, by 10 permille of a thread cpu, 64 MiB memory"
    );
}

#[test]
fn what_a_box_can_promise() {
    let measured = Measured { threads: 2, memory_mib: 990, line_kbit_s: [5_000, 20_000], divides_disk: true };
    assert_eq!(capacity(measured), Floors([800, 990 - PROTECTED_MIB, 5_000, 20_000, DISK_PERMILLE]));
    let undivided = Measured { divides_disk: false, ..measured };
    assert_eq!(capacity(undivided).disk_permille(), 0, "nothing is promised that nobody keeps");
    assert!(capacity(measured).memory_mib() / 48 >= 12, "so many services of 48 MiB");
    let small = Measured { memory_mib: 100, ..measured };
    assert_eq!(capacity(small).memory_mib(), 0, "a box that is too small hosts nothing");
}
