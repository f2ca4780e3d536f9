//! Stories told to the DHCPv6 client: what it says, what it holds, and when.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use contract::prefix::Prefix;
use lease::schedule::Moment;
use lease::six::client::{Action, Client, Event};
use lease::six::grant::Want;
use lease::six::message::{Association, Duid, Item, Kind, Message, Of, Status};
use proptest::prelude::{ProptestConfig, any, prop_assert, proptest};

const WANT: Want = Want { address: true, prefix: true, words: true, usp: true, id: 7 };
const ONE: &str = "2001:db8:1::/56";
const TWO: &str = "2001:db8:2::/56";

/// A client, its time, and what it has said.
struct Story {
    client: Client,
    ms: u64,
    said: Vec<Message>,
    changes: usize,
}

fn duid(last: u8) -> Duid {
    Duid::from_slice(&[0, 3, 0, 1, 2, 0, 0, 0, 0, last]).unwrap()
}

impl Story {
    fn new(want: Want) -> Self {
        let mut client = Client::default();
        client.duid = duid(1);
        client.device.extend_from_slice(b"who").unwrap();
        let mut story = Self { client, ms: 1_000, said: Vec::new(), changes: 0 };
        story.tell(Event::Want(want));
        story.tell(Event::Up);
        story
    }

    fn tell(&mut self, event: Event) {
        for action in &self.client.next(event, Moment { ms: self.ms, random: self.ms << 40 | 500 }) {
            match action {
                Action::Send(message) => self.said.push(message.clone()),
                Action::Changed => self.changes += 1,
            }
        }
    }

    /// Time passes until something is said, and the word is returned.
    fn wait(&mut self) -> Message {
        let before = self.said.len();
        for _ in 0..20 {
            self.ms = self.ms.max(self.client.due_ms().unwrap());
            self.tell(Event::Time);
            if self.said.len() > before {
                return self.said.last().unwrap().clone();
            }
        }
        panic!("it says nothing: {:?}", self.client);
    }

    /// A server answers the last word.
    fn answer(&mut self, kind: Kind, items: &[(&str, u32)], change: impl FnOnce(&mut Message)) {
        let asked = self.said.last().unwrap();
        let mut message = Message::new(kind, asked.xid);
        (message.client, message.server) = (asked.client.clone(), Some(duid(99)));
        let mut prefixes = Association::new(Of::Prefixes, 7);
        for (prefix, valid_s) in items {
            let item = Item { prefix: prefix.parse().unwrap(), preferred_s: valid_s / 2, valid_s: *valid_s };
            prefixes.items.push(item).unwrap();
        }
        message.associations.push(prefixes).unwrap();
        change(&mut message);
        self.tell(Event::Heard(message));
    }

    fn bound(prefix: &str, valid_s: u32) -> Self {
        let mut story = Self::new(WANT);
        assert_eq!(story.wait().kind, Kind::Solicit);
        story.answer(Kind::Advertise, &[(prefix, valid_s)], |offer| offer.preference = 255);
        assert_eq!(story.said.last().unwrap().kind, Kind::Request);
        story.answer(Kind::Reply, &[(prefix, valid_s)], |_| ());
        assert_eq!(story.client.word(), "BOUND");
        story
    }

    fn prefixes(&self) -> Vec<String> {
        let held = self.client.held().into_iter().flat_map(|held| &held.prefixes);
        held.map(|leased| leased.prefix.to_string()).collect()
    }
}

#[test]
fn the_first_pause_collects_offers_and_the_best_is_taken() {
    let mut story = Story::new(WANT);
    let solicit = story.wait();
    assert!(solicit.rapid && solicit.server.is_none() && solicit.elapsed == Some(0));
    assert_eq!(
        solicit.associations.iter().map(|association| association.of).collect::<Vec<_>>(),
        [Of::Addresses, Of::Prefixes]
    );
    story.answer(Kind::Advertise, &[], |offer| offer.associations[0].status = Some(Status::NoPrefix));
    story.answer(Kind::Advertise, &[(ONE, 100)], |_| ());
    story.answer(Kind::Advertise, &[(TWO, 100)], |offer| {
        (offer.preference, offer.server) = (9, Some(duid(98)))
    });
    assert_eq!(story.client.word(), "SOLICITING");
    let request = story.wait();
    assert_eq!((request.kind, request.server), (Kind::Request, Some(duid(98))));
    assert_eq!(request.associations[1].items[0].prefix, TWO.parse::<Prefix>().unwrap());
}

