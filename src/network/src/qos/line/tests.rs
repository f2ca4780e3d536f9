//! What the queues of the line are, from what is wanted.

use contract::wanted::Wanted;

use super::{IFB, INTERNET, SERVICES, TV, VOICE, admit, can_share, minor_of, trees};
use crate::qos::slices;
use crate::qos::tree::{Act, Class, INGRESS, Takes, Tree};
use crate::testing::{rated, sharing, wanted, whole, with_queues};

fn class(tree: &Tree, minor: u16) -> &Class {
    tree.classes.iter().find(|class| class.minor == minor).unwrap()
}

fn rates(tree: &Tree, minor: u16) -> (u32, u32) {
    let class = class(tree, minor);
    (class.rate.in_kbit_s(), class.ceil.in_kbit_s())
}

#[test]
fn a_line_without_a_rate_keeps_the_kernels_own_queue() {
    let links = |wanted: &Wanted| {
        let trees = trees(wanted, &[rated(0, 0, 900)], None);
        assert!(trees.iter().all(|tree| tree.default == 0 && !tree.hooked && tree.filters.is_empty()));
        trees.into_iter().map(|tree| tree.link).collect::<Vec<_>>()
    };
    assert_eq!(links(&wanted()), ["eth0"]);
    // Wherever queues would send what comes in to a link that is not there any more, nothing of it stays.
    let without = Wanted { qos: None, ..whole() };
    let with: Vec<String> =
        inward(&trees(&whole(), &[], Some(9))).into_iter().map(|(link, _)| link).collect();
    let links = links(&without);
    assert!(with.len() == 3 && with.iter().all(|link| links.contains(link)), "{with:?}: {links:?}");
}

#[test]
fn promises_fit_into_the_line() {
    let services = [rated(0, 500, 900), rated(7, 0, 0)];
    let trees = trees(&with_queues("tv_kbit_s = 6000"), &services, Some(9));
    let [down, up] = trees.as_slice() else { panic!("{trees:?}") };
    assert_eq!((down.link.as_str(), up.link.as_str()), (IFB, "eth0"));
    // link, class, floor and ceiling in kbit/s
    let table = [
        ("up", up, VOICE, (1_000, 1_000)),
        ("up", up, TV, (8, 19_600)),
        ("up", up, INTERNET, (14_600, 19_600)),
        ("up", up, SERVICES, (4_000, 19_600)),
        ("up", up, minor_of(0), (500, 900)),
        ("up", up, minor_of(7), (8, 19_600)),
        ("down", down, VOICE, (1_000, 1_000)),
        ("down", down, TV, (6_000, 6_000)),
        ("down", down, INTERNET, (7_000, 18_000)),
        ("down", down, SERVICES, (4_000, 18_000)),
    ];
    for (way, tree, minor, wanted) in table {
        assert_eq!(rates(tree, minor), wanted, "{way} 1:{minor:x}");
    }
    for tree in [up, down] {
        let line = class(tree, 1).rate.in_kbit_s();
        let below = tree.classes.iter().filter(|class| class.parent == 1);
        let sum: u32 = below.map(|class| class.rate.in_kbit_s()).sum();
        assert!(sum <= line + 8, "{sum} of {line}");
        assert_eq!(class(tree, VOICE).prio, 0);
        assert!(tree.classes.iter().all(|class| class.prio > 0 || class.minor <= VOICE), "voice goes first");
        for class in &tree.classes {
            assert!(
                class.leaf.is_some()
                    || tree.classes.iter().any(|below| below.parent == class.minor)
                    || class.minor == SERVICES
            );
        }
    }
}

#[test]
fn floors_that_no_longer_fit_give_their_part_each() {
    let services = [rated(0, 4_000, 0), rated(1, 2_000, 0)];
    let trees = trees(&with_queues(""), &services, None);
    let floors = [0, 1].map(|slot| rates(&trees[0], minor_of(slot)).0);
    assert_eq!(floors, [2_666, 1_333]);
}

