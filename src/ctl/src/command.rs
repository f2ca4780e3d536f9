//! The table of commands. Help comes from it, so the two cannot disagree.
//!
//! In:  words. Out: what the command printed, to whatever it is given to write to.

use std::io::Write;

use crate::{
    Error, calls, clock, gateway, identity, leases, machine, multicast, names, network, packages, processes,
    sla, slices, usp, verify,
};

/// Whom a command writes to.
pub type Out<'o> = &'o mut dyn Write;

/// One thing that can be said.
struct Command {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    run: fn(&Words<'_>, Out<'_>) -> Result<(), Error>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "status",
        arguments: "[--json]",
        about: "Show every process and its state",
        run: processes::status,
    },
    Command {
        name: "log",
        arguments: "NAME [--json]",
        about: "Show the last of what a process wrote",
        run: processes::log,
    },
    Command {
        name: "verify",
        arguments: "NAME [--json]",
        about: "Read every layer of a service back from the kernel, beside what was wanted",
        run: verify::verify,
    },
    Command { name: "start", arguments: "NAME", about: "Start a process", run: processes::start },
    Command { name: "stop", arguments: "NAME", about: "Stop a process", run: processes::stop },
    Command {
        name: "restart",
        arguments: "NAME",
        about: "Stop a process and start it again",
        run: processes::restart,
    },
    Command {
        name: "slices",
        arguments: "[--json]",
        about: "Show what the gateway and each slice can promise, and what of it is promised",
        run: slices::slices,
    },
    Command {
        name: "rent",
        arguments: "SLICE cpu=FLOOR..CEILING memory=FLOOR..CEILING [uplink=FLOOR..CEILING] [downlink=FLOOR..CEILING] [disk=FLOOR] [reads=CEILING] [writes=CEILING]",
        about: "Rent a slice, or give it another size: permille of a thread, MiB, kbit/s, permille of the disk, KiB/s read from it and written to it; FLOOR or ..CEILING alone will do",
        run: slices::rent,
    },
    Command {
        name: "release",
        arguments: "SLICE",
        about: "Give back a slice that has no service",
        run: slices::release,
    },
    Command {
        name: "sla",
        arguments: "[--json]",
        about: "Show what each service was promised and got, over a minute, an hour and a day",
        run: sla::sla,
    },
    Command {
        name: "events",
        arguments: "[--json]",
        about: "Show the last events: states of processes, promises that were not kept",
        run: sla::events,
    },
    Command {
        name: "packages",
        arguments: "[--json]",
        about: "Show the services whose bundles are installed",
        run: packages::packages,
    },
    Command {
        name: "install",
        arguments: "SOURCE [--tag TAG] [--slice SLICE] [--json]",
        about: "Fetch a bundle, check it and install it: HOST[:PORT]/NAME:TAG, or …@sha256:DIGEST; a registry that asks who we are \
                gets SHG_REGISTRY_USER and SHG_REGISTRY_PASSWORD",
        run: packages::install,
    },
    Command {
        name: "update",
        arguments: "NAME SOURCE [--tag TAG] [--json]",
        about: "Put a newer bundle in the place of a service's",
        run: packages::update,
    },
    Command {
        name: "remove",
        arguments: "NAME [--drop-data]",
        about: "Stop a service and take its bundle away, and what it has kept",
        run: packages::remove,
    },
    Command {
        name: "kept",
        arguments: "[--json]",
        about: "Show what services that were removed have left on the data disk",
        run: packages::kept,
    },
    Command {
        name: "drop",
        arguments: "NAME PROVIDER",
        about: "Take away what a service that was removed has left",
        run: packages::drop_kept,
    },
    Command {
        name: "cancel",
        arguments: "[TAG]",
        about: "Give up the installation or update with this tag; what was fetched goes on next time",
        run: packages::cancel,
    },
    Command {
        name: "autostart",
        arguments: "NAME on|off",
        about: "Start a service by itself at boot, or not",
        run: packages::autostart,
    },
    Command {
        name: "keyring",
        arguments: "FILE",
        about: "Take a newer list of keys, which says whose bundles count",
        run: packages::keyring,
    },
    Command {
        name: "network",
        arguments: "[apply FILE [--confirm SECONDS] | confirm | revert] [--json]",
        about: "Show the network, wanted and observed; try another one, which is taken back unless confirmed in time",
        run: network::network,
    },
    Command {
        name: "leases",
        arguments: "[--json]",
        about: "Show the WAN's lease and those given out",
        run: leases::leases,
    },
    Command {
        name: "calls",
        arguments: "[--json]",
        about: "Show the home's phones and their calls",
        run: calls::calls,
    },
    Command {
        name: "multicast",
        arguments: "[--json]",
        about: "Show who watches what, and which streams pass",
        run: multicast::multicast,
    },
    Command {
        name: "time",
        arguments: "[--json]",
        about: "Show what the clock says, and who says so",
        run: clock::time,
    },
    Command {
        name: "identity",
        arguments: "[request | enrol FILE] [--json]",
        about: "Show who this gateway is, and its certificates; print a request for an authority to sign; take what it has signed (PEM)",
        run: identity::identity,
    },
    Command {
        name: "usp",
        arguments: "doctor [--json]",
        about: "Try each of the operator's controllers, and say where it ends, on whose side, and what to do",
        run: usp::usp,
    },
    Command {
        name: "names",
        arguments: "[--json]",
        about: "Show the name server's numbers and whom it asks",
        run: names::names,
    },
    Command { name: "disk", arguments: "[--json]", about: "Show the data disk", run: gateway::disk },
    Command {
        name: "facts",
        arguments: "[--json]",
        about: "Show when the gateway was ready, in ms after boot",
        run: processes::facts,
    },
    Command {
        name: "procs",
        arguments: "[--json]",
        about: "Show resident memory, in kB",
        run: machine::procs,
    },
    Command {
        name: "memory",
        arguments: "[--json]",
        about: "Show the machine's memory, in kB",
        run: machine::memory,
    },
    Command {
        name: "kill",
        arguments: "NAME [SIGNAL]",
        about: "Send a process's program a signal (KILL, or TERM, INT, STOP, CONT)",
        run: processes::kill,
    },
    Command {
        name: "reboot",
        arguments: "",
        about: "Stop everything and start the machine anew",
        run: processes::reboot,
    },
    Command {
        name: "poweroff",
        arguments: "",
        about: "Stop everything and switch off",
        run: processes::power_off,
    },
    Command { name: "help", arguments: "", about: "Show this list", run: |_, out| help(out) },
];

