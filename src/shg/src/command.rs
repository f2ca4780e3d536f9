//! What can be said to `shg`. Help comes from this table too, so the two cannot disagree.
//!
//! In:  the command line. Out: a call of the module that does it.

use std::io::Write;

use serde_json::Value;

use crate::error::Error;
use crate::options::{Known, Options};
use crate::{build, identity, keys, look, transfer};

mod fleet;

/// What a verb answers: lines for a person, and the same for a program.
pub struct Answer {
    /// For a person.
    pub text: String,
    /// For a program (`--json`).
    pub value: Value,
    /// Part of it was not done, and why; the rest is said first.
    pub failed: Option<String>,
}

impl Answer {
    /// Says it in the form that is wanted.
    pub(crate) fn say(self, options: &Options, out: &mut dyn Write) -> Result<(), Error> {
        if options.has("json") {
            writeln!(out, "{}", self.value)?;
        } else {
            write!(out, "{}", self.text)?;
        }
        self.failed.map_or(Ok(()), |why| Err(Error::Refused(why)))
    }
}

/// How a verb is carried out.
enum Run {
    /// With one answer.
    Once(fn(&Options) -> Result<Answer, Error>),
    /// With lines, as they come.
    Lines(fn(&Options, &mut dyn Write) -> Result<(), Error>),
}

/// What `shg` can be told about.
struct Topic {
    name: &'static str,
    head: &'static str,
    tail: &'static str,
    verbs: &'static [Verb],
}

/// One verb.
struct Verb {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    /// How many words it takes.
    words: std::ops::RangeInclusive<usize>,
    options: &'static [Known],
    run: Run,
}

const JSON: Known = Known { name: "json", value: "", about: "Answer with one JSON value" };
const PLAIN: Known =
    Known { name: "plain-http", value: "", about: "Speak HTTP with the registry, for one on this machine" };
const ROOTS: Known = Known {
    name: "roots",
    value: "FILE",
    about: "Believe these certificates (PEM) in place of the system's",
};
const KEY: Known = Known { name: "key", value: "FILE", about: "One public key to check with" };
const KEYRING: Known = Known {
    name: "keyring",
    value: "FILE",
    about: "A signed list of keys to check with; --root has to say whose",
};
const AUTHORITY: Known =
    Known { name: "authority", value: "FOLDER", about: "Where `shg identity authority` has put it" };
const DAYS: Known = Known {
    name: "days",
    value: "N",
    about: "How long it counts; left out: 20 years an authority, 2 a gateway",
};
const ROOT: Known =
    Known { name: "root", value: "FILE", about: "The root's public key, which signed the list" };

const BUNDLE: &[Verb] = &[
    Verb {
        name: "keygen",
        arguments: "NAME",
        about: "Make a key: NAME.secret (for you alone) and NAME.public",
        words: 1..=1,
        options: &[JSON],
        run: Run::Once(keys::generate),
    },
    Verb {
        name: "keyring",
        arguments: "FILE PROVIDER=PUBLIC ...",
        about: "Make a list of keys, each for one provider's bundles, signed by the root",
        words: 1..=129,
        options: &[
            Known { name: "root", value: "FILE", about: "The root's secret key" },
            Known { name: "serial", value: "N", about: "Above that of every list before" },
            Known {
                name: "next-root",
                value: "FILE",
                about: "The public key that signs from the next list on",
            },
            JSON,
        ],
        run: Run::Once(keys::ring),
    },
    Verb {
        name: "build",
        arguments: "SOURCE",
        about: "Make a bundle of a folder, an OCI layout (FOLDER[:TAG]), a `docker save` archive or an image in a registry",
        words: 1..=1,
        options: &[
            Known { name: "manifest", value: "FILE", about: "The service's manifest" },
            Known { name: "version", value: "N", about: "Above that of every release before" },
            Known {
                name: "output",
                value: "FOLDER",
                about: "Where the bundle goes, an OCI layout; it may not be there yet",
            },
            Known {
                name: "architecture",
                value: "WORD",
                about: "i386 or amd64, where an image is there for both",
            },
            Known { name: "drop-set-id", value: "", about: "Take set-user-id and set-group-id bits away" },
            PLAIN,
            ROOTS,
            JSON,
        ],
        run: Run::Once(build::build),
    },
    Verb {
        name: "sign",
        arguments: "FOLDER",
        about: "Sign the bundle in FOLDER",
        words: 1..=1,
        options: &[Known { name: "key", value: "FILE", about: "The secret key" }, JSON],
        run: Run::Once(build::sign),
    },
    Verb {
        name: "verify",
        arguments: "BUNDLE",
        about: "Check every byte of a bundle and its signature, as a gateway does, and more",
        words: 1..=1,
        options: &[KEY, KEYRING, ROOT, PLAIN, ROOTS, JSON],
        run: Run::Once(look::verify),
    },
    Verb {
        name: "inspect",
        arguments: "BUNDLE",
        about: "Show what a bundle says of itself; nothing is believed or checked but digests",
        words: 1..=1,
        options: &[PLAIN, ROOTS, JSON],
        run: Run::Once(look::inspect),
    },
    Verb {
        name: "push",
        arguments: "FOLDER REFERENCE",
        about: "Copy the bundle and its signature to a registry",
        words: 2..=2,
        options: &[PLAIN, ROOTS, JSON],
        run: Run::Once(transfer::push),
    },
    Verb {
        name: "pull",
        arguments: "REFERENCE FOLDER",
        about: "Copy a bundle and its signature from a registry",
        words: 2..=2,
        options: &[PLAIN, ROOTS, JSON],
        run: Run::Once(transfer::pull),
    },
];