#[test]
fn two_messages_do_where_the_server_likes() {
    let mut story = Story::new(WANT);
    let _ = story.wait();
    story.answer(Kind::Reply, &[(ONE, 100)], |_| ());
    assert_eq!(story.client.word(), "SOLICITING", "it did not say that it is rapid");
    story.answer(Kind::Reply, &[(ONE, 100)], |reply| reply.rapid = true);
    assert_eq!((story.client.word(), story.prefixes()), ("BOUND", vec![ONE.to_owned()]));
}

#[test]
fn a_server_makes_the_pauses_longer() {
    let mut story = Story::new(WANT);
    let _ = story.wait();
    story.answer(Kind::Advertise, &[], |offer| offer.solicit_max_s = Some(7_200));
    let mut last_ms = 0;
    for _ in 0..20 {
        let before_ms = story.ms;
        assert_eq!(story.wait().kind, Kind::Solicit);
        last_ms = story.ms - before_ms;
    }
    assert!((6_480_000..=7_920_000).contains(&last_ms), "{last_ms}");
    story.answer(Kind::Advertise, &[], |offer| offer.solicit_max_s = Some(5));
    let before_ms = story.ms;
    let _ = story.wait();
    assert!(story.ms - before_ms > 6_000_000, "what is out of bounds is no word");
}

#[test]
fn more_time_is_asked_for_and_at_the_end_it_is_lost() {
    let mut story = Story::bound(ONE, 200);
    let began_ms = story.ms;
    let renew = story.wait();
    assert_eq!((renew.kind, renew.server), (Kind::Renew, Some(duid(99))));
    assert_eq!(story.ms - began_ms, 50_000, "half of what is preferred");
    assert_eq!(renew.associations[1].items[0].prefix, ONE.parse::<Prefix>().unwrap());
    let mut kinds = Vec::new();
    while story.client.held().is_some() {
        kinds.push(story.wait().kind);
    }
    assert_eq!(story.ms - began_ms, 200_000, "not a moment longer");
    assert!(kinds.contains(&Kind::Rebind) && kinds.last() == Some(&Kind::Solicit), "{kinds:?}");
    assert!(
        story.said.last().unwrap().associations[1].items[0].prefix == ONE.parse().unwrap(),
        "with a hint"
    );
}

#[test]
fn a_server_changes_the_prefix() {
    let mut story = Story::bound(ONE, 200);
    assert_eq!(story.wait().kind, Kind::Renew);
    story.answer(Kind::Reply, &[(ONE, 0), (TWO, 200)], |_| ());
    assert_eq!((story.client.word(), story.prefixes()), ("BOUND", vec![TWO.to_owned()]));
    // It has forgotten us, and has something else.
    assert_eq!(story.wait().kind, Kind::Renew);
    story.answer(Kind::Reply, &[], |reply| reply.associations[0].status = Some(Status::NoBinding));
    let request = story.said.last().unwrap();
    assert_eq!((request.kind, request.associations[1].items.len()), (Kind::Request, 1));
    story.answer(Kind::Reply, &[(ONE, 200)], |_| ());
    // Nobody has taken the old one back: it runs out by itself.
    assert_eq!(story.prefixes(), [TWO, ONE]);
    // All is taken back.
    assert_eq!(story.wait().kind, Kind::Renew);
    story.answer(Kind::Reply, &[(ONE, 0), (TWO, 0)], |_| ());
    assert!(story.prefixes().is_empty() && story.wait().kind == Kind::Solicit);
}

#[test]
fn a_link_that_comes_back_is_asked_at_once() {
    let mut story = Story::bound(ONE, 2_000);
    story.tell(Event::Down);
    assert_eq!(story.prefixes(), [ONE], "it may come back in time");
    story.ms += 5_000;
    story.tell(Event::Up);
    assert_eq!(story.said.last().unwrap().kind, Kind::Rebind, "at once");
    let began_ms = story.ms;
    while story.wait().kind == Kind::Rebind {}
    assert!((10_000..15_000).contains(&(story.ms - began_ms)), "then it looks for a server");
    assert_eq!((story.said.last().unwrap().kind, story.prefixes()), (Kind::Solicit, vec![ONE.to_owned()]));
    story.answer(Kind::Reply, &[(TWO, 200)], |reply| reply.rapid = true);
    assert_eq!(story.prefixes(), [ONE, TWO]);
}

#[test]
fn what_is_wanted_no_more_is_given_back() {
    let mut story = Story::bound(ONE, 200);
    story.tell(Event::Want(Want { id: 7, ..Want::default() }));
    let release = story.said.last().unwrap();
    assert_eq!((release.kind, release.server.clone()), (Kind::Release, Some(duid(99))));
    assert_eq!(release.associations[1].items[0].prefix, ONE.parse::<Prefix>().unwrap());
    assert_eq!((story.client.word(), story.client.due_ms()), ("IDLE", None));
}