/// The words behind a command's name.
#[derive(Debug)]
pub(crate) struct Words<'w> {
    usage: String,
    words: Vec<&'w str>,
    /// `--json` was among them.
    pub(crate) json: bool,
    /// Options, and what stood behind those that take a word.
    options: Vec<(&'w str, &'w str)>,
}

/// Options behind which a word stands.
const WITH_A_WORD: [&str; 3] = ["--confirm", "--tag", "--slice"];

impl Words<'_> {
    /// There are none but options.
    pub(crate) fn none(&self) -> Result<(), Error> {
        if self.words.is_empty() { Ok(()) } else { Err(self.wrong()) }
    }

    /// All but options.
    pub(crate) fn plain(&self) -> &[&str] {
        &self.words
    }

    /// The seconds behind `--confirm`; without it none.
    pub(crate) fn confirm_s(&self) -> Result<u32, Error> {
        self.option("--confirm").map_or(Ok(0), |word| word.parse().map_err(|_| self.wrong()))
    }

    /// What stands behind `option`, if it was said; of one that takes no word: nothing.
    pub(crate) fn option(&self, option: &str) -> Option<&str> {
        self.options.iter().find(|(name, _)| *name == option).map(|(_, word)| *word)
    }

    /// There is one, and it is a process's name.
    pub(crate) fn name(&self) -> Result<contract::Name, Error> {
        match self.name_and_word()? {
            (name, None) => Ok(name),
            (_, Some(_)) => Err(self.wrong()),
        }
    }

    /// The first is a process's name; there may be one more.
    pub(crate) fn name_and_word(&self) -> Result<(contract::Name, Option<&str>), Error> {
        let (name, word) = match self.words.as_slice() {
            [name] => (name, None),
            [name, word] => (name, Some(*word)),
            _ => return Err(self.wrong()),
        };
        let name = contract::Name::new(name);
        name.map(|name| (name, word)).map_err(|error| Error::Usage(format!("{} ({error})", self.usage)))
    }

    /// How they should be.
    pub(crate) fn usage(&self) -> &str {
        &self.usage
    }

    /// They are not what the command takes.
    pub(crate) fn wrong(&self) -> Error {
        Error::Usage(self.usage.clone())
    }
}

