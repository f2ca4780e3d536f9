//! What can be said to `lab`. Help comes from this table too, so the two cannot disagree.
//!
//! In:  the command line. Out: a call of the module that does it.

use std::io::Write;
use std::path::PathBuf;

use crate::error::Error;
use crate::kernel::{self, Kernel};
use crate::root::{self, Root, Variant};
use crate::{bench, budget, report, run, smoke, suite, trace, under};

/// The words of one command line, read.
#[derive(Debug)]
pub struct Words {
    /// Which kernel boots.
    pub kernel: Kernel,
    /// The test root in place of the shipped one.
    pub test_root: bool,
    /// A folder with the keys that the gateway trusts.
    pub keys: Option<PathBuf>,
    /// What follows the verb and is no option.
    pub rest: Vec<String>,
    /// All of them, for a program that is started again.
    pub all: Vec<String>,
}

/// One verb.
struct Verb {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    /// The most words that it takes.
    words_max: usize,
    run: fn(&Words, &mut dyn Write) -> Result<(), Error>,
}

const VERBS: [Verb; 9] = [
    Verb {
        name: "run",
        arguments: "",
        about: "Boot the gateway with its console here; its page is at a port of 127.0.0.1",
        words_max: 0,
        run: run::run,
    },
    Verb {
        name: "smoke",
        arguments: "",
        about: "Boot it between a provider and a host at home; one line a fact, 1 if one fails",
        words_max: 0,
        run: smoke::run,
    },
    Verb {
        name: "test",
        arguments: "[PATTERN]",
        about: "Run all tests, or a room's, or a file's of tests/tests, or those with PATTERN in their name",
        words_max: 1,
        run: suite::run,
    },
    Verb {
        name: "bench",
        arguments: "[NAME]",
        about: "Measure against peers in the same run: name ours peer ratio goal ok|short",
        words_max: 1,
        run: bench::run,
    },
    Verb {
        name: "budget",
        arguments: "",
        about: "Sizes and resident memory against their limits: name value limit ok|over",
        words_max: 0,
        run: budget::run,
    },
    Verb {
        name: "report",
        arguments: "",
        about: "Print the tables that suites wrote when they last ran here",
        words_max: 0,
        run: report::run,
    },
    Verb {
        name: "trace",
        arguments: "[--] PROGRAM…",
        about: "Run a program and print its system calls as a policy for a service",
        words_max: usize::MAX,
        run: trace::run,
    },
    Verb {
        name: "under",
        arguments: "POLICY[,POLICY]… [--] PROGRAM…",
        about: "Run a program under policies, as the gateway would let it call the kernel",
        words_max: usize::MAX,
        run: under::run,
    },
    Verb {
        name: "root",
        arguments: "",
        about: "Assemble the root only, and say where it lies",
        words_max: 0,
        run: assemble,
    },
];

/// Carries out a command line.
///
/// # Errors
/// [`Error::Usage`]: it makes no sense. Else whatever the verb fails with.
pub fn run(words: &[String], out: &mut dyn Write) -> Result<(), Error> {
    let Some((name, rest)) = words.split_first() else {
        return Err(Error::Usage("a verb is missing".to_owned()));
    };
    let asks_help = |word: &String| word == "--help" || word == "-h";
    let verb = VERBS.iter().find(|verb| verb.name == name);
    if name == "help" {
        let verb = rest.first().and_then(|name| VERBS.iter().find(|verb| verb.name == name));
        return help(verb, out).map_err(Error::io("help"));
    }
    if asks_help(name) || (verb.is_some() && rest.iter().any(asks_help)) {
        return help(verb, out).map_err(Error::io("help"));
    }
    let verb = verb.ok_or_else(|| Error::Usage(format!("what is {name}?")))?;
    let read = read(words, rest)?;
    if let Some(word) = read.rest.get(verb.words_max) {
        return Err(Error::Usage(format!("{name}: what is {word}?")));
    }
    (verb.run)(&read, out)
}

