//! What can be said to `shg`. Help comes from this table too, so the two cannot disagree.
//!
//! In:  the command line. Out: a call of the module that does it.

use std::io::Write;

use serde_json::Value;

use crate::error::Error;
use crate::options::{Known, Options};
use crate::{build, keys, look, transfer};

/// What a verb answers: lines for a person, and the same for a program.
pub struct Answer {
    /// For a person.
    pub text: String,
    /// For a program (`--json`).
    pub value: Value,
}

/// One verb of `shg bundle`.
struct Verb {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    /// How many words it takes.
    words: std::ops::RangeInclusive<usize>,
    options: &'static [Known],
    run: fn(&Options) -> Result<Answer, Error>,
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
const ROOT: Known =
    Known { name: "root", value: "FILE", about: "The root's public key, which signed the list" };

const VERBS: [Verb; 8] = [
    Verb {
        name: "keygen",
        arguments: "NAME",
        about: "Make a key: NAME.secret (for you alone) and NAME.public",
        words: 1..=1,
        options: &[JSON],
        run: keys::generate,
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
        run: keys::ring,
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
        run: build::build,
    },
    Verb {
        name: "sign",
        arguments: "FOLDER",
        about: "Sign the bundle in FOLDER",
        words: 1..=1,
        options: &[Known { name: "key", value: "FILE", about: "The secret key" }, JSON],
        run: build::sign,
    },
    Verb {
        name: "verify",
        arguments: "BUNDLE",
        about: "Check every byte of a bundle and its signature, as a gateway does, and more",
        words: 1..=1,
        options: &[KEY, KEYRING, ROOT, PLAIN, ROOTS, JSON],
        run: look::verify,
    },
    Verb {
        name: "inspect",
        arguments: "BUNDLE",
        about: "Show what a bundle says of itself; nothing is believed or checked but digests",
        words: 1..=1,
        options: &[PLAIN, ROOTS, JSON],
        run: look::inspect,
    },
    Verb {
        name: "push",
        arguments: "FOLDER REFERENCE",
        about: "Copy the bundle and its signature to a registry",
        words: 2..=2,
        options: &[PLAIN, ROOTS, JSON],
        run: transfer::push,
    },
    Verb {
        name: "pull",
        arguments: "REFERENCE FOLDER",
        about: "Copy a bundle and its signature from a registry",
        words: 2..=2,
        options: &[PLAIN, ROOTS, JSON],
        run: transfer::pull,
    },
];

const HEAD: &str = "\
shg bundle: makes, signs, checks and moves bundles of services

usage: shg bundle VERB [OPTIONS] ...   (shg bundle VERB --help says more)
";
const TAIL: &str = "
A BUNDLE is a folder or a REFERENCE: HOST[:PORT]/NAME[:TAG|@DIGEST]. For a registry that asks who you are, set SHG_REGISTRY_USER and
SHG_REGISTRY_PASSWORD. Exit status: 0 done, 1 failed or refused, 2 wrong usage.
";

fn help_of(verb: &Verb) -> String {
    let mut text =
        format!("usage: shg bundle {} [OPTIONS] {}\n\n{}\n\n", verb.name, verb.arguments, verb.about);
    for option in verb.options {
        let left = format!("--{} {}", option.name, option.value);
        text.push_str(&format!("  {left:<22} {}\n", option.about));
    }
    text
}

fn help() -> String {
    let mut text = format!("{HEAD}\n");
    for verb in &VERBS {
        text.push_str(&format!("  {:<34} {}\n", format!("{} {}", verb.name, verb.arguments), verb.about));
    }
    text + TAIL
}

/// Carries out a command line; `out` gets the answer.
///
/// # Errors
/// What the verb says; [`Error::Usage`] for a line that makes no sense.
pub fn run(words: &[String], out: &mut dyn Write) -> Result<(), Error> {
    let asks = |word: &String| ["--help", "-h", "help"].contains(&word.as_str());
    let (topic, rest) = words.split_first().ok_or_else(|| Error::Usage(help()))?;
    if asks(topic) {
        return Ok(out.write_all(help().as_bytes())?);
    }
    if topic != "bundle" {
        return Err(Error::Usage(format!("{topic}: not known; there is `bundle`. See shg --help")));
    }
    let (name, rest) = rest.split_first().ok_or_else(|| Error::Usage(help()))?;
    if asks(name) {
        return Ok(out.write_all(help().as_bytes())?);
    }
    let unknown = || Error::Usage(format!("bundle {name}: no such verb; see shg bundle --help"));
    let verb = VERBS.iter().find(|verb| verb.name == *name).ok_or_else(unknown)?;
    if rest.iter().any(asks) {
        return Ok(out.write_all(help_of(verb).as_bytes())?);
    }
    let options = Options::read(verb.options, rest)?;
    if !verb.words.contains(&options.words.len()) {
        return Err(Error::Usage(format!("bundle {name}: it takes {}; see --help", verb.arguments)));
    }
    let answer = (verb.run)(&options)?;
    if options.has("json") {
        writeln!(out, "{}", answer.value)?
    } else {
        write!(out, "{}", answer.text)?
    }
    Ok(())
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
        for line in ["--help", "bundle --help", "bundle build --help", "bundle push a b -h"] {
            let (outcome, said) = say(line);
            assert!(outcome.is_ok() && said.contains("usage: shg bundle"), "{line}");
        }
        for line in
            ["", "bundle", "bnudle", "bundle biuld", "bundle build", "bundle push a", "bundle sign a --kye b"]
        {
            assert!(matches!(say(line), (Err(Error::Usage(_)), _)), "{line}");
        }
    }
}