// Shows R-DIS.2a.
#[test]
fn a_server_is_told_who_we_are() {
    let mut story = Story::bound(ONE, 200);
    let _ = story.wait();
    let kinds: Vec<Kind> = story.said.iter().map(|one| one.kind).collect();
    assert_eq!(kinds, [Kind::Solicit, Kind::Request, Kind::Renew]);
    for one in &story.said {
        assert!(
            one.write().unwrap().windows(7).any(|bytes| bytes == b"\0\x11\0\x03who"),
            "{:?}: option 17",
            one.kind
        );
    }
    story.tell(Event::Want(Want { id: 7, ..Want::default() }));
    assert!(story.said.last().unwrap().device.is_empty(), "who goes says no more than that");
}

#[test]
fn an_address_that_somebody_has_is_declined() {
    let mut story = Story::bound(ONE, 2_000);
    let address: Prefix = "2001:db8:9::7".parse().unwrap();
    let _ = story.wait();
    story.answer(Kind::Reply, &[(ONE, 2_000)], |reply| {
        let mut addresses = Association::new(Of::Addresses, 7);
        addresses.items.push(Item { prefix: address, preferred_s: 1_000, valid_s: 2_000 }).unwrap();
        reply.associations.push(addresses).unwrap();
    });
    let std::net::IpAddr::V6(own) = address.first() else { panic!("{address}") };
    story.tell(Event::Conflict(own));
    assert_eq!(story.said.last().unwrap().kind, Kind::Decline);
    assert!(story.client.held().unwrap().addresses.is_empty());
    story.answer(Kind::Reply, &[], |_| ());
    assert_eq!(story.said.last().unwrap().kind, Kind::Renew, "another one, please");
}

#[test]
fn words_only() {
    let mut story = Story::new(Want { words: true, id: 7, ..Want::default() });
    let ask = story.wait();
    assert!(ask.kind == Kind::Information && ask.associations.is_empty());
    let at_ms = story.ms;
    let server = "2001:db8::53".parse().unwrap();
    story.answer(Kind::Reply, &[], |reply| {
        reply.name_servers.push(server).unwrap();
        reply.refresh_s = Some(5);
    });
    assert_eq!(
        (story.client.word(), story.client.words().name_servers.as_slice()),
        ("INFORMED", [server].as_slice())
    );
    assert_eq!(story.client.due_ms(), Some(at_ms + 600_000), "not more often than that");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens: nothing is held past its end, a change of what is held is told, and with a link it never falls silent.
    #[test]
    fn any_story_keeps_the_rules(events in proptest::collection::vec((0..9_u8, 0..400_u32, any::<bool>()), 1..80)) {
        let mut story = Story::new(WANT);
        for (what, number, other) in events {
            let (before, changes) = (story.prefixes(), story.changes);
            let prefix = if other { ONE } else { TWO };
            match what {
                0 => story.tell(Event::Down),
                1 => story.tell(Event::Up),
                2 => { story.ms += u64::from(number) * 1_000; story.tell(Event::Time); }
                3 if story.client.due_ms().is_some() => { story.ms = story.ms.max(story.client.due_ms().unwrap()); story.tell(Event::Time); }
                4 if !story.said.is_empty() => story.answer(Kind::Advertise, &[(prefix, number)], |offer| offer.rapid = other),
                5 | 6 if !story.said.is_empty() => story.answer(Kind::Reply, &[(prefix, number)], |reply| reply.rapid = other),
                7 if !story.said.is_empty() => story.answer(Kind::Reply, &[], |reply| reply.status = Some(if other { Status::NoBinding } else { Status::NotOnLink })),
                8 => story.tell(Event::Want(Want { address: other, prefix: number % 4 != 0, ..WANT })),
                _ => {}
            }
            let held = story.client.held().into_iter().flat_map(|held| held.prefixes.iter().chain(&held.addresses));
            for leased in held {
                prop_assert!(leased.valid_ms.is_none_or(|valid_ms| valid_ms > story.ms), "held past its end");
            }
            prop_assert!(before == story.prefixes() || changes < story.changes, "a change that nobody is told");
            prop_assert!(story.client.due_ms().is_some() || matches!(story.client.word(), "DOWN" | "IDLE"), "{:?}", story.client);
            prop_assert!(story.said.iter().all(|message| message.write().is_some()));
        }
    }
}