const IDENTITY: &[Verb] = &[
    Verb {
        name: "authority",
        arguments: "NAME FOLDER",
        about: "Make an authority that certifies gateways: FOLDER/authority.key (for you alone) and FOLDER/authority.pem",
        words: 2..=2,
        options: &[DAYS, JSON],
        run: Run::Once(identity::authority),
    },
    Verb {
        name: "sign",
        arguments: "FILE ...",
        about: "Sign requests of gateways (`ctl identity request`); a certificate goes beside each, with the ending .pem",
        words: 1..=1024,
        options: &[AUTHORITY, DAYS, JSON],
        run: Run::Once(identity::sign),
    },
];

const TOPICS: [Topic; 5] = [
    Topic {
        name: "bundle",
        head: "makes, signs, checks and moves bundles of services",
        tail: "A BUNDLE is a folder or a REFERENCE: HOST[:PORT]/NAME[:TAG|@DIGEST]. For a registry that asks who you are, set \
            SHG_REGISTRY_USER and\nSHG_REGISTRY_PASSWORD.",
        verbs: BUNDLE,
    },
    Topic {
        name: "gateway",
        head: "reads, sets and watches gateways of the fleet, as a USP controller",
        tail: fleet::TAIL,
        verbs: fleet::GATEWAY,
    },
    Topic {
        name: "service",
        head: "installs, starts, stops, updates and removes services on gateways",
        tail: fleet::TAIL,
        verbs: fleet::SERVICE,
    },
    Topic {
        name: "identity",
        head: "certifies gateways of the fleet",
        tail: "Who has an authority already signs the requests there. `shg gateway enrol` asks and signs in one step,\nover USP.",
        verbs: IDENTITY,
    },
    Topic {
        name: "conform",
        head: "holds an agent against rules of TR-369 and TR-181",
        tail: fleet::TAIL,
        verbs: fleet::CONFORM,
    },
];

const STATUS: &str = "Exit status: 0 done, 1 failed or refused, 2 wrong usage.\n";

fn help_of(topic: &Topic, verb: &Verb) -> String {
    let usage = format!("usage: shg {} {} [OPTIONS] {}", topic.name, verb.name, verb.arguments);
    let mut text = format!("{}\n\n{}\n\n", usage.trim_end(), verb.about);
    for option in verb.options {
        let left = format!("--{} {}", option.name, option.value);
        text.push_str(&format!("  {left:<22} {}\n", option.about));
    }
    text
}

fn help_about(topic: &Topic) -> String {
    let name = topic.name;
    let mut text = format!("shg {name}: {}\n\nusage: shg {name} VERB [OPTIONS] ...   ", topic.head);
    text.push_str(&format!("(shg {name} VERB --help says more)\n\n"));
    for verb in topic.verbs {
        text.push_str(&format!("  {:<34} {}\n", format!("{} {}", verb.name, verb.arguments), verb.about));
    }
    format!("{text}\n{} {STATUS}", topic.tail)
}

