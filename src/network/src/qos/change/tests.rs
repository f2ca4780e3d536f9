//! Plans, applied to a kernel of plain data.

use super::{Change, plan};
use crate::qos::line;
use crate::qos::links;
use crate::qos::observed::{Kind, Queue, Seen, Shape};
use crate::qos::tree::{AT_CLSACT, AT_ROOT, CLSACT, Filter, ROOT, Takes, Tree};
use crate::target::Attachment;
use crate::testing::{rated, sharing, wanted, whole, with_queues};

fn queue(handle: u32, parent: u32, kind: Kind) -> Queue {
    Queue { link: 2, handle, parent, kind, drops: 0, backlog_bytes: 0 }
}

/// What the kernel makes of a change; it refuses what cannot be, by panicking.
fn apply(change: &Change, seen: &mut Seen) {
    let at = |seen: &Seen, parent: u32| seen.queues.iter().any(|has| has.parent == parent && has.handle != 0);
    match change {
        Change::AddRoot(default) => {
            assert!(!seen.queues.iter().any(|has| has.handle == ROOT), "there is one of that name");
            seen.queues.retain(|has| has.parent == AT_CLSACT);
            seen.queues.push(queue(ROOT, AT_ROOT, Kind::Root((*default).into())));
        }
        Change::AddClsact => {
            assert!(!at(seen, AT_CLSACT));
            seen.queues.push(queue(CLSACT, AT_CLSACT, Kind::Clsact));
        }
        Change::AddLeaf(class, leaf) => {
            assert!(seen.classes.iter().any(|has| has.handle == class.handle()), "there is no class");
            seen.queues.retain(|has| has.parent != class.handle());
            seen.queues.push(queue(0x8002_0000, class.handle(), Kind::Leaf(*leaf)));
        }
        Change::DropQueue(parent) => {
            assert!(at(seen, *parent), "there is nothing");
            seen.queues.retain(|has| has.parent != *parent);
            if *parent == AT_ROOT {
                seen.queues.retain(|has| has.parent == AT_CLSACT);
                seen.classes.clear();
                seen.filters.retain(Filter::is_at_clsact);
            } else if *parent == AT_CLSACT {
                seen.filters.retain(|has| !has.is_at_clsact());
            }
        }
        Change::SetClass(class) => {
            let above = class.parent == 0 || seen.classes.iter().any(|has| has.handle == class.above());
            assert!(above && at(seen, AT_ROOT), "it has nothing above it");
            let stood = seen.classes.iter().find(|has| has.handle == class.handle()).map(|has| has.parent);
            seen.classes.retain(|has| has.handle != class.handle());
            let (rate, ceil) = (class.rate, class.ceil);
            let measures = [rate.0, ceil.0, rate.burst_ticks(), ceil.burst_ticks(), class.overhead.into()];
            let turn = [class.quantum(), class.prio];
            // The kernel moves none.
            let (handle, parent) = (class.handle(), stood.unwrap_or(class.above()));
            seen.classes.push(Shape { handle, parent, measures, turn, bytes: 0, packets: 0 });
        }
        Change::DropClass(minor) => {
            let handle = ROOT | u32::from(*minor);
            assert!(seen.classes.iter().any(|has| has.handle == handle), "there is no such class");
            assert!(!seen.classes.iter().any(|has| has.parent == handle), "it is busy: classes below it");
            assert!(!seen.filters.iter().any(|has| has.parent == ROOT && has.class == *minor), "it is busy");
            seen.classes.retain(|has| has.handle != handle);
            seen.queues.retain(|has| has.parent != handle);
        }
        Change::AddFilter(filter) => add(filter, seen),
        Change::DropFilter(filter) => {
            assert!(seen.filters.contains(filter), "there is no such filter");
            seen.filters.retain(|has| has != filter);
        }
    }
}

fn add(filter: &Filter, seen: &mut Seen) {
    let place = if filter.is_at_clsact() { AT_CLSACT } else { AT_ROOT };
    assert!(seen.queues.iter().any(|has| has.parent == place && has.handle != 0), "there is no place for it");
    let near = |has: &&Filter| has.parent == filter.parent && has.priority == filter.priority;
    let near = seen.filters.iter().find(near);
    assert!(near.is_none_or(|has| has.protocol == filter.protocol), "one protocol a place");
    let next = 0x8000_0800 + u32::try_from(seen.filters.len()).unwrap();
    let handle = if filter.handle == 0 { next } else { filter.handle };
    let same = |has: &Filter| has.parent == filter.parent && has.priority == filter.priority;
    let same = |has: &Filter| same(has) && has.protocol == filter.protocol && has.handle == handle;
    assert!(!seen.filters.iter().any(same), "there is one");
    seen.filters.push(Filter { handle, ..filter.clone() });
}