#[test]
fn services_of_a_slice_with_a_ceiling_stand_below_it() {
    let demo = |slot, floor, ceiling| sharing(rated(slot, floor, ceiling), ("demo", 1_000, 2_000));
    let services = [demo(0, 500, 900), demo(3, 0, 0), rated(7, 300, 0)];
    let services = services.map(|service| match service.slot {
        7 => sharing(service, ("acme", 700, 0)),
        _ => service,
    });
    let numbers = slices::numbers(&services);
    let [(slice, minor)] = numbers.as_slice() else { panic!("{numbers:?}") };
    assert_eq!(slice.as_str(), "demo");
    for tree in trees(&with_queues(""), &services, None) {
        let line = class(&tree, 1).ceil.in_kbit_s();
        assert_eq!(rates(&tree, *minor), (1_000, 2_000));
        // slot, class above, floor and ceiling in kbit/s
        for (slot, above, wanted) in
            [(0, *minor, (500, 900)), (3, *minor, (8, line)), (7, SERVICES, (300, line))]
        {
            let class = class(&tree, minor_of(slot));
            assert_eq!((class.parent, rates(&tree, class.minor)), (above, wanted), "slot {slot}");
        }
        let place = |minor: u16| tree.classes.iter().position(|class| class.minor == minor);
        assert!(place(SERVICES) < place(*minor) && place(*minor) < place(minor_of(0)), "from above");
        let before = trees(&with_queues(""), &services.clone().map(|one| sharing(one, ("x", 0, 0))), None);
        assert!(before.iter().all(|tree| tree.classes.len() == 8), "without a ceiling it is as ever");
    }
}

#[test]
fn a_ceiling_of_a_slice_is_never_below_its_floors_nor_above_the_line() {
    for (ceiling, wanted) in [(1, 500), (700, 700), (9_000_000, 18_000)] {
        let services = [sharing(rated(0, 500, 0), ("demo", 0, ceiling))];
        let down = &trees(&with_queues(""), &services, None)[0];
        assert_eq!(rates(down, slices::numbers(&services)[0].1), (500, wanted));
    }
}

#[test]
fn a_ceiling_of_a_slice_needs_a_line() {
    let asked = sharing(rated(0, 0, 0), ("demo", 0, 900));
    let refused = admit(&wanted(), &[], &asked).unwrap_err();
    assert!(refused.contains("slice demo: a ceiling of the line"), "{refused}");
    assert!(can_share(&with_queues(""), &asked.slice, &asked.slice_rates).is_ok());
    assert!(
        admit(&wanted(), &[], &sharing(rated(0, 0, 900), ("demo", 700, 0))).is_ok(),
        "a floor alone is no matter"
    );
}

#[test]
fn a_floor_is_admitted_or_refused_with_what_is_missing() {
    let (with, without) = (with_queues(""), wanted());
    let one = [rated(0, 3_000, 0)];
    let table = [
        ("none needs nothing", &without, rated(1, 0, 700), None),
        ("no line, no floor", &without, rated(1, 1, 0), Some("service-1: floor up: 1 kbit/s of 0 that are")),
        ("it fits", &with, rated(1, 1_000, 0), None),
        ("it does not", &with, rated(1, 1_001, 0), Some("service-1: floor up: 1001 kbit/s of 1000 that are")),
        ("asked again, with more", &with, rated(0, 4_000, 0), None),
    ];
    for (what, wanted, asked, refused) in table {
        let answer = admit(wanted, &one, &asked).err();
        assert!(answer.as_deref().unwrap_or("").starts_with(refused.unwrap_or("")), "{what}: {answer:?}");
        assert_eq!(answer.is_some(), refused.is_some(), "{what}");
    }
}

/// Where each link's incoming packets go, and how they get their class.
fn inward(trees: &[Tree]) -> Vec<(String, Vec<Act>)> {
    let inward = trees.iter().filter(|tree| tree.hooked);
    let first = |tree: &Tree| tree.filters.iter().find(|one| one.parent == INGRESS).unwrap().acts.clone();
    inward.map(|tree| (tree.link.clone(), first(tree))).collect()
}

#[test]
fn a_play_with_its_own_link_has_its_class_by_that() {
    let plain = trees(&with_queues(""), &[], Some(9));
    assert_eq!(inward(&plain), [("eth0".to_owned(), vec![Act::Recall(0xff), Act::Redirect(9)])]);
    let all = whole();
    let trees = trees(&all, &[], Some(9));
    let found = inward(&trees);
    let link = |access| all.frame_link(access).to_string();
    let voice = all.voice.as_ref().map(|voice| link(&voice.access)).unwrap();
    let tv = all.tv.as_ref().map(|tv| link(&tv.access)).unwrap();
    let internet = all.address_link(&all.internet).to_string();
    let wanted = [(internet, Act::Recall(0xff)), (voice, Act::Class(VOICE)), (tv, Act::Class(TV))];
    for (link, act) in wanted {
        assert!(found.contains(&(link.clone(), vec![act, Act::Redirect(9)])), "{link}: {found:?}");
    }
    let codepoints = |tree: &Tree| {
        tree.filters.iter().any(|one| matches!(&one.takes, Takes::Words(words) if !words.is_empty()))
    };
    assert!(plain.iter().all(codepoints), "there is no voice play: a codepoint is all there is");
    assert!(!trees.iter().any(codepoints), "with links of their own nobody's codepoint is believed");
}
