//! The verbs of `shg gateway` and `shg service`.

use super::{AUTHORITY, DAYS, JSON, Run, Verb};
use crate::controller::{ALL, CONFIG, GATEWAY as ONE, LABELS, TIMEOUT};
use crate::options::Known;
use crate::{conform, gateway, identity, logs, service};

pub(super) const TAIL: &str = "\
A PATH is one of the gateway's data model: docs/datamodel.md. Gateways and brokers are in ~/.config/shg/controller.toml
(docs/controller.md); where there is more than one, say which.";

const WAIT: Known =
    Known { name: "wait", value: "S", about: "How long to wait for the end (600); it goes on without us" };

/// Options of every verb about gateways, and those of its own.
macro_rules! with {
    ($($more:expr),*) => { &[ONE, LABELS, ALL, CONFIG, TIMEOUT, JSON, $($more),*] };
}

pub(super) const GATEWAY: &[Verb] = &[
    Verb {
        name: "list",
        arguments: "",
        about: "Show gateways, and which of them answer",
        words: 0..=0,
        options: with!(),
        run: Run::Once(gateway::list),
    },
    Verb {
        name: "get",
        arguments: "PATH ...",
        about: "Read values",
        words: 1..=64,
        options: with!(),
        run: Run::Once(gateway::get),
    },
    Verb {
        name: "set",
        arguments: "PATH=VALUE ...",
        about: "Set values, all of a gateway's or none",
        words: 1..=64,
        options: with!(),
        run: Run::Once(gateway::set),
    },
    Verb {
        name: "watch",
        arguments: "PATH ...",
        about: "Show changes of values, events (PATH!) and ends of commands (PATH()) as they come",
        words: 1..=16,
        options: with!(
            Known { name: "count", value: "N", about: "End after so many" },
            Known { name: "seconds", value: "S", about: "End after so long" }
        ),
        run: Run::Lines(gateway::watch),
    },
    Verb {
        name: "enrol",
        arguments: "",
        about: "Give each a certificate of its own, for the key that never leaves it",
        words: 0..=0,
        options: with!(WAIT, AUTHORITY, DAYS),
        run: Run::Once(identity::enrol),
    },
];

pub(super) const SERVICE: &[Verb] = &[
    Verb {
        name: "status",
        arguments: "[SERVICE]",
        about: "Show services, and how they are",
        words: 0..=1,
        options: with!(),
        run: Run::Once(service::status),
    },
    Verb {
        name: "logs",
        arguments: "SERVICE",
        about: "Show the last lines that it has written",
        words: 1..=1,
        options: with!(
            Known {
                name: "lines",
                value: "N",
                about: "So many at most (100); 1000, and 16 KiB, is the limit"
            },
            Known { name: "follow", value: "", about: "Then show what it writes, once a second" },
            Known { name: "seconds", value: "S", about: "Follow no longer than this" }
        ),
        run: Run::Lines(logs::logs),
    },
    Verb {
        name: "install",
        arguments: "URL",
        about: "Install the bundle at URL (https://HOST[:PORT]/NAME:TAG)",
        words: 1..=1,
        options: with!(
            WAIT,
            Known { name: "uuid", value: "UUID", about: "What it is called; left out: by its names" },
            Known { name: "slice", value: "NAME", about: "The slice that it has to be for" }
        ),
        run: Run::Once(service::install),
    },
    Verb {
        name: "start",
        arguments: "SERVICE",
        about: "Start it, and wait until it is ready",
        words: 1..=1,
        options: with!(WAIT),
        run: Run::Once(service::start),
    },
    Verb {
        name: "stop",
        arguments: "SERVICE",
        about: "Stop it, and wait until it has ended",
        words: 1..=1,
        options: with!(WAIT),
        run: Run::Once(service::stop),
    },
    Verb {
        name: "restart",
        arguments: "SERVICE",
        about: "Stop and start it",
        words: 1..=1,
        options: with!(WAIT),
        run: Run::Once(service::restart),
    },
    Verb {
        name: "update",
        arguments: "SERVICE [URL]",
        about: "Put a newer bundle in its place; without URL, from where it came",
        words: 1..=2,
        options: with!(WAIT),
        run: Run::Once(service::update),
    },
    Verb {
        name: "remove",
        arguments: "SERVICE",
        about: "Take its bundle away, and what it has kept",
        words: 1..=1,
        options: with!(WAIT, Known { name: "keep-data", value: "", about: "What it has kept stays" }),
        run: Run::Once(service::remove),
    },
];

pub(super) const CONFORM: &[Verb] = &[Verb {
    name: "modules",
    arguments: "",
    about: "Install, update and remove a bundle on one gateway, and say which rules of Software Modules it kept",
    words: 0..=0,
    options: with!(
        Known { name: "url", value: "URL", about: "A release of a bundle that the agent takes" },
        Known { name: "next", value: "URL", about: "A newer release of the same" },
        Known { name: "wait", value: "S", about: "How long one operation may take (600)" }
    ),
    run: Run::Once(conform::modules),
}];