/// Does what `words` say.
///
/// # Errors
/// [`Error`] says what was wrong, and what to do.
pub fn run(words: &[String], out: Out<'_>) -> Result<(), Error> {
    let Some((name, rest)) = words.split_first() else { return help(out) };
    if ["-h", "--help"].contains(&name.as_str()) {
        return help(out);
    }
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        return Err(Error::Usage(format!(
            "ctl COMMAND … (there is no command '{name}'; `ctl help` lists them)"
        )));
    };
    let usage = format!("ctl {} {}", command.name, command.arguments).trim_end().to_owned();
    let (mut options, mut plain) = (Vec::new(), Vec::new());
    let mut rest = rest.iter().map(String::as_str);
    while let Some(word) = rest.next() {
        if ["-h", "--help"].contains(&word) {
            return Ok(writeln!(out, "{usage}\n{}", command.about)?);
        }
        if !word.starts_with('-') {
            plain.push(word);
            continue;
        }
        let known = command.arguments.split([' ', '[', ']']).any(|known| known == word);
        let behind = if WITH_A_WORD.contains(&word) { rest.next() } else { Some("") };
        options.push((word, behind.filter(|_| known).ok_or_else(|| Error::Usage(usage.clone()))?));
    }
    let json = options.iter().any(|(option, _)| *option == "--json");
    (command.run)(&Words { usage, words: plain, json, options }, out)
}

/// Where the text of the help begins.
const COLUMN: usize = 24;

fn help(out: Out<'_>) -> Result<(), Error> {
    writeln!(out, "The gateway's own command.\n")?;
    for Command { name, arguments, about, .. } in COMMANDS {
        let said = format!("{name} {arguments}");
        // What would run into the text has a line of its own.
        let gap = if said.len() < COLUMN { "" } else { "\n" };
        let indent = if gap.is_empty() { COLUMN - said.len() } else { COLUMN + 2 };
        writeln!(out, "  {said}{gap}{:indent$}{about}", "")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{COMMANDS, run};

    fn said(words: &[&str]) -> (String, Option<u8>) {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let mut out = Vec::new();
        let outcome = run(&words, &mut out);
        let error = outcome.as_ref().err().map(ToString::to_string).unwrap_or_default();
        (String::from_utf8(out).unwrap() + &error, outcome.err().map(|error| error.code()))
    }

    #[test]
    fn help_names_every_command() {
        let (text, code) = said(&["help"]);
        assert_eq!(code, None);
        for command in COMMANDS {
            let apart =
                |line: &str| line.strip_suffix(command.about).is_some_and(|left| left.ends_with("  "));
            assert!(text.lines().any(apart), "{}: {text}", command.name);
        }
        assert_eq!(said(&[]), said(&["--help"]));
    }

    #[test]
    fn wrong_words_get_the_right_ones() {
        let table: &[(&[&str], &str)] = &[
            (&["frobnicate"], "no command 'frobnicate'"),
            (&["log"], "ctl log NAME"),
            (&["log", "Hello"], "name:"),
            (&["start", "a", "b"], "ctl start NAME"),
            (&["kill", "a", "SEGV"], "ctl kill NAME [SIGNAL]"),
            (&["kill", "a", "TERM", "b"], "ctl kill NAME [SIGNAL]"),
            (&["status", "x"], "ctl status"),
            (&["status", "--xml"], "ctl status"),
            (&["start", "--json", "a"], "ctl start NAME"),
            (&["start", "a", "--confirm", "7"], "ctl start NAME"),
            (&["network", "apply"], "ctl network [apply FILE"),
            (&["network", "apply", "a", "--confirm"], "ctl network [apply FILE"),
            (&["network", "apply", "a", "--confirm", "soon"], "ctl network [apply FILE"),
            (&["network", "confirm", "--confirm", "7"], "ctl network [apply FILE"),
            (&["install"], "ctl install SOURCE"),
            (&["install", "a/b", "--tag"], "ctl install SOURCE"),
            (&["install", "a/b", "--slice", "Upper"], "ctl install SOURCE"),
            (&["update", "hello"], "ctl update NAME SOURCE"),
            (&["update", "hello", "a/b", "--slice", "x"], "ctl update NAME SOURCE"),
            (&["remove", "hello", "--drop"], "ctl remove NAME"),
            (&["autostart", "hello", "maybe"], "ctl autostart NAME on|off"),
            (&["keyring"], "ctl keyring FILE"),
        ];
        for (words, wanted) in table {
            let (text, code) = said(words);
            assert!(text.contains(wanted), "{words:?}: {text}");
            assert_eq!(code, Some(2), "{words:?}");
        }
    }
}