/// Every tree of every network that a test could want.
fn trees() -> Vec<Tree> {
    let networks = [wanted(), whole(), with_queues(""), with_queues("overhead_bytes = 22")];
    let (one, other) = (rated(0, 500, 900), rated(7, 0, 400));
    let both = |slice, other_slice| vec![sharing(one.clone(), slice), sharing(other.clone(), other_slice)];
    let services = [
        vec![],
        vec![rated(0, 0, 0)],
        vec![one.clone(), other.clone()],
        both(("demo", 600, 1_000), ("demo", 600, 1_000)),
        both(("demo", 600, 1_000), ("acme", 0, 300)),
        both(("acme", 600, 0), ("acme", 600, 2_000)),
    ];
    let mut trees = Vec::new();
    for network in &networks {
        for services in &services {
            trees.extend(line::trees(network, services, Some(9)));
            trees.extend(services.iter().flat_map(|service| {
                [20_000, 300]
                    .map(|packets_s| links::outside(service, packets_s))
                    .into_iter()
                    .chain([links::inside(service)])
            }));
        }
    }
    trees
}

fn sorted(mut seen: Seen) -> Seen {
    seen.queues.sort_by_key(|queue| queue.parent);
    seen.classes.sort_by_key(|class| class.handle);
    for filter in seen.filters.iter_mut().filter(|filter| filter.is_at_clsact()) {
        filter.handle = 0; // Its number is the kernel's matter.
    }
    seen.filters.sort_by_key(|filter| (filter.parent, filter.priority, filter.protocol, filter.handle));
    seen
}

#[test]
fn a_plan_leads_to_its_tree_from_wherever_it_begins() {
    let strangers = Seen { queues: vec![queue(0x8001_0000, AT_ROOT, Kind::Other)], ..Seen::default() };
    let kernels_own = Seen { queues: vec![queue(0, AT_ROOT, Kind::Other)], ..Seen::default() };
    let trees = trees();
    for second in &trees {
        let mut fresh = Seen::default();
        plan(second, &fresh, false).iter().for_each(|change| apply(change, &mut fresh));
        for first in &trees {
            for start in [&Seen::default(), &strangers, &kernels_own] {
                let mut seen = start.clone();
                plan(first, &seen, false).iter().for_each(|change| apply(change, &mut seen));
                assert_eq!(plan(first, &seen, false), [], "asked twice, it changes nothing");
                let changes = plan(second, &seen, false);
                let mut whole = seen.clone();
                changes.iter().for_each(|change| apply(change, &mut whole));
                if second.default != 0 {
                    assert_eq!(sorted(whole.clone()), sorted(fresh.clone()), "as from scratch");
                }
                assert_eq!(plan(second, &whole, false), []);
            }
        }
    }
}

#[test]
fn a_plan_that_is_cut_off_is_mended_by_the_next() {
    let trees = trees();
    for second in &trees {
        let mut seen = Seen::default();
        plan(&trees[0], &seen, false).iter().for_each(|change| apply(change, &mut seen));
        let changes = plan(second, &seen, false);
        for cut in 0..=changes.len() {
            let mut seen = seen.clone();
            changes.iter().take(cut).for_each(|change| apply(change, &mut seen));
            plan(second, &seen, false).iter().for_each(|change| apply(change, &mut seen));
            assert_eq!(plan(second, &seen, false), [], "cut at {cut}");
        }
    }
}

fn stands(services: &[Attachment]) -> (Tree, Seen) {
    let tree = line::trees(&with_queues(""), services, Some(9)).remove(0);
    let mut seen = Seen::default();
    plan(&tree, &seen, false).iter().for_each(|change| apply(change, &mut seen));
    (tree, seen)
}

#[test]
fn other_rates_of_one_service_change_its_class_alone() {
    let (_, seen) = stands(&[rated(0, 500, 900), rated(7, 100, 400)]);
    let (tree, _) = stands(&[rated(0, 600, 900), rated(7, 100, 400)]);
    let changes = plan(&tree, &seen, false);
    assert!(matches!(changes.as_slice(), [Change::SetClass(class)] if class.minor == 0x100), "{changes:?}");

    let (tree, _) = stands(&[rated(0, 500, 900)]);
    let changes = plan(&tree, &seen, false);
    let [Change::DropFilter(filter), Change::DropClass(0x107)] = changes.as_slice() else {
        panic!("{changes:?}");
    };
    assert_eq!((filter.handle, &filter.takes), (8, &Takes::Mark(0xff)));
}