fn help() -> String {
    let mut text = "usage: shg TOPIC VERB [OPTIONS] ...   (shg TOPIC --help says more)\n\n".to_owned();
    for topic in &TOPICS {
        text.push_str(&format!("  {:<10} {}\n", topic.name, topic.head));
    }
    text
}

/// Carries out a command line; `out` gets the answer.
///
/// # Errors
/// What the verb says; [`Error::Usage`] for a line that makes no sense.
pub fn run(words: &[String], out: &mut dyn Write) -> Result<(), Error> {
    let asks = |word: &String| ["--help", "-h", "help"].contains(&word.as_str());
    let missing =
        |what: &str, help: String| Error::Usage(format!("{what} is missing\n\n{}", help.trim_end()));
    let (name, rest) = words.split_first().ok_or_else(|| missing("a topic", help()))?;
    if asks(name) {
        return Ok(out.write_all(help().as_bytes())?);
    }
    if ["--version", "-V"].contains(&name.as_str()) {
        return Ok(writeln!(out, "shg {}", env!("CARGO_PKG_VERSION"))?);
    }
    let unknown = || Error::Usage(format!("{name}: not known; see shg --help"));
    let topic = TOPICS.iter().find(|topic| topic.name == *name).ok_or_else(unknown)?;
    let (name, rest) = rest.split_first().ok_or_else(|| missing("a verb", help_about(topic)))?;
    if asks(name) {
        return Ok(out.write_all(help_about(topic).as_bytes())?);
    }
    let unknown =
        || Error::Usage(format!("{} {name}: no such verb; see shg {} --help", topic.name, topic.name));
    let verb = topic.verbs.iter().find(|verb| verb.name == *name).ok_or_else(unknown)?;
    if rest.iter().any(asks) {
        return Ok(out.write_all(help_of(topic, verb).as_bytes())?);
    }
    carry_out(verb, rest, out).map_err(|error| error.with_help(&format!("shg {} {name}", topic.name)))
}

fn carry_out(verb: &Verb, words: &[String], out: &mut dyn Write) -> Result<(), Error> {
    let options = Options::read(verb.options, words)?;
    if !verb.words.contains(&options.words.len()) {
        let takes = if verb.arguments.is_empty() { "nothing but options" } else { verb.arguments };
        return Err(Error::Usage(format!("it takes {takes}")));
    }
    let answer = match verb.run {
        Run::Once(run) => run(&options)?,
        Run::Lines(run) => return run(&options, out),
    };
    answer.say(&options, out)
}

#[cfg(test)]
mod tests {
    use super::{Error, run};

    fn say(line: &str) -> (Result<(), Error>, String) {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let mut out = Vec::new();
        let outcome = run(&words, &mut out);
        (outcome, String::from_utf8(out).unwrap())
    }

    #[test]
    fn help_is_an_answer_and_nonsense_is_not() {
        for line in [
            "--help",
            "bundle --help",
            "bundle build --help",
            "bundle push a b -h",
            "gateway --help",
            "service install -h",
        ] {
            let (outcome, said) = say(line);
            assert!(outcome.is_ok() && said.contains("usage: shg"), "{line}");
        }
        for line in [
            "",
            "bundle",
            "bnudle",
            "bundle biuld",
            "bundle build",
            "bundle push a",
            "bundle sign a --kye b",
            "gateway get",
            "service start",
        ] {
            assert!(matches!(say(line), (Err(Error::Usage(_)), _)), "{line}");
        }
    }

    #[test]
    fn who_is_wrong_is_told_where_help_is() {
        for (line, words) in [
            ("", "a topic is missing"),
            ("bundle", "a verb is missing"),
            ("bundle sign a --kye b", "--kye: no such option; see shg bundle sign --help"),
            ("bundle sign a", "--key is missing; see shg bundle sign --help"),
            ("bundle push a", "it takes FOLDER REFERENCE; see shg bundle push --help"),
            ("gateway list a", "it takes nothing but options; see shg gateway list --help"),
            ("gateway list --config /no/such", "docs/controller.md"),
            ("bundle push /no/such h.example/name:1", "no bundle"),
        ] {
            let why = say(line).0.unwrap_err().to_string();
            assert!(why.contains(words) && why == why.trim_end(), "{line}: {why}");
        }
        assert_eq!(say("--version").1, format!("shg {}\n", env!("CARGO_PKG_VERSION")));
        assert!(say("gateway list --help").1.lines().all(|line| line == line.trim_end()));
    }
}