fn read(all: &[String], rest: &[String]) -> Result<Words, Error> {
    let mut words = Words {
        kernel: Kernel::from_environment()?,
        test_root: false,
        keys: None,
        rest: Vec::new(),
        all: all.to_vec(),
    };
    let mut rest = rest.iter();
    while let Some(word) = rest.next() {
        match word.as_str() {
            "--kernel" => {
                let kernel =
                    rest.next().ok_or_else(|| Error::Usage("--kernel quick or --kernel board".to_owned()))?;
                words.kernel = Kernel::parse(kernel)?;
            }
            "--keys" => {
                let folder = rest.next().ok_or_else(|| {
                    Error::Usage("--keys FOLDER, with root.public and keyring in it".to_owned())
                })?;
                words.keys = Some(folder.into());
            }
            "--test-root" => words.test_root = true,
            "--" => words.rest.extend(rest.by_ref().cloned()),
            option if option.starts_with('-') => return Err(Error::Usage(format!("what is {option}?"))),
            _ => words.rest.push(word.clone()),
        }
    }
    Ok(words)
}

fn help(verb: Option<&Verb>, out: &mut dyn Write) -> std::io::Result<()> {
    let verbs = VERBS.iter().filter(|one| verb.is_none_or(|verb| verb.name == one.name));
    writeln!(out, "Emulated Service Hosting Gateways on the desk.\n")?;
    for verb in verbs {
        let call = format!("lab {} {}", verb.name, verb.arguments);
        writeln!(out, "  {call:<21} {}", verb.about)?;
    }
    writeln!(out, "\n  --kernel quick|board  which kernel boots (or {}=…; quick)", kernel::VARIABLE)?;
    writeln!(out, "  --test-root           root: the one with a door for tests")?;
    writeln!(
        out,
        "  --keys FOLDER         run, root: root.public and keyring of those whose bundles count (run: the desk's)"
    )?;
    writeln!(out, "\nExit code: 0 done, 1 failed, 2 wrong usage. The front door is `make`; see make help.")
}

/// The root, with `more` files, and with the keys that the command line names.
pub(crate) fn with_keys(words: &Words, variant: Variant, more: &[(&str, Vec<u8>)]) -> Result<Root, Error> {
    let keys = words.keys.as_deref().map(root::keys).transpose()?.unwrap_or_default();
    let files = more.iter().chain(&keys).map(|(place, bytes)| (*place, bytes.as_slice()));
    let files: Vec<(&str, &[u8])> = files.collect();
    root::assemble_with(words.kernel, variant, &files)
}

fn assemble(words: &Words, out: &mut dyn Write) -> Result<(), Error> {
    let variant = if words.test_root { Variant::Test } else { Variant::Shipped };
    let root = with_keys(words, variant, &[])?;
    writeln!(out, "{} {} bytes", root.path.display(), root.bytes).map_err(Error::io("output"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(words: &[&str]) -> Result<String, Error> {
        let mut out = Vec::new();
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        run(&words, &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn every_verb_has_its_help() {
        let all = say(&["--help"]).unwrap();
        assert_eq!(say(&["help"]).unwrap(), all);
        for verb in &VERBS {
            assert!(all.contains(verb.about), "{}", verb.name);
            let help = say(&[verb.name, "--help"]).unwrap();
            assert!(help.contains(verb.about), "{}", verb.name);
            assert_eq!(say(&["help", verb.name]).unwrap(), help);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let table = [
            ("nothing", vec![]),
            ("verb", vec!["fly"]),
            ("option", vec!["root", "--fast"]),
            ("word", vec!["root", "here"]),
            ("kernel", vec!["root", "--kernel", "slow"]),
            ("no kernel", vec!["root", "--kernel"]),
            ("no folder of keys", vec!["run", "--keys"]),
        ];
        for (name, words) in table {
            assert!(matches!(say(&words), Err(Error::Usage(_))), "{name}");
        }
    }
}