#[test]
fn a_new_life_leaves_services_of_the_former_one_until_they_are_asked_for() {
    let (_, seen) = stands(&[rated(0, 500, 900), rated(7, 100, 400)]);
    let (tree, _) = stands(&[]);
    assert_eq!(plan(&tree, &seen, true), []);
    assert_eq!(plan(&tree, &seen, false).len(), 4, "two filters, two classes");
    let (one, _) = stands(&[rated(7, 100, 400)]);
    assert_eq!(plan(&one, &seen, true), [], "asked for again it stands already");
}

/// Two services of a slice with this floor and ceiling.
fn shared(slice: (&str, u32, u32)) -> [Attachment; 2] {
    [rated(0, 500, 900), rated(7, 100, 400)].map(|service| sharing(service, slice))
}

#[test]
fn another_size_of_a_slice_changes_its_class_alone_and_the_first_ceiling_moves_its_services() {
    let (_, seen) = stands(&shared(("demo", 600, 1_000)));
    let (tree, _) = stands(&shared(("demo", 700, 900)));
    let changes = plan(&tree, &seen, false);
    assert!(matches!(changes.as_slice(), [Change::SetClass(class)] if class.leaf.is_none()), "{changes:?}");

    let (without, _) = stands(&shared(("demo", 600, 0)));
    let changes = plan(&without, &seen, false);
    let dropped = |change: &&Change| matches!(change, Change::DropFilter(_) | Change::DropClass(_));
    let first: Vec<&Change> = changes.iter().take_while(dropped).collect();
    let [_, _, Change::DropClass(0x107), Change::DropClass(0x100), Change::DropClass(slice)] =
        first.as_slice()
    else {
        panic!("{changes:?}");
    };
    assert!(*slice >= 0x1000, "those below go first: {changes:?}");
    assert_eq!(changes.len() - first.len(), 6, "two classes, leaves and filters come: {changes:?}");

    // The last service takes the slice's class with it.
    let (none, _) = stands(&[]);
    assert_eq!(plan(&none, &seen, false).len(), 5, "two filters, three classes");
}

#[test]
fn a_new_life_leaves_a_slice_until_all_its_services_are_asked_for() {
    let services = shared(("demo", 600, 1_000));
    let (_, seen) = stands(&services);
    for asked in [vec![], vec![services[0].clone()], vec![services[1].clone()], services.to_vec()] {
        let (tree, _) = stands(&asked);
        assert_eq!(plan(&tree, &seen, true), [], "{} asked for", asked.len());
    }
    // Meanwhile it was given another size, or none: who is asked for has that, and the others wait.
    let (less, _) = stands(&[sharing(rated(7, 100, 400), ("demo", 600, 700))]);
    let changes = plan(&less, &seen, true);
    assert!(matches!(changes.as_slice(), [Change::SetClass(class)] if class.leaf.is_none()), "{changes:?}");
    let (tree, _) = stands(&[rated(7, 100, 400)]);
    let mut seen = seen;
    plan(&tree, &seen, true).iter().for_each(|change| apply(change, &mut seen));
    assert_eq!(plan(&tree, &seen, true), []);
    let parent = |handle| seen.classes.iter().find(|class| class.handle == handle).unwrap().parent;
    assert_eq!(parent(0x1_0107), 0x1_0040);
    assert!(parent(0x1_0100) >= 0x1_1000, "{seen:?}");
}

#[test]
fn what_is_not_ours_is_left_alone_where_nothing_is_wanted() {
    let nothing = Tree { link: "eth0".to_owned(), ..Tree::default() };
    for root in [queue(0, AT_ROOT, Kind::Other), queue(0x8001_0000, AT_ROOT, Kind::Root(1))] {
        let seen = Seen { queues: vec![root], ..Seen::default() };
        assert_eq!(plan(&nothing, &seen, false), []);
    }
    let ours = Seen { queues: vec![queue(ROOT, AT_ROOT, Kind::Root(0x30))], ..Seen::default() };
    assert_eq!(plan(&nothing, &ours, false), [Change::DropQueue(AT_ROOT)]);
}
